#include <alos/http/clean_up.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using boost::asio::awaitable;

// A coroutine that works and cleans up, and may be cancelled.
struct course {
    awaitable<void> pause()
    {
        boost::asio::steady_timer timer(context, std::chrono::milliseconds(20));
        co_await timer.async_wait(boost::asio::use_awaitable);
    }

    awaitable<int> work()
    {
        co_await pause();
        note("worked");
        co_return 7;
    }

    awaitable<int> fail()
    {
        co_await pause();
        note("failed");
        throw std::runtime_error("the work failed");
    }

    awaitable<void> clean_up(const int* done)
    {
        note(done ? "begins to clean up after " + std::to_string(*done) : "begins to clean up");
        co_await pause();
        co_await pause();
        note("has cleaned up");
    }

    // A clean-up that has one itself.
    awaitable<void> clean_up_twice(const int* done)
    {
        auto first = with_end(work());
        static_cast<void>(co_await std::move(first));
        co_await clean_up(done);
    }

    awaitable<int> with_end(awaitable<int> begun)
    {
        const auto end = [this](const int* done) { return clean_up(done); };
        return alos::with_clean_up(std::move(begun), end);
    }

    awaitable<int> with_two_ends(awaitable<int> begun)
    {
        const auto end = [this](const int* done) { return clean_up_twice(done); };
        return alos::with_clean_up(std::move(begun), end);
    }

    awaitable<void> all(awaitable<int> begun)
    {
        const int done = co_await std::move(begun);
        note("went on with " + std::to_string(done));
    }

    // Cancels it as soon as it notes that.
    void run(awaitable<int> begun, std::string when = {})
    {
        cancel_at = std::move(when);
        const auto ended = [this](const std::exception_ptr& why) { thrown = why ? alos::text_of_exception(why) : ""; };
        boost::asio::co_spawn(context, all(std::move(begun)),
                              boost::asio::bind_cancellation_slot(cancel.slot(), ended));
        context.run();
    }

    void note(std::string what)
    {
        const bool is_time = what == cancel_at;
        notes.push_back(std::move(what));
        if (is_time)
            cancel.emit(boost::asio::cancellation_type::terminal);
    }

    boost::asio::io_context context{1};
    boost::asio::cancellation_signal cancel;
    std::string cancel_at;
    std::vector<std::string> notes;
    std::string thrown = "it did not end";
};

using steps = std::vector<std::string>;
const std::string aborted = make_error_code(boost::asio::error::operation_aborted).message();

}

TEST_CASE("clean_up: what the work returned is given to the clean-up, and then to the caller")
{
    course of;
    of.run(of.with_end(of.work()));
    CHECK(of.notes == steps{"worked", "begins to clean up after 7", "has cleaned up", "went on with 7"});
    CHECK(of.thrown == "");
}

TEST_CASE("clean_up: what the work threw is thrown after the clean-up")
{
    course of;
    of.run(of.with_end(of.fail()));
    CHECK(of.notes == steps{"failed", "begins to clean up", "has cleaned up"});
    CHECK(of.thrown == "the work failed");
}

TEST_CASE("clean_up: cancelled while it works, it cleans up")
{
    course of;
    boost::asio::steady_timer soon(of.context, std::chrono::milliseconds(5));
    soon.async_wait([&](alos::error_code) { of.cancel.emit(boost::asio::cancellation_type::terminal); });
    of.run(of.with_end(of.work()));
    CHECK(of.notes == steps{"begins to clean up", "has cleaned up"});
    CHECK_MESSAGE(of.thrown.find(aborted) != std::string::npos, of.thrown);
}

TEST_CASE("clean_up: cancelled when the work is done, or the clean-up has begun, it goes no further than that")
{
    for (const char* when : {"worked", "begins to clean up after 7", "has cleaned up"}) {
        course of;
        of.run(of.with_end(of.work()), when);
        CHECK(of.notes == steps{"worked", "begins to clean up after 7", "has cleaned up"});
        CHECK_MESSAGE(of.thrown.find(aborted) != std::string::npos, of.thrown);
    }
}

TEST_CASE("clean_up: one within another is not interrupted either")
{
    for (const char* when : {"", "has cleaned up"}) {
        course of;
        of.run(of.with_two_ends(of.work()), when);
        const steps all = {"worked",         "worked", "begins to clean up after 7",
                           "has cleaned up", "begins to clean up after 7", "has cleaned up"};
        CHECK(std::vector(of.notes.begin(), of.notes.begin() + 6) == all);
        CHECK(of.notes.size() == (*when == '\0' ? 7 : 6));
    }
}
