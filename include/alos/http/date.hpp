// Dates as HTTP writes them. RFC 9110 5.6.7.
#ifndef ALOS_HTTP_DATE_HPP
#define ALOS_HTTP_DATE_HPP

#include <alos/http/fields.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace alos::inline v0::http {

inline constexpr std::array<std::string_view, 7> day_names = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
inline constexpr std::array<std::string_view, 12> month_names = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// Days from 1970-01-01 to a day of the Gregorian calendar, and back.
struct civil_day {
    int year;
    unsigned month; // 1 to 12
    unsigned day;   // 1 to 31
};

constexpr std::int64_t days_from_civil(civil_day d) noexcept
{
    const std::int64_t year = d.year - (d.month <= 2 ? 1 : 0); // the year begins in March: the leap day comes last
    const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
    const std::int64_t year_of_era = year - era * 400;
    const std::int64_t day_of_year = (153 * ((d.month + 9) % 12) + 2) / 5 + d.day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

constexpr civil_day civil_from_days(std::int64_t days) noexcept
{
    days += 719468;
    const std::int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    const std::int64_t day_of_era = days - era * 146097;
    const std::int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const std::int64_t month = (5 * day_of_year + 2) / 153;
    return {static_cast<int>(year_of_era + era * 400 + (month >= 10 ? 1 : 0)),
            static_cast<unsigned>(month < 10 ? month + 3 : month - 9),
            static_cast<unsigned>(day_of_year - (153 * month + 2) / 5 + 1)};
}

// An IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT", without allocation.
class date_text {
public:
    explicit date_text(std::time_t when) noexcept
    {
        const std::int64_t days = when >= 0 ? when / 86400 : (when - 86399) / 86400;
        const auto second = static_cast<unsigned>(when - days * 86400);
        const civil_day day = civil_from_days(days);
        put(0, day_names[static_cast<std::size_t>(((days % 7) + 11) % 7)]);
        put(3, ", ");
        number(5, day.day);
        text_[7] = ' ';
        put(8, month_names[day.month - 1]);
        text_[11] = ' ';
        number(12, static_cast<unsigned>(day.year / 100) % 100);
        number(14, static_cast<unsigned>(day.year % 100));
        text_[16] = ' ';
        number(17, second / 3600);
        text_[19] = ':';
        number(20, second / 60 % 60);
        text_[22] = ':';
        number(23, second % 60);
        put(25, " GMT");
    }

    [[nodiscard]] std::string_view view() const noexcept { return {text_.data(), text_.size()}; }

private:
    void put(std::size_t at, std::string_view text) noexcept { text.copy(text_.data() + at, text.size()); }

    void number(std::size_t at, unsigned two_digits) noexcept
    {
        text_[at] = static_cast<char>('0' + two_digits / 10);
        text_[at + 1] = static_cast<char>('0' + two_digits % 10);
    }

    std::array<char, 29> text_{};
};

inline std::string format_date(std::time_t when) { return std::string(date_text(when).view()); }

// The text of the Date field, composed once a second.
class date_cache {
public:
    [[nodiscard]] std::string_view at(std::time_t now) noexcept
    {
        if (now != second_) {
            text_ = date_text(now);
            second_ = now;
        }
        return text_.view();
    }

private:
    std::time_t second_ = 0;
    date_text text_{0};
};

namespace detail {

// Takes fixed pieces from the front of a date; failure is sticky.
class date_reader {
public:
    explicit constexpr date_reader(std::string_view text) noexcept : rest_(text) {}

    constexpr void skip(std::string_view expected) noexcept
    {
        ok_ = ok_ && rest_.starts_with(expected);
        rest_.remove_prefix(ok_ ? expected.size() : 0);
    }

    // `digits` decimal digits; the first may be a space if `padded` (asctime's day).
    constexpr unsigned number(std::size_t digits, bool padded = false) noexcept
    {
        unsigned value = 0;
        for (std::size_t i = 0; i < digits; ++i) {
            const char c = i < rest_.size() ? rest_[i] : '?';
            const bool space = padded && i == 0 && c == ' ';
            ok_ = ok_ && (space || is_digit(c));
            value = value * 10 + (space ? 0 : static_cast<unsigned>(c - '0'));
        }
        rest_.remove_prefix(ok_ ? digits : 0);
        return ok_ ? value : 0;
    }

    constexpr unsigned month() noexcept
    {
        for (unsigned i = 0; i < month_names.size(); ++i) {
            if (rest_.starts_with(month_names[i])) {
                rest_.remove_prefix(3);
                return i + 1;
            }
        }
        ok_ = false;
        return 1;
    }

    // hour ":" minute ":" second, in seconds.
    constexpr unsigned time() noexcept
    {
        const unsigned hour = number(2);
        skip(":");
        const unsigned minute = number(2);
        skip(":");
        const unsigned second = number(2);
        ok_ = ok_ && hour < 24 && minute < 60 && second <= 60;
        return (hour * 60 + minute) * 60 + second;
    }

    [[nodiscard]] constexpr bool complete() const noexcept { return ok_ && rest_.empty(); }

private:
    std::string_view rest_;
    bool ok_ = true;
};

}

// RFC 9110 5.6.7: a recipient MUST accept all three formats: IMF-fixdate, RFC 850's and asctime's. A two-digit year
// that appears to be more than 50 years after `now` is of the past century.
[[nodiscard]] inline std::optional<std::time_t> parse_date(std::string_view text, std::time_t now = 0) noexcept
{
    const std::size_t comma = text.find(',');
    civil_day day{};
    unsigned time = 0;
    detail::date_reader in(comma == std::string_view::npos ? text.substr(std::min<std::size_t>(4, text.size()))
                                                           : text.substr(comma + 1));
    if (comma == std::string_view::npos) { // "Sun Nov  6 08:49:37 1994"
        day.month = in.month();
        in.skip(" ");
        day.day = in.number(2, true);
        in.skip(" ");
        time = in.time();
        in.skip(" ");
        day.year = static_cast<int>(in.number(4));
    } else if (comma == 3) { // "Sun, 06 Nov 1994 08:49:37 GMT"
        in.skip(" ");
        day.day = in.number(2);
        in.skip(" ");
        day.month = in.month();
        in.skip(" ");
        day.year = static_cast<int>(in.number(4));
        in.skip(" ");
        time = in.time();
        in.skip(" GMT");
    } else { // "Sunday, 06-Nov-94 08:49:37 GMT"
        in.skip(" ");
        day.day = in.number(2);
        in.skip("-");
        day.month = in.month();
        in.skip("-");
        const int year = static_cast<int>(in.number(2));
        const int this_year = civil_from_days((now > 0 ? now : std::time(nullptr)) / 86400).year;
        day.year = this_year - this_year % 100 + year;
        if (day.year > this_year + 50)
            day.year -= 100;
        in.skip(" ");
        time = in.time();
        in.skip(" GMT");
    }
    if (!in.complete() || day.day < 1 || day.day > 31)
        return std::nullopt;
    return static_cast<std::time_t>(days_from_civil(day) * 86400 + time);
}

}

#endif
