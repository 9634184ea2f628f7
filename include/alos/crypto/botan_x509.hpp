// X.509 certificates (RFC 5280): what a server needs to know of one. Botan checks the signatures.
#ifndef ALOS_CRYPTO_BOTAN_X509_HPP
#define ALOS_CRYPTO_BOTAN_X509_HPP

#include <alos/crypto/botan_key.hpp>

#include <botan/hash.h>
#include <botan/x509_key.h>

#include <algorithm>
#include <chrono>

namespace alos::inline v0 {

using system_time = std::chrono::system_clock::time_point;

// What a public key is good for in TLS 1.3 (RFC 8446 4.2.3).
struct public_key_facts {
    enum class type { other, ecdsa_p256, ecdsa_p384, ed25519, rsa, rsa_pss };

    type kind = type::other;
    std::size_t bits = 0;     // of RSA
    std::string text;         // "ECDSA P-256", "RSA 2048", ...
    std::size_t pss_hash = 0; // bits of the one hash that an RSASSA-PSS key is restricted to (RFC 4055 3.1); 0: any
};

// What a certificate is signed with.
struct certificate_signature {
    // As a ClientHello names it (RFC 8446 4.2.3), and rsa_pss_rsae for every PSS; 0 when TLS has no name for it.
    signature_scheme scheme{};
    bool is_weak = false; // by MD5 or SHA-1: no client accepts it
    std::string method;   // for Botan; empty when it cannot be checked
};

// One certificate. The views are into `der`, so it is moved and not copied.
struct certificate {
    byte_vector der;
    byte_view signed_part; // TBSCertificate
    byte_view serial;      // the contents of the INTEGER, with a leading 00 where DER wants one
    byte_view issuer;      // a Name
    byte_view subject;     // a Name
    system_time not_before;
    system_time not_after;
    byte_view public_key_info;
    std::vector<std::string_view> dns_names; // of subjectAltName (4.2.1.6), as they are written
    std::vector<byte_view> addresses;        // the same, 4 or 16 bytes each
    byte_view extensions;                    // the contents of Extensions, for find_extension()
    public_key_facts key;
    certificate_signature signature;
    byte_view signature_value;

    certificate() = default;
    certificate(certificate&&) noexcept = default;
    certificate& operator=(certificate&&) noexcept = default;
};

namespace detail {

inline constexpr auto oid_pkcs1 = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01); // and one byte
inline constexpr auto oid_ecdsa_with_sha2 = oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03); // and one byte
inline constexpr auto oid_ecdsa_with_sha1 = oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01);
inline constexpr auto oid_p521 = oid(0x2b, 0x81, 0x04, 0x00, 0x23);
inline constexpr auto oid_sha2 = oid(0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02); // and one byte
inline constexpr auto oid_subject_alt_name = oid(0x55, 0x1d, 0x11);

// The byte that follows `stem` in an OID that has just one more; 0 for any other.
inline std::uint8_t last_of(byte_view oid, byte_view stem) noexcept
{
    return oid.size() == stem.size() + 1 && equal(oid.first(stem.size()), stem) ? oid.back() : 0;
}

// RFC 4055 3.1: RSASSA-PSS-params.
struct pss_parameters {
    std::size_t hash = 160; // bits; what TLS does not use counts as SHA-1, the default
    std::size_t salt = 20;  // bytes

    explicit pss_parameters(byte_view contents) noexcept
    {
        der::reader fields(contents);
        der::reader algorithm(der::reader(fields.read_if(der::context_constructed(0))).read(der::sequence));
        switch (last_of(algorithm.read(der::object_identifier), oid_sha2)) {
        case 1: hash = 256; break;
        case 2: hash = 384; break;
        case 3: hash = 512; break;
        default: break;
        }
        fields.read_if(der::context_constructed(1));
        const byte_view number = der::reader(fields.read_if(der::context_constructed(2))).read(der::integer);
        if (!number.empty() && number.size() <= 2)
            salt = number.size() == 1 ? number[0] : static_cast<std::size_t>(number[0] << 8 | number[1]);
    }
};

inline certificate_signature read_signature_algorithm(byte_view contents)
{
    using enum signature_scheme;
    der::reader in(contents);
    const byte_view oid = in.read(der::object_identifier);
    if (equal(oid, oid_ed25519))
        return {ed25519, false, "Pure"};
    if (equal(oid, oid_ecdsa_with_sha1))
        return {ecdsa_sha1, true, {}};
    if (equal(oid, oid_rsa_pss)) {
        const pss_parameters pss(in.read_if(der::sequence));
        const std::string method = "PSS(SHA-" + std::to_string(pss.hash) + ",MGF1," + std::to_string(pss.salt) + ")";
        switch (pss.hash) {
        case 256: return {rsa_pss_rsae_sha256, false, method};
        case 384: return {rsa_pss_rsae_sha384, false, method};
        case 512: return {rsa_pss_rsae_sha512, false, method};
        default: return {{}, true, {}};
        }
    }
    switch (last_of(oid, oid_pkcs1)) {
    case 0x04: return {{}, true, {}}; // MD5
    case 0x05: return {rsa_pkcs1_sha1, true, {}};
    case 0x0b: return {rsa_pkcs1_sha256, false, "PKCS1v15(SHA-256)"};
    case 0x0c: return {rsa_pkcs1_sha384, false, "PKCS1v15(SHA-384)"};
    case 0x0d: return {rsa_pkcs1_sha512, false, "PKCS1v15(SHA-512)"};
    default: break;
    }
    switch (last_of(oid, oid_ecdsa_with_sha2)) {
    case 2: return {ecdsa_secp256r1_sha256, false, "SHA-256"};
    case 3: return {ecdsa_secp384r1_sha384, false, "SHA-384"};
    case 4: return {ecdsa_secp521r1_sha512, false, "SHA-512"};
    default: return {};
    }
}

// The bits of a positive INTEGER's contents.
inline std::size_t bits_of(byte_view number) noexcept
{
    while (!number.empty() && number[0] == 0)
        number = number.subspan(1);
    if (number.empty())
        return 0;
    std::size_t bits = 8 * number.size();
    for (std::uint8_t top = number[0]; (top & 0x80) == 0; top = static_cast<std::uint8_t>(top << 1))
        --bits;
    return bits;
}

}

// What a SubjectPublicKeyInfo holds (RFC 5280 4.1.2.7, RFC 5480, RFC 8410, RFC 4055).
[[nodiscard]] inline public_key_facts read_public_key(byte_view info)
{
    using type = public_key_facts::type;
    der::reader in(info);
    der::reader fields(in.read(der::sequence));
    der::reader algorithm(fields.read(der::sequence));
    const byte_view oid = algorithm.read(der::object_identifier);
    if (equal(oid, detail::oid_ed25519))
        return {type::ed25519, 0, "Ed25519"};
    if (equal(oid, detail::oid_ec_public_key)) {
        const byte_view curve = algorithm.read_if(der::object_identifier);
        if (equal(curve, detail::oid_p256))
            return {type::ecdsa_p256, 0, "ECDSA P-256"};
        if (equal(curve, detail::oid_p384))
            return {type::ecdsa_p384, 0, "ECDSA P-384"};
        return {type::other, 0, equal(curve, detail::oid_p521) ? "ECDSA P-521" : "ECDSA on an unusual curve"};
    }
    const bool pss = equal(oid, detail::oid_rsa_pss);
    if (!pss && !equal(oid, detail::oid_rsa))
        return {type::other, 0, "a key of an unknown type"};
    // RFC 4055 3.1: a key without parameters may be used with any.
    const bool restricted = pss && algorithm.next_is(der::sequence);
    const std::size_t hash = restricted ? detail::pss_parameters(algorithm.read(der::sequence)).hash : 0;
    byte_view key = fields.read(der::bit_string);
    if (!key.empty())
        key = key.subspan(1);
    der::reader rsa(key);
    der::reader numbers(rsa.read(der::sequence));
    const std::size_t bits = detail::bits_of(numbers.read(der::integer));
    return {pss ? type::rsa_pss : type::rsa, bits, (pss ? "RSA-PSS " : "RSA ") + std::to_string(bits), hash};
}

namespace detail {

// RFC 5280 4.1.2.5. Later years than 2248, a leap year, have no room in the clock.
inline std::optional<system_time> read_time(const der::element& field)
{
    using std::chrono::hours, std::chrono::minutes, std::chrono::seconds;
    const bool short_year = field.type == der::utc_time;
    const std::size_t year_digits = short_year ? 2 : 4;
    const std::string_view text = as_text(field.contents);
    if ((!short_year && field.type != der::generalized_time) || text.size() != year_digits + 11 || text.back() != 'Z')
        return std::nullopt;
    bool digits = true;
    const auto number = [&](std::size_t at, std::size_t size) {
        int value = 0;
        for (const char c : text.substr(at, size)) {
            digits = digits && c >= '0' && c <= '9';
            value = value * 10 + (c - '0');
        }
        return value;
    };
    int year_number = number(0, year_digits);
    if (short_year)
        year_number += year_number < 50 ? 2000 : 1900;
    const auto two = [&](std::size_t index) { return number(year_digits + 2 * index, 2); };
    const auto month_number = static_cast<unsigned>(two(0));
    const auto day_number = static_cast<unsigned>(two(1));
    const std::chrono::year year(std::min(year_number, 2248));
    const std::chrono::year_month_day date(year, std::chrono::month(month_number), std::chrono::day(day_number));
    const auto time = hours{two(2)} + minutes{two(3)} + seconds{two(4)};
    if (!digits || !date.ok() || time > hours{24} || year_number < 1900)
        return std::nullopt;
    return system_time(std::chrono::sys_days(date)) + time;
}

// RFC 5280 4.2.1.6
inline bool read_alternative_names(byte_view extension, certificate& into)
{
    der::reader in(extension);
    der::reader names(in.read(der::sequence));
    while (!names.empty()) {
        const der::element name = names.any();
        if (name.type == der::context(2))
            into.dns_names.push_back(as_text(name.contents));
        if (name.type == der::context(7) && (name.contents.size() == 4 || name.contents.size() == 16))
            into.addresses.push_back(name.contents);
    }
    return in.complete() && names.ok();
}

inline bool read_extensions(byte_view list, certificate& into)
{
    der::reader in(list);
    into.extensions = in.read(der::sequence);
    der::reader extensions(into.extensions);
    while (!extensions.empty()) {
        der::reader extension(extensions.read(der::sequence));
        const byte_view oid = extension.read(der::object_identifier);
        extension.read_if(der::boolean);
        const byte_view value = extension.read(der::octet_string);
        if (!extension.complete() || (equal(oid, oid_subject_alt_name) && !read_alternative_names(value, into)))
            return false;
    }
    return in.complete() && extensions.ok();
}

inline bool read_certificate(certificate& into)
{
    der::reader in(into.der);
    der::reader outer(in.read(der::sequence));
    const der::element body = outer.whole(der::sequence);
    const byte_view algorithm = outer.read(der::sequence);
    const byte_view signature = outer.read(der::bit_string);
    if (!in.complete() || !outer.complete() || signature.empty() || signature[0] != 0)
        return false;

    der::reader fields(body.contents);
    fields.read_if(der::context_constructed(0)); // version
    into.serial = fields.read(der::integer);
    const byte_view same_algorithm = fields.read(der::sequence);
    into.issuer = fields.whole(der::sequence).whole;
    der::reader validity(fields.read(der::sequence));
    const auto not_before = read_time(validity.any());
    const auto not_after = read_time(validity.any());
    into.subject = fields.whole(der::sequence).whole;
    into.public_key_info = fields.whole(der::sequence).whole;
    fields.read_if(der::context(1)); // issuerUniqueID
    fields.read_if(der::context(2)); // subjectUniqueID
    // RFC 5280 4.1.1.2: both fields MUST be the same.
    if (!fields.ok() || !not_before || !not_after || !equal(algorithm, same_algorithm))
        return false;
    constexpr der::tag extensions = der::context_constructed(3);
    if (fields.next_is(extensions) && !read_extensions(fields.read(extensions), into))
        return false;

    into.signed_part = body.whole;
    into.not_before = *not_before;
    into.not_after = *not_after;
    into.key = read_public_key(into.public_key_info);
    into.signature = read_signature_algorithm(algorithm);
    into.signature_value = signature.subspan(1);
    return true;
}

// Text from a certificate, fit for a log line: printable, and never longer than it needs to be.
inline void append_printable(std::string& out, byte_view text, std::size_t limit = 100)
{
    for (const std::uint8_t c : text.first(std::min(text.size(), limit)))
        out += c < 0x20 || c == 0x7f ? '?' : static_cast<char>(c);
}

inline std::string_view attribute_name(byte_view oid) noexcept
{
    switch (last_of(oid, detail::oid(0x55, 0x04))) {
    case 0x03: return "CN";
    case 0x06: return "C";
    case 0x07: return "L";
    case 0x08: return "ST";
    case 0x0a: return "O";
    case 0x0b: return "OU";
    default: return {};
    }
}

}

// Reads one certificate; fails when it is not one.
[[nodiscard]] inline result<certificate> parse_certificate(byte_vector der)
{
    certificate read;
    read.der = std::move(der);
    if (!detail::read_certificate(read))
        return make_error_code(errc::bad_certificate);
    return read;
}

// A Name (RFC 5280 4.1.2.4) for people: "CN=R11, O=Let's Encrypt, C=US", most specific first.
[[nodiscard]] inline std::string name_text(byte_view name)
{
    std::string text;
    der::reader in(name);
    der::reader sets(in.read(der::sequence));
    while (!sets.empty()) {
        der::reader set(sets.read(der::set));
        der::reader attribute(set.read(der::sequence));
        const std::string_view type = detail::attribute_name(attribute.read(der::object_identifier));
        const der::element value = attribute.any();
        if (type.empty() || value.type == der::bmp_string || text.size() > 400)
            continue;
        std::string part(type);
        part += '=';
        detail::append_printable(part, value.contents);
        text = text.empty() ? part : part + ", " + text;
    }
    return text.empty() ? "an empty name" : text;
}

// The common name (RFC 5280 A.1) in a Name, the most specific one; empty when there is none.
[[nodiscard]] inline std::string common_name_of(byte_view name)
{
    std::string text;
    der::reader in(name);
    der::reader sets(in.read(der::sequence));
    while (!sets.empty()) {
        der::reader set(sets.read(der::set));
        der::reader attribute(set.read(der::sequence));
        const std::string_view type = detail::attribute_name(attribute.read(der::object_identifier));
        const der::element value = attribute.any();
        if (type != "CN" || value.type == der::bmp_string)
            continue;
        text.clear();
        detail::append_printable(text, value.contents);
    }
    return text;
}

// One extension of a certificate; `value` is a view into it.
struct extension_view {
    bool critical = false;
    byte_view value;
};

// The extension with this OBJECT IDENTIFIER's contents, if the certificate has it.
[[nodiscard]] inline std::optional<extension_view> find_extension(const certificate& one, byte_view oid)
{
    der::reader extensions(one.extensions);
    while (!extensions.empty()) {
        der::reader extension(extensions.read(der::sequence));
        const bool wanted = equal(extension.read(der::object_identifier), oid);
        const byte_view critical = extension.read_if(der::boolean);
        const byte_view value = extension.read(der::octet_string);
        if (wanted)
            return extension_view{!critical.empty() && critical[0] != 0, value};
    }
    return std::nullopt;
}

// RFC 5280 4.2.1.1: the keyIdentifier of the issuer's key, a view into the certificate; empty when it names none.
[[nodiscard]] inline byte_view authority_key_identifier(const certificate& one)
{
    const auto extension = find_extension(one, detail::oid(0x55, 0x1d, 0x23));
    if (!extension)
        return {};
    der::reader in(extension->value);
    der::reader fields(in.read(der::sequence));
    return fields.read_if(der::context(0));
}

[[nodiscard]] inline std::array<std::uint8_t, 32> sha256_of(byte_view bytes)
{
    const auto hash = Botan::HashFunction::create_or_throw("SHA-256");
    hash->update(bytes);
    std::array<std::uint8_t, 32> digest{};
    hash->final(digest);
    return digest;
}

// Whether the key in `issuer` signed `signed_one`.
[[nodiscard]] inline bool is_signed_by(const certificate& signed_one, const certificate& issuer)
{
    if (signed_one.signature.method.empty())
        return false;
    try {
        const auto key = Botan::X509::load_key(issuer.public_key_info);
        Botan::PK_Verifier verifier(*key, signed_one.signature.method, signature_format(*key));
        return verifier.verify_message(signed_one.signed_part, signed_one.signature_value);
    } catch (const std::exception&) {
        return false;
    }
}

// Whether the certificate's own key signed it. A signature too old to be checked is believed.
[[nodiscard]] inline bool is_self_signed(const certificate& one)
{
    return equal(one.issuer, one.subject) && (one.signature.is_weak || is_signed_by(one, one));
}

// Whether `key` is the one that the certificate was made for.
[[nodiscard]] inline bool belongs_to(const private_key& key, const certificate& owner)
{
    try {
        const byte_vector own = key.public_key_info();
        // Note: there are several ways to write the same key; most are written in Botan's.
        return equal(own, owner.public_key_info)
               || Botan::X509::load_key(owner.public_key_info)->subject_public_key() == own;
    } catch (const std::exception&) {
        return false;
    }
}

// Whether `signature` over `content` is the certificate's key's, as a client checks CertificateVerify.
[[nodiscard]] inline bool verifies(const certificate& owner, signature_scheme scheme, byte_view content,
                                   byte_view signature)
{
    try {
        const auto key = Botan::X509::load_key(owner.public_key_info);
        Botan::PK_Verifier verifier(*key, signature_padding(scheme), signature_format(*key));
        return verifier.verify_message(content, signature);
    } catch (const std::exception&) {
        return false;
    }
}

// The schemes that this key signs handshakes with, the preferred one first (RFC 8446 4.2.3).
[[nodiscard]] inline std::vector<signature_scheme> schemes_of(const public_key_facts& key)
{
    using enum signature_scheme;
    using type = public_key_facts::type;
    switch (key.kind) {
    case type::ecdsa_p256: return {ecdsa_secp256r1_sha256};
    case type::ecdsa_p384: return {ecdsa_secp384r1_sha384};
    case type::ed25519: return {ed25519};
    case type::other: return {};
    case type::rsa:
    case type::rsa_pss: break;
    }
    const bool pss = key.kind == type::rsa_pss;
    const std::array<std::pair<std::size_t, signature_scheme>, 3> all{{
        {256, pss ? rsa_pss_pss_sha256 : rsa_pss_rsae_sha256},
        {384, pss ? rsa_pss_pss_sha384 : rsa_pss_rsae_sha384},
        {512, pss ? rsa_pss_pss_sha512 : rsa_pss_rsae_sha512},
    }};
    std::vector<signature_scheme> schemes;
    for (const auto& [hash, scheme] : all) {
        // RFC 8017 9.1.1: hash, a salt of the same length and two bytes must fit into the encoded message.
        const std::size_t encoded = (key.bits + 6) / 8;
        const bool fits = encoded >= 2 * hash / 8 + 2;
        if (fits && (key.pss_hash == 0 || key.pss_hash == hash))
            schemes.push_back(scheme);
    }
    return schemes;
}

// The scheme by which this key signs what is no handshake (private_key::sign_document); nothing for a type that no CA
// takes. RSA by PKCS#1 v1.5, the form that every CA knows.
[[nodiscard]] inline std::optional<signature_scheme> document_scheme_of(const public_key_facts& key) noexcept
{
    using type = public_key_facts::type;
    switch (key.kind) {
    case type::ecdsa_p256: return signature_scheme::ecdsa_secp256r1_sha256;
    case type::ecdsa_p384: return signature_scheme::ecdsa_secp384r1_sha384;
    case type::ed25519: return signature_scheme::ed25519;
    case type::rsa: return signature_scheme::rsa_pkcs1_sha256;
    case type::rsa_pss: // RFC 4055 1.2: such a key signs no other way
    case type::other: break;
    }
    return std::nullopt;
}

}

#endif
