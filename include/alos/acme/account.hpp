// The account at a CA, one for each e-mail address: found in the storage or made, with its key; changed and closed.
// RFC 8555 7.3.
#ifndef ALOS_ACME_ACCOUNT_HPP
#define ALOS_ACME_ACCOUNT_HPP

#include <alos/acme/client.hpp>
#include <alos/acme/limits.hpp>
#include <alos/acme/payloads.hpp>
#include <alos/acme/record.hpp>
#include <alos/acme/registration.hpp>
#include <alos/acme/service.hpp>
#include <alos/acme/storage.hpp>

#include <functional>
#include <string>
#include <utility>

namespace alos::inline v0::acme {

// Three documents: "account/<id>.key", its key; "account/<id>", its URL, which the CA can be asked for again; and
// "account/<id>.next.key", the key that is about to replace the first. Who has the CA change it has the lock of the
// account.
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
            const bool is_same = co_await is_key_unchanged();
            const std::string kept = co_await load_url(); // another process may have registered the key again
            const auto next = co_await storage_.load(next_document()); // or have changed it, and not heard of that
            const bool is_changing = next && next->has_value();
            if (is_same && !is_changing && (kept.empty() || kept == open_->url))
                co_return *open_;
            open_.reset();
        }
        if (auto done = co_await finish_key_change(); !done)
            co_return done.error();
        auto key = co_await load_key();
        if (!key)
            co_return key.error();
        std::string known = co_await load_url();
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
        if (why.account.empty() || (!is_lost && why.why.type != "unauthorized"))
            co_return why;
        const admission_gate::place turn = co_await gate_.enter();
        if (open_ && open_->url != why.account)
            co_return reply<>(); // somebody was faster
        // The CA may know the account by the new key only.
        if (auto done = co_await finish_key_change(); !done)
            co_return done.error();
        auto key = co_await load_key();
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
                co_return local(kept.error());
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
        const std::string there = "account/" + storage_id(ca_.ca().directory, email);
        const auto taken = co_await storage_.load(there + ".key");
        if (!taken)
            co_return local(taken.error());
        if (taken->has_value() && (*taken)->version != key_version_)
            co_return refusal{failure_class::permanent,
                              "account: there is one of " + email + " already; use that, or close it first"};
        secret_text pem = by->key.to_pem();
        const std::uint64_t version = taken->has_value() ? (*taken)->version : 0;
        const auto stored = co_await storage_.store(there + ".key", std::move(pem), version);
        if (!stored)
            co_return local(stored.error());
        if (const auto kept = co_await keep_url(there, email, by->url); !kept)
            co_return local(kept.error());
        open_.reset();
        static_cast<void>(co_await storage_.erase(document()));
        static_cast<void>(co_await storage_.erase(key_document()));
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
        static_cast<void>(co_await storage_.move_aside(key_document()));
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
        const auto known = co_await ca_.find_directory();
        if (!known)
            co_return known.error();
        auto inner = sign_key_change(*next, by->key, by->url, known->key_change);
        if (!inner)
            co_return local(failure{inner.error(), "the new account key cannot sign"});
        const auto lock = co_await lock_unchanged_key();
        if (!lock)
            co_return lock.error();
        secret_text pem = next->to_pem();
        const auto stored = co_await storage_.store(next_document(), std::move(pem), 0);
        if (!stored)
            co_return local(stored.error());
        const auto done = co_await ca_.post(&directory::key_change, std::move(*inner), *by, "account key");
        if (!done) {
            if (is_no(done.error()))
                static_cast<void>(co_await storage_.erase(next_document()));
            co_return done.error();
        }
        auto promoted = co_await promote(*next);
        co_return promoted;
    }

private:
    static refusal local(const failure& why)
    {
        refusal made{failure_class::transient, "account: " + why.what};
        made.is_ours = true;
        return made;
    }

    static refusal changed_elsewhere()
    {
        return local({errc::conflict, "another process is changing its key; try again in a minute"});
    }

    [[nodiscard]] std::string document() const { return "account/" + id_; }
    [[nodiscard]] std::string key_document() const { return document() + ".key"; }
    [[nodiscard]] std::string next_document() const { return document() + ".next.key"; }

    // The right to change the key, for one process at a time.
    [[nodiscard]] awaitable<reply<storage_lock>> lock_key()
    {
        auto lock = co_await storage_.try_lock("account." + id_);
        if (!lock)
            co_return local(lock.error());
        if (!lock->has_value())
            co_return changed_elsewhere();
        co_return std::move(**lock);
    }

    // The same, if nobody changed it since it was read here.
    [[nodiscard]] awaitable<reply<storage_lock>> lock_unchanged_key()
    {
        auto lock = co_await lock_key();
        const bool is_same = co_await is_key_unchanged();
        if (lock && !is_same)
            co_return changed_elsewhere();
        co_return lock;
    }

    // Whether the storage has the key that was read or written here last; also when that cannot be told.
    [[nodiscard]] awaitable<bool> is_key_unchanged()
    {
        const auto kept = co_await storage_.load(key_document());
        co_return !kept || (kept->has_value() && (*kept)->version == key_version_);
    }

    // A key that cannot be read is moved aside, and a new one made: with it comes a new account.
    [[nodiscard]] awaitable<reply<account_key>> load_key()
    {
        for (int tries = 0;; ++tries) {
            const auto kept = co_await storage_.load(key_document());
            if (!kept)
                co_return local(kept.error());
            if (kept->has_value()) {
                auto key = account_key::from_pem(as_text((*kept)->text));
                key_version_ = (*kept)->version;
                if (key)
                    co_return std::move(*key);
                const auto aside = co_await storage_.move_aside(key_document());
                if (!aside)
                    co_return local(aside.error());
                tell_(event_kind::unreadable, "the account key cannot be used (" + key.error().what
                                                  + "); it is now in " + *aside + ", and a new account is made");
            }
            // What is known of an account belongs to a key that is gone.
            static_cast<void>(co_await storage_.erase(document()));
            auto made = account_key::generate(ca_.ca().account_key);
            if (!made)
                co_return local(made.error());
            secret_text pem = made->to_pem();
            const auto stored = co_await storage_.store(key_document(), std::move(pem), 0);
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
        const auto record = parse_account_record(as_text((*kept)->text));
        co_return record ? record->url : std::string();
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

    // What a CA says of a new key that it did not take.
    static bool is_no(const refusal& why)
    {
        const unsigned status = why.why.status;
        return status >= 400 && status < 500 && status != 408 && status != 429;
    }

    // As often as the CA allows.
    [[nodiscard]] awaitable<reply<registration>> register_key(account_key key)
    {
        kept_bucket allowed = limits(ca_.world(), storage_, ca_.ca()).accounts();
        const auto later = co_await allowed.take();
        if (later)
            co_return refusal{failure_class::throttled, "account: as many were asked for as this CA allows",
                              std::chrono::ceil<std::chrono::seconds>(*later - ca_.world().now())};
        auto made = co_await register_account(ca_, std::move(key), email_);
        co_return made;
    }

    // The account of a key that none is known of.
    [[nodiscard]] awaitable<reply<signer>> enroll(account_key key)
    {
        auto made = co_await register_key(key);
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
            co_return local(kept.error());
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
            co_return local(key.error());
        const auto lock = co_await lock_unchanged_key();
        if (!lock)
            co_return lock.error();
        const auto made = co_await register_key(*key);
        if (!made)
            co_return made.error();
        // The URL goes first: it belongs to the old key.
        static_cast<void>(co_await storage_.erase(document()));
        const auto aside = co_await storage_.move_aside(key_document());
        if (!aside)
            co_return local(aside.error());
        secret_text pem = key->to_pem();
        const auto stored = co_await storage_.store(key_document(), std::move(pem), 0);
        if (!stored)
            co_return local(stored.error());
        key_version_ = *stored;
        static_cast<void>(co_await storage_.erase(next_document())); // of the old account
        if (const auto kept = co_await keep_url(document(), email_, made->url); !kept)
            co_return local(kept.error());
        tell_(event_kind::account_created, why + "; registered as " + made->url
                                               + " with a new key, the old one is in " + *aside);
        co_return signer{std::move(*key), made->url};
    }

    // After a change of keys whose answer was lost: the new one takes its place if the CA knows that. Another process
    // that is changing it is left alone.
    [[nodiscard]] awaitable<reply<>> finish_key_change()
    {
        const auto pending = co_await storage_.load(next_document());
        if (!pending || !pending->has_value())
            co_return reply<>();
        const auto lock = co_await lock_key();
        if (!lock)
            co_return reply<>();
        const auto kept = co_await storage_.load(next_document()); // which may be done by now
        if (!kept || !kept->has_value())
            co_return reply<>();
        const auto next = account_key::from_pem(as_text((*kept)->text));
        if (next) {
            const auto found = co_await find_account(ca_, *next);
            if (found || found.error().why.type == "unauthorized") { // it is the key, of an account that is closed
                const auto present = co_await storage_.load(key_document());
                if (!present)
                    co_return local(present.error());
                key_version_ = present->has_value() ? (*present)->version : 0;
                auto promoted = co_await promote(*next);
                co_return promoted;
            }
            if (!is_no(found.error()))
                co_return found.error();
        }
        static_cast<void>(co_await storage_.erase(next_document()));
        co_return reply<>();
    }

    // Under the lock.
    [[nodiscard]] awaitable<reply<>> promote(account_key next)
    {
        secret_text pem = next.to_pem();
        const auto stored = co_await storage_.store(key_document(), std::move(pem), key_version_);
        if (!stored)
            co_return local(stored.error());
        key_version_ = *stored;
        open_.reset();
        static_cast<void>(co_await storage_.erase(next_document()));
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
