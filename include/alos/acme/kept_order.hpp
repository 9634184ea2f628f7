// An order under way as the storage has it, so that whoever works on the certificate next, after a crash too, goes on
// with it: the documents "order/<id>" and "order/<id>.key", the key that its certificate will have.
#ifndef ALOS_ACME_KEPT_ORDER_HPP
#define ALOS_ACME_KEPT_ORDER_HPP

#include <alos/acme/objects.hpp>
#include <alos/acme/record.hpp>
#include <alos/acme/storage.hpp>
#include <alos/cert/credential.hpp>
#include <alos/crypto/botan_key.hpp>
#include <alos/crypto/botan_x509.hpp>
#include <alos/crypto/pem.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace alos::inline v0::acme {

struct kept_order {
    order_record about;
    private_key_ptr key;
};

namespace detail {

inline private_key_ptr read_order_key(std::string_view pem)
{
    const auto blocks = parse_pem(pem);
    if (!blocks || blocks->empty())
        return nullptr;
    const auto key = parse_private_key(blocks->front(), {}, {});
    return key ? *key : nullptr;
}

}

// Whether it led to the present certificate, null if there is none, and a crash kept it from being forgotten.
[[nodiscard]] inline bool led_to(const kept_order& one, const cert::credential_ptr& present)
{
    if (!present)
        return false;
    const auto leaf = parse_certificate(present->chain.front());
    return leaf && belongs_to(*one.key, *leaf);
}

// Where an order was placed there may be nobody any more: a CA moves.
inline constexpr std::chrono::hours longest_silence{2};

// Whether an order leads nowhere, which a CA may keep without end (RFC 8555 7.1.3); not of one that is done. `life` is
// that of the certificate.
[[nodiscard]] inline bool is_stuck(order_status state, time_point created, std::chrono::milliseconds life,
                                   time_point now)
{
    using std::chrono::days, std::chrono::milliseconds;
    const auto patience = state == order_status::processing
                              ? std::clamp<milliseconds>(life, days(1), days(7))
                              : std::min<milliseconds>(days(1), life / 4); // more than an attempt
    return state != order_status::valid && now >= created + patience;
}

// `kept` outlives these; `id` is that of the certificate.

// Success without a value when there is none that can be used.
[[nodiscard]] inline awaitable<outcome<std::optional<kept_order>>> load_order(storage& kept, std::string id)
{
    const auto text = co_await kept.load("order/" + id);
    const auto pem = co_await kept.load("order/" + id + ".key");
    if (!text || !pem)
        co_return text ? pem.error() : text.error();
    if (!text->has_value() || !pem->has_value())
        co_return std::optional<kept_order>();
    auto about = parse_order_record(as_text((*text)->text));
    auto key = detail::read_order_key(as_text((*pem)->text));
    if (!about || !key)
        co_return std::optional<kept_order>();
    co_return kept_order{std::move(*about), std::move(key)};
}

[[nodiscard]] inline awaitable<outcome<>> store_order(storage& kept, std::string id, kept_order what)
{
    secret_text pem = what.key->to_pem();
    const auto kept_key = co_await kept.store("order/" + id + ".key", std::move(pem), std::nullopt);
    if (!kept_key)
        co_return kept_key.error();
    secret_text text = to_secret_text(to_json(what.about));
    const auto stored = co_await kept.store("order/" + id, std::move(text), std::nullopt);
    if (!stored)
        co_return stored.error();
    co_return outcome<>();
}

// After success, or when it cannot lead to a certificate any more.
[[nodiscard]] inline awaitable<> forget_order(storage& kept, std::string id)
{
    static_cast<void>(co_await kept.erase("order/" + id));
    static_cast<void>(co_await kept.erase("order/" + id + ".key"));
}

}

#endif
