/* driver.c: main() for a fuzz target where no fuzzer is linked: every file of a corpus, and then a
 * fixed number of inputs that are made from them with a fixed seed, so that a run is the same each
 * time and under every compiler.
 *
 *     TARGET [--runs N] [--seed N] [--least PERCENT] [FILE | DIRECTORY]...
 *
 * --least: so many of the inputs that are made must come past the target's first check. With
 * --runs, an input is kept in the file TARGET.input in the working directory while it runs: after a
 * crash it is found there, and `TARGET TARGET.input` runs it again.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LONGEST = 256 * 1024, PATH = 4096 };

struct seed {
    uint8_t *bytes;
    size_t size;
    bool reaches; /* it comes past the target's first check */
};

static struct {
    struct seed *items;
    size_t count, room;
} corpus;

static uint64_t state = 1;
static char kept_path[PATH];
static int kept_file = -1;
static unsigned long reached; /* inputs that came past the first check */

/* splitmix64 */
static uint64_t next(void)
{
    state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t below(size_t limit)
{
    return limit == 0 ? 0 : (size_t)(next() % limit);
}

static _Noreturn void stop(const char *path, const char *why)
{
    fprintf(stderr, "fuzz: '%s': %s\n", path, why);
    exit(2);
}

/* ---- corpus ---- */

static void add_file(const char *path)
{
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) != 0)
        stop(path, strerror(errno));
    if (corpus.count == corpus.room) {
        corpus.room = corpus.room ? corpus.room * 2 : 64;
        corpus.items = realloc(corpus.items, corpus.room * sizeof *corpus.items);
    }
    struct seed seed = {malloc((size_t)status.st_size + 1), (size_t)status.st_size, false};
    if (!corpus.items || !seed.bytes)
        stop(path, strerror(ENOMEM));
    if (read(file, seed.bytes, seed.size) != (ssize_t)seed.size)
        stop(path, "cannot be read whole");
    close(file);
    corpus.items[corpus.count++] = seed;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void add(const char *path)
{
    struct stat status;
    struct dirent **names;
    if (stat(path, &status) != 0)
        stop(path, strerror(errno));
    if (!S_ISDIR(status.st_mode)) {
        add_file(path);
        return;
    }
    /* In the order of their names, so that every run is the same. */
    int count = scandir(path, &names, is_visible, alphasort);
    if (count < 0)
        stop(path, strerror(errno));
    for (int i = 0; i < count; i++) {
        char inner[PATH];
        snprintf(inner, sizeof inner, "%s/%s", path, names[i]->d_name);
        add_file(inner);
        free(names[i]);
    }
    free((void *)names);
}

/* ---- one run ---- */

static void keep(const uint8_t *bytes, size_t size)
{
    if (kept_path[0] == '\0')
        return;
    if (kept_file < 0 || ftruncate(kept_file, 0) != 0 ||
        pwrite(kept_file, bytes, size, 0) != (ssize_t)size)
        stop(kept_path, strerror(errno));
}

/* In memory of its own of exactly that size, so that a sanitizer sees a read past its end. */
static bool run(const uint8_t *bytes, size_t size)
{
    static uint8_t nothing;
    uint8_t *copy = size > 0 ? malloc(size) : &nothing;
    if (!copy)
        stop("input", strerror(ENOMEM));
    memcpy(copy, bytes, size);
    keep(bytes, size);
    unsigned long before = fuzz_reached_count;
    LLVMFuzzerTestOneInput(copy, size);
    if (size > 0)
        free(copy);
    bool reaches = fuzz_reached_count > before;
    reached += reaches;
    return reaches;
}

/* ---- making inputs ---- */

/* Values at which arithmetic on sizes and addresses breaks. */
static const uint64_t edges[] = {
    0,
    1,
    7,
    0x7f,
    0x80,
    0xff,
    0xffff,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    4096,
    0x40000,
    0x10000000,
    UINT64_MAX,
    UINT64_MAX - 4095,
    UINT64_C(1) << 57,
    (UINT64_C(1) << 57) - 1,
    UINT64_C(1) << 63,
};

static void set_field(uint8_t *bytes, size_t size)
{
    static const size_t widths[] = {1, 2, 4, 8};
    size_t width = widths[below(4)];
    size_t at = below(size);
    uint64_t dice = next();
    uint64_t value = dice & 1 ? edges[below(sizeof edges / sizeof edges[0])] : next();
    if (dice & 2)
        at -= at % 8; /* where fields start */
    if (at + width > size)
        return;
    if (dice & 4) { /* a near value instead of a far one */
        memcpy(&value, bytes + at, width);
        value += (dice >> 32) % 9 - 4;
    }
    memcpy(bytes + at, &value, width);
}

/* Moves a stretch, from the input itself or from another one, to somewhere else. */
static size_t insert(uint8_t *bytes, size_t size, const uint8_t *from, size_t from_size)
{
    size_t length = 1 + below(below(4) == 0 ? from_size : 64);
    size_t start = below(from_size);
    if (length > from_size - start)
        length = from_size - start;
    if (length > LONGEST - size)
        length = LONGEST - size;
    size_t at = below(size + 1);
    uint8_t *piece = malloc(length + 1);
    if (!piece)
        stop("input", strerror(ENOMEM));
    memcpy(piece, from + start, length);
    memmove(bytes + at + length, bytes + at, size - at);
    memcpy(bytes + at, piece, length);
    free(piece);
    return size + length;
}

static size_t cut(uint8_t *bytes, size_t size)
{
    size_t at = below(size);
    size_t length = 1 + below(below(4) == 0 ? size - at : 32);
    if (length > size - at)
        length = size - at;
    memmove(bytes + at, bytes + at + length, size - at - length);
    return size - length;
}

static void change_in_place(uint8_t *bytes, size_t size)
{
    switch (below(5)) {
    case 0:
        bytes[below(size)] ^= (uint8_t)(1 << below(8));
        break;
    case 1:
        bytes[below(size)] = (uint8_t)next();
        break;
    default:
        set_field(bytes, size);
    }
}

static size_t change_length(uint8_t *bytes, size_t size)
{
    const struct seed *other = &corpus.items[below(corpus.count)];
    switch (below(4)) {
    case 0:
        return cut(bytes, size);
    case 1:
        return below(4) == 0 ? below(size) : size;
    case 2:
        return insert(bytes, size, bytes, size);
    default:
        return other->size > 0 ? insert(bytes, size, other->bytes, other->size) : size;
    }
}

/* One of the corpus, mostly one that reaches something. */
static const struct seed *choose(void)
{
    size_t first = below(corpus.count);
    bool any = below(8) == 0;
    for (size_t i = 0; i < corpus.count; i++) {
        const struct seed *seed = &corpus.items[(first + i) % corpus.count];
        if (any || seed->reaches)
            return seed;
    }
    return &corpus.items[first];
}

static void run_changed(uint8_t *room)
{
    const struct seed *seed = choose();
    size_t size = seed->size < LONGEST ? seed->size : LONGEST;
    memcpy(room, seed->bytes, size);
    /* Formats with lengths in them are refused when something is moved: half of all stay whole. */
    bool moves = below(2) == 0;
    for (size_t times = 1 + below(5); times > 0 && size > 0; times--)
        if (moves && below(2) == 0)
            size = change_length(room, size);
        else
            change_in_place(room, size);
    run(room, size);
}

/* ---- */

static unsigned long number(const char *option, const char *text)
{
    char *end;
    unsigned long value = text ? strtoul(text, &end, 0) : 0;
    if (!text || end == text || *end != '\0')
        stop(option, "needs a number");
    return value;
}

int main(int argc, char **argv)
{
    unsigned long runs = 0;
    unsigned long least = 0;
    const char *name = strrchr(argv[0], '/');
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--runs") == 0)
            runs = number("--runs", argv[++i]);
        else if (strcmp(argv[i], "--seed") == 0)
            state = number("--seed", argv[++i]);
        else if (strcmp(argv[i], "--least") == 0)
            least = number("--least", argv[++i]);
        else
            add(argv[i]);
    }
    if (runs > 0) {
        snprintf(kept_path, sizeof kept_path, "%s.input", name ? name + 1 : argv[0]);
        kept_file = open(kept_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        printf("a crash leaves its input in '%s'\n", kept_path);
    }
    printf("%zu files, then %lu inputs made from them with seed %llu\n", corpus.count, runs,
           (unsigned long long)state);
    fflush(stdout);
    if (corpus.count == 0)
        stop("corpus", "is empty: name its directory");
    for (size_t i = 0; i < corpus.count; i++)
        corpus.items[i].reaches = run(corpus.items[i].bytes, corpus.items[i].size);
    unsigned long of_corpus = reached;
    uint8_t *room = malloc(LONGEST);
    for (unsigned long i = 0; room && i < runs; i++)
        run_changed(room);
    free(room);
    for (size_t i = 0; i < corpus.count; i++)
        free(corpus.items[i].bytes);
    printf("%lu of %zu files and %lu of the %lu other inputs came past the first check\n",
           of_corpus, corpus.count, reached - of_corpus, runs);
    free(corpus.items);
    if (runs > 0)
        unlink(kept_path);
    if ((reached - of_corpus) * 100 >= runs * least)
        return 0;
    fprintf(stderr, "fuzz: that is less than %lu %%: the target tests hardly anything\n", least);
    return 1;
}
