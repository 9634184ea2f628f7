// A folder of certbot's or lego's that a server serves from: read, read again after its owner, never written.
#ifndef ALOS_ACME_FOREIGN_FOLDER_HPP
#define ALOS_ACME_FOREIGN_FOLDER_HPP

#include <alos/acme/environment.hpp>
#include <alos/acme/foreign_storage.hpp>
#include <alos/acme/service.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// Used on the manager's thread.
class foreign_folder {
public:
    using taker = std::function<void(std::vector<cert::credential_ptr>)>;

    // `world` and what `to` refers to outlive it. `offer` is called with all that there is.
    foreign_folder(environment& world, host to, std::string directory, taker offer)
        : world_(world), host_(std::move(to)), directory_(std::move(directory)), offer_(std::move(offer))
    {
    }

    foreign_folder(const foreign_folder&) = delete;
    foreign_folder& operator=(const foreign_folder&) = delete;

    // Serves what is there, and what was renewed since the last time; tells of what is new.
    void serve()
    {
        auto all = read_foreign(world_.files(), directory_);
        cert::named_credentials made;
        std::vector<cert::credential_ptr> offered;
        for (const foreign_certificate& each : all.found) {
            offered.push_back(each.credential);
            auto& known = known_[each.name];
            if (known == each.credential->about.fingerprint)
                continue;
            known = each.credential->about.fingerprint;
            // Note: certbot's names are no names of hosts when there are several of one.
            const bool is_domain = cert::parse_domain(each.name).has_value();
            const auto& names = each.credential->about.names;
            if (is_domain || !names.empty())
                made.emplace_back(is_domain ? each.name : names.front(), each.credential);
        }
        for (const std::string& why : all.skipped) {
            if (faults_.insert(why).second)
                host_.log(log_level::error, "acme.unreadable", {{"reason", why}});
        }
        offer_(std::move(offered));
        if (made.empty())
            return;
        host_.log(log_level::info, "acme.foreign",
                  {{"folder", directory_}, {"certificates", made.size()}, {"hint", "what it has there is never written"}});
        if (const auto done = host_.certificates.add_credentials(std::move(made)); !done)
            host_.log(log_level::error, "acme.unreadable", {{"reason", done.error().what}});
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
    std::map<std::string, decltype(cert::description::fingerprint)> known_; // by its owner's name
    std::set<std::string> faults_;                                          // that were told
};

}

#endif
