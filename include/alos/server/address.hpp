// Where a server listens: "host:port" and "unix:/path" as people write them, and endpoints as people read them.
#ifndef ALOS_SERVER_ADDRESS_HPP
#define ALOS_SERVER_ADDRESS_HPP

#include <alos/bytes.hpp>
#include <alos/error.hpp>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace alos::inline v0 {

// One kind of socket for TCP and Unix alike: the code of a connection is there once.
using any_endpoint = boost::asio::generic::stream_protocol::endpoint;

// The host without brackets and the port of "host:port", "[host]:port" or ":port"; nothing if it is neither.
struct host_and_port {
    std::string host;
    std::uint16_t port = 0;
};

inline std::optional<host_and_port> split_host_and_port(std::string_view text)
{
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos)
        return std::nullopt;
    std::string_view host = text.substr(0, colon);
    const std::string_view digits = text.substr(colon + 1);
    if (host.starts_with('[') && host.ends_with(']'))
        host = host.substr(1, host.size() - 2);
    else if (host.find(':') != std::string_view::npos)
        return std::nullopt;
    host_and_port parts{std::string(host)};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), parts.port);
    if (error != std::errc{} || end != digits.data() + digits.size())
        return std::nullopt;
    return parts;
}

// The endpoints that `address` means; several when a name has several addresses. ":8443" is every address of this
// machine, IPv6 and IPv4. "unix:/run/a.sock" is a Unix socket, "unix:@name" one without a file. Looks names up, so
// call it during set-up only.
[[nodiscard]] inline outcome<std::vector<any_endpoint>> resolve_address(const std::string& address)
{
    namespace asio = boost::asio;
    const auto refuse = [&](const std::string& why) {
        return failure{errc::bad_configuration, "cannot listen on \"" + address + "\": " + why};
    };
    constexpr std::string_view unix_scheme = "unix:";
    if (address.starts_with(unix_scheme)) {
        std::string path = address.substr(unix_scheme.size());
        if (path.empty())
            return refuse("write a path, like \"unix:/run/alos.sock\"");
        if (path.size() >= sizeof(sockaddr_un::sun_path))
            return refuse("a Unix socket's path has at most 107 characters");
        if (path.front() == '@')
            path.front() = '\0';
        return std::vector<any_endpoint>{asio::local::stream_protocol::endpoint(path)};
    }
    const std::optional<host_and_port> parts = split_host_and_port(address);
    if (!parts)
        return refuse("write \"host:port\", \"[::1]:port\", \":port\" or \"unix:/path\"");
    if (parts->host.empty())
        return std::vector<any_endpoint>{asio::ip::tcp::endpoint(asio::ip::address_v6::any(), parts->port)};

    ::addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    ::addrinfo* list = nullptr;
    if (const int error = ::getaddrinfo(parts->host.c_str(), nullptr, &hints, &list))
        return refuse(std::string("the host is unknown (") + ::gai_strerror(error) + ")");
    const std::unique_ptr<::addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
    std::vector<any_endpoint> found;
    for (const ::addrinfo* item = list; item; item = item->ai_next) {
        asio::ip::tcp::endpoint endpoint;
        if (item->ai_addrlen > endpoint.capacity())
            continue;
        std::memcpy(endpoint.data(), item->ai_addr, item->ai_addrlen);
        endpoint.port(parts->port);
        found.emplace_back(endpoint);
    }
    return found;
}

// The IP endpoint in `endpoint`, if it is one. An IPv4 address that came over an IPv6 socket is given as IPv4.
inline std::optional<boost::asio::ip::tcp::endpoint> to_tcp(const any_endpoint& endpoint)
{
    const int family = endpoint.data()->sa_family;
    if (family != AF_INET && family != AF_INET6)
        return std::nullopt;
    boost::asio::ip::tcp::endpoint tcp;
    std::memcpy(tcp.data(), endpoint.data(), family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    if (family == AF_INET6 && tcp.address().to_v6().is_v4_mapped())
        tcp.address(boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, tcp.address().to_v6()));
    return tcp;
}

// The 4 or 16 bytes of an IP address; none of another kind. They live as long as `endpoint`.
inline byte_view address_bytes(const any_endpoint& endpoint) noexcept
{
    if (endpoint.data()->sa_family == AF_INET)
        return {reinterpret_cast<const std::uint8_t*>(endpoint.data()) + offsetof(sockaddr_in, sin_addr), 4};
    if (endpoint.data()->sa_family == AF_INET6)
        return {reinterpret_cast<const std::uint8_t*>(endpoint.data()) + offsetof(sockaddr_in6, sin6_addr), 16};
    return {};
}

// "127.0.0.1:8443", "[::1]:8443", "unix:/path".
inline std::string to_text(const any_endpoint& endpoint)
{
    if (const auto tcp = to_tcp(endpoint)) {
        const std::string address = tcp->address().to_string();
        const std::string port = std::to_string(tcp->port());
        return tcp->address().is_v6() ? "[" + address + "]:" + port : address + ":" + port;
    }
    if (endpoint.data()->sa_family != AF_UNIX)
        return "socket";
    const auto* local = reinterpret_cast<const sockaddr_un*>(endpoint.data());
    const std::size_t header = offsetof(sockaddr_un, sun_path);
    if (endpoint.size() <= header)
        return "unix:";
    std::string path(local->sun_path, endpoint.size() - header);
    if (path.front() == '\0')
        path.front() = '@';
    else
        path.resize(std::char_traits<char>::length(path.c_str()));
    return "unix:" + path;
}

}

#endif
