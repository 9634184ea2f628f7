// Records sealed and opened (RFC 8446 5.2), for each suite and three sizes of content.
#include "bench.hpp"

#include <alos/crypto/botan.hpp>
#include <alos/tls13/record.hpp>

#include <string>

using namespace alos;
using namespace alos::tls13;
using namespace alos_bench;

namespace {

// Both ends have the same keys.
[[nodiscard]] protection<botan_crypto> keys_for(cipher_suite suite, bool sealing)
{
    hkdf<botan_crypto> kdf(hash_of(suite));
    return protection<botan_crypto>(kdf, suite, hash_secret(hash_size(hash_of(suite))), sealing);
}

// Of zeros but for the content type, so that it can be sealed.
[[nodiscard]] byte_vector record_of(std::size_t content)
{
    byte_vector record(content + record_overhead);
    record[record_header_size + content] = static_cast<std::uint8_t>(content_type::application_data);
    return record;
}

void seal(const cases& all, cipher_suite suite, std::size_t content)
{
    const std::string name = "seal " + std::to_string(content) + " B, " + std::string(name_of(suite));
    auto sealing = keys_for(suite, true);
    byte_vector record = record_of(content);
    all.measure(name, {.runs = 4'000'000 / (content + 1000), .bytes = content}, [&] { sealing.seal(record); });
}

void open(const cases& all, cipher_suite suite, std::size_t content)
{
    const std::string name = "open " + std::to_string(content) + " B, " + std::string(name_of(suite));
    constexpr std::size_t batch = 16; // so that the clock does not count
    auto sealing = keys_for(suite, true);
    auto opening = keys_for(suite, false);
    std::vector<byte_vector> records(batch, record_of(content));
    const amount each{.runs = 4'000'000 / batch / (content + 1000), .units = batch, .bytes = content};
    all.measure(name, each, [&](stopwatch& watch) {
        for (byte_vector& record : records)
            sealing.seal(record); // what open() left can be sealed again
        watch([&] {
            for (byte_vector& record : records) {
                if (!opening.open(record))
                    std::exit(1);
            }
        });
    });
}

}

int main(int argc, char** argv)
{
    const cases all(argc, argv);
    for (const auto operation : {seal, open}) {
        for (const cipher_suite suite : {cipher_suite::aes_128_gcm_sha256, cipher_suite::aes_256_gcm_sha384,
                                         cipher_suite::chacha20_poly1305_sha256}) {
            for (const std::size_t content : {std::size_t{64}, std::size_t{1300}, max_plaintext_size})
                operation(all, suite, content);
        }
    }
}
