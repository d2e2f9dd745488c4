/* alloc_shadow.h: what the allocator under test must be like: the blocks that are live, by slot and
 * by address, and what the recorder was told of. Everything here ends the program where a block is
 * not what it must be: of the right size and alignment, apart from all others, with the contents
 * that were written to it.
 */
#ifndef TIDEMARK_TESTS_FUZZ_ALLOC_SHADOW_H
#define TIDEMARK_TESTS_FUZZ_ALLOC_SHADOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHADOW_SLOTS = 1024 };

/* A block as it was handed out last. */
struct shadow_block {
    unsigned char *block; /* NULL: the slot is free */
    size_t size;          /* requested */
    size_t usable;
    unsigned char fill;
};
extern struct shadow_block shadow_slots[SHADOW_SLOTS];
extern size_t shadow_live_bytes; /* usable, of all */

/* A block was handed out for the slot. Fills it all. */
void shadow_take(unsigned slot, void *block, size_t size, size_t alignment);
/* Its contents and usable size are what they were. */
void shadow_check(unsigned slot);
/* `kept` bytes at block are what the slot's block had. */
void shadow_check_moved(unsigned slot, const void *block, size_t kept);
/* The slot's block is about to be freed, or was moved. */
void shadow_drop(unsigned slot);
void shadow_check_zero(const void *block, size_t size);

/* The allocator's census counts what is live here, and meets nothing that contradicts itself. */
void shadow_check_census(void);

/* The recorder: sets the hooks; every counted record must be told to be over once, for the block
 * and size that it was made for. */
void shadow_record_start(void);
extern unsigned long shadow_told; /* blocks that it was told of, since start */
/* All blocks are free. lost: some memory was refused, so cells of blocks may have got lost. */
void shadow_record_end(bool lost);

#endif
