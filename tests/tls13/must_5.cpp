// What RFC 8446 5 (record protocol) and D.4 (middlebox compatibility) demand of a server, and what a client may not do
// there.
#include "support/connection.hpp"

#include <doctest/doctest.h>

namespace alos_tests {
namespace {

using client = test_client<null_crypto>;

// A ClientHello message of exactly `size` bytes.
byte_vector hello_of_size(client& who, std::size_t size)
{
    who.hello.set(extension_type::padding, {});
    const std::size_t without = who.hello.message().size();
    who.hello.set(extension_type::padding, byte_vector(size - without));
    return who.hello.message();
}

// `message` in handshake records of at most `size` bytes.
byte_vector in_records(byte_view message, std::size_t size)
{
    byte_vector bytes;
    while (!message.empty()) {
        const byte_view part = message.first(std::min(size, message.size()));
        bytes = joined({bytes, client::record(content_type::handshake, part)});
        message = message.subspan(part.size());
    }
    return bytes;
}

// Sends the ClientHello in records of at most `size` bytes, and completes the handshake.
ending hello_in_records(std::size_t size, std::size_t hello_size)
{
    return play([&](connection& tls) {
        const byte_vector message = hello_of_size(tls.client, hello_size);
        tls.client.add_to_transcript(message);
        tls.feed(in_records(message, size));
        if (tls.client.complete)
            tls.feed(tls.client.finished());
    });
}

// What a server that waits for the Finished makes of these bytes.
template <class Make>
ending before_finished(Make make)
{
    return play([&](connection& tls) {
        tls.feed(tls.client.client_hello());
        tls.feed(make(tls.client));
    });
}

// What a connected server makes of them.
template <class Make>
ending when_connected(Make make)
{
    return play_connected([&](connection& tls) { tls.feed(make(tls.client)); });
}

// A record header without its record.
byte_vector header_only(content_type type, std::size_t length) { return copy_of(encode_record_header(type, length)); }

server_config config_padding_to(std::size_t multiple)
{
    server_config config = test_config();
    config.pad_to_multiple_of = multiple;
    return config;
}

server_config config_with_records_per_key(std::uint64_t records)
{
    server_config config = test_config();
    config.records_per_key = records;
    return config;
}

}

// --- 5: change_cipher_spec ---

TEST_CASE("RFC 8446 5: change_cipher_spec before the Finished is dropped")
{
    CHECK(before_finished([](client& who) { return joined({who.change_cipher_spec(), who.finished()}); }) ==
          accepted());
}

TEST_CASE("RFC 8446 5: change_cipher_spec between two ClientHellos is dropped")
{
    CHECK(play([](connection& tls) {
              tls.client.offer_shares({});
              tls.feed(tls.client.client_hello());
              tls.feed(tls.client.change_cipher_spec());
              tls.answer_retry();
              tls.feed(tls.client.client_hello());
              tls.feed(tls.client.finished());
          }) == accepted());
}

TEST_CASE("RFC 8446 5: change_cipher_spec of another value is unexpected_message")
{
    for (int value = 0; value < 256; ++value) {
        if (value == 1)
            continue;
        const auto code = static_cast<std::uint8_t>(value);
        CHECK(before_finished([&](client& who) { return who.record(content_type::change_cipher_spec, {&code, 1}); }) ==
              refused(errc::bad_change_cipher_spec, alert::unexpected_message));
    }
}

TEST_CASE("RFC 8446 5: change_cipher_spec of another length is unexpected_message")
{
    for (const byte_vector& content : {byte_vector{}, byte_vector{1, 1}, byte_vector(100, 1)})
        CHECK(before_finished([&](client& who) { return who.record(content_type::change_cipher_spec, content); }) ==
              refused(errc::bad_change_cipher_spec, alert::unexpected_message));
}

TEST_CASE("RFC 8446 5: a protected change_cipher_spec is unexpected_message")
{
    CHECK(before_finished([](client& who) { return who.sealed(content_type::change_cipher_spec, as_bytes("\1")); }) ==
          refused(errc::unexpected_change_cipher_spec, alert::unexpected_message));
}

TEST_CASE("RFC 8446 5: change_cipher_spec before the ClientHello is unexpected_message")
{
    CHECK(play([](connection& tls) { tls.feed(tls.client.change_cipher_spec()); }) ==
          refused(errc::unexpected_change_cipher_spec, alert::unexpected_message));
}

TEST_CASE("RFC 8446 5: change_cipher_spec after the Finished is unexpected_message")
{
    CHECK(when_connected([](client& who) { return who.change_cipher_spec(); }) ==
          refused(errc::unexpected_change_cipher_spec, alert::unexpected_message));
}

TEST_CASE("RFC 8446 5: change_cipher_spec without end is unexpected_message")
{
    CHECK(play([](connection& tls) {
              tls.feed(tls.client.client_hello());
              for (int i = 0; i < 40 && !tls.server.error(); ++i)
                  tls.feed(tls.client.change_cipher_spec());
          }) == refused(errc::too_many_change_cipher_specs, alert::unexpected_message));
}

TEST_CASE("RFC 8446 5: change_cipher_spec within a fragmented message is unexpected_message")
{
    CHECK(before_finished([](client& who) {
              const byte_vector message = who.finished_message();
              return joined({who.sealed(content_type::handshake, byte_view(message).first(20)),
                             who.change_cipher_spec()});
          }) == refused(errc::interleaved_handshake, alert::unexpected_message));
}

// --- 5: content types ---

TEST_CASE("RFC 8446 5: a record of an unknown type is unexpected_message")
{
    for (int type = 0; type < 256; ++type) {
        if (type >= 20 && type <= 23)
            continue;
        CHECK(before_finished([&](client& who) { return who.record(content_type(type), byte_vector(3)); }) ==
              refused(errc::unknown_content_type, alert::unexpected_message));
    }
}

TEST_CASE("RFC 8446 5: a protected record of an unknown type is unexpected_message")
{
    for (int type = 1; type < 256; ++type) {
        if (type >= 20 && type <= 23)
            continue;
        CHECK(when_connected([&](client& who) { return who.sealed(content_type(type), byte_vector(3, 1)); }) ==
              refused(errc::unknown_content_type, alert::unexpected_message));
    }
}

TEST_CASE("RFC 8446 5: application data before any keys is unexpected_message")
{
    CHECK(play([](connection& tls) { tls.feed(tls.client.record(content_type::application_data, byte_vector(40))); }) ==
          refused(errc::unexpected_application_data, alert::unexpected_message));
}

TEST_CASE("RFC 8446 5: unprotected handshake data once connected is unexpected_message")
{
    CHECK(when_connected([](client& who) { return who.record(content_type::handshake, byte_vector(40)); }) ==
          refused(errc::unprotected_record, alert::unexpected_message));
}

// --- 5.1: fragments ---

TEST_CASE("RFC 8446 5.1: a ClientHello may be split between any two bytes")
{
    const byte_vector message = client().hello.message();
    for (std::size_t at = 1; at < message.size(); ++at) {
        CHECK(play([&](connection& tls) {
                  tls.client.add_to_transcript(message);
                  tls.feed(joined({tls.client.record(content_type::handshake, byte_view(message).first(at)),
                                   tls.client.record(content_type::handshake, byte_view(message).subspan(at))}));
                  tls.feed(tls.client.finished());
              }) == accepted());
    }
}

TEST_CASE("RFC 8446 5.1: a ClientHello may come in records of any size")
{
    for (const std::size_t size : {1, 2, 3, 4, 5, 7, 64, 100})
        CHECK(hello_in_records(size, 500) == accepted());
}

TEST_CASE("RFC 8446 5.1: a Finished may be split between any two bytes")
{
    for (std::size_t at = 1; at < 36; ++at) {
        CHECK(before_finished([&](client& who) {
                  const byte_vector message = who.finished_message();
                  return joined({who.sealed(content_type::handshake, byte_view(message).first(at)),
                                 who.sealed(content_type::handshake, byte_view(message).subspan(at))});
              }) == accepted());
    }
}

TEST_CASE("RFC 8446 5.1: a KeyUpdate may be split between any two bytes")
{
    for (std::size_t at = 1; at < 5; ++at) {
        CHECK(play_connected([&](connection& tls) {
                  const auto message = encode_key_update(key_update_request::update_not_requested);
                  tls.feed(tls.client.sealed(content_type::handshake, byte_view(message).first(at)));
                  tls.feed(tls.client.sealed(content_type::handshake, byte_view(message).subspan(at)));
                  tls.client.next_keys();
                  tls.feed(tls.client.application_data("new"));
                  CHECK(as_text(tls.received) == "new");
              }) == accepted());
    }
}

TEST_CASE("RFC 8446 5.1: another record within a ClientHello is unexpected_message")
{
    for (const auto type : {content_type::change_cipher_spec, content_type::alert}) {
        const byte_vector content = type == content_type::alert ? byte_vector{1, 0} : byte_vector{1};
        CHECK(play([&](connection& tls) {
                  const byte_vector message = tls.client.hello.message();
                  tls.feed(tls.client.record(content_type::handshake, byte_view(message).first(50)));
                  tls.feed(tls.client.record(type, content));
              }) == refused(errc::interleaved_handshake, alert::unexpected_message));
    }
}

TEST_CASE("RFC 8446 5.1: application data within a KeyUpdate is unexpected_message")
{
    CHECK(when_connected([](client& who) {
              const auto message = encode_key_update(key_update_request::update_not_requested);
              return joined({who.sealed(content_type::handshake, byte_view(message).first(2)),
                             who.application_data("in between")});
          }) == refused(errc::interleaved_handshake, alert::unexpected_message));
}

TEST_CASE("RFC 8446 5.1: an empty fragment of a handshake message is unexpected_message")
{
    CHECK(play([](connection& tls) { tls.feed(tls.client.record(content_type::handshake, {})); }) ==
          refused(errc::empty_handshake_record, alert::unexpected_message));
}

TEST_CASE("RFC 8446 5.1: an empty fragment within a message is unexpected_message")
{
    CHECK(play([](connection& tls) {
              tls.feed(tls.client.record(content_type::handshake, byte_view(tls.client.hello.message()).first(50)));
              tls.feed(tls.client.record(content_type::handshake, {}));
          }) == refused(errc::empty_handshake_record, alert::unexpected_message));
}

// --- 5.1: key changes ---

TEST_CASE("RFC 8446 5.1: bytes behind a ClientHello in its record are unexpected_message")
{
    CHECK(play([](connection& tls) {
              tls.feed(tls.client.record(content_type::handshake, joined({tls.client.hello.message(), {{20}}})));
          }) == refused(errc::keys_within_record, alert::unexpected_message));
}

TEST_CASE("RFC 8446 5.1: bytes behind the second ClientHello in its record are unexpected_message")
{
    CHECK(play([](connection& tls) {
              tls.client.offer_shares({});
              tls.feed(tls.client.client_hello());
              tls.answer_retry();
              tls.feed(tls.client.record(content_type::handshake, joined({tls.client.hello.message(), {{20}}})));
          }) == refused(errc::keys_within_record, alert::unexpected_message));
}

TEST_CASE("RFC 8446 5.1: bytes behind a Finished in its record are unexpected_message")
{
    CHECK(before_finished([](client& who) {
              return who.sealed(content_type::handshake,
                                joined({who.finished_message(),
                                        encode_key_update(key_update_request::update_not_requested)}));
          }) == refused(errc::keys_within_record, alert::unexpected_message));
}

TEST_CASE("RFC 8446 5.1: bytes behind a KeyUpdate in its record are unexpected_message (CVE-2026-32283)")
{
    CHECK(when_connected([](client& who) {
              const auto update = encode_key_update(key_update_request::update_requested);
              return who.sealed(content_type::handshake, joined({update, update}));
          }) == refused(errc::keys_within_record, alert::unexpected_message));
}

// --- 5.1: lengths ---

TEST_CASE("RFC 8446 5.1: a record of 2^14 bytes is accepted")
{
    CHECK(hello_in_records(max_plaintext_size, max_plaintext_size) == accepted());
}

TEST_CASE("RFC 8446 5.1: a record of more than 2^14 bytes is record_overflow, by its header alone")
{
    for (const std::size_t size : {max_plaintext_size + 1, max_ciphertext_size, std::size_t{0xffff}})
        CHECK(play([&](connection& tls) { tls.feed(header_only(content_type::handshake, size)); }) ==
              refused(errc::record_too_long, alert::record_overflow));
}

TEST_CASE("RFC 8446 5.1: a handshake message up to the limit of 64 KiB is accepted")
{
    CHECK(hello_in_records(max_plaintext_size, 64 * 1024) == accepted());
}

TEST_CASE("RFC 8446 4: a handshake message beyond the limit is illegal_parameter, by its header alone")
{
    CHECK(play([&](connection& tls) {
              const byte_vector header = written([&](writer& out) {
                  out.u8(1);
                  out.u24(static_cast<std::uint32_t>(tls.config.max_handshake_message - 4 + 1));
              });
              tls.feed(tls.client.record(content_type::handshake, header));
          }) == refused(errc::handshake_message_too_long, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4: the limit of a handshake message is a setting")
{
    server_config config = test_config();
    config.max_handshake_message = 100;
    CHECK(answer_to_hello([](hello_message&) {}, config) ==
          refused(errc::handshake_message_too_long, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 5.1: legacy_record_version does not matter")
{
    for (const int version : {0x0300, 0x0301, 0x0302, 0x0303, 0x0304, 0x03ff})
        CHECK(play([&](connection& tls) {
                  byte_vector bytes = tls.client.client_hello();
                  bytes[1] = static_cast<std::uint8_t>(version >> 8);
                  bytes[2] = static_cast<std::uint8_t>(version);
                  tls.feed(bytes);
                  tls.feed(tls.client.finished());
              }) == accepted());
}

TEST_CASE("RFC 8446 5.1: the server's records fit max_fragment, and its flight is read all the same")
{
    for (const std::size_t size : {1, 2, 50, 1000}) {
        server_config config = test_config();
        config.max_fragment = size;
        connection tls(config);
        tls.handshake();
        tls.write(std::string(3000, 'x'));
        CHECK(tls.client.data.size() == 3000);
        for (const seen_record& record : tls.client.records)
            CHECK(record.content <= size);
    }
}

// --- 5.2 ---

TEST_CASE("RFC 8446 5.2: a protected record of more than 2^14 + 256 bytes is record_overflow")
{
    for (const std::size_t size : {max_ciphertext_size + 1, std::size_t{0xffff}})
        CHECK(when_connected([&](client&) { return header_only(content_type::application_data, size); }) ==
              refused(errc::record_too_long, alert::record_overflow));
}

TEST_CASE("RFC 8446 5.2: a record of 2^14 + 256 bytes is read, and too long only if its plaintext is")
{
    CHECK(when_connected([](client& who) {
              return who.sealed_inner(byte_vector(max_ciphertext_size - aead_tag_size, 23));
          }) == refused(errc::plaintext_too_long, alert::record_overflow));
}

TEST_CASE("RFC 8446 5.2: 2^14 bytes of content are accepted, one more is record_overflow")
{
    const auto data_of = [](std::size_t size) {
        return [size](client& who) { return who.sealed(content_type::application_data, byte_vector(size, 'x')); };
    };
    CHECK(when_connected(data_of(max_plaintext_size)) == accepted());
    CHECK(when_connected(data_of(max_plaintext_size + 1)) == refused(errc::plaintext_too_long, alert::record_overflow));
}

TEST_CASE("RFC 8446 5.2: a record changed in any byte behind its header is bad_record_mac")
{
    for (std::size_t at = record_header_size; at < record_header_size + 4 + 1 + aead_tag_size; ++at)
        CHECK(when_connected([&](client& who) {
                  byte_vector bytes = who.application_data("data");
                  bytes[at] ^= 0x80;
                  return bytes;
              }) == refused(errc::bad_record_mac, alert::bad_record_mac));
}

TEST_CASE("RFC 8446 5.2: a record too short for a tag is bad_record_mac")
{
    for (std::size_t size = 0; size < aead_tag_size; ++size)
        CHECK(when_connected([&](client& who) {
                  return who.record(content_type::application_data, byte_vector(size));
              }) == refused(errc::bad_record_mac, alert::bad_record_mac));
}

TEST_CASE("RFC 8446 5.2: the header is part of what is authenticated")
{
    CHECK(when_connected([](client& who) {
              byte_vector bytes = who.application_data("data");
              bytes[2] ^= 1;
              return bytes;
          }) == refused(errc::bad_record_mac, alert::bad_record_mac));
}

TEST_CASE("RFC 8446 5.2: every suite protects both directions")
{
    for (const std::uint16_t suite : {0x1301, 0x1302, 0x1303})
        CHECK(answer_to_hello([&](hello_message& hello) { hello.cipher_suites = {suite}; }) == accepted());
}

// --- 5.3 ---

TEST_CASE("RFC 8446 5.3: sequence numbers have more than 16 bits, both ways")
{
    connection tls;
    tls.handshake();
    constexpr std::size_t records = 0x10000 + 10;
    for (std::size_t i = 0; i < records; ++i) {
        tls.feed(tls.client.application_data("x"));
        tls.write("y");
    }
    CHECK(tls.received.size() == records);
    CHECK(tls.client.data.size() == records);
}

TEST_CASE("RFC 8446 5.3: a record that comes twice is bad_record_mac")
{
    CHECK(when_connected([](client& who) {
              const byte_vector bytes = who.application_data("again");
              return joined({bytes, bytes});
          }) == refused(errc::bad_record_mac, alert::bad_record_mac));
}

TEST_CASE("RFC 8446 5.3: a record that is left out makes the next one bad_record_mac")
{
    CHECK(when_connected([](client& who) {
              static_cast<void>(who.application_data("lost"));
              return who.application_data("found");
          }) == refused(errc::bad_record_mac, alert::bad_record_mac));
}

TEST_CASE("RFC 8446 5.3: records that change places are bad_record_mac")
{
    CHECK(when_connected([](client& who) {
              const byte_vector first = who.application_data("first");
              return joined({who.application_data("second"), first});
          }) == refused(errc::bad_record_mac, alert::bad_record_mac));
}

// --- 5.4 ---

TEST_CASE("RFC 8446 5.4: padding of any length is taken off")
{
    for (const std::size_t padding : {std::size_t{1}, std::size_t{255}, max_plaintext_size - 4})
        CHECK(play_connected([&](connection& tls) {
                  tls.feed(tls.client.sealed(content_type::application_data, as_bytes("data"), padding));
                  CHECK(as_text(tls.received) == "data");
              }) == accepted());
}

TEST_CASE("RFC 8446 5.4: zeros at the end of the content are not padding")
{
    CHECK(play_connected([](connection& tls) {
              tls.feed(tls.client.sealed(content_type::application_data, byte_vector(9), 9));
              CHECK(tls.received == byte_vector(9));
          }) == accepted());
}

TEST_CASE("RFC 8446 5.4: content, type and padding of more than 2^14 + 1 bytes are record_overflow")
{
    CHECK(when_connected([](client& who) {
              return who.sealed(content_type::application_data, as_bytes("data"), max_plaintext_size - 3);
          }) == refused(errc::plaintext_too_long, alert::record_overflow));
}

TEST_CASE("RFC 8446 5.4: the Finished may be padded")
{
    CHECK(before_finished([](client& who) {
              return who.sealed(content_type::handshake, who.finished_message(), 1000);
          }) == accepted());
}

TEST_CASE("RFC 8446 5.4: a record of zeros only is unexpected_message")
{
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{100}, max_plaintext_size + 1})
        CHECK(when_connected([&](client& who) { return who.sealed_inner(byte_vector(size)); }) ==
              refused(errc::no_content_type, alert::unexpected_message));
}

TEST_CASE("RFC 8446 5.4: empty application data is passed over")
{
    CHECK(play_connected([](connection& tls) {
              tls.feed(tls.client.application_data(""));
              tls.feed(tls.client.sealed(content_type::application_data, {}, 100));
              tls.feed(tls.client.application_data("data"));
              CHECK(as_text(tls.received) == "data");
          }) == accepted());
}

TEST_CASE("RFC 8446 5.4: empty application data without end is unexpected_message")
{
    connection tls;
    tls.handshake();
    for (int i = 0; i < 32; ++i)
        tls.feed(tls.client.application_data(""));
    CHECK(tls.end() == accepted());
    tls.feed(tls.client.application_data(""));
    CHECK(tls.end() == refused(errc::too_many_empty_records, alert::unexpected_message));
}

TEST_CASE("RFC 8446 5.4: an empty protected handshake record is unexpected_message, padded or not")
{
    for (const std::size_t padding : {0, 100})
        CHECK(when_connected([&](client& who) { return who.sealed(content_type::handshake, {}, padding); }) ==
              refused(errc::empty_handshake_record, alert::unexpected_message));
}

TEST_CASE("RFC 8446 5.4: an empty protected alert record is unexpected_message, padded or not")
{
    for (const std::size_t padding : {0, 100})
        CHECK(when_connected([&](client& who) { return who.sealed(content_type::alert, {}, padding); }) ==
              refused(errc::empty_alert_record, alert::unexpected_message));
}

TEST_CASE("RFC 8446 5.4: the server pads as it is told")
{
    connection tls(config_padding_to(256));
    tls.handshake();
    for (const std::size_t size : {1, 255, 256, 257})
        tls.write(std::string(size, 'x'));
    for (const seen_record& record : tls.client.records) {
        if (record.outer == content_type::application_data)
            CHECK((record.length - 1 - aead_tag_size) % 256 == 0);
    }
}

TEST_CASE("RFC 8446 5.4: padding never makes a record longer than allowed")
{
    connection tls(config_padding_to(10000));
    tls.handshake();
    tls.write(std::string(100 * 1024, 'x'));
    CHECK(tls.client.data.size() == 100 * 1024); // the client looks at lengths
}

// --- 5.5 ---

TEST_CASE("RFC 8446 5.5: the server updates its keys before their limit")
{
    connection tls(config_with_records_per_key(4));
    tls.handshake();
    for (int i = 0; i < 12; ++i)
        tls.write("x");
    CHECK(tls.client.data.size() == 12);
    CHECK(tls.client.key_updates == 3); // three records of data and a KeyUpdate under each key
    for (const key_update_request request : tls.client.requests)
        CHECK(request == key_update_request::update_not_requested);
}

TEST_CASE("RFC 8446 5.5: one long write updates its keys on its way")
{
    connection tls(config_with_records_per_key(4));
    tls.handshake();
    tls.write(std::string(200 * 1024, 'x'));
    CHECK(tls.client.data.size() == 200 * 1024);
    CHECK(tls.client.key_updates >= 5);
}

TEST_CASE("RFC 8446 5.5: a client that does not update its keys is asked to, once")
{
    connection tls(config_with_records_per_key(4));
    tls.handshake();
    for (int i = 0; i < 20; ++i)
        tls.feed(tls.client.application_data("x"));
    CHECK(tls.client.requests == std::vector{key_update_request::update_requested});
    tls.feed(tls.client.key_update(key_update_request::update_not_requested));
    for (int i = 0; i < 4; ++i)
        tls.feed(tls.client.application_data("x"));
    CHECK(tls.client.requests.size() == 2);
    CHECK(tls.received.size() == 24);
}

// --- D.4 ---

TEST_CASE("RFC 8446 D.4: a session id is answered by one change_cipher_spec behind the ServerHello")
{
    connection tls;
    tls.client.hello.session_id = byte_vector(32, 0x5e);
    tls.handshake();
    CHECK(tls.client.change_cipher_specs == 1);
    REQUIRE(tls.client.records.size() >= 2);
    CHECK(tls.client.records[0].outer == content_type::handshake);
    CHECK(tls.client.records[1].outer == content_type::change_cipher_spec);
}

TEST_CASE("RFC 8446 D.4: with a retry the one change_cipher_spec is behind the HelloRetryRequest")
{
    connection tls;
    tls.client.hello.session_id = byte_vector(32, 0x5e);
    tls.client.offer_shares({});
    tls.handshake();
    CHECK(tls.client.change_cipher_specs == 1);
    CHECK(tls.client.records[1].outer == content_type::change_cipher_spec);
}

TEST_CASE("RFC 8446 D.4: without a session id the server sends no change_cipher_spec")
{
    connection tls;
    tls.handshake();
    CHECK(tls.client.change_cipher_specs == 0);
}

TEST_CASE("RFC 8446 D.4: the client may send change_cipher_spec without a session id")
{
    CHECK(before_finished([](client& who) { return joined({who.change_cipher_spec(), who.finished()}); }) ==
          accepted());
}

// --- D.5 ---

TEST_CASE("RFC 8446 D.5: a legacy_version of SSL 3.0 is protocol_version")
{
    for (const std::uint16_t version : {0x0300, 0x0200, 0x0002, 0x0000})
        CHECK(answer_to_hello([&](hello_message& hello) { hello.legacy_version = version; }) ==
              refused(errc::legacy_version_ssl3, alert::protocol_version));
}

// --- 9.3 ---

TEST_CASE("RFC 8446 9.3, RFC 8701: GREASE in every field of a ClientHello is ignored")
{
    for (int nibble = 0; nibble < 16; ++nibble) {
        const auto grease = static_cast<std::uint16_t>((nibble << 4 | 0x0a) * 0x0101);
        CHECK(answer_to_hello([&](hello_message& hello) {
                  hello.cipher_suites.insert(hello.cipher_suites.begin(), grease);
                  hello.set(extension_type::supported_groups, list16<>({grease, 0x001d}));
                  hello.set(extension_type::signature_algorithms, list16<>({grease, 0x0403}));
                  hello.set(extension_type::supported_versions, versions({grease, tls13_version}));
                  hello.set(extension_type::psk_key_exchange_modes, {2, 0x0b, 1});
                  const byte_view key =
                      *key_share_entries(byte_view(hello.find(extension_type::key_share)->data).subspan(2))
                           .find(named_group::x25519);
                  hello.set(extension_type::key_share,
                            shares({{named_group{grease}, {0}}, {named_group::x25519, copy_of(key)}}));
                  hello.extensions.insert(hello.extensions.begin(), {extension_type{grease}, {}});
                  hello.set(extension_type(grease ^ 0x1010), {0});
              }) == accepted());
    }
}

}
