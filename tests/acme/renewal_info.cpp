#include <alos/acme/renewal_info.hpp>

#include "support/plain_ca.hpp"
#include "support/scripted_ca_issue.hpp"
#include "support/simulated_process.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using alos::acme::window_answer;

namespace {

// A certificate that says who issued it.
alos::cert::credential_ptr certificate_asked_about()
{
    test::dice random(1);
    const auto& authority = test::issuing_authority::shared();
    const alos::system_time now = test::simulated_world::default_start();
    auto made = std::make_shared<alos::cert::credential>();
    made->chain = {authority.issue({{"example.com"}, now, now + 24h * 90, authority.foreign_key_info()}, random)};
    return made;
}

// Who asks a CA that answers each question about renewal as a test says.
struct asking_process : test::simulated_process {
    explicit asking_process(test::simulated_world& in) : simulated_process(in)
    {
        world.serve("ca.test", [this](const test::http::outbound_request& request) { return reply(request); });
    }
    ~asking_process() { world.serve("ca.test", nullptr); }

    alos::acme::window_reply ask() { return run(alos::acme::ask_for_window(ca, about)); }

    alos::outcome<test::http::outbound_response> reply(const test::http::outbound_request& request)
    {
        CHECK(request.method == "GET");
        if (!request.url.ends_with("/directory")) {
            asked.push_back(request.url);
            return answer;
        }
        ++directories;
        test::json::object body{{"newNonce", "https://ca.test/new-nonce"},
                                {"newAccount", "https://ca.test/new-account"},
                                {"newOrder", "https://ca.test/new-order"}};
        if (!base.empty())
            body["renewalInfo"] = base;
        return test::plain_ca::reply(200, body);
    }

    const alos::cert::credential_ptr about = certificate_asked_about();
    alos::acme::client ca{environment, {.directory = "https://ca.test/directory"}};
    std::string base = "https://ca.test/renewal-info"; // of the directory
    test::http::outbound_response answer;
    std::vector<std::string> asked; // URLs
    unsigned directories = 0;       // that were asked for
};

const test::json::object window_in_march{
    {"suggestedWindow", {{"start", "2027-03-01T00:00:00Z"}, {"end", "2027-03-02T12:00:00Z"}}},
    {"explanationURL", "https://ca.test/why"}};

}

TEST_CASE("renewal info: a window is taken, with a time to ask again or without (RFC 9773 4.2, 4.3)")
{
    test::simulated_world world(1);
    asking_process one(world);
    one.answer = test::plain_ca::reply(200, window_in_march);
    auto got = one.ask();
    CHECK(got.how == window_answer::received);
    CHECK(got.is_offered);
    REQUIRE(got.window);
    const std::chrono::sys_days march{std::chrono::year{2027} / 3 / 1};
    CHECK(got.window->start == march);
    CHECK(got.window->end == march + 36h);
    CHECK(got.explanation_url == "https://ca.test/why");
    CHECK_FALSE(got.retry_after);
    one.answer.fields.emplace_back("Retry-After", "21600");
    got = one.ask();
    CHECK(got.how == window_answer::received);
    CHECK(got.retry_after == 6h);
    CHECK(one.directories == 1);
}

TEST_CASE("renewal info: what asking again does not mend is told from what it may (RFC 9773 4.3)")
{
    test::simulated_world world(1);
    asking_process one(world);
    const auto ask = [&](test::http::outbound_response answer) {
        one.answer = std::move(answer);
        const auto got = one.ask();
        CHECK_FALSE(got.window);
        CHECK(got.is_offered);
        return std::pair(got.how, got.retry_after.value_or(0s));
    };
    CHECK(ask(test::plain_ca::problem(404, "malformed")) == std::pair(window_answer::long_term_error, 0s));
    CHECK(ask(test::plain_ca::problem(429, "rateLimited", {}, {{"Retry-After", "120"}}))
          == std::pair(window_answer::temporary_error, 120s));
    CHECK(ask(test::plain_ca::problem(500, "serverInternal")) == std::pair(window_answer::temporary_error, 0s));
    CHECK(one.directories == 3); // as it may have moved, each time

    auto broken = test::plain_ca::reply(200, window_in_march);
    broken.body.resize(broken.body.size() / 2);
    CHECK(ask(broken) == std::pair(window_answer::long_term_error, 0s));
    const test::json::object backwards{
        {"suggestedWindow", {{"start", "2027-03-02T00:00:00Z"}, {"end", "2027-03-01T00:00:00Z"}}}};
    CHECK(ask(test::plain_ca::reply(200, backwards)) == std::pair(window_answer::long_term_error, 0s));

    world.serve("ca.test", nullptr);
    CHECK(ask({}) == std::pair(window_answer::temporary_error, 0s));
}

TEST_CASE("renewal info: the same is asked for whether the URL of the directory ends in a slash or not (RFC 9773 4.1)")
{
    test::simulated_world world(1);
    const std::string name = *alos::acme::ari_certificate_id(certificate_asked_about()->chain.front());
    for (const char* base : {"https://ca.test/renewal-info", "https://ca.test/renewal-info/"}) {
        asking_process one(world);
        one.base = base;
        one.answer = test::plain_ca::reply(200, window_in_march);
        CHECK(one.ask().how == window_answer::received);
        CHECK(one.asked == std::vector<std::string>{"https://ca.test/renewal-info/" + name});
    }
}

TEST_CASE("renewal info: a CA that has none is not asked for it")
{
    test::simulated_world world(1);
    asking_process one(world);
    one.base.clear();
    const auto got = one.ask();
    CHECK_FALSE(got.is_offered);
    CHECK_FALSE(got.window);
    CHECK(one.asked.empty());
}

TEST_CASE("renewal info: an order may be refused for what it replaces, unless the refusal says otherwise (RFC 9773 5)")
{
    using alos::acme::failure_class;
    using alos::acme::may_be_for_replaces;
    const auto refusal = [](unsigned status, std::string type) {
        alos::acme::refusal why;
        why.why.status = status;
        why.why.type = std::move(type);
        return why;
    };
    for (const char* type : {"alreadyReplaced", "malformed", "unauthorized", ""})
        CHECK(may_be_for_replaces(refusal(409, type), false));
    for (const char* type : {"accountDoesNotExist", "badNonce", "badPublicKey", "badSignatureAlgorithm",
                             "externalAccountRequired", "userActionRequired"})
        CHECK_FALSE(may_be_for_replaces(refusal(400, type), true));
    CHECK_FALSE(may_be_for_replaces(refusal(500, "serverInternal"), false));
    CHECK(may_be_for_replaces(refusal(500, "serverInternal"), true));
    CHECK_FALSE(may_be_for_replaces(refusal(0, ""), true)); // nothing was said
    auto throttled = refusal(429, "rateLimited");
    throttled.kind = failure_class::throttled;
    CHECK_FALSE(may_be_for_replaces(throttled, true));
    auto unsent = refusal(400, "malformed");
    unsent.is_unsent = true;
    CHECK_FALSE(may_be_for_replaces(unsent, true));
}
