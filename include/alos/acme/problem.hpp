// What a CA says when it refuses: problem documents (RFC 7807, RFC 8555 6.7), what follows from them, and when to ask
// again (RFC 9110 10.2.3). Answers that are no problem documents are taken as they are.
#ifndef ALOS_ACME_PROBLEM_HPP
#define ALOS_ACME_PROBLEM_HPP

#include <alos/acme/rfc3339.hpp>
#include <alos/http/outbound.hpp>
#include <alos/printable.hpp>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// RFC 8555 6.7: the namespace of `type`.
inline constexpr std::string_view problem_namespace = "urn:ietf:params:acme:error:";

// RFC 8555 6.7.1: what is wrong with one of several names.
struct subproblem {
    std::string type; // without the namespace
    std::string detail;
    std::string identifier; // its value
};

struct problem {
    unsigned status = 0; // of HTTP; 0 when the CA gave none
    std::string type;    // without the namespace; empty when the answer was no problem document
    std::string title;
    std::string detail; // of an answer that was no problem document: its first 512 bytes
    std::string instance;
    std::vector<subproblem> subproblems;
    std::vector<std::string> algorithms; // RFC 8555 6.2: those the CA takes, of badSignatureAlgorithm
};

// What a failure means for the next attempt.
enum class failure_class : std::uint8_t {
    transient,  // may pass by itself
    throttled,  // passes by waiting
    permanent,  // stays until settings change, here or in the DNS
    repairable, // the same is asked again in another way, at once
};

namespace detail {

inline constexpr std::size_t max_problem_text = 4096;
inline constexpr std::size_t max_problem_list = 100;
inline constexpr std::size_t max_excerpt = 512;
inline constexpr std::size_t max_description = 1000;

struct known_problem {
    std::string_view type;
    failure_class means;
    std::string_view cure;
};

// RFC 8555 6.7, RFC 9773 7.4, and the registry that both write to.
inline constexpr auto known_problems = std::to_array<known_problem>({
    {"accountDoesNotExist", failure_class::repairable, "the account is registered anew, with the same key"},
    {"alreadyReplaced", failure_class::repairable, "the order is repeated without the certificate that it replaces"},
    {"alreadyRevoked", failure_class::repairable, "nothing is left to do: the certificate is revoked"},
    {"badCSR", failure_class::permanent, "choose another key type, or fewer names for one certificate"},
    {"badNonce", failure_class::repairable, "the request is repeated with a new nonce"},
    {"badPublicKey", failure_class::permanent, "choose another key type; ECDSA P-256 is taken everywhere"},
    {"badRevocationReason", failure_class::permanent, "give one of the reasons 0, 1, 4 and 5, or none"},
    {"badSignatureAlgorithm", failure_class::permanent, "let the account have a key that this CA takes (account_key)"},
    {"caa", failure_class::permanent,
     "add a CAA record for this CA to the domain, or use a CA that its records name"},
    {"compound", failure_class::transient, "mend what is said of each name"},
    {"conflict", failure_class::transient, "wait: another request is changing the same thing"},
    {"connection", failure_class::transient,
     "let the CA reach every address of the name, on port 80 for http-01 and 443 for tls-alpn-01; check firewalls"},
    {"dns", failure_class::transient, "check that all name servers of the domain answer, and DNSSEC"},
    {"externalAccountRequired", failure_class::permanent, "give the eab_kid and eab_hmac_key that the CA handed out"},
    {"incorrectResponse", failure_class::transient,
     "check that every address of the name leads to this server, and that nothing before it answers challenges"},
    {"invalidContact", failure_class::permanent, "correct the e-mail address"},
    {"invalidProfile", failure_class::permanent, "choose a profile that the CA's directory lists, or none"},
    {"malformed", failure_class::permanent, "check the names and the profile; this CA does not take such a request"},
    {"orderNotReady", failure_class::repairable, "the order is read again"},
    {"rateLimited", failure_class::throttled, "wait, or use another CA; one certificate may have several names"},
    {"rejectedIdentifier", failure_class::permanent, "leave that name out, or use another CA"},
    {"serverInternal", failure_class::transient, "wait: the fault is the CA's own"},
    {"tls", failure_class::transient,
     "check that port 443 of every address of the name leads to this server, and that nothing before it ends TLS"},
    {"unauthorized", failure_class::transient,
     "check that the account is open, may do that, and was made with the eab_kid and eab_hmac_key of the CA's page"},
    {"unsupportedContact", failure_class::permanent, "give an e-mail address, or none"},
    {"unsupportedIdentifier", failure_class::permanent,
     "leave out names of that kind, or choose a profile or a CA that certifies them"},
    {"userActionRequired", failure_class::permanent, "open the page that the CA names, and agree there"},
});

inline const known_problem* find_problem(std::string_view type) noexcept
{
    const auto found = std::ranges::find(known_problems, type, &known_problem::type);
    return found == known_problems.end() ? nullptr : &*found;
}

// RFC 8259, nested 32 deep at most; nothing for anything else. What is read is bounded by the caller.
inline std::optional<boost::json::value> read_json(std::string_view text)
{
    boost::json::parse_options options;
    options.max_depth = 32;
    error_code ec;
    boost::json::value document = boost::json::parse(text, ec, {}, options);
    return ec ? std::nullopt : std::optional(std::move(document));
}

// The first bytes of UTF-8 without the half of a character at their end.
inline std::string_view cut(std::string_view text, std::size_t limit) noexcept
{
    if (text.size() <= limit)
        return text;
    while (limit > 0 && (static_cast<std::uint8_t>(text[limit]) & 0xc0) == 0x80)
        --limit;
    return text.substr(0, limit);
}

// The text of a member, cut to what is worth keeping; empty if there is none.
inline std::string text_of(const boost::json::object& from, std::string_view name)
{
    const boost::json::value* const found = from.if_contains(name);
    const boost::json::string* const text = found ? found->if_string() : nullptr;
    return text ? std::string(cut(*text, max_problem_text)) : std::string();
}

inline std::string without_namespace(std::string type)
{
    if (type.starts_with(problem_namespace))
        type.erase(0, problem_namespace.size());
    return type;
}

// RFC 8555 6.7.1: each may have an identifier.
inline subproblem read_subproblem(const boost::json::object& from)
{
    subproblem made{without_namespace(text_of(from, "type")), text_of(from, "detail"), {}};
    const boost::json::value* const about = from.if_contains("identifier");
    if (const boost::json::object* const identifier = about ? about->if_object() : nullptr)
        made.identifier = text_of(*identifier, "value");
    return made;
}

// RFC 7807 3.1: a member of another type than it should have is as one that is not there. `status` is that of the
// answer, 0 for a problem that is part of an object.
inline problem read_problem(const boost::json::object& from, unsigned status)
{
    problem made;
    made.status = status;
    if (const auto* const own = from.if_contains("status"); own && own->is_int64() && status == 0) {
        if (const std::int64_t number = own->get_int64(); number >= 100 && number <= 599)
            made.status = static_cast<unsigned>(number);
    }
    made.type = without_namespace(text_of(from, "type"));
    if (made.type.empty())
        made.type = "about:blank"; // RFC 7807 3.1: "when this member is not present, its value is assumed to be"
    made.title = text_of(from, "title");
    made.detail = text_of(from, "detail");
    made.instance = text_of(from, "instance");
    const auto list = [&](std::string_view name) {
        const boost::json::value* const found = from.if_contains(name);
        return found ? found->if_array() : nullptr;
    };
    if (const boost::json::array* const parts = list("subproblems")) {
        for (const boost::json::value& each : *parts) {
            if (made.subproblems.size() < max_problem_list && each.is_object())
                made.subproblems.push_back(read_subproblem(each.get_object()));
        }
    }
    if (const boost::json::array* const names = list("algorithms")) {
        for (const boost::json::value& each : *names) {
            if (made.algorithms.size() < max_problem_list && each.is_string())
                made.algorithms.emplace_back(cut(each.get_string(), 64));
        }
    }
    return made;
}

// A page of a proxy, as one line of ASCII.
inline std::string excerpt_of(std::string_view body)
{
    std::string text;
    for (const char c : body.substr(0, max_excerpt))
        text += c >= 0x20 && c < 0x7f ? c : c == '\t' || c == '\r' || c == '\n' ? ' ' : '?';
    return text;
}

// The media type without its parameters (RFC 9110 8.3.1).
inline bool is_problem_type(std::string_view content_type) noexcept
{
    return http::equal_ignoring_case(http::next_part(content_type, ';'), "application/problem+json");
}

// Appends `text` in one line: what is not printable is written as a number, \x0a or \u202e.
inline void append_in_one_line(std::string& out, std::string_view text)
{
    while (!text.empty()) {
        const auto next = alos::detail::first_character(text);
        if (next.is_printable()) {
            out += text.substr(0, next.size);
        } else {
            const bool is_long = next.code > 0xff;
            out += is_long ? "\\u" : "\\x";
            alos::detail::append_hex(out, next.code, is_long ? 4 : 2);
        }
        text.remove_prefix(next.size);
    }
}

[[nodiscard]] inline std::string in_one_line(std::string_view text)
{
    std::string out;
    append_in_one_line(out, text);
    return out;
}

inline void append_with(std::string& out, std::string_view before, std::string_view text)
{
    if (text.empty())
        return;
    out += before;
    append_in_one_line(out, text);
}

}

// Never fails: of a body that is no problem document, the status and the beginning are kept. `body` is bounded by who
// fetched it.
[[nodiscard]] inline problem parse_problem(unsigned status, std::string_view content_type, std::string_view body)
{
    const auto document = detail::read_json(body);
    const boost::json::object* const members = document ? document->if_object() : nullptr;
    // Note: some CAs send their problem documents as application/json; the namespace gives them away.
    if (members && (detail::is_problem_type(content_type)
                    || detail::text_of(*members, "type").starts_with(problem_namespace)))
        return detail::read_problem(*members, status);
    problem made;
    made.status = status;
    made.detail = detail::excerpt_of(body);
    return made;
}

// `has_retry_after`: whether the answer named a time to come back.
[[nodiscard]] inline failure_class class_of(const problem& what, bool has_retry_after = false) noexcept
{
    if (what.status == 429 || (what.status == 503 && has_retry_after))
        return failure_class::throttled;
    if (what.type == "compound") {
        // As its parts: one name that will never be certified stops the order.
        for (const failure_class worst : {failure_class::permanent, failure_class::throttled}) {
            const bool found = std::ranges::any_of(what.subproblems, [&](const subproblem& each) {
                const detail::known_problem* const known = detail::find_problem(each.type);
                return known && known->means == worst;
            });
            if (found)
                return worst;
        }
    }
    if (const detail::known_problem* const known = detail::find_problem(what.type))
        return known->means;
    // A refusal of a kind that is not known: nothing says that asking again helps. A page that is no problem document
    // is not the CA's word, but that of something before it, and a problem within an object has no status.
    const bool refused = what.status >= 400 && what.status < 500 && what.status != 408 && !what.type.empty();
    return refused ? failure_class::permanent : failure_class::transient;
}

// One line in the CA's own words, the single names included; at most 1000 bytes.
[[nodiscard]] inline std::string describe(const problem& what)
{
    std::string text = what.status != 0 ? std::to_string(what.status) : std::string();
    const std::string_view type = what.type == "about:blank" ? std::string_view{} : std::string_view(what.type);
    detail::append_with(text, text.empty() ? "" : " ", type);
    detail::append_with(text, text.empty() ? "" : ": ", what.detail.empty() ? what.title : what.detail);
    for (const subproblem& each : what.subproblems) {
        detail::append_with(text, "; ", each.identifier.empty() ? "one name" : each.identifier);
        detail::append_with(text, ": ", each.type);
        detail::append_with(text, ": ", each.detail);
    }
    for (std::size_t i = 0; i < what.algorithms.size(); ++i)
        detail::append_with(text, i == 0 ? "; it takes " : ", ", what.algorithms[i]);
    detail::append_with(text, "; see ", what.instance);
    if (text.empty())
        return "no reason is given";
    if (text.size() > detail::max_description) {
        constexpr std::string_view dots = "...";
        text.resize(detail::cut(text, detail::max_description - dots.size()).size());
        text += dots;
    }
    return text;
}

// What the operator can do about it, or what is done without them; a sentence's end. What is said of a challenge has
// another one, in cure.hpp.
[[nodiscard]] inline std::string_view cure_of(const problem& what) noexcept
{
    if (const detail::known_problem* const known = detail::find_problem(what.type))
        return known->cure;
    if (what.status == 429)
        return detail::find_problem("rateLimited")->cure;
    if (what.status >= 500)
        return "wait: the fault is the CA's, or that of a proxy on the way";
    return "check that the directory's URL is that of an ACME CA, and that no proxy answers in its place";
}

// That a CA is believed. Nothing of ours is planned for longer after the end of a certificate.
inline constexpr std::chrono::seconds longest_retry_after = std::chrono::days(7);

// RFC 9110 10.2.3: how long to wait; a date is taken by the server's own clock if the answer has its Date. Within 0
// and longest_retry_after; nothing without the field or when it cannot be read.
[[nodiscard]] inline std::optional<std::chrono::seconds> retry_after(const http::outbound_response& answer,
                                                                     time_point now) noexcept
{
    const std::string_view text = http::trim(answer.field("Retry-After"));
    if (text.empty())
        return std::nullopt;
    if (std::ranges::all_of(text, http::is_digit)) {
        const auto number = http::parse_decimal(text);
        const auto most = static_cast<std::uint64_t>(longest_retry_after.count());
        return std::chrono::seconds(static_cast<std::int64_t>(std::min(number.value_or(most), most)));
    }
    const std::time_t here = std::max<std::time_t>(1, std::chrono::system_clock::to_time_t(now));
    const auto when = http::parse_date(text, here);
    if (!when)
        return std::nullopt;
    const auto there = http::parse_date(http::trim(answer.field("Date")), here);
    return std::clamp(std::chrono::seconds(*when - there.value_or(here)), std::chrono::seconds(0),
                      longest_retry_after);
}

}

#endif
