/* html_page.c: see html_page.h. */
#include "profiler/report/html_page.h"

#include <stdbool.h>

/* "<" can only be in a string, where its escape means the same. */
static void write_json(FILE *out, const char *json, size_t size)
{
    bool string = false;
    for (size_t i = 0; i < size; i++) {
        char letter = json[i];
        if (!string && (letter == ' ' || letter == '\n'))
            continue;
        if (letter == '<') {
            fputs("\\u003c", out);
            continue;
        }
        putc(letter, out);
        if (letter == '"')
            string = !string;
        else if (letter == '\\' && string && i + 1 < size)
            putc(json[++i], out);
    }
}

void tm_html_page_write(FILE *out, const struct tm_html_page *page, const char *json, size_t size)
{
    fputs(page->before, out);
    write_json(out, json, size);
    fputs(page->after, out);
}

void tm_html_frame(struct tm_json *json, const char *name, const char *place, const char *module)
{
    tm_json_start(json, NULL, '[');
    tm_json_string(json, NULL, name);
    tm_json_string(json, NULL, place);
    tm_json_string(json, NULL, module);
    tm_json_end(json, ']');
}
