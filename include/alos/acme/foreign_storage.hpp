// Certificates that certbot and lego keep in their folders: read, never written.
//   certbot: live/<name>/{fullchain.pem,privkey.pem}
//   lego: certificates/<name>.crt, <name>.key, <name>.issuer.crt
#ifndef ALOS_ACME_FOREIGN_STORAGE_HPP
#define ALOS_ACME_FOREIGN_STORAGE_HPP

#include <alos/cert/load.hpp>
#include <alos/crypto/botan_x509.hpp>
#include <alos/os/file_system.hpp>

#include <boost/system/errc.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

inline constexpr std::size_t max_foreign_certificates = 10000;

struct foreign_certificate {
    std::string name; // what its owner calls it; what it is for stands in the certificate
    cert::credential_ptr credential;
    std::array<std::uint8_t, 32> chain_digest{}; // SHA-256 of the text that it was made of
    std::array<std::uint8_t, 32> key_digest{};
};

using foreign_map = std::map<std::string, foreign_certificate>; // by name

struct foreign_certificates {
    std::vector<foreign_certificate> found;
    std::vector<std::string> skipped; // for each that cannot be used, a sentence that says why
    std::optional<std::set<std::string>> names; // of all that are there, in use or not; nothing: nobody can tell
};

namespace detail {

inline bool is_folder(os::file_system& files, const std::string& path)
{
    // Note: the folder may be a link; listing follows it.
    return files.list(path).has_value();
}

// Whether it is there, but may not be listed.
inline bool is_closed_folder(os::file_system& files, const std::string& path)
{
    const auto listed = files.list(path);
    if (listed || listed.error() != boost::system::errc::permission_denied)
        return false;
    const auto about = files.stat(path);
    return about && about->type == os::file_type::directory;
}

inline std::string cannot_be_read(const std::string& path, const error_code& why)
{
    std::string said = path + ": cannot be read: " + why.message();
    if (why == boost::system::errc::permission_denied)
        said += "; run as a user that may, or let a deploy hook copy what is there to a folder that this one may read";
    return said;
}

// Names from a folder go into logs.
inline bool is_plain_name(std::string_view name) noexcept
{
    const auto is_plain = [](char c) { return c > ' ' && c < '\x7f' && c != '/'; };
    return !name.empty() && !name.starts_with('.') && std::ranges::all_of(name, is_plain);
}

inline std::vector<std::string> plain_names(os::file_system& files, const std::string& folder)
{
    auto names = files.list(folder);
    if (!names)
        return {};
    std::erase_if(*names, [](const std::string& name) { return !is_plain_name(name); });
    return std::move(*names);
}

inline constexpr std::string_view lego_chain = ".crt";
inline constexpr std::string_view lego_issuer = ".issuer.crt";

inline bool is_lego_chain(std::string_view name) noexcept
{
    return name.size() > lego_chain.size() && name.ends_with(lego_chain) && !name.ends_with(lego_issuer);
}

// The certificates in a text, or 0 when it is no PEM.
inline std::size_t count_certificates(std::string_view pem)
{
    const auto blocks = parse_pem(pem);
    const auto is_certificate = [](const pem_block& block) { return block.label == "CERTIFICATE"; };
    return blocks ? static_cast<std::size_t>(std::ranges::count_if(*blocks, is_certificate)) : 0;
}

struct foreign_files {
    std::string name;
    std::string chain;
    std::string key;
    std::string issuer; // empty: none
};

// Reads one, or says why it cannot be used.
inline outcome<foreign_certificate> read_foreign_files(os::file_system& files, const foreign_files& where,
                                                       const foreign_map& known)
{
    const auto chain = files.read(where.chain, max_pem_size);
    if (!chain)
        return failure{chain.error(), cannot_be_read(where.chain, chain.error())};
    const auto key = files.read(where.key, max_pem_size);
    if (!key)
        return failure{key.error(), cannot_be_read(where.key, key.error())};
    if (key->empty())
        return failure{errc::bad_pem, where.key + ": it is empty"};
    std::string chain_pem(as_text(*chain));
    if (!where.issuer.empty() && count_certificates(chain_pem) == 1) {
        if (const auto issuer = files.read(where.issuer, max_pem_size)) {
            if (!chain_pem.ends_with('\n'))
                chain_pem += '\n';
            chain_pem += as_text(*issuer);
        }
    }
    const auto chain_digest = sha256_of(as_bytes(chain_pem));
    const auto key_digest = sha256_of(as_bytes(as_text(*key)));
    if (const auto found = known.find(where.name); found != known.end() && found->second.chain_digest == chain_digest
                                                   && found->second.key_digest == key_digest)
        return found->second;
    cert::load_options options;
    options.certificate_file = where.chain;
    options.key_file = where.key;
    auto made = cert::make_credential(chain_pem, as_text(*key), options);
    if (!made)
        return made.error();
    return foreign_certificate{where.name, std::move(*made), chain_digest, key_digest};
}

inline std::vector<foreign_files> find_certbot(os::file_system& files, const std::string& directory)
{
    const std::string live = directory + "/live";
    std::vector<foreign_files> found;
    for (const std::string& name : plain_names(files, live)) {
        const std::string folder = live + '/' + name;
        if (is_folder(files, folder))
            found.push_back({name, folder + "/fullchain.pem", folder + "/privkey.pem", {}});
    }
    return found;
}

inline std::vector<foreign_files> find_lego(os::file_system& files, const std::string& directory)
{
    const std::string folder = directory + "/certificates";
    std::vector<foreign_files> found;
    for (const std::string& file : plain_names(files, folder)) {
        if (!is_lego_chain(file))
            continue;
        const std::string stem = file.substr(0, file.size() - lego_chain.size());
        const std::string path = folder + '/' + stem;
        const std::string name = stem.starts_with("_.") ? "*" + stem.substr(1) : stem;
        found.push_back({name, folder + '/' + file, path + ".key", path + std::string(lego_issuer)});
    }
    return found;
}

// What their owners call the certificates there, those that cannot be read included; nothing when that cannot be told,
// as a folder cannot be listed, or neither is there.
inline std::optional<std::set<std::string>> foreign_names(os::file_system& files, const std::string& directory,
                                                          const std::vector<foreign_files>& found)
{
    const auto certbot = files.list(directory + "/live");
    const auto lego = files.list(directory + "/certificates");
    const auto is_unknown = [](const auto& listed) {
        return !listed && listed.error() != boost::system::errc::no_such_file_or_directory;
    };
    if ((!certbot && !lego) || is_unknown(certbot) || is_unknown(lego))
        return std::nullopt;
    std::set<std::string> names;
    if (certbot)
        names.insert(certbot->begin(), certbot->end());
    for (const foreign_files& one : found)
        names.insert(one.name);
    return names;
}

// Certbot's links in live/<name> lead to ../../archive/<name>.
inline std::string behind_link(os::file_system& files, const std::string& directory, const std::string& path)
{
    constexpr std::string_view up = "../..";
    const auto target = files.read_symlink(path);
    return target && target->starts_with(up) ? directory + target->substr(up.size()) : path;
}

// Whether any user of this machine can read that file below `top`.
inline bool is_open_to_all(os::file_system& files, const std::string& top, const std::string& path)
{
    constexpr ::mode_t may_read = 0004;
    constexpr ::mode_t may_pass = 0001;
    for (std::size_t end = top.size(); end != path.npos; end = path.find('/', end + 1)) {
        const auto folder = files.stat(path.substr(0, end));
        if (!folder || (folder->type == os::file_type::directory && (folder->permissions & may_pass) == 0))
            return false;
    }
    const auto file = files.stat(path);
    return file && file->type == os::file_type::regular && (file->permissions & may_read) != 0;
}

}

// Whether certbot keeps its certificates in that folder, such as /etc/letsencrypt, or will: before the first one, and
// to who may not read it, its folders tell.
[[nodiscard]] inline bool is_certbot(os::file_system& files, const std::string& directory)
{
    const auto has = [&](const char* name) {
        const std::string path = directory + name;
        return detail::is_folder(files, path) || detail::is_closed_folder(files, path);
    };
    // Note: lego has accounts, too; we have account, and none of the others.
    if ((has("/live") || has("/renewal") || has("/renewal-hooks")) && (has("/accounts") || has("/archive")))
        return true;
    const auto has_chain = [&](const detail::foreign_files& one) { return files.stat(one.chain).has_value(); };
    return detail::is_closed_folder(files, directory + "/live")
           || std::ranges::any_of(detail::find_certbot(files, directory), has_chain);
}

// Whether lego keeps its certificates in that folder, which it calls .lego.
[[nodiscard]] inline bool is_lego(os::file_system& files, const std::string& directory)
{
    return !detail::find_lego(files, directory).empty();
}

// The private keys of either that any user can read. Not those for a group: that may be what it is for.
[[nodiscard]] inline std::vector<std::string> open_foreign_keys(os::file_system& files, const std::string& directory)
{
    std::vector<std::string> open;
    for (const auto& all : {detail::find_certbot(files, directory), detail::find_lego(files, directory)}) {
        for (const detail::foreign_files& one : all) {
            std::string key = detail::behind_link(files, directory, one.key);
            if (detail::is_open_to_all(files, directory, key))
                open.push_back(std::move(key));
        }
    }
    return open;
}

// All that either of them has there and that can be served, whether expired or not. What is the same as in `known` is
// not made anew, which takes long for thousands.
[[nodiscard]] inline foreign_certificates read_foreign(os::file_system& files, const std::string& directory,
                                                       const foreign_map& known = {})
{
    foreign_certificates all;
    std::vector<detail::foreign_files> places = detail::find_certbot(files, directory);
    for (detail::foreign_files& one : detail::find_lego(files, directory))
        places.push_back(std::move(one));
    all.names = foreign_names(files, directory, places);
    if (const std::string live = directory + "/live"; detail::is_closed_folder(files, live))
        all.skipped.push_back(detail::cannot_be_read(live, files.list(live).error()));
    if (places.size() > max_foreign_certificates) {
        all.skipped.push_back(directory + ": only the first 10000 certificates in it are read");
        places.resize(max_foreign_certificates);
    }
    for (const detail::foreign_files& where : places) {
        auto one = detail::read_foreign_files(files, where, known);
        // Certbot replaces its links one after the other; between two of them they do not fit.
        for (int again = 0; again < 2 && !one && one.error().code == errc::key_mismatch; ++again)
            one = detail::read_foreign_files(files, where, known);
        if (one)
            all.found.push_back(std::move(*one));
        else
            all.skipped.push_back("a certificate of another program is passed over: " + one.error().what);
    }
    return all;
}

}

#endif
