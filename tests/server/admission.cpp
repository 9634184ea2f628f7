#include <alos/server/admission.hpp>

#include <doctest/doctest.h>

using namespace alos;

namespace {

client_key key(const char* address) { return client_key_of(boost::asio::ip::make_address(address)); }

}

TEST_CASE("admission counts in total and by address")
{
    admission gate(3, 2);
    CHECK(gate.enter(key("192.0.2.1")));
    CHECK(gate.enter(key("192.0.2.1")));
    CHECK_FALSE(gate.enter(key("192.0.2.1")));
    CHECK(gate.open() == 2);
    CHECK(gate.enter(key("192.0.2.2")));
    CHECK_FALSE(gate.enter(key("192.0.2.3")));
    gate.leave(key("192.0.2.1"));
    CHECK(gate.enter(key("192.0.2.3")));
    CHECK(gate.open() == 3);
}

TEST_CASE("admission: an IPv6 client is its /64, a Unix socket is nobody")
{
    admission gate(0, 1);
    CHECK(gate.enter(key("2001:db8::1")));
    CHECK_FALSE(gate.enter(key("2001:db8::2")));
    CHECK(gate.enter(key("2001:db8:0:1::1")));
    CHECK(gate.enter(key("::1")));
    CHECK_FALSE(gate.enter(key("::1")));
    CHECK(gate.enter(key("0.0.0.0")));
    CHECK(gate.enter({}));
    CHECK(gate.enter({}));
    CHECK(gate.open() == 6);
}
