#include <alos/acme/client.hpp>

#include "support/plain_ca.hpp"
#include "support/simulated_process.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

// Who signs requests for a CA that gives the nonces a test says; with its directory comes none.
struct signing_process : test::simulated_process {
    using response = test::http::outbound_response;

    explicit signing_process(test::simulated_world& in) : simulated_process(in)
    {
        world.serve("ca.test", [this](const test::http::outbound_request& request) { return answer(request); });
    }
    ~signing_process() { world.serve("ca.test", nullptr); }

    // The status of the answer; 0: there is none.
    unsigned post()
    {
        auto done = run(ca.post("https://ca.test/resource", "{}", by, "order"));
        if (!done)
            last_said = done.error().what;
        return done ? done->status : done.error().why.status;
    }

    alos::outcome<response> answer(const test::http::outbound_request& request)
    {
        if (request.url.ends_with("/directory"))
            return test::plain_ca::reply(200, {{"newNonce", "https://ca.test/new-nonce"},
                                               {"newAccount", "https://ca.test/new-account"},
                                               {"newOrder", "https://ca.test/new-order"}});
        if (request.url.ends_with("/new-nonce")) {
            CHECK(request.method == "HEAD");
            ++heads;
            response out{.status = 200};
            out.fields.emplace_back("Replay-Nonce", of_head ? of_head() : "head" + std::to_string(heads));
            return out;
        }
        test::json_page page;
        const auto jws = test::open_jws(page, page.parse(request.body));
        REQUIRE(jws);
        used.emplace_back(jws->nonce());
        response out = on_post ? on_post() : test::plain_ca::reply(200, test::json::object{});
        out.fields.emplace_back("Replay-Nonce", of_post ? of_post() : "post" + std::to_string(used.size()));
        return out;
    }

    alos::acme::client ca{environment, {.directory = "https://ca.test/directory"}};
    alos::acme::signer by{alos::acme::account_key::generate(alos::key_kind::ecdsa_p256).value(),
                          "https://ca.test/account/1"};
    std::function<response()> on_post;
    std::function<std::string()> of_head; // gives a nonce
    std::function<std::string()> of_post;
    unsigned heads = 0;
    std::vector<std::string> used; // nonces
    std::string last_said;
};

}

TEST_CASE("client: a Replay-Nonce that is no base64url is never used (RFC 8555 6.5.1)")
{
    for (const std::string& invalid : {std::string("bad nonce!"), std::string("a+b/c="), std::string(513, 'a')}) {
        test::simulated_world world(1);
        signing_process one(world);
        one.of_post = [&] { return invalid; };
        CHECK(one.post() == 200);
        CHECK(one.post() == 200);
        CHECK(one.used == std::vector<std::string>{"head1", "head2"});
        one.of_head = one.of_post;
        CHECK(one.post() == 0);
        CHECK_MESSAGE(one.last_said.find("/new-nonce gave none (Replay-Nonce)") != std::string::npos, one.last_said);
        CHECK(one.used.size() == 2);
    }
}

TEST_CASE("client: after badNonce the nonce of that very answer is used, 40 times in a row (RFC 8555 6.5)")
{
    test::simulated_world world(1);
    signing_process one(world);
    one.on_post = [&] {
        return one.used.size() <= 40 ? test::plain_ca::problem(400, "badNonce")
                                     : test::plain_ca::reply(200, test::json::object{});
    };
    CHECK(one.post() == 200);
    REQUIRE(one.used.size() == 41);
    CHECK(one.heads == 1);
    CHECK(one.used[0] == "head1");
    for (std::size_t i = 1; i < one.used.size(); ++i)
        CHECK(one.used[i] == "post" + std::to_string(i));
}

TEST_CASE("client: the nonce of any other refusal is used, too (RFC 8555 6.5)")
{
    test::simulated_world world(1);
    signing_process one(world);
    one.on_post = [] { return test::plain_ca::problem(403, "unauthorized"); };
    CHECK(one.post() == 403);
    one.on_post = [] { return test::plain_ca::problem(500, "serverInternal"); };
    CHECK(one.post() == 500);
    one.on_post = nullptr;
    CHECK(one.post() == 200);
    CHECK(one.used == std::vector<std::string>{"head1", "post1", "post2"});
}

TEST_CASE("client: a nonce older than an hour is not used, but a new one is asked for (RFC 8555 7.2)")
{
    test::simulated_world world(1);
    signing_process one(world);
    CHECK(one.post() == 200);
    world.run_for(59min);
    CHECK(one.post() == 200);
    CHECK(one.heads == 1);
    world.run_for(60min);
    CHECK(one.post() == 200);
    CHECK(one.used == std::vector<std::string>{"head1", "post1", "head2"});
}

TEST_CASE("client: a URL that an answer names in full stays as it is written, another one is resolved (RFC 8555 6.4)")
{
    const alos::http::outbound_response from{.url = "https://ca.test/dir/new"};
    for (const std::string url : {"https://CA.test:443/acct/1", "https://ca.test/a/../b", "https://other.test"})
        CHECK(alos::acme::url_in(from, url) == url);
    CHECK(alos::acme::url_in(from, "acct/1") == "https://ca.test/dir/acct/1");
    CHECK(alos::acme::url_in(from, "/acct/1") == "https://ca.test/acct/1");
    CHECK(alos::acme::url_in(from, "HTTPS://ca.test/1").starts_with("https://"));
    CHECK(alos::acme::url_in(from, "") == "");
    CHECK(alos::acme::url_in(from, "https://ca.test/a b") == "");
}
