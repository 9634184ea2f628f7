#include <alos/cert/registry.hpp>

#include "support/pem_files.hpp"

#include <doctest/doctest.h>

using namespace alos;
using namespace alos::cert;
using namespace std::chrono_literals;
using alos_tests::pem;
using alos_tests::pem_path;
using alos_tests::temporary_folder;
using alos_tests::write_text;

namespace {

// The clock stands where the certificates of tests/vectors are valid; it was read when they were made.
const system_time now = system_time(std::chrono::sys_days{std::chrono::year{2027} / 1 / 1});

struct fixture {
    std::vector<std::string> warnings;
    registry certs{[this](std::string_view warning) { warnings.emplace_back(warning); }, [] { return now; }};

    // The key types that answer to a name, as "ECDSA P-256+RSA 2048".
    std::string served(std::string_view name) const
    {
        std::string text;
        const auto current = certs.served().load();
        for (const credential_ptr& one : current->find(name))
            text += (text.empty() ? "" : "+") + one->about.key_type;
        return text;
    }

    std::string subject(std::string_view name) const
    {
        const auto current = certs.served().load();
        const candidates found = current->find(name);
        return found.empty() ? "" : found[0]->about.subject;
    }

    bool warned(std::string_view words) const
    {
        const auto has_words = [&](const std::string& one) { return one.find(words) != std::string::npos; };
        return std::ranges::any_of(warnings, has_words);
    }
};

// A certificate and a key for one name.
pem_pair for_name(const std::string& name, key_kind kind = key_kind::ecdsa_p256, system_time when = now)
{
    return make_self_signed({name}, when, kind).value();
}

bool mentions(const failure& why, std::string_view words) { return why.what.find(words) != std::string::npos; }

}

TEST_CASE_FIXTURE(fixture, "add_cert and add_certs: the certificate answers to its domain and to its own names")
{
    REQUIRE(certs.add_cert("example.com", pem("p256.crt") + pem("intermediate.crt"), pem("p256.key")).has_value());
    CHECK(subject("example.com") == "CN=p256");
    CHECK(subject("v1.api.example.com") == "CN=p256");
    REQUIRE(certs.add_certs("Other.Test.", for_name("other.test").certificate + "", "").has_error());
    const pem_pair other = for_name("other.test");
    REQUIRE(certs.add_certs("Other.Test.", other.certificate, as_text(other.key)).has_value());
    CHECK(subject("other.test") == "CN=other.test");
    CHECK(subject("unknown.test") == "CN=p256");
    CHECK(warnings.empty());
}

TEST_CASE_FIXTURE(fixture, "certificates of different key types stand side by side; one of the same type is replaced")
{
    for (const key_kind kind : {key_kind::ecdsa_p256, key_kind::rsa_2048, key_kind::ed25519}) {
        const pem_pair pair = for_name("a.test", kind);
        REQUIRE(certs.add_cert("a.test", pair.certificate, as_text(pair.key)).has_value());
    }
    CHECK(served("a.test") == "ECDSA P-256+RSA 2048+Ed25519");
    const pem_pair p384 = for_name("a.test", key_kind::ecdsa_p384);
    REQUIRE(certs.add_cert("a.test", p384.certificate, as_text(p384.key)).has_value());
    CHECK(served("a.test") == "ECDSA P-384+RSA 2048+Ed25519");
    REQUIRE(certs.update_cert("a.test", for_name("a.test").certificate, "").has_error());
    CHECK(served("a.test") == "ECDSA P-384+RSA 2048+Ed25519");
}

TEST_CASE_FIXTURE(fixture, "update_cert replaces the same key type, else everything under the domain")
{
    const pem_pair rsa = for_name("a.test", key_kind::rsa_2048);
    const pem_pair first = for_name("a.test");
    const pem_pair second = for_name("a.test");
    const pem_pair ed = for_name("a.test", key_kind::ed25519);
    REQUIRE(certs.add_cert("a.test", first.certificate, as_text(first.key)).has_value());
    REQUIRE(certs.add_cert("a.test", rsa.certificate, as_text(rsa.key)).has_value());
    const std::string old = certs.list_certs()[0].fingerprint;
    REQUIRE(certs.update_cert("a.test", second.certificate, as_text(second.key)).has_value());
    CHECK(served("a.test") == "ECDSA P-256+RSA 2048");
    CHECK(certs.list_certs()[0].fingerprint != old);
    REQUIRE(certs.update_cert("a.test", ed.certificate, as_text(ed.key)).has_value());
    CHECK(served("a.test") == "Ed25519");
}

TEST_CASE_FIXTURE(fixture, "update, reload, remove and default of an unknown domain say so")
{
    const pem_pair pair = for_name("a.test");
    REQUIRE(certs.add_cert("a.test", pair.certificate, as_text(pair.key)).has_value());
    for (const auto& done : {
             certs.update_cert("b.test", pair.certificate, as_text(pair.key)),
             certs.reload_cert("b.test", pem_path("p256.crt"), pem_path("p256.key")),
             certs.remove_cert("b.test"),
             certs.set_default_cert("b.test"),
         }) {
        REQUIRE_FALSE(done.has_value());
        CHECK(done.error().code == errc::unknown_name);
        CHECK(mentions(done.error(), "b.test: no certificate is stored under this domain"));
    }
    CHECK(certs.list_certs().size() == 1);
}

TEST_CASE_FIXTURE(fixture, "names that are none are refused everywhere")
{
    const pem_pair pair = for_name("a.test");
    for (const char* name : {"", "*", "a b", "https://a.test", "a..b", "b\xc3\xbc" "cher.test"}) {
        CAPTURE(std::string(name));
        CHECK(certs.add_cert(name, pair.certificate, as_text(pair.key)).error().code == errc::bad_name);
        CHECK(certs.add_cert_from_files(name, pem_path("rsa.crt"), pem_path("rsa.key")).error().code == errc::bad_name);
        CHECK(certs.add_self_signed_cert(name).error().code == errc::bad_name);
        CHECK(certs.remove_cert(name).error().code == errc::bad_name);
        CHECK(certs.set_default_cert(name).error().code == errc::bad_name);
        CHECK(certs.set_challenge(name, nullptr).error().code == errc::bad_name);
    }
    CHECK(certs.list_certs().empty());
}

TEST_CASE_FIXTURE(fixture, "add_cert_from_files, reload_cert: two files or one, passphrase, errors with file and name")
{
    const temporary_folder folder;
    const std::string both = folder / "both.pem";
    write_text(both, pem("p256_pbes2.key") + pem("p256.crt"));
    REQUIRE(certs.add_cert_from_files("example.com", pem_path("rsa.crt"), pem_path("rsa_pkcs1.key")).has_value());
    REQUIRE(certs.add_cert_from_files("www.example.com", both, "", "secret").has_value());
    REQUIRE(certs.add_cert_from_files("www.example.com", both, both, "secret").has_value());
    CHECK(served("www.example.com") == "ECDSA P-256");
    CHECK(served("example.com") == "RSA 2048");
    REQUIRE(certs.reload_cert("example.com", pem_path("p384.crt"), pem_path("p384.key")).has_value());
    CHECK(served("example.com") == "ECDSA P-384");

    const auto wrong = certs.reload_cert("example.com", pem_path("p256.crt"), pem_path("p384.key"));
    REQUIRE_FALSE(wrong.has_value());
    CHECK(wrong.error().what
          == "example.com: " + pem_path("p256.crt") + ": the private key " + pem_path("p384.key")
                 + " does not belong to this certificate; use the key the certificate was requested with");
    const auto locked = certs.reload_cert("www.example.com", both, "");
    CHECK(mentions(locked.error(), both + ": the private key is encrypted"));
    const auto missing = certs.add_cert_from_files("www.example.com", pem_path("p256.crt"), folder / "none.pem");
    CHECK(mentions(missing.error(), "none.pem: cannot be opened: No such file or directory"));
    CHECK(served("example.com") == "ECDSA P-384");
    CHECK(served("www.example.com") == "ECDSA P-256");
}

TEST_CASE_FIXTURE(fixture, "a failed update leaves the old certificate serving")
{
    const pem_pair pair = for_name("a.test");
    REQUIRE(certs.add_cert("a.test", pair.certificate, as_text(pair.key)).has_value());
    const auto before = certs.served().load();
    CHECK(certs.update_cert("a.test", pair.certificate, pem("p256.key")).error().code == errc::key_mismatch);
    CHECK(certs.update_cert("a.test", "damaged", as_text(pair.key)).error().code == errc::bad_pem);
    const std::string gap = pem("p256.crt") + pem("root.crt");
    CHECK(certs.update_cert("a.test", gap, pem("p256.key")).error().code == errc::broken_chain);
    CHECK(certs.served().load() == before);
}

TEST_CASE_FIXTURE(fixture, "remove_cert: the next default is the first stored; nothing is left in the end")
{
    REQUIRE(certs.add_self_signed_cert("a.test").has_value());
    REQUIRE(certs.add_self_signed_cert("b.test").has_value());
    REQUIRE(certs.set_default_cert("B.test").has_value());
    CHECK(subject("") == "CN=b.test");
    REQUIRE(certs.remove_cert("b.test").has_value());
    CHECK(subject("") == "CN=a.test");
    REQUIRE(certs.add_self_signed_cert("b.test").has_value());
    CHECK(subject("") == "CN=a.test");
    REQUIRE(certs.remove_cert("a.test").has_value());
    REQUIRE(certs.remove_cert("b.test").has_value());
    CHECK(certs.served().load()->find("a.test").empty());
    CHECK(certs.list_certs().empty());
}

TEST_CASE_FIXTURE(fixture, "a handshake that holds a snapshot keeps its certificate through update and removal")
{
    REQUIRE(certs.add_self_signed_cert("a.test").has_value());
    const auto held = certs.served().load();
    const credential_ptr mine = held->find("a.test")[0];
    REQUIRE(certs.add_self_signed_cert("a.test").has_value());
    CHECK(certs.served().load()->find("a.test")[0] != mine);
    REQUIRE(certs.remove_cert("a.test").has_value());
    CHECK(held->find("a.test")[0] == mine);
    CHECK(mine->key->sign(signature_scheme::ecdsa_secp256r1_sha256, as_bytes("x")).has_value());
}

TEST_CASE_FIXTURE(fixture, "list_certs: domain, names, source, issuer, dates, key type, fingerprint, marks")
{
    REQUIRE(certs.add_cert_from_files("example.com", pem_path("p256.crt"), pem_path("p256.key")).has_value());
    REQUIRE(certs.add_self_signed_cert("dev.test").has_value());
    auto acme = std::make_shared<credential>(*certs.served().load()->find("dev.test")[0]);
    acme->from = source::acme;
    REQUIRE(certs.add_credential("acme.test", acme).has_value());
    REQUIRE(certs.set_default_cert("dev.test").has_value());

    const auto list = certs.list_certs();
    REQUIRE(list.size() == 3);
    CHECK(list[0].domain == "example.com");
    CHECK(list[0].names
          == std::vector<std::string>{"www.example.com", "example.com", "*.api.example.com", "192.0.2.1",
                                      "2001:db8::1"});
    CHECK(list[0].from == source::manual);
    CHECK(list[0].subject == "CN=p256");
    CHECK(list[0].issuer == "CN=Intermediate, O=Alos Tests");
    CHECK(list[0].not_before < now);
    CHECK(list[0].not_after > now);
    CHECK(list[0].key_type == "ECDSA P-256");
    CHECK(list[0].fingerprint.size() == 64);
    CHECK(list[0].fingerprint.find_first_not_of("0123456789abcdef") == std::string::npos);
    CHECK_FALSE(list[0].is_default);
    CHECK_FALSE(list[0].is_expired);
    CHECK_FALSE(list[0].is_not_yet_valid);
    CHECK(list[0].names_its_domain);
    CHECK(list[1].from == source::self_signed);
    CHECK(list[1].not_after == now + 24h * 365);
    CHECK(list[1].is_default);
    CHECK(list[2].from == source::acme);
    CHECK_FALSE(list[2].names_its_domain);
}

TEST_CASE_FIXTURE(fixture, "expired, not yet valid, another name: served, warned about and marked")
{
    REQUIRE(certs.add_cert("expired.example.com", pem("expired.crt"), pem("p256.key")).has_value());
    CHECK(subject("expired.example.com") == "CN=expired");
    CHECK(warned("expired.example.com: the certificate (CN=expired) has expired"));
    CHECK(certs.list_certs()[0].is_expired);

    const pem_pair early = for_name("early.test", key_kind::ecdsa_p256, now + 48h);
    REQUIRE(certs.add_cert("early.test", early.certificate, as_text(early.key)).has_value());
    CHECK(warned("early.test: the certificate (CN=early.test) is not valid yet"));
    CHECK(certs.list_certs()[1].is_not_yet_valid);

    REQUIRE(certs.add_cert("other.test", pem("p256.crt"), pem("p256.key")).has_value());
    CHECK(subject("other.test") == "CN=p256");
    CHECK(warned("other.test: the certificate (CN=p256) does not name this domain"));
    CHECK_FALSE(certs.list_certs()[2].names_its_domain);
    CHECK(warnings.size() == 3);
}

TEST_CASE_FIXTURE(fixture, "add_files: all of it or nothing, a domain taken from the certificate, the default by name")
{
    const std::vector<file_settings> files = {
        {"", pem_path("p256.crt"), pem_path("p256.key"), ""},
        {"api.example.com", pem_path("rsa.crt"), pem_path("rsa_pbes2.key"), "secret"},
    };
    REQUIRE(certs.add_files(files).has_value());
    CHECK(certs.list_certs()[0].domain == "www.example.com");
    CHECK(subject("") == "CN=p256");
    REQUIRE(certs.add_files(files, "api.example.com").has_value());
    CHECK(subject("") == "CN=rsa");
    CHECK(certs.list_certs().size() == 2);

    const auto no_default = certs.add_files({}, "none.example.com");
    CHECK(no_default.error().code == errc::unknown_name);
    CHECK(mentions(no_default.error(), "default_domain is 'none.example.com'"));

    const auto before = certs.served().load();
    const file_settings wrong{"x.test", pem_path("p256.crt"), pem_path("rsa.key"), ""};
    const auto second_is_wrong = certs.add_files({files[0], wrong});
    CHECK(second_is_wrong.error().code == errc::key_mismatch);
    CHECK(mentions(second_is_wrong.error(), "x.test: "));
    CHECK(certs.served().load() == before);
}

TEST_CASE_FIXTURE(fixture, "add_kept_self_signed serves what is in the files, and warns when they cannot be written")
{
    const temporary_folder folder;
    const self_signed_files files{folder / "c.pem", folder / "k.pem"};
    REQUIRE(certs.add_kept_self_signed({"localhost", "127.0.0.1"}, files).has_value());
    CHECK(subject("localhost") == "CN=localhost");
    CHECK(warnings.empty());
    CHECK(certs.list_certs()[0].from == source::self_signed);

    fixture next;
    REQUIRE(next.certs.add_kept_self_signed({"localhost", "127.0.0.1"}, files).has_value());
    CHECK(next.certs.list_certs()[0].fingerprint == certs.list_certs()[0].fingerprint);

    fixture nowhere;
    const self_signed_files none{folder / "none/c.pem", folder / "none/k.pem"};
    REQUIRE(nowhere.certs.add_kept_self_signed({"localhost"}, none).has_value());
    CHECK(nowhere.warned("served from memory"));
    CHECK(nowhere.subject("") == "CN=localhost");
}

TEST_CASE_FIXTURE(fixture, "challenge certificates come and go without touching the others (RFC 8737 3)")
{
    REQUIRE(certs.add_self_signed_cert("a.test").has_value());
    const credential_ptr one = certs.served().load()->find("a.test")[0];
    REQUIRE(certs.set_challenge("b.test", one).has_value());
    CHECK(certs.served().load()->challenge("b.test") == one.get());
    CHECK_FALSE(certs.served().load()->knows("b.test"));
    REQUIRE(certs.add_self_signed_cert("c.test").has_value());
    CHECK(certs.served().load()->challenge("b.test") == one.get());
    REQUIRE(certs.set_challenge("b.test", nullptr).has_value());
    CHECK(certs.served().load()->challenge("b.test") == nullptr);
    CHECK(certs.list_certs().size() == 2);
}

TEST_CASE_FIXTURE(fixture, "set_challenges: several at one moment, the reverse names of addresses too (RFC 8738 6)")
{
    const std::string v4 = "1.2.0.192.in-addr.arpa";
    const std::string v6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
    REQUIRE(certs.add_self_signed_cert("a.test").has_value());
    const credential_ptr one = certs.served().load()->find("a.test")[0];
    REQUIRE(certs.set_challenges({{v4, one}, {v6, one}, {"B.test", one}}).has_value());
    for (const std::string& name : {v4, v6, std::string("b.test")})
        CHECK(certs.served().load()->challenge(name) == one.get());
    const auto before = certs.served().load();
    CHECK(certs.set_challenges({{v4, nullptr}, {"not a name", one}}).error().code == errc::bad_name);
    CHECK(certs.served().load() == before);
    REQUIRE(certs.set_challenges({{v4, nullptr}, {v6, nullptr}}).has_value());
    CHECK(certs.served().load()->challenge(v4) == nullptr);
    CHECK(certs.served().load()->challenge("b.test") == one.get());
}

namespace {

credential_ptr from_acme(const std::string& name, key_kind kind = key_kind::ecdsa_p256)
{
    const pem_pair made = for_name(name, kind);
    return make_credential(made.certificate, as_text(made.key), {.from = source::acme}).value();
}

}

TEST_CASE_FIXTURE(fixture, "add_credentials: all at one moment, or none")
{
    const credential_ptr a = from_acme("a.test");
    REQUIRE(certs.add_credentials({{"A.test", a}, {"b.test", from_acme("b.test")}, {"a.test", from_acme("a.test")}})
                .has_value());
    CHECK(certs.list_certs().size() == 2);
    CHECK(certs.served().load()->find("a.test")[0] != a); // the later one of the same key type
    const auto before = certs.served().load();
    CHECK(certs.add_credentials({{"c.test", a}, {"not a name", a}}).error().code == errc::bad_name);
    CHECK(certs.add_credentials({{"c.test", a}, {"d.test", nullptr}}).error().code == errc::bad_configuration);
    CHECK(certs.served().load() == before);
}

TEST_CASE_FIXTURE(fixture, "add_credentials: a thousand are published once")
{
    const credential_ptr one = from_acme("a.test");
    named_credentials many;
    for (int i = 0; i < 1000; ++i)
        many.emplace_back("n" + std::to_string(i) + ".test", one);
    REQUIRE(certs.add_credentials(many).has_value());
    REQUIRE(certs.add_credentials(many).has_value());
    CHECK(certs.list_certs().size() == 1000);
    CHECK(certs.served().load()->knows("n999.test"));
}

TEST_CASE_FIXTURE(fixture, "a certificate from ACME takes the place of the self-signed one, whatever its key")
{
    REQUIRE(certs.add_self_signed_cert("a.test").has_value());
    REQUIRE(certs.add_credential("a.test", from_acme("a.test", key_kind::rsa_2048)).has_value());
    CHECK(served("a.test") == "RSA 2048");
    REQUIRE(certs.add_credential("a.test", from_acme("a.test")).has_value());
    CHECK(served("a.test") == "RSA 2048+ECDSA P-256");
}

TEST_CASE_FIXTURE(fixture, "remove_credential takes one away and leaves the others")
{
    const credential_ptr mine = from_acme("a.test");
    REQUIRE(certs.add_credential("a.test", mine).has_value());
    REQUIRE(certs.add_cert("a.test", pem("rsa.crt"), pem("rsa.key")).has_value());
    REQUIRE(certs.remove_credential("A.test", mine).has_value());
    CHECK(served("a.test") == "RSA 2048");
    REQUIRE(certs.remove_credential("a.test", mine).has_value());
    REQUIRE(certs.remove_credential("unknown.test", mine).has_value());
    REQUIRE(certs.add_credential("b.test", mine).has_value());
    REQUIRE(certs.remove_credential("b.test", mine).has_value());
    CHECK_FALSE(certs.served().load()->knows("b.test"));
    CHECK(certs.list_certs().size() == 1);
    CHECK(certs.remove_credential("not a name", mine).error().code == errc::bad_name);
}

TEST_CASE_FIXTURE(fixture, "refuse: unrecognized_name until there is a certificate (RFC 6066 3)")
{
    REQUIRE(certs.refuse("Soon.test", true).has_value());
    REQUIRE(certs.refuse(std::vector<std::string>{"x.test", "*.x.test"}, true).has_value());
    const auto refuses = [&](std::string_view name) { return certs.served().load()->refuses(name); };
    CHECK(refuses("soon.test"));
    CHECK(refuses("a.x.test"));
    CHECK_FALSE(refuses("other.test"));
    REQUIRE(certs.add_credential("soon.test", from_acme("soon.test")).has_value());
    CHECK_FALSE(refuses("soon.test"));
    REQUIRE(certs.remove_cert("soon.test").has_value());
    CHECK(refuses("soon.test"));
    REQUIRE(certs.refuse("soon.test", false).has_value());
    CHECK_FALSE(refuses("soon.test"));
    CHECK(certs.refuse("not a name", true).error().code == errc::bad_name);
}
