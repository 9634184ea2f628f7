// Where certificates stand, as JSON for those outside.
#ifndef ALOS_ACME_STATUS_JSON_HPP
#define ALOS_ACME_STATUS_JSON_HPP

#include <alos/acme/rfc3339.hpp>
#include <alos/acme/service.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// Times are those of RFC 3339; what is not known is null.
[[nodiscard]] inline boost::json::object to_json(const certificate_status& one)
{
    const auto time = [](std::chrono::system_clock::time_point when) {
        const bool is_known = when != std::chrono::system_clock::time_point();
        return is_known ? boost::json::value(format_rfc3339(when)) : boost::json::value(nullptr);
    };
    const auto text = [](const std::string& what) {
        return what.empty() ? boost::json::value(nullptr) : boost::json::value(what);
    };
    boost::json::array names;
    for (const std::string& each : one.names)
        names.emplace_back(each);
    boost::json::object out;
    out["id"] = one.id;
    out["names"] = std::move(names);
    out["keyType"] = one.key_type;
    out["issuer"] = text(one.issuer);
    out["notBefore"] = time(one.not_before);
    out["notAfter"] = time(one.not_after);
    out["nextAttempt"] = time(one.next_attempt);
    out["failures"] = one.failures;
    out["lastError"] = text(one.last_error);
    out["ca"] = text(one.ca);
    out["profile"] = text(one.profile);
    out["generation"] = one.generation;
    return out;
}

[[nodiscard]] inline std::string to_json_text(const std::vector<certificate_status>& all)
{
    boost::json::array list;
    for (const certificate_status& each : all)
        list.push_back(to_json(each));
    return boost::json::serialize(list);
}

}

#endif
