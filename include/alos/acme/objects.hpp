// What a CA answers: directory, account, order, authorization, challenge (RFC 8555 7.1, RFC 8738) and renewal
// information (RFC 9773 4.2), from JSON. Members that are not known are ignored; those that are, are checked, and a
// failure names the one at fault. What we send is in payloads.hpp.
#ifndef ALOS_ACME_OBJECTS_HPP
#define ALOS_ACME_OBJECTS_HPP

#include <alos/acme/identifier.hpp>
#include <alos/acme/object_reader.hpp>
#include <alos/acme/problem.hpp>
#include <alos/acme/rfc3339.hpp>
#include <alos/error.hpp>

#include <boost/json/value.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// RFC 8555 7.1.1. An empty URL: the CA does not offer it.
struct directory {
    std::string new_nonce;
    std::string new_account;
    std::string new_order;
    std::string revoke_cert;
    std::string key_change;
    std::string renewal_info; // RFC 9773 3
    std::string terms_of_service;
    std::vector<std::string> caa_identities;
    bool external_account_required = false;
    std::map<std::string, std::string> profiles; // by name, what they are for
};

enum class account_status : std::uint8_t { valid, deactivated, revoked };
enum class order_status : std::uint8_t { pending, ready, processing, valid, invalid };
enum class authorization_status : std::uint8_t { pending, valid, invalid, deactivated, expired, revoked };
enum class challenge_status : std::uint8_t { pending, processing, valid, invalid };

// RFC 8555 7.1.2.
struct account {
    account_status status = account_status::valid; // one that is not known is `revoked`
    std::vector<std::string> contact;
    std::string orders; // empty: the CA keeps no list
};

// RFC 8555 7.1.3.
struct order {
    order_status status = order_status::invalid; // also one that is not known
    std::optional<time_point> expires;
    std::vector<identifier> identifiers;
    std::vector<std::string> authorizations; // URLs; there while pending
    std::string finalize;                    // there while pending or ready
    std::string certificate;                 // there when valid
    std::optional<problem> error;
    std::string replaces; // RFC 9773 5
};

// RFC 8555 7.1.5 and 8.
struct challenge {
    std::string type; // "http-01"; others than alos knows are here, too
    std::string url;
    std::string token; // of base64url characters; empty when the type has none
    challenge_status status = challenge_status::invalid; // also one that is not known
    std::optional<problem> error;
};

// RFC 8555 7.1.4.
struct authorization {
    authorization_status status = authorization_status::invalid; // also one that is not known
    acme::identifier identifier; // without "*."
    bool wildcard = false;
    std::vector<challenge> challenges;
};

// RFC 9773 4.2: when the CA would like the certificate to be renewed. `start` is before `end`.
struct renewal_info {
    time_point start;
    time_point end;
    std::string explanation_url;
};

// RFC 8555 7.1.4: the identifier of the order that the authorization is for, "*." included.
[[nodiscard]] inline identifier ordered_identifier(const authorization& from)
{
    return {from.identifier.type, (from.wildcard ? "*." : "") + from.identifier.value};
}

namespace detail {

// The value of an enumeration by its place in `words`.
template <class Status, std::size_t Count>
Status status_of(std::string_view word, const std::array<std::string_view, Count>& words, Status otherwise) noexcept
{
    const auto found = std::ranges::find(words, word);
    return found == words.end() ? otherwise : static_cast<Status>(found - words.begin());
}

inline constexpr std::array<std::string_view, 3> account_words = {"valid", "deactivated", "revoked"};
inline constexpr std::array<std::string_view, 5> order_words = {"pending", "ready", "processing", "valid", "invalid"};
inline constexpr std::array<std::string_view, 6> authorization_words = {"pending",     "valid",   "invalid",
                                                                        "deactivated", "expired", "revoked"};
inline constexpr std::array<std::string_view, 4> challenge_words = {"pending", "processing", "valid", "invalid"};

// RFC 8555 7.1.3, RFC 8738 3: spelled as we spell it, since what was asked for is compared with what came back.
inline identifier read_identifier(object_reader& in)
{
    const std::string type = in.text("type", need::required);
    const std::string value = in.text("value", need::required);
    auto made = identifier_of(value);
    const std::string_view expected = made && made->type == identifier_type::ip ? "ip" : "dns";
    if (!made || type != expected) {
        in.fail("value", "is no identifier of a type that alos knows");
        return {};
    }
    return std::move(*made);
}

// Others can be neither written in a configuration nor shown.
inline bool is_profile_name(std::string_view name) noexcept
{
    return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) { return c > 0x20 && c < 0x7f; });
}

inline void read_challenge(object_reader& in, challenge& out)
{
    out.type = in.line("type", need::required, 64);
    out.url = in.url("url", need::required);
    out.status = status_of(in.text("status", need::required), challenge_words, challenge_status::invalid);
    out.error = in.error("error");
    // RFC 8555 8.3: "It MUST NOT contain any characters outside the base64url alphabet". It becomes part of a path.
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const bool known = out.type == "http-01" || out.type == "dns-01" || out.type == "tls-alpn-01";
    if (!known)
        return; // alos does not answer it, whatever its token is
    out.token = in.text("token", need::required, max_token);
    if (out.token.find_first_not_of(alphabet) != std::string::npos)
        in.fail("token", "has characters outside the base64url alphabet");
}

}

[[nodiscard]] constexpr std::string_view name_of(account_status status) noexcept
{
    return detail::account_words[static_cast<std::size_t>(status)];
}

[[nodiscard]] constexpr std::string_view name_of(order_status status) noexcept
{
    return detail::order_words[static_cast<std::size_t>(status)];
}

[[nodiscard]] constexpr std::string_view name_of(authorization_status status) noexcept
{
    return detail::authorization_words[static_cast<std::size_t>(status)];
}

[[nodiscard]] constexpr std::string_view name_of(challenge_status status) noexcept
{
    return detail::challenge_words[static_cast<std::size_t>(status)];
}

[[nodiscard]] inline outcome<directory> parse_directory(std::string_view json)
{
    using namespace detail;
    return read_object<directory>(json, "directory", [](object_reader& in, directory& out) {
        out.new_nonce = in.url("newNonce", need::required);
        out.new_account = in.url("newAccount", need::required);
        out.new_order = in.url("newOrder", need::required);
        out.revoke_cert = in.url("revokeCert", need::optional);
        out.key_change = in.url("keyChange", need::optional);
        out.renewal_info = in.url("renewalInfo", need::optional);
        in.within("meta", need::optional, [&](object_reader& meta) {
            out.terms_of_service = meta.line("termsOfService", need::optional);
            out.caa_identities = meta.lines("caaIdentities", max_list);
            out.external_account_required = meta.flag("externalAccountRequired");
            meta.within("profiles", need::optional, [&](object_reader& profiles) {
                if (profiles.members().size() > max_list)
                    return meta.fail("profiles", "has more than " + std::to_string(max_list) + " members");
                for (const auto& each : profiles.members()) {
                    const std::string_view name(each.key().data(), each.key().size());
                    if (is_profile_name(name))
                        out.profiles.emplace(name, text_of(profiles.members(), name));
                }
            });
        });
    });
}

[[nodiscard]] inline outcome<account> parse_account(std::string_view json)
{
    using namespace detail;
    return read_object<account>(json, "account", [](object_reader& in, account& out) {
        const std::string status = in.text("status", need::optional);
        // Note: what answers 200 or 201 without a status has taken the account.
        out.status = status.empty() ? account_status::valid : status_of(status, account_words, account_status::revoked);
        out.contact = in.lines("contact", max_list);
        out.orders = in.url("orders", need::optional);
    });
}

// RFC 8555 7.1.2.1: the URLs of one page of an account's orders.
[[nodiscard]] inline outcome<std::vector<std::string>> parse_order_list(std::string_view json)
{
    using namespace detail;
    using list = std::vector<std::string>;
    return read_object<list>(json, "list of orders", [](object_reader& in, list& out) {
        out = in.urls("orders", need::required, max_orders);
    });
}

[[nodiscard]] inline outcome<order> parse_order(std::string_view json)
{
    using namespace detail;
    return read_object<order>(json, "order", [](object_reader& in, order& out) {
        out.status = status_of(in.text("status", need::required), order_words, order_status::invalid);
        const bool pending = out.status == order_status::pending;
        const bool open = pending || out.status == order_status::ready;
        const bool valid = out.status == order_status::valid;
        out.expires = in.time("expires", need::optional);
        in.each("identifiers", need::required, max_identifiers, [&](const auto& value, const std::string& path) {
            in.enter(value, path, [&](object_reader& one) { out.identifiers.push_back(read_identifier(one)); });
        });
        out.authorizations = in.urls("authorizations", pending ? need::required : need::optional, max_identifiers);
        out.finalize = in.url("finalize", open ? need::required : need::optional);
        out.certificate = in.url("certificate", valid ? need::required : need::optional);
        out.error = in.error("error");
        out.replaces = in.line("replaces", need::optional);
    });
}

// The answer to a challenge that was accepted, and each within an authorization.
[[nodiscard]] inline outcome<challenge> parse_challenge(std::string_view json)
{
    return detail::read_object<challenge>(json, "challenge", detail::read_challenge);
}

[[nodiscard]] inline outcome<authorization> parse_authorization(std::string_view json)
{
    using namespace detail;
    return read_object<authorization>(json, "authorization", [](object_reader& in, authorization& out) {
        out.status = status_of(in.text("status", need::required), authorization_words, authorization_status::invalid);
        in.within("identifier", need::required, [&](object_reader& about) { out.identifier = read_identifier(about); });
        // RFC 8555 7.1.4: "Wildcard domain names ... MUST NOT be included in authorization objects."
        if (out.identifier.value.starts_with("*."))
            in.fail("identifier", "is a wildcard");
        out.wildcard = in.flag("wildcard");
        in.each("challenges", need::required, max_challenges, [&](const auto& value, const std::string& path) {
            in.enter(value, path, [&](object_reader& one) { read_challenge(one, out.challenges.emplace_back()); });
        });
    });
}

[[nodiscard]] inline outcome<renewal_info> parse_renewal_info(std::string_view json)
{
    using namespace detail;
    return read_object<renewal_info>(json, "renewal information", [](object_reader& in, renewal_info& out) {
        in.within("suggestedWindow", need::required, [&](object_reader& window) {
            out.start = window.time("start", need::required).value_or(time_point());
            out.end = window.time("end", need::required).value_or(time_point());
        });
        // RFC 9773 4.2: such an answer is treated as none.
        if (out.end <= out.start)
            in.fail("suggestedWindow", "does not end after its start");
        out.explanation_url = in.line("explanationURL", need::optional);
    });
}

}

#endif
