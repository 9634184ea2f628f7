// ECDSA and RSA for the simulation of years, where a million signatures would take most of the time: linked before
// Botan's own, whose functions these take the place of. A signature is a hash over the public key and the message, so
// that it verifies for whom and what it was made, and anybody could make one. Private keys of ECDSA are small numbers,
// one after another, and RSA's factors are no primes. What a key is in DER is read once by each thread.
// No other test may use this.
#include <botan/allocator.h>
#include <botan/ber_dec.h>
#include <botan/data_src.h>
#include <botan/ec_apoint.h>
#include <botan/ec_group.h>
#include <botan/ec_scalar.h>
#include <botan/ecdsa.h>
#include <botan/hash.h>
#include <botan/pk_algs.h>
#include <botan/pk_ops.h>
#include <botan/pkcs8.h>
#include <botan/rsa.h>
#include <botan/x509_key.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

// Two numbers of 32 bytes, as r and s are.
class quick_digest {
public:
    explicit quick_digest(const Botan::Public_Key& key) : key_(key.public_key_bits()) { begin(); }

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
    explicit quick_signature(const Botan::Public_Key& key) : digest_(key) {}
    void update(std::span<const std::uint8_t> more) override { digest_.update(more); }
    std::vector<std::uint8_t> sign(Botan::RandomNumberGenerator&) override { return digest_.end(); }
    std::size_t signature_length() const override { return 64; }
    std::string hash_function() const override { return "SHA-256"; }

private:
    quick_digest digest_;
};

class quick_verification final : public Botan::PK_Ops::Verification {
public:
    explicit quick_verification(const Botan::Public_Key& key) : digest_(key) {}
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

// Keys of ECDSA by what they are in DER.
template <class Key>
class known_keys {
public:
    // What read() gives for these bytes, or gave before.
    template <class Read>
    auto find(std::string_view der, const Read& read) -> decltype(read())
    {
        std::string bytes(der);
        if (const auto known = all_.find(bytes); known != all_.end())
            return std::make_unique<Key>(known->second);
        auto made = read();
        if (all_.size() >= most)
            all_.clear();
        if (const auto* const one = dynamic_cast<const Key*>(made.get()))
            all_.emplace(std::move(bytes), *one);
        return made;
    }

private:
    static constexpr std::size_t most = 4096;
    std::unordered_map<std::string, Key> all_;
};

// Private keys are drawn from 1 to this, so that the public key of each is reckoned once in a thread.
constexpr std::size_t most_keys = 1 << 14;
constexpr std::size_t shared_keys = 16;

// The number that a private key is; 0: none that was drawn here.
std::size_t number_of(std::span<const std::uint8_t> key)
{
    const auto small = key.last(2);
    const bool is_small = std::ranges::all_of(key.first(key.size() - 2), [](std::uint8_t each) { return each == 0; });
    const std::size_t number = static_cast<std::size_t>(small[0]) << 8 | small[1];
    return is_small && number <= most_keys ? number : 0;
}

// By the size of its order; there are not two of one size here.
const Botan::EC_Group& group_of(std::size_t order_size)
{
    static const Botan::EC_Group p256 = Botan::EC_Group::from_name("secp256r1");
    static const Botan::EC_Group p384 = Botan::EC_Group::from_name("secp384r1");
    return order_size == 32 ? p256 : p384;
}

}

namespace Botan {

// Note: nothing here is secret, and locked memory is shared by all threads.
void* allocate_memory(std::size_t elems, std::size_t elem_size)
{
    if (elems == 0 || elem_size == 0)
        return nullptr;
    return std::memset(::operator new(elems * elem_size), 0, elems * elem_size);
}

void deallocate_memory(void* p, std::size_t, std::size_t) { ::operator delete(p); }

EC_Scalar EC_Scalar::random(const EC_Group& group, RandomNumberGenerator&)
{
    // The first ones, which are those of the CAs for all threads, are nobody else's.
    static std::atomic<std::size_t> drawn = 0;
    thread_local std::size_t own = 0;
    const std::size_t before = drawn < shared_keys ? drawn.fetch_add(1) : shared_keys;
    const std::size_t last =
        before < shared_keys ? before + 1 : shared_keys + 1 + own++ % (most_keys - shared_keys);
    std::vector<std::uint8_t> bytes(group.get_order_bytes());
    bytes[bytes.size() - 2] = static_cast<std::uint8_t>(last >> 8);
    bytes.back() = static_cast<std::uint8_t>(last & 0xff);
    return *EC_Scalar::deserialize(group, bytes);
}

EC_AffinePoint EC_AffinePoint::g_mul(const EC_Scalar& scalar, RandomNumberGenerator& random)
{
    const auto bytes = scalar.serialize<std::vector<std::uint8_t>>();
    const std::size_t number = bytes.size() == 32 ? number_of(bytes) : 0;
    if (number == 0)
        return EC_AffinePoint::generator(group_of(bytes.size())).mul(scalar, random);
    thread_local const EC_AffinePoint first = EC_AffinePoint::generator(group_of(32));
    thread_local std::vector<EC_AffinePoint> known{first};
    while (known.size() < number)
        known.push_back(known.back().add(first));
    return known[number - 1];
}

std::unique_ptr<Private_Key> PKCS8::load_key(std::span<const std::uint8_t> source)
{
    thread_local known_keys<ECDSA_PrivateKey> known;
    const std::string_view der(reinterpret_cast<const char*>(source.data()), source.size());
    return known.find(der, [&] {
        DataSource_Memory from(source);
        return PKCS8::load_key(from);
    });
}

std::unique_ptr<Public_Key> X509::load_key(DataSource& source)
{
    thread_local known_keys<ECDSA_PublicKey> known;
    std::string der(1024, '\0'); // more than any key has
    der.resize(source.read(reinterpret_cast<std::uint8_t*>(der.data()), der.size()));
    return known.find(der, [&] {
        AlgorithmIdentifier algorithm;
        std::vector<std::uint8_t> key;
        const std::span bytes(reinterpret_cast<const std::uint8_t*>(der.data()), der.size());
        BER_Decoder(bytes).start_sequence().decode(algorithm).decode(key, ASN1_Type::BitString).end_cons();
        return load_public_key(algorithm, key);
    });
}

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

RSA_PrivateKey::RSA_PrivateKey(RandomNumberGenerator& random, std::size_t bits, std::size_t exponent)
{
    const auto factor = [&] {
        BigInt number(random, bits / 2);
        number.set_bit(bits / 2 - 2); // so that the product has all of its bits
        number.set_bit(0);
        return number;
    };
    BigInt p = factor();
    BigInt q = factor();
    RSA_PublicKey::init(p * q, BigInt::from_u64(exponent));
    const auto any = [] { return BigInt::from_u64(3); };
    init(any(), std::move(p), std::move(q), any(), any(), any());
}

std::unique_ptr<PK_Ops::Signature> RSA_PrivateKey::create_signature_op(RandomNumberGenerator&, std::string_view,
                                                                       std::string_view) const
{
    return std::make_unique<quick_signature>(*this);
}

std::unique_ptr<PK_Ops::Verification> RSA_PublicKey::create_verification_op(std::string_view, std::string_view) const
{
    return std::make_unique<quick_verification>(*this);
}

std::unique_ptr<PK_Ops::Verification> RSA_PublicKey::create_x509_verification_op(const AlgorithmIdentifier&,
                                                                                 std::string_view) const
{
    return std::make_unique<quick_verification>(*this);
}

}
