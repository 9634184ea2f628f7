// ServerHello and HelloRetryRequest (RFC 8446 4.1.3, 4.1.4).
#ifndef ALOS_TLS13_SERVER_HELLO_HPP
#define ALOS_TLS13_SERVER_HELLO_HPP

#include <alos/codec.hpp>
#include <alos/crypto/algorithms.hpp>
#include <alos/tls13/types.hpp>

#include <array>

namespace alos::inline v0::tls13 {

// RFC 8446 4.1.3: SHA-256 of "HelloRetryRequest", in the place of the random.
inline constexpr std::array<std::uint8_t, random_size> hello_retry_request_random{
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

// What the two messages have in common; `extensions` writes theirs.
template <class Extensions>
[[nodiscard]] byte_vector encode_server_hello(byte_view random, byte_view session_id, cipher_suite suite,
                                              Extensions extensions)
{
    byte_vector body;
    writer out(body);
    out.u16(tls12_version);
    out.bytes(random);
    out.vector8([&] { out.bytes(session_id); }); // legacy_session_id_echo
    out.u16(static_cast<std::uint16_t>(suite));
    out.u8(0); // legacy_compression_method
    out.vector16([&] {
        extensions(out);
        out.u16(static_cast<std::uint16_t>(extension_type::supported_versions));
        out.vector16([&] { out.u16(tls13_version); });
    });
    return body;
}

// RFC 8446 4.1.3: the body of a ServerHello with the server's share (4.2.8).
[[nodiscard]] inline byte_vector server_hello(byte_view random, byte_view session_id, cipher_suite suite,
                                              named_group group, byte_view share)
{
    return encode_server_hello(random, session_id, suite, [&](writer& out) {
        out.u16(static_cast<std::uint16_t>(extension_type::key_share));
        out.vector16([&] {
            out.u16(static_cast<std::uint16_t>(group));
            out.vector16([&] { out.bytes(share); });
        });
    });
}

// RFC 8446 4.1.4: the body of a HelloRetryRequest that asks for a share in `group`. No cookie if it is empty (4.2.2).
[[nodiscard]] inline byte_vector hello_retry_request(byte_view session_id, cipher_suite suite, named_group group,
                                                     byte_view cookie)
{
    return encode_server_hello(hello_retry_request_random, session_id, suite, [&](writer& out) {
        out.u16(static_cast<std::uint16_t>(extension_type::key_share));
        out.vector16([&] { out.u16(static_cast<std::uint16_t>(group)); });
        if (cookie.empty())
            return;
        out.u16(static_cast<std::uint16_t>(extension_type::cookie));
        out.vector16([&] { out.vector16([&] { out.bytes(cookie); }); });
    });
}

}

#endif
