#include <alos/acme/problem.hpp>

#include <doctest/doctest.h>

using namespace alos;
using namespace alos::acme;
using std::chrono::days, std::chrono::hours, std::chrono::seconds;

namespace {

constexpr std::string_view problem_json = "application/problem+json";

problem of_type(std::string type, unsigned status = 400)
{
    problem made;
    made.type = std::move(type);
    made.status = status;
    return made;
}

http::outbound_response with(http::outbound_fields fields)
{
    http::outbound_response answer;
    answer.fields = std::move(fields);
    return answer;
}

const time_point now = time_point(seconds(784111777)); // Sun, 06 Nov 1994 08:49:37 GMT

}

TEST_CASE("problem: a document with subproblems (RFC 8555 6.7.1)")
{
    const problem got = parse_problem(403, "application/problem+json; charset=utf-8", R"({
        "type": "urn:ietf:params:acme:error:malformed",
        "detail": "Some of the identifiers requested were rejected",
        "status": 400, "title": "t", "instance": "https://ca.example/doc", "unknown": [[1]],
        "subproblems": [
            {"type": "urn:ietf:params:acme:error:malformed",
             "detail": "Invalid underscore in DNS name \"_example.org\"",
             "identifier": {"type": "dns", "value": "_example.org"}},
            {"type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "No \"example.net\"",
             "identifier": {"type": "dns", "value": "example.net"}},
            7, {"identifier": "x"}]})");
    CHECK(got.status == 403); // RFC 7807 3.1: that of the answer counts
    CHECK(got.type == "malformed");
    CHECK(got.title == "t");
    CHECK(got.instance == "https://ca.example/doc");
    REQUIRE(got.subproblems.size() == 3);
    CHECK(got.subproblems[1].type == "rejectedIdentifier");
    CHECK(got.subproblems[1].identifier == "example.net");
    CHECK(got.subproblems[2].identifier.empty());
    CHECK(describe(got)
          == "403 malformed: Some of the identifiers requested were rejected; _example.org: malformed: Invalid "
             "underscore in DNS name \"_example.org\"; example.net: rejectedIdentifier: No \"example.net\"; one name; "
             "see https://ca.example/doc");
}

TEST_CASE("problem: algorithms of badSignatureAlgorithm (RFC 8555 6.2)")
{
    const problem got = parse_problem(400, problem_json,
                                      R"({"type":"urn:ietf:params:acme:error:badSignatureAlgorithm",
                                          "algorithms":["RS256",1,"ES256"]})");
    CHECK(got.algorithms == std::vector<std::string>{"RS256", "ES256"});
    CHECK(class_of(got) == failure_class::permanent);
    CHECK(describe(got) == "400 badSignatureAlgorithm; it takes RS256, ES256");
}

TEST_CASE("problem: without a type it is about:blank, and other types stay as they are (RFC 7807 3.1)")
{
    const problem blank = parse_problem(404, "APPLICATION/PROBLEM+JSON", R"({"title":"Not Found","type":3})");
    CHECK(blank.type == "about:blank");
    CHECK(describe(blank) == "404: Not Found");
    CHECK(class_of(blank) == failure_class::permanent);
    CHECK(parse_problem(400, problem_json, R"({"type":"https://ca.example/x"})").type == "https://ca.example/x");
}

TEST_CASE("problem: a document under another media type is known by its namespace")
{
    CHECK(parse_problem(400, "application/json", R"({"type":"urn:ietf:params:acme:error:badNonce"})").type
          == "badNonce");
    CHECK(parse_problem(400, "", R"({"type":"about:blank","detail":"d"})").type.empty());
}

TEST_CASE("problem: what is no document keeps status and 512 printable bytes")
{
    const problem page = parse_problem(502, "text/html", "<html>\r\n\x1b[2Jbad\xff gateway" + std::string(600, 'x'));
    CHECK(page.status == 502);
    CHECK(page.type.empty());
    CHECK(page.detail.size() == 512);
    CHECK(page.detail.starts_with("<html>  ?[2Jbad? gatewayxxx"));
    CHECK(describe(parse_problem(500, {}, {})) == "500");
    CHECK(describe(problem()) == "no reason is given");
    for (const char* bad : {"{", "[]", "7", "\"x\"", "{}x", "{\"type\":\"\xff\"}"})
        CHECK(parse_problem(400, problem_json, bad).detail.size() == std::string_view(bad).size());
    CHECK(parse_problem(400, problem_json, std::string(100000, '[')).type.empty());
}

TEST_CASE("problem: what is kept is bounded, and cut between characters")
{
    std::string many = R"({"detail":")" + std::string(4095, 'a') + "\xc3\xa9\",\"subproblems\":[";
    for (int i = 0; i < 500; ++i)
        many += "{},";
    many += "{}]}";
    const problem got = parse_problem(400, problem_json, many);
    CHECK(got.detail == std::string(4095, 'a'));
    CHECK(got.subproblems.size() == 100);
    const std::string line = describe(got);
    CHECK(line.size() == 1000);
    CHECK(line.ends_with("aaa..."));
}

TEST_CASE("problem: nobody else writes lines or controls a terminal through it")
{
    problem hostile = of_type("dns");
    hostile.detail = "a\nb\x1b[31m\x7f\xc2\x9b" "2J\xc3\xa9\xe2\x80\xae\xff";
    CHECK(describe(hostile) == "400 dns: a\\x0ab\\x1b[31m\\x7f\\x9b" "2J\xc3\xa9\\u202e\\xff");
    hostile.detail = std::string(2000, '\n');
    CHECK(describe(hostile).size() <= 1000);
}

TEST_CASE("problem: every type has its class and its cure (RFC 8555 6.7)")
{
    using enum failure_class;
    const std::vector<std::pair<failure_class, std::vector<const char*>>> table = {
        {transient,
         {"serverInternal", "connection", "dns", "tls", "unauthorized", "incorrectResponse", "compound", "conflict"}},
        {throttled, {"rateLimited"}},
        {permanent,
         {"rejectedIdentifier", "unsupportedIdentifier", "caa", "badCSR", "badPublicKey", "invalidProfile", "malformed",
          "externalAccountRequired", "userActionRequired", "invalidContact", "unsupportedContact",
          "badRevocationReason", "badSignatureAlgorithm"}},
        {repairable,
         {"badNonce", "alreadyReplaced", "alreadyRevoked", "orderNotReady", "accountDoesNotExist"}},
    };
    std::size_t known = 0;
    for (const auto& [expected, types] : table) {
        for (const char* type : types) {
            CAPTURE(type);
            CHECK(class_of(of_type(type)) == expected);
            CHECK(cure_of(of_type(type)).size() > 20);
            ++known;
        }
    }
    CHECK(known == alos::acme::detail::known_problems.size());
}

TEST_CASE("problem: the class of a status alone")
{
    using enum failure_class;
    CHECK(class_of(of_type("", 500)) == transient);
    CHECK(class_of(of_type("", 502)) == transient);
    CHECK(class_of(of_type("", 503)) == transient);
    CHECK(class_of(of_type("", 503), true) == throttled);
    CHECK(class_of(of_type("", 429)) == throttled);
    CHECK(class_of(of_type("serverInternal", 429)) == throttled);
    CHECK(class_of(of_type("rateLimited", 503), true) == throttled);
    CHECK(class_of(of_type("serverInternal", 500), true) == transient);
    CHECK(class_of(of_type("", 403)) == transient); // a proxy's page
    CHECK(class_of(of_type("unheardOf", 403)) == permanent);
    CHECK(class_of(of_type("unheardOf", 500)) == transient);
    CHECK(class_of(of_type("unheardOf", 0)) == transient);
    CHECK(class_of(of_type("about:blank", 408)) == transient);
    CHECK(cure_of(of_type("", 429)) == cure_of(of_type("rateLimited")));
    CHECK(cure_of(of_type("", 500)) != cure_of(of_type("", 404)));
}

TEST_CASE("problem: a compound one is as its worst part (RFC 8555 6.7.1)")
{
    problem several = of_type("compound");
    several.subproblems = {{"dns", {}, "a.example"}, {"badNonce", {}, {}}, {"unheardOf", {}, {}}};
    CHECK(class_of(several) == failure_class::transient);
    several.subproblems.push_back({"rateLimited", {}, {}});
    CHECK(class_of(several) == failure_class::throttled);
    several.subproblems.push_back({"rejectedIdentifier", {}, {}});
    CHECK(class_of(several) == failure_class::permanent);
}

TEST_CASE("retry_after: seconds (RFC 9110 10.2.3)")
{
    CHECK(retry_after(with({{"retry-after", "120"}}), now) == seconds(120));
    CHECK(retry_after(with({{"Retry-After", " 0 "}}), now) == seconds(0));
    CHECK(retry_after(with({{"Retry-After", "604801"}}), now) == days(7));
    CHECK(retry_after(with({{"Retry-After", "99999999999999999999999"}}), now) == days(7));
    CHECK_FALSE(retry_after(with({}), now).has_value());
    for (const char* bad : {"", " ", "-1", "+1", "1.5", "1s", "soon", "120, 120", "0x10"})
        CHECK_FALSE(retry_after(with({{"Retry-After", bad}}), now).has_value());
}

TEST_CASE("retry_after: a date counts from the server's own, whatever our clock says (RFC 9110 10.2.3)")
{
    const std::string later = "Sun, 06 Nov 1994 08:51:37 GMT";
    CHECK(retry_after(with({{"Retry-After", later}}), now) == seconds(120));
    CHECK(retry_after(with({{"Retry-After", later}}), now + hours(1)) == seconds(0));
    CHECK(retry_after(with({{"Retry-After", later}, {"date", "Sun, 06 Nov 1994 08:50:37 GMT"}}), now + hours(9))
          == seconds(60));
    CHECK(retry_after(with({{"Retry-After", later}, {"Date", "yesterday"}}), now) == seconds(120));
    CHECK(retry_after(with({{"Retry-After", "Sun, 06 Nov 2094 08:51:37 GMT"}}), now) == days(7));
    CHECK_FALSE(retry_after(with({{"Retry-After", "Sun, 31 Feb 1994 08:51:37 GMT"}}), now).has_value());
}
