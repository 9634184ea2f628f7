// Alerts (RFC 8446 6), and the errors that cause them: every way to break the protocol has one errc, and every errc
// has exactly one alert. The table below is the only place where the two meet.
#ifndef ALOS_TLS13_ALERT_HPP
#define ALOS_TLS13_ALERT_HPP

#include <alos/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace alos::inline v0::tls13 {

// RFC 8446 B.2. As an error_code: the alert that the peer sent.
enum class alert : std::uint8_t {
    close_notify = 0,
    unexpected_message = 10,
    bad_record_mac = 20,
    record_overflow = 22,
    handshake_failure = 40,
    bad_certificate = 42,
    unsupported_certificate = 43,
    certificate_revoked = 44,
    certificate_expired = 45,
    certificate_unknown = 46,
    illegal_parameter = 47,
    unknown_ca = 48,
    access_denied = 49,
    decode_error = 50,
    decrypt_error = 51,
    protocol_version = 70,
    insufficient_security = 71,
    internal_error = 80,
    inappropriate_fallback = 86,
    user_canceled = 90,
    missing_extension = 109,
    unsupported_extension = 110,
    unrecognized_name = 112,
    bad_certificate_status_response = 113,
    unknown_psk_identity = 115,
    certificate_required = 116,
    no_application_protocol = 120,
};

enum class alert_level : std::uint8_t { warning = 1, fatal = 2 };

[[nodiscard]] constexpr std::string_view name_of(alert description) noexcept
{
    switch (description) {
    case alert::close_notify: return "close_notify";
    case alert::unexpected_message: return "unexpected_message";
    case alert::bad_record_mac: return "bad_record_mac";
    case alert::record_overflow: return "record_overflow";
    case alert::handshake_failure: return "handshake_failure";
    case alert::bad_certificate: return "bad_certificate";
    case alert::unsupported_certificate: return "unsupported_certificate";
    case alert::certificate_revoked: return "certificate_revoked";
    case alert::certificate_expired: return "certificate_expired";
    case alert::certificate_unknown: return "certificate_unknown";
    case alert::illegal_parameter: return "illegal_parameter";
    case alert::unknown_ca: return "unknown_ca";
    case alert::access_denied: return "access_denied";
    case alert::decode_error: return "decode_error";
    case alert::decrypt_error: return "decrypt_error";
    case alert::protocol_version: return "protocol_version";
    case alert::insufficient_security: return "insufficient_security";
    case alert::internal_error: return "internal_error";
    case alert::inappropriate_fallback: return "inappropriate_fallback";
    case alert::user_canceled: return "user_canceled";
    case alert::missing_extension: return "missing_extension";
    case alert::unsupported_extension: return "unsupported_extension";
    case alert::unrecognized_name: return "unrecognized_name";
    case alert::bad_certificate_status_response: return "bad_certificate_status_response";
    case alert::unknown_psk_identity: return "unknown_psk_identity";
    case alert::certificate_required: return "certificate_required";
    case alert::no_application_protocol: return "no_application_protocol";
    }
    return "unknown alert";
}

// How a peer can break the protocol, or how the two sides can fail to agree. 0 is success.
enum class errc {
    none = 0,
    // records (RFC 8446 5)
    not_tls,
    http_request,
    unknown_content_type,
    record_too_long,
    plaintext_too_long,
    bad_record_mac,
    no_content_type,
    empty_handshake_record,
    empty_alert_record,
    too_many_empty_records,
    unprotected_record,
    bad_change_cipher_spec,
    unexpected_change_cipher_spec,
    too_many_change_cipher_specs,
    unexpected_application_data,
    interleaved_handshake,
    keys_within_record,
    too_much_early_data,
    // alerts (6)
    bad_alert,
    bad_alert_level,
    warning_alert,
    too_many_warning_alerts,
    // handshake messages (4)
    unexpected_handshake_message,
    handshake_message_too_long,
    message_decode,
    // ClientHello (4.1.2, 4.2)
    legacy_version_ssl3,
    tls13_not_offered,
    bad_compression,
    duplicate_extension,
    misplaced_extension,
    extension_decode,
    bad_server_name,
    missing_supported_groups,
    missing_key_share,
    missing_signature_algorithms,
    missing_psk_key_exchange_modes,
    pre_shared_key_not_last,
    psk_binder_count,
    duplicate_key_share,
    key_share_not_in_groups,
    bad_key_share,
    unasked_cookie,
    wrong_cookie,
    // negotiation (4.1.1)
    no_common_suite,
    no_common_group,
    no_common_signature_scheme,
    no_application_protocol,
    no_certificate,
    // HelloRetryRequest (4.1.4)
    second_hello_changed,
    second_hello_wrong_share,
    early_data_after_retry,
    // the rest
    bad_finished,
    bad_key_update,
    too_many_key_updates,
    signature_failed,
    internal_error,
};

struct errc_description {
    errc code;
    alert sent;
    const char* text;
};

// The alert for an error, and the words for it (RFC 8446 6.2).
[[nodiscard]] constexpr errc_description describe(errc code) noexcept
{
    switch (code) {
    case errc::none: return {code, alert::close_notify, "success"};
    case errc::not_tls: return {code, alert::protocol_version, "not a TLS record"};
    case errc::http_request: return {code, alert::unexpected_message, "plain HTTP on a TLS port"};
    case errc::unknown_content_type: return {code, alert::unexpected_message, "unknown content type"};
    case errc::record_too_long: return {code, alert::record_overflow, "record longer than allowed"};
    case errc::plaintext_too_long: return {code, alert::record_overflow, "plaintext longer than 2^14 bytes"};
    case errc::bad_record_mac: return {code, alert::bad_record_mac, "record does not decrypt"};
    case errc::no_content_type: return {code, alert::unexpected_message, "record of nothing but padding"};
    case errc::empty_handshake_record: return {code, alert::unexpected_message, "empty handshake record"};
    case errc::empty_alert_record: return {code, alert::unexpected_message, "empty alert record"};
    case errc::too_many_empty_records: return {code, alert::unexpected_message, "too many empty records"};
    case errc::unprotected_record: return {code, alert::unexpected_message, "unprotected record under keys"};
    case errc::bad_change_cipher_spec: return {code, alert::unexpected_message, "malformed change_cipher_spec"};
    case errc::unexpected_change_cipher_spec:
        return {code, alert::unexpected_message, "change_cipher_spec out of its time"};
    case errc::too_many_change_cipher_specs:
        return {code, alert::unexpected_message, "too many change_cipher_spec records"};
    case errc::unexpected_application_data:
        return {code, alert::unexpected_message, "application data before Finished"};
    case errc::interleaved_handshake:
        return {code, alert::unexpected_message, "record of another type within a handshake message"};
    case errc::keys_within_record:
        return {code, alert::unexpected_message, "handshake data behind a message that changes keys"};
    case errc::too_much_early_data: return {code, alert::unexpected_message, "too much early data to skip"};
    case errc::bad_alert: return {code, alert::decode_error, "alert record is not one alert"};
    case errc::bad_alert_level: return {code, alert::illegal_parameter, "alert level unknown"};
    case errc::warning_alert: return {code, alert::decode_error, "alert of level warning"};
    case errc::too_many_warning_alerts: return {code, alert::decode_error, "too many user_canceled alerts"};
    case errc::unexpected_handshake_message:
        return {code, alert::unexpected_message, "handshake message out of order"};
    case errc::handshake_message_too_long:
        return {code, alert::illegal_parameter, "handshake message longer than the limit"};
    case errc::message_decode: return {code, alert::decode_error, "handshake message malformed"};
    case errc::legacy_version_ssl3: return {code, alert::protocol_version, "client offers SSL 3.0"};
    case errc::tls13_not_offered: return {code, alert::protocol_version, "client does not offer TLS 1.3"};
    case errc::bad_compression:
        return {code, alert::illegal_parameter, "legacy_compression_methods is not just null"};
    case errc::duplicate_extension: return {code, alert::decode_error, "extension appears twice"};
    case errc::misplaced_extension:
        return {code, alert::illegal_parameter, "extension that does not belong into a ClientHello"};
    case errc::extension_decode: return {code, alert::decode_error, "extension malformed"};
    case errc::bad_server_name: return {code, alert::decode_error, "server_name malformed"};
    case errc::missing_supported_groups: return {code, alert::missing_extension, "supported_groups missing"};
    case errc::missing_key_share: return {code, alert::missing_extension, "key_share missing"};
    case errc::missing_signature_algorithms:
        return {code, alert::missing_extension, "signature_algorithms missing"};
    case errc::missing_psk_key_exchange_modes:
        return {code, alert::missing_extension, "pre_shared_key without psk_key_exchange_modes"};
    case errc::pre_shared_key_not_last:
        return {code, alert::illegal_parameter, "pre_shared_key is not the last extension"};
    case errc::psk_binder_count:
        return {code, alert::illegal_parameter, "pre_shared_key has not one binder an identity"};
    case errc::duplicate_key_share: return {code, alert::illegal_parameter, "two key shares for one group"};
    case errc::key_share_not_in_groups:
        return {code, alert::illegal_parameter, "key share for a group outside supported_groups"};
    case errc::bad_key_share: return {code, alert::illegal_parameter, "key share is not valid in its group"};
    case errc::unasked_cookie: return {code, alert::illegal_parameter, "cookie that the server did not send"};
    case errc::wrong_cookie: return {code, alert::illegal_parameter, "cookie missing or changed"};
    case errc::no_common_suite: return {code, alert::handshake_failure, "no cipher suite in common"};
    case errc::no_common_group: return {code, alert::handshake_failure, "no group in common"};
    case errc::no_common_signature_scheme:
        return {code, alert::handshake_failure, "no signature scheme in common with the certificates"};
    case errc::no_application_protocol:
        return {code, alert::no_application_protocol, "no application protocol in common"};
    case errc::no_certificate: return {code, alert::unrecognized_name, "no certificate for this name"};
    case errc::second_hello_changed:
        return {code, alert::illegal_parameter, "second ClientHello differs where it may not"};
    case errc::second_hello_wrong_share:
        return {code, alert::illegal_parameter, "second ClientHello without exactly the share that was asked for"};
    case errc::early_data_after_retry:
        return {code, alert::illegal_parameter, "early_data in the second ClientHello"};
    case errc::bad_finished: return {code, alert::decrypt_error, "Finished does not verify"};
    case errc::bad_key_update: return {code, alert::illegal_parameter, "request_update is neither 0 nor 1"};
    case errc::too_many_key_updates: return {code, alert::unexpected_message, "too many KeyUpdates without data"};
    case errc::signature_failed: return {code, alert::internal_error, "the private key operation failed"};
    case errc::internal_error: return {code, alert::internal_error, "internal error"};
    }
    return {errc::internal_error, alert::internal_error, "unknown error"};
}

class errc_category final : public boost::system::error_category {
public:
    constexpr errc_category() noexcept : boost::system::error_category(0x3ac6c9d6f8ae7711u) {}
    const char* name() const noexcept override { return "tls13"; }
    std::string message(int code) const override { return describe(static_cast<errc>(code)).text; }
};

// The codes of this category are alerts that were received.
class alert_category final : public boost::system::error_category {
public:
    constexpr alert_category() noexcept : boost::system::error_category(0x5be0d7f2a91c4e03u) {}
    const char* name() const noexcept override { return "tls alert"; }
    std::string message(int code) const override
    {
        return "the peer sent the alert " + std::string(name_of(static_cast<alert>(code))) + " (" +
            std::to_string(code) + ")";
    }
    // close_notify is a received alert too, so 0 must not read as success.
    bool failed(int) const noexcept override { return true; }
};

inline const errc_category& tls13_category() noexcept
{
    static constexpr errc_category category;
    return category;
}

inline const alert_category& received_alert_category() noexcept
{
    static constexpr alert_category category;
    return category;
}

// What a decoder gives: a message or a part of one, or how it breaks the protocol.
template <class T>
using decoded = boost::system::result<T, errc>;

inline error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), tls13_category()}; }
inline error_code make_error_code(alert received) noexcept
{
    return {static_cast<int>(received), received_alert_category()};
}

}

namespace boost::system {
template <>
struct is_error_code_enum<alos::tls13::errc> : std::true_type {};
template <>
struct is_error_code_enum<alos::tls13::alert> : std::true_type {};
}

#endif
