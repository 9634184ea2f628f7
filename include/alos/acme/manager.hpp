// All certificates of a server: what is configured, what is served, and who works on what and when. It runs on one
// thread and sees the world through an environment, so that years of it pass in a test in a second.
#ifndef ALOS_ACME_MANAGER_HPP
#define ALOS_ACME_MANAGER_HPP

#include <alos/acme/configured.hpp>
#include <alos/acme/listeners.hpp>
#include <alos/acme/presenter.hpp>
#include <alos/acme/renewer.hpp>
#include <alos/acme/signal.hpp>
#include <alos/acme/work_list.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

class manager {
public:
    // `world`, `kept` and what `to` refers to outlive it; `executor` is that of its thread.
    manager(environment& world, storage& kept, host to, event_teller on_event, boost::asio::any_io_executor executor)
        : world_(world), storage_(kept), listeners_(to.log, std::move(on_event)), works_(executor),
          clean_ups_(std::move(executor)), board_(world, kept, to.http01, to.certificates),
          presenter_(world, to.certificates, [this](const event& what) { listeners_.tell(what); }),
          keeper_(
              world, kept, [this](const event& what) { listeners_.tell(what); },
              [this](managed_certificate& of) { presenter_.show({&of}, certificates_); }),
          renewer_(world, kept, board_, keeper_, [this](const event& what) { listeners_.tell(what); })
    {
    }

    manager(const manager&) = delete;
    manager& operator=(const manager&) = delete;

    // See service::configure().
    [[nodiscard]] awaitable<outcome<>> configure(config settings)
    {
        if (settings.cas.empty() || settings.key_types.empty() || settings.challenges.empty())
            co_return failure{errc::bad_configuration,
                              "acme: `cas`, `key_types` and `challenges` need an entry each; leave them out for the "
                              "defaults"};
        std::vector<certificate_names> wanted = std::move(settings.domains);
        settings.domains.clear();
        for (const certificate_names& each : configured_) {
            if (auto provable = check_provable(settings, each); !provable)
                co_return provable;
        }
        settings_ = std::make_shared<const config>(std::move(settings));
        presenter_.answer_meanwhile(settings_->until_then);
        const auto usable = renewer_.configure(settings_);
        for (auto& each : certificates_)
            apply(*each, *settings_);
        for (certificate_names& each : not_said_anew(std::exchange(configured_, {}), wanted))
            wanted.push_back(std::move(each));
        auto done = co_await add(std::move(wanted));
        co_return done ? usable : done;
    }

    // Configures these certificates, and serves what the storage has of them: all at one moment, and whatever is wrong
    // with the others.
    [[nodiscard]] awaitable<outcome<>> add(std::vector<certificate_names> wanted)
    {
        const failure nothing_yet{errc::bad_configuration,
                                  "acme: nothing is configured yet; enable_acme() does that"};
        outcome<> done;
        certificate_list added;
        for (certificate_names& each : wanted) {
            auto made = settings_ ? put_entry(configured_, std::move(each), *settings_)
                                  : outcome<certificate_list>(nothing_yet);
            if (!made) {
                if (done)
                    done = made.error();
                continue;
            }
            for (auto& one : *made) {
                if (const auto known = find(one->id)) {
                    known->names = one->names;
                    known->email = one->email;
                    apply(*known, *settings_);
                    added.push_back(known);
                } else {
                    added.push_back(certificates_.emplace_back(std::move(one)));
                }
            }
        }
        {
            const being_loaded these(added);
            for (const auto& each : these.list)
                co_await keeper_.load(*each);
            for (const auto& each : these.list)
                adopt_settings(*each, random_part(world_)); // that came meanwhile
        }
        for (const auto& each : added)
            static_cast<void>(adopt_other(*each, others_));
        std::vector<managed_certificate*> shown;
        for (const auto& each : added)
            shown.push_back(each.get());
        presenter_.show(shown, certificates_);
        for (const auto& each : added) {
            if (each->credential)
                listeners_.tell({event_kind::loaded, each->id,
                                 "valid until " + format_rfc3339(each->credential->about.not_after)
                                     + last_failure_of(*each, world_.now())});
        }
        wake();
        co_return done;
    }

    [[nodiscard]] outcome<> remove(std::string_view domain)
    {
        const auto spelled = cert::parse_domain(domain);
        const auto is_it = [&](const auto& each) { return spelled && each->domain == *spelled; };
        if (std::ranges::none_of(certificates_, is_it))
            return failure{errc::unknown_name, std::string(domain)
                                                   + ": ACME does not care for it; name the first of its names"};
        certificate_list removed;
        std::ranges::copy_if(certificates_, std::back_inserter(removed), is_it);
        std::erase_if(certificates_, is_it);
        for (auto& each : removed) {
            each->is_removed = true; // who works on it finishes, to no effect
            presenter_.withdraw(*each);
            begin_to_clear(*each);
        }
        std::erase_if(configured_, [&](const certificate_names& each) { return is_of(each, *spelled); });
        return {};
    }

    // All certificates that other programs keep, and serve now. One for exactly the names of a certificate of ours
    // serves as that until its time to be renewed has come, so that none is ordered before, or until it is gone. Our
    // own are served instead of theirs. To be called now and then, even if nothing changed.
    void offer(std::vector<cert::credential_ptr> others)
    {
        if (others == others_ && !keeps_lost_)
            return;
        others_ = std::move(others);
        presenter_.know_others(others_);
        keeps_lost_ = false;
        std::vector<managed_certificate*> shown;
        for (const auto& each : certificates_) {
            const bool has_lost = has_lost_other(*each, others_);
            if (has_lost && !each->is_busy) { // who works on it may need it still
                presenter_.withdraw(*each);
                each->credential = nullptr;
            }
            static_cast<void>(adopt_other(*each, others_));
            keeps_lost_ = keeps_lost_ || has_lost_other(*each, others_);
            if (has_lost && !each->credential)
                listeners_.tell({event_kind::loaded, each->id,
                                 "the certificate of another program that served is gone; one is ordered"});
            if (each->credential || !each->is_busy) // else it may be about to be loaded
                shown.push_back(each.get());
        }
        presenter_.show(shown, certificates_);
        wake();
    }

    // Works until it is cancelled; what it began is cancelled with it.
    [[nodiscard]] awaitable<> run()
    {
        for (;;) {
            const std::uint64_t seen = changes_;
            const time_point next = begin_what_is_due();
            if (seen == changes_)
                co_await world_.sleep(next, &alarm_);
        }
    }

    // Follows what other processes do in the same storage; until it is cancelled.
    [[nodiscard]] awaitable<> follow()
    {
        for (;;) {
            const std::string what = co_await storage_.next_change();
            if (what == "challenge") {
                co_await board_.follow_others();
                continue;
            }
            constexpr std::string_view any = "certificates";
            certificate_list changed;
            if (what == any)
                changed = certificates_;
            else if (what.starts_with(any))
                changed.push_back(find(std::string_view(what).substr(any.size() + 1)));
            for (const auto& each : changed) {
                if (!each || each->is_busy)
                    continue;
                const being_loaded this_one({each});
                const bool is_other = co_await keeper_.refresh(*each);
                adopt_settings(*each, random_part(world_)); // that came meanwhile
                if (is_other || is_due(*each, world_.now()))
                    wake();
            }
        }
    }

    // Cancels what is under way; it is over when is_idle(). Who waits for a certificate is told.
    void stop()
    {
        is_stopped_ = true;
        wake();
        works_.cancel();
        clean_ups_.cancel();
    }

    [[nodiscard]] bool is_idle() const noexcept { return works_.size() + clean_ups_.size() == 0; }

    // See service.
    [[nodiscard]] awaitable<outcome<>> force_renew(std::string domain, std::function<void(const event&)> told)
    {
        const auto ids = ids_by_name(certificates_, domain);
        if (ids.empty())
            co_return failure{errc::unknown_name, domain + ": ACME does not care for it; add_acme_domain() does"};
        for (const std::string& id : ids) {
            auto done = co_await renew_now(id, "forced", told);
            if (!done)
                co_return done;
        }
        co_return outcome<>();
    }

    [[nodiscard]] awaitable<outcome<cert::credential_ptr>> obtain(std::string name)
    {
        auto found = find_by_name(certificates_, name);
        if (!found) {
            std::vector<certificate_names> wanted;
            wanted.emplace_back(name);
            const auto added = co_await add(std::move(wanted));
            if (!added)
                co_return added.error();
            found = find_by_name(certificates_, name);
            if (!found)
                co_return failure{errc::unknown_name, name + ": it was removed meanwhile"};
        }
        const std::string id = found->id;
        if (!found->credential) {
            const auto done = co_await wait_for(id, nullptr);
            if (!done)
                co_return done.error();
            found = find(id);
        }
        if (!found || !found->credential)
            co_return failure{errc::unknown_name, name + ": it was removed meanwhile"};
        co_return found->credential;
    }

    // RFC 8555 7.6.
    [[nodiscard]] awaitable<outcome<>> revoke(std::string domain, unsigned reason)
    {
        if (reason > 10 || reason == 7)
            co_return failure{errc::bad_configuration, std::to_string(reason)
                                                           + ": it is no reason of RFC 5280 5.3.1; give 0, 1, 4 or 5"};
        auto ids = ids_by_name(certificates_, domain);
        std::erase_if(ids, [this](const std::string& id) { return !find(id)->credential; });
        if (ids.empty())
            co_return failure{errc::unknown_name, domain + ": there is no certificate of ACME's to revoke"};
        for (const std::string& id : ids) {
            const auto one = find(id);
            if (!one || !one->credential) // it went meanwhile
                continue;
            const cert::credential_ptr which = one->credential;
            auto revoked = co_await renewer_.revoke(*one, reason);
            if (!revoked)
                co_return failure{errc::refused, revoked.error().what};
            if (one->credential != which) // it was renewed meanwhile
                continue;
            force(*one, "forced"); // also by who goes on after a crash
            co_await keeper_.save(*one);
            std::function<void(const event&)> nobody;
            auto done = co_await renew_now(id, "forced", std::move(nobody));
            if (!done)
                co_return done;
        }
        co_return outcome<>();
    }

    [[nodiscard]] std::vector<certificate_status> certificates() const
    {
        std::vector<certificate_status> list;
        const time_point now = world_.now();
        for (const auto& each : certificates_)
            list.push_back(status_of(*each, std::max(renewal_due(*each, now), now)));
        return list;
    }

private:
    // How long somebody waits for a certificate.
    static constexpr std::chrono::minutes patience{15};

    void wake()
    {
        ++changes_;
        changed_.notify_all();
        alarm_.ring();
    }

    [[nodiscard]] std::shared_ptr<managed_certificate> find(std::string_view id) const
    {
        return find_by_id(certificates_, id);
    }

    // Begins what may begin, and says when there is more to do.
    time_point begin_what_is_due()
    {
        const time_point now = world_.now();
        forget_plans_of_a_wrong_clock(now);
        time_point next = now + std::chrono::days(1);
        const std::size_t limit = std::max(1u, settings_ ? settings_->orders_at_once : 1u);
        for (auto& each : certificates_) {
            if (each->is_busy)
                continue;
            const time_point when = due(*each, now);
            if (when > now)
                next = std::min(next, when);
            else if (works_.size() < limit)
                begin(each);
        }
        return next;
    }

    // When the clock is set back: the short waits were for now, and the CA may be asked again.
    void forget_plans_of_a_wrong_clock(time_point now)
    {
        if (now + std::chrono::minutes(1) >= std::exchange(last_look_, now))
            return;
        for (auto& each : certificates_) {
            each->not_before = {};
            each->state.next_check = {};
            each->is_unsaved = true;
        }
    }

    void begin(const std::shared_ptr<managed_certificate>& of)
    {
        of->is_busy = true;
        works_.begin(renewer_.work(*of), [this, of](const std::exception_ptr& thrown) { end(*of, thrown); });
    }

    void end(managed_certificate& of, const std::exception_ptr& thrown)
    {
        of.is_busy = false;
        adopt_settings(of, random_part(world_)); // that came meanwhile
        // Note: whatever is wrong with what was done, it is not done in a loop.
        of.not_before = std::max(of.not_before, world_.now() + std::chrono::seconds(1));
        if (thrown && !is_cancellation(thrown)) {
            of.not_before = world_.now() + std::chrono::minutes(1);
            listeners_.tell({event_kind::renewal_failed, of.id, "an attempt broke off: " + text_of_exception(thrown)});
        }
        if (of.is_removed && !is_stopped_)
            begin_to_clear(of);
        wake();
    }

    // Takes away what stands for the next attempt of one that was removed; once more when one under way has ended.
    void begin_to_clear(const managed_certificate& of)
    {
        std::vector<identifier> names = of.names;
        std::erase_if(names, [this](const identifier& each) { return find_by_name(certificates_, each.value); });
        clean_ups_.begin(clear(of.id, std::move(names)), [](const std::exception_ptr&) {});
    }

    [[nodiscard]] awaitable<> clear(std::string id, std::vector<identifier> names)
    {
        for (const identifier& each : names) {
            const auto done = co_await board_.take_down_standing(each, settings_->dns);
            if (!done)
                listeners_.tell(
                    {event_kind::progress, id, "warning: clean-up of " + each.value + ": " + done.error().what});
        }
    }

    [[nodiscard]] awaitable<outcome<>> renew_now(std::string id, std::string why,
                                                 std::function<void(const event&)> told)
    {
        const auto one = find(id);
        if (!one)
            co_return failure{errc::unknown_name, id + ": it was removed meanwhile"};
        const cert::credential_ptr before = one->credential;
        force(*one, std::move(why));
        const listeners::listening until_the_end(listeners_, id, std::move(told));
        wake();
        auto done = co_await wait_for(id, before);
        co_return done;
    }

    // Until the storage has another certificate, or an attempt failed. Note: after one that was deleted there, the
    // generations are numbered anew.
    [[nodiscard]] awaitable<outcome<>> wait_for(std::string id, cert::credential_ptr before)
    {
        using namespace boost::asio::experimental::awaitable_operators;
        const time_point end = world_.now() + patience;
        for (;;) {
            const auto one = find(id);
            if (!one)
                co_return failure{errc::unknown_name, id + ": it was removed meanwhile"};
            if (one->generation != 0 && one->credential != before)
                co_return outcome<>();
            if (is_stopped_)
                co_return failure{errc::closed, id + ": the manager of certificates was stopped meanwhile"};
            // Another CA may be asked right away, or this one is at work.
            const time_point next = renewal_due(*one, world_.now());
            const bool goes_on = next <= world_.now() + std::chrono::seconds(5)
                                 || (one->last_refusal && one->last_refusal->is_under_way);
            if (!one->is_busy && one->state.failures > 0 && !goes_on)
                co_return failure{errc::refused, one->state.last_error + "; next attempt " + format_rfc3339(next)};
            if (world_.now() >= end)
                co_return failure{errc::timed_out, id + ": there is no certificate after 15 minutes; the log says why"};
            co_await (world_.sleep_until(end) || changed_.wait());
        }
    }

    environment& world_;
    storage& storage_;
    listeners listeners_;
    work_list works_;
    work_list clean_ups_; // of those that were removed; they keep no order waiting
    std::shared_ptr<const config> settings_;
    board board_;
    presenter presenter_;
    certificate_keeper keeper_;
    renewer renewer_;
    std::vector<certificate_names> configured_;
    certificate_list certificates_;
    std::vector<cert::credential_ptr> others_; // of other programs
    bool keeps_lost_ = false; // one that is busy serves as one that is none of `others_` any more
    std::uint64_t changes_ = 0;
    time_point last_look_{}; // at what is due
    bool is_stopped_ = false;
    signal changed_; // for who waits for a certificate
    alarm alarm_;    // for run()
};

}

#endif
