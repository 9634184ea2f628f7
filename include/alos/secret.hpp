// Key material: wiped when it goes, moved and never copied, compared in constant time only.
#ifndef ALOS_SECRET_HPP
#define ALOS_SECRET_HPP

#include <alos/bytes.hpp>

#include <array>
#include <cassert>
#include <cstring>

namespace alos::inline v0 {

// Overwrites `bytes` so that no optimiser can leave the stores out.
inline void wipe(byte_span bytes) noexcept
{
    if (bytes.empty())
        return;
    std::memset(bytes.data(), 0, bytes.size());
    __asm__ __volatile__("" : : "r"(bytes.data()) : "memory");
}

// Takes time that depends on the sizes only.
[[nodiscard]] inline bool equal_in_constant_time(byte_view a, byte_view b) noexcept
{
    if (a.size() != b.size())
        return false;
    std::uint8_t difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        difference |= a[i] ^ b[i];
    __asm__ __volatile__("" : "+r"(difference));
    return difference == 0;
}

// Up to Capacity secret bytes. There is no == and no <<, on purpose.
template <std::size_t Capacity>
class secret {
public:
    secret() noexcept = default;

    // `size` zero bytes, to be filled through `bytes()`; size <= Capacity.
    explicit secret(std::size_t size) noexcept : size_(size) { assert(size <= Capacity); }

    secret(secret&& other) noexcept : size_(other.size_)
    {
        copy(other.view(), bytes());
        other.clear();
    }

    secret& operator=(secret&& other) noexcept
    {
        if (this != &other) {
            clear();
            size_ = other.size_;
            copy(other.view(), bytes());
            other.clear();
        }
        return *this;
    }

    ~secret() { clear(); }

    [[nodiscard]] byte_view view() const noexcept { return {bytes_.data(), size_}; }
    [[nodiscard]] byte_span bytes() noexcept { return {bytes_.data(), size_}; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

    void clear() noexcept
    {
        wipe(bytes_);
        size_ = 0;
    }

private:
    std::array<std::uint8_t, Capacity> bytes_{};
    std::size_t size_ = 0;
};

}

#endif
