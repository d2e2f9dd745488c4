/* system.h: what a model may say of the system that its allocator finds (system.c). */
#ifndef TIDEMARK_TESTS_MODEL_SYSTEM_H
#define TIDEMARK_TESTS_MODEL_SYSTEM_H

#include <stdbool.h>

/* The kernel has membarrier(2). True, if the scenario's setup does not change it. */
extern bool system_has_membarrier;

#endif
