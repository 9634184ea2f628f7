// Finished (RFC 8446 4.4.4). What it has to contain is computed by the key schedule.
#ifndef ALOS_TLS13_FINISHED_HPP
#define ALOS_TLS13_FINISHED_HPP

#include <alos/crypto/algorithms.hpp>
#include <alos/secret.hpp>
#include <alos/tls13/alert.hpp>
#include <alos/tls13/types.hpp>

#include <array>

namespace alos::inline v0::tls13 {

struct finished {
    static constexpr handshake_type type = handshake_type::finished;

    std::array<std::uint8_t, max_hash_size> verify_data{};
    std::size_t size = 0;

    [[nodiscard]] static decoded<finished> decode(byte_view body)
    {
        finished message;
        if (body.size() > message.verify_data.size())
            return errc::message_decode;
        copy(body, message.verify_data);
        message.size = body.size();
        return message;
    }

    // RFC 8446 4.4.4
    //    Recipients of Finished messages MUST verify that the contents are correct and if incorrect MUST terminate
    //    the connection with a "decrypt_error" alert.
    // Note: a wrong length is malformed, not incorrect.
    [[nodiscard]] errc verify(byte_view expected) const noexcept
    {
        if (size != expected.size())
            return errc::message_decode;
        return equal_in_constant_time({verify_data.data(), size}, expected) ? errc::none : errc::bad_finished;
    }
};

}

#endif
