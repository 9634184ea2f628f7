#include <alos/acme/account.hpp>

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
using alos::acme::signer;

namespace {

// One process that has an account.
struct office {
    office(test::simulated_world& in, std::shared_ptr<test::simulated_disk> disk, const std::string& directory)
        : world(in), files(std::move(disk)), environment(world.add_member(files)),
          storage(files, "/certificates", "a process", [this] { return environment.now(); },
                  [this](std::chrono::milliseconds time) { return environment.sleep_until(environment.now() + time); }),
          ca(environment, {.directory = directory})
    {
    }

    [[nodiscard]] account_keeper keeper(std::string email = "admin@example.com")
    {
        return account_keeper(ca, storage, std::move(email),
                              [this](event_kind kind, std::string) { told.push_back(kind); });
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

    [[nodiscard]] std::string url(account_keeper& from)
    {
        std::string url;
        auto open = [](account_keeper& of, std::string& found) -> awaitable<reply<>> {
            auto by = co_await of.open();
            if (!by)
                co_return by.error();
            found = by->url;
            co_return reply<>();
        };
        CHECK(run(open(from, url)) == "");
        return url;
    }

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
