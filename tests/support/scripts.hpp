// Shell scripts in a folder of their own, and coroutines that call them.
#ifndef ALOS_TESTS_SCRIPTS_HPP
#define ALOS_TESTS_SCRIPTS_HPP

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <stdlib.h>

namespace test {

// Goes with what is in it.
class script_folder {
public:
    script_folder()
    {
        std::string name = (std::filesystem::temp_directory_path() / "alos-scripts-XXXXXX").string();
        if (!::mkdtemp(name.data()))
            throw std::runtime_error("no temporary folder");
        path_ = name;
    }

    script_folder(const script_folder&) = delete;
    script_folder& operator=(const script_folder&) = delete;
    ~script_folder() { std::filesystem::remove_all(path_); }

    [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }

    // An executable script with these lines; its path.
    [[nodiscard]] std::string script(const std::string& lines, const std::string& name = "script") const
    {
        std::ofstream(path(name)) << "#!/bin/sh\n" << lines;
        std::filesystem::permissions(path(name), std::filesystem::perms::owner_all);
        return path(name);
    }

    [[nodiscard]] std::string content(const std::string& name) const
    {
        std::ifstream file(path(name));
        return {std::istreambuf_iterator<char>(file), {}};
    }

private:
    std::string path_;
};

// What a coroutine returns; rethrows what it throws.
template <class T>
T result_of(boost::asio::awaitable<T> work)
{
    boost::asio::io_context context(1);
    std::optional<T> found;
    std::exception_ptr thrown;
    boost::asio::co_spawn(context, std::move(work), [&](std::exception_ptr end, T value) {
        thrown = end;
        found = std::move(value);
    });
    context.run();
    if (thrown)
        std::rethrow_exception(thrown);
    return std::move(*found);
}

// Cancels a coroutine after that time; whether it ended by that.
template <class T>
bool is_cancelled_after(std::chrono::milliseconds time, boost::asio::awaitable<T> work)
{
    boost::asio::io_context context(1);
    boost::asio::cancellation_signal cancel;
    bool aborted = false;
    boost::asio::co_spawn(context, std::move(work),
                          boost::asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr end, const T&) {
                              try {
                                  if (end)
                                      std::rethrow_exception(end);
                              } catch (const boost::system::system_error& error) {
                                  aborted = error.code() == boost::asio::error::operation_aborted;
                              }
                          }));
    boost::asio::steady_timer timer(context, time);
    timer.async_wait([&](boost::system::error_code) { cancel.emit(boost::asio::cancellation_type::terminal); });
    context.run();
    return aborted;
}

}

#endif
