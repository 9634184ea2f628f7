#include <alos/http/exchange.hpp>

#include <doctest/doctest.h>

using namespace alos;
using namespace alos::http;

TEST_CASE("an exchange that is started again knows nothing of the request before")
{
    const h1_limits limits;
    exchange one;
    one.start(limits);
    const byte_view text = as_bytes("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    const h1_step header = one.h1.parser.feed(text);
    CHECK(header.event == h1_event::header);
    const h1_step body = one.h1.parser.feed(text.subspan(header.consumed));
    one.h1.asked().body = body.data;
    one.received = 3;
    one.reading_body = one.composed = true;
    one.chunk.append(text);
    one.h1.response.string("answer");

    one.start(limits);
    CHECK(one.h1.request.body().empty());
    CHECK(one.h1.request.target().empty());
    CHECK(one.h1.answer().kind == body_kind::none);
    CHECK_FALSE(one.h1.parser.started());
    CHECK_FALSE(one.reading_body);
    CHECK_FALSE(one.composed);
    CHECK(one.received == 0);
    CHECK(one.chunk.capacity() == 0);
}
