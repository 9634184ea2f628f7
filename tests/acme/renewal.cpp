#include <alos/acme/renewal.hpp>

#include <doctest/doctest.h>

#include <vector>

using namespace alos;
using namespace alos::acme;
using std::chrono::days, std::chrono::hours, std::chrono::milliseconds, std::chrono::minutes, std::chrono::seconds;

namespace {

const time_point start = time_point(seconds(1795305600));

// `life` includes the last second, as in RFC 5280 4.1.2.5.
validity of_life(seconds life) { return {start, start + life - seconds(1)}; }

const std::vector<seconds> lives = {minutes(10), hours(1), days(6), days(45), days(90), days(398)};
const std::vector<double> draws = {0.0, 0.1, 0.25, 0.5, 0.75, 0.999999};
const std::vector<failure_class> classes = {failure_class::transient, failure_class::throttled,
                                            failure_class::permanent, failure_class::repairable};

milliseconds gap(time_point from, time_point to) { return std::chrono::duration_cast<milliseconds>(to - from); }

}

TEST_CASE("renewal: life includes its last second (RFC 5280 4.1.2.5)")
{
    for (const seconds life : lives)
        CHECK(lifetime(of_life(life)) == life);
    CHECK(lifetime({start, start - days(1)}) == seconds(1));
    CHECK(lifetime({time_point::min(), time_point::max()}) > days(365 * 500));
}

TEST_CASE("renewal: with a third of life left, or with half below ten days")
{
    CHECK(ordinary_renewal(of_life(days(90))) == start + days(60) - seconds(1));
    CHECK(ordinary_renewal(of_life(days(10))) < start + days(7));
    CHECK(ordinary_renewal(of_life(days(10))) > start + days(6));
    CHECK(ordinary_renewal(of_life(days(6))) == start + days(3) - seconds(1));
    CHECK(ordinary_renewal(of_life(minutes(10))) == start + minutes(5) - seconds(1));
}

TEST_CASE("renewal: it is spread by one per cent of life, and never near the end")
{
    for (const seconds life : lives) {
        const validity of = of_life(life);
        const time_point middle = ordinary_renewal(of);
        for (const double draw : draws) {
            const time_point when = ordinary_renewal(of, draw);
            CHECK(std::chrono::abs(gap(middle, when)) <= milliseconds(life) / 100);
            CHECK(when < latest_renewal(of));
            CHECK(when > of.not_before + life / 3);
        }
        CHECK(gap(ordinary_renewal(of, 0), ordinary_renewal(of, 1)) >= milliseconds(life) / 51);
    }
}

TEST_CASE("renewal: an emergency begins with a twentieth of life left")
{
    for (const seconds life : lives) {
        const validity of = of_life(life);
        CHECK(std::chrono::abs(gap(latest_renewal(of), of.not_after - life / 20)) <= seconds(1));
        CHECK(next_renewal(of, suggestion{{of.not_after, of.not_after + days(1)}, of.not_after + hours(1)},
                           of.not_after - life / 20, 0.5)
              == of.not_after - life / 20);
    }
}

TEST_CASE("renewal: the time is drawn evenly from the window (RFC 9773 4.2)")
{
    for (const seconds life : lives) {
        const validity of = of_life(life);
        const renewal_window window{start + life / 2, start + life / 2 + life / 50};
        CHECK(choose_time(window, of, 0) == window.start);
        CHECK(gap(window.start, choose_time(window, of, 0.5)) == milliseconds(life) / 100);
        for (const double draw : draws) {
            CHECK(choose_time(window, of, draw) >= window.start);
            CHECK(choose_time(window, of, draw) < window.end);
        }
    }
    const renewal_window second{start, start + seconds(1)}; // a width that has made others panic
    CHECK(choose_time(second, of_life(days(90)), 0.5) == start + milliseconds(500));
}

TEST_CASE("renewal: a time behind the last moment is taken as that")
{
    for (const seconds life : lives) {
        const validity of = of_life(life);
        for (const double draw : draws) {
            CHECK(choose_time({of.not_after - life / 10, of.not_after + life}, of, draw) <= latest_renewal(of));
            CHECK(choose_time({of.not_after + life, of.not_after + 2 * life}, of, draw) == latest_renewal(of));
            CHECK(next_renewal(of, suggestion{{}, of.not_after + life}, start, draw) == latest_renewal(of));
        }
    }
}

TEST_CASE("renewal: what was drawn is kept until the window changes (RFC 9773 4.2)")
{
    const validity of = of_life(days(90));
    const renewal_window window{start + days(59), start + days(61)};
    const auto first = suggest({}, window, of, 0.25);
    REQUIRE(first.has_value());
    CHECK(first->chosen == start + days(59) + hours(12));
    CHECK(suggest(first, window, of, 0.75)->chosen == first->chosen);
    // What was stored to the second is still the same.
    CHECK(suggest(first, {window.start + milliseconds(400), window.end}, of, 0.75)->chosen == first->chosen);
    CHECK(suggest(first, {window.start, window.end + days(1)}, of, 0.5)->chosen == start + days(60) + hours(12));
    CHECK(suggest(first, {window.end, window.start}, of, 0.5)->chosen == first->chosen);
    CHECK_FALSE(suggest({}, {window.end, window.start}, of, 0.5).has_value());
    CHECK_FALSE(suggest({}, {window.end, window.end}, of, 0.5).has_value());
}

TEST_CASE("renewal: a time that has passed is now, and without advice the ordinary time holds")
{
    for (const seconds life : lives) {
        const validity of = of_life(life);
        const suggestion early{{start, start + life / 10}, start + life / 20};
        CHECK(next_renewal(of, early, start, 0.5) == start + life / 20);
        CHECK(next_renewal(of, early, start + life / 5, 0.5) == start + life / 5);
        for (const double draw : draws)
            CHECK(next_renewal(of, {}, start, draw) == ordinary_renewal(of, draw));
        CHECK(next_renewal(of, {}, of.not_after + days(1), 0.5) == of.not_after + days(1));
    }
}

TEST_CASE("renewal: a window that passed before anybody renews means revoked")
{
    for (const seconds life : lives) {
        const validity of = of_life(life);
        const time_point now = start + life / 4;
        CHECK(is_revocation({now - seconds(60), now - seconds(1)}, of, now));
        CHECK_FALSE(is_revocation({now - seconds(60), now}, of, now));
        CHECK_FALSE(is_revocation({now - seconds(60), now + seconds(60)}, of, now));
        CHECK_FALSE(is_revocation({now - seconds(1), now - seconds(60)}, of, now)); // no answer
        const time_point late = ordinary_renewal(of);
        CHECK_FALSE(is_revocation({late - seconds(60), late - seconds(1)}, of, late));
    }
}

TEST_CASE("renewal: the window is asked for as the CA says, within a minute and a day (RFC 9773 4.3)")
{
    const validity of = of_life(days(90));
    const auto wait = [&](window_answer last, unsigned failures, std::optional<seconds> retry_after, double draw) {
        return gap(start, next_check(last, failures, start, of, retry_after, draw));
    };
    using enum window_answer;
    CHECK(wait(received, 0, seconds(21600), 0.1) == hours(6));
    CHECK(wait(received, 0, seconds(7200), 0.1) == hours(2));
    CHECK(wait(received, 0, seconds(0), 0.1) == minutes(1));
    CHECK(wait(received, 0, seconds(-5), 0.1) == minutes(1));
    CHECK(wait(received, 0, seconds::max(), 0.1) == days(1));
    CHECK(wait(received, 0, {}, 0.1) == hours(6));
    CHECK(wait(long_term_error, 7, {}, 0.1) == hours(6));
    CHECK(wait(temporary_error, 1, {}, 0.5) == minutes(1));
    CHECK(wait(temporary_error, 2, {}, 0.5) == minutes(2));
    CHECK(wait(temporary_error, 6, {}, 0.5) == minutes(32));
    CHECK(wait(temporary_error, 9, {}, 0.5) == minutes(256));
    CHECK(wait(temporary_error, 4'000'000'000, {}, 0.5) == hours(6));
    CHECK(wait(temporary_error, 2, {}, 0.0) == seconds(96));
    CHECK(wait(temporary_error, 3, minutes(20), 0.5) == minutes(20));
}

TEST_CASE("renewal: a short certificate is asked about ten times in its life, and never after it (RFC 9773 4.3)")
{
    for (const seconds life : lives) {
        const validity of = of_life(life);
        for (const window_answer last :
             {window_answer::received, window_answer::temporary_error, window_answer::long_term_error}) {
            for (const double draw : draws) {
                time_point now = start;
                unsigned asked = 0;
                for (;;) {
                    const time_point next = next_check(last, asked, now, of, days(1), draw);
                    if (next == of.not_after)
                        break;
                    CHECK(gap(now, next) <= std::max<milliseconds>(life / 10, seconds(10)));
                    CHECK(gap(now, next) >= seconds(10));
                    now = next;
                    ++asked;
                }
                CHECK(now < of.not_after);
                CHECK(asked >= 9);
                CHECK(next_check(last, 1, of.not_after, of, seconds(0), draw) == of.not_after);
            }
        }
    }
}

TEST_CASE("renewal: transient failures are tried again after 1, 10 and 100 minutes, then daily")
{
    const auto wait = [](unsigned failures, double draw) {
        return gap(start, next_attempt(failure_class::transient, failures, start, {}, {}, draw));
    };
    for (const double draw : draws)
        CHECK(wait(1, draw) == minutes(1));
    CHECK(wait(0, 0.5) == minutes(1));
    CHECK(wait(2, 0.5) == minutes(10));
    CHECK(wait(2, 0.0) == minutes(8));
    CHECK(wait(3, 0.5) == minutes(100));
    CHECK(wait(4, 0.5) == days(1));
    CHECK(wait(4'000'000'000, 0.5) == days(1));
    CHECK(wait(4, 0.999999) <= minutes(24 * 60) * 12 / 10);
    CHECK(wait(4, 0.0) == minutes(24 * 60) * 8 / 10);
}

TEST_CASE("renewal: throttled and permanent failures wait longer from the start")
{
    const auto wait = [](failure_class last, unsigned failures) {
        return gap(start, next_attempt(last, failures, start, {}, {}, 0.5));
    };
    CHECK(wait(failure_class::throttled, 1) == minutes(10));
    CHECK(wait(failure_class::throttled, 2) == minutes(100));
    CHECK(wait(failure_class::throttled, 3) == days(1));
    CHECK(wait(failure_class::permanent, 1) == days(1));
    CHECK(wait(failure_class::permanent, 9) == days(1));
    CHECK(wait(failure_class::repairable, 1) == minutes(1));
}

TEST_CASE("renewal: Retry-After always rules")
{
    for (const seconds life : lives) {
        const validity of = of_life(life);
        for (const time_point now : {start, of.not_after - life / 100, of.not_after + hours(1)}) {
            for (const failure_class last : classes) {
                for (const seconds asked : {seconds(0), seconds(61), seconds(3600), seconds(604800)}) {
                    for (const double draw : draws) {
                        const time_point when = next_attempt(last, 3, now, of, asked, draw);
                        CHECK(when >= now + asked);
                        CHECK(when >= now + seconds(10));
                        if (last == failure_class::throttled && asked > seconds(60))
                            CHECK(when == now + asked);
                    }
                }
            }
        }
    }
    CHECK(next_attempt(failure_class::throttled, 1, start, {}, seconds(0), 0.5) == start + minutes(1));
    CHECK(next_attempt(failure_class::throttled, 1, start, {}, seconds(-9), 0.5) == start + minutes(1));
    CHECK(next_attempt(failure_class::throttled, 1, start, {}, seconds::max(), 0.5) == start + days(366));
}

TEST_CASE("renewal: our own waits are at most a tenth of the life that is left, and it never gives up")
{
    for (const seconds life : lives) {
        const validity of = of_life(life);
        for (const failure_class last : classes) {
            for (const double draw : draws) {
                time_point now = ordinary_renewal(of, draw);
                unsigned failures = 0;
                bool tried_at_emergency = false;
                while (now < of.not_after) {
                    const time_point next = next_attempt(last, ++failures, now, of, {}, draw);
                    const milliseconds left = gap(now, of.not_after);
                    CHECK(gap(now, next) >= seconds(10));
                    CHECK(gap(now, next) <= std::max<milliseconds>(left / 10 + milliseconds(1), seconds(10)));
                    tried_at_emergency |= next >= latest_renewal(of) && next < latest_renewal(of) + seconds(10);
                    now = next;
                    REQUIRE(failures < 2000);
                }
                CHECK(failures >= 10);
                CHECK(tried_at_emergency);
                for (int i = 0; i < 10; ++i) {
                    const time_point next = next_attempt(last, ++failures, now, of, {}, draw);
                    CHECK(gap(now, next) >= seconds(10));
                    CHECK(gap(now, next) <= std::clamp<milliseconds>(life / 10, seconds(10), hours(1)));
                    now = next;
                }
            }
        }
    }
}

TEST_CASE("renewal: what a certificate says does not overflow")
{
    for (const validity& of : {validity{time_point::min(), time_point::max()}, validity{start, time_point::max()},
                               validity{time_point::min(), start}, validity{time_point::max(), start}}) {
        CHECK(lifetime(of) >= seconds(1));
        CHECK(next_attempt(failure_class::permanent, 5, start, of, {}, 0.5) > start);
        static_cast<void>(next_ca(0, 2, failure_class::transient, 1, of, start));
    }
}

TEST_CASE("renewal: after a success the same names rest for a tenth of life")
{
    for (const seconds life : lives)
        CHECK(cool_down_end(start, of_life(life)) == start + life / 10);
}

// CAs that said nothing of waiting.
constexpr std::array<time_point, 1> one{};
constexpr std::array<time_point, 2> two{};

TEST_CASE("renewal: a wait of our own is a tenth of what is left at most; what a CA asked for is not cut short")
{
    for (const seconds life : lives) {
        const validity of = of_life(life);
        const time_point now = of.not_after - life / 3;
        const auto later = std::chrono::ceil<seconds>(life / 4);
        const failed_attempt ours{failure_class::throttled, 1, true, later, 0};
        CHECK(gap(now, plan_next_try(ours, one, of, now, 0.5).when) <= std::max<seconds>(life / 30, seconds(10)));
        const failed_attempt theirs{failure_class::throttled, 1, false, later, 0};
        CHECK(plan_next_try(theirs, one, of, now, 0.5).when >= now + later);
    }
}

TEST_CASE("renewal: a wait that one CA asked for is not kept for another, which is asked with a sixth of life left")
{
    const validity of = of_life(days(90));
    const time_point now = of.not_after - days(30);
    const failed_attempt last{failure_class::throttled, 1, false, days(60), 0};
    CHECK(plan_next_try(last, one, of, now, 0.5).when == now + days(60));
    const next_try next = plan_next_try(last, two, of, now, 0.5);
    CHECK(next.ca == 1);
    CHECK(std::chrono::abs(gap(next.when, of.not_after - days(15))) <= seconds(1));

    // A refusal that stays: the next one is asked at once, and the last one of all has to wait for a day.
    const failed_attempt first{failure_class::permanent, 1, false, {}, 0};
    const next_try other = plan_next_try(first, two, {}, now, 0.5);
    CHECK(other.ca == 1);
    CHECK(gap(now, other.when) == seconds(1));
    const failed_attempt second{failure_class::permanent, 2, false, {}, 1};
    const next_try again = plan_next_try(second, two, {}, now, 0.5);
    CHECK(again.ca == 0);
    CHECK(gap(now, again.when) >= hours(19));
}

TEST_CASE("renewal: two CAs that both want to be left alone are, although the certificate has ended")
{
    const validity of = of_life(days(45));
    const time_point now = of.not_after + days(1);
    const failed_attempt last{failure_class::throttled, 7, false, hours(5), 1};
    const std::array open_at{now + hours(3), now + hours(5)};
    const next_try next = plan_next_try(last, open_at, of, now, 0.5);
    CHECK(next.ca == 0);
    CHECK(next.when == now + hours(3));

    // The one that wants it sooner is asked first, also when it is the same again.
    const std::array other{now + hours(9), now + hours(5)};
    const next_try again = plan_next_try(last, other, of, now, 0.5);
    CHECK(again.ca == 1);
    CHECK(again.when == now + hours(5));

    // What this machine counts itself is not asked before its time either; its other troubles are looked at soon.
    failed_attempt ours{failure_class::throttled, 7, true, hours(5), 0};
    CHECK(plan_next_try(ours, one, of, now, 0.5).when == now + hours(5));
    ours.retry_after.reset();
    CHECK(plan_next_try(ours, one, of, now, 0.5).when == now + minutes(1));
}

TEST_CASE("renewal: an order that a CA is at work on is looked at again soon, or when the CA said (RFC 8555 7.4)")
{
    failed_attempt slow{failure_class::transient, 9, false, {}, 0, true};
    CHECK(gap(start, plan_next_try(slow, one, {}, start, 0.5).when) == minutes(10));
    slow.retry_after = hours(5);
    CHECK(gap(start, plan_next_try(slow, one, {}, start, 0.5).when) == hours(5));
}

TEST_CASE("renewal: with a sixth of life left another CA is asked, but not before it wants to be")
{
    const validity of = of_life(days(90));
    const time_point now = of.not_after - days(30);
    const failed_attempt last{failure_class::throttled, 1, false, days(60), 0};
    const std::array open_at{now + days(60), of.not_after - days(10)};
    const next_try next = plan_next_try(last, open_at, of, now, 0.5);
    CHECK(next.ca == 1);
    CHECK(next.when == of.not_after - days(10));
}

TEST_CASE("renewal: another CA is asked after a refusal that stays, or when time runs out")
{
    using enum failure_class;
    for (const seconds life : lives) {
        const validity of = of_life(life);
        const time_point early = of.not_after - life / 6 - seconds(2);
        const time_point late = of.not_after - life / 6;
        CHECK(next_ca(0, 3, transient, 1, of, early) == 0);
        CHECK(next_ca(1, 3, throttled, 9, of, early) == 1);
        CHECK(next_ca(0, 3, permanent, 1, of, early) == 1);
        CHECK(next_ca(1, 3, permanent, 2, of, early) == 2);
        CHECK(next_ca(2, 3, permanent, 3, of, early) == 0);
        CHECK(next_ca(0, 3, transient, 1, of, late) == 1);
        CHECK(next_ca(0, 1, permanent, 1, of, late) == 0);
        CHECK(next_ca(2, 3, permanent, 0, of, early) == 0); // the next renewal
    }
    CHECK(next_ca(0, 2, transient, 2, {}, start) == 0);
    CHECK(next_ca(0, 2, transient, 3, {}, start) == 1);
    CHECK(next_ca(0, 2, permanent, 1, {}, start) == 1);
    CHECK(next_ca(7, 2, transient, 1, {}, start) == 1); // the list was made shorter
    CHECK(next_ca(0, 0, permanent, 1, {}, start) == 0);
}
