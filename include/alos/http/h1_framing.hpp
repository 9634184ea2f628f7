// Whether bytes are one HTTP/1.1 message and nothing else: strict, so that no two programs that read the same
// connection cut it in different places. RFC 9112 2 to 7. What passes here goes to Beast's parser.
#ifndef ALOS_HTTP_H1_FRAMING_HPP
#define ALOS_HTTP_H1_FRAMING_HPP

#include <alos/http/error.hpp>
#include <alos/http/fields.hpp>
#include <alos/http/uri.hpp>

#include <algorithm>
#include <charconv>
#include <optional>

namespace alos::inline v0::http {

// In bytes but for `fields`; beside each the status for what is more. Zero is no exception.
struct h1_limits {
    std::size_t header = 16 * 1024;       // request line and fields, with their line ends: 431
    std::size_t fields = 100;             // 431; trailers count for themselves
    std::size_t target = 8 * 1024;        // 414
    std::uint64_t body = 4 * 1024 * 1024; // 413
    std::size_t chunk_line = 256;         // size and extensions of one chunk: 400
    std::size_t extensions = 4 * 1024;    // of all chunks of a message: 400
    std::size_t trailers = 8 * 1024;      // 431
};

namespace detail {

// Takes the line before the next CRLF from `rest`, which has one.
constexpr std::string_view next_line(std::string_view& rest) noexcept
{
    const std::size_t end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 2);
    return line;
}

// What the fields of a header say about framing.
struct framing_fields {
    bool is_1_0 = false;
    unsigned hosts = 0;
    bool has_length = false;
    bool is_chunked = false;
};

// RFC 9112 6.1 to 6.3, RFC 9110 10.1.1.
constexpr std::optional<errc> check_framing_field(const field& each, framing_fields& seen) noexcept
{
    switch (each.name.size()) {
    case 4: // RFC 9112 3.2: Host
        if (!equal_ignoring_case(each.name, "host"))
            break;
        if (++seen.hosts > 1 || !is_host_and_port(each.value))
            return errc::bad_host;
        break;
    case 6: // RFC 9110 10.1.1: an HTTP/1.0 client expects nothing
        if (equal_ignoring_case(each.name, "expect") && !seen.is_1_0 &&
            !equal_ignoring_case(each.value, "100-continue"))
            return errc::bad_expectation;
        break;
    case 14: // RFC 9112 6.3: Content-Length is one number, once
        if (!equal_ignoring_case(each.name, "content-length"))
            break;
        if (seen.has_length || !parse_decimal(each.value))
            return errc::bad_content_length;
        seen.has_length = true;
        break;
    case 17: // RFC 9112 6.1: "chunked" and nothing else, once; HTTP/1.0 does not know it
        if (!equal_ignoring_case(each.name, "transfer-encoding"))
            break;
        if (seen.is_1_0 || seen.is_chunked || !equal_ignoring_case(each.value, "chunked"))
            return errc::bad_transfer_encoding;
        seen.is_chunked = true;
        break;
    default: break;
    }
    return std::nullopt;
}

// RFC 9112 5: one field line.
constexpr std::optional<errc> parse_field_line(std::string_view line, field& into) noexcept
{
    // RFC 9112 5.2: "A server that receives an obs-fold in a request message ... MUST either reject ... or replace".
    if (line.front() == ' ' || line.front() == '\t')
        return errc::obsolete_folding;
    const std::size_t colon = line.find(':');
    // RFC 9112 5.1: "No whitespace is allowed between the field name and colon."
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
        return errc::bad_field_name;
    into = {line.substr(0, colon), trim(line.substr(colon + 1))};
    // RFC 9110 5.5; CR without LF is among what this refuses (RFC 9112 2.2).
    if (!is_field_value(into.value))
        return into.value.find('\r') == std::string_view::npos ? errc::bad_field_value : errc::bad_line_ending;
    return std::nullopt;
}

}

// RFC 9112 3: method SP request-target SP HTTP-version.
struct request_line {
    std::string_view method;
    std::string_view target;
    std::string_view version;
};

// `line` is without its CRLF.
constexpr std::optional<errc> parse_request_line(std::string_view line, request_line& into,
                                                 const h1_limits& limits) noexcept
{
    const std::size_t first = line.find(' ');
    const std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
    if (second == std::string_view::npos)
        return errc::bad_request_line;
    into = {line.substr(0, first), line.substr(first + 1, second - first - 1), line.substr(second + 1)};
    if (!is_token(into.method) || into.target.empty())
        return errc::bad_request_line;
    if (into.target.size() > limits.target)
        return errc::target_too_long;
    if (!std::ranges::all_of(into.target, is_target_char))
        return errc::bad_target;
    // RFC 9112 2.3: HTTP-version is case-sensitive.
    const std::string_view version = into.version;
    if (version.size() != 8 || !version.starts_with("HTTP/") || !is_digit(version[5]) || version[6] != '.' ||
        !is_digit(version[7]))
        return errc::bad_version;
    if (version[5] != '1')
        return errc::unsupported_version;
    return std::nullopt;
}

// A whole header: request line, fields and the empty line behind them, in which every LF follows a CR.
constexpr std::optional<errc> check_header(std::string_view block, const h1_limits& limits) noexcept
{
    request_line start;
    if (const auto bad = parse_request_line(detail::next_line(block), start, limits))
        return bad;
    detail::framing_fields seen{.is_1_0 = start.version.back() == '0'};
    std::size_t count = 0;
    for (std::string_view line = detail::next_line(block); !line.empty(); line = detail::next_line(block)) {
        field each;
        if (const auto bad = detail::parse_field_line(line, each))
            return bad;
        if (++count > limits.fields)
            return errc::header_too_large;
        if (const auto bad = detail::check_framing_field(each, seen))
            return bad;
    }
    // RFC 9112 6.1: together they are a sign of request smuggling.
    if (seen.has_length && seen.is_chunked)
        return errc::both_framings;
    // RFC 9112 3.2: "A server MUST respond with a 400 ... to any HTTP/1.1 request message that lacks a Host".
    if (seen.hosts == 0 && !seen.is_1_0)
        return errc::bad_host;
    return std::nullopt;
}

// RFC 9112 7.1.2: a trailer section, its empty line included; none of its fields may be about framing or routing.
constexpr std::optional<errc> check_trailers(std::string_view block, const h1_limits& limits) noexcept
{
    std::size_t count = 0;
    for (std::string_view line = detail::next_line(block); !line.empty(); line = detail::next_line(block)) {
        field each;
        if (const auto bad = detail::parse_field_line(line, each))
            return bad;
        if (is_framing_field(each.name) || equal_ignoring_case(each.name, "host") ||
            equal_ignoring_case(each.name, "expect"))
            return errc::bad_trailer;
        if (++count > limits.fields)
            return errc::header_too_large;
    }
    return std::nullopt;
}

// RFC 9112 7.1: chunk-size [ chunk-ext ], without CRLF. A size that does not fit, white space behind it, and control
// characters in an extension are refused; the extension's grammar is Beast's to check.
constexpr std::optional<errc> check_chunk_line(std::string_view line) noexcept
{
    const auto is_hex = [](char c) { return hex_digit(c) >= 0; };
    const auto size = static_cast<std::size_t>(std::ranges::find_if_not(line, is_hex) - line.begin());
    if (size == 0 || size > 15)
        return errc::bad_chunk;
    const std::string_view extension = line.substr(size);
    if (!extension.empty() && (extension.front() != ';' || !is_field_value(extension)))
        return errc::bad_chunk;
    return std::nullopt;
}

}

#endif
