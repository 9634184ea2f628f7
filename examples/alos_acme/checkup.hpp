// doctor: what acme/doctor.hpp finds, line by line.
#ifndef ALOS_EXAMPLES_ALOS_ACME_CHECKUP_HPP
#define ALOS_EXAMPLES_ALOS_ACME_CHECKUP_HPP

#include "certificates.hpp"

#include <alos/acme/doctor.hpp>

#include <algorithm>
#include <iostream>

namespace command {

inline bool allows(const session& in, challenge_type type)
{
    return std::ranges::count(in.chosen.challenges, type) != 0;
}

inline awaitable<report> examine(session& in, std::vector<acme::identifier> names)
{
    if (names.empty()) {
        outcome_list said(in);
        const auto certificates = co_await find_certificates(in, {}, said);
        for (const managed& each : certificates)
            names.insert(names.end(), each->names.begin(), each->names.end());
    }
    acme::checkup asked;
    asked.names = std::move(names);
    asked.folder = in.chosen.cache_dir;
    asked.ca = in.authority(in.chosen.directory_or_default());
    asked.email = co_await in.email_at(asked.ca.directory);
    asked.challenges = in.chosen.challenges;
    asked.has_dns_solver = in.solver != nullptr;
    asked.http01_port = in.chosen.http01_port;
    asked.tls_alpn01_port = in.chosen.tls_alpn01_port;
    if (allows(in, challenge_type::http_01))
        asked.no_http01_listener = in.listen(challenge_type::http_01);
    if (allows(in, challenge_type::tls_alpn_01))
        asked.no_tls_alpn01_listener = in.listen(challenge_type::tls_alpn_01);

    report said;
    boost::json::array list;
    std::size_t problems = 0;
    const bool is_text = !in.chosen.json;
    acme::doctor one(in.world, in.storage, in.board, std::move(asked), [&](acme::finding each) {
        if (is_text)
            std::cout << in_one_line(to_text(each)) << std::endl;
        problems += each.how == acme::health::problem;
        list.push_back(to_json(each));
    });
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
