// Negotiation (RFC 8446 4.1.1): what a ClientHello and a server have in common, and which certificate answers it.
#ifndef ALOS_TLS13_NEGOTIATE_HPP
#define ALOS_TLS13_NEGOTIATE_HPP

#include <alos/cert/snapshot.hpp>
#include <alos/tls13/client_hello.hpp>
#include <alos/tls13/config.hpp>

#include <algorithm>
#include <optional>
#include <string_view>

namespace alos::inline v0::tls13 {

// RFC 8446 4.1.1: independent choices of suite and group.
struct choice {
    cipher_suite suite;
    named_group group;
    bool retry; // the client sent no share for `group` (4.1.4)
};

[[nodiscard]] inline std::optional<cipher_suite> choose_suite(const client_hello& hello, const server_config& config)
{
    if (config.prefer_server_suites) {
        for (const cipher_suite suite : config.suites) {
            if (hello.cipher_suites.contains(suite))
                return suite;
        }
        return std::nullopt;
    }
    for (std::size_t i = 0; i < hello.cipher_suites.size(); ++i) {
        const auto suite = static_cast<cipher_suite>(hello.cipher_suites[i]);
        if (std::ranges::find(config.suites, suite) != config.suites.end())
            return suite;
    }
    return std::nullopt;
}

[[nodiscard]] inline decoded<choice> negotiate(const client_hello& hello, const server_config& config)
{
    const auto suite = choose_suite(hello, config);
    if (!suite)
        return errc::no_common_suite;
    std::optional<named_group> without_share;
    for (const named_group group : config.groups) {
        if (!hello.supported_groups.contains(group))
            continue;
        if (hello.key_share.find(group))
            return choice{*suite, group, false};
        if (!without_share)
            without_share = group;
        if (config.prefer_server_groups || group == named_group::x25519mlkem768)
            break;
    }
    if (!without_share)
        return errc::no_common_group;
    return choice{*suite, *without_share, true};
}

// RFC 8737 6.2
inline constexpr std::string_view acme_tls_protocol = "acme-tls/1";

// RFC 8737 3
//    The ACME server MUST provide an ALPN extension with the single protocol name "acme-tls/1"
// Note: who offers more than that is no ACME server, and never sees the certificate of a challenge.
[[nodiscard]] inline bool is_acme_validation(const client_hello& hello) noexcept
{
    reader names(hello.protocol_names);
    return as_text(names.vector8(1)) == acme_tls_protocol && names.complete();
}

// RFC 7301 3.2: the server's most preferred protocol that the client offers; empty if ALPN is not in use. Never
// acme-tls/1, whatever the settings say, so that it is not spoken besides validations.
[[nodiscard]] inline decoded<std::string_view> choose_protocol(const client_hello& hello, const server_config& config)
{
    if (hello.protocol_names.empty() || config.alpn.empty())
        return std::string_view{};
    for (const std::string& protocol : config.alpn) {
        if (protocol != acme_tls_protocol && contains_protocol(hello.protocol_names, protocol))
            return std::string_view(protocol);
    }
    return errc::no_application_protocol;
}

struct signing_choice {
    const cert::credential* credential = nullptr;
    signature_scheme scheme{};
};

// RFC 8446 4.4.3: what this key signs with.
[[nodiscard]] inline std::optional<signature_scheme> choose_scheme(const client_hello& hello,
                                                                   const cert::credential& credential)
{
    for (const signature_scheme scheme : credential.key->schemes()) {
        if (hello.signature_algorithms.contains(scheme))
            return scheme;
    }
    return std::nullopt;
}

// RFC 8446 4.4.2.2, 4.4.3: the first credential that can sign as the client asks; one whose chain is also signed as
// the client asks (4.2.3) goes first.
[[nodiscard]] inline decoded<signing_choice> choose_credential(const client_hello& hello,
                                                               std::span<const cert::credential_ptr> candidates)
{
    const auto accepted_chain = [&](const cert::credential& credential) {
        return std::ranges::all_of(credential.chain_schemes, [&](signature_scheme scheme) {
            return hello.signature_algorithms_cert.contains(scheme);
        });
    };
    if (candidates.empty())
        return errc::no_certificate;
    signing_choice found;
    for (const cert::credential_ptr& candidate : candidates) {
        const auto scheme = choose_scheme(hello, *candidate);
        if (scheme && accepted_chain(*candidate))
            return signing_choice{candidate.get(), *scheme};
        if (scheme && !found.credential)
            found = {candidate.get(), *scheme};
    }
    if (!found.credential)
        return errc::no_common_signature_scheme;
    return found;
}

// The same for a client that comes for a page: by its server name, else by the address it connected to.
[[nodiscard]] inline decoded<signing_choice> choose_credential(const client_hello& hello,
                                                               const cert::snapshot& certificates,
                                                               byte_view local_address)
{
    if (certificates.refuses(hello.server_name))
        return errc::no_certificate; // RFC 6066 3
    return choose_credential(hello, certificates.find(hello.server_name, local_address));
}

// RFC 8737 3: the certificate that answers a validation, and no ordinary one if there is none. That it is self-signed
// does not matter to the client (RFC 8737 4), so its chain is not looked at.
[[nodiscard]] inline decoded<signing_choice> choose_challenge(const client_hello& hello,
                                                              const cert::snapshot& certificates)
{
    const cert::credential* challenge = certificates.challenge(hello.server_name);
    if (!challenge)
        return errc::no_application_protocol;
    const auto scheme = choose_scheme(hello, *challenge);
    if (!scheme)
        return errc::no_common_signature_scheme;
    return signing_choice{challenge, *scheme};
}

}

#endif
