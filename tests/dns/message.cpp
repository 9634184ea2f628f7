#include <alos/dns/message.hpp>

#include "support/hex.hpp"

#include <doctest/doctest.h>

using namespace alos;
using namespace alos::dns;
using alos_tests::from_hex;
using alos_tests::to_hex;

namespace {

// The answer to "example.com" of `type` with id 0x1234: flags, the counts of records, and the records, in hex. The
// question's name is at 12 (0c).
byte_vector response(record_type type, const std::string& counts, const std::string& records,
                     const std::string& flags = "8180")
{
    byte_vector bytes = from_hex("1234" + flags + "0001" + counts + "07 6578616d706c65 03 636f6d 00");
    writer out(bytes);
    out.u16(static_cast<std::uint16_t>(type));
    out.bytes(from_hex("0001" + records));
    return bytes;
}

result<answer> decoded(record_type type, const std::string& counts, const std::string& records,
                       const std::string& flags = "8180")
{
    return decode_response(response(type, counts, records, flags), 0x1234, "example.com", type);
}

const std::string one = "0001 0000 0000";
const std::string ttl = "0000012c"; // 300

}

TEST_CASE("a question asks for recursion and makes room for 1232 bytes (RFC 1035 4.1, RFC 6891 6.1.2)")
{
    const std::string question = "07 6578616d706c65 03 636f6d 00 001c 0001";
    CHECK(encode_query(0x1234, "Example.COM", record_type::aaaa).value()
          == from_hex("1234 0100 0001 0000 0000 0001" + question + "00 0029 04d0 00000000 0000"));
    CHECK(encode_query(0x1234, "example.com.", record_type::aaaa, 0).value()
          == from_hex("1234 0100 0001 0000 0000 0000" + question));
    CHECK(to_hex(encode_query(1, "_a.b", record_type::caa, 0).value()) == "00010100000100000000000002" "5f61" "0162"
                                                                          "00" "0101" "0001");
    CHECK(to_hex(encode_query(1, ".", record_type::ns, 0).value()) == "000101000001000000000000" "00" "0002" "0001");
}

TEST_CASE("names that cannot be asked for are refused (RFC 1035 2.3.4)")
{
    const std::string label(63, 'a');
    const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'a');
    CHECK(encode_query(1, longest, record_type::a).value().size() == 12 + 255 + 4 + 11);
    CHECK(encode_query(1, longest + ".", record_type::a).has_value());
    using namespace std::string_view_literals;
    for (const std::string_view name : {""sv, ".."sv, ".a"sv, "a..b"sv, "a.."sv, "a b"sv, "a\0b"sv, "*.a"sv, "a/b"sv,
                                        "b\xc3\xbc"sv, "::1"sv, "a:53"sv}) {
        CAPTURE(name);
        CHECK(encode_query(1, name, record_type::a).error() == dns::errc::bad_name);
    }
    CHECK(encode_query(1, longest + "a", record_type::a).error() == dns::errc::bad_name);
    CHECK(encode_query(1, label + "a.com", record_type::a).error() == dns::errc::bad_name);
    CHECK(canonical_name("WWW.Example.com.").value() == "www.example.com");
    CHECK(canonical_name(".").value().empty());
    CHECK(canonical_name("a b").error() == dns::errc::bad_name);
}

TEST_CASE("addresses are read into their canonical form (RFC 1035 3.4.1, RFC 3596 2.2, RFC 5952)")
{
    const answer four = decoded(record_type::a, "0002 0000 0000", "c00c 0001 0001" + ttl + "0004 c0000201"
                                                                     + "c00c 0001 0001 00000000 0004 c6336402").value();
    CHECK(four.code == response_code::no_error);
    CHECK_FALSE(four.truncated);
    CHECK_FALSE(four.authoritative);
    REQUIRE(four.records.size() == 2);
    CHECK(four.records[0] == record{"example.com", record_type::a, 300, "192.0.2.1"});
    CHECK(four.records[1] == record{"example.com", record_type::a, 0, "198.51.100.2"});

    const answer six = decoded(record_type::aaaa, one,
                               "c00c 001c 0001" + ttl + "0010 20010db8000000000000000000000001", "8580").value();
    CHECK(six.authoritative);
    CHECK(six.records.at(0).text == "2001:db8::1");

    CHECK(decoded(record_type::a, one, "c00c 0001 0001" + ttl + "0003 c00002").error() == dns::errc::bad_message);
    CHECK(decoded(record_type::a, one, "c00c 0001 0001" + ttl + "0005 c000020100").error() == dns::errc::bad_message);
    CHECK(decoded(record_type::aaaa, one, "c00c 001c 0001" + ttl + "0004 c0000201").error()
          == dns::errc::bad_message);
}

TEST_CASE("a chain of CNAMEs stays as records (RFC 1034 3.6.2)")
{
    // example.com CNAME WWW.example.com; www.example.com A
    const answer found = decoded(record_type::a, "0002 0000 0000",
                                 "c00c 0005 0001" + ttl + "0006 03 575757 c00c"
                                     + "c029 0001 0001" + ttl + "0004 c0000201").value();
    REQUIRE(found.records.size() == 2);
    CHECK(found.records[0] == record{"example.com", record_type::cname, 300, "www.example.com"});
    CHECK(found.records[1] == record{"www.example.com", record_type::a, 300, "192.0.2.1"});
}

TEST_CASE("the strings of a TXT record are joined (RFC 1035 3.3.14)")
{
    const answer joined = decoded(record_type::txt, one, "c00c 0010 0001" + ttl + "0008 03 616263 00 02 4445").value();
    CHECK(joined.records.at(0).text == "abcDE");
    CHECK(decoded(record_type::txt, one, "c00c 0010 0001" + ttl + "0001 00").value().records.at(0).text.empty());
    CHECK(decoded(record_type::txt, one, "c00c 0010 0001" + ttl + "0000").error() == dns::errc::bad_message);
    CHECK(decoded(record_type::txt, one, "c00c 0010 0001" + ttl + "0003 03 6162").error() == dns::errc::bad_message);
}

TEST_CASE("CAA has flags, a tag and a value (RFC 8659 4.1)")
{
    // 128 ISSUE "ca.test"
    const answer found =
        decoded(record_type::caa, one, "c00c 0101 0001" + ttl + "000e 80 05 4953535545 63612e74657374").value();
    CHECK(found.records.at(0)
          == record{"example.com", record_type::caa, 300, "ca.test", 0x80, "issue"});
    const answer nobody = decoded(record_type::caa, one, "c00c 0101 0001" + ttl + "0007 00 05 6973737565").value();
    CHECK(nobody.records.at(0).text.empty());
    CHECK(decoded(record_type::caa, one, "c00c 0101 0001" + ttl + "0003 00 00 61").error() == dns::errc::bad_message);
    CHECK(decoded(record_type::caa, one, "c00c 0101 0001" + ttl + "0003 00 05 69").error() == dns::errc::bad_message);
    CHECK(decoded(record_type::caa, one, "c00c 0101 0001" + ttl + "0000").error() == dns::errc::bad_message);
}

TEST_CASE("the authority section says whose zone it is (RFC 2308 2.1)")
{
    // com SOA a.com b.com 1 2 3 4 5; com NS a.com
    const answer found = decoded(record_type::txt, "0000 0002 0000",
                                 "c014 0006 0001" + ttl + "001c 01 61 c014 01 62 c014"
                                     + "00000001 00000002 00000003 00000004 00000005"
                                     + "c014 0002 0001" + ttl + "0004 01 61 c014",
                                 "8183").value();
    CHECK(found.code == response_code::name_error);
    CHECK(found.records.empty());
    REQUIRE(found.authority.size() == 2);
    CHECK(found.authority[0] == record{"com", record_type::soa, 300, "a.com b.com 1 2 3 4 5"});
    CHECK(found.authority[1] == record{"com", record_type::ns, 300, "a.com"});
}

TEST_CASE("types and classes that were not asked for are passed over, whatever is in them")
{
    const answer found = decoded(record_type::a, "0003 0000 0001",
                                 "c00c 002e 0001" + ttl + "0002 ffff"                   // RRSIG
                                     + "c00c 0001 0003" + ttl + "0001 00"               // class CH
                                     + "c00c 0001 0001 80000000 0004 c0000201"          // RFC 2181 8
                                     + "00 0029 04d0 01008000 0000").value();           // OPT, BADVERS
    REQUIRE(found.records.size() == 1);
    CHECK(found.records[0].ttl == 0);
    CHECK(static_cast<int>(found.code) == 16); // RFC 6891 6.1.3
}

TEST_CASE("only the answer to this very question is one (RFC 5452 9.1)")
{
    const byte_vector good = response(record_type::a, one, "c00c 0001 0001" + ttl + "0004 c0000201");
    CHECK(decode_response(good, 0x1234, "EXAMPLE.com.", record_type::a).has_value());
    CHECK(decode_response(good, 0x1235, "example.com", record_type::a).error() == dns::errc::other_message);
    CHECK(decode_response(good, 0x1234, "example.org", record_type::a).error() == dns::errc::other_message);
    CHECK(decode_response(good, 0x1234, "example.com", record_type::aaaa).error() == dns::errc::other_message);
    CHECK(decode_response(good, 0x1234, "a b", record_type::a).error() == dns::errc::other_message);
    for (const auto& [at, value] : {std::pair{2, 0x01}, std::pair{2, 0x91}, std::pair{5, 0x00}, std::pair{5, 0x02}}) {
        CAPTURE(at);
        byte_vector bad = good;
        bad[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(value);
        CHECK(decode_response(bad, 0x1234, "example.com", record_type::a).error() == dns::errc::other_message);
    }
}

TEST_CASE("a truncated answer is asked for again, so nothing of it is read (RFC 2181 9)")
{
    const answer found = decoded(record_type::a, one, "c00c 0001", "8380").value();
    CHECK(found.truncated);
    CHECK(found.records.empty());
}

TEST_CASE("a server that could not read the question need not repeat it")
{
    for (const char* code : {"8181", "8184"})
        CHECK(decode_response(from_hex(std::string("1234") + code + "0000 0000 0000 0000"), 0x1234, "example.com",
                              record_type::a).has_value());
    CHECK(decode_response(from_hex("1234 8182 0000 0000 0000 0000"), 0x1234, "example.com", record_type::a).error()
          == dns::errc::other_message);
}

TEST_CASE("a pointer goes back, ever further (RFC 1035 4.1.4)")
{
    const std::string tail = "0001 0001" + ttl + "0004 c0000201";
    CHECK(decoded(record_type::a, one, "c014" + tail).value().records.at(0).name == "com");
    CHECK(decoded(record_type::a, one, "0161 c00c" + tail).value().records.at(0).name == "a.example.com");
    for (const char* name : {
             "c01d",           // to itself
             "c01e",           // into itself
             "0161 c01d",      // to the name it ends
             "c0ff", "ffff",   // beyond the end
             "c000",           // into the header, where a label begins that never ends
             "4161", "8161",   // kinds of labels that are no more (RFC 6891 5)
         }) {
        CAPTURE(name);
        CHECK(decoded(record_type::a, one, name + tail).error() == dns::errc::bad_message);
    }
    // Two names that point at each other through the data of a CNAME.
    CHECK(decoded(record_type::cname, "0002 0000 0000",
                  "c00c 0005 0001" + ttl + "0002 c029" + "c029 0005 0001" + ttl + "0002 c029").error()
          == dns::errc::bad_message);
    // Two labels of 63 bytes again and again: more than 255.
    std::string name;
    for (int i = 0; i < 4; ++i)
        name += "3f" + std::string(126, '6');
    CHECK(decoded(record_type::a, one, name + "00" + tail).error() == dns::errc::bad_message);
}

TEST_CASE("bytes that no host name has are written as numbers (RFC 4343 2.1)")
{
    CHECK(decoded(record_type::ns, one, "c00c 0002 0001" + ttl + "0008 06 612e5c00ff41 00").value().records.at(0).text
          == "a\\046\\092\\000\\255a");
}

TEST_CASE("an answer that ends too early is none, wherever it ends")
{
    const byte_vector whole = response(record_type::cname, "0001 0001 0001",
                                       "c00c 0005 0001" + ttl + "0006 03 777777 c00c"
                                           + "c014 0002 0001" + ttl + "0004 01 61 c014" + "00 0029 04d0 00000000 0000");
    REQUIRE(decode_response(whole, 0x1234, "example.com", record_type::cname).has_value());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        CAPTURE(size);
        CHECK(decode_response(byte_view(whole).first(size), 0x1234, "example.com", record_type::cname).error()
              == dns::errc::bad_message);
    }
}

TEST_CASE("an answer has at most 1000 records in a section, and 65535 bytes")
{
    byte_vector many = response(record_type::a, "03e8 0000 0000", "");
    for (int i = 0; i < 1001; ++i) {
        const byte_vector each = from_hex("c00c 0001 0001" + ttl + "0004 c0000201");
        many.insert(many.end(), each.begin(), each.end());
    }
    CHECK(decode_response(many, 0x1234, "example.com", record_type::a).value().records.size() == 1000);
    many[7] = 0xe9;
    CHECK(decode_response(many, 0x1234, "example.com", record_type::a).error() == dns::errc::bad_message);
    many.resize(65536);
    many[7] = 0x01;
    CHECK(decode_response(many, 0x1234, "example.com", record_type::a).error() == dns::errc::bad_message);
}

TEST_CASE("aliases are followed to their end, if they have one (RFC 1034 3.6.2)")
{
    answer found;
    found.records = {{"a.test", record_type::cname, 1, "b.test"}, {"c.test", record_type::a, 1, "192.0.2.3"},
                     {"b.test", record_type::cname, 1, "c.test"}, {"a.test", record_type::a, 1, "192.0.2.1"},
                     {"c.test", record_type::a, 1, "192.0.2.4"}};
    CHECK(follow_aliases(found.records, "a.test").value() == "c.test");
    CHECK(follow_aliases(found.records, "d.test").value() == "d.test");
    const auto chosen = records_for(found, "A.test.", record_type::a);
    REQUIRE(chosen.size() == 2);
    CHECK(chosen[0].text == "192.0.2.3");
    CHECK(records_for(found, "a.test", record_type::cname).at(0).text == "b.test");
    CHECK(records_for(found, "a.test", record_type::aaaa).empty());
    found.records.push_back({"c.test", record_type::cname, 1, "a.test"});
    CHECK(follow_aliases(found.records, "a.test").error() == dns::errc::endless_alias);
    CHECK(records_for(found, "a.test", record_type::a).empty());
    CHECK(records_for(found, "a b", record_type::a).empty());

    answer longest;
    for (std::size_t i = 0; i < max_aliases; ++i)
        longest.records.push_back(
            {std::to_string(i) + ".test", record_type::cname, 1, std::to_string(i + 1) + ".test"});
    CHECK(follow_aliases(longest.records, "0.test").value() == "10.test");
    longest.records.push_back({"10.test", record_type::cname, 1, "11.test"});
    CHECK(follow_aliases(longest.records, "0.test").error() == dns::errc::endless_alias);
}

TEST_CASE("types and errors have names")
{
    CHECK(to_text(record_type::caa) == "CAA");
    CHECK(to_text(record_type::aaaa) == "AAAA");
    CHECK(std::string(make_error_code(dns::errc::bad_name).category().name()) == "alos.dns");
    for (const dns::errc each : {dns::errc::bad_name, dns::errc::bad_message, dns::errc::other_message,
                                 dns::errc::endless_alias})
        CHECK(make_error_code(each).message() != "unknown error");
}
