// Times as ACME's JSON writes them. RFC 3339 5.6.
#ifndef ALOS_ACME_RFC3339_HPP
#define ALOS_ACME_RFC3339_HPP

#include <alos/error.hpp>
#include <alos/http/date.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace alos::inline v0::acme {

using time_point = std::chrono::system_clock::time_point;

namespace detail {

// Takes "." 1*DIGIT from the front of `rest`, if it is there; nothing when the digits are missing. What is finer than
// a nanosecond is dropped.
inline std::optional<std::chrono::nanoseconds> take_fraction(std::string_view& rest) noexcept
{
    if (!rest.starts_with('.'))
        return std::chrono::nanoseconds(0);
    rest.remove_prefix(1);
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    if (digits == 0)
        return std::nullopt;
    std::int64_t value = 0;
    for (std::size_t i = 0; i < 9; ++i)
        value = value * 10 + (i < digits ? rest[i] - '0' : 0);
    rest.remove_prefix(digits);
    return std::chrono::nanoseconds(value);
}

// time-offset: "Z", or how far local time is ahead of UTC.
inline std::optional<std::chrono::seconds> parse_offset(std::string_view text) noexcept
{
    if (text == "Z" || text == "z")
        return std::chrono::seconds(0);
    if (!text.starts_with('+') && !text.starts_with('-'))
        return std::nullopt;
    http::detail::date_reader in(text.substr(1));
    const unsigned hour = in.number(2);
    in.skip(":");
    const unsigned minute = in.number(2);
    if (!in.complete() || hour > 23 || minute > 59)
        return std::nullopt;
    const std::chrono::seconds ahead(hour * 3600 + minute * 60);
    return text.front() == '-' ? -ahead : ahead;
}

}

// A date-time with any fraction and offset. A leap second is the second after it. Years before 1900 and from 2200 on
// are taken as those: system_clock counts nanoseconds, and would not hold them.
[[nodiscard]] inline result<time_point> parse_rfc3339(std::string_view text)
{
    const error_code malformed = make_error_code(boost::system::errc::bad_message);
    constexpr std::size_t date_size = 10;
    constexpr std::size_t time_size = 8;
    // RFC 3339 5.6: "T" and "Z" may be lower case, and a space may stand for "T".
    constexpr std::string_view separators = "Tt ";
    if (text.size() <= date_size || separators.find(text[date_size]) == std::string_view::npos)
        return malformed;

    http::detail::date_reader date(text.substr(0, date_size));
    const unsigned year = date.number(4);
    date.skip("-");
    const unsigned month = date.number(2);
    date.skip("-");
    const unsigned day = date.number(2);
    const auto calendar = std::chrono::year(static_cast<int>(year)) / static_cast<int>(month) / static_cast<int>(day);
    std::string_view rest = text.substr(date_size + 1);
    http::detail::date_reader clock(rest.substr(0, time_size));
    const unsigned second = clock.time();
    if (!date.complete() || !calendar.ok() || !clock.complete())
        return malformed;

    rest.remove_prefix(time_size);
    const auto fraction = detail::take_fraction(rest);
    const auto offset = detail::parse_offset(rest);
    if (!fraction || !offset)
        return malformed;
    constexpr std::chrono::sys_seconds first = std::chrono::sys_days(std::chrono::year(1900) / 1 / 1);
    constexpr std::chrono::sys_seconds last = std::chrono::sys_days(std::chrono::year(2200) / 1 / 1);
    const std::chrono::sys_seconds whole = std::chrono::sys_days(calendar) + std::chrono::seconds(second) - *offset;
    return std::clamp(whole, first, last) + std::chrono::duration_cast<time_point::duration>(*fraction);
}

// In UTC, to the second: "2026-11-22T23:55:32Z".
[[nodiscard]] inline std::string format_rfc3339(time_point when)
{
    const auto second = std::chrono::floor<std::chrono::seconds>(when);
    const auto midnight = std::chrono::floor<std::chrono::days>(second);
    const std::chrono::year_month_day date(midnight);
    const std::chrono::hh_mm_ss time(second - midnight);
    std::string text = "0000-00-00T00:00:00Z";
    const auto put = [&](std::size_t end, auto number) {
        for (; number > 0; number /= 10)
            text[--end] = static_cast<char>('0' + number % 10);
    };
    put(4, static_cast<int>(date.year()));
    put(7, static_cast<unsigned>(date.month()));
    put(10, static_cast<unsigned>(date.day()));
    put(13, time.hours().count());
    put(16, time.minutes().count());
    put(19, time.seconds().count());
    return text;
}

}

#endif
