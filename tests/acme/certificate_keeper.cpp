#include <alos/acme/certificate_keeper.hpp>

#include "support/simulated_process.hpp"

#include <alos/cert/self_signed.hpp>

#include <vector>

using namespace std::chrono_literals;
using namespace alos::acme;

namespace {

managed_certificate configured(std::string configuration = "ours")
{
    managed_certificate one;
    one.id = "example.com.ecdsa-p256";
    one.names = {*identifier_of("example.com")};
    one.configuration = std::move(configuration);
    return one;
}

// One process and what it is told.
struct desk {
    explicit desk(test::simulated_world& world, std::shared_ptr<test::simulated_disk> disk)
        : process(world, std::move(disk)),
          keeper(process.environment, process.storage, [this](const event& what) { told.push_back(what.kind); },
                 [this](managed_certificate&) { ++served; })
    {
    }

    test::simulated_process process;
    std::vector<event_kind> told;
    unsigned served = 0;
    certificate_keeper keeper;
};

bundle made_bundle()
{
    const auto pair = alos::cert::make_self_signed({"example.com"}, std::chrono::system_clock::now()).value();
    return {.chain_pem = pair.certificate, .key_pem = pair.key, .meta_json = {},
            .credential = alos::cert::make_credential(pair, {}).value()};
}

}

TEST_CASE("certificate keeper: what one process replaces another one reads, and each is told what it needs to know")
{
    test::simulated_world world{1};
    const auto disk = std::make_shared<test::simulated_disk>();
    desk here(world, disk), there(world, disk);
    managed_certificate ours = configured(), theirs = configured();
    here.process.run(here.keeper.load(ours));
    there.process.run(there.keeper.load(theirs));
    CHECK_FALSE(ours.credential);
    ours.state.failures = 2;
    ours.last_refusal.emplace();

    generation_record about;
    about.directory = "https://ca.test/directory";
    const auto lock = here.process.run(here.process.storage.try_lock(ours.id)).value().value();
    REQUIRE(here.process.run(here.keeper.replace(ours, made_bundle(), about, lock)).has_value());
    CHECK(ours.generation == 1);
    CHECK(ours.state.failures == 0);
    CHECK_FALSE(ours.last_refusal);
    CHECK(here.served == 1);

    CHECK(there.process.run(there.keeper.refresh(theirs)));
    CHECK(theirs.credential->about.fingerprint == ours.credential->about.fingerprint);
    CHECK(theirs.about.directory == about.directory);
    CHECK(there.served == 1);
    CHECK(there.told == std::vector{event_kind::loaded});
    CHECK_FALSE(there.process.run(there.keeper.refresh(theirs)));

    // The next generation is of somebody who was faster.
    here.process.run(here.process.storage.unlock(lock));
    const auto again = there.process.run(there.process.storage.try_lock(ours.id)).value().value();
    theirs.generation = 0;
    const auto late = there.process.run(there.keeper.replace(theirs, made_bundle(), about, again));
    REQUIRE(late.has_error());
    CHECK(late.error().code == alos::errc::conflict);
}

TEST_CASE("certificate keeper: a state is kept over a restart, and one that cannot be read is moved aside")
{
    test::simulated_world world{1};
    const auto disk = std::make_shared<test::simulated_disk>();
    desk here(world, disk);
    managed_certificate one = configured();
    here.process.run(here.keeper.load(one));
    one.state.failures = 3;
    one.state.last_error = "down";
    here.process.run(here.keeper.save(one));
    managed_certificate again = configured();
    here.process.run(here.keeper.load(again));
    CHECK(again.state.failures == 3);
    managed_certificate other = configured("new"); // which is tried at once
    here.process.run(here.keeper.load(other));
    CHECK(other.state.failures == 0);

    disk->set_full(true);
    here.process.run(here.keeper.save(one));
    CHECK(one.is_unsaved);
    one.state.failures = 4;
    here.process.run(here.keeper.refresh(one));
    CHECK(one.state.failures == 4); // what the storage has is older
    disk->set_full(false);

    alos::secret_text broken = alos::to_secret_text("no JSON");
    CHECK(here.process.run(here.process.storage.store("state/" + one.id, std::move(broken), std::nullopt)).has_value());
    here.process.run(here.keeper.load(again));
    CHECK(here.told == std::vector{event_kind::unreadable});
}

TEST_CASE("certificate keeper: settings that are new here are tried at once, but for those of the last attempt")
{
    managed_certificate one = configured();
    one.state.configuration = "others";
    one.state.failures = 5;
    adopt_settings(one, 0.25);
    CHECK(one.state.failures == 0);
    CHECK(one.state.configuration == "ours");
    one.state.configuration = "others"; // another process tried, and failed
    one.state.failures = 1;
    adopt_settings(one, 0.25);
    CHECK(one.state.failures == 1);

    one.generation = 1;
    one.state.check_failures = 2;
    adopt_settings(one, 0.75);
    CHECK(one.state.spread == 0.75);
    CHECK(one.state.check_failures == 0);
    adopt_settings(one, 0.1);
    CHECK(one.state.spread == 0.75);
}

TEST_CASE("certificate keeper: of what another process learnt, what is to be done here stays")
{
    certificate_state theirs;
    theirs.configuration = "others";
    theirs.failures = 2;
    managed_certificate one = configured();
    one.state.configuration = "ours";
    force(one, "forced");
    adopt_state(one, theirs, true);
    CHECK(is_forced(one));
    CHECK(one.state.failures == 0); // what failed by other settings is tried by ours

    one.state.failures = 1;
    one.state.forced = 0;
    adopt_state(one, theirs, true);
    CHECK(one.state.failures == 2); // ours were tried, too

    managed_certificate other = configured();
    other.generation = 3;
    force(other, "reconfigured");
    adopt_state(other, theirs, false); // it has been replaced
    CHECK_FALSE(is_forced(other));
}
