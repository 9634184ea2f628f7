#include <alos/http/message.hpp>

#include <doctest/doctest.h>

TEST_CASE("message: one header for both halves of a handler")
{
    alos::request req;
    alos::response res;
    CHECK(req.method() == alos::verb::unknown);
    CHECK(res.status() == 200);
}
