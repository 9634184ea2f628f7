#include <alos/server/redirect.hpp>

#include <doctest/doctest.h>

using namespace alos;

TEST_CASE("host_of_authority takes hosts and nothing else")
{
    CHECK(host_of_authority("example.com") == "example.com");
    CHECK(host_of_authority("Example.com:80") == "Example.com");
    CHECK(host_of_authority("192.0.2.1:8080") == "192.0.2.1");
    CHECK(host_of_authority("[2001:db8::1]:80") == "[2001:db8::1]");
    for (const char* bad : {"", ":80", "a b", "a@b", "user:pass@host", "a/b", "a\\b", "example.com:80:90",
                            "example.com:x", "[::1", "[]", "[::1]x", "a%2eb", "example.com:1234567"}) {
        CAPTURE(bad);
        CHECK(host_of_authority(bad).empty());
    }
}

TEST_CASE("RFC 9112 3.2: path_and_query drops what stands before the path")
{
    CHECK(path_and_query("/a?b") == "/a?b");
    CHECK(path_and_query("/a?b=http://c/d") == "/a?b=http://c/d");
    CHECK(path_and_query("http://other.example/a?b") == "/a?b");
    CHECK(path_and_query("http://other.example?b=/c") == "/?b=/c");
    CHECK(path_and_query("http://other.example") == "/");
    CHECK(path_and_query("*") == "/");
}

TEST_CASE("challenges come and go")
{
    challenge_table table;
    CHECK_FALSE(table.find("token"));
    table.put("token", "token.thumbprint");
    table.put("token", "token.thumbprint2");
    CHECK(table.find("token") == "token.thumbprint2");
    table.remove("token");
    table.remove("token");
    CHECK_FALSE(table.find("token"));
}

namespace {

struct answer {
    unsigned status;
    std::string location;
    std::string body;
};

answer ask(const challenge_table& table, verb method, std::string_view host, std::string_view target,
           std::uint16_t port = 8443)
{
    redirect_routes routes(table);
    routes.port(port);
    request req;
    response res;
    http::request_data& asked = http::access::data(req);
    asked.method = method;
    asked.target = target;
    asked.parts.authority = host;
    asked.parts.path = target.substr(0, target.find('?'));
    http::access::data(res).request = &req;
    routes.find(asked).run.inner.run(req, res);
    return {res.status(), std::string(res.header("Location").value_or("")), http::access::data(res).body};
}

}

TEST_CASE("plain HTTP is redirected: 301, and 308 for other methods than GET and HEAD")
{
    const challenge_table none;
    CHECK(ask(none, verb::get, "example.com", "/a?b=c").location == "https://example.com:8443/a?b=c");
    CHECK(ask(none, verb::get, "example.com", "/").status == 301);
    CHECK(ask(none, verb::head, "example.com", "/").status == 301);
    CHECK(ask(none, verb::post, "example.com", "/").status == 308);
    CHECK(ask(none, verb::unknown, "example.com", "/").status == 308);
    CHECK(ask(none, verb::get, "example.com:80", "/", 443).location == "https://example.com/");
    CHECK(ask(none, verb::get, "example.com", "//evil.example").location == "https://example.com:8443//evil.example");
    const answer bad = ask(none, verb::get, "a@evil.example", "/");
    CHECK(bad.status == 400);
    CHECK(bad.location.empty());
}

TEST_CASE("RFC 8555 8.3: challenges are answered over plain HTTP")
{
    challenge_table table;
    table.put("abc", "abc.thumbprint");
    CHECK(ask(table, verb::get, "example.com", "/.well-known/acme-challenge/abc").body == "abc.thumbprint");
    CHECK(ask(table, verb::get, "example.com", "/.well-known/acme-challenge/abc").status == 200);
    CHECK(ask(table, verb::get, "example.com", "/.well-known/acme-challenge/other").status == 404);
    CHECK(ask(table, verb::get, "example.com", "/.well-known/acme-challenge/").status == 404);
    CHECK(ask(table, verb::post, "example.com", "/.well-known/acme-challenge/abc").status == 308);
}
