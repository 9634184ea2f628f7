#include <alos/acme/limits.hpp>

#include "support/simulated_process.hpp"

using namespace std::chrono_literals;
using alos::acme::identifier;
using alos::acme::kept_bucket;
using alos::acme::limits;
using alos::acme::time_point;

namespace {

struct shop {
    std::optional<time_point> take(kept_bucket from, std::string what = {})
    {
        return self.run(from.take(std::move(what)));
    }
    std::optional<time_point> next(kept_bucket from) { return self.run(from.next()); }
    void give_back(kept_bucket to) { self.run(to.give_back()); }

    [[nodiscard]] limits of(alos::acme::certificate_authority ca) { return {self.environment, self.storage, ca}; }

    test::simulated_world world{1};
    test::simulated_process self{world};
};

identifier name(const char* text) { return *alos::acme::identifier_of(text); }

}

TEST_CASE("limits: what is taken is counted for a set of names in any order, and for that one only")
{
    shop here;
    const limits all = here.of({.certificates = {2, 36h}});
    const auto days = std::chrono::hours(24 * 90);
    CHECK_FALSE(here.take(all.certificates({name("a.example"), name("b.example")}, days)));
    CHECK_FALSE(here.take(all.certificates({name("b.example"), name("a.example")}, days)));
    const auto later = here.take(here.of({.certificates = {2, 36h}}).certificates(
        {name("a.example"), name("b.example")}, days));
    REQUIRE(later);
    CHECK(*later > here.self.environment.now() + 35h);
    CHECK(*later < here.self.environment.now() + 37h);
    CHECK_FALSE(here.take(all.certificates({name("a.example")}, days)));
    CHECK_FALSE(here.take(here.of({.directory = "https://other.test/d", .certificates = {2, 36h}})
                              .certificates({name("a.example"), name("b.example")}, days)));
}

TEST_CASE("limits: one that was not needed is given back")
{
    shop here;
    const limits all = here.of({.failed_validations = {1, 15min}});
    const auto bucket = [&] { return all.failed_validations(name("a.example"), std::chrono::hours(24 * 90)); };
    CHECK_FALSE(here.take(bucket()));
    CHECK(here.next(bucket()));
    here.give_back(bucket());
    CHECK_FALSE(here.next(bucket()));
    CHECK_FALSE(here.take(bucket()));
    CHECK(here.take(bucket()));
}

TEST_CASE("limits: what the last one was taken for is kept, also when one is given back")
{
    shop here;
    const limits all = here.of({.failed_validations = {2, 15min}});
    const auto bucket = [&] { return all.failed_validations(name("a.example"), std::chrono::hours(24 * 90)); };
    const auto last = [&] {
        kept_bucket one = bucket();
        return here.self.run(one.last_taken_for());
    };
    CHECK(last() == "");
    CHECK_FALSE(here.take(bucket(), "one thing"));
    CHECK_FALSE(here.take(bucket(), "another \"thing\""));
    CHECK(last() == "another \"thing\"");
    here.give_back(bucket());
    CHECK(last() == "another \"thing\"");
}

TEST_CASE("limits: what a clock took that was 20 days ahead is missing afterwards, and no more")
{
    shop here;
    const limits all = here.of({.orders = {3, 10h}});
    constexpr std::chrono::hours error{24 * 20};
    here.world.jump(error);
    CHECK_FALSE(here.take(all.orders()));
    here.world.jump(-error);
    CHECK_FALSE(here.take(all.orders()));
    CHECK_FALSE(here.take(all.orders()));
    CHECK(here.take(all.orders()));

    // One that was emptied then fills, however often it is asked for.
    here.world.jump(error);
    for (int i = 0; i < 3; ++i)
        CHECK_FALSE(here.take(all.orders()));
    here.world.jump(-error);
    for (int i = 0; i < 9; ++i) {
        CHECK(here.take(all.orders()));
        here.world.run_for(1h);
    }
    here.world.run_for(1h);
    CHECK_FALSE(here.take(all.orders()));
    CHECK(here.take(all.orders()));
}

TEST_CASE("limits: for certificates that live for ten minutes they fill within a part of that")
{
    shop here;
    const limits all = here.of({.certificates = {1, 36h}});
    CHECK_FALSE(here.take(all.certificates({name("a.example")}, 10min)));
    const auto later = here.take(all.certificates({name("a.example")}, 10min));
    REQUIRE(later);
    CHECK(*later <= here.self.environment.now() + 30s);
}

TEST_CASE("limits: what was taken before the life of the certificates was known is no more than that afterwards")
{
    shop here;
    const limits all = here.of({.certificates = {2, 36h}});
    CHECK_FALSE(here.take(all.certificates({name("a.example")}, std::chrono::hours(24 * 90))));
    CHECK_FALSE(here.take(all.certificates({name("a.example")}, 10min)));
    CHECK(here.take(all.certificates({name("a.example")}, 10min)));
    here.world.run_for(31s);
    CHECK_FALSE(here.take(all.certificates({name("a.example")}, 10min)));
}

TEST_CASE("limits: none at all is never asked for, and a full disk is no reason not to renew")
{
    shop here;
    const limits none = here.of({.orders = {}});
    for (int i = 0; i < 3; ++i)
        CHECK_FALSE(here.take(none.orders()));
    CHECK_FALSE(here.self.files.stat("/certificates/limits").has_value());
    here.self.files.disk()->set_full(true);
    CHECK_FALSE(here.take(here.of({.accounts = {1, 1h}}).accounts()));
}

TEST_CASE("limits: a count that cannot be read is moved aside and begun anew, which is said")
{
    shop here;
    std::vector<std::string> told;
    const alos::acme::certificate_authority ca{.orders = {1, 1h}};
    const limits all(here.self.environment, here.self.storage, ca,
                     [&](std::string what) { told.push_back(std::move(what)); });
    CHECK_FALSE(here.take(all.orders()));
    CHECK(here.take(all.orders()));
    const std::string folder = "/certificates/limits/";
    const std::string file = folder + here.self.files.list(folder).value().front();
    REQUIRE_FALSE(here.self.files.remove(file));
    REQUIRE_FALSE(here.self.files.write_new(file, alos::as_bytes("{\"fullAt\":"), 0600));
    CHECK_FALSE(here.take(all.orders()));
    CHECK(here.take(all.orders()));
    REQUIRE(told.size() == 1);
    CHECK_MESSAGE(told.front().find("it is now in " + file + ".broken-") != std::string::npos, told.front());
    CHECK(here.self.files.list(folder)->size() == 2);
}
