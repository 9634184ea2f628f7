// What all threads of a server share. It changes by its own locks or not at all once the server runs.
#ifndef ALOS_SERVER_STATE_HPP
#define ALOS_SERVER_STATE_HPP

#include <alos/cert/registry.hpp>
#include <alos/http/router.hpp>
#include <alos/server/admission.hpp>
#include <alos/server/config.hpp>
#include <alos/server/redirect.hpp>

namespace alos::inline v0 {

template <class Policy>
struct server_state {
    explicit server_state(basic_server_config<Policy> settings)
        : config(std::move(settings)),
          log(config.log),
          certificates([this](std::string_view what) {
              say(log, log_level::warning, "server.certificate", {{"reason", what}});
          }),
          gate(config.limits.connections, config.limits.connections_per_address),
          redirect(challenges)
    {
        config.tls.certificates = &certificates.served();
        if (config.tls.alpn.empty())
            config.tls.alpn = {"http/1.1"};
    }

    server_state(const server_state&) = delete;
    server_state& operator=(const server_state&) = delete;

    basic_server_config<Policy> config;
    const typename Policy::log log;
    cert::registry certificates;
    alos::router routes;
    admission gate;
    challenge_table challenges;
    redirect_routes redirect;
};

}

#endif
