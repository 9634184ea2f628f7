// What is asked of a CA, as the JSON texts that JWS sign. RFC 8555 7.3 to 7.6, RFC 9773 5.
#ifndef ALOS_ACME_PAYLOADS_HPP
#define ALOS_ACME_PAYLOADS_HPP

#include <alos/acme/base64url.hpp>
#include <alos/acme/objects.hpp>
#include <alos/bytes.hpp>
#include <alos/http/uri.hpp>

#include <boost/json/serialize.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// RFC 8555 7.3, RFC 6068 2: the contact that is this one e-mail address, whatever is in it; never several, and no
// header fields.
[[nodiscard]] inline std::string mailto_url(std::string_view email)
{
    constexpr std::string_view harmless = "-._~+";
    const std::size_t at = std::min(email.rfind('@'), email.size());
    std::string url = "mailto:";
    http::append_encoded(url, email.substr(0, at), harmless);
    if (at == email.size())
        return url;
    url += '@';
    http::append_encoded(url, email.substr(at + 1), harmless);
    return url;
}

// RFC 8555 7.3.
struct new_account {
    std::vector<std::string> contact{}; // URLs, as mailto_url() makes them
    bool terms_of_service_agreed = true;
    bool only_return_existing = false; // RFC 8555 7.3.1
    std::string external_account_binding{}; // RFC 8555 7.3.4: a JWS in JSON
};

// RFC 8555 7.5.1: what accepts a challenge.
inline constexpr std::string_view challenge_payload = "{}";

// RFC 8555 7.3.6 and 7.5.2: what deactivates an account or an authorization.
inline constexpr std::string_view deactivation_payload = "{\"status\":\"deactivated\"}";

namespace detail {

inline boost::json::array json_list(const std::vector<std::string>& texts)
{
    boost::json::array list;
    for (const std::string& each : texts)
        list.emplace_back(each);
    return list;
}

}

// Throws when the binding is no JSON.
[[nodiscard]] inline std::string new_account_payload(const new_account& asked)
{
    boost::json::object payload;
    if (asked.only_return_existing)
        payload["onlyReturnExisting"] = true;
    if (!asked.contact.empty())
        payload["contact"] = detail::json_list(asked.contact);
    if (asked.terms_of_service_agreed)
        payload["termsOfServiceAgreed"] = true;
    if (!asked.external_account_binding.empty())
        payload["externalAccountBinding"] = boost::json::parse(asked.external_account_binding);
    return boost::json::serialize(payload);
}

// RFC 8555 7.3.2: the contacts from now on; none takes them away.
[[nodiscard]] inline std::string update_account_payload(const std::vector<std::string>& contact)
{
    boost::json::object payload;
    payload["contact"] = detail::json_list(contact);
    return boost::json::serialize(payload);
}

// RFC 8555 7.4. `profile` is one of the directory's; `replaces` the RFC 9773 4.1 identifier of the certificate that
// the new one is instead of. Empty ones are left out.
[[nodiscard]] inline std::string new_order_payload(std::span<const identifier> identifiers,
                                                   std::string_view profile = {}, std::string_view replaces = {})
{
    boost::json::array list;
    for (const identifier& each : identifiers) {
        boost::json::object one;
        one["type"] = each.type == identifier_type::ip ? "ip" : "dns";
        one["value"] = each.value;
        list.push_back(std::move(one));
    }
    boost::json::object payload;
    payload["identifiers"] = std::move(list);
    if (!profile.empty())
        payload["profile"] = profile;
    if (!replaces.empty())
        payload["replaces"] = replaces;
    return boost::json::serialize(payload);
}

// RFC 8555 7.4: `csr` in DER.
[[nodiscard]] inline std::string finalize_payload(byte_view csr)
{
    boost::json::object payload;
    payload["csr"] = to_base64url(csr);
    return boost::json::serialize(payload);
}

// RFC 8555 7.6: `certificate` in DER; `reason` as in RFC 5280 5.3.1.
[[nodiscard]] inline std::string revoke_payload(byte_view certificate, std::optional<unsigned> reason = {})
{
    boost::json::object payload;
    payload["certificate"] = to_base64url(certificate);
    if (reason)
        payload["reason"] = *reason;
    return boost::json::serialize(payload);
}

}

#endif
