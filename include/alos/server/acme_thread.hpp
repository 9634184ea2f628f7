// The thread of the certificate manager: others have coroutines run on it and get what they return, also while it ends.
#ifndef ALOS_SERVER_ACME_THREAD_HPP
#define ALOS_SERVER_ACME_THREAD_HPP

#include <alos/acme/environment.hpp>
#include <alos/acme/signal.hpp>
#include <alos/error.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <variant>

namespace alos::inline v0 {

// Whoever owns it calls stop(), and then shutdown() before what its coroutines refer to goes. What is asked of it later
// fails with errc::closed.
class acme_thread {
public:
    template <class T = void>
    using awaitable = acme::awaitable<T>;

    acme_thread()
        : guard_(context_.get_executor()), thread_([this] {
              own_thread_ = std::this_thread::get_id();
              context_.run();
          })
    {
    }

    acme_thread(const acme_thread&) = delete;
    acme_thread& operator=(const acme_thread&) = delete;

    ~acme_thread()
    {
        context_.stop();
        join();
    }

    [[nodiscard]] boost::asio::io_context& context() noexcept { return context_; }

    // Whether it is the one that calls.
    [[nodiscard]] bool is_this() const noexcept { return own_thread_ == std::this_thread::get_id(); }

    // What `question`, called here, returns to whatever thread asks; nothing once `begin` of stop() was called.
    template <class T>
    [[nodiscard]] std::optional<T> ask(std::function<T()> question)
    {
        if (is_this())
            return question();
        ++guests_; // before that is looked at: this thread goes on as long as there are any, once it has set it
        const leaving in_the_end{guests_};
        if (is_stopping_)
            return std::nullopt;
        std::packaged_task<T()> work(std::move(question));
        auto done = work.get_future();
        boost::asio::post(context_, [work = std::move(work)]() mutable { work(); });
        try {
            return done.get();
        } catch (const std::future_error&) { // it went with the context
            return std::nullopt;
        }
    }

    // Runs here what a thread of somebody else waits for.
    template <class T>
    [[nodiscard]] T call(awaitable<T> work)
    {
        if (is_this())
            return failure{errc::bad_configuration, "acme: not from an event's handler"};
        if (!enter())
            return stopped();
        std::promise<T> promise;
        auto done = promise.get_future();
        boost::asio::co_spawn(context_, until_stopped(std::move(work)),
                              [promise = std::move(promise)](const std::exception_ptr& thrown, T value) mutable {
                                  if (thrown)
                                      promise.set_exception(thrown);
                                  else
                                      promise.set_value(std::move(value));
                              });
        try {
            return done.get();
        } catch (const std::future_error&) { // it went with the context
            return stopped();
        }
    }

    // Runs here what a coroutine of somebody else awaits.
    template <class T>
    [[nodiscard]] awaitable<T> await(awaitable<T> work)
    {
        if (!enter())
            co_return stopped();
        auto done = boost::asio::co_spawn(context_, until_stopped(std::move(work)), boost::asio::use_awaitable);
        co_return co_await std::move(done);
    }

    // Tells those who wait, calls `begin` here, and returns when `is_over()` says so and nobody waits, or after 4.5
    // seconds. From this thread itself it returns at once.
    void stop(std::function<void()> begin, std::function<bool()> is_over) noexcept
    {
        if (!is_stopped_.exchange(true))
            boost::asio::post(context_, [this, begin = std::move(begin), is_over = std::move(is_over)]() mutable {
                stopping_bell_.notify_all();
                begin();
                is_stopping_ = true;
                wait_for_end(std::chrono::steady_clock::now() + stop_time, std::move(is_over));
            });
        if (!is_this())
            join();
    }

    [[nodiscard]] bool is_stopped() const noexcept { return is_stopped_; }

    // Destroys what still waits.
    void shutdown() { context_.shutdown(); }

private:
    struct context_type : boost::asio::io_context {
        context_type() : boost::asio::io_context(1) {}
        using boost::asio::execution_context::shutdown;
    };

    static constexpr std::chrono::milliseconds stop_step{10};
    static constexpr std::chrono::milliseconds stop_time{4500};

    static failure stopped() { return {errc::closed, "acme: the manager of certificates was stopped"}; }

    struct leaving {
        std::atomic<unsigned>& guests;
        ~leaving() { --guests; }
    };

    // Counts who asks for something, before it is known whether that is too late: whoever is counted gets an answer.
    [[nodiscard]] bool enter() noexcept
    {
        ++guests_;
        if (!is_stopped_)
            return true;
        --guests_;
        return false;
    }

    void join() noexcept
    {
        const std::lock_guard one_at_a_time(joining_);
        if (thread_.joinable())
            thread_.join();
    }

    // What some work came to.
    template <class T>
    struct ending {
        std::optional<T> value;
        std::exception_ptr thrown;
    };

    template <class T>
    [[nodiscard]] static awaitable<ending<T>> end_of(awaitable<T> work)
    {
        ending<T> end;
        try {
            end.value = co_await std::move(work);
        } catch (...) {
            end.thrown = std::current_exception();
        }
        co_return end;
    }

    template <class T>
    [[nodiscard]] awaitable<T> until_stopped(awaitable<T> work)
    {
        using namespace boost::asio::experimental::awaitable_operators;
        const leaving in_the_end{guests_};
        if (is_stopping_)
            co_return stopped();
        // Note: of two that are waited for, one that throws is not the first.
        auto done = co_await (end_of(std::move(work)) || stopping_bell_.wait());
        auto* const end = std::get_if<0>(&done);
        if (!end)
            co_return stopped();
        if (end->thrown)
            std::rethrow_exception(end->thrown);
        co_return std::move(*end->value);
    }

    void wait_for_end(std::chrono::steady_clock::time_point latest, std::function<bool()> is_over)
    {
        const bool is_last = guests_ == 0 && is_over();
        stopping_.expires_after(stop_step);
        stopping_.async_wait([this, latest, is_last, is_over = std::move(is_over)](error_code) mutable {
            // One more round than needed: who was told of the end has its turn.
            if (is_last || std::chrono::steady_clock::now() > latest)
                context_.stop();
            else
                wait_for_end(latest, std::move(is_over));
        });
    }

    context_type context_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
    boost::asio::steady_timer stopping_{context_};
    std::atomic<bool> is_stopped_ = false;    // it was told to
    std::atomic<bool> is_stopping_ = false;   // and has begun to
    std::atomic<unsigned> guests_ = 0;        // who wait for something that runs here
    acme::signal stopping_bell_;              // for who is told that it is too late
    std::atomic<std::thread::id> own_thread_; // set by that
    std::mutex joining_;
    std::thread thread_;
};

}

#endif
