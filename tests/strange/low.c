/* low.c: a program that needs addresses below 2 GiB for its code (MAP_32BIT), and one fixed place
 * in the middle of nowhere, after the heap has grown. It must find them where it finds them without
 * the library, and what it does there must not be taken for the heap.
 */
#include "churn.h"

#include <malloc.h>
#include <stdio.h>
#include <sys/mman.h>

enum { CODE = 1 << 20, BLOCKS = 3000 };

int main(void)
{
    enum { CALL = PROT_READ | PROT_WRITE | PROT_EXEC, KIND = MAP_PRIVATE | MAP_ANONYMOUS };
    static void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        assert((blocks[i] = malloc(100000)) != NULL);
    int low = 0;
#ifdef __x86_64__
    for (; low < 700; low++) {
        unsigned char *code = mmap(NULL, CODE, CALL, KIND | MAP_32BIT, -1, 0);
        if (code == MAP_FAILED)
            break;
        static const unsigned char mov_42_eax_ret[] = {0xb8, 42, 0, 0, 0, 0xc3};
        memcpy(code, mov_42_eax_ret, sizeof mov_42_eax_ret);
        assert(((int (*)(void))(uintptr_t)code)() == 42);
        assert((uintptr_t)code + CODE <= UINT64_C(1) << 31);
    }
    assert(low == 700);
#endif
    /* Where Go's heap lies, where Java's compressed pointers start, and the lowest page allowed. */
    static const uintptr_t places[] = {0xc000000000, 0x7ff800000000 >> 2, 0x800000000};
    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
        char *place = mmap((void *)places[i], 64 << 20, CALL, KIND | MAP_FIXED_NOREPLACE, -1, 0);
        assert(place == (char *)places[i]);
        place[0] = 1;
    }
    churn_all(20000);
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    puts("ok");
    return 0;
}
