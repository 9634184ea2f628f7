// What a request on a connection that is kept alive allocates in the whole server: counted.
#include "support/heap.hpp"

#include "support/plain_server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <doctest/doctest.h>

using namespace alos;
using namespace alos_tests;

namespace {

// The server and its client take turns on this thread, so that one counter counts the server.
struct fixture {
    fixture() : app(settings()), acceptor(context, {boost::asio::ip::address_v4::loopback(), 0})
    {
        app.add_self_signed_cert("localhost").value();
        app.router.get("/plain", [](request&, response& res) { res.string("Secure!"); });
        app.router.get("/coroutine", [](request&, response& res) -> awaitable<> {
            res.string("Secure!");
            co_return;
        });
        boost::asio::co_spawn(context, app.serve(acceptor), boost::asio::detached);
        context.poll();
        one.emplace(acceptor.local_endpoint().port());
    }

    ~fixture()
    {
        app.stop();
        context.run();
    }

    static plain_config settings()
    {
        plain_config config;
        config.log.level = log_level::off;
        return config;
    }

    // What the server allocates for a hundred requests, after as many.
    std::size_t allocations_of_hundred(const std::string& path)
    {
        const std::string text = get(path);
        std::array<char, 1024> answer;
        std::size_t before = 0;
        for (int i = 0; i < 200; ++i) {
            if (i == 100)
                before = heap::allocations;
            one->send(text);
            while (one->receive_now(answer) == 0)
                context.run_one_for(10ms);
        }
        return heap::allocations - before;
    }

    plain_server app;
    boost::asio::io_context context{1};
    boost::asio::basic_socket_acceptor<boost::asio::ip::tcp, boost::asio::io_context::executor_type> acceptor;
    std::optional<client> one;
};

}

TEST_CASE("a request with a plain handler allocates nothing" * doctest::skip(!heap::watched))
{
    fixture test;
    CHECK(test.allocations_of_hundred("/plain") == 0);
}

TEST_CASE("a request with a coroutine allocates six times at most" * doctest::skip(!heap::watched))
{
    fixture test;
    CHECK(test.allocations_of_hundred("/coroutine") <= 600);
}
