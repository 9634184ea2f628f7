// What is kept between attempts and across restarts, as JSON: of each account its URL, of each certificate where its
// renewal stands, the order under way, and what is known of a generation.
#ifndef ALOS_ACME_RECORD_HPP
#define ALOS_ACME_RECORD_HPP

#include <alos/acme/objects.hpp>
#include <alos/acme/renewal.hpp>
#include <alos/acme/rfc3339.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace alos::inline v0::acme {

// The document "account/<id>"; its private key is "account/<id>.key".
struct account_record {
    std::string directory; // of the CA
    std::string email;     // that it is kept for; may be empty
    std::string url;
};

// The document "state/<id>". Times that are not known are the epoch.
struct certificate_state {
    std::string configuration; // what the settings were; others are tried at once
    time_point next_attempt{}; // after a failure
    time_point failed_at{};    // the last time
    unsigned failures = 0;     // in a row
    failure_class last_class = failure_class::transient;
    std::string last_error;
    std::string directory; // of the CA to ask
    std::map<std::string, time_point> open_at; // until when a CA wants not to be asked, by directory
    std::optional<suggestion> advice;
    time_point next_check{}; // of the renewal window (RFC 9773)
    unsigned check_failures = 0;
    std::uint64_t asker = 0;  // the process that the CA told of its window last; 0: none, any may ask first
    std::uint64_t forced = 0; // the generation that has to be replaced whatever its time
    std::string forced_why;   // "revoked", "forced", "reconfigured"
    double spread = 0.5;      // drawn for this generation, see ordinary_renewal()
    std::uint64_t generation = 0; // that `advice`, `next_check` and `spread` are of
};

// The document "order/<id>"; its private key is "order/<id>.key".
struct order_record {
    std::string directory;
    std::string account; // URL
    std::string url;
    std::string certificate_id; // that it was to replace (RFC 9773 5)
    std::vector<identifier> names;
    time_point created{};
    std::string profile; // that was asked for
};

// meta.json of a generation.
struct generation_record {
    std::string directory;
    std::string account;
    std::string profile;
    time_point obtained{};
    std::vector<identifier> names;
    std::string because; // why it replaced the one before: "revoked", ...; empty: that one's time had come
};

namespace detail {

inline boost::json::array names_to_json(const std::vector<identifier>& names)
{
    boost::json::array list;
    for (const identifier& each : names)
        list.emplace_back(each.value);
    return list;
}

// Those that are no names are left out.
inline std::vector<identifier> names_from_json(const boost::json::object& from)
{
    std::vector<identifier> names;
    const boost::json::value* const found = from.if_contains("names");
    if (!found || !found->is_array())
        return names;
    for (const boost::json::value& each : found->get_array()) {
        if (!each.is_string() || names.size() == max_identifiers)
            continue;
        if (auto name = identifier_of(std::string_view(each.get_string())))
            names.push_back(std::move(*name));
    }
    return names;
}

inline void put_time(boost::json::object& into, std::string_view name, time_point when)
{
    if (when != time_point())
        into[name] = format_rfc3339(when);
}

// The epoch if it is not there or cannot be read: then it is due.
inline time_point time_of(const boost::json::object& from, std::string_view name)
{
    const auto read = parse_rfc3339(text_of(from, name));
    return read ? *read : time_point();
}

inline std::uint64_t number_of(const boost::json::object& from, std::string_view name)
{
    const boost::json::value* const found = from.if_contains(name);
    if (found && found->is_int64() && found->get_int64() > 0)
        return static_cast<std::uint64_t>(found->get_int64());
    return found && found->is_uint64() ? found->get_uint64() : 0;
}

inline constexpr std::array<std::string_view, 4> class_words = {"transient", "throttled", "permanent", "repairable"};

// The object that `text` is, or nothing.
inline std::optional<boost::json::object> read_object_text(std::string_view text)
{
    auto document = read_json(text);
    if (!document || !document->is_object())
        return std::nullopt;
    return std::move(document->get_object());
}

}

[[nodiscard]] inline std::string to_json(const account_record& one)
{
    boost::json::object out;
    out["directory"] = one.directory;
    out["email"] = one.email;
    out["url"] = one.url;
    return boost::json::serialize(out);
}

// Nothing without a URL: whoever has the key can ask the CA for it.
[[nodiscard]] inline std::optional<account_record> parse_account_record(std::string_view text)
{
    const auto in = detail::read_object_text(text);
    if (!in || detail::text_of(*in, "url").empty())
        return std::nullopt;
    return account_record{detail::text_of(*in, "directory"), detail::text_of(*in, "email"),
                          detail::text_of(*in, "url")};
}

[[nodiscard]] inline std::string to_json(const certificate_state& state)
{
    boost::json::object out;
    out["configuration"] = state.configuration;
    out["failures"] = state.failures;
    if (state.failures > 0) {
        detail::put_time(out, "nextAttempt", state.next_attempt);
        detail::put_time(out, "failedAt", state.failed_at);
        out["lastClass"] = detail::class_words[static_cast<std::size_t>(state.last_class)];
        out["lastError"] = state.last_error;
    }
    boost::json::object open_at;
    for (const auto& [directory, when] : state.open_at)
        detail::put_time(open_at, directory, when);
    if (!open_at.empty())
        out["openAt"] = std::move(open_at);
    out["directory"] = state.directory;
    out["generation"] = state.generation;
    out["spread"] = state.spread;
    if (state.advice) {
        detail::put_time(out, "windowStart", state.advice->window.start);
        detail::put_time(out, "windowEnd", state.advice->window.end);
        detail::put_time(out, "chosen", state.advice->chosen);
    }
    detail::put_time(out, "nextCheck", state.next_check);
    out["checkFailures"] = state.check_failures;
    out["asker"] = state.asker;
    if (state.forced != 0) {
        out["forced"] = state.forced;
        out["forcedWhy"] = state.forced_why;
    }
    return boost::json::serialize(out);
}

// What cannot be read is as if it had never been written; nothing at all if it is not even JSON.
[[nodiscard]] inline std::optional<certificate_state> parse_certificate_state(std::string_view text)
{
    const auto in = detail::read_object_text(text);
    if (!in)
        return std::nullopt;
    certificate_state state;
    state.configuration = detail::text_of(*in, "configuration");
    state.failures = static_cast<unsigned>(std::min<std::uint64_t>(detail::number_of(*in, "failures"), 1'000'000));
    state.next_attempt = detail::time_of(*in, "nextAttempt");
    state.failed_at = detail::time_of(*in, "failedAt");
    const auto word = std::ranges::find(detail::class_words, detail::text_of(*in, "lastClass"));
    if (word != detail::class_words.end())
        state.last_class = static_cast<failure_class>(word - detail::class_words.begin());
    state.last_error = detail::text_of(*in, "lastError");
    state.directory = detail::text_of(*in, "directory");
    if (const auto* open_at = in->if_contains("openAt"); open_at && open_at->is_object()) {
        for (const auto& each : open_at->get_object())
            state.open_at[each.key()] = detail::time_of(open_at->get_object(), each.key());
    }
    state.generation = detail::number_of(*in, "generation");
    if (const auto* spread = in->if_contains("spread"); spread && spread->is_double())
        state.spread = std::clamp(spread->get_double(), 0.0, 1.0);
    const renewal_window window{detail::time_of(*in, "windowStart"), detail::time_of(*in, "windowEnd")};
    if (const time_point chosen = detail::time_of(*in, "chosen"); is_answer(window) && chosen != time_point())
        state.advice = suggestion{window, chosen};
    state.next_check = detail::time_of(*in, "nextCheck");
    state.check_failures =
        static_cast<unsigned>(std::min<std::uint64_t>(detail::number_of(*in, "checkFailures"), 1'000'000));
    state.asker = detail::number_of(*in, "asker");
    state.forced = detail::number_of(*in, "forced");
    state.forced_why = detail::text_of(*in, "forcedWhy");
    return state;
}

[[nodiscard]] inline std::string to_json(const order_record& order)
{
    boost::json::object out;
    out["directory"] = order.directory;
    out["account"] = order.account;
    out["url"] = order.url;
    out["replaces"] = order.certificate_id;
    out["names"] = detail::names_to_json(order.names);
    detail::put_time(out, "created", order.created);
    out["profile"] = order.profile;
    return boost::json::serialize(out);
}

[[nodiscard]] inline std::optional<order_record> parse_order_record(std::string_view text)
{
    const auto in = detail::read_object_text(text);
    if (!in)
        return std::nullopt;
    order_record order{detail::text_of(*in, "directory"), detail::text_of(*in, "account"), detail::text_of(*in, "url"),
                       detail::text_of(*in, "replaces"), detail::names_from_json(*in), detail::time_of(*in, "created"),
                       detail::text_of(*in, "profile")};
    if (order.url.empty() || order.directory.empty())
        return std::nullopt;
    return order;
}

[[nodiscard]] inline std::string to_json(const generation_record& one)
{
    boost::json::object out;
    out["directory"] = one.directory;
    out["account"] = one.account;
    out["profile"] = one.profile;
    detail::put_time(out, "obtained", one.obtained);
    out["names"] = detail::names_to_json(one.names);
    out["because"] = one.because;
    return boost::json::serialize(out);
}

// Never fails: a certificate serves without it.
[[nodiscard]] inline generation_record parse_generation_record(std::string_view text)
{
    const auto in = detail::read_object_text(text);
    if (!in)
        return {};
    return {detail::text_of(*in, "directory"), detail::text_of(*in, "account"), detail::text_of(*in, "profile"),
            detail::time_of(*in, "obtained"), detail::names_from_json(*in), detail::text_of(*in, "because")};
}

}

#endif
