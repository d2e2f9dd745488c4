/* test_report_format.c: numbers in words, and text that may not reach a terminal as it is. */
#include "tests/report/cmocka_all.h"

#include "profiler/report/report_format.h"

#include <stdlib.h>
#include <string.h>

static void test_words(void **state)
{
    (void)state;
    assert_string_equal(tm_words_bytes(0).text, "0 B");
    assert_string_equal(tm_words_bytes(1023).text, "1023 B");
    assert_string_equal(tm_words_bytes(1024).text, "1.0 KiB");
    assert_string_equal(tm_words_bytes((1 << 20) - 1).text, "1.0 MiB");
    assert_string_equal(tm_words_bytes(UINT64_MAX).text, "16.0 EiB");
    assert_string_equal(tm_words_signed(-1536).text, "-1.5 KiB");
    assert_string_equal(tm_words_exact(0).text, "0");
    assert_string_equal(tm_words_exact(-1234567).text, "-1,234,567");
    assert_string_equal(tm_words_exact(999).text, "999");
    assert_string_equal(tm_words_exact(INT64_MIN).text, "-9,223,372,036,854,775,808");
    assert_string_equal(tm_words_percent(1, 0).text, "-");
    assert_string_equal(tm_words_percent(1, 3).text, "33 %");
    assert_string_equal(tm_words_percent(999, 1000).text, "99.9 %");
    assert_string_equal(tm_words_percent(1, 1).text, "100 %");
    assert_string_equal(tm_words_time(0).text, "0 s");
    assert_string_equal(tm_words_time(1500000).text, "1.5 ms");
    assert_string_equal(tm_words_time(UINT64_C(200000000000)).text, "3 min 20 s");
}

/* What the function prints must be `expected`, and its return value that width. */
static void assert_escaped(const char *text, size_t length, size_t columns, bool utf8,
                           const char *expected, size_t width)
{
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    size_t used = tm_print_escaped(out, text, length, columns, utf8);
    fclose(out);
    assert_string_equal(printed, expected);
    assert_int_equal(used, width);
    free(printed);
}

static void test_escapes(void **state)
{
    (void)state;
    assert_escaped("plain", 5, 80, true, "plain", 5);
    assert_escaped("\033[2J", 4, 80, true, "\\x1b[2J", 7);
    assert_escaped("a\0b", 3, 80, true, "a\\x00b", 6);
    assert_escaped("\xff\xc3(", 3, 80, true, "\\xff\\xc3(", 9);
    assert_escaped("\xc2\x9b", 2, 80, true, "\\u{009b}", 8);            /* CSI as one character */
    assert_escaped("\xe2\x80\xae", 3, 80, true, "\\u{202e}", 8);        /* right-to-left override */
    assert_escaped("\xed\xa0\x80", 3, 80, true, "\\xed\\xa0\\x80", 12); /* a surrogate */
    assert_escaped("\xc0\xaf", 2, 80, true, "\\xc0\\xaf", 8);           /* overlong */
    assert_escaped("\xe0\x80\xaf", 3, 80, true, "\\xe0\\x80\\xaf", 12); /* the same, longer */
    assert_escaped("\xf4\x90\x80\x80", 4, 80, true, "\\xf4\\x90\\x80\\x80", 16);
    assert_escaped("\xc3\xa9", 2, 80, true, "\xc3\xa9", 1);
    assert_escaped("\xc3\xa9", 2, 80, false, "\\u{00e9}", 8);
    assert_escaped("\xe4\xb8\xad", 3, 80, true, "\xe4\xb8\xad", 2);
    assert_escaped("\xe4\xb8", 2, 80, true, "\\xe4\\xb8", 8); /* cut off */
    assert_escaped("\\x41", 4, 80, true, "\\\\x41", 5);       /* not to be mistaken for an escape */
    assert_escaped("0123456789", 10, 10, true, "0123456789", 10);
    assert_escaped("0123456789a", 11, 10, true, "0123456...", 10);
    assert_escaped("012345\033", 7, 9, true, "012345...", 9); /* an escape is not cut in two */
}

static void test_json_strings(void **state)
{
    (void)state;
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    tm_print_json_string(out, "a\"\\\n\0\x7f\xff\xc3\xa9\xf0\x9f\x98\x80", 13);
    fclose(out);
    assert_string_equal(printed,
                        "\"a\\\"\\\\\\u000a\\u0000\\u007f\\ufffd\xc3\xa9\xf0\x9f\x98\x80\"");
    free(printed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_json_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
