/* output.c: see output.h. The JSON grammar is that of RFC 8259. */
#include "tests/fuzz/output.h"

#include "tests/fuzz/fuzz.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 200 };

FILE *fuzz_output_open(struct fuzz_output *output)
{
    output->to = open_memstream(&output->text, &output->size);
    fuzz_promise(output->to != NULL, "there is memory for output");
    return output->to;
}

static void finish(struct fuzz_output *output)
{
    fuzz_promise(fclose(output->to) == 0, "there is memory for output");
}

/* The bytes of the character at text, 0 if they are no UTF-8. */
static size_t character(const unsigned char *text, size_t left, unsigned *value)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = text[0] < 0x80   ? 1
                    : text[0] < 0xc0 ? 0
                    : text[0] < 0xe0 ? 2
                    : text[0] < 0xf0 ? 3
                    : text[0] < 0xf8 ? 4
                                     : 0;
    if (length == 0 || length > left)
        return 0;
    *value = length == 1 ? text[0] : text[0] & (0xffU >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        *value = *value << 6 | (text[i] & 0x3f);
    }
    bool good =
        *value >= least[length] && *value <= 0x10ffff && !(*value >= 0xd800 && *value < 0xe000);
    return good ? length : 0;
}

void fuzz_output_is_text(struct fuzz_output *output, int ascii)
{
    finish(output);
    const unsigned char *text = (const unsigned char *)output->text;
    for (size_t at = 0; at < output->size;) {
        unsigned value = 0;
        size_t length = character(text + at, output->size - at, &value);
        fuzz_promise(length > 0, "text is UTF-8");
        fuzz_promise(value == '\n' || (value >= ' ' && (value < 0x7f || value > 0x9f)),
                     "text has no control characters");
        fuzz_promise(!ascii || value < 0x80, "text for a plain terminal is ASCII");
        at += length;
    }
    free(output->text);
}

/* ---- JSON ---- */

struct json {
    const char *at, *end;
};

static char peek(struct json *json)
{
    while (json->at < json->end && strchr(" \n\r\t", *json->at) && *json->at != '\0')
        json->at++;
    return json->at < json->end ? *json->at : '\0';
}

static bool take_string(struct json *json)
{
    if (peek(json) != '"')
        return false;
    for (json->at++; json->at < json->end && *json->at != '"';) {
        unsigned value = 0;
        if (*json->at == '\\') {
            size_t digits = json->end - json->at > 1 && json->at[1] == 'u' ? 4 : 0;
            if ((size_t)(json->end - json->at) < 2 + digits || !strchr("\"\\/bfnrtu", json->at[1]))
                return false;
            for (size_t i = 0; i < digits; i++)
                if (!isxdigit((unsigned char)json->at[2 + i]))
                    return false;
            json->at += 2 + digits;
            continue;
        }
        size_t length =
            character((const unsigned char *)json->at, (size_t)(json->end - json->at), &value);
        if (length == 0 || value < ' ')
            return false;
        json->at += length;
    }
    return json->at < json->end && *json->at++ == '"';
}

static bool take_digits(struct json *json)
{
    const char *start = json->at;
    while (json->at < json->end && isdigit((unsigned char)*json->at))
        json->at++;
    return json->at > start;
}

static bool take_number(struct json *json)
{
    if (*json->at == '-')
        json->at++;
    bool zero = json->at < json->end && *json->at == '0';
    const char *start = json->at;
    if (!take_digits(json) || (zero && json->at - start > 1))
        return false;
    if (json->at < json->end && *json->at == '.') {
        json->at++;
        if (!take_digits(json))
            return false;
    }
    if (json->at < json->end && (*json->at == 'e' || *json->at == 'E')) {
        json->at++;
        if (json->at < json->end && (*json->at == '+' || *json->at == '-'))
            json->at++;
        return take_digits(json);
    }
    return true;
}

static bool take_scalar(struct json *json)
{
    static const char *const words[] = {"true", "false", "null"};
    if (peek(json) == '"')
        return take_string(json);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(json->end - json->at) >= length && memcmp(json->at, words[i], length) == 0) {
            json->at += length;
            return true;
        }
    }
    return json->at < json->end && take_number(json);
}

/* A value, without recursion: the brackets that are open are kept. */
static bool take_value(struct json *json)
{
    char open[DEPTH];
    size_t depth = 0;
    bool first = true; /* nothing stands in the innermost brackets yet */
    for (;;) {
        char c = peek(json);
        bool closes = depth > 0 && c == (open[depth - 1] == '{' ? '}' : ']');
        if (closes) {
            json->at++;
            depth--;
            first = false;
        } else {
            if (depth > 0 && !first) {
                if (c != ',')
                    return false;
                json->at++;
            }
            if (depth > 0 && open[depth - 1] == '{') {
                if (!take_string(json) || peek(json) != ':')
                    return false;
                json->at++;
            }
            c = peek(json);
            first = c == '{' || c == '[';
            if (first) {
                if (depth == DEPTH)
                    return false;
                open[depth++] = c;
                json->at++;
            } else if (!take_scalar(json)) {
                return false;
            }
        }
        if (depth == 0)
            return true;
    }
}

void fuzz_output_is_json(struct fuzz_output *output)
{
    finish(output);
    struct json json = {output->text, output->text + output->size};
    bool good = take_value(&json) && peek(&json) == '\0' && json.at == json.end;
    if (!good)
        fprintf(stderr, "at byte %td of %zu: %.60s\n", json.at - output->text, output->size,
                json.at < json.end ? json.at : "the end");
    fuzz_promise(good, "JSON is JSON");
    free(output->text);
}

/* ---- pages ---- */

static size_t count(const char *text, size_t size, char what)
{
    size_t found = 0;
    for (const char *at = text; (at = memchr(at, what, (size_t)(text + size - at))); at++)
        found++;
    return found;
}

void fuzz_output_is_page(struct fuzz_output *output, const char *before, const char *after)
{
    finish(output);
    size_t template = count(before, strlen(before), '<') + count(after, strlen(after), '<');
    fuzz_promise(count(output->text, output->size, '<') == template,
                 "no name from the input can start or end an element");
    free(output->text);
}
