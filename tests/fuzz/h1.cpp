// HTTP/1.1 framing: connections of any bytes through parser, router, handler and writer. The first byte says in how
// large pieces the rest is also fed: the pieces must make no difference.
#include <alos/http/h1.hpp>

#include "support/h1_serve.hpp"

#include <cstdint>
#include <cstdlib>

namespace {

const alos::router& routes()
{
    static alos::router all;
    static const bool built = [] {
        all.get("/", [](alos::request& req, alos::response& res) { res.string(req.query("q").value_or("")); });
        all.get("/a/:b/*c", [](alos::request& req, alos::response& res) {
            res.borrow(req.param("c"), "text/plain");
            if (const auto value = req.cookie("d"))
                res.set("X-Cookie", *value);
            res.set("X-Host", req.host());
        });
        all.any("/echo", [](alos::request& req, alos::response& res) {
            res.string(req.body());
            for (const alos::http::field& each : req.trailers())
                res.append("X-Trailer", each.value);
        });
        return all.build().has_value();
    }();
    return built ? all : (std::abort(), all);
}

void require(bool condition)
{
    if (!condition)
        std::abort();
}

// A status line and fields, each ended by CRLF, with no other control character among them.
void check_head(std::string_view answer)
{
    require(answer.starts_with("HTTP/1.1 "));
    const std::size_t end = answer.find("\r\n\r\n");
    require(end != std::string_view::npos);
    for (std::string_view lines = answer.substr(0, end + 2); !lines.empty();) {
        const std::size_t line_end = lines.find("\r\n");
        require(alos::http::is_field_value(lines.substr(0, line_end)));
        lines.remove_prefix(line_end + 2);
    }
}

// The answers; a refusal counts, but not its status, which may depend on how much of an oversized message came at once.
struct result {
    std::vector<std::string> answers;
    bool open = true;

    bool operator==(const result&) const = default;
};

result serve(std::string_view input, std::size_t piece)
{
    result all;
    test::h1_server server(routes());
    server.on_answer = [&all](std::string_view answer) {
        check_head(answer);
        all.answers.emplace_back(answer);
    };
    while (!input.empty() && server.open) {
        server.feed(input.substr(0, piece));
        input.remove_prefix(std::min(piece, input.size()));
    }
    all.open = server.open;
    return all;
}

}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size == 0)
        return 0;
    const std::string_view input = alos::as_text({data + 1, size - 1});
    require(serve(input, input.size() + 1) == serve(input, data[0] + std::size_t{1}));
    return 0;
}
