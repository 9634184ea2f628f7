// Coroutines of one thread that wait for each other.
#ifndef ALOS_ACME_SIGNAL_HPP
#define ALOS_ACME_SIGNAL_HPP

#include <alos/error.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <list>
#include <utility>

namespace alos::inline v0::acme {

// Wakes all that wait. Not for several threads. It outlives whoever waits, or goes with them when their executor does.
class signal {
public:
    template <class Token>
    auto async_wait(Token&& token)
    {
        return boost::asio::async_initiate<Token, void(error_code)>(
            [this](auto handler) { enlist(std::move(handler)); }, token);
    }

    // Ends at the next notify_all(), or by being cancelled.
    [[nodiscard]] boost::asio::awaitable<void> wait()
    {
        co_await async_wait(boost::asio::use_awaitable);
    }

    void notify_all()
    {
        while (!waiters_.empty()) {
            waiter next = std::move(waiters_.front());
            waiters_.pop_front();
            if (auto slot = boost::asio::get_associated_cancellation_slot(next.handler); slot.is_connected())
                slot.clear();
            next.complete(error_code());
        }
    }

private:
    using handler_type = boost::asio::any_completion_handler<void(error_code)>;

    struct waiter {
        boost::asio::any_io_executor executor;
        handler_type handler;

        void complete(error_code why)
        {
            boost::asio::post(executor, [done = std::move(handler), why]() mutable { std::move(done)(why); });
        }
    };

    template <class Handler>
    void enlist(Handler handler)
    {
        boost::asio::any_io_executor executor = boost::asio::get_associated_executor(handler);
        const auto place = waiters_.insert(waiters_.end(), waiter{std::move(executor), std::move(handler)});
        auto slot = boost::asio::get_associated_cancellation_slot(place->handler);
        if (!slot.is_connected())
            return;
        // Note: a slot may be told more than once.
        slot.assign([this, place, is_told = false](boost::asio::cancellation_type) mutable {
            if (std::exchange(is_told, true))
                return;
            waiter cancelled = std::move(*place);
            waiters_.erase(place);
            cancelled.complete(boost::asio::error::operation_aborted);
        });
    }

    std::list<waiter> waiters_;
};

// As many at once as it has room for; the others wait.
class admission_gate {
public:
    explicit admission_gate(unsigned room) noexcept : room_(room == 0 ? 1 : room) {}

    // A place, given back when it goes.
    class place {
    public:
        explicit place(admission_gate& from) noexcept : from_(&from) {}
        place(place&& other) noexcept : from_(std::exchange(other.from_, nullptr)) {}
        place& operator=(place&&) = delete;
        ~place()
        {
            if (!from_)
                return;
            ++from_->room_;
            from_->left_.notify_all();
        }

    private:
        admission_gate* from_;
    };

    [[nodiscard]] boost::asio::awaitable<place> enter()
    {
        while (room_ == 0)
            co_await left_.wait();
        --room_;
        co_return place(*this);
    }

private:
    unsigned room_;
    signal left_;
};

}

#endif
