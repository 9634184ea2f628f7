// Who reads certificates, and works on them at their CAs.
#ifndef ALOS_EXAMPLES_ALOS_ACME_WORKSHOP_HPP
#define ALOS_EXAMPLES_ALOS_ACME_WORKSHOP_HPP

#include "session.hpp"

#include <alos/acme/issue.hpp>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace command {

// A renewer for each CA and profile.
class workshop {
public:
    explicit workshop(session& in)
        : keeper(in.world, in.storage, [this](acme::event what) { tell(what); }, [](acme::managed_certificate&) {}),
          in_(in)
    {
    }

    workshop(const workshop&) = delete;
    workshop& operator=(const workshop&) = delete;

    acme::certificate_keeper keeper;

    // Opens the ports, once. Whether any challenge can be answered.
    [[nodiscard]] awaitable<bool> open_ports()
    {
        if (!are_ports_open_) {
            are_ports_open_ = true;
            challenges_ = co_await in_.open_ports();
        }
        co_return !challenges_.empty();
    }

    // After open_ports(), where challenges are needed. Fails where the settings for that CA are no good.
    [[nodiscard]] alos::outcome<acme::renewer*> renewer_for(const std::string& directory, const std::string& profile)
    {
        auto& place = renewers_[{directory, profile}];
        if (place)
            return place.get();
        auto made = std::make_unique<acme::renewer>(in_.world, in_.storage, in_.board, keeper,
                                                    [this](acme::event what) { tell(what); });
        auto settings = std::make_shared<acme::config>();
        settings->cas = {in_.authority(directory)};
        settings->cas.front().profile = profile;
        settings->challenges = are_ports_open_ ? challenges_ : in_.chosen.challenges;
        settings->dns = in_.solver;
        settings->http01_port = in_.chosen.http01_port;
        settings->tls_alpn01_port = in_.chosen.tls_alpn01_port;
        if (auto good = made->configure(std::move(settings)); !good)
            return good.error();
        place = std::move(made);
        return place.get();
    }

    // Works on what is due; empty when that is done, else why not.
    [[nodiscard]] awaitable<std::string> finish(const std::string& directory, const std::string& profile,
                                                acme::managed_certificate& one)
    {
        const auto provable = in_.check_provable(one.names);
        if (!provable)
            co_return provable.error().what;
        const bool has_way = co_await open_ports();
        if (!has_way)
            co_return "none of the chosen challenges can be answered, see above";
        const auto by = renewer_for(directory, profile);
        if (!by)
            co_return by.error().what;
        const std::string error = co_await finish(**by, one);
        co_return error;
    }

    // The same whatever the time. Where nothing else asked for it, a failure is the end of that: neither a server on
    // the folder nor the next `renew` goes on with it; but with what the CA is at work on they do.
    [[nodiscard]] awaitable<std::string> finish_by_force(const std::string& directory, const std::string& profile,
                                                         acme::managed_certificate& one)
    {
        const auto now = in_.world.now();
        const bool is_only_wished = one.state.failures == 0 && !is_forced(one) && renewal_due(one, now) > now;
        force(one, "forced");
        const std::string error = co_await finish(directory, profile, one);
        if (error.empty() || !is_only_wished || (one.last_refusal && one.last_refusal->is_under_way))
            co_return error;
        one.state.forced = 0;
        one.state.forced_why.clear();
        one.state.failures = 0;
        one.state.next_attempt = {};
        if (one.last_refusal) // it was kept
            co_await keeper.save(one);
        co_return error;
    }

private:
    static constexpr std::chrono::minutes patience{15};

    [[nodiscard]] awaitable<std::string> finish(acme::renewer& by, acme::managed_certificate& one)
    {
        const std::uint64_t before = one.generation;
        const auto end = in_.world.now() + patience;
        for (;;) {
            one.last_refusal.reset();
            co_await by.work(one);
            const auto now = in_.world.now();
            if (one.last_refusal) {
                const auto again = std::max<acme::time_point>(renewal_due(one, now), one.not_before);
                const bool is_throttled = one.last_refusal->kind == acme::failure_class::throttled && again > now;
                co_return one.last_refusal->what
                    + (is_throttled ? "; again at " + acme::format_rfc3339(again) : std::string());
            }
            if (one.generation > before || (renewal_due(one, now) > now && one.not_before <= now))
                co_return "";
            const auto next = std::max<acme::time_point>(one.not_before, now + std::chrono::seconds(1));
            if (next > end)
                co_return "another process works on it; look again later";
            in_.say(one.id + ": waiting for another process that works on it, or until the CA may be asked");
            co_await in_.world.sleep_until(next);
        }
    }

    void tell(const acme::event& what)
    {
        // What fails is told at the end.
        if (what.kind != acme::event_kind::renewal_failed)
            in_.say((what.id.empty() ? "" : what.id + ": ") + what.message);
    }

    session& in_;
    bool are_ports_open_ = false;
    std::vector<challenge_type> challenges_; // that can be answered
    std::map<std::pair<std::string, std::string>, std::unique_ptr<acme::renewer>> renewers_; // by directory and profile
};

}

#endif
