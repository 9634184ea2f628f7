#include <alos/buffer.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <vector>

using namespace alos;

TEST_CASE("bytes come out of a buffer in the order in which they went in, however it is filled and emptied")
{
    buffer queue;
    std::uint8_t next_in = 0;
    std::uint8_t next_out = 0;
    for (std::size_t round = 1; round < 2000; ++round) {
        const std::size_t in = round * 37 % 301;
        const byte_span room = queue.prepare(in);
        REQUIRE(room.size() >= in);
        std::iota(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(in), next_in);
        queue.commit(in);
        next_in = static_cast<std::uint8_t>(next_in + in);
        const std::size_t out = std::min(queue.size(), round * 53 % 311);
        for (const std::uint8_t byte : std::as_const(queue).data().first(out))
            REQUIRE(byte == next_out++);
        queue.consume(out);
    }
}

TEST_CASE("what a buffer holds stays where it is while it is only added to within its room, or taken from")
{
    buffer queue;
    const byte_span room = queue.prepare(1000);
    queue.commit(500);
    const std::uint8_t* const start = queue.data().data();
    CHECK(start == room.data());
    queue.append(byte_vector(room.size() - 500));
    queue.consume(100);
    CHECK(queue.data().data() == start + 100);
}

TEST_CASE("an emptied buffer starts from the front again, without moving anything")
{
    buffer queue;
    queue.append(byte_vector(900));
    const std::uint8_t* const start = queue.data().data();
    queue.consume(900);
    CHECK(queue.prepare(1000).data() == start);
}

TEST_CASE("release gives the memory back, and the next buffer of the thread gets it")
{
    buffer first;
    first.append(byte_vector(3000));
    const std::uint8_t* const memory = first.data().data();
    first.release();
    CHECK(first.capacity() == 0);
    CHECK(first.empty());
    buffer second;
    CHECK(second.prepare(2000).data() == memory);
}

TEST_CASE("a block has the size of its class, and larger ones are powers of two")
{
    for (const std::size_t size : block_pool::sizes) {
        std::size_t granted = size - 1;
        std::uint8_t* const memory = block_pool::local().take(granted);
        CHECK(granted == size);
        block_pool::local().give_back(memory, granted);
    }
    std::size_t granted = block_pool::sizes.back() + 1;
    std::uint8_t* const memory = block_pool::local().take(granted);
    CHECK(granted == 512 * 1024);
    block_pool::local().give_back(memory, granted);
}

TEST_CASE("a moved buffer takes its contents along")
{
    buffer from;
    from.append(as_bytes("contents"));
    buffer to(std::move(from));
    CHECK(as_text(to.data()) == "contents");
    buffer third;
    third = std::move(to);
    CHECK(as_text(third.data()) == "contents");
}
