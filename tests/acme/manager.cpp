#include <alos/acme/manager.hpp>

#include "support/acme_member.hpp"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using alos::acme::event_kind;
using test::acme_member;

namespace {

// A world with one CA and, at first, one process.
struct town {
    explicit town(test::ca_settings settings = {}, std::uint64_t seed = 1)
        : world(seed), ca(world, std::move(settings), seed), disk(std::make_shared<test::simulated_disk>())
    {
        test::answer_for(world, members);
    }

    [[nodiscard]] alos::acme::config settings(std::vector<alos::acme::certificate_names> domains = {"example.com"})
    {
        alos::acme::config made;
        made.email = "admin@example.com";
        made.domains = std::move(domains);
        made.cas = {alos::acme::certificate_authority{.directory = ca.directory_url()}};
        return made;
    }

    acme_member& start(alos::acme::config with)
    {
        members.push_back(std::make_unique<acme_member>(world, disk, std::move(with)));
        return *members.back();
    }

    acme_member& start() { return start(settings()); }

    bool wait(const std::function<bool()>& until, std::chrono::nanoseconds longest = 1h)
    {
        return world.run_until(until, longest);
    }

    test::simulated_world world;
    test::scripted_ca ca;
    std::shared_ptr<test::simulated_disk> disk;
    std::vector<std::unique_ptr<acme_member>> members;
};

std::string all_of(const std::vector<std::string>& lines)
{
    std::string text;
    for (const std::string& each : lines)
        text += each + "\n";
    return text;
}

}

TEST_CASE("manager: a certificate is obtained, and served in place of the self-signed one")
{
    town here;
    acme_member& one = here.start();
    here.wait([&] { return one.started.has_value(); });
    REQUIRE(one.started);
    CHECK(one.registry.list_certs().front().from == alos::cert::source::self_signed);
    REQUIRE_MESSAGE(here.wait([&] { return one.served("example.com") != nullptr; }), all_of(one.warnings));
    CHECK(one.registry.list_certs().size() == 1);
    CHECK(one.registry.list_certs().front().from == alos::cert::source::acme);
    CHECK(one.count(event_kind::account_created) == 1);
    CHECK(one.count(event_kind::obtained) == 1);
    const auto status = one.manager.certificates();
    REQUIRE(status.size() == 1);
    CHECK(status[0].id == "example.com.ecdsa-p256");
    CHECK(status[0].generation == 1);
    CHECK(status[0].failures == 0);
    CHECK(status[0].next_attempt > here.world.now() + 24h * 50);
    CHECK(one.broke_off == "");
    CHECK(here.ca.breaches().empty());
}

TEST_CASE("manager: a year of ninety-day certificates is six renewals, each in time and with a new key")
{
    town here;
    acme_member& one = here.start();
    here.world.run_for(24h * 365);
    CHECK_MESSAGE(one.count(event_kind::renewed) >= 5, all_of(one.warnings));
    CHECK(one.count(event_kind::renewed) <= 7);
    CHECK(one.count(event_kind::renewal_failed) == 0);
    CHECK(one.served("example.com")->about.not_after > here.world.now() + 24h * 25);
    CHECK(here.ca.breaches().empty());
    CHECK(one.broke_off == "");
}

TEST_CASE("manager: a process that began on a full disk hears of what another one obtains once there is room")
{
    town here;
    here.disk->set_full(true);
    acme_member& one = here.start();
    acme_member& other = here.start();
    here.world.run_for(1min);
    CHECK(one.served("example.com") == nullptr);
    here.disk->set_full(false);
    REQUIRE_MESSAGE(here.wait([&] { return one.served("example.com") && other.served("example.com"); }),
                    all_of(one.warnings));
    CHECK(one.count(event_kind::obtained) + other.count(event_kind::obtained) == 1);
    CHECK(one.count(event_kind::renewal_failed) <= 2);
}

TEST_CASE("manager: while nothing can be kept, a CA is asked no more often than otherwise")
{
    town here;
    acme_member& one = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    const auto asked_in_a_day = [&] {
        const std::uint64_t before = here.world.requests;
        here.world.run_for(24h);
        return here.world.requests - before;
    };
    const auto usual = asked_in_a_day();
    here.disk->set_full(true);
    CHECK(asked_in_a_day() <= usual + 3);
    CHECK(one.broke_off == "");
}

TEST_CASE("manager: of processes whose clocks differ by a minute, none takes a new certificate for an old one")
{
    town here;
    acme_member& one = here.start();
    acme_member& other = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") && other.served("example.com"); }));
    one.environment.jump(60s);
    here.ca.settings.renewal_retry_after = 60s;
    test::hostility mad;
    mad.revocation = 1; // of whatever it issued: a window in the past
    here.ca.behave(mad);
    here.world.run_for(24h);
    // The first revocation is believed, and the one of its successor is not: until a tenth of its life is over.
    CHECK(here.ca.issued().size() == 2);

TEST_CASE("manager: a profile that the CA does not list is not asked for, and is said with those that it does (profiles 4)")
{
    town here({.profiles = {{"long", 30 * 24h}, {"short", 160h}}});
    auto wrong = here.settings();
    wrong.cas.front().profile = "shorter";
    acme_member& one = here.start(wrong);
    here.world.run_for(12h);
    CHECK(one.count(event_kind::renewal_failed) == 1);
    const auto status = one.manager.certificates();
    REQUIRE(status.size() == 1);
    CHECK_MESSAGE(status[0].last_error.ends_with(
                      "has no profile 'shorter'; choose one of long, short, or leave `profile` empty"),
                  status[0].last_error);
    CHECK(here.ca.issued().empty());

    auto right = here.settings();
    right.cas.front().profile = "short";
    acme_member& other = here.start(right);
    REQUIRE_MESSAGE(here.wait([&] { return other.served("example.com") != nullptr; }), all_of(other.warnings));
    const auto& about = other.served("example.com")->about;
    CHECK(about.not_after - about.not_before < 161h);
    CHECK(here.ca.breaches().empty());
}
