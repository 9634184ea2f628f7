// What is told of the node that other challenges are asked of: that it does not answer, and that it does again, without
// a line for every request.
#ifndef ALOS_SERVER_NODE_HEALTH_HPP
#define ALOS_SERVER_NODE_HEALTH_HPP

#include <chrono>
#include <mutex>
#include <optional>
#include <utility>

namespace alos::inline v0 {

// All members may be called from any thread.
class node_health {
public:
    using time_point = std::chrono::steady_clock::time_point;

    // Whether that is to be told: when it begins, once an hour as long as it lasts, and no sooner than a minute after
    // it was told before.
    [[nodiscard]] bool fails(time_point now)
    {
        const std::lock_guard lock(mutex_);
        const auto pause = is_told_ ? long_pause : short_pause;
        if (told_ && now - *told_ < pause)
            return false;
        told_ = now;
        is_told_ = true;
        return true;
    }

    // Whether that is to be told: after a failure that was.
    [[nodiscard]] bool works()
    {
        const std::lock_guard lock(mutex_);
        return std::exchange(is_told_, false);
    }

private:
    static constexpr std::chrono::seconds short_pause = std::chrono::minutes(1);
    static constexpr std::chrono::seconds long_pause = std::chrono::hours(1);

    std::mutex mutex_;
    std::optional<time_point> told_; // of a failure, at last
    bool is_told_ = false;           // and not yet that it works
};

}

#endif
