// Asks a CA for an account: the one that a key has, or a new one. RFC 8555 7.3, 7.3.1, 7.3.4.
#ifndef ALOS_ACME_REGISTRATION_HPP
#define ALOS_ACME_REGISTRATION_HPP

#include <alos/acme/client.hpp>
#include <alos/acme/limits.hpp>
#include <alos/acme/payloads.hpp>
#include <alos/acme/storage.hpp>

#include <chrono>
#include <string>
#include <utility>

namespace alos::inline v0::acme {

struct registration {
    std::string url; // never empty
    account_status status = account_status::valid;
    bool is_new = false;
};

namespace detail {

inline constexpr std::size_t max_eab_file = 4096;

// `payload` is that of a newAccount request, which `key` signs.
inline awaitable<reply<registration>> ask_for_account(client& ca, account_key key, std::string payload)
{
    signer itself{std::move(key)};
    const auto answer = co_await ca.post(&directory::new_account, std::move(payload), std::move(itself), "account");
    if (!answer)
        co_return answer.error();
    registration made{.url = url_in(*answer, answer->field("Location"))};
    if (made.url.empty())
        co_return refusal{failure_class::transient,
                          "account: " + ca.ca().directory
                              + " named no account URL (Location); use another CA if that lasts"};
    if (const auto read = parse_account(answer->body))
        made.status = read->status;
    made.is_new = answer->status == 201; // RFC 8555 7.3: 200 is one that this key had already
    co_return made;
}

// RFC 8555 7.3.4: the HMAC key of the settings, or of the file that they name.
inline reply<secret_bytes> eab_key_of(client& ca)
{
    const certificate_authority& settings = ca.ca();
    const std::string& file = settings.eab_hmac_key_file;
    secret_text text = settings.eab_hmac_key;
    if (text.empty() && !file.empty()) {
        auto kept = ca.world().files().read(file, max_eab_file);
        if (!kept) {
            refusal why{failure_class::transient, "account: " + file + ": the eab_hmac_key for " + settings.directory
                                                      + " cannot be read: " + kept.error().message()
                                                      + "; check the path"};
            why.is_ours = true;
            return why;
        }
        text = std::move(*kept);
    }
    if (text.empty() && file.empty())
        return refusal{failure_class::permanent, "account: an eab_kid is set for " + settings.directory
                                                     + ", and no eab_hmac_key; set it to what the CA's page shows"};
    auto key = secret_from_base64(as_text(text));
    if (!key || key->empty())
        return refusal{failure_class::permanent,
                       "account: the eab_hmac_key for " + settings.directory
                           + " is not base64url; copy it again from the CA's page"
                           + (file.empty() ? "" : " to " + file)};
    return std::move(*key);
}

inline refusal too_many_accounts(const certificate_authority& settings, std::chrono::nanoseconds wait)
{
    refusal no{failure_class::throttled,
               "account: no more accounts are asked for at " + settings.directory
                   + " for now: that is our own limit, `accounts` of this CA in the configuration; wait, it goes on by "
                     "itself, or raise it there",
               std::chrono::ceil<std::chrono::seconds>(wait)};
    no.is_ours = true;
    return unsent(std::move(no));
}

// RFC 8555 7.3, 7.3.4: the payload of a newAccount request.
inline awaitable<reply<std::string>> registration_payload(client& ca, account_key key, std::string email)
{
    const auto known = co_await ca.find_directory();
    if (!known)
        co_return known.error();
    const certificate_authority& settings = ca.ca();
    new_account asked;
    if (!email.empty())
        asked.contact.push_back(mailto_url(email));
    if (!settings.eab_kid.empty() || settings.has_eab_hmac_key()) {
        const auto secret = eab_key_of(ca);
        if (!secret)
            co_return secret.error();
        auto binding = external_account_binding(settings.eab_kid, *secret, (*known)->new_account, key);
        if (!binding)
            co_return refusal{failure_class::permanent, "account: " + binding.error().what};
        asked.external_account_binding = std::move(*binding);
    } else if ((*known)->external_account_required) {
        co_return refusal{failure_class::permanent,
                          "account: " + settings.directory
                              + " wants an external account; set eab_kid and eab_hmac_key to what its page shows"};
    }
    co_return new_account_payload(asked);
}

}

// RFC 8555 7.3.1: the account that `key` has; a problem of type accountDoesNotExist if it has none. `ca` outlives it.
[[nodiscard]] inline awaitable<reply<registration>> find_account(client& ca, account_key key)
{
    new_account asked;
    asked.only_return_existing = true;
    asked.terms_of_service_agreed = false;
    std::string payload = new_account_payload(asked);
    auto found = co_await detail::ask_for_account(ca, std::move(key), std::move(payload));
    co_return found;
}

// RFC 8555 7.3: the account that `key` has, or a new one for it with that address, which may be empty; no more of them
// than the settings allow, which `kept` counts; see kept_bucket for `tell`. Both outlive it.
[[nodiscard]] inline awaitable<reply<registration>> register_account(client& ca, storage& kept, account_key key,
                                                                     std::string email, limit_teller tell = {})
{
    auto payload = co_await detail::registration_payload(ca, key, std::move(email));
    if (!payload)
        co_return unsent(payload.error());
    kept_bucket allowed = limits(ca.world(), kept, ca.ca(), std::move(tell)).accounts();
    if (const auto later = co_await allowed.take())
        co_return detail::too_many_accounts(ca.ca(), *later - ca.world().now());
    auto made = co_await detail::ask_for_account(ca, std::move(key), std::move(*payload));
    // Note: an account whose answer was lost is found by its key the next time.
    if (!made || !made->is_new)
        co_await allowed.give_back();
    co_return made;
}

}

#endif
