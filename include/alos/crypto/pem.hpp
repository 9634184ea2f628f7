// PEM (RFC 7468): finds the blocks in a text. Text around them, CRLF and blanks at line ends are tolerated.
#ifndef ALOS_CRYPTO_PEM_HPP
#define ALOS_CRYPTO_PEM_HPP

#include <alos/bytes.hpp>
#include <alos/error.hpp>

#include <botan/base64.h>
#include <botan/secmem.h>

#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace alos::inline v0 {

// Bytes and text that may hold a private key: wiped when they go.
using secret_bytes = Botan::secure_vector<std::uint8_t>;
using secret_text = Botan::secure_vector<char>;

inline std::string_view as_text(const secret_text& text) noexcept { return {text.data(), text.size()}; }

[[nodiscard]] inline secret_text to_secret_text(std::string_view text) { return {text.begin(), text.end()}; }

inline constexpr std::size_t max_pem_size = 1 << 20; // bytes of one bundle
inline constexpr std::size_t max_pem_blocks = 64;    // in one bundle

// One block: views into the text that it was found in.
struct pem_block {
    std::string_view label;   // "CERTIFICATE", "EC PRIVATE KEY", ...
    std::string_view headers; // "Proc-Type: 4,ENCRYPTED" and the like (RFC 1421), mostly empty
    std::string_view body;    // base64
};

namespace detail {

// Takes the next line off `text`, without its end and the blanks before it.
inline std::string_view take_line(std::string_view& text) noexcept
{
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t'))
        line.remove_suffix(1);
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t'))
        line.remove_prefix(1);
    return line;
}

// The label of a line like "-----BEGIN label-----"; empty for any other line.
inline std::string_view boundary(std::string_view line, std::string_view start) noexcept
{
    constexpr std::string_view dashes = "-----";
    if (!line.starts_with(start) || !line.ends_with(dashes) || line.size() <= start.size() + dashes.size())
        return {};
    return line.substr(start.size(), line.size() - start.size() - dashes.size());
}

// The text between two positions of one text.
inline std::string_view between(std::string_view from, std::string_view to) noexcept
{
    return from.substr(0, from.size() - to.size());
}

}

// All blocks, in order; fails when there is none, or one does not end.
[[nodiscard]] inline outcome<std::vector<pem_block>> parse_pem(std::string_view text)
{
    if (text.size() > max_pem_size)
        return failure{errc::bad_pem, "the PEM text is larger than 1 MiB; leave out what is not needed"};
    if (text.starts_with("\xef\xbb\xbf")) // a byte order mark
        text.remove_prefix(3);
    const bool looks_like_der = text.size() > 1 && text[0] == 0x30 && (text[1] & 0x80) != 0;
    std::vector<pem_block> blocks;
    while (!text.empty()) {
        const std::string_view label = detail::boundary(detail::take_line(text), "-----BEGIN ");
        if (label.empty())
            continue;
        if (blocks.size() == max_pem_blocks)
            return failure{errc::bad_pem, "more than 64 PEM blocks; leave out what is not needed"};
        const std::string_view inside = text;
        std::string_view body = text;
        std::string_view end;
        std::string_view headers;
        while (true) {
            const std::string_view here = text;
            const std::string_view line = detail::take_line(text);
            end = detail::boundary(line, "-----END ");
            if (!end.empty()) {
                body = detail::between(body, here);
                break;
            }
            if (text.empty() || line.starts_with("-----"))
                return failure{errc::bad_pem, "a BEGIN line without its END line; the text is cut off or damaged"};
            if (line.find(':') != std::string_view::npos) {
                headers = detail::between(inside, text);
                body = text;
            }
        }
        if (end != label)
            return failure{errc::bad_pem, "a BEGIN line and its END line differ; the text is damaged"};
        blocks.push_back({label, headers, body});
    }
    if (blocks.empty() && looks_like_der)
        return failure{errc::bad_pem, "this is DER or PKCS#12, not PEM; convert it (openssl x509 -inform DER, "
                                      "openssl pkey -inform DER, or openssl pkcs12 -nodes)"};
    if (blocks.empty())
        return failure{errc::bad_pem, "no PEM block in it; PEM starts with a line like -----BEGIN CERTIFICATE----- or "
                                      "-----BEGIN PRIVATE KEY-----"};
    return blocks;
}

// The bytes of a block; fails when its body is not base64.
[[nodiscard]] inline result<secret_bytes> decode_pem(const pem_block& block)
{
    try {
        return Botan::base64_decode(block.body);
    } catch (const std::exception&) {
        return make_error_code(errc::bad_pem);
    }
}

// RFC 4648 4, in one line.
[[nodiscard]] inline secret_text encode_base64(byte_view bytes)
{
    secret_text base64(Botan::base64_encode_max_output(bytes.size()));
    std::size_t consumed = 0;
    base64.resize(Botan::base64_encode(base64.data(), bytes.data(), bytes.size(), consumed, true));
    return base64;
}

// A block with this label and these bytes.
[[nodiscard]] inline secret_text encode_pem(std::string_view label, byte_view der)
{
    const secret_text base64 = encode_base64(der);
    secret_text out;
    out.reserve(base64.size() + base64.size() / 64 + 2 * label.size() + 40);
    const auto append = [&](std::string_view text) { out.insert(out.end(), text.begin(), text.end()); };
    append("-----BEGIN ");
    append(label);
    append("-----\n");
    for (std::size_t at = 0; at < base64.size(); at += 64) {
        append(as_text(base64).substr(at, 64));
        append("\n");
    }
    append("-----END ");
    append(label);
    append("-----\n");
    return out;
}

}

#endif
