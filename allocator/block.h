/* block.h: a free block, and the mark that tells it from one that is handed out.
 *
 * The free blocks of a list are linked through their first word. The second word of each is its
 * mark: secret, block and link, all xored. It is written wherever a link is, checked wherever a
 * link is followed, and cleared when the block is handed out. So
 * - a block that is freed while it has its mark is freed twice;
 * - a link that something else has written, through a pointer to the freed block or over the end
 *   of the block before it, is not followed, whatever is written, by anyone who does not know the
 * secret;
 * - a block that came into two lists, however that was, is handed out once: by then it has no mark,
 *   and who finds it in the other list stops the program.
 * Who reads a freed block can compute the secret, though: against him there is check=full.
 * (glibc's tcache has a key in that place and shifts its links, "safe linking"; the sum of both in
 * one word costs less than the two and covers every list. With the link left out of the mark, and
 * held to its slot instead, a free took three instructions less, but the ends of lists, which leave
 * the slot, are not predicted: random churn was 10 % slower, that of 1 KiB 17 %.)
 */
#ifndef TIDEMARK_BLOCK_H
#define TIDEMARK_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocator/layout.h"
#include "allocator/misuse.h"

struct tm_block {
    struct tm_block *next; /* NULL: the last of its list */
    uintptr_t mark;
};

static_assert(sizeof(struct tm_block) <= 16, "the smallest block holds one");

/* Constant from before the first block is linked until the process ends; a forked child keeps it.
 * Not 0 then. */
extern uintptr_t tm_block_secret __attribute__((visibility("hidden")));
/* Draws it, if that is not done. One thread at a time, before it links its first block. */
void tm_block_begin(void);

static inline uintptr_t tm_block_mark(const struct tm_block *block, const struct tm_block *next)
{
    return tm_block_secret ^ (uintptr_t)block ^ (uintptr_t)next;
}

/* Makes it a free block in front of `next`. */
static inline void tm_block_link(struct tm_block *block, struct tm_block *next)
{
    block->next = next;
    block->mark = tm_block_mark(block, next);
}

static inline bool tm_block_is_free(const struct tm_block *block)
{
    return block->mark == tm_block_mark(block, block->next);
}

/* The block behind a free one. Stops the program if it is none. */
static inline struct tm_block *tm_block_next(const struct tm_block *block)
{
    struct tm_block *next = block->next;
    if (tm_unlikely(block->mark != tm_block_mark(block, next)))
        tm_misuse_written(block);
    return next;
}

/* The same; the block is a free one no more. */
static inline struct tm_block *tm_block_take(struct tm_block *block)
{
    struct tm_block *next = tm_block_next(block);
    block->mark = 0;
    return next;
}

#endif
