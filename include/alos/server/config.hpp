// The settings of a server, each with a default that serves.
#ifndef ALOS_SERVER_CONFIG_HPP
#define ALOS_SERVER_CONFIG_HPP

#include <alos/acme/config.hpp>
#include <alos/cert/registry.hpp>
#include <alos/log.hpp>
#include <alos/policy.hpp>
#include <alos/tls13/config.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace alos::inline v0 {

template <class Policy>
struct basic_server_config {
    // Where HTTPS is spoken: "host:port", "[::1]:port", ":port" for every address, "unix:/path". Port 0 takes a free
    // one. Sockets from the service manager (LISTEN_FDS) take its place.
    std::string addr = ":8443";

    // Where plain HTTP is redirected to HTTPS and ACME challenges are answered; empty: nowhere.
    std::string http_addr{};

    // One certificate with its key, PEM; it answers to the names it contains.
    std::string tls_cert_file{};
    std::string tls_key_file{};

    // Certificates by name: domain, cert_file, key_file, passphrase.
    std::vector<cert::file_settings> certs{};

    // Who answers clients that ask for no name or an unknown one; empty: the first certificate.
    std::string default_domain{};

    // Where a self-signed certificate is kept when no other is given.
    cert::self_signed_files self_signed{};

    // Certificates by ACME: .acme = {.email = "admin@example.com", .domains = {"example.com", "www.example.com"}}.
    // Needs <alos/acme.hpp> in one .cpp of the program. Used when there are domains here or when one is added later.
    alos::acme::config acme{};

    // Threads that serve, each with its own listening socket; 0: one per core.
    unsigned threads = 0;

    // Threads that sign with keys too slow for those (RSA), started when first needed; 0: half as many as serve.
    unsigned signing_threads = 0;

    // The port that redirects name; 0: that of addr. For servers behind something that maps ports.
    std::uint16_t public_port = 0;

    typename Policy::deadlines deadlines{};
    typename Policy::limits limits{};

    // Suites, groups, preference, the size of handshake messages, padding. `certificates` is set by the server, and
    // `alpn` too if it is empty.
    tls13::server_config tls{};

    log_settings log{};
};

using server_config = basic_server_config<default_policy>;

}

#endif
