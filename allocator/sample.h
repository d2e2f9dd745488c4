/* sample.h: which allocations are told to the recorder, at no cost to the fast paths. Part of the
 * heap: touched by its thread only.
 *
 * A sample is Poisson by usable bytes: a block of b bytes is one with the probability
 * 1 - exp(-b / rate). Countdowns for each size class and one for spans, each exponential, make the
 * same process as one countdown over all bytes would (superposition), and in blocks of one size
 * such a countdown is a number of blocks. So it is kept where bins are filled: a bin gets no more
 * blocks than are left until the next sample, and that one is handed out by the refill that finds
 * the bin empty. What the refill has beyond stays aside, in `rest`, and is dealt out next.
 *
 * To record every allocation is the same with a countdown that is always over: the bins stay empty,
 * and every malloc finds its block in `rest`.
 *
 * Samples alone cannot attribute free memory: one that pins a page alone would stand for thousands
 * of blocks that do not. So while they are taken some pages are chosen at random, one of each pool
 * that is chosen when it is empty, and every block on such a page is told, whether it is a sample
 * or not: what survives there has a name. A drawn list is dealt in its order, so that a chosen page
 * fills as any other does: the bin gets the blocks before the next one on a chosen page. What a
 * block's recorder is told is in tell.h.
 */
#ifndef TIDEMARK_SAMPLE_H
#define TIDEMARK_SAMPLE_H

#include "allocator/hooks.h"
#include "allocator/sizeclass.h"

struct tm_block;
struct tm_heap;
struct tm_pool;

enum tm_sample_mode { TM_SAMPLE_OFF = 0, TM_SAMPLE_SOME = 1, TM_SAMPLE_ALL = 2 };

/* What a pool's `identity` says. */
enum tm_pool_identity {
    TM_POOL_UNASKED = 0, /* not empty since samples are taken */
    TM_POOL_PASSED = 1,  /* could have been chosen */
    TM_POOL_CHOSEN =
        2, /* this and above: every block that reaches into page identity - 2 is told */
};

struct tm_sampler {
    bool on;                    /* blocks are counted: bins are filled through tm_sample_deal() */
    uint8_t mode;               /* enum tm_sample_mode that the heap follows */
    uint64_t random;            /* state of the generator */
    uint64_t span_until;        /* bytes in spans before the next one is a sample */
    uint32_t until[TM_CLASSES]; /* blocks that the bin may get before the next one is a sample,
                                   without those of `room` in heap.h */
    struct tm_block *rest[TM_CLASSES]; /* behind the bin's blocks, to be counted; of pool
                                          current[class], those of warm classes of any pool */
    uint8_t front[TM_CLASSES]; /* if not 0 rest is so many warm blocks of chosen pages, to be
                                  counted, and behind them what the bin had, which is */
    struct tm_block *due;      /* the block just handed out that is to be told; NULL: it is not */
    unsigned due_why;          /* enum tm_why bits */
    uint32_t near_chosen;      /* blocks in use near the chosen page before some were drawn */
    unsigned in_vain;          /* frees on a page that is told, of blocks that nobody counted */
};

/* Sets what all heaps follow, each from its next slow path on. rate: mean bytes between samples, at
 * least 1. one_in: of so many pools a page of one is chosen, while samples are taken; 0: none. Any
 * thread; async-signal-safe. */
void tm_sample_set(enum tm_sample_mode mode, uint64_t rate, uint32_t one_in);
/* The calling thread's heap follows at once. */
void tm_sample_follow_now(void);
/* The seed of the generators of heaps that begin after this; 0: one that nobody can tell. */
void tm_sample_seed(uint64_t seed);
/* True from the first time on that anything could be recorded. */
extern _Atomic bool tm_sample_ever;

/* Makes the heap follow what is in force. True if that is something else than before. Not in the
 * middle of a refill; the caller empties the bins, whose blocks nobody counted, and then begins the
 * countdowns with tm_sample_draw(). */
bool tm_sample_follow(struct tm_heap *heap);

/* Blocks in use on the pages of a chosen pool in which those start that reach into the chosen one.
 */
uint32_t tm_sample_near_chosen(const struct tm_pool *pool);
/* Begins all countdowns anew: after a change, once the bins are empty. */
void tm_sample_draw(struct tm_heap *heap);

/* Deals a list of blocks of the heap's current pool of the class, whose bin is empty. Returns its
 * first. handed_back: by other threads. */
struct tm_block *tm_sample_deal(struct tm_heap *heap, const struct tm_pool *pool,
                                struct tm_block *list, bool handed_back);
/* The same with what was left aside. */
struct tm_block *tm_sample_deal_rest(struct tm_heap *heap, unsigned size_class);
/* Takes what was left aside, which nobody is going to be dealt. */
struct tm_block *tm_sample_take_rest(struct tm_heap *heap, unsigned size_class);
/* So many blocks come out of the bin that nobody asked for. */
void tm_sample_take_back(struct tm_heap *heap, unsigned size_class, uint32_t count);
/* Blocks of the pool are handed out from here on. While nobody is told of them, its page is no
 * chosen one, nor one that was passed. */
void tm_sample_unask(const struct tm_heap *heap, struct tm_pool *pool);
/* Who gets the block must be told: it is on a chosen page. */
bool tm_sample_is_chosen(const struct tm_pool *pool, const struct tm_block *block);
/* Frees of blocks that start in that page are looked at for good: one may reach into the chosen
 * page, and who gets it next must be told. */
bool tm_sample_always_told(const struct tm_pool *pool, unsigned page);
/* A block of a warm class that is on a chosen page is freed, and is the next to be handed out: what
 * the bin has goes behind it into `rest`. */
void tm_sample_keep_warm(struct tm_heap *heap, unsigned size_class, struct tm_block *block);
/* The heap has a pool of which no block is in use, and is about to hand some out. An empty pool
 * says nothing of who will survive in it, so each time is as good as the first. */
void tm_sample_choose(struct tm_heap *heap, struct tm_pool *pool);
/* A span of so many bytes was taken. */
void tm_sample_span(struct tm_heap *heap, void *span, size_t bytes);

#endif
