// The world that the manager's tests live in keeps time, delivers, kills; its CA is right when it is calm, and does
// every hostile thing it is told to.
#include "support/simulated_world.hpp"

#include "support/acme_walk.hpp"
#include "support/scripted_ca.hpp"
#include "support/simulated_files.hpp"

#include <alos/acme/certificate_id.hpp>
#include <alos/acme/challenge.hpp>
#include <alos/cert/load.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>

#include <doctest/doctest.h>

#include <algorithm>

using namespace std::chrono_literals;
using alos::acme::awaitable;
using test::hostility;
using test::simulated_member;
using test::simulated_world;
using test::time_point;

namespace asio = boost::asio;

namespace {

using words = std::vector<std::string>;

awaitable<> sleeps(simulated_member& member, std::chrono::seconds wait, std::string name, words& said)
{
    co_await member.sleep_until(member.now() + wait);
    said.push_back(name);
}

struct leaves_a_word {
    words& said;
    std::string word;
    ~leaves_a_word() { said.push_back(word); }
};

awaitable<> asks(simulated_member& member, std::string url, words& said)
{
    const leaves_a_word guard{said, "unwound"};
    alos::http::outbound_request request;
    request.url = std::move(url);
    const auto answer = co_await member.fetch(std::move(request));
    said.push_back(answer ? std::to_string(answer->status) + answer->body : answer.error().code.message());
}

awaitable<> sleeps_for_ever(simulated_member& member)
{
    co_await member.sleep_until(time_point::max());
}

awaitable<> never_waits(simulated_member& member)
{
    for (;;)
        co_await member.sleep_until(member.now());
}

awaitable<> looks_up(simulated_member& member, std::string name, alos::dns::record_type type, words& said)
{
    const auto answer = co_await member.resolve(std::move(name), type);
    said.push_back(std::to_string(static_cast<int>(answer->code)));
    for (const auto& each : answer->records)
        said.push_back(each.text);
}

struct small_world {
    test::simulated_files files;
    simulated_world world{7};
    simulated_member& member{world.add_member(files)};
    words said;

    void spawn(awaitable<> work) { asio::co_spawn(member.executor(), std::move(work), asio::detached); }
};

// A member that answers http-01, and a calm CA.
struct ca_world : small_world {
    explicit ca_world(test::ca_settings settings = {}, std::uint64_t seed = 11) : ca(world, std::move(settings), seed)
    {
        world.serve_others(test::serve_answers(published));
    }

    alos::acme::answers published;
    test::scripted_ca ca;
    test::acme_walk walker{member, ca.directory_url(), published};

    std::string open_account(std::string payload = R"({"termsOfServiceAgreed":true})")
    {
        return test::walk(world, member, walker.open_account(std::move(payload)));
    }

    std::string obtain(std::vector<std::string> names, std::string more = {})
    {
        return test::walk(world, member, walker.obtain(std::move(names), std::move(more)), &chain);
    }

    std::string get(std::string url)
    {
        alos::http::outbound_response got;
        return test::walk(world, member, walker.get(std::move(url)), &got);
    }

    std::string post(std::string url, std::string payload, bool by_key = false)
    {
        alos::http::outbound_response got;
        return test::walk(world, member, walker.post(std::move(url), std::move(payload), by_key), &got);
    }

    [[nodiscard]] std::string entrance(std::string_view name) const
    {
        return std::string(test::member_text(walker.directory, name));
    }

    [[nodiscard]] std::string renewal_url() { return entrance("renewalInfo") + "/" + ca.issued().back().id; }

    std::string chain;
};

alos::certificate leaf_of(const std::string& chain)
{
    const auto blocks = alos::parse_pem(chain).value();
    const auto der = alos::decode_pem(blocks.front()).value();
    return std::move(alos::parse_certificate({der.begin(), der.end()})).value();
}

}

TEST_CASE("the world's clock moves to the earliest sleeper, and sleepers wake in order")
{
    small_world small;
    small.spawn(sleeps(small.member, 3h, "c", small.said));
    small.spawn(sleeps(small.member, 1s, "a", small.said));
    small.spawn(sleeps(small.member, 2min, "b", small.said));
    small.spawn(sleeps(small.member, -5s, "at once", small.said));
    const time_point start = small.world.now();
    small.world.run_until(start + 2min);
    CHECK(small.said == words{"at once", "a", "b"});
    CHECK(small.world.now() == start + 2min);
    CHECK(small.world.run_until([&] { return small.said.size() == 4; }, std::chrono::hours(9)));
    CHECK(small.world.now() == start + 3h);
    CHECK_FALSE(small.world.run_until([] { return false; }, std::chrono::hours(1)));
    CHECK(small.world.now() == start + 4h);
}

TEST_CASE("a clock that jumps wakes those whose time has come; set back, it keeps nobody for longer than he asked")
{
    small_world small;
    const time_point start = small.world.now();
    small.spawn(sleeps(small.member, 1h, "one", small.said));
    small.spawn(sleeps(small.member, 3h, "three", small.said));
    small.world.run_until(start + 1s);
    small.member.jump(2h);
    CHECK(small.member.now() == start + 2h + 1s);
    small.world.run_until(start + 2s);
    CHECK(small.said == words{"one"});
    small.world.jump(-5h);
    small.world.run_until(start + 3h - 1s);
    CHECK(small.said == words{"one"});
    small.world.run_until(start + 3h);
    CHECK(small.said == words{"one", "three"});
}

TEST_CASE("members have clocks of their own, which may be wrong by centuries")
{
    small_world small;
    simulated_member& other = small.world.add_member(small.files);
    other.jump(-24h * 365 * 100);
    CHECK(other.now() < small.member.now());
    asio::co_spawn(other.executor(), sleeps_for_ever(other), asio::detached);
    asio::co_spawn(other.executor(), sleeps(other, 2h, "b", small.said), asio::detached);
    small.spawn(sleeps(small.member, 1h, "a", small.said));
    small.world.run_for(24h * 365);
    CHECK(small.said == words{"a", "b"});
}

TEST_CASE("a sleeper that is cancelled ends with operation_aborted")
{
    small_world small;
    asio::cancellation_signal stop;
    alos::error_code end;
    const auto told = [&](std::exception_ptr thrown) {
        try {
            std::rethrow_exception(thrown);
        } catch (const boost::system::system_error& error) {
            end = error.code();
        }
    };
    asio::co_spawn(small.member.executor(), sleeps(small.member, 1h, "woke", small.said),
                   asio::bind_cancellation_slot(stop.slot(), told));
    const time_point start = small.world.now();
    small.world.after(10min, [&] { stop.emit(asio::cancellation_type::terminal); });
    CHECK(small.world.run_until([&] { return !!end; }, std::chrono::hours(2)));
    CHECK(end == asio::error::operation_aborted);
    CHECK(small.world.now() == start + 10min);
    CHECK(small.said.empty());
}

TEST_CASE("a request takes its time, and what it asked for happens half-way")
{
    small_world small;
    time_point asked;
    small.world.serve("shop.test", [&](const alos::http::outbound_request&) {
        asked = small.world.now();
        alos::http::outbound_response out;
        out.status = 200;
        out.body = " sold";
        return alos::outcome<alos::http::outbound_response>(std::move(out));
    });
    const time_point start = small.world.now();
    small.spawn(asks(small.member, "https://shop.test/", small.said));
    CHECK(small.world.run_until([&] { return !small.said.empty(); }, 1min));
    CHECK(small.said == words{"200 sold", "unwound"});
    CHECK(small.world.now() - start >= small.world.net.fastest);
    CHECK(small.world.now() - start <= small.world.net.slowest);
    CHECK(asked > start);
    CHECK(asked < small.world.now());

    small.spawn(asks(small.member, "https://nobody.test/", small.said));
    small.world.run_for(1min);
    CHECK(small.said[2] == alos::error_code(asio::error::connection_refused).message());
}

TEST_CASE("an answer that never comes is a timeout after the time of the request")
{
    small_world small;
    small.world.serve("shop.test", [&](const alos::http::outbound_request&) {
        return alos::outcome<alos::http::outbound_response>(alos::failure{alos::errc::timed_out, "nobody"});
    });
    const time_point start = small.world.now();
    small.spawn(asks(small.member, "https://shop.test/", small.said));
    CHECK(small.world.run_until([&] { return !small.said.empty(); }, 2min));
    CHECK(small.world.now() == start + 30s);
}

TEST_CASE("a killed member does nothing more but unwind, and what it sent arrives")
{
    small_world small;
    bool arrived = false;
    small.world.serve("shop.test", [&](const alos::http::outbound_request&) {
        arrived = true;
        return alos::outcome<alos::http::outbound_response>(alos::http::outbound_response{});
    });
    small.spawn(asks(small.member, "https://shop.test/", small.said));
    small.spawn(sleeps(small.member, 1s, "woke", small.said));
    small.world.run_for(1ms);
    small.world.kill(small.member);
    CHECK_FALSE(small.member.is_alive());
    small.world.run_for(1h);
    CHECK(arrived);
    CHECK(small.said == words{"unwound"});
    small.world.forget(small.member);

    simulated_member& next = small.world.add_member(small.files);
    asio::co_spawn(next.executor(), sleeps(next, 1s, "reborn", small.said), asio::detached);
    small.world.run_for(1h);
    CHECK(small.said == words{"unwound", "reborn"});
}

TEST_CASE("a member that kills itself runs on to its next wait only")
{
    small_world small;
    const auto suicidal = [](small_world& in) -> awaitable<> {
        co_await in.member.sleep_until(in.member.now() + 1s);
        in.world.kill(in.member);
        in.said.push_back("still here");
        co_await in.member.sleep_until(in.member.now() + 1s);
        in.said.push_back("haunting");
    };
    small.spawn(suicidal(small));
    small.world.run_for(1h);
    CHECK(small.said == words{"still here"});
    CHECK_FALSE(small.member.is_alive());
}

TEST_CASE("a coroutine that goes on without waiting is noticed")
{
    small_world small;
    small.world.most_at_once = 10'000;
    small.spawn(never_waits(small.member));
    CHECK_THROWS_WITH(small.world.run_for(1s), "the world stands still: a coroutine goes on without waiting");
}

TEST_CASE("redirects are followed as far as the request allows, and long bodies fail")
{
    small_world small;
    small.world.serve("a.test", [](const alos::http::outbound_request& request) {
        alos::http::outbound_response out;
        out.status = request.url == "http://a.test/" ? 302 : 200;
        out.fields.emplace_back("Location", "http://a.test/there");
        out.body = std::string(100, 'x');
        return alos::outcome<alos::http::outbound_response>(std::move(out));
    });
    alos::http::outbound_request request;
    request.url = "http://a.test/";
    CHECK(small.world.fetch(request)->status == 302);
    request.max_redirects = 1;
    CHECK(small.world.fetch(request)->url == "http://a.test/there");
    request.max_body = 99;
    CHECK(small.world.fetch(request).error().code == alos::http::errc::body_too_large);
}

TEST_CASE("names resolve by the zone, over aliases, and else to the default address")
{
    small_world small;
    simulated_world& world = small.world;
    world.zone["www.test"] = {{.name = "www.test", .type = alos::dns::record_type::cname, .text = "host.test"}};
    world.zone["host.test"] = {{.name = "host.test", .type = alos::dns::record_type::a, .text = "192.0.2.7"}};
    small.spawn(looks_up(small.member, "www.test", alos::dns::record_type::a, small.said));
    world.run_for(1s);
    CHECK(small.said == words{"0", "host.test", "192.0.2.7"});
    CHECK(world.resolve("other.test", alos::dns::record_type::a).records.at(0).text == world.default_address);
    world.default_address.clear();
    CHECK(world.resolve("other.test", alos::dns::record_type::a).code == alos::dns::response_code::name_error);
}

TEST_CASE("RFC 8555 7.1: account, order, http-01, finalize, download, renewal information, revocation")
{
    ca_world here({.profiles = {{"shortlived", 160h}}, .alternates = 2, .verified_share = 1});
    CHECK(here.open_account() == "");
    CHECK(here.walker.last->status == 201);
    CHECK(here.open_account() == "");
    CHECK(here.walker.last->status == 200);
    CHECK(here.ca.accounts() == 1);

    CHECK(here.obtain({"one.test", "two.test", "192.0.2.5"}) == "");
    CHECK(here.walker.last->fields.size() >= 3);
    const alos::certificate leaf = leaf_of(here.chain);
    CHECK(alos::belongs_to(*here.walker.certificate_key, leaf));
    CHECK(leaf.dns_names.size() == 2);
    CHECK(leaf.addresses.size() == 1);
    CHECK(leaf.not_after - leaf.not_before == 90 * 24h - 1s);
    CHECK(leaf.not_before >= here.world.now() - 61min);
    const auto pem = here.walker.certificate_key->to_pem();
    CHECK(alos::cert::make_credential(here.chain, alos::as_text(pem), {}).has_value());

    const test::issued_certificate& record = here.ca.issued().at(0);
    CHECK(record.id == alos::acme::ari_certificate_id(leaf).value());
    CHECK(record.good);
    CHECK(record.delivered);
    CHECK(record.names == words{"192.0.2.5", "one.test", "two.test"});

    const std::string first_certificate(test::member_text(here.walker.order, "certificate"));
    CHECK(here.post(first_certificate + "/1", "") == "");
    CHECK(leaf_of(here.walker.last->body).der == leaf.der);
    CHECK(here.walker.last->body != here.chain);

    CHECK(here.get(here.renewal_url()) == "");
    CHECK(here.walker.last->body.find("suggestedWindow") != std::string::npos);
    CHECK_FALSE(here.walker.last->field("Retry-After").empty());
    CHECK(record.window_start < leaf.not_after - 29 * 24h);
    CHECK(record.window_start > leaf.not_after - 32 * 24h);

    // RFC 9773 5: replaced once.
    const std::string replaces = R"(,"profile":"shortlived","replaces":")" + record.id + "\"";
    CHECK(here.obtain({"one.test"}, replaces) == "");
    CHECK(leaf_of(here.chain).not_after - leaf_of(here.chain).not_before == 160h - 1s);
    CHECK(here.obtain({"one.test"}, replaces) == "409 alreadyReplaced");
    CHECK(here.obtain({"one.test"}, R"(,"profile":"unheard-of")") == "400 invalidProfile");

    const std::string body = R"({"certificate":")" + test::to_base64url(leaf.der) + R"(","reason":)";
    CHECK(here.post(here.entrance("revokeCert"), body + "9}") == "400 badRevocationReason");
    CHECK(here.post(here.entrance("revokeCert"), body + "4}") == "");
    CHECK(here.post(here.entrance("revokeCert"), body + "4}") == "400 alreadyRevoked");
    CHECK(here.ca.issued().at(0).revoked);
    CHECK(here.get(here.entrance("renewalInfo") + "/" + here.ca.issued().at(0).id) == "");
    CHECK(here.ca.issued().at(0).window_start < here.world.now());

    CHECK(here.ca.breaches().empty());
    CHECK(here.ca.was_willing("one.test", simulated_world::default_start(), here.world.now()));
}

TEST_CASE("RFC 8555 8.4, RFC 8737 3: dns-01 for a wildcard, tls-alpn-01 for an address")
{
    ca_world here;
    CHECK(here.open_account() == "");
    const auto challenge_of = [&](std::string_view type) {
        const std::string url(here.walker.order.at("authorizations").at(0).as_string());
        CHECK(here.post(url, "") == "");
        const test::json::value body = test::json::parse(here.walker.last->body);
        for (const auto& each : body.at("challenges").as_array())
            if (test::member_text(each, "type") == type)
                return std::pair<std::string, std::string>(test::member_text(each, "url"),
                                                           test::member_text(each, "token"));
        return std::pair<std::string, std::string>();
    };
    const auto status = [&] {
        const std::string url(here.walker.order.at("authorizations").at(0).as_string());
        here.world.run_for(1min);
        CHECK(here.post(url, "") == "");
        return std::string(test::member_text(test::json::parse(here.walker.last->body), "status"));
    };

    CHECK(test::walk(here.world, here.member, here.walker.place_order({"*.wild.test"})) == "");
    CHECK(challenge_of("http-01").first == "");
    const auto [dns_url, dns_token] = challenge_of("dns-01");
    test::simulated_dns_solver solver(here.world);
    const std::string value =
        alos::acme::dns01_value(alos::acme::key_authorization(dns_token, here.walker.key.thumbprint()));
    alos::outcome<> done;
    CHECK(test::walk(here.world, here.member, solver.present("_acme-challenge.wild.test", value), &done) == "");
    CHECK(here.post(dns_url, "{}") == "");
    CHECK(status() == "valid");
    CHECK(test::walk(here.world, here.member, solver.clean_up("_acme-challenge.wild.test", value), &done) == "");
    CHECK(here.world.zone.empty());

    alos::cert::registry certificates;
    here.world.show_other_certificates(test::show_challenges(certificates));
    CHECK(test::walk(here.world, here.member, here.walker.place_order({"192.0.2.5"})) == "");
    CHECK(challenge_of("dns-01").first == "");
    const auto [tls_url, tls_token] = challenge_of("tls-alpn-01");
    const std::string proof = alos::acme::key_authorization(tls_token, here.walker.key.thumbprint());
    const auto shown = alos::acme::make_tls_alpn_credential("192.0.2.5", proof, here.world.now());
    CHECK(certificates.set_challenge(alos::acme::reverse_name("192.0.2.5"), shown.value()).has_value());
    CHECK(here.post(tls_url, "{}") == "");
    CHECK(status() == "valid");

    // The answer to another token is none.
    CHECK(test::walk(here.world, here.member, here.walker.place_order({"192.0.2.5"})) == "");
    CHECK(here.post(challenge_of("tls-alpn-01").first, "{}") == "");
    CHECK(status() == "invalid");
    CHECK(here.ca.breaches().empty());
}

TEST_CASE("RFC 8555 7.3: terms of service, external accounts, key change, deactivation")
{
    ca_world here({.external_accounts = {{"kid-1", std::string(32, 'k')}},
                   .external_account_required = true,
                   .terms_of_service = "https://ca.test/terms",
                   .verified_share = 1});
    CHECK(here.open_account(R"({"onlyReturnExisting":true})") == "400 accountDoesNotExist");
    CHECK(here.open_account("{}") == "403 userActionRequired");
    CHECK(here.open_account() == "403 externalAccountRequired");
    const auto bound = [&](const std::string& hmac_key) {
        const auto binding = alos::acme::external_account_binding("kid-1", alos::as_bytes(hmac_key),
                                                                  here.entrance("newAccount"), here.walker.key);
        return R"({"termsOfServiceAgreed":true,"contact":["mailto:a@b.test"],"externalAccountBinding":)"
               + binding.value() + "}";
    };
    CHECK(here.open_account(bound(std::string(32, 'x'))) == "403 unauthorized");
    CHECK(here.open_account(bound(std::string(32, 'k'))) == "");
    CHECK(here.open_account(R"({"onlyReturnExisting":true})") == "");

    const auto next = alos::acme::account_key::generate(alos::key_kind::ecdsa_p384).value();
    const auto inner = [&](const alos::acme::account_key& to) {
        const std::string url = here.entrance("keyChange");
        return alos::acme::sign_key_change(to, here.walker.key, here.walker.account, url).value();
    };
    CHECK(here.post(here.entrance("keyChange"), inner(here.walker.key)) == "409 conflict");
    CHECK(here.walker.last->field("Location") == here.walker.account);
    CHECK(here.post(here.entrance("keyChange"), inner(next)) == "");
    here.walker.key = next;
    CHECK(here.post(here.walker.account, "") == "");
    CHECK(here.ca.breaches().empty());
    CHECK(here.post(here.walker.account, R"({"status":"deactivated"})") == "");
    CHECK(here.post(here.walker.account, "") == "403 unauthorized");
}

TEST_CASE("RFC 8555 7.4: valid authorizations are used again for as long as the CA says")
{
    ca_world here({.authorization_reuse = 7h});
    CHECK(here.open_account() == "");
    const auto challenges = [&] { return here.ca.requests(test::scripted_ca::step::challenge); };
    CHECK(here.obtain({"one.test"}) == "");
    CHECK(challenges() == 1);
    CHECK(here.obtain({"two.test", "one.test"}) == "");
    CHECK(challenges() == 2);
    here.world.run_for(8h);
    CHECK(here.obtain({"one.test"}) == "");
    CHECK(challenges() == 3);
}

TEST_CASE("the CA records what a client must not do (RFC 8555 6.2, 6.4, 6.5)")
{
    ca_world here({.verified_share = 1});
    CHECK(here.open_account() == "");
    const auto nonce = [&] { return std::string(here.walker.last->field("Replay-Nonce")); };
    alos::http::outbound_request request;
    request.method = "POST";
    request.url = here.entrance("newOrder");
    request.fields.emplace_back("Content-Type", "application/jose+json");
    const auto send = [&](const alos::acme::jws_target& target, std::string_view payload) {
        request.body = alos::acme::sign_jws(here.walker.key, target, payload).value();
        const auto answer = here.ca.answer(request);
        const std::string type(test::member_text(test::json::parse(answer->body), "type"));
        here.walker.last = answer;
        return type.substr(type.rfind(':') + 1);
    };
    const std::string one = R"({"identifiers":[{"type":"dns","value":"one.test"}]})";
    const std::string used = nonce();
    CHECK(send({request.url, used, here.walker.account}, one) == "");
    CHECK(here.ca.breaches().empty());
    CHECK(send({request.url, used, here.walker.account}, one) == "badNonce");
    CHECK(send({"https://ca.test/elsewhere", nonce(), here.walker.account}, one) == "unauthorized");
    CHECK(send({request.url, nonce()}, one) == "malformed");
    CHECK(send({request.url, nonce(), here.walker.account}, "[]") == "malformed");
    const std::string capital = R"({"identifiers":[{"type":"dns","value":"One.test"}]})";
    CHECK(send({request.url, nonce(), here.walker.account}, capital) == "malformed");
    CHECK(here.ca.breaches().size() == 5);

    const auto stranger = alos::acme::account_key::generate(alos::key_kind::ecdsa_p256).value();
    request.body = alos::acme::sign_jws(stranger, {request.url, nonce(), here.walker.account}, one).value();
    here.walker.last = here.ca.answer(request);
    CHECK(here.walker.last->status == 401);
    CHECK(here.ca.breaches().back() == "a signature that is none");
    request.method = "GET";
    CHECK(here.ca.answer(request)->status == 405);
    CHECK(here.ca.breaches().size() == 7);

    const auto same = alos::private_key::generate(alos::key_kind::ecdsa_p256).value();
    here.walker.next_key = [&] { return same; };
    CHECK(here.get(here.entrance("newNonce")) == "");
    CHECK(here.obtain({"one.test"}) == "");
    CHECK(here.obtain({"one.test"}) == "400 badPublicKey");
    CHECK(here.ca.breaches().back() == "finalize: the key was used before");
}

TEST_CASE("a member that dies with its finalize request leaves a certificate behind")
{
    ca_world here;
    CHECK(here.open_account() == "");
    here.ca.on_request = [&](test::scripted_ca::step at) {
        if (at == test::scripted_ca::step::finalize)
            here.world.kill(here.member);
    };
    CHECK(here.obtain({"one.test"}) == "never ended");
    CHECK_FALSE(here.member.is_alive());
    REQUIRE(here.ca.issued().size() == 1);
    CHECK_FALSE(here.ca.issued()[0].delivered);
}

TEST_CASE("limits are counted, and kept where they are enforced (letsencrypt.org/docs/rate-limits)")
{
    test::ca_settings settings;
    settings.limits.certificates_per_set.most = 1;
    settings.limits.orders_per_account = {4, 3h};
    ca_world here(settings);
    CHECK(here.open_account() == "");
    CHECK(here.obtain({"one.test"}) == "");
    const std::string replaces = R"(,"replaces":")" + here.ca.issued()[0].id + "\"";
    CHECK(here.obtain({"one.test"}) == "429 rateLimited");
    CHECK_FALSE(here.walker.last->field("Retry-After").empty());
    CHECK(here.ca.breaches() == words{"more than 1 certificates for one.test,"});
    CHECK_FALSE(here.ca.was_willing("one.test", here.world.now(), here.world.now()));
    CHECK(here.ca.was_willing("two.test", here.world.now(), here.world.now()));

    for (const char* const name : {"two.test", "three.test", "four.test"})
        CHECK(here.obtain({name}) == "");
    CHECK(here.obtain({"five.test"}) == "429 rateLimited");
    CHECK(here.ca.breaches().back() == "more than 4 orders of one account");
    here.world.run_for(3h);
    CHECK(here.obtain({"five.test"}) == "");

    // RFC 9773 5 and Boulder: what renews in its window is exempt from all.
    const std::string renewal = here.entrance("renewalInfo") + "/" + here.ca.issued()[0].id;
    CHECK(here.get(renewal) == "");
    here.world.run_until(here.ca.issued()[0].window_start + 1h);
    CHECK(here.obtain({"one.test"}, replaces) == "");
    CHECK(here.ca.breaches().size() == 2);
}

TEST_CASE("failed validations and new accounts have limits")
{
    test::ca_settings settings;
    settings.limits.failed_validations = {2, 1h};
    settings.limits.accounts = {1, 3h};
    ca_world here(settings);
    CHECK(here.open_account() == "");
    here.ca.behave({.failed_validation = 1});
    CHECK(here.obtain({"one.test"}) == "status invalid");
    CHECK(here.obtain({"one.test"}) == "status invalid");
    CHECK(here.obtain({"one.test"}) == "429 rateLimited");
    CHECK(here.obtain({"two.test"}) == "status invalid");
    here.world.run_for(1h);
    CHECK(here.obtain({"one.test"}) == "status invalid");
    CHECK(here.ca.breaches().empty());

    here.walker.key = alos::acme::account_key::generate(alos::key_kind::ecdsa_p256).value();
    here.world.run_for(3h);
    here.ca.lose_accounts();
    CHECK(here.open_account() == "");
    here.ca.lose_accounts();
    CHECK(here.open_account() == "429 rateLimited");
    CHECK(here.ca.breaches() == words{"more than 1 accounts"});
}

TEST_CASE("a name that is refused for a while is issued afterwards")
{
    ca_world here;
    CHECK(here.open_account() == "");
    const time_point start = here.world.now();
    here.ca.refuse("no.test", "rejectedIdentifier", start + 24h);
    here.ca.refuse("caa.test", "caa", start + 48h);
    CHECK(here.obtain({"no.test", "one.test"}) == "400 rejectedIdentifier");
    CHECK(here.walker.last->body.find(R"("subproblems":[{)") != std::string::npos);
    CHECK(here.obtain({"caa.test"}) == "status invalid");
    CHECK(here.walker.last->body.find("error:caa") != std::string::npos);
    CHECK(here.obtain({"one.test"}) == "");
    here.world.run_until(start + 25h);
    CHECK(here.obtain({"no.test"}) == "");
    CHECK_FALSE(here.ca.was_willing("no.test", start, start));
    CHECK(here.ca.was_willing("no.test", start + 25h, here.world.now()));
    CHECK(here.ca.willing_for("no.test") > 1h);
    CHECK(here.ca.willing_for("caa.test") == 0s);
    CHECK(here.ca.was_willing("one.test", start, here.world.now()));
}

TEST_CASE("every hostile behaviour happens when it is switched on, and is over afterwards")
{
    const std::string reset = alos::error_code(asio::error::connection_reset).message();
    const std::map<std::string_view, std::string> ends{
        {"down", alos::error_code(asio::error::connection_refused).message()},
        {"silent", alos::error_code(alos::errc::timed_out).message()},
        {"cut before the effect", reset},
        {"cut after the effect", reset},
        {"badNonce", "400 badNonce"},
        {"no nonce", "400 badNonce"},
        {"429", "429 rateLimited"},
        {"503", "503 rateLimited"},
        {"500", "500 serverInternal"},
        {"HTML", "502 "},
        {"huge body", alos::error_code(alos::http::errc::body_too_large).message()},
        {"redirects", "307 "},
        {"lost account", "400 accountDoesNotExist"},
        {"rejectedIdentifier", "400 rejectedIdentifier"},
        {"deactivated authorization", "status deactivated"},
        {"never ready", "still pending"},
        {"unknown status", "status wondering"},
        {"failed validation", "status invalid"},
        {"CAA", "status invalid"},
        {"processing for hours", "still processing"},
    };
    for (const test::behaviour& one : test::behaviours) {
        CAPTURE(one.name);
        ca_world here;
        CHECK(here.open_account() == "");
        CHECK(here.obtain({"one.test"}) == "");
        const time_point storm = here.world.now();
        CHECK(here.ca.was_willing("one.test", storm - 1s, storm));

        hostility now;
        now.*one.chance = 1;
        here.ca.behave(now);
        here.world.run_for(1s);
        const std::string asked = here.get(here.renewal_url());
        const auto information = here.walker.last;
        const std::string end = here.obtain({"one.test"});
        CHECK(here.ca.times(one.chance) > 0);
        if (const auto expected = ends.find(one.name); expected != ends.end())
            CHECK(end == expected->second);
        else if (one.name == "moved directory")
            CHECK((end == "404 malformed" || end == "405 malformed"));
        else if (one.name == "truncated body")
            CHECK(end.find("JSON") != std::string::npos);
        else
            CHECK(end == "");

        if (one.name == "429" || one.name == "503") {
            CHECK_FALSE(here.walker.last->field("Retry-After").empty());
            CHECK_FALSE(here.ca.was_willing("one.test", here.world.now(), here.world.now()));
        }
        if (one.name == "cut after the effect")
            CHECK(here.ca.requests(test::scripted_ca::step::new_order) == 2);
        if (one.name == "foreign identifiers")
            CHECK(test::json::serialize(here.walker.order).find("foreign.test") != std::string::npos);
        if (one.name == "malformed window" || one.name == "moving window") {
            const std::string first = information->body;
            CHECK(asked == "");
            CHECK(here.get(here.renewal_url()) == "");
            CHECK(here.walker.last->body != first);
        }
        if (one.name == "revocation")
            CHECK(here.ca.issued()[0].window_start < here.world.now());
        if (end.empty()) {
            const alos::certificate leaf = leaf_of(here.chain);
            const auto pem = here.walker.certificate_key->to_pem();
            const bool fits = alos::cert::make_credential(here.chain, alos::as_text(pem), {}).has_value();
            CHECK(fits == (one.name != "other key" && one.name != "broken chain"));
            CHECK((leaf.not_after < here.world.now()) == (one.name == "expired certificate"));
            CHECK((leaf.dns_names.at(0) != "one.test") == (one.name == "other names"));
            const bool bad = !fits || leaf.not_after < here.world.now() || leaf.dns_names.at(0) != "one.test";
            CHECK(here.ca.issued().back().good == !bad);
        }
        CHECK_FALSE(here.ca.was_willing("one.test", storm, here.world.now()));
        CHECK(here.ca.willing_for("one.test") == 0s);

        here.ca.behave({});
        here.world.run_for(13h);
        CHECK(here.ca.willing_for("one.test") > 0s);
        CHECK(here.open_account() == "");
        CHECK(here.obtain({"two.test"}) == "");
        CHECK(here.ca.breaches().empty());
    }
}

TEST_CASE("Retry-After comes as seconds and as a date by a clock that is wrong and says so (RFC 9110 10.2.3)")
{
    ca_world here;
    here.ca.behave({.unavailable = 1});
    unsigned dates = 0;
    for (int i = 0; i < 100; ++i) {
        CHECK(here.get(here.ca.directory_url()) == "503 rateLimited");
        const std::string after(here.walker.last->field("Retry-After"));
        const auto date = alos::http::parse_date(here.walker.last->field("Date"));
        REQUIRE(date.has_value());
        const auto until = alos::http::parse_date(after);
        const auto seconds = until ? *until - *date : std::stol(after);
        CHECK(seconds >= 1);
        CHECK(seconds <= 7200);
        dates += until ? 1 : 0;
    }
    CHECK(dates > 20);
    CHECK(dates < 80);
}

TEST_CASE("the same seed makes the same weather")
{
    const auto weather_of = [](std::uint64_t seed) {
        ca_world here({}, seed);
        here.ca.live_through({});
        std::string days;
        for (int hour = 0; hour < 24 * 365; ++hour) {
            here.world.run_for(1h);
            days += here.ca.was_willing("one.test", here.world.now(), here.world.now()) ? '.' : '#';
        }
        return days;
    };
    const std::string days = weather_of(5);
    CHECK(days == weather_of(5));
    CHECK(days != weather_of(6));
    CHECK(std::ranges::count(days, '.') > 24 * 30);
    CHECK(std::ranges::count(days, '#') > 24 * 30);
}

TEST_CASE("the CA forgets orders a day after they expire, and knows its certificates for ever")
{
    ca_world here({.order_lifetime = 8h});
    CHECK(here.open_account() == "");
    CHECK(here.obtain({"one.test"}) == "");
    const std::string order = here.walker.order_url;
    here.world.run_for(20h);
    CHECK(here.post(order, "") == "");
    here.world.run_for(14h);
    CHECK(here.get(here.ca.directory_url()) == "");
    CHECK(here.post(order, "") == "404 malformed");
    CHECK(here.get(here.renewal_url()) == "");
}
