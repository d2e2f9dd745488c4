/* test_text.c: what of other people's text reaches a terminal, and when the line on stderr is
 * written and when not. Descriptor 2 is another file in processes made for that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "profiler/record/text.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void what_a_terminal_obeys_is_not_shown(void **state)
{
    static const struct {
        const char *given, *shown;
    } cases[] = {
        {"plain ~", "plain ~"},
        {"\x1b[31m\n\t\x7f", "?[31m???"},
        {"\xc2\xa0\xc3\xa4\xdf\xbf", "\xc2\xa0\xc3\xa4\xdf\xbf"},
        {"\xc2\x9b"
         "31m",
         "??31m"},                        /* a control character of two bytes */
        {"\xc1\x9b\xc0\x9b", "????"},     /* ESC, longer than it has to be */
        {"\xe0\x80\x9b", "???"},          /* the same in three bytes */
        {"\xe0\x82\x9b", "???"},          /* U+009B in three */
        {"\xf0\x80\x82\x9b", "????"},     /* and in four */
        {"\xe0\xa0\x80", "\xe0\xa0\x80"}, /* the first that has to be three */
        {"\xe2\x82\xac", "\xe2\x82\xac"},
        {"\xed\x9f\xbf", "\xed\x9f\xbf"},
        {"\xed\xa0\x80", "???"}, /* half of a pair */
        {"\xee\x80\x80", "\xee\x80\x80"},
        {"\xf0\x9f\x8c\x8a", "\xf0\x9f\x8c\x8a"},
        {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
        {"\xf4\x90\x80\x80", "????"}, /* behind the last */
        {"\xf5\x80\x80\x80", "????"},
        {"a\x80z\xffz", "a?z?z"},
        {"\xe2\x82", "??"}, /* cut */
        {"\xe2\x82z", "??z"},
        {"\xf0\x9f\x8cz", "???z"},
    };
    char memory[64];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tm_text text = tm_text_in(memory, sizeof memory);
        tm_text_shown(&text, cases[i].given, strlen(cases[i].given));
        assert_string_equal(memory, cases[i].shown);
    }
}

static void quotes_are_short(void **state)
{
    char memory[128], given[80], shown[80];
    (void)state;
    memset(given, 'x', sizeof given);
    memset(shown, 'x', sizeof shown);
    struct tm_text text = tm_text_in(memory, sizeof memory);
    tm_text_quoted(&text, given, 64);
    shown[64] = '\0';
    assert_int_equal(strlen(memory), 66);
    assert_memory_equal(memory + 1, shown, 64);
    text = tm_text_in(memory, sizeof memory);
    tm_text_quoted(&text, given, 65);
    assert_memory_equal(memory + 1, shown, 64);
    assert_string_equal(memory + 65, "…'");
}

static void numbers(void **state)
{
    static const struct {
        const char *given;
        bool is;
        uint64_t value;
        size_t used;
    } cases[] = {
        {"18446744073709551615", true, UINT64_MAX, 20},
        {"18446744073709551616", false, 0, 0},
        {"99999999999999999999", false, 0, 0},
        {"0x", true, 0, 1},
        {"007,", true, 7, 3},
        {"", false, 0, 0},
        {"-1", false, 0, 0},
        {":", false, 0, 0},
    };
    char memory[32];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *at = cases[i].given;
        uint64_t value = 0;
        assert_int_equal(tm_text_parse(&at, at + strlen(at), &value), cases[i].is);
        assert_int_equal(value, cases[i].value);
        assert_int_equal(at - cases[i].given, cases[i].used);
    }
    struct tm_text text = tm_text_in(memory, sizeof memory);
    tm_text_hex(&text, 0xdeadbeef01234567U);
    tm_text_add(&text, " ");
    tm_text_size(&text, UINT64_C(3) << 50);
    assert_string_equal(memory, "deadbeef01234567 3072.0 TiB");
    text = tm_text_in(memory, 6);
    tm_text_error(&text, 13);
    assert_true(text.cut);
    assert_string_equal(memory, "Permi");
    text = tm_text_in(memory, sizeof memory);
    tm_text_error(&text, 4095); /* one that libc does not know */
    assert_string_equal(memory, "error (4095)");
}

/* How many bytes arrive on descriptor 2, which was `before` at start and is `now` when the line is
 * said; -1: none is open. Both belong to this test, which reads what arrived from `end`. */
static ssize_t said(int before, int now, int end, size_t bytes, char *line, size_t size)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char memory[16];
        struct tm_text text = tm_text_in(memory, sizeof memory);
        /* If it blocks, it does so with all signals blocked; it ends with this test, which meson
         * ends. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (before >= 0)
            dup2(before, 2);
        else
            close(2);
        tm_say_start();
        if (now >= 0)
            dup2(now, 2);
        else
            close(2);
        for (size_t i = 0; i < bytes; i++)
            tm_text_add(&text, "y");
        tm_say(&text);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return read(end, line, size);
}

static void the_line_goes_where_it_does_no_harm(void **state)
{
    char line[64], path[] = "/tmp/tidemark-test-XXXXXX";
    int pipes[2], sockets[2];
    (void)state;
    assert_int_equal(pipe2(pipes, O_NONBLOCK), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets), 0);
    int file = mkstemp(path);
    assert_true(file >= 0);
    int reader = open(path, O_RDONLY);
    int appending = open(path, O_WRONLY | O_APPEND);
    unlink(path);

    /* What it was at start. */
    assert_int_equal(said(pipes[1], pipes[1], pipes[0], 3, line, sizeof line), 4);
    assert_memory_equal(line, "yyy\n", 4);
    assert_int_equal(said(sockets[1], sockets[1], sockets[0], 3, line, sizeof line), 4);
    /* A line too long loses its end, not its newline. */
    assert_int_equal(said(pipes[1], pipes[1], pipes[0], 40, line, sizeof line), 15);
    assert_memory_equal(line, "yyyyyyyyyyyyyy\n", 15);
    /* A daemon that closed it, and got it back from accept or open. */
    assert_int_equal(said(-1, sockets[1], sockets[0], 3, line, sizeof line), -1);
    assert_int_equal(said(pipes[1], sockets[1], sockets[0], 3, line, sizeof line), -1);
    assert_int_equal(said(pipes[1], file, reader, 3, line, sizeof line), 0);
    assert_int_equal(said(pipes[1], -1, pipes[0], 3, line, sizeof line), -1);
    /* A log that was opened as one. */
    assert_int_equal(said(pipes[1], appending, reader, 3, line, sizeof line), 4);

    /* A pipe that nobody empties, and one that nobody reads. */
    static char full[4096];
    while (write(pipes[1], full, sizeof full) > 0)
        ;
    assert_int_equal(fcntl(pipes[1], F_SETFL, 0), 0);
    assert_int_equal(said(pipes[1], pipes[1], pipes[0], 3, line, sizeof line), sizeof line);
    assert_int_equal(line[0], '\0');
    close(pipes[0]);
    assert_int_equal(said(pipes[1], pipes[1], reader, 3, line, sizeof line), 0); /* no SIGPIPE */
    close(pipes[1]);
    close(sockets[0]);
    close(sockets[1]);
    close(file);
    close(reader);
    close(appending);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_terminal_obeys_is_not_shown),
        cmocka_unit_test(quotes_are_short),
        cmocka_unit_test(numbers),
        cmocka_unit_test(the_line_goes_where_it_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
