// Certificates: issue, renew, revoke.
#ifndef ALOS_EXAMPLES_ALOS_ACME_CERTIFICATES_HPP
#define ALOS_EXAMPLES_ALOS_ACME_CERTIFICATES_HPP

#include "workshop.hpp"

#include <alos/acme/status_json.hpp>

#include <algorithm>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace command {

using managed = std::unique_ptr<acme::managed_certificate>;

// For the status of one: `now` when it is due.
inline acme::time_point next_attempt_of(const acme::managed_certificate& one, acme::time_point now)
{
    return std::max(renewal_due(one, now), now);
}

// Its last error in words of the options.
inline acme::certificate_status status_by_options(const acme::managed_certificate& one, acme::time_point next)
{
    acme::certificate_status line = status_of(one, next);
    line.last_error = by_options(std::move(line.last_error));
    return line;
}

// What a command did with certificates, line by line.
class outcome_list {
public:
    explicit outcome_list(const session& in) : folder_(in.chosen.cache_dir) {}

    // `result` is one word; `error` is empty after a success.
    void add(const acme::managed_certificate& one, acme::time_point next, std::string result, std::string error)
    {
        error = by_options(std::move(error));
        boost::json::object line = to_json(status_by_options(one, next));
        line["result"] = result;
        line["error"] = error.empty() ? boost::json::value(nullptr) : boost::json::value(error);
        const std::string folder = folder_ + "/certs/" + one.id + "/current/";
        if (one.credential) {
            line["fullchain"] = folder + "fullchain.pem";
            line["privkey"] = folder + "privkey.pem";
        }
        list_.push_back(std::move(line));
        if (!error.empty()) {
            status_ = 1;
            std::cerr << "alos-acme: " << in_one_line(one.id + ": " + error) << std::endl;
            return;
        }
        text_ += one.id + ": " + result;
        if (result == "revoked")
            text_ += "; it stays in the folder until alos-acme renew replaces it, or a server that looks at it next";
        else if (one.credential)
            text_ += ", valid until " + acme::format_rfc3339(one.credential->about.not_after) + ": " + folder
                     + "fullchain.pem";
        text_ += "\n";
    }

    // Of names that there is nothing for.
    void miss(const std::string& name, const std::string& why)
    {
        status_ = 1;
        boost::json::object line;
        line["id"] = name;
        line["result"] = "failed";
        line["error"] = why;
        list_.push_back(std::move(line));
        std::cerr << "alos-acme: " << in_one_line(name + ": " + why) << std::endl;
    }

    [[nodiscard]] report take()
    {
        report all{status_, std::move(text_)};
        all.json["certificates"] = std::move(list_);
        return all;
    }

private:
    const std::string folder_;
    int status_ = 0;
    std::string text_;
    boost::json::array list_;
};

// Reads what the storage has of it.
inline awaitable<> load(session& in, workshop& shop, acme::managed_certificate& one)
{
    // The settings of the server that it is for stay as they are.
    const auto kept = co_await in.storage.load("state/" + one.id);
    if (kept && kept->has_value()) {
        if (const auto state = acme::parse_certificate_state(alos::as_text((*kept)->text)))
            one.configuration = state->configuration;
    }
    const std::string directory = one.about.directory; // also where the storage does not tell
    co_await shop.keeper.load(one);
    if (one.about.directory.empty())
        one.about.directory = directory;
}

// Those of the folder, or of them those for `wanted`: names, or ids. What there is nothing for goes to `said`.
inline awaitable<std::vector<managed>> find_certificates(session& in, std::vector<std::string> wanted,
                                                         outcome_list& said)
{
    std::vector<managed> found;
    const auto ids = co_await in.storage.certificates();
    if (!ids)
        said.miss(in.chosen.cache_dir, ids.error().what);
    const std::vector<std::string> all = ids ? *ids : std::vector<std::string>();
    std::vector<bool> is_there(wanted.size());
    const auto is_asked_for = [&](const auto& is_it) {
        bool asked = wanted.empty();
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            if (is_it(wanted[i]))
                asked = is_there[i] = true;
        }
        return asked;
    };
    for (const std::string& id : all) {
        const auto key = acme::key_kind_of(id);
        if (!key)
            continue;
        const auto kept = co_await in.storage.load_certificate(id);
        if (!kept || !kept->has_value()) {
            if (is_asked_for([&](const std::string& word) {
                    return word == id || acme::id_of_certificate(word, *key) == id;
                }))
                said.miss(id, kept ? "there is no certificate of it" : kept.error().what);
            continue;
        }
        auto one = std::make_unique<acme::managed_certificate>();
        one->id = id;
        one->key = *key;
        one->about = acme::parse_generation_record((*kept)->meta_json);
        one->names = one->about.names.empty() ? acme::identifiers_in(*(*kept)->credential) : one->about.names;
        one->domain = one->names.empty() ? id.substr(0, id.rfind('.')) : one->names.front().value;
        if (!is_asked_for([&](const std::string& word) { return word == id || has_name(*one, word); }))
            continue;
        std::string trouble;
        try {
            const auto account = co_await in.account_of(one->about.account);
            one->email = account.email;
            if (one->about.directory.empty()) // its meta.json is gone
                one->about.directory = account.directory;
        } catch (const unreadable& why) {
            trouble = why.what();
        }
        if (trouble.empty())
            found.push_back(std::move(one));
        else
            said.miss(id, trouble);
    }
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (!is_there[i])
            said.miss(wanted[i], "there is no certificate for it in " + in.chosen.cache_dir
                                     + "; alos-acme list shows all");
    }
    co_return found;
}

// Whether a certificate of Let's Encrypt's staging is about to take the place of a good one.
inline bool is_staging_instead(session& in, const acme::managed_certificate& one)
{
    return in.chosen.directory == acme::lets_encrypt_staging && one.credential
           && one.about.directory != acme::lets_encrypt_staging
           && one.credential->about.not_after > in.world.now();
}

// The names of the certificate that is kept, of which some would be missing from one for `wanted`; empty: none would.
inline std::vector<acme::identifier> names_at_stake(const acme::managed_certificate& kept,
                                                    const std::vector<acme::identifier>& wanted)
{
    if (!kept.credential)
        return {};
    auto names = kept.about.names.empty() ? acme::identifiers_in(*kept.credential) : kept.about.names;
    const auto is_wanted = [&](const acme::identifier& each) { return std::ranges::count(wanted, each) != 0; };
    if (std::ranges::all_of(names, is_wanted))
        names.clear();
    return names;
}

inline std::string line_for_both(std::vector<acme::identifier> kept, const std::vector<acme::identifier>& wanted)
{
    std::string words;
    for (const acme::identifier& each : wanted) {
        if (std::ranges::count(kept, each) == 0)
            kept.push_back(each);
    }
    for (const acme::identifier& each : kept)
        words += (words.empty() ? "" : ",") + each.value;
    return "alos-acme issue " + words;
}

// Obtains these, but for those that are there.
inline awaitable<report> issue(session& in, std::vector<std::vector<acme::identifier>> wanted)
{
    if (const auto ready = in.storage.prepare(); !ready)
        co_return session::fault(ready.error().what);
    outcome_list said(in);
    workshop shop(in);
    const std::string directory = in.chosen.directory_or_default();
    const std::string profile = in.chosen.profile;
    const std::string email = co_await in.email_at(directory);
    std::vector<alos::key_kind> keys = in.chosen.key_types;
    if (keys.empty())
        keys = acme::config().key_types;
    for (const auto& names : wanted) {
        for (const alos::key_kind key : keys) {
            acme::managed_certificate one;
            one.domain = names.front().value;
            one.id = acme::id_of_certificate(one.domain, key);
            one.names = names;
            one.key = key;
            one.email = email;
            co_await load(in, shop, one);
            const bool is_there = one.credential && same_identifiers(one.about.names, names)
                                  && one.about.directory == directory
                                  && (profile.empty() || one.about.profile == profile);
            if (is_there && renewal_due(one, in.world.now()) > in.world.now()) {
                said.add(one, next_attempt_of(one, in.world.now()), "current", "");
                continue;
            }
            if (is_staging_instead(in, one)) {
                said.add(one, next_attempt_of(one, in.world.now()), "failed",
                         "servers on this folder would show a certificate that nobody believes instead of that for "
                             + join(acme::values_of(acme::identifiers_in(*one.credential)))
                             + "; try in another folder, by --cache-dir");
                continue;
            }
            const auto kept = names_at_stake(one, names);
            if (!kept.empty() && !in.chosen.replace_names) {
                said.add(one, next_attempt_of(one, in.world.now()), "failed",
                         "the certificate that is kept is for " + join(acme::values_of(kept)) + "; type "
                             + line_for_both(kept, names) + " to have one for all of them, or add --replace-names");
                continue;
            }
            // Whoever calls this wants to know now.
            const bool is_first = one.generation == 0;
            std::string error = co_await shop.finish_by_force(directory, profile, one);
            const std::string result = !error.empty() ? "failed" : is_first ? "obtained" : "renewed";
            said.add(one, next_attempt_of(one, in.world.now()), result, std::move(error));
        }
    }
    co_return said.take();
}

inline std::string none_in(const std::string& folder) { return "there are no certificates in " + folder + "\n"; }

inline awaitable<report> renew(session& in)
{
    outcome_list said(in);
    workshop shop(in);
    const auto certificates = co_await find_certificates(in, in.chosen.words, said);
    for (const managed& each : certificates) {
        acme::managed_certificate& one = *each;
        co_await load(in, shop, one);
        const std::string directory = one.about.directory;
        const std::string profile = in.chosen.profile.empty() ? one.about.profile : in.chosen.profile;
        const std::uint64_t before = one.generation;
        std::string error;
        if (in.chosen.force)
            error = co_await shop.finish_by_force(directory, profile, one);
        else if (due(one, in.world.now()) <= in.world.now())
            error = co_await shop.finish(directory, profile, one);
        std::string result = !error.empty() ? "failed" : one.generation > before ? "renewed" : "current";
        if (error.empty() && one.state.failures > 0) {
            result = "waiting";
            error = one.state.last_error + "; again at " + acme::format_rfc3339(one.state.next_attempt)
                    + ", --force asks at once";
        }
        said.add(one, next_attempt_of(one, in.world.now()), result, std::move(error));
    }
    report all = said.take();
    if (certificates.empty() && all.status == 0)
        all.text = none_in(in.chosen.cache_dir);
    co_return all;
}

// RFC 8555 7.6.
inline awaitable<report> revoke(session& in)
{
    outcome_list said(in);
    workshop shop(in);
    const auto certificates = co_await find_certificates(in, in.chosen.words, said);
    for (const managed& each : certificates) {
        const auto by = shop.renewer_for(each->about.directory, each->about.profile);
        if (!by) {
            said.add(*each, {}, "failed", by.error().what);
            continue;
        }
        co_await load(in, shop, *each);
        const auto done = co_await (*by)->revoke(*each, in.chosen.reason);
        std::string error = done ? std::string() : done.error().what;
        if (done) {
            force(*each, "forced"); // as a person asks for it, our own limits do not count
            co_await shop.keeper.save(*each);
            if (each->is_unsaved)
                error = "revoked, but nothing can be written to the folder: alos-acme renew --force replaces it";
        }
        said.add(*each, next_attempt_of(*each, in.world.now()), done ? "revoked" : "failed", error);
    }
    co_return said.take();
}

}

#endif
