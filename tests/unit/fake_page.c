/* fake_page.c: a kernel whose page has FAKE_PAGE bytes, as far as the allocator asks. The kernel
 * that is there takes any multiple of its own page, so what the allocator gives back is to be
 * looked at by the test.
 */
#include <sys/auxv.h>

unsigned long getauxval(unsigned long type)
{
    return type == AT_PAGESZ ? FAKE_PAGE : 0;
}
