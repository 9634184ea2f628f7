#include <alos/http/uri.hpp>

#include <doctest/doctest.h>

using namespace alos::http;

namespace {

std::optional<std::string> normal(std::string_view raw)
{
    std::string storage;
    const auto path = normalise_path(raw, storage);
    return path ? std::optional(std::string(*path)) : std::nullopt;
}

}

TEST_CASE("uri: dot segments are removed (RFC 3986 5.2.4)")
{
    CHECK(normal("/") == "/");
    CHECK(normal("/a/b/c/./../../g") == "/a/g");
    CHECK(normal("/a/..") == "/");
    CHECK(normal("/a/../") == "/");
    CHECK(normal("/a/.") == "/a/");
    CHECK(normal("/..") == "/");
    CHECK(normal("/../../etc/passwd") == "/etc/passwd");
    CHECK(normal("/a//../b") == "/a/b");
    CHECK(normal("/a/.../b") == "/a/.../b");
    CHECK(normal("/.well-known/x") == "/.well-known/x");
    CHECK(normal("/a/b/..") == "/a/");
    CHECK(normal("//") == "//");
}

TEST_CASE("uri: dots that were encoded are dots (RFC 3986 6.2.2.2)")
{
    CHECK(normal("/%2e%2E/a") == "/a");
    CHECK(normal("/a/%2e%2e/b") == "/b");
    CHECK(normal("/a/.%2e/b") == "/b");
    CHECK(normal("/%252e%252e/a") == "/%2e%2e/a"); // decoded once
}

TEST_CASE("uri: a path is percent-decoded (RFC 3986 2.1)")
{
    CHECK(normal("/a%20b") == "/a b");
    CHECK(normal("/%C3%BC") == "/\xc3\xbc");
    CHECK(normal("/a+b") == "/a+b");
    CHECK_FALSE(normal("/%"));
    CHECK_FALSE(normal("/%1"));
    CHECK_FALSE(normal("/%g1"));
    CHECK_FALSE(normal("/%00"));
    CHECK_FALSE(normal("/a%2Fb"));
    CHECK_FALSE(normal("/..%2fetc"));
}

TEST_CASE("uri: a path that needs no change is not copied")
{
    std::string storage;
    const std::string_view raw = "/index.html";
    CHECK(normalise_path(raw, storage)->data() == raw.data());
    CHECK(storage.capacity() < 32);
}

TEST_CASE("uri: a query's parameters are decoded as forms are")
{
    std::vector<parameter> parameters;
    std::string storage;
    parse_form("a=1&b=x+y%20z&c&=d&&a=2&%C3%BC=%&f=%2", parameters, storage);
    REQUIRE(parameters.size() == 7);
    CHECK(parameters[0].name == "a");
    CHECK(parameters[0].value == "1");
    CHECK(parameters[1].value == "x y z");
    CHECK(parameters[2].name == "c");
    CHECK(parameters[2].value.empty());
    CHECK(parameters[3].name.empty());
    CHECK(parameters[4].value == "2");
    CHECK(parameters[5].name == "\xc3\xbc");
    CHECK(parameters[5].value == "%");
    CHECK(parameters[6].value == "%2");
}

TEST_CASE("uri: an encoded path decodes to what it was")
{
    std::string path = "/";
    for (int byte = 1; byte < 256; ++byte) {
        if (byte != '/' && byte != '.')
            path.push_back(static_cast<char>(byte));
    }
    std::string encoded;
    append_encoded_path(encoded, path);
    CHECK(std::ranges::all_of(encoded, [](char c) { return is_target_char(c) && c != '?' && c != '"'; }));
    CHECK(normal(encoded) == path);
}

TEST_CASE("uri: host and port (RFC 3986 3.2)")
{
    for (const char* good :
         {"", "a", "a:1", "a.b-c.example", "192.0.2.1:80", "[::1]", "[2001:db8::1]:443", "a:", "%41"})
        CHECK_MESSAGE(is_host_and_port(good), good);
    for (const char* bad : {"a b", "a:b", "a:1:2", "a/b", "a?b", "u@a", "[", "[]", "[::1", "[::1]a", "::1", "a:123456",
                            "\xc3\xbc", "a\x01", "a,b", "[g::]"})
        CHECK_FALSE_MESSAGE(is_host_and_port(bad), bad);
}
