// Listening sockets: opened with the options a server wants, adopted from the service manager, shared among threads.
#ifndef ALOS_SERVER_LISTENER_HPP
#define ALOS_SERVER_LISTENER_HPP

#include <alos/server/address.hpp>
#include <alos/unique_fd.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace alos::inline v0 {

// The file of a Unix socket, which goes when nobody listens on it any more.
class socket_file {
public:
    socket_file() = default;
    explicit socket_file(std::string path) noexcept : path_(std::move(path)) {}
    socket_file(socket_file&& other) noexcept : path_(std::exchange(other.path_, {})) {}
    socket_file& operator=(socket_file&& other) noexcept
    {
        path_.swap(other.path_);
        return *this;
    }
    ~socket_file()
    {
        if (!path_.empty())
            ::unlink(path_.c_str());
    }

private:
    std::string path_;
};

// The sockets of one address, one for each thread.
struct listeners {
    any_endpoint endpoint; // with the true port
    std::vector<unique_fd> sockets;
    socket_file file;
};

namespace detail {

inline constexpr int accept_backlog = 4096; // the kernel lowers it to net.core.somaxconn

// What to do about an error of bind or listen, for people.
inline std::string listen_failure(const any_endpoint& endpoint, int error)
{
    const auto tcp = to_tcp(endpoint);
    std::string text = "cannot listen on " + to_text(endpoint) + ": " + std::strerror(error);
    switch (error) {
    case EADDRINUSE:
        text += tcp ? "; another program has the port, see `ss -ltnp sport = :" + std::to_string(tcp->port())
                          + "`, or take another port"
                    : "; another program listens there, or it is no socket";
        break;
    case EACCES:
    case EPERM:
        if (tcp)
            text += "; ports below 1024 need `sudo setcap cap_net_bind_service=+ep PROGRAM` or a socket from systemd"
                    + std::string(tcp->port() == 443 ? "; or take 8443" : "");
        else
            text += "; this user may not write to the folder of the socket";
        break;
    case EADDRNOTAVAIL: text += "; this machine does not have that address, see `ip address`"; break;
    case ENOENT: text += "; the folder of the socket does not exist"; break;
    case EMFILE:
    case ENFILE: text += "; raise the limit with `ulimit -n`"; break;
    default: break;
    }
    return text;
}

[[nodiscard]] inline outcome<unique_fd> bind_socket(const any_endpoint& endpoint, bool shares_port)
{
    const int family = endpoint.data()->sa_family;
    unique_fd socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;
    const int off = 0;
    if (socket && family != AF_UNIX) {
        ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); // accepted sockets inherit it
        // TLS and HTTP clients speak first: a connection arrives with its first bytes, or after a second without.
        ::setsockopt(socket.get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof on);
        if (family == AF_INET6)
            ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY,
                         to_tcp(endpoint)->address().is_unspecified() ? &off : &on, sizeof on);
        if (shares_port)
            ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    }
    if (!socket || ::bind(socket.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0)
        return failure{{errno, boost::system::system_category()}, listen_failure(endpoint, errno)};
    return socket;
}

inline any_endpoint local_endpoint(int socket)
{
    any_endpoint endpoint;
    auto size = static_cast<socklen_t>(endpoint.capacity());
    if (::getsockname(socket, endpoint.data(), &size) == 0)
        endpoint.resize(size);
    return endpoint;
}

// A file of a Unix socket that nobody listens on any more is in the way.
inline void remove_stale_socket(const any_endpoint& endpoint, const std::string& path)
{
    struct ::stat file {};
    if (::lstat(path.c_str(), &file) != 0 || !S_ISSOCK(file.st_mode))
        return;
    const unique_fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (probe && ::connect(probe.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0
        && errno == ECONNREFUSED)
        ::unlink(path.c_str());
}

// Copies of the first socket, until there is one for each thread.
[[nodiscard]] inline outcome<> share(listeners& made, std::size_t threads)
{
    while (made.sockets.size() < threads) {
        made.sockets.emplace_back(::fcntl(made.sockets.front().get(), F_DUPFD_CLOEXEC, 0));
        if (!made.sockets.back())
            return failure{{errno, boost::system::system_category()}, listen_failure(made.endpoint, errno)};
    }
    return {};
}

}

// Listens on `endpoint` for `threads` threads: TCP with a socket for each, among which the kernel shares connections
// out (SO_REUSEPORT); a Unix socket is one for all.
[[nodiscard]] inline outcome<listeners> listen_on(any_endpoint endpoint, std::size_t threads)
{
    listeners made{.endpoint = endpoint, .sockets = {}, .file = {}};
    const auto tcp = to_tcp(endpoint);
    const std::string path = tcp ? std::string() : to_text(endpoint).substr(5);
    const bool has_file = !path.empty() && !path.starts_with('@');
    if (has_file)
        detail::remove_stale_socket(endpoint, path);
    // Sockets that share a port would share it with another process of the same user, too.
    auto probe = tcp ? detail::bind_socket(endpoint, false) : outcome<unique_fd>(unique_fd());
    // A machine without IPv6 still has every IPv4 address.
    if (!probe && probe.error().code == boost::system::errc::address_family_not_supported
        && tcp->address().is_unspecified() && tcp->address().is_v6())
        return listen_on(boost::asio::ip::tcp::endpoint(boost::asio::ip::tcp::v4(), tcp->port()), threads);
    if (!probe)
        return probe.error();
    *probe = unique_fd();
    const std::size_t wanted = tcp ? threads : 1;
    while (made.sockets.size() < wanted) {
        auto socket = detail::bind_socket(made.endpoint, wanted > 1);
        if (!socket)
            return socket.error();
        if (::listen(socket->get(), detail::accept_backlog) != 0)
            return failure{{errno, boost::system::system_category()}, detail::listen_failure(made.endpoint, errno)};
        if (has_file)
            made.file = socket_file(path);
        made.endpoint = detail::local_endpoint(socket->get());
        made.sockets.push_back(std::move(*socket));
    }
    if (auto shared = detail::share(made, threads); !shared)
        return shared.error();
    return made;
}

// Takes over a socket that somebody else has bound and made to listen.
[[nodiscard]] inline outcome<listeners> adopt_listener(unique_fd socket, std::size_t threads)
{
    int listens = 0;
    socklen_t size = sizeof listens;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || !listens)
        return failure{errc::bad_configuration,
                       "file descriptor " + std::to_string(socket.get())
                           + " from LISTEN_FDS is not a listening stream socket; check the .socket unit"};
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::fcntl(socket.get(), F_SETFL, ::fcntl(socket.get(), F_GETFL) | O_NONBLOCK);
    ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
    listeners made{.endpoint = detail::local_endpoint(socket.get()), .sockets = {}, .file = {}};
    made.sockets.push_back(std::move(socket));
    if (auto shared = detail::share(made, threads); !shared)
        return shared.error();
    return made;
}

// A socket from the service manager, by the protocol of sd_listen_fds(3). The name is that of FileDescriptorName=.
struct inherited_socket {
    std::string name;
    unique_fd socket;
};

// The sockets that this process was started with; asking takes them, so a second call gives none.
inline std::vector<inherited_socket> inherited_sockets()
{
    constexpr int first = 3;
    const auto number = [](const char* name) {
        const char* text = std::getenv(name);
        return text ? std::strtol(text, nullptr, 10) : 0;
    };
    std::vector<inherited_socket> found;
    if (number("LISTEN_PID") == ::getpid()) {
        const char* names = std::getenv("LISTEN_FDNAMES");
        std::string_view rest = names ? names : "";
        for (long i = 0; i < number("LISTEN_FDS"); ++i) {
            const std::size_t colon = std::min(rest.find(':'), rest.size());
            found.push_back({std::string(rest.substr(0, colon)), unique_fd(first + static_cast<int>(i))});
            rest.remove_prefix(std::min(colon + 1, rest.size()));
        }
    }
    for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"})
        ::unsetenv(name);
    return found;
}

}

#endif
