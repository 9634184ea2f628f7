// Messages after the handshake (RFC 8446 4.6): a client may send KeyUpdate only.
#ifndef ALOS_TLS13_POST_HANDSHAKE_HPP
#define ALOS_TLS13_POST_HANDSHAKE_HPP

#include <alos/bytes.hpp>
#include <alos/tls13/alert.hpp>
#include <alos/tls13/types.hpp>

#include <array>

namespace alos::inline v0::tls13 {

// RFC 8446 4.6.3
enum class key_update_request : std::uint8_t { update_not_requested = 0, update_requested = 1 };

[[nodiscard]] inline decoded<key_update_request> decode_key_update(byte_view body)
{
    if (body.size() != 1)
        return errc::message_decode;
    if (body[0] > 1)
        return errc::bad_key_update;
    return static_cast<key_update_request>(body[0]);
}

// The whole message, header included.
[[nodiscard]] inline std::array<std::uint8_t, 5> encode_key_update(key_update_request request) noexcept
{
    return {static_cast<std::uint8_t>(handshake_type::key_update), 0, 0, 1, static_cast<std::uint8_t>(request)};
}

}

#endif
