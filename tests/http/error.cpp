#include <alos/http/error.hpp>

#include <doctest/doctest.h>

#include <set>

using namespace alos::http;

TEST_CASE("http error: each has a text of its own and a status that blames the right side")
{
    std::set<std::string> texts;
    for (int i = 1; i <= static_cast<int>(errc::response_unfinished); ++i) {
        const alos::error_code ec = static_cast<errc>(i);
        CHECK(ec.category() == http_category());
        CHECK(ec.message() != "unknown error");
        texts.insert(ec.message());
        const unsigned status = status_of(static_cast<errc>(i));
        CHECK(status >= 400);
        CHECK_FALSE(reason_phrase(status).empty());
    }
    CHECK(texts.size() == static_cast<std::size_t>(errc::response_unfinished));
    CHECK(http_category().message(999) == "unknown error");
}

TEST_CASE("http error: reason phrases (RFC 9110 15)")
{
    static_assert(reason_phrase(200) == "OK");
    static_assert(reason_phrase(404) == "Not Found");
    static_assert(reason_phrase(299).empty());
}
