#include <alos/cert/load.hpp>

#include "support/pem_files.hpp"

#include <alos/cert/self_signed.hpp>

#include <doctest/doctest.h>

using namespace alos;
using namespace alos::cert;
using alos_tests::pem;
using enum signature_scheme;

namespace {

failure why_not(const std::string& chain, const std::string& key, const load_options& options = {})
{
    const auto made = make_credential(chain, key, options);
    REQUIRE_FALSE(made.has_value());
    CHECK(made.error().what.find('\n') == std::string::npos);
    return made.error();
}

bool says(const failure& why, std::string_view words)
{
    CAPTURE(why.what);
    const bool found = why.what.find(words) != std::string::npos;
    CHECK(found);
    return found;
}

std::string subject(const byte_vector& der) { return name_text(parse_certificate(der).value().subject); }

}

TEST_CASE("every usable key type makes a credential that signs with the schemes of its type (RFC 8446 4.2.3)")
{
    struct row {
        std::string name;
        std::string type;
        std::vector<signature_scheme> schemes;
        bool immediate;
    };
    for (const row& one : std::vector<row>{
             {"p256", "ECDSA P-256", {ecdsa_secp256r1_sha256}, true},
             {"p384", "ECDSA P-384", {ecdsa_secp384r1_sha384}, true},
             {"ed25519", "Ed25519", {ed25519}, true},
             {"rsa", "RSA 2048", {rsa_pss_rsae_sha256, rsa_pss_rsae_sha384, rsa_pss_rsae_sha512}, false},
             {"pss", "RSA-PSS 2048", {rsa_pss_pss_sha256, rsa_pss_pss_sha384, rsa_pss_pss_sha512}, false},
             {"pss384", "RSA-PSS 2048", {rsa_pss_pss_sha384}, false},
         }) {
        CAPTURE(one.name);
        const auto made = make_credential(pem(one.name + ".crt") + pem("intermediate.crt"), pem(one.name + ".key"));
        REQUIRE(made.has_value());
        const credential& each = **made;
        CHECK(each.about.key_type == one.type);
        CHECK(std::ranges::equal(each.key->schemes(), one.schemes));
        CHECK(each.key->immediate() == one.immediate);
        CHECK(each.chain.size() == 2);
        CHECK(each.chain_schemes == std::vector<signature_scheme>{ecdsa_secp256r1_sha256, ecdsa_secp384r1_sha384});
        CHECK(each.certificate_message == tls13::encode_certificate(each.chain));
        CHECK(each.about.names == std::vector<std::string>{"www.example.com", "example.com", "*.api.example.com"});
        CHECK(each.about.addresses == std::vector<std::string>{"192.0.2.1", "2001:db8::1"});
        CHECK(each.about.issuer == "CN=Intermediate, O=Alos Tests");
        CHECK(each.about.not_before < each.about.not_after);
        CHECK(each.about.fingerprint == sha256_of(each.chain[0]));
        CHECK(each.from == source::manual);

        const auto leaf = parse_certificate(each.chain[0]);
        const byte_vector content = tls13::signed_content(byte_vector(32, 7));
        for (const signature_scheme scheme : one.schemes) {
            const auto signature = each.key->sign(scheme, content);
            REQUIRE(signature.has_value());
            CHECK(verifies(*leaf, scheme, content, *signature));
        }
        for (const signature_scheme other : {ecdsa_secp256r1_sha256, ecdsa_secp384r1_sha384, ed25519,
                                             rsa_pss_rsae_sha256, rsa_pss_pss_sha256, rsa_pkcs1_sha256})
            if (std::ranges::count(one.schemes, other) == 0)
                CHECK(each.key->sign(other, content).error() == errc::unsupported_key);
    }
}

TEST_CASE("a key may be encrypted, and every PEM form of it makes the same credential")
{
    const std::string chain = pem("p256.crt");
    for (const char* name : {"p256.key", "p256_sec1.key", "p256_sec1_plain.key", "p256_pbes2.key", "p256_text.key"}) {
        CAPTURE(std::string(name));
        CHECK(make_credential(chain, pem(name), {.passphrase = "secret"}).has_value());
    }
    for (const char* name : {"rsa.key", "rsa_pkcs1.key", "rsa_pbes2.key"}) {
        CAPTURE(std::string(name));
        CHECK(make_credential(pem("rsa.crt"), pem(name), {.passphrase = "secret"}).has_value());
    }
    CHECK(make_credential(pem("p256_text.crt"), pem("p256.key")).has_value());
    CHECK(make_credential(pem("compressed.crt"), pem("p256.key")).has_value());
}

TEST_CASE("certificate and key may share a text, in any order, among other keys")
{
    CHECK(make_credential(pem("p256.crt") + pem("p256.key"), "").has_value());
    CHECK(make_credential(pem("p256.key") + pem("intermediate.crt") + pem("p256.crt"), "").has_value());
    CHECK(make_credential(pem("p256.crt"), pem("rsa.key") + pem("p256.key")).has_value());
}

TEST_CASE("the order of a chain is repaired, copies are dropped, the root is left out")
{
    const std::string key = pem("p256.key");
    const std::vector<std::string> parts = {"p256.crt", "intermediate.crt", "root.crt"};
    std::vector<std::size_t> order = {0, 1, 2};
    do {
        std::string text;
        for (const std::size_t i : order)
            text += pem(parts[i]);
        const auto made = make_credential(text, key);
        REQUIRE(made.has_value());
        REQUIRE((*made)->chain.size() == 2);
        CHECK(subject((*made)->chain[0]) == "CN=p256");
        CHECK(subject((*made)->chain[1]) == "CN=Intermediate, O=Alos Tests");
    } while (std::ranges::next_permutation(order).found);

    const std::string twice = pem("p256.crt") + pem("p256.crt") + pem("intermediate.crt") + pem("intermediate.crt");
    const auto doubled = make_credential(twice, key);
    REQUIRE(doubled.has_value());
    CHECK((*doubled)->chain.size() == 2);
    CHECK((*make_credential(pem("p256.crt"), key))->chain.size() == 1);
}

TEST_CASE("a cross-signed issuer is preferred to the root of the same name, in either order")
{
    for (const bool root_first : {true, false}) {
        const std::string root = pem("root.crt");
        const std::string both = root_first ? root + pem("root_cross.crt") : pem("root_cross.crt") + root;
        const auto made = make_credential(pem("p256.crt") + pem("intermediate.crt") + both, pem("p256.key"));
        REQUIRE(made.has_value());
        REQUIRE((*made)->chain.size() == 3);
        CHECK(name_text(parse_certificate((*made)->chain[2])->issuer) == "CN=Other Root");
    }
    const auto all = make_credential(pem("other_root.crt") + pem("root.crt") + pem("root_cross.crt") + pem("p256.crt")
                                         + pem("intermediate.crt"),
                                     pem("p256.key"));
    REQUIRE(all.has_value());
    CHECK((*all)->chain.size() == 3);
}

TEST_CASE("an issuer of the right name and the wrong key is passed over for the right one, or refused")
{
    const auto made = make_credential(pem("p256.crt") + pem("impostor.crt") + pem("intermediate.crt"), pem("p256.key"));
    // Note: the impostor issued nothing here, and is named as the one to remove.
    REQUIRE_FALSE(made.has_value());
    CHECK(made.error().code == errc::broken_chain);
    says(made.error(), "certificate 2");
    const failure why =
        why_not(pem("p256.crt") + pem("impostor.crt"), pem("p256.key"), {.certificate_file = "api.pem"});
    CHECK(why.code == errc::broken_chain);
    says(why, "api.pem: the certificate for CN=p256 is not signed by the key of CN=Intermediate");
}

TEST_CASE("a chain that does not link is refused, with what is missing")
{
    const failure gap = why_not(pem("p256.crt") + pem("root.crt"), pem("p256.key"));
    CHECK(gap.code == errc::broken_chain);
    says(gap, "certificate 2 (CN=Root, O=Alos Tests, C=XX) issued nothing");
    says(gap, "add the certificate of CN=Intermediate, O=Alos Tests");
    const std::string stranger = pem("p256.crt") + pem("intermediate.crt") + pem("rsa_ca.crt");
    says(why_not(stranger, pem("p256.key")), "certificate 3 (CN=RSA CA)");
    CHECK(why_not(pem("p256.crt") + pem("rsa.crt"), pem("p256.key")).code == errc::broken_chain);
}

TEST_CASE("issuer and leaf of one name are told apart")
{
    const auto made = make_credential(pem("same_name_ca.crt") + pem("same_name_leaf.crt"), pem("same_name_leaf.key"));
    REQUIRE(made.has_value());
    CHECK((*made)->chain.size() == 1);
    CHECK((*made)->chain_schemes.size() == 1);
}

TEST_CASE("what certificates are signed with is known for signature_algorithms_cert (RFC 8446 4.2.3)")
{
    struct row {
        std::string name;
        std::string issuer;
        signature_scheme scheme;
    };
    for (const row& one : std::vector<row>{
             {"by_rsa", "rsa_ca", rsa_pkcs1_sha512},
             {"by_pss", "rsa_ca", rsa_pss_rsae_sha384},
             {"by_pss_pss", "pss_ca", rsa_pss_pss_sha256},
             {"by_ed", "ed_ca", ed25519},
             {"by_p521", "p521_ca", ecdsa_secp521r1_sha512},
         }) {
        CAPTURE(one.name);
        const auto made = make_credential(pem(one.name + ".crt") + pem(one.issuer + ".crt"), pem(one.name + ".key"));
        REQUIRE(made.has_value());
        CHECK((*made)->chain_schemes == std::vector<signature_scheme>{one.scheme});
    }
    const auto self = make_credential(pem("expired.crt"), pem("p256.key"));
    REQUIRE(self.has_value());
    CHECK((*self)->chain_schemes.empty());
}

TEST_CASE("a key of another certificate is refused")
{
    const failure why =
        why_not(pem("p256.crt"), pem("p384.key"), {.certificate_file = "certs/api.pem", .key_file = "api-key.pem"});
    CHECK(why.code == errc::key_mismatch);
    CHECK(why.what
          == "certs/api.pem: the private key api-key.pem does not belong to this certificate; use the key the "
             "certificate was requested with");
    CHECK(why_not(pem("p256.crt"), pem("rsa.key")).code == errc::key_mismatch);
    CHECK(why_not(pem("rsa.crt"), pem("pss.key")).code == errc::key_mismatch);
}

TEST_CASE("keys that TLS 1.3 cannot sign with here are refused")
{
    for (const char* name : {"p521", "k1", "ed448", "rsa1024"}) {
        CAPTURE(std::string(name));
        const failure why = why_not(pem(std::string(name) + ".crt"), pem(std::string(name) + ".key"));
        CHECK(why.code == errc::unsupported_key);
        says(why, "ECDSA P-256");
    }
    const auto allowed = make_credential(pem("rsa1024.crt"), pem("rsa1024.key"), {.min_rsa_bits = 1024});
    REQUIRE(allowed.has_value());
    CHECK((*allowed)->key->schemes().size() == 2);
}

TEST_CASE("certificates signed with MD5 or SHA-1 are refused, unless self-signed")
{
    for (const char* name : {"md5", "sha1", "ecdsa_sha1"}) {
        CAPTURE(std::string(name));
        const failure why = why_not(pem(std::string(name) + ".crt"), pem("p256.key"));
        CHECK(why.code == errc::bad_certificate);
        says(why, "SHA-256");
    }
    CHECK(make_credential(pem("sha1_self.crt"), pem("rsa.key")).has_value());
}

TEST_CASE("a key whose public half is another's is found out at load")
{
    // The number of one P-256 key beside the point of another, as SEC1 can write it.
    const auto number_of = [](const std::string& text) {
        const auto der = decode_pem(parse_pem(text).value().at(0)).value();
        der::reader in(der);
        der::reader info(in.read(der::sequence));
        info.read(der::integer);
        info.read(der::sequence);
        der::reader octets(info.read(der::octet_string));
        der::reader key(octets.read(der::sequence));
        key.read(der::integer);
        const byte_view number = key.read(der::octet_string);
        const byte_view point = key.read(der::context_constructed(1));
        return std::pair(secret_bytes(number.begin(), number.end()), byte_vector(point.begin(), point.end()));
    };
    const auto own = number_of(pem("p256.key"));
    const auto other = number_of(pem("by_rsa.key"));
    secret_bytes mixed;
    der::writer out(mixed);
    out.nested(der::sequence, [&] {
        out.small_integer(1);
        out.value(der::octet_string, other.first);
        out.nested(der::context_constructed(0), [&] { out.value(der::object_identifier, alos::detail::oid_p256); });
        out.value(der::context_constructed(1), own.second);
    });
    const failure why = why_not(pem("p256.crt"), std::string(as_text(encode_pem("EC PRIVATE KEY", mixed))));
    CHECK((why.code == errc::bad_private_key || why.code == errc::key_mismatch));
}

TEST_CASE("names are spelled as lookups spell them, and what is no DNS name is left out")
{
    const auto odd = make_credential(pem("odd_names.crt"), pem("p256.key"));
    REQUIRE(odd.has_value());
    CHECK((*odd)->about.names == std::vector<std::string>{"good.example.com"});
    CHECK((*odd)->about.addresses.empty());
    const auto nameless = make_credential(pem("nameless.crt"), pem("p256.key"));
    REQUIRE(nameless.has_value());
    CHECK((*nameless)->about.names.empty());
}

TEST_CASE("unreadable PEM: one line with the file, the cause and the cure")
{
    const load_options files{.certificate_file = "c.pem", .key_file = "k.pem"};
    const std::string certificate = pem("p256.crt");
    const std::string key = pem("p256.key");
    says(why_not("", key, files), "c.pem: no PEM block");
    says(why_not(key, certificate, files),
         "c.pem: it holds a private key and no certificate; are the two files swapped?");
    says(why_not(certificate, certificate, files), "k.pem: it holds no private key");
    says(why_not(certificate, "hello", files), "k.pem: no PEM block");
    says(why_not(certificate, "", files), "k.pem: it holds no private key");
    says(why_not(certificate, pem("p256_pbes2.key"), files),
         "k.pem: the private key is encrypted; give its passphrase");
    CHECK(why_not(certificate, pem("p256_pbes2.key"), {.passphrase = "x"}).code == errc::wrong_passphrase);
    std::string damaged = certificate;
    damaged[100] = '!';
    says(why_not(damaged, key, files), "c.pem: certificate 1 is not valid base64");
    says(why_not("-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n", key, files),
         "c.pem: certificate 1 cannot be read as X.509");
    says(why_not("-----BEGIN PUBLIC KEY-----\nAAEC\n-----END PUBLIC KEY-----\n", key, files),
         "c.pem: it holds PUBLIC KEY and no CERTIFICATE");
    says(why_not(certificate, "-----BEGIN PRIVATE KEY-----\nAAEC\n-----END PRIVATE KEY-----\n", files),
         "k.pem: the private key cannot be read");
    // Without files nothing stands before the sentence.
    CHECK(why_not("", key).what.starts_with("no PEM block"));
}

TEST_CASE("a key that is elsewhere, as in an HSM, makes a credential when its schemes fit the leaf")
{
    struct far_key final : signing_key {
        std::vector<signature_scheme> list;
        explicit far_key(std::vector<signature_scheme> schemes) : list(std::move(schemes)) {}
        [[nodiscard]] std::span<const signature_scheme> schemes() const noexcept override { return list; }
        [[nodiscard]] result<byte_vector> sign(signature_scheme, byte_view) const override { return byte_vector{1}; }
        [[nodiscard]] bool immediate() const noexcept override { return false; }
    };
    const std::string chain = pem("p256.crt") + pem("intermediate.crt");
    const auto key = std::make_shared<far_key>(std::vector{ecdsa_secp256r1_sha256});
    const auto made = make_remote_credential(chain, key);
    REQUIRE(made.has_value());
    CHECK((*made)->key == key);
    CHECK((*made)->chain.size() == 2);
    CHECK((*made)->about.key_type == "ECDSA P-256");
    for (const auto& wrong :
         std::vector<std::vector<signature_scheme>>{{}, {ed25519}, {ecdsa_secp256r1_sha256, ed25519}})
        CHECK(make_remote_credential(chain, std::make_shared<far_key>(wrong)).error().code == errc::key_mismatch);
    CHECK(make_remote_credential(chain, std::shared_ptr<const signing_key>()).error().code == errc::key_mismatch);
    CHECK(make_remote_credential(pem("intermediate.crt") + pem("p256.crt"), key).error().code == errc::broken_chain);
}

TEST_CASE("a certificate and the key that were just made are a credential without PEM")
{
    certificate_spec spec;
    spec.dns_names.push_back("a.test");
    spec.not_before = std::chrono::system_clock::now();
    spec.not_after = spec.not_before + std::chrono::hours(1);
    for (const key_kind kind : {key_kind::ecdsa_p256, key_kind::rsa_2048}) {
        const auto key = private_key::generate(kind).value();
        const byte_vector der = issue_self_signed(spec, *key).value();
        const auto made = make_credential(der, key, {.from = source::acme});
        REQUIRE(made.has_value());
        CHECK((*made)->chain == std::vector<byte_vector>{der});
        CHECK((*made)->from == source::acme);
        CHECK((*made)->key->immediate() == (kind == key_kind::ecdsa_p256));
        CHECK(cert::detail::signs_correctly(*(*made)->key, parse_certificate(der).value()));
        const auto other = private_key::generate(kind).value();
        CHECK(make_credential(der, other).error().code == errc::key_mismatch);
    }
    const byte_vector nothing;
    CHECK_FALSE(make_credential(nothing, private_key::generate(key_kind::ecdsa_p256).value()).has_value());
}

TEST_CASE("a private key that is cut off anywhere is refused and nothing else happens")
{
    const std::string whole = pem("p256.crt") + pem("p256.key");
    for (std::size_t size = 0; size < whole.size(); size += 7)
        (void)make_credential(std::string_view(whole).substr(0, size), "").has_value();
}

TEST_CASE("a certificate whose subject is empty is called by its other names (RFC 5280 4.1.2.6)")
{
    const auto pair = make_self_signed({"a.test", "b.test"}, std::chrono::system_clock::now());
    REQUIRE(pair.has_value());
    const auto made = make_credential(*pair, {});
    REQUIRE(made.has_value());
    certificate leaf = parse_certificate((*made)->chain.front()).value();
    CHECK(cert::detail::describe(leaf).subject == "CN=a.test");
    const byte_vector nobody{0x30, 0x00};
    leaf.subject = nobody;
    CHECK(cert::detail::describe(leaf).subject == "a.test");
}
