#include <alos/http/conditional.hpp>

#include <doctest/doctest.h>

#include "support/h1_feed.hpp"

using namespace alos::http;

namespace {

constexpr std::time_t modified = 784111777; // Sun, 06 Nov 1994 08:49:37 GMT
constexpr std::time_t now = 1795000000;

selection ask(const std::string& fields, std::string_view method = "GET")
{
    test::h1_feed feed(std::string(method) + " / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n", 10000);
    REQUIRE(feed.complete);
    return select(feed.request, {"\"v1\"", modified, 1000}, now);
}

bool is_part(const selection& each, std::uint64_t first, std::uint64_t length)
{
    return each.status == 206 && each.first == first && each.length == length;
}

}

TEST_CASE("conditional: without conditions, all of it")
{
    const selection all = ask("");
    CHECK(all.status == 200);
    CHECK(all.length == 1000);
}

TEST_CASE("conditional: If-None-Match is compared weakly (RFC 9110 13.1.2)")
{
    CHECK(ask("If-None-Match: \"v1\"\r\n").status == 304);
    CHECK(ask("If-None-Match: W/\"v1\"\r\n").status == 304);
    CHECK(ask("If-None-Match: \"v0\", \"v1\"\r\n").status == 304);
    CHECK(ask("If-None-Match: *\r\n").status == 304);
    CHECK(ask("If-None-Match: \"v0\"\r\nIf-None-Match: \"v1\"\r\n").status == 304);
    CHECK(ask("If-None-Match: \"v2\"\r\n").status == 200);
    CHECK(ask("If-None-Match: v1\r\n").status == 200);
    CHECK(ask("If-None-Match: \"v1\"\r\n", "HEAD").status == 304);
}

TEST_CASE("conditional: If-Match is compared strongly (RFC 9110 13.1.1)")
{
    CHECK(ask("If-Match: \"v1\"\r\n").status == 200);
    CHECK(ask("If-Match: *\r\n").status == 200);
    CHECK(ask("If-Match: W/\"v1\"\r\n").status == 412);
    CHECK(ask("If-Match: \"v2\"\r\n").status == 412);
}

TEST_CASE("conditional: dates (RFC 9110 13.1.3, 13.1.4)")
{
    CHECK(ask("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n").status == 304);
    CHECK(ask("If-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT\r\n").status == 304);
    CHECK(ask("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n").status == 200);
    CHECK(ask("If-Modified-Since: yesterday\r\n").status == 200);
    CHECK(ask("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n").status == 200);
    CHECK(ask("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n").status == 412);
}

TEST_CASE("conditional: entity tags go before dates (RFC 9110 13.2.2)")
{
    CHECK(ask("If-None-Match: \"v2\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n").status == 200);
    CHECK(ask("If-Match: \"v1\"\r\nIf-Unmodified-Since: Sun, 06 Nov 1990 08:49:36 GMT\r\n").status == 200);
    CHECK(ask("If-Match: \"v2\"\r\nIf-None-Match: \"v1\"\r\n").status == 412);
}

TEST_CASE("conditional: one range (RFC 9110 14.1.2)")
{
    CHECK(is_part(ask("Range: bytes=0-0\r\n"), 0, 1));
    CHECK(is_part(ask("Range: bytes=10-19\r\n"), 10, 10));
    CHECK(is_part(ask("Range: bytes=990-\r\n"), 990, 10));
    CHECK(is_part(ask("Range: bytes=990-5000\r\n"), 990, 10));
    CHECK(is_part(ask("Range: bytes=-10\r\n"), 990, 10));
    CHECK(is_part(ask("Range: bytes=-5000\r\n"), 0, 1000));
    CHECK(is_part(ask("Range: Bytes = 1-2\r\n"), 1, 2));
    CHECK(ask("Range: bytes=1000-\r\n").status == 416);
    CHECK(ask("Range: bytes=-0\r\n").status == 416);
}

TEST_CASE("conditional: what is no single range is ignored (RFC 9110 14.2)")
{
    for (const char* range : {"bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes=1-2,4-5", "bytes", "lines=1-2",
                              "bytes=+1-2", "bytes=1-2x", "bytes=18446744073709551616-", "bytes=--1"})
        CHECK_MESSAGE(ask(std::string("Range: ") + range + "\r\n").status == 200, range);
    CHECK(ask("Range: bytes=0-0\r\n", "HEAD").status == 200);
}

TEST_CASE("conditional: a range of nothing")
{
    CHECK(parse_range("bytes=0-", 0)->status == 416);
    CHECK(parse_range("bytes=-1", 0)->status == 416);
}

TEST_CASE("conditional: If-Range joins only what belongs together (RFC 9110 13.1.5)")
{
    CHECK(is_part(ask("Range: bytes=0-9\r\nIf-Range: \"v1\"\r\n"), 0, 10));
    CHECK(is_part(ask("Range: bytes=0-9\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), 0, 10));
    CHECK(ask("Range: bytes=0-9\r\nIf-Range: \"v2\"\r\n").status == 200);
    CHECK(ask("Range: bytes=0-9\r\nIf-Range: W/\"v1\"\r\n").status == 200);
    CHECK(ask("Range: bytes=0-9\r\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT\r\n").status == 200);
    CHECK(ask("Range: bytes=0-9\r\nIf-Range: x\r\n").status == 200);
}
