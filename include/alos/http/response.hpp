// The answer to a request, as handlers write it. Misuse (a name or value that would break the message, a body where
// one was streamed) throws std::invalid_argument or std::logic_error: the recovery middleware makes a 500 of it.
#ifndef ALOS_HTTP_RESPONSE_HPP
#define ALOS_HTTP_RESPONSE_HPP

#include <alos/bytes.hpp>
#include <alos/http/error.hpp>
#include <alos/http/field_text.hpp>
#include <alos/http/file_body.hpp>
#include <alos/http/request.hpp>

#include <charconv>
#include <filesystem>
#include <stdexcept>

namespace boost::json {
class value;
}

namespace alos::inline v0 {

// A server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html).
struct server_event {
    std::string_view data; // may have many lines
    std::string_view name = {};
    std::string_view id = {};
    std::optional<std::chrono::milliseconds> retry = {};
};

namespace http {

// Appends `each` in the form of text/event-stream. Throws std::invalid_argument if name or id have a line end in them.
inline void append_event(std::string& out, const server_event& each)
{
    for (const std::string_view text : {each.name, each.id}) {
        if (text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
            throw std::invalid_argument("alos: line end in the name or id of an event");
    }
    if (!each.name.empty())
        out.append("event: ").append(each.name).push_back('\n');
    if (!each.id.empty())
        out.append("id: ").append(each.id).push_back('\n');
    if (each.retry)
        out.append("retry: ").append(std::to_string(each.retry->count())).push_back('\n');
    std::string_view rest = each.data;
    while (true) {
        const std::size_t end = rest.find_first_of("\r\n");
        out.append("data: ").append(rest.substr(0, end)).push_back('\n');
        if (end == std::string_view::npos)
            break;
        rest.remove_prefix(end + (rest.substr(end, 2) == "\r\n" ? 2 : 1));
    }
    out.push_back('\n');
}

// Bodies up to here are sent together with the header: copying costs less than another write.
inline constexpr std::size_t small_body = 16 * 1024;

// What a response's body is.
enum class body_kind { none, whole, borrowed, file, streamed };

struct response_data {
    unsigned status = 200;
    field_text headers;
    field_text trailers;
    body_kind kind = body_kind::none;
    std::string body;
    std::string_view borrowed;
    file_body file;
    std::optional<std::uint64_t> declared_length; // Content-Length, if the handler set it
    bool close = false;                           // the handler wants the connection closed
    bool head_sent = false;                       // set by who sends it
    bool aborted = false; // the handler failed after the head had left: the connection has to be cut
    std::string scratch;  // an event that is being sent
    const alos::request* request = nullptr; // what this answers
    body_io* io = nullptr;                 // set while a coroutine handler runs

    // Makes room for the next response. Large buffers are given back.
    void clear() noexcept
    {
        status = 200;
        headers.clear();
        trailers.clear();
        kind = body_kind::none;
        clear_keeping_some(body);
        borrowed = {};
        file.close();
        declared_length.reset();
        close = false;
        head_sent = false;
        aborted = false;
        clear_keeping_some(scratch);
        io = nullptr;
    }

    // The size of the body, if it is known before the body is sent.
    [[nodiscard]] std::optional<std::uint64_t> length() const noexcept
    {
        switch (kind) {
        case body_kind::none: return 0;
        case body_kind::whole: return body.size();
        case body_kind::borrowed: return borrowed.size();
        case body_kind::file: return file.left();
        case body_kind::streamed: break;
        }
        return declared_length;
    }
};

// How boost::json::value becomes text: in http/json.hpp, so that only those who answer in JSON pay for it.
struct json_format {};

}

class response {
public:
    response() = default;
    response(const response&) = delete;
    response& operator=(const response&) = delete;

    // RFC 9110 15; 200 to 599.
    response& status(unsigned code);
    [[nodiscard]] unsigned status() const noexcept { return data_.status; }

    // Replaces, or adds to, the fields of that name. Framing is not the handler's: Transfer-Encoding is refused,
    // Content-Length says how long a streamed body will be, Connection may only be "close".
    response& set(std::string_view name, std::string_view value);
    response& append(std::string_view name, std::string_view value);
    response& remove(std::string_view name);
    [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept
    {
        return data_.headers.find(name);
    }

    // Asks for a cookie to be kept, or dropped, by the browser. RFC 6265 4.1.
    response& set_cookie(const cookie& each);
    response& delete_cookie(std::string_view name, std::string_view path = "/");

    // The body as a whole. A Content-Type that was set before is kept.
    response& string(std::string_view text);   // text/plain; charset=utf-8
    response& html(std::string_view text);     // text/html; charset=utf-8
    response& bytes(byte_view data);           // application/octet-stream
    response& body(std::string text, std::string_view type = {}); // takes the text over
    // A body that is not copied: `text` must live until it has been sent, so best for ever.
    response& borrow(std::string_view text, std::string_view type = {});

    // A part of an open file. What is small is read at once.
    response& body(http::file_body file);

    // A JSON document; needs <alos/http/json.hpp>. Without a type, also a braced list: res.json({{"answer", 42}}).
    template <class Value = boost::json::value>
    response& json(const Value& document)
    {
        start_body(http::body_kind::whole, "application/json");
        append_json(http::json_format{}, data_.body, document);
        return *this;
    }

    // The file at `path`, with its type by its extension, ETag and Last-Modified; answers conditional and range
    // requests (RFC 9110 13, 14). 404 if there is none. The path is the program's own: for paths that clients name
    // there is serve_directory().
    response& file(const std::filesystem::path& path);

    // RFC 9110 15.4: sends the client to `location`, a URI reference.
    response& redirect(std::string_view location, unsigned code = 302);

    // Sends `piece` as a part of the body and completes when the transport took it: await it, and a slow client slows
    // the handler down. `piece` must live until then. The first piece sends status and headers. Not in plain handlers.
    // Throws boost::system::system_error when the client is gone.
    [[nodiscard]] awaitable<> write(std::string_view piece);

    // Sends an event; the first makes the body a text/event-stream. Name an event with more than data before the await:
    // GCC 12 stumbles over braces within it.
    [[nodiscard]] awaitable<> event(const server_event& each);
    [[nodiscard]] awaitable<> event(std::string_view data) { return event(server_event{data}); }

    // RFC 9110 6.5: a field behind a streamed body; sent if the body is chunked, to be set before the handler returns.
    response& trailer(std::string_view name, std::string_view value);

    // Closes the connection after this response.
    response& close();

    // Status and headers have left: neither can be changed any more.
    [[nodiscard]] bool head_sent() const noexcept { return data_.head_sent; }

    // Forgets what was set so far; not after head_sent().
    void reset();

private:
    friend struct http::access;

    void start_body(http::body_kind kind, std::string_view type);
    void require_head_unsent() const;
    void set_framing(std::string_view name, std::string_view value);

    http::response_data data_;
};

inline response& response::status(unsigned code)
{
    require_head_unsent();
    if (code < 200 || code > 599)
        throw std::invalid_argument("alos: not a final status code");
    data_.status = code;
    return *this;
}

inline response& response::set(std::string_view name, std::string_view value)
{
    require_head_unsent();
    if (http::is_framing_field(name)) {
        set_framing(name, value);
        return *this;
    }
    data_.headers.set(name, value);
    return *this;
}

inline response& response::append(std::string_view name, std::string_view value)
{
    if (http::is_framing_field(name))
        return set(name, value);
    require_head_unsent();
    data_.headers.append(name, value);
    return *this;
}

inline response& response::remove(std::string_view name)
{
    require_head_unsent();
    if (http::equal_ignoring_case(name, "connection"))
        data_.close = false;
    if (http::equal_ignoring_case(name, "content-length"))
        data_.declared_length.reset();
    data_.headers.remove(name);
    return *this;
}

inline void response::set_framing(std::string_view name, std::string_view value)
{
    if (http::equal_ignoring_case(name, "connection") && http::equal_ignoring_case(value, "close")) {
        data_.close = true;
        return;
    }
    const auto length = http::parse_decimal(value);
    if (!http::equal_ignoring_case(name, "content-length") || !length)
        throw std::invalid_argument("alos: the framing of a response is not the handler's to set");
    data_.declared_length = length;
}

inline response& response::set_cookie(const alos::cookie& each)
{
    return append("Set-Cookie", http::set_cookie_value(each));
}

inline response& response::delete_cookie(std::string_view name, std::string_view path)
{
    return set_cookie({.name = std::string(name),
                       .value = {},
                       .path = std::string(path),
                       .max_age = std::chrono::seconds(0)});
}

inline response& response::string(std::string_view text)
{
    start_body(http::body_kind::whole, "text/plain; charset=utf-8");
    data_.body.assign(text);
    return *this;
}

inline response& response::html(std::string_view text)
{
    start_body(http::body_kind::whole, "text/html; charset=utf-8");
    data_.body.assign(text);
    return *this;
}

inline response& response::bytes(byte_view data)
{
    start_body(http::body_kind::whole, "application/octet-stream");
    data_.body.assign(as_text(data));
    return *this;
}

inline response& response::body(std::string text, std::string_view type)
{
    start_body(http::body_kind::whole, type);
    data_.body = std::move(text);
    return *this;
}

inline response& response::body(http::file_body file)
{
    if (file.left() > http::small_body) {
        start_body(http::body_kind::file, {});
        data_.file = std::move(file);
        return *this;
    }
    start_body(http::body_kind::whole, {});
    data_.body.resize(static_cast<std::size_t>(file.left()));
    for (std::size_t filled = 0; filled < data_.body.size();) {
        auto* const place = reinterpret_cast<std::uint8_t*>(data_.body.data());
        filled += file.read({place + filled, data_.body.size() - filled}).value();
    }
    return *this;
}

inline response& response::borrow(std::string_view text, std::string_view type)
{
    start_body(http::body_kind::borrowed, type);
    data_.borrowed = text;
    return *this;
}

inline response& response::redirect(std::string_view location, unsigned code)
{
    if (code < 300 || code > 399 || location.find(' ') != std::string_view::npos)
        throw std::invalid_argument("alos: not a redirection");
    start_body(http::body_kind::none, {});
    return status(code).set("Location", location);
}

inline awaitable<> response::write(std::string_view piece)
{
    if (data_.io == nullptr)
        throw std::logic_error("alos: write() needs a handler that is a coroutine");
    if (data_.kind == http::body_kind::none)
        data_.kind = http::body_kind::streamed;
    if (data_.kind != http::body_kind::streamed)
        throw std::logic_error("alos: write() after the body was set as a whole");
    return data_.io->write(piece);
}

inline awaitable<> response::event(const server_event& each)
{
    if (!data_.head_sent) {
        if (!header("Content-Type"))
            set("Content-Type", "text/event-stream");
        if (!header("Cache-Control"))
            set("Cache-Control", "no-store");
    }
    data_.scratch.clear();
    http::append_event(data_.scratch, each);
    return write(data_.scratch);
}

inline response& response::trailer(std::string_view name, std::string_view value)
{
    if (http::is_framing_field(name))
        throw std::invalid_argument("alos: a field that may not be a trailer");
    data_.trailers.append(name, value);
    return *this;
}

inline response& response::close()
{
    require_head_unsent();
    data_.close = true;
    return *this;
}

inline void response::reset()
{
    require_head_unsent();
    http::body_io* const io = data_.io;
    data_.clear();
    data_.io = io;
}

inline void response::require_head_unsent() const
{
    if (data_.head_sent)
        throw std::logic_error("alos: status and headers have been sent already");
}

inline void response::start_body(http::body_kind kind, std::string_view type)
{
    require_head_unsent();
    data_.kind = kind;
    data_.body.clear();
    data_.file.close();
    if (!type.empty() && !data_.headers.find("Content-Type"))
        data_.headers.append("Content-Type", type);
}

namespace http {

// The back door for engines, the serve loop and tests: handlers have no use for it.
struct access {
    static request_data& data(request& each) noexcept { return each.data_; }
    static const request_data& data(const request& each) noexcept { return each.data_; }
    static response_data& data(response& each) noexcept { return each.data_; }
    static const response_data& data(const response& each) noexcept { return each.data_; }
};

}
namespace http {

// The status and its phrase as text: "404 Not Found".
inline void respond_with_status(response& res, unsigned status)
{
    std::string text = std::to_string(status);
    text.append(" ").append(reason_phrase(status)).append("\n");
    res.status(status).string(text);
}

}

}

#endif
