// Files as responses: one that the program names, and a folder that clients may choose from. RFC 9110 8, 13, 14.
// Files are read where the handler runs, 64 KiB at a time: from the page cache in a few microseconds, but a slow disk
// makes the other connections of this thread wait.
#ifndef ALOS_HTTP_FILE_HPP
#define ALOS_HTTP_FILE_HPP

#include <alos/http/conditional.hpp>
#include <alos/http/message.hpp>
#include <alos/unique_fd.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace alos::inline v0 {

namespace http {

// The media type for a file's name, by its extension.
constexpr std::string_view media_type(std::string_view name) noexcept
{
    struct known {
        std::string_view extension;
        std::string_view type;
    };
    constexpr std::array<known, 40> table{{
        {"html", "text/html; charset=utf-8"},
        {"htm", "text/html; charset=utf-8"},
        {"css", "text/css; charset=utf-8"},
        {"js", "text/javascript; charset=utf-8"},
        {"mjs", "text/javascript; charset=utf-8"},
        {"json", "application/json"},
        {"map", "application/json"},
        {"webmanifest", "application/manifest+json"},
        {"txt", "text/plain; charset=utf-8"},
        {"md", "text/markdown; charset=utf-8"},
        {"csv", "text/csv; charset=utf-8"},
        {"xml", "text/xml; charset=utf-8"},
        {"ics", "text/calendar; charset=utf-8"},
        {"svg", "image/svg+xml"},
        {"png", "image/png"},
        {"jpg", "image/jpeg"},
        {"jpeg", "image/jpeg"},
        {"gif", "image/gif"},
        {"webp", "image/webp"},
        {"avif", "image/avif"},
        {"ico", "image/vnd.microsoft.icon"},
        {"bmp", "image/bmp"},
        {"mp3", "audio/mpeg"},
        {"ogg", "audio/ogg"},
        {"oga", "audio/ogg"},
        {"opus", "audio/ogg"},
        {"wav", "audio/wav"},
        {"flac", "audio/flac"},
        {"m4a", "audio/mp4"},
        {"mp4", "video/mp4"},
        {"webm", "video/webm"},
        {"ogv", "video/ogg"},
        {"woff", "font/woff"},
        {"woff2", "font/woff2"},
        {"ttf", "font/ttf"},
        {"otf", "font/otf"},
        {"pdf", "application/pdf"},
        {"wasm", "application/wasm"},
        {"zip", "application/zip"},
        {"gz", "application/gzip"},
    }};
    const std::size_t dot = name.rfind('.');
    if (dot != std::string_view::npos) {
        for (const known& each : table) {
            if (equal_ignoring_case(name.substr(dot + 1), each.extension))
                return each.type;
        }
    }
    return "application/octet-stream";
}

// Answers with the file that `opened` is: a descriptor, which is taken over, or a negative errno. A status that was set
// before is kept.
inline void respond_with_file(response& res, const request* asked, int opened, std::string_view name)
{
    unique_fd file(opened);
    const int problem = opened < 0 ? -opened : 0;
    struct stat about {};
    if (file.get() >= 0 && ::fstat(file.get(), &about) != 0)
        throw boost::system::system_error(errno, boost::system::system_category(), "fstat");
    if (file.get() < 0 && problem == EACCES)
        return respond_with_status(res, 403);
    const bool is_missing = problem == ENOENT || problem == ENOTDIR || problem == ELOOP || problem == EXDEV ||
                            problem == ENAMETOOLONG || problem == ENXIO;
    if (file.get() < 0 && !is_missing)
        throw boost::system::system_error(problem, boost::system::system_category(), std::string(name));
    if (file.get() < 0 || !S_ISREG(about.st_mode))
        return respond_with_status(res, 404);

    // Modification time to the nanosecond, and size: strong enough that a range of another version is never joined.
    std::array<char, 64> etag;
    const int length = std::snprintf(etag.data(), etag.size(), "\"%llx.%lx-%llx\"",
                                     static_cast<long long>(about.st_mtim.tv_sec), about.st_mtim.tv_nsec,
                                     static_cast<long long>(about.st_size));
    const representation have{{etag.data(), static_cast<std::size_t>(length)},
                              about.st_mtim.tv_sec, static_cast<std::uint64_t>(about.st_size)};

    selection chosen{res.status(), 0, have.size};
    const bool is_get = asked != nullptr && (asked->method() == verb::get || asked->method() == verb::head);
    if (is_get && res.status() == 200)
        chosen = select(*asked, have, std::time(nullptr));
    res.status(chosen.status);
    if (chosen.status == 416)
        res.set("Content-Range", "bytes */" + std::to_string(have.size));
    if (chosen.status == 412 || chosen.status == 416)
        return respond_with_status(res, chosen.status);
    res.set("ETag", have.etag).set("Last-Modified", date_text(have.modified).view()).set("Accept-Ranges", "bytes");
    if (chosen.status == 304)
        return;
    if (chosen.status == 206) {
        res.set("Content-Range", "bytes " + std::to_string(chosen.first) + "-" +
                                     std::to_string(chosen.first + chosen.length - 1) + "/" +
                                     std::to_string(have.size));
    }
    if (!res.header("Content-Type"))
        res.set("Content-Type", media_type(name));
    res.body(file_body(std::move(file), chosen.first, chosen.length));
}

inline constexpr int open_for_reading = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK; // does not wait for a FIFO

// Opens `path` below the folder that is open as `folder`, segment by segment, following no symbolic link at all.
// A descriptor, or a negative errno.
[[nodiscard]] inline int open_without_links(int folder, std::string_view path)
{
    int at = ::fcntl(folder, F_DUPFD_CLOEXEC, 0);
    while (!path.empty() && at >= 0) {
        const std::size_t end = std::min(path.find('/'), path.size());
        const std::string segment(path.substr(0, end));
        const bool last = end == path.size();
        path.remove_prefix(std::min(end + 1, path.size()));
        const unique_fd parent(at);
        at = ::openat(parent.get(), segment.c_str(),
                      O_NOFOLLOW | (last ? open_for_reading : O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (at < 0)
            return -errno;
    }
    return at < 0 ? -errno : at;
}

// Opens `path`, whose segments are ordinary names, below the folder `root`. Links are followed while they stay below
// it; where the kernel cannot promise that (before Linux 5.6), none is followed. A descriptor, or a negative errno.
[[nodiscard]] inline int open_beneath(const std::filesystem::path& root, std::string_view path)
{
    const unique_fd folder(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (folder.get() < 0)
        return -errno;
    struct open_how how {};
    how.flags = open_for_reading;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    const long opened = ::syscall(SYS_openat2, folder.get(), std::string(path).c_str(), &how, sizeof how);
    if (opened >= 0)
        return static_cast<int>(opened);
    return errno == ENOSYS || errno == EPERM ? open_without_links(folder.get(), path) : -errno;
}

}

struct directory_options {
    std::string index = "index.html";
    bool hidden = false; // also serves names that begin with a dot; .well-known always is
};

// Serves the files below a folder; for a route that ends in "*path". Clients cannot leave the folder: neither by "..",
// nor by encoded slashes, nor by symbolic links. Names that begin with a dot (.git, .alos-key.pem) are not there.
class serve_directory {
public:
    explicit serve_directory(std::filesystem::path root, directory_options options = {})
        : root_(std::move(root)), options_(std::move(options))
    {
    }

    void operator()(request& req, response& res) const
    {
        std::string path(req.param("path"));
        if (!is_allowed(path))
            return http::respond_with_status(res, 404);
        if (path.empty() || path.ends_with('/'))
            path += options_.index;
        unique_fd file(http::open_beneath(root_, path));
        struct stat about {};
        if (file.get() >= 0 && ::fstat(file.get(), &about) == 0 && S_ISDIR(about.st_mode))
            return add_slash(req, res);
        http::respond_with_file(res, &req, file.release(), path);
    }

private:
    // Ordinary names only. "." and ".." are gone from a request's path, empty segments are not.
    [[nodiscard]] bool is_allowed(std::string_view path) const noexcept
    {
        while (!path.empty()) {
            const std::size_t end = std::min(path.find('/'), path.size());
            const std::string_view name = path.substr(0, end);
            const bool hidden = name.starts_with('.') && name != ".well-known";
            if (name.empty() || name == "." || name == ".." || (hidden && !options_.hidden))
                return false;
            path.remove_prefix(std::min(end + 1, path.size()));
        }
        return true;
    }

    // So that relative links on the folder's index work.
    static void add_slash(const request& req, response& res)
    {
        std::string location;
        http::append_encoded_path(location, req.path());
        location += '/';
        if (!req.query().empty())
            location.append("?").append(req.query());
        res.redirect(location, 301);
    }

    std::filesystem::path root_;
    directory_options options_;
};

inline response& response::file(const std::filesystem::path& path)
{
    const int opened = ::open(path.c_str(), http::open_for_reading);
    http::respond_with_file(*this, data_.request, opened >= 0 ? opened : -errno, path.native());
    return *this;
}

}

#endif
