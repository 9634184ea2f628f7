// How a certificate is named to the CA that issued it, when it is asked about renewal (RFC 9773 4.1).
#ifndef ALOS_ACME_CERTIFICATE_ID_HPP
#define ALOS_ACME_CERTIFICATE_ID_HPP

#include <alos/acme/base64url.hpp>
#include <alos/crypto/botan_x509.hpp>

#include <string>

namespace alos::inline v0::acme {

inline constexpr std::size_t max_certificate_id_part = 64; // bytes; RFC 5280 4.1.2.2 knows 20

// RFC 9773 4.1: the authority key identifier and the serial number. Fails when the certificate names no authority key,
// as self-signed ones may: then no CA can be asked.
[[nodiscard]] inline result<std::string> ari_certificate_id(const certificate& leaf)
{
    const byte_view authority = authority_key_identifier(leaf);
    if (authority.empty() || authority.size() > max_certificate_id_part || leaf.serial.empty()
        || leaf.serial.size() > max_certificate_id_part)
        return make_error_code(errc::bad_certificate);
    return to_base64url(authority) + "." + to_base64url(leaf.serial);
}

[[nodiscard]] inline result<std::string> ari_certificate_id(byte_view leaf_der)
{
    const auto leaf = parse_certificate({leaf_der.begin(), leaf_der.end()});
    if (!leaf)
        return leaf.error();
    return ari_certificate_id(*leaf);
}

}

#endif
