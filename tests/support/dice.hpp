// Randomness that a seed repeats: what the world of a test does, and what its members draw.
#ifndef ALOS_TESTS_DICE_HPP
#define ALOS_TESTS_DICE_HPP

#include <alos/bytes.hpp>

#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace test {

// A xoshiro256** generator, its state spread from the seed by splitmix64.
class dice {
public:
    explicit dice(std::uint64_t seed) noexcept
    {
        for (std::uint64_t& word : state_) {
            seed += 0x9e3779b97f4a7c15u;
            std::uint64_t z = seed;
            z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
            z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
            word = z ^ (z >> 31);
        }
    }

    std::uint64_t next() noexcept
    {
        const std::uint64_t drawn = std::rotl(state_[1] * 5, 7) * 9;
        const std::uint64_t shifted = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = std::rotl(state_[3], 45);
        return drawn;
    }

    // In [0, 1).
    double unit() noexcept { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

    // In [0, bound); bound > 0.
    std::uint64_t below(std::uint64_t bound) noexcept { return next() % bound; }

    // Draws nothing when the answer is certain, so that what is switched off changes no run.
    bool chance(double probability) noexcept
    {
        return probability >= 1 || (probability > 0 && unit() < probability);
    }

    // In [least, most].
    template <class Duration>
    Duration between(Duration least, Duration most) noexcept
    {
        return least + Duration(static_cast<typename Duration::rep>(
                           below(static_cast<std::uint64_t>((most - least).count()) + 1)));
    }

    template <class T>
    void shuffle(std::vector<T>& list) noexcept
    {
        for (std::size_t left = list.size(); left > 1; --left)
            std::swap(list[left - 1], list[static_cast<std::size_t>(below(left))]);
    }

    void fill(alos::byte_span out) noexcept
    {
        for (std::size_t i = 0; i < out.size();) {
            std::uint64_t word = next();
            for (std::size_t used = 0; used < 8 && i < out.size(); ++used, word >>= 8)
                out[i++] = static_cast<std::uint8_t>(word);
        }
    }

    // Letters of base64url, six bits each.
    std::string token(std::size_t size)
    {
        constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        std::string text(size, '\0');
        for (char& each : text)
            each = letters[static_cast<std::size_t>(next() >> 58)];
        return text;
    }

private:
    std::uint64_t state_[4];
};

}

#endif
