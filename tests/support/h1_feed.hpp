// Requests for tests: bytes through the HTTP/1.1 parser, whole and in pieces.
#ifndef ALOS_TESTS_H1_FEED_HPP
#define ALOS_TESTS_H1_FEED_HPP

#include <alos/http/h1_parser.hpp>
#include <alos/http/response.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace test {

// One message, fed `piece` bytes at a time.
struct h1_feed {
    alos::http::h1_limits limits;
    alos::request request;
    alos::http::h1_parser parser;
    std::string body;
    bool has_header = false;
    bool complete = false;
    alos::http::errc error = {};
    std::size_t consumed = 0;

    explicit h1_feed(alos::http::h1_limits with = {}) : limits(with) { parser.start(data(), limits); }

    h1_feed(std::string_view input, std::size_t piece, alos::http::h1_limits with = {}) : h1_feed(with)
    {
        feed(input, piece);
    }

    alos::http::request_data& data() { return alos::http::access::data(request); }

    // Until the message is complete or wrong.
    void feed(std::string_view input, std::size_t piece)
    {
        while (!over()) {
            const std::string_view part = input.substr(0, std::min(piece, input.size()));
            const alos::http::h1_step step = parser.feed(alos::as_bytes(part));
            input.remove_prefix(step.consumed);
            consumed += step.consumed;
            take(step);
            if (step.event == alos::http::h1_event::need_more && input.empty())
                return;
        }
    }

    [[nodiscard]] bool over() const { return complete || error != alos::http::errc{}; }

private:
    void take(const alos::http::h1_step& step)
    {
        switch (step.event) {
        case alos::http::h1_event::need_more: break;
        case alos::http::h1_event::header: has_header = true; break;
        case alos::http::h1_event::body: body += step.data; break;
        case alos::http::h1_event::complete: complete = true; break;
        case alos::http::h1_event::error: error = step.error; break;
        }
    }
};

// Calls `check(feed)` for the input as a whole, in single bytes, and in some sizes between.
template <class Check>
void feed_in_pieces(std::string_view input, const alos::http::h1_limits& limits, Check check)
{
    for (const std::size_t piece : std::initializer_list<std::size_t>{input.size(), 1, 2, 3, 7, 64}) {
        CAPTURE(piece);
        h1_feed feed(input, std::max<std::size_t>(piece, 1), limits);
        check(feed);
    }
}

template <class Check>
void feed_in_pieces(std::string_view input, Check check)
{
    feed_in_pieces(input, alos::http::h1_limits{}, check);
}

}

#endif
