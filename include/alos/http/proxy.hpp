// Which proxy a request goes through, as the usual environment variables say.
#ifndef ALOS_HTTP_PROXY_HPP
#define ALOS_HTTP_PROXY_HPP

#include <alos/error.hpp>
#include <alos/http/url.hpp>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace alos::inline v0::http {

// Proxies speak HTTP without TLS: "http://proxy.example:3128", or "proxy.example:3128".
struct proxies {
    std::string http{};   // for http URLs; empty: none
    std::string https{};  // for https URLs
    std::string except{}; // hosts that are asked directly: "example.com, .example.org, 192.0.2.0/24, host:8080", or "*"
};

// http_proxy, https_proxy and no_proxy. Not HTTP_PROXY, which whoever sends a field "Proxy" sets in a CGI program.
[[nodiscard]] inline proxies proxies_of_environment()
{
    const auto first = [](std::initializer_list<const char*> names) -> std::string {
        for (const char* name : names) {
            const char* value = std::getenv(name);
            if (value != nullptr && *value != '\0')
                return value;
        }
        return {};
    };
    return {first({"http_proxy"}), first({"https_proxy", "HTTPS_PROXY"}), first({"no_proxy", "NO_PROXY"})};
}

namespace detail {

// Whether one entry of `except` means this host; `address` is nothing for a name.
inline bool is_excepted(std::string_view entry, const url& target,
                        const std::optional<boost::asio::ip::address>& address)
{
    error_code ec;
    if (entry == "*")
        return true;
    if (address && entry.find('/') != std::string_view::npos) {
        if (address->is_v4()) {
            const auto network = boost::asio::ip::make_network_v4(entry, ec);
            const auto prefix = network.prefix_length();
            return !ec && boost::asio::ip::make_network_v4(address->to_v4(), prefix).network() == network.network();
        }
        const auto network = boost::asio::ip::make_network_v6(entry, ec);
        const auto prefix = network.prefix_length();
        return !ec && boost::asio::ip::make_network_v6(address->to_v6(), prefix).network() == network.network();
    }
    if (address) {
        const auto same = boost::asio::ip::make_address(entry, ec);
        if (!ec)
            return same == *address;
    }
    if (const std::size_t colon = entry.find(':'); colon != std::string_view::npos) {
        if (entry.substr(colon + 1) != std::to_string(target.port))
            return false;
        entry = entry.substr(0, colon);
    }
    if (entry.starts_with("*."))
        entry.remove_prefix(1);
    if (entry.starts_with('.'))
        entry.remove_prefix(1);
    const std::string_view host = target.host;
    if (entry.empty() || entry.size() > host.size())
        return false;
    const std::string_view end = host.substr(host.size() - entry.size());
    return equal_ignoring_case(end, entry)
           && (end.size() == host.size() || (!address && host[host.size() - end.size() - 1] == '.'));
}

}

// The proxy for `target`, or nothing when it is asked directly, as this machine itself always is. A failure: the
// setting makes no sense.
[[nodiscard]] inline outcome<std::optional<url>> proxy_for(const proxies& settings, const url& target)
{
    const std::string& chosen = target.is_secure() ? settings.https : settings.http;
    if (chosen.empty())
        return std::optional<url>();
    error_code ec;
    const auto parsed = boost::asio::ip::make_address(target.host, ec);
    std::optional<boost::asio::ip::address> address;
    if (!ec)
        address = parsed;
    if (target.host == "localhost" || (address && address->is_loopback()))
        return std::optional<url>();
    std::string_view rest = settings.except;
    while (!rest.empty()) {
        const std::size_t start = std::min(rest.find_first_not_of(", \t"), rest.size());
        rest.remove_prefix(start);
        const std::string_view entry = rest.substr(0, rest.find_first_of(", \t"));
        rest.remove_prefix(entry.size());
        if (detail::is_excepted(entry, target, address))
            return std::optional<url>();
    }
    const bool has_scheme = chosen.find("://") != std::string::npos;
    auto proxy = parse_url(has_scheme ? chosen : "http://" + chosen);
    const std::string variable = target.is_secure() ? "https_proxy" : "http_proxy";
    if (!proxy)
        return failure{alos::errc::bad_configuration, "the proxy in " + variable + ": " + proxy.error().what};
    if (proxy->is_secure())
        return failure{alos::errc::bad_configuration,
                       "the proxy in " + variable + " is to be asked by TLS, which is not supported; write it like "
                                                    "http://proxy.example:3128"};
    return std::optional<url>(std::move(*proxy));
}

}

#endif
