// The middleware that comes with the library: a log line for each request, and an answer when a handler throws.
#ifndef ALOS_HTTP_HOOKS_HPP
#define ALOS_HTTP_HOOKS_HPP

#include <alos/http/middleware.hpp>
#include <alos/log.hpp>

namespace alos::inline v0 {

namespace http {

inline const logger& default_log()
{
    static const logger log;
    return log;
}

template <class Log>
class recovery_hook {
public:
    explicit recovery_hook(const Log& log) : log_(&log) {}

    bool on_exception(request& req, response& res, const std::exception_ptr& thrown) const
    {
        const std::string what = text_of_exception(thrown);
        log_event(*log_, is_of_the_client(thrown) ? log_level::debug : log_level::error, "http.exception",
            {{"method", req.method_text()}, {"path", req.path()}, {"what", what}});
        if (!res.head_sent())
            call::answer_failure(res, thrown);
        return true;
    }

private:
    const Log* log_;
};

template <class Log>
class access_log_hook {
public:
    explicit access_log_hook(const Log& log) : log_(&log) {}

    void after(request& req, response& res, std::chrono::nanoseconds elapsed) const
    {
        write(req, res.status(), access::data(res).length(), elapsed);
    }

private:
    void write(const request& req, unsigned status, std::optional<std::uint64_t> length,
               std::chrono::nanoseconds elapsed) const
    {
        if (!log_->takes(log_level::info))
            return;
        const auto address = req.client().address();
        const std::string client = req.client().port() == 0 ? "unix" : address.to_string();
        log_event(*log_, log_level::info, "http.request",
            {{"client", client},
             {"method", req.method_text()},
             {"path", req.path()},
             {"status", status},
             {"bytes", length ? static_cast<std::int64_t>(*length) : -1},
             {"us", elapsed.count() / 1000}});
    }

    const Log* log_;
};

}

// Makes a 500 and a log record of an exception (400, 408 or 413 if it came from reading the client's body). Whatever is
// used after it is further in, and guarded by it. Without it the server does the same, but what is used before it (a
// log of requests, say) sees the exception instead of the status.
template <class Log = logger>
[[nodiscard]] http::recovery_hook<Log> recovery(const Log& log = http::default_log())
{
    return http::recovery_hook<Log>(log);
}

// One log record for each request. Use it before recovery(), so that it sees the 500.
template <class Log = logger>
[[nodiscard]] http::access_log_hook<Log> access_log(const Log& log = http::default_log())
{
    return http::access_log_hook<Log>(log);
}

}

#endif
