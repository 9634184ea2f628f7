#include <alos/crypto/botan_issue.hpp>

#include <doctest/doctest.h>

using namespace alos;
using namespace std::chrono_literals;

namespace {

const system_time start = system_time(std::chrono::sys_days{std::chrono::year{2026} / 2 / 28}) + 23h + 59min + 58s;

}

TEST_CASE("issue_self_signed: what is asked for is what can be read back, for every kind of key")
{
    for (const key_kind kind : {key_kind::ecdsa_p256, key_kind::ecdsa_p384, key_kind::ed25519, key_kind::rsa_2048}) {
        const auto key = private_key::generate(kind).value();
        const std::vector<byte_vector> addresses = {{127, 0, 0, 1}, byte_vector(16, 1)};
        const certificate_spec spec{"localhost", {"localhost", "*.local"}, addresses, start, start + 24h * 365};
        const auto der = issue_self_signed(spec, *key);
        REQUIRE(der.has_value());
        const auto read = parse_certificate(*der);
        REQUIRE(read.has_value());
        CHECK(read->dns_names == std::vector<std::string_view>{"localhost", "*.local"});
        CHECK(read->addresses.size() == 2);
        CHECK(read->not_before == start);
        CHECK(read->not_after == start + 24h * 365);
        CHECK(name_text(read->subject) == "CN=localhost");
        CHECK(is_self_signed(*read));
        CHECK(belongs_to(*key, *read));
        CHECK_FALSE(read->signature.is_weak);
    }
}

TEST_CASE("issue_certificate: another key signs, serial numbers differ and are positive (RFC 5280 4.1.2.2)")
{
    const auto authority_key = private_key::generate(key_kind::ecdsa_p384).value();
    certificate_spec authority{"Authority", {}, {}, start, start + 24h};
    authority.is_authority = true;
    const auto root = parse_certificate(issue_self_signed(authority, *authority_key).value());
    REQUIRE(root.has_value());

    const auto key = private_key::generate(key_kind::ed25519).value();
    const certificate_issuer issuer{"Authority", *authority_key, signature_scheme::ecdsa_secp384r1_sha384};
    std::vector<byte_vector> serials;
    for (int i = 0; i < 2; ++i) {
        const certificate_spec spec{"leaf", {"leaf"}, {}, start, start + 1h};
        const auto leaf = parse_certificate(issue_certificate(spec, *key, issuer).value());
        REQUIRE(leaf.has_value());
        CHECK(is_signed_by(*leaf, *root));
        CHECK(equal(leaf->issuer, root->subject));
        der::reader in(leaf->signed_part);
        der::reader fields(in.read(der::sequence));
        fields.read(der::context_constructed(0));
        const byte_view serial = fields.read(der::integer);
        CHECK(serial.size() <= 20);
        CHECK((serial[0] & 0x80) == 0);
        CHECK(serial[0] != 0);
        serials.emplace_back(serial.begin(), serial.end());
    }
    CHECK(serials[0] != serials[1]);
}

TEST_CASE("issue_certificate: dates up to 2049 are UTCTime, later ones GeneralizedTime (RFC 5280 4.1.2.5)")
{
    using namespace std::chrono;
    const auto key = private_key::generate(key_kind::ed25519).value();
    const system_time before = sys_days{year{2049} / 12 / 31};
    const system_time after = sys_days{year{2050} / 1 / 1};
    const auto read = parse_certificate(issue_self_signed({"x", {}, {}, before, after}, *key).value());
    REQUIRE(read.has_value());
    CHECK(read->not_before == before);
    CHECK(read->not_after == after);
    CHECK(as_text(read->signed_part).find("491231000000Z") != std::string_view::npos);
    CHECK(as_text(read->signed_part).find("20500101000000Z") != std::string_view::npos);
}

TEST_CASE("issue_certificate: more extensions are carried, as a tls-alpn-01 challenge needs it (RFC 8737 3)")
{
    const auto key = private_key::generate(key_kind::ecdsa_p256).value();
    certificate_spec spec{"example.com", {"example.com"}, {}, start, start + 1h};
    const byte_vector acme_identifier{0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f};
    spec.more.push_back({acme_identifier, true, byte_vector(34, 0x04)});
    const auto read = parse_certificate(issue_self_signed(spec, *key).value());
    REQUIRE(read.has_value());
    CHECK(as_text(read->der).find(as_text(acme_identifier)) != std::string_view::npos);
}
