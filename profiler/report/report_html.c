/* report_html.c: see report_html.h. The data is made in memory first: what is too large to be made
 * leaves no half a page behind.
 */
#include "profiler/report/report_html.h"

#include "profiler/report/html_page.h"
#include "profiler/report/report_json.h"

#include <stdlib.h>

enum { LISTED_EACH = 120 /* first of each order that are listed */ };

/* Marks the first ones by each order, and all of the plan. ranked: room for all groups. */
static void mark_groups(const struct tm_report *report, uint32_t *ranked, bool *marked)
{
    for (unsigned order = 0; order < TM_ORDERS; order++) {
        size_t count = tm_report_rank(report, (enum tm_order)order, ranked);
        for (size_t i = 0; i < count && i < LISTED_EACH; i++)
            marked[ranked[i]] = true;
    }
    for (size_t i = 0; i < report->plan.count; i++)
        for (size_t k = 0; k < report->plan.steps[i].count; k++)
            marked[report->plan.steps[i].groups[k]] = true;
    /* Where there are few, those that have nothing are listed, too. */
    for (size_t i = 0; i < report->sites.count; i++)
        marked[i] = marked[i] || report->sites.count <= LISTED_EACH;
    marked[TM_GROUP_UNKNOWN] = false;
}

static void list_group(struct tm_html_sites *sites, uint32_t group)
{
    sites->place_of[group] = (uint32_t)sites->count;
    sites->groups[sites->count++] = group;
}

/* Lists what is marked in the order of the JSON report. */
static bool list_groups(const struct tm_report *report, struct tm_html_sites *sites)
{
    size_t groups = report->sites.count;
    uint32_t *ranked = calloc(groups + 1, sizeof *ranked);
    bool *marked = calloc(groups + 1, sizeof *marked);
    *sites = (struct tm_html_sites){.groups = calloc(groups + 1, sizeof *sites->groups),
                                    .place_of = calloc(groups + 1, sizeof *sites->place_of)};
    bool made = ranked && marked && sites->groups && sites->place_of;
    if (made) {
        for (size_t i = 0; i < groups; i++)
            sites->place_of[i] = TM_HTML_NOT_LISTED;
        mark_groups(report, ranked, marked);
        size_t count = tm_report_rank(report, report->view.by, ranked);
        for (size_t i = 0; i < count; i++)
            if (marked[ranked[i]])
                list_group(sites, ranked[i]);
        for (uint32_t i = 0; i < groups; i++)
            if (marked[i] && sites->place_of[i] == TM_HTML_NOT_LISTED)
                list_group(sites, i);
        if (report->snapshot->has_recording)
            list_group(sites, TM_GROUP_UNKNOWN);
    }
    free(ranked);
    free(marked);
    return made;
}

static bool write_data(FILE *out, const struct tm_report *report, const struct tm_report *by_stack,
                       const struct tm_html_sites *sites)
{
    struct tm_json json = {.out = out, .first = true};
    tm_json_start(&json, NULL, '{');
    tm_json_string(&json, "tidemark_version", TIDEMARK_VERSION);
    tm_report_json_plain(&json, report);
    tm_report_json_groups(&json, report, sites->groups, sites->count, false);
    tm_json_number(&json, "site_groups", report->sites.count > 0 ? report->sites.count - 1 : 0);
    bool made = tm_report_html_map(&json, report, sites) &&
                tm_report_html_flame(&json, report, by_stack, sites);
    tm_json_end(&json, '}');
    return made;
}

bool tm_report_html(FILE *out, const struct tm_report *report, const struct tm_report *by_stack)
{
    struct tm_html_sites sites;
    char *data = NULL;
    size_t size = 0;
    bool made = false;
    FILE *memory = open_memstream(&data, &size);
    if (memory) {
        made = list_groups(report, &sites) && write_data(memory, report, by_stack, &sites);
        made = fclose(memory) == 0 && made;
        free(sites.groups);
        free(sites.place_of);
    }
    if (made)
        tm_html_page_write(out, &tm_html_report_page, data, size);
    free(data);
    return made;
}
