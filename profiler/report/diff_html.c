/* diff_html.c: see diff_html.h. The data is made in memory first: what is too large to be made
 * leaves no half a page behind.
 */
#include "profiler/report/diff_html.h"

#include "profiler/report/diff_print.h"
#include "profiler/report/html_page.h"

#include <stdlib.h>

enum { LISTED = 300 /* sites of the page */ };

bool tm_diff_html(FILE *out, const struct tm_diff *diff, const char *const *paths,
                  const struct tm_report *const by_stack[2])
{
    char *data = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&data, &size);
    if (!memory)
        return false;
    struct tm_json json = {.out = memory, .first = true};
    tm_json_start(&json, NULL, '{');
    tm_json_string(&json, "tidemark_version", TIDEMARK_VERSION);
    tm_diff_json_members(&json, diff, paths, LISTED);
    bool made = tm_diff_html_flame(&json, by_stack, diff->check->one_program);
    tm_json_end(&json, '}');
    made = fclose(memory) == 0 && made;
    if (made)
        tm_html_page_write(out, &tm_html_diff_page, data, size);
    free(data);
    return made;
}
