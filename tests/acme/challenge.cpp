#include <alos/acme/challenge.hpp>

#include "support/hex.hpp"

#include <doctest/doctest.h>

using namespace alos;
using namespace alos::acme;
using namespace std::chrono_literals;
using alos_tests::from_hex;

namespace {

const system_time morning = system_time(std::chrono::sys_days{std::chrono::year{2026} / 11 / 22}) + 9h;

const std::string token = "DGyRejmCefe7v4NfDGDKfA";
const std::string proof = "DGyRejmCefe7v4NfDGDKfA.5-ipyLm3E7454autfNtMBDF18LVPsaJ8E5e0ZEzToic";
const byte_vector acme_oid = from_hex("2b0601050507011f");
const byte_vector acme_value = from_hex("04205dd880bcde95dba96a199b44fa0a60b0af4c77d1d1a942b53115de77d16f9682");

// Another's challenge certificate: any names, any extension.
byte_vector shown(std::vector<std::string> names, std::vector<byte_vector> addresses, bool critical,
                  const byte_vector& value)
{
    const auto key = private_key::generate(key_kind::ecdsa_p256).value();
    certificate_spec spec{"x", std::move(names), std::move(addresses), morning, morning + 1h};
    if (!value.empty())
        spec.more.push_back({acme_oid, critical, value});
    return issue_self_signed(spec, *key).value();
}

std::string complaint(const byte_vector& leaf, std::string_view identifier = "example.com")
{
    const auto answer = answers_tls_alpn(leaf, identifier, proof);
    if (answer)
        return {};
    CHECK(answer.error().what.find('\n') == std::string::npos);
    CHECK(answer.error().what.size() < 1000);
    return answer.error().what;
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}

TEST_CASE("is_token: base64url only, for it becomes part of a path (RFC 8555 8.3)")
{
    CHECK(is_token(token));
    CHECK(is_token("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"));
    CHECK(is_token(std::string(512, 'a')));
    CHECK_FALSE(is_token(std::string(513, 'a')));
    for (const char* text : {"", ".", "..", "../x", "a/b", "a%2fb", "a=", "a b", "a\r\nb", "a?b", "\xc3\xa4"})
        CHECK_FALSE(is_token(text));
    CHECK_FALSE(is_token(std::string_view("a\0b", 3)));
}

TEST_CASE("a key authorization, and where http-01 and dns-01 show it (RFC 8555 8.1, 8.3, 8.4)")
{
    CHECK(key_authorization(token, "5-ipyLm3E7454autfNtMBDF18LVPsaJ8E5e0ZEzToic") == proof);
    CHECK(http01_path(token) == "/.well-known/acme-challenge/DGyRejmCefe7v4NfDGDKfA");
    CHECK(dns01_name("www.example.org") == "_acme-challenge.www.example.org");
    CHECK(dns01_name("*.example.org") == "_acme-challenge.example.org");
    CHECK(dns01_value(proof) == "XdiAvN6V26lqGZtE-gpgsK9Md9HRqUK1MRXed9FvloI");
    CHECK(dns01_value("").size() == 43);
}

TEST_CASE("reverse_name: what stands in SNI for an address (RFC 8738 6)")
{
    CHECK(reverse_name("192.0.2.1") == "1.2.0.192.in-addr.arpa");
    CHECK(reverse_name("2001:db8::1")
          == "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
    CHECK(reverse_name("::ffff:192.0.2.1") == "1.2.0.192.in-addr.arpa");
    CHECK(reverse_name("example.com").empty());
    CHECK(reverse_name("192.0.2").empty());
    CHECK(reverse_name("").empty());
    CHECK(tls_alpn_server_name("192.0.2.1") == "1.2.0.192.in-addr.arpa");
    CHECK(tls_alpn_server_name("example.com") == "example.com");
}

TEST_CASE("make_tls_alpn_credential: one name, and a critical acmeIdentifier (RFC 8737 3)")
{
    const auto made = make_tls_alpn_credential("Example.COM", proof, morning);
    REQUIRE(made.has_value());
    const cert::credential& credential = **made;
    REQUIRE(credential.chain.size() == 1);
    CHECK(credential.from == cert::source::acme);
    CHECK(credential.about.not_before == morning - 24h);
    CHECK(credential.about.not_after == morning + 24h * 7);
    REQUIRE(credential.key != nullptr);
    CHECK_FALSE(credential.certificate_message.empty());

    const auto leaf = parse_certificate(credential.chain[0]);
    REQUIRE(leaf.has_value());
    CHECK(is_self_signed(*leaf));
    CHECK(leaf->dns_names == std::vector<std::string_view>{"example.com"});
    CHECK(leaf->addresses.empty());
    const auto extension = find_extension(*leaf, acme_oid);
    REQUIRE(extension.has_value());
    CHECK(extension->critical);
    CHECK(equal(extension->value, acme_value));
    CHECK(complaint(credential.chain[0]).empty());
    CHECK(complaint(credential.chain[0], "EXAMPLE.com").empty()); // "The comparison MUST be case insensitive"
}

TEST_CASE("make_tls_alpn_credential: an address is an iPAddress of 4 or 16 bytes (RFC 8738 6)")
{
    for (const auto& [text, bytes] : {std::pair{"192.0.2.1", from_hex("c0000201")},
                                      std::pair{"2001:db8::1", from_hex("20010db8000000000000000000000001")}}) {
        const auto made = make_tls_alpn_credential(text, proof, morning);
        REQUIRE(made.has_value());
        const auto leaf = parse_certificate((*made)->chain[0]);
        REQUIRE(leaf.has_value());
        CHECK(leaf->dns_names.empty());
        REQUIRE(leaf->addresses.size() == 1);
        CHECK(equal(leaf->addresses[0], bytes));
        CHECK(complaint((*made)->chain[0], text).empty());
        CHECK_FALSE(complaint((*made)->chain[0], "192.0.2.2").empty());
    }
}

TEST_CASE("make_tls_alpn_credential: wildcards cannot be proved so, and what is no name neither (RFC 8737 3)")
{
    for (const char* name : {"*.example.com", "b\xc3\xbc" "cher.example", "", "a b\n"}) {
        const auto none = make_tls_alpn_credential(name, proof, morning);
        REQUIRE_FALSE(none.has_value());
        CHECK(none.error().code == errc::bad_name);
        CHECK(none.error().what.find('\n') == std::string::npos);
    }
    CHECK(contains(make_tls_alpn_credential("*.example.com", proof, morning).error().what, "dns-01"));
}

TEST_CASE("answers_tls_alpn: says what is wrong with the certificate that was shown (RFC 8737 3, step 4)")
{
    CHECK(complaint(shown({"example.com"}, {}, true, acme_value)).empty());

    const byte_vector address = from_hex("c0000201");
    CHECK(contains(complaint(shown({"example.com"}, {}, true, {})), "ordinary certificate (example.com)"));
    CHECK(contains(complaint(shown({}, {}, true, {})), "ordinary certificate (no name)"));
    CHECK(contains(complaint(shown({"example.org"}, {}, true, acme_value)), "for example.org; another"));
    CHECK(contains(complaint(shown({"example.com", "a.test"}, {}, true, acme_value)), "for example.com, a.test"));
    CHECK(contains(complaint(shown({"example.com"}, {address}, true, acme_value)), "for example.com, 192.0.2.1"));
    CHECK(contains(complaint(shown({}, {address}, true, acme_value)), "for 192.0.2.1"));
    CHECK(contains(complaint(shown({}, {}, true, acme_value)), "for no name"));
    CHECK(contains(complaint(shown({"192.0.2.1"}, {}, true, acme_value), "192.0.2.1"), "for 192.0.2.1"));
    CHECK(contains(complaint(shown({"example.com"}, {}, false, acme_value)), "another challenge"));
    byte_vector other = acme_value;
    other.back() ^= 1;
    CHECK(contains(complaint(shown({"example.com"}, {}, true, other)), "another challenge"));
    other = acme_value;
    other.push_back(0);
    CHECK(contains(complaint(shown({"example.com"}, {}, true, other)), "another challenge"));
    CHECK(contains(complaint({1, 2, 3}), "cannot be read"));
    CHECK(contains(complaint({}), "cannot be read"));
    CHECK(contains(complaint({}, "*.example.com"), "wildcards"));

    const std::vector<std::string> many(100, "a\n" + std::string(60, 'b'));
    CHECK(contains(complaint(shown(many, {}, true, acme_value)), "a?bbb"));
}
