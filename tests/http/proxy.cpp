#include <alos/http/proxy.hpp>

#include <doctest/doctest.h>

using namespace alos;
using namespace alos::http;

namespace {

// The proxy for a URL, "direct", or "error".
std::string chosen(const std::string& except, std::string_view target,
                   const std::string& proxy = "http://proxy.test:3128")
{
    const auto found = proxy_for({proxy, proxy, except}, parse_url(target).value());
    if (!found)
        return "error";
    return *found ? (*found)->where.host_and_port() : "direct";
}

}

TEST_CASE("each scheme has its proxy, or none")
{
    const proxies both{"http://a.test:1", "b.test:2", ""};
    CHECK(proxy_for(both, parse_url("http://x.test/").value()).value()->where.host_and_port() == "a.test:1");
    CHECK(proxy_for(both, parse_url("https://x.test/").value()).value()->where.host_and_port() == "b.test:2");
    CHECK_FALSE(proxy_for({}, parse_url("https://x.test/").value()).value().has_value());
    CHECK(chosen("", "http://x.test/", "proxy.test") == "proxy.test:80");
}

TEST_CASE("this machine is asked directly")
{
    for (const char* target : {"http://localhost/", "http://127.0.0.1:8080/", "https://[::1]/", "http://127.1.2.3/"})
        CHECK(chosen("", target) == "direct");
}

TEST_CASE("no_proxy names hosts, domains, addresses, networks and ports")
{
    const std::string list = "example.com, .example.org,*.example.net 192.0.2.0/24,198.51.100.1 2001:db8::/32,"
                             "port.test:8080";
    for (const char* target : {
             "http://example.com/", "http://www.example.com/", "http://EXAMPLE.com:81/", "http://a.example.org/",
             "http://example.org/", "http://a.example.net/", "http://192.0.2.77/", "http://198.51.100.1/",
             "https://[2001:db8::7]/", "http://port.test:8080/"}) {
        CAPTURE(target);
        CHECK(chosen(list, target) == "direct");
    }
    for (const char* target : {"http://notexample.com/", "http://example.com.test/", "http://192.0.3.1/",
                               "http://198.51.100.11/", "https://[2001:db9::7]/", "http://port.test/", "http://com/"}) {
        CAPTURE(target);
        CHECK(chosen(list, target) == "proxy.test:3128");
    }
    CHECK(chosen("*", "http://example.com/") == "direct");
    CHECK(chosen(" , ,", "http://example.com/") == "proxy.test:3128");
    CHECK(chosen("nonsense/99,1.2.3.4/x", "http://1.2.3.4/") == "proxy.test:3128");
}

TEST_CASE("a proxy that cannot be used is said to be")
{
    CHECK(chosen("", "http://x.test/", "https://proxy.test") == "error");
    CHECK(chosen("", "http://x.test/", "socks5://proxy.test") == "error");
    for (const char* setting : {"http://user:secret@", "http://user:secret@proxy.test:0", "https://user:secret@p.test",
                                "user%3aname:secret@proxy.test", "user:secret%0a@proxy.test"}) {
        CAPTURE(setting);
        const auto refused = proxy_for({setting, "", ""}, parse_url("http://x.test/").value());
        REQUIRE(refused.has_error());
        CHECK(refused.error().code == errc::bad_configuration);
        CHECK(refused.error().what.find("http_proxy") != std::string::npos);
        CHECK(refused.error().what.find("secret") == std::string::npos);
    }
}

TEST_CASE("user and password of a proxy are its credentials (RFC 7617 2)")
{
    const auto of = [](const std::string& setting) {
        auto found = proxy_for({"", setting, ""}, parse_url("https://x.test/").value()).value().value();
        CHECK(found.variable == "https_proxy");
        CHECK(found.where.text() == "http://proxy.test:3128/");
        return found.authorization;
    };
    CHECK(of("http://Aladdin:open%20sesame@proxy.test:3128") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    CHECK(of("Aladdin:open%20sesame@proxy.test:3128/") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    CHECK(of("http://proxy.test:3128").empty());
    CHECK(of("http://@proxy.test:3128").empty());
    CHECK(of("user@proxy.test:3128") == "Basic dXNlcjo=");
    // A colon and an '@' in a password, and what is no escape.
    CHECK(of("a:b:c@d@proxy.test:3128") == "Basic YTpiOmNAZA==");
    CHECK(of("a:%3a%40%2f%zz%@proxy.test:3128") == "Basic YTo6QC8lenol");
}

TEST_CASE("a password that ends the authority of its proxy's URL is refused, and not told (RFC 3986 3.2)")
{
    for (const char* setting : {"http://user:12#x@proxy.test:3128", "http://user:12/x@proxy.test:3128",
                                "user:12?x@proxy.test:3128"}) {
        const auto refused = proxy_for({setting, "", ""}, parse_url("http://x.test/").value());
        REQUIRE(refused.has_error());
        CHECK(refused.error().code == errc::bad_configuration);
        CHECK(refused.error().what.find("percent-encode user and password") != std::string::npos);
        CHECK(refused.error().what.find("12") == std::string::npos);
    }
}

TEST_CASE("a proxy that wants to know who asks is named, and what to do (RFC 9110 15.5.8)")
{
    chosen_proxy by{parse_url("http://proxy.test:3128").value(), "", "https_proxy"};
    const std::string unknown = describe_407(by, "Basic realm=\"x\"");
    CHECK(unknown.find("proxy.test:3128") != std::string::npos);
    CHECK(unknown.find("into https_proxy") != std::string::npos);
    CHECK(unknown.find("Basic") == std::string::npos);
    CHECK(describe_407(by, "Negotiate").find("names Negotiate first") != std::string::npos);
    CHECK(describe_407(by, "\x1b[2J").find('\x1b') == std::string::npos);
    by.authorization = "Basic dXNlcjpzZWNyZXQ=";
    const std::string refused = describe_407(by, "Basic");
    CHECK(refused.find("correct them") != std::string::npos);
    CHECK(refused.find("dXNlc") == std::string::npos);
}

TEST_CASE("the environment says which proxies there are, but HTTP_PROXY does not")
{
    for (const char* name : {"http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "HTTP_PROXY"})
        ::unsetenv(name);
    ::setenv("HTTP_PROXY", "evil.test", 1);
    CHECK(proxies_of_environment().http.empty());
    ::setenv("http_proxy", "a.test", 1);
    ::setenv("HTTPS_PROXY", "b.test", 1);
    ::setenv("NO_PROXY", "c.test", 1);
    const proxies upper = proxies_of_environment();
    CHECK(upper.http == "a.test");
    CHECK(upper.https == "b.test");
    CHECK(upper.except == "c.test");
    ::setenv("https_proxy", "d.test", 1);
    ::setenv("no_proxy", "e.test", 1);
    CHECK(proxies_of_environment().https == "d.test");
    CHECK(proxies_of_environment().except == "e.test");
    for (const char* name : {"http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "HTTP_PROXY"})
        ::unsetenv(name);
}
