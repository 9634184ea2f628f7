// What a test client needs of Botan beyond what a server does: the client's side of a key agreement.
#ifndef ALOS_TESTS_SUPPORT_BOTAN_CLIENT_HPP
#define ALOS_TESTS_SUPPORT_BOTAN_CLIENT_HPP

#include <alos/crypto/botan.hpp>

#include <botan/pk_algs.h>

#include <memory>

namespace alos_tests {

using namespace alos;

struct botan_client : botan_crypto {
    class client_key {
    public:
        explicit client_key(named_group group) : group_(group)
        {
            auto& rng = Botan::system_rng();
            switch (group) {
            case named_group::x25519: classical_ = std::make_unique<Botan::X25519_PrivateKey>(rng); break;
            case named_group::secp256r1: classical_ = make_ecdh("secp256r1"); break;
            case named_group::secp384r1: classical_ = make_ecdh("secp384r1"); break;
            case named_group::x25519mlkem768:
                kem_ = std::make_unique<Botan::ML_KEM_PrivateKey>(rng, Botan::ML_KEM_Mode::ML_KEM_768);
                share_ = kem_->public_key_bits();
                classical_ = std::make_unique<Botan::X25519_PrivateKey>(rng);
                break;
            }
            const auto point = classical_->public_value();
            share_.insert(share_.end(), point.begin(), point.end());
        }

        [[nodiscard]] byte_view share() const noexcept { return share_; }

        [[nodiscard]] secret<max_shared_secret_size> agree(byte_view server_share) const
        {
            auto& rng = Botan::system_rng();
            Botan::secure_vector<std::uint8_t> both;
            if (kem_) {
                const byte_view ciphertext = server_share.first(1088);
                both = Botan::PK_KEM_Decryptor(*kem_, rng, "Raw").decrypt(ciphertext, 32, {});
                server_share = server_share.subspan(ciphertext.size());
            }
            const auto point = Botan::PK_Key_Agreement(dynamic_cast<const Botan::Private_Key&>(*classical_), rng, "Raw")
                                   .derive_key(0, server_share.data(), server_share.size())
                                   .bits_of();
            both.insert(both.end(), point.begin(), point.end());
            secret<max_shared_secret_size> shared(both.size());
            copy(both, shared.bytes());
            return shared;
        }

    private:
        static std::unique_ptr<Botan::PK_Key_Agreement_Key> make_ecdh(std::string_view curve)
        {
            return std::make_unique<Botan::ECDH_PrivateKey>(Botan::system_rng(), Botan::EC_Group::from_name(curve));
        }

        named_group group_;
        std::unique_ptr<Botan::PK_Key_Agreement_Key> classical_;
        std::unique_ptr<Botan::ML_KEM_PrivateKey> kem_;
        byte_vector share_;
    };
};

static_assert(crypto_provider<botan_client>);

}

#endif
