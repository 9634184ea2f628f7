// Makes credentials from PEM: finds the key's certificate, puts the chain in order, and refuses what cannot serve.
#ifndef ALOS_CERT_LOAD_HPP
#define ALOS_CERT_LOAD_HPP

#include <alos/cert/credential.hpp>
#include <alos/cert/names.hpp>
#include <alos/crypto/botan_issue.hpp>
#include <alos/tls13/certificate.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace alos::inline v0::cert {

struct load_options {
    std::string_view passphrase{};       // of an encrypted key
    std::string_view certificate_file{}; // for messages; empty for PEM from memory
    std::string_view key_file{};         // the same
    source from = source::manual;
    std::size_t min_rsa_bits = 2048; // NIST SP 800-57; no browser accepts less
};

// A private key in this process, by Botan.
class local_key final : public signing_key {
public:
    local_key(private_key_ptr key, std::vector<signature_scheme> schemes, bool is_quick)
        : key_(std::move(key)), schemes_(std::move(schemes)), is_quick_(is_quick)
    {
    }

    [[nodiscard]] std::span<const signature_scheme> schemes() const noexcept override { return schemes_; }

    [[nodiscard]] result<byte_vector> sign(signature_scheme scheme, byte_view content) const override
    {
        if (std::ranges::count(schemes_, scheme) == 0)
            return make_error_code(errc::unsupported_key);
        return key_->sign(scheme, content);
    }

    // RSA takes a millisecond, which other connections would wait for.
    [[nodiscard]] bool immediate() const noexcept override { return is_quick_; }

private:
    const private_key_ptr key_;
    const std::vector<signature_scheme> schemes_;
    const bool is_quick_;
};

namespace detail {

inline constexpr std::size_t max_chain_length = 10; // what common clients follow

inline failure in_file(std::string_view file, failure why)
{
    if (!file.empty())
        why.what = std::string(file) + ": " + why.what;
    return why;
}

// "the private key api-key.pem", or without a name for one from memory.
inline std::string the_private_key(const load_options& options)
{
    return options.key_file.empty() ? "the private key" : "the private key " + std::string(options.key_file);
}

inline outcome<std::vector<certificate>> read_certificates(const std::vector<pem_block>& blocks)
{
    std::vector<certificate> found;
    for (const pem_block& block : blocks) {
        if (block.label != "CERTIFICATE" && block.label != "X509 CERTIFICATE")
            continue;
        const std::string which = "certificate " + std::to_string(found.size() + 1);
        const auto der = decode_pem(block);
        if (!der)
            return failure{errc::bad_pem, which + " is not valid base64; the file is damaged"};
        auto read = parse_certificate({der->begin(), der->end()});
        if (!read)
            return failure{read.error(), which + " cannot be read as X.509; the file is damaged"};
        found.push_back(std::move(*read));
    }
    if (!found.empty())
        return found;
    const bool has_key = std::ranges::any_of(blocks, is_private_key);
    return failure{errc::bad_pem, has_key ? "it holds a private key and no certificate; are the two files swapped?"
                                          : "it holds " + std::string(blocks.front().label) + " and no CERTIFICATE"};
}

// All keys of a bundle. Fails at the first that cannot be read.
inline outcome<std::vector<private_key_ptr>> read_keys(const std::vector<pem_block>& blocks,
                                                       std::string_view passphrase)
{
    std::vector<private_key_ptr> keys;
    secret_bytes ec_parameters;
    for (const pem_block& block : blocks) {
        if (block.label == "EC PARAMETERS") {
            if (auto der = decode_pem(block))
                ec_parameters = std::move(*der);
        }
        if (!is_private_key(block))
            continue;
        auto key = parse_private_key(block, passphrase, ec_parameters);
        if (!key)
            return key.error();
        keys.push_back(*key);
    }
    if (keys.empty())
        return failure{errc::bad_pem, "it holds no private key; name the file that has the key"};
    return keys;
}

// What people know it by. RFC 5280 4.1.2.6: what has no name is known by its alternative ones.
inline std::string subject_of(const certificate& one)
{
    constexpr std::size_t empty_name = 2;
    if (one.subject.size() <= empty_name) {
        for (const std::string_view name : one.dns_names)
            if (auto spelled = parse_domain(name); spelled && ip_address(name).empty())
                return std::move(*spelled);
        if (!one.addresses.empty())
            return ip_address(one.addresses.front()).text();
    }
    return name_text(one.subject);
}

// The chain from `leaf` upwards, as indexes. Certificates that issued none of it are an error, except for copies and
// for other certificates of an issuer that is in the chain already.
inline outcome<std::vector<std::size_t>> order_chain(const std::vector<certificate>& all, std::size_t leaf)
{
    std::vector<std::size_t> chain{leaf};
    std::vector<bool> has_a_place(all.size());
    has_a_place[leaf] = true;
    while (!is_self_signed(all[chain.back()])) {
        const certificate& last = all[chain.back()];
        std::optional<std::size_t> next;
        bool is_named = false;
        bool is_linked = false;
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (i == leaf || !equal(all[i].subject, last.issuer))
                continue;
            is_named = true;
            if (!is_signed_by(last, all[i]))
                continue;
            is_linked = true;
            has_a_place[i] = true;
            const bool in_chain = std::ranges::count(chain, i) != 0;
            // One that another authority signed reaches more clients than a root.
            if (!in_chain && (!next || (is_self_signed(all[*next]) && !is_self_signed(all[i]))))
                next = i;
        }
        if (is_named && !is_linked)
            return failure{errc::broken_chain, "the certificate for " + subject_of(last)
                                                   + " is not signed by the key of " + name_text(last.issuer)
                                                   + " that stands beside it; get the matching intermediate from the "
                                                     "authority"};
        if (!next)
            break;
        chain.push_back(*next);
        if (chain.size() > max_chain_length)
            return failure{errc::broken_chain, "the chain is longer than 10 certificates, which clients do not follow; "
                                               "leave out what is not needed"};
    }
    const certificate& last = all[chain.back()];
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto is_copy = [&](std::size_t other) { return equal(all[other].der, all[i].der); };
        if (has_a_place[i] || std::ranges::any_of(chain, is_copy))
            continue;
        return failure{errc::broken_chain,
                       "certificate " + std::to_string(i + 1) + " (" + name_text(all[i].subject)
                           + ") issued nothing in the chain of " + subject_of(all[leaf]) + "; remove it"
                           + (is_self_signed(last) ? "" : ", or add the certificate of " + name_text(last.issuer)
                                                               + " if that is missing between them")};
    }
    return chain;
}

// Refuses what no client of today accepts.
inline outcome<> check_usable(const std::vector<certificate>& all, const std::vector<std::size_t>& chain,
                              const load_options& options)
{
    const certificate& leaf = all[chain.front()];
    const bool is_rsa = leaf.key.bits != 0;
    if (schemes_of(leaf.key).empty())
        return failure{errc::unsupported_key,
                       "TLS 1.3 cannot be served here with " + leaf.key.text
                           + "; use ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits or more"};
    if (is_rsa && leaf.key.bits < options.min_rsa_bits)
        return failure{errc::unsupported_key, leaf.key.text + " is too small for any client; use at least "
                                                  + std::to_string(options.min_rsa_bits) + " bits, or ECDSA P-256"};
    for (const std::size_t i : chain)
        if (all[i].signature.is_weak && !is_self_signed(all[i]))
            return failure{errc::bad_certificate,
                           "the certificate for " + name_text(all[i].subject)
                               + " is signed with MD5 or SHA-1, which no client accepts; have it issued again with "
                                 "SHA-256"};
    return {};
}

// RFC 5280 4.2.1.6; a certificate without such names is known by its common name only, which no client of today uses.
inline description describe(const certificate& leaf)
{
    description about;
    for (const std::string_view name : leaf.dns_names)
        if (auto spelled = parse_domain(name); spelled && ip_address(name).empty())
            about.names.push_back(std::move(*spelled));
    for (const byte_view address : leaf.addresses)
        about.addresses.push_back(ip_address(address).text());
    about.subject = subject_of(leaf);
    about.issuer = name_text(leaf.issuer);
    about.not_before = leaf.not_before;
    about.not_after = leaf.not_after;
    about.key_type = leaf.key.text;
    about.fingerprint = sha256_of(leaf.der);
    return about;
}

// What a client that is asked for `certificate_schemes` calls this signature (RFC 8446 4.2.3).
inline signature_scheme scheme_of(const certificate& signed_one, const certificate* issuer)
{
    const signature_scheme scheme = signed_one.signature.scheme;
    if (!issuer || issuer->key.kind != public_key_facts::type::rsa_pss)
        return scheme;
    switch (scheme) {
    case signature_scheme::rsa_pss_rsae_sha256: return signature_scheme::rsa_pss_pss_sha256;
    case signature_scheme::rsa_pss_rsae_sha384: return signature_scheme::rsa_pss_pss_sha384;
    case signature_scheme::rsa_pss_rsae_sha512: return signature_scheme::rsa_pss_pss_sha512;
    default: return scheme;
    }
}

// A key whose halves differ, or that is damaged, shows here and not in the first handshake.
inline bool signs_correctly(const signing_key& key, const certificate& leaf)
{
    const byte_vector content = tls13::signed_content({});
    const signature_scheme scheme = key.schemes().front();
    const auto signature = key.sign(scheme, content);
    return signature && verifies(leaf, scheme, content, *signature);
}

// The credential of the certificate `leaf` among `all`, whose key is `key`.
inline outcome<credential_ptr> assemble(const std::vector<certificate>& all, std::size_t leaf,
                                        std::shared_ptr<const signing_key> key, const load_options& options)
{
    const auto chain = order_chain(all, leaf);
    if (!chain)
        return in_file(options.certificate_file, chain.error());
    if (auto usable = check_usable(all, *chain, options); !usable)
        return in_file(options.certificate_file, usable.error());

    auto made = std::make_shared<credential>();
    for (std::size_t i = 0; i < chain->size(); ++i) {
        const certificate& one = all[(*chain)[i]];
        const bool self_signed = is_self_signed(one);
        // RFC 8446 4.4.2: a trust anchor may be left out; clients have it.
        if (i == 0 || !self_signed)
            made->chain.push_back(one.der);
        if (!self_signed)
            made->chain_schemes.push_back(scheme_of(one, i + 1 < chain->size() ? &all[(*chain)[i + 1]] : nullptr));
    }
    made->key = std::move(key);
    made->certificate_message = tls13::encode_certificate(made->chain);
    made->about = describe(all[leaf]);
    made->from = options.from;
    return credential_ptr(std::move(made));
}

inline outcome<std::vector<certificate>> read_chain(std::string_view chain_pem, const load_options& options)
{
    const auto blocks = parse_pem(chain_pem);
    if (!blocks)
        return in_file(options.certificate_file, blocks.error());
    auto all = read_certificates(*blocks);
    if (!all)
        return in_file(options.certificate_file, all.error());
    return all;
}

}

// The credential of a certificate chain and its key, both PEM. The key may stand in `chain_pem`; then `key_pem` is
// empty. Certificates may come in any order.
[[nodiscard]] inline outcome<credential_ptr> make_credential(std::string_view chain_pem, std::string_view key_pem,
                                                             const load_options& options = {})
{
    const auto all = detail::read_chain(chain_pem, options);
    if (!all)
        return all.error();
    const std::string_view key_file = options.key_file.empty() ? options.certificate_file : options.key_file;
    const auto blocks = parse_pem(key_pem.empty() ? chain_pem : key_pem);
    if (!blocks)
        return detail::in_file(key_file, blocks.error());
    const auto keys = detail::read_keys(*blocks, options.passphrase);
    if (!keys)
        return detail::in_file(key_file, keys.error());

    for (std::size_t leaf = 0; leaf < all->size(); ++leaf) {
        const certificate& owner = (*all)[leaf];
        const auto is_its_key = [&](const private_key_ptr& one) { return belongs_to(*one, owner); };
        const auto key = std::ranges::find_if(*keys, is_its_key);
        if (key == keys->end())
            continue;
        const auto signer = std::make_shared<const local_key>(*key, schemes_of(owner.key), owner.key.bits == 0);
        auto made = detail::assemble(*all, leaf, signer, options);
        if (made && !detail::signs_correctly(*signer, owner))
            return detail::in_file(key_file, {errc::bad_private_key,
                                              "the private key is damaged: what it signs does not verify; restore it, "
                                              "or request a new certificate"});
        return made;
    }
    // Note: a certificate whose key Botan does not know belongs to no key either; that is the better reason.
    if (auto usable = detail::check_usable(*all, {0}, options); !usable)
        return detail::in_file(options.certificate_file, usable.error());
    return detail::in_file(options.certificate_file,
                           {errc::key_mismatch, detail::the_private_key(options)
                                                    + " does not belong to this certificate; use the key the "
                                                      "certificate was requested with"});
}

// The credential of one certificate, DER, and its key, which was just made here: no signature is tried.
[[nodiscard]] inline outcome<credential_ptr> make_credential(byte_vector der, private_key_ptr key,
                                                             const load_options& options = {})
{
    auto read = parse_certificate({der.begin(), der.end()});
    if (!read)
        return failure{read.error(), "the certificate cannot be read as X.509"};
    if (!belongs_to(*key, *read))
        return failure{errc::key_mismatch, "the private key does not belong to this certificate"};
    const public_key_facts facts = read->key;
    std::vector<certificate> all;
    all.push_back(std::move(*read));
    const auto signer = std::make_shared<const local_key>(std::move(key), schemes_of(facts), facts.bits == 0);
    return detail::assemble(all, 0, signer, options);
}

// The credential of a certificate chain, leaf first, whose key is elsewhere: in an HSM, or behind a service. That the
// key belongs to the certificate is only known when it signs.
[[nodiscard]] inline outcome<credential_ptr> make_remote_credential(std::string_view chain_pem,
                                                                    std::shared_ptr<const signing_key> key,
                                                                    const load_options& options = {})
{
    const auto all = detail::read_chain(chain_pem, options);
    if (!all)
        return all.error();
    const auto fitting = schemes_of(all->front().key);
    const auto fits = [&](signature_scheme one) { return std::ranges::count(fitting, one) != 0; };
    if (!key || !std::ranges::all_of(key->schemes(), fits) || key->schemes().empty())
        return detail::in_file(options.certificate_file,
                               {errc::key_mismatch, "the given key does not sign as this certificate's key must ("
                                                        + all->front().key.text
                                                        + "); put the leaf first, and name its signature schemes"});
    return detail::assemble(*all, 0, std::move(key), options);
}

}

#endif
