#include <alos/crypto/botan.hpp>

#include "support/botan_client.hpp"
#include "support/hex.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>

using namespace alos;
using namespace alos_tests;

namespace {

constexpr std::array aeads{aead_algorithm::aes_128_gcm, aead_algorithm::aes_256_gcm,
                           aead_algorithm::chacha20_poly1305};

constexpr std::array groups{named_group::x25519, named_group::secp256r1, named_group::secp384r1,
                            named_group::x25519mlkem768};

std::string digest_of(hash_algorithm algorithm, std::string_view text)
{
    botan_crypto::hash hash(algorithm);
    hash.update(as_bytes(text));
    byte_vector out(hash_size(algorithm));
    hash.current(out);
    return to_hex(out);
}

std::string hmac_of(hash_algorithm algorithm, byte_view key, std::string_view text)
{
    botan_crypto::hmac mac(algorithm);
    mac.start(key);
    mac.update(as_bytes(text));
    byte_vector out(hash_size(algorithm));
    mac.finish(out);
    return to_hex(out);
}

// One AEAD both ways, with a known answer: ciphertext and tag.
void check_aead(aead_algorithm algorithm, std::string_view key, std::string_view nonce, std::string_view ad,
                std::string_view plain, std::string_view answer)
{
    byte_vector text = from_hex(plain);
    byte_vector tag(aead_tag_size);
    botan_crypto::aead(algorithm, from_hex(key), true).seal(from_hex(nonce), from_hex(ad), text, tag);
    CHECK(to_hex(text) + to_hex(tag) == answer);
    byte_vector sealed = from_hex(answer);
    CHECK(botan_crypto::aead(algorithm, from_hex(key), false).open(from_hex(nonce), from_hex(ad), sealed));
    CHECK(to_hex(byte_view(sealed).first(text.size())) == plain);
}

}

TEST_CASE("FIPS 180-4: SHA-256 and SHA-384 of abc")
{
    CHECK(digest_of(hash_algorithm::sha256, "abc") ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(digest_of(hash_algorithm::sha384, "abc") ==
          "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
          "8086072ba1e7cc2358baeca134c825a7");
}

TEST_CASE("a digest can be taken while the hash goes on")
{
    botan_crypto::hash hash(hash_algorithm::sha256);
    std::array<std::uint8_t, 32> early;
    hash.update(as_bytes("a"));
    hash.current(early);
    hash.update(as_bytes("bc"));
    std::array<std::uint8_t, 32> late;
    hash.current(late);
    CHECK(to_hex(early) == digest_of(hash_algorithm::sha256, "a"));
    CHECK(to_hex(late) == digest_of(hash_algorithm::sha256, "abc"));
}

TEST_CASE("RFC 4231 4.2, 4.3: HMAC, one object for many keys")
{
    CHECK(hmac_of(hash_algorithm::sha256, byte_vector(20, 0x0b), "Hi There") ==
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    CHECK(hmac_of(hash_algorithm::sha384, as_bytes("Jefe"), "what do ya want for nothing?") ==
          "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649");
    botan_crypto::hmac mac(hash_algorithm::sha256);
    byte_vector out(32);
    for (int i = 0; i < 2; ++i) {
        mac.start(byte_vector(20, 0x0b));
        mac.update(as_bytes("Hi There"));
        mac.finish(out);
        CHECK(to_hex(out) == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        mac.start({}); // an empty key is a key
        mac.finish(out);
        CHECK(to_hex(out) == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    }
}

TEST_CASE("AES-GCM: the specification's test cases 4 and 16")
{
    constexpr std::string_view nonce = "cafebabefacedbaddecaf888";
    constexpr std::string_view ad = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
    constexpr std::string_view plain =
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
    check_aead(aead_algorithm::aes_128_gcm, "feffe9928665731c6d6a8f9467308308", nonce, ad, plain,
               "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
               "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
               "5bc94fbc3221a5db94fae95ae7121a47");
    check_aead(aead_algorithm::aes_256_gcm, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", nonce,
               ad, plain,
               "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
               "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
               "76fc6ece0f4e1768cddf8853bb2d551b");
}

TEST_CASE("RFC 8439 2.8.2: ChaCha20-Poly1305")
{
    check_aead(aead_algorithm::chacha20_poly1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
               "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
               to_hex(as_bytes("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
                               "future, sunscreen would be it.")),
               "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
               "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
               "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
               "3ff4def08e4b7a9de576d26586cec64b6116"
               "1ae10b594f09e26a7e902ecbd0600691");
}

TEST_CASE("what is sealed opens again, at every size, with the same objects")
{
    const byte_vector key(32, 0x4b);
    const byte_vector ad{1, 2, 3, 4, 5};
    for (const aead_algorithm algorithm : aeads) {
        botan_crypto::aead sealing(algorithm, byte_view(key).first(key_size(algorithm)), true);
        botan_crypto::aead opening(algorithm, byte_view(key).first(key_size(algorithm)), false);
        for (std::size_t size = 0; size < 300; ++size) {
            byte_vector nonce(aead_nonce_size, static_cast<std::uint8_t>(size));
            nonce[0] = static_cast<std::uint8_t>(size >> 8);
            byte_vector bytes(size + aead_tag_size, 0x70);
            sealing.seal(nonce, ad, byte_span(bytes).first(size), byte_span(bytes).last(aead_tag_size));
            REQUIRE(opening.open(nonce, ad, bytes));
            REQUIRE(std::ranges::count(byte_view(bytes).first(size), 0x70) == static_cast<std::ptrdiff_t>(size));
        }
    }
}

TEST_CASE("a changed byte anywhere, another nonce or other associated data do not open, and the next record does")
{
    for (const aead_algorithm algorithm : aeads) {
        const byte_vector key(key_size(algorithm), 0x4b);
        const byte_vector nonce(aead_nonce_size, 1);
        const byte_vector ad{9};
        botan_crypto::aead sealing(algorithm, key, true);
        botan_crypto::aead opening(algorithm, key, false);
        byte_vector sealed(20 + aead_tag_size);
        sealing.seal(nonce, ad, byte_span(sealed).first(20), byte_span(sealed).last(aead_tag_size));
        const auto opens = [&](byte_view with_nonce, byte_view with_ad, byte_vector bytes) {
            return opening.open(with_nonce, with_ad, bytes);
        };
        for (std::size_t i = 0; i < sealed.size(); ++i) {
            byte_vector changed = sealed;
            changed[i] ^= 1;
            CHECK_FALSE(opens(nonce, ad, changed));
        }
        CHECK_FALSE(opens(byte_vector(aead_nonce_size, 2), ad, sealed));
        CHECK_FALSE(opens(nonce, byte_vector{8}, sealed));
        for (std::size_t size = 0; size < aead_tag_size; ++size)
            CHECK_FALSE(opens(nonce, ad, byte_vector(size)));
        CHECK(opens(nonce, ad, sealed));
    }
}

TEST_CASE("RFC 8446 7.4: client and server agree in every group")
{
    const botan_client crypto;
    for (const named_group group : groups) {
        const botan_client::client_key key(group);
        REQUIRE(key.share().size() == client_share_size(group));
        const auto agreed = crypto.agree(group, key.share());
        REQUIRE(agreed.has_value());
        CHECK(to_hex(key.agree(agreed->share).view()) == to_hex(agreed->shared_secret.view()));
        CHECK(crypto.agree(group, key.share())->share != agreed->share); // a key is used once
    }
}

TEST_CASE("RFC 8446 7.4.2: an X25519 share of low order is refused")
{
    for (const std::string_view share : {"0000000000000000000000000000000000000000000000000000000000000000",
                                         "0100000000000000000000000000000000000000000000000000000000000000",
                                         "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                                         "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
                                         "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                         "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                         "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"})
        CHECK_FALSE(botan_crypto().agree(named_group::x25519, from_hex(share)).has_value());
}

TEST_CASE("RFC 8446 4.2.8.2: a point that is not on the curve, or not uncompressed, is refused")
{
    for (const named_group group : {named_group::secp256r1, named_group::secp384r1}) {
        const botan_client::client_key key(group);
        const byte_vector good(key.share().begin(), key.share().end());
        byte_vector off_curve = good;
        off_curve.back() ^= 1;
        CHECK_FALSE(botan_crypto().agree(group, off_curve).has_value());
        for (const std::uint8_t form : {0x00, 0x02, 0x03, 0x05, 0x06, 0x07, 0xff}) {
            byte_vector other = good;
            other[0] = form;
            CHECK_FALSE(botan_crypto().agree(group, other).has_value());
        }
        byte_vector beyond(good.size(), 0xff); // coordinates that are no field elements
        beyond[0] = 0x04;
        CHECK_FALSE(botan_crypto().agree(group, beyond).has_value());
        byte_vector zeros(good.size());
        zeros[0] = 0x04;
        CHECK_FALSE(botan_crypto().agree(group, zeros).has_value());
    }
}

TEST_CASE("an ML-KEM key that is not reduced, or a low-order X25519 half, is refused")
{
    const botan_client::client_key key(named_group::x25519mlkem768);
    byte_vector not_reduced(key.share().begin(), key.share().end());
    std::fill_n(not_reduced.begin(), 3, std::uint8_t{0xff});
    CHECK_FALSE(botan_crypto().agree(named_group::x25519mlkem768, not_reduced).has_value());
    byte_vector low_order(key.share().begin(), key.share().end());
    std::fill(low_order.end() - 32, low_order.end(), std::uint8_t{0});
    CHECK_FALSE(botan_crypto().agree(named_group::x25519mlkem768, low_order).has_value());
}

TEST_CASE("random bytes differ")
{
    byte_vector a(32);
    byte_vector b(32);
    botan_crypto().random(a);
    botan_crypto().random(b);
    CHECK(a != b);
}
