// The handshake with real cryptography, in every combination (RFC 8446 4.1.1: suite, group and signature are
// independent).
#include <alos/tls13/server_handshake.hpp>

#include "support/botan_client.hpp"
#include "support/connection.hpp"

#include <doctest/doctest.h>

namespace alos_tests {
namespace {

using botan_connection = basic_connection<botan_client>;

constexpr std::array<std::uint16_t, 3> suites{0x1301, 0x1302, 0x1303};
constexpr std::array groups{named_group::x25519mlkem768, named_group::x25519, named_group::secp256r1,
                            named_group::secp384r1};

void talk(botan_connection& tls)
{
    tls.handshake();
    tls.feed(tls.client.application_data("ping"));
    tls.write("pong");
    CHECK(as_text(tls.received) == "ping");
    CHECK(as_text(tls.client.data) == "pong");
}

}

TEST_CASE("RFC 8446 4.1.1: every suite with every group, with and without a retry")
{
    for (const std::uint16_t suite : suites) {
        for (const named_group group : groups) {
            for (const bool retry : {false, true}) {
                server_config config = test_config();
                config.groups = {group};
                botan_connection tls(config);
                tls.client.hello.cipher_suites = {suite};
                tls.client.hello.set(extension_type::supported_groups, list16<named_group>({group}));
                tls.client.offer_shares(retry ? std::vector<named_group>{} : std::vector{group});
                talk(tls);
                CHECK(tls.client.retried == retry);
                CHECK(tls.server.negotiated().group == group);
                CHECK(tls.server.negotiated().suite == cipher_suite{suite});
            }
        }
    }
}

TEST_CASE("RFC 8446 4.1.3, 4.2.8: no two handshakes have a random or a key share in common")
{
    botan_connection a;
    botan_connection b;
    a.handshake();
    b.handshake();
    CHECK(a.client.server_random != b.client.server_random);
    CHECK(a.client.message(handshake_type::server_hello)->body != b.client.message(handshake_type::server_hello)->body);
}

TEST_CASE("RFC 8446 4.2.8.2: a share of low order, or off its curve, is illegal_parameter")
{
    const std::array<share, 3> bad{{{named_group::x25519, byte_vector(32)},
                                    {named_group::secp256r1, byte_vector(65, 4)},
                                    {named_group::secp384r1, byte_vector(97, 4)}}};
    for (const share& one : bad) {
        botan_connection tls;
        tls.client.hello.set(extension_type::key_share, shares({one}));
        tls.feed(tls.client.client_hello());
        CHECK(tls.end() == refused(errc::bad_key_share, alert::illegal_parameter));
    }
}

TEST_CASE("RFC 8446 4.2.8: an ML-KEM key that is not one is illegal_parameter")
{
    server_config config = test_config();
    config.groups = {named_group::x25519mlkem768};
    botan_connection tls(config);
    tls.client.hello.set(extension_type::supported_groups, list16<named_group>({named_group::x25519mlkem768}));
    tls.client.hello.set(extension_type::key_share, shares({{named_group::x25519mlkem768, byte_vector(1216, 0xff)}}));
    tls.feed(tls.client.client_hello());
    CHECK(tls.end() == refused(errc::bad_key_share, alert::illegal_parameter));
}

TEST_CASE("RFC 8446 4.6.3: keys are updated with every suite")
{
    for (const std::uint16_t suite : suites) {
        botan_connection tls;
        tls.client.hello.cipher_suites = {suite};
        tls.handshake();
        for (int i = 0; i < 3; ++i) {
            tls.feed(tls.client.key_update(key_update_request::update_requested));
            tls.feed(tls.client.application_data("ping"));
            tls.write("pong");
        }
        CHECK(as_text(tls.received) == "pingpingping");
        CHECK(as_text(tls.client.data) == "pongpongpong");
        CHECK(tls.client.key_updates == 3);
    }
}

}
