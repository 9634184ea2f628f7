#include <alos/server/watch.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

using namespace alos;
using namespace std::chrono_literals;

namespace {

struct fake : watched {
    explicit fake(watch& home) : home_(home) { home_.add(*this); }
    ~fake() { home_.remove(*this); }
    void drain() noexcept override { ++drained; }
    void expire() noexcept override
    {
        ++expired;
        if (on_expire)
            on_expire->reset();
    }
    void cut() noexcept override { ++cuts; }
    std::uint64_t progress() noexcept override { return position; }
    bool is_abandoned() noexcept override { return abandoned; }

    watch& home_;
    int drained = 0;
    int expired = 0;
    int cuts = 0;
    bool abandoned = false;
    std::uint64_t position = 0;
    std::unique_ptr<fake>* on_expire = nullptr;
};

deadlines seconds_only()
{
    deadlines limits;
    limits.handshake = 4s;
    limits.idle = 8s;
    limits.body = limits.write = 4s;
    limits.closing = 4s;
    limits.min_rate = 100;
    return limits;
}

void tick(watch& all, int times)
{
    for (int i = 0; i < times; ++i)
        all.tick();
}

}

TEST_CASE("watch ticks a quarter as long as the shortest deadline, a second at most")
{
    CHECK(watch(seconds_only()).interval() == 1s);
    deadlines short_ones;
    short_ones.write = 100ms;
    CHECK(watch(short_ones).interval() == 25ms);
}

TEST_CASE("watch: a deadline is never early and a tick late at most")
{
    watch all(seconds_only());
    fake one(all);
    tick(all, 7);
    all.enter(one, phase::handshake);
    tick(all, 4);
    CHECK(one.expired == 0);
    tick(all, 1);
    CHECK(one.expired == 1);
    tick(all, 20);
    CHECK(one.expired == 1); // once
}

TEST_CASE("watch: entering a phase starts its own deadline, and a handler has none")
{
    watch all(seconds_only());
    fake one(all);
    all.enter(one, phase::handshake);
    tick(all, 3);
    all.enter(one, phase::idle);
    tick(all, 8);
    CHECK(one.expired == 0);
    all.enter(one, phase::handler);
    tick(all, 1000);
    CHECK(one.expired == 0);
}

TEST_CASE("watch: what moves fast enough goes on, what dribbles does not")
{
    watch all(seconds_only());
    fake steady(all);
    fake dribbling(all);
    fake stalled(all);
    for (fake* each : {&steady, &dribbling, &stalled})
        all.enter(*each, phase::body);
    for (int i = 0; i < 20; ++i) {
        steady.position += 110;
        dribbling.position += 1;
        tick(all, 1);
    }
    CHECK(steady.expired == 0);
    CHECK(dribbling.expired == 1);
    CHECK(stalled.expired == 1);
}

TEST_CASE("watch: what is being written counts down")
{
    watch all(seconds_only());
    fake one(all);
    one.position = 100'000;
    all.enter(one, phase::write);
    for (int i = 0; i < 20; ++i) {
        one.position -= 200;
        tick(all, 1);
    }
    CHECK(one.expired == 0);
    tick(all, 6);
    CHECK(one.expired == 1);
}

TEST_CASE("watch: connections may go while they are visited")
{
    watch all(seconds_only());
    std::vector<std::unique_ptr<fake>> ones;
    for (int i = 0; i < 3; ++i) {
        ones.push_back(std::make_unique<fake>(all));
        all.enter(*ones.back(), phase::handshake);
    }
    ones[1]->on_expire = &ones[0]; // the next to be visited
    tick(all, 5);
    CHECK(ones[0] == nullptr);
    CHECK(ones[1]->expired == 1);
    CHECK(ones[2]->expired == 1);
    CHECK(all.size() == 2);
    all.drain();
    all.cut();
    CHECK(ones[1]->drained == 1);
    CHECK(ones[2]->cuts == 1);
}

TEST_CASE("a handler has no deadline unless it is given one, and is cut when its client is gone")
{
    deadlines limits = seconds_only();
    SUBCASE("abandoned")
    {
        watch all(limits);
        fake one(all);
        all.enter(one, phase::handler);
        tick(all, 1000);
        CHECK(one.expired == 0);
        one.abandoned = true;
        tick(all, 1);
        CHECK(one.cuts == 1);
        all.enter(one, phase::write);
        tick(all, 1);
        CHECK(one.cuts == 1);
    }
    SUBCASE("a deadline")
    {
        limits.handler = 4s;
        watch all(limits);
        fake one(all);
        all.enter(one, phase::handler);
        tick(all, 10);
        CHECK(one.expired == 1);
    }
}
