#include <alos/acme/prover.hpp>

#include "support/plain_ca.hpp"
#include "support/scripted_ca.hpp"
#include "support/simulated_files.hpp"
#include "support/simulated_world.hpp"

#include <alos/acme/account.hpp>
#include <alos/acme/file_storage.hpp>
#include <alos/http/date.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using alos::outcome;
using alos::acme::awaitable;
using alos::acme::challenge_type;
using alos::acme::identifier;
using alos::acme::posting;
using alos::acme::unproven;

namespace {

// A DNS that counts, and may take for ever to remove something.
class counting_dns final : public alos::acme::dns_solver {
public:
    counting_dns(test::simulated_world& world, test::simulated_member& where) : zone_(world), where_(where) {}

    awaitable<outcome<>> present(std::string name, std::string value) override
    {
        ++presented;
        return zone_.present(std::move(name), std::move(value));
    }

    awaitable<outcome<>> clean_up(std::string name, std::string value) override
    {
        ++cleaned;
        if (hangs)
            co_await where_.sleep_until(where_.now() + 24h);
        auto done = co_await zone_.clean_up(std::move(name), std::move(value));
        co_return done;
    }

    unsigned presented = 0;
    unsigned cleaned = 0; // or begun to be
    bool hangs = false;

private:
    test::simulated_dns_solver zone_;
    test::simulated_member& where_;
};

// One process that has orders to prove: by http-01 and tls-alpn-01 what it can, wildcards by dns-01.
struct office {
    office()
    {
        world.serve_others(test::serve_answers(http01));
        world.show_other_certificates(test::show_challenges(registry));
    }
    ~office() { world.kill(self); }

    // Orders these names, and proves them. What was wrong; empty: nothing.
    awaitable<std::string> prove(std::vector<std::string> names, challenge_type first)
    {
        std::vector<identifier> all;
        for (const std::string& each : names)
            all.push_back(*alos::acme::identifier_of(each));
        alos::acme::account_keeper account(ca, storage, "admin@example.com",
                                           [](alos::acme::event_kind, std::string) {});
        const auto by = co_await account.open();
        std::string payload = alos::acme::new_order_payload(all);
        const auto placed = co_await ca.post(&alos::acme::directory::new_order, std::move(payload), *by, "order");
        auto order = alos::acme::parse_order(placed->body);
        auto said = co_await prove_order(std::move(*order), std::move(*by), first);
        co_return said;
    }

    awaitable<std::string> prove_order(alos::acme::order order, alos::acme::signer by, challenge_type first)
    {
        auto settings = std::make_shared<alos::acme::config>();
        settings->challenges = {first, challenge_type::dns_01};
        settings->dns = dns;
        const alos::acme::limits allowed(self, storage, ca.ca());
        alos::acme::prover one(ca, by, board, settings, allowed, 24h * 90, self.now() + 10min,
                               [this](const std::string& step) { told += step + "\n"; });
        if (on_proof)
            on_proof();
        const auto done = co_await one.prove(std::move(order));
        tries_another_way = !done && done.error().try_another_way;
        co_return done ? std::string() : done.error().why.what;
    }

    // The last validation of that name that counts as failed, and why; empty: none.
    awaitable<std::string> failure_counted(std::string name)
    {
        const alos::acme::limits allowed(self, storage, ca.ca());
        auto failures = allowed.failed_validations(*alos::acme::identifier_of(name), 24h * 90);
        auto last = co_await failures.last_taken_for();
        co_return last;
    }

    // Returns at once; `said` has it later.
    void begin(awaitable<std::string> work)
    {
        said.reset();
        const auto ended = [this](const std::exception_ptr& thrown, std::string what) {
            said = thrown ? alos::text_of_exception(thrown) : std::move(what);
        };
        boost::asio::co_spawn(self.executor(), std::move(work),
                              boost::asio::bind_cancellation_slot(cancel.slot(), ended));
    }

    bool wait(std::chrono::seconds longest = 20min)
    {
        return world.run_until([&] { return said.has_value(); }, longest);
    }

    static awaitable<std::string> post(alos::acme::board& on, posting what, std::shared_ptr<counting_dns> dns)
    {
        const auto done = co_await on.post(std::move(what), dns, {});
        co_return done ? std::string() : done.error().what;
    }

    test::simulated_world world{1};
    test::scripted_ca there{world, {}, 1};
    std::shared_ptr<test::simulated_disk> disk = std::make_shared<test::simulated_disk>();
    test::simulated_files files{disk};
    test::simulated_member& self = world.add_member(files);
    alos::acme::file_storage storage{
        files, "/data", "a process", [this] { return self.now(); },
        [this](std::chrono::milliseconds time) { return self.sleep_until(self.now() + time); }};
    alos::cert::registry registry{{}, [this] { return self.now(); }};
    alos::acme::answers http01;
    alos::acme::board board{self, storage, http01, registry};
    alos::acme::client ca{self, {.directory = there.directory_url()}};
    std::shared_ptr<counting_dns> dns = std::make_shared<counting_dns>(world, self);
    std::function<void()> on_proof; // called when there is an order
    std::string told;
    bool tries_another_way = false; // the last order
    std::optional<std::string> said;
    boost::asio::cancellation_signal cancel;
};

}

TEST_CASE("prover: a name on a host and one in the DNS are proven, and nothing is left (RFC 8555 8)")
{
    office here;
    here.begin(here.prove({"example.com", "*.example.com"}, challenge_type::http_01));
    REQUIRE(here.wait());
    CHECK(*here.said == "");
    CHECK(here.dns->presented == 1);
    CHECK(here.dns->cleaned == 1);
    CHECK(here.world.zone.empty());
    CHECK(here.files.list("/data/challenge/http-01").value().empty());
}

TEST_CASE("prover: what was not put into the DNS, as another answer failed, is neither taken away nor left there")
{
    office here;
    here.on_proof = [&] { here.disk->set_full(true); };
    here.begin(here.prove({"example.com", "*.example.com"}, challenge_type::http_01));
    REQUIRE(here.wait());
    CHECK_MESSAGE(here.said->find("example.com: ") != std::string::npos, *here.said);
    CHECK(here.told.find("dns-01") == std::string::npos);
    const posting another{challenge_type::dns_01, *alos::acme::identifier_of("*.example.com"), "token", "token.key"};
    here.begin(here.post(here.board, another, here.dns));
    REQUIRE(here.wait());
    CHECK(here.dns->presented == 1);
    CHECK(here.dns->cleaned == 0);
}

TEST_CASE("prover: cancelled before anything is in the DNS, it leaves that alone")
{
    office here;
    const posting first{challenge_type::tls_alpn_01, *alos::acme::identifier_of("example.com"), "token", "token.key"};
    here.begin(here.post(here.board, first, here.dns));
    REQUIRE(here.wait());
    here.begin(here.prove({"example.com", "*.example.com"}, challenge_type::tls_alpn_01));
    CHECK_FALSE(here.wait(1min)); // for the other order
    here.cancel.emit(boost::asio::cancellation_type::terminal);
    REQUIRE(here.wait(1s));
    CHECK(here.dns->presented == 0);
    CHECK(here.dns->cleaned == 0);
}

TEST_CASE("prover: a clean-up that hangs is waited for 2 minutes, and the names are proven all the same")
{
    office here;
    here.dns->hangs = true;
    here.begin(here.prove({"*.example.com"}, challenge_type::http_01));
    REQUIRE(here.world.run_until([&] { return here.dns->cleaned == 1; }, 5min));
    const auto begun = here.world.now();
    CHECK_FALSE(here.wait(119s));
    REQUIRE(here.wait(2s));
    CHECK(*here.said == "");
    CHECK(here.world.now() - begun == 2min);
    CHECK_MESSAGE(here.told.find("clean-up of *.example.com: it is not done after 2 minutes") != std::string::npos,
                  here.told);
}

namespace {

// An authorization of example.com, pending or with what the CA found wrong.
test::json::object authorization_by(const char* type, const char* path, const char* error = nullptr)
{
    const char* const status = error ? "invalid" : "pending";
    test::json::object challenge{{"type", type}, {"status", status}, {"url", test::plain_ca::url(path)},
                                 {"token", "LoqXcYV8q5ONbJQxbmR7SC"}};
    if (error)
        challenge["error"] = {{"type", "urn:ietf:params:acme:error:unauthorized"}, {"detail", error}};
    return {{"status", status},
            {"identifier", {{"type", "dns"}, {"value", "example.com"}}},
            {"challenges", test::json::array{std::move(challenge)}}};
}

}

TEST_CASE("prover: the cure fits the challenge that was tried (RFC 8555 8.3)")
{
    office here;
    test::plain_ca odd(here.world);
    bool is_over = false;
    odd.at["/authorization"] = [&](const auto&) {
        return test::plain_ca::reply(200, authorization_by("http-01", "/challenge",
                                                           is_over ? "Invalid response from http://example.com/: 404"
                                                                   : nullptr));
    };
    odd.at["/challenge"] = [&](const auto&) {
        is_over = true;
        return test::plain_ca::reply(200, test::json::object{});
    };
    alos::acme::order order;
    order.identifiers = {*alos::acme::identifier_of("example.com")};
    order.authorizations = {odd.url("/authorization")};
    alos::acme::signer by{alos::acme::account_key::generate(alos::key_kind::ecdsa_p256).value(), odd.url("/account")};
    here.begin(here.prove_order(std::move(order), std::move(by), challenge_type::http_01));
    REQUIRE(here.wait(1min));
    const std::string& said = *here.said;
    CHECK_MESSAGE(said.find("http-01 for example.com failed: unauthorized: Invalid response from") != said.npos, said);
    CHECK_MESSAGE(said.find("; let port 80 of every address of example.com lead to this program") != said.npos, said);
    CHECK_MESSAGE(said.find("account") == said.npos, said);
}

TEST_CASE("prover: only what says no to the name itself keeps another challenge from being tried (RFC 8555 8.2)")
{
    for (const auto& [type, is_tried] : {std::pair{"malformed", true}, std::pair{"unauthorized", true},
                                         std::pair{"caa", false}, std::pair{"rejectedIdentifier", false}}) {
        office here;
        test::plain_ca odd(here.world);
        bool is_over = false;
        odd.at["/authorization"] = [&](const auto&) {
            auto said = authorization_by("http-01", "/challenge", is_over ? "No valid IP addresses" : nullptr);
            auto& challenges = said["challenges"].as_array();
            if (is_over)
                challenges[0].at("error").as_object()["type"] = "urn:ietf:params:acme:error:" + std::string(type);
            auto other = challenges[0].as_object();
            other["type"] = "dns-01";
            other["url"] = test::plain_ca::url("/other");
            challenges.push_back(std::move(other));
            return test::plain_ca::reply(200, std::move(said));
        };
        odd.at["/challenge"] = [&](const auto&) {
            is_over = true;
            return test::plain_ca::reply(200, test::json::object{});
        };
        alos::acme::order order;
        order.identifiers = {*alos::acme::identifier_of("example.com")};
        order.authorizations = {odd.url("/authorization")};
        alos::acme::signer by{alos::acme::account_key::generate(alos::key_kind::ecdsa_p256).value(),
                              odd.url("/account")};
        here.begin(here.prove_order(std::move(order), std::move(by), challenge_type::http_01));
        REQUIRE(here.wait(1min));
        CHECK_MESSAGE(here.tries_another_way == is_tried, type);
    }
}

TEST_CASE("prover: where our own limit stops the next try, the CA's last words for the name are said first")
{
    office here;
    test::plain_ca odd(here.world);
    const char* words = nullptr;
    const char* next_words = nullptr;
    odd.at["/authorization"] = [&](const auto&) {
        return test::plain_ca::reply(200, authorization_by("http-01", "/challenge", words));
    };
    odd.at["/challenge"] = [&](const auto&) {
        words = next_words;
        return test::plain_ca::reply(200, test::json::object{});
    };
    const auto prove = [&](const char* said) {
        words = nullptr;
        next_words = said;
        alos::acme::order order;
        order.identifiers = {*alos::acme::identifier_of("example.com")};
        order.authorizations = {odd.url("/authorization")};
        alos::acme::signer by{alos::acme::account_key::generate(alos::key_kind::ecdsa_p256).value(),
                              odd.url("/account")};
        here.begin(here.prove_order(std::move(order), std::move(by), challenge_type::http_01));
        REQUIRE(here.wait(1min));
        return *here.said;
    };
    for (const char* said : {"404", "404", "not the key authorization"})
        CHECK(prove(said).find(said) != std::string::npos);
    const std::string said = prove("nobody asks");
    const std::size_t last = said.find("http-01 for example.com failed: unauthorized: not the key authorization; ");
    const std::size_t ours = said.find("; as many validations failed as a CA allows in an hour: that is our own limit");
    CHECK_MESSAGE(last != said.npos, said);
    CHECK_MESSAGE(ours != said.npos, said);
    CHECK(last < ours);
    CHECK_MESSAGE(said.find("no other is begun before 2027-01-01T00:15:") > ours, said);
    CHECK_MESSAGE(said.ends_with("Z"), said);
}

TEST_CASE("prover: a challenge whose URL is no https URL is refused at once (RFC 8555 6.1)")
{
    office here;
    test::plain_ca odd(here.world);
    odd.at["/authorization"] = [](const auto&) {
        return test::plain_ca::reply(200, {{"status", "pending"},
                                           {"identifier", {{"type", "dns"}, {"value", "example.com"}}},
                                           {"challenges", test::json::array{{{"type", "http-01"},
                                                                             {"status", "pending"},
                                                                             {"url", "http://ca.test/challenge"},
                                                                             {"token", "LoqXcYV8q5ONbJQxbmR7SC"}}}}});
    };
    alos::acme::order order;
    order.identifiers = {*alos::acme::identifier_of("example.com")};
    order.authorizations = {odd.url("/authorization")};
    alos::acme::signer by{alos::acme::account_key::generate(alos::key_kind::ecdsa_p256).value(), odd.url("/account")};
    here.begin(here.prove_order(std::move(order), std::move(by), challenge_type::http_01));
    REQUIRE(here.wait(1min));
    CHECK_MESSAGE(
        here.said->find("challenge: https://ca.test/directory names http://ca.test/challenge, which is no https")
            != std::string::npos,
        *here.said);
}

namespace {

// The proof of an order for two names, at a CA that finds nothing for one, and never looks for the other.
struct lost_order {
    explicit lost_order(bool is_first_lost = true)
    {
        serve("/first", "a.example", is_first_lost);
        serve("/second", "b.example", !is_first_lost);
        odd.at["/challenge"] = [this](const auto&) {
            is_told = true;
            return test::plain_ca::reply(200, test::json::object{});
        };
        alos::acme::order order;
        order.identifiers = {*alos::acme::identifier_of("a.example"), *alos::acme::identifier_of("b.example")};
        order.authorizations = {odd.url("/first"), odd.url("/second")};
        alos::acme::signer by{alos::acme::account_key::generate(alos::key_kind::ecdsa_p256).value(),
                              odd.url("/account")};
        here.begin(here.prove_order(std::move(order), std::move(by), challenge_type::http_01));
    }

    void serve(std::string path, const char* name, bool fails)
    {
        odd.at[path] = [this, path, name, fails](const test::plain_ca::asked& what) {
            if (what.payload.is_object())
                changed.push_back(path + " " + test::json::serialize(what.payload));
            if (fails && is_told)
                here.world.net = net_after_failure;
            auto said = authorization_by("http-01", "/challenge", fails && is_told ? "404" : nullptr);
            said["identifier"].as_object()["value"] = name;
            return test::plain_ca::reply(200, std::move(said));
        };
    }

    office here;
    test::plain_ca odd{here.world};
    test::simulated_world::network net_after_failure = here.world.net;
    std::vector<std::string> changed; // authorizations, and to what
    bool is_told = false;             // that it may look
};

}

TEST_CASE("prover: what is pending of an order that is lost is deactivated, and nothing else (RFC 8555 7.5.2)")
{
    lost_order one;
    REQUIRE(one.here.wait(2min));
    CHECK_MESSAGE(one.here.said->find("http-01 for a.example failed: ") != std::string::npos, *one.here.said);
    CHECK(one.changed == std::vector<std::string>{R"(/second {"status":"deactivated"})"});
}

TEST_CASE("prover: a name that failed is told of, not one before it that is still pending (RFC 8555 7.1.6)")
{
    lost_order one(false);
    REQUIRE(one.here.wait());
    CHECK_MESSAGE(one.here.said->find("http-01 for b.example failed: ") != std::string::npos, *one.here.said);
    CHECK(one.here.files.list("/data/challenge/http-01")->empty());
}

TEST_CASE("prover: who is cancelled waits for no deactivation")
{
    lost_order one;
    one.net_after_failure = {50s, 50s};
    REQUIRE(one.here.world.run_until([&] { return !one.changed.empty(); }, 20min));
    one.here.world.run_for(1s);
    REQUIRE_FALSE(one.here.said);
    one.here.cancel.emit(boost::asio::cancellation_type::terminal);
    CHECK(one.here.wait(1s));
    CHECK(one.here.files.list("/data/challenge/http-01")->empty());
}

TEST_CASE("prover: an authorization that is pending is read as seldom as the CA wants it (RFC 8555 7.5.1)")
{
    for (const bool is_date : {false, true}) {
        CAPTURE(is_date);
        office here;
        test::plain_ca odd(here.world);
        bool is_posted = false;
        std::vector<alos::acme::time_point> read; // since the CA may look
        odd.at["/authorization"] = [&](const auto&) {
            if (is_posted)
                read.push_back(here.world.now());
            auto said = authorization_by("http-01", "/challenge");
            if (read.size() == 5)
                said["status"] = "valid";
            const auto there = std::chrono::system_clock::to_time_t(here.world.now() + 1h); // by a clock that is wrong
            test::http::outbound_fields fields{{"Retry-After", is_date ? alos::http::format_date(there + 30) : "30"},
                                               {"Date", alos::http::format_date(there)}};
            return test::plain_ca::reply(200, std::move(said), std::move(fields));
        };
        odd.at["/challenge"] = [&](const auto&) {
            is_posted = true;
            return test::plain_ca::reply(200, test::json::object{});
        };
        alos::acme::order order;
        order.identifiers = {*alos::acme::identifier_of("example.com")};
        order.authorizations = {odd.url("/authorization")};
        alos::acme::signer by{alos::acme::account_key::generate(alos::key_kind::ecdsa_p256).value(),
                              odd.url("/account")};
        here.begin(here.prove_order(std::move(order), std::move(by), challenge_type::http_01));
        REQUIRE(here.wait());
        CHECK(*here.said == "");
        REQUIRE(read.size() == 5);
        for (std::size_t i = 1; i < read.size(); ++i) {
            CHECK(read[i] - read[i - 1] >= 30s);
            CHECK(read[i] - read[i - 1] <= 32s);
        }
    }
}

TEST_CASE("prover: only what the CA looked for counts as a validation that failed (RFC 8555 7.1.6)")
{
    for (const char* end : {"invalid", "deactivated", "expired", "revoked"}) {
        CAPTURE(end);
        office here;
        test::plain_ca odd(here.world);
        bool is_over = false;
        odd.at["/authorization"] = [&](const auto&) {
            auto said = authorization_by("http-01", "/challenge", nullptr);
            if (is_over)
                said["status"] = end;
            return test::plain_ca::reply(200, std::move(said));
        };
        odd.at["/challenge"] = [&](const auto&) {
            is_over = true;
            return test::plain_ca::reply(200, test::json::object{});
        };
        alos::acme::order order;
        order.identifiers = {*alos::acme::identifier_of("example.com")};
        order.authorizations = {odd.url("/authorization")};
        alos::acme::signer by{alos::acme::account_key::generate(alos::key_kind::ecdsa_p256).value(),
                              odd.url("/account")};
        here.begin(here.prove_order(std::move(order), std::move(by), challenge_type::http_01));
        REQUIRE(here.wait());
        CHECK(here.said->find("http-01 for example.com failed: ") != std::string::npos);
        here.begin(here.failure_counted("example.com"));
        REQUIRE(here.wait());
        CHECK(here.said->empty() == (std::string_view(end) != "invalid"));
    }
}
