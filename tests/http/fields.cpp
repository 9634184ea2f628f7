#include <alos/http/fields.hpp>

#include <doctest/doctest.h>

using namespace alos::http;

TEST_CASE("fields: names are compared without regard to case (RFC 9110 5.1)")
{
    fields all;
    all.add("Accept", "a");
    all.add("aCCEPT", "b");
    all.add("Host", "c");
    CHECK(all.find("accept") == "a");
    CHECK(all.find("HOST") == "c");
    CHECK_FALSE(all.find("hos"));
    CHECK(all.contains("host"));
    CHECK(all.all("Accept") == std::vector<std::string_view>{"a", "b"});
    CHECK(all.all("x").empty());
    CHECK(all.size() == 3);
    CHECK(all.begin()->value == "a");
}

TEST_CASE("fields: what a token is (RFC 9110 5.6.2)")
{
    static_assert(is_token("Content-Type") && is_token("!#$%&'*+-.^_`|~09azAZ"));
    for (const char c : std::string_view("\"(),/:;<=>?@[\\]{} \t\r\n\x7f\x80\xff"))
        CHECK_FALSE(is_token_char(c));
    CHECK_FALSE(is_token_char('\0'));
    CHECK_FALSE(is_token(""));
}

TEST_CASE("fields: members of a list (RFC 9110 5.6.1)")
{
    std::string_view list = "a, b ,,C";
    CHECK(next_part(list, ',') == "a");
    CHECK(next_part(list, ',') == "b");
    CHECK(next_part(list, ',') == "");
    CHECK(next_part(list, ',') == "C");
    CHECK(list.empty());
}

TEST_CASE("fields: white space around a value is not part of it (RFC 9110 5.5)")
{
    static_assert(trim(" \t a b\t ") == "a b");
    static_assert(trim("  ").empty());
}
