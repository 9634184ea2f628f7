// One process in a simulated world, with a storage, that does one thing after the other.
#ifndef ALOS_TESTS_SIMULATED_PROCESS_HPP
#define ALOS_TESTS_SIMULATED_PROCESS_HPP

#include "support/simulated_files.hpp"
#include "support/simulated_world.hpp"

#include <alos/acme/file_storage.hpp>

#include <boost/asio/co_spawn.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace test {

struct simulated_process {
    explicit simulated_process(simulated_world& in,
                               std::shared_ptr<simulated_disk> disk = std::make_shared<simulated_disk>())
        : world(in), files(std::move(disk)), environment(world.add_member(files)),
          storage(files, "/certificates", "a process", [this] { return environment.now(); },
                  [this](std::chrono::milliseconds time) { return environment.sleep_until(environment.now() + time); })
    {
    }

    ~simulated_process() { world.kill(environment); }

    // What it comes to, within ten minutes.
    template <class T>
    T run(alos::acme::awaitable<T> work)
    {
        std::optional<T> done;
        asio::co_spawn(environment.executor(), std::move(work), [&](const std::exception_ptr& thrown, T came) {
            CHECK_MESSAGE(!thrown, alos::text_of_exception(thrown));
            done = std::move(came);
        });
        REQUIRE(world.run_until([&] { return done.has_value(); }, std::chrono::minutes(10)));
        return std::move(*done);
    }

    void run(alos::acme::awaitable<> work) { static_cast<void>(run(ended(std::move(work)))); }

    simulated_world& world;
    simulated_files files;
    simulated_member& environment;
    alos::acme::file_storage storage;

private:
    static alos::acme::awaitable<bool> ended(alos::acme::awaitable<> work)
    {
        co_await std::move(work);
        co_return true;
    }
};

}

#endif
