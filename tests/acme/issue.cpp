#include <alos/acme/issue.hpp>

#include "support/town.hpp"

#include <alos/http/date.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using step = test::scripted_ca::step;

TEST_CASE("issue: a request for a certificate that had no effect is not counted (RFC 8555 7.4)")
{
    // The CA says no, or the order says that it never heard of the request.
    for (const auto trouble : {&test::hostility::server_error, &test::hostility::cut_before}) {
        test::town here;
        auto settings = here.settings();
        settings.cas.front().certificates = {1, 48h};
        bool is_over = false;
        here.ca.on_request = [&](step at) {
            test::hostility next;
            if (at == step::finalize && !std::exchange(is_over, true))
                next.*trouble = 1;
            here.ca.behave(next);
        };
        test::acme_member& one = here.start(settings);
        CHECK_MESSAGE(here.wait([&] { return one.served("example.com") != nullptr; }), test::all_of(one.warnings));
        CHECK(is_over);
        CHECK(here.ca.requests(step::finalize) == 2);
        CHECK(here.ca.requests(step::new_order) == 1);
    }
}

TEST_CASE("issue: an order of another profile than is wanted by now is not gone on with (profiles 4)")
{
    test::town here({.profiles = {{"long", 30 * 24h}, {"short", 160h}}});
    auto settings = here.settings();
    settings.cas.front().profile = "long";
    bool is_broken = true;
    here.ca.on_request = [&](step at) {
        here.ca.behave({.server_error = at == step::finalize && is_broken ? 1.0 : 0.0});
    };
    test::acme_member& one = here.start(settings);
    REQUIRE(here.wait([&] { return !one.warnings.empty(); }));
    is_broken = false;
    settings.cas.front().profile = "short";
    one.configure(settings);
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    const auto& about = one.served("example.com")->about;
    CHECK(about.not_after - about.not_before < 8 * 24h);
    CHECK(here.ca.requests(step::new_order) == 2);
}

TEST_CASE("issue: when all ways of proof fail, the refusal says why each of them did (RFC 8555 8)")
{
    test::town here;
    here.ca.behave({.failed_validation = 1});
    test::acme_member& one = here.start();
    REQUIRE(here.wait([&] { return !one.warnings.empty(); }));
    const std::string& said = one.warnings.front();
    CHECK_MESSAGE(said.find("tls-alpn-01 for example.com failed: ") != std::string::npos, said);
    CHECK_MESSAGE(said.find("; before that, http-01 for example.com failed: ") != std::string::npos, said);
}

TEST_CASE("issue: of several ways of proof that failed, the last one is said first")
{
    using enum alos::acme::challenge_type;
    test::town here;
    here.ca.behave({.failed_validation = 1});
    auto settings = here.settings();
    settings.challenges = {tls_alpn_01, dns_01, http_01};
    settings.dns = std::make_shared<test::simulated_dns_solver>(here.world);
    test::acme_member& one = here.start(settings);
    REQUIRE(here.wait([&] { return !one.warnings.empty(); }));
    const std::string& said = one.warnings.front();
    const auto last = said.find("http-01 for example.com failed: ");
    const auto before = said.find("; before that, dns-01 for example.com failed: ");
    const auto first = said.find("; before that, tls-alpn-01 for example.com failed: ");
    CHECK_MESSAGE((last < before && before < first && first != said.npos), said);
}

TEST_CASE("issue: an attempt that places no order takes none of those that may be placed")
{
    test::ca_settings rules;
    rules.renewal_info = false; // what replaces a certificate is not limited
    test::town here(rules);
    auto settings = here.settings();
    settings.cas.front().certificates = {1, 72h};
    settings.cas.front().orders = {1, 24h};
    test::acme_member& one = here.start(settings);
    unsigned refused = 0;
    unsigned not_its_turn = 0;
    one.on_event = [&](const alos::acme::event& what) {
        refused += what.message.find("as many certificates") != std::string::npos
                   && what.message.find("our own limit, `certificates` of this CA") != std::string::npos;
        not_its_turn += what.message.find("waiting until") != std::string::npos;
    };
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    here.world.run_for(24h * 30);
    here.world.jump(24h * 400); // so that all that it gets has expired
    here.wait([&] { return refused > 0; }, 24h);
    const std::uint64_t orders = here.ca.requests(step::new_order);
    here.world.run_for(24h);
    CHECK(refused > 0);
    CHECK(not_its_turn == 0);
    CHECK(here.ca.requests(step::new_order) == orders);
}

TEST_CASE("issue: an order that is refused for its nonce goes on naming what it replaces (RFC 8555 6.5, RFC 9773 5)")
{
    test::town here;
    bool is_stormy = false;
    here.ca.on_request = [&](step at) {
        here.ca.behave({.bad_nonce = at == step::new_order && is_stormy ? 1.0 : 0.0});
    };
    test::acme_member& one = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    bool is_named = false;
    bool is_dropped = false;
    one.on_event = [&](const alos::acme::event& what) {
        is_named = is_named || what.message.find(", which replaces ") != std::string::npos;
        is_dropped = is_dropped || what.message.find("repeated without") != std::string::npos;
    };
    is_stormy = true;
    REQUIRE(here.wait([&] { return !one.warnings.empty(); }, 24h * 90));
    is_stormy = false;
    REQUIRE(here.wait([&] { return here.ca.issued().size() == 2; }, 24h * 30));
    CHECK(is_named);
    CHECK_FALSE(is_dropped);
}

TEST_CASE("issue: an order is gone on with although the CA has moved its resources meanwhile (RFC 8555 7.1.1, 7.2)")
{
    test::town here;
    bool is_broken = false;
    here.ca.on_request = [&](step at) {
        here.ca.behave({.no_nonce = at == step::new_nonce ? 0.0 : 1.0});
        if (at != step::finalize || std::exchange(is_broken, true))
            return;
        here.ca.behave({.no_nonce = 1, .server_error = 1});
        here.ca.move_directory();
    };
    test::acme_member& one = here.start();
    REQUIRE_MESSAGE(here.wait([&] { return one.served("example.com") != nullptr; }), test::all_of(one.warnings));
    CHECK(is_broken);
    CHECK(here.ca.requests(step::new_order) == 1);
}

TEST_CASE("issue: an order that is refused for who asks is not repeated, and what the CA said is not lost (RFC 9773 5)")
{
    const auto refused_as = [](std::string type) {
        test::town here({.lifetime = 24h * 5});
        alos::acme::config with = here.settings();
        with.cas.front().certificates = {1, 24h * 3};
        test::acme_member& one = here.start(with);
        REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
        unsigned orders = 0;
        here.world.serve("ca.test", [&](const test::http::outbound_request& request) {
            auto answer = here.ca.answer(request);
            if (!answer || request.url.find("/new-order") == std::string::npos)
                return answer;
            ++orders;
            answer->status = 403;
            answer->body = R"({"type":"urn:ietf:params:acme:error:)" + type + R"(","detail":"not you"})";
            for (auto& [name, value] : answer->fields)
                if (name == "Content-Type")
                    value = "application/problem+json";
            return answer;
        });
        REQUIRE(here.wait([&] { return !one.warnings.empty(); }, 24h * 90));
        CHECK(one.warnings.front().find("not you") != std::string::npos);
        return orders;
    };
    CHECK(refused_as("userActionRequired") == 1);
    CHECK(refused_as("unauthorized") == 1); // which may mean the predecessor, but no other may be ordered now
}

TEST_CASE("issue: an order whose predecessor is what the CA fails over goes without it the second time (RFC 9773 5)")
{
    test::town here;
    unsigned failed = 0;
    here.ca.on_answer = [&](step at, alos::http::outbound_response& answer) {
        const bool has_predecessor = answer.status == 409 || answer.body.find("\"replaces\"") != std::string::npos;
        if (at != step::new_order || !has_predecessor)
            return;
        ++failed;
        answer.status = 500;
        answer.fields = {{"Content-Type", "application/problem+json"}};
        answer.body = R"({"type": "urn:ietf:params:acme:error:serverInternal", "detail": "no such order"})";
    };
    test::acme_member& one = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    const auto first = one.served("example.com");
    std::optional<alos::outcome<>> done;
    one.spawn(test::force_example(one, done));
    REQUIRE_MESSAGE(here.wait([&] { return one.served("example.com") != first; }), test::all_of(one.warnings));
    CHECK(failed == 2);
    CHECK(here.ca.issued().size() == 2);
}

TEST_CASE("issue: a certificate that does not come whole is fetched again, for its order is done (RFC 8555 7.4.2)")
{
    const auto page = [](alos::http::outbound_response& answer) { answer.body = "<html>please log in</html>"; };
    const auto half = [](alos::http::outbound_response& answer) { answer.body.resize(answer.body.size() / 3); };
    const auto gone = [](alos::http::outbound_response& answer) { answer.status = 404; };
    const std::function<void(alos::http::outbound_response&)> spoilers[] = {page, half, gone};
    for (const auto& spoil : spoilers) {
        test::town here;
        bool is_spoilt = true;
        here.ca.on_answer = [&](step at, alos::http::outbound_response& answer) {
            if (at == step::certificate && is_spoilt)
                spoil(answer);
        };
        test::acme_member& one = here.start();
        REQUIRE(here.wait([&] { return !one.warnings.empty(); }));
        is_spoilt = false;
        const auto is_served = [&] { return one.served("example.com") != nullptr; };
        CHECK_MESSAGE(here.wait(is_served, 5min), test::all_of(one.warnings));
        CHECK(here.ca.issued().size() == 1);
    }
}

TEST_CASE("issue: an order whose certificate never comes is given up for another one in time")
{
    test::town here;
    here.ca.on_answer = [&](step at, alos::http::outbound_response& answer) {
        if (at == step::certificate && here.ca.issued().size() == 1)
            answer.status = 404;
    };
    test::acme_member& one = here.start();
    CHECK_MESSAGE(here.wait([&] { return one.served("example.com") != nullptr; }, 48h), test::all_of(one.warnings));
    CHECK(here.ca.issued().size() == 2);
}

namespace {

void refuse(alos::http::outbound_response& answer, unsigned status, const std::string& type)
{
    answer.status = status;
    answer.fields = {{"Content-Type", "application/problem+json"}};
    answer.body = R"({"type": "urn:ietf:params:acme:error:)" + type + R"(", "detail": "no"})";
}

}

TEST_CASE("issue: an order that leads nowhere, which a CA keeps for ever, is given up after a day (RFC 8555 7.1.3)")
{
    test::town here;
    here.ca.on_answer = [&](step at, alos::http::outbound_response& answer) {
        if (at == step::finalize && here.ca.requests(step::new_order) == 1)
            refuse(answer, 500, "serverInternal");
        // So that the CA does not go on either, and says nothing of an end.
        if (at == step::order && here.ca.requests(step::new_order) == 1) {
            const auto mark = answer.body.find("\"status\":\"");
            const auto end = answer.body.find('"', mark + 10);
            if (mark != std::string::npos)
                answer.body.replace(mark, end - mark, "\"status\":\"ready");
        }
    };
    test::acme_member& one = here.start();
    CHECK_FALSE(here.wait([&] { return here.ca.requests(step::new_order) > 1; }, 23h));
    CHECK_MESSAGE(here.wait([&] { return one.served("example.com") != nullptr; }, 30h), test::all_of(one.warnings));
}

TEST_CASE("issue: an authorization that is gone ends its order, and the next attempt places another (RFC 8555 7.1.4)")
{
    test::town here;
    here.ca.on_answer = [&](step at, alos::http::outbound_response& answer) {
        if (at == step::authorization && here.ca.requests(step::new_order) == 1)
            refuse(answer, 404, "malformed");
    };
    test::acme_member& one = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }, 26h));
    CHECK(here.ca.requests(step::new_order) == 2);
}

TEST_CASE("issue: a challenge that was told before, and is refused therefore, is no failure (RFC 8555 7.5.1)")
{
    test::town here;
    bool is_refused = false;
    here.ca.on_answer = [&](step at, alos::http::outbound_response& answer) {
        if (at == step::challenge && !std::exchange(is_refused, true))
            refuse(answer, 400, "malformed");
    };
    test::acme_member& one = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }, 2min));
    CHECK(is_refused);
    CHECK(here.ca.requests(step::new_order) == 1);
    CHECK(one.warnings.empty());
}

TEST_CASE("issue: after the request for it a certificate is looked for when the CA says (RFC 8555 7.4)")
{
    test::town here;
    std::optional<alos::acme::time_point> asked, looked;
    here.ca.on_answer = [&](step at, alos::http::outbound_response& answer) {
        if (at == step::finalize && answer.body.find("\"processing\"") != std::string::npos) {
            std::erase_if(answer.fields, [](const auto& each) { return each.first == "Retry-After"; });
            answer.fields.emplace_back("Retry-After", "30");
            asked = here.world.now();
        }
    };
    here.ca.on_request = [&](step at) {
        if (at == step::order && asked && !looked)
            looked = here.world.now();
    };
    here.ca.settings.longest_processing = 1min;
    here.ca.behave({.processing_for_hours = 1});
    test::acme_member& one = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    REQUIRE(asked);
    REQUIRE(looked);
    CHECK(*looked - *asked >= 30s);
    CHECK(*looked - *asked < 35s);
}

TEST_CASE("issue: an answer that the next attempt was to use is taken away when the CA has looked meanwhile")
{
    test::town here;
    here.ca.settings.longest_validation = 10min;
    bool is_away = false;
    here.world.serve("ca.test", [&](const test::http::outbound_request& request) {
        if (is_away)
            return alos::outcome<test::http::outbound_response>(
                alos::failure{boost::system::errc::make_error_code(boost::system::errc::connection_refused), "away"});
        return here.ca.answer(request);
    });
    test::acme_member& one = here.start();
    test::simulated_files files(here.disk);
    const std::string folder = "/certificates/challenge/http-01";
    REQUIRE(here.wait([&] { return here.ca.requests(step::challenge) == 1; }));
    is_away = true; // it looks, and nobody hears of it until the attempt is over
    REQUIRE(here.wait([&] { return !one.warnings.empty(); }));
    CHECK(files.list(folder).value().size() == 1);
    is_away = false;
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    CHECK(files.list(folder).value().empty());
}

namespace {

// A DNS of somebody else's that does not work.
class broken_dns final : public alos::acme::dns_solver {
public:
    explicit broken_dns(bool throws) : throws_(throws) {}

    alos::acme::awaitable<alos::outcome<>> present(std::string, std::string) override
    {
        if (throws_)
            throw 42;
        co_return alos::failure{boost::system::errc::make_error_code(boost::system::errc::io_error), "no zone"};
    }
    alos::acme::awaitable<alos::outcome<>> clean_up(std::string, std::string) override
    {
        co_return alos::outcome<>();
    }

private:
    const bool throws_;
};

}

TEST_CASE("issue: where an answer cannot be published, another type of challenge is tried at once")
{
    using enum alos::acme::challenge_type;
    test::town here;
    auto settings = here.settings();
    settings.challenges = {dns_01, http_01};
    settings.dns = std::make_shared<broken_dns>(false);
    test::acme_member& one = here.start(settings);
    REQUIRE_MESSAGE(here.wait([&] { return one.served("example.com") != nullptr; }, 2min),
                    test::all_of(one.warnings));
    CHECK(one.warnings.empty());
}

TEST_CASE("issue: whatever a solver throws ends the attempt, and is told")
{
    test::town here;
    auto settings = here.settings({"*.example.com"});
    settings.dns = std::make_shared<broken_dns>(true);
    test::acme_member& one = here.start(settings);
    REQUIRE(here.wait([&] { return !one.warnings.empty(); }, 1min));
    CHECK_MESSAGE(one.warnings.front().find("attempt: it broke off: ") != std::string::npos, one.warnings.front());
}

TEST_CASE("issue: an order that is refused for what it replaces is repeated without, and nobody is told (RFC 9773 5)")
{
    for (const auto& [status, type] : {std::pair{404u, "malformed"}, std::pair{400u, "malformed"},
                                       std::pair{409u, "alreadyReplaced"}}) {
        CAPTURE(status);
        test::town here;
        unsigned refused = 0;
        here.ca.on_answer = [&](step at, alos::http::outbound_response& answer) {
            const bool has_predecessor = answer.status == 409 || answer.body.find("\"replaces\"") != std::string::npos;
            if (at != step::new_order || !has_predecessor)
                return;
            ++refused;
            answer.status = status;
            answer.fields = {{"Content-Type", "application/problem+json"}};
            answer.body = R"({"type": "urn:ietf:params:acme:error:)" + std::string(type) + R"("})";
        };
        test::acme_member& one = here.start();
        REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
        const auto first = one.served("example.com");
        std::optional<alos::outcome<>> done;
        one.spawn(test::force_example(one, done));
        REQUIRE_MESSAGE(here.wait([&] { return done.has_value(); }), test::all_of(one.warnings));
        CHECK_MESSAGE(done->has_value(), test::all_of(one.warnings));
        CHECK(one.served("example.com") != first);
        CHECK(refused == (status == 404 ? 2 : 1)); // where newOrder may have moved, the directory is read again
        CHECK(here.ca.requests(step::new_order) == refused + 2);
        CHECK(here.ca.issued().size() == 2);
        CHECK(one.count(alos::acme::event_kind::renewal_failed) == 0);
        CHECK(one.warnings.empty());
    }
}

TEST_CASE("issue: a request for a certificate that is refused though it had effect: the order tells (RFC 8555 7.4)")
{
    // It is valid at once, or issued while it is asked for.
    for (const auto longest_issuance : {0ms, 5000ms}) {
        test::town here({.longest_issuance = longest_issuance});
        here.ca.on_answer = [&](step at, alos::http::outbound_response& answer) {
            if (at != step::finalize)
                return;
            answer.status = 403;
            answer.fields = {{"Content-Type", "application/problem+json"}};
            answer.body = R"({"type": "urn:ietf:params:acme:error:orderNotReady", "detail": "it is valid"})";
        };
        test::acme_member& one = here.start();
        REQUIRE_MESSAGE(here.wait([&] { return one.served("example.com") != nullptr; }), test::all_of(one.warnings));
        CHECK(here.ca.requests(step::finalize) == 1);
        CHECK(here.ca.requests(step::new_order) == 1);
        CHECK(here.ca.issued().size() == 1);
        CHECK(one.count(alos::acme::event_kind::renewal_failed) == 0);
        CHECK(one.warnings.empty());
    }
}

TEST_CASE("issue: an order that stays processing is read as seldom as the CA wants it (RFC 8555 7.4, RFC 9110 10.2.3)")
{
    for (const bool is_date : {false, true}) {
        CAPTURE(is_date);
        test::town here({.longest_processing = 5min});
        here.ca.behave({.processing_for_hours = 1});
        std::vector<alos::acme::time_point> read;
        here.ca.on_answer = [&](step at, alos::http::outbound_response& answer) {
            if (at != step::order || answer.body.find("\"processing\"") == std::string::npos)
                return;
            read.push_back(here.world.now());
            answer.fields = {{"Content-Type", "application/json"}, {"Retry-After", "30"}};
            if (is_date) { // by a clock that is wrong
                const auto there = std::chrono::system_clock::to_time_t(here.world.now() + 1h);
                answer.fields[1].second = alos::http::format_date(there + 30);
                answer.fields.emplace_back("Date", alos::http::format_date(there));
            }
        };
        test::acme_member& one = here.start();
        REQUIRE_MESSAGE(here.wait([&] { return one.served("example.com") != nullptr; }), test::all_of(one.warnings));
        REQUIRE(read.size() >= 9);
        for (std::size_t i = 1; i < read.size(); ++i)
            CHECK_MESSAGE(read[i] - read[i - 1] >= 30s, i);
    }
}

TEST_CASE("issue: an order that is kept, and that the CA knows no more, is given up for another at once (RFC 8555 7.4)")
{
    test::town here;
    bool is_gone = false;
    here.ca.on_request = [&](step at) {
        here.ca.behave({.server_error = at == step::finalize && !std::exchange(is_gone, true) ? 1.0 : 0.0});
    };
    here.ca.on_answer = [&](step at, alos::http::outbound_response& answer) {
        if (at != step::order || !is_gone || here.ca.requests(step::new_order) > 1)
            return;
        answer.status = 404;
        answer.fields = {{"Content-Type", "application/problem+json"}};
        answer.body = R"({"type": "urn:ietf:params:acme:error:malformed", "detail": "no such order"})";
    };
    test::acme_member& one = here.start();
    REQUIRE(here.wait([&] { return !one.warnings.empty(); }));
    const auto is_served = [&] { return one.served("example.com") != nullptr; };
    CHECK_MESSAGE(here.wait(is_served, 5min), test::all_of(one.warnings));
    CHECK(here.ca.requests(step::new_order) == 2);
    CHECK(here.ca.requests(step::finalize) == 2);
    CHECK(one.count(alos::acme::event_kind::renewal_failed) == 1);
}

TEST_CASE("issue: an order that goes back from processing to ready is finalized once more (RFC 8555 7.4)")
{
    test::town here;
    unsigned told = 0; // that it is processing
    here.ca.on_answer = [&](step at, alos::http::outbound_response& answer) {
        const auto say = [&](const char* state) {
            const std::size_t found = answer.body.find("\"status\":\"valid\"");
            if (found != std::string::npos)
                answer.body.replace(found, 16, std::string("\"status\":\"") + state + "\"");
        };
        if (at == step::order && told < 3)
            say(++told < 3 ? "processing" : "ready");
    };
    test::acme_member& one = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    CHECK(here.ca.requests(step::new_order) == 1);
    REQUIRE(one.warnings.size() == 1);
    CHECK_MESSAGE(one.warnings.front().find("the order does not go on") != std::string::npos, one.warnings.front());
}
