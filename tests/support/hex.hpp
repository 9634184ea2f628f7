// Bytes written down as hexadecimal digits.
#ifndef ALOS_TESTS_SUPPORT_HEX_HPP
#define ALOS_TESTS_SUPPORT_HEX_HPP

#include <alos/bytes.hpp>

#include <string>
#include <string_view>

namespace alos_tests {

// Spaces are passed over.
[[nodiscard]] inline alos::byte_vector from_hex(std::string_view digits)
{
    const auto value = [](char digit) { return digit <= '9' ? digit - '0' : digit - 'a' + 10; };
    alos::byte_vector bytes;
    int high = -1;
    for (const char digit : digits) {
        if (digit == ' ')
            continue;
        if (high < 0) {
            high = value(digit);
        } else {
            bytes.push_back(static_cast<std::uint8_t>(high << 4 | value(digit)));
            high = -1;
        }
    }
    return bytes;
}

[[nodiscard]] inline std::string to_hex(alos::byte_view bytes)
{
    std::string digits;
    for (const std::uint8_t byte : bytes) {
        digits += "0123456789abcdef"[byte >> 4];
        digits += "0123456789abcdef"[byte & 15];
    }
    return digits;
}

}

#endif
