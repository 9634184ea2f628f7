// After the handshake a connection allocates nothing: counted.
#include "support/heap.hpp"

#include "support/botan_client.hpp"
#include "support/connection.hpp"

#include <alos/tls13/stream.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <doctest/doctest.h>

#include <array>
#include <memory>

namespace alos_tests {
namespace {

using botan_connection = basic_connection<botan_client>;

constexpr int rounds = 50;

// A connected server, and what its client will send: as many records of `size` bytes as there are rounds, twice.
struct prepared {
    prepared(std::uint16_t suite, std::size_t size) : tls(test_config())
    {
        tls.client.hello.cipher_suites = {suite};
        tls.handshake();
        for (int i = 0; i < 2 * rounds; ++i)
            records.push_back(tls.client.application_data(std::string(size, 'x')));
    }

    botan_connection tls;
    std::vector<byte_vector> records;
};

// What `work(i)` allocates in all its rounds, once it has been through as many.
template <class Work>
std::size_t allocations_of(Work work)
{
    for (int i = 0; i < rounds; ++i)
        work(i);
    const std::size_t before = heap::allocations;
    for (int i = rounds; i < 2 * rounds; ++i)
        work(i);
    return heap::allocations - before;
}

// Reads one record.
void read(botan_connection& tls, const byte_vector& record)
{
    copy(record, tls.server.prepare(record.size()));
    tls.server.commit(record.size());
    while (!tls.server.plaintext().empty())
        tls.server.consume(tls.server.plaintext().size());
}

void send(botan_connection& tls)
{
    while (tls.server.has_output())
        tls.server.consume_output(tls.server.output().size());
}

constexpr std::array<std::uint16_t, 3> suites{0x1301, 0x1302, 0x1303};
constexpr std::array<std::size_t, 4> sizes{1, 100, 4000, max_plaintext_size};

}

TEST_CASE("the heap is watched, Botan's secure vectors included" * doctest::skip(!heap::watched))
{
    const std::size_t before = heap::allocations;
    auto block = std::make_unique<int>(7);
    CHECK(heap::allocations == before + 1);
    const Botan::secure_vector<std::uint8_t> secure(100);
    CHECK(heap::allocations == before + 2);
}

TEST_CASE("reading allocates nothing, whatever the suite and the size" * doctest::skip(!heap::watched))
{
    for (const std::uint16_t suite : suites) {
        for (const std::size_t size : sizes) {
            prepared ready(suite, size);
            CHECK(allocations_of([&](int i) { read(ready.tls, ready.records[static_cast<std::size_t>(i)]); }) == 0);
        }
    }
}

TEST_CASE("writing allocates nothing, whatever the suite and the size" * doctest::skip(!heap::watched))
{
    for (const std::uint16_t suite : suites) {
        for (const std::size_t size : sizes) {
            prepared ready(suite, 1);
            const byte_vector text(size, 'x');
            CHECK(allocations_of([&](int) {
                      CHECK(ready.tls.server.write(text) == text.size());
                      send(ready.tls);
                  }) == 0);
        }
    }
}

TEST_CASE("buffers that are given back between requests cost no allocation either" * doctest::skip(!heap::watched))
{
    prepared ready(0x1301, 300);
    const byte_vector text(10000, 'x');
    CHECK(allocations_of([&](int i) {
              read(ready.tls, ready.records[static_cast<std::size_t>(i)]);
              static_cast<void>(ready.tls.server.write(text));
              send(ready.tls);
              ready.tls.server.release();
              ready.tls.server.pause();
          }) == 0);
}

namespace {

namespace asio = boost::asio;
using local_socket = asio::local::stream_protocol::socket;

// A stream over a socket whose other end the test reads and writes itself.
struct streaming {
    streaming() : near(context), far(context), tls(near, config)
    {
        asio::local::connect_pair(near, far);
        near.non_blocking(true);
        far.non_blocking(true);
        tls.async_handshake(asio::detached);
        exchange(client.client_hello());
        exchange(client.finished());
        for (int i = 0; i < 2 * rounds; ++i)
            records.push_back(client.application_data(std::string(300, 'x')));
    }

    void exchange(byte_view bytes)
    {
        asio::write(far, asio::buffer(bytes.data(), bytes.size()));
        context.restart();
        context.poll();
        client.receive(answer());
    }

    byte_vector answer()
    {
        byte_vector bytes(64 * 1024);
        error_code ec;
        bytes.resize(far.read_some(asio::buffer(bytes), ec));
        return bytes;
    }

    // As many requests and answers as there are rounds, twice; the second half is counted.
    asio::awaitable<void> serve(std::size_t& allocations)
    {
        std::array<char, 4096> request;
        std::array<char, 64 * 1024> sent;
        for (std::size_t i = 0; i < records.size(); ++i) {
            if (i == records.size() / 2)
                allocations = heap::allocations;
            asio::write(far, asio::buffer(records[i]));
            const std::size_t size = co_await tls.async_read_some(asio::buffer(request), asio::use_awaitable);
            co_await tls.async_write_some(asio::buffer(request, size), asio::use_awaitable);
            far.read_some(asio::buffer(sent));
        }
        allocations = heap::allocations - allocations;
    }

    const server_config config = test_config();
    asio::io_context context{1};
    local_socket near;
    local_socket far;
    stream<local_socket&, server_engine_for<botan_client>> tls;
    test_client<botan_client> client;
    std::vector<byte_vector> records;
};

}

TEST_CASE("reading and writing a stream allocates nothing" * doctest::skip(!heap::watched))
{
    streaming tls;
    REQUIRE(tls.tls.engine().is_connected());
    std::size_t allocations = 0;
    asio::co_spawn(tls.context, tls.serve(allocations), asio::detached);
    tls.context.restart();
    tls.context.run();
    CHECK(allocations == 0);
}

}
