// Coroutines that are under way at the same time, and can be cancelled together.
#ifndef ALOS_ACME_WORK_LIST_HPP
#define ALOS_ACME_WORK_LIST_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/multiple_exceptions.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

#include <cstddef>
#include <exception>
#include <list>
#include <utility>

namespace alos::inline v0::acme {

// Whether it was cancelled, and did not fail.
[[nodiscard]] inline bool is_cancellation(const std::exception_ptr& thrown)
{
    try {
        std::rethrow_exception(thrown);
    } catch (const boost::asio::multiple_exceptions& several) { // of operators like ||
        return is_cancellation(several.first_exception());
    } catch (const boost::system::system_error& error) {
        return error.code() == boost::asio::error::operation_aborted;
    } catch (...) {
        return false;
    }
}

// Used on the thread of its executor. Outlives what it began, or goes with the executor's context.
class work_list {
public:
    explicit work_list(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

    work_list(const work_list&) = delete;
    work_list& operator=(const work_list&) = delete;

    // Calls `ended` when it is over, with what it threw; null: nothing.
    template <class Ended>
    void begin(boost::asio::awaitable<void> work, Ended ended)
    {
        const auto place = cancels_.emplace(cancels_.end());
        // Note: when a frame is about to go, it still refers to the signal.
        const auto end = [this, place, ended](const std::exception_ptr& thrown) {
            boost::asio::post(executor_, [this, place, ended, thrown] {
                cancels_.erase(place);
                ended(thrown);
            });
        };
        try {
            boost::asio::co_spawn(executor_, std::move(work), boost::asio::bind_cancellation_slot(place->slot(), end));
        } catch (...) {
            cancels_.erase(place);
            throw;
        }
    }

    void cancel()
    {
        for (boost::asio::cancellation_signal& each : cancels_)
            each.emit(boost::asio::cancellation_type::terminal);
    }

    [[nodiscard]] std::size_t size() const noexcept { return cancels_.size(); }

private:
    const boost::asio::any_io_executor executor_;
    std::list<boost::asio::cancellation_signal> cancels_;
};

}

#endif
