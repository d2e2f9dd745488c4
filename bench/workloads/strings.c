/* strings.c: structures of many tiny blocks that are built, searched and dropped, as by a compiler,
 * an interpreter or a logic minimiser: a hash map from text to text, a search tree of words, and
 * lists that are made from each other. Nodes have 16 to 48 bytes, texts 5 to 32; all is reached
 * through pointers, so where an allocator places what is allocated together is seen as well.
 */
#include "bench.h"

enum { WORDS = 3000, FIRST_BUCKETS = 16, LONGEST = 32 };

static uint64_t rounds = 450;
static uint64_t threads = 1;

/* --- Texts ---------------------------------------------------------------------------------- */

struct word {
    char text[LONGEST];
    uint32_t size; /* with the 0 at its end */
};

/* The number's text: the same each time, another one for any other number. */
static struct word word_of(uint32_t number)
{
    uint64_t hash = (number + 1) * 0x9e3779b97f4a7c15u;
    uint32_t length = 4 + (uint32_t)(hash >> 56) % (LONGEST - 4);
    struct word word = {.size = length + 1};
    memcpy(word.text, &number, sizeof number);
    for (uint32_t i = 0; i < sizeof number; i++)
        word.text[i] = (char)('!' + (number >> 6 * i & 63));
    for (uint32_t i = sizeof number; i < length; i++)
        word.text[i] = (char)('a' + (hash >> i & 15));
    return word;
}

/* Each thread's round: how many blocks it has taken and given back. */
struct account {
    uint64_t taken, given;
};

static void *take(struct account *account, size_t size)
{
    void *block = malloc(size);
    if (!block)
        bench_out_of_memory("malloc", size);
    account->taken++;
    return block;
}

static void give(struct account *account, void *block)
{
    account->given++;
    free(block);
}

static char *copied(struct account *account, uint32_t number)
{
    struct word word = word_of(number);
    return memcpy(take(account, word.size), word.text, word.size);
}

static void compare(const char *text, uint32_t number, const char *where)
{
    struct word word = word_of(number);
    if (strcmp(text, word.text) != 0)
        bench_fail("the %s has \"%.40s\" where \"%s\" was stored", where, text, word.text);
}

/* --- Hash map ------------------------------------------------------------------------------- */

struct entry {
    struct entry *next;
    char *key, *value;
    uint64_t hash;
};

struct map {
    struct entry **buckets;
    uint32_t size, count; /* size is a power of two */
};

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

static struct entry **find(struct map *map, const char *key)
{
    uint64_t hash = hash_of(key);
    struct entry **link = &map->buckets[hash & (map->size - 1)];
    while (*link && ((*link)->hash != hash || strcmp((*link)->key, key) != 0))
        link = &(*link)->next;
    return link;
}

static void resize(struct account *account, struct map *map, uint32_t size)
{
    struct entry **buckets = take(account, size * sizeof(struct entry *));
    memset(buckets, 0, size * sizeof(struct entry *));
    for (uint32_t i = 0; i < map->size; i++) {
        for (struct entry *entry = map->buckets[i], *next; entry; entry = next) {
            struct entry **bucket = &buckets[entry->hash & (size - 1)];
            next = entry->next;
            entry->next = *bucket;
            *bucket = entry;
        }
    }
    if (map->buckets)
        give(account, map->buckets);
    map->buckets = buckets;
    map->size = size;
}

static void put(struct account *account, struct map *map, uint32_t number, uint32_t value)
{
    char *key = copied(account, number);
    struct entry **link = find(map, key);
    if (*link) {
        give(account, key);
        give(account, (*link)->value);
        (*link)->value = copied(account, value);
        return;
    }
    struct entry *entry = take(account, sizeof *entry);
    *entry = (struct entry){.key = key, .value = copied(account, value), .hash = hash_of(key)};
    *link = entry;
    if (++map->count > map->size)
        resize(account, map, map->size * 2);
}

static void remove_key(struct account *account, struct map *map, uint32_t number, uint32_t value)
{
    struct word word = word_of(number);
    struct entry **link = find(map, word.text);
    struct entry *entry = *link;
    if (!entry)
        bench_fail("the map has lost \"%s\"", word.text);
    compare(entry->value, value, "map");
    *link = entry->next;
    map->count--;
    give(account, entry->key);
    give(account, entry->value);
    give(account, entry);
}

static void use_map(struct bench_thread *thread, struct account *account)
{
    struct map map = {0};
    uint32_t base = bench_below(&thread->random, 1 << 20);
    resize(account, &map, FIRST_BUCKETS);
    for (uint32_t i = 0; i < WORDS; i++)
        put(account, &map, base + i, i);
    for (uint32_t i = 0; i < WORDS; i += 2)
        put(account, &map, base + i, i + 1);
    for (uint32_t i = 0; i < WORDS; i += 2)
        remove_key(account, &map, base + i, i + 1);
    for (uint32_t i = 1; i < WORDS; i += 2)
        remove_key(account, &map, base + i, i);
    give(account, map.buckets);
}

/* --- Search tree ---------------------------------------------------------------------------- */

struct node {
    struct node *left, *right;
    char *text;
    uint32_t number, uses;
};

static void count_word(struct account *account, struct node **tree, uint32_t number)
{
    struct word word = word_of(number);
    struct node **link = tree;
    while (*link) {
        int order = strcmp(word.text, (*link)->text);
        if (order == 0)
            break;
        link = order < 0 ? &(*link)->left : &(*link)->right;
    }
    if (!*link) {
        *link = take(account, sizeof **link);
        **link = (struct node){.text = copied(account, number), .number = number};
    }
    (*link)->uses++;
}

/* Turns left children up until there is none, and drops the root, over and over. */
static uint32_t drop_tree(struct account *account, struct node *tree)
{
    uint32_t uses = 0;
    while (tree) {
        struct node *left = tree->left;
        if (left) {
            tree->left = left->right;
            left->right = tree;
            tree = left;
        } else {
            struct node *right = tree->right;
            compare(tree->text, tree->number, "tree");
            uses += tree->uses;
            give(account, tree->text);
            give(account, tree);
            tree = right;
        }
    }
    return uses;
}

static void use_tree(struct bench_thread *thread, struct account *account)
{
    struct node *tree = NULL;
    for (uint32_t i = 0; i < WORDS; i++)
        count_word(account, &tree, bench_below(&thread->random, WORDS));
    uint32_t uses = drop_tree(account, tree);
    if (uses != WORDS)
        bench_fail("the tree counted %u words of %u", uses, (unsigned)WORDS);
}

/* --- Lists ---------------------------------------------------------------------------------- */

struct item {
    struct item *next;
    char *text;
    uint32_t number;
};

static struct item *pushed(struct account *account, struct item *list, uint32_t number)
{
    struct item *item = take(account, sizeof *item);
    *item = (struct item){.next = list, .text = copied(account, number), .number = number};
    return item;
}

static void drop_list(struct account *account, struct item *list)
{
    for (struct item *next; list; list = next) {
        next = list->next;
        compare(list->text, list->number, "list");
        give(account, list->text);
        give(account, list);
    }
}

/* A list of all words, then lists of some of them, each made from the one before. */
static void use_lists(struct bench_thread *thread, struct account *account)
{
    struct item *list = NULL;
    for (uint32_t i = 0; i < WORDS; i++)
        list = pushed(account, list, bench_below(&thread->random, 1 << 24));
    while (list) {
        struct item *some = NULL;
        for (const struct item *item = list; item; item = item->next) {
            if (bench_below(&thread->random, 2) == 0)
                some = pushed(account, some, item->number);
        }
        drop_list(account, list);
        list = some;
    }
}

static void work(struct bench_thread *thread)
{
    uint64_t count = bench_share(thread, rounds);
    for (uint64_t round = 0; round < count; round++) {
        struct account account = {0};
        use_map(thread, &account);
        use_tree(thread, &account);
        use_lists(thread, &account);
        if (account.taken != account.given)
            bench_fail("%zu blocks were allocated, but %zu freed", (size_t)account.taken,
                       (size_t)account.given);
        thread->operations += account.taken;
    }
}

int main(int argc, char **argv)
{
    const struct bench_option options[] = {
        {.name = "rounds",
         .help = "each builds and drops a map, a tree and some lists of 3000 words",
         .number = &rounds,
         .least = 1,
         .most = UINT32_MAX},
        {.name = "threads",
         .help = "threads that share the rounds",
         .number = &threads,
         .least = 1,
         .most = BENCH_MOST_THREADS},
        {0}};
    bench_start(argc, argv, "Maps, trees and lists of short texts, built and dropped.", options);
    rounds = bench_scaled(rounds);
    struct bench_run run = bench_threads(threads, work, NULL);
    return bench_finish(run.operations, run.seconds);
}
