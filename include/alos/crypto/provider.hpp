// What alos asks of a crypto library. `botan_crypto` is the one in use; tests and fuzzers bring their own.
#ifndef ALOS_CRYPTO_PROVIDER_HPP
#define ALOS_CRYPTO_PROVIDER_HPP

#include <alos/bytes.hpp>
#include <alos/crypto/algorithms.hpp>
#include <alos/error.hpp>
#include <alos/secret.hpp>

#include <concepts>

namespace alos::inline v0 {

// The largest is X25519MLKEM768's, two of 32 bytes.
inline constexpr std::size_t max_shared_secret_size = 64;

// RFC 8446 4.2.8.2, 7.4: the server's share, and the secret that both sides now have.
struct key_agreement {
    byte_vector share;
    secret<max_shared_secret_size> shared_secret;
};

// C::hash   a running digest: update(bytes); current(out) writes the digest of all so far and lets it go on.
// C::hmac   RFC 2104, one object for many keys: start(key); update(bytes); finish(out), out as long as the hash.
// C::aead   one key and direction: seal(nonce, ad, text, tag) encrypts text in place; open(nonce, ad, text_and_tag)
//           decrypts in place and is false if the tag is wrong, after which the text is worthless.
// agree     makes a key share for the group and agrees with the client's, whose length the caller has checked; an
//           error means that the client's share is not valid. random fills with unpredictable bytes.
// Only memory exhaustion may throw.
template <class C>
concept crypto_provider = std::copy_constructible<C> &&
    requires(const C crypto, typename C::hash hash, typename C::hmac hmac, typename C::aead aead, byte_view in,
             byte_span out, hash_algorithm h, aead_algorithm a, named_group group) {
        typename C::hash;
        requires std::constructible_from<typename C::hash, hash_algorithm>;
        hash.update(in);
        hash.current(out);
        requires std::constructible_from<typename C::hmac, hash_algorithm>;
        hmac.start(in);
        hmac.update(in);
        hmac.finish(out);
        requires std::constructible_from<typename C::aead, aead_algorithm, byte_view, bool>;
        aead.seal(in, in, out, out);
        { aead.open(in, in, out) } -> std::same_as<bool>;
        { crypto.agree(group, in) } -> std::same_as<result<key_agreement>>;
        crypto.random(out);
    };

}

#endif
