// A connection through a proxy to somebody else (RFC 9110 9.3.6), as an HTTP client asks for it.
#ifndef ALOS_HTTP_TUNNEL_HPP
#define ALOS_HTTP_TUNNEL_HPP

#include <alos/error.hpp>
#include <alos/http/deadline.hpp>
#include <alos/http/proxy.hpp>
#include <alos/http/url.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <cstddef>
#include <string>
#include <tuple>

namespace alos::inline v0::http {

// Asks the proxy at the other end of `by` for a connection to `target`, and returns when what is sent goes there. A
// failure says why not, and what to do. Afterwards, and when it is cancelled, `by` can only be closed. `max_header` is
// that of the answer, in bytes. All that is referred to outlives it.
template <class Stream>
[[nodiscard]] boost::asio::awaitable<outcome<>> open_tunnel(Stream& by, const chosen_proxy& proxy, const url& target,
                                                            const std::string& user_agent, std::size_t max_header)
{
    const std::string there = target.host_and_port();
    std::string text = "CONNECT " + there + " HTTP/1.1\r\nHost: " + there + "\r\nUser-Agent: " + user_agent + "\r\n";
    if (!proxy.authorization.empty())
        text += "Proxy-Authorization: " + proxy.authorization + "\r\n";
    text += "\r\n";
    const auto sent = co_await boost::asio::async_write(by, boost::asio::buffer(text), as_results);
    throw_if_aborted(std::get<0>(sent));
    if (std::get<0>(sent))
        co_return failure{std::get<0>(sent), "the proxy: " + std::get<0>(sent).message()};
    text.clear();
    auto into = boost::asio::dynamic_buffer(text, max_header);
    const auto got = co_await boost::asio::async_read_until(by, into, "\r\n\r\n", as_results);
    throw_if_aborted(std::get<0>(got));
    if (std::get<0>(got))
        co_return failure{std::get<0>(got), "the proxy did not answer: " + std::get<0>(got).message()};
    boost::beast::http::response_parser<boost::beast::http::empty_body> parser;
    parser.skip(true);
    boost::beast::error_code ec;
    parser.put(boost::asio::buffer(text.data(), std::get<1>(got)), ec);
    const unsigned status = ec ? 0 : parser.get().result_int();
    // Nobody speaks in a tunnel before we do; behind a refusal there may be a page.
    if (ec || (status / 100 == 2 && std::get<1>(got) != text.size()))
        co_return failure{ec ? ec : make_error_code(boost::system::errc::protocol_error),
                          "the proxy's answer is not HTTP; check http_proxy and https_proxy"};
    const error_code refused = make_error_code(boost::system::errc::connection_refused);
    if (status == 407)
        co_return failure{refused, describe_407(proxy, parser.get()["Proxy-Authenticate"])};
    if (status / 100 != 2)
        co_return failure{refused, "the proxy refused with status " + std::to_string(status)
                                       + "; ask its owner to allow " + there + ", or name the host in no_proxy"};
    co_return outcome<>();
}

}

#endif
