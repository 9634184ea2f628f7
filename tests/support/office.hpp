// Processes that have an account at a CA, for tests of what is kept of it.
#ifndef ALOS_TESTS_OFFICE_HPP
#define ALOS_TESTS_OFFICE_HPP

#include "support/scripted_ca.hpp"
#include "support/simulated_process.hpp"

#include <alos/acme/account.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace test {

using alos::acme::account_keeper;
using alos::acme::awaitable;
using alos::acme::event_kind;
using alos::acme::reply;

// One of them.
struct office : simulated_process {
    office(simulated_world& in, std::shared_ptr<simulated_disk> disk, std::string directory,
           alos::key_kind key = alos::key_kind::ecdsa_p256)
        : simulated_process(in, std::move(disk)),
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
    std::string run(awaitable<reply<T>> work)
    {
        const reply<T> done = simulated_process::run(std::move(work));
        return done ? std::string() : done.error().what;
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
    [[nodiscard]] std::string recover(account_keeper& account, std::string type, std::string url,
                                      unsigned status = 0)
    {
        alos::acme::refusal why;
        why.what = "refused";
        why.why.type = std::move(type);
        why.why.status = status;
        why.account = std::move(url);
        return run(account.recover(std::move(why)));
    }

    [[nodiscard]] std::vector<std::string> documents() { return files.list("/certificates/account").value(); }

    [[nodiscard]] std::size_t count(event_kind kind) const
    {
        return static_cast<std::size_t>(std::ranges::count(told, kind));
    }

    alos::acme::client ca;
    std::vector<event_kind> told;
    std::string last_told;
};

// A CA, and one office.
struct office_town {
    simulated_world world{3};
    scripted_ca ca{world, {.verified_share = 1}, 3};
    std::shared_ptr<simulated_disk> disk = std::make_shared<simulated_disk>();
    office one{world, disk, ca.directory_url()};
};

}

#endif
