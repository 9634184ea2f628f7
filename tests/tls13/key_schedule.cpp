// The steps of the key schedule by themselves; their values are compared with RFC 8448 in rfc8448.cpp.
#include <alos/tls13/key_schedule.hpp>

#include <alos/crypto/botan.hpp>

#include "support/hex.hpp"

#include <doctest/doctest.h>

using namespace alos;
using namespace alos::tls13;
using alos_tests::from_hex;
using alos_tests::to_hex;

TEST_CASE("RFC 5869 A.1: Extract")
{
    const hash_secret out = hkdf<botan_crypto>(hash_algorithm::sha256)
                                .extract(from_hex("000102030405060708090a0b0c"), byte_vector(22, 0x0b));
    CHECK(to_hex(out.view()) == "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
}

TEST_CASE("RFC 8448 3: the early secret, and what is derived from it")
{
    hkdf<botan_crypto> kdf(hash_algorithm::sha256);
    const byte_vector zeros(32);
    const hash_secret early = kdf.extract(zeros, zeros);
    CHECK(to_hex(early.view()) == "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a");
    CHECK(to_hex(kdf.derived(early.view()).view()) ==
          "6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba");
}

TEST_CASE("RFC 8448 3: key and IV from a traffic secret")
{
    hkdf<botan_crypto> kdf(hash_algorithm::sha256);
    const byte_vector secret = from_hex("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38");
    const traffic_keys keys = derive_traffic_keys(kdf, aead_algorithm::aes_128_gcm, secret);
    CHECK(to_hex(keys.key.view()) == "3fce516009c21727d0f2e4e86ee403bc");
    CHECK(to_hex(keys.iv.view()) == "5d313eb2671276ee13000b30");
}

TEST_CASE("RFC 8446 7.1: secrets are as long as the hash, keys as the AEAD wants them")
{
    for (const auto hash : {hash_algorithm::sha256, hash_algorithm::sha384}) {
        hkdf<botan_crypto> kdf(hash);
        const byte_vector secret(hash_size(hash), 1);
        CHECK(kdf.derive_secret(secret, "x", {}).size() == hash_size(hash));
        CHECK(next_traffic_secret(kdf, secret).size() == hash_size(hash));
        for (const auto aead :
             {aead_algorithm::aes_128_gcm, aead_algorithm::aes_256_gcm, aead_algorithm::chacha20_poly1305})
            CHECK(derive_traffic_keys(kdf, aead, secret).key.size() == key_size(aead));
    }
}
