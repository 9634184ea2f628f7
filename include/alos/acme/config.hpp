// What an operator says about certificates: for which names, from whom, how, and where they are kept.
#ifndef ALOS_ACME_CONFIG_HPP
#define ALOS_ACME_CONFIG_HPP

#include <alos/acme/solver.hpp>
#include <alos/crypto/algorithms.hpp>
#include <alos/crypto/pem.hpp>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

inline constexpr const char* lets_encrypt = "https://acme-v02.api.letsencrypt.org/directory";
inline constexpr const char* lets_encrypt_staging = "https://acme-staging-v02.api.letsencrypt.org/directory";

// How much is asked of one CA, so that its own limits are never met (token buckets: `burst` at once, then one more
// every `refill`). Zero as `burst` is no limit.
struct rate {
    unsigned burst = 0;
    std::chrono::seconds refill{0};
};

struct certificate_authority {
    std::string directory = lets_encrypt; // RFC 8555 7.1.1
    std::string eab_kid{};                // RFC 8555 7.3.4, both or none
    secret_text eab_hmac_key{};           // base64url, as the CA gives it; see to_secret_text()
    std::string eab_hmac_key_file{};      // where that is kept instead; read when an account is made
    key_kind account_key = key_kind::ecdsa_p256; // of a new account; one that is there keeps its own
    std::string roots_file{};             // PEM; authorities for its HTTPS beside the system's
    std::string profile{};                // "tlsserver", "shortlived"; empty: the CA's default
    std::string preferred_chain{};        // common name of the topmost issuer; empty: the CA's default
    bool allow_http = false;              // directory by plain http; for tests only

    [[nodiscard]] bool has_eab_hmac_key() const noexcept
    {
        return !eab_hmac_key.empty() || !eab_hmac_key_file.empty();
    }

    // Below what Let's Encrypt allows: 300 orders per account in 3 hours, 10 accounts per address in 3 hours, 5
    // certificates for the same names in 7 days, 5 failed validations of a name in an hour. The last two refill faster
    // for certificates that live for less than five days.
    rate orders{250, std::chrono::seconds(45)};
    rate accounts{5, std::chrono::seconds(2160)};
    rate certificates{4, std::chrono::hours(36)};
    rate failed_validations{3, std::chrono::minutes(15)};
};

// The names of one certificate: "example.com", or {"example.com", "*.example.com"}. The first one names it in files
// and logs. Addresses are names, too (RFC 8738).
struct certificate_names {
    certificate_names(const char* name) : names{name} {}
    certificate_names(std::string name) : names{std::move(name)} {}
    certificate_names(std::initializer_list<std::string> several) : names(several) {}
    explicit certificate_names(std::vector<std::string> several) : names(std::move(several)) {}

    std::vector<std::string> names;
    std::string email{}; // of the account for this one; empty: that of the configuration
};

// What answers for a name until its first certificate is there.
enum class before_issuance {
    self_signed,       // a self-signed certificate for it
    unrecognized_name, // that alert (RFC 6066 3)
};

struct config {
    std::string email{};                     // of the account; may be empty
    std::vector<certificate_names> domains{}; // each entry is one certificate

    // Where certificates, accounts and orders are kept. Certificates in a folder of certbot's or lego's are served, and
    // never written; what is obtained is then kept in the default folder, or in "alos" within that one.
    std::string cache_dir = ".alos-certs";
    bool store_in_foreign = false;

    // In the order in which they are tried.
    std::vector<certificate_authority> cas = {certificate_authority{}};

    // One certificate for each of them.
    std::vector<key_kind> key_types = {key_kind::ecdsa_p256};

    // Those that fit a name, in this order; dns-01 takes part if there is a `dns`.
    std::vector<challenge_type> challenges = {challenge_type::http_01, challenge_type::tls_alpn_01,
                                              challenge_type::dns_01};
    std::shared_ptr<dns_solver> dns{};

    // "host:port": plain HTTP there answers the http-01 challenges that are not our own, without a proxy. It is asked
    // 64 times at once at most, and given 5 seconds; what comes beyond is answered with 503, what fails with 502.
    std::string acme_node{};

    // Where the CA connects to, for the check from here before it does.
    std::uint16_t http01_port = 80;
    std::uint16_t tls_alpn01_port = 443;
    bool self_check = true;

    // Name servers, "address" or "address:port", at most 8 with commas between them, asked in this order; empty: those
    // of /etc/resolv.conf, whose changes are noticed.
    std::string resolver{};
    before_issuance until_then = before_issuance::self_signed;
    unsigned orders_at_once = 16;  // zero counts as one
    unsigned generations_kept = 5; // of each certificate, and the current one if it is older; zero counts as one
};

}

#endif
