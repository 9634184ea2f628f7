// Several processes, or several certificates, that have something in common: one storage, one name, one limit. And one
// process that ends.
#include "support/town.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>

using namespace std::chrono_literals;
using alos::acme::awaitable;
using alos::acme::challenge_type;
using alos::acme::event_kind;
using alos::outcome;
using test::acme_member;
using test::all_of;
using test::town;
using step = test::scripted_ca::step;

namespace {

// A DNS that takes its time.
class slow_dns final : public alos::acme::dns_solver {
public:
    slow_dns(test::simulated_world& world, test::simulated_member*& where) : zone_(world), where_(where) {}

    awaitable<outcome<>> present(std::string name, std::string value) override
    {
        most_at_once = std::max(most_at_once, ++at_once_);
        co_await where_->sleep_until(where_->now() + 2min);
        --at_once_;
        auto done = co_await zone_.present(std::move(name), std::move(value));
        co_return done;
    }

    awaitable<outcome<>> clean_up(std::string name, std::string value) override
    {
        if (on_clean_up)
            on_clean_up();
        co_await where_->sleep_until(where_->now() + 2s);
        ++cleaned;
        auto done = co_await zone_.clean_up(std::move(name), std::move(value));
        co_return done;
    }

    std::function<void()> on_clean_up;
    unsigned most_at_once = 0;
    unsigned cleaned = 0;

private:
    test::simulated_dns_solver zone_;
    test::simulated_member*& where_;
    unsigned at_once_ = 0;
};

// What a coroutine returned, once it has.
template <class T>
awaitable<> keep(awaitable<T> work, std::optional<T>& into)
{
    into = co_await std::move(work);
}

}

TEST_CASE("members: while a CA is processing an order nobody has its lock, and two processes finish that one order")
{
    town here;
    test::hostility slow;
    slow.processing_for_hours = 1;
    here.ca.settings.longest_processing = 5min;
    here.ca.behave(slow);
    acme_member& one = here.start();
    acme_member& other = here.start();
    REQUIRE(here.wait([&] { return here.ca.requests(step::finalize) == 1; }));
    here.world.run_for(2s);
    std::optional<outcome<std::optional<alos::acme::storage_lock>>> taken;
    one.spawn(keep(one.storage.try_lock("example.com.ecdsa-p256"), taken));
    here.wait([&] { return taken.has_value(); });
    REQUIRE(taken.has_value());
    REQUIRE(taken->has_value());
    CHECK((*taken)->has_value());
    taken.reset();
    REQUIRE_MESSAGE(here.wait([&] { return one.served("example.com") && other.served("example.com"); }),
                    all_of(one.warnings), all_of(other.warnings));
    CHECK(one.served("example.com")->about.fingerprint == other.served("example.com")->about.fingerprint);
    CHECK(here.ca.issued().size() == 1);
    CHECK(here.ca.requests(step::finalize) == 1);
    CHECK(one.manager.certificates().front().generation == 1);
    CHECK(other.manager.certificates().front().generation == 1);
}

TEST_CASE("members: of two processes that prove one name by tls-alpn-01, one waits for the other (RFC 8737 3)")
{
    town here;
    here.ca.settings.longest_validation = 60s;
    auto with = [&](std::string first) {
        auto made = here.settings({{std::move(first), "shared.example.com"}});
        made.challenges = {challenge_type::tls_alpn_01};
        return made;
    };
    acme_member& one = here.start(with("a.example.com"));
    acme_member& other = here.start(with("b.example.com"));
    CHECK(here.wait([&] { return one.served("a.example.com") && other.served("b.example.com"); }));
    CHECK_MESSAGE(one.count(event_kind::renewal_failed) == 0, all_of(one.warnings));
    CHECK_MESSAGE(other.count(event_kind::renewal_failed) == 0, all_of(other.warnings));
    CHECK(here.ca.breaches().empty());
    // Nobody shows an answer any more.
    CHECK(one.registry.served().load()->challenge("shared.example.com") == nullptr);
    CHECK(other.registry.served().load()->challenge("shared.example.com") == nullptr);
}

TEST_CASE("members: a process that died with an answer posted keeps nobody from the name for longer than an attempt")
{
    town here;
    here.ca.settings.longest_validation = 60s;
    auto settings = here.settings({{"a.example.com", "shared.example.com"}});
    settings.challenges = {challenge_type::tls_alpn_01};
    here.start(settings);
    REQUIRE(here.wait([&] { return here.ca.requests(step::challenge) > 0; }));
    here.members.clear();
    settings.domains = {{"b.example.com", "shared.example.com"}};
    acme_member& other = here.start(settings);
    CHECK_MESSAGE(here.wait([&] { return other.served("b.example.com") != nullptr; }, 30min), all_of(other.warnings));
}

TEST_CASE("members: of three processes one asks the CA for a window, and another one when that has died")
{
    town here;
    const auto are_served = [&] {
        return std::ranges::all_of(here.members,
                                   [](const auto& each) { return each->served("example.com") != nullptr; });
    };
    // In ten days; it wants to be asked every six hours.
    const auto questions = [&] {
        const auto before = here.ca.requests(step::renewal_info);
        here.world.run_for(24h * 10);
        return here.ca.requests(step::renewal_info) - before;
    };
    for (int i = 0; i < 3; ++i)
        here.start();
    REQUIRE(here.wait(are_served));
    CHECK(questions() >= 38);
    CHECK(here.ca.requests(step::directory) <= 6); // not every day for that alone
    for (int i = 0; i < 2; ++i) {
        const auto asked = questions();
        CHECK(asked >= 38);
        CHECK(asked <= 42);
        here.members.erase(here.members.begin() + i);
    }
    here.members.clear();
    for (int i = 0; i < 3; ++i)
        here.start();
    REQUIRE(here.wait(are_served));
    CHECK(questions() <= 44);
}

TEST_CASE("members: a process that has another CA keeps nobody from asking the one that issued a certificate")
{
    town here;
    test::scripted_ca other(here.world, {.url = "https://other.test"}, 2);
    acme_member& one = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    auto elsewhere = here.settings();
    elsewhere.cas.front().directory = other.directory_url();
    acme_member& stranger = here.start(elsewhere);
    // It replaces what its CA has not issued, when it is configured so and not again.
    REQUIRE(here.wait([&] { return stranger.count(event_kind::renewed) == 1; }));
    REQUIRE(other.issued().size() == 1);
    std::optional<alos::outcome<>> done;
    one.spawn(test::force_example(one, done));
    REQUIRE(here.wait([&] { return done.has_value(); }));
    here.world.run_for(24h);
    const auto asked = here.ca.requests(step::renewal_info);
    const auto asked_there = other.requests(step::renewal_info);
    here.world.run_for(24h * 10);
    CHECK(here.ca.requests(step::renewal_info) - asked >= 38);
    CHECK(other.requests(step::renewal_info) == asked_there);
    CHECK(other.issued().size() == 1);
    CHECK(here.ca.issued().size() == 2);
}

TEST_CASE("members: who asks for a renewal just when another process has the lock does not wait for long")
{
    town here;
    acme_member& one = here.start();
    acme_member& other = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") && other.served("example.com"); }));
    here.world.run_for(1min);
    std::optional<outcome<std::optional<alos::acme::storage_lock>>> taken;
    one.spawn(keep(one.storage.try_lock("example.com.ecdsa-p256"), taken));
    REQUIRE(here.wait([&] { return taken.has_value(); }));
    REQUIRE((taken->has_value() && (*taken)->has_value()));
    std::optional<outcome<>> done;
    other.spawn(test::force_example(other, done));
    here.world.run_for(3s);
    CHECK_FALSE(done.has_value());
    one.spawn(one.storage.unlock(taken->value().value()));
    CHECK(here.wait([&] { return done.has_value(); }, 30s));
    CHECK(here.ca.issued().size() == 2);
}

TEST_CASE("members: a process that is killed while somebody waits for a renewal goes with all that it began")
{
    town here;
    acme_member& one = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    std::optional<outcome<>> done;
    one.spawn(test::force_example(one, done));
    here.world.run_for(10ms);
    here.members.clear();
    CHECK_FALSE(done.has_value());
}

TEST_CASE("members: processes with different settings leave each other's back-off alone")
{
    town here({.profiles = {{"long", 30 * 24h}}});
    const auto start = [&](const char* profile) -> acme_member& {
        auto wrong = here.settings();
        wrong.cas.front().profile = profile;
        return here.start(std::move(wrong));
    };
    acme_member& one = start("longer");
    acme_member& other = start("longest");
    here.world.run_for(20h);
    CHECK(one.count(event_kind::renewal_failed) <= 2);
    CHECK(other.count(event_kind::renewal_failed) <= 2);
    CHECK(one.count(event_kind::renewal_failed) + other.count(event_kind::renewal_failed) >= 2);
}

TEST_CASE("members: two processes that want other names under one id do not order in turns, and are told")
{
    town here;
    acme_member& one = here.start(here.settings({{"example.com", "www.example.com"}}));
    REQUIRE(here.wait([&] { return one.served("www.example.com") != nullptr; }));
    acme_member& other = here.start(here.settings({{"example.com", "mail.example.com"}}));
    REQUIRE(here.wait([&] { return other.served("mail.example.com") != nullptr; }));
    here.world.run_for(24h * 20);
    CHECK(here.ca.issued().size() == 2);
    CHECK_MESSAGE(all_of(one.warnings).find("give both the same configuration") != std::string::npos,
                  all_of(one.warnings));
}

TEST_CASE("members: answers in the DNS are published at once, however many names there are")
{
    town here;
    test::simulated_member* where = nullptr;
    auto with_dns = here.settings({{"*.a.example.com", "*.b.example.com", "*.c.example.com", "*.d.example.com"}});
    const auto dns = std::make_shared<slow_dns>(here.world, where);
    with_dns.dns = dns;
    acme_member& one = here.start(with_dns);
    where = &one.environment;
    CHECK_MESSAGE(here.wait([&] { return one.served("x.d.example.com") != nullptr; }, 4min), all_of(one.warnings));
    CHECK(dns->most_at_once == 4);
    CHECK(dns->cleaned == 4);
}

TEST_CASE("members: told to stop while it cleans up, an attempt finishes that, and goes no further")
{
    town here;
    test::simulated_member* where = nullptr;
    auto with_dns = here.settings({"*.example.com"});
    const auto dns = std::make_shared<slow_dns>(here.world, where);
    with_dns.dns = dns;
    acme_member& one = here.start(with_dns);
    where = &one.environment;
    dns->on_clean_up = [&] { one.manager.stop(); };
    REQUIRE(here.wait([&] { return one.manager.is_idle() && dns->cleaned == 1; }));
    const auto asked = here.ca.requests(step::finalize);
    CHECK(asked == 0);
    // The order is there for the next process.
    acme_member& next = here.start(here.settings());
    where = &next.environment;
    dns->on_clean_up = nullptr;
    auto again = here.settings({"*.example.com"});
    again.dns = dns;
    acme_member& heir = here.start(again);
    where = &heir.environment;
    REQUIRE_MESSAGE(here.wait([&] { return heir.served("a.example.com") != nullptr; }), all_of(heir.warnings));
    CHECK(dns->cleaned == 1); // all was proven
}

TEST_CASE("members: told to stop while the CA looks, an attempt takes its answers away")
{
    town here;
    here.ca.settings.longest_validation = 10min;
    test::simulated_member* where = nullptr;
    auto both = here.settings({{"*.example.com", "example.com"}});
    const auto dns = std::make_shared<slow_dns>(here.world, where);
    both.dns = dns;
    acme_member& one = here.start(both);
    where = &one.environment;
    REQUIRE(here.wait([&] { return here.ca.requests(step::challenge) == 2; }));
    test::simulated_files files(here.disk);
    CHECK(files.list("/certificates/challenge/http-01").value().size() == 1);
    one.manager.stop();
    REQUIRE(here.wait([&] { return one.manager.is_idle(); }, 4s));
    CHECK(dns->cleaned == 1);
    CHECK(files.list("/certificates/challenge/http-01").value().empty());
}

TEST_CASE("members: a challenge that never reached the CA is posted again")
{
    town here;
    bool is_cut = false;
    here.ca.on_request = [&](step at) {
        if (at != step::authorization || std::exchange(is_cut, true))
            return;
        test::hostility cut;
        cut.cut_before = 1;
        here.ca.behave(cut);
        here.world.after(2s, [&] { here.ca.behave({}); });
    };
    acme_member& one = here.start();
    REQUIRE_MESSAGE(here.wait([&] { return one.served("example.com") != nullptr; }, 2min), all_of(one.warnings));
    CHECK(here.ca.times(&test::hostility::cut_before) > 0);
    CHECK(here.ca.requests(step::new_order) == 1);
}

TEST_CASE("members: certificates for two types of keys share what a CA allows for their names")
{
    town here;
    auto both = here.settings();
    both.key_types = {alos::key_kind::ecdsa_p256, alos::key_kind::rsa_2048};
    both.cas.front().certificates = {1, 48h};
    here.start(both);
    here.world.run_for(40h);
    CHECK(here.ca.issued().size() == 1);
    here.members.clear(); // and what was asked for is not forgotten
    here.start(both);
    here.world.run_for(4h);
    CHECK(here.ca.issued().size() == 1);
    here.world.run_for(24h);
    CHECK(here.ca.issued().size() == 2);
}

TEST_CASE("members: a CA that wants to be left alone for long is left for the next one with a sixth of life left")
{
    town here({.renewal_info = false});
    test::scripted_ca second(here.world, {.url = "https://second.test"}, 7);
    auto both = here.settings();
    both.cas.push_back(alos::acme::certificate_authority{.directory = second.directory_url()});
    acme_member& one = here.start(both);
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    const auto end = one.served("example.com")->about.not_after;
    test::hostility busy;
    busy.too_many_requests = 1;
    here.ca.settings.longest_retry_after = 24h * 300;
    here.ca.behave(busy);
    REQUIRE_MESSAGE(here.wait([&] { return !second.issued().empty(); }, 24h * 89), all_of(one.warnings));
    const auto left = end - second.issued().front().issued_at;
    CHECK(left <= 24h * 15);
    CHECK(left > 24h * 10);
    CHECK(here.ca.breaches().empty());
    CHECK(second.breaches().empty());
}

TEST_CASE("members: a directory without TLS is refused when it is configured (RFC 8555 6.1)")
{
    town here;
    auto plain = here.settings();
    plain.cas.front().directory = "http://ca.test/directory";
    acme_member& one = here.start(plain);
    REQUIRE(here.wait([&] { return one.started.has_value(); }));
    REQUIRE(one.started->has_error());
    CHECK(one.started->error().what.find("https URL") != std::string::npos);
    CHECK(here.ca.requests(step::directory) == 0);
}

TEST_CASE("members: who asks for one whose last attempt failed is told why at once, after a restart, too")
{
    town here;
    here.ca.behave({.rejected_identifier = 1});
    acme_member& one = here.start();
    REQUIRE(here.wait([&] { return !one.warnings.empty(); }));
    here.members.clear();
    acme_member& again = here.start();
    REQUIRE(here.wait([&] { return again.started.has_value(); }));
    std::optional<outcome<alos::cert::credential_ptr>> got;
    again.spawn(keep(again.manager.obtain("example.com"), got));
    REQUIRE(here.wait([&] { return got.has_value(); }, 1min));
    REQUIRE(got->has_error());
    CHECK_MESSAGE(got->error().what.find("rejectedIdentifier") != std::string::npos, got->error().what);
    const auto told = std::ranges::find(again.events, event_kind::stand_in, &alos::acme::event::kind);
    REQUIRE(told != again.events.end());
    CHECK_MESSAGE(told->message.find("the last attempt failed: ") != std::string::npos, told->message);
    CHECK_MESSAGE(told->message.find("at once by force_renew()") != std::string::npos, told->message);
}

TEST_CASE("members: what was obtained by other settings for the names answers until the CA has issued by these")
{
    for (const bool is_other_key : {false, true}) {
        town here;
        acme_member& one = here.start(here.settings({{"example.com", "www.example.com"}}));
        REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
        const auto first = one.served("example.com")->about.fingerprint;
        here.members.clear();
        here.ca.behave({.server_error = 1});
        auto next = is_other_key ? here.settings({{"example.com", "www.example.com"}})
                                 : here.settings({{"www.example.com", "example.com"}});
        if (is_other_key)
            next.key_types = {alos::key_kind::rsa_2048};
        next.until_then = alos::acme::before_issuance::unrecognized_name;
        acme_member& again = here.start(next);
        REQUIRE(here.wait([&] { return again.started.has_value(); }));
        REQUIRE(again.served("www.example.com"));
        CHECK(again.served("www.example.com")->about.fingerprint == first);
        here.ca.behave({});
        const auto is_new = [&] { return again.served("example.com")->about.fingerprint != first; };
        CHECK(here.wait(is_new));
    }
}

TEST_CASE("members: those who ask for one certificate at the same time share an order")
{
    town here;
    acme_member& one = here.start(here.settings({}));
    REQUIRE(here.wait([&] { return one.started.has_value(); }));
    using answer = outcome<alos::cert::credential_ptr>;
    std::array<std::optional<answer>, 3> got;
    for (auto& each : got)
        one.spawn(keep(one.manager.obtain("example.com"), each));
    REQUIRE(here.wait([&] { return std::ranges::all_of(got, [](const auto& each) { return each.has_value(); }); }));
    for (const auto& each : got) {
        REQUIRE_MESSAGE(each->has_value(), all_of(one.warnings));
        CHECK((**each)->about.fingerprint == one.served("example.com")->about.fingerprint);
    }
    CHECK(here.ca.requests(step::new_order) == 1);
    CHECK(here.ca.issued().size() == 1);
}

TEST_CASE("members: a certificate of which nothing says who issued it is revoked at the first CA (RFC 8555 7.6)")
{
    town here;
    acme_member& before = here.start();
    REQUIRE(here.wait([&] { return before.served("example.com") != nullptr; }));
    here.members.clear();
    test::simulated_files files(here.disk);
    REQUIRE_FALSE(files.remove("/certificates/certs/example.com.ecdsa-p256/000001/meta.json"));
    acme_member& one = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    std::optional<outcome<>> revoked;
    one.spawn(keep(one.manager.revoke("example.com", 1), revoked));
    REQUIRE(here.wait([&] { return revoked.has_value(); }));
    REQUIRE_MESSAGE(revoked->has_value(), revoked->error().what);
    CHECK(here.ca.issued()[0].revoked);
    CHECK(here.ca.issued().size() == 2);
}

TEST_CASE("members: without an account a certificate is revoked by its own key (RFC 8555 7.6)")
{
    town here;
    acme_member& before = here.start();
    REQUIRE(here.wait([&] { return before.served("example.com") != nullptr; }));
    here.members.clear();
    test::simulated_files files(here.disk);
    for (const std::string& each : files.list("/certificates/account").value())
        REQUIRE_FALSE(files.remove("/certificates/account/" + each));
    here.ca.on_request = [&](step at) { here.ca.behave({.server_error = at == step::new_account ? 1.0 : 0.0}); };
    acme_member& one = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    std::optional<outcome<>> revoked;
    one.spawn(keep(one.manager.revoke("example.com", 1), revoked));
    CHECK_MESSAGE(here.wait([&] { return here.ca.issued()[0].revoked; }), all_of(one.warnings));
}

TEST_CASE("members: a revoked certificate is replaced by one with another key; a removed one is served no longer")
{
    town here;
    acme_member& one = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    const auto before = one.served("example.com");
    std::optional<outcome<>> revoked;
    one.spawn(keep(one.manager.revoke("example.com", 1), revoked));
    REQUIRE(here.wait([&] { return revoked.has_value(); }));
    REQUIRE_MESSAGE(revoked->has_value(), all_of(one.warnings));
    REQUIRE(here.ca.issued().size() == 2);
    CHECK(here.ca.issued()[0].revoked);
    CHECK_FALSE(here.ca.issued()[1].revoked);
    CHECK(here.ca.issued()[0].key_hash != here.ca.issued()[1].key_hash);
    CHECK(one.served("example.com")->about.fingerprint != before->about.fingerprint);

    REQUIRE(one.manager.remove("example.com").has_value());
    CHECK(one.served("example.com") == nullptr);
    CHECK(one.manager.remove("example.com").has_error());
    here.world.run_for(24h * 100);
    CHECK(here.ca.issued().size() == 2);
}

TEST_CASE("members: one that the CA has revoked by itself is revoked with success, and replaced (RFC 8555 7.6)")
{
    town here;
    acme_member& one = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    const auto before = one.served("example.com");
    here.ca.revoke(here.ca.issued()[0]);
    bool is_refused = false;
    here.ca.on_answer = [&](step at, alos::http::outbound_response& answer) {
        is_refused = is_refused
                     || (at == step::revoke_cert && answer.body.find("alreadyRevoked") != std::string::npos);
    };
    std::optional<outcome<>> revoked;
    one.spawn(keep(one.manager.revoke("example.com", 1), revoked));
    REQUIRE(here.wait([&] { return revoked.has_value(); }));
    CHECK(is_refused);
    CHECK_MESSAGE(revoked->has_value(), revoked->error().what);
    CHECK(here.ca.issued().size() == 2);
    CHECK(one.served("example.com")->about.fingerprint != before->about.fingerprint);
    CHECK(one.count(event_kind::renewal_failed) == 0);
}

TEST_CASE("members: of the certificates that are due, as many are ordered at once as are set")
{
    town here;
    test::simulated_member* where = nullptr;
    auto settings = here.settings({"*.a.example", "*.b.example", "*.c.example", "*.d.example", "*.e.example"});
    settings.orders_at_once = 2;
    const auto dns = std::make_shared<slow_dns>(here.world, where);
    settings.dns = dns;
    acme_member& one = here.start(settings);
    where = &one.environment;
    const auto are_served = [&] {
        return std::ranges::all_of(std::string_view("abcde"), [&](char each) {
            return one.served(std::string("x.") + each + ".example") != nullptr;
        });
    };
    CHECK_MESSAGE(here.wait(are_served), all_of(one.warnings));
    CHECK(dns->most_at_once == 2);
    CHECK(dns->cleaned == 5);
}
