// A limit on how often something may be done: so many at once, then one more every so often.
#ifndef ALOS_ACME_TOKEN_BUCKET_HPP
#define ALOS_ACME_TOKEN_BUCKET_HPP

#include <alos/acme/rfc3339.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace alos::inline v0::acme {

// Kept as one time, the one at which the bucket is full again: store full_at(), and give it to the next one.
class token_bucket {
public:
    // `burst` 0, or a `refill` of nothing, is no limit. A burst above 10,000 is taken as that, a refill above 3 days
    // too: they fill within the range of the clock.
    token_bucket(unsigned burst, std::chrono::seconds refill, time_point full_at = {}) noexcept
        : burst_(std::min(burst, largest_burst)), refill_(std::clamp(refill, std::chrono::seconds(0), longest_refill)),
          full_at_(std::chrono::floor<std::chrono::milliseconds>(full_at))
    {
    }

    // Nothing: one was taken. Otherwise when one will be there, if nobody is faster.
    [[nodiscard]] std::optional<time_point> take(time_point now) noexcept
    {
        const auto later = next(now);
        if (!later && burst_ != 0 && refill_ != refill_.zero())
            full_at_ += refill_;
        return later;
    }

    // One that was taken was not needed.
    void give_back() noexcept
    {
        if (burst_ != 0 && refill_ != refill_.zero())
            full_at_ -= refill_;
    }

    // When one will be there; nothing: now.
    [[nodiscard]] std::optional<time_point> next(time_point now) noexcept
    {
        if (burst_ == 0 || refill_ == refill_.zero())
            return std::nullopt;
        const instant here = std::chrono::floor<std::chrono::milliseconds>(now);
        // Note: after the clock jumped back, or with a smaller burst than before, the bucket would seem emptier than
        // it can be; it is empty then.
        const instant full = std::clamp(full_at_, here, here + refill_ * burst_);
        full_at_ = full;
        const instant free_at = full - refill_ * (burst_ - 1);
        return free_at > here ? std::optional<time_point>(free_at) : std::nullopt;
    }

    [[nodiscard]] time_point full_at() const noexcept { return full_at_; }

private:
    using instant = std::chrono::sys_time<std::chrono::milliseconds>;
    static constexpr unsigned largest_burst = 10'000;
    static constexpr std::chrono::seconds longest_refill = std::chrono::days(3);

    std::int64_t burst_;
    std::chrono::milliseconds refill_;
    instant full_at_;
};

}

#endif
