#include <alos/http/h1.hpp>

#include <doctest/doctest.h>

#include "support/h1_serve.hpp"

using alos::request;
using alos::response;
using alos::router;
using test::h1_server;

namespace {

// The answers without the lines that all of them have.
std::string answers(const router& routes, std::string_view input, std::size_t piece)
{
    h1_server server(routes);
    for (; !input.empty(); input.remove_prefix(std::min(piece, input.size())))
        server.feed(input.substr(0, piece));
    std::string text = server.output;
    const std::string date = "Date: " + std::string(h1_server::date) + "\r\n";
    for (std::size_t at = text.find(date); at != std::string::npos; at = text.find(date))
        text.erase(at, date.size());
    return text + (server.open ? "" : "[closed]");
}

}

TEST_CASE("h1: requests behind one another are answered in their order (RFC 9112 9.3.2)")
{
    router routes;
    routes.get("/:name", [](request& req, response& res) { res.body("<" + std::string(req.param("name")) + ">"); });
    routes.post("/", [](request& req, response& res) { res.body(std::string(req.body())); });
    REQUIRE(routes.build().has_value());
    const std::string input = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
                              "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                              "HEAD /b HTTP/1.1\r\nHost: x\r\n\r\n"
                              "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
                              "GET /c HTTP/1.0\r\n\r\n"
                              "GET /d HTTP/1.0\r\n\r\n";
    for (const std::size_t piece : {input.size(), std::size_t{1}, std::size_t{10}}) {
        CHECK(answers(routes, input, piece) == "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<a>"
                                               "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
                                               "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
                                               "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
                                               "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n<c>"
                                               "[closed]");
    }
}

TEST_CASE("h1: what cannot be read is answered once, and nothing behind it is")
{
    router routes;
    REQUIRE(routes.build().has_value());
    const std::string input =
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    const std::string got = answers(routes, input, input.size());
    CHECK(got.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    CHECK(got.ends_with("\r\n\r\nmalformed or contradictory Content-Length\n[closed]"));
}

TEST_CASE("h1: small bodies go behind the head, large ones and files by themselves")
{
    alos::http::h1_exchange exchange;
    const alos::http::h1_limits limits;
    exchange.start(limits);
    exchange.asked().method = alos::verb::get;
    exchange.response.string(std::string(alos::http::small_body, 'x'));
    CHECK(exchange.compose(h1_server::date, true).rest.empty());
    CHECK(exchange.out.ends_with("xxx"));

    exchange.start(limits);
    exchange.asked().method = alos::verb::get;
    const std::string large(alos::http::small_body + 1, 'y');
    exchange.response.borrow(large);
    CHECK(exchange.compose(h1_server::date, true).rest.data() == large.data());
    CHECK(exchange.out.ends_with("\r\n\r\n"));

    exchange.start(limits);
    exchange.asked().method = alos::verb::head;
    exchange.response.borrow(large);
    CHECK(exchange.compose(h1_server::date, true).rest.empty());
    CHECK(exchange.out.find("Content-Length: 16385\r\n") != std::string::npos);
}

TEST_CASE("h1: a handler that throws costs a 500 and nothing else")
{
    router routes;
    routes.get("/a", [](request&, response&) { throw std::runtime_error("no"); });
    routes.get("/b", [](request&, response& res) { res.set("X", "a\r\nY: b"); });
    REQUIRE(routes.build().has_value());
    const std::string got =
        answers(routes, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n", 1000);
    const std::string one = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n"
                            "Content-Length: 26\r\n\r\n500 Internal Server Error\n";
    CHECK(got == one + one);
}
