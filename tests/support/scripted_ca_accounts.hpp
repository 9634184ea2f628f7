// The scripted CA's directory and accounts (RFC 8555 7.1.1, 7.3). Part of scripted_ca.hpp.
#ifndef ALOS_TESTS_SCRIPTED_CA_ACCOUNTS_HPP
#define ALOS_TESTS_SCRIPTED_CA_ACCOUNTS_HPP

#include "support/scripted_ca.hpp"

namespace test {

// RFC 8555 7.1.1
inline http::outbound_response scripted_ca::directory()
{
    json::object meta{{"website", settings.url}, {"caaIdentities", json::array{"ca.test"}}};
    if (!settings.terms_of_service.empty())
        meta["termsOfService"] = settings.terms_of_service;
    if (settings.external_account_required)
        meta["externalAccountRequired"] = true;
    if (!settings.profiles.empty()) {
        json::object profiles;
        for (const auto& [name, lifetime] : settings.profiles)
            profiles[name] = "certificates for " + std::to_string(lifetime.count()) + " seconds";
        meta["profiles"] = std::move(profiles);
    }
    json::object body{
        {random_.token(11), settings.url + "/unknown-members-are-ignored"},
        {"newNonce", entrance("new-nonce")},
        {"newAccount", entrance("new-account")},
        {"newOrder", entrance("new-order")},
        {"revokeCert", entrance("revoke-cert")},
        {"keyChange", entrance("key-change")},
        {"meta", std::move(meta)},
    };
    if (settings.renewal_info)
        body["renewalInfo"] = entrance("renewal-info");
    return reply(200, body);
}

// RFC 8555 7.3.4
inline bool scripted_ca::is_external_account(const json::value& binding, call& one)
{
    const auto jws = open_jws(one.page, binding);
    if (!jws || jws->url() != one.request.url || jws->header.get_object().contains("nonce"))
        return false;
    const auto known = settings.external_accounts.find(std::string(jws->kid()));
    const auto key = read_jwk(one.page.parse(jws->payload));
    return known != settings.external_accounts.end() && key && key->thumbprint == one.jwk->thumbprint
           && is_authenticated_with(*jws, known->second);
}

// RFC 8555 7.3
inline http::outbound_response scripted_ca::new_account(call& one)
{
    const auto describe = [&](const account& which, unsigned status) {
        response out = reply(status, {{"status", "valid"}, {"contact", which.contact}});
        out.fields.emplace_back("Location", resource("account", which.number));
        return out;
    };
    if (one.payload.is_null()) {
        breach("newAccount without a payload");
        return problem(400, "malformed", "no payload");
    }
    const json::object& wanted = one.payload.get_object();
    if (const auto found = account_of_.find(one.jwk->thumbprint); found != account_of_.end()) {
        const account& known = accounts_.at(found->second);
        return known.deactivated ? problem(403, "unauthorized", "the account is deactivated") : describe(known, 200);
    }
    const json::value* const only = wanted.if_contains("onlyReturnExisting");
    if (only != nullptr && *only == json::value(true))
        return problem(400, "accountDoesNotExist", "no account has this key");
    const json::value* const agreed = wanted.if_contains("termsOfServiceAgreed");
    if (!settings.terms_of_service.empty() && (agreed == nullptr || *agreed != json::value(true)))
        return problem(403, "userActionRequired", "agree to " + settings.terms_of_service);
    const json::value* const binding = wanted.if_contains("externalAccountBinding");
    if (settings.external_account_required && binding == nullptr)
        return problem(403, "externalAccountRequired", "bind it to an external account");
    if (binding != nullptr && !is_external_account(*binding, one))
        return problem(403, "unauthorized", "the external account is not known, or its key is another");
    const json::value* const contact = wanted.if_contains("contact");
    account made;
    if (contact != nullptr && contact->is_array()) {
        made.contact = contact->get_array();
        for (const json::value& each : made.contact)
            if (!each.is_string() || !std::string_view(each.get_string()).starts_with("mailto:"))
                return problem(400, "unsupportedContact", "contacts are mailto: URLs");
    }
    if (exceeds(new_accounts_, settings.limits.accounts, "accounts"))
        return over_limit(new_accounts_.free_at(settings.limits.accounts));
    new_accounts_.add(settings.limits.accounts, world_.now());
    made.number = ++last_number_;
    made.key = std::move(*one.jwk);
    account_of_.emplace(made.key.thumbprint, made.number);
    return describe(accounts_.emplace(made.number, std::move(made)).first->second, 201);
}

// RFC 8555 7.3.2, 7.3.6
inline http::outbound_response scripted_ca::change_account(call& one)
{
    account& own = *one.by;
    if (one.parts.size() != 2 || one.parts[1] != std::to_string(own.number))
        return problem(403, "unauthorized", "not this account");
    if (one.payload.is_object()) {
        if (const json::value* const contact = one.payload.get_object().if_contains("contact"))
            own.contact = contact->is_array() ? contact->get_array() : json::array();
        own.deactivated = member_text(one.payload, "status") == "deactivated";
    }
    return reply(200, {{"status", own.deactivated ? "deactivated" : "valid"}, {"contact", own.contact}});
}

// RFC 8555 7.3.5
inline http::outbound_response scripted_ca::change_key(call& one)
{
    const auto inner = open_jws(one.page, one.payload);
    if (!inner || inner->jwk() == nullptr || inner->url() != one.request.url
        || inner->header.get_object().contains("nonce")) {
        breach("keyChange without a proper inner JWS");
        return problem(400, "malformed", "no inner JWS by the new key for this URL");
    }
    auto next = read_jwk(*inner->jwk());
    const json::value payload = one.page.parse(inner->payload);
    const json::value* const old = payload.is_object() ? payload.get_object().if_contains("oldKey") : nullptr;
    const auto old_key = old == nullptr ? std::nullopt : read_jwk(*old);
    if (!next || !old_key || old_key->thumbprint != one.by->key.thumbprint || !is_signed_with(*inner, *next)
        || member_text(payload, "account") != one.jws->kid()) {
        breach("keyChange for another account or with another key");
        return problem(400, "malformed", "the inner JWS is not what it should be");
    }
    if (const auto taken = account_of_.find(next->thumbprint); taken != account_of_.end()) {
        response out = problem(409, "conflict", "another account has this key");
        out.fields.emplace_back("Location", resource("account", taken->second));
        return out;
    }
    account_of_.erase(one.by->key.thumbprint);
    account_of_.emplace(next->thumbprint, one.by->number);
    one.by->key = std::move(*next);
    return reply(200, {{"status", "valid"}, {"contact", one.by->contact}});
}

}

#endif
