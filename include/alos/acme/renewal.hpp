// When to renew, when to ask the CA about it (RFC 9773), and when to try again after a failure. Pure: the time and
// random numbers, from [0, 1), are arguments. Everything is in proportion to a certificate's life, so that it holds
// for ten minutes as for a year.
#ifndef ALOS_ACME_RENEWAL_HPP
#define ALOS_ACME_RENEWAL_HPP

#include <alos/acme/problem.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace alos::inline v0::acme {

// Both times are within it (RFC 5280 4.1.2.5).
struct validity {
    time_point not_before;
    time_point not_after;
};

// RFC 9773 4.2.
struct renewal_window {
    time_point start;
    time_point end;
};

// A window that the CA gave, and the time that was drawn from it. Kept, across restarts too, until the window changes.
struct suggestion {
    renewal_window window;
    time_point chosen;
};

// What came of asking for a window.
enum class window_answer : std::uint8_t {
    received,
    temporary_error, // no connection, a timeout, 5xx
    long_term_error, // 4xx, or an answer that cannot be used
};

namespace detail {

// In milliseconds no difference overflows, whatever a certificate says.
inline std::chrono::milliseconds between(time_point from, time_point to) noexcept
{
    using std::chrono::milliseconds;
    return std::chrono::floor<milliseconds>(to) - std::chrono::floor<milliseconds>(from);
}

inline std::chrono::milliseconds scaled(std::chrono::milliseconds all, double factor) noexcept
{
    return std::chrono::milliseconds(static_cast<std::int64_t>(static_cast<double>(all.count()) * factor));
}

// From 1 - part to 1 + part.
inline double around_one(double part, double random) noexcept { return 1 + part * (2 * random - 1); }

}

// How long a certificate lives, its last second included; at least a second.
[[nodiscard]] inline std::chrono::milliseconds lifetime(const validity& of) noexcept
{
    return std::max<std::chrono::milliseconds>(std::chrono::seconds(1),
                                          detail::between(of.not_before, of.not_after) + std::chrono::seconds(1));
}

// After this, a twentieth of life is left, and nothing is worth waiting for.
[[nodiscard]] inline time_point latest_renewal(const validity& of) noexcept { return of.not_after - lifetime(of) / 20; }

// When to renew without advice: with a third of life left, with half of it below ten days. `random` spreads it by 1 %
// of life to either side; 0.5 is the middle.
[[nodiscard]] inline time_point ordinary_renewal(const validity& of, double random = 0.5) noexcept
{
    const std::chrono::milliseconds life = lifetime(of);
    const std::chrono::milliseconds left = life / (life >= std::chrono::days(10) ? 3 : 2);
    return std::min<time_point>(of.not_after - left + detail::scaled(life, 0.01 * (2 * random - 1)),
                                latest_renewal(of));
}

// RFC 9773 4.2: another is as no answer.
[[nodiscard]] inline bool is_answer(const renewal_window& window) noexcept { return window.end > window.start; }

// RFC 9773 4.2: a random time within the window. None is later than a twentieth of life before the end: a window
// behind that is the CA's mistake.
[[nodiscard]] inline time_point choose_time(const renewal_window& window, const validity& of, double random) noexcept
{
    const std::chrono::milliseconds width = detail::between(window.start, window.end);
    return std::min<time_point>(window.start + detail::scaled(width, random), latest_renewal(of));
}

// What to go by after `answer`: the suggestion that there was, while the window is the same to the second; else a new
// one. An answer that is none leaves what there was.
[[nodiscard]] inline std::optional<suggestion> suggest(const std::optional<suggestion>& before,
                                                       const renewal_window& answer, const validity& of,
                                                       double random) noexcept
{
    const auto same = [](time_point a, time_point b) {
        return std::chrono::floor<std::chrono::seconds>(a) == std::chrono::floor<std::chrono::seconds>(b);
    };
    if (!is_answer(answer))
        return before;
    if (before && same(before->window.start, answer.start) && same(before->window.end, answer.end))
        return before;
    return suggestion{answer, choose_time(answer, of, random)};
}

// When to renew: at the time that was chosen, else at the ordinary one, but not before `now`. `random` is drawn once
// for each certificate.
[[nodiscard]] inline time_point next_renewal(const validity& of, const std::optional<suggestion>& advice,
                                             time_point now, double random) noexcept
{
    const time_point planned = advice ? std::min(advice->chosen, latest_renewal(of)) : ordinary_renewal(of, random);
    return std::max(planned, now);
}

// Whether a window says that the certificate is revoked, or will be: it passed before anybody would have renewed.
[[nodiscard]] inline bool is_revocation(const renewal_window& window, const validity& of, time_point now) noexcept
{
    return is_answer(window) && window.end < now && now < ordinary_renewal(of);
}

// RFC 9773 4.3: when to ask for the window again; at its end nobody asks any more. `failures` in a row count for
// temporary errors only.
[[nodiscard]] inline time_point next_check(window_answer last, unsigned failures, time_point now,
                                                          const validity& of,
                                                          std::optional<std::chrono::seconds> retry_after,
                                                          double random) noexcept
{
    using std::chrono::days, std::chrono::hours, std::chrono::milliseconds, std::chrono::minutes, std::chrono::seconds;
    constexpr milliseconds shortest = minutes(1);
    constexpr milliseconds usual = hours(6);
    milliseconds wait = usual;
    if (last == window_answer::temporary_error) {
        const unsigned doublings = std::min(std::max(failures, 1u) - 1, 9u);
        wait = detail::scaled(std::min<milliseconds>(shortest * (1u << doublings), usual),
                              detail::around_one(0.2, random));
    }
    if (retry_after)
        wait = std::clamp<seconds>(*retry_after, minutes(1), days(1));
    // Note: a day is a long time for a certificate of an hour; ten questions in a life are few.
    wait = std::min(wait, std::max<milliseconds>(lifetime(of) / 10, seconds(10)));
    return std::min(now + wait, of.not_after);
}

// When to try again after `failures` in a row, the last of which is of class `last`; without `of` there is no
// certificate yet. Our own waits are at most a tenth of the life that is left, and when none is, of the whole life, or
// an hour; a CA's Retry-After is never cut short. It never gives up.
[[nodiscard]] inline time_point next_attempt(failure_class last, unsigned failures, time_point now,
                                             const std::optional<validity>& of,
                                             std::optional<std::chrono::seconds> retry_after, double random) noexcept
{
    using std::chrono::days, std::chrono::hours, std::chrono::milliseconds, std::chrono::minutes, std::chrono::seconds;
    constexpr std::array<milliseconds, 4> steps = {minutes(1), minutes(10), minutes(100), hours(24)};
    constexpr milliseconds least = seconds(10);
    const std::size_t first = last == failure_class::permanent ? 3 : last == failure_class::throttled ? 1 : 0;
    const std::size_t retries = std::max(failures, 1u) - 1;
    milliseconds own = steps[std::min(first + retries, steps.size() - 1)];
    if (retries > 0)
        own = detail::scaled(own, detail::around_one(0.2, random));
    if (of) {
        const milliseconds left = detail::between(now, of->not_after);
        const milliseconds ended = std::min<milliseconds>(lifetime(*of) / 10, hours(1));
        own = std::min(own, std::max(left > left.zero() ? left / 10 : ended, least));
        // Where the emergency begins, there is an attempt, whatever was planned.
        const milliseconds until_emergency = detail::between(now, latest_renewal(*of));
        if (until_emergency > until_emergency.zero())
            own = std::min(own, std::max(until_emergency, least));
    }
    if (!retry_after)
        return now + own;
    const milliseconds asked = std::clamp<seconds>(*retry_after, seconds(0), days(366));
    // Note: a CA that says "now" each time is not asked without a pause.
    const milliseconds pause = last == failure_class::throttled ? std::min<milliseconds>(own, minutes(1)) : own;
    return now + std::max(asked, pause);
}

// When the same names may be ordered again after a success, so that no wrong window makes a hot loop.
[[nodiscard]] inline time_point cool_down_end(time_point obtained, const validity& of) noexcept
{
    return obtained + lifetime(of) / 10;
}

// Which of `count` CAs to ask next, where `current` was asked last: another after a refusal that stays, and after any
// failure once a sixth of life is left or the third one in a row while there is no certificate; the first when there
// was no failure, so at the next renewal.
[[nodiscard]] inline std::size_t next_ca(std::size_t current, std::size_t count, failure_class last, unsigned failures,
                                         const std::optional<validity>& of, time_point now) noexcept
{
    if (failures == 0 || count == 0)
        return 0;
    const bool late = of ? detail::between(now, of->not_after) <= lifetime(*of) / 6 : failures >= 3;
    const bool move_on = last == failure_class::permanent || late;
    return (current % count + (move_on ? 1 : 0)) % count;
}

// An attempt that failed.
struct failed_attempt {
    failure_class kind = failure_class::transient;
    unsigned failures = 1; // in a row, this one included
    bool is_ours = false;  // the trouble is here: it costs no CA anything, and people mend it
    std::optional<std::chrono::seconds> retry_after{};
    std::size_t asked = 0; // which of the CAs
    bool is_under_way = false; // nothing failed: it is still at work on the order
};

// Whom of the CAs to ask next, and when.
struct next_try {
    std::size_t ca = 0;
    time_point when;
};

// What follows a failure. `open_at` has for each CA until when it wants not to be asked, as far as it said so. What one
// of them said about waiting is not for another, which is asked with a sixth of life left whatever the first one
// wanted.
[[nodiscard]] inline next_try plan_next_try(const failed_attempt& last, std::span<const time_point> open_at,
                                            const std::optional<validity>& of, time_point now, double random) noexcept
{
    using std::chrono::milliseconds, std::chrono::minutes, std::chrono::seconds;
    const std::size_t count = open_at.size();
    const unsigned counted = last.is_ours || last.is_under_way ? std::min(last.failures, 2u) : last.failures;
    next_try planned{last.asked, next_attempt(last.kind, counted, now, of, last.retry_after, random)};
    const milliseconds left = of ? detail::between(now, of->not_after) : milliseconds(0);
    if (last.is_ours && left > left.zero())
        planned.when = std::min<time_point>(planned.when, now + std::max<milliseconds>(left / 10, seconds(10)));
    else if (last.is_ours && of && !last.retry_after)
        planned.when = std::min<time_point>(planned.when, now + minutes(1));
    const std::size_t next = next_ca(last.asked, count, last.kind, last.failures, of, now);
    if (next != last.asked) {
        // One that has not said no yet.
        const bool is_fresh = last.failures < count;
        time_point own = next_attempt(is_fresh ? failure_class::transient : last.kind, is_fresh ? 1 : counted, now, of,
                                      std::nullopt, random);
        if (is_fresh && last.kind == failure_class::permanent)
            own = now + seconds(1);
        const time_point asked_again = planned.when;
        planned = {next, std::max(own, open_at[next])};
        for (std::size_t i = 1; i < count; ++i) {
            const std::size_t other = (next + i) % count;
            const time_point when = other == last.asked ? asked_again : std::max(own, open_at[other]);
            if (when < planned.when)
                planned = {other, when};
        }
        return planned;
    }
    if (!of)
        return planned;
    const time_point late = of->not_after - lifetime(*of) / 6;
    const std::size_t other = (last.asked + 1) % std::max<std::size_t>(count, 1);
    if (count > 1 && late > now && std::max(late, open_at[other]) < planned.when)
        planned = {other, std::max(late, open_at[other])};
    return planned;
}

}

#endif
