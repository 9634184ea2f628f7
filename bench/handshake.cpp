// Full handshakes and bulk data in memory: what the server's side costs (RFC 8446 2, 5).
#include "bench.hpp"
#include "peer.hpp"

#include <string>

using namespace alos_bench;

namespace {

void full_handshake(const char* what, key_kind kind)
{
    const server_side side(kind);
    report(what, best_watched(200, [&](stopwatch& watch) {
        client_side client;
        const byte_vector hello = client.client_hello();
        watch.start();
        server_engine server(side.config);
        feed(server, hello);
        if (server.wants() == want::signature) { // a slow key, which a stream would have sign elsewhere
            const auto& request = server.signature_request();
            server.answer(request.key->sign(request.scheme, request.content));
        }
        const byte_view flight = server.output();
        watch.stop();
        client.receive(flight);
        const byte_vector finished = client.finished();
        watch.start();
        server.consume_output(flight.size());
        feed(server, finished);
        server.release();
        watch.stop();
        if (!server.is_connected())
            std::exit(1);
    }));
}

void send(const char* what, std::uint16_t suite)
{
    const server_side side;
    pair_of_ends ends(side.config);
    ends.client.hello.cipher_suites = {suite};
    ends.handshake();
    const byte_vector data(256 * 1024, 0x5a);
    report_rate(what, best_of(400, [&] {
        for (std::size_t sent = 0; sent < data.size();) {
            sent += ends.server.write(byte_view(data).subspan(sent));
            ends.server.consume_output(ends.server.output().size());
        }
    }), data.size());
}

void receive(const char* what, std::uint16_t suite)
{
    const server_side side;
    pair_of_ends ends(side.config);
    ends.client.hello.cipher_suites = {suite};
    ends.handshake();
    const std::string data(16 * 1024, 'x');
    report_rate(what, best_watched(1000, [&](stopwatch& watch) {
        const byte_vector record = ends.client.application_data(data);
        const byte_span room = ends.server.prepare(record.size());
        copy(record, room);
        watch.start();
        ends.server.commit(record.size());
        const byte_view text = ends.server.plaintext();
        keep(text);
        ends.server.consume(text.size());
        watch.stop();
    }), data.size());
}

}

int main()
{
    full_handshake("full handshake, X25519, ECDSA P-256", key_kind::ecdsa_p256);
    full_handshake("full handshake, X25519, Ed25519", key_kind::ed25519);
    full_handshake("full handshake, X25519, RSA 2048", key_kind::rsa_2048);
    send("send, TLS_AES_128_GCM_SHA256", 0x1301);
    send("send, TLS_AES_256_GCM_SHA384", 0x1302);
    send("send, TLS_CHACHA20_POLY1305_SHA256", 0x1303);
    receive("receive, TLS_AES_128_GCM_SHA256", 0x1301);
    receive("receive, TLS_AES_256_GCM_SHA384", 0x1302);
    receive("receive, TLS_CHACHA20_POLY1305_SHA256", 0x1303);
}
