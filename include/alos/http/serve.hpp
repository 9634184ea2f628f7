// The loop of one connection: handshake, requests, responses, goodbye. One coroutine that holds nearly nothing while
// the connection idles; what a request needs is lent from the thread's pool. RFC 9112 9.
#ifndef ALOS_HTTP_SERVE_HPP
#define ALOS_HTTP_SERVE_HPP

#include <alos/http/connection_log.hpp>
#include <alos/http/exchange.hpp>
#include <alos/log.hpp>
#include <alos/server/address.hpp>
#include <alos/server/task.hpp>
#include <alos/server/watch.hpp>
#include <alos/tls13/stream.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/socket_base.hpp>

#include <array>
#include <memory>

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

namespace alos::inline v0::http {

// Host is the thread's worker: what all its connections share. It has
//   log(), date(), limits() for h1, connections() (a watch), draining(), goes_on_after(requests), lend() and
//   take_back() of exchanges that are started, and leave(client), the last thing that a connection says.
// Routes finds the endpoint for a request: const endpoint& find(request_data&).
template <class Host, class Stream, class Routes>
class connection final : public watched, private body_io {
public:
    using socket_type = typename Stream::next_layer_type;

    template <class... Settings>
    connection(std::shared_ptr<Host> host, const Routes& routes, socket_type socket,
               boost::asio::ip::tcp::endpoint client, const Settings&... settings)
        : presence_{std::move(host), client}, routes_(routes), stream_(std::move(socket), settings...)
    {
        tell_local_address();
        presence_.host->connections().add(*this);
        enter(phase::handshake);
    }

    ~connection() { presence_.host->connections().remove(*this); }

    [[nodiscard]] auto get_executor() { return stream_.get_executor(); }

    // Whether there is something left to do for requests.
    [[nodiscard]] bool is_open() const noexcept { return open_; }

    [[nodiscard]] auto handshake()
    {
        return until([this](auto handler) { stream_.async_handshake(std::move(handler)); });
    }
    [[nodiscard]] auto fill()
    {
        return until([this](auto handler) { stream_.async_fill(std::move(handler)); });
    }
    [[nodiscard]] auto flush()
    {
        return until([this](auto handler) { stream_.async_flush(std::move(handler)); });
    }
    [[nodiscard]] auto shutdown()
    {
        return until([this](auto handler) { stream_.async_shutdown(std::move(handler)); });
    }
    [[nodiscard]] auto wait_for_more()
    {
        return until([this](auto handler) { socket().async_wait(socket_type::wait_read, std::move(handler)); });
    }
    [[nodiscard]] auto finish_coroutine(awaitable<>& work)
    {
        return until(get_executor(), work, exchange_->cancel.slot());
    }

    void shook_hands(error_code ec)
    {
        if (!ec) {
            if constexpr (has_tls) {
                log_handshake(host().log(), presence_.client, stream_.engine().negotiated());
                // RFC 8737 4: the handshake was all of it.
                open_ = open_ && stream_.engine().negotiated().alpn != tls13::acme_tls_protocol;
            }
            return;
        }
        open_ = false;
        if (ec == tls13::errc::http_request)
            answer_plain_http();
        // Who only looks whether the port is open, or is cut by us, is not worth a line.
        const bool silent = ec == alos::errc::truncated || is_gone(ec);
        silent_ = silent_ || silent;
        log_failure(silent ? log_level::debug : log_level::info, "tls.handshake", ec);
    }

    // Takes in what is at hand. True: a handler can run. False: input() or the end is next.
    [[nodiscard]] bool take_request()
    {
        while (open_) {
            const byte_view input = stream_.plaintext();
            if (input.empty() && !exchange_) {
                enter(phase::idle);
                leave_if_draining();
                return false;
            }
            if (!exchange_)
                lend();
            const h1_step step = exchange_->h1.parser.feed(input);
            const bool ready = take(step);
            stream_.consume(step.consumed);
            if (ready)
                return true;
            if (step.event == h1_event::need_more && step.consumed == input.size() && stream_.plaintext().empty()) {
                stay_in(exchange_->reading_body ? phase::body : phase::header);
                return false;
            }
        }
        return false;
    }

    // True: something is left that the socket did not take at once.
    [[nodiscard]] bool must_flush()
    {
        const error_code ec = stream_.try_flush();
        if (!ec)
            return false;
        enter(phase::write);
        return true;
    }

    void filled(error_code ec)
    {
        if (!ec)
            return;
        if (ec == boost::asio::error::operation_aborted && timed_out_ && exchange_ && open_) {
            refuse(408, "Request Timeout"); // RFC 9110 15.5.9
            return;
        }
        open_ = false;
        silent_ =
            silent_ || ec == alos::errc::truncated || (is_gone(ec) && ec != boost::asio::error::operation_aborted);
        if (ec.category() == tls13::tls13_category() || exchange_)
            log_failure(log_level::debug, "http.connection", ec);
    }

    void flushed(error_code ec)
    {
        if (!ec)
            return;
        open_ = false;
        silent_ = true;
        log_failure(log_level::debug, "http.connection", ec);
    }

    // Runs the handler. True: the response is complete. False: rest_of_answer() has to run.
    [[nodiscard]] bool answer()
    {
        enter(phase::handler);
        if (exchange_->h1.call.start(exchange_->route->run, exchange_->h1.request, exchange_->h1.response)) {
            note_exception();
            return true;
        }
        static_cast<void>(stream_.try_flush()); // the answers to requests that came before do not wait for this one
        exchange_->h1.answer().io = this;
        return false;
    }

    [[nodiscard]] awaitable<> rest_of_answer() { return exchange_->h1.call.rest(); }

    void answered(std::exception_ptr thrown)
    {
        exchange_->h1.call.finish(std::move(thrown));
        exchange_->h1.answer().io = nullptr;
        note_exception();
    }

    // Puts the response into the stream. False: the stream is full, flush and call again.
    [[nodiscard]] bool respond()
    {
        if (!open_)
            return true;
        if (!exchange_->composed && !compose())
            return true;
        do {
            std::string_view head = std::string_view(exchange_->h1.out).substr(exchange_->sent);
            const std::size_t before = head.size();
            const bool taken = put(head);
            exchange_->sent += before - head.size();
            if (!taken || !put(exchange_->rest))
                return !open_;
        } while (read_file());
        end_response();
        return true;
    }

    // Whether a proper end is still to be sent, or an alert; its deadline starts.
    [[nodiscard]] bool says_goodbye()
    {
        enter(phase::closing);
        return !silent_ && (stream_.engine().has_output() || stream_.engine().is_failed());
    }

    // Whether something of the last response is left. The goodbye leaves with it.
    [[nodiscard]] bool has_rest()
    {
        if (silent_)
            return false;
        stream_.engine().close();
        return must_flush();
    }

    // After an answer that came before its request was read: closing at once would destroy the answer on its way
    // (RFC 9112 9.6). Throws away what comes until the client closes, the deadline, or a limit.
    [[nodiscard]] bool lingers()
    {
        if (!unread_ || silent_)
            return false;
        error_code ec;
        if (!half_closed_)
            socket().shutdown(boost::asio::socket_base::shutdown_send, ec);
        half_closed_ = true;
        std::array<std::uint8_t, 16 * 1024> ignored;
        for (std::size_t n = 1; !ec && n > 0 && lingered_ < most_lingered; lingered_ += n)
            n = socket().read_some(boost::asio::buffer(ignored), ec);
        return ec == boost::asio::error::would_block || ec == boost::asio::error::try_again;
    }

    void lingered(error_code ec) noexcept { unread_ = unread_ && !ec; }

    // watched:

    void drain() noexcept override
    {
        if (now_in() == phase::idle)
            cancel();
        if constexpr (has_tls) {
            if (now_in() == phase::handshake && !stream_.engine().has_begun())
                cut(); // nobody is waiting for an answer
        }
    }

    void expire() noexcept override
    {
        timed_out_ = true;
        log_failure(log_level::debug, "server.deadline", alos::errc::timed_out);
        if (now_in() == phase::idle || now_in() == phase::header || now_in() == phase::body)
            cancel();
        else
            cut();
    }

    // While a coroutine answers, nobody reads: without this it would never learn that its client is gone.
    [[nodiscard]] bool is_abandoned() noexcept override
    {
        ::pollfd client{.fd = socket().native_handle(), .events = POLLRDHUP, .revents = 0};
        return ::poll(&client, 1, 0) > 0;
    }

    void cut() noexcept override
    {
        open_ = false;
        silent_ = true;
        error_code ignored;                                         // it may be closed already
        if (now_in() == phase::write || now_in() == phase::closing) // what was not taken so far is thrown away
            socket().set_option(boost::asio::socket_base::linger(true, 0), ignored);
        socket().close(ignored);
        if (exchange_)
            exchange_->cancel.emit(boost::asio::cancellation_type::terminal);
    }

    [[nodiscard]] std::uint64_t progress() noexcept override
    {
        if (now_in() == phase::body)
            return exchange_ ? exchange_->received : 0;
        int queued = 0; // in the kernel
        ::ioctl(socket().native_handle(), SIOCOUTQ, &queued);
        return stream_.engine().output_size() + static_cast<std::uint64_t>(queued);
    }

private:
    static constexpr bool has_tls = requires(Stream s) { s.engine().negotiated(); };
    static constexpr std::size_t most_lingered = 4 * 1024 * 1024;
    static constexpr std::size_t file_chunk = 64 * 1024;

    [[nodiscard]] Host& host() const noexcept { return *presence_.host; }
    [[nodiscard]] socket_type& socket() noexcept { return stream_.next_layer(); }

    // For clients that name no host: a certificate may be stored under the address.
    void tell_local_address()
    {
        if constexpr (requires { stream_.engine().set_local_address(byte_view()); }) {
            error_code ec;
            const any_endpoint endpoint = socket().local_endpoint(ec);
            if (!ec)
                stream_.engine().set_local_address(address_bytes(endpoint));
        }
    }

    void enter(phase now) noexcept { host().connections().enter(*this, now); }

    // A deadline that has started goes on.
    void stay_in(phase now) noexcept
    {
        if (now_in() != now)
            enter(now);
    }

    void cancel() noexcept
    {
        error_code ignored;
        socket().cancel(ignored);
    }

    void leave_if_draining()
    {
        if (host().draining())
            open_ = false;
    }

    static bool is_gone(const error_code& ec) noexcept
    {
        return ec == boost::asio::error::operation_aborted || ec == boost::asio::error::connection_reset
               || ec == boost::asio::error::broken_pipe || ec == boost::asio::error::bad_descriptor;
    }

    void lend()
    {
        exchange_ = host().lend();
        request_data& asked = exchange_->h1.asked();
        asked.client = presence_.client;
        if constexpr (has_tls) {
            const auto& agreed = stream_.engine().negotiated();
            asked.tls = {"TLSv1.3", name_of(agreed.suite), name_of(agreed.group), agreed.server_name, agreed.alpn};
        } else {
            asked.tls.reset();
        }
    }

    // What one step of the parser means. True: a handler can run.
    [[nodiscard]] bool take(const h1_step& step)
    {
        exchange& now = *exchange_;
        switch (step.event) {
        case h1_event::need_more: return false;
        case h1_event::header: return take_header();
        case h1_event::body:
            now.received += step.data.size();
            now.h1.asked().body.append(step.data);
            return false;
        case h1_event::complete: return true;
        case h1_event::error: refuse(step.error); return false;
        }
        return false;
    }

    [[nodiscard]] bool take_header()
    {
        exchange& now = *exchange_;
        request_data& asked = now.h1.asked();
        now.route = &routes_.find(asked);
        now.reading_body = true;
        if (now.route->options.streamed)
            asked.io = this;
        if (!now.h1.parser.has_body())
            return now.route->options.streamed;
        now.h1.parser.body_limit(now.route->options.body_limit.value_or(host().limits().body));
        now.waits_for_continue = asked.expects_continue;
        if (now.route->options.streamed)
            return true;
        const h1_step next = now.h1.parser.feed({}); // a body that is announced to be too long
        if (next.event == h1_event::error)
            refuse(next.error);
        else if (next.event == h1_event::need_more)
            send_continue();
        return false;
    }

    // RFC 9110 10.1.1
    void send_continue()
    {
        if (std::exchange(exchange_->waits_for_continue, false))
            static_cast<void>(stream_.write(as_bytes(continue_head)));
    }

    // A request that cannot be read: what follows it cannot be told from its rest.
    void refuse(errc why) { refuse(status_of(why), make_error_code(why).message()); }

    void refuse(unsigned status, std::string_view why)
    {
        std::string text;
        append_error(text, status, why, host().date());
        static_cast<void>(stream_.write(as_bytes(text)));
        open_ = false;
        unread_ = true;
        log_refusal(host().log(), presence_.client, status, why);
    }

    // Moves the front of `text` into the stream; true if that was all of it.
    [[nodiscard]] bool put(std::string_view& text)
    {
        while (!text.empty()) {
            const std::size_t taken = stream_.write(as_bytes(text));
            text.remove_prefix(taken);
            if (taken > 0)
                continue;
            if (!stream_.engine().has_output()) // not full, but over
                flushed(alos::errc::closed);
            return false;
        }
        return true;
    }

    // Whether the connection would go on behind this response.
    [[nodiscard]] bool would_go_on() noexcept { return host().goes_on_after(++requests_); }

    // The head, and what goes behind it. False: the response has failed.
    [[nodiscard]] bool compose()
    {
        exchange& now = *exchange_;
        response_data& answer = now.h1.answer();
        now.composed = true;
        if (answer.head_sent) { // by the handler, and pieces of the body
            now.h1.out.clear();
        } else {
            const bool read = reads_to_end();
            const auto composed = now.h1.compose(host().date(), would_go_on() && read);
            now.head = composed.head;
            now.rest = composed.rest;
            if (answer.kind != body_kind::streamed)
                return true;
        }
        if (now.head.framing == h1_framing::chunked && !answer.aborted)
            append_last_chunk(now.h1.out, answer);
        if (now.head.framing == h1_framing::length && now.streamed != answer.declared_length)
            answer.aborted = true;
        if (!answer.aborted)
            return true;
        if (!now.h1.call.failure()) // which has been logged
            log_failure(log_level::warning, "http.response", make_error_code(errc::response_unfinished));
        static_cast<void>(stream_.try_flush());
        cut(); // the client has to see that this is not the whole of it
        return false;
    }

    // The next piece of a file. False: there is none.
    [[nodiscard]] bool read_file()
    {
        exchange& now = *exchange_;
        file_body& file = now.h1.answer().file;
        if (now.h1.answer().kind != body_kind::file || now.head.framing != h1_framing::length || file.left() == 0)
            return false;
        const byte_span room = now.chunk.prepare(file_chunk).first(file_chunk);
        const result<std::size_t> size = file.read(room);
        if (!size) {
            log_failure(log_level::warning, "http.response", size.error());
            cut();
            return false;
        }
        now.rest = as_text(room.first(*size));
        return true;
    }

    // Whether the request is read to its end, as far as it is at hand: nobody asks for the last chunk of a body.
    [[nodiscard]] bool reads_to_end()
    {
        h1_parser& parser = exchange_->h1.parser;
        stream_.consume(std::exchange(exchange_->read_ahead, 0));
        while (!parser.done()) {
            const h1_step step = parser.feed(stream_.plaintext());
            stream_.consume(step.consumed);
            if (step.event != h1_event::complete && (step.event != h1_event::body || !step.data.empty()))
                return false;
        }
        return true;
    }

    void end_response()
    {
        if (!reads_to_end()) {
            unread_ = true; // and not worth reading
            open_ = false;
        }
        open_ = open_ && exchange_->head.keep_alive;
        exchange_->start(host().limits()); // at once, so that the pool keeps no bodies
        if (!open_ || stream_.plaintext().empty())
            host().take_back(std::move(exchange_));
    }

    // body_io: what a coroutine handler streams. Errors are thrown into it.

    awaitable<std::string_view> read_some() override
    {
        exchange& now = *exchange_;
        stream_.consume(std::exchange(now.read_ahead, 0));
        while (true) {
            throw_if_cut();
            const h1_step step = now.h1.parser.feed(stream_.plaintext());
            if (step.event == h1_event::body && !step.data.empty()) {
                now.read_ahead = step.consumed;
                now.received += step.data.size();
                co_return step.data;
            }
            stream_.consume(step.consumed);
            if (step.event == h1_event::complete)
                co_return std::string_view{};
            if (step.event == h1_event::error)
                throw boost::system::system_error(make_error_code(step.error));
            if (step.event != h1_event::need_more || !stream_.plaintext().empty())
                continue;
            send_continue();
            enter(phase::body);
            if (stream_.try_flush())
                co_await stream_.async_flush();
            const auto [ec] = co_await stream_.async_fill(boost::asio::as_tuple);
            if (ec)
                throw boost::system::system_error(timed_out_ ? make_error_code(errc::body_too_slow) : ec);
            enter(phase::handler);
        }
    }

    awaitable<> write(std::string_view piece) override
    {
        exchange& now = *exchange_;
        response_data& answer = now.h1.answer();
        throw_if_cut();
        std::string& out = now.h1.out;
        out.clear();
        if (!answer.head_sent) {
            now.head = append_head(out, now.h1.asked(), answer, host().date(), would_go_on());
            answer.head_sent = true;
        }
        if (now.head.framing == h1_framing::none)
            piece = {};
        if (now.head.framing == h1_framing::length && piece.size() > *answer.declared_length - now.streamed)
            throw std::length_error("the response is longer than its Content-Length");
        const bool is_chunk = now.head.framing == h1_framing::chunked && !piece.empty();
        if (is_chunk)
            append_chunk_start(out, piece.size());
        now.streamed += piece.size();
        enter(phase::write);
        std::array<std::string_view, 3> parts{out, piece, is_chunk ? chunk_end : std::string_view{}};
        for (std::string_view& part : parts) {
            while (!put(part)) {
                throw_if_cut();
                co_await stream_.async_flush();
            }
        }
        if (stream_.try_flush())
            co_await stream_.async_flush();
        enter(phase::handler);
    }

    void throw_if_cut() const
    {
        if (!open_)
            throw boost::system::system_error(make_error_code(alos::errc::closed));
    }

    // For people who type http:// and the port of https.
    void answer_plain_http()
    {
        constexpr std::string_view page = "HTTP/1.1 400 Bad Request\r\n"
                                          "Content-Type: text/plain; charset=utf-8\r\n"
                                          "Content-Length: 60\r\n"
                                          "Connection: close\r\n\r\n"
                                          "This port speaks HTTPS only: write https:// in the address.\n";
        error_code ignored;
        socket().write_some(boost::asio::buffer(page), ignored);
    }

    // What the middleware did not deal with.
    void note_exception()
    {
        const std::exception_ptr& thrown = exchange_->h1.call.failure();
        if (!thrown)
            return;
        const std::string what = text_of_exception(thrown);
        const log_level level = !open_ || timed_out_ || is_of_the_client(thrown) ? log_level::debug : log_level::error;
        const std::string peer = text_of_client(presence_.client);
        log_event(host().log(), level, "http.exception",
            {{"peer", peer},
             {"method", exchange_->h1.request.method_text()},
             {"path", exchange_->h1.request.path()},
             {"what", what}});
    }

    void log_failure(log_level level, std::string_view event, error_code ec) noexcept
    {
        std::string_view name;
        if constexpr (has_tls)
            name = stream_.engine().negotiated().server_name;
        try {
            http::log_failure(host().log(), level, event, presence_.client, name, now_in(), ec);
        } catch (const std::bad_alloc&) { // for the text: then without a word
        }
    }

    // Says goodbye to the host, when all else of the connection is gone.
    struct presence {
        std::shared_ptr<Host> host;
        boost::asio::ip::tcp::endpoint client;
        ~presence() { host->leave(client); }
    };

    const presence presence_;
    const Routes& routes_;
    Stream stream_;
    std::unique_ptr<exchange> exchange_;
    std::uint32_t requests_ = 0;
    std::uint32_t lingered_ = 0;
    bool open_ = true;
    bool silent_ = false; // nobody is there to say goodbye to
    bool unread_ = false; // the client has sent, or will send, what nobody wants to read
    bool half_closed_ = false;
    bool timed_out_ = false;
};

// Serves one connection until its end. The coroutine owns the connection.
template <class Stream, class Host, class Routes, class... Settings>
task serve(std::shared_ptr<Host> host, const Routes& routes, typename Stream::next_layer_type socket,
           boost::asio::ip::tcp::endpoint client, const Settings&... settings)
{
    connection<Host, Stream, Routes> c(std::move(host), routes, std::move(socket), client, settings...);
    c.shook_hands(co_await c.handshake());
    while (c.is_open()) {
        if (c.take_request()) {
            if (!c.answer()) {
                awaitable<> work = c.rest_of_answer();
                c.answered(co_await c.finish_coroutine(work));
            }
            while (!c.respond()) {
                if (c.must_flush())
                    c.flushed(co_await c.flush());
            }
        } else if (c.must_flush()) {
            c.flushed(co_await c.flush());
        } else if (c.is_open()) {
            c.filled(co_await c.fill());
        }
    }
    if (c.has_rest())
        c.flushed(co_await c.flush());
    if (c.says_goodbye())
        static_cast<void>(co_await c.shutdown());
    while (c.lingers())
        c.lingered(co_await c.wait_for_more());
}

}

#endif
