#include <alos/acme/together.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

boost::asio::awaitable<void> wait(std::chrono::milliseconds time, std::string name, std::string& ended)
{
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, time);
    co_await timer.async_wait(boost::asio::use_awaitable);
    ended += name;
    if (name == "x")
        throw std::runtime_error("x");
}

void run(std::vector<boost::asio::awaitable<void>> works, bool& has_thrown)
{
    boost::asio::io_context context(1);
    boost::asio::co_spawn(context, alos::acme::together(std::move(works)),
                          [&](const std::exception_ptr& thrown) { has_thrown = thrown != nullptr; });
    context.run();
}

}

TEST_CASE("together: all run at once, end in their own time, and an exception of one waits for the others")
{
    using std::chrono::milliseconds;
    std::string ended;
    bool has_thrown = true;
    std::vector<boost::asio::awaitable<void>> works;
    works.push_back(wait(milliseconds(60), "c", ended));
    works.push_back(wait(milliseconds(5), "a", ended));
    works.push_back(wait(milliseconds(30), "b", ended));
    run(std::move(works), has_thrown);
    CHECK(ended == "abc");
    CHECK_FALSE(has_thrown);

    ended.clear();
    std::vector<boost::asio::awaitable<void>> broken;
    broken.push_back(wait(milliseconds(5), "x", ended));
    broken.push_back(wait(milliseconds(30), "b", ended));
    run(std::move(broken), has_thrown);
    CHECK(ended == "xb");
    CHECK(has_thrown);

    run({}, has_thrown);
    CHECK_FALSE(has_thrown);
}
