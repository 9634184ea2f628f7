#include <alos/acme/managed_certificate.hpp>

#include <doctest/doctest.h>

#include <memory>

using namespace alos::acme;
using alos::key_kind;

TEST_CASE("managed certificate: its id is its first name and its type of key, and tells that")
{
    CHECK(id_of_certificate("example.com", key_kind::ecdsa_p256) == "example.com.ecdsa-p256");
    CHECK(id_of_certificate("*.example.com", key_kind::rsa_2048) == "_wildcard.example.com.rsa-2048");
    CHECK(id_of_certificate("2001:db8::1", key_kind::ecdsa_p384) == "2001:db8::1.ecdsa-p384");
    for (const key_kind each : {key_kind::ecdsa_p256, key_kind::ecdsa_p384, key_kind::ed25519, key_kind::rsa_2048}) {
        CHECK(key_kind_of(id_of_certificate("example.com", each)) == each);
        CHECK(key_kind_of(name_of_key(each)) == each);
    }
    CHECK_FALSE(key_kind_of("example.com"));
    CHECK_FALSE(key_kind_of(""));
}

TEST_CASE("managed certificate: without a certificate its status has no times, and no error after a success")
{
    managed_certificate one;
    one.id = "example.com.ecdsa-p256";
    one.names = {{identifier_type::dns, "example.com"}};
    one.state.last_error = "what was";
    one.state.directory = "https://ca.test/directory";
    alos::acme::certificate_status line = status_of(one, time_point());
    CHECK(line.key_type == "ecdsa-p256");
    CHECK(line.names == std::vector<std::string>{"example.com"});
    CHECK(line.not_after == time_point());
    CHECK(line.last_error == "");
    CHECK(line.ca == "https://ca.test/directory");
    one.state.failures = 1;
    CHECK(status_of(one, time_point()).last_error == "what was");
}

TEST_CASE("managed certificate: as long as it has none of its own, that of another program serves which lasts longest")
{
    const auto of = [](std::vector<std::string> names, std::string key_type, int day) {
        const auto made = std::make_shared<alos::cert::credential>();
        made->about.names = std::move(names);
        made->about.key_type = std::move(key_type);
        made->about.not_after = time_point(std::chrono::days(day));
        return made;
    };
    const auto early = of({"b.example", "a.example"}, "ECDSA P-256", 1);
    const auto late = of({"a.example", "b.example"}, "ECDSA P-256", 2);
    managed_certificate one;
    one.names = {{identifier_type::dns, "a.example"}, {identifier_type::dns, "b.example"}};
    CHECK_FALSE(adopt_other(one, {of({"a.example"}, "ECDSA P-256", 3), of({"a.example", "b.example"}, "RSA 2048", 3)}));
    CHECK(adopt_other(one, {early, late, early}));
    CHECK(one.credential == late);
    CHECK_FALSE(adopt_other(one, {early, late}));
    managed_certificate own = one;
    own.credential = early;
    own.generation = 1;
    CHECK_FALSE(adopt_other(own, {late}));
    own.generation = 0; // the storage lost it, and what is known of it is of no other one
    own.about.directory = "https://ca.test/directory";
    CHECK(adopt_other(own, {late}));
    CHECK(own.about.directory == "");
    CHECK(has_name(one, "B.example."));
    CHECK_FALSE(has_name(one, "c.example"));
    CHECK_FALSE(has_name(one, "no name"));
}

TEST_CASE("managed certificate: one of another program is lost when that keeps it no more, and our own never is")
{
    const auto other = std::make_shared<alos::cert::credential>();
    managed_certificate one;
    CHECK_FALSE(has_lost_other(one, {}));
    one.credential = other;
    CHECK(has_lost_other(one, {}));
    CHECK(has_lost_other(one, {std::make_shared<alos::cert::credential>()}));
    CHECK_FALSE(has_lost_other(one, {nullptr, other}));
    other->from = alos::cert::source::acme;
    CHECK_FALSE(has_lost_other(one, {}));
    other->from = alos::cert::source::manual;
    one.generation = 1;
    CHECK_FALSE(has_lost_other(one, {}));
}

TEST_CASE("managed certificate: it is found by its id, and by any of its names")
{
    certificate_list all;
    for (const char* id : {"example.com.ecdsa-p256", "example.com.rsa-2048", "example.org.rsa-2048"}) {
        auto one = std::make_shared<managed_certificate>();
        one->id = id;
        const std::string domain = one->id.substr(0, 11);
        one->names = {{identifier_type::dns, domain}, {identifier_type::dns, "www." + domain}};
        all.push_back(std::move(one));
    }
    CHECK(find_by_id(all, "example.com.rsa-2048") == all[1]);
    CHECK(find_by_id(all, "example.com") == nullptr);
    CHECK(find_by_name(all, "www.example.org") == all[2]);
    CHECK(find_by_name(all, "WWW.EXAMPLE.COM") == all[0]);
    CHECK(find_by_name(all, "example.net") == nullptr);
    CHECK(ids_by_name(all, "example.com") == std::vector<std::string>{all[0]->id, all[1]->id});
    CHECK(ids_by_name(all, "no name").empty());
}
