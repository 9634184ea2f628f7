// A world with one CA and the processes of one machine, for tests of the manager.
#ifndef ALOS_TESTS_TOWN_HPP
#define ALOS_TESTS_TOWN_HPP

#include "support/acme_member.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace test {

struct town {
    explicit town(ca_settings settings = {}, std::uint64_t seed = 1)
        : world(seed), ca(world, std::move(settings), seed), disk(std::make_shared<simulated_disk>())
    {
        answer_for(world, members);
    }

    [[nodiscard]] alos::acme::config settings(std::vector<alos::acme::certificate_names> domains = {"example.com"})
    {
        alos::acme::config made;
        made.email = "admin@example.com";
        made.domains = std::move(domains);
        made.cas = {alos::acme::certificate_authority{.directory = ca.directory_url()}};
        return made;
    }

    acme_member& start(alos::acme::config with)
    {
        members.push_back(std::make_unique<acme_member>(world, disk, std::move(with)));
        return *members.back();
    }

    acme_member& start() { return start(settings()); }

    bool wait(const std::function<bool()>& until, std::chrono::nanoseconds longest = std::chrono::hours(1))
    {
        return world.run_until(until, longest);
    }

    simulated_world world;
    scripted_ca ca;
    std::shared_ptr<simulated_disk> disk;
    std::vector<std::unique_ptr<acme_member>> members;
};

// A renewal of example.com now; `into` has what came of it.
inline alos::acme::awaitable<> force_example(acme_member& at, std::optional<alos::outcome<>>& into)
{
    const std::string name = "example.com";
    const std::function<void(const alos::acme::event&)> nobody;
    auto done = co_await at.manager.force_renew(name, nobody);
    into = std::move(done);
}

[[nodiscard]] inline std::string all_of(const std::vector<std::string>& lines)
{
    std::string text;
    for (const std::string& each : lines)
        text += each + "\n";
    return text;
}

}

#endif
