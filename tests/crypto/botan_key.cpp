#include <alos/crypto/botan_key.hpp>

#include "support/pem_files.hpp"

#include <botan/x509_key.h>

#include <doctest/doctest.h>

using namespace alos;
using alos_tests::pem;

namespace {

outcome<private_key_ptr> key_of(const std::string& text, std::string_view passphrase = {})
{
    const auto blocks = parse_pem(text).value();
    secret_bytes parameters;
    for (const pem_block& block : blocks) {
        if (block.label == "EC PARAMETERS")
            parameters = decode_pem(block).value();
        if (is_private_key(block))
            return parse_private_key(block, passphrase, parameters);
    }
    return failure{errc::bad_pem, "no key"};
}

bool says(const failure& why, std::string_view words) { return why.what.find(words) != std::string::npos; }

}

TEST_CASE("one key is read from PKCS#8, PBES2, SEC1 and PKCS#1 (RFC 5958, 8018, 5915, 8017)")
{
    const byte_vector p256 = (*key_of(pem("p256.key")))->public_key_info();
    for (const char* name : {"p256_sec1.key", "p256_sec1_plain.key", "p256_pbes2.key", "p256_text.key"}) {
        CAPTURE(name);
        const auto key = key_of(pem(name), "secret");
        REQUIRE(key.has_value());
        CHECK((*key)->public_key_info() == p256);
    }
    const byte_vector rsa = (*key_of(pem("rsa.key")))->public_key_info();
    for (const char* name : {"rsa_pkcs1.key", "rsa_pbes2.key"}) {
        CAPTURE(name);
        const auto key = key_of(pem(name), "secret");
        REQUIRE(key.has_value());
        CHECK((*key)->public_key_info() == rsa);
    }
}

TEST_CASE("SEC1: the curve may stand only in the EC PARAMETERS block before the key (RFC 5915 4)")
{
    // The test key without its own [0] parameters and [1] public key.
    const auto blocks = parse_pem(pem("p256_sec1_plain.key")).value();
    const auto whole = decode_pem(blocks[0]).value();
    der::reader in(whole);
    der::reader fields(in.read(der::sequence));
    fields.read(der::integer);
    const byte_view number = fields.read(der::octet_string);
    secret_bytes bare;
    der::writer out(bare);
    out.nested(der::sequence, [&] {
        out.small_integer(1);
        out.value(der::octet_string, number);
    });
    const std::string key(as_text(encode_pem("EC PRIVATE KEY", bare)));
    const std::string parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";

    const auto read = key_of(parameters + key);
    REQUIRE(read.has_value());
    CHECK((*read)->public_key_info() == (*key_of(pem("p256.key")))->public_key_info());

    const auto without = key_of(key);
    REQUIRE_FALSE(without.has_value());
    CHECK(says(without.error(), "names no curve"));
}

TEST_CASE("PKCS#8 version 1 with a public key is read (RFC 5958 2)")
{
    const auto blocks = parse_pem(pem("ed25519.key")).value();
    const auto der = decode_pem(blocks[0]).value();
    der::reader in(der);
    der::reader fields(in.read(der::sequence));
    fields.read(der::integer);
    const der::element algorithm = fields.whole(der::sequence);
    const der::element number = fields.whole(der::octet_string);
    secret_bytes version_1;
    der::writer out(version_1);
    out.nested(der::sequence, [&] {
        out.small_integer(1);
        out.raw(algorithm.whole);
        out.raw(number.whole);
        out.value(der::context(1), byte_vector(33, 0));
    });
    const auto read = key_of(std::string(as_text(encode_pem("PRIVATE KEY", version_1))));
    REQUIRE(read.has_value());
    CHECK((*read)->public_key_info() == (*key_of(pem("ed25519.key")))->public_key_info());
}

TEST_CASE("a key that cannot be read says why and names the cure")
{
    const auto why = [](const std::string& text, std::string_view passphrase = {}) {
        const auto key = key_of(text, passphrase);
        REQUIRE_FALSE(key.has_value());
        CHECK(key.error().what.find("secret") == std::string::npos);
        CHECK(key.error().what.find('\n') == std::string::npos);
        return key.error();
    };
    CHECK(why(pem("p256_pbes2.key")).code == errc::key_is_encrypted);
    CHECK(says(why(pem("p256_pbes2.key")), "openssl pkey -in OLD -out NEW"));
    CHECK(why(pem("p256_pbes2.key"), "wrong").code == errc::wrong_passphrase);
    CHECK(why(pem("rsa_pbes2.key"), "wrong").code == errc::wrong_passphrase);
    CHECK(says(why(pem("p256_pbes1.key"), "secret"), "openssl pkcs8 -topk8 -v2 aes-256-cbc"));
    CHECK(why(pem("p256_proc_type.key"), "secret").code == errc::key_is_encrypted);
    CHECK(says(why(pem("p256_proc_type.key"), "secret"), "Proc-Type"));
    CHECK(says(why(pem("p256_proc_type.key")), "openssl pkcs8 -topk8"));
    CHECK(why(pem("ed448.key")).code == errc::unsupported_key);
    CHECK(why("-----BEGIN OPENSSH PRIVATE KEY-----\nAAEC\n-----END OPENSSH PRIVATE KEY-----\n").code
          == errc::unsupported_key);
    for (const char* label : {"PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"}) {
        const std::string begin = "-----BEGIN " + std::string(label) + "-----\n";
        const std::string end = "-----END " + std::string(label) + "-----\n";
        CHECK(why(begin + "AAEC\n" + end).code == errc::bad_private_key);
        CHECK(why(begin + "MAA=\n" + end).code == errc::bad_private_key);
        CHECK(why(begin + "!\n" + end).code == errc::bad_private_key);
        CHECK(why(begin + end).code == errc::bad_private_key);
    }
}

TEST_CASE("scrypt is read where Botan has it, and refused with a cure where not")
{
    const auto key = key_of(pem("p256_scrypt.key"), "secret");
    if (key)
        CHECK((*key)->public_key_info() == (*key_of(pem("p256.key")))->public_key_info());
    else
        CHECK(says(key.error(), "scrypt"));
}

TEST_CASE("a private key signs again and again, and refuses schemes that sign no handshake (RFC 8446 4.2.3)")
{
    using enum signature_scheme;
    const std::vector<std::pair<key_kind, signature_scheme>> kinds = {
        {key_kind::ecdsa_p256, ecdsa_secp256r1_sha256},
        {key_kind::ecdsa_p384, ecdsa_secp384r1_sha384},
        {key_kind::ed25519, ed25519},
        {key_kind::rsa_2048, rsa_pss_rsae_sha256},
    };
    const byte_vector content(130, 0x20);
    for (const auto& [kind, scheme] : kinds) {
        const auto key = private_key::generate(kind).value();
        for (int i = 0; i < 3; ++i) {
            const auto signature = key->sign(scheme, content);
            REQUIRE(signature.has_value());
            CHECK_FALSE(signature->empty());
        }
        CHECK_FALSE(key->sign(ecdsa_secp521r1_sha512, content).has_value());
        CHECK_FALSE(key->sign(rsa_pkcs1_sha256, content).has_value());
        CHECK_FALSE(key->sign(kind == key_kind::ed25519 ? rsa_pss_rsae_sha256 : ed25519, content).has_value());

        const auto again = key_of(std::string(as_text(key->to_pem())));
        REQUIRE(again.has_value());
        CHECK((*again)->public_key_info() == key->public_key_info());
    }
}

TEST_CASE("sign_document: RSA by PKCS#1 v1.5, ECDSA as DER or as r and s in fixed width (RFC 7518 3.4)")
{
    using enum signature_scheme;
    struct row {
        const char* file;
        signature_scheme scheme;
        const char* padding;
        std::size_t raw_size;
    };
    const byte_vector content(130, 0x20);
    for (const row& one : {row{"p256.key", ecdsa_secp256r1_sha256, "SHA-256", 64},
                           row{"p384.key", ecdsa_secp384r1_sha384, "SHA-384", 96},
                           row{"ed25519.key", ed25519, "Pure", 64},
                           row{"rsa.key", rsa_pkcs1_sha256, "PKCS1v15(SHA-256)", 256}}) {
        CAPTURE(one.file);
        const private_key_ptr key = key_of(pem(one.file)).value();
        const auto public_key = Botan::X509::load_key(key->public_key_info());
        for (const ecdsa_form form : {ecdsa_form::der, ecdsa_form::raw}) {
            const auto signature = key->sign_document(one.scheme, content, form);
            REQUIRE(signature.has_value());
            const bool raw = form == ecdsa_form::raw;
            if (raw)
                CHECK(signature->size() == one.raw_size);
            const auto format = raw ? Botan::Signature_Format::Standard : signature_format(*public_key);
            Botan::PK_Verifier verifier(*public_key, one.padding, format);
            CHECK(verifier.verify_message(content, *signature));
        }
        for (const signature_scheme other : {rsa_pkcs1_sha1, ecdsa_sha1, ecdsa_secp521r1_sha512, rsa_pkcs1_sha512})
            CHECK(key->sign_document(other, content, ecdsa_form::der).error() == errc::unsupported_key);
    }
    const private_key_ptr ecdsa = key_of(pem("p256.key")).value();
    CHECK(ecdsa->sign_document(rsa_pkcs1_sha256, content, ecdsa_form::raw).error() == errc::bad_private_key);
}
