// Full handshakes and bulk data in memory: what the server's side costs (RFC 8446 2, 5).
#include "bench.hpp"
#include "peer.hpp"

#include <optional>
#include <string>

using namespace alos_bench;

namespace {

void full_handshake(const cases& all, const char* name, key_kind kind)
{
    if (!all.wants(name))
        return;
    const server_side side(kind);
    all.measure(name, {.runs = 200}, [&](stopwatch& watch) {
        client_side client;
        const byte_vector hello = client.client_hello();
        std::optional<server_engine> server;
        watch([&] {
            server.emplace(side.config);
            feed(*server, hello);
            if (server->wants() == want::signature) { // a slow key, which a stream would have sign elsewhere
                const auto& request = server->signature_request();
                server->answer(request.key->sign(request.scheme, request.content));
            }
            keep(server->output());
        });
        client.receive(server->output());
        const byte_vector finished = client.finished();
        watch([&] {
            server->consume_output(server->output().size());
            feed(*server, finished);
            server->release();
        });
        if (!server->is_connected())
            std::exit(1);
    });
}

void send(const cases& all, const char* name, std::uint16_t suite)
{
    if (!all.wants(name))
        return;
    const server_side side;
    pair_of_ends ends(side.config);
    ends.client.hello.cipher_suites = {suite};
    ends.handshake();
    const byte_vector data(256 * 1024, 0x5a);
    all.measure(name, {.runs = 400, .bytes = data.size()}, [&] {
        for (std::size_t sent = 0; sent < data.size();) {
            sent += ends.server.write(byte_view(data).subspan(sent));
            ends.server.consume_output(ends.server.output().size());
        }
    });
}

void receive(const cases& all, const char* name, std::uint16_t suite)
{
    if (!all.wants(name))
        return;
    const server_side side;
    pair_of_ends ends(side.config);
    ends.client.hello.cipher_suites = {suite};
    ends.handshake();
    const std::string data(16 * 1024, 'x');
    constexpr std::size_t batch = 16; // records that come at once, so that the clock does not count
    all.measure(name, {.runs = 60, .units = batch, .bytes = data.size()}, [&](stopwatch& watch) {
        byte_vector records;
        for (std::size_t i = 0; i < batch; ++i) {
            const byte_vector record = ends.client.application_data(data);
            records.insert(records.end(), record.begin(), record.end());
        }
        copy(records, ends.server.prepare(records.size()));
        std::size_t size = 0;
        watch([&] {
            ends.server.commit(records.size());
            while (const std::size_t got = ends.server.plaintext().size()) {
                ends.server.consume(got);
                size += got;
            }
        });
        if (size != batch * data.size())
            std::exit(1);
    });
}

}

int main(int argc, char** argv)
{
    const cases all(argc, argv);
    full_handshake(all, "full handshake, X25519, ECDSA P-256", key_kind::ecdsa_p256);
    full_handshake(all, "full handshake, X25519, Ed25519", key_kind::ed25519);
    full_handshake(all, "full handshake, X25519, RSA 2048", key_kind::rsa_2048);
    send(all, "send, TLS_AES_128_GCM_SHA256", 0x1301);
    send(all, "send, TLS_AES_256_GCM_SHA384", 0x1302);
    send(all, "send, TLS_CHACHA20_POLY1305_SHA256", 0x1303);
    receive(all, "receive, TLS_AES_128_GCM_SHA256", 0x1301);
    receive(all, "receive, TLS_AES_256_GCM_SHA384", 0x1302);
    receive(all, "receive, TLS_CHACHA20_POLY1305_SHA256", 0x1303);
}
