#include <alos/server/signing_pool.hpp>

#include <doctest/doctest.h>

#include <future>
#include <thread>

TEST_CASE("a signing pool runs work on another thread")
{
    alos::signing_pool pool(1);
    std::promise<std::thread::id> where;
    pool.run([&] { where.set_value(std::this_thread::get_id()); });
    CHECK(where.get_future().get() != std::this_thread::get_id());
}

TEST_CASE("a signing pool that goes finishes what it has begun")
{
    std::promise<void> begun;
    bool finished = false;
    {
        alos::signing_pool pool(1);
        pool.run([&] {
            begun.set_value();
            std::this_thread::yield();
            finished = true;
        });
        begun.get_future().wait();
    }
    CHECK(finished);
}
