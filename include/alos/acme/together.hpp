// Several coroutines at once, as one.
#ifndef ALOS_ACME_TOGETHER_HPP
#define ALOS_ACME_TOGETHER_HPP

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <exception>
#include <tuple>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// Returns when all have ended; cancelled, they all are. The first exception, in the order of `works`, passes then.
[[nodiscard]] inline boost::asio::awaitable<void> together(std::vector<boost::asio::awaitable<void>> works)
{
    if (works.empty())
        co_return;
    const auto executor = co_await boost::asio::this_coro::executor;
    using spawned = decltype(boost::asio::co_spawn(executor, std::move(works.front()), boost::asio::deferred));
    std::vector<spawned> begun;
    for (auto& each : works)
        begun.push_back(boost::asio::co_spawn(executor, std::move(each), boost::asio::deferred));
    auto group = boost::asio::experimental::make_parallel_group(std::move(begun));
    const boost::asio::experimental::wait_for_all all;
    const auto ends = co_await group.async_wait(all, boost::asio::use_awaitable);
    for (const std::exception_ptr& thrown : std::get<1>(ends)) {
        if (thrown)
            std::rethrow_exception(thrown);
    }
}

}

#endif
