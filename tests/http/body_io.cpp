#include <alos/http/body_io.hpp>

#include <doctest/doctest.h>

#include "support/memory_io.hpp"
#include "support/run.hpp"

TEST_CASE("body_io: what comes in can go out, piece by piece")
{
    alos::response res;
    test::memory_io io(res);
    io.input = {"a", "bc", "def"};
    test::run([](alos::http::body_io& border) -> alos::awaitable<> {
        while (true) {
            const std::string_view piece = co_await border.read_some();
            if (piece.empty())
                co_return;
            co_await border.write(piece);
        }
    }(io));
    CHECK(io.all() == "abcdef");
}
