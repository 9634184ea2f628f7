#include <alos/acme/account.hpp>

#include "support/plain_ca.hpp"
#include "support/scripted_ca.hpp"
#include "support/simulated_files.hpp"
#include "support/simulated_world.hpp"

#include <alos/acme/file_storage.hpp>

#include <boost/asio/co_spawn.hpp>

#include <doctest/doctest.h>

#include <memory>

using namespace std::chrono_literals;
using alos::acme::account_keeper;
using alos::acme::awaitable;
using alos::acme::event_kind;
using alos::acme::reply;

namespace {

// One process that has an account.
struct office {
    office(test::simulated_world& in, std::shared_ptr<test::simulated_disk> disk, std::string directory,
           alos::key_kind key = alos::key_kind::ecdsa_p256)
        : world(in), files(std::move(disk)), environment(world.add_member(files)),
          storage(files, "/certificates", "a process", [this] { return environment.now(); },
                  [this](std::chrono::milliseconds time) { return environment.sleep_until(environment.now() + time); }),
          ca(environment, {.directory = std::move(directory), .account_key = key})
    {
    }

    [[nodiscard]] account_keeper keeper(std::string email = "admin@example.com")
    {
        return account_keeper(ca, storage, std::move(email),
                              [this](event_kind kind, std::string what) {
                                  told.push_back(kind);
                                  last_told = std::move(what);
                              });
    }

    // What it came to; empty: success.
    template <class T>
    std::string run(awaitable<reply<T>> work, T* into = nullptr)
    {
        std::optional<std::string> said;
        asio_spawn(std::move(work), [&](const std::exception_ptr& thrown, reply<T> done) {
            said = thrown ? alos::text_of_exception(thrown) : done ? std::string() : done.error().what;
            if constexpr (!std::is_void_v<T>) {
                if (into && !thrown && done)
                    *into = std::move(*done);
            }
        });
        world.run_until([&] { return said.has_value(); }, 10min);
        return said.value_or("it does not end");
    }

    // What an account is: its URL, and the algorithm of its key.
    struct seen {
        std::string url;
        std::string alg;
    };

    static awaitable<reply<>> look(account_keeper& from, seen& into)
    {
        auto by = co_await from.open();
        if (!by)
            co_return by.error();
        into = {by->url, std::string(by->key.alg())};
        co_return reply<>();
    }

    [[nodiscard]] std::string url(account_keeper& from)
    {
        seen found;
        CHECK(run(look(from, found)) == "");
        return found.url;
    }

    [[nodiscard]] std::string algorithm(account_keeper& from)
    {
        seen found;
        CHECK(run(look(from, found)) == "");
        return found.alg;
    }

    // As after a request that was refused: what recover() makes of it; empty: success.
    [[nodiscard]] std::string recover(account_keeper& account, std::string type, std::string url)
    {
        alos::acme::refusal why;
        why.what = "refused";
        why.why.type = std::move(type);
        why.account = std::move(url);
        return run(account.recover(std::move(why)));
    }

    [[nodiscard]] std::vector<std::string> documents() { return files.list("/certificates/account").value(); }

    [[nodiscard]] std::size_t count(event_kind kind) const
    {
        return static_cast<std::size_t>(std::ranges::count(told, kind));
    }

    template <class T, class Done>
    void asio_spawn(awaitable<reply<T>> work, Done done)
    {
        boost::asio::co_spawn(environment.executor(), std::move(work), std::move(done));
    }

    test::simulated_world& world;
    test::simulated_files files;
    test::simulated_member& environment;
    alos::acme::file_storage storage;
    alos::acme::client ca;
    std::vector<event_kind> told;
    std::string last_told;
};

struct town {
    test::simulated_world world{3};
    test::scripted_ca ca{world, {.verified_share = 1}, 3};
    std::shared_ptr<test::simulated_disk> disk = std::make_shared<test::simulated_disk>();
    office one{world, disk, ca.directory_url()};
};

}

TEST_CASE("account: a new key is the same account, here and after a restart (RFC 8555 7.3.5)")
{
    town here;
    account_keeper account = here.one.keeper();
    const std::string url = here.one.url(account);
    CHECK(here.one.run(account.change_key(alos::key_kind::ecdsa_p384)) == "");
    CHECK(here.one.url(account) == url);
    CHECK(here.one.run(account.update({"mailto:other@example.com"})) == "");
    account_keeper again = here.one.keeper();
    CHECK(here.one.url(again) == url);
    CHECK(here.one.run(again.update({})) == "");
    CHECK(here.one.count(event_kind::account_created) == 1);
    CHECK(here.ca.breaches().empty());
}

TEST_CASE("account: after a change of keys whose answer was lost, the key that counts is found out (RFC 8555 7.3.5)")
{
    for (const bool took_effect : {true, false}) {
        town here;
        account_keeper account = here.one.keeper();
        const std::string url = here.one.url(account);
        here.ca.behave(took_effect ? test::hostility{.cut_after = 1} : test::hostility{.cut_before = 1});
        CHECK(here.one.run(account.change_key(alos::key_kind::ecdsa_p256)) != "");
        here.ca.behave({});
        CHECK(here.one.url(account) == url);
        CHECK(here.one.run(account.update({})) == "");
        CHECK(here.one.count(event_kind::account_created) == 1);
        CHECK(here.one.files.list("/certificates/account")->size() == 2);
    }
}

TEST_CASE("account: a new key that the CA refuses is forgotten, and one that it could not judge is kept (RFC 8555 7.3.5)")
{
    town here;
    test::plain_ca ca(here.world);
    office one{here.world, here.disk, ca.url()};
    ca.at["/new-account"] = [&](const auto&) {
        return ca.reply(201, {{"status", "valid"}}, {{"Location", ca.url("/account/1")}});
    };
    for (const auto& [status, left] : {std::pair{409u, 2u}, std::pair{503u, 3u}}) {
        ca.at["/key-change"] = [&ca, status = status](const auto&) { return ca.problem(status, "malformed"); };
        account_keeper account = one.keeper();
        CHECK(one.run(account.change_key(alos::key_kind::ecdsa_p256)).find("malformed") != std::string::npos);
        CHECK(one.documents().size() == left);
    }
}

TEST_CASE("account: a change of keys that was cut off is finished before the account is given up (RFC 8555 7.3.5)")
{
    town here;
    account_keeper account = here.one.keeper();
    const std::string url = here.one.url(account);
    here.ca.behave({.cut_after = 1});
    CHECK(here.one.run(account.change_key(alos::key_kind::ecdsa_p384)) != "");
    here.ca.behave({});
    // A request that the old key had signed is refused.
    CHECK(here.one.recover(account, "unauthorized", url) == "");
    CHECK(here.one.url(account) == url);
    CHECK(here.one.algorithm(account) == "ES384");
    CHECK(here.one.count(event_kind::account_created) == 1);
}

TEST_CASE("account: a key that another process has changed is read again (RFC 8555 7.3.5)")
{
    town here;
    office other{here.world, here.disk, here.ca.directory_url()};
    account_keeper account = here.one.keeper();
    account_keeper elsewhere = other.keeper();
    const std::string url = here.one.url(account);
    CHECK(other.url(elsewhere) == url);
    CHECK(other.run(elsewhere.change_key(alos::key_kind::ecdsa_p256)) == "");
    CHECK(here.one.run(account.update({})) == "");
    CHECK(here.ca.breaches().empty());
}

TEST_CASE("account: one that is closed is not opened again, but another takes its place (RFC 8555 7.3.6)")
{
    town here;
    office other{here.world, here.disk, here.ca.directory_url()};
    account_keeper account = here.one.keeper();
    account_keeper elsewhere = other.keeper();
    const std::string url = here.one.url(account);
    CHECK(other.url(elsewhere) == url);
    CHECK(here.one.run(account.deactivate()) == "");
    CHECK(here.one.url(account) != url);
    CHECK(other.url(elsewhere) == here.one.url(account));
    CHECK(here.one.count(event_kind::account_created) == 2);
}

TEST_CASE("account: kept for another e-mail address it is the same (RFC 8555 7.3.2)")
{
    town here;
    account_keeper account = here.one.keeper();
    const std::string url = here.one.url(account);
    CHECK(here.one.run(account.keep_for("other@example.com")) == "");
    account_keeper moved = here.one.keeper("other@example.com");
    CHECK(here.one.url(moved) == url);
    CHECK(here.one.files.list("/certificates/account")->size() == 2);

    account_keeper fresh = here.one.keeper();
    CHECK(here.one.url(fresh) != url);
    CHECK(here.one.run(moved.keep_for("admin@example.com")).find("already") != std::string::npos);
    CHECK(here.one.url(moved) == url);
    CHECK(here.one.run(moved.keep_for("other@example.com")) == "");
}

TEST_CASE("account: one that was closed elsewhere is replaced, with a new key (RFC 8555 7.3.6)")
{
    town here;
    account_keeper account = here.one.keeper();
    const std::string url = here.one.url(account);
    // Another machine has the same key.
    office other{here.world, std::make_shared<test::simulated_disk>(), here.ca.directory_url()};
    const std::string name = alos::acme::storage_id(here.ca.directory_url(), "admin@example.com") + ".key";
    const auto key = here.one.files.read("/certificates/account/" + name, 10'000).value();
    REQUIRE(!other.files.make_directory("/certificates", 0700));
    REQUIRE(!other.files.make_directory("/certificates/account", 0700));
    REQUIRE(!other.files.write_new("/certificates/account/" + name, alos::as_bytes(alos::as_text(key)), 0600));
    account_keeper elsewhere = other.keeper();
    CHECK(other.url(elsewhere) == url);
    CHECK(other.run(elsewhere.deactivate()) == "");

    // What is refused for other reasons changes nothing.
    CHECK(here.one.recover(account, "unauthorized", "") == "refused");
    CHECK(here.one.recover(account, "malformed", url) == "refused");
    CHECK(here.one.documents().size() == 2);

    here.one.told.clear();
    CHECK(here.one.recover(account, "unauthorized", url) == "");
    CHECK(here.one.told == std::vector{event_kind::account_created});
    const std::string fresh = here.one.url(account);
    CHECK(fresh != url);
    CHECK(here.one.run(account.update({})) == "");
    CHECK(here.one.last_told.find(url + " is closed; registered as " + fresh) == 0);
    CHECK(here.one.last_told.find(name + ".broken-") != std::string::npos);
    CHECK(here.one.documents().size() == 3);
    // Who was refused meanwhile is not in the way.
    CHECK(here.one.recover(account, "unauthorized", url) == "");
    CHECK(here.one.recover(account, "unauthorized", fresh) == "refused");
    CHECK(here.one.url(account) == fresh);

    // Where only the key is left, nobody knows what became of it until the CA is asked.
    account_keeper late = other.keeper();
    REQUIRE(!other.files.write_new("/certificates/account/" + name, alos::as_bytes(alos::as_text(key)), 0600));
    CHECK(other.url(late) != url);
    CHECK(other.last_told.find("the one with the key that is kept is closed; registered as ") == 0);
    CHECK(here.ca.breaches().empty());
}

TEST_CASE("account: a CA that refuses all keys is not one that has closed the account")
{
    town here;
    test::plain_ca deaf(here.world);
    office one{here.world, here.disk, deaf.url()};
    bool is_open = true;
    deaf.at["/new-account"] = [&](const auto&) {
        return is_open ? deaf.reply(201, {{"status", "valid"}}, {{"Location", deaf.url("/account/1")}})
                       : deaf.problem(403, "unauthorized");
    };
    account_keeper account = one.keeper();
    CHECK(one.url(account) == deaf.url("/account/1"));
    is_open = false;
    const auto before = one.documents();
    CHECK(one.recover(account, "unauthorized", deaf.url("/account/1")).find("unauthorized") != std::string::npos);
    CHECK(one.documents() == before);
    is_open = true;
    CHECK(one.url(account) == deaf.url("/account/1"));
}

TEST_CASE("account: what a CA answers for a key that is closed may be the account itself (RFC 8555 7.1.2)")
{
    town here;
    test::plain_ca ca(here.world);
    office one{here.world, here.disk, ca.url()};
    std::map<std::string, std::string> known; // by key, the URL
    ca.at["/new-account"] = [&](const test::plain_ca::asked& what) {
        const std::string key = test::json::serialize(what.header.at("jwk"));
        const auto [place, is_new] = known.emplace(key, ca.url("/account/" + std::to_string(known.size())));
        const bool is_closed = place->second == ca.url("/account/0") && !is_new;
        return ca.reply(is_new ? 201 : 200, {{"status", is_closed ? "revoked" : "valid"}},
                        {{"Location", place->second}});
    };
    account_keeper account = one.keeper();
    CHECK(one.url(account) == ca.url("/account/0"));
    CHECK(one.recover(account, "unauthorized", ca.url("/account/0")) == "");
    CHECK(one.url(account) == ca.url("/account/1"));
}

TEST_CASE("account: its key is of the kind that is set, and one that is there stays (RFC 8555 6.2)")
{
    town here;
    for (const auto& [kind, name] : {std::pair{alos::key_kind::ecdsa_p384, "ES384"},
                                     std::pair{alos::key_kind::rsa_2048, "RS256"}}) {
        const auto disk = std::make_shared<test::simulated_disk>();
        office one{here.world, disk, here.ca.directory_url(), kind};
        account_keeper account = one.keeper();
        CHECK(one.algorithm(account) == name);
        office later{here.world, disk, here.ca.directory_url()};
        account_keeper again = later.keeper();
        CHECK(later.algorithm(again) == name);
    }
}

TEST_CASE("account: with a CA that takes other signatures only, it gets a key for one of them (RFC 8555 6.2)")
{
    town here;
    test::plain_ca ca(here.world);
    office one{here.world, here.disk, ca.url()};
    test::json::array taken{"EdDSA", "ES384"};
    ca.at["/new-account"] = [&](const test::plain_ca::asked& what) {
        if (std::ranges::count(taken, what.header.at("alg")) == 0)
            return ca.problem(400, "badSignatureAlgorithm", {{"algorithms", taken}});
        return ca.reply(201, {{"status", "valid"}}, {{"Location", ca.url("/account/1")}});
    };
    account_keeper account = one.keeper();
    CHECK(one.algorithm(account) == "ES384");
    CHECK(ca.requests.size() == 2);
    CHECK(one.last_told.find("the CA takes no account key for ES256; registered as ") == 0);
    account_keeper again = one.keeper();
    CHECK(one.algorithm(again) == "ES384");

    // One that takes none of ours is told of, and asked once.
    taken = {"EdDSA"};
    account_keeper stranger = one.keeper("other@example.com");
    ca.requests.clear();
    const std::string said = one.run(stranger.update({}));
    CHECK(said.find("it takes EdDSA") != std::string::npos);
    CHECK(ca.requests.size() == 1);
}

TEST_CASE("account: two processes do not change its key at the same time (RFC 8555 7.3.5)")
{
    town here;
    office other{here.world, here.disk, here.ca.directory_url()};
    account_keeper account = here.one.keeper();
    account_keeper elsewhere = other.keeper();
    account_keeper third = other.keeper();
    const std::string url = here.one.url(account);
    CHECK(other.url(elsewhere) == url);
    // The other one comes while the CA works on the first change; so does one that only opens it.
    std::string second = "it did not come";
    office::seen opened;
    bool has_come = false;
    here.ca.on_request = [&](test::scripted_ca::step at) {
        if (at != test::scripted_ca::step::key_change || std::exchange(has_come, true))
            return;
        other.asio_spawn(elsewhere.change_key(alos::key_kind::ecdsa_p256),
                         [&](const std::exception_ptr&, reply<> done) { second = done ? "" : done.error().what; });
        other.asio_spawn(office::look(third, opened), [](const std::exception_ptr&, reply<>) {});
    };
    CHECK(here.one.run(account.change_key(alos::key_kind::ecdsa_p384)) == "");
    here.world.run_for(1min);
    CHECK(second.find("another process is changing its key") != std::string::npos);
    CHECK(opened.url == url);
    CHECK(here.one.algorithm(account) == "ES384");
    CHECK(other.algorithm(elsewhere) == "ES384");
    CHECK(other.run(elsewhere.update({})) == "");
    CHECK(here.one.documents().size() == 2);
}
