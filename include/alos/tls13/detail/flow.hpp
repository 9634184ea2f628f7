// The coroutine type of a handshake: it runs when the engine resumes it, and ends with an errc.
#ifndef ALOS_TLS13_DETAIL_FLOW_HPP
#define ALOS_TLS13_DETAIL_FLOW_HPP

#include <alos/tls13/alert.hpp>

#include <coroutine>
#include <exception>
#include <utility>

namespace alos::inline v0::tls13 {

// Owns its frame. Awaits protocol events only, never I/O.
class flow {
public:
    struct promise_type {
        errc outcome = errc::none;
        std::exception_ptr exception;

        flow get_return_object() noexcept { return flow(std::coroutine_handle<promise_type>::from_promise(*this)); }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_always final_suspend() const noexcept { return {}; }
        void return_value(errc code) noexcept { outcome = code; }
        void unhandled_exception() noexcept { exception = std::current_exception(); }
    };

    flow() noexcept = default;
    flow(flow&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
    flow& operator=(flow&& other) noexcept
    {
        std::swap(frame_, other.frame_);
        return *this;
    }
    ~flow()
    {
        if (frame_)
            frame_.destroy();
    }

    // Runs to the next event that it waits for, or to its end. Memory exhaustion is thrown on.
    void resume()
    {
        frame_.resume();
        if (frame_.done() && frame_.promise().exception)
            std::rethrow_exception(frame_.promise().exception);
    }

    [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(frame_); }
    [[nodiscard]] bool done() const noexcept { return frame_.done(); }
    [[nodiscard]] errc outcome() const noexcept { return frame_.promise().outcome; }

private:
    explicit flow(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

    std::coroutine_handle<promise_type> frame_;
};

}

#endif
