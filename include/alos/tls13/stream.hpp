// TLS over any stream: the shell that moves bytes between an engine and the next layer. The only TLS header that
// knows Asio.
#ifndef ALOS_TLS13_STREAM_HPP
#define ALOS_TLS13_STREAM_HPP

#include <alos/tls13/detail/pending_signature.hpp>
#include <alos/tls13/engine.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_composed.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/socket_base.hpp>

#include <chrono>
#include <memory>
#include <tuple>
#include <utility>

namespace alos::inline v0::tls13 {

// A layer that can be read and written without waiting, such as a TCP socket: what can be done at once costs no trip
// through the executor.
template <class Next>
concept waitable_layer = requires(Next next, error_code ec, boost::asio::mutable_buffer in,
                                  boost::asio::const_buffer out)
{
    next.non_blocking(true, ec);
    { next.read_some(in, ec) } -> std::convertible_to<std::size_t>;
    { next.write_some(out, ec) } -> std::convertible_to<std::size_t>;
    next.async_wait(boost::asio::socket_base::wait_write, boost::asio::deferred);
};

// An engine whose handshake may want a signature.
template <class E>
concept signing_engine = requires(E engine, result<byte_vector> signature) {
    { engine.signature_request() } -> std::convertible_to<const signature_request&>;
    engine.answer(std::move(signature));
};

// GCC takes the operators new and delete of Asio's coroutines for mismatched where it inlines one of them only.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

// Models Asio's AsyncReadStream and AsyncWriteStream over NextLayer (a stream, or a reference to one).
//
// One read (async_fill, async_read_some) and one write (async_flush, async_write_some) may be outstanding together,
// and nothing else beside the handshake and the shutdown. Cancellation is terminal, after which the stream may only
// be closed; reads are also cancelled totally: no byte is lost and the stream goes on. An error of a read or write
// ends that operation; boost::asio::error::eof is the peer's close_notify and alos::errc::truncated is a transport
// that ended without one. The stream is not thread-safe, and outlives its operations.
template <class NextLayer, class Engine = server_engine>
    requires engine<Engine>
class stream {
public:
    using next_layer_type = std::remove_reference_t<NextLayer>;
    using executor_type = typename next_layer_type::executor_type;

    // `arguments` make the engine; for a server that is its server_config, which outlives the stream.
    template <class... Arguments>
    explicit stream(NextLayer next, Arguments&&... arguments) :
        next_layer_(std::forward<NextLayer>(next)), engine_(std::forward<Arguments>(arguments)...)
    {
        if constexpr (waitable_layer<next_layer_type>) {
            error_code ignored; // a layer that refuses will say so when it is used
            next_layer_.non_blocking(true, ignored);
        }
    }

    [[nodiscard]] executor_type get_executor() noexcept { return next_layer_.get_executor(); }
    [[nodiscard]] next_layer_type& next_layer() noexcept { return next_layer_; }
    [[nodiscard]] const next_layer_type& next_layer() const noexcept { return next_layer_; }
    [[nodiscard]] Engine& engine() noexcept { return engine_; }
    [[nodiscard]] const Engine& engine() const noexcept { return engine_; }

    // Decrypted bytes at hand, valid until the next call that reads or consumes.
    [[nodiscard]] byte_view plaintext() { return engine_.plaintext(); }
    void consume(std::size_t size) noexcept { engine_.consume(size); }

    // Queues plaintext for the next flush; returns how much was taken (less when much is waiting already).
    std::size_t write(byte_view data)
    {
        const auto now = std::chrono::steady_clock::now();
        if (now - std::exchange(last_write_, now) > pause)
            engine_.pause();
        return engine_.write(data);
    }

    // Reads what is there, once, without waiting: would_block if nothing is. plaintext() must be empty.
    error_code try_fill()
        requires waitable_layer<next_layer_type>
    {
        error_code ec;
        const byte_span room = engine_.prepare(read_size_);
        room_ = room.size();
        const std::size_t size = next_layer_.read_some(boost::asio::buffer(room.data(), room.size()), ec);
        return take_in(ec, size);
    }

    // Sends what can be sent without waiting: would_block if something is left for async_flush.
    error_code try_flush()
    {
        error_code ec;
        while (engine_.has_output() && !ec) {
            if constexpr (waitable_layer<next_layer_type>) {
                const byte_view bytes = engine_.output();
                const std::size_t size = next_layer_.write_some(boost::asio::buffer(bytes.data(), bytes.size()), ec);
                engine_.consume_output(size);
            } else {
                ec = boost::asio::error::would_block;
            }
        }
        return ec;
    }

    // void(error_code): completes when the handshake is (RFC 8446 2), or has failed and its alert is sent.
    template <class Token = boost::asio::deferred_t>
    auto async_handshake(Token&& token = {})
    {
        return initiate<Token, void(error_code)>(
            [](auto state, stream* self) -> void {
                state.throw_if_cancelled(false);
                if (self->engine_.is_connected() || self->engine_.wants() != want::input)
                    co_await boost::asio::post(self->get_executor(), boost::asio::deferred);
                error_code ec;
                for (;;) {
                    static_cast<void>(self->engine_.plaintext()); // takes in what was received
                    if constexpr (signing_engine<Engine>) {
                        if (self->engine_.wants() == want::signature) {
                            auto request = self->engine_.signature_request();
                            auto signature = co_await self->async_sign(std::move(request));
                            self->engine_.answer(std::move(signature));
                            continue;
                        }
                    }
                    for (ec = self->try_flush(); self->must_wait(ec);) {
                        const auto ready = co_await self->wait_for_output();
                        ec = self->sent(ready);
                    }
                    if (ec || self->engine_.is_connected() || self->engine_.wants() != want::input)
                        break;
                    const auto ready = co_await self->wait_for_input();
                    ec = self->received(ready);
                    if (ec)
                        break;
                }
                if (!ec && !self->engine_.is_connected())
                    ec = self->ended();
                co_return std::make_tuple(ec);
            },
            token);
    }

    // void(error_code): completes when plaintext() is not empty.
    template <class Token = boost::asio::deferred_t>
    auto async_fill(Token&& token = {})
    {
        return initiate<Token, void(error_code)>(
            [](auto state, stream* self) -> void {
                state.throw_if_cancelled(false);
                state.reset_cancellation_state(boost::asio::enable_total_cancellation());
                error_code ec = self->next_plaintext();
                if (!self->must_wait(ec))
                    co_await boost::asio::post(self->get_executor(), boost::asio::deferred);
                while (self->must_wait(ec)) {
                    static_cast<void>(self->try_flush()); // what answers what came: a KeyUpdate
                    const auto ready = co_await self->wait_for_input();
                    ec = self->received(ready);
                    if (!ec)
                        ec = self->next_plaintext();
                }
                co_return std::make_tuple(ec);
            },
            token);
    }

    // void(error_code): completes when everything that was written is sent.
    template <class Token = boost::asio::deferred_t>
    auto async_flush(Token&& token = {})
    {
        return initiate<Token, void(error_code)>(
            [](auto state, stream* self) -> void {
                state.throw_if_cancelled(false);
                error_code ec = self->try_flush();
                if (!self->must_wait(ec))
                    co_await boost::asio::post(self->get_executor(), boost::asio::deferred);
                while (self->must_wait(ec)) {
                    const auto ready = co_await self->wait_for_output();
                    ec = self->sent(ready);
                }
                if (!ec && self->engine_.is_failed())
                    ec = self->ended();
                co_return std::make_tuple(ec);
            },
            token);
    }

    // void(error_code): completes when close_notify is sent (RFC 8446 6.1), behind all that was written. The peer's is
    // not waited for. After a failure: the alert is sent, the next layer is half-closed, and what the peer still sends
    // is thrown away for a while, as a reset would take the alert with it.
    template <class Token = boost::asio::deferred_t>
    auto async_shutdown(Token&& token = {})
    {
        return initiate<Token, void(error_code)>(
            [](auto state, stream* self) -> void {
                state.throw_if_cancelled(false);
                self->engine_.close();
                error_code ec = self->try_flush();
                if (!self->must_wait(ec))
                    co_await boost::asio::post(self->get_executor(), boost::asio::deferred);
                while (self->must_wait(ec)) {
                    const auto ready = co_await self->wait_for_output();
                    ec = self->sent(ready);
                }
                if (!ec && self->engine_.is_failed() && self->half_close()) {
                    self->drained_ = 0;
                    for (bool goes_on = true; goes_on && self->drained_ < max_drained;) {
                        const auto ready = co_await self->wait_for_input();
                        const error_code end = self->received(ready);
                        const std::size_t size = self->engine_.discard_input();
                        self->drained_ += size;
                        goes_on = self->must_wait(end) || (!end && size != 0); // at the end there is nothing
                    }
                }
                co_return std::make_tuple(ec);
            },
            token);
    }

    // void(error_code, std::size_t)
    template <class Buffers, class Token = boost::asio::deferred_t>
    auto async_read_some(const Buffers& buffers, Token&& token = {})
    {
        return initiate<Token, void(error_code, std::size_t)>(
            [](auto state, stream* self, Buffers into) -> void {
                state.throw_if_cancelled(false);
                state.reset_cancellation_state(boost::asio::enable_total_cancellation());
                error_code ec;
                if (boost::asio::buffer_size(into) != 0)
                    ec = self->next_plaintext();
                if (!self->must_wait(ec))
                    co_await boost::asio::post(self->get_executor(), boost::asio::deferred);
                while (self->must_wait(ec)) {
                    static_cast<void>(self->try_flush()); // what answers what came: a KeyUpdate
                    const auto ready = co_await self->wait_for_input();
                    ec = self->received(ready);
                    if (!ec)
                        ec = self->next_plaintext();
                }
                const std::size_t size = ec ? 0 : self->take(into);
                co_return std::make_tuple(ec, size);
            },
            token, buffers);
    }

    // void(error_code, std::size_t): how much of `buffers` was taken, and all of that is sent.
    template <class Buffers, class Token = boost::asio::deferred_t>
    auto async_write_some(const Buffers& buffers, Token&& token = {})
    {
        return initiate<Token, void(error_code, std::size_t)>(
            [](auto state, stream* self, Buffers from) -> void {
                state.throw_if_cancelled(false);
                const bool nothing = boost::asio::buffer_size(from) == 0;
                std::size_t size = self->put(from);
                error_code ec = self->try_flush();
                if (!self->must_wait(ec))
                    co_await boost::asio::post(self->get_executor(), boost::asio::deferred);
                while (true) {
                    while (self->must_wait(ec)) {
                        const auto ready = co_await self->wait_for_output();
                        ec = self->sent(ready);
                    }
                    if (ec || size != 0 || nothing)
                        break;
                    size = self->put(from); // write() had left no room, or it is over
                    ec = size != 0 ? self->try_flush() : self->closed();
                }
                if (ec)
                    size = 0;
                co_return std::make_tuple(ec, size);
            },
            token, buffers);
    }

private:
    static constexpr std::size_t idle_read_size = 1024;
    static constexpr std::size_t usual_read_size = 20 * 1024;
    static constexpr std::size_t largest_read_size = 80 * 1024;
    static constexpr std::size_t max_drained = 64 * 1024;
    static constexpr std::chrono::seconds pause{1};

    // Token as the caller of the operation gave it: a handler that is an lvalue is copied, not moved from.
    template <class Token, class Signature, class Implementation, class... Arguments>
    auto initiate(Implementation implementation, std::remove_reference_t<Token>& token, const Arguments&... arguments)
    {
        return boost::asio::async_initiate<Token, Signature>(
            boost::asio::co_composed<Signature>(std::move(implementation), next_layer_), token, this, arguments...);
    }

    [[nodiscard]] static bool must_wait(const error_code& ec) noexcept
    {
        return ec == boost::asio::error::would_block || ec == boost::asio::error::try_again;
    }

    // Little memory is enough to wait with; if the read fills it, there is more to be had.
    [[nodiscard]] auto wait_for_input()
    {
        engine_.release();
        const byte_span room = engine_.prepare(waitable_layer<next_layer_type> ? idle_read_size : read_size_);
        room_ = room.size();
        return next_layer_.async_read_some(boost::asio::buffer(room.data(), room.size()),
                                           boost::asio::as_tuple(boost::asio::deferred));
    }

    [[nodiscard]] error_code received(const std::tuple<error_code, std::size_t>& read)
    {
        error_code ec = take_in(std::get<0>(read), std::get<1>(read));
        if constexpr (waitable_layer<next_layer_type>) {
            if (!ec && std::get<1>(read) == room_)
                ec = try_fill();
            if (must_wait(ec))
                ec = {};
        }
        return ec;
    }

    // What a read gave goes to the engine. The layer's end is the engine's to judge.
    [[nodiscard]] error_code take_in(error_code ec, std::size_t size)
    {
        engine_.commit(size);
        if (size == room_)
            read_size_ = read_size_ < usual_read_size ? usual_read_size : largest_read_size;
        else if (size <= idle_read_size)
            read_size_ = smallest_read_size();
        if (ec != boost::asio::error::eof)
            return ec;
        engine_.end_of_input();
        return {};
    }

    [[nodiscard]] static constexpr std::size_t smallest_read_size() noexcept
    {
        return waitable_layer<next_layer_type> ? usual_read_size : idle_read_size;
    }

    // would_block if more input is needed.
    [[nodiscard]] error_code next_plaintext()
    {
        if (!plaintext().empty())
            return {};
        if (engine_.wants() == want::input)
            return boost::asio::error::would_block;
        return ended();
    }

    // Why nothing more can be written.
    [[nodiscard]] error_code closed() const noexcept
    {
        return engine_.is_failed() ? ended() : make_error_code(alos::errc::closed);
    }

    [[nodiscard]] error_code ended() const noexcept
    {
        if (engine_.wants() == want::fallback)
            return errc::tls13_not_offered; // to whoever does not take over
        const error_code ec = engine_.error();
        return ec == alert::close_notify ? error_code(boost::asio::error::eof) : ec;
    }

    [[nodiscard]] auto wait_for_output()
    {
        if constexpr (waitable_layer<next_layer_type>) {
            return next_layer_.async_wait(boost::asio::socket_base::wait_write,
                                          boost::asio::as_tuple(boost::asio::deferred));
        } else {
            const byte_view bytes = engine_.output();
            return next_layer_.async_write_some(boost::asio::buffer(bytes.data(), bytes.size()),
                                                boost::asio::as_tuple(boost::asio::deferred));
        }
    }

    [[nodiscard]] error_code sent(const std::tuple<error_code>& ready)
    {
        const error_code ec = std::get<0>(ready);
        return ec ? ec : try_flush();
    }

    [[nodiscard]] error_code sent(const std::tuple<error_code, std::size_t>& written)
    {
        const auto [ec, size] = written;
        engine_.consume_output(size);
        return ec ? ec : try_flush();
    }

    template <class Buffers>
    [[nodiscard]] std::size_t take(const Buffers& into)
    {
        std::size_t size = 0;
        for (auto one = boost::asio::buffer_sequence_begin(into); one != boost::asio::buffer_sequence_end(into);
             ++one) {
            boost::asio::mutable_buffer room = *one;
            while (room.size() > 0 && !plaintext().empty()) {
                const std::size_t n =
                    boost::asio::buffer_copy(room, boost::asio::buffer(plaintext().data(), plaintext().size()));
                consume(n);
                room += n;
                size += n;
            }
        }
        return size;
    }

    template <class Buffers>
    [[nodiscard]] std::size_t put(const Buffers& from)
    {
        std::size_t size = 0;
        for (auto one = boost::asio::buffer_sequence_begin(from); one != boost::asio::buffer_sequence_end(from);
             ++one) {
            const boost::asio::const_buffer bytes = *one;
            const std::size_t n = write({static_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
            size += n;
            if (n < bytes.size())
                break;
        }
        return size;
    }

    // Whether the next layer can be half-closed.
    bool half_close()
    {
        if constexpr (requires(error_code ec) { next_layer_.shutdown(next_layer_type::shutdown_send, ec); }) {
            error_code ignored; // the peer may be gone already
            next_layer_.shutdown(next_layer_type::shutdown_send, ignored);
            return true;
        } else {
            return false;
        }
    }

    // Has the key sign, wherever it does. result<byte_vector>
    auto async_sign(signature_request request)
    {
        return boost::asio::async_initiate<const boost::asio::deferred_t, void(result<byte_vector>)>(
            [executor = get_executor()](auto handler, signature_request what) {
                auto pending = std::make_shared<detail::pending_signature<decltype(handler), executor_type>>(
                    std::move(handler), executor);
                std::move(what).start(
                    [pending](result<byte_vector> signature) { pending->complete(std::move(signature)); });
            },
            boost::asio::deferred, std::move(request));
    }

    NextLayer next_layer_;
    Engine engine_;
    std::chrono::steady_clock::time_point last_write_{};
    std::size_t read_size_ = smallest_read_size();
    std::size_t room_ = 0; // what the read in flight was given
    std::size_t drained_ = 0;
};

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

}

#endif
