// The border between a message and the connection it travels on: the stream of a body, in and out.
#ifndef ALOS_HTTP_BODY_IO_HPP
#define ALOS_HTTP_BODY_IO_HPP

#include <alos/config.hpp>

#include <boost/asio/awaitable.hpp>

#include <string_view>

namespace alos::inline v0 {

// What handlers return: Asio's own type, so that any Asio library can be awaited in them.
template <class T = void>
using awaitable = boost::asio::awaitable<T>;

namespace http {

// Implemented over a connection by the serve loop of each HTTP version. One read and one write may be outstanding
// together. Failures are thrown as boost::system::system_error, so that a handler that does not care is unwound.
class body_io {
public:
    // The next piece of the request's body; empty at its end. The view lives until the next call.
    // Sends "100 Continue" first if the client waits for it (RFC 9110 10.1.1).
    virtual awaitable<std::string_view> read_some() = 0;

    // Sends the response's head if it has not left yet, then `piece`; completes when both have been handed to the
    // transport. `piece` must live until then. An empty piece sends the head alone.
    virtual awaitable<> write(std::string_view piece) = 0;

protected:
    ~body_io() = default;
};

}
}

#endif
