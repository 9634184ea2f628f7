// Certificate requests (RFC 2986) as CAs want them by ACME: no subject, the names in subjectAltName, nothing else.
#ifndef ALOS_CRYPTO_BOTAN_CSR_HPP
#define ALOS_CRYPTO_BOTAN_CSR_HPP

#include <alos/crypto/botan_issue.hpp>

#include <algorithm>
#include <span>
#include <string>

namespace alos::inline v0 {

namespace detail {

inline constexpr auto oid_extension_request = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e);
inline constexpr auto oid_rsa_sha256 = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b);

// RFC 5280 4.2.1.6: a dNSName is an IA5String; as a CA reads it, it has no blanks either.
inline bool is_requestable(std::string_view name) noexcept
{
    const auto is_printable = [](char c) { return c > 0x20 && c < 0x7f; };
    return !name.empty() && name.size() <= 253 && std::ranges::all_of(name, is_printable);
}

// RFC 2986 4.1: the extensions asked for, as an attribute (RFC 2985 5.4.2).
inline void write_requested_names(byte_writer& out, std::span<const std::string> dns_names,
                                  std::span<const byte_vector> addresses)
{
    byte_vector names;
    byte_writer inner(names);
    inner.nested(der::sequence, [&] {
        for (const std::string& name : dns_names)
            inner.value(der::context(2), as_bytes(name));
        for (const byte_vector& address : addresses)
            inner.value(der::context(7), address);
    });
    out.nested(der::sequence, [&] {
        out.value(der::object_identifier, oid_extension_request);
        out.nested(der::set, [&] {
            out.nested(der::sequence, [&] { write_extension(out, oid_subject_alt_name, false, names); });
        });
    });
}

inline void write_request_algorithm(byte_writer& out, signature_scheme scheme)
{
    if (scheme != signature_scheme::rsa_pkcs1_sha256)
        return write_algorithm(out, scheme);
    out.nested(der::sequence, [&] {
        out.value(der::object_identifier, oid_rsa_sha256);
        out.value(der::null, {});
    });
}

}

// RFC 2986 4: a request in DER for these names, which `key` signs. `dns_names` as A-labels, `addresses` of 4 or 16
// bytes each.
[[nodiscard]] inline outcome<byte_vector> make_csr(const private_key& key, std::span<const std::string> dns_names,
                                                   std::span<const byte_vector> addresses = {})
{
    if (dns_names.empty() && addresses.empty())
        return failure{errc::bad_name, "a certificate request needs a name; give one"};
    for (const std::string& name : dns_names)
        if (!detail::is_requestable(name))
            return failure{errc::bad_name, "a name of the certificate request is empty, too long, or not in ASCII; "
                                           "write it like www.example.com, and other alphabets as xn-- labels"};
    for (const byte_vector& address : addresses)
        if (address.size() != 4 && address.size() != 16)
            return failure{errc::bad_name, "an address of the certificate request has neither 4 nor 16 bytes"};
    try {
        const byte_vector public_key = key.public_key_info();
        const auto scheme = document_scheme_of(read_public_key(public_key));
        if (!scheme)
            return failure{errc::unsupported_key, "no CA takes a certificate request by a key of this type; use "
                                                  "ECDSA P-256 or P-384, or RSA"};
        byte_vector body;
        detail::byte_writer out(body);
        out.nested(der::sequence, [&] {
            out.small_integer(0); // v1
            out.value(der::sequence, {});
            out.raw(public_key);
            out.nested(der::context_constructed(0),
                       [&] { detail::write_requested_names(out, dns_names, addresses); });
        });
        const auto signature = key.sign_document(*scheme, body, ecdsa_form::der);
        if (!signature)
            return failure{signature.error(), "the certificate request cannot be signed with this key; it is damaged, "
                                              "make a new one"};
        byte_vector der;
        detail::byte_writer whole(der);
        whole.nested(der::sequence, [&] {
            whole.raw(body);
            detail::write_request_algorithm(whole, *scheme);
            whole.bits(*signature);
        });
        return der;
    } catch (const std::exception& error) {
        return failure{errc::bad_private_key, std::string("a certificate request cannot be made: ") + error.what()};
    }
}

}

#endif
