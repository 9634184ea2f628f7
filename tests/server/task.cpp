#include <alos/server/task.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <vector>

using namespace alos;

namespace {

using steps = std::vector<int>;

task count_two_waits(boost::asio::io_context& context, steps& log, std::shared_ptr<int>)
{
    log.push_back(1);
    const auto later = [&](auto handler) {
        boost::asio::post(context, [handler = std::move(handler)]() mutable {
            handler(error_code(5, boost::system::system_category()));
        });
    };
    const error_code first = co_await until(later);
    log.push_back(first.value());
    const auto at_once = [](auto handler) { handler(error_code()); };
    const error_code second = co_await until(at_once);
    log.push_back(second.value());
}

task wait_for_timer(boost::asio::steady_timer& timer, std::shared_ptr<int>)
{
    const auto wait = [&](auto handler) { timer.async_wait(std::move(handler)); };
    static_cast<void>(co_await until(wait));
}

task fail(std::shared_ptr<int>)
{
    throw std::bad_alloc();
    co_return;
}

boost::asio::awaitable<void> throw_later(boost::asio::io_context& context)
{
    co_await boost::asio::post(context, boost::asio::deferred);
    throw std::runtime_error("later");
}

task run_awaitable(boost::asio::io_context& context, std::string& what)
{
    boost::asio::awaitable<void> work = throw_later(context);
    boost::asio::cancellation_signal cancel;
    const std::exception_ptr thrown = co_await until(context.get_executor(), work, cancel.slot());
    try {
        std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
        what = error.what();
    }
}

}

TEST_CASE("a task starts at once, waits, and frees its frame at its end")
{
    boost::asio::io_context context;
    steps log;
    const auto owned = std::make_shared<int>(0);
    count_two_waits(context, log, owned);
    CHECK(log == steps{1});
    CHECK(owned.use_count() == 2);
    context.run();
    CHECK(log == steps{1, 5, 0});
    CHECK(owned.use_count() == 1);
}

TEST_CASE("a task that waits is freed with its io_context")
{
    const auto owned = std::make_shared<int>(0);
    {
        boost::asio::io_context context;
        boost::asio::steady_timer timer(context, std::chrono::hours(1));
        wait_for_timer(timer, owned);
        CHECK(owned.use_count() == 2);
    }
    CHECK(owned.use_count() == 1);
}

TEST_CASE("an exception ends a task")
{
    const auto owned = std::make_shared<int>(0);
    fail(owned);
    CHECK(owned.use_count() == 1);
}

TEST_CASE("a task runs Asio's coroutines, and sees what they throw")
{
    boost::asio::io_context context;
    std::string what;
    run_awaitable(context, what);
    context.run();
    CHECK(what == "later");
}
