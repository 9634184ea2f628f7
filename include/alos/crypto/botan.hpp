// The crypto provider on Botan 3. Botan's exceptions end here; its random bytes are the system's.
#ifndef ALOS_CRYPTO_BOTAN_HPP
#define ALOS_CRYPTO_BOTAN_HPP

#include <alos/crypto/provider.hpp>
#include <alos/crypto/spare.hpp>

#include <botan/aead.h>
#include <botan/ec_group.h>
#include <botan/ecdh.h>
#include <botan/exceptn.h>
#include <botan/hash.h>
#include <botan/mac.h>
#include <botan/ml_kem.h>
#include <botan/pk_algs.h>
#include <botan/pubkey.h>
#include <botan/system_rng.h>
#include <botan/x25519.h>

#include <memory>
#include <string_view>

namespace alos::inline v0 {

struct botan_crypto {
    class hash {
    public:
        explicit hash(hash_algorithm algorithm)
            : state_(kept::take(algorithm == hash_algorithm::sha384, [=] {
                return Botan::HashFunction::create_or_throw(algorithm == hash_algorithm::sha256 ? "SHA-256"
                                                                                                 : "SHA-384");
            }))
        {}

        void update(byte_view bytes) { state_->update(bytes); }
        void current(byte_span out) const { state_->copy_state()->final(out.first(state_->output_length())); }

    private:
        using kept = spares<Botan::HashFunction, 2>;
        kept::pointer state_;
    };

    class hmac {
    public:
        explicit hmac(hash_algorithm algorithm)
            : state_(kept::take(algorithm == hash_algorithm::sha384, [=] {
                return Botan::MessageAuthenticationCode::create_or_throw(
                    algorithm == hash_algorithm::sha256 ? "HMAC(SHA-256)" : "HMAC(SHA-384)");
            }))
        {}

        void start(byte_view key) { state_->set_key(key); }
        void update(byte_view bytes) { state_->update(bytes); }
        void finish(byte_span out) { state_->final(out.first(state_->output_length())); }

    private:
        using kept = spares<Botan::MessageAuthenticationCode, 2>;
        kept::pointer state_;
    };

    class aead {
    public:
        aead(aead_algorithm algorithm, byte_view key, bool sealing)
            : mode_(kept::take(2 * static_cast<std::size_t>(algorithm) + sealing, [=] {
                return Botan::AEAD_Mode::create_or_throw(
                    name_of(algorithm), sealing ? Botan::Cipher_Dir::Encryption : Botan::Cipher_Dir::Decryption);
            }))
            , granularity_(mode_->update_granularity())
        {
            mode_->set_key(key);
        }

        // All but an unfinished block is encrypted where it stands; the tail goes through a small reused vector.
        void seal(byte_view nonce, byte_view ad, byte_span text, byte_span tag)
        {
            const std::size_t whole = begin(nonce, ad, text, text.size());
            mode_->finish(tail_);
            copy(byte_view(tail_).first(text.size() - whole), text.subspan(whole));
            copy(byte_view(tail_).subspan(text.size() - whole), tag);
        }

        [[nodiscard]] bool open(byte_view nonce, byte_view ad, byte_span text_and_tag)
        {
            if (text_and_tag.size() < aead_tag_size)
                return false;
            try {
                const std::size_t whole = begin(nonce, ad, text_and_tag, text_and_tag.size() - aead_tag_size);
                mode_->finish(tail_);
                copy(tail_, text_and_tag.subspan(whole));
                return true;
            } catch (const Botan::Exception&) {
                return false;
            }
        }

    private:
        static constexpr const char* name_of(aead_algorithm algorithm) noexcept
        {
            switch (algorithm) {
            case aead_algorithm::aes_128_gcm: return "AES-128/GCM";
            case aead_algorithm::aes_256_gcm: return "AES-256/GCM";
            default: return "ChaCha20Poly1305";
            }
        }

        std::size_t begin(byte_view nonce, byte_view ad, byte_span bytes, std::size_t size)
        {
            const std::size_t whole = size - size % granularity_;
            mode_->set_associated_data(ad);
            mode_->start(nonce);
            mode_->process(bytes.first(whole));
            tail_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(whole), bytes.end());
            return whole;
        }

        using kept = spares<Botan::AEAD_Mode, 6>;
        kept::pointer mode_;
        std::size_t granularity_;
        Botan::secure_vector<std::uint8_t> tail_;
    };

    // RFC 8446 7.4
    [[nodiscard]] result<key_agreement> agree(named_group group, byte_view client_share) const
    {
        try {
            switch (group) {
            case named_group::x25519: return agree_x25519(client_share);
            case named_group::secp256r1: return agree_ecdh("secp256r1", client_share);
            case named_group::secp384r1: return agree_ecdh("secp384r1", client_share);
            case named_group::x25519mlkem768: return agree_hybrid(client_share);
            }
        } catch (const Botan::Exception&) {
            // A point that is not on the curve, of low order, or a malformed ML-KEM key.
        }
        return make_error_code(boost::system::errc::invalid_argument);
    }

    void random(byte_span out) const { Botan::system_rng().randomize(out); }

private:
    static void append_secret(key_agreement& agreed, byte_view more)
    {
        secret<max_shared_secret_size> both(agreed.shared_secret.size() + more.size());
        copy(agreed.shared_secret.view(), both.bytes());
        copy(more, both.bytes().subspan(agreed.shared_secret.size()));
        agreed.shared_secret = std::move(both);
    }

    static key_agreement agree_x25519(byte_view client_share)
    {
        auto& rng = Botan::system_rng();
        const Botan::X25519_PrivateKey key(rng);
        const Botan::PK_Key_Agreement agreement(key, rng, "Raw");
        const auto shared = agreement.derive_key(0, client_share.data(), client_share.size()).bits_of();
        key_agreement agreed{.share = key.public_value(), .shared_secret = {}};
        append_secret(agreed, shared);
        return agreed;
    }

    static result<key_agreement> agree_ecdh(std::string_view curve, byte_view client_share)
    {
        if (client_share[0] != 0x04) // RFC 8446 4.2.8.2: uncompressed points only
            return make_error_code(boost::system::errc::invalid_argument);
        auto& rng = Botan::system_rng();
        const Botan::ECDH_PrivateKey key(rng, Botan::EC_Group::from_name(curve));
        const Botan::PK_Key_Agreement agreement(key, rng, "Raw");
        const auto shared = agreement.derive_key(0, client_share.data(), client_share.size()).bits_of();
        key_agreement agreed{.share = key.public_value(), .shared_secret = {}};
        append_secret(agreed, shared);
        return agreed;
    }

    // draft-ietf-tls-ecdhe-mlkem: ML-KEM first, in the shares and in the secret.
    static key_agreement agree_hybrid(byte_view client_share)
    {
        constexpr std::size_t encapsulation_key_size = 1184;
        auto& rng = Botan::system_rng();
        const Botan::ML_KEM_PublicKey encapsulation_key(client_share.first(encapsulation_key_size),
                                                        Botan::ML_KEM_Mode::ML_KEM_768);
        const auto kem = Botan::PK_KEM_Encryptor(encapsulation_key, "Raw").encrypt(rng);
        key_agreement classical = agree_x25519(client_share.subspan(encapsulation_key_size));
        key_agreement agreed{.share = kem.encapsulated_shared_key(), .shared_secret = {}};
        agreed.share.insert(agreed.share.end(), classical.share.begin(), classical.share.end());
        append_secret(agreed, kem.shared_key());
        append_secret(agreed, classical.shared_secret.view());
        return agreed;
    }
};

static_assert(crypto_provider<botan_crypto>);

}

#endif
