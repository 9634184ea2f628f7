#include <alos/server/worker.hpp>

#include "support/plain_server.hpp"

#include <doctest/doctest.h>

#include <sys/resource.h>

using namespace alos;
using namespace alos_tests;

TEST_CASE("without a file descriptor left, clients wait; it is said once, and nothing spins")
{
    running app(
        [](plain_server& server) { server.router.get("/", [](request&, response& res) { res.string("Secure!"); }); });
    ::rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    // Room for the two clients, and for nothing besides.
    const unique_fd last(::dup(0));
    ::rlimit tight{static_cast<rlim_t>(last.get() + 2), before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
    client one(app.port());
    client two(app.port(), 0);
    ::rusage begin{};
    ::getrusage(RUSAGE_SELF, &begin);
    CHECK(one.send(get("/")));
    CHECK(one.receive(300ms).empty());
    ::rusage end{};
    ::getrusage(RUSAGE_SELF, &end);
    CHECK(end.ru_utime.tv_sec * 1000 + end.ru_utime.tv_usec / 1000 - begin.ru_utime.tv_sec * 1000
              - begin.ru_utime.tv_usec / 1000
          < 100);
    const std::size_t lines = app.log.size();
    CHECK(app.log.find("ulimit -n").find("ERROR server.accept") != std::string::npos);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(body_of(one.receive_until("Secure!")) == "Secure!");
    CHECK(app.log.size() <= lines + 1);
}
