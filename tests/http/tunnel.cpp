#include <alos/http/tunnel.hpp>

#include "support/memory_stream.hpp"

#include <boost/asio/co_spawn.hpp>

#include <doctest/doctest.h>

#include <optional>

using namespace alos;
using namespace alos::http;

namespace {

// What becomes of a tunnel through a proxy that says `answer`, in pieces of any size.
struct tried {
    explicit tried(std::string_view answer, std::string authorization = {}, std::size_t piece = 1000)
    {
        boost::asio::io_context context(1);
        alos_tests::memory_stream stream(context, piece);
        const chosen_proxy proxy{parse_url("http://proxy.test:3128").value(), std::move(authorization), "https_proxy"};
        const url target = parse_url("https://a.test").value();
        const std::string agent = "alos";
        stream.give(as_bytes(answer));
        stream.end();
        boost::asio::co_spawn(context, open_tunnel(stream, proxy, target, agent, 200),
                              [this](const std::exception_ptr& thrown, outcome<> end) {
                                  CHECK_FALSE(thrown);
                                  ended = std::move(end);
                              });
        context.run();
        REQUIRE(ended.has_value());
        asked = as_text(stream.take());
    }

    [[nodiscard]] std::string why() const { return *ended ? "open" : ended->error().what; }

    std::optional<outcome<>> ended;
    std::string asked;
};

}

TEST_CASE("a tunnel is asked for with host and port (RFC 9110 9.3.6)")
{
    for (const std::size_t piece : {std::size_t(1), std::size_t(7), std::size_t(1000)}) {
        const tried one("HTTP/1.1 200 Connection established\r\n\r\n", {}, piece);
        CHECK(one.why() == "open");
        CHECK(one.asked == "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nUser-Agent: alos\r\n\r\n");
    }
    CHECK(tried("HTTP/1.1 200 Fine\r\nContent-Length: 7\r\n\r\n").why() == "open"); // RFC 9110 9.3.6: ignored
}

TEST_CASE("the proxy, and nobody else, is told who asks (RFC 9110 11.7.2)")
{
    const tried one("HTTP/1.1 200 OK\r\n\r\n", "Basic dXNlcjpzZWNyZXQ=");
    CHECK(one.asked.ends_with("\r\nProxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n\r\n"));
}

TEST_CASE("why there is no tunnel is said")
{
    const std::string page = "Content-Length: 4\r\n\r\npage";
    CHECK(tried("HTTP/1.1 407 Who\r\nProxy-Authenticate: NTLM\r\n" + page).why().find("names NTLM first")
          != std::string::npos);
    const std::string refused = tried("HTTP/1.1 407 Who\r\n" + page, "Basic dXNlcjpzZWNyZXQ=").why();
    CHECK(refused.find("proxy.test:3128 does not take the user and password") != std::string::npos);
    CHECK(refused.find("dXNl") == std::string::npos);
    CHECK(tried("HTTP/1.1 403 No\r\n" + page).why().find("status 403; ask its owner to allow a.test:443")
          != std::string::npos);
    CHECK(tried("SSH-2.0-OpenSSH_9\r\n\r\n").why().find("is not HTTP") != std::string::npos);
    CHECK(tried("HTTP/1.1 200 OK\r\n\r\ntoo early").why().find("is not HTTP") != std::string::npos);
    CHECK(tried("HTTP/1.1 200 OK\r\n").why().find("did not answer") != std::string::npos);
    CHECK(tried("HTTP/1.1 200 OK\r\nX: " + std::string(300, 'x') + "\r\n\r\n").why().find("did not answer")
          != std::string::npos);
}
