#include <alos/server/address.hpp>

#include <doctest/doctest.h>

using namespace alos;

TEST_CASE("addresses are read and written")
{
    const auto one = [](const char* text) {
        const auto found = resolve_address(text);
        return found ? to_text(found->front()) : "refused: " + found.error().what;
    };
    CHECK(one("127.0.0.1:8443") == "127.0.0.1:8443");
    CHECK(one("[::1]:8443") == "[::1]:8443");
    CHECK(one(":8443") == "[::]:8443");
    CHECK(one("unix:/run/a.sock") == "unix:/run/a.sock");
    CHECK(one("unix:@name") == "unix:@name");
    for (const char* bad : {"", "8443", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "::1:8443",
                            "[::1]", "unix:", "127.0.0.1:84a"}) {
        CAPTURE(bad);
        CHECK(one(bad).find("refused: cannot listen on") == 0);
    }
    CHECK(one(("unix:/" + std::string(120, 'x')).c_str()).find("107") != std::string::npos);
}

TEST_CASE("an IPv4 client of an IPv6 socket is an IPv4 client")
{
    const boost::asio::ip::tcp::endpoint mapped(boost::asio::ip::make_address("::ffff:192.0.2.1"), 80);
    CHECK(to_text(any_endpoint(mapped)) == "192.0.2.1:80");
}
