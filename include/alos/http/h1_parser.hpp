// HTTP/1.1 requests, from bytes to request_data. RFC 9112. Each block (a header, the line of a chunk, trailers) is
// gathered, checked by our own rules (h1_framing.hpp), and then parsed by Beast. No sockets, no clock.
#ifndef ALOS_HTTP_H1_PARSER_HPP
#define ALOS_HTTP_H1_PARSER_HPP

#include <alos/bytes.hpp>
#include <alos/http/error.hpp>
#include <alos/http/h1_framing.hpp>
#include <alos/http/request.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>

#include <algorithm>
#include <cstring>
#include <limits>

namespace alos::inline v0::http {

// What feed() came to.
enum class h1_event {
    need_more, // all input was consumed: feed more
    header,    // the request's header is in place: route it
    body,      // `data` is a piece of the body
    complete,  // the message, trailers included, is in place; what follows is the next one's
    error,     // answer status_of(error) and close: where the next request begins is unknown
};

struct h1_step {
    h1_event event = h1_event::need_more;
    std::size_t consumed = 0;   // how much of the input was used, whatever the event
    std::string_view data = {}; // within the input
    errc error = {};
};

namespace detail {

// Beast's parser with its output put into a request_data. It sees only what was checked before.
class beast_parser final : public boost::beast::http::basic_parser<true> {
public:
    explicit beast_parser(request_data& into) : into_(into)
    {
        // The limits are ours, and checked before.
        body_limit(boost::none);
        header_limit(std::numeric_limits<std::uint32_t>::max() / 2);
    }

    // The piece of the body that the last put() came upon.
    std::string_view take_body() noexcept { return std::exchange(body_, {}); }

    // The size of the chunk whose line was put last.
    [[nodiscard]] std::uint64_t chunk_size() const noexcept { return chunk_size_; }

private:
    using string_view = boost::beast::string_view;

    void on_request_impl(verb method, string_view method_text, string_view target, int version,
                         boost::beast::error_code&) override
    {
        into_.method = method;
        into_.method_text = method_text;
        into_.target = target;
        into_.version = static_cast<unsigned>(version);
    }

    void on_response_impl(int, string_view, int, boost::beast::error_code&) override {}

    void on_field_impl(boost::beast::http::field name, string_view text, string_view value,
                       boost::beast::error_code&) override
    {
        // RFC 9110 6.5: trailers are kept apart from the header.
        if (is_header_done())
            return into_.trailers.add(text, value);
        into_.headers.add(text, value);
        if (name == boost::beast::http::field::host)
            into_.parts.authority = value;
        if (name == boost::beast::http::field::expect)
            into_.expects_continue = into_.version >= 11;
    }

    void on_header_impl(boost::beast::error_code&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, boost::beast::error_code&) override {}

    std::size_t on_body_impl(string_view body, boost::beast::error_code&) override
    {
        body_ = body;
        return body.size();
    }

    void on_chunk_header_impl(std::uint64_t size, string_view, boost::beast::error_code&) override
    {
        chunk_size_ = size;
    }

    std::size_t on_chunk_body_impl(std::uint64_t, string_view body, boost::beast::error_code&) override
    {
        body_ = body;
        return body.size();
    }

    void on_finish_impl(boost::beast::error_code&) override {}

    request_data& into_;
    std::string_view body_;
    std::uint64_t chunk_size_ = 0;
};

}

class h1_parser {
public:
    // Starts on the next message, which is put into `into`; both must outlive it.
    void start(request_data& into, const h1_limits& limits)
    {
        into_ = &into;
        limits_ = &limits;
        beast_.emplace(into);
        state_ = state::header;
        line_.clear();
        line_start_ = 0;
        skipped_empty_line_ = false;
        left_ = 0;
        body_size_ = 0;
        body_limit_ = limits.body;
        extensions_ = 0;
    }

    // Takes from `input`, which begins where the last call stopped, up to the next event. Then call it again with the
    // rest, which may be empty.
    [[nodiscard]] h1_step feed(byte_view input)
    {
        h1_step total;
        while (true) {
            const h1_step step = feed_some(as_text(input.subspan(total.consumed)));
            const std::size_t consumed = total.consumed + step.consumed;
            total = step;
            total.consumed = consumed;
            // What ends a line of a chunk is no event: go on with what follows it.
            if (step.event != h1_event::need_more || consumed == input.size())
                return total;
        }
    }

    // Whether a byte of this message has been read: if not, the connection may end here.
    [[nodiscard]] bool started() const noexcept { return state_ != state::header || !into_->block.empty(); }

    // Whether the message has been read to its end.
    [[nodiscard]] bool done() const noexcept { return state_ == state::done; }

    // After `header`: whether a body follows.
    [[nodiscard]] bool has_body() const noexcept
    {
        return state_ == state::sized_body || state_ == state::chunk_line;
    }

    // After `header`, before anything else is fed: another limit for this body. If the length that was announced is
    // beyond it, the next feed() says so at once, even without input: ask before sending "100 Continue".
    void body_limit(std::uint64_t bytes) noexcept { body_limit_ = bytes; }

private:
    enum class state {
        header,
        sized_body,
        chunk_line,
        chunk_body,
        trailers,
        ending, // everything is in place, but `complete` has not been said
        done,
        failed,
    };

    h1_step feed_some(std::string_view input)
    {
        switch (state_) {
        case state::sized_body: return feed_sized_body(input);
        case state::chunk_body: return feed_body(input, state::chunk_line);
        case state::ending:
        case state::done: return complete(0);
        case state::failed: return {.event = h1_event::error, .error = error_};
        default: break;
        }
        if (input.empty())
            return {};
        if (state_ == state::header)
            return feed_header(input);
        return state_ == state::chunk_line ? feed_chunk_line(input) : feed_trailers(input);
    }

    h1_step fail(errc error, std::size_t consumed = 0)
    {
        state_ = state::failed;
        error_ = error;
        return {.event = h1_event::error, .consumed = consumed, .error = error};
    }

    h1_step complete(std::size_t consumed)
    {
        state_ = state::done;
        return {h1_event::complete, consumed};
    }

    // Gives a whole block to Beast, which must take all of it. It may want more: the trailers behind the last chunk.
    [[nodiscard]] bool put(std::string_view block)
    {
        boost::beast::error_code ec;
        const std::size_t taken = beast_->put(boost::asio::buffer(block.data(), block.size()), ec);
        return taken == block.size() && (!ec || ec == boost::beast::http::error::need_more);
    }

    // How gathering a block of lines went on.
    struct gathered {
        std::size_t consumed = 0;
        bool whole = false; // the last line was empty
        std::optional<errc> error = {};
    };

    // Appends lines to `block` until an empty one has been appended. `input` is not empty.
    gathered gather(std::string_view input, std::string& block)
    {
        gathered result;
        while (!result.whole) {
            const void* const found =
                std::memchr(input.data() + result.consumed, '\n', input.size() - result.consumed);
            if (found == nullptr) {
                result.consumed = input.size();
                break;
            }
            const auto end = static_cast<std::size_t>(static_cast<const char*>(found) - input.data());
            const char before = end > 0 ? input[end - 1] : block.empty() ? '\0' : block.back();
            // RFC 9112 2.2 lets a recipient take LF alone as a line end; we do not, because others may not.
            if (before != '\r')
                return {.consumed = end, .error = errc::bad_line_ending};
            result.consumed = end + 1;
            const std::size_t next_line = block.size() + result.consumed;
            result.whole = next_line - line_start_ == 2;
            line_start_ = next_line;
        }
        block.append(input.substr(0, result.consumed));
        return result;
    }

    h1_step feed_header(std::string_view input)
    {
        std::string& block = into_->block;
        if (block.empty() && !is_token_char(input.front()) && input.front() != '\r')
            return fail(errc::bad_request_line);
        const gathered part = gather(input, block);
        if (part.error)
            return fail(*part.error, part.consumed);
        const std::size_t longest_line = limits_->target + longest_method;
        if (block.size() > longest_line && std::min(block.find("\r\n"), block.size()) > longest_line)
            return fail(errc::target_too_long, part.consumed);
        if (block.size() > limits_->header)
            return fail(errc::header_too_large, part.consumed);
        if (!part.whole)
            return {h1_event::need_more, part.consumed};
        if (block.size() == 2)
            return skip_empty_line(input, part.consumed);
        return parse_header(block, part.consumed);
    }

    // RFC 9112 2.2: "a server ... SHOULD ignore at least one empty line (CRLF) received prior to the request-line."
    h1_step skip_empty_line(std::string_view input, std::size_t consumed)
    {
        if (skipped_empty_line_)
            return fail(errc::bad_request_line, consumed);
        skipped_empty_line_ = true;
        into_->block.clear();
        line_start_ = 0;
        h1_step step = feed(as_bytes(input.substr(consumed)));
        step.consumed += consumed;
        return step;
    }

    h1_step parse_header(std::string& block, std::size_t consumed)
    {
        if (const auto bad = check_header(block, *limits_))
            return fail(*bad, consumed);
        // RFC 9110 2.5: a request of a higher minor version is processed as the highest one that is implemented.
        char& minor_version = block[block.find("\r\n") - 1];
        if (minor_version != '0')
            minor_version = '1';
        if (!put(block))
            return fail(errc::bad_field_value, consumed);
        auto parts = split_target(into_->target, into_->method == verb::connect, into_->method == verb::options,
                                  into_->path_storage);
        if (!parts)
            return fail(errc::bad_target, consumed);
        // RFC 9112 3.2.2: beside a target in absolute-form, Host is ignored.
        if (parts->authority.empty())
            parts->authority = into_->parts.authority;
        into_->parts = *parts;
        into_->keep_alive = beast_->keep_alive();
        if (const auto length = beast_->content_length())
            into_->content_length = *length;
        left_ = into_->content_length.value_or(0);
        state_ = beast_->is_done() ? state::ending : beast_->chunked() ? state::chunk_line : state::sized_body;
        line_start_ = 0;
        return {h1_event::header, consumed};
    }

    h1_step feed_sized_body(std::string_view input)
    {
        if (*into_->content_length > body_limit_)
            return fail(errc::body_too_large);
        return feed_body(input, state::ending);
    }

    // A piece of the body, or of a chunk; behind its last byte the state is `after`.
    h1_step feed_body(std::string_view input, state after)
    {
        if (input.empty())
            return {};
        boost::beast::error_code ec;
        const std::size_t consumed = beast_->put(boost::asio::buffer(input.data(), input.size()), ec);
        if (ec)
            return fail(errc::bad_chunk, consumed);
        left_ -= consumed;
        if (left_ == 0)
            state_ = after;
        return {h1_event::body, consumed, beast_->take_body()};
    }

    // Gathers the line of a chunk, behind the CRLF that ends the chunk before it: Beast wants to see both at once.
    h1_step feed_chunk_line(std::string_view input)
    {
        for (std::size_t i = 0; i < input.size(); ++i) {
            const std::size_t at = line_.size();
            line_.push_back(input[i]);
            if (at < line_start_ && input[i] != "\r\n"[at])
                return fail(errc::bad_chunk, i + 1);
            if (at >= line_start_ && input[i] == '\n')
                return parse_chunk_line(i + 1);
            if (line_.size() > limits_->chunk_line)
                return fail(errc::bad_chunk, i + 1);
        }
        return {h1_event::need_more, input.size()};
    }

    h1_step parse_chunk_line(std::size_t consumed)
    {
        std::string_view line = std::string_view(line_).substr(line_start_);
        if (!line.ends_with("\r\n"))
            return fail(errc::bad_line_ending, consumed);
        line.remove_suffix(2);
        if (const auto bad = check_chunk_line(line))
            return fail(*bad, consumed);
        // Note: a chunk of one byte may carry an extension of two hundred; all of them together are bounded.
        extensions_ += line.size() - std::min(line.find(';'), line.size());
        if (extensions_ > limits_->extensions || !put(line_))
            return fail(errc::bad_chunk, consumed);
        line_.clear();
        left_ = beast_->chunk_size();
        if (left_ > body_limit_ - body_size_)
            return fail(errc::body_too_large, consumed);
        body_size_ += left_;
        state_ = left_ > 0 ? state::chunk_body : state::trailers;
        line_start_ = left_ > 0 ? 2 : 0;
        return {h1_event::need_more, consumed};
    }

    h1_step feed_trailers(std::string_view input)
    {
        std::string& block = into_->trailer_block;
        const gathered part = gather(input, block);
        if (part.error)
            return fail(*part.error, part.consumed);
        if (block.size() > limits_->trailers)
            return fail(errc::header_too_large, part.consumed);
        if (!part.whole)
            return {h1_event::need_more, part.consumed};
        if (const auto bad = check_trailers(block, *limits_))
            return fail(*bad, part.consumed);
        if (!put(block))
            return fail(errc::bad_trailer, part.consumed);
        return complete(part.consumed);
    }

    static constexpr std::size_t longest_method = 64; // in front of a target, roughly

    request_data* into_ = nullptr;
    const h1_limits* limits_ = nullptr;
    std::optional<detail::beast_parser> beast_;
    state state_ = state::header;
    errc error_ = {};
    bool skipped_empty_line_ = false;
    std::string line_;            // the line of a chunk
    std::size_t line_start_ = 0;  // of the line that is being gathered, within what it is gathered into
    std::uint64_t left_ = 0;      // of the body, or of the chunk
    std::uint64_t body_size_ = 0; // of all chunks so far
    std::uint64_t body_limit_ = 0;
    std::size_t extensions_ = 0; // bytes of all chunk extensions so far
};

}

#endif
