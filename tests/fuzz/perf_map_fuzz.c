/* perf_map_fuzz.c: fuzz target: the input is a perf map, which any process may have written for the
 * command to read. */
#include "profiler/report/symbols_perf_map.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tm_perf_map map;
    struct tm_names names = {0};
    int file = fuzz_file((struct fuzz_part){data, size});
    fuzz_promise(tm_perf_map_read(file, &map), "there is memory");
    for (size_t i = 0; i < map.lines.count && i < 1000; i++) {
        const struct tm_range *range = &map.lines.items[i];
        fuzz_promise(range->low < range->high, "a range has addresses");
        fuzz_promise(i == 0 || map.lines.items[i - 1].high <= range->low, "ranges are in order");
        const char *source;
        const char *name = tm_perf_map_at(&map, range->low, &names, &source);
        fuzz_promise(name != NULL, "what has a range has a name");
        fuzz_promise(strchr(name, '\n') == NULL, "a name is within its line");
        tm_perf_map_at(&map, range->high, &names, &source);
        fuzz_reached();
    }
    tm_perf_map_free(&map);
    tm_names_free(&names);
    close(file);
    return 0;
}
