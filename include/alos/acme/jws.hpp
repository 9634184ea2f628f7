// Keys of accounts and what they sign: JWK (RFC 7517 4, RFC 7518 6, RFC 8037 2), its thumbprint (RFC 7638 3), and JWS
// in the flattened form that ACME asks for (RFC 7515 7.2.2, RFC 8555 6.2).
#ifndef ALOS_ACME_JWS_HPP
#define ALOS_ACME_JWS_HPP

#include <alos/acme/base64url.hpp>
#include <alos/crypto/botan.hpp>
#include <alos/crypto/botan_x509.hpp>

#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

inline constexpr std::size_t min_account_rsa_bits = 2048; // RFC 7518 3.3
inline constexpr std::size_t max_hmac_key_size = 1024;    // bytes; RFC 7518 3.2 wants at least 32

namespace detail {

// RFC 7518 3.1, RFC 8037 3.1
[[nodiscard]] constexpr std::string_view algorithm_of(public_key_facts::type key) noexcept
{
    switch (key) {
    case public_key_facts::type::ecdsa_p256: return "ES256";
    case public_key_facts::type::ecdsa_p384: return "ES384";
    case public_key_facts::type::ed25519: return "EdDSA";
    case public_key_facts::type::rsa: return "RS256";
    default: return {};
    }
}

// In the order in which they are chosen: the one that most CAs take is the first.
inline constexpr std::array<std::pair<std::string_view, key_kind>, 3> account_algorithms = {
    {{"ES256", key_kind::ecdsa_p256}, {"ES384", key_kind::ecdsa_p384}, {"RS256", key_kind::rsa_2048}}};

// A JSON object whose members stay in the order in which they are added. Boost.JSON quotes the texts: what a CA sent,
// such as a URL, may hold anything.
class json_text {
public:
    json_text member(std::string_view name, std::string_view text) &&
    {
        return std::move(*this).document(name, boost::json::serialize(boost::json::string_view(text)));
    }

    // `json` is a value already.
    json_text document(std::string_view name, std::string_view json) &&
    {
        text_ += text_.empty() ? "{\"" : ",\"";
        text_.append(name).append("\":").append(json);
        return std::move(*this);
    }

    [[nodiscard]] std::string text() && { return std::move(text_) + "}"; }

private:
    std::string text_;
};

// RFC 7518 6.2.1: both coordinates are as wide as the curve, zeros in front included.
inline std::string ec_jwk(std::string_view curve, byte_view point, std::size_t width)
{
    if (point.size() != 1 + 2 * width || point[0] != 0x04) // SEC 1 2.3.3: not compressed
        return {};
    const std::string x = to_base64url(point.subspan(1, width));
    const std::string y = to_base64url(point.subspan(1 + width));
    return json_text().member("crv", curve).member("kty", "EC").member("x", x).member("y", y).text();
}

// RFC 8037 2
inline std::string ed25519_jwk(byte_view point)
{
    return json_text().member("crv", "Ed25519").member("kty", "OKP").member("x", to_base64url(point)).text();
}

// RFC 7518 6.3.1: numbers without zeros in front.
inline std::string rsa_jwk(byte_view key)
{
    der::reader in(key);
    der::reader fields(in.read(der::sequence));
    const auto number = [&] {
        byte_view digits = fields.read(der::integer);
        while (!digits.empty() && digits[0] == 0)
            digits = digits.subspan(1);
        return to_base64url(digits);
    };
    const std::string n = number();
    const std::string e = number();
    if (!fields.ok())
        return {};
    return json_text().member("e", e).member("kty", "RSA").member("n", n).text();
}

// RFC 7638 3.2, 3.3: the required members only, in the order of their names, without blanks. Empty for a key that has
// no such form here.
inline std::string jwk_of(public_key_facts::type kind, byte_view public_key_info)
{
    der::reader in(public_key_info);
    der::reader fields(in.read(der::sequence));
    fields.read(der::sequence);
    byte_view key = fields.read(der::bit_string);
    if (key.empty())
        return {};
    key = key.subspan(1);
    switch (kind) {
    case public_key_facts::type::ecdsa_p256: return ec_jwk("P-256", key, 32);
    case public_key_facts::type::ecdsa_p384: return ec_jwk("P-384", key, 48);
    case public_key_facts::type::ed25519: return ed25519_jwk(key);
    case public_key_facts::type::rsa: return rsa_jwk(key);
    default: return {};
    }
}

}

// RFC 8555 6.2: the kind of account key for what a CA takes, the `algorithms` of its problem badSignatureAlgorithm.
// Nothing: none of them is known here.
[[nodiscard]] inline std::optional<key_kind> account_key_for(const std::vector<std::string>& algorithms)
{
    for (const auto& [name, kind] : detail::account_algorithms) {
        if (std::ranges::count(algorithms, name) != 0)
            return kind;
    }
    return std::nullopt;
}

// A key pair that signs requests. Copies share it; any number of threads may use it.
class account_key {
public:
    // Note: RSA takes a large part of a second.
    [[nodiscard]] static outcome<account_key> generate(key_kind kind)
    {
        const auto key = private_key::generate(kind);
        if (!key)
            return key.error();
        return from(*key);
    }

    // The first private key of a PEM text, not encrypted.
    [[nodiscard]] static outcome<account_key> from_pem(std::string_view pem)
    {
        const auto blocks = parse_pem(pem);
        if (!blocks)
            return blocks.error();
        const auto block = std::ranges::find_if(*blocks, is_private_key);
        if (block == blocks->end())
            return failure{errc::bad_pem, "it holds no private key; restore the account's"};
        const auto key = parse_private_key(*block, {}, {});
        if (!key)
            return key.error();
        return from(*key);
    }

    // Any private key, not null: that of a certificate may revoke it (RFC 8555 7.6).
    [[nodiscard]] static outcome<account_key> from(private_key_ptr key)
    {
        const byte_vector info = key->public_key_info();
        const public_key_facts facts = read_public_key(info);
        const auto scheme = document_scheme_of(facts);
        std::string jwk = detail::jwk_of(facts.kind, info);
        if (!scheme || jwk.empty())
            return failure{errc::unsupported_key, "an ACME account cannot use " + facts.text
                                                      + "; use ECDSA P-256 or P-384, or RSA of 2048 bits or more"};
        // RFC 7518 3.3: "A key of size 2048 bits or larger MUST be used".
        if (facts.kind == public_key_facts::type::rsa && facts.bits < min_account_rsa_bits)
            return failure{errc::unsupported_key,
                           facts.text + " is too small for any CA; use ECDSA P-256, or RSA of 2048 bits or more"};
        // RFC 7638 3.1
        std::string thumbprint = to_base64url(sha256_of(as_bytes(jwk)));
        return account_key(std::make_shared<const parts>(
            parts{std::move(key), *scheme, detail::algorithm_of(facts.kind), std::move(jwk), std::move(thumbprint)}));
    }

    // PrivateKeyInfo (RFC 5958), not encrypted.
    [[nodiscard]] secret_text to_pem() const { return parts_->key->to_pem(); }

    // "ES256", "ES384", "RS256"; "EdDSA", which few CAs take. All views are valid as long as a copy of the key.
    [[nodiscard]] std::string_view alg() const noexcept { return parts_->alg; }

    // The public key as JSON, the way its thumbprint is computed of.
    [[nodiscard]] std::string_view jwk() const noexcept { return parts_->jwk; }

    // base64url, 43 characters.
    [[nodiscard]] std::string_view thumbprint() const noexcept { return parts_->thumbprint; }

    // The bytes of a JWS Signature. ECDSA's are r and s side by side (RFC 7518 3.4).
    [[nodiscard]] result<byte_vector> sign(byte_view input) const
    {
        return parts_->key->sign_document(parts_->scheme, input, ecdsa_form::raw);
    }

private:
    struct parts {
        private_key_ptr key;
        signature_scheme scheme;
        std::string_view alg;
        std::string jwk;
        std::string thumbprint;
    };

    explicit account_key(std::shared_ptr<const parts> made) noexcept : parts_(std::move(made)) {}

    std::shared_ptr<const parts> parts_;
};

// What a request is for (RFC 8555 6.2).
struct jws_target {
    std::string url; // exactly that of the request
    std::string nonce;
    std::string kid{}; // the account's URL; empty: the key itself is sent
};

namespace detail {

// RFC 7515 5.1: what is signed, and RFC 7515 7.2.2: how it is sent.
struct unsigned_jws {
    std::string header;
    std::string payload;

    unsigned_jws(std::string_view header_json, std::string_view payload_text)
        : header(to_base64url(as_bytes(header_json))), payload(to_base64url(as_bytes(payload_text)))
    {}

    [[nodiscard]] std::string signing_input() const { return header + "." + payload; }

    [[nodiscard]] std::string with(byte_view signature) const
    {
        return json_text()
            .member("protected", header)
            .member("payload", payload)
            .member("signature", to_base64url(signature))
            .text();
    }
};

inline result<std::string> sign_with(const account_key& key, const unsigned_jws& text)
{
    const auto signature = key.sign(as_bytes(text.signing_input()));
    if (!signature)
        return signature.error();
    return text.with(*signature);
}

}

// RFC 8555 6.2: the body of a POST. `payload` is JSON, or empty for POST-as-GET (RFC 8555 6.3). Fails only when the key
// is damaged.
[[nodiscard]] inline result<std::string> sign_jws(const account_key& key, const jws_target& target,
                                                  std::string_view payload)
{
    // RFC 8555 6.2: "The "jwk" and "kid" fields are mutually exclusive."
    auto header = detail::json_text().member("alg", key.alg());
    auto named = target.kid.empty() ? std::move(header).document("jwk", key.jwk())
                                    : std::move(header).member("kid", target.kid);
    const std::string text = std::move(named).member("nonce", target.nonce).member("url", target.url).text();
    return detail::sign_with(key, detail::unsigned_jws(text, payload));
}

// RFC 8555 7.3.5: what the new key signs to take over `account` from the old one. The old key then signs it as the
// payload of a request to `url`, that of keyChange.
[[nodiscard]] inline result<std::string> sign_key_change(const account_key& new_key, const account_key& old_key,
                                                         std::string_view account, std::string_view url)
{
    // RFC 8555 7.3.5: "The inner JWS MUST omit the "nonce" header parameter."
    const std::string header =
        detail::json_text().member("alg", new_key.alg()).document("jwk", new_key.jwk()).member("url", url).text();
    const std::string payload =
        detail::json_text().member("account", account).document("oldKey", old_key.jwk()).text();
    return detail::sign_with(new_key, detail::unsigned_jws(header, payload));
}

// RFC 8555 7.3.4: the externalAccountBinding of a newAccount request to `url`, a JSON object. `kid` and `hmac_key` (see
// secret_from_base64) are from the CA.
[[nodiscard]] inline outcome<std::string> external_account_binding(std::string_view kid, byte_view hmac_key,
                                                                   std::string_view url, const account_key& key)
{
    if (kid.empty() || hmac_key.empty() || hmac_key.size() > max_hmac_key_size)
        return failure{errc::bad_configuration, "the key identifier or the HMAC key of the external account is missing "
                                                "or too long; copy both from the CA's page"};
    const std::string header = detail::json_text().member("alg", "HS256").member("kid", kid).member("url", url).text();
    const detail::unsigned_jws text(header, key.jwk());
    std::array<std::uint8_t, 32> mac{};
    botan_crypto::hmac hs256(hash_algorithm::sha256);
    hs256.start(hmac_key);
    hs256.update(as_bytes(text.signing_input()));
    hs256.finish(mac);
    return text.with(mac);
}

}

#endif
