// One certificate, from the order to the download, as a coroutine in the order of RFC 8555 7.4: order,
// authorizations, challenges, finalize, download, check.
#ifndef ALOS_ACME_ISSUE_HPP
#define ALOS_ACME_ISSUE_HPP

#include <alos/acme/board.hpp>
#include <alos/acme/client.hpp>
#include <alos/acme/download.hpp>
#include <alos/acme/kept_order.hpp>
#include <alos/acme/limits.hpp>
#include <alos/acme/order_allowance.hpp>
#include <alos/acme/payloads.hpp>
#include <alos/acme/prover.hpp>
#include <alos/acme/renewal_info.hpp>
#include <alos/acme/storage.hpp>
#include <alos/cert/credential.hpp>
#include <alos/cert/names.hpp>
#include <alos/crypto/botan_csr.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

struct issue_request {
    std::string id; // of the certificate
    std::vector<identifier> names;
    key_kind key = key_kind::ecdsa_p256;
    std::string profile;
    std::string preferred_chain;
    std::string replaces; // RFC 9773 5; empty: none
    cert::credential_ptr present{}; // that it is to follow; null: none
    bool is_asked_for = false; // by a person: the CA may say no, we do not
    bool is_again = false;     // the attempt before this one failed
    std::chrono::milliseconds life = std::chrono::days(90); // of the present certificate
    time_point deadline; // of this attempt; an order that is not done then is gone on with by the next one

    // Others may work on the certificate while the CA does: called before and after. The second says whether there is
    // still something to do here. Either may be empty.
    std::function<awaitable<>()> let_others{};
    std::function<awaitable<bool>()> take_again{};
};

struct issued {
    std::string chain_pem;
    secret_text key_pem;
    cert::credential_ptr credential; // of both
    std::string account;
};

// One attempt. It keeps the order and its key in the storage, so that another process can go on after a crash.
class issuance {
public:
    // `ca`, `kept`, `answers` and what `allowed` refers to outlive it.
    issuance(client& ca, storage& kept, board& answers, std::shared_ptr<const config> settings, const limits& allowed,
             signer by, issue_request wanted, step_teller tell)
        : ca_(ca), storage_(kept),
          prover_(ca, by, answers, std::move(settings), allowed, wanted.life, wanted.deadline, tell),
          allowance_(ca.world(), ca.ca().directory, allowed, wanted.names, wanted.life), by_(std::move(by)),
          wanted_(std::move(wanted)), tell_(std::move(tell))
    {
    }

    // Nothing when somebody else was faster.
    [[nodiscard]] awaitable<reply<std::optional<issued>>> run()
    {
        auto found = co_await resume();
        if (!found)
            co_return found.error();
        bool is_first = true;
        for (std::optional<placed> at = std::move(*found);; at.reset(), is_first = false) {
            if (!at) {
                const auto offered = co_await ca_.check_profile(wanted_.profile);
                if (!offered)
                    co_return offered.error();
                const auto may = co_await check_certificate();
                if (!may)
                    co_return may.error();
                const auto taken = co_await allowance_.take_order(!is_first);
                if (!taken)
                    co_return taken.error();
                auto fresh = co_await place_order();
                if (!fresh && fresh.error().is_unsent)
                    co_await allowance_.give_order_back();
                if (!fresh)
                    co_return fresh.error();
                at.emplace(std::move(*fresh));
            }
            bool may_go_another_way = false;
            auto done = co_await complete(*at, may_go_another_way);
            if (done || !may_go_another_way)
                co_return done;
            // The authorization is invalid now; only a new order makes another one (RFC 8555 7.1.6).
            tell_(done.error().what + "; trying another challenge");
        }
    }

private:
    // An order at the CA with the key that its certificate will have.
    struct placed {
        std::string url;
        order state;
        private_key_ptr key;
        time_point created;
    };

    refusal refused(std::string_view phase, std::string what) const
    {
        return {failure_class::transient, std::string(phase) + ": " + ca_.ca().directory + ": " + std::move(what)};
    }

    // The order cannot be read or written here.
    refusal not_kept(const failure& why) const
    {
        refusal ours = refused("order", why.what);
        ours.is_ours = true;
        return ours;
    }

    // By us; what replaces another one in time (RFC 9773 5) is not refused for its number by the CA either.
    [[nodiscard]] bool is_counted() const noexcept { return wanted_.replaces.empty() && !wanted_.is_asked_for; }

    // Whether our own limits let a certificate be asked for.
    [[nodiscard]] awaitable<reply<>> check_certificate()
    {
        if (!is_counted())
            co_return reply<>();
        auto may = co_await allowance_.check_certificate();
        co_return may;
    }

    [[nodiscard]] environment& world() const noexcept { return ca_.world(); }

    // The order of an attempt before this one, if it can still lead somewhere.
    [[nodiscard]] awaitable<reply<std::optional<placed>>> resume()
    {
        auto found = co_await load_order(storage_, wanted_.id);
        if (!found)
            co_return not_kept(found.error());
        std::optional<kept_order>& kept = *found;
        // That of another CA, which may be asked again, is kept until there is one here.
        if (kept && kept->about.directory != ca_.ca().directory)
            co_return std::optional<placed>();
        const bool fits = kept && !led_to(*kept, wanted_.present) && kept->about.account == by_.url
                          && same_identifiers(kept->about.names, wanted_.names)
                          && kept->about.profile == wanted_.profile;
        if (fits) {
            auto state = co_await read_order(kept->about.url);
            const time_point now = world().now();
            // The CA cannot be asked: the order stays for the next attempt, unless that has been so for long.
            if (!state && says_nothing(state.error()) && now < kept->about.created + longest_silence)
                co_return state.error();
            const bool is_open = state && state->status != order_status::invalid
                                 && (!state->expires || *state->expires > now);
            const bool leads_on = is_open && !is_stuck(state->status, kept->about.created, wanted_.life, now);
            if (leads_on && same_identifiers(state->identifiers, wanted_.names)) {
                tell_("going on with order " + kept->about.url);
                co_return placed{kept->about.url, std::move(*state), std::move(kept->key), kept->about.created};
            }
        }
        co_await forget_order(storage_, wanted_.id);
        co_return std::optional<placed>();
    }

    // RFC 8555 7.4.
    [[nodiscard]] awaitable<reply<placed>> place_order()
    {
        std::string payload = new_order_payload(wanted_.names, wanted_.profile, wanted_.replaces);
        auto answer = co_await ca_.post(&directory::new_order, std::move(payload), by_, "order");
        // RFC 9773 5: a predecessor that this CA does not know, or that has a successor, must not stop the order.
        if (!answer && !wanted_.replaces.empty() && may_be_for_replaces(answer.error(), wanted_.is_again)) {
            tell_("an order that replaces a certificate is refused: " + describe(answer.error().why)
                  + "; it is repeated without");
            wanted_.replaces.clear();
            const auto may = co_await check_certificate();
            if (!may)
                co_return answer.error();
            payload = new_order_payload(wanted_.names, wanted_.profile);
            answer = co_await ca_.post(&directory::new_order, std::move(payload), by_, "order");
        }
        if (!answer)
            co_return answer.error();
        const std::string url = url_in(*answer, answer->field("Location"));
        auto state = parse_order(answer->body);
        if (!state)
            co_return refused("order", state.error().what);
        if (url.empty())
            co_return refused("order", "the answer names no order URL (Location); use another CA if that lasts");
        if (!same_identifiers(state->identifiers, wanted_.names))
            co_return refused("order", "it is for other names than were asked for; use another CA if that lasts");
        tell_("order " + url + (state->replaces.empty() ? "" : ", which replaces " + state->replaces));

        auto key = private_key::generate(wanted_.key);
        if (!key)
            co_return refused("key", key.error().what);
        const time_point now = world().now();
        kept_order kept{
            {ca_.ca().directory, by_.url, url, wanted_.replaces, wanted_.names, now, wanted_.profile}, *key};
        const auto stored = co_await store_order(storage_, wanted_.id, std::move(kept));
        if (!stored)
            co_return not_kept(stored.error());
        co_return placed{url, std::move(*state), std::move(*key), now};
    }

    // From an order in any state to its certificate.
    [[nodiscard]] awaitable<reply<std::optional<issued>>> complete(placed& at, bool& may_go_another_way)
    {
        const bool is_proven = at.state.status != order_status::pending; // by an attempt before this one
        if (!is_proven) {
            auto proven = co_await prover_.prove(at.state);
            if (!proven) {
                may_go_another_way = proven.error().try_another_way;
                if (proven.error().order_is_lost)
                    co_await forget_order(storage_, wanted_.id);
                co_return std::move(proven.error().why);
            }
            auto ready = co_await wait_while(at, order_status::pending);
            if (!ready)
                co_return ready.error();
        }
        if (at.state.status == order_status::ready) {
            auto finalized = co_await finalize(at);
            if (!finalized)
                co_return finalized.error();
        }
        if (is_proven)
            co_await prover_.take_down_standing(wanted_.names);
        if (at.state.status == order_status::processing) {
            tell_("the CA is at work on the certificate");
            if (wanted_.let_others)
                co_await wanted_.let_others();
            auto valid = co_await wait_while(at, order_status::processing);
            if (!valid)
                co_return valid.error();
            if (wanted_.take_again) {
                const bool is_ours = co_await wanted_.take_again();
                if (!is_ours)
                    co_return std::optional<issued>();
            }
        }
        if (at.state.status == order_status::pending || at.state.status == order_status::ready) {
            co_await allowance_.give_certificate_back();
            co_return refused("order", goes_back);
        }
        if (at.state.status != order_status::valid) {
            co_await forget_order(storage_, wanted_.id);
            const problem why = at.state.error.value_or(problem{});
            refusal no = refused("order", at.state.error ? describe(why) + "; " + std::string(cure_of(why))
                                                         : "it is invalid, and the CA does not say why; the next "
                                                           "attempt places another, there is nothing to do");
            no.kind = at.state.error ? class_of(why) : failure_class::transient;
            no.why = why;
            co_return no;
        }
        auto done = co_await download(at);
        if (!done)
            co_return done.error();
        co_return std::optional<issued>(std::move(*done));
    }

    // Of an order that is not further than before.
    static constexpr const char* goes_back =
        "the order does not go on; the next attempt asks again, there is nothing to do";

    // What the CA said, and not that it could not be asked.
    refusal unreadable(unsigned status, std::string what) const
    {
        refusal why = refused("order", std::move(what));
        why.why.status = status;
        return why;
    }

    [[nodiscard]] awaitable<reply<order>> read_order(std::string url)
    {
        const auto answer = co_await ca_.post(url, std::string(), by_, "order");
        if (!answer)
            co_return answer.error();
        last_pause_ = retry_after(*answer, world().now());
        auto state = parse_order(answer->body);
        if (!state)
            co_return unreadable(answer->status, state.error().what);
        co_return std::move(*state);
    }

    // RFC 8555 7.5.1, 7.4: the order is read until it is in another state, but not before the CA said.
    [[nodiscard]] awaitable<reply<>> wait_while(placed& at, order_status state)
    {
        poll_pause pause;
        bool is_known = state == order_status::processing && last_pause_; // it was just read
        for (;; is_known = false) {
            if (!is_known) {
                auto now = co_await read_order(at.url);
                if (!now)
                    co_return now.error();
                at.state = std::move(*now);
            }
            if (at.state.status != state)
                co_return reply<>();
            const auto next = pause.next(world().now(), last_pause_);
            if (next > wanted_.deadline) {
                // All names are proven and it does not go on: a new order may. One that is being issued is waited for.
                if (state == order_status::pending) {
                    co_await forget_order(storage_, wanted_.id);
                    co_return refused("order", "it is still pending although all names are proven; the next attempt "
                                               "places another one, there is nothing to do");
                }
                refusal later = refused("order", "it is still " + std::string(name_of(state))
                                                     + "; the next attempt goes on with it, there is nothing to do");
                later.is_under_way = true;
                later.retry_after = last_pause_;
                co_return later;
            }
            co_await world().sleep_until(next);
        }
    }

    // RFC 8555 7.4: the request for the certificate.
    [[nodiscard]] awaitable<reply<>> finalize(placed& at)
    {
        std::vector<std::string> names;
        std::vector<byte_vector> addresses;
        for (const identifier& each : wanted_.names) {
            if (each.type == identifier_type::dns) {
                names.push_back(each.value);
            } else {
                const cert::ip_address address(each.value);
                addresses.emplace_back(address.bytes().begin(), address.bytes().end());
            }
        }
        const auto csr = make_csr(*at.key, names, addresses);
        if (!csr)
            co_return refused("finalize", csr.error().what);
        const auto taken = co_await allowance_.take_certificate();
        if (!taken && is_counted())
            co_return taken.error();
        tell_("asking for the certificate");
        std::string payload = finalize_payload(*csr);
        const std::string url = at.state.finalize;
        const auto answer = co_await ca_.post(url, std::move(payload), by_, "finalize");
        // Its answer may be lost though it had effect, and what it says of the order is only half of it: the order
        // itself tells.
        if (!answer && answer.error().why.status != 0 && answer.error().why.type != "orderNotReady") {
            co_await allowance_.give_certificate_back();
            if (answer.error().kind == failure_class::permanent && !says_nothing(answer.error()))
                co_await forget_order(storage_, wanted_.id);
            co_return answer.error();
        }
        if (is_to_wait(answer)) {
            at.state.status = order_status::processing;
            co_return reply<>();
        }
        auto state = co_await read_order(at.url);
        if (!state)
            co_return state.error();
        at.state = std::move(*state);
        const bool goes_on = at.state.status != order_status::ready && at.state.status != order_status::pending;
        if (!goes_on) {
            co_await allowance_.give_certificate_back();
            if (!answer)
                co_return answer.error();
            co_return refused("finalize", goes_back);
        }
        co_return reply<>();
    }

    // RFC 8555 7.4: of a request for the certificate, whether the CA is at work on it and says when to look.
    [[nodiscard]] bool is_to_wait(const reply<http::outbound_response>& answer)
    {
        const auto state = answer ? parse_order(answer->body) : outcome<order>(failure{});
        if (!state || state->status != order_status::processing)
            return false;
        last_pause_ = retry_after(*answer, world().now());
        return last_pause_.has_value();
    }

    // RFC 8555 7.4.2.
    [[nodiscard]] awaitable<reply<issued>> download(placed& at)
    {
        const auto chain = co_await download_chain(ca_, by_, at.state.certificate, wanted_.preferred_chain);
        if (!chain) {
            const bool is_gone = !says_nothing(chain.error());
            co_return co_await not_downloaded(at, chain.error(), is_gone);
        }
        if (!wanted_.preferred_chain.empty() && !ends_at(*chain, wanted_.preferred_chain))
            tell_("no chain of this CA ends at '" + wanted_.preferred_chain + "'; its default is used");
        secret_text key_pem = at.key->to_pem();
        auto made = cert::make_credential(*chain, as_text(key_pem), {.from = cert::source::acme});
        if (!made && made.error().code == errc::bad_pem) { // cut short on the way, or a page of a proxy
            refusal why = refused("certificate", "what came is no certificate: " + made.error().what);
            co_return co_await not_downloaded(at, std::move(why), true);
        }
        const char* const of_other_key = "it has another key than it was asked for with; use another CA if that lasts";
        const bool is_of_other_key = !made && made.error().code == errc::key_mismatch;
        const std::string fault = is_of_other_key                     ? of_other_key
                                  : !made                             ? made.error().what
                                  : !holds_only_certificates(*chain) ? "there is more than certificates in it"
                                                                     : fault_of(**made, wanted_.names, world().now());
        if (!fault.empty()) {
            co_await forget_order(storage_, wanted_.id);
            refusal useless = refused("certificate", "what came cannot be used: " + fault);
            const bool came_late = made && (*made)->about.not_after <= world().now();
            if (!came_late) // each one counts at the CA, which will not do better at once
                useless.kind = failure_class::permanent;
            co_return useless;
        }
        co_return issued{leaf_first(*chain, **made), std::move(key_pem), std::move(*made), by_.url};
    }

    // It is issued, and counts at the CA: what does not come is asked for again, for as long as that makes sense where
    // it `is_gone`.
    [[nodiscard]] awaitable<refusal> not_downloaded(const placed& at, refusal why, bool is_gone)
    {
        const auto patience = std::min<std::chrono::milliseconds>(std::chrono::hours(1), wanted_.life / 10);
        if (is_gone && world().now() >= at.created + patience)
            co_await forget_order(storage_, wanted_.id);
        else if (why.kind == failure_class::permanent)
            why.kind = failure_class::transient;
        co_return why;
    }

    client& ca_;
    storage& storage_;
    prover prover_;
    order_allowance allowance_;
    const signer by_;
    issue_request wanted_;
    const step_teller tell_;
    std::optional<std::chrono::seconds> last_pause_;
};

}

#endif
