// A server with threads, under load: certificates are swapped, challenges come and go, and it is stopped in the middle.
#include <alos/server.hpp>

#include <botan/credentials_manager.h>
#include <botan/pkix_types.h>
#include <botan/system_rng.h>
#include <botan/tls_alert.h>
#include <botan/tls_callbacks.h>
#include <botan/tls_client.h>
#include <botan/tls_policy.h>
#include <botan/tls_session_manager_noop.h>
#include <botan/x509cert.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

using namespace alos;
using namespace std::chrono_literals;

namespace {

using boost::asio::ip::tcp;

// A blocking client of another implementation. Throws when the connection breaks.
class https_client final : public Botan::TLS::Callbacks, public std::enable_shared_from_this<https_client> {
public:
    static std::shared_ptr<https_client> connect(std::uint16_t port, const std::string& name,
                                                 const std::vector<std::string>& protocols = {})
    {
        auto made = std::make_shared<https_client>();
        made->socket_.connect({boost::asio::ip::address_v4::loopback(), port});
        made->client_ = std::make_unique<Botan::TLS::Client>(
            made, std::make_shared<Botan::TLS::Session_Manager_Noop>(), std::make_shared<Botan::Credentials_Manager>(),
            std::make_shared<Botan::TLS::Text_Policy>(
                "allow_tls12 = false\nallow_tls13 = true\nkey_exchange_groups = x25519\n"),
            std::make_shared<Botan::System_RNG>(), Botan::TLS::Server_Information(name),
            Botan::TLS::Protocol_Version::TLS_V13, protocols);
        try {
            while (!made->client_->is_active())
                made->receive();
        } catch (...) {
            made->close();
            throw;
        }
        return made;
    }

    std::string get(const std::string& path)
    {
        answer_.clear();
        client_->send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n");
        std::size_t end = std::string::npos;
        while ((end = answer_.find("\r\n\r\n")) == std::string::npos)
            receive();
        const auto length = std::stoul(answer_.substr(answer_.find("Content-Length: ") + 16));
        while (answer_.size() < end + 4 + length)
            receive();
        return answer_.substr(end + 4);
    }

    [[nodiscard]] std::string protocol() const { return client_->application_protocol(); }

    // Whether the server says goodbye, and nothing else.
    [[nodiscard]] bool is_ended()
    {
        try {
            while (answer_.empty())
                receive();
        } catch (const std::runtime_error&) {
        }
        return answer_.empty() && client_->is_closed_for_reading();
    }

    // The owner has to do this, as Botan's client holds what calls it back.
    void close() { client_.reset(); }

    // The names of the certificate.
    std::string name;

private:
    void receive()
    {
        std::array<std::uint8_t, 4096> buffer;
        const std::size_t size = socket_.read_some(boost::asio::buffer(buffer));
        client_->received_data(std::span(buffer).first(size));
        if (client_->is_closed_for_reading())
            throw std::runtime_error("closed");
    }

    void tls_emit_data(std::span<const std::uint8_t> data) override
    {
        boost::asio::write(socket_, boost::asio::buffer(data.data(), data.size()));
    }
    void tls_record_received(std::uint64_t, std::span<const std::uint8_t> data) override
    {
        answer_.append(reinterpret_cast<const char*>(data.data()), data.size());
    }
    void tls_alert(Botan::TLS::Alert) override {}
    void tls_verify_cert_chain(const std::vector<Botan::X509_Certificate>& chain,
                               const std::vector<std::optional<Botan::OCSP::Response>>&,
                               const std::vector<Botan::Certificate_Store*>&, Botan::Usage_Type, std::string_view,
                               const Botan::TLS::Policy&) override
    {
        name = chain.front().subject_dn().get_first_attribute("CN");
    }

    boost::asio::io_context context_;
    tcp::socket socket_{context_};
    std::unique_ptr<Botan::TLS::Client> client_;
    std::string answer_;
};

struct fixture {
    // Note: GCC 12 breaks over these settings in a member's own initialiser.
    fixture() : app({.addr = "127.0.0.1:0", .threads = 2, .log = {.level = log_level::off}})
    {
        app.add_self_signed_cert("a.test").value();
        app.add_self_signed_cert("b.test").value();
        const auto slow =
            cert::make_self_signed({"rsa.test"}, std::chrono::system_clock::now(), key_kind::rsa_2048).value();
        app.add_cert("rsa.test", slow.certificate, as_text(slow.key)).value();
        app.router.get("/", [](request& req, response& res) { res.string(req.tls()->server_name); });
        app.router.get("/later", [](request& req, response& res) -> awaitable<> {
            co_await boost::asio::post(boost::asio::deferred);
            res.string(req.tls()->server_name);
        });
        app.start().value();
    }

    server app;
};

}

TEST_CASE("certificates are swapped under load, and nothing is dropped")
{
    fixture test;
    std::atomic<bool> done = false;
    std::atomic<int> answers = 0;
    std::atomic<int> wrong = 0;
    const auto load = [&](const std::string& name) {
        while (!done) {
            try {
                const auto one = https_client::connect(test.app.port(), name);
                for (const char* path : {"/", "/later", "/"}) {
                    wrong += one->get(path) != name || one->name != name;
                    ++answers;
                }
                one->close();
            } catch (const std::exception& error) {
                MESSAGE(error.what());
                ++wrong;
            }
        }
    };
    std::vector<std::thread> threads;
    for (const char* name : {"a.test", "b.test", "rsa.test"})
        threads.emplace_back(load, name);
    for (int i = 0; i < 40; ++i) {
        wrong += !test.app.add_self_signed_cert(i % 2 == 0 ? "a.test" : "b.test").has_value();
        wrong += !test.app.add_self_signed_cert("c.test").has_value();
        wrong += test.app.list_certs().size() < 3;
        wrong += !test.app.remove_cert("c.test").has_value();
        test.app.challenges().put("t", "a");
        std::this_thread::sleep_for(5ms);
    }
    while (answers < 60 && wrong == 0)
        std::this_thread::sleep_for(5ms);
    done = true;
    for (std::thread& one : threads)
        one.join();
    CHECK(wrong == 0);
    test.app.stop();
    test.app.wait();
    CHECK(test.app.connections() == 0);
}

TEST_CASE("RFC 8737 4: a validation is a handshake and a goodbye; others never see its certificate")
{
    fixture test;
    const auto made = cert::make_self_signed({"challenge.test"}, std::chrono::system_clock::now()).value();
    const auto challenge = cert::make_credential(made.certificate, as_text(made.key), {}).value();
    test.app.certificates().set_challenge("a.test", challenge).value();

    const auto validation = https_client::connect(test.app.port(), "a.test", {"acme-tls/1"});
    CHECK(validation->name == "challenge.test");
    CHECK(validation->protocol() == "acme-tls/1");
    CHECK(validation->is_ended());
    validation->close();

    const auto browser = https_client::connect(test.app.port(), "a.test", {"acme-tls/1", "http/1.1"});
    CHECK(browser->name == "a.test");
    CHECK(browser->protocol() == "http/1.1");
    CHECK(browser->get("/") == "a.test");
    browser->close();

    test.app.certificates().set_challenge("a.test", nullptr).value();
    CHECK_THROWS(https_client::connect(test.app.port(), "a.test", {"acme-tls/1"}));
}

TEST_CASE("stop under load: every answer that came is whole, and nothing leaks")
{
    fixture test;
    std::atomic<int> answers = 0;
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] {
            try {
                while (true) {
                    const auto one = https_client::connect(test.app.port(), "a.test");
                    try {
                        for (int k = 0; k < 5; ++k) {
                            wrong += one->get(k % 2 == 0 ? "/" : "/later") != "a.test";
                            ++answers;
                        }
                    } catch (...) {
                        one->close();
                        throw;
                    }
                    one->close();
                }
            } catch (const std::exception&) { // the server is gone
            }
        });
    }
    while (answers < 30)
        std::this_thread::sleep_for(1ms);
    std::thread second([&] { test.app.stop(); });
    test.app.stop();
    test.app.wait();
    second.join();
    for (std::thread& one : threads)
        one.join();
    CHECK(wrong == 0);
    CHECK(test.app.connections() == 0);
}
