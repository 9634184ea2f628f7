// A TCP connection to whichever address of a host answers first (RFC 8305, simplified): one is tried after the other,
// the next as soon as one fails or lets wait for a quarter of a second.
#ifndef ALOS_HTTP_CONNECT_HPP
#define ALOS_HTTP_CONNECT_HPP

#include <alos/error.hpp>
#include <alos/http/deadline.hpp>
#include <alos/server/address.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::http {

inline constexpr std::chrono::milliseconds connection_attempt_delay{250}; // RFC 8305 5
inline constexpr std::size_t max_connection_attempts = 16;

namespace detail {

// RFC 8305 4: the families take turns, IPv6 first.
inline std::vector<boost::asio::ip::tcp::endpoint> in_turns(const std::vector<boost::asio::ip::address>& addresses,
                                                            std::uint16_t port)
{
    std::vector<boost::asio::ip::tcp::endpoint> turns;
    std::deque<boost::asio::ip::address> six;
    std::deque<boost::asio::ip::address> four;
    for (const auto& each : addresses)
        (each.is_v6() ? six : four).push_back(each);
    while ((!six.empty() || !four.empty()) && turns.size() < max_connection_attempts) {
        for (auto* family : {&six, &four}) {
            if (family->empty())
                continue;
            turns.emplace_back(family->front(), port);
            family->pop_front();
        }
    }
    return turns;
}

// The attempts; kept alive by the handlers of those under way.
class connection_race : public std::enable_shared_from_this<connection_race> {
public:
    using tcp = boost::asio::ip::tcp;

    connection_race(boost::asio::any_io_executor executor, std::vector<tcp::endpoint> endpoints)
        : end(executor, boost::asio::steady_timer::time_point::max()), endpoints_(std::move(endpoints)),
          delay_(executor), errors_(endpoints_.size())
    {
        for (std::size_t i = 0; i < endpoints_.size(); ++i)
            sockets_.emplace_back(executor);
    }

    void start()
    {
        if (endpoints_.empty())
            stop();
        else
            start_next();
    }

    void stop()
    {
        over_ = true;
        delay_.cancel();
        end.expires_at(boost::asio::steady_timer::time_point::min());
        for (std::size_t i = 0; i < sockets_.size(); ++i) {
            error_code ignored; // closed all the same
            if (winner != i)
                sockets_[i].close(ignored);
        }
    }

    [[nodiscard]] tcp::socket take_winner() { return std::move(sockets_[*winner]); }

    // Why nobody won.
    [[nodiscard]] failure why() const
    {
        failure all{make_error_code(boost::asio::error::host_not_found), "there is no address"};
        for (std::size_t i = 0; i < errors_.size(); ++i) {
            all.code = errors_[i];
            all.what = (i == 0 ? "" : all.what + "; ") + alos::to_text(any_endpoint(endpoints_[i])) + ": "
                       + errors_[i].message();
        }
        return all;
    }

    boost::asio::steady_timer end; // has come, once it is decided
    std::optional<std::size_t> winner;

private:
    void start_next()
    {
        const std::size_t i = started_++;
        sockets_[i].async_connect(endpoints_[i], [self = shared_from_this(), i](error_code ec) { self->ended(i, ec); });
        if (started_ == endpoints_.size())
            return;
        delay_.expires_after(connection_attempt_delay);
        delay_.async_wait([self = shared_from_this(), i](error_code ec) {
            if (!ec && !self->over_ && self->started_ == i + 1)
                self->start_next();
        });
    }

    void ended(std::size_t i, error_code ec)
    {
        if (over_)
            return;
        errors_[i] = ec;
        if (!ec) {
            winner = i;
            stop();
        } else if (++failed_ == endpoints_.size()) {
            stop();
        } else if (started_ == i + 1) {
            start_next();
        }
    }

    std::vector<tcp::endpoint> endpoints_;
    std::vector<tcp::socket> sockets_;
    boost::asio::steady_timer delay_;
    std::vector<error_code> errors_;
    std::size_t started_ = 0;
    std::size_t failed_ = 0;
    bool over_ = false;
};

}

// The first connection that comes about; a failure names every address and its error. IPv6 goes first. Addresses
// beyond max_connection_attempts are not tried.
[[nodiscard]] inline boost::asio::awaitable<outcome<boost::asio::ip::tcp::socket>>
connect(boost::asio::any_io_executor executor, std::vector<boost::asio::ip::address> addresses, std::uint16_t port)
{
    const auto race = std::make_shared<detail::connection_race>(executor, detail::in_turns(addresses, port));
    // It ends with this coroutine, however that ends.
    const std::shared_ptr<void> stopper(nullptr, [race](void*) { race->stop(); });
    race->start();
    static_cast<void>(co_await race->end.async_wait(as_results));
    const auto state = co_await boost::asio::this_coro::cancellation_state;
    if (state.cancelled() != boost::asio::cancellation_type::none)
        throw boost::system::system_error(boost::asio::error::operation_aborted);
    if (!race->winner)
        co_return race->why();
    co_return race->take_winner();
}

}

#endif
