// The account at a CA, one for each e-mail address: found in the storage or made, changed and closed.
// RFC 8555 7.3.
#ifndef ALOS_ACME_ACCOUNT_HPP
#define ALOS_ACME_ACCOUNT_HPP

#include <alos/acme/client.hpp>
#include <alos/acme/kept_account_key.hpp>
#include <alos/acme/limits.hpp>
#include <alos/acme/payloads.hpp>
#include <alos/acme/record.hpp>
#include <alos/acme/registration.hpp>
#include <alos/acme/signal.hpp>
#include <alos/acme/storage.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// Beside its key there is the document "account/<id>": its URL, which the CA can be asked for again.
class account_keeper {
public:
    // Both outlive it.
    account_keeper(client& ca, storage& kept, std::string email, account_teller tell)
        : ca_(ca), storage_(kept), email_(std::move(email)), tell_(std::move(tell)),
          id_(storage_id(ca.ca().directory, email_)), key_(ca, kept, id_, tell_)
    {
    }

    // The account, which is registered if need be. Those who come meanwhile wait.
    [[nodiscard]] awaitable<reply<signer>> open()
    {
        const admission_gate::place turn = co_await gate_.enter();
        if (open_) {
            const bool is_same = co_await key_.is_unchanged();
            const std::string kept = co_await key_.load_url(); // another process may have registered the key again
            const bool is_changing = co_await key_.is_changing(); // or have changed it, and not heard of that
            if (is_same && !is_changing && (kept.empty() || kept == open_->url)) {
                if (kept.empty()) // it was lost, or damaged
                    static_cast<void>(co_await keep_url(document(), email_, open_->url));
                co_return *open_;
            }
            open_.reset();
        }
        if (auto done = co_await key_.finish_change(); !done)
            co_return done.error();
        auto key = co_await key_.load();
        if (!key)
            co_return key.error();
        std::string known = co_await key_.load_url();
        if (!known.empty()) {
            tell_(event_kind::account_reused, "registration reused: " + known);
            open_.emplace(signer{std::move(*key), std::move(known)});
            co_return *open_;
        }
        auto made = co_await enroll(std::move(*key));
        if (made)
            open_ = *made;
        co_return made;
    }

    // After a refusal of a request that the account signed: success when that was for the account's sake, and open()
    // gives one that works; else what stands in the way. RFC 8555 6.7 (accountDoesNotExist), 7.3.6 (unauthorized).
    [[nodiscard]] awaitable<reply<>> recover(refusal why)
    {
        const bool is_lost = why.why.type == "accountDoesNotExist";
        if (why.account.empty() || (!is_lost && !may_mean_signer(why.why)))
            co_return why;
        const admission_gate::place turn = co_await gate_.enter();
        if (open_ && open_->url != why.account)
            co_return reply<>(); // somebody was faster
        // The CA may know the account by the new key only.
        if (auto done = co_await key_.finish_change(); !done)
            co_return done.error();
        auto key = co_await key_.load();
        if (!key)
            co_return key.error();
        const bool is_same = open_ && open_->key.jwk() == key->jwk();
        open_.reset();
        if (!is_same)
            co_return reply<>(); // another process has changed it
        if (is_lost) {
            tell_(event_kind::account_reused, "the CA has lost " + why.account + "; its key is registered again");
            static_cast<void>(co_await storage_.erase(document()));
            co_return reply<>();
        }
        const auto found = co_await find_account(ca_, *key);
        if (found && found->status == account_status::valid) {
            if (found->url == why.account)
                co_return why; // it is open, and what was asked for is not its business
            if (const auto kept = co_await keep_url(document(), email_, found->url); !kept)
                co_return account_trouble(kept.error());
            co_return reply<>();
        }
        if (!is_closed(found) && found.error().why.type != "accountDoesNotExist")
            co_return why;
        std::string reason = why.account + (is_closed(found) ? " is closed" : " has another key by now");
        auto made = co_await start_over(ca_.ca().account_key, std::move(reason));
        if (!made)
            co_return made.error();
        open_ = std::move(*made);
        co_return reply<>();
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
        const std::string there = storage_id(ca_.ca().directory, email);
        const auto copied = co_await key_.copy_to(there, by->key);
        if (!copied)
            co_return account_trouble(copied.error());
        if (!*copied)
            co_return refusal{failure_class::permanent,
                              "account: there is one of " + email + " already; use that, or close it first"};
        if (const auto kept = co_await keep_url("account/" + there, email, by->url); !kept)
            co_return account_trouble(kept.error());
        open_.reset();
        static_cast<void>(co_await storage_.erase(document()));
        static_cast<void>(co_await storage_.erase(key_.document()));
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
        static_cast<void>(co_await key_.put_aside());
        co_return reply<>();
    }

    // RFC 8555 7.3.5: a new key for the same account.
    [[nodiscard]] awaitable<reply<>> change_key(key_kind kind)
    {
        auto by = co_await open();
        if (!by)
            co_return by.error();
        auto done = co_await key_.change(std::move(*by), kind);
        if (done)
            open_.reset();
        co_return done;
    }

private:
    [[nodiscard]] std::string document() const { return "account/" + id_; }

    [[nodiscard]] limit_teller tell_of_limits() const
    {
        return [tell = tell_](std::string what) { tell(event_kind::unreadable, std::move(what)); };
    }

    [[nodiscard]] awaitable<outcome<>> keep_url(std::string document, std::string email, std::string url)
    {
        const account_record record{ca_.ca().directory, std::move(email), std::move(url)};
        secret_text text = to_secret_text(to_json(record));
        const auto stored = co_await storage_.store(std::move(document), std::move(text), std::nullopt);
        if (!stored)
            co_return stored.error();
        co_return outcome<>();
    }

    // RFC 8555 7.3.6: what is answered when its key is asked for.
    static bool is_closed(const reply<registration>& found)
    {
        return found ? found->status != account_status::valid : found.error().why.type == "unauthorized";
    }

    // The account of a key that none is known of.
    [[nodiscard]] awaitable<reply<signer>> enroll(account_key key)
    {
        auto made = co_await register_account(ca_, storage_, key, email_, tell_of_limits());
        refusal why = made ? refusal() : made.error();
        if (const auto kind = account_key_for(why.why.algorithms); kind && why.why.type == "badSignatureAlgorithm") {
            auto other = co_await start_over(*kind, "the CA takes no account key for " + std::string(key.alg()));
            co_return other;
        }
        if (why.why.type == "unauthorized") // or is it the external account that is refused?
            made = co_await find_account(ca_, key);
        if (is_closed(made)) {
            auto other = co_await start_over(ca_.ca().account_key, "the one with the key that is kept is closed");
            co_return other;
        }
        if (why.why.type == "unauthorized" && !ca_.ca().eab_kid.empty())
            why.kind = failure_class::permanent; // a mistake in the settings stays until somebody mends it
        if (!made)
            co_return why;
        if (const auto kept = co_await keep_url(document(), email_, made->url); !kept)
            co_return account_trouble(kept.error());
        tell_(made->is_new ? event_kind::account_created : event_kind::account_reused,
              (made->is_new ? "registered as " : "registration reused: ") + made->url);
        co_return signer{std::move(key), made->url};
    }

    // A new account with a new key. The old key is put aside once the CA has taken the new one, and not before: what it
    // refuses today it may take tomorrow.
    [[nodiscard]] awaitable<reply<signer>> start_over(key_kind kind, std::string why)
    {
        auto key = account_key::generate(kind);
        if (!key)
            co_return account_trouble(key.error());
        const auto lock = co_await key_.lock_unchanged();
        if (!lock)
            co_return lock.error();
        // Kept before the CA hears of it: whatever is cut off, no account is there that nobody has the key of.
        if (const auto kept = co_await key_.keep_next(*key); !kept)
            co_return kept.error();
        const auto made = co_await register_account(ca_, storage_, *key, email_, tell_of_limits());
        if (!made) {
            co_await key_.forget_refused(made.error());
            co_return made.error();
        }
        // The URL goes first: it belongs to the old key.
        static_cast<void>(co_await storage_.erase(document()));
        const auto aside = co_await key_.replace(*key);
        if (!aside)
            co_return account_trouble(aside.error());
        if (const auto kept = co_await keep_url(document(), email_, made->url); !kept)
            co_return account_trouble(kept.error());
        tell_(event_kind::account_created, why + "; registered as " + made->url
                                               + " with a new key, the old one is in " + *aside);
        co_return signer{std::move(*key), made->url};
    }

    client& ca_;
    storage& storage_;
    const std::string email_;
    const account_teller tell_;
    const std::string id_;
    kept_account_key key_;
    admission_gate gate_{1};
    std::optional<signer> open_;
};

}

#endif
