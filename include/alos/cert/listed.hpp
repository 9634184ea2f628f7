// A stored certificate as people see it in a list.
#ifndef ALOS_CERT_LISTED_HPP
#define ALOS_CERT_LISTED_HPP

#include <alos/cert/self_signed.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace alos::inline v0::cert {

// One line of list_certs().
struct listed_certificate {
    std::string domain;             // what it is stored under
    std::vector<std::string> names; // that it contains: DNS names, then IP addresses
    source from = source::manual;
    std::string subject;
    std::string issuer;
    system_time not_before;
    system_time not_after;
    std::string key_type;
    std::string fingerprint; // SHA-256 in hex
    bool is_default = false;
    bool is_expired = false;
    bool is_not_yet_valid = false;
    bool names_its_domain = true; // false: clients that check refuse it for `domain`
    system_time next_attempt;     // to renew it, by ACME; zero if nobody does
    std::string last_error;       // of that
};

[[nodiscard]] inline listed_certificate describe(const std::string& domain, const credential& one, system_time now,
                                                 bool is_default)
{
    listed_certificate line;
    line.domain = domain;
    line.names = one.about.names;
    line.names.insert(line.names.end(), one.about.addresses.begin(), one.about.addresses.end());
    line.from = one.from;
    line.subject = one.about.subject;
    line.issuer = one.about.issuer;
    line.not_before = one.about.not_before;
    line.not_after = one.about.not_after;
    line.key_type = one.about.key_type;
    for (const std::uint8_t byte : one.about.fingerprint) {
        constexpr std::string_view digits = "0123456789abcdef";
        line.fingerprint += digits[byte >> 4];
        line.fingerprint += digits[byte & 0x0f];
    }
    line.is_default = is_default;
    line.is_expired = now >= one.about.not_after;
    line.is_not_yet_valid = now < one.about.not_before;
    line.names_its_domain = names_domain(one.about, domain);
    return line;
}

}

#endif
