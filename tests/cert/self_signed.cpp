#include <alos/cert/self_signed.hpp>

#include "support/pem_files.hpp"

#include <doctest/doctest.h>

#include <sys/resource.h>

#include <csignal>

using namespace alos;
using namespace alos::cert;
using namespace std::chrono_literals;
using alos_tests::pem;
using alos_tests::read_text;
using alos_tests::temporary_folder;
using alos_tests::write_text;

namespace {

const system_time at_first = system_time(std::chrono::sys_days{std::chrono::year{2026} / 7 / 1});
const std::vector<std::string> domains = {"localhost", "*.dev.test", "127.0.0.1", "::1"};

struct kept_files {
    temporary_folder folder;
    self_signed_files files{folder / "cert.pem", folder / "key.pem"};

    kept_credential ensure(system_time when = at_first, const std::vector<std::string>& names = domains) const
    {
        return ensure_self_signed(names, when, files).value();
    }
};

}

TEST_CASE("a self-signed certificate: P-256, 365 days, names and addresses")
{
    const auto pair = make_self_signed(domains, at_first);
    REQUIRE(pair.has_value());
    const auto made = make_credential(*pair, {.from = source::self_signed});
    REQUIRE(made.has_value());
    const description& about = (*made)->about;
    CHECK((*made)->from == source::self_signed);
    CHECK(about.key_type == "ECDSA P-256");
    CHECK(about.names == std::vector<std::string>{"localhost", "*.dev.test"});
    CHECK(about.addresses == std::vector<std::string>{"127.0.0.1", "::1"});
    CHECK(about.not_before == at_first - 1h);
    CHECK(about.not_after == at_first + 24h * 365);
    CHECK(about.subject == "CN=localhost");

    const auto bad = make_self_signed({"localhost", "b\xc3\xbc" "cher.test"}, at_first);
    REQUIRE_FALSE(bad.has_value());
    CHECK(bad.error().code == errc::bad_name);
    CHECK(bad.error().what.find("xn--") != std::string::npos);

    const std::string long_name = std::string(63, 'a') + ".test";
    CHECK((*make_credential(*make_self_signed({long_name}, at_first), {}))->about.subject == "CN=alos self-signed");
}

TEST_CASE("names_domain: exact names, wildcards for one label, addresses")
{
    description about;
    about.names = {"example.com", "*.example.com"};
    about.addresses = {"192.0.2.1"};
    CHECK(names_domain(about, "example.com"));
    CHECK(names_domain(about, "www.example.com"));
    CHECK(names_domain(about, "*.example.com"));
    CHECK(names_domain(about, "192.0.2.1"));
    CHECK_FALSE(names_domain(about, "a.b.example.com"));
    CHECK_FALSE(names_domain(about, "*.b.example.com"));
    CHECK_FALSE(names_domain(about, "example.org"));
    CHECK_FALSE(names_domain(about, "192.0.2.2"));
    CHECK_FALSE(names_domain(about, "com"));
}

TEST_CASE("the files are made, private, and used again until the certificate expires")
{
    const kept_files kept;
    const auto first = kept.ensure();
    CHECK(first.warning.empty());
    CHECK((std::filesystem::status(kept.files.key).permissions() & std::filesystem::perms::all)
          == (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
    CHECK(kept.ensure().credential->chain == first.credential->chain);
    CHECK(kept.ensure(at_first + 24h * 365 - 1s).credential->chain == first.credential->chain);
    CHECK(kept.ensure(at_first, {"127.0.0.1", "x.dev.test"}).credential->chain == first.credential->chain);

    const auto renewed = kept.ensure(at_first + 24h * 365);
    CHECK(renewed.credential->chain != first.credential->chain);
    CHECK(renewed.credential->about.not_after == at_first + 24h * 730);
    CHECK(kept.ensure(at_first + 24h * 365).credential->chain == renewed.credential->chain);
    CHECK(kept.ensure().credential->chain != renewed.credential->chain); // not valid yet: the clock went back
}

TEST_CASE("the files are made anew when they cannot be read, do not fit together, or lack a name")
{
    const kept_files kept;
    const auto first = kept.ensure();
    const auto is_renewed = [&] {
        const auto again = kept.ensure();
        CHECK(again.warning.empty());
        CHECK(again.credential->chain != first.credential->chain);
        CHECK(kept.ensure().credential->chain == again.credential->chain);
    };
    SUBCASE("damaged certificate") { write_text(kept.files.certificate, "damaged"); is_renewed(); }
    SUBCASE("empty key") { write_text(kept.files.key, ""); is_renewed(); }
    SUBCASE("no key") { std::filesystem::remove(kept.files.key); is_renewed(); }
    SUBCASE("another's key") { write_text(kept.files.key, pem("p256.key")); is_renewed(); }
    SUBCASE("an encrypted key") { write_text(kept.files.key, pem("p256_pbes2.key")); is_renewed(); }
    SUBCASE("another name")
    {
        const auto again = kept.ensure(at_first, {"localhost", "new.test"});
        CHECK(again.credential->chain != first.credential->chain);
        CHECK(names_domain(again.credential->about, "new.test"));
    }
}

TEST_CASE("files that cannot be written: the certificate serves from memory, with a warning that says so")
{
    const temporary_folder folder;
    SUBCASE("no such folder")
    {
        const auto kept = ensure_self_signed(domains, at_first, {folder / "none/c.pem", folder / "none/k.pem"});
        REQUIRE(kept.has_value());
        CHECK(kept->credential != nullptr);
        CHECK(kept->warning.find("served from memory") != std::string::npos);
        CHECK(kept->warning.find("No such file or directory") != std::string::npos);
    }
    SUBCASE("a full disk")
    {
        rlimit limit{};
        REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
        const rlimit small{100, limit.rlim_max};
        const auto handler = std::signal(SIGXFSZ, SIG_IGN);
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
        const auto kept = ensure_self_signed(domains, at_first, {folder / "c.pem", folder / "k.pem"});
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
        std::signal(SIGXFSZ, handler);
        REQUIRE(kept.has_value());
        CHECK(kept->credential != nullptr);
        CHECK(kept->warning.find("served from memory") != std::string::npos);
        CHECK(std::filesystem::is_empty(folder.path()));
    }
}
