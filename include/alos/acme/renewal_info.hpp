// Asks the CA that issued a certificate when it wants it renewed, and reads what it says to that. RFC 9773 4, 5.
#ifndef ALOS_ACME_RENEWAL_INFO_HPP
#define ALOS_ACME_RENEWAL_INFO_HPP

#include <alos/acme/certificate_id.hpp>
#include <alos/acme/client.hpp>
#include <alos/acme/renewal.hpp>
#include <alos/cert/credential.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace alos::inline v0::acme {

// What came of it. Without a window `how` says why.
struct window_reply {
    window_answer how = window_answer::long_term_error;
    std::optional<renewal_window> window{};
    std::string explanation_url{};
    std::optional<std::chrono::seconds> retry_after{};
    bool is_offered = true; // the CA has renewal information at all
};

// RFC 9773 4.1. `ca` outlives it.
[[nodiscard]] inline awaitable<window_reply> ask_for_window(client& ca, cert::credential_ptr about)
{
    const auto id = ari_certificate_id(byte_view(about->chain.front()));
    if (!id)
        co_return window_reply{};
    // Note: a week old is new enough for what is asked every day; where it is of no use any more, it is forgotten.
    const auto known = co_await ca.find_directory(std::chrono::hours(24 * 7));
    if (!known)
        co_return window_reply{.how = window_answer::temporary_error, .retry_after = known.error().retry_after};
    const std::string& base = (*known)->renewal_info;
    if (base.empty())
        co_return window_reply{.is_offered = false};
    std::string url = base + (base.ends_with('/') ? "" : "/") + *id;
    const auto answer = co_await ca.get(std::move(url), "renewal information");
    if (!answer) {
        ca.forget_directory(); // it may have moved
        const unsigned status = answer.error().why.status;
        const bool is_lasting = status >= 400 && status < 500 && status != 429;
        co_return window_reply{.how = is_lasting ? window_answer::long_term_error : window_answer::temporary_error,
                               .retry_after = answer.error().retry_after};
    }
    const auto read = parse_renewal_info(answer->body);
    if (!read) {
        ca.forget_directory();
        co_return window_reply{};
    }
    co_return window_reply{.how = window_answer::received,
                           .window = renewal_window{read->start, read->end},
                           .explanation_url = read->explanation_url,
                           .retry_after = retry_after(*answer, ca.world().now())};
}

// RFC 9773 5: whether an order may be refused for what it replaces, and not for who asks, or how, or how often.
// `is_again`: the attempt before it failed, too. Note: some CAs say "unauthorized" of a certificate that another
// account ordered, and some fail over one that they do not know.
[[nodiscard]] inline bool may_be_for_replaces(const refusal& why, bool is_again) noexcept
{
    constexpr std::array<std::string_view, 6> others = {"accountDoesNotExist",     "badNonce",
                                                        "badPublicKey",            "badSignatureAlgorithm",
                                                        "externalAccountRequired", "userActionRequired"};
    const problem& said = why.why;
    return !why.is_unsent && said.status >= 400 && (said.status < 500 || is_again)
           && why.kind != failure_class::throttled && std::ranges::count(others, said.type) == 0;
}

}

#endif
