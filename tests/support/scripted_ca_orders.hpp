// The scripted CA's orders, authorizations and challenges (RFC 8555 7.4, 7.5, 8, RFC 8737, RFC 8738).
// Part of scripted_ca.hpp.
#ifndef ALOS_TESTS_SCRIPTED_CA_ORDERS_HPP
#define ALOS_TESTS_SCRIPTED_CA_ORDERS_HPP

#include "support/scripted_ca.hpp"

namespace test {

inline std::optional<http::outbound_response> scripted_ca::read_identifiers(const json::value& payload,
                                                                            std::vector<identifier>& into)
{
    const auto malformed = [&](const std::string& why) {
        breach("newOrder: " + why);
        return problem(400, "malformed", why);
    };
    const json::value* const list = payload.is_object() ? payload.get_object().if_contains("identifiers") : nullptr;
    if (list == nullptr || !list->is_array() || list->get_array().empty() || list->get_array().size() > 100)
        return malformed("1 to 100 identifiers are wanted");
    if (payload.get_object().contains("notBefore") || payload.get_object().contains("notAfter"))
        return malformed("notBefore and notAfter are not taken here");
    std::set<std::string> seen;
    json::array refused;
    for (const json::value& each : list->get_array()) {
        const std::string_view type = member_text(each, "type");
        const std::string_view value = member_text(each, "value");
        const bool address = !alos::cert::ip_address(value).empty();
        if (alos::cert::parse_domain(value) != std::string(value) || type != (address ? "ip" : "dns"))
            return malformed("not an identifier in its one spelling: " + std::string(value));
        if (!seen.emplace(value).second)
            return malformed("twice the same identifier: " + std::string(value));
        const auto found = refusals_.find(std::string(value));
        if (found != refusals_.end() && found->second.first == "rejectedIdentifier"
            && world_.now() < found->second.second)
            refused.push_back(json::object{{"type", "urn:ietf:params:acme:error:rejectedIdentifier"},
                                           {"detail", "forbidden by policy"},
                                           {"identifier", each}});
        const bool wildcard = value.starts_with("*.");
        into.push_back({std::string(type), std::string(value.substr(wildcard ? 2 : 0)), wildcard});
    }
    if (refused.empty() && strikes(&hostility::rejected_identifier))
        refused.push_back(json::object{{"type", "urn:ietf:params:acme:error:rejectedIdentifier"},
                                       {"detail", "forbidden by policy"},
                                       {"identifier", list->get_array().front()}});
    if (!refused.empty())
        return problem(400, "rejectedIdentifier", "some identifiers are refused", std::move(refused));
    return std::nullopt;
}

// RFC 9773 5. `exempt` is whether limits do not count for this order.
inline std::optional<http::outbound_response>
scripted_ca::check_replaces(call& one, const std::vector<identifier>& wanted, const std::string& id, bool& exempt)
{
    const auto found = issued_by_id_.find(id);
    if (found == issued_by_id_.end())
        return problem(404, "malformed", "certificate not found");
    const issued_certificate& old = issued_[found->second];
    if (old.account != one.by->number)
        return problem(403, "unauthorized", "the certificate to replace belongs to another account");
    const std::vector<std::string> names = names_of(wanted);
    const auto in_both = [&](const std::string& name) { return std::ranges::count(old.names, name) != 0; };
    if (std::ranges::none_of(names, in_both)) {
        breach("replaces a certificate without a name in common");
        return problem(400, "malformed", "no identifier in common");
    }
    const auto other = orders_.find(old.replaced_by);
    const bool replaced = old.replaced_by != 0 && (other == orders_.end() || status_of(other->second) != "invalid");
    if (replaced)
        return problem(409, "alreadyReplaced", "another order replaces it");
    exempt = old.window_start != time_point() && world_.now() >= old.window_start;
    return std::nullopt;
}

// RFC 8555 7.4
inline http::outbound_response scripted_ca::new_order(call& one)
{
    account& own = *one.by;
    order made;
    if (auto refused = read_identifiers(one.payload, made.identifiers))
        return std::move(*refused);
    made.profile = member_text(one.payload, "profile");
    if (!made.profile.empty() && !settings.profiles.contains(made.profile))
        return problem(400, "invalidProfile", "no profile " + made.profile);
    bool exempt = false;
    made.replaces = member_text(one.payload, "replaces");
    if (!made.replaces.empty())
        if (auto refused = check_replaces(one, made.identifiers, made.replaces, exempt))
            return std::move(*refused);

    const std::vector<std::string> names = names_of(made.identifiers);
    if (!exempt) {
        tally& same = issued_for_[joined(names)];
        if (exceeds(same, settings.limits.certificates_per_set, "certificates for " + joined(names))) {
            const time_point free_at = same.free_at(settings.limits.certificates_per_set);
            for (const std::string& name : names)
                refused_[name].add(world_.now(), free_at);
            response out = problem(429, "rateLimited", "too many certificates for this exact set of identifiers");
            add_retry_after(out, std::chrono::ceil<std::chrono::seconds>(free_at - world_.now()));
            return out;
        }
        if (exceeds(own.orders, settings.limits.orders_per_account, "orders of one account"))
            return over_limit(own.orders.free_at(settings.limits.orders_per_account));
        own.orders.add(settings.limits.orders_per_account, world_.now());
    }
    for (const identifier& each : made.identifiers) {
        const auto failures = own.failures.find(each.name());
        const limit& allowed = settings.limits.failed_validations;
        if (failures == own.failures.end() || !settings.enforces_limits
            || !failures->second.is_full(allowed, world_.now()))
            continue;
        const time_point free_at = failures->second.free_at(allowed);
        refused_[each.name()].add(world_.now(), free_at);
        response out = problem(429, "rateLimited", "too many failed authorizations for " + each.name());
        add_retry_after(out, std::chrono::ceil<std::chrono::seconds>(free_at - world_.now()));
        return out;
    }

    made.number = ++last_number_;
    made.account = own.number;
    made.expires = world_.now() + settings.order_lifetime;
    random_.shuffle(made.identifiers);
    for (const identifier& each : made.identifiers)
        made.authorizations.push_back(authorize(own, each, made));
    random_.shuffle(made.authorizations);
    if (strikes(&hostility::deactivated_authorization))
        authorizations_.at(made.authorizations.front()).status = "deactivated";
    made.foreign = strikes(&hostility::foreign_identifiers);
    made.never_ready = strikes(&hostility::never_ready);
    made.odd = strikes(&hostility::unknown_status);
    if (!made.replaces.empty())
        issued_[issued_by_id_.at(made.replaces)].replaced_by = made.number;
    to_forget_.emplace_back(made.expires + std::chrono::hours(24), made.number);
    const order& kept = orders_.emplace(made.number, std::move(made)).first->second;
    response out = reply(201, body_of(kept));
    out.fields.emplace_back("Location", resource("order", kept.number));
    return out;
}

// RFC 8555 7.1.4, RFC 8737, RFC 8738. The number of an authorization for `what`, perhaps one that is valid already.
inline std::uint64_t scripted_ca::authorize(const account& by, const identifier& what, const order& in)
{
    const std::string key = std::to_string(by.number) + " " + what.name();
    if (settings.authorization_reuse.count() > 0) {
        const auto found = reusable_.find(key);
        const auto old = found == reusable_.end() ? authorizations_.end() : authorizations_.find(found->second);
        if (old != authorizations_.end() && status_of(old->second) == "valid")
            return old->first;
    }
    authorization made;
    made.number = ++last_number_;
    made.account = by.number;
    made.of = what;
    made.expires = in.expires;
    std::vector<std::string> types{"dns-01"};
    if (what.type == "ip")
        types = {"http-01", "tls-alpn-01"};
    else if (!what.wildcard)
        types = {"http-01", "dns-01", "tls-alpn-01", "carrier-pigeon-01"};
    random_.shuffle(types);
    for (std::string& type : types) {
        challenge one;
        one.type = std::move(type);
        one.token = random_.token(43);
        made.challenges.push_back(std::move(one));
    }
    to_forget_.emplace_back(made.expires + std::chrono::hours(24), made.number);
    const std::uint64_t number = made.number;
    authorizations_.emplace(number, std::move(made));
    return number;
}

inline std::string scripted_ca::status_of(const authorization& which) const
{
    const bool open = which.status == "pending" || which.status == "valid";
    return open && which.expires <= world_.now() ? "expired" : which.status;
}

// RFC 8555 7.1.6
inline std::string scripted_ca::status_of(const order& which) const
{
    if (which.odd)
        return "wondering";
    if (which.certificate)
        return which.issued_at <= world_.now() ? "valid" : "processing";
    if (which.expires <= world_.now())
        return "invalid";
    bool all_valid = true;
    for (const std::uint64_t number : which.authorizations) {
        const auto found = authorizations_.find(number);
        const std::string status = found == authorizations_.end() ? "expired" : status_of(found->second);
        if (status != "valid" && status != "pending")
            return "invalid";
        all_valid = all_valid && status == "valid";
    }
    return all_valid && !which.never_ready ? "ready" : "pending";
}

inline json::object scripted_ca::body_of(const order& which)
{
    const std::string status = status_of(which);
    json::array authorizations;
    for (const std::uint64_t number : which.authorizations)
        authorizations.emplace_back(resource("authorization", number));
    json::object body{
        {"status", status},
        {"expires", time_text(which.expires)},
        {"identifiers", identifiers_of(which.identifiers)},
        {"authorizations", std::move(authorizations)},
        {"finalize", resource("finalize", which.number)},
    };
    if (which.foreign)
        body["identifiers"].get_array().back() = json::object{{"type", "dns"}, {"value", "foreign.test"}};
    if (!which.profile.empty())
        body["profile"] = which.profile;
    if (!which.replaces.empty())
        body["replaces"] = which.replaces;
    if (status == "valid")
        body["certificate"] = resource("certificate", which.number);
    if (status == "invalid")
        body["error"] = json::object{{"type", "urn:ietf:params:acme:error:unauthorized"},
                                     {"detail", "an authorization failed or expired"}};
    return body;
}

inline json::object scripted_ca::body_of(const authorization& of, std::size_t index)
{
    const challenge& one = of.challenges[index];
    json::object body{
        {"type", one.type},
        {"url", resource("challenge", of.number) + "/" + std::to_string(index)},
        {"token", one.token},
        {"status", one.status},
    };
    if (one.status == "valid")
        body["validated"] = time_text(one.validated);
    if (!one.error_type.empty())
        body["error"] = json::object{{"type", "urn:ietf:params:acme:error:" + one.error_type},
                                     {"detail", "the answer for " + of.of.name() + " was not seen"},
                                     {"status", 403}};
    return body;
}

inline json::object scripted_ca::body_of(const authorization& which)
{
    json::array challenges;
    for (std::size_t i = 0; i < which.challenges.size(); ++i)
        challenges.emplace_back(body_of(which, i));
    json::object body{
        {"status", status_of(which)},
        {"expires", time_text(which.expires)},
        {"identifier", json::object{{"type", which.of.type}, {"value", which.of.value}}},
        {"challenges", std::move(challenges)},
    };
    if (which.of.wildcard)
        body["wildcard"] = true;
    return body;
}

inline http::outbound_response scripted_ca::show_order(call& one)
{
    const order* const found = one.parts.size() == 2 ? find_number(orders_, one.parts[1]) : nullptr;
    if (found == nullptr)
        return not_found();
    if (found->account != one.by->number)
        return problem(403, "unauthorized", "the order of another account");
    response out = reply(200, body_of(*found));
    if (status_of(*found) == "processing" && random_.chance(0.7)) {
        const auto left = std::chrono::ceil<std::chrono::seconds>(found->issued_at - world_.now());
        add_retry_after(out, std::min(left, std::chrono::seconds(600)));
    }
    return out;
}

// RFC 8555 7.5, 7.5.2
inline http::outbound_response scripted_ca::show_authorization(call& one)
{
    authorization* const found = one.parts.size() == 2 ? find_number(authorizations_, one.parts[1]) : nullptr;
    if (found == nullptr)
        return not_found();
    if (found->account != one.by->number)
        return problem(403, "unauthorized", "the authorization of another account");
    if (one.payload.is_object()) {
        if (member_text(one.payload, "status") != "deactivated") {
            breach("a change of an authorization that is no deactivation");
            return problem(400, "malformed", "only deactivation");
        }
        found->status = "deactivated";
    }
    response out = reply(200, body_of(*found));
    if (found->status == "pending" && random_.chance(0.5))
        add_retry_after(out, std::chrono::seconds(1 + random_.below(3)));
    return out;
}

// RFC 8555 7.5.1
inline http::outbound_response scripted_ca::answer_challenge(call& one)
{
    authorization* const found = one.parts.size() == 3 ? find_number(authorizations_, one.parts[1]) : nullptr;
    const std::size_t index = one.parts.size() == 3 ? std::string_view("0123").find(one.parts[2]) : 9;
    if (found == nullptr || index >= found->challenges.size())
        return not_found();
    if (found->account != one.by->number)
        return problem(403, "unauthorized", "the challenge of another account");
    challenge& chosen = found->challenges[index];
    if (one.payload.is_object() && chosen.type == "carrier-pigeon-01") {
        breach("a challenge of an unknown type is answered");
        return problem(400, "malformed", "no pigeons today");
    }
    if (one.payload.is_object() && status_of(*found) == "pending") {
        if (chosen.status == "pending") {
            chosen.status = "processing";
            const auto wait = random_.between(std::chrono::milliseconds(100), settings.longest_validation);
            world_.after(wait, [this, number = found->number, index, thumbprint = one.by->key.thumbprint] {
                validate(number, index, thumbprint);
            });
        } else if (chosen.status == "processing") {
            breach("a challenge is answered while it is processing");
        }
    }
    response out = reply(200, body_of(*found, index));
    out.fields.emplace_back("Link", "<" + resource("authorization", found->number) + ">;rel=\"up\"");
    return out;
}

// Looks for the answer from several places, as the world shows it now.
inline void scripted_ca::validate(std::uint64_t number, std::size_t index, const std::string& thumbprint)
{
    const auto found = authorizations_.find(number);
    if (found == authorizations_.end() || status_of(found->second) != "pending")
        return;
    authorization& which = found->second;
    challenge& one = which.challenges[index];
    const auto refused = refusals_.find(which.of.name());
    if (refused != refusals_.end() && refused->second.first != "rejectedIdentifier"
        && world_.now() < refused->second.second)
        one.error_type = refused->second.first;
    else if (strikes(&hostility::caa))
        one.error_type = "caa";
    else if (strikes(&hostility::failed_validation))
        one.error_type = "connection";
    for (unsigned i = 0; i < settings.perspectives && one.error_type.empty(); ++i)
        one.error_type = find_fault(which, one, thumbprint);
    one.validated = world_.now();
    which.status = one.status = one.error_type.empty() ? "valid" : "invalid";
    if (which.status == "valid") {
        if (settings.authorization_reuse.count() > 0) {
            which.expires = world_.now() + settings.authorization_reuse;
            to_forget_.emplace_back(which.expires + std::chrono::hours(24), number);
            reusable_[std::to_string(which.account) + " " + which.of.name()] = number;
        }
        return;
    }
    const auto by = accounts_.find(which.account);
    if (by == accounts_.end())
        return;
    tally& failures = by->second.failures[which.of.name()];
    exceeds(failures, settings.limits.failed_validations, "failed validations of " + which.of.name());
    failures.add(settings.limits.failed_validations, world_.now());
}

// RFC 8555 8.3, 8.4, RFC 8737 3. Empty when the answer is right, else the type of the error.
inline std::string scripted_ca::find_fault(const authorization& which, const challenge& one,
                                           const std::string& thumbprint)
{
    const std::string& name = which.of.value;
    const std::string expected = one.token + "." + thumbprint;
    const alos::cert::ip_address address(name);
    if (one.type == "http-01") {
        http::outbound_request get;
        const bool bracketed = address.bytes().size() == 16;
        get.url = "http://" + (bracketed ? "[" + name + "]" : name) + "/.well-known/acme-challenge/" + one.token;
        get.max_redirects = 10;
        get.max_body = 8192;
        const auto answer = world_.fetch(std::move(get));
        if (!answer)
            return "connection";
        std::string_view body = answer->body;
        while (!body.empty() && (body.back() == '\n' || body.back() == '\r' || body.back() == ' '))
            body.remove_suffix(1);
        return answer->status == 200 && body == expected ? "" : "incorrectResponse";
    }
    if (one.type == "dns-01") {
        const std::string digest = to_base64url(alos::sha256_of(as_bytes(expected)));
        const dns::answer found = world_.resolve("_acme-challenge." + name, dns::record_type::txt);
        const bool there = std::ranges::any_of(found.records, [&](const dns::record& each) {
            return each.type == dns::record_type::txt && each.text == digest;
        });
        return there ? "" : found.records.empty() ? "dns" : "incorrectResponse";
    }
    alos::acme::tls_probe probe{address.empty() ? name : address.text(), 443, name, "acme-tls/1"};
    if (!address.empty())
        probe.server_name = reverse_name_of(address);
    const auto leaf = world_.probe(probe);
    if (!leaf)
        return "tls";
    return answers_tls_alpn_01(*leaf, name, expected) ? "" : "incorrectResponse";
}

}

#endif
