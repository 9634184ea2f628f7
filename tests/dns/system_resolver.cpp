#include <alos/dns/system_resolver.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

using namespace alos;
using namespace alos::dns;

namespace {

// The files of a machine, in a folder of their own.
struct machine_files {
    machine_files()
    {
        std::string pattern = (std::filesystem::temp_directory_path() / "alos-dns-XXXXXX").string();
        path = ::mkdtemp(pattern.data());
    }
    machine_files(const machine_files&) = delete;
    machine_files& operator=(const machine_files&) = delete;
    ~machine_files() { std::filesystem::remove_all(path); }

    void write(const std::string& name, const std::string& text) const { std::ofstream(path + "/" + name) << text; }

    // By the files; or by the hosts and a server that nobody is at.
    [[nodiscard]] system_setup setup() const { return system_setup({}, path + "/resolv.conf", path + "/hosts"); }
    [[nodiscard]] system_setup setup_without_answers() const
    {
        return system_setup({*parse_server("127.0.0.1:1")}, path + "/resolv.conf", path + "/hosts");
    }

    std::string path;
};

std::string first_of(const system_setup& setup) { return alos::to_text(any_endpoint(setup.servers().front())); }

std::string look_up(system_resolver& asker, boost::asio::io_context& context)
{
    std::optional<outcome<addresses>> found;
    boost::asio::co_spawn(context, asker.find_addresses("node.test"),
                          [&](const std::exception_ptr& thrown, outcome<addresses> came) {
                              CHECK_FALSE(thrown);
                              found = std::move(came);
                          });
    context.run();
    context.restart();
    REQUIRE(found.has_value());
    return *found ? found->value().front().to_string() : "nothing";
}

}

TEST_CASE("system resolver: servers that come after the start are noticed, and so are others; none is forgotten")
{
    const machine_files machine;
    system_setup setup = machine.setup();
    CHECK(first_of(setup) == "127.0.0.1:53");
    CHECK_FALSE(setup.refresh());
    machine.write("resolv.conf", "nameserver 192.0.2.1\n");
    CHECK(first_of(setup) == "127.0.0.1:53");
    CHECK(setup.refresh());
    CHECK(first_of(setup) == "192.0.2.1:53");
    CHECK_FALSE(setup.refresh());
    machine.write("new", "nameserver 192.0.2.2\n"); // of the same size
    std::filesystem::rename(machine.path + "/new", machine.path + "/resolv.conf");
    CHECK(setup.refresh());
    CHECK(first_of(setup) == "192.0.2.2:53");
    std::filesystem::remove(machine.path + "/resolv.conf");
    CHECK_FALSE(setup.refresh());
    CHECK(first_of(setup) == "192.0.2.2:53");
    machine.write("hosts", "192.0.2.9 node.test\n");
    CHECK(setup.refresh());
    CHECK(setup.hosts() == "192.0.2.9 node.test\n");
}

TEST_CASE("system resolver: servers that are given stand, whatever the file says")
{
    const machine_files machine;
    system_setup setup = machine.setup_without_answers();
    machine.write("resolv.conf", "nameserver 192.0.2.1\n");
    CHECK_FALSE(setup.refresh());
    CHECK(first_of(setup) == "127.0.0.1:1");
    CHECK_FALSE(system_setup().servers().empty());
    CHECK(system_setup().hosts().size() <= 1 << 20);
}

TEST_CASE("system resolver: who may wait for disks has the files as they are, and the same resolver until they change")
{
    const machine_files machine;
    boost::asio::io_context context(1);
    system_resolver asker(context.get_executor(), machine.setup());
    const auto before = asker.current();
    CHECK(asker.current() == before);
    machine.write("resolv.conf", "nameserver 192.0.2.1\n");
    const auto after = asker.current();
    CHECK(after != before);
    CHECK(asker.current() == after);
}

TEST_CASE("system resolver: a look-up that fails is made again by changed files, which are looked at once a minute")
{
    const machine_files machine;
    boost::asio::io_context context(1);
    system_resolver lucky(context.get_executor(), machine.setup_without_answers());
    system_resolver early(context.get_executor(), machine.setup_without_answers());
    CHECK(look_up(early, context) == "nothing");
    machine.write("hosts", "192.0.2.9 node.test\n");
    CHECK(look_up(lucky, context) == "192.0.2.9");
    machine.write("hosts", "192.0.2.10 node.test\n");
    CHECK(look_up(lucky, context) == "192.0.2.9"); // found, so nothing is looked at
    CHECK(look_up(early, context) == "nothing");   // it has looked a moment ago
}

TEST_CASE("system resolver: a look-up that was given up counts as one that found nothing")
{
    const machine_files machine;
    boost::asio::io_context context(1);
    const boost::asio::ip::udp::socket silent(context, {boost::asio::ip::address_v4::loopback(), 0});
    system_resolver asker(context.get_executor(),
                          system_setup({silent.local_endpoint()}, "", machine.path + "/hosts"));
    const auto give_up = [](system_resolver& by) -> boost::asio::awaitable<void> {
        auto work = by.find_addresses("node.test");
        const auto found = co_await within(std::chrono::milliseconds(20), std::move(work));
        CHECK_FALSE(found.has_value());
    };
    boost::asio::co_spawn(context, give_up(asker), [](const std::exception_ptr& thrown) { CHECK_FALSE(thrown); });
    context.run();
    context.restart();
    machine.write("hosts", "192.0.2.9 node.test\n");
    const auto begun = std::chrono::steady_clock::now();
    CHECK(look_up(asker, context) == "192.0.2.9");
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(2)); // the server was not waited for
}
