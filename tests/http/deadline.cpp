#include <alos/http/deadline.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <doctest/doctest.h>

#include <stdexcept>

using namespace alos;
using namespace std::chrono_literals;

namespace {

boost::asio::awaitable<int> wait(std::chrono::milliseconds time)
{
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, time);
    const auto waited = co_await timer.async_wait(as_results);
    throw_if_aborted(std::get<0>(waited));
    co_return 7;
}

boost::asio::awaitable<int> fail()
{
    throw std::runtime_error("broken");
    co_return 0;
}

// What within() gives, or throws.
std::optional<int> run(std::chrono::milliseconds limit, boost::asio::awaitable<int> work, bool cancelled = false)
{
    boost::asio::io_context context(1);
    boost::asio::cancellation_signal cancel;
    std::exception_ptr thrown;
    std::optional<int> found;
    boost::asio::co_spawn(context, within(limit, std::move(work)),
                          boost::asio::bind_cancellation_slot(cancel.slot(),
                                                              [&](std::exception_ptr end, std::optional<int> value) {
                                                                  thrown = end;
                                                                  found = value;
                                                              }));
    context.poll();
    if (cancelled)
        cancel.emit(boost::asio::cancellation_type::terminal);
    context.run();
    if (thrown)
        std::rethrow_exception(thrown);
    return found;
}

}

TEST_CASE("work that ends in time gives its result, other work gives nothing")
{
    CHECK(run(1h, wait(1ms)) == 7);
    CHECK(run(1ms, wait(1h)) == std::nullopt);
}

TEST_CASE("exceptions of the work pass, and so does being cancelled")
{
    CHECK_THROWS_AS(run(1h, fail()), std::runtime_error);
    try {
        run(1h, wait(1h), true);
        CHECK(false);
    } catch (const boost::system::system_error& thrown) {
        CHECK(thrown.code() == boost::asio::error::operation_aborted);
    }
}

TEST_CASE("only being cancelled is thrown")
{
    CHECK_NOTHROW(throw_if_aborted({}));
    CHECK_NOTHROW(throw_if_aborted(boost::asio::error::eof));
    CHECK_THROWS_AS(throw_if_aborted(boost::asio::error::operation_aborted), boost::system::system_error);
}
