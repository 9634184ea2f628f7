// What a server's handshake works with: messages expected and sent, keys, transcript and signatures. It is the part
// of the engine that the handshake's coroutine sees; tests put their own in its place.
#ifndef ALOS_TLS13_CORE_HPP
#define ALOS_TLS13_CORE_HPP

#include <alos/tls13/config.hpp>
#include <alos/tls13/detail/flow.hpp>
#include <alos/tls13/negotiate.hpp>
#include <alos/tls13/record_reader.hpp>
#include <alos/tls13/record_writer.hpp>
#include <alos/tls13/transcript.hpp>

#include <memory>
#include <optional>
#include <string>

namespace alos::inline v0::tls13 {

// What the two sides agreed on; complete when the handshake is.
struct negotiated {
    cipher_suite suite{};
    named_group group{};
    signature_scheme scheme{};
    bool hello_retry = false;
    std::string server_name; // as the client sent it; empty if it did not
    std::string alpn;        // empty if none was chosen
};

// A private key operation that somebody has to carry out (RFC 8446 4.4.3).
struct signature_request {
    std::shared_ptr<const cert::signing_key> key;
    signature_scheme scheme{};
    byte_vector content;
    const server_config* config = nullptr;

    // Has the key sign, where the server_config says; see signing_key::start for `done`.
    void start(cert::signing_key::completion done) &&
    {
        if (!config->run_elsewhere)
            return key->start(scheme, std::move(content), std::move(done));
        config->run_elsewhere([request = std::move(*this), done = std::move(done)] {
            request.key->start(request.scheme, request.content, done);
        });
    }
};

// Proof that no bytes of a handshake message are left over where keys are about to change (RFC 8446 5.1):
//    Handshake messages MUST NOT span key changes.
class record_boundary {
    template <crypto_provider>
    friend class server_core;
    record_boundary() noexcept = default;
};

template <crypto_provider Crypto>
class server_core {
public:
    using crypto_type = Crypto;

    explicit server_core(const server_config& config, Crypto crypto = {}) :
        config_(config), crypto_(std::move(crypto)), reader_(config), writer_(config),
        handshake_(std::make_unique<handshake_state>())
    {
    }

    server_core(const server_core&) = delete;
    server_core& operator=(const server_core&) = delete;

    // Awaits a handshake message. Any other message, or one that does not decode, ends the handshake instead.
    template <class Message>
    class expectation {
    public:
        explicit expectation(server_core& io) noexcept : io_(io) {}
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<>) noexcept
        {
            io_.handshake_->awaited = {Message::type, this, [](void* self, byte_view body) {
                                           auto message = Message::decode(body);
                                           if (!message)
                                               return message.error();
                                           static_cast<expectation*>(self)->message_.emplace(std::move(*message));
                                           return errc::none;
                                       }};
        }
        Message await_resume() noexcept { return std::move(*message_); }

    private:
        server_core& io_;
        std::optional<Message> message_;
    };

    template <class Message>
    [[nodiscard]] expectation<Message> expect() noexcept
    {
        return expectation<Message>(*this);
    }

    // Awaits a signature: made at once if the key is quick, or by whoever answers the engine's want::signature.
    class signing {
    public:
        signing(server_core& io, signature_request request) noexcept : io_(io), request_(std::move(request)) {}
        bool await_ready()
        {
            if (!request_.key->immediate())
                return false;
            io_.handshake_->signature = request_.key->sign(request_.scheme, request_.content);
            return true;
        }
        void await_suspend(std::coroutine_handle<>) { io_.handshake_->request.emplace(std::move(request_)); }
        result<byte_vector> await_resume() { return std::move(io_.handshake_->signature); }

    private:
        server_core& io_;
        signature_request request_;
    };

    [[nodiscard]] signing sign(const cert::credential& credential, signature_scheme scheme, byte_vector content)
    {
        return signing(*this, {credential.key, scheme, std::move(content), &config_});
    }

    // Sends a handshake message and adds it to the transcript.
    void send(handshake_type type, byte_view body)
    {
        byte_vector message{static_cast<std::uint8_t>(type)};
        message.reserve(4 + body.size());
        writer out(message);
        out.vector24([&] { out.bytes(body); });
        handshake_->messages.add(message);
        writer_.append(content_type::handshake, message);
    }

    void send_change_cipher_spec() { writer_.change_cipher_spec(); }

    // RFC 8446 4.2.2: the cookie that a HelloRetryRequest carries; none if empty.
    [[nodiscard]] byte_vector retry_cookie() const { return {}; }

    [[nodiscard]] tls13::transcript<Crypto>& transcript() noexcept { return handshake_->messages; }
    [[nodiscard]] const Crypto& crypto() const noexcept { return crypto_; }
    [[nodiscard]] tls13::negotiated& agreed() noexcept { return negotiated_; }
    [[nodiscard]] byte_view local_address() const noexcept { return local_address_; }

    // Nothing if bytes of a further message came in the record of the last one.
    [[nodiscard]] std::optional<record_boundary> at_record_boundary() const noexcept
    {
        if (fragment_.size() != fragment_read_)
            return std::nullopt;
        return record_boundary();
    }

    void read_with(hkdf<Crypto>& kdf, hash_secret traffic_secret, record_boundary)
    {
        reader_.protect_with(kdf, negotiated_.suite, std::move(traffic_secret));
    }

    void write_with(hkdf<Crypto>& kdf, hash_secret traffic_secret)
    {
        writer_.protect_with(kdf, negotiated_.suite, std::move(traffic_secret));
    }

    void skip_early_data() noexcept
    {
        early_data_offered_ = true;
        reader_.skip_early_data();
    }

protected:
    // Which message the coroutine waits for, and how it takes it.
    struct awaited_message {
        handshake_type type{};
        void* receiver = nullptr;
        errc (*decode)(void* receiver, byte_view body) = nullptr;
    };

    // Lives as long as the handshake.
    struct handshake_state {
        tls13::transcript<Crypto> messages;
        awaited_message awaited;
        std::optional<signature_request> request;
        result<byte_vector> signature = byte_vector{};
        flow steps;
    };

    // Takes a whole message, header included, and lets the coroutine go on.
    errc deliver(byte_view message)
    {
        const awaited_message awaited = std::exchange(handshake_->awaited, {});
        if (const errc bad = awaited.decode(awaited.receiver, message.subspan(4)); bad != errc::none)
            return bad;
        handshake_->messages.add(message);
        return advance();
    }

    // Lets the coroutine go on to what it waits for next.
    errc advance()
    {
        handshake_->steps.resume();
        return handshake_->steps.done() ? handshake_->steps.outcome() : errc::none;
    }

    const server_config& config_;
    [[no_unique_address]] Crypto crypto_;
    record_reader<Crypto> reader_;
    record_writer<Crypto> writer_;
    tls13::negotiated negotiated_;
    byte_vector fragment_; // handshake bytes received and not yet forgotten
    std::size_t fragment_read_ = 0;
    bool early_data_offered_ = false;
    byte_vector local_address_;
    std::unique_ptr<handshake_state> handshake_;
};

}

#endif
