// What a CA's advice on renewal does to a certificate: when it is renewed, and when the CA is asked again; and what the
// CA is told when it is. RFC 9773 4.2, 4.3, 5. No clock and no I/O is in it.
#ifndef ALOS_ACME_ADVICE_HPP
#define ALOS_ACME_ADVICE_HPP

#include <alos/acme/due.hpp>
#include <alos/acme/event.hpp>
#include <alos/acme/renewal_info.hpp>

#include <algorithm>
#include <chrono>
#include <string>

namespace alos::inline v0::acme {

// RFC 9773 4.2: goes by the window from now on. `of` has a certificate.
inline void follow_window(managed_certificate& of, const renewal_window& window, const std::string& explanation_url,
                          time_point now, double random, const event_teller& tell)
{
    const validity life = *of.life();
    const auto before = of.state.advice;
    of.state.advice = suggest(before, window, life, random);
    if (before && of.state.advice && of.state.advice->chosen != before->chosen)
        tell({event_kind::window_changed, of.id,
              "the CA wants it renewed between " + format_rfc3339(window.start) + " and " + format_rfc3339(window.end)
                  + (explanation_url.empty() ? "" : ", see " + explanation_url)});
    // A CA that revokes all that it issues would be asked in a loop.
    const bool is_again = of.about.because == "revoked" && now < cool_down_end(of.about.obtained, life);
    if (is_revocation(window, life, now) && !is_forced(of) && !is_again) {
        tell({event_kind::revoked, of.id, "the CA wants it replaced now: it is revoked, or will be"});
        force(of, "revoked");
    }
    of.state.check_failures = 0;
}

// RFC 9773 4: what came of asking the CA. `random`, from [0, 1), is used once.
inline void take_advice(managed_certificate& of, const window_reply& got, time_point now, double random,
                        const event_teller& tell)
{
    const validity life = *of.life();
    of.state.asker = got.window || !got.is_offered ? of.process : 0;
    if (!got.is_offered) {
        of.state.advice.reset();
        // Note: after the end of the certificate, a longer wait is taken for that of a wrong clock.
        of.state.next_check = now + std::clamp<std::chrono::milliseconds>(lifetime(life) / 10, std::chrono::days(1),
                                                                          longest_retry_after);
        return;
    }
    if (got.window)
        follow_window(of, *got.window, got.explanation_url, now, random, tell);
    if (got.how == window_answer::temporary_error)
        ++of.state.check_failures;
    of.state.next_check = next_check(got.how, of.state.check_failures, now, life, got.retry_after, random);
}

// RFC 9773 5: what a CA with renewal information may know as replaced; only the one that issued it, and that account.
// Empty: nothing.
[[nodiscard]] inline std::string predecessor(const managed_certificate& of, const std::string& directory,
                                             const std::string& account)
{
    const bool is_its = of.credential && of.about.directory == directory && of.about.account == account;
    if (!is_its)
        return {};
    const auto id = ari_certificate_id(byte_view(of.credential->chain.front()));
    return id ? *id : std::string();
}

}

#endif
