// The key of an account in the storage: made, and changed so that no account is lost wherever that is cut off.
// RFC 8555 7.3, 7.3.5.
#ifndef ALOS_ACME_KEPT_ACCOUNT_KEY_HPP
#define ALOS_ACME_KEPT_ACCOUNT_KEY_HPP

#include <alos/acme/client.hpp>
#include <alos/acme/event.hpp>
#include <alos/acme/record.hpp>
#include <alos/acme/registration.hpp>
#include <alos/acme/storage.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace alos::inline v0::acme {

// Told in one sentence what became of an account.
using account_teller = std::function<void(event_kind, std::string)>;

// Trouble with what is kept of an account.
[[nodiscard]] inline refusal account_trouble(const failure& why)
{
    refusal made{failure_class::transient, "account: " + why.what};
    made.is_ours = true;
    return made;
}

// Two documents: "account/<id>.key", and "account/<id>.next.key", which is about to replace it. Who has the CA change
// it has the lock "account.<id>".
class kept_account_key {
public:
    // Both outlive it.
    kept_account_key(client& ca, storage& kept, std::string id, account_teller tell)
        : ca_(ca), storage_(kept), id_(std::move(id)), tell_(std::move(tell))
    {
    }

    // A key that cannot be read is moved aside, and a new one made: with it comes a new account.
    [[nodiscard]] awaitable<reply<account_key>> load()
    {
        for (int tries = 0;; ++tries) {
            const auto kept = co_await storage_.load(document());
            if (!kept)
                co_return account_trouble(kept.error());
            if (kept->has_value()) {
                auto key = account_key::from_pem(as_text((*kept)->text));
                version_ = (*kept)->version;
                if (key)
                    co_return std::move(*key);
                const auto aside = co_await storage_.move_aside(document(), version_);
                if (!aside && aside.error().code == errc::conflict && tries < 3)
                    continue;
                if (!aside)
                    co_return account_trouble(aside.error());
                tell_(event_kind::unreadable, "the account key cannot be used (" + key.error().what
                                                  + "); it is now in " + *aside + ", and a new account is made");
            } else {
                const bool is_being_replaced = co_await is_changing();
                if (is_being_replaced)
                    co_return changed_elsewhere();
            }
            // What is known of an account belongs to a key that is gone.
            static_cast<void>(co_await storage_.erase(account_document()));
            auto made = account_key::generate(ca_.ca().account_key);
            if (!made)
                co_return account_trouble(made.error());
            secret_text pem = made->to_pem();
            const auto stored = co_await storage_.store(document(), std::move(pem), 0);
            if (stored) {
                version_ = *stored;
                co_return std::move(*made);
            }
            if (stored.error().code != errc::conflict || tries == 3)
                co_return account_trouble(stored.error());
        }
    }

    // Whether the storage has the key that was read or written here last; also when that cannot be told.
    [[nodiscard]] awaitable<bool> is_unchanged()
    {
        const auto kept = co_await storage_.load(document());
        co_return !kept || (kept->has_value() && (*kept)->version == version_);
    }

    // Whether somebody is changing it, or began to.
    [[nodiscard]] awaitable<bool> is_changing()
    {
        const auto next = co_await storage_.load(next_document());
        co_return next && next->has_value();
    }

    // The account that it is known to have; empty: none.
    [[nodiscard]] awaitable<std::string> load_url()
    {
        const auto kept = co_await storage_.load(account_document());
        if (!kept || !kept->has_value())
            co_return std::string();
        const auto record = parse_account_record(as_text((*kept)->text));
        if (record)
            co_return record->url;
        const auto aside = co_await storage_.move_aside(account_document(), (*kept)->version);
        if (aside)
            tell_(event_kind::unreadable, "what is known of the account cannot be read; it is now in " + *aside
                                              + ", and is written anew");
        co_return std::string();
    }

    // The right to change it, for one process at a time. Fails when it is no longer what was read here.
    [[nodiscard]] awaitable<reply<storage_lock>> lock_unchanged()
    {
        auto held = co_await lock();
        const bool is_same = co_await is_unchanged();
        if (held && !is_same)
            co_return changed_elsewhere();
        co_return held;
    }

    // RFC 8555 7.3.5: another key for the same account. It is kept before the CA hears of it: if the answer is lost,
    // finish_change() finds out which of the two counts.
    [[nodiscard]] awaitable<reply<>> change(signer by, key_kind kind)
    {
        auto next = account_key::generate(kind);
        if (!next)
            co_return account_trouble(next.error());
        const auto known = co_await ca_.find_directory();
        if (!known)
            co_return known.error();
        auto inner = sign_key_change(*next, by.key, by.url, (*known)->key_change);
        if (!inner)
            co_return account_trouble(failure{inner.error(), "the new account key cannot sign"});
        const auto lock = co_await lock_unchanged();
        if (!lock)
            co_return lock.error();
        if (auto stored = co_await keep_next(*next); !stored)
            co_return stored;
        const auto done = co_await ca_.post(&directory::key_change, std::move(*inner), by, "account key");
        if (!done) {
            co_await forget_next(done.error());
            co_return done.error();
        }
        auto promoted = co_await promote(*next);
        co_return promoted;
    }

    // The CA refused an account to the next key, which signed that itself: had an earlier copy of the request been
    // done, the account would have been the answer.
    [[nodiscard]] awaitable<> forget_refused(refusal why)
    {
        if (is_no(why) || why.why.type == "unauthorized")
            static_cast<void>(co_await storage_.erase(next_document()));
        else
            co_await forget_next(std::move(why));
    }

    // Keeps a key that the CA has not heard of, also one for a new account. Under the lock.
    [[nodiscard]] awaitable<reply<>> keep_next(account_key next)
    {
        secret_text pem = next.to_pem();
        const auto stored = co_await storage_.store(next_document(), std::move(pem), 0);
        if (!stored)
            co_return account_trouble(stored.error());
        co_return reply<>();
    }

    // When the CA was not asked. Else it stays, and finish_change() finds out.
    // Note: a refusal may be that of a proxy, or of a request that was repeated after the first one was done.
    [[nodiscard]] awaitable<> forget_next(refusal why)
    {
        if (why.is_unsent)
            static_cast<void>(co_await storage_.erase(next_document()));
    }

    // After a change whose answer was lost: the new key takes its place if the CA knows it, of the same account or of a
    // new one. Another process that is changing it is left alone.
    [[nodiscard]] awaitable<reply<>> finish_change()
    {
        const bool is_begun = co_await is_changing();
        if (!is_begun)
            co_return reply<>();
        const auto held = co_await lock();
        if (!held)
            co_return reply<>();
        const auto kept = co_await storage_.load(next_document()); // which may be done by now
        if (!kept || !kept->has_value())
            co_return reply<>();
        const auto next = account_key::from_pem(as_text((*kept)->text));
        if (!next) {
            static_cast<void>(co_await storage_.move_aside(next_document(), (*kept)->version));
            co_return reply<>();
        }
        const auto found = co_await find_account(ca_, *next);
        bool is_known = found.has_value();
        if (!found && found.error().why.type == "unauthorized") { // it is closed, or the CA refuses all keys
            const auto disowned = co_await is_old_disowned();
            if (!disowned)
                co_return disowned.error();
            is_known = *disowned;
        }
        if (is_known) {
            const auto present = co_await storage_.load(document());
            if (!present)
                co_return account_trouble(present.error());
            version_ = present->has_value() ? (*present)->version : 0;
            const std::string known = co_await load_url();
            const bool is_of_another = present->has_value() && (!found || found->url != known);
            if (is_of_another && version_ != (*kept)->version) {
                static_cast<void>(co_await storage_.erase(account_document()));
                const auto aside = co_await replace(*next);
                if (!aside)
                    co_return account_trouble(aside.error());
                tell_(event_kind::account_reused,
                      "the account that was begun with a new key is used; the old key is in " + *aside);
                co_return reply<>();
            }
            auto promoted = co_await promote(*next);
            co_return promoted;
        }
        if (found.error().why.type == "accountDoesNotExist") { // RFC 8555 7.3.1
            static_cast<void>(co_await storage_.erase(next_document()));
            co_return reply<>();
        }
        if (!is_no(found.error()) && found.error().why.type != "unauthorized")
            co_return found.error();
        const auto aside = co_await storage_.move_aside(next_document(), (*kept)->version);
        if (!aside)
            co_return account_trouble(aside.error());
        tell_(event_kind::unreadable, "the CA does not say whether it knows the new account key (" + found.error().what
                                          + "); it is now in " + *aside + ", and the old one is used");
        co_return reply<>();
    }

    // The key that was read or written here last. Returns where it is now.
    [[nodiscard]] awaitable<outcome<std::string>> put_aside()
    {
        auto there = co_await storage_.move_aside(document(), version_);
        co_return there;
    }

    // The key of another account takes its place. Returns where the old one is. Under the lock.
    [[nodiscard]] awaitable<outcome<std::string>> replace(account_key next)
    {
        auto aside = co_await put_aside();
        if (!aside)
            co_return aside;
        secret_text pem = next.to_pem();
        const auto stored = co_await storage_.store(document(), std::move(pem), 0);
        if (!stored)
            co_return stored.error();
        version_ = *stored;
        static_cast<void>(co_await storage_.erase(next_document())); // of the old account
        co_return aside;
    }

    // Keeps it for the account `id`, too. False when there is another key already.
    [[nodiscard]] awaitable<outcome<bool>> copy_to(std::string id, account_key key)
    {
        const std::string there = "account/" + id + ".key";
        const auto taken = co_await storage_.load(there);
        if (!taken)
            co_return taken.error();
        if (taken->has_value() && (*taken)->version != version_)
            co_return false;
        secret_text pem = key.to_pem();
        const auto stored = co_await storage_.store(there, std::move(pem), taken->has_value() ? version_ : 0);
        if (!stored)
            co_return stored.error();
        co_return true;
    }

    [[nodiscard]] std::string document() const { return "account/" + id_ + ".key"; }

private:
    static refusal changed_elsewhere()
    {
        return account_trouble({errc::conflict, "another process is changing its key; try again in a minute"});
    }

    // Whether it is the CA's own word, and the same tomorrow. What is no problem document of ACME may be a proxy's.
    static bool is_no(const refusal& why)
    {
        const unsigned status = why.why.status;
        const std::string& type = why.why.type;
        const bool is_typed = !type.empty() && type != "about:blank";
        return status >= 400 && status < 500 && is_typed && why.kind == failure_class::permanent;
    }

    [[nodiscard]] std::string account_document() const { return "account/" + id_; }
    [[nodiscard]] std::string next_document() const { return "account/" + id_ + ".next.key"; }

    [[nodiscard]] awaitable<reply<storage_lock>> lock()
    {
        auto held = co_await storage_.try_lock("account." + id_);
        if (!held)
            co_return account_trouble(held.error());
        if (!held->has_value())
            co_return changed_elsewhere();
        co_return std::move(**held);
    }

    // Whether the CA has no account any more for the key that the next one replaces.
    [[nodiscard]] awaitable<reply<bool>> is_old_disowned()
    {
        const auto kept = co_await storage_.load(document());
        if (!kept)
            co_return account_trouble(kept.error());
        if (!kept->has_value())
            co_return true;
        const auto old = account_key::from_pem(as_text((*kept)->text));
        if (!old)
            co_return true;
        const auto found = co_await find_account(ca_, *old);
        if (found)
            co_return false;
        const std::string& type = found.error().why.type;
        if (type == "accountDoesNotExist")
            co_return true;
        if (type == "unauthorized" || is_no(found.error()))
            co_return false;
        co_return found.error();
    }

    // Under the lock.
    [[nodiscard]] awaitable<reply<>> promote(account_key next)
    {
        secret_text pem = next.to_pem();
        const auto stored = co_await storage_.store(document(), std::move(pem), version_);
        if (!stored)
            co_return account_trouble(stored.error());
        version_ = *stored;
        static_cast<void>(co_await storage_.erase(next_document()));
        co_return reply<>();
    }

    client& ca_;
    storage& storage_;
    const std::string id_;
    const account_teller tell_;
    std::uint64_t version_ = 0; // of its document, when it was read or written here
};

}

#endif
