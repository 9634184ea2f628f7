#include <alos/server/redirect.hpp>

#include <alos/http/deadline.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <vector>

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

namespace {

struct answer {
    unsigned status = 0;
    std::string location;
    std::string body;
    std::string type;
    bool is_plain = true; // no coroutine was needed
};

struct question {
    verb method = verb::get;
    std::string_view target = "/";
    std::string_view host = "example.com";
    bool has_hopped = false;
};

answer ask(const redirect_routes& routes, question what)
{
    request req;
    response res;
    http::request_data& asked = http::access::data(req);
    asked.method = what.method;
    asked.target = what.target;
    asked.parts.authority = what.host;
    asked.parts.path = what.target.substr(0, what.target.find('?'));
    if (what.has_hopped)
        asked.headers.add("alos-acme-hop", "1");
    http::access::data(res).request = &req;
    const http::handler& run = routes.find(asked).run.inner;
    const bool is_plain = run.is_plain();
    if (is_plain) {
        run.run(req, res);
    } else {
        boost::asio::io_context io;
        boost::asio::co_spawn(io, run.start(req, res), [](std::exception_ptr thrown) { CHECK_FALSE(thrown); });
        io.run();
    }
    const auto field = [&](std::string_view name) { return std::string(res.header(name).value_or("")); };
    return {res.status(), field("Location"), http::access::data(res).body, field("Content-Type"), is_plain};
}

answer ask(const acme::answers& table, verb method, std::string_view host, std::string_view target,
           std::uint16_t port = 8443)
{
    redirect_routes routes(table);
    routes.port(port);
    return ask(routes, {.method = method, .target = target, .host = host});
}

const std::string challenge = "/.well-known/acme-challenge/";

}

TEST_CASE("plain HTTP is redirected: 301, and 308 for other methods than GET and HEAD")
{
    const acme::answers none;
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
    acme::answers table;
    table.put("abc", "abc.thumbprint");
    const answer found = ask(table, verb::get, "example.com", challenge + "abc");
    CHECK(found.body == "abc.thumbprint");
    CHECK(found.status == 200);
    CHECK(found.type == "application/octet-stream");
    CHECK(ask(table, verb::head, "example.com", challenge + "abc").status == 200);
    CHECK(ask(table, verb::get, "example.com", challenge + "other").status == 404);
    CHECK(ask(table, verb::get, "example.com", challenge).status == 404);
    CHECK(ask(table, verb::post, "example.com", challenge + "abc").status == 308);
}

TEST_CASE("RFC 8555 8.3: what is no token is not looked for")
{
    acme::answers table;
    std::vector<std::string> asked;
    table.also_look_in([&](std::string token) -> awaitable<acme::answers::looked_up> {
        asked.push_back(std::move(token));
        co_return std::optional<std::string>("elsewhere");
    });
    for (const std::string& bad : {std::string("a.b"), std::string("../a"), std::string("a/b"), std::string("a b"),
                                   std::string("a="), std::string(513, 'a'), std::string("a\0", 2)}) {
        CAPTURE(bad);
        CHECK(ask(table, verb::get, "example.com", challenge + bad).status == 404);
    }
    CHECK(asked.empty());
    CHECK(ask(table, verb::get, "example.com", challenge + std::string(512, 'a')).body == "elsewhere");
    CHECK(ask(table, verb::get, "example.com", challenge + "aZ09_-").status == 200);
    CHECK(asked.size() == 2);
}

namespace {

// Another node, and what it was asked.
struct node {
    acme::answers table;
    redirect_routes routes{table};
    std::vector<http::outbound_request> asked;
    outcome<http::outbound_response> says =
        http::outbound_response{.status = 200, .fields = {}, .body = "theirs", .url = {}};

    std::vector<std::string> log;

    node()
    {
        const auto fetch = [this](http::outbound_request what) -> awaitable<outcome<http::outbound_response>> {
            asked.push_back(std::move(what));
            co_return says;
        };
        const auto note = [this](log_level level, std::string_view event, std::initializer_list<log_field> fields) {
            std::string line = level == log_level::warning ? "warning " : "info ";
            line += event;
            for (const log_field& each : fields)
                line.append(" ").append(std::get<std::string_view>(each.value));
            log.push_back(std::move(line));
        };
        REQUIRE(routes.forward_to({"node.example:8080", fetch, note}).has_value());
    }

    answer get(std::string_view token, bool has_hopped = false, verb method = verb::get)
    {
        const std::string target = challenge + std::string(token);
        return ask(routes, {.method = method, .target = target, .has_hopped = has_hopped});
    }
};

}

TEST_CASE_FIXTURE(node, "the other node is asked for challenges that are not ours, and only for them")
{
    table.put("mine", "mine.thumbprint");
    table.also_look_in([](std::string token) -> awaitable<acme::answers::looked_up> {
        co_return token == "shared" ? std::optional<std::string>("shared.thumbprint") : std::nullopt;
    });
    CHECK(get("mine").body == "mine.thumbprint");
    CHECK(get("shared").body == "shared.thumbprint");
    CHECK(get("a.b").status == 404);
    CHECK(get("").status == 404);
    CHECK(get("token", false, verb::post).status == 308);
    CHECK(ask(routes, {.target = "/"}).status == 301);
    CHECK(ask(routes, {.target = "/"}).is_plain);
    CHECK(asked.empty());

    const answer theirs = get("token");
    CHECK(theirs.status == 200);
    CHECK(theirs.body == "theirs");
    CHECK(theirs.type == "application/octet-stream");
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].method == "GET");
    CHECK(asked[0].url == "http://node.example:8080/.well-known/acme-challenge/token");
    CHECK(asked[0].fields == http::outbound_fields{{"Alos-Acme-Hop", "1"}});
    CHECK(asked[0].max_body == 4096);
    CHECK(asked[0].timeout == std::chrono::seconds(5));
    CHECK(asked[0].max_redirects == 0);
    CHECK(get("token", false, verb::head).status == 200);
}

TEST_CASE_FIXTURE(node, "while nobody knows what other processes answer, that there is no answer is not said")
{
    table.also_look_in([](std::string) -> awaitable<acme::answers::looked_up> {
        co_return error_code(errc::timed_out);
    });
    CHECK(ask(table, verb::get, "example.com", challenge + "token").status == 503);
    CHECK(get("token").body == "theirs");
    CHECK(get("token", true).status == 503);
    says->status = 404;
    CHECK(get("token").status == 503);
}

TEST_CASE("the other node is asked 64 times at once, and no more")
{
    acme::answers none;
    redirect_routes routes(none);
    boost::asio::io_context io;
    boost::asio::steady_timer released(io, boost::asio::steady_timer::time_point::max());
    unsigned asked = 0;
    const auto fetch = [&](http::outbound_request) -> awaitable<outcome<http::outbound_response>> {
        ++asked;
        static_cast<void>(co_await released.async_wait(as_results));
        co_return http::outbound_response{.status = 200, .fields = {}, .body = "theirs", .url = {}};
    };
    REQUIRE(routes.forward_to({"node.example:8080", fetch}).has_value());
    const std::string target = challenge + "token";
    struct visit {
        request req;
        response res;
    };
    std::vector<std::unique_ptr<visit>> visits;
    const auto come = [&] {
        visit& one = *visits.emplace_back(std::make_unique<visit>());
        http::request_data& data = http::access::data(one.req);
        data.method = verb::get;
        data.target = target;
        data.parts.path = target;
        http::access::data(one.res).request = &one.req;
        boost::asio::co_spawn(io, routes.find(data).run.inner.start(one.req, one.res),
                              [](std::exception_ptr thrown) { CHECK_FALSE(thrown); });
    };
    for (int i = 0; i < 65; ++i)
        come();
    io.poll();
    CHECK(asked == 64);
    CHECK(visits.back()->res.status() == 503);
    released.expires_at(boost::asio::steady_timer::time_point::min());
    io.run();
    for (std::size_t i = 0; i < 64; ++i)
        CHECK(visits[i]->res.status() == 200);
    io.restart();
    come();
    io.run();
    CHECK(visits.back()->res.status() == 200);
}

TEST_CASE_FIXTURE(node, "a request that has come from another node goes no further")
{
    table.put("mine", "mine.thumbprint");
    CHECK(get("mine", true).body == "mine.thumbprint");
    CHECK(get("token", true).status == 404);
    CHECK(asked.empty());
}

TEST_CASE_FIXTURE(node, "the node's 200 and 404 are passed on; all else is 502")
{
    says = http::outbound_response{.status = 404, .fields = {}, .body = "not here", .url = {}};
    CHECK(get("token").status == 404);
    CHECK(get("token").body == "not here");
    for (const unsigned status : {204u, 301u, 403u, 500u}) {
        says = http::outbound_response{.status = status, .fields = {{"Location", "http://a/"}}, .body = "x", .url = {}};
        CHECK(get("token").status == 502);
        CHECK(get("token").location.empty());
    }
    says = http::outbound_response{.status = 200, .fields = {}, .body = std::string(4096, 'x'), .url = {}};
    CHECK(get("token").status == 200);
    says->body += 'x';
    CHECK(get("token").status == 502);
    says = failure{errc::timed_out, "node.example:8080 did not answer in 5 s"};
    CHECK(get("token").status == 502);
}

TEST_CASE_FIXTURE(node, "a node that does not answer is told of once, and when it answers again")
{
    CHECK(get("token").status == 200);
    CHECK(log.empty());
    says = failure{errc::timed_out, "no route to it"};
    for (int i = 0; i < 3; ++i)
        CHECK(get("token").status == 502);
    CHECK(log
          == std::vector<std::string>{"warning acme.node node.example:8080 no route to it CAs that ask for its "
                                      "challenges here get 502; start it, or correct acme_node"});
    says = http::outbound_response{.status = 404, .fields = {}, .body = "not here", .url = {}};
    for (int i = 0; i < 3; ++i)
        CHECK(get("token").status == 404);
    REQUIRE(log.size() == 2);
    CHECK(log.back() == "info acme.node node.example:8080 it answers again");
    // Another node is another matter.
    const auto broken = [](http::outbound_request) -> awaitable<outcome<http::outbound_response>> {
        co_return http::outbound_response{.status = 500, .fields = {}, .body = {}, .url = {}};
    };
    std::string line;
    REQUIRE(routes
                .forward_to({"other.example:80", broken,
                             [&](log_level, std::string_view, std::initializer_list<log_field> fields) {
                                 for (const log_field& each : fields)
                                     line.append(" ").append(std::get<std::string_view>(each.value));
                             }})
                .has_value());
    CHECK(get("token").status == 502);
    CHECK(line.starts_with(" other.example:80 it answers a challenge with status 500 "));
}

TEST_CASE_FIXTURE(node, "the node's address is host:port, and an empty one is no node")
{
    for (const char* bad : {"node.example", ":80", "node.example:0", "http://node.example:80", "a/b:80", "a b:80"}) {
        CAPTURE(bad);
        const auto refused = routes.forward_to({bad, {}});
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().code == errc::bad_configuration);
        CHECK(refused.error().what.find(bad) != std::string::npos);
    }
    CHECK(get("token").body == "theirs");
    const auto echo = [](http::outbound_request what) -> awaitable<outcome<http::outbound_response>> {
        co_return http::outbound_response{.status = 200, .fields = {}, .body = what.url, .url = {}};
    };
    CHECK(routes.forward_to({"[2001:db8::1]:80", echo}).has_value());
    CHECK(get("token").body == "http://[2001:db8::1]:80/.well-known/acme-challenge/token");
    REQUIRE(routes.forward_to({}).has_value());
    CHECK(get("token").status == 404);
    CHECK(get("token").is_plain);
}
