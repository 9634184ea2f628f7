#include <alos/cert/names.hpp>

#include <doctest/doctest.h>

using namespace alos;
using namespace alos::cert;

namespace {

std::string spelled(std::string_view text) { return std::string(host_name(text).text()); }

const std::string label_63(63, 'a');
const std::string name_253 = label_63 + "." + label_63 + "." + label_63 + "." + std::string(61, 'a');

}

TEST_CASE("a host name is compared in lower case and without the final dot")
{
    CHECK(spelled("example.com") == "example.com");
    CHECK(spelled("WWW.Example.COM.") == "www.example.com");
    CHECK(spelled("localhost") == "localhost");
    CHECK(spelled("xn--bcher-kva.example") == "xn--bcher-kva.example");
    CHECK(spelled("XN--BCHER-KVA.example") == "xn--bcher-kva.example");
    CHECK(spelled("a-b.c--d.e") == "a-b.c--d.e");
    CHECK(spelled("_dmarc.my_host.example") == "_dmarc.my_host.example");
    CHECK(spelled("1.2.3.com") == "1.2.3.com");
    CHECK(spelled("4.3.2.1.in-addr.arpa") == "4.3.2.1.in-addr.arpa");
    CHECK(spelled(label_63) == label_63);
    CHECK(spelled(name_253) == name_253);
    CHECK(spelled(name_253 + ".") == name_253);
}

TEST_CASE("what is no host name is empty (RFC 1035 2.3.1, RFC 6066 3)")
{
    using namespace std::string_view_literals;
    for (const std::string_view text : {
             ""sv, "."sv, ".."sv, ".com"sv, "a..b"sv, "a.."sv, ".a"sv, "*"sv, "*.example.com"sv, "a b"sv, "a\0b"sv,
             "\0"sv,
             "-a.com"sv, "a-.com"sv, "a.-"sv, "a/b"sv, "a:443"sv, "[::1]"sv, "::1"sv, "127.0.0.1"sv, "1"sv, "1.2"sv,
             "300.1.1.1"sv, "b\xc3\xbc"
             "cher.example"sv,
             "a,b"sv, "a\n"sv, "\xff"sv, "http://a"sv}) {
        CAPTURE(text);
        CHECK(host_name(text).empty());
    }
    CHECK(host_name(label_63 + "a").empty());
    CHECK(host_name(label_63 + "a.com").empty());
    CHECK(host_name(name_253 + "a").empty());
    CHECK(host_name(std::string(100000, 'a')).empty());
    CHECK(host_name(std::string(253, '.')).empty());
}

TEST_CASE("parent_of is what a wildcard stands before")
{
    CHECK(parent_of("www.example.com") == "example.com");
    CHECK(parent_of("com").empty());
}

TEST_CASE("an IP address has one form, and an IPv4 address that is mapped into IPv6 is itself (RFC 4291 2.5.5.2)")
{
    CHECK(ip_address("192.0.2.1").text() == "192.0.2.1");
    CHECK(ip_address("::ffff:192.0.2.1").text() == "192.0.2.1");
    CHECK(ip_address("2001:DB8:0::0:1").text() == "2001:db8::1");
    CHECK(ip_address("::1").text() == "::1");
    for (const char* text : {"", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "example.com", "[::1]",
                             "fe80::1%eth0", ":::", "1.2.3.4 "})
        CHECK(ip_address(std::string_view(text)).empty());
    CHECK(ip_address(std::string_view("1.2.3.4\0", 8)).empty());
    CHECK(ip_address(std::string_view("0000:0000:0000:0000:0000:ffff:255.255.255.2555")).empty());
    CHECK(ip_address(byte_vector(5, 1)).empty());
    CHECK(ip_address(byte_view{}).empty());
}

TEST_CASE("is_private: addresses that no public CA reaches (RFC 6890 2.2.2, 2.2.3, RFC 4193)")
{
    for (const char* const each : {"127.0.0.1", "127.255.255.255", "10.0.0.0", "172.16.0.0", "172.31.255.255",
                                   "192.168.1.1", "100.64.0.1", "100.127.255.255", "169.254.1.1", "::1", "fc00::1",
                                   "fdff::1", "fe80::1", "febf::1", "::ffff:10.1.2.3"})
        CHECK_MESSAGE(ip_address(std::string_view(each)).is_private(), each);
    for (const char* const each : {"126.255.255.255", "128.0.0.0", "11.0.0.0", "172.15.255.255", "172.32.0.0",
                                   "192.167.255.255", "100.63.255.255", "100.128.0.0", "169.253.255.255", "8.8.8.8",
                                   "::", "::2", "fbff::1", "fe00::1", "fe7f::1", "fec0::1", "2001:db8::1", "",
                                   "a.test"})
        CHECK_FALSE_MESSAGE(ip_address(std::string_view(each)).is_private(), each);
}

TEST_CASE("parse_domain takes host names, wildcards of one label, and addresses")
{
    CHECK(parse_domain("Example.COM.") == "example.com");
    CHECK(parse_domain("*.Example.COM") == "*.example.com");
    CHECK(parse_domain("*.com") == "*.com");
    CHECK(parse_domain("2001:DB8::1") == "2001:db8::1");
    CHECK(parse_domain("127.0.0.1") == "127.0.0.1");
    for (const char* text : {"", "*", "*.", "*.*.com", "f*.example.com", "a.*.com", "*example.com",
                             "b\xc3\xbc" "cher.example", "https://example.com", "example.com:443", "*.127.0.0.1",
                             "0x7f.1"})
        CHECK_FALSE(parse_domain(text).has_value());
    CHECK_FALSE(parse_domain("*." + name_253).has_value());
}
