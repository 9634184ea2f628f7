// Keys do not outlive their connection: after the engine of RFC 8448 3 is gone, no block of memory that it ever had
// contains one.
#include "support/heap.hpp"

#include "support/rfc8448_server.hpp"

#include <doctest/doctest.h>

namespace alos_tests {
namespace {

const rfc8448::trace& trace = rfc8448::simple_1rtt;
constexpr auto suite = cipher_suite::aes_128_gcm_sha256;

struct named_secret {
    std::string name;
    hash_secret value;
};

hash_secret copy_of_secret(byte_view bytes)
{
    hash_secret copied(bytes.size());
    copy(bytes, copied.bytes());
    return copied;
}

// A traffic secret, and what is derived from it (RFC 8446 7.2, 7.3, 4.4.4).
// Note: but for the IV. Botan's counter mode forgets a nonce without wiping it, and a nonce is nothing without its key.
void add_traffic(std::vector<named_secret>& all, hkdf<botan_crypto>& kdf, std::string_view name, hash_secret value)
{
    const traffic_keys keys = derive_traffic_keys(kdf, aead_of(suite), value.view());
    const std::string under = " under " + std::string(name);
    all.push_back({"key" + under, copy_of_secret(keys.key.view())});
    all.push_back({"finished key" + under, kdf.derive_secret(value.view(), "finished", {})});
    all.push_back({"next secret" + under, next_traffic_secret(kdf, value.view())});
    all.push_back({std::string(name), std::move(value)});
}

// All that the trace's server had to keep to itself (RFC 8446 7.1).
std::vector<named_secret> secrets_of_trace()
{
    hkdf<botan_crypto> kdf(hash_algorithm::sha256);
    transcript<botan_crypto> messages;
    const byte_vector hello_record = from_hex(trace.client_hello_record);
    const byte_vector server_hello_record = from_hex(trace.server_hello_record);
    messages.add(byte_view(hello_record).subspan(record_header_size));
    messages.start(hash_algorithm::sha256);
    messages.add(byte_view(server_hello_record).subspan(record_header_size));
    const digest to_server_hello = messages.current();
    for (const auto message :
         {trace.encrypted_extensions, trace.certificate, trace.certificate_verify, trace.server_finished})
        messages.add(from_hex(message));
    const digest to_server_finished = messages.current();

    const auto hello = client_hello::decode(byte_view(hello_record).subspan(record_header_size + 4));
    const auto agreed = recorded_crypto{{}, from_hex(trace.server_random_pool)}.agree(
        named_group::x25519, *hello->key_share.find(named_group::x25519));
    const byte_vector zeros(32);
    const hash_secret early = kdf.extract(zeros, zeros);
    const hash_secret handshake_salt = kdf.derived(early.view());
    hash_secret handshake = kdf.extract(handshake_salt.view(), agreed->shared_secret.view());
    hash_secret master_salt = kdf.derived(handshake.view());
    hash_secret master = kdf.extract(master_salt.view(), zeros);

    std::vector<named_secret> all;
    add_traffic(all, kdf, "c hs traffic", kdf.derive_secret(handshake.view(), "c hs traffic", to_server_hello.view()));
    add_traffic(all, kdf, "s hs traffic", kdf.derive_secret(handshake.view(), "s hs traffic", to_server_hello.view()));
    add_traffic(all, kdf, "c ap traffic", kdf.derive_secret(master.view(), "c ap traffic", to_server_finished.view()));
    add_traffic(all, kdf, "s ap traffic", kdf.derive_secret(master.view(), "s ap traffic", to_server_finished.view()));
    all.push_back({"shared secret", copy_of_secret(agreed->shared_secret.view())});
    all.push_back({"handshake secret", std::move(handshake)});
    all.push_back({"salt of the master secret", std::move(master_salt)});
    all.push_back({"master secret", std::move(master)});
    return all;
}

// Plays the first `steps` of the trace on an engine that is destroyed then, and looks for secrets.
void check_gone_after(std::size_t steps, bool update_keys = false)
{
    const std::vector<step> script = script_of(trace);
    const byte_view client_random = byte_view(script[0].given).subspan(record_header_size + 6, random_size);
    heap::recording recording;
    {
        recorded_connection connection(trace);
        for (std::size_t i = 0; i < steps; ++i)
            connection.take(script[i], all_at_once);
        if (update_keys)
            connection.engine.update_keys(key_update_request::update_requested);
    }
    CHECK((recording.blocks_with(client_random) != 0) == (steps != 0)); // what is no secret is found
    CHECK(recording.complete());
    for (const named_secret& secret : secrets_of_trace()) {
        INFO(secret.name);
        CHECK(recording.blocks_with(secret.value.view()) == 0);
    }
}

}

TEST_CASE("a secret that is left behind is found" * doctest::skip(!heap::watched))
{
    const named_secret secret = std::move(secrets_of_trace().back());
    heap::recording recording;
    delete new byte_vector(secret.value.view().begin(), secret.value.view().end());
    CHECK(recording.blocks_with(secret.value.view()) == 1);
}

TEST_CASE("RFC 8446 6: the keys of a connection that ended are forgotten" * doctest::skip(!heap::watched))
{
    check_gone_after(script_of(trace).size());
}

TEST_CASE("RFC 8446 6: the keys of a handshake that broke off at any step are forgotten" *
          doctest::skip(!heap::watched))
{
    for (std::size_t steps = 0; steps < script_of(trace).size(); ++steps)
        check_gone_after(steps);
}

TEST_CASE("RFC 8446 7.2: the keys before and after a KeyUpdate are forgotten" * doctest::skip(!heap::watched))
{
    check_gone_after(3, true);
}

}
