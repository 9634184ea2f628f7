// What a TLS 1.3 server is told by its owner.
#ifndef ALOS_TLS13_CONFIG_HPP
#define ALOS_TLS13_CONFIG_HPP

#include <alos/cert/store.hpp>
#include <alos/crypto/algorithms.hpp>
#include <alos/tls13/record.hpp>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace alos::inline v0::tls13 {

// Shared by all connections and not changed while any of them lives.
struct server_config {
    // Whose snapshot a handshake takes, once; outlives every connection.
    const cert::store* certificates = nullptr;

    // RFC 8446 B.4: what is spoken. The order counts only if prefer_server_suites is set.
    std::vector<cipher_suite> suites{cipher_suite::aes_128_gcm_sha256, cipher_suite::aes_256_gcm_sha384,
                                     cipher_suite::chacha20_poly1305_sha256};
    bool prefer_server_suites = false;

    // RFC 8446 4.2.7: the preferred one first. A hybrid group that the client supports is asked for by a
    // HelloRetryRequest when the client sent no share for it; among the others one with a share goes first, unless
    // prefer_server_groups makes the first that the client supports worth a round trip.
    std::vector<named_group> groups{named_group::x25519mlkem768, named_group::x25519, named_group::secp256r1,
                                    named_group::secp384r1};
    bool prefer_server_groups = false;

    // RFC 7301: protocols, the preferred one first. Empty: the client's extension is ignored.
    std::vector<std::string> alpn;

    // The longest handshake message that is accepted, in bytes: 64 KiB of extensions and what stands before them.
    std::size_t max_handshake_message = 65 * 1024;

    // RFC 8446 4.2.10: how much rejected early data is skipped, in bytes of ciphertext.
    std::size_t max_early_data_skipped = 16 * 1024;

    // RFC 8446 5.5: records under one key before a KeyUpdate, in each direction.
    std::uint64_t records_per_key = max_records_per_key;

    // RFC 8446 5.4: records are padded to a multiple of this many bytes; 0 and 1 mean no padding.
    std::size_t pad_to_multiple_of = 0;

    // RFC 8446 5.1: the most plaintext in one record, at most 2^14 bytes.
    std::size_t max_fragment = max_plaintext_size;

    // Runs its argument, a private key operation that is not immediate, on another thread (RFC 8446 4.4.3). Empty: the
    // key's own start() decides where it signs.
    std::function<void(std::function<void()>)> run_elsewhere;

    // Whether a ClientHello without TLS 1.3 ends with want::fallback (its bytes can be taken with received())
    // instead of the alert protocol_version.
    bool hand_over_older_versions = false;
};

// Whether a server can work by this; otherwise which setting is wrong, and why.
[[nodiscard]] inline outcome<> check(const server_config& config)
{
    const auto wrong = [](std::string what) { return failure{alos::errc::bad_configuration, std::move(what)}; };
    const auto known = [](auto each) { return is_known(each); };
    if (config.suites.empty() || !std::ranges::all_of(config.suites, known))
        return wrong("tls.suites: needs one cipher suite or more, of those that alos has");
    if (config.groups.empty() || !std::ranges::all_of(config.groups, known))
        return wrong("tls.groups: needs one group or more, of those that alos has");
    for (const std::string& protocol : config.alpn) {
        if (protocol.empty() || protocol.size() > 255) // RFC 7301 3.1
            return wrong("tls.alpn: a protocol's name has 1 to 255 bytes, \"" + protocol + "\" has not");
    }
    if (config.max_fragment == 0 || config.max_fragment > max_plaintext_size)
        return wrong("tls.max_fragment: a record holds 1 to 16384 bytes (RFC 8446 5.1)");
    if (config.max_handshake_message < 1024)
        return wrong("tls.max_handshake_message: a ClientHello needs 1024 bytes or more");
    if (config.records_per_key == 0)
        return wrong("tls.records_per_key: a key is good for one record at least");
    return {};
}

}

#endif
