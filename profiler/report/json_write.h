/* json_write.h: a JSON document, written as it comes: commas, indents and escapes in one place. */
#ifndef TIDEMARK_REPORT_JSON_WRITE_H
#define TIDEMARK_REPORT_JSON_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Where in the document: the comma before a member depends on whether it is the first. */
struct tm_json {
    FILE *out;
    int depth;
    bool first;
};

/* Opens and closes an object or a list. key: NULL in a list. */
void tm_json_start(struct tm_json *json, const char *key, char bracket);
void tm_json_end(struct tm_json *json, char bracket);

/* One value. Text may hold any byte; what is no UTF-8 becomes U+FFFD. */
void tm_json_number(struct tm_json *json, const char *key, uint64_t value);
void tm_json_signed(struct tm_json *json, const char *key, int64_t value);
void tm_json_real(struct tm_json *json, const char *key, double value);
void tm_json_boolean(struct tm_json *json, const char *key, bool value);
void tm_json_text(struct tm_json *json, const char *key, const char *value, size_t length);
void tm_json_string(struct tm_json *json, const char *key, const char *value);
void tm_json_address(struct tm_json *json, const char *key, uint64_t value);

#endif
