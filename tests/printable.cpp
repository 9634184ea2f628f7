#include <alos/printable.hpp>

#include <doctest/doctest.h>

using alos::detail::first_character;

TEST_CASE("printable: characters of each length are read, and what is no UTF-8 is one byte (RFC 3629 3)")
{
    const auto code_of = [](std::string_view text) {
        const auto read = first_character(text);
        return read.is_valid && read.size == text.size() ? read.code : 0;
    };
    CHECK(code_of("a") == 'a');
    CHECK(code_of("\xc3\xa9") == 0xe9);
    CHECK(code_of("\xe2\x80\xae") == 0x202e);
    CHECK(code_of("\xf0\x9f\x98\x80") == 0x1f600);
    CHECK(code_of("\xf4\x8f\xbf\xbf") == 0x10ffff);
    for (const std::string_view bad : {"\x80", "\xff", "\xc3", "\xc3(", "\xc0\xaf", "\xe0\x80\xaf", "\xe2\x80",
                                       "\xed\xa0\x80", "\xf0\x80\x80\xaf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80"}) {
        const auto read = first_character(bad);
        CHECK_FALSE(read.is_valid);
        CHECK_FALSE(read.is_printable());
        CHECK(read.size == 1);
        CHECK(read.code == static_cast<unsigned char>(bad.front()));
    }
}

TEST_CASE("printable: controls, and what moves other text about, are not")
{
    for (const std::string_view good : {" ", "~", "\xc2\xa0", "\xc3\xa9", "\xe2\x80\x93", "\xf0\x9f\x98\x80"})
        CHECK(first_character(good).is_printable());
    for (const std::string_view bad : {"\n", "\x1b", "\x7f", "\xc2\x80", "\xc2\x9f", "\xd8\x9c", "\xe2\x80\x8e",
                                       "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaa", "\xe2\x80\xae", "\xe2\x81\xa6",
                                       "\xe2\x81\xa9"})
        CHECK_FALSE(first_character(bad).is_printable());
}
