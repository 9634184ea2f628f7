// The answers to http-01 challenges that are to be given on the port of plain HTTP (RFC 8555 8.3).
#ifndef ALOS_ACME_ANSWERS_HPP
#define ALOS_ACME_ANSWERS_HPP

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

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

    [[nodiscard]] std::optional<std::string> find(std::string_view token) const
    {
        const std::lock_guard lock(mutex_);
        const auto found = answers_.find(token);
        return found == answers_.end() ? std::nullopt : std::optional(found->second);
    }

private:
    mutable std::mutex mutex_;
    std::map<std::string, std::string, std::less<>> answers_;
};

}

#endif
