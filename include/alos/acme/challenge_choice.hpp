// By which challenges a name can still be proven: those that are configured, that the CA offers, and that have not
// failed. RFC 8555 7.1.4, 8.
#ifndef ALOS_ACME_CHALLENGE_CHOICE_HPP
#define ALOS_ACME_CHALLENGE_CHOICE_HPP

#include <alos/acme/challenge.hpp>
#include <alos/acme/config.hpp>
#include <alos/acme/objects.hpp>
#include <alos/acme/problem.hpp>
#include <alos/acme/provable.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// Of one issuance: it remembers which challenges failed for which name.
class challenge_choice {
public:
    explicit challenge_choice(std::shared_ptr<const config> settings) : settings_(std::move(settings)) {}

    // The first of our types that the CA offers, fits, and did not fail before; null if there is none.
    [[nodiscard]] const challenge* choose(const authorization& from, const identifier& about) const
    {
        for (const challenge_type type : settings_->challenges) {
            const auto is_it = [&](const failed_challenge& each) { return each.about == about && each.type == type; };
            if (!can_prove(*settings_, type, about) || std::ranges::any_of(failed_, is_it))
                continue;
            for (const challenge& each : from.challenges) {
                if (each.type == name_of(type) && !each.url.empty() && is_token(each.token))
                    return &each;
            }
        }
        return nullptr;
    }

    // `what` is for people. Returns that and what failed for the name before: the first may be worth mending.
    std::string fail(const identifier& about, challenge_type type, const std::string& what)
    {
        std::string all = what;
        for (const failed_challenge& each : failed_)
            all += each.about == about ? "; before that, " + each.what : "";
        failed_.insert(failed_.begin(), {about, type, what});
        return all;
    }

private:
    struct failed_challenge {
        identifier about;
        challenge_type type;
        std::string what;
    };

    const std::shared_ptr<const config> settings_;
    std::vector<failed_challenge> failed_; // the last one first
};

// The types of its challenges, for people.
[[nodiscard]] inline std::string offered_types(const authorization& from)
{
    std::string all;
    for (const challenge& each : from.challenges)
        all.append(all.empty() ? "" : ", ").append(each.type);
    return all;
}

// Whether a CA that says so of one challenge says no to the name, whatever the challenge is. Other problems that would
// be permanent in a request are not here: Boulder calls a name without addresses `malformed`, which dns-01 needs none
// of.
[[nodiscard]] inline bool is_about_the_name(const problem& why)
{
    const auto says_no = [](std::string_view type) {
        return type == "rejectedIdentifier" || type == "unsupportedIdentifier" || type == "caa";
    };
    return says_no(why.type)
           || std::ranges::any_of(why.subproblems, says_no, [](const subproblem& each) { return each.type; });
}

}

#endif
