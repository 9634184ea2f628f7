// The engine that is none: what TLS encrypts and decrypts, this passes on. With it one stream and one serve loop carry
// HTTP without TLS as well. Pure.
#ifndef ALOS_HTTP_PLAIN_HPP
#define ALOS_HTTP_PLAIN_HPP

#include <alos/buffer.hpp>
#include <alos/tls13/engine.hpp>

#include <boost/asio/error.hpp>

#include <algorithm>

namespace alos::inline v0::http {

// A tls13::engine without a handshake: connected from the start, never failed.
class plain_engine {
public:
    [[nodiscard]] byte_span prepare(std::size_t wanted) { return input_.prepare(wanted); }
    void commit(std::size_t size) noexcept { input_.commit(size); }

    // There is no other goodbye here than the end of the transport.
    void end_of_input() noexcept { ended_ = true; }

    [[nodiscard]] byte_view plaintext() const noexcept { return input_.data(); }
    void consume(std::size_t size) noexcept { input_.consume(size); }

    // Less than all when much is waiting already; 0 after close().
    [[nodiscard]] std::size_t write(byte_view data)
    {
        const std::size_t waiting = sending_.size() + queued_.size();
        if (closed_ || waiting >= most_waiting)
            return 0;
        const byte_view taken = data.first(std::min(data.size(), most_waiting - waiting));
        queued_.append(taken);
        return taken.size();
    }

    [[nodiscard]] bool has_output() const noexcept { return !sending_.empty() || !queued_.empty(); }
    [[nodiscard]] std::size_t output_size() const noexcept { return sending_.size() + queued_.size(); }

    // Two buffers: what is being sent does not move while more is written.
    [[nodiscard]] byte_view output() noexcept
    {
        if (sending_.empty())
            sending_.swap(queued_);
        return std::as_const(sending_).data();
    }

    void consume_output(std::size_t size) noexcept { sending_.consume(size); }

    [[nodiscard]] tls13::want wants() const noexcept
    {
        return ended_ ? tls13::want::nothing : tls13::want::input;
    }

    [[nodiscard]] error_code error() const noexcept
    {
        return ended_ ? error_code(boost::asio::error::eof) : error_code();
    }

    [[nodiscard]] bool is_connected() const noexcept { return true; }
    [[nodiscard]] bool is_failed() const noexcept { return false; }

    void close() noexcept { closed_ = true; }

    std::size_t discard_input() noexcept
    {
        const std::size_t size = input_.size();
        input_.consume(size);
        return size;
    }

    // Gives memory back, as far as it is empty.
    void release() noexcept
    {
        for (buffer* each : {&input_, &sending_, &queued_}) {
            if (each->empty())
                each->release();
        }
    }

    void pause() const noexcept {}

private:
    static constexpr std::size_t most_waiting = 256 * 1024;

    buffer input_;
    buffer sending_;
    buffer queued_;
    bool ended_ = false;
    bool closed_ = false;
};

static_assert(tls13::engine<plain_engine>);

}

#endif
