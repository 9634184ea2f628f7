// What can be wrong with an HTTP message, the status that answers it, and the reason phrases.
// RFC 9110 15, RFC 9112.
#ifndef ALOS_HTTP_ERROR_HPP
#define ALOS_HTTP_ERROR_HPP

#include <alos/error.hpp>

#include <boost/asio/error.hpp>

#include <string_view>

namespace alos::inline v0::http {

enum class errc {
    bad_request_line = 1,  // RFC 9112 3: not "method SP request-target SP HTTP-version CRLF"
    bad_target,            // RFC 9112 3.2: a form the method may not have, or a bad escape in its path
    bad_version,           // RFC 9112 2.3: not "HTTP/" DIGIT "." DIGIT
    unsupported_version,   // RFC 9110 15.6.6: a major version that is not spoken here
    bad_line_ending,       // RFC 9112 2.2: CR or LF that is not part of CRLF
    bad_field_name,        // RFC 9112 5.1: empty, not a token, or followed by white space
    bad_field_value,       // RFC 9110 5.5: NUL, CR, LF or another control character
    obsolete_folding,      // RFC 9112 5.2: a line that starts with white space
    bad_host,              // RFC 9112 3.2: missing, twice, or not an authority
    bad_content_length,    // RFC 9112 6.3: not one number, or different numbers
    both_framings,         // RFC 9112 6.1: Content-Length and Transfer-Encoding
    bad_transfer_encoding, // RFC 9112 6.1: not exactly "chunked", twice, or in HTTP/1.0
    bad_chunk,             // RFC 9112 7.1: size, extension or line ending of a chunk
    bad_trailer,           // RFC 9110 6.5.1: a field that may not be a trailer
    bad_expectation,       // RFC 9110 10.1.1: an expectation other than 100-continue
    target_too_long,       // RFC 9110 15.5.15
    header_too_large,      // RFC 6585 5: bytes or number of fields
    body_too_large,        // RFC 9110 15.5.14
    body_too_slow,         // RFC 9110 15.5.9: the deadline for the body has passed
    response_unfinished,   // the handler sent another length than the Content-Length it set
};

class error_category final : public boost::system::error_category {
public:
    constexpr error_category() noexcept : boost::system::error_category(0x5c2a9e7740d1b36fu) {}
    const char* name() const noexcept override { return "alos.http"; }
    std::string message(int code) const override
    {
        switch (static_cast<errc>(code)) {
        case errc::bad_request_line: return "malformed request line";
        case errc::bad_target: return "malformed request target";
        case errc::bad_version: return "malformed HTTP version";
        case errc::unsupported_version: return "HTTP version not supported";
        case errc::bad_line_ending: return "line not ended by CRLF";
        case errc::bad_field_name: return "malformed field name";
        case errc::bad_field_value: return "control character in a field value";
        case errc::obsolete_folding: return "folded header line";
        case errc::bad_host: return "missing, repeated or malformed Host";
        case errc::bad_content_length: return "malformed or contradictory Content-Length";
        case errc::both_framings: return "Content-Length together with Transfer-Encoding";
        case errc::bad_transfer_encoding: return "Transfer-Encoding where or as it may not be";
        case errc::bad_chunk: return "malformed chunk";
        case errc::bad_trailer: return "field not allowed in trailers";
        case errc::bad_expectation: return "unknown expectation";
        case errc::target_too_long: return "request target too long";
        case errc::header_too_large: return "header too large";
        case errc::body_too_large: return "body too large";
        case errc::body_too_slow: return "body too slow";
        case errc::response_unfinished: return "response shorter or longer than its Content-Length";
        }
        return "unknown error";
    }
};

inline const error_category& http_category() noexcept
{
    static constexpr error_category category;
    return category;
}

inline error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), http_category()}; }

// The status that tells the client about `code`.
constexpr unsigned status_of(errc code) noexcept
{
    switch (code) {
    case errc::unsupported_version: return 505;
    case errc::bad_expectation: return 417;
    case errc::target_too_long: return 414;
    case errc::header_too_large: return 431;
    case errc::body_too_large: return 413;
    case errc::body_too_slow: return 408;
    case errc::response_unfinished: return 500;
    default: return 400;
    }
}

// Whether an operation failed because of the client: it went away, or sent what is none of HTTP. Nothing to worry
// about.
[[nodiscard]] inline bool is_of_the_client(const error_code& ec) noexcept
{
    using boost::system::errc::broken_pipe;
    using boost::system::errc::connection_reset;
    using boost::system::errc::operation_canceled;
    return ec.category() == http_category() || ec == boost::asio::error::eof || ec == alos::errc::truncated
           || ec == alos::errc::closed || ec == broken_pipe || ec == connection_reset || ec == operation_canceled;
}

// RFC 9110 15 (and RFC 6585 for 428, 429, 431 and 511); empty for a number without a name.
constexpr std::string_view reason_phrase(unsigned status) noexcept
{
    switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 103: return "Early Hints";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 425: return "Too Early";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 451: return "Unavailable For Legal Reasons";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 511: return "Network Authentication Required";
    default: return {};
    }
}

}

namespace boost::system {
template <>
struct is_error_code_enum<alos::http::errc> : std::true_type {};
}

#endif
