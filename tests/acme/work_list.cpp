#include <alos/acme/work_list.hpp>

#include <alos/acme/signal.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <vector>

namespace {

using bell_type = alos::acme::signal;
using boost::asio::awaitable;

awaitable<void> wait_for(bell_type& bell) { co_await bell.wait(); }

awaitable<void> wait_for_one_of(bell_type& bell, bell_type& other)
{
    using namespace boost::asio::experimental::awaitable_operators;
    co_await (bell.wait() || other.wait());
}

awaitable<void> fail()
{
    throw std::runtime_error("it broke");
    co_return;
}

}

TEST_CASE("work list: what is cancelled is over after that, and says so once")
{
    boost::asio::io_context context;
    alos::acme::work_list works(context.get_executor());
    bell_type bell, other;
    std::vector<bool> cancelled;
    const auto note = [&](const std::exception_ptr& thrown) {
        cancelled.push_back(thrown && alos::acme::is_cancellation(thrown));
    };
    works.begin(wait_for(bell), note);
    works.begin(wait_for_one_of(bell, other), note);
    context.poll();
    CHECK(works.size() == 2);
    works.cancel();
    context.restart();
    context.poll();
    CHECK(works.size() == 0);
    CHECK(cancelled == std::vector{true, true});
}

TEST_CASE("work list: what ends by itself is told with what it threw")
{
    boost::asio::io_context context;
    alos::acme::work_list works(context.get_executor());
    bell_type bell;
    unsigned well = 0, broken = 0;
    const auto note = [&](const std::exception_ptr& thrown) {
        CHECK_FALSE((thrown && alos::acme::is_cancellation(thrown)));
        ++(thrown ? broken : well);
    };
    works.begin(wait_for(bell), note);
    works.begin(fail(), note);
    context.poll();
    bell.notify_all();
    context.restart();
    context.poll();
    CHECK(well == 1);
    CHECK(broken == 1);
    CHECK(works.size() == 0);
}
