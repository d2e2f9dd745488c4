/* blocks.h: what the models of the allocator share: blocks that are handed out, the pools that they
 * lie in, and that all of it is there at the end.
 */
#ifndef TIDEMARK_TESTS_MODEL_BLOCKS_H
#define TIDEMARK_TESTS_MODEL_BLOCKS_H

#include <stddef.h>

enum { PLACES = 256 };

/* Asks for a block and puts it into a place of the scenario's; frees that of a place, whoever took
 * it. Both fail if it overlaps another that is live. A place that is empty is nothing to free. */
void take_block(int place, size_t size);
void free_block_of(int place);
/* Of places from `first` on. */
void take_blocks(int first, int count, size_t size);
void free_blocks(int first, int count);
/* All blocks but these are gone: no pool is left that has none. For `check`. */
void all_came_back(void);
/* What counts by threads and decides nothing here is no place to switch at. */
void no_points_at_counters(void);

#endif
