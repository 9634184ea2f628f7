// From the configuration to the certificates that are cared for. Pure.
#ifndef ALOS_ACME_CONFIGURED_HPP
#define ALOS_ACME_CONFIGURED_HPP

#include <alos/acme/base64url.hpp>
#include <alos/acme/managed_certificate.hpp>
#include <alos/acme/provable.hpp>
#include <alos/crypto/botan_x509.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// Whether an entry of the configuration, which names something, is that of the certificates for `domain`.
[[nodiscard]] inline bool is_of(const certificate_names& configured, const std::string& domain)
{
    const auto first = identifier_of(configured.names.front());
    return first && first->value == domain;
}

// The entries of before that none of `wanted` takes the place of.
[[nodiscard]] inline std::vector<certificate_names> not_said_anew(std::vector<certificate_names> before,
                                                                  const std::vector<certificate_names>& wanted)
{
    std::erase_if(before, [&](const certificate_names& each) {
        const auto first = identifier_of(each.names.front());
        return std::ranges::any_of(wanted, [&](const certificate_names& other) {
            return !other.names.empty() && first && is_of(other, first->value);
        });
    });
    return before;
}

// Two certificates of the configuration. Fails when they would be kept under the same name and are not the same.
[[nodiscard]] inline outcome<> check_apart(const std::vector<identifier>& one, const std::vector<identifier>& other)
{
    if (one.front() != other.front() || same_identifiers(one, other))
        return {};
    return failure{errc::bad_configuration,
                   "there are two certificates by the first name " + one.front().value + ", one for "
                       + join(values_of(one)) + " and one for " + join(values_of(other))
                       + "; name them in one entry, or let another name come first"};
}

// What, when it changes, is worth another attempt.
[[nodiscard]] inline std::string configuration_of(const managed_certificate& of, const config& settings)
{
    std::string all = of.email;
    for (const identifier& each : of.names)
        all += "\n" + each.value;
    for (const certificate_authority& each : settings.cas) {
        all += "\n" + each.directory + " " + each.eab_kid + " " + each.eab_hmac_key_file + " " + each.profile + " "
               + each.preferred_chain + " " + each.roots_file + " "
               + to_base64url(byte_view(sha256_of(as_bytes(as_text(each.eab_hmac_key)))).first(9));
        for (const rate& limit : {each.orders, each.accounts, each.certificates, each.failed_validations})
            all += " " + std::to_string(limit.burst) + "/" + std::to_string(limit.refill.count());
    }
    for (const challenge_type each : settings.challenges)
        all.append("\n").append(name_of(each));
    all += settings.dns ? "\ndns" : "";
    return to_base64url(byte_view(sha256_of(as_bytes(all))).first(12));
}

// What of the settings is kept with a certificate, whose own are there.
inline void apply(managed_certificate& of, const config& settings)
{
    of.configuration = configuration_of(of, settings);
    of.authorities.clear();
    for (const certificate_authority& each : settings.cas)
        of.authorities.push_back(each.directory);
}

// Those of one entry, one for each type of key.
[[nodiscard]] inline outcome<certificate_list> configured_certificates(const certificate_names& from,
                                                                       const config& settings)
{
    if (from.names.empty())
        return failure{errc::bad_configuration, "acme: an entry of `domains` names nothing"};
    std::vector<identifier> names;
    for (const std::string& each : from.names) {
        auto name = identifier_of(each);
        if (!name)
            return name.error();
        if (auto provable = check_provable(settings, *name); !provable)
            return provable.error();
        if (std::ranges::count(names, *name) == 0)
            names.push_back(std::move(*name));
    }
    if (names.size() > detail::max_identifiers)
        return failure{errc::bad_configuration, names.front().value + ": a certificate has 100 names at most"};
    certificate_list list;
    for (const key_kind key : settings.key_types) {
        auto one = std::make_shared<managed_certificate>();
        one->domain = names.front().value;
        one->id = id_of_certificate(one->domain, key);
        one->names = names;
        one->key = key;
        one->email = from.email.empty() ? settings.email : from.email;
        apply(*one, settings);
        list.push_back(std::move(one));
    }
    return list;
}

// Adds an entry, in the place of one for the same names that is there. Returns its certificates; what fails changes
// nothing.
[[nodiscard]] inline outcome<certificate_list> put_entry(std::vector<certificate_names>& entries,
                                                         certificate_names next, const config& settings)
{
    auto made = configured_certificates(next, settings);
    if (!made || made->empty())
        return made;
    const managed_certificate& first = *made->front();
    const auto before = std::ranges::find_if(entries, [&](const auto& other) { return is_of(other, first.domain); });
    if (before != entries.end()) {
        const auto known = configured_certificates(*before, settings);
        if (const auto apart = known ? check_apart(known->front()->names, first.names) : outcome<>(); !apart)
            return apart.error();
        *before = std::move(next);
        return made;
    }
    entries.push_back(std::move(next));
    return made;
}

// All that a manager would make of these entries, as long as nobody has looked what there is.
[[nodiscard]] inline std::vector<certificate_status> statuses_of(const config& settings)
{
    std::vector<certificate_names> entries;
    for (const certificate_names& each : settings.domains)
        static_cast<void>(put_entry(entries, each, settings));
    std::vector<certificate_status> all;
    for (const certificate_names& each : entries) {
        const auto made = configured_certificates(each, settings);
        for (const auto& one : *made) {
            all.push_back(status_of(*one, {}));
            all.back().ca = settings.cas.empty() ? std::string() : settings.cas.front().directory;
        }
    }
    return all;
}

}

#endif
