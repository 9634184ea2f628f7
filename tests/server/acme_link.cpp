#include <alos/server/acme_link.hpp>

#include "support/fake_service.hpp"
#include "support/plain_server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <future>

using namespace alos;
using namespace alos_tests;

namespace {

using calls = std::vector<std::string>;

plain_config with_domains(std::vector<acme::certificate_names> domains)
{
    plain_config config;
    config.addr = "127.0.0.1:0";
    config.http_addr = "127.0.0.1:0";
    config.threads = 1;
    config.self_signed = {"/nowhere/cert.pem", "/nowhere/key.pem"}; // is warned about when it is used
    config.acme.domains = std::move(domains);
    return config;
}

struct fixture {
    fake_world world;
    with_fake_service installed{world};
    log_lines log; // outlives the server

    std::unique_ptr<plain_server> make(plain_config config)
    {
        config.log = log.settings();
        return std::make_unique<plain_server>(std::move(config));
    }
};

template <class T>
T wait_for(awaitable<T> work)
{
    boost::asio::io_context io;
    std::optional<T> result;
    boost::asio::co_spawn(io, std::move(work), [&](std::exception_ptr thrown, T given) {
        CHECK_FALSE(thrown);
        result.emplace(std::move(given));
    });
    io.run();
    return *result;
}

std::string ask_http(plain_server& app, const std::string& path)
{
    client one(app.http_port());
    one.send("GET " + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    return body_of(one.receive_all());
}

const std::string challenge_folder = "/.well-known/acme-challenge/";

bool advises(const outcome<>& done)
{
    return !done && done.error().code == errc::bad_configuration
           && done.error().what.find("include <alos/acme.hpp> in one .cpp") != std::string::npos;
}

}

TEST_CASE("without <alos/acme.hpp> a program is told to include it")
{
    log_lines log;
    const auto make = [&](plain_config config) {
        config.log = log.settings();
        return std::make_unique<plain_server>(std::move(config));
    };
    CHECK(advises(make(with_domains({"a.test"}))->start()));
    plain_config node = with_domains({});
    node.acme.acme_node = "node.test:80";
    CHECK(advises(make(node)->start()));

    const auto app = make(with_domains({}));
    CHECK(advises(app->enable_acme({.domains = {"a.test"}})));
    CHECK(advises(app->add_acme_domain("a.test")));
    CHECK(advises(app->remove_acme_domain("a.test")));
    CHECK(advises(wait_for(app->force_renew("a.test"))));
    CHECK(advises(wait_for(app->revoke("a.test"))));
    CHECK(wait_for(app->obtain("a.test")).error().code == errc::bad_configuration);
    CHECK(app->acme_certificates().empty());
    CHECK(app->acme_certificates_json() == "[]");
    CHECK(app->add_self_signed_cert("b.test").has_value());
    CHECK(app->start().has_value());
    CHECK(app->list_certs().size() == 1);
}

TEST_CASE_FIXTURE(fixture, "the manager is configured and started when clients can connect, before the server says so")
{
    plain_config config = with_domains({"a.test", {"b.test", "*.b.test"}});
    const auto app = make(config);
    world.on_call = [&](std::string_view call) {
        if (call == "start" || call.starts_with("configure")) {
            CHECK(client(app->http_port()).connected());
            CHECK(log.find("server.listen").empty());
        }
    };
    REQUIRE(app->start().has_value());
    CHECK(world.calls() == calls{"configure a.test b.test", "start"});
    CHECK(log.find("server.names").find("a.test (self-signed") != std::string::npos);
    CHECK(app->list_certs().size() == 2); // no other certificate was made
    CHECK(log.find("acme.fake").find("what=started") != std::string::npos);
    CHECK(log.find("acme.http-01").empty());
    CHECK(ask_http(*app, challenge_folder + "token") == "token.thumbprint");
    app->stop();
    app->wait();
    CHECK(world.calls() == calls{"configure a.test b.test", "start", "stop"});
}

TEST_CASE_FIXTURE(fixture, "a manager that cannot be configured or started keeps nobody from being served")
{
    SUBCASE("configure")
    {
        world.configured = failure{errc::bad_configuration, "no such CA"};
        const auto app = make(with_domains({"a.test"}));
        REQUIRE(app->start().has_value());
        CHECK(log.find("ERROR acme.start").find("no such CA") != std::string::npos);
        // Some of the settings may be good, and certificates are kept already.
        CHECK(world.calls() == calls{"configure a.test", "start"});
        REQUIRE(app->list_certs().size() == 1); // something has to answer
        CHECK(app->list_certs()[0].domain == "localhost");
    }
    SUBCASE("start")
    {
        world.started = failure{errc::bad_configuration, "no thread"};
        const auto app = make(with_domains({"a.test"}));
        REQUIRE(app->start().has_value());
        CHECK(log.find("ERROR acme.start").find("no thread") != std::string::npos);
        CHECK(app->list_certs()[0].domain == "a.test");
        CHECK(app->add_acme_domain("b.test").has_value() == false); // and it is tried again
        world.started = {};
        CHECK(app->add_acme_domain("c.test").has_value());
    }
}

TEST_CASE_FIXTURE(fixture, "with before_issuance::unrecognized_name no certificate is made to stand in")
{
    world.puts_placeholders = false;
    plain_config config = with_domains({"a.test"});
    config.acme.until_then = acme::before_issuance::unrecognized_name;
    const auto app = make(config);
    REQUIRE(app->start().has_value());
    CHECK(app->list_certs().empty());
}

TEST_CASE_FIXTURE(fixture, "the default domain may be one whose certificate comes from the manager")
{
    plain_config config = with_domains({"a.test", "b.test"});
    config.default_domain = "b.test";
    const auto app = make(config);
    REQUIRE(app->start().has_value());
    CHECK(app->list_certs()[1].is_default);
    CHECK(log.find("acme.start").empty());
}

TEST_CASE_FIXTURE(fixture, "enable_acme and add_acme_domain, before and after start()")
{
    plain_config config = with_domains({});
    const auto app = make(config);
    REQUIRE(app->enable_acme({.email = "a@a.test", .domains = {"a.test"}}).has_value());
    CHECK(world.calls() == calls{"configure a.test"});
    REQUIRE(app->start().has_value());
    REQUIRE(app->add_acme_domain("b.test", "b@b.test").has_value());
    REQUIRE(app->enable_acme({.domains = {"c.test"}}).has_value());
    REQUIRE(app->remove_acme_domain("b.test").has_value());
    CHECK(world.calls()
          == calls{"configure a.test", "start", "add b.test for b@b.test", "configure c.test", "remove b.test"});
}

TEST_CASE_FIXTURE(fixture, "what is configured is listed until the manager has settings, good ones or not")
{
    acme::list_configured = [](const acme::config& settings) {
        std::vector<acme::certificate_status> list;
        for (const acme::certificate_names& each : settings.domains)
            list.emplace_back().id = each.names.front();
        return list;
    };
    const auto app = make(with_domains({"a.test", "b.test"}));
    std::size_t listed = 0;
    world.on_call = [&](std::string_view call) {
        if (call.starts_with("configure"))
            listed = app->acme_certificates().size();
    };
    REQUIRE(app->start().has_value());
    CHECK(listed == 2);
    CHECK(app->acme_certificates().size() == world.certificates.size());
    acme::list_configured = nullptr;
}

TEST_CASE_FIXTURE(fixture, "add_acme_domain works by itself, with the settings of the configuration")
{
    const auto app = make(with_domains({}));
    REQUIRE(app->start().has_value());
    CHECK(world.calls().empty()); // nobody needed a manager
    CHECK(app->list_certs()[0].domain == "localhost");
    world.configured = failure{errc::bad_configuration, "no such CA"};
    CHECK(app->add_acme_domain("a.test").error().what == "no such CA");
    world.configured = {};
    REQUIRE(app->add_acme_domain("a.test").has_value());
    // The fault was told; what is good of the settings counts.
    CHECK(world.calls() == calls{"configure", "add a.test", "start"});
}

TEST_CASE_FIXTURE(fixture, "add_domain_cert stores a certificate from elsewhere")
{
    const auto app = make(with_domains({}));
    const auto made = cert::make_self_signed({"a.test"}, std::chrono::system_clock::now()).value();
    REQUIRE(app->add_domain_cert("a.test", made.certificate, as_text(made.key)).has_value());
    CHECK(app->list_certs()[0].from == cert::source::manual);
    CHECK(world.calls().empty());
}

TEST_CASE_FIXTURE(fixture, "force_renew, obtain and revoke are passed on, and events told")
{
    const auto app = make(with_domains({"a.test"}));
    REQUIRE(app->start().has_value());
    std::vector<std::string> told;
    std::vector<std::string> heard;
    app->on_acme_event([&](const acme::event& what) { heard.push_back(what.id + " " + what.message); });
    const auto tell = [&](const acme::event& what) { told.push_back(what.message); };
    CHECK(wait_for(app->force_renew("a.test", tell)).has_value());
    CHECK(told == calls{"ordered"});
    CHECK(heard == calls{"a.test ordered"});
    app->on_acme_event(nullptr);
    CHECK(wait_for(app->force_renew("a.test")).has_value());
    CHECK(heard.size() == 1);
    CHECK(wait_for(app->obtain("a.test")).value()->about.subject == "CN=a.test");
    CHECK(wait_for(app->revoke("a.test", 4)).error().code == errc::unknown_name);
    CHECK(world.calls().back() == "revoke a.test 4");
    world.certificates.resize(1);
    CHECK(app->acme_certificates_json() == "[1]");
}

TEST_CASE_FIXTURE(fixture, "list_certs says when a certificate is renewed, and what went wrong")
{
    const auto app = make(with_domains({"a.test", "b.test"}));
    REQUIRE(app->start().has_value());
    REQUIRE(app->add_cert("c.test", cert::make_self_signed({"c.test"}, std::chrono::system_clock::now())->certificate,
                          "").has_value() == false);
    const auto until = app->list_certs()[0].not_after;
    const auto soon = std::chrono::system_clock::now() + 1h;
    acme::certificate_status rsa;
    rsa.id = "a.test.rsa-2048";
    rsa.names = {"A.test", "www.a.test"};
    rsa.last_error = "of another";
    acme::certificate_status ecdsa = rsa;
    ecdsa.not_after = until;
    ecdsa.next_attempt = soon;
    ecdsa.last_error = "the CA is away";
    for (const bool first : {true, false}) {
        world.certificates = first ? std::vector{ecdsa, rsa} : std::vector{rsa, ecdsa};
        const auto lines = app->list_certs();
        REQUIRE(lines.size() == 2);
        CHECK(lines[0].next_attempt == soon);
        CHECK(lines[0].last_error == "the CA is away");
        CHECK(lines[1].next_attempt == system_time());
        CHECK(lines[1].last_error.empty());
    }
    CHECK(app->acme_certificates().size() == 2);
}

TEST_CASE_FIXTURE(fixture, "list_certs says when another program's certificate is renewed by us, and of none by hand")
{
    const auto app = make(with_domains({"a.test"}));
    const auto pair = cert::make_self_signed({"b.test"}, std::chrono::system_clock::now()).value();
    REQUIRE(app->add_cert("b.test", pair.certificate, as_text(pair.key)).has_value());
    REQUIRE(app->start().has_value());
    const auto line = [&] {
        const auto lines = app->list_certs();
        const auto found = std::ranges::find(lines, std::string("b.test"), &cert::listed_certificate::domain);
        REQUIRE(found != lines.end());
        REQUIRE(found->from == cert::source::manual);
        return *found;
    };
    acme::certificate_status adopted;
    adopted.names = {"b.test"};
    adopted.not_after = line().not_after;
    adopted.next_attempt = std::chrono::system_clock::now() + 1h;
    adopted.last_error = "the CA is away";
    acme::certificate_status rsa;
    rsa.names = adopted.names;
    world.certificates = {rsa, adopted};
    CHECK(line().next_attempt == adopted.next_attempt);
    CHECK(line().last_error == "the CA is away");

    acme::certificate_status ours = adopted;
    ours.generation = 1;
    acme::certificate_status other = adopted;
    other.not_after += 1h;
    for (const acme::certificate_status& each : {ours, other}) {
        world.certificates = {each};
        CHECK(line().next_attempt == system_time());
        CHECK(line().last_error.empty());
    }
}

TEST_CASE_FIXTURE(fixture, "http-01 without plain HTTP is warned about, once for each setting")
{
    plain_config config = with_domains({"a.test"});
    config.http_addr.clear();
    SUBCASE("wanted") {}
    SUBCASE("not wanted") { config.acme.challenges = {acme::challenge_type::tls_alpn_01}; }
    const bool wanted = config.acme.challenges.size() > 1;
    const auto app = make(config);
    REQUIRE(app->start().has_value());
    const std::string line = log.find("WARN  acme.http-01");
    CHECK(line.empty() != wanted);
    if (wanted)
        CHECK(line.find("set http_addr to \\\":80\\\"") != std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "acme_node is asked for the challenges that are not ours, with and without domains")
{
    plain_config config = with_domains({});
    SUBCASE("with") { config.acme.domains = {"a.test"}; }
    SUBCASE("without") {}
    config.acme.acme_node = "node.test:8080";
    const auto app = make(config);
    REQUIRE(app->start().has_value());
    app->challenges().put("mine", "mine.thumbprint");
    CHECK(ask_http(*app, challenge_folder + "mine") == "mine.thumbprint");
    CHECK(ask_http(*app, challenge_folder + "other") == "theirs");
    app->stop();
    app->wait();
    REQUIRE(world.fetched.size() == 1);
    CHECK(world.fetched[0].url == "http://node.test:8080/.well-known/acme-challenge/other");
}

TEST_CASE_FIXTURE(fixture, "an acme_node that is no address is said, and keeps no certificate from being served")
{
    plain_config config = with_domains({"a.test"});
    config.acme.acme_node = "node.test";
    const auto app = make(config);
    REQUIRE(app->start().has_value());
    CHECK(log.find("ERROR acme.start").find("host:port") != std::string::npos);
    CHECK(world.calls() == calls{"configure a.test", "start"});
    CHECK_FALSE(app->enable_acme(config.acme).has_value());
}

TEST_CASE_FIXTURE(fixture, "a resolver that is none is said before the acme_node is asked")
{
    plain_config config = with_domains({});
    config.acme.acme_node = "node.test:80";
    config.acme.resolver = "wrong";
    const auto app = make(config);
    REQUIRE(app->start().has_value());
    CHECK(log.find("ERROR acme.start").find("it is no name server") != std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "the manager is stopped by stop(), cut() and the destructor, once")
{
    auto app = make(with_domains({"a.test"}));
    REQUIRE(app->start().has_value());
    SUBCASE("stop")
    {
        app->stop();
        app->stop();
        app->wait();
        CHECK(world.calls().back() == "stop");
    }
    SUBCASE("cut") { app->cut(); }
    SUBCASE("destructor") {}
    app.reset();
    CHECK(world.calls() == calls{"configure a.test", "start", "stop", "end"});
}

TEST_CASE_FIXTURE(fixture, "stop() does not wait for the manager, wait() does, and events may stop the server")
{
    const auto app = make(with_domains({"a.test"}));
    REQUIRE(app->start().has_value());
    std::promise<void> go_on;
    world.on_call = [&](std::string_view call) {
        if (call == "stop")
            go_on.get_future().wait();
    };
    app->on_acme_event([&](const acme::event&) { app->stop(); });
    CHECK(wait_for(app->force_renew("a.test")).has_value());
    CHECK(world.calls().back() == "renew a.test");
    go_on.set_value();
    app->wait();
    CHECK(world.calls().back() == "stop");
}

TEST_CASE_FIXTURE(fixture, "after stop() nothing begins")
{
    const auto app = make(with_domains({"a.test"}));
    app->stop();
    CHECK(app->start().has_value());
    CHECK(app->enable_acme({.domains = {"b.test"}}).error().code == errc::closed);
    CHECK(app->add_acme_domain("b.test").error().code == errc::closed);
    CHECK(world.calls().empty());
}

TEST_CASE_FIXTURE(fixture, "a server on somebody else's acceptor starts the manager, too")
{
    const auto app = make(with_domains({"a.test"}));
    boost::asio::io_context context(1);
    boost::asio::ip::tcp::acceptor acceptor(context, {boost::asio::ip::address_v4::loopback(), 0});
    bool ended = false;
    boost::asio::co_spawn(context, app->serve(acceptor), [&](std::exception_ptr thrown) { ended = !thrown; });
    boost::asio::post(context, [&] {
        CHECK(world.calls() == calls{"configure a.test", "start"});
        app->stop();
    });
    context.run();
    app->wait();
    CHECK(ended);
    CHECK(world.calls().back() == "stop");
}
