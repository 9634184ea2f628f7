// Records (RFC 8446 5): their header, their limits, and the protection of one direction.
#ifndef ALOS_TLS13_RECORD_HPP
#define ALOS_TLS13_RECORD_HPP

#include <alos/tls13/alert.hpp>
#include <alos/tls13/key_schedule.hpp>
#include <alos/tls13/types.hpp>

#include <array>
#include <cassert>
#include <optional>

namespace alos::inline v0::tls13 {

inline constexpr std::size_t record_header_size = 5;
inline constexpr std::size_t max_plaintext_size = 1 << 14;                       // RFC 8446 5.1
inline constexpr std::size_t max_ciphertext_size = max_plaintext_size + 256;     // RFC 8446 5.2
inline constexpr std::size_t record_overhead = record_header_size + 1 + aead_tag_size; // header, type, tag

// RFC 8446 5.5: AES-GCM is good for 2^24.5 full records under one key; ChaCha20-Poly1305 gets the same.
inline constexpr std::uint64_t max_records_per_key = std::uint64_t{1} << 24;

struct record_header {
    content_type type;
    std::uint16_t legacy_record_version;
    std::size_t length;

    // `bytes` holds at least record_header_size.
    [[nodiscard]] static record_header decode(byte_view bytes) noexcept
    {
        return {static_cast<content_type>(bytes[0]), static_cast<std::uint16_t>(bytes[1] << 8 | bytes[2]),
                static_cast<std::size_t>(bytes[3] << 8 | bytes[4])};
    }
};

[[nodiscard]] inline std::array<std::uint8_t, record_header_size> encode_record_header(content_type type,
                                                                                       std::size_t length) noexcept
{
    return {static_cast<std::uint8_t>(type), tls12_version >> 8, tls12_version & 0xff,
            static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length)};
}

// What a protected record contains (RFC 8446 5.2: TLSInnerPlaintext), in the place of the ciphertext.
struct inner_plaintext {
    content_type type;
    byte_span content;
};

// The keys of one direction: traffic secret, AEAD, IV and sequence number.
template <crypto_provider Crypto>
class protection {
public:
    // `kdf` is the suite's, and is used here only.
    protection(hkdf<Crypto>& kdf, cipher_suite suite, hash_secret&& traffic_secret, bool sealing) :
        protection(derive_traffic_keys(kdf, aead_of(suite), traffic_secret.view()), suite,
                   std::move(traffic_secret), sealing)
    {
    }

    // RFC 8446 5.2: turns `record` into a TLSCiphertext in place. It holds room for the header, the content, the
    // content type and padding already written, and room for the tag.
    void seal(byte_span record)
    {
        const std::size_t length = record.size() - record_header_size;
        const auto header = encode_record_header(content_type::application_data, length);
        copy(header, record);
        const auto nonce = next_nonce();
        aead_.seal(nonce, header, record.subspan(record_header_size, length - aead_tag_size),
                   record.last(aead_tag_size));
    }

    // RFC 8446 5.2: decrypts a whole record in place. After bad_record_mac the record is worthless.
    [[nodiscard]] decoded<inner_plaintext> open(byte_span record)
    {
        const byte_view header = record.first(record_header_size);
        const byte_span encrypted = record.subspan(record_header_size);
        const auto nonce = next_nonce();
        if (encrypted.size() < aead_tag_size || !aead_.open(nonce, header, encrypted)) {
            --sequence_number_; // RFC 8446 4.2.10: a record that is skipped does not count
            return errc::bad_record_mac;
        }
        // RFC 8446 5.4: padding is zeros behind the content type.
        std::size_t size = encrypted.size() - aead_tag_size;
        if (size > max_plaintext_size + 1)
            return errc::plaintext_too_long;
        while (size > 0 && encrypted[size - 1] == 0)
            --size;
        if (size == 0)
            return errc::no_content_type;
        return inner_plaintext{static_cast<content_type>(encrypted[size - 1]), encrypted.first(size - 1)};
    }

    // RFC 8446 7.2: the keys after a KeyUpdate.
    [[nodiscard]] protection next() const
    {
        hkdf<Crypto> kdf(hash_of(suite_));
        return protection(kdf, suite_, next_traffic_secret(kdf, traffic_secret_.view()), sealing_);
    }

    // Records sealed or opened with these keys.
    [[nodiscard]] std::uint64_t records() const noexcept { return sequence_number_; }

private:
    protection(traffic_keys keys, cipher_suite suite, hash_secret&& traffic_secret, bool sealing) :
        suite_(suite), sealing_(sealing), traffic_secret_(std::move(traffic_secret)), iv_(std::move(keys.iv)),
        aead_(aead_of(suite), keys.key.view(), sealing)
    {
    }

    // RFC 8446 5.3
    [[nodiscard]] std::array<std::uint8_t, aead_nonce_size> next_nonce() noexcept
    {
        std::array<std::uint8_t, aead_nonce_size> nonce;
        copy(iv_.view(), nonce);
        for (std::size_t i = 0; i < 8; ++i)
            nonce[aead_nonce_size - 1 - i] ^= static_cast<std::uint8_t>(sequence_number_ >> (8 * i));
        ++sequence_number_;
        return nonce;
    }

    cipher_suite suite_;
    bool sealing_;
    std::uint64_t sequence_number_ = 0;
    hash_secret traffic_secret_;
    secret<aead_nonce_size> iv_;
    typename Crypto::aead aead_;
};

}

#endif
