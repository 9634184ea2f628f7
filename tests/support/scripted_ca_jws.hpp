// How the scripted CA reads signed requests (RFC 7515, 7517, 7638), on its own: nothing of acme/ is trusted here.
#ifndef ALOS_TESTS_SCRIPTED_CA_JWS_HPP
#define ALOS_TESTS_SCRIPTED_CA_JWS_HPP

#include <alos/crypto/botan_x509.hpp>

#include <boost/json/monotonic_resource.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <botan/mac.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace test {

namespace json = boost::json;
using alos::as_bytes;
using alos::as_text;
using alos::byte_vector;
using alos::byte_view;

[[nodiscard]] inline std::string to_base64url(byte_view bytes)
{
    constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string text;
    text.reserve(bytes.size() * 4 / 3 + 3);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t group = 0;
        for (std::size_t k = 0; k < 3; ++k)
            group = group << 8 | (k < have ? bytes[i + k] : 0u);
        for (std::size_t k = 0; k <= have; ++k)
            text += letters[group >> (18 - 6 * k) & 0x3f];
    }
    return text;
}

// Nothing when there is any other letter, padding, or a bit set that means nothing (RFC 4648 3.5, RFC 7515 2).
[[nodiscard]] inline std::optional<std::string> from_base64url(std::string_view text)
{
    static const std::array<std::uint8_t, 256> values = [] {
        std::array<std::uint8_t, 256> table{};
        table.fill(0xff);
        constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        for (std::size_t i = 0; i < letters.size(); ++i)
            table[static_cast<unsigned char>(letters[i])] = static_cast<std::uint8_t>(i);
        return table;
    }();
    std::string bytes;
    bytes.reserve(text.size() * 3 / 4);
    std::uint32_t group = 0;
    unsigned bits = 0;
    for (const char c : text) {
        const std::uint8_t value = values[static_cast<unsigned char>(c)];
        if (value == 0xff)
            return std::nullopt;
        group = group << 6 | value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes += static_cast<char>(group >> bits & 0xff);
        }
    }
    if (bits >= 6 || (group & ((1u << bits) - 1)) != 0)
        return std::nullopt;
    return bytes;
}

// JSON that is read once and then forgotten.
class json_page {
public:
    json_page() {} // Note: not defaulted, which would make {} write zeros all over it

    // Null when it is none.
    json::value parse(std::string_view text)
    {
        boost::system::error_code ec;
        json::value read = json::parse(text, ec, &memory_);
        if (ec)
            read = nullptr;
        return read;
    }

private:
    std::array<unsigned char, 8192> first_;
    json::monotonic_resource memory_{first_.data(), first_.size()};
};

// A string member; empty when there is none of that kind.
[[nodiscard]] inline std::string_view member_text(const json::value& object, std::string_view name)
{
    if (!object.is_object())
        return {};
    const json::value* const found = object.get_object().if_contains(name);
    return found != nullptr && found->is_string() ? std::string_view(found->get_string()) : std::string_view{};
}

// A public key as a JWK says it (RFC 7518 6.2, 6.3).
struct public_jwk {
    std::string thumbprint; // RFC 7638
    byte_vector key_info;   // SubjectPublicKeyInfo
    std::shared_ptr<const Botan::Public_Key> key;
    std::string alg; // the one signature it makes
};

// Nothing when it is no key that a CA takes.
[[nodiscard]] inline std::optional<public_jwk> read_jwk(const json::value& jwk)
{
    namespace der = alos::der;
    const std::string_view kind = member_text(jwk, "kty");
    public_jwk read;
    std::string canonical;
    der::writer out(read.key_info);
    if (kind == "EC") {
        const std::string_view curve = member_text(jwk, "crv");
        const auto x = from_base64url(member_text(jwk, "x"));
        const auto y = from_base64url(member_text(jwk, "y"));
        const bool p256 = curve == "P-256";
        const std::size_t size = p256 ? 32 : 48;
        // RFC 7518 6.2.1.2: the length of this octet string MUST be the full size of a coordinate.
        if ((!p256 && curve != "P-384") || !x || !y || x->size() != size || y->size() != size)
            return std::nullopt;
        canonical = R"({"crv":")" + std::string(curve) + R"(","kty":"EC","x":")" + std::string(member_text(jwk, "x"))
                    + R"(","y":")" + std::string(member_text(jwk, "y")) + R"("})";
        read.alg = p256 ? "ES256" : "ES384";
        out.nested(der::sequence, [&] {
            out.nested(der::sequence, [&] {
                out.value(der::object_identifier, alos::detail::oid_ec_public_key);
                out.value(der::object_identifier,
                          p256 ? byte_view(alos::detail::oid_p256) : byte_view(alos::detail::oid_p384));
            });
            out.bits(as_bytes("\x04" + *x + *y));
        });
    } else if (kind == "RSA") {
        const auto n = from_base64url(member_text(jwk, "n"));
        const auto e = from_base64url(member_text(jwk, "e"));
        if (!n || !e || n->size() < 256 || (*n)[0] == '\0' || e->empty())
            return std::nullopt;
        canonical = R"({"e":")" + std::string(member_text(jwk, "e")) + R"(","kty":"RSA","n":")"
                    + std::string(member_text(jwk, "n")) + R"("})";
        read.alg = "RS256";
        const auto positive = [](const std::string& number) {
            return (static_cast<unsigned char>(number[0]) & 0x80) != 0 ? std::string(1, '\0') + number : number;
        };
        byte_vector numbers;
        der::writer inner(numbers);
        inner.nested(der::sequence, [&] {
            inner.value(der::integer, as_bytes(positive(*n)));
            inner.value(der::integer, as_bytes(positive(*e)));
        });
        out.nested(der::sequence, [&] {
            out.nested(der::sequence, [&] {
                out.value(der::object_identifier, alos::detail::oid_rsa);
                out.value(der::null, {});
            });
            out.bits(numbers);
        });
    } else {
        return std::nullopt;
    }
    try {
        read.key = Botan::X509::load_key(read.key_info);
    } catch (const std::exception&) {
        return std::nullopt;
    }
    read.thumbprint = to_base64url(alos::sha256_of(as_bytes(canonical)));
    return read;
}

// The parts of a flattened JWS (RFC 7515 7.2.2) as RFC 8555 6.2 wants it. Views are into the page and the request.
struct opened_jws {
    json::value header;
    std::string_view header_text;
    std::string_view payload_text;
    std::string payload;
    std::string signature;

    [[nodiscard]] std::string_view alg() const { return member_text(header, "alg"); }
    [[nodiscard]] std::string_view url() const { return member_text(header, "url"); }
    [[nodiscard]] std::string_view nonce() const { return member_text(header, "nonce"); }
    [[nodiscard]] std::string_view kid() const { return member_text(header, "kid"); }
    [[nodiscard]] const json::value* jwk() const { return header.get_object().if_contains("jwk"); }
};

[[nodiscard]] inline std::optional<opened_jws> open_jws(json_page& page, const json::value& body)
{
    // RFC 8555 6.2: the JWS MUST be in the Flattened JSON Serialization, without an unprotected header.
    if (!body.is_object() || body.get_object().size() != 3)
        return std::nullopt;
    for (const char* const name : {"protected", "payload", "signature"}) {
        const json::value* const part = body.get_object().if_contains(name);
        if (part == nullptr || !part->is_string())
            return std::nullopt;
    }
    const std::string_view header_text = member_text(body, "protected");
    const std::string_view payload_text = member_text(body, "payload");
    const auto header = from_base64url(header_text);
    auto payload = from_base64url(payload_text);
    auto signature = from_base64url(member_text(body, "signature"));
    if (!header || !payload || !signature)
        return std::nullopt;
    opened_jws jws{page.parse(*header), header_text, payload_text, std::move(*payload), std::move(*signature)};
    if (!jws.header.is_object())
        return std::nullopt;
    return jws;
}

// Whether the signature is this key's. Slow: a hundred microseconds.
[[nodiscard]] inline bool is_signed_with(const opened_jws& jws, const public_jwk& key)
{
    if (jws.alg() != key.alg)
        return false;
    const char* const method = key.alg == "ES256" ? "SHA-256" : key.alg == "ES384" ? "SHA-384" : "PKCS1v15(SHA-256)";
    const std::string input = std::string(jws.header_text) + '.' + std::string(jws.payload_text);
    try {
        // RFC 7518 3.4: R || S, never DER.
        Botan::PK_Verifier verifier(*key.key, method, Botan::Signature_Format::Standard);
        return verifier.verify_message(as_bytes(input), as_bytes(jws.signature));
    } catch (const std::exception&) {
        return false;
    }
}

// RFC 7518 3.2
[[nodiscard]] inline bool is_authenticated_with(const opened_jws& jws, std::string_view hmac_key)
{
    if (jws.alg() != "HS256")
        return false;
    const auto hmac = Botan::MessageAuthenticationCode::create_or_throw("HMAC(SHA-256)");
    hmac->set_key(as_bytes(hmac_key));
    hmac->update(std::string(jws.header_text) + '.' + std::string(jws.payload_text));
    return hmac->verify_mac(as_bytes(jws.signature));
}

}

#endif
