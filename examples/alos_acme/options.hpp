// What was asked for on the command line: the commands, their options, and help for both.
#ifndef ALOS_EXAMPLES_ALOS_ACME_OPTIONS_HPP
#define ALOS_EXAMPLES_ALOS_ACME_OPTIONS_HPP

#include <alos/acme/config.hpp>
#include <alos/acme/managed_certificate.hpp>
#include <alos/dns/resolver.hpp>
#include <alos/http/fields.hpp>
#include <alos/http/url.hpp>
#include <alos/server/address.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace command {

using alos::acme::challenge_type;

struct options {
    std::string command;            // "issue"
    std::vector<std::string> words; // what follows it and is no option
    bool json = false;
    bool help = false;
    bool version = false;
    bool staging = false;
    bool force = false;
    bool orders = false;
    bool replace_names = false;
    std::string cache_dir = alos::acme::config().cache_dir;
    std::string directory{}; // empty: Let's Encrypt's, or that of the certificate or account
    std::string roots{};     // PEM file; empty: only the system's
    std::string email{};
    std::string eab_kid{};
    alos::secret_text eab_hmac_key{};
    std::string eab_hmac_key_file{};
    alos::key_kind account_key = alos::acme::certificate_authority().account_key;
    std::string profile{};
    std::string preferred_chain{};
    std::string resolver{}; // empty: the system's
    std::string account{};  // URL
    std::vector<alos::key_kind> key_types{}; // a certificate for each; empty: as acme::config has them
    std::vector<challenge_type> challenges = {challenge_type::http_01, challenge_type::tls_alpn_01,
                                              challenge_type::dns_01};
    std::string dns_exec{};
    std::chrono::seconds dns_wait{0}; // after it
    std::string addr = ":443";           // where tls-alpn-01 is answered
    std::string http_addr = ":80";       // where http-01 is answered
    std::uint16_t http01_port = 80;      // that the CA connects to
    std::uint16_t tls_alpn01_port = 443; // that the CA connects to
    unsigned reason = 0;                 // RFC 5280 5.3.1

    [[nodiscard]] std::string directory_or_default() const
    {
        return directory.empty() ? alos::acme::lets_encrypt : directory;
    }
};

// One that cannot be meant: why, and what helps.
struct misuse {
    std::string what;
};

namespace detail {

template <std::uint16_t options::*member>
bool read_port(std::string_view text, options& into)
{
    const auto [stop, failed] = std::from_chars(text.data(), text.data() + text.size(), into.*member);
    return failed == std::errc() && stop == text.data() + text.size() && into.*member != 0;
}

inline bool read_wait(std::string_view text, std::chrono::seconds& into)
{
    std::uint16_t seconds = 0;
    const auto [stop, failed] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    into = std::chrono::seconds(seconds);
    return failed == std::errc() && stop == text.data() + text.size() && seconds <= 600;
}

inline bool read_key_types(std::string_view text, std::vector<alos::key_kind>& into)
{
    while (!text.empty()) {
        const std::string_view word = alos::http::next_part(text, ',');
        const auto key = alos::acme::key_kind_of(word);
        if (!key || *key == alos::key_kind::ed25519 || word != alos::acme::name_of_key(*key))
            return false;
        if (std::ranges::count(into, *key) == 0)
            into.push_back(*key);
    }
    return !into.empty();
}

inline bool read_account_key(std::string_view text, alos::key_kind& into)
{
    std::vector<alos::key_kind> kinds;
    if (!read_key_types(text, kinds) || kinds.size() != 1)
        return false;
    into = kinds.front();
    return true;
}

inline bool read_challenges(std::string_view text, std::vector<challenge_type>& into)
{
    into.clear();
    while (!text.empty()) {
        const std::string_view word = alos::http::next_part(text, ',');
        const auto found = alos::acme::challenge_type_of(word);
        if (!found)
            return false;
        if (std::ranges::count(into, *found) == 0)
            into.push_back(*found);
    }
    return !into.empty();
}

// RFC 5280 5.3.1, those that CAs take from subscribers.
inline bool read_reason(std::string_view text, unsigned& into)
{
    struct reason {
        std::string_view word;
        unsigned number;
    };
    constexpr std::array<reason, 5> all = {{{"unspecified", 0}, {"keyCompromise", 1}, {"affiliationChanged", 3},
                                            {"superseded", 4}, {"cessationOfOperation", 5}}};
    for (const reason& each : all) {
        if (text == each.word || text == std::to_string(each.number)) {
            into = each.number;
            return true;
        }
    }
    return false;
}

}

template <std::string options::*member>
bool keep(std::string_view value, options& into)
{
    into.*member = value;
    return !value.empty();
}

inline bool read_directory(std::string_view text, options& into)
{
    const auto where = alos::http::parse_url(text);
    return where && where->is_secure() && keep<&options::directory>(text, into);
}

inline bool read_resolver(std::string_view text, options& into)
{
    const auto servers = alos::dns::parse_servers(text);
    return servers && !servers->empty() && keep<&options::resolver>(text, into);
}

template <std::string options::*member>
bool read_address(std::string_view text, options& into)
{
    return (text.starts_with("unix:") || alos::split_host_and_port(text)) && keep<member>(text, into);
}

inline constexpr std::string_view addresses = "host:port, [::1]:port, :port or unix:/path";

// An option. Its letters say which commands have it: i(ssue) n (renew) k (revoke) l(ist) a(ccount) d(octor).
struct option {
    std::string_view name;
    std::string_view commands;
    std::string_view value; // empty: it has none
    std::string_view help;
    bool (*read)(std::string_view value, options& into); // whether the value can be meant
    std::string_view values{}; // that it can have; empty: any
};

template <bool options::*member>
bool set(std::string_view, options& into)
{
    return into.*member = true;
}

inline constexpr auto all_options = std::to_array<option>({
    {"--cache-dir", "inklad", "FOLDER", "where all is kept (.alos-certs)", keep<&options::cache_dir>},
    {"--json", "inklad", "", "one JSON document on stdout", set<&options::json>},
    {"--help", "inklad", "", "this", set<&options::help>},
    {"--version", "inklad", "", "of this program", set<&options::version>},
    {"--staging", "iad", "", "Let's Encrypt's staging, whose certificates nobody believes", set<&options::staging>},
    {"--directory", "iad", "URL", "of another CA (Let's Encrypt's)", read_directory, "https://host/path"},
    {"--roots", "inkad", "FILE", "PEM: authorities for the CA's own HTTPS, beside the system's", keep<&options::roots>},
    {"--email", "iad", "ADDRESS", "of the account; with `account update`, from now on", keep<&options::email>},
    {"--eab-kid", "inkad", "ID", "external account, as the CA's page shows it", keep<&options::eab_kid>},
    {"--eab-hmac-key-file", "inkad", "FILE", "its key, base64url", keep<&options::eab_hmac_key_file>},
    {"--eab-hmac-key", "inkad", "KEY", "the same, where everybody on this machine can read it",
     [](std::string_view value, options& into) {
         into.eab_hmac_key = alos::to_secret_text(value);
         return !value.empty();
     }},
    {"--account-key", "ina", "TYPE", "of an account that is opened, or after `account rollover` (ecdsa-p256)",
     [](std::string_view value, options& into) { return detail::read_account_key(value, into.account_key); },
     "ecdsa-p256, ecdsa-p384 or rsa-2048"},
    {"--profile", "ind", "NAME", "one of the CA's: shortlived, ...", keep<&options::profile>},
    {"--preferred-chain", "in", "NAME", "of the topmost issuer", keep<&options::preferred_chain>},
    {"--account", "a", "URL", "which one, when there are several", keep<&options::account>},
    {"--key-type", "i", "TYPES", "a certificate for each (ecdsa-p256)",
     [](std::string_view value, options& into) { return detail::read_key_types(value, into.key_types); },
     "ecdsa-p256, ecdsa-p384 or rsa-2048, or several with commas"},
    {"--challenge", "ind", "TYPES", "in the order of preference (all)",
     [](std::string_view value, options& into) { return detail::read_challenges(value, into.challenges); },
     "http-01, tls-alpn-01 or dns-01, or several with commas"},
    {"--dns-exec", "ind", "PROGRAM", "sets TXT records for dns-01", keep<&options::dns_exec>},
    {"--dns-wait", "ind", "SECONDS", "after it has set one, until all name servers have it (0)",
     [](std::string_view value, options& into) { return detail::read_wait(value, into.dns_wait); }, "0 to 600"},
    {"--http-addr", "ind", "ADDRESS", "where http-01 is answered meanwhile (:80)",
     read_address<&options::http_addr>, addresses},
    {"--addr", "ind", "ADDRESS", "where tls-alpn-01 is answered meanwhile (:443)",
     read_address<&options::addr>, addresses},
    {"--http01-port", "ind", "PORT", "that the CA connects to, behind a router or for a CA of your own (80)",
     detail::read_port<&options::http01_port>, "1 to 65535"},
    {"--tls-alpn01-port", "ind", "PORT", "the same for tls-alpn-01 (443)",
     detail::read_port<&options::tls_alpn01_port>, "1 to 65535"},
    {"--resolver", "inkad", "ADDRESS", "of name servers (those of the system)", read_resolver,
     "192.0.2.53 or [2001:db8::53]:5353, or several with commas"},
    {"--orders", "a", "", "with `account show`: their orders, too, if the CA lists them", set<&options::orders>},
    {"--replace-names", "i", "", "also where fewer names are given than the certificate has that is kept",
     set<&options::replace_names>},
    {"--force", "n", "", "now, whatever the time", set<&options::force>},
    {"--reason", "k", "REASON", "told to those who ask the CA (unspecified)",
     [](std::string_view value, options& into) { return detail::read_reason(value, into.reason); },
     "unspecified, keyCompromise, affiliationChanged, superseded or cessationOfOperation"},
});

struct command_help {
    std::string_view name;
    char letter;
    std::string_view arguments;
    std::string_view help;
};

inline constexpr auto all_commands = std::to_array<command_help>({
    {"issue", 'i', "NAME[,NAME...] ...", "obtains a certificate for each word, which lists its names"},
    {"renew", 'n', "[NAME...]", "renews those of the folder, or of these names, whose time has come"},
    {"revoke", 'k', "NAME...", "revokes the certificates of these names"},
    {"list", 'l', "", "shows what the folder has"},
    {"account", 'a', "[show|update|rollover|deactivate]",
     "shows accounts; changes the e-mail address or the key of one; closes it"},
    {"doctor", 'd', "[NAME...]", "looks for what would keep a certificate from being issued, and says what helps"},
});

inline const command_help* find_command(std::string_view name)
{
    const auto found = std::ranges::find(all_commands, name, &command_help::name);
    return found == all_commands.end() ? nullptr : &*found;
}

// Of all commands, or of one.
inline std::string help_text(const command_help* about)
{
    std::string text;
    if (!about) {
        text = "Certificates by ACME in a folder that alos servers share.\n\nalos-acme COMMAND [OPTIONS] ...\n\n";
        for (const command_help& each : all_commands)
            text.append("  ").append(each.name).append(12 - each.name.size(), ' ').append(each.help).append("\n");
        return text
               + "\nalos-acme COMMAND --help tells more. Exit status: 0 all is done, 1 something failed, 2 misuse.\n";
    }
    text.append("alos-acme ").append(about->name).append(" [OPTIONS] ").append(about->arguments).append("\n");
    text.append(about->help).append("\n\n");
    for (const option& each : all_options) {
        if (each.commands.find(about->letter) == std::string_view::npos)
            continue;
        std::string left = "  " + std::string(each.name) + (each.value.empty() ? "" : " " + std::string(each.value));
        left.resize(std::max<std::size_t>(left.size() + 2, 28), ' ');
        text.append(left).append(each.help).append(each.values.empty() ? "" : ": ").append(each.values).append("\n");
    }
    return text;
}

// The nearest option by letters that differ; empty when none is near.
inline std::string_view nearest_option(std::string_view word)
{
    const auto distance = [](std::string_view a, std::string_view b) {
        std::vector<std::size_t> row(b.size() + 1);
        for (std::size_t j = 0; j <= b.size(); ++j)
            row[j] = j;
        for (std::size_t i = 1; i <= a.size(); ++i) {
            std::size_t diagonal = std::exchange(row[0], i);
            for (std::size_t j = 1; j <= b.size(); ++j) {
                const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
            }
        }
        return row.back();
    };
    const auto nearest = std::ranges::min_element(all_options, {}, [&](const option& each) {
        return distance(each.name, word);
    });
    return distance(nearest->name, word) <= 3 ? nearest->name : std::string_view();
}

// Options that are good one by one. RFC 8555 7.3.4. Throws misuse.
inline void check_together(const options& read)
{
    const bool has_key = !read.eab_hmac_key.empty() || !read.eab_hmac_key_file.empty();
    if (read.staging && !read.directory.empty())
        throw misuse{"--staging and --directory are two CAs; give one of them"};
    if (!read.eab_hmac_key.empty() && !read.eab_hmac_key_file.empty())
        throw misuse{"--eab-hmac-key and --eab-hmac-key-file are two keys; give one of them"};
    if (!read.eab_kid.empty() && !has_key)
        throw misuse{"--eab-kid needs its key: --eab-hmac-key-file FILE"};
    if (read.eab_kid.empty() && has_key)
        throw misuse{"the key of an external account needs its name: --eab-kid ID"};
    if (read.dns_exec.empty() && read.dns_wait.count() != 0)
        throw misuse{"--dns-wait is for what sets TXT records: --dns-exec PROGRAM"};
}

// `words` are those after the program's name. Throws misuse.
inline options parse_options(const std::vector<std::string>& words)
{
    options read;
    const command_help* chosen = nullptr;
    std::vector<const option*> given;
    bool only_words = false;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        if (only_words || !word.starts_with("-") || word == "-") {
            if (chosen) {
                read.words.push_back(word);
                continue;
            }
            chosen = find_command(word);
            if (!chosen)
                throw misuse{"'" + word + "' is no command; alos-acme --help lists them"};
            read.command = word;
            continue;
        }
        if (word == "--") {
            only_words = true;
            continue;
        }
        const std::size_t equals = word.find('=');
        const std::string name = word == "-h" ? "--help" : word.substr(0, equals);
        const auto found = std::ranges::find(all_options, name, &option::name);
        if (found == all_options.end()) {
            const std::string_view near = nearest_option(name);
            throw misuse{name + " is no option; "
                         + (near.empty() ? "--help lists them" : "is " + std::string(near) + " meant?")};
        }
        if (found->value.empty() && equals != std::string::npos)
            throw misuse{name + " takes no value; leave out '" + word.substr(equals) + "'"};
        std::string usage = "; write " + name + " " + std::string(found->value);
        usage.append(found->values.empty() ? "" : ", which is ").append(found->values);
        const bool is_apart = !found->value.empty() && equals == std::string::npos;
        if (is_apart && i + 1 == words.size())
            throw misuse{name + " has no value" + usage};
        if (is_apart && words[i + 1].starts_with("--"))
            throw misuse{name + " has no value before " + words[i + 1] + usage + ", or " + name + "="
                         + words[i + 1] + " where that is meant"};
        const std::string value = found->value.empty()           ? ""
                                  : equals != std::string::npos ? word.substr(equals + 1)
                                                                 : words[++i];
        if (!found->read(value, read))
            throw misuse{name + " cannot be '" + value + "'" + usage};
        given.push_back(&*found);
    }
    for (const option* each : given) {
        if (chosen && each->commands.find(chosen->letter) == std::string_view::npos)
            throw misuse{std::string(each->name) + " means nothing to " + read.command + "; alos-acme " + read.command
                         + " --help lists its options"};
    }
    if (!chosen && !read.help && !read.version)
        throw misuse{"which command? alos-acme --help lists them"};
    check_together(read);
    if (read.staging)
        read.directory = alos::acme::lets_encrypt_staging;
    return read;
}

}

#endif
