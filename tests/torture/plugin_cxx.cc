// plugin_cxx.cc: objects with constructors and destructors, static, in dynamic thread-local storage
// and on the stack, all of which allocate, and exceptions thrown through them.
#include "tests/torture/plugin.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

namespace
{

// Allocates when it comes and checks it when it goes.
class Keeper
{
  public:
    explicit Keeper(std::size_t size)
        : text_(size, 'k'), copy_(std::make_unique<std::string>(text_))
    {
    }
    Keeper(const Keeper &) = delete;
    Keeper &operator=(const Keeper &) = delete;
    ~Keeper()
    {
        if (text_ != *copy_)
            std::abort();
        std::string last(text_.size() + 1, 'l');
        if (last.size() != text_.size() + 1)
            std::abort();
    }

    void grow()
    {
        text_ += 'k';
        *copy_ += 'k';
    }

  private:
    std::string text_;
    std::unique_ptr<std::string> copy_;
};

Keeper at_start(300);
// Keeps the library in memory until the thread has ended.
thread_local Keeper of_thread(100);
thread_local char zeros[3000];

/* NOLINTNEXTLINE(misc-no-recursion): the frames are what is unwound */
__attribute__((noinline)) void go_deep(unsigned depth)
{
    Keeper kept(depth + 30);
    if (depth == 0)
        throw std::runtime_error(std::string(200, 'e'));
    go_deep(depth - 1);
    kept.grow();
}

bool throws(unsigned depth)
{
    try {
        go_deep(depth);
    } catch (const std::runtime_error &error) {
        return std::strlen(error.what()) == 200;
    }
    return false;
}

bool builds(std::uint32_t number)
{
    std::map<std::uint32_t, std::vector<std::string>> made;
    for (std::uint32_t i = 0; i < 40; i++)
        made[i * number].emplace_back(i * 3, 'm');
    std::size_t total = 0;
    for (const auto &entry : made)
        for (const auto &text : entry.second)
            total += text.size();
    return total == 3 * 39 * 40 / 2;
}

// More than there is.
bool fails(std::size_t size)
{
    try {
        void *volatile much = ::operator new(size);
        ::operator delete(much);
        return false;
    } catch (const std::bad_alloc &) {
        return true;
    }
}

} // namespace

void plugin_work(std::uint32_t number, plugin_result *result)
{
    for (char zero : zeros)
        if (zero != static_cast<char>(zeros[0]))
            result->wrong = "thread-local memory is not as it was left";
    std::memset(zeros, zeros[0] + 1, sizeof zeros);
    // Half of the threads: the library can be unloaded under the others.
    if (number % 2 == 0)
        of_thread.grow();
    if (!builds(number % 1000 + 1))
        result->wrong = "strings are not as they were made";
    if (!throws(number % 12))
        result->wrong = "the exception did not come, or not whole";
    if (!fails(static_cast<std::size_t>(-1) / 4))
        result->wrong = "operator new gave what there is not";
    result->thrown = 2;
    result->bytes = number % 5000;
    result->block = std::malloc(result->bytes);
    if (result->block != nullptr)
        std::memset(result->block, PLUGIN_FILL, result->bytes);
}
