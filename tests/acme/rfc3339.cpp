#include <alos/acme/rfc3339.hpp>

#include <doctest/doctest.h>

using namespace alos;
using namespace alos::acme;
using std::chrono::milliseconds, std::chrono::nanoseconds, std::chrono::seconds;

namespace {

time_point at(std::int64_t since_1970) { return time_point(seconds(since_1970)); }

}

TEST_CASE("rfc3339: the examples of the RFC (RFC 3339 5.8)")
{
    CHECK(*parse_rfc3339("1985-04-12T23:20:50.52Z") == at(482196050) + milliseconds(520));
    CHECK(*parse_rfc3339("1996-12-19T16:39:57-08:00") == at(851042397));
    CHECK(*parse_rfc3339("1990-12-31T23:59:60Z") == at(662688000));
    CHECK(*parse_rfc3339("1990-12-31T15:59:60-08:00") == at(662688000));
    CHECK(*parse_rfc3339("1937-01-01T12:00:27.87+00:20") == at(-1041337173) + milliseconds(870));
}

TEST_CASE("rfc3339: fractions of any length, offsets, small letters (RFC 3339 5.6)")
{
    CHECK(*parse_rfc3339("2026-11-22T00:00:00.123456789Z") == at(1795305600) + nanoseconds(123456789));
    CHECK(*parse_rfc3339("2026-11-22T00:00:00.12345678999999999999999Z") == at(1795305600) + nanoseconds(123456789));
    CHECK(*parse_rfc3339("2026-11-22t00:00:00z") == at(1795305600));
    CHECK(*parse_rfc3339("2026-11-22 05:30:00+05:30") == at(1795305600));
    CHECK(*parse_rfc3339("2026-11-21T18:30:00.5-05:30") == at(1795305600) + milliseconds(500));
    CHECK(*parse_rfc3339("2024-02-29T00:00:00-00:00") == at(1709164800));
}

TEST_CASE("rfc3339: what a clock cannot hold is taken as the nearest that we keep")
{
    CHECK(format_rfc3339(*parse_rfc3339("9999-12-31T23:59:59Z")) == "2200-01-01T00:00:00Z");
    CHECK(format_rfc3339(*parse_rfc3339("0001-01-01T00:00:00Z")) == "1900-01-01T00:00:00Z");
    CHECK(format_rfc3339(*parse_rfc3339("0000-01-01T00:00:00+23:59")) == "1900-01-01T00:00:00Z");
}

TEST_CASE("rfc3339: anything else is refused")
{
    for (const char* bad :
         {"", "2026", "2026-11-22", "2026-11-22T", "2026-11-22T00:00:00", "2026-11-22T00:00Z", "2026-11-22T00:00:00.Z",
          "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-11-31T00:00:00Z",
          "2026-11-22T24:00:00Z", "2026-11-22T00:60:00Z", "2026-11-22T00:00:61Z", "2026-11-22T00:00:00+24:00",
          "2026-11-22T00:00:00+0100", "2026-11-22T00:00:00+01:60", "2026-11-22T00:00:00Zx", "2026-11-22T00:00:00 Z",
          "2026-11-22x00:00:00Z", "26-11-22T00:00:00Z", "+026-11-22T00:00:00Z", "2026-11-22T00:00:00.5", "Z"}) {
        CAPTURE(bad);
        CHECK(parse_rfc3339(bad).error() == boost::system::errc::bad_message);
    }
}

TEST_CASE("rfc3339: what is written can be read")
{
    CHECK(format_rfc3339(at(1795391732)) == "2026-11-22T23:55:32Z");
    CHECK(format_rfc3339(at(0)) == "1970-01-01T00:00:00Z");
    CHECK(format_rfc3339(at(-1)) == "1969-12-31T23:59:59Z");
    CHECK(format_rfc3339(at(0) + milliseconds(999)) == "1970-01-01T00:00:00Z");
    for (std::int64_t second = -2000000000; second < 7000000000; second += 987654321)
        CHECK(*parse_rfc3339(format_rfc3339(at(second))) == at(second));
}
