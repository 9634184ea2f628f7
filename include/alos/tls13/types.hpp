// The code points of TLS 1.3 (RFC 8446 B) that are not algorithms.
#ifndef ALOS_TLS13_TYPES_HPP
#define ALOS_TLS13_TYPES_HPP

#include <cstddef>
#include <cstdint>

namespace alos::inline v0::tls13 {

// RFC 8446 B.1
enum class content_type : std::uint8_t {
    invalid = 0,
    change_cipher_spec = 20,
    alert = 21,
    handshake = 22,
    application_data = 23,
};

// RFC 8446 B.3
enum class handshake_type : std::uint8_t {
    client_hello = 1,
    server_hello = 2,
    new_session_ticket = 4,
    end_of_early_data = 5,
    encrypted_extensions = 8,
    certificate = 11,
    certificate_request = 13,
    certificate_verify = 15,
    finished = 20,
    key_update = 24,
    message_hash = 254,
};

// RFC 8446 B.3.1.1
enum class extension_type : std::uint16_t {
    server_name = 0,
    supported_groups = 10,
    signature_algorithms = 13,
    application_layer_protocol_negotiation = 16,
    pre_shared_key = 41,
    early_data = 42,
    supported_versions = 43,
    cookie = 44,
    psk_key_exchange_modes = 45,
    oid_filters = 48,
    padding = 21,
    signature_algorithms_cert = 50,
    key_share = 51,
};

inline constexpr std::uint16_t tls12_version = 0x0303;
inline constexpr std::uint16_t tls13_version = 0x0304;

inline constexpr std::size_t random_size = 32;
inline constexpr std::size_t max_session_id_size = 32;

}

#endif
