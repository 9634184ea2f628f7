// The service that has a thread of its own, called from several others while it is stopped.
#include <alos/server/acme_service.hpp>

#include "support/pem_files.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace alos;
using namespace std::chrono_literals;

namespace {

// A CA that nobody answers for.
acme::config nowhere(const std::string& folder)
{
    acme::config settings;
    settings.domains = {"example.test"};
    settings.cache_dir = folder;
    settings.cas = {{.directory = "http://127.0.0.1:1/directory", .allow_http = true}};
    return settings;
}

// What an awaited call ended with; nothing when it never did.
template <class T>
std::optional<T> await_on_own_context(boost::asio::awaitable<T> work)
{
    boost::asio::io_context context(1);
    std::optional<T> got;
    boost::asio::co_spawn(context, std::move(work), [&](const std::exception_ptr& thrown, T value) {
        if (!thrown)
            got = std::move(value);
    });
    context.run_for(10s);
    return got;
}

}

TEST_CASE("acme service: whoever calls while it is stopped gets an answer, from whatever thread")
{
    for (int round = 0; round < 5; ++round) {
        const alos_tests::temporary_folder folder;
        cert::registry certificates;
        acme::answers http01;
        acme_service service({certificates, http01, nullptr});
        REQUIRE(service.configure(nowhere(folder.path())).has_value());
        REQUIRE(service.start().has_value());

        std::atomic<unsigned> answered{0};
        std::atomic<unsigned> refused{0};
        std::atomic<unsigned> unanswered{0};
        std::atomic<unsigned> unlisted{0};
        std::atomic<bool> is_over{false};
        const auto count = [&](bool has_value, error_code why) {
            ++answered;
            if (!has_value && why == errc::closed)
                ++refused;
        };
        std::vector<std::thread> callers;
        for (unsigned i = 0; i < 2; ++i) {
            callers.emplace_back([&, i] {
                for (unsigned n = 0; !is_over; ++n) {
                    const std::string name = "n" + std::to_string(i * 1000 + n % 8) + ".test";
                    const auto added = service.add_domain(name);
                    count(added.has_value(), added ? error_code() : added.error().code);
                    unlisted += service.certificates().empty() ? 1 : 0;
                    static_cast<void>(service.remove_domain(name));
                }
            });
            callers.emplace_back([&] {
                while (!is_over) {
                    const auto got = await_on_own_context(service.obtain("example.test"));
                    if (got)
                        count(got->has_value(), *got ? error_code() : got->error().code);
                    else
                        ++unanswered;
                    const auto revoked = await_on_own_context(service.revoke("example.test", 0));
                    unanswered += revoked ? 0 : 1;
                }
            });
        }
        std::this_thread::sleep_for(50ms);
        const auto begun = std::chrono::steady_clock::now();
        service.stop();
        CHECK(std::chrono::steady_clock::now() - begun < 5s);
        while (refused == 0)
            std::this_thread::yield();
        is_over = true;
        for (std::thread& each : callers)
            each.join();
        CHECK(unanswered == 0);
        CHECK(unlisted == 0);
        CHECK(answered > 0);
    }
}

TEST_CASE("acme service: one that an event's handler stopped is gone when its thread is")
{
    const alos_tests::temporary_folder folder;
    cert::registry certificates;
    acme::answers http01;
    std::atomic<bool> is_in_handler{false};
    {
        std::promise<void> stopped;
        acme_service service({certificates, http01, nullptr});
        service.on_event = [&, is_first = true](const acme::event& what) mutable {
            if (what.kind != acme::event_kind::renewal_failed || !std::exchange(is_first, false))
                return;
            is_in_handler = true;
            service.stop();
            stopped.set_value();
            std::this_thread::sleep_for(100ms);
            is_in_handler = false;
        };
        REQUIRE(service.configure(nowhere(folder.path())).has_value());
        REQUIRE(service.start().has_value());
        REQUIRE(stopped.get_future().wait_for(10s) == std::future_status::ready);
        service.stop();
        CHECK_FALSE(is_in_handler);
    }
    CHECK_FALSE(is_in_handler);
}
