/* ring.c: blocks of the heap are registered with io_uring, which keeps hold of their pages, not of
 * their addresses: while they live, what the kernel reads into them must be what the program sees,
 * whatever is freed and given back around them. Once unregistered and freed, they are memory like
 * any other.
 */
#include "churn.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

enum { BUFFERS = 64, BESIDE = 40, ROUNDS = 2 };

/* From 100 bytes to 300 KiB: in pools, in runs of pages, in spans. */
static size_t size_of(int i)
{
    static const size_t sizes[] = {100, 1000, 4096, 5000, 20000, 70000, 300000, 16};
    return sizes[i % 8];
}

/* The kernel may read less than it was asked for, or be interrupted. */
static void read_all(struct io_uring *ring, int file, struct iovec buffer, int index)
{
    for (size_t at = 0; at < buffer.iov_len;) {
        struct io_uring_sqe *entry = io_uring_get_sqe(ring);
        io_uring_prep_read_fixed(entry, file, (char *)buffer.iov_base + at,
                                 (unsigned)(buffer.iov_len - at), 0, index);
        struct io_uring_cqe *done;
        assert(io_uring_submit(ring) == 1);
        int waited = io_uring_wait_cqe(ring, &done);
        while (waited == -EINTR)
            waited = io_uring_wait_cqe(ring, &done);
        assert(waited == 0 && (done->res > 0 || done->res == -EINTR || done->res == -EAGAIN));
        at += done->res > 0 ? (size_t)done->res : 0;
        io_uring_cqe_seen(ring, done);
    }
}

static void turn(struct io_uring *ring, int zero)
{
    struct iovec buffers[BUFFERS];
    static void *beside[BUFFERS][BESIDE];
    for (int i = 0; i < BUFFERS; i++) {
        buffers[i] = (struct iovec){malloc(size_of(i)), size_of(i)};
        for (int j = 0; j < BESIDE; j++)
            beside[i][j] = malloc(size_of(i));
        memset(buffers[i].iov_base, 0xee, size_of(i));
    }
    assert(io_uring_register_buffers(ring, buffers, BUFFERS) == 0);
    for (int i = 0; i < BUFFERS; i++)
        for (int j = 0; j < BESIDE; j++)
            free(beside[i][j]);
    malloc_trim(0);
    churn_all(5000);
    for (int i = 0; i < BUFFERS; i++) {
        read_all(ring, zero, buffers[i], i);
        const unsigned char *bytes = buffers[i].iov_base;
        for (size_t at = 0; at < size_of(i); at++)
            assert(bytes[at] == 0);
    }
    assert(io_uring_unregister_buffers(ring) == 0);
    for (int i = 0; i < BUFFERS; i++)
        free(buffers[i].iov_base);
    churn_all(5000);
}

int main(void)
{
    struct io_uring ring;
    int failed = io_uring_queue_init(8, &ring, 0);
    if (failed != 0) {
        printf("no io_uring here: %s\n", strerror(-failed));
        return 77;
    }
    int zero = open("/dev/zero", O_RDONLY);
    assert(zero >= 0);
    for (int round = 0; round < ROUNDS; round++)
        turn(&ring, zero);
    io_uring_queue_exit(&ring);
    puts("ok");
    return 0;
}
