// An ACME server (RFC 8555, 8737, 8738, 9773) as a function from request to answer, strict about what clients send and,
// where a test wants it, hostile in what it answers. It lives in a simulated_world, which it asks when it validates.
#ifndef ALOS_TESTS_SCRIPTED_CA_HPP
#define ALOS_TESTS_SCRIPTED_CA_HPP

#include "support/scripted_ca_hostility.hpp"
#include "support/scripted_ca_issue.hpp"
#include "support/scripted_ca_jws.hpp"
#include "support/simulated_world.hpp"

#include <alos/http/date.hpp>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include <charconv>
#include <functional>
#include <unordered_map>
#include <unordered_set>

namespace test {

struct ca_settings {
    std::string url = "https://ca.test"; // the directory is /directory below it
    std::chrono::seconds lifetime = std::chrono::hours(24 * 90);
    std::map<std::string, std::chrono::seconds> profiles{}; // name and lifetime; none: no profiles
    std::map<std::string, std::string> external_accounts{}; // key identifier and HMAC key
    bool external_account_required = false;
    std::string terms_of_service{};
    std::chrono::seconds order_lifetime = std::chrono::hours(24 * 7);
    std::chrono::seconds authorization_reuse{0}; // how long a valid one is; 0: never reused
    bool renewal_info = true;
    std::chrono::seconds renewal_retry_after = std::chrono::hours(6);
    unsigned alternates = 0; // further chains
    std::chrono::milliseconds longest_validation{5000};
    std::chrono::milliseconds longest_issuance{5000};
    unsigned perspectives = 2;    // that look for an answer to a challenge
    double verified_share = 0.01; // of the signatures that could be believed
    ca_limits limits{};
    bool enforces_limits = true; // otherwise they are only counted
    std::chrono::seconds longest_retry_after = std::chrono::hours(2);
    std::chrono::seconds longest_processing = std::chrono::hours(12);
};

// What it issued.
struct issued_certificate {
    std::uint64_t account = 0;
    std::uint64_t order = 0;
    std::vector<std::string> names; // sorted
    std::string id;                 // RFC 9773 4.1
    time_point issued_at;
    time_point not_before;
    time_point not_after;
    std::size_t key_hash = 0; // of SubjectPublicKeyInfo
    bool good = true;         // what the order asked for
    bool delivered = false;
    bool revoked = false;
    std::uint64_t replaced_by = 0; // an order
    time_point window_start;       // that was last suggested
    time_point earliest_window = time_point::max(); // start of any that was suggested
    bool is_rsa = false;
    byte_vector der;               // as long as it can be downloaded
};

class scripted_ca {
public:
    enum class step {
        directory,
        new_nonce,
        new_account,
        account,
        new_order,
        order,
        authorization,
        challenge,
        finalize,
        certificate,
        renewal_info,
        revoke_cert,
        key_change,
        unknown,
    };

    // Serves its host in `world`, which outlives it and is not run any more when it is gone.
    scripted_ca(simulated_world& world, ca_settings with, std::uint64_t seed)
        : settings(std::move(with)), world_(world), random_(seed)
    {
        const spelled_url here(settings.url);
        world.serve(here.host, [this](const http::outbound_request& request) { return answer(request); });
    }

    scripted_ca(const scripted_ca&) = delete;
    scripted_ca& operator=(const scripted_ca&) = delete;
    ~scripted_ca() { world_.serve(spelled_url(settings.url).host, nullptr); }

    [[nodiscard]] std::string directory_url() const { return settings.url + "/directory"; }

    [[nodiscard]] outcome<http::outbound_response> answer(const http::outbound_request& request);

    // What it does from now on. Calm is willing.
    void behave(const hostility& next)
    {
        if (stormy_)
            unwilling_until(world_.now());
        const bool storm = !is_calm(next);
        if (storm && !stormy_)
            storm_since_ = world_.now();
        stormy_ = storm;
        hostile_ = next;
    }

    // From now on storms come and go.
    void live_through(const weather& sky) { begin_calm(sky); }

    // Refuses a name for good until then: "rejectedIdentifier" at newOrder, anything else ("caa") at the challenge.
    void refuse(const std::string& name, const std::string& type, time_point until)
    {
        refusals_[name] = {type, until};
        refused_[name].add(world_.now(), until);
    }

    // As after a compromise: renewal information tells it (RFC 9773 4.2).
    void revoke(issued_certificate& which) { which.revoked = true; }
    void move_directory() { ++epoch_; }
    void lose_accounts()
    {
        accounts_.clear();
        account_of_.clear();
    }

    // Whether it would have issued for this name at any time in [from, to], had it been asked properly. What the
    // network does is no matter of its will.
    [[nodiscard]] bool was_willing(const std::string& name, time_point from, time_point to) const
    {
        const auto refused = refused_.find(name);
        return !unwilling_.touches(from, to) && !(stormy_ && storm_since_ <= to)
               && (refused == refused_.end() || !refused->second.touches(from, to));
    }

    // For how long it has been willing by now; zero when it is not.
    [[nodiscard]] std::chrono::nanoseconds willing_for(const std::string& name) const
    {
        const auto refused = refused_.find(name);
        time_point since = unwilling_.end();
        if (refused != refused_.end())
            since = std::max(since, refused->second.end());
        if (stormy_ || since >= world_.now())
            return std::chrono::nanoseconds(0);
        return world_.now() - since;
    }

    // What a client did that it must not, the limits of the settings included. The first thousand.
    [[nodiscard]] const std::vector<std::string>& breaches() const noexcept { return breaches_; }

    [[nodiscard]] std::vector<issued_certificate>& issued() noexcept { return issued_; }

    // What it knows of this certificate; null: it did not issue it.
    [[nodiscard]] issued_certificate* find_issued(byte_view der)
    {
        const auto found =
            issued_by_id_.find(issuing_authority::shared().key_identifier_text() + "." + to_base64url(serial_of(der)));
        return found == issued_by_id_.end() ? nullptr : &issued_[found->second];
    }

    [[nodiscard]] std::uint64_t requests(step at) const { return requests_[static_cast<std::size_t>(at)]; }
    [[nodiscard]] std::size_t accounts() const noexcept { return accounts_.size(); }
    [[nodiscard]] const hostility& behaves() const noexcept { return hostile_; }

    // How often it did this to somebody.
    [[nodiscard]] std::uint64_t times(double hostility::*what) const { return struck_[index_of(what)]; }

    // Called with every request before it takes effect: to kill a member at that very moment.
    std::function<void(step)> on_request;

    // Called with every answer to such a request before it goes on its way: to change it.
    std::function<void(step, http::outbound_response&)> on_answer;

    ca_settings settings;

private:
    using response = http::outbound_response;

    struct identifier {
        std::string type;
        std::string value; // without "*."
        bool wildcard = false;

        [[nodiscard]] std::string name() const { return wildcard ? "*." + value : value; }
    };

    struct account {
        std::uint64_t number = 0;
        public_jwk key;
        json::array contact;
        bool deactivated = false;
        tally orders;
        std::map<std::string, tally> failures; // by identifier
    };

    struct challenge {
        std::string type;
        std::string token;
        std::string status = "pending";
        std::string error_type;
        time_point validated;
    };

    struct authorization {
        std::uint64_t number = 0;
        std::uint64_t account = 0;
        identifier of;
        std::string status = "pending";
        time_point expires;
        std::vector<challenge> challenges;
    };

    struct order {
        std::uint64_t number = 0;
        std::uint64_t account = 0;
        std::vector<identifier> identifiers;
        std::vector<std::uint64_t> authorizations;
        std::string profile;
        std::string replaces;
        time_point expires;
        bool foreign = false;
        bool never_ready = false;
        bool odd = false;
        std::optional<std::size_t> certificate; // in issued_
        time_point issued_at;                   // processing until then
    };

    // One request on its way through.
    struct call {
        const http::outbound_request& request;
        step at;
        std::vector<std::string_view> parts; // of the path
        json_page page{};
        std::optional<json::value> body{};
        std::optional<opened_jws> jws{};
        account* by = nullptr;           // who signed
        std::optional<public_jwk> jwk{}; // or with what
        json::value payload{};
    };

    enum class signer { account, key, either };

    // The weather.
    void begin_calm(weather sky)
    {
        behave({});
        world_.after(random_.between(sky.shortest_calm, sky.longest_calm), [this, sky] { begin_storm(sky); });
    }

    void begin_storm(weather sky)
    {
        hostility storm;
        constexpr std::array<double, 5> strengths{0.02, 0.1, 0.3, 0.9, 1.0};
        for (std::uint64_t left = 1 + random_.below(sky.most_behaviours); left > 0; --left)
            storm.*behaviours[random_.below(behaviours.size())].chance = strengths[random_.below(strengths.size())];
        behave(storm);
        world_.after(random_.between(sky.shortest_storm, sky.longest_storm), [this, sky] { begin_calm(sky); });
    }

    static std::size_t index_of(double hostility::*what)
    {
        return static_cast<std::size_t>(std::ranges::find(behaviours, what, &behaviour::chance) - behaviours.begin());
    }

    bool strikes(double hostility::*what)
    {
        if (!random_.chance(hostile_.*what))
            return false;
        ++struck_[index_of(what)];
        return true;
    }

    void unwilling_until(time_point end) { unwilling_.add(stormy_ ? storm_since_ : world_.now(), end); }

    void breach(std::string what)
    {
        if (breaches_.size() < 1000)
            breaches_.push_back(std::move(what));
    }

    // Whether one more would be too many. That is a breach, and refused if limits are enforced.
    bool exceeds(tally& so_far, const limit& allowed, const std::string& what)
    {
        if (!so_far.is_full(allowed, world_.now()))
            return false;
        breach("more than " + std::to_string(allowed.most) + " " + what);
        return settings.enforces_limits;
    }

    // Texts.
    [[nodiscard]] std::string resource(std::string_view kind, std::uint64_t number) const
    {
        return settings.url + "/" + std::string(kind) + "/" + std::to_string(number);
    }

    [[nodiscard]] std::string entrance(std::string_view name) const
    {
        return settings.url + "/d" + std::to_string(epoch_) + "/" + std::string(name);
    }

    // RFC 3339, as RFC 8555 7.1 and RFC 9773 4.2 want it; with fractions now and then.
    std::string time_text(time_point when)
    {
        using namespace std::chrono;
        const auto day = floor<days>(when);
        const year_month_day date(day);
        const hh_mm_ss clock(floor<seconds>(when - day));
        std::array<char, 48> text{};
        std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d%s", static_cast<int>(date.year()),
                      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                      static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                      static_cast<int>(clock.seconds().count()), random_.chance(0.2) ? ".000000Z" : "Z");
        return text.data();
    }

    static json::array identifiers_of(const std::vector<identifier>& list)
    {
        json::array out;
        for (const identifier& one : list)
            out.push_back(json::object{{"type", one.type}, {"value", one.name()}});
        return out;
    }

    // The names of an order, sorted.
    static std::vector<std::string> names_of(const std::vector<identifier>& list)
    {
        std::vector<std::string> names;
        for (const identifier& one : list)
            names.push_back(one.name());
        std::ranges::sort(names);
        return names;
    }

    static std::string joined(const std::vector<std::string>& names)
    {
        std::string text;
        for (const std::string& each : names)
            (text += each) += ',';
        return text;
    }

    static response reply(unsigned status, const json::object& body)
    {
        response out;
        out.status = status;
        out.fields.emplace_back("Content-Type", "application/json");
        out.body = json::serialize(body);
        return out;
    }

    // RFC 8555 6.7
    static response problem(unsigned status, const std::string& type, const std::string& detail,
                            json::array subproblems = {})
    {
        json::object body{{"type", "urn:ietf:params:acme:error:" + type}, {"detail", detail}, {"status", status}};
        if (!subproblems.empty())
            body["subproblems"] = std::move(subproblems);
        response out = reply(status, body);
        out.fields.front().second = "application/problem+json";
        return out;
    }

    static response not_found() { return problem(404, "malformed", "no such resource"); }

    // Seconds, or a date by a clock that may be hours wrong and says so in Date (RFC 9110 10.2.3).
    void add_retry_after(response& to, std::chrono::seconds wait)
    {
        if (random_.chance(0.5)) {
            to.fields.emplace_back("Retry-After", std::to_string(wait.count()));
            return;
        }
        const auto skew = random_.between(std::chrono::seconds(-7200), std::chrono::seconds(7200));
        const std::time_t wrong = std::chrono::system_clock::to_time_t(world_.now() + skew);
        to.fields.emplace_back("Date", http::format_date(wrong));
        to.fields.emplace_back("Retry-After", http::format_date(wrong + static_cast<std::time_t>(wait.count())));
    }

    response throttled(unsigned status, std::chrono::seconds wait, const std::string& detail)
    {
        response out = problem(status, "rateLimited", detail);
        add_retry_after(out, wait);
        unwilling_until(world_.now() + wait);
        return out;
    }

    response over_limit(time_point free_at)
    {
        const auto wait = std::chrono::ceil<std::chrono::seconds>(free_at - world_.now());
        return throttled(429, std::max(wait, std::chrono::seconds(1)), "too many of them lately");
    }

    // RFC 8555 6.5. One is good for two hours.
    std::string make_nonce()
    {
        while (!nonce_order_.empty() && nonce_order_.front().first + std::chrono::hours(2) < world_.now()) {
            nonces_.erase(nonce_order_.front().second);
            nonce_order_.pop_front();
        }
        std::string nonce = random_.token(22);
        nonces_.emplace(nonce, false);
        nonce_order_.emplace_back(world_.now(), nonce);
        return nonce;
    }

    [[nodiscard]] step step_of(const std::vector<std::string_view>& parts) const;
    std::optional<response> turn_away(const call& one);
    std::optional<response> authenticate(call& one, signer by);
    std::optional<response> check_protected(call& one, signer by);
    response handle(call& one);

    response directory();
    response new_account(call& one);
    response change_account(call& one);
    response change_key(call& one);
    response new_order(call& one);
    response show_order(call& one);
    response finalize(call& one);
    response show_authorization(call& one);
    response answer_challenge(call& one);
    response download(call& one);
    response renewal_info(call& one);
    response revoke_certificate(call& one);

    std::optional<response> read_identifiers(const json::value& payload, std::vector<identifier>& into);
    std::optional<response> check_replaces(call& one, const std::vector<identifier>& wanted, const std::string& id,
                                           bool& exempt);
    bool is_external_account(const json::value& binding, call& one);
    std::uint64_t authorize(const account& by, const identifier& what, const order& in);
    json::object body_of(const order& which);
    json::object body_of(const authorization& which);
    json::object body_of(const authorization& of, std::size_t index);
    [[nodiscard]] std::string status_of(const order& which) const;
    [[nodiscard]] std::string status_of(const authorization& which) const;
    void validate(std::uint64_t number, std::size_t index, const std::string& thumbprint);
    [[nodiscard]] std::string find_fault(const authorization& which, const challenge& one,
                                         const std::string& thumbprint);
    void issue(order& to, byte_view key_info);
    void forget_expired();

    template <class Map>
    static auto* find_number(Map& in, std::string_view text)
    {
        std::uint64_t number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        const auto found = in.find(number);
        const bool whole = error == std::errc() && end == text.data() + text.size();
        return whole && found != in.end() ? &found->second : nullptr;
    }

    simulated_world& world_;
    dice random_;
    hostility hostile_;
    bool stormy_ = false;
    time_point storm_since_;
    stretches unwilling_;
    std::map<std::string, stretches> refused_;
    std::map<std::string, std::pair<std::string, time_point>> refusals_;
    std::array<std::uint64_t, behaviours.size()> struck_{};
    std::array<std::uint64_t, static_cast<std::size_t>(step::unknown) + 1> requests_{};
    std::vector<std::string> breaches_;

    std::uint64_t epoch_ = 1;
    std::uint64_t last_number_ = 0;
    std::unordered_map<std::string, bool> nonces_; // whether it was used
    std::deque<std::pair<time_point, std::string>> nonce_order_;
    std::unordered_map<std::uint64_t, account> accounts_;
    std::unordered_map<std::string, std::uint64_t> account_of_; // by thumbprint
    tally new_accounts_;
    std::unordered_map<std::uint64_t, order> orders_;
    std::unordered_map<std::uint64_t, authorization> authorizations_;
    std::unordered_map<std::string, std::uint64_t> reusable_;
    std::deque<std::pair<time_point, std::uint64_t>> to_forget_;
    std::vector<issued_certificate> issued_;
    std::unordered_map<std::string, std::size_t> issued_by_id_;
    std::unordered_map<std::string, tally> issued_for_; // by exact set
    std::unordered_set<std::size_t> keys_;              // of all certificates so far, hashed
};

}

#include "support/scripted_ca_accounts.hpp"
#include "support/scripted_ca_certificates.hpp"
#include "support/scripted_ca_orders.hpp"
#include "support/scripted_ca_requests.hpp"

#endif
