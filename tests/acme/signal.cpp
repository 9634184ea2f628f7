#include <alos/acme/signal.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>

#include <doctest/doctest.h>

#include <optional>

namespace asio = boost::asio;
using alos::acme::admission_gate;

namespace {

asio::awaitable<void> wait_and_count(alos::acme::signal& bell, int& woken)
{
    co_await bell.wait();
    ++woken;
}

asio::awaitable<void> wait_for_either(alos::acme::signal& one, alos::acme::signal& other, int& ended)
{
    using namespace asio::experimental::awaitable_operators;
    co_await (one.wait() || other.wait());
    ++ended;
}

asio::awaitable<void> visit(admission_gate& gate, alos::acme::signal& leave, int& inside)
{
    const admission_gate::place place = co_await gate.enter();
    ++inside;
    co_await leave.wait();
    --inside;
}

}

TEST_CASE("signal: wakes all that wait, and nobody who comes later")
{
    asio::io_context io;
    alos::acme::signal bell;
    int woken = 0;
    for (int i = 0; i < 3; ++i)
        asio::co_spawn(io, wait_and_count(bell, woken), asio::detached);
    io.poll();
    CHECK(woken == 0);
    bell.notify_all();
    asio::co_spawn(io, wait_and_count(bell, woken), asio::detached);
    io.restart();
    io.poll();
    CHECK(woken == 3);
    bell.notify_all();
    io.restart();
    io.poll();
    CHECK(woken == 4);
}

TEST_CASE("signal: who waits can be cancelled, more than once, and the others go on waiting")
{
    asio::io_context io;
    alos::acme::signal bell;
    int woken = 0;
    asio::cancellation_signal cancel;
    std::optional<alos::error_code> ended;
    asio::co_spawn(io, wait_and_count(bell, woken), asio::bind_cancellation_slot(cancel.slot(), [&](auto thrown) {
                       try {
                           std::rethrow_exception(thrown);
                       } catch (const boost::system::system_error& error) {
                           ended = error.code();
                       }
                   }));
    asio::co_spawn(io, wait_and_count(bell, woken), asio::detached);
    io.poll();
    cancel.emit(asio::cancellation_type::terminal);
    cancel.emit(asio::cancellation_type::terminal);
    io.restart();
    io.poll();
    REQUIRE(ended);
    CHECK(*ended == asio::error::operation_aborted);
    CHECK(woken == 0);
    bell.notify_all();
    io.restart();
    io.poll();
    CHECK(woken == 1);
}

TEST_CASE("signal: of two that are waited for, one is enough, again and again")
{
    asio::io_context io;
    alos::acme::signal one;
    alos::acme::signal other;
    int ended = 0;
    for (int i = 1; i <= 4; ++i) {
        asio::co_spawn(io, wait_for_either(one, other, ended), asio::detached);
        io.restart();
        io.poll();
        (i % 2 == 0 ? one : other).notify_all();
        io.restart();
        io.poll();
        CHECK(ended == i);
    }
}

TEST_CASE("admission gate: as many as there is room for, the next when one leaves")
{
    asio::io_context io;
    admission_gate gate(2);
    alos::acme::signal leave;
    int inside = 0;
    for (int i = 0; i < 5; ++i)
        asio::co_spawn(io, visit(gate, leave, inside), asio::detached);
    io.poll();
    CHECK(inside == 2);
    leave.notify_all();
    io.restart();
    io.poll();
    CHECK(inside == 2);
    leave.notify_all();
    io.restart();
    io.poll();
    CHECK(inside == 1);
}
