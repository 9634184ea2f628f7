#include <alos/http/client.hpp>

#include "support/memory_stream.hpp"
#include "support/scripted_http.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <doctest/doctest.h>

#include <functional>

using namespace alos;
using namespace alos_tests;
using namespace std::chrono_literals;
using http::outbound_request;
using http::outbound_response;

namespace {

std::string ok(const std::string& body, const std::string& fields = {})
{
    return "HTTP/1.1 200 OK\r\n" + fields + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string redirect_to(const std::string& where)
{
    return "HTTP/1.1 302 Found\r\nLocation: " + where + "\r\nContent-Length: 0\r\n\r\n";
}

boost::asio::awaitable<outcome<dns::addresses>> find_loopback(std::string host)
{
    if (host == "unknown.test")
        co_return failure{make_error_code(boost::asio::error::host_not_found), "there is no such host"};
    dns::addresses found;
    if (host == "two.test")
        found.push_back(boost::asio::ip::address_v6::loopback());
    found.push_back(boost::asio::ip::address_v4::loopback());
    co_return found;
}

http::client_options quiet_options()
{
    http::client_options options;
    options.resolve = find_loopback;
    options.via = {};
    return options;
}

// Servers, and a client that asks them.
struct world {
    explicit world(http::client_options options = quiet_options()) : client(context.get_executor(), std::move(options))
    {
    }

    outcome<outbound_response> fetch(outbound_request request)
    {
        std::optional<outcome<outbound_response>> found;
        std::exception_ptr thrown;
        context.restart();
        boost::asio::co_spawn(context, client.fetch(std::move(request)),
                              [&](std::exception_ptr end, outcome<outbound_response> response) {
                                  thrown = end;
                                  found = std::move(response);
                                  context.stop();
                              });
        context.run();
        if (thrown)
            std::rethrow_exception(thrown);
        return std::move(*found);
    }

    outcome<outbound_response> get(const std::string& url)
    {
        outbound_request request;
        request.url = url;
        return fetch(std::move(request));
    }

    boost::asio::io_context context{1};
    http::client client;
};

scripted_http::script always(std::string answer)
{
    return [answer](const std::string&) { return answer; };
}

const authority& ours()
{
    static const authority one;
    return one;
}

std::shared_ptr<const http::trust> trusting(const authority& whom)
{
    return std::make_shared<const http::trust>(http::trust{whom.pem(), false});
}

// A connection without a socket.
struct memory_link {
    using executor_type = memory_stream::executor_type;

    [[nodiscard]] executor_type get_executor() const noexcept { return stream->get_executor(); }

    template <class Buffers, class Token>
    auto async_read_some(const Buffers& buffers, Token&& token)
    {
        return stream->async_read_some(buffers, std::forward<Token>(token));
    }

    template <class Buffers, class Token>
    auto async_write_some(const Buffers& buffers, Token&& token)
    {
        return stream->async_write_some(buffers, std::forward<Token>(token));
    }

    std::shared_ptr<memory_stream> stream;
};

// Whoever is asked gives the same answer and ends, in pieces of that size.
struct memory_dialer {
    using stream_type = memory_link;

    boost::asio::awaitable<outcome<std::pair<memory_link, std::string>>> dial(boost::asio::any_io_executor,
                                                                              dns::addresses, std::uint16_t port)
    {
        auto one = std::make_shared<memory_stream>(*context, piece);
        one->give(as_bytes(answer));
        one->end();
        made->push_back(one);
        co_return std::pair(memory_link{one}, "memory:" + std::to_string(port));
    }

    boost::asio::io_context* context = nullptr;
    std::vector<std::shared_ptr<memory_stream>>* made = nullptr;
    std::size_t piece = 1;
    std::string answer{};
};

// One answer to one request.
outcome<outbound_response> answer_of(std::string bytes, outbound_request request = {})
{
    world one;
    scripted_http server(one.context, always(std::move(bytes)));
    request.url = server.url() + "/";
    return one.fetch(std::move(request));
}

}

TEST_CASE("a request has Host, User-Agent and the caller's fields (RFC 9112 3.2)")
{
    world one;
    scripted_http server(one.context, always(ok("hello", "X-A: 1\r\nx-a: 2\r\n")));
    outbound_request request;
    request.url = server.url() + "/a/b?c=d#e";
    request.fields = {{"Accept", "text/plain"}, {"host", "evil.test"}, {"Transfer-Encoding", "chunked"}};
    const auto response = one.fetch(request);
    REQUIRE(response.has_value());
    CHECK(response->status == 200);
    CHECK(response->body == "hello");
    CHECK(response->field("X-A") == "1");
    CHECK(response->fields.size() == 3);
    CHECK(response->url == server.url() + "/a/b?c=d");
    REQUIRE(server.requests.size() == 1);
    CHECK(server.requests[0] == "GET /a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(server.port())
                                    + "\r\nUser-Agent: alos/0.1.0\r\nAccept: text/plain\r\n\r\n");
}

TEST_CASE("a body travels with its length (RFC 9110 8.6)")
{
    world one;
    scripted_http server(one.context, always(ok("done")));
    outbound_request request;
    request.method = "POST";
    request.url = server.url();
    request.body = std::string(300'000, 'x');
    REQUIRE(one.fetch(request).has_value());
    CHECK(server.requests[0].find("POST / HTTP/1.1\r\n") == 0);
    CHECK(server.requests[0].find("\r\nContent-Length: 300000\r\n") != std::string::npos);
    CHECK(server.requests[0].ends_with("\r\n\r\n" + request.body));
    request.body.clear();
    REQUIRE(one.fetch(request).has_value());
    CHECK(server.requests[1].find("\r\nContent-Length: 0\r\n") != std::string::npos);
    request.method = "DELETE";
    REQUIRE(one.fetch(request).has_value());
    CHECK(server.requests[2].find("Content-Length") == std::string::npos);
}

TEST_CASE("requests that cannot be sent are refused")
{
    world one;
    const auto code = [&](outbound_request request) { return one.fetch(std::move(request)).error().code; };
    const auto invalid = make_error_code(boost::system::errc::invalid_argument);
    outbound_request request;
    CHECK(code(request) == invalid);
    request.url = "ftp://127.0.0.1/";
    CHECK(code(request) == invalid);
    request.url = "http://127.0.0.1/";
    request.method = "GET /";
    CHECK(code(request) == invalid);
    request.method = "CONNECT";
    CHECK(code(request) == invalid);
    request.method = "GET";
    request.fields = {{"A b", "c"}};
    CHECK(code(request) == invalid);
    request.fields = {{"X-Secret", "secret\r\nHost: evil.test"}};
    const auto refused = one.fetch(request);
    CHECK(refused.error().code == invalid);
    CHECK(refused.error().what.find("X-Secret") != std::string::npos);
    CHECK(refused.error().what.find("secret\r") == std::string::npos);
}

TEST_CASE("the end of an answer is found (RFC 9112 6.3)")
{
    CHECK(answer_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n")
              .value().body == "abcde");
    CHECK(answer_of("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end").value().body == "until the end");
    CHECK(answer_of("HTTP/1.1 204 No Content\r\n\r\n").value().status == 204);
    CHECK(answer_of("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy").value().field("retry-after")
          == "7");
    outbound_request head;
    head.method = "HEAD";
    CHECK(answer_of("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", head).value().body.empty());
    const std::string interim = "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n";
    CHECK(answer_of(interim + "HTTP/1.1 100 Continue\r\n\r\n" + ok("x")).value().body == "x");
}

TEST_CASE("an answer that breaks the rules is a failure that says how")
{
    const auto trouble = [](const std::string& bytes) {
        const auto answered = answer_of(bytes);
        return answered ? "an answer" : answered.error().what;
    };
    CHECK(trouble("SSH-2.0-OpenSSH_9\r\n\r\n").find("is not HTTP") != std::string::npos);
    CHECK(trouble("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nConnection: close\r\n\r\n").find("an answer")
          == std::string::npos);
    CHECK(trouble("HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\nConnection: close\r\n\r\n").find("transfer coding")
          != std::string::npos);
    CHECK(trouble("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n").find("changes the protocol")
          != std::string::npos);
    const std::string cut = trouble("HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nshort");
    CHECK(cut.find("before the answer did") != std::string::npos);
    CHECK(trouble("HTTP/1.1 200 OK\r\nConnection: close\r\n").find("before the answer did") != std::string::npos);
    std::string hints;
    for (int i = 0; i < 9; ++i)
        hints += "HTTP/1.1 103 Early Hints\r\n\r\n";
    CHECK(trouble(hints).find("without end") != std::string::npos);
    const std::string endless(300'000, 'x');
    CHECK(trouble("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + endless).find("an answer")
          == std::string::npos);
}

TEST_CASE("header section and body have limits")
{
    outbound_request small;
    small.max_body = 10;
    CHECK(answer_of(ok("0123456789"), small).value().body.size() == 10);
    const auto long_body = answer_of(ok("0123456789a"), small);
    CHECK(long_body.error().code == boost::beast::http::error::body_limit);
    CHECK(long_body.error().what.find("longer than 10 bytes") != std::string::npos);
    const std::string chunks = "b\r\n0123456789a\r\n0\r\n\r\n";
    CHECK(answer_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, small).has_error());
    CHECK(answer_of("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n0123456789a", small).has_error());
    CHECK(answer_of(ok("x", "X: " + std::string(60'000, 'y') + "\r\n")).has_value());
    CHECK(answer_of(ok("x", "X: " + std::string(66'000, 'y') + "\r\n")).error().code
          == boost::beast::http::error::header_limit);
}

TEST_CASE("of an answer that is no success, status and fields count although its body is cut or too long")
{
    outbound_request small;
    small.max_body = 10;
    const std::string busy = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nConnection: close\r\n";
    const auto check = [&](const std::string& rest, const std::string& body) {
        const auto answered = answer_of(busy + rest, small);
        REQUIRE(answered.has_value());
        CHECK(answered->status == 503);
        CHECK(answered->field("Retry-After") == "7");
        CHECK(answered->body == body);
    };
    check("Content-Length: 9\r\n\r\nshort", "short");
    check("Content-Length: 11\r\n\r\n0123456789a", "");
    check("\r\n0123456789a", "");
    check("Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\nb\r\n0123456789a\r\n0\r\n\r\n", "ab");
    check("Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "ab");

    world one; // such a connection is not used again
    scripted_http server(one.context, always("HTTP/1.1 503 Busy\r\nContent-Length: 2000000\r\n\r\nx"));
    CHECK(one.get(server.url()).value().status == 503);
    CHECK(one.client.idle() == 0);
}

TEST_CASE("a connection is used again, as long as both sides want (RFC 9112 9.3)")
{
    world one;
    scripted_http server(one.context, [](const std::string& request) {
        return request.find("/close") != std::string::npos ? ok("bye", "Connection: close\r\n") : ok("hello");
    });
    for (int i = 0; i < 3; ++i)
        CHECK(one.get(server.url()).has_value());
    CHECK(server.connections == 1);
    CHECK(one.client.idle() == 1);
    CHECK(one.get(server.url() + "/close").has_value());
    CHECK(one.client.idle() == 0);
    CHECK(one.get(server.url()).has_value());
    CHECK(server.connections == 2);
    one.client.close_idle();
    CHECK(one.get(server.url()).has_value());
    CHECK(server.connections == 3);
    // Another name of the same server is another origin.
    CHECK(one.get(server.url("a.test")).has_value());
    CHECK(server.connections == 4);
    CHECK(one.client.idle() == 2);
}

TEST_CASE("few connections are kept, and none for long")
{
    http::client_options options = quiet_options();
    options.max_idle = 2;
    world one(options);
    scripted_http server(one.context, always(ok("hello")));
    for (const char* host : {"a.test", "b.test", "c.test"})
        CHECK(one.get(server.url(host)).has_value());
    CHECK(one.client.idle() == 2);

    options.idle_time = 0s;
    world brief(options);
    scripted_http other(brief.context, always(ok("hello")));
    CHECK(brief.get(other.url()).has_value());
    CHECK(brief.get(other.url()).has_value());
    CHECK(other.connections == 2);
}

TEST_CASE("a kept connection that ends without an answer is replaced once (RFC 9112 9.3.1)")
{
    SUBCASE("it had ended before")
    {
        world one;
        scripted_http server(one.context, always(ok("hello")));
        CHECK(one.get(server.url()).has_value());
        server.hang_up();
        CHECK(one.get(server.url()).has_value());
        CHECK(server.connections == 2);
        CHECK(server.requests.size() == 2);
    }
    SUBCASE("it ends when it is used, and the next one answers")
    {
        world one;
        int count = 0;
        scripted_http server(one.context, [&](const std::string&) { return ++count == 2 ? "" : ok("hello"); });
        CHECK(one.get(server.url()).has_value());
        CHECK(one.get(server.url()).has_value());
        CHECK(server.connections == 2);
        CHECK(server.requests.size() == 3);
    }
    SUBCASE("the next one ends as well")
    {
        world one;
        int count = 0;
        scripted_http server(one.context, [&](const std::string&) { return ++count > 1 ? "" : ok("hello"); });
        CHECK(one.get(server.url()).has_value());
        CHECK(one.get(server.url()).has_error());
        CHECK(server.requests.size() == 3);
    }
    SUBCASE("something of the answer came")
    {
        world one;
        int count = 0;
        scripted_http server(one.context, [&](const std::string&) {
            return ++count > 1 ? "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhel" : ok("hello");
        });
        CHECK(one.get(server.url()).has_value());
        CHECK(one.get(server.url()).has_error());
        CHECK(server.requests.size() == 2);
    }
    SUBCASE("a fresh connection is not replaced")
    {
        world one;
        scripted_http server(one.context, always(""));
        const auto refused = one.get(server.url());
        CHECK(refused.error().code == alos::errc::truncated);
        CHECK(server.requests.size() == 1);
    }
}

TEST_CASE("redirections are followed as far as was said (RFC 9110 15.4)")
{
    world one;
    scripted_http other(one.context, always(ok("elsewhere")));
    scripted_http server(one.context, [&](const std::string& request) {
        if (request.find(" /a/start") != std::string::npos)
            return redirect_to("../b?c");
        if (request.find(" /b?c") != std::string::npos)
            return redirect_to(other.url("other.test") + "/there");
        if (request.find(" /loop") != std::string::npos)
            return redirect_to("/loop");
        return redirect_to("ftp://a/");
    });
    outbound_request request;
    request.url = server.url() + "/a/start";
    request.fields = {{"authorization", "secret"}, {"Accept", "x"}};
    CHECK(one.fetch(request).value().status == 302);
    request.max_redirects = 1;
    CHECK(one.fetch(request).error().code == boost::system::errc::too_many_links);
    request.max_redirects = 5;
    server.requests.clear();
    const auto found = one.fetch(request);
    REQUIRE(found.has_value());
    CHECK(found->body == "elsewhere");
    CHECK(found->url == other.url("other.test") + "/there");
    REQUIRE(server.requests.size() == 2);
    CHECK(server.requests[1].find("authorization: secret") != std::string::npos);
    REQUIRE(other.requests.size() == 1);
    CHECK(other.requests[0].find("secret") == std::string::npos);
    CHECK(other.requests[0].find("Accept: x") != std::string::npos);

    request.url = server.url() + "/loop";
    server.requests.clear();
    CHECK(one.fetch(request).has_error());
    CHECK(server.requests.size() == 6);
    request.url = server.url() + "/ftp";
    CHECK(one.fetch(request).error().what.find("a redirection to") != std::string::npos);
    request.method = "POST";
    CHECK(one.fetch(request).value().status == 302);
}

TEST_CASE("https is spoken with whom the caller trusts")
{
    world one;
    scripted_http server(one.context, always(ok("secret")), ours().issue({"localhost", "a.test"}, {{127, 0, 0, 1}}));
    outbound_request request;
    request.authorities = trusting(ours());
    for (const char* host : {"a.test", "127.0.0.1", "two.test"}) {
        CAPTURE(host);
        request.url = server.url(host) + "/";
        const auto answered = one.fetch(request);
        if (std::string(host) == "two.test") {
            REQUIRE(answered.has_error());
            CHECK(answered.error().code == tls_client::errc::wrong_name);
            CHECK(answered.error().what.find("handshake: ") != std::string::npos);
            CHECK(answered.error().what.find("it is for localhost, a.test, 127.0.0.1") != std::string::npos);
        } else {
            REQUIRE(answered.has_value());
            CHECK(answered->body == "secret");
        }
    }
    CHECK(server.connections == 3);
    request.url = server.url("a.test") + "/";
    CHECK(one.fetch(request).has_value());
    CHECK(server.connections == 3); // kept

    // Whoever trusts others does not get the connection that was made for this one.
    static const authority others("Another Authority");
    request.authorities = trusting(others);
    const auto untrusted = one.fetch(request);
    REQUIRE(untrusted.has_error());
    CHECK(untrusted.error().code == tls_client::errc::untrusted);
    CHECK(untrusted.error().what.find("https://a.test:") == 0);
    CHECK(untrusted.error().what.find("(127.0.0.1:") != std::string::npos);
    CHECK(untrusted.error().what.find("Test Authority") != std::string::npos);
    CHECK(untrusted.error().what.find("give its authority's certificate") != std::string::npos);

    request.authorities = std::make_shared<const http::trust>(http::trust{.verifies = false});
    CHECK(one.fetch(request).value().body == "secret");
    request.authorities = std::make_shared<const http::trust>(http::trust{"nonsense", false});
    CHECK(one.fetch(request).error().code == alos::errc::bad_pem);
}

TEST_CASE("the client's clock judges certificates")
{
    http::client_options options = quiet_options();
    options.now = [] { return std::chrono::system_clock::now() + 48h; };
    world late(options);
    scripted_http server(late.context, always(ok("x")), ours().issue({"a.test"}));
    outbound_request request;
    request.url = server.url("a.test");
    request.authorities = trusting(ours());
    const auto expired = late.fetch(request);
    CHECK(expired.error().code == tls_client::errc::expired);
    CHECK(expired.error().what.find("check this machine's clock") != std::string::npos);
}

TEST_CASE("a redirection from https to http is not followed")
{
    world one;
    scripted_http plain(one.context, always(ok("x")));
    scripted_http server(one.context, always(redirect_to(plain.url())), ours().issue({"a.test"}));
    outbound_request request;
    request.url = server.url("a.test");
    request.authorities = trusting(ours());
    request.max_redirects = 3;
    const auto refused = one.fetch(request);
    CHECK(refused.error().code == boost::system::errc::permission_denied);
    CHECK(plain.connections == 0);
}

TEST_CASE("https to a server without TLS, and the other way round")
{
    world one;
    scripted_http plain(one.context, always("HTTP/1.1 400 Bad\r\nConnection: close\r\n\r\n"));
    outbound_request request;
    request.url = "https://127.0.0.1:" + std::to_string(plain.port()) + "/";
    request.authorities = trusting(ours());
    request.timeout = 500ms;
    CHECK(one.fetch(request).has_error());
    scripted_http secure(one.context, always(ok("x")), ours().issue({"a.test"}));
    request.url = "http://127.0.0.1:" + std::to_string(secure.port()) + "/";
    CHECK(one.fetch(request).has_error());
}

TEST_CASE("a failure names the phase, the server and what to do, and no secret")
{
    world one;
    const auto unknown = one.get("https://unknown.test/?token=hunter2");
    CHECK(unknown.error().code == boost::asio::error::host_not_found);
    CHECK(unknown.error().what == "https://unknown.test (unknown.test): resolve: there is no such host");

    std::uint16_t port = 0;
    {
        const boost::asio::ip::tcp::acceptor gone(one.context, {boost::asio::ip::address_v4::loopback(), 0});
        port = gone.local_endpoint().port();
    }
    const auto refused = one.get("http://two.test:" + std::to_string(port) + "/?token=hunter2");
    CHECK(refused.error().code == boost::asio::error::connection_refused);
    CHECK(refused.error().what.find("http://two.test:" + std::to_string(port) + " (two.test): connect: [::1]:") == 0);
    CHECK(refused.error().what.find("127.0.0.1:") != std::string::npos);
    CHECK(refused.error().what.find("firewall") != std::string::npos);

    scripted_http silent(one.context, always(scripted_http::silence));
    outbound_request request;
    request.url = silent.url() + "/?token=hunter2";
    request.timeout = 50ms;
    const auto late = one.fetch(request);
    CHECK(late.error().code == alos::errc::timed_out);
    CHECK(late.error().what.find("answer: not done within 50 ms") != std::string::npos);
    CHECK(late.error().what.find("127.0.0.1:") != std::string::npos);
    for (const auto* each : {&unknown, &refused, &late})
        CHECK(each->error().what.find("hunter2") == std::string::npos);
}

TEST_CASE("a fetch that is cancelled ends with operation_aborted")
{
    world one;
    boost::asio::cancellation_signal cancel;
    scripted_http server(one.context, [&](const std::string&) {
        cancel.emit(boost::asio::cancellation_type::terminal);
        return std::string(scripted_http::silence);
    });
    std::exception_ptr thrown;
    outbound_request request;
    request.url = server.url();
    boost::asio::co_spawn(one.context, one.client.fetch(request),
                          boost::asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr end, auto) {
                              thrown = end;
                              one.context.stop();
                          }));
    one.context.run();
    REQUIRE(thrown);
    try {
        std::rethrow_exception(thrown);
    } catch (const boost::system::system_error& error) {
        CHECK(error.code() == boost::asio::error::operation_aborted);
    }
}

TEST_CASE("an http request goes through a proxy in absolute-form (RFC 9112 3.2.2)")
{
    world one;
    scripted_http proxy(one.context, always(ok("by proxy")));
    http::client_options options = quiet_options();
    options.via.http = proxy.url();
    options.via.except = "direct.test";
    http::client client(one.context.get_executor(), options);
    std::swap(one.client, client);
    CHECK(one.get("http://unknown.test/a?b").value().body == "by proxy");
    CHECK(proxy.requests.at(0).find("GET http://unknown.test/a?b HTTP/1.1\r\nHost: unknown.test\r\n") == 0);
    scripted_http server(one.context, always(ok("direct")));
    CHECK(one.get(server.url("direct.test")).value().body == "direct");
    CHECK(one.get(server.url()).value().body == "direct");
    CHECK(proxy.connections == 1);
}

TEST_CASE("a proxy is told who asks, and the server is not (RFC 9110 11.7.2)")
{
    world one;
    bool is_known = true;
    scripted_http proxy(one.context, [&](const std::string&) {
        return is_known ? ok("by proxy") : "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n";
    });
    scripted_http server(one.context, always("HTTP/1.1 407 Odd\r\nContent-Length: 0\r\n\r\n"));
    http::client_options options = quiet_options();
    options.via.http = "user:pa%20ss@127.0.0.1:" + std::to_string(proxy.port());
    options.via.except = "direct.test";
    one.client = http::client(one.context.get_executor(), options);
    const std::string line = "\r\nProxy-Authorization: Basic dXNlcjpwYSBzcw==\r\n";
    CHECK(one.get("http://unknown.test/a").value().body == "by proxy");
    CHECK(proxy.requests.at(0).find(line) != std::string::npos);
    outbound_request direct;
    direct.url = server.url("direct.test");
    direct.fields = {{"Proxy-Authorization", "Basic of the caller"}};
    CHECK(one.fetch(direct).value().status == 407);
    CHECK(server.requests.at(0).find("Proxy-Authorization") == std::string::npos);

    is_known = false;
    const auto refused = one.get("http://unknown.test/a?token=hunter2");
    REQUIRE(refused.has_error());
    CHECK(refused.error().code == boost::system::errc::connection_refused);
    CHECK(refused.error().what.find("does not take the user and password") != std::string::npos);
    for (const char* secret : {"pa%20ss", "pa ss", "dXNlc", "hunter2"})
        CHECK(refused.error().what.find(secret) == std::string::npos);
    options.via.http = proxy.url();
    one.client = http::client(one.context.get_executor(), options);
    CHECK(one.get("http://unknown.test/").error().what.find("write a user and password into http_proxy")
          != std::string::npos);
}

namespace {

// A proxy that connects everything to one port.
boost::asio::awaitable<void> pump(boost::asio::ip::tcp::socket& from, boost::asio::ip::tcp::socket& to)
{
    std::string bytes(16 * 1024, '\0');
    for (;;) {
        const auto got = co_await from.async_read_some(boost::asio::buffer(bytes), as_results);
        if (std::get<0>(got))
            co_return;
        auto part = boost::asio::buffer(bytes.data(), std::get<1>(got));
        co_await boost::asio::async_write(to, part, as_results);
    }
}

struct tunnel_proxy {
    explicit tunnel_proxy(boost::asio::io_context& context, std::uint16_t to, std::string answer)
        : acceptor(context, {boost::asio::ip::address_v4::loopback(), 0}), near(context), far(context), to_port(to),
          reply(std::move(answer))
    {
        boost::asio::co_spawn(context, serve(), boost::asio::detached);
    }

    boost::asio::awaitable<void> serve()
    {
        co_await acceptor.async_accept(near, as_results);
        auto into = boost::asio::dynamic_buffer(request);
        co_await boost::asio::async_read_until(near, into, "\r\n\r\n", as_results);
        const boost::asio::ip::tcp::endpoint there(boost::asio::ip::address_v4::loopback(), to_port);
        co_await far.async_connect(there, as_results);
        co_await boost::asio::async_write(near, boost::asio::buffer(reply), as_results);
        boost::asio::co_spawn(acceptor.get_executor(), pump(near, far), boost::asio::detached);
        boost::asio::co_spawn(acceptor.get_executor(), pump(far, near), boost::asio::detached);
    }

    boost::asio::ip::tcp::acceptor acceptor;
    boost::asio::ip::tcp::socket near;
    boost::asio::ip::tcp::socket far;
    std::uint16_t to_port;
    std::string reply;
    std::string request;
};

}

TEST_CASE("an https request goes through a proxy in a tunnel (RFC 9110 9.3.6)")
{
    world one;
    scripted_http server(one.context, always(ok("through")), ours().issue({"unknown.test"}));
    const auto fetch_by = [&](std::string reply, std::string& request_seen) {
        tunnel_proxy proxy(one.context, server.port(), std::move(reply));
        http::client_options options = quiet_options();
        options.via.https = "user:pass@127.0.0.1:" + std::to_string(proxy.acceptor.local_endpoint().port());
        one.client = http::client(one.context.get_executor(), options);
        outbound_request request;
        request.url = "https://unknown.test/";
        request.authorities = trusting(ours());
        auto found = one.fetch(request);
        request_seen = proxy.request;
        one.client.close_idle();
        error_code ignored;
        proxy.acceptor.close(ignored);
        proxy.near.close(ignored);
        proxy.far.close(ignored);
        one.context.restart();
        one.context.poll();
        return found;
    };
    std::string seen;
    CHECK(fetch_by("HTTP/1.1 200 Connection established\r\n\r\n", seen).value().body == "through");
    CHECK(seen.find("CONNECT unknown.test:443 HTTP/1.1\r\nHost: unknown.test:443\r\n") == 0);
    CHECK(seen.find("\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n") != std::string::npos);
    CHECK(server.requests.at(0).find("GET / HTTP/1.1\r\nHost: unknown.test\r\n") == 0);
    CHECK(server.requests.at(0).find("Authorization") == std::string::npos);
    const auto refused = fetch_by("HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n", seen);
    CHECK(refused.error().what.find("does not take the user and password") != std::string::npos);
    CHECK(refused.error().what.find("by the proxy 127.0.0.1:") != std::string::npos);
    CHECK(refused.error().what.find("pass@") == std::string::npos);
    CHECK(fetch_by("SSH-2.0\r\n\r\n", seen).error().what.find("is not HTTP") != std::string::npos);
}

TEST_CASE("over any stream, in pieces of any size, the request and the answer are the same")
{
    const std::string whole = ok("hello", "X-A: 1\r\n");
    for (const std::size_t piece : {std::size_t(1), std::size_t(7), std::size_t(10'000)}) {
        for (std::size_t size = 0; size <= whole.size(); ++size) {
            CAPTURE(piece);
            CAPTURE(size);
            boost::asio::io_context context(1);
            std::vector<std::shared_ptr<memory_stream>> made;
            http::basic_client<memory_dialer> client(context.get_executor(), quiet_options(),
                                                     {&context, &made, piece, whole.substr(0, size)});
            outbound_request request;
            request.url = "http://a.test/b";
            std::optional<outcome<outbound_response>> said;
            boost::asio::co_spawn(context, client.fetch(request),
                                  [&](const std::exception_ptr& thrown, outcome<outbound_response> came) {
                                      CHECK_FALSE(thrown);
                                      said = std::move(came);
                                  });
            context.run();
            REQUIRE(said.has_value());
            REQUIRE(made.size() == 1);
            const byte_vector sent = made.front()->take();
            CHECK(as_text(sent) == "GET /b HTTP/1.1\r\nHost: a.test\r\nUser-Agent: alos/0.1.0\r\n\r\n");
            CHECK(said->has_value() == (size == whole.size()));
            if (size < whole.size()) {
                CHECK(said->error().code == alos::errc::truncated);
                CHECK(said->error().what.find("http://a.test (memory:80): answer: ") == 0);
            } else {
                CHECK((*said)->body == "hello");
            }
        }
    }
}
