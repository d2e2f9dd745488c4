// thrower.cc: throws through frames of its own that allocate and free on the way: unwinding by
// libgcc beside that of the recorder.
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

extern "C" int thrower_work(int depth);

namespace
{

__attribute__((noinline)) void go_deep(int depth)
{
    std::vector<std::string> kept(3, std::string(static_cast<std::size_t>(depth) + 30, 'x'));
    if (depth == 0)
        throw std::runtime_error(kept[1]);
    go_deep(depth - 1);
    kept[0].clear();
}

} // namespace

// How many characters the exception had.
extern "C" int thrower_work(int depth)
{
    try {
        go_deep(depth);
    } catch (const std::runtime_error &error) {
        return static_cast<int>(std::string(error.what()).size());
    }
    return 0;
}
