// The algorithms of TLS 1.3 by their code points: what a crypto provider is asked for (RFC 8446 B.3, B.4).
#ifndef ALOS_CRYPTO_ALGORITHMS_HPP
#define ALOS_CRYPTO_ALGORITHMS_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace alos::inline v0 {

enum class hash_algorithm : std::uint8_t { sha256, sha384 };

inline constexpr std::size_t max_hash_size = 48;

[[nodiscard]] constexpr std::size_t hash_size(hash_algorithm hash) noexcept
{
    return hash == hash_algorithm::sha256 ? 32 : 48;
}

enum class aead_algorithm : std::uint8_t { aes_128_gcm, aes_256_gcm, chacha20_poly1305 };

inline constexpr std::size_t aead_tag_size = 16;
inline constexpr std::size_t aead_nonce_size = 12;
inline constexpr std::size_t max_aead_key_size = 32;

[[nodiscard]] constexpr std::size_t key_size(aead_algorithm aead) noexcept
{
    return aead == aead_algorithm::aes_128_gcm ? 16 : 32;
}

// RFC 8446 B.4
enum class cipher_suite : std::uint16_t {
    aes_128_gcm_sha256 = 0x1301,
    aes_256_gcm_sha384 = 0x1302,
    chacha20_poly1305_sha256 = 0x1303,
};

[[nodiscard]] constexpr bool is_known(cipher_suite suite) noexcept
{
    return suite >= cipher_suite::aes_128_gcm_sha256 && suite <= cipher_suite::chacha20_poly1305_sha256;
}

[[nodiscard]] constexpr hash_algorithm hash_of(cipher_suite suite) noexcept
{
    return suite == cipher_suite::aes_256_gcm_sha384 ? hash_algorithm::sha384 : hash_algorithm::sha256;
}

[[nodiscard]] constexpr aead_algorithm aead_of(cipher_suite suite) noexcept
{
    switch (suite) {
    case cipher_suite::aes_128_gcm_sha256: return aead_algorithm::aes_128_gcm;
    case cipher_suite::aes_256_gcm_sha384: return aead_algorithm::aes_256_gcm;
    default: return aead_algorithm::chacha20_poly1305;
    }
}

[[nodiscard]] constexpr std::string_view name_of(cipher_suite suite) noexcept
{
    switch (suite) {
    case cipher_suite::aes_128_gcm_sha256: return "TLS_AES_128_GCM_SHA256";
    case cipher_suite::aes_256_gcm_sha384: return "TLS_AES_256_GCM_SHA384";
    case cipher_suite::chacha20_poly1305_sha256: return "TLS_CHACHA20_POLY1305_SHA256";
    }
    return "unknown";
}

// RFC 8446 4.2.7
enum class named_group : std::uint16_t {
    secp256r1 = 0x0017,
    secp384r1 = 0x0018,
    x25519 = 0x001d,
    x25519mlkem768 = 0x11ec,
};

// The exact length of a client's share (RFC 8446 4.2.8.2); 0 for a group that alos does not speak.
[[nodiscard]] constexpr std::size_t client_share_size(named_group group) noexcept
{
    switch (group) {
    case named_group::secp256r1: return 65;
    case named_group::secp384r1: return 97;
    case named_group::x25519: return 32;
    case named_group::x25519mlkem768: return 1184 + 32;
    }
    return 0;
}

[[nodiscard]] constexpr bool is_known(named_group group) noexcept { return client_share_size(group) != 0; }

[[nodiscard]] constexpr std::string_view name_of(named_group group) noexcept
{
    switch (group) {
    case named_group::secp256r1: return "secp256r1";
    case named_group::secp384r1: return "secp384r1";
    case named_group::x25519: return "x25519";
    case named_group::x25519mlkem768: return "X25519MLKEM768";
    }
    return "unknown";
}

// RFC 8446 4.2.3. The PKCS#1 and SHA-1 schemes are listed because certificates may be signed with them; no
// handshake is.
enum class signature_scheme : std::uint16_t {
    rsa_pkcs1_sha1 = 0x0201,
    ecdsa_sha1 = 0x0203,
    rsa_pkcs1_sha256 = 0x0401,
    ecdsa_secp256r1_sha256 = 0x0403,
    rsa_pkcs1_sha384 = 0x0501,
    ecdsa_secp384r1_sha384 = 0x0503,
    rsa_pkcs1_sha512 = 0x0601,
    ecdsa_secp521r1_sha512 = 0x0603,
    rsa_pss_rsae_sha256 = 0x0804,
    rsa_pss_rsae_sha384 = 0x0805,
    rsa_pss_rsae_sha512 = 0x0806,
    ed25519 = 0x0807,
    rsa_pss_pss_sha256 = 0x0809,
    rsa_pss_pss_sha384 = 0x080a,
    rsa_pss_pss_sha512 = 0x080b,
};

[[nodiscard]] constexpr std::string_view name_of(signature_scheme scheme) noexcept
{
    switch (scheme) {
    case signature_scheme::rsa_pkcs1_sha1: return "rsa_pkcs1_sha1";
    case signature_scheme::ecdsa_sha1: return "ecdsa_sha1";
    case signature_scheme::rsa_pkcs1_sha256: return "rsa_pkcs1_sha256";
    case signature_scheme::ecdsa_secp256r1_sha256: return "ecdsa_secp256r1_sha256";
    case signature_scheme::rsa_pkcs1_sha384: return "rsa_pkcs1_sha384";
    case signature_scheme::ecdsa_secp384r1_sha384: return "ecdsa_secp384r1_sha384";
    case signature_scheme::rsa_pkcs1_sha512: return "rsa_pkcs1_sha512";
    case signature_scheme::ecdsa_secp521r1_sha512: return "ecdsa_secp521r1_sha512";
    case signature_scheme::rsa_pss_rsae_sha256: return "rsa_pss_rsae_sha256";
    case signature_scheme::rsa_pss_rsae_sha384: return "rsa_pss_rsae_sha384";
    case signature_scheme::rsa_pss_rsae_sha512: return "rsa_pss_rsae_sha512";
    case signature_scheme::ed25519: return "ed25519";
    case signature_scheme::rsa_pss_pss_sha256: return "rsa_pss_pss_sha256";
    case signature_scheme::rsa_pss_pss_sha384: return "rsa_pss_pss_sha384";
    case signature_scheme::rsa_pss_pss_sha512: return "rsa_pss_pss_sha512";
    }
    return "unknown";
}

// Kinds of keys that alos makes.
enum class key_kind : std::uint8_t { ecdsa_p256, ecdsa_p384, ed25519, rsa_2048 };

}

#endif
