// Header and trailer fields as received, and the grammar they are made of. RFC 9110 5.
#ifndef ALOS_HTTP_FIELDS_HPP
#define ALOS_HTTP_FIELDS_HPP

#include <algorithm>
#include <array>
#include <cstdint>
#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

namespace alos::inline v0::http {

constexpr char to_lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

// RFC 9110 5.1: field names, and many values, are compared without regard to case.
constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept
{
    if (a.size() != b.size())
        return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (to_lower(a[i]) != to_lower(b[i]))
            return false;
    }
    return true;
}

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

namespace detail {

inline constexpr std::array<bool, 256> token_characters = [] {
    std::array<bool, 256> table{};
    for (const char c : std::string_view("!#$%&'*+-.^_`|~0123456789"
                                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        table[static_cast<std::uint8_t>(c)] = true;
    return table;
}();

}

// RFC 9110 5.6.2: tchar.
constexpr bool is_token_char(char c) noexcept { return detail::token_characters[static_cast<std::uint8_t>(c)]; }

// RFC 9110 5.6.2: token = 1*tchar.
constexpr bool is_token(std::string_view text) noexcept
{
    return !text.empty() && std::ranges::all_of(text, is_token_char);
}

// RFC 9110 5.5: what a field value may hold: VCHAR, obs-text, SP, HTAB.
constexpr bool is_field_char(char c) noexcept
{
    const auto byte = static_cast<std::uint8_t>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

constexpr bool is_field_value(std::string_view text) noexcept { return std::ranges::all_of(text, is_field_char); }

// RFC 9110 5.6.3: without the optional white space around it.
constexpr std::string_view trim(std::string_view text) noexcept
{
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
        text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
        text.remove_suffix(1);
    return text;
}

// RFC 9110 8.6: 1*DIGIT; nothing for anything else, and for more than 64 bits hold.
[[nodiscard]] inline std::optional<std::uint64_t> parse_decimal(std::string_view text) noexcept
{
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, problem] = std::from_chars(text.data(), end, number);
    return problem == std::errc{} && stop == end ? std::optional(number) : std::nullopt;
}

// Takes the part of `rest` before the next `separator` and leaves the part behind it; trimmed.
constexpr std::string_view next_part(std::string_view& rest, char separator) noexcept
{
    const std::size_t end = std::min(rest.find(separator), rest.size());
    const std::string_view part = trim(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return part;
}

// RFC 9112 6, RFC 9110 7.6.1: fields that say how a message is cut out of the connection. They are ours to write, and
// no trailer may have them.
constexpr bool is_framing_field(std::string_view name) noexcept
{
    for (const std::string_view each :
         {"content-length", "transfer-encoding", "connection", "trailer", "te", "upgrade"}) {
        if (equal_ignoring_case(name, each))
            return true;
    }
    return false;
}

// A name and a value; views into the message they belong to.
struct field {
    std::string_view name;
    std::string_view value;
};

// Fields in the order in which they came.
class fields {
public:
    [[nodiscard]] bool empty() const noexcept { return fields_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }
    [[nodiscard]] auto begin() const noexcept { return fields_.begin(); }
    [[nodiscard]] auto end() const noexcept { return fields_.end(); }

    // The value of the first field of that name.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept
    {
        for (const field& each : fields_) {
            if (equal_ignoring_case(each.name, name))
                return each.value;
        }
        return std::nullopt;
    }

    [[nodiscard]] bool contains(std::string_view name) const noexcept { return find(name).has_value(); }

    // The values of all fields of that name.
    [[nodiscard]] std::vector<std::string_view> all(std::string_view name) const
    {
        std::vector<std::string_view> values;
        for (const field& each : fields_) {
            if (equal_ignoring_case(each.name, name))
                values.push_back(each.value);
        }
        return values;
    }

    void add(std::string_view name, std::string_view value) { fields_.push_back({name, value}); }
    void clear() noexcept { fields_.clear(); }

private:
    std::vector<field> fields_;
};

}

#endif
