// How long a server with a thousand cached certificates takes from its start until it serves them, and what each of them
// keeps in memory: chain, key, names, state. The certificates are made first, into a folder that goes with the run.
#include <alos/acme.hpp>
#include <alos/src.hpp>

#include <alos/crypto/botan_issue.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <malloc.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace {

using namespace alos;

std::string domain(unsigned number) { return "host" + std::to_string(number) + ".example.com"; }

// Stores `count` certificates, each of a leaf and an intermediate, as an issuance does.
acme::awaitable<void> fill(acme::file_storage& storage, unsigned count)
{
    const auto now = std::chrono::system_clock::now();
    const auto root = private_key::generate(key_kind::ecdsa_p256).value();
    const auto intermediate = private_key::generate(key_kind::ecdsa_p256).value();
    certificate_spec above;
    above.common_name = "Intermediate";
    above.not_before = now;
    above.not_after = now + std::chrono::days(365);
    above.is_authority = true;
    constexpr auto scheme = signature_scheme::ecdsa_secp256r1_sha256;
    const std::string issuer_pem(
        as_text(encode_pem("CERTIFICATE", issue_certificate(above, *intermediate, {"Root", *root, scheme}).value())));
    for (unsigned i = 0; i < count; ++i) {
        const auto key = private_key::generate(key_kind::ecdsa_p256).value();
        certificate_spec leaf;
        leaf.dns_names = {domain(i)};
        leaf.not_before = now;
        leaf.not_after = now + std::chrono::days(90);
        const auto der = issue_certificate(leaf, *key, {"Intermediate", *intermediate, scheme}).value();
        const std::string id = domain(i) + ".ecdsa-p256";
        acme::bundle made;
        made.chain_pem = std::string(as_text(encode_pem("CERTIFICATE", der))) + issuer_pem;
        made.key_pem = key->to_pem();
        made.meta_json = "{}";
        const auto guard = co_await storage.try_lock(id);
        const auto stored = co_await storage.store_certificate(id, std::move(made), 0, guard.value().value());
        if (!stored) {
            std::fprintf(stderr, "%s\n", stored.error().what.c_str());
            std::exit(1);
        }
    }
}

struct start {
    double seconds;
    double heap; // bytes that stay
};

start serve(const std::string& folder, unsigned count)
{
    acme::config settings;
    settings.cache_dir = folder;
    settings.cas.front().directory = "https://127.0.0.1:1/directory"; // nobody is asked
    for (unsigned i = 0; i < count; ++i)
        settings.domains.emplace_back(domain(i));
    ::malloc_trim(0);
    const auto before = ::mallinfo2();
    const auto begun = std::chrono::steady_clock::now();
    cert::registry registry({}, [] { return std::chrono::system_clock::now(); });
    acme::answers http01;
    acme_service manager({registry, http01, [](log_level, std::string_view, std::initializer_list<log_field>) {}});
    if (const auto done = manager.configure(std::move(settings)); !done || !manager.start()) {
        std::fprintf(stderr, "%s\n", done ? "not started" : done.error().what.c_str());
        std::exit(1);
    }
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun;
    const auto snapshot = registry.served().load();
    for (unsigned i = 0; i < count; ++i) {
        if (snapshot->find(domain(i)).empty()) {
            std::fprintf(stderr, "%s is not served\n", domain(i).c_str());
            std::exit(1);
        }
    }
    ::malloc_trim(0);
    const auto after = ::mallinfo2();
    const double heap = static_cast<double>(after.uordblks + after.hblkhd)
                        - static_cast<double>(before.uordblks + before.hblkhd);
    return {taken.count(), heap};
}

}

int main(int argc, char** argv)
{
    const unsigned count = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 1000;
    ::mallopt(M_ARENA_MAX, 1); // mallinfo2() sees one
    std::string folder = (std::filesystem::temp_directory_path() / "alos-certificates-XXXXXX").string();
    if (!::mkdtemp(folder.data()))
        return 1;
    {
        boost::asio::io_context context;
        os::posix_files files(context.get_executor());
        acme::file_storage storage(
            files, folder, "benchmark", [] { return std::chrono::system_clock::now(); },
            [&](std::chrono::milliseconds) -> acme::awaitable<void> { co_return; });
        boost::asio::co_spawn(context, fill(storage, count), boost::asio::detached);
        context.run();
    }
    const start few = serve(folder, count / 10);
    const start all = serve(folder, count);
    std::filesystem::remove_all(folder);
    std::printf("%u certificates: served %.3f s after the start, %.1f kB of heap each\n", count, all.seconds,
                (all.heap - few.heap) / (count - count / 10) / 1000);
}
