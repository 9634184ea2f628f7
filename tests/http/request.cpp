#include <alos/http/request.hpp>

#include <doctest/doctest.h>

#include "support/h1_feed.hpp"
#include "support/memory_io.hpp"
#include "support/run.hpp"

using test::h1_feed;

TEST_CASE("request: query parameters are decoded when they are asked for")
{
    h1_feed feed("GET /?a=x%20y&b&a=2 HTTP/1.1\r\nHost: a\r\n\r\n", 1000);
    CHECK(feed.request.query() == "a=x%20y&b&a=2");
    CHECK(feed.request.query("a") == "x y");
    CHECK(feed.request.query("b") == "");
    CHECK_FALSE(feed.request.query("c"));
    CHECK(feed.request.query_parameters().size() == 3);
    CHECK(feed.request.query("a") == "x y"); // parsed once
    CHECK(feed.request.query_parameters().size() == 3);
}

TEST_CASE("request: cookies from one field or several (RFC 6265 5.4)")
{
    h1_feed feed("GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=2\r\ncookie: c=3\r\n\r\n", 1000);
    CHECK(feed.request.cookie("b") == "2");
    CHECK(feed.request.cookie("c") == "3");
    CHECK_FALSE(feed.request.cookie("d"));
}

TEST_CASE("request: what is known about the connection survives clear()")
{
    h1_feed feed;
    feed.data().client = {boost::asio::ip::make_address("192.0.2.7"), 1234};
    feed.data().tls = alos::tls_facts{"TLSv1.3", "TLS_AES_128_GCM_SHA256", "X25519", "example.com", "http/1.1"};
    feed.data().clear();
    CHECK(feed.request.client().port() == 1234);
    REQUIRE(feed.request.tls() != nullptr);
    CHECK(feed.request.tls()->suite == "TLS_AES_128_GCM_SHA256");
    feed.data().tls.reset();
    CHECK(feed.request.tls() == nullptr);
}

TEST_CASE("request: nothing of one request is left in the next")
{
    h1_feed feed("POST /a%20b?c HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "1\r\nx\r\n0\r\nT: u\r\n\r\n",
                 1000);
    REQUIRE(feed.complete);
    static_cast<void>(feed.request.query("c"));
    feed.data().body = "x";
    feed.data().parameters.push_back({"p", "q"});
    feed.data().clear();
    CHECK(feed.request.method() == alos::verb::unknown);
    CHECK(feed.request.target().empty());
    CHECK(feed.request.path().empty());
    CHECK(feed.request.query().empty());
    CHECK_FALSE(feed.request.query("c"));
    CHECK(feed.request.host().empty());
    CHECK(feed.request.headers().empty());
    CHECK(feed.request.trailers().empty());
    CHECK(feed.request.body().empty());
    CHECK(feed.request.param("p").empty());
    CHECK_FALSE(feed.request.content_length());
    CHECK_FALSE(feed.data().expects_continue);
}

TEST_CASE("request: a body is read in pieces, or in one if it is there already")
{
    const auto read_all = [](alos::request& req, std::string& into, int& pieces) -> alos::awaitable<> {
        while (true) {
            const std::string_view piece = co_await req.read_some();
            if (piece.empty())
                co_return;
            into += piece;
            ++pieces;
        }
    };
    std::string body;
    int pieces = 0;
    alos::request streamed;
    alos::response res;
    test::memory_io io(res);
    io.input = {"ab", "c", "def"};
    alos::http::access::data(streamed).io = &io;
    test::run(read_all(streamed, body, pieces));
    CHECK(body == "abcdef");
    CHECK(pieces == 3);

    alos::request whole;
    alos::http::access::data(whole).body = "all of it";
    body.clear();
    pieces = 0;
    test::run(read_all(whole, body, pieces));
    CHECK(body == "all of it");
    CHECK(pieces == 1);
}
