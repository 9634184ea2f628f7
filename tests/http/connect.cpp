#include <alos/http/connect.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>

#include <doctest/doctest.h>

using namespace alos;
using boost::asio::ip::make_address;
using boost::asio::ip::tcp;

namespace {

using addresses = std::vector<boost::asio::ip::address>;

struct ending {
    std::optional<outcome<tcp::socket>> connected;
    std::exception_ptr thrown;
};

boost::asio::awaitable<void> connect(boost::asio::any_io_executor executor, addresses list, std::uint16_t port,
                                     ending& end)
{
    end.connected = co_await http::connect(executor, std::move(list), port);
}

ending run(boost::asio::io_context& context, addresses list, std::uint16_t port)
{
    ending end;
    boost::asio::co_spawn(context, connect(context.get_executor(), std::move(list), port, end),
                          [&](std::exception_ptr e) { end.thrown = e; });
    context.run();
    return end;
}

}

TEST_CASE("the families take turns, IPv6 first (RFC 8305 4)")
{
    const auto turns = http::detail::in_turns({make_address("192.0.2.1"), make_address("192.0.2.2"),
                                               make_address("2001:db8::1")}, 80);
    REQUIRE(turns.size() == 3);
    CHECK(alos::to_text(any_endpoint(turns[0])) == "[2001:db8::1]:80");
    CHECK(alos::to_text(any_endpoint(turns[1])) == "192.0.2.1:80");
    CHECK(alos::to_text(any_endpoint(turns[2])) == "192.0.2.2:80");
    CHECK(http::detail::in_turns(addresses(100, make_address("192.0.2.1")), 80).size() == 16);
}

TEST_CASE("an address that fails is followed by the next at once (RFC 8305 5)")
{
    boost::asio::io_context context(1);
    const tcp::acceptor listener(context, {make_address("127.0.0.1"), 0});
    const std::uint16_t port = listener.local_endpoint().port();
    const auto begin = std::chrono::steady_clock::now();
    const ending end = run(context, {make_address("127.0.0.2"), make_address("::1"), make_address("127.0.0.1")}, port);
    REQUIRE(end.connected);
    REQUIRE(end.connected->has_value());
    CHECK((*end.connected)->remote_endpoint().address().to_string() == "127.0.0.1");
    CHECK(std::chrono::steady_clock::now() - begin < http::connection_attempt_delay);
}

TEST_CASE("when none answers, each says why")
{
    boost::asio::io_context context(1);
    tcp::acceptor listener(context, {make_address("127.0.0.1"), 0});
    const std::uint16_t port = listener.local_endpoint().port();
    listener.close();
    const ending end = run(context, {make_address("127.0.0.2"), make_address("127.0.0.1")}, port);
    REQUIRE(end.connected);
    REQUIRE(end.connected->has_error());
    CHECK(end.connected->error().code == boost::asio::error::connection_refused);
    CHECK(end.connected->error().what.find("127.0.0.2:" + std::to_string(port) + ": ") == 0);
    CHECK(end.connected->error().what.find("; 127.0.0.1:") != std::string::npos);

    boost::asio::io_context again(1);
    const ending nowhere = run(again, {}, 80);
    REQUIRE(nowhere.connected);
    CHECK(nowhere.connected->error().code == boost::asio::error::host_not_found);
}

TEST_CASE("an address that lets wait is overtaken by the next, and gone when it is cancelled")
{
    // A listener whose queue is full lets wait.
    boost::asio::io_context context(1);
    tcp::acceptor busy(context);
    busy.open(tcp::v4());
    busy.bind({make_address("127.0.0.3"), 0});
    busy.listen(0);
    const std::uint16_t port = busy.local_endpoint().port();
    std::vector<tcp::socket> waiting;
    for (int i = 0; i < 8; ++i) {
        waiting.emplace_back(context);
        waiting.back().open(tcp::v4());
        waiting.back().native_non_blocking(true);
        const tcp::endpoint there = busy.local_endpoint();
        static_cast<void>(::connect(waiting.back().native_handle(), there.data(),
                                    static_cast<::socklen_t>(there.size())));
    }
    const tcp::acceptor free(context, {make_address("127.0.0.1"), port});
    const ending end = run(context, {make_address("127.0.0.3"), make_address("127.0.0.1")}, port);
    REQUIRE(end.connected);
    REQUIRE(end.connected->has_value());
    CHECK((*end.connected)->remote_endpoint().address().to_string() == "127.0.0.1");

    context.restart();
    boost::asio::cancellation_signal cancel;
    ending cancelled;
    boost::asio::co_spawn(context, connect(context.get_executor(), {make_address("127.0.0.3")}, port, cancelled),
                          boost::asio::bind_cancellation_slot(
                              cancel.slot(), [&](std::exception_ptr e) { cancelled.thrown = e; }));
    context.poll();
    cancel.emit(boost::asio::cancellation_type::terminal);
    context.run();
    CHECK_FALSE(cancelled.connected);
    REQUIRE(cancelled.thrown);
    CHECK_THROWS_AS(std::rethrow_exception(cancelled.thrown), boost::system::system_error);
}
