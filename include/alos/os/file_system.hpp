// The files that certificates are kept in, as the few operations whose order decides what a crash leaves behind.
// os/posix_files.hpp is the real one; tests have one that loses power.
#ifndef ALOS_OS_FILE_SYSTEM_HPP
#define ALOS_OS_FILE_SYSTEM_HPP

#include <alos/crypto/pem.hpp>
#include <alos/error.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

namespace alos::inline v0::os {

enum class file_type { regular, directory, symlink, other };

// What replaces what when a name is taken.
enum class if_exists { replace, fail };

// Errors are those of the operating system (boost::system::system_category): ENOENT, EEXIST, ENOSPC, ... Nothing is on
// disk for sure before it was synced: the bytes by sync_file(), the name by sync_directory() of its directory.
class file_system {
public:
    virtual ~file_system() = default;

    // The bytes of a regular file; EFBIG when they are more than `most`. Symbolic links are followed.
    [[nodiscard]] virtual result<secret_text> read(const std::string& path, std::size_t most) = 0;

    // Makes a new file of these bytes; EEXIST when the name is taken. What it wrote before it failed is removed.
    [[nodiscard]] virtual error_code write_new(const std::string& path, byte_view bytes, ::mode_t mode) = 0;

    [[nodiscard]] virtual error_code sync_file(const std::string& path) = 0;
    [[nodiscard]] virtual error_code sync_directory(const std::string& path) = 0;

    // One directory; its parent is there. EEXIST when the name is taken.
    [[nodiscard]] virtual error_code make_directory(const std::string& path, ::mode_t mode) = 0;

    // Atomic, within one file system.
    [[nodiscard]] virtual error_code rename(const std::string& from, const std::string& to, if_exists taken) = 0;

    [[nodiscard]] virtual error_code make_symlink(const std::string& target, const std::string& path) = 0;
    [[nodiscard]] virtual result<std::string> read_symlink(const std::string& path) = 0;

    // A file, a link, or an empty directory.
    [[nodiscard]] virtual error_code remove(const std::string& path) = 0;

    // The names in a directory, sorted, without "." and "..".
    [[nodiscard]] virtual result<std::vector<std::string>> list(const std::string& path) = 0;

    struct status {
        file_type type = file_type::other;
        ::mode_t permissions = 0; // the lower 12 bits
    };
    // Of the name itself: links are not followed.
    [[nodiscard]] virtual result<status> stat(const std::string& path) = 0;

    // Held until it is destroyed or its process ends.
    class lock {
    public:
        virtual ~lock() = default;
    };
    // An exclusive lock on that file, which is made if need be (0600), or null when somebody else has it: another
    // process, or another lock of this one. Never waits.
    [[nodiscard]] virtual result<std::unique_ptr<lock>> try_lock(const std::string& path) = 0;

    // Calls `changed` with the directory's path when a name in it may have changed, as long as the result lives.
    // Where that cannot be told, the result is null and nothing is called.
    class watch {
    public:
        virtual ~watch() = default;
    };
    [[nodiscard]] virtual std::unique_ptr<watch> watch_directory(const std::string& path,
                                                                 std::function<void(const std::string&)> changed) = 0;
};

}

#endif
