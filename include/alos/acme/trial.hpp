// Whether the answer to a challenge would be seen, tried without a CA: one that nobody asked for is put where answers
// stand and fetched by the name, as a CA does. Who answers may be this process, or another on the same storage.
// RFC 8555 8.3, RFC 8737 3.
#ifndef ALOS_ACME_TRIAL_HPP
#define ALOS_ACME_TRIAL_HPP

#include <alos/acme/base64url.hpp>
#include <alos/acme/self_check.hpp>
#include <alos/http/clean_up.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

namespace alos::inline v0::acme {

// One look, by http-01 or tls-alpn-01.
struct trial {
    challenge_type type = challenge_type::http_01; // dns_01 may not be given
    identifier about; // no wildcard
    std::uint16_t port = 80;
    std::chrono::milliseconds patience = std::chrono::seconds(3); // for other processes to notice it
};

namespace detail {

[[nodiscard]] inline awaitable<std::string> begin_trial(environment& world, board& answers, posting answer,
                                                        std::uint16_t port, time_point end)
{
    // What http-01 wants is answered by this process even if it cannot be stored.
    static_cast<void>(co_await answers.post(answer, nullptr, end));
    auto seen = co_await look_until(world, answer, port, end);
    co_return seen;
}

[[nodiscard]] inline awaitable<> end_trial(board& answers, posting answer)
{
    static_cast<void>(co_await answers.take_down(answer, nullptr));
}

}

// Empty when the answer is there; else what is instead, in one sentence. `kept` is the storage of `answers`.
[[nodiscard]] inline awaitable<std::string> try_answer(environment& world, storage& kept, board& answers, trial what)
{
    std::array<std::uint8_t, 24> random{};
    world.random(random);
    const std::string token = to_base64url(random);
    const posting answer{what.type, what.about, token, token + ".trial"};
    // A name has room for one answer of this kind: that of an order which is under way must stay.
    if (what.type == challenge_type::tls_alpn_01) {
        const auto taken = co_await kept.load("challenge/tls-alpn-01/" + what.about.value);
        if (taken && taken->has_value() && board::answer_in(as_text((*taken)->text), world.now()))
            co_return "an order is under way for it, look again later";
    }
    auto work = detail::begin_trial(world, answers, answer, what.port, world.now() + what.patience);
    const auto end = [&](const std::string*) { return detail::end_trial(answers, answer); };
    auto seen = co_await with_clean_up(std::move(work), end);
    co_return seen;
}

}

#endif
