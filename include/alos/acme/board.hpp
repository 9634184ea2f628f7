// Where the answers to challenges stand while the CA looks for them: here, in the storage for the other processes of
// this host, and in the DNS. RFC 8555 8, RFC 8737.
#ifndef ALOS_ACME_BOARD_HPP
#define ALOS_ACME_BOARD_HPP

#include <alos/acme/answers.hpp>
#include <alos/acme/challenge.hpp>
#include <alos/acme/environment.hpp>
#include <alos/acme/objects.hpp>
#include <alos/acme/signal.hpp>
#include <alos/acme/solver.hpp>
#include <alos/acme/storage.hpp>
#include <alos/acme/work_list.hpp>
#include <alos/cert/registry.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <exception>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace alos::inline v0::acme {

// One answer.
struct posting {
    challenge_type type;
    identifier about; // "*." included
    std::string token;
    std::string key_authorization;
};

// All members are called on the manager's thread.
class board {
public:
    // All outlive it.
    board(environment& world, storage& kept, answers& http01, cert::registry& certificates)
        : world_(world), storage_(kept), http01_(http01), certificates_(certificates)
    {
    }

    // Returns when the CA can see it. Of two answers for one name by tls-alpn-01, which has room for one, the second
    // waits for the first to be taken away, whichever process has posted it: no longer than until `insists_until`,
    // which is as long as others wait for this one.
    [[nodiscard]] awaitable<outcome<>> post(posting what, std::shared_ptr<dns_solver> dns, time_point insists_until)
    {
        for (auto standing = find_standing(what); standing != standing_.end(); standing = find_standing(what)) {
            posting old = std::move(*standing);
            standing_.erase(standing);
            if (old.key_authorization != what.key_authorization)
                static_cast<void>(co_await take_down(std::move(old), dns));
        }
        if (what.type == challenge_type::dns_01) {
            std::string name = dns01_name(what.about.value);
            std::string value = dns01_value(what.key_authorization);
            auto done = co_await dns->present(std::move(name), std::move(value));
            co_return done;
        }
        if (what.type == challenge_type::tls_alpn_01) {
            while (taken_.contains(what.about.value))
                co_await left_.wait();
            taken_[what.about.value] = what.key_authorization;
        } else {
            own_[document(what)] = {what.key_authorization, 0};
            http01_.put(what.token, what.key_authorization);
        }
        auto claimed = co_await claim(what, insists_until);
        if (claimed && what.type == challenge_type::tls_alpn_01)
            claimed = show(what.about.value, what.key_authorization);
        co_return claimed;
    }

    // For a CA that has not looked yet when an attempt ends: the answer stays, until another one for the same name is
    // posted.
    [[nodiscard]] awaitable<> let_stand(posting what)
    {
        standing_.push_back(what);
        if (what.type != challenge_type::tls_alpn_01)
            co_return;
        leave(what);
        const auto mine = own_.find(document(what));
        if (mine == own_.end() || mine->second.key_authorization != what.key_authorization)
            co_return;
        const std::uint64_t version = mine->second.version;
        const auto stored = co_await storage_.store(document(what), text_of(what, world_.now()), version);
        if (const auto still = own_.find(document(what)); stored && still != own_.end())
            still->second.version = *stored;
    }

    // Within 2 minutes. What cannot be taken away is said, and forgotten.
    [[nodiscard]] awaitable<outcome<>> take_down(posting what, std::shared_ptr<dns_solver> dns)
    {
        using namespace boost::asio::experimental::awaitable_operators;
        const time_point end = world_.now() + clean_up_time;
        const auto gone = co_await (take_away_caught(what, dns) || world_.sleep_until(end));
        if (gone.index() == 1)
            co_return failure{errc::timed_out, "it is not done after 2 minutes; nobody waits any longer"};
        co_return std::get<0>(gone);
    }

    // Nobody will make another attempt for that name. `dns` may be null, where none is published. The first failure, of
    // several.
    [[nodiscard]] awaitable<outcome<>> take_down_standing(identifier about, std::shared_ptr<dns_solver> dns)
    {
        std::vector<posting> old;
        std::ranges::copy_if(standing_, std::back_inserter(old),
                             [&](const posting& each) { return each.about == about; });
        outcome<> all;
        for (const posting& one : old) {
            outcome<> done;
            if (one.type != challenge_type::dns_01 || dns)
                done = co_await take_down(one, dns);
            // Only now: who is cancelled before leaves it to the next.
            std::erase_if(standing_, [&](const posting& each) {
                return each.type == one.type && each.key_authorization == one.key_authorization;
            });
            if (!done && all)
                all = std::move(done);
        }
        co_return all;
    }

    // Answers here what other processes posted, and no longer what they took down, or left behind when they died. What
    // cannot be read for now is as it was.
    [[nodiscard]] awaitable<> follow_others()
    {
        std::map<std::string, others_posting> seen;
        for (const challenge_type type : {challenge_type::http_01, challenge_type::tls_alpn_01}) {
            const std::string folder = "challenge/" + std::string(name_of(type));
            const auto listed = co_await storage_.list(folder);
            if (!listed) {
                for (const auto& each : others_)
                    if (each.second.what.type == type && is_of_now(each.second.until))
                        seen.insert(each);
                continue;
            }
            for (const std::string& name : *listed) {
                const std::string key = folder + "/" + name;
                const auto known = others_.find(key);
                // Note: a token has one answer, a name has one after another.
                if (type == challenge_type::http_01) {
                    if (own_.contains(key))
                        continue;
                    if (known != others_.end() && is_of_now(known->second.until)) {
                        seen.insert(*known);
                        continue;
                    }
                }
                auto read = co_await read_posting(type, name, key);
                if (!read || is_own(key, read->what))
                    continue;
                const posting& what = read->what;
                const bool is_shown = known != others_.end()
                                      && known->second.what.key_authorization == what.key_authorization;
                if (type == challenge_type::http_01)
                    http01_.put(what.token, what.key_authorization);
                else if (!is_shown && !show(what.about.value, what.key_authorization))
                    continue;
                seen.emplace(key, std::move(*read));
            }
        }
        for (const auto& [key, gone] : others_) {
            if (seen.contains(key) || own_.contains(key))
                continue;
            if (gone.what.type == challenge_type::http_01)
                http01_.remove(gone.what.token);
            else
                hide(gone.what.about.value);
        }
        others_ = std::move(seen);
    }

    // The answer that the text of a document like "challenge/http-01/<token>" has, for who looks into the storage
    // without it; nothing when nobody can read it, or its time is over.
    [[nodiscard]] static std::optional<std::string> answer_in(std::string_view text, time_point now)
    {
        const auto read = parse_posting(text);
        if (!read || !is_of(read->until, now))
            return std::nullopt;
        return read->key_authorization;
    }

private:
    static constexpr std::chrono::minutes clean_up_time{2}; // of an answer, which may be in the DNS
    static constexpr std::chrono::hours life{24}; // of an answer whose process died
    static constexpr std::chrono::hours longest_insistence{1}; // longer than any attempt: a clock was wrong

    static std::string document(const posting& what)
    {
        const bool by_token = what.type == challenge_type::http_01;
        return "challenge/" + std::string(name_of(what.type)) + "/" + (by_token ? what.token : what.about.value);
    }

    // Three lines: the answer, until when it is one at all, and until when its process wants the place to itself.
    secret_text text_of(const posting& what, time_point insists_until) const
    {
        const auto seconds = [](time_point when) { return std::to_string(std::chrono::system_clock::to_time_t(when)); };
        const std::string text = what.key_authorization + "\n" + seconds(world_.now() + life) + "\n"
                                 + seconds(insists_until) + "\n";
        return {text.begin(), text.end()};
    }

    // What somebody else's code throws, a dns_solver for example, is a failure like any other.
    [[nodiscard]] awaitable<outcome<>> take_away_caught(posting what, std::shared_ptr<dns_solver> dns)
    {
        std::exception_ptr thrown;
        try {
            auto done = co_await take_away(std::move(what), std::move(dns));
            co_return done;
        } catch (...) {
            thrown = std::current_exception();
        }
        if (is_cancellation(thrown))
            std::rethrow_exception(thrown);
        co_return failure{errc::program_failed, text_of_exception(thrown)};
    }

    [[nodiscard]] awaitable<outcome<>> take_away(posting what, std::shared_ptr<dns_solver> dns)
    {
        if (what.type == challenge_type::dns_01) {
            std::string name = dns01_name(what.about.value);
            std::string value = dns01_value(what.key_authorization);
            auto done = co_await dns->clean_up(std::move(name), std::move(value));
            co_return done;
        }
        if (what.type == challenge_type::tls_alpn_01)
            leave(what);
        const auto mine = own_.find(document(what));
        // Of another order, that this one waited for in vain.
        if (mine == own_.end() || mine->second.key_authorization != what.key_authorization)
            co_return outcome<>();
        std::optional<std::uint64_t> version; // nobody else answers for a token
        if (what.type == challenge_type::tls_alpn_01)
            version = mine->second.version;
        own_.erase(mine);
        if (what.type == challenge_type::http_01)
            http01_.remove(what.token);
        else
            hide(what.about.value);
        auto erased = co_await storage_.erase(document(what), version);
        if (!erased && erased.error().code == errc::conflict) // somebody else's is there
            erased = outcome<>();
        co_return erased;
    }

    // Puts it into the storage, for the other processes, when no other answer insists on that place.
    [[nodiscard]] awaitable<outcome<>> claim(posting what, time_point insists_until)
    {
        const std::string key = document(what);
        for (;;) {
            const auto there = co_await storage_.load(key);
            if (!there)
                co_return there.error();
            const std::uint64_t version = *there ? (*there)->version : 0;
            const time_point now = world_.now();
            const auto insisting = *there ? parse_posting(as_text((*there)->text)) : std::optional<kept_posting>();
            if (insisting && insisting->insists_until > now && insisting->insists_until < now + longest_insistence
                && insisting->key_authorization != what.key_authorization) {
                if (now >= insists_until)
                    co_return failure{errc::timed_out, "another process answers for it; the next attempt goes on"};
                co_await world_.sleep_until(std::min(insists_until, now + std::chrono::seconds(1)));
                continue;
            }
            const auto stored = co_await storage_.store(key, text_of(what, insists_until), version);
            if (stored) {
                own_[key] = {what.key_authorization, *stored};
                co_return outcome<>();
            }
            if (stored.error().code != errc::conflict)
                co_return stored.error();
        }
    }

    // One that stands for that name, by the same type of challenge.
    [[nodiscard]] std::vector<posting>::iterator find_standing(const posting& like)
    {
        return std::ranges::find_if(
            standing_, [&](const posting& each) { return each.about == like.about && each.type == like.type; });
    }

    // The next one for that name has its turn.
    void leave(const posting& what)
    {
        const auto place = taken_.find(what.about.value);
        if (place == taken_.end() || place->second != what.key_authorization)
            return;
        taken_.erase(place);
        left_.notify_all();
    }

    // One of this process; or not any more, as another one has taken its place.
    [[nodiscard]] bool is_own(const std::string& key, const posting& there)
    {
        const auto mine = own_.find(key);
        if (mine == own_.end())
            return false;
        if (mine->second.key_authorization == there.key_authorization)
            return true;
        own_.erase(mine);
        if (const auto standing = find_standing(there); standing != standing_.end())
            standing_.erase(standing);
        return false;
    }

    // Whether an answer may be one at all until then, or was forgotten by a process that died.
    [[nodiscard]] bool is_of_now(time_point until) const { return is_of(until, world_.now()); }

    static bool is_of(time_point until, time_point now) { return until >= now && until <= now + life * 2; }

    struct others_posting {
        posting what;
        time_point until; // it is one at all
    };

    struct kept_posting {
        std::string key_authorization;
        time_point until;
        time_point insists_until;
    };

    static std::optional<kept_posting> parse_posting(std::string_view text)
    {
        kept_posting read;
        read.key_authorization = http::next_part(text, '\n');
        const auto until = http::parse_decimal(http::next_part(text, '\n'));
        const auto insists_until = http::parse_decimal(http::next_part(text, '\n'));
        constexpr std::uint64_t latest = 1ull << 33; // of the clock's range
        if (!until || !insists_until || *until > latest || *insists_until > latest)
            return std::nullopt;
        read.until = std::chrono::system_clock::from_time_t(static_cast<std::time_t>(*until));
        read.insists_until = std::chrono::system_clock::from_time_t(static_cast<std::time_t>(*insists_until));
        return read;
    }

    // Nothing when it is gone, makes no sense, or is forgotten by a process that died; that one is erased.
    [[nodiscard]] awaitable<std::optional<others_posting>> read_posting(challenge_type type, std::string name,
                                                                        std::string key)
    {
        const auto kept = co_await storage_.load(key);
        if (const auto known = others_.find(key); !kept && known != others_.end() && is_of_now(known->second.until))
            co_return known->second;
        if (!kept || !kept->has_value())
            co_return std::nullopt;
        const auto read = parse_posting(as_text((*kept)->text));
        if (!read || !is_of_now(read->until)) {
            static_cast<void>(co_await storage_.erase(key, (*kept)->version));
            co_return std::nullopt;
        }
        if (type == challenge_type::http_01)
            co_return others_posting{{type, {}, name, read->key_authorization}, read->until};
        const auto about = identifier_of(name);
        if (!about)
            co_return std::nullopt;
        co_return others_posting{{type, *about, {}, read->key_authorization}, read->until};
    }

    [[nodiscard]] outcome<> show(const std::string& name, const std::string& key_authorization)
    {
        auto made = make_tls_alpn_credential(name, key_authorization, world_.now());
        if (!made)
            return made.error();
        return certificates_.set_challenge(tls_alpn_server_name(name), std::move(*made));
    }

    void hide(const std::string& name)
    {
        static_cast<void>(certificates_.set_challenge(tls_alpn_server_name(name), nullptr));
    }

    environment& world_;
    storage& storage_;
    answers& http01_;
    cert::registry& certificates_;
    struct own_posting {
        std::string key_authorization;
        std::uint64_t version = 0; // of its document; 0: it is not stored
    };

    std::map<std::string, own_posting> own_; // by document
    std::map<std::string, others_posting> others_; // by document
    std::map<std::string, std::string> taken_; // key authorizations by the names that tls-alpn-01 proves here
    std::vector<posting> standing_; // at their places for the next attempt
    signal left_;
};

}

#endif
