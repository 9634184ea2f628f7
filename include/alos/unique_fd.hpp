// A file descriptor and who closes it.
#ifndef ALOS_UNIQUE_FD_HPP
#define ALOS_UNIQUE_FD_HPP

#include <alos/config.hpp>

#include <utility>

#include <unistd.h>

namespace alos::inline v0 {

// Owns a file descriptor, or none.
class unique_fd {
public:
    unique_fd() noexcept = default;
    explicit unique_fd(int fd) noexcept : fd_(fd) {} // negative: none
    unique_fd(unique_fd&& other) noexcept : fd_(other.release()) {}
    unique_fd& operator=(unique_fd&& other) noexcept
    {
        unique_fd taken(std::move(other));
        std::swap(fd_, taken.fd_);
        return *this;
    }
    ~unique_fd() { close(); }

    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    explicit operator bool() const noexcept { return fd_ >= 0; }

    // False: the system says that what was written may be lost.
    bool close() noexcept
    {
        const int fd = release();
        return fd < 0 || ::close(fd) == 0;
    }

private:
    int fd_ = -1;
};

}

#endif
