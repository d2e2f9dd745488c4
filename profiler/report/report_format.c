/* report_format.c: see report_format.h. */
#include "profiler/report/report_format.h"

#include <inttypes.h>
#include <string.h>

struct tm_words tm_words_bytes(uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    struct tm_words words;
    if (bytes < 1024) {
        snprintf(words.text, sizeof words.text, "%" PRIu64 " B", bytes);
        return words;
    }
    double value = (double)bytes;
    size_t unit = 0;
    /* 1023.95 would print as 1024.0 of a unit that has a larger one. */
    while (value >= 1023.95 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    snprintf(words.text, sizeof words.text, "%.1f %s", value, units[unit]);
    return words;
}

struct tm_words tm_words_signed(int64_t bytes)
{
    if (bytes >= 0)
        return tm_words_bytes((uint64_t)bytes);
    struct tm_words words = {.text = "-"};
    struct tm_words size = tm_words_bytes(-(uint64_t)bytes);
    memcpy(words.text + 1, size.text, sizeof words.text - 1);
    words.text[sizeof words.text - 1] = '\0';
    return words;
}

struct tm_words tm_words_error(double bytes, double error, bool few)
{
    uint64_t whole = !(bytes > 0) ? 0 : bytes < 0x1p63 ? (uint64_t)(bytes + 0.5) : UINT64_MAX;
    struct tm_words figure = tm_words_bytes(whole);
    struct tm_words words;
    if (few) {
        snprintf(words.text, sizeof words.text, "~%.20s (too few)", figure.text);
        return words;
    }
    if (!(error > 0))
        return figure;
    double unit = 1;
    for (double value = bytes; value >= 1023.95 && unit < 0x1p60; value /= 1024)
        unit *= 1024;
    snprintf(words.text, sizeof words.text, "%.20s +- %.1f", figure.text,
             error / unit < 1e9 ? error / unit : 1e9);
    return words;
}

struct tm_words tm_words_exact(int64_t number)
{
    char digits[24];
    uint64_t magnitude = number < 0 ? -(uint64_t)number : (uint64_t)number;
    int length = snprintf(digits, sizeof digits, "%" PRIu64, magnitude);
    struct tm_words words;
    size_t at = 0;
    if (number < 0)
        words.text[at++] = '-';
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            words.text[at++] = ',';
        words.text[at++] = digits[i];
    }
    words.text[at] = '\0';
    return words;
}

struct tm_words tm_words_time(uint64_t ns)
{
    struct tm_words words;
    uint64_t seconds = ns / 1000000000;
    if (ns == 0)
        strcpy(words.text, "0 s");
    else if (ns < 1000)
        snprintf(words.text, sizeof words.text, "%" PRIu64 " ns", ns);
    else if (ns < 1000000)
        snprintf(words.text, sizeof words.text, "%.1f us", (double)ns / 1e3);
    else if (ns < 1000000000)
        snprintf(words.text, sizeof words.text, "%.1f ms", (double)ns / 1e6);
    else if (seconds < 120)
        snprintf(words.text, sizeof words.text, "%.1f s", (double)ns / 1e9);
    else if (seconds < 7200)
        snprintf(words.text, sizeof words.text, "%" PRIu64 " min %" PRIu64 " s", seconds / 60,
                 seconds % 60);
    else if (seconds < 172800)
        snprintf(words.text, sizeof words.text, "%" PRIu64 " h %" PRIu64 " min", seconds / 3600,
                 seconds / 60 % 60);
    else
        snprintf(words.text, sizeof words.text, "%" PRIu64 " d %" PRIu64 " h", seconds / 86400,
                 seconds / 3600 % 24);
    return words;
}

struct tm_words tm_words_percent(uint64_t part, uint64_t whole)
{
    struct tm_words words = {.text = "-"};
    if (whole == 0)
        return words;
    double percent = 100.0 * (double)part / (double)whole;
    /* One decimal where whole percents would hide the difference from nothing or from all. */
    bool fine = (percent > 0 && percent < 9.95) || (percent > 99 && percent < 99.95);
    snprintf(words.text, sizeof words.text, fine ? "%.1f %%" : "%.0f %%", percent);
    return words;
}

/* The length in bytes of the valid UTF-8 sequence at text, and its code point; 0 where there is
 * none (overlong forms, surrogates and values past U+10FFFF are none). */
static size_t decode(const unsigned char *text, size_t length, uint32_t *code)
{
    unsigned char first = text[0];
    if (first < 0x80) {
        *code = first;
        return 1;
    }
    size_t needed = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || needed > length)
        return 0;
    uint32_t value = first & (0xffU >> (needed + 1));
    for (size_t i = 1; i < needed; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (text[i] & 0x3fU);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (value < least[needed] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *code = value;
    return needed;
}

/* Characters that a terminal obeys or that change the direction or look of what follows. */
static bool is_unsafe(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad || code == 0x61c ||
           (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2060 && code <= 0x206f) || (code >= 0xd800 && code <= 0xf8ff) ||
           code == 0xfeff || (code >= 0xfff0 && code <= 0xfffb) || code >= 0xe0000;
}

size_t tm_plain_character(const char *text, size_t length)
{
    uint32_t code = 0;
    size_t taken = decode((const unsigned char *)text, length, &code);
    return taken == 0 || is_unsafe(code) ? 0 : taken;
}

void tm_make_plain(char *text)
{
    while (*text != '\0') {
        size_t taken = tm_plain_character(text, strnlen(text, 4));
        if (taken == 0)
            *text = *text == '\n' || *text == '\t' ? ' ' : '?';
        text += taken > 0 ? taken : 1;
    }
}

/* Columns of a shown character, never too few: scripts that may be wide count as wide. */
static size_t columns_of(uint32_t code)
{
    return code >= 0x1100 ? 2 : 1;
}

/* One character of the text at `at`, escaped where need be, into piece; its columns into *wide.
 * Returns the bytes taken from the text. */
static size_t next_piece(const char *text, size_t length, bool utf8, char piece[16], size_t *wide)
{
    const unsigned char *bytes = (const unsigned char *)text;
    uint32_t code = 0;
    size_t taken = decode(bytes, length, &code);
    if (taken == 0) {
        *wide = (size_t)snprintf(piece, 16, "\\x%02x", bytes[0]);
        return 1;
    }
    if (code == '\\') {
        *wide = (size_t)snprintf(piece, 16, "\\\\");
        return taken;
    }
    if (is_unsafe(code) || (code >= 0x80 && !utf8)) {
        *wide = (size_t)snprintf(piece, 16, code < 0x80 ? "\\x%02x" : "\\u{%04x}", code);
        return taken;
    }
    memcpy(piece, text, taken);
    piece[taken] = '\0';
    *wide = columns_of(code);
    return taken;
}

size_t tm_print_escaped(FILE *out, const char *text, size_t length, size_t columns, bool utf8)
{
    char piece[16];
    size_t wide = 0;
    size_t whole = 0;
    for (size_t at = 0; at < length && whole <= columns; whole += wide)
        at += next_piece(text + at, length - at, utf8, piece, &wide);
    bool fits = whole <= columns;
    if (!fits && columns < 3)
        return 0;
    size_t room = fits ? columns : columns - 3;
    size_t used = 0;
    for (size_t at = 0; at < length;) {
        at += next_piece(text + at, length - at, utf8, piece, &wide);
        if (used + wide > room)
            break;
        fputs(piece, out);
        used += wide;
    }
    if (fits)
        return used;
    fputs("...", out);
    return used + 3;
}

void tm_print_json_string(FILE *out, const char *text, size_t length)
{
    putc('"', out);
    for (size_t at = 0; at < length;) {
        uint32_t code = 0;
        size_t taken = decode((const unsigned char *)text + at, length - at, &code);
        if (taken == 0) {
            fputs("\\ufffd", out);
            at++;
            continue;
        }
        if (code == '"' || code == '\\')
            fprintf(out, "\\%c", (char)code);
        else if (is_unsafe(code) && code >= 0x10000)
            fprintf(out, "\\u%04x\\u%04x", 0xd7c0 + (code >> 10), 0xdc00 + (code & 0x3ff));
        else if (is_unsafe(code))
            fprintf(out, "\\u%04x", code);
        else
            fwrite(text + at, 1, taken, out);
        at += taken;
    }
    putc('"', out);
}
