// The world of ACME in one process and without waiting: its clock moves on when nobody has anything left to do. Members
// are processes that can be killed; what they reach over the network are functions.
#ifndef ALOS_TESTS_SIMULATED_WORLD_HPP
#define ALOS_TESTS_SIMULATED_WORLD_HPP

#include "support/dice.hpp"

#include <alos/acme/answers.hpp>
#include <alos/acme/environment.hpp>
#include <alos/acme/solver.hpp>
#include <alos/cert/registry.hpp>
#include <alos/http/error.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace test {

namespace asio = boost::asio;
namespace http = alos::http;
namespace dns = alos::dns;
using alos::acme::time_point;
using alos::failure;
using alos::outcome;

class simulated_world;

// Host and path of an absolute URL; the port stays with the host unless it is the scheme's own.
struct spelled_url {
    std::string_view scheme;
    std::string host;
    std::string_view path;

    explicit spelled_url(std::string_view url)
    {
        const std::size_t colon = url.find("://");
        if (colon == std::string_view::npos)
            return;
        scheme = url.substr(0, colon);
        const std::string_view rest = url.substr(colon + 3);
        const std::size_t slash = std::min(rest.find('/'), rest.size());
        std::string_view authority = rest.substr(0, slash);
        const std::string_view own_port = scheme == "https" ? ":443" : ":80";
        if (authority.ends_with(own_port))
            authority.remove_suffix(own_port.size());
        host = authority;
        path = slash == rest.size() ? std::string_view("/") : rest.substr(slash);
    }
};

// One process: what it sees of the world. It outlives its death, until it is forgotten, so that what ran on it can be
// destroyed after its coroutines are gone.
class simulated_member final : public alos::acme::environment {
public:
    simulated_member(simulated_world& world, alos::os::file_system& files, std::uint64_t seed)
        : world_(world), files_(files), random_(seed), busy_(asio::make_work_guard(context_))
    {
    }

    simulated_member(const simulated_member&) = delete;
    simulated_member& operator=(const simulated_member&) = delete;

    ~simulated_member() override { end(); }

    // Its coroutines are spawned here; they run in simulated_world::run_until().
    [[nodiscard]] asio::io_context::executor_type executor() { return context_.get_executor(); }

    [[nodiscard]] bool is_alive() const noexcept { return !dead_; }

    // Sets its clock, which is otherwise right, on or back. Those whose time has come by that wake, and who has an
    // alarm when it is set back by more than a minute; the others sleep for no longer than they would have.
    void jump(std::chrono::seconds by)
    {
        offset_ += by;
        const auto waiting = sleepers_;
        for (const auto& [when, each] : waiting) {
            if (each->alarm && by < std::chrono::seconds(-60))
                each->wake();
            else
                each->reckon_anew();
        }
    }

    [[nodiscard]] time_point now() override;
    void random(alos::byte_span out) override { random_.fill(out); }
    [[nodiscard]] alos::acme::awaitable<> sleep(time_point until, alos::acme::alarm* early) override;
    [[nodiscard]] alos::acme::awaitable<outcome<http::outbound_response>> fetch(http::outbound_request what) override;
    [[nodiscard]] alos::acme::awaitable<outcome<dns::answer>> resolve(std::string name, dns::record_type type) override;
    [[nodiscard]] alos::acme::awaitable<outcome<alos::byte_vector>> probe(alos::acme::tls_probe what) override;
    [[nodiscard]] std::vector<std::string> local_addresses() override;
    [[nodiscard]] alos::os::file_system& files() override { return files_; }

private:
    friend simulated_world;

    // Coroutines can be destroyed while what else uses the context lives on.
    struct mortal_context : asio::io_context {
        mortal_context() : asio::io_context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE) {}
        using asio::io_context::shutdown;
    };

    using resumption = asio::any_completion_handler<void(alos::error_code)>;

    // Where one coroutine waits for the world, or to be cancelled. The member owns who waits. Note: a timer of Asio's
    // would cost a call of the system each time.
    class seat {
    public:
        explicit seat(simulated_member& of) : owner_(of) {}
        seat(const seat&) = delete;
        seat& operator=(const seat&) = delete;
        ~seat()
        {
            if (is_taken_ && !owner_.dead_)
                owner_.waiting_.erase(place_);
        }

        // Ends at leave(), or fails by being cancelled before.
        template <class Token>
        auto async_wait(Token&& token)
        {
            return asio::async_initiate<Token, void(alos::error_code)>(
                [this](auto handler) {
                    place_ = owner_.waiting_.insert(owner_.waiting_.end(), resumption(std::move(handler)));
                    is_taken_ = true;
                    auto slot = asio::get_associated_cancellation_slot(*place_);
                    if (slot.is_connected())
                        slot.assign([this](asio::cancellation_type) { end(asio::error::operation_aborted); });
                },
                token);
        }

        void leave()
        {
            if (!is_taken_)
                return;
            if (auto slot = asio::get_associated_cancellation_slot(*place_); slot.is_connected())
                slot.clear();
            end({});
        }

    private:
        void end(alos::error_code why)
        {
            if (!std::exchange(is_taken_, false))
                return;
            resumption next = std::move(*place_);
            owner_.waiting_.erase(place_);
            asio::post(owner_.context_, [next = std::move(next), why]() mutable { std::move(next)(why); });
        }

        simulated_member& owner_;
        std::list<resumption>::iterator place_;
        bool is_taken_ = false;
    };

    struct sleeper;
    using sleepers = std::multimap<time_point, sleeper*>;

    // One coroutine that sleeps.
    struct sleeper {
        sleeper(simulated_member& of, time_point when, alos::acme::alarm* early)
            : owner(of), bed(of), until(std::min(when, latest())), offset(of.offset_),
              place(of.sleepers_.emplace(until, this)), alarm(early)
        {
            if (alarm)
                alarm->on_ring = [this] { wake(); };
        }
        sleeper(const sleeper&) = delete;
        sleeper& operator=(const sleeper&) = delete;
        ~sleeper()
        {
            if (!woken)
                owner.sleepers_.erase(place);
            if (alarm)
                alarm->on_ring = nullptr;
        }

        // So that clocks which are wrong by centuries can be reckoned with.
        static time_point latest() { return std::chrono::sys_days{std::chrono::year{2150} / 1 / 1}; }

        // A clock that was set back since it fell asleep keeps it no longer.
        void reckon_anew()
        {
            owner.sleepers_.erase(place);
            place = owner.sleepers_.emplace(until + std::min(owner.offset_ - offset, std::chrono::seconds(0)), this);
        }

        void wake()
        {
            if (woken)
                return;
            woken = true;
            owner.sleepers_.erase(place);
            bed.leave();
        }

        simulated_member& owner;
        seat bed;
        const time_point until;
        const std::chrono::seconds offset; // of the clock when it fell asleep
        sleepers::iterator place;
        alos::acme::alarm* alarm;
        bool woken = false;
    };

    // A question that is on its way, or its answer is. The coroutine that waits owns it.
    template <class Answer>
    struct exchange {
        explicit exchange(simulated_member& of) : done(of) {}

        seat done;
        std::optional<Answer> answer;
    };

    // Asks `there` and returns its answer, half the latency before and half after. It is asked even if the member dies
    // on the way. An answer of errc::timed_out comes at `timeout`.
    template <class Answer>
    alos::acme::awaitable<Answer> ask(std::function<Answer()> there, std::chrono::milliseconds timeout);

    // Destroys what runs on it.
    void end()
    {
        dead_ = true;
        // Note: coroutines are handed to the context to be unwound.
        std::exchange(waiting_, {}).clear();
        context_.shutdown();
    }

    simulated_world& world_;
    alos::os::file_system& files_;
    dice random_;
    std::chrono::seconds offset_{0};
    sleepers sleepers_;
    bool dead_ = false;
    bool doomed_ = false;
    mortal_context context_;
    std::list<resumption> waiting_;
    asio::executor_work_guard<asio::io_context::executor_type> busy_;
};

class simulated_world {
public:
    using web_server = std::function<outcome<http::outbound_response>(const http::outbound_request&)>;
    using tls_server = std::function<outcome<alos::byte_vector>(const alos::acme::tls_probe&)>;

    // How long the network takes there and back, and how often a connection fails before anything is said.
    struct network {
        std::chrono::milliseconds fastest{20};
        std::chrono::milliseconds slowest{400};
        double refused = 0;
    };

    explicit simulated_world(std::uint64_t seed, time_point start = default_start()) : random(seed), now_(start) {}

    simulated_world(const simulated_world&) = delete;
    simulated_world& operator=(const simulated_world&) = delete;

    static time_point default_start() { return std::chrono::sys_days{std::chrono::year{2027} / 1 / 1}; }

    // The true time, which only moves on; members' clocks may be wrong.
    [[nodiscard]] time_point now() const noexcept { return now_; }

    // The new process sees `files`, which outlives it.
    simulated_member& add_member(alos::os::file_system& files)
    {
        members_.push_back(std::make_unique<simulated_member>(*this, files, random.next()));
        return *members_.back();
    }

    // Destroys its coroutines where they stand: nothing after their co_await runs but destructors. One that calls this
    // itself runs on to its next wait. What it asked of others takes effect all the same.
    void kill(simulated_member& victim)
    {
        if (running_ == &victim) {
            victim.doomed_ = true;
            victim.context_.stop();
            return;
        }
        victim.end();
    }

    // Frees what is left of a member. Nothing refers to it any more.
    void forget(simulated_member& gone)
    {
        std::erase_if(members_, [&](const auto& one) { return one.get() == &gone; });
    }

    // Calls `event` at that time, or with the next step when that is past. It outlives no member it refers to.
    void at(time_point when, std::function<void()> event) { events_.emplace(when, std::move(event)); }
    void after(std::chrono::nanoseconds wait, std::function<void()> event) { at(later(wait), std::move(event)); }

    // Lets everybody do what there is to do until that time, and returns then.
    void run_until(time_point end)
    {
        run_until([] { return false; }, end);
    }

    // The same, but returns as soon as `done()`, which is asked after every step. Returns what it said last.
    bool run_until(const std::function<bool()>& done, time_point end)
    {
        for (;;) {
            run_members();
            if (done())
                return true;
            const std::optional<time_point> next = next_step();
            if (!next || *next > end) {
                now_ = std::max(now_, end);
                return done();
            }
            now_ = std::max(now_, *next);
            step();
        }
    }

    bool run_until(const std::function<bool()>& done, std::chrono::nanoseconds longest)
    {
        return run_until(done, later(longest));
    }

    void run_for(std::chrono::nanoseconds time) { run_until(later(time)); }

    // All members' clocks at once, as after a machine was suspended.
    void jump(std::chrono::seconds by)
    {
        for (const auto& one : members_)
            one->jump(by);
    }

    // Who answers at a host, "ca.test" or "ca.test:8080"; replaces who did. Null: connections are refused.
    void serve(const std::string& host, web_server server) { web_[host] = std::move(server); }
    void serve_others(web_server server) { other_web_ = std::move(server); }
    void show_certificates(const std::string& server_name, tls_server server) { tls_[server_name] = std::move(server); }
    void show_other_certificates(tls_server server) { other_tls_ = std::move(server); }

    // Gets the answer at once, as one that is part of the world: a CA that validates. Follows redirects as a client
    // does, and fails for a body that is longer than allowed.
    outcome<http::outbound_response> fetch(http::outbound_request request)
    {
        const bool may_follow = request.method == "GET" || request.method == "HEAD";
        for (unsigned followed = 0;; ++followed) {
            auto answer = answer_of(request);
            if (!answer)
                return answer;
            if (answer->body.size() > request.max_body)
                return failure{http::errc::body_too_large, "the answer of " + request.url + " has more than "
                                                               + std::to_string(request.max_body) + " bytes"};
            answer->url = request.url;
            const bool redirects = answer->status >= 300 && answer->status < 400 && !answer->field("Location").empty();
            if (!may_follow || !redirects || request.max_redirects == 0)
                return answer;
            if (followed == request.max_redirects)
                return failure{http::errc::response_unfinished, request.url + " redirects again and again"};
            request.url = answer->field("Location");
        }
    }

    // What the zone has, aliases followed. Names without any records have the default address.
    dns::answer resolve(const std::string& name, dns::record_type type, unsigned depth = 0) const
    {
        dns::answer found;
        if (const auto failed = dns_failures.find(name); failed != dns_failures.end()) {
            found.code = failed->second;
            return found;
        }
        const auto at = zone.find(name);
        if (at == zone.end() || at->second.empty()) {
            if (default_address.empty())
                found.code = dns::response_code::name_error;
            else if (type == dns::record_type::a)
                found.records.push_back({.name = name, .type = type, .ttl = 60, .text = default_address});
            return found;
        }
        for (const dns::record& each : at->second)
            if (each.type == type || each.type == dns::record_type::cname)
                found.records.push_back(each);
        const bool alias = !found.records.empty() && found.records.front().type == dns::record_type::cname;
        if (alias && type != dns::record_type::cname && depth < 10) {
            const dns::answer behind = resolve(found.records.front().text, type, depth + 1);
            found.code = behind.code;
            found.records.insert(found.records.end(), behind.records.begin(), behind.records.end());
        }
        return found;
    }

    outcome<alos::byte_vector> probe(const alos::acme::tls_probe& what) const
    {
        const auto found = tls_.find(what.server_name);
        const tls_server& server = found == tls_.end() ? other_tls_ : found->second;
        if (!server)
            return refused(what.server_name);
        return server(what);
    }

    dice random;
    network net;
    std::map<std::string, std::vector<dns::record>> zone; // by name, in lower case
    std::map<std::string, dns::response_code> dns_failures; // names that no name server answers for
    std::string default_address = "192.0.2.1";            // of names that have no records at all; empty: there are none
    std::vector<std::string> local_addresses;             // of the machine that all members are on
    std::uint64_t requests = 0;                           // answered so far, redirects counted
    std::uint64_t most_at_once = 100'000; // sleeps until a time that is past, at one moment; more are a coroutine that
                                          // never waits

private:
    friend simulated_member;

    [[nodiscard]] time_point later(std::chrono::nanoseconds wait) const
    {
        return now_ + std::chrono::duration_cast<time_point::duration>(wait);
    }

    static failure refused(const std::string& host)
    {
        return {alos::error_code(asio::error::connection_refused), "no connection to " + host};
    }

    outcome<http::outbound_response> answer_of(const http::outbound_request& request)
    {
        ++requests;
        const spelled_url where(request.url);
        if (where.host.empty())
            return failure{alos::error_code(asio::error::host_not_found), "'" + request.url + "' is no URL"};
        const auto found = web_.find(where.host);
        const web_server& server = found == web_.end() ? other_web_ : found->second;
        if (!server || random.chance(net.refused))
            return refused(where.host);
        return server(request);
    }

    void run_members()
    {
        turns_ = 0;
        for (bool idle = false; !idle;) {
            idle = true;
            for (std::size_t i = 0; i < members_.size(); ++i) {
                simulated_member& one = *members_[i];
                if (!one.dead_ && run_ready(one))
                    idle = false;
                if (turns_ > most_at_once)
                    throw std::runtime_error("the world stands still: a coroutine goes on without waiting");
            }
        }
    }

    // Whether there was anything to run.
    bool run_ready(simulated_member& one)
    {
        struct running {
            simulated_member*& whom;
            ~running() { whom = nullptr; }
        } const guard{running_};
        running_ = &one;
        // Note: all at once, as each call costs more than a handler.
        const auto ran = one.context_.poll();
        one.context_.restart();
        running_ = nullptr;
        if (one.doomed_)
            kill(one);
        return ran != 0;
    }

    [[nodiscard]] std::optional<time_point> next_step() const
    {
        std::optional<time_point> next;
        const auto consider = [&](time_point when) { next = next ? std::min(*next, when) : when; };
        if (!events_.empty())
            consider(events_.begin()->first);
        for (const auto& one : members_)
            if (!one->dead_ && !one->sleepers_.empty())
                consider(one->sleepers_.begin()->first - one->offset_);
        return next;
    }

    // One event, or all sleepers whose time has come.
    void step()
    {
        if (!events_.empty() && events_.begin()->first <= now_) {
            const auto event = events_.extract(events_.begin());
            event.mapped()();
            return;
        }
        for (const auto& one : members_) {
            auto& waiting = one->sleepers_;
            while (!one->dead_ && !waiting.empty() && waiting.begin()->first - one->offset_ <= now_)
                waiting.begin()->second->wake();
        }
    }

    time_point now_;
    std::vector<std::unique_ptr<simulated_member>> members_;
    simulated_member* running_ = nullptr;
    std::uint64_t turns_ = 0; // sleeps at one moment that were over when they began
    std::multimap<time_point, std::function<void()>> events_;
    std::map<std::string, web_server, std::less<>> web_;
    std::map<std::string, tls_server, std::less<>> tls_;
    web_server other_web_;
    tls_server other_tls_;
};

inline time_point simulated_member::now() { return world_.now() + offset_; }

inline std::vector<std::string> simulated_member::local_addresses() { return world_.local_addresses; }

inline alos::acme::awaitable<> simulated_member::sleep(time_point until, alos::acme::alarm* early)
{
    // Who sleeps until a time that is past waits all the same, for one turn: a loop that never waits can be noticed.
    if (until <= now()) {
        if (++world_.turns_ > world_.most_at_once)
            context_.stop();
        co_await asio::post(asio::use_awaitable);
        co_return;
    }
    sleeper self(*this, until, early);
    co_await self.bed.async_wait(asio::use_awaitable);
}

template <class Answer>
alos::acme::awaitable<Answer> simulated_member::ask(std::function<Answer()> there, std::chrono::milliseconds timeout)
{
    const auto pending = std::make_shared<exchange<Answer>>(*this);
    const time_point sent = world_.now();
    const auto latency = world_.random.between(world_.net.fastest, world_.net.slowest);
    // Neither holds `pending`, which must not outlive the member.
    std::weak_ptr<exchange<Answer>> waiting = pending;
    world_.after(latency / 2, [&world = world_, waiting, there = std::move(there), sent, timeout, latency] {
        auto answer = std::make_shared<Answer>(there());
        const bool late = !answer->has_value() && answer->error().code == alos::errc::timed_out;
        world.at(sent + (late ? std::max(timeout, latency) : latency), [waiting, answer] {
            if (const auto back = waiting.lock()) {
                back->answer = std::move(*answer);
                back->done.leave();
            }
        });
    });
    co_await pending->done.async_wait(asio::use_awaitable);
    co_return std::move(*pending->answer);
}

inline alos::acme::awaitable<outcome<http::outbound_response>> simulated_member::fetch(http::outbound_request request)
{
    const auto timeout = request.timeout;
    auto sent = std::make_shared<http::outbound_request>(std::move(request));
    std::function<outcome<http::outbound_response>()> there = [&world = world_, sent] {
        return world.fetch(std::move(*sent));
    };
    return ask(std::move(there), timeout);
}

inline alos::acme::awaitable<outcome<dns::answer>> simulated_member::resolve(std::string name, dns::record_type type)
{
    std::function<outcome<dns::answer>()> there = [&world = world_, name = std::move(name), type] {
        return outcome<dns::answer>(world.resolve(name, type));
    };
    return ask(std::move(there), std::chrono::seconds(10));
}

inline alos::acme::awaitable<outcome<alos::byte_vector>> simulated_member::probe(alos::acme::tls_probe what)
{
    std::function<outcome<alos::byte_vector>()> there = [&world = world_, what = std::move(what)] {
        return world.probe(what);
    };
    return ask(std::move(there), std::chrono::seconds(10));
}

// The port of plain HTTP of a member: answers challenges (RFC 8555 8.3). `known` outlives the world's last step.
[[nodiscard]] inline simulated_world::web_server serve_answers(const alos::acme::answers& known)
{
    return [&known](const http::outbound_request& request) -> outcome<http::outbound_response> {
        constexpr std::string_view folder = "/.well-known/acme-challenge/";
        const spelled_url where(request.url);
        http::outbound_response answer;
        const auto found = where.path.starts_with(folder) ? known.find(where.path.substr(folder.size())) : std::nullopt;
        answer.status = found ? 200 : 404;
        answer.body = found.value_or(std::string());
        answer.fields = {{"Content-Type", "application/octet-stream"}};
        return answer;
    };
}

// Its port of TLS, as far as challenges see it (RFC 8737 3).
[[nodiscard]] inline simulated_world::tls_server show_challenges(const alos::cert::registry& certificates)
{
    return [&certificates](const alos::acme::tls_probe& what) -> outcome<alos::byte_vector> {
        const auto now = certificates.served().load();
        const alos::cert::credential* const found = now ? now->challenge(what.server_name) : nullptr;
        if (found == nullptr || found->chain.empty() || what.alpn != "acme-tls/1")
            return failure{alos::error_code(asio::error::connection_reset), "no_application_protocol"};
        return found->chain.front();
    };
}

// Puts TXT records into the zone of a world.
class simulated_dns_solver final : public alos::acme::dns_solver {
public:
    explicit simulated_dns_solver(simulated_world& world) : world_(world) {}

    alos::acme::awaitable<outcome<>> present(std::string name, std::string value) override
    {
        auto& records = world_.zone[name];
        records.push_back({.name = name, .type = dns::record_type::txt, .ttl = 60, .text = std::move(value)});
        co_return outcome<>();
    }

    alos::acme::awaitable<outcome<>> clean_up(std::string name, std::string value) override
    {
        const auto found = world_.zone.find(name);
        if (found == world_.zone.end())
            co_return outcome<>();
        std::erase_if(found->second, [&](const dns::record& one) {
            return one.type == dns::record_type::txt && one.text == value;
        });
        if (found->second.empty())
            world_.zone.erase(found);
        co_return outcome<>();
    }

private:
    simulated_world& world_;
};

}

#endif
