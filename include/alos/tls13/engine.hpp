// The TLS 1.3 server engine: bytes in, bytes out. It takes records apart, decides what may come when, and chooses and
// sends every alert. It knows no socket, clock, thread or executor.
#ifndef ALOS_TLS13_ENGINE_HPP
#define ALOS_TLS13_ENGINE_HPP

#include <alos/crypto/botan.hpp>
#include <alos/tls13/server_handshake.hpp>

#include <algorithm>
#include <utility>

namespace alos::inline v0::tls13 {

// What an engine needs to go on. Output may be there in every case; see output().
enum class want {
    nothing,   // reading is over; error() says why
    input,     // bytes from the peer
    signature, // an answer to signature_request()
    fallback,  // somebody who speaks the older version that received() offers
};

// Anything that a stream can drive.
template <class E>
concept engine = requires(E e, const E c, byte_view in, std::size_t size) {
    // Input: room for the next read, how many of its bytes came, and that no more will.
    { e.prepare(size) } -> std::same_as<byte_span>;
    e.commit(size);
    e.end_of_input();

    // What was decrypted, valid until the next call of any member but output(), write() and consume_output(). Its first
    // bytes are forgotten by consume().
    { e.plaintext() } -> std::same_as<byte_view>;
    e.consume(size);

    // Copies plaintext in; how much of it, zero when there is no room or it is over.
    { e.write(in) } -> std::same_as<std::size_t>;

    // What is to be sent: stays where it is until consume_output() has taken all of it, whatever else goes on.
    { c.has_output() } -> std::same_as<bool>;
    { e.output() } -> std::same_as<byte_view>;
    e.consume_output(size);

    // How far it is, and why it ended.
    { c.wants() } -> std::same_as<want>;
    { c.error() } -> std::same_as<error_code>;
    { c.is_connected() } -> std::same_as<bool>;
    { c.is_failed() } -> std::same_as<bool>;

    // Queues a goodbye; throws away what came after the end; gives idle memory back; time has passed.
    e.close();
    { e.discard_input() } -> std::same_as<std::size_t>;
    e.release();
    e.pause();
};

// Core: server_core<Crypto>, or what a test derives from it.
template <class Core>
class basic_server_engine : private Core {
public:
    // `config` outlives the engine.
    template <class... Args>
    explicit basic_server_engine(const server_config& config, Args&&... args) :
        Core(config, std::forward<Args>(args)...)
    {
        this->handshake_->steps = server_handshake<Core>(*this, this->config_);
        this->advance(); // to the ClientHello
    }

    // The address that the client connected to, 4 or 16 bytes: what chooses a certificate when there is no name.
    void set_local_address(byte_view address) { this->local_address_.assign(address.begin(), address.end()); }

    [[nodiscard]] byte_span prepare(std::size_t wanted) { return this->reader_.prepare(wanted); }
    void commit(std::size_t size) noexcept { this->reader_.commit(size); }

    // The transport ended: truncation unless a close_notify came first (RFC 8446 6.1), which plaintext() finds out.
    void end_of_input() noexcept { input_ended_ = true; }

    [[nodiscard]] byte_view plaintext()
    {
        while (plaintext_.empty() && wants() == want::input) {
            const auto record = this->reader_.next();
            if (!record) {
                fail(record.error());
            } else if (!*record) {
                if (input_ended_)
                    error_ = alos::errc::truncated;
                break;
            } else if (const errc bad = handle(**record); bad != errc::none) {
                finish_with(bad);
            }
        }
        return plaintext_;
    }

    void consume(std::size_t size) noexcept { plaintext_ = plaintext_.subspan(size); }

    // 0 before the handshake is complete and after close() or a failure.
    [[nodiscard]] std::size_t write(byte_view data)
    {
        if (!is_connected() || closed_ || is_failed())
            return 0;
        return this->writer_.write(data);
    }

    [[nodiscard]] bool has_output() const noexcept { return this->writer_.has_output(); }

    // In bytes, of which the newest are not encrypted yet.
    [[nodiscard]] std::size_t output_size() const noexcept { return this->writer_.output_size(); }

    [[nodiscard]] byte_view output()
    {
        if (!this->writer_.is_sending())
            updates_queued_ = 0;
        return this->writer_.output();
    }

    void consume_output(std::size_t size) noexcept { this->writer_.consume_output(size); }

    [[nodiscard]] want wants() const noexcept
    {
        if (falls_back_)
            return want::fallback;
        if (error_)
            return want::nothing;
        return this->handshake_ && this->handshake_->request ? want::signature : want::input;
    }

    // Why reading is over: the alert that came (close_notify for a clean end), the tls13::errc that was found and
    // whose alert is in the output, or alos::errc::truncated.
    [[nodiscard]] error_code error() const noexcept { return error_; }

    // Whether a ClientHello has come.
    [[nodiscard]] bool has_begun() const noexcept { return seen_hello_; }

    // Whether the handshake is complete.
    [[nodiscard]] bool is_connected() const noexcept { return connected_; }

    // Whether the connection ended by an error of either side, so that nothing more can be written.
    [[nodiscard]] bool is_failed() const noexcept
    {
        return error_ && error_ != alert::close_notify && error_ != alos::errc::truncated;
    }

    [[nodiscard]] const tls13::negotiated& negotiated() const noexcept { return this->negotiated_; }

    // want::signature: what is to be signed, until answer().
    [[nodiscard]] const tls13::signature_request& signature_request() const noexcept
    {
        return *this->handshake_->request;
    }

    void answer(result<byte_vector> signature)
    {
        this->handshake_->request.reset();
        this->handshake_->signature = std::move(signature);
        if (const errc bad = continue_with(this->advance()); bad != errc::none)
            finish_with(bad);
    }

    // want::fallback: all that the client sent, as records.
    [[nodiscard]] byte_vector received()
    {
        byte_vector bytes;
        for (byte_view rest = this->fragment_; !rest.empty();) {
            const byte_view part = rest.first(std::min(rest.size(), max_plaintext_size));
            const auto header = encode_record_header(content_type::handshake, part.size());
            bytes.insert(bytes.end(), header.begin(), header.end());
            bytes.insert(bytes.end(), part.begin(), part.end());
            rest = rest.subspan(part.size());
        }
        const byte_view pending = this->reader_.pending();
        bytes.insert(bytes.end(), pending.begin(), pending.end());
        return bytes;
    }

    // RFC 8446 6.1: close_notify, once. What was written before goes first; reading goes on.
    void close()
    {
        if (std::exchange(closed_, true) || is_failed())
            return;
        send_alert(alert::close_notify, alert_level::warning);
    }

    // After a failure: forgets what was received since, and says how much that was.
    std::size_t discard_input() noexcept { return this->reader_.discard(); }

    void release() noexcept
    {
        if (plaintext_.empty())
            this->reader_.release();
        this->writer_.release();
        if (fragment_is_read() && !falls_back_) {
            this->fragment_ = byte_vector(); // and its memory
            this->fragment_read_ = 0;
        }
    }

    void pause() noexcept { this->writer_.pause(); }

    // RFC 8446 4.6.3: new keys for what is written from here on, and, if asked for, for what the peer writes.
    void update_keys(key_update_request request)
    {
        if (is_connected() && !closed_ && !is_failed())
            this->writer_.update_keys(request);
    }

private:
    // How much of what does nothing is accepted in a row.
    static constexpr std::size_t max_empty_records = 32;
    static constexpr std::size_t max_user_canceled = 4;
    static constexpr std::size_t max_key_updates = 32;

    // KeyUpdates that are answered one by one while nothing is sent.
    static constexpr std::size_t max_updates_queued = 32;

    errc handle(received_record record)
    {
        if (record.type != content_type::handshake && !fragment_is_read())
            return errc::interleaved_handshake; // RFC 8446 5.1
        seen_protected_ |= record.is_protected;
        if (record.type == content_type::change_cipher_spec)
            return handle_change_cipher_spec(record);
        if (this->reader_.is_protected() && !record.is_protected) {
            // Note: an alert from a client that could not follow to the new keys is still worth reading.
            if (record.type != content_type::alert || seen_protected_)
                return errc::unprotected_record;
        }
        switch (record.type) {
        case content_type::alert: return handle_alert(record.content);
        case content_type::handshake: return handle_handshake(record.content);
        case content_type::application_data: return handle_application_data(record.content);
        default: return errc::unknown_content_type;
        }
    }

    // RFC 8446 5
    //    An implementation may receive an unencrypted record of type change_cipher_spec consisting of the single
    //    byte value 0x01 at any time after the first ClientHello message has been sent or received and before the
    //    peer's Finished message has been received and MUST simply drop it without further processing.
    errc handle_change_cipher_spec(received_record record)
    {
        if (record.is_protected || !seen_hello_ || is_connected())
            return errc::unexpected_change_cipher_spec;
        if (record.content.size() != 1 || record.content[0] != 1)
            return errc::bad_change_cipher_spec;
        return ++change_cipher_specs_ > max_change_cipher_specs() ? errc::too_many_change_cipher_specs : errc::none;
    }

    // RFC 8446 D.4: a client sends one, before its second flight, or behind a ClientHello that offers early data.
    // Note: some send both when a retry follows.
    [[nodiscard]] std::size_t max_change_cipher_specs() const noexcept
    {
        return this->early_data_offered_ || this->negotiated_.hello_retry ? 2 : 1;
    }

    // RFC 8446 6
    // Note: the level could be ignored, says the RFC. A level that TLS 1.3 does not have for the alert is refused
    // instead, as others do: who sends it speaks something else.
    errc handle_alert(byte_view content)
    {
        if (content.empty())
            return errc::empty_alert_record; // RFC 8446 5.4
        if (content.size() != 2)
            return errc::bad_alert; // RFC 8446 5.1: neither in parts nor together
        const auto level = static_cast<alert_level>(content[0]);
        const auto description = static_cast<alert>(content[1]);
        if (level != alert_level::warning && level != alert_level::fatal)
            return errc::bad_alert_level;
        if (description == alert::user_canceled && level == alert_level::warning)
            return ++user_canceled_ > max_user_canceled ? errc::too_many_warning_alerts : errc::none;
        if (description != alert::close_notify && level == alert_level::warning)
            return errc::warning_alert;
        error_ = description;
        return errc::none;
    }

    // RFC 8446 2: application data comes after the client's Finished, and not before.
    errc handle_application_data(byte_view content)
    {
        if (!is_connected())
            return errc::unexpected_application_data;
        if (content.empty())
            return ++empty_records_ > max_empty_records ? errc::too_many_empty_records : errc::none;
        empty_records_ = 0;
        key_updates_ = 0;
        if (this->reader_.records() >= this->config_.records_per_key && !std::exchange(update_asked_, true))
            update_keys(key_update_request::update_requested); // RFC 8446 5.5
        plaintext_ = content;
        return errc::none;
    }

    // RFC 8446 5.1: joins the fragments of messages, and takes coalesced ones apart.
    errc handle_handshake(byte_view content)
    {
        if (content.empty())
            return errc::empty_handshake_record; // RFC 8446 5.4
        auto& fragment = this->fragment_;
        auto& read = this->fragment_read_;
        fragment.insert(fragment.end(), content.begin(), content.end());
        while (fragment.size() - read >= 4 && wants() == want::input) {
            reader header(byte_view(fragment).subspan(read, 4));
            const auto type = static_cast<handshake_type>(header.u8());
            const std::size_t size = 4 + header.u24();
            if (type != expected_message())
                return errc::unexpected_handshake_message;
            if (const errc bad = check_message_size(type, size); bad != errc::none)
                return bad;
            if (fragment.size() - read < size)
                return errc::none;
            const byte_view message = byte_view(fragment).subspan(read, size);
            read += size;
            const errc bad = is_connected() ? handle_key_update(message.subspan(4)) : handle_step(message);
            if (bad != errc::none)
                return bad;
        }
        if (fragment_is_read()) {
            fragment.clear();
            read = 0;
        }
        return errc::none;
    }

    [[nodiscard]] handshake_type expected_message() const noexcept
    {
        return is_connected() ? handshake_type::key_update : this->handshake_->awaited.type;
    }

    // What is too long already by its header need not be awaited.
    [[nodiscard]] errc check_message_size(handshake_type type, std::size_t size) const noexcept
    {
        switch (type) {
        case handshake_type::finished: return size > 4 + max_hash_size ? errc::message_decode : errc::none;
        case handshake_type::key_update: return size > 4 + 1 ? errc::message_decode : errc::none;
        default: return size > this->config_.max_handshake_message ? errc::handshake_message_too_long : errc::none;
        }
    }

    errc handle_step(byte_view message)
    {
        seen_hello_ = true;
        return continue_with(this->deliver(message));
    }

    // RFC 8446 4.6.3
    errc handle_key_update(byte_view body)
    {
        const auto request = decode_key_update(body);
        if (!request)
            return request.error();
        if (!fragment_is_read())
            return errc::keys_within_record; // RFC 8446 5.1
        if (++key_updates_ > max_key_updates)
            return errc::too_many_key_updates;
        this->reader_.update_keys();
        update_asked_ = false;
        // Note: one answer is enough for all requests that come before it is sent; giving each its own, up to a
        // bound, pleases more peers.
        if (*request == key_update_request::update_requested && updates_queued_ < max_updates_queued) {
            ++updates_queued_;
            update_keys(key_update_request::update_not_requested);
        }
        return errc::none;
    }

    [[nodiscard]] bool fragment_is_read() const noexcept { return this->fragment_.size() == this->fragment_read_; }

    // After the coroutine went on: is the handshake over?
    errc continue_with(errc outcome)
    {
        if (outcome == errc::none && this->handshake_->steps.done()) {
            connected_ = true;
            this->handshake_.reset();
        }
        return outcome;
    }

    void finish_with(errc bad)
    {
        if (bad == errc::tls13_not_offered && this->config_.hand_over_older_versions && !has_output())
            falls_back_ = true;
        else
            fail(bad);
    }

    // RFC 8446 6.2: one alert, and the connection is over. Nothing follows our close_notify (6.1).
    void fail(errc bad)
    {
        if (bad != errc::http_request && !closed_)
            send_alert(describe(bad).sent, alert_level::fatal);
        error_ = bad;
    }

    void send_alert(alert description, alert_level level)
    {
        const std::array<std::uint8_t, 2> content{static_cast<std::uint8_t>(level),
                                                  static_cast<std::uint8_t>(description)};
        this->writer_.append(content_type::alert, content);
    }

    byte_view plaintext_;
    error_code error_;
    std::uint8_t empty_records_ = 0;
    std::uint8_t change_cipher_specs_ = 0;
    std::uint8_t user_canceled_ = 0;
    std::uint8_t key_updates_ = 0;
    std::uint8_t updates_queued_ = 0; // KeyUpdate answers that wait in the output
    bool connected_ = false;
    bool seen_hello_ = false;
    bool seen_protected_ = false;
    bool closed_ = false;
    bool input_ended_ = false;
    bool falls_back_ = false;
    bool update_asked_ = false;  // the peer was asked to update its keys
};

template <crypto_provider Crypto>
using server_engine_for = basic_server_engine<server_core<Crypto>>;

using server_engine = server_engine_for<botan_crypto>;

static_assert(engine<server_engine>);

}

#endif
