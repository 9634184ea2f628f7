#include <alos/server/acme_thread.hpp>

#include <boost/asio/steady_timer.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <future>
#include <optional>
#include <stdexcept>
#include <thread>

using namespace std::chrono_literals;
using alos::acme_thread;
using alos::outcome;

namespace {

// The thread, and what keeps it from ending.
struct manned_thread {
    acme_thread thread;
    std::atomic<unsigned> begun = 0;
    std::atomic<bool> is_over = true;

    void stop()
    {
        thread.stop([this] { ++begun; }, [this] { return is_over.load(); });
    }

    acme_thread::awaitable<outcome<std::thread::id>> look() { co_return std::this_thread::get_id(); }

    acme_thread::awaitable<outcome<int>> fail()
    {
        throw std::runtime_error("not today");
        co_return 1;
    }

    acme_thread::awaitable<outcome<int>> call_again() { co_return thread.call(fail()); }

    acme_thread::awaitable<outcome<int>> wait(std::promise<void>& waits)
    {
        boost::asio::steady_timer never(thread.context(), 1h);
        waits.set_value();
        co_await never.async_wait(boost::asio::use_awaitable);
        co_return 1;
    }
};

}

TEST_CASE("acme thread: what others call runs there, and they get what it returns or throws")
{
    manned_thread one;
    const auto there = one.thread.call(one.look());
    REQUIRE(there.has_value());
    CHECK(*there != std::this_thread::get_id());
    CHECK_FALSE(one.thread.is_this());
    CHECK_THROWS_AS(static_cast<void>(one.thread.call(one.fail())), std::runtime_error);
    const std::function<bool()> question = [&] { return one.thread.is_this(); };
    CHECK(one.thread.ask(question) == true);
    CHECK(one.thread.call(one.call_again()).error().code == alos::errc::bad_configuration);
    one.stop();
}

TEST_CASE("acme thread: who waits when it is told to stop is told, and so is who comes later")
{
    manned_thread one;
    std::promise<void> waits;
    auto called = std::async(std::launch::async, [&] { return one.thread.call(one.wait(waits)); });
    waits.get_future().wait();
    boost::asio::io_context own;
    std::promise<void> waits_too;
    std::optional<outcome<int>> awaited;
    boost::asio::co_spawn(own, one.thread.await(one.wait(waits_too)),
                          [&](const std::exception_ptr&, outcome<int> got) { awaited = std::move(got); });
    auto other = std::async(std::launch::async, [&] { own.run(); });
    waits_too.get_future().wait();
    one.stop();
    one.stop();
    CHECK(one.begun == 1);
    CHECK(called.get().error().code == alos::errc::closed);
    other.get();
    REQUIRE(awaited.has_value());
    CHECK(awaited->error().code == alos::errc::closed);
    CHECK(one.thread.call(one.look()).error().code == alos::errc::closed);
    const std::function<bool()> question = [] { return true; };
    CHECK(one.thread.ask(question) == std::nullopt);
}

TEST_CASE("acme thread: it goes on until its work is over, and not for ever")
{
    manned_thread one;
    one.is_over = false;
    const auto begin = std::chrono::steady_clock::now();
    SUBCASE("it is over after a while")
    {
        auto stopped = std::async(std::launch::async, [&] { one.stop(); });
        CHECK(stopped.wait_for(50ms) == std::future_status::timeout);
        one.is_over = true;
        stopped.get();
        CHECK(std::chrono::steady_clock::now() - begin < 4s);
    }
    SUBCASE("it never is")
    {
        one.stop();
        CHECK(std::chrono::steady_clock::now() - begin >= 4500ms);
    }
}

TEST_CASE("acme thread: told to stop by itself, it does not wait for itself; nor must it be told to")
{
    manned_thread one;
    const std::function<bool()> question = [&] {
        one.stop();
        return true;
    };
    CHECK(one.thread.ask(question) == true);
    one.stop();
    CHECK(one.begun == 1);
    acme_thread another;
}
