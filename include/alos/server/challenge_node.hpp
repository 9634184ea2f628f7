// Asks other nodes for the answers to ACME challenges (RFC 8555 8.3): a client for each thread that serves, whose
// connections are used again. No proxy is between nodes, whatever the environment says.
#ifndef ALOS_SERVER_CHALLENGE_NODE_HPP
#define ALOS_SERVER_CHALLENGE_NODE_HPP

#include <alos/dns/system_resolver.hpp>
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

namespace alos::inline v0 {

namespace detail {

// The client of one io_context, on whose thread alone it is used and with which it goes.
class node_client final : public boost::asio::execution_context::service {
public:
    using key_type = node_client;
    static inline boost::asio::execution_context::id id;

    explicit node_client(boost::asio::execution_context& context) : service(context) {}

    // Who asks holds it. Other settings make another client.
    [[nodiscard]] std::shared_ptr<http::client> get(const boost::asio::any_io_executor& executor,
                                                    const std::shared_ptr<const dns::system_setup>& setup)
    {
        if (client_ && setup_ == setup)
            return client_;
        const auto asker = std::make_shared<dns::system_resolver>(executor, *setup);
        http::client_options options;
        options.resolve = [asker](std::string host) { return asker->find_addresses(std::move(host)); };
        options.via = {};
        options.max_idle = 2;
        client_ = std::make_shared<http::client>(executor, std::move(options));
        setup_ = setup;
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
    std::shared_ptr<const dns::system_setup> setup_; // of the client
};

inline boost::asio::awaitable<outcome<http::outbound_response>>
ask_node(http::outbound_request request, std::shared_ptr<const dns::system_setup> setup)
{
    const auto executor = co_await boost::asio::this_coro::executor;
    auto& context = boost::asio::query(executor, boost::asio::execution::context);
    const auto client = boost::asio::use_service<node_client>(context).get(executor, setup);
    auto answer = co_await client->fetch(std::move(request));
    co_return answer;
}

}

// Sends requests to nodes, on the io_context of whoever awaits; may be called from any thread. `resolver` is as in
// acme::config; fails when it is no list of name servers. Reads the system's files: during set-up.
[[nodiscard]] inline outcome<
    std::function<boost::asio::awaitable<outcome<http::outbound_response>>(http::outbound_request)>>
make_node_client(std::string_view resolver)
{
    auto servers = dns::parse_servers(resolver);
    if (!servers)
        return servers.error();
    return [setup = std::make_shared<const dns::system_setup>(std::move(*servers))](http::outbound_request request) {
        return detail::ask_node(std::move(request), setup);
    };
}

}

#endif
