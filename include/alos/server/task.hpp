// The coroutine that a connection is: started at once, owned by nobody but the operation it waits for, its frame gone
// when it ends. It is smaller and quicker than Asio's awaitable, whose own frames and executors are for handlers.
#ifndef ALOS_SERVER_TASK_HPP
#define ALOS_SERVER_TASK_HPP

#include <alos/error.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <new>
#include <utility>

namespace alos::inline v0 {

// An exception that its body lets out (there is no memory) ends it like a return.
struct task {
    struct promise_type {
        task get_return_object() noexcept { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() noexcept {}
    };
};

namespace detail {

// Where an operation and the coroutine that awaits it meet.
template <class Result>
struct rendezvous {
    std::coroutine_handle<> waiting;
    Result result{};
    bool done = false;
};

// A completion handler that resumes a coroutine, or frees it when the operation is dropped with its io_context.
template <class Result>
class resumption {
public:
    explicit resumption(rendezvous<Result>& meeting) noexcept : meeting_(&meeting) {}
    resumption(resumption&& other) noexcept : meeting_(std::exchange(other.meeting_, nullptr)) {}
    resumption& operator=(resumption&&) = delete;

    ~resumption()
    {
        if (meeting_ && meeting_->waiting)
            meeting_->waiting.destroy();
    }

    void operator()(Result result, std::size_t = 0)
    {
        rendezvous<Result>& meeting = *std::exchange(meeting_, nullptr);
        meeting.result = std::move(result);
        meeting.done = true;
        if (meeting.waiting)
            meeting.waiting.resume();
    }

private:
    rendezvous<Result>* meeting_;
};

}

// Awaits the asynchronous operation that `Initiate` starts with the completion handler it is given.
template <class Result, class Initiate>
class operation {
public:
    explicit operation(Initiate initiate) noexcept : initiate_(std::move(initiate)) {}

    bool await_ready() const noexcept { return false; }

    bool await_suspend(std::coroutine_handle<> caller)
    {
        initiate_(detail::resumption<Result>(meeting_));
        if (meeting_.done)
            return false;
        meeting_.waiting = caller;
        return true;
    }

    Result await_resume() noexcept { return std::move(meeting_.result); }

private:
    Initiate initiate_;
    detail::rendezvous<Result> meeting_;
};

// What `co_await` needs for an operation that ends with an error_code (and perhaps a size).
template <class Initiate>
[[nodiscard]] auto until(Initiate initiate) noexcept
{
    return operation<error_code, Initiate>(std::move(initiate));
}

// The same for a coroutine of Asio's kind, which runs on `executor` and can be cancelled by `slot`; gives the exception
// that ended it.
template <class Executor>
[[nodiscard]] auto until(Executor executor, boost::asio::awaitable<void>& work,
                         boost::asio::cancellation_slot slot) noexcept
{
    const auto initiate = [executor = std::move(executor), &work, slot](auto handler) {
        boost::asio::co_spawn(executor, std::move(work), boost::asio::bind_cancellation_slot(slot, std::move(handler)));
    };
    return operation<std::exception_ptr, decltype(initiate)>(initiate);
}

}

#endif
