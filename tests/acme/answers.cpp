#include <alos/acme/answers.hpp>

#include "support/run.hpp"

#include <doctest/doctest.h>

using namespace alos;

namespace {

std::optional<std::string> look(const acme::answers& table, std::string token)
{
    std::optional<std::string> found;
    const auto work = [](const acme::answers& in, std::string of, std::optional<std::string>& into) -> awaitable<> {
        const auto found = co_await in.find_elsewhere(std::move(of));
        into = found.value();
    };
    test::run(work(table, std::move(token), found));
    return found;
}

}

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
    CHECK_FALSE(table.has_elsewhere());
    CHECK_FALSE(look(table, "theirs"));
    table.also_look_in([&](std::string token) -> awaitable<acme::answers::looked_up> {
        co_return token == "theirs" ? table.find("mine") : std::nullopt;
    });
    CHECK(table.has_elsewhere());
    CHECK(table.find("mine") == "mine.thumbprint");
    CHECK_FALSE(table.find("theirs"));
    CHECK(look(table, "theirs") == "mine.thumbprint");
    CHECK_FALSE(look(table, "other"));
    table.also_look_in(nullptr);
    CHECK_FALSE(look(table, "theirs"));
}
