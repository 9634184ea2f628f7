// Cookies, in and out. RFC 6265, and SameSite from its successor.
#ifndef ALOS_HTTP_COOKIE_HPP
#define ALOS_HTTP_COOKIE_HPP

#include <alos/http/date.hpp>
#include <alos/http/fields.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>

namespace alos::inline v0 {

enum class same_site { unset, lax, strict, none };

// A cookie to set. What is not said is left to the browser; `secure` and `http_only` are on unless switched off.
struct cookie {
    std::string name;
    std::string value;
    std::string path = "/";
    std::string domain = {};
    std::optional<std::chrono::seconds> max_age = {};
    std::optional<std::chrono::system_clock::time_point> expires = {};
    bool secure = true;
    bool http_only = true;
    same_site site = same_site::lax;
};

namespace http {

// RFC 6265 4.1.1: cookie-octet, besides the quotes that may stand around them all.
constexpr bool is_cookie_octet(char c) noexcept
{
    const auto byte = static_cast<std::uint8_t>(c);
    return byte > 0x20 && byte < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\';
}

// RFC 6265 4.2.1: the value of the cookie `name` in the value of a Cookie field, without quotes around it.
constexpr std::optional<std::string_view> find_cookie(std::string_view field, std::string_view name) noexcept
{
    while (!field.empty()) {
        const std::string_view pair = next_part(field, ';');
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos || trim(pair.substr(0, equals)) != name)
            continue;
        std::string_view value = trim(pair.substr(equals + 1));
        if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
            value = value.substr(1, value.size() - 2);
        return value;
    }
    return std::nullopt;
}

// RFC 6265 4.1: the value of a Set-Cookie field. Throws std::invalid_argument for what no cookie may hold.
inline std::string set_cookie_value(const cookie& each)
{
    const auto is_attribute = [](char c) { return is_field_char(c) && c != ';' && c != '\t'; };
    if (!is_token(each.name) || !std::ranges::all_of(each.value, is_cookie_octet) ||
        !std::ranges::all_of(each.path, is_attribute) || !std::ranges::all_of(each.domain, is_attribute))
        throw std::invalid_argument("alos: character that a cookie may not hold");
    std::string text = each.name + "=" + each.value;
    if (!each.path.empty())
        text.append("; Path=").append(each.path);
    if (!each.domain.empty())
        text.append("; Domain=").append(each.domain);
    if (each.max_age)
        text.append("; Max-Age=").append(std::to_string(each.max_age->count()));
    if (each.expires)
        text.append("; Expires=").append(format_date(std::chrono::system_clock::to_time_t(*each.expires)));
    if (each.secure)
        text.append("; Secure");
    if (each.http_only)
        text.append("; HttpOnly");
    switch (each.site) {
    case same_site::unset: break;
    case same_site::lax: text.append("; SameSite=Lax"); break;
    case same_site::strict: text.append("; SameSite=Strict"); break;
    case same_site::none: text.append("; SameSite=None"); break;
    }
    return text;
}

}
}

#endif
