#include <alos/http/handler.hpp>

#include <doctest/doctest.h>

#include "support/run.hpp"

using alos::request;
using alos::response;
using alos::http::handler;

namespace {

void plain(request&, response& res) { res.status(201); }

alos::awaitable<> coroutine(request&, response& res)
{
    res.status(202);
    co_return;
}

}

TEST_CASE("handler: functions, lambdas and objects, plain or coroutines")
{
    request req;
    response res;
    const handler first = &plain;
    CHECK(first.is_plain());
    first.run(req, res);
    CHECK(res.status() == 201);

    const handler second = &coroutine;
    CHECK_FALSE(second.is_plain());
    test::run(second.start(req, res));
    CHECK(res.status() == 202);

    const handler third = [status = std::make_unique<unsigned>(203u)](request&, response& to) { to.status(*status); };
    third.run(req, res);
    CHECK(res.status() == 203);

    const handler generic = [](auto&, auto& to) -> alos::awaitable<> {
        to.status(204);
        co_return;
    };
    test::run(generic.start(req, res));
    CHECK(res.status() == 204);
}

TEST_CASE("handler: a plain one can be run as a coroutine")
{
    request req;
    response res;
    const handler each = &plain;
    test::run(each.start(req, res));
    CHECK(res.status() == 201);
}

TEST_CASE("handler: what is no handler is refused at compile time")
{
    static_assert(alos::any_handler<decltype(&plain)> && alos::any_handler<decltype(&coroutine)>);
    const auto number = [](request&, response&) { return 1; };
    const auto one = [](request&) {};
    static_assert(!alos::any_handler<decltype(number)> && !alos::any_handler<decltype(one)>);
}
