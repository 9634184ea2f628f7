// Threads for private key operations that would hold up the connections of a thread (RSA).
#ifndef ALOS_SERVER_SIGNING_POOL_HPP
#define ALOS_SERVER_SIGNING_POOL_HPP

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

namespace alos::inline v0 {

// Starts its threads when first asked to run something; ends them, after what they have begun, when it goes.
class signing_pool {
public:
    explicit signing_pool(std::size_t threads) noexcept : threads_(threads) {}

    // From any thread.
    void run(std::function<void()> work)
    {
        std::call_once(started_, [this] { pool_.emplace(threads_); });
        boost::asio::post(*pool_, std::move(work));
    }

private:
    const std::size_t threads_;
    std::once_flag started_;
    std::optional<boost::asio::thread_pool> pool_;
};

}

#endif
