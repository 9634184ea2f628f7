// A stream in memory: what one side writes the other reads, in pieces of a chosen size. The test is the other side.
#ifndef ALOS_TESTS_SUPPORT_MEMORY_STREAM_HPP
#define ALOS_TESTS_SUPPORT_MEMORY_STREAM_HPP

#include <alos/bytes.hpp>
#include <alos/error.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <limits>
#include <utility>

namespace alos_tests {

namespace asio = boost::asio;

// Models AsyncReadStream and AsyncWriteStream. All of it runs on one thread.
class memory_stream {
public:
    using executor_type = asio::io_context::executor_type;

    // `piece`: the most that one operation reads or writes.
    explicit memory_stream(asio::io_context& context, std::size_t piece = std::numeric_limits<std::size_t>::max()) :
        context_(context), piece_(piece)
    {
    }

    memory_stream(const memory_stream&) = delete;
    memory_stream& operator=(const memory_stream&) = delete;

    [[nodiscard]] executor_type get_executor() const noexcept { return context_.get_executor(); }

    template <class Buffers, class Token>
    auto async_read_some(const Buffers& buffers, Token&& token)
    {
        return asio::async_initiate<Token, void(alos::error_code, std::size_t)>(
            [this](auto handler, asio::mutable_buffer into) {
                into_ = into;
                wait(reader_, std::move(handler));
                serve_reader();
            },
            token, *asio::buffer_sequence_begin(buffers));
    }

    template <class Buffers, class Token>
    auto async_write_some(const Buffers& buffers, Token&& token)
    {
        return asio::async_initiate<Token, void(alos::error_code, std::size_t)>(
            [this](auto handler, asio::const_buffer from) {
                from_ = from;
                wait(writer_, std::move(handler));
                serve_writer();
            },
            token, *asio::buffer_sequence_begin(buffers));
    }

    // --- the other side ---

    // Bytes to be read.
    void give(alos::byte_view bytes)
    {
        input_.insert(input_.end(), bytes.begin(), bytes.end());
        serve_reader();
    }

    // Nothing more will be read.
    void end()
    {
        ended_ = true;
        serve_reader();
    }

    // What was written since the last call.
    [[nodiscard]] alos::byte_vector take() { return std::exchange(output_, {}); }

    // Writes wait, and what they write is kept in sight, until this is called with false.
    void hold_writes(bool held)
    {
        writes_held_ = held;
        serve_writer();
    }

    [[nodiscard]] asio::const_buffer held_write() const noexcept { return from_; }
    [[nodiscard]] bool is_reading() const noexcept { return static_cast<bool>(reader_); }
    [[nodiscard]] bool is_writing() const noexcept { return static_cast<bool>(writer_); }

    std::size_t reads = 0;  // that gave something
    std::size_t writes = 0;
    std::size_t room = 0; // of the last read

private:
    using waiting = asio::any_completion_handler<void(alos::error_code, std::size_t)>;

    template <class Handler>
    void wait(waiting& who, Handler handler)
    {
        auto slot = asio::get_associated_cancellation_slot(handler);
        who = std::move(handler);
        if (slot.is_connected())
            slot.assign([this, &who](asio::cancellation_type) { complete(who, asio::error::operation_aborted, 0); });
    }

    void complete(waiting& who, alos::error_code ec, std::size_t size)
    {
        if (!who)
            return;
        asio::post(context_, asio::append(std::exchange(who, nullptr), ec, size));
    }

    void serve_reader()
    {
        if (!reader_ || (input_.empty() && !ended_))
            return;
        room = into_.size();
        const std::size_t size = std::min({input_.size(), into_.size(), piece_});
        std::copy_n(input_.begin(), size, static_cast<std::uint8_t*>(into_.data()));
        input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(size));
        reads += size != 0;
        complete(reader_, size == 0 ? asio::error::eof : alos::error_code(), size);
    }

    void serve_writer()
    {
        if (!writer_ || writes_held_)
            return;
        const std::size_t size = std::min(from_.size(), piece_);
        const auto* const bytes = static_cast<const std::uint8_t*>(from_.data());
        output_.insert(output_.end(), bytes, bytes + size);
        ++writes;
        complete(writer_, {}, size);
    }

    asio::io_context& context_;
    std::size_t piece_;
    alos::byte_vector input_;
    alos::byte_vector output_;
    bool ended_ = false;
    bool writes_held_ = false;
    asio::mutable_buffer into_;
    asio::const_buffer from_;
    waiting reader_;
    waiting writer_;
};

}

#endif
