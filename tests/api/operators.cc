// operators.cc: C++ new and delete in every form: memory, alignment, bad_alloc, the new_handler.
// Each form is called by its own name, so that no compiler option decides which is tested.
#include "check.h"

#include <malloc.h>

#include <dlfcn.h>
#include <limits.h>
#include <new>

namespace
{

const std::size_t too_much = static_cast<std::size_t>(PTRDIFF_MAX) + 1;

void use(void *ptr, std::size_t size, std::size_t alignment)
{
    CHECK(opaque(ptr) != nullptr);
    CHECK(aligned_to(ptr, alignment));
    CHECK(malloc_usable_size(ptr) >= size);
    memset(ptr, 0x44, size);
}

template <class Allocate> void throws(Allocate allocate)
{
    bool thrown = false;
    try {
        opaque(allocate());
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    CHECK(thrown);
}

void plain()
{
    for (std::size_t size = 0; size < 3 * MIB; size = size * 2 + 1) {
        void *ptr = ::operator new(size);
        use(ptr, size, 16);
        ::operator delete(ptr);
        ptr = ::operator new(size);
        use(ptr, size, 16);
        ::operator delete(ptr, size);
    }
    throws([] { return ::operator new(opaque_size(too_much)); });
    throws([] { return ::operator new(opaque_size(SIZE_MAX)); });
    throws([] { return ::operator new(opaque_size(std::size_t(1) << 48)); });
}

void array()
{
    for (std::size_t size = 0; size < 3 * MIB; size = size * 2 + 1) {
        void *ptr = ::operator new[](size);
        use(ptr, size, 16);
        ::operator delete[](ptr);
        ptr = ::operator new[](size);
        use(ptr, size, 16);
        ::operator delete[](ptr, size);
    }
    throws([] { return ::operator new[](opaque_size(too_much)); });
}

void nothrow()
{
    void *ptr = ::operator new(100, std::nothrow);
    use(ptr, 100, 16);
    ::operator delete(ptr, std::nothrow);
    ptr = ::operator new[](100, std::nothrow);
    use(ptr, 100, 16);
    ::operator delete[](ptr, std::nothrow);
    CHECK(opaque(::operator new(opaque_size(too_much), std::nothrow)) == nullptr);
    CHECK(opaque(::operator new[](opaque_size(too_much), std::nothrow)) == nullptr);
    CHECK(opaque(::operator new(opaque_size(SIZE_MAX), std::nothrow)) == nullptr);
}

void aligned()
{
    for (std::size_t alignment = 1; alignment <= 65536; alignment *= 2) {
        auto align = std::align_val_t(alignment);
        for (std::size_t size = 0; size < 100000; size = size * 3 + 1) {
            void *ptr = ::operator new(size, align);
            use(ptr, size, alignment);
            ::operator delete(ptr, align);
            ptr = ::operator new(size, align);
            ::operator delete(ptr, size, align);
            ptr = ::operator new[](size, align);
            use(ptr, size, alignment);
            ::operator delete[](ptr, align);
            ptr = ::operator new[](size, align);
            ::operator delete[](ptr, size, align);
            ptr = ::operator new(size, align, std::nothrow);
            use(ptr, size, alignment);
            ::operator delete(ptr, align, std::nothrow);
            ptr = ::operator new[](size, align, std::nothrow);
            use(ptr, size, alignment);
            ::operator delete[](ptr, align, std::nothrow);
        }
    }
    auto align = std::align_val_t(64);
    throws([=] { return ::operator new(opaque_size(too_much), align); });
    throws([=] { return ::operator new[](opaque_size(too_much), align); });
    CHECK(opaque(::operator new(opaque_size(too_much), align, std::nothrow)) == nullptr);
    CHECK(opaque(::operator new[](opaque_size(too_much), align, std::nothrow)) == nullptr);
}

void bad_alignment()
{
    auto align = std::align_val_t(opaque_size(24));
    throws([=] { return ::operator new(100, align); });
    throws([=] { return ::operator new[](100, align); });
    CHECK(opaque(::operator new(100, align, std::nothrow)) == nullptr);
    CHECK(opaque(::operator new[](100, align, std::nothrow)) == nullptr);
    auto none = std::align_val_t(opaque_size(0));
    throws([=] { return ::operator new(100, none); });
    CHECK(opaque(::operator new(100, none, std::nothrow)) == nullptr);
}

void delete_null()
{
    auto align = std::align_val_t(64);
    ::operator delete(opaque(nullptr));
    ::operator delete[](opaque(nullptr));
    ::operator delete(opaque(nullptr), std::size_t(10));
    ::operator delete[](opaque(nullptr), std::size_t(10));
    ::operator delete(opaque(nullptr), std::nothrow);
    ::operator delete[](opaque(nullptr), std::nothrow);
    ::operator delete(opaque(nullptr), align);
    ::operator delete[](opaque(nullptr), align);
    ::operator delete(opaque(nullptr), std::size_t(10), align);
    ::operator delete[](opaque(nullptr), std::size_t(10), align);
    ::operator delete(opaque(nullptr), align, std::nothrow);
    ::operator delete[](opaque(nullptr), align, std::nothrow);
}

int handler_calls;

void handler_gives_up_after_three()
{
    if (++handler_calls == 3)
        std::set_new_handler(nullptr);
}

struct own_exception : std::bad_alloc {
};

void handler_throws()
{
    handler_calls++;
    throw own_exception();
}

void new_handler_is_called()
{
    auto align = std::align_val_t(64);
    void *(*forms[])() = {
        [] { return ::operator new(opaque_size(too_much)); },
        [] { return ::operator new[](opaque_size(too_much)); },
        [] { return ::operator new(opaque_size(too_much), std::align_val_t(64)); },
        [] { return ::operator new[](opaque_size(too_much), std::align_val_t(64)); },
    };
    for (auto form : forms) {
        handler_calls = 0;
        std::set_new_handler(handler_gives_up_after_three);
        throws(form);
        CHECK(handler_calls == 3);
    }
    handler_calls = 0;
    std::set_new_handler(handler_gives_up_after_three);
    CHECK(opaque(::operator new(opaque_size(too_much), std::nothrow)) == nullptr);
    CHECK(handler_calls == 3);
    handler_calls = 0;
    std::set_new_handler(handler_gives_up_after_three);
    CHECK(opaque(::operator new[](opaque_size(too_much), align, std::nothrow)) == nullptr);
    CHECK(handler_calls == 3);
}

void new_handler_may_throw()
{
    std::set_new_handler(handler_throws);
    bool thrown = false;
    try {
        opaque(::operator new(opaque_size(too_much)));
    } catch (const own_exception &) {
        thrown = true;
    }
    CHECK(thrown && handler_calls == 1);
    CHECK(std::get_new_handler() == handler_throws);
}

void nothrow_while_the_handler_throws()
{
    std::set_new_handler(handler_throws);
    auto align = std::align_val_t(64);
    CHECK(opaque(::operator new(opaque_size(too_much), std::nothrow)) == nullptr);
    CHECK(handler_calls == 1);
    CHECK(opaque(::operator new[](opaque_size(too_much), std::nothrow)) == nullptr);
    CHECK(handler_calls == 2);
    CHECK(opaque(::operator new(opaque_size(too_much), align, std::nothrow)) == nullptr);
    CHECK(handler_calls == 3);
    CHECK(opaque(::operator new[](opaque_size(too_much), align, std::nothrow)) == nullptr);
    CHECK(handler_calls == 4);
}

void *reserve;

void handler_frees_the_reserve()
{
    handler_calls++;
    CHECK(reserve != nullptr);
    free(reserve);
    reserve = nullptr;
}

// A handler that makes room: the request is tried again and met.
void new_handler_makes_room()
{
    const std::size_t size = std::size_t(300) * MIB;
    reserve = malloc(size);
    CHECK(reserve != nullptr);
    std::size_t used = address_space_bytes();
    if (used == 0)
        skip("/proc/self/statm cannot be read");
    limit_address_space(used + 64 * MIB);
    std::set_new_handler(handler_frees_the_reserve);
    void *ptr = ::operator new(size - 32 * MIB);
    CHECK(opaque(ptr) != nullptr && handler_calls == 1);
    ::operator delete(ptr);
}

// Every form comes from the library under test.
void every_symbol()
{
    const char *expected = getenv("TIDEMARK_API_LIBRARY");
    if (expected == nullptr || *expected == '\0')
        skip("nothing is preloaded: they are the C++ runtime's");
    static const char *const names[] = {
        "_Znwm",
        "_Znam",
        "_ZnwmRKSt9nothrow_t",
        "_ZnamRKSt9nothrow_t",
        "_ZnwmSt11align_val_t",
        "_ZnamSt11align_val_t",
        "_ZnwmSt11align_val_tRKSt9nothrow_t",
        "_ZnamSt11align_val_tRKSt9nothrow_t",
        "_ZdlPv",
        "_ZdaPv",
        "_ZdlPvm",
        "_ZdaPvm",
        "_ZdlPvRKSt9nothrow_t",
        "_ZdaPvRKSt9nothrow_t",
        "_ZdlPvSt11align_val_t",
        "_ZdaPvSt11align_val_t",
        "_ZdlPvmSt11align_val_t",
        "_ZdaPvmSt11align_val_t",
        "_ZdlPvSt11align_val_tRKSt9nothrow_t",
        "_ZdaPvSt11align_val_tRKSt9nothrow_t",
    };
    char wanted[PATH_MAX], found[PATH_MAX];
    CHECK(realpath(expected, wanted) != nullptr);
    for (const char *name : names) {
        Dl_info info;
        void *symbol = dlsym(RTLD_DEFAULT, name);
        if (symbol == nullptr || dladdr(symbol, &info) == 0)
            fail("%s: there is no such symbol", name);
        if (realpath(info.dli_fname, found) == nullptr || strcmp(wanted, found) != 0)
            fail("%s comes from %s", name, info.dli_fname);
    }
}

} // namespace

int main(int argc, char **argv)
{
    static const struct api_case cases[] = {
        {"plain", plain},
        {"array", array},
        {"nothrow", nothrow},
        {"aligned", aligned},
        {"bad_alignment", bad_alignment},
        {"delete_null", delete_null},
        {"new_handler_is_called", new_handler_is_called},
        {"new_handler_may_throw", new_handler_may_throw},
        {"nothrow_while_the_handler_throws", nothrow_while_the_handler_throws},
        {"new_handler_makes_room", new_handler_makes_room},
        {"every_symbol", every_symbol},
    };
    return run_cases(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
