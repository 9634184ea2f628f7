// One process of a server in a simulated world: its disk, its certificates, its manager, and what it answers to CAs.
#ifndef ALOS_TESTS_ACME_MEMBER_HPP
#define ALOS_TESTS_ACME_MEMBER_HPP

#include "support/scripted_ca.hpp"
#include "support/simulated_files.hpp"
#include "support/simulated_world.hpp"

#include <alos/acme/file_storage.hpp>
#include <alos/acme/manager.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace test {

class acme_member {
public:
    // Starts at once. `disk` may have another process on it.
    acme_member(simulated_world& world, std::shared_ptr<simulated_disk> disk, alos::acme::config settings)
        : world_(world), files(std::move(disk)), environment(world.add_member(files)),
          storage(
              files, "/certificates", "a process", [this] { return environment.now(); },
              [this](std::chrono::milliseconds time) { return environment.sleep_until(environment.now() + time); }, 3),
          registry({}, [this] { return environment.now(); }),
          manager(
              environment, storage,
              {registry, http01,
               [this](alos::log_level level, std::string_view, std::initializer_list<alos::log_field> fields) {
                   note(level, fields);
               }},
              [this](const alos::acme::event& what) {
                  events.push_back(what);
                  if (on_event)
                      on_event(what);
              },
              environment.executor())
    {
        spawn(start(std::move(settings)));
    }

    acme_member(const acme_member&) = delete;
    acme_member& operator=(const acme_member&) = delete;

    // As when its settings are read again.
    void configure(alos::acme::config settings) { spawn(reconfigure(std::move(settings))); }

    // Ends as a process does that is told to; that is over when is_idle().
    void stop()
    {
        is_stopped_ = true;
        run_.emit(asio::cancellation_type::terminal);
        follow_.emit(asio::cancellation_type::terminal);
        manager.stop();
    }

    [[nodiscard]] bool is_idle() const noexcept { return running_ == 0 && manager.is_idle(); }

    // Ends as a process does that is killed.
    ~acme_member()
    {
        manager.stop(); // who waits for it goes with the rest, and not after it
        world_.kill(environment);
        files.kill();
    }

    // What is served for a name; null: nothing, or a stand-in.
    [[nodiscard]] alos::cert::credential_ptr served(std::string_view name) const
    {
        const auto snapshot = registry.served().load();
        for (const auto& each : snapshot->find(name)) {
            if (each->from == alos::cert::source::acme)
                return each;
        }
        return nullptr;
    }

    [[nodiscard]] std::size_t count(alos::acme::event_kind kind) const
    {
        return static_cast<std::size_t>(
            std::ranges::count_if(events, [&](const auto& each) { return each.kind == kind; }));
    }

    // Asks this process as a CA does.
    [[nodiscard]] std::optional<std::string> answer(const std::string& token) const { return http01.find(token); }

    [[nodiscard]] outcome<alos::byte_vector> show(const alos::acme::tls_probe& what) const
    {
        const auto snapshot = registry.served().load();
        const alos::cert::credential* const shown = snapshot->challenge(what.server_name);
        if (!shown)
            return failure{alos::error_code(asio::error::connection_reset), "no_application_protocol"};
        return shown->chain.front();
    }

    void spawn(alos::acme::awaitable<> work)
    {
        asio::co_spawn(environment.executor(), std::move(work), [this](const std::exception_ptr& thrown) {
            if (thrown)
                broke_off = alos::text_of_exception(thrown);
        });
    }

    // Until that is emitted.
    void spawn(alos::acme::awaitable<> work, asio::cancellation_signal& end)
    {
        ++running_;
        const auto slot = end.slot();
        asio::co_spawn(environment.executor(), std::move(work),
                       asio::bind_cancellation_slot(slot, [this](const std::exception_ptr& thrown) {
                           --running_;
                           if (!is_stopped_)
                               broke_off = thrown ? alos::text_of_exception(thrown) : "it returned";
                       }));
    }

private:
    // The place of this process in the world, which nobody needs after all else is gone.
    struct presence {
        simulated_world& world;
        simulated_member& member;
        ~presence() { world.forget(member); }
    };

    simulated_world& world_;

public:
    simulated_files files;
    simulated_member& environment;
    const presence in_the_world{world_, environment};
    alos::acme::file_storage storage;
    alos::cert::registry registry;
    alos::acme::answers http01;
    std::vector<alos::acme::event> events;
    std::function<void(const alos::acme::event&)> on_event; // called with each as it happens
    std::vector<std::string> warnings; // and errors
    std::string broke_off;             // why the manager ended, which it should not
    std::optional<outcome<>> started;
    alos::acme::manager manager;

private:
    asio::cancellation_signal run_;
    asio::cancellation_signal follow_;
    unsigned running_ = 0;
    bool is_stopped_ = false;

    alos::acme::awaitable<> start(alos::acme::config settings)
    {
        if (auto ready = storage.prepare(); !ready)
            warnings.push_back(ready.error().what);
        started = co_await manager.configure(std::move(settings));
        if (!*started || is_stopped_)
            co_return;
        spawn(manager.follow(), follow_);
        spawn(manager.run(), run_);
    }

    alos::acme::awaitable<> reconfigure(alos::acme::config settings)
    {
        const auto done = co_await manager.configure(std::move(settings));
        if (!done)
            warnings.push_back(done.error().what);
    }

    void note(alos::log_level level, std::initializer_list<alos::log_field> fields)
    {
        if (level < alos::log_level::warning)
            return;
        std::string line;
        for (const alos::log_field& each : fields) {
            if (const auto* text = std::get_if<std::string_view>(&each.value))
                line.append(line.empty() ? "" : " ").append(*text);
        }
        warnings.push_back(std::move(line));
    }
};

// What every name leads to: the members that are there, each request to another one.
inline void answer_for(simulated_world& world, const std::vector<std::unique_ptr<acme_member>>& members)
{
    const auto pick = [&]() -> acme_member* {
        return members.empty() ? nullptr : members[world.random.next() % members.size()].get();
    };
    world.serve_others([pick](const http::outbound_request& request) -> outcome<http::outbound_response> {
        const acme_member* const one = pick();
        const spelled_url where(request.url);
        const bool is_challenge = where.path.starts_with(alos::acme::http01_prefix);
        if (!one || !is_challenge)
            return failure{alos::error_code(asio::error::connection_refused), "nobody is there"};
        http::outbound_response answer;
        const auto found = one->answer(std::string(where.path.substr(alos::acme::http01_prefix.size())));
        answer.status = found ? 200 : 404;
        answer.body = found.value_or("");
        return answer;
    });
    world.show_other_certificates([pick](const alos::acme::tls_probe& what) -> outcome<alos::byte_vector> {
        const acme_member* const one = pick();
        if (!one)
            return failure{alos::error_code(asio::error::connection_refused), "nobody is there"};
        return one->show(what);
    });
}

}

#endif
