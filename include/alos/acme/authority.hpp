// One CA of the configuration with all that belongs to it: the client, the accounts by e-mail address, and how much may
// still be asked of it.
#ifndef ALOS_ACME_AUTHORITY_HPP
#define ALOS_ACME_AUTHORITY_HPP

#include <alos/acme/account.hpp>

#include <map>
#include <memory>
#include <string>
#include <utility>

namespace alos::inline v0::acme {

// All members are called on the manager's thread.
class authority {
public:
    // `world` and `kept` outlive it.
    authority(environment& world, storage& kept, certificate_authority settings, account_teller tell)
        : storage_(kept), client_(world, std::move(settings)), tell_(std::move(tell))
    {
        client_.on_action_required = [this](std::string what) { tell_(event_kind::action_required, std::move(what)); };
        client_.on_progress = [this](std::string what) { tell_(event_kind::progress, std::move(what)); };
    }

    authority(const authority&) = delete;
    authority& operator=(const authority&) = delete;

    // Reads the files that its settings name.
    [[nodiscard]] outcome<> prepare() { return client_.prepare(); }

    [[nodiscard]] client& ca() noexcept { return client_; }
    [[nodiscard]] const std::string& directory_url() const noexcept { return client_.ca().directory; }

    [[nodiscard]] account_keeper& account(const std::string& email)
    {
        auto& place = accounts_[email];
        if (!place)
            place = std::make_unique<account_keeper>(client_, storage_, email, tell_);
        return *place;
    }

    // How much may still be asked of it.
    [[nodiscard]] limits allowed() const
    {
        const auto tell = [tell = tell_](std::string what) { tell(event_kind::unreadable, std::move(what)); };
        return {client_.world(), storage_, client_.ca(), tell};
    }

private:
    storage& storage_;
    client client_;
    const account_teller tell_;
    std::map<std::string, std::unique_ptr<account_keeper>> accounts_; // by e-mail address
};

}

#endif
