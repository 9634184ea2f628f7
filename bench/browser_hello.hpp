// The ClientHello of a browser of 2026, as Chrome sends it: X25519MLKEM768, GREASE (RFC 8701), and what a server of
// TLS 1.3 alone has to skip.
#ifndef ALOS_BENCH_BROWSER_HELLO_HPP
#define ALOS_BENCH_BROWSER_HELLO_HPP

#include <support/client_hello.hpp>

namespace alos_bench {

[[nodiscard]] inline alos_tests::hello_message browser_hello()
{
    using namespace alos_tests;
    using namespace std::string_view_literals;

    const auto is = [](std::string_view bytes) { return copy_of(as_bytes(bytes)); };
    constexpr auto grease = [](std::uint16_t code) { return static_cast<extension_type>(code); };
    constexpr auto other = grease;                                       // extensions that alos has no name for
    const byte_vector encrypted_client_hello = written([](writer& out) { // draft-ietf-tls-esni: GREASE too
        out.u8(0);                                                       // outer
        out.u16(0x0001);                                                 // HKDF-SHA256
        out.u16(0x0001);                                                 // AES-128-GCM
        out.u8(0x5a);
        out.vector16([&] { out.bytes(byte_vector(32, 0xec)); });
        out.vector16([&] { out.bytes(byte_vector(176, 0xed)); });
    });

    hello_message hello;
    hello.session_id = byte_vector(max_session_id_size, 0x5e);
    hello.cipher_suites = {0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030,
                           0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035};
    hello.extensions = {
        {grease(0xdada), {}},
        {extension_type::signature_algorithms,
         list16<std::uint16_t>({0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601})},
        {other(18), {}}, // signed_certificate_timestamp
        {extension_type::application_layer_protocol_negotiation, protocols({"h2", "http/1.1"})},
        {extension_type::key_share, shares({{named_group{0x3a3a}, {0}},
                                            {named_group::x25519mlkem768, byte_vector(1184 + 32, 0x6b)},
                                            {named_group::x25519, byte_vector(32, 0x9c)}})},
        {other(0xff01), {0}},   // renegotiation_info
        {other(11), {1, 0}},    // ec_point_formats
        {other(27), {2, 0, 2}}, // compress_certificate
        {extension_type::server_name, server_name("www.example.com")},
        {other(5), {1, 0, 0, 0, 0}},             // status_request
        {other(23), {}},                         // extended_master_secret
        {other(0x44cd), is("\x00\x03\x02h2"sv)}, // application_settings
        {extension_type::supported_groups, list16<std::uint16_t>({0x3a3a, 0x11ec, 0x001d, 0x0017, 0x0018})},
        {extension_type::psk_key_exchange_modes, psk_modes()},
        {other(35), {}}, // session_ticket
        {extension_type::supported_versions, versions({0x8a8a, tls13_version, tls12_version})},
        {other(0xfe0d), encrypted_client_hello},
        {grease(0x4a4a), {0}},
    };
    return hello;
}

}

#endif
