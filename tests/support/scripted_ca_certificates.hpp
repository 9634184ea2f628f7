// What the scripted CA issues, and what becomes of it (RFC 8555 7.4, 7.6, RFC 9773). Part of scripted_ca.hpp.
#ifndef ALOS_TESTS_SCRIPTED_CA_CERTIFICATES_HPP
#define ALOS_TESTS_SCRIPTED_CA_CERTIFICATES_HPP

#include "support/scripted_ca.hpp"

namespace test {

// RFC 8555 7.4
inline http::outbound_response scripted_ca::finalize(call& one)
{
    order* const found = one.parts.size() == 2 ? find_number(orders_, one.parts[1]) : nullptr;
    if (found == nullptr)
        return not_found();
    if (found->account != one.by->number)
        return problem(403, "unauthorized", "the order of another account");
    if (status_of(*found) != "ready")
        return problem(403, "orderNotReady", "the order is " + status_of(*found));
    const auto der = from_base64url(member_text(one.payload, "csr"));
    const auto request = der ? read_request(*der) : std::nullopt;
    const std::vector<std::string> names = names_of(found->identifiers);
    const auto bad = [&](const char* type, const std::string& why) {
        breach("finalize: " + why);
        return problem(400, type, why);
    };
    if (!request)
        return bad("badCSR", "not a CSR that can be read");
    if (request->names != std::set<std::string>(names.begin(), names.end()))
        return bad("badCSR", "the names in the CSR are not the order's");
    if (random_.chance(settings.verified_share) && !is_signed_by_its_key(*request))
        return bad("badCSR", "the CSR is not signed by its key");
    const std::size_t key = std::hash<std::string_view>{}(as_text(request->key_info));
    if (alos::equal(request->key_info, one.by->key.key_info))
        return bad("badPublicKey", "the key is the account's");
    if (!keys_.insert(key).second)
        return bad("badPublicKey", "the key was used before");

    issue(*found, request->key_info);
    response out = reply(200, body_of(*found));
    if (!strikes(&hostility::no_location))
        out.fields.emplace_back("Location", resource("order", found->number));
    if (status_of(*found) == "processing")
        add_retry_after(out, std::chrono::seconds(1 + random_.below(5)));
    return out;
}

inline void scripted_ca::issue(order& to, byte_view key_info)
{
    const time_point now = world_.now();
    const auto profile = settings.profiles.find(to.profile);
    const auto lifetime = profile == settings.profiles.end() ? settings.lifetime : profile->second;
    to.issued_at = now;
    if (strikes(&hostility::processing_for_hours)) {
        const std::chrono::seconds longest = settings.longest_processing;
        to.issued_at += random_.between(std::min(std::chrono::seconds(3600), longest), longest);
        unwilling_until(to.issued_at);
    } else if (random_.chance(0.7)) {
        to.issued_at += random_.between(std::chrono::milliseconds(0), settings.longest_issuance);
    }

    issued_certificate made;
    made.account = to.account;
    made.order = to.number;
    made.names = names_of(to.identifiers);
    made.issued_at = now;
    // Clocks of clients may be late; a short life has no hour to give away.
    const auto backdate = std::min(std::chrono::seconds(3600), lifetime / 10);
    made.not_before = std::chrono::floor<std::chrono::seconds>(now - backdate);
    made.not_after = made.not_before + lifetime - std::chrono::seconds(1);
    made.key_hash = std::hash<std::string_view>{}(as_text(key_info));
    made.is_rsa = alos::read_public_key(key_info).kind == alos::public_key_facts::type::rsa;

    const issuing_authority& authority = issuing_authority::shared();
    const byte_view foreign = authority.foreign_key_info();
    issuing_authority::leaf leaf{made.names, made.not_before, made.not_after, key_info};
    if (strikes(&hostility::other_key))
        leaf.key_info = foreign;
    if (strikes(&hostility::other_names))
        leaf.names.back() = "other.test";
    if (strikes(&hostility::expired_certificate)) {
        leaf.not_before -= std::chrono::hours(24 * 365);
        leaf.not_after = leaf.not_before + std::chrono::hours(1);
    }
    leaf.by_rogue = strikes(&hostility::broken_chain);
    made.good = !leaf.by_rogue && leaf.names == made.names && leaf.not_after == made.not_after
                && !alos::equal(leaf.key_info, foreign);
    made.der = authority.issue(leaf, random_);
    made.id = authority.key_identifier_text() + "." + to_base64url(serial_of(made.der));
    to.certificate = issued_.size();
    issued_by_id_.emplace(made.id, issued_.size());
    issued_for_[joined(made.names)].add(settings.limits.certificates_per_set, now);
    issued_.push_back(std::move(made));
}

// RFC 8555 7.4.2
inline http::outbound_response scripted_ca::download(call& one)
{
    const order* const found = one.parts.size() >= 2 ? find_number(orders_, one.parts[1]) : nullptr;
    if (found == nullptr || status_of(*found) != "valid")
        return not_found();
    if (found->account != one.by->number)
        return problem(403, "unauthorized", "the certificate of another account");
    issued_certificate& which = issued_[*found->certificate];
    const bool alternate = one.parts.size() == 3;
    if (one.parts.size() > 3 || (alternate && settings.alternates == 0))
        return not_found();
    which.delivered = true;
    response out;
    out.status = 200;
    out.fields.emplace_back("Content-Type", "application/pem-certificate-chain");
    out.body = as_text(alos::encode_pem("CERTIFICATE", which.der));
    out.body += issuing_authority::shared().issuers_pem(alternate ? 1 : 0);
    for (unsigned i = 1; i <= settings.alternates; ++i)
        out.fields.emplace_back("Link", "<" + resource("certificate", found->number) + "/" + std::to_string(i)
                                            + ">;rel=\"alternate\"");
    return out;
}

// RFC 9773 4
inline http::outbound_response scripted_ca::renewal_info(call& one)
{
    const auto found = one.parts.size() == 3 && settings.renewal_info ? issued_by_id_.find(std::string(one.parts[2]))
                                                                      : issued_by_id_.end();
    if (found == issued_by_id_.end())
        return problem(404, "malformed", "no certificate of that name");
    issued_certificate& which = issued_[found->second];
    const auto life = which.not_after - which.not_before;
    if (which.not_after > world_.now() && !which.revoked && strikes(&hostility::revocation))
        which.revoked = true;
    // 2 % of its life, around two thirds of it, or the half of a short one.
    auto centre = which.not_before + (life < std::chrono::hours(240) ? life / 2 : life * 2 / 3);
    if (strikes(&hostility::moving_window))
        centre = which.not_before + random_.between(life / 10, life * 9 / 10);
    time_point from = centre - life / 100;
    time_point to = centre + life / 100;
    if (which.revoked) {
        from = world_.now() - std::chrono::hours(2);
        to = world_.now() - std::chrono::hours(1);
    }
    which.window_start = from;
    which.earliest_window = std::min(which.earliest_window, from);
    std::string start = time_text(from);
    std::string end = time_text(to);
    json::object body;
    if (strikes(&hostility::malformed_window)) {
        switch (random_.below(5)) {
        case 0: std::swap(start, end); break;
        case 1: end = "the day after tomorrow"; break;
        case 2: end = "999999999-12-31T23:59:59Z"; break;
        case 3: start = std::string(200'000, '0'); break;
        default: body["suggestedWindow"] = json::array{start, 1e300, nullptr}; break;
        }
    }
    body.emplace("suggestedWindow", json::object{{"start", start}, {"end", end}});
    if (which.revoked)
        body["explanationURL"] = settings.url + "/why";
    response out = reply(200, body);
    const auto usual = std::min(settings.renewal_retry_after, std::chrono::ceil<std::chrono::seconds>(life / 20));
    out.fields.emplace_back("Retry-After", std::to_string(random_.between(usual * 8 / 10, usual * 12 / 10).count()));
    return out;
}

// RFC 8555 7.6
inline http::outbound_response scripted_ca::revoke_certificate(call& one)
{
    const auto der = from_base64url(member_text(one.payload, "certificate"));
    const std::string serial = der ? to_base64url(serial_of(as_bytes(*der))) : std::string();
    const auto found = issued_by_id_.find(issuing_authority::shared().key_identifier_text() + "." + serial);
    if (serial.empty() || found == issued_by_id_.end())
        return problem(404, "malformed", "not a certificate from here");
    issued_certificate& which = issued_[found->second];
    const bool own = one.by != nullptr && one.by->number == which.account;
    const bool by_its_key = one.jwk && std::hash<std::string_view>{}(as_text(one.jwk->key_info)) == which.key_hash;
    if (!own && !by_its_key)
        return problem(403, "unauthorized", "neither its account nor its key");
    if (const json::value* const reason = one.payload.get_object().if_contains("reason")) {
        const std::int64_t code = reason->is_int64() ? reason->get_int64() : -1;
        if (code != 0 && code != 1 && code != 4 && code != 5)
            return problem(400, "badRevocationReason", "0, 1, 4 or 5");
    }
    if (which.revoked)
        return problem(400, "alreadyRevoked", "it is revoked");
    which.revoked = true;
    return reply(200, {});
}

inline void scripted_ca::forget_expired()
{
    while (!to_forget_.empty() && to_forget_.front().first < world_.now()) {
        const std::uint64_t number = to_forget_.front().second;
        to_forget_.pop_front();
        if (const auto old = orders_.find(number); old != orders_.end()) {
            const auto replaced = issued_by_id_.find(old->second.replaces);
            if (old->second.certificate)
                issued_[*old->second.certificate].der = {};
            else if (replaced != issued_by_id_.end() && issued_[replaced->second].replaced_by == number)
                issued_[replaced->second].replaced_by = 0;
            orders_.erase(old);
        }
        const auto old = authorizations_.find(number);
        if (old != authorizations_.end() && old->second.expires < world_.now())
            authorizations_.erase(old);
    }
}

}

#endif
