/* test_snapshot_read.c: what the reader takes and what it refuses, and with which words. */
#include "tests/report/cmocka_all.h"

#include "profiler/report/snapshot_read.h"
#include "tests/report/snapshot_fixture.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct tm_snapshot_file file;
static struct tm_snapshot_error error;

static bool parse(const struct fixture *fixture)
{
    return tm_snapshot_parse("F", fixture->bytes, fixture->size, 0, &file, &error);
}

/* The fixture must be refused, with all the words given. Frees it. */
static void assert_refused(struct fixture *fixture, const char *words)
{
    bool taken = parse(fixture);
    if (taken || !strstr(error.text, words))
        print_message("'%s' is not in '%s'\n", words, error.text);
    assert_false(taken);
    assert_non_null(strstr(error.text, words));
    fixture_free(fixture);
}

static void add_process(struct fixture *fixture)
{
    struct tm_snapshot_process process = fixture_process();
    fixture_section(fixture, TM_TAG_PROCESS, sizeof process, &process, sizeof process);
}

static void test_takes_whole_file(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_hand_made(&fixture);
    assert_true(parse(&fixture));
    assert_int_equal(file.process.pid, 4242);
    assert_int_equal(file.map_count, 16);
    assert_int_equal(file.pool_count, 2);
    assert_int_equal(file.page_count, 4);
    assert_int_equal(file.pages[1].live_bytes, 384);
    assert_int_equal(file.span_count, 3);
    assert_int_equal(file.spans[2].kind, TM_CENSUS_SPAN_CACHED);
    assert_string_equal(tm_snapshot_string(&file, file.maps[0].path), "/usr/bin/service");
    assert_int_equal(file.arenas[0].base, 0x10000000); /* sorted */
    assert_int_equal(file.arenas[2].base, 0x10080000);
    uint64_t value = 0;
    assert_true(tm_snapshot_counter_value(&file, "span_bytes", &value));
    assert_int_equal(value, 24576);
    assert_false(tm_snapshot_counter_value(&file, "span_byte", &value));
    bool found;
    struct tm_text text = tm_text_value(file.config, "signal", &found);
    assert_true(found);
    assert_memory_equal(text.bytes, "USR2", 4);
    assert_int_equal(text.length, 4);
    tm_text_value(file.config, "sig", &found);
    assert_false(found);
    tm_snapshot_free(&file);
    fixture_free(&fixture);
}

static void test_truncated_at_every_byte(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_hand_made(&fixture);
    for (size_t size = 0; size < fixture.size; size++) {
        /* A copy of its own, so that a sanitiser sees a read past the end. */
        void *copy = malloc(size + 1);
        assert_non_null(copy);
        memcpy(copy, fixture.bytes, size);
        bool taken = tm_snapshot_parse("F", copy, size, 0, &file, &error);
        assert_false(taken);
        assert_non_null(strstr(error.text, size == 0 ? "empty" : "truncated"));
        free(copy);
    }
    fixture_free(&fixture);
}

static void test_every_bit_flip_is_found(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_hand_made(&fixture);
    for (size_t at = 0; at < fixture.size; at++) {
        fixture.bytes[at] ^= (unsigned char)(1U << at % 8);
        bool taken = parse(&fixture);
        if (taken) /* the record size of END's own header and its padding are all that may differ */
            print_message("byte %zu of %zu\n", at, fixture.size);
        assert_false(taken);
        fixture.bytes[at] ^= (unsigned char)(1U << at % 8);
    }
    fixture_free(&fixture);
}

static void test_foreign_and_newer(void **state)
{
    (void)state;
    struct fixture fixture = {.bytes = NULL};
    fixture_raw(&fixture, "\177ELF\2\1\1 and more of it", 22);
    assert_refused(&fixture, "is not a Tidemark snapshot");
    fixture_start(&fixture, 0);
    fixture.bytes[8] = TM_SNAPSHOT_VERSION + 1;
    add_process(&fixture);
    fixture_end(&fixture);
    assert_refused(&fixture, "has format version 2 and this tidemark");
    fixture_start(&fixture, 0);
    fixture.bytes[8] = 0;
    assert_refused(&fixture, "format version 0");
}

static void test_structure(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture, 0);
    fixture_end(&fixture);
    assert_refused(&fixture, "no section PROC");

    fixture_start(&fixture, 0);
    add_process(&fixture);
    add_process(&fixture);
    fixture_end(&fixture);
    assert_refused(&fixture, "PROC is there twice");

    fixture_start(&fixture, 0);
    add_process(&fixture);
    fixture.sections++;
    fixture_end(&fixture);
    assert_refused(&fixture, "has 1 sections and says that it has 2");

    fixture_start(&fixture, 0);
    add_process(&fixture);
    fixture_end(&fixture);
    fixture_raw(&fixture, "12345678", 8);
    assert_refused(&fixture, "8 bytes follow its last section");

    fixture_start(&fixture, 0);
    add_process(&fixture);
    fixture_section(&fixture, TM_TAG_CLASSES, 0, "", 0);
    fixture_end(&fixture);
    assert_refused(&fixture, "records of 0 bytes");

    fixture_start(&fixture, 0);
    add_process(&fixture);
    fixture_section(&fixture, TM_TAG_CLASSES, 16, "12345678", 8);
    fixture_end(&fixture);
    assert_refused(&fixture, "no multiple of its record");

    struct tm_snapshot_section endless = {TM_TAG_MAPS, 88, UINT64_MAX - 3};
    fixture_start(&fixture, 0);
    add_process(&fixture);
    fixture_raw(&fixture, &endless, sizeof endless);
    fixture_raw(&fixture, "12345678", 8);
    assert_refused(&fixture, "truncated");
}

static void test_record_sizes(void **state)
{
    (void)state;
    struct fixture fixture;
    /* Longer records, as a later version writes them: the known fields are taken, the rest is
     * skipped. */
    struct {
        struct tm_snapshot_class known;
        uint64_t later;
    } classes[2] = {{{64, 16384, 256, 0}, 99}, {{128, 16384, 128, 0}, 98}};
    struct {
        struct tm_snapshot_process known;
        uint64_t later;
    } process = {fixture_process(), 97};
    fixture_start(&fixture, 0);
    fixture_section(&fixture, TM_TAG_PROCESS, sizeof process, &process, sizeof process);
    FIXTURE_ARRAY(&fixture, TM_TAG_CLASSES, classes);
    fixture_section(&fixture, TM_TAG('N', 'E', 'W', '1'), 3, "123456", 6);
    fixture_section(&fixture, TM_TAG('N', 'E', 'W', '1'), 3, "123456", 6);
    fixture_end(&fixture);
    assert_true(parse(&fixture));
    assert_int_equal(file.class_count, 2);
    assert_int_equal(file.classes[1].block_bytes, 128);
    assert_int_equal(file.process.threads, 3);
    tm_snapshot_free(&file);
    fixture_free(&fixture);

    fixture_start(&fixture, 0);
    add_process(&fixture);
    fixture_section(&fixture, TM_TAG_CLASSES, 8, "12345678", 8);
    fixture_end(&fixture);
    assert_refused(&fixture, "records of 8 bytes, less than the 16");
}

/* A file with one class, one record in one section; whether it is refused depends on the record. */
static void start_heap(struct fixture *fixture)
{
    static const struct tm_snapshot_class classes[] = {{64, 16384, 256, 0}};
    static const struct tm_snapshot_page pages[] = {{1, 64}, {0, 0}, {0, 0}, {0, 0}};
    fixture_start(fixture, 0);
    add_process(fixture);
    FIXTURE_ARRAY(fixture, TM_TAG_CLASSES, classes);
    FIXTURE_ARRAY(fixture, TM_TAG_PAGES, pages);
}

static void assert_pool(struct tm_snapshot_pool pool, const char *words)
{
    struct fixture fixture;
    start_heap(&fixture);
    fixture_section(&fixture, TM_TAG_POOLS, sizeof pool, &pool, sizeof pool);
    fixture_end(&fixture);
    if (words) {
        assert_refused(&fixture, words);
        return;
    }
    assert_true(parse(&fixture));
    tm_snapshot_free(&file);
    fixture_free(&fixture);
}

static void test_pool_references(void **state)
{
    (void)state;
    assert_pool((struct tm_snapshot_pool){.base = 0x10000000, .pages = 4}, NULL);
    assert_pool((struct tm_snapshot_pool){.base = 0x10000000, .pages = 4, .size_class = 1},
                "names size class 1 of 1");
    assert_pool((struct tm_snapshot_pool){.base = 0x10000000, .pages = 4, .first_page = 1},
                "names pages 1 to 5 of 4");
    assert_pool(
        (struct tm_snapshot_pool){.base = 0x10000000, .pages = 4, .first_page = TM_NO_PAGES - 1},
        "names pages");
    assert_pool((struct tm_snapshot_pool){.base = 0x10000000, .pages = 0}, "is 0 pages");
    assert_pool((struct tm_snapshot_pool){.base = UINT64_MAX - 4096, .pages = 4}, "is 4 pages at");
}

static void test_other_references(void **state)
{
    (void)state;
    struct fixture fixture;
    struct tm_snapshot_arena arena = {.base = 0x10001000};
    start_heap(&fixture);
    fixture_section(&fixture, TM_TAG_ARENAS, sizeof arena, &arena, sizeof arena);
    fixture_end(&fixture);
    assert_refused(&fixture, "arena 0 is at 0x10001000");

    struct tm_snapshot_span span = {.base = 0x1000, .bytes = UINT64_MAX};
    start_heap(&fixture);
    fixture_section(&fixture, TM_TAG_SPANS, sizeof span, &span, sizeof span);
    fixture_end(&fixture);
    assert_refused(&fixture, "span 0 is");

    struct tm_snapshot_metadata metadata = {.base = 0x1000, .bytes = UINT64_MAX};
    start_heap(&fixture);
    fixture_section(&fixture, TM_TAG_METADATA, sizeof metadata, &metadata, sizeof metadata);
    fixture_end(&fixture);
    assert_refused(&fixture, "metadata 0 is");

    struct tm_snapshot_map map = {.start = 0x1000, .end = 0x2000, .path = 3};
    start_heap(&fixture);
    fixture_section(&fixture, TM_TAG_STRINGS, 1, "\0a", 3);
    fixture_section(&fixture, TM_TAG_MAPS, sizeof map, &map, sizeof map);
    fixture_end(&fixture);
    assert_refused(&fixture, "names string 3 of 3 bytes");

    start_heap(&fixture);
    fixture_section(&fixture, TM_TAG_STRINGS, 1, "ab", 2);
    fixture_end(&fixture);
    assert_refused(&fixture, "strings do not end");

    map = (struct tm_snapshot_map){.start = 0x2000, .end = 0x1000};
    start_heap(&fixture);
    fixture_section(&fixture, TM_TAG_MAPS, sizeof map, &map, sizeof map);
    fixture_end(&fixture);
    assert_refused(&fixture, "mapping 0 is 0x2000-0x1000");

    struct tm_snapshot_process process = fixture_process();
    process.mask_page_bytes = 16384;
    fixture_start(&fixture, 0);
    fixture_section(&fixture, TM_TAG_PROCESS, sizeof process, &process, sizeof process);
    fixture_end(&fixture);
    assert_refused(&fixture, "pages of 16384");
}

static void test_files(void **state)
{
    (void)state;
    char directory[] = "/tmp/tidemark-test-XXXXXX";
    assert_non_null(mkdtemp(directory));
    char path[64];
    snprintf(path, sizeof path, "%s/s.heap", directory);
    assert_false(tm_snapshot_load(path, &file, &error));
    assert_non_null(strstr(error.text, "does not exist"));
    assert_false(tm_snapshot_load(directory, &file, &error));
    assert_non_null(strstr(error.text, "is a directory"));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(tm_snapshot_load(path, &file, &error));
    assert_non_null(strstr(error.text, "not a regular file"));
    unlink(path);
    struct fixture fixture;
    fixture_hand_made(&fixture);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(fixture.bytes, 1, fixture.size, out), fixture.size);
    fclose(out);
    assert_true(tm_snapshot_load(path, &file, &error));
    assert_int_equal(file.file_bytes, fixture.size);
    tm_snapshot_free(&file);
    if (geteuid() != 0) {
        chmod(path, 0);
        assert_false(tm_snapshot_load(path, &file, &error));
        assert_non_null(strstr(error.text, "may not be read"));
    }
    unlink(path);
    rmdir(directory);
    fixture_free(&fixture);
    assert_false(tm_snapshot_load("/nowhere/\033[2Jx", &file, &error));
    assert_null(strchr(error.text, '\033'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_whole_file),
        cmocka_unit_test(test_truncated_at_every_byte),
        cmocka_unit_test(test_every_bit_flip_is_found),
        cmocka_unit_test(test_foreign_and_newer),
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_record_sizes),
        cmocka_unit_test(test_pool_references),
        cmocka_unit_test(test_other_references),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
