// What a check-up found: one line for people, one object for programs.
#ifndef ALOS_ACME_FINDING_HPP
#define ALOS_ACME_FINDING_HPP

#include <boost/json/object.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace alos::inline v0::acme {

enum class health : std::uint8_t { ok, warning, problem };

[[nodiscard]] constexpr std::string_view name_of(health how) noexcept
{
    switch (how) {
    case health::ok: return "ok";
    case health::warning: return "warning";
    case health::problem: return "problem";
    }
    return {};
}

struct finding {
    std::string about; // "example.com", a folder, the URL of a directory
    std::string check; // what was looked at: "addresses", "CAA", "clock"
    health how = health::ok;
    std::string seen;
    std::string cure{}; // empty when all is well, or when what was seen says it
};

// Called with each as it is found.
using finding_teller = std::function<void(finding)>;

[[nodiscard]] inline std::string to_text(const finding& one)
{
    std::string line(name_of(one.how));
    line.append(": ").append(one.about).append(": ").append(one.check).append(": ").append(one.seen);
    if (!one.cure.empty())
        line.append("; ").append(one.cure);
    return line;
}

[[nodiscard]] inline boost::json::object to_json(const finding& one)
{
    boost::json::object out;
    out["about"] = one.about;
    out["check"] = one.check;
    out["health"] = name_of(one.how);
    out["seen"] = one.seen;
    out["cure"] = one.cure.empty() ? boost::json::value(nullptr) : boost::json::value(one.cure);
    return out;
}

}

#endif
