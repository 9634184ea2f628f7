// Hot swap: threads that look up and sign while others replace, add and remove certificates.
#include <alos/cert/registry.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

using namespace alos;
using namespace alos::cert;

TEST_CASE("certificates are swapped under load: every lookup finds one, and every signature is its own")
{
    registry certs;
    REQUIRE(certs.add_self_signed_cert("a.test").has_value());
    REQUIRE(certs.add_self_signed_cert("b.test").has_value());

    constexpr int rounds = 100;
    std::atomic<bool> done{false};
    std::atomic<std::size_t> handshakes{0};
    std::atomic<std::size_t> wrong{0};
    const auto handshake = [&](std::string_view name) {
        const auto current = certs.served().load();
        const candidates found = current->find(name);
        if (found.empty() || !current->knows(name)) {
            ++wrong;
            return;
        }
        const credential_ptr mine = found[0];
        const auto scheme = mine->key->schemes().front();
        const auto signature = mine->key->sign(scheme, as_bytes(name));
        const auto leaf = parse_certificate(mine->chain[0]);
        if (!signature || !leaf || !verifies(*leaf, scheme, as_bytes(name), *signature))
            ++wrong;
        ++handshakes;
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i)
        threads.emplace_back([&, i] {
            while (!done)
                handshake(i % 2 == 0 ? "a.test" : "b.test");
        });
    threads.emplace_back([&] {
        while (!done)
            wrong += certs.list_certs().size() < 2;
    });
    std::vector<std::thread> writers;
    writers.emplace_back([&] {
        for (int i = 0; i < rounds; ++i)
            wrong += certs.add_self_signed_cert("a.test").has_error();
    });
    writers.emplace_back([&] {
        for (int i = 0; i < rounds; ++i) {
            wrong += certs.add_self_signed_cert("c.test").has_error();
            wrong += certs.set_default_cert("c.test").has_error();
            wrong += certs.remove_cert("c.test").has_error();
        }
    });
    for (std::thread& one : writers)
        one.join();
    done = true;
    for (std::thread& one : threads)
        one.join();
    CHECK(wrong == 0);
    CHECK(handshakes > 0);
    CHECK(certs.list_certs().size() == 2);
}

TEST_CASE("one key signs on many threads at once, RSA too")
{
    for (const key_kind kind : {key_kind::ecdsa_p256, key_kind::ed25519, key_kind::rsa_2048}) {
        const auto pair = make_self_signed({"a.test"}, std::chrono::system_clock::now(), kind);
        const auto made = make_credential(pair.value(), {});
        REQUIRE(made.has_value());
        std::atomic<std::size_t> wrong{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([&, i] {
                const auto leaf = parse_certificate((*made)->chain[0]);
                const byte_vector content(40, static_cast<std::uint8_t>(i));
                for (int n = 0; n < 20; ++n)
                    for (const signature_scheme scheme : (*made)->key->schemes()) {
                        const auto signature = (*made)->key->sign(scheme, content);
                        wrong += !signature || !verifies(*leaf, scheme, content, *signature);
                    }
            });
        for (std::thread& one : threads)
            one.join();
        CHECK(wrong == 0);
    }
}
