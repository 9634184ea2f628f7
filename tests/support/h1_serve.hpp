// A whole HTTP/1.1 server in memory: bytes of requests in, bytes of responses out. Handlers that are coroutines run
// to their end at once. What the real serve loop does, without waiting for anything.
#ifndef ALOS_TESTS_H1_SERVE_HPP
#define ALOS_TESTS_H1_SERVE_HPP

#include <alos/http/h1.hpp>

#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>

namespace test {

class h1_server {
public:
    explicit h1_server(const alos::router& routes) : routes_(routes) { exchange.start(limits); }

    alos::http::h1_limits limits;
    alos::http::h1_exchange exchange;
    std::string output;
    bool open = true;
    std::function<void(std::string_view)> on_answer; // each, but not a refusal

    // Answers all requests that are whole, and keeps the rest for later.
    void feed(std::string_view input)
    {
        while (open) {
            const alos::http::h1_step step = exchange.parser.feed(alos::as_bytes(input));
            input.remove_prefix(step.consumed);
            switch (step.event) {
            case alos::http::h1_event::need_more:
                if (input.empty())
                    return;
                break;
            case alos::http::h1_event::header: route_ = &routes_.find(exchange.request); break;
            case alos::http::h1_event::body: exchange.asked().body.append(step.data); break;
            case alos::http::h1_event::complete: answer(); break;
            case alos::http::h1_event::error:
                alos::http::append_error(output, status_of(step.error), make_error_code(step.error).message(), date);
                open = false;
                break;
            }
        }
    }

    static constexpr std::string_view date = "Sun, 06 Nov 1994 08:49:37 GMT";

private:
    void answer()
    {
        if (!exchange.call.start(route_->run, exchange.request, exchange.response))
            std::abort(); // plain handlers only
        const auto composed = exchange.compose(date, true);
        const std::size_t start = output.size();
        output.append(exchange.out).append(composed.rest);
        if (on_answer)
            on_answer(std::string_view(output).substr(start));
        open = composed.head.keep_alive;
        exchange.start(limits);
    }

    const alos::router& routes_;
    const alos::http::endpoint* route_ = nullptr;
};

}

#endif
