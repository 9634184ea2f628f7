#include <alos/acme/cure.hpp>

#include <doctest/doctest.h>

using namespace alos::acme;

namespace {

const identifier a_test{identifier_type::dns, "a.test"};

std::string cure(challenge_type tried, const char* type, const char* detail, const identifier& about = a_test)
{
    problem why;
    why.type = type;
    why.detail = detail;
    return cure_of(why, tried, about);
}

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}

TEST_CASE("cure: what must answer http-01, and what did instead (RFC 8555 8.3)")
{
    const auto of = [](const char* type, const char* detail) { return cure(challenge_type::http_01, type, detail); };
    const char* const here = "let port 80 of every address of a.test lead to this program: ";
    // Boulder
    const std::string missing = of(
        "unauthorized", "192.0.2.1: Invalid response from http://a.test/.well-known/acme-challenge/LoqX: 404");
    CHECK(has(missing, here));
    CHECK(has(missing, "says 404"));
    CHECK(has(of("unauthorized", "192.0.2.1: Invalid response from http://a.test/.well-known/acme-challenge/LoqX: "
                                 "\"<html>\\n<head><title>404 Not Found\""),
              "something else answers http://a.test/.well-known/acme-challenge/ there"));
    const std::string other = of("unauthorized", "192.0.2.1: The key authorization file from the server did not match "
                                                 "this challenge. Expected \"LoqX.9jg4\" (got \"LoqX.abcd\")");
    CHECK(has(other, here));
    CHECK(has(other, "another ACME client or a CDN"));
    CHECK(has(of("unauthorized", "192.0.2.1: Invalid response from https://a.test/login: 403"), "redirects"));
    CHECK(has(of("tls", "192.0.2.1: Fetching https://a.test/x: remote error: tls: handshake failure"), "redirects"));
    const std::string closed = of("connection", "192.0.2.1: Fetching http://a.test/.well-known/acme-challenge/LoqX: "
                                                "Timeout during connect (likely firewall problem)");
    CHECK(has(closed, "let the CA reach port 80 of every address of a.test; look at firewalls"));
    CHECK_FALSE(has(closed, "443"));
    CHECK(has(of("connection", "During secondary validation: 192.0.2.1: Fetching http://a.test/x: Connection refused"),
              "from several places of the world"));
    CHECK(has(of("dns", "DNS problem: NXDOMAIN looking up A for a.test - check that a DNS record exists for this "
                        "domain"),
              "give a.test an A or AAAA record"));
    // Pebble
    CHECK(has(of("unauthorized", "Non-200 status code from HTTP: http://a.test:80/.well-known/acme-challenge/L "
                                 "returned 503"),
              "says 503"));
    CHECK(has(of("unauthorized", "The key authorization file from the server did not match this challenge \"a\" != "
                                 "\"b\""),
              "another ACME client"));
    CHECK(has(of("incorrectResponse", ""), here));
}

TEST_CASE("cure: tls-alpn-01 needs port 443 without a proxy that ends TLS (RFC 8737 3)")
{
    const auto of = [](const char* type, const char* detail) {
        return cure(challenge_type::tls_alpn_01, type, detail);
    };
    const char* const itself = "let port 443 of every address of a.test reach this program itself";
    const char* const no_proxy = "no proxy or CDN that ends TLS";
    for (const char* detail : {
             "Cannot negotiate ALPN protocol \"acme-tls/1\" for tls-alpn-01 challenge",
             "No certs presented for tls-alpn-01 challenge",
             "Incorrect validation certificate for tls-alpn-01 challenge. Requested a.test from 192.0.2.1:443. "
             "Received certificate which is not self-signed."}) {
        CAPTURE(detail);
        CHECK(has(of("unauthorized", detail), itself));
        CHECK(has(of("unauthorized", detail), no_proxy));
    }
    CHECK(has(of("tls", "192.0.2.1: remote error: tls: no application protocol"), no_proxy));
    CHECK(has(of("unauthorized", "Incorrect validation certificate for tls-alpn-01 challenge. Requested a.test from "
                                 "192.0.2.1:443. Received certificate with acmeValidationV1 extension value 00 but "
                                 "expected 01."),
              "another ACME client answers tls-alpn-01"));
    CHECK(has(of("unauthorized", "Failed to connect to a.test:443 for the tls-alpn-01 challenge"),
              "let the CA reach port 443"));
    CHECK(has(of("connection", "192.0.2.1: Connection refused"), "let the CA reach port 443"));
    CHECK(has(of("malformed", "Could not resolve URL \"a.test\""), "an A or AAAA record"));
    const identifier address{identifier_type::ip, "192.0.2.1"};
    CHECK(has(cure(challenge_type::tls_alpn_01, "connection", "", address), "reach port 443 of 192.0.2.1;"));
}

TEST_CASE("cure: dns-01 names the TXT record (RFC 8555 8.4)")
{
    const identifier wildcard{identifier_type::dns, "*.a.test"};
    const auto of = [&](const char* type, const char* detail) {
        return cure(challenge_type::dns_01, type, detail, wildcard);
    };
    for (const auto& [type, detail] : {
             std::pair("unauthorized", "No TXT record found at _acme-challenge.a.test"),
             std::pair("unauthorized", "No TXT records found for DNS challenge :\"a.test\""),
             std::pair("dns", "DNS problem: NXDOMAIN looking up TXT for _acme-challenge.a.test - check that a DNS "
                              "record exists for this domain")}) {
        CAPTURE(detail);
        CHECK(has(of(type, detail), "the TXT record _acme-challenge.a.test was not there yet"));
    }
    CHECK(has(of("unauthorized", "Incorrect TXT record \"x\" (and 1 more) found at _acme-challenge.a.test"),
              "the TXT record _acme-challenge.a.test has other values"));
    CHECK(has(of("unauthorized", "Correct value not found for DNS challenge :\"a.test\""), "has other values"));
    CHECK(has(of("dns", "DNS problem: SERVFAIL looking up TXT for _acme-challenge.a.test"), "all name servers"));
}

TEST_CASE("cure: what is no matter of the challenge is cured as everywhere")
{
    for (const char* type : {"caa", "rateLimited", "serverInternal", "rejectedIdentifier", "about:blank"}) {
        problem why;
        why.type = type;
        CHECK(cure_of(why, challenge_type::http_01, a_test) == cure_of(why));
    }
    // Outside of validations it is the account that is not authorized.
    problem account;
    account.type = "unauthorized";
    account.detail = "Account is not valid, has status \"deactivated\"";
    CHECK(has(std::string(cure_of(account)), "check that the account is open"));
    CHECK_FALSE(has(std::string(cure_of(account)), "TXT"));
}

TEST_CASE("cure: a compound problem is cured as its parts (RFC 8555 6.7.1)")
{
    problem why;
    why.type = "compound";
    why.subproblems = {{"connection", "192.0.2.1: Connection refused", "a.test"}};
    CHECK(has(cure_of(why, challenge_type::http_01, a_test), "let the CA reach port 80"));
}
