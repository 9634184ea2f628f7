// One CA, spoken to: its directory, nonces, and signed requests that are repeated where the protocol says so.
// RFC 8555 6 and 7.1.
#ifndef ALOS_ACME_CLIENT_HPP
#define ALOS_ACME_CLIENT_HPP

#include <alos/acme/config.hpp>
#include <alos/acme/environment.hpp>
#include <alos/acme/jws.hpp>
#include <alos/acme/link.hpp>
#include <alos/acme/objects.hpp>
#include <alos/acme/signal.hpp>
#include <alos/http/url.hpp>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace alos::inline v0::acme {

// Why a CA did not do what it was asked for.
struct refusal {
    failure_class kind = failure_class::transient;
    std::string what; // one sentence: the phase, the CA's own words, the cure
    std::optional<std::chrono::seconds> retry_after{};
    problem why{};        // without a type when it was no problem document that came back
    bool is_ours = false; // the trouble is here: a disk, a lock
    bool is_not_its_turn = false; // nothing failed: others were asked for so much that this has to wait a moment
    bool is_under_way = false; // nothing failed: the CA is still at work on the order, which is gone on with
    std::string account{}; // URL of the account that signed what was refused; empty: none did
    bool is_unsent = false; // the CA has never seen the request
};

[[nodiscard]] inline refusal unsent(refusal why)
{
    why.is_unsent = true;
    return why;
}

// Whether a request may be refused for the account or key that signed it. Note: many CAs say "malformed" of a signature
// by another key than the account's.
[[nodiscard]] inline bool may_mean_signer(const problem& why) noexcept
{
    return why.type == "unauthorized" || (why.type == "malformed" && why.status == 400);
}

// Makes reply<T>::value() throw what a caller who does not check expects.
[[noreturn]] inline void throw_exception_from_error(const refusal& why, const boost::source_location&)
{
    throw boost::system::system_error(make_error_code(errc::refused), why.what);
}

template <class T = void>
using reply = boost::system::result<T, refusal>;

// An account at a CA: the key that signs, and the URL that names it (RFC 8555 7.3).
struct signer {
    account_key key;
    std::string url{}; // empty: the key itself is sent
};

// Whether a request failed for reasons that have nothing to do with what was asked for.
[[nodiscard]] inline bool says_nothing(const refusal& why) noexcept
{
    const problem& said = why.why;
    return why.is_unsent || said.status == 0 || said.status == 408 || said.status >= 500
           || why.kind == failure_class::throttled || said.type == "badNonce" || said.type == "userActionRequired";
}

// A URL that an answer names, maybe relative to where it came from (RFC 9110 10.2.2); empty if it names none. One that
// is absolute stays as the CA wrote it, which may compare it so (RFC 8555 6.4).
[[nodiscard]] inline std::string url_in(const http::outbound_response& answer, std::string_view reference)
{
    const bool is_absolute = reference.starts_with("https://") || reference.starts_with("http://");
    if (is_absolute && reference.find('#') == reference.npos && http::parse_url(reference))
        return std::string(reference);
    const auto base = http::parse_url(answer.url);
    if (!base || reference.empty())
        return {};
    const auto found = http::resolve_reference(*base, reference);
    return found ? found->text() : std::string();
}

// All members are called on one thread; several requests may be under way together.
class client {
public:
    // `world` outlives it.
    client(environment& world, certificate_authority ca) : world_(world), ca_(std::move(ca)) {}

    // Reads the CA's own roots, if that is not done. Without it the first request does; then what fails shows later.
    [[nodiscard]] outcome<> prepare()
    {
        if (!ca_.directory.starts_with("https://") && !(ca_.allow_http && ca_.directory.starts_with("http://")))
            return failure{errc::bad_configuration,
                           ca_.directory + ": the directory of a CA has an https URL; correct it"};
        if (ca_.roots_file.empty() || trust_)
            return {};
        const auto pem = world_.files().read(ca_.roots_file, max_pem_size);
        if (!pem)
            return failure{pem.error(), ca_.roots_file + ": the authorities for " + ca_.directory
                                            + " cannot be read: " + pem.error().message() + "; check the path"};
        trust_ = std::make_shared<const http::trust>(http::trust{.roots_pem = std::string(as_text(*pem))});
        return {};
    }

    [[nodiscard]] const certificate_authority& ca() const noexcept { return ca_; }
    [[nodiscard]] environment& world() const noexcept { return world_; }

    // Told in one sentence, once for each page, that the CA wants its users to visit one (RFC 8555 7.3.3).
    std::function<void(std::string)> on_action_required;

    // Told in one sentence of a request that takes long, once for each.
    std::function<void(std::string)> on_progress;

    // RFC 8555 7.1.1. Asked for once, whoever waits for the answer, when what is known is older than `age`.
    [[nodiscard]] awaitable<reply<std::shared_ptr<const directory>>>
    find_directory(std::chrono::hours age = std::chrono::hours(24))
    {
        const unsigned before = directories_refused_;
        while (fetching_directory_)
            co_await directory_fetched_.wait();
        const time_point now = world_.now();
        if (directory_ && now >= directory_read_ && now - directory_read_ < age)
            co_return directory_;
        if (before != directories_refused_)
            co_return directory_refusal_;
        // Whatever ends this (a cancellation, too), the next one has its turn.
        struct turn {
            client& of;
            explicit turn(client& asking) noexcept : of(asking) { of.fetching_directory_ = true; }
            ~turn()
            {
                of.fetching_directory_ = false;
                of.directory_fetched_.notify_all();
            }
        };
        const turn ours(*this);
        auto answer = co_await get(ca_.directory, "directory");
        if (!answer)
            co_return no_directory(answer.error());
        auto read = parse_directory(answer->body);
        if (!read)
            co_return no_directory({failure_class::transient,
                                    "directory: " + read.error().what + " (" + ca_.directory + ")"});
        directory_ = std::make_shared<const directory>(std::move(*read));
        directory_read_ = world_.now();
        co_return directory_;
    }

    // The next one who needs the directory asks for it again.
    void forget_directory() { directory_.reset(); }

    // draft-ietf-acme-profiles 4: no profile is asked for that the directory does not list. Empty: the CA's default.
    [[nodiscard]] awaitable<reply<>> check_profile(std::string name)
    {
        if (name.empty())
            co_return reply<>();
        const auto known = co_await find_directory();
        if (!known)
            co_return known.error();
        const auto& profiles = (*known)->profiles;
        if (profiles.contains(name))
            co_return reply<>();
        std::string cure = profiles.empty() ? "it has none; leave `profile` empty" : "choose one of ";
        for (const auto& [each, meaning] : profiles)
            cure += each + ", ";
        cure += profiles.empty() ? "" : "or leave `profile` empty";
        co_return refusal{failure_class::permanent,
                          "order: " + ca_.directory + " has no profile '" + name + "'; " + cure};
    }

    // A resource of the directory's; asked for again once when the CA has moved it.
    [[nodiscard]] awaitable<reply<http::outbound_response>> post(std::string directory::*resource, std::string payload,
                                                                 signer by, std::string phase)
    {
        for (bool again = false;; again = true) {
            const auto known = co_await find_directory();
            if (!known) {
                refusal why = known.error();
                why.is_unsent = !again;
                co_return why;
            }
            const std::string url = (**known).*resource;
            if (url.empty())
                co_return unsent({failure_class::permanent, phase + ": " + ca_.directory + " does not offer it"});
            auto answer = co_await post(url, payload, by, phase);
            if (answer || again || !is_moved(answer.error()))
                co_return answer;
            forget_directory();
        }
    }

    // RFC 8555 6.2. An empty payload is POST-as-GET (6.3). `phase` is for people: "order", "challenge".
    [[nodiscard]] awaitable<reply<http::outbound_response>> post(std::string url, std::string payload, signer by,
                                                                 std::string phase)
    {
        const time_point begun = world_.now();
        for (unsigned tries = 0;; ++tries) {
            auto fresh = co_await take_nonce();
            if (!fresh) {
                refusal why = fresh.error();
                why.is_unsent = tries == 0;
                co_return why;
            }
            const jws_target target{.url = url, .nonce = std::move(*fresh), .kid = by.url};
            auto body = sign_jws(by.key, target, payload);
            if (!body)
                co_return unsent({failure_class::permanent,
                                  phase + ": the account key cannot sign: " + body.error().message()});
            http::outbound_request request{.method = "POST", .url = url, .body = std::move(*body)};
            request.fields.emplace_back("Content-Type", "application/jose+json");
            auto answer = co_await send(std::move(request), phase);
            // RFC 8555 6.5: "the client SHOULD retry the request with a new nonce", which came with the answer.
            const bool stale = !answer && answer.error().why.type == "badNonce";
            if (stale && tries == quiet_nonce_repeats && on_progress)
                on_progress(phase + ": " + ca_.directory + " refuses the nonces that it gives (badNonce), "
                            + std::to_string(tries + 1) + " in a row; the request is repeated with new ones, "
                            + std::to_string(most_nonce_repeats) + " times or 5 minutes at most");
            if (stale && tries < most_nonce_repeats && world_.now() - begun <= longest_nonce_repeats)
                continue;
            if (answer)
                co_return answer;
            refusal why = answer.error();
            why.is_unsent = why.is_unsent && tries == 0;
            why.account = by.url;
            co_return why;
        }
    }

    // Unsigned: the directory and renewal information.
    [[nodiscard]] awaitable<reply<http::outbound_response>> get(std::string url, std::string phase)
    {
        http::outbound_request request{.url = std::move(url)};
        request.max_redirects = 5;
        auto answer = co_await send(std::move(request), std::move(phase));
        co_return answer;
    }

private:
    const refusal& no_directory(refusal why)
    {
        ++directories_refused_;
        directory_refusal_ = std::move(why);
        return directory_refusal_;
    }

    static constexpr std::chrono::hours nonce_life{1};
    static constexpr std::size_t most_nonces = 32;
    // Note: a CA may refuse nine good nonces of ten; forty repeats are then nothing unusual.
    static constexpr unsigned most_nonce_repeats = 300;
    static constexpr unsigned quiet_nonce_repeats = 3; // nobody is told of fewer
    static constexpr std::chrono::minutes longest_nonce_repeats{5};

    struct nonce {
        std::string text;
        time_point since;
    };

    // Whether the directory names a resource that is there no more.
    static bool is_moved(const refusal& why) noexcept { return why.why.status == 404 || why.why.status == 405; }

    // RFC 8555 7.2.
    [[nodiscard]] awaitable<reply<std::string>> take_nonce()
    {
        const time_point now = world_.now();
        while (!nonces_.empty()) {
            nonce newest = std::move(nonces_.back());
            nonces_.pop_back();
            if (now >= newest.since && now - newest.since < nonce_life)
                co_return std::move(newest.text);
        }
        std::string url;
        for (bool again = false;; again = true) {
            const auto known = co_await find_directory();
            if (!known)
                co_return known.error();
            url = (*known)->new_nonce;
            http::outbound_request request{.method = "HEAD", .url = url};
            const auto answer = co_await send(std::move(request), "nonce");
            if (answer)
                break;
            if (!is_moved(answer.error()))
                co_return answer.error();
            forget_directory();
            if (again)
                co_return answer.error();
        }
        // Note: another request may have taken it, if this one waited; then that one's comes back to us.
        if (nonces_.empty())
            co_return refusal{failure_class::transient,
                              "nonce: " + url + " gave none (Replay-Nonce); use another CA if that lasts"};
        nonce fresh = std::move(nonces_.back());
        nonces_.pop_back();
        co_return std::move(fresh.text);
    }

    [[nodiscard]] awaitable<reply<http::outbound_response>> send(http::outbound_request request, std::string phase)
    {
        if (auto ready = prepare(); !ready) {
            const bool is_lasting = ready.error().code == errc::bad_configuration; // a file may come back
            const failure_class kind = is_lasting ? failure_class::permanent : failure_class::transient;
            refusal why{kind, phase + ": " + ready.error().what};
            why.is_ours = true;
            co_return unsent(std::move(why));
        }
        // RFC 8555 6.1: the same for what the directory names.
        if (!ca_.allow_http && !request.url.starts_with("https://")) {
            co_return unsent({failure_class::transient,
                              phase + ": " + ca_.directory + " names " + request.url
                                  + ", which is no https URL; nothing is sent there, use another CA"});
        }
        request.authorities = trust_;
        auto answer = co_await world_.fetch(std::move(request));
        if (!answer)
            co_return refusal{failure_class::transient, phase + ": " + answer.error().what};
        keep_nonce(*answer);
        if (answer->status >= 200 && answer->status < 300)
            co_return std::move(*answer);
        refusal why;
        why.why = parse_problem(answer->status, answer->field("Content-Type"), answer->body);
        if (why.why.type == "userActionRequired")
            require_action(*answer, why.why);
        why.retry_after = retry_after(*answer, world_.now());
        why.kind = class_of(why.why, why.retry_after.has_value());
        why.what = phase + ": " + ca_.directory + " says " + describe(why.why) + "; " + std::string(cure_of(why.why));
        co_return why;
    }

    // RFC 8555 7.3.3: `instance` is the page to visit; terms that have changed are those of the link.
    void require_action(const http::outbound_response& from, problem& why)
    {
        const auto found = links(from, "terms-of-service");
        const std::string terms = found.empty() ? std::string() : url_in(from, found.front());
        if (why.instance.empty())
            why.instance = terms;
        const std::string pages = why.instance + " " + terms;
        if (std::exchange(last_action_, pages) == pages || !on_action_required)
            return;
        std::string text = ca_.directory + " issues nothing until somebody acts";
        detail::append_with(text, ": ", why.detail);
        detail::append_with(text, "; visit ", why.instance);
        detail::append_with(text, ", and agree there to its terms: ", terms);
        on_action_required(text + "; then renewal goes on by itself");
    }

    // RFC 8555 6.5.1: "Clients MUST ignore invalid Replay-Nonce values."
    void keep_nonce(const http::outbound_response& from)
    {
        const std::string_view text = from.field("Replay-Nonce");
        const bool valid = text.size() <= 512 && is_base64url(text);
        if (!valid)
            return;
        if (nonces_.size() == most_nonces)
            nonces_.pop_front();
        nonces_.push_back({std::string(text), world_.now()});
    }

    environment& world_;
    const certificate_authority ca_;
    std::shared_ptr<const http::trust> trust_;
    std::deque<nonce> nonces_; // the newest last
    std::shared_ptr<const directory> directory_; // null: not known; who finds a resource gone forgets it
    time_point directory_read_;
    bool fetching_directory_ = false;
    signal directory_fetched_;
    unsigned directories_refused_ = 0;
    refusal directory_refusal_; // the last one
    std::string last_action_; // the pages that were told of last
};

}

#endif
