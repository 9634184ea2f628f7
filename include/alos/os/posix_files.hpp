// The file system of POSIX, with what only Linux has: renameat2(), and inotify to be told of changes.
#ifndef ALOS_OS_POSIX_FILES_HPP
#define ALOS_OS_POSIX_FILES_HPP

#include <alos/cert/files.hpp>
#include <alos/os/file_system.hpp>
#include <alos/unique_fd.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <map>
#include <set>
#include <utility>

namespace alos::inline v0::os {

namespace detail {

inline error_code last_error() { return cert::detail::system_error_code(errno); }

// For file systems without RENAME_NOREPLACE: the new name is taken before the old one goes. A crash between the two
// leaves both names of a file, or an empty directory under the new name.
inline error_code rename_to_free_name(const std::string& from, const std::string& to)
{
    struct ::stat about{};
    if (::lstat(from.c_str(), &about) != 0)
        return last_error();
    if (!S_ISDIR(about.st_mode)) {
        if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0) != 0 || ::unlink(from.c_str()) != 0)
            return last_error();
        return {};
    }
    if (::mkdir(to.c_str(), 0700) != 0)
        return last_error();
    if (::rename(from.c_str(), to.c_str()) == 0)
        return {};
    const error_code why = last_error();
    ::rmdir(to.c_str());
    return why;
}

// One inotify instance for all watches of one posix_files: a user may have few of them, and many directories in each.
class directory_watcher : public std::enable_shared_from_this<directory_watcher> {
public:
    struct watched {
        std::string path;
        std::function<void(const std::string&)> changed;
        int number = -1; // what inotify calls the directory; -1 while it is not there
    };
    using watched_ptr = std::shared_ptr<watched>;

    explicit directory_watcher(const boost::asio::any_io_executor& executor) : inotify_(executor) {}

    // Null when the directory cannot be watched.
    [[nodiscard]] watched_ptr add(const std::string& path, std::function<void(const std::string&)> changed)
    {
        if (!inotify_.is_open()) {
            unique_fd made(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
            error_code ignored;
            if (!made || inotify_.assign(made.get(), ignored))
                return nullptr;
            (void)made.release();
        }
        auto one = std::make_shared<watched>(watched{path, std::move(changed)});
        if (follow(*one)) {
            all_.insert(one);
            wait();
            return one;
        }
        close_if_idle();
        return nullptr;
    }

    void remove(const watched_ptr& one)
    {
        all_.erase(one);
        const auto is_same = [&](const watched_ptr& other) { return other->number == one->number; };
        if (one->number >= 0 && std::ranges::none_of(all_, is_same))
            ::inotify_rm_watch(inotify_.native_handle(), one->number);
        close_if_idle();
    }

    void close() noexcept
    {
        all_.clear();
        error_code ignored;
        inotify_.close(ignored);
    }

private:
    static constexpr std::uint32_t interest = IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE
                                              | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

    bool follow(watched& one)
    {
        one.number = ::inotify_add_watch(inotify_.native_handle(), one.path.c_str(), interest);
        return one.number >= 0;
    }

    void close_if_idle() noexcept
    {
        if (all_.empty())
            close();
    }

    void wait()
    {
        if (std::exchange(is_waiting_, true))
            return;
        inotify_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                            [self = shared_from_this()](error_code failed) {
                                self->is_waiting_ = false;
                                if (!failed)
                                    self->take_events();
                                if (!self->all_.empty())
                                    self->wait();
                            });
    }

    void take_events()
    {
        std::set<int> changed;
        bool all_changed = false;
        alignas(inotify_event) std::array<char, 16384> buffer;
        for (ssize_t size = 0; (size = ::read(inotify_.native_handle(), buffer.data(), buffer.size())) > 0;) {
            const char* const end = buffer.data() + size;
            for (const char* at = buffer.data(); at < end;) {
                inotify_event each{};
                std::memcpy(&each, at, sizeof each);
                at += sizeof each + each.len;
                all_changed = all_changed || (each.mask & IN_Q_OVERFLOW) != 0; // events were lost
                changed.insert(each.wd);
                if ((each.mask & (IN_MOVE_SELF | IN_IGNORED)) != 0)
                    let_go(each.wd, (each.mask & IN_MOVE_SELF) != 0);
            }
        }
        std::set<watched_ptr> told;
        for (const watched_ptr& one : all_) {
            const bool is_new = one->number < 0 && follow(*one);
            if (all_changed || is_new || changed.contains(one->number) || gone_.contains(one))
                told.insert(one);
        }
        gone_.clear();
        // A callback may add watches, and remove any.
        for (const watched_ptr& one : told)
            if (all_.contains(one))
                one->changed(one->path);
    }

    // The directory went away. Another may come to its path, which an event in the one above tells of.
    void let_go(int number, bool is_still_there)
    {
        for (const watched_ptr& one : all_) {
            if (one->number != number)
                continue;
            one->number = -1;
            gone_.insert(one);
        }
        if (is_still_there)
            ::inotify_rm_watch(inotify_.native_handle(), number);
    }

    boost::asio::posix::stream_descriptor inotify_;
    std::set<watched_ptr> all_;
    std::set<watched_ptr> gone_; // whose directory went away, in the events being read
    bool is_waiting_ = false;
};

}

// Used by one thread at a time. Modes are exact, whatever the umask.
class posix_files final : public file_system {
public:
    // Directories cannot be watched.
    posix_files() = default;

    // Watches call back on `executor`, which has work to do as long as there is one; it runs on the thread that uses
    // this.
    explicit posix_files(const boost::asio::any_io_executor& executor)
        : watcher_(std::make_shared<detail::directory_watcher>(executor))
    {
    }

    posix_files(const posix_files&) = delete;
    posix_files& operator=(const posix_files&) = delete;
    ~posix_files() override
    {
        if (watcher_)
            watcher_->close();
    }

    [[nodiscard]] result<secret_text> read(const std::string& path, std::size_t most) override
    {
        // Note: O_NONBLOCK, or a FIFO in the file's place would never open.
        const unique_fd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
        struct ::stat about{};
        if (!file || ::fstat(file.get(), &about) != 0)
            return detail::last_error();
        if (!S_ISREG(about.st_mode))
            return cert::detail::system_error_code(S_ISDIR(about.st_mode) ? EISDIR : EINVAL);
        secret_text text;
        std::size_t size = 0;
        while (size <= most) {
            if (size == text.size())
                text.resize(std::min(std::max(static_cast<std::size_t>(about.st_size), 2 * size) + 1, most + 1));
            const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
            if (got < 0 && errno == EINTR)
                continue;
            if (got < 0)
                return detail::last_error();
            if (got == 0)
                break;
            size += static_cast<std::size_t>(got);
        }
        if (size > most)
            return cert::detail::system_error_code(EFBIG);
        text.resize(size);
        return text;
    }

    [[nodiscard]] error_code write_new(const std::string& path, byte_view bytes, ::mode_t mode) override
    {
        unique_fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
        if (!file)
            return detail::last_error();
        if (cert::detail::write_all(file.get(), bytes) && ::fchmod(file.get(), mode) == 0 && file.close())
            return {};
        const error_code why = detail::last_error();
        ::unlink(path.c_str());
        return why;
    }

    [[nodiscard]] error_code sync_file(const std::string& path) override
    {
        const unique_fd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
        return !file || ::fsync(file.get()) != 0 ? detail::last_error() : error_code();
    }

    [[nodiscard]] error_code sync_directory(const std::string& path) override
    {
        const unique_fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        // Note: EINVAL comes from file systems that need not, or cannot, be asked to.
        return !directory || (::fsync(directory.get()) != 0 && errno != EINVAL) ? detail::last_error() : error_code();
    }

    [[nodiscard]] error_code make_directory(const std::string& path, ::mode_t mode) override
    {
        if (::mkdir(path.c_str(), mode) != 0)
            return detail::last_error();
        const unique_fd made(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        struct ::stat about{};
        if (bool(made) && ::fstat(made.get(), &about) == 0
            && ((about.st_mode & 07777) == mode || ::fchmod(made.get(), mode) == 0))
            return {};
        const error_code why = detail::last_error();
        ::rmdir(path.c_str());
        return why;
    }

    [[nodiscard]] error_code rename(const std::string& from, const std::string& to, if_exists taken) override
    {
        if (taken == if_exists::replace)
            return ::rename(from.c_str(), to.c_str()) == 0 ? error_code() : detail::last_error();
        if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0)
            return {};
        if (errno == EINVAL || errno == ENOSYS)
            return detail::rename_to_free_name(from, to);
        return detail::last_error();
    }

    [[nodiscard]] error_code make_symlink(const std::string& target, const std::string& path) override
    {
        return ::symlink(target.c_str(), path.c_str()) == 0 ? error_code() : detail::last_error();
    }

    [[nodiscard]] result<std::string> read_symlink(const std::string& path) override
    {
        std::string target(PATH_MAX, '\0');
        const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
        if (size < 0)
            return detail::last_error();
        target.resize(static_cast<std::size_t>(size));
        return target;
    }

    [[nodiscard]] error_code remove(const std::string& path) override
    {
        return std::remove(path.c_str()) == 0 ? error_code() : detail::last_error();
    }

    [[nodiscard]] result<std::vector<std::string>> list(const std::string& path) override
    {
        const auto close = [](DIR* open) { ::closedir(open); };
        const std::unique_ptr<DIR, decltype(close)> directory(::opendir(path.c_str()), close);
        if (!directory)
            return detail::last_error();
        std::vector<std::string> names;
        for (errno = 0; const dirent* each = ::readdir(directory.get()); errno = 0) {
            const std::string_view name = each->d_name;
            if (name != "." && name != "..")
                names.emplace_back(name);
        }
        if (errno != 0)
            return detail::last_error();
        std::ranges::sort(names);
        return names;
    }

    [[nodiscard]] result<status> stat(const std::string& path) override
    {
        struct ::stat about{};
        if (::lstat(path.c_str(), &about) != 0)
            return detail::last_error();
        status found;
        found.permissions = about.st_mode & 07777;
        if (S_ISREG(about.st_mode))
            found.type = file_type::regular;
        else if (S_ISDIR(about.st_mode))
            found.type = file_type::directory;
        else if (S_ISLNK(about.st_mode))
            found.type = file_type::symlink;
        return found;
    }

    [[nodiscard]] result<std::unique_ptr<lock>> try_lock(const std::string& path) override
    {
        while (true) {
            unique_fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
            if (!file)
                return detail::last_error();
            while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
                if (errno == EWOULDBLOCK)
                    return std::unique_ptr<lock>();
                if (errno != EINTR)
                    return detail::last_error();
            }
            // A lock on a file that was removed meanwhile keeps nobody out.
            struct ::stat locked{};
            struct ::stat present{};
            if (::fstat(file.get(), &locked) != 0)
                return detail::last_error();
            if (::lstat(path.c_str(), &present) == 0 && locked.st_ino == present.st_ino
                && locked.st_dev == present.st_dev)
                return std::unique_ptr<lock>(std::make_unique<held_lock>(std::move(file)));
        }
    }

    [[nodiscard]] std::unique_ptr<watch> watch_directory(const std::string& path,
                                                         std::function<void(const std::string&)> changed) override
    {
        if (!watcher_)
            return nullptr;
        auto one = watcher_->add(path, std::move(changed));
        if (!one)
            return nullptr;
        return std::make_unique<held_watch>(watcher_, std::move(one));
    }

private:
    class held_lock final : public lock {
    public:
        explicit held_lock(unique_fd file) noexcept : file_(std::move(file)) {}

        // Note: closing is not enough when a child process has inherited the descriptor.
        ~held_lock() override { ::flock(file_.get(), LOCK_UN); }

    private:
        unique_fd file_;
    };

    class held_watch final : public watch {
    public:
        held_watch(std::shared_ptr<detail::directory_watcher> by, detail::directory_watcher::watched_ptr one) noexcept
            : by_(std::move(by)), one_(std::move(one))
        {
        }
        ~held_watch() override { by_->remove(one_); }

    private:
        std::shared_ptr<detail::directory_watcher> by_;
        detail::directory_watcher::watched_ptr one_;
    };

    std::shared_ptr<detail::directory_watcher> watcher_;
};

}

#endif
