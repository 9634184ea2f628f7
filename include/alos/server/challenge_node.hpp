// Asks other nodes for the answers to ACME challenges (RFC 8555 8.3): a client for each thread that serves, whose
// connections are used again. No proxy is between nodes, whatever the environment says.
#ifndef ALOS_SERVER_CHALLENGE_NODE_HPP
#define ALOS_SERVER_CHALLENGE_NODE_HPP

#include <alos/dns/resolver.hpp>
#include <alos/http/client.hpp>
#include <alos/http/outbound.hpp>

#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/this_coro.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0 {

namespace detail {

// The client of one io_context, on whose thread alone it is used and with which it goes.
class node_client final : public boost::asio::execution_context::service {
public:
    using key_type = node_client;
    static inline boost::asio::execution_context::id id;

    explicit node_client(boost::asio::execution_context& context) : service(context) {}

    // Who asks holds it. Another list of name servers makes another client.
    [[nodiscard]] std::shared_ptr<http::client> get(const boost::asio::any_io_executor& executor,
                                                    const std::shared_ptr<const std::vector<dns::endpoint>>& servers)
    {
        if (client_ && servers_ == servers)
            return client_;
        dns::resolver_options how;
        how.hosts = dns::system_hosts();
        const auto asker = std::make_shared<dns::resolver>(executor, *servers, std::move(how));
        http::client_options options;
        options.resolve = [asker](std::string host) { return asker->find_addresses(std::move(host)); };
        options.via = {};
        options.max_idle = 2;
        client_ = std::make_shared<http::client>(executor, std::move(options));
        servers_ = servers;
        return client_;
    }

private:
    void shutdown() noexcept override
    {
        if (client_)
            client_->close_idle(); // as long as there is what its sockets refer to
        client_.reset();
    }

    std::shared_ptr<http::client> client_;
    std::shared_ptr<const std::vector<dns::endpoint>> servers_; // that it asks
};

inline boost::asio::awaitable<outcome<http::outbound_response>>
ask_node(http::outbound_request request, std::shared_ptr<const std::vector<dns::endpoint>> servers)
{
    const auto executor = co_await boost::asio::this_coro::executor;
    auto& context = boost::asio::query(executor, boost::asio::execution::context);
    const auto client = boost::asio::use_service<node_client>(context).get(executor, servers);
    auto answer = co_await client->fetch(std::move(request));
    co_return answer;
}

}

// Sends requests to nodes, on the io_context of whoever awaits; may be called from any thread. `resolver` is as in
// acme::config; fails when it is no list of name servers.
[[nodiscard]] inline outcome<
    std::function<boost::asio::awaitable<outcome<http::outbound_response>>(http::outbound_request)>>
make_node_client(std::string_view resolver)
{
    auto servers = resolver.empty() ? outcome<std::vector<dns::endpoint>>(dns::system_servers())
                                    : dns::parse_servers(resolver);
    if (!servers)
        return servers.error();
    return [known = std::make_shared<const std::vector<dns::endpoint>>(std::move(*servers))](
               http::outbound_request request) { return detail::ask_node(std::move(request), known); };
}

}

#endif
