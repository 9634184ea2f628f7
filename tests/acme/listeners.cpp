#include <alos/acme/listeners.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace alos::acme;
using alos::log_level;

TEST_CASE("listeners: who waits for one certificate hears of that one, and of what concerns all, until it leaves")
{
    std::vector<std::string> all, one;
    listeners those({}, [&](const event& what) { all.push_back(what.message); });
    {
        const listeners::listening place(those, "a", [&](const event& what) { one.push_back(what.message); });
        const listeners::listening silent(those, "a", {});
        those.tell({event_kind::progress, "a", "1"});
        those.tell({event_kind::progress, "b", "2"});
        those.tell({event_kind::account_created, "", "3"});
    }
    those.tell({event_kind::progress, "a", "4"});
    CHECK(all == std::vector<std::string>{"1", "2", "3", "4"});
    CHECK(one == std::vector<std::string>{"1", "3"});
}

TEST_CASE("listeners: what one of them throws is logged, and the others hear of the event")
{
    std::vector<std::pair<log_level, std::string>> lines;
    const auto log = [&](log_level level, std::string_view event, std::initializer_list<alos::log_field>) {
        lines.emplace_back(level, event);
    };
    unsigned told = 0;
    listeners those(log, [](const event&) { throw std::runtime_error("not today"); });
    const listeners::listening place(those, "a", [&](const event&) { ++told; });
    those.tell({event_kind::obtained, "a", "obtained"});
    those.tell({event_kind::progress, "a", "warning: it cannot be seen"});
    CHECK(told == 2);
    const std::vector<std::pair<log_level, std::string>> expected{{log_level::info, "acme.obtained"},
                                                                  {log_level::error, "acme.event"},
                                                                  {log_level::warning, "acme.progress"},
                                                                  {log_level::error, "acme.event"}};
    CHECK(lines == expected);
}
