// What a connection says in the log: who, in which phase, why, and what helps. Each asks first whether anybody wants to
// know.
#ifndef ALOS_HTTP_CONNECTION_LOG_HPP
#define ALOS_HTTP_CONNECTION_LOG_HPP

#include <alos/log.hpp>
#include <alos/server/address.hpp>
#include <alos/server/watch.hpp>
#include <alos/tls13/alert.hpp>
#include <alos/tls13/core.hpp>

#include <boost/asio/ip/tcp.hpp>

#include <string>
#include <string_view>

namespace alos::inline v0::http {

// "192.0.2.1:40312", "[2001:db8::1]:40312", "unix".
[[nodiscard]] inline std::string text_of_client(const boost::asio::ip::tcp::endpoint& client)
{
    return client.port() == 0 ? "unix" : to_text(any_endpoint(client));
}

// What people can do about an error of a peer; empty if there is nothing to be said.
[[nodiscard]] inline std::string_view hint_for(const error_code& ec) noexcept
{
    if (ec == tls13::errc::http_request)
        return "the client has to write https://";
    if (ec == tls13::errc::tls13_not_offered)
        return "alos speaks TLS 1.3 only: the client needs a newer TLS library";
    if (ec == tls13::alert::unknown_ca || ec == tls13::alert::bad_certificate
        || ec == tls13::alert::certificate_unknown)
        return "the client does not trust the certificate";
    return {};
}

// The alert that an error of the peer was answered with; empty if none was.
[[nodiscard]] inline std::string_view alert_for(const error_code& ec) noexcept
{
    if (ec.category() != tls13::tls13_category() || ec == tls13::errc::http_request)
        return {};
    return name_of(tls13::describe(static_cast<tls13::errc>(ec.value())).sent);
}

template <class Log>
void log_handshake(const Log& log, const boost::asio::ip::tcp::endpoint& client, const tls13::negotiated& agreed)
{
    if (!log.takes(log_level::debug))
        return;
    const std::string peer = text_of_client(client);
    log_event(log, log_level::debug, "tls.handshake",
        {{"peer", peer},
         {"sni", agreed.server_name},
         {"suite", name_of(agreed.suite)},
         {"group", name_of(agreed.group)},
         {"scheme", name_of(agreed.scheme)},
         {"alpn", agreed.alpn}});
}

template <class Log>
void log_failure(const Log& log, log_level level, std::string_view event, const boost::asio::ip::tcp::endpoint& client,
                 std::string_view server_name, phase now, const error_code& ec)
{
    if (!log.takes(level))
        return;
    const std::string peer = text_of_client(client);
    const std::string reason = ec.message();
    log_event(log, level, event,
        {{"peer", peer},
         {"sni", server_name},
         {"phase", to_text(now)},
         {"reason", reason},
         {"alert", alert_for(ec)},
         {"hint", hint_for(ec)}});
}

template <class Log>
void log_refusal(const Log& log, const boost::asio::ip::tcp::endpoint& client, unsigned status, std::string_view reason)
{
    if (!log.takes(log_level::debug))
        return;
    const std::string peer = text_of_client(client);
    log_event(log, log_level::debug, "http.refused", {{"peer", peer}, {"status", status}, {"reason", reason}});
}

}

#endif
