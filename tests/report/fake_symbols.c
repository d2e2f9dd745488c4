/* fake_symbols.c: symbols.h for tests of the report: a small program that is nowhere but in this
 * table, so that a test knows what each address is called whatever is installed.
 */
#include "profiler/report/symbols.h"

#include <stdlib.h>

enum { MOST_INLINED = 2 };

static const struct {
    uint64_t address;
    struct tm_symbol symbols[MOST_INLINED];
    size_t count;
} places[] = {
    {0x1001, {{"operator new(unsigned long)", NULL, "/usr/lib/libstdc++.so.6", 0, false, 1}}, 1},
    {0x1002,
     {{"void std::vector<int, std::allocator<int> >::_M_realloc_insert<int>(int&&)",
       "/usr/include/c++/vector.tcc", "/usr/bin/service", 440, false, 2}},
     1},
    {0x2001, {{"cache_insert", "/path/to/cache.c", "/usr/bin/service", 120, false, 3}}, 1},
    {0x2002, {{"cache_insert", "/path/to/cache.c", "/usr/bin/service", 130, false, 4}}, 1},
    {0x2003, {{"parse_request", "/path/to/parse.c", "/usr/bin/service", 10, false, 5}}, 1},
    {0x2004, {{"log_line", "/path/to/log.c", "/usr/lib/liblog.so.1", 5, false, 6}}, 1},
    {0x2005,
     {{"std::string::assign(char const*)", "/usr/include/c++/string", "/usr/bin/service", 9, true,
       7},
      {"make_name(int)", "/path/to/name.cc", "/usr/bin/service", 7, false, 7}},
     2},
    {0x2006,
     {{"evil\033[2J\xff\n", "/path/to/\033]0;x\007.c", "/usr/bin/\033[31m", 1, false, 8}},
     1},
    {0x3001, {{"main", "/path/to/main.c", "/usr/bin/service", 3, false, 9}}, 1},
    {0x4001, {{"PyDict_New", NULL, "/usr/bin/python3.12", 0, false, 10}}, 1},
    {0x4002, {{"handler", "/path/to/app.py", "[JIT]", 0, false, 11}}, 1},
};

/* Unknown functions: each address that was asked for has a symbol of its own. */
struct tm_symbols {
    struct unknown {
        struct unknown *next;
        struct tm_symbol symbol;
    } * unknown;
};

struct tm_symbols *tm_symbols_open(const struct tm_snapshot_file *snapshot,
                                   const struct tm_symbols_options *options)
{
    (void)snapshot;
    (void)options;
    return calloc(1, sizeof(struct tm_symbols));
}

void tm_symbols_close(struct tm_symbols *symbols)
{
    while (symbols->unknown) {
        struct unknown *next = symbols->unknown->next;
        free(symbols->unknown);
        symbols->unknown = next;
    }
    free(symbols);
}

const struct tm_symbol *tm_symbols_at(struct tm_symbols *symbols, uint64_t address, bool exact,
                                      size_t *count)
{
    (void)exact;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (places[i].address != address)
            continue;
        *count = places[i].count;
        return places[i].symbols;
    }
    *count = 1;
    for (struct unknown *known = symbols->unknown; known; known = known->next)
        if (known->symbol.offset == address)
            return &known->symbol;
    struct unknown *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        abort();
    *fresh = (struct unknown){symbols->unknown,
                              {.module = "/usr/lib/libstripped.so", .offset = address}};
    symbols->unknown = fresh;
    return &fresh->symbol;
}

const char *tm_symbols_note(struct tm_symbols *symbols, size_t index)
{
    (void)symbols;
    return index == 0 ? "'/usr/lib/libstripped.so' has no symbols; install its debug package."
                      : NULL;
}
