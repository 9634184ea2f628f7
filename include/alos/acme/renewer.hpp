// Does what is due for one certificate: asks its CA for advice (RFC 9773), makes an attempt under the lock at the CA
// whose turn it is, and says what came of it. The manager has one of these for all certificates.
#ifndef ALOS_ACME_RENEWER_HPP
#define ALOS_ACME_RENEWER_HPP

#include <alos/acme/advice.hpp>
#include <alos/acme/authority.hpp>
#include <alos/acme/board.hpp>
#include <alos/acme/certificate_keeper.hpp>
#include <alos/acme/issue.hpp>
#include <alos/acme/revocation.hpp>
#include <alos/acme/work_list.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

class renewer {
public:
    // All but `tell` outlive it. `certificates` is of `kept`.
    renewer(environment& world, storage& kept, board& answers, certificate_keeper& certificates, event_teller tell)
        : world_(world), storage_(kept), board_(answers), keeper_(certificates), tell_(std::move(tell))
    {
    }

    // From now on; attempts under way end with what they began with. There is at least one CA. Fails when one of them
    // cannot be asked as the settings are; the others can.
    [[nodiscard]] outcome<> configure(std::shared_ptr<const config> settings)
    {
        authorities_.clear(); // whoever speaks to one has it still
        const auto tell = [this](event_kind kind, std::string what) { tell_({kind, {}, std::move(what)}); };
        for (const certificate_authority& each : settings->cas)
            authorities_.push_back(std::make_shared<authority>(world_, storage_, each, tell));
        settings_ = std::move(settings);
        outcome<> done;
        for (const auto& each : authorities_) {
            if (auto prepared = each->prepare(); !prepared && done)
                done = prepared;
        }
        return done;
    }

    // RFC 8555 7.6: by the account that ordered it, else by its own key. Where nothing says who issued it, the first CA
    // is asked.
    [[nodiscard]] awaitable<reply<>> revoke(managed_certificate& of, unsigned reason)
    {
        const auto from = of.about.directory.empty() ? authorities_.front() : authority_of(of.about.directory);
        if (!from)
            co_return refusal{failure_class::permanent, "revocation: " + of.about.directory
                                                            + " issued it, and is no longer in `cas`; add it"};
        const cert::credential_ptr which = of.credential; // another one may serve meanwhile
        auto by = co_await from->account(of.email).open();
        auto done = co_await revoke_certificate(from->ca(), std::move(by), storage_, of.id, which, reason);
        if (!done)
            co_return done;
        tell_({event_kind::revoked, of.id, "revoked at " + from->directory_url()});
        co_return reply<>();
    }

    // Does what is due.
    [[nodiscard]] awaitable<> work(managed_certificate& of)
    {
        if (asks_for_window(of, world_.now())) {
            // Another process may have asked for all.
            static_cast<void>(co_await keeper_.refresh(of));
            if (asks_for_window(of, world_.now()))
                co_await look_for_window(of);
        }
        if (is_due(of, world_.now()))
            co_await attempt(of);
    }

private:
    // The first one when it is none of ours any more.
    [[nodiscard]] std::size_t index_of(const std::string& directory) const
    {
        const auto is_it = [&](const auto& each) { return each->directory_url() == directory; };
        const auto found = std::ranges::find_if(authorities_, is_it);
        return found == authorities_.end() ? 0 : static_cast<std::size_t>(found - authorities_.begin());
    }

    // After a failure the one that was planned, else the first of those that want to be left alone the least.
    [[nodiscard]] std::shared_ptr<authority> chosen_authority(const managed_certificate& of) const
    {
        if (of.state.failures > 0)
            return authorities_[index_of(of.state.directory)];
        const time_point now = world_.now();
        const auto when = [&](const auto& each) { return std::max(open_again(of, each->directory_url(), now), now); };
        return *std::ranges::min_element(authorities_, {}, when);
    }

    [[nodiscard]] std::shared_ptr<authority> authority_of(const std::string& directory) const
    {
        for (const auto& each : authorities_) {
            if (each->directory_url() == directory)
                return each;
        }
        return nullptr;
    }

    // Under the lock of the certificate, which no other process works on meanwhile; but for the time that the CA works.
    [[nodiscard]] awaitable<> attempt(managed_certificate& of)
    {
        auto taken = co_await storage_.try_lock(of.id);
        if (!taken) {
            refusal why{failure_class::transient, "lock: " + taken.error().what};
            why.is_ours = true;
            co_await failed(of, *chosen_authority(of), std::move(why));
            co_return;
        }
        std::optional<storage_lock> lock = std::move(*taken);
        if (!lock) {
            const time_point now = world_.now();
            of.not_before = next_look(of.life(), now, random_part(world_));
            if (is_forced(of)) // who wants it may wait for that
                of.not_before = now + std::chrono::seconds(1);
            co_return;
        }
        // Whoever had the lock before may have done it, or have failed at it.
        static_cast<void>(co_await keeper_.refresh(of, &*lock));
        if (is_due(of, world_.now()))
            co_await attempt_locked(of, lock);
        if (lock)
            co_await storage_.unlock(*lock);
    }

    [[nodiscard]] awaitable<> give_back(std::optional<storage_lock>& lock)
    {
        const storage_lock held = *std::exchange(lock, std::nullopt);
        co_await storage_.unlock(held);
    }

    // After the CA has worked on the order: whether it is for us to go on with it. Others who had the lock meanwhile
    // may have gone on with the same order.
    [[nodiscard]] awaitable<bool> take_again(managed_certificate& of, std::optional<storage_lock>& lock, time_point end)
    {
        const std::uint64_t before = of.generation;
        for (;;) {
            auto taken = co_await storage_.try_lock(of.id);
            if (taken && taken->has_value()) {
                lock = std::move(*taken);
                break;
            }
            if (world_.now() >= end)
                co_return false;
            co_await world_.sleep_until(world_.now() + std::chrono::seconds(1));
        }
        static_cast<void>(co_await keeper_.refresh(of, &*lock));
        co_return of.generation == before;
    }

    // `lock` is empty afterwards when it was given back, and somebody else has it.
    [[nodiscard]] awaitable<> attempt_locked(managed_certificate& of, std::optional<storage_lock>& lock)
    {
        const std::shared_ptr<authority> chosen = chosen_authority(of);
        authority& from = *chosen;
        of.state.directory = from.directory_url();
        auto done = co_await issue_in_time(of, from, lock);
        if (!done && done.error().is_not_its_turn) {
            of.not_before = world_.now() + *done.error().retry_after;
            tell_({event_kind::progress, of.id, done.error().what});
            co_return;
        }
        if (!done && !lock) { // whoever has it may have stored what was asked for here
            const bool is_renewed = co_await keeper_.refresh(of);
            if (is_renewed)
                co_return;
        }
        if (!done) {
            co_await failed(of, from, done.error());
            co_return;
        }
        if (!*done) { // somebody else went on with it
            of.not_before = next_look(of.life(), world_.now(), random_part(world_));
            co_return;
        }
        auto kept = co_await install(of, from, std::move(**done), *lock);
        if (!kept)
            co_await failed(of, from, kept.error());
    }

    // Whatever hangs: when this time is over, the lock is only held until answers are taken away, within minutes.
    [[nodiscard]] awaitable<reply<std::optional<issued>>> issue_in_time(managed_certificate& of, authority& from,
                                                                        std::optional<storage_lock>& lock)
    {
        using namespace boost::asio::experimental::awaitable_operators;
        const time_point end = world_.now() + attempt_time(of.life(), world_.now());
        auto done = co_await (issue_by_open_account(of, from, lock, end) || world_.sleep_until(end));
        if (auto* answer = std::get_if<0>(&done))
            co_return std::move(*answer);
        co_return refusal{failure_class::transient, "order: " + from.directory_url()
                                                        + " took too long; the next attempt goes on with it"};
    }

    // A second time when the account was the trouble, and is not any more.
    [[nodiscard]] awaitable<reply<std::optional<issued>>>
    issue_by_open_account(managed_certificate& of, authority& from, std::optional<storage_lock>& lock, time_point end)
    {
        auto done = co_await issue(of, from, lock, end);
        if (done || !lock)
            co_return done;
        const auto mended = co_await from.account(of.email).recover(done.error());
        if (!mended)
            co_return mended.error();
        auto again = co_await issue(of, from, lock, end);
        co_return again;
    }

    [[nodiscard]] awaitable<reply<std::optional<issued>>> issue(managed_certificate& of, authority& from,
                                                                std::optional<storage_lock>& lock, time_point end)
    {
        auto by = co_await from.account(of.email).open();
        if (!by)
            co_return by.error();
        issue_request wanted;
        wanted.id = of.id;
        wanted.names = of.names;
        wanted.key = of.key;
        wanted.profile = from.ca().ca().profile;
        wanted.preferred_chain = from.ca().ca().preferred_chain;
        const auto known = co_await from.ca().find_directory();
        if (!known)
            co_return known.error();
        if (!(*known)->renewal_info.empty())
            wanted.replaces = predecessor(of, from.directory_url(), by->url);
        wanted.present = of.credential;
        wanted.is_asked_for = is_forced(of) && of.state.forced_why == "forced";
        wanted.is_again = of.state.failures > 0;
        wanted.deadline = world_.now() + (end - world_.now()) * 9 / 10; // so that it ends by itself, and tidies up
        if (const auto life = of.life())
            wanted.life = lifetime(*life);
        wanted.let_others = [this, &lock] { return give_back(lock); };
        wanted.take_again = [this, &of, &lock, end] { return take_again(of, lock, end); };
        const auto step = [this, id = of.id](const std::string& what) { tell_({event_kind::progress, id, what}); };
        issuance one(from.ca(), storage_, board_, settings_, from.allowed(), *by, std::move(wanted), step);
        auto done = co_await run_caught(one);
        co_return done;
    }

    // What somebody else's code threw, a dns_solver for example, ends the attempt like any other failure.
    [[nodiscard]] awaitable<reply<std::optional<issued>>> run_caught(issuance& one)
    {
        std::exception_ptr thrown;
        try {
            auto done = co_await one.run();
            co_return done;
        } catch (...) {
            thrown = std::current_exception();
        }
        if (is_cancellation(thrown))
            std::rethrow_exception(thrown);
        refusal broken{failure_class::transient, "attempt: it broke off: " + text_of_exception(thrown)
                                                       + "; the next attempt goes on, where no code of the program's "
                                                         "own (a dns_solver, for example) is to be mended"};
        broken.is_ours = true;
        co_return broken;
    }

    // RFC 8555 7.4.2: from the CA's answer to what is served.
    [[nodiscard]] awaitable<reply<>> install(managed_certificate& of, authority& from, issued got, storage_lock guard)
    {
        const auto& fresh = got.credential->about;
        const bool must_replace = !of.credential || is_forced(of);
        if (!must_replace && fresh.not_after <= of.credential->about.not_after) {
            co_await forget_order(storage_, of.id);
            co_return ends_too_early(of, from, *got.credential);
        }
        const bool is_first = of.credential == nullptr;
        generation_record about{from.directory_url(), got.account, from.ca().ca().profile, world_.now(), of.names,
                                is_forced(of) ? of.state.forced_why : std::string()};
        bundle next{.chain_pem = std::move(got.chain_pem), .key_pem = std::move(got.key_pem), .meta_json = {},
                    .credential = got.credential};
        const auto stored = co_await keeper_.replace(of, std::move(next), std::move(about), guard);
        if (!stored) {
            if (stored.error().code == errc::conflict) {
                const bool is_other = co_await keeper_.refresh(of);
                if (is_other)
                    co_return reply<>();
            }
            refusal why{failure_class::transient, "storage: " + stored.error().what};
            why.is_ours = true;
            co_return why;
        }
        co_await forget_order(storage_, of.id);
        tell_({is_first ? event_kind::obtained : event_kind::renewed, of.id,
               (is_first ? "obtained from " : "renewed by ") + from.directory_url() + ", valid until "
                   + format_rfc3339(fresh.not_after)});
        co_return reply<>();
    }

    // Certificates became shorter: the next one is asked for when it will end after this one by half of its life.
    [[nodiscard]] refusal ends_too_early(const managed_certificate& of, const authority& from,
                                         const cert::credential& next) const
    {
        const validity life{next.about.not_before, next.about.not_after};
        const time_point then = of.credential->about.not_after - lifetime(life) / 2;
        refusal why{failure_class::throttled,
                    "certificate: " + from.directory_url() + " issued one that ends before the present one"};
        if (then > world_.now())
            why.retry_after = std::chrono::ceil<std::chrono::seconds>(then - world_.now());
        return why;
    }

    // `from` was asked, or would have been.
    [[nodiscard]] awaitable<> failed(managed_certificate& of, const authority& from, refusal why)
    {
        const std::size_t asked = index_of(from.directory_url());
        // Note: a CA at work has not failed, but of several the next one is asked the third time.
        const unsigned most = authorities_.size() > 1 ? 3 : 2;
        of.state.failures = why.is_under_way ? std::min(of.state.failures + 1, most) : of.state.failures + 1;
        const time_point now = world_.now();
        of.state.failed_at = now;
        of.state.last_class = why.kind;
        of.state.last_error = why.what;
        if (why.retry_after)
            of.state.open_at[from.directory_url()] = now + *why.retry_after;
        std::vector<time_point> open_at;
        for (const auto& each : authorities_)
            open_at.push_back(open_again(of, each->directory_url(), now));
        const failed_attempt last{why.kind, of.state.failures, why.is_ours, why.retry_after, asked, why.is_under_way};
        const next_try next = plan_next_try(last, open_at, of.life(), now, random_part(world_));
        of.state.directory = authorities_[next.ca]->directory_url();
        of.state.next_attempt = next.when;
        co_await keeper_.save(of);
        tell_({event_kind::renewal_failed, of.id,
               why.what + "; next attempt " + format_rfc3339(of.state.next_attempt)
                   + (next.ca == asked ? "" : " at " + of.state.directory)});
        of.last_refusal = std::move(why);
    }

    // RFC 9773 4.
    [[nodiscard]] awaitable<> look_for_window(managed_certificate& of)
    {
        const auto from = authority_of(of.about.directory);
        window_reply got;
        if (from)
            got = co_await ask_for_window(from->ca(), of.credential);
        take_advice(of, got, world_.now(), random_part(world_), tell_);
        if (from) // others may have the CA that is none of ours
            co_await keeper_.save(of);
    }

    environment& world_;
    storage& storage_;
    board& board_;
    certificate_keeper& keeper_;
    std::shared_ptr<const config> settings_;
    std::vector<std::shared_ptr<authority>> authorities_;
    const event_teller tell_;
};

}

#endif
