#include <alos/acme/renewer.hpp>

#include "support/town.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <utility>

using namespace std::chrono_literals;
using alos::acme::event_kind;
using alos::acme::time_point;
using test::acme_member;
using test::all_of;
using test::town;
using step = test::scripted_ca::step;

namespace {

[[nodiscard]] alos::acme::certificate_state state_of(acme_member& one)
{
    const auto text = one.files.read("/certificates/state/example.com.ecdsa-p256.json", 9999);
    return alos::acme::parse_certificate_state(alos::as_text(text.value())).value();
}

[[nodiscard]] test::http::outbound_response busy_for(std::string seconds)
{
    test::http::outbound_response answer;
    answer.status = 503;
    answer.fields = {{"Retry-After", std::move(seconds)}};
    return answer;
}

}

TEST_CASE("renewer: where any step of keeping a certificate fails, what there is in the end is used, without haste")
{
    for (std::uint64_t failing = 1; failing <= 60; ++failing) {
        CAPTURE(failing);
        town here;
        acme_member& one = here.start();
        REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
        const auto first = one.served("example.com");
        here.world.run_for(1h);
        // The folder is lost, and what is served goes on.
        const std::string folder = "/certificates/certs/example.com.ecdsa-p256";
        for (const std::string& name : one.files.list(folder + "/000001").value())
            REQUIRE_FALSE(one.files.remove(folder + "/000001/" + name));
        REQUIRE_FALSE(one.files.remove(folder + "/000001"));
        REQUIRE_FALSE(one.files.remove(folder + "/current"));
        here.world.run_for(1h);
        REQUIRE(one.served("example.com") == first);
        bool has_failed = false;
        here.ca.on_request = [&](step at) {
            if (at == step::certificate && !std::exchange(has_failed, true))
                here.disk->fail_after(failing, EIO);
        };
        std::optional<alos::outcome<>> done;
        one.spawn(test::force_example(one, done));
        const unsigned before = here.ca.requests(step::certificate);
        here.world.run_for(24h);
        CHECK_MESSAGE(one.served("example.com") != first, all_of(one.warnings));
        CHECK(here.ca.requests(step::certificate) - before <= 3);
        CHECK(one.broke_off == "");
    }
}

TEST_CASE("renewer: what a CA says of waiting is noted of that one, whatever the storage said meanwhile")
{
    town here({.renewal_info = false});
    here.world.serve("busy.test", [](const test::http::outbound_request&) {
        return alos::outcome<test::http::outbound_response>(busy_for("518400"));
    });
    alos::acme::config with = here.settings();
    with.cas.insert(with.cas.begin(), alos::acme::certificate_authority{.directory = "https://busy.test/directory"});
    acme_member& one = here.start();
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    one.configure(with);
    REQUIRE_MESSAGE(here.wait([&] { return one.count(event_kind::renewed) == 1; }, 24h * 89), all_of(one.warnings));
    REQUIRE(state_of(one).open_at.size() == 1);
    // The other one works on the order for a while, and is then too busy to hand it out.
    here.world.serve("ca.test", [&](const test::http::outbound_request& request) {
        if (request.url.find("/certificate/") != std::string::npos)
            return alos::outcome<test::http::outbound_response>(busy_for("7200"));
        return here.ca.answer(request);
    });
    here.ca.settings.longest_processing = 5min;
    here.ca.behave({.processing_for_hours = 1});
    std::optional<alos::outcome<>> done;
    one.spawn(test::force_example(one, done));
    REQUIRE(here.wait([&] { return done.has_value(); }));
    const auto open_at = state_of(one).open_at;
    CHECK(open_at.size() == 2);
    CHECK(open_at.contains(here.ca.directory_url()));
}

TEST_CASE("renewer: a CA that works on an order for an hour is looked at again every some minutes (RFC 8555 7.4)")
{
    town here;
    here.ca.settings.longest_processing = 1h;
    here.ca.behave({.processing_for_hours = 1});
    acme_member& one = here.start();
    here.world.run_for(50min);
    bool is_broken = true; // for a moment, which is not the fifth failure in a row
    here.ca.on_request = [&](step at) {
        here.ca.behave({.server_error = at == step::order && std::exchange(is_broken, false) ? 1.0 : 0.0});
    };
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }, 125min));
    CHECK_FALSE(is_broken);
    CHECK(here.ca.requests(step::new_order) == 1);
}

TEST_CASE("renewer: of several CAs the next one is asked when the first is at work on a first order for the third time")
{
    town here;
    here.ca.settings.longest_validation = 24h * 365;
    std::vector<time_point> asked;
    here.world.serve("other.test", [&](const test::http::outbound_request&) {
        asked.push_back(here.world.now());
        return alos::outcome<test::http::outbound_response>(busy_for("60"));
    });
    alos::acme::config with = here.settings();
    with.cas.push_back(alos::acme::certificate_authority{.directory = "https://other.test/directory"});
    acme_member& one = here.start(with);
    REQUIRE(here.wait([&] { return one.count(event_kind::renewal_failed) == 2; }, 2h));
    CHECK(asked.empty());
    REQUIRE(here.wait([&] { return !asked.empty(); }, 2h));
    CHECK(one.count(event_kind::renewal_failed) == 3);
}

TEST_CASE("renewer: an attempt takes no longer than it may, the opening of the account included")
{
    town here({.lifetime = 10min});
    here.start();
    REQUIRE(here.wait([&] { return here.members.front()->served("example.com") != nullptr; }));
    here.members.clear();
    const std::string folder = "/certificates/account";
    test::simulated_files files(here.disk);
    for (const std::string& name : files.list(folder).value()) {
        if (!name.ends_with(".key"))
            REQUIRE_FALSE(files.remove(folder + "/" + name));
    }
    here.world.net = {24s, 25s};
    acme_member& one = here.start();
    std::optional<time_point> failed;
    one.on_event = [&](const alos::acme::event& what) {
        if (what.kind == event_kind::renewal_failed && !failed)
            failed = here.world.now();
    };
    std::optional<alos::outcome<>> done;
    here.wait([&] { return one.started.has_value(); });
    const time_point begun = here.world.now();
    one.spawn(test::force_example(one, done));
    REQUIRE(here.wait([&] { return failed.has_value(); }));
    CHECK(*failed - begun <= 150s); // a question about the window, and a fifth of what is left of its life
    CHECK(all_of(one.warnings).find("took too long") != std::string::npos);
}

TEST_CASE("renewer: who has to wait for a turn after the account was mended has not failed")
{
    town here;
    alos::acme::config with = here.settings();
    with.cas.front().orders = {2, 1h};
    acme_member& one = here.start(with);
    REQUIRE(here.wait([&] { return one.served("example.com") != nullptr; }));
    here.ca.lose_accounts();
    std::optional<alos::outcome<>> done;
    one.spawn(test::force_example(one, done));
    here.world.run_for(30min);
    CHECK(one.manager.certificates().front().failures == 0);
    CHECK(one.count(event_kind::renewal_failed) == 0);
    here.world.run_for(2h);
    CHECK(one.count(event_kind::renewed) == 1);
}
