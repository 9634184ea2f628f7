#include <alos/server/node_health.hpp>

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using alos::node_health;

TEST_CASE("a failure is told when it begins, and once an hour")
{
    node_health one;
    const node_health::time_point begin{};
    CHECK_FALSE(one.works());
    CHECK(one.fails(begin));
    CHECK_FALSE(one.fails(begin + 1s));
    CHECK_FALSE(one.fails(begin + 59min));
    CHECK(one.fails(begin + 1h));
    CHECK_FALSE(one.fails(begin + 119min));
    CHECK(one.works());
    CHECK_FALSE(one.works());
    CHECK(one.fails(begin + 2h));
}

TEST_CASE("what fails and works by turns fills no log")
{
    node_health one;
    const node_health::time_point begin{};
    CHECK(one.fails(begin));
    CHECK(one.works());
    for (auto now = begin + 1s; now < begin + 1min; now += 1s) {
        CHECK_FALSE(one.fails(now));
        CHECK_FALSE(one.works());
    }
    CHECK(one.fails(begin + 1min));
    CHECK(one.works());
}

TEST_CASE("an outage that begins within the minute after another one is told when the minute is over")
{
    node_health one;
    const node_health::time_point begin{};
    CHECK(one.fails(begin));
    CHECK(one.works());
    CHECK_FALSE(one.fails(begin + 10s));
    CHECK_FALSE(one.fails(begin + 59s));
    CHECK(one.fails(begin + 1min));
    CHECK_FALSE(one.fails(begin + 2min));
    CHECK(one.works());
}
