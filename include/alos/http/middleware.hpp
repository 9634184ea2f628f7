// What runs around handlers. Hooks are plain functions and cost no coroutine frame; a coroutine that is given `next`
// may do anything, for a frame each. Both are called from every thread of the server, at once.
#ifndef ALOS_HTTP_MIDDLEWARE_HPP
#define ALOS_HTTP_MIDDLEWARE_HPP

#include <alos/http/error.hpp>
#include <alos/http/handler.hpp>

#include <algorithm>
#include <chrono>
#include <exception>

namespace alos::inline v0 {

// Hooks: an object with any of these members, which run in this order.
//   bool before(request&, response&)   on the way in; false: the response is complete, nothing further in is run
//   void after(request&, response&)    on the way out, if `before` went on and the handler did not throw
//   void after(request&, response&, std::chrono::nanoseconds elapsed)   the same; the time is taken only for these
//   bool on_exception(request&, response&, std::exception_ptr)   instead of `after`, if what is further in threw;
//                                      true: it is dealt with, and outer hooks see an ordinary response
template <class T>
concept before_hook = requires(T& each, request& req, response& res) {
    { each.before(req, res) } -> std::same_as<bool>;
};
template <class T>
concept after_hook = requires(T& each, request& req, response& res) { each.after(req, res); };
template <class T>
concept timed_after_hook =
    requires(T& each, request& req, response& res, std::chrono::nanoseconds elapsed) { each.after(req, res, elapsed); };
template <class T>
concept exception_hook = requires(T& each, request& req, response& res, std::exception_ptr thrown) {
    { each.on_exception(req, res, thrown) } -> std::same_as<bool>;
};
template <class T>
concept middleware_hooks = before_hook<T> || after_hook<T> || timed_after_hook<T> || exception_hook<T>;

namespace http {

struct chain;

}

// What a coroutine middleware calls to run what is further in; once at most.
class next {
public:
    next(const http::chain& route, std::size_t index) noexcept : route_(&route), index_(index) {}

    [[nodiscard]] awaitable<> operator()(request& req, response& res) const;

private:
    const http::chain* route_;
    std::size_t index_;
};

// awaitable<void>(request&, response&, next): runs what is further in by `co_await then(req, res)`, or does not.
template <class T>
concept around_middleware = std::invocable<T&, request&, response&, next> &&
                            std::same_as<std::invoke_result_t<T&, request&, response&, next>, awaitable<>>;

template <class T>
concept any_middleware = middleware_hooks<T> || around_middleware<T>;

namespace http {

[[nodiscard]] inline bool is_of_the_client(const std::exception_ptr& thrown)
{
    try {
        std::rethrow_exception(thrown);
    } catch (const boost::system::system_error& each) {
        return is_of_the_client(each.code());
    } catch (...) {
        return false;
    }
}

// A middleware, type-erased.
class middleware {
public:
    template <class T>
        requires any_middleware<T> && (!std::same_as<T, middleware>)
    middleware(T each) : object_(std::make_shared<T>(std::move(each))), timed_(timed_after_hook<T>)
    {
        if constexpr (around_middleware<T>) {
            around_ = [](void* object, request& req, response& res, next then) {
                return std::invoke(*static_cast<T*>(object), req, res, then);
            };
        }
        if constexpr (before_hook<T>) {
            before_ = [](void* object, request& req, response& res) {
                return static_cast<T*>(object)->before(req, res);
            };
        }
        if constexpr (timed_after_hook<T>) {
            after_ = [](void* object, request& req, response& res, std::chrono::nanoseconds elapsed) {
                static_cast<T*>(object)->after(req, res, elapsed);
            };
        } else if constexpr (after_hook<T>) {
            after_ = [](void* object, request& req, response& res, std::chrono::nanoseconds) {
                static_cast<T*>(object)->after(req, res);
            };
        }
        if constexpr (exception_hook<T>) {
            on_exception_ = [](void* object, request& req, response& res, const std::exception_ptr& thrown) {
                return static_cast<T*>(object)->on_exception(req, res, thrown);
            };
        }
    }

    [[nodiscard]] bool is_around() const noexcept { return around_ != nullptr; }
    [[nodiscard]] bool is_timed() const noexcept { return timed_; }

    [[nodiscard]] bool before(request& req, response& res) const
    {
        return before_ == nullptr || before_(object_.get(), req, res);
    }

    // On the way out. What remains of `thrown` goes on to the next hook further out.
    [[nodiscard]] std::exception_ptr leave(request& req, response& res, std::exception_ptr thrown,
                                           std::chrono::nanoseconds elapsed) const noexcept
    {
        try {
            if (!thrown) {
                if (after_ != nullptr)
                    after_(object_.get(), req, res, elapsed);
                return nullptr;
            }
            const bool handled = on_exception_ != nullptr && on_exception_(object_.get(), req, res, thrown);
            return handled ? nullptr : thrown;
        } catch (...) {
            return std::current_exception();
        }
    }

    [[nodiscard]] awaitable<> around(request& req, response& res, next then) const
    {
        return around_(object_.get(), req, res, then);
    }

private:
    std::shared_ptr<void> object_; // so that one middleware may serve several routes
    bool (*before_)(void*, request&, response&) = nullptr;
    void (*after_)(void*, request&, response&, std::chrono::nanoseconds) = nullptr;
    bool (*on_exception_)(void*, request&, response&, const std::exception_ptr&) = nullptr;
    awaitable<> (*around_)(void*, request&, response&, next) = nullptr;
    bool timed_ = false;
};

// A handler and what runs around it.
struct chain {
    chain(handler answers, std::vector<middleware> hooks) : inner(std::move(answers)), around(std::move(hooks))
    {
        timed = std::ranges::any_of(around, &middleware::is_timed);
        first_coroutine =
            static_cast<std::size_t>(std::ranges::find_if(around, &middleware::is_around) - around.begin());
    }

    handler inner;
    std::vector<middleware> around; // outermost first
    bool timed;                     // one of the hooks wants to know how long it took
    std::size_t first_coroutine;    // in `around`; its size if there is none
};

// One run through a chain. start() does all that needs no coroutine:
//
//     if (!run.start(chain, req, res)) {
//         std::exception_ptr thrown;
//         try { co_await run.rest(); } catch (...) { thrown = std::current_exception(); }
//         run.finish(thrown);
//     }
//
// Exceptions end here: one that no hook dealt with makes an error of the response and is in failure(), for the log.
class call {
public:
    using clock = std::chrono::steady_clock;

    // True: the response is complete. False: rest() and finish() have to follow.
    [[nodiscard]] bool start(const chain& route, request& req, response& res,
                             clock::time_point (*now)() noexcept = &clock::now) noexcept
    {
        route_ = &route;
        request_ = &req;
        response_ = &res;
        now_ = now;
        entered_ = 0;
        failure_ = nullptr;
        begin_ = route.timed ? now() : clock::time_point{};
        try {
            for (; entered_ < route.first_coroutine; ++entered_) {
                if (!route.around[entered_].before(req, res)) {
                    finish(nullptr);
                    return true;
                }
            }
            if (entered_ < route.around.size() || !route.inner.is_plain())
                return false;
            route.inner.run(req, res);
            finish(nullptr);
        } catch (...) {
            finish(std::current_exception());
        }
        return true;
    }

    [[nodiscard]] awaitable<> rest() const { return next(*route_, entered_)(*request_, *response_); }

    void finish(std::exception_ptr thrown) noexcept
    {
        const clock::duration elapsed = route_->timed ? now_() - begin_ : clock::duration{};
        while (true) {
            // What was sent as a whole response so far must not look like one.
            if (thrown && response_->head_sent())
                access::data(*response_).aborted = true;
            if (entered_ == 0)
                break;
            thrown = route_->around[--entered_].leave(*request_, *response_, std::move(thrown), elapsed);
        }
        failure_ = std::move(thrown);
        if (failure_ && !response_->head_sent())
            answer_failure(*response_, failure_);
    }

    [[nodiscard]] const std::exception_ptr& failure() const noexcept { return failure_; }

    // What the client is told when a handler threw: 500 (RFC 9110 15.6.1), or what was wrong with its body.
    static void answer_failure(response& res, const std::exception_ptr& thrown) noexcept
    {
        try {
            res.reset();
            respond_with_status(res, status_of(thrown));
        } catch (...) { // out of memory
            access::data(res).aborted = true;
        }
    }

    [[nodiscard]] static unsigned status_of(const std::exception_ptr& thrown)
    {
        try {
            std::rethrow_exception(thrown);
        } catch (const boost::system::system_error& each) {
            if (each.code().category() == http_category())
                return http::status_of(static_cast<errc>(each.code().value()));
        } catch (...) {
        }
        return 500;
    }

private:
    const chain* route_ = nullptr;
    request* request_ = nullptr;
    response* response_ = nullptr;
    clock::time_point (*now_)() noexcept = nullptr;
    std::size_t entered_ = 0; // hooks that have to be left again
    clock::time_point begin_;
    std::exception_ptr failure_;
};

namespace detail {

// A hook further in than a coroutine middleware: it needs a frame itself.
inline awaitable<> run_hook(const chain& route, std::size_t index, request& req, response& res)
{
    const middleware& hook = route.around[index];
    const auto begin = call::clock::now();
    if (!hook.before(req, res))
        co_return;
    std::exception_ptr thrown;
    try {
        co_await next(route, index + 1)(req, res);
    } catch (...) {
        thrown = std::current_exception();
    }
    if (thrown && res.head_sent())
        access::data(res).aborted = true;
    thrown = hook.leave(req, res, std::move(thrown), call::clock::now() - begin);
    if (thrown)
        std::rethrow_exception(thrown);
}

}
}

inline awaitable<> next::operator()(request& req, response& res) const
{
    if (index_ == route_->around.size())
        return route_->inner.start(req, res);
    const http::middleware& each = route_->around[index_];
    if (each.is_around())
        return each.around(req, res, next(*route_, index_ + 1));
    return http::detail::run_hook(*route_, index_, req, res);
}

}

#endif
