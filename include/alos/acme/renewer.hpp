// Cares for one certificate: what is due and when, the attempt, what its outcome means, and the CA's advice
// (RFC 9773). The manager has one of these for all certificates.
#ifndef ALOS_ACME_RENEWER_HPP
#define ALOS_ACME_RENEWER_HPP

#include <alos/acme/authority.hpp>
#include <alos/acme/board.hpp>
#include <alos/acme/certificate_id.hpp>
#include <alos/acme/issue.hpp>
#include <alos/acme/managed_certificate.hpp>
#include <alos/acme/renewal.hpp>
#include <alos/acme/renewal_info.hpp>
#include <alos/acme/revocation.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

class renewer {
public:
    // All outlive it. `served` is called when a certificate has another credential than before.
    renewer(environment& world, storage& kept, board& answers, event_teller tell,
            std::function<void(managed_certificate&)> served)
        : world_(world), storage_(kept), board_(answers), tell_(std::move(tell)), served_(std::move(served))
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

    // Reads what the storage has. A configuration that is not that of the last attempt is tried at once.
    [[nodiscard]] awaitable<> load(managed_certificate& of)
    {
        co_await load_certificate(of);
        const auto kept = co_await storage_.load("state/" + of.id);
        if (kept && kept->has_value()) {
            auto state = parse_certificate_state(as_text((*kept)->text));
            if (state) {
                of.state = std::move(*state);
            } else {
                const auto aside = co_await storage_.move_aside("state/" + of.id);
                tell_({event_kind::unreadable, of.id,
                       "its state cannot be read and is begun anew; the old one is in "
                           + (aside ? *aside : std::string("its place"))});
            }
        }
        adopt_settings(of);
    }

    // When there is something to do for it.
    [[nodiscard]] time_point due(const managed_certificate& of) const
    {
        time_point when = renewal_due(of);
        if (of.credential)
            when = std::min(when, believed(of, of.state.next_check));
        return std::max(when, believed(of, of.not_before));
    }

    // When it will be renewed, or tried again; the epoch: now.
    [[nodiscard]] time_point renewal_due(const managed_certificate& of) const
    {
        const auto life = of.life();
        // Note: what happened in the future says that a clock was wrong, then or now; those of two processes differ a
        // bit.
        const time_point soon = world_.now() + (life ? lifetime(*life) / 10 : std::chrono::minutes(2));
        const bool is_to_wait = of.state.failures > 0 && of.state.failed_at <= soon;
        const time_point after_failure = is_to_wait ? believed(of, of.state.next_attempt) : time_point();
        if (!life || is_forced(of))
            return after_failure;
        time_point when = next_renewal(*life, of.state.advice, {}, of.state.spread);
        if (of.about.obtained <= soon)
            when = std::max(when, std::min(cool_down_end(of.about.obtained, *life), latest_renewal(*life)));
        return std::max(when, after_failure);
    }

    // RFC 8555 7.6: by the account that ordered it, else by its own key.
    [[nodiscard]] awaitable<reply<>> revoke(managed_certificate& of, unsigned reason)
    {
        const auto from = authority_of(of.about.directory);
        if (!from)
            co_return refusal{failure_class::permanent, "revocation: " + of.about.directory
                                                            + " issued it, and is no longer in `cas`; add it"};
        auto by = co_await from->account(of.email).open();
        if (!by)
            co_return by.error();
        auto done = co_await revoke_certificate(from->ca(), *by, storage_, of.id, of.credential, reason);
        if (!done)
            co_return done;
        tell_({event_kind::revoked, of.id, "revoked at " + from->directory_url()});
        co_return reply<>();
    }

    // Does what is due.
    [[nodiscard]] awaitable<> work(managed_certificate& of)
    {
        if (asks_for_window(of)) {
            // Another process may have asked for all.
            static_cast<void>(co_await refresh(of));
            if (asks_for_window(of)) {
                co_await look_for_window(of);
                co_await save(of);
            }
        }
        if (is_due(of))
            co_await attempt(of);
    }

    // A new certificate, whatever the time.
    void force(managed_certificate& of, std::string why)
    {
        of.state.forced = std::max<std::uint64_t>(of.generation, 1);
        of.state.forced_why = std::move(why);
        of.state.failures = 0;
        of.state.next_attempt = {};
        of.not_before = {};
    }

    // Another process may have renewed it. Whether there is another certificate now.
    [[nodiscard]] awaitable<bool> refresh(managed_certificate& of)
    {
        const std::uint64_t before = of.generation;
        co_await load_certificate(of);
        const auto kept = co_await storage_.load("state/" + of.id);
        if (kept && kept->has_value() && !(of.is_unsaved && of.generation == before)) {
            if (auto state = parse_certificate_state(as_text((*kept)->text))) {
                const bool is_untried = of.generation == before && of.state.failures == 0;
                const bool is_forced_here = is_forced(of) && is_untried;
                const std::string why = of.state.forced_why;
                const bool is_configured_here = of.state.configuration == of.configuration && is_untried;
                of.state = std::move(*state);
                // What failed by other settings than ours is tried by ours once.
                if (is_configured_here && of.state.configuration != of.configuration)
                    begin_anew(of);
                // Another process that knows of it, too, may have tried, and learnt when to try again.
                if (is_forced_here && (!is_forced(of) || why == "forced"))
                    force(of, why);
            }
        }
        adopt_settings(of);
        if (of.generation == before)
            co_return false;
        tell_({event_kind::loaded, of.id, "another process renewed it; generation " + std::to_string(of.generation)});
        if (!same_identifiers(identifiers_in(*of.credential), of.names))
            tell_({event_kind::loaded, of.id,
                   "warning: that process orders it for other names; give both the same configuration"});
        served_(of);
        co_return true;
    }

private:
    // As long as a slow CA needs, but not so long that nothing is left for another attempt.
    [[nodiscard]] std::chrono::milliseconds attempt_time(const std::optional<validity>& life) const
    {
        constexpr std::chrono::milliseconds longest = std::chrono::minutes(10);
        if (!life)
            return longest;
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(life->not_after - world_.now());
        return std::clamp<std::chrono::milliseconds>(left / 5, std::chrono::seconds(30), longest);
    }

    [[nodiscard]] double random() const
    {
        std::array<std::uint8_t, 8> bytes{};
        world_.random(bytes);
        std::uint64_t number = 0;
        for (const std::uint8_t each : bytes)
            number = number << 8 | each;
        return static_cast<double>(number >> 11) * 0x1p-53;
    }

    // When to do something. The epoch, if that is after its end and more than a week off, which nobody waits: the clock
    // was ahead when it was set.
    [[nodiscard]] time_point believed(const managed_certificate& of, time_point when) const
    {
        const auto life = of.life();
        const bool is_within_life = life && when <= life->not_after;
        const bool is_never = when == time_point::max();
        return is_within_life || is_never || when <= world_.now() + std::chrono::days(8) ? when : time_point();
    }

    [[nodiscard]] bool is_forced(const managed_certificate& of) const noexcept
    {
        return of.state.forced != 0 && of.state.forced >= of.generation;
    }

    [[nodiscard]] bool is_due(const managed_certificate& of) const
    {
        const time_point now = world_.now();
        return renewal_due(of) <= now && believed(of, of.not_before) <= now;
    }

    [[nodiscard]] bool asks_for_window(const managed_certificate& of) const
    {
        return of.credential && believed(of, of.state.next_check) <= world_.now() && !is_due(of);
    }

    // What is in the storage now; a broken one leaves what is served.
    [[nodiscard]] awaitable<> load_certificate(managed_certificate& of)
    {
        const auto current = co_await storage_.current_generation(of.id);
        if (of.credential && current && *current == of.generation)
            co_return;
        const auto kept = co_await storage_.load_certificate(of.id);
        const std::string fault = !kept ? kept.error().what : *kept ? (*kept)->skipped : std::string();
        if (std::exchange(of.fault, fault) != fault && !fault.empty())
            tell_({event_kind::unreadable, of.id, fault});
        if (!kept || !kept->has_value() || (*kept)->generation == of.generation)
            co_return;
        const bundle& found = **kept;
        of.credential = found.credential;
        of.generation = found.generation;
        of.about = parse_generation_record(found.meta_json);
    }

    static void begin_anew(managed_certificate& of)
    {
        of.state.configuration = of.configuration;
        of.state.failures = 0;
        of.state.next_attempt = {};
        of.state.directory.clear();
    }

    // A configuration that is new to this process is tried at once, unless it was that of the last attempt. What another
    // process with other settings does is no reason: each would undo what the other one did.
    void adopt_settings(managed_certificate& of)
    {
        const bool is_new = std::exchange(of.adopted, of.configuration) != of.configuration;
        if (is_new && of.state.configuration != of.configuration)
            begin_anew(of);
        if (of.state.generation != of.generation) {
            of.state.generation = of.generation;
            of.state.advice.reset();
            of.state.next_check = {};
            of.state.check_failures = 0;
            of.state.spread = random();
        }
        if (is_new && of.credential && !is_forced(of) && !same_identifiers(identifiers_in(*of.credential), of.names))
            force(of, "reconfigured");
    }

    // A state that cannot be kept is only lost at a restart.
    [[nodiscard]] awaitable<> save(managed_certificate& of)
    {
        const std::string text = to_json(of.state);
        secret_text bytes(text.begin(), text.end());
        const auto stored = co_await storage_.store("state/" + of.id, std::move(bytes), std::nullopt);
        of.is_unsaved = !stored;
    }

    [[nodiscard]] std::size_t chosen_authority(const managed_certificate& of) const
    {
        for (std::size_t i = 0; i < authorities_.size() && of.state.failures > 0; ++i) {
            if (authorities_[i]->directory_url() == of.state.directory)
                return i;
        }
        return 0;
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
            co_await failed(of, std::move(why));
            co_return;
        }
        std::optional<storage_lock> lock = std::move(*taken);
        if (!lock) {
            look_again_later(of);
            co_return;
        }
        // Whoever had the lock before may have done it, or have failed at it.
        static_cast<void>(co_await refresh(of));
        if (is_due(of))
            co_await attempt_locked(of, lock);
        if (lock)
            co_await storage_.unlock(*lock);
    }

    [[nodiscard]] awaitable<> give_back(std::optional<storage_lock>& lock)
    {
        const storage_lock held = *std::exchange(lock, std::nullopt);
        co_await storage_.unlock(held);
    }

    // After the CA has worked on the order: whether it is for us to go on with it. Others who had the lock meanwhile may
    // have gone on with the same order.
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
        static_cast<void>(co_await refresh(of));
        co_return of.generation == before;
    }

    // Whoever has the lock will be done with it in some minutes.
    void look_again_later(managed_certificate& of) const
    {
        std::chrono::milliseconds wait = std::chrono::seconds(10);
        if (const auto life = of.life())
            wait = std::clamp<std::chrono::milliseconds>(lifetime(*life) / 200, std::chrono::seconds(5),
                                                         std::chrono::minutes(1));
        of.not_before = world_.now() + std::chrono::milliseconds(static_cast<std::int64_t>(
                            static_cast<double>(wait.count()) * (0.5 + random())));
    }

    // `lock` is empty afterwards when it was given back, and somebody else has it.
    [[nodiscard]] awaitable<> attempt_locked(managed_certificate& of, std::optional<storage_lock>& lock)
    {
        const std::size_t index = chosen_authority(of);
        const std::shared_ptr<authority> chosen = authorities_[index];
        authority& from = *chosen;
        of.state.directory = from.directory_url();
        if (const auto later = co_await too_many_orders(of, from)) {
            of.not_before = *later;
            tell_({event_kind::progress, of.id, "waiting until more may be asked of " + from.directory_url()});
            co_return;
        }
        auto done = co_await issue(of, from, lock);
        if (!done && lock) {
            const auto mended = co_await from.account(of.email).recover(done.error());
            if (mended)
                done = co_await issue(of, from, lock);
            else
                done = mended.error();
        }
        if (!done && !lock) { // whoever has it may have stored what was asked for here
            const bool is_renewed = co_await refresh(of);
            if (is_renewed)
                co_return;
        }
        if (!done) {
            co_await failed(of, done.error());
            co_return;
        }
        if (!*done) { // somebody else went on with it
            look_again_later(of);
            co_return;
        }
        auto kept = co_await install(of, from, std::move(**done), *lock);
        if (!kept)
            co_await failed(of, kept.error());
    }

    // Until when no more orders may be placed there; nothing: this one may be, or is already.
    [[nodiscard]] awaitable<std::optional<time_point>> too_many_orders(const managed_certificate& of, authority& from)
    {
        const auto under_way = co_await storage_.load("order/" + of.id);
        if (under_way && under_way->has_value())
            co_return std::nullopt;
        kept_bucket orders = from.allowed().orders();
        const auto later = co_await orders.take();
        co_return later;
    }

    [[nodiscard]] awaitable<reply<std::optional<issued>>> issue(managed_certificate& of, authority& from,
                                                                std::optional<storage_lock>& lock)
    {
        using namespace boost::asio::experimental::awaitable_operators;
        auto by = co_await from.account(of.email).open();
        if (!by)
            co_return by.error();
        issue_request wanted;
        wanted.id = of.id;
        wanted.names = of.names;
        wanted.key = of.key;
        wanted.profile = from.ca().ca().profile;
        wanted.preferred_chain = from.ca().ca().preferred_chain;
        wanted.replaces = predecessor(of, from, *by);
        wanted.present = of.credential;
        wanted.is_asked_for = is_forced(of) && of.state.forced_why == "forced";
        wanted.deadline = world_.now() + attempt_time(of.life());
        if (const auto life = of.life())
            wanted.life = lifetime(*life);
        const time_point end = wanted.deadline;
        wanted.let_others = [this, &lock] { return give_back(lock); };
        wanted.take_again = [this, &of, &lock, end] { return take_again(of, lock, end); };
        const auto step = [this, id = of.id](const std::string& what) { tell_({event_kind::progress, id, what}); };
        issuance one(from.ca(), storage_, board_, settings_, from.allowed(), *by, std::move(wanted), step);
        // Whatever hangs: the lock is not held for longer.
        auto done = co_await (run_caught(one) || world_.sleep_until(end));
        if (auto* answer = std::get_if<0>(&done))
            co_return std::move(*answer);
        co_return refusal{failure_class::transient, "order: " + from.directory_url()
                                                        + " took too long; the next attempt goes on with it"};
    }

    // What somebody else's code threw, a dns_solver for example, ends the attempt like any other failure.
    [[nodiscard]] awaitable<reply<std::optional<issued>>> run_caught(issuance& one)
    {
        std::string why;
        try {
            auto done = co_await one.run();
            co_return done;
        } catch (const boost::system::system_error& error) {
            if (error.code() == boost::asio::error::operation_aborted)
                throw;
            why = error.what();
        } catch (const std::exception& error) {
            why = error.what();
        }
        refusal broken{failure_class::transient, "attempt: it broke off: " + why};
        broken.is_ours = true;
        co_return broken;
    }

    // RFC 9773 5: what the CA that issued it may know as replaced; only that CA, and that account.
    [[nodiscard]] std::string predecessor(const managed_certificate& of, const authority& from, const signer& by) const
    {
        const bool is_its = of.credential && of.about.directory == from.directory_url() && of.about.account == by.url
                            && of.state.advice;
        if (!is_its)
            return {};
        const auto id = ari_certificate_id(byte_view(of.credential->chain.front()));
        return id ? *id : std::string();
    }

    // RFC 8555 7.4.2: from the CA's answer to what is served.
    [[nodiscard]] awaitable<reply<>> install(managed_certificate& of, authority& from, issued got, storage_lock guard)
    {
        const time_point now = world_.now();
        const bool must_replace = !of.credential || is_forced(of);
        if (!must_replace && got.credential->about.not_after <= of.credential->about.not_after) {
            co_await forget_order(of);
            co_return ends_too_early(of, from, *got.credential);
        }
        generation_record about{from.directory_url(), got.account, from.ca().ca().profile, now, of.names,
                                is_forced(of) ? of.state.forced_why : std::string()};
        bundle next{.chain_pem = std::move(got.chain_pem), .key_pem = std::move(got.key_pem),
                    .meta_json = to_json(about), .credential = got.credential};
        const auto stored = co_await storage_.store_certificate(of.id, std::move(next), of.generation, guard);
        if (!stored) {
            if (stored.error().code == errc::conflict) {
                static_cast<void>(co_await refresh(of));
                co_return reply<>();
            }
            refusal why{failure_class::transient, "storage: " + stored.error().what};
            why.is_ours = true;
            co_return why;
        }
        const bool is_first = of.credential == nullptr;
        of.credential = std::move(got.credential);
        of.generation = *stored;
        of.about = std::move(about);
        of.last_refusal.reset();
        of.not_before = {};
        certificate_state fresh;
        fresh.configuration = of.configuration;
        of.state = std::move(fresh);
        adopt_settings(of);
        if (!same_identifiers(identifiers_in(*of.credential), of.names)) // which came meanwhile
            force(of, "reconfigured");
        served_(of);
        co_await save(of);
        co_await forget_order(of);
        tell_({is_first ? event_kind::obtained : event_kind::renewed, of.id,
               (is_first ? "obtained from " : "renewed by ") + from.directory_url() + ", valid until "
                   + format_rfc3339(of.credential->about.not_after)});
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

    [[nodiscard]] awaitable<> forget_order(const managed_certificate& of)
    {
        static_cast<void>(co_await storage_.erase("order/" + of.id));
        static_cast<void>(co_await storage_.erase("order/" + of.id + ".key"));
    }

    [[nodiscard]] awaitable<> failed(managed_certificate& of, refusal why)
    {
        const std::size_t asked = chosen_authority(of);
        ++of.state.failures;
        of.state.failed_at = world_.now();
        of.state.last_class = why.kind;
        of.state.last_error = why.what;
        const failed_attempt last{why.kind, of.state.failures, why.is_ours, why.retry_after, asked};
        const next_try next = plan_next_try(last, authorities_.size(), of.life(), world_.now(), random());
        of.state.directory = authorities_[next.ca]->directory_url();
        of.state.next_attempt = next.when;
        co_await save(of);
        tell_({event_kind::renewal_failed, of.id,
               why.what + "; next attempt " + format_rfc3339(of.state.next_attempt)
                   + (next.ca == asked ? "" : " at " + of.state.directory)});
        of.last_refusal = std::move(why);
    }

    // RFC 9773 4.
    [[nodiscard]] awaitable<> look_for_window(managed_certificate& of)
    {
        const validity life = *of.life();
        const auto from = authority_of(of.about.directory);
        window_reply got;
        if (from)
            got = co_await ask_for_window(from->ca(), of.credential);
        if (!got.is_offered) {
            of.state.advice.reset();
            of.state.next_check =
                world_.now() + std::max<std::chrono::milliseconds>(lifetime(life) / 10, std::chrono::days(1));
            co_return;
        }
        if (got.window)
            follow_window(of, life, got);
        check_later(of, got.how, got.retry_after);
    }

    // RFC 9773 4.2.
    void follow_window(managed_certificate& of, const validity& life, const window_reply& got)
    {
        const renewal_window window = *got.window;
        const auto before = of.state.advice;
        of.state.advice = suggest(before, window, life, random());
        if (before && of.state.advice && of.state.advice->chosen != before->chosen)
            tell_({event_kind::window_changed, of.id,
                   "the CA wants it renewed between " + format_rfc3339(window.start) + " and "
                       + format_rfc3339(window.end)
                       + (got.explanation_url.empty() ? "" : ", see " + got.explanation_url)});
        // A CA that revokes all that it issues has gone mad, and is not fed.
        const bool is_again = of.about.because == "revoked" && world_.now() < cool_down_end(of.about.obtained, life);
        if (is_revocation(window, life, world_.now()) && !is_forced(of) && !is_again) {
            tell_({event_kind::revoked, of.id, "the CA wants it replaced now: it is revoked, or will be"});
            force(of, "revoked");
        }
        of.state.check_failures = 0;
    }

    void check_later(managed_certificate& of, window_answer last, std::optional<std::chrono::seconds> retry_after)
    {
        if (last == window_answer::temporary_error)
            ++of.state.check_failures;
        const auto next = next_check(last, of.state.check_failures, world_.now(), *of.life(), retry_after, random());
        of.state.next_check = next.value_or(time_point::max());
    }

    environment& world_;
    storage& storage_;
    board& board_;
    std::shared_ptr<const config> settings_;
    std::vector<std::shared_ptr<authority>> authorities_;
    const event_teller tell_;
    const std::function<void(managed_certificate&)> served_;
};

}

#endif
