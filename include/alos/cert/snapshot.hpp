// Which credential answers to which name: an immutable map that is replaced as a whole.
#ifndef ALOS_CERT_SNAPSHOT_HPP
#define ALOS_CERT_SNAPSHOT_HPP

#include <alos/cert/credential.hpp>
#include <alos/cert/names.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace alos::inline v0::cert {

// The credentials that are stored under one domain, side by side by key type.
struct entry {
    std::string domain; // as parse_domain() spells it
    std::vector<credential_ptr> credentials;
};

using candidates = std::span<const credential_ptr>;

// The wildcards "*.example.com" by their labels from the right:
//
//   com
//   └── example         "*.example.com"
//       └── api         "*.api.example.com"
//
// A wildcard stands for exactly one label (RFC 6125 6.4.3).
class suffix_tree {
public:
    // Stores `what` for "*.<suffix>", unless there is something already.
    void insert(std::string_view suffix, candidates what)
    {
        std::size_t at = 0;
        while (!suffix.empty()) {
            const std::string label(take_label(suffix));
            const auto [found, is_new] = nodes_[at].children.try_emplace(label, nodes_.size());
            at = found->second;
            if (is_new)
                nodes_.emplace_back();
        }
        if (nodes_[at].wildcard.empty())
            nodes_[at].wildcard = what;
    }

    // What is stored for the names one label below `suffix`, or nothing.
    [[nodiscard]] candidates find(std::string_view suffix) const noexcept
    {
        std::size_t at = 0;
        while (!suffix.empty()) {
            const auto& children = nodes_[at].children;
            const auto found = children.find(take_label(suffix));
            if (found == children.end())
                return {};
            at = found->second;
        }
        return nodes_[at].wildcard;
    }

private:
    struct node {
        std::map<std::string, std::size_t, std::less<>> children;
        candidates wildcard;
    };

    // Takes the rightmost label off `name`.
    static std::string_view take_label(std::string_view& name) noexcept
    {
        const std::size_t dot = name.rfind('.');
        const std::string_view label = name.substr(dot == std::string_view::npos ? 0 : dot + 1);
        name = name.substr(0, dot == std::string_view::npos ? 0 : dot);
        return label;
    }

    std::vector<node> nodes_{1};
};

// Every name of a server at one moment. The rules, in this order:
//   1. a host name finds the credentials stored under exactly that domain, else those that name it exactly,
//   2. else those stored under its wildcard, else those that name its wildcard,
//   3. without a host name (none was sent, or not a valid one) the local address finds its certificate,
//   4. else the default domain answers, or the first one stored when there is no default, unless the name is refused.
// A domain that was given wins over the names inside other certificates; of those the first stored wins.
class snapshot {
public:
    snapshot() = default;

    // `challenges` have exact names and one credential each (RFC 8737), and are found by challenge() only. `refused`
    // are domains that get no other's certificate.
    explicit snapshot(std::vector<entry> entries, std::string_view default_domain = {},
                      std::vector<entry> challenges = {}, const std::set<std::string>& refused = {})
        : entries_(std::move(entries)), challenge_entries_(std::move(challenges))
    {
        for (const std::string& domain : refused)
            refused_.insert(domain.starts_with("*.") ? domain.substr(1) : domain);
        std::erase_if(entries_, [](const entry& one) { return one.credentials.empty(); });
        std::erase_if(challenge_entries_, [](const entry& one) { return one.credentials.empty(); });
        for (const entry& one : entries_)
            store(one.domain, one.credentials);
        for (const entry& one : entries_)
            for (const credential_ptr& each : one.credentials)
                store_names_of(*each, one);
        for (const entry& one : challenge_entries_)
            challenges_.try_emplace(one.domain, one.credentials);
        for (std::size_t i = 0; i < entries_.size(); ++i)
            if (entries_[i].domain == default_domain)
                default_ = i;
    }

    snapshot(const snapshot&) = delete;
    snapshot& operator=(const snapshot&) = delete;

    // The credentials for a ClientHello, valid as long as this snapshot. `server_name` is what the client sent, or
    // empty; `local_address` has 4 or 16 bytes, or none. Empty only when there is no certificate at all.
    [[nodiscard]] candidates find(std::string_view server_name, byte_view local_address = {}) const noexcept
    {
        const host_name name(server_name);
        const candidates found = name.empty() ? find_address(local_address) : find_name(name.text());
        if (!found.empty() || entries_.empty())
            return found;
        return entries_[default_].credentials;
    }

    // Whether a certificate was stored for this name, so that find() does not fall back to the default.
    [[nodiscard]] bool knows(std::string_view server_name) const noexcept
    {
        const host_name name(server_name);
        return !name.empty() && !find_name(name.text()).empty();
    }

    // Whether clients that ask for this name are to be sent away (RFC 6066 3): no certificate is stored for it, and
    // the default is not to answer.
    [[nodiscard]] bool refuses(std::string_view server_name) const noexcept
    {
        if (refused_.empty())
            return false;
        const host_name name(server_name);
        const std::string_view text = name.text();
        const std::size_t dot = std::min(text.find('.'), text.size());
        return !text.empty() && (refused_.contains(text) || refused_.contains(text.substr(dot)))
               && find_name(text).empty();
    }

    // The certificate that answers a tls-alpn-01 challenge for this name (RFC 8737 3), or null.
    [[nodiscard]] const credential* challenge(std::string_view server_name) const noexcept
    {
        const host_name name(server_name);
        const auto found = challenges_.find(name.text());
        return found == challenges_.end() ? nullptr : found->second.front().get();
    }

    [[nodiscard]] std::span<const entry> entries() const noexcept { return entries_; }
    [[nodiscard]] std::span<const entry> challenges() const noexcept { return challenge_entries_; }

    // The domain that answers when no other does; empty when there is no certificate at all.
    [[nodiscard]] std::string_view default_domain() const noexcept
    {
        return entries_.empty() ? std::string_view{} : entries_[default_].domain;
    }

private:
    struct text_hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
    };
    using name_map = std::unordered_map<std::string, candidates, text_hash, std::equal_to<>>;

    [[nodiscard]] candidates find_name(std::string_view name) const noexcept
    {
        if (const auto found = names_.find(name); found != names_.end())
            return found->second;
        const std::string_view parent = parent_of(name);
        return parent.empty() ? candidates{} : wildcards_.find(parent);
    }

    [[nodiscard]] candidates find_address(byte_view bytes) const noexcept
    {
        const ip_address address(bytes);
        const auto found = addresses_.find(as_text(address.bytes()));
        return found == addresses_.end() ? candidates{} : found->second;
    }

    // Keeps what is there already: domains are stored before the names inside certificates.
    void store(std::string_view name, candidates what)
    {
        if (name.starts_with("*."))
            wildcards_.insert(name.substr(2), what);
        else if (const ip_address address(name); !address.empty())
            addresses_.try_emplace(std::string(as_text(address.bytes())), what);
        else
            names_.try_emplace(std::string(name), what);
    }

    void store_names_of(const credential& each, const entry& home)
    {
        for (const std::string& name : each.about.names)
            store(name, those_with(name, &description::names, home));
        for (const std::string& address : each.about.addresses)
            store(address, those_with(address, &description::addresses, home));
    }

    // The credentials of `home` that have `name` in `list`.
    candidates those_with(const std::string& name, std::vector<std::string> description::*list, const entry& home)
    {
        const auto has_name = [&](const credential_ptr& one) {
            return std::ranges::count(one->about.*list, name) != 0;
        };
        if (home.credentials.size() == 1 || std::ranges::all_of(home.credentials, has_name))
            return home.credentials;
        std::vector<credential_ptr>& part = parts_.emplace_back();
        std::ranges::copy_if(home.credentials, std::back_inserter(part), has_name);
        return part;
    }

    std::vector<entry> entries_;
    std::vector<entry> challenge_entries_;
    std::vector<std::vector<credential_ptr>> parts_; // of entries; only the vectors inside stay where they are
    name_map names_;
    name_map addresses_; // by their bytes
    name_map challenges_;
    std::unordered_set<std::string, text_hash, std::equal_to<>> refused_; // wildcards as ".example.com"
    suffix_tree wildcards_;
    std::size_t default_ = 0;
};

}

#endif
