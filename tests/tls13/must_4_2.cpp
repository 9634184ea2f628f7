// What RFC 8446 4.2 (extensions) demands of a server, and what a client may not do there; RFC 6066 3 and RFC 7301 too.
#include "support/connection.hpp"

#include <doctest/doctest.h>

namespace alos_tests {
namespace {

constexpr alert illegal = alert::illegal_parameter;

// What a server makes of a hello with this extension put into it.
ending answer_to_extension(extension_type type, byte_vector data, const server_config& config = test_config())
{
    return answer_to_hello([&](hello_message& hello) { hello.set(type, data); }, config);
}

// Put where pre_shared_key, which comes last, does not matter.
ending answer_to_psk(byte_vector data) { return answer_to_extension(extension_type::pre_shared_key, std::move(data)); }

ending answer_without(extension_type type)
{
    return answer_to_hello([&](hello_message& hello) { hello.remove(type); });
}

// `data` is what the extension may hold; cut short anywhere, or with a byte too many, it is decode_error.
void check_cut_short(extension_type type, const byte_vector& data, errc error = errc::extension_decode)
{
    for (std::size_t size = 0; size < data.size(); ++size) {
        const byte_vector part = copy_of(byte_view(data).first(size));
        CHECK(answer_to_extension(type, part) == refused(error, alert::decode_error));
    }
    CHECK(answer_to_extension(type, joined({data, byte_vector(1)})) == refused(error, alert::decode_error));
}

server_config config_with_protocols(std::vector<std::string> names)
{
    server_config config = test_config();
    config.alpn = std::move(names);
    return config;
}

// What ALPN chooses among these.
std::string protocol_of(const std::vector<std::string_view>& offered, std::vector<std::string> served)
{
    connection tls(config_with_protocols(std::move(served)));
    tls.client.hello.set(extension_type::application_layer_protocol_negotiation, protocols(offered));
    tls.handshake();
    return tls.server.negotiated().alpn;
}

// A client that offers a PSK and sends early data.
void offer_early_data(connection& tls)
{
    tls.client.hello.set(extension_type::early_data, {});
    tls.client.hello.set(extension_type::pre_shared_key, offered_psks(1, 1));
}

// Something encrypted with keys that the server does not have.
byte_vector early_record(std::size_t size)
{
    return test_client<null_crypto>::record(content_type::application_data, byte_vector(size, 0xea));
}

}

// --- 4.2 ---

TEST_CASE("RFC 8446 4.2: an extension that appears twice is decode_error")
{
    for (const auto type : {extension_type::server_name, extension_type::supported_groups,
                            extension_type::signature_algorithms, extension_type::supported_versions,
                            extension_type::psk_key_exchange_modes, extension_type::key_share, extension_type{0x1234}})
        CHECK(answer_to_hello([&](hello_message& hello) {
                  if (!hello.find(type))
                      hello.set(type, {});
                  hello.extensions.push_back(*hello.find(type));
              }) == refused(errc::duplicate_extension, alert::decode_error));
}

TEST_CASE("RFC 8446 4.2: an extension that no ClientHello may carry is illegal_parameter")
{
    CHECK(answer_to_extension(extension_type::oid_filters, {0, 0}) == refused(errc::misplaced_extension, illegal));
}

TEST_CASE("RFC 8446 4.2: no extension is answered that was not asked for")
{
    connection tls(config_with_protocols({"h2"}));
    tls.client.hello.remove(extension_type::server_name);
    tls.handshake();
    CHECK(tls.client.message(handshake_type::encrypted_extensions)->body == byte_vector{0, 0});
}

TEST_CASE("RFC 8446 4.2: extensions that belong to others are ignored")
{
    for (const int type : {1, 5, 14, 15, 18, 19, 20, 27, 28, 35, 47, 49, 57})
        CHECK(answer_to_extension(extension_type(type), byte_vector(5, 1)) == accepted());
}

// --- 4.2.1 ---

TEST_CASE("RFC 8446 4.2.1: without supported_versions it is protocol_version, even if legacy_version says 1.3")
{
    for (const std::uint16_t version : {tls12_version, tls13_version})
        CHECK(answer_to_hello([&](hello_message& hello) {
                  hello.legacy_version = version;
                  hello.remove(extension_type::supported_versions);
              }) == refused(errc::tls13_not_offered, alert::protocol_version));
}

TEST_CASE("RFC 8446 4.2.1: supported_versions without TLS 1.3 is protocol_version")
{
    for (const std::vector<std::uint16_t>& offered :
         {std::vector<std::uint16_t>{0x0303}, {0x0302, 0x0303}, {0x7f1c}, {0x0305}, {0x0a0a, 0x1a1a}})
        CHECK(answer_to_extension(extension_type::supported_versions, versions(offered)) ==
              refused(errc::tls13_not_offered, alert::protocol_version));
}

TEST_CASE("RFC 8446 4.2.1: unknown versions are ignored")
{
    CHECK(answer_to_extension(extension_type::supported_versions,
                              versions({0x0a0a, 0x7f1c, 0x0305, 0x0303, 0x0304, 0xfafa})) == accepted());
}

TEST_CASE("RFC 8446 4.2.1: TLS 1.3 is chosen wherever it stands in the list")
{
    CHECK(answer_to_extension(extension_type::supported_versions, versions({0x0303, 0x0302, 0x0304})) == accepted());
    CHECK(answer_to_extension(extension_type::supported_versions, versions(std::vector<std::uint16_t>(127, 0x0304))) ==
          accepted());
}

TEST_CASE("RFC 8446 4.2.1: an empty list of versions is decode_error")
{
    CHECK(answer_to_extension(extension_type::supported_versions, {0}) ==
          refused(errc::extension_decode, alert::decode_error));
}

TEST_CASE("RFC 8446 4.2.1: half a version is decode_error")
{
    CHECK(answer_to_extension(extension_type::supported_versions, {3, 3, 4, 3}) ==
          refused(errc::extension_decode, alert::decode_error));
}

TEST_CASE("RFC 8446 4.2.1: supported_versions cut short is decode_error")
{
    check_cut_short(extension_type::supported_versions, versions({0x0303, 0x0304}));
}

// --- 4.2.2 (see 4.1.4 for the rest) ---

TEST_CASE("RFC 8446 4.2.2: an empty cookie is decode_error")
{
    CHECK(answer_to_extension(extension_type::cookie, cookie({})) ==
          refused(errc::extension_decode, alert::decode_error));
}

TEST_CASE("RFC 8446 4.2.2: a cookie cut short is decode_error")
{
    check_cut_short(extension_type::cookie, cookie(as_bytes("crumbs")));
}

// --- 4.2.3 ---

TEST_CASE("RFC 8446 4.2.3: without signature_algorithms it is missing_extension")
{
    CHECK(answer_without(extension_type::signature_algorithms) ==
          refused(errc::missing_signature_algorithms, alert::missing_extension));
}

TEST_CASE("RFC 8446 4.2.3: signature_algorithms_cert does not stand in for signature_algorithms")
{
    CHECK(answer_to_hello([](hello_message& hello) {
              hello.find(extension_type::signature_algorithms)->type = extension_type::signature_algorithms_cert;
          }) == refused(errc::missing_signature_algorithms, alert::missing_extension));
}

TEST_CASE("RFC 8446 4.2.3: unknown signature schemes are ignored")
{
    CHECK(answer_to_extension(extension_type::signature_algorithms, list16<>({0x0a0a, 0xfe00, 0x0403, 0xffff})) ==
          accepted());
}

TEST_CASE("RFC 8446 4.2.3: PKCS#1 and SHA-1 never sign a handshake, so alone they are handshake_failure")
{
    const test_store rsa({{"alos.test", {fake_credential("rsa", signature_scheme::rsa_pss_rsae_sha256)}}});
    server_config config = test_config();
    config.certificates = &rsa;
    CHECK(answer_to_extension(extension_type::signature_algorithms, list16<>({0x0401, 0x0501, 0x0601, 0x0201, 0x0203}),
                              config) == refused(errc::no_common_signature_scheme, alert::handshake_failure));
}

TEST_CASE("RFC 8446 4.2.3: an ECDSA scheme binds the curve: P-384 does not sign as P-256")
{
    const test_store p384({{"alos.test", {fake_credential("p384", signature_scheme::ecdsa_secp384r1_sha384)}}});
    server_config config = test_config();
    config.certificates = &p384;
    CHECK(answer_to_extension(extension_type::signature_algorithms, list16<>({0x0403}), config) ==
          refused(errc::no_common_signature_scheme, alert::handshake_failure));
}

TEST_CASE("RFC 8446 4.2.3: an empty list of signature schemes is decode_error")
{
    for (const auto type : {extension_type::signature_algorithms, extension_type::signature_algorithms_cert})
        CHECK(answer_to_extension(type, list16<>({})) == refused(errc::extension_decode, alert::decode_error));
}

TEST_CASE("RFC 8446 4.2.3: signature_algorithms cut short is decode_error")
{
    check_cut_short(extension_type::signature_algorithms, list16<>({0x0403, 0x0804}));
}

TEST_CASE("RFC 8446 4.2.3: signature_algorithms_cert cut short is decode_error")
{
    check_cut_short(extension_type::signature_algorithms_cert, list16<>({0x0403, 0x0804}));
}

// --- 4.2.7 ---

TEST_CASE("RFC 8446 4.2.7: without supported_groups it is missing_extension")
{
    CHECK(answer_without(extension_type::supported_groups) ==
          refused(errc::missing_supported_groups, alert::missing_extension));
}

TEST_CASE("RFC 8446 4.2.7: unknown groups are ignored")
{
    CHECK(answer_to_extension(extension_type::supported_groups, list16<>({0x0a0a, 0x0100, 0x001d, 0xfe0f})) ==
          accepted());
}

TEST_CASE("RFC 8446 4.2.7: an empty list of groups is decode_error")
{
    CHECK(answer_to_extension(extension_type::supported_groups, list16<>({})) ==
          refused(errc::extension_decode, alert::decode_error));
}

TEST_CASE("RFC 8446 4.2.7: supported_groups cut short is decode_error")
{
    check_cut_short(extension_type::supported_groups, list16<>({0x001d, 0x0017}));
}

// --- 4.2.8 ---

TEST_CASE("RFC 8446 4.2.8: without key_share it is missing_extension")
{
    CHECK(answer_without(extension_type::key_share) == refused(errc::missing_key_share, alert::missing_extension));
}

TEST_CASE("RFC 8446 4.2.8: key_share without supported_groups is missing_extension, and the other way round (9.2)")
{
    CHECK(answer_to_hello([](hello_message& hello) {
              hello.remove(extension_type::supported_groups);
              hello.set(extension_type::pre_shared_key, offered_psks(1, 1));
          }) == refused(errc::missing_supported_groups, alert::missing_extension));
    CHECK(answer_to_hello([](hello_message& hello) {
              hello.remove(extension_type::key_share);
              hello.set(extension_type::pre_shared_key, offered_psks(1, 1));
          }) == refused(errc::missing_key_share, alert::missing_extension));
}

TEST_CASE("RFC 8446 4.2.8: an empty list of shares asks for a HelloRetryRequest")
{
    CHECK(answer_to_extension(extension_type::key_share, shares({})) == accepted());
}

TEST_CASE("RFC 8446 4.2.8: two key shares for one group are illegal_parameter")
{
    const byte_vector key(32, 9);
    CHECK(answer_to_extension(extension_type::key_share,
                              shares({{named_group::x25519, key}, {named_group::x25519, key}})) ==
          refused(errc::duplicate_key_share, illegal));
}

TEST_CASE("RFC 8446 4.2.8: two key shares for one unknown group are illegal_parameter")
{
    CHECK(answer_to_hello([](hello_message& hello) {
              hello.set(extension_type::supported_groups, list16<>({0x001d, 0x0100}));
              hello.set(extension_type::key_share, shares({{named_group::x25519, byte_vector(32, 9)},
                                                           {named_group{0x0100}, {1}},
                                                           {named_group{0x0100}, {2}}}));
          }) == refused(errc::duplicate_key_share, illegal));
}

TEST_CASE("RFC 8446 4.2.8: a key share for a group outside supported_groups is illegal_parameter")
{
    CHECK(answer_to_hello([](hello_message& hello) {
              hello.set(extension_type::supported_groups, list16<>({0x001d}));
              hello.set(extension_type::key_share, shares({{named_group::x25519, byte_vector(32, 9)},
                                                           {named_group::secp256r1, byte_vector(65, 4)}}));
          }) == refused(errc::key_share_not_in_groups, illegal));
}

TEST_CASE("RFC 8446 4.2.8: shares for unknown groups are ignored")
{
    CHECK(answer_to_hello([](hello_message& hello) {
              hello.set(extension_type::supported_groups, list16<>({0x0a0a, 0x001d}));
              byte_vector key = copy_of(null_crypto::client_key(named_group::x25519).share());
              hello.set(extension_type::key_share,
                        shares({{named_group{0x0a0a}, {0}}, {named_group::x25519, std::move(key)}}));
          }) == accepted());
}

TEST_CASE("RFC 8446 4.2.8: an empty share is refused")
{
    CHECK(answer_to_hello([](hello_message& hello) {
              hello.set(extension_type::supported_groups, list16<>({0x0a0a, 0x001d}));
              hello.set(extension_type::key_share, shares({{named_group{0x0a0a}, {}}}));
          }) == refused(errc::extension_decode, alert::decode_error));
}

TEST_CASE("RFC 8446 4.2.8.2: a share of another length than its group's is illegal_parameter")
{
    server_config config = test_config();
    config.groups.push_back(named_group::x25519mlkem768);
    for (const auto group : config.groups) {
        const std::size_t right = client_share_size(group);
        for (const std::size_t wrong : {std::size_t{1}, right - 1, right + 1, right + 32}) {
            CHECK(answer_to_hello(
                      [&](hello_message& hello) {
                          hello.set(extension_type::supported_groups, list16<named_group>({group}));
                          hello.set(extension_type::key_share, shares({{group, byte_vector(wrong, 4)}}));
                      },
                      config) == refused(errc::bad_key_share, illegal));
        }
    }
}

TEST_CASE("RFC 8446 4.2.8.2: a share that is not valid in its group is illegal_parameter")
{
    CHECK(answer_to_extension(extension_type::key_share, shares({{named_group::x25519, byte_vector(32)}})) ==
          refused(errc::bad_key_share, illegal));
}

TEST_CASE("RFC 8446 4.2.8: key_share cut short is decode_error")
{
    check_cut_short(extension_type::key_share, shares({{named_group::x25519, byte_vector(32, 9)}}));
}

// --- 4.2.9 ---

TEST_CASE("RFC 8446 4.2.9: pre_shared_key without psk_key_exchange_modes is missing_extension")
{
    CHECK(answer_to_hello([](hello_message& hello) {
              hello.remove(extension_type::psk_key_exchange_modes);
              hello.set(extension_type::pre_shared_key, offered_psks(1, 1));
          }) == refused(errc::missing_psk_key_exchange_modes, alert::missing_extension));
}

TEST_CASE("RFC 8446 4.2.9: an empty list of modes is decode_error")
{
    CHECK(answer_to_extension(extension_type::psk_key_exchange_modes, {0}) ==
          refused(errc::extension_decode, alert::decode_error));
}

TEST_CASE("RFC 8446 4.2.9: unknown modes are ignored")
{
    CHECK(answer_to_extension(extension_type::psk_key_exchange_modes, {3, 0x0b, 1, 0x2a}) == accepted());
}

TEST_CASE("RFC 8446 4.2.9: psk_key_exchange_modes cut short is decode_error")
{
    check_cut_short(extension_type::psk_key_exchange_modes, {2, 0, 1});
}

TEST_CASE("RFC 8446 4.2.9: a client that wants psk_ke only gets a full handshake")
{
    CHECK(answer_to_hello([](hello_message& hello) {
              hello.set(extension_type::psk_key_exchange_modes, {1, 0});
              hello.set(extension_type::pre_shared_key, offered_psks(1, 1));
          }) == accepted());
}

// --- 4.2.10 ---

TEST_CASE("RFC 8446 4.2.10: rejected early data is skipped, and EncryptedExtensions do not accept it")
{
    CHECK(play([](connection& tls) {
              offer_early_data(tls);
              tls.feed(tls.client.client_hello());
              for (const std::size_t size : {17, 1000, 17})
                  tls.feed(early_record(size));
              tls.feed(tls.client.finished());
              CHECK(tls.server.is_connected());
              const byte_vector name_only{0, 4, 0, 0, 0, 0};
              CHECK(tls.client.message(handshake_type::encrypted_extensions)->body == name_only);
          }) == accepted());
}

TEST_CASE("RFC 8446 4.2.10: early data in the flight of the ClientHello is skipped")
{
    CHECK(play([](connection& tls) {
              offer_early_data(tls);
              tls.feed(joined({tls.client.client_hello(), tls.client.change_cipher_spec(), early_record(100)}));
              tls.feed(tls.client.finished());
              CHECK(tls.received.empty());
          }) == accepted());
}

TEST_CASE("RFC 8446 4.2.10: early data is skipped up to the limit and not a byte beyond")
{
    server_config config = test_config();
    config.max_early_data_skipped = 5000;
    const auto skip = [&](std::size_t last) {
        return play(
            [&](connection& tls) {
                offer_early_data(tls);
                tls.feed(tls.client.client_hello());
                tls.feed(early_record(4000));
                tls.feed(early_record(last));
                if (!tls.server.error())
                    tls.feed(tls.client.finished());
            },
            config);
    };
    CHECK(skip(1000) == accepted());
    CHECK(skip(1001) == refused(errc::too_much_early_data, alert::unexpected_message));
}

TEST_CASE("RFC 8446 4.2.10: a full record of early data is skipped")
{
    server_config config = test_config();
    config.max_early_data_skipped = 2 * max_ciphertext_size;
    CHECK(play(
              [](connection& tls) {
                  offer_early_data(tls);
                  tls.feed(tls.client.client_hello());
                  tls.feed(early_record(max_ciphertext_size));
                  tls.feed(tls.client.finished());
              },
              config) == accepted());
}

TEST_CASE("RFC 8446 4.2.10: early data is skipped after a HelloRetryRequest, before the second ClientHello only")
{
    CHECK(play([](connection& tls) {
              tls.client.offer_shares({});
              offer_early_data(tls);
              tls.feed(tls.client.client_hello());
              tls.feed(early_record(1000));
              tls.answer_retry();
              tls.feed(tls.client.client_hello());
              tls.feed(early_record(1000));
          }) == refused(errc::bad_record_mac, alert::bad_record_mac));
}

TEST_CASE("RFC 8446 4.2.10: early data after a HelloRetryRequest is bounded")
{
    CHECK(play([](connection& tls) {
              tls.client.offer_shares({});
              offer_early_data(tls);
              tls.feed(tls.client.client_hello());
              for (int i = 0; i < 5 && !tls.server.error(); ++i)
                  tls.feed(early_record(4000));
          }) == refused(errc::too_much_early_data, alert::unexpected_message));
}

TEST_CASE("RFC 8446 4.2.10: early_data in the second ClientHello is illegal_parameter")
{
    CHECK(answer_to_second_hello([](hello_message& hello) { hello.set(extension_type::early_data, {}); }) ==
          refused(errc::early_data_after_retry, illegal));
}

TEST_CASE("RFC 8446 4.2.10: early data that was not announced is bad_record_mac")
{
    CHECK(play([](connection& tls) {
              tls.feed(tls.client.client_hello());
              tls.feed(early_record(100));
          }) == refused(errc::bad_record_mac, alert::bad_record_mac));
}

TEST_CASE("RFC 8446 4.2.10: early data that was not announced is unexpected_message after a HelloRetryRequest")
{
    CHECK(play([](connection& tls) {
              tls.client.offer_shares({});
              tls.feed(tls.client.client_hello());
              tls.feed(early_record(100));
          }) == refused(errc::unexpected_application_data, alert::unexpected_message));
}

TEST_CASE("RFC 8446 4.2.10: skipping ends with the first record that can be read")
{
    CHECK(play([](connection& tls) {
              offer_early_data(tls);
              tls.feed(tls.client.client_hello());
              tls.feed(early_record(100));
              const byte_vector message = tls.client.finished_message();
              tls.feed(tls.client.sealed(content_type::handshake, byte_view(message).first(10)));
              tls.feed(early_record(100));
          }) == refused(errc::bad_record_mac, alert::bad_record_mac));
}

TEST_CASE("RFC 8446 4.2.10: EndOfEarlyData after early data was rejected is unexpected_message")
{
    CHECK(play([](connection& tls) {
              offer_early_data(tls);
              tls.feed(tls.client.client_hello());
              tls.feed(
                  tls.client.sealed(content_type::handshake, handshake_message(handshake_type::end_of_early_data, {})));
          }) == refused(errc::unexpected_handshake_message, alert::unexpected_message));
}

TEST_CASE("RFC 8446 4.2.10: early_data with contents is decode_error")
{
    CHECK(answer_to_extension(extension_type::early_data, {0}) ==
          refused(errc::extension_decode, alert::decode_error));
}

// --- 4.2.11 ---

TEST_CASE("RFC 8446 4.2.11: an unknown pre_shared_key leads to a full handshake")
{
    CHECK(answer_to_psk(offered_psks(1, 1)) == accepted());
    CHECK(answer_to_psk(offered_psks(5, 5)) == accepted());
}

TEST_CASE("RFC 8446 4.2.11: pre_shared_key that is not the last extension is illegal_parameter")
{
    CHECK(answer_to_hello([](hello_message& hello) {
              hello.set(extension_type::pre_shared_key, offered_psks(1, 1));
              hello.set(extension_type{0x1234}, {});
          }) == refused(errc::pre_shared_key_not_last, illegal));
}

TEST_CASE("RFC 8446 4.2.11: other than one binder an identity is illegal_parameter")
{
    CHECK(answer_to_psk(offered_psks(2, 1)) == refused(errc::psk_binder_count, illegal));
    CHECK(answer_to_psk(offered_psks(1, 2)) == refused(errc::psk_binder_count, illegal));
}

TEST_CASE("RFC 8446 4.2.11: no identity, or no binder, is decode_error")
{
    CHECK(answer_to_psk(offered_psks(0, 1)) == refused(errc::extension_decode, alert::decode_error));
    CHECK(answer_to_psk(offered_psks(1, 0)) == refused(errc::extension_decode, alert::decode_error));
}

TEST_CASE("RFC 8446 4.2.11: a binder shorter than any hash is decode_error")
{
    byte_vector data = offered_psks(1, 1);
    const std::size_t binders = data.size() - 35;
    data.pop_back();
    --data[binders + 1];
    --data[binders + 2];
    CHECK(answer_to_psk(std::move(data)) == refused(errc::extension_decode, alert::decode_error));
}

TEST_CASE("RFC 8446 4.2.11: pre_shared_key cut short is decode_error")
{
    check_cut_short(extension_type::pre_shared_key, offered_psks(1, 1));
}

// --- RFC 6066 3: server_name ---

TEST_CASE("RFC 6066 3: server_name cut short is decode_error")
{
    check_cut_short(extension_type::server_name, server_name("alos.test"), errc::bad_server_name);
}

TEST_CASE("RFC 6066 3: an empty name, or an empty list, is decode_error")
{
    CHECK(answer_to_extension(extension_type::server_name, server_name("")) ==
          refused(errc::bad_server_name, alert::decode_error));
    CHECK(answer_to_extension(extension_type::server_name, {0, 0}) ==
          refused(errc::bad_server_name, alert::decode_error));
}

TEST_CASE("RFC 6066 3: two names are decode_error")
{
    const byte_vector one = server_name("alos.test");
    const byte_vector entry = copy_of(byte_view(one).subspan(2));
    const byte_vector two = written([&](writer& out) {
        out.vector16([&] {
            out.bytes(entry);
            out.bytes(entry);
        });
    });
    CHECK(answer_to_extension(extension_type::server_name, two) == refused(errc::bad_server_name, alert::decode_error));
}

TEST_CASE("RFC 6066 3: a name with a zero in it is decode_error")
{
    CHECK(answer_to_extension(extension_type::server_name, server_name(std::string_view("alos\0.test", 10))) ==
          refused(errc::bad_server_name, alert::decode_error));
}

TEST_CASE("RFC 6066 3: a name of more than 255 bytes is decode_error")
{
    CHECK(answer_to_extension(extension_type::server_name, server_name(std::string(255, 'a'))) == accepted());
    CHECK(answer_to_extension(extension_type::server_name, server_name(std::string(256, 'a'))) ==
          refused(errc::bad_server_name, alert::decode_error));
}

TEST_CASE("RFC 6066 3: a name that chose the certificate is acknowledged, another is not")
{
    for (const std::string_view name : {"alos.test", "ALOS.test", "other.test"}) {
        connection tls;
        tls.client.hello.set(extension_type::server_name, server_name(name));
        tls.handshake();
        const bool known = name != "other.test";
        CHECK(tls.client.message(handshake_type::encrypted_extensions)->body ==
              (known ? byte_vector{0, 4, 0, 0, 0, 0} : byte_vector{0, 0}));
        CHECK(tls.server.negotiated().server_name == name);
    }
}

// --- RFC 7301: ALPN ---

TEST_CASE("RFC 7301 3.2: the server's order of protocols decides, and one is answered")
{
    CHECK(protocol_of({"http/1.1", "h2"}, {"h2", "http/1.1"}) == "h2");
    CHECK(protocol_of({"http/1.1", "h2"}, {"http/1.1"}) == "http/1.1");
    connection tls(config_with_protocols({"h2", "http/1.1"}));
    tls.client.hello.remove(extension_type::server_name);
    tls.client.hello.set(extension_type::application_layer_protocol_negotiation, protocols({"http/1.1", "h2"}));
    tls.handshake();
    CHECK(tls.client.message(handshake_type::encrypted_extensions)->body ==
          byte_vector{0, 9, 0, 16, 0, 5, 0, 3, 2, 'h', '2'});
}

TEST_CASE("RFC 7301 3.2: no protocol in common is no_application_protocol")
{
    CHECK(answer_to_extension(extension_type::application_layer_protocol_negotiation, protocols({"spdy/3", "H2", "h"}),
                              config_with_protocols({"h2"})) ==
          refused(errc::no_application_protocol, alert::no_application_protocol));
}

TEST_CASE("RFC 7301 3.2: protocols are ignored by a server that has none")
{
    CHECK(protocol_of({"h2"}, {}).empty());
}

TEST_CASE("RFC 7301 3.1: GREASE among the protocols is ignored")
{
    CHECK(protocol_of({"\x0a\x0a", "h2"}, {"h2"}) == "h2");
}

TEST_CASE("RFC 7301 3.1: an empty list, or an empty protocol name, is decode_error")
{
    const auto alpn = extension_type::application_layer_protocol_negotiation;
    CHECK(answer_to_extension(alpn, protocols({})) == refused(errc::extension_decode, alert::decode_error));
    CHECK(answer_to_extension(alpn, protocols({"", "h2"})) == refused(errc::extension_decode, alert::decode_error));
    CHECK(answer_to_extension(alpn, protocols({"h2", ""})) == refused(errc::extension_decode, alert::decode_error));
}

TEST_CASE("RFC 7301 3.1: protocols cut short are decode_error")
{
    check_cut_short(extension_type::application_layer_protocol_negotiation, protocols({"h2", "http/1.1"}));
}

}
