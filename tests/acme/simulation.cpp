// Years in the life of certificates, in a hostile world, from one seed each: RFC 8555, RFC 9773, and the rules that an
// operator relies on. A failing seed prints itself; to live it again, every event shown:
// ALOS_TELL=1 acme_simulation <seed>.
#include "support/acme_member.hpp"
#include "support/acme_rules.hpp"
#include "support/dice.hpp"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using alos::acme::time_point;

namespace {

// What a seed is about; the rest is chance.
struct life {
    std::chrono::seconds validity;
    bool has_renewal_info;
    std::size_t members;
    bool prefers_tls_alpn;
    bool checks_itself;
    bool has_second_ca;
    bool has_rsa;
    bool has_wildcard; // proven by dns-01

    // One from a CA whose limits are those of Let's Encrypt; who issues for an hour has others.
    [[nodiscard]] bool is_long() const { return validity >= 24h * 6; }

    // Two for the same names, each renewed every three days, are all that a CA issues in a week: none may be spoilt.
    [[nodiscard]] bool is_frequent() const { return validity == 24h * 6 && has_rsa; }
};

class century {
public:
    explicit century(std::uint64_t seed)
        : dice_(seed), world_(dice_.next()), plan_(make_plan()), disk_(std::make_shared<test::simulated_disk>()),
          solver_(std::make_shared<test::simulated_dns_solver>(world_))
    {
        make_ca("https://ca.test");
        if (plan_.has_second_ca)
            make_ca("https://other.test");
        rules_.emplace(world_, disk_, cas_, members_, plan_.validity);
        rules_->configure(wanted());
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
            const std::uint64_t before = effort();
            disturb();
            run(step);
            rules_->check();
            check_served();
            check_effort(effort() - before, step);
            if (!rules_->fault().empty())
                return rules_->fault();
        }
        return {};
    }

    [[nodiscard]] std::size_t issued() const
    {
        std::size_t all = 0;
        for (const auto& each : cas_)
            all += each->issued().size();
        return all;
    }

private:
    life make_plan()
    {
        const std::chrono::seconds lives[] = {10min, 1h, 24h * 6, 24h * 45, 24h * 90};
        return {.validity = lives[dice_.below(5)],
                .has_renewal_info = dice_.chance(0.3),
                .members = dice_.chance(0.3) ? 2u : 1u,
                .prefers_tls_alpn = dice_.chance(0.5),
                .checks_itself = dice_.chance(0.2),
                .has_second_ca = dice_.chance(0.25),
                .has_rsa = dice_.chance(0.05),
                .has_wildcard = dice_.chance(0.2)};
    }

    void make_ca(std::string url)
    {
        test::ca_settings settings;
        settings.url = std::move(url);
        settings.lifetime = plan_.validity;
        settings.renewal_info = plan_.has_renewal_info;
        settings.renewal_retry_after = std::max<std::chrono::seconds>(60s, plan_.validity / 30);
        settings.authorization_reuse = dice_.chance(0.3) ? 7h : 0h;
        settings.longest_retry_after = std::max<std::chrono::seconds>(10s, plan_.validity / 100);
        settings.longest_processing = std::max<std::chrono::seconds>(1min, plan_.validity / 100);
        settings.verified_share = 0.01;
        settings.enforces_limits = false;
        if (!plan_.is_long())
            settings.limits = {.accounts = {0, 0s},
                               .orders_per_account = {0, 0s},
                               .certificates_per_set = {0, 0s},
                               .failed_validations = {0, 0s}};
        if (plan_.is_frequent())
            settings.limits.certificates_per_set = {0, 0s};
        test::weather sky;
        sky.shortest_calm = plan_.validity / 20;
        sky.longest_calm = plan_.validity * 2;
        sky.shortest_storm = std::max<std::chrono::seconds>(1s, plan_.validity / 2000);
        sky.longest_storm = plan_.validity / 12;
        cas_.push_back(std::make_unique<test::scripted_ca>(world_, settings, dice_.next()));
        cas_.back()->live_through(sky);
    }

    // The three certificates; of two names in two kinds of key, four.
    [[nodiscard]] std::vector<alos::acme::certificate_names> domains() const
    {
        std::vector<std::string> second{"b.example", plan_.has_wildcard ? "*.b.example" : "www.b.example"};
        if (has_more_)
            second.emplace_back("more.b.example.org");
        std::vector<alos::acme::certificate_names> all{"a.example", alos::acme::certificate_names(std::move(second))};
        if (!plan_.has_rsa)
            all.emplace_back("192.0.2.7");
        return all;
    }

    [[nodiscard]] std::map<std::string, test::acme_rules::names> wanted() const
    {
        std::map<std::string, test::acme_rules::names> all;
        for (alos::acme::certificate_names& each : domains()) {
            const std::string domain = each.names.front();
            std::ranges::sort(each.names);
            for (const char* const key : {".ecdsa-p256", ".rsa-2048"})
                if (plan_.has_rsa || key[1] == 'e')
                    all[domain + key] = each.names;
        }
        return all;
    }

    alos::acme::config settings()
    {
        alos::acme::config made;
        made.email = "admin@example.com";
        made.domains = domains();
        made.cas.clear();
        for (const auto& each : cas_) {
            made.cas.push_back({.directory = each->directory_url()});
            if (!plan_.is_long()) {
                made.cas.back().orders = {};
                made.cas.back().accounts = {};
            }
            if (plan_.is_frequent())
                made.cas.back().certificates = {};
        }
        if (prefers_last_ca_)
            std::ranges::reverse(made.cas);
        if (plan_.has_rsa)
            made.key_types.push_back(alos::key_kind::rsa_2048);
        if (plan_.has_wildcard)
            made.dns = solver_;
        if (plan_.prefers_tls_alpn)
            std::swap(made.challenges[0], made.challenges[1]);
        made.self_check = plan_.checks_itself;
        return made;
    }

    void start()
    {
        members_.push_back(std::make_unique<test::acme_member>(world_, disk_, settings()));
        members_.back()->environment.jump(clock_error_);
        rules_->begin(*members_.back());
        if (!is_told_)
            return;
        members_.back()->on_event = [this, number = ++started_](const alos::acme::event& what) {
            std::printf("%s process %u: %s: %s\n", alos::acme::format_rfc3339(world_.now()).c_str(), number,
                        what.id.c_str(), what.message.c_str());
        };
    }

    // Time passes, and the power may go meanwhile.
    void run(std::chrono::nanoseconds time)
    {
        const auto is_over = [&] {
            rules_->look();
            return disk_->is_off() || !rules_->fault().empty();
        };
        world_.run_until(is_over, time);
        if (disk_->is_off())
            restart_after_power_cut();
    }

    // What happens to machines: they restart, their disks fill, the power goes, their clocks are wrong.
    void disturb()
    {
        const bool is_full = dice_.chance(0.03);
        disk_->set_full(is_full);
        if (is_full)
            rules_->trouble(world_.now() + plan_.validity / 24);
        if (dice_.chance(0.01))
            disk_->cut_after(1 + dice_.below(40));
        if (dice_.chance(0.015))
            end_one(false);
        if (dice_.chance(0.005))
            end_one(true);
        if (dice_.chance(0.003))
            reconfigure();
        disturb_clock();
        test::scripted_ca& ca = *cas_[dice_.below(cas_.size())];
        if (dice_.chance(0.003) && !ca.issued().empty())
            ca.revoke(ca.issued().back());
        if (dice_.chance(0.002)) {
            ca.lose_accounts();
            rules_->disturb();
        }
    }

    void end_one(bool is_told_to)
    {
        const std::size_t victim = dice_.below(members_.size());
        rules_->disturb();
        if (is_told_to) {
            test::acme_member& leaving = *members_[victim];
            leaving.stop();
            const auto is_over = [&] {
                rules_->look();
                return leaving.is_idle() || disk_->is_off();
            };
            const bool has_ended = world_.run_until(is_over, std::chrono::nanoseconds(30s));
            rules_->disturb();
            if (disk_->is_off())
                return restart_after_power_cut();
            if (!has_ended)
                return rules_->fail("a process that was told to end does not");
        }
        members_.erase(members_.begin() + static_cast<std::ptrdiff_t>(victim));
        start();
    }

    // A name comes or goes; another CA is preferred.
    void reconfigure()
    {
        if (plan_.has_second_ca && dice_.chance(0.5))
            prefers_last_ca_ = !prefers_last_ca_;
        else
            has_more_ = !has_more_;
        rules_->configure(wanted());
        rules_->trouble(world_.now());
        for (const auto& each : members_)
            each->configure(settings());
    }

    // By a minute often, by days and years now and then; that passes.
    void disturb_clock()
    {
        if (clock_error_ < -60s || clock_error_ > 60s) {
            if (dice_.chance(0.3))
                set_clock(0s);
            return;
        }
        if (dice_.chance(0.01))
            set_clock(std::chrono::seconds(dice_.below(120)) - 60s);
        // Note: not where each certificate that a wrong clock spoils is one of five in a week, and a week longer than
        // their life.
        if (plan_.validity != 24h * 6 && dice_.chance(0.002)) {
            const std::chrono::seconds leaps[] = {24h, 24h * 400, -24h, -24h * 400};
            set_clock(leaps[dice_.below(4)]);
        }
    }

    void set_clock(std::chrono::seconds error)
    {
        world_.jump(error - clock_error_);
        const bool was_wrong = clock_error_ < -60s || clock_error_ > 60s;
        clock_error_ = error;
        const bool is_wrong = error < -60s || error > 60s;
        if (was_wrong || is_wrong)
            rules_->set_clock_wrong(is_wrong);
        if (is_told_)
            std::printf("%s clocks are wrong by %lld seconds\n", alos::acme::format_rfc3339(world_.now()).c_str(),
                        static_cast<long long>(error.count()));
    }

    void restart_after_power_cut()
    {
        members_.clear();
        disk_->power_cut(test::seeded(dice_.next()));
        rules_->trouble(world_.now());
        rules_->look_after_cut();
        for (std::size_t i = 0; i < plan_.members; ++i)
            start();
    }

    // What was written, synced and asked for.
    [[nodiscard]] std::uint64_t effort() const { return disk_->steps() + world_.requests; }

    // A certificate that has ended is tried again every minute, on a disk that is full, too, and one request is
    // repeated often in a storm of nonces; more is a loop.
    void check_effort(std::uint64_t spent, std::chrono::nanoseconds time)
    {
        const auto minutes = static_cast<std::uint64_t>(time / 1min);
        const std::uint64_t most = 3000 + 6 * minutes * wanted().size() * members_.size();
        if (spent > most)
            rules_->fail(std::to_string(spent) + " steps and requests, where " + std::to_string(most) + " are many");
    }

    // Served and valid, unless no CA was willing for most of the time since it should have been renewed.
    void check_served()
    {
        for (const auto& one : members_) {
            if (!one->broke_off.empty() && !disk_->is_off())
                rules_->fail("a manager ended: " + one->broke_off);
        }
        for (const auto& [id, names] : wanted()) {
            if (rules_->free_for(names, false) < std::chrono::nanoseconds(plan_.validity) / 4)
                continue;
            for (const auto& one : members_) {
                if (!one->started || rules_->age_of(*one) < plan_.validity / 4)
                    continue;
                for (const std::string& name : names)
                    check_served(*one, id, name);
            }
        }
    }

    void check_served(const test::acme_member& one, const std::string& id, const std::string& name)
    {
        alos::cert::credential_ptr best;
        for (const auto& each : test::credentials_for(one, name)) {
            if (each->about.key_type.starts_with("RSA") == id.ends_with("rsa-2048"))
                best = each;
        }
        if (!best && !waits_for_its_first(id))
            return rules_->fail(name + " has no certificate although the CA was willing; " + last_of(one.warnings));
        if (best && best->about.not_after <= world_.now() && !rules_->is_spent(wanted().at(id)))
            return rules_->fail(name + " has an expired certificate although the CA was willing; "
                                + last_of(one.warnings));
    }

    // Without a certificate nobody knows how long one lives: after failures in a storm the waits are those of A8 of the
    // facts, a minute, ten, a hundred, a day; and an attempt may take ten minutes.
    [[nodiscard]] bool waits_for_its_first(const std::string& id) const
    {
        return std::ranges::all_of(members_, [&](const auto& one) {
            const auto all = one->manager.certificates();
            const auto found = std::ranges::find(all, id, &alos::acme::certificate_status::id);
            return found != all.end() && found->failures > 0 && found->next_attempt > world_.now() - 10min
                   && found->next_attempt < world_.now() + 30h;
        });
    }

    static std::string last_of(const std::vector<std::string>& lines) { return lines.empty() ? "" : lines.back(); }

    test::dice dice_;
    test::simulated_world world_;
    const life plan_;
    std::shared_ptr<test::simulated_disk> disk_;
    std::shared_ptr<test::simulated_dns_solver> solver_;
    std::vector<std::unique_ptr<test::scripted_ca>> cas_;
    std::vector<std::unique_ptr<test::acme_member>> members_;
    std::optional<test::acme_rules> rules_;
    bool has_more_ = false;
    bool prefers_last_ca_ = false;
    std::chrono::seconds clock_error_{0};
    const bool is_told_ = std::getenv("ALOS_TELL") != nullptr;
    unsigned started_ = 0;
};

// What all processes have in common. Note: threads would do, but reference counts cost less where there is but one.
struct tally {
    std::atomic<std::uint64_t> next; // seed
    std::uint64_t end;
    std::atomic<std::size_t> failed{0};
    std::atomic<std::size_t> certificates{0};
};

void live_all(tally& all)
{
    for (std::uint64_t seed = all.next++; seed < all.end; seed = all.next++) {
        std::string fault;
        try {
            century one(seed);
            fault = one.live();
            all.certificates += one.issued();
        } catch (const std::exception& error) {
            fault = std::string("an exception: ") + error.what();
        }
        if (!fault.empty()) {
            ++all.failed;
            std::printf("FAILED seed %llu: %s\n", static_cast<unsigned long long>(seed), fault.c_str());
        }
        std::fflush(stdout);
    }
}

}

int main(int argc, char** argv)
{
    const std::uint64_t first = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
    const std::uint64_t count = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
    static_cast<void>(test::issuing_authority::shared()); // Note: its keys are the first ones
    void* const shared = ::mmap(nullptr, sizeof(tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 1;
    tally& all = *new (shared) tally{first, first + count};
    std::vector<::pid_t> others;
    for (unsigned i = 1; count > 1 && i < std::thread::hardware_concurrency(); ++i) {
        const ::pid_t made = ::fork();
        if (made == 0) {
            live_all(all);
            ::_exit(0);
        }
        if (made > 0)
            others.push_back(made);
    }
    live_all(all);
    for (const ::pid_t each : others) {
        int status = 1;
        if (::waitpid(each, &status, 0) != each || status != 0)
            ++all.failed; // its seed, which killed it
    }
    const std::size_t bad = all.failed;
    std::printf("%zu certificates issued\n%zu passed, %zu failed\n", all.certificates.load(),
                static_cast<std::size_t>(count) - bad, bad);
    return bad == 0 ? 0 : 1;
}
