// A stub resolver (RFC 1034 5.3.1): asks the name servers it is told, by UDP and, for what is too long, by TCP
// (RFC 7766). It reads no files while it works, and remembers nothing.
#ifndef ALOS_DNS_RESOLVER_HPP
#define ALOS_DNS_RESOLVER_HPP

#include <alos/dns/message.hpp>
#include <alos/http/deadline.hpp>
#include <alos/server/address.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::dns {

using endpoint = boost::asio::ip::udp::endpoint;
using addresses = std::vector<boost::asio::ip::address>;

inline constexpr std::uint16_t default_port = 53;
inline constexpr std::size_t max_servers = 8;

namespace detail {

// The next word of `text`, taken off it; separators are blanks, and those given.
inline std::string_view take_word(std::string_view& text, std::string_view separators = " \t\r")
{
    text.remove_prefix(std::min(text.find_first_not_of(separators), text.size()));
    const std::string_view word = text.substr(0, text.find_first_of(separators));
    text.remove_prefix(word.size());
    return word;
}

// The next line, without what follows one of `comments`.
inline std::string_view take_line(std::string_view& text, std::string_view comments)
{
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return line.substr(0, line.find_first_of(comments));
}

// At most 1 MiB; empty when it cannot be read.
inline std::string read_system_file(const std::string& path)
{
    std::ifstream file(path, std::ios::binary);
    std::string text(1 << 20, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    return text;
}

inline void fill_from_system(byte_span out)
{
    while (!out.empty()) {
        const ssize_t got = ::getrandom(out.data(), out.size(), 0);
        if (got < 0 && errno != EINTR)
            throw boost::system::system_error(errno, boost::system::system_category(), "getrandom");
        out = out.subspan(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    }
}

}

// "192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:5353".
[[nodiscard]] inline std::optional<endpoint> parse_server(std::string_view text)
{
    error_code ec;
    const auto whole = boost::asio::ip::make_address(text, ec);
    if (!ec)
        return endpoint(whole, default_port);
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos)
        return std::nullopt;
    std::string_view host = text.substr(0, colon);
    const bool brackets = host.starts_with('[') && host.ends_with(']');
    if (brackets)
        host = host.substr(1, host.size() - 2);
    std::uint16_t port = 0;
    const std::string_view digits = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    const auto address = boost::asio::ip::make_address(host, ec);
    if (ec || error != std::errc{} || end != digits.data() + digits.size() || port == 0 || address.is_v6() != brackets)
        return std::nullopt;
    return endpoint(address, port);
}

// Servers with commas or blanks between them, at most max_servers.
[[nodiscard]] inline outcome<std::vector<endpoint>> parse_servers(std::string_view text)
{
    std::vector<endpoint> servers;
    for (;;) {
        const std::string_view word = detail::take_word(text, ", \t\r\n");
        if (word.empty())
            break;
        const auto server = parse_server(word);
        if (!server)
            return failure{alos::errc::bad_configuration,
                           "\"" + std::string(word) + "\" is no name server; write an IP address like 192.0.2.53, or "
                                                      "with a port like [2001:db8::53]:5353"};
        if (servers.size() == max_servers)
            return failure{alos::errc::bad_configuration, "more than 8 name servers; leave some out"};
        servers.push_back(*server);
    }
    return servers;
}

// The name servers in a text like /etc/resolv.conf; this machine, as resolv.conf(5) says, when there is none.
[[nodiscard]] inline std::vector<endpoint> parse_resolv_conf(std::string_view text)
{
    std::vector<endpoint> servers;
    while (!text.empty() && servers.size() < max_servers) {
        std::string_view line = detail::take_line(text, "#;");
        if (detail::take_word(line) != "nameserver")
            continue;
        error_code ec;
        const auto address = boost::asio::ip::make_address(detail::take_word(line), ec);
        if (!ec)
            servers.emplace_back(address, default_port);
    }
    if (servers.empty())
        servers.emplace_back(boost::asio::ip::address_v4::loopback(), default_port);
    return servers;
}

// The addresses of a name, as records spell it, in a text like /etc/hosts.
[[nodiscard]] inline addresses find_in_hosts(std::string_view text, std::string_view name)
{
    addresses found;
    while (!text.empty()) {
        std::string_view line = detail::take_line(text, "#");
        const std::string_view first = detail::take_word(line);
        for (std::string_view word = detail::take_word(line); !word.empty(); word = detail::take_word(line)) {
            error_code ec;
            const auto address = boost::asio::ip::make_address(first, ec);
            const auto canonical = canonical_name(word);
            if (!ec && canonical && *canonical == name)
                found.push_back(address);
        }
    }
    return found;
}

struct resolver_options {
    std::chrono::milliseconds timeout{2000}; // of one try
    unsigned rounds = 2;                     // over all servers
    std::string hosts{};                     // a text like /etc/hosts

    // Fills with unpredictable bytes: the ids of questions (RFC 5452 9.2).
    std::function<void(byte_span)> random = detail::fill_from_system;
};

// Used on one thread; outlives its operations, which end by being cancelled with boost::asio::error::operation_aborted
// thrown.
class resolver {
public:
    resolver(boost::asio::any_io_executor executor, std::vector<endpoint> servers, resolver_options options = {})
        : executor_(std::move(executor)), servers_(std::move(servers)), options_(std::move(options))
    {
    }

    // What the servers say about `name`, which is taken as it is: no search list is applied. Aliases are followed, and
    // their records kept; see records_for(). A code other than no_error and name_error means that no server could
    // answer; a failure, that none did.
    [[nodiscard]] boost::asio::awaitable<outcome<answer>> resolve(std::string name, record_type type)
    {
        const auto canonical = canonical_name(name);
        if (!canonical)
            co_return failure{errc::bad_name, "\"" + name + "\" is no name that DNS can be asked for; write it like "
                                                            "www.example.com, and other alphabets as xn-- labels"};
        if (auto local = find_locally(*canonical, type))
            co_return std::move(*local);
        answer all;
        std::string wanted = *canonical;
        for (std::size_t questions = 0; questions <= max_aliases; ++questions) {
            outcome<answer> found = co_await ask_all(wanted, type);
            if (!found)
                co_return found.error();
            all.records.insert(all.records.end(), found->records.begin(), found->records.end());
            all.code = found->code;
            all.authority = std::move(found->authority);
            all.authoritative = found->authoritative;
            if (type == record_type::cname || found->code != response_code::no_error)
                co_return all;
            const auto end = follow_aliases(all.records, *canonical);
            if (!end)
                co_return failure{end.error(), name + ": its CNAME records lead in a circle, or further than 10 names; "
                                                      "mend them in DNS"};
            // RFC 2308 2.2: an SOA record says that there is no more to be had.
            const bool is_final = std::ranges::any_of(
                all.authority, [](const record& one) { return one.type == record_type::soa; });
            if (*end == wanted || is_final || !records_for(all, *canonical, type).empty())
                co_return all;
            wanted = *end;
        }
        co_return failure{errc::endless_alias,
                          name + ": its CNAME records lead further than 10 names; mend them in DNS"};
    }

    // All addresses of a host, IPv6 first, of which there is one at least. An address is its own.
    [[nodiscard]] boost::asio::awaitable<outcome<addresses>> find_addresses(std::string host)
    {
        addresses found;
        error_code ec;
        const auto literal = boost::asio::ip::make_address(host, ec);
        if (!ec) {
            found.push_back(literal);
            co_return found;
        }
        auto both = boost::asio::experimental::make_parallel_group(
            boost::asio::co_spawn(executor_, resolve(host, record_type::aaaa), boost::asio::deferred),
            boost::asio::co_spawn(executor_, resolve(host, record_type::a), boost::asio::deferred));
        const boost::asio::experimental::wait_for_all all;
        auto answered = co_await both.async_wait(all, boost::asio::use_awaitable);
        for (const std::exception_ptr& thrown : {std::get<1>(answered), std::get<3>(answered)}) {
            if (thrown)
                std::rethrow_exception(thrown);
        }
        std::optional<failure> trouble;
        read_addresses(std::get<2>(answered), host, record_type::aaaa, found, trouble);
        read_addresses(std::get<4>(answered), host, record_type::a, found, trouble);
        if (!found.empty())
            co_return found;
        if (trouble)
            co_return std::move(*trouble);
        co_return failure{make_error_code(boost::asio::error::host_not_found),
                          host + ": there is no such host, or it has no address; check its spelling, and its A and "
                                 "AAAA records"};
    }

private:
    using tcp = boost::asio::ip::tcp;
    using udp = boost::asio::ip::udp;

    static void read_addresses(const outcome<answer>& from, const std::string& host, record_type type, addresses& into,
                               std::optional<failure>& trouble)
    {
        if (!from) {
            trouble = from.error();
            return;
        }
        error_code ec; // of what read_address() wrote, there is none
        for (const record& one : records_for(*from, host, type))
            into.push_back(boost::asio::ip::make_address(one.text, ec));
        if (from->code != response_code::no_error && from->code != response_code::name_error)
            trouble = failure{make_error_code(boost::asio::error::host_not_found_try_again),
                              host + ": the name servers could not answer (code "
                                  + std::to_string(static_cast<unsigned>(from->code))
                                  + "); try later, or check the domain's DNSSEC and name servers"};
    }

    // RFC 6761 6.3: localhost and what is below it; and what the hosts file knows.
    [[nodiscard]] std::optional<answer> find_locally(const std::string& name, record_type type) const
    {
        if (type != record_type::a && type != record_type::aaaa)
            return std::nullopt;
        addresses found = find_in_hosts(options_.hosts, name);
        if (name == "localhost" || name.ends_with(".localhost"))
            found = {boost::asio::ip::address_v6::loopback(), boost::asio::ip::address_v4::loopback()};
        if (found.empty())
            return std::nullopt;
        answer local;
        for (const auto& each : found) {
            if (each.is_v6() == (type == record_type::aaaa))
                local.records.push_back({name, type, 0, each.to_string()});
        }
        return local;
    }

    [[nodiscard]] boost::asio::awaitable<outcome<answer>> ask_all(std::string name, record_type type)
    {
        std::optional<answer> unhelpful;
        failure trouble{alos::errc::timed_out,
                        name + " (" + std::string(dns::to_text(type)) + "): no name server answered"};
        for (unsigned round = 0; round < options_.rounds; ++round) {
            for (const endpoint& server : servers_) {
                result<answer> found = co_await ask(server, name, type);
                if (found && (found->code == response_code::no_error || found->code == response_code::name_error))
                    co_return std::move(*found);
                if (found) {
                    unhelpful = std::move(*found);
                    continue;
                }
                trouble.code = found.error();
                if (round == 0)
                    trouble.what += "; " + alos::to_text(any_endpoint(server)) + ": " + found.error().message();
            }
        }
        if (unhelpful)
            co_return std::move(*unhelpful);
        trouble.what += "; check the network and the list of name servers";
        co_return std::move(trouble);
    }

    // One server: by UDP, without EDNS if it cannot do that (RFC 6891 7), by TCP if there is more.
    [[nodiscard]] boost::asio::awaitable<result<answer>> ask(endpoint server, std::string name, record_type type)
    {
        result<answer> found = alos::errc::timed_out;
        for (const std::uint16_t payload_size : {udp_payload_size, std::uint16_t{0}}) {
            std::array<std::uint8_t, 2> random_bytes{};
            options_.random(random_bytes);
            const std::uint16_t id = reader(random_bytes).u16();
            const result<byte_vector> query = encode_query(id, name, type, payload_size);
            if (!query)
                co_return query.error();
            auto by_udp = ask_udp(server, *query, id, name, type);
            std::optional<result<answer>> answered = co_await within(options_.timeout, std::move(by_udp));
            if (answered && *answered && (*answered)->truncated) {
                auto by_tcp = ask_tcp(server, *query, id, name, type);
                answered = co_await within(options_.timeout, std::move(by_tcp));
            }
            found = answered ? std::move(*answered) : result<answer>(alos::errc::timed_out);
            if (!found || (found->code != response_code::format_error && found->code != response_code::not_implemented))
                break;
        }
        co_return found;
    }

    // The socket's port is a fresh one, and as it is connected it hears nobody but the server (RFC 5452 9.1, 9.2).
    [[nodiscard]] boost::asio::awaitable<result<answer>> ask_udp(endpoint server, byte_vector query, std::uint16_t id,
                                                                 std::string name, record_type type)
    {
        udp::socket socket(executor_);
        error_code ec;
        socket.open(server.protocol(), ec);
        if (!ec)
            socket.connect(server, ec);
        if (ec)
            co_return ec;
        const auto sent = co_await socket.async_send(boost::asio::buffer(query), as_results);
        throw_if_aborted(std::get<0>(sent));
        if (std::get<0>(sent))
            co_return std::get<0>(sent);
        byte_vector message(4096); // more than was asked for: some servers do not mind the limit
        for (;;) {
            const auto got = co_await socket.async_receive(boost::asio::buffer(message), as_results);
            throw_if_aborted(std::get<0>(got));
            if (std::get<0>(got))
                co_return std::get<0>(got);
            const std::size_t size = std::get<1>(got);
            if (size < 12)
                continue; // not even a header
            result<answer> found = decode_response(byte_view(message).first(size), id, name, type);
            if (found || found.error() != errc::other_message)
                co_return found;
        }
    }

    // RFC 1035 4.2.2: each message behind its length in two bytes.
    [[nodiscard]] boost::asio::awaitable<result<answer>> ask_tcp(endpoint server, byte_vector query, std::uint16_t id,
                                                                 std::string name, record_type type)
    {
        tcp::socket socket(executor_);
        const tcp::endpoint there(server.address(), server.port());
        const auto connected = co_await socket.async_connect(there, as_results);
        throw_if_aborted(std::get<0>(connected));
        if (std::get<0>(connected))
            co_return std::get<0>(connected);
        byte_vector message;
        writer(message).vector16([&] { message.insert(message.end(), query.begin(), query.end()); });
        const auto sent = co_await boost::asio::async_write(socket, boost::asio::buffer(message), as_results);
        throw_if_aborted(std::get<0>(sent));
        if (std::get<0>(sent))
            co_return std::get<0>(sent);
        message.resize(2);
        for (const bool is_length : {true, false}) {
            const auto got = co_await boost::asio::async_read(socket, boost::asio::buffer(message), as_results);
            throw_if_aborted(std::get<0>(got));
            if (std::get<0>(got))
                co_return std::get<0>(got);
            if (is_length)
                message.resize(reader(message).u16());
        }
        co_return decode_response(message, id, name, type);
    }

    boost::asio::any_io_executor executor_;
    std::vector<endpoint> servers_;
    resolver_options options_;
};

}

#endif
