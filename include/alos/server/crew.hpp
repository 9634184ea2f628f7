// The threads of a server: each runs its own io_context with its own worker.
#ifndef ALOS_SERVER_CREW_HPP
#define ALOS_SERVER_CREW_HPP

#include <alos/server/worker.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace alos::inline v0 {

enum class order { drain, cut };

// All members may be called from any thread. What has once been told to drain takes no more workers.
template <class Policy>
class crew {
public:
    using executor_type = boost::asio::io_context::executor_type;

    // A thread that is not yet running.
    struct member {
        boost::asio::io_context io{1};
        boost::asio::executor_work_guard<executor_type> busy{io.get_executor()};
        std::shared_ptr<worker<Policy, executor_type>> work;
        std::thread thread;
    };

    explicit crew(std::shared_ptr<server_state<Policy>> state) : state_(std::move(state)) {}

    crew(const crew&) = delete;
    crew& operator=(const crew&) = delete;

    [[nodiscard]] std::unique_ptr<member> hire() const
    {
        auto one = std::make_unique<member>();
        one->work = std::make_shared<worker<Policy, executor_type>>(state_, one->io.get_executor());
        return one;
    }

    // Starts the threads. `on_end` is called when the last one has ended, or now if it is too late to start any.
    [[nodiscard]] outcome<> start(std::vector<std::unique_ptr<member>> members, std::function<void()> on_end)
    {
        std::unique_lock lock(mutex_);
        if (drained_) {
            lock.unlock();
            if (on_end)
                on_end();
            return {};
        }
        on_end_ = std::move(on_end);
        for (auto& one : members) {
            ++running_;
            try {
                one->thread = std::thread([this, each = one.get()] { run(*each); });
            } catch (const std::system_error& error) {
                --running_;
                lock.unlock();
                tell(order::cut);
                wait();
                return failure{error.code(), std::string("cannot start a thread: ") + error.what()
                                                 + "; set `threads` to a smaller number"};
            }
            const auto work = one->work;
            add([work](order what) { post_to(work, what); });
            members_.push_back(std::move(one));
        }
        return {};
    }

    // A worker that runs on somebody else's executor. False: it came too late.
    template <class Worker>
    bool enlist(const std::shared_ptr<Worker>& one)
    {
        const std::lock_guard lock(mutex_);
        if (drained_)
            return false;
        add([weak = std::weak_ptr<Worker>(one)](order what) {
            if (const auto work = weak.lock())
                post_to(work, what);
        });
        return true;
    }

    void tell(order what)
    {
        const std::lock_guard lock(mutex_);
        drained_ = true;
        for (const auto& one : workers_)
            one(what);
    }

    // Returns when all threads have ended. Not from one of them.
    void wait()
    {
        std::unique_lock lock(mutex_);
        all_ended_.wait(lock, [this] { return running_ == 0; });
        for (const auto& one : members_) {
            if (one->thread.joinable())
                one->thread.join();
        }
        members_.clear();
    }

private:
    template <class Worker>
    static void post_to(const std::shared_ptr<Worker>& work, order what)
    {
        boost::asio::post(work->get_executor(), [work, what] { what == order::drain ? work->drain() : work->cut(); });
    }

    void add(std::function<void(order)> tell_one) { workers_.push_back(std::move(tell_one)); }

    void run(member& one)
    {
        one.work->on_end = [&one] { one.busy.reset(); };
        while (true) {
            try {
                one.io.run();
                break;
            } catch (...) { // of a handler that the user has posted, say: the connections live on
                const std::string reason = text_of_exception(std::current_exception());
                log_event(state_->log, log_level::error, "server.exception", {{"reason", reason}});
            }
        }
        std::function<void()> last_words;
        {
            const std::lock_guard lock(mutex_);
            if (--running_ == 0) {
                workers_.clear();
                last_words = std::move(on_end_);
            }
        }
        if (last_words)
            last_words();
        all_ended_.notify_all();
    }

    const std::shared_ptr<server_state<Policy>> state_;
    std::mutex mutex_;
    std::condition_variable all_ended_;
    std::vector<std::unique_ptr<member>> members_;
    std::vector<std::function<void(order)>> workers_;
    std::function<void()> on_end_;
    std::size_t running_ = 0;
    bool drained_ = false;
};

}

#endif
