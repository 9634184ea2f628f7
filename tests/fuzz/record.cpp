// The record layer, reading (RFC 8446 5): bytes as they come, and records that open and contain anything.
// Input: one byte of flags, then steps; a step is a kind, and bytes behind their length in two bytes.
#include "support/test_client.hpp"
#include "support/null_crypto.hpp"

#include <alos/tls13/record_reader.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace alos_tests;
    static const server_config config;
    reader in({data, size});
    const std::uint8_t flags = in.u8();
    record_reader<null_crypto> records(config);
    hkdf<null_crypto> kdf(hash_algorithm::sha256);
    constexpr auto suite = cipher_suite::aes_128_gcm_sha256;
    protection<null_crypto> peer(kdf, suite, hash_secret(32), true);
    if (flags & 1)
        records.protect_with(kdf, suite, hash_secret(32));
    if (flags & 2)
        records.skip_early_data();
    while (in.ok() && !in.empty()) {
        const std::uint8_t kind = in.u8();
        byte_vector bytes = copy_of(in.vector16());
        if (kind % 4 == 1 && !bytes.empty()) {
            bytes.insert(bytes.begin(), record_header_size, 0);
            bytes.resize(bytes.size() + aead_tag_size);
            peer.seal(bytes);
        } else if (kind % 4 == 2) {
            records.release();
        } else if (kind % 4 == 3 && records.is_protected()) {
            records.update_keys();
            peer = peer.next();
        }
        copy(bytes, records.prepare(bytes.size()));
        records.commit(bytes.size());
        for (;;) {
            const auto record = records.next();
            if (!record)
                return 0;
            if (!*record)
                break;
            demand((*record)->content.size() <= max_plaintext_size, "RFC 8446 5.1, 5.4: limits of a plaintext");
        }
    }
    return 0;
}
