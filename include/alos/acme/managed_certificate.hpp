// One certificate that somebody works on: its name in the storage, where it stands, and that for people.
#ifndef ALOS_ACME_MANAGED_CERTIFICATE_HPP
#define ALOS_ACME_MANAGED_CERTIFICATE_HPP

#include <alos/acme/client.hpp>
#include <alos/acme/record.hpp>
#include <alos/acme/renewal.hpp>
#include <alos/acme/service.hpp>
#include <alos/cert/credential.hpp>
#include <alos/crypto/algorithms.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace alos::inline v0::acme {

// One certificate and where it stands. Changed on the thread of whoever works on it.
struct managed_certificate {
    // From the configuration.
    std::string id;     // in the storage: "example.com.ecdsa-p256"
    std::string domain; // the first name, under which it is served
    std::vector<identifier> names;
    key_kind key = key_kind::ecdsa_p256;
    std::string email;
    std::string configuration; // what all settings that matter to it come to
    std::vector<std::string> authorities; // directories of the CAs that it may be from; empty: of any

    // From the storage.
    certificate_state state;
    generation_record about;
    cert::credential_ptr credential; // null: there is none yet
    std::uint64_t generation = 0;
    cert::credential_ptr stand_in; // one that the storage has for its names by other settings; null: none

    // Of this process.
    std::uint64_t process = 0; // which one on this storage it is, drawn by lot
    std::string adopted; // the configuration that `state` was last compared with here
    std::string fault;   // of what the storage has, as it was told last; empty: none
    bool is_busy = false;
    bool is_removed = false;
    bool is_unsaved = false; // the storage could not take `state`, or did not yet, and has an older one
    bool cannot_save = false; // the storage did not take `state` the last time, which was told
    time_point not_before{}; // when somebody else works on it, or too much was asked of the CA already
    std::optional<refusal> last_refusal; // of the last attempt; nothing after a success

    [[nodiscard]] std::optional<validity> life() const
    {
        if (!credential)
            return std::nullopt;
        return validity{credential->about.not_before, credential->about.not_after};
    }
};

// Whether it is from a CA that it may not be from any more.
[[nodiscard]] inline bool is_from_elsewhere(const managed_certificate& of)
{
    return of.credential && !of.about.directory.empty() && !of.authorities.empty()
           && std::ranges::count(of.authorities, of.about.directory) == 0;
}

// Whether it is for that name, too.
[[nodiscard]] inline bool has_name(const managed_certificate& of, std::string_view name)
{
    const auto wanted = identifier_of(name);
    return wanted && std::ranges::count(of.names, *wanted) != 0;
}

// All certificates of a manager. Whoever works on one shares it, as it may be removed meanwhile.
using certificate_list = std::vector<std::shared_ptr<managed_certificate>>;

// Null when there is none.
[[nodiscard]] inline std::shared_ptr<managed_certificate> find_by_id(const certificate_list& in, std::string_view id)
{
    const auto found = std::ranges::find_if(in, [&](const auto& each) { return each->id == id; });
    return found == in.end() ? nullptr : *found;
}

// The first one for that name, null when there is none.
[[nodiscard]] inline std::shared_ptr<managed_certificate> find_by_name(const certificate_list& in,
                                                                       std::string_view name)
{
    const auto found = std::ranges::find_if(in, [&](const auto& each) { return has_name(*each, name); });
    return found == in.end() ? nullptr : *found;
}

// Of all for that name.
[[nodiscard]] inline std::vector<std::string> ids_by_name(const certificate_list& in, std::string_view name)
{
    std::vector<std::string> ids;
    for (const auto& each : in) {
        if (has_name(*each, name))
            ids.push_back(each->id);
    }
    return ids;
}

// Serves, as long as it has none of its own, as one that another program keeps for exactly its names. Whether it has
// another certificate now.
[[nodiscard]] inline bool adopt_other(managed_certificate& of, const std::vector<cert::credential_ptr>& others)
{
    if (of.generation != 0)
        return false;
    const cert::credential_ptr before = of.credential;
    for (const cert::credential_ptr& other : others) {
        const bool fits = same_identifiers(identifiers_in(*other), of.names)
                          && (of.key == key_kind::rsa_2048) == other->about.key_type.starts_with("RSA");
        if (fits && (!of.credential || other->about.not_after > of.credential->about.not_after))
            of.credential = other;
    }
    if (of.credential == before)
        return false;
    of.about = {}; // of one that it had before
    return true;
}

// Whether it serves as one that another program kept, and keeps no more.
[[nodiscard]] inline bool has_lost_other(const managed_certificate& of, const std::vector<cert::credential_ptr>& others)
{
    const bool is_other = of.generation == 0 && of.credential && of.credential->from != cert::source::acme;
    return is_other && std::ranges::count(others, of.credential) == 0;
}

namespace detail {

// In the order of key_kind.
inline constexpr std::array<std::string_view, 4> key_words = {"ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"};

}

[[nodiscard]] constexpr std::string_view name_of_key(key_kind key) noexcept
{
    return detail::key_words[static_cast<std::size_t>(key)];
}

// Of "rsa-2048", and of an id that ends in it; nothing when it is none of ours.
[[nodiscard]] inline std::optional<key_kind> key_kind_of(std::string_view id) noexcept
{
    const std::string_view word = id.substr(id.rfind('.') + 1);
    const auto found = std::ranges::find(detail::key_words, word);
    if (found == detail::key_words.end())
        return std::nullopt;
    return static_cast<key_kind>(found - detail::key_words.begin());
}

// Under which the storage has it: "example.com.ecdsa-p256".
[[nodiscard]] inline std::string id_of_certificate(const std::string& domain, key_kind key)
{
    const std::string name = domain.starts_with("*.") ? "_wildcard" + domain.substr(1) : domain;
    return name + "." + std::string(name_of_key(key));
}

// The epoch for `next_attempt`: it is not known.
[[nodiscard]] inline certificate_status status_of(const managed_certificate& of, time_point next_attempt)
{
    certificate_status line;
    line.id = of.id;
    line.names = values_of(of.names);
    line.key_type = name_of_key(of.key);
    if (of.credential) {
        line.issuer = of.credential->about.issuer;
        line.not_before = of.credential->about.not_before;
        line.not_after = of.credential->about.not_after;
    }
    line.next_attempt = next_attempt;
    line.failures = of.state.failures;
    line.last_error = of.state.failures > 0 ? of.state.last_error : std::string();
    line.ca = of.credential ? of.about.directory : of.state.directory;
    line.profile = of.about.profile;
    line.generation = of.generation;
    return line;
}

}

#endif
