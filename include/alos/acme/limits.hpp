// How much may still be asked of one CA, so that its own limits are never met: token buckets in the storage, shared
// with the other processes and kept over restarts, as a program that is started again and again must not empty one each
// time.
#ifndef ALOS_ACME_LIMITS_HPP
#define ALOS_ACME_LIMITS_HPP

#include <alos/acme/base64url.hpp>
#include <alos/acme/config.hpp>
#include <alos/acme/record.hpp>
#include <alos/acme/storage.hpp>
#include <alos/acme/token_bucket.hpp>
#include <alos/crypto/botan_x509.hpp>
#include <alos/http/url.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// What belongs to one CA is kept under: its host, so that people recognise it, and what makes it unique. `of` tells
// apart what there is several of: an e-mail address, what is limited.
[[nodiscard]] inline std::string storage_id(const std::string& directory, const std::string& of = {})
{
    const auto where = http::parse_url(directory);
    const auto digest = sha256_of(as_bytes(directory + "\n" + of));
    std::string id = where ? where->host : "ca";
    std::ranges::replace(id, ':', '_');
    return id + "-" + to_base64url(byte_view(digest).first(9));
}

using limit_teller = std::function<void(std::string)>;

// One bucket: the document "limits/<id>", which has the time at which it is full again, how fast it fills, when that
// was written, and what the last one was taken for. A storage that cannot keep it is no reason not to renew.
class kept_bucket {
public:
    // Both outlive it. `tell` hears of a document that cannot be read; it may be empty.
    kept_bucket(environment& world, storage& kept, std::string id, rate limit, limit_teller tell)
        : world_(world), storage_(kept), document_("limits/" + std::move(id)), limit_(limit), tell_(std::move(tell))
    {
    }

    // Nothing: one was taken. Otherwise when one will be there. `what` it is for is kept for last_taken_for().
    [[nodiscard]] awaitable<std::optional<time_point>> take(std::string what = {})
    {
        const change taking = [](token_bucket& bucket, time_point now) { return bucket.take(now); };
        return apply(taking, std::move(what));
    }

    // One that was taken was not needed.
    [[nodiscard]] awaitable<> give_back()
    {
        const change giving = [](token_bucket& bucket, time_point) {
            bucket.give_back();
            return std::optional<time_point>();
        };
        static_cast<void>(co_await apply(giving));
    }

    // When one will be there; nothing: now.
    [[nodiscard]] awaitable<std::optional<time_point>> next()
    {
        const change asking = [](token_bucket& bucket, time_point now) { return bucket.next(now); };
        return apply(asking);
    }

    // Empty when nobody said.
    [[nodiscard]] awaitable<std::string> last_taken_for()
    {
        const auto found = co_await storage_.load(document_);
        co_return taken_for(found);
    }

private:
    // When it can be done; nothing: it is.
    using change = std::optional<time_point> (*)(token_bucket&, time_point now);

    [[nodiscard]] awaitable<std::optional<time_point>> apply(change what, std::string taken = {})
    {
        if (limit_.burst == 0)
            co_return std::nullopt;
        for (int tries = 0; tries < 5; ++tries) {
            const auto found = co_await storage_.load(document_);
            const std::uint64_t version = found && found->has_value() ? (*found)->version : 0;
            if (version != 0 && !detail::read_object_text(as_text((*found)->text))) {
                const auto aside = co_await storage_.move_aside(document_, version);
                if (aside && tell_)
                    tell_("how much was asked of the CA cannot be read, and is counted anew; it is now in " + *aside);
                if (aside)
                    continue;
            }
            const time_point now = world_.now();
            bool was_ahead = false;
            token_bucket bucket = read(found, now, was_ahead);
            const time_point before = std::max(now, bucket.full_at());
            const auto later = what(bucket, now);
            // Note: what was written by a clock that was ahead is written again, or else it would never fill.
            if (!was_ahead && std::max(now, bucket.full_at()) == before)
                co_return later;
            boost::json::object out;
            detail::put_time(out, "fullAt", bucket.full_at());
            out["refill"] = limit_.refill.count();
            detail::put_time(out, "at", now);
            if (const std::string last = taken.empty() ? taken_for(found) : taken; !last.empty())
                out["for"] = last;
            const std::string text = boost::json::serialize(out);
            secret_text bytes(text.begin(), text.end());
            const auto stored = co_await storage_.store(document_, std::move(bytes), version);
            if (stored || stored.error().code != errc::conflict)
                co_return later;
        }
        co_return std::nullopt;
    }

    static std::string taken_for(const outcome<std::optional<document>>& found)
    {
        if (!found || !found->has_value())
            return {};
        const auto in = detail::read_object_text(as_text((*found)->text));
        return in ? detail::text_of(*in, "for") : std::string();
    }

    // `was_ahead`: the clock that wrote it was; as many are missing as were then.
    [[nodiscard]] token_bucket read(const outcome<std::optional<document>>& found, time_point now,
                                    bool& was_ahead) const
    {
        time_point full_at{};
        if (found && found->has_value()) {
            if (const auto in = detail::read_object_text(as_text((*found)->text))) {
                full_at = detail::time_of(*in, "fullAt");
                const time_point at = detail::time_of(*in, "at");
                was_ahead = at > now + clock_step;
                const std::uint64_t refill = detail::number_of(*in, "refill");
                // As many are missing as before, whatever the time was that each of them takes.
                const double most = static_cast<double>(refill) * limit_.burst; // that it can miss, in seconds
                const std::chrono::milliseconds left = detail::between(was_ahead ? at : now, full_at);
                if (left <= left.zero())
                    full_at = {};
                else if (refill != 0 && std::chrono::duration<double>(left).count() <= most)
                    full_at = now + detail::scaled(left, static_cast<double>(limit_.refill.count())
                                                             / static_cast<double>(refill));
            }
        }
        return {limit_.burst, limit_.refill, full_at};
    }

    static constexpr std::chrono::minutes clock_step{5}; // by which clocks differ that are right

    environment& world_;
    storage& storage_;
    const std::string document_;
    const rate limit_;
    const limit_teller tell_;
};

// Those of one CA, as its settings are.
class limits {
public:
    // The first two outlive it. See kept_bucket for `tell`.
    limits(environment& world, storage& kept, const certificate_authority& of, limit_teller tell = {})
        : world_(world), storage_(kept), directory_(of.directory), orders_(of.orders), accounts_(of.accounts),
          certificates_(of.certificates), failed_validations_(of.failed_validations), tell_(std::move(tell))
    {
    }

    [[nodiscard]] kept_bucket orders() const { return bucket("orders", orders_); }
    [[nodiscard]] kept_bucket accounts() const { return bucket("accounts", accounts_); }

    // For exactly these names, whatever the type of key. `life` is that of the present certificate, or what is usual.
    [[nodiscard]] kept_bucket certificates(const std::vector<identifier>& names, std::chrono::milliseconds life) const
    {
        std::vector<std::string> sorted = values_of(names);
        std::ranges::sort(sorted);
        std::string of = "certificates";
        for (const std::string& each : sorted)
            of.append("\n").append(each);
        return bucket(of, in_proportion(certificates_, life, 20));
    }

    [[nodiscard]] kept_bucket failed_validations(const identifier& of, std::chrono::milliseconds life) const
    {
        return bucket("failures\n" + of.value, in_proportion(failed_validations_, life, 50));
    }

private:
    [[nodiscard]] kept_bucket bucket(const std::string& of, rate limit) const
    {
        return {world_, storage_, storage_id(directory_, of), limit, tell_};
    }

    // Certificates that live for less than five days are from CAs that allow more.
    static rate in_proportion(rate usual, std::chrono::milliseconds life, int part) noexcept
    {
        if (life < std::chrono::days(5))
            usual.refill = std::min(usual.refill, std::chrono::ceil<std::chrono::seconds>(life / part));
        return usual;
    }

    environment& world_;
    storage& storage_;
    const std::string directory_;
    const rate orders_;
    const rate accounts_;
    const rate certificates_;
    const rate failed_validations_;
    const limit_teller tell_;
};

}

#endif
