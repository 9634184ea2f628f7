// Files that are there as a whole or not at all, after a crash, too; and which names they may have.
#ifndef ALOS_ACME_DETAIL_DURABLE_FILES_HPP
#define ALOS_ACME_DETAIL_DURABLE_FILES_HPP

#include <alos/acme/storage.hpp>
#include <alos/cert/files.hpp>

#include <cstddef>
#include <set>
#include <string>
#include <string_view>

namespace alos::inline v0::acme {

inline constexpr std::size_t max_stored_size = max_pem_size; // bytes of one file
inline constexpr std::size_t max_key_part = 200;             // with what is added to it, a file name
inline constexpr std::size_t max_key_parts = 8;

namespace detail {

// What may be an id, a lock's name, or a part of a key. Names that begin with a dot are ours.
inline bool is_key_part(std::string_view part) noexcept
{
    constexpr std::string_view allowed =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:@+=-";
    return !part.empty() && part.size() <= max_key_part && part.front() != '.'
           && part.find_first_not_of(allowed) == std::string_view::npos;
}

// Folders of the storage's own cannot be reached by a key.
inline bool is_key(std::string_view key) noexcept
{
    for (std::size_t parts = 1; parts <= max_key_parts; ++parts) {
        const std::size_t slash = key.find('/');
        const std::string_view part = key.substr(0, slash);
        if (!is_key_part(part) || (parts == 1 && (part == "certs" || part == "locks")))
            return false;
        if (slash == std::string_view::npos)
            return true;
        key.remove_prefix(slash + 1);
    }
    return false;
}

// Names the file and the cure.
inline failure storage_failure(const std::string& path, std::string_view what, error_code why)
{
    return cert::detail::file_failure(path, what, why.value());
}

inline failure read_failure(const std::string& path, error_code why)
{
    if (why == boost::system::errc::file_too_large)
        return {why, path + ": it is too large to be one of ours; restore it, or move it away"};
    return storage_failure(path, "cannot be read", why);
}

inline bool is_missing(error_code why) noexcept
{
    return why == boost::system::errc::no_such_file_or_directory || why == boost::system::errc::not_a_directory;
}

inline bool is_taken(error_code why) noexcept
{
    return why == boost::system::errc::file_exists || why == boost::system::errc::directory_not_empty;
}

// When a text has more than max_stored_size bytes.
inline failure too_large(const std::string& path)
{
    return {make_error_code(boost::system::errc::file_too_large),
            path + ": it would be larger than 1 MiB; leave out what is not needed"};
}

// One writer at a time. `files` outlives this.
class durable_files {
public:
    // `top` and what is below it belongs to the storage.
    durable_files(os::file_system& files, const std::string& top) : files_(files), top_size_(top.size()) {}

    [[nodiscard]] os::file_system& files() noexcept { return files_; }

    // Makes it and what is missing above it, for good.
    [[nodiscard]] outcome<> ensure_directory(const std::string& path)
    {
        const std::string above = cert::detail::directory_of(path);
        const auto there = files_.stat(path);
        if (!there) {
            if (!is_missing(there.error()))
                return storage_failure(path, "cannot be looked at", there.error());
            if (above != path)
                if (auto made = ensure_directory(above); !made)
                    return made;
            if (const error_code failed = files_.make_directory(path, 0700); failed && !is_taken(failed))
                return storage_failure(path, "this folder cannot be made", failed);
        } else if (there->type == os::file_type::regular || there->type == os::file_type::other) {
            return failure{make_error_code(boost::system::errc::not_a_directory),
                           path + ": it is a file and not a folder; move it away"};
        }
        const bool is_ours = path.size() > top_size_;
        if (there && (!is_ours || lasting_.contains(path)))
            return {};
        // Note: also for one that is there; whoever made it may have died before this was done.
        if (const error_code failed = files_.sync_directory(above); failed && is_ours)
            return storage_failure(above, "cannot be written", failed);
        lasting_.insert(path);
        return {};
    }

    // Frees that name, as far as it can be: of a file, a link, or a folder of files.
    void remove_left_over(const std::string& path)
    {
        const auto there = files_.stat(path);
        if (!there)
            return;
        if (there->type == os::file_type::directory)
            if (const auto names = files_.list(path))
                for (const std::string& name : *names)
                    (void)files_.remove(path + '/' + name);
        (void)files_.remove(path);
    }

    // A new file whose bytes are on disk; its name is not yet. What has that name was left by somebody who died.
    [[nodiscard]] outcome<> write_lasting(const std::string& path, std::string_view text)
    {
        error_code failed = files_.write_new(path, as_bytes(text), 0600);
        if (is_taken(failed)) {
            remove_left_over(path);
            failed = files_.write_new(path, as_bytes(text), 0600);
        }
        if (!failed)
            failed = files_.sync_file(path);
        if (failed)
            return storage_failure(path, "cannot be written", failed);
        return {};
    }

    // Whether a file can be kept in that folder, of a size that a full disk has no room for.
    [[nodiscard]] outcome<> try_to_write(const std::string& folder, std::string_view name)
    {
        const std::string trial = folder + '/' + std::string(name);
        const auto written = write_lasting(trial, std::string(4096, '\n'));
        (void)files_.remove(trial);
        if (!written)
            return storage_failure(folder, "certificates cannot be kept there", written.error().code);
        return {};
    }

    // Whoever reads `path` sees the old text or the new one.
    [[nodiscard]] outcome<> replace_file(const std::string& path, std::string_view text)
    {
        if (text.size() > max_stored_size)
            return too_large(path);
        const std::string folder = cert::detail::directory_of(path);
        if (auto made = ensure_directory(folder); !made)
            return made;
        const std::string temporary = folder + "/." + path.substr(path.rfind('/') + 1) + ".new";
        auto written = write_lasting(temporary, text);
        if (written)
            if (const error_code failed = files_.rename(temporary, path, os::if_exists::replace))
                written = storage_failure(path, "cannot be replaced", failed);
        if (!written)
            remove_left_over(temporary);
        else
            settle(folder);
        return written;
    }

    // Adds `suffix` to its name, and a number where that is taken. Returns where it is now.
    [[nodiscard]] outcome<std::string> move_aside(const std::string& path, const std::string& suffix)
    {
        for (unsigned i = 1; true; ++i) {
            const std::string there = path + suffix + (i == 1 ? "" : "-" + std::to_string(i));
            const error_code failed = files_.rename(path, there, os::if_exists::fail);
            if (is_taken(failed) && i < 100)
                continue;
            if (failed)
                return storage_failure(path, "cannot be moved aside", failed);
            settle(cert::detail::directory_of(path));
            return there;
        }
    }

    // Makes a rename last. Note: when that fails the new state is there, for everybody to see, and may be the old one
    // again after a power cut; to call it a failure would be wrong about today.
    void settle(const std::string& folder) { (void)files_.sync_directory(folder); }

private:
    os::file_system& files_;
    std::size_t top_size_;
    std::set<std::string> lasting_; // folders whose names are on disk
};

}

}

#endif
