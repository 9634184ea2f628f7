// Which challenges can prove which names, as far as the configuration tells. RFC 8555 8, RFC 8737, RFC 8738.
#ifndef ALOS_ACME_PROVABLE_HPP
#define ALOS_ACME_PROVABLE_HPP

#include <alos/acme/config.hpp>
#include <alos/acme/objects.hpp>

#include <algorithm>
#include <string>

namespace alos::inline v0::acme {

// RFC 8555 8.3, 8.4, RFC 8737 3, RFC 8738 7: whether a challenge of that type can prove that name.
[[nodiscard]] inline bool can_prove(challenge_type type, const identifier& about, bool has_dns_solver) noexcept
{
    if (type == challenge_type::dns_01)
        return has_dns_solver && about.type == identifier_type::dns;
    return !about.value.starts_with("*.");
}

[[nodiscard]] inline bool can_prove(const config& by, challenge_type type, const identifier& about) noexcept
{
    return can_prove(type, about, by.dns != nullptr);
}

// Fails when no challenge of the configuration can prove that name, whatever the CA offers.
[[nodiscard]] inline outcome<> check_provable(const config& by, const identifier& about)
{
    if (std::ranges::any_of(by.challenges, [&](challenge_type each) { return can_prove(by, each, about); }))
        return {};
    const std::string cure = about.type == identifier_type::ip
                                 ? "an address is proven by http-01 or tls-alpn-01; add one of them to `challenges`"
                             : about.value.starts_with("*.")
                                 ? "a wildcard is proven by dns-01 only; set `dns`, and leave dns-01 in `challenges`"
                                 : "nothing in `challenges` can prove it; add http-01 or tls-alpn-01, or set `dns`";
    return failure{errc::bad_configuration, about.value + ": " + cure};
}

// The same for all names of one certificate; what is no name is not looked at.
[[nodiscard]] inline outcome<> check_provable(const config& by, const certificate_names& wanted)
{
    for (const std::string& text : wanted.names) {
        const auto name = identifier_of(text);
        auto provable = name ? check_provable(by, *name) : outcome<>();
        if (!provable)
            return provable;
    }
    return {};
}

}

#endif
