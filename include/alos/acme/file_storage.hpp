// Certificates and documents in a folder, written so that a crash at any moment leaves the old state or the new one:
//   certs/<id>/000001/{fullchain.pem,privkey.pem,meta.json}, certs/<id>/current -> 000001
//   certs/<id>/000001.broken-<time>, <key>.json.broken-<time>: put aside, for people
//   <key>.json, or <key> where that ends with ".key"; locks/<name>.lock, locks/<name>.fence.json
// Names that begin with a dot are being written. For one host: its processes keep each other out by flock().
#ifndef ALOS_ACME_FILE_STORAGE_HPP
#define ALOS_ACME_FILE_STORAGE_HPP

#include <alos/acme/detail/certificate_folder.hpp>
#include <alos/acme/detail/durable_files.hpp>
#include <alos/acme/detail/fenced_locks.hpp>
#include <alos/acme/detail/folder_watch.hpp>
#include <alos/acme/rfc3339.hpp>
#include <alos/acme/storage.hpp>
#include <alos/crypto/botan_x509.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

namespace detail {

// The file of a document, below the folder. What holds a private key is called as such files are everywhere.
inline std::string file_of(std::string_view key)
{
    return std::string(key) + (key.ends_with(".key") ? "" : ".json");
}

// The last part of a document's key by the name of its file; empty if that is none.
inline std::string_view document_of(std::string_view file) noexcept
{
    if (file.ends_with(".key"))
        return file;
    return file.ends_with(".json") ? file.substr(0, file.size() - 5) : std::string_view();
}

// Whether something is there that never was a document: a folder, a FIFO or a device (EINVAL), a socket (ENXIO), a link
// that leads to itself, or what is too large.
inline bool is_no_document(error_code why) noexcept
{
    using namespace boost::system::errc;
    return why == is_a_directory || why == invalid_argument || why == no_such_device_or_address
           || why == too_many_symbolic_link_levels || why == file_too_large;
}

// Never 0, which is the version of what is not there.
inline std::uint64_t version_of(const secret_text& text)
{
    const auto digest = sha256_of(as_bytes(as_text(text)));
    std::uint64_t version = 0;
    for (std::size_t i = 0; i < 8; ++i)
        version = version << 8 | digest[i];
    return std::max<std::uint64_t>(version, 1);
}

}

// All members are called, and awaited, on one thread; but for next_change() they block it for as long as the disk
// takes. The folder is made when something is written (0700, files 0600). Parts of keys are made of letters, digits and
// ._:@+=- and do not begin with a dot; what is not fails with errc::bad_name.
class file_storage final : public storage {
public:
    using clock = std::function<time_point()>;
    using sleeper = std::function<awaitable<>(std::chrono::milliseconds)>;

    // `owner` is for people, and says who holds a lock: host and process. `sleep` waits for so long, and ends by being
    // cancelled as environment::sleep_until() does. `kept` generations of a certificate stay. `files` outlives this.
    file_storage(os::file_system& files, std::string directory, std::string owner, clock now, sleeper sleep,
                 unsigned kept = 5)
        : files_(files), directory_(without_slash(std::move(directory))), now_(std::move(now)),
          sleep_(std::move(sleep)), disk_(files, directory_), certificates_(disk_, path_of("certs"), kept),
          locks_(disk_, path_of("locks"), std::move(owner), now_), watch_(files, directory_, sleep_)
    {
    }

    file_storage(const file_storage&) = delete;
    file_storage& operator=(const file_storage&) = delete;

    // Makes the folder, and writes to it for a trial, so that what is wrong with it shows early: a full disk, too.
    [[nodiscard]] outcome<> prepare()
    {
        for (const std::string& folder : {path_of("certs"), path_of("locks")})
            if (auto made = disk_.ensure_directory(folder); !made)
                return made;
        const auto lock = files_.try_lock(commit_lock());
        if (!lock)
            return detail::storage_failure(directory_, "certificates cannot be kept there", lock.error());
        if (!*lock) // another process is writing there
            return {};
        return disk_.try_to_write(directory_, ".trial");
    }

    [[nodiscard]] awaitable<outcome<std::vector<std::string>>> certificates() override
    {
        co_return certificates_.list();
    }

    [[nodiscard]] awaitable<outcome<std::uint64_t>> current_generation(std::string id) override
    {
        if (!detail::is_key_part(id))
            co_return bad_name(id);
        co_return certificates_.current(id);
    }

    [[nodiscard]] awaitable<outcome<std::optional<bundle>>> load_certificate(std::string id) override
    {
        if (!detail::is_key_part(id))
            co_return bad_name(id);
        co_return certificates_.read(id);
    }

    [[nodiscard]] awaitable<outcome<std::uint64_t>> store_certificate(std::string id, bundle next,
                                                                      std::uint64_t expected,
                                                                      storage_lock guard) override
    {
        if (!detail::is_key_part(id))
            co_return bad_name(id);
        const auto commit = co_await begin_commit();
        if (!commit)
            co_return commit.error();
        const auto may_commit = [&] { return locks_.check(guard); };
        co_return certificates_.write(id, next, expected, may_commit, aside());
    }

    [[nodiscard]] awaitable<outcome<std::vector<put_aside>>> put_broken_aside(std::string id,
                                                                              storage_lock guard) override
    {
        if (!detail::is_key_part(id))
            co_return bad_name(id);
        const auto commit = co_await begin_commit();
        if (!commit)
            co_return commit.error();
        if (const auto may = locks_.check(guard); !may)
            co_return may.error();
        co_return certificates_.put_broken_aside(id, aside());
    }

    [[nodiscard]] awaitable<outcome<std::vector<std::string>>> list(std::string prefix) override
    {
        if (!detail::is_key(prefix))
            co_return bad_name(prefix);
        const auto names = files_.list(path_of(prefix));
        if (!names && !detail::is_missing(names.error()))
            co_return detail::storage_failure(path_of(prefix), "cannot be listed", names.error());
        std::vector<std::string> keys;
        if (names)
            for (std::string_view name : *names)
                if (const auto key = detail::document_of(name); detail::is_key_part(key))
                    keys.emplace_back(key);
        co_return keys;
    }

    [[nodiscard]] awaitable<outcome<std::optional<document>>> load(std::string key) override
    {
        if (!detail::is_key(key))
            co_return bad_name(key);
        co_return read_document(key);
    }

    [[nodiscard]] awaitable<outcome<std::uint64_t>> store(std::string key, secret_text text,
                                                          std::optional<std::uint64_t> expected) override
    {
        if (!detail::is_key(key))
            co_return bad_name(key);
        const auto commit = co_await begin_commit();
        if (!commit)
            co_return commit.error();
        if (const auto same = check_version(key, expected); !same)
            co_return same.error();
        const std::string path = document_path(key);
        auto written = disk_.replace_file(path, as_text(text));
        if (!written && written.error().code == boost::system::errc::is_a_directory && disk_.move_aside(path, aside()))
            written = disk_.replace_file(path, as_text(text));
        if (!written)
            co_return written.error();
        co_return detail::version_of(text);
    }

    [[nodiscard]] awaitable<outcome<>> erase(std::string key,
                                             std::optional<std::uint64_t> expected = std::nullopt) override
    {
        if (!detail::is_key(key))
            co_return bad_name(key);
        const std::string path = document_path(key);
        if (const auto there = files_.stat(path); !there && detail::is_missing(there.error()))
            co_return outcome<>();
        const auto commit = co_await begin_commit();
        if (!commit)
            co_return commit.error();
        if (auto same = check_version(key, expected); !same)
            co_return same;
        const error_code failed = files_.remove(path);
        if (detail::is_taken(failed)) { // a folder, with what is somebody's
            if (const auto there = disk_.move_aside(path, aside()); !there)
                co_return there.error();
            co_return outcome<>();
        }
        if (failed && !detail::is_missing(failed))
            co_return detail::storage_failure(path, "cannot be removed", failed);
        (void)files_.sync_directory(cert::detail::directory_of(path));
        co_return outcome<>();
    }

    [[nodiscard]] awaitable<outcome<std::string>> move_aside(std::string key, std::uint64_t expected) override
    {
        if (!detail::is_key(key))
            co_return bad_name(key);
        const auto commit = co_await begin_commit();
        if (!commit)
            co_return commit.error();
        if (auto same = check_version(key, expected); !same)
            co_return same.error();
        co_return disk_.move_aside(document_path(key), aside());
    }

    [[nodiscard]] awaitable<outcome<std::optional<storage_lock>>> try_lock(std::string name) override
    {
        if (!detail::is_key_part(name))
            co_return bad_name(name);
        co_return locks_.take(name);
    }

    [[nodiscard]] awaitable<> unlock(storage_lock held) override
    {
        locks_.give_back(held);
        co_return;
    }

    // From its first call on the file system may keep the executor busy, until a call is cancelled or this is
    // destroyed.
    [[nodiscard]] awaitable<std::string> next_change() override
    {
        // Note: what cannot be made cannot be watched either; whoever writes there will say why.
        (void)disk_.ensure_directory(path_of("certs"));
        co_return co_await watch_.next();
    }

    // How long it waits for other processes that are writing.
    std::chrono::milliseconds patience = std::chrono::seconds(2);

private:
    using lock_ptr = std::unique_ptr<os::file_system::lock>;

    static std::string without_slash(std::string path)
    {
        while (path.size() > 1 && path.ends_with('/'))
            path.pop_back();
        return path.empty() ? "." : path;
    }

    [[nodiscard]] std::string path_of(std::string_view below) const { return directory_ + '/' + std::string(below); }
    [[nodiscard]] std::string document_path(std::string_view key) const { return path_of(detail::file_of(key)); }
    [[nodiscard]] std::string commit_lock() const { return path_of("locks/.commit"); }

    // What the names of broken things end in.
    [[nodiscard]] std::string aside() const { return ".broken-" + format_rfc3339(now_()); }

    static failure bad_name(std::string_view name)
    {
        return {errc::bad_name, "'" + std::string(name.substr(0, 2 * max_key_part))
                                    + "' cannot be stored: names are letters, digits and ._:@+=- only, do not begin "
                                      "with a dot, and are 200 long at most"};
    }

    [[nodiscard]] outcome<std::optional<document>> read_document(const std::string& key)
    {
        const std::string path = document_path(key);
        auto text = files_.read(path, max_stored_size);
        if (!text && detail::is_missing(text.error()))
            return std::optional<document>();
        if (!text && detail::is_no_document(text.error()))
            text = secret_text();
        if (!text)
            return detail::read_failure(path, text.error());
        document found;
        found.version = detail::version_of(*text);
        found.text = std::move(*text);
        return std::optional<document>(std::move(found));
    }

    // Called during a commit.
    [[nodiscard]] outcome<> check_version(const std::string& key, std::optional<std::uint64_t> expected)
    {
        if (!expected)
            return {};
        const auto present = read_document(key);
        if (!present)
            return present.error();
        if ((*present ? (*present)->version : 0) != *expected)
            return failure{errc::conflict, document_path(key) + ": somebody else changed it; read it again"};
        return {};
    }

    // Everything that writes does so one after another, whichever process it is in; so what is half written when one
    // begins was left by somebody who died.
    [[nodiscard]] awaitable<outcome<lock_ptr>> begin_commit()
    {
        constexpr std::chrono::milliseconds pause(5);
        const std::string path = commit_lock();
        if (auto made = disk_.ensure_directory(cert::detail::directory_of(path)); !made)
            co_return made.error();
        for (std::chrono::milliseconds waited(0); waited <= patience; waited += pause) {
            auto lock = files_.try_lock(path);
            if (!lock)
                co_return detail::storage_failure(path, "cannot be locked", lock.error());
            if (*lock)
                co_return std::move(*lock);
            co_await sleep_(pause);
        }
        co_return failure{errc::timed_out,
                          path + ": another process has been writing for too long; see what it hangs on"};
    }

    os::file_system& files_;
    std::string directory_;
    clock now_;
    sleeper sleep_;
    detail::durable_files disk_;
    detail::certificate_folder certificates_;
    detail::fenced_locks locks_;
    detail::folder_watch watch_;
};

}

#endif
