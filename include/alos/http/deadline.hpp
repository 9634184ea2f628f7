// Waits that end: a coroutine that is given so much time and no more.
#ifndef ALOS_HTTP_DEADLINE_HPP
#define ALOS_HTTP_DEADLINE_HPP

#include <alos/error.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <tuple>
#include <utility>

namespace alos::inline v0 {

// What operations inside coroutines that are cancelled complete with: error_code first, nothing thrown.
inline constexpr auto as_results = boost::asio::as_tuple(boost::asio::use_awaitable);

// An operation that was cancelled ends its coroutine: there is nobody left to hand an error to.
inline void throw_if_aborted(const error_code& ec)
{
    if (ec == boost::asio::error::operation_aborted)
        throw boost::system::system_error(ec);
}

// What `work` returns; nothing when it took longer than `limit` and was cancelled. `work` has to end by
// throw_if_aborted() or the like. Its other exceptions pass, and so does being cancelled from outside.
template <class T>
[[nodiscard]] boost::asio::awaitable<std::optional<T>> within(std::chrono::milliseconds limit,
                                                              boost::asio::awaitable<T> work)
{
    const auto executor = co_await boost::asio::this_coro::executor;
    auto token = boost::asio::cancel_after(limit, boost::asio::as_tuple(boost::asio::use_awaitable));
    std::tuple<std::exception_ptr, T> end = co_await boost::asio::co_spawn(executor, std::move(work), std::move(token));
    if (!std::get<0>(end))
        co_return std::move(std::get<1>(end));
    const auto state = co_await boost::asio::this_coro::cancellation_state;
    try {
        std::rethrow_exception(std::get<0>(end));
    } catch (const boost::system::system_error& thrown) {
        if (thrown.code() != boost::asio::error::operation_aborted
            || state.cancelled() != boost::asio::cancellation_type::none)
            throw;
    }
    co_return std::nullopt;
}

}

#endif
