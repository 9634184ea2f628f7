// How alos reports failure: error_code for I/O and protocols, result<T> from pure code, and `failure` (a code with
// a sentence that names the culprit and the cure) from calls that set a program up.
#ifndef ALOS_ERROR_HPP
#define ALOS_ERROR_HPP

#include <alos/config.hpp>

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <string>
#include <utility>

namespace alos::inline v0 {

using boost::system::error_code;

// A value or an error_code. `value()` throws; ask `has_value()` first.
template <class T>
using result = boost::system::result<T>;

// What can go wrong outside TLS itself (see tls13::errc) and HTTP framing (see http::errc).
enum class errc {
    truncated = 1,         // the peer's bytes ended without a close_notify (RFC 8446 6.1)
    closed,                // the stream was closed by this side
    bad_pem,               // not PEM, or PEM of another kind (RFC 7468)
    bad_certificate,       // not a certificate that can be read (RFC 5280)
    bad_private_key,       // not a private key that can be read (RFC 5958)
    unsupported_key,       // a key that TLS 1.3 cannot sign with (RFC 8446 4.2.3)
    key_is_encrypted,      // a passphrase is needed
    wrong_passphrase,      // the passphrase does not open the key
    key_mismatch,          // the private key is not the certificate's
    broken_chain,          // a certificate is not issued by the next
    bad_name,              // not a host name that a certificate can be stored under
    unknown_name,          // no certificate is stored under that name
    bad_configuration,     // settings that contradict each other
    timed_out,             // a deadline passed
    conflict,              // somebody else changed it first
    lock_lost,             // a lock is no longer held
    refused,               // a CA said no
    program_failed,        // a program that was called did not do what it was to
};

class error_category final : public boost::system::error_category {
public:
    constexpr error_category() noexcept : boost::system::error_category(0x8f1d6a1be47c2f05u) {}
    const char* name() const noexcept override { return "alos"; }
    std::string message(int code) const override
    {
        switch (static_cast<errc>(code)) {
        case errc::truncated: return "connection truncated: the peer closed without close_notify";
        case errc::closed: return "stream closed";
        case errc::bad_pem: return "no PEM block of the wanted kind";
        case errc::bad_certificate: return "certificate cannot be read";
        case errc::bad_private_key: return "private key cannot be read";
        case errc::unsupported_key: return "key type cannot sign in TLS 1.3";
        case errc::key_is_encrypted: return "private key is encrypted";
        case errc::wrong_passphrase: return "passphrase does not open the private key";
        case errc::key_mismatch: return "private key does not belong to the certificate";
        case errc::broken_chain: return "certificate chain does not link";
        case errc::bad_name: return "not a name that a certificate can be stored under";
        case errc::unknown_name: return "no certificate under that name";
        case errc::bad_configuration: return "contradictory configuration";
        case errc::timed_out: return "deadline passed";
        case errc::conflict: return "changed by somebody else meanwhile";
        case errc::lock_lost: return "the lock is no longer held";
        case errc::refused: return "refused by the certificate authority";
        case errc::program_failed: return "a program that was called has failed";
        }
        return "unknown error";
    }
};

inline const error_category& alos_category() noexcept
{
    static constexpr error_category category;
    return category;
}

inline error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), alos_category()}; }

// Why a call that sets something up failed: the code for programs, one sentence for people. The sentence names the
// file or entry at fault and the cure, and never contains a secret.
struct failure {
    error_code code;
    std::string what;
};

// Makes result<T, failure>::value() throw what a caller who does not check expects.
[[noreturn]] inline void throw_exception_from_error(const failure& why, const boost::source_location&)
{
    throw boost::system::system_error(why.code, why.what);
}

// A value, or the reason why there is none. `outcome<>` is success, or the reason.
template <class T = void>
using outcome = boost::system::result<T, failure>;

// What an exception says, for a log.
[[nodiscard]] inline std::string text_of_exception(const std::exception_ptr& thrown)
{
    try {
        std::rethrow_exception(thrown);
    } catch (const std::exception& each) {
        return each.what();
    } catch (...) {
        return "an exception that is no std::exception";
    }
}

}

namespace boost::system {
template <>
struct is_error_code_enum<alos::errc> : std::true_type {};
}

#endif
