// ClientHello (RFC 8446 4.1.2): decoded and checked as far as it can be without knowing the server.
#ifndef ALOS_TLS13_CLIENT_HELLO_HPP
#define ALOS_TLS13_CLIENT_HELLO_HPP

#include <alos/tls13/extensions.hpp>

#include <algorithm>
#include <optional>

namespace alos::inline v0::tls13 {

// Owns its bytes; the views point into them and move with it.
struct client_hello {
    static constexpr handshake_type type = handshake_type::client_hello;

    std::uint16_t legacy_version = 0;
    byte_view random;
    byte_view session_id;
    code_points cipher_suites;
    byte_view extensions; // the list as it came

    bool offers_tls13 = false; // if not, nothing below is filled
    std::string_view server_name;
    code_points supported_groups;
    code_points signature_algorithms;
    code_points signature_algorithms_cert; // the same as signature_algorithms if the client did not send it
    byte_view protocol_names;              // RFC 7301; empty if not sent
    key_share_entries key_share;
    std::optional<byte_view> cookie;
    bool early_data = false;
    bool pre_shared_key = false;

    client_hello() = default;
    client_hello(client_hello&&) = default;
    client_hello& operator=(client_hello&&) = default;

    // `body` is the message without its header; it is copied.
    [[nodiscard]] static decoded<client_hello> decode(byte_view body);

private:
    [[nodiscard]] errc decode_extensions();
    [[nodiscard]] errc decode_extension(extension_type type, byte_view data);
    [[nodiscard]] errc check_tls13() const;

    byte_vector body_;
    std::optional<byte_view> key_share_data_;
    std::optional<byte_view> supported_versions_data_;
    bool psk_key_exchange_modes_ = false;
};

// Calls visit(type, data) for each extension of a list that is known to be whole, until one is not errc::none.
template <class Visit>
[[nodiscard]] errc for_each_extension(byte_view extensions, Visit visit)
{
    for (reader in(extensions); !in.empty();) {
        const auto type = static_cast<extension_type>(in.u16());
        const byte_view data = in.vector16();
        if (const errc bad = visit(type, data); bad != errc::none)
            return bad;
    }
    return errc::none;
}

// RFC 8446 4.2: structure, and
//    There MUST NOT be more than one extension of the same type in a given extension block.
[[nodiscard]] inline errc check_extension_list(byte_view extensions)
{
    std::vector<std::uint16_t> types;
    for (reader in(extensions); !in.empty();) {
        types.push_back(in.u16());
        in.vector16();
        if (!in.ok())
            return errc::message_decode;
    }
    std::ranges::sort(types);
    return std::ranges::adjacent_find(types) == types.end() ? errc::none : errc::duplicate_extension;
}

inline decoded<client_hello> client_hello::decode(byte_view body)
{
    client_hello hello;
    hello.body_.assign(body.begin(), body.end());
    reader in(hello.body_);
    hello.legacy_version = in.u16();
    hello.random = in.bytes(random_size);
    hello.session_id = in.vector8(0, max_session_id_size);
    hello.cipher_suites = code_points(in.vector16(2, 0xfffe));
    const byte_view compression = in.vector8(1);
    if (!in.ok() || hello.cipher_suites.bytes().size() % 2 != 0)
        return errc::message_decode;
    // RFC 8446 D.5
    if (hello.legacy_version <= 0x0300)
        return errc::legacy_version_ssl3;
    if (in.empty())
        return hello; // RFC 8446 4.1.2: without extensions it is a TLS 1.2 ClientHello
    hello.extensions = in.vector16();
    if (!in.complete())
        return errc::message_decode;
    if (const errc bad = check_extension_list(hello.extensions); bad != errc::none)
        return bad;
    if (const errc bad = hello.decode_extensions(); bad != errc::none)
        return bad;
    // RFC 8446 4.1.2
    //    For every TLS 1.3 ClientHello, this vector MUST contain exactly one byte, set to zero [...] If a TLS 1.3
    //    ClientHello is received with any other value in this field, the server MUST abort the handshake with an
    //    "illegal_parameter" alert.
    if (hello.offers_tls13 && !(compression.size() == 1 && compression[0] == 0))
        return errc::bad_compression;
    return hello;
}

// RFC 8446 4.2.1 comes first: what does not offer TLS 1.3 is somebody else's to read.
inline errc client_hello::decode_extensions()
{
    extension_type last{};
    const errc found = for_each_extension(extensions, [&](extension_type type, byte_view data) {
        last = type;
        if (type == extension_type::supported_versions)
            supported_versions_data_ = data;
        return errc::none;
    });
    if (found != errc::none || !supported_versions_data_)
        return found;
    const decoded<code_points> versions = decode_supported_versions(*supported_versions_data_);
    if (!versions)
        return errc::extension_decode;
    offers_tls13 = versions->contains(tls13_version);
    if (!offers_tls13)
        return errc::none;
    const errc bad = for_each_extension(
        extensions, [&](extension_type type, byte_view data) { return decode_extension(type, data); });
    if (bad != errc::none)
        return bad;
    // RFC 8446 4.2.11
    //    The "pre_shared_key" extension MUST be the last extension in the ClientHello [...] Servers MUST check that
    //    it is the last extension and otherwise fail the handshake with an "illegal_parameter" alert.
    if (pre_shared_key && last != extension_type::pre_shared_key)
        return errc::pre_shared_key_not_last;
    if (signature_algorithms_cert.size() == 0)
        signature_algorithms_cert = signature_algorithms;
    if (const errc missing = check_tls13(); missing != errc::none)
        return missing;
    const auto entries = decode_key_share(*key_share_data_, supported_groups);
    if (!entries)
        return entries.error();
    key_share = *entries;
    return errc::none;
}

inline errc client_hello::decode_extension(extension_type type, byte_view data)
{
    const auto take = [](const auto& from, auto& into) {
        if (!from)
            return from.error();
        into = *from;
        return errc::none;
    };
    switch (type) {
    case extension_type::server_name: return take(decode_server_name(data), server_name);
    case extension_type::supported_groups: return take(decode_code_points16(data), supported_groups);
    case extension_type::signature_algorithms: return take(decode_code_points16(data), signature_algorithms);
    case extension_type::signature_algorithms_cert:
        return take(decode_code_points16(data), signature_algorithms_cert);
    case extension_type::application_layer_protocol_negotiation:
        return take(decode_protocol_name_list(data), protocol_names);
    case extension_type::key_share: key_share_data_ = data; return errc::none;
    case extension_type::cookie: {
        reader in(data);
        cookie = in.vector16(1);
        return in.complete() ? errc::none : errc::extension_decode;
    }
    case extension_type::psk_key_exchange_modes: {
        reader in(data);
        in.vector8(1);
        psk_key_exchange_modes_ = true;
        return in.complete() ? errc::none : errc::extension_decode;
    }
    case extension_type::early_data: // RFC 8446 4.2.10
        early_data = true;
        return data.empty() ? errc::none : errc::extension_decode;
    case extension_type::pre_shared_key: pre_shared_key = true; return check_offered_psks(data);
    case extension_type::oid_filters: // RFC 8446 4.2: recognised, and not specified for a ClientHello
        return errc::misplaced_extension;
    default: return errc::none; // RFC 8446 4.1.2: servers MUST ignore unrecognized extensions
    }
}

// RFC 8446 9.2: what a ClientHello must contain when no PSK is used, and 4.2.9.
inline errc client_hello::check_tls13() const
{
    if (pre_shared_key && !psk_key_exchange_modes_)
        return errc::missing_psk_key_exchange_modes;
    if (signature_algorithms.size() == 0)
        return errc::missing_signature_algorithms;
    if (supported_groups.size() == 0)
        return errc::missing_supported_groups;
    if (!key_share_data_)
        return errc::missing_key_share;
    return errc::none;
}

// RFC 8446 4.1.2: what a client may change after a HelloRetryRequest.
[[nodiscard]] constexpr bool may_change_after_retry(extension_type type) noexcept
{
    return type == extension_type::key_share || type == extension_type::early_data ||
        type == extension_type::cookie || type == extension_type::pre_shared_key || type == extension_type::padding;
}

// RFC 8446 4.1.2: whether the second ClientHello differs from the first where it may not.
[[nodiscard]] inline bool differs_illegally(const client_hello& first, const client_hello& second) noexcept
{
    if (first.legacy_version != second.legacy_version || !equal(first.random, second.random) ||
        !equal(first.session_id, second.session_id) ||
        !equal(first.cipher_suites.bytes(), second.cipher_suites.bytes()))
        return true;
    const auto next_fixed = [](reader& in) {
        while (!in.empty()) {
            const byte_view start = in.rest();
            const auto type = static_cast<extension_type>(in.u16());
            const byte_view data = in.vector16();
            if (!may_change_after_retry(type))
                return start.first(4 + data.size());
        }
        return byte_view{};
    };
    reader a(first.extensions);
    reader b(second.extensions);
    for (;;) {
        const byte_view x = next_fixed(a);
        const byte_view y = next_fixed(b);
        if (!equal(x, y))
            return true;
        if (x.empty())
            return false;
    }
}

}

#endif
