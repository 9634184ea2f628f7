// What a server answers with for the names that ACME cares for: their certificates, and what stands in for those that
// are not there yet.
#ifndef ALOS_ACME_PRESENTER_HPP
#define ALOS_ACME_PRESENTER_HPP

#include <alos/acme/config.hpp>
#include <alos/acme/due.hpp>
#include <alos/acme/event.hpp>
#include <alos/acme/managed_certificate.hpp>
#include <alos/cert/registry.hpp>
#include <alos/cert/self_signed.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// Used on the manager's thread.
class presenter {
public:
    // Both outlive it.
    presenter(environment& world, cert::registry& into, event_teller tell)
        : world_(world), registry_(into), tell_(std::move(tell))
    {
    }

    // How names are answered whose first certificate is missing; from now on.
    void answer_meanwhile(before_issuance how) noexcept { meanwhile_ = how; }

    // Those of other programs, which nobody added by hand.
    void know_others(const std::vector<cert::credential_ptr>& those) { others_ = {those.begin(), those.end()}; }

    // Puts what there is of those into the registry, all at one moment. `all` is what they are some of.
    void show(const std::vector<managed_certificate*>& those, const certificate_list& all)
    {
        cert::named_credentials made;
        std::vector<std::string> certified; // domains
        std::vector<std::string> answered;  // names
        for (const managed_certificate* each : those) {
            if (each->is_removed || !each->credential)
                continue;
            tell_of_replaced(*each);
            made.emplace_back(each->domain, each->credential);
            certified.push_back(each->domain);
            for (const identifier& name : each->names)
                answered.push_back(name.value);
        }
        std::vector<std::string> refused; // names
        for (const managed_certificate* each : those) {
            if (each->is_removed || each->credential || has_any(each->domain, all) || is_answered(*each))
                continue;
            if (meanwhile_ == before_issuance::unrecognized_name && !each->stand_in) {
                for (const identifier& name : each->names)
                    refused.push_back(name.value);
            } else if (cert::credential_ptr stand_in = make_stand_in(*each)) {
                made.emplace_back(each->domain, std::move(stand_in));
            }
        }
        if (!made.empty()) {
            if (const auto done = registry_.add_credentials(std::move(made)); !done)
                tell_({event_kind::unreadable, {}, done.error().what});
        }
        for (const std::string& each : certified)
            drop_stand_in(each);
        if (!refused.empty())
            static_cast<void>(registry_.refuse(refused, true));
        if (meanwhile_ == before_issuance::unrecognized_name && !answered.empty())
            static_cast<void>(registry_.refuse(answered, false));
    }

    // From now on nothing of ours answers for it.
    void withdraw(const managed_certificate& one)
    {
        if (one.credential)
            static_cast<void>(registry_.remove_credential(one.domain, one.credential));
        drop_stand_in(one.domain);
        static_cast<void>(registry_.refuse(values_of(one.names), false));
    }

private:
    // The operator's own for the same name and type of key gives way.
    void tell_of_replaced(const managed_certificate& by)
    {
        const auto now = registry_.served().load();
        const auto is_replaced = [&](const cert::credential_ptr& each) {
            return each->from == cert::source::manual && each->about.key_type == by.credential->about.key_type
                   && each != by.credential && !others_.contains(each);
        };
        const bool is_ours = by.generation != 0;
        if (is_ours && now->knows(by.domain) && std::ranges::any_of(now->find(by.domain), is_replaced))
            tell_({event_kind::loaded, by.id,
                   "it takes the place of the certificate that was added for this name by hand; to keep that one, "
                   "remove the name from ACME"});
    }

    // Whether a certificate of ACME's, for another type of key, or a stand-in answers for the domain.
    [[nodiscard]] bool has_any(const std::string& domain, const certificate_list& all) const
    {
        const auto is_there = [&](const auto& each) { return each->domain == domain && each->credential; };
        return stand_ins_.contains(domain) || std::ranges::any_of(all, is_there);
    }

    // Whether somebody else's certificates, the operator's own for example, answer for all of its names.
    [[nodiscard]] bool is_answered(const managed_certificate& of) const
    {
        const auto now = registry_.served().load();
        return std::ranges::all_of(of.names, [&](const identifier& name) { return now->knows(name.value); });
    }

    [[nodiscard]] cert::credential_ptr make_stand_in(const managed_certificate& of)
    {
        const std::string failed = last_failure_of(of, world_.now());
        if (of.stand_in) {
            tell_({event_kind::stand_in, of.id,
                   "one that was obtained by other settings answers until the CA has issued one" + failed});
            return stand_ins_[of.domain] = of.stand_in;
        }
        const auto pair = cert::make_self_signed(values_of(of.names), world_.now());
        const auto made = pair ? cert::make_credential(*pair, {.from = cert::source::self_signed})
                               : outcome<cert::credential_ptr>(pair.error());
        if (!made) {
            tell_({event_kind::unreadable, of.id, made.error().what});
            return nullptr;
        }
        tell_({event_kind::stand_in, of.id, "a self-signed certificate answers until the CA has issued one" + failed});
        return stand_ins_[of.domain] = *made;
    }

    void drop_stand_in(const std::string& domain)
    {
        const auto found = stand_ins_.find(domain);
        if (found == stand_ins_.end())
            return;
        static_cast<void>(registry_.remove_credential(domain, found->second));
        stand_ins_.erase(found);
    }

    environment& world_;
    cert::registry& registry_;
    const event_teller tell_;
    before_issuance meanwhile_ = before_issuance::self_signed;
    std::set<cert::credential_ptr> others_;
    std::map<std::string, cert::credential_ptr> stand_ins_; // by domain
};

}

#endif
