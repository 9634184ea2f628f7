// Which proxy a request goes through, as the usual environment variables say, and what it is told of who asks
// (RFC 9110 11.7, RFC 7617).
#ifndef ALOS_HTTP_PROXY_HPP
#define ALOS_HTTP_PROXY_HPP

#include <alos/bytes.hpp>
#include <alos/crypto/pem.hpp>
#include <alos/error.hpp>
#include <alos/http/uri.hpp>
#include <alos/http/url.hpp>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace alos::inline v0::http {

// Proxies speak HTTP without TLS: "http://proxy.example:3128", or "proxy.example:3128". A user and password may stand
// before the host, percent-encoded: "http://user:pa%20ss@proxy.example:3128".
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

// Whether a '/', '?' or '#' of a password, which is to be percent-encoded, ends the authority of a URL too early
// (RFC 3986 3.2).
inline bool has_at_behind_authority(std::string_view url_text)
{
    const std::size_t end = url_text.find_first_of("/?#", url_text.find("://") + 3);
    return end != std::string_view::npos && url_text.find('@', end) != std::string_view::npos;
}

// Takes user and password (RFC 3986 3.2.1) out of a URL, which has one host all the same: what is before the last '@'
// of its authority.
inline std::string take_userinfo(std::string& url_text)
{
    const std::size_t start = url_text.find("://") + 3;
    const std::size_t end = std::min(url_text.find_first_of("/?#", start), url_text.size());
    const std::size_t at = std::string_view(url_text).substr(0, end).rfind('@');
    if (at == std::string::npos || at < start)
        return {};
    std::string userinfo = url_text.substr(start, at - start);
    url_text.erase(start, at + 1 - start);
    return userinfo;
}

// RFC 3986 2.1; an escape that is none stays as it is.
inline std::string percent_decoded(std::string_view text)
{
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int byte = escaped_byte(text.substr(i));
        const bool is_escape = text[i] == '%' && byte >= 0;
        decoded.push_back(is_escape ? static_cast<char>(byte) : text[i]);
        i += is_escape ? 2 : 0;
    }
    return decoded;
}

// RFC 7617 2.
inline outcome<std::string> basic_credentials(std::string_view userinfo)
{
    const std::size_t colon = std::min(userinfo.find(':'), userinfo.size());
    const std::string user = percent_decoded(userinfo.substr(0, colon));
    const std::string password = percent_decoded(userinfo.substr(std::min(colon + 1, userinfo.size())));
    const std::string pair = user + ":" + password;
    // "a user-id containing a colon character is invalid"; "MUST NOT contain any control characters"
    if (user.find(':') != std::string::npos || !std::ranges::all_of(pair, [](char c) {
            return static_cast<std::uint8_t>(c) >= 0x20 && c != 0x7f;
        }))
        return failure{alos::errc::bad_configuration, "a user name with a colon in it, or a control character in that "
                                                      "or the password, which Basic cannot carry"};
    return "Basic " + std::string(as_text(encode_base64(as_bytes(pair))));
}

}

// The proxy that a request goes through.
// Note: its user and password are in no secret_text: they come from the environment, which has them in clear as long as
// the program runs, and go to the proxy in clear.
struct chosen_proxy {
    url where{};
    std::string authorization{}; // the value of Proxy-Authorization (RFC 9110 11.7.2); empty: it gets none
    std::string_view variable{}; // of the environment, that names it
};

// The proxy for `target`, or nothing when it is asked directly, as this machine itself always is. A failure: the
// setting makes no sense. What it says has no user and no password in it.
[[nodiscard]] inline outcome<std::optional<chosen_proxy>> proxy_for(const proxies& settings, const url& target)
{
    const std::string& setting = target.is_secure() ? settings.https : settings.http;
    if (setting.empty())
        return std::optional<chosen_proxy>();
    error_code ec;
    const auto parsed = boost::asio::ip::make_address(target.host, ec);
    std::optional<boost::asio::ip::address> address;
    if (!ec)
        address = parsed;
    if (target.host == "localhost" || (address && address->is_loopback()))
        return std::optional<chosen_proxy>();
    std::string_view rest = settings.except;
    while (!rest.empty()) {
        const std::size_t start = std::min(rest.find_first_not_of(", \t"), rest.size());
        rest.remove_prefix(start);
        const std::string_view entry = rest.substr(0, rest.find_first_of(", \t"));
        rest.remove_prefix(entry.size());
        if (detail::is_excepted(entry, target, address))
            return std::optional<chosen_proxy>();
    }
    chosen_proxy chosen;
    chosen.variable = target.is_secure() ? "https_proxy" : "http_proxy";
    const auto refused = [&](const std::string& why) {
        return failure{alos::errc::bad_configuration, "the proxy in " + std::string(chosen.variable) + ": " + why};
    };
    std::string text = setting.find("://") == std::string::npos ? "http://" + setting : setting;
    // Note: what is before it would be taken for the host, asked for in the DNS, and written into logs.
    if (detail::has_at_behind_authority(text))
        return refused("an '@' behind its host and port; percent-encode user and password");
    if (const std::string userinfo = detail::take_userinfo(text); !userinfo.empty()) {
        auto credentials = detail::basic_credentials(userinfo);
        if (!credentials)
            return refused(credentials.error().what);
        chosen.authorization = std::move(*credentials);
    }
    auto where = parse_url(text);
    if (!where)
        return refused(where.error().what);
    if (where->is_secure())
        return refused("it is to be asked by TLS, which is not supported; write it like http://proxy.example:3128");
    chosen.where = std::move(*where);
    return std::optional<chosen_proxy>(std::move(chosen));
}

// Why a proxy answered with 407 (RFC 9110 15.5.8), for people; `offered` is its Proxy-Authenticate field.
[[nodiscard]] inline std::string describe_407(const chosen_proxy& by, std::string_view offered)
{
    const std::string there = by.where.host_and_port();
    const std::string variable(by.variable);
    if (!by.authorization.empty())
        return "the proxy " + there + " does not take the user and password that " + variable
               + " has (status 407); correct them there";
    std::string text = "the proxy " + there + " wants to know who asks (status 407); write a user and password into "
                       + variable + ", percent-encoded, as in http://user:password@" + there;
    const std::string_view scheme = offered.substr(0, offered.find_first_of(" ,\t"));
    if (is_token(scheme) && !equal_ignoring_case(scheme, "Basic"))
        text.append("; it has to offer Basic, and names ").append(scheme).append(" first");
    return text;
}

}

#endif
