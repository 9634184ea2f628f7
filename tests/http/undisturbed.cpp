#include <alos/http/undisturbed.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <chrono>

namespace {

using boost::asio::awaitable;

struct course {
    bool is_cleaned = false;
    bool went_on = false;
};

awaitable<void> clean_up(boost::asio::steady_timer& timer, course& of)
{
    co_await timer.async_wait(boost::asio::use_awaitable);
    of.is_cleaned = true;
}

awaitable<void> work(boost::asio::steady_timer& timer, course& of)
{
    co_await alos::undisturbed(clean_up(timer, of));
    of.went_on = true;
}

}

TEST_CASE("undisturbed: a clean-up that is cancelled comes to its end, and then whoever awaits it does")
{
    for (const bool is_cancelled : {false, true}) {
        boost::asio::io_context context(1);
        boost::asio::steady_timer timer(context, std::chrono::milliseconds(20));
        boost::asio::cancellation_signal cancel;
        course of;
        bool has_thrown = false;
        const auto ended = [&](const std::exception_ptr& thrown) { has_thrown = thrown != nullptr; };
        boost::asio::co_spawn(context, work(timer, of), boost::asio::bind_cancellation_slot(cancel.slot(), ended));
        context.poll();
        if (is_cancelled)
            cancel.emit(boost::asio::cancellation_type::terminal);
        context.run();
        CHECK(of.is_cleaned);
        CHECK(of.went_on == !is_cancelled);
        CHECK(has_thrown == is_cancelled);
    }
}
