// URLs of http and https as a client uses them (RFC 3986, RFC 9110 4.2), and references that are resolved against one
// (RFC 3986 5.2), as they stand in Location and Link. Pure.
#ifndef ALOS_HTTP_URL_HPP
#define ALOS_HTTP_URL_HPP

#include <alos/cert/names.hpp>
#include <alos/error.hpp>
#include <alos/http/uri.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace alos::inline v0::http {

inline constexpr std::size_t max_url_size = 8192;

struct url {
    std::string scheme{};       // "http" or "https"
    std::string host{};         // in lower case, without a final dot; an IPv6 address without brackets
    std::uint16_t port = 0;
    std::string target = "/";   // path and query as they are sent; no fragment

    [[nodiscard]] bool is_secure() const noexcept { return scheme == "https"; }
    [[nodiscard]] std::uint16_t default_port() const noexcept { return is_secure() ? 443 : 80; }

    // What Host carries (RFC 9110 7.2): the port only if it is not the scheme's own.
    [[nodiscard]] std::string authority() const
    {
        return port == default_port() ? bracketed_host() : host_and_port();
    }

    // What CONNECT asks for (RFC 9112 3.2.3).
    [[nodiscard]] std::string host_and_port() const { return bracketed_host() + ":" + std::to_string(port); }

    // Without the target, in which there may be secrets.
    [[nodiscard]] std::string origin() const { return scheme + "://" + authority(); }

    [[nodiscard]] std::string text() const { return origin() + target; }

    friend bool operator==(const url&, const url&) = default;

private:
    [[nodiscard]] std::string bracketed_host() const
    {
        return host.find(':') == std::string::npos ? host : "[" + host + "]";
    }
};

namespace detail {

inline failure bad_url(std::string what)
{
    return {make_error_code(boost::system::errc::invalid_argument), std::move(what)};
}

// The scheme in lower case (RFC 3986 3.1); empty if there is none.
inline std::string scheme_of(std::string_view text)
{
    const std::size_t end = text.find_first_of(":/?#");
    if (end == std::string_view::npos || end == 0 || text[end] != ':')
        return {};
    std::string scheme;
    for (const char c : text.substr(0, end)) {
        const char lower = to_lower(c);
        const bool letter = lower >= 'a' && lower <= 'z';
        if (!letter && (scheme.empty() || (!is_digit(c) && c != '+' && c != '-' && c != '.')))
            return {};
        scheme.push_back(lower);
    }
    return scheme;
}

// RFC 3986 3.2: host and port into `into`, whose scheme is set. Names with percent-escapes or other alphabets are
// refused: no two parts of a program shall disagree about whom they mean.
inline outcome<> read_authority(std::string_view text, url& into)
{
    if (text.find('@') != std::string_view::npos)
        return bad_url("a URL with a user name or password in it; leave them out");
    into.port = into.default_port();
    std::string_view host = text;
    const std::size_t colon = text.find(':', text.starts_with('[') ? text.find(']') : 0);
    if (colon != std::string_view::npos) {
        const std::string_view digits = text.substr(colon + 1);
        host = text.substr(0, colon);
        if (!digits.empty()) { // RFC 3986 3.2.3
            const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), into.port);
            if (error != std::errc{} || end != digits.data() + digits.size() || into.port == 0)
                return bad_url("a URL's port is a number from 1 to 65535");
        }
    }
    const bool brackets = host.starts_with('[') && host.ends_with(']');
    if (brackets)
        host = host.substr(1, host.size() - 2);
    const cert::ip_address address(host);
    if (brackets != (host.find(':') != std::string_view::npos))
        return bad_url("a URL has an IPv6 address, and nothing else, in brackets");
    if (!address.empty()) {
        into.host = address.text();
        return {};
    }
    const cert::host_name name(host);
    if (name.empty())
        return bad_url("a URL's host is a name or an IP address; write other alphabets as xn-- labels");
    into.host = name.text();
    return {};
}

// RFC 3986 5.2.3 and 5.2.4: the path of a relative reference, with the query behind it.
inline std::string target_of(std::string_view path, std::string_view query)
{
    std::string target(path);
    remove_dot_segments(target);
    if (target.empty())
        target = "/";
    return target.append(query);
}

}

// An absolute URL. A fragment is left out.
[[nodiscard]] inline outcome<url> parse_url(std::string_view text)
{
    if (text.size() > max_url_size)
        return detail::bad_url("a URL of more than 8192 bytes");
    text = text.substr(0, text.find('#'));
    const auto is_allowed = [](char c) { return is_target_char(c) && static_cast<std::uint8_t>(c) < 0x7f; };
    if (!std::ranges::all_of(text, is_allowed))
        return detail::bad_url("a URL with a blank, a control character or another alphabet in it; percent-encode it");
    url found;
    found.scheme = detail::scheme_of(text);
    if (found.scheme != "http" && found.scheme != "https")
        return detail::bad_url("a URL that does not start with http:// or https://");
    text.remove_prefix(found.scheme.size() + 1);
    if (!text.starts_with("//"))
        return detail::bad_url("a URL that does not start with http:// or https://");
    text.remove_prefix(2);
    const std::size_t end = std::min(text.find_first_of("/?"), text.size());
    if (const auto read = detail::read_authority(text.substr(0, end), found); !read)
        return read.error();
    const std::size_t mark = std::min(text.find('?'), text.size());
    found.target = detail::target_of(text.substr(end, mark - end), text.substr(mark));
    return found;
}

// RFC 3986 5.2.2: what `reference`, absolute or relative, means in a document that came from `base`.
[[nodiscard]] inline outcome<url> resolve_reference(const url& base, std::string_view reference)
{
    reference = reference.substr(0, reference.find('#'));
    if (!detail::scheme_of(reference).empty())
        return parse_url(reference);
    if (reference.starts_with("//"))
        return parse_url(base.scheme + ":" + std::string(reference));
    const std::string_view old_path = std::string_view(base.target).substr(0, base.target.find('?'));
    const std::size_t mark = std::min(reference.find('?'), reference.size());
    const std::string_view path = reference.substr(0, mark);
    if (reference.empty())
        return base;
    std::string merged;
    if (path.empty())
        merged = old_path;
    else if (path.front() == '/')
        merged = path;
    else
        merged = std::string(old_path.substr(0, old_path.rfind('/') + 1)).append(path);
    merged.append(reference.substr(mark));
    return parse_url(base.origin() + merged);
}

}

#endif
