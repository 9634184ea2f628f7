// An open file, or a part of one, as the body of a response.
#ifndef ALOS_HTTP_FILE_BODY_HPP
#define ALOS_HTTP_FILE_BODY_HPP

#include <alos/bytes.hpp>
#include <alos/http/error.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include <unistd.h>

namespace alos::inline v0::http {

class file_body {
public:
    file_body() = default;

    // Takes over `descriptor`; the body is `length` bytes from `offset`.
    file_body(int descriptor, std::uint64_t offset, std::uint64_t length) noexcept
        : descriptor_(descriptor), offset_(offset), left_(length)
    {
    }

    file_body(file_body&& other) noexcept
        : descriptor_(std::exchange(other.descriptor_, -1)), offset_(other.offset_), left_(other.left_)
    {
    }

    file_body& operator=(file_body&& other) noexcept
    {
        std::swap(descriptor_, other.descriptor_);
        offset_ = other.offset_;
        left_ = other.left_;
        return *this;
    }

    ~file_body() { close(); }

    [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }

    // How much is still to be read.
    [[nodiscard]] std::uint64_t left() const noexcept { return left_; }

    // Reads the next bytes into `into` and says how many; zero at the end. One system call, which does not wait for
    // anybody but the disk. errc::response_unfinished if the file is shorter than it was.
    [[nodiscard]] result<std::size_t> read(byte_span into) noexcept
    {
        const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left_));
        if (wanted == 0)
            return std::size_t{0};
        ssize_t taken = 0;
        do {
            taken = ::pread(descriptor_, into.data(), wanted, static_cast<off_t>(offset_));
        } while (taken < 0 && errno == EINTR);
        if (taken < 0)
            return error_code(errno, boost::system::system_category());
        if (taken == 0)
            return make_error_code(errc::response_unfinished);
        offset_ += static_cast<std::uint64_t>(taken);
        left_ -= static_cast<std::uint64_t>(taken);
        return static_cast<std::size_t>(taken);
    }

    void close() noexcept
    {
        if (descriptor_ >= 0)
            ::close(std::exchange(descriptor_, -1));
        left_ = 0;
    }

private:
    int descriptor_ = -1;
    std::uint64_t offset_ = 0;
    std::uint64_t left_ = 0;
};

}

#endif
