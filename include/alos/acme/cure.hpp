// What to do about a name that a CA did not see proven, by the challenge that was tried and the CA's own words. Those
// of Boulder (Let's Encrypt) and Pebble are known; what others say gets the advice of the type. RFC 8555 8, RFC 8737.
#ifndef ALOS_ACME_CURE_HPP
#define ALOS_ACME_CURE_HPP

#include <alos/acme/challenge.hpp>
#include <alos/acme/identifier.hpp>
#include <alos/acme/problem.hpp>
#include <alos/acme/solver.hpp>
#include <alos/http/fields.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>

namespace alos::inline v0::acme {

namespace detail {

// Of a refusal: everything that the CA said in words.
inline std::string words_of(const problem& why)
{
    std::string words = why.detail;
    for (const subproblem& each : why.subproblems)
        words.append("\n").append(each.detail);
    return words;
}

// RFC 8555 6.7.1: what a compound problem is about is in its parts.
inline std::string_view type_of(const problem& why) noexcept
{
    return why.type == "compound" && !why.subproblems.empty() ? why.subproblems.front().type : why.type;
}

inline bool has_any(std::string_view words, std::initializer_list<std::string_view> of)
{
    return std::ranges::any_of(of, [&](std::string_view each) { return words.find(each) != words.npos; });
}

// "404" of "Invalid response from http://a.example/x: 404" and of "http://a.example/x returned 404"; empty if there is
// none.
inline std::string_view status_in(std::string_view words) noexcept
{
    for (const std::string_view before : {": ", " returned "}) {
        const std::size_t at = words.rfind(before);
        const std::string_view last = at == words.npos ? std::string_view() : words.substr(at + before.size());
        if (last.size() == 3 && last.front() >= '1' && last.front() <= '5' && std::ranges::all_of(last, http::is_digit))
            return last;
    }
    return {};
}

inline std::string port_of(std::string_view port, const identifier& about)
{
    const std::string_view whose = about.type == identifier_type::ip ? " of " : " of every address of ";
    return std::string("port ").append(port).append(whose).append(about.value);
}

inline std::string open_port(std::string_view port, const identifier& about)
{
    return "let the CA reach " + port_of(port, about)
           + "; look at firewalls, forwarded ports, and an AAAA record that leads elsewhere";
}

inline std::string find_addresses(const identifier& about)
{
    return "give " + about.value + " an A or AAAA record of this host; all name servers of the domain have to answer, "
           "and its DNSSEC has to be valid";
}

inline std::string cure_of_http01(std::string_view type, std::string_view words, const identifier& about)
{
    const std::string here = port_of("80", about) + " lead to this program";
    if (type == "dns" || has_any(words, {"Could not resolve", "occurred while resolving", "o IP addresses found"}))
        return find_addresses(about);
    if (type == "connection" || type == "malformed")
        return open_port("80", about);
    if (type == "tls" || words.find("Invalid response from https://") != words.npos)
        return "let " + here + ": something there redirects challenges to https, and that does not answer them";
    if (words.find("did not match this challenge") != words.npos)
        return "let " + here + ": another ACME client or a CDN answers challenges there, or an address is that of "
               "another host, which may pass them on to this one (acme_node)";
    if (const std::string_view status = status_in(words); !status.empty())
        return "let " + here + ": something else answers there, or on another host, and says " + std::string(status);
    return "let " + here + ": something else answers http://" + about.value + std::string(http01_prefix) + " there";
}

inline std::string cure_of_tls_alpn01(std::string_view type, std::string_view words, const identifier& about)
{
    if (type == "dns" || has_any(words, {"Could not resolve", "occurred while resolving", "o IP addresses found"}))
        return find_addresses(about);
    const std::string itself = "let " + port_of("443", about) + " reach this program itself";
    if (has_any(words, {"extension value"}))
        return itself + ": another ACME client answers tls-alpn-01 there, or an address is that of another host";
    // Note: Pebble says "unauthorized: Failed to connect" of a port that nobody listens on, and of TLS that fails.
    if (type == "connection" || type == "malformed" || words.find("Failed to connect") != words.npos)
        return open_port("443", about) + "; a proxy that ends TLS cannot answer";
    return itself + ", and no proxy or CDN that ends TLS: it has to see the protocol acme-tls/1";
}

inline std::string cure_of_dns01(std::string_view words, const identifier& about)
{
    const std::string record = dns01_name(about.value);
    if (has_any(words, {"Incorrect TXT", "Correct value not found"}))
        return "the TXT record " + record + " has other values, and not ours: look for old ones, for a CNAME or NS "
               "record that leads to another zone, and for name servers that are late; maybe wait longer after it is "
               "set";
    if (has_any(words, {"No TXT record", "NXDOMAIN"}))
        return "the TXT record " + record + " was not there yet: look whether it is set in the zone that the world "
               "sees, on all of its name servers, or behind a CNAME; maybe wait longer after it is set";
    return "all name servers have to answer for the TXT record " + record + ", and DNSSEC has to be valid there";
}

}

// A sentence's end, as from cure_of(problem); `why` is what the CA says of a challenge of type `tried` for `about`.
[[nodiscard]] inline std::string cure_of(const problem& why, challenge_type tried, const identifier& about)
{
    const std::string_view type = detail::type_of(why);
    constexpr auto of_validation = std::to_array<std::string_view>(
        {"unauthorized", "incorrectResponse", "connection", "dns", "tls", "malformed"});
    if (std::ranges::count(of_validation, type) == 0)
        return std::string(cure_of(why));
    const std::string words = detail::words_of(why);
    std::string cure = tried == challenge_type::http_01       ? detail::cure_of_http01(type, words, about)
                       : tried == challenge_type::tls_alpn_01 ? detail::cure_of_tls_alpn01(type, words, about)
                                                              : detail::cure_of_dns01(words, about);
    if (words.find("secondary validation") != words.npos)
        cure += "; the CA looks from several places of the world, none of which may be blocked";
    return cure;
}

}

#endif
