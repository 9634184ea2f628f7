// The presentation language of TLS (RFC 8446 3): `reader` takes bytes apart and `writer` puts them together.
#ifndef ALOS_CODEC_HPP
#define ALOS_CODEC_HPP

#include <alos/bytes.hpp>

#include <cassert>

namespace alos::inline v0 {

// Reads big-endian numbers and length-prefixed vectors. Failure is sticky: after a read beyond the end every read
// gives zero or nothing, and ok() is false. Views that it gives out live as long as the bytes it reads.
class reader {
public:
    reader() noexcept = default;
    explicit reader(byte_view bytes) noexcept : rest_(bytes) {}

    std::uint8_t u8() noexcept { return static_cast<std::uint8_t>(number(1)); }
    std::uint16_t u16() noexcept { return static_cast<std::uint16_t>(number(2)); }
    std::uint32_t u24() noexcept { return number(3); }
    std::uint32_t u32() noexcept { return number(4); }

    // The next `size` bytes.
    byte_view bytes(std::size_t size) noexcept
    {
        if (size > rest_.size()) {
            fail();
            return {};
        }
        const byte_view taken = rest_.first(size);
        rest_ = rest_.subspan(size);
        return taken;
    }

    // RFC 8446 3.4: a vector whose length is a number of 1, 2 or 3 bytes and lies within min and max.
    byte_view vector8(std::size_t min = 0, std::size_t max = 0xff) noexcept { return vector(u8(), min, max); }
    byte_view vector16(std::size_t min = 0, std::size_t max = 0xffff) noexcept { return vector(u16(), min, max); }
    byte_view vector24(std::size_t min = 0, std::size_t max = 0xffffff) noexcept { return vector(u24(), min, max); }

    void fail() noexcept
    {
        ok_ = false;
        rest_ = {};
    }

    [[nodiscard]] bool ok() const noexcept { return ok_; }
    [[nodiscard]] bool empty() const noexcept { return rest_.empty(); }
    [[nodiscard]] byte_view rest() const noexcept { return rest_; }

    // Everything was read, and nothing was missing.
    [[nodiscard]] bool complete() const noexcept { return ok_ && rest_.empty(); }

private:
    std::uint32_t number(std::size_t size) noexcept
    {
        std::uint32_t value = 0;
        for (const std::uint8_t byte : bytes(size))
            value = value << 8 | byte;
        return value;
    }

    byte_view vector(std::size_t size, std::size_t min, std::size_t max) noexcept
    {
        if (size < min || size > max)
            fail();
        return ok_ ? bytes(size) : byte_view{};
    }

    byte_view rest_;
    bool ok_ = true;
};

// Appends to a byte_vector that it does not own. A vector's length is written after its contents are known.
class writer {
public:
    explicit writer(byte_vector& out) noexcept : out_(out) {}

    void u8(std::uint8_t value) { out_.push_back(value); }
    void u16(std::uint16_t value) { number(value, 2); }
    void u24(std::uint32_t value) { number(value, 3); }
    void u32(std::uint32_t value) { number(value, 4); }
    void bytes(byte_view value) { out_.insert(out_.end(), value.begin(), value.end()); }

    // RFC 8446 3.4: what `contents` writes, behind its length in 1, 2 or 3 bytes.
    template <class Contents>
    void vector8(Contents contents) { vector(1, contents); }
    template <class Contents>
    void vector16(Contents contents) { vector(2, contents); }
    template <class Contents>
    void vector24(Contents contents) { vector(3, contents); }

private:
    void number(std::uint32_t value, std::size_t size)
    {
        while (size-- > 0)
            out_.push_back(static_cast<std::uint8_t>(value >> (8 * size)));
    }

    template <class Contents>
    void vector(std::size_t prefix, Contents& contents)
    {
        const std::size_t start = out_.size();
        out_.resize(start + prefix);
        contents();
        std::size_t size = out_.size() - start - prefix;
        for (std::size_t i = prefix; i-- > 0; size >>= 8)
            out_[start + i] = static_cast<std::uint8_t>(size);
        assert(size == 0); // else the contents do not fit the vector
    }

    byte_vector& out_;
};

}

#endif
