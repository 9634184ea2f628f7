#include <alos/acme/objects.hpp>

#include <doctest/doctest.h>

using namespace alos;
using namespace alos::acme;

namespace {

time_point at(std::string_view text) { return *parse_rfc3339(text); }

identifier dns_name(std::string value) { return {identifier_type::dns, std::move(value)}; }

// The sentence names `member`, and the code says whose fault it is.
template <class T>
void check_fault(const outcome<T>& got, std::string_view member)
{
    CAPTURE(member);
    REQUIRE_FALSE(got.has_value());
    CAPTURE(got.error().what);
    CHECK(got.error().code == boost::system::errc::bad_message);
    CHECK(got.error().what.find(member) != std::string::npos);
    CHECK(got.error().what.size() < 400);
}

std::string replaced(std::string text, std::string_view from, std::string_view to)
{
    const std::size_t found = text.find(from);
    REQUIRE(found != std::string::npos);
    return text.replace(found, from.size(), to);
}

const std::string directory_text = R"({
    "newNonce": "https://ca.example/nonce", "newAccount": "https://ca.example/account",
    "newOrder": "https://ca.example/order", "newAuthz": "https://ca.example/authz",
    "revokeCert": "https://ca.example/revoke", "keyChange": "https://ca.example/key",
    "renewalInfo": "https://ca.example/ari", "Zq3nB": "https://community.example/random",
    "meta": {"termsOfService": "https://ca.example/terms", "website": "https://www.ca.example",
             "caaIdentities": ["ca.example"], "externalAccountRequired": true,
             "profiles": {"classic": "the usual", "shortlived": "https://ca.example/short", "bad name": "x"}}})";

const std::string order_text = R"({
    "status": "valid", "expires": "2016-01-20T14:09:07.99Z",
    "identifiers": [{"type": "dns", "value": "WWW.example.org."}, {"type": "dns", "value": "*.example.org"},
                    {"type": "ip", "value": "2001:DB8:0::1"}],
    "notBefore": "2016-01-01T00:00:00Z",
    "authorizations": ["https://ca.example/authz/1", "https://ca.example/authz/2"],
    "finalize": "https://ca.example/order/1/finalize", "certificate": "https://ca.example/cert/1",
    "error": {"type": "urn:ietf:params:acme:error:caa", "detail": "no", "status": 403},
    "profile": "classic", "replaces": "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"})";

const std::string authorization_text = R"({
    "status": "pending", "expires": "2015-03-01T14:09:07Z", "wildcard": true,
    "identifier": {"type": "dns", "value": "example.org"},
    "challenges": [
        {"url": "https://ca.example/chall/1", "type": "http-01", "status": "pending",
         "token": "DGyRejmCefe7v4NfDGDKfA"},
        {"url": "https://ca.example/chall/2", "type": "dns-01", "status": "invalid", "token": "a-_",
         "error": {"type": "urn:ietf:params:acme:error:dns", "detail": "NXDOMAIN", "status": 400},
         "validated": "2014-12-01T12:05:58.16Z"},
        {"url": "https://ca.example/chall/3", "type": "dns-persist-01", "status": "pending",
         "issuer-domain-names": ["ca.example"], "token": "../../x"}]})";

}

TEST_CASE("objects: a directory (RFC 8555 7.1.1, RFC 9773 3)")
{
    const directory got = *parse_directory(directory_text);
    CHECK(got.new_nonce == "https://ca.example/nonce");
    CHECK(got.new_account == "https://ca.example/account");
    CHECK(got.new_order == "https://ca.example/order");
    CHECK(got.revoke_cert == "https://ca.example/revoke");
    CHECK(got.key_change == "https://ca.example/key");
    CHECK(got.renewal_info == "https://ca.example/ari");
    CHECK(got.terms_of_service == "https://ca.example/terms");
    CHECK(got.caa_identities == std::vector<std::string>{"ca.example"});
    CHECK(got.external_account_required);
    CHECK(got.profiles.size() == 2);
    CHECK(got.profiles.at("classic") == "the usual");
}

TEST_CASE("objects: a directory needs three URLs, and null is nothing (RFC 8555 7.1.1)")
{
    const directory least = *parse_directory(R"({"newNonce":"http://a/n","newAccount":"http://a/a",
        "newOrder":"http://a/o","keyChange":null,"meta":null})");
    CHECK(least.renewal_info.empty());
    CHECK_FALSE(least.external_account_required);
    for (const char* name : {"newNonce", "newAccount", "newOrder"})
        check_fault(parse_directory(replaced(directory_text, name, "x")),
                    "directory." + std::string(name) + " is missing");
    check_fault(parse_directory(replaced(directory_text, "true", "1")), "directory.meta.externalAccountRequired");
    check_fault(parse_directory(replaced(directory_text, "[\"ca.example\"]", "[7]")),
                "directory.meta.caaIdentities[0]");
    check_fault(parse_directory(replaced(directory_text, "{\"termsOfService\"", "[], \"x\": {\"a\"")),
                "directory.meta ");
}

TEST_CASE("objects: what is no JSON object is no answer")
{
    for (const char* bad : {"", "<html>", "[]", "null", "7", "{", "{}{}"}) {
        check_fault(parse_directory(bad), "directory");
        check_fault(parse_order(bad), "order");
    }
    check_fault(parse_account(std::string(100000, '[')), "account");
    check_fault(parse_account("{\"a\":" + std::string(40, '[') + std::string(40, ']') + "}"), "account");
    check_fault(parse_account("{\"a\":\"" + std::string(1 << 20, 'x') + "\"}"), "account");
    check_fault(parse_account("{\"contact\":[\"\xff\"]}"), "account");
}

TEST_CASE("objects: URLs have a scheme of the web and no character that ends a line")
{
    for (const char* bad : {"", "/order", "ftp://a/b", "https:/a", "https://", "https://a\\r\\nX: y", "https://a b",
                            "https://\\u00e9", "javascript://x"}) {
        CAPTURE(bad);
        check_fault(parse_directory(replaced(directory_text, "https://ca.example/order", bad)), "directory.newOrder");
    }
    const std::string longest = "https://ca.example/" + std::string(2048 - 19, 'x');
    CHECK(parse_directory(replaced(directory_text, "https://ca.example/order", longest)).has_value());
    check_fault(parse_directory(replaced(directory_text, "https://ca.example/order", longest + "x")),
                "directory.newOrder");
    CHECK(parse_directory(replaced(directory_text, "https://ca.example/order", "HTTPS://CA.example")).has_value());
}

TEST_CASE("objects: an account (RFC 8555 7.1.2)")
{
    const account got = *parse_account(R"({"status":"deactivated","contact":["mailto:a@example.org"],
        "orders":"https://ca.example/orders","key":{"kty":"EC"}})");
    CHECK(got.status == account_status::deactivated);
    CHECK(got.contact == std::vector<std::string>{"mailto:a@example.org"});
    CHECK(got.orders == "https://ca.example/orders");
    CHECK(parse_account("{}")->status == account_status::valid);
    CHECK(parse_account("{\"status\":\"revoked\"}")->status == account_status::revoked);
    CHECK(parse_account("{\"status\":\"new\"}")->status == account_status::revoked);
    check_fault(parse_account("{\"status\":1}"), "account.status");
    check_fault(parse_account("{\"contact\":{}}"), "account.contact");
}

TEST_CASE("objects: a list of orders (RFC 8555 7.1.2.1)")
{
    CHECK(parse_order_list(R"({"orders":["https://a/1","https://a/2"]})")->size() == 2);
    CHECK(parse_order_list(R"({"orders":[]})")->empty());
    check_fault(parse_order_list("{}"), "orders is missing");
    check_fault(parse_order_list(R"({"orders":["https://a/1","2"]})"), "orders[1]");
}

TEST_CASE("objects: an order (RFC 8555 7.1.3, RFC 8738 3)")
{
    const order got = *parse_order(order_text);
    CHECK(got.status == order_status::valid);
    CHECK(got.expires == at("2016-01-20T14:09:07.99Z"));
    const identifier address{identifier_type::ip, "2001:db8::1"};
    CHECK(got.identifiers == std::vector<identifier>{dns_name("www.example.org"), dns_name("*.example.org"), address});
    CHECK(got.authorizations.size() == 2);
    CHECK(got.finalize == "https://ca.example/order/1/finalize");
    CHECK(got.certificate == "https://ca.example/cert/1");
    REQUIRE(got.error.has_value());
    CHECK(describe(*got.error) == "403 caa: no");
    CHECK(got.replaces == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
}

TEST_CASE("objects: the states of an order, and what each must have (RFC 8555 7.1.6)")
{
    const auto in_state = [](std::string_view state) { return replaced(order_text, "valid", state); };
    CHECK(parse_order(in_state("pending"))->status == order_status::pending);
    CHECK(parse_order(in_state("ready"))->status == order_status::ready);
    CHECK(parse_order(in_state("processing"))->status == order_status::processing);
    CHECK(parse_order(in_state("invalid"))->status == order_status::invalid);
    CHECK(parse_order(in_state("deactivated"))->status == order_status::invalid);
    CHECK(name_of(order_status::processing) == "processing");
    check_fault(parse_order(replaced(order_text, "status", "s")), "order.status is missing");
    check_fault(parse_order(replaced(order_text, "\"certificate\"", "\"c\"")), "order.certificate is missing");
    check_fault(parse_order(replaced(in_state("ready"), "finalize\"", "f\"")), "order.finalize is missing");
    check_fault(parse_order(replaced(in_state("pending"), "authorizations", "a")), "order.authorizations is missing");
    const std::string bare = R"({"identifiers":[],"status":)";
    CHECK(parse_order(bare + "\"processing\"}").has_value());
    CHECK(parse_order(bare + "\"invalid\"}").has_value());
    check_fault(parse_order(bare + "\"pending\"}"), "order.authorizations is missing");
}

TEST_CASE("objects: the member of an order at fault is named")
{
    check_fault(parse_order(replaced(order_text, "identifiers", "i")), "order.identifiers is missing");
    check_fault(parse_order(replaced(order_text, "2016-01-20T", "2016-01-20 at ")), "order.expires is not a time");
    check_fault(parse_order(replaced(order_text, "*.example.org", "*.*.org")), "order.identifiers[1].value");
    check_fault(parse_order(replaced(order_text, "\"ip\"", "\"dns\"")), "order.identifiers[2].value");
    check_fault(parse_order(replaced(order_text, "\"ip\"", "\"email\"")), "order.identifiers[2].value");
    check_fault(parse_order(replaced(order_text, "\"https://ca.example/authz/2\"", "{}")), "order.authorizations[1]");
    check_fault(parse_order(replaced(order_text, "{\"type\": \"ip\"", "7, {\"type\": \"ip\"")),
                "order.identifiers[2] is not an object");
    CHECK_FALSE(parse_order(replaced(order_text, "{\"type\": \"urn", "[1], \"x\": {\"type\": \"urn"))->error);
}

TEST_CASE("objects: the number of identifiers and authorizations is bounded")
{
    const auto with = [](int names, int urls) {
        std::string text = R"({"status":"invalid","identifiers":[)";
        for (int i = 0; i < names; ++i)
            text += std::string(i ? "," : "") + R"({"type":"dns","value":"a)" + std::to_string(i) + ".example\"}";
        text += "],\"authorizations\":[";
        for (int i = 0; i < urls; ++i)
            text += std::string(i ? "," : "") + "\"https://ca.example/\"";
        return text + "]}";
    };
    CHECK(parse_order(with(100, 100))->identifiers.size() == 100);
    check_fault(parse_order(with(101, 100)), "order.identifiers");
    check_fault(parse_order(with(100, 101)), "order.authorizations");
}

TEST_CASE("objects: an authorization with its challenges (RFC 8555 7.1.4)")
{
    const authorization got = *parse_authorization(authorization_text);
    CHECK(got.status == authorization_status::pending);
    CHECK(got.identifier == dns_name("example.org"));
    CHECK(got.wildcard);
    CHECK(ordered_identifier(got) == dns_name("*.example.org"));
    REQUIRE(got.challenges.size() == 3);
    CHECK(got.challenges[0].type == "http-01");
    CHECK(got.challenges[0].url == "https://ca.example/chall/1");
    CHECK(got.challenges[0].token == "DGyRejmCefe7v4NfDGDKfA");
    CHECK(got.challenges[0].status == challenge_status::pending);
    CHECK_FALSE(got.challenges[0].error);
    CHECK(got.challenges[1].status == challenge_status::invalid);
    CHECK(got.challenges[1].error->type == "dns");
    CHECK(got.challenges[2].type == "dns-persist-01");
    CHECK(got.challenges[2].token.empty());

    const authorization plain = *parse_authorization(replaced(authorization_text, "true", "false"));
    CHECK(ordered_identifier(plain) == dns_name("example.org"));
}

TEST_CASE("objects: the states of an authorization (RFC 8555 7.1.6)")
{
    for (const authorization_status each :
         {authorization_status::pending, authorization_status::valid, authorization_status::invalid,
          authorization_status::deactivated, authorization_status::expired, authorization_status::revoked})
        CHECK(parse_authorization(replaced(authorization_text, "pending", name_of(each)))->status == each);
    CHECK(parse_authorization(replaced(authorization_text, "pending", "new"))->status == authorization_status::invalid);
}

TEST_CASE("objects: the member of an authorization at fault is named")
{
    check_fault(parse_authorization(replaced(authorization_text, "identifier", "i")),
                "authorization.identifier is missing");
    check_fault(parse_authorization(replaced(authorization_text, "example.org", "*.example.org")),
                "authorization.identifier is a wildcard");
    check_fault(parse_authorization(replaced(authorization_text, "\"a-_\"", "\"a/../b\"")),
                "authorization.challenges[1].token");
    check_fault(parse_authorization(replaced(authorization_text, "\"a-_\"", "\"\"")),
                "authorization.challenges[1].token");
    check_fault(parse_authorization(replaced(authorization_text, "\"token\"", "\"t\"")),
                "authorization.challenges[0].token is missing");
    check_fault(parse_authorization(replaced(authorization_text, "\"url\"", "\"u\"")),
                "authorization.challenges[0].url is missing");
    check_fault(parse_authorization(replaced(authorization_text, "true", "\"true\"")), "authorization.wildcard");
    std::string many = R"({"status":"valid","identifier":{"type":"dns","value":"a.example"},"challenges":[{})";
    for (int i = 0; i < 20; ++i)
        many += ",{}";
    check_fault(parse_authorization(many + "]}"), "authorization.challenges is not a list of at most 20");
}

TEST_CASE("objects: a challenge alone (RFC 8555 7.5.1)")
{
    const auto in_state = [](std::string_view state) {
        return parse_challenge(R"({"type":"tls-alpn-01","url":"https://a/c","token":"t","status":")"
                               + std::string(state) + "\"}");
    };
    for (const challenge_status each : {challenge_status::pending, challenge_status::processing,
                                        challenge_status::valid, challenge_status::invalid})
        CHECK(in_state(name_of(each))->status == each);
    CHECK(in_state("other")->status == challenge_status::invalid);
    CHECK(parse_challenge(R"({"type":"new-01","url":"https://a/c","status":"pending"})").has_value());
}

TEST_CASE("objects: renewal information (RFC 9773 4.2)")
{
    const auto window = [](std::string_view start, std::string_view end) {
        return parse_renewal_info("{\"suggestedWindow\":{\"start\":\"" + std::string(start) + "\",\"end\":\""
                                  + std::string(end) + "\"},\"explanationURL\":\"https://ca.example/why\"}");
    };
    const renewal_info got = *window("2025-01-02T04:00:00Z", "2025-01-03T05:00:00.5+01:00");
    CHECK(got.start == at("2025-01-02T04:00:00Z"));
    CHECK(got.end == at("2025-01-03T04:00:00.5Z"));
    CHECK(got.explanation_url == "https://ca.example/why");
    CHECK(parse_renewal_info(R"({"suggestedWindow":{"start":"2025-01-02T04:00:00Z","end":"2025-01-03T04:00:00Z"}})")
              ->explanation_url.empty());
    check_fault(window("2025-01-02T04:00:00Z", "2025-01-02T04:00:00Z"), "suggestedWindow does not end");
    check_fault(window("2025-01-03T04:00:00Z", "2025-01-02T04:00:00Z"), "suggestedWindow does not end");
    check_fault(window("soon", "2025-01-02T04:00:00Z"), "renewal information.suggestedWindow.start");
    check_fault(window("2025-01-02T04:00:00Z", ""), "suggestedWindow.end");
    check_fault(parse_renewal_info("{}"), "suggestedWindow is missing");
    check_fault(parse_renewal_info("{\"suggestedWindow\":[]}"), "suggestedWindow is not an object");
}

TEST_CASE("objects: what may stand in a log is in one line, whatever the CA sent")
{
    // A line end, an escape, and a control of C1 (CSI) in UTF-8.
    const std::string sent = R"("a\u000ab\u001b[2J\u009bc")";
    const std::string shown = "a\\x0ab\\x1b[2J\\x9bc";
    const auto about = parse_directory(R"({"newNonce":"https://c.test/n","newAccount":"https://c.test/a",
        "newOrder":"https://c.test/o","meta":{"termsOfService":)" + sent + R"(,"caaIdentities":[)"
                                       + sent + "]}}");
    REQUIRE(about.has_value());
    CHECK(about->terms_of_service == shown);
    CHECK(about->caa_identities == std::vector{shown});
    const auto ordered = parse_order(R"({"status":"invalid","identifiers":[],"replaces":)" + sent + "}");
    REQUIRE(ordered.has_value());
    CHECK(ordered->replaces == shown);
    const auto offered = parse_challenge(R"({"url":"https://c.test/c","status":"pending","type":)" + sent + "}");
    REQUIRE(offered.has_value());
    CHECK(offered->type == shown);
    const auto info = parse_renewal_info(R"({"suggestedWindow":{"start":"2027-01-01T00:00:00Z",
        "end":"2027-01-02T00:00:00Z"},"explanationURL":)" + sent + "}");
    REQUIRE(info.has_value());
    CHECK(info->explanation_url == shown);
    const auto whose = parse_account(R"({"status":"valid","contact":[)" + sent + "]}");
    REQUIRE(whose.has_value());
    CHECK(whose->contact == std::vector{shown});
}
