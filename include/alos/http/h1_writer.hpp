// HTTP/1.1 responses, to bytes. RFC 9112 4, 6, 7.1 and 9.
#ifndef ALOS_HTTP_H1_WRITER_HPP
#define ALOS_HTTP_H1_WRITER_HPP

#include <alos/http/response.hpp>

namespace alos::inline v0::http {

// How the end of a response's body is told. RFC 9112 6.3.
enum class h1_framing {
    none,        // no body follows: HEAD, 204, 304
    length,      // Content-Length
    chunked,     // RFC 9112 7.1
    until_close, // an unknown length for an HTTP/1.0 client: the connection's end
};

struct h1_head {
    h1_framing framing = h1_framing::none;
    bool keep_alive = false; // whether the connection lives on behind this response
};

namespace detail {

inline void append_number(std::string& out, std::uint64_t number, int base = 10)
{
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, number, base).ptr);
}

inline void append_status_line(std::string& out, unsigned status)
{
    if (status == 200) {
        out.append("HTTP/1.1 200 OK\r\n");
        return;
    }
    out.append("HTTP/1.1 ");
    append_number(out, status);
    out.append(" ").append(reason_phrase(status)).append("\r\n");
}

// RFC 9112 6.3: how the body of `answer` is delimited.
inline h1_framing choose_framing(const request_data& asked, const response_data& answer) noexcept
{
    // RFC 9110 6.4.1: these never have content.
    if (asked.method == verb::head || answer.status == 204 || answer.status == 304)
        return h1_framing::none;
    if (answer.length())
        return h1_framing::length;
    return asked.version >= 11 ? h1_framing::chunked : h1_framing::until_close;
}

// Framing fields of a response; for HEAD those that GET would have had (RFC 9110 9.3.2).
inline void append_framing(std::string& out, const request_data& asked, const response_data& answer)
{
    // RFC 9110 8.6: "A server MUST NOT send a Content-Length header field in any response with a status code of
    // 1xx ... or 204"; in a 304 it would have to be that of the 200, which nobody computed.
    if (answer.status == 204 || answer.status == 304)
        return;
    std::optional<std::uint64_t> length = answer.length();
    if (asked.method == verb::head && answer.kind == body_kind::none && answer.declared_length)
        length = answer.declared_length;
    if (length) {
        out.append("Content-Length: ");
        append_number(out, *length);
        out.append("\r\n");
        return;
    }
    if (asked.version < 11)
        return;
    out.append("Transfer-Encoding: chunked\r\n");
    if (answer.trailers.empty())
        return;
    // RFC 9110 6.6.2: announced, as far as they are known already.
    out.append("Trailer: ");
    for (std::size_t i = 0; i < answer.trailers.size(); ++i)
        out.append(i > 0 ? ", " : "").append(answer.trailers[i].name);
    out.append("\r\n");
}

}

// Appends status line and header. `date` is the value of Date, `keep_alive` whether the server would go on.
[[nodiscard]] inline h1_head append_head(std::string& out, const request_data& asked, const response_data& answer,
                                         std::string_view date, bool keep_alive)
{
    h1_head head;
    head.framing = detail::choose_framing(asked, answer);
    head.keep_alive =
        keep_alive && asked.keep_alive && !answer.close && head.framing != h1_framing::until_close;
    detail::append_status_line(out, answer.status);
    if (!answer.headers.find("Date"))
        out.append("Date: ").append(date).append("\r\n");
    out.append(answer.headers.text());
    detail::append_framing(out, asked, answer);
    // RFC 9112 9.3: HTTP/1.1 goes on unless it is told not to, HTTP/1.0 the other way round.
    if (!head.keep_alive)
        out.append("Connection: close\r\n");
    else if (asked.version < 11)
        out.append("Connection: keep-alive\r\n");
    out.append("\r\n");
    return head;
}

// RFC 9112 7.1: appends what goes before a chunk of `size` bytes, which must not be 0; chunk_end goes behind it.
inline void append_chunk_start(std::string& out, std::size_t size)
{
    detail::append_number(out, size, 16);
    out.append("\r\n");
}
inline constexpr std::string_view chunk_end = "\r\n";

// RFC 9112 7.1.2: appends the last chunk and the trailers.
inline void append_last_chunk(std::string& out, const response_data& answer)
{
    out.append("0\r\n").append(answer.trailers.text()).append("\r\n");
}

// RFC 9110 15.2.1.
inline constexpr std::string_view continue_head = "HTTP/1.1 100 Continue\r\n\r\n";

// Appends a whole response for a request that could not be read: the connection is closed behind it.
inline void append_error(std::string& out, unsigned status, std::string_view text, std::string_view date)
{
    detail::append_status_line(out, status);
    out.append("Date: ").append(date).append("\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ");
    detail::append_number(out, text.size() + 1);
    out.append("\r\nConnection: close\r\n\r\n").append(text).append("\n");
}

}

#endif
