// Looks for what would keep a certificate from being issued or renewed, before a CA is asked for it: the folder, the CA
// and its directory, the clock, the account, and for each name its addresses, its CAA records and the ports that CAs
// connect to. Nothing is ordered.
#ifndef ALOS_ACME_DOCTOR_HPP
#define ALOS_ACME_DOCTOR_HPP

#include <alos/acme/account.hpp>
#include <alos/acme/caa.hpp>
#include <alos/acme/folder_check.hpp>
#include <alos/acme/provable.hpp>
#include <alos/acme/trial.hpp>
#include <alos/cert/names.hpp>
#include <alos/http/date.hpp>
#include <alos/http/url.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// What a doctor is asked to look at.
struct checkup {
    std::vector<identifier> names;
    std::string folder; // cache_dir
    certificate_authority ca;
    std::string email; // of the account
    std::vector<challenge_type> challenges;
    bool has_dns_solver = false;
    std::uint16_t http01_port = 80;
    std::uint16_t tls_alpn01_port = 443;

    // Why this process does not listen where the CA connects to; empty: it does.
    std::string no_http01_listener;
    std::string no_tls_alpn01_listener;
};

// One checkup: what it finds is told as it is found.
class doctor {
public:
    // All outlive it. `tell` is called on the thread of `world`.
    doctor(environment& world, storage& kept, board& answers, checkup asked, finding_teller tell)
        : world_(world), storage_(kept), board_(answers), asked_(std::move(asked)), tell_(std::move(tell)),
          ca_(world, asked_.ca)
    {
    }

    // Once. Leaves nothing behind, also when cancelled.
    [[nodiscard]] awaitable<> examine()
    {
        for (finding& each : check_folder(world_.files(), asked_.folder))
            tell_(std::move(each));
        co_await look_at_ca();
        std::vector<identifier> seen; // several certificates may be for the same name
        for (const identifier& each : asked_.names) {
            if (std::ranges::count(seen, each) != 0)
                continue;
            seen.push_back(each);
            co_await look_at_name(each);
        }
    }

private:
    // Note: a Date field is older than now by the time that its answer was under way, 30 s at most. With 5 minutes
    // between the clocks, what the CA dates (orders, renewal windows, certificates) begins or ends at a wrong time.
    static constexpr std::chrono::minutes wrong_clock{5};
    static constexpr std::chrono::seconds inexact_clock{30};

    using texts = std::vector<std::string>;

    void say(std::string about, std::string check, health how, std::string seen, std::string cure = {})
    {
        tell_({std::move(about), std::move(check), how, std::move(seen), std::move(cure)});
    }

    // RFC 8555 7.1.1.
    [[nodiscard]] awaitable<> look_at_ca()
    {
        const std::string& url = asked_.ca.directory;
        if (const auto ready = ca_.prepare(); !ready) {
            say(url, "directory", health::problem, ready.error().what);
            co_return;
        }
        const auto answer = co_await ca_.get(url, "directory");
        if (!answer) {
            constexpr std::string_view phase = "directory: ";
            std::string seen = answer.error().what;
            if (seen.starts_with(phase))
                seen.erase(0, phase.size());
            say(url, "directory", health::problem, seen,
                "check the URL, the network and the clock; a CA of your own needs its authorities in roots_file");
            co_return;
        }
        look_at_clock(*answer);
        auto read = parse_directory(answer->body);
        if (!read) {
            say(url, "directory", health::problem, read.error().what,
                "check that the URL is that of an ACME directory");
            co_return;
        }
        directory_ = std::move(*read);
        say_directory();
        co_await look_at_account();
        if (!directory_.profiles.empty() || !asked_.ca.profile.empty())
            look_at_profile();
    }

    // RFC 9110 6.6.1: the CA says what time it has. Certificates and orders depend on it.
    void look_at_clock(const http::outbound_response& answer)
    {
        const auto now = std::chrono::system_clock::to_time_t(world_.now());
        const auto date = http::parse_date(answer.field("Date"), now);
        if (!date) {
            say("this machine", "clock", health::warning, "the CA does not say what time it has",
                "compare the clock with another one");
            return;
        }
        const std::chrono::seconds ahead{now - *date};
        const std::string difference = std::to_string(std::abs(ahead.count())) + " s "
                                       + (ahead.count() < 0 ? "behind" : "ahead of") + " that of the CA";
        const std::string cure = "let it be set over the network (NTP)";
        if (std::chrono::abs(ahead) > wrong_clock)
            say("this machine", "clock", health::problem, "it is " + difference, cure);
        else if (std::chrono::abs(ahead) > inexact_clock)
            say("this machine", "clock", health::warning, "it is " + difference, cure);
        else
            say("this machine", "clock", health::ok, "as that of the CA");
    }

    // RFC 8555 7.1.1, RFC 9773 3.
    void say_directory()
    {
        texts missing;
        if (directory_.revoke_cert.empty())
            missing.push_back("revokeCert");
        if (directory_.key_change.empty())
            missing.push_back("keyChange");
        std::string seen = missing.empty() ? "it is complete" : "it lacks " + join(missing);
        if (!directory_.renewal_info.empty())
            seen += "; it says when to renew (ARI)";
        if (!directory_.terms_of_service.empty())
            seen += "; its terms, which an account agrees to: " + directory_.terms_of_service;
        say(asked_.ca.directory, "directory", missing.empty() ? health::ok : health::warning, seen,
            missing.empty() ? "" : "certificates can be had; for the rest, ask those who run the CA");
    }

    // RFC 8555 7.3, 7.3.4.
    [[nodiscard]] awaitable<> look_at_account()
    {
        const auto kept = co_await storage_.load("account/" + storage_id(asked_.ca.directory, asked_.email));
        if (!kept) {
            say(asked_.ca.directory, "account", health::problem, kept.error().what);
            co_return;
        }
        const auto record = kept->has_value() ? parse_account_record(as_text((*kept)->text)) : std::nullopt;
        if (record)
            account_ = record->url;
        const bool has_binding = !asked_.ca.eab_kid.empty() && asked_.ca.has_eab_hmac_key();
        if (!account_.empty())
            say(asked_.ca.directory, "account", health::ok, account_);
        else if (kept->has_value())
            say(asked_.ca.directory, "account", health::warning, "its record here is damaged",
                "a server finds the account again by its key; for alos-acme, remove the record");
        else if (directory_.external_account_required && !has_binding)
            say(asked_.ca.directory, "account", health::problem, "it wants an external account (EAB)",
                "give the eab_kid and eab_hmac_key that the CA's page shows");
        else
            say(asked_.ca.directory, "account", health::ok, "there is none here yet; the first certificate opens it");
    }

    // draft-ietf-acme-profiles 4.
    void look_at_profile()
    {
        texts offered;
        for (const auto& [name, what] : directory_.profiles)
            offered.push_back(name);
        const std::string& wanted = asked_.ca.profile;
        const std::string all = offered.empty() ? "none are offered" : "offered are " + join(offered);
        if (!wanted.empty() && !directory_.profiles.contains(wanted))
            say(asked_.ca.directory, "profile", health::problem, "there is no " + wanted + "; " + all,
                "choose one of them, or none");
        else
            say(asked_.ca.directory, "profile", health::ok, all);
    }

    [[nodiscard]] awaitable<> look_at_name(identifier about)
    {
        const bool is_wildcard = about.value.starts_with("*.");
        texts methods;
        for (const challenge_type each : asked_.challenges) {
            if (can_prove(each, about, asked_.has_dns_solver))
                methods.emplace_back(name_of(each));
        }
        if (methods.empty())
            say(about.value, "challenges", health::problem, "none of those that are allowed can prove it",
                is_wildcard ? "a wildcard needs dns-01 and a program that sets TXT records" : "allow another one");
        const bool is_connected_to = std::ranges::any_of(methods, [](const auto& each) { return each != "dns-01"; });
        bool leads_here = true;
        if (about.type == identifier_type::dns) {
            if (is_connected_to)
                leads_here = co_await look_at_addresses(about);
            co_await look_at_caa(about, methods);
        }
        for (const challenge_type each : {challenge_type::http_01, challenge_type::tls_alpn_01}) {
            if (std::ranges::count(methods, name_of(each)) != 0)
                co_await look_at_port(each, about, leads_here);
        }
    }

    // Whether the CA itself is there, as one for tests or of a company may be.
    [[nodiscard]] awaitable<bool> is_ca_in_private_network()
    {
        const auto where = http::parse_url(asked_.ca.directory);
        const std::string host = where ? where->host : std::string();
        if (host == "localhost" || cert::ip_address(host).is_private())
            co_return true;
        for (const dns::record_type type : {dns::record_type::a, dns::record_type::aaaa}) {
            const auto answer = co_await world_.resolve(host, type);
            const auto is_private = [](const dns::record& each) { return cert::ip_address(each.text).is_private(); };
            if (answer && std::ranges::any_of(answer->records, is_private))
                co_return true;
        }
        co_return false;
    }

    // Both families, as CAs take either. Whether all of them are known to be this machine's, or none are known.
    [[nodiscard]] awaitable<bool> look_at_addresses(identifier about)
    {
        texts found;
        bool is_answered = true;
        for (const dns::record_type type : {dns::record_type::a, dns::record_type::aaaa}) {
            const auto answer = co_await world_.resolve(about.value, type);
            const std::string failed = dns_failure(answer);
            if (!failed.empty()) {
                is_answered = false;
                say(about.value, "addresses", health::problem, std::string(dns::to_text(type)) + ": " + failed,
                    "check that all name servers of the domain answer, and DNSSEC");
                continue;
            }
            for (const dns::record& each : answer->records) {
                if (each.type == type)
                    found.push_back(each.text);
            }
        }
        if (found.empty()) {
            if (is_answered)
                say(about.value, "addresses", health::problem, "it has none",
                    "add an A or AAAA record that leads to this machine, or check the spelling");
            co_return true;
        }
        const texts here = world_.local_addresses();
        texts elsewhere;
        std::ranges::copy_if(found, std::back_inserter(elsewhere),
                             [&](const auto& each) { return std::ranges::count(here, each) == 0; });
        const bool leads_here = elsewhere.empty() || here.empty();
        texts closed;
        std::ranges::copy_if(found, std::back_inserter(closed),
                             [](const auto& each) { return cert::ip_address(each).is_private(); });
        bool is_near = true;
        if (!closed.empty())
            is_near = co_await is_ca_in_private_network();
        if (!is_near)
            say(about.value, "addresses", health::warning,
                join(closed) + ": loopback or private, which a public CA does not reach",
                "let the A and AAAA records that the world sees be public addresses that lead to this machine, or use "
                "dns-01");
        if (!leads_here)
            say(about.value, "addresses", health::warning,
                join(elsewhere) + ": not of this machine, which has " + join(here),
                "that is as it should be behind a router, a proxy or a balancer; else correct the record");
        else if (is_near)
            say(about.value, "addresses", health::ok, join(found));
        co_return leads_here;
    }

    // RFC 8659 3: the records of the name, else of the next one above that has any.
    [[nodiscard]] awaitable<> look_at_caa(identifier about, texts methods)
    {
        const bool is_wildcard = about.value.starts_with("*.");
        std::string domain = about.value.substr(is_wildcard ? 2 : 0);
        std::vector<dns::record> records;
        for (;;) {
            const auto answer = co_await world_.resolve(domain, dns::record_type::caa);
            if (const std::string failed = dns_failure(answer); !failed.empty()) {
                say(about.value, "CAA", health::problem, "of " + domain + ": " + failed,
                    "a CA does not issue then; check that all name servers of the domain answer, and DNSSEC");
                co_return;
            }
            std::ranges::copy_if(answer->records, std::back_inserter(records),
                                 [](const auto& each) { return each.type == dns::record_type::caa; });
            const std::string above(cert::parent_of(domain));
            if (!records.empty() || above.empty())
                break;
            domain = above;
        }
        if (records.empty()) {
            say(about.value, "CAA", health::ok, "no records: any CA may issue");
            co_return;
        }
        if (directory_.caa_identities.empty()) {
            say(about.value, "CAA", health::warning,
                domain + " has records, and the CA does not say by which names it goes in them",
                "see what the CA's documentation says");
            co_return;
        }
        const caa_answer answer = decide_caa(records, {is_wildcard, directory_.caa_identities, account_, methods});
        say_caa(about, domain, methods, answer);
    }

    void say_caa(const identifier& about, const std::string& domain, const texts& methods, const caa_answer& answer)
    {
        const std::string& own = directory_.caa_identities.front();
        if (!answer.is_allowed)
            say(about.value, "CAA", health::problem,
                "records of " + domain + " keep this CA from issuing: " + answer.why,
                "add a CAA record to " + domain + ": 0 issue \"" + own + "\", or use a CA that its records name");
        else if (answer.methods.size() < methods.size())
            say(about.value, "CAA", health::warning,
                "records of " + domain + " let this CA issue, but only by " + join(answer.methods),
                "allow only these challenges here, or add to validationmethods in the record");
        else
            say(about.value, "CAA", health::ok,
                answer.is_restricted ? "records of " + domain + " let this CA issue"
                                     : "records of " + domain + " restrict nobody");
    }

    // RFC 8555 8.3, RFC 8737 3.
    [[nodiscard]] awaitable<> look_at_port(challenge_type type, identifier about, bool leads_here)
    {
        const bool is_http = type == challenge_type::http_01;
        const std::uint16_t port = is_http ? asked_.http01_port : asked_.tls_alpn01_port;
        const std::string check = std::string(name_of(type)) + " on port " + std::to_string(port);
        const std::string& not_ours = is_http ? asked_.no_http01_listener : asked_.no_tls_alpn01_listener;
        const trial look{.type = type, .about = about, .port = port};
        const std::string seen = co_await try_answer(world_, storage_, board_, look);
        if (seen.empty()) {
            say(about.value, check, health::ok,
                not_ours.empty() ? "an answer from here is seen by the name"
                                 : "another process on the same folder answers by the name");
            co_return;
        }
        std::string there;
        if (is_http)
            there = co_await who_is_there(about, port);
        if (not_ours.empty())
            say(about.value, check, leads_here ? health::problem : health::warning, seen + there,
                "let this port of every address of the name lead to this machine; check firewalls and routers"
                    + std::string(leads_here ? "" : ", some of which do not lead from the inside to themselves"));
        else
            say(about.value, check, health::problem, seen + there + "; nothing could be put there: " + not_ours,
                is_http ? "let what listens there be an alos server on the same cache_dir, or one whose acme_node is "
                          "this process, or let it pass /.well-known/acme-challenge/ on"
                        : "let what listens there be an alos server on the same cache_dir, or use http-01 or dns-01");
    }

    // What answers by plain HTTP, with a comma before it.
    [[nodiscard]] awaitable<std::string> who_is_there(identifier about, std::uint16_t port)
    {
        http::outbound_request request;
        request.url = detail::http_url(about, port, "/");
        request.timeout = std::chrono::seconds(5);
        const auto got = co_await world_.fetch(std::move(request));
        if (!got)
            co_return "";
        const std::string server(got->field("Server").substr(0, 100));
        co_return ", and what listens there " + (server.empty() ? "does not say what it is" : "calls itself " + server);
    }

    environment& world_;
    storage& storage_;
    board& board_;
    const checkup asked_;
    const finding_teller tell_;
    client ca_;
    directory directory_;
    std::string account_; // URL; empty: none yet
};

}

#endif
