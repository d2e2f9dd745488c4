/* test_out.c: the pattern made a path, and the file's frame: sections and checksum as zlib sees
 * them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "profiler/format/snapshot.h"
#include "profiler/record/out.h"
#include "profiler/record/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static void expansion(void **state)
{
    char path[TM_PATH_BYTES], expected[TM_PATH_BYTES], directory[512];
    char pattern[TM_OUT_BYTES];
    (void)state;
    assert_int_equal(tm_out_expand(path, "/a/%e.%p.%n%%.heap", 42, 7, "prog"), 0);
    assert_string_equal(path, "/a/prog.42.7%.heap");
    assert_int_equal(tm_out_expand(path, "b/%n", 42, 18446744073709551615U, "prog"), 0);
    assert_non_null(getcwd(directory, sizeof directory));
    snprintf(expected, sizeof expected, "%s/b/18446744073709551615", directory);
    assert_string_equal(path, expected);
    memset(pattern, 0, sizeof pattern);
    for (size_t i = 0; i + 2 < sizeof pattern; i += 2)
        pattern[i] = '%', pattern[i + 1] = 'e';
    pattern[0] = '/';
    pattern[1] = 'x';
    assert_int_equal(tm_out_expand(path, pattern, 1, 1, "twelve-bytes"), ENAMETOOLONG);
    assert_true(strlen(path) < sizeof path);
}

/* Somebody else makes a file of the final name while the snapshot is written. */
static void never_over_another(void **state)
{
    char directory[] = "/tmp/tidemark-test-XXXXXX";
    char theirs[600], ours[600], text[16] = {0};
    static struct tm_record_settings settings;
    static struct tm_outcome outcome;
    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(settings.out, sizeof settings.out, "%s/%%p.%%n", directory);
    snprintf(theirs, sizeof theirs, "%s/42.1", directory);
    snprintf(ours, sizeof ours, "%s/42.2", directory);
    struct tm_job job = {
        .settings = &settings, .pid = 42, .number = 1, .outcome = &outcome, .told = &outcome};
    int fd = tm_out_open(&job, "prog");
    assert_true(fd >= 0);
    assert_string_equal(outcome.path, theirs);
    assert_int_equal(write(fd, "ours", 4), 4);
    int other = open(theirs, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_int_equal(write(other, "theirs", 6), 6);
    close(other);
    assert_int_equal(tm_out_commit(&job, "prog", fd), 0);
    assert_string_equal(outcome.path, ours);
    assert_int_equal(outcome.number, 2);
    other = open(theirs, O_RDONLY);
    assert_int_equal(read(other, text, sizeof text - 1), 6);
    assert_string_equal(text, "theirs");
    close(other);
    assert_int_equal(unlink(theirs), 0);
    assert_int_equal(unlink(ours), 0);
    assert_int_equal(rmdir(directory), 0); /* the temporary name is gone */
}

static void frame(void **state)
{
    static unsigned char data[400000], big[200001];
    struct tm_snapshot_section section;
    struct tm_snapshot_end end;
    FILE *file = tmpfile();
    (void)state;
    assert_non_null(file);
    memset(big, 0xa5, sizeof big);
    tm_writer_start(fileno(file), 2);
    tm_writer_section(TM_TAG_EXE, 1, "/bin/x", 6);
    tm_writer_section(TM_TAG_MAPS, 88, NULL, 0);
    tm_writer_section(TM_TAG_STATUS, 1, big, sizeof big);
    assert_int_equal(tm_writer_finish(), 0);
    rewind(file);
    size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    assert_int_equal(size, 24 + (16 + 8) + 16 + (16 + 200008) + (16 + 8));
    memcpy(&section, data + 24, sizeof section);
    assert_int_equal(section.bytes, 6);
    assert_memory_equal(data + 40, "/bin/x\0\0", 8);
    memcpy(&end, data + size - 8, sizeof end);
    assert_int_equal(end.sections, 3);
    assert_int_equal(end.crc, crc32(0, data, (uInt)(size - 24)));
}

static void first_error_counts(void **state)
{
    int full = open("/dev/full", O_WRONLY);
    (void)state;
    if (full < 0)
        skip();
    tm_writer_start(full, 0);
    tm_writer_section(TM_TAG_EXE, 1, "/bin/x", 6);
    assert_int_equal(tm_writer_finish(), ENOSPC);
    close(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expansion),
        cmocka_unit_test(never_over_another),
        cmocka_unit_test(frame),
        cmocka_unit_test(first_error_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
