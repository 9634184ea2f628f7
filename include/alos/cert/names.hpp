// Names that certificates are stored and looked up under: host names, wildcards and IP addresses, in one spelling
// each.
#ifndef ALOS_CERT_NAMES_HPP
#define ALOS_CERT_NAMES_HPP

#include <alos/bytes.hpp>

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace alos::inline v0::cert {

inline constexpr std::size_t max_name_size = 253; // RFC 1035 2.3.4, in text form
inline constexpr std::size_t max_label_size = 63;

// A host name as lookups compare it: labels of letters, digits, '-' and '_', in lower case, without the final dot.
// Empty when the text is no host name; a last label of digits alone makes it an address (RFC 3696 2).
class host_name {
public:
    explicit host_name(std::string_view text) noexcept
    {
        if (text.ends_with('.'))
            text.remove_suffix(1);
        if (text.empty() || text.size() > max_name_size)
            return;
        std::size_t label = 0; // where the current one starts
        bool only_digits = true;
        for (std::size_t i = 0; i < text.size(); ++i) {
            const char c = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] - 'A' + 'a') : text[i];
            text_[i] = c;
            if (c == '.') {
                if (!is_label(text.substr(label, i - label)))
                    return;
                label = i + 1;
                only_digits = true;
                continue;
            }
            const bool digit = c >= '0' && c <= '9';
            if (!digit && !(c >= 'a' && c <= 'z') && c != '-' && c != '_')
                return;
            only_digits = only_digits && digit;
        }
        if (is_label(text.substr(label)) && !only_digits)
            size_ = text.size();
    }

    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::string_view text() const noexcept { return {text_.data(), size_}; }

private:
    static bool is_label(std::string_view label) noexcept
    {
        return !label.empty() && label.size() <= max_label_size && label.front() != '-' && label.back() != '-';
    }

    std::array<char, max_name_size> text_;
    std::size_t size_ = 0;
};

// The part of a name that a wildcard stands before: "example.com" of "www.example.com"; empty for a single label.
[[nodiscard]] inline std::string_view parent_of(std::string_view name) noexcept
{
    const std::size_t dot = name.find('.');
    return dot == std::string_view::npos ? std::string_view{} : name.substr(dot + 1);
}

// An IPv4 or IPv6 address; one that is mapped into IPv6 (RFC 4291 2.5.5.2) is the IPv4 address that it means.
class ip_address {
public:
    ip_address() noexcept = default;

    // From 4 or 16 bytes; empty from any other number.
    explicit ip_address(byte_view bytes) noexcept
    {
        constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
        if (bytes.size() == 16 && equal(bytes.first(12), mapped))
            bytes = bytes.subspan(12);
        if (bytes.size() != 4 && bytes.size() != 16)
            return;
        copy(bytes, bytes_);
        size_ = bytes.size();
    }

    // From "192.0.2.1", "2001:db8::1"; empty from anything else.
    explicit ip_address(std::string_view text) noexcept
    {
        std::array<char, INET6_ADDRSTRLEN> terminated{};
        if (text.size() >= terminated.size() || text.find('\0') != std::string_view::npos)
            return;
        std::ranges::copy(text, terminated.begin());
        std::array<std::uint8_t, 16> parsed{};
        if (::inet_pton(AF_INET, terminated.data(), parsed.data()) == 1)
            *this = ip_address(byte_view(parsed).first(4));
        else if (::inet_pton(AF_INET6, terminated.data(), parsed.data()) == 1)
            *this = ip_address(byte_view(parsed));
    }

    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] byte_view bytes() const noexcept { return {bytes_.data(), size_}; }

    // Whether it is of this machine, its link or a private network (RFC 6890 2.2.2, 2.2.3, RFC 4193).
    [[nodiscard]] bool is_private() const noexcept
    {
        struct network {
            std::string_view first;
            std::size_t bits;
        };
        constexpr auto all = std::to_array<network>({{"127.0.0.0", 8}, {"10.0.0.0", 8}, {"172.16.0.0", 12},
                                                     {"192.168.0.0", 16}, {"100.64.0.0", 10}, {"169.254.0.0", 16},
                                                     {"::1", 128}, {"fc00::", 7}, {"fe80::", 10}});
        return std::ranges::any_of(all, [&](const network& each) {
            const ip_address first(each.first);
            const std::size_t whole = each.bits / 8;
            const std::size_t rest = each.bits % 8;
            return size_ == first.size_ && equal(bytes().first(whole), first.bytes().first(whole))
                   && (rest == 0 || (bytes_[whole] ^ first.bytes_[whole]) >> (8 - rest) == 0);
        });
    }

    // The canonical form (RFC 5952).
    [[nodiscard]] std::string text() const
    {
        std::array<char, INET6_ADDRSTRLEN> out{};
        ::inet_ntop(size_ == 4 ? AF_INET : AF_INET6, bytes_.data(), out.data(), out.size());
        return empty() ? std::string() : std::string(out.data());
    }

private:
    std::array<std::uint8_t, 16> bytes_{};
    std::size_t size_ = 0;
};

// The spelling under which a domain is stored: a host name, "*." and a host name, or an IP address. Nothing for
// anything else, such as a name in Unicode, which has to be given as A-labels (RFC 5890 2.3.2.1).
[[nodiscard]] inline std::optional<std::string> parse_domain(std::string_view text)
{
    if (const ip_address address(text); !address.empty())
        return address.text();
    const bool wildcard = text.starts_with("*.");
    const host_name name(wildcard ? text.substr(2) : text);
    if (name.empty() || (wildcard && name.text().size() + 2 > max_name_size))
        return std::nullopt;
    return wildcard ? "*." + std::string(name.text()) : std::string(name.text());
}

}

#endif
