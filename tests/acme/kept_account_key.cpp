#include <alos/acme/kept_account_key.hpp>

#include "support/office.hpp"
#include "support/plain_ca.hpp"

#include <utility>

using namespace std::chrono_literals;
using alos::acme::account_keeper;
using alos::acme::event_kind;
using alos::acme::reply;
using test::office;
using town = test::office_town;

TEST_CASE("account key: a new key is the same account, here and after a restart (RFC 8555 7.3.5)")
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

TEST_CASE("account key: after a change whose answer was lost, the key that counts is found out (RFC 8555 7.3.5)")
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

TEST_CASE("account key: the rest of a change that nobody can read is moved aside, not erased")
{
    town here;
    account_keeper account = here.one.keeper();
    const std::string url = here.one.url(account);
    const std::string id = alos::acme::storage_id(here.ca.directory_url(), "admin@example.com");
    const auto stored = here.one.simulated_process::run(
        here.one.storage.store("account/" + id + ".next.key", alos::to_secret_text("no key"), 0));
    REQUIRE(stored.has_value());
    account_keeper again = here.one.keeper();
    CHECK(here.one.url(again) == url);
    CHECK(here.one.documents().size() == 3);
    const auto left = here.one.simulated_process::run(here.one.storage.load("account/" + id + ".next.key"));
    REQUIRE(left.has_value());
    CHECK_FALSE(left->has_value());
}

TEST_CASE("account key: one that the CA refuses is forgotten, and one that it did not judge is kept (RFC 8555 7.3.5)")
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

TEST_CASE("account key: a change of keys that was cut off is finished before the account is given up (RFC 8555 7.3.5)")
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

TEST_CASE("account key: a key that another process has changed is read again (RFC 8555 7.3.5)")
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

TEST_CASE("account key: two processes do not change its key at the same time (RFC 8555 7.3.5)")
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
        const auto there = other.environment.executor();
        boost::asio::co_spawn(there, elsewhere.change_key(alos::key_kind::ecdsa_p256),
                              [&](const std::exception_ptr&, reply<> done) { second = done ? "" : done.error().what; });
        boost::asio::co_spawn(there, office::look(third, opened), [](const std::exception_ptr&, reply<>) {});
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
