/* html_page.h: a page in one file: what html/embed.py made of a template at build time, with the
 * data of one run in it as JSON. The page has a strict policy: it loads nothing, and only its own
 * style and script run, told by their hashes.
 */
#ifndef TIDEMARK_REPORT_HTML_PAGE_H
#define TIDEMARK_REPORT_HTML_PAGE_H

#include "profiler/report/json_write.h"

#include <stddef.h>
#include <stdio.h>

/* The text before the data and after it. */
struct tm_html_page {
    const char *before, *after;
};

/* One for each template of html/, made by embed.py. */
extern const struct tm_html_page tm_html_report_page;
extern const struct tm_html_page tm_html_diff_page;

/* Writes the page. json: valid JSON in UTF-8, in which no text can end the element that it is put
 * into: "<" is escaped and space outside of strings dropped on the way. */
void tm_html_page_write(FILE *out, const struct tm_html_page *page, const char *json, size_t size);

/* A frame of a flame graph, as html/flame.js reads it: "" what is not known. */
void tm_html_frame(struct tm_json *json, const char *name, const char *place, const char *module);

#endif
