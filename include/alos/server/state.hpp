// What all threads of a server share. It changes by its own locks or not at all once the server runs.
#ifndef ALOS_SERVER_STATE_HPP
#define ALOS_SERVER_STATE_HPP

#include <alos/cert/registry.hpp>
#include <alos/http/router.hpp>
#include <alos/server/admission.hpp>
#include <alos/server/config.hpp>
#include <alos/server/redirect.hpp>
#include <alos/server/signing_pool.hpp>

#include <algorithm>
#include <thread>

namespace alos::inline v0 {

template <class Policy>
struct server_state {
    explicit server_state(basic_server_config<Policy> settings)
        : config(std::move(settings))
        , log(config.log)
        , certificates([this](std::string_view what) {
            log_event(log, log_level::warning, "server.certificate", {{"reason", what}});
        })
        , gate(config.limits.connections, config.limits.connections_per_address)
        , redirect(challenges)
        , signers(config.signing_threads != 0 ? config.signing_threads : std::max(1u, serving_threads() / 2))
    {
        config.tls.run_elsewhere = [this](std::function<void()> work) { signers.run(std::move(work)); };
        config.tls.certificates = &certificates.served();
        config.tls.hand_over_older_versions = false; // there is nobody to take over yet
        if (config.tls.alpn.empty())
            config.tls.alpn = {"http/1.1"};
    }

    server_state(const server_state&) = delete;
    server_state& operator=(const server_state&) = delete;

    // How many threads serve.
    [[nodiscard]] unsigned serving_threads() const noexcept
    {
        return config.threads != 0 ? config.threads : std::max(1u, std::thread::hardware_concurrency());
    }

    basic_server_config<Policy> config;
    const typename Policy::log log;
    cert::registry certificates;
    alos::router routes;
    admission gate;
    acme::answers challenges;
    redirect_routes redirect;
    signing_pool signers;
};

}

#endif
