#include <alos/acme/status_json.hpp>

#include <boost/json/serialize.hpp>

#include <doctest/doctest.h>

TEST_CASE("status: what is known is said, and what is not is null")
{
    using namespace std::chrono_literals;
    alos::acme::certificate_status one;
    one.id = "example.com.ecdsa-p256";
    one.names = {"example.com", "www.example.com"};
    one.key_type = "ecdsa-p256";
    one.next_attempt = std::chrono::sys_days{std::chrono::year{2027} / 3 / 1} + 12h;
    one.failures = 2;
    one.last_error = "order: \"no\"";
    CHECK(boost::json::serialize(to_json(one))
          == R"({"id":"example.com.ecdsa-p256","names":["example.com","www.example.com"],"keyType":"ecdsa-p256",)"
             R"("issuer":null,"notBefore":null,"notAfter":null,"nextAttempt":"2027-03-01T12:00:00Z","failures":2,)"
             R"("lastError":"order: \"no\"","ca":null,"profile":null,"generation":0})");
}

TEST_CASE("status: several are an array")
{
    CHECK(alos::acme::to_json_text({}) == "[]");
    const std::string text = alos::acme::to_json_text(std::vector<alos::acme::certificate_status>(2));
    CHECK(text.starts_with("[{\"id\":\"\","));
    CHECK(text.find("},{") != std::string::npos);
}
