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

TEST_CASE("account key: a folder in its place, or what is too large for one, is moved aside for a new account")
{
    for (const bool is_folder : {true, false}) {
        town here;
        account_keeper account = here.one.keeper();
        const std::string url = here.one.url(account);
        const std::string id = alos::acme::storage_id(here.ca.directory_url(), "admin@example.com");
        const std::string path = "/certificates/account/" + id + ".key";
        REQUIRE_FALSE(here.one.files.remove(path));
        const std::string large(alos::acme::max_stored_size + 1, ' ');
        if (is_folder)
            REQUIRE_FALSE(here.one.files.make_directory(path, 0700));
        else
            REQUIRE_FALSE(here.one.files.write_new(path, alos::as_bytes(large), 0600));
        account_keeper again = here.one.keeper();
        CHECK(here.one.url(again) != url);
        CHECK(here.one.documents().size() == 3);
        CHECK(here.one.count(event_kind::unreadable) == 1);
        CHECK(here.one.count(event_kind::account_created) == 2);
        account_keeper third = here.one.keeper();
        CHECK(here.one.url(third) == here.one.url(again));
    }
}

TEST_CASE("account key: one that was refused stays until the CA says that it has no account (RFC 8555 7.3.1, 7.3.5)")
{
    town here;
    test::plain_ca ca(here.world);
    office one{here.world, here.disk, ca.url()};
    alos::http::outbound_response page{.status = 403, .body = "<html>Forbidden</html>"};
    page.fields.emplace_back("Content-Type", "text/html");
    const alos::http::outbound_response created
        = ca.reply(201, {{"status", "valid"}}, {{"Location", ca.url("/account/1")}});
    alos::http::outbound_response answer = created;
    ca.at["/new-account"] = [&](const auto&) { return answer; };
    const auto refused = [&](alos::http::outbound_response by) {
        ca.at["/key-change"] = [by = std::move(by)](const auto&) { return by; };
        account_keeper account = one.keeper();
        CHECK(one.run(account.change_key(alos::key_kind::ecdsa_p384)) != "");
        CHECK(one.documents().size() == 3);
    };
    office::seen found;
    SUBCASE("it has none")
    {
        for (const unsigned status : {400u, 409u, 503u}) {
            answer = created;
            refused(ca.problem(status, "malformed"));
            answer = ca.problem(400, "accountDoesNotExist");
            account_keeper account = one.keeper();
            CHECK(one.algorithm(account) == "ES256");
            CHECK(one.documents().size() == 2);
        }
    }
    SUBCASE("it has it, and the refusal was that of a proxy")
    {
        refused(page);
        account_keeper account = one.keeper();
        CHECK(one.algorithm(account) == "ES384");
        CHECK(one.documents().size() == 2);
    }
    SUBCASE("it has it, and the refusal was that of the request repeated")
    {
        refused(ca.problem(403, "malformed"));
        account_keeper account = one.keeper();
        CHECK(one.algorithm(account) == "ES384");
        CHECK(one.documents().size() == 2);
    }
    SUBCASE("it does not tell: what it cannot mean differently tomorrow puts the key aside")
    {
        refused(ca.problem(400, "malformed"));
        answer = ca.problem(400, "externalAccountRequired");
        account_keeper account = one.keeper();
        CHECK(one.algorithm(account) == "ES256");
        CHECK(one.documents().size() == 3);
        CHECK(one.count(event_kind::unreadable) == 1);
        CHECK(one.algorithm(account) == "ES256");
        CHECK(one.count(event_kind::unreadable) == 1);
    }
    SUBCASE("it does not tell: it refuses all keys, and the old one stays in its place")
    {
        refused(ca.problem(403, "unauthorized"));
        answer = ca.problem(403, "unauthorized");
        account_keeper account = one.keeper();
        CHECK(one.algorithm(account) == "ES256");
        CHECK(one.url(account) == ca.url("/account/1"));
        CHECK(one.documents().size() == 3);
    }
    SUBCASE("it does not tell: a proxy answers in its place")
    {
        refused(ca.problem(400, "malformed"));
        for (const auto& by : {page, ca.problem(403, "rateLimited"), ca.problem(503, "serverInternal")}) {
            answer = by;
            account_keeper account = one.keeper();
            CHECK(one.run(office::look(account, found)) != "");
            CHECK(one.documents().size() == 3);
        }
        answer = created;
        account_keeper account = one.keeper();
        CHECK(one.algorithm(account) == "ES384");
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

TEST_CASE("account key: while another process puts a new one in its place, no third one is made")
{
    town here;
    office other{here.world, here.disk, here.ca.directory_url()};
    account_keeper account = here.one.keeper();
    const std::string id = alos::acme::storage_id(here.ca.directory_url(), "admin@example.com");
    // It holds the lock, has the new key, and has moved the old one aside.
    const auto lock = other.simulated_process::run(other.storage.try_lock("account." + id)).value().value();
    const auto key = alos::acme::account_key::generate(alos::key_kind::ecdsa_p384).value();
    const auto begun
        = other.simulated_process::run(other.storage.store("account/" + id + ".next.key", key.to_pem(), 0));
    REQUIRE(begun.has_value());
    office::seen found;
    CHECK(here.one.run(office::look(account, found)).find("another process is changing its key") != std::string::npos);
    CHECK(here.one.documents().size() == 1);
    CHECK(here.one.count(event_kind::account_created) == 0);
    REQUIRE(other.simulated_process::run(other.storage.store("account/" + id + ".key", key.to_pem(), 0)).has_value());
    REQUIRE(other.simulated_process::run(other.storage.erase("account/" + id + ".next.key")).has_value());
    other.simulated_process::run(other.storage.unlock(lock));
    CHECK(here.one.algorithm(account) == "ES384");
}

TEST_CASE("account key: a URL that cannot be read is moved aside, and the CA is asked for the account of the key")
{
    town here;
    account_keeper account = here.one.keeper();
    const std::string url = here.one.url(account);
    const std::string document =
        "account/" + alos::acme::storage_id(here.ca.directory_url(), "admin@example.com");
    REQUIRE(here.one.simulated_process::run(
        here.one.storage.store(document, alos::to_secret_text("{"), std::nullopt)).has_value());
    account_keeper again = here.one.keeper();
    for (std::size_t times = 1; times <= 2; ++times) { // before it is open, and after
        CHECK(here.one.url(again) == url);
        CHECK(here.one.count(event_kind::unreadable) == times);
        CHECK(here.one.count(event_kind::account_created) == 1);
        CHECK(here.one.documents().size() == times + 2);
        const auto kept = here.one.simulated_process::run(here.one.storage.load(document));
        REQUIRE(kept->has_value());
        CHECK(alos::acme::parse_account_record(alos::as_text((*kept)->text))->url == url);
        REQUIRE(here.one.simulated_process::run(
            here.one.storage.store(document, alos::to_secret_text("{"), std::nullopt)).has_value());
    }
}
