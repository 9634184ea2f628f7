// The answers to http-01 challenges that are to be given on the port of plain HTTP (RFC 8555 8.3).
#ifndef ALOS_ACME_ANSWERS_HPP
#define ALOS_ACME_ANSWERS_HPP

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace alos::inline v0::acme {

// By token. All members may be called from any thread.
class answers {
public:
    // RFC 8555 8.1: `key_authorization` is the whole answer.
    void put(std::string_view token, std::string_view key_authorization)
    {
        const std::lock_guard lock(mutex_);
        answers_.insert_or_assign(std::string(token), std::string(key_authorization));
    }

    void remove(std::string_view token)
    {
        const std::lock_guard lock(mutex_);
        if (const auto found = answers_.find(token); found != answers_.end())
            answers_.erase(found);
    }

    // Where else find() looks: for answers that other processes have left in a storage they share. It is called from
    // every thread of the server, and perhaps for a moment after it was replaced. Null: nowhere.
    using lookup = std::function<std::optional<std::string>(std::string_view token)>;
    void also_look_in(lookup elsewhere)
    {
        auto next = elsewhere ? std::make_shared<const lookup>(std::move(elsewhere)) : nullptr;
        const std::lock_guard lock(mutex_);
        elsewhere_.swap(next);
    }

    [[nodiscard]] std::optional<std::string> find(std::string_view token) const
    {
        std::shared_ptr<const lookup> elsewhere;
        {
            const std::lock_guard lock(mutex_);
            if (const auto found = answers_.find(token); found != answers_.end())
                return found->second;
            elsewhere = elsewhere_;
        }
        return elsewhere ? (*elsewhere)(token) : std::nullopt;
    }

private:
    mutable std::mutex mutex_;
    std::map<std::string, std::string, std::less<>> answers_;
    std::shared_ptr<const lookup> elsewhere_;
};

}

#endif
