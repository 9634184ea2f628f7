// Input (RFC 8446 5): finds records in what was received, opens them in place, and skips rejected early data.
#ifndef ALOS_TLS13_RECORD_READER_HPP
#define ALOS_TLS13_RECORD_READER_HPP

#include <alos/buffer.hpp>
#include <alos/tls13/config.hpp>
#include <alos/tls13/record.hpp>

#include <algorithm>
#include <optional>

namespace alos::inline v0::tls13 {

// A record as the engine sees it. The content lies in the reader's buffer until the next call of prepare() or next().
struct received_record {
    content_type type;
    byte_span content;
    bool is_protected;
};

template <crypto_provider Crypto>
class record_reader {
public:
    explicit record_reader(const server_config& config) noexcept : config_(config) {}

    // Where to receive the next bytes: at least `wanted`, and at least what the record that has begun still lacks.
    [[nodiscard]] byte_span prepare(std::size_t wanted)
    {
        drop_current();
        if (input_.size() >= record_header_size) {
            const std::size_t whole = record_header_size + record_header::decode(input_.data()).length;
            if (whole > input_.size()) // next() refuses longer ones before they get here
                wanted = std::max(wanted, whole - input_.size());
        }
        return input_.prepare(wanted);
    }

    void commit(std::size_t size) noexcept { input_.commit(size); }

    // The next whole record; nothing if more input is needed.
    [[nodiscard]] decoded<std::optional<received_record>> next()
    {
        for (;;) {
            drop_current();
            if (input_.size() < record_header_size)
                return std::nullopt;
            const record_header header = record_header::decode(input_.data());
            if (const errc bad = check(header); bad != errc::none)
                return bad;
            if (input_.size() < record_header_size + header.length)
                return std::nullopt;
            current_ = record_header_size + header.length;
            seen_any_ = true;
            const byte_span record = input_.data().first(current_);
            if (header.type == content_type::handshake)
                skipping_early_data_ = false;
            if (header.type != content_type::application_data)
                return received_record{header.type, record.subspan(record_header_size), false};
            if (!protection_) {
                if (!skipping_early_data_)
                    return errc::unexpected_application_data;
            } else {
                const auto opened = protection_->open(record);
                if (opened) {
                    skipping_early_data_ = false;
                    return received_record{opened->type, opened->content, true};
                }
                if (!skipping_early_data_ || opened.error() != errc::bad_record_mac)
                    return opened.error();
            }
            // RFC 8446 4.2.10
            skipped_ += std::max<std::size_t>(header.length, 1); // an empty record is not for nothing
            if (skipped_ > config_.max_early_data_skipped)
                return errc::too_much_early_data;
        }
    }

    // RFC 8446 4.2.10: records that cannot be read are early data, up to the limit, until one can be read (or, without
    // keys yet, until the second ClientHello begins).
    void skip_early_data() noexcept { skipping_early_data_ = true; }

    void protect_with(hkdf<Crypto>& kdf, cipher_suite suite, hash_secret traffic_secret)
    {
        protection_.emplace(kdf, suite, std::move(traffic_secret), false);
    }

    // RFC 8446 7.2
    void update_keys() { protection_.emplace(protection_->next()); }

    [[nodiscard]] bool is_protected() const noexcept { return protection_.has_value(); }

    // Records read under the present keys.
    [[nodiscard]] std::uint64_t records() const noexcept { return protection_ ? protection_->records() : 0; }

    // Bytes that were received and are not part of a record that next() gave.
    [[nodiscard]] byte_view pending()
    {
        drop_current();
        return std::as_const(input_).data();
    }

    // Forgets all that was received, and says how much that was.
    std::size_t discard() noexcept
    {
        drop_current();
        const std::size_t size = input_.size();
        input_.consume(size);
        return size;
    }

    // Gives the buffer back if it holds nothing.
    void release() noexcept
    {
        drop_current();
        if (input_.empty())
            input_.release();
    }

private:
    void drop_current() noexcept { input_.consume(std::exchange(current_, 0)); }

    [[nodiscard]] errc check(const record_header& header) const noexcept
    {
        switch (header.type) {
        case content_type::change_cipher_spec:
        case content_type::alert:
        case content_type::handshake:
        case content_type::application_data: break;
        default:
            return seen_any_ || header.legacy_record_version >> 8 == 3 ? errc::unknown_content_type : not_a_record();
        }
        // RFC 8446 5.1: legacy_record_version MUST be ignored for all purposes.
        // Note: but for telling something else from TLS.
        if (!protection_ && header.legacy_record_version >> 8 != 3)
            return errc::not_tls;
        const bool encrypted =
            header.type == content_type::application_data && (protection_ || skipping_early_data_);
        if (header.length > (encrypted ? max_ciphertext_size : max_plaintext_size))
            return errc::record_too_long;
        return errc::none;
    }

    // Whether the first bytes are the beginning of an HTTP request line (RFC 9112 3).
    [[nodiscard]] errc not_a_record() const noexcept
    {
        constexpr std::string_view methods[] = {"GET ", "POST ", "HEAD ", "PUT ", "DELETE ", "OPTIONS ",
                                                "PATCH ", "CONNECT ", "TRACE ", "PRI "};
        const std::string_view first = as_text(input_.data().first(record_header_size));
        for (const std::string_view method : methods) {
            const std::size_t compared = std::min(first.size(), method.size());
            if (first.substr(0, compared) == method.substr(0, compared))
                return errc::http_request;
        }
        return errc::not_tls;
    }

    const server_config& config_;
    std::optional<protection<Crypto>> protection_;
    buffer input_;
    std::size_t current_ = 0; // bytes of the record that next() gave
    std::size_t skipped_ = 0;
    bool skipping_early_data_ = false;
    bool seen_any_ = false;
};

}

#endif
