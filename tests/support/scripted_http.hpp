// A server on the loopback that takes requests and answers them with the bytes that a test says, with or without TLS.
#ifndef ALOS_TESTS_SUPPORT_SCRIPTED_HTTP_HPP
#define ALOS_TESTS_SUPPORT_SCRIPTED_HTTP_HPP

#include "authority.hpp"

#include <alos/http/deadline.hpp>
#include <alos/http/plain.hpp>
#include <alos/tls13/stream.hpp>

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <functional>
#include <string>
#include <vector>

namespace alos_tests {

using namespace alos;

class scripted_http {
public:
    // What is sent for one request, header section and body; after "" and after what says "Connection: close" the
    // connection ends, and after `silence` nothing comes.
    using script = std::function<std::string(const std::string& request)>;
    static constexpr const char* silence = "silence";

    // Without TLS if `credential` is null.
    scripted_http(boost::asio::io_context& context, script answers, cert::credential_ptr credential = nullptr)
        : acceptor_(context, {boost::asio::ip::address_v4::loopback(), 0}), answers_(std::move(answers)),
          is_secure_(credential != nullptr)
    {
        if (is_secure_)
            publish(certificates_, std::move(credential));
        config_.certificates = &certificates_;
        config_.alpn = {"http/1.1"};
        boost::asio::co_spawn(context, accept(), boost::asio::detached);
    }

    [[nodiscard]] std::uint16_t port() const { return port_; }

    [[nodiscard]] std::string url(const std::string& host = "127.0.0.1") const
    {
        return (is_secure_ ? "https://" : "http://") + host + ":" + std::to_string(port_);
    }

    // Ends everything.
    void stop()
    {
        error_code ignored; // closed all the same
        acceptor_.close(ignored);
        for (const auto& each : sockets_)
            each->close(ignored);
    }

    // Ends the connections, but goes on.
    void hang_up()
    {
        error_code ignored; // closed all the same
        for (const auto& each : sockets_)
            each->close(ignored);
        sockets_.clear();
    }

    std::size_t connections = 0;
    std::vector<std::string> requests;

private:
    using tcp = boost::asio::ip::tcp;

    boost::asio::awaitable<void> accept()
    {
        for (;;) {
            auto socket = std::make_shared<tcp::socket>(acceptor_.get_executor());
            const auto accepted = co_await acceptor_.async_accept(*socket, as_results);
            if (std::get<0>(accepted))
                co_return;
            ++connections;
            sockets_.push_back(socket);
            if (is_secure_)
                boost::asio::co_spawn(acceptor_.get_executor(), serve_tls(socket), boost::asio::detached);
            else
                boost::asio::co_spawn(acceptor_.get_executor(), serve_plain(socket), boost::asio::detached);
        }
    }

    boost::asio::awaitable<void> serve_tls(std::shared_ptr<tcp::socket> socket)
    {
        tls13::stream<tcp::socket&> stream(*socket, config_);
        const auto shaken = co_await stream.async_handshake(as_results);
        if (!std::get<0>(shaken))
            co_await serve(stream);
        co_await stream.async_shutdown(as_results);
        error_code ignored; // the client may be gone
        socket->close(ignored);
    }

    boost::asio::awaitable<void> serve_plain(std::shared_ptr<tcp::socket> socket)
    {
        tls13::stream<tcp::socket&, http::plain_engine> stream(*socket);
        co_await serve(stream);
        error_code ignored; // the client may be gone
        socket->close(ignored);
    }

    template <class Stream>
    boost::asio::awaitable<void> serve(Stream& stream)
    {
        std::string input;
        for (;;) {
            while (!is_whole(input)) {
                const auto filled = co_await stream.async_fill(as_results);
                if (std::get<0>(filled))
                    co_return;
                input += as_text(stream.plaintext());
                stream.consume(stream.plaintext().size());
            }
            requests.push_back(std::exchange(input, {}));
            const std::string answer = answers_(requests.back());
            if (answer == silence)
                continue;
            if (answer.empty())
                co_return;
            for (std::size_t sent = 0; sent < answer.size();) {
                sent += stream.write(as_bytes(answer).subspan(sent));
                const auto flushed = co_await stream.async_flush(as_results);
                if (std::get<0>(flushed))
                    co_return;
            }
            if (answer.find("Connection: close") != std::string::npos)
                co_return;
        }
    }

    static bool is_whole(const std::string& input)
    {
        const std::size_t end = input.find("\r\n\r\n");
        if (end == std::string::npos)
            return false;
        const std::size_t length = input.find("Content-Length: ");
        const std::size_t body = length < end ? std::stoul(input.substr(length + 16)) : 0;
        return input.size() >= end + 4 + body;
    }

    tcp::acceptor acceptor_;
    std::uint16_t port_ = acceptor_.local_endpoint().port();
    script answers_;
    bool is_secure_;
    cert::store certificates_;
    tls13::server_config config_;
    std::vector<std::shared_ptr<tcp::socket>> sockets_;
};

}

#endif
