// dns-01 (RFC 8555 8.4) by a program of the operator's, called as lego's "exec" provider calls one:
//   program present _acme-challenge.example.com. <value>
//   program cleanup _acme-challenge.example.com. <value>
// lego's other form, `present -- <domain> <token> <keyAuth>`, is not here: a dns_solver is not told of the last two.
#ifndef ALOS_DNS_EXEC_HPP
#define ALOS_DNS_EXEC_HPP

#include <alos/acme/signal.hpp>
#include <alos/acme/solver.hpp>
#include <alos/os/program.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::dns {

// The program succeeds with exit status 0. It is started without a shell, with nothing on stdin, and once at a time.
struct exec_options {
    std::string program{}; // its path
    std::chrono::milliseconds limit = std::chrono::minutes(2); // of one call; then it is killed
    std::chrono::milliseconds wait{0}; // after `present`, until all name servers of the zone have the value

    // Of this process's variables those are passed on, and nothing else: credentials are to be named.
    std::vector<std::string> passed_on = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"};
    std::vector<std::string> environment{}; // more of them, as "NAME=value"
};

class exec final : public acme::dns_solver {
public:
    // Reads the environment, so before there are threads that change it.
    explicit exec(exec_options options) : options_(std::move(options))
    {
        for (const std::string& name : options_.passed_on) {
            if (const char* const value = std::getenv(name.c_str()))
                options_.environment.push_back(name + "=" + value);
        }
    }

    // Returns when the program has ended, and `wait` is over.
    [[nodiscard]] boost::asio::awaitable<outcome<>> present(std::string name, std::string value) override
    {
        auto done = co_await call("present", std::move(name), std::move(value));
        if (!done || options_.wait <= options_.wait.zero())
            co_return done;
        const auto executor = co_await boost::asio::this_coro::executor;
        boost::asio::steady_timer timer(executor, options_.wait);
        co_await timer.async_wait(boost::asio::use_awaitable);
        co_return done;
    }

    [[nodiscard]] boost::asio::awaitable<outcome<>> clean_up(std::string name, std::string value) override
    {
        auto done = co_await call("cleanup", std::move(name), std::move(value));
        co_return done;
    }

private:
    [[nodiscard]] boost::asio::awaitable<outcome<>> call(std::string what, std::string name, std::string value)
    {
        const auto turn = co_await gate_.enter();
        os::program_call program;
        program.words = {options_.program, what, name + ".", std::move(value)};
        program.environment = options_.environment;
        program.limit = options_.limit;
        const auto end = co_await os::run_program(std::move(program));
        if (!end)
            co_return end.error();
        if (end->has_succeeded)
            co_return outcome<>();
        std::string text = options_.program + " " + what + " " + name + ".: ";
        if (end->took_too_long)
            text += "killed, as it took longer than " + std::to_string(options_.limit.count()) + " ms";
        else
            text += "it ended with " + end->how;
        std::string said = end->output.substr(0, end->output.find_last_not_of(" \r\n\t") + 1);
        std::ranges::replace_if(said, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
        text += said.empty() ? ", and said nothing" : ", and said: " + said;
        text += "; run it by hand with these words, it has to end with 0";
        co_return failure{end->took_too_long ? alos::errc::timed_out : alos::errc::program_failed, std::move(text)};
    }

    exec_options options_;
    acme::admission_gate gate_{1};
};

}

#endif
