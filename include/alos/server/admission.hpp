// How many connections are let in: in total, and from one address.
#ifndef ALOS_SERVER_ADMISSION_HPP
#define ALOS_SERVER_ADMISSION_HPP

#include <alos/server/address.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>

namespace alos::inline v0 {

// Who a connection is counted for: an IPv4 address or an IPv6 network of 64 bits, which is what one customer has.
// All zero for a Unix socket, which is counted in total only.
using client_key = std::array<std::uint8_t, 8>;

inline client_key client_key_of(const boost::asio::ip::address& address)
{
    client_key key{};
    if (address.is_v4()) {
        const auto bytes = address.to_v4().to_bytes();
        key[1] = 0xff; // no IPv6 network that is routed has 0x00ff in front
        std::copy(bytes.begin(), bytes.end(), key.begin() + 4);
    } else {
        const auto bytes = address.to_v6().to_bytes();
        std::copy(bytes.begin(), bytes.begin() + 8, key.begin());
        key[0] |= address.is_loopback() ? 1 : 0; // ::1 is not the network of ::
    }
    return key;
}

// Shared by all threads of a server, and asked when a connection comes and goes only.
class admission {
public:
    // Zero is no limit.
    admission(std::size_t total, std::size_t per_address) noexcept : total_(total), per_address_(per_address) {}

    // Whether one more may come; if so, it has been counted. Only memory exhaustion throws, and counts nothing.
    [[nodiscard]] bool enter(const client_key& client)
    {
        if (open_.fetch_add(1, std::memory_order_relaxed) >= total_ && total_ != 0) {
            open_.fetch_sub(1, std::memory_order_relaxed);
            return false;
        }
        if (per_address_ == 0 || client == client_key{})
            return true;
        try {
            const std::lock_guard lock(mutex_);
            std::size_t& count = clients_[client];
            if (count < per_address_) {
                ++count;
                return true;
            }
        } catch (...) {
            open_.fetch_sub(1, std::memory_order_relaxed);
            throw;
        }
        open_.fetch_sub(1, std::memory_order_relaxed);
        return false;
    }

    void leave(const client_key& client) noexcept
    {
        open_.fetch_sub(1, std::memory_order_relaxed);
        if (per_address_ == 0 || client == client_key{})
            return;
        const std::lock_guard lock(mutex_);
        const auto found = clients_.find(client);
        if (found != clients_.end() && --found->second == 0)
            clients_.erase(found);
    }

    [[nodiscard]] std::size_t open() const noexcept { return open_.load(std::memory_order_relaxed); }

private:
    struct hash {
        std::size_t operator()(const client_key& key) const noexcept
        {
            std::uint64_t bits = 0;
            for (const std::uint8_t byte : key)
                bits = bits << 8 | byte;
            return static_cast<std::size_t>((bits ^ bits >> 29) * 0x9e3779b97f4a7c15u);
        }
    };

    const std::size_t total_;
    const std::size_t per_address_;
    std::atomic<std::size_t> open_ = 0;
    std::mutex mutex_;
    std::unordered_map<client_key, std::size_t, hash> clients_;
};

}

#endif
