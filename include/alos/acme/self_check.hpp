// Looks at the answer to a challenge the way the CA will, from here: by the name, over the wire. RFC 8555 8.3, 8.4,
// RFC 8737 3.
#ifndef ALOS_ACME_SELF_CHECK_HPP
#define ALOS_ACME_SELF_CHECK_HPP

#include <alos/acme/board.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace alos::inline v0::acme {

namespace detail {

inline constexpr std::chrono::seconds self_check_pause{1};
inline constexpr std::chrono::seconds least_look_time{5}; // so that who begins late does not see nothing
inline constexpr std::chrono::seconds least_address_time{2};

// What the name resolves to, IPv6 first; an address is itself.
inline awaitable<std::vector<std::string>> addresses_of(environment& world, identifier about)
{
    std::vector<std::string> found;
    if (about.type == identifier_type::ip) {
        found.push_back(about.value);
        co_return found;
    }
    for (const dns::record_type type : {dns::record_type::aaaa, dns::record_type::a}) {
        const auto answer = co_await world.resolve(about.value, type);
        if (!answer)
            continue;
        for (const dns::record& each : answer->records) {
            if (each.type == type)
                found.push_back(each.text);
        }
    }
    co_return found;
}

// As a CA asks by plain HTTP (RFC 8555 8.3); `path` begins with a slash.
inline std::string http_url(const identifier& about, std::uint16_t port, const std::string& path)
{
    const bool is_ipv6 = about.value.find(':') != std::string::npos;
    return "http://" + (is_ipv6 ? "[" + about.value + "]" : about.value)
           + (port == 80 ? "" : ":" + std::to_string(port)) + path;
}

// CAs follow redirects to https, and believe any certificate there: the name is only being proven.
inline std::shared_ptr<const http::trust> trust_in_anyone()
{
    static const auto everyone = std::make_shared<const http::trust>(http::trust{.verifies = false});
    return everyone;
}

// Empty when the answer is there. `asked` is who is waited for, in words.
inline awaitable<std::string> look_by_http(environment& world, posting answer, std::uint16_t port, std::string& asked)
{
    http::outbound_request request;
    request.url = http_url(answer.about, port, http01_path(answer.token));
    request.max_body = 4096;
    request.max_redirects = 10;
    request.timeout = std::chrono::seconds(5);
    request.authorities = trust_in_anyone();
    const std::string url = request.url;
    asked = url;
    const auto got = co_await world.fetch(std::move(request));
    if (!got)
        co_return url + ": " + got.error().what;
    if (got->status != 200)
        co_return url + " answers with status " + std::to_string(got->status);
    co_return http::trim(got->body) == answer.key_authorization ? "" : url + " answers something else than this server";
}

inline awaitable<std::string> look_by_tls(environment& world, posting answer, std::uint16_t port, std::string& asked)
{
    asked = "the name servers, asked for the addresses of " + answer.about.value + ",";
    const std::vector<std::string> addresses = co_await addresses_of(world, answer.about);
    if (addresses.empty())
        co_return answer.about.value + " has no address";
    for (const std::string& each : addresses) {
        asked = each + ":" + std::to_string(port);
        tls_probe probe{each, port, tls_alpn_server_name(answer.about.value), "acme-tls/1"};
        const auto leaf = co_await world.probe(std::move(probe));
        if (!leaf)
            co_return leaf.error().what;
        const auto good = answers_tls_alpn(*leaf, answer.about.value, answer.key_authorization);
        if (!good)
            co_return each + ": " + good.error().what;
    }
    co_return "";
}

inline awaitable<std::string> look_by_dns(environment& world, posting answer, std::string& asked)
{
    const std::string name = dns01_name(answer.about.value);
    asked = "the name servers, asked for the TXT record of " + name + ",";
    const std::string value = dns01_value(answer.key_authorization);
    const auto got = co_await world.resolve(name, dns::record_type::txt);
    if (!got)
        co_return got.error().what;
    if (const std::string failed = dns_failure(got); !failed.empty())
        co_return name + ": " + failed;
    const auto is_text = [](const dns::record& each) { return each.type == dns::record_type::txt; };
    const auto is_ours = [&](const dns::record& each) { return is_text(each) && each.text == value; };
    if (std::ranges::any_of(got->records, is_ours))
        co_return "";
    co_return name + (std::ranges::any_of(got->records, is_text) ? " has other TXT records" : " has no TXT record");
}

// Some looks at one answer.
struct looks {
    std::string seen{}; // by the last one that is over
    std::string asked{};
};

// The same, tried until `end` and at least once. `at` outlives it.
inline awaitable<> keep_looking(environment& world, posting answer, std::uint16_t port, time_point end, looks& at)
{
    const time_point begun = world.now();
    for (;;) {
        if (answer.type == challenge_type::http_01)
            at.seen = co_await look_by_http(world, answer, port, at.asked);
        else if (answer.type == challenge_type::dns_01)
            at.seen = co_await look_by_dns(world, answer, at.asked);
        else
            at.seen = co_await look_by_tls(world, answer, port, at.asked);
        if (at.seen.empty())
            co_return;
        const time_point next = world.now() + self_check_pause;
        if (next > end || world.now() < begun) // the clock jumped back
            co_return;
        co_await world.sleep_until(next);
    }
}

// The same, over at `end`, or after 5 seconds if that is later.
inline awaitable<std::string> look_until(environment& world, posting answer, std::uint16_t port, time_point end)
{
    using namespace boost::asio::experimental::awaitable_operators;
    looks at;
    const time_point latest = std::max(end, world.now() + least_look_time);
    const auto over = co_await (keep_looking(world, answer, port, end, at) || world.sleep_until(latest));
    if (over.index() == 1 && at.seen.empty())
        co_return at.asked + " did not answer in time";
    co_return at.seen;
}

// In words, and in time.
inline awaitable<std::string> tell_addresses(environment& world, identifier about, time_point end)
{
    using namespace boost::asio::experimental::awaitable_operators;
    const time_point latest = std::max(end, world.now() + least_address_time);
    const auto found = co_await (addresses_of(world, about) || world.sleep_until(latest));
    if (found.index() == 1)
        co_return "the name servers do not say";
    co_return std::get<0>(found).empty() ? "none that are known" : join(std::get<0>(found));
}

}

// Empty when all is well; else, tried until `end` and at least once, one sentence with what was seen or who did not
// answer, and but for dns-01 where the name leads, and where we are. It takes no longer than until 2 seconds after
// `end`, or 7 from its beginning.
[[nodiscard]] inline awaitable<std::string> self_check(environment& world, posting answer, std::uint16_t http01_port,
                                                       std::uint16_t tls_alpn01_port, time_point end)
{
    const std::uint16_t port = answer.type == challenge_type::http_01 ? http01_port : tls_alpn01_port;
    const std::string seen = co_await detail::look_until(world, answer, port, end);
    if (seen.empty())
        co_return seen;
    const std::string said = "the answer cannot be seen from here, and perhaps not by the CA: " + seen;
    if (answer.type == challenge_type::dns_01)
        co_return said + "; whoever changes the DNS has to wait until its servers answer with it";
    const std::string there = co_await detail::tell_addresses(world, answer.about, end);
    const std::vector<std::string> ours = world.local_addresses();
    co_return said + "; addresses of " + answer.about.value + ": " + there
        + "; addresses of this machine: " + (ours.empty() ? "none that are known" : join(ours));
}

}

#endif
