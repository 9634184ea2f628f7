// DER as certificates and keys need it (X.690 8 and 10): definite lengths, tags of one byte.
#ifndef ALOS_CRYPTO_DER_HPP
#define ALOS_CRYPTO_DER_HPP

#include <alos/bytes.hpp>

#include <array>

namespace alos::inline v0::der {

enum tag : std::uint8_t {
    boolean = 0x01,
    integer = 0x02,
    bit_string = 0x03,
    octet_string = 0x04,
    null = 0x05,
    object_identifier = 0x06,
    utf8_string = 0x0c,
    utc_time = 0x17,
    generalized_time = 0x18,
    bmp_string = 0x1e,
    sequence = 0x30,
    set = 0x31,
};

// [n] IMPLICIT of something primitive; [n] EXPLICIT, or IMPLICIT of something constructed.
[[nodiscard]] constexpr tag context(std::uint8_t n) noexcept { return static_cast<tag>(0x80 | n); }
[[nodiscard]] constexpr tag context_constructed(std::uint8_t n) noexcept { return static_cast<tag>(0xa0 | n); }

// One value: its tag, its contents, and both with the length between them.
struct element {
    tag type{};
    byte_view contents;
    byte_view whole;
};

// Reads values one after another. Failure is sticky, as in alos::reader: afterwards everything is empty.
class reader {
public:
    explicit reader(byte_view bytes) noexcept : rest_(bytes) {}

    element any() noexcept
    {
        const byte_view start = rest_;
        const std::uint8_t type = byte();
        const std::size_t size = length();
        if (!ok_ || size > rest_.size() || (type & 0x1f) == 0x1f) {
            fail();
            return {};
        }
        const byte_view contents = rest_.first(size);
        rest_ = rest_.subspan(size);
        return {static_cast<tag>(type), contents, start.first(start.size() - rest_.size())};
    }

    element whole(tag type) noexcept
    {
        if (!next_is(type))
            fail();
        return any();
    }

    byte_view read(tag type) noexcept { return whole(type).contents; }

    // The contents of an optional field, or nothing when another field stands in its place.
    byte_view read_if(tag type) noexcept { return next_is(type) ? read(type) : byte_view{}; }

    [[nodiscard]] bool next_is(tag type) const noexcept { return !rest_.empty() && rest_[0] == type; }
    [[nodiscard]] bool ok() const noexcept { return ok_; }
    [[nodiscard]] bool empty() const noexcept { return rest_.empty(); }
    [[nodiscard]] bool complete() const noexcept { return ok_ && rest_.empty(); }

    void fail() noexcept
    {
        ok_ = false;
        rest_ = {};
    }

private:
    std::uint8_t byte() noexcept
    {
        if (rest_.empty()) {
            fail();
            return 0;
        }
        const std::uint8_t first = rest_[0];
        rest_ = rest_.subspan(1);
        return first;
    }

    // At most 2^24 - 1: nothing that alos reads is longer.
    std::size_t length() noexcept
    {
        const std::uint8_t first = byte();
        if (first < 0x80)
            return first;
        const std::size_t digits = first & 0x7fu;
        if (digits == 0 || digits > 3)
            fail();
        std::size_t size = 0;
        for (std::size_t i = 0; i < digits; ++i)
            size = size << 8 | byte();
        return size;
    }

    byte_view rest_;
    bool ok_ = true;
};

// Appends values to Bytes, a byte_vector or one that is wiped, which it does not own.
template <class Bytes>
class writer {
public:
    explicit writer(Bytes& out) noexcept : out_(out) {}

    void raw(byte_view whole) { out_.insert(out_.end(), whole.begin(), whole.end()); }

    void value(tag type, byte_view contents)
    {
        nested(type, [&] { raw(contents); });
    }

    void small_integer(std::uint8_t number) // at most 127
    {
        value(integer, {&number, 1});
    }

    void truth() { value(boolean, std::array<std::uint8_t, 1>{0xff}); }

    // What `contents` writes, behind its tag and length.
    template <class Contents>
    void nested(tag type, Contents contents)
    {
        const std::size_t start = out_.size();
        contents();
        const std::size_t size = out_.size() - start;
        std::array<std::uint8_t, 5> header{type};
        std::size_t used = 1;
        if (size < 0x80) {
            header[used++] = static_cast<std::uint8_t>(size);
        } else {
            const std::size_t digits = size < 0x100 ? 1 : size < 0x10000 ? 2 : 3;
            header[used++] = static_cast<std::uint8_t>(0x80 | digits);
            for (std::size_t i = digits; i-- > 0;)
                header[used++] = static_cast<std::uint8_t>(size >> (8 * i));
        }
        const auto at = out_.begin() + static_cast<typename Bytes::difference_type>(start);
        out_.insert(at, header.begin(), header.begin() + static_cast<std::ptrdiff_t>(used));
    }

    // A BIT STRING of whole bytes.
    void bits(byte_view contents)
    {
        nested(bit_string, [&] {
            out_.push_back(0);
            raw(contents);
        });
    }

private:
    Bytes& out_;
};

}

#endif
