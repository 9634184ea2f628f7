#include <alos/acme/certificate_id.hpp>
#include <alos/crypto/botan_issue.hpp>

#include "support/hex.hpp"

#include <doctest/doctest.h>

using namespace alos;
using namespace alos::acme;
using alos_tests::from_hex;

namespace {

// The smallest certificate with this serial number and these extensions.
byte_vector certificate_with(const byte_vector& serial,
                             const std::vector<std::pair<byte_vector, byte_vector>>& extensions)
{
    const auto key = private_key::generate(key_kind::ed25519).value();
    byte_vector made;
    der::writer out(made);
    const auto algorithm = [&] {
        out.nested(der::sequence, [&] { out.value(der::object_identifier, alos::detail::oid_ed25519); });
    };
    out.nested(der::sequence, [&] {
        out.nested(der::sequence, [&] {
            out.nested(der::context_constructed(0), [&] { out.small_integer(2); });
            out.value(der::integer, serial);
            algorithm();
            out.value(der::sequence, {});
            out.nested(der::sequence, [&] {
                out.value(der::utc_time, as_bytes("260101000000Z"));
                out.value(der::utc_time, as_bytes("270101000000Z"));
            });
            out.value(der::sequence, {});
            out.raw(key->public_key_info());
            out.nested(der::context_constructed(3), [&] {
                out.nested(der::sequence, [&] {
                    for (const auto& [oid, value] : extensions)
                        alos::detail::write_extension(out, oid, false, value);
                });
            });
        });
        algorithm();
        out.bits(byte_vector(64, 0));
    });
    return made;
}

const byte_vector authority_oid = from_hex("551d23");
const byte_vector authority = from_hex("3016801469885b6b87464041e1b37b847ba0ae2cde01c8d4");

}

TEST_CASE("ari_certificate_id: the example of RFC 9773 4.1, the zero before the serial number included")
{
    const byte_vector leaf = certificate_with(from_hex("0087654321"), {{authority_oid, authority}});
    CHECK(ari_certificate_id(leaf).value() == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
    CHECK(ari_certificate_id(parse_certificate(leaf).value()).value() == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
}

TEST_CASE("ari_certificate_id: a certificate without an authority's key cannot be asked about")
{
    const auto refused = [](const byte_vector& leaf) {
        REQUIRE(parse_certificate(leaf).has_value());
        const auto none = ari_certificate_id(leaf);
        return !none.has_value() && none.error() == alos::errc::bad_certificate;
    };
    const byte_vector serial = from_hex("01");
    CHECK(refused(certificate_with(serial, {})));
    CHECK(refused(certificate_with(serial, {{from_hex("551d0e"), authority}}))); // another extension
    CHECK(refused(certificate_with(serial, {{authority_oid, from_hex("3000")}})));
    CHECK(refused(certificate_with(serial, {{authority_oid, from_hex("30028000")}})));
    CHECK(refused(certificate_with(serial, {{authority_oid, from_hex("30168014")}})));
    CHECK(refused(certificate_with(serial, {{authority_oid, {}}})));
    CHECK(refused(certificate_with({}, {{authority_oid, authority}})));
    CHECK(refused(certificate_with(byte_vector(65, 1), {{authority_oid, authority}})));
    CHECK_FALSE(refused(certificate_with(byte_vector(64, 1), {{authority_oid, authority}})));
    CHECK(ari_certificate_id(byte_view{}).error() == alos::errc::bad_certificate);
}
