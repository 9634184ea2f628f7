#include <alos/acme/authority.hpp>

#include "support/plain_ca.hpp"
#include "support/simulated_files.hpp"

#include <alos/acme/file_storage.hpp>

#include <boost/asio/co_spawn.hpp>

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using alos::acme::event_kind;
using alos::acme::reply;

namespace {

struct parish {
    parish()
    {
        ca.at["/new-account"] = [](const auto&) {
            return test::plain_ca::reply(201, {{"status", "valid"}}, {{"Location", "/account/1"}});
        };
        ca.at["/new-order"] = [this](const auto&) {
            test::json::object more{{"detail", "Terms of service have changed"}};
            if (!instance.empty())
                more["instance"] = instance;
            return test::plain_ca::problem(403, "userActionRequired", std::move(more),
                                           {{"Link", "<https://ca.test/directory>;rel=\"index\""},
                                            {"Link", "</terms/2>;rel=\"terms-of-service\""}});
        };
    }

    // Places an order; why it was refused.
    alos::acme::refusal order()
    {
        std::optional<reply<>> said;
        boost::asio::co_spawn(environment.executor(), place(), [&](const std::exception_ptr& thrown, reply<> came) {
            CHECK_FALSE(thrown);
            said = std::move(came);
        });
        REQUIRE(world.run_until([&] { return said.has_value(); }, 10min));
        return said->error();
    }

    alos::acme::awaitable<reply<>> place()
    {
        auto by = co_await one.account("admin@example.com").open();
        if (!by)
            co_return by.error();
        std::string payload = "{}";
        const auto done = co_await one.ca().post(&alos::acme::directory::new_order, std::move(payload), *by, "order");
        if (!done)
            co_return done.error();
        co_return reply<>();
    }

    std::string instance = "https://ca.test/agreement/?token=W8Ih3PswD-8";
    test::simulated_world world{1};
    test::plain_ca ca{world};
    test::simulated_files files;
    test::simulated_member& environment = world.add_member(files);
    alos::acme::file_storage storage{files, "/certificates", "a process", [this] { return environment.now(); },
                                     [this](std::chrono::milliseconds time) {
                                         return environment.sleep_until(environment.now() + time);
                                     }};
    std::vector<std::string> told; // of actions
    std::vector<std::string> steps;
    alos::acme::authority one{environment, storage, {.directory = test::plain_ca::url()},
                              [this](event_kind kind, std::string what) {
                                  if (kind == event_kind::action_required)
                                      told.push_back(std::move(what));
                                  else if (kind == event_kind::progress)
                                      steps.push_back(std::move(what));
                              }};
};

}

TEST_CASE("authority: terms that have changed are told of once, with the page to visit (RFC 8555 7.3.3)")
{
    parish here;
    for (int i = 0; i < 3; ++i) {
        const auto why = here.order();
        CHECK(why.kind == alos::acme::failure_class::permanent);
        CHECK(why.account == "https://ca.test/account/1");
        CHECK(why.what.find("; see " + here.instance + "; open the page") != std::string::npos);
    }
    CHECK(here.told == std::vector<std::string>{
              "https://ca.test/directory issues nothing until somebody acts: Terms of service have changed; visit "
              "https://ca.test/agreement/?token=W8Ih3PswD-8, and agree there to its terms: https://ca.test/terms/2; "
              "then renewal goes on by itself"});
    here.instance = "https://ca.test/agreement/\n?token=other";
    static_cast<void>(here.order());
    REQUIRE(here.told.size() == 2);
    CHECK(here.told.back().find("visit https://ca.test/agreement/\\x0a?token=other, ") != std::string::npos);
}

TEST_CASE("authority: a CA that names no page to visit, but its terms (RFC 8555 7.3.3)")
{
    parish here;
    here.instance.clear();
    CHECK(here.order().what.find("; see https://ca.test/terms/2; ") != std::string::npos);
    CHECK(here.told.size() == 1);
}

TEST_CASE("authority: a storm of refused nonces is told of once for a request (RFC 8555 6.5)")
{
    parish here;
    unsigned left = 0;
    here.ca.at["/new-order"] = [&](const auto&) {
        return left > 0 && left-- > 0 ? test::plain_ca::problem(400, "badNonce")
                                      : test::plain_ca::problem(403, "rejectedIdentifier");
    };
    for (const unsigned refused : {0u, 3u, 4u, 40u}) {
        CAPTURE(refused);
        here.steps.clear();
        left = refused;
        CHECK(here.order().why.type == "rejectedIdentifier");
        REQUIRE(here.steps.size() == (refused > 3 ? 1 : 0));
        if (refused > 3)
            CHECK(here.steps.front().find("order: https://ca.test/directory refuses the nonces that it gives "
                                          "(badNonce), 4 in a row") == 0);
    }
}
