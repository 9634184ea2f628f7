// An authority for one test, and servers that it issues certificates to.
#ifndef ALOS_TESTS_SUPPORT_AUTHORITY_HPP
#define ALOS_TESTS_SUPPORT_AUTHORITY_HPP

#include <alos/cert/self_signed.hpp>
#include <alos/cert/store.hpp>

#include <memory>
#include <string>
#include <vector>

namespace alos_tests {

class authority {
public:
    explicit authority(std::string name = "Test Authority") : name_(std::move(name))
    {
        alos::certificate_spec spec;
        spec.common_name = name_;
        spec.is_authority = true;
        spec.not_before = std::chrono::system_clock::now() - std::chrono::hours(24 * 30);
        spec.not_after = std::chrono::system_clock::now() + std::chrono::hours(24 * 30);
        pem_ = encode(alos::issue_self_signed(spec, *key_).value());
    }

    // Its certificate.
    [[nodiscard]] const std::string& pem() const noexcept { return pem_; }

    // A server's certificate that is valid from now + `from` until now + `until`, and its key.
    [[nodiscard]] alos::cert::credential_ptr issue(std::vector<std::string> names,
                                                   std::vector<alos::byte_vector> addresses = {},
                                                   std::chrono::hours from = std::chrono::hours(-1),
                                                   std::chrono::hours until = std::chrono::hours(24)) const
    {
        const auto key = alos::private_key::generate(alos::key_kind::ecdsa_p256).value();
        alos::certificate_spec spec;
        spec.common_name = "server";
        spec.dns_names = std::move(names);
        spec.addresses = std::move(addresses);
        spec.not_before = std::chrono::system_clock::now() + from;
        spec.not_after = std::chrono::system_clock::now() + until;
        const alos::certificate_issuer issuer{name_, *key_, alos::signature_scheme::ecdsa_secp256r1_sha256};
        const std::string leaf = encode(alos::issue_certificate(spec, *key, issuer).value());
        const auto key_pem = key->to_pem();
        return alos::cert::make_credential(leaf, alos::as_text(key_pem)).value();
    }

private:
    static std::string encode(alos::byte_view der)
    {
        return std::string(alos::as_text(alos::encode_pem("CERTIFICATE", der)));
    }

    std::string name_;
    alos::private_key_ptr key_ = alos::private_key::generate(alos::key_kind::ecdsa_p256).value();
    std::string pem_;
};

// Puts one credential into a store, for all names.
inline void publish(alos::cert::store& certificates, alos::cert::credential_ptr credential)
{
    std::vector<alos::cert::entry> entries{{"default.test", {std::move(credential)}}};
    certificates.publish(std::make_shared<const alos::cert::snapshot>(std::move(entries), "default.test"));
}

}

#endif
