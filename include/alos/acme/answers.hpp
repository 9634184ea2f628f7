// The answers to http-01 challenges that are to be given on the port of plain HTTP (RFC 8555 8.3).
#ifndef ALOS_ACME_ANSWERS_HPP
#define ALOS_ACME_ANSWERS_HPP

#include <alos/error.hpp>

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace alos::inline v0::acme {

// RFC 8555 8.3: before the token.
inline constexpr std::string_view http01_prefix = "/.well-known/acme-challenge/";

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

    // What is elsewhere: an answer, that there is none, or an error, when nobody can tell for now.
    using looked_up = result<std::optional<std::string>>;

    // Where find_elsewhere() looks: for answers that other processes have left in a storage they share. It is awaited
    // on every thread of the server, and perhaps for a moment after it was replaced. Null: nowhere.
    using lookup = std::function<boost::asio::awaitable<looked_up>(std::string token)>;
    void also_look_in(lookup elsewhere)
    {
        auto next = elsewhere ? std::make_shared<const lookup>(std::move(elsewhere)) : nullptr;
        const std::lock_guard lock(mutex_);
        elsewhere_.swap(next);
    }

    [[nodiscard]] std::optional<std::string> find(std::string_view token) const
    {
        const std::lock_guard lock(mutex_);
        const auto found = answers_.find(token);
        return found != answers_.end() ? std::optional(found->second) : std::nullopt;
    }

    [[nodiscard]] bool has_elsewhere() const { return elsewhere() != nullptr; }

    // For what find() does not have. This outlives the wait.
    [[nodiscard]] boost::asio::awaitable<looked_up> find_elsewhere(std::string token) const
    {
        const std::shared_ptr<const lookup> there = elsewhere();
        if (!there)
            co_return looked_up(std::nullopt);
        auto work = (*there)(std::move(token));
        auto found = co_await std::move(work);
        co_return found;
    }

private:
    [[nodiscard]] std::shared_ptr<const lookup> elsewhere() const
    {
        const std::lock_guard lock(mutex_);
        return elsewhere_;
    }

    mutable std::mutex mutex_;
    std::map<std::string, std::string, std::less<>> answers_;
    std::shared_ptr<const lookup> elsewhere_;
};

}

#endif
