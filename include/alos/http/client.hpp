// The client that asks other servers (RFC 9110, RFC 9112): HTTP/1.1, over TLS for https, through proxies if need be,
// over connections that are kept for a while.
#ifndef ALOS_HTTP_CLIENT_HPP
#define ALOS_HTTP_CLIENT_HPP

#include <alos/buffer.hpp>
#include <alos/config.hpp>
#include <alos/dns/system_resolver.hpp>
#include <alos/http/connect.hpp>
#include <alos/http/deadline.hpp>
#include <alos/http/outbound.hpp>
#include <alos/http/plain.hpp>
#include <alos/http/proxy.hpp>
#include <alos/http/tunnel.hpp>
#include <alos/http/url.hpp>
#include <alos/tls13/stream.hpp>
#include <alos/tls_client/botan.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::http {

struct client_options {
    // The addresses of a host name. Empty: those that the system's name servers and hosts file say.
    std::function<boost::asio::awaitable<outcome<dns::addresses>>(std::string host)> resolve{};
    proxies via = proxies_of_environment();
    std::function<system_time()> now = [] { return std::chrono::system_clock::now(); }; // judges certificates
    std::size_t max_header = 64 * 1024; // bytes of an answer's header section
    std::size_t max_idle = 8;           // connections that are kept
    std::chrono::seconds idle_time{60}; // how long; they are looked through whenever a request is made
};

// Makes a client's connections. A dialer's `stream_type` can be moved and is an AsyncReadStream and AsyncWriteStream;
// a connection is used again if it can also be read without waiting, as a socket can. dial() awaits a connection to
// one of the addresses, and says, for people, to which.
struct tcp_dialer {
    using stream_type = boost::asio::ip::tcp::socket;

    [[nodiscard]] boost::asio::awaitable<outcome<std::pair<stream_type, std::string>>>
    dial(boost::asio::any_io_executor executor, dns::addresses addresses, std::uint16_t port)
    {
        auto connected = co_await connect(std::move(executor), std::move(addresses), port);
        if (!connected)
            co_return connected.error();
        error_code gone; // the first use of it will tell
        std::string there = alos::to_text(any_endpoint(connected->remote_endpoint(gone)));
        connected->set_option(boost::asio::ip::tcp::no_delay(true), gone);
        co_return std::pair(std::move(*connected), std::move(there));
    }
};

namespace detail {

// Where a request is, for the sentence about its failure.
struct client_progress {
    std::string phase;  // "resolve", "connect", "handshake", "answer"
    std::string origin; // without the target, in which there may be secrets
    std::string address;

    [[nodiscard]] failure fail(error_code code, const std::string& what) const
    {
        const std::string through = address.empty() ? "" : " (" + address + ")";
        return {code, origin + through + ": " + phase + ": " + what};
    }
};

template <class Socket>
struct client_connection {
    std::unique_ptr<tls13::stream<Socket, plain_engine>> plain{}; // one of the two
    std::unique_ptr<tls13::stream<Socket, tls_client::engine>> secure{};
    std::string origin{};
    std::shared_ptr<const trust> authorities{};
    std::string address{};
    std::chrono::steady_clock::time_point idle_since{};
    bool may_be_kept = false;  // the answer was read to its end, and the server stays
    bool has_answered = false; // a byte of the answer came
};

// Whether a kept connection is still there: open, with nothing to be read.
template <class Stream>
bool is_quiet(Stream& stream)
{
    if constexpr (tls13::waitable_layer<typename Stream::next_layer_type>) {
        for (int tickets = 0; tickets < 4; ++tickets) {
            const error_code ec = stream.try_fill();
            const bool nothing = ec == boost::asio::error::would_block || ec == boost::asio::error::try_again;
            if ((ec && !nothing) || !stream.plaintext().empty() || stream.engine().wants() != tls13::want::input)
                return false;
            if (nothing)
                return true;
        }
    }
    return false;
}

inline bool is_set_by_client(std::string_view name)
{
    for (const std::string_view each : {"Host", "User-Agent", "Content-Length", "Connection", "Transfer-Encoding",
                                        "Proxy-Authorization"}) {
        if (equal_ignoring_case(name, each))
            return true;
    }
    return false;
}

inline bool is_redirect(unsigned status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}

// Used on one thread; outlives its fetches.
template <class Dialer>
class basic_client {
public:
    explicit basic_client(boost::asio::any_io_executor executor, client_options options = {}, Dialer dialer = {})
        : executor_(std::move(executor)), options_(std::move(options)), dialer_(std::move(dialer))
    {
        if (!options_.resolve)
            use_system_resolver();
    }

    // The answer, whatever its status; unless that is 2xx also one whose body is cut short, at its limit or on the way.
    // A failure names the phase, the server and the cure, never the target: there may be secrets in it. Cancelled, it
    // ends with boost::asio::error::operation_aborted thrown.
    [[nodiscard]] boost::asio::awaitable<outcome<outbound_response>> fetch(outbound_request request)
    {
        detail::client_progress progress;
        const auto limit = request.timeout;
        auto work = follow(std::move(request), progress);
        auto ended = co_await within(limit, std::move(work));
        if (!ended)
            co_return progress.fail(alos::errc::timed_out, "not done within " + std::to_string(limit.count())
                                                         + " ms; check the network and whether the server works, or "
                                                           "allow more time");
        co_return std::move(*ended);
    }

    // Closes the connections that are kept.
    void close_idle() noexcept { idle_.clear(); }
    [[nodiscard]] std::size_t idle() const noexcept { return idle_.size(); }

private:
    template <class T>
    using awaitable = boost::asio::awaitable<T>;
    using socket = typename Dialer::stream_type;
    using connection = detail::client_connection<socket>;
    using progress_type = detail::client_progress;

    void use_system_resolver()
    {
        const auto asker = std::make_shared<dns::system_resolver>(executor_);
        options_.resolve = [asker](std::string host) { return asker->find_addresses(std::move(host)); };
    }

    // RFC 9110 15.4: the answer at the end of its redirections.
    awaitable<outcome<outbound_response>> follow(outbound_request request, progress_type& progress)
    {
        progress.phase = "request";
        auto target = parse_url(request.url);
        if (!target)
            co_return progress.fail(target.error().code, target.error().what);
        progress.origin = target->origin();
        if (const auto checked = check(request); !checked)
            co_return progress.fail(checked.error().code, checked.error().what);
        const bool may_follow = request.max_redirects > 0 && (request.method == "GET" || request.method == "HEAD");
        for (unsigned redirects = 0;; ++redirects) {
            outcome<outbound_response> answered = co_await ask(request, *target, progress);
            if (!answered)
                co_return std::move(answered);
            answered->url = target->text();
            const std::string location(answered->field("Location"));
            if (!may_follow || !detail::is_redirect(answered->status) || location.empty())
                co_return std::move(answered);
            if (redirects == request.max_redirects)
                co_return progress.fail(make_error_code(boost::system::errc::too_many_links),
                                        "more than " + std::to_string(redirects)
                                            + " redirections; ask for the final address");
            auto next = resolve_reference(*target, location);
            if (!next)
                co_return progress.fail(next.error().code, "a redirection to " + next.error().what);
            if (target->is_secure() && !next->is_secure())
                co_return progress.fail(make_error_code(boost::system::errc::permission_denied),
                                        "a redirection from https to " + next->origin()
                                            + ", which is not followed; ask the server for https there");
            // What proves who asks is for whom it was meant.
            if (next->origin() != target->origin())
                std::erase_if(request.fields, [](const auto& one) {
                    return equal_ignoring_case(one.first, "Authorization") || equal_ignoring_case(one.first, "Cookie");
                });
            *target = std::move(*next);
            progress.origin = target->origin();
            progress.address.clear();
        }
    }

    [[nodiscard]] static outcome<> check(const outbound_request& request)
    {
        const error_code invalid = make_error_code(boost::system::errc::invalid_argument);
        if (!is_token(request.method) || request.method == "CONNECT")
            return failure{invalid, "the method is no word of HTTP, or CONNECT"};
        for (const auto& [name, value] : request.fields) {
            if (!is_token(name))
                return failure{invalid, "a field's name that cannot be sent; it is made of letters, digits and '-'"};
            if (!is_field_value(value))
                return failure{invalid, "the field " + name + " has a line end or a control character in its value"};
        }
        return {};
    }

    awaitable<outcome<outbound_response>> ask(const outbound_request& request, const url& target,
                                              progress_type& progress)
    {
        const auto via = proxy_for(options_.via, target);
        if (!via)
            co_return progress.fail(via.error().code, via.error().what);
        const chosen_proxy* const forwarder = *via && !target.is_secure() ? &**via : nullptr;
        const std::string message = message_of(request, target, forwarder);
        auto answered = co_await send(message, request, target, *via, progress);
        if (answered && answered->status == 407 && forwarder)
            co_return progress.fail(make_error_code(boost::system::errc::connection_refused),
                                    describe_407(*forwarder, answered->field("Proxy-Authenticate")));
        co_return std::move(answered);
    }

    // On a connection that was kept, or a new one.
    awaitable<outcome<outbound_response>> send(const std::string& message, const outbound_request& request,
                                               const url& target, const std::optional<chosen_proxy>& via,
                                               progress_type& progress)
    {
        if (auto kept = take_idle(target, request.authorities)) {
            auto answered = co_await exchange(*kept, request, message, progress);
            // RFC 9112 9.3.1: it may have been closed just when the request was sent; nothing was answered to it.
            if (answered || kept->has_answered) {
                keep_if(std::move(kept), answered.has_value());
                co_return std::move(answered);
            }
        }
        auto opened = co_await open(target, via, request.authorities, progress);
        if (!opened)
            co_return opened.error();
        auto answered = co_await exchange(**opened, request, message, progress);
        keep_if(std::move(*opened), answered.has_value());
        co_return std::move(answered);
    }

    // RFC 9112 3.2, 6.2, RFC 9110 8.6, 10.1.5, 11.7.2; `forwarder` is null when the server reads it itself.
    [[nodiscard]] static std::string message_of(const outbound_request& request, const url& target,
                                                const chosen_proxy* forwarder)
    {
        std::string message = request.method + " " + (forwarder ? target.text() : target.target) + " HTTP/1.1\r\n";
        message += "Host: " + target.authority() + "\r\n";
        message += "User-Agent: " + user_agent() + "\r\n";
        if (forwarder && !forwarder->authorization.empty())
            message += "Proxy-Authorization: " + forwarder->authorization + "\r\n";
        const bool is_plain = request.method == "GET" || request.method == "HEAD" || request.method == "DELETE";
        if (!is_plain || !request.body.empty())
            message += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
        for (const auto& [name, value] : request.fields) {
            if (!detail::is_set_by_client(name))
                message += name + ": " + value + "\r\n";
        }
        return message + "\r\n" + request.body;
    }

    [[nodiscard]] static std::string user_agent()
    {
        return "alos/" + std::to_string(ALOS_VERSION_MAJOR) + "." + std::to_string(ALOS_VERSION_MINOR) + "."
               + std::to_string(ALOS_VERSION_PATCH);
    }

    // --- connections ---

    std::unique_ptr<connection> take_idle(const url& target, const std::shared_ptr<const trust>& authorities)
    {
        const auto oldest = std::chrono::steady_clock::now() - options_.idle_time;
        idle_.remove_if([&](const auto& each) { return each->idle_since < oldest; });
        const std::string origin = target.origin();
        for (auto each = idle_.begin(); each != idle_.end();) {
            if ((*each)->origin != origin || (*each)->authorities != authorities) {
                ++each;
                continue;
            }
            std::unique_ptr<connection> found = std::move(*each);
            each = idle_.erase(each);
            if (found->secure ? detail::is_quiet(*found->secure) : detail::is_quiet(*found->plain)) {
                found->has_answered = false;
                return found;
            }
        }
        return nullptr;
    }

    void keep_if(std::unique_ptr<connection> one, bool is_fine)
    {
        if (!is_fine || !one->may_be_kept || options_.max_idle == 0)
            return;
        one->idle_since = std::chrono::steady_clock::now();
        if (idle_.size() >= options_.max_idle)
            idle_.pop_back();
        idle_.push_front(std::move(one));
    }

    awaitable<outcome<std::unique_ptr<connection>>> open(const url& target, const std::optional<chosen_proxy>& proxy,
                                                         std::shared_ptr<const trust> authorities,
                                                         progress_type& progress)
    {
        const url& first = proxy ? proxy->where : target;
        const std::string whom = (proxy ? "the proxy " : "") + first.host;
        progress.phase = "resolve";
        progress.address = whom;
        dns::addresses addresses;
        error_code no_literal;
        addresses.push_back(boost::asio::ip::make_address(first.host, no_literal));
        if (no_literal) {
            auto resolved = co_await options_.resolve(first.host);
            if (!resolved)
                co_return progress.fail(resolved.error().code, resolved.error().what);
            addresses = std::move(*resolved);
        }
        progress.phase = "connect";
        auto connected = co_await dialer_.dial(executor_, std::move(addresses), first.port);
        if (!connected)
            co_return progress.fail(connected.error().code,
                                    connected.error().what + "; check that " + whom
                                        + " runs and that no firewall is in the way");
        auto one = std::make_unique<connection>();
        one->origin = target.origin();
        one->authorities = authorities;
        one->address = (proxy ? "by the proxy " : "") + connected->second;
        progress.address = one->address;
        if (!target.is_secure()) {
            one->plain = std::make_unique<tls13::stream<socket, plain_engine>>(std::move(connected->first));
            co_return std::move(one);
        }
        if (proxy) {
            const std::string agent = user_agent();
            const auto through = co_await open_tunnel(connected->first, *proxy, target, agent, options_.max_header);
            if (!through)
                co_return progress.fail(through.error().code, through.error().what);
        }
        progress.phase = "handshake";
        tls_client::options settings;
        settings.server_name = target.host;
        settings.alpn.emplace_back("http/1.1");
        settings.now = options_.now();
        settings.verify = !authorities || authorities->verifies;
        if (settings.verify) {
            auto anchors = anchors_of(authorities);
            if (!anchors)
                co_return progress.fail(anchors.error().code, anchors.error().what);
            settings.authorities = std::move(*anchors);
        }
        one->secure = std::make_unique<tls13::stream<socket, tls_client::engine>>(std::move(connected->first),
                                                                                  std::move(settings));
        const auto shaken = co_await one->secure->async_handshake(as_results);
        throw_if_aborted(std::get<0>(shaken));
        if (std::get<0>(shaken))
            co_return progress.fail(std::get<0>(shaken), handshake_trouble(std::get<0>(shaken), *one->secure));
        co_return std::move(one);
    }

    [[nodiscard]] static std::string handshake_trouble(
        error_code ec, const tls13::stream<socket, tls_client::engine>& stream)
    {
        std::string text = ec.message();
        if (ec == stream.engine().error() && !stream.engine().explanation().empty())
            text += " (" + stream.engine().explanation() + ")";
        if (ec == tls_client::errc::untrusted)
            text += "; if the server is yours, give its authority's certificate as a root";
        else if (ec == tls_client::errc::expired || ec == tls_client::errc::not_yet_valid)
            text += "; check this machine's clock, or have the server's certificate renewed";
        else if (ec == tls_client::errc::wrong_name)
            text += "; check the URL";
        else if (ec == tls_client::errc::bad_certificate)
            text += "; have the server's certificate replaced";
        else
            text += "; the server has to speak TLS 1.2 or 1.3, with ECDHE and AES-GCM or ChaCha20, and http/1.1";
        return text;
    }

    // What `authorities` name, read once while they live.
    [[nodiscard]] outcome<tls_client::trust_anchors_ptr> anchors_of(const std::shared_ptr<const trust>& authorities)
    {
        for (const auto& [known, anchors] : anchors_) {
            if (known == authorities)
                return anchors;
        }
        const trust usual;
        const trust& wanted = authorities ? *authorities : usual;
        auto loaded = tls_client::load_trust_anchors(wanted.roots_pem, wanted.system_roots);
        if (loaded) {
            if (anchors_.size() == max_trusts)
                anchors_.erase(anchors_.begin());
            anchors_.emplace_back(authorities, *loaded);
        }
        return loaded;
    }

    // --- one request and its answer ---

    awaitable<outcome<outbound_response>> exchange(connection& one, const outbound_request& request,
                                                   const std::string& message, progress_type& progress)
    {
        progress.phase = "answer";
        progress.address = one.address;
        one.may_be_kept = false;
        return one.secure ? exchange(*one.secure, one, request, message, progress)
                          : exchange(*one.plain, one, request, message, progress);
    }

    template <class Stream>
    awaitable<outcome<outbound_response>> exchange(Stream& stream, connection& one, const outbound_request& request,
                                                   const std::string& message, progress_type& progress)
    {
        for (std::size_t sent = 0; sent < message.size();) {
            const std::size_t size = stream.write(as_bytes(message).subspan(sent));
            const auto flushed = co_await stream.async_flush(as_results);
            throw_if_aborted(std::get<0>(flushed));
            if (std::get<0>(flushed))
                co_return progress.fail(std::get<0>(flushed), "sending: " + std::get<0>(flushed).message());
            if (size == 0)
                co_return progress.fail(alos::errc::truncated, "the server closed the connection");
            sent += size;
        }
        buffer input;
        for (int interim = 0; interim < max_interim_answers; ++interim) {
            boost::beast::http::response_parser<boost::beast::http::string_body> parser;
            parser.eager(true);
            parser.header_limit(static_cast<std::uint32_t>(options_.max_header));
            parser.body_limit(request.max_body);
            parser.skip(request.method == "HEAD");
            while (!parser.is_done()) {
                if (!input.empty()) {
                    boost::beast::error_code ec;
                    const byte_view bytes = std::as_const(input).data();
                    const std::size_t taken = parser.put(boost::asio::buffer(bytes.data(), bytes.size()), ec);
                    input.consume(taken);
                    if (ec == boost::beast::http::error::body_limit && is_no_success(parser))
                        co_return response_of(parser.release());
                    if (ec && ec != boost::beast::http::error::need_more)
                        co_return progress.fail(ec, trouble_with(ec, request));
                    if (parser.is_done() || (taken > 0 && !input.empty()))
                        continue;
                    if (input.size() > options_.max_header) // the line of a chunk, or trailers
                        co_return progress.fail(boost::beast::http::error::header_limit, "a line without end");
                }
                if (stream.plaintext().empty()) {
                    const auto filled = co_await stream.async_fill(as_results);
                    const error_code ec = std::get<0>(filled);
                    throw_if_aborted(ec);
                    boost::beast::error_code at_end;
                    if (ec == boost::asio::error::eof && parser.is_header_done())
                        parser.put_eof(at_end); // RFC 9112 6.3: a body without a length ends with the connection
                    if (ec && (at_end || !parser.is_done())) {
                        if (is_no_success(parser))
                            co_return response_of(parser.release());
                        const bool is_cut = ec == boost::asio::error::eof;
                        co_return progress.fail(is_cut ? make_error_code(alos::errc::truncated) : ec,
                                                "the connection ended before the answer did (" + ec.message()
                                                    + "); try again");
                    }
                }
                one.has_answered |= !stream.plaintext().empty();
                input.append(stream.plaintext());
                stream.consume(stream.plaintext().size());
            }
            // RFC 9112 6.1: a coding that is not understood leaves open where the message ends.
            if (parser.get().find("Transfer-Encoding") != parser.get().end() && !parser.chunked())
                co_return progress.fail(make_error_code(boost::system::errc::protocol_error),
                                        "an answer in a transfer coding other than chunked");
            const unsigned status = parser.get().result_int();
            if (status == 101)
                co_return progress.fail(make_error_code(boost::system::errc::protocol_error),
                                        "the server changes the protocol although it was not asked to");
            if (status < 200)
                continue; // RFC 9110 15.2
            one.may_be_kept = parser.keep_alive() && input.empty();
            co_return response_of(parser.release());
        }
        co_return progress.fail(make_error_code(boost::system::errc::protocol_error), "interim answers without end");
    }

    // Then the status and the fields say what counts, with as much of the body as there is.
    template <class Parser>
    [[nodiscard]] static bool is_no_success(const Parser& parser)
    {
        return parser.is_header_done() && parser.get().result_int() >= 300;
    }

    [[nodiscard]] static std::string trouble_with(const error_code& ec, const outbound_request& request)
    {
        if (ec == boost::beast::http::error::body_limit)
            return "the body is longer than " + std::to_string(request.max_body) + " bytes; check the URL";
        if (ec == boost::beast::http::error::header_limit)
            return "the header section is too long; check the URL";
        return "the answer is not HTTP: " + ec.message() + "; check the URL's scheme and port";
    }

    [[nodiscard]] static outbound_response response_of(
        boost::beast::http::response<boost::beast::http::string_body> parsed)
    {
        outbound_response response;
        response.status = parsed.result_int();
        for (const auto& field : parsed)
            response.fields.emplace_back(std::string(field.name_string()), std::string(field.value()));
        response.body = std::move(parsed.body());
        return response;
    }

    static constexpr int max_interim_answers = 8;
    static constexpr std::size_t max_trusts = 16;

    boost::asio::any_io_executor executor_;
    client_options options_;
    Dialer dialer_;
    std::list<std::unique_ptr<connection>> idle_; // the latest first
    std::vector<std::pair<std::shared_ptr<const trust>, tls_client::trust_anchors_ptr>> anchors_;
};

using client = basic_client<tcp_dialer>;

}

#endif
