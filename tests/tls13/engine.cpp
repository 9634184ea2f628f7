// The engine's own promises, beside those of RFC 8446 (see must_*.cpp).
#include <alos/tls13/engine.hpp>

#include "support/connection.hpp"

#include <doctest/doctest.h>

#include <malloc.h>

#include <algorithm>

namespace alos_tests {
namespace {

server_config config_with_fallback()
{
    server_config config = test_config();
    config.hand_over_older_versions = true;
    return config;
}

// A ClientHello of TLS 1.2, in records of at most `size` bytes.
byte_vector older_hello(std::size_t size)
{
    hello_message hello = test_client<null_crypto>().hello;
    hello.set(extension_type::supported_versions, versions({tls12_version}));
    const byte_vector message = hello.message();
    byte_vector bytes;
    for (byte_view rest = message; !rest.empty();) {
        const byte_view part = rest.first(std::min(size, rest.size()));
        bytes = joined({bytes, test_client<null_crypto>::record(content_type::handshake, part)});
        rest = rest.subspan(part.size());
    }
    return bytes;
}

// The contents of records behind each other.
byte_vector contents_of(byte_view records)
{
    byte_vector contents;
    while (!records.empty()) {
        const std::size_t size = record_header::decode(records).length;
        contents = joined({contents, records.subspan(record_header_size, size)});
        records = records.subspan(record_header_size + size);
    }
    return contents;
}

}

TEST_CASE("want::fallback: an older ClientHello is handed over as it came, however it was cut")
{
    for (const std::size_t size : {whole, std::size_t{1}, std::size_t{50}}) {
        const byte_vector hello = older_hello(size);
        for (const std::size_t piece : {whole, std::size_t{1}}) {
            connection tls(config_with_fallback(), piece);
            tls.feed(hello);
            REQUIRE(tls.server.wants() == want::fallback);
            tls.server.release();
            CHECK(contents_of(tls.server.received()) == contents_of(hello));
            CHECK_FALSE(tls.server.has_output());
        }
    }
}

TEST_CASE("want::fallback: what comes behind the older ClientHello is handed over too")
{
    connection tls(config_with_fallback());
    const byte_vector hello = older_hello(whole);
    const byte_vector more = copy_of(as_bytes("\x16\x03\x03\x00\x05 and so on"));
    tls.feed(joined({hello, more}));
    REQUIRE(tls.server.wants() == want::fallback);
    CHECK(contents_of(byte_view(tls.server.received()).first(hello.size())) == contents_of(hello));
    CHECK(equal(byte_view(tls.server.received()).subspan(hello.size()), more));
}

TEST_CASE("want::fallback: without a fallback an older ClientHello is protocol_version")
{
    CHECK(play([](connection& tls) { tls.feed(older_hello(whole)); }) ==
          refused(errc::tls13_not_offered, alert::protocol_version));
}

TEST_CASE("negotiated() says what was agreed on")
{
    server_config config = test_config();
    config.alpn = {"h2"};
    connection tls(config);
    tls.client.hello.set(extension_type::application_layer_protocol_negotiation, protocols({"h2"}));
    tls.handshake();
    const negotiated& agreed = tls.server.negotiated();
    CHECK(agreed.suite == cipher_suite::aes_128_gcm_sha256);
    CHECK(agreed.group == named_group::x25519);
    CHECK(agreed.scheme == signature_scheme::ecdsa_secp256r1_sha256);
    CHECK_FALSE(agreed.hello_retry);
    CHECK(agreed.server_name == "alos.test");
    CHECK(agreed.alpn == "h2");
}

TEST_CASE("without a server_name the local address chooses the certificate")
{
    const test_store store({{"alos.test", {fake_credential("by name", signature_scheme::ecdsa_secp256r1_sha256)}},
                            {"192.0.2.7", {fake_credential("by address", signature_scheme::ecdsa_secp256r1_sha256)}}});
    server_config config = test_config();
    config.certificates = &store;
    for (const std::uint8_t last : {7, 8}) {
        connection tls(config);
        tls.server.set_local_address(byte_vector{192, 0, 2, last});
        tls.client.hello.remove(extension_type::server_name);
        tls.handshake();
        const std::string_view certificate = last == 7 ? "by address" : "by name";
        CHECK(as_text(byte_view(tls.client.message(handshake_type::certificate)->body).subspan(7))
                  .starts_with(certificate));
    }
}

TEST_CASE("the snapshot of certificates that a handshake began with serves it to its end")
{
    const auto slow = std::make_shared<fake_signing_key>(std::vector{signature_scheme::ecdsa_secp256r1_sha256}, false);
    test_store store({{"alos.test", {fake_credential("old", slow)}}});
    server_config config = test_config();
    config.certificates = &store;
    connection tls(config);
    tls.feed(tls.client.client_hello());
    store.publish(std::make_shared<const cert::snapshot>(
        std::vector<cert::entry>{{"alos.test", {fake_credential("new", signature_scheme::ed25519)}}}));
    const auto& request = tls.server.signature_request();
    tls.server.answer(request.key->sign(request.scheme, request.content));
    tls.run();
    tls.feed(tls.client.finished());
    CHECK(tls.server.is_connected());
}

TEST_CASE("the flight from ServerHello to Finished is one output, in two records")
{
    connection tls;
    const byte_vector hello = tls.client.client_hello();
    copy(hello, tls.server.prepare(hello.size()));
    tls.server.commit(hello.size());
    CHECK(tls.server.plaintext().empty());
    tls.client.receive(tls.server.output());
    CHECK(tls.client.complete);
    CHECK(tls.client.records.size() == 2);
}

TEST_CASE("output neither moves nor changes until all of it is consumed")
{
    connection tls;
    tls.handshake();
    REQUIRE(tls.server.write(as_bytes("first")) == 5);
    const byte_view shown = tls.server.output();
    const byte_vector before = copy_of(shown);
    REQUIRE(tls.server.write(byte_vector(100000, 'x')) == 100000);
    tls.server.update_keys(key_update_request::update_requested);
    for (int i = 0; i < 3; ++i) {
        const byte_vector request = tls.client.key_update(key_update_request::update_requested);
        copy(request, tls.server.prepare(request.size()));
        tls.server.commit(request.size());
        CHECK(tls.server.plaintext().empty());
    }
    tls.server.release();
    tls.server.pause();
    tls.server.close();
    const byte_view still = tls.server.output();
    CHECK(still.data() == shown.data());
    CHECK(equal(still, before));
    tls.client.receive(still.first(3));
    tls.server.consume_output(3);
    CHECK(tls.server.output().data() == shown.data() + 3);
    tls.client.receive(tls.server.output());
    tls.server.consume_output(before.size() - 3);
    tls.flush();
    CHECK(tls.client.data.size() == 100005);
    CHECK(tls.client.key_updates == 4);
    CHECK(tls.client.received_alert == alert::close_notify);
}

TEST_CASE("write takes a bounded amount, and more once some of it is sent")
{
    connection tls;
    tls.handshake();
    const byte_vector much(1024 * 1024, 'x');
    std::size_t written = tls.server.write(much);
    CHECK(written < much.size());
    CHECK(tls.server.write(much) == 0);
    while (written < much.size()) {
        tls.flush();
        const std::size_t more = tls.server.write(byte_view(much).subspan(written));
        REQUIRE(more != 0);
        written += more;
    }
    tls.flush();
    CHECK(tls.client.data == much);
}

TEST_CASE("records are small for the first 16 KiB after a pause, and full from then on")
{
    connection tls;
    tls.handshake();
    for (int round = 0; round < 2; ++round) {
        tls.client.records.clear();
        tls.write(std::string(100 * 1024, 'x'));
        std::size_t before = 0;
        for (const seen_record& record : tls.client.records) {
            if (before < 16 * 1024)
                CHECK(record.content <= 1300);
            else if (before + record.content < 100 * 1024)
                CHECK(record.content == max_plaintext_size);
            before += record.content;
        }
        tls.server.pause();
    }
}

TEST_CASE("small writes that are sent together share a record")
{
    connection tls;
    tls.handshake();
    tls.client.records.clear();
    for (int i = 0; i < 100; ++i)
        REQUIRE(tls.server.write(as_bytes("0123456789")) == 10);
    tls.flush();
    CHECK(tls.client.records.size() == 1);
    CHECK(tls.client.data.size() == 1000);
}

TEST_CASE("release gives buffers back, and the connection goes on")
{
    connection tls;
    tls.handshake();
    for (int i = 0; i < 3; ++i) {
        tls.server.release();
        tls.feed(tls.client.application_data("ping"));
        tls.server.release();
        tls.write("pong");
    }
    CHECK(as_text(tls.received) == "pingpingping");
    CHECK(as_text(tls.client.data) == "pongpongpong");
}

TEST_CASE("release gives back the memory of a long ClientHello")
{
    connection tls;
    tls.client.hello.set(extension_type::padding, byte_vector(12'000));
    tls.handshake();
    const std::size_t before = ::mallinfo2().uordblks;
    tls.server.release();
    if (before != 0) // the heap is not a sanitizer's
        CHECK(before - ::mallinfo2().uordblks > 12'000);
}

TEST_CASE("release keeps what is not yet read, and what is not yet whole")
{
    connection tls;
    tls.handshake();
    const byte_vector bytes = joined({tls.client.application_data("first"), tls.client.application_data("second")});
    copy(bytes, tls.server.prepare(bytes.size()));
    tls.server.commit(bytes.size() - 1);
    REQUIRE(as_text(tls.server.plaintext()) == "first");
    tls.server.release();
    CHECK(as_text(tls.server.plaintext()) == "first");
    tls.server.consume(5);
    CHECK(tls.server.plaintext().empty());
    tls.server.release();
    tls.feed(byte_view(bytes).last(1));
    CHECK(as_text(tls.received) == "second");
}

TEST_CASE("prepare offers room for the rest of the record that has begun")
{
    connection tls;
    tls.handshake();
    const byte_vector record = tls.client.application_data(std::string(16000, 'x'));
    tls.feed(byte_view(record).first(record_header_size));
    CHECK(tls.server.prepare(1).size() >= record.size() - record_header_size);
}

TEST_CASE("plaintext is consumed in any portions")
{
    connection tls;
    tls.handshake();
    const byte_vector record = tls.client.application_data("abcdef");
    copy(record, tls.server.prepare(record.size()));
    tls.server.commit(record.size());
    CHECK(as_text(tls.server.plaintext()) == "abcdef");
    tls.server.consume(2);
    CHECK(as_text(tls.server.plaintext()) == "cdef");
    tls.server.consume(4);
    CHECK(tls.server.plaintext().empty());
}

}
