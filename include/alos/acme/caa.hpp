// Whether the CAA records of a domain let a CA issue for it: the values of "issue" and "issuewild" (RFC 8659 4.2, 4.3),
// and what they may say of accounts and validation methods (RFC 8657). Pure; who asks the DNS is in acme/doctor.hpp.
#ifndef ALOS_ACME_CAA_HPP
#define ALOS_ACME_CAA_HPP

#include <alos/dns/message.hpp>
#include <alos/http/fields.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// RFC 8659 4.2. An empty issuer-domain-name: nobody.
struct issue_value {
    std::string issuer_domain_name;                                // in lower case
    std::vector<std::pair<std::string, std::string>> parameters{}; // tags in lower case, in their order
};

namespace detail {

inline constexpr std::size_t max_caa_value = 2048;    // bytes
inline constexpr std::size_t max_caa_parameters = 32; // of one value

inline bool is_alpha_or_digit(char c) noexcept
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// RFC 8659 4.2: label = (ALPHA / DIGIT) *( *("-") (ALPHA / DIGIT)), and so is the tag of a parameter; `text` is in
// lower case.
inline bool is_caa_label(std::string_view text) noexcept
{
    const auto fits = [](char c) { return is_alpha_or_digit(c) || c == '-'; };
    return !text.empty() && text.front() != '-' && text.back() != '-' && std::ranges::all_of(text, fits);
}

// RFC 8659 4.2: issuer-domain-name = label *("." label).
inline bool is_caa_domain(std::string_view text) noexcept
{
    if (text.ends_with('.') || text.find_first_of(" \t") != std::string_view::npos)
        return false;
    while (!text.empty()) {
        if (!is_caa_label(http::next_part(text, '.')))
            return false;
    }
    return true;
}

inline std::string caa_lower_case(std::string_view text)
{
    std::string lower(text);
    std::ranges::transform(lower, lower.begin(), dns::detail::lower_case);
    return lower;
}

// RFC 8659 4.2: parameter = tag *WSP "=" *WSP value, with value = *(%x21-3A / %x3C-7E).
inline std::optional<std::pair<std::string, std::string>> parse_caa_parameter(std::string_view text)
{
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos)
        return std::nullopt;
    const std::string tag = caa_lower_case(http::trim(text.substr(0, equals)));
    const std::string_view value = http::trim(text.substr(equals + 1));
    const auto is_visible = [](char c) { return c >= 0x21 && c <= 0x7e; };
    if (!is_caa_label(tag) || !std::ranges::all_of(value, is_visible))
        return std::nullopt;
    return std::pair(tag, std::string(value));
}

}

// RFC 8659 4.2: the value of an "issue" or "issuewild" property; nothing for one that does not follow the grammar, or
// is longer than 2 KiB, or has more than 32 parameters.
[[nodiscard]] inline std::optional<issue_value> parse_issue_value(std::string_view value)
{
    if (value.size() > detail::max_caa_value)
        return std::nullopt;
    const std::size_t semicolon = value.find(';');
    issue_value read{detail::caa_lower_case(http::trim(value.substr(0, semicolon)))};
    if (!detail::is_caa_domain(read.issuer_domain_name))
        return std::nullopt;
    if (semicolon == std::string_view::npos)
        return read;
    std::string_view rest = http::trim(value.substr(semicolon + 1));
    // RFC 8659 4.2: parameters = (parameter *WSP ";" *WSP parameters) / parameter
    for (bool more = !rest.empty(); more;) {
        const std::size_t end = rest.find(';');
        auto one = detail::parse_caa_parameter(rest.substr(0, end));
        if (!one || read.parameters.size() == detail::max_caa_parameters)
            return std::nullopt;
        read.parameters.push_back(std::move(*one));
        more = end != std::string_view::npos;
        rest.remove_prefix(more ? end + 1 : rest.size());
    }
    return read;
}

// What is to be issued, and by whom.
struct caa_question {
    bool is_wildcard = false;
    std::vector<std::string> identities; // of the CA (RFC 8555 7.1.1: caaIdentities)
    std::string account;                 // its URL; empty: there is none yet
    std::vector<std::string> methods;    // that would be used: "http-01"
};

struct caa_answer {
    bool is_allowed = true;
    bool is_restricted = false;       // records decided it
    std::vector<std::string> methods; // of the question's, those that are allowed
    std::string why;                  // when it is not allowed: what each record that counts says, in one sentence
};

namespace detail {

// What a zone says, for a line of text.
inline std::string printable(std::string_view text)
{
    constexpr std::size_t most = 200;
    std::string shown(text.substr(0, most));
    // What is not ASCII may be no UTF-8.
    std::ranges::replace_if(shown, [](unsigned char c) { return c < 0x20 || c > 0x7e; }, '?');
    return shown;
}

// Which of the question's methods a property allows; why there are none is added to `why`.
inline std::vector<std::string> methods_allowed(const std::string& value, const caa_question& asked, std::string& why)
{
    const auto refuse = [&](std::string_view reason) {
        why.append(why.empty() ? "" : ", ").append("\"").append(printable(value)).append("\" ").append(reason);
        return std::vector<std::string>();
    };
    const auto issuer = parse_issue_value(value);
    // RFC 8659 4.2: a value that does not match the grammar "MUST be treated the same as" one without an issuer.
    if (!issuer)
        return refuse("does not follow RFC 8659 and so lets nobody issue");
    if (issuer->issuer_domain_name.empty())
        return refuse("lets nobody issue");
    const auto is_it = [&](const std::string& each) {
        return http::equal_ignoring_case(each, issuer->issuer_domain_name);
    };
    if (std::ranges::none_of(asked.identities, is_it))
        return refuse("names another CA");
    const auto count = [&](std::string_view tag) {
        return std::ranges::count(issuer->parameters, tag, &std::pair<std::string, std::string>::first);
    };
    // RFC 8657 3, 4: "A Property with multiple "accounturi" parameters is unsatisfiable."
    if (count("accounturi") > 1 || count("validationmethods") > 1)
        return refuse("has a parameter twice, which nothing satisfies");
    std::vector<std::string> methods = asked.methods;
    for (const auto& [tag, text] : issuer->parameters) {
        // RFC 8657 3.
        if (tag == "accounturi" && text != asked.account)
            return refuse(asked.account.empty() ? "names an account, and there is none here yet"
                                                : "names another account than " + asked.account);
        // RFC 8657 4: "one of the names listed in the comma-separated list".
        if (tag == "validationmethods") {
            const std::string_view list = text;
            std::erase_if(methods, [list](const std::string& method) {
                std::string_view rest = list;
                while (!rest.empty()) {
                    if (http::next_part(rest, ',') == method)
                        return false;
                }
                return true;
            });
            if (methods.empty())
                return refuse("allows other challenges than can be answered");
        }
    }
    return methods;
}

}

// `records` is the relevant record set (RFC 8659 3), only records of type CAA.
[[nodiscard]] inline caa_answer decide_caa(const std::vector<dns::record>& records, const caa_question& asked)
{
    constexpr std::uint8_t critical = 0x80; // RFC 8659 4.1
    std::string_view tag = "issue";
    for (const dns::record& each : records) {
        // RFC 8659 4.2 to 4.4, RFC 9495; the last two are from the CA/Browser Forum's Baseline Requirements, A.1.
        const bool is_known = each.caa_tag == "issue" || each.caa_tag == "issuewild" || each.caa_tag == "iodef"
                              || each.caa_tag == "issuemail" || each.caa_tag == "contactemail"
                              || each.caa_tag == "contactphone";
        // RFC 8659 4.1: a CA "MUST NOT issue" for what is critical and not understood.
        if (!is_known && (each.caa_flags & critical) != 0)
            return {false, true, {},
                    "the property \"" + detail::printable(each.caa_tag) + "\" is critical, and CAs may not know it"};
        // RFC 8659 4.3: for wildcards, "issue" does not count where there is an "issuewild".
        if (asked.is_wildcard && each.caa_tag == "issuewild")
            tag = "issuewild";
    }
    caa_answer answer{.is_allowed = true, .is_restricted = false, .methods = asked.methods, .why = {}};
    std::vector<std::string> allowed;
    for (const dns::record& each : records) {
        if (each.caa_tag != tag)
            continue;
        answer.is_restricted = true;
        for (std::string& method : detail::methods_allowed(each.text, asked, answer.why)) {
            if (std::ranges::count(allowed, method) == 0)
                allowed.push_back(std::move(method));
        }
    }
    if (!answer.is_restricted)
        return answer;
    answer.is_allowed = !allowed.empty();
    answer.methods = std::move(allowed);
    if (answer.is_allowed)
        answer.why.clear();
    return answer;
}

}

#endif
