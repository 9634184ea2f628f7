// What RFC 8446 4.1 (key exchange messages) demands of a server, and what a client may not do there.
#include "support/connection.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace alos_tests {

// A server that sends a cookie. Note: in a unity build coroutines may have no type of an unnamed namespace in them.
struct cookie_core : server_core<null_crypto> {
    using server_core::server_core;
    static byte_vector cookie_sent() { return copy_of(as_bytes("oatmeal")); }
    byte_vector retry_cookie() const { return cookie_sent(); }
};

namespace {

server_config config_with(std::vector<named_group> groups)
{
    server_config config = test_config();
    config.groups = std::move(groups);
    return config;
}

// What negotiation came to; the hello is changed by `change`.
template <class Change>
negotiated agreed_on(Change change, const server_config& config = test_config())
{
    connection tls(config);
    change(tls.client.hello);
    tls.handshake();
    return tls.server.negotiated();
}

const byte_vector session_id(32, 0x5e);

// What the cookie server makes of a second ClientHello that carries `sent`.
ending answer_to_cookie(std::optional<byte_vector> sent)
{
    basic_connection<null_crypto, basic_server_engine<cookie_core>> tls;
    tls.client.offer_shares({});
    tls.feed(tls.client.client_hello());
    tls.answer_retry();
    if (sent)
        tls.client.hello.set(extension_type::cookie, cookie(*sent));
    else
        tls.client.hello.remove(extension_type::cookie);
    tls.feed(tls.client.client_hello());
    if (tls.client.complete)
        tls.feed(tls.client.finished());
    return tls.end();
}

}

// --- 4.1.1 ---

TEST_CASE("RFC 8446 4.1.1: no group in common is handshake_failure")
{
    CHECK(answer_to_hello([](hello_message& hello) {
              hello.set(extension_type::supported_groups, list16<>({0x0100, 0x0019}));
              hello.set(extension_type::key_share, shares({}));
          }) == refused(errc::no_common_group, alert::handshake_failure));
}

TEST_CASE("RFC 8446 4.1.1: no cipher suite in common is handshake_failure")
{
    CHECK(answer_to_hello([](hello_message& hello) { hello.cipher_suites = {0x1304, 0xc02b, 0x00ff}; }) ==
          refused(errc::no_common_suite, alert::handshake_failure));
}

TEST_CASE("RFC 8446 4.1.1: no signature scheme in common with the certificate is handshake_failure")
{
    CHECK(answer_to_hello([](hello_message& hello) {
              hello.set(extension_type::signature_algorithms, list16<>({0x0503, 0x0807}));
          }) == refused(errc::no_common_signature_scheme, alert::handshake_failure));
}

TEST_CASE("RFC 8446 4.1.1: a common group without a share is asked for by a HelloRetryRequest")
{
    connection tls;
    tls.client.offer_shares({});
    tls.handshake();
    CHECK(tls.client.retried);
    CHECK(tls.server.negotiated().hello_retry);
    CHECK(tls.server.negotiated().group == named_group::x25519);
}

TEST_CASE("RFC 8446 4.1.1: a group with a share goes before a preferred one without")
{
    connection tls(config_with({named_group::secp384r1, named_group::x25519}));
    tls.handshake();
    CHECK_FALSE(tls.client.retried);
    CHECK(tls.server.negotiated().group == named_group::x25519);
}

TEST_CASE("RFC 8446 4.1.1: a server that insists on its order asks for its first group")
{
    server_config config = config_with({named_group::secp384r1, named_group::x25519});
    config.prefer_server_groups = true;
    connection tls(config);
    tls.handshake();
    CHECK(tls.client.retried);
    CHECK(tls.server.negotiated().group == named_group::secp384r1);
}

TEST_CASE("RFC 8446 4.1.1: among groups with shares the server's order decides")
{
    connection tls(config_with({named_group::secp384r1, named_group::x25519}));
    tls.client.offer_shares({named_group::x25519, named_group::secp384r1});
    tls.handshake();
    CHECK(tls.server.negotiated().group == named_group::secp384r1);
}

TEST_CASE("RFC 8446 4.1.1: the hybrid group is asked for when the client supports it and sent no share")
{
    connection tls(config_with({named_group::x25519mlkem768, named_group::x25519}));
    tls.client.hello.set(extension_type::supported_groups,
                         list16<named_group>({named_group::x25519, named_group::x25519mlkem768}));
    tls.handshake();
    CHECK(tls.client.retried);
    CHECK(tls.server.negotiated().group == named_group::x25519mlkem768);
}

// --- 4.1.2 ---

TEST_CASE("RFC 8446 4.1.2: the first message is a ClientHello, any other is unexpected_message")
{
    for (int type = 0; type < 256; ++type) {
        if (type == static_cast<int>(handshake_type::client_hello))
            continue;
        connection tls;
        const byte_vector message = handshake_message(static_cast<handshake_type>(type), byte_vector(64));
        tls.feed(tls.client.record(content_type::handshake, message));
        CHECK(tls.end() == refused(errc::unexpected_handshake_message, alert::unexpected_message));
    }
}

TEST_CASE("RFC 8446 4.1.2: a ClientHello in place of the Finished is unexpected_message")
{
    CHECK(play([](connection& tls) {
              tls.feed(tls.client.client_hello());
              tls.feed(tls.client.sealed(content_type::handshake, tls.client.hello.message()));
          }) == refused(errc::unexpected_handshake_message, alert::unexpected_message));
}

TEST_CASE("RFC 8446 4.1.2: an unprotected ClientHello once keys are set is unexpected_message")
{
    CHECK(play([](connection& tls) {
              tls.feed(tls.client.client_hello());
              tls.feed(tls.client.record(content_type::handshake, tls.client.hello.message()));
          }) == refused(errc::unprotected_record, alert::unexpected_message));
}

TEST_CASE("RFC 8446 4.1.2: renegotiation is unexpected_message")
{
    CHECK(play_connected([](connection& tls) {
              tls.feed(tls.client.sealed(content_type::handshake, tls.client.hello.message()));
          }) == refused(errc::unexpected_handshake_message, alert::unexpected_message));
}

TEST_CASE("RFC 8446 4.1.2: legacy_version is not what negotiates")
{
    for (const std::uint16_t version : {0x0301, 0x0302, 0x0303, 0x0304, 0x0305, 0x7f1c, 0xffff})
        CHECK(answer_to_hello([&](hello_message& hello) { hello.legacy_version = version; }) == accepted());
}

TEST_CASE("RFC 8446 4.1.2: a legacy_session_id of up to 32 bytes is echoed")
{
    for (std::size_t size = 0; size <= max_session_id_size; ++size) {
        connection tls;
        tls.client.hello.session_id = byte_vector(size, 0x77);
        tls.handshake(); // the client compares
        CHECK(tls.client.session_id_echo.size() == size);
    }
}

TEST_CASE("RFC 8446 4.1.2: a legacy_session_id of more than 32 bytes is decode_error")
{
    for (std::size_t size = max_session_id_size + 1; size < 256; ++size)
        CHECK(answer_to_hello([&](hello_message& hello) { hello.session_id = byte_vector(size, 0x77); }) ==
              refused(errc::message_decode, alert::decode_error));
}

TEST_CASE("RFC 8446 4.1.2: cipher suites that the server does not know are ignored")
{
    const auto suite = agreed_on([](hello_message& hello) {
                           hello.cipher_suites = {0x0a0a, 0x00ff, 0xc02b, 0x1304, 0x1303, 0x1301, 0xfafa};
                       }).suite;
    CHECK(suite == cipher_suite::chacha20_poly1305_sha256);
}

TEST_CASE("RFC 8446 4.1.2: the client's order of suites decides, or the server's if it wants so")
{
    const auto change = [](hello_message& hello) { hello.cipher_suites = {0x1303, 0x1302, 0x1301}; };
    CHECK(agreed_on(change).suite == cipher_suite::chacha20_poly1305_sha256);
    server_config config = test_config();
    config.prefer_server_suites = true;
    CHECK(agreed_on(change, config).suite == cipher_suite::aes_128_gcm_sha256);
}

TEST_CASE("RFC 8446 4.1.2: an empty list of cipher suites is decode_error")
{
    CHECK(answer_to_hello([](hello_message& hello) { hello.cipher_suites.clear(); }) ==
          refused(errc::message_decode, alert::decode_error));
}

TEST_CASE("RFC 8446 4.1.2: half a cipher suite is decode_error")
{
    CHECK(play([](connection& tls) {
              byte_vector body = tls.client.hello.body();
              const std::size_t suites = 2 + random_size + 1;
              --body[suites + 1];
              body.erase(body.begin() + suites + 2);
              tls.feed(tls.client.record(content_type::handshake,
                                         handshake_message(handshake_type::client_hello, body)));
          }) == refused(errc::message_decode, alert::decode_error));
}

TEST_CASE("RFC 8446 4.1.2: a compression method but null is illegal_parameter")
{
    for (const byte_vector& methods : {byte_vector{1}, byte_vector{0, 1}, byte_vector{1, 0}, byte_vector{0, 0}})
        CHECK(answer_to_hello([&](hello_message& hello) { hello.compression_methods = methods; }) ==
              refused(errc::bad_compression, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.1.2: no compression method at all is decode_error")
{
    CHECK(answer_to_hello([](hello_message& hello) { hello.compression_methods.clear(); }) ==
          refused(errc::message_decode, alert::decode_error));
}

TEST_CASE("RFC 8446 4.1.2: unrecognized extensions are ignored")
{
    CHECK(answer_to_hello([](hello_message& hello) {
              hello.extensions.insert(hello.extensions.begin(), {extension_type{0x0a0a}, {}});
              hello.set(extension_type{0x1234}, byte_vector(1000, 0xff));
              hello.set(extension_type{0xffff}, {0});
          }) == accepted());
}

TEST_CASE("RFC 8446 4.1.2: extensions may come in any order")
{
    connection tls;
    std::ranges::sort(tls.client.hello.extensions, {}, &extension::type);
    do {
        CHECK(answer_to_hello([&](hello_message& hello) { hello.extensions = tls.client.hello.extensions; }) ==
              accepted());
    } while (std::ranges::next_permutation(tls.client.hello.extensions, {}, &extension::type).found &&
             tls.client.hello.extensions.front().type != extension_type::signature_algorithms);
}

TEST_CASE("RFC 8446 4.1.2: a ClientHello without extensions is none of TLS 1.3")
{
    CHECK(play([](connection& tls) {
              tls.client.hello.extensions.clear();
              byte_vector body = tls.client.hello.body();
              body.resize(body.size() - 2); // the length of nothing
              tls.feed(tls.client.record(content_type::handshake,
                                         handshake_message(handshake_type::client_hello, body)));
          }) == refused(errc::tls13_not_offered, alert::protocol_version));
}

TEST_CASE("RFC 8446 4.1.2: bytes behind the extensions are decode_error, whatever version is offered")
{
    for (const std::uint16_t version : {tls13_version, tls12_version})
        CHECK(play([&](connection& tls) {
                  tls.client.hello.set(extension_type::supported_versions, versions({version}));
                  byte_vector body = tls.client.hello.body();
                  body.push_back(0);
                  tls.feed(tls.client.record(content_type::handshake,
                                             handshake_message(handshake_type::client_hello, body)));
              }) == refused(errc::message_decode, alert::decode_error));
}

TEST_CASE("RFC 8446 4.1.2: a ClientHello cut short at any byte is decode_error")
{
    const byte_vector body = connection().client.hello.body();
    const std::size_t before_extensions = 2 + random_size + 1 + 2 + 6 + 2;
    for (std::size_t size = 0; size < body.size(); ++size) {
        if (size == before_extensions)
            continue; // a ClientHello of TLS 1.2
        connection tls;
        tls.feed(tls.client.record(content_type::handshake,
                                   handshake_message(handshake_type::client_hello, byte_view(body).first(size))));
        CHECK(tls.end() == refused(errc::message_decode, alert::decode_error));
    }
}

// --- 4.1.2: the second ClientHello ---

TEST_CASE("RFC 8446 4.1.2: the second ClientHello with nothing but the wanted share changed is accepted")
{
    CHECK(answer_to_second_hello([](hello_message&) {}) == accepted());
}

TEST_CASE("RFC 8446 4.1.2: padding may be added to the second ClientHello")
{
    CHECK(answer_to_second_hello([](hello_message& hello) { hello.set(extension_type::padding, byte_vector(100)); }) ==
          accepted());
}

TEST_CASE("RFC 8446 4.1.2: padding may be changed in and taken from the second ClientHello")
{
    for (const bool keep : {true, false})
        CHECK(play([&](connection& tls) {
                  tls.client.offer_shares({});
                  tls.client.hello.set(extension_type::padding, byte_vector(7));
                  tls.feed(tls.client.client_hello());
                  tls.answer_retry();
                  if (keep)
                      tls.client.hello.set(extension_type::padding, byte_vector(9));
                  else
                      tls.client.hello.remove(extension_type::padding);
                  tls.feed(tls.client.client_hello());
                  tls.feed(tls.client.finished());
              }) == accepted());
}

TEST_CASE("RFC 8446 4.1.2: early_data goes from the second ClientHello")
{
    CHECK(play([](connection& tls) {
              tls.client.offer_shares({});
              tls.client.hello.set(extension_type::early_data, {});
              tls.client.hello.set(extension_type::pre_shared_key, offered_psks(1, 1));
              tls.feed(tls.client.client_hello());
              tls.answer_retry();
              tls.feed(tls.client.client_hello());
              tls.feed(tls.client.finished());
          }) == accepted());
}

TEST_CASE("RFC 8446 4.1.2: pre_shared_key may be changed in the second ClientHello")
{
    CHECK(play([](connection& tls) {
              tls.client.offer_shares({});
              tls.client.hello.set(extension_type::pre_shared_key, offered_psks(2, 2));
              tls.feed(tls.client.client_hello());
              tls.answer_retry();
              tls.client.hello.set(extension_type::pre_shared_key, offered_psks(1, 1));
              tls.feed(tls.client.client_hello());
              tls.feed(tls.client.finished());
          }) == accepted());
}

TEST_CASE("RFC 8446 4.1.2: another random in the second ClientHello is illegal_parameter")
{
    CHECK(answer_to_second_hello([](hello_message& hello) { hello.random.back() ^= 1; }) ==
          refused(errc::second_hello_changed, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.1.2: another legacy_version in the second ClientHello is illegal_parameter")
{
    CHECK(answer_to_second_hello([](hello_message& hello) { hello.legacy_version = 0x0302; }) ==
          refused(errc::second_hello_changed, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.1.2: another legacy_session_id in the second ClientHello is illegal_parameter")
{
    CHECK(answer_to_second_hello([](hello_message& hello) { hello.session_id = session_id; }) ==
          refused(errc::second_hello_changed, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.1.2: other cipher suites in the second ClientHello are illegal_parameter")
{
    using suites = std::vector<std::uint16_t>;
    for (const suites& changed : {suites{0x1302, 0x1301, 0x1303}, suites{0x1301, 0x1302}, suites{0x1302},
                                  suites{0x1301, 0x1302, 0x1303, 0x1304}})
        CHECK(answer_to_second_hello([&](hello_message& hello) { hello.cipher_suites = changed; }) ==
              refused(errc::second_hello_changed, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.1.2: compression in the second ClientHello is illegal_parameter")
{
    CHECK(answer_to_second_hello([](hello_message& hello) { hello.compression_methods = {0, 1}; }) ==
          refused(errc::bad_compression, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.1.2: an extension added to the second ClientHello is illegal_parameter")
{
    CHECK(answer_to_second_hello([](hello_message& hello) { hello.set(extension_type{0x1234}, {}); }) ==
          refused(errc::second_hello_changed, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.1.2: an extension gone from the second ClientHello is illegal_parameter")
{
    for (const auto type : {extension_type::server_name, extension_type::psk_key_exchange_modes})
        CHECK(answer_to_second_hello([&](hello_message& hello) { hello.remove(type); }) ==
              refused(errc::second_hello_changed, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.1.2: extensions in another order in the second ClientHello are illegal_parameter")
{
    CHECK(answer_to_second_hello(
              [](hello_message& hello) { std::swap(hello.extensions[0], hello.extensions[1]); }) ==
          refused(errc::second_hello_changed, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.1.2: another server_name in the second ClientHello is illegal_parameter")
{
    CHECK(answer_to_second_hello(
              [](hello_message& hello) { hello.set(extension_type::server_name, server_name("other.test")); }) ==
          refused(errc::second_hello_changed, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.1.2: other supported_groups in the second ClientHello are illegal_parameter")
{
    CHECK(answer_to_second_hello([](hello_message& hello) {
              hello.set(extension_type::supported_groups, list16<named_group>({named_group::x25519}));
          }) == refused(errc::second_hello_changed, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.1.2: other signature_algorithms in the second ClientHello are illegal_parameter")
{
    CHECK(answer_to_second_hello([](hello_message& hello) {
              hello.set(extension_type::signature_algorithms, list16<>({0x0403}));
          }) == refused(errc::second_hello_changed, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.1.2: other supported_versions in the second ClientHello are illegal_parameter")
{
    CHECK(answer_to_second_hello([](hello_message& hello) {
              hello.set(extension_type::supported_versions, versions({tls13_version, tls12_version}));
          }) == refused(errc::second_hello_changed, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.1.2: a second ClientHello without TLS 1.3 is illegal_parameter, and no fallback")
{
    server_config config = test_config();
    config.hand_over_older_versions = true;
    CHECK(answer_to_second_hello(
              [](hello_message& hello) { hello.set(extension_type::supported_versions, versions({tls12_version})); },
              config) == refused(errc::second_hello_changed, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.1.2: another message in place of the second ClientHello is unexpected_message")
{
    for (const auto type : {handshake_type::finished, handshake_type::certificate, handshake_type::end_of_early_data})
        CHECK(play([&](connection& tls) {
                  tls.client.offer_shares({});
                  tls.feed(tls.client.client_hello());
                  tls.feed(tls.client.record(content_type::handshake, handshake_message(type, byte_vector(32))));
              }) == refused(errc::unexpected_handshake_message, alert::unexpected_message));
}

// --- 4.1.3 ---

TEST_CASE("RFC 8446 4.1.3: a ServerHello is made of what it must be made of and nothing else")
{
    connection tls;
    tls.client.hello.session_id = session_id;
    tls.handshake();
    const byte_vector key_exchange = null_crypto{}.agree(named_group::x25519, byte_vector(32, 1))->share;
    CHECK(tls.client.message(handshake_type::server_hello)->body == written([&](writer& out) {
              out.u16(0x0303);
              out.bytes(tls.client.server_random);
              out.vector8([&] { out.bytes(session_id); });
              out.u16(0x1301);
              out.u8(0);
              out.vector16([&] {
                  out.u16(0x0033);
                  out.vector16([&] {
                      out.u16(0x001d);
                      out.vector16([&] { out.bytes(key_exchange); });
                  });
                  out.u16(0x002b);
                  out.vector16([&] { out.u16(0x0304); });
              });
          }));
}

TEST_CASE("RFC 8446 4.1.3: every suite is chosen when it is the only one offered")
{
    for (const std::uint16_t suite : {0x1301, 0x1302, 0x1303})
        CHECK(agreed_on([&](hello_message& hello) { hello.cipher_suites = {suite}; }).suite == cipher_suite{suite});
}

TEST_CASE("RFC 8446 4.1.3: the random is not the client's, not a retry's, and no downgrade sentinel")
{
    connection tls;
    tls.handshake();
    CHECK(tls.client.server_random != tls.client.hello.random);
    CHECK_FALSE(equal(tls.client.server_random, hello_retry_request_random));
    CHECK_FALSE(equal(byte_view(tls.client.server_random).last(8).first(7), as_bytes("DOWNGRD")));
}

// --- 4.1.4 ---

TEST_CASE("RFC 8446 4.1.4: a HelloRetryRequest is made of what it must be made of and nothing else")
{
    connection tls;
    tls.client.offer_shares({});
    tls.feed(tls.client.client_hello());
    CHECK(tls.client.message(handshake_type::server_hello)->body == written([&](writer& out) {
              out.u16(0x0303);
              out.bytes(hello_retry_request_random);
              out.u8(0);
              out.u16(0x1301);
              out.u8(0);
              out.vector16([&] {
                  out.u16(0x0033);
                  out.vector16([&] { out.u16(0x001d); });
                  out.u16(0x002b);
                  out.vector16([&] { out.u16(0x0304); });
              });
          }));
}

TEST_CASE("RFC 8446 4.1.4: the suite of a HelloRetryRequest stays, for every suite and group")
{
    for (const std::uint16_t suite : {0x1301, 0x1302, 0x1303}) {
        for (const auto group : {named_group::x25519, named_group::secp256r1, named_group::secp384r1}) {
            connection tls(config_with({group}));
            tls.client.hello.cipher_suites = {suite};
            tls.client.offer_shares({});
            tls.handshake(); // the client compares
            CHECK(tls.server.negotiated().group == group);
            CHECK(tls.server.negotiated().suite == cipher_suite{suite});
        }
    }
}

TEST_CASE("RFC 8446 4.1.4: there is no second HelloRetryRequest: no share again is illegal_parameter")
{
    CHECK(answer_to_second_hello([](hello_message& hello) { hello.set(extension_type::key_share, shares({})); }) ==
          refused(errc::second_hello_wrong_share, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.1.4: a share for another group than the one asked for is illegal_parameter")
{
    CHECK(answer_to_second_hello([](hello_message& hello) {
              hello.set(extension_type::key_share, shares({{named_group::secp256r1, byte_vector(65, 4)}}));
          }) == refused(errc::second_hello_wrong_share, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.1.4: a share beside the one asked for is illegal_parameter")
{
    CHECK(answer_to_second_hello([](hello_message& hello) {
              hello.set(extension_type::key_share, shares({{named_group::x25519, byte_vector(32, 9)},
                                                           {named_group::secp256r1, byte_vector(65, 4)}}));
          }) == refused(errc::second_hello_wrong_share, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.1.4: a share that is not valid is illegal_parameter after a retry too")
{
    CHECK(answer_to_second_hello([](hello_message& hello) {
              hello.set(extension_type::key_share, shares({{named_group::x25519, byte_vector(32)}}));
          }) == refused(errc::bad_key_share, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.1.4: a second ClientHello in the record of the first is unexpected_message")
{
    CHECK(play([](connection& tls) {
              tls.client.offer_shares({});
              const byte_vector message = tls.client.hello.message();
              tls.feed(tls.client.record(content_type::handshake, joined({message, message})));
          }) == refused(errc::keys_within_record, alert::unexpected_message));
}

// --- 4.2.2, as far as a HelloRetryRequest goes ---

TEST_CASE("RFC 8446 4.2.2: a cookie that comes back is accepted")
{
    CHECK(answer_to_cookie(cookie_core::cookie_sent()) == accepted());
}

TEST_CASE("RFC 8446 4.2.2: a cookie that does not come back is illegal_parameter")
{
    CHECK(answer_to_cookie({}) == refused(errc::wrong_cookie, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.2.2: another cookie than the one sent is illegal_parameter")
{
    CHECK(answer_to_cookie(copy_of(as_bytes("oatmeaL"))) == refused(errc::wrong_cookie, alert::illegal_parameter));
    CHECK(answer_to_cookie(copy_of(as_bytes("oat"))) == refused(errc::wrong_cookie, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.2.2: a cookie in a second ClientHello that none was sent for is illegal_parameter")
{
    CHECK(answer_to_second_hello(
              [](hello_message& hello) { hello.set(extension_type::cookie, cookie(as_bytes("mine"))); }) ==
          refused(errc::wrong_cookie, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.2.2: a cookie in the first ClientHello is illegal_parameter")
{
    CHECK(answer_to_hello(
              [](hello_message& hello) { hello.set(extension_type::cookie, cookie(as_bytes("mine"))); }) ==
          refused(errc::unasked_cookie, alert::illegal_parameter));
}

}
