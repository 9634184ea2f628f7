// Certificates of a running server: added, replaced and removed by domain while connections go on.
#ifndef ALOS_CERT_REGISTRY_HPP
#define ALOS_CERT_REGISTRY_HPP

#include <alos/cert/listed.hpp>
#include <alos/cert/self_signed.hpp>
#include <alos/cert/store.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace alos::inline v0::cert {

// Credentials that were made elsewhere, each with the domain it is to be stored under.
using named_credentials = std::vector<std::pair<std::string, credential_ptr>>;

// One certificate in a server's settings.
struct file_settings {
    std::string domain; // empty: the first name in the certificate
    std::string cert_file;
    std::string key_file;   // empty: the key is in cert_file
    std::string passphrase; // of an encrypted key
};

// All members may be called from any thread. What fails changes nothing: the old certificates go on serving.
// Handshakes that have begun keep the certificate they found.
class registry {
public:
    // Told in one line what will keep clients away though it can be served: expired, not yet valid, another name. It
    // must not call this registry's writing members.
    using warning_handler = std::function<void(std::string_view)>;
    using clock = std::function<system_time()>;

    explicit registry(warning_handler warn = {}, clock now = std::chrono::system_clock::now)
        : warn_(std::move(warn)), now_(std::move(now))
    {
    }

    // Where handshakes look. Valid as long as this registry.
    [[nodiscard]] const store& served() const noexcept { return store_; }

    // Adds a certificate. One of the same key type under the same domain is replaced; ECDSA and RSA stand side by
    // side.
    [[nodiscard]] outcome<> add_cert(std::string_view domain, std::string_view cert_pem, std::string_view key_pem,
                       std::string_view passphrase = {})
    {
        return put_pem(domain, cert_pem, key_pem, {.passphrase = passphrase}, action::add);
    }

    [[nodiscard]] outcome<> add_certs(std::string_view domain, std::string_view cert_pem, std::string_view key_pem,
                        std::string_view passphrase = {})
    {
        return add_cert(domain, cert_pem, key_pem, passphrase);
    }

    // `key_file` may be empty or the same file when it has both.
    [[nodiscard]] outcome<> add_cert_from_files(std::string_view domain, const std::string& cert_file,
                                                const std::string& key_file, std::string_view passphrase = {})
    {
        return put_files(domain, cert_file, key_file, passphrase, action::add);
    }

    // Adds a new self-signed one, in memory only.
    [[nodiscard]] outcome<> add_self_signed_cert(std::string_view domain)
    {
        const auto made = make_self_signed({std::string(domain)}, now_());
        if (!made)
            return made.error();
        return put_pem(domain, made->certificate, as_text(made->key), {.from = source::self_signed}, action::add);
    }

    // Replaces the certificate of the same key type under this domain, or all under it when there is none of that
    // type.
    [[nodiscard]] outcome<> update_cert(std::string_view domain, std::string_view cert_pem, std::string_view key_pem,
                          std::string_view passphrase = {})
    {
        return put_pem(domain, cert_pem, key_pem, {.passphrase = passphrase}, action::update);
    }

    [[nodiscard]] outcome<> reload_cert(std::string_view domain, const std::string& cert_file,
                                        const std::string& key_file, std::string_view passphrase = {})
    {
        return put_files(domain, cert_file, key_file, passphrase, action::update);
    }

    // Removes everything under this domain. When it was the default, the first one stored is.
    [[nodiscard]] outcome<> remove_cert(std::string_view domain)
    {
        return change(domain, [](state& next, const std::string& spelled) -> outcome<> {
            if (std::erase_if(next.entries, [&](const entry& one) { return one.domain == spelled; }) == 0)
                return unknown(spelled);
            if (next.default_domain == spelled)
                next.default_domain.clear();
            return {};
        });
    }

    // What clients get that ask for no name, or for an unknown one.
    [[nodiscard]] outcome<> set_default_cert(std::string_view domain)
    {
        return change(domain, [](state& next, const std::string& spelled) -> outcome<> {
            if (!find(next.entries, spelled))
                return unknown(spelled);
            next.default_domain = spelled;
            return {};
        });
    }

    // In the order they were stored.
    [[nodiscard]] std::vector<listed_certificate> list_certs() const
    {
        const auto now = now_();
        const auto current = store_.load();
        std::vector<listed_certificate> list;
        for (const entry& one : current->entries())
            for (const credential_ptr& each : one.credentials)
                list.push_back(describe(one.domain, *each, now, one.domain == current->default_domain()));
        return list;
    }

    // Adds or replaces a credential that was made elsewhere: by ACME, or with a key in an HSM.
    [[nodiscard]] outcome<> add_credential(std::string_view domain, credential_ptr made)
    {
        return add_credentials({{std::string(domain), std::move(made)}});
    }

    // The same for many: all of them at one moment, or none.
    [[nodiscard]] outcome<> add_credentials(named_credentials made)
    {
        const std::lock_guard lock(mutex_);
        state next = state_;
        if (auto done = place_all(next, std::move(made)); !done)
            return done;
        publish(std::move(next));
        return {};
    }

    // Removes this one; what else is stored under the domain stays. One that is not there is removed already.
    [[nodiscard]] outcome<> remove_credential(std::string_view domain, const credential_ptr& made)
    {
        return change(domain, [&](state& next, const std::string& spelled) -> outcome<> {
            if (entry* home = find(next.entries, spelled))
                std::erase(home->credentials, made);
            std::erase_if(next.entries, [](const entry& one) { return one.credentials.empty(); });
            return {};
        });
    }

    // A certificate for one tls-alpn-01 challenge (RFC 8737 3); null takes it away. That for an address has the name
    // that clients send for it: 1.2.0.192.in-addr.arpa (RFC 8738 6).
    [[nodiscard]] outcome<> set_challenge(std::string_view domain, credential_ptr made)
    {
        return set_challenges({{std::string(domain), std::move(made)}});
    }

    // The same for several, at one moment.
    [[nodiscard]] outcome<> set_challenges(named_credentials made)
    {
        const std::lock_guard lock(mutex_);
        state next = state_;
        for (auto& [domain, each] : made) {
            const auto spelled = parse_domain(domain);
            if (!spelled)
                return bad_name(domain);
            std::erase_if(next.challenges, [&](const entry& one) { return one.domain == *spelled; });
            if (each)
                next.challenges.push_back({*spelled, {std::move(each)}});
        }
        publish(std::move(next));
        return {};
    }

    // Whether clients that ask for this domain get the alert unrecognized_name (RFC 6066 3) instead of the default
    // certificate, as long as there is none for it.
    [[nodiscard]] outcome<> refuse(std::string_view domain, bool refused)
    {
        return refuse(std::vector{std::string(domain)}, refused);
    }

    // The same for several, at one moment.
    [[nodiscard]] outcome<> refuse(const std::vector<std::string>& domains, bool refused)
    {
        const std::lock_guard lock(mutex_);
        state next = state_;
        for (const std::string& domain : domains) {
            const auto spelled = parse_domain(domain);
            if (!spelled)
                return bad_name(domain);
            if (refused)
                next.refused.insert(*spelled);
            else
                next.refused.erase(*spelled);
        }
        publish(std::move(next));
        return {};
    }

    // Loads what settings name, all of it or nothing, and makes `default_domain` the default unless it is empty.
    [[nodiscard]] outcome<> add_files(const std::vector<file_settings>& files, std::string_view default_domain = {})
    {
        named_credentials loaded;
        for (const file_settings& one : files) {
            auto made = load_files(one.domain, one.cert_file, one.key_file, one.passphrase);
            if (!made)
                return made.error();
            std::string domain = one.domain.empty() ? first_name(**made) : one.domain;
            loaded.emplace_back(std::move(domain), std::move(*made));
        }
        const std::lock_guard lock(mutex_);
        state next = state_;
        if (auto done = place_all(next, std::move(loaded)); !done)
            return done;
        if (!default_domain.empty()) {
            const auto spelled = parse_domain(default_domain);
            if (!spelled || !find(next.entries, *spelled))
                return failure{errc::unknown_name,
                               "default_domain is '" + std::string(default_domain)
                                   + "', but no certificate is stored under it; name one that is"};
            next.default_domain = *spelled;
        }
        publish(std::move(next));
        return {};
    }

    // Serves the self-signed certificate in the files for these domains, and makes it when there is none.
    [[nodiscard]] outcome<> add_kept_self_signed(const std::vector<std::string>& domains,
                                                 const self_signed_files& files = {})
    {
        const auto kept = ensure_self_signed(domains, now_(), files);
        if (!kept)
            return kept.error();
        if (!kept->warning.empty())
            warn(kept->warning);
        return put(domains.empty() ? first_name(*kept->credential) : domains.front(), kept->credential, action::add);
    }

private:
    enum class action { add, update };

    struct state {
        std::vector<entry> entries;
        std::vector<entry> challenges;
        std::set<std::string> refused;
        std::string default_domain;
    };

    static failure bad_name(std::string_view domain)
    {
        return {errc::bad_name,
                "'" + std::string(domain)
                    + "' is not a name that a certificate can be stored under; write a host name like www.example.com "
                      "(other alphabets as xn-- labels), *.example.com, or an IP address"};
    }

    static failure unknown(std::string_view domain)
    {
        return {errc::unknown_name,
                std::string(domain)
                    + ": no certificate is stored under this domain; list_certs() has those that are, add_cert() adds "
                      "one"};
    }

    static failure with_domain(std::string_view domain, failure why)
    {
        if (!domain.empty())
            why.what = std::string(domain) + ": " + why.what;
        return why;
    }

    static entry* find(std::vector<entry>& entries, std::string_view domain)
    {
        const auto found = std::ranges::find(entries, domain, &entry::domain);
        return found == entries.end() ? nullptr : &*found;
    }

    // The name that a certificate is stored under when settings give none.
    static std::string first_name(const credential& one)
    {
        if (!one.about.names.empty())
            return one.about.names.front();
        return one.about.addresses.empty() ? "default" : one.about.addresses.front();
    }

    [[nodiscard]] outcome<credential_ptr> load_files(std::string_view domain, const std::string& cert_file,
                                       const std::string& key_file, std::string_view passphrase) const
    {
        const auto certificate = read_pem_file(cert_file);
        if (!certificate)
            return with_domain(domain, certificate.error());
        const bool one_file = key_file.empty() || key_file == cert_file;
        auto key = one_file ? outcome<secret_text>(secret_text()) : read_pem_file(key_file);
        if (!key)
            return with_domain(domain, key.error());
        auto made = make_credential(as_text(*certificate), as_text(*key),
                                    {.passphrase = passphrase,
                                     .certificate_file = cert_file,
                                     .key_file = one_file ? std::string_view{} : std::string_view(key_file)});
        if (!made)
            return with_domain(domain, made.error());
        return made;
    }

    [[nodiscard]] outcome<> put_files(std::string_view domain, const std::string& cert_file,
                                      const std::string& key_file, std::string_view passphrase, action how)
    {
        auto made = load_files(domain, cert_file, key_file, passphrase);
        if (!made)
            return made.error();
        return put(domain, std::move(*made), how);
    }

    [[nodiscard]] outcome<> put_pem(std::string_view domain, std::string_view cert_pem, std::string_view key_pem,
                      const load_options& options, action how)
    {
        auto made = make_credential(cert_pem, key_pem, options);
        if (!made)
            return with_domain(domain, made.error());
        return put(domain, std::move(*made), how);
    }

    [[nodiscard]] outcome<> put(std::string_view domain, credential_ptr made, action how)
    {
        return change(domain, [&](state& next, const std::string& spelled) -> outcome<> {
            entry* home = find(next.entries, spelled);
            if (!home && how == action::update)
                return unknown(spelled);
            warn_about(spelled, *made);
            place(home ? *home : next.entries.emplace_back(entry{spelled, {}}), std::move(made), how);
            return {};
        });
    }

    // Many at once, without looking through all domains for each of them.
    [[nodiscard]] outcome<> place_all(state& next, named_credentials made) const
    {
        std::map<std::string, std::size_t, std::less<>> homes;
        for (std::size_t i = 0; i < next.entries.size(); ++i)
            homes.try_emplace(next.entries[i].domain, i);
        for (auto& [domain, each] : made) {
            const auto spelled = parse_domain(domain);
            if (!spelled)
                return bad_name(domain);
            if (!each)
                return failure{errc::bad_configuration, "there is no credential to be added for " + domain};
            warn_about(*spelled, *each);
            const auto [home, is_new] = homes.try_emplace(*spelled, next.entries.size());
            if (is_new)
                next.entries.push_back({*spelled, {}});
            place(next.entries[home->second], std::move(each), action::add);
        }
        return {};
    }

    static void place(entry& home, credential_ptr made, action how)
    {
        // What only stood in for the certificate that has come now would be chosen by who likes its key better.
        if (made->from == source::acme)
            std::erase_if(home.credentials, [](const credential_ptr& one) { return one->from == source::self_signed; });
        const auto same = std::ranges::find_if(home.credentials, [&](const credential_ptr& one) {
            return key_family(one->about) == key_family(made->about);
        });
        if (same != home.credentials.end()) {
            *same = std::move(made);
            return;
        }
        if (how == action::update)
            home.credentials.clear();
        home.credentials.push_back(std::move(made));
    }

    // Applies `edit` to a copy of the state and serves that, unless it fails.
    template <class Edit>
    [[nodiscard]] outcome<> change(std::string_view domain, Edit edit)
    {
        const auto spelled = parse_domain(domain);
        if (!spelled)
            return bad_name(domain);
        const std::lock_guard lock(mutex_);
        state next = state_;
        if (auto done = edit(next, *spelled); !done)
            return done;
        publish(std::move(next));
        return {};
    }

    void publish(state next)
    {
        store_.publish(
            std::make_shared<const snapshot>(next.entries, next.default_domain, next.challenges, next.refused));
        state_ = std::move(next);
    }

    void warn(std::string_view what) const
    {
        if (warn_)
            warn_(what);
    }

    void warn_about(const std::string& domain, const credential& one) const
    {
        const listed_certificate line = describe(domain, one, now_(), false);
        const std::string it = domain + ": the certificate (" + line.subject + ") ";
        if (line.is_expired)
            warn(it + "has expired; clients will refuse it until it is renewed");
        if (line.is_not_yet_valid)
            warn(it + "is not valid yet; check the clock of this machine");
        if (!line.names_its_domain)
            warn(it + "does not name this domain; clients that ask for it will refuse the certificate");
    }

    const warning_handler warn_;
    const clock now_;
    std::mutex mutex_; // of writers; handshakes and list_certs() read the store
    state state_;
    store store_;
};

}

#endif
