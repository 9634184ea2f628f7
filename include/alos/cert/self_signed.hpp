// Self-signed certificates for development: made in memory, or kept in two files and used again.
#ifndef ALOS_CERT_SELF_SIGNED_HPP
#define ALOS_CERT_SELF_SIGNED_HPP

#include <alos/cert/files.hpp>
#include <alos/cert/load.hpp>
#include <alos/crypto/botan_issue.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::cert {

inline constexpr std::chrono::hours self_signed_lifetime{24 * 365};

// A certificate and its key, both PEM.
struct pem_pair {
    std::string certificate;
    secret_text key;
};

// A certificate for these domains (host names, wildcards, IP addresses), valid from an hour before `now`, for clients
// whose clock is late, until 365 days after.
[[nodiscard]] inline outcome<pem_pair> make_self_signed(const std::vector<std::string>& domains, system_time now,
                                                        key_kind kind = key_kind::ecdsa_p256)
{
    certificate_spec spec;
    for (const std::string& domain : domains) {
        const auto spelled = parse_domain(domain);
        if (!spelled)
            return failure{errc::bad_name, "'" + domain + "' is no host name and no IP address; write it like "
                                                          "www.example.com, and other alphabets as xn-- labels"};
        if (const ip_address address(*spelled); !address.empty())
            spec.addresses.emplace_back(address.bytes().begin(), address.bytes().end());
        else
            spec.dns_names.push_back(*spelled);
        if (spec.common_name.empty() && spelled->size() <= 64)
            spec.common_name = *spelled;
    }
    if (spec.common_name.empty())
        spec.common_name = "alos self-signed";
    spec.not_before = now - std::chrono::hours{1};
    spec.not_after = now + self_signed_lifetime;

    const auto key = private_key::generate(kind);
    if (!key)
        return key.error();
    const auto der = issue_self_signed(spec, **key);
    if (!der)
        return der.error();
    return pem_pair{std::string(as_text(encode_pem("CERTIFICATE", *der))), (*key)->to_pem()};
}

[[nodiscard]] inline outcome<credential_ptr> make_credential(const pem_pair& pair, const load_options& options)
{
    return make_credential(pair.certificate, as_text(pair.key), options);
}

// Whether the certificate names the domain, itself or by a wildcard. `domain` as parse_domain() spells it.
[[nodiscard]] inline bool names_domain(const description& about, std::string_view domain)
{
    if (!ip_address(domain).empty())
        return std::ranges::count(about.addresses, domain) != 0;
    const std::string_view parent = parent_of(domain);
    return std::ranges::count(about.names, domain) != 0
           || (!parent.empty() && std::ranges::count(about.names, "*." + std::string(parent)) != 0);
}

// Where self-signed certificates are kept.
struct self_signed_files {
    std::string certificate = ".alos-cert.pem";
    std::string key = ".alos-key.pem"; // readable by its owner only
};

struct kept_credential {
    credential_ptr credential;
    std::string warning; // why it is not in the files; empty when it is
};

namespace detail {

// What is in the files, if it can still serve.
inline credential_ptr reusable(const self_signed_files& files, const std::vector<std::string>& domains,
                               system_time now)
{
    const auto certificate = read_pem_file(files.certificate);
    const auto key = read_pem_file(files.key);
    if (!certificate || !key)
        return nullptr;
    const auto kept = make_credential(as_text(*certificate), as_text(*key), {.from = source::self_signed});
    if (!kept || now < (*kept)->about.not_before || now >= (*kept)->about.not_after)
        return nullptr;
    const auto is_named = [&](const std::string& domain) {
        const auto spelled = parse_domain(domain);
        return spelled && names_domain((*kept)->about, *spelled);
    };
    return std::ranges::all_of(domains, is_named) ? *kept : nullptr;
}

inline outcome<> save(const pem_pair& made, const self_signed_files& files)
{
    // The key first: a certificate without its key would be the worse half to be left with.
    if (auto saved = write_file(files.key, as_bytes(as_text(made.key)), 0600); !saved)
        return saved;
    return write_file(files.certificate, as_bytes(made.certificate), 0644);
}

}

// The certificate in the files when it is valid at `now` and names all domains, else a new one, which is saved there.
// Serving goes on without the files when they cannot be written: then there is a warning, and the next start makes
// another.
[[nodiscard]] inline outcome<kept_credential> ensure_self_signed(const std::vector<std::string>& domains,
                                                                 system_time now, const self_signed_files& files = {})
{
    if (credential_ptr kept = detail::reusable(files, domains, now))
        return kept_credential{std::move(kept), {}};
    const auto made = make_self_signed(domains, now);
    if (!made)
        return made.error();
    const auto fresh = make_credential(*made, {.from = source::self_signed});
    if (!fresh)
        return fresh.error();
    kept_credential result{*fresh, {}};
    if (const auto saved = detail::save(*made, files); !saved)
        result.warning = "the self-signed certificate is served from memory and is lost with the next start: "
                         + saved.error().what;
    return result;
}

}

#endif
