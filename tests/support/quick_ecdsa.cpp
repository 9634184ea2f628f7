// ECDSA for the simulation of years, where a million signatures would take most of the time: linked before Botan's own,
// whose functions these take the place of. A signature is a hash over the public key and the message, so that it
// verifies for whom and what it was made, and anybody could make one. No other test may use this.
#include <botan/ecdsa.h>
#include <botan/hash.h>
#include <botan/pk_ops.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace {

// Two numbers of 32 bytes, as r and s are.
class quick_digest {
public:
    explicit quick_digest(const Botan::ECDSA_PublicKey& key) : key_(key.raw_public_key_bits()) { begin(); }

    void update(std::span<const std::uint8_t> more) { hash_->update(more); }

    std::vector<std::uint8_t> end()
    {
        std::vector<std::uint8_t> both(64);
        hash_->final(std::span(both).first(32));
        std::copy_n(both.begin(), 32, both.begin() + 32);
        begin();
        return both;
    }

private:
    void begin() { hash_->update(key_); }

    std::vector<std::uint8_t> key_;
    std::unique_ptr<Botan::HashFunction> hash_ = Botan::HashFunction::create_or_throw("SHA-256");
};

class quick_signature final : public Botan::PK_Ops::Signature {
public:
    explicit quick_signature(const Botan::ECDSA_PublicKey& key) : digest_(key) {}
    void update(std::span<const std::uint8_t> more) override { digest_.update(more); }
    std::vector<std::uint8_t> sign(Botan::RandomNumberGenerator&) override { return digest_.end(); }
    std::size_t signature_length() const override { return 64; }
    std::string hash_function() const override { return "SHA-256"; }

private:
    quick_digest digest_;
};

class quick_verification final : public Botan::PK_Ops::Verification {
public:
    explicit quick_verification(const Botan::ECDSA_PublicKey& key) : digest_(key) {}
    void update(std::span<const std::uint8_t> more) override { digest_.update(more); }
    std::string hash_function() const override { return "SHA-256"; }
    bool is_valid_signature(std::span<const std::uint8_t> signature) override
    {
        const auto right = digest_.end();
        return std::equal(signature.begin(), signature.end(), right.begin(), right.end());
    }

private:
    quick_digest digest_;
};

}

namespace Botan {

std::unique_ptr<PK_Ops::Signature> ECDSA_PrivateKey::create_signature_op(RandomNumberGenerator&, std::string_view,
                                                                         std::string_view) const
{
    return std::make_unique<quick_signature>(*this);
}

std::unique_ptr<PK_Ops::Verification> ECDSA_PublicKey::create_verification_op(std::string_view, std::string_view) const
{
    return std::make_unique<quick_verification>(*this);
}

std::unique_ptr<PK_Ops::Verification> ECDSA_PublicKey::create_x509_verification_op(const AlgorithmIdentifier&,
                                                                                   std::string_view) const
{
    return std::make_unique<quick_verification>(*this);
}

}
