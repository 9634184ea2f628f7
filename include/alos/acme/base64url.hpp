// base64url without padding (RFC 4648 5), as JOSE writes bytes (RFC 7515 2).
#ifndef ALOS_ACME_BASE64URL_HPP
#define ALOS_ACME_BASE64URL_HPP

#include <alos/bytes.hpp>
#include <alos/crypto/pem.hpp>
#include <alos/error.hpp>

#include <boost/system/errc.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace alos::inline v0::acme {

namespace detail {

inline constexpr unsigned no_digit = 64;

// What a digit of the alphabet for URLs stands for; no_digit for any other character.
constexpr unsigned base64url_value(char c) noexcept
{
    if (c >= 'A' && c <= 'Z')
        return static_cast<unsigned>(c - 'A');
    if (c >= 'a' && c <= 'z')
        return static_cast<unsigned>(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return static_cast<unsigned>(c - '0') + 52;
    return c == '-' ? 62 : c == '_' ? 63 : no_digit;
}

// The same for both alphabets (RFC 4648 4 and 5).
constexpr unsigned base64_value(char c) noexcept
{
    return c == '+' ? 62 : c == '/' ? 63 : base64url_value(c);
}

template <class Bytes, class Value>
result<Bytes> decode_base64(std::string_view text, Value value_of)
{
    const auto bad = boost::system::errc::make_error_code(boost::system::errc::illegal_byte_sequence);
    if (text.size() % 4 == 1)
        return bad;
    Bytes bytes;
    bytes.reserve(text.size() / 4 * 3 + 2);
    unsigned pending = 0;
    unsigned bits = 0; // of `pending`, at its low end
    for (const char c : text) {
        const unsigned digit = value_of(c);
        if (digit == no_digit)
            return bad;
        pending = (pending & 0x3f) << 6 | digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes.push_back(static_cast<std::uint8_t>(pending >> bits));
        }
    }
    // RFC 4648 3.5: bits that belong to no byte are zero, so that bytes have one spelling.
    if ((pending & ((1u << bits) - 1)) != 0)
        return bad;
    return bytes;
}

}

[[nodiscard]] inline std::string to_base64url(byte_view bytes)
{
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string text;
    text.reserve(bytes.size() / 3 * 4 + 3);
    unsigned pending = 0;
    unsigned bits = 0;
    for (const std::uint8_t byte : bytes) {
        pending = (pending & 0xff) << 8 | byte;
        for (bits += 8; bits >= 6;) {
            bits -= 6;
            text += digits[pending >> bits & 0x3f];
        }
    }
    if (bits != 0)
        text += digits[pending << (6 - bits) & 0x3f];
    return text;
}

// Fails with illegal_byte_sequence for anything that to_base64url() does not write.
[[nodiscard]] inline result<byte_vector> from_base64url(std::string_view text)
{
    return detail::decode_base64<byte_vector>(text, detail::base64url_value);
}

// A key as people copy it from a CA's page: either alphabet, with padding or without, blanks around it.
[[nodiscard]] inline result<secret_bytes> secret_from_base64(std::string_view text)
{
    constexpr std::string_view blanks = " \t\r\n";
    const std::size_t start = text.find_first_not_of(blanks);
    text.remove_prefix(std::min(start, text.size()));
    text = text.substr(0, text.find_last_not_of(blanks) + 1);
    for (int i = 0; i < 2 && text.ends_with('='); ++i)
        text.remove_suffix(1);
    return detail::decode_base64<secret_bytes>(text, detail::base64_value);
}

// Whether the text is of that alphabet, and not empty. Tokens and nonces have to be (RFC 8555 6.5.1, 8.3).
[[nodiscard]] inline bool is_base64url(std::string_view text) noexcept
{
    const auto is_digit = [](char c) { return detail::base64url_value(c) != detail::no_digit; };
    return !text.empty() && std::ranges::all_of(text, is_digit);
}

}

#endif
