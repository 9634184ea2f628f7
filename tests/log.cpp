#include <alos/log.hpp>

#include <doctest/doctest.h>

using namespace alos;

namespace {

struct one_record {
    std::vector<log_field> fields;
    log_record record(log_level level = log_level::info) const
    {
        return {std::chrono::system_clock::time_point(std::chrono::seconds(1'795'342'551)), level, "tls.handshake",
                fields};
    }
};

}

TEST_CASE("a record as text and as JSON")
{
    const one_record one{{{"peer", "192.0.2.1:40312"}, {"sni", "example.com"}, {"n", 5}, {"none", ""}}};
    CHECK(to_text(one.record())
          == "2026-11-22T10:15:51Z INFO  tls.handshake  peer=192.0.2.1:40312 sni=example.com n=5");
    CHECK(to_json(one.record(log_level::warning))
          == R"({"time":"2026-11-22T10:15:51Z","level":"warning","event":"tls.handshake",)"
             R"("peer":"192.0.2.1:40312","sni":"example.com","n":5})");
}

TEST_CASE("nobody else writes lines, fields or escape sequences into the log")
{
    const one_record one{
        {{"sni", "a\nERROR fake\x1b[31m"}, {"path", "x peer=1"}, {"quote", "\"\\"},
         {"high", "\xc2\x85"}, {"bidi", "\xe2\x80\xae"}, {"bad", "\xff"}, {"word", "\xc3\xa9"}}};
    const std::string text = to_text(one.record());
    CHECK(text.find('\n') == std::string::npos);
    CHECK(text.find('\x1b') == std::string::npos);
    CHECK(text.find(R"(sni="a\u000aERROR fake\u001b[31m" path="x peer=1" quote="\"\\" high="\u0085" bidi="\u202e" )"
                    R"(bad="\\xff" word="é")")
          != std::string::npos);
    const std::string json = to_json(one.record());
    CHECK(json.find('\n') == std::string::npos);
    CHECK(json.find('\x1b') == std::string::npos);
}

TEST_CASE("a log takes what is important enough, and gives it to its hook")
{
    std::vector<std::string> events;
    const logger log(
        {.level = log_level::warning, .hook = [&](const log_record& record) { events.emplace_back(record.event); }});
    log_event(log, log_level::info, "a.b", {});
    log_event(log, log_level::error, "c.d", {{"x", 1}});
    CHECK(events == std::vector<std::string>{"c.d"});
    CHECK_FALSE(logger({.level = log_level::off}).takes(log_level::error));
}

TEST_CASE("colour is for the level only")
{
    CHECK(to_text(one_record{}.record(log_level::error), true)
          == "2026-11-22T10:15:51Z \x1b[31mERROR\x1b[0m tls.handshake ");
}
