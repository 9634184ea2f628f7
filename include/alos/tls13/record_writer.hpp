// Output (RFC 8446 5): cuts what is to be sent into records, protects them, and keeps them until they are sent.
#ifndef ALOS_TLS13_RECORD_WRITER_HPP
#define ALOS_TLS13_RECORD_WRITER_HPP

#include <alos/buffer.hpp>
#include <alos/tls13/config.hpp>
#include <alos/tls13/post_handshake.hpp>
#include <alos/tls13/record.hpp>

#include <algorithm>
#include <optional>

namespace alos::inline v0::tls13 {

// Content of one type is gathered in an open record until it is full, another type follows, keys change, or the
// output is asked for: so a flight is few records, and a small answer is one.
template <crypto_provider Crypto>
class record_writer {
public:
    // Application data that may wait to be sent, in bytes.
    static constexpr std::size_t max_pending = 256 * 1024;

    // After a pause the first bytes, up to the second number, go in records of the first: each fits a TCP segment, so
    // that the peer can use it at once.
    static constexpr std::size_t small_fragment = 1300;
    static constexpr std::size_t small_fragments_until = 16 * 1024;

    explicit record_writer(const server_config& config) noexcept : config_(config) {}

    // Handshake messages and alerts; always taken whole.
    void append(content_type type, byte_view content)
    {
        while (!content.empty())
            content = content.subspan(add(type, content, config_.max_fragment));
    }

    // Application data: takes what fits and says how much that was.
    std::size_t write(byte_view data)
    {
        std::size_t taken = 0;
        while (taken < data.size() && filling_.size() < max_pending) {
            const byte_view rest = data.subspan(taken, std::min(data.size() - taken, max_pending - filling_.size()));
            filling_.prepare(rest.size() + rest.size() / 64 + 64);
            if (!open_ && protection_->records() + 1 >= config_.records_per_key)
                update_keys(key_update_request::update_not_requested);
            const bool small = sent_since_pause_ < small_fragments_until;
            const std::size_t n = add(content_type::application_data, rest,
                                      small ? std::min(small_fragment, config_.max_fragment) : config_.max_fragment);
            taken += n;
            if (small)
                sent_since_pause_ += n;
        }
        return taken;
    }

    // The connection paused: the next records are small again.
    void pause() noexcept { sent_since_pause_ = 0; }

    // RFC 8446 5: one record of its own, never protected.
    void change_cipher_spec()
    {
        seal();
        const auto header = encode_record_header(content_type::change_cipher_spec, 1);
        constexpr std::array<std::uint8_t, 1> one{1};
        filling_.append(header);
        filling_.append(one);
    }

    // What was written so far goes under the old keys, what follows under these: a record boundary (RFC 8446 5.1).
    void protect_with(hkdf<Crypto>& kdf, cipher_suite suite, hash_secret traffic_secret)
    {
        seal();
        protection_.emplace(kdf, suite, std::move(traffic_secret), true);
    }

    // RFC 8446 4.6.3: a KeyUpdate, and the next keys behind it.
    void update_keys(key_update_request request)
    {
        const auto message = encode_key_update(request);
        append(content_type::handshake, message);
        seal();
        protection_.emplace(protection_->next());
    }

    [[nodiscard]] bool has_output() const noexcept { return !sending_.empty() || !filling_.empty(); }
    [[nodiscard]] std::size_t output_size() const noexcept { return sending_.size() + filling_.size(); }

    // Whether output() was shown and not all of it is consumed.
    [[nodiscard]] bool is_sending() const noexcept { return !sending_.empty(); }

    // The bytes to send: they neither move nor change until consume_output() has taken them all.
    [[nodiscard]] byte_view output()
    {
        if (sending_.empty()) {
            seal();
            sending_.swap(filling_);
        }
        return std::as_const(sending_).data();
    }

    // The first `size` bytes of output() are sent.
    void consume_output(std::size_t size) noexcept { sending_.consume(size); }

    // Gives back buffers that hold nothing.
    void release() noexcept
    {
        if (sending_.empty())
            sending_.release();
        if (filling_.empty())
            filling_.release();
    }

private:
    // Adds to the open record, or opens one; returns how much of `content` went in.
    std::size_t add(content_type type, byte_view content, std::size_t max_fragment)
    {
        if (open_ && (*open_ != type || open_size() >= max_fragment))
            seal();
        if (!open_) {
            open_ = type;
            open_at_ = filling_.size();
            filling_.prepare(record_header_size);
            filling_.commit(record_header_size);
        }
        const byte_view taken = content.first(std::min(content.size(), max_fragment - open_size()));
        filling_.append(taken);
        if (open_size() >= max_fragment)
            seal();
        return taken.size();
    }

    [[nodiscard]] std::size_t open_size() const noexcept { return filling_.size() - open_at_ - record_header_size; }

    // Ends the open record.
    void seal()
    {
        if (!open_)
            return;
        if (!protection_) {
            copy(encode_record_header(*open_, open_size()), filling_.data().subspan(open_at_));
        } else {
            const std::size_t padding = padding_for(open_size());
            const byte_span tail = filling_.prepare(1 + padding + aead_tag_size);
            tail[0] = static_cast<std::uint8_t>(*open_);
            std::ranges::fill(tail.subspan(1, padding), std::uint8_t{0});
            filling_.commit(1 + padding + aead_tag_size);
            protection_->seal(filling_.data().subspan(open_at_));
        }
        open_.reset();
    }

    // RFC 8446 5.4
    [[nodiscard]] std::size_t padding_for(std::size_t content) const noexcept
    {
        if (config_.pad_to_multiple_of <= 1)
            return 0;
        const std::size_t over = content % config_.pad_to_multiple_of;
        const std::size_t wanted = over == 0 && content != 0 ? 0 : config_.pad_to_multiple_of - over;
        return std::min(wanted, max_plaintext_size - content);
    }

    const server_config& config_;
    std::optional<protection<Crypto>> protection_;
    buffer sending_; // what output() shows
    buffer filling_; // what follows it
    std::optional<content_type> open_;
    std::size_t open_at_ = 0; // where the open record starts in filling_
    std::size_t sent_since_pause_ = 0;
};

}

#endif
