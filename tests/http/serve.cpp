#include <alos/http/serve.hpp>

#include "support/plain_server.hpp"

#include <boost/asio/steady_timer.hpp>

#include <doctest/doctest.h>

using namespace alos;
using namespace alos_tests;

namespace {

void hello(plain_server& app)
{
    app.router.get("/", [](request&, response& res) { res.string("Secure!"); });
    app.router.post("/echo", [](request& req, response& res) { res.string(req.body()); });
}

plain_config with(deadlines limits)
{
    plain_config config;
    config.deadlines = limits;
    return config;
}

const std::string large(3'000'000, 'x');

}

TEST_CASE("requests one after another on one connection")
{
    running app(hello);
    client one(app.port());
    for (int i = 0; i < 3; ++i) {
        one.send(get("/"));
        CHECK(body_of(one.receive_until("Secure!")) == "Secure!");
    }
    one.send(get("/", "Connection: close\r\n"));
    const std::string last = one.receive_all();
    CHECK(last.find("Connection: close") != std::string::npos);
    CHECK_FALSE(one.was_reset);
    CHECK(app.is_empty());
}

TEST_CASE("RFC 9112 9.3.2: pipelined requests are answered in their order, in one write")
{
    running app([](plain_server& server) {
        hello(server);
        server.router.get("/slow", [](request&, response& res) -> awaitable<> {
            boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, 20ms);
            co_await timer.async_wait(boost::asio::deferred);
            res.string("slow");
        });
    });
    client one(app.port());
    std::string many;
    for (int i = 0; i < 500; ++i)
        many += get("/");
    one.send(many + get("/slow") + get("/", "Connection: close\r\n"));
    const std::string all = one.receive_all();
    std::size_t answers = 0;
    for (std::size_t at = 0; (at = all.find("HTTP/1.1 200", at)) != std::string::npos; ++at)
        ++answers;
    CHECK(answers == 502);
    CHECK(all.ends_with("Secure!"));
    CHECK(all.rfind("slow") < all.rfind("Secure!"));
}

TEST_CASE("a request in single bytes")
{
    running app(hello);
    client one(app.port());
    for (const char c : std::string(
             "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"))
        one.send({&c, 1});
    CHECK(body_of(one.receive_until("abcde")) == "abcde");
}

TEST_CASE("a malformed request is answered 400, and the connection ends without a reset")
{
    running app(hello);
    client one(app.port());
    one.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + std::string(100'000, 'x'));
    CHECK(status_of(one.receive_all()) == "HTTP/1.1 400 Bad Request");
    CHECK_FALSE(one.was_reset);
    one.finish();
    CHECK(app.is_empty());
}

TEST_CASE("limits: header 431, target 414, body 413, and a route's own")
{
    plain_config config;
    config.limits.h1.body = 1000;
    running app(
        [](plain_server& server) {
            hello(server);
            server.router.post("/small", [](request&, response& res) { res.string("ok"); }, {.body_limit = 10});
        },
        config);
    const auto ask = [&](const std::string& text) {
        client one(app.port());
        one.send(text);
        return status_of(one.receive_until("\r\n"));
    };
    CHECK(ask(get("/", "X: " + std::string(20'000, 'x') + "\r\n")).find("431") != std::string::npos);
    CHECK(ask(get("/" + std::string(10'000, 'x'))).find("414") != std::string::npos);
    CHECK(ask("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n").find("413") != std::string::npos);
    CHECK(ask("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n" + std::string(1000, 'x')).find("200")
          != std::string::npos);
    CHECK(ask("POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n" + std::string(11, 'x'))
              .find("413")
          != std::string::npos);
}

TEST_CASE("RFC 9110 10.1.1: 100 Continue is sent when the body is wanted, and not when it is not")
{
    running app(hello);
    client one(app.port());
    one.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    CHECK(status_of(one.receive_until("\r\n\r\n")) == "HTTP/1.1 100 Continue");
    one.send("abc");
    CHECK(body_of(one.receive_until("abc")) == "abc");

    client large_one(app.port());
    large_one.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n");
    CHECK(large_one.receive_until("\r\n").find("413") != std::string::npos);
}

TEST_CASE("an exception in a handler is a 500 and a line of log, and the server lives on")
{
    running app([](plain_server& server) {
        hello(server);
        server.router.get("/throw", [](request&, response&) { throw std::runtime_error("it broke"); });
        server.router.get("/throw/later", [](request&, response&) -> awaitable<> {
            boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, 1ms);
            co_await timer.async_wait(boost::asio::deferred);
            throw 5;
        });
    });
    client one(app.port());
    one.send(get("/throw"));
    CHECK(status_of(one.receive_until("Server Error\n")).find("500") != std::string::npos);
    CHECK(app.log.find("it broke").find("ERROR http.exception") != std::string::npos);
    client two(app.port());
    two.send(get("/throw/later") + get("/", "Connection: close\r\n"));
    const std::string all = two.receive_all();
    CHECK(all.find("500") != std::string::npos);
    CHECK(all.ends_with("Secure!"));
}

TEST_CASE("a body that is streamed, in both directions, with back-pressure")
{
    running app([](plain_server& server) {
        const auto twice = [](request& req, response& res) -> awaitable<> {
            while (true) {
                const std::string_view piece = co_await req.read_some();
                if (piece.empty())
                    break;
                co_await res.write(piece);
                co_await res.write(piece);
            }
        };
        server.router.post("/twice", twice, streamed);
        server.router.get("/events", [](request&, response& res) -> awaitable<> {
            co_await res.event("one");
            co_await res.event("two");
        });
    });
    client one(app.port());
    std::thread sender([&] {
        one.send("POST /twice HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(large.size())
                 + "\r\nConnection: close\r\n\r\n");
        one.send(large);
    });
    const std::string all = one.receive_all();
    sender.join();
    CHECK(all.size() > 2 * large.size());
    CHECK(all.ends_with("0\r\n\r\n"));

    client two(app.port());
    two.send(get("/events", "Connection: close\r\n"));
    const std::string events = two.receive_all();
    CHECK(events.find("text/event-stream") != std::string::npos);
    CHECK(events.find("data: one\n\n") < events.find("data: two\n\n"));
}

TEST_CASE("a handler that leaves its body unread, or fails midway, ends the connection")
{
    running app([](plain_server& server) {
        server.router.post(
            "/ignore", [](request&, response& res) { res.string("no, thanks"); }, streamed);
        server.router.get("/half", [](request&, response& res) -> awaitable<> {
            co_await res.write("half");
            throw std::runtime_error("midway");
        });
        server.router.get("/short", [](request&, response& res) -> awaitable<> {
            res.set("Content-Length", "10");
            co_await res.write("short");
        });
    });
    client one(app.port());
    one.send("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    CHECK(one.receive_all().ends_with("no, thanks"));
    CHECK_FALSE(one.was_reset);
    for (const char* path : {"/half", "/short"}) {
        CAPTURE(path);
        client two(app.port());
        two.send(get(path));
        const std::string all = two.receive_all();
        CHECK(all.find("200 OK") != std::string::npos);
        CHECK_FALSE(all.ends_with("0\r\n\r\n"));
    }
    one.finish();
    CHECK(app.is_empty());
}

TEST_CASE("a streamed route keeps the connection when its request is at hand whole")
{
    running app([](plain_server& server) {
        server.router.get("/", [](request&, response& res) { res.string("none"); }, streamed);
        server.router.post("/first", [](request& req, response& res) -> awaitable<> {
            const std::string_view piece = co_await req.read_some();
            res.string(piece);
        }, streamed);
    });
    client one(app.port());
    for (int i = 0; i < 2; ++i) {
        one.send(get("/"));
        CHECK(body_of(one.receive_until("none")) == "none");
        one.send("POST /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        CHECK(body_of(one.receive_until("abc")) == "abc");
    }
    one.send("POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    CHECK(one.receive_until("abc").find("Connection: close") != std::string::npos);
}

TEST_CASE("a streamed body that cannot be read is answered by what is wrong with it")
{
    deadlines limits;
    limits.body = 100ms;
    plain_config config = with(limits);
    config.limits.h1.body = 10;
    running app(
        [](plain_server& server) {
            server.router.post("/all", [](request& req, response& res) -> awaitable<> {
                while (!(co_await req.read_some()).empty())
                    ;
                res.string("read");
            }, streamed);
        },
        config);
    const auto ask = [&](std::string_view body) {
        client one(app.port());
        one.send("POST /all HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        one.send(body);
        return status_of(one.receive_until("\r\n"));
    };
    CHECK(ask("3\r\nabc\r\n0\r\n\r\n") == "HTTP/1.1 200 OK");
    CHECK(ask("b\r\nabcdefghijk\r\n0\r\n\r\n") == "HTTP/1.1 413 Content Too Large");
    CHECK(ask("x\r\n") == "HTTP/1.1 400 Bad Request");
    CHECK(ask("3\r\na") == "HTTP/1.1 408 Request Timeout");
    CHECK(app.log.find("ERROR") == "");
}

TEST_CASE("a streamed response does not exceed its Content-Length")
{
    running app([](plain_server& server) {
        server.router.get("/long", [](request&, response& res) -> awaitable<> {
            res.set("Content-Length", "3");
            co_await res.write("abc");
            co_await res.write("HTTP/1.1 200 OK");
        });
    });
    client one(app.port());
    one.send(get("/long"));
    CHECK(body_of(one.receive_all()) == "abc");
    CHECK(app.log.find("longer than its Content-Length") != "");
}

TEST_CASE("a coroutine handler ends with its client")
{
    std::atomic<int> ended = 0;
    struct guard {
        std::atomic<int>& count;
        ~guard() { ++count; }
    };
    deadlines limits;
    limits.write = 100ms; // so that it is looked for often
    SUBCASE("which goes away") {}
    SUBCASE("whose patience is a setting") { limits.handler = 100ms; }
    running app(
        [&](plain_server& server) {
            server.router.get("/never", [&](request&, response&) -> awaitable<> {
                const guard here{ended};
                boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, 1h);
                co_await timer.async_wait(boost::asio::deferred);
            });
        },
        with(limits));
    {
        client one(app.port());
        one.send(get("/never"));
        CHECK(eventually([&] { return app.server.connections() == 1; }));
        if (limits.handler.count() != 0)
            CHECK(one.is_closed_within(5s));
    }
    CHECK(app.is_empty());
    CHECK(ended == 1);
    CHECK(app.log.find("ERROR") == "");
}

TEST_CASE("a large response to a slow client arrives whole")
{
    running app(
        [](plain_server& server) { server.router.get("/large", [](request&, response& res) { res.borrow(large); }); });
    client one(app.port(), 16 * 1024);
    one.send(get("/large", "Connection: close\r\n"));
    std::string all;
    while (true) {
        const std::string next = one.receive();
        if (next.empty())
            break;
        all += next;
        if (all.size() < 100'000)
            std::this_thread::sleep_for(2ms);
    }
    CHECK(body_of(all) == large);
}

TEST_CASE("requests per connection are limited when the owner wants it")
{
    plain_config config;
    config.limits.requests_per_connection = 2;
    running app(hello, config);
    client one(app.port());
    one.send(get("/") + get("/") + get("/"));
    const std::string all = one.receive_all();
    CHECK(all.find("Connection: close") != std::string::npos);
    CHECK(all.find("Secure!") != all.rfind("Secure!"));
    CHECK(all.find("Secure!", all.find("Connection: close")) == all.rfind("Secure!"));
}

TEST_CASE("deadlines: who says nothing, or dribbles, is gone")
{
    deadlines limits;
    limits.idle = 200ms;
    limits.header = 200ms;
    limits.body = 200ms;
    limits.min_rate = 1000;
    running app(hello, with(limits));

    SUBCASE("says nothing")
    {
        client one(app.port());
        CHECK(one.is_closed_within(2s));
        CHECK(one.took >= 195ms);
    }
    SUBCASE("says nothing after a request")
    {
        client one(app.port());
        one.send(get("/"));
        one.receive_until("Secure!");
        CHECK(one.is_closed_within(2s));
    }
    SUBCASE("dribbles a header")
    {
        client one(app.port());
        const auto begin = std::chrono::steady_clock::now();
        std::string answer;
        for (const char c : get("/", std::string("X: ") + std::string(1000, 'x'))) {
            if (!one.send({&c, 1}))
                break;
            answer = one.receive(20ms);
            if (!answer.empty())
                break;
        }
        CHECK(status_of(answer) == "HTTP/1.1 408 Request Timeout");
        CHECK(std::chrono::steady_clock::now() - begin < 2s);
    }
    SUBCASE("dribbles a body")
    {
        client one(app.port());
        const auto begin = std::chrono::steady_clock::now();
        one.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
        std::string answer;
        for (int i = 0; i < 500 && answer.empty(); ++i) {
            if (!one.send("x"))
                break;
            answer = one.receive(20ms);
        }
        CHECK(status_of(answer) == "HTTP/1.1 408 Request Timeout");
        CHECK(std::chrono::steady_clock::now() - begin < 2s);
    }
    SUBCASE("an honest but slow body goes on")
    {
        client one(app.port());
        one.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n");
        for (int i = 0; i < 20; ++i) {
            one.send(std::string(500, 'x'));
            std::this_thread::sleep_for(25ms);
        }
        CHECK(status_of(one.receive()) == "HTTP/1.1 200 OK");
    }
    CHECK(app.is_empty());
}

TEST_CASE("deadlines: who never reads is gone")
{
    deadlines limits;
    limits.write = 200ms;
    limits.min_rate = 1000;
    running app(
        [](plain_server& server) {
            server.router.get("/large", [](request&, response& res) { res.borrow(large); });
            server.router.get("/stream", [](request&, response& res) -> awaitable<> {
                while (true)
                    co_await res.write(std::string_view(large).substr(0, 10'000));
            });
        },
        with(limits));
    for (const char* path : {"/large", "/stream"}) {
        CAPTURE(path);
        client one(app.port(), 4096);
        for (int i = 0; i < 20; ++i)
            one.send(get(path));
        CHECK(eventually([&] { return app.log.find("phase=write") != ""; }));
        CHECK(app.is_empty());
    }
}
