#include <alos/acme/self_check.hpp>

#include "support/simulated_files.hpp"
#include "support/simulated_world.hpp"

#include <boost/asio/co_spawn.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <utility>

using namespace std::chrono_literals;
using alos::acme::awaitable;
using alos::acme::challenge_type;
using alos::acme::posting;

namespace {

// A member whose name servers are dead: it asks two of them, each for 4 seconds, twice.
struct without_name_servers final : alos::acme::environment {
    explicit without_name_servers(test::simulated_member& of) : member(of) {}

    alos::acme::time_point now() override { return member.now(); }
    void random(alos::byte_span out) override { member.random(out); }
    awaitable<> sleep(alos::acme::time_point until, alos::acme::alarm* early) override
    {
        return member.sleep(until, early);
    }
    awaitable<alos::outcome<alos::http::outbound_response>> fetch(alos::http::outbound_request what) override
    {
        return member.fetch(std::move(what));
    }
    awaitable<alos::outcome<alos::dns::answer>> resolve(std::string name, alos::dns::record_type) override
    {
        co_await member.sleep_until(member.now() + 16s);
        co_return alos::failure{alos::errc::timed_out, name + ": no name server answered"};
    }
    awaitable<alos::outcome<alos::byte_vector>> probe(alos::acme::tls_probe what) override
    {
        return member.probe(std::move(what));
    }
    alos::os::file_system& files() override { return member.files(); }

    test::simulated_member& member;
};

struct one_who_looks {
    ~one_who_looks() { world.kill(self); }

    // What is said of the answer after ten seconds at most.
    std::string look(posting answer, alos::acme::environment* through = nullptr)
    {
        std::optional<std::string> said;
        alos::acme::environment& by = through ? *through : self;
        const auto work = [&]() -> awaitable<> {
            said = co_await alos::acme::self_check(by, answer, 80, 443, self.now() + 10s);
        };
        boost::asio::co_spawn(self.executor(), work, [](std::exception_ptr) {});
        world.run_until([&] { return said.has_value(); }, 1min);
        return said.value_or("nothing is said");
    }

    void change_dns(const std::string& name, std::string text)
    {
        world.zone[name].push_back(
            {.name = name, .type = alos::dns::record_type::txt, .ttl = 60, .text = std::move(text)});
    }

    test::simulated_world world{1};
    test::simulated_files files;
    test::simulated_member& self = world.add_member(files);
};

posting looked_for(challenge_type type, const std::string& name)
{
    return {type, *alos::acme::identifier_of(name), "token", "token.thumbprint"};
}

const std::string text_looked_for = alos::acme::dns01_value("token.thumbprint");

}

TEST_CASE("self_check: the TXT record of a name, and of what its alias leads to (RFC 8555 8.4)")
{
    one_who_looks here;
    here.change_dns("_acme-challenge.a.test", "of another order");
    here.change_dns("_acme-challenge.a.test", text_looked_for);
    CHECK(here.look(looked_for(challenge_type::dns_01, "a.test")).empty());
    CHECK(here.look(looked_for(challenge_type::dns_01, "*.a.test")).empty());

    here.world.zone["_acme-challenge.b.test"].push_back({.name = "_acme-challenge.b.test",
                                                         .type = alos::dns::record_type::cname,
                                                         .ttl = 60,
                                                         .text = "b.validation.test"});
    here.change_dns("b.validation.test", text_looked_for);
    CHECK(here.look(looked_for(challenge_type::dns_01, "b.test")).empty());
}

TEST_CASE("self_check: a TXT record that is not there is looked for ten seconds long, then told of")
{
    one_who_looks here;
    const auto begun = here.world.now();
    CHECK(here.look(looked_for(challenge_type::dns_01, "a.test"))
          == "the answer cannot be seen from here, and perhaps not by the CA: _acme-challenge.a.test has no TXT "
             "record; whoever changes the DNS has to wait until its servers answer with it");
    CHECK(here.world.now() - begun >= 9s);
    CHECK(here.world.now() - begun <= 11s);
    here.change_dns("_acme-challenge.a.test", "of another order");
    CHECK(here.look(looked_for(challenge_type::dns_01, "a.test")).find("has other TXT records") != std::string::npos);
    here.world.after(4s, [&] { here.change_dns("_acme-challenge.a.test", text_looked_for); });
    CHECK(here.look(looked_for(challenge_type::dns_01, "a.test")).empty());
}

TEST_CASE("self_check: a name server that fails is not taken for one without the record (RFC 1035 4.1.1)")
{
    one_who_looks here;
    here.world.dns_failures["_acme-challenge.a.test"] = alos::dns::response_code::refused;
    CHECK(here.look(looked_for(challenge_type::dns_01, "a.test"))
              .find("_acme-challenge.a.test: the name server failed with code 5; ") != std::string::npos);
    here.world.dns_failures["_acme-challenge.a.test"] = alos::dns::response_code::name_error;
    CHECK(here.look(looked_for(challenge_type::dns_01, "a.test")).find("has no TXT record") != std::string::npos);
}

TEST_CASE("self_check: where nobody answers, it says where the name leads, by both kinds of address, and where we are")
{
    one_who_looks here;
    here.world.zone["a.test"] = {
        {.name = "a.test", .type = alos::dns::record_type::a, .ttl = 60, .text = "192.0.2.7"},
        {.name = "a.test", .type = alos::dns::record_type::aaaa, .ttl = 60, .text = "2001:db8::7"}};
    here.world.local_addresses = {"198.51.100.1"};
    for (const challenge_type type : {challenge_type::http_01, challenge_type::tls_alpn_01}) {
        const std::string said = here.look(looked_for(type, "a.test"));
        CHECK_MESSAGE(said.ends_with("; addresses of a.test: 2001:db8::7, 192.0.2.7; addresses of this machine: "
                                     "198.51.100.1"),
                      said);
    }
}

TEST_CASE("self_check: dead name servers keep it no longer than its time, and are told of")
{
    one_who_looks here;
    without_name_servers through(here.self);
    auto begun = here.world.now();
    CHECK(here.look(looked_for(challenge_type::tls_alpn_01, "a.test"), &through)
          == "the answer cannot be seen from here, and perhaps not by the CA: the name servers, asked for the "
             "addresses of a.test, did not answer in time; addresses of a.test: the name servers do not say; addresses "
             "of this machine: none that are known");
    CHECK(here.world.now() - begun <= 12s);
    begun = here.world.now();
    CHECK(here.look(looked_for(challenge_type::dns_01, "a.test"), &through)
              .find("the name servers, asked for the TXT record of _acme-challenge.a.test, did not answer in time; ")
          != std::string::npos);
    CHECK(here.world.now() - begun <= 10s);
}

TEST_CASE("self_check: what an earlier look saw is said when there is no time for another one to end")
{
    one_who_looks here;
    const auto begun = here.world.now();
    here.world.serve_others([&](const alos::http::outbound_request&) -> alos::outcome<alos::http::outbound_response> {
        if (here.world.now() - begun > 7s)
            return alos::failure{alos::errc::timed_out, "not done within 60 seconds"};
        alos::http::outbound_response answer;
        answer.status = 404;
        return answer;
    });
    const std::string said = here.look(looked_for(challenge_type::http_01, "a.test"));
    CHECK_MESSAGE(said.find("/.well-known/acme-challenge/token answers with status 404; ") != std::string::npos, said);
    CHECK(here.world.now() - begun <= 12s);
}
