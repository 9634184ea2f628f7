// ClientHellos put together field by field (RFC 8446 4.1.2), and the contents of extensions (4.2). Nothing is checked,
// so that everything can be wrong.
#ifndef ALOS_TESTS_SUPPORT_CLIENT_HELLO_HPP
#define ALOS_TESTS_SUPPORT_CLIENT_HELLO_HPP

#include <alos/codec.hpp>
#include <alos/crypto/algorithms.hpp>
#include <alos/tls13/types.hpp>

#include <string_view>
#include <utility>
#include <vector>

namespace alos_tests {

using namespace alos;
using namespace alos::tls13;

// What `contents(writer&)` writes.
template <class Contents>
[[nodiscard]] byte_vector written(Contents contents)
{
    byte_vector bytes;
    writer out(bytes);
    contents(out);
    return bytes;
}

[[nodiscard]] inline byte_vector joined(std::initializer_list<byte_view> parts)
{
    byte_vector bytes;
    for (const byte_view part : parts)
        bytes.insert(bytes.end(), part.begin(), part.end());
    return bytes;
}

[[nodiscard]] inline byte_vector copy_of(byte_view bytes) { return {bytes.begin(), bytes.end()}; }

// RFC 8446 4: a handshake message with its header.
[[nodiscard]] inline byte_vector handshake_message(handshake_type type, byte_view body)
{
    return written([&](writer& out) {
        out.u8(static_cast<std::uint8_t>(type));
        out.vector24([&] { out.bytes(body); });
    });
}

// A list of 16-bit code points behind a length of two bytes (supported_groups, signature_algorithms).
template <class Code = std::uint16_t>
[[nodiscard]] byte_vector list16(const std::vector<Code>& codes)
{
    return written([&](writer& out) {
        out.vector16([&] {
            for (const Code code : codes)
                out.u16(static_cast<std::uint16_t>(code));
        });
    });
}

// RFC 8446 4.2.1
[[nodiscard]] inline byte_vector versions(const std::vector<std::uint16_t>& codes)
{
    return written([&](writer& out) {
        out.vector8([&] {
            for (const std::uint16_t code : codes)
                out.u16(code);
        });
    });
}

// RFC 8446 4.2.8
struct share {
    named_group group;
    byte_vector key_exchange;
};

[[nodiscard]] inline byte_vector shares(const std::vector<share>& entries)
{
    return written([&](writer& out) {
        out.vector16([&] {
            for (const share& entry : entries) {
                out.u16(static_cast<std::uint16_t>(entry.group));
                out.vector16([&] { out.bytes(entry.key_exchange); });
            }
        });
    });
}

// RFC 6066 3
[[nodiscard]] inline byte_vector server_name(std::string_view name, std::uint8_t name_type = 0)
{
    return written([&](writer& out) {
        out.vector16([&] {
            out.u8(name_type);
            out.vector16([&] { out.bytes(as_bytes(name)); });
        });
    });
}

// RFC 7301 3.1
[[nodiscard]] inline byte_vector protocols(const std::vector<std::string_view>& names)
{
    return written([&](writer& out) {
        out.vector16([&] {
            for (const std::string_view name : names)
                out.vector8([&] { out.bytes(as_bytes(name)); });
        });
    });
}

// RFC 8446 4.2.2
[[nodiscard]] inline byte_vector cookie(byte_view contents)
{
    return written([&](writer& out) { out.vector16([&] { out.bytes(contents); }); });
}

// RFC 8446 4.2.11
[[nodiscard]] inline byte_vector offered_psks(std::size_t identities, std::size_t binders)
{
    return written([&](writer& out) {
        out.vector16([&] {
            for (std::size_t i = 0; i < identities; ++i) {
                out.vector16([&] { out.bytes(as_bytes("a ticket of another server")); });
                out.u32(0x12345678); // obfuscated_ticket_age
            }
        });
        out.vector16([&] {
            for (std::size_t i = 0; i < binders; ++i)
                out.vector8([&] { out.bytes(byte_vector(32, 0xb1)); });
        });
    });
}

// RFC 8446 4.2.9: psk_dhe_ke
[[nodiscard]] inline byte_vector psk_modes() { return {1, 1}; }

struct extension {
    extension_type type;
    byte_vector data;
};

struct hello_message {
    std::uint16_t legacy_version = tls12_version;
    byte_vector random = byte_vector(random_size, 0x11);
    byte_vector session_id;
    std::vector<std::uint16_t> cipher_suites{0x1301, 0x1302, 0x1303};
    byte_vector compression_methods{0};
    std::vector<extension> extensions;

    [[nodiscard]] extension* find(extension_type type)
    {
        for (extension& one : extensions) {
            if (one.type == type)
                return &one;
        }
        return nullptr;
    }

    // Replaces the extension where it stands, or adds it as the last.
    void set(extension_type type, byte_vector data)
    {
        if (extension* found = find(type))
            found->data = std::move(data);
        else
            extensions.push_back({type, std::move(data)});
    }

    void remove(extension_type type)
    {
        std::erase_if(extensions, [&](const extension& one) { return one.type == type; });
    }

    [[nodiscard]] byte_vector body() const
    {
        return written([&](writer& out) {
            out.u16(legacy_version);
            out.bytes(random);
            out.vector8([&] { out.bytes(session_id); });
            out.vector16([&] {
                for (const std::uint16_t suite : cipher_suites)
                    out.u16(suite);
            });
            out.vector8([&] { out.bytes(compression_methods); });
            out.vector16([&] {
                for (const extension& one : extensions) {
                    out.u16(static_cast<std::uint16_t>(one.type));
                    out.vector16([&] { out.bytes(one.data); });
                }
            });
        });
    }

    [[nodiscard]] byte_vector message() const { return handshake_message(handshake_type::client_hello, body()); }
};

// A hello that every server accepts: TLS 1.3 only, one share.
[[nodiscard]] inline hello_message valid_hello(byte_view x25519_share)
{
    hello_message hello;
    hello.set(extension_type::server_name, server_name("alos.test"));
    hello.set(extension_type::supported_groups,
              list16<named_group>({named_group::x25519, named_group::secp256r1, named_group::secp384r1}));
    hello.set(extension_type::signature_algorithms,
              list16<signature_scheme>({signature_scheme::ecdsa_secp256r1_sha256, signature_scheme::rsa_pss_rsae_sha256,
                                        signature_scheme::ed25519}));
    hello.set(extension_type::supported_versions, versions({tls13_version}));
    hello.set(extension_type::psk_key_exchange_modes, psk_modes());
    hello.set(extension_type::key_share, shares({{named_group::x25519, copy_of(x25519_share)}}));
    return hello;
}

}

#endif
