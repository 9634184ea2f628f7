#include <alos/acme/configured.hpp>

#include <doctest/doctest.h>

#include <set>

using namespace alos::acme;

namespace {

config settings()
{
    config made;
    made.email = "admin@example.com";
    made.key_types = {alos::key_kind::ecdsa_p256, alos::key_kind::rsa_2048};
    return made;
}

}

TEST_CASE("configured: an entry is one certificate for each type of key, of its names in one spelling each")
{
    certificate_names entry{"WWW.Example.com", "www.example.com.", "example.org"};
    const auto made = configured_certificates(entry, settings());
    REQUIRE(made.has_value());
    REQUIRE(made->size() == 2);
    CHECK((*made)[0]->id == "www.example.com.ecdsa-p256");
    CHECK((*made)[1]->id == "www.example.com.rsa-2048");
    CHECK(values_of((*made)[1]->names) == std::vector<std::string>{"www.example.com", "example.org"});
    CHECK((*made)[0]->email == "admin@example.com");
    entry.email = "other@example.com";
    CHECK(configured_certificates(entry, settings())->front()->email == "other@example.com");
}

TEST_CASE("configured: what cannot be meant is refused")
{
    const auto refusal_of = [](const certificate_names& entry) {
        const auto made = configured_certificates(entry, settings());
        return made ? std::string() : made.error().what;
    };
    certificate_names none{"example.com"};
    none.names.clear();
    CHECK(refusal_of(none).find("names nothing") != std::string::npos);
    CHECK(refusal_of({"no name"}).find("cannot be in a certificate") != std::string::npos);
    CHECK(refusal_of({"example.com", "*.example.com"}).starts_with("*.example.com: a wildcard"));
    certificate_names many{"example.com"};
    for (int i = 1; i < 100; ++i)
        many.names.push_back("a" + std::to_string(i) + ".example.com");
    CHECK(refusal_of(many) == "");
    many.names.push_back("one.too.many");
    CHECK(refusal_of(many).find("100 names at most") != std::string::npos);
}

TEST_CASE("configured: settings that matter to a certificate make it another configuration, and others do not")
{
    managed_certificate one;
    one.names = {*identifier_of("example.com")};
    std::set<std::string> seen{configuration_of(one, settings())};
    const auto is_new = [&](const config& with) { return seen.insert(configuration_of(one, with)).second; };
    config with = settings();
    with.orders_at_once = 7;
    with.http01_port = 8080;
    CHECK_FALSE(is_new(with));
    with.cas.front().profile = "short";
    CHECK(is_new(with));
    with.cas.front().eab_kid = "kid-1";
    CHECK(is_new(with));
    with.cas.front().eab_hmac_key = alos::to_secret_text("key");
    CHECK(is_new(with));
    with.cas.front().roots_file = "roots.pem";
    CHECK(is_new(with));
    with.cas.front().certificates.burst += 1;
    CHECK(is_new(with));
    with.cas.front().preferred_chain = "Root";
    CHECK(is_new(with));
    with.cas.front().directory = "https://ca.test/directory";
    CHECK(is_new(with));
    with.challenges = {challenge_type::http_01};
    CHECK(is_new(with));
    one.email = "admin@example.com";
    CHECK(is_new(with));
    one.names.push_back(*identifier_of("example.org"));
    CHECK(is_new(with));
}

TEST_CASE("configured: an entry takes the place of that with the same first name, and the others stay")
{
    const std::vector<certificate_names> before{{"a.example", "b.example"}, {"c.example"}};
    CHECK(not_said_anew(before, {}).size() == 2);
    CHECK(not_said_anew(before, {{"b.example"}}).size() == 2);
    const auto left = not_said_anew(before, {{"A.Example."}});
    REQUIRE(left.size() == 1);
    CHECK(left.front().names == std::vector<std::string>{"c.example"});
}

TEST_CASE("configured: two certificates by the same first name are one, or a mistake")
{
    const auto both = [](const certificate_names& a, const certificate_names& b) {
        const auto apart = check_apart(configured_certificates(a, settings())->front()->names,
                                       configured_certificates(b, settings())->front()->names);
        return apart ? std::string() : apart.error().what;
    };
    CHECK(both({"a.example", "b.example"}, {"b.example"}) == "");
    CHECK(both({"a.example", "b.example"}, {"A.example", "b.example.", "a.example"}) == "");
    CHECK(both({"a.example", "b.example"}, {"a.example"})
          == "there are two certificates by the first name a.example, one for a.example, b.example and one for "
             "a.example; name them in one entry, or let another name come first");
}

TEST_CASE("configured: an entry is added, or takes the place of that for the same names; a mistake changes nothing")
{
    std::vector<certificate_names> entries{{"a.example", "b.example"}, {"c.example"}};
    CHECK(put_entry(entries, {"d.example"}, settings())->size() == 2);
    CHECK(entries.size() == 3);
    CHECK(put_entry(entries, {"A.example.", "b.example"}, settings()).has_value());
    REQUIRE(entries.size() == 3);
    CHECK(entries.front().names.front() == "A.example.");
    CHECK_FALSE(put_entry(entries, {"a.example"}, settings()).has_value());
    CHECK_FALSE(put_entry(entries, {"no name"}, settings()).has_value());
    REQUIRE(entries.size() == 3);
    CHECK(entries.front().names.size() == 2);
}

TEST_CASE("configured: where certificates stand before anybody looks")
{
    config all = settings();
    all.key_types = {alos::key_kind::ecdsa_p256, alos::key_kind::rsa_2048};
    all.domains = {{"a.example", "b.example"}, "no such name", "c.example"};
    const auto lines = statuses_of(all);
    REQUIRE(lines.size() == 4);
    CHECK(lines[1].id == "a.example.rsa-2048");
    CHECK(lines[1].names == std::vector<std::string>{"a.example", "b.example"});
    CHECK(lines[1].ca == all.cas.front().directory);
    CHECK(lines[1].generation == 0);
    CHECK(lines[1].next_attempt == time_point());
    CHECK(lines[3].id == "c.example.rsa-2048");
    all.key_types.clear();
    CHECK(statuses_of(all).empty());
}

TEST_CASE("configured: an entry that is said twice stands there once, and one at odds with another not at all")
{
    config all = settings();
    all.domains = {{"a.example", "b.example"}, "c.example", {"B.example", "a.example"}, {"A.example", "b.example"},
                   "a.example"};
    const auto lines = statuses_of(all);
    std::vector<std::string> ids;
    for (const auto& each : lines)
        ids.push_back(each.id);
    std::ranges::sort(ids);
    REQUIRE(lines.size() == 6); // two types of key
    CHECK(std::ranges::adjacent_find(ids) == ids.end());
    for (const auto& each : lines)
        CHECK(each.names.size() == (each.id.starts_with("c.") ? 1 : 2));
}
