/* auditor.c: an auditor (rtld-audit(7)) that looks at every binding and at every call between
 * libraries, and allocates while it does. It says on file descriptor 3 how many bindings there
 * were.
 */
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Atomic unsigned bound;

/* Any thread of the program. */
static void allocate(const char *name)
{
    char *volatile copy = strdup(name);
    free(copy);
}

unsigned la_version(unsigned version)
{
    return version < LAV_CURRENT ? version : LAV_CURRENT;
}

unsigned la_objopen(struct link_map *map, Lmid_t id, uintptr_t *cookie)
{
    (void)map, (void)id, (void)cookie;
    return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}

uintptr_t la_symbind64(Elf64_Sym *symbol, unsigned index, uintptr_t *from, uintptr_t *to,
                       unsigned *flags, const char *name)
{
    (void)index, (void)from, (void)to, (void)flags;
    bound++;
    allocate(name);
    return symbol->st_value;
}

#ifdef __x86_64__
Elf64_Addr la_x86_64_gnu_pltenter(Elf64_Sym *symbol, unsigned index, uintptr_t *from, uintptr_t *to,
                                  La_x86_64_regs *registers, unsigned *flags, const char *name,
                                  long *frame)
{
    (void)index, (void)from, (void)to, (void)registers, (void)flags, (void)frame;
    allocate(name);
    return symbol->st_value;
}
#endif

__attribute__((destructor)) static void stop(void)
{
    dprintf(3, "%u\n", bound);
}
