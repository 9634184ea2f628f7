// Certificate and CertificateVerify (RFC 8446 4.4.2, 4.4.3): what they contain and what is signed.
#ifndef ALOS_TLS13_CERTIFICATE_HPP
#define ALOS_TLS13_CERTIFICATE_HPP

#include <alos/codec.hpp>
#include <alos/crypto/algorithms.hpp>

#include <span>
#include <string_view>

namespace alos::inline v0::tls13 {

// RFC 8446 4.4.2: the body of a server's Certificate message. `chain` is DER, leaf first, without extensions.
[[nodiscard]] inline byte_vector encode_certificate(std::span<const byte_vector> chain)
{
    byte_vector body;
    writer out(body);
    out.u8(0); // certificate_request_context
    out.vector24([&] {
        for (const byte_vector& certificate : chain) {
            out.vector24([&] { out.bytes(certificate); });
            out.u16(0); // extensions
        }
    });
    return body;
}

// RFC 8446 4.4.3: what a server signs, `transcript_hash` covering ClientHello to Certificate.
[[nodiscard]] inline byte_vector signed_content(byte_view transcript_hash)
{
    constexpr std::string_view context = "TLS 1.3, server CertificateVerify";
    byte_vector content(64, 0x20);
    writer out(content);
    out.bytes(as_bytes(context));
    out.u8(0);
    out.bytes(transcript_hash);
    return content;
}

// RFC 8446 4.4.3: the body of a CertificateVerify message.
[[nodiscard]] inline byte_vector encode_certificate_verify(signature_scheme scheme, byte_view signature)
{
    byte_vector body;
    writer out(body);
    out.u16(static_cast<std::uint16_t>(scheme));
    out.vector16([&] { out.bytes(signature); });
    return body;
}

}

#endif
