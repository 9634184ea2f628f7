// The server of RFC 8448: the engine, made to send what the recorded server sent where it may send something else, and
// the traces as scripts for it.
#ifndef ALOS_TESTS_SUPPORT_RFC8448_SERVER_HPP
#define ALOS_TESTS_SUPPORT_RFC8448_SERVER_HPP

#include "hex.hpp"
#include "vectors/rfc8448.hpp"

#include <alos/tls13/engine.hpp>

#include <botan/ec_scalar.h>

#include <algorithm>
#include <string>
#include <vector>

namespace alos_tests {

using namespace alos;
using namespace alos::tls13;

inline byte_view without_header(const byte_vector& message) { return byte_view(message).subspan(4); }

// Botan, with the randomness of the trace.
struct recorded_crypto : botan_crypto {
    byte_vector pool;

    void random(byte_span out) const { copy(byte_view(pool).first(random_size), out); }

    result<key_agreement> agree(named_group group, byte_view client_share) const
    {
        const byte_view private_key = byte_view(pool).subspan(random_size);
        if (group == named_group::x25519)
            return agree_with(Botan::X25519_PrivateKey({private_key.begin(), private_key.end()}), client_share);
        const auto curve = Botan::EC_Group::from_name("secp256r1");
        const auto scalar = Botan::EC_Scalar::deserialize(curve, private_key);
        return agree_with(Botan::ECDH_PrivateKey(curve, scalar.value()), client_share);
    }

private:
    template <class Key>
    static key_agreement agree_with(const Key& key, byte_view client_share)
    {
        const auto bits = Botan::PK_Key_Agreement(key, Botan::system_rng(), "Raw")
                              .derive_key(0, client_share.data(), client_share.size())
                              .bits_of();
        key_agreement agreed{key.public_value(), secret<max_shared_secret_size>(bits.size())};
        copy(bits, agreed.shared_secret.bytes());
        return agreed;
    }
};

// Sends what the recorded server sent where another server may send something else: its EncryptedExtensions, its
// cookie, and a session ticket.
class recorded_core : public server_core<recorded_crypto> {
public:
    recorded_core(const server_config& config, const rfc8448::trace& trace) :
        server_core(config, recorded_crypto{{}, from_hex(trace.server_random_pool)}), trace_(trace)
    {
    }

    void send(handshake_type type, byte_view body)
    {
        const byte_vector recorded = from_hex(trace_.encrypted_extensions);
        server_core::send(type, type == handshake_type::encrypted_extensions ? without_header(recorded) : body);
    }

    byte_vector retry_cookie() const { return from_hex(trace_.cookie); }

    void read_with(hkdf<recorded_crypto>& kdf, hash_secret traffic_secret, record_boundary boundary)
    {
        server_core::read_with(kdf, std::move(traffic_secret), boundary);
        if (std::exchange(reads_handshake_, true))
            writer_.append(content_type::handshake, from_hex(trace_.new_session_ticket));
    }

private:
    const rfc8448::trace& trace_;
    bool reads_handshake_ = false;
};

// Signs the recorded content with the recorded signature, and nothing else.
class recorded_key final : public cert::signing_key {
public:
    explicit recorded_key(const rfc8448::trace& trace) : trace_(trace) {}
    std::span<const signature_scheme> schemes() const noexcept override { return schemes_; }
    result<byte_vector> sign(signature_scheme, byte_view content) const override
    {
        if (to_hex(content) != trace_.server_signed_content)
            return make_error_code(boost::system::errc::invalid_argument);
        return from_hex(trace_.server_signature);
    }

private:
    const rfc8448::trace& trace_;
    std::vector<signature_scheme> schemes_{signature_scheme::rsa_pss_rsae_sha256};
};

class recorded_store : public cert::store {
public:
    explicit recorded_store(const rfc8448::trace& trace)
    {
        auto credential = std::make_shared<cert::credential>();
        const byte_vector message = from_hex(trace.certificate);
        credential->certificate_message.assign(message.begin() + 4, message.end());
        credential->key = std::make_shared<recorded_key>(trace);
        publish(std::make_shared<const cert::snapshot>(std::vector<cert::entry>{{"server", {credential}}}));
    }
};

// One thing that happens to the server, and what it sends and hands up then.
struct step {
    enum { feed, write, close } action;
    byte_vector given;
    byte_vector sent;
    byte_vector plaintext;
};

inline std::vector<step> script_of(const rfc8448::trace& trace)
{
    std::vector<step> script;
    const auto feed = [&](std::string_view record, std::string_view answer, std::string_view plaintext = {}) {
        script.push_back({step::feed, from_hex(record), from_hex(answer), from_hex(plaintext)});
    };
    const std::string flight = std::string(trace.server_hello_record) + std::string(trace.server_flight_records);
    if (trace.second_client_hello_record.empty()) {
        feed(trace.client_hello_record, flight);
    } else {
        feed(trace.client_hello_record, trace.hello_retry_request_record);
        feed(trace.second_client_hello_record, flight);
    }
    feed(trace.client_finish_records, trace.new_session_ticket_record);
    if (!trace.client_data.empty()) {
        feed(trace.client_data_record, {}, trace.client_data);
        script.push_back({step::write, from_hex(trace.server_data), from_hex(trace.server_data_record), {}});
    }
    feed(trace.client_close_notify_record, {});
    script.push_back({step::close, {}, from_hex(trace.server_close_notify_record), {}});
    return script;
}

// Only what the trace's server speaks: it asks for P-256 when the client comes with X25519 (section 5).
inline server_config config_of(const rfc8448::trace& trace, const cert::store& certificates)
{
    server_config config;
    config.certificates = &certificates;
    config.groups = {trace.hello_retry_request_record.empty() ? named_group::x25519 : named_group::secp256r1};
    return config;
}

inline constexpr std::size_t all_at_once = 100000;

class recorded_connection {
public:
    explicit recorded_connection(const rfc8448::trace& trace) :
        certificates_(trace), config_(config_of(trace, certificates_)), engine(config_, trace)
    {
    }

    // Does `next`, with `piece` bytes coming at once.
    void take(const step& next, std::size_t piece)
    {
        sent.clear();
        plaintext.clear();
        switch (next.action) {
        case step::feed: feed(next.given, piece); break;
        case step::write: static_cast<void>(engine.write(next.given)); break;
        case step::close: engine.close(); break;
        }
        const byte_view bytes = engine.output();
        sent.assign(bytes.begin(), bytes.end());
        engine.consume_output(bytes.size());
    }

private:
    void feed(byte_view bytes, std::size_t piece)
    {
        while (!bytes.empty()) {
            const byte_view part = bytes.first(std::min(piece, bytes.size()));
            copy(part, engine.prepare(part.size()));
            engine.commit(part.size());
            bytes = bytes.subspan(part.size());
            for (byte_view text = engine.plaintext(); !text.empty(); text = engine.plaintext()) {
                plaintext.insert(plaintext.end(), text.begin(), text.end());
                engine.consume(text.size());
            }
        }
    }

    recorded_store certificates_;
    server_config config_;

public:
    basic_server_engine<recorded_core> engine;
    byte_vector sent;
    byte_vector plaintext;
};

}

#endif
