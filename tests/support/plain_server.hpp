// A server whose "TLS" is none, and a client of plain sockets: what a server does besides TLS is tested over it.
#ifndef ALOS_TESTS_PLAIN_SERVER_HPP
#define ALOS_TESTS_PLAIN_SERVER_HPP

#include <alos/server.hpp>

#include <atomic>
#include <chrono>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

namespace alos_tests {

using namespace std::chrono_literals;

struct no_tls : alos::http::plain_engine {
    explicit no_tls(const alos::tls13::server_config&) {}
};

struct plain_policy : alos::default_policy {
    template <class Crypto, class Socket>
    using tls_stream = alos::tls13::stream<Socket, no_tls>;
};

using plain_server = alos::basic_server<plain_policy>;
using plain_config = plain_server::config_type;

// What a server logged, as text.
class log_lines {
public:
    [[nodiscard]] alos::log_settings settings(alos::log_level level = alos::log_level::debug)
    {
        return {.level = level, .hook = [this](const alos::log_record& record) {
                    const std::lock_guard lock(mutex_);
                    lines_.push_back(to_text(record).substr(21));
                }};
    }

    [[nodiscard]] std::string find(std::string_view part) const
    {
        const std::lock_guard lock(mutex_);
        for (const std::string& line : lines_) {
            if (line.find(part) != std::string::npos)
                return line;
        }
        return {};
    }

    [[nodiscard]] std::size_t size() const
    {
        const std::lock_guard lock(mutex_);
        return lines_.size();
    }

private:
    mutable std::mutex mutex_;
    std::vector<std::string> lines_;
};

// A plain server on a free port of this machine, with one thread and a certificate that is not kept in files.
//
//     running app([](plain_server& server) { server.router.get(...); });
//     client one(app.port());
struct running {
    template <class Routes>
    explicit running(Routes routes, plain_config config = {}) : server(prepare(config, log))
    {
        server.add_self_signed_cert("localhost").value();
        routes(server);
        server.start().value();
    }

    [[nodiscard]] std::uint16_t port() const { return server.port(); }

    // Whether no connection is left, soon.
    [[nodiscard]] bool is_empty() const
    {
        for (int i = 0; i < 1000 && server.connections() > 0; ++i)
            std::this_thread::sleep_for(5ms);
        return server.connections() == 0;
    }

    log_lines log; // outlives the server
    plain_server server;

private:
    static plain_config prepare(plain_config& config, log_lines& log)
    {
        if (config.addr == ":8443")
            config.addr = "127.0.0.1:0";
        if (config.threads == 0)
            config.threads = 1;
        config.log = log.settings();
        return config;
    }
};

// A TCP client that waits for five seconds at most.
class client {
public:
    explicit client(std::uint16_t port, int receive_buffer = 0)
        : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
    {
        if (receive_buffer != 0)
            ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
        ::sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connected_ = ::connect(socket_.get(), reinterpret_cast<::sockaddr*>(&address), sizeof address) == 0;
    }

    [[nodiscard]] bool connected() const noexcept { return connected_; }

    bool send(std::string_view text)
    {
        while (!text.empty()) {
            const auto n = ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL);
            if (n <= 0)
                return false;
            text.remove_prefix(static_cast<std::size_t>(n));
        }
        return true;
    }

    void finish() { ::shutdown(socket_.get(), SHUT_WR); }

    // What comes next; empty at the end, and when nothing comes.
    std::string receive(std::chrono::milliseconds patience = 5s)
    {
        ::pollfd ready{socket_.get(), POLLIN, 0};
        if (::poll(&ready, 1, static_cast<int>(patience.count())) <= 0) {
            timed_out = true;
            return {};
        }
        std::string text(64 * 1024, '\0');
        const auto n = ::recv(socket_.get(), text.data(), text.size(), 0);
        was_reset = n < 0;
        text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
        return text;
    }

    // What is there already; 0 if nothing is.
    std::size_t receive_now(std::span<char> into)
    {
        const auto n = ::recv(socket_.get(), into.data(), into.size(), MSG_DONTWAIT);
        return n > 0 ? static_cast<std::size_t>(n) : 0;
    }

    // All that comes until the server closes.
    std::string receive_all()
    {
        std::string all;
        while (true) {
            const std::string next = receive();
            if (next.empty())
                return all;
            all += next;
        }
    }

    // What comes up to and with `end`.
    std::string receive_until(std::string_view end)
    {
        std::string all;
        while (all.find(end) == std::string::npos) {
            const std::string next = receive();
            if (next.empty())
                break;
            all += next;
        }
        return all;
    }

    // Whether the server closes the connection, without a word, within `limit`; and how long that took.
    bool is_closed_within(std::chrono::milliseconds limit)
    {
        const auto begin = std::chrono::steady_clock::now();
        const bool closed = receive(limit).empty() && !timed_out;
        took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
        return closed;
    }

    bool timed_out = false;
    bool was_reset = false;
    std::chrono::milliseconds took{};

private:
    alos::unique_fd socket_;
    bool connected_ = false;
};

inline std::string get(std::string_view path, std::string_view more = {})
{
    return "GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(more) + "\r\n";
}

// A status line.
inline std::string status_of(const std::string& answer) { return answer.substr(0, answer.find("\r\n")); }

inline std::string body_of(const std::string& answer)
{
    const std::size_t end = answer.find("\r\n\r\n");
    return end == std::string::npos ? std::string() : answer.substr(end + 4);
}

// Waits for what happens on another thread.
template <class Condition>
bool eventually(Condition condition)
{
    for (int i = 0; i < 1000; ++i) {
        if (condition())
            return true;
        std::this_thread::sleep_for(5ms);
    }
    return false;
}

}

#endif
