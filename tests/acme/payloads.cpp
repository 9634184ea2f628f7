#include <alos/acme/payloads.hpp>

#include <doctest/doctest.h>

using namespace alos;
using namespace alos::acme;

namespace {

const byte_vector content{0x30, 0x03, 0xfb, 0xff, 0xfe};

}

TEST_CASE("payloads: a new account (RFC 8555 7.3)")
{
    CHECK(new_account_payload({}) == R"({"termsOfServiceAgreed":true})");
    CHECK(new_account_payload({.contact = {"mailto:a@example.org", "mailto:\"b\"@example.org"}})
          == R"({"contact":["mailto:a@example.org","mailto:\"b\"@example.org"],"termsOfServiceAgreed":true})");
    CHECK(new_account_payload({.terms_of_service_agreed = false, .only_return_existing = true})
          == R"({"onlyReturnExisting":true})");
}

TEST_CASE("payloads: an e-mail address is one contact, whatever is in it (RFC 8555 7.3, RFC 6068 2)")
{
    CHECK(mailto_url("admin+acme@mail-1.example.org") == "mailto:admin+acme@mail-1.example.org");
    CHECK(mailto_url("a@x.test?cc=b@y.test") == "mailto:a%40x.test%3Fcc%3Db@y.test");
    CHECK(mailto_url("a@x.test?subject=b") == "mailto:a@x.test%3Fsubject%3Db");
    CHECK(mailto_url("a@x.test,b@y.test") == "mailto:a%40x.test%2Cb@y.test");
    CHECK(mailto_url("50%25@x.test") == "mailto:50%2525@x.test");
    CHECK(mailto_url("\"not@me\"@example.org") == "mailto:%22not%40me%22@example.org"); // RFC 6068 6.1
    CHECK(mailto_url("j\xc3\xbcrgen@x.test") == "mailto:j%C3%BCrgen@x.test");
    CHECK(mailto_url("nobody") == "mailto:nobody");
}

TEST_CASE("payloads: an external account is bound by a JWS within (RFC 8555 7.3.4)")
{
    CHECK(new_account_payload({.external_account_binding = R"({"protected":"e30","payload":"e30","signature":"AA"})"})
          == R"({"termsOfServiceAgreed":true,"externalAccountBinding":)"
             R"({"protected":"e30","payload":"e30","signature":"AA"}})");
    CHECK_THROWS(static_cast<void>(new_account_payload({.external_account_binding = "{"})));
}

TEST_CASE("payloads: contacts are replaced or taken away (RFC 8555 7.3.2)")
{
    CHECK(update_account_payload({"mailto:a@example.org"}) == R"({"contact":["mailto:a@example.org"]})");
    CHECK(update_account_payload({}) == R"({"contact":[]})");
}

TEST_CASE("payloads: an order (RFC 8555 7.4, RFC 8738 3, RFC 9773 5)")
{
    const std::vector<identifier> names = {*identifier_of("*.example.org"), *identifier_of("2001:db8::1")};
    CHECK(new_order_payload(names)
          == R"({"identifiers":[{"type":"dns","value":"*.example.org"},{"type":"ip","value":"2001:db8::1"}]})");
    CHECK(new_order_payload(std::span(names).first(1), "shortlived", "aYhb.AIdl")
          == R"({"identifiers":[{"type":"dns","value":"*.example.org"}],)"
             R"("profile":"shortlived","replaces":"aYhb.AIdl"})");
}

TEST_CASE("payloads: what finalizes, revokes, accepts and deactivates (RFC 8555 7.4, 7.5, 7.6)")
{
    CHECK(finalize_payload(content) == R"({"csr":"MAP7__4"})");
    CHECK(revoke_payload(content) == R"({"certificate":"MAP7__4"})");
    CHECK(revoke_payload(content, 4) == R"({"certificate":"MAP7__4","reason":4})");
    CHECK(challenge_payload == "{}");
    CHECK(deactivation_payload == R"({"status":"deactivated"})");
}
