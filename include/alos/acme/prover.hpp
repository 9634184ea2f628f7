// Proves control of the names of one order: chooses a challenge for each, publishes the answers, looks at them from
// outside, tells the CA, and waits for its verdict. RFC 8555 7.5, 8.
#ifndef ALOS_ACME_PROVER_HPP
#define ALOS_ACME_PROVER_HPP

#include <alos/acme/board.hpp>
#include <alos/acme/challenge_choice.hpp>
#include <alos/acme/client.hpp>
#include <alos/acme/cure.hpp>
#include <alos/acme/limits.hpp>
#include <alos/acme/payloads.hpp>
#include <alos/acme/rfc3339.hpp>
#include <alos/acme/self_check.hpp>
#include <alos/acme/together.hpp>
#include <alos/http/clean_up.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// When to look again at something that the CA works on: as it says, else after a tenth of a second, then ever later.
class poll_pause {
public:
    [[nodiscard]] time_point next(time_point now, std::optional<std::chrono::seconds> retry_after) noexcept
    {
        const auto longer = std::min<std::chrono::milliseconds>(own_ * 2, longest);
        const std::chrono::milliseconds own = std::exchange(own_, longer);
        return now + (retry_after ? std::max<std::chrono::milliseconds>(*retry_after, own) : own);
    }

private:
    static constexpr std::chrono::seconds longest{10};
    std::chrono::milliseconds own_{100};
};

// Why names were not proven.
struct unproven {
    refusal why;
    bool try_another_way = false; // a new order may be proven by another challenge
    bool order_is_lost = false;
};

[[noreturn]] inline void throw_exception_from_error(const unproven& no, const boost::source_location& where)
{
    throw_exception_from_error(no.why, where);
}

// Called with every step, in one sentence.
using step_teller = std::function<void(const std::string&)>;

// Of one issuance.
class prover {
public:
    // `ca`, `answers` and what `allowed` refers to outlive it. `life` is that of the certificate, as far as it is
    // known.
    prover(client& ca, signer by, board& answers, std::shared_ptr<const config> settings, limits allowed,
           std::chrono::milliseconds life, time_point deadline, step_teller tell)
        : ca_(ca), by_(std::move(by)), board_(answers), settings_(std::move(settings)), allowed_(std::move(allowed)),
          life_(life), deadline_(deadline), tell_(std::move(tell)), choice_(settings_)
    {
    }

    // Every answer is taken away again, whatever happened; but for those that the next attempt needs.
    [[nodiscard]] awaitable<boost::system::result<void, unproven>> prove(order asked)
    {
        std::vector<proof> proofs;
        auto work = attempt(std::move(asked), proofs);
        const auto end = [&](const verdict* done) { return clean_up(proofs, done); };
        auto done = co_await with_clean_up(std::move(work), end);
        if (!done && done.error().order_is_lost) {
            using namespace boost::asio::experimental::awaitable_operators;
            const time_point latest = std::min(world().now() + std::chrono::minutes(1), deadline_);
            co_await (deactivate(proofs) || world().sleep_until(latest));
        }
        co_return done;
    }

    // What earlier attempts left for a CA that has looked since, or will not.
    [[nodiscard]] awaitable<> take_down_standing(std::vector<identifier> names)
    {
        std::vector<awaitable<>> all;
        for (const identifier& each : names)
            all.push_back(take_down_standing_of(each));
        co_await together(std::move(all));
    }

private:
    using verdict = boost::system::result<void, unproven>;

    static constexpr std::chrono::seconds self_check_time{10};
    static constexpr std::chrono::seconds grace{30}; // for what the CA says of other names

    // One authorization on its way.
    struct proof {
        std::string url;
        authorization state;
        authorization offered; // as it was before it was answered: an invalid one may list only what failed
        posting answer;
        std::string challenge_url;
        bool is_accepted = false; // by an attempt before this one
        bool is_posted = false;
    };

    struct too_many {
        time_point until;
        std::string last; // that failed, and why
    };

    [[nodiscard]] environment& world() const noexcept { return ca_.world(); }

    // What the CA says of the order itself does not change by going on with it.
    static unproven refused(refusal why)
    {
        const bool is_lost = !says_nothing(why);
        return {std::move(why), false, is_lost};
    }

    unproven stop(std::string what, failure_class kind, bool order_is_lost = false) const
    {
        return {{kind, "authorization: " + ca_.ca().directory + ": " + std::move(what)}, false, order_is_lost};
    }

    // `proofs` is what there is to clean up when this ends.
    [[nodiscard]] awaitable<verdict> attempt(order asked, std::vector<proof>& proofs)
    {
        for (const std::string& url : asked.authorizations) {
            auto read = co_await read_authorization(url);
            if (!read)
                co_return refused(read.error());
            const identifier about = ordered_identifier(*read);
            if (std::ranges::count(asked.identifiers, about) == 0)
                co_return stop("it asks for " + about.value + ", which is not in the order", failure_class::transient,
                               true);
            // RFC 8555 7.1.4: one from an earlier order may still be valid.
            if (read->status == authorization_status::valid) {
                proven_.push_back(about);
                continue;
            }
            if (read->status != authorization_status::pending)
                co_return stop("that of " + about.value + " is " + std::string(name_of(read->status)),
                               failure_class::transient, true);
            const challenge* const chosen = choice_.choose(*read, about);
            if (!chosen)
                co_return stop("none of the challenges for " + about.value + " (" + offered_types(*read)
                                   + ") can be answered; allow another one in `challenges`, or set `dns`",
                               failure_class::permanent, true);
            const auto is_again = [&](const proof& each) { return each.answer.about == about; };
            if (std::ranges::any_of(proofs, is_again))
                co_return stop("it asks for " + about.value + " twice", failure_class::transient, true);
            proof next{.url = url, .state = *read, .offered = *read, .answer = {}, .challenge_url = chosen->url,
                       .is_accepted = chosen->status != challenge_status::pending};
            next.answer = {*challenge_type_of(chosen->type), about, chosen->token,
                           key_authorization(chosen->token, by_.key.thumbprint())};
            proofs.push_back(std::move(next));
        }
        // In one order everywhere: two that have names in common wait for each other's places, and not in a circle.
        std::ranges::sort(proofs, {}, [](const proof& each) { return each.answer.about; });
        if (const auto full = co_await too_many_failures(proofs)) {
            const std::string last = full->last.empty() ? std::string() : full->last + "; ";
            unproven wait = stop(last
                                     + "as many validations failed as a CA allows in an hour: that is our own limit, "
                                       "`failed_validations` of this CA in the configuration; mend what made them "
                                       "fail, no other is begun before "
                                     + format_rfc3339(full->until),
                                 failure_class::throttled);
            wait.why.is_ours = true; // and so no reason to let a certificate expire
            wait.why.retry_after = std::chrono::ceil<std::chrono::seconds>(full->until - world().now());
            co_return wait;
        }
        const auto published = co_await publish(proofs);
        if (!published)
            co_return published;
        if (settings_->self_check) {
            // For all names together: behind some routers none can be seen from here.
            const time_point end = world().now() + self_check_time;
            for (const proof& each : proofs) {
                if (&each == &proofs.front() || world().now() < end)
                    co_await check(each.answer, end);
            }
        }
        if (!proofs.empty())
            tell_("asking the CA to look, and waiting for its verdict");
        for (proof& each : proofs) {
            if (each.is_accepted)
                continue;
            const auto accepted = co_await accept(each);
            if (!accepted)
                co_return refused(accepted.error());
        }
        // RFC 8555 8.3: all answers stay until the last verdict, as the CA looks for each when it likes.
        verdict all;
        time_point until = deadline_;
        for (proof& each : proofs) {
            auto verdict = co_await wait_for_verdict(each, until);
            const bool is_lost = !verdict && verdict.error().order_is_lost;
            if (verdict || (!all && (all.error().order_is_lost || !is_lost)))
                continue;
            all = verdict;
            if (is_lost) // whatever comes of the others
                until = std::min(deadline_, world().now() + grace);
        }
        co_return all;
    }

    // So many validations failed for one of the names that none may fail any more; nothing: they may be tried.
    [[nodiscard]] awaitable<std::optional<too_many>> too_many_failures(const std::vector<proof>& proofs)
    {
        std::optional<too_many> latest;
        for (const proof& each : proofs) {
            kept_bucket failures = allowed_.failed_validations(each.answer.about, life_);
            const auto until = co_await failures.next();
            if (!until || (latest && *until <= latest->until))
                continue;
            std::string last = co_await failures.last_taken_for();
            latest = too_many{*until, std::move(last)};
        }
        co_return latest;
    }

    // Those in the DNS all at once, as each may take minutes.
    [[nodiscard]] awaitable<verdict> publish(std::vector<proof>& proofs)
    {
        verdict all;
        std::vector<awaitable<>> in_dns;
        for (proof& each : proofs) {
            if (!all)
                break;
            if (each.answer.type == challenge_type::dns_01)
                in_dns.push_back(publish_one(each, all));
            else
                co_await publish_one(each, all);
        }
        if (all)
            co_await together(std::move(in_dns));
        co_return all;
    }

    // `all` is the first failure.
    [[nodiscard]] awaitable<> publish_one(proof& of, verdict& all)
    {
        const posting& answer = of.answer;
        tell_("publishing the answer to " + std::string(name_of(answer.type)) + " for " + answer.about.value);
        of.is_posted = true; // from now on there may be something to take away
        const auto posted = co_await board_.post(answer, settings_->dns, deadline_);
        if (!posted && all)
            all = not_published(of, posted.error());
    }

    // Where it is the solver's fault, or the token's, another type may do; a disk that fails does so for all.
    [[nodiscard]] unproven not_published(const proof& of, const failure& why)
    {
        const posting& answer = of.answer;
        const bool is_of_type = answer.type == challenge_type::dns_01 || why.code == errc::bad_name;
        const std::string what = answer.about.value + ": " + why.what;
        unproven no = stop(is_of_type ? choice_.fail(answer.about, answer.type, what) : what, failure_class::transient);
        no.try_another_way = no.order_is_lost = is_of_type && choice_.choose(of.offered, answer.about) != nullptr;
        return no;
    }

    [[nodiscard]] awaitable<> clean_up(std::vector<proof>& proofs, const verdict* done)
    {
        const bool goes_on = done && !*done && !done->error().order_is_lost; // in the next attempt
        std::vector<awaitable<>> all;
        for (const identifier& each : proven_)
            all.push_back(take_down_standing_of(each));
        for (const proof& each : proofs) {
            if (!each.is_posted)
                continue;
            if (goes_on && each.state.status == authorization_status::pending)
                all.push_back(board_.let_stand(each.answer));
            else
                all.push_back(take_down(each.answer));
        }
        co_await together(std::move(all));
    }

    [[nodiscard]] awaitable<> take_down_standing_of(identifier about)
    {
        const auto done = co_await board_.take_down_standing(about, settings_->dns);
        if (!done)
            tell_("clean-up of " + about.value + ": " + done.error().what);
    }

    [[nodiscard]] awaitable<> take_down(posting answer)
    {
        const auto done = co_await board_.take_down(answer, settings_->dns);
        if (!done)
            tell_("clean-up of " + answer.about.value + ": " + done.error().what);
    }

    // RFC 8555 7.5.1: tells the CA that it may look. The CA's answer may be lost though it had effect; the
    // authorization tells.
    [[nodiscard]] awaitable<reply<>> accept(proof& of)
    {
        std::string payload(challenge_payload);
        const auto accepted = co_await ca_.post(of.challenge_url, std::move(payload), by_, "challenge");
        of.is_accepted = accepted.has_value();
        if (accepted || (accepted.error().why.status == 0 && !accepted.error().is_unsent))
            co_return reply<>();
        if (says_nothing(accepted.error()))
            co_return accepted.error();
        // It may have been told already: by a request that was repeated, or for another order.
        auto read = co_await read_authorization(of.url);
        if (read)
            of.state = std::move(*read);
        of.is_accepted = read && (of.state.status != authorization_status::pending || is_looked_at(of));
        if (!of.is_accepted)
            co_return accepted.error();
        co_return reply<>();
    }

    [[nodiscard]] awaitable<reply<authorization>> read_authorization(std::string url)
    {
        const auto answer = co_await ca_.post(url, std::string(), by_, "authorization");
        if (!answer)
            co_return answer.error();
        last_pause_ = retry_after(*answer, world().now());
        auto state = parse_authorization(answer->body);
        if (!state) {
            refusal why{failure_class::transient, "authorization: " + ca_.ca().directory + ": " + state.error().what};
            why.why.status = answer->status;
            co_return why;
        }
        co_return std::move(*state);
    }

    // RFC 8555 7.5.1: `processing` is no failure.
    [[nodiscard]] awaitable<boost::system::result<void, unproven>> wait_for_verdict(proof& of, time_point until)
    {
        poll_pause pause;
        for (;;) {
            auto read = co_await read_authorization(of.url);
            if (!read) {
                // Trouble on the way says nothing of the verdict.
                const refusal& why = read.error();
                const auto again = pause.next(world().now(), why.retry_after);
                const bool may_pass = why.kind == failure_class::transient || why.kind == failure_class::throttled;
                if (!may_pass || again > until)
                    co_return refused(why);
                co_await world().sleep_until(again);
                continue;
            }
            of.state = std::move(*read);
            if (of.state.status == authorization_status::valid)
                co_return boost::system::result<void, unproven>();
            if (of.state.status != authorization_status::pending) {
                auto no = co_await failed(of);
                co_return no;
            }
            if (!of.is_accepted && !is_looked_at(of)) {
                const auto accepted = co_await accept(of);
                if (!accepted)
                    co_return refused(accepted.error());
            }
            const auto next = pause.next(world().now(), last_pause_);
            if (next > until) {
                unproven later = stop("that of " + of.answer.about.value
                                          + " is still pending; the next attempt goes on with it",
                                      failure_class::transient);
                later.why.is_under_way = true;
                later.why.retry_after = last_pause_;
                co_return later;
            }
            co_await world().sleep_until(next);
        }
    }

    // Whether the CA knows that it may look, however its answer to that was lost.
    static bool is_looked_at(const proof& of)
    {
        return std::ranges::any_of(of.state.challenges, [&](const challenge& each) {
            return each.url == of.challenge_url && each.status != challenge_status::pending;
        });
    }

    // The CA looked, and did not find what it wanted.
    [[nodiscard]] awaitable<unproven> failed(proof& of)
    {
        const identifier& about = of.answer.about;
        problem why;
        for (const challenge& each : of.state.challenges) {
            if (each.error && each.url == of.challenge_url)
                why = *each.error;
        }
        const std::string what = std::string(name_of(of.answer.type)) + " for " + about.value
                                 + " failed: " + describe(why) + "; " + cure_of(why, of.answer.type, about);
        // Note: "malformed", which a request would be for good, may be said of a name that has no address yet.
        const failure_class kind = why.type == "malformed" ? failure_class::transient : class_of(why);
        unproven no = stop(choice_.fail(about, of.answer.type, what), kind, true);
        no.why.why = why;
        kept_bucket failures = allowed_.failed_validations(about, life_);
        if (of.state.status == authorization_status::invalid) // else the CA did not even look
            static_cast<void>(co_await failures.take(what));
        const auto later = co_await failures.next();
        no.try_another_way = !is_about_the_name(why) && no.why.kind != failure_class::throttled
                             && choice_.choose(of.offered, about) != nullptr && !later;
        co_return no;
    }

    // Says what the CA will probably see; that is no reason not to ask it.
    [[nodiscard]] awaitable<> check(posting answer, time_point end)
    {
        const std::string seen =
            co_await self_check(world(), answer, settings_->http01_port, settings_->tls_alpn01_port, end);
        if (!seen.empty())
            tell_("warning: " + seen);
    }

    // RFC 8555 7.5.2: what stays pending would count against limits. Best effort.
    [[nodiscard]] awaitable<> deactivate(const std::vector<proof>& proofs)
    {
        for (const proof& each : proofs) {
            if (each.state.status != authorization_status::pending)
                continue;
            std::string payload(deactivation_payload);
            static_cast<void>(co_await ca_.post(each.url, std::move(payload), by_, "authorization"));
        }
    }

    client& ca_;
    const signer by_;
    board& board_;
    const std::shared_ptr<const config> settings_;
    const limits allowed_;
    const std::chrono::milliseconds life_;
    const time_point deadline_;
    const step_teller tell_;
    challenge_choice choice_;
    std::vector<identifier> proven_; // by orders before this one
    std::optional<std::chrono::seconds> last_pause_;
};

}

#endif
