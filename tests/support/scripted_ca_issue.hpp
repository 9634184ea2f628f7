// The scripted CA's keys and certificates: requests read (RFC 2986), leaves issued, chains put together.
#ifndef ALOS_TESTS_SCRIPTED_CA_ISSUE_HPP
#define ALOS_TESTS_SCRIPTED_CA_ISSUE_HPP

#include "support/dice.hpp"
#include "support/scripted_ca_jws.hpp"

#include <alos/cert/names.hpp>
#include <alos/crypto/botan_issue.hpp>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace test {

// What a CSR asks for. The views are into `der`, so it is moved and not copied.
struct certificate_request {
    byte_vector der;
    byte_view signed_part;
    byte_view key_info;
    byte_view algorithm;
    byte_view signature;
    std::set<std::string> names; // DNS names and addresses as text
    bool has_subject = false;

    certificate_request() = default;
    certificate_request(certificate_request&&) noexcept = default;
    certificate_request& operator=(certificate_request&&) noexcept = default;
};

[[nodiscard]] inline std::optional<certificate_request> read_request(std::string_view text)
{
    namespace der = alos::der;
    constexpr auto extension_request = alos::detail::oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e);
    certificate_request read;
    read.der.assign(text.begin(), text.end());
    der::reader in(read.der);
    der::reader outer(in.read(der::sequence));
    const der::element info = outer.whole(der::sequence);
    read.signed_part = info.whole;
    read.algorithm = outer.read(der::sequence);
    const byte_view signature = outer.read(der::bit_string);
    der::reader fields(info.contents);
    const byte_view version = fields.read(der::integer);
    read.has_subject = !fields.read(der::sequence).empty();
    read.key_info = fields.whole(der::sequence).whole;
    der::reader attributes(fields.read(der::context_constructed(0)));
    if (!in.complete() || !outer.complete() || !fields.complete() || signature.empty() || version.size() != 1
        || version[0] != 0)
        return std::nullopt;
    read.signature = signature.subspan(1);
    while (!attributes.empty()) {
        der::reader attribute(attributes.read(der::sequence));
        if (!alos::equal(attribute.read(der::object_identifier), extension_request))
            continue;
        der::reader values(attribute.read(der::set));
        der::reader extensions(values.read(der::sequence));
        while (!extensions.empty()) {
            der::reader extension(extensions.read(der::sequence));
            const byte_view oid = extension.read(der::object_identifier);
            extension.read_if(der::boolean);
            der::reader value(extension.read(der::octet_string));
            if (!alos::equal(oid, alos::detail::oid_subject_alt_name))
                continue;
            der::reader names(value.read(der::sequence));
            while (!names.empty()) {
                const der::element name = names.any();
                if (name.type == der::context(2))
                    read.names.emplace(as_text(name.contents));
                else if (name.type == der::context(7))
                    read.names.insert(alos::cert::ip_address(name.contents).text());
                else
                    return std::nullopt;
            }
            if (!names.ok())
                return std::nullopt;
        }
        if (!extensions.ok())
            return std::nullopt;
    }
    if (!attributes.ok())
        return std::nullopt;
    return read;
}

// Whether the request is signed by the key in it (RFC 2986 4.2). Slow, like all signatures.
[[nodiscard]] inline bool is_signed_by_its_key(const certificate_request& request)
{
    const alos::certificate_signature method = alos::detail::read_signature_algorithm(request.algorithm);
    try {
        const auto key = Botan::X509::load_key(request.key_info);
        Botan::PK_Verifier verifier(*key, method.method, alos::signature_format(*key));
        return verifier.verify_message(request.signed_part, request.signature);
    } catch (const std::exception&) {
        return false;
    }
}

// The contents octets of the serial number of a certificate; empty when it is none.
[[nodiscard]] inline byte_view serial_of(byte_view certificate_der) noexcept
{
    namespace der = alos::der;
    der::reader in(certificate_der);
    der::reader outer(in.read(der::sequence));
    der::reader fields(outer.read(der::sequence));
    fields.read_if(der::context_constructed(0));
    return fields.read(der::integer);
}

// The name that asks for an address (RFC 8738 6).
[[nodiscard]] inline std::string reverse_name_of(const alos::cert::ip_address& address)
{
    constexpr std::string_view digits = "0123456789abcdef";
    const byte_view bytes = address.bytes();
    std::string name;
    for (std::size_t i = bytes.size(); i-- > 0;) {
        if (bytes.size() == 4)
            name += std::to_string(bytes[i]) + ".";
        else
            name += {digits[bytes[i] & 0xf], '.', digits[bytes[i] >> 4], '.'};
    }
    return name + (bytes.size() == 4 ? "in-addr.arpa" : "ip6.arpa");
}

// RFC 8737 3: whether this leaf answers for the identifier, its names and the digest alike.
[[nodiscard]] inline bool answers_tls_alpn_01(const byte_vector& leaf, std::string_view identifier,
                                              std::string_view key_authorization)
{
    namespace der = alos::der;
    constexpr auto acme_identifier = alos::detail::oid(0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f);
    const auto read = alos::parse_certificate(leaf);
    if (!read)
        return false;
    const alos::cert::ip_address address(identifier);
    const bool named = address.empty() ? read->addresses.empty() && read->dns_names.size() == 1
                                             && read->dns_names[0] == identifier
                                       : read->dns_names.empty() && read->addresses.size() == 1
                                             && alos::equal(read->addresses[0], address.bytes());
    // Found by its bytes: the extension is the only thing in the certificate that starts with this OID.
    byte_vector wanted;
    der::writer out(wanted);
    out.value(der::object_identifier, acme_identifier);
    out.truth();
    byte_vector digest;
    der::writer inner(digest);
    inner.value(der::octet_string, alos::sha256_of(as_bytes(key_authorization)));
    out.value(der::octet_string, digest);
    const auto& der_bytes = read->der;
    return named
           && std::search(der_bytes.begin(), der_bytes.end(), wanted.begin(), wanted.end()) != der_bytes.end();
}

// Two roots, an intermediate that both vouch for, and one that nobody knows. Made once for all tests of a program.
class issuing_authority {
public:
    static const issuing_authority& shared()
    {
        static const issuing_authority one;
        return one;
    }

    struct leaf {
        std::vector<std::string> names; // DNS names and addresses
        alos::system_time not_before;
        alos::system_time not_after;
        byte_view key_info;
        bool by_rogue = false; // signed by a key that is not the intermediate's
    };

    // DER. The serial number is drawn, so that runs can be repeated.
    [[nodiscard]] byte_vector issue(const leaf& what, dice& random) const
    {
        alos::certificate_spec spec;
        spec.not_before = what.not_before;
        spec.not_after = what.not_after;
        for (const std::string& name : what.names) {
            const alos::cert::ip_address address(name);
            if (address.empty())
                spec.dns_names.push_back(name);
            else
                spec.addresses.emplace_back(address.bytes().begin(), address.bytes().end());
        }
        std::array<std::uint8_t, 16> serial{};
        random.fill(serial);
        serial[0] = static_cast<std::uint8_t>((serial[0] & 0x7f) | 0x40);
        return assemble(spec, serial, what.key_info, intermediate_name, what.by_rogue ? *rogue_ : *intermediate_,
                        intermediate_info_);
    }

    // What follows the leaf, PEM; `root` 0 or 1.
    [[nodiscard]] const std::string& issuers_pem(std::size_t root) const { return issuers_pem_[root % 2]; }

    // keyIdentifier of what it issues, as RFC 9773 4.1 writes it.
    [[nodiscard]] const std::string& key_identifier_text() const { return key_identifier_; }

    // A key that no client has.
    [[nodiscard]] byte_view foreign_key_info() const { return rogue_info_; }

    static constexpr const char* intermediate_name = "Scripted Intermediate";

private:
    issuing_authority()
    {
        const auto make = [] { return alos::private_key::generate(alos::key_kind::ecdsa_p256).value(); };
        const alos::private_key_ptr roots[] = {make(), make()};
        const char* const root_names[] = {"Scripted Root A", "Scripted Root B"};
        intermediate_ = make();
        rogue_ = make();
        intermediate_info_ = intermediate_->public_key_info();
        rogue_info_ = rogue_->public_key_info();
        key_identifier_ = to_base64url(alos::detail::key_identifier(intermediate_info_));
        alos::certificate_spec spec;
        spec.common_name = intermediate_name;
        spec.not_before = std::chrono::sys_days{std::chrono::year{2020} / 1 / 1};
        spec.not_after = std::chrono::sys_days{std::chrono::year{2120} / 1 / 1};
        spec.is_authority = true;
        for (std::size_t i = 0; i < 2; ++i) {
            const alos::certificate_issuer issuer{root_names[i], *roots[i], scheme};
            issuers_pem_[i] = as_text(alos::encode_pem(
                "CERTIFICATE", alos::issue_certificate(spec, *intermediate_, issuer).value()));
        }
    }

    static constexpr auto scheme = alos::signature_scheme::ecdsa_secp256r1_sha256;

    static byte_vector assemble(const alos::certificate_spec& spec, byte_view serial, byte_view key_info,
                                std::string_view issuer, const alos::private_key& key, byte_view issuer_key)
    {
        namespace der = alos::der;
        byte_vector body;
        alos::detail::byte_writer out(body);
        out.nested(der::sequence, [&] {
            out.nested(der::context_constructed(0), [&] { out.small_integer(2); });
            out.value(der::integer, serial);
            alos::detail::write_algorithm(out, scheme);
            alos::detail::write_name(out, issuer);
            out.nested(der::sequence, [&] {
                alos::detail::write_time(out, spec.not_before);
                alos::detail::write_time(out, spec.not_after);
            });
            out.value(der::sequence, {}); // no subject, as the profile "tlsserver" has it
            out.raw(key_info);
            out.nested(der::context_constructed(3), [&] {
                out.nested(der::sequence, [&] { alos::detail::write_extensions(out, spec, key_info, issuer_key); });
            });
        });
        byte_vector whole;
        alos::detail::byte_writer certificate(whole);
        certificate.nested(der::sequence, [&] {
            certificate.raw(body);
            alos::detail::write_algorithm(certificate, scheme);
            certificate.bits(key.sign(scheme, body).value());
        });
        return whole;
    }

    alos::private_key_ptr intermediate_;
    alos::private_key_ptr rogue_;
    byte_vector intermediate_info_;
    byte_vector rogue_info_;
    std::string key_identifier_;
    std::array<std::string, 2> issuers_pem_;
};

}

#endif
