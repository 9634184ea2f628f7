// Certificates by ACME for the servers of a program: include this in one of its .cpp files, and have <alos/src.hpp> in
// one, for Boost.JSON. See basic_server::enable_acme() and server_config::acme.
#ifndef ALOS_ACME_HPP
#define ALOS_ACME_HPP

#include <alos/acme/configured.hpp>
#include <alos/acme/status_json.hpp>
#include <alos/server/acme_link.hpp>
#include <alos/server/acme_service.hpp>
#include <alos/server/challenge_node.hpp>

namespace alos::inline v0 {

namespace detail {

inline const bool has_acme = [] {
    acme::make_service = [](acme::host to) -> std::unique_ptr<acme::service> {
        return std::make_unique<acme_service>(std::move(to));
    };
    acme::list_configured = &acme::statuses_of;
    acme::write_list = &acme::to_json_text;
    acme::make_fetcher = &make_node_client;
    return true;
}();

}

}

#endif
