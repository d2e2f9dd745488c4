/* module.h: which library or program an address lies in, asked without a lock. glibc tells
 * since 2.35; where libc does not, nobody knows.
 */
#ifndef TIDEMARK_RECORD_MODULE_H
#define TIDEMARK_RECORD_MODULE_H

#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>

struct tm_module {
    uintptr_t base;
    const char *path; /* "": the program */
};

static inline bool tm_module_of(uintptr_t code, struct tm_module *out)
{
#ifdef __GLIBC__
    struct dl_find_object object;
    if (_dl_find_object((void *)code, &object) != 0)
        return false;
    out->base = object.dlfo_link_map->l_addr;
    out->path = object.dlfo_link_map->l_name;
    return true;
#else
    (void)code, (void)out;
    return false;
#endif
}

#endif
