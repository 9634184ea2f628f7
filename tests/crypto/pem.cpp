#include <alos/crypto/pem.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace alos;

namespace {

const std::string block = "-----BEGIN CERTIFICATE-----\nAAEC\nAwQF\n-----END CERTIFICATE-----\n";

std::string replaced(std::string text, std::string_view from, std::string_view to)
{
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
        text.replace(at, from.size(), to);
    return text;
}

}

TEST_CASE("parse_pem finds blocks in any text: comments, CRLF, blanks, no newline at the end, a byte order mark")
{
    const std::string without_newline = block.substr(0, block.size() - 1);
    for (const std::string& text : {
             block,
             "Subject: CN=x\n" + block + "after\n",
             replaced(block, "\n", "\r\n"),
             replaced(block, "\n", " \t\n"),
             replaced(block, "\n", "\n  "),
             without_newline,
             "\xef\xbb\xbf" + block,
             "-----\n-----BEGIN -----\n----- BEGIN X -----\n" + block,
         }) {
        CAPTURE(text);
        const auto blocks = parse_pem(text);
        REQUIRE(blocks.has_value());
        REQUIRE(blocks->size() == 1);
        CHECK((*blocks)[0].label == "CERTIFICATE");
        CHECK((*blocks)[0].headers.empty());
        const auto bytes = decode_pem((*blocks)[0]);
        REQUIRE(bytes.has_value());
        CHECK(*bytes == secret_bytes{0, 1, 2, 3, 4, 5});
    }
}

TEST_CASE("parse_pem keeps the order of blocks and the headers of old ones (RFC 1421 4.6)")
{
    const auto text = block + "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n"
                              "AAEC\n-----END RSA PRIVATE KEY-----\n";
    const auto blocks = parse_pem(text);
    REQUIRE(blocks.has_value());
    REQUIRE(blocks->size() == 2);
    CHECK((*blocks)[1].label == "RSA PRIVATE KEY");
    CHECK((*blocks)[1].headers.find("4,ENCRYPTED") != std::string_view::npos);
    CHECK((*blocks)[1].headers.find("DEK-Info") != std::string_view::npos);
    CHECK(decode_pem((*blocks)[1])->size() == 3);
}

TEST_CASE("parse_pem says why a text is no PEM")
{
    const auto why = [](const std::string& text) {
        const auto blocks = parse_pem(text);
        REQUIRE_FALSE(blocks.has_value());
        CHECK(blocks.error().code == errc::bad_pem);
        CHECK(blocks.error().what.find('\n') == std::string::npos);
        return blocks.error().what;
    };
    CHECK(why("").find("no PEM block") != std::string::npos);
    CHECK(why("hello").find("no PEM block") != std::string::npos);
    CHECK(why("\x30\x82\x01\x01").find("DER") != std::string::npos);
    CHECK(why("-----BEGIN CERTIFICATE-----").find("cut off") != std::string::npos);
    CHECK(why("-----BEGIN CERTIFICATE-----\nAAEC\n").find("cut off") != std::string::npos);
    CHECK(why("-----BEGIN CERTIFICATE-----\nAAEC\n" + block).find("cut off") != std::string::npos);
    CHECK(why("-----BEGIN A-----\nAAEC\n-----END B-----\n").find("differ") != std::string::npos);
    CHECK(why(std::string(max_pem_size + 1, 'x')).find("1 MiB") != std::string::npos);
    std::string many;
    for (std::size_t i = 0; i <= max_pem_blocks; ++i)
        many += block;
    CHECK(why(many).find("64") != std::string::npos);
}

TEST_CASE("decode_pem refuses what is not base64")
{
    for (const std::string_view body : {"!!!!", "AAE?", "AAEC-"}) {
        CAPTURE(body);
        CHECK(decode_pem({"X", {}, body}).has_error());
    }
    CHECK(decode_pem({"X", {}, "AA\r\n EC"}).has_value());
}

TEST_CASE("base64 of any length (RFC 4648 10)")
{
    CHECK(as_text(encode_base64({})).empty());
    CHECK(as_text(encode_base64(as_bytes("f"))) == "Zg==");
    CHECK(as_text(encode_base64(as_bytes("fo"))) == "Zm8=");
    CHECK(as_text(encode_base64(as_bytes("foo"))) == "Zm9v");
}

TEST_CASE("encode_pem writes lines of 64 that parse_pem reads back")
{
    for (const std::size_t size : {0u, 1u, 47u, 48u, 49u, 1000u}) {
        const secret_text text = encode_pem("PRIVATE KEY", byte_vector(size, 0xa5));
        for (std::string_view rest = as_text(text); !rest.empty(); rest.remove_prefix(rest.find('\n') + 1))
            CHECK(rest.find('\n') <= 64);
        const auto blocks = parse_pem(as_text(text));
        REQUIRE(blocks.has_value());
        CHECK(decode_pem((*blocks)[0])->size() == size);
    }
}
