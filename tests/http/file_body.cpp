#include <alos/http/file_body.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdio>

#include <fcntl.h>

using alos::http::file_body;

namespace {

// A file without a name that holds "0123456789".
alos::unique_fd ten_bytes()
{
    std::FILE* const file = std::tmpfile();
    std::fputs("0123456789", file);
    std::fflush(file);
    alos::unique_fd copy(::fcntl(::fileno(file), F_DUPFD_CLOEXEC, 0));
    std::fclose(file);
    return copy;
}

}

TEST_CASE("file body: a part of a file, piece by piece")
{
    file_body file(ten_bytes(), 2, 5);
    std::array<std::uint8_t, 3> piece;
    CHECK(file.left() == 5);
    CHECK(file.read(piece) == 3u);
    CHECK(piece[0] == '2');
    CHECK(file.read(piece) == 2u);
    CHECK(piece[1] == '6');
    CHECK(file.left() == 0);
    CHECK(file.read(piece) == 0u);
}

TEST_CASE("file body: a file that shrank is an error, not a short body")
{
    file_body file(ten_bytes(), 8, 5);
    std::array<std::uint8_t, 16> piece;
    CHECK(file.read(piece) == 2u);
    CHECK(file.read(piece).error() == alos::http::errc::response_unfinished);
}

TEST_CASE("file body: is closed when it goes, and moves")
{
    alos::unique_fd opened = ten_bytes();
    const int descriptor = opened.get();
    {
        file_body first(std::move(opened), 0, 10);
        file_body second(std::move(first));
        CHECK_FALSE(first.is_open());
        CHECK(second.is_open());
        file_body third;
        third = std::move(second);
        CHECK(third.left() == 10);
    }
    CHECK(::fcntl(descriptor, F_GETFD) == -1);
    file_body none;
    std::array<std::uint8_t, 1> piece;
    CHECK(none.read(piece) == 0u);
}
