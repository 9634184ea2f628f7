// HTTPS in a program:
//
//     alos::server app({.addr = ":8443"});
//     app.router.get("/", [](alos::request&, alos::response& res) { res.string("Secure!"); });
//     return app.listen_and_serve_tls();
#ifndef ALOS_SERVER_HPP
#define ALOS_SERVER_HPP

#include <alos/fwd.hpp>
#include <alos/http/file.hpp>
#include <alos/http/hooks.hpp>
#include <alos/server/acme_link.hpp>
#include <alos/server/crew.hpp>
#include <alos/server/process.hpp>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>

#include <atomic>
#include <csignal>
#include <functional>
#include <initializer_list>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace alos::inline v0 {

// A server runs once: after stop() it stays stopped. All members but `router` may be used from any thread.
template <class Policy>
class basic_server {
    const std::shared_ptr<server_state<Policy>> state_; // before `router`, which refers to it

public:
    using config_type = basic_server_config<Policy>;

    explicit basic_server(config_type config = {})
        : state_(std::make_shared<server_state<Policy>>(std::move(config)))
        , router(state_->routes)
        , acme_({state_->certificates, state_->challenges, log_of(*state_)}, state_->redirect, state_->config.acme)
        , crew_(state_)
    {}

    basic_server(const basic_server&) = delete;
    basic_server& operator=(const basic_server&) = delete;

    // Ends at once what is still running. For a proper end, stop() and wait() first.
    ~basic_server()
    {
        cut();
        wait();
    }

    // The routes. They are fixed when the server starts.
    alos::router& router;

    // Serves until SIGINT, SIGTERM or stop(); a second signal cuts short what is in flight. The result is an exit
    // status: 0 after that, 1 if the server could not start, with one line in the log that says why and what helps.
    [[nodiscard]] int listen_and_serve_tls()
    {
        allow_open_files(state_->config.limits.connections);
        boost::asio::io_context control{1};
        boost::asio::signal_set signals(control, SIGINT, SIGTERM);
        signals.async_wait([&](error_code ec, int) {
            if (ec)
                return;
            stop();
            signals.async_wait([this](error_code again, int) {
                if (!again)
                    cut();
            });
        });
        if (const auto started = start([&control] { control.stop(); }); !started) {
            log_event(state_->log, log_level::error, "server.start", {{"reason", started.error().what}});
            return 1;
        }
        control.run();
        wait();
        return 0;
    }

    // Opens the listening sockets and starts the threads; when it returns, clients can connect. Once only, unless it
    // failed because of an address.
    [[nodiscard]] outcome<> start() { return start({}); }

    // Serves on `acceptor` and its executor, which runs one thing at a time (an io_context with one thread, or a
    // strand), until stop() is called or the acceptor closed, and the last connection has ended. The server and the
    // acceptor outlive that; the executor is there until wait() returns, as a question to the manager may have it a
    // little longer. Throws boost::system::system_error if the settings are no good.
    template <class Acceptor>
    awaitable<> serve(Acceptor& acceptor)
    {
        prepare().value();
        start_acme();
        auto work = std::make_shared<worker<Policy, typename Acceptor::executor_type>>(state_, acceptor.get_executor());
        if (!crew_.enlist(work))
            co_return;
        error_code ignored; // it ends by being cancelled
        auto end = work->async_wait_for_end(boost::asio::redirect_error(boost::asio::deferred, ignored));
        work->accept_from_others(acceptor);
        co_await std::move(end);
    }

    // Accepts no more, lets requests in flight finish until the deadline, then cuts the rest. Does not wait for that.
    void stop()
    {
        acme_.stop();
        crew_.tell(order::drain);
    }

    // Ends everything now.
    void cut()
    {
        acme_.stop();
        crew_.tell(order::cut);
    }

    // Returns when the threads have ended, which they do after stop(). Not from a handler.
    void wait()
    {
        crew_.wait();
        acme_.wait();
    }

    // Where clients can connect, once start() has returned and not while it runs: "127.0.0.1:8443".
    [[nodiscard]] std::vector<std::string> addresses() const { return texts_of(https_); }
    [[nodiscard]] std::vector<std::string> http_addresses() const { return texts_of(http_); }

    // The first TCP port of HTTPS and of plain HTTP; 0 if there is none.
    [[nodiscard]] std::uint16_t port() const { return port_of(https_); }
    [[nodiscard]] std::uint16_t http_port() const { return port_of(http_); }

    // How many connections there are.
    [[nodiscard]] std::size_t connections() const noexcept { return state_->gate.open(); }

    // Certificates, at any time, running or not; see cert::registry. What fails changes nothing.
    [[nodiscard]] outcome<> add_cert(std::string_view domain, std::string_view cert_pem, std::string_view key_pem,
                       std::string_view passphrase = {})
    {
        return certificates().add_cert(domain, cert_pem, key_pem, passphrase);
    }
    [[nodiscard]] outcome<> add_certs(std::string_view domain, std::string_view cert_pem, std::string_view key_pem,
                        std::string_view passphrase = {})
    {
        return certificates().add_certs(domain, cert_pem, key_pem, passphrase);
    }
    [[nodiscard]] outcome<> add_cert_from_files(std::string_view domain, const std::string& cert_file,
                                                const std::string& key_file, std::string_view passphrase = {})
    {
        return certificates().add_cert_from_files(domain, cert_file, key_file, passphrase);
    }
    [[nodiscard]] outcome<> add_self_signed_cert(std::string_view domain)
    {
        return certificates().add_self_signed_cert(domain);
    }
    [[nodiscard]] outcome<> update_cert(std::string_view domain, std::string_view cert_pem, std::string_view key_pem,
                          std::string_view passphrase = {})
    {
        return certificates().update_cert(domain, cert_pem, key_pem, passphrase);
    }
    [[nodiscard]] outcome<> reload_cert(std::string_view domain, const std::string& cert_file,
                                        const std::string& key_file, std::string_view passphrase = {})
    {
        return certificates().reload_cert(domain, cert_file, key_file, passphrase);
    }
    [[nodiscard]] outcome<> remove_cert(std::string_view domain) { return certificates().remove_cert(domain); }
    [[nodiscard]] outcome<> set_default_cert(std::string_view domain)
    {
        return certificates().set_default_cert(domain);
    }
    [[nodiscard]] std::vector<cert::listed_certificate> list_certs() const
    {
        auto lines = state_->certificates.list_certs();
        acme_.annotate(lines);
        return lines;
    }

    // All of the above, and credentials made elsewhere.
    [[nodiscard]] cert::registry& certificates() noexcept { return state_->certificates; }

    // Certificates by ACME (RFC 8555), at any time until stop(). All of it needs <alos/acme.hpp> in one .cpp of the
    // program, and fails with that advice without. What is obtained is served when it is there and renewed in time.

    // Adds these domains to those of the configuration; the rest takes the place of its settings.
    [[nodiscard]] outcome<> enable_acme(acme::config settings) { return acme_.enable(std::move(settings)); }

    // One more certificate, by the settings that there are. Empty email: theirs.
    [[nodiscard]] outcome<> add_acme_domain(std::string_view domain, std::string_view email = {})
    {
        acme::certificate_names names{std::string(domain)};
        names.email = email;
        return acme_.add(std::move(names));
    }

    // A domain whose certificate comes from elsewhere: the same as add_cert().
    [[nodiscard]] outcome<> add_domain_cert(std::string_view domain, std::string_view cert_pem,
                                            std::string_view key_pem)
    {
        return add_cert(domain, cert_pem, key_pem);
    }

    // Its certificate is no longer served nor renewed, but kept in the storage.
    [[nodiscard]] outcome<> remove_acme_domain(std::string_view domain)
    {
        const auto manager = acme_.require();
        return manager ? (*manager)->remove_domain(domain) : outcome<>(manager.error());
    }

    // These three may be awaited on any executor; see acme::service.

    // A new certificate with a new key, now.
    [[nodiscard]] awaitable<outcome<>> force_renew(std::string domain,
                                                   std::function<void(const acme::event&)> told = {})
    {
        const auto manager = acme_.require();
        if (!manager)
            co_return manager.error();
        auto renewal = (*manager)->force_renew(std::move(domain), std::move(told));
        co_return co_await std::move(renewal);
    }

    // The certificate for a name, ordered if there is none.
    [[nodiscard]] awaitable<outcome<cert::credential_ptr>> obtain(std::string name)
    {
        const auto manager = acme_.require();
        if (!manager)
            co_return manager.error();
        auto order = (*manager)->obtain(std::move(name));
        co_return co_await std::move(order);
    }

    // Revokes the current certificate for a reason of RFC 5280 5.3.1, and replaces it.
    [[nodiscard]] awaitable<outcome<>> revoke(std::string domain, unsigned reason = 0)
    {
        const auto manager = acme_.require();
        if (!manager)
            co_return manager.error();
        auto revocation = (*manager)->revoke(std::move(domain), reason);
        co_return co_await std::move(revocation);
    }

    // Where each of them stands, as values and as JSON. Until start() or enable_acme() has looked into the storage:
    // what is configured, without what the storage has of it. After stop(): as they were then.
    [[nodiscard]] std::vector<acme::certificate_status> acme_certificates() const { return acme_.certificates(); }
    [[nodiscard]] std::string acme_certificates_json() const { return acme_.certificates_json(); }

    // Called with everything that happens to them, on the manager's thread.
    void on_acme_event(std::function<void(const acme::event&)> told) { acme_.on_event(std::move(told)); }

    // What plain HTTP answers below /.well-known/acme-challenge/.
    [[nodiscard]] acme::answers& challenges() noexcept { return state_->challenges; }

    // For middleware: app.router.use(alos::access_log(app.log())).
    [[nodiscard]] const typename Policy::log& log() const noexcept { return state_->log; }

private:
    using member = typename crew<Policy>::member;

    [[nodiscard]] outcome<> start(std::function<void()> on_end)
    {
        if (started_.exchange(true))
            return failure{errc::bad_configuration, "a server starts once; make a new one"};
        auto done = start_once(std::move(on_end));
        if (!done)
            started_ = false;
        return done;
    }

    outcome<> start_once(std::function<void()> on_end)
    {
        if (auto prepared = prepare(); !prepared)
            return prepared;
        const std::size_t threads = state_->serving_threads();
        if (auto opened = open(threads); !opened) {
            close();
            return opened;
        }
        std::vector<std::unique_ptr<member>> members;
        for (std::size_t i = 0; i < threads; ++i) {
            members.push_back(crew_.hire());
            for (listeners& each : https_)
                members.back()->work->listen(std::move(each.sockets[i]), traffic::https);
            for (listeners& each : http_)
                members.back()->work->listen(std::move(each.sockets[i]), traffic::http);
        }
        start_acme();
        log_start(threads);
        auto running = crew_.start(std::move(members), std::move(on_end));
        if (!running)
            acme_.stop();
        return running;
    }

    // Routes and certificates, once.
    [[nodiscard]] outcome<> prepare()
    {
        const std::lock_guard lock(preparing_);
        if (!prepared_)
            prepared_ = load();
        return *prepared_;
    }

    [[nodiscard]] outcome<> load()
    {
        if (auto built = state_->routes.build(); !built)
            return built;
        if (auto good = tls13::check(state_->config.tls); !good)
            return good;
        if (auto able = acme_.check(); !able)
            return able;
        const auto& config = state_->config;
        std::vector<cert::file_settings> files = config.certs;
        if (!config.tls_cert_file.empty())
            files.insert(
                files.begin(),
                {.domain = {}, .cert_file = config.tls_cert_file, .key_file = config.tls_key_file, .passphrase = {}});
        if (acme_.is_in_charge())
            return certificates().add_files(files);
        if (files.empty() && list_certs().empty()) {
            if (auto kept = add_default_cert(); !kept)
                return kept;
        }
        return certificates().add_files(files, config.default_domain);
    }

    [[nodiscard]] outcome<> add_default_cert()
    {
        return certificates().add_kept_self_signed({"localhost", "127.0.0.1", "::1"}, state_->config.self_signed);
    }

    // Challenges can be answered: the manager may begin. What fails keeps nobody from being served.
    void start_acme()
    {
        const auto report = [&](const outcome<>& done) {
            if (!done)
                log_event(state_->log, log_level::error, "acme.start", {{"reason", done.error().what}});
        };
        report(acme_.open(!http_.empty()));
        if (!acme_.is_in_charge())
            return;
        if (!acme_.sends_alerts() && state_->certificates.list_certs().empty())
            report(add_default_cert());
        if (const std::string& domain = state_->config.default_domain; !domain.empty())
            report(set_default_cert(domain));
    }

    static auto log_of(const server_state<Policy>& state)
    {
        return [&state](log_level level, std::string_view event, std::initializer_list<log_field> fields) {
            log_event(state.log, level, event, fields);
        };
    }

    [[nodiscard]] outcome<> open(std::size_t threads)
    {
        for (inherited_socket& each : inherited_sockets()) {
            auto& list = each.name == "http" ? http_ : https_;
            auto adopted = adopt_listener(std::move(each.socket), threads);
            if (!adopted)
                return adopted.error();
            list.push_back(std::move(*adopted));
        }
        if (https_.empty()) {
            if (auto opened = open(state_->config.addr, threads, https_); !opened)
                return opened;
        }
        if (http_.empty() && !state_->config.http_addr.empty()) {
            if (auto opened = open(state_->config.http_addr, threads, http_); !opened)
                return opened;
        }
        const std::uint16_t port = state_->config.public_port != 0 ? state_->config.public_port : this->port();
        state_->redirect.port(port != 0 ? port : 443);
        return {};
    }

    static outcome<> open(const std::string& address, std::size_t threads, std::vector<listeners>& into)
    {
        auto endpoints = resolve_address(address);
        if (!endpoints)
            return endpoints.error();
        for (const any_endpoint& each : *endpoints) {
            auto opened = listen_on(each, threads);
            if (!opened)
                return opened.error();
            into.push_back(std::move(*opened));
        }
        return {};
    }

    void close()
    {
        https_.clear();
        http_.clear();
    }

    // Four lines: where, for whom, what, with how many.
    void log_start(std::size_t threads) const
    {
        if (!state_->log.takes(log_level::info))
            return;
        const auto join = [](const std::vector<std::string>& texts) {
            std::string all;
            for (const std::string& each : texts)
                all.append(all.empty() ? "" : ", ").append(each);
            return all;
        };
        const std::string https = join(addresses());
        const std::string http = join(http_addresses());
        const std::string url = port() == 0 ? std::string() : "https://localhost:" + std::to_string(port()) + "/";
        log_event(state_->log, log_level::info, "server.listen", {{"https", https}, {"http", http}, {"url", url}});

        std::vector<std::string> names;
        const auto now = std::chrono::system_clock::now();
        for (const cert::listed_certificate& each : list_certs()) {
            const auto days = std::chrono::floor<std::chrono::days>(each.not_after - now).count();
            names.push_back(each.domain + " (" + (each.from == cert::source::self_signed ? "self-signed, " : "")
                            + each.key_type + ", "
                            + (days < 0 ? std::string("expired") : std::to_string(days) + " days left") + ")");
        }
        const std::string certificates = join(names);
        log_event(state_->log, log_level::info, "server.names", {{"certificates", certificates}});

        const std::string alpn = join(state_->config.tls.alpn);
        std::vector<std::string> suites;
        for (const cipher_suite each : state_->config.tls.suites)
            suites.emplace_back(name_of(each));
        const std::string spoken = join(suites);
        log_event(state_->log, log_level::info, "server.protocols",
                  {{"tls", "1.3"}, {"alpn", alpn}, {"suites", spoken}});
        log_event(state_->log, log_level::info, "server.threads",
            {{"threads", threads}, {"connections", state_->config.limits.connections}});
    }

    static std::vector<std::string> texts_of(const std::vector<listeners>& list)
    {
        std::vector<std::string> texts;
        for (const listeners& each : list)
            texts.push_back(to_text(each.endpoint));
        return texts;
    }

    static std::uint16_t port_of(const std::vector<listeners>& list)
    {
        for (const listeners& each : list) {
            if (const auto tcp = to_tcp(each.endpoint))
                return tcp->port();
        }
        return 0;
    }

    acme_link acme_;
    crew<Policy> crew_;
    std::vector<listeners> https_;
    std::vector<listeners> http_;
    std::mutex preparing_;
    std::optional<outcome<>> prepared_;
    std::atomic<bool> started_ = false;
};

// Compiled once, where <alos/src.hpp> is.
#ifdef ALOS_SEPARATE_COMPILATION
extern template class tls13::basic_server_engine<tls13::server_core<botan_crypto>>;
extern template class basic_server<default_policy>;
#endif

}

#endif
