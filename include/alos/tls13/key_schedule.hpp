// The key schedule (RFC 8446 7). Each step consumes the one before, as in the diagram of 7.1:
//
//              0 -> HKDF-Extract = Early Secret                 early_secret
//                    | Derive-Secret(., "derived", "")
//   (EC)DHE      -> HKDF-Extract = Handshake Secret             handshake_secret
//                    +--> c hs traffic, s hs traffic
//                    | Derive-Secret(., "derived", "")
//              0 -> HKDF-Extract = Master Secret                master_secret
//                    +--> c ap traffic, s ap traffic
#ifndef ALOS_TLS13_KEY_SCHEDULE_HPP
#define ALOS_TLS13_KEY_SCHEDULE_HPP

#include <alos/codec.hpp>
#include <alos/crypto/provider.hpp>
#include <alos/secret.hpp>
#include <alos/tls13/transcript.hpp>

#include <array>
#include <string_view>
#include <utility>

namespace alos::inline v0::tls13 {

using hash_secret = secret<max_hash_size>;

// RFC 5869 and RFC 8446 7.1. No output of TLS 1.3 is longer than the hash, so that expansion is one HMAC.
template <crypto_provider Crypto>
class hkdf {
public:
    explicit hkdf(hash_algorithm algorithm) : algorithm_(algorithm), hmac_(algorithm) {}

    [[nodiscard]] hash_algorithm algorithm() const noexcept { return algorithm_; }

    // RFC 5869 2.2
    [[nodiscard]] hash_secret extract(byte_view salt, byte_view input_keying_material)
    {
        hash_secret out(hash_size(algorithm_));
        hmac_.start(salt);
        hmac_.update(input_keying_material);
        hmac_.finish(out.bytes());
        return out;
    }

    // RFC 8446 7.1: HKDF-Expand-Label; `out` is at most as long as the hash.
    void expand_label(byte_view secret, std::string_view label, byte_view context, byte_span out)
    {
        constexpr std::string_view prefix = "tls13 ";
        const std::array<std::uint8_t, 3> head{0, static_cast<std::uint8_t>(out.size()),
                                               static_cast<std::uint8_t>(prefix.size() + label.size())};
        const std::array<std::uint8_t, 1> context_size{static_cast<std::uint8_t>(context.size())};
        constexpr std::array<std::uint8_t, 1> first_block{1}; // RFC 5869 2.3
        hmac_.start(secret);
        hmac_.update(head);
        hmac_.update(as_bytes(prefix));
        hmac_.update(as_bytes(label));
        hmac_.update(context_size);
        hmac_.update(context);
        hmac_.update(first_block);
        hash_secret block(hash_size(algorithm_));
        hmac_.finish(block.bytes());
        copy(block.view().first(out.size()), out);
    }

    // RFC 8446 7.1: Derive-Secret, with the transcript hash already taken.
    [[nodiscard]] hash_secret derive_secret(byte_view secret, std::string_view label, byte_view transcript_hash)
    {
        hash_secret out(hash_size(algorithm_));
        expand_label(secret, label, transcript_hash, out.bytes());
        return out;
    }

    // Derive-Secret(secret, "derived", ""): what leads from one Extract to the next.
    [[nodiscard]] hash_secret derived(byte_view secret)
    {
        digest nothing(algorithm_);
        typename Crypto::hash(algorithm_).current(nothing.bytes());
        return derive_secret(secret, "derived", nothing.view());
    }

    // RFC 8446 4.4.4: verify_data of the side whose traffic secret is given.
    [[nodiscard]] hash_secret verify_data(byte_view traffic_secret, byte_view transcript_hash)
    {
        const hash_secret finished_key = derive_secret(traffic_secret, "finished", {});
        return extract(finished_key.view(), transcript_hash); // HMAC, and so is Extract
    }

private:
    hash_algorithm algorithm_;
    typename Crypto::hmac hmac_;
};

// One secret a direction.
struct traffic_secrets {
    hash_secret client;
    hash_secret server;
};

template <crypto_provider Crypto>
class master_secret {
public:
    master_secret(hkdf<Crypto>& kdf, hash_secret value) noexcept : kdf_(kdf), value_(std::move(value)) {}

    // `transcript_hash` covers ClientHello to server Finished.
    [[nodiscard]] traffic_secrets application_traffic(byte_view transcript_hash) &&
    {
        return {kdf_.derive_secret(value_.view(), "c ap traffic", transcript_hash),
                kdf_.derive_secret(value_.view(), "s ap traffic", transcript_hash)};
    }

private:
    hkdf<Crypto>& kdf_;
    hash_secret value_;
};

template <crypto_provider Crypto>
class handshake_secret {
public:
    handshake_secret(hkdf<Crypto>& kdf, hash_secret value) noexcept : kdf_(kdf), value_(std::move(value)) {}

    // `transcript_hash` covers ClientHello to ServerHello.
    [[nodiscard]] traffic_secrets handshake_traffic(byte_view transcript_hash)
    {
        return {kdf_.derive_secret(value_.view(), "c hs traffic", transcript_hash),
                kdf_.derive_secret(value_.view(), "s hs traffic", transcript_hash)};
    }

    [[nodiscard]] master_secret<Crypto> into_master_secret() &&
    {
        const std::array<std::uint8_t, max_hash_size> zero{};
        const hash_secret salt = kdf_.derived(value_.view());
        return {kdf_, kdf_.extract(salt.view(), byte_view(zero).first(hash_size(kdf_.algorithm())))};
    }

private:
    hkdf<Crypto>& kdf_;
    hash_secret value_;
};

// `kdf` outlives the whole chain.
template <crypto_provider Crypto>
class early_secret {
public:
    // Without a PSK.
    explicit early_secret(hkdf<Crypto>& kdf) noexcept : kdf_(kdf) {}

    [[nodiscard]] handshake_secret<Crypto> with_shared_secret(byte_view shared_secret) &&
    {
        return {kdf_, kdf_.extract(salt(kdf_.algorithm()).view(), shared_secret)};
    }

private:
    // Derive-Secret(Early Secret, "derived", ""): without a PSK nothing in it is secret or changes.
    static const digest& salt(hash_algorithm algorithm)
    {
        static const digest of_sha256 = make_salt(hash_algorithm::sha256);
        static const digest of_sha384 = make_salt(hash_algorithm::sha384);
        return algorithm == hash_algorithm::sha256 ? of_sha256 : of_sha384;
    }

    static digest make_salt(hash_algorithm algorithm)
    {
        hkdf<Crypto> kdf(algorithm);
        const std::array<std::uint8_t, max_hash_size> zero{};
        const byte_view zeros = byte_view(zero).first(hash_size(algorithm));
        digest out(algorithm);
        copy(kdf.derived(kdf.extract(zeros, zeros).view()).view(), out.bytes());
        return out;
    }

    hkdf<Crypto>& kdf_;
};

// RFC 8446 7.3: the key and the IV of one direction.
struct traffic_keys {
    secret<max_aead_key_size> key;
    secret<aead_nonce_size> iv;
};

template <crypto_provider Crypto>
[[nodiscard]] traffic_keys derive_traffic_keys(hkdf<Crypto>& kdf, aead_algorithm aead, byte_view traffic_secret)
{
    traffic_keys keys{secret<max_aead_key_size>(key_size(aead)), secret<aead_nonce_size>(aead_nonce_size)};
    kdf.expand_label(traffic_secret, "key", {}, keys.key.bytes());
    kdf.expand_label(traffic_secret, "iv", {}, keys.iv.bytes());
    return keys;
}

// RFC 8446 7.2: the traffic secret after a KeyUpdate.
template <crypto_provider Crypto>
[[nodiscard]] hash_secret next_traffic_secret(hkdf<Crypto>& kdf, byte_view traffic_secret)
{
    return kdf.derive_secret(traffic_secret, "traffic upd", {});
}

}

#endif
