/* faults.c: a program serves the page faults of blocks of its heap itself (userfaultfd), as those
 * do that fetch memory on demand. What it freed again is memory like any other.
 */
#include "churn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 64, ROUNDS = 20 };

static int faults;
static _Atomic int served;

/* Each page is filled with a letter, from a block of the heap. */
static void *serve(void *unused)
{
    struct uffd_msg message;
    while (read(faults, &message, sizeof message) == (ssize_t)sizeof message) {
        assert(message.event == UFFD_EVENT_PAGEFAULT);
        char *content = aligned_alloc(PAGE, PAGE);
        memset(content, 'u', PAGE);
        struct uffdio_copy copy = {.dst = message.arg.pagefault.address & ~(uint64_t)(PAGE - 1),
                                   .src = (uintptr_t)content,
                                   .len = PAGE};
        assert(ioctl(faults, UFFDIO_COPY, &copy) == 0 || errno == EEXIST);
        free(content);
        served++;
    }
    return unused;
}

int main(void)
{
    faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    if (faults < 0) {
        printf("no userfaultfd here: %s\n", strerror(errno));
        return 77;
    }
    struct uffdio_api api = {.api = UFFD_API};
    assert(ioctl(faults, UFFDIO_API, &api) == 0);
    pthread_t server;
    assert(pthread_create(&server, NULL, serve, NULL) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        size_t bytes = (size_t)(round % 2 ? PAGES : PAGES * 40) * PAGE;
        char *block = aligned_alloc(PAGE, bytes);
        assert(block != NULL && madvise(block, bytes, MADV_DONTNEED) == 0);
        struct uffdio_register range = {.range = {(uintptr_t)block, bytes},
                                        .mode = UFFDIO_REGISTER_MODE_MISSING};
        assert(ioctl(faults, UFFDIO_REGISTER, &range) == 0);
        for (size_t page = 0; page < PAGES; page++)
            assert(block[page * PAGE + 7] == 'u');
        assert(ioctl(faults, UFFDIO_UNREGISTER, &range.range) == 0);
        free(block);
        churn_all(2000);
    }
    assert(served >= ROUNDS * PAGES);
    puts("ok");
    return 0;
}
