// What is spoken on the port of plain HTTP: redirects to HTTPS, and the answers to ACME's http-01 challenges
// (RFC 8555 8.3), ours or those of another node that is asked for them.
#ifndef ALOS_SERVER_REDIRECT_HPP
#define ALOS_SERVER_REDIRECT_HPP

#include <alos/acme/answers.hpp>
#include <alos/http/outbound.hpp>
#include <alos/http/router.hpp>
#include <alos/log.hpp>
#include <alos/server/address.hpp>
#include <alos/server/node_health.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace alos::inline v0 {

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

// Who knows the answers to challenges that are not ours.
struct challenge_node {
    std::string address; // "host:port", plain HTTP
    // Asks it, on the executor that awaits.
    std::function<awaitable<outcome<http::outbound_response>>(http::outbound_request)> fetch;
    // Told, from any thread, that it does not answer, and when it does again. May be empty.
    std::function<void(log_level, std::string_view event, std::initializer_list<log_field> fields)> log{};
};

// The routes of plain HTTP.
class redirect_routes {
public:
    explicit redirect_routes(const acme::answers& challenges)
        : here_(route(http::handler([this](request& req, response& res) { answer(req, res); })))
        , elsewhere_(route(http::handler([this](request& req, response& res) { return ask_others(req, res); })))
        , challenges_(challenges)
    {}

    redirect_routes(const redirect_routes&) = delete;
    redirect_routes& operator=(const redirect_routes&) = delete;

    // The port of HTTPS; before anything is served.
    void port(std::uint16_t number) { port_ = number == 443 ? std::string() : ":" + std::to_string(number); }

    // Who is asked for challenges that are not ours; at any time. An empty address: nobody.
    [[nodiscard]] outcome<> forward_to(challenge_node node)
    {
        if (node.address.empty()) {
            node_.store(nullptr);
            return {};
        }
        const auto parts = split_host_and_port(node.address);
        if (!parts || parts->host.empty() || parts->port == 0 || host_of_authority(node.address).empty())
            return failure{errc::bad_configuration,
                           "acme_node is \"" + node.address + "\"; write \"host:port\" or \"[address]:port\""};
        node_.store(std::make_shared<watched_node>(std::move(node)));
        return {};
    }

    // Only a challenge that somebody else may know is worth a coroutine.
    [[nodiscard]] const http::endpoint& find(http::request_data& asked) const noexcept
    {
        const bool is_challenge = asked.parts.path.starts_with(acme::http01_prefix) && is_safe(asked.method);
        return is_challenge && (node_.load() || challenges_.has_elsewhere()) ? elsewhere_ : here_;
    }

private:
    struct watched_node {
        explicit watched_node(challenge_node node) : at(std::move(node)) {}

        const challenge_node at;
        node_health health;
    };

    static constexpr std::size_t most_token = 512;
    static constexpr std::size_t most_answer = 4096;
    static constexpr std::chrono::seconds patience{5};
    static constexpr unsigned most_asking = 64; // requests to the node under way, of all threads

    // Requests that one node sends to another have it, so that two that know each other end it.
    static constexpr std::string_view hop_field = "Alos-Acme-Hop";

    static http::endpoint route(http::handler run)
    {
        return {.run = {std::move(run), {}}, .options = streamed, .names = {}}; // bodies are not read
    }

    static bool is_safe(verb method) noexcept { return method == verb::get || method == verb::head; }

    // RFC 8555 8.3: base64url and nothing else; empty if it is not.
    static std::string_view token_of(const request& req) noexcept
    {
        const std::string_view token = req.path().substr(acme::http01_prefix.size());
        const bool good = token.size() <= most_token && std::ranges::all_of(token, [](char c) {
            return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
        });
        return good ? token : std::string_view();
    }

    static void give(response& res, unsigned status, std::string_view text)
    {
        res.status(status).set("Content-Type", "application/octet-stream").string(text);
    }

    void answer(const request& req, response& res) const
    {
        const bool safe = is_safe(req.method());
        if (safe && req.path().starts_with(acme::http01_prefix)) {
            const std::string_view token = token_of(req);
            if (const auto found = token.empty() ? std::nullopt : challenges_.find(token))
                give(res, 200, *found);
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

    // Ours, then those of other processes here, then those of the node.
    awaitable<> ask_others(const request& req, response& res) const
    {
        const std::string token(token_of(req));
        auto found = token.empty() ? std::nullopt : challenges_.find(token);
        unsigned status_of_none = 404;
        if (!found && !token.empty()) {
            auto work = challenges_.find_elsewhere(token);
            auto theirs = co_await std::move(work);
            if (theirs)
                found = std::move(*theirs);
            else
                status_of_none = 503; // nobody knows for now
        }
        const std::shared_ptr<watched_node> node = node_.load();
        if (found) {
            give(res, 200, *found);
            co_return;
        }
        if (token.empty() || !node || req.header(hop_field)) {
            http::respond_with_status(res, status_of_none);
            co_return;
        }
        const asking turn(asking_);
        if (turn.before >= most_asking) {
            http::respond_with_status(res, 503);
            co_return;
        }
        http::outbound_request ask;
        ask.url.append("http://").append(node->at.address).append(acme::http01_prefix).append(token);
        ask.fields.emplace_back(hop_field, "1");
        ask.max_body = most_answer;
        ask.timeout = patience;
        auto work = node->at.fetch(std::move(ask));
        const auto said = co_await std::move(work);
        const std::string fault = fault_of(said);
        if (fault.empty() && said->status == 404 && status_of_none != 404)
            http::respond_with_status(res, status_of_none);
        else if (fault.empty())
            give(res, said->status, said->body);
        else
            http::respond_with_status(res, 502);
        note(*node, fault);
    }

    // Why it is no answer; empty: it is one.
    static std::string fault_of(const outcome<http::outbound_response>& said)
    {
        if (!said)
            return said.error().what;
        if (said->status != 200 && said->status != 404)
            return "it answers a challenge with status " + std::to_string(said->status);
        return said->body.size() <= most_answer ? "" : "it answers a challenge with more than 4096 bytes";
    }

    static void note(watched_node& node, const std::string& fault)
    {
        if (fault.empty() ? !node.health.works() : !node.health.fails(std::chrono::steady_clock::now()))
            return;
        if (!node.at.log)
            return;
        if (fault.empty())
            node.at.log(log_level::info, "acme.node", {{"node", node.at.address}, {"reason", "it answers again"}});
        else
            node.at.log(log_level::warning, "acme.node",
                        {{"node", node.at.address},
                         {"reason", fault},
                         {"hint", "CAs that ask for its challenges here get 502; start it, or correct acme_node"}});
    }

    // One request to the node, for as long as this lives.
    struct asking {
        explicit asking(std::atomic<unsigned>& all) noexcept : count(all), before(all.fetch_add(1)) {}
        asking(const asking&) = delete;
        asking& operator=(const asking&) = delete;
        ~asking() { count.fetch_sub(1); }

        std::atomic<unsigned>& count;
        const unsigned before;
    };

    const http::endpoint here_;
    const http::endpoint elsewhere_;
    const acme::answers& challenges_;
    std::string port_;
    std::atomic<std::shared_ptr<watched_node>> node_;
    mutable std::atomic<unsigned> asking_ = 0;
};

}

#endif
