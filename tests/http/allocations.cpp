// Counts what a request on a connection that is kept alive allocates. Replaces operator new, so it stands alone.
#include <alos/http/h1.hpp>
#include <alos/http/hooks.hpp>

#include <doctest/doctest.h>

#include "support/h1_serve.hpp"

#include <cstdlib>
#include <new>

namespace {

std::size_t allocations = 0;

}

void* operator new(std::size_t size)
{
    ++allocations;
    if (void* const memory = std::malloc(size))
        return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

// Allocations of a thousand requests, after some that fill the buffers.
std::size_t count(const alos::router& routes, std::string_view request)
{
    test::h1_server server(routes);
    std::size_t before = 0;
    for (int i = 0; i < 1010; ++i) {
        if (i == 10)
            before = allocations;
        server.output.clear();
        server.feed(request);
        REQUIRE(server.open);
        REQUIRE(server.output.starts_with("HTTP/1.1 20"));
    }
    return allocations - before;
}

constexpr std::string_view fields =
    "Host: example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n";

std::string ask(std::string_view line, std::string_view rest = "\r\n")
{
    return std::string(line) + " HTTP/1.1\r\n" + std::string(fields) + std::string(rest);
}

}

TEST_CASE("allocations: none for a request with a plain handler on a connection that is kept alive")
{
    static const alos::logger silent(alos::log_settings{.level = alos::log_level::off});
    alos::router routes;
    routes.use(alos::access_log(silent)).use(alos::recovery(silent));
    routes.get("/", [](alos::request&, alos::response& res) { res.string("Hello, world, and everybody in it!"); });
    routes.get("/users/:id/posts/*rest", [](alos::request& req, alos::response& res) {
        res.set("X-Id", req.param("id")).set("X-Session", req.cookie("session").value_or(""));
        res.html(req.query("page").value_or("none"));
    });
    routes.post("/", [](alos::request& req, alos::response& res) { res.string(req.body()); });
    REQUIRE(routes.build().has_value());
    CHECK(count(routes, ask("GET /")) == 0);
    CHECK(count(routes, ask("HEAD /")) == 0);
    CHECK(count(routes, ask("GET /users/7/posts/2026/11/a%20title?page=a%20page%20with%20a%20long%20name&x=y")) == 0);
    CHECK(count(routes, ask("POST /", "Content-Length: 11\r\n\r\nhello world")) == 0);
    CHECK(count(routes, ask("POST /", "Transfer-Encoding: chunked\r\n\r\n"
                                      "b;some=extension\r\nhello world\r\n0\r\nX-Checksum: 7\r\n\r\n")) == 0);
    std::string pipelined;
    for (int i = 0; i < 16; ++i)
        pipelined += ask("GET /");
    CHECK(count(routes, pipelined) == 0);
}
