#include <alos/tls_client/botan.hpp>

#include "support/authority.hpp"

#include <doctest/doctest.h>

using namespace alos;
using namespace alos_tests;
using namespace std::chrono_literals;

namespace {

// An engine of each side, and what goes between them.
class pair {
public:
    pair(cert::credential_ptr credential, tls_client::options options, std::size_t piece = 1 << 20) :
        config(made(std::move(credential))), server(config), client(std::move(options)), piece_(piece)
    {
    }

    // Carries bytes until nothing moves any more.
    void run()
    {
        while (carry(client, server) | carry(server, client)) {
            if (server.wants() == tls13::want::signature) {
                tls13::signature_request request = server.signature_request();
                std::move(request).start(
                    [this](result<byte_vector> signature) { server.answer(std::move(signature)); });
            }
        }
    }

    cert::store certificates;
    tls13::server_config config;
    tls13::server_engine server;
    tls_client::engine client;

private:
    tls13::server_config made(cert::credential_ptr credential)
    {
        publish(certificates, std::move(credential));
        tls13::server_config settings;
        settings.certificates = &certificates;
        settings.alpn = {"http/1.1"};
        return settings;
    }

    template <class From, class To>
    bool carry(From& from, To& to)
    {
        bool moved = false;
        while (from.has_output()) {
            const byte_view out = from.output();
            const byte_view part = out.first(std::min(piece_, out.size()));
            copy(part, to.prepare(part.size()));
            to.commit(part.size());
            from.consume_output(part.size());
            static_cast<void>(to.plaintext());
            moved = true;
        }
        static_cast<void>(from.plaintext());
        return moved;
    }

    std::size_t piece_;
};

tls_client::options options_for(const std::string& name, const authority& trusted)
{
    tls_client::options options;
    options.server_name = name;
    options.authorities = tls_client::load_trust_anchors(trusted.pem(), false).value();
    options.now = std::chrono::system_clock::now();
    return options;
}

const authority& ours()
{
    static const authority one;
    return one;
}

// How the handshake with a server of this certificate ends.
struct ending {
    error_code error;
    std::string explanation;
    error_code at_server;
    bool connected;
};

ending handshake(cert::credential_ptr credential, tls_client::options options)
{
    pair both(std::move(credential), std::move(options));
    both.run();
    return {both.client.error(), both.client.explanation(), both.server.error(), both.client.is_connected()};
}

}

TEST_CASE("a client speaks TLS 1.3 with a server that it trusts, whatever the pieces")
{
    for (const std::size_t piece : {std::size_t{1} << 20, std::size_t{1}, std::size_t{7}}) {
        CAPTURE(piece);
        tls_client::options options = options_for("www.example.com", ours());
        options.alpn = {"h2", "http/1.1"};
        pair both(ours().issue({"www.example.com"}), std::move(options), piece);
        CHECK(both.client.has_output()); // the ClientHello
        CHECK_FALSE(both.client.is_connected());
        CHECK(both.client.write(as_bytes("early")) == 0);
        both.run();
        REQUIRE(both.client.is_connected());
        CHECK(both.server.is_connected());
        CHECK(both.client.application_protocol() == "http/1.1");
        CHECK_FALSE(both.client.leaf().empty());

        CHECK(both.client.write(as_bytes("question")) == 8);
        both.run();
        CHECK(as_text(both.server.plaintext()) == "question");
        CHECK(both.server.write(as_bytes("answer")) == 6);
        both.run();
        CHECK(as_text(both.client.plaintext()) == "answer");
        both.client.consume(6);
        CHECK(both.client.plaintext().empty());
        both.client.release();

        both.server.close();
        both.run();
        CHECK(both.client.error() == tls13::alert::close_notify);
        CHECK_FALSE(both.client.is_failed());
        both.client.close();
        both.client.close();
        both.server.consume(8);
        both.run();
        CHECK(both.server.error() == tls13::alert::close_notify);
        CHECK(both.client.write(as_bytes("late")) == 0);
    }
}

TEST_CASE("a server's certificate is for the name that was wanted (RFC 9525 6)")
{
    const auto leaf = ours().issue({"example.com", "*.example.org", "xn--bcher-kva.example"},
                                   {{192, 0, 2, 1}, {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}});
    for (const char* name : {"example.com", "EXAMPLE.com", "example.com.", "www.example.org", "xn--bcher-kva.example",
                             "192.0.2.1", "2001:db8::1", "2001:DB8:0::1", "::ffff:192.0.2.1"}) {
        CAPTURE(name);
        const ending end = handshake(leaf, options_for(name, ours()));
        CHECK(end.connected);
        CHECK_FALSE(end.error);
    }
    for (const char* name : {"www.example.com", "example.org", "a.b.example.org", "server", "192.0.2.2", "2001:db8::2",
                             "*.example.org", "example.com.evil.test"}) {
        CAPTURE(name);
        const ending end = handshake(leaf, options_for(name, ours()));
        CHECK_FALSE(end.connected);
        CHECK(end.error == tls_client::errc::wrong_name);
        CHECK(end.explanation.find("example.com, *.example.org") != std::string::npos);
        CHECK(end.at_server == tls13::alert::bad_certificate);
    }
    // An address is no name: 192.0.2.1 in a dNSName does not count, nor does the common name.
    CHECK_FALSE(handshake(ours().issue({"192.0.2.1"}), options_for("192.0.2.1", ours())).connected);
    CHECK(handshake(ours().issue({}), options_for("server", ours())).explanation == "it is for no name at all");
}

TEST_CASE("what is wrong with a certificate is told apart (RFC 5280 6.1)")
{
    const authority theirs("Another Authority");
    const ending untrusted = handshake(theirs.issue({"a.test"}), options_for("a.test", ours()));
    CHECK(untrusted.error == tls_client::errc::untrusted);
    CHECK(untrusted.explanation.find("Another Authority") != std::string::npos);
    CHECK(untrusted.at_server == tls13::alert::unknown_ca);

    tls_client::options nobody = options_for("a.test", ours());
    nobody.authorities = nullptr;
    CHECK(handshake(ours().issue({"a.test"}), nobody).error == tls_client::errc::untrusted);

    // The same name, another key.
    const authority impostor;
    CHECK_FALSE(handshake(impostor.issue({"a.test"}), options_for("a.test", ours())).connected);

    const auto leaf = ours().issue({"a.test"});
    tls_client::options later = options_for("a.test", ours());
    later.now += 25h;
    const ending expired = handshake(leaf, later);
    CHECK(expired.error == tls_client::errc::expired);
    CHECK(expired.at_server == tls13::alert::certificate_expired);
    tls_client::options earlier = options_for("a.test", ours());
    earlier.now -= 2h;
    CHECK(handshake(leaf, earlier).error == tls_client::errc::not_yet_valid);
}

TEST_CASE("a self-signed certificate is trusted once it is an anchor itself")
{
    const auto made = cert::make_self_signed({"localhost"}, std::chrono::system_clock::now()).value();
    const auto leaf = cert::make_credential(made, {}).value();
    tls_client::options options;
    options.server_name = "localhost";
    options.now = std::chrono::system_clock::now();
    options.authorities = tls_client::load_trust_anchors(ours().pem() + made.certificate, false).value();
    CHECK(handshake(leaf, options).connected);
    options.authorities = tls_client::load_trust_anchors(ours().pem(), false).value();
    CHECK(handshake(leaf, options).error == tls_client::errc::untrusted);
}

TEST_CASE("a look at a certificate verifies nothing and gives the leaf (RFC 8737 3)")
{
    const authority theirs("Another Authority");
    const auto leaf = theirs.issue({"other.test"}, {}, -48h, -24h);
    tls_client::options options;
    options.server_name = "a.test";
    options.alpn = {"http/1.1"};
    options.verify = false;
    pair both(leaf, options);
    both.run();
    CHECK(both.client.is_connected());
    const byte_view shown = both.client.leaf();
    const auto seen = parse_certificate(byte_vector(shown.begin(), shown.end())).value();
    CHECK(seen.dns_names == std::vector<std::string_view>{"other.test"});
}

TEST_CASE("what the other side does wrong is an error with a sentence")
{
    SUBCASE("it does not speak TLS")
    {
        tls_client::engine client(options_for("a.test", ours()));
        const std::string_view answer = "HTTP/1.1 400 Bad Request\r\n\r\n";
        copy(as_bytes(answer), client.prepare(answer.size()));
        client.commit(answer.size());
        CHECK(client.plaintext().empty());
        CHECK(client.error() == tls_client::errc::protocol);
        CHECK(client.is_failed());
        CHECK_FALSE(client.explanation().empty());
        CHECK(client.wants() == tls13::want::nothing);
        client.close();
    }
    SUBCASE("it hangs up")
    {
        tls_client::engine client(options_for("a.test", ours()));
        client.end_of_input();
        CHECK(client.plaintext().empty());
        CHECK(client.error() == alos::errc::truncated);
    }
    SUBCASE("it refuses")
    {
        tls_client::options options = options_for("a.test", ours());
        options.alpn = {"acme-tls/2"};
        const ending end = handshake(ours().issue({"a.test"}), options);
        CHECK(end.error == tls13::alert::no_application_protocol);
    }
    SUBCASE("it answers with noise behind its ServerHello")
    {
        pair both(ours().issue({"a.test"}), options_for("a.test", ours()));
        both.run();
        byte_vector record{0x17, 0x03, 0x03, 0x00, 0x20};
        record.resize(5 + 0x20);
        copy(record, both.client.prepare(record.size()));
        both.client.commit(record.size());
        CHECK(both.client.plaintext().empty());
        CHECK(both.client.error() == tls_client::errc::protocol);
        both.run();
        CHECK(both.server.error() == tls13::alert::bad_record_mac);
    }
    SUBCASE("the options are for nobody")
    {
        tls_client::options options = options_for("a.test", ours());
        options.alpn = {std::string(300, 'a')};
        tls_client::engine client(options);
        CHECK(client.error() == tls_client::errc::protocol);
        CHECK(client.wants() == tls13::want::nothing);
        CHECK(client.plaintext().empty());
        client.close();
    }
}

TEST_CASE("anchors are certificates in PEM, and perhaps those of the system")
{
    CHECK(tls_client::load_trust_anchors("", false).value()->stores().empty());
    CHECK(tls_client::load_trust_anchors(ours().pem(), false).value()->stores().size() == 1);
    CHECK(tls_client::load_trust_anchors("nonsense", false).error().code == alos::errc::bad_pem);
    const auto key = private_key::generate(key_kind::ecdsa_p256).value()->to_pem();
    const auto wrong = tls_client::load_trust_anchors(as_text(key), false);
    CHECK(wrong.error().code == alos::errc::bad_certificate);
    CHECK(wrong.error().what.find("is no certificate") != std::string::npos);
    if (const auto system = tls_client::load_trust_anchors(ours().pem(), true))
        CHECK((*system)->stores().size() == 2);
}

TEST_CASE("the system's anchors are kept once they are there, and looked for until then")
{
    std::atomic<std::shared_ptr<Botan::Certificate_Store>> known;
    unsigned times = 0;
    const auto read = [&times]() -> outcome<std::shared_ptr<Botan::Certificate_Store>> {
        if (++times == 1)
            return failure{alos::errc::bad_configuration, "install the package ca-certificates"};
        return std::make_shared<Botan::Certificate_Store_In_Memory>();
    };
    CHECK_FALSE(tls_client::detail::read_until_there(known, read).has_value());
    const auto there = tls_client::detail::read_until_there(known, read);
    REQUIRE(there.has_value());
    CHECK(tls_client::detail::read_until_there(known, read).value() == *there);
    CHECK(times == 2);
}

TEST_CASE("every error has a sentence")
{
    using tls_client::errc;
    for (const errc each : {errc::untrusted, errc::expired, errc::not_yet_valid, errc::wrong_name,
                            errc::bad_certificate, errc::protocol})
        CHECK(tls_client::make_error_code(each).message() != "unknown error");
}
