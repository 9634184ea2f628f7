// The flags of BoringSSL's conformance runner that a server with full handshakes has a meaning for. Any other flag,
// and any value that asks for what is not there, ends the shim with the status "unimplemented".
#ifndef ALOS_TESTS_BOGO_OPTIONS_HPP
#define ALOS_TESTS_BOGO_OPTIONS_HPP

#include <alos/crypto/algorithms.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace alos_tests::bogo {

[[noreturn]] inline void unimplemented(std::string_view what)
{
    std::cerr << "unimplemented: " << what << '\n';
    std::exit(89);
}

template <class Number>
Number to_number(std::string_view text)
{
    Number value{};
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (ec != std::errc() || end != text.data() + text.size())
        unimplemented(text);
    return value;
}

struct credential_options {
    int index = -1; // the runner's number for it; the default one has -1
    std::string certificate_file;
    std::string key_file;
    std::vector<alos::signature_scheme> schemes; // all that the key can do if empty
};

struct options {
    // Where the runner is.
    std::uint16_t port = 0;
    bool ipv6 = false;
    std::uint64_t shim_id = 0;

    // What the server is.
    bool is_server = false;
    unsigned resumptions = 0;
    bool expects_session_miss = false;
    std::vector<credential_options> credentials{{}};
    std::vector<alos::named_group> groups;
    std::vector<alos::cipher_suite> suites;
    std::string alpn;
    bool rejects_alpn = false;
    bool is_async = false;
    unsigned signing_delay_ms = 0;
    std::size_t max_send_fragment = 0;

    // What it does.
    bool handshakes_again = false;
    bool writes_first = false;
    bool reads_with_unfinished_write = false;
    bool writes_different_sizes = false;
    bool updates_keys = false;
    bool shuts_down = false;
    bool checks_close_notify = false;
    std::size_t read_size = 512;

    // What it should find.
    std::string expected_server_name;
    bool expects_no_server_name = false;
    std::string expected_advertised_alpn;
    std::optional<bool> expected_retry;
    std::optional<std::uint16_t> expected_group;
    std::optional<std::uint16_t> expected_suite;
    std::vector<std::uint16_t> expected_verify_prefs;
    std::optional<int> expected_credential;
    bool expects_no_handshake = false;
};

// What a flag does with its value; flags without one are given an empty text.
struct flag {
    bool has_value;
    void (*apply)(options&, std::string_view value);
};

inline alos::named_group known_group(std::string_view value)
{
    const auto group = static_cast<alos::named_group>(to_number<std::uint16_t>(value));
    if (!alos::is_known(group))
        unimplemented("group");
    return group;
}

inline void set_suites(options& o, std::string_view list)
{
    using enum alos::cipher_suite;
    while (!list.empty()) {
        const std::string_view name = list.substr(0, list.find(':'));
        list.remove_prefix(std::min(list.size(), name.size() + 1));
        const std::size_t before = o.suites.size();
        for (const auto suite : {aes_128_gcm_sha256, aes_256_gcm_sha384, chacha20_poly1305_sha256}) {
            if (name_of(suite) == name)
                o.suites.push_back(suite);
        }
        if (o.suites.size() == before)
            unimplemented("cipher");
    }
}

inline const std::map<std::string_view, flag>& known_flags()
{
    constexpr auto ignore = [](options&, std::string_view) {};
    constexpr auto only_tls13 = [](options&, std::string_view version) {
        if (version != "772")
            unimplemented("version");
    };
    static const std::map<std::string_view, flag> flags{
        {"-port", {true, [](options& o, std::string_view v) { o.port = to_number<std::uint16_t>(v); }}},
        {"-ipv6", {false, [](options& o, std::string_view) { o.ipv6 = true; }}},
        {"-shim-id", {true, [](options& o, std::string_view v) { o.shim_id = to_number<std::uint64_t>(v); }}},
        {"-server", {false, [](options& o, std::string_view) { o.is_server = true; }}},
        {"-write-settings", {true, ignore}}, // the runner fills the files

        // Versions: 1.3 is there, others may be offered.
        {"-min-version",
         {true,
          [](options&, std::string_view v) {
              if (to_number<unsigned>(v) > 0x0304)
                  unimplemented("version");
          }}},
        {"-max-version", {true, only_tls13}},
        {"-expect-version", {true, only_tls13}},
        {"-no-tls1", {false, ignore}},
        {"-no-tls11", {false, ignore}},
        {"-no-tls12", {false, ignore}},

        // Without resumption there are no tickets, and no session is found.
        {"-resume-count", {true, [](options& o, std::string_view v) { o.resumptions = to_number<unsigned>(v); }}},
        {"-expect-session-miss", {false, [](options& o, std::string_view) { o.expects_session_miss = true; }}},
        {"-expect-no-session-id", {false, ignore}},
        {"-no-ticket", {false, ignore}},
        {"-expect-reject-early-data", {false, ignore}},
        {"-expect-early-data-reason",
         {true,
          [](options&, std::string_view v) {
              if (v != "disabled")
                  unimplemented("early data");
          }}},

        // What TLS 1.3 implies.
        {"-expect-extended-master-secret", {false, ignore}},
        {"-expect-secure-renegotiation", {false, ignore}},

        // What is for clients' certificates, which are not asked for.
        {"-trust-cert", {true, ignore}},
        {"-verify-prefs", {true, ignore}},

        // Credentials
        {"-new-x509-credential",
         {false,
          [](options& o, std::string_view) {
              const int index = static_cast<int>(o.credentials.size()) - 1;
              o.credentials.push_back({.index = index, .certificate_file = {}, .key_file = {}, .schemes = {}});
          }}},
        {"-cert-file",
         {true, [](options& o, std::string_view v) { o.credentials.back().certificate_file = v; }}},
        {"-key-file", {true, [](options& o, std::string_view v) { o.credentials.back().key_file = v; }}},
        {"-signing-prefs",
         {true,
          [](options& o, std::string_view v) {
              o.credentials.back().schemes.push_back(
                  static_cast<alos::signature_scheme>(to_number<std::uint16_t>(v)));
          }}},
        {"-expect-selected-credential",
         {true, [](options& o, std::string_view v) { o.expected_credential = to_number<int>(v); }}},
        {"-async", {false, [](options& o, std::string_view) { o.is_async = true; }}},
        {"-private-key-delay-ms",
         {true, [](options& o, std::string_view v) { o.signing_delay_ms = to_number<unsigned>(v); }}},

        // Negotiation
        {"-curves", {true, [](options& o, std::string_view v) { o.groups.push_back(known_group(v)); }}},
        {"-cipher", {true, set_suites}},
        {"-advertise-alpn", {true, ignore}}, // for clients
        {"-expect-alpn", {true, ignore}},    // for clients
        {"-select-alpn", {true, [](options& o, std::string_view v) { o.alpn = v; }}},
        {"-decline-alpn", {false, [](options& o, std::string_view) { o.alpn.clear(); }}},
        {"-reject-alpn", {false, [](options& o, std::string_view) { o.rejects_alpn = true; }}},
        {"-expect-advertised-alpn",
         {true, [](options& o, std::string_view v) { o.expected_advertised_alpn = v; }}},
        {"-expect-server-name", {true, [](options& o, std::string_view v) { o.expected_server_name = v; }}},
        {"-expect-no-server-name", {false, [](options& o, std::string_view) { o.expects_no_server_name = true; }}},
        {"-expect-hrr", {false, [](options& o, std::string_view) { o.expected_retry = true; }}},
        {"-expect-no-hrr", {false, [](options& o, std::string_view) { o.expected_retry = false; }}},
        {"-expect-curve-id",
         {true, [](options& o, std::string_view v) { o.expected_group = to_number<std::uint16_t>(v); }}},
        {"-expect-cipher",
         {true, [](options& o, std::string_view v) { o.expected_suite = to_number<std::uint16_t>(v); }}},
        {"-expect-cipher-aes",
         {true, [](options& o, std::string_view v) { o.expected_suite = to_number<std::uint16_t>(v); }}},
        {"-expect-cipher-no-aes", {true, ignore}}, // the choice does not depend on hardware
        {"-expect-peer-verify-pref",
         {true,
          [](options& o, std::string_view v) { o.expected_verify_prefs.push_back(to_number<std::uint16_t>(v)); }}},

        // The exchange
        {"-implicit-handshake", {false, ignore}}, // reading begins with the handshake anyway
        {"-no-op-extra-handshake", {false, [](options& o, std::string_view) { o.handshakes_again = true; }}},
        {"-handshake-twice", {false, [](options& o, std::string_view) { o.handshakes_again = true; }}},
        {"-handshake-never-done", {false, [](options& o, std::string_view) { o.expects_no_handshake = true; }}},
        {"-shim-writes-first", {false, [](options& o, std::string_view) { o.writes_first = true; }}},
        {"-read-with-unfinished-write",
         {false, [](options& o, std::string_view) { o.reads_with_unfinished_write = true; }}},
        {"-write-different-record-sizes",
         {false, [](options& o, std::string_view) { o.writes_different_sizes = true; }}},
        {"-key-update", {false, [](options& o, std::string_view) { o.updates_keys = true; }}},
        {"-shim-shuts-down", {false, [](options& o, std::string_view) { o.shuts_down = true; }}},
        {"-check-close-notify", {false, [](options& o, std::string_view) { o.checks_close_notify = true; }}},
        {"-read-size", {true, [](options& o, std::string_view v) { o.read_size = to_number<std::size_t>(v); }}},
        {"-max-send-fragment",
         {true, [](options& o, std::string_view v) { o.max_send_fragment = to_number<std::size_t>(v); }}},
    };
    return flags;
}

// The options of the first connection, or of those that follow it: a flag may say for which it is.
[[nodiscard]] inline options parse(std::span<char*> arguments, bool is_first)
{
    constexpr std::string_view prefixes[] = {"-on-initial", "-on-resume", "-on-retry", "-on-shim", "-on-handshaker"};
    options chosen;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        std::string_view name = arguments[i];
        bool applies = true;
        for (const std::string_view prefix : prefixes) {
            if (!name.starts_with(prefix) || !name.substr(prefix.size()).starts_with('-'))
                continue;
            applies = prefix == "-on-shim" || prefix == (is_first ? "-on-initial" : "-on-resume");
            name.remove_prefix(prefix.size());
            break;
        }
        const auto found = known_flags().find(name);
        if (found == known_flags().end())
            unimplemented(name);
        if (found->second.has_value && ++i == arguments.size())
            unimplemented(name);
        if (applies)
            found->second.apply(chosen, found->second.has_value ? arguments[i] : std::string_view());
    }
    return chosen;
}

}

#endif
