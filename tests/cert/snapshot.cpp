#include <alos/cert/snapshot.hpp>

#include <doctest/doctest.h>

#include <chrono>

using namespace alos;
using namespace alos::cert;

namespace {

credential_ptr made(std::string label, std::vector<std::string> names = {}, std::vector<std::string> addresses = {})
{
    auto one = std::make_shared<credential>();
    one->about.subject = std::move(label);
    one->about.names = std::move(names);
    one->about.addresses = std::move(addresses);
    return one;
}

// The labels of what answers: "a+b" for two side by side.
std::string labels(candidates found)
{
    std::string text;
    for (const credential_ptr& one : found)
        text += (text.empty() ? "" : "+") + one->about.subject;
    return text;
}

std::string found(const snapshot& map, std::string_view name, byte_view address = {})
{
    return labels(map.find(name, address));
}

const byte_vector v4{192, 0, 2, 1};
const byte_vector v4_mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
const byte_vector v6{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

}

TEST_CASE("an empty snapshot finds nothing")
{
    const snapshot map;
    CHECK(map.find("example.com", v4).empty());
    CHECK(map.find("", {}).empty());
    CHECK_FALSE(map.knows("example.com"));
    CHECK(map.challenge("example.com") == nullptr);
    CHECK(map.default_domain().empty());
    const snapshot without_credentials(std::vector<entry>{{"example.com", {}}});
    CHECK(without_credentials.find("example.com").empty());
}

TEST_CASE("the suffix tree: exact names before wildcards, and a wildcard for exactly one label (RFC 6125 6.4.3)")
{
    const snapshot map({
        {"default.test", {made("D")}},
        {"example.com", {made("A", {"example.com", "*.example.com"})}},
        {"*.api.example.com", {made("B", {"*.api.example.com"})}},
        {"www.example.com", {made("C")}},
        {"*.test", {made("T")}},
    });
    struct row {
        std::string name;
        std::string label;
    };
    const std::string long_label(63, 'x');
    const std::string long_name =
        long_label + "." + long_label + "." + long_label + "." + std::string(49, 'x') + ".example.com";
    for (const row& one : std::vector<row>{
             {"example.com", "A"},
             {"EXAMPLE.com.", "A"},
             {"mail.example.com", "A"},
             {"www.example.com", "C"},
             {"WWW.EXAMPLE.COM", "C"},
             {"api.example.com", "A"},
             {"v1.api.example.com", "B"},
             {"_x.api.example.com", "B"},
             {long_label + ".api.example.com", "B"},
             {"a.v1.api.example.com", "D"}, // two labels
             {"a.mail.example.com", "D"},
             {"a.www.example.com", "D"},
             {"notexample.com", "D"},
             {"com", "D"},
             {"test", "D"},
             {"anything.test", "T"},
             {"default.test", "D"},
             {"a.b.test", "D"},
             {"example.org", "D"},
             {"", "D"},
             {".", "D"},
             {"*.example.com", "D"},
             {".example.com", "D"},
             {"a..example.com", "D"},
             {"-.example.com", "D"},
             {"a b.example.com", "D"},
             {std::string("a\0.example.com", 14), "D"},
             {"example.com..", "D"},
             {"192.0.2.1", "D"},
             {long_name, "D"},
         }) {
        CAPTURE(one.name);
        CHECK(found(map, one.name) == one.label);
    }
    CHECK(map.knows("v1.api.example.com"));
    CHECK(map.knows("Example.Com."));
    CHECK(map.knows("default.test"));
    CHECK_FALSE(map.knows("example.org"));
    CHECK_FALSE(map.knows(""));
    CHECK_FALSE(map.knows("a..example.com"));
}

TEST_CASE("a domain that was given wins over names in other certificates; of those the first stored wins")
{
    const snapshot map({
        {"a.test", {made("A", {"a.test", "b.test", "shared.test", "*.wild.test"})}},
        {"b.test", {made("B", {"b.test", "shared.test", "a.test"})}},
        {"*.wild.test", {made("W")}},
    });
    CHECK(found(map, "a.test") == "A");
    CHECK(found(map, "b.test") == "B");
    CHECK(found(map, "shared.test") == "A");
    CHECK(found(map, "x.wild.test") == "W");
}

TEST_CASE("certificates of several key types stand side by side; each answers to its own names too")
{
    const std::vector<credential_ptr> both = {made("ec", {"a.test", "both.test"}),
                                              made("rsa", {"a.test", "both.test", "old.test"})};
    const snapshot map(std::vector<entry>{{"a.test", both}});
    CHECK(found(map, "a.test") == "ec+rsa");
    CHECK(found(map, "both.test") == "ec+rsa");
    CHECK(found(map, "old.test") == "rsa");
    CHECK(found(map, "") == "ec+rsa");
}

TEST_CASE("the default answers unknown and missing names: the one that is set, else the first")
{
    const std::vector<entry> entries = {{"a.test", {made("A")}}, {"b.test", {made("B")}}};
    CHECK(found(snapshot(entries), "") == "A");
    CHECK(found(snapshot(entries), "x.test") == "A");
    CHECK(snapshot(entries).default_domain() == "a.test");
    CHECK(found(snapshot(entries, "b.test"), "") == "B");
    CHECK(found(snapshot(entries, "b.test"), "x.test", v4) == "B");
    CHECK(snapshot(entries, "b.test").default_domain() == "b.test");
    CHECK(found(snapshot(entries, "gone.test"), "") == "A");
}

TEST_CASE("without a server name the local address finds its certificate (RFC 6066 3 forbids addresses as names)")
{
    const snapshot map({
        {"a.test", {made("A", {"a.test"}, {"2001:db8::1"})}},
        {"192.0.2.1", {made("IP")}},
    });
    CHECK(found(map, "", v4) == "IP");
    CHECK(found(map, "", v4_mapped) == "IP");
    CHECK(found(map, "192.0.2.1", v4) == "IP");
    CHECK(found(map, "192.0.2.1", v6) == "A");
    CHECK(found(map, "", v6) == "A");
    CHECK(found(map, "", byte_vector{192, 0, 2, 2}) == "A");
    CHECK(found(map, "a.test", v4) == "A");
    CHECK(found(map, "unknown.test", v4) == "A");
    CHECK(found(map, "", byte_vector(7, 1)) == "A");
    CHECK_FALSE(map.knows("192.0.2.1"));
}

TEST_CASE("challenge certificates are found by their exact name only, and never by find() (RFC 8737 3)")
{
    const std::vector<entry> challenges = {{"b.test", {made("challenge")}}, {"c.test", {}}};
    const snapshot map({{"a.test", {made("A")}}}, {}, challenges);
    REQUIRE(map.challenge("B.test.") != nullptr);
    CHECK(map.challenge("b.test")->about.subject == "challenge");
    CHECK(map.challenge("a.test") == nullptr);
    CHECK(map.challenge("c.test") == nullptr);
    CHECK(map.challenge("x.b.test") == nullptr);
    CHECK(map.challenge("") == nullptr);
    CHECK(found(map, "b.test") == "A");
    CHECK_FALSE(map.knows("b.test"));
}

TEST_CASE("1,000 certificates: built and looked up without a thought about time")
{
    std::vector<entry> entries;
    for (int i = 0; i < 1000; ++i) {
        const std::string name = "host" + std::to_string(i) + ".example" + std::to_string(i % 7) + ".com";
        entries.push_back({name, {made(name, {name, "www." + name, "*." + name})}});
    }
    const auto start = std::chrono::steady_clock::now();
    const snapshot map(entries);
    const auto built = std::chrono::steady_clock::now();
    std::size_t right = 0;
    for (const entry& one : entries) {
        right += found(map, one.domain) == one.domain;
        right += found(map, "www." + one.domain) == one.domain;
        right += found(map, "x." + one.domain) == one.domain;
    }
    const auto looked_up = std::chrono::steady_clock::now();
    CHECK(right == 3000);
    // Bounds that a slow machine under a sanitizer keeps, and quadratic behaviour does not.
    CHECK(built - start < std::chrono::seconds(5));
    CHECK(looked_up - built < std::chrono::seconds(5));
}

TEST_CASE("refused names: exact and one label below a wildcard, as long as nothing is stored for them (RFC 6066 3)")
{
    const snapshot map({{"default.test", {made("D")}}, {"www.a.test", {made("W")}}}, "", {},
                       {"a.test", "*.a.test", "test", "192.0.2.1"});
    for (const std::string_view name : {"a.test", "A.TEST.", "b.a.test", "test"}) {
        CAPTURE(name);
        CHECK(map.refuses(name));
    }
    for (const std::string_view name :
         {"", "www.a.test", "c.b.a.test", "b.test", "default.test", ".a.test", "a..test"}) {
        CAPTURE(name);
        CHECK_FALSE(map.refuses(name));
    }
    CHECK_FALSE(snapshot().refuses("a.test"));
}
