// thrower.cc: a C++ plugin for a C program, which so gets its C++ runtime with RTLD_LOCAL, out of
// the global scope.
#include <cstddef>
#include <new>

namespace
{

int calls;

void handler()
{
    calls++;
    if (calls == 2)
        std::set_new_handler(nullptr);
}

struct odd {
};

void handler_that_throws()
{
    throw odd();
}

volatile std::size_t too_much = static_cast<std::size_t>(-1) / 2 + 1;

} // namespace

// 0: all as the standard says; else the number of what was not.
extern "C" int plugin_catches()
{
    int *block = new int(3);
    if (*block != 3)
        return 1;
    delete block;
    try {
        ::operator delete(::operator new(too_much));
        return 2;
    } catch (const std::bad_alloc &) {
    }
    std::set_new_handler(handler);
    try {
        ::operator delete[](::operator new[](too_much));
        return 3;
    } catch (const std::bad_alloc &) {
    }
    if (calls != 2)
        return 4;
    if (::operator new(too_much, std::nothrow) != nullptr)
        return 5;
    std::set_new_handler(handler_that_throws);
    if (::operator new(too_much, std::nothrow) != nullptr)
        return 6;
    std::set_new_handler(nullptr);
    return 0;
}
