// Views of bytes. A view never owns; it is for the length of a call unless the function says otherwise.
#ifndef ALOS_BYTES_HPP
#define ALOS_BYTES_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace alos::inline v0 {

using byte_view = std::span<const std::uint8_t>;
using byte_span = std::span<std::uint8_t>;
using byte_vector = std::vector<std::uint8_t>; // owned bytes that are not secret

inline byte_view as_bytes(std::string_view text) noexcept
{
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::string_view as_text(byte_view bytes) noexcept
{
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline bool equal(byte_view a, byte_view b) noexcept
{
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

// Copies all of `from` to the front of `to`, which must be at least as long and may overlap it.
// Note: GCC 12 turns std::ranges::copy over spans into a loop of single bytes at -O2.
inline void copy(byte_view from, byte_span to) noexcept
{
    if (!from.empty())
        std::memmove(to.data(), from.data(), from.size());
}

}

#endif
