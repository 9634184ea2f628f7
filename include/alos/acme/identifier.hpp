// The names that certificates are for, in their one spelling. RFC 8555 9.7.7, RFC 8738.
#ifndef ALOS_ACME_IDENTIFIER_HPP
#define ALOS_ACME_IDENTIFIER_HPP

#include <alos/cert/credential.hpp>
#include <alos/cert/names.hpp>
#include <alos/error.hpp>

#include <algorithm>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

enum class identifier_type : std::uint8_t { dns, ip };

// RFC 8555 9.7.7, RFC 8738 3: a name in its one spelling, A-labels in lower case, maybe behind "*.", or an address as
// in RFC 5952.
struct identifier {
    identifier_type type = identifier_type::dns;
    std::string value;

    friend auto operator<=>(const identifier&, const identifier&) = default;
};

// The name in its one spelling.
[[nodiscard]] inline outcome<identifier> identifier_of(std::string_view name)
{
    const auto spelled = cert::parse_domain(name);
    if (!spelled)
        return failure{errc::bad_name, "'" + std::string(name.substr(0, cert::max_name_size))
                                           + "' cannot be in a certificate; write a host name like www.example.com "
                                             "(other alphabets as xn-- labels), *.example.com, or an IP address"};
    const bool is_address = !cert::ip_address(*spelled).empty();
    return identifier{is_address ? identifier_type::ip : identifier_type::dns, *spelled};
}

// Whether both have the same names, in any order and any number; RFC 8555 7.4 lets a CA shuffle them.
[[nodiscard]] inline bool same_identifiers(std::vector<identifier> a, std::vector<identifier> b)
{
    for (std::vector<identifier>* const each : {&a, &b}) {
        std::ranges::sort(*each);
        each->erase(std::unique(each->begin(), each->end()), each->end());
    }
    return a == b;
}

// What a certificate is for.
[[nodiscard]] inline std::vector<identifier> identifiers_in(const cert::credential& one)
{
    std::vector<identifier> names;
    for (const auto* list : {&one.about.names, &one.about.addresses}) {
        for (const std::string& each : *list) {
            if (auto name = identifier_of(each))
                names.push_back(std::move(*name));
        }
    }
    return names;
}

[[nodiscard]] inline std::vector<std::string> values_of(const std::vector<identifier>& names)
{
    std::vector<std::string> values;
    for (const identifier& each : names)
        values.push_back(each.value);
    return values;
}

// For people: "a.example, b.example".
[[nodiscard]] inline std::string join(const std::vector<std::string>& words)
{
    std::string text;
    for (const std::string& each : words)
        text.append(text.empty() ? "" : ", ").append(each);
    return text;
}

}

#endif
