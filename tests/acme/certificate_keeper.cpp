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
          keeper(process.environment, process.storage,
                 [this](const event& what) {
                     told.push_back(what.kind);
                     said = what.message;
                 },
                 [this](managed_certificate&) { ++served; })
    {
    }

    // Stores the next generation.
    void replace(managed_certificate& of, bundle next, generation_record about = {})
    {
        const auto lock = process.run(process.storage.try_lock(of.id)).value().value();
        REQUIRE(process.run(keeper.replace(of, std::move(next), std::move(about), lock)).has_value());
    }

    // Leaves half of its key.
    void damage(const managed_certificate& of)
    {
        const std::string path = folder + "00000" + std::to_string(of.generation) + "/privkey.pem";
        const auto whole = process.files.read(path, 10'000).value();
        REQUIRE_FALSE(process.files.remove(path));
        const std::string half(alos::as_text(whole).substr(0, whole.size() / 2));
        REQUIRE_FALSE(process.files.write_new(path, alos::as_bytes(half), 0600));
    }

    const std::string folder = "/certificates/certs/example.com.ecdsa-p256/";

    test::simulated_process process;
    std::vector<event_kind> told;
    std::string said; // last
    unsigned served = 0;
    certificate_keeper keeper;
};

bundle made_bundle(time_point now = std::chrono::system_clock::now())
{
    const auto pair = alos::cert::make_self_signed({"example.com"}, now).value();
    return {.chain_pem = pair.certificate, .key_pem = pair.key, .meta_json = {},
            .credential = alos::cert::make_credential(pair, {}).value()};
}

}

TEST_CASE("certificate keeper: what is from a CA that is configured no more is served, and replaced at once")
{
    test::simulated_world world{1};
    const auto disk = std::make_shared<test::simulated_disk>();
    desk here(world, disk);
    managed_certificate one = configured();
    here.process.run(here.keeper.load(one));
    generation_record about;
    about.directory = "https://staging.test/directory";
    here.replace(one, made_bundle(), about);
    for (const bool is_configured : {true, false}) {
        managed_certificate again = configured();
        again.authorities = {"https://ca.test/directory"};
        if (is_configured)
            again.authorities.push_back(about.directory);
        here.process.run(here.keeper.load(again));
        CHECK(again.credential);
        CHECK(is_forced(again) != is_configured);
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

TEST_CASE("certificate keeper: a CA that wants to be left alone is, also after another one has issued")
{
    test::simulated_world world{1};
    desk here(world, std::make_shared<test::simulated_disk>());
    managed_certificate one = configured();
    here.process.run(here.keeper.load(one));
    one.state.failures = 2;
    one.state.open_at = {{"https://busy.test", world.now() + 24h},
                         {"https://free.test", world.now()},
                         {"https://issuer.test", world.now() + 24h}};
    generation_record about;
    about.directory = "https://issuer.test";
    here.replace(one, made_bundle(), about);
    CHECK(one.state.failures == 0);
    REQUIRE(one.state.open_at.size() == 1);
    CHECK(one.state.open_at.begin()->first == "https://busy.test");
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
    CHECK(here.told == std::vector{event_kind::unreadable, event_kind::unreadable}); // the full disk before
}

TEST_CASE("certificate keeper: that a state cannot be kept is told once, until it can be")
{
    test::simulated_world world{1};
    const auto disk = std::make_shared<test::simulated_disk>();
    desk here(world, disk);
    managed_certificate one = configured();
    here.process.run(here.keeper.load(one));
    REQUIRE_FALSE(here.process.files.make_directory("/certificates", 0700));
    REQUIRE_FALSE(here.process.files.write_new("/certificates/state", alos::as_bytes("x"), 0600));
    for (int i = 1; i < 3; ++i) {
        one.is_unsaved = true; // as the manager says when the clock is set back
        for (int again = 0; again < 2; ++again)
            here.process.run(here.keeper.save(one));
        CHECK(here.told == std::vector(static_cast<std::size_t>(i), event_kind::unreadable));
        CHECK(here.said == "its state cannot be kept: /certificates/state: it is a file and not a folder; move it "
                           "away; after a restart it is not known what failed, nor when to try again");
        REQUIRE_FALSE(here.process.files.rename("/certificates/state", "/certificates/x",
                                                alos::os::if_exists::replace));
        here.process.run(here.keeper.save(one));
        CHECK_FALSE(one.is_unsaved);
        REQUIRE_FALSE(here.process.files.rename("/certificates/state", "/certificates/y" + std::to_string(i),
                                                alos::os::if_exists::fail));
        REQUIRE_FALSE(here.process.files.rename("/certificates/x", "/certificates/state", alos::os::if_exists::fail));
    }
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

TEST_CASE("certificate keeper: of a broken generation one record says what is wrong, where it is now, and what serves")
{
    test::simulated_world world{1};
    const auto disk = std::make_shared<test::simulated_disk>();
    desk here(world, disk);
    managed_certificate ours = configured();
    here.process.run(here.keeper.load(ours));
    here.replace(ours, made_bundle());
    here.replace(ours, made_bundle());
    here.damage(ours);

    desk there(world, disk);
    managed_certificate theirs = configured();
    there.process.run(there.keeper.load(theirs));
    CHECK(theirs.generation == 1);
    CHECK(there.told == std::vector{event_kind::unreadable});
    const std::string aside = there.folder + "000002.broken-";
    CHECK(there.said.starts_with(there.folder + "000002/privkey.pem: "));
    CHECK(there.said.find("; it is now in " + aside) != std::string::npos);
    CHECK(there.said.ends_with("; generation 1 serves instead"));
    CHECK(there.process.files.read_symlink(there.folder + "current").value() == "000001");
    there.process.run(there.keeper.load(theirs));
    CHECK(there.told.size() == 1);

    // Who has read it when it was whole goes on with it, and stores the next one.
    const auto served = ours.credential;
    CHECK(here.process.run(here.keeper.refresh(ours)));
    CHECK(ours.generation == 1);
    CHECK(ours.credential == served);
    CHECK(here.said == "the storage went back to generation 1; what is served goes on until the next one");
    here.replace(ours, made_bundle());
    CHECK(ours.generation == 3);
    CHECK(there.process.run(there.keeper.refresh(theirs)));
    CHECK(theirs.credential->about.fingerprint == ours.credential->about.fingerprint);
}

TEST_CASE("certificate keeper: what is served gives way to an older one only when that is meant, and valid")
{
    test::simulated_world world{1};
    const auto disk = std::make_shared<test::simulated_disk>();
    desk here(world, disk);
    managed_certificate one = configured();
    here.process.run(here.keeper.load(one));
    here.replace(one, made_bundle(world.now() - 24h * 4000)); // expired
    here.replace(one, made_bundle(world.now() - 24h));
    here.replace(one, made_bundle(world.now()));
    const auto served = one.credential;
    auto& files = here.process.files;
    const auto set_current = [&](const std::string& to) {
        REQUIRE_FALSE(files.remove(here.folder + "current"));
        if (!to.empty())
            REQUIRE_FALSE(files.make_symlink(to, here.folder + "current"));
        return here.process.run(here.keeper.refresh(one));
    };
    CHECK(set_current("000002"));
    CHECK(one.credential != served);
    CHECK(one.generation == 2);
    CHECK(here.said == "the storage went back to generation 2");
    const auto second = one.credential;
    CHECK(set_current("000001"));
    CHECK(one.credential == second);
    CHECK(here.said == "the storage went back to generation 1; what is served goes on until the next one");
    CHECK(set_current("000003"));
    CHECK(one.credential->about.fingerprint == served->about.fingerprint);
    const auto third = one.credential;
    for (const char* const name : {"000003", "000002"}) {
        for (const std::string& each : files.list(here.folder + name).value())
            REQUIRE_FALSE(files.remove(here.folder + name + "/" + each));
        REQUIRE_FALSE(files.remove(here.folder + name));
    }
    CHECK(set_current(""));
    CHECK(one.generation == 1);
    CHECK(one.credential == third);
    here.replace(one, made_bundle(world.now() + 1h));
    CHECK(one.generation == 2);
}

TEST_CASE("certificate keeper: when all generations are broken, what is in memory serves until the next one is stored")
{
    test::simulated_world world{1};
    const auto disk = std::make_shared<test::simulated_disk>();
    desk here(world, disk), there(world, disk);
    managed_certificate ours = configured(), theirs = configured();
    here.process.run(here.keeper.load(ours));
    here.replace(ours, made_bundle());
    here.damage(ours);
    there.process.run(there.keeper.load(theirs));
    CHECK_FALSE(theirs.credential);
    CHECK(there.said.ends_with("; the storage has no other one"));
    CHECK(here.process.run(here.keeper.refresh(ours)));
    CHECK(ours.credential);
    CHECK(ours.generation == 0);
    here.replace(ours, made_bundle());
    CHECK(ours.generation == 2);
    CHECK(there.process.run(there.keeper.refresh(theirs)));
    CHECK(theirs.generation == 2);
}

TEST_CASE("certificate keeper: a broken generation is left where it is while another process has the lock")
{
    test::simulated_world world{1};
    const auto disk = std::make_shared<test::simulated_disk>();
    desk here(world, disk), there(world, disk);
    managed_certificate ours = configured(), theirs = configured();
    here.process.run(here.keeper.load(ours));
    here.replace(ours, made_bundle());
    here.replace(ours, made_bundle());
    here.damage(ours);
    const auto before = here.process.files.list(here.folder).value();
    auto lock = here.process.run(here.process.storage.try_lock(ours.id)).value().value();
    there.process.run(there.keeper.load(theirs));
    CHECK(theirs.generation == 1);
    CHECK(there.said.ends_with("; the one before it is used, 1"));
    CHECK(here.process.files.list(here.folder).value() == before);
    // Who has it may.
    managed_certificate again = configured();
    static_cast<void>(here.process.run(here.keeper.refresh(again, &lock)));
    CHECK(again.generation == 1);
    CHECK(here.process.files.list(here.folder).value() != before);
}

TEST_CASE("certificate keeper: where a broken generation is now is said, also when nothing new can be written")
{
    test::simulated_world world{1};
    const auto disk = std::make_shared<test::simulated_disk>();
    desk here(world, disk);
    managed_certificate ours = configured(), theirs = configured();
    here.process.run(here.keeper.load(ours));
    here.replace(ours, made_bundle());
    here.process.run(here.keeper.load(theirs));
    here.replace(ours, made_bundle());
    here.damage(ours);
    const auto lock = here.process.run(here.process.storage.try_lock(ours.id)).value().value();
    disk->set_full(true);
    static_cast<void>(here.process.run(here.keeper.refresh(theirs, &lock)));
    CHECK(here.said.find("; it is now in " + here.folder + "000002.broken-") != std::string::npos);
    CHECK(here.said.ends_with("; the one before it is used, 1"));
    CHECK(here.process.files.read_symlink(here.folder + "current").value() == "000002");
    disk->set_full(false);
    static_cast<void>(here.process.run(here.keeper.refresh(theirs, &lock)));
    CHECK(here.process.files.read_symlink(here.folder + "current").value() == "000001");
}

TEST_CASE("certificate keeper: why a broken generation stays is said, and who has the lock later puts it aside")
{
    test::simulated_world world{1};
    const auto disk = std::make_shared<test::simulated_disk>();
    desk here(world, disk), there(world, disk);
    managed_certificate ours = configured(), theirs = configured();
    here.process.run(here.keeper.load(ours));
    here.replace(ours, made_bundle());
    there.process.run(there.keeper.load(theirs));
    here.replace(ours, made_bundle());
    here.damage(ours);
    const auto before = here.process.files.list(here.folder).value();
    const auto late = there.process.run(there.process.storage.try_lock(ours.id)).value().value();
    there.process.run(there.process.storage.unlock(late));
    static_cast<void>(there.process.run(there.keeper.refresh(theirs, &late)));
    CHECK(there.said.find("; the one before it is used, 1; it stays where it is: ") != std::string::npos);
    CHECK(here.process.files.list(here.folder).value() == before);
    const auto told = there.told.size();
    const auto lock = there.process.run(there.process.storage.try_lock(ours.id)).value().value();
    static_cast<void>(there.process.run(there.keeper.refresh(theirs, &lock)));
    CHECK(there.told.size() == told + 1);
    CHECK(there.said.ends_with("; generation 1 serves instead"));
    CHECK(here.process.files.list(here.folder).value() != before);
}

TEST_CASE("certificate keeper: a certificate serves without its meta.json, and that is said once")
{
    test::simulated_world world{1};
    const auto disk = std::make_shared<test::simulated_disk>();
    desk here(world, disk);
    managed_certificate one = configured();
    here.process.run(here.keeper.load(one));
    here.replace(one, made_bundle());
    REQUIRE_FALSE(here.process.files.remove(here.folder + "000001/meta.json"));
    for (const bool is_there : {false, true}) {
        if (is_there)
            REQUIRE_FALSE(here.process.files.write_new(here.folder + "000001/meta.json", alos::as_bytes("{"), 0600));
        here.told.clear();
        managed_certificate again = configured();
        here.process.run(here.keeper.load(again));
        CHECK_FALSE(here.process.run(here.keeper.refresh(again)));
        CHECK(again.credential);
        CHECK(here.told == std::vector{event_kind::unreadable});
        CHECK_MESSAGE(here.said.starts_with("generation 1: meta.json cannot be read"), here.said);
    }
}
