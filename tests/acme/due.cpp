#include <alos/acme/due.hpp>

#include <doctest/doctest.h>

#include <memory>

using namespace std::chrono_literals;
using namespace alos::acme;

namespace {

const time_point now{24h * 20000};

// One of ninety days that is `age` old, with nothing to do but to renew it in its time: two thirds of its life later.
managed_certificate one_of(std::chrono::seconds age)
{
    managed_certificate one;
    const auto credential = std::make_shared<alos::cert::credential>();
    credential->about.not_before = now - age;
    credential->about.not_after = now - age + 24h * 90 - 1s;
    one.credential = credential;
    one.generation = 1;
    one.about.obtained = now - age;
    one.state.next_check = credential->about.not_after; // never
    return one;
}

}

TEST_CASE("due: what there is no certificate of is due at once, and after a failure when that was planned")
{
    managed_certificate one;
    CHECK(is_due(one, now));
    CHECK(due(one, now) == time_point());
    one.state.failures = 1;
    one.state.failed_at = now;
    one.state.next_attempt = now + 1h;
    CHECK_FALSE(is_due(one, now));
    CHECK(due(one, now) == now + 1h);
    CHECK(is_due(one, now + 1h));
    one.not_before = now + 2h;
    CHECK(renewal_due(one, now) == now + 1h);
    CHECK(due(one, now) == now + 2h);
    CHECK_FALSE(is_due(one, now + 1h));
}

TEST_CASE("due: what was planned by a clock that was ahead is not believed")
{
    managed_certificate one;
    one.state.failures = 1;
    one.state.next_attempt = now + 24h;
    one.state.failed_at = now + 3min; // it failed in the future
    CHECK(is_due(one, now));
    one.state.failed_at = now;
    one.state.next_attempt = now + 24h * 9; // nobody waits for so long
    CHECK(is_due(one, now));
    one.state.next_attempt = now + 24h * 7;
    CHECK_FALSE(is_due(one, now));

    managed_certificate long_lived = one_of(0s);
    long_lived.state.next_check = now + 24h * 30; // within its life
    CHECK(due(long_lived, now) == now + 24h * 30);
    long_lived.state.next_check = now + 24h * 100;
    CHECK(due(long_lived, now) == time_point());
}

TEST_CASE("due: a certificate is renewed in its time, and its CA is asked about it until then (RFC 9773 4.3)")
{
    managed_certificate one = one_of(24h);
    CHECK(due(one, now) == renewal_due(one, now));
    CHECK(renewal_due(one, now) > now + 24h * 58);
    CHECK(renewal_due(one, now) < now + 24h * 60);
    CHECK_FALSE(asks_for_window(one, now));
    one.state.next_check = now;
    CHECK(due(one, now) == now);
    CHECK(asks_for_window(one, now));
    CHECK_FALSE(is_due(one, now));
    CHECK_FALSE(asks_for_window(one, now + 24h * 60)); // it is renewed now
    CHECK(is_due(one, now + 24h * 60));

    // No advice makes it loop: a tenth of its life passes first.
    one.state.advice = suggestion{{now - 2h, now - 1h}, now - 1h};
    CHECK(renewal_due(one, now) == now + 24h * 8);
    one.about.obtained = now + 24h * 10; // by a clock that was ahead
    CHECK(is_due(one, now));
}

TEST_CASE("due: of several processes the one that the CA answered asks again, the others later, each at its own time")
{
    managed_certificate one = one_of(24h);
    one.state.next_check = now;
    one.process = 7500;
    CHECK(due(one, now) == now + 30s); // of nobody: not all at one moment
    one.state.asker = 7500;
    CHECK(due(one, now) == now);
    CHECK(asks_for_window(one, now));
    one.state.asker = 1;
    CHECK(due(one, now) == now + 90s);
    CHECK_FALSE(asks_for_window(one, now + 89s));
    CHECK(asks_for_window(one, now + 90s));
    const auto credential = std::make_shared<alos::cert::credential>();
    credential->about.not_before = now;
    credential->about.not_after = now + 10min - 1s;
    one.credential = credential;
    CHECK(due(one, now) == now + 15s);
    one.state.next_check = credential->about.not_after;
    CHECK(due(one, now) == renewal_due(one, now));
}

TEST_CASE("due: one that is forced does not wait for its time, but for what a failure wants")
{
    managed_certificate one = one_of(24h);
    one.state.failures = 3;
    one.state.failed_at = now;
    one.state.next_attempt = now + 1h;
    force(one, "revoked");
    CHECK(is_forced(one));
    CHECK(is_due(one, now));
    one.state.failures = 1;
    one.state.next_attempt = now + 1h;
    CHECK(due(one, now) == now + 1h);
    one.generation = 2; // somebody has done it
    CHECK_FALSE(is_forced(one));
}

TEST_CASE("due: an attempt takes a fifth of the life that is left, from half a minute to ten")
{
    const auto left = [](std::chrono::seconds time) { return validity{now - 24h, now + time}; };
    CHECK(attempt_time(std::nullopt, now) == 10min);
    CHECK(attempt_time(left(24h), now) == 10min);
    CHECK(attempt_time(left(10min), now) == 2min);
    CHECK(attempt_time(left(1min), now) == 30s);
    CHECK(attempt_time(left(-1h), now) == 30s);
    // Somebody else's is looked at again after one of 200 parts of a life, from five seconds to a minute.
    CHECK(next_look(std::nullopt, now, 0.5) == now + 10s);
    CHECK(next_look(one_of(0s).life(), now, 0.5) == now + 1min);
    CHECK(next_look(one_of(0s).life(), now, 0) == now + 30s);
    CHECK(next_look(validity{now, now + 10min}, now, 0.5) == now + 5s);
}
