#include <alos/dns/resolver.hpp>

#include "support/name_server.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <doctest/doctest.h>

#include <set>

using namespace alos;
using namespace alos::dns;
using namespace alos_tests;
using namespace std::chrono_literals;

namespace {

constexpr std::uint16_t fine = 0x8180;
constexpr std::uint16_t no_such_name = 0x8183;

resolver_options quick()
{
    resolver_options options;
    options.timeout = 100ms;
    return options;
}

template <class T>
T run(boost::asio::io_context& context, boost::asio::awaitable<T> work, const std::vector<name_server*>& servers)
{
    std::optional<T> found;
    std::exception_ptr thrown;
    boost::asio::co_spawn(context, std::move(work), [&](std::exception_ptr end, T value) {
        thrown = end;
        found = std::move(value);
        for (name_server* each : servers)
            each->stop();
    });
    context.run();
    context.restart();
    if (thrown)
        std::rethrow_exception(thrown);
    return std::move(*found);
}

outcome<answer> resolve(name_server::script script, const std::string& name, record_type type,
                        std::vector<asked>* questions = nullptr, resolver_options options = quick())
{
    boost::asio::io_context context(1);
    name_server server(context, std::move(script));
    resolver asker(context.get_executor(), {server.endpoint()}, std::move(options));
    auto found = run(context, asker.resolve(name, type), {&server});
    if (questions)
        *questions = server.questions;
    return found;
}

record address(std::string name, std::string text) { return {std::move(name), record_type::a, 60, std::move(text)}; }
record alias(std::string name, std::string to) { return {std::move(name), record_type::cname, 60, std::move(to)}; }

}

TEST_CASE("a resolver asks once, by UDP, with room for long answers (RFC 6891)")
{
    std::vector<asked> questions;
    const auto found = resolve(
        [](const asked& one) -> std::vector<byte_vector> {
            return {answer_to(one, fine, {address("www.example.com", "192.0.2.1")})};
        },
        "WWW.example.com.", record_type::a, &questions);
    REQUIRE(found.has_value());
    CHECK(found->code == response_code::no_error);
    CHECK(found->records == std::vector<record>{address("www.example.com", "192.0.2.1")});
    REQUIRE(questions.size() == 1);
    CHECK(questions[0].name == "www.example.com");
    CHECK(questions[0].edns);
    CHECK_FALSE(questions[0].tcp);
}

TEST_CASE("ids and source ports are fresh for every question (RFC 5452 9.2)")
{
    boost::asio::io_context context(1);
    name_server server(context, [](const asked& one) -> std::vector<byte_vector> { return {answer_to(one, fine)}; });
    resolver_options options = quick();
    std::uint8_t next = 0;
    options.random = [&](byte_span out) {
        for (std::uint8_t& each : out)
            each = ++next;
    };
    resolver asker(context.get_executor(), {server.endpoint()}, options);
    std::optional<outcome<answer>> last;
    const auto work = [](resolver& one) -> boost::asio::awaitable<outcome<answer>> {
        for (int i = 0; i < 9; ++i)
            static_cast<void>(co_await one.resolve("a.test", record_type::txt));
        co_return co_await one.resolve("a.test", record_type::txt);
    };
    CHECK(run(context, work(asker), {&server}).has_value());
    std::set<std::uint16_t> ports;
    for (const asked& one : server.questions)
        ports.insert(one.port);
    CHECK(ports.size() > 5);
    CHECK(server.questions.at(0).id == 0x0102);
    CHECK(server.questions.at(1).id == 0x0304);
}

TEST_CASE("a truncated answer is asked for by TCP (RFC 7766 5)")
{
    std::vector<asked> questions;
    const auto found = resolve(
        [](const asked& one) -> std::vector<byte_vector> {
            if (!one.tcp)
                return {answer_to(one, fine | 0x0200)};
            std::vector<record> many;
            for (int i = 0; i < 500; ++i)
                many.push_back({"a.test", record_type::txt, 60, std::string(100, 'x')});
            return {answer_to(one, fine, many)};
        },
        "a.test", record_type::txt, &questions);
    REQUIRE(found.has_value());
    CHECK(found->records.size() == 500);
    REQUIRE(questions.size() == 2);
    CHECK(questions[1].tcp);
    CHECK(questions[1].message == questions[0].message);
}

TEST_CASE("what answers another question is passed over (RFC 5452 9.1)")
{
    const auto found = resolve(
        [](const asked& one) -> std::vector<byte_vector> {
            asked other = one;
            ++other.id;
            asked elsewhere = one;
            elsewhere.name = "b.test";
            return {byte_vector{1, 2, 3}, answer_to(other, fine, {address("a.test", "192.0.2.66")}),
                    answer_to(elsewhere, fine, {address("a.test", "192.0.2.66")}), one.message,
                    answer_to(one, fine, {address("a.test", "192.0.2.1")})};
        },
        "a.test", record_type::a);
    REQUIRE(found.has_value());
    CHECK(found->records.at(0).text == "192.0.2.1");
}

TEST_CASE("nobody but the server that was asked is heard (RFC 5452 9.1)")
{
    boost::asio::io_context context(1);
    boost::asio::ip::udp::socket elsewhere(context, {boost::asio::ip::address_v4::loopback(), 0});
    name_server server(context, [&](const asked& one) -> std::vector<byte_vector> {
        const byte_vector forged = answer_to(one, fine, {address("a.test", "192.0.2.66")});
        elsewhere.send_to(boost::asio::buffer(forged), {boost::asio::ip::address_v4::loopback(), one.port});
        return {answer_to(one, fine, {address("a.test", "192.0.2.1")})};
    });
    resolver asker(context.get_executor(), {server.endpoint()}, quick());
    const auto found = run(context, asker.resolve("a.test", record_type::a), {&server});
    CHECK(found.value().records.at(0).text == "192.0.2.1");
}

TEST_CASE("there is no such name: that is an answer (RFC 2308 2.1)")
{
    std::vector<asked> questions;
    const auto found = resolve(
        [](const asked& one) -> std::vector<byte_vector> {
            return {answer_to(one, no_such_name, {}, {{"test", record_type::soa, 60, ""}})};
        },
        "a.test", record_type::caa, &questions);
    REQUIRE(found.has_value());
    CHECK(found->code == response_code::name_error);
    CHECK(found->authority.at(0).name == "test");
    CHECK(questions.size() == 1);
}

TEST_CASE("a server that fails, is silent or confused is followed by the next")
{
    boost::asio::io_context context(1);
    int tries = 0;
    name_server first(context, [&](const asked& one) -> std::vector<byte_vector> {
        switch (tries++) {
        case 0: return {answer_to(one, 0x8182)};
        default: return {};
        }
    });
    name_server second(context, [&](const asked& one) -> std::vector<byte_vector> {
        byte_vector cut = answer_to(one, fine, {address("a.test", "192.0.2.1")});
        if (tries == 1)
            cut.pop_back();
        return {cut};
    });
    resolver asker(context.get_executor(), {first.endpoint(), second.endpoint()}, quick());
    const auto found = run(context, asker.resolve("a.test", record_type::a), {&first, &second});
    CHECK(found.value().records.at(0).text == "192.0.2.1");
    CHECK(first.questions.size() == 2);
    CHECK(second.questions.size() == 2);
}

TEST_CASE("when no server can answer, its code is the answer; when none does, that is a failure")
{
    std::vector<asked> questions;
    const auto refused = resolve([](const asked& one) -> std::vector<byte_vector> { return {answer_to(one, 0x8185)}; },
                                 "a.test", record_type::a, &questions);
    REQUIRE(refused.has_value());
    CHECK(refused->code == response_code::refused);
    CHECK(questions.size() == 2);

    resolver_options options = quick();
    options.timeout = 20ms;
    const auto silent = resolve([](const asked&) -> std::vector<byte_vector> { return {}; }, "a.test", record_type::a,
                                &questions, options);
    REQUIRE(silent.has_error());
    CHECK(silent.error().code == alos::errc::timed_out);
    CHECK(silent.error().what.find("a.test (A)") != std::string::npos);
    CHECK(silent.error().what.find("127.0.0.1:") != std::string::npos);
    CHECK(questions.size() == 2);

    boost::asio::io_context context(1);
    name_server gone(context, {});
    const endpoint nobody = gone.endpoint();
    gone.stop();
    resolver asker(context.get_executor(), {nobody}, quick());
    CHECK(run(context, asker.resolve("a.test", record_type::a), {}).error().code
          == boost::asio::error::connection_refused);
    resolver alone(context.get_executor(), {}, quick());
    CHECK(run(context, alone.resolve("a.test", record_type::a), {}).error().code == alos::errc::timed_out);
}

TEST_CASE("a server that does not know EDNS is asked without (RFC 6891 7)")
{
    std::vector<asked> questions;
    const auto found = resolve(
        [](const asked& one) -> std::vector<byte_vector> {
            if (one.edns)
                return {byte_vector{one.message[0], one.message[1], 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0}};
            return {answer_to(one, fine, {address("a.test", "192.0.2.1")})};
        },
        "a.test", record_type::a, &questions);
    CHECK(found.value().records.size() == 1);
    CHECK(questions.size() == 2);
}

TEST_CASE("an alias that the server left dangling is followed (RFC 1034 5.3.1)")
{
    std::vector<asked> questions;
    const auto zone = [](const asked& one) -> std::vector<byte_vector> {
        if (one.name == "a.test")
            return {answer_to(one, fine, {alias("a.test", "b.test"), alias("b.test", "c.test")})};
        if (one.name == "c.test")
            return {answer_to(one, fine, {alias("c.test", "d.test")})};
        return {answer_to(one, fine, {{one.name, record_type::txt, 60, "found"}})};
    };
    const auto found = resolve(zone, "a.test", record_type::txt, &questions);
    REQUIRE(found.has_value());
    CHECK(found->records.size() == 4);
    CHECK(records_for(*found, "a.test", record_type::txt).at(0).text == "found");
    CHECK(questions.size() == 3);

    const auto one_step = resolve(zone, "a.test", record_type::cname, &questions);
    CHECK(one_step.value().records.size() == 2);
    CHECK(questions.size() == 1);

    // An SOA record says that there is nothing more.
    const auto nothing = resolve(
        [](const asked& one) -> std::vector<byte_vector> {
            return {answer_to(one, fine, {alias("a.test", "b.test")}, {{"test", record_type::soa, 60, ""}})};
        },
        "a.test", record_type::aaaa, &questions);
    CHECK(records_for(nothing.value(), "a.test", record_type::aaaa).empty());
    CHECK(questions.size() == 1);
}

TEST_CASE("aliases in a circle, or without end, are refused")
{
    const auto circle = resolve(
        [](const asked& one) -> std::vector<byte_vector> {
            return {answer_to(one, fine, {alias(one.name, one.name == "a.test" ? "b.test" : "a.test")})};
        },
        "a.test", record_type::a);
    CHECK(circle.error().code == dns::errc::endless_alias);
    std::vector<asked> questions;
    const auto endless = resolve(
        [](const asked& one) -> std::vector<byte_vector> {
            return {answer_to(one, fine, {alias(one.name, "x" + one.name)})};
        },
        "a.test", record_type::a, &questions);
    CHECK(endless.error().code == dns::errc::endless_alias);
    CHECK(questions.size() == 11);
    CHECK(resolve({}, "a b", record_type::a).error().code == dns::errc::bad_name);
}

TEST_CASE("localhost and the names of the hosts file are known without asking (RFC 6761 6.3)")
{
    resolver_options options = quick();
    options.hosts = "127.0.1.1\tbox.example Box # comment.test\n192.0.2.7 box\nnonsense box\n#192.0.2.8 box\n"
                    "2001:db8::7 box";
    const auto script = [](const asked& one) -> std::vector<byte_vector> { return {answer_to(one, no_such_name)}; };
    std::vector<asked> questions;
    CHECK(resolve(script, "LOCALHOST", record_type::a, &questions, options).value().records.at(0).text == "127.0.0.1");
    CHECK(resolve(script, "a.localhost.", record_type::aaaa, &questions, options).value().records.at(0).text == "::1");
    CHECK(questions.empty());
    const auto box = resolve(script, "BOX", record_type::a, &questions, options).value();
    REQUIRE(box.records.size() == 2);
    CHECK(box.records[0] == record{"box", record_type::a, 0, "127.0.1.1"});
    CHECK(box.records[1].text == "192.0.2.7");
    CHECK(resolve(script, "box", record_type::aaaa, &questions, options).value().records.at(0).text == "2001:db8::7");
    CHECK(resolve(script, "box.example", record_type::aaaa, &questions, options).value().records.empty());
    CHECK(questions.empty());
    CHECK(resolve(script, "box", record_type::txt, &questions, options).value().code == response_code::name_error);
    CHECK(resolve(script, "comment.test", record_type::a, &questions, options).value().code
          == response_code::name_error);
}

TEST_CASE("the addresses of a host are those of both families, IPv6 first")
{
    boost::asio::io_context context(1);
    name_server server(context, [](const asked& one) -> std::vector<byte_vector> {
        if (one.name == "none.test")
            return {answer_to(one, no_such_name)};
        if (one.name == "broken.test")
            return {answer_to(one, 0x8182)};
        if (one.name == "half.test" && one.type == record_type::aaaa)
            return {answer_to(one, 0x8182)};
        if (one.type == record_type::aaaa)
            return {answer_to(one, fine, {{one.name, record_type::aaaa, 60, "2001:db8::1"}})};
        return {answer_to(one, fine, {alias(one.name, "b.test"), address("b.test", "192.0.2.1"),
                                      address("other.test", "192.0.2.66")})};
    });
    resolver asker(context.get_executor(), {server.endpoint()}, quick());
    const auto work = [](resolver& one, name_server& its) -> boost::asio::awaitable<bool> {
        const auto both = co_await one.find_addresses("a.test");
        CHECK(both.value().size() == 2);
        CHECK(both.value().at(0).to_string() == "2001:db8::1");
        CHECK(both.value().at(1).to_string() == "192.0.2.1");
        const auto half = co_await one.find_addresses("half.test");
        CHECK(half.value().size() == 1);
        const auto none = co_await one.find_addresses("none.test");
        CHECK(none.error().code == boost::asio::error::host_not_found);
        CHECK(none.error().what.find("none.test") == 0);
        const auto broken = co_await one.find_addresses("broken.test");
        CHECK(broken.error().code == boost::asio::error::host_not_found_try_again);
        const auto bad = co_await one.find_addresses("a b");
        CHECK(bad.error().code == dns::errc::bad_name);
        const std::size_t before = its.questions.size();
        const auto literal = co_await one.find_addresses("2001:db8::9");
        CHECK(literal.value().at(0).to_string() == "2001:db8::9");
        const auto local = co_await one.find_addresses("localhost");
        CHECK(local.value().at(0).to_string() == "::1");
        CHECK(its.questions.size() == before);
        co_return true;
    };
    CHECK(run(context, work(asker, server), {&server}));
}

TEST_CASE("a resolver that is cancelled ends with operation_aborted")
{
    boost::asio::io_context context(1);
    boost::asio::cancellation_signal cancel;
    name_server server(context, [&](const asked&) -> std::vector<byte_vector> {
        cancel.emit(boost::asio::cancellation_type::terminal);
        return {};
    });
    resolver asker(context.get_executor(), {server.endpoint()}, quick());
    std::exception_ptr thrown;
    boost::asio::co_spawn(context, asker.find_addresses("a.test"),
                          boost::asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr end, auto) {
                              thrown = end;
                              server.stop();
                          }));
    context.run();
    REQUIRE(thrown);
    try {
        std::rethrow_exception(thrown);
    } catch (const boost::system::system_error& error) {
        CHECK(error.code() == boost::asio::error::operation_aborted);
    }
}

TEST_CASE("name servers are written as addresses, perhaps with ports")
{
    const auto text = [](const char* given) -> std::string {
        const auto server = parse_server(given);
        return server ? alos::to_text(any_endpoint(*server)) : "none";
    };
    CHECK(text("192.0.2.53") == "192.0.2.53:53");
    CHECK(text("192.0.2.53:5353") == "192.0.2.53:5353");
    CHECK(text("2001:db8::53") == "[2001:db8::53]:53");
    CHECK(text("[2001:db8::53]:5353") == "[2001:db8::53]:5353");
    for (const char* bad : {"", "a.test", "192.0.2.53:", "192.0.2.53:0", "192.0.2.53:x", "192.0.2.53:65536",
                            "[192.0.2.53]:53", "[2001:db8::53]", "192.0.2", ":53"}) {
        CAPTURE(bad);
        CHECK(text(bad) == "none");
    }
    CHECK(parse_servers(" 192.0.2.1, 192.0.2.2:54\n2001:db8::1 ").value().size() == 3);
    CHECK(parse_servers("").value().empty());
    CHECK(parse_servers("192.0.2.1,dns.test").error().what.find("\"dns.test\"") == 0);
    CHECK(parse_servers("1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1").has_error());
}

TEST_CASE("resolv.conf lists name servers; without any, this machine is asked")
{
    const auto servers = parse_resolv_conf("# nameserver 192.0.2.9\nsearch example.com\nnameserver 192.0.2.1\r\n"
                                           "\tnameserver  2001:db8::1 ; more\nnameserver nonsense\noptions edns0");
    REQUIRE(servers.size() == 2);
    CHECK(alos::to_text(any_endpoint(servers[0])) == "192.0.2.1:53");
    CHECK(alos::to_text(any_endpoint(servers[1])) == "[2001:db8::1]:53");
    REQUIRE(parse_resolv_conf("").size() == 1);
    CHECK(alos::to_text(any_endpoint(parse_resolv_conf("")[0])) == "127.0.0.1:53");
}
