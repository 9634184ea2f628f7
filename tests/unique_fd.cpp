#include <alos/unique_fd.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>

using alos::unique_fd;

namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

}

TEST_CASE("a descriptor is closed once, by its last owner")
{
    unique_fd first(::dup(0));
    const int number = first.get();
    REQUIRE(is_open(number));
    unique_fd second(std::move(first));
    CHECK_FALSE(first);
    unique_fd third(::dup(0));
    const int other = third.get();
    third = std::move(second);
    CHECK_FALSE(is_open(other));
    CHECK(third.get() == number);
    CHECK(third.close());
    CHECK_FALSE(is_open(number));
    CHECK(third.close());
    CHECK_FALSE(unique_fd(-1).release() >= 0);
}
