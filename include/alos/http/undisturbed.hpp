// A clean-up that no cancellation interrupts.
#ifndef ALOS_HTTP_UNDISTURBED_HPP
#define ALOS_HTTP_UNDISTURBED_HPP

#include <alos/error.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>

#include <exception>
#include <utility>

namespace alos::inline v0 {

// Lets `work`, a clean-up, come to its end although its caller is cancelled meanwhile, or was before. A cancellation that
// came meanwhile is thrown afterwards, so that the caller does not go on.
// Note: whoever may be cancelled already awaits this_coro::throw_if_cancelled(false) first, or else this is not begun.
[[nodiscard]] inline boost::asio::awaitable<void> undisturbed(boost::asio::awaitable<void> work)
{
    const auto noticed = boost::asio::enable_terminal_cancellation();
    const auto kept_away = boost::asio::disable_cancellation();
    co_await boost::asio::this_coro::reset_cancellation_state(noticed, kept_away);
    co_await boost::asio::this_coro::throw_if_cancelled(false);
    std::exception_ptr thrown;
    try {
        co_await std::move(work);
    } catch (...) {
        thrown = std::current_exception();
    }
    const auto state = co_await boost::asio::this_coro::cancellation_state;
    const bool is_cancelled = state.cancelled() != boost::asio::cancellation_type::none; // `state` is gone with a reset
    co_await boost::asio::this_coro::reset_cancellation_state(noticed);
    co_await boost::asio::this_coro::throw_if_cancelled(true);
    if (thrown)
        std::rethrow_exception(thrown);
    if (is_cancelled)
        throw boost::system::system_error(boost::asio::error::operation_aborted);
}

}

#endif
