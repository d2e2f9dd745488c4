// Work for C++ compilers and, compiled, for new and delete: containers, strings, threads,
// exceptions.
#include <algorithm>
#include <deque>
#include <functional>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

using value = std::variant<int, std::string, std::vector<int>>;

static std::size_t work(unsigned seed)
{
    std::map<std::string, value> tree;
    std::unordered_map<std::string, std::shared_ptr<std::list<int>>> hash;
    std::set<std::pair<int, std::string>> set;
    std::deque<std::unique_ptr<std::string>> queue;
    for (unsigned i = 0; i < 20000; i++) {
        seed = seed * 1664525 + 1013904223;
        std::string key = "key " + std::to_string(seed % 5000);
        switch (seed >> 30) {
        case 0:
            tree[key] = static_cast<int>(i);
            break;
        case 1:
            tree[key] = std::string(seed % 300, 'x');
            break;
        case 2:
            tree[key] = std::vector<int>(seed % 100, 3);
            break;
        default:
            tree.erase(key);
        }
        auto &list = hash[key];
        if (!list)
            list = std::make_shared<std::list<int>>();
        list->push_back(static_cast<int>(i));
        set.emplace(seed % 100, key);
        queue.push_back(std::make_unique<std::string>(key));
        if (queue.size() > 100)
            queue.pop_front();
    }
    std::size_t sum = tree.size() + set.size();
    for (auto &entry : hash)
        sum += entry.second->size();
    try {
        std::vector<int>().at(3);
    } catch (const std::exception &error) {
        sum += std::string(error.what()).size();
    }
    return sum;
}

int main()
{
    std::vector<std::size_t> sums(8);
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < sums.size(); i++)
        threads.emplace_back([&sums, i] { sums[i] = work(i); });
    for (auto &thread : threads)
        thread.join();
    std::ostringstream out;
    for (auto sum : sums)
        out << sum << ' ';
    std::regex number("([0-9]+) ");
    std::cout << std::regex_replace(out.str(), number, "<$1>") << '\n';
    try {
        auto block = std::make_unique<char[]>(static_cast<std::size_t>(-1) / 4);
        std::cout << "got it?\n";
    } catch (const std::bad_alloc &) {
        std::cout << "bad_alloc\n";
    }
}
