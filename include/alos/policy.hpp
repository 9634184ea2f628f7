// What a server is made of. Derive from default_policy and replace what you want to be otherwise:
//
//     struct my_policy : alos::default_policy { using log = my_log; };
//     alos::basic_server<my_policy> app({.addr = ":8443"});
#ifndef ALOS_POLICY_HPP
#define ALOS_POLICY_HPP

#include <alos/crypto/botan.hpp>
#include <alos/http/h1.hpp>
#include <alos/http/plain.hpp>
#include <alos/log.hpp>
#include <alos/server/watch.hpp>
#include <alos/tls13/stream.hpp>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include <chrono>
#include <cstddef>

namespace alos::inline v0 {

// How many and how much. Zero is no limit, but for h1.
struct limits {
    std::size_t connections = 10'000;            // at once
    std::size_t connections_per_address = 2'000; // at once, from an IPv4 address or an IPv6 /64
    std::uint32_t requests_per_connection = 0;
    http::h1_limits h1{};
};

// No older version than TLS 1.3 is spoken.
struct no_fallback {};

struct default_policy {
    // A crypto_provider.
    using crypto = botan_crypto;

    // The socket of a connection, over the executor it runs on.
    template <class Executor>
    using socket = boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, Executor>;

    // TLS over that socket, and no TLS.
    template <class Crypto, class Socket>
    using tls_stream = tls13::stream<Socket, tls13::server_engine_for<Crypto>>;
    template <class Socket>
    using plain_stream = tls13::stream<Socket, http::plain_engine>;

    // Who takes over the clients that do not offer TLS 1.3.
    using fallback = no_fallback;

    // Measures deadlines.
    using clock = std::chrono::steady_clock;

    // See logger for what it has to have.
    using log = logger;

    // Their default values are the server's.
    using limits = alos::limits;
    using deadlines = alos::deadlines;
};

}

#endif
