#include <alos/acme/manager.hpp>

#include "support/town.hpp"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using alos::acme::event_kind;
using alos::acme::time_point;
using test::acme_member;
using test::all_of;
using test::town;
using step = test::scripted_ca::step;

namespace {

// A DNS that takes a day to remove the records of the first name it is asked to.
class tardy_dns final : public alos::acme::dns_solver {
public:
    explicit tardy_dns(test::simulated_world& world) : zone_(world) {}

    alos::acme::awaitable<alos::outcome<>> present(std::string name, std::string value) override
    {
        return zone_.present(std::move(name), std::move(value));
    }

    alos::acme::awaitable<alos::outcome<>> clean_up(std::string name, std::string value) override
    {
        if (first.empty())
            first = name;
        if (name == first)
            co_await where->sleep_until(where->now() + 24h);
        auto done = co_await zone_.clean_up(std::move(name), std::move(value));
        co_return done;
    }

    alos::acme::environment* where = nullptr; // who asks
    std::string first;

private:
    test::simulated_dns_solver zone_;
};

// How often that is said of certificates that somebody added.
std::ptrdiff_t count_replaced(const acme_member& in)
{
    return std::ranges::count_if(in.events, [](const alos::acme::event& each) {
        return each.message.starts_with("it takes the place of the certificate that was added");
    });
}

// What another program keeps for that name.
alos::cert::credential_ptr kept_by_others(const town& in, const std::string& name, std::chrono::hours age = {})
{
    const auto pair = alos::cert::make_self_signed({name}, in.world.now() - age).value();
    return alos::cert::make_credential(pair, {}).value();
}

}

TEST_CASE("manager: a certificate is obtained, and served in place of the self-signed one")
{
    town here;
    acme_member& one = here.start();
    here.wait([&] { return one.started.has_value(); });
    REQUIRE(one.started);
    CHECK(one.registry.list_certs().front().from == alos::cert::source::self_signed);
    CHECK(one.manager.certificates().front().next_attempt == here.world.now()); // it is due
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

TEST_CASE("manager: a process that began on a full disk, and writes nothing, answers for another one")
{
    town here;
    here.disk->set_full(true);
    acme_member& one = here.start(here.settings({}));
    here.world.run_for(1min);
    here.disk->set_full(false);
    here.world.run_for(15s);
    acme_member& other = here.start();
    here.world.serve_others(test::serve_answers(one.http01));
    REQUIRE(here.wait([&] { return other.served("example.com") != nullptr; }));
    const auto failed = std::ranges::find_if(
        other.events, [](const auto& each) { return each.message.find("failed") != std::string::npos; });
    CHECK_MESSAGE(failed == other.events.end(), failed->message);
}

TEST_CASE("manager: what is spent of a CA's limit is kept before the CA is asked, for a crash to find")
{
    town here;
    acme_member& one = here.start();
    bool is_dead = false;
    here.ca.on_request = [&](test::scripted_ca::step at) {
        if (at != test::scripted_ca::step::finalize)
            return;
        here.world.kill(one.environment);
        is_dead = true;
    };
    REQUIRE(here.wait([&] { return is_dead; }));
    test::simulated_files files(here.disk);
    alos::acme::time_point latest{};
    for (const std::string& each : files.list("/certificates/limits").value()) {
        const auto text = files.read("/certificates/limits/" + each, 10'000);
        REQUIRE(text.has_value());
        const auto in = alos::acme::detail::read_object_text(alos::as_text(*text));
        REQUIRE(in.has_value());
        latest = std::max(latest, alos::acme::detail::time_of(*in, "fullAt"));
    }
    CHECK(latest > here.world.now() + 24h); // that of the certificates for these names
}

TEST_CASE("manager: names that are configured anew take the place of those before")
{
    town here;
    acme_member& one = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    one.configure(here.settings({{"example.com", "www.example.com"}}));
    REQUIRE_MESSAGE(here.wait([&] { return here.ca.issued().size() == 2; }), all_of(one.warnings));
    CHECK(here.ca.issued().back().names == std::vector<std::string>{"example.com", "www.example.com"});
}

TEST_CASE("manager: what was planned by a clock that was ahead is forgotten when it is right again")
{
    test::ca_settings settings;
    settings.lifetime = 10min;
    settings.limits = {.accounts = {}, .orders_per_account = {}, .certificates_per_set = {}, .failed_validations = {}};
    town here(settings);
    alos::acme::config with = here.settings();
    with.cas.front().orders = {3, 45s};
    acme_member& one = here.start(with);
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    std::chrono::seconds error = 24h;
    SUBCASE("by a day") {}
    SUBCASE("by years") { error = 24h * 1000; }
    here.world.jump(error);
    here.world.run_for(1min);
    REQUIRE(one.count(event_kind::renewal_failed) > 0);
    here.world.jump(-error);
    here.world.run_for(15min);
    CHECK_MESSAGE(one.served("example.com")->about.not_after > here.world.now(), all_of(one.warnings));
}

TEST_CASE("manager: a clock that is set back ends the sleep, and the CA is asked about renewal again (RFC 9773 4.3)")
{
    town here;
    acme_member& one = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    one.environment.jump(24h * 5);
    here.world.run_for(1h);
    one.environment.jump(-24h * 5);
    const auto asked = here.ca.requests(step::renewal_info);
    here.world.run_for(2min); // and not five days later
    CHECK(here.ca.requests(step::renewal_info) == asked + 1);
    here.world.run_for(1h);
    CHECK(here.ca.requests(step::renewal_info) == asked + 1);
}

TEST_CASE("manager: what had to wait by a clock that was ahead does not wait for that time when it is right again")
{
    town here;
    auto settings = here.settings();
    settings.cas.front().orders = {1, 3h};
    acme_member& one = here.start(settings);
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    one.environment.jump(24h * 2);
    settings.domains = {"example.com", "example.net", "example.org"};
    one.configure(settings);
    here.world.run_for(1h);
    CHECK((one.served("example.net") != nullptr) + (one.served("example.org") != nullptr) == 1);
    one.environment.jump(-24h * 2);
    here.world.run_for(4h);
    CHECK(one.served("example.net"));
    CHECK(one.served("example.org"));
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
}

TEST_CASE("manager: a profile that the CA does not list is not asked for, and those that it does are said (profiles 4)")
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

TEST_CASE("manager: a name that no configured challenge can prove is refused at once, with the cure (RFC 8555 8)")
{
    town here;
    std::size_t left = 0;
    const auto refusal_of = [&](alos::acme::config with) {
        acme_member& one = here.start(std::move(with));
        here.wait([&] { return one.started.has_value(); });
        left = one.manager.certificates().size();
        return one.started->has_error() ? one.started->error() : alos::failure{};
    };
    const auto wildcard = refusal_of(here.settings({"example.com", {"example.org", "*.example.org"}}));
    CHECK(wildcard.code == alos::errc::bad_configuration);
    CHECK(wildcard.what
          == "*.example.org: a wildcard is proven by dns-01 only; set `dns`, and leave dns-01 in `challenges`");
    CHECK(left == 1); // the other one is served, should there be one already
    auto only_dns = here.settings({"example.com"});
    only_dns.challenges = {alos::acme::challenge_type::dns_01};
    CHECK(refusal_of(only_dns).what.ends_with("or set `dns`"));
    only_dns.dns = std::make_shared<test::simulated_dns_solver>(here.world);
    only_dns.domains = {"192.0.2.1"};
    CHECK(refusal_of(only_dns).what.starts_with("192.0.2.1: an address is proven by http-01 or tls-alpn-01"));
    CHECK(here.ca.breaches().empty());
}

TEST_CASE("manager: a wildcard that is added later is refused without `dns`, and one with it is obtained")
{
    town here;
    acme_member& one = here.start();
    here.wait([&] { return one.served("example.com") != nullptr; });
    std::optional<alos::outcome<>> added;
    const auto add = [](acme_member& to, std::optional<alos::outcome<>>& done) -> alos::acme::awaitable<> {
        std::vector<alos::acme::certificate_names> wanted;
        wanted.emplace_back("*.example.com");
        done = co_await to.manager.add(std::move(wanted));
    };
    one.spawn(add(one, added));
    here.wait([&] { return added.has_value(); });
    REQUIRE(added->has_error());
    CHECK(added->error().what.starts_with("*.example.com: a wildcard is proven by dns-01 only"));
    CHECK(one.manager.certificates().size() == 1);

    auto with_dns = here.settings({{"example.com", "*.example.com"}});
    with_dns.dns = std::make_shared<test::simulated_dns_solver>(here.world);
    acme_member& other = here.start(with_dns);
    CHECK_MESSAGE(here.wait([&] { return other.served("a.example.com") != nullptr; }), all_of(other.warnings));
    CHECK(other.broke_off == "");
}

TEST_CASE("manager: a certificate by the first name of another one is refused, unless it is the same")
{
    town here;
    acme_member& one = here.start(here.settings({{"example.com", "www.example.com"}, {"example.com"}}));
    here.wait([&] { return one.started.has_value(); });
    REQUIRE(one.started->has_error());
    CHECK(one.started->error().code == alos::errc::bad_configuration);
    CHECK(one.started->error().what.starts_with("there are two certificates by the first name example.com"));

    acme_member& other = here.start(here.settings({{"example.com", "www.example.com"}}));
    const auto added = [&](alos::acme::certificate_names names) {
        std::optional<alos::outcome<>> done;
        const auto add = [](acme_member& to, std::vector<alos::acme::certificate_names> wanted,
                            std::optional<alos::outcome<>>& into) -> alos::acme::awaitable<> {
            into = co_await to.manager.add(std::move(wanted));
        };
        other.spawn(add(other, {std::move(names)}, done));
        here.wait([&] { return done.has_value(); });
        return *done ? std::string() : done->error().what;
    };
    here.wait([&] { return other.started.has_value(); });
    CHECK(added({"www.example.com", "example.com"}) == "");
    CHECK(added({"example.com", "www.example.com"}) == "");
    CHECK(added("example.com").find("let another name come first") != std::string::npos);
    CHECK(other.manager.certificates().front().names.size() == 2);
}

TEST_CASE("manager: a CA that takes half an hour to look is waited for, by attempts that go on with one order")
{
    town here;
    here.ca.settings.longest_validation = 30min;
    acme_member& one = here.start();
    REQUIRE_MESSAGE(here.wait([&] { return one.served("example.com") != nullptr; }, 24h), all_of(one.warnings));
    CHECK(here.ca.requests(test::scripted_ca::step::new_order) == 1);
    CHECK(here.ca.breaches().empty());
}

TEST_CASE("manager: an order that never becomes ready is given up, and the next attempt places another (RFC 8555 7.4)")
{
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        town here({}, seed);
        here.world.net = {10s, 25s}; // it may be answering when the time is up
        test::hostility now;
        now.never_ready = 1;
        here.ca.behave(now);
        acme_member& one = here.start();
        REQUIRE(here.wait([&] { return here.ca.requests(step::new_order) == 1; }));
        here.ca.behave({});
        REQUIRE_MESSAGE(here.wait([&] { return one.served("example.com") != nullptr; }), all_of(one.warnings));
        CHECK(all_of(one.warnings).find("still pending although all names are proven") != std::string::npos);
        CHECK(here.ca.requests(step::new_order) == 2);
    }
}

TEST_CASE("manager: of a certificate that is removed no answer stands for the next attempt, at work on it or not")
{
    for (const bool is_at_work : {false, true}) {
        town here;
        here.ca.settings.longest_validation = 20 * 24h;
        acme_member& one = here.start();
        const auto stand = [&] { return one.files.list("/certificates/challenge/http-01")->size(); };
        const auto has_ended = [&] {
            return std::ranges::any_of(one.events, [](const alos::acme::event& each) {
                return each.message.find("still pending; the next attempt goes on with it") != std::string::npos;
            });
        };
        REQUIRE(here.wait([&] { return is_at_work ? here.ca.requests(step::challenge) > 0 : has_ended(); }));
        CHECK(stand() == 1);
        CHECK(one.manager.remove("example.com").has_value());
        here.world.run_for(is_at_work ? 12min : 5s);
        CHECK(has_ended());
        CHECK(stand() == 0);
        CHECK(one.broke_off == "");
    }
}

TEST_CASE("manager: of a certificate that is removed while it is loaded anew no answer stands either")
{
    town here;
    here.ca.settings.longest_validation = 20 * 24h;
    acme_member& one = here.start();
    const auto stand = [&] { return one.files.list("/certificates/challenge/http-01")->size(); };
    REQUIRE(here.wait([&] { return one.count(event_kind::renewal_failed) == 1; }));
    CHECK(stand() == 1);
    // It is put aside, once nobody else writes.
    const std::string state = "/certificates/state/example.com.ecdsa-p256.json";
    REQUIRE_FALSE(one.files.remove(state));
    REQUIRE_FALSE(one.files.write_new(state, {}, 0600));
    auto writing = one.files.try_lock("/certificates/locks/.commit").value();
    one.configure(here.settings());
    here.world.run_for(100ms);
    CHECK(one.manager.remove("example.com").has_value());
    CHECK(one.files.stat(state).has_value()); // it is still being loaded
    writing.reset();
    here.world.run_for(5s);
    CHECK_FALSE(one.files.stat(state).has_value());
    CHECK(stand() == 0);
    CHECK(one.broke_off == "");
}

TEST_CASE("manager: a clean-up that hangs keeps no other name's answer in the DNS, and is told")
{
    town here;
    here.ca.settings.longest_validation = 20 * 24h;
    const auto dns = std::make_shared<tardy_dns>(here.world);
    auto settings = here.settings({{"a.example", "b.example"}});
    settings.challenges = {alos::acme::challenge_type::dns_01};
    settings.dns = dns;
    acme_member& one = here.start(std::move(settings));
    dns->where = &one.environment;
    const auto has_failed = [&] {
        return !one.manager.certificates().empty() && one.manager.certificates()[0].failures > 0;
    };
    REQUIRE(here.wait(has_failed));
    REQUIRE(here.world.zone.size() == 2);
    CHECK(one.manager.remove("a.example").has_value());
    here.world.run_for(3min);
    CHECK(here.world.zone.size() == 1);
    CHECK(here.world.zone.contains(dns->first));
    const std::string told = all_of(one.warnings);
    CHECK_MESSAGE(told.find("clean-up of a.example: it is not done after 2 minutes") != told.npos, told);
}

TEST_CASE("manager: a clean-up that hangs keeps no other certificate waiting, and ends with the manager")
{
    town here;
    here.ca.settings.longest_validation = 20 * 24h;
    const auto dns = std::make_shared<tardy_dns>(here.world);
    auto settings = here.settings({"a.example"});
    settings.challenges = {alos::acme::challenge_type::dns_01};
    settings.dns = dns;
    settings.orders_at_once = 1;
    acme_member& one = here.start(settings);
    dns->where = &one.environment;
    REQUIRE(here.wait([&] { return one.count(event_kind::renewal_failed) == 1; }));
    CHECK(one.manager.remove("a.example").has_value());
    settings.domains = {"b.example"};
    one.configure(settings);
    here.world.run_for(1min);
    CHECK(here.ca.requests(step::new_order) == 2);
    CHECK(here.world.zone.contains(dns->first)); // still
    one.stop();
    here.world.run_for(10s);
    CHECK(one.is_idle());
}

TEST_CASE("manager: a forced renewal is seen through when the storage loses the certificate meanwhile")
{
    std::optional<alos::outcome<>> done;
    town here;
    acme_member& one = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    const auto before = one.served("example.com");
    here.ca.on_request = [&](step at) {
        if (at == step::new_order)
            static_cast<void>(one.files.rename("/certificates/certs/example.com.ecdsa-p256", "/certificates/elsewhere",
                                               alos::os::if_exists::fail));
    };
    one.spawn(test::force_example(one, done));
    REQUIRE(here.wait([&] { return done.has_value(); }, 10min));
    CHECK_MESSAGE(done->has_value(), all_of(one.warnings));
    CHECK(one.served("example.com") != before);
    CHECK(one.manager.certificates()[0].generation == 1);
    CHECK(here.ca.issued().size() == 2);
}

TEST_CASE("manager: when certificates become shorter, the last long one serves for most of its life")
{
    town here({.lifetime = 200 * 24h});
    acme_member& one = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    const auto end = one.served("example.com")->about.not_after;
    here.ca.settings.lifetime = 47 * 24h;
    here.world.run_for(24h * 199);
    CHECK(one.served("example.com")->about.not_after > end);
    CHECK(here.ca.issued().size() == 3); // the long one, one that came too early, and one in its time
    CHECK(here.ca.breaches().empty());
}

TEST_CASE("manager: a CA that wants to be left alone is, also when another one is asked before its time")
{
    town here({.renewal_info = false});
    unsigned asked = 0;
    here.world.serve("busy.test", [&](const test::http::outbound_request&) {
        ++asked;
        test::http::outbound_response answer;
        answer.status = 503;
        answer.fields = {{"Retry-After", "518400"}}; // six days
        return alos::outcome<test::http::outbound_response>(answer);
    });
    alos::acme::config with = here.settings();
    with.cas.insert(with.cas.begin(), alos::acme::certificate_authority{.directory = "https://busy.test/directory"});
    acme_member* one = &here.start();
    REQUIRE_MESSAGE(here.wait([&] { return one->served("example.com") != nullptr; }), all_of(one->warnings));
    one->configure(with);
    REQUIRE_MESSAGE(here.wait([&] { return one->count(event_kind::renewed) == 1; }, 24h * 89), all_of(one->warnings));
    const auto renew = [&] {
        const std::size_t before = here.ca.issued().size();
        std::optional<alos::outcome<>> done;
        one->spawn(test::force_example(*one, done));
        CHECK(here.wait([&] { return done.has_value(); }));
        return here.ca.issued().size() - before;
    };
    const unsigned before = asked;
    CHECK(before == 3);
    CHECK(renew() == 1);
    here.members.clear();
    one = &here.start(with); // after a restart, too
    here.world.run_for(1min);
    CHECK(renew() == 1);
    CHECK(asked == before);
    here.world.run_for(24h * 7);
    CHECK(renew() == 0);
    CHECK(asked > before);
}

TEST_CASE("manager: while all CAs want to be left alone, who insists is sent to the one that wants it the least")
{
    town here;
    std::map<std::string, unsigned> asked;
    const auto refuse = [&](std::string name, std::string seconds) {
        here.world.serve(name, [&asked, name, seconds](const test::http::outbound_request&) {
            ++asked[name];
            test::http::outbound_response answer;
            answer.status = 503;
            answer.fields = {{"Retry-After", seconds}};
            return alos::outcome<test::http::outbound_response>(answer);
        });
    };
    refuse("first.test", "518400"); // six days
    refuse("second.test", "172800");
    alos::acme::config with = here.settings();
    with.cas = {{.directory = "https://first.test/directory"}, {.directory = "https://second.test/directory"}};
    acme_member& one = here.start(with);
    REQUIRE(here.wait([&] { return asked["second.test"] == 1; }, 24h * 14));
    here.world.run_for(1h);
    const unsigned before = asked["first.test"];
    std::optional<alos::outcome<>> done;
    one.spawn(test::force_example(one, done));
    here.world.run_for(1min);
    CHECK(done.has_value());
    CHECK(asked["first.test"] == before);
    CHECK(asked["second.test"] == 2);
}

TEST_CASE("manager: names that are configured anew while the CA is asked about renewal are ordered at once")
{
    town here;
    acme_member& one = here.start();
    bool is_asked = false;
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    here.world.run_for(1h);
    here.ca.on_request = [&](step at) {
        if (at == step::renewal_info && !std::exchange(is_asked, true))
            one.configure(here.settings({{"example.com", "www.example.com"}}));
    };
    REQUIRE(here.wait([&] { return is_asked; }, 24h));
    here.world.run_for(5min);
    CHECK(one.served("www.example.com") != nullptr);
    CHECK(here.ca.issued().size() == 2);
}

TEST_CASE("manager: a forced renewal that one CA refuses is waited for while the next one is asked")
{
    town here;
    here.world.serve("strict.test", [](const test::http::outbound_request&) {
        test::http::outbound_response answer;
        answer.status = 403;
        answer.fields = {{"Content-Type", "application/problem+json"}};
        answer.body = R"({"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"not that name"})";
        return alos::outcome<test::http::outbound_response>(answer);
    });
    alos::acme::config with = here.settings();
    with.cas.insert(with.cas.begin(), {.directory = "https://strict.test/directory"});
    acme_member& one = here.start(here.settings());
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    here.world.run_for(1h);
    one.configure(with);
    here.world.run_for(1min);
    std::optional<alos::outcome<>> done;
    one.spawn(test::force_example(one, done));
    REQUIRE(here.wait([&] { return done.has_value(); }));
    CHECK_MESSAGE(done->has_value(), (*done ? "" : done->error().what));
    CHECK(all_of(one.warnings).find("not that name") != std::string::npos);
}

TEST_CASE("manager: a forced renewal is waited for while the CA is at work on it (RFC 8555 7.4)")
{
    town here;
    acme_member& one = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    const time_point begun = here.world.now();
    bool is_ready = false;
    here.ca.on_answer = [&](step at, alos::http::outbound_response& answer) {
        const std::size_t found = answer.body.find("\"status\":\"valid\"");
        is_ready = here.world.now() > begun + 12min;
        if (!is_ready && (at == step::order || at == step::finalize) && found != std::string::npos)
            answer.body.replace(found, 16, "\"status\":\"processing\"");
    };
    std::optional<alos::outcome<>> done;
    one.spawn(test::force_example(one, done));
    REQUIRE(here.wait([&] { return done.has_value(); }, 20min));
    CHECK_MESSAGE(done->has_value(), done->error().what);
    CHECK(is_ready);
    CHECK(one.count(event_kind::renewed) == 1);
}

TEST_CASE("manager: who waits for a certificate hears why there is none, and when the CA is asked again")
{
    town here;
    here.world.serve("ca.test", nullptr);
    acme_member& one = here.start();
    std::optional<alos::outcome<>> done;
    one.spawn(test::force_example(one, done));
    REQUIRE(here.wait([&] { return done.has_value(); }));
    REQUIRE(done->has_error());
    const auto status = one.manager.certificates().front();
    const std::string said = status.last_error + "; next attempt " + alos::acme::format_rfc3339(status.next_attempt);
    CHECK(done->error().what == said);
    CHECK_FALSE(status.last_error.empty());
}

TEST_CASE("manager: who is told of events may throw, and certificates are obtained all the same")
{
    town here;
    acme_member& one = here.start();
    one.on_event = [](const alos::acme::event&) { throw std::runtime_error("not today"); };
    REQUIRE_MESSAGE(here.wait([&] { return one.served("example.com") != nullptr; }), all_of(one.warnings));
    CHECK(all_of(one.warnings).find("not today") != std::string::npos);
    CHECK(one.broke_off == "");
}

TEST_CASE("manager: a certificate of the operator's answers until there is one of the CA's")
{
    town here;
    test::hostility away;
    away.down = 1;
    here.ca.behave(away);
    acme_member& one = here.start(here.settings({}));
    const auto pair = alos::cert::make_self_signed({"example.com"}, here.world.now()).value();
    REQUIRE(one.registry.add_cert("example.com", pair.certificate, alos::as_text(pair.key)).has_value());
    one.spawn([](acme_member& to) -> alos::acme::awaitable<> {
        std::vector<alos::acme::certificate_names> wanted;
        wanted.emplace_back("example.com");
        static_cast<void>(co_await to.manager.add(std::move(wanted)));
    }(one));
    here.world.run_for(1h);
    REQUIRE(one.registry.list_certs().size() == 1);
    CHECK(one.registry.list_certs().front().from == alos::cert::source::manual);
    here.ca.behave({});
    CHECK(here.wait([&] { return one.served("example.com") != nullptr; }, 24h));
    CHECK(count_replaced(one) == 1);
}

TEST_CASE("manager: another program's certificate was added by nobody, whether ours takes its place or it is renewed")
{
    town here;
    const auto serve = [](acme_member& at, const alos::cert::credential_ptr& which) { // as the follower of its folder
        REQUIRE(at.registry.add_credential("example.com", which).has_value());
        at.manager.offer({which});
    };
    acme_member& one = here.start();
    serve(one, kept_by_others(here, "example.com", 24h));
    here.world.run_for(1min);
    CHECK(one.count(event_kind::loaded) == 1);
    serve(one, kept_by_others(here, "example.com"));
    CHECK(count_replaced(one) == 0);
    std::optional<alos::outcome<>> done;
    one.spawn(test::force_example(one, done));
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    serve(one, kept_by_others(here, "example.com"));
    CHECK(one.served("example.com") != nullptr);
    CHECK(count_replaced(one) == 0);

    // By hand.
    REQUIRE(one.registry.add_credential("example.com", kept_by_others(here, "example.com")).has_value());
    one.manager.offer({});
    CHECK(count_replaced(one) == 1);
}

TEST_CASE("manager: our own certificates go before those of another program, and serve again when those are gone")
{
    town here;
    const auto theirs = kept_by_others(here, "theirs.example");
    acme_member& one = here.start(here.settings({"theirs.example", "example.com"}));
    one.manager.offer({theirs});
    REQUIRE_MESSAGE(here.wait([&] { return one.served("example.com") != nullptr; }), all_of(one.warnings));
    const auto own = one.served("example.com");
    CHECK(one.registry.served().load()->find("theirs.example").front() == theirs);
    here.world.run_for(1h);
    CHECK(one.count(event_kind::obtained) == 1);

    const auto later = kept_by_others(here, "example.com");
    REQUIRE(one.registry.add_credential("example.com", later).has_value());
    one.manager.offer({theirs, later});
    CHECK(one.served("example.com") == own);
    REQUIRE(one.registry.remove_credential("example.com", later).has_value());
    one.manager.offer({theirs});
    CHECK(one.served("example.com") == own);
    CHECK(one.registry.list_certs().size() == 2);

    one.manager.offer({});
    REQUIRE(one.registry.served().load()->knows("theirs.example"));
    CHECK(one.registry.served().load()->find("theirs.example").front()->from == alos::cert::source::self_signed);
    CHECK(one.manager.certificates()[0].not_after == alos::acme::time_point());
    CHECK(here.wait([&] { return one.served("theirs.example") != nullptr; }, 1min));
    CHECK(one.count(event_kind::obtained) == 2);
    CHECK(one.registry.list_certs().size() == 2);
}

TEST_CASE("manager: one of another program that is gone serves as long as somebody works on it, and its heir at once")
{
    town here;
    test::hostility away;
    away.down = 1;
    here.ca.behave(away);
    const auto old = kept_by_others(here, "example.com", 24h * 3650);
    acme_member& one = here.start();
    one.manager.offer({old});
    std::vector<alos::acme::time_point> meanwhile;
    one.on_event = [&](const alos::acme::event& what) {
        if (what.kind != event_kind::renewal_failed)
            return;
        one.manager.offer({});
        meanwhile.push_back(one.manager.certificates()[0].not_after);
    };
    REQUIRE(here.wait([&] { return !meanwhile.empty(); }));
    CHECK(meanwhile.front() == old->about.not_after);
    here.world.run_for(1s);
    one.manager.offer({});
    CHECK(one.manager.certificates()[0].not_after == alos::acme::time_point());

    one.on_event = nullptr;
    const auto first = kept_by_others(here, "example.com", -24h);
    const auto heir = kept_by_others(here, "example.com");
    one.manager.offer({first});
    CHECK(one.manager.certificates()[0].not_after == first->about.not_after);
    one.manager.offer({heir});
    CHECK(one.manager.certificates()[0].not_after == heir->about.not_after);
    CHECK(one.registry.served().load()->find("example.com").front() == heir);
}

TEST_CASE("manager: what is about to be loaded when another program's certificates change gets no stand-in")
{
    town here;
    const alos::acme::config with = here.settings({"a.example", "b.example"});
    {
        acme_member& before = here.start(with);
        REQUIRE(here.wait([&] { return before.served("a.example") && before.served("b.example"); }));
        const std::string state = "/certificates/state/a.example.ecdsa-p256.json";
        REQUIRE_FALSE(before.files.remove(state));
        REQUIRE_FALSE(before.files.write_new(state, alos::as_bytes("broken"), 0600));
        here.members.clear();
    }
    acme_member& one = here.start(with);
    one.on_event = [&](const alos::acme::event& what) { // before the second one is loaded
        if (what.kind == event_kind::unreadable)
            one.manager.offer({kept_by_others(here, "c.example")});
    };
    CHECK(here.wait([&] { return one.served("a.example") && one.served("b.example"); }));
    CHECK(one.count(event_kind::unreadable) == 1);
    CHECK(one.count(event_kind::stand_in) == 0);
}

TEST_CASE("manager: CAs that want to be left alone are, for a week at a time (RFC 9110 10.2.3)")
{
    town here;
    std::vector<std::string> asked;
    const auto refuse = [&](const test::http::outbound_request& request) {
        asked.push_back(request.url);
        test::http::outbound_response answer;
        answer.status = 503;
        answer.fields = {{"Retry-After", "2592000"}};
        return alos::outcome<test::http::outbound_response>(answer);
    };
    here.world.serve("ca.test", refuse);
    here.world.serve("other.test", refuse);
    alos::acme::config with = here.settings();
    with.cas.push_back({.directory = "https://other.test/directory"});
    acme_member& one = here.start(with);
    here.world.run_for(24h * 29);
    CHECK_MESSAGE(asked.size() >= 5, all_of(one.warnings));
    CHECK(asked.size() <= 10);
}
