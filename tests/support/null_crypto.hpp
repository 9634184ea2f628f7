// A crypto provider that costs next to nothing and protects nothing, for tests and fuzzers. It still binds: a tag
// depends on key, nonce, associated data and text, a digest on every byte, a shared secret on both shares.
#ifndef ALOS_TESTS_SUPPORT_NULL_CRYPTO_HPP
#define ALOS_TESTS_SUPPORT_NULL_CRYPTO_HPP

#include <alos/crypto/provider.hpp>

#include <algorithm>
#include <array>
#include <cassert>

namespace alos_tests {

using namespace alos;

// FNV-1a to take bytes in, SplitMix64 to give bytes out.
class mixer {
public:
    explicit mixer(std::uint64_t seed) noexcept { number(seed); }

    void bytes(byte_view values) noexcept
    {
        for (const std::uint8_t value : values)
            state_ = (state_ ^ value) * 0x100000001b3;
    }

    void number(std::uint64_t value) noexcept
    {
        for (int shift = 0; shift < 64; shift += 8)
            state_ = (state_ ^ (value >> shift & 0xff)) * 0x100000001b3;
    }

    void fill(byte_span out) const noexcept { combine(out, [](std::uint8_t, std::uint8_t mixed) { return mixed; }); }
    void mask(byte_span text) const noexcept
    {
        combine(text, [](std::uint8_t old, std::uint8_t mixed) { return static_cast<std::uint8_t>(old ^ mixed); });
    }

private:
    template <class Operation>
    void combine(byte_span out, Operation operation) const noexcept
    {
        std::uint64_t counter = state_;
        std::uint64_t mixed = 0;
        for (std::size_t i = 0; i < out.size(); ++i, mixed >>= 8) {
            if (i % 8 == 0) {
                mixed = counter += 0x9e3779b97f4a7c15;
                mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
                mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
                mixed ^= mixed >> 31;
            }
            out[i] = operation(out[i], static_cast<std::uint8_t>(mixed));
        }
    }

    std::uint64_t state_ = 0xcbf29ce484222325;
};

struct null_crypto {
    class hash {
    public:
        explicit hash(hash_algorithm algorithm) noexcept : state_(static_cast<std::uint64_t>(algorithm)) {}
        void update(byte_view bytes) noexcept { state_.bytes(bytes); }
        void current(byte_span out) const noexcept { state_.fill(out); }

    private:
        mixer state_;
    };

    class hmac {
    public:
        explicit hmac(hash_algorithm algorithm) noexcept : seed_(0x100 + static_cast<std::uint64_t>(algorithm)) {}
        void start(byte_view key) noexcept
        {
            state_ = mixer(seed_);
            state_.bytes(key);
            state_.number(key.size());
        }
        void update(byte_view bytes) noexcept { state_.bytes(bytes); }
        void finish(byte_span out) const noexcept { state_.fill(out); }

    private:
        std::uint64_t seed_;
        mixer state_{0};
    };

    class aead {
    public:
        aead(aead_algorithm algorithm, byte_view key, bool) noexcept
            : key_(0x200 + static_cast<std::uint64_t>(algorithm))
        {
            key_.bytes(key);
        }

        void seal(byte_view nonce, byte_view ad, byte_span text, byte_span tag) const noexcept
        {
            copy(tag_of(nonce, ad, text), tag);
            with(nonce).mask(text);
        }

        [[nodiscard]] bool open(byte_view nonce, byte_view ad, byte_span text_and_tag) const noexcept
        {
            if (text_and_tag.size() < aead_tag_size)
                return false;
            const byte_span text = text_and_tag.first(text_and_tag.size() - aead_tag_size);
            with(nonce).mask(text);
            return equal(tag_of(nonce, ad, text), text_and_tag.last(aead_tag_size));
        }

    private:
        [[nodiscard]] mixer with(byte_view nonce) const noexcept
        {
            mixer state = key_;
            state.bytes(nonce);
            return state;
        }

        [[nodiscard]] std::array<std::uint8_t, aead_tag_size> tag_of(byte_view nonce, byte_view ad,
                                                                     byte_view text) const noexcept
        {
            mixer state = with(nonce);
            state.bytes(ad);
            state.number(ad.size());
            state.bytes(text);
            state.number(text.size());
            std::array<std::uint8_t, aead_tag_size> tag;
            state.fill(tag);
            return tag;
        }

        mixer key_;
    };

    // The share of zeros stands for those that are not valid.
    [[nodiscard]] static bool is_valid(byte_view share) noexcept
    {
        return std::ranges::any_of(share, [](std::uint8_t byte) { return byte != 0; });
    }

    [[nodiscard]] static byte_vector make_share(std::size_t size, std::uint64_t seed)
    {
        byte_vector share(size);
        mixer(seed).fill(share);
        return share;
    }

    [[nodiscard]] static secret<max_shared_secret_size> shared_secret(byte_view client_share, byte_view server_share)
    {
        mixer state(0x300);
        state.bytes(client_share);
        state.bytes(server_share);
        secret<max_shared_secret_size> shared(32);
        state.fill(shared.bytes());
        return shared;
    }

    [[nodiscard]] result<key_agreement> agree(named_group group, byte_view client_share) const
    {
        constexpr std::size_t ciphertext_size = 1088; // of ML-KEM-768
        assert(client_share.size() == client_share_size(group));
        if (!is_valid(client_share))
            return make_error_code(boost::system::errc::invalid_argument);
        const bool hybrid = group == named_group::x25519mlkem768;
        byte_vector share = make_share(hybrid ? ciphertext_size + 32 : client_share_size(group), 0x400);
        auto shared = shared_secret(client_share, share);
        return key_agreement{std::move(share), std::move(shared)};
    }

    void random(byte_span out) const noexcept { mixer(0x500).fill(out); }

    // The other side of agree(). Every client has the same.
    class client_key {
    public:
        explicit client_key(named_group group) : share_(make_share(client_share_size(group), 0x600)) {}
        [[nodiscard]] byte_view share() const noexcept { return share_; }
        [[nodiscard]] secret<max_shared_secret_size> agree(byte_view server_share) const
        {
            return shared_secret(share_, server_share);
        }

    private:
        byte_vector share_;
    };
};

static_assert(crypto_provider<null_crypto>);

}

#endif
