#include <alos/acme/caa.hpp>

#include <doctest/doctest.h>

using namespace alos::acme;
using alos::dns::record;
using alos::dns::record_type;

namespace {

const std::string account_url = "https://ca.test/account/1";

record caa(std::string tag, std::string value, std::uint8_t flags = 0)
{
    return {.name = "example.com", .type = record_type::caa, .text = std::move(value), .caa_flags = flags,
            .caa_tag = std::move(tag)};
}

caa_question question(bool is_wildcard = false)
{
    return {is_wildcard, {"ca.test", "ca.example"}, account_url, {"http-01", "dns-01"}};
}

bool allows(const std::vector<record>& records, bool is_wildcard = false)
{
    return decide_caa(records, question(is_wildcard)).is_allowed;
}

}

TEST_CASE("caa: an issuer and its parameters (RFC 8659 4.2)")
{
    const auto plain = parse_issue_value("ca.test").value();
    CHECK(plain.issuer_domain_name == "ca.test");
    CHECK(plain.parameters.empty());
    CHECK(parse_issue_value(" \tCA.Test \t")->issuer_domain_name == "ca.test");
    CHECK(parse_issue_value("ca.test;")->parameters.empty());
    CHECK(parse_issue_value("xn--a.ca-1.test ; ")->issuer_domain_name == "xn--a.ca-1.test");
    const auto full = parse_issue_value("ca.test; Policy = ev ;accounturi=https://ca.test/a?b=c; empty=").value();
    using parameters = std::vector<std::pair<std::string, std::string>>;
    CHECK(full.parameters
          == parameters{{"policy", "ev"}, {"accounturi", "https://ca.test/a?b=c"}, {"empty", ""}});
}

TEST_CASE("caa: no issuer is nobody (RFC 8659 4.2)")
{
    for (const char* text : {"", ";", " ; ", ";policy=ev", "\t"}) {
        CAPTURE(text);
        const auto read = parse_issue_value(text);
        REQUIRE(read);
        CHECK(read->issuer_domain_name.empty());
    }
}

TEST_CASE("caa: what does not follow the grammar is refused (RFC 8659 4.2)")
{
    for (const char* text : {"ca .test", "-ca.test", "ca-.test", "ca..test", ".test", "ca.test.", "ca_1.test", "%%%%",
                             "ca.test; policy", "ca.test; =ev", "ca.test; policy=ev;", "ca.test; a=b;; c=d",
                             "ca.test; a b=c", "ca.test; a=b c", "ca.test; -a=b", "ca.test; a=\xc3\xa4",
                             "ca.test policy=ev"}) {
        CHECK_MESSAGE(!parse_issue_value(text), std::string(text));
    }
    CHECK_FALSE(parse_issue_value("ca.test; a=" + std::string(3000, 'b')));
    std::string many = "ca.test; a=b";
    for (int i = 1; i < 32; ++i)
        many += ";a=b";
    CHECK(parse_issue_value(many));
    CHECK_FALSE(parse_issue_value(many + ";a=b"));
}

TEST_CASE("caa: without issue there is no restriction (RFC 8659 3, 4.2)")
{
    CHECK(allows({}));
    CHECK(allows({caa("iodef", "mailto:admin@example.com"), caa("unknown", "ca.other")}));
    CHECK_FALSE(decide_caa({caa("iodef", "x")}, question()).is_restricted);
    CHECK(allows({caa("issuewild", ";")}));
}

TEST_CASE("caa: any record that names the CA lets it issue (RFC 8659 4.2)")
{
    CHECK(allows({caa("issue", "ca.test")}));
    CHECK(allows({caa("issue", "other.test"), caa("issue", "CA.example")}));
    CHECK(allows({caa("issue", ";"), caa("issue", "ca.test")}));
    CHECK_FALSE(allows({caa("issue", "other.test")}));
    CHECK_FALSE(allows({caa("issue", "sub.ca.test")}));
    CHECK_FALSE(allows({caa("issue", ";")}));
    CHECK_FALSE(allows({caa("issue", "%%%%")}));
    const caa_answer no = decide_caa({caa("issue", "other.test"), caa("issue", ";")}, question());
    CHECK(no.why == "\"other.test\" names another CA, \";\" lets nobody issue");
}

TEST_CASE("caa: for wildcards issuewild goes before issue (RFC 8659 4.3)")
{
    CHECK(allows({caa("issue", "ca.test")}, true));
    CHECK_FALSE(allows({caa("issue", "ca.test"), caa("issuewild", ";")}, true));
    CHECK(allows({caa("issue", ";"), caa("issuewild", "ca.test")}, true));
    CHECK_FALSE(allows({caa("issue", ";"), caa("issuewild", "ca.test")}, false));
}

TEST_CASE("caa: a critical property that is not known forbids all (RFC 8659 4.1)")
{
    CHECK_FALSE(allows({caa("issue", "ca.test"), caa("tbs", "unknown", 0x80)}));
    CHECK(allows({caa("issue", "ca.test"), caa("tbs", "unknown", 0x7f)}));
    CHECK(allows({caa("issue", "ca.test", 0x80)}));
}

TEST_CASE("caa: accounturi (RFC 8657 3)")
{
    CHECK(allows({caa("issue", "ca.test; accounturi=" + account_url)}));
    CHECK_FALSE(allows({caa("issue", "ca.test; accounturi=" + account_url + "2")}));
    CHECK_FALSE(allows({caa("issue", "ca.test; accounturi=")}));
    CHECK(allows({caa("issue", "ca.test; accounturi=https://else.test/1"), caa("issue", "ca.test")}));
    CHECK_FALSE(allows({caa("issue", "ca.test; accounturi=" + account_url + "; accounturi=" + account_url)}));
    caa_question fresh = question();
    fresh.account.clear();
    const caa_answer no = decide_caa({caa("issue", "ca.test; accounturi=" + account_url)}, fresh);
    CHECK_FALSE(no.is_allowed);
    CHECK(no.why.ends_with("names an account, and there is none here yet"));
}

TEST_CASE("caa: validationmethods (RFC 8657 4)")
{
    const auto methods = [](std::string list) {
        return decide_caa({caa("issue", "ca.test; validationmethods=" + list)}, question()).methods;
    };
    using words = std::vector<std::string>;
    CHECK(methods("http-01") == words{"http-01"});
    CHECK(methods("ca-special,dns-01,http-01") == words{"http-01", "dns-01"});
    CHECK(methods("tls-alpn-01") == words{});
    CHECK(methods("") == words{});
    CHECK_FALSE(allows({caa("issue", "ca.test; validationmethods=tls-alpn-01")}));
    // What one record forbids another may allow.
    const caa_answer both = decide_caa({caa("issue", "ca.test; validationmethods=dns-01"),
                                        caa("issue", "ca.test; validationmethods=http-01")}, question());
    CHECK(both.methods == words{"dns-01", "http-01"});
}
