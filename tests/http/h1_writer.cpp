#include <alos/http/h1_writer.hpp>

#include <doctest/doctest.h>

#include "support/memory_io.hpp"

using alos::verb;
using alos::http::access;
using alos::http::body_kind;
using alos::http::h1_framing;
using alos::http::h1_head;

namespace {

constexpr std::string_view date = "Sun, 06 Nov 1994 08:49:37 GMT";

// A response in the making, and what becomes of it on the wire.
struct answer {
    alos::http::request_data asked;
    alos::response res;
    std::string out;

    answer()
    {
        asked.method = verb::get;
        asked.keep_alive = true;
    }

    h1_head compose(bool keep_alive = true)
    {
        out.clear();
        return append_head(out, asked, access::data(res), date, keep_alive);
    }

    [[nodiscard]] bool has(std::string_view line) const
    {
        return out.find(std::string(line) + "\r\n") != std::string::npos;
    }
};

}

TEST_CASE("h1 writer: status line, Date, fields, framing (RFC 9112 4)")
{
    answer a;
    a.res.set("X-Y", "z").string("hello");
    const h1_head head = a.compose();
    CHECK(a.out == "HTTP/1.1 200 OK\r\n"
                   "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                   "X-Y: z\r\n"
                   "Content-Type: text/plain; charset=utf-8\r\n"
                   "Content-Length: 5\r\n"
                   "\r\n");
    CHECK(head.framing == h1_framing::length);
    CHECK(head.keep_alive);
}

TEST_CASE("h1 writer: a status without a name keeps its space (RFC 9112 4)")
{
    answer a;
    a.res.status(299);
    a.compose();
    CHECK(a.out.starts_with("HTTP/1.1 299 \r\n"));
}

TEST_CASE("h1 writer: a response without a body says so (RFC 9110 8.6)")
{
    answer a;
    CHECK(a.compose().framing == h1_framing::length);
    CHECK(a.has("Content-Length: 0"));
}

TEST_CASE("h1 writer: 204 and 304 have neither body nor length (RFC 9110 6.4.1, 8.6)")
{
    for (const unsigned status : {204u, 304u}) {
        answer a;
        a.res.status(status).string("ignored");
        CHECK(a.compose().framing == h1_framing::none);
        CHECK_FALSE(a.has("Content-Length: 7"));
        CHECK(a.out.find("Content-Length") == std::string::npos);
        CHECK(a.out.find("Transfer-Encoding") == std::string::npos);
    }
}

TEST_CASE("h1 writer: HEAD has the header of GET and no body (RFC 9110 9.3.2)")
{
    answer a;
    a.asked.method = verb::head;
    a.res.string("hello");
    CHECK(a.compose().framing == h1_framing::none);
    CHECK(a.has("Content-Length: 5"));

    answer declared;
    declared.asked.method = verb::head;
    declared.res.set("Content-Length", "1000");
    CHECK(declared.compose().framing == h1_framing::none);
    CHECK(declared.has("Content-Length: 1000"));

    answer streamed;
    streamed.asked.method = verb::head;
    access::data(streamed.res).kind = body_kind::streamed;
    CHECK(streamed.compose().framing == h1_framing::none);
    CHECK(streamed.has("Transfer-Encoding: chunked"));
    CHECK(streamed.compose().keep_alive);
}

TEST_CASE("h1 writer: an unknown length is chunked (RFC 9112 6.3)")
{
    answer a;
    access::data(a.res).kind = body_kind::streamed;
    CHECK(a.compose().framing == h1_framing::chunked);
    CHECK(a.has("Transfer-Encoding: chunked"));
    CHECK(a.out.find("Content-Length") == std::string::npos);

    a.res.set("Content-Length", "7");
    CHECK(a.compose().framing == h1_framing::length);
    CHECK(a.has("Content-Length: 7"));
    CHECK_FALSE(a.has("Transfer-Encoding: chunked"));
}

TEST_CASE("h1 writer: an HTTP/1.0 client gets no chunks but the end of the connection (RFC 9112 6.1)")
{
    answer a;
    a.asked.version = 10;
    access::data(a.res).kind = body_kind::streamed;
    const h1_head head = a.compose();
    CHECK(head.framing == h1_framing::until_close);
    CHECK_FALSE(head.keep_alive);
    CHECK(a.has("Connection: close"));
    CHECK(a.out.find("Transfer-Encoding") == std::string::npos);
}

TEST_CASE("h1 writer: who ends the connection says so (RFC 9112 9.6)")
{
    answer a;
    CHECK_FALSE(a.compose(false).keep_alive);
    CHECK(a.has("Connection: close"));

    answer by_client;
    by_client.asked.keep_alive = false;
    CHECK_FALSE(by_client.compose().keep_alive);
    CHECK(by_client.has("Connection: close"));

    answer by_handler;
    by_handler.res.close();
    CHECK_FALSE(by_handler.compose().keep_alive);
    CHECK(by_handler.has("Connection: close"));
}

TEST_CASE("h1 writer: an HTTP/1.0 client is told that the connection stays (RFC 9112 9.3)")
{
    answer a;
    a.asked.version = 10;
    a.res.string("x");
    CHECK(a.compose().keep_alive);
    CHECK(a.has("Connection: keep-alive"));
}

TEST_CASE("h1 writer: the handler's Date is kept (RFC 9110 6.6.1)")
{
    answer a;
    a.res.set("date", "x");
    a.compose();
    CHECK(a.out.find("1994") == std::string::npos);
}

TEST_CASE("h1 writer: chunks and trailers (RFC 9112 7.1)")
{
    answer a;
    access::data(a.res).kind = body_kind::streamed;
    a.res.trailer("Sum", "7").trailer("X", "y");
    a.compose();
    CHECK(a.has("Trailer: Sum, X")); // RFC 9110 6.6.2
    std::string out;
    alos::http::append_chunk_start(out, 0x1f);
    alos::http::append_last_chunk(out, access::data(a.res));
    CHECK(out == "1f\r\n0\r\nSum: 7\r\nX: y\r\n\r\n");
}

TEST_CASE("h1 writer: an error is a whole response and the last one")
{
    std::string out;
    alos::http::append_error(out, 400, "no", date);
    CHECK(out == "HTTP/1.1 400 Bad Request\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                 "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n");
}
