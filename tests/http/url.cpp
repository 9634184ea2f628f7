#include <alos/http/url.hpp>

#include <doctest/doctest.h>

using namespace alos;
using namespace alos::http;

namespace {

std::string spelled(std::string_view text) { return parse_url(text).value().text(); }

std::string resolved(std::string_view reference)
{
    return resolve_reference(parse_url("http://a/b/c/d;p?q").value(), reference).value().text();
}

}

TEST_CASE("a URL has a scheme, a host, a port and a target (RFC 9110 4.2)")
{
    const url plain = parse_url("HTTP://Example.COM").value();
    CHECK(plain.scheme == "http");
    CHECK(plain.host == "example.com");
    CHECK(plain.port == 80);
    CHECK(plain.target == "/");
    CHECK_FALSE(plain.is_secure());

    const url full = parse_url("https://example.com.:8443/a/b?c=/d?e#f").value();
    CHECK(full == url{"https", "example.com", 8443, "/a/b?c=/d?e"});
    CHECK(full.is_secure());
    CHECK(full.authority() == "example.com:8443");
    CHECK(full.host_and_port() == "example.com:8443");
    CHECK(full.origin() == "https://example.com:8443");
    CHECK(full.text() == "https://example.com:8443/a/b?c=/d?e");

    const url six = parse_url("https://[2001:DB8::0:1]/").value();
    CHECK(six.host == "2001:db8::1");
    CHECK(six.authority() == "[2001:db8::1]");
    CHECK(six.host_and_port() == "[2001:db8::1]:443");
    CHECK(parse_url("http://192.0.2.1:80/").value().authority() == "192.0.2.1");
    CHECK(parse_url("http://[::1]:8080/x").value() == url{"http", "::1", 8080, "/x"});

    CHECK(spelled("https://example.com?q") == "https://example.com/?q");
    CHECK(spelled("https://example.com#f") == "https://example.com/");
    CHECK(spelled("https://example.com:/") == "https://example.com/");
    CHECK(spelled("https://example.com:443/") == "https://example.com/");
    CHECK(spelled("https://example.com/a/../b/./c?d/../e") == "https://example.com/b/c?d/../e");
    CHECK(spelled("https://example.com/%2e/%2F") == "https://example.com/%2e/%2F");
}

TEST_CASE("what is no URL of a server is refused")
{
    using namespace std::string_view_literals;
    for (const std::string_view text : {
             ""sv, "/"sv, "example.com"sv, "//example.com/"sv, "http"sv, "http:"sv, "http:/a"sv, "http://"sv,
             "http:///a"sv, "http://?"sv, "http:example.com"sv, "ftp://a/"sv, "httpss://a/"sv, "file:///etc/passwd"sv,
             "http://user@a/"sv, "http://user:secret@a/"sv, "http://a:0/"sv, "http://a:65536/"sv, "http://a:80x/"sv,
             "http://a:-1/"sv, "http://a:80:80/"sv, "http://[::1/"sv, "http://::1/"sv, "http://[::1]a/"sv,
             "http://[a]/"sv, "http://[192.0.2.1]/"sv, "http://[]/"sv, "http://a b/"sv, "http://a/b c"sv,
             "http://a/\r\nHost: b"sv, "http://a/\0"sv, "http://a\\b/"sv, "http://a%2eb/"sv, "http://b\xc3\xbc"
             "cher.example/"sv,
             "http://a/\xc3\xbc"sv, "http://-a/"sv, "http://300.1.1.1/"sv, "http://a,b/"sv}) {
        CAPTURE(text);
        const auto parsed = parse_url(text);
        REQUIRE(parsed.has_error());
        CHECK(parsed.error().code == boost::system::errc::invalid_argument);
        CHECK(parsed.error().what.find("secret") == std::string::npos);
    }
    CHECK(parse_url("http://a/" + std::string(8192, 'b')).has_error());
    CHECK(parse_url("http://a/" + std::string(8183, 'b')).has_value());
}

TEST_CASE("references are resolved as in the examples (RFC 3986 5.4.1)")
{
    CHECK(resolved("g") == "http://a/b/c/g");
    CHECK(resolved("./g") == "http://a/b/c/g");
    CHECK(resolved("g/") == "http://a/b/c/g/");
    CHECK(resolved("/g") == "http://a/g");
    CHECK(resolved("//g") == "http://g/");
    CHECK(resolved("?y") == "http://a/b/c/d;p?y");
    CHECK(resolved("g?y") == "http://a/b/c/g?y");
    CHECK(resolved("#s") == "http://a/b/c/d;p?q");
    CHECK(resolved("g?y#s") == "http://a/b/c/g?y");
    CHECK(resolved(";x") == "http://a/b/c/;x");
    CHECK(resolved("g;x?y#s") == "http://a/b/c/g;x?y");
    CHECK(resolved("") == "http://a/b/c/d;p?q");
    CHECK(resolved(".") == "http://a/b/c/");
    CHECK(resolved("./") == "http://a/b/c/");
    CHECK(resolved("..") == "http://a/b/");
    CHECK(resolved("../") == "http://a/b/");
    CHECK(resolved("../g") == "http://a/b/g");
    CHECK(resolved("../..") == "http://a/");
    CHECK(resolved("../../g") == "http://a/g");
}

TEST_CASE("odd references are resolved as in the examples (RFC 3986 5.4.2)")
{
    CHECK(resolved("../../../g") == "http://a/g");
    CHECK(resolved("/./g") == "http://a/g");
    CHECK(resolved("/../g") == "http://a/g");
    CHECK(resolved("g.") == "http://a/b/c/g.");
    CHECK(resolved("..g") == "http://a/b/c/..g");
    CHECK(resolved("./../g") == "http://a/b/g");
    CHECK(resolved("./g/.") == "http://a/b/c/g/");
    CHECK(resolved("g/./h") == "http://a/b/c/g/h");
    CHECK(resolved("g/../h") == "http://a/b/c/h");
    CHECK(resolved("g;x=1/../y") == "http://a/b/c/y");
    CHECK(resolved("g?y/../x") == "http://a/b/c/g?y/../x");
    CHECK(resolved("https://g:8443/h") == "https://g:8443/h");
    CHECK(resolved("g/a:b") == "http://a/b/c/g/a:b");
    const url base = parse_url("http://a/b/c/d;p?q").value();
    for (const char* each : {"http:g", "g:h", "javascript:alert(1)", "//", "//user@b/", "g h", "\r\n"}) {
        CAPTURE(each);
        CHECK(resolve_reference(base, each).has_error());
    }
    const url six = parse_url("https://[2001:db8::1]:8443/a").value();
    CHECK(resolve_reference(six, "b").value().text() == "https://[2001:db8::1]:8443/b");
}
