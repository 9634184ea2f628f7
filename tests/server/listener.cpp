#include <alos/server/listener.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

using namespace alos;

namespace {

outcome<listeners> listen_to(const std::string& address, std::size_t threads = 1)
{
    return listen_on(resolve_address(address).value().front(), threads);
}

bool can_connect(const any_endpoint& to)
{
    const unique_fd socket(::socket(to.data()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return ::connect(socket.get(), to.data(), static_cast<socklen_t>(to.size())) == 0;
}

std::string new_path()
{
    std::string folder = (std::filesystem::temp_directory_path() / "alos-XXXXXX").string();
    return std::string(::mkdtemp(folder.data())) + "/a.sock";
}

}

TEST_CASE("port 0 is a free port, the same one for all threads")
{
    const auto made = listen_to("127.0.0.1:0", 3);
    REQUIRE(made.has_value());
    CHECK(made->sockets.size() == 3);
    CHECK(to_tcp(made->endpoint)->port() != 0);
    for (const unique_fd& each : made->sockets)
        CHECK(to_text(detail::local_endpoint(each.get())) == to_text(made->endpoint));
    CHECK(can_connect(made->endpoint));
}

TEST_CASE("a taken port is an error with a cure, also for several threads, which could share it")
{
    const auto first = listen_to("127.0.0.1:0", 2);
    REQUIRE(first.has_value());
    for (const std::size_t threads : {1, 2}) {
        const auto second = listen_on(first->endpoint, threads);
        REQUIRE_FALSE(second.has_value());
        CHECK(second.error().code == boost::system::errc::address_in_use);
        CHECK(second.error().what.find("ss -ltnp") != std::string::npos);
    }
}

TEST_CASE("an address that is not here is an error with a cure")
{
    const auto made = listen_to("192.0.2.1:0");
    REQUIRE_FALSE(made.has_value());
    CHECK(made.error().what.find("ip address") != std::string::npos);
}

TEST_CASE("the message for a missing permission names the ways out")
{
    const boost::asio::ip::tcp::endpoint low(boost::asio::ip::make_address("0.0.0.0"), 443);
    const std::string said = detail::listen_failure(any_endpoint(low), EACCES);
    CHECK(said.find("setcap cap_net_bind_service") != std::string::npos);
    CHECK(said.ends_with("; or take 8443"));
    const boost::asio::ip::tcp::endpoint plain(boost::asio::ip::make_address("0.0.0.0"), 80);
    CHECK(detail::listen_failure(any_endpoint(plain), EACCES).ends_with(" or a socket from systemd"));
}

TEST_CASE("a Unix socket is shared by the threads; its file goes with it, and a stale one is replaced")
{
    const std::string path = new_path();
    {
        const auto made = listen_to("unix:" + path, 2);
        REQUIRE(made.has_value());
        CHECK(made->sockets.size() == 2);
        CHECK(can_connect(made->endpoint));
        CHECK_FALSE(listen_to("unix:" + path).has_value()); // taken
        CHECK(can_connect(made->endpoint));
    }
    CHECK_FALSE(std::filesystem::exists(path));

    const auto endpoint = resolve_address("unix:" + path).value().front();
    REQUIRE(detail::bind_socket(endpoint, false).has_value()); // whose owner has died
    CHECK(std::filesystem::exists(path));
    CHECK(listen_to("unix:" + path).has_value());

    std::fclose(std::fopen(path.c_str(), "w"));
    CHECK_FALSE(listen_to("unix:" + path).has_value()); // not a socket: not ours to remove
    CHECK(std::filesystem::exists(path));
    std::filesystem::remove_all(std::filesystem::path(path).parent_path());
}

TEST_CASE("a socket from outside is adopted if it listens")
{
    auto made = listen_to("127.0.0.1:0");
    REQUIRE(made.has_value());
    const auto adopted = adopt_listener(std::move(made->sockets.front()), 2);
    REQUIRE(adopted.has_value());
    CHECK(adopted->sockets.size() == 2);
    CHECK(can_connect(adopted->endpoint));

    CHECK_FALSE(adopt_listener(unique_fd(::socket(AF_INET, SOCK_STREAM, 0)), 1).has_value());
    CHECK_FALSE(adopt_listener(unique_fd(::open("/dev/null", O_RDONLY)), 1).has_value());
}

TEST_CASE("LISTEN_FDS is for the process that LISTEN_PID names, and is taken once")
{
    ::setenv("LISTEN_FDS", "1", 1);
    ::setenv("LISTEN_PID", "1", 1);
    CHECK(inherited_sockets().empty());
    CHECK(std::getenv("LISTEN_FDS") == nullptr);
}
