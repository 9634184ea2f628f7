// Files of certificates and keys: read within a limit, written as a whole or not at all.
#ifndef ALOS_CERT_FILES_HPP
#define ALOS_CERT_FILES_HPP

#include <alos/crypto/pem.hpp>
#include <alos/error.hpp>
#include <alos/unique_fd.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <string>
#include <string_view>

namespace alos::inline v0::cert {

namespace detail {

inline error_code system_error_code(int number) { return {number, boost::system::system_category()}; }

inline std::string_view cure_of(int number) noexcept
{
    switch (number) {
    case ENOENT: return "check the path";
    case EACCES:
    case EPERM: return "give the user that the server runs as permission to it";
    case ENOSPC:
    case EDQUOT: return "make room on that disk";
    case EFBIG: return "raise the limit on the size of files (ulimit -f)";
    case EROFS: return "that disk is read-only; choose another place";
    case EISDIR: return "it is a directory; name the file inside it";
    default: return "check the file and the disk it is on";
    }
}

inline failure file_failure(std::string_view path, std::string_view what, int number)
{
    const error_code code = system_error_code(number);
    return {code, std::string(path) + ": " + std::string(what) + ": " + code.message() + "; "
                      + std::string(cure_of(number))};
}

inline bool write_all(int file, byte_view bytes) noexcept
{
    while (!bytes.empty()) {
        const ssize_t written = ::write(file, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return true;
}

inline std::string directory_of(std::string_view path)
{
    const std::size_t slash = path.rfind('/');
    if (slash == std::string_view::npos)
        return ".";
    return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

}

// The text of a PEM file, at most max_pem_size bytes.
[[nodiscard]] inline outcome<secret_text> read_pem_file(const std::string& path)
{
    if (path.empty())
        return failure{errc::bad_configuration, "no file is named; give its path"};
    const unique_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file)
        return detail::file_failure(path, "cannot be opened", errno);
    secret_text text;
    std::size_t size = 0;
    while (size <= max_pem_size) {
        if (size == text.size())
            text.resize(std::min(2 * size + 16384, max_pem_size + 1));
        const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return detail::file_failure(path, "cannot be read", errno);
        if (got == 0)
            break;
        size += static_cast<std::size_t>(got);
    }
    if (size > max_pem_size)
        return failure{errc::bad_pem, path + ": it is larger than 1 MiB; leave out what is not needed"};
    text.resize(size);
    if (text.empty())
        return failure{errc::bad_pem, path + ": it is empty; restore it"};
    return text;
}

// Puts `bytes` in place of `path` at once: whoever reads it sees the old file or the new one, also after a crash.
[[nodiscard]] inline outcome<> write_file(const std::string& path, byte_view bytes, mode_t mode)
{
    // Two threads, or two servers in one directory, must not write the same temporary file.
    static std::atomic<unsigned> count{0};
    const std::string temporary = path + ".new-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
    unique_fd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!file)
        return detail::file_failure(path, "cannot be written", errno);
    const bool written = detail::write_all(file.get(), bytes) && ::fchmod(file.get(), mode) == 0
                         && ::fsync(file.get()) == 0 && file.close()
                         && ::rename(temporary.c_str(), path.c_str()) == 0;
    if (!written) {
        const int why = errno;
        ::unlink(temporary.c_str());
        return detail::file_failure(path, "cannot be written", why);
    }
    // The new name lasts once the directory is on disk. Some file systems cannot be asked to; the file is there.
    const std::string folder = detail::directory_of(path);
    const unique_fd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (bool(directory))
        ::fsync(directory.get());
    return {};
}

}

#endif
