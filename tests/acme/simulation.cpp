// Years in the life of certificates, in a hostile world, from one seed each: RFC 8555, RFC 9773, and the rules that an
// operator relies on. A failing seed prints itself; to live it again, every event shown:
// ALOS_TELL=1 acme_simulation <seed>.
#include "support/acme_member.hpp"
#include "support/dice.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using alos::acme::time_point;

namespace {

struct life {
    std::chrono::seconds validity;
    bool has_renewal_info;
    std::size_t members;
    bool prefers_tls_alpn;
    bool checks_itself;
};

class century {
public:
    explicit century(std::uint64_t seed)
        : dice_(seed), world_(dice_.next()), plan_(make_plan()), disk_(std::make_shared<test::simulated_disk>())
    {
        test::ca_settings settings;
        settings.lifetime = plan_.validity;
        settings.renewal_info = plan_.has_renewal_info;
        settings.renewal_retry_after = std::max<std::chrono::seconds>(60s, plan_.validity / 30);
        settings.authorization_reuse = dice_.chance(0.3) ? 7h : 0h;
        settings.longest_retry_after = std::max<std::chrono::seconds>(10s, plan_.validity / 100);
        settings.longest_processing = std::max<std::chrono::seconds>(1min, plan_.validity / 100);
        settings.verified_share = 0.01;
        settings.enforces_limits = false;
        settings.limits.orders_per_account = {};
        if (plan_.validity < 24h * 6) // a CA with such certificates has other limits
            settings.limits = {.accounts = {0, 0s},
                               .orders_per_account = {0, 0s},
                               .certificates_per_set = {0, 0s},
                               .failed_validations = {0, 0s}};
        ca_ = std::make_unique<test::scripted_ca>(world_, settings, dice_.next());
        test::weather sky;
        sky.shortest_calm = plan_.validity / 20;
        sky.longest_calm = plan_.validity * 2;
        sky.shortest_storm = std::max<std::chrono::seconds>(1s, plan_.validity / 2000);
        sky.longest_storm = plan_.validity / 12;
        ca_->live_through(sky);
        test::answer_for(world_, members_);
        for (std::size_t i = 0; i < plan_.members; ++i)
            start();
    }

    // What went wrong; empty when nothing did.
    std::string live()
    {
        const time_point end =
            world_.now() + std::min<std::chrono::nanoseconds>(plan_.validity * 60, 24h * 3650);
        const auto step = std::chrono::duration_cast<std::chrono::nanoseconds>(plan_.validity) / 24;
        while (world_.now() < end) {
            disturb();
            world_.run_until([&] { return disk_->is_off(); }, world_.now() + step);
            if (disk_->is_off())
                restart_after_power_cut();
            check();
            if (!fault_.empty())
                return fault_;
        }
        return {};
    }

    [[nodiscard]] std::size_t issued() const { return ca_->issued().size(); }

private:
    life make_plan()
    {
        const std::chrono::seconds lives[] = {10min, 1h, 24h * 6, 24h * 45, 24h * 90};
        return {lives[dice_.below(5)], dice_.chance(0.5), 1 + dice_.below(2), dice_.chance(0.5), dice_.chance(0.2)};
    }

    alos::acme::config settings()
    {
        alos::acme::config made;
        made.email = "admin@example.com";
        made.domains = {"a.example", {"b.example", "www.b.example"}, "192.0.2.7"};
        made.cas = {alos::acme::certificate_authority{.directory = ca_->directory_url()}};
        made.cas.front().orders = {};
        if (plan_.validity < 24h * 6)
            made.cas.front().accounts = {};
        if (plan_.prefers_tls_alpn)
            std::swap(made.challenges[0], made.challenges[1]);
        made.self_check = plan_.checks_itself;
        return made;
    }

    void start()
    {
        members_.push_back(std::make_unique<test::acme_member>(world_, disk_, settings()));
        if (!is_told_)
            return;
        members_.back()->on_event = [this, number = ++started_](const alos::acme::event& what) {
            std::printf("%s process %u: %s: %s\n", alos::acme::format_rfc3339(world_.now()).c_str(), number,
                        what.id.c_str(), what.message.c_str());
        };
    }

    // What happens to machines: they restart, their disks fill, the power goes.
    void disturb()
    {
        const bool is_full = dice_.chance(0.03);
        disk_->set_full(is_full);
        if (is_full)
            trouble_ = world_.now() + plan_.validity / 24;
        if (dice_.chance(0.01))
            disk_->cut_after(1 + dice_.below(40));
        if (dice_.chance(0.02)) {
            const std::size_t victim = dice_.below(members_.size());
            members_.erase(members_.begin() + static_cast<std::ptrdiff_t>(victim));
            start();
        }
        if (dice_.chance(0.01))
            world_.jump(std::chrono::seconds(dice_.below(120)) - 60s);
        if (dice_.chance(0.003) && !ca_->issued().empty())
            ca_->revoke(ca_->issued().back());
        if (dice_.chance(0.002))
            ca_->lose_accounts();
    }

    void restart_after_power_cut()
    {
        trouble_ = world_.now();
        members_.clear();
        disk_->power_cut(test::seeded(dice_.next()));
        for (std::size_t i = 0; i < plan_.members; ++i)
            start();
    }

    // Invariants that hold at every moment.
    void check()
    {
        for (const auto& one : members_) {
            if (!one->broke_off.empty() && !disk_->is_off())
                return fail("a manager ended: " + one->broke_off);
        }
        if (!ca_->breaches().empty())
            return fail("the CA complains: " + ca_->breaches().front());
        // Served and valid, unless the CA was unwilling for most of the time since it should have been renewed.
        for (const auto& one : members_)
            started_at_.try_emplace(one.get(), world_.now());
        for (const char* name : {"a.example", "www.b.example", "192.0.2.7"}) {
            const auto willing = ca_->willing_for(name);
            if (std::min(willing, world_.now() - trouble_)
                < std::chrono::duration_cast<std::chrono::nanoseconds>(plan_.validity) / 4)
                continue;
            for (const auto& one : members_) {
                if (!one->started || world_.now() - started_at_[one.get()] < plan_.validity / 4)
                    continue;
                if (!waits_for_a_limit(*one))
                    check_served(*one, name);
            }
        }
        std::erase_if(started_at_, [&](const auto& each) {
            return std::ranges::none_of(members_, [&](const auto& one) { return one.get() == each.first; });
        });
    }

    // A CA that spoilt the certificates which it allows in a week has to be waited for.
    static bool waits_for_a_limit(const test::acme_member& one)
    {
        const auto all = one.manager.certificates();
        return std::ranges::any_of(all, [](const auto& each) {
            return each.last_error.find("as many certificates were issued") != std::string::npos;
        });
    }

    void check_served(const test::acme_member& one, std::string_view name)
    {
        const auto snapshot = one.registry.served().load();
        const alos::cert::ip_address address(name);
        const auto found = address.empty() ? snapshot->find(name) : snapshot->find("", address.bytes());
        const alos::cert::credential_ptr* best = nullptr;
        for (const auto& each : found) {
            if (each->from == alos::cert::source::acme)
                best = &each;
        }
        if (!best)
            return fail(std::string(name) + " has no certificate although the CA was willing; "
                        + last_of(one.warnings));
        if ((*best)->about.not_after <= world_.now())
            return fail(std::string(name) + " has an expired certificate although the CA was willing; "
                        + last_of(one.warnings));
    }

    static std::string last_of(const std::vector<std::string>& lines) { return lines.empty() ? "" : lines.back(); }

    void fail(std::string what)
    {
        if (fault_.empty())
            fault_ = std::move(what);
    }

    test::dice dice_;
    test::simulated_world world_;
    const life plan_;
    std::shared_ptr<test::simulated_disk> disk_;
    std::unique_ptr<test::scripted_ca> ca_;
    std::vector<std::unique_ptr<test::acme_member>> members_;
    std::map<const test::acme_member*, time_point> started_at_;
    time_point trouble_; // of ours: since when it is over
    std::string fault_;
    const bool is_told_ = std::getenv("ALOS_TELL") != nullptr;
    unsigned started_ = 0;
};

// Lives the seeds from `first` on, every `stride`-th of `count`; returns how many failed.
std::size_t live_all(std::uint64_t first, std::uint64_t count, std::uint64_t stride, std::size_t& certificates)
{
    std::size_t failed = 0;
    for (std::uint64_t seed = first; seed < first + count; seed += stride) {
        std::string fault;
        try {
            century one(seed);
            fault = one.live();
            certificates += one.issued();
        } catch (const std::exception& error) {
            fault = std::string("an exception: ") + error.what();
        }
        if (!fault.empty()) {
            ++failed;
            std::printf("FAILED seed %llu: %s\n", static_cast<unsigned long long>(seed), fault.c_str());
            std::fflush(stdout);
        }
    }
    return failed;
}

}

int main(int argc, char** argv)
{
    const std::uint64_t first = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
    const std::uint64_t count = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
    const unsigned threads = count > 1 ? std::max(1u, std::thread::hardware_concurrency()) : 1;
    std::vector<std::thread> running;
    std::vector<std::size_t> failed(threads);
    std::vector<std::size_t> certificates(threads);
    for (unsigned i = 0; i < threads; ++i)
        running.emplace_back([&, i] {
            failed[i] = live_all(first + i, count - std::min<std::uint64_t>(i, count), threads, certificates[i]);
        });
    for (std::thread& each : running)
        each.join();
    std::size_t bad = 0;
    std::size_t all = 0;
    for (unsigned i = 0; i < threads; ++i) {
        bad += failed[i];
        all += certificates[i];
    }
    std::printf("%zu certificates issued\n%zu passed, %zu failed\n", all, static_cast<std::size_t>(count) - bad, bad);
    return bad == 0 ? 0 : 1;
}
