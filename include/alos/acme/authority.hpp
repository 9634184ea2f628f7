// One CA of the configuration with all that belongs to it: the client, the accounts by e-mail address, and how much may
// still be asked of it.
#ifndef ALOS_ACME_AUTHORITY_HPP
#define ALOS_ACME_AUTHORITY_HPP

#include <alos/acme/account.hpp>
#include <alos/acme/token_bucket.hpp>

#include <map>
#include <memory>
#include <string>
#include <utility>

namespace alos::inline v0::acme {

// All members are called on the manager's thread.
class authority {
public:
    // `world` and `kept` outlive it.
    authority(environment& world, storage& kept, certificate_authority settings, account_keeper::teller tell)
        : storage_(kept), client_(world, std::move(settings)), tell_(std::move(tell))
    {
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

    // Whether another order may be placed now; if not, when. Shared with the other processes, and kept over restarts:
    // a program that is started again and again must not empty it each time.
    [[nodiscard]] awaitable<std::optional<time_point>> take_order()
    {
        const rate& limit = client_.ca().orders;
        if (limit.burst == 0)
            co_return std::nullopt;
        const std::string name = "limits/" + account_keeper::id_of(directory_url(), {});
        for (int tries = 0; tries < 5; ++tries) {
            const auto kept = co_await storage_.load(name);
            time_point full_at{};
            std::uint64_t version = 0;
            if (kept && kept->has_value()) {
                version = (*kept)->version;
                if (const auto in = detail::read_object_text(as_text((*kept)->text)))
                    full_at = detail::time_of(*in, "ordersFullAt");
            }
            token_bucket bucket(limit.burst, limit.refill, full_at);
            if (const auto later = bucket.take(client_.world().now()))
                co_return later;
            boost::json::object out;
            detail::put_time(out, "ordersFullAt", bucket.full_at());
            const std::string text = boost::json::serialize(out);
            secret_text bytes(text.begin(), text.end());
            const auto stored = co_await storage_.store(name, std::move(bytes), version);
            if (stored || stored.error().code != errc::conflict)
                break; // a disk that is full must not keep us from renewing
        }
        co_return std::nullopt;
    }

private:
    storage& storage_;
    client client_;
    const account_keeper::teller tell_;
    std::map<std::string, std::unique_ptr<account_keeper>> accounts_; // by e-mail address
};

}

#endif
