/* plugin.h: what the plug-ins of the torture program have in common: one function, plugin_work. */
#ifndef TIDEMARK_TESTS_TORTURE_PLUGIN_H
#define TIDEMARK_TESTS_TORTURE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#define PLUGIN_FILL 0x5a

#ifdef __cplusplus
extern "C" {
#endif

struct plugin_result {
    const char *wrong; /* what the plug-in found wrong; NULL: nothing */
    unsigned thrown;   /* exceptions that it threw */
    void *block;       /* that the program frees; NULL: none */
    size_t bytes;      /* of it, each PLUGIN_FILL */
};

typedef void plugin_work_fn(uint32_t number, struct plugin_result *result);
plugin_work_fn plugin_work;

#ifdef __cplusplus
}
#endif

#endif
