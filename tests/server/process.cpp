#include <alos/server/process.hpp>

#include <doctest/doctest.h>

using namespace alos;

TEST_CASE("the soft limit of open files is raised as far as it is needed and allowed, and never lowered")
{
    ::rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const auto soft = [] {
        ::rlimit now{};
        ::getrlimit(RLIMIT_NOFILE, &now);
        return now.rlim_cur;
    };
    ::rlimit low{std::min<rlim_t>(300, before.rlim_max), before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
    allow_open_files(1);
    CHECK(soft() == low.rlim_cur);
    allow_open_files(100);
    CHECK(soft() == std::min<rlim_t>(356, before.rlim_max));
    allow_open_files(0);
    CHECK(soft() == before.rlim_max);
    ::setrlimit(RLIMIT_NOFILE, &before);
}
