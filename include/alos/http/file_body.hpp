// An open file, or a part of one, as the body of a response.
#ifndef ALOS_HTTP_FILE_BODY_HPP
#define ALOS_HTTP_FILE_BODY_HPP

#include <alos/bytes.hpp>
#include <alos/http/error.hpp>
#include <alos/unique_fd.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include <unistd.h>

namespace alos::inline v0::http {

class file_body {
public:
    file_body() = default;

    // The body is `length` bytes of `file` from `offset`.
    file_body(unique_fd file, std::uint64_t offset, std::uint64_t length) noexcept
        : file_(std::move(file)), offset_(offset), left_(length)
    {}

    [[nodiscard]] bool is_open() const noexcept { return bool(file_); }

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
            taken = ::pread(file_.get(), into.data(), wanted, static_cast<off_t>(offset_));
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
        file_.close();
        left_ = 0;
    }

private:
    unique_fd file_;
    std::uint64_t offset_ = 0;
    std::uint64_t left_ = 0;
};

}

#endif
