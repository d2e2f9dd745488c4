// operators.cc: allocates by every operator new, in amounts that exact_test.py knows by hand, each
// from a function of its own, and gives every second block back by the matching delete before it
// takes its second snapshot.
#include "tests/sites/program.h"

#include <new>

namespace
{

constexpr std::align_val_t ALIGNMENT{128};

}

// Not of the namespace: the test knows them by these names.
extern "C" {
void *at_new()
{
    return ::operator new(100);
}
void *at_new_array()
{
    return ::operator new[](100);
}
void *at_new_nothrow()
{
    return ::operator new(100, std::nothrow);
}
void *at_new_array_nothrow()
{
    return ::operator new[](100, std::nothrow);
}
void *at_new_aligned()
{
    return ::operator new(300, ALIGNMENT);
}
void *at_new_array_aligned()
{
    return ::operator new[](300, ALIGNMENT);
}
void *at_new_aligned_nothrow()
{
    return ::operator new(300, ALIGNMENT, std::nothrow);
}
void *at_new_array_aligned_nothrow()
{
    return ::operator new[](300, ALIGNMENT, std::nothrow);
}
void *at_new_large()
{
    return ::operator new(50000);
}
void *at_new_large_nothrow()
{
    return ::operator new(50000, std::nothrow);
}
void *at_new_large_array()
{
    return new char[9 << 20];
}
}

int main()
{
    struct {
        void *(*take)();
        void (*give)(void *);
    } const kinds[] = {
        {at_new, [](void *block) { ::operator delete(block); }},
        {at_new_array, [](void *block) { ::operator delete[](block); }},
        {at_new_nothrow, [](void *block) { ::operator delete(block, std::nothrow); }},
        {at_new_array_nothrow, [](void *block) { ::operator delete[](block, std::nothrow); }},
        {at_new_aligned, [](void *block) { ::operator delete(block, ALIGNMENT); }},
        {at_new_array_aligned, [](void *block) { ::operator delete[](block, ALIGNMENT); }},
        {at_new_aligned_nothrow,
         [](void *block) { ::operator delete(block, ALIGNMENT, std::nothrow); }},
        {at_new_array_aligned_nothrow,
         [](void *block) { ::operator delete[](block, ALIGNMENT, std::nothrow); }},
        {at_new_large, [](void *block) { ::operator delete(block, 50000); }},
        {at_new_large_nothrow, [](void *block) { ::operator delete(block, std::nothrow); }},
        {at_new_large_array, [](void *block) { delete[] static_cast<char *>(block); }},
    };
    constexpr int KINDS = sizeof kinds / sizeof kinds[0], EACH = 10;
    static void *blocks[KINDS][EACH];
    for (int kind = 0; kind < KINDS; kind++)
        for (auto &block : blocks[kind])
            block = kinds[kind].take();
    take_snapshot();
    for (int kind = 0; kind < KINDS; kind++)
        for (int i = 0; i < EACH; i += 2)
            kinds[kind].give(blocks[kind][i]);
    take_snapshot();
    for (int kind = 0; kind < KINDS; kind++)
        for (int i = 1; i < EACH; i += 2)
            kinds[kind].give(blocks[kind][i]);
    take_snapshot();
    return 0;
}
