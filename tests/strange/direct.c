/* direct.c: files are written and read past the page cache (O_DIRECT), by the device's own access
 * to blocks of the heap, while blocks around them are freed and their pages go back.
 *
 * usage: direct DIRECTORY
 */
#include "churn.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

enum { SECTOR = 4096, FILES = 24, ROUNDS = 6 };

static void *churn_beside(void *unused)
{
    churn_all(20000);
    return unused;
}

int main(int argc, char **argv)
{
    assert(argc == 2);
    char path[4096];
    snprintf(path, sizeof path, "%s/strange_direct.%d", argv[1], (int)getpid());
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_DIRECT, 0600);
    if (file < 0) {
        printf("no O_DIRECT in %s: %s\n", argv[1], strerror(errno));
        return 77;
    }
    unlink(path);
    pthread_t beside;
    assert(pthread_create(&beside, NULL, churn_beside, NULL) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < FILES; i++) {
            size_t size = (size_t)(i % 8 + 1) * SECTOR;
            unsigned char *written, *read_back, *around[16];
            for (int j = 0; j < 16; j++)
                around[j] = aligned_alloc(SECTOR, size);
            assert(posix_memalign((void **)&written, SECTOR, size) == 0);
            read_back = memalign(SECTOR, size);
            memset(written, i + round, size);
            memset(read_back, 0xff, size);
            for (int j = 0; j < 16; j++)
                free(around[j]);
            malloc_trim(0);
            if (pwrite(file, written, size, (off_t)i * 8 * SECTOR) != (ssize_t)size) {
                printf("no O_DIRECT in %s: %s\n", argv[1], strerror(errno));
                return 77;
            }
            free(written);
            malloc_trim(0);
            assert(pread(file, read_back, size, (off_t)i * 8 * SECTOR) == (ssize_t)size);
            for (size_t at = 0; at < size; at++)
                assert(read_back[at] == (unsigned char)(i + round));
            free(read_back);
        }
    }
    pthread_join(beside, NULL);
    close(file);
    puts("ok");
    return 0;
}
