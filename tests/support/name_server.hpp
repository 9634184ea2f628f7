// A name server on the loopback that answers as a test says, by UDP and by TCP on the same port.
#ifndef ALOS_TESTS_SUPPORT_NAME_SERVER_HPP
#define ALOS_TESTS_SUPPORT_NAME_SERVER_HPP

#include <alos/dns/resolver.hpp>

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace alos_tests {

using namespace alos;

// One question as it came.
struct asked {
    std::uint16_t id = 0;
    std::string name;
    dns::record_type type{};
    bool edns = false;
    bool tcp = false;
    std::uint16_t port = 0; // of the one who asks
    byte_vector message{};
};

inline void write_dns_name(byte_vector& out, std::string_view name)
{
    const byte_vector labels = dns::detail::encode_name(name.empty() ? "." : name);
    out.insert(out.end(), labels.begin(), labels.end());
}

// An answer to `question`: its flags (QR and RA are 0x8180) and records. Of an unknown type, the text is the data.
inline byte_vector answer_to(const asked& question, std::uint16_t flags, const std::vector<dns::record>& records = {},
                             const std::vector<dns::record>& authority = {})
{
    byte_vector bytes;
    writer out(bytes);
    out.u16(question.id);
    out.u16(flags);
    out.u16(1);
    out.u16(static_cast<std::uint16_t>(records.size()));
    out.u16(static_cast<std::uint16_t>(authority.size()));
    out.u16(0);
    write_dns_name(bytes, question.name);
    out.u16(static_cast<std::uint16_t>(question.type));
    out.u16(1);
    const auto put = [&](const dns::record& one) {
        write_dns_name(bytes, one.name);
        out.u16(static_cast<std::uint16_t>(one.type));
        out.u16(1);
        out.u32(one.ttl);
        out.vector16([&] {
            switch (one.type) {
            case dns::record_type::a:
                out.bytes(boost::asio::ip::make_address_v4(one.text).to_bytes());
                break;
            case dns::record_type::aaaa:
                out.bytes(boost::asio::ip::make_address_v6(one.text).to_bytes());
                break;
            case dns::record_type::cname:
            case dns::record_type::ns: write_dns_name(bytes, one.text); break;
            case dns::record_type::soa:
                write_dns_name(bytes, "ns.test");
                write_dns_name(bytes, "mail.test");
                for (int i = 0; i < 5; ++i)
                    out.u32(1);
                break;
            case dns::record_type::txt:
                out.vector8([&] { out.bytes(as_bytes(one.text)); });
                break;
            case dns::record_type::caa:
                out.u8(one.caa_flags);
                out.vector8([&] { out.bytes(as_bytes(one.caa_tag)); });
                out.bytes(as_bytes(one.text));
                break;
            }
        });
    };
    for (const dns::record& one : records)
        put(one);
    for (const dns::record& one : authority)
        put(one);
    return bytes;
}

// Lives as long as the io_context runs; its coroutines end with its sockets.
class name_server {
public:
    // What is sent back, in this order; nothing means silence.
    using script = std::function<std::vector<byte_vector>(const asked&)>;

    name_server(boost::asio::io_context& context, script answers)
        : answers_(std::move(answers)), udp_(context, udp::v4()), tcp_(context)
    {
        error_code taken;
        do { // a port that is free by both
            tcp_ = tcp::acceptor(context, {boost::asio::ip::address_v4::loopback(), 0});
            udp_.bind({boost::asio::ip::address_v4::loopback(), tcp_.local_endpoint().port()}, taken);
        } while (taken == boost::asio::error::address_in_use);
        boost::asio::co_spawn(context, serve_udp(), boost::asio::detached);
        boost::asio::co_spawn(context, serve_tcp(), boost::asio::detached);
    }

    [[nodiscard]] dns::endpoint endpoint() const { return udp_.local_endpoint(); }

    void stop()
    {
        udp_.close();
        tcp_.close();
    }

    std::vector<asked> questions;

private:
    using udp = boost::asio::ip::udp;
    using tcp = boost::asio::ip::tcp;

    std::vector<byte_vector> take(byte_view message, bool by_tcp, std::uint16_t port)
    {
        reader in(message);
        asked one;
        one.message.assign(message.begin(), message.end());
        one.id = in.u16();
        in.bytes(8);
        one.edns = in.u16() == 1;
        one.name = dns::detail::read_name(message, in, 12);
        one.type = static_cast<dns::record_type>(in.u16());
        one.tcp = by_tcp;
        one.port = port;
        questions.push_back(one);
        return answers_(one);
    }

    boost::asio::awaitable<void> serve_udp()
    {
        byte_vector message(65536);
        for (;;) {
            udp::endpoint from;
            const auto got = co_await udp_.async_receive_from(boost::asio::buffer(message), from, as_results);
            if (std::get<0>(got))
                co_return;
            const auto replies = take(byte_view(message).first(std::get<1>(got)), false, from.port());
            for (const byte_vector& each : replies) {
                error_code ignored; // the asker may be gone
                udp_.send_to(boost::asio::buffer(each), from, 0, ignored);
            }
        }
    }

    boost::asio::awaitable<void> serve_tcp()
    {
        for (;;) {
            tcp::socket socket(tcp_.get_executor());
            const auto accepted = co_await tcp_.async_accept(socket, as_results);
            if (std::get<0>(accepted))
                co_return;
            byte_vector message(2);
            co_await boost::asio::async_read(socket, boost::asio::buffer(message), as_results);
            message.resize(reader(message).u16());
            co_await boost::asio::async_read(socket, boost::asio::buffer(message), as_results);
            const auto replies = take(message, true, 0);
            for (const byte_vector& each : replies) {
                byte_vector framed;
                writer out(framed);
                out.vector16([&] { out.bytes(each); });
                co_await boost::asio::async_write(socket, boost::asio::buffer(framed), as_results);
            }
        }
    }

    script answers_;
    udp::socket udp_;
    tcp::acceptor tcp_;
};

}

#endif
