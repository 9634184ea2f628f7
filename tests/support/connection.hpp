// A server engine and a test client, back to back in memory, and the ways in which that can end.
#ifndef ALOS_TESTS_SUPPORT_CONNECTION_HPP
#define ALOS_TESTS_SUPPORT_CONNECTION_HPP

#include "null_crypto.hpp"
#include "test_client.hpp"

#include <alos/tls13/engine.hpp>

#include <algorithm>
#include <limits>
#include <memory>
#include <ostream>

namespace alos_tests {

using tls13::errc; // not alos::errc

// Signs by mixing; slow keys wait for somebody to answer want::signature.
class fake_signing_key final : public cert::signing_key {
public:
    explicit fake_signing_key(std::vector<signature_scheme> schemes, bool immediate = true) :
        schemes_(std::move(schemes)), immediate_(immediate)
    {
    }

    [[nodiscard]] std::span<const signature_scheme> schemes() const noexcept override { return schemes_; }
    [[nodiscard]] bool immediate() const noexcept override { return immediate_; }
    [[nodiscard]] result<byte_vector> sign(signature_scheme scheme, byte_view content) const override
    {
        mixer state(static_cast<std::uint64_t>(scheme));
        state.bytes(content);
        byte_vector signature(64);
        state.fill(signature);
        return signature;
    }

private:
    std::vector<signature_scheme> schemes_;
    bool immediate_;
};

// A credential whose certificates nobody can read: `name` is all that they say.
[[nodiscard]] inline cert::credential_ptr fake_credential(std::string_view name,
                                                          std::shared_ptr<const cert::signing_key> key,
                                                          std::vector<signature_scheme> chain_schemes = {})
{
    auto made = std::make_shared<cert::credential>();
    made->chain = {copy_of(as_bytes(name)), copy_of(as_bytes("its issuer"))};
    made->chain_schemes = std::move(chain_schemes);
    made->key = std::move(key);
    made->certificate_message = encode_certificate(made->chain);
    return made;
}

[[nodiscard]] inline cert::credential_ptr fake_credential(std::string_view name, signature_scheme scheme)
{
    return fake_credential(name, std::make_shared<fake_signing_key>(std::vector{scheme}));
}

// Holds the certificates of a config.
class test_store : public cert::store {
public:
    explicit test_store(std::vector<cert::entry> entries)
    {
        publish(std::make_shared<const cert::snapshot>(std::move(entries)));
    }
};

// One P-256 certificate for alos.test.
[[nodiscard]] inline const cert::store& ecdsa_store()
{
    static const test_store store(
        {{"alos.test", {fake_credential("alos.test", signature_scheme::ecdsa_secp256r1_sha256)}}});
    return store;
}

[[nodiscard]] inline server_config test_config()
{
    server_config config;
    config.certificates = &ecdsa_store();
    config.groups = {named_group::x25519, named_group::secp256r1, named_group::secp384r1};
    return config;
}

// How a connection ended, as both sides see it.
struct ending {
    error_code error;          // the server's
    std::optional<alert> sent; // what reached the client
    friend bool operator==(const ending&, const ending&) = default;
};

inline std::ostream& operator<<(std::ostream& out, const ending& what)
{
    out << (what.error ? what.error.message() : "no error");
    return out << " / " << (what.sent ? name_of(*what.sent) : "no alert");
}

[[nodiscard]] inline ending refused(tls13::errc error, alert sent) { return {error, sent}; }
[[nodiscard]] inline ending accepted() { return {}; }

inline constexpr std::size_t whole = std::numeric_limits<std::size_t>::max();

template <class Crypto, class Engine = server_engine_for<Crypto>>
class basic_connection {
public:
    // The server is given what the client sends in pieces of `piece` bytes.
    explicit basic_connection(server_config settings = test_config(), std::size_t piece = whole) :
        config(std::move(settings)), server(config), piece_(piece)
    {
    }

    const server_config config;
    Engine server;
    test_client<Crypto> client;
    byte_vector received; // by the server's application

    // To the server; its answer goes to the client.
    void feed(byte_view bytes)
    {
        while (!bytes.empty()) {
            const byte_view part = bytes.first(std::min(piece_, bytes.size()));
            const byte_span room = server.prepare(part.size());
            copy(part, room);
            server.commit(part.size());
            bytes = bytes.subspan(part.size());
            run();
        }
    }

    // Lets the server work on what it has.
    void run()
    {
        for (byte_view text = server.plaintext(); !text.empty(); text = server.plaintext()) {
            received.insert(received.end(), text.begin(), text.end());
            server.consume(text.size());
        }
        flush();
    }

    void flush()
    {
        while (server.has_output()) {
            const byte_view bytes = server.output();
            client.receive(bytes);
            server.consume_output(bytes.size());
        }
    }

    void write(std::string_view text)
    {
        demand(server.write(as_bytes(text)) == text.size(), "the server takes what is written");
        flush();
    }

    // From ClientHello to Finished, through a HelloRetryRequest if there is one.
    void handshake()
    {
        feed(client.client_hello());
        if (client.retried) {
            answer_retry();
            feed(client.client_hello());
        }
        feed(client.finished());
        demand(server.is_connected(), "the handshake is complete");
    }

    // RFC 8446 4.1.2: the changes that a HelloRetryRequest asks for.
    void answer_retry()
    {
        client.offer_shares({client.group});
        if (!client.retry_cookie.empty())
            client.hello.set(extension_type::cookie, cookie(client.retry_cookie));
        client.hello.remove(extension_type::early_data);
    }

    [[nodiscard]] ending end() const { return {server.error(), client.received_alert}; }

private:
    std::size_t piece_;
};

using connection = basic_connection<null_crypto>;

// Plays a script on two connections, one that gets its bytes whole and one that gets them one by one, and gives the
// ending that they have in common.
template <class Script>
[[nodiscard]] ending play(Script script, const server_config& config = test_config())
{
    connection at_once(config);
    script(at_once);
    connection in_pieces(config, 1);
    script(in_pieces);
    demand(at_once.end() == in_pieces.end(), "the pieces that bytes come in do not matter");
    demand(at_once.received == in_pieces.received, "the pieces that bytes come in do not matter");
    return at_once.end();
}

// The same behind a complete handshake.
template <class Script>
[[nodiscard]] ending play_connected(Script script, const server_config& config = test_config())
{
    return play(
        [&](connection& tls) {
            tls.handshake();
            script(tls);
        },
        config);
}

// What a server makes of a ClientHello, changed by `change(hello)`. If it likes it, the handshake is completed and data
// goes both ways.
template <class Change>
[[nodiscard]] ending answer_to_hello(Change change, const server_config& config = test_config())
{
    return play(
        [&](connection& tls) {
            change(tls.client.hello);
            tls.feed(tls.client.client_hello());
            if (tls.client.retried) {
                tls.answer_retry();
                tls.feed(tls.client.client_hello());
            }
            if (!tls.client.complete)
                return;
            tls.feed(tls.client.finished());
            tls.feed(tls.client.application_data("ping"));
            demand(as_text(tls.received) == "ping", "the server reads");
            tls.write("pong");
            demand(as_text(tls.client.data) == "pong", "the server writes");
        },
        config);
}

// What it makes of a second ClientHello: the first one has no share, the second one all that was asked for, changed.
template <class Change>
[[nodiscard]] ending answer_to_second_hello(Change change, const server_config& config = test_config())
{
    return play(
        [&](connection& tls) {
            tls.client.offer_shares({});
            tls.feed(tls.client.client_hello());
            demand(tls.client.retried, "the server asks for a retry");
            tls.answer_retry();
            change(tls.client.hello);
            tls.feed(tls.client.client_hello());
            if (tls.client.complete)
                tls.feed(tls.client.finished());
        },
        config);
}

}

#endif
