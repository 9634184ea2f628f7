// HTTP/1.1 requests in memory: from the bytes of a request to the bytes of its response (RFC 9112).
#include "bench.hpp"

#include <alos/http/h1.hpp>

#include <string>

using namespace alos_bench;

namespace {

constexpr std::string_view date = "Sun, 06 Nov 1994 08:49:37 GMT";

const std::string small = "GET / HTTP/1.1\r\nHost: localhost:8443\r\n\r\n";
const std::string browser = "GET /users/7/posts/9 HTTP/1.1\r\n"
                            "Host: example.com\r\n"
                            "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
                            "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
                            "Accept-Language: en-US,en;q=0.5\r\n"
                            "Accept-Encoding: gzip, deflate, br, zstd\r\n"
                            "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
                            "Upgrade-Insecure-Requests: 1\r\n"
                            "Sec-Fetch-Dest: document\r\n"
                            "Sec-Fetch-Mode: navigate\r\n\r\n";
const std::string chunked = "POST / HTTP/1.1\r\nHost: localhost:8443\r\nTransfer-Encoding: chunked\r\n\r\n"
                            "b\r\nhello world\r\n0\r\n\r\n";

struct server {
    alos::router routes;
    alos::http::h1_limits limits;
    alos::http::h1_exchange exchange;

    server()
    {
        const auto hello = [](alos::request&, alos::response& res) { res.string("Hello, world!\n"); };
        routes.get("/", hello).post("/", hello).get("/users/:user/posts/:post", hello);
        for (int i = 0; i < 100; ++i)
            routes.get("/api/" + std::to_string(i) + "/things/:id", hello);
        if (!routes.build())
            std::exit(1);
    }

    // To its end, or as far as `event`.
    void parse(std::string_view input, alos::http::h1_event event)
    {
        exchange.start(limits);
        while (true) {
            const alos::http::h1_step step = exchange.parser.feed(alos::as_bytes(input));
            if (step.event == event)
                return;
            if (step.event == alos::http::h1_event::error)
                std::exit(1);
            input.remove_prefix(step.consumed);
        }
    }

    void serve(std::string_view input)
    {
        parse(input, alos::http::h1_event::complete);
        const alos::http::endpoint& found = routes.find(exchange.request);
        keep(exchange.call.start(found.run, exchange.request, exchange.response));
        keep(exchange.compose(date, true));
    }
};

}

int main(int argc, char** argv)
{
    const cases all(argc, argv);
    server one;
    constexpr amount each{.runs = 20000};
    all.measure("whole request, 2 lines", each, [&] { one.serve(small); });
    all.measure("whole request, as a browser sends it", each, [&] { one.serve(browser); });
    all.measure("whole request, chunked body", each, [&] { one.serve(chunked); });
    all.measure("of that: checking a browser's header", each, [&] { keep(check_header(browser, one.limits)); });
    all.measure("of that: checking and parsing it", each, [&] { one.parse(browser, alos::http::h1_event::header); });
    one.parse(browser, alos::http::h1_event::complete);
    all.measure("of that: finding its route among 103", each, [&] {
        one.exchange.asked().parameters.clear();
        keep(one.routes.find(one.exchange.request));
    });
}
