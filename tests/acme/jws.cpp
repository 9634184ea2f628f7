#include <alos/acme/jws.hpp>

#include "support/hex.hpp"

#include <botan/x509_key.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <doctest/doctest.h>

#include <set>
#include <vector>

using namespace alos;
using namespace alos::acme;
namespace json = boost::json;

namespace {

// The key of most known answers.
constexpr std::string_view known_number = "f5xl964R9afUZXX6gWVALOjfr1jaSR7QbVpRwCxYPfE";
constexpr std::string_view known_jwk = R"({"crv":"P-256","kty":"EC","x":"M9nObT-qPhf7B91sB8G52GvIXZdD_hG93SMcoGJRNac",)"
                                       R"("y":"blvdt601hFPRJHWmpvpJyQDhVsQcmWGvtB2etKl6jAc"})";
constexpr std::string_view known_thumbprint = "5-ipyLm3E7454autfNtMBDF18LVPsaJ8E5e0ZEzToic";

byte_vector decoded(std::string_view text) { return from_base64url(text).value(); }

std::string text_of(std::string_view base64url)
{
    return std::string(as_text(decoded(base64url)));
}

// RFC 5915 3, on P-256
std::string ec_pem(std::string_view number)
{
    byte_vector der;
    der::writer out(der);
    out.nested(der::sequence, [&] {
        out.small_integer(1);
        out.value(der::octet_string, decoded(number));
        out.nested(der::context_constructed(0), [&] { out.value(der::object_identifier, alos::detail::oid_p256); });
    });
    return std::string(as_text(encode_pem("EC PRIVATE KEY", der)));
}

void write_number(der::writer<byte_vector>& out, byte_vector digits)
{
    if (digits.empty() || (digits[0] & 0x80) != 0)
        digits.insert(digits.begin(), 0);
    out.value(der::integer, digits);
}

account_key known_key() { return account_key::from_pem(ec_pem(known_number)).value(); }

// A JWS as its receiver reads it.
struct received {
    json::object outer;
    std::string input;
    json::object header;
    std::string payload;
    byte_vector signature;

    explicit received(std::string_view text) : outer(json::parse(text).as_object())
    {
        const std::string_view first = outer.at("protected").as_string();
        const std::string_view second = outer.at("payload").as_string();
        const std::string_view third = outer.at("signature").as_string();
        input = std::string(first) + "." + std::string(second);
        header = json::parse(text_of(first)).as_object();
        payload = text_of(second);
        signature = decoded(third);
        CHECK(outer.size() == 3); // RFC 8555 6.2: no unprotected header
    }

    std::string_view operator[](std::string_view name) const { return header.at(name).as_string(); }
};

bool verifies(const byte_vector& public_key_info, std::string_view padding, std::string_view input, byte_view signature)
{
    const auto key = Botan::X509::load_key(public_key_info);
    Botan::PK_Verifier verifier(*key, padding, Botan::Signature_Format::Standard);
    return verifier.verify_message(as_bytes(input), signature);
}

std::string flat(std::string_view header, std::string_view payload, std::string_view signature)
{
    return R"({"protected":")" + std::string(header) + R"(","payload":")" + std::string(payload) + R"(","signature":")"
           + std::string(signature) + R"("})";
}

constexpr std::string_view padding_of(std::string_view alg)
{
    return alg == "ES256" ? "SHA-256" : alg == "ES384" ? "SHA-384" : alg == "EdDSA" ? "Pure" : "PKCS1v15(SHA-256)";
}

}

TEST_CASE("RFC 7638 3.1: a JWK has the required members only, in order, and the thumbprint is theirs")
{
    const account_key key = known_key();
    CHECK(key.alg() == "ES256");
    CHECK(key.jwk() == known_jwk);
    CHECK(key.thumbprint() == known_thumbprint);
}

TEST_CASE("RFC 7638 3.1: the thumbprint of the RSA key of the RFC")
{
    const std::string n =
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWK"
        "RXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMic"
        "AtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3"
        "XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    byte_vector numbers;
    der::writer inner(numbers);
    inner.nested(der::sequence, [&] {
        write_number(inner, decoded(n));
        write_number(inner, decoded("AQAB"));
    });
    byte_vector info;
    der::writer out(info);
    out.nested(der::sequence, [&] {
        out.nested(der::sequence, [&] {
            out.value(der::object_identifier, alos::detail::oid_rsa);
            out.value(der::null, {});
        });
        out.bits(numbers);
    });
    const std::string jwk = acme::detail::jwk_of(read_public_key(info).kind, info);
    CHECK(jwk == R"({"e":"AQAB","kty":"RSA","n":")" + n + R"("})");
    CHECK(to_base64url(sha256_of(as_bytes(jwk))) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

TEST_CASE("RFC 7518 6.2.1.2: coordinates keep the zeros in front; other forms of a point are refused")
{
    const auto info_of = [](byte_vector point) {
        byte_vector info;
        der::writer out(info);
        out.nested(der::sequence, [&] {
            out.nested(der::sequence, [&] {
                out.value(der::object_identifier, alos::detail::oid_ec_public_key);
                out.value(der::object_identifier, alos::detail::oid_p256);
            });
            out.bits(point);
        });
        return info;
    };
    using type = public_key_facts::type;
    byte_vector point(65, 0);
    point[0] = 4;
    point[64] = 1;
    const std::string zeros(43, 'A');
    CHECK(acme::detail::jwk_of(type::ecdsa_p256, info_of(point))
          == R"({"crv":"P-256","kty":"EC","x":")" + zeros + R"(","y":")" + zeros.substr(1) + R"(E"})");
    point[0] = 6;
    CHECK(acme::detail::jwk_of(type::ecdsa_p256, info_of(point)).empty());
    CHECK(acme::detail::jwk_of(type::ecdsa_p256, info_of(byte_vector(33, 2))).empty());
    CHECK(acme::detail::jwk_of(type::ecdsa_p384, info_of(byte_vector(65, 4))).empty());
    CHECK(acme::detail::jwk_of(type::ecdsa_p256, info_of({})).empty());
    CHECK(acme::detail::jwk_of(type::ecdsa_p256, {}).empty());
    CHECK(acme::detail::jwk_of(type::rsa, info_of(point)).empty());
}

TEST_CASE("RFC 7515 A.2: RS256 is PKCS#1 v1.5, and gives the signature of the RFC")
{
    const char* const numbers[] = {
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4Ql"
        "L-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUs"
        "LA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoud"
        "F8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        "AQAB",
        "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe"
        "46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9J"
        "YanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuh"
        "LhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
        "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJ"
        "NPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
        "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_Yw"
        "D66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
        "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJ"
        "eDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
        "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-N"
        "KJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
        "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi8"
        "7w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U",
    };
    byte_vector der;
    der::writer out(der);
    out.nested(der::sequence, [&] {
        out.small_integer(0);
        for (const char* const number : numbers)
            write_number(out, decoded(number));
    });
    const auto key = account_key::from_pem(as_text(encode_pem("RSA PRIVATE KEY", der)));
    REQUIRE(key.has_value());
    CHECK(key->alg() == "RS256");
    CHECK(key->jwk() == R"({"e":"AQAB","kty":"RSA","n":")" + std::string(numbers[0]) + R"("})");

    const auto signature = key->sign(as_bytes("eyJhbGciOiJSUzI1NiJ9."
                                              "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
                                              "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ"));
    REQUIRE(signature.has_value());
    CHECK(to_base64url(*signature)
          == "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujG"
             "bds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K"
             "0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6"
             "LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw");
}

TEST_CASE("RFC 8037 A: an Ed25519 key, its thumbprint and its signature")
{
    byte_vector der;
    der::writer out(der);
    out.nested(der::sequence, [&] {
        out.small_integer(0);
        out.nested(der::sequence, [&] { out.value(der::object_identifier, alos::detail::oid_ed25519); });
        out.nested(der::octet_string, [&] {
            out.value(der::octet_string, decoded("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"));
        });
    });
    const auto key = account_key::from_pem(as_text(encode_pem("PRIVATE KEY", der)));
    REQUIRE(key.has_value());
    CHECK(key->alg() == "EdDSA");
    CHECK(key->jwk() == R"({"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})");
    CHECK(key->thumbprint() == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    const auto signature = key->sign(as_bytes("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"));
    CHECK(to_base64url(signature.value())
          == "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
}

TEST_CASE("RFC 7518 3.4: ES256 signatures are 64 bytes and ES384 signatures 96, however small r and s are")
{
    for (const auto& [kind, alg, size, times] : {std::tuple{key_kind::ecdsa_p256, "ES256", 64u, 400},
                                                 std::tuple{key_kind::ecdsa_p384, "ES384", 96u, 100}}) {
        CAPTURE(alg);
        const auto plain = private_key::generate(kind).value();
        const account_key key = account_key::from(plain).value();
        CHECK(key.alg() == alg);
        bool with_zero = false;
        for (int i = 0; i < times; ++i) {
            const std::string input = "input " + std::to_string(i);
            const auto signature = key.sign(as_bytes(input));
            REQUIRE(signature.has_value());
            REQUIRE(signature->size() == size);
            const bool short_one = (*signature)[0] == 0 || (*signature)[size / 2] == 0;
            if (short_one && !with_zero)
                CHECK(verifies(plain->public_key_info(), padding_of(alg), input, *signature));
            with_zero = with_zero || short_one;
        }
        const auto signature = key.sign(as_bytes("more"));
        CHECK(verifies(plain->public_key_info(), padding_of(alg), "more", *signature));
        CHECK_FALSE(verifies(plain->public_key_info(), padding_of(alg), "else", *signature));
    }
}

TEST_CASE("RFC 7515 A.3 and a recorded request: what others signed is what is signed here")
{
    const auto info = [](const account_key& key) {
        const secret_text pem = key.to_pem();
        const auto blocks = parse_pem(as_text(pem)).value();
        return parse_private_key(blocks[0], {}, {}).value()->public_key_info();
    };
    const account_key of_rfc = account_key::from_pem(ec_pem("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI")).value();
    CHECK(of_rfc.jwk()
          == R"({"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
             R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})");

    const std::string header = "eyJhbGciOiJFUzI1NiIsImtpZCI6Imh0dHBzOi8vY2EudGVzdC9hY2N0LzEiLCJub25jZSI6ImJtOXVZMlUi"
                               "LCJ1cmwiOiJodHRwczovL2NhLnRlc3Qvb3JkZXIvMSJ9";
    const account_key key = known_key();
    CHECK(verifies(info(key), "SHA-256", header + ".",
                   decoded("tSI3hO6XNKIzoAsRUMgh9h0TSU5QLjiLKOn6bBnFAQGl6HWS69-cidxrzrRWJ4_nWpBg89jDBLArXAIXAWjliA")));
    const auto own = sign_jws(key, {"https://ca.test/order/1", "bm9uY2U", "https://ca.test/acct/1"}, "");
    REQUIRE(own.has_value());
    CHECK(own->starts_with(R"({"protected":")" + header + R"(","payload":"","signature":")"));
}

TEST_CASE("sign_jws: with a kid no jwk is sent, without one the key itself (RFC 8555 6.2)")
{
    for (const key_kind kind : {key_kind::ecdsa_p256, key_kind::ecdsa_p384, key_kind::ed25519, key_kind::rsa_2048}) {
        const auto plain = private_key::generate(kind).value();
        const account_key key = account_key::from(plain).value();
        CAPTURE(key.alg());

        const received first(
            sign_jws(key, {"https://ca.test/new-acct", "n-1_A"}, R"({"termsOfServiceAgreed":true})").value());
        CHECK(first["alg"] == key.alg());
        CHECK(first["nonce"] == "n-1_A");
        CHECK(first["url"] == "https://ca.test/new-acct");
        CHECK(first.header.at("jwk") == json::parse(key.jwk()));
        CHECK(first.header.size() == 4);
        CHECK(first.payload == R"({"termsOfServiceAgreed":true})");
        CHECK(verifies(plain->public_key_info(), padding_of(key.alg()), first.input, first.signature));

        const received later(sign_jws(key, {"https://ca.test/order/1", "n2", "https://ca.test/acct/1"}, "{}").value());
        CHECK(later["kid"] == "https://ca.test/acct/1");
        CHECK_FALSE(later.header.contains("jwk"));
        CHECK(later.header.size() == 4);
        CHECK(later.payload == "{}");
        CHECK(verifies(plain->public_key_info(), padding_of(key.alg()), later.input, later.signature));
    }
}

TEST_CASE("sign_jws: what a CA sent cannot break out of its string (RFC 8259 7)")
{
    const std::string url = "https://ca.test/\"},\"x\":\"\\\n\x01\xc3\xa4";
    const received sent(sign_jws(known_key(), {url, "\"", "\\"}, "").value());
    CHECK(sent["url"] == url);
    CHECK(sent["nonce"] == "\"");
    CHECK(sent["kid"] == "\\");
    CHECK(sent.header.size() == 4);
    CHECK(sent.payload.empty());
}

TEST_CASE("sign_key_change: the new key signs without a nonce and names account and old key (RFC 8555 7.3.5)")
{
    const account_key old_key = known_key();
    const auto plain = private_key::generate(key_kind::ecdsa_p384).value();
    const account_key new_key = account_key::from(plain).value();
    const std::string inner =
        sign_key_change(new_key, old_key, "https://ca.test/acct/1", "https://ca.test/key-change").value();
    const received read(inner);
    CHECK(read.header.size() == 3);
    CHECK(read["alg"] == "ES384");
    CHECK(read["url"] == "https://ca.test/key-change");
    CHECK(read.header.at("jwk") == json::parse(new_key.jwk()));
    CHECK(read.payload == R"({"account":"https://ca.test/acct/1","oldKey":)" + std::string(known_jwk) + "}");
    CHECK(verifies(plain->public_key_info(), "SHA-384", read.input, read.signature));

    const jws_target outer{"https://ca.test/key-change", "n3", "https://ca.test/acct/1"};
    CHECK(received(sign_jws(old_key, outer, inner).value()).payload == inner);
}

TEST_CASE("external_account_binding: a recorded binding, by HS256 (RFC 8555 7.3.4)")
{
    const std::string url = "https://localhost:14100/sign-me-up";
    const auto hmac_key =
        secret_from_base64("zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W").value();
    const auto made = external_account_binding("kid-1", hmac_key, url, known_key());
    REQUIRE(made.has_value());
    CHECK(*made
          == flat("eyJhbGciOiJIUzI1NiIsImtpZCI6ImtpZC0xIiwidXJsIjoiaHR0cHM6Ly9sb2NhbGhvc3Q6MTQxMDAvc2lnbi1tZS11cCJ9",
                  "eyJjcnYiOiJQLTI1NiIsImt0eSI6IkVDIiwieCI6Ik05bk9iVC1xUGhmN0I5MXNCOEc1Mkd2SVhaZERfaEc5M1NNY29HSlJO"
                  "YWMiLCJ5IjoiYmx2ZHQ2MDFoRlBSSkhXbXB2cEp5UURoVnNRY21XR3Z0QjJldEtsNmpBYyJ9",
                  "tHQsqi0VQoGddxJXNPkpDL4EagoPtkLJ69OItvXeaJg"));

    const auto refused = [&](std::string_view kid, byte_view key) {
        const auto none = external_account_binding(kid, key, url, known_key());
        return !none.has_value() && none.error().code == alos::errc::bad_configuration;
    };
    CHECK(refused("", hmac_key));
    CHECK(refused("kid-1", {}));
    CHECK(refused("kid-1", byte_vector(1025, 1)));
    CHECK(external_account_binding("kid-1", byte_vector(1024, 1), url, known_key()).has_value());
}

TEST_CASE("account_key: generated keys differ, and come back from their PEM")
{
    std::set<std::string> thumbprints;
    for (const key_kind kind : {key_kind::ecdsa_p256, key_kind::ecdsa_p256, key_kind::ecdsa_p384}) {
        const account_key key = account_key::generate(kind).value();
        const account_key again = account_key::from_pem(as_text(key.to_pem())).value();
        const account_key copied = again; // shares what it is made of
        CHECK(again.jwk() == key.jwk());
        CHECK(copied.jwk().data() == again.jwk().data());
        CHECK(key.thumbprint().size() == 43);
        thumbprints.emplace(key.thumbprint());
    }
    CHECK(thumbprints.size() == 3);
}

TEST_CASE("account_key: what cannot sign for an account is refused with the cure (RFC 7518 3.3)")
{
    const auto code = [](std::string_view pem) {
        const auto key = account_key::from_pem(pem);
        REQUIRE_FALSE(key.has_value());
        CHECK_FALSE(key.error().what.empty());
        return key.error().code;
    };
    CHECK(code("") == alos::errc::bad_pem);
    CHECK(code("-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n") == alos::errc::bad_pem);
    CHECK(code("-----BEGIN PRIVATE KEY-----\nAAEC\n-----END PRIVATE KEY-----\n") == alos::errc::bad_private_key);
    const auto small = std::make_shared<const private_key>(
        std::make_unique<Botan::RSA_PrivateKey>(Botan::system_rng(), 1024));
    const auto key = account_key::from(small);
    REQUIRE_FALSE(key.has_value());
    CHECK(key.error().code == alos::errc::unsupported_key);
    CHECK(key.error().what.find("RSA 1024") != std::string::npos);
    const auto foreign = account_key::from(std::make_shared<const private_key>(
        std::make_unique<Botan::ECDSA_PrivateKey>(Botan::system_rng(), Botan::EC_Group::from_name("secp521r1"))));
    REQUIRE_FALSE(foreign.has_value());
    CHECK(foreign.error().code == alos::errc::unsupported_key);
    CHECK(foreign.error().what.find("P-521") != std::string::npos);
}

TEST_CASE("jws: the kind of account key for what a CA takes (RFC 8555 6.2)")
{
    using alos::acme::account_key_for;
    CHECK(account_key_for({"RS256", "ES384", "ES256"}) == alos::key_kind::ecdsa_p256);
    CHECK(account_key_for({"RS256", "ES384"}) == alos::key_kind::ecdsa_p384);
    CHECK(account_key_for({"PS256", "RS256"}) == alos::key_kind::rsa_2048);
    CHECK_FALSE(account_key_for({"PS256", "es256"}).has_value());
    CHECK_FALSE(account_key_for({}).has_value());
}
