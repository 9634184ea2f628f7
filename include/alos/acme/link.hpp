// Links between resources: "alternate" chains, "next" pages, the terms of service. RFC 8288, RFC 8555 7.
#ifndef ALOS_ACME_LINK_HPP
#define ALOS_ACME_LINK_HPP

#include <alos/http/outbound.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

namespace detail {

inline constexpr std::size_t max_links = 32;
inline constexpr std::size_t max_link_target = 2048;

// Takes links from the front of one field value. RFC 8288 3, appendix B.2.
class link_reader {
public:
    explicit link_reader(std::string_view value) noexcept : rest_(value) {}

    struct link {
        std::string_view target;
        std::string relations; // relation types with spaces between them
        bool has_anchor = false;
    };

    // Nothing at the end, and where the value stops being a list of links.
    [[nodiscard]] std::optional<link> next()
    {
        while (skip_space(), take(','))
            continue;
        const std::size_t end = rest_.find('>');
        if (!take('<') || end == std::string_view::npos)
            return std::nullopt;
        link made;
        made.target = rest_.substr(0, end - 1);
        rest_.remove_prefix(end);
        bool has_relations = false;
        while (skip_space(), take(';')) {
            skip_space();
            const std::string_view name = token();
            std::string value;
            if (skip_space(); take('=')) {
                skip_space();
                value = rest_.starts_with('"') ? quoted() : std::string(token());
            }
            // RFC 8288 3.3: "occurrences after the first MUST be ignored by parsers."
            if (http::equal_ignoring_case(name, "rel") && !std::exchange(has_relations, true))
                made.relations = std::move(value);
            made.has_anchor = made.has_anchor || http::equal_ignoring_case(name, "anchor");
        }
        if (!rest_.empty() && rest_.front() != ',')
            rest_ = {}; // what follows cannot be told from a parameter of this one
        return made;
    }

private:
    void skip_space() noexcept
    {
        while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t'))
            rest_.remove_prefix(1);
    }

    bool take(char c) noexcept
    {
        const bool there = rest_.starts_with(c);
        rest_.remove_prefix(there ? 1 : 0);
        return there;
    }

    // What stands before the next separator: more than RFC 9110 calls a token, as a value may be an unquoted URL.
    std::string_view token() noexcept
    {
        const std::size_t size = std::min(rest_.find_first_of(" \t=;,\""), rest_.size());
        const std::string_view text = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return text;
    }

    // RFC 9110 5.6.4; one that never ends, ends with the value.
    std::string quoted()
    {
        std::string text;
        rest_.remove_prefix(1);
        while (!rest_.empty() && !take('"')) {
            if (rest_.front() == '\\' && rest_.size() > 1)
                rest_.remove_prefix(1);
            text += rest_.front();
            rest_.remove_prefix(1);
        }
        return text;
    }

    std::string_view rest_;
};

// RFC 8288 2.1.1: relation types are compared without regard to case.
inline bool has_relation(std::string_view relations, std::string_view wanted) noexcept
{
    while (!relations.empty()) {
        if (http::equal_ignoring_case(http::next_part(relations, ' '), wanted))
            return true;
    }
    return false;
}

}

// The targets of the answer's links of relation `rel`, in their order and as they stand: a relative one is to be
// taken against `from.url`. Links with another context than the answer itself (RFC 8288 3.2) are left out, as are those
// with a target longer than 2048 bytes; 32 links are looked at, at most.
[[nodiscard]] inline std::vector<std::string> links(const http::outbound_response& from, std::string_view rel)
{
    std::vector<std::string> targets;
    std::size_t seen = 0;
    for (const auto& [name, value] : from.fields) {
        if (!http::equal_ignoring_case(name, "Link"))
            continue;
        detail::link_reader reader(value);
        while (seen < detail::max_links) {
            const auto link = reader.next();
            if (!link)
                break;
            ++seen;
            const std::string_view target = http::trim(link->target);
            const bool usable = !target.empty() && target.size() <= detail::max_link_target
                                && http::is_field_value(target) && !link->has_anchor;
            if (usable && detail::has_relation(link->relations, rel))
                targets.emplace_back(target);
        }
    }
    return targets;
}

}

#endif
