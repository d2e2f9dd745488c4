/* bucket.h: an index of things by a small number (how full they are): find one in O(1).
 *
 * 64 doubly linked lists and a word that says which are not empty. The things carry a struct
 * tm_link. Whoever owns an index names the lock that guards it.
 */
#ifndef TIDEMARK_BUCKET_H
#define TIDEMARK_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In no list while next is NULL. */
struct tm_link {
    struct tm_link *next, *previous;
};

struct tm_buckets {
    struct tm_link heads[64]; /* circular; a head that was never used is all zero */
    uint64_t filled;          /* bit i: list i is not empty */
};

static inline void tm_list_insert(struct tm_link *head, struct tm_link *link)
{
    if (head->next == NULL)
        head->next = head->previous = head;
    link->next = head->next;
    link->previous = head;
    head->next->previous = link;
    head->next = link;
}

/* At the other end. */
static inline void tm_list_append(struct tm_link *head, struct tm_link *link)
{
    tm_list_insert(head->next == NULL ? head : head->previous, link);
}

static inline void tm_list_remove(struct tm_link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    link->next = link->previous = NULL;
}

static inline bool tm_list_empty(const struct tm_link *head)
{
    return head->next == NULL || head->next == head;
}

static inline void tm_bucket_insert(struct tm_buckets *buckets, unsigned bucket,
                                    struct tm_link *link)
{
    tm_list_insert(&buckets->heads[bucket], link);
    buckets->filled |= UINT64_C(1) << bucket;
}

static inline void tm_bucket_remove(struct tm_buckets *buckets, unsigned bucket,
                                    struct tm_link *link)
{
    tm_list_remove(link);
    if (tm_list_empty(&buckets->heads[bucket]))
        buckets->filled &= ~(UINT64_C(1) << bucket);
}

/* The first of the lowest filled bucket among those of `allowed`; NULL if all are empty. */
static inline struct tm_link *tm_bucket_first(const struct tm_buckets *buckets, uint64_t allowed)
{
    uint64_t filled = buckets->filled & allowed;
    return filled == 0 ? NULL : buckets->heads[__builtin_ctzll(filled)].next;
}

#endif
