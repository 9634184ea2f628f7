// RFC 8446 2, Figure 1, as the server sees it: the whole handshake, straight down.
#ifndef ALOS_TLS13_SERVER_HANDSHAKE_HPP
#define ALOS_TLS13_SERVER_HANDSHAKE_HPP

#include <alos/tls13/certificate.hpp>
#include <alos/tls13/core.hpp>
#include <alos/tls13/encrypted_extensions.hpp>
#include <alos/tls13/finished.hpp>
#include <alos/tls13/server_hello.hpp>

#include <array>
#include <memory>
#include <utility>

namespace alos::inline v0::tls13 {

// RFC 8446 4.1.2, 4.1.4, 4.2.2, 4.2.8: what a ClientHello has to be that answers a HelloRetryRequest.
[[nodiscard]] inline errc check_second_hello(const client_hello& first, const client_hello& second,
                                             named_group group, byte_view cookie)
{
    if (second.early_data)
        return errc::early_data_after_retry;
    if (!second.offers_tls13 || differs_illegally(first, second))
        return errc::second_hello_changed;
    if (!second.key_share.is_only(group))
        return errc::second_hello_wrong_share;
    if (!equal(second.cookie.value_or(byte_view{}), cookie))
        return errc::wrong_cookie;
    return errc::none;
}

// `io` and `config` outlive the coroutine. Core: see server_core.
template <class Core>
flow server_handshake(Core& io, const server_config& config)
{
    using crypto = typename Core::crypto_type;

    auto hello = co_await io.template expect<client_hello>(); // 4.1.2
    if (!hello.offers_tls13)
        co_return errc::tls13_not_offered; // 4.2.1
    if (hello.cookie)
        co_return errc::unasked_cookie; // 4.2.2
    const auto choice = negotiate(hello, config); // 4.1.1
    if (!choice)
        co_return choice.error();
    io.agreed().suite = choice->suite;
    io.agreed().group = choice->group;
    io.agreed().hello_retry = choice->retry;
    io.transcript().start(hash_of(choice->suite));
    const bool middlebox_compatible = !hello.session_id.empty(); // D.4
    if (hello.early_data)
        io.skip_early_data(); // 4.2.10

    if (choice->retry) { // 4.1.4
        if (!io.at_record_boundary())
            co_return errc::keys_within_record;
        const byte_vector cookie = io.retry_cookie();
        io.transcript().replace_with_message_hash(); // 4.4.1
        io.send(handshake_type::server_hello,
                hello_retry_request(hello.session_id, choice->suite, choice->group, cookie));
        if (middlebox_compatible)
            io.send_change_cipher_spec();
        auto second = co_await io.template expect<client_hello>();
        if (const errc bad = check_second_hello(hello, second, choice->group, cookie); bad != errc::none)
            co_return bad;
        hello = std::move(second);
    }

    const std::shared_ptr<const cert::snapshot> certificates = config.certificates->load();
    const bool is_validation = is_acme_validation(hello); // RFC 8737 3
    const auto protocol = is_validation ? acme_tls_protocol : choose_protocol(hello, config); // RFC 7301
    if (!protocol)
        co_return protocol.error();
    io.agreed().server_name = hello.server_name;
    io.agreed().alpn = *protocol;
    const auto signer = is_validation ? choose_challenge(hello, *certificates)
                                      : choose_credential(hello, *certificates, io.local_address()); // 4.4.2.2
    if (!signer)
        co_return signer.error();
    io.agreed().scheme = signer->scheme;

    const auto boundary = io.at_record_boundary(); // 5.1
    if (!boundary)
        co_return errc::keys_within_record;
    auto agreed = io.crypto().agree(choice->group, *hello.key_share.find(choice->group)); // 4.2.8, 7.4
    if (!agreed)
        co_return errc::bad_key_share;
    key_agreement agreed_key = std::move(*agreed);
    std::array<std::uint8_t, random_size> random;
    io.crypto().random(random);
    io.send(handshake_type::server_hello,
            server_hello(random, hello.session_id, choice->suite, choice->group, agreed_key.share)); // 4.1.3
    if (middlebox_compatible && !choice->retry)
        io.send_change_cipher_spec();

    hkdf<crypto> kdf(hash_of(choice->suite)); // 7.1
    auto handshake = early_secret<crypto>(kdf).with_shared_secret(agreed_key.shared_secret.view());
    agreed_key.shared_secret.clear();
    auto handshake_secrets = handshake.handshake_traffic(io.transcript().current().view());
    const hash_secret client_finished_key = kdf.derive_secret(handshake_secrets.client.view(), "finished", {});
    const hash_secret server_finished_key = kdf.derive_secret(handshake_secrets.server.view(), "finished", {});
    io.write_with(kdf, std::move(handshake_secrets.server));
    io.read_with(kdf, std::move(handshake_secrets.client), *boundary);

    const bool name_known = !hello.server_name.empty() && certificates->knows(hello.server_name);
    io.send(handshake_type::encrypted_extensions, encrypted_extensions(name_known, *protocol)); // 4.3.1
    io.send(handshake_type::certificate, signer->credential->certificate_message);              // 4.4.2
    byte_vector content = signed_content(io.transcript().current().view());                     // 4.4.3
    const auto signature = co_await io.sign(*signer->credential, signer->scheme, std::move(content));
    if (!signature)
        co_return errc::signature_failed;
    io.send(handshake_type::certificate_verify, encode_certificate_verify(signer->scheme, *signature));
    const hash_secret verify_data =
        kdf.extract(server_finished_key.view(), io.transcript().current().view()); // 4.4.4: HMAC
    io.send(handshake_type::finished, verify_data.view());

    const digest to_server_finished = io.transcript().current();
    auto application_secrets =
        std::move(handshake).into_master_secret().application_traffic(to_server_finished.view()); // 7.1
    io.write_with(kdf, std::move(application_secrets.server));

    const auto client_finished = co_await io.template expect<finished>(); // 4.4.4
    const hash_secret expected = kdf.extract(client_finished_key.view(), to_server_finished.view());
    if (const errc bad = client_finished.verify(expected.view()); bad != errc::none)
        co_return bad;
    const auto end = io.at_record_boundary();
    if (!end)
        co_return errc::keys_within_record;
    io.read_with(kdf, std::move(application_secrets.client), *end);
    co_return errc::none;
}

}

#endif
