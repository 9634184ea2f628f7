// What RFC 8446 4.4 (authentication messages) and 4.6 (post-handshake messages) demand of a server, and what a client
// may not do there.
#include "support/connection.hpp"

#include <doctest/doctest.h>

namespace alos_tests {
namespace {

// A server with these certificates for alos.test, preferred first.
struct site {
    explicit site(std::vector<cert::credential_ptr> credentials) :
        store({{"alos.test", std::move(credentials)}}), config(test_config())
    {
        config.certificates = &store;
    }

    // Whose certificate a client with this hello gets.
    template <class Change>
    std::string chosen_by(Change change) const
    {
        connection tls(config);
        change(tls.client.hello);
        tls.handshake();
        reader in(tls.client.message(handshake_type::certificate)->body);
        in.vector8(); // certificate_request_context
        reader list(in.vector24(1));
        return std::string(as_text(list.vector24(1)));
    }

    test_store store;
    server_config config;
};

void change_nothing(hello_message&) {}

auto offering(std::vector<std::uint16_t> schemes)
{
    return [schemes = std::move(schemes)](hello_message& hello) {
        hello.set(extension_type::signature_algorithms, list16<>(schemes));
    };
}

cert::credential_ptr ecdsa() { return fake_credential("ecdsa", signature_scheme::ecdsa_secp256r1_sha256); }
cert::credential_ptr rsa() { return fake_credential("rsa", signature_scheme::rsa_pss_rsae_sha256); }

// A key that is asked to sign and whose answer comes later.
site slow_site()
{
    return site({fake_credential(
        "slow", std::make_shared<fake_signing_key>(std::vector{signature_scheme::ecdsa_secp256r1_sha256}, false))});
}

// Answers the signature that the server waits for.
void sign(connection& tls)
{
    const auto request = tls.server.signature_request();
    tls.server.answer(request.key->sign(request.scheme, request.content));
    tls.run();
}

// What a server makes of this in the place of the client's Finished message.
ending answer_to_finished(byte_vector (*make)(test_client<null_crypto>&))
{
    return play([&](connection& tls) {
        tls.feed(tls.client.client_hello());
        tls.feed(tls.client.sealed(content_type::handshake, make(tls.client)));
    });
}

}

// --- 4.4.1 ---

TEST_CASE("RFC 8446 4.4.1: the transcript covers every message, with every hash and through a retry")
{
    for (const std::uint16_t suite : {0x1301, 0x1302, 0x1303}) {
        for (const bool retry : {false, true}) {
            connection tls;
            tls.client.hello.cipher_suites = {suite};
            if (retry)
                tls.client.offer_shares({});
            tls.handshake(); // both Finished verify
            CHECK(tls.client.retried == retry);
        }
    }
}

// --- 4.4.2 ---

TEST_CASE("RFC 8446 4.4.2: the server sends its chain, leaf first, with an empty request context and no extensions")
{
    connection tls;
    tls.handshake();
    CHECK(tls.client.message(handshake_type::certificate)->body == written([](writer& out) {
              out.u8(0);
              out.vector24([&] {
                  for (const std::string_view certificate : {"alos.test", "its issuer"}) {
                      out.vector24([&] { out.bytes(as_bytes(certificate)); });
                      out.u16(0);
                  }
              });
          }));
}

TEST_CASE("RFC 8446 4.4.2: a client Certificate that was not asked for is unexpected_message")
{
    CHECK(answer_to_finished([](auto&) { return handshake_message(handshake_type::certificate, {{0, 0, 0, 0}}); }) ==
          refused(errc::unexpected_handshake_message, alert::unexpected_message));
}

TEST_CASE("RFC 8446 4.4.2.2: the certificate is one that can sign with a scheme the client offers")
{
    const site both({ecdsa(), rsa()});
    CHECK(both.chosen_by(offering({0x0403})) == "ecdsa");
    CHECK(both.chosen_by(offering({0x0804})) == "rsa");
    CHECK(both.chosen_by(offering({0x0804, 0x0403})) == "ecdsa");
}

TEST_CASE("RFC 8446 4.4.2.2: a chain that is signed as the client asks goes before one that is not")
{
    const auto key = std::make_shared<fake_signing_key>(std::vector{signature_scheme::ecdsa_secp256r1_sha256});
    const site both({fake_credential("by sha1", key, {signature_scheme::ecdsa_sha1}),
                     fake_credential("by ecdsa", key, {signature_scheme::ecdsa_secp256r1_sha256})});
    CHECK(both.chosen_by(change_nothing) == "by ecdsa");
    CHECK(both.chosen_by([](hello_message& hello) {
        hello.set(extension_type::signature_algorithms_cert, list16<>({0x0203}));
    }) == "by sha1");
}

TEST_CASE("RFC 8446 4.4.2.2: without a chain that is signed as the client asks the handshake goes on")
{
    const auto key = std::make_shared<fake_signing_key>(std::vector{signature_scheme::ecdsa_secp256r1_sha256});
    const site one({fake_credential("by pkcs1", key, {signature_scheme::rsa_pkcs1_sha256})});
    CHECK(one.chosen_by(change_nothing) == "by pkcs1");
}

TEST_CASE("RFC 8446 4.4.2.2: server_name chooses the certificate, and the default answers for the rest")
{
    const test_store store({{"alos.test", {fake_credential("first", signature_scheme::ecdsa_secp256r1_sha256)}},
                            {"b.test", {fake_credential("second", signature_scheme::ecdsa_secp256r1_sha256)}}});
    site two({ecdsa()});
    two.config.certificates = &store;
    const auto asking_for = [](std::string_view name) {
        return [name](hello_message& hello) { hello.set(extension_type::server_name, server_name(name)); };
    };
    CHECK(two.chosen_by(asking_for("b.test")) == "second");
    CHECK(two.chosen_by(asking_for("c.test")) == "first");
    CHECK(two.chosen_by([](hello_message& hello) { hello.remove(extension_type::server_name); }) == "first");
}

TEST_CASE("RFC 8446 4.4.2.2: a server without any certificate answers unrecognized_name")
{
    const test_store none(std::vector<cert::entry>{});
    server_config config = test_config();
    config.certificates = &none;
    CHECK(answer_to_hello([](hello_message&) {}, config) == refused(errc::no_certificate, alert::unrecognized_name));
}

// --- 4.4.3 ---

TEST_CASE("RFC 8446 4.4.3: what is signed is 64 spaces, the context, a zero and the transcript hash")
{
    const site slow = slow_site();
    connection tls(slow.config);
    tls.feed(tls.client.client_hello());
    REQUIRE(tls.server.wants() == want::signature);
    const byte_vector& content = tls.server.signature_request().content;
    const byte_vector start =
        joined({byte_vector(64, ' '), as_bytes("TLS 1.3, server CertificateVerify"), byte_vector(1)});
    CHECK(equal(byte_view(content).first(start.size()), start));
    CHECK(content.size() == start.size() + hash_size(hash_algorithm::sha256));
}

TEST_CASE("RFC 8446 4.4.3: the CertificateVerify names the scheme and carries the signature")
{
    connection tls;
    tls.handshake();
    reader in(tls.client.message(handshake_type::certificate_verify)->body);
    CHECK(in.u16() == 0x0403);
    CHECK(in.vector16().size() == 64);
    CHECK(in.complete());
    CHECK(tls.server.negotiated().scheme == signature_scheme::ecdsa_secp256r1_sha256);
}

TEST_CASE("RFC 8446 4.4.3: a slow signature holds back the rest of the flight and nothing else")
{
    const site slow = slow_site();
    CHECK(play(
              [](connection& tls) {
                  tls.feed(tls.client.client_hello());
                  CHECK(tls.server.wants() == want::signature);
                  CHECK_FALSE(tls.client.message(handshake_type::finished));
                  sign(tls);
                  CHECK(tls.server.wants() == want::input);
                  tls.feed(tls.client.finished());
                  CHECK(tls.server.is_connected());
              },
              slow.config) == accepted());
}

TEST_CASE("RFC 8446 4.4.3: what comes while the signature is awaited is read afterwards")
{
    const site slow = slow_site();
    CHECK(play(
              [](connection& tls) {
                  tls.feed(tls.client.client_hello());
                  tls.feed(tls.client.change_cipher_spec());
                  sign(tls);
                  tls.feed(tls.client.finished());
                  CHECK(tls.server.is_connected());
              },
              slow.config) == accepted());
}

TEST_CASE("RFC 8446 4.4.3: a signature that fails is internal_error")
{
    const site slow = slow_site();
    CHECK(play(
              [](connection& tls) {
                  tls.feed(tls.client.client_hello());
                  tls.server.answer(make_error_code(boost::system::errc::io_error));
                  tls.run();
              },
              slow.config) == refused(errc::signature_failed, alert::internal_error));
}

TEST_CASE("RFC 8446 4.4.3: a client CertificateVerify is unexpected_message")
{
    CHECK(answer_to_finished([](auto&) {
              return handshake_message(handshake_type::certificate_verify, {{4, 3, 0, 0}});
          }) == refused(errc::unexpected_handshake_message, alert::unexpected_message));
}

// --- 4.4.4 ---

TEST_CASE("RFC 8446 4.4.4: a Finished with any bit wrong is decrypt_error")
{
    for (std::size_t bit = 0; bit < 8 * hash_size(hash_algorithm::sha256); ++bit) {
        connection tls;
        tls.feed(tls.client.client_hello());
        byte_vector message = tls.client.finished_message();
        message[4 + bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
        tls.feed(tls.client.sealed(content_type::handshake, message));
        CHECK(tls.end() == refused(errc::bad_finished, alert::decrypt_error));
        CHECK_FALSE(tls.server.is_connected());
    }
}

TEST_CASE("RFC 8446 4.4.4: a Finished of another length is decode_error")
{
    for (const std::size_t size : {0, 1, 31, 33, 48, 49, 1000}) {
        connection tls;
        tls.feed(tls.client.client_hello());
        byte_vector body = copy_of(byte_view(tls.client.finished_message()).subspan(4));
        body.resize(size);
        tls.feed(tls.client.sealed(content_type::handshake, handshake_message(handshake_type::finished, body)));
        CHECK(tls.end() == refused(errc::message_decode, alert::decode_error));
    }
}

TEST_CASE("RFC 8446 4.4.4: the server's own Finished sent back is decrypt_error")
{
    CHECK(answer_to_finished([](auto& client) {
              return handshake_message(handshake_type::finished, client.message(handshake_type::finished)->body);
          }) == refused(errc::bad_finished, alert::decrypt_error));
}

TEST_CASE("RFC 8446 4.4.4: any message in the place of the Finished is unexpected_message")
{
    for (int type = 0; type < 256; ++type) {
        if (type == static_cast<int>(handshake_type::finished))
            continue;
        connection tls;
        tls.feed(tls.client.client_hello());
        const byte_vector message = handshake_message(static_cast<handshake_type>(type), byte_vector(32));
        tls.feed(tls.client.sealed(content_type::handshake, message));
        CHECK(tls.end() == refused(errc::unexpected_handshake_message, alert::unexpected_message));
    }
}

TEST_CASE("RFC 8446 4.4.4: an unprotected Finished is unexpected_message")
{
    CHECK(play([](connection& tls) {
              tls.feed(tls.client.client_hello());
              tls.feed(tls.client.record(content_type::handshake, tls.client.finished_message()));
          }) == refused(errc::unprotected_record, alert::unexpected_message));
}

TEST_CASE("RFC 8446 4.4.4: application data before the Finished is unexpected_message (CVE-2026-34582)")
{
    CHECK(play([](connection& tls) {
              tls.feed(tls.client.client_hello());
              tls.feed(tls.client.application_data("GET / HTTP/1.1\r\n\r\n"));
              CHECK(tls.received.empty());
          }) == refused(errc::unexpected_application_data, alert::unexpected_message));
}

TEST_CASE("RFC 8446 4.4.4: application data under application keys before the Finished is bad_record_mac")
{
    CHECK(play([](connection& tls) {
              tls.feed(tls.client.client_hello());
              tls.client.use_application_keys();
              tls.feed(tls.client.application_data("GET / HTTP/1.1\r\n\r\n"));
              CHECK(tls.received.empty());
          }) == refused(errc::bad_record_mac, alert::bad_record_mac));
}

TEST_CASE("RFC 8446 4.4.4: the server sends no application data before it has the client's Finished")
{
    connection tls;
    tls.feed(tls.client.client_hello());
    CHECK(tls.server.write(as_bytes("early")) == 0);
    CHECK_FALSE(tls.server.is_connected());
}

TEST_CASE("RFC 8446 4.4.4: a second Finished is unexpected_message")
{
    CHECK(play_connected([](connection& tls) {
              tls.feed(tls.client.sealed(content_type::handshake, tls.client.finished_message()));
          }) == refused(errc::unexpected_handshake_message, alert::unexpected_message));
}

// --- 4.6 ---

TEST_CASE("RFC 8446 4.6: after the handshake any message but KeyUpdate is unexpected_message")
{
    for (int type = 0; type < 256; ++type) {
        if (type == static_cast<int>(handshake_type::key_update))
            continue;
        connection tls;
        tls.handshake();
        const byte_vector message = handshake_message(static_cast<handshake_type>(type), byte_vector(1));
        tls.feed(tls.client.sealed(content_type::handshake, message));
        CHECK(tls.end() == refused(errc::unexpected_handshake_message, alert::unexpected_message));
    }
}

TEST_CASE("RFC 8446 4.6.3: a KeyUpdate before the Finished is unexpected_message")
{
    CHECK(answer_to_finished([](auto&) {
              return copy_of(encode_key_update(key_update_request::update_not_requested));
          }) == refused(errc::unexpected_handshake_message, alert::unexpected_message));
}

TEST_CASE("RFC 8446 4.6.3: the client's keys change behind its KeyUpdate, any number of times")
{
    CHECK(play_connected([](connection& tls) {
              for (int i = 0; i < 100; ++i) {
                  tls.feed(tls.client.key_update(key_update_request::update_not_requested));
                  tls.feed(tls.client.application_data("x"));
              }
              CHECK(tls.received.size() == 100);
              CHECK(tls.client.key_updates == 0);
          }) == accepted());
}

TEST_CASE("RFC 8446 4.6.3: update_requested is answered before the next application data")
{
    CHECK(play_connected([](connection& tls) {
              tls.feed(tls.client.key_update(key_update_request::update_requested));
              CHECK(tls.client.requests == std::vector{key_update_request::update_not_requested});
              tls.write("under the new keys"); // which the client reads with
              CHECK(as_text(tls.client.data) == "under the new keys");
          }) == accepted());
}

TEST_CASE("RFC 8446 4.6.3: answers that wait to be sent are bounded")
{
    connection tls;
    tls.handshake();
    byte_vector requests;
    for (int i = 0; i < 40; ++i)
        requests = joined({requests, tls.client.key_update(key_update_request::update_requested),
                           tls.client.application_data("x")});
    tls.feed(requests); // all of them before the server sends
    CHECK(tls.received.size() == 40);
    CHECK(tls.client.key_updates == 32);
    tls.feed(tls.client.key_update(key_update_request::update_requested));
    CHECK(tls.client.key_updates == 33);
}

TEST_CASE("RFC 8446 4.6.3: any other request_update is illegal_parameter")
{
    for (int value = 2; value < 256; ++value) {
        connection tls;
        tls.handshake();
        const auto code = static_cast<std::uint8_t>(value);
        tls.feed(tls.client.sealed(content_type::handshake, handshake_message(handshake_type::key_update, {&code, 1})));
        CHECK(tls.end() == refused(errc::bad_key_update, alert::illegal_parameter));
    }
}

TEST_CASE("RFC 8446 4.6.3: a KeyUpdate that is not one byte is decode_error")
{
    for (const std::size_t size : {0, 2, 100})
        CHECK(play_connected([&](connection& tls) {
                  tls.feed(tls.client.sealed(content_type::handshake,
                                             handshake_message(handshake_type::key_update, byte_vector(size))));
              }) == refused(errc::message_decode, alert::decode_error));
}

TEST_CASE("RFC 8446 4.6.3: old keys behind a KeyUpdate are bad_record_mac")
{
    CHECK(play_connected([](connection& tls) {
              tls.feed(tls.client.sealed(content_type::handshake,
                                         encode_key_update(key_update_request::update_not_requested)));
              tls.feed(tls.client.application_data("old"));
          }) == refused(errc::bad_record_mac, alert::bad_record_mac));
}

TEST_CASE("RFC 8446 4.6.3: new keys without a KeyUpdate are bad_record_mac")
{
    CHECK(play_connected([](connection& tls) {
              tls.client.next_keys();
              tls.feed(tls.client.application_data("new"));
          }) == refused(errc::bad_record_mac, alert::bad_record_mac));
}

TEST_CASE("RFC 8446 4.6.3: a KeyUpdate under the new keys is bad_record_mac")
{
    CHECK(play_connected([](connection& tls) {
              tls.client.next_keys();
              tls.feed(tls.client.key_update(key_update_request::update_not_requested));
          }) == refused(errc::bad_record_mac, alert::bad_record_mac));
}

TEST_CASE("RFC 8446 4.6.3: KeyUpdates without data between them are bounded")
{
    connection tls;
    tls.handshake();
    for (int i = 0; i < 32; ++i)
        tls.feed(tls.client.key_update(key_update_request::update_not_requested));
    CHECK(tls.end() == accepted());
    tls.feed(tls.client.key_update(key_update_request::update_not_requested));
    CHECK(tls.end() == refused(errc::too_many_key_updates, alert::unexpected_message));
}

TEST_CASE("RFC 8446 4.6.3: the server's own KeyUpdate goes under the old keys, what follows under the new ones")
{
    connection tls;
    tls.handshake();
    tls.write("before ");
    tls.server.update_keys(key_update_request::update_requested);
    tls.write("after");
    CHECK(tls.client.requests == std::vector{key_update_request::update_requested});
    CHECK(as_text(tls.client.data) == "before after");
    tls.feed(tls.client.key_update(key_update_request::update_not_requested)); // is not answered again
    CHECK(tls.client.key_updates == 1);
}

TEST_CASE("RFC 8446 4.6.3: both sides may ask at once")
{
    connection tls;
    tls.handshake();
    tls.server.update_keys(key_update_request::update_requested);
    tls.feed(tls.client.key_update(key_update_request::update_requested));
    CHECK(tls.client.requests ==
          std::vector{key_update_request::update_requested, key_update_request::update_not_requested});
    tls.feed(tls.client.key_update(key_update_request::update_not_requested));
    tls.feed(tls.client.application_data("ping"));
    tls.write("pong");
    CHECK(as_text(tls.received) == "ping");
    CHECK(as_text(tls.client.data) == "pong");
    CHECK(tls.client.key_updates == 2);
}

}
