/* json_write.c: see json_write.h. Own code and small, because the strings need their own treatment
 * (any byte may be in them) and the rest is numbers.
 */
#include "profiler/report/json_write.h"

#include "profiler/report/report_format.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void next(struct tm_json *json, const char *key)
{
    if (!json->first)
        putc(',', json->out);
    json->first = false;
    fprintf(json->out, "\n%*s", json->depth * 2, "");
    if (key)
        fprintf(json->out, "\"%s\": ", key);
}

void tm_json_start(struct tm_json *json, const char *key, char bracket)
{
    if (json->depth > 0)
        next(json, key);
    putc(bracket, json->out);
    json->depth++;
    json->first = true;
}

void tm_json_end(struct tm_json *json, char bracket)
{
    json->depth--;
    if (!json->first)
        fprintf(json->out, "\n%*s", json->depth * 2, "");
    putc(bracket, json->out);
    json->first = false;
}

void tm_json_number(struct tm_json *json, const char *key, uint64_t value)
{
    next(json, key);
    fprintf(json->out, "%" PRIu64, value);
}

void tm_json_signed(struct tm_json *json, const char *key, int64_t value)
{
    next(json, key);
    fprintf(json->out, "%" PRId64, value);
}

void tm_json_boolean(struct tm_json *json, const char *key, bool value)
{
    next(json, key);
    fputs(value ? "true" : "false", json->out);
}

void tm_json_text(struct tm_json *json, const char *key, const char *value, size_t length)
{
    next(json, key);
    tm_print_json_string(json->out, value, length);
}

void tm_json_string(struct tm_json *json, const char *key, const char *value)
{
    tm_json_text(json, key, value, strlen(value));
}

void tm_json_real(struct tm_json *json, const char *key, double value)
{
    next(json, key);
    fprintf(json->out, "%.17g", isfinite(value) ? value : 0.0);
}

void tm_json_address(struct tm_json *json, const char *key, uint64_t value)
{
    next(json, key);
    fprintf(json->out, "\"0x%" PRIx64 "\"", value);
}
