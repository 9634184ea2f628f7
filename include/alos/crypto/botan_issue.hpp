// Makes certificates (RFC 5280): self-signed ones for development, tls-alpn-01 challenges, and chains in tests.
#ifndef ALOS_CRYPTO_BOTAN_ISSUE_HPP
#define ALOS_CRYPTO_BOTAN_ISSUE_HPP

#include <alos/crypto/botan_x509.hpp>

#include <cstdio>

namespace alos::inline v0 {

// One more extension: its whole value, and whether a reader who does not know it must refuse the certificate.
struct certificate_extension {
    byte_vector oid; // the contents of the OBJECT IDENTIFIER
    bool critical = false;
    byte_vector value;
};

// What a new certificate says.
struct certificate_spec {
    std::string common_name;            // of the subject, at most 64 bytes (RFC 5280 A.1)
    std::vector<std::string> dns_names; // of subjectAltName
    std::vector<byte_vector> addresses; // the same, 4 or 16 bytes each
    system_time not_before;
    system_time not_after;
    bool is_authority = false;
    std::vector<certificate_extension> more{};
};

// Who signs it.
struct certificate_issuer {
    std::string common_name;
    const private_key& key;
    signature_scheme scheme; // one that the key has
};

namespace detail {

using byte_writer = der::writer<byte_vector>;

inline constexpr auto oid_common_name = oid(0x55, 0x04, 0x03);
inline constexpr auto oid_key_usage = oid(0x55, 0x1d, 0x0f);
inline constexpr auto oid_basic_constraints = oid(0x55, 0x1d, 0x13);
inline constexpr auto oid_extended_key_usage = oid(0x55, 0x1d, 0x25);
inline constexpr auto oid_server_auth = oid(0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01);
inline constexpr auto oid_subject_key_identifier = oid(0x55, 0x1d, 0x0e);
inline constexpr auto oid_authority_key_identifier = oid(0x55, 0x1d, 0x23);

inline void write_name(byte_writer& out, std::string_view common_name)
{
    out.nested(der::sequence, [&] {
        out.nested(der::set, [&] {
            out.nested(der::sequence, [&] {
                out.value(der::object_identifier, oid_common_name);
                out.value(der::utf8_string, as_bytes(common_name));
            });
        });
    });
}

// RFC 5280 4.1.2.5: UTCTime up to 2049, GeneralizedTime from 2050 on.
inline void write_time(byte_writer& out, system_time time)
{
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(time - day));
    const int year = static_cast<int>(date.year());
    std::array<char, 40> text{};
    std::snprintf(text.data(), text.size(), "%04d%02u%02u%02d%02d%02dZ", year, static_cast<unsigned>(date.month()),
                  static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                  static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()));
    const std::string_view digits(text.data());
    if (year < 2050)
        out.value(der::utc_time, as_bytes(digits.substr(2)));
    else
        out.value(der::generalized_time, as_bytes(digits));
}

inline void write_algorithm(byte_writer& out, signature_scheme scheme)
{
    const auto with_last_byte = [](byte_view stem, std::uint8_t last) {
        byte_vector oid(stem.begin(), stem.end());
        oid.push_back(last);
        return oid;
    };
    out.nested(der::sequence, [&] {
        switch (scheme) {
        case signature_scheme::ed25519: out.value(der::object_identifier, oid_ed25519); break;
        case signature_scheme::ecdsa_secp384r1_sha384:
            out.value(der::object_identifier, with_last_byte(oid_ecdsa_with_sha2, 3));
            break;
        case signature_scheme::ecdsa_secp256r1_sha256:
            out.value(der::object_identifier, with_last_byte(oid_ecdsa_with_sha2, 2));
            break;
        default: // rsa_pss_rsae_sha256, RFC 4055 3.1
            const byte_vector sha256 = with_last_byte(oid_sha2, 1);
            const auto hash = [&] {
                out.nested(der::sequence, [&] {
                    out.value(der::object_identifier, sha256);
                    out.value(der::null, {});
                });
            };
            out.value(der::object_identifier, oid_rsa_pss);
            out.nested(der::sequence, [&] {
                out.nested(der::context_constructed(0), hash);
                out.nested(der::context_constructed(1), [&] {
                    out.nested(der::sequence, [&] {
                        out.value(der::object_identifier, with_last_byte(oid_pkcs1, 8)); // id-mgf1
                        hash();
                    });
                });
                out.nested(der::context_constructed(2), [&] { out.small_integer(32); });
            });
        }
    });
}

inline void write_extension(byte_writer& out, byte_view oid, bool critical, byte_view value)
{
    out.nested(der::sequence, [&] {
        out.value(der::object_identifier, oid);
        if (critical)
            out.truth();
        out.value(der::octet_string, value);
    });
}

// RFC 5280 4.2.1.2: the first 160 bits of a hash of the key.
inline byte_vector key_identifier(byte_view public_key_info)
{
    const auto digest = sha256_of(public_key_info);
    return {digest.begin(), digest.begin() + 20};
}

inline void write_extensions(byte_writer& out, const certificate_spec& spec, byte_view subject_key,
                             byte_view issuer_key)
{
    const auto extension = [&](byte_view oid, bool critical, auto contents) {
        byte_vector value;
        byte_writer inner(value);
        contents(inner);
        write_extension(out, oid, critical, value);
    };
    extension(oid_basic_constraints, true, [&](byte_writer& value) {
        value.nested(der::sequence, [&] {
            if (spec.is_authority)
                value.truth();
        });
    });
    extension(oid_key_usage, true, [&](byte_writer& value) {
        // RFC 5280 4.2.1.3: keyCertSign and cRLSign, or digitalSignature; unused bits first.
        const std::array<std::uint8_t, 2> authority{0x01, 0x06};
        const std::array<std::uint8_t, 2> server{0x07, 0x80};
        value.value(der::bit_string, spec.is_authority ? authority : server);
    });
    if (!spec.is_authority)
        extension(oid_extended_key_usage, false, [&](byte_writer& value) {
            value.nested(der::sequence, [&] { value.value(der::object_identifier, oid_server_auth); });
        });
    extension(oid_subject_key_identifier, false,
              [&](byte_writer& value) { value.value(der::octet_string, key_identifier(subject_key)); });
    extension(oid_authority_key_identifier, false, [&](byte_writer& value) {
        value.nested(der::sequence, [&] { value.value(der::context(0), key_identifier(issuer_key)); });
    });
    if (!spec.dns_names.empty() || !spec.addresses.empty())
        extension(oid_subject_alt_name, false, [&](byte_writer& value) {
            value.nested(der::sequence, [&] {
                for (const std::string& name : spec.dns_names)
                    value.value(der::context(2), as_bytes(name));
                for (const byte_vector& address : spec.addresses)
                    value.value(der::context(7), address);
            });
        });
    for (const certificate_extension& one : spec.more)
        write_extension(out, one.oid, one.critical, one.value);
}

// RFC 5280 4.1.2.2: positive, unpredictable, at most 20 bytes.
inline std::array<std::uint8_t, 16> random_serial()
{
    std::array<std::uint8_t, 16> serial{};
    Botan::system_rng().randomize(serial);
    serial[0] = static_cast<std::uint8_t>((serial[0] & 0x7f) | 0x40);
    return serial;
}

}

// A certificate in DER for the key `subject`.
[[nodiscard]] inline outcome<byte_vector> issue_certificate(const certificate_spec& spec, const private_key& subject,
                                                            const certificate_issuer& issuer)
{
    try {
        const byte_vector subject_key = subject.public_key_info();
        byte_vector body;
        detail::byte_writer out(body);
        out.nested(der::sequence, [&] {
            out.nested(der::context_constructed(0), [&] { out.small_integer(2); }); // v3
            out.value(der::integer, detail::random_serial());
            detail::write_algorithm(out, issuer.scheme);
            detail::write_name(out, issuer.common_name);
            out.nested(der::sequence, [&] {
                detail::write_time(out, spec.not_before);
                detail::write_time(out, spec.not_after);
            });
            detail::write_name(out, spec.common_name);
            out.raw(subject_key);
            out.nested(der::context_constructed(3), [&] {
                out.nested(der::sequence, [&] {
                    detail::write_extensions(out, spec, subject_key, issuer.key.public_key_info());
                });
            });
        });
        const auto signature = issuer.key.sign(issuer.scheme, body);
        if (!signature)
            return failure{signature.error(), "a certificate cannot be signed with this key"};
        byte_vector der;
        detail::byte_writer whole(der);
        whole.nested(der::sequence, [&] {
            whole.raw(body);
            detail::write_algorithm(whole, issuer.scheme);
            whole.bits(*signature);
        });
        return der;
    } catch (const std::exception& error) {
        return failure{errc::bad_certificate, std::string("a certificate cannot be made: ") + error.what()};
    }
}

// A certificate that its own key signs. Clients accept it once they are told to.
[[nodiscard]] inline outcome<byte_vector> issue_self_signed(const certificate_spec& spec, const private_key& key)
{
    const auto schemes = schemes_of(read_public_key(key.public_key_info()));
    if (schemes.empty())
        return failure{errc::unsupported_key, "a key of this type cannot sign a certificate"};
    return issue_certificate(spec, key, {spec.common_name, key, schemes.front()});
}

}

#endif
