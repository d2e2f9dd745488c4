/* test_symbols.c: the parts of the symbols that need no file with debug information: ranges against
 * a plain search, mangled names, and perf maps with anything in them. */
#include "tests/report/cmocka_all.h"

#include "profiler/report/symbols_names.h"
#include "profiler/report/symbols_perf_map.h"
#include "profiler/report/symbols_ranges.h"
#include "tests/report/snapshot_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint32_t search(const struct tm_range *ranges, size_t count, uint64_t address)
{
    uint32_t found = TM_NO_RANGE;
    uint64_t rank = 0;
    for (size_t i = 0; i < count; i++)
        if (address >= ranges[i].low && address < ranges[i].high && ranges[i].rank >= rank) {
            found = ranges[i].value;
            rank = ranges[i].rank;
        }
    return found;
}

/* Few addresses, so that ranges touch, nest and coincide in every way. */
static void test_ranges_against_search(void **state)
{
    uint64_t dice = 1;
    for (int round = 0; round < 300; round++) {
        struct tm_range all[40];
        struct tm_ranges ranges = {.items = NULL};
        size_t count = fixture_next(&dice) % 40;
        for (size_t i = 0; i < count; i++) {
            uint64_t low = fixture_next(&dice) % 60;
            all[i] =
                (struct tm_range){low, low + fixture_next(&dice) % 30, i * 7919 % 40, (uint32_t)i};
            assert_true(tm_ranges_add(&ranges, all[i]));
        }
        assert_true(tm_ranges_flatten(&ranges));
        for (uint64_t address = 0; address < 100; address++)
            assert_int_equal(tm_ranges_find(&ranges, address), search(all, count, address));
        for (size_t i = 1; i < ranges.count; i++)
            assert_true(ranges.items[i - 1].high <= ranges.items[i].low);
        tm_ranges_free(&ranges);
    }
}

static void test_range_up_to_the_last_address(void **state)
{
    struct tm_ranges ranges = {.items = NULL};
    assert_true(tm_ranges_add(&ranges, (struct tm_range){UINT64_MAX - 5, UINT64_MAX, 0, 3}));
    assert_true(tm_ranges_add(&ranges, (struct tm_range){9, 9, 0, 4}));
    assert_true(tm_ranges_flatten(&ranges));
    assert_int_equal(tm_ranges_find(&ranges, UINT64_MAX - 1), 3);
    assert_int_equal(tm_ranges_find(&ranges, 9), TM_NO_RANGE);
    tm_ranges_free(&ranges);
}

/* Rust's names: the legacy mangling is C++'s with a hash behind it, the v0 mangling is RFC 2603. */
static void test_functions(void **state)
{
    static const struct {
        const char *name, *function;
    } table[] = {
        {"malloc", "malloc"},
        {"_start", "_start"},
        {"memcpy@@GLIBC_2.14", "memcpy"},
        {"@odd", "@odd"},
        {"", ""},
        {"_Z", "_Z"},
        {"_Z3addii", "add(int, int)"},
        {"_ZN4shop6Basket3addEi", "shop::Basket::add(int)"},
        {"_ZN4shop6BasketC2Ev", "shop::Basket::Basket()"},
        {"_ZN4shop6BasketC4Ev", "shop::Basket::Basket()"},
        {"_ZNKSt6vectorIiSaIiEE4sizeEv", "std::vector<int, std::allocator<int> >::size() const"},
        {"_ZN12_GLOBAL__N_14readEv", "(anonymous namespace)::read()"},
        {"_Z3addii.cold", "add(int, int) [clone .cold]"},
        {"_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt"},
        {"_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE.llvm.1234567890",
         "core::fmt::Write::write_fmt"},
        {"_ZN66_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..ops..drop..Drop$GT$4drop17h"
         "0123456789abcdefE",
         "<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop"},
        {"_RNvCs15kBYyAo9fc_7mycrate7example", "mycrate::example"},
        {"_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar"},
        {"_RINvNtC3std3mem8align_ofdE", "std::mem::align_of::<f64>"},
        {"_RNvMs_NtC7mycrate3mapNtB4_3Map6insert", "<mycrate::map::Map>::insert"},
    };
    struct tm_names names = {.chunks = NULL};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_string_equal(tm_names_function(&names, table[i].name), table[i].function);
    tm_names_free(&names);
}

/* The name of f(A<int, int>, A<A<int, int>, A<int, int> >, …), which doubles with each parameter.
 */
static void test_name_that_explodes(void **state)
{
    char mangled[1000] = "_Z1f1AIiiES_IS0_S0_E";
    for (int i = 1; i < 30; i++) {
        char digit = (char)(i < 10 ? '0' + i : 'A' + i - 10);
        char more[32];
        snprintf(more, sizeof more, "S_IS%c_S%c_E", digit, digit);
        strcat(mangled, more);
    }
    struct tm_names names = {.chunks = NULL};
    const char *function = tm_names_function(&names, mangled);
    assert_int_equal(strlen(function), TM_NAME_LIMIT - 1);
    assert_memory_equal(function, "f(A<int, int>, A<A<int, int>, A<int, int> >", 43);
    assert_string_equal(function + TM_NAME_LIMIT - 4, "...");
    tm_names_free(&names);
}

/* What nests deepest for the demanglers must not exhaust the stack: as much of it as they take may
 * be taken on top of what the command uses. */
static void test_names_that_nest(void **state)
{
    static const struct {
        const char *start, *fill, *end;
    } table[] = {{"_Z1f", "P", "i"},       {"_Z1f", "1AI", ""},    {"_Z1fI", "X", "E"},
                 {"_Z1f", "F", "i"},       {"_Z1fIXad", "nt", ""}, {"_RNv", "Nt", "C1a1b"},
                 {"_RINvC1a1b", "P", "E"}, {"_Z1f", "DpT_", ""},   {"_Z1fIXcv", "cv", "E"}};
    struct tm_names names = {.chunks = NULL};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char *name = calloc(1, 100000);
        strcat(name, table[i].start);
        for (char *at = name + strlen(name); at < name + 4090 - strlen(table[i].end) - 4;
             at += strlen(table[i].fill))
            memcpy(at, table[i].fill, strlen(table[i].fill));
        strcat(name, table[i].end);
        assert_non_null(tm_names_function(&names, name));
        memset(name, 'a', 99999); /* far too long, and no mangled name */
        const char *kept = tm_names_function(&names, name);
        assert_int_equal(strlen(kept), TM_NAME_LIMIT - 1);
        assert_string_equal(kept + TM_NAME_LIMIT - 4, "...");
        free(name);
    }
    tm_names_free(&names);
}

static void test_long_names_of_templates(void **state)
{
    char mangled[2200] = "_Z1fIJ";
    for (int i = 0; i < 500; i++)
        strcat(mangled, "3Foo");
    strcat(mangled, "EEvv");
    struct tm_names names = {.chunks = NULL};
    assert_memory_equal(tm_names_function(&names, mangled), "void f<Foo, Foo, Foo", 20);
    tm_names_free(&names);
}

static void test_notes(void **state)
{
    struct tm_names names = {.chunks = NULL};
    for (int i = 0; i < 100; i++)
        tm_names_note(&names, "note %d", i);
    assert_int_equal(names.note_count, 100);
    assert_string_equal(names.notes[99], "note 99");
    tm_names_free(&names);
}

static bool read_map(const char *text, size_t length, struct tm_perf_map *map)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fflush(file), 0);
    bool read = tm_perf_map_read(fileno(file), map);
    fclose(file);
    return read;
}

static void test_perf_map_lines(void **state)
{
    static const char text[] = "\n"
                               "100 10 first\n"
                               "zz 10 no number\n"
                               "200 10\n"
                               "300  10\tsecond with blanks\n"
                               "fffffffffffffff0 20 beyond the end\n"
                               "11112222333344445 1 number too long\n"
                               "400 0 empty\n"
                               "108 4 later\n"
                               "500 10 py::f:\n"
                               "510 10 py:::x\n"
                               "520 10 py::f:g:h\n"
                               "600 10 last";
    static const struct {
        uint64_t address;
        const char *function, *source;
    } table[] = {{0x100, "first", NULL},  {0x107, "first", NULL},
                 {0x108, "later", NULL},  {0x10b, "later", NULL},
                 {0x10c, "first", NULL},  {0x110, NULL, NULL},
                 {0x200, NULL, NULL},     {0x300, "second with blanks", NULL},
                 {0x400, NULL, NULL},     {UINT64_MAX - 1, NULL, NULL},
                 {0x500, "py::f:", NULL}, {0x510, "py:::x", NULL},
                 {0x520, "f", "g:h"},     {0x60f, "last", NULL}};
    struct tm_perf_map map;
    struct tm_names names = {.chunks = NULL};
    assert_true(read_map(text, sizeof text - 1, &map));
    assert_false(map.cut);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *source;
        const char *function = tm_perf_map_at(&map, table[i].address, &names, &source);
        if (table[i].function)
            assert_string_equal(function, table[i].function);
        else
            assert_null(function);
        if (table[i].source)
            assert_string_equal(source, table[i].source);
        else
            assert_null(source);
    }
    tm_perf_map_free(&map);
    tm_names_free(&names);
}

static void test_perf_map_of_anything(void **state)
{
    static const char letters[] = "0123456789abcdefx \n\t:py";
    uint64_t dice = 7;
    struct tm_names names = {.chunks = NULL};
    for (int round = 0; round < 200; round++) {
        char text[4000] = "";
        size_t length = fixture_next(&dice) % sizeof text;
        for (size_t i = 0; i < length; i++) {
            uint64_t draw = fixture_next(&dice);
            text[i] = draw % 50 == 0 ? (char)(draw >> 8) : letters[(draw >> 8) % 22];
        }
        struct tm_perf_map map;
        assert_true(read_map(text, length, &map));
        for (size_t i = 0; i < map.lines.count; i++) {
            const char *source;
            assert_non_null(tm_perf_map_at(&map, map.lines.items[i].low, &names, &source));
        }
        tm_perf_map_free(&map);
    }
    tm_names_free(&names);
}

/* Of a file longer than what is read the end counts, since later lines override earlier ones. */
static void test_perf_map_too_long(void **state)
{
    static const char first[] = "100 10 first\n";
    static const char last[] = "100 10 last\n";
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fwrite(first, 1, strlen(first), file), strlen(first));
    assert_int_equal(fseek(file, TM_PERF_MAP_BYTES, SEEK_SET), 0); /* a hole takes no space */
    fputs("\n200 10 behind\n", file);
    fputs(last, file);
    assert_int_equal(fflush(file), 0);
    struct tm_perf_map map;
    struct tm_names names = {.chunks = NULL};
    const char *source;
    assert_true(tm_perf_map_read(fileno(file), &map));
    assert_true(map.cut);
    assert_string_equal(tm_perf_map_at(&map, 0x100, &names, &source), "last");
    assert_string_equal(tm_perf_map_at(&map, 0x20f, &names, &source), "behind");
    tm_perf_map_free(&map);
    assert_int_equal(ftruncate(fileno(file), 0), 0);
    assert_true(tm_perf_map_read(fileno(file), &map));
    assert_null(tm_perf_map_at(&map, 0x100, &names, &source));
    tm_perf_map_free(&map);
    tm_names_free(&names);
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges_against_search),
        cmocka_unit_test(test_range_up_to_the_last_address),
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_name_that_explodes),
        cmocka_unit_test(test_names_that_nest),
        cmocka_unit_test(test_long_names_of_templates),
        cmocka_unit_test(test_notes),
        cmocka_unit_test(test_perf_map_lines),
        cmocka_unit_test(test_perf_map_of_anything),
        cmocka_unit_test(test_perf_map_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
