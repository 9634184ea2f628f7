#include <alos/acme/identifier.hpp>

#include <doctest/doctest.h>

using namespace alos::acme;

namespace {

identifier dns(std::string value) { return {identifier_type::dns, std::move(value)}; }

}

TEST_CASE("identifier: names have one spelling each (RFC 8555 7.1.4, RFC 8738 3, RFC 5952)")
{
    CHECK(*identifier_of("Example.COM.") == dns("example.com"));
    CHECK(*identifier_of("*.Example.com") == dns("*.example.com"));
    CHECK(*identifier_of("xn--BCHER-kva.example") == dns("xn--bcher-kva.example"));
    CHECK(*identifier_of("192.0.2.1") == identifier{identifier_type::ip, "192.0.2.1"});
    CHECK(*identifier_of("2001:0DB8:0:0::00:1") == identifier{identifier_type::ip, "2001:db8::1"});
    for (const char* bad : {"", ".", "a..b", "b\xc3\xbc" "cher.example", "*", "*.*.example", "1.2.3", "a b", "[::1]"}) {
        CAPTURE(bad);
        REQUIRE_FALSE(identifier_of(bad).has_value());
        CHECK(identifier_of(bad).error().code == alos::errc::bad_name);
    }
}

TEST_CASE("identifier: an order's names are compared as sets (RFC 8555 7.4)")
{
    const identifier a = dns("a.example"), b = dns("b.example"), address{identifier_type::ip, "192.0.2.1"};
    CHECK(same_identifiers({a, b, address}, {address, b, a}));
    CHECK(same_identifiers({a, a, b}, {b, a}));
    CHECK(same_identifiers({}, {}));
    CHECK_FALSE(same_identifiers({a, b}, {a}));
    CHECK_FALSE(same_identifiers({a}, {a, b}));
    CHECK_FALSE(same_identifiers({a}, {}));
    CHECK_FALSE(same_identifiers({address}, {dns("192.0.2.1")}));
}

TEST_CASE("identifier: what a certificate is for, and what people read of it")
{
    alos::cert::credential one;
    one.about.names = {"b.example", "*.a.example", "no name"};
    one.about.addresses = {"2001:db8::1"};
    const auto names = identifiers_in(one);
    CHECK(names == std::vector{dns("b.example"), dns("*.a.example"), {identifier_type::ip, "2001:db8::1"}});
    CHECK(join(values_of(names)) == "b.example, *.a.example, 2001:db8::1");
    CHECK(join({}) == "");
}
