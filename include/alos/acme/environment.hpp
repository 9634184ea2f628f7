// The world as acme/ sees it. Nothing else there knows a clock, a timer, a network, a file or a source of randomness,
// so that years of a certificate's life can be lived through in a test.
#ifndef ALOS_ACME_ENVIRONMENT_HPP
#define ALOS_ACME_ENVIRONMENT_HPP

#include <alos/bytes.hpp>
#include <alos/dns/message.hpp>
#include <alos/error.hpp>
#include <alos/http/outbound.hpp>
#include <alos/os/file_system.hpp>

#include <boost/asio/awaitable.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace alos::inline v0::acme {

template <class T = void>
using awaitable = boost::asio::awaitable<T>;

using time_point = std::chrono::system_clock::time_point;

// A TLS handshake that is made only to see the certificate; it is not verified.
struct tls_probe {
    std::string address; // of the server, an IP address
    std::uint16_t port = 443;
    std::string server_name;
    std::string alpn; // the one protocol that is offered
};

// Ends a sleep early. It outlives the sleep.
class alarm {
public:
    void ring()
    {
        if (on_ring)
            on_ring();
    }

    std::function<void()> on_ring; // the environment's, for the length of a sleep
};

// All members are called on one thread. What they return is awaited there. They end by being cancelled, then with an
// exception of code boost::asio::error::operation_aborted, as Asio's own do.
class environment {
public:
    virtual ~environment() = default;

    [[nodiscard]] virtual time_point now() = 0;
    virtual void random(byte_span out) = 0;

    // Returns when now() is `when` or later, however the clock jumps meanwhile; when it is set back, as soon as so much
    // time has passed as that was away.
    [[nodiscard]] awaitable<> sleep_until(time_point when) { return sleep(when, nullptr); }

    // The same, or as soon as `early` rings; null: nothing rings. One sleep at a time has it. That one ends also within
    // a minute of the clock's being set back by more than a minute, as all that was planned by it is to be looked at.
    [[nodiscard]] virtual awaitable<> sleep(time_point until, alarm* early) = 0;

    [[nodiscard]] virtual awaitable<outcome<http::outbound_response>> fetch(http::outbound_request request) = 0;
    [[nodiscard]] virtual awaitable<outcome<dns::answer>> resolve(std::string name, dns::record_type type) = 0;

    // The leaf in DER that a server shows (RFC 8737 3).
    [[nodiscard]] virtual awaitable<outcome<byte_vector>> probe(tls_probe what) = 0;

    // The addresses of this machine, for people; as many as are known.
    [[nodiscard]] virtual std::vector<std::string> local_addresses() { return {}; }

    [[nodiscard]] virtual os::file_system& files() = 0;
};

// Empty when the answer counts, also that there is no such name.
[[nodiscard]] inline std::string dns_failure(const outcome<dns::answer>& answer)
{
    if (!answer)
        return answer.error().what;
    const bool counts = answer->code == dns::response_code::no_error || answer->code == dns::response_code::name_error;
    return counts ? "" : "the name server failed with code " + std::to_string(static_cast<int>(answer->code));
}

// From [0, 1).
[[nodiscard]] inline double random_part(environment& from)
{
    std::array<std::uint8_t, 8> bytes{};
    from.random(bytes);
    std::uint64_t number = 0;
    for (const std::uint8_t each : bytes)
        number = number << 8 | each;
    return static_cast<double>(number >> 11) * 0x1p-53;
}

}

#endif
