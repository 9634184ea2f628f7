// Which part of a representation a client needs: conditional and range requests. RFC 9110 13 and 14. Pure.
#ifndef ALOS_HTTP_CONDITIONAL_HPP
#define ALOS_HTTP_CONDITIONAL_HPP

#include <alos/http/date.hpp>
#include <alos/http/request.hpp>

#include <algorithm>

namespace alos::inline v0::http {

// What the server has.
struct representation {
    std::string_view etag; // with its quotes
    std::time_t modified;
    std::uint64_t size;
};

// What of it goes into the response.
struct selection {
    unsigned status = 200; // 200, 206, 304, 412 or 416
    std::uint64_t first = 0;
    std::uint64_t length = 0;
};

// RFC 9110 8.8.3.2: whether a list of entity tags has `etag`. The strong comparison takes no weak tag.
constexpr bool list_has_etag(std::string_view list, std::string_view etag, bool strong) noexcept
{
    if (trim(list) == "*")
        return true;
    while (!list.empty()) {
        const std::size_t open = list.find('"');
        const std::size_t close = open == std::string_view::npos ? open : list.find('"', open + 1);
        if (close == std::string_view::npos)
            return false;
        const bool weak = open >= 2 && list.substr(open - 2, 2) == "W/";
        if (list.substr(open, close - open + 1) == etag && !(weak && strong))
            return true;
        list.remove_prefix(close + 1);
    }
    return false;
}

// RFC 9110 14.1.2: one range of bytes. Nothing for what is no such range, or more than one: it is ignored then, which
// is always allowed. Of status 416 if nothing of the representation is in it.
inline std::optional<selection> parse_range(std::string_view value, std::uint64_t size) noexcept
{
    const std::size_t equals = value.find('=');
    if (equals == std::string_view::npos || !equal_ignoring_case(trim(value.substr(0, equals)), "bytes"))
        return std::nullopt;
    const std::string_view range = trim(value.substr(equals + 1));
    const std::size_t dash = range.find('-');
    if (dash == std::string_view::npos || range.size() == 1)
        return std::nullopt;
    const std::string_view from = range.substr(0, dash);
    const std::string_view to = range.substr(dash + 1);
    constexpr selection unsatisfiable{.status = 416};
    if (from.empty()) { // the last bytes
        const auto wanted = parse_decimal(to);
        if (!wanted)
            return std::nullopt;
        const std::uint64_t count = std::min(*wanted, size);
        return count == 0 ? unsatisfiable : selection{206, size - count, count};
    }
    const auto first = parse_decimal(from);
    const auto last = to.empty() ? std::optional(~std::uint64_t{0}) : parse_decimal(to);
    if (!first || !last || *last < *first)
        return std::nullopt;
    if (*first >= size)
        return unsatisfiable;
    return selection{206, *first, std::min(*last, size - 1) - *first + 1};
}

// RFC 9110 13.2.2, the order of precedence; for GET and HEAD.
inline selection select(const request& asked, const representation& have, std::time_t now) noexcept
{
    const auto date_of = [&](std::string_view name) -> std::optional<std::time_t> {
        const auto value = asked.header(name);
        return value ? parse_date(*value, now) : std::nullopt;
    };
    // RFC 9110 5.3: a list may come in several fields.
    const auto names_it = [&](std::string_view name, bool strong) {
        return std::ranges::any_of(asked.headers(), [&](const field& each) {
            return equal_ignoring_case(each.name, name) && list_has_etag(each.value, have.etag, strong);
        });
    };
    if (asked.header("If-Match")) {
        if (!names_it("If-Match", true))
            return {.status = 412};
    } else if (const auto date = date_of("If-Unmodified-Since"); date && have.modified > *date) {
        return {.status = 412};
    }
    if (asked.header("If-None-Match")) {
        if (names_it("If-None-Match", false))
            return {.status = 304};
    } else if (const auto date = date_of("If-Modified-Since"); date && have.modified <= *date) {
        return {.status = 304};
    }
    const selection whole{200, 0, have.size};
    const auto range = asked.header("Range");
    // RFC 9110 14.2: "A server MUST ignore a Range header field received with a request method that is unrecognized".
    if (!range || asked.method() != verb::get)
        return whole;
    // RFC 9110 13.1.5: an entity tag, compared strongly, or exactly the date.
    if (const auto condition = asked.header("If-Range")) {
        const bool is_tag = condition->find('"') != std::string_view::npos;
        const auto date = parse_date(*condition, now);
        if (is_tag ? *condition != have.etag : !date || *date != have.modified)
            return whole;
    }
    return parse_range(*range, have.size).value_or(whole);
}

}

#endif
