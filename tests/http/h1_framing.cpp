#include <alos/http/h1_framing.hpp>

#include <doctest/doctest.h>

using namespace alos::http;

// The rules one by one are in h1_parser.cpp, through the parser: here is what it never passes on.

TEST_CASE("h1 framing: all checks are constant expressions")
{
    static_assert(!check_header("GET / HTTP/1.0\r\n\r\n", {}));
    static_assert(check_header("GET / HTTP/1.1\r\n\r\n", {}) == errc::bad_host);
    static_assert(!check_trailers("X: y\r\n\r\n", {}));
    static_assert(!check_chunk_line("1f;a=b"));
    static_assert(check_chunk_line("") == errc::bad_chunk);
}

TEST_CASE("h1 framing: the parts of a request line")
{
    request_line line;
    CHECK_FALSE(parse_request_line("GET /a HTTP/1.1", line, {}));
    CHECK(line.method == "GET");
    CHECK(line.target == "/a");
    CHECK(line.version == "HTTP/1.1");
    CHECK(parse_request_line("", line, {}) == errc::bad_request_line);
    CHECK(parse_request_line(" ", line, {}) == errc::bad_request_line);
    CHECK(parse_request_line("  ", line, {}) == errc::bad_request_line);
    CHECK(parse_request_line("GET / ", line, {}) == errc::bad_version);
}
