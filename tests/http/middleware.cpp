#include <alos/http/middleware.hpp>

#include <doctest/doctest.h>

#include "support/memory_io.hpp"
#include "support/run.hpp"

#include <string>

using alos::next;
using alos::request;
using alos::response;
using alos::http::access;
using alos::http::call;
using alos::http::chain;
using alos::http::handler;
using alos::http::middleware;

namespace {

// Writes down what happens.
struct trace_hook {
    std::string* trace;
    char name;
    bool goes_on = true;
    bool handles = false;

    bool before(request&, response&)
    {
        *trace += '<';
        *trace += name;
        return goes_on;
    }
    void after(request&, response&)
    {
        *trace += name;
        *trace += '>';
    }
    bool on_exception(request&, response&, const std::exception_ptr&)
    {
        *trace += name;
        *trace += '!';
        return handles;
    }
};

auto trace_around(std::string& trace, char name)
{
    return [&trace, name](request& req, response& res, next then) -> alos::awaitable<> {
        trace += '(';
        trace += name;
        co_await then(req, res);
        trace += name;
        trace += ')';
    };
}

// One request through the chain, as the serve loop does it.
void serve(const chain& route, request& req, response& res, call& run, bool& needed_coroutine)
{
    test::memory_io io(res);
    needed_coroutine = !run.start(route, req, res);
    if (!needed_coroutine)
        return;
    std::exception_ptr thrown;
    try {
        test::run(run.rest());
    } catch (...) {
        thrown = std::current_exception();
    }
    run.finish(thrown);
}

struct outcome {
    unsigned status;
    bool needed_coroutine;
    bool failed;
    bool aborted;
};

outcome serve(const chain& route)
{
    request req;
    response res;
    call run;
    outcome result{};
    serve(route, req, res, run, result.needed_coroutine);
    result.status = res.status();
    result.failed = run.failure() != nullptr;
    result.aborted = access::data(res).aborted;
    return result;
}

handler plain_trace(std::string& trace)
{
    return [&trace](request&, response&) { trace += '.'; };
}

handler coroutine_trace(std::string& trace)
{
    return [&trace](request&, response&) -> alos::awaitable<> {
        trace += '.';
        co_return;
    };
}

const handler throws = [](request&, response& res) {
    res.set("X", "y").string("half");
    throw std::runtime_error("no");
};

}

TEST_CASE("middleware: hooks run around a plain handler, first used outermost, without a coroutine")
{
    std::string trace;
    const outcome result = serve({plain_trace(trace), {trace_hook{&trace, 'a'}, trace_hook{&trace, 'b'}}});
    CHECK(trace == "<a<b.b>a>");
    CHECK_FALSE(result.needed_coroutine);
}

TEST_CASE("middleware: hooks run around a coroutine handler")
{
    std::string trace;
    const outcome result = serve({coroutine_trace(trace), {trace_hook{&trace, 'a'}, trace_hook{&trace, 'b'}}});
    CHECK(trace == "<a<b.b>a>");
    CHECK(result.needed_coroutine);
}

TEST_CASE("middleware: coroutines and hooks mix in the order of use")
{
    for (const bool plain : {true, false}) {
        std::string trace;
        const outcome result = serve({plain ? plain_trace(trace) : coroutine_trace(trace),
                                      {trace_hook{&trace, 'a'}, trace_around(trace, 'b'), trace_hook{&trace, 'c'},
                                       trace_around(trace, 'd')}});
        CHECK(trace == "<a(b<c(d.d)c>b)a>");
        CHECK(result.needed_coroutine);
    }
}

TEST_CASE("middleware: `before` can answer itself")
{
    std::string trace;
    serve({plain_trace(trace), {trace_hook{&trace, 'a'}, trace_hook{&trace, 'b', false}, trace_hook{&trace, 'c'}}});
    CHECK(trace == "<a<ba>");

    trace.clear();
    serve({plain_trace(trace), {trace_around(trace, 'a'), trace_hook{&trace, 'b', false}}});
    CHECK(trace == "(a<ba)");
}

TEST_CASE("middleware: an exception goes outwards until a hook deals with it")
{
    std::string trace;
    outcome result =
        serve({throws, {trace_hook{&trace, 'a'}, trace_hook{&trace, 'b', true, true}, trace_hook{&trace, 'c'}}});
    CHECK(trace == "<a<b<cc!b!a>");
    CHECK_FALSE(result.failed);

    trace.clear();
    result = serve({throws, {trace_hook{&trace, 'a'}, trace_around(trace, 'b'), trace_hook{&trace, 'c', true, true}}});
    CHECK(trace == "<a(b<cc!b)a>");
    CHECK_FALSE(result.failed);

    trace.clear();
    result = serve({throws, {trace_hook{&trace, 'a'}, trace_around(trace, 'b'), trace_hook{&trace, 'c'}}});
    CHECK(trace == "<a(b<cc!a!");
    CHECK(result.failed);
}

TEST_CASE("middleware: an exception that nobody deals with is a 500 with nothing of what was set before")
{
    request req;
    response res;
    call run;
    bool coroutine = false;
    serve({throws, {}}, req, res, run, coroutine);
    CHECK(res.status() == 500);
    CHECK_FALSE(res.header("X"));
    CHECK(access::data(res).body == "500 Internal Server Error\n");
    CHECK_THROWS_WITH(std::rethrow_exception(run.failure()), "no");

    // The next request starts afresh.
    response other;
    serve({[](request&, response&) {}, {}}, req, other, run, coroutine);
    CHECK(run.failure() == nullptr);
    CHECK(other.status() == 200);
}

TEST_CASE("middleware: hooks that throw")
{
    struct thrower {
        bool where_before;
        bool before(request&, response&)
        {
            if (where_before)
                throw std::runtime_error("before");
            return true;
        }
        void after(request&, response&) { throw std::runtime_error("after"); }
    };
    for (const bool where_before : {true, false}) {
        std::string trace;
        const outcome result = serve({plain_trace(trace), {trace_hook{&trace, 'a'}, thrower{where_before}}});
        CHECK(trace == (where_before ? "<aa!" : "<a.a!"));
        CHECK(result.status == 500);
        CHECK(result.failed);
    }
}

TEST_CASE("middleware: after an exception behind the head the response is cut, dealt with or not")
{
    for (const bool handles : {true, false}) {
        for (const bool within_coroutine : {true, false}) {
            std::string trace;
            std::vector<middleware> around{trace_hook{&trace, 'a', true, handles}};
            if (within_coroutine)
                around.insert(around.begin(), trace_around(trace, 'b'));
            const outcome result = serve({[](request&, response& res) -> alos::awaitable<> {
                                              co_await res.write("half");
                                              throw std::runtime_error("no");
                                          },
                                          around});
            CHECK(result.aborted);
            CHECK(result.failed != handles);
        }
    }
}

TEST_CASE("middleware: time is taken only for who asks")
{
    struct timer {
        std::chrono::nanoseconds* elapsed;
        void after(request&, response&, std::chrono::nanoseconds took) { *elapsed = took; }
    };
    static int asked = 0;
    asked = 0;
    constexpr auto clock = []() noexcept { return call::clock::time_point(std::chrono::seconds(++asked)); };
    std::chrono::nanoseconds elapsed{};
    std::string trace;
    request req;
    response res;
    call run;
    CHECK(run.start({plain_trace(trace), {trace_hook{&trace, 'a'}}}, req, res, clock));
    CHECK(asked == 0);
    const chain timed(plain_trace(trace), {timer{&elapsed}});
    CHECK(run.start(timed, req, res, clock));
    CHECK(elapsed == std::chrono::seconds(1));
}

TEST_CASE("middleware: what is none is refused at compile time")
{
    struct nothing {};
    static_assert(!alos::any_middleware<nothing>);
    static_assert(alos::any_middleware<trace_hook>);
    static_assert(!alos::any_middleware<int>);
}
