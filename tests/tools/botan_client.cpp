// A client of another TLS implementation: botan_client PORT PATH ROOT.crt [KEY=VALUE ...] asks for
// https://www.example.com:PORT/PATH at 127.0.0.1, after both sides changed their keys. The pairs are a text policy of
// Botan's. Prints the cipher suite and the group, then the answer; fails if that does not end with close_notify.
#include <botan/certstor.h>
#include <botan/credentials_manager.h>
#include <botan/system_rng.h>
#include <botan/tls_alert.h>
#include <botan/tls_callbacks.h>
#include <botan/tls_client.h>
#include <botan/tls_policy.h>
#include <botan/tls_session.h>
#include <botan/tls_session_manager_noop.h>
#include <botan/x509cert.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>

namespace {

using boost::asio::ip::tcp;

class trusting_one_root final : public Botan::Credentials_Manager {
public:
    explicit trusting_one_root(const std::string& file) : roots_(Botan::X509_Certificate(file)) {}
    std::vector<Botan::Certificate_Store*> trusted_certificate_authorities(const std::string&,
                                                                          const std::string&) override
    {
        return {&roots_};
    }

private:
    Botan::Certificate_Store_In_Memory roots_;
};

class connection final : public Botan::TLS::Callbacks {
public:
    explicit connection(tcp::socket& socket) : socket_(socket) {}

    void tls_emit_data(std::span<const std::uint8_t> data) override
    {
        boost::asio::write(socket_, boost::asio::buffer(data.data(), data.size()));
    }

    void tls_record_received(std::uint64_t, std::span<const std::uint8_t> data) override
    {
        std::cout.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size()));
    }

    void tls_alert(Botan::TLS::Alert alert) override
    {
        if (alert.type() != Botan::TLS::AlertType::CloseNotify)
            throw std::runtime_error(alert.type_string());
    }

    void tls_session_established(const Botan::TLS::Session_Summary& session) override
    {
        std::cout << session.ciphersuite().to_string() << ' ' << session.kex_parameters().value_or("?") << '\n';
    }

private:
    tcp::socket& socket_;
};

void run(std::span<char*> arguments)
{
    boost::asio::io_context context;
    tcp::socket socket(context);
    const auto port = static_cast<unsigned short>(std::atoi(arguments[0]));
    socket.connect({boost::asio::ip::make_address("127.0.0.1"), port});

    std::string policy = "allow_tls12 = false\nallow_tls13 = true\nrequire_cert_revocation_info = false\n";
    for (const char* pair : arguments.subspan(3))
        policy += std::string(pair) + '\n';

    Botan::TLS::Client client(std::make_shared<connection>(socket),
                              std::make_shared<Botan::TLS::Session_Manager_Noop>(),
                              std::make_shared<trusting_one_root>(arguments[2]),
                              std::make_shared<Botan::TLS::Text_Policy>(policy),
                              std::make_shared<Botan::System_RNG>(),
                              Botan::TLS::Server_Information("www.example.com"),
                              Botan::TLS::Protocol_Version::TLS_V13);
    std::array<std::uint8_t, 16 * 1024> buffer;
    for (bool has_asked = false; !client.is_closed_for_reading();) {
        if (!has_asked && client.is_active()) {
            has_asked = true;
            client.update_traffic_keys(true);
            client.send("GET " + std::string(arguments[1]) +
                        " HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n");
        }
        const std::size_t size = socket.read_some(boost::asio::buffer(buffer)); // throws at the end
        client.received_data(std::span(buffer).first(size));
    }
}

}

int main(int argc, char** argv)
{
    if (argc < 4) {
        std::cerr << "usage: botan_client PORT PATH ROOT.crt [KEY=VALUE ...]\n";
        return 2;
    }
    try {
        run(std::span(argv + 1, static_cast<std::size_t>(argc) - 1));
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
    return 0;
}
