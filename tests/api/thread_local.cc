// thread_local.cc: destructors of C++ thread_local objects allocate and free, also after thread
// keys' destructors were registered; so do destructors of static objects at the end of the process.
#include "check.h"

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace
{

std::atomic<int> destroyed;

struct holder {
    std::map<int, std::string> content;
    std::unique_ptr<std::vector<int>> other;

    ~holder()
    {
        int sum = 0;
        for (auto &entry : content)
            sum += static_cast<int>(entry.second.size());
        CHECK(sum == 100 * 60);
        content[1000] = std::string(5000, 'x');
        other = std::make_unique<std::vector<int>>(1000, 3);
        destroyed++;
    }
};

thread_local holder mine;

void touch()
{
    for (int i = 0; i < 100; i++)
        mine.content[i] = std::string(60, static_cast<char>('a' + i % 26));
}

void destructors_of_threads()
{
    for (int round = 0; round < 50; round++) {
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; i++)
            threads.emplace_back(touch);
        for (auto &thread : threads)
            thread.join();
    }
    CHECK(destroyed == 200);
}

struct at_exit {
    std::vector<std::string> content;
    ~at_exit()
    {
        for (int i = 0; i < 1000; i++)
            content.push_back(std::string(static_cast<std::size_t>(i), 'y'));
    }
};

void destructors_at_exit()
{
    static at_exit last;
    touch(); // the main thread's own goes at exit, too
    last.content.resize(10);
}

} // namespace

int main(int argc, char **argv)
{
    static const struct api_case cases[] = {
        {"destructors_of_threads", destructors_of_threads},
        {"destructors_at_exit", destructors_at_exit},
    };
    return run_cases(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
