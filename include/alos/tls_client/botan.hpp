// The TLS client that asks other servers: Botan's, TLS 1.2 and 1.3, behind the interface of an engine, and whom it
// believes: trust anchors (RFC 5280 6.1) and the server's name in its certificate (RFC 9525).
#ifndef ALOS_TLS_CLIENT_BOTAN_HPP
#define ALOS_TLS_CLIENT_BOTAN_HPP

#include <alos/buffer.hpp>
#include <alos/cert/names.hpp>
#include <alos/crypto/botan_x509.hpp>
#include <alos/tls13/engine.hpp>

#include <botan/certstor.h>
#include <botan/certstor_flatfile.h>
#include <botan/certstor_system.h>
#include <botan/credentials_manager.h>
#include <botan/data_src.h>
#include <botan/system_rng.h>
#include <botan/tls_alert.h>
#include <botan/tls_callbacks.h>
#include <botan/tls_client.h>
#include <botan/tls_exceptn.h>
#include <botan/tls_policy.h>
#include <botan/tls_server_info.h>
#include <botan/tls_session_manager_noop.h>
#include <botan/x509cert.h>
#include <botan/x509path.h>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::tls_client {

enum class errc {
    untrusted = 1, // no trust anchor stands behind the server's certificate
    expired,
    not_yet_valid,
    wrong_name,      // the certificate is for other names
    bad_certificate, // it breaks another rule of RFC 5280
    protocol,        // the server broke the protocol, or the two sides have nothing in common
};

class error_category final : public boost::system::error_category {
public:
    constexpr error_category() noexcept : boost::system::error_category(0x2f96d3c8b14ae075u) {}
    const char* name() const noexcept override { return "alos.tls_client"; }
    std::string message(int code) const override
    {
        switch (static_cast<errc>(code)) {
        case errc::untrusted: return "no trusted authority issued the server's certificate";
        case errc::expired: return "the server's certificate has expired";
        case errc::not_yet_valid: return "the server's certificate is not valid yet";
        case errc::wrong_name: return "the server's certificate is for another name";
        case errc::bad_certificate: return "the server's certificate is not acceptable";
        case errc::protocol: return "the TLS handshake failed";
        }
        return "unknown error";
    }
};

inline const error_category& tls_client_category() noexcept
{
    static constexpr error_category category;
    return category;
}

inline error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), tls_client_category()}; }

}

namespace boost::system {
template <>
struct is_error_code_enum<alos::tls_client::errc> : std::true_type {};
}

namespace alos::inline v0::tls_client {

// Certificates of authorities that are believed. Immutable, and shared by engines of all threads.
class trust_anchors {
public:
    explicit trust_anchors(std::vector<std::shared_ptr<Botan::Certificate_Store>> stores) : stores_(std::move(stores))
    {
    }

    [[nodiscard]] std::vector<Botan::Certificate_Store*> stores() const
    {
        std::vector<Botan::Certificate_Store*> pointers;
        for (const auto& each : stores_)
            pointers.push_back(each.get());
        return pointers;
    }

private:
    std::vector<std::shared_ptr<Botan::Certificate_Store>> stores_;
};

using trust_anchors_ptr = std::shared_ptr<const trust_anchors>;

namespace detail {

inline outcome<std::shared_ptr<Botan::Certificate_Store>> read_system_store()
{
    std::string why;
    // Debian, Fedora, SUSE, Alpine.
    for (const char* path : {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                             "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}) {
        try {
            if (::access(path, R_OK) == 0)
                return std::make_shared<Botan::Flatfile_Certificate_Store>(path, true);
        } catch (const std::exception& thrown) {
            why = std::string(path) + ": " + thrown.what();
        }
    }
    try {
        return std::make_shared<Botan::System_Certificate_Store>();
    } catch (const std::exception& thrown) {
        if (why.empty())
            why = thrown.what();
    }
    return failure{alos::errc::bad_configuration,
                   "the system's certificates of authorities cannot be read (" + why
                       + "); install the package ca-certificates, or name the authorities yourself"};
}

// What `read` returns the first time that it succeeds, kept in `known`.
template <class Read>
outcome<std::shared_ptr<Botan::Certificate_Store>>
read_until_there(std::atomic<std::shared_ptr<Botan::Certificate_Store>>& known, Read read)
{
    if (auto store = known.load())
        return store;
    auto store = read();
    if (store)
        known = *store;
    return store;
}

inline outcome<std::shared_ptr<Botan::Certificate_Store>> system_store()
{
    static std::atomic<std::shared_ptr<Botan::Certificate_Store>> known;
    return read_until_there(known, &read_system_store);
}

}

// The certificates in `roots_pem`, at most max_pem_blocks, and, if `system_roots`, those of the operating system. Reads
// files; call it where that may take a moment. The system's are read until that has succeeded once, and are then those
// of that moment as long as the process lives.
[[nodiscard]] inline outcome<trust_anchors_ptr> load_trust_anchors(std::string_view roots_pem, bool system_roots)
{
    std::vector<std::shared_ptr<Botan::Certificate_Store>> stores;
    if (!roots_pem.empty()) {
        const auto blocks = parse_pem(roots_pem);
        if (!blocks)
            return failure{blocks.error().code, "the authorities to trust: " + blocks.error().what};
        auto store = std::make_shared<Botan::Certificate_Store_In_Memory>();
        for (const pem_block& block : *blocks) {
            const auto der = decode_pem(block);
            try {
                if (block.label != "CERTIFICATE" || !der)
                    throw std::invalid_argument("block of another kind");
                store->add_certificate(Botan::X509_Certificate(der->data(), der->size()));
            } catch (const std::exception&) {
                return failure{alos::errc::bad_certificate,
                               "the authorities to trust: a block in their PEM text is no certificate; give "
                               "certificates only"};
            }
        }
        stores.push_back(std::move(store));
    }
    if (system_roots) {
        auto store = detail::system_store();
        if (!store)
            return store.error();
        stores.push_back(std::move(*store));
    }
    return std::make_shared<const trust_anchors>(std::move(stores));
}

// RFC 9525 6: whether the certificate is for this host name or IP address, by its subjectAltName alone. A wildcard is
// the whole first label.
[[nodiscard]] inline bool is_for(const certificate& leaf, std::string_view server_name)
{
    if (const cert::ip_address address(server_name); !address.empty()) {
        return std::ranges::any_of(leaf.addresses, [&](byte_view each) {
            return equal(cert::ip_address(each).bytes(), address.bytes());
        });
    }
    const cert::host_name wanted(server_name);
    return !wanted.empty() && std::ranges::any_of(leaf.dns_names, [&](std::string_view each) {
        if (!each.starts_with("*."))
            return cert::host_name(each).text() == wanted.text();
        const cert::host_name parent(each.substr(2));
        return !parent.empty() && parent.text() == cert::parent_of(wanted.text());
    });
}

struct options {
    std::string server_name{};             // a host name, which is sent (RFC 6066 3), or an IP address, which is not
    std::vector<std::string> alpn{};       // offered, best first (RFC 7301)
    trust_anchors_ptr authorities{};       // null: nobody
    system_time now{};                     // certificates are judged by it
    bool verify = true;                    // false: any certificate will do; only to look at it
};

namespace detail {

class policy final : public Botan::TLS::Policy {
public:
    bool allow_tls12() const override { return true; }
    bool allow_tls13() const override { return true; }
    bool allow_dtls12() const override { return false; }
    std::vector<std::string> allowed_ciphers() const override
    {
        return {"AES-256/GCM", "AES-128/GCM", "ChaCha20Poly1305"};
    }
    std::vector<std::string> allowed_key_exchange_methods() const override { return {"ECDH"}; }
    bool allow_server_initiated_renegotiation() const override { return false; }
    bool require_cert_revocation_info() const override { return false; }
    bool support_cert_status_message() const override { return false; }
    std::size_t maximum_certificate_chain_size() const override { return 64 * 1024; }
};

// What Botan calls, and what it left there.
class callbacks final : public Botan::TLS::Callbacks {
public:
    explicit callbacks(options given) : settings(std::move(given)) {}

    void tls_emit_data(std::span<const std::uint8_t> data) override { queued.append(data); }
    void tls_record_received(std::uint64_t, std::span<const std::uint8_t> data) override { received.append(data); }
    void tls_session_activated() override { connected = true; }

    void tls_alert(Botan::TLS::Alert alert) override
    {
        const auto description = static_cast<tls13::alert>(alert.type());
        if (!error && (alert.is_fatal() || description == tls13::alert::close_notify))
            error = description;
    }

    bool tls_peer_closed_connection() override
    {
        if (!error)
            error = tls13::alert::close_notify;
        return false;
    }

    void tls_verify_cert_chain(const std::vector<Botan::X509_Certificate>& chain,
                               const std::vector<std::optional<Botan::OCSP::Response>>&,
                               const std::vector<Botan::Certificate_Store*>&, Botan::Usage_Type usage, std::string_view,
                               const Botan::TLS::Policy& policy) override
    {
        if (chain.empty())
            refuse(errc::bad_certificate, "it showed none", Botan::TLS::AlertType::BadCertificate);
        leaf = chain.front().BER_encode();
        if (!settings.verify)
            return;
        if (!settings.authorities)
            refuse(errc::untrusted, "no authority is trusted", Botan::TLS::AlertType::UnknownCA);
        const Botan::Path_Validation_Restrictions restrictions(false, policy.minimum_signature_strength());
        const auto path = Botan::x509_path_validate(chain, restrictions, settings.authorities->stores(), "", usage,
                                                    settings.now);
        if (!path.successful_validation())
            refuse(path.result(), path.result_string(), chain.front());
        const auto parsed = parse_certificate(leaf);
        if (!parsed)
            refuse(errc::bad_certificate, parsed.error().message(), Botan::TLS::AlertType::BadCertificate);
        if (!is_for(*parsed, settings.server_name))
            refuse(errc::wrong_name, names_in(*parsed), Botan::TLS::AlertType::BadCertificate);
    }

    const options settings;
    buffer received; // plaintext
    buffer queued;   // to be sent
    byte_vector leaf;
    error_code error;
    std::string detail; // more about the error
    bool connected = false;

private:
    [[noreturn]] void refuse(errc code, std::string text, Botan::TLS::AlertType alert)
    {
        error = code;
        detail = std::move(text);
        throw Botan::TLS::TLS_Exception(alert, detail);
    }

    [[noreturn]] void refuse(Botan::Certificate_Status_Code status, std::string text,
                             const Botan::X509_Certificate& first)
    {
        using Botan::TLS::AlertType;
        using code = Botan::Certificate_Status_Code;
        if (status == code::CERT_HAS_EXPIRED)
            refuse(errc::expired, text + ": on " + first.not_after().readable_string(), AlertType::CertificateExpired);
        if (status == code::CERT_NOT_YET_VALID)
            refuse(errc::not_yet_valid, text + ": before " + first.not_before().readable_string(),
                   AlertType::CertificateExpired);
        if (status >= code::CERT_ISSUER_NOT_FOUND && status < code::POLICY_ERROR)
            refuse(errc::untrusted, text + ": issued by " + first.issuer_dn().to_string(), AlertType::UnknownCA);
        refuse(errc::bad_certificate, text, AlertType::BadCertificate);
    }

    static std::string names_in(const certificate& leaf)
    {
        std::string names;
        for (const std::string_view each : leaf.dns_names)
            names += (names.empty() ? "" : ", ") + std::string(each.substr(0, cert::max_name_size));
        for (const byte_view each : leaf.addresses)
            names += (names.empty() ? "" : ", ") + cert::ip_address(each).text();
        constexpr std::size_t most = 300;
        if (names.size() > most)
            names = names.substr(0, most) + "...";
        return "it is for " + (names.empty() ? "no name at all" : names);
    }
};

}

// A tls13::engine that starts by itself: its ClientHello is in the output from the beginning.
class engine {
public:
    explicit engine(options settings) : calls_(std::make_shared<detail::callbacks>(std::move(settings)))
    {
        guard([this] {
            const std::string& name = calls_->settings.server_name;
            const bool is_name = cert::ip_address(name).empty();
            client_ = std::make_unique<Botan::TLS::Client>(
                calls_, std::make_shared<Botan::TLS::Session_Manager_Noop>(),
                std::make_shared<Botan::Credentials_Manager>(), std::make_shared<detail::policy>(),
                std::make_shared<Botan::System_RNG>(), Botan::TLS::Server_Information(is_name ? name : std::string()),
                Botan::TLS::Protocol_Version::TLS_V13, calls_->settings.alpn);
        });
    }

    [[nodiscard]] byte_span prepare(std::size_t wanted) { return input_.prepare(wanted); }
    void commit(std::size_t size) noexcept { input_.commit(size); }
    void end_of_input() noexcept { ended_ = true; }

    [[nodiscard]] byte_view plaintext()
    {
        if (calls_->received.empty() && wants() == tls13::want::input) {
            if (!input_.empty()) {
                guard([this] { client_->from_peer(std::as_const(input_).data()); });
                input_.consume(input_.size());
            }
            if (ended_ && calls_->received.empty() && !calls_->error)
                calls_->error = alos::errc::truncated;
        }
        return std::as_const(calls_->received).data();
    }

    void consume(std::size_t size) noexcept { calls_->received.consume(size); }

    [[nodiscard]] std::size_t write(byte_view data)
    {
        const std::size_t waiting = output_size();
        if (!is_connected() || closed_ || is_failed() || waiting >= most_waiting)
            return 0;
        const byte_view taken = data.first(std::min(data.size(), most_waiting - waiting));
        guard([&] { client_->to_peer(taken); });
        return is_failed() ? 0 : taken.size();
    }

    [[nodiscard]] bool has_output() const noexcept { return output_size() > 0; }
    [[nodiscard]] std::size_t output_size() const noexcept { return sending_.size() + calls_->queued.size(); }

    // Two buffers: what is being sent does not move while more is written.
    [[nodiscard]] byte_view output() noexcept
    {
        if (sending_.empty())
            sending_.swap(calls_->queued);
        return std::as_const(sending_).data();
    }

    void consume_output(std::size_t size) noexcept { sending_.consume(size); }

    // What was decrypted before the end is read first.
    [[nodiscard]] tls13::want wants() const noexcept
    {
        return calls_->error ? tls13::want::nothing : tls13::want::input;
    }

    // Why reading is over: the alert that came, what this side found (tls_client::errc, explained by explanation()), or
    // alos::errc::truncated.
    [[nodiscard]] error_code error() const noexcept { return calls_->error; }

    // What is known about the error beyond its message; may be empty.
    [[nodiscard]] const std::string& explanation() const noexcept { return calls_->detail; }

    [[nodiscard]] bool is_connected() const noexcept { return calls_->connected; }
    [[nodiscard]] bool is_failed() const noexcept
    {
        const error_code& ec = calls_->error;
        return ec && ec != tls13::alert::close_notify && ec != alos::errc::truncated;
    }

    // The server's own certificate in DER, as soon as it was seen; empty before.
    [[nodiscard]] byte_view leaf() const noexcept { return calls_->leaf; }

    // The protocol that the server chose (RFC 7301); empty if none.
    [[nodiscard]] std::string application_protocol() const
    {
        return is_connected() ? client_->application_protocol() : std::string();
    }

    void close()
    {
        if (std::exchange(closed_, true) || is_failed())
            return;
        guard([this] {
            if (!client_->is_closed_for_writing())
                client_->close();
        });
    }

    std::size_t discard_input() noexcept
    {
        const std::size_t size = input_.size();
        input_.consume(size);
        return size;
    }

    void release() noexcept
    {
        for (buffer* each : {&input_, &sending_, &calls_->queued, &calls_->received}) {
            if (each->empty())
                each->release();
        }
    }

    void pause() const noexcept {}

private:
    static constexpr std::size_t most_waiting = 256 * 1024;

    // Botan has queued the alert when it throws.
    template <class Work>
    void guard(Work work)
    {
        try {
            work();
            return;
        } catch (const std::bad_alloc&) {
            throw;
        } catch (const std::exception& thrown) {
            if (!calls_->error)
                calls_->detail = thrown.what();
        }
        if (!calls_->error)
            calls_->error = errc::protocol;
    }

    std::shared_ptr<detail::callbacks> calls_;
    std::unique_ptr<Botan::TLS::Client> client_; // null when Botan refused the options
    buffer input_;
    buffer sending_;
    bool ended_ = false;
    bool closed_ = false;
};

static_assert(tls13::engine<engine>);

}

#endif
