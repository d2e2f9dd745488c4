/* wrappers.c: see wrappers.h. Names are compared without return type, parameters and versions
 * (demangled templates have all of them): "void std::vector<int>::reserve(unsigned long)" is
 * "std::vector<int>::reserve".
 */
#include "profiler/report/wrappers.h"

#include <stddef.h>
#include <string.h>

/* Whole names. */
static const char *const names[] = {
    /* C, and what of libc returns a block */
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "memalign",
    "aligned_alloc",
    "posix_memalign",
    "valloc",
    "pvalloc",
    "strdup",
    "strndup",
    "__strdup",
    "__strndup",
    "wcsdup",
    "getline",
    "getdelim",
    "__getdelim",
    "_IO_getdelim",
    "asprintf",
    "vasprintf",
    "__asprintf",
    "__vasprintf",
    "open_memstream",
    "realpath",
    /* what many C programs call the same */
    "xmalloc",
    "xcalloc",
    "xrealloc",
    "xstrdup",
    "xstrndup",
    "xmemdup",
    "xzalloc",
    /* redis and its relatives */
    "zmalloc",
    "zcalloc",
    "zrealloc",
    "ztrymalloc",
    "ztrycalloc",
    "ztryrealloc",
    "zmalloc_usable",
    "zcalloc_usable",
    "zrealloc_usable",
    "ztrymalloc_usable",
    "ztrycalloc_usable",
    "ztryrealloc_usable",
    "ztrymalloc_usable_internal",
    "ztrycalloc_usable_internal",
    "ztryrealloc_usable_internal",
    "zcalloc_num",
    "zstrdup",
    /* GLib */
    "g_malloc",
    "g_malloc0",
    "g_malloc_n",
    "g_malloc0_n",
    "g_try_malloc",
    "g_try_malloc0",
    "g_try_malloc_n",
    "g_try_malloc0_n",
    "g_realloc",
    "g_realloc_n",
    "g_try_realloc",
    "g_try_realloc_n",
    "g_slice_alloc",
    "g_slice_alloc0",
    "g_strdup",
    "g_strndup",
    "g_memdup",
    "g_memdup2",
    /* OpenSSL, SQLite, APR, nginx, libuv, Lua */
    "CRYPTO_malloc",
    "CRYPTO_zalloc",
    "CRYPTO_realloc",
    "CRYPTO_clear_realloc",
    "CRYPTO_strdup",
    "CRYPTO_strndup",
    "CRYPTO_memdup",
    "sqlite3MemMalloc",
    "sqlite3MemRealloc",
    "mallocWithAlarm",
    "sqlite3Malloc",
    "sqlite3_malloc",
    "sqlite3_malloc64",
    "sqlite3MallocZero",
    "sqlite3Realloc",
    "sqlite3_realloc",
    "sqlite3_realloc64",
    "sqlite3DbMallocRaw",
    "sqlite3DbMallocRawNN",
    "sqlite3DbMallocZero",
    "sqlite3DbRealloc",
    "dbMallocRawFinish",
    "ngx_alloc",
    "ngx_calloc",
    "ngx_memalign",
    "uv__malloc",
    "uv__calloc",
    "uv__realloc",
    "l_alloc",
    "luaM_malloc_",
    "luaM_realloc_",
    "luaM_saferealloc_",
    "luaM_growaux_",
    /* CPython: its allocators, and what makes an object of any type through them */
    "PyObject_Malloc",
    "PyObject_Calloc",
    "PyObject_Realloc",
    "_PyObject_Malloc",
    "_PyObject_Calloc",
    "_PyObject_Realloc",
    "_PyObject_New",
    "_PyObject_NewVar",
    "_PyObject_GC_Alloc",
    "_PyObject_GC_Malloc",
    "_PyObject_GC_Calloc",
    "_PyObject_GC_New",
    "_PyObject_GC_NewVar",
    "_PyObject_GC_Resize",
    "PyType_GenericAlloc",
    "_PyType_AllocNoTrack",
    "gc_alloc",
    "PyDataMem_NEW",
    "PyDataMem_UserNEW",
    /* Rust */
    "__rust_alloc",
    "__rust_alloc_zeroed",
    "__rust_realloc",
    "__rdl_alloc",
    "__rdl_alloc_zeroed",
    "__rdl_realloc",
    "__rg_alloc",
};

/* Names that start like this, namespaces above all: the standard libraries of C++ and Rust allocate
 * for whoever calls them. */
static const char *const prefixes[] = {
    "operator new", "std::",  "__gnu_cxx::", "boost::container::", "alloc::", "<alloc::",
    "hashbrown::",  "PyMem_", "_PyMem_",
};

/* Where the name proper starts and how long it is. */
static const char *bare_name(const char *function, size_t *length)
{
    const char *start = function;
    size_t depth = 0;
    size_t i = 0;
    for (; function[i]; i++) {
        const char *at = function + i;
        if (strncmp(at, "operator", 8) == 0) {
            /* Its signs are no brackets. "operator new" has a space that ends nothing. */
            i += 8;
            i += strspn(function + i, "<>=()[]-+*/%^&|~!, ");
            i--;
        } else if (strncmp(at, "(anonymous namespace)", 21) == 0) {
            i += 20;
        } else if (*at == '<') {
            depth++;
        } else if (*at == '>') {
            depth -= depth > 0;
        } else if (depth == 0 && *at == ' ') {
            start = at + 1;
        } else if (depth == 0 && (*at == '(' || *at == '@')) {
            break;
        }
    }
    *length = (size_t)(function + i - start);
    return start;
}

bool tm_is_wrapper(const char *function)
{
    size_t length;
    if (!function)
        return false;
    const char *name = bare_name(function, &length);
    if (strncmp(name, "__GI_", 5) == 0) { /* what glibc calls its own functions inside */
        name += 5;
        length -= 5;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0)
            return true;
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}
