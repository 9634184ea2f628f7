#include <alos/acme/account.hpp>

#include "support/office.hpp"
#include "support/plain_ca.hpp"

using alos::acme::account_keeper;
using alos::acme::event_kind;
using alos::acme::reply;
using test::office;
using town = test::office_town;

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

TEST_CASE("account: a key that is not the account's is found out, also where that is called malformed (RFC 8555 6.2)")
{
    town here;
    account_keeper first = here.one.keeper();
    const std::string url = here.one.url(first);
    const std::string path =
        "/certificates/account/" + alos::acme::storage_id(here.ca.directory_url(), "admin@example.com") + ".key";
    const auto other = alos::acme::account_key::generate(alos::key_kind::ecdsa_p256)->to_pem();
    REQUIRE_FALSE(here.one.files.remove(path));
    REQUIRE_FALSE(here.one.files.write_new(path, alos::as_bytes(alos::as_text(other)), 0600));
    account_keeper account = here.one.keeper();
    CHECK(here.one.url(account) == url);
    CHECK(here.one.recover(account, "malformed", url, 404) == "refused");
    CHECK(here.one.recover(account, "malformed", url, 400) == "");
    CHECK(here.one.last_told.find(url + " has another key by now; registered as ") == 0);
    const std::string fresh = here.one.url(account);
    CHECK(fresh != url);
    CHECK(here.one.run(account.update({})) == "");
    CHECK(here.one.recover(account, "malformed", fresh, 400) == "refused"); // it was the request
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

namespace {

// A CA that has closed the first account, and knows which key has which.
struct strict_ca {
    explicit strict_ca(test::simulated_world& world) : ca(world)
    {
        ca.at["/new-account"] = [this](const test::plain_ca::asked& what) {
            const std::string key = test::json::serialize(what.header.at("jwk"));
            const auto* const only = what.payload.get_object().if_contains("onlyReturnExisting");
            if (only && !known.contains(key))
                return ca.problem(400, "accountDoesNotExist");
            const auto [place, is_new] = known.emplace(key, ca.url("/account/" + std::to_string(known.size())));
            if (is_new && known.size() == 2 && loses_answer)
                return ca.problem(503, "serverInternal");
            const bool is_closed = place->second == ca.url("/account/0") && !is_new;
            return ca.reply(is_new ? 201 : 200, {{"status", is_closed ? "revoked" : "valid"}},
                            {{"Location", place->second}});
        };
    }

    test::plain_ca ca;
    std::map<std::string, std::string> known; // by key, the URL
    bool loses_answer = false;
};

}

TEST_CASE("account: a new one whose answer was lost is found by its key, which was kept before (RFC 8555 7.3)")
{
    town here;
    strict_ca strict(here.world);
    office one{here.world, here.disk, strict.ca.url()};
    account_keeper account = one.keeper();
    const std::string old = one.url(account);
    strict.loses_answer = true;
    CHECK(one.recover(account, "unauthorized", old).find("serverInternal") != std::string::npos);
    CHECK(one.documents().size() == 3);

    account_keeper later = one.keeper(); // after a restart
    CHECK(one.url(later) == strict.ca.url("/account/1"));
    CHECK(strict.known.size() == 2);
    CHECK(one.documents().size() == 3); // the old key is put aside
    CHECK(one.url(account) == strict.ca.url("/account/1"));
}

TEST_CASE("account: power that fails at any step of replacing it leaves no account that nobody has the key of")
{
    bool is_through = false;
    unsigned found = 0;
    for (unsigned step = 1; !is_through; ++step) {
        for (const bool keeps : {false, true}) {
            town here;
            strict_ca strict(here.world);
            office one{here.world, here.disk, strict.ca.url()};
            account_keeper account = one.keeper();
            const std::string old = one.url(account);
            alos::acme::refusal why;
            why.why.type = "unauthorized";
            why.account = old;
            bool is_over = false;
            is_through = false;
            here.disk->cut_after(step);
            boost::asio::co_spawn(one.environment.executor(), account.recover(std::move(why)),
                                  [&](const std::exception_ptr& thrown, reply<> done) {
                                      is_over = true;
                                      is_through = !thrown && done;
                                  });
            REQUIRE(here.world.run_until([&] { return is_over; }, std::chrono::minutes(10)));
            here.disk->power_cut(keeps ? test::everything_kept() : test::everything_lost());
            found += strict.known.size() == 2 && !is_through;

            INFO("step ", step, keeps ? ", kept" : ", lost");
            office next{here.world, here.disk, strict.ca.url()};
            account_keeper again = next.keeper();
            if (next.url(again) == old)
                CHECK(next.recover(again, "unauthorized", old) == "");
            CHECK(next.url(again) == strict.ca.url("/account/1"));
            CHECK(strict.known.size() == 2);
            account_keeper third = next.keeper();
            CHECK(next.url(third) == strict.ca.url("/account/1"));
            CHECK(next.documents().size() == 3);
        }
    }
    CHECK(found > 10);
}

TEST_CASE("account: one that the CA has lost is registered again, with the same key (RFC 8555 6.7, 7.3)")
{
    town here;
    account_keeper account = here.one.keeper();
    const std::string url = here.one.url(account);
    const std::string key = "/certificates/account/"
                            + alos::acme::storage_id(here.ca.directory_url(), "admin@example.com") + ".key";
    const auto before = here.one.files.read(key, 10'000).value();
    here.ca.lose_accounts();
    CHECK(here.one.run(account.update({})).find("accountDoesNotExist") != std::string::npos);
    CHECK(here.one.recover(account, "accountDoesNotExist", url) == "");
    const std::string fresh = here.one.url(account);
    CHECK(fresh != url);
    CHECK(here.one.run(account.update({})) == "");
    CHECK(here.one.files.read(key, 10'000).value() == before);
    CHECK(here.one.documents().size() == 2); // and nothing is put aside
    CHECK(here.one.count(event_kind::account_created) == 2);
    account_keeper later = here.one.keeper(); // after a restart, too
    CHECK(here.one.url(later) == fresh);
    CHECK(here.ca.breaches().empty());
}
