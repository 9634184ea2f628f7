#include <alos/crypto/botan_csr.hpp>

#include "support/hex.hpp"
#include "support/pem_files.hpp"

#include <botan/data_src.h>
#include <botan/pkcs10.h>
#include <botan/pkix_types.h>

#include <doctest/doctest.h>

#include <cstdlib>

using namespace alos;
using alos_tests::from_hex;

namespace {

using strings = std::vector<std::string>;

const strings two_names{"example.com", "*.example.com"};
const std::vector<byte_vector> two_addresses{from_hex("c0000201"), from_hex("20010db8000000000000000000000001")};

bool command(const std::string& line) { return std::system((line + " >/dev/null 2>&1").c_str()) == 0; }

}

TEST_CASE("make_csr: another reader finds the key, and the signature holds, for every kind of key (RFC 2986 4)")
{
    const bool has_openssl = command("openssl version");
    for (const key_kind kind : {key_kind::ecdsa_p256, key_kind::ecdsa_p384, key_kind::ed25519, key_kind::rsa_2048}) {
        const auto key = private_key::generate(kind).value();
        const auto request = make_csr(*key, two_names, two_addresses);
        REQUIRE(request.has_value());

        Botan::DataSource_Memory source(*request);
        const Botan::PKCS10_Request read(source);
        const auto public_key = read.subject_public_key();
        CHECK(read.check_signature(*public_key));
        CHECK(public_key->subject_public_key() == key->public_key_info());
        CHECK(read.subject_dn().empty());
        CHECK_FALSE(read.is_CA());

        if (!has_openssl)
            continue;
        const alos_tests::temporary_folder folder;
        const std::string path = folder / "request.pem";
        const std::string text = folder / "text";
        alos_tests::write_text(path, std::string(as_text(encode_pem("CERTIFICATE REQUEST", *request))));
        CHECK(command("openssl req -verify -noout -in " + path));
        REQUIRE(std::system(("openssl req -noout -text -in " + path + " >" + text).c_str()) == 0);
        const std::string shown = alos_tests::read_text(text);
        CHECK(shown.find("DNS:example.com, DNS:*.example.com, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1")
              != std::string::npos);
        if (kind == key_kind::rsa_2048) // CAs refuse RSASSA-PSS
            CHECK(shown.find("sha256WithRSAEncryption") != std::string::npos);
        if (kind == key_kind::ecdsa_p384)
            CHECK(shown.find("ecdsa-with-SHA384") != std::string::npos);
    }
}

TEST_CASE("make_csr: an empty subject, and subjectAltName as the only attribute (RFC 2986 4.1)")
{
    const auto key = private_key::generate(key_kind::ecdsa_p256).value();
    const std::vector<byte_vector> address{from_hex("c0000201")};
    const byte_vector request = make_csr(*key, strings{"a.test"}, address).value();
    der::reader in(request);
    der::reader outer(in.read(der::sequence));
    der::reader body(outer.read(der::sequence));
    CHECK(equal(body.read(der::integer), from_hex("00")));
    CHECK(body.whole(der::sequence).contents.empty());
    CHECK(equal(body.whole(der::sequence).whole, key->public_key_info()));
    CHECK(alos_tests::to_hex(body.read(der::context_constructed(0)))
          == "302806092a864886f70d01090e311b301930170603551d"
             "110410300e8206612e746573748704c0000201");
    CHECK(body.complete());
}

TEST_CASE("make_csr: names and addresses that no certificate can have are refused")
{
    const auto key = private_key::generate(key_kind::ecdsa_p256).value();
    const auto refused = [&](const strings& names, const std::vector<byte_vector>& addresses = {}) {
        const auto none = make_csr(*key, names, addresses);
        return !none.has_value() && none.error().code == errc::bad_name;
    };
    CHECK(refused({}));
    CHECK(refused({""}));
    CHECK(refused({"example.com", "b\xc3\xbc" "cher.example"}));
    CHECK(refused({"exa mple.com"}));
    CHECK(refused({"example.com\n"}));
    CHECK(refused({std::string(254, 'a')}));
    CHECK(refused({"example.com"}, {byte_vector(5, 1)}));
    CHECK(refused({}, {byte_vector{}}));
    CHECK_FALSE(refused({std::string(253, 'a')}));
    CHECK_FALSE(refused({}, {byte_vector(16, 1)}));
}

TEST_CASE("make_csr: a hundred names fit, behind lengths of several bytes")
{
    const auto key = private_key::generate(key_kind::ecdsa_p256).value();
    strings names;
    for (int i = 0; i < 100; ++i)
        names.push_back(std::string(200, 'a') + std::to_string(i) + ".test");
    const byte_vector request = make_csr(*key, names).value();
    Botan::DataSource_Memory source(request);
    const Botan::PKCS10_Request read(source);
    CHECK(read.check_signature(*read.subject_public_key()));
    CHECK(request.size() > 20000);
}

TEST_CASE("make_csr: a key of another type is refused")
{
    const private_key key(
        std::make_unique<Botan::ECDSA_PrivateKey>(Botan::system_rng(), Botan::EC_Group::from_name("secp521r1")));
    const auto none = make_csr(key, two_names);
    REQUIRE_FALSE(none.has_value());
    CHECK(none.error().code == errc::unsupported_key);
}
