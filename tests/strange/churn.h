/* churn.h: threads that allocate, check, resize and free blocks of all sizes: what a program does
 * besides whatever is strange about it.
 */
#ifndef TIDEMARK_TESTS_STRANGE_CHURN_H
#define TIDEMARK_TESTS_STRANGE_CHURN_H

#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CHURN_SLOTS = 2000, CHURN_THREADS = 3 };

struct churn {
    unsigned char *block[CHURN_SLOTS];
    size_t size[CHURN_SLOTS];
    unsigned char fill[CHURN_SLOTS];
    uint64_t state;
    int turns;
};

static inline uint64_t churn_random(struct churn *churn)
{
    churn->state ^= churn->state << 13;
    churn->state ^= churn->state >> 7;
    churn->state ^= churn->state << 17;
    return churn->state;
}

static inline void churn_end(struct churn *churn, unsigned slot)
{
    unsigned char *block = churn->block[slot];
    if (block == NULL)
        return;
    for (size_t at = 0; at < churn->size[slot]; at += 61)
        assert(block[at] == churn->fill[slot]);
    free(block);
    churn->block[slot] = NULL;
}

static inline void churn_begin(struct churn *churn, unsigned slot)
{
    uint64_t random = churn_random(churn);
    size_t size = random % 50 == 0 ? random % 400000 : random % 600;
    unsigned char *block = random & 1 ? calloc(1, size) : malloc(size);
    assert(block != NULL);
    for (size_t at = 0; random & 1 && at < size; at++)
        assert(block[at] == 0);
    churn->fill[slot] = (unsigned char)random;
    churn->size[slot] = size;
    churn->block[slot] = block;
    memset(block, churn->fill[slot], size);
}

static inline void *churn_run(void *argument)
{
    struct churn *churn = argument;
    for (int i = 0; i < churn->turns; i++) {
        /* Now and then nearly everything goes, so that pages go back. */
        if (i % 5000 == 4999)
            for (unsigned slot = 0; slot < CHURN_SLOTS; slot++)
                if (slot % 32 != 0)
                    churn_end(churn, slot);
        unsigned slot = (unsigned)(churn_random(churn) % CHURN_SLOTS);
        churn_end(churn, slot);
        churn_begin(churn, slot);
    }
    for (unsigned slot = 0; slot < CHURN_SLOTS; slot++)
        churn_end(churn, slot);
    return NULL;
}

/* Each thread takes that many turns. */
static inline void churn_all(int turns)
{
    static struct churn churns[CHURN_THREADS];
    pthread_t threads[CHURN_THREADS];
    for (int i = 0; i < CHURN_THREADS; i++) {
        churns[i].state = 88172645463325252U + (uint64_t)i;
        churns[i].turns = turns;
        assert(pthread_create(&threads[i], NULL, churn_run, &churns[i]) == 0);
    }
    for (int i = 0; i < CHURN_THREADS; i++)
        pthread_join(threads[i], NULL);
}

#endif
