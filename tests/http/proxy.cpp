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
    return *found ? (*found)->host_and_port() : "direct";
}

}

TEST_CASE("each scheme has its proxy, or none")
{
    const proxies both{"http://a.test:1", "b.test:2", ""};
    CHECK(proxy_for(both, parse_url("http://x.test/").value()).value()->host_and_port() == "a.test:1");
    CHECK(proxy_for(both, parse_url("https://x.test/").value()).value()->host_and_port() == "b.test:2");
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
    const auto refused = proxy_for({"http://user:secret@proxy.test", "", ""}, parse_url("http://x.test/").value());
    CHECK(refused.error().code == errc::bad_configuration);
    CHECK(refused.error().what.find("http_proxy") != std::string::npos);
    CHECK(refused.error().what.find("secret") == std::string::npos);
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
