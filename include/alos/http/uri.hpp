// Request targets: their four forms, percent-decoding, dot segments and query parameters. RFC 3986, RFC 9112 3.2.
#ifndef ALOS_HTTP_URI_HPP
#define ALOS_HTTP_URI_HPP

#include <alos/http/fields.hpp>

#include <algorithm>
#include <string>

namespace alos::inline v0::http {

// The value of a hexadecimal digit, or -1.
constexpr int hex_digit(char c) noexcept
{
    if (is_digit(c))
        return c - '0';
    const char lower = to_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// The byte that `text`, which starts with '%', stands for; -1 if it is not an escape. RFC 3986 2.1.
constexpr int escaped_byte(std::string_view text) noexcept
{
    if (text.size() < 3)
        return -1;
    const int high = hex_digit(text[1]);
    const int low = hex_digit(text[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// What a request target may be made of. RFC 3986 allows less; bytes from 0x80 are common (UTF-8 typed by hand) and
// harmless, white space and control characters are not, and a fragment never travels.
constexpr bool is_target_char(char c) noexcept
{
    const auto byte = static_cast<std::uint8_t>(c);
    return byte > 0x20 && byte != 0x7f && byte != '#';
}

// RFC 3986 3.2.2, 3.2.3: host [":" port] without userinfo. A check of form, good enough to build a link from.
constexpr bool is_host_and_port(std::string_view text) noexcept
{
    const std::size_t bracket = text.starts_with('[') ? text.find(']') : 0;
    if (bracket == std::string_view::npos)
        return false;
    const std::size_t colon = std::min(text.find(':', bracket), text.size());
    const std::string_view host = text.substr(0, colon);
    const std::string_view port = text.substr(std::min(colon + 1, text.size()));
    if (!std::ranges::all_of(port, is_digit) || port.size() > 5)
        return false;
    if (bracket > 0) {
        return host.size() == bracket + 1 && host.size() > 3 &&
               std::ranges::all_of(host.substr(1, bracket - 1),
                                   [](char c) { return hex_digit(c) >= 0 || c == ':' || c == '.'; });
    }
    // reg-name = *( unreserved / pct-encoded / sub-delims ); a comma would be a list of hosts.
    return std::ranges::all_of(host, [](char c) {
        const char lower = to_lower(c);
        return is_digit(c) || (lower >= 'a' && lower <= 'z') ||
               std::string_view("-._~%!$&'()*+;=").find(c) != std::string_view::npos;
    });
}

// The parts of a request target (RFC 9112 3.2); views into it, but for `path` when it had to be rewritten.
struct target_parts {
    std::string_view authority; // absolute-form and authority-form only
    std::string_view path;      // decoded, without dot segments; "*" in asterisk-form, empty in authority-form
    std::string_view query;     // as received, without the '?'
};

// RFC 3986 5.2.4, in place, on a path that begins with '/' and is decoded already: what is decoded can no longer
// hide a "..".
inline void remove_dot_segments(std::string& path)
{
    std::size_t out = 0;
    std::size_t in = 0;
    while (in < path.size()) {
        const std::size_t end = std::min(path.find('/', in + 1), path.size());
        const std::string_view segment = std::string_view(path).substr(in + 1, end - in - 1);
        const bool last = end == path.size();
        if (segment == "." || segment == "..") {
            if (segment == ".." && out > 0)
                out = path.rfind('/', out - 1);
            if (last)
                path[out++] = '/';
        } else {
            std::char_traits<char>::move(path.data() + out, path.data() + in, end - in);
            out += end - in;
        }
        in = end;
    }
    path.resize(out);
}

// Decodes and normalises the absolute path `raw`. An encoded slash or NUL is refused: no two parts of a program
// shall disagree about where a segment ends. `storage` holds the result if it differs from `raw`.
[[nodiscard]] inline std::optional<std::string_view> normalise_path(std::string_view raw, std::string& storage)
{
    if (raw.find('%') == std::string_view::npos && raw.find("/.") == std::string_view::npos)
        return raw;
    storage.clear();
    storage.reserve(raw.size());
    for (std::size_t i = 0; i < raw.size(); ++i) {
        if (raw[i] != '%') {
            storage.push_back(raw[i]);
            continue;
        }
        const int byte = escaped_byte(raw.substr(i));
        if (byte <= 0 || byte == '/')
            return std::nullopt;
        storage.push_back(static_cast<char>(byte));
        i += 2;
    }
    remove_dot_segments(storage);
    return storage;
}

// Takes a request target apart. `connect` and `options` say that the method is the one that may have a form of its own.
[[nodiscard]] inline std::optional<target_parts> split_target(std::string_view target, bool connect, bool options,
                                                              std::string& storage)
{
    if (target.empty() || !std::ranges::all_of(target, is_target_char))
        return std::nullopt;
    target_parts parts;
    // RFC 9112 3.2.3: authority-form, for CONNECT and nothing else.
    if (connect) {
        parts.authority = target;
        return is_host_and_port(target) && target.find(':') != std::string_view::npos ? std::optional(parts)
                                                                                      : std::nullopt;
    }
    // RFC 9112 3.2.4: asterisk-form, for OPTIONS.
    if (target == "*") {
        parts.path = target;
        return options ? std::optional(parts) : std::nullopt;
    }
    // RFC 9112 3.2.2: absolute-form; a server MUST accept it.
    if (target.front() != '/') {
        const std::size_t colon = target.find("://");
        if (colon == std::string_view::npos || !(equal_ignoring_case(target.substr(0, colon), "http") ||
                                                 equal_ignoring_case(target.substr(0, colon), "https")))
            return std::nullopt;
        const std::string_view rest = target.substr(colon + 3);
        const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
        parts.authority = rest.substr(0, end);
        if (parts.authority.empty() || !is_host_and_port(parts.authority))
            return std::nullopt;
        target = rest.substr(end);
    }
    const std::size_t mark = std::min(target.find('?'), target.size());
    parts.query = target.substr(std::min(mark + 1, target.size()));
    const std::string_view raw = target.substr(0, mark);
    const auto path = raw.empty() ? std::string_view("/") : normalise_path(raw, storage);
    if (!path)
        return std::nullopt;
    parts.path = *path;
    return parts;
}

// A name and its value, decoded: from the query or from the router.
struct parameter {
    std::string_view name;
    std::string_view value;
};

// Appends `text` with everything escaped but letters, digits and what is `harmless`. RFC 3986 2.1.
inline void append_encoded(std::string& out, std::string_view text, std::string_view harmless)
{
    constexpr std::string_view digits = "0123456789ABCDEF";
    for (const char c : text) {
        const char lower = to_lower(c);
        if (is_digit(c) || (lower >= 'a' && lower <= 'z') || harmless.find(c) != std::string_view::npos) {
            out.push_back(c);
            continue;
        }
        out.push_back('%');
        out.push_back(digits[static_cast<std::uint8_t>(c) >> 4]);
        out.push_back(digits[static_cast<std::uint8_t>(c) & 15]);
    }
}

// Appends `path`, which is decoded, with everything escaped that is not plainly harmless in a URI. RFC 3986 3.3.
inline void append_encoded_path(std::string& out, std::string_view path)
{
    append_encoded(out, path, "/-._~!$&'()*+,;=:@");
}

// Appends `text`, decoded as application/x-www-form-urlencoded is; an escape that is none stays as it is.
inline void append_form_decoded(std::string& out, std::string_view text)
{
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int byte = text[i] == '%' ? escaped_byte(text.substr(i)) : -1;
        if (byte >= 0) {
            out.push_back(static_cast<char>(byte));
            i += 2;
        } else {
            out.push_back(text[i] == '+' ? ' ' : text[i]);
        }
    }
}

// The parameters of a query or of an urlencoded body; `storage` holds their text.
inline void parse_form(std::string_view text, std::vector<parameter>& parameters, std::string& storage)
{
    storage.clear();
    storage.reserve(text.size()); // decoding never lengthens: the views below stay
    const auto decoded = [&storage](std::string_view part) {
        const std::size_t start = storage.size();
        append_form_decoded(storage, part);
        return std::string_view(storage).substr(start);
    };
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('&'), text.size());
        const std::string_view pair = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (pair.empty())
            continue;
        const std::size_t equals = std::min(pair.find('='), pair.size());
        const std::string_view name = decoded(pair.substr(0, equals));
        const std::string_view value = decoded(pair.substr(std::min(equals + 1, pair.size())));
        parameters.push_back({name, value});
    }
}

}

#endif
