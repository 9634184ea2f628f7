// A request as handlers see it. Every view that it gives out lives until the handler has returned.
#ifndef ALOS_HTTP_REQUEST_HPP
#define ALOS_HTTP_REQUEST_HPP

#include <alos/http/body_io.hpp>
#include <alos/http/cookie.hpp>
#include <alos/http/fields.hpp>
#include <alos/http/uri.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/verb.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0 {

using verb = boost::beast::http::verb;

// What was agreed with the client in the TLS handshake; names as in the IANA registry.
struct tls_facts {
    std::string_view version;     // "TLSv1.3"
    std::string_view suite;       // "TLS_AES_128_GCM_SHA256"
    std::string_view group;       // "X25519MLKEM768"
    std::string_view server_name; // SNI; empty if the client sent none
    std::string_view alpn;        // empty if none was agreed
};

namespace http {

struct access;

// Empties `text` for its next use; memory that one large message needed is not kept for ever.
inline void clear_keeping_some(std::string& text) noexcept
{
    text.clear();
    if (text.capacity() > 64 * 1024)
        std::string().swap(text);
}

// The state of a request, filled by the engine of its HTTP version, the router and the serve loop. It is cleared and
// used again, so that a connection that is kept alive allocates nothing.
struct request_data {
    verb method = verb::unknown;
    unsigned version = 11; // 10, 11 or 20
    bool keep_alive = false;
    bool expects_continue = false; // the client waits for "100 Continue" before it sends the body
    std::optional<std::uint64_t> content_length = {};
    std::uint64_t allowed = 0;     // from the router: the methods that the path has, a bit each
    std::string_view method_text;
    std::string_view target;
    target_parts parts;
    http::fields headers;
    http::fields trailers;
    std::vector<parameter> parameters; // from the router
    std::string body;
    bool body_given = false;    // by read_some()
    std::string block;          // what the header's views point into
    std::string trailer_block;  // what the trailers' views point into
    std::string path_storage;   // what `parts.path` points into if it was rewritten

    std::vector<parameter> query; // filled when first asked for
    std::string query_storage;
    bool query_parsed = false;

    // About the connection: set when a connection starts to use this object, and kept by clear().
    boost::asio::ip::tcp::endpoint client;
    std::optional<tls_facts> tls;
    body_io* io = nullptr; // while the body is streamed

    // Makes room for the next request of the same connection. Large buffers are given back.
    void clear() noexcept
    {
        method = verb::unknown;
        version = 11;
        keep_alive = false;
        expects_continue = false;
        content_length.reset();
        allowed = 0;
        method_text = {};
        target = {};
        parts = {};
        headers.clear();
        trailers.clear();
        parameters.clear();
        clear_keeping_some(body);
        body_given = false;
        clear_keeping_some(block);
        clear_keeping_some(trailer_block);
        clear_keeping_some(path_storage);
        query.clear();
        clear_keeping_some(query_storage);
        query_parsed = false;
        io = nullptr;
    }
};

}

class request {
public:
    request() = default;
    request(const request&) = delete;
    request& operator=(const request&) = delete;

    // verb::unknown for a method that is not registered; method_text() has its name.
    [[nodiscard]] verb method() const noexcept { return data_.method; }
    [[nodiscard]] std::string_view method_text() const noexcept { return data_.method_text; }

    // RFC 9112 3.2: the request target as it was received.
    [[nodiscard]] std::string_view target() const noexcept { return data_.target; }

    // The target's path, percent-decoded and without dot segments. It may hold any byte but NUL.
    [[nodiscard]] std::string_view path() const noexcept { return data_.parts.path; }

    // RFC 9110 7.2: host and port that the client asked for; from the target if it names them, else from Host.
    [[nodiscard]] std::string_view host() const noexcept { return data_.parts.authority; }

    // The target's query as it was received, without the '?'.
    [[nodiscard]] std::string_view query() const noexcept { return data_.parts.query; }

    // The decoded value of the first query parameter of that name.
    [[nodiscard]] std::optional<std::string_view> query(std::string_view name)
    {
        return find(query_parameters(), name);
    }

    // All query parameters, decoded, in their order.
    [[nodiscard]] const std::vector<http::parameter>& query_parameters()
    {
        if (!data_.query_parsed)
            http::parse_form(data_.parts.query, data_.query, data_.query_storage);
        data_.query_parsed = true;
        return data_.query;
    }

    // What the route's ":name" or "*name" matched; empty if the route has no such parameter.
    [[nodiscard]] std::string_view param(std::string_view name) const noexcept
    {
        return find(data_.parameters, name).value_or(std::string_view{});
    }

    [[nodiscard]] const http::fields& headers() const noexcept { return data_.headers; }
    [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept
    {
        return data_.headers.find(name);
    }

    // RFC 9110 6.5: fields that came behind a chunked body. They are never mixed with the headers, and are there
    // when the whole body has been read.
    [[nodiscard]] const http::fields& trailers() const noexcept { return data_.trailers; }

    // RFC 6265 5.4: the value of the first cookie of that name.
    [[nodiscard]] std::optional<std::string_view> cookie(std::string_view name) const noexcept
    {
        for (const http::field& each : data_.headers) {
            if (!http::equal_ignoring_case(each.name, "cookie"))
                continue;
            if (const auto value = http::find_cookie(each.value, name))
                return value;
        }
        return std::nullopt;
    }

    // The length of the body, if the client announced it.
    [[nodiscard]] std::optional<std::uint64_t> content_length() const noexcept { return data_.content_length; }

    // The whole body. Empty on a route that is `streamed`: read_some() gives it there.
    [[nodiscard]] std::string_view body() const noexcept { return data_.body; }

    // The next piece of the body; empty at its end. The view lives until the next call. Throws
    // boost::system::system_error if the body is malformed or too large, or the client is gone.
    [[nodiscard]] awaitable<std::string_view> read_some()
    {
        return data_.io != nullptr ? data_.io->read_some() : read_whole(data_);
    }

    // Whether the connection may carry another request after this one (RFC 9112 9.3).
    [[nodiscard]] bool keep_alive() const noexcept { return data_.keep_alive; }

    // 10, 11 or 20.
    [[nodiscard]] unsigned version() const noexcept { return data_.version; }

    // Where the client's connection comes from; address and port are zero on a Unix socket.
    [[nodiscard]] const boost::asio::ip::tcp::endpoint& client() const noexcept { return data_.client; }

    // Null when the connection is not TLS.
    [[nodiscard]] const tls_facts* tls() const noexcept { return data_.tls ? &*data_.tls : nullptr; }

private:
    friend struct http::access;

    // A body that is all there already, in one piece.
    static awaitable<std::string_view> read_whole(http::request_data& data)
    {
        co_return std::exchange(data.body_given, true) ? std::string_view{} : std::string_view(data.body);
    }

    static std::optional<std::string_view> find(const std::vector<http::parameter>& parameters,
                                                std::string_view name) noexcept
    {
        for (const http::parameter& each : parameters) {
            if (each.name == name)
                return each.value;
        }
        return std::nullopt;
    }

    http::request_data data_;
};

}

#endif
