#include <alos/acme/provable.hpp>

#include <doctest/doctest.h>

using namespace alos::acme;

TEST_CASE("provable: dns-01 needs a solver and a name; wildcards are for it alone (RFC 8555 8.4, RFC 8738 7)")
{
    config settings;
    const identifier name = *identifier_of("example.com");
    const identifier wildcard = *identifier_of("*.example.com");
    const identifier address = *identifier_of("192.0.2.1");
    for (const challenge_type each : {challenge_type::http_01, challenge_type::tls_alpn_01}) {
        CHECK(can_prove(settings, each, name));
        CHECK(can_prove(settings, each, address));
        CHECK_FALSE(can_prove(settings, each, wildcard));
    }
    CHECK_FALSE(can_prove(settings, challenge_type::dns_01, name));
    CHECK(check_provable(settings, name).has_value());
    CHECK(check_provable(settings, wildcard).error().what.ends_with("set `dns`, and leave dns-01 in `challenges`"));
    CHECK(check_provable(settings, certificate_names{"example.com", "*.example.com"}).has_error());
    settings.challenges = {challenge_type::dns_01};
    CHECK(check_provable(settings, address).error().what.find("add one of them") != std::string::npos);
}
