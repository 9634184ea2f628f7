// What the scripted CA can do to its clients, when it was willing not to, and how often it was asked for something.
#ifndef ALOS_TESTS_SCRIPTED_CA_HOSTILITY_HPP
#define ALOS_TESTS_SCRIPTED_CA_HOSTILITY_HPP

#include <alos/acme/environment.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace test {

using alos::acme::time_point;

// How likely each is, from 0 (never) to 1 (always), whenever there is occasion for it.
struct hostility {
    // At any request.
    double down = 0;              // no connection
    double silent = 0;            // no answer in time; perhaps it took effect
    double cut_before = 0;        // the connection ends before it took effect
    double cut_after = 0;         // the same after it did
    double bad_nonce = 0;         // RFC 8555 6.5
    double no_nonce = 0;          // no Replay-Nonce in the answer
    double too_many_requests = 0; // 429 and Retry-After, in both forms
    double unavailable = 0;       // 503 and Retry-After, in both forms
    double server_error = 0;      // 500, a problem document
    double html_error = 0;        // 502, no JSON
    double truncated_body = 0;    // half of a JSON body, after it took effect
    double huge_body = 0;         // 10 MB more than there should be, after it took effect
    double redirects = 0;         // 307, for ever
    double moved_directory = 0;   // new URLs in the directory, 404 or 405 at the old ones
    double lost_account = 0;      // accountDoesNotExist, from then on

    // At a step of an order.
    double rejected_identifier = 0;     // newOrder: rejectedIdentifier with subproblems
    double foreign_identifiers = 0;     // newOrder: not the identifiers asked for
    double deactivated_authorization = 0; // newOrder: one authorization is deactivated already
    double never_ready = 0;             // newOrder: pending although all authorizations are valid
    double unknown_status = 0;          // newOrder: the order has a status that RFC 8555 does not know
    double failed_validation = 0;       // challenge: a perspective did not see the answer
    double caa = 0;                     // challenge: forbidden by CAA
    double no_location = 0;             // finalize: no Location
    double processing_for_hours = 0;    // finalize

    // In a certificate that is delivered.
    double other_key = 0;
    double other_names = 0;
    double expired_certificate = 0;
    double broken_chain = 0;

    // In renewal information (RFC 9773).
    double malformed_window = 0; // no window, or none that can be meant
    double moving_window = 0;    // another one with each answer
    double revocation = 0;       // the CA revokes: a window in the past
};

struct behaviour {
    std::string_view name;
    double hostility::*chance;
};

inline constexpr std::array<behaviour, 31> behaviours{{
    {"down", &hostility::down},
    {"silent", &hostility::silent},
    {"cut before the effect", &hostility::cut_before},
    {"cut after the effect", &hostility::cut_after},
    {"badNonce", &hostility::bad_nonce},
    {"no nonce", &hostility::no_nonce},
    {"429", &hostility::too_many_requests},
    {"503", &hostility::unavailable},
    {"500", &hostility::server_error},
    {"HTML", &hostility::html_error},
    {"truncated body", &hostility::truncated_body},
    {"huge body", &hostility::huge_body},
    {"redirects", &hostility::redirects},
    {"moved directory", &hostility::moved_directory},
    {"lost account", &hostility::lost_account},
    {"rejectedIdentifier", &hostility::rejected_identifier},
    {"foreign identifiers", &hostility::foreign_identifiers},
    {"deactivated authorization", &hostility::deactivated_authorization},
    {"never ready", &hostility::never_ready},
    {"unknown status", &hostility::unknown_status},
    {"failed validation", &hostility::failed_validation},
    {"CAA", &hostility::caa},
    {"no Location", &hostility::no_location},
    {"processing for hours", &hostility::processing_for_hours},
    {"other key", &hostility::other_key},
    {"other names", &hostility::other_names},
    {"expired certificate", &hostility::expired_certificate},
    {"broken chain", &hostility::broken_chain},
    {"malformed window", &hostility::malformed_window},
    {"moving window", &hostility::moving_window},
    {"revocation", &hostility::revocation},
}};
static_assert(sizeof(hostility) == behaviours.size() * sizeof(double), "a behaviour is not in the list");

[[nodiscard]] inline bool is_calm(const hostility& now) noexcept
{
    return std::ranges::none_of(behaviours, [&](const behaviour& one) { return now.*one.chance > 0; });
}

// Storms and calms that follow one another for ever.
struct weather {
    std::chrono::seconds shortest_calm = std::chrono::hours(6);
    std::chrono::seconds longest_calm = std::chrono::hours(24 * 10);
    std::chrono::seconds shortest_storm = std::chrono::minutes(1);
    std::chrono::seconds longest_storm = std::chrono::hours(24 * 7);
    unsigned most_behaviours = 4; // at once
};

// Stretches of time, begun in order.
class stretches {
public:
    struct stretch {
        time_point from;
        time_point to;
    };

    // `from` is not before that of the last one.
    void add(time_point from, time_point to)
    {
        if (!list_.empty() && from <= list_.back().to)
            list_.back().to = std::max(list_.back().to, to);
        else
            list_.push_back({from, to});
    }

    // Whether any of it lies in [from, to].
    [[nodiscard]] bool touches(time_point from, time_point to) const
    {
        const auto later = std::ranges::lower_bound(list_, from, {}, &stretch::to);
        return later != list_.end() && later->from <= to;
    }

    // When the last one ended or will end; the beginning of all time when there is none.
    [[nodiscard]] time_point end() const { return list_.empty() ? time_point() : list_.back().to; }

    [[nodiscard]] const std::vector<stretch>& list() const noexcept { return list_; }

private:
    std::vector<stretch> list_;
};

// So many in a stretch of time; 0 is no limit.
struct limit {
    unsigned most = 0;
    std::chrono::seconds within{0};
};

// What Let's Encrypt allows (letsencrypt.org/docs/rate-limits).
struct ca_limits {
    limit accounts{10, std::chrono::hours(3)};
    limit orders_per_account{300, std::chrono::hours(3)};
    limit certificates_per_set{5, std::chrono::hours(24 * 7)};
    limit failed_validations{5, std::chrono::hours(1)}; // per account and identifier
};

// A token bucket, as Let's Encrypt has: so many at once, and then one more each time that its part of the stretch is
// over.
class tally {
public:
    [[nodiscard]] bool is_full(const limit& allowed, time_point now) const
    {
        return allowed.most != 0 && free_at(allowed) > now;
    }

    void add(const limit& allowed, time_point now)
    {
        if (allowed.most != 0)
            full_at_ = std::max(full_at_, now) + allowed.within / allowed.most;
    }

    // When the next one is allowed again.
    [[nodiscard]] time_point free_at(const limit& allowed) const
    {
        return allowed.most == 0 ? time_point() : full_at_ - allowed.within / allowed.most * (allowed.most - 1);
    }

private:
    time_point full_at_; // again
};

}

#endif
