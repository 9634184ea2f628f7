// Private keys by Botan: read from PEM (RFC 5958, 5915, 8017), made, and signed with. Botan's exceptions end here.
#ifndef ALOS_CRYPTO_BOTAN_KEY_HPP
#define ALOS_CRYPTO_BOTAN_KEY_HPP

#include <alos/crypto/algorithms.hpp>
#include <alos/crypto/der.hpp>
#include <alos/crypto/pem.hpp>

#include <botan/ec_group.h>
#include <botan/ecdsa.h>
#include <botan/ed25519.h>
#include <botan/pkcs8.h>
#include <botan/pubkey.h>
#include <botan/rsa.h>
#include <botan/system_rng.h>

#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace alos::inline v0 {

// How Botan calls what a scheme does to a message; nothing for a scheme that signs no handshake (RFC 8446 4.2.3).
[[nodiscard]] inline std::string_view signature_padding(signature_scheme scheme) noexcept
{
    switch (scheme) {
    case signature_scheme::ecdsa_secp256r1_sha256: return "SHA-256";
    case signature_scheme::ecdsa_secp384r1_sha384: return "SHA-384";
    case signature_scheme::ed25519: return "Pure";
    case signature_scheme::rsa_pss_rsae_sha256:
    case signature_scheme::rsa_pss_pss_sha256: return "PSS(SHA-256,MGF1,32)";
    case signature_scheme::rsa_pss_rsae_sha384:
    case signature_scheme::rsa_pss_pss_sha384: return "PSS(SHA-384,MGF1,48)";
    case signature_scheme::rsa_pss_rsae_sha512:
    case signature_scheme::rsa_pss_pss_sha512: return "PSS(SHA-512,MGF1,64)";
    default: return {};
    }
}

// ECDSA signatures are a DER SEQUENCE in TLS (RFC 8446 4.2.3); others have one form only.
[[nodiscard]] inline Botan::Signature_Format signature_format(const Botan::Public_Key& key)
{
    return key.algo_name() == "ECDSA" ? Botan::Signature_Format::DerSequence : Botan::Signature_Format::Standard;
}

// How an ECDSA signature is written: as a DER SEQUENCE (RFC 3279 2.2.3), or as r and s side by side, each as wide as
// the curve's order (RFC 7518 3.4). Other signatures have one form only.
enum class ecdsa_form : std::uint8_t { der, raw };

// A private key that any number of threads may sign with.
class private_key {
public:
    explicit private_key(std::unique_ptr<Botan::Private_Key> key) noexcept : key_(std::move(key)) {}

    [[nodiscard]] static outcome<std::shared_ptr<const private_key>> generate(key_kind kind)
    {
        try {
            return std::make_shared<const private_key>(make(kind));
        } catch (const std::exception& error) {
            return failure{errc::bad_private_key, std::string("a new key cannot be made: ") + error.what()};
        }
    }

    // Signs as CertificateVerify does (RFC 8446 4.4.3), with one of the schemes_of() this key.
    [[nodiscard]] result<byte_vector> sign(signature_scheme scheme, byte_view content) const
    {
        if (signature_padding(scheme).empty())
            return make_error_code(errc::unsupported_key);
        try {
            std::unique_ptr<Botan::PK_Signer> signer = take(scheme);
            signer->update(content);
            byte_vector signature = signer->signature(Botan::system_rng());
            put_back(scheme, std::move(signer));
            return signature;
        } catch (const std::exception&) {
            return make_error_code(errc::bad_private_key);
        }
    }

    // Signs what is no handshake, such as a certificate request or a JWS, by the document_scheme_of() this key.
    // Note: a new signer each time; such signatures are rare.
    [[nodiscard]] result<byte_vector> sign_document(signature_scheme scheme, byte_view content, ecdsa_form form) const
    {
        const bool is_rsa = scheme == signature_scheme::rsa_pkcs1_sha256;
        const std::string_view padding = is_rsa ? "PKCS1v15(SHA-256)" : signature_padding(scheme);
        if (padding.empty())
            return make_error_code(errc::unsupported_key);
        try {
            const bool raw = form == ecdsa_form::raw;
            const auto format = raw ? Botan::Signature_Format::Standard : signature_format(*key_);
            Botan::PK_Signer signer(*key_, Botan::system_rng(), padding, format);
            return signer.sign_message(content, Botan::system_rng());
        } catch (const std::exception&) {
            return make_error_code(errc::bad_private_key);
        }
    }

    // SubjectPublicKeyInfo (RFC 5280 4.1.2.7), in the form that Botan gives every key of the type.
    [[nodiscard]] byte_vector public_key_info() const { return key_->subject_public_key(); }

    // PrivateKeyInfo as PEM (RFC 5958), not encrypted.
    [[nodiscard]] secret_text to_pem() const { return encode_pem("PRIVATE KEY", key_->private_key_info()); }

private:
    struct idle_signer {
        signature_scheme scheme;
        std::unique_ptr<Botan::PK_Signer> signer;
    };

    static std::unique_ptr<Botan::Private_Key> make(key_kind kind)
    {
        Botan::RandomNumberGenerator& random = Botan::system_rng();
        switch (kind) {
        case key_kind::ecdsa_p384:
            return std::make_unique<Botan::ECDSA_PrivateKey>(random, Botan::EC_Group::from_name("secp384r1"));
        case key_kind::ed25519: return std::make_unique<Botan::Ed25519_PrivateKey>(random);
        case key_kind::rsa_2048: return std::make_unique<Botan::RSA_PrivateKey>(random, 2048);
        case key_kind::ecdsa_p256: break;
        }
        return std::make_unique<Botan::ECDSA_PrivateKey>(random, Botan::EC_Group::from_name("secp256r1"));
    }

    std::unique_ptr<Botan::PK_Signer> take(signature_scheme scheme) const
    {
        {
            const std::lock_guard lock(mutex_);
            for (auto i = idle_.rbegin(); i != idle_.rend(); ++i) {
                if (i->scheme != scheme)
                    continue;
                auto signer = std::move(i->signer);
                *i = std::move(idle_.back());
                idle_.pop_back();
                return signer;
            }
        }
        return std::make_unique<Botan::PK_Signer>(*key_, Botan::system_rng(), signature_padding(scheme),
                                                  signature_format(*key_));
    }

    void put_back(signature_scheme scheme, std::unique_ptr<Botan::PK_Signer> signer) const
    {
        const std::lock_guard lock(mutex_);
        idle_.push_back({scheme, std::move(signer)});
    }

    const std::unique_ptr<Botan::Private_Key> key_;

    // A signer serves one signature at a time, and a new one for RSA costs as much as a signature. There are never
    // more of them than threads that signed at once.
    mutable std::mutex mutex_;
    mutable std::vector<idle_signer> idle_;
};

using private_key_ptr = std::shared_ptr<const private_key>;

[[nodiscard]] inline bool is_private_key(const pem_block& block) noexcept
{
    return block.label.ends_with("PRIVATE KEY");
}

namespace detail {

// The contents of an OBJECT IDENTIFIER.
template <class... Bytes>
constexpr auto oid(Bytes... bytes) noexcept
{
    return std::array<std::uint8_t, sizeof...(Bytes)>{static_cast<std::uint8_t>(bytes)...};
}

inline constexpr auto oid_rsa = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01);
inline constexpr auto oid_rsa_pss = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a);
inline constexpr auto oid_ed25519 = oid(0x2b, 0x65, 0x70);
inline constexpr auto oid_ec_public_key = oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01);
inline constexpr auto oid_p256 = oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07);
inline constexpr auto oid_p384 = oid(0x2b, 0x81, 0x04, 0x00, 0x22);
inline constexpr auto oid_pbes2 = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d);
inline constexpr auto oid_pbkdf2 = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c);

// RFC 5958 2: a key as Botan reads it, from its AlgorithmIdentifier's contents and the algorithm's own format.
inline secret_bytes private_key_info(byte_view algorithm, byte_view key)
{
    secret_bytes der;
    der.reserve(algorithm.size() + key.size() + 32);
    der::writer out(der);
    out.nested(der::sequence, [&] {
        out.small_integer(0);
        out.value(der::sequence, algorithm);
        out.value(der::octet_string, key);
    });
    return der;
}

inline failure unreadable_key()
{
    return {errc::bad_private_key, "the private key cannot be read; it is damaged, restore it"};
}

// Whether an AlgorithmIdentifier is of a key that could sign in TLS 1.3.
inline bool is_usable_algorithm(byte_view algorithm) noexcept
{
    der::reader in(algorithm);
    const byte_view type = in.read(der::object_identifier);
    if (!equal(type, oid_ec_public_key))
        return equal(type, oid_rsa) || equal(type, oid_rsa_pss) || equal(type, oid_ed25519);
    const byte_view curve = in.read_if(der::object_identifier);
    return equal(curve, oid_p256) || equal(curve, oid_p384);
}

inline outcome<private_key_ptr> load_private_key(byte_view algorithm, byte_view key)
{
    // Whatever else this build of Botan can read.
    if (!is_usable_algorithm(algorithm))
        return failure{errc::unsupported_key, "TLS 1.3 cannot be served here with a private key of this type; use "
                                              "ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits or more"};
    try {
        return std::make_shared<const private_key>(
            Botan::PKCS8::load_key(std::span<const std::uint8_t>(private_key_info(algorithm, key))));
    } catch (const std::exception&) {
        return unreadable_key();
    }
}

// RFC 5958 2. Version 1 adds the public key, which is left out.
inline outcome<private_key_ptr> load_pkcs8(byte_view bytes)
{
    der::reader in(bytes);
    der::reader info(in.read(der::sequence));
    info.read(der::integer);
    const byte_view algorithm = info.read(der::sequence);
    const byte_view key = info.read(der::octet_string);
    if (!in.complete() || !info.ok())
        return unreadable_key();
    return load_private_key(algorithm, key);
}

// RFC 5915 3. The curve is in the key, or in an EC PARAMETERS block before it.
inline outcome<private_key_ptr> load_sec1(byte_view bytes, byte_view parameters)
{
    der::reader in(bytes);
    der::reader key(in.read(der::sequence));
    key.read(der::integer);
    key.read(der::octet_string);
    if (key.next_is(der::context_constructed(0)))
        parameters = key.read(der::context_constructed(0));
    if (!in.complete() || !key.ok())
        return unreadable_key();
    if (parameters.empty())
        return failure{errc::bad_private_key, "the EC private key names no curve; convert it: "
                                              "openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW"};
    byte_vector algorithm;
    der::writer out(algorithm);
    out.value(der::object_identifier, oid_ec_public_key);
    out.raw(parameters);
    return load_private_key(algorithm, bytes);
}

// RFC 8017 A.1.2
inline outcome<private_key_ptr> load_pkcs1(byte_view bytes)
{
    byte_vector algorithm;
    der::writer out(algorithm);
    out.value(der::object_identifier, oid_rsa);
    out.value(der::null, {});
    return load_private_key(algorithm, bytes);
}

// Whether an EncryptedPrivateKeyInfo (RFC 5958 3) uses PBES2 with PBKDF2 (RFC 8018 A.2, A.4).
inline bool uses_pbkdf2(byte_view bytes) noexcept
{
    der::reader in(bytes);
    der::reader info(in.read(der::sequence));
    der::reader algorithm(info.read(der::sequence));
    const bool pbes2 = equal(algorithm.read(der::object_identifier), oid_pbes2);
    der::reader parameters(algorithm.read(der::sequence));
    der::reader derivation(parameters.read(der::sequence));
    return pbes2 && equal(derivation.read(der::object_identifier), oid_pbkdf2);
}

inline outcome<private_key_ptr> load_encrypted(byte_view bytes, std::string_view passphrase)
{
    if (passphrase.empty())
        return failure{errc::key_is_encrypted, "the private key is encrypted; give its passphrase, or decrypt it: "
                                               "openssl pkey -in OLD -out NEW"};
    try {
        return std::make_shared<const private_key>(
            Botan::PKCS8::load_key(std::span<const std::uint8_t>(bytes), passphrase));
    } catch (const std::exception&) {
        if (uses_pbkdf2(bytes))
            return failure{errc::wrong_passphrase,
                           "the passphrase does not open the private key; give the right one"};
        return failure{errc::bad_private_key,
                       "the private key is encrypted by a method that is not read here (scrypt or PBES1); convert it: "
                       "openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW"};
    }
}

}

// The key of a block that is_private_key(). `ec_parameters` is the DER of an EC PARAMETERS block, if there is one.
[[nodiscard]] inline outcome<private_key_ptr> parse_private_key(const pem_block& block, std::string_view passphrase,
                                                                byte_view ec_parameters)
{
    if (block.headers.find("ENCRYPTED") != std::string_view::npos)
        return failure{errc::key_is_encrypted,
                       "the private key is encrypted in an old format (Proc-Type: 4,ENCRYPTED) that is not read here; "
                       "convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW"};
    const auto bytes = decode_pem(block);
    if (!bytes)
        return detail::unreadable_key();
    if (block.label == "PRIVATE KEY")
        return detail::load_pkcs8(*bytes);
    if (block.label == "ENCRYPTED PRIVATE KEY")
        return detail::load_encrypted(*bytes, passphrase);
    if (block.label == "EC PRIVATE KEY")
        return detail::load_sec1(*bytes, ec_parameters);
    if (block.label == "RSA PRIVATE KEY")
        return detail::load_pkcs1(*bytes);
    return failure{errc::unsupported_key, "a key in the format " + std::string(block.label)
                                              + " cannot be used; PKCS#8, SEC1 and PKCS#1 can"};
}

}

#endif
