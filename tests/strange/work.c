/* work.c: does nothing strange; what is done to it is: it is audited, traced, debugged, stopped,
 * its memory locked, its addresses laid out in another way.
 *
 * usage: work TURNS [locked|strict|PLUGIN]
 *   locked   all memory is locked, now and in future
 *   strict   at the end under seccomp's strict mode: only read, write and exit are left
 *   PLUGIN   a library to load and use before
 */
#include "churn.h"

#include <dlfcn.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* For a debugger to stop at. */
void work_is_done(void);

__attribute__((noinline)) void work_is_done(void)
{
    __asm__ volatile("" ::: "memory");
}

static void use_plugin(const char *file)
{
    void *plugin = dlopen(file, RTLD_LAZY);
    assert(plugin != NULL);
    int (*turns)(int) = (int (*)(int))dlsym(plugin, "plugin_turns");
    assert(turns != NULL && turns(1000) == 1000);
    dlclose(plugin);
}

/* What a block was freed for may be handed out again without a question to the kernel. */
static void work_strictly(void)
{
    enum { BLOCKS = 64 };
    void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        assert((blocks[i] = malloc((size_t)i * 16 + 1)) != NULL);
    assert(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
    for (int turn = 0; turn < 1000; turn++) {
        for (int i = 0; i < BLOCKS; i++)
            free(blocks[i]);
        for (int i = 0; i < BLOCKS; i++)
            blocks[i] = malloc((size_t)i * 16 + 1);
    }
    if (write(STDOUT_FILENO, "ok\n", 3) == 3)
        syscall(SYS_exit, 0);
    syscall(SYS_exit, 1);
}

int main(int argc, char **argv)
{
    assert(argc > 1);
    const char *how = argc > 2 ? argv[2] : "";
    if (strcmp(how, "locked") == 0 && mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
        puts("memory cannot be locked here");
        return 77;
    }
    if (strchr(how, '/') != NULL)
        use_plugin(how);
    churn_all(atoi(argv[1]));
    work_is_done();
    if (strcmp(how, "strict") == 0)
        work_strictly();
    puts("ok");
    return 0;
}
