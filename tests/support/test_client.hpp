// A TLS 1.3 client in memory that does what a test says, right or wrong: it makes records, frames and encrypts
// whatever it is given with the right keys, and reads what a server answers. It checks the server as strictly as RFC
// 8446 allows and throws protocol_error when the server breaks a rule.
#ifndef ALOS_TESTS_SUPPORT_TEST_CLIENT_HPP
#define ALOS_TESTS_SUPPORT_TEST_CLIENT_HPP

#include "client_hello.hpp"

#include <alos/tls13/alert.hpp>
#include <alos/tls13/certificate.hpp>
#include <alos/tls13/key_schedule.hpp>
#include <alos/tls13/post_handshake.hpp>
#include <alos/tls13/record.hpp>
#include <alos/tls13/server_hello.hpp>
#include <alos/tls13/transcript.hpp>

#include <map>
#include <optional>
#include <stdexcept>
#include <vector>

namespace alos_tests {

// The server did what no server may do.
struct protocol_error : std::logic_error {
    using std::logic_error::logic_error;
};

inline void demand(bool condition, const char* rule)
{
    if (!condition)
        throw protocol_error(rule);
}

// What the client saw of one record.
struct seen_record {
    content_type outer;
    content_type inner;
    std::size_t length;  // of the record without its header
    std::size_t content; // without padding
};

struct seen_message {
    handshake_type type;
    byte_vector body;
};

// Crypto: a crypto_provider with a client_key, see null_crypto.
template <class Crypto>
class test_client {
public:
    test_client() { hello = valid_hello(key(named_group::x25519).share()); }

    // What client_hello() sends.
    hello_message hello;

    // The client's key for a group, made on demand.
    [[nodiscard]] const typename Crypto::client_key& key(named_group group)
    {
        return keys_.try_emplace(group, group).first->second;
    }

    // Puts one share for each group into the hello.
    void offer_shares(const std::vector<named_group>& groups)
    {
        std::vector<share> entries;
        for (const named_group group : groups)
            entries.push_back({group, copy_of(key(group).share())});
        hello.set(extension_type::key_share, shares(entries));
    }

    // --- what the client sends: records, ready for the wire ---

    [[nodiscard]] byte_vector client_hello()
    {
        const byte_vector message = hello.message();
        add_to_transcript(message);
        return record(content_type::handshake, message);
    }

    // For handshake messages that record() and sealed() send.
    void add_to_transcript(byte_view message) { transcript_.add(message); }

    // An unprotected record.
    [[nodiscard]] static byte_vector record(content_type type, byte_view content)
    {
        return joined({encode_record_header(type, content.size()), content});
    }

    [[nodiscard]] static byte_vector change_cipher_spec()
    {
        return record(content_type::change_cipher_spec, as_bytes("\1"));
    }

    // A record under the present keys.
    [[nodiscard]] byte_vector sealed(content_type type, byte_view content, std::size_t padding = 0)
    {
        const std::uint8_t code = static_cast<std::uint8_t>(type);
        return sealed_inner(joined({content, {&code, 1}, byte_vector(padding)}));
    }

    // RFC 8446 5.2: any TLSInnerPlaintext.
    [[nodiscard]] byte_vector sealed_inner(byte_view inner)
    {
        byte_vector bytes(record_header_size + inner.size() + aead_tag_size);
        copy(inner, byte_span(bytes).subspan(record_header_size));
        write_.value().seal(bytes);
        return bytes;
    }

    [[nodiscard]] byte_vector application_data(std::string_view text)
    {
        return sealed(content_type::application_data, as_bytes(text));
    }

    [[nodiscard]] byte_vector alert_record(alert_level level, alert description)
    {
        const std::array<std::uint8_t, 2> content{static_cast<std::uint8_t>(level),
                                                  static_cast<std::uint8_t>(description)};
        return write_ ? sealed(content_type::alert, content) : record(content_type::alert, content);
    }

    [[nodiscard]] byte_vector close_notify() { return alert_record(alert_level::warning, alert::close_notify); }

    // RFC 8446 4.4.4: the message.
    [[nodiscard]] byte_vector finished_message()
    {
        return handshake_message(handshake_type::finished, client_verify_data_.view());
    }

    // The last record of the handshake; application keys behind it.
    [[nodiscard]] byte_vector finished()
    {
        byte_vector bytes = sealed(content_type::handshake, finished_message());
        use_application_keys();
        return bytes;
    }

    void use_application_keys() { write_.emplace(*schedule_, suite, std::move(client_application_), true); }

    [[nodiscard]] byte_vector key_update(key_update_request request)
    {
        byte_vector bytes = sealed(content_type::handshake, encode_key_update(request));
        next_keys();
        return bytes;
    }

    // RFC 8446 7.2
    void next_keys() { write_.emplace(write_->next()); }

    // --- what the server sent ---

    void receive(byte_view bytes)
    {
        input_.insert(input_.end(), bytes.begin(), bytes.end());
        std::size_t read = 0;
        while (input_.size() - read >= record_header_size) {
            const auto header = record_header::decode(byte_view(input_).subspan(read));
            const std::size_t size = record_header_size + header.length;
            if (input_.size() - read < size)
                break;
            take_record(header, byte_span(input_).subspan(read, size));
            read += size;
        }
        input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(read));
    }

    std::vector<seen_record> records;
    std::vector<seen_message> messages;
    byte_vector data;                        // application data
    std::optional<alert> received_alert;     // the only one that may come
    std::size_t change_cipher_specs = 0;
    std::size_t key_updates = 0;             // from the server
    std::vector<key_update_request> requests; // what they asked for

    // From ServerHello or HelloRetryRequest:
    cipher_suite suite{};
    named_group group{};
    byte_vector server_random;
    byte_vector session_id_echo;
    byte_vector retry_cookie;
    bool retried = false;
    bool complete = false; // the server's Finished verified

    [[nodiscard]] const seen_message* message(handshake_type type) const
    {
        for (const seen_message& one : messages) {
            if (one.type == type)
                return &one;
        }
        return nullptr;
    }

private:
    void take_record(record_header header, byte_span bytes)
    {
        demand(!received_alert || *received_alert == alert::user_canceled, "RFC 8446 6: nothing may follow an alert");
        demand(header.legacy_record_version == tls12_version, "RFC 8446 5.1: legacy_record_version is 0x0303");
        demand(bytes.size() > record_header_size, "a record is not empty");
        if (header.type == content_type::change_cipher_spec) {
            demand(header.length == 1 && bytes[record_header_size] == 1, "RFC 8446 5: change_cipher_spec is 1");
            demand(!messages.empty(), "RFC 8446 D.4: change_cipher_spec follows a hello");
            ++change_cipher_specs;
            records.push_back({header.type, header.type, header.length, 1});
            return;
        }
        if (!read_) {
            demand(header.length <= max_plaintext_size, "RFC 8446 5.1: 2^14 bytes");
            take_content(header, header.type, bytes.subspan(record_header_size));
            return;
        }
        demand(header.type == content_type::application_data, "RFC 8446 5.2: opaque_type is application_data");
        demand(header.length <= max_ciphertext_size, "RFC 8446 5.2: 2^14 + 256 bytes");
        const auto opened = read_->open(bytes);
        demand(opened.has_value(), "a record opens");
        take_content(header, opened->type, opened->content);
    }

    void take_content(record_header header, content_type type, byte_view content)
    {
        records.push_back({header.type, type, header.length, content.size()});
        switch (type) {
        case content_type::handshake: return take_handshake(content);
        case content_type::alert: return take_alert(content);
        case content_type::application_data:
            demand(complete, "RFC 8446 2: no application data before Finished");
            demand(fragment_.empty(), "RFC 8446 5.1: nothing between fragments");
            data.insert(data.end(), content.begin(), content.end());
            return;
        default: throw protocol_error("RFC 8446 5: an unknown content type");
        }
    }

    void take_alert(byte_view content)
    {
        demand(content.size() == 2, "RFC 8446 5.1: one alert a record");
        received_alert = static_cast<alert>(content[1]);
        const bool warning = *received_alert == alert::close_notify || *received_alert == alert::user_canceled;
        demand(content[0] == (warning ? 1 : 2), "RFC 8446 6: error alerts are fatal");
    }

    void take_handshake(byte_view content)
    {
        demand(!content.empty(), "RFC 8446 5.1: no zero-length fragments of handshake messages");
        fragment_.insert(fragment_.end(), content.begin(), content.end());
        for (;;) {
            reader in(fragment_);
            const auto type = static_cast<handshake_type>(in.u8());
            const byte_view body = in.vector24();
            if (!in.ok())
                return;
            const byte_vector whole = copy_of(byte_view(fragment_).first(4 + body.size()));
            fragment_.erase(fragment_.begin(), fragment_.begin() + static_cast<std::ptrdiff_t>(whole.size()));
            take_message(type, whole);
        }
    }

    void take_message(handshake_type type, byte_view whole)
    {
        const byte_view body = whole.subspan(4);
        messages.push_back({type, copy_of(body)});
        switch (type) {
        case handshake_type::server_hello: return take_server_hello(whole);
        case handshake_type::encrypted_extensions:
        case handshake_type::certificate:
        case handshake_type::certificate_verify:
            demand(read_ && !complete, "RFC 8446 2: the order of messages");
            return transcript_.add(whole);
        case handshake_type::finished: return take_finished(whole);
        case handshake_type::key_update: return take_key_update(body);
        default: throw protocol_error("RFC 8446 4: an unexpected handshake message");
        }
    }

    // RFC 8446 4.1.3, 4.1.4
    void take_server_hello(byte_view whole)
    {
        demand(!read_, "RFC 8446 4: one ServerHello");
        reader in(whole.subspan(4));
        demand(in.u16() == tls12_version, "RFC 8446 4.1.3: legacy_version is 0x0303");
        server_random = copy_of(in.bytes(random_size));
        session_id_echo = copy_of(in.vector8());
        demand(session_id_echo == hello.session_id, "RFC 8446 4.1.3: legacy_session_id is echoed");
        const auto chosen = static_cast<cipher_suite>(in.u16());
        demand(!retried || chosen == suite, "RFC 8446 4.1.4: the same suite after a HelloRetryRequest");
        suite = chosen;
        demand(in.u8() == 0, "RFC 8446 4.1.3: legacy_compression_method is 0");
        const bool retry = equal(server_random, hello_retry_request_random);
        byte_view server_share;
        bool has_version = false;
        for (reader extensions(in.vector16()); !extensions.empty();) {
            const auto type = static_cast<extension_type>(extensions.u16());
            reader data(extensions.vector16());
            if (type == extension_type::supported_versions) {
                has_version = data.u16() == tls13_version;
            } else if (type == extension_type::key_share) {
                group = static_cast<named_group>(data.u16());
                if (!retry)
                    server_share = data.vector16(1);
            } else if (type == extension_type::cookie && retry) {
                retry_cookie = copy_of(data.vector16(1));
            } else {
                throw protocol_error("RFC 8446 4.1.3: an extension that may not be here");
            }
            demand(data.complete(), "an extension is whole");
        }
        demand(in.complete() && has_version, "RFC 8446 4.1.3: supported_versions");
        if (retry) {
            demand(!retried, "RFC 8446 4.1.4: one HelloRetryRequest");
            retried = true;
            transcript_.start(hash_of(suite));
            transcript_.replace_with_message_hash();
            transcript_.add(whole);
            return;
        }
        if (!retried)
            transcript_.start(hash_of(suite));
        transcript_.add(whole);
        schedule_.emplace(hash_of(suite));
        const auto shared = key(group).agree(server_share);
        handshake_.emplace(early_secret<Crypto>(*schedule_).with_shared_secret(shared.view()));
        auto secrets = handshake_->handshake_traffic(transcript_.current().view());
        client_handshake_ = copy_of(secrets.client.view());
        server_handshake_ = copy_of(secrets.server.view());
        read_.emplace(*schedule_, suite, std::move(secrets.server), false);
        write_.emplace(*schedule_, suite, std::move(secrets.client), true);
    }

    // RFC 8446 4.4.4
    void take_finished(byte_view whole)
    {
        demand(read_ && !complete, "RFC 8446 2: the order of messages");
        demand(fragment_.empty(), "RFC 8446 5.1: Finished ends its record");
        const auto expected = schedule_->verify_data(server_handshake_, transcript_.current().view());
        demand(equal(whole.subspan(4), expected.view()), "RFC 8446 4.4.4: Finished verifies");
        transcript_.add(whole);
        const digest to_server_finished = transcript_.current();
        auto secrets = std::move(*handshake_).into_master_secret().application_traffic(to_server_finished.view());
        client_verify_data_ = schedule_->verify_data(client_handshake_, to_server_finished.view());
        read_.emplace(*schedule_, suite, std::move(secrets.server), false);
        client_application_ = std::move(secrets.client);
        complete = true;
    }

    // RFC 8446 4.6.3
    void take_key_update(byte_view body)
    {
        demand(complete && fragment_.empty(), "RFC 8446 4.6.3: KeyUpdate ends its record");
        const auto request = decode_key_update(body);
        demand(request.has_value(), "RFC 8446 4.6.3: request_update");
        requests.push_back(*request);
        ++key_updates;
        read_.emplace(read_->next());
    }

    std::map<named_group, typename Crypto::client_key> keys_;
    byte_vector input_;
    byte_vector fragment_;
    tls13::transcript<Crypto> transcript_;
    std::optional<hkdf<Crypto>> schedule_;
    std::optional<handshake_secret<Crypto>> handshake_;
    byte_vector client_handshake_; // not so secret in a test
    byte_vector server_handshake_;
    hash_secret client_application_;
    hash_secret client_verify_data_;
    std::optional<protection<Crypto>> read_;
    std::optional<protection<Crypto>> write_;
};

}

#endif
