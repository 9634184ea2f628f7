// What of a text can be shown to people as it is: valid UTF-8 (RFC 3629), and nothing that moves other text about.
#ifndef ALOS_PRINTABLE_HPP
#define ALOS_PRINTABLE_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace alos::inline v0::detail {

struct character {
    std::size_t size = 1;   // in bytes
    std::uint32_t code = 0; // of Unicode; the byte itself where it begins no character
    bool is_valid = false;

    // Note: what changes the direction of text makes a line read as another one.
    [[nodiscard]] constexpr bool is_printable() const noexcept
    {
        const auto is_in = [&](std::uint32_t first, std::uint32_t last) { return code >= first && code <= last; };
        const bool is_control = is_in(0, 0x1f) || is_in(0x7f, 0x9f) || is_in(0x2028, 0x2029);
        const bool is_direction = code == 0x061c || is_in(0x200e, 0x200f) || is_in(0x202a, 0x202e)
                                  || is_in(0x2066, 0x2069);
        return is_valid && !is_control && !is_direction;
    }
};

// The first one of a text that is not empty.
[[nodiscard]] constexpr character first_character(std::string_view text) noexcept
{
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const std::uint8_t lead = byte(0);
    const character none{1, lead, false};
    if (lead < 0x80)
        return {1, lead, true};
    const std::size_t size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (lead < 0xc2 || lead > 0xf4 || size > text.size())
        return none;
    std::uint32_t code = lead & (0x7fu >> size);
    for (std::size_t i = 1; i < size; ++i) {
        if ((byte(i) & 0xc0) != 0x80)
            return none;
        code = code << 6 | (byte(i) & 0x3f);
    }
    // RFC 3629 3: the shortest form, no surrogates, nothing beyond U+10FFFF.
    const bool is_shortest = code >= (size == 4 ? 0x10000u : size == 3 ? 0x800u : 0x80u);
    const bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
    return is_shortest && !is_surrogate && code <= 0x10ffff ? character{size, code, true} : none;
}

// The last `digits` of a number in base 16.
inline void append_hex(std::string& out, std::uint32_t number, unsigned digits)
{
    for (unsigned left = digits; left > 0; --left)
        out += "0123456789abcdef"[number >> (4 * (left - 1)) & 15];
}

}

#endif
