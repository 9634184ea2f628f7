#include <alos/tls13/config.hpp>

#include <doctest/doctest.h>

using namespace alos;
using namespace alos::tls13;

TEST_CASE("settings that no server can work by are named")
{
    const auto wrong = [](auto change) {
        server_config config;
        change(config);
        const auto checked = check(config);
        return checked ? std::string() : checked.error().what.substr(0, checked.error().what.find(':'));
    };
    CHECK(wrong([](server_config&) {}) == "");
    CHECK(wrong([](server_config& c) { c.suites.clear(); }) == "tls.suites");
    CHECK(wrong([](server_config& c) { c.suites.push_back(cipher_suite{0x1304}); }) == "tls.suites");
    CHECK(wrong([](server_config& c) { c.groups.clear(); }) == "tls.groups");
    CHECK(wrong([](server_config& c) { c.groups.push_back(named_group{0x0019}); }) == "tls.groups");
    CHECK(wrong([](server_config& c) { c.alpn = {"h2", ""}; }) == "tls.alpn");
    CHECK(wrong([](server_config& c) { c.alpn = {std::string(256, 'a')}; }) == "tls.alpn");
    CHECK(wrong([](server_config& c) { c.max_fragment = 0; }) == "tls.max_fragment");
    CHECK(wrong([](server_config& c) { c.max_fragment = 16385; }) == "tls.max_fragment");
    CHECK(wrong([](server_config& c) { c.max_handshake_message = 1023; }) == "tls.max_handshake_message");
    CHECK(wrong([](server_config& c) { c.records_per_key = 0; }) == "tls.records_per_key");
}
