// What is to be done for one certificate, and when. Pure: it depends on where the certificate stands and on the time.
#ifndef ALOS_ACME_DUE_HPP
#define ALOS_ACME_DUE_HPP

#include <alos/acme/managed_certificate.hpp>
#include <alos/acme/rfc3339.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace alos::inline v0::acme {

// A new certificate, whatever the time.
inline void force(managed_certificate& of, std::string why)
{
    of.state.forced = std::max<std::uint64_t>(of.generation, 1);
    of.state.forced_why = std::move(why);
    of.state.failures = 0;
    of.state.next_attempt = {};
    of.not_before = {};
}

[[nodiscard]] inline bool is_forced(const managed_certificate& of) noexcept
{
    return of.state.forced != 0 && of.state.forced >= of.generation;
}

// When to do something. The epoch, if that is after its end and farther off than anything is planned then, which is at
// most what a CA may ask for (a token bucket fills faster): the clock was ahead when it was set.
[[nodiscard]] inline time_point believed(const managed_certificate& of, time_point when, time_point now)
{
    const auto life = of.life();
    const bool is_within_life = life && when <= life->not_after;
    return is_within_life || when <= now + longest_retry_after + std::chrono::days(1) ? when : time_point();
}

// Until when that CA wants not to be asked; the epoch: it said nothing of the kind.
[[nodiscard]] inline time_point open_again(const managed_certificate& of, const std::string& directory, time_point now)
{
    const auto found = of.state.open_at.find(directory);
    return found == of.state.open_at.end() ? time_point() : believed(of, found->second, now);
}

// When it will be renewed, or tried again; the epoch: now.
[[nodiscard]] inline time_point renewal_due(const managed_certificate& of, time_point now)
{
    const auto life = of.life();
    // Note: what happened in the future says that a clock was wrong, then or now; those of two processes differ a bit.
    const time_point soon = now + (life ? lifetime(*life) / 10 : std::chrono::minutes(2));
    const bool is_to_wait = of.state.failures > 0 && of.state.failed_at <= soon;
    const time_point after_failure = is_to_wait ? believed(of, of.state.next_attempt, now) : time_point();
    if (!life || is_forced(of))
        return after_failure;
    time_point when = next_renewal(*life, of.state.advice, {}, of.state.spread);
    if (of.about.obtained <= soon)
        when = std::max(when, std::min(cool_down_end(of.about.obtained, *life), latest_renewal(*life)));
    return std::max(when, after_failure);
}

// The end of a sentence about one whose last attempt failed, and that waits for the next; else empty.
[[nodiscard]] inline std::string last_failure_of(const managed_certificate& of, time_point now)
{
    const time_point next = renewal_due(of, now);
    if (of.state.failures == 0 || next <= now)
        return {};
    return "; the last attempt failed: " + of.state.last_error + "; the next one is at " + format_rfc3339(next)
           + ", or at once by force_renew()";
}

// When its CA is to be asked for its window (RFC 9773 4.3); the end of time: never, as once it has expired. Of several
// processes the one that was answered last asks again, and the others a moment later, each at its own, if it did not.
[[nodiscard]] inline time_point next_question(const managed_certificate& of, time_point now)
{
    const auto life = of.life();
    if (!life || life->not_after <= now)
        return time_point::max();
    const time_point when = believed(of, of.state.next_check, now);
    if (of.state.asker == of.process)
        return when;
    constexpr std::chrono::milliseconds longest = std::chrono::minutes(1);
    const auto moment = std::min(lifetime(*life) / 60, longest);
    const auto first = of.state.asker == 0 ? std::chrono::milliseconds() : moment;
    return when + first + moment * (of.process % 1000) / 1000;
}

// When there is something to do for it: to renew it, or to ask for its window.
[[nodiscard]] inline time_point due(const managed_certificate& of, time_point now)
{
    const time_point when = std::min(renewal_due(of, now), next_question(of, now));
    return std::max(when, believed(of, of.not_before, now));
}

// Whether it is to be renewed.
[[nodiscard]] inline bool is_due(const managed_certificate& of, time_point now)
{
    return renewal_due(of, now) <= now && believed(of, of.not_before, now) <= now;
}

// Whether its CA is to be asked for its window.
[[nodiscard]] inline bool asks_for_window(const managed_certificate& of, time_point now)
{
    return next_question(of, now) <= now && !is_due(of, now);
}

// How long an attempt may take: as long as a slow CA needs, but not so long that nothing is left for another one.
[[nodiscard]] inline std::chrono::milliseconds attempt_time(const std::optional<validity>& life, time_point now)
{
    constexpr std::chrono::milliseconds longest = std::chrono::minutes(10);
    if (!life)
        return longest;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(life->not_after - now);
    return std::clamp<std::chrono::milliseconds>(left / 5, std::chrono::seconds(30), longest);
}

// When to look again at one that another process works on, which will be done in some minutes. `random` is from [0, 1).
[[nodiscard]] inline time_point next_look(const std::optional<validity>& life, time_point now, double random)
{
    std::chrono::milliseconds wait = std::chrono::seconds(10);
    if (life)
        wait = std::clamp<std::chrono::milliseconds>(lifetime(*life) / 200, std::chrono::seconds(5),
                                                     std::chrono::minutes(1));
    return now + detail::scaled(wait, 0.5 + random);
}

}

#endif
