// What one attempt takes of our own limits at its CA: an order when that is placed, and a certificate for its names
// when that is asked for.
#ifndef ALOS_ACME_ORDER_ALLOWANCE_HPP
#define ALOS_ACME_ORDER_ALLOWANCE_HPP

#include <alos/acme/client.hpp>
#include <alos/acme/limits.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

class order_allowance {
public:
    // `world` and what `allowed` refers to outlive it. `life` is that of the present certificate.
    order_allowance(environment& world, std::string directory, const limits& allowed,
                    const std::vector<identifier>& names, std::chrono::milliseconds life)
        : world_(world), directory_(std::move(directory)), orders_(allowed.orders()),
          certificates_(allowed.certificates(names, life))
    {
    }

    // Fails when a certificate for these names cannot be asked for yet.
    [[nodiscard]] awaitable<reply<>> check_certificate()
    {
        const auto later = co_await certificates_.next();
        if (later)
            co_return too_many(*later);
        co_return reply<>();
    }

    // Fails, with is_not_its_turn, when it has to wait; an attempt that is under way does not, in the middle.
    [[nodiscard]] awaitable<reply<>> take_order(bool is_under_way)
    {
        const auto later = co_await orders_.take();
        has_order_ = !later;
        if (later && !is_under_way)
            co_return not_its_turn(*later);
        co_return reply<>();
    }

    // None was placed.
    [[nodiscard]] awaitable<> give_order_back()
    {
        if (std::exchange(has_order_, false))
            co_await orders_.give_back();
    }

    // As check_certificate(). What fails has taken none, and may go on where the CA does not count either.
    [[nodiscard]] awaitable<reply<>> take_certificate()
    {
        const auto later = co_await certificates_.take();
        has_certificate_ = !later;
        if (later)
            co_return too_many(*later);
        co_return reply<>();
    }

    // None is issued.
    [[nodiscard]] awaitable<> give_certificate_back()
    {
        if (std::exchange(has_certificate_, false))
            co_await certificates_.give_back();
    }

private:
    [[nodiscard]] refusal wait(time_point later, std::string what) const
    {
        refusal why{failure_class::throttled, std::move(what)};
        why.is_ours = true;
        why.retry_after = std::chrono::ceil<std::chrono::seconds>(later - world_.now());
        return why;
    }

    [[nodiscard]] refusal too_many(time_point later) const
    {
        return wait(later, "order: " + directory_
                               + ": as many certificates were issued for these names as a CA allows: that is our own "
                                 "limit, `certificates` of this CA in the configuration; wait, or raise it there for a "
                                 "CA that allows more");
    }

    [[nodiscard]] refusal not_its_turn(time_point later) const
    {
        refusal why = wait(later, "waiting until more may be asked of " + directory_);
        why.is_not_its_turn = true;
        return why;
    }

    environment& world_;
    const std::string directory_;
    kept_bucket orders_;
    kept_bucket certificates_;
    bool has_order_ = false;
    bool has_certificate_ = false;
};

}

#endif
