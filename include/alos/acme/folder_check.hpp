// Whether the folder that certificates are kept in can be written, and whether nobody else can read its keys.
#ifndef ALOS_ACME_FOLDER_CHECK_HPP
#define ALOS_ACME_FOLDER_CHECK_HPP

#include <alos/acme/detail/durable_files.hpp>
#include <alos/acme/finding.hpp>
#include <alos/os/file_system.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace alos::inline v0::acme {

namespace detail {

inline constexpr ::mode_t of_others = 0077;              // of the group, too
inline constexpr unsigned max_folder_depth = 8;          // what is in deeper folders is not looked at
inline constexpr std::size_t max_folder_names = 100'000; // of all folders together; the rest is not looked at

// Below one folder.
struct open_names {
    std::vector<std::string> keys;  // that others can read or write
    std::vector<std::string> other; // that others can read or write: certificates, folders
    std::size_t looked_at = 0;
    bool is_all = true; // nothing was left out
};

inline bool holds_key(std::string_view path) noexcept
{
    // Note: one that was put aside is still one.
    return path.ends_with("/privkey.pem") || path.ends_with(".key") || path.find(".key.broken-") != path.npos;
}

inline void find_open_names(os::file_system& files, const std::string& folder, unsigned depth, open_names& into)
{
    const auto names = files.list(folder);
    if (!names || depth == max_folder_depth) {
        const bool has_more = names ? !names->empty() : !is_missing(names.error());
        into.is_all = into.is_all && !has_more;
        return;
    }
    for (const std::string& name : *names) {
        if (++into.looked_at > max_folder_names) {
            into.is_all = false;
            return;
        }
        const std::string path = folder + '/' + name;
        const auto there = files.stat(path);
        if (!there && !is_missing(there.error()))
            into.is_all = false;
        if (!there || there->type == os::file_type::symlink)
            continue;
        if ((there->permissions & of_others) != 0)
            (holds_key(path) ? into.keys : into.other).push_back(path);
        if (there->type == os::file_type::directory)
            find_open_names(files, path, depth + 1, into);
    }
}

// The first of them, and how many more there are.
inline std::string some_of(const std::vector<std::string>& paths)
{
    const std::string more = paths.size() == 1 ? std::string() : " and " + std::to_string(paths.size() - 1) + " more";
    return paths.front() + more;
}

inline std::string in_octal(::mode_t permissions)
{
    std::string digits = "0";
    for (const int shift : {6, 3, 0})
        digits += static_cast<char>('0' + (permissions >> shift & 7));
    return digits;
}

inline finding try_to_write(os::file_system& files, const std::string& folder)
{
    const auto tried = durable_files(files, folder).try_to_write(folder, ".doctor");
    if (tried)
        return {folder, "writing", health::ok, "files can be written there"};
    return {folder, "writing", health::problem, tried.error().what};
}

}

// What others than its owner can read or write in a cache_dir, itself included; nothing when it is closed, or not
// there.
[[nodiscard]] inline std::vector<finding> check_permissions(os::file_system& files, const std::string& folder)
{
    const auto there = files.stat(folder);
    if (!there)
        return {};
    detail::open_names open;
    // Note: of a link, the permissions say nothing.
    const bool is_open = there->type == os::file_type::directory && (there->permissions & detail::of_others) != 0;
    detail::find_open_names(files, folder, 0, open);
    const std::string closed = "chmod -R u=rwX,go= '" + folder + "'";
    std::vector<finding> found;
    if (is_open) {
        const bool can_write = (there->permissions & 0022) != 0;
        found.push_back({folder, "permissions", can_write ? health::problem : health::warning,
                         "its mode is " + detail::in_octal(there->permissions) + ", so that others can "
                             + (can_write ? "change what is in it" : "look into it"),
                         "chmod 700 '" + folder + "'"});
    }
    if (!open.keys.empty())
        found.push_back({folder, "permissions", health::problem,
                         "private keys are open to others: " + detail::some_of(open.keys),
                         closed + ", and renew these certificates if others use this machine"});
    if (!open.other.empty())
        found.push_back({folder, "permissions", health::warning, "open to others: " + detail::some_of(open.other),
                         closed});
    if (!open.is_all)
        found.push_back({folder, "permissions", health::warning, "not all of it was looked at",
                         "find '" + folder + "' -perm /077 lists all that is open to others"});
    return found;
}

// `folder` is a cache_dir.
[[nodiscard]] inline std::vector<finding> check_folder(os::file_system& files, const std::string& folder)
{
    const auto there = files.stat(folder);
    if (!there && detail::is_missing(there.error()))
        return {{folder, "permissions", health::ok, "it is not there yet; the first certificate makes it"}};
    if (!there)
        return {{folder, "permissions", health::problem,
                 detail::storage_failure(folder, "it cannot be looked at", there.error()).what}};
    if (there->type == os::file_type::regular || there->type == os::file_type::other)
        return {{folder, "permissions", health::problem, "it is a file and not a folder",
                 "move it away, or choose another cache_dir"}};
    std::vector<finding> found = check_permissions(files, folder);
    if (found.empty())
        found.push_back({folder, "permissions", health::ok, "closed to others, as is all that is in it"});
    found.push_back(detail::try_to_write(files, folder));
    return found;
}

}

#endif
