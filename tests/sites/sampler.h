/* sampler.h: the allocator's sampler alone, with hooks that only count, and a test that knows every
 * block that it takes through here: by site, what was taken and is live, what the hooks make of it,
 * and what theory says of the difference. One thread at a time.
 */
#ifndef TIDEMARK_TESTS_SITES_SAMPLER_H
#define TIDEMARK_TESTS_SITES_SAMPLER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "allocator/sample.h"
#include "allocator/tidemark_alloc.h"

enum { SITES = 6 };
/* What chance exceeds once in 150,000 times. */
#define SIGMAS 4.5

/* Installs the hooks; once. */
void sampler_install(void);
/* Forgets all figures and takes samples, one in so many bytes, and of so many pools one has a page
 * that is chosen (0: none). */
void sampler_begin(double mean_bytes, uint32_t one_in);

/* Blocks of a site, the number of which, from 1, is written into the first word. */
void *take(unsigned site, size_t size);
void give(unsigned site, void *block);
/* realloc(): a block of a pool that stays where it is stays the same block to the recorder, any
 * other is another one. */
void *regrow(unsigned site, void *block, size_t size);
/* The site that the cell of a block names, from 1; 0: none. */
uint64_t site_in_cell(uint64_t cell);

/* What is live now counts for the round. */
void end_round(void);
/* After all was given back. */
void check_nothing_live(void);
/* The figures of all rounds: the estimates are right in the mean and spread as they should. within:
 * what the bound of the mean may be at most, as a part of the truth. within_live: 0: so few are
 * live at the end of a round that nothing can be said of them. */
void check(double within, double within_live);

/* Blocks of several sizes of one site. */
enum { BATCH = 3000 };
struct batch {
    unsigned site;
    void *blocks[BATCH];
};
void *take_batch(void *batch);
/* Frees a batch while it takes the next one behind it. */
void *give_and_take(void *batches);
/* Does that on a thread of its own, to its end. */
void in_thread(void *(*body)(void *), struct batch *batch);

/* The same numbers in each run. */
unsigned dice(unsigned below);

#endif
