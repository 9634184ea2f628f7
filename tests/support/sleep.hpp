// Waits for what is tested without an environment of its own.
#ifndef ALOS_TESTS_SLEEP_HPP
#define ALOS_TESTS_SLEEP_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>

namespace test {

inline boost::asio::awaitable<void> sleep(boost::asio::any_io_executor executor, std::chrono::milliseconds time)
{
    boost::asio::steady_timer timer(executor, time);
    co_await timer.async_wait(boost::asio::use_awaitable);
}

// As a file_storage wants it.
inline auto sleep_on(boost::asio::any_io_executor executor)
{
    return [executor](std::chrono::milliseconds time) { return sleep(executor, time); };
}

}

#endif
