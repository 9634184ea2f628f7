// Where threads that serve ask the manager's thread for answers to challenges that only the storage has: no disk keeps
// a handshake waiting. RFC 8555 8.3.
#ifndef ALOS_SERVER_ANSWER_DESK_HPP
#define ALOS_SERVER_ANSWER_DESK_HPP

#include <alos/error.hpp>
#include <alos/http/deadline.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace alos::inline v0 {

class answer_desk : public std::enable_shared_from_this<answer_desk> {
public:
    using reader = std::function<std::optional<std::string>(const std::string& token)>;

    static constexpr unsigned most = 32; // questions that wait at once

    // `read` is called on `there`, which runs until close() was called, and what was asked before is answered.
    answer_desk(boost::asio::any_io_executor there, reader read,
                std::chrono::milliseconds patience = std::chrono::seconds(2))
        : there_(std::move(there)), read_(std::move(read)), patience_(patience)
    {
    }

    answer_desk(const answer_desk&) = delete;
    answer_desk& operator=(const answer_desk&) = delete;

    // What was read, or why nobody knows.
    using said = result<std::optional<std::string>>;

    // May be awaited on any executor. Fails when what was read does not come in time, when too many ask, and after
    // close().
    [[nodiscard]] static boost::asio::awaitable<said> ask(std::shared_ptr<answer_desk> at, std::string token)
    {
        const auto executor = co_await boost::asio::this_coro::executor;
        const auto one = std::make_shared<question>(executor, at->patience_);
        if (!at->take(one, std::move(token)))
            co_return error_code(errc::closed);
        static_cast<void>(co_await one->end.async_wait(as_results));
        one->is_over = true;
        co_return std::move(one->answer);
    }

    // Takes no more questions.
    void close()
    {
        const std::lock_guard lock(mutex_);
        is_closed_ = true;
    }

private:
    // All but `is_over` belongs to the executor of who asks.
    struct question {
        question(const boost::asio::any_io_executor& asking, std::chrono::milliseconds patience)
            : end(asking, patience)
        {
        }

        boost::asio::steady_timer end; // has come, once it is answered
        said answer = error_code(errc::timed_out);
        std::atomic<bool> is_over = false;
    };

    [[nodiscard]] bool take(std::shared_ptr<question> one, std::string token)
    {
        // Who asks runs until the question is given back, even when it is given up.
        auto busy = boost::asio::make_work_guard(one->end.get_executor());
        const std::lock_guard lock(mutex_); // so that nothing is posted after close()
        if (is_closed_ || waiting_ == most)
            return false;
        ++waiting_;
        boost::asio::post(there_, [self = shared_from_this(), busy = std::move(busy), one = std::move(one),
                                   token = std::move(token)]() mutable { self->answer(std::move(one), token); });
        return true;
    }

    void answer(std::shared_ptr<question> one, const std::string& token)
    {
        std::optional<std::string> found = one->is_over ? std::nullopt : read_(token);
        {
            const std::lock_guard lock(mutex_);
            --waiting_;
        }
        const auto asking = one->end.get_executor();
        boost::asio::post(asking, [one = std::move(one), found = std::move(found)]() mutable {
            one->answer = said(std::move(found));
            one->end.expires_at(boost::asio::steady_timer::time_point::min());
        });
    }

    const boost::asio::any_io_executor there_;
    const reader read_;
    const std::chrono::milliseconds patience_;
    std::mutex mutex_;
    unsigned waiting_ = 0;
    bool is_closed_ = false;
};

}

#endif
