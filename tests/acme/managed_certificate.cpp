#include <alos/acme/managed_certificate.hpp>

#include <doctest/doctest.h>

using namespace alos::acme;
using alos::key_kind;

TEST_CASE("managed certificate: its id is its first name and its type of key, and tells that")
{
    CHECK(id_of_certificate("example.com", key_kind::ecdsa_p256) == "example.com.ecdsa-p256");
    CHECK(id_of_certificate("*.example.com", key_kind::rsa_2048) == "_wildcard.example.com.rsa-2048");
    CHECK(id_of_certificate("2001:db8::1", key_kind::ecdsa_p384) == "2001:db8::1.ecdsa-p384");
    for (const key_kind each : {key_kind::ecdsa_p256, key_kind::ecdsa_p384, key_kind::ed25519, key_kind::rsa_2048}) {
        CHECK(key_kind_of(id_of_certificate("example.com", each)) == each);
        CHECK(key_kind_of(name_of_key(each)) == each);
    }
    CHECK_FALSE(key_kind_of("example.com"));
    CHECK_FALSE(key_kind_of(""));
}

TEST_CASE("managed certificate: without a certificate its status has no times, and no error after a success")
{
    managed_certificate one;
    one.id = "example.com.ecdsa-p256";
    one.names = {{identifier_type::dns, "example.com"}};
    one.state.last_error = "what was";
    one.state.directory = "https://ca.test/directory";
    alos::acme::certificate_status line = status_of(one, time_point());
    CHECK(line.key_type == "ecdsa-p256");
    CHECK(line.names == std::vector<std::string>{"example.com"});
    CHECK(line.not_after == time_point());
    CHECK(line.last_error == "");
    CHECK(line.ca == "https://ca.test/directory");
    one.state.failures = 1;
    CHECK(status_of(one, time_point()).last_error == "what was");
}
