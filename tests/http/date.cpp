#include <alos/http/date.hpp>

#include <doctest/doctest.h>

using namespace alos::http;

TEST_CASE("date: an IMF-fixdate is written (RFC 9110 5.6.7)")
{
    CHECK(format_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK(format_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT");
    CHECK(format_date(951782400) == "Tue, 29 Feb 2000 00:00:00 GMT");
    CHECK(format_date(4102444799) == "Thu, 31 Dec 2099 23:59:59 GMT");
    CHECK(format_date(-1) == "Wed, 31 Dec 1969 23:59:59 GMT");
}

TEST_CASE("date: all three formats are read (RFC 9110 5.6.7)")
{
    CHECK(parse_date("Sun, 06 Nov 1994 08:49:37 GMT") == 784111777);
    CHECK(parse_date("Sunday, 06-Nov-94 08:49:37 GMT") == 784111777);
    CHECK(parse_date("Sun Nov  6 08:49:37 1994") == 784111777);
    CHECK(parse_date("Wed Nov 16 08:49:37 1994") == 784111777 + 10 * 86400);
}

TEST_CASE("date: a year of two digits is at most 50 years ahead (RFC 9110 5.6.7)")
{
    const std::time_t in_2026 = 1795000000;
    CHECK(format_date(*parse_date("Friday, 01-Jan-27 00:00:00 GMT", in_2026)) == "Fri, 01 Jan 2027 00:00:00 GMT");
    CHECK(format_date(*parse_date("Wednesday, 01-Jan-76 00:00:00 GMT", in_2026)) == "Wed, 01 Jan 2076 00:00:00 GMT");
    CHECK(format_date(*parse_date("Saturday, 01-Jan-77 00:00:00 GMT", in_2026)) == "Sat, 01 Jan 1977 00:00:00 GMT");
}

TEST_CASE("date: what is written is read back, from 1900 to 2200")
{
    for (std::time_t when = -2208988800; when < 7258118400; when += 86400 * 13 + 3607)
        CHECK(parse_date(format_date(when)) == when);
}

TEST_CASE("date: what is no date is none")
{
    for (const char* bad :
         {"", "x", "Sun", "Sun, ", "0", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 GMT ",
          "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
          "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 32 Nov 1994 08:49:37 GMT",
          "Sun, 06 Nov 1994 08-49-37 GMT", "Sunday, 06-Nov-1994 08:49:37 GMT", "Sun Nov 6 08:49:37 1994"})
        CHECK_FALSE_MESSAGE(parse_date(bad), bad);
}

TEST_CASE("date: the cache follows the clock")
{
    date_cache cache;
    CHECK(cache.at(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK(cache.at(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK(cache.at(784111778) == "Sun, 06 Nov 1994 08:49:38 GMT");
    CHECK(cache.at(0) == "Thu, 01 Jan 1970 00:00:00 GMT");
}

TEST_CASE("a day that the month does not have is no date")
{
    CHECK(parse_date("Tue, 29 Feb 2000 00:00:00 GMT") == 951782400);
    CHECK_FALSE(parse_date("Mon, 29 Feb 1999 00:00:00 GMT"));
    CHECK_FALSE(parse_date("Sun, 31 Apr 1994 08:49:37 GMT"));
    CHECK_FALSE(parse_date("Sun, 00 Nov 1994 08:49:37 GMT"));
}
