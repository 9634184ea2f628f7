#include <alos/tls13/alert.hpp>

#include <doctest/doctest.h>

using namespace alos;

TEST_CASE("an errc is an error_code with words, and none of them is success")
{
    const error_code code = tls13::errc::duplicate_key_share;
    CHECK(code.failed());
    CHECK(code.message() == "two key shares for one group");
    CHECK(code == tls13::errc::duplicate_key_share);
    CHECK(code != tls13::errc::bad_key_share);
    CHECK_FALSE(error_code(tls13::errc::none).failed());
}

TEST_CASE("a received alert is an error_code, close_notify included")
{
    const error_code code = tls13::alert::close_notify;
    CHECK(code.failed());
    CHECK(code == tls13::alert::close_notify);
    CHECK(error_code(tls13::alert::bad_certificate).message() == "the peer sent the alert bad_certificate (42)");
    CHECK(error_code(tls13::alert{200}).message() == "the peer sent the alert unknown alert (200)");
}

TEST_CASE("an alert that was sent and one that was received do not compare equal")
{
    CHECK(error_code(tls13::errc{40}) != error_code(tls13::alert::handshake_failure));
}
