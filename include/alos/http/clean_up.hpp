// What has to be cleaned up whatever happens, cancellation included.
#ifndef ALOS_HTTP_CLEAN_UP_HPP
#define ALOS_HTTP_CLEAN_UP_HPP

#include <alos/error.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <optional>
#include <utility>

namespace alos::inline v0 {

// Awaits `work` and then, however it ended, the coroutine that `clean_up` makes of a pointer to its result, which is
// null when it threw or was cancelled. That one always comes to its end: a cancellation is thrown after it, so that the
// caller does not go on.
template <class T, class CleanUp>
[[nodiscard]] boost::asio::awaitable<T> with_clean_up(boost::asio::awaitable<T> work, CleanUp clean_up)
{
    std::optional<T> done;
    std::exception_ptr thrown;
    try {
        done = co_await std::move(work);
    } catch (...) { // cancelled, or out of memory
        thrown = std::current_exception();
    }
    co_await boost::asio::this_coro::throw_if_cancelled(false);
    // Note: each state is gone with the next reset.
    const auto before = co_await boost::asio::this_coro::cancellation_state;
    bool is_cancelled = before.cancelled() != boost::asio::cancellation_type::none;
    const auto noticed = boost::asio::enable_terminal_cancellation();
    const auto kept_away = boost::asio::disable_cancellation();
    co_await boost::asio::this_coro::reset_cancellation_state(noticed, kept_away);
    try {
        const auto executor = co_await boost::asio::this_coro::executor;
        // Spawned, so that what it does to its own cancellation state is not done to ours.
        auto end = clean_up(done ? &*done : nullptr);
        co_await boost::asio::co_spawn(executor, std::move(end), boost::asio::use_awaitable);
    } catch (...) {
        if (!thrown)
            thrown = std::current_exception();
    }
    const auto after = co_await boost::asio::this_coro::cancellation_state;
    is_cancelled = is_cancelled || after.cancelled() != boost::asio::cancellation_type::none;
    co_await boost::asio::this_coro::reset_cancellation_state(noticed);
    co_await boost::asio::this_coro::throw_if_cancelled(true);
    if (thrown)
        std::rethrow_exception(thrown);
    if (is_cancelled)
        throw boost::system::system_error(boost::asio::error::operation_aborted);
    co_return std::move(*done);
}

}

#endif
