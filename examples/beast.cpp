// Boost.Beast over alos' TLS: tls13::stream is a stream like any other of Asio's.
//
//     beast [port]
#include <alos/cert/registry.hpp>
#include <alos/tls13/stream.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <cstdlib>
#include <iostream>

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;

asio::awaitable<void> serve_one(tcp::socket socket, const alos::tls13::server_config& config)
{
    alos::tls13::stream<tcp::socket> tls(std::move(socket), config);
    boost::beast::flat_buffer buffer;
    try {
        co_await tls.async_handshake();
        bool again = true;
        while (again) {
            http::request<http::string_body> asked;
            co_await http::async_read(tls, buffer, asked, asio::deferred);
            http::response<http::string_body> answer(http::status::ok, asked.version());
            answer.body() = "Beast over alos\n";
            answer.keep_alive(asked.keep_alive());
            answer.prepare_payload();
            co_await http::async_write(tls, answer, asio::deferred);
            again = answer.keep_alive();
        }
    } catch (const boost::system::system_error& error) {
        if (error.code() != http::error::end_of_stream)
            std::clog << error.what() << '\n';
    }
    boost::system::error_code ignored;
    co_await tls.async_shutdown(asio::redirect_error(asio::deferred, ignored));
}

asio::awaitable<void> accept_all(tcp::acceptor acceptor, const alos::tls13::server_config& config)
{
    while (true) {
        tcp::socket socket = co_await acceptor.async_accept(asio::deferred);
        asio::co_spawn(acceptor.get_executor(), serve_one(std::move(socket), config), asio::detached);
    }
}

int main(int argc, char** argv)
{
    alos::cert::registry certificates;
    certificates.add_self_signed_cert("localhost").value();
    alos::tls13::server_config config;
    config.certificates = &certificates.served();
    config.alpn = {"http/1.1"};

    asio::io_context context(1);
    const auto port = static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 8443);
    tcp::acceptor acceptor(context);
    try {
        acceptor = tcp::acceptor(context, tcp::endpoint(tcp::v4(), port));
    } catch (const std::exception& error) {
        std::cerr << "cannot listen on port " << port << ": " << error.what() << '\n';
        return 1;
    }
    std::clog << "https://localhost:" << acceptor.local_endpoint().port() << "/\n";
    asio::co_spawn(context, accept_all(std::move(acceptor), config), asio::detached);
    context.run();
}
