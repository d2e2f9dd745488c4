/* who.c: see who.h. */
#include "profiler/report/who.h"

#include "profiler/report/report_format.h"

#include <inttypes.h>
#include <string.h>

enum { COLUMNS = 100, FUNCTION_COLUMNS = 56, SHOWN_FRAMES = 12 };

const char *tm_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* What stands for a function without a name: its place in the file. */
static void name_place(char *text, size_t size, const struct tm_symbol *symbol, uint64_t address)
{
    if (symbol->module && *symbol->module)
        snprintf(text, size, "%.120s+0x%" PRIx64, tm_base_name(symbol->module), symbol->offset);
    else
        snprintf(text, size, "0x%" PRIx64, address);
}

static void name_function(char *text, size_t size, const struct tm_symbol *symbol, uint64_t address)
{
    if (!symbol->function)
        name_place(text, size, symbol, address);
    else if (strlen(symbol->function) < 160)
        snprintf(text, size, "%s", symbol->function);
    else
        snprintf(text, size, "%.156s...", symbol->function);
}

/* "file.c:12", "file.c", or "" */
static void name_line(char *text, size_t size, const struct tm_symbol *symbol)
{
    text[0] = '\0';
    if (symbol->file && symbol->line)
        snprintf(text, size, "%.80s:%u", tm_base_name(symbol->file), symbol->line);
    else if (symbol->file)
        snprintf(text, size, "%.80s", tm_base_name(symbol->file));
}

struct tm_label tm_group_label(const struct tm_report *report, uint32_t index)
{
    const struct tm_group *group = &report->sites.groups[index];
    const struct tm_symbol *symbol = group->who.symbol;
    struct tm_label label;
    char line[100];
    if (index == TM_GROUP_UNKNOWN) {
        snprintf(label.text, sizeof label.text, "blocks that are not recorded");
        return label;
    }
    switch (report->sites.grouping) {
    case TM_GROUP_THREAD:
        if (group->thread)
            snprintf(label.text, sizeof label.text, "thread %" PRIu64, group->thread);
        else
            snprintf(label.text, sizeof label.text, "threads that are not known");
        return label;
    case TM_GROUP_LIBRARY:
        snprintf(label.text, sizeof label.text, "%.250s",
                 symbol->module && *symbol->module ? symbol->module : "code in no file");
        return label;
    case TM_GROUP_FILE:
        if (symbol->file)
            snprintf(label.text, sizeof label.text, "%.250s", symbol->file);
        else
            snprintf(label.text, sizeof label.text, "%.200s (source file unknown)",
                     symbol->module && *symbol->module ? symbol->module : "code in no file");
        return label;
    default:
        break;
    }
    name_function(label.text, sizeof label.text, symbol, group->who.address);
    name_line(line, sizeof line, symbol);
    /* By function the line is that of one of its calls. */
    if (*line && report->sites.grouping == TM_GROUP_FUNCTION)
        snprintf(line, sizeof line, "%.80s", tm_base_name(symbol->file));
    size_t used = strlen(label.text);
    if (*line)
        snprintf(label.text + used, sizeof label.text - used, " (%s)", line);
    else if (symbol->function && symbol->module && *symbol->module)
        snprintf(label.text + used, sizeof label.text - used, " (%.80s)",
                 tm_base_name(symbol->module));
    return label;
}

static void print_frame(FILE *out, const struct tm_symbol *symbol, uint64_t address, size_t indent,
                        bool utf8)
{
    char name[256];
    char line[100];
    name_function(name, sizeof name, symbol, address);
    name_line(line, sizeof line, symbol);
    fprintf(out, "%*s", (int)indent, "");
    size_t used = indent + tm_print_escaped(out, name, strlen(name), FUNCTION_COLUMNS, utf8);
    if (*line) {
        fputs("  ", out);
        used += 2 + tm_print_escaped(out, line, strlen(line), COLUMNS - 2 - used, utf8);
    }
    const char *module = symbol->module ? tm_base_name(symbol->module) : "";
    if (symbol->function && *module && used + 16 < COLUMNS) {
        fputs("  [", out);
        tm_print_escaped(out, module, strlen(module), COLUMNS - 4 - used, utf8);
        fputs("]", out);
    }
    putc('\n', out);
}

void tm_print_stack(FILE *out, const struct tm_report *report, uint32_t node, size_t indent,
                    bool utf8)
{
    const struct tm_stacks *stacks = &report->sites.stacks;
    size_t shown = 0, left = 0;
    for (; node != 0; node = stacks->nodes[node].parent) {
        const struct tm_node *at = &stacks->nodes[node];
        if (at->flags & TM_FRAME_TRUNCATED) {
            fprintf(out, "%*s(its callers are not recorded)\n", (int)indent, "");
            continue;
        }
        if (at->flags & TM_FRAME_THREAD) {
            fprintf(out, "%*sthread %" PRIu64 "\n", (int)indent, "", at->address);
            continue;
        }
        size_t count;
        const struct tm_symbol *list =
            tm_stacks_symbols(stacks, node, report->view.symbols, &count);
        for (size_t i = 0; i < count; i++)
            if (shown < SHOWN_FRAMES && ++shown)
                print_frame(out, &list[i], at->address, indent, utf8);
            else
                left++;
    }
    if (left > 0)
        fprintf(out, "%*s(and %zu more; --json has them)\n", (int)indent, "", left);
}
