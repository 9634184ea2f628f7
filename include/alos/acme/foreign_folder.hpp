// A folder of certbot's or lego's that a server serves from: read, read again after its owner, never written.
#ifndef ALOS_ACME_FOREIGN_FOLDER_HPP
#define ALOS_ACME_FOREIGN_FOLDER_HPP

#include <alos/acme/environment.hpp>
#include <alos/acme/foreign_storage.hpp>
#include <alos/acme/service.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// The name that each is stored under, one that it is for: its owner's name for it when it is one, else the first that
// no other one with that type of key has which ends later. Who has none left is left out. Its owner's name is none of a
// host when there are several of one.
[[nodiscard]] inline cert::named_credentials under_own_names(const foreign_map& all)
{
    std::vector<std::pair<std::string, foreign_certificate>> latest_first(all.begin(), all.end());
    const auto end = [](const auto& each) { return each.second.credential->about.not_after; };
    std::ranges::stable_sort(latest_first, std::greater<>(), end);
    std::set<std::string> taken; // with the type of key
    std::map<std::string, std::string> domains; // by its owner's name
    for (const auto& [owners, one] : latest_first) {
        const cert::description& about = one.credential->about;
        std::vector<std::string> names = about.names;
        names.insert(names.end(), about.addresses.begin(), about.addresses.end());
        if (const auto found = std::ranges::find(names, owners); found != names.end())
            std::rotate(names.begin(), found, found + 1);
        const std::string kind = " " + std::string(cert::key_family(about));
        for (const std::string& each : names) {
            if (taken.insert(each + kind).second)
                domains.try_emplace(owners, each);
        }
    }
    cert::named_credentials made;
    for (const auto& [owners, domain] : domains)
        made.emplace_back(domain, all.at(owners).credential);
    return made;
}

// Used on the manager's thread.
class foreign_folder {
public:
    using taker = std::function<void(std::vector<cert::credential_ptr>)>;

    // `world` and what `to` refers to outlive it. `offer` is called with all that there is, each time, once it is
    // served.
    foreign_folder(environment& world, host to, std::string directory, taker offer)
        : world_(world), host_(std::move(to)), directory_(std::move(directory)), offer_(std::move(offer))
    {
    }

    foreign_folder(const foreign_folder&) = delete;
    foreign_folder& operator=(const foreign_folder&) = delete;

    // Serves what is there, and what was renewed since the last time; tells of what is new. What cannot be read for now
    // is served as it was, what was deleted is not.
    void serve()
    {
        const auto all = read_foreign(world_.files(), directory_, known_);
        for (const foreign_certificate& each : all.found)
            known_[each.name] = each;
        if (all.names)
            std::erase_if(known_, [&](const auto& each) { return !all.names->contains(each.first); });
        const cert::named_credentials named = under_own_names(known_);
        std::set<cert::named_credentials::value_type> wanted(named.begin(), named.end());
        cert::named_credentials made;
        const auto is_new = [&](const auto& each) { return !served_.contains(each); };
        std::ranges::copy_if(named, std::back_inserter(made), is_new);
        std::set<std::string> faults(all.skipped.begin(), all.skipped.end());
        for (const std::string& why : faults) {
            if (!faults_.contains(why))
                host_.log(log_level::error, "acme.unreadable", {{"reason", why}});
        }
        faults_ = std::move(faults);
        if (!made.empty()) {
            host_.log(log_level::info, "acme.foreign",
                      {{"folder", directory_},
                       {"certificates", made.size()},
                       {"hint", "what it has there is never written"}});
            if (const auto done = host_.certificates.add_credentials(std::move(made)); !done)
                host_.log(log_level::error, "acme.unreadable", {{"reason", done.error().what}});
        }
        // What another name is better for, or another certificate, and what is gone.
        for (const auto& each : std::exchange(served_, wanted)) {
            if (!wanted.contains(each))
                static_cast<void>(host_.certificates.remove_credential(each.first, each.second));
        }
        std::vector<cert::credential_ptr> offered;
        for (const auto& [name, one] : known_)
            offered.push_back(one.credential);
        offer_(std::move(offered));
    }

    // Warns of keys that are no secret.
    void check()
    {
        for (const std::string& key : open_foreign_keys(world_.files(), directory_))
            host_.log(log_level::warning, "acme.open_to_others",
                      {{"folder", directory_},
                       {"reason", "this private key is open to others: " + key},
                       {"hint", "chmod go= '" + key + "', and renew its certificate if others use this machine"}});
    }

    // Until it is cancelled.
    [[nodiscard]] awaitable<> follow()
    {
        constexpr std::chrono::minutes pause{5};
        for (;;) {
            co_await world_.sleep_until(world_.now() + pause);
            serve();
        }
    }

private:
    environment& world_;
    const host host_;
    const std::string directory_;
    const taker offer_;
    foreign_map known_;
    std::set<cert::named_credentials::value_type> served_;
    std::set<std::string> faults_; // of the last time
};

}

#endif
