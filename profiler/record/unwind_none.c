/* unwind_none.c: unwind.h where there is no way to find the module that an address lies in without
 * a lock of the loader's (glibc has _dl_find_object, musl has not): nothing is unwound, and of each
 * stack the caller of malloc alone is known.
 */
#include "profiler/record/unwind.h"

#include <errno.h>

int tm_unwind_load(bool alone)
{
    (void)alone;
    return -ENOSYS;
}

bool tm_unwind_ready(void)
{
    return false;
}

void tm_unwind_begin(const struct tm_caller *caller, const struct tm_stack *stack)
{
    (void)caller, (void)stack;
}

bool tm_unwind_step(uintptr_t *ip, uintptr_t *behind, bool *exact)
{
    (void)ip, (void)behind, (void)exact;
    return false;
}

void tm_unwind_unloading(void) {}

void tm_unwind_unloaded(void) {}
