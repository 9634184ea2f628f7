// What happened to a certificate, or to an account: for the log, and for whoever wants to be told.
#ifndef ALOS_ACME_EVENT_HPP
#define ALOS_ACME_EVENT_HPP

#include <alos/log.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace alos::inline v0::acme {

enum class event_kind : std::uint8_t {
    loaded,          // from the storage, at start or because another process renewed it
    account_created,
    account_reused,
    obtained,        // the first one
    renewed,
    renewal_failed,
    unreadable,      // something in the storage cannot be used
    window_changed,  // the CA wants it renewed at another time (RFC 9773)
    revoked,
    action_required, // somebody has to visit a page of the CA's (RFC 8555 7.3.3)
    stand_in,        // a self-signed certificate answers meanwhile
    progress,        // a step of an issuance
};

struct event {
    event_kind kind;
    std::string id;      // of the certificate; empty: of an account or of the whole
    std::string message; // one sentence
};

// Called with what happened.
using event_teller = std::function<void(event)>;

// How loud the log is about it.
[[nodiscard]] constexpr log_level level_of(event_kind kind) noexcept
{
    switch (kind) {
    case event_kind::progress: return log_level::debug;
    case event_kind::renewal_failed:
    case event_kind::revoked: return log_level::warning;
    case event_kind::action_required:
    case event_kind::unreadable: return log_level::error;
    default: return log_level::info;
    }
}

// Its name in the log.
[[nodiscard]] constexpr std::string_view name_of(event_kind kind) noexcept
{
    switch (kind) {
    case event_kind::loaded: return "acme.loaded";
    case event_kind::account_created: return "acme.account_created";
    case event_kind::account_reused: return "acme.account_reused";
    case event_kind::obtained: return "acme.obtained";
    case event_kind::renewed: return "acme.renewed";
    case event_kind::renewal_failed: return "acme.failed";
    case event_kind::unreadable: return "acme.unreadable";
    case event_kind::window_changed: return "acme.window_changed";
    case event_kind::revoked: return "acme.revoked";
    case event_kind::action_required: return "acme.action_required";
    case event_kind::stand_in: return "acme.stand_in";
    case event_kind::progress: break;
    }
    return "acme.progress";
}

}

#endif
