// replaced.cc: a program that replaces only plain operator new and delete, as many do. By the
// standard the other forms' defaults call these, so no block of theirs may ever reach the allocator
// under test: they are not blocks of its own, but lie 32 bytes inside one.
#include "check.h"

#include <new>

namespace
{

const std::size_t header = 32;
const uint64_t token = 0x7469646d61726b21u;
long live;
bool refuse;

void *take(std::size_t size)
{
    if (refuse)
        throw std::bad_alloc();
    char *ptr = static_cast<char *>(malloc(size + header));
    if (ptr == nullptr)
        throw std::bad_alloc();
    memcpy(ptr, &token, sizeof token);
    live++;
    return ptr + header;
}

void give(void *ptr)
{
    if (ptr == nullptr)
        return;
    char *start = static_cast<char *>(ptr) - header;
    if (memcmp(start, &token, sizeof token) != 0)
        fail("a block that this program's operator new did not make came to its operator delete");
    memset(start, 0, sizeof token);
    live--;
    free(start);
}

} // namespace

void *operator new(std::size_t size)
{
    return take(size);
}

// Without a sized form: that is the case that matters here.
void operator delete(void *ptr) noexcept
{
    give(ptr);
}

namespace
{

void sized_delete()
{
    void *ptr = opaque(::operator new(100));
    CHECK(live == 1);
    ::operator delete(ptr, std::size_t(100));
    CHECK(live == 0);
}

void arrays()
{
    void *ptr = opaque(::operator new[](100));
    CHECK(live == 1);
    ::operator delete[](ptr);
    CHECK(live == 0);
    ptr = opaque(::operator new[](100));
    ::operator delete[](ptr, std::size_t(100));
    CHECK(live == 0);
}

void nothrow()
{
    void *ptr = opaque(::operator new(100, std::nothrow));
    CHECK(live == 1);
    ::operator delete(ptr, std::nothrow);
    CHECK(live == 0);
    ptr = opaque(::operator new[](100, std::nothrow));
    CHECK(live == 1);
    ::operator delete[](ptr, std::nothrow);
    CHECK(live == 0);
}

void nothrow_catches()
{
    refuse = true;
    CHECK(opaque(::operator new(100, std::nothrow)) == nullptr);
    CHECK(opaque(::operator new[](100, std::nothrow)) == nullptr);
}

void aligned_forms_stay_whole()
{
    // Not replaced here, new as well as delete: both the allocator's (or the runtime's).
    void *ptr = opaque(::operator new(100, std::align_val_t(256)));
    CHECK(live == 0 && aligned_to(ptr, 256));
    ::operator delete(ptr, std::size_t(100), std::align_val_t(256));
    CHECK(live == 0);
}

} // namespace

int main(int argc, char **argv)
{
    static const struct api_case cases[] = {
        {"sized_delete", sized_delete},
        {"arrays", arrays},
        {"nothrow", nothrow},
        {"nothrow_catches", nothrow_catches},
        {"aligned_forms_stay_whole", aligned_forms_stay_whole},
    };
    return run_cases(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
