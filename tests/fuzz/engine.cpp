// The whole engine. A client that knows its keys does what the input says, before, during and after a handshake, and
// looks whether the server keeps to RFC 8446.
// Input: one byte of flags, then steps; a step is a kind, and bytes behind their length in two bytes.
#include "support/connection.hpp"

namespace {

using namespace alos_tests;

enum flag : std::uint8_t {
    ask_retry = 1, early_data = 2, hello_from_input = 4, no_finished = 8, fallback = 16, padding = 32
};

server_config config_for(std::uint8_t flags)
{
    server_config config = test_config();
    config.records_per_key = 5;
    config.alpn = {"h2"};
    config.max_fragment = 1000;
    config.hand_over_older_versions = (flags & fallback) != 0;
    config.pad_to_multiple_of = flags & padding ? 64 : 0;
    return config;
}

// A message of the input's own as ClientHello: nobody could go on from here, so that only the server's records count.
void feed_hello(connection& tls, byte_view body)
{
    const byte_vector message = handshake_message(handshake_type::client_hello, body);
    for (byte_view rest = message; !rest.empty();) {
        const byte_view part = rest.first(std::min<std::size_t>(rest.size(), 1000));
        const byte_vector record = tls.client.record(content_type::handshake, part);
        copy(record, tls.server.prepare(record.size()));
        tls.server.commit(record.size());
        static_cast<void>(tls.server.plaintext());
        rest = rest.subspan(part.size());
    }
    while (tls.server.has_output())
        tls.server.consume_output(tls.server.output().size());
    static_cast<void>(tls.server.received());
}

void do_step(connection& tls, std::uint8_t kind, byte_view bytes)
{
    const bool has_keys = tls.client.complete;
    const auto type = static_cast<content_type>(20 + (kind >> 4) % 5);
    switch (kind % 16) {
    case 0: return tls.feed(bytes);
    case 1: return tls.feed(tls.client.record(type, bytes));
    case 2:
    case 3:
        if (has_keys)
            tls.feed(tls.client.sealed(type, bytes.first(std::min(bytes.size(), max_plaintext_size)), kind >> 4));
        return;
    case 4:
        if (has_keys)
            tls.feed(tls.client.sealed_inner(bytes));
        return;
    case 5:
        if (tls.server.is_connected())
            tls.feed(tls.client.key_update(static_cast<key_update_request>(kind >> 4 & 1)));
        return;
    case 6: return tls.server.end_of_input();
    case 7: static_cast<void>(tls.server.write(bytes)); return;
    case 8: tls.server.update_keys(static_cast<key_update_request>(kind >> 4 & 1)); return;
    case 9: return tls.server.release();
    case 10: return tls.server.close();
    case 11: return tls.server.pause();
    case 12: static_cast<void>(tls.server.discard_input()); return;
    case 13: return tls.run();
    default:
        if (has_keys)
            tls.feed(tls.client.application_data(as_text(bytes.first(std::min<std::size_t>(bytes.size(), 100)))));
    }
}

void start(connection& tls, std::uint8_t flags)
{
    if (flags & ask_retry)
        tls.client.offer_shares({});
    if (flags & early_data) {
        tls.client.hello.set(extension_type::early_data, {});
        tls.client.hello.set(extension_type::pre_shared_key, offered_psks(1, 1));
    }
    tls.feed(tls.client.client_hello());
    if (tls.client.retried) {
        tls.answer_retry();
        tls.feed(tls.client.client_hello());
    }
    if (!(flags & no_finished))
        tls.feed(tls.client.finished());
}

}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    reader in({data, size});
    const std::uint8_t flags = in.u8();
    connection tls(config_for(flags));
    if (flags & hello_from_input)
        feed_hello(tls, in.rest());
    else
        start(tls, flags);
    while (!(flags & hello_from_input) && in.ok() && !in.empty()) {
        const std::uint8_t kind = in.u8();
        do_step(tls, kind, in.vector16());
    }
    tls.server.end_of_input();
    if (!(flags & hello_from_input))
        tls.run();
    return 0;
}
