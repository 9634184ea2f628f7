// Answers to challenges: key authorizations, and how each challenge shows them (RFC 8555 8, RFC 8737, RFC 8738).
#ifndef ALOS_ACME_CHALLENGE_HPP
#define ALOS_ACME_CHALLENGE_HPP

#include <alos/acme/answers.hpp>
#include <alos/acme/base64url.hpp>
#include <alos/cert/load.hpp>
#include <alos/cert/names.hpp>
#include <alos/crypto/botan_issue.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace alos::inline v0::acme {

inline constexpr std::size_t max_token_size = 512; // bytes; CAs send 43

// For clients whose clock is late, and as long as an order may be open.
inline constexpr std::chrono::hours tls_alpn_backdate{24};
inline constexpr std::chrono::hours tls_alpn_lifetime{24 * 7};

// RFC 8555 8.3: "It MUST NOT contain any characters outside the base64url alphabet". It becomes part of a path and of
// a file's name.
[[nodiscard]] inline bool is_token(std::string_view text) noexcept
{
    return text.size() <= max_token_size && is_base64url(text);
}

// RFC 8555 8.1; `thumbprint` as account_key::thumbprint() gives it.
[[nodiscard]] inline std::string key_authorization(std::string_view token, std::string_view thumbprint)
{
    return std::string(token) + "." + std::string(thumbprint);
}

// RFC 8555 8.3: where the CA asks for the key authorization.
[[nodiscard]] inline std::string http01_path(std::string_view token)
{
    return std::string(http01_prefix) + std::string(token);
}

// RFC 8555 8.4: the name of the TXT record; a wildcard's is that of the name below it.
[[nodiscard]] inline std::string dns01_name(std::string_view domain)
{
    if (domain.starts_with("*."))
        domain.remove_prefix(2);
    return "_acme-challenge." + std::string(domain);
}

// RFC 8555 8.4: its value, 43 characters.
[[nodiscard]] inline std::string dns01_value(std::string_view key_authorization)
{
    return to_base64url(sha256_of(as_bytes(key_authorization)));
}

// The name of an IP address in the DNS (RFC 1035 3.5, RFC 3596 2.5); empty for any other text.
[[nodiscard]] inline std::string reverse_name(std::string_view ip)
{
    const cert::ip_address address(ip);
    if (address.empty())
        return {};
    const byte_view bytes = address.bytes();
    std::string name;
    for (std::size_t i = bytes.size(); i-- > 0;) {
        if (bytes.size() == 4) {
            name += std::to_string(bytes[i]) + ".";
            continue;
        }
        constexpr std::string_view digits = "0123456789abcdef";
        for (const int digit : {bytes[i] & 0x0f, bytes[i] >> 4}) {
            name += digits[static_cast<std::size_t>(digit)];
            name += '.';
        }
    }
    return name + (bytes.size() == 4 ? "in-addr.arpa" : "ip6.arpa");
}

// What the CA puts into SNI when it asks for this identifier, a DNS name or an IP address (RFC 8737 3, RFC 8738 6).
[[nodiscard]] inline std::string tls_alpn_server_name(std::string_view identifier)
{
    const std::string reversed = reverse_name(identifier);
    return reversed.empty() ? std::string(identifier) : reversed;
}

namespace detail {

// RFC 8737 3: id-pe 31
inline constexpr std::array<std::uint8_t, 8> oid_acme_identifier{0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f};

// RFC 8737 3: Authorization, an OCTET STRING of 32 bytes.
inline byte_vector acme_identifier(std::string_view key_authorization)
{
    byte_vector value;
    der::writer<byte_vector> out(value);
    out.value(der::octet_string, sha256_of(as_bytes(key_authorization)));
    return value;
}

// An identifier in its one spelling.
inline outcome<std::string> tls_alpn_identifier(std::string_view text)
{
    auto name = cert::parse_domain(text);
    if (!name) {
        std::string what = "'";
        alos::detail::append_printable(what, as_bytes(text));
        return failure{errc::bad_name, what + "' is no host name and no IP address, which tls-alpn-01 is for"};
    }
    if (name->starts_with("*."))
        return failure{errc::bad_name, "'" + *name + "' cannot be proved by tls-alpn-01; use dns-01 for wildcards"};
    return std::move(*name);
}

// The names of a certificate, for people.
inline std::string names_text(const certificate& one)
{
    std::string text;
    for (const std::string_view name : one.dns_names) {
        if (text.size() > 300)
            return text + ", ...";
        text += text.empty() ? "" : ", ";
        alos::detail::append_printable(text, as_bytes(name));
    }
    for (const byte_view address : one.addresses) {
        if (text.size() > 300)
            return text + ", ...";
        text += text.empty() ? "" : ", ";
        text += cert::ip_address(address).text();
    }
    return text.empty() ? "no name" : text;
}

inline bool names_only(const certificate& one, const std::string& identifier)
{
    if (one.dns_names.size() + one.addresses.size() != 1)
        return false;
    if (!one.addresses.empty())
        return cert::ip_address(one.addresses.front()).text() == identifier;
    // A dNSName that spells an address is not the address.
    return cert::ip_address(identifier).empty() && cert::parse_domain(one.dns_names.front()) == identifier;
}

}

// RFC 8737 3: what is shown to a client that offers "acme-tls/1" and nothing else, under tls_alpn_server_name().
[[nodiscard]] inline outcome<cert::credential_ptr> make_tls_alpn_credential(std::string_view identifier,
                                                                            std::string_view key_authorization,
                                                                            system_time now)
{
    const auto name = detail::tls_alpn_identifier(identifier);
    if (!name)
        return name.error();
    certificate_spec spec;
    spec.common_name = "tls-alpn-01";
    if (const cert::ip_address address(*name); !address.empty())
        spec.addresses.emplace_back(address.bytes().begin(), address.bytes().end());
    else
        spec.dns_names.push_back(*name);
    spec.not_before = now - tls_alpn_backdate;
    spec.not_after = now + tls_alpn_lifetime;
    // "The acmeIdentifier extension MUST be critical so that the certificate isn't inadvertently used by non-ACME
    // software."
    const byte_view oid = detail::oid_acme_identifier;
    spec.more.push_back({{oid.begin(), oid.end()}, true, detail::acme_identifier(key_authorization)});

    const auto key = private_key::generate(key_kind::ecdsa_p256);
    if (!key)
        return key.error();
    const auto der = issue_self_signed(spec, **key);
    if (!der)
        return der.error();
    return cert::make_credential(*der, *key, {.from = cert::source::acme});
}

// Whether the certificate that a server showed to "acme-tls/1" would convince the CA (RFC 8737 3, step 4); if not, what
// is wrong with it.
[[nodiscard]] inline outcome<> answers_tls_alpn(byte_view leaf_der, std::string_view identifier,
                                                std::string_view key_authorization)
{
    const auto name = detail::tls_alpn_identifier(identifier);
    if (!name)
        return name.error();
    const auto leaf = parse_certificate({leaf_der.begin(), leaf_der.end()});
    if (!leaf)
        return failure{errc::bad_certificate,
                       *name + " shows a certificate that cannot be read; another server answers there"};
    const auto proof = find_extension(*leaf, detail::oid_acme_identifier);
    if (!proof)
        return failure{errc::bad_certificate,
                       *name + " shows an ordinary certificate (" + detail::names_text(*leaf)
                           + ") where acme-tls/1 was asked for; let what ends TLS before this server pass it through, "
                             "or use another challenge"};
    if (!detail::names_only(*leaf, *name))
        return failure{errc::bad_certificate, *name + " shows a challenge certificate for " + detail::names_text(*leaf)
                                                  + "; another ACME client answers there"};
    if (!proof->critical || !equal(proof->value, detail::acme_identifier(key_authorization)))
        return failure{errc::bad_certificate,
                       *name + " answers another challenge than this one; another ACME client, or an attempt that has "
                               "ended, answers there"};
    return {};
}

}

#endif
