#include <alos/acme/answers.hpp>

#include <doctest/doctest.h>

using namespace alos;

TEST_CASE("challenges come and go")
{
    acme::answers table;
    CHECK_FALSE(table.find("token"));
    table.put("token", "token.thumbprint");
    table.put("token", "token.thumbprint2");
    CHECK(table.find("token") == "token.thumbprint2");
    table.remove("token");
    table.remove("token");
    CHECK_FALSE(table.find("token"));
}

TEST_CASE("what is not ours is looked for elsewhere, and elsewhere may ask us")
{
    acme::answers table;
    table.put("mine", "mine.thumbprint");
    table.also_look_in([&](std::string_view token) -> std::optional<std::string> {
        return token == "theirs" ? table.find("mine") : std::nullopt;
    });
    CHECK(table.find("mine") == "mine.thumbprint");
    CHECK(table.find("theirs") == "mine.thumbprint");
    CHECK_FALSE(table.find("other"));
    table.also_look_in(nullptr);
    CHECK_FALSE(table.find("theirs"));
}
