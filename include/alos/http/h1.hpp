// The HTTP/1.1 engine: what one request and its response need while they are worked on. RFC 9112.
#ifndef ALOS_HTTP_H1_HPP
#define ALOS_HTTP_H1_HPP

#include <alos/http/h1_parser.hpp>
#include <alos/http/h1_writer.hpp>
#include <alos/http/router.hpp>

namespace alos::inline v0::http {

// Everything that a connection holds only while it works on requests: lend one from a pool when the first bytes of a
// request are at hand, give it back when the response has left. Using it again allocates nothing.
class h1_exchange {
public:
    alos::request request;
    alos::response response;
    h1_parser parser;
    http::call call;
    std::string out; // what is to be sent: the head, small bodies behind it, the framing of chunks

    h1_exchange() = default;
    h1_exchange(const h1_exchange&) = delete;
    h1_exchange& operator=(const h1_exchange&) = delete;

    [[nodiscard]] request_data& asked() noexcept { return access::data(request); }
    [[nodiscard]] response_data& answer() noexcept { return access::data(response); }

    // Makes room for the next request of the same connection. `limits` must outlive it.
    void start(const h1_limits& limits)
    {
        asked().clear();
        answer().clear();
        answer().request = &request;
        clear_keeping_some(out);
        parser.start(asked(), limits);
    }

    struct composed {
        h1_head head;
        std::string_view rest = {}; // of the body: to be sent behind `out`; a file is to be read from answer().file
    };

    // Composes the head into `out`, and the body behind it if it is small.
    [[nodiscard]] composed compose(std::string_view date, bool keep_alive)
    {
        composed result{.head = append_head(out, asked(), answer(), date, keep_alive)};
        if (result.head.framing != h1_framing::length)
            return result;
        if (answer().kind == body_kind::whole)
            result.rest = answer().body;
        if (answer().kind == body_kind::borrowed)
            result.rest = answer().borrowed;
        if (result.rest.size() <= small_body)
            out.append(std::exchange(result.rest, {}));
        return result;
    }
};

}

#endif
