// Messages between bytes and structures (RFC 8446 4): what a server decodes and encodes in every handshake.
#include "bench.hpp"
#include "browser_hello.hpp"

#include <alos/tls13/certificate.hpp>
#include <alos/tls13/client_hello.hpp>
#include <alos/tls13/server_hello.hpp>

using namespace alos_bench;
using namespace alos::tls13;
using alos::byte_vector, alos::cipher_suite, alos::named_group;

namespace {

void decode(const cases& all, const char* name, const byte_vector& body)
{
    all.measure(name, {.runs = 20000}, [&] {
        const auto hello = client_hello::decode(body);
        if (!hello || !hello->key_share.find(named_group::x25519))
            std::exit(1);
        keep(*hello);
    });
}

void encode_hello(const cases& all, const char* name, named_group group, std::size_t share_size)
{
    const byte_vector random(random_size, 0x11);
    const byte_vector session_id(max_session_id_size, 0x5e);
    const byte_vector share(share_size, 0x9c);
    all.measure(name, {.runs = 50000},
                [&] { keep(server_hello(random, session_id, cipher_suite::aes_128_gcm_sha256, group, share)); });
}

void encode_chain(const cases& all, const char* name, const std::vector<byte_vector>& chain)
{
    all.measure(name, {.runs = 50000}, [&] { keep(encode_certificate(chain)); });
}

}

int main(int argc, char** argv)
{
    const cases all(argc, argv);
    decode(all, "decode ClientHello of a browser", browser_hello().body());
    decode(all, "decode ClientHello, the least that is valid", alos_tests::valid_hello(byte_vector(32, 0x9c)).body());
    encode_hello(all, "encode ServerHello, X25519", named_group::x25519, 32);
    encode_hello(all, "encode ServerHello, X25519MLKEM768", named_group::x25519mlkem768, 1088 + 32);
    encode_chain(all, "encode Certificate, ECDSA leaf and its issuer",
                 {byte_vector(950, 0x30), byte_vector(1100, 0x30)});
    encode_chain(all, "encode Certificate, RSA chain of three",
                 {byte_vector(1300, 0x30), byte_vector(1290, 0x30), byte_vector(1390, 0x30)});
}
