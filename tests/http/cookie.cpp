#include <alos/http/cookie.hpp>

#include <doctest/doctest.h>

using alos::same_site;
using namespace alos::http;

TEST_CASE("cookie: one of many is found (RFC 6265 4.2)")
{
    const std::string_view field = "a=1; b=2;c=\"3\"; empty=; b=4; noise; d=x=y";
    CHECK(find_cookie(field, "a") == "1");
    CHECK(find_cookie(field, "b") == "2");
    CHECK(find_cookie(field, "c") == "3");
    CHECK(find_cookie(field, "empty") == "");
    CHECK(find_cookie(field, "d") == "x=y");
    CHECK_FALSE(find_cookie(field, "noise"));
    CHECK_FALSE(find_cookie(field, "A")); // names are case-sensitive
    CHECK_FALSE(find_cookie("", "a"));
    CHECK_FALSE(find_cookie(";;=;", "a"));
}

TEST_CASE("cookie: what is set, with its attributes (RFC 6265 4.1)")
{
    CHECK(set_cookie_value({.name = "id", .value = "7"}) == "id=7; Path=/; Secure; HttpOnly; SameSite=Lax");
    CHECK(set_cookie_value({.name = "id",
                            .value = "7",
                            .path = "/a",
                            .domain = "example.com",
                            .max_age = std::chrono::hours(1),
                            .expires = std::chrono::system_clock::from_time_t(784111777),
                            .secure = false,
                            .http_only = false,
                            .site = same_site::strict}) ==
          "id=7; Path=/a; Domain=example.com; Max-Age=3600; Expires=Sun, 06 Nov 1994 08:49:37 GMT; SameSite=Strict");
    CHECK(set_cookie_value({.name = "a", .value = "", .path = "", .site = same_site::none}) ==
          "a=; Secure; HttpOnly; SameSite=None");
    CHECK(set_cookie_value({.name = "a", .value = "", .site = same_site::unset}) == "a=; Path=/; Secure; HttpOnly");
}

TEST_CASE("cookie: nothing can be smuggled into one (RFC 6265 4.1.1)")
{
    CHECK_THROWS_AS(set_cookie_value({.name = "", .value = ""}), std::invalid_argument);
    CHECK_THROWS_AS(set_cookie_value({.name = "a b", .value = ""}), std::invalid_argument);
    for (const char* value : {"a;b", "a b", "a\r\nb", "a,b", "\"", "\\", "\x7f", "\xc3\xbc"})
        CHECK_THROWS_AS(set_cookie_value({.name = "a", .value = value}), std::invalid_argument);
    CHECK_THROWS_AS(set_cookie_value({.name = "a", .value = std::string(1, '\0')}), std::invalid_argument);
    CHECK_THROWS_AS(set_cookie_value({.name = "a", .value = "", .path = "/;Domain=x"}), std::invalid_argument);
    CHECK_THROWS_AS(set_cookie_value({.name = "a", .value = "", .domain = "x\n"}), std::invalid_argument);
}
