#include <alos/cert/credential.hpp>

#include <doctest/doctest.h>

using namespace alos;
using namespace alos::cert;

namespace {

// Signs by repeating what it is given; fails for every scheme but its own.
struct echo_key final : signing_key {
    std::array<signature_scheme, 1> list{signature_scheme::ed25519};

    [[nodiscard]] std::span<const signature_scheme> schemes() const noexcept override { return list; }
    [[nodiscard]] result<byte_vector> sign(signature_scheme scheme, byte_view content) const override
    {
        if (scheme != list[0])
            return make_error_code(errc::unsupported_key);
        return byte_vector(content.begin(), content.end());
    }
};

}

TEST_CASE("a signing key that only implements sign() is immediate, and start() tells what sign() tells, once")
{
    const echo_key key;
    CHECK(key.immediate());
    int calls = 0;
    key.start(signature_scheme::ed25519, {1, 2, 3}, [&](result<byte_vector> signature) {
        ++calls;
        CHECK(signature.value() == byte_vector{1, 2, 3});
    });
    key.start(signature_scheme::rsa_pss_rsae_sha256, {}, [&](result<byte_vector> signature) {
        ++calls;
        CHECK(signature.error() == errc::unsupported_key);
    });
    CHECK(calls == 2);
}

TEST_CASE("a credential is manual unless it says otherwise")
{
    const credential one;
    CHECK(one.from == source::manual);
    CHECK(one.chain.empty());
    CHECK(one.key == nullptr);
}

TEST_CASE("a key's family is its type without the size")
{
    description of;
    for (const auto& [type, family] : {std::pair("ECDSA P-256", "ECDSA"), {"RSA 2048", "RSA"}, {"Ed25519", "Ed25519"},
                                       {"RSA-PSS 2048", "RSA"}, {"", ""}}) {
        of.key_type = type;
        CHECK(key_family(of) == family);
    }
}
