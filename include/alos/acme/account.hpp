// The account at a CA, one for each e-mail address: found in the storage or made, with its key; changed and closed.
// RFC 8555 7.3.
#ifndef ALOS_ACME_ACCOUNT_HPP
#define ALOS_ACME_ACCOUNT_HPP

#include <alos/acme/client.hpp>
#include <alos/acme/limits.hpp>
#include <alos/acme/payloads.hpp>
#include <alos/acme/record.hpp>
#include <alos/acme/service.hpp>
#include <alos/acme/storage.hpp>

#include <functional>
#include <string>
#include <utility>

namespace alos::inline v0::acme {

// Three documents: "account/<id>.key", its key; "account/<id>", its URL, which the CA can be asked for again; and
// "account/<id>.next", the key that is about to replace the first.
class account_keeper {
public:
    // Told in one sentence what became of the account; the first argument says whether it is new.
    using teller = std::function<void(event_kind, std::string)>;

    // Both outlive it.
    account_keeper(client& ca, storage& kept, std::string email, teller tell)
        : ca_(ca), storage_(kept), email_(std::move(email)), tell_(std::move(tell)),
          id_(storage_id(ca.ca().directory, email_))
    {
    }

    // The account, which is registered if need be. Those who come meanwhile wait.
    [[nodiscard]] awaitable<reply<signer>> open()
    {
        const admission_gate::place turn = co_await gate_.enter();
        if (open_) {
            const auto kept = co_await storage_.load(document() + ".key");
            // Another process may have changed the key, or closed the account.
            if (!kept || (kept->has_value() && (*kept)->version == key_version_))
                co_return *open_;
            open_.reset();
        }
        auto key = co_await load_key();
        if (!key)
            co_return key.error();
        if (auto taken = co_await finish_key_change(*key); !taken)
            co_return taken.error();
        const std::string known = co_await load_url();
        if (!known.empty()) {
            tell_(event_kind::account_reused, "registration reused: " + known);
            open_.emplace(signer{*key, known});
            co_return *open_;
        }
        auto url = co_await register_key(*key);
        if (!url)
            co_return url.error();
        open_.emplace(signer{*key, std::move(*url)});
        co_return *open_;
    }

    // RFC 8555 6.7, accountDoesNotExist: the CA has lost it. The next open() registers the same key again.
    [[nodiscard]] awaitable<outcome<>> forget()
    {
        open_.reset();
        auto erased = co_await storage_.erase(document());
        co_return erased;
    }

    // RFC 8555 7.3.2: another contact.
    [[nodiscard]] awaitable<reply<>> update(std::vector<std::string> contact)
    {
        auto by = co_await open();
        if (!by)
            co_return by.error();
        std::string payload = update_account_payload(contact);
        const auto done = co_await ca_.post(by->url, std::move(payload), *by, "account");
        if (!done)
            co_return done.error();
        co_return reply<>();
    }

    // Another address by which it is found in the storage from then on; this keeper opens it no more. Nothing is lost
    // wherever it ends: the old place is left last.
    [[nodiscard]] awaitable<reply<>> keep_for(std::string email)
    {
        if (email == email_)
            co_return reply<>();
        auto by = co_await open();
        if (!by)
            co_return by.error();
        const std::string there = "account/" + storage_id(ca_.ca().directory, email);
        const auto taken = co_await storage_.load(there + ".key");
        if (!taken)
            co_return local(taken.error());
        if (taken->has_value() && (*taken)->version != key_version_)
            co_return refusal{failure_class::permanent,
                              "account: there is one of " + email + " already; use that, or close it first"};
        secret_text pem = by->key.to_pem();
        const auto stored = co_await storage_.store(there + ".key", std::move(pem), std::nullopt);
        if (!stored)
            co_return local(stored.error());
        if (const auto kept = co_await keep_url(there, email, by->url); !kept)
            co_return local(kept.error());
        open_.reset();
        static_cast<void>(co_await storage_.erase(document()));
        static_cast<void>(co_await storage_.erase(document() + ".key"));
        co_return reply<>();
    }

    // RFC 8555 7.3.6. It cannot be opened again.
    [[nodiscard]] awaitable<reply<>> deactivate()
    {
        auto by = co_await open();
        if (!by)
            co_return by.error();
        std::string payload(deactivation_payload);
        const auto done = co_await ca_.post(by->url, std::move(payload), *by, "account");
        if (!done)
            co_return done.error();
        open_.reset();
        static_cast<void>(co_await storage_.erase(document()));
        static_cast<void>(co_await storage_.move_aside(document() + ".key"));
        co_return reply<>();
    }

    // RFC 8555 7.3.5: a new key for the same account. It is kept before the CA hears of it: if the answer is lost,
    // open() finds out which of the two counts.
    [[nodiscard]] awaitable<reply<>> change_key(key_kind kind)
    {
        auto by = co_await open();
        if (!by)
            co_return by.error();
        auto next = account_key::generate(kind);
        if (!next)
            co_return local(next.error());
        const std::string pending = document() + ".next";
        secret_text pem = next->to_pem();
        const auto stored = co_await storage_.store(pending, std::move(pem), std::nullopt);
        if (!stored)
            co_return local(stored.error());
        const auto known = co_await ca_.find_directory();
        if (!known)
            co_return known.error();
        auto inner = sign_key_change(*next, by->key, by->url, known->key_change);
        if (!inner)
            co_return local(failure{inner.error(), "the new account key cannot sign"});
        const auto done = co_await ca_.post(&directory::key_change, std::move(*inner), *by, "account key");
        open_.reset();
        if (!done)
            co_return done.error();
        auto promoted = co_await promote(*next);
        co_return promoted;
    }

private:
    static refusal local(const failure& why) { return {failure_class::transient, "account: " + why.what}; }

    [[nodiscard]] std::string document() const { return "account/" + id_; }

    // A key that cannot be read is moved aside, and a new one made: with it comes a new account.
    [[nodiscard]] awaitable<reply<account_key>> load_key()
    {
        const std::string name = document() + ".key";
        for (int tries = 0;; ++tries) {
            const auto kept = co_await storage_.load(name);
            if (!kept)
                co_return local(kept.error());
            if (kept->has_value()) {
                auto key = account_key::from_pem(as_text((*kept)->text));
                key_version_ = (*kept)->version;
                if (key)
                    co_return std::move(*key);
                const auto aside = co_await storage_.move_aside(name);
                if (!aside)
                    co_return local(aside.error());
                tell_(event_kind::unreadable, "the account key cannot be used (" + key.error().what
                                                  + "); it is now in " + *aside + ", and a new account is made");
            }
            // What is known of an account belongs to a key that is gone.
            static_cast<void>(co_await storage_.erase(document()));
            auto made = account_key::generate(key_kind::ecdsa_p256);
            if (!made)
                co_return local(made.error());
            secret_text pem = made->to_pem();
            const auto stored = co_await storage_.store(name, std::move(pem), 0);
            if (stored) {
                key_version_ = *stored;
                co_return std::move(*made);
            }
            if (stored.error().code != errc::conflict || tries == 3)
                co_return local(stored.error());
        }
    }

    [[nodiscard]] awaitable<std::string> load_url()
    {
        const auto kept = co_await storage_.load(document());
        if (!kept || !kept->has_value())
            co_return std::string();
        const auto in = detail::read_object_text(as_text((*kept)->text));
        co_return in ? detail::text_of(*in, "url") : std::string();
    }

    [[nodiscard]] awaitable<outcome<>> keep_url(std::string document, std::string email, std::string url)
    {
        boost::json::object out;
        out["directory"] = ca_.ca().directory;
        out["email"] = email;
        out["url"] = url;
        const std::string text = boost::json::serialize(out);
        secret_text kept(text.begin(), text.end());
        const auto stored = co_await storage_.store(std::move(document), std::move(kept), std::nullopt);
        if (!stored)
            co_return stored.error();
        co_return outcome<>();
    }

    // RFC 8555 7.3: 201 is a new account, 200 one that this key had already.
    [[nodiscard]] awaitable<reply<std::string>> register_key(account_key key)
    {
        kept_bucket allowed = limits(ca_.world(), storage_, ca_.ca()).accounts();
        const auto later = co_await allowed.take();
        if (later)
            co_return refusal{failure_class::throttled, "account: as many were asked for as this CA allows",
                              std::chrono::ceil<std::chrono::seconds>(*later - ca_.world().now())};
        const auto known = co_await ca_.find_directory();
        if (!known)
            co_return known.error();
        new_account asked;
        if (!email_.empty())
            asked.contact.push_back("mailto:" + email_);
        const certificate_authority& ca = ca_.ca();
        if (!ca.eab_kid.empty() || !ca.eab_hmac_key.empty()) {
            const auto secret = secret_from_base64(ca.eab_hmac_key);
            if (!secret)
                co_return refusal{failure_class::permanent,
                                  "account: the eab_hmac_key for " + ca.directory
                                      + " is not base64url; copy it again from the CA's page"};
            auto binding = external_account_binding(ca.eab_kid, *secret, known->new_account, key);
            if (!binding)
                co_return refusal{failure_class::permanent, "account: " + binding.error().what};
            asked.external_account_binding = std::move(*binding);
        } else if (known->external_account_required) {
            co_return refusal{failure_class::permanent,
                              "account: " + ca.directory
                                  + " wants an external account; set eab_kid and eab_hmac_key to what its page shows"};
        }
        std::string payload = new_account_payload(asked);
        signer itself{key};
        const auto answer = co_await ca_.post(&directory::new_account, std::move(payload), itself, "account");
        if (!answer)
            co_return answer.error();
        const std::string url = url_in(*answer, answer->field("Location"));
        if (url.empty())
            co_return refusal{failure_class::transient, "account: " + ca.directory + " named no account URL"};
        const auto read = parse_account(answer->body);
        if (read && read->status != account_status::valid)
            co_return refusal{failure_class::permanent,
                              "account: " + url + " is closed; move its key away (" + document() + ".key)"};
        if (const auto stored = co_await keep_url(document(), email_, url); !stored)
            co_return local(stored.error());
        const bool is_new = answer->status == 201;
        tell_(is_new ? event_kind::account_created : event_kind::account_reused,
              (is_new ? "registered as " : "registration reused: ") + url);
        co_return url;
    }

    // After a change of keys whose answer was lost: `key` becomes the new one if the CA knows that.
    [[nodiscard]] awaitable<reply<>> finish_key_change(account_key& key)
    {
        const std::string pending = document() + ".next";
        const auto kept = co_await storage_.load(pending);
        if (!kept || !kept->has_value())
            co_return reply<>();
        const auto next = account_key::from_pem(as_text((*kept)->text));
        if (next) {
            new_account asked;
            asked.only_return_existing = true;
            asked.terms_of_service_agreed = false;
            std::string payload = new_account_payload(asked);
            signer itself{*next};
            const auto answer = co_await ca_.post(&directory::new_account, std::move(payload), itself, "account");
            if (answer) {
                auto promoted = co_await promote(*next);
                if (!promoted)
                    co_return promoted;
                key = *next;
                co_return reply<>();
            }
            if (answer.error().why.type != "accountDoesNotExist")
                co_return answer.error();
        }
        static_cast<void>(co_await storage_.erase(pending));
        co_return reply<>();
    }

    [[nodiscard]] awaitable<reply<>> promote(account_key next)
    {
        secret_text pem = next.to_pem();
        const auto stored = co_await storage_.store(document() + ".key", std::move(pem), std::nullopt);
        if (!stored)
            co_return local(stored.error());
        key_version_ = *stored;
        static_cast<void>(co_await storage_.erase(document() + ".next"));
        co_return reply<>();
    }

    client& ca_;
    storage& storage_;
    const std::string email_;
    const teller tell_;
    const std::string id_;
    admission_gate gate_{1};
    std::optional<signer> open_;
    std::uint64_t key_version_ = 0; // of its document, when it was read or written here
};

}

#endif
