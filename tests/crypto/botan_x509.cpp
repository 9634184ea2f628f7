#include <alos/crypto/botan_x509.hpp>

#include "support/hex.hpp"
#include "support/pem_files.hpp"

#include <doctest/doctest.h>

using namespace alos;
using alos_tests::pem;
using key_type = public_key_facts::type;

namespace {

certificate read(const std::string& name)
{
    const std::string text = pem(name);
    const auto der = decode_pem(parse_pem(text).value().at(0)).value();
    return parse_certificate({der.begin(), der.end()}).value();
}

std::int64_t seconds_since_1970(system_time time)
{
    return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

}

TEST_CASE("parse_certificate reads names, addresses and subjects as they are written (RFC 5280 4.2.1.6)")
{
    const certificate leaf = read("p256.crt");
    CHECK(leaf.dns_names == std::vector<std::string_view>{"www.example.com", "example.com", "*.api.example.com"});
    REQUIRE(leaf.addresses.size() == 2);
    CHECK(leaf.addresses[0].size() == 4);
    CHECK(leaf.addresses[1].size() == 16);
    CHECK(name_text(leaf.subject) == "CN=p256");
    CHECK(name_text(leaf.issuer) == "CN=Intermediate, O=Alos Tests");
    CHECK(name_text(read("root.crt").subject) == "CN=Root, O=Alos Tests, C=XX");
    CHECK(read("nameless.crt").dns_names.empty());
}

TEST_CASE("parse_certificate reads UTCTime and GeneralizedTime, of any year (RFC 5280 4.1.2.5)")
{
    const certificate old = read("expired.crt");
    CHECK(seconds_since_1970(old.not_before) == -631152000); // 1950-01-01
    CHECK(seconds_since_1970(old.not_after) == 946684799);   // 1999-12-31 23:59:59
    const certificate forever = read("forever.crt");
    CHECK(seconds_since_1970(forever.not_before) == 1709208000); // 2024-02-29 12:00:00
    CHECK(seconds_since_1970(forever.not_after) > 8000000000);
}

TEST_CASE("the type of a key comes from the certificate, so that RSASSA-PSS is told from RSA (RFC 8446 4.2.3)")
{
    using enum signature_scheme;
    struct row {
        const char* name;
        key_type kind;
        const char* text;
        std::vector<signature_scheme> schemes;
    };
    const std::vector<row> rows = {
        {"p256.crt", key_type::ecdsa_p256, "ECDSA P-256", {ecdsa_secp256r1_sha256}},
        {"compressed.crt", key_type::ecdsa_p256, "ECDSA P-256", {ecdsa_secp256r1_sha256}},
        {"p384.crt", key_type::ecdsa_p384, "ECDSA P-384", {ecdsa_secp384r1_sha384}},
        {"ed25519.crt", key_type::ed25519, "Ed25519", {ed25519}},
        {"rsa.crt", key_type::rsa, "RSA 2048", {rsa_pss_rsae_sha256, rsa_pss_rsae_sha384, rsa_pss_rsae_sha512}},
        {"pss.crt", key_type::rsa_pss, "RSA-PSS 2048", {rsa_pss_pss_sha256, rsa_pss_pss_sha384, rsa_pss_pss_sha512}},
        {"pss384.crt", key_type::rsa_pss, "RSA-PSS 2048", {rsa_pss_pss_sha384}},
        {"rsa1024.crt", key_type::rsa, "RSA 1024", {rsa_pss_rsae_sha256, rsa_pss_rsae_sha384}},
        {"p521.crt", key_type::other, "ECDSA P-521", {}},
        {"k1.crt", key_type::other, "ECDSA on an unusual curve", {}},
        {"ed448.crt", key_type::other, "a key of an unknown type", {}},
    };
    for (const row& expected : rows) {
        CAPTURE(expected.name);
        const certificate one = read(expected.name);
        CHECK(one.key.kind == expected.kind);
        CHECK(one.key.text == expected.text);
        CHECK(schemes_of(one.key) == expected.schemes);
    }
}

TEST_CASE("RFC 8017 9.1.1: a scheme is left out when hash and salt do not fit into the RSA key")
{
    public_key_facts key{key_type::rsa, 0, {}};
    const auto count = [&](std::size_t bits) {
        key.bits = bits;
        return schemes_of(key).size();
    };
    CHECK(count(8 * 130) == 3);
    CHECK(count(8 * 130 - 7) == 2);
    CHECK(count(8 * 98) == 2);
    CHECK(count(8 * 97) == 1);
    CHECK(count(522) == 1);
    CHECK(count(521) == 0);
    CHECK(count(512) == 0);
}

TEST_CASE("is_signed_by checks every kind of signature")
{
    using enum signature_scheme;
    struct row {
        const char* name;
        const char* issuer;
        signature_scheme scheme;
    };
    for (const row& one : std::vector<row>{
             {"p256.crt", "intermediate.crt", ecdsa_secp256r1_sha256},
             {"intermediate.crt", "root.crt", ecdsa_secp384r1_sha384},
             {"by_rsa.crt", "rsa_ca.crt", rsa_pkcs1_sha512},
             {"by_pss.crt", "rsa_ca.crt", rsa_pss_rsae_sha384},
             {"by_pss_pss.crt", "pss_ca.crt", rsa_pss_rsae_sha256},
             {"by_ed.crt", "ed_ca.crt", ed25519},
             {"by_p521.crt", "p521_ca.crt", ecdsa_secp521r1_sha512},
         }) {
        CAPTURE(one.name);
        const certificate leaf = read(one.name);
        CHECK(leaf.signature.scheme == one.scheme);
        CHECK_FALSE(leaf.signature.is_weak);
        CHECK(is_signed_by(leaf, read(one.issuer)));
        CHECK_FALSE(is_signed_by(leaf, read("other_root.crt")));
        CHECK_FALSE(is_signed_by(leaf, read("impostor.crt")));
        CHECK(is_self_signed(read(one.issuer)) == (std::string(one.issuer) != "intermediate.crt"));
        CHECK_FALSE(is_self_signed(leaf));
    }
}

TEST_CASE("MD5 and SHA-1 signatures are weak, and verify nothing")
{
    for (const char* name : {"md5.crt", "sha1.crt"}) {
        CAPTURE(name);
        const certificate leaf = read(name);
        CHECK(leaf.signature.is_weak);
        CHECK_FALSE(is_signed_by(leaf, read("rsa_ca.crt")));
    }
    CHECK(read("ecdsa_sha1.crt").signature.is_weak);
    CHECK(is_self_signed(read("sha1_self.crt")));
}

TEST_CASE("two certificates of one name are not self-signed when another key of that name signed one")
{
    CHECK(is_self_signed(read("same_name_ca.crt")));
    CHECK_FALSE(is_self_signed(read("same_name_leaf.crt")));
    CHECK(is_signed_by(read("same_name_leaf.crt"), read("same_name_ca.crt")));
}

TEST_CASE("serial number and authority key are read as their octets stand there (RFC 5280 4.1.2.2, 4.2.1.1)")
{
    const certificate leaf = read("p256.crt");
    CHECK(alos_tests::to_hex(leaf.serial) == "042a08d95c716a35eae855fef5ee9c395e4c7cb0");
    CHECK(alos_tests::to_hex(authority_key_identifier(leaf)) == "3bd71f8c9681d25689ee39865e533c41f280b2be");
    CHECK(authority_key_identifier(read("expired.crt")).empty());
}

TEST_CASE("find_extension finds the value of an extension, and whether it is critical (RFC 5280 4.2)")
{
    const certificate root = read("root.crt");
    const auto basic_constraints = find_extension(root, detail::oid(0x55, 0x1d, 0x13));
    REQUIRE(basic_constraints.has_value());
    CHECK(basic_constraints->critical);
    CHECK(alos_tests::to_hex(basic_constraints->value) == "30030101ff");
    const auto names = find_extension(read("p256.crt"), detail::oid_subject_alt_name);
    REQUIRE(names.has_value());
    CHECK_FALSE(names->critical);
    CHECK_FALSE(find_extension(root, detail::oid_subject_alt_name).has_value());
    CHECK_FALSE(find_extension(root, {}).has_value());
    CHECK_FALSE(find_extension(certificate{}, detail::oid_subject_alt_name).has_value());
}

TEST_CASE("common_name_of is the most specific common name, fit for a log line")
{
    CHECK(common_name_of(read("p256.crt").issuer) == "Intermediate");
    CHECK(common_name_of(read("root.crt").subject) == "Root");
    CHECK(common_name_of({}).empty());
    byte_vector name;
    der::writer out(name);
    const auto attribute = [&](byte_view oid, der::tag type, std::string_view value) {
        out.nested(der::set, [&] {
            out.nested(der::sequence, [&] {
                out.value(der::object_identifier, oid);
                out.value(type, as_bytes(value));
            });
        });
    };
    out.nested(der::sequence, [&] {
        attribute(detail::oid(0x55, 0x04, 0x03), der::utf8_string, "general");
        attribute(detail::oid(0x55, 0x04, 0x03), der::utf8_string, "a\nb" + std::string(1000, 'x'));
        attribute(detail::oid(0x55, 0x04, 0x0a), der::utf8_string, "organisation");
        attribute(detail::oid(0x55, 0x04, 0x03), der::bmp_string, "wide");
    });
    CHECK(common_name_of(name) == "a?b" + std::string(97, 'x'));
}

TEST_CASE("document_scheme_of: RSA by PKCS#1, and nothing for keys that CAs do not take (RFC 7518 3.1)")
{
    using enum signature_scheme;
    CHECK(document_scheme_of(read("p256.crt").key) == ecdsa_secp256r1_sha256);
    CHECK(document_scheme_of(read("p384.crt").key) == ecdsa_secp384r1_sha384);
    CHECK(document_scheme_of(read("ed25519.crt").key) == ed25519);
    CHECK(document_scheme_of(read("rsa.crt").key) == rsa_pkcs1_sha256);
    for (const char* name : {"pss.crt", "p521.crt", "k1.crt", "ed448.crt"})
        CHECK_FALSE(document_scheme_of(read(name).key).has_value());
}

TEST_CASE("parse_certificate refuses every truncation and every longer text, and survives every changed byte")
{
    for (const char* name : {"p256.crt", "pss384.crt", "forever.crt"}) {
        const byte_vector whole = read(name).der;
        for (std::size_t size = 0; size < whole.size(); ++size) {
            const byte_view part = byte_view(whole).first(size);
            CHECK_FALSE(parse_certificate({part.begin(), part.end()}).has_value());
        }
        byte_vector longer = whole;
        longer.push_back(0);
        CHECK_FALSE(parse_certificate(longer).has_value());
        for (std::size_t at = 0; at < whole.size(); ++at)
            for (const int flip : {0x01, 0x80, 0xff}) {
                byte_vector changed = whole;
                changed[at] = static_cast<std::uint8_t>(changed[at] ^ flip);
                if (const auto one = parse_certificate(changed)) {
                    (void)name_text(one->subject);
                    (void)schemes_of(one->key);
                    (void)authority_key_identifier(*one);
                    (void)common_name_of(one->issuer);
                    (void)is_signed_by(*one, *one);
                }
            }
    }
}

TEST_CASE("name_text is fit for a log line")
{
    byte_vector name;
    der::writer out(name);
    const auto attribute = [&](byte_view oid, der::tag type, std::string_view value) {
        out.nested(der::set, [&] {
            out.nested(der::sequence, [&] {
                out.value(der::object_identifier, oid);
                out.value(type, as_bytes(value));
            });
        });
    };
    out.nested(der::sequence, [&] {
        attribute(detail::oid(0x55, 0x04, 0x03), der::utf8_string, "a\nb\x1b[31m");
        attribute(detail::oid(0x55, 0x04, 0x0a), der::utf8_string, std::string(10000, 'x'));
        attribute(detail::oid(0x2a, 0x03), der::utf8_string, "unknown");
    });
    CHECK(name_text(name) == "O=" + std::string(100, 'x') + ", CN=a?b?[31m");
    CHECK(name_text({}) == "an empty name");
}
