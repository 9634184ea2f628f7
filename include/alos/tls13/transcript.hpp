// The transcript hash (RFC 8446 4.4.1): a running digest of every handshake message.
#ifndef ALOS_TLS13_TRANSCRIPT_HPP
#define ALOS_TLS13_TRANSCRIPT_HPP

#include <alos/bytes.hpp>
#include <alos/crypto/provider.hpp>
#include <alos/tls13/types.hpp>

#include <array>
#include <optional>

namespace alos::inline v0::tls13 {

// The output of a hash function.
class digest {
public:
    explicit digest(hash_algorithm algorithm) noexcept : size_(hash_size(algorithm)) {}

    [[nodiscard]] byte_view view() const noexcept { return {bytes_.data(), size_}; }
    [[nodiscard]] byte_span bytes() noexcept { return {bytes_.data(), size_}; }

private:
    std::array<std::uint8_t, max_hash_size> bytes_{};
    std::size_t size_;
};

// Messages that come before the hash is chosen are kept and hashed then.
template <crypto_provider Crypto>
class transcript {
public:
    void start(hash_algorithm algorithm)
    {
        algorithm_ = algorithm;
        hash_.emplace(algorithm);
        hash_->update(kept_);
        kept_ = byte_vector(); // and its memory
    }

    // `message` with its header.
    void add(byte_view message)
    {
        if (hash_)
            hash_->update(message);
        else
            kept_.insert(kept_.end(), message.begin(), message.end());
    }

    // Of all messages so far; start() comes first.
    [[nodiscard]] digest current() const
    {
        digest out(algorithm_);
        hash_->current(out.bytes());
        return out;
    }

    // RFC 8446 4.4.1: a HelloRetryRequest turns the first ClientHello into a message_hash.
    void replace_with_message_hash()
    {
        const digest first = current();
        hash_.emplace(algorithm_);
        const std::array<std::uint8_t, 4> header{static_cast<std::uint8_t>(handshake_type::message_hash), 0, 0,
                                                 static_cast<std::uint8_t>(first.view().size())};
        hash_->update(header);
        hash_->update(first.view());
    }

private:
    byte_vector kept_;
    hash_algorithm algorithm_{};
    std::optional<typename Crypto::hash> hash_;
};

}

#endif
