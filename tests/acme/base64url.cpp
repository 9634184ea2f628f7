#include <alos/acme/base64url.hpp>

#include "support/hex.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace alos;
using namespace alos::acme;
using alos_tests::from_hex;

namespace {

byte_vector bytes_of(std::string_view text)
{
    const byte_view view = as_bytes(text);
    return {view.begin(), view.end()};
}

}

TEST_CASE("base64url: the vectors of RFC 4648 10, without padding")
{
    const std::vector<std::pair<std::string, std::string>> vectors = {
        {"", ""},          {"f", "Zg"},         {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"},
    };
    for (const auto& [plain, encoded] : vectors) {
        CHECK(to_base64url(as_bytes(plain)) == encoded);
        CHECK(from_base64url(encoded).value() == bytes_of(plain));
    }
}

TEST_CASE("base64url: 62 and 63 are '-' and '_' (RFC 4648 5)")
{
    CHECK(to_base64url(from_hex("fbffbf")) == "-_-_");
    CHECK(from_base64url("-_-_").value() == from_hex("fbffbf"));
    // RFC 7515 A.1.1, appendix C
    CHECK(to_base64url(from_hex("03ecffe0c1")) == "A-z_4ME");
}

TEST_CASE("base64url: every length comes back as it was")
{
    byte_vector bytes;
    for (int i = 0; i < 300; ++i) {
        const std::string text = to_base64url(bytes);
        CHECK(text.size() == (bytes.size() * 4 + 2) / 3);
        CHECK(from_base64url(text).value() == bytes);
        bytes.push_back(static_cast<std::uint8_t>(i * 151 + 7));
    }
}

TEST_CASE("from_base64url refuses what to_base64url does not write (RFC 4648 3.2, 3.3, 3.5)")
{
    using boost::system::errc::illegal_byte_sequence;
    for (const char* text : {"Z", "Zm9vY", "Zg==", "Zm8=", "Zm9v=", "Zm+v", "Zm/v", "Zm9v\n", " Zm9v", "Zm 9v", "Zh",
                             "Zm9", "Zm9vYh", "Z\xc3\xa4"}) {
        CAPTURE(text);
        const auto read = from_base64url(text);
        REQUIRE_FALSE(read.has_value());
        CHECK(read.error() == illegal_byte_sequence);
    }
    CHECK_FALSE(from_base64url(std::string_view("Zm\0v", 4)).has_value());
}

TEST_CASE("secret_from_base64 takes both alphabets, padding, and blanks around it")
{
    const byte_vector wanted = from_hex("fbffbffb");
    for (const char* text : {"-_-_-w", "+/+/+w", "-_-_-w==", "+/+/+w==", "  +/-_+w=\r\n", "\t-_-_-w== "}) {
        CAPTURE(text);
        const auto read = secret_from_base64(text);
        REQUIRE(read.has_value());
        CHECK(equal(*read, wanted));
    }
    for (const char* text : {"-_-_-", "-_-_-x", "-_-_ -w", "-_-_-w===", "-_=_-w", "!"}) {
        CAPTURE(text);
        CHECK_FALSE(secret_from_base64(text).has_value());
    }
    CHECK(secret_from_base64("").value().empty());
    CHECK(secret_from_base64(" \n").value().empty());
    CHECK(secret_from_base64("==").value().empty());
}

TEST_CASE("is_base64url: tokens and nonces are of the alphabet and not empty (RFC 8555 6.5.1)")
{
    CHECK(is_base64url("oFvnlFP1wIhRlYS2jTaXbA"));
    CHECK(is_base64url("-_"));
    CHECK(is_base64url("Z")); // a token need not decode
    for (const char* text : {"", "a=", "a b", "a/b", "a+b", "..", "a.b", "a\n"})
        CHECK_FALSE(is_base64url(text));
}
