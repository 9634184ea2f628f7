// What a folder has: list.
#ifndef ALOS_EXAMPLES_ALOS_ACME_LISTING_HPP
#define ALOS_EXAMPLES_ALOS_ACME_LISTING_HPP

#include "certificates.hpp"

#include <alos/acme/foreign_storage.hpp>

#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace command {

// Those that were tried, and of which there is no certificate yet.
inline awaitable<std::vector<managed>> find_tried(session& in)
{
    std::vector<managed> found;
    const auto have = co_await in.storage.certificates();
    const auto tried = co_await in.storage.list("state");
    const std::vector<std::string> ids = have && tried ? *tried : std::vector<std::string>();
    for (const std::string& id : ids) {
        const auto key = acme::key_kind_of(id);
        if (!key || std::ranges::count(*have, id) != 0)
            continue;
        auto one = std::make_unique<acme::managed_certificate>();
        one->id = id;
        one->key = *key;
        const std::string name = id.substr(0, id.rfind('.'));
        one->domain = name.starts_with("_wildcard.") ? "*" + name.substr(name.find('.')) : name;
        if (auto read = acme::identifier_of(one->domain))
            one->names.push_back(std::move(*read)); // its state does not tell the others
        found.push_back(std::move(one));
    }
    co_return found;
}

using table = std::vector<std::vector<std::string>>;

// These, and what `said` has of others.
inline report list_of(const session& in, const table& found, boost::json::array lines, outcome_list& said)
{
    report all = said.take();
    for (boost::json::value& each : all.json["certificates"].as_array())
        lines.push_back(std::move(each));
    all.json["certificates"] = std::move(lines);
    const bool has_any = found.size() > 1 || all.status != 0; // those that cannot be read are told of
    all.text = !has_any ? none_in(in.chosen.cache_dir) : found.size() > 1 ? to_table(found) : "";
    return all;
}

// "ecdsa-p256" of "ECDSA P-256", as options and ids have it.
inline std::string key_word(std::string type)
{
    if (const auto at = type.find(" P-"); at != type.npos)
        type.erase(at + 2, 1);
    for (char& c : type)
        c = c == ' ' ? '-' : alos::http::to_lower(c);
    return type;
}

// What certbot or lego has in the folder.
inline report list_others(session& in, const std::string& owner)
{
    outcome_list said(in);
    table found = {{"NAMES", "KEY", "ISSUER", "EXPIRES", "SOURCE"}};
    boost::json::array lines;
    const auto all = acme::read_foreign(in.world.files(), in.chosen.cache_dir);
    for (const acme::foreign_certificate& each : all.found) {
        const auto& about = each.credential->about;
        acme::certificate_status line;
        line.id = each.name;
        line.names = acme::values_of(acme::identifiers_in(*each.credential));
        line.key_type = key_word(about.key_type);
        line.issuer = about.issuer;
        line.not_before = about.not_before;
        line.not_after = about.not_after;
        found.push_back({join(line.names), line.key_type, line.issuer, from_now(line.not_after), owner});
        lines.push_back(to_json(line));
        lines.back().as_object()["source"] = owner;
    }
    for (const std::string& why : all.skipped)
        said.miss(in.chosen.cache_dir, why);
    return list_of(in, found, std::move(lines), said);
}

inline awaitable<report> list(session& in)
{
    if (const std::string owner = in.other_owner(); !owner.empty())
        co_return list_others(in, owner);
    outcome_list said(in);
    workshop shop(in);
    auto certificates = co_await find_certificates(in, {}, said);
    auto tried = co_await find_tried(in);
    std::ranges::move(tried, std::back_inserter(certificates));
    table all = {{"NAMES", "KEY", "ISSUER", "EXPIRES", "NEXT ATTEMPT", "GENERATION", "LAST ERROR"}};
    boost::json::array lines;
    for (const managed& each : certificates) {
        co_await load(in, shop, *each);
        const acme::time_point now = in.world.now();
        const auto line = status_by_options(*each, next_attempt_of(*each, now));
        all.push_back({join(line.names), line.key_type, line.issuer,
                       each->credential ? from_now(line.not_after) : "none yet",
                       from_now(renewal_due(*each, now))
                           + (each->credential && is_forced(*each) ? ", " + each->state.forced_why : ""),
                       std::to_string(line.generation), line.last_error});
        lines.push_back(to_json(line));
    }
    co_return list_of(in, all, std::move(lines), said);
}

}

#endif
