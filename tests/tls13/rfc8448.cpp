// RFC 8448: the recorded handshakes of sections 3, 5 and 7 through the engine, byte for byte in both directions, and
// what section 6 (client certificates) has of transcript, key schedule and records.
#include "support/rfc8448_server.hpp"

#include <doctest/doctest.h>

namespace alos_tests {
namespace {

// Does one step, with `piece` bytes coming at once, and it goes as recorded.
void replay(recorded_connection& connection, const step& next, std::size_t piece)
{
    connection.take(next, piece);
    CHECK(to_hex(connection.sent) == to_hex(next.sent));
    CHECK(to_hex(connection.plaintext) == to_hex(next.plaintext));
}

void replay(const rfc8448::trace& trace, std::size_t piece)
{
    recorded_connection connection(trace);
    for (const step& next : script_of(trace))
        replay(connection, next, piece);
    CHECK(connection.engine.error() == alert::close_notify);
    CHECK(connection.engine.is_connected());
}

// The same script, and in each step in turn the client's bytes end in the middle.
void play_truncated(const rfc8448::trace& trace)
{
    const std::vector<step> script = script_of(trace);
    for (std::size_t last = 0; last < script.size(); ++last) {
        if (script[last].action != step::feed)
            continue;
        for (std::size_t size = 0; size < script[last].given.size(); ++size) {
            recorded_connection connection(trace);
            for (std::size_t i = 0; i < last; ++i)
                connection.take(script[i], all_at_once);
            step cut = script[last];
            cut.given.resize(size);
            connection.take(cut, all_at_once);
            connection.engine.end_of_input();
            CHECK(connection.engine.plaintext().empty());
            REQUIRE(connection.engine.error() == alos::errc::truncated);
            REQUIRE(connection.plaintext.empty());
        }
    }
}

// The same script, and in each step in turn the last byte that the client sends is another.
void play_damaged(const rfc8448::trace& trace)
{
    const std::vector<step> script = script_of(trace);
    for (std::size_t damaged = 0; damaged < script.size(); ++damaged) {
        if (script[damaged].action != step::feed)
            continue;
        recorded_connection connection(trace);
        for (std::size_t i = 0; i < script.size(); ++i) {
            step next = script[i];
            if (i == damaged)
                next.given.back() ^= 1;
            connection.take(next, all_at_once);
        }
        CHECK(connection.engine.error().failed());
        CHECK(connection.engine.error() != alert::close_notify);
    }
}

}

TEST_CASE("RFC 8448 3: simple 1-RTT handshake")
{
    replay(rfc8448::simple_1rtt, all_at_once);
    replay(rfc8448::simple_1rtt, 1);
}

TEST_CASE("RFC 8448 5: HelloRetryRequest")
{
    replay(rfc8448::hello_retry_request, all_at_once);
    replay(rfc8448::hello_retry_request, 1);
}

TEST_CASE("RFC 8448 7: compatibility mode")
{
    replay(rfc8448::compatibility_mode, all_at_once);
    replay(rfc8448::compatibility_mode, 1);
}

TEST_CASE("RFC 8448 3, 5, 7: cut short at any byte, a trace is truncated")
{
    play_truncated(rfc8448::simple_1rtt);
    play_truncated(rfc8448::hello_retry_request);
    play_truncated(rfc8448::compatibility_mode);
}

TEST_CASE("RFC 8448 3, 5, 7: damaged in any step, a trace goes on no further")
{
    play_damaged(rfc8448::simple_1rtt);
    play_damaged(rfc8448::hello_retry_request);
    play_damaged(rfc8448::compatibility_mode);
}

TEST_CASE("RFC 8448 6: client authentication: transcript, key schedule and records")
{
    const rfc8448::trace& trace = rfc8448::client_authentication;
    constexpr auto suite = cipher_suite::aes_128_gcm_sha256;
    const byte_vector hello_record = from_hex(trace.client_hello_record);
    const byte_vector server_hello_record = from_hex(trace.server_hello_record);
    transcript<recorded_crypto> messages;
    messages.add(byte_view(hello_record).subspan(record_header_size));
    messages.start(hash_of(suite));
    messages.add(byte_view(server_hello_record).subspan(record_header_size));

    const auto hello = client_hello::decode(byte_view(hello_record).subspan(record_header_size + 4));
    REQUIRE(hello.has_value());
    const auto agreed = recorded_crypto{{}, from_hex(trace.server_random_pool)}.agree(
        named_group::x25519, *hello->key_share.find(named_group::x25519));
    hkdf<recorded_crypto> kdf(hash_of(suite));
    auto handshake = early_secret<recorded_crypto>(kdf).with_shared_secret(agreed->shared_secret.view());
    auto handshake_secrets = handshake.handshake_traffic(messages.current().view());

    byte_vector flight(record_header_size);
    for (const std::string_view message : {trace.encrypted_extensions, trace.certificate_request, trace.certificate}) {
        const byte_vector bytes = from_hex(message);
        messages.add(bytes);
        flight.insert(flight.end(), bytes.begin(), bytes.end());
    }
    CHECK(to_hex(signed_content(messages.current().view())) == trace.server_signed_content);
    const byte_vector certificate_verify = from_hex(trace.certificate_verify);
    CHECK(to_hex(encode_certificate_verify(signature_scheme::ecdsa_secp256r1_sha256, from_hex(trace.server_signature)))
          == to_hex(without_header(certificate_verify)));
    messages.add(certificate_verify);
    const byte_vector server_finished = from_hex(trace.server_finished);
    CHECK(to_hex(kdf.verify_data(handshake_secrets.server.view(), messages.current().view()).view()) ==
          to_hex(without_header(server_finished)));
    messages.add(server_finished);
    const digest to_server_finished = messages.current();
    auto application_secrets = std::move(handshake).into_master_secret().application_traffic(to_server_finished.view());

    for (const byte_vector& message : {certificate_verify, server_finished})
        flight.insert(flight.end(), message.begin(), message.end());
    flight.push_back(static_cast<std::uint8_t>(content_type::handshake));
    flight.resize(flight.size() + aead_tag_size);
    protection<recorded_crypto>(kdf, suite, std::move(handshake_secrets.server), true).seal(flight);
    CHECK(to_hex(flight) == trace.server_flight_records);

    // Certificate, CertificateVerify and Finished of the client, in one record.
    byte_vector answer = from_hex(trace.client_finish_records);
    const hash_secret finished_key = kdf.derive_secret(handshake_secrets.client.view(), "finished", {});
    const auto opened =
        protection<recorded_crypto>(kdf, suite, std::move(handshake_secrets.client), false).open(answer);
    REQUIRE(opened.has_value());
    CHECK(opened->type == content_type::handshake);
    const byte_view before_finished = opened->content.first(opened->content.size() - 36);
    messages.add(before_finished);
    CHECK(to_hex(opened->content.last(32))
          == to_hex(kdf.extract(finished_key.view(), messages.current().view()).view()));

    byte_vector goodbye = from_hex(trace.client_close_notify_record);
    const auto closed =
        protection<recorded_crypto>(kdf, suite, std::move(application_secrets.client), false).open(goodbye);
    REQUIRE(closed.has_value());
    CHECK(closed->type == content_type::alert);
    CHECK(to_hex(closed->content) == "0100");
}

}
