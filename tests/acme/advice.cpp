#include <alos/acme/advice.hpp>

#include "support/authority.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <vector>

using namespace std::chrono_literals;
using namespace alos::acme;

namespace {

const time_point moment{24h * 20000};

// One of ninety days, ten of which are over; who is told of events.
struct asked {
    asked()
    {
        const auto credential = std::make_shared<alos::cert::credential>();
        credential->about.not_before = moment - 24h * 10;
        credential->about.not_after = moment + 24h * 80 - 1s;
        one.credential = credential;
        one.generation = 1;
        one.about.obtained = moment - 24h * 10;
    }

    void answer(const window_reply& got, double random = 0.5)
    {
        told.clear();
        take_advice(one, got, moment, random, [this](const event& what) { told.push_back(what.kind); });
    }

    managed_certificate one;
    std::vector<event_kind> told;
};

window_reply window(time_point start, time_point end)
{
    return {.how = window_answer::received, .window = renewal_window{start, end}, .retry_after = 1h};
}

}

TEST_CASE("advice: a time within the window is chosen, and kept until the window is another one (RFC 9773 4.2)")
{
    asked here;
    here.answer(window(moment + 24h * 20, moment + 24h * 22), 0.25);
    REQUIRE(here.one.state.advice);
    CHECK(here.one.state.advice->chosen == moment + 24h * 20 + 12h);
    CHECK(here.one.state.next_check == moment + 1h);
    CHECK(here.told.empty());
    here.answer(window(moment + 24h * 20, moment + 24h * 22), 0.75);
    CHECK(here.one.state.advice->chosen == moment + 24h * 20 + 12h);
    here.answer(window(moment + 24h * 5, moment + 24h * 7), 0.5);
    CHECK(here.one.state.advice->chosen == moment + 24h * 6);
    CHECK(here.told == std::vector{event_kind::window_changed});
}

TEST_CASE("advice: a window in the past means that it is revoked, once (RFC 9773 4.2)")
{
    asked here;
    here.answer(window(moment - 2h, moment - 1h));
    CHECK(here.told == std::vector{event_kind::revoked});
    CHECK(is_forced(here.one));
    CHECK(here.one.state.forced_why == "revoked");
    here.answer(window(moment - 2h, moment - 1h)); // which is known
    CHECK(here.told.empty());

    // A CA that says so of the next one, too, has gone mad.
    asked next;
    next.one.about.because = "revoked";
    next.one.about.obtained = moment - 24h;
    next.answer(window(moment - 2h, moment - 1h));
    CHECK_FALSE(is_forced(next.one));
    next.one.about.obtained = moment - 24h * 10;
    next.answer(window(moment - 2h, moment - 1h));
    CHECK(is_forced(next.one));
}

TEST_CASE("advice: after errors the CA is asked ever later, and the advice stays (RFC 9773 4.3)")
{
    asked here;
    here.answer(window(moment + 24h * 20, moment + 24h * 22));
    const auto wait_after = [&](window_answer how) {
        here.answer({.how = how});
        return here.one.state.next_check - moment;
    };
    CHECK(wait_after(window_answer::temporary_error) == 1min);
    CHECK(wait_after(window_answer::temporary_error) == 2min);
    CHECK(wait_after(window_answer::temporary_error) == 4min);
    CHECK(here.one.state.advice);
    CHECK(wait_after(window_answer::long_term_error) == 6h);
    here.answer(window(moment + 24h * 20, moment + 24h * 22));
    CHECK(wait_after(window_answer::temporary_error) == 1min);
    here.answer({.is_offered = false});
    CHECK_FALSE(here.one.state.advice);
    CHECK(here.one.state.next_check == moment + 24h * 7);
}

TEST_CASE("advice: a CA that has none is not asked in a loop, nor any once the certificate has ended (RFC 9773 4.3)")
{
    asked here;
    const time_point end = here.one.life()->not_after;
    here.one.state.failures = 1;
    here.one.state.failed_at = end - 1h;
    here.one.state.next_attempt = end + 1h;
    CHECK(asks_for_window(here.one, end - 1h));
    CHECK_FALSE(asks_for_window(here.one, end));
    CHECK(due(here.one, end) == end + 1h);
    take_advice(here.one, {.is_offered = false}, end - 1h, 0.5, nullptr);
    CHECK_FALSE(asks_for_window(here.one, end - 1h + 1s));
    CHECK(due(here.one, end - 1h) == end + 1h);
}

TEST_CASE("advice: a predecessor is named only to the CA and the account that it is of (RFC 9773 5)")
{
    asked here;
    here.one.about.directory = "https://ca.test/directory";
    here.one.about.account = "https://ca.test/account/1";
    CHECK(predecessor(here.one, "https://other.test/directory", here.one.about.account) == "");
    CHECK(predecessor(here.one, here.one.about.directory, "https://ca.test/account/2") == "");
    here.one.credential = alos_tests::authority().issue({"example.com"});
    CHECK(predecessor(here.one, here.one.about.directory, here.one.about.account)
          == ari_certificate_id(alos::byte_view(here.one.credential->chain.front())).value());
}
