#include <alos/acme/challenge_choice.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace alos::acme;

namespace {

authorization offer_of(std::vector<std::string> types)
{
    authorization made;
    for (const std::string& each : types) {
        challenge one;
        one.type = each;
        one.url = "https://ca.test/challenge/" + each;
        one.token = "token";
        made.challenges.push_back(std::move(one));
    }
    return made;
}

std::string chosen_of(const challenge_choice& by, const authorization& from, const std::string& name)
{
    const challenge* const found = by.choose(from, *identifier_of(name));
    return found ? found->type : "none";
}

}

TEST_CASE("challenge_choice: the first that is configured, offered, fit for the name, and has not failed for it")
{
    const auto settings = std::make_shared<config>();
    settings->challenges = {challenge_type::tls_alpn_01, challenge_type::http_01, challenge_type::dns_01};
    challenge_choice choice(settings);
    authorization all = offer_of({"new-01", "dns-01", "http-01", "tls-alpn-01"});
    CHECK(offered_types(all) == "new-01, dns-01, http-01, tls-alpn-01");
    CHECK(chosen_of(choice, all, "a.test") == "tls-alpn-01");
    CHECK(chosen_of(choice, offer_of({"http-01"}), "a.test") == "http-01");
    CHECK(chosen_of(choice, offer_of({"dns-01"}), "a.test") == "none"); // nobody changes the DNS
    CHECK(chosen_of(choice, all, "*.a.test") == "none");

    CHECK(choice.fail(*identifier_of("a.test"), challenge_type::tls_alpn_01, "it was closed") == "it was closed");
    CHECK(chosen_of(choice, all, "a.test") == "http-01");
    CHECK(chosen_of(choice, all, "b.test") == "tls-alpn-01");
    CHECK(choice.fail(*identifier_of("b.test"), challenge_type::http_01, "404") == "404");
    CHECK(choice.fail(*identifier_of("a.test"), challenge_type::http_01, "it was open")
          == "it was open; before that, it was closed");
    CHECK(chosen_of(choice, all, "a.test") == "none");
}

TEST_CASE("challenge_choice: a challenge with a token that could lead elsewhere, or without a URL, is none (8.3)")
{
    challenge_choice choice(std::make_shared<config>());
    authorization odd = offer_of({"http-01", "tls-alpn-01"});
    odd.challenges[0].token = "../token";
    CHECK(chosen_of(choice, odd, "a.test") == "tls-alpn-01");
    odd.challenges[1].url.clear();
    CHECK(chosen_of(choice, odd, "a.test") == "none");
}

TEST_CASE("is_about_the_name: what is said of a name, and not of how it was looked at, in a part, too (RFC 8555 6.7.1)")
{
    problem why;
    for (const char* const each : {"caa", "rejectedIdentifier", "unsupportedIdentifier"}) {
        why.type = each;
        CHECK(is_about_the_name(why));
    }
    for (const char* const each : {"dns", "connection", "unauthorized", "malformed", "tls"}) {
        why.type = each;
        CHECK_FALSE(is_about_the_name(why));
    }
    why.type = "compound";
    why.subproblems.resize(2);
    why.subproblems[1].type = "caa";
    CHECK(is_about_the_name(why));
}
