/* private_free_lists.c: memory freed in one size that another size cannot use. A program has many
 * small sessions, ends all but a few, and then its buffers grow. The sessions' memory is free, but
 * every stretch of it is shorter than a buffer (for an allocator that splits and joins) or belongs
 * to the sessions' size class (for one that has classes), so both are resident at once.
 */
#include "phase.h"

enum { SESSION = 64, BUFFER = 32 * 1024, STEPS = 20 };

struct settings {
    size_t sessions, buffers, stride;
    double pace; /* seconds that each phase is spread over */
    double idle; /* seconds at the end */
};

static void *filled(size_t size)
{
    void *block = malloc(size);
    if (!block) {
        fputs("private-free-lists: out of memory; ask for less with --mib\n", stderr);
        exit(1);
    }
    memset(block, 0x5a, size);
    return block;
}

static void grow(void **blocks, size_t count, size_t size, double pace)
{
    for (size_t i = 0; i < count; i++) {
        blocks[i] = filled(size);
        if (i % (count / STEPS + 1) == 0)
            phase_wait(pace / STEPS);
    }
}

/* One session in `stride` goes on; the others end. */
static void end_most(void **sessions, const struct settings *settings)
{
    for (size_t i = 0; i < settings->sessions; i++) {
        if (i % settings->stride == 0)
            continue;
        free(sessions[i]);
        sessions[i] = NULL;
        if (i % (settings->sessions / STEPS + 1) == 0)
            phase_wait(settings->pace / STEPS);
    }
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"mib", "stride", "pace", "idle", NULL};
    phase_check(argc, argv, names,
                "[--mib N (of sessions, then of buffers)] [--stride N (one session in N stays)] "
                "[--pace SECONDS (of each phase)] [--idle SECONDS (at the end)]");
    double mib = phase_option(argc, argv, "mib", 160);
    double stride = phase_option(argc, argv, "stride", 400);
    struct settings settings = {
        .sessions = (size_t)(mib * 1024 * 1024 / SESSION) + 1,
        .buffers = (size_t)(mib * 1024 * 1024 / BUFFER) + 1,
        .stride = stride < 1 ? 1 : (size_t)stride,
        .pace = phase_option(argc, argv, "pace", 1.5),
        .idle = phase_option(argc, argv, "idle", 4),
    };
    double start = phase_seconds();
    void **sessions = calloc(settings.sessions, sizeof *sessions);
    void **buffers = calloc(settings.buffers, sizeof *buffers);
    if (!sessions || !buffers) {
        fputs("private-free-lists: out of memory; ask for less with --mib\n", stderr);
        free(sessions);
        free(buffers);
        return 1;
    }
    phase_tell(start, "start");
    grow(sessions, settings.sessions, SESSION, settings.pace);
    phase_tell(start, "all sessions open");
    end_most(sessions, &settings);
    phase_tell(start, "most sessions ended");
    grow(buffers, settings.buffers, BUFFER, settings.pace);
    phase_tell(start, "buffers have grown");
    phase_wait(settings.idle);
    phase_tell(start, "after idling");
    /* Stopped as it is, not wound down, so that freeing all at the end is no part of the picture.
     */
    return 0;
}
