// What an operator relies on, whatever CAs, disks and clocks do: looked at after every step of a simulated world.
#ifndef ALOS_TESTS_ACME_RULES_HPP
#define ALOS_TESTS_ACME_RULES_HPP

#include "support/acme_member.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace test {

// ACME's credentials for that name, which may be a wildcard: not those that stand in for it.
inline std::vector<alos::cert::credential_ptr> credentials_for(const acme_member& at, const std::string& name)
{
    const auto snapshot = at.registry.served().load();
    const alos::cert::ip_address address(name);
    const std::string asked = name.starts_with("*.") ? "any" + name.substr(1) : name;
    std::vector<alos::cert::credential_ptr> all;
    for (const auto& each : address.empty() ? snapshot->find(asked) : snapshot->find("", address.bytes())) {
        const auto of_name = std::ranges::count(each->about.names, name);
        const bool is_for_it = of_name + std::ranges::count(each->about.addresses, name) > 0;
        if (each->from == alos::cert::source::acme && is_for_it)
            all.push_back(each);
    }
    return all;
}

class acme_rules {
public:
    using names = std::vector<std::string>; // sorted
    using member_list = std::vector<std::unique_ptr<acme_member>>;
    using ca_list = std::vector<std::unique_ptr<scripted_ca>>;

    // All but `disk` outlive it; certificates live for `life`.
    acme_rules(simulated_world& world, std::shared_ptr<simulated_disk> disk, const ca_list& cas,
               const member_list& members, std::chrono::seconds life)
        : world_(world), disk_(disk), files_(std::move(disk)), cas_(cas), members_(members), life_(life),
          seen_issued_(cas.size()), seen_breaches_(cas.size())
    {
    }

    // The first thing that was wrong; empty: nothing was.
    [[nodiscard]] const std::string& fault() const noexcept { return fault_; }

    void fail(std::string what)
    {
        if (fault_.empty())
            fault_ = std::move(what);
    }

    // What is configured from now on: names by id of the certificate.
    void configure(const std::map<std::string, names>& certificates)
    {
        for (const auto& [id, wanted] : certificates) {
            auto& one = kept_[id];
            if (one.wanted != wanted) {
                one.before = std::exchange(one.wanted, wanted);
                one.reconfigured = world_.now();
            }
        }
        disturb();
    }

    // A process ended or began, its disk was full, its settings changed: for a moment everything may be late.
    void disturb() { disturbed_ = world_.now(); }

    // More than that: nobody could do anything until now.
    void trouble(time_point until)
    {
        trouble_ = std::max(trouble_, until);
        disturb();
    }

    void set_clock_wrong(bool is_wrong)
    {
        is_clock_wrong_ = is_wrong;
        clock_changed_ = world_.now();
        trouble(world_.now());
    }

    // Called after every step of the world.
    void look()
    {
        if (disk_->is_off())
            return;
        for (std::size_t i = 0; i < cas_.size(); ++i)
            for (; seen_issued_[i] < cas_[i]->issued().size(); ++seen_issued_[i])
                note_issued(*cas_[i], seen_issued_[i]);
        if (std::exchange(seen_switches_, disk_->links_switched()) != disk_->links_switched())
            for (auto& [id, one] : kept_)
                look_at_disk(id, one);
        for (const auto& one : members_)
            look_at_served(*one);
    }

    [[nodiscard]] bool is_clock_right_since(time_point then) const { return !is_clock_wrong_ && clock_changed_ < then; }

    // Whether four of the five that a CA issues for the same names in a week were, where certificates live for six days
    // and two of a week's are needed anyway: others were spoilt or lost, and there is nothing but to wait.
    [[nodiscard]] bool is_spent(const names& wanted) const
    {
        if (life_ != std::chrono::hours(24 * 6))
            return false;
        return std::ranges::any_of(cas_, [&](const auto& ca) {
            const auto is_counted = [&](const issued_certificate& each) {
                return each.names == wanted && each.issued_at + counted > world_.now();
            };
            return std::ranges::count_if(ca->issued(), is_counted) >= 4;
        });
    }

    // A process begins, or another one at the same address.
    void begin(const acme_member& one) { served_[&one] = {.since = world_.now()}; }

    [[nodiscard]] std::chrono::nanoseconds age_of(const acme_member& one) const
    {
        return world_.now() - served_.at(&one).since;
    }

    // After a cut there is what was before, or what was being written.
    void look_after_cut()
    {
        for (auto& [id, one] : kept_) {
            const std::uint64_t number = alos::acme::detail::parse_generation(current(id));
            if (number < alos::acme::detail::parse_generation(one.current))
                return fail(id + ": the power cut took generation " + one.current);
            look_at_disk(id, one);
        }
    }

    // Called now and then.
    void check()
    {
        for (std::size_t i = 0; i < cas_.size(); ++i) {
            const auto& breaches = cas_[i]->breaches();
            for (std::size_t& seen = seen_breaches_[i]; seen < breaches.size(); ++seen)
                if (!breaches[seen].starts_with("more than ") || is_clock_right_since(world_.now() - counted))
                    fail(cas_[i]->settings.url + " complains: " + breaches[seen]);
        }
        if (disk_->is_off())
            return;
        if (const std::string exposed = disk_->find_exposed("/certificates"); !exposed.empty())
            fail(exposed + " is open to others");
        for (const auto& [id, one] : kept_)
            check_in_time(id, one);
    }

    // For how long nothing was in the way of issuing for these names at one CA, or at all of them.
    [[nodiscard]] std::chrono::nanoseconds free_for(const names& wanted, bool at_all) const
    {
        std::chrono::nanoseconds free(0);
        if (at_all)
            free = std::chrono::nanoseconds::max();
        for (const auto& ca : cas_) {
            std::chrono::nanoseconds willing = std::chrono::nanoseconds::max();
            for (const std::string& each : wanted)
                willing = std::min<std::chrono::nanoseconds>(willing, ca->willing_for(each));
            free = at_all ? std::min(free, willing) : std::max(free, willing);
        }
        if (is_clock_wrong_)
            return std::chrono::nanoseconds(0);
        return std::min<std::chrono::nanoseconds>(free, world_.now() - trouble_);
    }

private:
    // One certificate on the disk.
    struct kept {
        names wanted;
        names before; // before `reconfigured`
        time_point reconfigured;
        std::string current; // generation
        scripted_ca* by = nullptr; // null: there is none yet
        std::size_t index = 0;     // among what it issued

        [[nodiscard]] const issued_certificate& now() const { return by->issued()[index]; }
    };

    struct made {
        scripted_ca* by = nullptr;
        std::size_t index = 0;
        bool is_kept = true;
    };

    [[nodiscard]] std::string current(const std::string& id)
    {
        const auto target = files_.read_symlink("/certificates/certs/" + id + "/current");
        return target ? *target : std::string();
    }

    [[nodiscard]] std::chrono::nanoseconds part(int of) const { return std::chrono::nanoseconds(life_) / of; }

    // Null when it is from no CA.
    [[nodiscard]] std::pair<scripted_ca*, const issued_certificate*> find(alos::byte_view der) const
    {
        for (const auto& ca : cas_)
            if (const auto* found = ca->find_issued(der))
                return {ca.get(), found};
        return {};
    }

    // Two that are finished for one renewal are one too many, unless something was in the way of the first.
    void note_issued(scripted_ca& ca, std::size_t index)
    {
        const issued_certificate& one = ca.issued()[index];
        made& last = made_[{one.names, one.is_rsa}];
        if (!last.is_kept) {
            const issued_certificate& other = last.by->issued()[last.index];
            const auto before = std::min<std::chrono::nanoseconds>(part(10), std::chrono::minutes(10));
            const time_point from = other.issued_at - before;
            const bool was_calm = std::ranges::all_of(other.names, [&](const std::string& each) {
                return last.by->was_willing(each, from, world_.now());
            });
            if (other.good && was_calm && disturbed_ < from && trouble_ < from && !is_clock_wrong_)
                fail(one.names.front() + ": an order was finished at "
                     + alos::acme::format_rfc3339(other.issued_at) + ", and its certificate is not kept");
        }
        last = {&ca, index, false};
    }

    void look_at_disk(const std::string& id, kept& one)
    {
        const std::string number = current(id);
        if (number.empty() || number == one.current)
            return;
        const std::string folder = "/certificates/certs/" + id + "/" + number;
        const auto chain = files_.read(folder + "/fullchain.pem", 1 << 20);
        const auto key = files_.read(folder + "/privkey.pem", 1 << 20);
        if (!chain || !key)
            return fail(id + ": generation " + number + " has no files");
        const std::string_view text = alos::as_text(*chain);
        const alos::secret_bytes leaf = first_in(text);
        const auto [ca, found] = find(leaf);
        if (!found)
            return fail(id + ": generation " + number + " is not from a CA");
        if (!found->good)
            return fail(id + ": what the CA spoilt is kept");
        const issuing_authority& authority = issuing_authority::shared();
        if (!text.ends_with(authority.issuers_pem(0)) && !text.ends_with(authority.issuers_pem(1)))
            fail(id + ": the chain does not go on to its issuer");
        if (!holds_key_of(leaf, alos::as_text(*key)))
            fail(id + ": the key is not that of the certificate");
        // Who is at it when the settings change ends with what it began with.
        const bool may_be_old = world_.now() - one.reconfigured < part(10) + std::chrono::minutes(20);
        const bool is_wanted = found->names == one.wanted || (found->names == one.before && may_be_old);
        if (!is_wanted)
            fail(id + ": the names of " + number + " are not those that are configured");
        if (one.by)
            check_replacement(id, one, *found);
        for (auto& [set, last] : made_)
            if (last.by && set == std::pair(found->names, found->is_rsa))
                last.is_kept = last.is_kept || last.by->issued()[last.index].id == found->id;
        one.current = number;
        one.by = ca;
        one.index = static_cast<std::size_t>(found - ca->issued().data());
    }

    // Whether anything but its time was a reason to replace it.
    [[nodiscard]] bool was_called_off(const issued_certificate& old, const kept& of) const
    {
        return old.revoked || old.names != of.wanted || of.reconfigured > old.issued_at;
    }

    void check_replacement(const std::string& id, const kept& one, const issued_certificate& next)
    {
        const issued_certificate& old = one.now();
        if (is_clock_wrong_)
            return;
        if (next.not_after <= world_.now())
            fail(id + ": it is replaced by one that has expired");
        if (was_called_off(old, one))
            return;
        if (next.not_after <= old.not_after)
            fail(id + ": it is replaced by one that does not end later");
        const time_point usual = ordinary(old) - life_ / 100;
        const time_point earliest = std::min(old.earliest_window, usual) - clock_slack;
        if (is_clock_right_since(old.issued_at) && next.issued_at < earliest)
            fail(id + ": it is renewed before its time");
    }

    // With a third of life left, or the half of a short one.
    [[nodiscard]] time_point ordinary(const issued_certificate& of) const
    {
        return of.not_after - life_ / (life_ >= std::chrono::hours(240) ? 3 : 2);
    }

    void check_in_time(const std::string& id, const kept& one)
    {
        if (!one.by || !has_run_for(part(4)) || free_for(one.wanted, true) < part(4) || is_spent(one.wanted))
            return;
        const issued_certificate& old = one.now();
        const time_point due = std::max(old.window_start + life_ / 50, ordinary(old) + life_ / 100);
        if (world_.now() - due > part(4) && world_.now() - one.reconfigured > part(4))
            fail(id + ": it is not renewed although its time has come and the CA was willing");
    }

    [[nodiscard]] bool has_run_for(std::chrono::nanoseconds time) const
    {
        return std::ranges::any_of(members_, [&](const auto& one) {
            return age_of(*one) >= time;
        });
    }

    // What one process serves.
    struct service {
        time_point since;
        std::shared_ptr<const alos::cert::snapshot> snapshot{};
        std::map<std::pair<std::string, bool>, alos::cert::credential_ptr> by_name{}; // and whether it is RSA
    };

    void look_at_served(const acme_member& member)
    {
        service& one = served_[&member];
        const auto snapshot = member.registry.served().load();
        if (std::exchange(one.snapshot, snapshot) == snapshot)
            return;
        for (const auto& [id, kept] : kept_) {
            const bool is_rsa = id.ends_with("rsa-2048");
            for (const std::string& name : kept.wanted)
                for (const auto& each : credentials_for(member, name))
                    if (each->about.key_type.starts_with("RSA") == is_rsa)
                        check_served(name, one.by_name[{name, is_rsa}], each, kept);
        }
    }

    void check_served(const std::string& name, alos::cert::credential_ptr& before,
                      const alos::cert::credential_ptr& now, const kept& of)
    {
        if (before == now)
            return;
        const issued_certificate* const found = find(now->chain.front()).second;
        if (!found || !found->good)
            fail(name + " is served with a certificate that no CA issued as it should be");
        const issued_certificate* const old = before ? find(before->chain.front()).second : nullptr;
        if (old && !is_clock_wrong_ && !was_called_off(*old, of)) {
            if (now->about.not_after <= world_.now() || now->about.not_before > world_.now() + clock_slack)
                fail(name + " is served with a certificate that is not valid now");
            if (now->about.not_after <= before->about.not_after)
                fail(name + " is served with a certificate that does not end later than the one before");
        }
        before = now;
    }

    // By the public key in both: no private key here was written by anybody but its maker.
    static bool holds_key_of(const alos::secret_bytes& leaf, std::string_view key_pem)
    {
        const auto read = alos::parse_certificate({leaf.begin(), leaf.end()});
        const alos::secret_bytes key = first_in(key_pem);
        if (!read)
            return false;
        const bool is_rsa = read->key.bits != 0;
        constexpr std::size_t exponent = 5; // bytes of an INTEGER, after the modulus
        const alos::byte_view all = read->public_key_info.first(read->public_key_info.size() - (is_rsa ? exponent : 0));
        const alos::byte_view point = all.last(64);
        return std::search(key.begin(), key.end(), point.begin(), point.end()) != key.end();
    }

    // The first thing in a PEM text; empty when there is none.
    static alos::secret_bytes first_in(std::string_view pem)
    {
        const auto blocks = alos::parse_pem(pem);
        if (!blocks)
            return {};
        auto bytes = alos::decode_pem(blocks->front());
        return bytes ? std::move(*bytes) : alos::secret_bytes();
    }

    // Who does not know the time cannot count what is allowed in a week.
    static constexpr std::chrono::hours counted{24 * 7};
    static constexpr std::chrono::seconds clock_slack{130}; // by which clocks are wrong all the time

    simulated_world& world_;
    std::shared_ptr<simulated_disk> disk_;
    simulated_files files_;
    const ca_list& cas_;
    const member_list& members_;
    const std::chrono::seconds life_;
    std::map<std::string, kept> kept_;
    std::map<std::pair<names, bool>, made> made_;
    std::map<const acme_member*, service> served_;
    std::vector<std::size_t> seen_issued_;
    std::vector<std::size_t> seen_breaches_;
    std::uint64_t seen_switches_ = 0;
    time_point trouble_;
    time_point disturbed_;
    time_point clock_changed_;
    bool is_clock_wrong_ = false;
    std::string fault_;
};

}

#endif
