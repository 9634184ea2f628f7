// The key schedule and the transcript hash of a handshake (RFC 8446 7.1, 4.4.1), as the server takes them.
#include "bench.hpp"
#include "browser_hello.hpp"

#include <alos/crypto/botan.hpp>
#include <alos/tls13/key_schedule.hpp>

#include <string>

using namespace alos;
using namespace alos::tls13;
using namespace alos_bench;

namespace {

struct algorithms {
    const char* name;
    hash_algorithm hash;
    aead_algorithm aead;
};

// RFC 8446 7.1, 7.3, 4.4.4: every secret, the four traffic keys and both Finished.
void whole_schedule(algorithms with, byte_view shared_secret, byte_view transcript_hash)
{
    hkdf<botan_crypto> kdf(with.hash);
    auto handshake = early_secret<botan_crypto>(kdf).with_shared_secret(shared_secret);
    const traffic_secrets first = handshake.handshake_traffic(transcript_hash);
    keep(derive_traffic_keys(kdf, with.aead, first.server.view()));
    keep(derive_traffic_keys(kdf, with.aead, first.client.view()));
    keep(kdf.verify_data(first.server.view(), transcript_hash));
    const traffic_secrets second = std::move(handshake).into_master_secret().application_traffic(transcript_hash);
    keep(derive_traffic_keys(kdf, with.aead, second.server.view()));
    keep(kdf.verify_data(first.client.view(), transcript_hash));
    keep(derive_traffic_keys(kdf, with.aead, second.client.view()));
}

// RFC 8446 4.4: the messages of a handshake, and the four hashes that it needs: for the handshake's secrets, what is
// signed, and the Finished of both sides.
struct messages {
    byte_vector client_hello = browser_hello().message();
    byte_vector server_hello = byte_vector(1210, 0x02); // X25519MLKEM768
    byte_vector encrypted_extensions = byte_vector(21, 0x08);
    byte_vector certificate = byte_vector(2070, 0x0b);
    byte_vector certificate_verify = byte_vector(79, 0x0f);
    byte_vector finished = byte_vector(36, 0x14);
};

void whole_transcript(hash_algorithm hash, const messages& sent)
{
    transcript<botan_crypto> all;
    all.add(sent.client_hello);
    all.start(hash);
    all.add(sent.server_hello);
    keep(all.current());
    all.add(sent.encrypted_extensions);
    all.add(sent.certificate);
    keep(all.current());
    all.add(sent.certificate_verify);
    keep(all.current());
    all.add(sent.finished);
    keep(all.current());
}

void run(const cases& all, algorithms with)
{
    const byte_vector shared_secret(32, 0x5e);
    const byte_vector transcript_hash(hash_size(with.hash), 0xa1);
    const messages sent;
    hkdf<botan_crypto> kdf(with.hash);
    transcript<botan_crypto> begun;
    begun.start(with.hash);
    begun.add(sent.client_hello);
    const auto named = [&](std::string_view what) { return std::string(what) + ", " + with.name; };

    all.measure(named("key schedule of a handshake"), {.runs = 2000},
                [&] { whole_schedule(with, shared_secret, transcript_hash); });
    all.measure(named("of that: one Derive-Secret"), {.runs = 20000},
                [&] { keep(kdf.derive_secret(transcript_hash, "c hs traffic", transcript_hash)); });
    all.measure(named("transcript of a handshake"), {.runs = 5000}, [&] { whole_transcript(with.hash, sent); });
    all.measure(named("of that: one hash of all so far"), {.runs = 20000}, [&] { keep(begun.current()); });
}

}

int main(int argc, char** argv)
{
    const cases all(argc, argv);
    run(all, {"SHA-256", hash_algorithm::sha256, aead_algorithm::aes_128_gcm});
    run(all, {"SHA-384", hash_algorithm::sha384, aead_algorithm::aes_256_gcm});
}
