// EncryptedExtensions (RFC 8446 4.3.1): what the server says once it can say it in secret.
#ifndef ALOS_TLS13_ENCRYPTED_EXTENSIONS_HPP
#define ALOS_TLS13_ENCRYPTED_EXTENSIONS_HPP

#include <alos/codec.hpp>
#include <alos/tls13/types.hpp>

#include <string_view>

namespace alos::inline v0::tls13 {

// The body. `server_name_used`: the client's name chose the certificate (RFC 6066 3). `protocol`: RFC 7301 3.1, empty
// if none was chosen.
[[nodiscard]] inline byte_vector encrypted_extensions(bool server_name_used, std::string_view protocol)
{
    byte_vector body;
    writer out(body);
    out.vector16([&] {
        if (server_name_used) {
            out.u16(static_cast<std::uint16_t>(extension_type::server_name));
            out.u16(0);
        }
        if (!protocol.empty()) {
            out.u16(static_cast<std::uint16_t>(extension_type::application_layer_protocol_negotiation));
            out.vector16([&] { out.vector16([&] { out.vector8([&] { out.bytes(as_bytes(protocol)); }); }); });
        }
    });
    return body;
}

}

#endif
