/* names_fuzz.c: fuzz target: the input is the name of a symbol, as a hostile library may have it;
 * it is demangled.
 */
#include "profiler/report/symbols_names.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tm_names names = {0};
    char *name = fuzz_string(data, size);
    const char *meaning = tm_names_function(&names, name);
    fuzz_promise(meaning != NULL && strlen(meaning) < TM_NAME_LIMIT, "a meaning is bounded");
    if (strncmp(meaning, name, strlen(meaning)) != 0)
        fuzz_reached();
    tm_names_free(&names);
    free(name);
    return 0;
}
