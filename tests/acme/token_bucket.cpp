#include <alos/acme/token_bucket.hpp>

#include <doctest/doctest.h>

using namespace alos::acme;
using std::chrono::days, std::chrono::hours, std::chrono::nanoseconds, std::chrono::seconds;

namespace {

const time_point opening = time_point(seconds(1795305600));

// Takes until there is none left.
unsigned take_all(token_bucket& bucket, time_point now)
{
    unsigned taken = 0;
    while (taken < 100000 && !bucket.take(now))
        ++taken;
    return taken;
}

// How many there are to take; none is.
unsigned level(token_bucket bucket, time_point now) { return take_all(bucket, now); }

}

TEST_CASE("token_bucket: a burst, then one for each interval")
{
    token_bucket bucket(3, seconds(45));
    CHECK(level(bucket, opening) == 3);
    CHECK(take_all(bucket, opening) == 3);
    CHECK(level(bucket, opening) == 0);
    CHECK(bucket.take(opening) == opening + seconds(45));
    CHECK(bucket.take(opening + seconds(44)) == opening + seconds(45));
    CHECK_FALSE(bucket.take(opening + seconds(45)).has_value());
    CHECK(bucket.take(opening + seconds(45)) == opening + seconds(90));
    CHECK(level(bucket, opening + seconds(100)) == 1);
    CHECK(take_all(bucket, opening + hours(1)) == 3);
}

TEST_CASE("token_bucket: the time that it names is when there is one")
{
    token_bucket bucket(5, seconds(7));
    const time_point first = opening + nanoseconds(123456789);
    time_point now = first;
    unsigned taken = 0;
    for (int i = 0; i < 1000; ++i) {
        const auto again = bucket.take(now);
        taken += again ? 0 : 1;
        CHECK((!again || *again > now));
        now = again.value_or(now);
    }
    CHECK(taken >= 500);
    CHECK(now - first <= seconds(7) * (taken - 4));
}

TEST_CASE("token_bucket: without a burst or an interval there is no limit")
{
    token_bucket none(0, seconds(45));
    CHECK(take_all(none, opening) == 100000);
    token_bucket free(3, seconds(0));
    CHECK(take_all(free, opening) == 100000);
}

TEST_CASE("token_bucket: it survives a restart")
{
    token_bucket before(3, seconds(45));
    CHECK(take_all(before, opening) == 3);
    token_bucket after(3, seconds(45), *parse_rfc3339(format_rfc3339(before.full_at())));
    CHECK(after.full_at() == before.full_at());
    CHECK(after.take(opening + seconds(10)) == opening + seconds(45));
    token_bucket smaller(1, seconds(45), before.full_at());
    CHECK(smaller.take(opening) == opening + seconds(45));
    token_bucket larger(10, seconds(45), before.full_at());
    CHECK(take_all(larger, opening) == 7);
}

TEST_CASE("token_bucket: a clock that jumps back costs one interval at most")
{
    token_bucket bucket(3, seconds(45));
    CHECK(take_all(bucket, opening + days(400)) == 3);
    CHECK(bucket.take(opening) == opening + seconds(45));
    CHECK_FALSE(bucket.take(opening + seconds(45)).has_value());
    CHECK(take_all(bucket, opening + seconds(45 * 4)) == 3);
}

TEST_CASE("token_bucket: settings out of reason do not overflow")
{
    token_bucket bucket(~0u, hours(24 * 365 * 200));
    CHECK(take_all(bucket, opening) == 10'000);
    CHECK(bucket.take(opening) == opening + days(3));
    CHECK(bucket.full_at() > opening + days(29'000));
    token_bucket negative(3, seconds(-5));
    CHECK(take_all(negative, opening) == 100000);
    token_bucket far(3, seconds(45), time_point::max());
    CHECK(far.take(opening) == opening + seconds(45));
    token_bucket past(3, seconds(45), time_point::min());
    CHECK(take_all(past, opening) == 3);
}
