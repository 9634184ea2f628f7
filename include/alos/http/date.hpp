// Dates as HTTP writes them. RFC 9110 5.6.7.
#ifndef ALOS_HTTP_DATE_HPP
#define ALOS_HTTP_DATE_HPP

#include <alos/http/fields.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace alos::inline v0::http {

inline constexpr std::array<std::string_view, 7> day_names = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
inline constexpr std::array<std::string_view, 12> month_names = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// An IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT", without allocation.
class date_text {
public:
    explicit date_text(std::time_t when) noexcept
    {
        const std::chrono::sys_seconds time{std::chrono::seconds(when)};
        const auto days = std::chrono::floor<std::chrono::days>(time);
        const auto second = static_cast<unsigned>((time - days).count());
        const std::chrono::year_month_day day(days);
        const auto year = static_cast<unsigned>(static_cast<int>(day.year()));
        put(0, day_names[std::chrono::weekday(days).c_encoding()]);
        put(3, ", ");
        number(5, static_cast<unsigned>(day.day()));
        text_[7] = ' ';
        put(8, month_names[static_cast<unsigned>(day.month()) - 1]);
        text_[11] = ' ';
        number(12, year / 100 % 100);
        number(14, year % 100);
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
    unsigned day = 0;
    unsigned month = 0;
    int year = 0;
    unsigned time = 0;
    detail::date_reader in(comma == std::string_view::npos ? text.substr(std::min<std::size_t>(4, text.size()))
                                                           : text.substr(comma + 1));
    if (comma == std::string_view::npos) { // "Sun Nov  6 08:49:37 1994"
        month = in.month();
        in.skip(" ");
        day = in.number(2, true);
        in.skip(" ");
        time = in.time();
        in.skip(" ");
        year = static_cast<int>(in.number(4));
    } else if (comma == 3) { // "Sun, 06 Nov 1994 08:49:37 GMT"
        in.skip(" ");
        day = in.number(2);
        in.skip(" ");
        month = in.month();
        in.skip(" ");
        year = static_cast<int>(in.number(4));
        in.skip(" ");
        time = in.time();
        in.skip(" GMT");
    } else { // "Sunday, 06-Nov-94 08:49:37 GMT"
        in.skip(" ");
        day = in.number(2);
        in.skip("-");
        month = in.month();
        in.skip("-");
        const std::chrono::sys_seconds today{std::chrono::seconds(now > 0 ? now : std::time(nullptr))};
        const std::chrono::year_month_day here(std::chrono::floor<std::chrono::days>(today));
        const int this_year = static_cast<int>(here.year());
        year = this_year - this_year % 100 + static_cast<int>(in.number(2));
        if (year > this_year + 50)
            year -= 100;
        in.skip(" ");
        time = in.time();
        in.skip(" GMT");
    }
    const auto date = std::chrono::year(year) / static_cast<int>(month) / static_cast<int>(day);
    if (!in.complete() || !date.ok())
        return std::nullopt;
    return (std::chrono::sys_days(date).time_since_epoch() + std::chrono::seconds(time)).count();
}

}

#endif
