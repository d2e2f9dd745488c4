/* symbols_program.cc: the program that symbols_test.py looks at. It prints addresses as "NAME HEX",
 * return addresses as "NAME >HEX", and waits for its standard input to end. The test finds lines by
 * their comments.
 */
#include <cstdio>
#include <unistd.h>

extern "C" __attribute__((noinline)) void record(const char *name)
{
    std::printf("%s >%lx\n", name, reinterpret_cast<unsigned long>(__builtin_return_address(0)));
}

static volatile int effect;

namespace shop
{
static inline __attribute__((always_inline)) void weigh(const char *name)
{
    record(name); // weigh calls
    effect = effect + 1;
}

struct Basket {
    int items = 0;
    inline __attribute__((always_inline)) void add(int count)
    {
        items += count;
        weigh("inlined"); // add calls
        effect = effect + items;
    }
};

template <typename T> __attribute__((noinline)) T fill(T count)
{
    Basket basket;
    basket.add(static_cast<int>(count)); // fill calls
    effect = effect + 2;
    return count;
}
} // namespace shop

/* Found in .symtab only, and where that is gone in .gnu_debugdata. */
static __attribute__((noinline)) void hidden()
{
    record("hidden"); // hidden calls
    effect = effect + 3;
}

extern "C" __attribute__((noinline, visibility("default"))) void shown()
{
    record("shown"); // shown calls
    effect = effect + 4;
}

int main()
{
    shop::fill<long>(7); // main calls
    hidden();
    shown();
    std::printf("main %lx\n", reinterpret_cast<unsigned long>(&main));
    std::printf("libc %lx\n", reinterpret_cast<unsigned long>(&close));
    std::fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0) {
    }
    return 0;
}
