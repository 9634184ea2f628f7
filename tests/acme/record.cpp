#include <alos/acme/record.hpp>

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using namespace alos::acme;

namespace {

constexpr time_point noon = std::chrono::sys_days{std::chrono::year{2027} / 3 / 1} + 12h;

}

TEST_CASE("record: a state is read as it was written")
{
    certificate_state state;
    state.configuration = "abc";
    state.failures = 3;
    state.next_attempt = noon;
    state.last_class = failure_class::throttled;
    state.last_error = "order: \"no\"\n";
    state.directory = "https://ca.example/directory";
    state.advice = suggestion{{noon + 1h, noon + 2h}, noon + 90min};
    state.open_at["https://ca.example/directory"] = noon + 4h;
    state.next_check = noon + 5h;
    state.check_failures = 2;
    state.asker = (1ull << 53) - 1;
    state.forced = 7;
    state.forced_why = "revoked";
    state.spread = 0.25;
    state.generation = 7;
    const auto read = parse_certificate_state(to_json(state));
    REQUIRE(read);
    CHECK(read->configuration == state.configuration);
    CHECK(read->failures == 3);
    CHECK(read->next_attempt == noon);
    CHECK(read->last_class == failure_class::throttled);
    CHECK(read->last_error == state.last_error);
    CHECK(read->directory == state.directory);
    REQUIRE(read->advice);
    CHECK(read->advice->window.start == noon + 1h);
    CHECK(read->advice->window.end == noon + 2h);
    CHECK(read->advice->chosen == noon + 90min);
    CHECK(read->open_at == state.open_at);
    CHECK(read->next_check == noon + 5h);
    CHECK(read->check_failures == 2);
    CHECK(read->asker == (1ull << 53) - 1);
    CHECK(read->forced == 7);
    CHECK(read->forced_why == "revoked");
    CHECK(read->spread == 0.25);
    CHECK(read->generation == 7);

    state.failures = 0; // another CA issued
    CHECK(parse_certificate_state(to_json(state))->open_at == state.open_at);
}

TEST_CASE("record: what somebody broke is as if it had never been written")
{
    CHECK_FALSE(parse_certificate_state(""));
    CHECK_FALSE(parse_certificate_state("[]"));
    CHECK_FALSE(parse_certificate_state("{\"failures\":1"));
    const auto read = parse_certificate_state(
        R"({"failures":-3,"nextAttempt":"tomorrow","lastClass":"odd","spread":"x","windowStart":7,"generation":1.5})");
    REQUIRE(read);
    CHECK(read->failures == 0);
    CHECK(read->next_attempt == time_point());
    CHECK(read->last_class == failure_class::transient);
    CHECK(read->spread == 0.5);
    CHECK_FALSE(read->advice);
    CHECK(read->generation == 0);
    CHECK(parse_certificate_state(R"({"spread":17.0})")->spread == 1.0);
}

TEST_CASE("record: an account needs its URL")
{
    const account_record one{"https://ca.example/directory", "admin@example.com", "https://ca.example/account/1"};
    const auto read = parse_account_record(to_json(one));
    REQUIRE(read);
    CHECK(read->directory == one.directory);
    CHECK(read->email == one.email);
    CHECK(read->url == one.url);
    CHECK_FALSE(parse_account_record(R"({"directory":"https://ca.example/directory","email":"","url":""})"));
    CHECK_FALSE(parse_account_record("[]"));
}

TEST_CASE("record: an order needs its URL and its directory")
{
    const order_record order{"https://ca.example/directory", "https://ca.example/account/1",
                             "https://ca.example/order/2", "AAA.BBB",
                             {{identifier_type::dns, "*.example.com"}, {identifier_type::ip, "2001:db8::1"}},
                             noon, "shortlived"};
    const auto read = parse_order_record(to_json(order));
    REQUIRE(read);
    CHECK(read->url == order.url);
    CHECK(read->account == order.account);
    CHECK(read->certificate_id == "AAA.BBB");
    CHECK(read->names == order.names);
    CHECK(read->created == noon);
    CHECK(read->profile == "shortlived");
    CHECK_FALSE(parse_order_record(R"({"directory":"https://ca.example/directory"})"));
    CHECK_FALSE(parse_order_record(R"({"url":"https://ca.example/order/2"})"));
}

TEST_CASE("record: a certificate serves without what was noted of it")
{
    const generation_record one{"https://ca.example/directory", "https://ca.example/account/1", "shortlived", noon,
                                {{identifier_type::dns, "example.com"}}, "revoked"};
    const generation_record read = parse_generation_record(to_json(one));
    CHECK(read.directory == one.directory);
    CHECK(read.account == one.account);
    CHECK(read.profile == "shortlived");
    CHECK(read.obtained == noon);
    CHECK(read.names == one.names);
    CHECK(read.because == "revoked");
    CHECK(parse_generation_record("nothing").directory == "");
}
