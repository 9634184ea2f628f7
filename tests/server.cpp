#include <alos/server.hpp>

#include "support/plain_server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

#include <sys/wait.h>

using namespace alos;
using namespace alos_tests;

namespace {

void hello(plain_server& app)
{
    app.router.get("/", [](request&, response& res) { res.string("Secure!"); });
}

// Answers after a while, or never.
void slow(plain_server& app)
{
    hello(app);
    app.router.get("/slow", [](request&, response& res) -> awaitable<> {
        boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, 200ms);
        co_await timer.async_wait(boost::asio::deferred);
        res.string("slow");
    });
    app.router.get("/never", [](request&, response&) -> awaitable<> {
        boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, 1h);
        co_await timer.async_wait(boost::asio::deferred);
    });
}

}

TEST_CASE("a server starts, says so in four lines, and stops")
{
    running app(hello);
    CHECK(app.server.addresses() == std::vector<std::string>{"127.0.0.1:" + std::to_string(app.port())});
    CHECK(app.log.size() == 4);
    CHECK(app.log.find("server.listen").find("https=127.0.0.1:") != std::string::npos);
    CHECK(app.log.find("server.names").find("localhost (self-signed, ECDSA P-256, 364 days left)")
          != std::string::npos);
    CHECK(app.log.find("server.protocols").find("alpn=http/1.1") != std::string::npos);
    CHECK(app.log.find("server.threads").find("threads=1") != std::string::npos);
    app.server.stop();
    app.server.stop();
    app.server.wait();
    app.server.wait();
    CHECK_FALSE(client(app.port()).connected());
}

TEST_CASE("stop() before start(): nothing is served, and nothing hangs")
{
    plain_config config;
    config.addr = "127.0.0.1:0";
    config.log.level = log_level::off;
    plain_server app(config);
    app.add_self_signed_cert("localhost").value();
    app.stop();
    CHECK(app.listen_and_serve_tls() == 0);
}

TEST_CASE("stop() lets requests in flight finish and ends idle connections")
{
    running app(slow);
    client idle(app.port());
    idle.send(get("/"));
    idle.receive_until("Secure!");
    client busy(app.port());
    busy.send(get("/slow"));
    CHECK(eventually([&] { return app.server.connections() == 2; }));
    std::this_thread::sleep_for(50ms);
    app.server.stop();
    CHECK(idle.is_closed_within(5s));
    CHECK_FALSE(idle.was_reset);
    const std::string answer = busy.receive_all();
    CHECK(answer.find("Connection: close") != std::string::npos);
    CHECK(body_of(answer) == "slow");
    app.server.wait();
    CHECK(app.server.connections() == 0);
}

TEST_CASE("what does not finish within the deadline is cut")
{
    plain_config config;
    config.deadlines.stop = 100ms;
    running app(slow, config);
    client never(app.port());
    never.send(get("/never"));
    client half(app.port());
    half.send("GET / HTTP/1.1\r\n");
    CHECK(eventually([&] { return app.server.connections() == 2; }));
    std::this_thread::sleep_for(50ms);
    app.server.stop();
    app.server.wait();
    CHECK(app.server.connections() == 0);
    CHECK(never.receive().empty());
}

TEST_CASE("cut() ends everything at once, and so does the destructor")
{
    auto app = std::make_unique<running>(slow);
    client never(app->port());
    never.send(get("/never"));
    CHECK(eventually([&] { return app->server.connections() == 1; }));
    std::this_thread::sleep_for(20ms);
    SUBCASE("cut") { app->server.cut(); }
    app.reset();
    CHECK(never.receive().empty());
    CHECK_FALSE(never.timed_out);
}

TEST_CASE("a server that cannot start says why in one line, and what helps")
{
    const auto line_of = [](plain_config config) {
        log_lines log;
        config.log = log.settings(log_level::error);
        plain_server app(config);
        app.router.get("/", [](request&, response&) {});
        CHECK(app.listen_and_serve_tls() == 1);
        CHECK(log.size() == 1);
        return log.find("ERROR server.start");
    };
    running first(hello);
    plain_config config;
    config.addr = first.server.addresses().front();
    config.certs = {{.domain = "a.example", .cert_file = "/nowhere/cert.pem", .key_file = {}, .passphrase = {}}};
    CHECK(line_of(config).find("/nowhere/cert.pem") != std::string::npos);
    config.addr = "bad";
    config.certs.clear();
    config.self_signed = {"/nowhere/cert.pem", "/nowhere/key.pem"}; // is warned about, and served from memory
    CHECK(line_of(config).find("host:port") != std::string::npos);
    config.addr = first.server.addresses().front();
    CHECK(line_of(config).find("Address already in use") != std::string::npos);
}

TEST_CASE("routes that contradict each other are an error when the server starts")
{
    log_lines log;
    plain_config config;
    config.addr = "127.0.0.1:0";
    config.log = log.settings();
    plain_server app(config);
    app.router.get("/a", [](request&, response&) {});
    app.router.get("/a", [](request&, response&) {});
    const auto started = app.start();
    REQUIRE_FALSE(started.has_value());
    CHECK(started.error().what.find("/a") != std::string::npos);
}

TEST_CASE("a server that could not start does not start at the second try either")
{
    plain_config config;
    config.addr = "127.0.0.1:0";
    config.log.level = log_level::off;
    SUBCASE("routes")
    {
        plain_server app(config);
        app.router.get("bad", [](request&, response&) {});
        CHECK_FALSE(app.start().has_value());
        CHECK_FALSE(app.start().has_value());
    }
    SUBCASE("TLS settings")
    {
        config.tls.max_fragment = 0;
        plain_server app(config);
        CHECK(app.start().error().what.find("tls.max_fragment") == 0);
        CHECK_FALSE(app.start().has_value());
    }
}

TEST_CASE("a server starts once")
{
    running app(hello);
    const auto again = app.server.start();
    REQUIRE_FALSE(again.has_value());
    CHECK(again.error().what.find("once") != std::string::npos);
    client one(app.port());
    one.send(get("/"));
    CHECK(body_of(one.receive_until("Secure!")) == "Secure!");
}

TEST_CASE("a log hook that throws is nobody's end")
{
    plain_config config;
    config.addr = "127.0.0.1:0";
    config.log = {.level = log_level::debug, .hook = [](const log_record&) { throw 1; }};
    plain_server app(config);
    hello(app);
    REQUIRE(app.start().has_value());
    for (int i = 0; i < 3; ++i) {
        client one(app.port());
        one.send("nonsense\r\n\r\n");
        CHECK(status_of(one.receive_all()) == "HTTP/1.1 400 Bad Request");
    }
    client one(app.port());
    one.send(get("/"));
    CHECK(body_of(one.receive_until("Secure!")) == "Secure!");
    app.stop();
    app.wait();
}

TEST_CASE("no more connections than the limits allow, in total and for one address")
{
    plain_config config;
    SUBCASE("in total") { config.limits.connections = 2; }
    SUBCASE("for one address") { config.limits.connections_per_address = 2; }
    running app(hello, config);
    client one(app.port());
    client two(app.port());
    CHECK(eventually([&] { return app.server.connections() == 2; }));
    client three(app.port());
    CHECK(three.is_closed_within(5s));
    CHECK(app.log.find("server.refused") != "");
    one.send(get("/", "Connection: close\r\n"));
    one.receive_all();
    CHECK(eventually([&] { return app.server.connections() == 1; }));
    client four(app.port());
    four.send(get("/"));
    CHECK(body_of(four.receive_until("Secure!")) == "Secure!");
}

TEST_CASE("plain HTTP redirects and answers challenges")
{
    plain_config config;
    config.http_addr = "127.0.0.1:0";
    running app(hello, config);
    const auto ask = [&](const std::string& text) {
        client one(app.server.http_port());
        one.send(text);
        return one.receive_until("\r\n\r\n");
    };
    const std::string where = "Location: https://example.com:" + std::to_string(app.port()) + "/a?b";
    CHECK(ask("GET /a?b HTTP/1.1\r\nHost: example.com\r\n\r\n").find(where) != std::string::npos);
    const std::string post = ask("POST /a?b HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nabcde");
    CHECK(status_of(post) == "HTTP/1.1 308 Permanent Redirect");
    CHECK(post.find(where) != std::string::npos);
    CHECK(status_of(ask("GET / HTTP/1.1\r\nHost: a/../b@c\r\n\r\n")) == "HTTP/1.1 400 Bad Request");
    CHECK(status_of(ask("GET /.well-known/acme-challenge/t HTTP/1.1\r\nHost: a\r\n\r\n")) == "HTTP/1.1 404 Not Found");
    app.server.challenges().put("t", "t.thumbprint");
    client one(app.server.http_port());
    one.send("GET /.well-known/acme-challenge/t HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    CHECK(body_of(one.receive_all()) == "t.thumbprint");
}

TEST_CASE("a server on somebody else's executor and acceptor")
{
    log_lines log;
    plain_config config;
    config.log = log.settings();
    plain_server app(config);
    hello(app);
    app.add_self_signed_cert("localhost").value();

    boost::asio::io_context context(1);
    boost::asio::ip::tcp::acceptor acceptor(context, {boost::asio::ip::address_v4::loopback(), 0});
    bool ended = false;
    boost::asio::co_spawn(context, app.serve(acceptor), [&](std::exception_ptr thrown) { ended = !thrown; });
    std::thread thread([&] { context.run(); });
    client one(acceptor.local_endpoint().port());
    one.send(get("/"));
    CHECK(body_of(one.receive_until("Secure!")) == "Secure!");
    SUBCASE("ended by stop()") { app.stop(); }
    SUBCASE("ended by its acceptor")
    {
        boost::asio::post(context, [&] { acceptor.close(); });
    }
    CHECK(one.is_closed_within(5s));
    thread.join();
    CHECK(ended);
    CHECK(app.connections() == 0);
}

TEST_CASE("several threads share the connections")
{
    plain_config config;
    config.threads = 3;
    running app(hello, config);
    std::vector<client> clients;
    for (int i = 0; i < 30; ++i)
        clients.emplace_back(app.port());
    for (client& each : clients)
        each.send(get("/"));
    for (client& each : clients)
        CHECK(body_of(each.receive_until("Secure!")) == "Secure!");
    app.server.stop();
    for (client& each : clients)
        CHECK(each.is_closed_within(5s));
    app.server.wait();
}

TEST_CASE("a listening socket from the service manager (LISTEN_FDS)")
{
    // In a process of its own, as the descriptor has to be number 3.
    auto made = listen_on(resolve_address("127.0.0.1:0").value().front(), 1).value();
    const std::uint16_t port = to_tcp(made.endpoint)->port();
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(made.sockets.front().get(), 3);
        ::setenv("LISTEN_FDS", "1", 1);
        ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
        plain_config config;
        config.addr = "192.0.2.1:1"; // is not used
        config.threads = 2;
        config.log.level = log_level::off;
        plain_server app(config);
        hello(app);
        app.router.post("/stop", [&](request&, response& res) {
            res.string("bye");
            app.stop();
        });
        app.add_self_signed_cert("localhost").value();
        ::_exit(app.listen_and_serve_tls());
    }
    REQUIRE(child > 0);
    client one(port);
    one.send(get("/"));
    CHECK(body_of(one.receive_until("Secure!")) == "Secure!");
    one.send("POST /stop HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(one.receive_all().ends_with("bye"));
    int status = 0;
    CHECK(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("SIGTERM ends a server properly, a second one at once")
{
    for (const bool twice : {false, true}) {
        CAPTURE(twice);
        auto made = listen_on(resolve_address("127.0.0.1:0").value().front(), 1).value();
        const std::uint16_t port = to_tcp(made.endpoint)->port();
        made.sockets.clear(); // the child takes the port
        const pid_t child = ::fork();
        if (child == 0) {
            plain_config config;
            config.addr = "127.0.0.1:" + std::to_string(port);
            config.log.level = log_level::off;
            plain_server app(config);
            slow(app);
            app.add_self_signed_cert("localhost").value();
            ::_exit(app.listen_and_serve_tls());
        }
        REQUIRE(child > 0);
        REQUIRE(eventually([&] { return client(port).connected(); }));
        client one(port);
        one.send(get(twice ? "/never" : "/slow"));
        std::this_thread::sleep_for(100ms);
        ::kill(child, SIGTERM);
        if (twice) {
            std::this_thread::sleep_for(50ms);
            ::kill(child, SIGTERM);
        } else {
            CHECK(body_of(one.receive_all()) == "slow");
        }
        int status = 0;
        CHECK(::waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0);
    }
}
