/* plugin.c: a library whose constructor and destructor allocate, take the program's mutex, and call
 * back into the program, all under the loader's lock. The program has the functions; it is linked
 * with -rdynamic.
 */
#include <stdlib.h>

void plugin_comes(void);
void plugin_goes(void);
void *plugin_work(size_t size);

__attribute__((constructor)) static void come(void)
{
    plugin_comes();
}

__attribute__((destructor)) static void go(void)
{
    plugin_goes();
}

__attribute__((noinline)) void *plugin_work(size_t size)
{
    void *block = malloc(size);
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}
