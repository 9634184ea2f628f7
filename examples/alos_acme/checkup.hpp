// doctor: certificates in the folder that cannot be used, and what acme/doctor.hpp finds, line by line.
#ifndef ALOS_EXAMPLES_ALOS_ACME_CHECKUP_HPP
#define ALOS_EXAMPLES_ALOS_ACME_CHECKUP_HPP

#include "session.hpp"

#include <alos/acme/doctor.hpp>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <unistd.h>

namespace command {

inline bool allows(const session& in, challenge_type type)
{
    return std::ranges::count(in.chosen.challenges, type) != 0;
}

// Tells of certificates in the folder that cannot be used. Returns the names of the others.
inline awaitable<std::vector<acme::identifier>> look_at_certificates(session& in, acme::finding_teller tell)
{
    std::vector<acme::identifier> names;
    const auto ids = co_await in.storage.certificates();
    if (!ids)
        tell({in.chosen.cache_dir, "certificates", acme::health::problem, ids.error().what});
    const std::vector<std::string> all = ids ? *ids : std::vector<std::string>();
    for (const std::string& id : all) {
        if (!acme::key_kind_of(id))
            continue;
        const auto kept = co_await in.storage.load_certificate(id);
        if (!kept) {
            const bool is_damaged = acme::detail::is_damage(kept.error().code);
            tell({id, "certificate", acme::health::problem, kept.error().what,
                  is_damaged ? "alos-acme issue, with its names, obtains another one" : ""});
        } else if (kept->has_value()) {
            if (!(*kept)->skipped.empty())
                tell({id, "certificate", acme::health::warning, (*kept)->skipped});
            std::ranges::move(acme::identifiers_in(*(*kept)->credential), std::back_inserter(names));
        }
    }
    co_return names;
}

// Why a program cannot be started; empty: it can.
inline std::string why_not_started(const std::string& program)
{
    std::error_code ec;
    if (std::filesystem::is_directory(program, ec))
        ec = std::make_error_code(std::errc::is_a_directory);
    else if (::access(program.c_str(), X_OK) != 0)
        ec.assign(errno, std::system_category());
    else
        ec.clear();
    return ec ? "it cannot be started: " + ec.message() : std::string();
}

inline awaitable<report> examine(session& in, std::vector<acme::identifier> names)
{
    report said;
    boost::json::array list;
    std::size_t problems = 0;
    const bool is_text = !in.chosen.json;
    const acme::finding_teller tell = [&](acme::finding each) {
        each.cure = by_options(std::move(each.cure));
        if (is_text)
            std::cout << in_one_line(to_text(each)) << std::endl;
        problems += each.how == acme::health::problem;
        list.push_back(to_json(each));
    };
    auto kept = co_await look_at_certificates(in, tell);
    acme::checkup asked;
    asked.names = names.empty() ? std::move(kept) : std::move(names);
    asked.folder = in.chosen.cache_dir;
    asked.ca = in.authority(in.chosen.directory_or_default());
    asked.email = in.chosen.email;
    try {
        const auto accounts = co_await in.accounts();
        if (accounts.damaged.empty())
            asked.email = co_await in.email_at(asked.ca.directory);
        else
            tell({in.chosen.cache_dir, "account", acme::health::problem, accounts.damaged});
    } catch (const unreadable& why) {
        tell({in.chosen.cache_dir, "account", acme::health::problem, why.what()});
    }
    asked.challenges = in.chosen.challenges;
    asked.has_dns_solver = in.solver != nullptr;
    const std::string& program = in.chosen.dns_exec;
    if (!program.empty()) {
        if (std::string why = why_not_started(program); !why.empty())
            tell({program, "--dns-exec", acme::health::problem, std::move(why),
                  "give the path of a program, which PATH is not searched for, and make it executable"});
    }
    asked.http01_port = in.chosen.http01_port;
    asked.tls_alpn01_port = in.chosen.tls_alpn01_port;
    if (allows(in, challenge_type::http_01))
        asked.no_http01_listener = in.listen(challenge_type::http_01);
    if (allows(in, challenge_type::tls_alpn_01))
        asked.no_tls_alpn01_listener = in.listen(challenge_type::tls_alpn_01);

    acme::doctor one(in.world, in.storage, in.board, std::move(asked), tell);
    co_await one.examine();
    said.status = problems == 0 ? 0 : 1;
    const std::string count = problems == 0 ? "no" : std::to_string(problems);
    said.text = count + (problems == 1 ? " problem\n" : " problems\n");
    said.json["findings"] = std::move(list);
    said.json["problems"] = problems;
    co_return said;
}

}

#endif
