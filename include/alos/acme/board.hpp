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
#include <alos/cert/registry.hpp>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

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
    // waits for the first to be taken away.
    [[nodiscard]] awaitable<outcome<>> post(posting what, std::shared_ptr<dns_solver> dns)
    {
        const auto standing = standing_.find({what.about, what.type});
        if (standing != standing_.end()) {
            posting old = standing->second;
            standing_.erase(standing);
            if (old.key_authorization != what.key_authorization)
                static_cast<void>(co_await take_down(std::move(old), dns));
        }
        switch (what.type) {
        case challenge_type::http_01: http01_.put(what.token, what.key_authorization); break;
        case challenge_type::tls_alpn_01: {
            while (taken_.contains(what.about.value))
                co_await left_.wait();
            if (auto shown = show(what.about.value, what.key_authorization); !shown)
                co_return shown;
            taken_.insert(what.about.value);
            break;
        }
        case challenge_type::dns_01: {
            std::string name = dns01_name(what.about.value);
            std::string value = dns01_value(what.key_authorization);
            auto done = co_await dns->present(std::move(name), std::move(value));
            co_return done;
        }
        }
        own_[document(what)] = what.key_authorization;
        const auto until = std::chrono::system_clock::to_time_t(world_.now() + life);
        const std::string text = what.key_authorization + "\n" + std::to_string(until) + "\n";
        secret_text kept(text.begin(), text.end());
        const auto stored = co_await storage_.store(document(what), std::move(kept), std::nullopt);
        if (!stored)
            co_return stored.error();
        co_return outcome<>();
    }

    // For a CA that has not looked yet when an attempt ends: the answer stays, until the next one for the same name is
    // posted.
    void let_stand(const posting& what)
    {
        standing_[{what.about, what.type}] = what;
        if (what.type == challenge_type::tls_alpn_01) {
            taken_.erase(what.about.value);
            left_.notify_all();
        }
    }

    // What cannot be taken away is said, and forgotten.
    [[nodiscard]] awaitable<outcome<>> take_down(posting what, std::shared_ptr<dns_solver> dns)
    {
        const auto mine = own_.find(document(what));
        const bool is_there = mine != own_.end() && mine->second == what.key_authorization;
        // Of another order, that this one waited for in vain.
        if (what.type != challenge_type::dns_01 && !is_there)
            co_return outcome<>();
        switch (what.type) {
        case challenge_type::http_01: http01_.remove(what.token); break;
        case challenge_type::tls_alpn_01:
            hide(what.about.value);
            taken_.erase(what.about.value);
            left_.notify_all();
            break;
        case challenge_type::dns_01: {
            std::string name = dns01_name(what.about.value);
            std::string value = dns01_value(what.key_authorization);
            auto done = co_await dns->clean_up(std::move(name), std::move(value));
            co_return done;
        }
        }
        own_.erase(document(what));
        auto erased = co_await storage_.erase(document(what));
        co_return erased;
    }

    // Answers here what other processes posted, and no longer what they took down.
    [[nodiscard]] awaitable<> follow_others()
    {
        std::map<std::string, posting> seen;
        for (const challenge_type type : {challenge_type::http_01, challenge_type::tls_alpn_01}) {
            const std::string folder = "challenge/" + std::string(name_of(type));
            const auto listed = co_await storage_.list(folder);
            if (!listed)
                continue;
            for (const std::string& name : *listed) {
                const std::string key = folder + "/" + name;
                if (own_.contains(key))
                    continue;
                if (const auto known = others_.find(key); known != others_.end()) {
                    seen.insert(*known);
                    continue;
                }
                auto read = co_await read_posting(type, name, key);
                if (!read || own_.contains(key))
                    continue;
                if (type == challenge_type::http_01)
                    http01_.put(read->token, read->key_authorization);
                else if (!show(read->about.value, read->key_authorization))
                    continue;
                seen.emplace(key, std::move(*read));
            }
        }
        for (const auto& [key, gone] : others_) {
            if (seen.contains(key) || own_.contains(key))
                continue;
            if (gone.type == challenge_type::http_01)
                http01_.remove(gone.token);
            else if (!taken_.contains(gone.about.value))
                hide(gone.about.value);
        }
        others_ = std::move(seen);
    }

private:
    static constexpr std::chrono::hours life{24}; // of an answer whose process died

    static std::string document(const posting& what)
    {
        const bool by_token = what.type == challenge_type::http_01;
        return "challenge/" + std::string(name_of(what.type)) + "/" + (by_token ? what.token : what.about.value);
    }

    // Nothing when it is gone, unreadable, or forgotten by a process that died; that one is erased.
    [[nodiscard]] awaitable<std::optional<posting>> read_posting(challenge_type type, std::string name, std::string key)
    {
        const auto kept = co_await storage_.load(key);
        if (!kept || !kept->has_value())
            co_return std::nullopt;
        std::string_view rest = as_text((*kept)->text);
        const std::string key_authorization(http::next_part(rest, '\n'));
        const auto until = http::parse_decimal(http::next_part(rest, '\n'));
        const auto now = static_cast<std::uint64_t>(std::chrono::system_clock::to_time_t(world_.now()));
        if (!until || *until < now) {
            static_cast<void>(co_await storage_.erase(key));
            co_return std::nullopt;
        }
        if (type == challenge_type::http_01)
            co_return posting{type, {}, name, key_authorization};
        const auto about = identifier_of(name);
        if (!about)
            co_return std::nullopt;
        co_return posting{type, *about, {}, key_authorization};
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
    std::map<std::string, std::string> own_; // key authorizations by document
    std::map<std::string, posting> others_;  // by document
    std::set<std::string> taken_;            // names shown by tls-alpn-01
    std::map<std::pair<identifier, challenge_type>, posting> standing_;
    signal left_;
};

}

#endif
