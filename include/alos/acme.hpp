// Certificates by ACME for the servers of a program: include this in one of its .cpp files, and have <alos/src.hpp> in
// one, for Boost.JSON. See basic_server::enable_acme() and server_config::acme.
#ifndef ALOS_ACME_HPP
#define ALOS_ACME_HPP

#include <alos/server/acme_link.hpp>
#include <alos/server/acme_service.hpp>

namespace alos::inline v0 {

namespace detail {

inline boost::asio::awaitable<outcome<http::outbound_response>> fetch_once(http::outbound_request request)
{
    const auto executor = co_await boost::asio::this_coro::executor;
    http::client client(executor);
    auto answer = client.fetch(std::move(request));
    co_return co_await std::move(answer);
}

inline const bool has_acme = [] {
    acme::make_service = [](acme::host to) -> std::unique_ptr<acme::service> {
        return std::make_unique<acme_service>(std::move(to));
    };
    acme::fetch_challenge = &fetch_once;
    return true;
}();

}

}

#endif
