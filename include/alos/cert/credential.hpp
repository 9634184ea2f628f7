// A credential: a certificate chain, the key that signs for it, and what a handshake needs of both, computed once.
#ifndef ALOS_CERT_CREDENTIAL_HPP
#define ALOS_CERT_CREDENTIAL_HPP

#include <alos/bytes.hpp>
#include <alos/crypto/algorithms.hpp>
#include <alos/error.hpp>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace alos::inline v0::cert {

// A private key behind the one operation that a server needs of it. All members may be called from any thread.
// Implement it to sign in an HSM or a remote service: answer false from immediate() and override start().
class signing_key {
public:
    using completion = std::function<void(result<byte_vector>)>;

    virtual ~signing_key() = default;

    // The schemes that it can sign with, the preferred one first; valid as long as the key.
    [[nodiscard]] virtual std::span<const signature_scheme> schemes() const noexcept = 0;

    // Signs `content` (RFC 8446 4.4.3) here and now.
    [[nodiscard]] virtual result<byte_vector> sign(signature_scheme scheme, byte_view content) const = 0;

    // Whether sign() is quick enough for the thread that serves connections.
    [[nodiscard]] virtual bool immediate() const noexcept { return true; }

    // Begins to sign; calls `done` once, on any thread, perhaps before it returns, or destroys it uncalled. Either must
    // happen while the executor of the connection lives. Does not throw.
    virtual void start(signature_scheme scheme, byte_vector content, completion done) const
    {
        done(sign(scheme, content));
    }
};

enum class source { self_signed, manual, acme };

// What a certificate says of itself (RFC 5280 4.1.2), for people and for lookups.
struct description {
    std::vector<std::string> names;     // DNS names as A-labels in lower case, wildcards as "*.example.com"
    std::vector<std::string> addresses; // IP addresses in their canonical text form
    std::string subject;
    std::string issuer;
    std::chrono::system_clock::time_point not_before;
    std::chrono::system_clock::time_point not_after;
    std::string key_type;                       // "ECDSA P-256", "RSA 2048", "Ed25519", ...
    std::array<std::uint8_t, 32> fingerprint{}; // SHA-256 of the leaf
};

// "ECDSA" of "ECDSA P-256"; it lives as long as `of`.
[[nodiscard]] inline std::string_view key_family(const description& of) noexcept
{
    return std::string_view(of.key_type).substr(0, of.key_type.find_first_of(" -"));
}

// Immutable once it is made; shared by snapshots and by the handshakes that use it.
struct credential {
    std::vector<byte_vector> chain; // DER, leaf first
    // What each is signed with but self-signed ones; 0: a scheme without a name in TLS.
    std::vector<signature_scheme> chain_schemes;
    std::shared_ptr<const signing_key> key;
    byte_vector certificate_message; // the body of the Certificate message (RFC 8446 4.4.2), encoded once
    description about;
    source from = source::manual;
};

using credential_ptr = std::shared_ptr<const credential>;

}

#endif
