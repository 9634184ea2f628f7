#include <alos/http/plain.hpp>

#include <doctest/doctest.h>

using alos::as_bytes;
using alos::as_text;
using alos::http::plain_engine;

namespace {

void receive(plain_engine& engine, std::string_view text)
{
    const alos::byte_span room = engine.prepare(text.size());
    REQUIRE(room.size() >= text.size());
    alos::copy(as_bytes(text), room);
    engine.commit(text.size());
}

}

TEST_CASE("plain: what comes in is there to be read")
{
    plain_engine engine;
    CHECK(engine.is_connected());
    CHECK(engine.wants() == alos::tls13::want::input);
    receive(engine, "hello");
    receive(engine, " world");
    CHECK(as_text(engine.plaintext()) == "hello world");
    engine.consume(6);
    CHECK(as_text(engine.plaintext()) == "world");
    engine.end_of_input();
    CHECK(as_text(engine.plaintext()) == "world");
    CHECK(engine.wants() == alos::tls13::want::nothing);
    CHECK(engine.error() == boost::asio::error::eof);
    CHECK(engine.discard_input() == 5);
    CHECK(engine.plaintext().empty());
}

TEST_CASE("plain: what is being sent does not move while more is written")
{
    plain_engine engine;
    CHECK_FALSE(engine.has_output());
    CHECK(engine.write(as_bytes("abc")) == 3);
    const alos::byte_view sending = engine.output();
    const std::string more(100000, 'x');
    CHECK(engine.write(as_bytes(more)) == more.size());
    CHECK(engine.output().data() == sending.data());
    CHECK(as_text(sending) == "abc");
    engine.consume_output(2);
    CHECK(as_text(engine.output()) == "c");
    engine.consume_output(1);
    CHECK(engine.output().size() == more.size());
    engine.consume_output(more.size());
    CHECK_FALSE(engine.has_output());
}

TEST_CASE("plain: takes no more than is sent")
{
    plain_engine engine;
    const std::string much(1 << 20, 'x');
    const std::size_t taken = engine.write(as_bytes(much));
    CHECK(taken == 256 * 1024);
    CHECK(engine.write(as_bytes(much)) == 0);
    engine.consume_output(engine.output().size());
    CHECK(engine.write(as_bytes(much)) == 256 * 1024);
}

TEST_CASE("plain: after close() nothing is written, what was is still sent")
{
    plain_engine engine;
    CHECK(engine.write(as_bytes("a")) == 1);
    engine.close();
    CHECK(engine.write(as_bytes("b")) == 0);
    CHECK(as_text(engine.output()) == "a");
}

TEST_CASE("plain: release() keeps what is not read or sent yet")
{
    plain_engine engine;
    receive(engine, "in");
    CHECK(engine.write(as_bytes("out")) == 3);
    engine.release();
    CHECK(as_text(engine.plaintext()) == "in");
    CHECK(as_text(engine.output()) == "out");
    engine.consume(2);
    engine.consume_output(3);
    engine.release();
    CHECK(engine.plaintext().empty());
}
