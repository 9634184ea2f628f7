#include <alos/http/connection_log.hpp>

#include <doctest/doctest.h>

using namespace alos;
using boost::asio::ip::make_address;
using boost::asio::ip::tcp;

TEST_CASE("clients are written with their port")
{
    CHECK(http::text_of_client({make_address("192.0.2.1"), 40312}) == "192.0.2.1:40312");
    CHECK(http::text_of_client({make_address("2001:db8::1"), 40312}) == "[2001:db8::1]:40312");
    CHECK(http::text_of_client({}) == "unix");
}

TEST_CASE("a failure says who, where, why, the alert that was sent, and what helps")
{
    std::string line;
    const logger log(
        {.level = log_level::info, .hook = [&](const log_record& record) { line = to_text(record).substr(21); }});
    const tcp::endpoint client(make_address("192.0.2.1"), 1);
    http::log_failure(log, log_level::info, "tls.handshake", client, "a.example", phase::handshake,
                      tls13::errc::tls13_not_offered);
    CHECK(line
          == "INFO  tls.handshake  peer=192.0.2.1:1 sni=a.example phase=handshake reason=\"client does not offer TLS "
             "1.3\" "
             "alert=protocol_version hint=\"alos speaks TLS 1.3 only: the client needs a newer TLS library\"");
    line.clear();
    http::log_failure(log, log_level::debug, "tls.handshake", client, {}, phase::handshake,
                      tls13::errc::tls13_not_offered);
    CHECK(line.empty());
    http::log_failure(log, log_level::info, "tls.handshake", client, {}, phase::handshake, tls13::alert::unknown_ca);
    CHECK(line.find("alert=") == std::string::npos); // it was received, and is the reason
    CHECK(line.find("hint=\"the client does not trust the certificate\"") != std::string::npos);
}
