// The other end of a benchmark: a client in memory with real cryptography, and a server with a real certificate.
#ifndef ALOS_BENCH_PEER_HPP
#define ALOS_BENCH_PEER_HPP

#include <support/test_client.hpp>

#include <alos/cert/self_signed.hpp>
#include <alos/tls13/engine.hpp>

#include <cstdio>
#include <cstdlib>
#include <memory>

namespace alos_bench {

using namespace alos;
using namespace alos::tls13;

// The client's half of the key agreements that the benchmarks use.
struct peer_crypto : botan_crypto {
    class client_key {
    public:
        explicit client_key(named_group group) : group_(group), x25519_(Botan::system_rng())
        {
            if (group != named_group::x25519)
                std::abort();
            share_ = x25519_.public_value();
        }

        [[nodiscard]] byte_view share() const noexcept { return share_; }

        [[nodiscard]] secret<max_shared_secret_size> agree(byte_view server_share) const
        {
            const Botan::PK_Key_Agreement agreement(x25519_, Botan::system_rng(), "Raw");
            const auto bits = agreement.derive_key(0, server_share.data(), server_share.size()).bits_of();
            secret<max_shared_secret_size> shared(bits.size());
            copy(bits, shared.bytes());
            return shared;
        }

    private:
        named_group group_;
        Botan::X25519_PrivateKey x25519_;
        byte_vector share_;
    };
};

// A server with a self-signed certificate for "localhost".
struct server_side {
    cert::store certificates;
    server_config config;

    explicit server_side(key_kind kind = key_kind::ecdsa_p256)
    {
        const auto now = std::chrono::system_clock::now();
        const auto made = cert::make_self_signed({"localhost"}, now, kind);
        const auto credential = cert::make_credential(made.value(), {});
        certificates.publish(std::make_shared<const cert::snapshot>(
            std::vector<cert::entry>{{"localhost", {credential.value()}}}));
        config.certificates = &certificates;
    }
};

using client_side = alos_tests::test_client<peer_crypto>;

inline void feed(server_engine& server, byte_view bytes)
{
    copy(bytes, server.prepare(bytes.size()));
    server.commit(bytes.size());
    static_cast<void>(server.plaintext());
}

// Both ends of one connection.
struct pair_of_ends {
    explicit pair_of_ends(const server_config& config) : server(config) {}

    server_engine server;
    client_side client;

    void to_client()
    {
        while (server.has_output()) {
            const byte_view bytes = server.output();
            client.receive(bytes);
            server.consume_output(bytes.size());
        }
    }

    void handshake()
    {
        feed(server, client.client_hello());
        to_client();
        feed(server, client.finished());
        if (!server.is_connected()) {
            std::fprintf(stderr, "the handshake failed: %s\n", server.error().message().c_str());
            std::exit(1);
        }
    }
};

}

#endif
