// One thread's share of a server: it accepts connections, knows the ones it has, and ends them. Nothing in it is
// locked, for nothing in it is shared; what comes from other threads is posted to its executor.
#ifndef ALOS_SERVER_WORKER_HPP
#define ALOS_SERVER_WORKER_HPP

#include <alos/http/serve.hpp>
#include <alos/server/listener.hpp>
#include <alos/server/state.hpp>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <functional>
#include <list>
#include <memory>
#include <new>
#include <vector>

namespace alos::inline v0 {

// What is spoken on a listening socket.
enum class traffic { https, http };

// `Executor` runs one thing at a time: that of an io_context with one thread, or a strand.
template <class Policy, class Executor>
class worker : public std::enable_shared_from_this<worker<Policy, Executor>> {
public:
    using state_type = server_state<Policy>;
    using socket_type = typename Policy::template socket<Executor>;
    using tls_stream = typename Policy::template tls_stream<typename Policy::crypto, socket_type>;
    using plain_stream = typename Policy::template plain_stream<socket_type>;

    worker(std::shared_ptr<state_type> state, Executor executor)
        : state_(std::move(state))
        , executor_(std::move(executor))
        , connections_(state_->config.deadlines)
        , ticker_(executor_)
        , stop_timer_(executor_)
        , ended_(executor_)
    {
        ended_.expires_at(clock::time_point::max());
        exchanges_.reserve(kept_exchanges);
    }

    // Called once, when drain() is done.
    std::function<void()> on_end;

    [[nodiscard]] Executor get_executor() const { return executor_; }

    // Starts to accept connections from `socket`.
    void listen(unique_fd socket, traffic kind)
    {
        auto& from = listeners_.emplace_back(executor_, socket.release());
        accept_from(this->shared_from_this(), from, kind);
    }

    // The same from an acceptor of somebody else, as long as that is open.
    template <class Acceptor>
    void accept_from_others(Acceptor& acceptor)
    {
        error_code ignored;
        acceptor.non_blocking(true, ignored); // it is asked until it has no more
        close_acceptor_ = [&acceptor] {
            error_code ec; // it may be closed already
            acceptor.cancel(ec);
        };
        accepting_ = true;
        accept_from(this->shared_from_this(), acceptor, traffic::https);
    }

    // Accepts no more, ends what idles, and lets requests in flight finish until the deadline.
    void drain()
    {
        if (std::exchange(draining_, true))
            return;
        listeners_.clear();
        if (close_acceptor_)
            close_acceptor_();
        connections_.drain();
        if (is_done())
            return end();
        const auto limit = state_->config.deadlines.stop;
        if (limit.count() == 0)
            return;
        stop_timer_.expires_after(limit);
        stop_timer_.async_wait([self = this->shared_from_this()](error_code ec) {
            if (!ec)
                self->connections_.cut();
        });
    }

    // Ends everything at once.
    void cut()
    {
        drain();
        connections_.cut();
    }

    // Completes when the last connection has ended after drain().
    template <class Token>
    auto async_wait_for_end(Token&& token)
    {
        return ended_.async_wait(std::forward<Token>(token));
    }

    [[nodiscard]] bool is_done() const noexcept { return draining_ && connections_.empty() && !accepting_; }

    // What http::connection asks of its host:

    [[nodiscard]] const auto& log() const noexcept { return state_->log; }
    [[nodiscard]] const http::h1_limits& limits() const noexcept { return state_->config.limits.h1; }
    [[nodiscard]] watch& connections() noexcept { return connections_; }
    [[nodiscard]] bool draining() const noexcept { return draining_; }

    [[nodiscard]] bool goes_on_after(std::uint32_t requests) const noexcept
    {
        const std::uint32_t most = state_->config.limits.requests_per_connection;
        return !draining_ && (most == 0 || requests < most);
    }

    // The value of the Date field. Without a system call.
    [[nodiscard]] std::string_view date() noexcept
    {
        ::timespec now{};
        ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
        return date_.at(now.tv_sec);
    }

    [[nodiscard]] std::unique_ptr<http::exchange> lend()
    {
        if (exchanges_.empty()) {
            auto made = std::make_unique<http::exchange>();
            made->start(limits());
            return made;
        }
        std::unique_ptr<http::exchange> one = std::move(exchanges_.back());
        exchanges_.pop_back();
        return one;
    }

    void take_back(std::unique_ptr<http::exchange> one) noexcept
    {
        if (exchanges_.size() < exchanges_.capacity())
            exchanges_.push_back(std::move(one));
    }

    void leave(const boost::asio::ip::tcp::endpoint& client) noexcept
    {
        state_->gate.leave(key_of(client));
        if (is_done())
            end();
    }

private:
    using clock = typename Policy::clock;
    using timer = boost::asio::basic_waitable_timer<clock, boost::asio::wait_traits<clock>, Executor>;
    using descriptor = boost::asio::posix::basic_stream_descriptor<Executor>;
    using endpoint = boost::asio::ip::tcp::endpoint;

    static constexpr int accepted_at_once = 64; // before connections that are there get their turn
    static constexpr std::size_t kept_exchanges = 32;
    static constexpr std::chrono::milliseconds back_off{100};

    // A Unix socket has no port and is counted for nobody.
    static client_key key_of(const endpoint& client) noexcept
    {
        return client.port() == 0 ? client_key{} : client_key_of(client.address());
    }

    enum class accepted { all, some, no_room, closed };

    template <class Acceptor>
    static task accept_from(std::shared_ptr<worker> self, Acceptor& from, traffic kind)
    {
        const auto wait = [&from](auto handler) { from.async_wait(Acceptor::wait_read, std::move(handler)); };
        timer pause(self->executor_);
        const auto rest = [&pause](auto handler) {
            pause.expires_after(back_off);
            pause.async_wait(std::move(handler));
        };
        for (accepted last = accepted::all; last != accepted::closed;) {
            error_code ec = co_await until(wait);
            if (ec || self->draining_)
                break;
            try {
                last = self->accept_some(from.native_handle(), kind);
            } catch (const std::exception&) { // one connection more than there is memory for
                last = accepted::no_room;
            }
            if (last == accepted::no_room)
                ec = co_await until(rest);
            if (self->draining_) // and `from` is gone
                break;
        }
        self->stopped_accepting();
    }

    // Accepts what waits.
    accepted accept_some(int listener, traffic kind)
    {
        for (int i = 0; i < accepted_at_once; ++i) {
            ::sockaddr_storage address{};
            socklen_t size = sizeof address;
            unique_fd socket(
                ::accept4(listener, reinterpret_cast<::sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (socket) {
                out_of_room_ = false;
                if (!admit(std::move(socket), any_endpoint(&address, size), kind))
                    return accepted::no_room;
                continue;
            }
            switch (errno) {
            case EAGAIN: return accepted::all;
            case EMFILE:
            case ENFILE:
            case ENOBUFS:
            case ENOMEM: say_no_room(errno); return accepted::no_room;
            case EBADF:
            case EINVAL: return accepted::closed;
            default: break; // that connection failed, not the listener
            }
        }
        return accepted::some;
    }

    // False: there is no room for it.
    bool admit(unique_fd socket, const any_endpoint& from, traffic kind)
    {
        const endpoint client = to_tcp(from).value_or(endpoint());
        if (!state_->gate.enter(key_of(client))) {
            log_event(log(), log_level::info, "server.refused",
                {{"peer", to_text(from)}, {"reason", "limit of connections"}});
            return true;
        }
        error_code ec;
        try {
            socket_type connection(executor_);
            const int family = from.data()->sa_family;
            connection.assign({family, family == AF_UNIX ? 0 : IPPROTO_TCP}, socket.get(), ec);
            if (!ec) {
                static_cast<void>(socket.release());
                start(std::move(connection), client, kind);
            }
        } catch (const std::bad_alloc&) {
            ec = make_error_code(boost::system::errc::not_enough_memory);
        }
        if (ec) {
            state_->gate.leave(key_of(client));
            say_no_room(ec.value());
            return false;
        }
        if (!ticking_)
            tick(this->shared_from_this());
        return true;
    }

    // Nothing has happened if it throws.
    void start(socket_type connection, const endpoint& client, traffic kind)
    {
        auto self = this->shared_from_this();
        if (kind == traffic::https)
            http::serve<tls_stream>(self, state_->routes, std::move(connection), client, state_->config.tls);
        else
            http::serve<plain_stream>(self, state_->redirect, std::move(connection), client);
    }

    // Looks after deadlines as long as there are connections.
    static task tick(std::shared_ptr<worker> self)
    {
        const auto wait = [&timer = self->ticker_](auto handler) { timer.async_wait(std::move(handler)); };
        const struct turn { // over when an exception ends it, too
            bool& on;
            ~turn() { on = false; }
        } now{self->ticking_ = true};
        while (!self->connections_.empty()) {
            self->ticker_.expires_after(self->connections_.interval());
            if (co_await until(wait))
                break;
            self->connections_.tick();
        }
    }

    // A listener is gone. When that was somebody else's acceptor, its owner wants the end.
    void stopped_accepting()
    {
        if (!close_acceptor_)
            return;
        accepting_ = false;
        close_acceptor_ = nullptr;
        drain();
        if (is_done())
            end();
    }

    // Lets everything go that keeps the executor busy.
    void end() noexcept
    {
        ticker_.cancel();
        stop_timer_.cancel();
        ended_.cancel();
        if (on_end)
            std::exchange(on_end, nullptr)();
    }

    void say_no_room(int error)
    {
        if (std::exchange(out_of_room_, true))
            return;
        log_event(log(), log_level::error, "server.accept",
            {{"reason", std::strerror(error)},
             {"hint", error == EMFILE ? "raise the limit of open files, see `ulimit -n`" : ""}});
    }

    const std::shared_ptr<state_type> state_;
    const Executor executor_;
    watch connections_;
    timer ticker_;
    timer stop_timer_;
    timer ended_;
    std::list<descriptor> listeners_;
    std::function<void()> close_acceptor_;
    http::date_cache date_;
    std::vector<std::unique_ptr<http::exchange>> exchanges_;
    bool accepting_ = false; // from somebody else's acceptor
    bool draining_ = false;
    bool ticking_ = false;
    bool out_of_room_ = false;
};

}

#endif
