/* hooks.h: what the allocator calls outside itself. The recorder sets these once, at start, before
 * there is a second thread; NULL means nobody listens. They are called on slow paths only, not
 * under the arena lock, and must neither allocate nor block.
 */
#ifndef TIDEMARK_ALLOCATOR_HOOKS_H
#define TIDEMARK_ALLOCATOR_HOOKS_H

#include <stdatomic.h>

/* Called whenever pages went into or out of use (a pool, a span or a mapping was taken or given
 * back). */
typedef void tm_hook_tick_fn(void);
extern _Atomic(tm_hook_tick_fn *) tm_hook_tick;

#endif
