// The real world for acme/: this machine's clocks, network, files and random numbers.
#ifndef ALOS_SERVER_ACME_ENVIRONMENT_HPP
#define ALOS_SERVER_ACME_ENVIRONMENT_HPP

#include <alos/acme/environment.hpp>
#include <alos/crypto/botan.hpp>
#include <alos/dns/system_resolver.hpp>
#include <alos/http/client.hpp>
#include <alos/http/connect.hpp>
#include <alos/os/posix_files.hpp>
#include <alos/tls13/stream.hpp>
#include <alos/tls_client/botan.hpp>

#include <boost/asio/steady_timer.hpp>

#include <ifaddrs.h>
#include <net/if.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0 {

// All members are called on the thread of `executor`.
class acme_environment final : public acme::environment {
public:
    template <class T = void>
    using awaitable = acme::awaitable<T>;

    explicit acme_environment(boost::asio::any_io_executor executor)
        : executor_(std::move(executor)), files_(executor_), resolver_(executor_),
          client_(std::make_unique<http::client>(executor_, options()))
    {
    }

    // Asks these name servers: "address[:port]", several with commas between them; none: the system's.
    [[nodiscard]] outcome<> use_resolver(std::string_view servers)
    {
        auto parsed = dns::parse_servers(servers);
        if (!parsed)
            return parsed.error();
        use(dns::system_setup(std::move(*parsed)));
        return {};
    }

    void use(dns::system_setup setup) { resolver_ = dns::system_resolver(executor_, std::move(setup)); }

    [[nodiscard]] acme::time_point now() override { return std::chrono::system_clock::now(); }

    void random(byte_span out) override { botan_crypto().random(out); }

    // In steps, so that a machine that slept and a clock that was set are noticed.
    [[nodiscard]] awaitable<> sleep(acme::time_point until, acme::alarm* early) override
    {
        constexpr std::chrono::system_clock::duration step = std::chrono::minutes(1);
        boost::asio::steady_timer timer(executor_);
        bool has_rung = false;
        const auto ring = [&timer, &has_rung] {
            has_rung = true;
            timer.cancel();
        };
        struct ringing {
            acme::alarm* early;
            ~ringing()
            {
                if (early)
                    early->on_ring = nullptr;
            }
        } const guard{early};
        if (early)
            early->on_ring = ring;
        const auto begun = std::chrono::steady_clock::now();
        const acme::time_point clock_begun = now();
        const auto asked = until - clock_begun;
        for (auto left = asked; left > left.zero() && !has_rung; left = until - now()) {
            // Note: so that a clock that is set back by years keeps nobody waiting for them.
            const auto passed = std::chrono::steady_clock::now() - begun;
            if (passed >= asked || (early && clock_begun + passed - now() > step))
                break;
            timer.expires_after(std::min(left, step));
            const auto ended = co_await timer.async_wait(as_results);
            if (!has_rung)
                throw_if_aborted(std::get<0>(ended));
        }
    }

    [[nodiscard]] awaitable<outcome<http::outbound_response>> fetch(http::outbound_request request) override
    {
        auto answer = client_->fetch(std::move(request));
        co_return co_await std::move(answer);
    }

    [[nodiscard]] awaitable<outcome<dns::answer>> resolve(std::string name, dns::record_type type) override
    {
        const std::shared_ptr<dns::resolver> asker = resolver_.current(); // another may take its place meanwhile
        auto answer = asker->resolve(std::move(name), type);
        co_return co_await std::move(answer);
    }

    [[nodiscard]] awaitable<outcome<byte_vector>> probe(acme::tls_probe what) override
    {
        auto look = look_at(what);
        auto seen = co_await within(probe_time, std::move(look));
        if (!seen)
            co_return failure{errc::timed_out, what.address + ":" + std::to_string(what.port)
                                                   + ": no TLS handshake within 5 seconds; check firewalls"};
        co_return std::move(*seen);
    }

    [[nodiscard]] std::vector<std::string> local_addresses() override
    {
        std::vector<std::string> found;
        ::ifaddrs* list = nullptr;
        if (::getifaddrs(&list) != 0)
            return found;
        const std::unique_ptr<::ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
        for (const ::ifaddrs* each = list; each; each = each->ifa_next) {
            if (!each->ifa_addr || (each->ifa_flags & IFF_LOOPBACK) != 0)
                continue;
            char text[INET6_ADDRSTRLEN];
            const void* bytes = nullptr;
            if (each->ifa_addr->sa_family == AF_INET)
                bytes = &reinterpret_cast<const ::sockaddr_in*>(each->ifa_addr)->sin_addr;
            else if (each->ifa_addr->sa_family == AF_INET6)
                bytes = &reinterpret_cast<const ::sockaddr_in6*>(each->ifa_addr)->sin6_addr;
            if (bytes && ::inet_ntop(each->ifa_addr->sa_family, bytes, text, sizeof text))
                found.emplace_back(text);
        }
        return found;
    }

    [[nodiscard]] os::file_system& files() override { return files_; }

private:
    using tcp = boost::asio::ip::tcp;
    static constexpr std::chrono::seconds probe_time{5};

    [[nodiscard]] http::client_options options()
    {
        http::client_options chosen;
        chosen.resolve = [this](std::string host) { return find_addresses(std::move(host)); };
        return chosen;
    }

    [[nodiscard]] awaitable<outcome<dns::addresses>> find_addresses(std::string host)
    {
        const std::shared_ptr<dns::resolver> asker = resolver_.current();
        auto found = asker->find_addresses(std::move(host));
        co_return co_await std::move(found);
    }

    // A handshake that stops at the certificate.
    [[nodiscard]] awaitable<outcome<byte_vector>> look_at(acme::tls_probe what)
    {
        error_code ec;
        const auto address = boost::asio::ip::make_address(what.address, ec);
        if (ec)
            co_return failure{ec, what.address + " is no IP address"};
        const std::string there = what.address + ":" + std::to_string(what.port);
        tcp::socket socket(executor_);
        const tcp::endpoint endpoint(address, what.port);
        const auto connected = co_await socket.async_connect(endpoint, as_results);
        if (std::get<0>(connected)) {
            throw_if_aborted(std::get<0>(connected));
            co_return failure{std::get<0>(connected), there + ": " + std::get<0>(connected).message()};
        }
        tls_client::options wanted;
        wanted.server_name = what.server_name;
        wanted.alpn = {what.alpn};
        wanted.verify = false;
        tls13::stream<tcp::socket, tls_client::engine> stream(std::move(socket), std::move(wanted));
        const auto shaken = co_await stream.async_handshake(as_results);
        throw_if_aborted(std::get<0>(shaken));
        const byte_view leaf = stream.engine().leaf();
        if (leaf.empty())
            co_return failure{std::get<0>(shaken), there + ": " + std::get<0>(shaken).message()};
        co_return byte_vector(leaf.begin(), leaf.end());
    }

    const boost::asio::any_io_executor executor_;
    os::posix_files files_;
    dns::system_resolver resolver_;
    std::unique_ptr<http::client> client_;
};

}

#endif
