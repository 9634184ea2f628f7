// A server's side of its certificate manager: made when it is first needed, started with the server, stopped with it.
#ifndef ALOS_SERVER_ACME_LINK_HPP
#define ALOS_SERVER_ACME_LINK_HPP

#include <alos/acme/service.hpp>
#include <alos/server/redirect.hpp>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace alos::inline v0 {

namespace acme {

// Asks a node for a challenge, on the executor that awaits.
using fetcher = std::function<boost::asio::awaitable<outcome<http::outbound_response>>(http::outbound_request)>;

// Makes one that asks these name servers, see config::resolver; set by <alos/acme.hpp> where a program includes it.
using fetcher_maker = outcome<fetcher> (*)(std::string_view resolver);
inline std::atomic<fetcher_maker> make_fetcher{nullptr};

}

// All members may be called from any thread.
class acme_link {
public:
    // `settings` are those of the server's configuration. All that is referred to outlives this.
    acme_link(acme::host host, redirect_routes& routes, const acme::config& settings)
        : host_(std::move(host)), routes_(routes), settings_(settings)
    {}

    acme_link(const acme_link&) = delete;
    acme_link& operator=(const acme_link&) = delete;

    ~acme_link()
    {
        stop();
        wait();
    }

    // The manager, or null as long as nobody needed one.
    [[nodiscard]] acme::service* get() const noexcept { return current_.load(); }

    // Whether certificates come from a manager, or are about to.
    [[nodiscard]] bool is_in_charge() const noexcept { return get() || !settings_.domains.empty(); }

    // Whether names without a certificate are to get an alert instead of a default one.
    [[nodiscard]] bool sends_alerts() const noexcept { return sends_alerts_; }

    // Whether this program has what the configuration asks for.
    [[nodiscard]] outcome<> check() const
    {
        const bool lacks_manager = !settings_.domains.empty() && !acme::make_service.load();
        const bool lacks_client = !settings_.acme_node.empty() && !acme::make_fetcher.load();
        return lacks_manager || lacks_client ? outcome<>(not_compiled_in()) : outcome<>();
    }

    // The manager, made and given the configuration's settings if need be.
    [[nodiscard]] outcome<acme::service*> require()
    {
        if (telling::is_telling)
            return from_an_event();
        const std::lock_guard lock(changing_);
        return settled();
    }

    [[nodiscard]] outcome<> enable(acme::config settings)
    {
        if (telling::is_telling)
            return from_an_event();
        const std::lock_guard lock(changing_);
        const auto manager = settings_.domains.empty() ? made() : settled();
        if (!manager)
            return manager.error();
        const auto applied = apply(**manager, std::move(settings));
        auto started = start_if_open(**manager); // on what is good of them
        return applied ? started : applied;
    }

    [[nodiscard]] outcome<> add(acme::certificate_names names)
    {
        if (telling::is_telling)
            return from_an_event();
        const std::lock_guard lock(changing_);
        const auto manager = settled();
        if (!manager)
            return manager.error();
        if (auto done = (*manager)->add_domain(std::move(names)); !done)
            return done;
        return start_if_open(**manager);
    }

    // The server can be connected to, so that challenges can be answered; on plain HTTP if `has_http`. Begins with what
    // was asked for until now.
    [[nodiscard]] outcome<> open(bool has_http)
    {
        const std::lock_guard lock(changing_);
        has_http_ = has_http_ || has_http;
        if (ended_ || std::exchange(is_open_, true))
            return {};
        if (!is_in_charge())
            return settings_.acme_node.empty() ? outcome<>() : forward(settings_);
        const bool has_settings = has_settings_;
        const auto manager = settled();
        if (!manager) {
            // A fault in one of the settings is no reason to let the other certificates expire.
            if (get())
                static_cast<void>(start_if_open(*get()));
            return manager.error();
        }
        if (has_settings)
            warn_without_http();
        return start_if_open(**manager);
    }

    // Ends the manager's work, on another thread: the caller may be one of the server's, or the manager's own.
    void stop() noexcept
    {
        if (ended_.exchange(true) || !get())
            return;
        const std::lock_guard lock(ending_);
        try {
            end_ = std::thread([this] { stop_now(); });
        } catch (const std::system_error&) { // no more threads
            stop_now();
        }
    }

    // Returns when stop() has done that, which takes 5 seconds at most. Not from the manager's thread.
    void wait() noexcept
    {
        const std::lock_guard lock(ending_);
        if (end_.joinable())
            end_.join();
    }

    // Called with every event, on the manager's thread.
    void on_event(std::function<void(const acme::event&)> told)
    {
        using hook = std::function<void(const acme::event&)>;
        told_.store(told ? std::make_shared<const hook>(std::move(told)) : nullptr);
    }

    // Where each certificate stands; before a manager has its settings, what is configured.
    [[nodiscard]] std::vector<acme::certificate_status> certificates() const
    {
        if (const acme::service* const manager = informed())
            return manager->certificates();
        const acme::lister list = acme::list_configured;
        return list ? list(settings_) : std::vector<acme::certificate_status>();
    }

    [[nodiscard]] std::string certificates_json() const
    {
        const acme::list_writer write = acme::write_list;
        return write ? write(certificates()) : "[]";
    }

    // Adds what the manager knows to lines about its certificates, about those that stand in for them, and about those
    // of another program that serve as them.
    void annotate(std::vector<cert::listed_certificate>& lines) const
    {
        const acme::service* manager = get();
        if (!manager)
            return;
        const std::vector<acme::certificate_status> known = manager->certificates();
        std::multimap<std::string, const acme::certificate_status*> by_domain;
        for (const acme::certificate_status& each : known) {
            if (const auto domain = cert::parse_domain(each.names.empty() ? "" : each.names.front()))
                by_domain.emplace(*domain, &each);
        }
        for (cert::listed_certificate& line : lines) {
            const acme::certificate_status* best = nullptr;
            const auto [first, last] = by_domain.equal_range(line.domain);
            for (auto each = first; each != last; ++each) { // one for each type of key
                if (!best || each->second->not_after == line.not_after)
                    best = each->second;
            }
            if (!best)
                continue;
            const bool is_adopted = best->generation == 0 && best->not_after == line.not_after;
            if (line.from == cert::source::manual && !is_adopted)
                continue;
            line.next_attempt = best->next_attempt;
            line.last_error = best->last_error;
        }
    }

private:
    static failure not_compiled_in()
    {
        return {errc::bad_configuration,
                "certificates by ACME need the certificate manager: include <alos/acme.hpp> in one .cpp of this "
                "program"};
    }

    // While a function of the program's is told of an event, on the manager's thread: who waits for the manager there
    // waits for ever.
    struct telling {
        telling() noexcept { is_telling = true; }
        telling(const telling&) = delete;
        telling& operator=(const telling&) = delete;
        ~telling() { is_telling = false; }

        static inline thread_local bool is_telling = false;
    };

    static failure from_an_event()
    {
        return {errc::bad_configuration, "acme: not from an event's handler; post it to another thread"};
    }

    // The manager, once it has been given settings; else null.
    [[nodiscard]] const acme::service* informed() const noexcept { return has_settings_ ? get() : nullptr; }

    // The rest is called with `changing_` locked.

    [[nodiscard]] outcome<acme::service*> made()
    {
        if (ended_)
            return failure{errc::closed, "the server has stopped, and with it the manager of its certificates"};
        if (manager_)
            return manager_.get();
        const acme::maker make = acme::make_service;
        if (!make)
            return not_compiled_in();
        manager_ = make(host_);
        manager_->on_event = [this](const acme::event& what) {
            const auto told = told_.load();
            if (!told)
                return;
            const telling now;
            (*told)(what);
        };
        current_ = manager_.get();
        return manager_.get();
    }

    [[nodiscard]] outcome<acme::service*> settled()
    {
        auto manager = made();
        if (!manager || has_settings_)
            return manager;
        if (auto done = apply(**manager, settings_); !done)
            return done.error();
        return manager;
    }

    [[nodiscard]] outcome<> apply(acme::service& manager, acme::config settings)
    {
        const auto forwarded = forward(settings);
        const bool wants_http = std::ranges::count(settings.challenges, acme::challenge_type::http_01) != 0;
        const bool sends_alerts = settings.until_then == acme::before_issuance::unrecognized_name;
        // One wrong entry is told of once, and does not stand in the way of the others.
        auto done = manager.configure(std::move(settings));
        has_settings_ = true;
        wants_http_ = wants_http;
        sends_alerts_ = sends_alerts;
        if (is_open_)
            warn_without_http();
        return done ? forwarded : done;
    }

    [[nodiscard]] outcome<> forward(const acme::config& settings)
    {
        if (settings.acme_node.empty())
            return routes_.forward_to({});
        const acme::fetcher_maker make = acme::make_fetcher;
        if (!make)
            return not_compiled_in();
        auto fetch = make(settings.resolver);
        if (!fetch)
            return fetch.error();
        return routes_.forward_to({settings.acme_node, std::move(*fetch), host_.log});
    }

    [[nodiscard]] outcome<> start_if_open(acme::service& manager)
    {
        if (!is_open_ || ended_ || is_started_)
            return {};
        auto done = manager.start();
        is_started_ = done.has_value();
        return done;
    }

    void warn_without_http() const
    {
        if (wants_http_ && !has_http_)
            host_.log(log_level::warning, "acme.http-01",
                      {{"reason", "nothing listens for plain HTTP, so http-01 challenges cannot be answered here"},
                       {"hint", "set http_addr to \":80\", or leave http_01 out of acme.challenges"}});
    }

    void stop_now() noexcept
    {
        { // who is about to start it has done so, or will see that it is too late
            const std::lock_guard lock(changing_);
        }
        get()->stop();
    }

    const acme::host host_;
    redirect_routes& routes_;
    const acme::config& settings_;
    std::atomic<std::shared_ptr<const std::function<void(const acme::event&)>>> told_;

    std::mutex changing_;
    std::unique_ptr<acme::service> manager_;
    std::atomic<acme::service*> current_ = nullptr;
    std::atomic<bool> ended_ = false;
    std::atomic<bool> has_settings_ = false; // the manager, good ones or not
    bool is_open_ = false;
    bool is_started_ = false;
    bool has_http_ = false;
    bool wants_http_ = false;
    std::atomic<bool> sends_alerts_ = false;

    std::mutex ending_;
    std::thread end_;
};

}

#endif
