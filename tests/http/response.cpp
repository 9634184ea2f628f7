#include <alos/http/response.hpp>

#include <doctest/doctest.h>

#include "support/memory_io.hpp"
#include "support/run.hpp"

using alos::response;
using alos::http::access;
using alos::http::body_kind;

TEST_CASE("response: whole bodies and their types")
{
    response res;
    res.string("hello");
    CHECK(access::data(res).body == "hello");
    CHECK(res.header("content-type") == "text/plain; charset=utf-8");
    CHECK(access::data(res).length() == 5);

    response page;
    page.html("<p>");
    CHECK(page.header("Content-Type") == "text/html; charset=utf-8");

    response raw;
    const std::uint8_t data[] = {0, 1, 2};
    raw.bytes(data);
    CHECK(raw.header("Content-Type") == "application/octet-stream");
    CHECK(access::data(raw).body.size() == 3);

    response own;
    own.set("Content-Type", "image/png").bytes(data);
    CHECK(own.header("Content-Type") == "image/png");

    response borrowed;
    borrowed.borrow("for ever", "text/css");
    CHECK(access::data(borrowed).kind == body_kind::borrowed);
    CHECK(access::data(borrowed).length() == 8);

    response moved;
    moved.body(std::string(100000, 'x'), "text/csv");
    CHECK(access::data(moved).length() == 100000);
}

TEST_CASE("response: fields are set, added and removed without regard to case")
{
    response res;
    res.set("X-A", "1").append("x-a", "2").append("B", "3").append("X-A", "4");
    CHECK(access::data(res).headers.text() == "X-A: 1\r\nx-a: 2\r\nB: 3\r\nX-A: 4\r\n");
    res.set("x-A", "5");
    CHECK(access::data(res).headers.text() == "B: 3\r\nx-A: 5\r\n");
    CHECK(access::data(res).headers[1].name == "x-A");
    CHECK(access::data(res).headers[1].value == "5");
    res.remove("b");
    res.set("Content-Length", "5").set("Connection", "close").remove("content-length").remove("connection");
    CHECK_FALSE(access::data(res).declared_length);
    CHECK_FALSE(access::data(res).close);
    CHECK(access::data(res).headers.text() == "x-A: 5\r\n");
    CHECK_FALSE(res.header("b"));
}

TEST_CASE("response: no field can be smuggled into another (RFC 9110 5.5)")
{
    response res;
    for (const char* value : {"a\r\nX: y", "a\nX: y", "a\rb", "\n", "a\x01", "\x7f"}) {
        CHECK_THROWS_AS(res.set("X", value), std::invalid_argument);
        CHECK_THROWS_AS(res.append("X", value), std::invalid_argument);
        CHECK_THROWS_AS(res.trailer("X", value), std::invalid_argument);
        CHECK_THROWS_AS(res.redirect(value), std::invalid_argument);
        CHECK_THROWS_AS(res.body("x", value), std::invalid_argument);
    }
    CHECK_THROWS_AS(res.set("X", std::string_view("a\0b", 3)), std::invalid_argument);
    for (const char* name : {"", "a b", "a:", "a\r\nb", "\xc3\xbc", "a\n"})
        CHECK_THROWS_AS(res.set(name, "x"), std::invalid_argument);
    CHECK_THROWS_AS(res.set_cookie({.name = "a", .value = "b\r\nX: y"}), std::invalid_argument);
    CHECK(access::data(res).headers.empty());
}

TEST_CASE("response: framing is not the handler's (RFC 9112 6)")
{
    response res;
    for (const char* name : {"Transfer-Encoding", "TE", "Trailer", "upgrade"})
        CHECK_THROWS_AS(res.set(name, "chunked"), std::invalid_argument);
    CHECK_THROWS_AS(res.set("Connection", "keep-alive"), std::invalid_argument);
    CHECK_THROWS_AS(res.set("Content-Length", "x"), std::invalid_argument);
    CHECK_THROWS_AS(res.set("Content-Length", "1, 2"), std::invalid_argument);
    CHECK_THROWS_AS(res.set("Content-Length", ""), std::invalid_argument);
    CHECK_THROWS_AS(res.trailer("Content-Length", "1"), std::invalid_argument);
    res.append("Content-Length", "17").set("connection", "Close");
    CHECK(access::data(res).declared_length == 17);
    CHECK(access::data(res).close);
    CHECK(access::data(res).headers.empty());
}

TEST_CASE("response: only final status codes (RFC 9110 15)")
{
    response res;
    CHECK(res.status() == 200);
    CHECK(res.status(404).status() == 404);
    for (const unsigned code : {0u, 99u, 100u, 101u, 600u, 1000u})
        CHECK_THROWS_AS(res.status(code), std::invalid_argument);
}

TEST_CASE("response: redirect (RFC 9110 15.4)")
{
    response res;
    res.redirect("/there");
    CHECK(res.status() == 302);
    CHECK(res.header("Location") == "/there");
    CHECK(res.redirect("https://example.com/", 308).status() == 308);
    CHECK_THROWS_AS(res.redirect("/", 200), std::invalid_argument);
    CHECK_THROWS_AS(res.redirect("/a b"), std::invalid_argument);
}

TEST_CASE("response: cookies are added, not replaced (RFC 6265 4.1)")
{
    response res;
    res.set_cookie({.name = "a", .value = "1"}).set_cookie({.name = "b", .value = "2"}).delete_cookie("c");
    CHECK(access::data(res).headers.size() == 3);
    CHECK(access::data(res).headers[2].value == "c=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax");
}

TEST_CASE("response: pieces are written as they come")
{
    response res;
    test::memory_io io(res);
    test::run([](response& res) -> alos::awaitable<> {
        co_await res.write("a");
        co_await res.write("b");
    }(res));
    CHECK(io.written == std::vector<std::string>{"a", "b"});
    CHECK(access::data(res).kind == body_kind::streamed);
    CHECK_FALSE(access::data(res).length());
}

TEST_CASE("response: after the head has left nothing of it can be changed")
{
    response res;
    test::memory_io io(res);
    test::run(res.write("a"));
    CHECK(res.head_sent());
    CHECK_THROWS_AS(res.status(404), std::logic_error);
    CHECK_THROWS_AS(res.set("A", "b"), std::logic_error);
    CHECK_THROWS_AS(res.string("x"), std::logic_error);
    CHECK_THROWS_AS(res.reset(), std::logic_error);
    CHECK_NOTHROW(res.trailer("A", "b"));
}

TEST_CASE("response: what was set whole is not streamed, and plain handlers do not stream")
{
    response res;
    CHECK_THROWS_AS((void)res.write("a"), std::logic_error);
    test::memory_io io(res);
    res.string("x");
    CHECK_THROWS_AS((void)res.write("a"), std::logic_error);
    res.reset();
    CHECK_NOTHROW(test::run(res.write("a")));
}

TEST_CASE("response: a client that is gone ends the handler")
{
    response res;
    test::memory_io io(res);
    io.fails_at = 1;
    int steps = 0;
    const auto handler = [&](response& to) -> alos::awaitable<> {
        for (; steps < 5; ++steps)
            co_await to.write("a");
    };
    CHECK_THROWS_AS(test::run(handler(res)), boost::system::system_error);
    CHECK(steps == 1);
}

TEST_CASE("response: server-sent events")
{
    response res;
    test::memory_io io(res);
    test::run([](response& res) -> alos::awaitable<> {
        co_await res.event("hello");
        alos::server_event each{.data = "a\nb\r\nc\rd", .name = "news", .id = "7", .retry = std::chrono::seconds(2)};
        co_await res.event(each);
        co_await res.event("");
    }(res));
    CHECK(res.header("Content-Type") == "text/event-stream");
    CHECK(res.header("Cache-Control") == "no-store");
    REQUIRE(io.written.size() == 3);
    CHECK(io.written[0] == "data: hello\n\n");
    CHECK(io.written[1] == "event: news\nid: 7\nretry: 2000\ndata: a\ndata: b\ndata: c\ndata: d\n\n");
    CHECK(io.written[2] == "data: \n\n");
    CHECK_THROWS_AS((void)res.event({.data = "", .name = "a\nb"}), std::invalid_argument);
    CHECK_THROWS_AS((void)res.event({.data = "", .id = "a\rb"}), std::invalid_argument);
}

TEST_CASE("response: memory of a large body is not kept for ever")
{
    response res;
    res.body(std::string(1 << 20, 'x'));
    access::data(res).clear();
    CHECK(access::data(res).body.capacity() <= 64 * 1024);
    res.string(std::string(1000, 'x'));
    access::data(res).clear();
    CHECK(access::data(res).body.capacity() >= 1000);
}
