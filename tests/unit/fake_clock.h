/* fake_clock.h: a clock that the test moves by hand. Linking fake_clock.c replaces clock_gettime()
 * of the C library for the whole program, so that what the allocator does "within a second" or
 * "after a second" is tested without waiting, and comes out the same on a machine that is busy. */
#ifndef TIDEMARK_TESTS_FAKE_CLOCK_H
#define TIDEMARK_TESTS_FAKE_CLOCK_H

#include <stdint.h>

/* Lets so many milliseconds pass. */
void fake_clock_pass(uint64_t milliseconds);

#endif
