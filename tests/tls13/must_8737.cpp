// RFC 8737: the handshake that proves control of a name to an ACME server (tls-alpn-01), and RFC 8738 for addresses.
#include <alos/tls13/negotiate.hpp>

#include "support/connection.hpp"

#include <doctest/doctest.h>

#include <set>

namespace alos_tests {
namespace {

constexpr auto alpn = extension_type::application_layer_protocol_negotiation;
constexpr std::string_view reverse_v4 = "1.2.0.192.in-addr.arpa";
constexpr std::string_view reverse_v6 =
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";

// Ordinary certificates for alos.test and *.alos.test, challenges for alos.test and two addresses, and a name that is
// refused.
const cert::store& store()
{
    struct both : cert::store {
        both()
        {
            const auto p256 = signature_scheme::ecdsa_secp256r1_sha256;
            std::vector<cert::entry> ordinary{{"alos.test", {fake_credential("ordinary", p256)}},
                                              {"*.alos.test", {fake_credential("wildcard", p256)}}};
            std::vector<cert::entry> challenges{{"alos.test", {fake_credential("challenge", p256)}},
                                                {std::string(reverse_v4), {fake_credential("challenge v4", p256)}},
                                                {std::string(reverse_v6), {fake_credential("challenge v6", p256)}}};
            const std::set<std::string> refused{"soon.test", "*.soon.test", "alos.test"};
            publish(std::make_shared<const cert::snapshot>(std::move(ordinary), "", std::move(challenges), refused));
        }
    };
    static const both certificates;
    return certificates;
}

server_config config_with(std::vector<std::string> served)
{
    server_config config = test_config();
    config.certificates = &store();
    config.alpn = std::move(served);
    return config;
}

struct answer {
    std::string certificate; // empty: none was shown
    std::string protocol;
    ending end;
};

answer ask(std::string_view name, const std::vector<std::string_view>& offered,
           std::vector<std::string> served = {"http/1.1"})
{
    connection tls(config_with(std::move(served)));
    if (name.empty())
        tls.client.hello.remove(extension_type::server_name);
    else
        tls.client.hello.set(extension_type::server_name, server_name(name));
    if (!offered.empty())
        tls.client.hello.set(alpn, protocols(offered));
    tls.feed(tls.client.client_hello());
    if (tls.client.complete)
        tls.feed(tls.client.finished());
    answer seen{{}, tls.server.negotiated().alpn, tls.end()};
    if (const seen_message* message = tls.client.message(handshake_type::certificate)) {
        reader in(message->body);
        in.vector8();
        reader list(in.vector24());
        seen.certificate = as_text(list.vector24());
    }
    return seen;
}

const ending no_protocol = refused(errc::no_application_protocol, alert::no_application_protocol);
const ending no_name = refused(errc::no_certificate, alert::unrecognized_name);

}

TEST_CASE("RFC 8737 3: acme-tls/1 alone is answered with the challenge's certificate, whatever tls.alpn says")
{
    for (const auto& served : std::vector<std::vector<std::string>>{{}, {"http/1.1"}, {"h2", "acme-tls/1"}}) {
        const answer seen = ask("alos.test", {"acme-tls/1"}, served);
        CHECK(seen.end == accepted());
        CHECK(seen.certificate == "challenge");
        CHECK(seen.protocol == "acme-tls/1");
    }
    CHECK(ask("ALOS.Test", {"acme-tls/1"}).certificate == "challenge"); // RFC 4343
}

TEST_CASE("RFC 8737 3: EncryptedExtensions say acme-tls/1, and nothing else")
{
    connection tls(config_with({"http/1.1"}));
    tls.client.hello.set(alpn, protocols({"acme-tls/1"}));
    tls.client.hello.set(extension_type::server_name, server_name(reverse_v4));
    tls.feed(tls.client.client_hello());
    const byte_vector frame{0x00, 0x11, 0x00, 0x10, 0x00, 0x0d, 0x00, 0x0b, 0x0a};
    const byte_vector expected = joined({frame, as_bytes("acme-tls/1")});
    CHECK(tls.client.message(handshake_type::encrypted_extensions)->body == expected);
}

TEST_CASE("RFC 8737 3: without a challenge for the name it is no_application_protocol, never another certificate")
{
    for (const auto& served : std::vector<std::vector<std::string>>{{}, {"http/1.1"}, {"acme-tls/1"}}) {
        for (const std::string_view name : {"www.alos.test", "unknown.test", "soon.test", ""}) {
            CAPTURE(name);
            const answer seen = ask(name, {"acme-tls/1"}, served);
            CHECK(seen.end == no_protocol);
            CHECK(seen.certificate.empty());
        }
    }
}

TEST_CASE("RFC 8737 4: acme-tls/1 is only for validations: who offers more has not offered it")
{
    for (const std::vector<std::string_view>& offered : std::vector<std::vector<std::string_view>>{
             {"acme-tls/1", "http/1.1"}, {"http/1.1", "acme-tls/1"}, {"acme-tls/1", "acme-tls/1", "http/1.1"}}) {
        const answer seen = ask("alos.test", offered, {"acme-tls/1", "http/1.1"});
        CHECK(seen.end == accepted());
        CHECK(seen.certificate == "ordinary");
        CHECK(seen.protocol == "http/1.1");
    }
    CHECK(ask("alos.test", {"acme-tls/1", "h2"}).end == no_protocol);
    CHECK(ask("alos.test", {"acme-tls/1", "acme-tls/1"}).end == no_protocol);
    const answer without_alpn = ask("alos.test", {"acme-tls/1", "h2"}, {});
    CHECK(without_alpn.certificate == "ordinary");
    CHECK(without_alpn.protocol.empty());
}

TEST_CASE("RFC 8737 6.2: names that only look like acme-tls/1 are ordinary ones")
{
    for (const std::string_view other : {"acme-tls/2", "acme-tls/", "ACME-TLS/1", "acme-tls/1 "}) {
        CAPTURE(other);
        CHECK(ask("alos.test", {other}).end == no_protocol);
        CHECK(ask("alos.test", {other}, {}).certificate == "ordinary");
    }
}

TEST_CASE("RFC 8737 5: ordinary clients never see a challenge's certificate")
{
    CHECK(ask("alos.test", {"http/1.1"}).certificate == "ordinary");
    CHECK(ask("alos.test", {}).certificate == "ordinary");
    CHECK(ask("www.alos.test", {"http/1.1"}).certificate == "wildcard");
    CHECK(ask(reverse_v4, {"http/1.1"}).certificate == "ordinary"); // the default's
}

TEST_CASE("RFC 8738 6: the challenge for an address is found by its reverse name")
{
    CHECK(ask(reverse_v4, {"acme-tls/1"}).certificate == "challenge v4");
    CHECK(ask(reverse_v6, {"acme-tls/1"}).certificate == "challenge v6");
    CHECK(ask("2.2.0.192.in-addr.arpa", {"acme-tls/1"}).end == no_protocol);
    CHECK(ask("192.0.2.1", {"acme-tls/1"}).end == no_protocol);
}

TEST_CASE("RFC 8737 3: a challenge needs a signature that the client takes")
{
    connection tls(config_with({"http/1.1"}));
    tls.client.hello.set(alpn, protocols({"acme-tls/1"}));
    tls.client.hello.set(extension_type::signature_algorithms,
                         list16<signature_scheme>({signature_scheme::rsa_pss_rsae_sha256}));
    tls.feed(tls.client.client_hello());
    CHECK(tls.end() == refused(errc::no_common_signature_scheme, alert::handshake_failure));
}

TEST_CASE("RFC 8737 3: a validation goes through a HelloRetryRequest like any other handshake")
{
    connection tls(config_with({"http/1.1"}));
    tls.client.hello.set(alpn, protocols({"acme-tls/1"}));
    tls.client.offer_shares({});
    tls.handshake();
    CHECK(tls.client.retried);
    CHECK(tls.server.negotiated().alpn == "acme-tls/1");
    tls.server.close();
    tls.flush();
    CHECK(tls.client.received_alert == alert::close_notify);
}

TEST_CASE("RFC 6066 3: a name that is refused gets unrecognized_name, unless there is a certificate for it")
{
    CHECK(ask("soon.test", {"http/1.1"}).end == no_name);
    CHECK(ask("Soon.Test", {}).end == no_name);
    CHECK(ask("www.soon.test", {}).end == no_name);
    CHECK(ask("a.www.soon.test", {}).certificate == "ordinary"); // two labels
    CHECK(ask("unknown.test", {}).certificate == "ordinary");
    CHECK(ask("alos.test", {}).certificate == "ordinary");
    CHECK(ask("", {}).certificate == "ordinary");
}

}
