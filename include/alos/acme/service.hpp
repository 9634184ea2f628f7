// What a server and its certificate manager know of each other. The manager (acme/manager.hpp) is only compiled into
// programs that include <alos/acme.hpp>; a server finds it through here.
#ifndef ALOS_ACME_SERVICE_HPP
#define ALOS_ACME_SERVICE_HPP

#include <alos/acme/answers.hpp>
#include <alos/acme/config.hpp>
#include <alos/acme/event.hpp>
#include <alos/cert/registry.hpp>
#include <alos/log.hpp>

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace alos::inline v0::acme {

// One configured certificate and where it stands. Times that are not known are zero.
struct certificate_status {
    std::string id; // as in the storage: "example.com.ecdsa-p256"
    std::vector<std::string> names;
    std::string key_type;
    std::string issuer; // empty while there is none
    std::chrono::system_clock::time_point not_before{};
    std::chrono::system_clock::time_point not_after{};
    std::chrono::system_clock::time_point next_attempt{}; // when this was asked for, if it is due
    unsigned failures = 0; // in a row
    std::string last_error;
    std::string ca; // the directory it is from, or will be asked for it next
    std::string profile;
    std::uint64_t generation = 0;
};

// What the manager is given. All of it outlives the service.
struct host {
    cert::registry& certificates;
    answers& http01;
    // Writes to the server's log; from any thread.
    std::function<void(log_level, std::string_view event, std::initializer_list<log_field> fields)> log;
};

// All members may be called from any thread, before and after start().
class service {
public:
    virtual ~service() = default;

    // Adds these settings: their domains to the others, the rest in place of what was there. Serves what the storage
    // has; the network comes later. Fails with the first thing that cannot be meant; the rest counts all the same.
    [[nodiscard]] virtual outcome<> configure(config settings) = 0;

    [[nodiscard]] virtual outcome<> add_domain(certificate_names names) = 0;

    // Its certificates are no longer served nor renewed; the storage keeps them.
    [[nodiscard]] virtual outcome<> remove_domain(std::string_view domain) = 0;

    // Begins to work, on a thread of its own.
    [[nodiscard]] virtual outcome<> start() = 0;

    // Cancels what is under way, keeps what is needed to go on with it, and takes the answers to challenges away.
    // Returns when that is done, after 5 seconds at most; from an event's handler at once.
    virtual void stop() noexcept = 0;

    // From an event's handler, too. After stop(), and while it waits: as they were when it was called.
    [[nodiscard]] virtual std::vector<certificate_status> certificates() const = 0;

    // A new certificate with a new key now, whatever the time; done when it is served or when the attempt failed.
    // `told` is called on the manager's thread with every step. May be awaited on any executor.
    [[nodiscard]] virtual boost::asio::awaitable<outcome<>>
    force_renew(std::string domain, std::function<void(const event&)> told = {}) = 0;

    // The certificate for that name, ordered if there is none. Those who ask for one at the same time share an order.
    [[nodiscard]] virtual boost::asio::awaitable<outcome<cert::credential_ptr>> obtain(std::string name) = 0;

    // Revokes the current certificate for a reason of RFC 5280 5.3.1 (0, 1, 4, 5), and replaces it with a new key.
    [[nodiscard]] virtual boost::asio::awaitable<outcome<>> revoke(std::string domain, unsigned reason = 0) = 0;

    // Called with every event, on the manager's thread; set it before start().
    std::function<void(const event&)> on_event;
};

// Makes the manager; set by <alos/acme.hpp> where a program includes it.
using maker = std::unique_ptr<service> (*)(host);
inline std::atomic<maker> make_service{nullptr};

// The certificates of a configuration that no manager was given yet; set with the other.
using lister = std::vector<certificate_status> (*)(const config&);
inline std::atomic<lister> list_configured{nullptr};

// Any of them as JSON; set with the others.
using list_writer = std::string (*)(const std::vector<certificate_status>&);
inline std::atomic<list_writer> write_list{nullptr};

}

#endif
