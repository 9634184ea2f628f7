// Runs coroutines in tests, to their end, without threads or sockets.
#ifndef ALOS_TESTS_RUN_HPP
#define ALOS_TESTS_RUN_HPP

#include <alos/http/body_io.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <optional>

namespace test {

// Rethrows what the coroutine threw.
inline void run(alos::awaitable<> work)
{
    boost::asio::io_context context(1);
    std::exception_ptr thrown;
    boost::asio::co_spawn(context, std::move(work), [&](std::exception_ptr end) { thrown = end; });
    context.run();
    if (thrown)
        std::rethrow_exception(thrown);
}

}

#endif
