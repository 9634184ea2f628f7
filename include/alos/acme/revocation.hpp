// Revokes a certificate: by the account that ordered it, else by its own key. RFC 8555 7.6.
#ifndef ALOS_ACME_REVOCATION_HPP
#define ALOS_ACME_REVOCATION_HPP

#include <alos/acme/client.hpp>
#include <alos/acme/payloads.hpp>
#include <alos/acme/storage.hpp>
#include <alos/cert/credential.hpp>

#include <string>
#include <utility>

namespace alos::inline v0::acme {

// `by` is an account at `ca`, or why there is none; the storage has the certificate, with its key, under `id`. `reason`
// is one of RFC 5280 5.3.1. One that is revoked already is a success. Both outlive it.
[[nodiscard]] inline awaitable<reply<>> revoke_certificate(client& ca, reply<signer> by, storage& kept, std::string id,
                                                           cert::credential_ptr which, unsigned reason)
{
    const std::string payload = revoke_payload(which->chain.front(), reason);
    reply<> done = refusal{};
    if (by) {
        const auto answer = co_await ca.post(&directory::revoke_cert, payload, *by, "revocation");
        if (answer)
            co_return reply<>();
        done = answer.error();
    } else {
        done = by.error();
    }
    if (!by || may_mean_signer(done.error().why)) {
        const auto found = co_await kept.load_certificate(std::move(id));
        const bool is_it = found && found->has_value() && (*found)->credential->chain == which->chain;
        const auto key = is_it ? account_key::from_pem(as_text((*found)->key_pem))
                               : outcome<account_key>(failure{errc::bad_private_key, {}});
        if (key) {
            const signer itself{*key};
            const auto answer = co_await ca.post(&directory::revoke_cert, payload, itself, "revocation");
            if (answer)
                co_return reply<>();
            if (by || answer.error().why.status != 0) // else what is wrong with the account tells more
                done = answer.error();
        }
    }
    if (done.error().why.type == "alreadyRevoked")
        co_return reply<>();
    co_return done;
}

}

#endif
