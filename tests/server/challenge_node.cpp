#include <alos/server/challenge_node.hpp>

#include "support/name_server.hpp"
#include "support/scripted_http.hpp"

#include <boost/asio/co_spawn.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

using namespace alos;
using namespace alos_tests;

namespace {

// A machine with a proxy in its environment that nobody answers at, and a node that only our name server knows.
struct neighbourhood {
    neighbourhood() { ::setenv("http_proxy", "http://127.0.0.1:1", 1); }
    neighbourhood(const neighbourhood&) = delete;
    neighbourhood& operator=(const neighbourhood&) = delete;
    ~neighbourhood() { ::unsetenv("http_proxy"); }

    [[nodiscard]] http::outbound_request request() const
    {
        http::outbound_request made;
        made.url = node->url("node.test") + "/.well-known/acme-challenge/token";
        made.timeout = std::chrono::seconds(5);
        return made;
    }

    outcome<http::outbound_response> ask()
    {
        const auto fetch = make_node_client("127.0.0.1:" + std::to_string(names.endpoint().port())).value();
        return done(fetch(request()));
    }

    outcome<http::outbound_response> done(boost::asio::awaitable<outcome<http::outbound_response>> work)
    {
        std::optional<outcome<http::outbound_response>> said;
        context->restart();
        boost::asio::co_spawn(*context, std::move(work),
                              [&](const std::exception_ptr& thrown, outcome<http::outbound_response> came) {
                                  CHECK_FALSE(thrown);
                                  said = std::move(came);
                                  context->stop();
                              });
        context->run();
        REQUIRE(said.has_value());
        return std::move(*said);
    }

    std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ntheirs";
    std::unique_ptr<boost::asio::io_context> context = std::make_unique<boost::asio::io_context>(1);
    std::unique_ptr<scripted_http> node =
        std::make_unique<scripted_http>(*context, [this](const std::string&) { return answer; });
    name_server names{*context, [](const asked& question) {
                          dns::record here{.name = question.name, .type = dns::record_type::a, .ttl = 60,
                                           .text = "127.0.0.1"};
                          const bool is_it = question.name == "node.test" && question.type == dns::record_type::a;
                          const auto found = is_it ? std::vector<dns::record>{here} : std::vector<dns::record>();
                          return std::vector<byte_vector>{answer_to(question, 0x8180, found)};
                      }};
};

}

TEST_CASE("challenge node: the setting's name servers are asked, no proxy, and one connection serves all")
{
    neighbourhood here;
    const auto fetch = make_node_client("127.0.0.1:" + std::to_string(here.names.endpoint().port())).value();
    for (int i = 0; i < 3; ++i) {
        const auto said = here.done(fetch(here.request()));
        REQUIRE_MESSAGE(said.has_value(), said.error().what);
        CHECK(said->body == "theirs");
    }
    CHECK(here.node->connections == 1);
    CHECK(here.names.questions.size() > 0);
    // Settings that are applied again make another client.
    REQUIRE(here.ask().has_value());
    CHECK(here.node->connections == 2);
}

TEST_CASE("challenge node: redirects are not followed, and a long answer is none")
{
    neighbourhood here;
    here.answer = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n";
    CHECK(here.ask().value().status == 302);
    CHECK(here.node->requests.size() == 1);
    here.answer = "HTTP/1.1 200 OK\r\nContent-Length: 4097\r\n\r\n" + std::string(4097, 'x');
    http::outbound_request small = here.request();
    small.max_body = 4096;
    const auto fetch = make_node_client("127.0.0.1:" + std::to_string(here.names.endpoint().port())).value();
    CHECK_FALSE(here.done(fetch(small)).has_value());
}

TEST_CASE("challenge node: a setting that is no name server is refused")
{
    CHECK(make_node_client("").has_value());
    CHECK(make_node_client("nobody").error().code == errc::bad_configuration);
}

TEST_CASE("challenge node: a server may end while its node is being asked")
{
    boost::asio::io_context elsewhere(1);
    scripted_http silent(elsewhere, [](const std::string&) { return scripted_http::silence; });
    const auto fetch = make_node_client("").value();
    auto context = std::make_unique<boost::asio::io_context>(1);
    bool is_over = false;
    for (int i = 0; i < 2; ++i) {
        http::outbound_request request;
        request.url = silent.url();
        boost::asio::co_spawn(*context, fetch(request),
                              [&](const std::exception_ptr&, const outcome<http::outbound_response>&) {
                                  is_over = true;
                              });
    }
    while (silent.requests.size() < 2) {
        context->poll();
        elsewhere.poll();
    }
    context.reset();
    CHECK_FALSE(is_over);
    silent.stop();
    elsewhere.poll();
}
