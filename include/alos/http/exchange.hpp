// What a connection has only while it works on a request, so that it holds nearly nothing while it idles.
#ifndef ALOS_HTTP_EXCHANGE_HPP
#define ALOS_HTTP_EXCHANGE_HPP

#include <alos/buffer.hpp>
#include <alos/http/h1.hpp>

#include <boost/asio/cancellation_signal.hpp>

#include <cstdint>
#include <string_view>

namespace alos::inline v0::http {

// Lent from a thread's pool; using one again allocates nothing.
struct exchange {
    h1_exchange h1;
    const endpoint* route = nullptr;
    h1_head head;
    bool composed = false;                   // the head is in h1.out
    bool reading_body = false;               // the header is complete
    bool waits_for_continue = false;         // the client sends its body when it is told to
    std::size_t sent = 0;                    // of h1.out
    std::string_view rest;                   // of the body, behind h1.out
    std::uint64_t received = 0;              // of the request's body
    std::uint64_t streamed = 0;              // of the response's body
    std::size_t read_ahead = 0;              // plaintext that the handler is looking at
    buffer chunk;                            // of a file
    boost::asio::cancellation_signal cancel; // for a handler that is a coroutine

    // Makes room for the next request. `limits` must outlive it.
    void start(const h1_limits& limits)
    {
        h1.start(limits);
        route = nullptr;
        head = {};
        composed = reading_body = waits_for_continue = false;
        sent = read_ahead = 0;
        rest = {};
        received = streamed = 0;
        chunk.release();
    }
};

}

#endif
