// What answers requests, type-erased: a plain function, which costs no coroutine frame and no allocation, or a
// coroutine. Handlers are called from every thread of the server, at once.
#ifndef ALOS_HTTP_HANDLER_HPP
#define ALOS_HTTP_HANDLER_HPP

#include <alos/http/message.hpp>

#include <concepts>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace alos::inline v0 {

// void(request&, response&): the response is complete when it returns.
template <class F>
concept plain_handler =
    std::invocable<F&, request&, response&> && std::is_void_v<std::invoke_result_t<F&, request&, response&>>;

// awaitable<void>(request&, response&): the response is complete when the coroutine ends.
template <class F>
concept coroutine_handler = std::invocable<F&, request&, response&> &&
                            std::same_as<std::invoke_result_t<F&, request&, response&>, awaitable<>>;

template <class F>
concept any_handler = plain_handler<F> || coroutine_handler<F>;

namespace http {

class handler {
public:
    handler() = default;

    template <class F>
        requires any_handler<F> && (!std::same_as<F, handler>)
    handler(F function) : object_(std::make_shared<F>(std::move(function)))
    {
        if constexpr (plain_handler<F>)
            plain_ = [](void* object, request& req, response& res) { std::invoke(*static_cast<F*>(object), req, res); };
        else
            start_ = [](void* object, request& req, response& res) {
                return std::invoke(*static_cast<F*>(object), req, res);
            };
    }

    [[nodiscard]] bool is_plain() const noexcept { return plain_ != nullptr; }

    // Runs a plain handler.
    void run(request& req, response& res) const { plain_(object_.get(), req, res); }

    // Starts a handler of either kind; the coroutine lives no longer than the handler.
    [[nodiscard]] awaitable<> start(request& req, response& res) const
    {
        return start_ ? start_(object_.get(), req, res) : run_as_coroutine(*this, req, res);
    }

private:
    static awaitable<> run_as_coroutine(const handler& plain, request& req, response& res)
    {
        plain.run(req, res);
        co_return;
    }

    std::shared_ptr<void> object_; // so that one handler may serve several routes
    void (*plain_)(void*, request&, response&) = nullptr;
    awaitable<> (*start_)(void*, request&, response&) = nullptr;
};

}
}

#endif
