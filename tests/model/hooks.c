/* hooks.c: the functions that code compiled with -fsanitize=thread calls: see model.h. Their names
 * and signatures are those of the sanitizer's interface in gcc and clang.
 */
#include "tests/model/inner.h"

#include "tests/model/libc.h"

#undef memset
#undef memcpy
#undef memmove

#define PC __builtin_return_address(0)

void __tsan_init(void);
void __tsan_func_entry(void *call);
void __tsan_func_exit(void);
void __tsan_init(void) {}
void __tsan_func_entry(void *call)
{
    (void)call;
}
void __tsan_func_exit(void) {}

/* Each width of access has functions of its own: what differs is a number. */
#define PLAIN(prefix, bytes)                                                                       \
    void __tsan_##prefix##read##bytes(const void *address);                                        \
    void __tsan_##prefix##write##bytes(void *address);                                             \
    void __tsan_##prefix##read##bytes(const void *address)                                         \
    {                                                                                              \
        memory_plain(address, bytes, false, PC);                                                   \
    }                                                                                              \
    void __tsan_##prefix##write##bytes(void *address)                                              \
    {                                                                                              \
        memory_plain(address, bytes, true, PC);                                                    \
    }
PLAIN(, 1)
PLAIN(, 2)
PLAIN(, 4)
PLAIN(, 8)
PLAIN(, 16)
PLAIN(unaligned_, 2)
PLAIN(unaligned_, 4)
PLAIN(unaligned_, 8)
PLAIN(unaligned_, 16)

void __tsan_read_range(const void *address, size_t bytes);
void __tsan_write_range(void *address, size_t bytes);
void __tsan_read_range(const void *address, size_t bytes)
{
    memory_plain(address, bytes, false, PC);
}
void __tsan_write_range(void *address, size_t bytes)
{
    memory_plain(address, bytes, true, PC);
}

#define UPDATE(bits, bytes, name, how)                                                             \
    uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t *address,                  \
                                                uint##bits##_t with, int order);                   \
    uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t *address,                  \
                                                uint##bits##_t with, int order)                    \
    {                                                                                              \
        return (uint##bits##_t)memory_update((void *)address, bytes, how, with, order, PC);        \
    }

#define COMPARE_EXCHANGE(bits, bytes, name)                                                        \
    int __tsan_atomic##bits##_##name(volatile uint##bits##_t *address, uint##bits##_t *expected,   \
                                     uint##bits##_t value, int order, int failed_order);           \
    int __tsan_atomic##bits##_##name(volatile uint##bits##_t *address, uint##bits##_t *expected,   \
                                     uint##bits##_t value, int order, int failed_order)            \
    {                                                                                              \
        uint64_t seen = *expected;                                                                 \
        bool done = memory_compare_exchange((void *)address, bytes, &seen, value, order,           \
                                            failed_order, PC);                                     \
        if (!done)                                                                                 \
            *expected = (uint##bits##_t)seen;                                                      \
        return done;                                                                               \
    }

/* The same for clang, which wants what was there. */
#define COMPARE_EXCHANGE_VAL(bits, bytes)                                                          \
    uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(                                     \
        volatile uint##bits##_t *address, uint##bits##_t expected, uint##bits##_t value,           \
        int order, int failed_order);                                                              \
    uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(                                     \
        volatile uint##bits##_t *address, uint##bits##_t expected, uint##bits##_t value,           \
        int order, int failed_order)                                                               \
    {                                                                                              \
        uint64_t seen = expected;                                                                  \
        memory_compare_exchange((void *)address, bytes, &seen, value, order, failed_order, PC);    \
        return (uint##bits##_t)seen;                                                               \
    }

#define ATOMIC(bits, bytes)                                                                        \
    uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *address, int order);  \
    void __tsan_atomic##bits##_store(volatile uint##bits##_t *address, uint##bits##_t value,       \
                                     int order);                                                   \
    uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *address, int order)   \
    {                                                                                              \
        return (uint##bits##_t)memory_load((const void *)address, bytes, order, PC);               \
    }                                                                                              \
    void __tsan_atomic##bits##_store(volatile uint##bits##_t *address, uint##bits##_t value,       \
                                     int order)                                                    \
    {                                                                                              \
        memory_store((void *)address, bytes, value, order, PC);                                    \
    }                                                                                              \
    UPDATE(bits, bytes, exchange, EXCHANGE)                                                        \
    UPDATE(bits, bytes, fetch_add, ADD)                                                            \
    UPDATE(bits, bytes, fetch_sub, SUB)                                                            \
    UPDATE(bits, bytes, fetch_and, AND)                                                            \
    UPDATE(bits, bytes, fetch_or, OR)                                                              \
    UPDATE(bits, bytes, fetch_xor, XOR)                                                            \
    UPDATE(bits, bytes, fetch_nand, NAND)                                                          \
    COMPARE_EXCHANGE(bits, bytes, compare_exchange_strong)                                         \
    COMPARE_EXCHANGE(bits, bytes, compare_exchange_weak)                                           \
    COMPARE_EXCHANGE_VAL(bits, bytes)

ATOMIC(8, 1)
ATOMIC(16, 2)
ATOMIC(32, 4)
ATOMIC(64, 8)

void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_signal_fence(int order);
void __tsan_atomic_thread_fence(int order)
{
    memory_fence(order);
}
void __tsan_atomic_signal_fence(int order)
{
    (void)order;
}

/* ---- what libc does, which is not compiled here (libc.h) ---- */

void *model_memset(void *to, int byte, size_t bytes)
{
    memory_plain(to, bytes, true, PC);
    return memset(to, byte, bytes);
}

void *model_memcpy(void *to, const void *from, size_t bytes)
{
    memory_plain(from, bytes, false, PC);
    memory_plain(to, bytes, true, PC);
    return memmove(to, from, bytes);
}

/* clang's names for them. */
void *__tsan_memset(void *to, int byte, size_t bytes);
void *__tsan_memcpy(void *to, const void *from, size_t bytes);
void *__tsan_memmove(void *to, const void *from, size_t bytes);
void *__tsan_memset(void *to, int byte, size_t bytes)
{
    return model_memset(to, byte, bytes);
}
void *__tsan_memcpy(void *to, const void *from, size_t bytes)
{
    return model_memcpy(to, from, bytes);
}
void *__tsan_memmove(void *to, const void *from, size_t bytes)
{
    return model_memcpy(to, from, bytes);
}

/* Time stands still. */
int model_clock_gettime(int clock, struct timespec *now)
{
    (void)clock;
    now->tv_sec = 1000;
    now->tv_nsec = 0;
    memory_plain(now, sizeof *now, true, PC);
    return 0;
}
