/* libc.h: comes before each source that a model runs: libc's functions that write memory are called
 * under names of the model's, which sees what they write, and the clock stands still.
 */
#ifndef TIDEMARK_TESTS_MODEL_LIBC_H
#define TIDEMARK_TESTS_MODEL_LIBC_H

#include <stddef.h>
#include <string.h>
#include <time.h>

void *model_memset(void *to, int byte, size_t bytes);
void *model_memcpy(void *to, const void *from, size_t bytes);
int model_clock_gettime(int clock, struct timespec *now);

#ifdef MODEL_HOOKED
#define memset(to, byte, bytes)   model_memset(to, byte, bytes)
#define memcpy(to, from, bytes)   model_memcpy(to, from, bytes)
#define memmove(to, from, bytes)  model_memcpy(to, from, bytes)
#define clock_gettime(clock, now) model_clock_gettime(clock, now)
#endif

#endif
