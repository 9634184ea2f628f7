// What is spoken on the port of plain HTTP: redirects to HTTPS, and the answers to ACME's http-01 challenges
// (RFC 8555 8.3).
#ifndef ALOS_SERVER_REDIRECT_HPP
#define ALOS_SERVER_REDIRECT_HPP

#include <alos/http/router.hpp>
#include <alos/server/address.hpp>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace alos::inline v0 {

// The challenges that are to be answered, by token. All members may be called from any thread.
class challenge_table {
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

// RFC 9110 7.2: the host of a Host field without its port; empty if it is not a host name or address that a browser
// would have sent. A redirect must not carry anything else on.
[[nodiscard]] inline std::string_view host_of_authority(std::string_view authority) noexcept
{
    const auto in = [](std::string_view text, std::string_view others) {
        return !text.empty() && std::ranges::all_of(text, [&](char c) {
            return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
                   || others.find(c) != others.npos;
        });
    };
    const bool literal = authority.starts_with('[');
    const std::size_t end = literal ? std::min(authority.find(']'), authority.size() - 1) + 1
                                    : std::min(authority.find(':'), authority.size());
    const std::string_view host = authority.substr(0, end);
    const std::string_view port = authority.substr(end);
    const bool port_is_good =
        port.empty() || port == ":"
        || (port.size() <= 6 && port.front() == ':' && std::ranges::all_of(port.substr(1), http::is_digit));
    if (!port_is_good || host.size() > 255)
        return {};
    if (literal)
        return host.size() > 2 && in(host.substr(1, host.size() - 2), ":.") && host.ends_with(']') ? host
                                                                                                   : std::string_view{};
    return in(host, "-._") ? host : std::string_view{};
}

// RFC 9112 3.2: path and query of a request target in any form, as they were sent.
[[nodiscard]] inline std::string path_and_query(std::string_view target)
{
    if (const std::size_t scheme = target.find("://"); !target.starts_with('/') && scheme != std::string_view::npos) {
        const std::size_t path = target.find_first_of("/?", scheme + 3);
        target = path == std::string_view::npos ? std::string_view() : target.substr(path);
    }
    if (target.starts_with('/'))
        return std::string(target);
    return target.starts_with('?') ? "/" + std::string(target) : "/";
}

// The one route of plain HTTP.
class redirect_routes {
public:
    explicit redirect_routes(const challenge_table& challenges)
        : endpoint_{.run = {http::handler([this](request& req, response& res) { answer(req, res); }), {}},
                    .options = streamed, // bodies are not read
                    .names = {}}
        , challenges_(challenges)
    {}

    redirect_routes(const redirect_routes&) = delete;
    redirect_routes& operator=(const redirect_routes&) = delete;

    // The port of HTTPS; before anything is served.
    void port(std::uint16_t number) { port_ = number == 443 ? std::string() : ":" + std::to_string(number); }

    [[nodiscard]] const http::endpoint& find(http::request_data&) const noexcept { return endpoint_; }

private:
    static constexpr std::string_view challenge_path = "/.well-known/acme-challenge/";

    void answer(const request& req, response& res) const
    {
        const bool safe = req.method() == verb::get || req.method() == verb::head;
        if (safe && req.path().starts_with(challenge_path)) {
            if (const auto found = challenges_.find(req.path().substr(challenge_path.size())))
                res.set("Content-Type", "application/octet-stream").string(*found);
            else
                http::respond_with_status(res, 404);
            return;
        }
        const std::string_view host = host_of_authority(req.host());
        if (host.empty()) {
            res.status(400).string("400 Bad Request: the Host field names no host\n");
            return;
        }
        std::string location = "https://";
        location.append(host).append(port_).append(path_and_query(req.target()));
        // RFC 9110 15.4.2, 15.4.9: only 308 keeps other methods and their bodies.
        res.redirect(location, safe ? 301 : 308);
    }

    const http::endpoint endpoint_;
    const challenge_table& challenges_;
    std::string port_;
};

}

#endif
