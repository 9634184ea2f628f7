#include <alos/http/json.hpp>

#include <doctest/doctest.h>

#include <boost/json/src.hpp>

#include <map>

using alos::response;

namespace {

std::string json(const auto& document)
{
    response res;
    res.json(document);
    CHECK(res.header("Content-Type") == "application/json");
    return alos::http::access::data(res).body;
}

}

TEST_CASE("json: values, containers, and what converts to them")
{
    CHECK(json(boost::json::value(7)) == "7");
    CHECK(json(boost::json::object{{"a", nullptr}}) == "{\"a\":null}");
    CHECK(json(boost::json::array{1, "b"}) == "[1,\"b\"]");
    CHECK(json(boost::json::string("x\n")) == "\"x\\n\"");
    CHECK(json(std::map<std::string, int>{{"a", 1}}) == "{\"a\":1}");
    CHECK(json(std::vector<int>(3000, 1)).size() == 6001);
}

TEST_CASE("json: a braced list needs no type")
{
    response res;
    res.json({{"answer", 42}, {"list", {1, 2, 3}}});
    CHECK(alos::http::access::data(res).body == "{\"answer\":42,\"list\":[1,2,3]}");
}

TEST_CASE("json: a body is parsed, or is not JSON (RFC 8259)")
{
    CHECK(alos::parse_json("{\"a\": [1]}")->at("a").at(0) == 1);
    for (const char* bad : {"", "{", "{}x", "nul", "{\"a\":1,}"})
        CHECK_FALSE(alos::parse_json(bad).has_value());
    CHECK_FALSE(alos::parse_json(std::string(100000, '[')).has_value());
}
