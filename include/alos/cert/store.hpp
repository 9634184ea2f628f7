// Where handshakes find the current certificates: one atomic pointer to a snapshot.
#ifndef ALOS_CERT_STORE_HPP
#define ALOS_CERT_STORE_HPP

#include <alos/cert/snapshot.hpp>

#include <atomic>
#include <cassert>
#include <memory>
#include <utility>

namespace alos::inline v0::cert {

// Load once a handshake and keep what you get until it ends: what is published meanwhile serves the next one. Both
// members may be called from any thread.
class store {
public:
    // Never null.
    [[nodiscard]] std::shared_ptr<const snapshot> load() const noexcept
    {
        return current_.load(std::memory_order_acquire);
    }

    // `next` must not be null.
    void publish(std::shared_ptr<const snapshot> next) noexcept
    {
        assert(next);
        current_.store(std::move(next), std::memory_order_release);
    }

private:
    std::atomic<std::shared_ptr<const snapshot>> current_{std::make_shared<const snapshot>()};
};

}

#endif
