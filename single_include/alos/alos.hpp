// alos: HTTPS inside a C++ program. The whole library in one header.
// Made by tools/amalgamate.py from include/alos; change the headers there, not this file.
//
// One translation unit of the program defines ALOS_IMPLEMENTATION before it includes this file.
//
// MIT License
//
// Copyright (c) 2026 alos contributors
//
// Permission is hereby granted, free of charge, to any person obtaining a copy
// of this software and associated documentation files (the "Software"), to deal
// in the Software without restriction, including without limitation the rights
// to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
// copies of the Software, and to permit persons to whom the Software is
// furnished to do so, subject to the following conditions:
//
// The above copyright notice and this permission notice shall be included in all
// copies or substantial portions of the Software.
//
// THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
// IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
// FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
// AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
// LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
// OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
// SOFTWARE.

// ---- alos/config.hpp ----
// The library's version and the oldest dependencies that it works with.
#ifndef ALOS_CONFIG_HPP
#define ALOS_CONFIG_HPP

#include <boost/version.hpp>
#include <botan/build.h>

#define ALOS_VERSION_MAJOR 0
#define ALOS_VERSION_MINOR 1
#define ALOS_VERSION_PATCH 0

#if BOOST_VERSION < 108800
#error "alos needs Boost 1.88 or newer (tools/setup.sh brings it on Debian 12)"
#endif

#if BOTAN_VERSION_MAJOR < 3 || (BOTAN_VERSION_MAJOR == 3 && BOTAN_VERSION_MINOR < 7)
#error "alos needs Botan 3.7 or newer (tools/setup.sh brings it on Debian 12)"
#endif

// Everything is in a namespace of this version, so that two incompatible ones can be in a program.
namespace alos::inline v0 {
}

#endif
// ---- alos/fwd.hpp ----
// Names for headers that need no more than them.
#ifndef ALOS_FWD_HPP
#define ALOS_FWD_HPP

namespace alos::inline v0 {

struct failure;
struct log_record;
class logger;

struct botan_crypto;

namespace cert {
struct credential;
class registry;
class signing_key;
class snapshot;
class store;
}

namespace tls13 {
struct server_config;
}

class request;
class response;
class route_group;
class router;

struct default_policy;
template <class Policy>
struct basic_server_config;
template <class Policy = default_policy>
class basic_server;

using server = basic_server<>;

}

#endif
// ---- alos/error.hpp ----
// How alos reports failure: error_code for I/O and protocols, result<T> from pure code, and `failure` (a code with
// a sentence that names the culprit and the cure) from calls that set a program up.
#ifndef ALOS_ERROR_HPP
#define ALOS_ERROR_HPP


#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <string>
#include <utility>

namespace alos::inline v0 {

using boost::system::error_code;

// A value or an error_code. `value()` throws; ask `has_value()` first.
template <class T>
using result = boost::system::result<T>;

// What can go wrong outside TLS itself (see tls13::errc) and HTTP framing (see http::errc).
enum class errc {
    truncated = 1,         // the peer's bytes ended without a close_notify (RFC 8446 6.1)
    closed,                // the stream was closed by this side
    bad_pem,               // not PEM, or PEM of another kind (RFC 7468)
    bad_certificate,       // not a certificate that can be read (RFC 5280)
    bad_private_key,       // not a private key that can be read (RFC 5958)
    unsupported_key,       // a key that TLS 1.3 cannot sign with (RFC 8446 4.2.3)
    key_is_encrypted,      // a passphrase is needed
    wrong_passphrase,      // the passphrase does not open the key
    key_mismatch,          // the private key is not the certificate's
    broken_chain,          // a certificate is not issued by the next
    bad_name,              // not a host name that a certificate can be stored under
    unknown_name,          // no certificate is stored under that name
    bad_configuration,     // settings that contradict each other
    timed_out,             // a deadline passed
    conflict,              // somebody else changed it first
    lock_lost,             // a lock is no longer held
    refused,               // a CA said no
};

class error_category final : public boost::system::error_category {
public:
    constexpr error_category() noexcept : boost::system::error_category(0x8f1d6a1be47c2f05u) {}
    const char* name() const noexcept override { return "alos"; }
    std::string message(int code) const override
    {
        switch (static_cast<errc>(code)) {
        case errc::truncated: return "connection truncated: the peer closed without close_notify";
        case errc::closed: return "stream closed";
        case errc::bad_pem: return "no PEM block of the wanted kind";
        case errc::bad_certificate: return "certificate cannot be read";
        case errc::bad_private_key: return "private key cannot be read";
        case errc::unsupported_key: return "key type cannot sign in TLS 1.3";
        case errc::key_is_encrypted: return "private key is encrypted";
        case errc::wrong_passphrase: return "passphrase does not open the private key";
        case errc::key_mismatch: return "private key does not belong to the certificate";
        case errc::broken_chain: return "certificate chain does not link";
        case errc::bad_name: return "not a name that a certificate can be stored under";
        case errc::unknown_name: return "no certificate under that name";
        case errc::bad_configuration: return "contradictory configuration";
        case errc::timed_out: return "deadline passed";
        case errc::conflict: return "changed by somebody else meanwhile";
        case errc::lock_lost: return "the lock is no longer held";
        case errc::refused: return "refused by the certificate authority";
        }
        return "unknown error";
    }
};

inline const error_category& alos_category() noexcept
{
    static constexpr error_category category;
    return category;
}

inline error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), alos_category()}; }

// Why a call that sets something up failed: the code for programs, one sentence for people. The sentence names the
// file or entry at fault and the cure, and never contains a secret.
struct failure {
    error_code code;
    std::string what;
};

// Makes result<T, failure>::value() throw what a caller who does not check expects.
[[noreturn]] inline void throw_exception_from_error(const failure& why, const boost::source_location&)
{
    throw boost::system::system_error(why.code, why.what);
}

// A value, or the reason why there is none. `outcome<>` is success, or the reason.
template <class T = void>
using outcome = boost::system::result<T, failure>;

// What an exception says, for a log.
[[nodiscard]] inline std::string text_of_exception(const std::exception_ptr& thrown)
{
    try {
        std::rethrow_exception(thrown);
    } catch (const std::exception& each) {
        return each.what();
    } catch (...) {
        return "an exception that is no std::exception";
    }
}

}

namespace boost::system {
template <>
struct is_error_code_enum<alos::errc> : std::true_type {};
}

#endif
// ---- alos/bytes.hpp ----
// Views of bytes. A view never owns; it is for the length of a call unless the function says otherwise.
#ifndef ALOS_BYTES_HPP
#define ALOS_BYTES_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace alos::inline v0 {

using byte_view = std::span<const std::uint8_t>;
using byte_span = std::span<std::uint8_t>;
using byte_vector = std::vector<std::uint8_t>; // owned bytes that are not secret

inline byte_view as_bytes(std::string_view text) noexcept
{
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::string_view as_text(byte_view bytes) noexcept
{
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline bool equal(byte_view a, byte_view b) noexcept
{
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

// Copies all of `from` to the front of `to`, which must be at least as long and may overlap it.
// Note: GCC 12 turns std::ranges::copy over spans into a loop of single bytes at -O2.
inline void copy(byte_view from, byte_span to) noexcept
{
    if (!from.empty())
        std::memmove(to.data(), from.data(), from.size());
}

}

#endif
// ---- alos/unique_fd.hpp ----
// A file descriptor and who closes it.
#ifndef ALOS_UNIQUE_FD_HPP
#define ALOS_UNIQUE_FD_HPP


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
// ---- alos/secret.hpp ----
// Key material: wiped when it goes, moved and never copied, compared in constant time only.
#ifndef ALOS_SECRET_HPP
#define ALOS_SECRET_HPP


#include <array>
#include <cassert>
#include <cstring>

namespace alos::inline v0 {

// Overwrites `bytes` so that no optimiser can leave the stores out.
inline void wipe(byte_span bytes) noexcept
{
    if (bytes.empty())
        return;
    std::memset(bytes.data(), 0, bytes.size());
    __asm__ __volatile__("" : : "r"(bytes.data()) : "memory");
}

// Takes time that depends on the sizes only.
[[nodiscard]] inline bool equal_in_constant_time(byte_view a, byte_view b) noexcept
{
    if (a.size() != b.size())
        return false;
    std::uint8_t difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        difference |= a[i] ^ b[i];
    __asm__ __volatile__("" : "+r"(difference));
    return difference == 0;
}

// Up to Capacity secret bytes. There is no == and no <<, on purpose.
template <std::size_t Capacity>
class secret {
public:
    secret() noexcept = default;

    // `size` zero bytes, to be filled through `bytes()`; size <= Capacity.
    explicit secret(std::size_t size) noexcept : size_(size) { assert(size <= Capacity); }

    secret(secret&& other) noexcept : size_(other.size_)
    {
        copy(other.view(), bytes());
        other.clear();
    }

    secret& operator=(secret&& other) noexcept
    {
        if (this != &other) {
            clear();
            size_ = other.size_;
            copy(other.view(), bytes());
            other.clear();
        }
        return *this;
    }

    ~secret() { clear(); }

    [[nodiscard]] byte_view view() const noexcept { return {bytes_.data(), size_}; }
    [[nodiscard]] byte_span bytes() noexcept { return {bytes_.data(), size_}; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

    void clear() noexcept
    {
        wipe(bytes_);
        size_ = 0;
    }

private:
    std::array<std::uint8_t, Capacity> bytes_{};
    std::size_t size_ = 0;
};

}

#endif
// ---- alos/codec.hpp ----
// The presentation language of TLS (RFC 8446 3): `reader` takes bytes apart and `writer` puts them together.
#ifndef ALOS_CODEC_HPP
#define ALOS_CODEC_HPP


#include <cassert>

namespace alos::inline v0 {

// Reads big-endian numbers and length-prefixed vectors. Failure is sticky: after a read beyond the end every read
// gives zero or nothing, and ok() is false. Views that it gives out live as long as the bytes it reads.
class reader {
public:
    reader() noexcept = default;
    explicit reader(byte_view bytes) noexcept : rest_(bytes) {}

    std::uint8_t u8() noexcept { return static_cast<std::uint8_t>(number(1)); }
    std::uint16_t u16() noexcept { return static_cast<std::uint16_t>(number(2)); }
    std::uint32_t u24() noexcept { return number(3); }
    std::uint32_t u32() noexcept { return number(4); }

    // The next `size` bytes.
    byte_view bytes(std::size_t size) noexcept
    {
        if (size > rest_.size()) {
            fail();
            return {};
        }
        const byte_view taken = rest_.first(size);
        rest_ = rest_.subspan(size);
        return taken;
    }

    // RFC 8446 3.4: a vector whose length is a number of 1, 2 or 3 bytes and lies within min and max.
    byte_view vector8(std::size_t min = 0, std::size_t max = 0xff) noexcept { return vector(u8(), min, max); }
    byte_view vector16(std::size_t min = 0, std::size_t max = 0xffff) noexcept { return vector(u16(), min, max); }
    byte_view vector24(std::size_t min = 0, std::size_t max = 0xffffff) noexcept { return vector(u24(), min, max); }

    void fail() noexcept
    {
        ok_ = false;
        rest_ = {};
    }

    [[nodiscard]] bool ok() const noexcept { return ok_; }
    [[nodiscard]] bool empty() const noexcept { return rest_.empty(); }
    [[nodiscard]] byte_view rest() const noexcept { return rest_; }

    // Everything was read, and nothing was missing.
    [[nodiscard]] bool complete() const noexcept { return ok_ && rest_.empty(); }

private:
    std::uint32_t number(std::size_t size) noexcept
    {
        std::uint32_t value = 0;
        for (const std::uint8_t byte : bytes(size))
            value = value << 8 | byte;
        return value;
    }

    byte_view vector(std::size_t size, std::size_t min, std::size_t max) noexcept
    {
        if (size < min || size > max)
            fail();
        return ok_ ? bytes(size) : byte_view{};
    }

    byte_view rest_;
    bool ok_ = true;
};

// Appends to a byte_vector that it does not own. A vector's length is written after its contents are known.
class writer {
public:
    explicit writer(byte_vector& out) noexcept : out_(out) {}

    void u8(std::uint8_t value) { out_.push_back(value); }
    void u16(std::uint16_t value) { number(value, 2); }
    void u24(std::uint32_t value) { number(value, 3); }
    void u32(std::uint32_t value) { number(value, 4); }
    void bytes(byte_view value) { out_.insert(out_.end(), value.begin(), value.end()); }

    // RFC 8446 3.4: what `contents` writes, behind its length in 1, 2 or 3 bytes.
    template <class Contents>
    void vector8(Contents contents) { vector(1, contents); }
    template <class Contents>
    void vector16(Contents contents) { vector(2, contents); }
    template <class Contents>
    void vector24(Contents contents) { vector(3, contents); }

private:
    void number(std::uint32_t value, std::size_t size)
    {
        while (size-- > 0)
            out_.push_back(static_cast<std::uint8_t>(value >> (8 * size)));
    }

    template <class Contents>
    void vector(std::size_t prefix, Contents& contents)
    {
        const std::size_t start = out_.size();
        out_.resize(start + prefix);
        contents();
        std::size_t size = out_.size() - start - prefix;
        for (std::size_t i = prefix; i-- > 0; size >>= 8)
            out_[start + i] = static_cast<std::uint8_t>(size);
        assert(size == 0); // else the contents do not fit the vector
    }

    byte_vector& out_;
};

}

#endif
// ---- alos/buffer.hpp ----
// A contiguous byte queue whose memory comes from a thread's free lists: no malloc in steady state, and an idle
// connection gives its memory back.
#ifndef ALOS_BUFFER_HPP
#define ALOS_BUFFER_HPP


#include <array>
#include <bit>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

namespace alos::inline v0 {

// One thread's free blocks. A block may be taken from one thread's pool and given back to another's. When the thread has
// ended the pool is closed: what a static object still gives back is freed.
class block_pool {
public:
    // Idle read, small answers, one whole record, four records, sixteen records and their framing.
    static constexpr std::array<std::size_t, 5> sizes{1024, 4096, 20 * 1024, 80 * 1024, 288 * 1024};

    // The calling thread's pool.
    static block_pool& local() noexcept
    {
        static constinit thread_local block_pool pool; // without a destructor, so that it is always there
        static thread_local const sweeper at_exit{pool};
        return pool;
    }

    // A block of at least `wanted` bytes; its true size is put into `wanted`. Throws std::bad_alloc.
    std::uint8_t* take(std::size_t& wanted)
    {
        for (std::size_t i = 0; i < sizes.size(); ++i) {
            if (wanted > sizes[i])
                continue;
            wanted = sizes[i];
            if (free_block* block = std::exchange(free_[i], free_[i] ? free_[i]->next : nullptr)) {
                --count_[i];
                return reinterpret_cast<std::uint8_t*>(block);
            }
            return static_cast<std::uint8_t*>(::operator new(wanted));
        }
        wanted = std::bit_ceil(wanted);
        return static_cast<std::uint8_t*>(::operator new(wanted));
    }

    void give_back(std::uint8_t* memory, std::size_t size) noexcept
    {
        for (std::size_t i = 0; i < sizes.size(); ++i) {
            if (size == sizes[i] && count_[i] < kept_bytes / sizes[i] && !closed_) {
                ++count_[i];
                free_[i] = ::new (memory) free_block{free_[i]};
                return;
            }
        }
        ::operator delete(memory);
    }

    block_pool(const block_pool&) = delete;
    block_pool& operator=(const block_pool&) = delete;

private:
    struct free_block {
        free_block* next;
    };

    struct sweeper {
        block_pool& pool;

        ~sweeper()
        {
            pool.closed_ = true;
            for (free_block*& block : pool.free_) {
                while (block)
                    ::operator delete(std::exchange(block, block->next));
            }
        }
    };

    static constexpr std::size_t kept_bytes = 1152 * 1024; // of each size

    constexpr block_pool() noexcept = default;

    std::array<free_block*, sizes.size()> free_{};
    std::array<std::size_t, sizes.size()> count_{};
    bool closed_ = false;
};

// Bytes go in at the back and out at the front. Memory moves only in prepare().
class buffer {
public:
    buffer() noexcept = default;
    buffer(buffer&& other) noexcept { swap(other); }
    buffer& operator=(buffer&& other) noexcept
    {
        swap(other);
        return *this;
    }
    ~buffer() { release(); }

    void swap(buffer& other) noexcept
    {
        std::swap(memory_, other.memory_);
        std::swap(capacity_, other.capacity_);
        std::swap(begin_, other.begin_);
        std::swap(end_, other.end_);
    }

    [[nodiscard]] byte_span data() noexcept { return {memory_ + begin_, end_ - begin_}; }
    [[nodiscard]] byte_view data() const noexcept { return {memory_ + begin_, end_ - begin_}; }
    [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
    [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

    // All the room behind the contents, at least `size` bytes; may move the contents.
    byte_span prepare(std::size_t size)
    {
        if (capacity_ - end_ < size)
            make_room(size);
        return {memory_ + end_, capacity_ - end_};
    }

    // The first `size` bytes of what prepare() gave become contents.
    void commit(std::size_t size) noexcept
    {
        assert(size <= capacity_ - end_);
        end_ += size;
    }

    void append(byte_view bytes)
    {
        copy(bytes, prepare(bytes.size()));
        commit(bytes.size());
    }

    // Forgets the first `size` bytes of the contents; the rest stays where it is.
    void consume(std::size_t size) noexcept
    {
        assert(size <= this->size());
        begin_ += size;
        if (begin_ == end_)
            begin_ = end_ = 0;
    }

    // Gives the memory back; the contents are gone.
    void release() noexcept
    {
        if (memory_)
            block_pool::local().give_back(memory_, capacity_);
        memory_ = nullptr;
        capacity_ = begin_ = end_ = 0;
    }

private:
    void make_room(std::size_t size)
    {
        const std::size_t filled = this->size();
        if (capacity_ - filled >= size) {
            std::memmove(memory_, memory_ + begin_, filled);
        } else {
            std::size_t wanted = filled + size;
            std::uint8_t* memory = block_pool::local().take(wanted);
            if (filled != 0)
                std::memcpy(memory, memory_ + begin_, filled);
            if (memory_)
                block_pool::local().give_back(memory_, capacity_);
            memory_ = memory;
            capacity_ = wanted;
        }
        begin_ = 0;
        end_ = filled;
    }

    std::uint8_t* memory_ = nullptr;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

}

#endif
// ---- alos/log.hpp ----
// What alos says of itself: one record with named fields for each event, one hook for all of them. By default a line
// of text on stderr, or a line of JSON. What a peer sent is escaped, so that nobody else writes lines here; secrets
// are never given to it.
#ifndef ALOS_LOG_HPP
#define ALOS_LOG_HPP


#include <charconv>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include <unistd.h>

namespace alos::inline v0 {

enum class log_level : std::uint8_t { debug, info, warning, error, off };

// A name and its value. Both are views: they live as long as the call that logs.
struct log_field {
    log_field(std::string_view field_name, std::string_view text) noexcept : name(field_name), value(text) {}
    log_field(std::string_view field_name, const char* text) noexcept : name(field_name), value(std::string_view(text))
    {}
    log_field(std::string_view field_name, const std::string& text) noexcept
        : name(field_name), value(std::string_view(text))
    {}
    log_field(std::string_view field_name, std::integral auto number) noexcept
        : name(field_name), value(static_cast<std::int64_t>(number))
    {}

    std::string_view name;
    std::variant<std::string_view, std::int64_t> value;
};

// One event. The names of events have two parts: "server.start", "tls.handshake", "http.request".
struct log_record {
    std::chrono::system_clock::time_point time;
    log_level level;
    std::string_view event;
    std::span<const log_field> fields; // fields with empty text are left out when they are written
};

enum class log_format : std::uint8_t { text, json };

struct log_settings {
    log_level level = log_level::info;
    log_format format = log_format::text;
    // Takes the records instead of stderr. It is called from every thread of the server, at once.
    std::function<void(const log_record&)> hook{};
};

namespace detail {

inline std::string_view name_of(log_level level) noexcept
{
    switch (level) {
    case log_level::debug: return "DEBUG";
    case log_level::info: return "INFO";
    case log_level::warning: return "WARN";
    case log_level::error: return "ERROR";
    case log_level::off: break;
    }
    return "OFF";
}

// RFC 3339 in UTC, to the second.
inline void append_time(std::string& out, std::chrono::system_clock::time_point time)
{
    const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char text[32];
    out.append(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts));
}

inline void append_number(std::string& out, std::int64_t number)
{
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

// RFC 8259 7. Bytes from 0x7f on are written as if they were Latin-1: the line stays ASCII, whatever a peer sent.
inline void append_quoted(std::string& out, std::string_view text)
{
    constexpr char hex[] = "0123456789abcdef";
    out += '"';
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte < 0x20 || byte >= 0x7f) {
            out += "\\u00";
            out += hex[byte >> 4];
            out += hex[byte & 15];
        } else {
            out += c;
        }
    }
    out += '"';
}

// Text that cannot be mistaken for two fields is written bare.
inline void append_value(std::string& out, std::string_view text)
{
    for (const char c : text) {
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=')
            return append_quoted(out, text);
    }
    out += text;
}

inline bool is_blank(const log_field& field) noexcept
{
    const auto* text = std::get_if<std::string_view>(&field.value);
    return text && text->empty();
}

}

// 2026-11-22T10:04:31Z INFO  tls.handshake  peer=192.0.2.1:40312 sni=example.com
inline std::string to_text(const log_record& record, bool colour = false)
{
    constexpr std::string_view colours[] = {"\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[31m", ""};
    std::string out;
    out.reserve(160);
    detail::append_time(out, record.time);
    out += ' ';
    if (colour)
        out += colours[static_cast<std::size_t>(record.level)];
    const std::string_view level = detail::name_of(record.level);
    out += level;
    if (colour)
        out += "\x1b[0m";
    out.append(6 - level.size(), ' ');
    out += record.event;
    out += ' ';
    for (const log_field& field : record.fields) {
        if (detail::is_blank(field))
            continue;
        out += ' ';
        out += field.name;
        out += '=';
        if (const auto* text = std::get_if<std::string_view>(&field.value))
            detail::append_value(out, *text);
        else
            detail::append_number(out, std::get<std::int64_t>(field.value));
    }
    return out;
}

// {"time":"2026-11-22T10:04:31Z","level":"info","event":"tls.handshake","peer":"192.0.2.1:40312"}
inline std::string to_json(const log_record& record)
{
    constexpr std::string_view levels[] = {"debug", "info", "warning", "error", "off"};
    std::string out = "{\"time\":\"";
    detail::append_time(out, record.time);
    out += "\",\"level\":\"";
    out += levels[static_cast<std::size_t>(record.level)];
    out += "\",\"event\":";
    detail::append_quoted(out, record.event);
    for (const log_field& field : record.fields) {
        if (detail::is_blank(field))
            continue;
        out += ',';
        detail::append_quoted(out, field.name);
        out += ':';
        if (const auto* text = std::get_if<std::string_view>(&field.value))
            detail::append_quoted(out, *text);
        else
            detail::append_number(out, std::get<std::int64_t>(field.value));
    }
    out += '}';
    return out;
}

// The log of the default policy. Another one has the same two members and is made from log_settings.
// Both may be called from any thread at any time.
class logger {
public:
    logger() : logger(log_settings{}) {}

    explicit logger(log_settings settings)
        : settings_(std::move(settings)), colour_(::isatty(STDERR_FILENO) == 1 && !std::getenv("NO_COLOR"))
    {}

    // Ask first, so that a log that is off costs one branch.
    [[nodiscard]] bool takes(log_level level) const noexcept { return level >= settings_.level; }

    // Writes one line by one system call, so that lines of different threads do not mix. A log that cannot be written
    // is nobody's error.
    void write(const log_record& record) const
    {
        if (settings_.hook)
            return settings_.hook(record);
        std::string line = settings_.format == log_format::json ? to_json(record) : to_text(record, colour_);
        line += '\n';
        [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
    }

private:
    log_settings settings_;
    bool colour_;
};

// Gives `log` an event with its fields, if it wants to know. What a log or its hook throws is ignored: serving goes on.
template <class Log>
void log_event(const Log& log, log_level level, std::string_view event, std::initializer_list<log_field> fields) noexcept
{
    try {
        if (log.takes(level))
            log.write({std::chrono::system_clock::now(), level, event, {fields.begin(), fields.size()}});
    } catch (...) {
    }
}

}

#endif
// ---- alos/crypto/algorithms.hpp ----
// The algorithms of TLS 1.3 by their code points: what a crypto provider is asked for (RFC 8446 B.3, B.4).
#ifndef ALOS_CRYPTO_ALGORITHMS_HPP
#define ALOS_CRYPTO_ALGORITHMS_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace alos::inline v0 {

enum class hash_algorithm : std::uint8_t { sha256, sha384 };

inline constexpr std::size_t max_hash_size = 48;

[[nodiscard]] constexpr std::size_t hash_size(hash_algorithm hash) noexcept
{
    return hash == hash_algorithm::sha256 ? 32 : 48;
}

enum class aead_algorithm : std::uint8_t { aes_128_gcm, aes_256_gcm, chacha20_poly1305 };

inline constexpr std::size_t aead_tag_size = 16;
inline constexpr std::size_t aead_nonce_size = 12;
inline constexpr std::size_t max_aead_key_size = 32;

[[nodiscard]] constexpr std::size_t key_size(aead_algorithm aead) noexcept
{
    return aead == aead_algorithm::aes_128_gcm ? 16 : 32;
}

// RFC 8446 B.4
enum class cipher_suite : std::uint16_t {
    aes_128_gcm_sha256 = 0x1301,
    aes_256_gcm_sha384 = 0x1302,
    chacha20_poly1305_sha256 = 0x1303,
};

[[nodiscard]] constexpr bool is_known(cipher_suite suite) noexcept
{
    return suite >= cipher_suite::aes_128_gcm_sha256 && suite <= cipher_suite::chacha20_poly1305_sha256;
}

[[nodiscard]] constexpr hash_algorithm hash_of(cipher_suite suite) noexcept
{
    return suite == cipher_suite::aes_256_gcm_sha384 ? hash_algorithm::sha384 : hash_algorithm::sha256;
}

[[nodiscard]] constexpr aead_algorithm aead_of(cipher_suite suite) noexcept
{
    switch (suite) {
    case cipher_suite::aes_128_gcm_sha256: return aead_algorithm::aes_128_gcm;
    case cipher_suite::aes_256_gcm_sha384: return aead_algorithm::aes_256_gcm;
    default: return aead_algorithm::chacha20_poly1305;
    }
}

[[nodiscard]] constexpr std::string_view name_of(cipher_suite suite) noexcept
{
    switch (suite) {
    case cipher_suite::aes_128_gcm_sha256: return "TLS_AES_128_GCM_SHA256";
    case cipher_suite::aes_256_gcm_sha384: return "TLS_AES_256_GCM_SHA384";
    case cipher_suite::chacha20_poly1305_sha256: return "TLS_CHACHA20_POLY1305_SHA256";
    }
    return "unknown";
}

// RFC 8446 4.2.7
enum class named_group : std::uint16_t {
    secp256r1 = 0x0017,
    secp384r1 = 0x0018,
    x25519 = 0x001d,
    x25519mlkem768 = 0x11ec,
};

// The exact length of a client's share (RFC 8446 4.2.8.2); 0 for a group that alos does not speak.
[[nodiscard]] constexpr std::size_t client_share_size(named_group group) noexcept
{
    switch (group) {
    case named_group::secp256r1: return 65;
    case named_group::secp384r1: return 97;
    case named_group::x25519: return 32;
    case named_group::x25519mlkem768: return 1184 + 32;
    }
    return 0;
}

[[nodiscard]] constexpr bool is_known(named_group group) noexcept { return client_share_size(group) != 0; }

[[nodiscard]] constexpr std::string_view name_of(named_group group) noexcept
{
    switch (group) {
    case named_group::secp256r1: return "secp256r1";
    case named_group::secp384r1: return "secp384r1";
    case named_group::x25519: return "x25519";
    case named_group::x25519mlkem768: return "X25519MLKEM768";
    }
    return "unknown";
}

// RFC 8446 4.2.3. The PKCS#1 and SHA-1 schemes are listed because certificates may be signed with them; no
// handshake is.
enum class signature_scheme : std::uint16_t {
    rsa_pkcs1_sha1 = 0x0201,
    ecdsa_sha1 = 0x0203,
    rsa_pkcs1_sha256 = 0x0401,
    ecdsa_secp256r1_sha256 = 0x0403,
    rsa_pkcs1_sha384 = 0x0501,
    ecdsa_secp384r1_sha384 = 0x0503,
    rsa_pkcs1_sha512 = 0x0601,
    ecdsa_secp521r1_sha512 = 0x0603,
    rsa_pss_rsae_sha256 = 0x0804,
    rsa_pss_rsae_sha384 = 0x0805,
    rsa_pss_rsae_sha512 = 0x0806,
    ed25519 = 0x0807,
    rsa_pss_pss_sha256 = 0x0809,
    rsa_pss_pss_sha384 = 0x080a,
    rsa_pss_pss_sha512 = 0x080b,
};

[[nodiscard]] constexpr std::string_view name_of(signature_scheme scheme) noexcept
{
    switch (scheme) {
    case signature_scheme::rsa_pkcs1_sha1: return "rsa_pkcs1_sha1";
    case signature_scheme::ecdsa_sha1: return "ecdsa_sha1";
    case signature_scheme::rsa_pkcs1_sha256: return "rsa_pkcs1_sha256";
    case signature_scheme::ecdsa_secp256r1_sha256: return "ecdsa_secp256r1_sha256";
    case signature_scheme::rsa_pkcs1_sha384: return "rsa_pkcs1_sha384";
    case signature_scheme::ecdsa_secp384r1_sha384: return "ecdsa_secp384r1_sha384";
    case signature_scheme::rsa_pkcs1_sha512: return "rsa_pkcs1_sha512";
    case signature_scheme::ecdsa_secp521r1_sha512: return "ecdsa_secp521r1_sha512";
    case signature_scheme::rsa_pss_rsae_sha256: return "rsa_pss_rsae_sha256";
    case signature_scheme::rsa_pss_rsae_sha384: return "rsa_pss_rsae_sha384";
    case signature_scheme::rsa_pss_rsae_sha512: return "rsa_pss_rsae_sha512";
    case signature_scheme::ed25519: return "ed25519";
    case signature_scheme::rsa_pss_pss_sha256: return "rsa_pss_pss_sha256";
    case signature_scheme::rsa_pss_pss_sha384: return "rsa_pss_pss_sha384";
    case signature_scheme::rsa_pss_pss_sha512: return "rsa_pss_pss_sha512";
    }
    return "unknown";
}

// Kinds of keys that alos makes.
enum class key_kind : std::uint8_t { ecdsa_p256, ecdsa_p384, ed25519, rsa_2048 };

}

#endif
// ---- alos/crypto/provider.hpp ----
// What alos asks of a crypto library. `botan_crypto` is the one in use; tests and fuzzers bring their own.
#ifndef ALOS_CRYPTO_PROVIDER_HPP
#define ALOS_CRYPTO_PROVIDER_HPP


#include <concepts>

namespace alos::inline v0 {

// The largest is X25519MLKEM768's, two of 32 bytes.
inline constexpr std::size_t max_shared_secret_size = 64;

// RFC 8446 4.2.8.2, 7.4: the server's share, and the secret that both sides now have.
struct key_agreement {
    byte_vector share;
    secret<max_shared_secret_size> shared_secret;
};

// C::hash   a running digest: update(bytes); current(out) writes the digest of all so far and lets it go on.
// C::hmac   RFC 2104, one object for many keys: start(key); update(bytes); finish(out), out as long as the hash.
// C::aead   one key and direction: seal(nonce, ad, text, tag) encrypts text in place; open(nonce, ad, text_and_tag)
//           decrypts in place and is false if the tag is wrong, after which the text is worthless.
// agree     makes a key share for the group and agrees with the client's, whose length the caller has checked; an
//           error means that the client's share is not valid. random fills with unpredictable bytes.
// Only memory exhaustion may throw.
template <class C>
concept crypto_provider = std::copy_constructible<C> &&
    requires(const C crypto, typename C::hash hash, typename C::hmac hmac, typename C::aead aead, byte_view in,
             byte_span out, hash_algorithm h, aead_algorithm a, named_group group) {
        typename C::hash;
        requires std::constructible_from<typename C::hash, hash_algorithm>;
        hash.update(in);
        hash.current(out);
        requires std::constructible_from<typename C::hmac, hash_algorithm>;
        hmac.start(in);
        hmac.update(in);
        hmac.finish(out);
        requires std::constructible_from<typename C::aead, aead_algorithm, byte_view, bool>;
        aead.seal(in, in, out, out);
        { aead.open(in, in, out) } -> std::same_as<bool>;
        { crypto.agree(group, in) } -> std::same_as<result<key_agreement>>;
        crypto.random(out);
    };

}

#endif
// ---- alos/crypto/der.hpp ----
// DER as certificates and keys need it (X.690 8 and 10): definite lengths, tags of one byte.
#ifndef ALOS_CRYPTO_DER_HPP
#define ALOS_CRYPTO_DER_HPP


#include <array>

namespace alos::inline v0::der {

enum tag : std::uint8_t {
    boolean = 0x01,
    integer = 0x02,
    bit_string = 0x03,
    octet_string = 0x04,
    null = 0x05,
    object_identifier = 0x06,
    utf8_string = 0x0c,
    utc_time = 0x17,
    generalized_time = 0x18,
    bmp_string = 0x1e,
    sequence = 0x30,
    set = 0x31,
};

// [n] IMPLICIT of something primitive; [n] EXPLICIT, or IMPLICIT of something constructed.
[[nodiscard]] constexpr tag context(std::uint8_t n) noexcept { return static_cast<tag>(0x80 | n); }
[[nodiscard]] constexpr tag context_constructed(std::uint8_t n) noexcept { return static_cast<tag>(0xa0 | n); }

// One value: its tag, its contents, and both with the length between them.
struct element {
    tag type{};
    byte_view contents;
    byte_view whole;
};

// Reads values one after another. Failure is sticky, as in alos::reader: afterwards everything is empty.
class reader {
public:
    explicit reader(byte_view bytes) noexcept : rest_(bytes) {}

    element any() noexcept
    {
        const byte_view start = rest_;
        const std::uint8_t type = byte();
        const std::size_t size = length();
        if (!ok_ || size > rest_.size() || (type & 0x1f) == 0x1f) {
            fail();
            return {};
        }
        const byte_view contents = rest_.first(size);
        rest_ = rest_.subspan(size);
        return {static_cast<tag>(type), contents, start.first(start.size() - rest_.size())};
    }

    element whole(tag type) noexcept
    {
        if (!next_is(type))
            fail();
        return any();
    }

    byte_view read(tag type) noexcept { return whole(type).contents; }

    // The contents of an optional field, or nothing when another field stands in its place.
    byte_view read_if(tag type) noexcept { return next_is(type) ? read(type) : byte_view{}; }

    [[nodiscard]] bool next_is(tag type) const noexcept { return !rest_.empty() && rest_[0] == type; }
    [[nodiscard]] bool ok() const noexcept { return ok_; }
    [[nodiscard]] bool empty() const noexcept { return rest_.empty(); }
    [[nodiscard]] bool complete() const noexcept { return ok_ && rest_.empty(); }

    void fail() noexcept
    {
        ok_ = false;
        rest_ = {};
    }

private:
    std::uint8_t byte() noexcept
    {
        if (rest_.empty()) {
            fail();
            return 0;
        }
        const std::uint8_t first = rest_[0];
        rest_ = rest_.subspan(1);
        return first;
    }

    // At most 2^24 - 1: nothing that alos reads is longer.
    std::size_t length() noexcept
    {
        const std::uint8_t first = byte();
        if (first < 0x80)
            return first;
        const std::size_t digits = first & 0x7fu;
        if (digits == 0 || digits > 3)
            fail();
        std::size_t size = 0;
        for (std::size_t i = 0; i < digits; ++i)
            size = size << 8 | byte();
        return size;
    }

    byte_view rest_;
    bool ok_ = true;
};

// Appends values to Bytes, a byte_vector or one that is wiped, which it does not own.
template <class Bytes>
class writer {
public:
    explicit writer(Bytes& out) noexcept : out_(out) {}

    void raw(byte_view whole) { out_.insert(out_.end(), whole.begin(), whole.end()); }

    void value(tag type, byte_view contents)
    {
        nested(type, [&] { raw(contents); });
    }

    void small_integer(std::uint8_t number) // at most 127
    {
        value(integer, {&number, 1});
    }

    void truth() { value(boolean, std::array<std::uint8_t, 1>{0xff}); }

    // What `contents` writes, behind its tag and length.
    template <class Contents>
    void nested(tag type, Contents contents)
    {
        const std::size_t start = out_.size();
        contents();
        const std::size_t size = out_.size() - start;
        std::array<std::uint8_t, 5> header{type};
        std::size_t used = 1;
        if (size < 0x80) {
            header[used++] = static_cast<std::uint8_t>(size);
        } else {
            const std::size_t digits = size < 0x100 ? 1 : size < 0x10000 ? 2 : 3;
            header[used++] = static_cast<std::uint8_t>(0x80 | digits);
            for (std::size_t i = digits; i-- > 0;)
                header[used++] = static_cast<std::uint8_t>(size >> (8 * i));
        }
        const auto at = out_.begin() + static_cast<typename Bytes::difference_type>(start);
        out_.insert(at, header.begin(), header.begin() + static_cast<std::ptrdiff_t>(used));
    }

    // A BIT STRING of whole bytes.
    void bits(byte_view contents)
    {
        nested(bit_string, [&] {
            out_.push_back(0);
            raw(contents);
        });
    }

private:
    Bytes& out_;
};

}

#endif
// ---- alos/crypto/pem.hpp ----
// PEM (RFC 7468): finds the blocks in a text. Text around them, CRLF and blanks at line ends are tolerated.
#ifndef ALOS_CRYPTO_PEM_HPP
#define ALOS_CRYPTO_PEM_HPP


#include <botan/base64.h>
#include <botan/secmem.h>

#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace alos::inline v0 {

// Bytes and text that may hold a private key: wiped when they go.
using secret_bytes = Botan::secure_vector<std::uint8_t>;
using secret_text = Botan::secure_vector<char>;

inline std::string_view as_text(const secret_text& text) noexcept { return {text.data(), text.size()}; }

inline constexpr std::size_t max_pem_size = 1 << 20; // bytes of one bundle
inline constexpr std::size_t max_pem_blocks = 64;    // in one bundle

// One block: views into the text that it was found in.
struct pem_block {
    std::string_view label;   // "CERTIFICATE", "EC PRIVATE KEY", ...
    std::string_view headers; // "Proc-Type: 4,ENCRYPTED" and the like (RFC 1421), mostly empty
    std::string_view body;    // base64
};

namespace detail {

// Takes the next line off `text`, without its end and the blanks before it.
inline std::string_view take_line(std::string_view& text) noexcept
{
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t'))
        line.remove_suffix(1);
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t'))
        line.remove_prefix(1);
    return line;
}

// The label of a line like "-----BEGIN label-----"; empty for any other line.
inline std::string_view boundary(std::string_view line, std::string_view start) noexcept
{
    constexpr std::string_view dashes = "-----";
    if (!line.starts_with(start) || !line.ends_with(dashes) || line.size() <= start.size() + dashes.size())
        return {};
    return line.substr(start.size(), line.size() - start.size() - dashes.size());
}

// The text between two positions of one text.
inline std::string_view between(std::string_view from, std::string_view to) noexcept
{
    return from.substr(0, from.size() - to.size());
}

}

// All blocks, in order; fails when there is none, or one does not end.
[[nodiscard]] inline outcome<std::vector<pem_block>> parse_pem(std::string_view text)
{
    if (text.size() > max_pem_size)
        return failure{errc::bad_pem, "the PEM text is larger than 1 MiB; leave out what is not needed"};
    if (text.starts_with("\xef\xbb\xbf")) // a byte order mark
        text.remove_prefix(3);
    const bool looks_like_der = text.size() > 1 && text[0] == 0x30 && (text[1] & 0x80) != 0;
    std::vector<pem_block> blocks;
    while (!text.empty()) {
        const std::string_view label = detail::boundary(detail::take_line(text), "-----BEGIN ");
        if (label.empty())
            continue;
        if (blocks.size() == max_pem_blocks)
            return failure{errc::bad_pem, "more than 64 PEM blocks; leave out what is not needed"};
        const std::string_view inside = text;
        std::string_view body = text;
        std::string_view end;
        std::string_view headers;
        while (true) {
            const std::string_view here = text;
            const std::string_view line = detail::take_line(text);
            end = detail::boundary(line, "-----END ");
            if (!end.empty()) {
                body = detail::between(body, here);
                break;
            }
            if (text.empty() || line.starts_with("-----"))
                return failure{errc::bad_pem, "a BEGIN line without its END line; the text is cut off or damaged"};
            if (line.find(':') != std::string_view::npos) {
                headers = detail::between(inside, text);
                body = text;
            }
        }
        if (end != label)
            return failure{errc::bad_pem, "a BEGIN line and its END line differ; the text is damaged"};
        blocks.push_back({label, headers, body});
    }
    if (blocks.empty() && looks_like_der)
        return failure{errc::bad_pem, "this is DER or PKCS#12, not PEM; convert it (openssl x509 -inform DER, "
                                      "openssl pkey -inform DER, or openssl pkcs12 -nodes)"};
    if (blocks.empty())
        return failure{errc::bad_pem, "no PEM block in it; PEM starts with a line like -----BEGIN CERTIFICATE-----"};
    return blocks;
}

// The bytes of a block; fails when its body is not base64.
[[nodiscard]] inline result<secret_bytes> decode_pem(const pem_block& block)
{
    try {
        return Botan::base64_decode(block.body);
    } catch (const std::exception&) {
        return make_error_code(errc::bad_pem);
    }
}

// A block with this label and these bytes.
[[nodiscard]] inline secret_text encode_pem(std::string_view label, byte_view der)
{
    secret_text base64(Botan::base64_encode_max_output(der.size()));
    std::size_t consumed = 0;
    base64.resize(Botan::base64_encode(base64.data(), der.data(), der.size(), consumed, true));

    secret_text out;
    out.reserve(base64.size() + base64.size() / 64 + 2 * label.size() + 40);
    const auto append = [&](std::string_view text) { out.insert(out.end(), text.begin(), text.end()); };
    append("-----BEGIN ");
    append(label);
    append("-----\n");
    for (std::size_t at = 0; at < base64.size(); at += 64) {
        append(as_text(base64).substr(at, 64));
        append("\n");
    }
    append("-----END ");
    append(label);
    append("-----\n");
    return out;
}

}

#endif
// ---- alos/crypto/spare.hpp ----
// Objects that are dearer to make than to use are kept by each thread for the next connection.
#ifndef ALOS_CRYPTO_SPARE_HPP
#define ALOS_CRYPTO_SPARE_HPP

#include <array>
#include <cstddef>
#include <memory>

namespace alos::inline v0 {

// One thread's idle objects: at most Most of each of Kinds kinds. They are freed when the thread ends; what comes back
// after that, from the destructor of a static object, is freed at once.
template <class T, std::size_t Kinds, std::size_t Most = 32>
class spares {
public:
    // Whoever is done with a T clears it and keeps it here.
    struct recycler {
        std::size_t kind;

        void operator()(T* object) const noexcept
        {
            object->clear();
            shelf& mine = local();
            if (mine.closed || mine.count[kind] == Most)
                delete object;
            else
                mine.objects[kind][mine.count[kind]++] = object;
        }
    };

    using pointer = std::unique_ptr<T, recycler>;

    // An idle object of this kind, or what `make` makes: a unique_ptr to T.
    template <class Make>
    [[nodiscard]] static pointer take(std::size_t kind, Make make)
    {
        shelf& mine = local();
        T* const object = mine.count[kind] != 0 ? mine.objects[kind][--mine.count[kind]] : make().release();
        return pointer(object, recycler{kind});
    }

private:
    struct shelf { // without a destructor: it is still there when the thread's other objects are gone
        std::array<std::array<T*, Most>, Kinds> objects{};
        std::array<std::size_t, Kinds> count{};
        bool closed = false;
    };

    struct sweeper {
        shelf& mine;

        ~sweeper()
        {
            mine.closed = true;
            for (std::size_t kind = 0; kind < Kinds; ++kind) {
                while (mine.count[kind] != 0)
                    delete mine.objects[kind][--mine.count[kind]];
            }
        }
    };

    static shelf& local() noexcept
    {
        static constinit thread_local shelf mine;
        static thread_local const sweeper at_exit{mine};
        return mine;
    }
};

}

#endif
// ---- alos/crypto/botan.hpp ----
// The crypto provider on Botan 3. Botan's exceptions end here; its random bytes are the system's.
#ifndef ALOS_CRYPTO_BOTAN_HPP
#define ALOS_CRYPTO_BOTAN_HPP


#include <botan/aead.h>
#include <botan/ec_group.h>
#include <botan/ecdh.h>
#include <botan/exceptn.h>
#include <botan/hash.h>
#include <botan/mac.h>
#include <botan/ml_kem.h>
#include <botan/pk_algs.h>
#include <botan/pubkey.h>
#include <botan/system_rng.h>
#include <botan/x25519.h>

#include <memory>
#include <string_view>

namespace alos::inline v0 {

struct botan_crypto {
    class hash {
    public:
        explicit hash(hash_algorithm algorithm)
            : state_(kept::take(algorithm == hash_algorithm::sha384, [=] {
                return Botan::HashFunction::create_or_throw(algorithm == hash_algorithm::sha256 ? "SHA-256"
                                                                                                 : "SHA-384");
            }))
        {}

        void update(byte_view bytes) { state_->update(bytes); }
        void current(byte_span out) const { state_->copy_state()->final(out.first(state_->output_length())); }

    private:
        using kept = spares<Botan::HashFunction, 2>;
        kept::pointer state_;
    };

    class hmac {
    public:
        explicit hmac(hash_algorithm algorithm)
            : state_(kept::take(algorithm == hash_algorithm::sha384, [=] {
                return Botan::MessageAuthenticationCode::create_or_throw(
                    algorithm == hash_algorithm::sha256 ? "HMAC(SHA-256)" : "HMAC(SHA-384)");
            }))
        {}

        void start(byte_view key) { state_->set_key(key); }
        void update(byte_view bytes) { state_->update(bytes); }
        void finish(byte_span out) { state_->final(out.first(state_->output_length())); }

    private:
        using kept = spares<Botan::MessageAuthenticationCode, 2>;
        kept::pointer state_;
    };

    class aead {
    public:
        aead(aead_algorithm algorithm, byte_view key, bool sealing)
            : mode_(kept::take(2 * static_cast<std::size_t>(algorithm) + sealing, [=] {
                return Botan::AEAD_Mode::create_or_throw(
                    name_of(algorithm), sealing ? Botan::Cipher_Dir::Encryption : Botan::Cipher_Dir::Decryption);
            }))
            , granularity_(mode_->update_granularity())
        {
            mode_->set_key(key);
        }

        // All but an unfinished block is encrypted where it stands; the tail goes through a small reused vector.
        void seal(byte_view nonce, byte_view ad, byte_span text, byte_span tag)
        {
            const std::size_t whole = begin(nonce, ad, text, text.size());
            mode_->finish(tail_);
            copy(byte_view(tail_).first(text.size() - whole), text.subspan(whole));
            copy(byte_view(tail_).subspan(text.size() - whole), tag);
        }

        [[nodiscard]] bool open(byte_view nonce, byte_view ad, byte_span text_and_tag)
        {
            if (text_and_tag.size() < aead_tag_size)
                return false;
            try {
                const std::size_t whole = begin(nonce, ad, text_and_tag, text_and_tag.size() - aead_tag_size);
                mode_->finish(tail_);
                copy(tail_, text_and_tag.subspan(whole));
                return true;
            } catch (const Botan::Exception&) {
                return false;
            }
        }

    private:
        static constexpr const char* name_of(aead_algorithm algorithm) noexcept
        {
            switch (algorithm) {
            case aead_algorithm::aes_128_gcm: return "AES-128/GCM";
            case aead_algorithm::aes_256_gcm: return "AES-256/GCM";
            default: return "ChaCha20Poly1305";
            }
        }

        std::size_t begin(byte_view nonce, byte_view ad, byte_span bytes, std::size_t size)
        {
            const std::size_t whole = size - size % granularity_;
            mode_->set_associated_data(ad);
            mode_->start(nonce);
            mode_->process(bytes.first(whole));
            tail_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(whole), bytes.end());
            return whole;
        }

        using kept = spares<Botan::AEAD_Mode, 6>;
        kept::pointer mode_;
        std::size_t granularity_;
        Botan::secure_vector<std::uint8_t> tail_;
    };

    // RFC 8446 7.4
    [[nodiscard]] result<key_agreement> agree(named_group group, byte_view client_share) const
    {
        try {
            switch (group) {
            case named_group::x25519: return agree_x25519(client_share);
            case named_group::secp256r1: return agree_ecdh("secp256r1", client_share);
            case named_group::secp384r1: return agree_ecdh("secp384r1", client_share);
            case named_group::x25519mlkem768: return agree_hybrid(client_share);
            }
        } catch (const Botan::Exception&) {
            // A point that is not on the curve, of low order, or a malformed ML-KEM key.
        }
        return make_error_code(boost::system::errc::invalid_argument);
    }

    void random(byte_span out) const { Botan::system_rng().randomize(out); }

private:
    static void append_secret(key_agreement& agreed, byte_view more)
    {
        secret<max_shared_secret_size> both(agreed.shared_secret.size() + more.size());
        copy(agreed.shared_secret.view(), both.bytes());
        copy(more, both.bytes().subspan(agreed.shared_secret.size()));
        agreed.shared_secret = std::move(both);
    }

    static key_agreement agree_x25519(byte_view client_share)
    {
        auto& rng = Botan::system_rng();
        const Botan::X25519_PrivateKey key(rng);
        const Botan::PK_Key_Agreement agreement(key, rng, "Raw");
        const auto shared = agreement.derive_key(0, client_share.data(), client_share.size()).bits_of();
        key_agreement agreed{.share = key.public_value(), .shared_secret = {}};
        append_secret(agreed, shared);
        return agreed;
    }

    static result<key_agreement> agree_ecdh(std::string_view curve, byte_view client_share)
    {
        if (client_share[0] != 0x04) // RFC 8446 4.2.8.2: uncompressed points only
            return make_error_code(boost::system::errc::invalid_argument);
        auto& rng = Botan::system_rng();
        const Botan::ECDH_PrivateKey key(rng, Botan::EC_Group::from_name(curve));
        const Botan::PK_Key_Agreement agreement(key, rng, "Raw");
        const auto shared = agreement.derive_key(0, client_share.data(), client_share.size()).bits_of();
        key_agreement agreed{.share = key.public_value(), .shared_secret = {}};
        append_secret(agreed, shared);
        return agreed;
    }

    // draft-ietf-tls-ecdhe-mlkem: ML-KEM first, in the shares and in the secret.
    static key_agreement agree_hybrid(byte_view client_share)
    {
        constexpr std::size_t encapsulation_key_size = 1184;
        auto& rng = Botan::system_rng();
        const Botan::ML_KEM_PublicKey encapsulation_key(client_share.first(encapsulation_key_size),
                                                        Botan::ML_KEM_Mode::ML_KEM_768);
        const auto kem = Botan::PK_KEM_Encryptor(encapsulation_key, "Raw").encrypt(rng);
        key_agreement classical = agree_x25519(client_share.subspan(encapsulation_key_size));
        key_agreement agreed{.share = kem.encapsulated_shared_key(), .shared_secret = {}};
        agreed.share.insert(agreed.share.end(), classical.share.begin(), classical.share.end());
        append_secret(agreed, kem.shared_key());
        append_secret(agreed, classical.shared_secret.view());
        return agreed;
    }
};

static_assert(crypto_provider<botan_crypto>);

}

#endif
// ---- alos/crypto/botan_key.hpp ----
// Private keys by Botan: read from PEM (RFC 5958, 5915, 8017), made, and signed with. Botan's exceptions end here.
#ifndef ALOS_CRYPTO_BOTAN_KEY_HPP
#define ALOS_CRYPTO_BOTAN_KEY_HPP


#include <botan/ec_group.h>
#include <botan/ecdsa.h>
#include <botan/ed25519.h>
#include <botan/pkcs8.h>
#include <botan/pubkey.h>
#include <botan/rsa.h>
#include <botan/system_rng.h>

#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace alos::inline v0 {

// How Botan calls what a scheme does to a message; nothing for a scheme that signs no handshake (RFC 8446 4.2.3).
[[nodiscard]] inline std::string_view signature_padding(signature_scheme scheme) noexcept
{
    switch (scheme) {
    case signature_scheme::ecdsa_secp256r1_sha256: return "SHA-256";
    case signature_scheme::ecdsa_secp384r1_sha384: return "SHA-384";
    case signature_scheme::ed25519: return "Pure";
    case signature_scheme::rsa_pss_rsae_sha256:
    case signature_scheme::rsa_pss_pss_sha256: return "PSS(SHA-256,MGF1,32)";
    case signature_scheme::rsa_pss_rsae_sha384:
    case signature_scheme::rsa_pss_pss_sha384: return "PSS(SHA-384,MGF1,48)";
    case signature_scheme::rsa_pss_rsae_sha512:
    case signature_scheme::rsa_pss_pss_sha512: return "PSS(SHA-512,MGF1,64)";
    default: return {};
    }
}

// ECDSA signatures are a DER SEQUENCE in TLS (RFC 8446 4.2.3); others have one form only.
[[nodiscard]] inline Botan::Signature_Format signature_format(const Botan::Public_Key& key)
{
    return key.algo_name() == "ECDSA" ? Botan::Signature_Format::DerSequence : Botan::Signature_Format::Standard;
}

// How an ECDSA signature is written: as a DER SEQUENCE (RFC 3279 2.2.3), or as r and s side by side, each as wide as
// the curve's order (RFC 7518 3.4). Other signatures have one form only.
enum class ecdsa_form : std::uint8_t { der, raw };

// A private key that any number of threads may sign with.
class private_key {
public:
    explicit private_key(std::unique_ptr<Botan::Private_Key> key) noexcept : key_(std::move(key)) {}

    [[nodiscard]] static outcome<std::shared_ptr<const private_key>> generate(key_kind kind)
    {
        try {
            return std::make_shared<const private_key>(make(kind));
        } catch (const std::exception& error) {
            return failure{errc::bad_private_key, std::string("a new key cannot be made: ") + error.what()};
        }
    }

    // Signs as CertificateVerify does (RFC 8446 4.4.3), with one of the schemes_of() this key.
    [[nodiscard]] result<byte_vector> sign(signature_scheme scheme, byte_view content) const
    {
        if (signature_padding(scheme).empty())
            return make_error_code(errc::unsupported_key);
        try {
            std::unique_ptr<Botan::PK_Signer> signer = take(scheme);
            signer->update(content);
            byte_vector signature = signer->signature(Botan::system_rng());
            put_back(scheme, std::move(signer));
            return signature;
        } catch (const std::exception&) {
            return make_error_code(errc::bad_private_key);
        }
    }

    // Signs what is no handshake, such as a certificate request or a JWS, by the document_scheme_of() this key.
    // Note: a new signer each time; such signatures are rare.
    [[nodiscard]] result<byte_vector> sign_document(signature_scheme scheme, byte_view content, ecdsa_form form) const
    {
        const bool is_rsa = scheme == signature_scheme::rsa_pkcs1_sha256;
        const std::string_view padding = is_rsa ? "PKCS1v15(SHA-256)" : signature_padding(scheme);
        if (padding.empty())
            return make_error_code(errc::unsupported_key);
        try {
            const bool raw = form == ecdsa_form::raw;
            const auto format = raw ? Botan::Signature_Format::Standard : signature_format(*key_);
            Botan::PK_Signer signer(*key_, Botan::system_rng(), padding, format);
            return signer.sign_message(content, Botan::system_rng());
        } catch (const std::exception&) {
            return make_error_code(errc::bad_private_key);
        }
    }

    // SubjectPublicKeyInfo (RFC 5280 4.1.2.7), in the form that Botan gives every key of the type.
    [[nodiscard]] byte_vector public_key_info() const { return key_->subject_public_key(); }

    // PrivateKeyInfo as PEM (RFC 5958), not encrypted.
    [[nodiscard]] secret_text to_pem() const { return encode_pem("PRIVATE KEY", key_->private_key_info()); }

private:
    struct idle_signer {
        signature_scheme scheme;
        std::unique_ptr<Botan::PK_Signer> signer;
    };

    static std::unique_ptr<Botan::Private_Key> make(key_kind kind)
    {
        Botan::RandomNumberGenerator& random = Botan::system_rng();
        switch (kind) {
        case key_kind::ecdsa_p384:
            return std::make_unique<Botan::ECDSA_PrivateKey>(random, Botan::EC_Group::from_name("secp384r1"));
        case key_kind::ed25519: return std::make_unique<Botan::Ed25519_PrivateKey>(random);
        case key_kind::rsa_2048: return std::make_unique<Botan::RSA_PrivateKey>(random, 2048);
        case key_kind::ecdsa_p256: break;
        }
        return std::make_unique<Botan::ECDSA_PrivateKey>(random, Botan::EC_Group::from_name("secp256r1"));
    }

    std::unique_ptr<Botan::PK_Signer> take(signature_scheme scheme) const
    {
        {
            const std::lock_guard lock(mutex_);
            for (auto i = idle_.rbegin(); i != idle_.rend(); ++i) {
                if (i->scheme != scheme)
                    continue;
                auto signer = std::move(i->signer);
                *i = std::move(idle_.back());
                idle_.pop_back();
                return signer;
            }
        }
        return std::make_unique<Botan::PK_Signer>(*key_, Botan::system_rng(), signature_padding(scheme),
                                                  signature_format(*key_));
    }

    void put_back(signature_scheme scheme, std::unique_ptr<Botan::PK_Signer> signer) const
    {
        const std::lock_guard lock(mutex_);
        idle_.push_back({scheme, std::move(signer)});
    }

    const std::unique_ptr<Botan::Private_Key> key_;

    // A signer serves one signature at a time, and a new one for RSA costs as much as a signature. There are never
    // more of them than threads that signed at once.
    mutable std::mutex mutex_;
    mutable std::vector<idle_signer> idle_;
};

using private_key_ptr = std::shared_ptr<const private_key>;

[[nodiscard]] inline bool is_private_key(const pem_block& block) noexcept
{
    return block.label.ends_with("PRIVATE KEY");
}

namespace detail {

// The contents of an OBJECT IDENTIFIER.
template <class... Bytes>
constexpr auto oid(Bytes... bytes) noexcept
{
    return std::array<std::uint8_t, sizeof...(Bytes)>{static_cast<std::uint8_t>(bytes)...};
}

inline constexpr auto oid_rsa = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01);
inline constexpr auto oid_rsa_pss = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a);
inline constexpr auto oid_ed25519 = oid(0x2b, 0x65, 0x70);
inline constexpr auto oid_ec_public_key = oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01);
inline constexpr auto oid_p256 = oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07);
inline constexpr auto oid_p384 = oid(0x2b, 0x81, 0x04, 0x00, 0x22);
inline constexpr auto oid_pbes2 = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d);
inline constexpr auto oid_pbkdf2 = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c);

// RFC 5958 2: a key as Botan reads it, from its AlgorithmIdentifier's contents and the algorithm's own format.
inline secret_bytes private_key_info(byte_view algorithm, byte_view key)
{
    secret_bytes der;
    der.reserve(algorithm.size() + key.size() + 32);
    der::writer out(der);
    out.nested(der::sequence, [&] {
        out.small_integer(0);
        out.value(der::sequence, algorithm);
        out.value(der::octet_string, key);
    });
    return der;
}

inline failure unreadable_key()
{
    return {errc::bad_private_key, "the private key cannot be read; it is damaged, restore it"};
}

// Whether an AlgorithmIdentifier is of a key that could sign in TLS 1.3.
inline bool is_usable_algorithm(byte_view algorithm) noexcept
{
    der::reader in(algorithm);
    const byte_view type = in.read(der::object_identifier);
    if (!equal(type, oid_ec_public_key))
        return equal(type, oid_rsa) || equal(type, oid_rsa_pss) || equal(type, oid_ed25519);
    const byte_view curve = in.read_if(der::object_identifier);
    return equal(curve, oid_p256) || equal(curve, oid_p384);
}

inline outcome<private_key_ptr> load_private_key(byte_view algorithm, byte_view key)
{
    // Whatever else this build of Botan can read.
    if (!is_usable_algorithm(algorithm))
        return failure{errc::unsupported_key, "TLS 1.3 cannot be served here with a private key of this type; use "
                                              "ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits or more"};
    try {
        return std::make_shared<const private_key>(
            Botan::PKCS8::load_key(std::span<const std::uint8_t>(private_key_info(algorithm, key))));
    } catch (const std::exception&) {
        return unreadable_key();
    }
}

// RFC 5958 2. Version 1 adds the public key, which is left out.
inline outcome<private_key_ptr> load_pkcs8(byte_view bytes)
{
    der::reader in(bytes);
    der::reader info(in.read(der::sequence));
    info.read(der::integer);
    const byte_view algorithm = info.read(der::sequence);
    const byte_view key = info.read(der::octet_string);
    if (!in.complete() || !info.ok())
        return unreadable_key();
    return load_private_key(algorithm, key);
}

// RFC 5915 3. The curve is in the key, or in an EC PARAMETERS block before it.
inline outcome<private_key_ptr> load_sec1(byte_view bytes, byte_view parameters)
{
    der::reader in(bytes);
    der::reader key(in.read(der::sequence));
    key.read(der::integer);
    key.read(der::octet_string);
    if (key.next_is(der::context_constructed(0)))
        parameters = key.read(der::context_constructed(0));
    if (!in.complete() || !key.ok())
        return unreadable_key();
    if (parameters.empty())
        return failure{errc::bad_private_key, "the EC private key names no curve; convert it: "
                                              "openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW"};
    byte_vector algorithm;
    der::writer out(algorithm);
    out.value(der::object_identifier, oid_ec_public_key);
    out.raw(parameters);
    return load_private_key(algorithm, bytes);
}

// RFC 8017 A.1.2
inline outcome<private_key_ptr> load_pkcs1(byte_view bytes)
{
    byte_vector algorithm;
    der::writer out(algorithm);
    out.value(der::object_identifier, oid_rsa);
    out.value(der::null, {});
    return load_private_key(algorithm, bytes);
}

// Whether an EncryptedPrivateKeyInfo (RFC 5958 3) uses PBES2 with PBKDF2 (RFC 8018 A.2, A.4).
inline bool uses_pbkdf2(byte_view bytes) noexcept
{
    der::reader in(bytes);
    der::reader info(in.read(der::sequence));
    der::reader algorithm(info.read(der::sequence));
    const bool pbes2 = equal(algorithm.read(der::object_identifier), oid_pbes2);
    der::reader parameters(algorithm.read(der::sequence));
    der::reader derivation(parameters.read(der::sequence));
    return pbes2 && equal(derivation.read(der::object_identifier), oid_pbkdf2);
}

inline outcome<private_key_ptr> load_encrypted(byte_view bytes, std::string_view passphrase)
{
    if (passphrase.empty())
        return failure{errc::key_is_encrypted, "the private key is encrypted; give its passphrase, or decrypt it: "
                                               "openssl pkey -in OLD -out NEW"};
    try {
        return std::make_shared<const private_key>(
            Botan::PKCS8::load_key(std::span<const std::uint8_t>(bytes), passphrase));
    } catch (const std::exception&) {
        if (uses_pbkdf2(bytes))
            return failure{errc::wrong_passphrase,
                           "the passphrase does not open the private key; give the right one"};
        return failure{errc::bad_private_key,
                       "the private key is encrypted by a method that is not read here (scrypt or PBES1); convert it: "
                       "openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW"};
    }
}

}

// The key of a block that is_private_key(). `ec_parameters` is the DER of an EC PARAMETERS block, if there is one.
[[nodiscard]] inline outcome<private_key_ptr> parse_private_key(const pem_block& block, std::string_view passphrase,
                                                                byte_view ec_parameters)
{
    if (block.headers.find("ENCRYPTED") != std::string_view::npos)
        return failure{errc::key_is_encrypted,
                       "the private key is encrypted in an old format (Proc-Type: 4,ENCRYPTED) that is not read here; "
                       "convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW"};
    const auto bytes = decode_pem(block);
    if (!bytes)
        return detail::unreadable_key();
    if (block.label == "PRIVATE KEY")
        return detail::load_pkcs8(*bytes);
    if (block.label == "ENCRYPTED PRIVATE KEY")
        return detail::load_encrypted(*bytes, passphrase);
    if (block.label == "EC PRIVATE KEY")
        return detail::load_sec1(*bytes, ec_parameters);
    if (block.label == "RSA PRIVATE KEY")
        return detail::load_pkcs1(*bytes);
    return failure{errc::unsupported_key, "a key in the format " + std::string(block.label)
                                              + " cannot be used; PKCS#8, SEC1 and PKCS#1 can"};
}

}

#endif
// ---- alos/crypto/botan_x509.hpp ----
// X.509 certificates (RFC 5280): what a server needs to know of one. Botan checks the signatures.
#ifndef ALOS_CRYPTO_BOTAN_X509_HPP
#define ALOS_CRYPTO_BOTAN_X509_HPP


#include <botan/hash.h>
#include <botan/x509_key.h>

#include <algorithm>
#include <chrono>

namespace alos::inline v0 {

using system_time = std::chrono::system_clock::time_point;

// What a public key is good for in TLS 1.3 (RFC 8446 4.2.3).
struct public_key_facts {
    enum class type { other, ecdsa_p256, ecdsa_p384, ed25519, rsa, rsa_pss };

    type kind = type::other;
    std::size_t bits = 0;     // of RSA
    std::string text;         // "ECDSA P-256", "RSA 2048", ...
    std::size_t pss_hash = 0; // bits of the one hash that an RSASSA-PSS key is restricted to (RFC 4055 3.1); 0: any
};

// What a certificate is signed with.
struct certificate_signature {
    // As a ClientHello names it (RFC 8446 4.2.3), and rsa_pss_rsae for every PSS; 0 when TLS has no name for it.
    signature_scheme scheme{};
    bool is_weak = false; // by MD5 or SHA-1: no client accepts it
    std::string method;   // for Botan; empty when it cannot be checked
};

// One certificate. The views are into `der`, so it is moved and not copied.
struct certificate {
    byte_vector der;
    byte_view signed_part; // TBSCertificate
    byte_view serial;      // the contents of the INTEGER, with a leading 00 where DER wants one
    byte_view issuer;      // a Name
    byte_view subject;     // a Name
    system_time not_before;
    system_time not_after;
    byte_view public_key_info;
    std::vector<std::string_view> dns_names; // of subjectAltName (4.2.1.6), as they are written
    std::vector<byte_view> addresses;        // the same, 4 or 16 bytes each
    byte_view extensions;                    // the contents of Extensions, for find_extension()
    public_key_facts key;
    certificate_signature signature;
    byte_view signature_value;

    certificate() = default;
    certificate(certificate&&) noexcept = default;
    certificate& operator=(certificate&&) noexcept = default;
};

namespace detail {

inline constexpr auto oid_pkcs1 = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01); // and one byte
inline constexpr auto oid_ecdsa_with_sha2 = oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03); // and one byte
inline constexpr auto oid_ecdsa_with_sha1 = oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01);
inline constexpr auto oid_p521 = oid(0x2b, 0x81, 0x04, 0x00, 0x23);
inline constexpr auto oid_sha2 = oid(0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02); // and one byte
inline constexpr auto oid_subject_alt_name = oid(0x55, 0x1d, 0x11);

// The byte that follows `stem` in an OID that has just one more; 0 for any other.
inline std::uint8_t last_of(byte_view oid, byte_view stem) noexcept
{
    return oid.size() == stem.size() + 1 && equal(oid.first(stem.size()), stem) ? oid.back() : 0;
}

// RFC 4055 3.1: RSASSA-PSS-params.
struct pss_parameters {
    std::size_t hash = 160; // bits; what TLS does not use counts as SHA-1, the default
    std::size_t salt = 20;  // bytes

    explicit pss_parameters(byte_view contents) noexcept
    {
        der::reader fields(contents);
        der::reader algorithm(der::reader(fields.read_if(der::context_constructed(0))).read(der::sequence));
        switch (last_of(algorithm.read(der::object_identifier), oid_sha2)) {
        case 1: hash = 256; break;
        case 2: hash = 384; break;
        case 3: hash = 512; break;
        default: break;
        }
        fields.read_if(der::context_constructed(1));
        const byte_view number = der::reader(fields.read_if(der::context_constructed(2))).read(der::integer);
        if (!number.empty() && number.size() <= 2)
            salt = number.size() == 1 ? number[0] : static_cast<std::size_t>(number[0] << 8 | number[1]);
    }
};

inline certificate_signature read_signature_algorithm(byte_view contents)
{
    using enum signature_scheme;
    der::reader in(contents);
    const byte_view oid = in.read(der::object_identifier);
    if (equal(oid, oid_ed25519))
        return {ed25519, false, "Pure"};
    if (equal(oid, oid_ecdsa_with_sha1))
        return {ecdsa_sha1, true, {}};
    if (equal(oid, oid_rsa_pss)) {
        const pss_parameters pss(in.read_if(der::sequence));
        const std::string method = "PSS(SHA-" + std::to_string(pss.hash) + ",MGF1," + std::to_string(pss.salt) + ")";
        switch (pss.hash) {
        case 256: return {rsa_pss_rsae_sha256, false, method};
        case 384: return {rsa_pss_rsae_sha384, false, method};
        case 512: return {rsa_pss_rsae_sha512, false, method};
        default: return {{}, true, {}};
        }
    }
    switch (last_of(oid, oid_pkcs1)) {
    case 0x04: return {{}, true, {}}; // MD5
    case 0x05: return {rsa_pkcs1_sha1, true, {}};
    case 0x0b: return {rsa_pkcs1_sha256, false, "PKCS1v15(SHA-256)"};
    case 0x0c: return {rsa_pkcs1_sha384, false, "PKCS1v15(SHA-384)"};
    case 0x0d: return {rsa_pkcs1_sha512, false, "PKCS1v15(SHA-512)"};
    default: break;
    }
    switch (last_of(oid, oid_ecdsa_with_sha2)) {
    case 2: return {ecdsa_secp256r1_sha256, false, "SHA-256"};
    case 3: return {ecdsa_secp384r1_sha384, false, "SHA-384"};
    case 4: return {ecdsa_secp521r1_sha512, false, "SHA-512"};
    default: return {};
    }
}

// The bits of a positive INTEGER's contents.
inline std::size_t bits_of(byte_view number) noexcept
{
    while (!number.empty() && number[0] == 0)
        number = number.subspan(1);
    if (number.empty())
        return 0;
    std::size_t bits = 8 * number.size();
    for (std::uint8_t top = number[0]; (top & 0x80) == 0; top = static_cast<std::uint8_t>(top << 1))
        --bits;
    return bits;
}

}

// What a SubjectPublicKeyInfo holds (RFC 5280 4.1.2.7, RFC 5480, RFC 8410, RFC 4055).
[[nodiscard]] inline public_key_facts read_public_key(byte_view info)
{
    using type = public_key_facts::type;
    der::reader in(info);
    der::reader fields(in.read(der::sequence));
    der::reader algorithm(fields.read(der::sequence));
    const byte_view oid = algorithm.read(der::object_identifier);
    if (equal(oid, detail::oid_ed25519))
        return {type::ed25519, 0, "Ed25519"};
    if (equal(oid, detail::oid_ec_public_key)) {
        const byte_view curve = algorithm.read_if(der::object_identifier);
        if (equal(curve, detail::oid_p256))
            return {type::ecdsa_p256, 0, "ECDSA P-256"};
        if (equal(curve, detail::oid_p384))
            return {type::ecdsa_p384, 0, "ECDSA P-384"};
        return {type::other, 0, equal(curve, detail::oid_p521) ? "ECDSA P-521" : "ECDSA on an unusual curve"};
    }
    const bool pss = equal(oid, detail::oid_rsa_pss);
    if (!pss && !equal(oid, detail::oid_rsa))
        return {type::other, 0, "a key of an unknown type"};
    // RFC 4055 3.1: a key without parameters may be used with any.
    const bool restricted = pss && algorithm.next_is(der::sequence);
    const std::size_t hash = restricted ? detail::pss_parameters(algorithm.read(der::sequence)).hash : 0;
    byte_view key = fields.read(der::bit_string);
    if (!key.empty())
        key = key.subspan(1);
    der::reader rsa(key);
    der::reader numbers(rsa.read(der::sequence));
    const std::size_t bits = detail::bits_of(numbers.read(der::integer));
    return {pss ? type::rsa_pss : type::rsa, bits, (pss ? "RSA-PSS " : "RSA ") + std::to_string(bits), hash};
}

namespace detail {

// RFC 5280 4.1.2.5. Later years than 2248, a leap year, have no room in the clock.
inline std::optional<system_time> read_time(const der::element& field)
{
    using namespace std::chrono;
    const bool short_year = field.type == der::utc_time;
    const std::size_t year_digits = short_year ? 2 : 4;
    const std::string_view text = as_text(field.contents);
    if ((!short_year && field.type != der::generalized_time) || text.size() != year_digits + 11 || text.back() != 'Z')
        return std::nullopt;
    bool digits = true;
    const auto number = [&](std::size_t at, std::size_t size) {
        int value = 0;
        for (const char c : text.substr(at, size)) {
            digits = digits && c >= '0' && c <= '9';
            value = value * 10 + (c - '0');
        }
        return value;
    };
    int year_number = number(0, year_digits);
    if (short_year)
        year_number += year_number < 50 ? 2000 : 1900;
    const auto two = [&](std::size_t index) { return number(year_digits + 2 * index, 2); };
    const auto month_number = static_cast<unsigned>(two(0));
    const auto day_number = static_cast<unsigned>(two(1));
    const year_month_day date{year{std::min(year_number, 2248)}, month{month_number}, day{day_number}};
    const auto time = hours{two(2)} + minutes{two(3)} + seconds{two(4)};
    if (!digits || !date.ok() || time > hours{24} || year_number < 1900)
        return std::nullopt;
    return system_time(sys_days{date}) + time;
}

// RFC 5280 4.2.1.6
inline bool read_alternative_names(byte_view extension, certificate& into)
{
    der::reader in(extension);
    der::reader names(in.read(der::sequence));
    while (!names.empty()) {
        const der::element name = names.any();
        if (name.type == der::context(2))
            into.dns_names.push_back(as_text(name.contents));
        if (name.type == der::context(7) && (name.contents.size() == 4 || name.contents.size() == 16))
            into.addresses.push_back(name.contents);
    }
    return in.complete() && names.ok();
}

inline bool read_extensions(byte_view list, certificate& into)
{
    der::reader in(list);
    into.extensions = in.read(der::sequence);
    der::reader extensions(into.extensions);
    while (!extensions.empty()) {
        der::reader extension(extensions.read(der::sequence));
        const byte_view oid = extension.read(der::object_identifier);
        extension.read_if(der::boolean);
        const byte_view value = extension.read(der::octet_string);
        if (!extension.complete() || (equal(oid, oid_subject_alt_name) && !read_alternative_names(value, into)))
            return false;
    }
    return in.complete() && extensions.ok();
}

inline bool read_certificate(certificate& into)
{
    der::reader in(into.der);
    der::reader outer(in.read(der::sequence));
    const der::element body = outer.whole(der::sequence);
    const byte_view algorithm = outer.read(der::sequence);
    const byte_view signature = outer.read(der::bit_string);
    if (!in.complete() || !outer.complete() || signature.empty() || signature[0] != 0)
        return false;

    der::reader fields(body.contents);
    fields.read_if(der::context_constructed(0)); // version
    into.serial = fields.read(der::integer);
    const byte_view same_algorithm = fields.read(der::sequence);
    into.issuer = fields.whole(der::sequence).whole;
    der::reader validity(fields.read(der::sequence));
    const auto not_before = read_time(validity.any());
    const auto not_after = read_time(validity.any());
    into.subject = fields.whole(der::sequence).whole;
    into.public_key_info = fields.whole(der::sequence).whole;
    fields.read_if(der::context(1)); // issuerUniqueID
    fields.read_if(der::context(2)); // subjectUniqueID
    // RFC 5280 4.1.1.2: both fields MUST be the same.
    if (!fields.ok() || !not_before || !not_after || !equal(algorithm, same_algorithm))
        return false;
    constexpr der::tag extensions = der::context_constructed(3);
    if (fields.next_is(extensions) && !read_extensions(fields.read(extensions), into))
        return false;

    into.signed_part = body.whole;
    into.not_before = *not_before;
    into.not_after = *not_after;
    into.key = read_public_key(into.public_key_info);
    into.signature = read_signature_algorithm(algorithm);
    into.signature_value = signature.subspan(1);
    return true;
}

// Text from a certificate, fit for a log line: printable, and never longer than it needs to be.
inline void append_printable(std::string& out, byte_view text, std::size_t limit = 100)
{
    for (const std::uint8_t c : text.first(std::min(text.size(), limit)))
        out += c < 0x20 || c == 0x7f ? '?' : static_cast<char>(c);
}

inline std::string_view attribute_name(byte_view oid) noexcept
{
    switch (last_of(oid, detail::oid(0x55, 0x04))) {
    case 0x03: return "CN";
    case 0x06: return "C";
    case 0x07: return "L";
    case 0x08: return "ST";
    case 0x0a: return "O";
    case 0x0b: return "OU";
    default: return {};
    }
}

}

// Reads one certificate; fails when it is not one.
[[nodiscard]] inline result<certificate> parse_certificate(byte_vector der)
{
    certificate read;
    read.der = std::move(der);
    if (!detail::read_certificate(read))
        return make_error_code(errc::bad_certificate);
    return read;
}

// A Name (RFC 5280 4.1.2.4) for people: "CN=R11, O=Let's Encrypt, C=US", most specific first.
[[nodiscard]] inline std::string name_text(byte_view name)
{
    std::string text;
    der::reader in(name);
    der::reader sets(in.read(der::sequence));
    while (!sets.empty()) {
        der::reader set(sets.read(der::set));
        der::reader attribute(set.read(der::sequence));
        const std::string_view type = detail::attribute_name(attribute.read(der::object_identifier));
        const der::element value = attribute.any();
        if (type.empty() || value.type == der::bmp_string || text.size() > 400)
            continue;
        std::string part(type);
        part += '=';
        detail::append_printable(part, value.contents);
        text = text.empty() ? part : part + ", " + text;
    }
    return text.empty() ? "an empty name" : text;
}

// The common name (RFC 5280 A.1) in a Name, the most specific one; empty when there is none.
[[nodiscard]] inline std::string common_name_of(byte_view name)
{
    std::string text;
    der::reader in(name);
    der::reader sets(in.read(der::sequence));
    while (!sets.empty()) {
        der::reader set(sets.read(der::set));
        der::reader attribute(set.read(der::sequence));
        const std::string_view type = detail::attribute_name(attribute.read(der::object_identifier));
        const der::element value = attribute.any();
        if (type != "CN" || value.type == der::bmp_string)
            continue;
        text.clear();
        detail::append_printable(text, value.contents);
    }
    return text;
}

// One extension of a certificate; `value` is a view into it.
struct extension_view {
    bool critical = false;
    byte_view value;
};

// The extension with this OBJECT IDENTIFIER's contents, if the certificate has it.
[[nodiscard]] inline std::optional<extension_view> find_extension(const certificate& one, byte_view oid)
{
    der::reader extensions(one.extensions);
    while (!extensions.empty()) {
        der::reader extension(extensions.read(der::sequence));
        const bool wanted = equal(extension.read(der::object_identifier), oid);
        const byte_view critical = extension.read_if(der::boolean);
        const byte_view value = extension.read(der::octet_string);
        if (wanted)
            return extension_view{!critical.empty() && critical[0] != 0, value};
    }
    return std::nullopt;
}

// RFC 5280 4.2.1.1: the keyIdentifier of the issuer's key, a view into the certificate; empty when it names none.
[[nodiscard]] inline byte_view authority_key_identifier(const certificate& one)
{
    const auto extension = find_extension(one, detail::oid(0x55, 0x1d, 0x23));
    if (!extension)
        return {};
    der::reader in(extension->value);
    der::reader fields(in.read(der::sequence));
    return fields.read_if(der::context(0));
}

[[nodiscard]] inline std::array<std::uint8_t, 32> sha256_of(byte_view bytes)
{
    const auto hash = Botan::HashFunction::create_or_throw("SHA-256");
    hash->update(bytes);
    std::array<std::uint8_t, 32> digest{};
    hash->final(digest);
    return digest;
}

// Whether the key in `issuer` signed `signed_one`.
[[nodiscard]] inline bool is_signed_by(const certificate& signed_one, const certificate& issuer)
{
    if (signed_one.signature.method.empty())
        return false;
    try {
        const auto key = Botan::X509::load_key(issuer.public_key_info);
        Botan::PK_Verifier verifier(*key, signed_one.signature.method, signature_format(*key));
        return verifier.verify_message(signed_one.signed_part, signed_one.signature_value);
    } catch (const std::exception&) {
        return false;
    }
}

// Whether the certificate's own key signed it. A signature too old to be checked is believed.
[[nodiscard]] inline bool is_self_signed(const certificate& one)
{
    return equal(one.issuer, one.subject) && (one.signature.is_weak || is_signed_by(one, one));
}

// Whether `key` is the one that the certificate was made for.
[[nodiscard]] inline bool belongs_to(const private_key& key, const certificate& owner)
{
    try {
        return Botan::X509::load_key(owner.public_key_info)->subject_public_key() == key.public_key_info();
    } catch (const std::exception&) {
        return false;
    }
}

// Whether `signature` over `content` is the certificate's key's, as a client checks CertificateVerify.
[[nodiscard]] inline bool verifies(const certificate& owner, signature_scheme scheme, byte_view content,
                                   byte_view signature)
{
    try {
        const auto key = Botan::X509::load_key(owner.public_key_info);
        Botan::PK_Verifier verifier(*key, signature_padding(scheme), signature_format(*key));
        return verifier.verify_message(content, signature);
    } catch (const std::exception&) {
        return false;
    }
}

// The schemes that this key signs handshakes with, the preferred one first (RFC 8446 4.2.3).
[[nodiscard]] inline std::vector<signature_scheme> schemes_of(const public_key_facts& key)
{
    using enum signature_scheme;
    using type = public_key_facts::type;
    switch (key.kind) {
    case type::ecdsa_p256: return {ecdsa_secp256r1_sha256};
    case type::ecdsa_p384: return {ecdsa_secp384r1_sha384};
    case type::ed25519: return {ed25519};
    case type::other: return {};
    case type::rsa:
    case type::rsa_pss: break;
    }
    const bool pss = key.kind == type::rsa_pss;
    const std::array<std::pair<std::size_t, signature_scheme>, 3> all{{
        {256, pss ? rsa_pss_pss_sha256 : rsa_pss_rsae_sha256},
        {384, pss ? rsa_pss_pss_sha384 : rsa_pss_rsae_sha384},
        {512, pss ? rsa_pss_pss_sha512 : rsa_pss_rsae_sha512},
    }};
    std::vector<signature_scheme> schemes;
    for (const auto& [hash, scheme] : all) {
        // RFC 8017 9.1.1: hash, a salt of the same length and two bytes must fit into the encoded message.
        const std::size_t encoded = (key.bits + 6) / 8;
        const bool fits = encoded >= 2 * hash / 8 + 2;
        if (fits && (key.pss_hash == 0 || key.pss_hash == hash))
            schemes.push_back(scheme);
    }
    return schemes;
}

// The scheme by which this key signs what is no handshake (private_key::sign_document); nothing for a type that no CA
// takes. RSA by PKCS#1 v1.5, the form that every CA knows.
[[nodiscard]] inline std::optional<signature_scheme> document_scheme_of(const public_key_facts& key) noexcept
{
    using type = public_key_facts::type;
    switch (key.kind) {
    case type::ecdsa_p256: return signature_scheme::ecdsa_secp256r1_sha256;
    case type::ecdsa_p384: return signature_scheme::ecdsa_secp384r1_sha384;
    case type::ed25519: return signature_scheme::ed25519;
    case type::rsa: return signature_scheme::rsa_pkcs1_sha256;
    case type::rsa_pss: // RFC 4055 1.2: such a key signs no other way
    case type::other: break;
    }
    return std::nullopt;
}

}

#endif
// ---- alos/crypto/botan_issue.hpp ----
// Makes certificates (RFC 5280): self-signed ones for development, tls-alpn-01 challenges, and chains in tests.
#ifndef ALOS_CRYPTO_BOTAN_ISSUE_HPP
#define ALOS_CRYPTO_BOTAN_ISSUE_HPP


#include <cstdio>

namespace alos::inline v0 {

// One more extension: its whole value, and whether a reader who does not know it must refuse the certificate.
struct certificate_extension {
    byte_vector oid; // the contents of the OBJECT IDENTIFIER
    bool critical = false;
    byte_vector value;
};

// What a new certificate says.
struct certificate_spec {
    std::string common_name;            // of the subject, at most 64 bytes (RFC 5280 A.1)
    std::vector<std::string> dns_names; // of subjectAltName
    std::vector<byte_vector> addresses; // the same, 4 or 16 bytes each
    system_time not_before;
    system_time not_after;
    bool is_authority = false;
    std::vector<certificate_extension> more{};
};

// Who signs it.
struct certificate_issuer {
    std::string common_name;
    const private_key& key;
    signature_scheme scheme; // one that the key has
};

namespace detail {

using byte_writer = der::writer<byte_vector>;

inline constexpr auto oid_common_name = oid(0x55, 0x04, 0x03);
inline constexpr auto oid_key_usage = oid(0x55, 0x1d, 0x0f);
inline constexpr auto oid_basic_constraints = oid(0x55, 0x1d, 0x13);
inline constexpr auto oid_extended_key_usage = oid(0x55, 0x1d, 0x25);
inline constexpr auto oid_server_auth = oid(0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01);
inline constexpr auto oid_subject_key_identifier = oid(0x55, 0x1d, 0x0e);
inline constexpr auto oid_authority_key_identifier = oid(0x55, 0x1d, 0x23);

inline void write_name(byte_writer& out, std::string_view common_name)
{
    out.nested(der::sequence, [&] {
        out.nested(der::set, [&] {
            out.nested(der::sequence, [&] {
                out.value(der::object_identifier, oid_common_name);
                out.value(der::utf8_string, as_bytes(common_name));
            });
        });
    });
}

// RFC 5280 4.1.2.5: UTCTime up to 2049, GeneralizedTime from 2050 on.
inline void write_time(byte_writer& out, system_time time)
{
    using namespace std::chrono;
    const auto day = floor<days>(time);
    const year_month_day date(day);
    const hh_mm_ss clock(floor<seconds>(time - day));
    const int year = static_cast<int>(date.year());
    std::array<char, 40> text{};
    std::snprintf(text.data(), text.size(), "%04d%02u%02u%02d%02d%02dZ", year, static_cast<unsigned>(date.month()),
                  static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                  static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()));
    const std::string_view digits(text.data());
    if (year < 2050)
        out.value(der::utc_time, as_bytes(digits.substr(2)));
    else
        out.value(der::generalized_time, as_bytes(digits));
}

inline void write_algorithm(byte_writer& out, signature_scheme scheme)
{
    const auto with_last_byte = [](byte_view stem, std::uint8_t last) {
        byte_vector oid(stem.begin(), stem.end());
        oid.push_back(last);
        return oid;
    };
    out.nested(der::sequence, [&] {
        switch (scheme) {
        case signature_scheme::ed25519: out.value(der::object_identifier, oid_ed25519); break;
        case signature_scheme::ecdsa_secp384r1_sha384:
            out.value(der::object_identifier, with_last_byte(oid_ecdsa_with_sha2, 3));
            break;
        case signature_scheme::ecdsa_secp256r1_sha256:
            out.value(der::object_identifier, with_last_byte(oid_ecdsa_with_sha2, 2));
            break;
        default: // rsa_pss_rsae_sha256, RFC 4055 3.1
            const byte_vector sha256 = with_last_byte(oid_sha2, 1);
            const auto hash = [&] {
                out.nested(der::sequence, [&] {
                    out.value(der::object_identifier, sha256);
                    out.value(der::null, {});
                });
            };
            out.value(der::object_identifier, oid_rsa_pss);
            out.nested(der::sequence, [&] {
                out.nested(der::context_constructed(0), hash);
                out.nested(der::context_constructed(1), [&] {
                    out.nested(der::sequence, [&] {
                        out.value(der::object_identifier, with_last_byte(oid_pkcs1, 8)); // id-mgf1
                        hash();
                    });
                });
                out.nested(der::context_constructed(2), [&] { out.small_integer(32); });
            });
        }
    });
}

inline void write_extension(byte_writer& out, byte_view oid, bool critical, byte_view value)
{
    out.nested(der::sequence, [&] {
        out.value(der::object_identifier, oid);
        if (critical)
            out.truth();
        out.value(der::octet_string, value);
    });
}

// RFC 5280 4.2.1.2: the first 160 bits of a hash of the key.
inline byte_vector key_identifier(byte_view public_key_info)
{
    const auto digest = sha256_of(public_key_info);
    return {digest.begin(), digest.begin() + 20};
}

inline void write_extensions(byte_writer& out, const certificate_spec& spec, byte_view subject_key,
                             byte_view issuer_key)
{
    const auto extension = [&](byte_view oid, bool critical, auto contents) {
        byte_vector value;
        byte_writer inner(value);
        contents(inner);
        write_extension(out, oid, critical, value);
    };
    extension(oid_basic_constraints, true, [&](byte_writer& value) {
        value.nested(der::sequence, [&] {
            if (spec.is_authority)
                value.truth();
        });
    });
    extension(oid_key_usage, true, [&](byte_writer& value) {
        // RFC 5280 4.2.1.3: keyCertSign and cRLSign, or digitalSignature; unused bits first.
        const std::array<std::uint8_t, 2> authority{0x01, 0x06};
        const std::array<std::uint8_t, 2> server{0x07, 0x80};
        value.value(der::bit_string, spec.is_authority ? authority : server);
    });
    if (!spec.is_authority)
        extension(oid_extended_key_usage, false, [&](byte_writer& value) {
            value.nested(der::sequence, [&] { value.value(der::object_identifier, oid_server_auth); });
        });
    extension(oid_subject_key_identifier, false,
              [&](byte_writer& value) { value.value(der::octet_string, key_identifier(subject_key)); });
    extension(oid_authority_key_identifier, false, [&](byte_writer& value) {
        value.nested(der::sequence, [&] { value.value(der::context(0), key_identifier(issuer_key)); });
    });
    if (!spec.dns_names.empty() || !spec.addresses.empty())
        extension(oid_subject_alt_name, false, [&](byte_writer& value) {
            value.nested(der::sequence, [&] {
                for (const std::string& name : spec.dns_names)
                    value.value(der::context(2), as_bytes(name));
                for (const byte_vector& address : spec.addresses)
                    value.value(der::context(7), address);
            });
        });
    for (const certificate_extension& one : spec.more)
        write_extension(out, one.oid, one.critical, one.value);
}

// RFC 5280 4.1.2.2: positive, unpredictable, at most 20 bytes.
inline std::array<std::uint8_t, 16> random_serial()
{
    std::array<std::uint8_t, 16> serial{};
    Botan::system_rng().randomize(serial);
    serial[0] = static_cast<std::uint8_t>((serial[0] & 0x7f) | 0x40);
    return serial;
}

}

// A certificate in DER for the key `subject`.
[[nodiscard]] inline outcome<byte_vector> issue_certificate(const certificate_spec& spec, const private_key& subject,
                                                            const certificate_issuer& issuer)
{
    try {
        const byte_vector subject_key = subject.public_key_info();
        byte_vector body;
        detail::byte_writer out(body);
        out.nested(der::sequence, [&] {
            out.nested(der::context_constructed(0), [&] { out.small_integer(2); }); // v3
            out.value(der::integer, detail::random_serial());
            detail::write_algorithm(out, issuer.scheme);
            detail::write_name(out, issuer.common_name);
            out.nested(der::sequence, [&] {
                detail::write_time(out, spec.not_before);
                detail::write_time(out, spec.not_after);
            });
            detail::write_name(out, spec.common_name);
            out.raw(subject_key);
            out.nested(der::context_constructed(3), [&] {
                out.nested(der::sequence, [&] {
                    detail::write_extensions(out, spec, subject_key, issuer.key.public_key_info());
                });
            });
        });
        const auto signature = issuer.key.sign(issuer.scheme, body);
        if (!signature)
            return failure{signature.error(), "a certificate cannot be signed with this key"};
        byte_vector der;
        detail::byte_writer whole(der);
        whole.nested(der::sequence, [&] {
            whole.raw(body);
            detail::write_algorithm(whole, issuer.scheme);
            whole.bits(*signature);
        });
        return der;
    } catch (const std::exception& error) {
        return failure{errc::bad_certificate, std::string("a certificate cannot be made: ") + error.what()};
    }
}

// A certificate that its own key signs. Clients accept it once they are told to.
[[nodiscard]] inline outcome<byte_vector> issue_self_signed(const certificate_spec& spec, const private_key& key)
{
    const auto schemes = schemes_of(read_public_key(key.public_key_info()));
    if (schemes.empty())
        return failure{errc::unsupported_key, "a key of this type cannot sign a certificate"};
    return issue_certificate(spec, key, {spec.common_name, key, schemes.front()});
}

}

#endif
// ---- alos/tls13/types.hpp ----
// The code points of TLS 1.3 (RFC 8446 B) that are not algorithms.
#ifndef ALOS_TLS13_TYPES_HPP
#define ALOS_TLS13_TYPES_HPP

#include <cstddef>
#include <cstdint>

namespace alos::inline v0::tls13 {

// RFC 8446 B.1
enum class content_type : std::uint8_t {
    invalid = 0,
    change_cipher_spec = 20,
    alert = 21,
    handshake = 22,
    application_data = 23,
};

// RFC 8446 B.3
enum class handshake_type : std::uint8_t {
    client_hello = 1,
    server_hello = 2,
    new_session_ticket = 4,
    end_of_early_data = 5,
    encrypted_extensions = 8,
    certificate = 11,
    certificate_request = 13,
    certificate_verify = 15,
    finished = 20,
    key_update = 24,
    message_hash = 254,
};

// RFC 8446 B.3.1.1
enum class extension_type : std::uint16_t {
    server_name = 0,
    supported_groups = 10,
    signature_algorithms = 13,
    application_layer_protocol_negotiation = 16,
    pre_shared_key = 41,
    early_data = 42,
    supported_versions = 43,
    cookie = 44,
    psk_key_exchange_modes = 45,
    oid_filters = 48,
    padding = 21,
    signature_algorithms_cert = 50,
    key_share = 51,
};

inline constexpr std::uint16_t tls12_version = 0x0303;
inline constexpr std::uint16_t tls13_version = 0x0304;

inline constexpr std::size_t random_size = 32;
inline constexpr std::size_t max_session_id_size = 32;

}

#endif
// ---- alos/tls13/alert.hpp ----
// Alerts (RFC 8446 6), and the errors that cause them: every way to break the protocol has one errc, and every errc
// has exactly one alert. The table below is the only place where the two meet.
#ifndef ALOS_TLS13_ALERT_HPP
#define ALOS_TLS13_ALERT_HPP


#include <cstdint>
#include <string>
#include <string_view>

namespace alos::inline v0::tls13 {

// RFC 8446 B.2. As an error_code: the alert that the peer sent.
enum class alert : std::uint8_t {
    close_notify = 0,
    unexpected_message = 10,
    bad_record_mac = 20,
    record_overflow = 22,
    handshake_failure = 40,
    bad_certificate = 42,
    unsupported_certificate = 43,
    certificate_revoked = 44,
    certificate_expired = 45,
    certificate_unknown = 46,
    illegal_parameter = 47,
    unknown_ca = 48,
    access_denied = 49,
    decode_error = 50,
    decrypt_error = 51,
    protocol_version = 70,
    insufficient_security = 71,
    internal_error = 80,
    inappropriate_fallback = 86,
    user_canceled = 90,
    missing_extension = 109,
    unsupported_extension = 110,
    unrecognized_name = 112,
    bad_certificate_status_response = 113,
    unknown_psk_identity = 115,
    certificate_required = 116,
    no_application_protocol = 120,
};

enum class alert_level : std::uint8_t { warning = 1, fatal = 2 };

[[nodiscard]] constexpr std::string_view name_of(alert description) noexcept
{
    switch (description) {
    case alert::close_notify: return "close_notify";
    case alert::unexpected_message: return "unexpected_message";
    case alert::bad_record_mac: return "bad_record_mac";
    case alert::record_overflow: return "record_overflow";
    case alert::handshake_failure: return "handshake_failure";
    case alert::bad_certificate: return "bad_certificate";
    case alert::unsupported_certificate: return "unsupported_certificate";
    case alert::certificate_revoked: return "certificate_revoked";
    case alert::certificate_expired: return "certificate_expired";
    case alert::certificate_unknown: return "certificate_unknown";
    case alert::illegal_parameter: return "illegal_parameter";
    case alert::unknown_ca: return "unknown_ca";
    case alert::access_denied: return "access_denied";
    case alert::decode_error: return "decode_error";
    case alert::decrypt_error: return "decrypt_error";
    case alert::protocol_version: return "protocol_version";
    case alert::insufficient_security: return "insufficient_security";
    case alert::internal_error: return "internal_error";
    case alert::inappropriate_fallback: return "inappropriate_fallback";
    case alert::user_canceled: return "user_canceled";
    case alert::missing_extension: return "missing_extension";
    case alert::unsupported_extension: return "unsupported_extension";
    case alert::unrecognized_name: return "unrecognized_name";
    case alert::bad_certificate_status_response: return "bad_certificate_status_response";
    case alert::unknown_psk_identity: return "unknown_psk_identity";
    case alert::certificate_required: return "certificate_required";
    case alert::no_application_protocol: return "no_application_protocol";
    }
    return "unknown alert";
}

// How a peer can break the protocol, or how the two sides can fail to agree. 0 is success.
enum class errc {
    none = 0,
    // records (RFC 8446 5)
    not_tls,
    http_request,
    unknown_content_type,
    record_too_long,
    plaintext_too_long,
    bad_record_mac,
    no_content_type,
    empty_handshake_record,
    empty_alert_record,
    too_many_empty_records,
    unprotected_record,
    bad_change_cipher_spec,
    unexpected_change_cipher_spec,
    too_many_change_cipher_specs,
    unexpected_application_data,
    interleaved_handshake,
    keys_within_record,
    too_much_early_data,
    // alerts (6)
    bad_alert,
    bad_alert_level,
    warning_alert,
    too_many_warning_alerts,
    // handshake messages (4)
    unexpected_handshake_message,
    handshake_message_too_long,
    message_decode,
    // ClientHello (4.1.2, 4.2)
    legacy_version_ssl3,
    tls13_not_offered,
    bad_compression,
    duplicate_extension,
    misplaced_extension,
    extension_decode,
    bad_server_name,
    missing_supported_groups,
    missing_key_share,
    missing_signature_algorithms,
    missing_psk_key_exchange_modes,
    pre_shared_key_not_last,
    psk_binder_count,
    duplicate_key_share,
    key_share_not_in_groups,
    bad_key_share,
    unasked_cookie,
    wrong_cookie,
    // negotiation (4.1.1)
    no_common_suite,
    no_common_group,
    no_common_signature_scheme,
    no_application_protocol,
    no_certificate,
    // HelloRetryRequest (4.1.4)
    second_hello_changed,
    second_hello_wrong_share,
    early_data_after_retry,
    // the rest
    bad_finished,
    bad_key_update,
    too_many_key_updates,
    signature_failed,
    internal_error,
};

struct errc_description {
    errc code;
    alert sent;
    const char* text;
};

// The alert for an error, and the words for it (RFC 8446 6.2).
[[nodiscard]] constexpr errc_description describe(errc code) noexcept
{
    switch (code) {
    case errc::none: return {code, alert::close_notify, "success"};
    case errc::not_tls: return {code, alert::protocol_version, "not a TLS record"};
    case errc::http_request: return {code, alert::unexpected_message, "plain HTTP on a TLS port"};
    case errc::unknown_content_type: return {code, alert::unexpected_message, "unknown content type"};
    case errc::record_too_long: return {code, alert::record_overflow, "record longer than allowed"};
    case errc::plaintext_too_long: return {code, alert::record_overflow, "plaintext longer than 2^14 bytes"};
    case errc::bad_record_mac: return {code, alert::bad_record_mac, "record does not decrypt"};
    case errc::no_content_type: return {code, alert::unexpected_message, "record of nothing but padding"};
    case errc::empty_handshake_record: return {code, alert::unexpected_message, "empty handshake record"};
    case errc::empty_alert_record: return {code, alert::unexpected_message, "empty alert record"};
    case errc::too_many_empty_records: return {code, alert::unexpected_message, "too many empty records"};
    case errc::unprotected_record: return {code, alert::unexpected_message, "unprotected record under keys"};
    case errc::bad_change_cipher_spec: return {code, alert::unexpected_message, "malformed change_cipher_spec"};
    case errc::unexpected_change_cipher_spec:
        return {code, alert::unexpected_message, "change_cipher_spec out of its time"};
    case errc::too_many_change_cipher_specs:
        return {code, alert::unexpected_message, "too many change_cipher_spec records"};
    case errc::unexpected_application_data:
        return {code, alert::unexpected_message, "application data before Finished"};
    case errc::interleaved_handshake:
        return {code, alert::unexpected_message, "record of another type within a handshake message"};
    case errc::keys_within_record:
        return {code, alert::unexpected_message, "handshake data behind a message that changes keys"};
    case errc::too_much_early_data: return {code, alert::unexpected_message, "too much early data to skip"};
    case errc::bad_alert: return {code, alert::decode_error, "alert record is not one alert"};
    case errc::bad_alert_level: return {code, alert::illegal_parameter, "alert level unknown"};
    case errc::warning_alert: return {code, alert::decode_error, "alert of level warning"};
    case errc::too_many_warning_alerts: return {code, alert::decode_error, "too many user_canceled alerts"};
    case errc::unexpected_handshake_message:
        return {code, alert::unexpected_message, "handshake message out of order"};
    case errc::handshake_message_too_long:
        return {code, alert::illegal_parameter, "handshake message longer than the limit"};
    case errc::message_decode: return {code, alert::decode_error, "handshake message malformed"};
    case errc::legacy_version_ssl3: return {code, alert::protocol_version, "client offers SSL 3.0"};
    case errc::tls13_not_offered: return {code, alert::protocol_version, "client does not offer TLS 1.3"};
    case errc::bad_compression:
        return {code, alert::illegal_parameter, "legacy_compression_methods is not just null"};
    case errc::duplicate_extension: return {code, alert::decode_error, "extension appears twice"};
    case errc::misplaced_extension:
        return {code, alert::illegal_parameter, "extension that does not belong into a ClientHello"};
    case errc::extension_decode: return {code, alert::decode_error, "extension malformed"};
    case errc::bad_server_name: return {code, alert::decode_error, "server_name malformed"};
    case errc::missing_supported_groups: return {code, alert::missing_extension, "supported_groups missing"};
    case errc::missing_key_share: return {code, alert::missing_extension, "key_share missing"};
    case errc::missing_signature_algorithms:
        return {code, alert::missing_extension, "signature_algorithms missing"};
    case errc::missing_psk_key_exchange_modes:
        return {code, alert::missing_extension, "pre_shared_key without psk_key_exchange_modes"};
    case errc::pre_shared_key_not_last:
        return {code, alert::illegal_parameter, "pre_shared_key is not the last extension"};
    case errc::psk_binder_count:
        return {code, alert::illegal_parameter, "pre_shared_key has not one binder an identity"};
    case errc::duplicate_key_share: return {code, alert::illegal_parameter, "two key shares for one group"};
    case errc::key_share_not_in_groups:
        return {code, alert::illegal_parameter, "key share for a group outside supported_groups"};
    case errc::bad_key_share: return {code, alert::illegal_parameter, "key share is not valid in its group"};
    case errc::unasked_cookie: return {code, alert::illegal_parameter, "cookie that the server did not send"};
    case errc::wrong_cookie: return {code, alert::illegal_parameter, "cookie missing or changed"};
    case errc::no_common_suite: return {code, alert::handshake_failure, "no cipher suite in common"};
    case errc::no_common_group: return {code, alert::handshake_failure, "no group in common"};
    case errc::no_common_signature_scheme:
        return {code, alert::handshake_failure, "no signature scheme in common with the certificates"};
    case errc::no_application_protocol:
        return {code, alert::no_application_protocol, "no application protocol in common"};
    case errc::no_certificate: return {code, alert::unrecognized_name, "no certificate for this name"};
    case errc::second_hello_changed:
        return {code, alert::illegal_parameter, "second ClientHello differs where it may not"};
    case errc::second_hello_wrong_share:
        return {code, alert::illegal_parameter, "second ClientHello without exactly the share that was asked for"};
    case errc::early_data_after_retry:
        return {code, alert::illegal_parameter, "early_data in the second ClientHello"};
    case errc::bad_finished: return {code, alert::decrypt_error, "Finished does not verify"};
    case errc::bad_key_update: return {code, alert::illegal_parameter, "request_update is neither 0 nor 1"};
    case errc::too_many_key_updates: return {code, alert::unexpected_message, "too many KeyUpdates without data"};
    case errc::signature_failed: return {code, alert::internal_error, "the private key operation failed"};
    case errc::internal_error: return {code, alert::internal_error, "internal error"};
    }
    return {errc::internal_error, alert::internal_error, "unknown error"};
}

class errc_category final : public boost::system::error_category {
public:
    constexpr errc_category() noexcept : boost::system::error_category(0x3ac6c9d6f8ae7711u) {}
    const char* name() const noexcept override { return "tls13"; }
    std::string message(int code) const override { return describe(static_cast<errc>(code)).text; }
};

// The codes of this category are alerts that were received.
class alert_category final : public boost::system::error_category {
public:
    constexpr alert_category() noexcept : boost::system::error_category(0x5be0d7f2a91c4e03u) {}
    const char* name() const noexcept override { return "tls alert"; }
    std::string message(int code) const override
    {
        return "the peer sent the alert " + std::string(name_of(static_cast<alert>(code))) + " (" +
            std::to_string(code) + ")";
    }
    // close_notify is a received alert too, so 0 must not read as success.
    bool failed(int) const noexcept override { return true; }
};

inline const errc_category& tls13_category() noexcept
{
    static constexpr errc_category category;
    return category;
}

inline const alert_category& received_alert_category() noexcept
{
    static constexpr alert_category category;
    return category;
}

// What a decoder gives: a message or a part of one, or how it breaks the protocol.
template <class T>
using decoded = boost::system::result<T, errc>;

inline error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), tls13_category()}; }
inline error_code make_error_code(alert received) noexcept
{
    return {static_cast<int>(received), received_alert_category()};
}

}

namespace boost::system {
template <>
struct is_error_code_enum<alos::tls13::errc> : std::true_type {};
template <>
struct is_error_code_enum<alos::tls13::alert> : std::true_type {};
}

#endif
// ---- alos/tls13/extensions.hpp ----
// The contents of the extensions that a ClientHello may carry (RFC 8446 4.2; RFC 6066 3, RFC 7301). Each decoder
// checks the whole structure, so that what comes after may walk it without looking at lengths again.
#ifndef ALOS_TLS13_EXTENSIONS_HPP
#define ALOS_TLS13_EXTENSIONS_HPP


#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

namespace alos::inline v0::tls13 {

// A list of 16-bit code points, by the RFC's words: whole, not empty, of known length.
class code_points {
public:
    code_points() noexcept = default;
    explicit code_points(byte_view bytes) noexcept : bytes_(bytes) {}

    [[nodiscard]] std::size_t size() const noexcept { return bytes_.size() / 2; }
    [[nodiscard]] std::uint16_t operator[](std::size_t i) const noexcept
    {
        return static_cast<std::uint16_t>(bytes_[2 * i] << 8 | bytes_[2 * i + 1]);
    }
    [[nodiscard]] byte_view bytes() const noexcept { return bytes_; }

    template <class Code>
    [[nodiscard]] bool contains(Code wanted) const noexcept
    {
        for (std::size_t i = 0; i < size(); ++i) {
            if ((*this)[i] == static_cast<std::uint16_t>(wanted))
                return true;
        }
        return false;
    }

private:
    byte_view bytes_;
};

// RFC 8446 4.2.3, 4.2.7: SignatureSchemeList, NamedGroupList.
[[nodiscard]] inline decoded<code_points> decode_code_points16(byte_view data)
{
    reader in(data);
    const byte_view list = in.vector16(2);
    if (!in.complete() || list.size() % 2 != 0)
        return errc::extension_decode;
    return code_points(list);
}

// RFC 8446 4.2.1: the versions that a client supports.
[[nodiscard]] inline decoded<code_points> decode_supported_versions(byte_view data)
{
    reader in(data);
    const byte_view list = in.vector8(2, 254);
    if (!in.complete() || list.size() % 2 != 0)
        return errc::extension_decode;
    return code_points(list);
}

// RFC 6066 3: the host name, or nothing if the list holds none. Other name types do not exist.
[[nodiscard]] inline decoded<std::string_view> decode_server_name(byte_view data)
{
    constexpr std::uint8_t host_name = 0;
    constexpr std::size_t max_host_name_size = 255; // RFC 1035 2.3.4
    reader in(data);
    reader list(in.vector16(1));
    const std::uint8_t name_type = list.u8();
    const byte_view name = list.vector16(1, max_host_name_size);
    if (!in.complete() || !list.complete() || name_type != host_name)
        return errc::bad_server_name;
    if (std::ranges::find(name, std::uint8_t{0}) != name.end())
        return errc::bad_server_name;
    return as_text(name);
}

// RFC 7301 3.1: the names behind each other, each with its length.
[[nodiscard]] inline decoded<byte_view> decode_protocol_name_list(byte_view data)
{
    reader in(data);
    const byte_view list = in.vector16(2);
    if (!in.complete())
        return errc::extension_decode;
    for (reader names(list); !names.empty();) {
        names.vector8(1);
        if (!names.ok())
            return errc::extension_decode;
    }
    return list;
}

[[nodiscard]] inline bool contains_protocol(byte_view list, std::string_view wanted) noexcept
{
    for (reader names(list); !names.empty();) {
        if (as_text(names.vector8(1)) == wanted)
            return true;
    }
    return false;
}

// RFC 8446 4.2.8: the entries of a client's key_share, each group at most once.
class key_share_entries {
public:
    key_share_entries() noexcept = default;
    explicit key_share_entries(byte_view bytes) noexcept : bytes_(bytes) {}

    [[nodiscard]] byte_view bytes() const noexcept { return bytes_; }

    // The client's share for `group`, if it sent one.
    [[nodiscard]] std::optional<byte_view> find(named_group group) const noexcept
    {
        for (reader in(bytes_); !in.empty();) {
            const std::uint16_t entry_group = in.u16();
            const byte_view share = in.vector16(1);
            if (entry_group == static_cast<std::uint16_t>(group))
                return share;
        }
        return std::nullopt;
    }

    // Whether there is one entry and it is for `group` (what a HelloRetryRequest asks for).
    [[nodiscard]] bool is_only(named_group group) const noexcept
    {
        reader in(bytes_);
        const std::uint16_t entry_group = in.u16();
        in.vector16(1);
        return in.complete() && entry_group == static_cast<std::uint16_t>(group);
    }

private:
    byte_view bytes_;
};

// RFC 8446 4.2.8
//    Clients MUST NOT offer multiple KeyShareEntry values for the same group. Clients MUST NOT offer any
//    KeyShareEntry values for groups not listed in the client's "supported_groups" extension.
// A share for a group that alos speaks has the length of that group (4.2.8.2).
[[nodiscard]] inline decoded<key_share_entries> decode_key_share(byte_view data, code_points supported_groups)
{
    reader in(data);
    const byte_view list = in.vector16();
    if (!in.complete())
        return errc::extension_decode;
    std::vector<std::uint16_t> shared;
    for (reader entries(list); !entries.empty();) {
        const std::uint16_t group = entries.u16();
        const byte_view share = entries.vector16();
        if (!entries.ok())
            return errc::extension_decode;
        if (const std::size_t size = client_share_size(static_cast<named_group>(group)); size != 0) {
            if (share.size() != size)
                return errc::bad_key_share;
        } else if (share.empty()) {
            return errc::extension_decode;
        }
        shared.push_back(group);
    }
    // Sorted, as both lists may be long.
    std::vector<std::uint16_t> supported;
    for (std::size_t i = 0; i < supported_groups.size(); ++i)
        supported.push_back(supported_groups[i]);
    std::ranges::sort(shared);
    std::ranges::sort(supported);
    if (std::ranges::adjacent_find(shared) != shared.end())
        return errc::duplicate_key_share;
    if (!std::ranges::includes(supported, shared))
        return errc::key_share_not_in_groups;
    return key_share_entries(list);
}

// RFC 8446 4.2.11: checked although every PSK is ignored.
[[nodiscard]] inline errc check_offered_psks(byte_view data)
{
    reader in(data);
    const byte_view identities = in.vector16(7);
    const byte_view binders = in.vector16(33);
    if (!in.complete())
        return errc::extension_decode;
    std::size_t identity_count = 0;
    for (reader list(identities); !list.empty(); ++identity_count) {
        list.vector16(1);
        list.u32();
        if (!list.ok())
            return errc::extension_decode;
    }
    std::size_t binder_count = 0;
    for (reader list(binders); !list.empty(); ++binder_count) {
        list.vector8(32);
        if (!list.ok())
            return errc::extension_decode;
    }
    return identity_count == binder_count ? errc::none : errc::psk_binder_count;
}

}

#endif
// ---- alos/tls13/client_hello.hpp ----
// ClientHello (RFC 8446 4.1.2): decoded and checked as far as it can be without knowing the server.
#ifndef ALOS_TLS13_CLIENT_HELLO_HPP
#define ALOS_TLS13_CLIENT_HELLO_HPP


#include <algorithm>
#include <optional>

namespace alos::inline v0::tls13 {

// Owns its bytes; the views point into them and move with it.
struct client_hello {
    static constexpr handshake_type type = handshake_type::client_hello;

    std::uint16_t legacy_version = 0;
    byte_view random;
    byte_view session_id;
    code_points cipher_suites;
    byte_view extensions; // the list as it came

    bool offers_tls13 = false; // if not, nothing below is filled
    std::string_view server_name;
    code_points supported_groups;
    code_points signature_algorithms;
    code_points signature_algorithms_cert; // the same as signature_algorithms if the client did not send it
    byte_view protocol_names;              // RFC 7301; empty if not sent
    key_share_entries key_share;
    std::optional<byte_view> cookie;
    bool early_data = false;
    bool pre_shared_key = false;

    client_hello() = default;
    client_hello(client_hello&&) = default;
    client_hello& operator=(client_hello&&) = default;

    // `body` is the message without its header; it is copied.
    [[nodiscard]] static decoded<client_hello> decode(byte_view body);

private:
    [[nodiscard]] errc decode_extensions();
    [[nodiscard]] errc decode_extension(extension_type type, byte_view data);
    [[nodiscard]] errc check_tls13() const;

    byte_vector body_;
    std::optional<byte_view> key_share_data_;
    std::optional<byte_view> supported_versions_data_;
    bool psk_key_exchange_modes_ = false;
};

// Calls visit(type, data) for each extension of a list that is known to be whole, until one is not errc::none.
template <class Visit>
[[nodiscard]] errc for_each_extension(byte_view extensions, Visit visit)
{
    for (reader in(extensions); !in.empty();) {
        const auto type = static_cast<extension_type>(in.u16());
        const byte_view data = in.vector16();
        if (const errc bad = visit(type, data); bad != errc::none)
            return bad;
    }
    return errc::none;
}

// RFC 8446 4.2: structure, and
//    There MUST NOT be more than one extension of the same type in a given extension block.
[[nodiscard]] inline errc check_extension_list(byte_view extensions)
{
    std::vector<std::uint16_t> types;
    for (reader in(extensions); !in.empty();) {
        types.push_back(in.u16());
        in.vector16();
        if (!in.ok())
            return errc::message_decode;
    }
    std::ranges::sort(types);
    return std::ranges::adjacent_find(types) == types.end() ? errc::none : errc::duplicate_extension;
}

inline decoded<client_hello> client_hello::decode(byte_view body)
{
    client_hello hello;
    hello.body_.assign(body.begin(), body.end());
    reader in(hello.body_);
    hello.legacy_version = in.u16();
    hello.random = in.bytes(random_size);
    hello.session_id = in.vector8(0, max_session_id_size);
    hello.cipher_suites = code_points(in.vector16(2, 0xfffe));
    const byte_view compression = in.vector8(1);
    if (!in.ok() || hello.cipher_suites.bytes().size() % 2 != 0)
        return errc::message_decode;
    // RFC 8446 D.5
    if (hello.legacy_version <= 0x0300)
        return errc::legacy_version_ssl3;
    if (in.empty())
        return hello; // RFC 8446 4.1.2: without extensions it is a TLS 1.2 ClientHello
    hello.extensions = in.vector16();
    if (!in.complete())
        return errc::message_decode;
    if (const errc bad = check_extension_list(hello.extensions); bad != errc::none)
        return bad;
    if (const errc bad = hello.decode_extensions(); bad != errc::none)
        return bad;
    // RFC 8446 4.1.2
    //    For every TLS 1.3 ClientHello, this vector MUST contain exactly one byte, set to zero [...] If a TLS 1.3
    //    ClientHello is received with any other value in this field, the server MUST abort the handshake with an
    //    "illegal_parameter" alert.
    if (hello.offers_tls13 && !(compression.size() == 1 && compression[0] == 0))
        return errc::bad_compression;
    return hello;
}

// RFC 8446 4.2.1 comes first: what does not offer TLS 1.3 is somebody else's to read.
inline errc client_hello::decode_extensions()
{
    extension_type last{};
    const errc found = for_each_extension(extensions, [&](extension_type type, byte_view data) {
        last = type;
        if (type == extension_type::supported_versions)
            supported_versions_data_ = data;
        return errc::none;
    });
    if (found != errc::none || !supported_versions_data_)
        return found;
    const decoded<code_points> versions = decode_supported_versions(*supported_versions_data_);
    if (!versions)
        return errc::extension_decode;
    offers_tls13 = versions->contains(tls13_version);
    if (!offers_tls13)
        return errc::none;
    const errc bad = for_each_extension(
        extensions, [&](extension_type type, byte_view data) { return decode_extension(type, data); });
    if (bad != errc::none)
        return bad;
    // RFC 8446 4.2.11
    //    The "pre_shared_key" extension MUST be the last extension in the ClientHello [...] Servers MUST check that
    //    it is the last extension and otherwise fail the handshake with an "illegal_parameter" alert.
    if (pre_shared_key && last != extension_type::pre_shared_key)
        return errc::pre_shared_key_not_last;
    if (signature_algorithms_cert.size() == 0)
        signature_algorithms_cert = signature_algorithms;
    if (const errc missing = check_tls13(); missing != errc::none)
        return missing;
    const auto entries = decode_key_share(*key_share_data_, supported_groups);
    if (!entries)
        return entries.error();
    key_share = *entries;
    return errc::none;
}

inline errc client_hello::decode_extension(extension_type type, byte_view data)
{
    const auto take = [](const auto& from, auto& into) {
        if (!from)
            return from.error();
        into = *from;
        return errc::none;
    };
    switch (type) {
    case extension_type::server_name: return take(decode_server_name(data), server_name);
    case extension_type::supported_groups: return take(decode_code_points16(data), supported_groups);
    case extension_type::signature_algorithms: return take(decode_code_points16(data), signature_algorithms);
    case extension_type::signature_algorithms_cert:
        return take(decode_code_points16(data), signature_algorithms_cert);
    case extension_type::application_layer_protocol_negotiation:
        return take(decode_protocol_name_list(data), protocol_names);
    case extension_type::key_share: key_share_data_ = data; return errc::none;
    case extension_type::cookie: {
        reader in(data);
        cookie = in.vector16(1);
        return in.complete() ? errc::none : errc::extension_decode;
    }
    case extension_type::psk_key_exchange_modes: {
        reader in(data);
        in.vector8(1);
        psk_key_exchange_modes_ = true;
        return in.complete() ? errc::none : errc::extension_decode;
    }
    case extension_type::early_data: // RFC 8446 4.2.10
        early_data = true;
        return data.empty() ? errc::none : errc::extension_decode;
    case extension_type::pre_shared_key: pre_shared_key = true; return check_offered_psks(data);
    case extension_type::oid_filters: // RFC 8446 4.2: recognised, and not specified for a ClientHello
        return errc::misplaced_extension;
    default: return errc::none; // RFC 8446 4.1.2: servers MUST ignore unrecognized extensions
    }
}

// RFC 8446 9.2: what a ClientHello must contain when no PSK is used, and 4.2.9.
inline errc client_hello::check_tls13() const
{
    if (pre_shared_key && !psk_key_exchange_modes_)
        return errc::missing_psk_key_exchange_modes;
    if (signature_algorithms.size() == 0)
        return errc::missing_signature_algorithms;
    if (supported_groups.size() == 0)
        return errc::missing_supported_groups;
    if (!key_share_data_)
        return errc::missing_key_share;
    return errc::none;
}

// RFC 8446 4.1.2: what a client may change after a HelloRetryRequest.
[[nodiscard]] constexpr bool may_change_after_retry(extension_type type) noexcept
{
    return type == extension_type::key_share || type == extension_type::early_data ||
        type == extension_type::cookie || type == extension_type::pre_shared_key || type == extension_type::padding;
}

// RFC 8446 4.1.2: whether the second ClientHello differs from the first where it may not.
[[nodiscard]] inline bool differs_illegally(const client_hello& first, const client_hello& second) noexcept
{
    if (first.legacy_version != second.legacy_version || !equal(first.random, second.random) ||
        !equal(first.session_id, second.session_id) ||
        !equal(first.cipher_suites.bytes(), second.cipher_suites.bytes()))
        return true;
    const auto next_fixed = [](reader& in) {
        while (!in.empty()) {
            const byte_view start = in.rest();
            const auto type = static_cast<extension_type>(in.u16());
            const byte_view data = in.vector16();
            if (!may_change_after_retry(type))
                return start.first(4 + data.size());
        }
        return byte_view{};
    };
    reader a(first.extensions);
    reader b(second.extensions);
    for (;;) {
        const byte_view x = next_fixed(a);
        const byte_view y = next_fixed(b);
        if (!equal(x, y))
            return true;
        if (x.empty())
            return false;
    }
}

}

#endif
// ---- alos/tls13/server_hello.hpp ----
// ServerHello and HelloRetryRequest (RFC 8446 4.1.3, 4.1.4).
#ifndef ALOS_TLS13_SERVER_HELLO_HPP
#define ALOS_TLS13_SERVER_HELLO_HPP


#include <array>

namespace alos::inline v0::tls13 {

// RFC 8446 4.1.3: SHA-256 of "HelloRetryRequest", in the place of the random.
inline constexpr std::array<std::uint8_t, random_size> hello_retry_request_random{
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

// What the two messages have in common; `extensions` writes theirs.
template <class Extensions>
[[nodiscard]] byte_vector encode_server_hello(byte_view random, byte_view session_id, cipher_suite suite,
                                              Extensions extensions)
{
    byte_vector body;
    writer out(body);
    out.u16(tls12_version);
    out.bytes(random);
    out.vector8([&] { out.bytes(session_id); }); // legacy_session_id_echo
    out.u16(static_cast<std::uint16_t>(suite));
    out.u8(0); // legacy_compression_method
    out.vector16([&] {
        extensions(out);
        out.u16(static_cast<std::uint16_t>(extension_type::supported_versions));
        out.vector16([&] { out.u16(tls13_version); });
    });
    return body;
}

// RFC 8446 4.1.3: the body of a ServerHello with the server's share (4.2.8).
[[nodiscard]] inline byte_vector server_hello(byte_view random, byte_view session_id, cipher_suite suite,
                                              named_group group, byte_view share)
{
    return encode_server_hello(random, session_id, suite, [&](writer& out) {
        out.u16(static_cast<std::uint16_t>(extension_type::key_share));
        out.vector16([&] {
            out.u16(static_cast<std::uint16_t>(group));
            out.vector16([&] { out.bytes(share); });
        });
    });
}

// RFC 8446 4.1.4: the body of a HelloRetryRequest that asks for a share in `group`. No cookie if it is empty (4.2.2).
[[nodiscard]] inline byte_vector hello_retry_request(byte_view session_id, cipher_suite suite, named_group group,
                                                     byte_view cookie)
{
    return encode_server_hello(hello_retry_request_random, session_id, suite, [&](writer& out) {
        out.u16(static_cast<std::uint16_t>(extension_type::key_share));
        out.vector16([&] { out.u16(static_cast<std::uint16_t>(group)); });
        if (cookie.empty())
            return;
        out.u16(static_cast<std::uint16_t>(extension_type::cookie));
        out.vector16([&] { out.vector16([&] { out.bytes(cookie); }); });
    });
}

}

#endif
// ---- alos/tls13/encrypted_extensions.hpp ----
// EncryptedExtensions (RFC 8446 4.3.1): what the server says once it can say it in secret.
#ifndef ALOS_TLS13_ENCRYPTED_EXTENSIONS_HPP
#define ALOS_TLS13_ENCRYPTED_EXTENSIONS_HPP


#include <string_view>

namespace alos::inline v0::tls13 {

// The body. `server_name_used`: the client's name chose the certificate (RFC 6066 3). `protocol`: RFC 7301 3.1, empty
// if none was chosen.
[[nodiscard]] inline byte_vector encrypted_extensions(bool server_name_used, std::string_view protocol)
{
    byte_vector body;
    writer out(body);
    out.vector16([&] {
        if (server_name_used) {
            out.u16(static_cast<std::uint16_t>(extension_type::server_name));
            out.u16(0);
        }
        if (!protocol.empty()) {
            out.u16(static_cast<std::uint16_t>(extension_type::application_layer_protocol_negotiation));
            out.vector16([&] { out.vector16([&] { out.vector8([&] { out.bytes(as_bytes(protocol)); }); }); });
        }
    });
    return body;
}

}

#endif
// ---- alos/tls13/certificate.hpp ----
// Certificate and CertificateVerify (RFC 8446 4.4.2, 4.4.3): what they contain and what is signed.
#ifndef ALOS_TLS13_CERTIFICATE_HPP
#define ALOS_TLS13_CERTIFICATE_HPP


#include <span>
#include <string_view>

namespace alos::inline v0::tls13 {

// RFC 8446 4.4.2: the body of a server's Certificate message. `chain` is DER, leaf first, without extensions.
[[nodiscard]] inline byte_vector encode_certificate(std::span<const byte_vector> chain)
{
    byte_vector body;
    writer out(body);
    out.u8(0); // certificate_request_context
    out.vector24([&] {
        for (const byte_vector& certificate : chain) {
            out.vector24([&] { out.bytes(certificate); });
            out.u16(0); // extensions
        }
    });
    return body;
}

// RFC 8446 4.4.3: what a server signs, `transcript_hash` covering ClientHello to Certificate.
[[nodiscard]] inline byte_vector signed_content(byte_view transcript_hash)
{
    constexpr std::string_view context = "TLS 1.3, server CertificateVerify";
    byte_vector content(64, 0x20);
    writer out(content);
    out.bytes(as_bytes(context));
    out.u8(0);
    out.bytes(transcript_hash);
    return content;
}

// RFC 8446 4.4.3: the body of a CertificateVerify message.
[[nodiscard]] inline byte_vector encode_certificate_verify(signature_scheme scheme, byte_view signature)
{
    byte_vector body;
    writer out(body);
    out.u16(static_cast<std::uint16_t>(scheme));
    out.vector16([&] { out.bytes(signature); });
    return body;
}

}

#endif
// ---- alos/tls13/finished.hpp ----
// Finished (RFC 8446 4.4.4). What it has to contain is computed by the key schedule.
#ifndef ALOS_TLS13_FINISHED_HPP
#define ALOS_TLS13_FINISHED_HPP


#include <array>

namespace alos::inline v0::tls13 {

struct finished {
    static constexpr handshake_type type = handshake_type::finished;

    std::array<std::uint8_t, max_hash_size> verify_data{};
    std::size_t size = 0;

    [[nodiscard]] static decoded<finished> decode(byte_view body)
    {
        finished message;
        if (body.size() > message.verify_data.size())
            return errc::message_decode;
        copy(body, message.verify_data);
        message.size = body.size();
        return message;
    }

    // RFC 8446 4.4.4
    //    Recipients of Finished messages MUST verify that the contents are correct and if incorrect MUST terminate
    //    the connection with a "decrypt_error" alert.
    // Note: a wrong length is malformed, not incorrect.
    [[nodiscard]] errc verify(byte_view expected) const noexcept
    {
        if (size != expected.size())
            return errc::message_decode;
        return equal_in_constant_time({verify_data.data(), size}, expected) ? errc::none : errc::bad_finished;
    }
};

}

#endif
// ---- alos/tls13/post_handshake.hpp ----
// Messages after the handshake (RFC 8446 4.6): a client may send KeyUpdate only.
#ifndef ALOS_TLS13_POST_HANDSHAKE_HPP
#define ALOS_TLS13_POST_HANDSHAKE_HPP


#include <array>

namespace alos::inline v0::tls13 {

// RFC 8446 4.6.3
enum class key_update_request : std::uint8_t { update_not_requested = 0, update_requested = 1 };

[[nodiscard]] inline decoded<key_update_request> decode_key_update(byte_view body)
{
    if (body.size() != 1)
        return errc::message_decode;
    if (body[0] > 1)
        return errc::bad_key_update;
    return static_cast<key_update_request>(body[0]);
}

// The whole message, header included.
[[nodiscard]] inline std::array<std::uint8_t, 5> encode_key_update(key_update_request request) noexcept
{
    return {static_cast<std::uint8_t>(handshake_type::key_update), 0, 0, 1, static_cast<std::uint8_t>(request)};
}

}

#endif
// ---- alos/tls13/transcript.hpp ----
// The transcript hash (RFC 8446 4.4.1): a running digest of every handshake message.
#ifndef ALOS_TLS13_TRANSCRIPT_HPP
#define ALOS_TLS13_TRANSCRIPT_HPP


#include <array>
#include <optional>

namespace alos::inline v0::tls13 {

// The output of a hash function.
class digest {
public:
    explicit digest(hash_algorithm algorithm) noexcept : size_(hash_size(algorithm)) {}

    [[nodiscard]] byte_view view() const noexcept { return {bytes_.data(), size_}; }
    [[nodiscard]] byte_span bytes() noexcept { return {bytes_.data(), size_}; }

private:
    std::array<std::uint8_t, max_hash_size> bytes_{};
    std::size_t size_;
};

// Messages that come before the hash is chosen are kept and hashed then.
template <crypto_provider Crypto>
class transcript {
public:
    void start(hash_algorithm algorithm)
    {
        algorithm_ = algorithm;
        hash_.emplace(algorithm);
        hash_->update(kept_);
        kept_ = byte_vector(); // and its memory
    }

    // `message` with its header.
    void add(byte_view message)
    {
        if (hash_)
            hash_->update(message);
        else
            kept_.insert(kept_.end(), message.begin(), message.end());
    }

    // Of all messages so far; start() comes first.
    [[nodiscard]] digest current() const
    {
        digest out(algorithm_);
        hash_->current(out.bytes());
        return out;
    }

    // RFC 8446 4.4.1: a HelloRetryRequest turns the first ClientHello into a message_hash.
    void replace_with_message_hash()
    {
        const digest first = current();
        hash_.emplace(algorithm_);
        const std::array<std::uint8_t, 4> header{static_cast<std::uint8_t>(handshake_type::message_hash), 0, 0,
                                                 static_cast<std::uint8_t>(first.view().size())};
        hash_->update(header);
        hash_->update(first.view());
    }

private:
    byte_vector kept_;
    hash_algorithm algorithm_{};
    std::optional<typename Crypto::hash> hash_;
};

}

#endif
// ---- alos/tls13/key_schedule.hpp ----
// The key schedule (RFC 8446 7). Each step consumes the one before, as in the diagram of 7.1:
//
//              0 -> HKDF-Extract = Early Secret                 early_secret
//                    | Derive-Secret(., "derived", "")
//   (EC)DHE      -> HKDF-Extract = Handshake Secret             handshake_secret
//                    +--> c hs traffic, s hs traffic
//                    | Derive-Secret(., "derived", "")
//              0 -> HKDF-Extract = Master Secret                master_secret
//                    +--> c ap traffic, s ap traffic
#ifndef ALOS_TLS13_KEY_SCHEDULE_HPP
#define ALOS_TLS13_KEY_SCHEDULE_HPP


#include <array>
#include <string_view>
#include <utility>

namespace alos::inline v0::tls13 {

using hash_secret = secret<max_hash_size>;

// RFC 5869 and RFC 8446 7.1. No output of TLS 1.3 is longer than the hash, so that expansion is one HMAC.
template <crypto_provider Crypto>
class hkdf {
public:
    explicit hkdf(hash_algorithm algorithm) : algorithm_(algorithm), hmac_(algorithm) {}

    [[nodiscard]] hash_algorithm algorithm() const noexcept { return algorithm_; }

    // RFC 5869 2.2
    [[nodiscard]] hash_secret extract(byte_view salt, byte_view input_keying_material)
    {
        hash_secret out(hash_size(algorithm_));
        hmac_.start(salt);
        hmac_.update(input_keying_material);
        hmac_.finish(out.bytes());
        return out;
    }

    // RFC 8446 7.1: HKDF-Expand-Label; `out` is at most as long as the hash.
    void expand_label(byte_view secret, std::string_view label, byte_view context, byte_span out)
    {
        constexpr std::string_view prefix = "tls13 ";
        const std::array<std::uint8_t, 3> head{0, static_cast<std::uint8_t>(out.size()),
                                               static_cast<std::uint8_t>(prefix.size() + label.size())};
        const std::array<std::uint8_t, 1> context_size{static_cast<std::uint8_t>(context.size())};
        constexpr std::array<std::uint8_t, 1> first_block{1}; // RFC 5869 2.3
        hmac_.start(secret);
        hmac_.update(head);
        hmac_.update(as_bytes(prefix));
        hmac_.update(as_bytes(label));
        hmac_.update(context_size);
        hmac_.update(context);
        hmac_.update(first_block);
        hash_secret block(hash_size(algorithm_));
        hmac_.finish(block.bytes());
        copy(block.view().first(out.size()), out);
    }

    // RFC 8446 7.1: Derive-Secret, with the transcript hash already taken.
    [[nodiscard]] hash_secret derive_secret(byte_view secret, std::string_view label, byte_view transcript_hash)
    {
        hash_secret out(hash_size(algorithm_));
        expand_label(secret, label, transcript_hash, out.bytes());
        return out;
    }

    // Derive-Secret(secret, "derived", ""): what leads from one Extract to the next.
    [[nodiscard]] hash_secret derived(byte_view secret)
    {
        digest nothing(algorithm_);
        typename Crypto::hash(algorithm_).current(nothing.bytes());
        return derive_secret(secret, "derived", nothing.view());
    }

    // RFC 8446 4.4.4: verify_data of the side whose traffic secret is given.
    [[nodiscard]] hash_secret verify_data(byte_view traffic_secret, byte_view transcript_hash)
    {
        const hash_secret finished_key = derive_secret(traffic_secret, "finished", {});
        return extract(finished_key.view(), transcript_hash); // HMAC, and so is Extract
    }

private:
    hash_algorithm algorithm_;
    typename Crypto::hmac hmac_;
};

// One secret a direction.
struct traffic_secrets {
    hash_secret client;
    hash_secret server;
};

template <crypto_provider Crypto>
class master_secret {
public:
    master_secret(hkdf<Crypto>& kdf, hash_secret value) noexcept : kdf_(kdf), value_(std::move(value)) {}

    // `transcript_hash` covers ClientHello to server Finished.
    [[nodiscard]] traffic_secrets application_traffic(byte_view transcript_hash) &&
    {
        return {kdf_.derive_secret(value_.view(), "c ap traffic", transcript_hash),
                kdf_.derive_secret(value_.view(), "s ap traffic", transcript_hash)};
    }

private:
    hkdf<Crypto>& kdf_;
    hash_secret value_;
};

template <crypto_provider Crypto>
class handshake_secret {
public:
    handshake_secret(hkdf<Crypto>& kdf, hash_secret value) noexcept : kdf_(kdf), value_(std::move(value)) {}

    // `transcript_hash` covers ClientHello to ServerHello.
    [[nodiscard]] traffic_secrets handshake_traffic(byte_view transcript_hash)
    {
        return {kdf_.derive_secret(value_.view(), "c hs traffic", transcript_hash),
                kdf_.derive_secret(value_.view(), "s hs traffic", transcript_hash)};
    }

    [[nodiscard]] master_secret<Crypto> into_master_secret() &&
    {
        const std::array<std::uint8_t, max_hash_size> zero{};
        const hash_secret salt = kdf_.derived(value_.view());
        return {kdf_, kdf_.extract(salt.view(), byte_view(zero).first(hash_size(kdf_.algorithm())))};
    }

private:
    hkdf<Crypto>& kdf_;
    hash_secret value_;
};

// `kdf` outlives the whole chain.
template <crypto_provider Crypto>
class early_secret {
public:
    // Without a PSK.
    explicit early_secret(hkdf<Crypto>& kdf) noexcept : kdf_(kdf) {}

    [[nodiscard]] handshake_secret<Crypto> with_shared_secret(byte_view shared_secret) &&
    {
        return {kdf_, kdf_.extract(salt(kdf_.algorithm()).view(), shared_secret)};
    }

private:
    // Derive-Secret(Early Secret, "derived", ""): without a PSK nothing in it is secret or changes.
    static const digest& salt(hash_algorithm algorithm)
    {
        static const digest of_sha256 = make_salt(hash_algorithm::sha256);
        static const digest of_sha384 = make_salt(hash_algorithm::sha384);
        return algorithm == hash_algorithm::sha256 ? of_sha256 : of_sha384;
    }

    static digest make_salt(hash_algorithm algorithm)
    {
        hkdf<Crypto> kdf(algorithm);
        const std::array<std::uint8_t, max_hash_size> zero{};
        const byte_view zeros = byte_view(zero).first(hash_size(algorithm));
        digest out(algorithm);
        copy(kdf.derived(kdf.extract(zeros, zeros).view()).view(), out.bytes());
        return out;
    }

    hkdf<Crypto>& kdf_;
};

// RFC 8446 7.3: the key and the IV of one direction.
struct traffic_keys {
    secret<max_aead_key_size> key;
    secret<aead_nonce_size> iv;
};

template <crypto_provider Crypto>
[[nodiscard]] traffic_keys derive_traffic_keys(hkdf<Crypto>& kdf, aead_algorithm aead, byte_view traffic_secret)
{
    traffic_keys keys{secret<max_aead_key_size>(key_size(aead)), secret<aead_nonce_size>(aead_nonce_size)};
    kdf.expand_label(traffic_secret, "key", {}, keys.key.bytes());
    kdf.expand_label(traffic_secret, "iv", {}, keys.iv.bytes());
    return keys;
}

// RFC 8446 7.2: the traffic secret after a KeyUpdate.
template <crypto_provider Crypto>
[[nodiscard]] hash_secret next_traffic_secret(hkdf<Crypto>& kdf, byte_view traffic_secret)
{
    return kdf.derive_secret(traffic_secret, "traffic upd", {});
}

}

#endif
// ---- alos/cert/credential.hpp ----
// A credential: a certificate chain, the key that signs for it, and what a handshake needs of both, computed once.
#ifndef ALOS_CERT_CREDENTIAL_HPP
#define ALOS_CERT_CREDENTIAL_HPP


#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace alos::inline v0::cert {

// A private key behind the one operation that a server needs of it. All members may be called from any thread.
// Implement it to sign in an HSM or a remote service: answer false from immediate() and override start().
class signing_key {
public:
    using completion = std::function<void(result<byte_vector>)>;

    virtual ~signing_key() = default;

    // The schemes that it can sign with, the preferred one first; valid as long as the key.
    [[nodiscard]] virtual std::span<const signature_scheme> schemes() const noexcept = 0;

    // Signs `content` (RFC 8446 4.4.3) here and now.
    [[nodiscard]] virtual result<byte_vector> sign(signature_scheme scheme, byte_view content) const = 0;

    // Whether sign() is quick enough for the thread that serves connections.
    [[nodiscard]] virtual bool immediate() const noexcept { return true; }

    // Begins to sign; calls `done` once, on any thread, perhaps before it returns, or destroys it uncalled. Either must
    // happen while the executor of the connection lives. Does not throw.
    virtual void start(signature_scheme scheme, byte_vector content, completion done) const
    {
        done(sign(scheme, content));
    }
};

enum class source { self_signed, manual, acme };

// What a certificate says of itself (RFC 5280 4.1.2), for people and for lookups.
struct description {
    std::vector<std::string> names;     // DNS names as A-labels in lower case, wildcards as "*.example.com"
    std::vector<std::string> addresses; // IP addresses in their canonical text form
    std::string subject;
    std::string issuer;
    std::chrono::system_clock::time_point not_before;
    std::chrono::system_clock::time_point not_after;
    std::string key_type;                       // "ECDSA P-256", "RSA 2048", "Ed25519", ...
    std::array<std::uint8_t, 32> fingerprint{}; // SHA-256 of the leaf
};

// Immutable once it is made; shared by snapshots and by the handshakes that use it.
struct credential {
    std::vector<byte_vector> chain;              // DER, leaf first
    std::vector<signature_scheme> chain_schemes; // what each is signed with but self-signed ones; 0: a scheme without a name in TLS
    std::shared_ptr<const signing_key> key;
    byte_vector certificate_message; // the body of the Certificate message (RFC 8446 4.4.2), encoded once
    description about;
    source from = source::manual;
};

using credential_ptr = std::shared_ptr<const credential>;

}

#endif
// ---- alos/cert/names.hpp ----
// Names that certificates are stored and looked up under: host names, wildcards and IP addresses, in one spelling
// each.
#ifndef ALOS_CERT_NAMES_HPP
#define ALOS_CERT_NAMES_HPP


#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace alos::inline v0::cert {

inline constexpr std::size_t max_name_size = 253; // RFC 1035 2.3.4, in text form
inline constexpr std::size_t max_label_size = 63;

// A host name as lookups compare it: labels of letters, digits, '-' and '_', in lower case, without the final dot.
// Empty when the text is no host name; a last label of digits alone makes it an address (RFC 3696 2).
class host_name {
public:
    explicit host_name(std::string_view text) noexcept
    {
        if (text.ends_with('.'))
            text.remove_suffix(1);
        if (text.empty() || text.size() > max_name_size)
            return;
        std::size_t label = 0; // where the current one starts
        bool only_digits = true;
        for (std::size_t i = 0; i < text.size(); ++i) {
            const char c = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] - 'A' + 'a') : text[i];
            text_[i] = c;
            if (c == '.') {
                if (!is_label(text.substr(label, i - label)))
                    return;
                label = i + 1;
                only_digits = true;
                continue;
            }
            const bool digit = c >= '0' && c <= '9';
            if (!digit && !(c >= 'a' && c <= 'z') && c != '-' && c != '_')
                return;
            only_digits = only_digits && digit;
        }
        if (is_label(text.substr(label)) && !only_digits)
            size_ = text.size();
    }

    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::string_view text() const noexcept { return {text_.data(), size_}; }

private:
    static bool is_label(std::string_view label) noexcept
    {
        return !label.empty() && label.size() <= max_label_size && label.front() != '-' && label.back() != '-';
    }

    std::array<char, max_name_size> text_;
    std::size_t size_ = 0;
};

// The part of a name that a wildcard stands before: "example.com" of "www.example.com"; empty for a single label.
[[nodiscard]] inline std::string_view parent_of(std::string_view name) noexcept
{
    const std::size_t dot = name.find('.');
    return dot == std::string_view::npos ? std::string_view{} : name.substr(dot + 1);
}

// An IPv4 or IPv6 address; one that is mapped into IPv6 (RFC 4291 2.5.5.2) is the IPv4 address that it means.
class ip_address {
public:
    ip_address() noexcept = default;

    // From 4 or 16 bytes; empty from any other number.
    explicit ip_address(byte_view bytes) noexcept
    {
        constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
        if (bytes.size() == 16 && equal(bytes.first(12), mapped))
            bytes = bytes.subspan(12);
        if (bytes.size() != 4 && bytes.size() != 16)
            return;
        copy(bytes, bytes_);
        size_ = bytes.size();
    }

    // From "192.0.2.1", "2001:db8::1"; empty from anything else.
    explicit ip_address(std::string_view text) noexcept
    {
        std::array<char, INET6_ADDRSTRLEN> terminated{};
        if (text.size() >= terminated.size() || text.find('\0') != std::string_view::npos)
            return;
        std::ranges::copy(text, terminated.begin());
        std::array<std::uint8_t, 16> parsed{};
        if (::inet_pton(AF_INET, terminated.data(), parsed.data()) == 1)
            *this = ip_address(byte_view(parsed).first(4));
        else if (::inet_pton(AF_INET6, terminated.data(), parsed.data()) == 1)
            *this = ip_address(byte_view(parsed));
    }

    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] byte_view bytes() const noexcept { return {bytes_.data(), size_}; }

    // The canonical form (RFC 5952).
    [[nodiscard]] std::string text() const
    {
        std::array<char, INET6_ADDRSTRLEN> out{};
        ::inet_ntop(size_ == 4 ? AF_INET : AF_INET6, bytes_.data(), out.data(), out.size());
        return empty() ? std::string() : std::string(out.data());
    }

private:
    std::array<std::uint8_t, 16> bytes_{};
    std::size_t size_ = 0;
};

// The spelling under which a domain is stored: a host name, "*." and a host name, or an IP address. Nothing for
// anything else, such as a name in Unicode, which has to be given as A-labels (RFC 5890 2.3.2.1).
[[nodiscard]] inline std::optional<std::string> parse_domain(std::string_view text)
{
    if (const ip_address address(text); !address.empty())
        return address.text();
    const bool wildcard = text.starts_with("*.");
    const host_name name(wildcard ? text.substr(2) : text);
    if (name.empty() || (wildcard && name.text().size() + 2 > max_name_size))
        return std::nullopt;
    return wildcard ? "*." + std::string(name.text()) : std::string(name.text());
}

}

#endif
// ---- alos/cert/snapshot.hpp ----
// Which credential answers to which name: an immutable map that is replaced as a whole.
#ifndef ALOS_CERT_SNAPSHOT_HPP
#define ALOS_CERT_SNAPSHOT_HPP


#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace alos::inline v0::cert {

// The credentials that are stored under one domain, side by side by key type.
struct entry {
    std::string domain; // as parse_domain() spells it
    std::vector<credential_ptr> credentials;
};

using candidates = std::span<const credential_ptr>;

// The wildcards "*.example.com" by their labels from the right:
//
//   com
//   └── example         "*.example.com"
//       └── api         "*.api.example.com"
//
// A wildcard stands for exactly one label (RFC 6125 6.4.3).
class suffix_tree {
public:
    // Stores `what` for "*.<suffix>", unless there is something already.
    void insert(std::string_view suffix, candidates what)
    {
        std::size_t at = 0;
        while (!suffix.empty()) {
            const std::string label(take_label(suffix));
            const auto [found, is_new] = nodes_[at].children.try_emplace(label, nodes_.size());
            at = found->second;
            if (is_new)
                nodes_.emplace_back();
        }
        if (nodes_[at].wildcard.empty())
            nodes_[at].wildcard = what;
    }

    // What is stored for the names one label below `suffix`, or nothing.
    [[nodiscard]] candidates find(std::string_view suffix) const noexcept
    {
        std::size_t at = 0;
        while (!suffix.empty()) {
            const auto& children = nodes_[at].children;
            const auto found = children.find(take_label(suffix));
            if (found == children.end())
                return {};
            at = found->second;
        }
        return nodes_[at].wildcard;
    }

private:
    struct node {
        std::map<std::string, std::size_t, std::less<>> children;
        candidates wildcard;
    };

    // Takes the rightmost label off `name`.
    static std::string_view take_label(std::string_view& name) noexcept
    {
        const std::size_t dot = name.rfind('.');
        const std::string_view label = name.substr(dot == std::string_view::npos ? 0 : dot + 1);
        name = name.substr(0, dot == std::string_view::npos ? 0 : dot);
        return label;
    }

    std::vector<node> nodes_{1};
};

// Every name of a server at one moment. The rules, in this order:
//   1. a host name finds the credentials stored under exactly that domain, else those that name it exactly,
//   2. else those stored under its wildcard, else those that name its wildcard,
//   3. without a host name (none was sent, or not a valid one) the local address finds its certificate,
//   4. else the default domain answers, or the first one stored when there is no default, unless the name is refused.
// A domain that was given wins over the names inside other certificates; of those the first stored wins.
class snapshot {
public:
    snapshot() = default;

    // `challenges` have exact names and one credential each (RFC 8737), and are found by challenge() only. `refused`
    // are domains that get no other's certificate.
    explicit snapshot(std::vector<entry> entries, std::string_view default_domain = {},
                      std::vector<entry> challenges = {}, const std::set<std::string>& refused = {})
        : entries_(std::move(entries)), challenge_entries_(std::move(challenges))
    {
        for (const std::string& domain : refused)
            refused_.insert(domain.starts_with("*.") ? domain.substr(1) : domain);
        std::erase_if(entries_, [](const entry& one) { return one.credentials.empty(); });
        std::erase_if(challenge_entries_, [](const entry& one) { return one.credentials.empty(); });
        for (const entry& one : entries_)
            store(one.domain, one.credentials);
        for (const entry& one : entries_)
            for (const credential_ptr& each : one.credentials)
                store_names_of(*each, one);
        for (const entry& one : challenge_entries_)
            challenges_.try_emplace(one.domain, one.credentials);
        for (std::size_t i = 0; i < entries_.size(); ++i)
            if (entries_[i].domain == default_domain)
                default_ = i;
    }

    snapshot(const snapshot&) = delete;
    snapshot& operator=(const snapshot&) = delete;

    // The credentials for a ClientHello, valid as long as this snapshot. `server_name` is what the client sent, or
    // empty; `local_address` has 4 or 16 bytes, or none. Empty only when there is no certificate at all.
    [[nodiscard]] candidates find(std::string_view server_name, byte_view local_address = {}) const noexcept
    {
        const host_name name(server_name);
        const candidates found = name.empty() ? find_address(local_address) : find_name(name.text());
        if (!found.empty() || entries_.empty())
            return found;
        return entries_[default_].credentials;
    }

    // Whether a certificate was stored for this name, so that find() does not fall back to the default.
    [[nodiscard]] bool knows(std::string_view server_name) const noexcept
    {
        const host_name name(server_name);
        return !name.empty() && !find_name(name.text()).empty();
    }

    // Whether clients that ask for this name are to be sent away (RFC 6066 3): no certificate is stored for it, and
    // the default is not to answer.
    [[nodiscard]] bool refuses(std::string_view server_name) const noexcept
    {
        if (refused_.empty())
            return false;
        const host_name name(server_name);
        const std::string_view text = name.text();
        const std::size_t dot = std::min(text.find('.'), text.size());
        return !text.empty() && (refused_.contains(text) || refused_.contains(text.substr(dot)))
               && find_name(text).empty();
    }

    // The certificate that answers a tls-alpn-01 challenge for this name (RFC 8737 3), or null.
    [[nodiscard]] const credential* challenge(std::string_view server_name) const noexcept
    {
        const host_name name(server_name);
        const auto found = challenges_.find(name.text());
        return found == challenges_.end() ? nullptr : found->second.front().get();
    }

    [[nodiscard]] std::span<const entry> entries() const noexcept { return entries_; }
    [[nodiscard]] std::span<const entry> challenges() const noexcept { return challenge_entries_; }

    // The domain that answers when no other does; empty when there is no certificate at all.
    [[nodiscard]] std::string_view default_domain() const noexcept
    {
        return entries_.empty() ? std::string_view{} : entries_[default_].domain;
    }

private:
    struct text_hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
    };
    using name_map = std::unordered_map<std::string, candidates, text_hash, std::equal_to<>>;

    [[nodiscard]] candidates find_name(std::string_view name) const noexcept
    {
        if (const auto found = names_.find(name); found != names_.end())
            return found->second;
        const std::string_view parent = parent_of(name);
        return parent.empty() ? candidates{} : wildcards_.find(parent);
    }

    [[nodiscard]] candidates find_address(byte_view bytes) const noexcept
    {
        const ip_address address(bytes);
        const auto found = addresses_.find(as_text(address.bytes()));
        return found == addresses_.end() ? candidates{} : found->second;
    }

    // Keeps what is there already: domains are stored before the names inside certificates.
    void store(std::string_view name, candidates what)
    {
        if (name.starts_with("*."))
            wildcards_.insert(name.substr(2), what);
        else if (const ip_address address(name); !address.empty())
            addresses_.try_emplace(std::string(as_text(address.bytes())), what);
        else
            names_.try_emplace(std::string(name), what);
    }

    void store_names_of(const credential& each, const entry& home)
    {
        for (const std::string& name : each.about.names)
            store(name, those_with(name, &description::names, home));
        for (const std::string& address : each.about.addresses)
            store(address, those_with(address, &description::addresses, home));
    }

    // The credentials of `home` that have `name` in `list`.
    candidates those_with(const std::string& name, std::vector<std::string> description::*list, const entry& home)
    {
        const auto has_name = [&](const credential_ptr& one) {
            return std::ranges::count(one->about.*list, name) != 0;
        };
        if (home.credentials.size() == 1 || std::ranges::all_of(home.credentials, has_name))
            return home.credentials;
        std::vector<credential_ptr>& part = parts_.emplace_back();
        std::ranges::copy_if(home.credentials, std::back_inserter(part), has_name);
        return part;
    }

    std::vector<entry> entries_;
    std::vector<entry> challenge_entries_;
    std::vector<std::vector<credential_ptr>> parts_; // of entries; only the vectors inside stay where they are
    name_map names_;
    name_map addresses_; // by their bytes
    name_map challenges_;
    std::unordered_set<std::string, text_hash, std::equal_to<>> refused_; // wildcards as ".example.com"
    suffix_tree wildcards_;
    std::size_t default_ = 0;
};

}

#endif
// ---- alos/cert/store.hpp ----
// Where handshakes find the current certificates: one atomic pointer to a snapshot.
#ifndef ALOS_CERT_STORE_HPP
#define ALOS_CERT_STORE_HPP


#include <atomic>
#include <cassert>
#include <memory>
#include <utility>

namespace alos::inline v0::cert {

// Load once a handshake and keep what you get until it ends: what is published meanwhile serves the next one. Both
// members may be called from any thread.
class store {
public:
    // Never null.
    [[nodiscard]] std::shared_ptr<const snapshot> load() const noexcept
    {
        return current_.load(std::memory_order_acquire);
    }

    // `next` must not be null.
    void publish(std::shared_ptr<const snapshot> next) noexcept
    {
        assert(next);
        current_.store(std::move(next), std::memory_order_release);
    }

private:
    std::atomic<std::shared_ptr<const snapshot>> current_{std::make_shared<const snapshot>()};
};

}

#endif
// ---- alos/cert/load.hpp ----
// Makes credentials from PEM: finds the key's certificate, puts the chain in order, and refuses what cannot serve.
#ifndef ALOS_CERT_LOAD_HPP
#define ALOS_CERT_LOAD_HPP


#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace alos::inline v0::cert {

struct load_options {
    std::string_view passphrase{};       // of an encrypted key
    std::string_view certificate_file{}; // for messages; empty for PEM from memory
    std::string_view key_file{};         // the same
    source from = source::manual;
    std::size_t min_rsa_bits = 2048; // NIST SP 800-57; no browser accepts less
};

// A private key in this process, by Botan.
class local_key final : public signing_key {
public:
    local_key(private_key_ptr key, std::vector<signature_scheme> schemes, bool is_quick)
        : key_(std::move(key)), schemes_(std::move(schemes)), is_quick_(is_quick)
    {
    }

    [[nodiscard]] std::span<const signature_scheme> schemes() const noexcept override { return schemes_; }

    [[nodiscard]] result<byte_vector> sign(signature_scheme scheme, byte_view content) const override
    {
        if (std::ranges::count(schemes_, scheme) == 0)
            return make_error_code(errc::unsupported_key);
        return key_->sign(scheme, content);
    }

    // RSA takes a millisecond, which other connections would wait for.
    [[nodiscard]] bool immediate() const noexcept override { return is_quick_; }

private:
    const private_key_ptr key_;
    const std::vector<signature_scheme> schemes_;
    const bool is_quick_;
};

namespace detail {

inline constexpr std::size_t max_chain_length = 10; // what common clients follow

inline failure in_file(std::string_view file, failure why)
{
    if (!file.empty())
        why.what = std::string(file) + ": " + why.what;
    return why;
}

// "the private key api-key.pem", or without a name for one from memory.
inline std::string the_private_key(const load_options& options)
{
    return options.key_file.empty() ? "the private key" : "the private key " + std::string(options.key_file);
}

inline outcome<std::vector<certificate>> read_certificates(const std::vector<pem_block>& blocks)
{
    std::vector<certificate> found;
    for (const pem_block& block : blocks) {
        if (block.label != "CERTIFICATE" && block.label != "X509 CERTIFICATE")
            continue;
        const std::string which = "certificate " + std::to_string(found.size() + 1);
        const auto der = decode_pem(block);
        if (!der)
            return failure{errc::bad_pem, which + " is not valid base64; the file is damaged"};
        auto read = parse_certificate({der->begin(), der->end()});
        if (!read)
            return failure{read.error(), which + " cannot be read as X.509; the file is damaged"};
        found.push_back(std::move(*read));
    }
    if (!found.empty())
        return found;
    const bool has_key = std::ranges::any_of(blocks, is_private_key);
    return failure{errc::bad_pem, has_key ? "it holds a private key and no certificate; are the two files swapped?"
                                          : "it holds " + std::string(blocks.front().label) + " and no CERTIFICATE"};
}

// All keys of a bundle. Fails at the first that cannot be read.
inline outcome<std::vector<private_key_ptr>> read_keys(const std::vector<pem_block>& blocks,
                                                       std::string_view passphrase)
{
    std::vector<private_key_ptr> keys;
    secret_bytes ec_parameters;
    for (const pem_block& block : blocks) {
        if (block.label == "EC PARAMETERS") {
            if (auto der = decode_pem(block))
                ec_parameters = std::move(*der);
        }
        if (!is_private_key(block))
            continue;
        auto key = parse_private_key(block, passphrase, ec_parameters);
        if (!key)
            return key.error();
        keys.push_back(*key);
    }
    if (keys.empty())
        return failure{errc::bad_pem, "it holds no private key; name the file that has the key"};
    return keys;
}

// The chain from `leaf` upwards, as indexes. Certificates that issued none of it are an error, except for copies and
// for other certificates of an issuer that is in the chain already.
inline outcome<std::vector<std::size_t>> order_chain(const std::vector<certificate>& all, std::size_t leaf)
{
    std::vector<std::size_t> chain{leaf};
    std::vector<bool> has_a_place(all.size());
    has_a_place[leaf] = true;
    while (!is_self_signed(all[chain.back()])) {
        const certificate& last = all[chain.back()];
        std::optional<std::size_t> next;
        bool is_named = false;
        bool is_linked = false;
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (i == leaf || !equal(all[i].subject, last.issuer))
                continue;
            is_named = true;
            if (!is_signed_by(last, all[i]))
                continue;
            is_linked = true;
            has_a_place[i] = true;
            const bool in_chain = std::ranges::count(chain, i) != 0;
            // One that another authority signed reaches more clients than a root.
            if (!in_chain && (!next || (is_self_signed(all[*next]) && !is_self_signed(all[i]))))
                next = i;
        }
        if (is_named && !is_linked)
            return failure{errc::broken_chain, "the certificate for " + name_text(last.subject)
                                                   + " is not signed by the key of " + name_text(last.issuer)
                                                   + " that stands beside it; get the matching intermediate from the "
                                                     "authority"};
        if (!next)
            break;
        chain.push_back(*next);
        if (chain.size() > max_chain_length)
            return failure{errc::broken_chain, "the chain is longer than 10 certificates, which clients do not follow; "
                                               "leave out what is not needed"};
    }
    const certificate& last = all[chain.back()];
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto is_copy = [&](std::size_t other) { return equal(all[other].der, all[i].der); };
        if (has_a_place[i] || std::ranges::any_of(chain, is_copy))
            continue;
        return failure{errc::broken_chain,
                       "certificate " + std::to_string(i + 1) + " (" + name_text(all[i].subject)
                           + ") issued nothing in the chain of " + name_text(all[leaf].subject) + "; remove it"
                           + (is_self_signed(last) ? "" : ", or add the certificate of " + name_text(last.issuer)
                                                               + " if that is missing between them")};
    }
    return chain;
}

// Refuses what no client of today accepts.
inline outcome<> check_usable(const std::vector<certificate>& all, const std::vector<std::size_t>& chain,
                              const load_options& options)
{
    const certificate& leaf = all[chain.front()];
    const bool is_rsa = leaf.key.bits != 0;
    if (schemes_of(leaf.key).empty())
        return failure{errc::unsupported_key,
                       "TLS 1.3 cannot be served here with " + leaf.key.text
                           + "; use ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits or more"};
    if (is_rsa && leaf.key.bits < options.min_rsa_bits)
        return failure{errc::unsupported_key, leaf.key.text + " is too small for any client; use at least "
                                                  + std::to_string(options.min_rsa_bits) + " bits, or ECDSA P-256"};
    for (const std::size_t i : chain)
        if (all[i].signature.is_weak && !is_self_signed(all[i]))
            return failure{errc::bad_certificate,
                           "the certificate for " + name_text(all[i].subject)
                               + " is signed with MD5 or SHA-1, which no client accepts; have it issued again with "
                                 "SHA-256"};
    return {};
}

// RFC 5280 4.2.1.6; a certificate without such names is known by its common name only, which no client of today uses.
inline description describe(const certificate& leaf)
{
    description about;
    for (const std::string_view name : leaf.dns_names)
        if (auto spelled = parse_domain(name); spelled && ip_address(name).empty())
            about.names.push_back(std::move(*spelled));
    for (const byte_view address : leaf.addresses)
        about.addresses.push_back(ip_address(address).text());
    about.subject = name_text(leaf.subject);
    about.issuer = name_text(leaf.issuer);
    about.not_before = leaf.not_before;
    about.not_after = leaf.not_after;
    about.key_type = leaf.key.text;
    about.fingerprint = sha256_of(leaf.der);
    return about;
}

// What a client that is asked for `certificate_schemes` calls this signature (RFC 8446 4.2.3).
inline signature_scheme scheme_of(const certificate& signed_one, const certificate* issuer)
{
    const signature_scheme scheme = signed_one.signature.scheme;
    if (!issuer || issuer->key.kind != public_key_facts::type::rsa_pss)
        return scheme;
    switch (scheme) {
    case signature_scheme::rsa_pss_rsae_sha256: return signature_scheme::rsa_pss_pss_sha256;
    case signature_scheme::rsa_pss_rsae_sha384: return signature_scheme::rsa_pss_pss_sha384;
    case signature_scheme::rsa_pss_rsae_sha512: return signature_scheme::rsa_pss_pss_sha512;
    default: return scheme;
    }
}

// A key whose halves differ, or that is damaged, shows here and not in the first handshake.
inline bool signs_correctly(const signing_key& key, const certificate& leaf)
{
    const byte_vector content = tls13::signed_content({});
    const signature_scheme scheme = key.schemes().front();
    const auto signature = key.sign(scheme, content);
    return signature && verifies(leaf, scheme, content, *signature);
}

// The credential of the certificate `leaf` among `all`, whose key is `key`.
inline outcome<credential_ptr> assemble(const std::vector<certificate>& all, std::size_t leaf,
                                        std::shared_ptr<const signing_key> key, const load_options& options)
{
    const auto chain = order_chain(all, leaf);
    if (!chain)
        return in_file(options.certificate_file, chain.error());
    if (auto usable = check_usable(all, *chain, options); !usable)
        return in_file(options.certificate_file, usable.error());

    auto made = std::make_shared<credential>();
    for (std::size_t i = 0; i < chain->size(); ++i) {
        const certificate& one = all[(*chain)[i]];
        const bool self_signed = is_self_signed(one);
        // RFC 8446 4.4.2: a trust anchor may be left out; clients have it.
        if (i == 0 || !self_signed)
            made->chain.push_back(one.der);
        if (!self_signed)
            made->chain_schemes.push_back(scheme_of(one, i + 1 < chain->size() ? &all[(*chain)[i + 1]] : nullptr));
    }
    made->key = std::move(key);
    made->certificate_message = tls13::encode_certificate(made->chain);
    made->about = describe(all[leaf]);
    made->from = options.from;
    return credential_ptr(std::move(made));
}

inline outcome<std::vector<certificate>> read_chain(std::string_view chain_pem, const load_options& options)
{
    const auto blocks = parse_pem(chain_pem);
    if (!blocks)
        return in_file(options.certificate_file, blocks.error());
    auto all = read_certificates(*blocks);
    if (!all)
        return in_file(options.certificate_file, all.error());
    return all;
}

}

// The credential of a certificate chain and its key, both PEM. The key may stand in `chain_pem`; then `key_pem` is
// empty. Certificates may come in any order.
[[nodiscard]] inline outcome<credential_ptr> make_credential(std::string_view chain_pem, std::string_view key_pem,
                                                             const load_options& options = {})
{
    const auto all = detail::read_chain(chain_pem, options);
    if (!all)
        return all.error();
    const std::string_view key_file = options.key_file.empty() ? options.certificate_file : options.key_file;
    const auto blocks = parse_pem(key_pem.empty() ? chain_pem : key_pem);
    if (!blocks)
        return detail::in_file(key_file, blocks.error());
    const auto keys = detail::read_keys(*blocks, options.passphrase);
    if (!keys)
        return detail::in_file(key_file, keys.error());

    for (std::size_t leaf = 0; leaf < all->size(); ++leaf) {
        const certificate& owner = (*all)[leaf];
        const auto is_its_key = [&](const private_key_ptr& one) { return belongs_to(*one, owner); };
        const auto key = std::ranges::find_if(*keys, is_its_key);
        if (key == keys->end())
            continue;
        const auto signer = std::make_shared<const local_key>(*key, schemes_of(owner.key), owner.key.bits == 0);
        auto made = detail::assemble(*all, leaf, signer, options);
        if (made && !detail::signs_correctly(*signer, owner))
            return detail::in_file(key_file, {errc::bad_private_key,
                                              "the private key is damaged: what it signs does not verify; restore it, "
                                              "or request a new certificate"});
        return made;
    }
    // Note: a certificate whose key Botan does not know belongs to no key either; that is the better reason.
    if (auto usable = detail::check_usable(*all, {0}, options); !usable)
        return detail::in_file(options.certificate_file, usable.error());
    return detail::in_file(options.certificate_file,
                           {errc::key_mismatch, detail::the_private_key(options)
                                                    + " does not belong to this certificate; use the key the "
                                                      "certificate was requested with"});
}

// The credential of a certificate chain, leaf first, whose key is elsewhere: in an HSM, or behind a service. That the
// key belongs to the certificate is only known when it signs.
[[nodiscard]] inline outcome<credential_ptr> make_remote_credential(std::string_view chain_pem,
                                                                    std::shared_ptr<const signing_key> key,
                                                                    const load_options& options = {})
{
    const auto all = detail::read_chain(chain_pem, options);
    if (!all)
        return all.error();
    const auto fitting = schemes_of(all->front().key);
    const auto fits = [&](signature_scheme one) { return std::ranges::count(fitting, one) != 0; };
    if (!key || !std::ranges::all_of(key->schemes(), fits) || key->schemes().empty())
        return detail::in_file(options.certificate_file,
                               {errc::key_mismatch, "the given key does not sign as this certificate's key must ("
                                                        + all->front().key.text
                                                        + "); put the leaf first, and name its signature schemes"});
    return detail::assemble(*all, 0, std::move(key), options);
}

}

#endif
// ---- alos/cert/files.hpp ----
// Files of certificates and keys: read within a limit, written as a whole or not at all.
#ifndef ALOS_CERT_FILES_HPP
#define ALOS_CERT_FILES_HPP


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
// ---- alos/cert/self_signed.hpp ----
// Self-signed certificates for development: made in memory, or kept in two files and used again.
#ifndef ALOS_CERT_SELF_SIGNED_HPP
#define ALOS_CERT_SELF_SIGNED_HPP


#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::cert {

inline constexpr std::chrono::hours self_signed_lifetime{24 * 365};

// A certificate and its key, both PEM.
struct pem_pair {
    std::string certificate;
    secret_text key;
};

// A certificate for these domains (host names, wildcards, IP addresses), valid from an hour before `now`, for clients
// whose clock is late, until 365 days after.
[[nodiscard]] inline outcome<pem_pair> make_self_signed(const std::vector<std::string>& domains, system_time now,
                                                        key_kind kind = key_kind::ecdsa_p256)
{
    certificate_spec spec;
    for (const std::string& domain : domains) {
        const auto spelled = parse_domain(domain);
        if (!spelled)
            return failure{errc::bad_name, "'" + domain + "' is no host name and no IP address; write it like "
                                                          "www.example.com, and other alphabets as xn-- labels"};
        if (const ip_address address(*spelled); !address.empty())
            spec.addresses.emplace_back(address.bytes().begin(), address.bytes().end());
        else
            spec.dns_names.push_back(*spelled);
        if (spec.common_name.empty() && spelled->size() <= 64)
            spec.common_name = *spelled;
    }
    if (spec.common_name.empty())
        spec.common_name = "alos self-signed";
    spec.not_before = now - std::chrono::hours{1};
    spec.not_after = now + self_signed_lifetime;

    const auto key = private_key::generate(kind);
    if (!key)
        return key.error();
    const auto der = issue_self_signed(spec, **key);
    if (!der)
        return der.error();
    return pem_pair{std::string(as_text(encode_pem("CERTIFICATE", *der))), (*key)->to_pem()};
}

[[nodiscard]] inline outcome<credential_ptr> make_credential(const pem_pair& pair, const load_options& options)
{
    return make_credential(pair.certificate, as_text(pair.key), options);
}

// Whether the certificate names the domain, itself or by a wildcard. `domain` as parse_domain() spells it.
[[nodiscard]] inline bool names_domain(const description& about, std::string_view domain)
{
    if (!ip_address(domain).empty())
        return std::ranges::count(about.addresses, domain) != 0;
    const std::string_view parent = parent_of(domain);
    return std::ranges::count(about.names, domain) != 0
           || (!parent.empty() && std::ranges::count(about.names, "*." + std::string(parent)) != 0);
}

// Where self-signed certificates are kept.
struct self_signed_files {
    std::string certificate = ".alos-cert.pem";
    std::string key = ".alos-key.pem"; // readable by its owner only
};

struct kept_credential {
    credential_ptr credential;
    std::string warning; // why it is not in the files; empty when it is
};

namespace detail {

// What is in the files, if it can still serve.
inline credential_ptr reusable(const self_signed_files& files, const std::vector<std::string>& domains,
                               system_time now)
{
    const auto certificate = read_pem_file(files.certificate);
    const auto key = read_pem_file(files.key);
    if (!certificate || !key)
        return nullptr;
    const auto kept = make_credential(as_text(*certificate), as_text(*key), {.from = source::self_signed});
    if (!kept || now < (*kept)->about.not_before || now >= (*kept)->about.not_after)
        return nullptr;
    const auto is_named = [&](const std::string& domain) {
        const auto spelled = parse_domain(domain);
        return spelled && names_domain((*kept)->about, *spelled);
    };
    return std::ranges::all_of(domains, is_named) ? *kept : nullptr;
}

inline outcome<> save(const pem_pair& made, const self_signed_files& files)
{
    // The key first: a certificate without its key would be the worse half to be left with.
    if (auto saved = write_file(files.key, as_bytes(as_text(made.key)), 0600); !saved)
        return saved;
    return write_file(files.certificate, as_bytes(made.certificate), 0644);
}

}

// The certificate in the files when it is valid at `now` and names all domains, else a new one, which is saved there.
// Serving goes on without the files when they cannot be written: then there is a warning, and the next start makes
// another.
[[nodiscard]] inline outcome<kept_credential> ensure_self_signed(const std::vector<std::string>& domains,
                                                                 system_time now, const self_signed_files& files = {})
{
    if (credential_ptr kept = detail::reusable(files, domains, now))
        return kept_credential{std::move(kept), {}};
    const auto made = make_self_signed(domains, now);
    if (!made)
        return made.error();
    const auto fresh = make_credential(*made, {.from = source::self_signed});
    if (!fresh)
        return fresh.error();
    kept_credential result{*fresh, {}};
    if (const auto saved = detail::save(*made, files); !saved)
        result.warning = "the self-signed certificate is served from memory and is lost with the next start: "
                         + saved.error().what;
    return result;
}

}

#endif
// ---- alos/cert/listed.hpp ----
// A stored certificate as people see it in a list.
#ifndef ALOS_CERT_LISTED_HPP
#define ALOS_CERT_LISTED_HPP


#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace alos::inline v0::cert {

// One line of list_certs().
struct listed_certificate {
    std::string domain;             // what it is stored under
    std::vector<std::string> names; // that it contains: DNS names, then IP addresses
    source from = source::manual;
    std::string subject;
    std::string issuer;
    system_time not_before;
    system_time not_after;
    std::string key_type;
    std::string fingerprint; // SHA-256 in hex
    bool is_default = false;
    bool is_expired = false;
    bool is_not_yet_valid = false;
    bool names_its_domain = true; // false: clients that check refuse it for `domain`
    system_time next_attempt;     // to renew it, by ACME; zero if nobody does
    std::string last_error;       // of that
};

[[nodiscard]] inline listed_certificate describe(const std::string& domain, const credential& one, system_time now,
                                                 bool is_default)
{
    listed_certificate line;
    line.domain = domain;
    line.names = one.about.names;
    line.names.insert(line.names.end(), one.about.addresses.begin(), one.about.addresses.end());
    line.from = one.from;
    line.subject = one.about.subject;
    line.issuer = one.about.issuer;
    line.not_before = one.about.not_before;
    line.not_after = one.about.not_after;
    line.key_type = one.about.key_type;
    for (const std::uint8_t byte : one.about.fingerprint) {
        constexpr std::string_view digits = "0123456789abcdef";
        line.fingerprint += digits[byte >> 4];
        line.fingerprint += digits[byte & 0x0f];
    }
    line.is_default = is_default;
    line.is_expired = now >= one.about.not_after;
    line.is_not_yet_valid = now < one.about.not_before;
    line.names_its_domain = names_domain(one.about, domain);
    return line;
}

}

#endif
// ---- alos/cert/registry.hpp ----
// Certificates of a running server: added, replaced and removed by domain while connections go on.
#ifndef ALOS_CERT_REGISTRY_HPP
#define ALOS_CERT_REGISTRY_HPP


#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace alos::inline v0::cert {

// Credentials that were made elsewhere, each with the domain it is to be stored under.
using named_credentials = std::vector<std::pair<std::string, credential_ptr>>;

// One certificate in a server's settings.
struct file_settings {
    std::string domain; // empty: the first name in the certificate
    std::string cert_file;
    std::string key_file;   // empty: the key is in cert_file
    std::string passphrase; // of an encrypted key
};

// All members may be called from any thread. What fails changes nothing: the old certificates go on serving.
// Handshakes that have begun keep the certificate they found.
class registry {
public:
    // Told in one line what will keep clients away though it can be served: expired, not yet valid, another name. It
    // must not call this registry's writing members.
    using warning_handler = std::function<void(std::string_view)>;
    using clock = std::function<system_time()>;

    explicit registry(warning_handler warn = {}, clock now = std::chrono::system_clock::now)
        : warn_(std::move(warn)), now_(std::move(now))
    {
    }

    // Where handshakes look. Valid as long as this registry.
    [[nodiscard]] const store& served() const noexcept { return store_; }

    // Adds a certificate. One of the same key type under the same domain is replaced; ECDSA and RSA stand side by
    // side.
    [[nodiscard]] outcome<> add_cert(std::string_view domain, std::string_view cert_pem, std::string_view key_pem,
                       std::string_view passphrase = {})
    {
        return put_pem(domain, cert_pem, key_pem, {.passphrase = passphrase}, action::add);
    }

    [[nodiscard]] outcome<> add_certs(std::string_view domain, std::string_view cert_pem, std::string_view key_pem,
                        std::string_view passphrase = {})
    {
        return add_cert(domain, cert_pem, key_pem, passphrase);
    }

    // `key_file` may be empty or the same file when it has both.
    [[nodiscard]] outcome<> add_cert_from_files(std::string_view domain, const std::string& cert_file, const std::string& key_file,
                                  std::string_view passphrase = {})
    {
        return put_files(domain, cert_file, key_file, passphrase, action::add);
    }

    // Adds a new self-signed one, in memory only.
    [[nodiscard]] outcome<> add_self_signed_cert(std::string_view domain)
    {
        const auto made = make_self_signed({std::string(domain)}, now_());
        if (!made)
            return made.error();
        return put_pem(domain, made->certificate, as_text(made->key), {.from = source::self_signed}, action::add);
    }

    // Replaces the certificate of the same key type under this domain, or all under it when there is none of that
    // type.
    [[nodiscard]] outcome<> update_cert(std::string_view domain, std::string_view cert_pem, std::string_view key_pem,
                          std::string_view passphrase = {})
    {
        return put_pem(domain, cert_pem, key_pem, {.passphrase = passphrase}, action::update);
    }

    [[nodiscard]] outcome<> reload_cert(std::string_view domain, const std::string& cert_file, const std::string& key_file,
                          std::string_view passphrase = {})
    {
        return put_files(domain, cert_file, key_file, passphrase, action::update);
    }

    // Removes everything under this domain. When it was the default, the first one stored is.
    [[nodiscard]] outcome<> remove_cert(std::string_view domain)
    {
        return change(domain, [](state& next, const std::string& spelled) -> outcome<> {
            if (std::erase_if(next.entries, [&](const entry& one) { return one.domain == spelled; }) == 0)
                return unknown(spelled);
            if (next.default_domain == spelled)
                next.default_domain.clear();
            return {};
        });
    }

    // What clients get that ask for no name, or for an unknown one.
    [[nodiscard]] outcome<> set_default_cert(std::string_view domain)
    {
        return change(domain, [](state& next, const std::string& spelled) -> outcome<> {
            if (!find(next.entries, spelled))
                return unknown(spelled);
            next.default_domain = spelled;
            return {};
        });
    }

    // In the order they were stored.
    [[nodiscard]] std::vector<listed_certificate> list_certs() const
    {
        const auto now = now_();
        const auto current = store_.load();
        std::vector<listed_certificate> list;
        for (const entry& one : current->entries())
            for (const credential_ptr& each : one.credentials)
                list.push_back(describe(one.domain, *each, now, one.domain == current->default_domain()));
        return list;
    }

    // Adds or replaces a credential that was made elsewhere: by ACME, or with a key in an HSM.
    [[nodiscard]] outcome<> add_credential(std::string_view domain, credential_ptr made)
    {
        return add_credentials({{std::string(domain), std::move(made)}});
    }

    // The same for many: all of them at one moment, or none.
    [[nodiscard]] outcome<> add_credentials(named_credentials made)
    {
        const std::lock_guard lock(mutex_);
        state next = state_;
        if (auto done = place_all(next, std::move(made)); !done)
            return done;
        publish(std::move(next));
        return {};
    }

    // Removes this one; what else is stored under the domain stays. One that is not there is removed already.
    [[nodiscard]] outcome<> remove_credential(std::string_view domain, const credential_ptr& made)
    {
        return change(domain, [&](state& next, const std::string& spelled) -> outcome<> {
            if (entry* home = find(next.entries, spelled))
                std::erase(home->credentials, made);
            std::erase_if(next.entries, [](const entry& one) { return one.credentials.empty(); });
            return {};
        });
    }

    // A certificate for one tls-alpn-01 challenge (RFC 8737 3); null takes it away. That for an address has the name
    // that clients send for it: 1.2.0.192.in-addr.arpa (RFC 8738 6).
    [[nodiscard]] outcome<> set_challenge(std::string_view domain, credential_ptr made)
    {
        return set_challenges({{std::string(domain), std::move(made)}});
    }

    // The same for several, at one moment.
    [[nodiscard]] outcome<> set_challenges(named_credentials made)
    {
        const std::lock_guard lock(mutex_);
        state next = state_;
        for (auto& [domain, each] : made) {
            const auto spelled = parse_domain(domain);
            if (!spelled)
                return bad_name(domain);
            std::erase_if(next.challenges, [&](const entry& one) { return one.domain == *spelled; });
            if (each)
                next.challenges.push_back({*spelled, {std::move(each)}});
        }
        publish(std::move(next));
        return {};
    }

    // Whether clients that ask for this domain get the alert unrecognized_name (RFC 6066 3) instead of the default
    // certificate, as long as there is none for it.
    [[nodiscard]] outcome<> refuse(std::string_view domain, bool refused)
    {
        return refuse(std::vector{std::string(domain)}, refused);
    }

    // The same for several, at one moment.
    [[nodiscard]] outcome<> refuse(const std::vector<std::string>& domains, bool refused)
    {
        const std::lock_guard lock(mutex_);
        state next = state_;
        for (const std::string& domain : domains) {
            const auto spelled = parse_domain(domain);
            if (!spelled)
                return bad_name(domain);
            if (refused)
                next.refused.insert(*spelled);
            else
                next.refused.erase(*spelled);
        }
        publish(std::move(next));
        return {};
    }

    // Loads what settings name, all of it or nothing, and makes `default_domain` the default unless it is empty.
    [[nodiscard]] outcome<> add_files(const std::vector<file_settings>& files, std::string_view default_domain = {})
    {
        named_credentials loaded;
        for (const file_settings& one : files) {
            auto made = load_files(one.domain, one.cert_file, one.key_file, one.passphrase);
            if (!made)
                return made.error();
            std::string domain = one.domain.empty() ? first_name(**made) : one.domain;
            loaded.emplace_back(std::move(domain), std::move(*made));
        }
        const std::lock_guard lock(mutex_);
        state next = state_;
        if (auto done = place_all(next, std::move(loaded)); !done)
            return done;
        if (!default_domain.empty()) {
            const auto spelled = parse_domain(default_domain);
            if (!spelled || !find(next.entries, *spelled))
                return failure{errc::unknown_name,
                               "default_domain is '" + std::string(default_domain)
                                   + "', but no certificate is stored under it; name one that is"};
            next.default_domain = *spelled;
        }
        publish(std::move(next));
        return {};
    }

    // Serves the self-signed certificate in the files for these domains, and makes it when there is none.
    [[nodiscard]] outcome<> add_kept_self_signed(const std::vector<std::string>& domains, const self_signed_files& files = {})
    {
        const auto kept = ensure_self_signed(domains, now_(), files);
        if (!kept)
            return kept.error();
        if (!kept->warning.empty())
            warn(kept->warning);
        return put(domains.empty() ? first_name(*kept->credential) : domains.front(), kept->credential, action::add);
    }

private:
    enum class action { add, update };

    struct state {
        std::vector<entry> entries;
        std::vector<entry> challenges;
        std::set<std::string> refused;
        std::string default_domain;
    };

    static failure bad_name(std::string_view domain)
    {
        return {errc::bad_name,
                "'" + std::string(domain)
                    + "' is not a name that a certificate can be stored under; write a host name like www.example.com "
                      "(other alphabets as xn-- labels), *.example.com, or an IP address"};
    }

    static failure unknown(std::string_view domain)
    {
        return {errc::unknown_name,
                std::string(domain)
                    + ": no certificate is stored under this domain; list_certs() has those that are, add_cert() adds "
                      "one"};
    }

    static failure with_domain(std::string_view domain, failure why)
    {
        if (!domain.empty())
            why.what = std::string(domain) + ": " + why.what;
        return why;
    }

    static entry* find(std::vector<entry>& entries, std::string_view domain)
    {
        const auto found = std::ranges::find(entries, domain, &entry::domain);
        return found == entries.end() ? nullptr : &*found;
    }

    // "ECDSA" of "ECDSA P-256".
    static std::string_view key_family(const credential& one) noexcept
    {
        const std::string_view type = one.about.key_type;
        return type.substr(0, type.find_first_of(" -"));
    }

    // The name that a certificate is stored under when settings give none.
    static std::string first_name(const credential& one)
    {
        if (!one.about.names.empty())
            return one.about.names.front();
        return one.about.addresses.empty() ? "default" : one.about.addresses.front();
    }

    [[nodiscard]] outcome<credential_ptr> load_files(std::string_view domain, const std::string& cert_file,
                                       const std::string& key_file, std::string_view passphrase) const
    {
        const auto certificate = read_pem_file(cert_file);
        if (!certificate)
            return with_domain(domain, certificate.error());
        const bool one_file = key_file.empty() || key_file == cert_file;
        auto key = one_file ? outcome<secret_text>(secret_text()) : read_pem_file(key_file);
        if (!key)
            return with_domain(domain, key.error());
        auto made = make_credential(as_text(*certificate), as_text(*key),
                                    {.passphrase = passphrase,
                                     .certificate_file = cert_file,
                                     .key_file = one_file ? std::string_view{} : std::string_view(key_file)});
        if (!made)
            return with_domain(domain, made.error());
        return made;
    }

    [[nodiscard]] outcome<> put_files(std::string_view domain, const std::string& cert_file, const std::string& key_file,
                        std::string_view passphrase, action how)
    {
        auto made = load_files(domain, cert_file, key_file, passphrase);
        if (!made)
            return made.error();
        return put(domain, std::move(*made), how);
    }

    [[nodiscard]] outcome<> put_pem(std::string_view domain, std::string_view cert_pem, std::string_view key_pem,
                      const load_options& options, action how)
    {
        auto made = make_credential(cert_pem, key_pem, options);
        if (!made)
            return with_domain(domain, made.error());
        return put(domain, std::move(*made), how);
    }

    [[nodiscard]] outcome<> put(std::string_view domain, credential_ptr made, action how)
    {
        return change(domain, [&](state& next, const std::string& spelled) -> outcome<> {
            entry* home = find(next.entries, spelled);
            if (!home && how == action::update)
                return unknown(spelled);
            warn_about(spelled, *made);
            place(home ? *home : next.entries.emplace_back(entry{spelled, {}}), std::move(made), how);
            return {};
        });
    }

    // Many at once, without looking through all domains for each of them.
    [[nodiscard]] outcome<> place_all(state& next, named_credentials made) const
    {
        std::map<std::string, std::size_t, std::less<>> homes;
        for (std::size_t i = 0; i < next.entries.size(); ++i)
            homes.try_emplace(next.entries[i].domain, i);
        for (auto& [domain, each] : made) {
            const auto spelled = parse_domain(domain);
            if (!spelled)
                return bad_name(domain);
            if (!each)
                return failure{errc::bad_configuration, "there is no credential to be added for " + domain};
            warn_about(*spelled, *each);
            const auto [home, is_new] = homes.try_emplace(*spelled, next.entries.size());
            if (is_new)
                next.entries.push_back({*spelled, {}});
            place(next.entries[home->second], std::move(each), action::add);
        }
        return {};
    }

    static void place(entry& home, credential_ptr made, action how)
    {
        // What only stood in for the certificate that has come now would be chosen by who likes its key better.
        if (made->from == source::acme)
            std::erase_if(home.credentials, [](const credential_ptr& one) { return one->from == source::self_signed; });
        const auto same = std::ranges::find_if(home.credentials, [&](const credential_ptr& one) {
            return key_family(*one) == key_family(*made);
        });
        if (same != home.credentials.end()) {
            *same = std::move(made);
            return;
        }
        if (how == action::update)
            home.credentials.clear();
        home.credentials.push_back(std::move(made));
    }

    // Applies `edit` to a copy of the state and serves that, unless it fails.
    template <class Edit>
    [[nodiscard]] outcome<> change(std::string_view domain, Edit edit)
    {
        const auto spelled = parse_domain(domain);
        if (!spelled)
            return bad_name(domain);
        const std::lock_guard lock(mutex_);
        state next = state_;
        if (auto done = edit(next, *spelled); !done)
            return done;
        publish(std::move(next));
        return {};
    }

    void publish(state next)
    {
        store_.publish(
            std::make_shared<const snapshot>(next.entries, next.default_domain, next.challenges, next.refused));
        state_ = std::move(next);
    }

    void warn(std::string_view what) const
    {
        if (warn_)
            warn_(what);
    }

    void warn_about(const std::string& domain, const credential& one) const
    {
        const listed_certificate line = describe(domain, one, now_(), false);
        const std::string it = domain + ": the certificate (" + line.subject + ") ";
        if (line.is_expired)
            warn(it + "has expired; clients will refuse it until it is renewed");
        if (line.is_not_yet_valid)
            warn(it + "is not valid yet; check the clock of this machine");
        if (!line.names_its_domain)
            warn(it + "does not name this domain; clients that ask for it will refuse the certificate");
    }

    const warning_handler warn_;
    const clock now_;
    std::mutex mutex_; // of writers; handshakes and list_certs() read the store
    state state_;
    store store_;
};

}

#endif
// ---- alos/tls13/record.hpp ----
// Records (RFC 8446 5): their header, their limits, and the protection of one direction.
#ifndef ALOS_TLS13_RECORD_HPP
#define ALOS_TLS13_RECORD_HPP


#include <array>
#include <cassert>
#include <optional>

namespace alos::inline v0::tls13 {

inline constexpr std::size_t record_header_size = 5;
inline constexpr std::size_t max_plaintext_size = 1 << 14;                       // RFC 8446 5.1
inline constexpr std::size_t max_ciphertext_size = max_plaintext_size + 256;     // RFC 8446 5.2
inline constexpr std::size_t record_overhead = record_header_size + 1 + aead_tag_size; // header, type, tag

// RFC 8446 5.5: AES-GCM is good for 2^24.5 full records under one key; ChaCha20-Poly1305 gets the same.
inline constexpr std::uint64_t max_records_per_key = std::uint64_t{1} << 24;

struct record_header {
    content_type type;
    std::uint16_t legacy_record_version;
    std::size_t length;

    // `bytes` holds at least record_header_size.
    [[nodiscard]] static record_header decode(byte_view bytes) noexcept
    {
        return {static_cast<content_type>(bytes[0]), static_cast<std::uint16_t>(bytes[1] << 8 | bytes[2]),
                static_cast<std::size_t>(bytes[3] << 8 | bytes[4])};
    }
};

[[nodiscard]] inline std::array<std::uint8_t, record_header_size> encode_record_header(content_type type,
                                                                                       std::size_t length) noexcept
{
    return {static_cast<std::uint8_t>(type), tls12_version >> 8, tls12_version & 0xff,
            static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length)};
}

// What a protected record contains (RFC 8446 5.2: TLSInnerPlaintext), in the place of the ciphertext.
struct inner_plaintext {
    content_type type;
    byte_span content;
};

// The keys of one direction: traffic secret, AEAD, IV and sequence number.
template <crypto_provider Crypto>
class protection {
public:
    // `kdf` is the suite's, and is used here only.
    protection(hkdf<Crypto>& kdf, cipher_suite suite, hash_secret&& traffic_secret, bool sealing) :
        protection(derive_traffic_keys(kdf, aead_of(suite), traffic_secret.view()), suite,
                   std::move(traffic_secret), sealing)
    {
    }

    // RFC 8446 5.2: turns `record` into a TLSCiphertext in place. It holds room for the header, the content, the
    // content type and padding already written, and room for the tag.
    void seal(byte_span record)
    {
        const std::size_t length = record.size() - record_header_size;
        const auto header = encode_record_header(content_type::application_data, length);
        copy(header, record);
        const auto nonce = next_nonce();
        aead_.seal(nonce, header, record.subspan(record_header_size, length - aead_tag_size),
                   record.last(aead_tag_size));
    }

    // RFC 8446 5.2: decrypts a whole record in place. After bad_record_mac the record is worthless.
    [[nodiscard]] decoded<inner_plaintext> open(byte_span record)
    {
        const byte_view header = record.first(record_header_size);
        const byte_span encrypted = record.subspan(record_header_size);
        const auto nonce = next_nonce();
        if (encrypted.size() < aead_tag_size || !aead_.open(nonce, header, encrypted)) {
            --sequence_number_; // RFC 8446 4.2.10: a record that is skipped does not count
            return errc::bad_record_mac;
        }
        // RFC 8446 5.4: padding is zeros behind the content type.
        std::size_t size = encrypted.size() - aead_tag_size;
        if (size > max_plaintext_size + 1)
            return errc::plaintext_too_long;
        while (size > 0 && encrypted[size - 1] == 0)
            --size;
        if (size == 0)
            return errc::no_content_type;
        return inner_plaintext{static_cast<content_type>(encrypted[size - 1]), encrypted.first(size - 1)};
    }

    // RFC 8446 7.2: the keys after a KeyUpdate.
    [[nodiscard]] protection next() const
    {
        hkdf<Crypto> kdf(hash_of(suite_));
        return protection(kdf, suite_, next_traffic_secret(kdf, traffic_secret_.view()), sealing_);
    }

    // Records sealed or opened with these keys.
    [[nodiscard]] std::uint64_t records() const noexcept { return sequence_number_; }

private:
    protection(traffic_keys keys, cipher_suite suite, hash_secret&& traffic_secret, bool sealing) :
        suite_(suite), sealing_(sealing), traffic_secret_(std::move(traffic_secret)), iv_(std::move(keys.iv)),
        aead_(aead_of(suite), keys.key.view(), sealing)
    {
    }

    // RFC 8446 5.3
    [[nodiscard]] std::array<std::uint8_t, aead_nonce_size> next_nonce() noexcept
    {
        std::array<std::uint8_t, aead_nonce_size> nonce;
        copy(iv_.view(), nonce);
        for (std::size_t i = 0; i < 8; ++i)
            nonce[aead_nonce_size - 1 - i] ^= static_cast<std::uint8_t>(sequence_number_ >> (8 * i));
        ++sequence_number_;
        return nonce;
    }

    cipher_suite suite_;
    bool sealing_;
    std::uint64_t sequence_number_ = 0;
    hash_secret traffic_secret_;
    secret<aead_nonce_size> iv_;
    typename Crypto::aead aead_;
};

}

#endif
// ---- alos/tls13/config.hpp ----
// What a TLS 1.3 server is told by its owner.
#ifndef ALOS_TLS13_CONFIG_HPP
#define ALOS_TLS13_CONFIG_HPP


#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace alos::inline v0::tls13 {

// Shared by all connections and not changed while any of them lives.
struct server_config {
    // Whose snapshot a handshake takes, once; outlives every connection.
    const cert::store* certificates = nullptr;

    // RFC 8446 B.4: what is spoken. The order counts only if prefer_server_suites is set.
    std::vector<cipher_suite> suites{cipher_suite::aes_128_gcm_sha256, cipher_suite::aes_256_gcm_sha384,
                                     cipher_suite::chacha20_poly1305_sha256};
    bool prefer_server_suites = false;

    // RFC 8446 4.2.7: the preferred one first. A hybrid group that the client supports is asked for by a
    // HelloRetryRequest when the client sent no share for it; among the others one with a share goes first, unless
    // prefer_server_groups makes the first that the client supports worth a round trip.
    std::vector<named_group> groups{named_group::x25519mlkem768, named_group::x25519, named_group::secp256r1,
                                    named_group::secp384r1};
    bool prefer_server_groups = false;

    // RFC 7301: protocols, the preferred one first. Empty: the client's extension is ignored.
    std::vector<std::string> alpn;

    // The longest handshake message that is accepted, in bytes: 64 KiB of extensions and what stands before them.
    std::size_t max_handshake_message = 65 * 1024;

    // RFC 8446 4.2.10: how much rejected early data is skipped, in bytes of ciphertext.
    std::size_t max_early_data_skipped = 16 * 1024;

    // RFC 8446 5.5: records under one key before a KeyUpdate, in each direction.
    std::uint64_t records_per_key = max_records_per_key;

    // RFC 8446 5.4: records are padded to a multiple of this many bytes; 0 and 1 mean no padding.
    std::size_t pad_to_multiple_of = 0;

    // RFC 8446 5.1: the most plaintext in one record, at most 2^14 bytes.
    std::size_t max_fragment = max_plaintext_size;

    // Runs its argument, a private key operation that is not immediate, on another thread (RFC 8446 4.4.3). Empty: the
    // key's own start() decides where it signs.
    std::function<void(std::function<void()>)> run_elsewhere;

    // Whether a ClientHello without TLS 1.3 ends with want::fallback (its bytes can be taken with received())
    // instead of the alert protocol_version.
    bool hand_over_older_versions = false;
};

// Whether a server can work by this; otherwise which setting is wrong, and why.
[[nodiscard]] inline outcome<> check(const server_config& config)
{
    const auto wrong = [](std::string what) { return failure{alos::errc::bad_configuration, std::move(what)}; };
    const auto known = [](auto each) { return is_known(each); };
    if (config.suites.empty() || !std::ranges::all_of(config.suites, known))
        return wrong("tls.suites: needs one cipher suite or more, of those that alos has");
    if (config.groups.empty() || !std::ranges::all_of(config.groups, known))
        return wrong("tls.groups: needs one group or more, of those that alos has");
    for (const std::string& protocol : config.alpn) {
        if (protocol.empty() || protocol.size() > 255) // RFC 7301 3.1
            return wrong("tls.alpn: a protocol's name has 1 to 255 bytes, \"" + protocol + "\" has not");
    }
    if (config.max_fragment == 0 || config.max_fragment > max_plaintext_size)
        return wrong("tls.max_fragment: a record holds 1 to 16384 bytes (RFC 8446 5.1)");
    if (config.max_handshake_message < 1024)
        return wrong("tls.max_handshake_message: a ClientHello needs 1024 bytes or more");
    if (config.records_per_key == 0)
        return wrong("tls.records_per_key: a key is good for one record at least");
    return {};
}

}

#endif
// ---- alos/tls13/record_reader.hpp ----
// Input (RFC 8446 5): finds records in what was received, opens them in place, and skips rejected early data.
#ifndef ALOS_TLS13_RECORD_READER_HPP
#define ALOS_TLS13_RECORD_READER_HPP


#include <algorithm>
#include <optional>

namespace alos::inline v0::tls13 {

// A record as the engine sees it. The content lies in the reader's buffer until the next call of prepare() or next().
struct received_record {
    content_type type;
    byte_span content;
    bool is_protected;
};

template <crypto_provider Crypto>
class record_reader {
public:
    explicit record_reader(const server_config& config) noexcept : config_(config) {}

    // Where to receive the next bytes: at least `wanted`, and at least what the record that has begun still lacks.
    [[nodiscard]] byte_span prepare(std::size_t wanted)
    {
        drop_current();
        if (input_.size() >= record_header_size) {
            const std::size_t whole = record_header_size + record_header::decode(input_.data()).length;
            if (whole > input_.size()) // next() refuses longer ones before they get here
                wanted = std::max(wanted, whole - input_.size());
        }
        return input_.prepare(wanted);
    }

    void commit(std::size_t size) noexcept { input_.commit(size); }

    // The next whole record; nothing if more input is needed.
    [[nodiscard]] decoded<std::optional<received_record>> next()
    {
        for (;;) {
            drop_current();
            if (input_.size() < record_header_size)
                return std::nullopt;
            const record_header header = record_header::decode(input_.data());
            if (const errc bad = check(header); bad != errc::none)
                return bad;
            if (input_.size() < record_header_size + header.length)
                return std::nullopt;
            current_ = record_header_size + header.length;
            seen_any_ = true;
            const byte_span record = input_.data().first(current_);
            if (header.type == content_type::handshake)
                skipping_early_data_ = false;
            if (header.type != content_type::application_data)
                return received_record{header.type, record.subspan(record_header_size), false};
            if (!protection_) {
                if (!skipping_early_data_)
                    return errc::unexpected_application_data;
            } else {
                const auto opened = protection_->open(record);
                if (opened) {
                    skipping_early_data_ = false;
                    return received_record{opened->type, opened->content, true};
                }
                if (!skipping_early_data_ || opened.error() != errc::bad_record_mac)
                    return opened.error();
            }
            // RFC 8446 4.2.10
            skipped_ += std::max<std::size_t>(header.length, 1); // an empty record is not for nothing
            if (skipped_ > config_.max_early_data_skipped)
                return errc::too_much_early_data;
        }
    }

    // RFC 8446 4.2.10: records that cannot be read are early data, up to the limit, until one can be read (or, without
    // keys yet, until the second ClientHello begins).
    void skip_early_data() noexcept { skipping_early_data_ = true; }

    void protect_with(hkdf<Crypto>& kdf, cipher_suite suite, hash_secret traffic_secret)
    {
        protection_.emplace(kdf, suite, std::move(traffic_secret), false);
    }

    // RFC 8446 7.2
    void update_keys() { protection_.emplace(protection_->next()); }

    [[nodiscard]] bool is_protected() const noexcept { return protection_.has_value(); }

    // Records read under the present keys.
    [[nodiscard]] std::uint64_t records() const noexcept { return protection_ ? protection_->records() : 0; }

    // Bytes that were received and are not part of a record that next() gave.
    [[nodiscard]] byte_view pending()
    {
        drop_current();
        return std::as_const(input_).data();
    }

    // Forgets all that was received, and says how much that was.
    std::size_t discard() noexcept
    {
        drop_current();
        const std::size_t size = input_.size();
        input_.consume(size);
        return size;
    }

    // Gives the buffer back if it holds nothing.
    void release() noexcept
    {
        drop_current();
        if (input_.empty())
            input_.release();
    }

private:
    void drop_current() noexcept { input_.consume(std::exchange(current_, 0)); }

    [[nodiscard]] errc check(const record_header& header) const noexcept
    {
        switch (header.type) {
        case content_type::change_cipher_spec:
        case content_type::alert:
        case content_type::handshake:
        case content_type::application_data: break;
        default:
            return seen_any_ || header.legacy_record_version >> 8 == 3 ? errc::unknown_content_type : not_a_record();
        }
        // RFC 8446 5.1: legacy_record_version MUST be ignored for all purposes.
        // Note: but for telling something else from TLS.
        if (!protection_ && header.legacy_record_version >> 8 != 3)
            return errc::not_tls;
        const bool encrypted =
            header.type == content_type::application_data && (protection_ || skipping_early_data_);
        if (header.length > (encrypted ? max_ciphertext_size : max_plaintext_size))
            return errc::record_too_long;
        return errc::none;
    }

    // Whether the first bytes are the beginning of an HTTP request line (RFC 9112 3).
    [[nodiscard]] errc not_a_record() const noexcept
    {
        constexpr std::string_view methods[] = {"GET ", "POST ", "HEAD ", "PUT ", "DELETE ", "OPTIONS ",
                                                "PATCH ", "CONNECT ", "TRACE ", "PRI "};
        const std::string_view first = as_text(input_.data().first(record_header_size));
        for (const std::string_view method : methods) {
            const std::size_t compared = std::min(first.size(), method.size());
            if (first.substr(0, compared) == method.substr(0, compared))
                return errc::http_request;
        }
        return errc::not_tls;
    }

    const server_config& config_;
    std::optional<protection<Crypto>> protection_;
    buffer input_;
    std::size_t current_ = 0; // bytes of the record that next() gave
    std::size_t skipped_ = 0;
    bool skipping_early_data_ = false;
    bool seen_any_ = false;
};

}

#endif
// ---- alos/tls13/record_writer.hpp ----
// Output (RFC 8446 5): cuts what is to be sent into records, protects them, and keeps them until they are sent.
#ifndef ALOS_TLS13_RECORD_WRITER_HPP
#define ALOS_TLS13_RECORD_WRITER_HPP


#include <algorithm>
#include <optional>

namespace alos::inline v0::tls13 {

// Content of one type is gathered in an open record until it is full, another type follows, keys change, or the
// output is asked for: so a flight is few records, and a small answer is one.
template <crypto_provider Crypto>
class record_writer {
public:
    // Application data that may wait to be sent, in bytes.
    static constexpr std::size_t max_pending = 256 * 1024;

    // After a pause the first bytes, up to the second number, go in records of the first: each fits a TCP segment, so
    // that the peer can use it at once.
    static constexpr std::size_t small_fragment = 1300;
    static constexpr std::size_t small_fragments_until = 16 * 1024;

    explicit record_writer(const server_config& config) noexcept : config_(config) {}

    // Handshake messages and alerts; always taken whole.
    void append(content_type type, byte_view content)
    {
        while (!content.empty())
            content = content.subspan(add(type, content, config_.max_fragment));
    }

    // Application data: takes what fits and says how much that was.
    std::size_t write(byte_view data)
    {
        std::size_t taken = 0;
        while (taken < data.size() && filling_.size() < max_pending) {
            const byte_view rest = data.subspan(taken, std::min(data.size() - taken, max_pending - filling_.size()));
            filling_.prepare(rest.size() + rest.size() / 64 + 64);
            if (!open_ && protection_->records() + 1 >= config_.records_per_key)
                update_keys(key_update_request::update_not_requested);
            const bool small = sent_since_pause_ < small_fragments_until;
            const std::size_t n = add(content_type::application_data, rest,
                                      small ? std::min(small_fragment, config_.max_fragment) : config_.max_fragment);
            taken += n;
            if (small)
                sent_since_pause_ += n;
        }
        return taken;
    }

    // The connection paused: the next records are small again.
    void pause() noexcept { sent_since_pause_ = 0; }

    // RFC 8446 5: one record of its own, never protected.
    void change_cipher_spec()
    {
        seal();
        const auto header = encode_record_header(content_type::change_cipher_spec, 1);
        constexpr std::array<std::uint8_t, 1> one{1};
        filling_.append(header);
        filling_.append(one);
    }

    // What was written so far goes under the old keys, what follows under these: a record boundary (RFC 8446 5.1).
    void protect_with(hkdf<Crypto>& kdf, cipher_suite suite, hash_secret traffic_secret)
    {
        seal();
        protection_.emplace(kdf, suite, std::move(traffic_secret), true);
    }

    // RFC 8446 4.6.3: a KeyUpdate, and the next keys behind it.
    void update_keys(key_update_request request)
    {
        const auto message = encode_key_update(request);
        append(content_type::handshake, message);
        seal();
        protection_.emplace(protection_->next());
    }

    [[nodiscard]] bool has_output() const noexcept { return !sending_.empty() || !filling_.empty(); }
    [[nodiscard]] std::size_t output_size() const noexcept { return sending_.size() + filling_.size(); }

    // Whether output() was shown and not all of it is consumed.
    [[nodiscard]] bool is_sending() const noexcept { return !sending_.empty(); }

    // The bytes to send: they neither move nor change until consume_output() has taken them all.
    [[nodiscard]] byte_view output()
    {
        if (sending_.empty()) {
            seal();
            sending_.swap(filling_);
        }
        return std::as_const(sending_).data();
    }

    // The first `size` bytes of output() are sent.
    void consume_output(std::size_t size) noexcept { sending_.consume(size); }

    // Gives back buffers that hold nothing.
    void release() noexcept
    {
        if (sending_.empty())
            sending_.release();
        if (filling_.empty())
            filling_.release();
    }

private:
    // Adds to the open record, or opens one; returns how much of `content` went in.
    std::size_t add(content_type type, byte_view content, std::size_t max_fragment)
    {
        if (open_ && (*open_ != type || open_size() >= max_fragment))
            seal();
        if (!open_) {
            open_ = type;
            open_at_ = filling_.size();
            filling_.prepare(record_header_size);
            filling_.commit(record_header_size);
        }
        const byte_view taken = content.first(std::min(content.size(), max_fragment - open_size()));
        filling_.append(taken);
        if (open_size() >= max_fragment)
            seal();
        return taken.size();
    }

    [[nodiscard]] std::size_t open_size() const noexcept { return filling_.size() - open_at_ - record_header_size; }

    // Ends the open record.
    void seal()
    {
        if (!open_)
            return;
        if (!protection_) {
            copy(encode_record_header(*open_, open_size()), filling_.data().subspan(open_at_));
        } else {
            const std::size_t padding = padding_for(open_size());
            const byte_span tail = filling_.prepare(1 + padding + aead_tag_size);
            tail[0] = static_cast<std::uint8_t>(*open_);
            std::ranges::fill(tail.subspan(1, padding), std::uint8_t{0});
            filling_.commit(1 + padding + aead_tag_size);
            protection_->seal(filling_.data().subspan(open_at_));
        }
        open_.reset();
    }

    // RFC 8446 5.4
    [[nodiscard]] std::size_t padding_for(std::size_t content) const noexcept
    {
        if (config_.pad_to_multiple_of <= 1)
            return 0;
        const std::size_t over = content % config_.pad_to_multiple_of;
        const std::size_t wanted = over == 0 && content != 0 ? 0 : config_.pad_to_multiple_of - over;
        return std::min(wanted, max_plaintext_size - content);
    }

    const server_config& config_;
    std::optional<protection<Crypto>> protection_;
    buffer sending_; // what output() shows
    buffer filling_; // what follows it
    std::optional<content_type> open_;
    std::size_t open_at_ = 0; // where the open record starts in filling_
    std::size_t sent_since_pause_ = 0;
};

}

#endif
// ---- alos/tls13/negotiate.hpp ----
// Negotiation (RFC 8446 4.1.1): what a ClientHello and a server have in common, and which certificate answers it.
#ifndef ALOS_TLS13_NEGOTIATE_HPP
#define ALOS_TLS13_NEGOTIATE_HPP


#include <algorithm>
#include <optional>
#include <string_view>

namespace alos::inline v0::tls13 {

// RFC 8446 4.1.1: independent choices of suite and group.
struct choice {
    cipher_suite suite;
    named_group group;
    bool retry; // the client sent no share for `group` (4.1.4)
};

[[nodiscard]] inline std::optional<cipher_suite> choose_suite(const client_hello& hello, const server_config& config)
{
    if (config.prefer_server_suites) {
        for (const cipher_suite suite : config.suites) {
            if (hello.cipher_suites.contains(suite))
                return suite;
        }
        return std::nullopt;
    }
    for (std::size_t i = 0; i < hello.cipher_suites.size(); ++i) {
        const auto suite = static_cast<cipher_suite>(hello.cipher_suites[i]);
        if (std::ranges::find(config.suites, suite) != config.suites.end())
            return suite;
    }
    return std::nullopt;
}

[[nodiscard]] inline decoded<choice> negotiate(const client_hello& hello, const server_config& config)
{
    const auto suite = choose_suite(hello, config);
    if (!suite)
        return errc::no_common_suite;
    std::optional<named_group> without_share;
    for (const named_group group : config.groups) {
        if (!hello.supported_groups.contains(group))
            continue;
        if (hello.key_share.find(group))
            return choice{*suite, group, false};
        if (!without_share)
            without_share = group;
        if (config.prefer_server_groups || group == named_group::x25519mlkem768)
            break;
    }
    if (!without_share)
        return errc::no_common_group;
    return choice{*suite, *without_share, true};
}

// RFC 8737 6.2
inline constexpr std::string_view acme_tls_protocol = "acme-tls/1";

// RFC 8737 3
//    The ACME server MUST provide an ALPN extension with the single protocol name "acme-tls/1"
// Note: who offers more than that is no ACME server, and never sees the certificate of a challenge.
[[nodiscard]] inline bool is_acme_validation(const client_hello& hello) noexcept
{
    reader names(hello.protocol_names);
    return as_text(names.vector8(1)) == acme_tls_protocol && names.complete();
}

// RFC 7301 3.2: the server's most preferred protocol that the client offers; empty if ALPN is not in use. Never
// acme-tls/1, whatever the settings say, so that it is not spoken besides validations.
[[nodiscard]] inline decoded<std::string_view> choose_protocol(const client_hello& hello, const server_config& config)
{
    if (hello.protocol_names.empty() || config.alpn.empty())
        return std::string_view{};
    for (const std::string& protocol : config.alpn) {
        if (protocol != acme_tls_protocol && contains_protocol(hello.protocol_names, protocol))
            return std::string_view(protocol);
    }
    return errc::no_application_protocol;
}

struct signing_choice {
    const cert::credential* credential = nullptr;
    signature_scheme scheme{};
};

// RFC 8446 4.4.3: what this key signs with.
[[nodiscard]] inline std::optional<signature_scheme> choose_scheme(const client_hello& hello,
                                                                   const cert::credential& credential)
{
    for (const signature_scheme scheme : credential.key->schemes()) {
        if (hello.signature_algorithms.contains(scheme))
            return scheme;
    }
    return std::nullopt;
}

// RFC 8446 4.4.2.2, 4.4.3: the first credential that can sign as the client asks; one whose chain is also signed as
// the client asks (4.2.3) goes first.
[[nodiscard]] inline decoded<signing_choice> choose_credential(const client_hello& hello,
                                                               std::span<const cert::credential_ptr> candidates)
{
    const auto accepted_chain = [&](const cert::credential& credential) {
        return std::ranges::all_of(credential.chain_schemes, [&](signature_scheme scheme) {
            return hello.signature_algorithms_cert.contains(scheme);
        });
    };
    if (candidates.empty())
        return errc::no_certificate;
    signing_choice found;
    for (const cert::credential_ptr& candidate : candidates) {
        const auto scheme = choose_scheme(hello, *candidate);
        if (scheme && accepted_chain(*candidate))
            return signing_choice{candidate.get(), *scheme};
        if (scheme && !found.credential)
            found = {candidate.get(), *scheme};
    }
    if (!found.credential)
        return errc::no_common_signature_scheme;
    return found;
}

// The same for a client that comes for a page: by its server name, else by the address it connected to.
[[nodiscard]] inline decoded<signing_choice> choose_credential(const client_hello& hello,
                                                               const cert::snapshot& certificates,
                                                               byte_view local_address)
{
    if (certificates.refuses(hello.server_name))
        return errc::no_certificate; // RFC 6066 3
    return choose_credential(hello, certificates.find(hello.server_name, local_address));
}

// RFC 8737 3: the certificate that answers a validation, and no ordinary one if there is none. That it is self-signed
// does not matter to the client (RFC 8737 4), so its chain is not looked at.
[[nodiscard]] inline decoded<signing_choice> choose_challenge(const client_hello& hello,
                                                              const cert::snapshot& certificates)
{
    const cert::credential* challenge = certificates.challenge(hello.server_name);
    if (!challenge)
        return errc::no_application_protocol;
    const auto scheme = choose_scheme(hello, *challenge);
    if (!scheme)
        return errc::no_common_signature_scheme;
    return signing_choice{challenge, *scheme};
}

}

#endif
// ---- alos/tls13/core.hpp ----
// What a server's handshake works with: messages expected and sent, keys, transcript and signatures. It is the part
// of the engine that the handshake's coroutine sees; tests put their own in its place.
#ifndef ALOS_TLS13_CORE_HPP
#define ALOS_TLS13_CORE_HPP

// ---- alos/tls13/detail/flow.hpp ----
// The coroutine type of a handshake: it runs when the engine resumes it, and ends with an errc.
#ifndef ALOS_TLS13_DETAIL_FLOW_HPP
#define ALOS_TLS13_DETAIL_FLOW_HPP


#include <coroutine>
#include <exception>
#include <utility>

namespace alos::inline v0::tls13 {

// Owns its frame. Awaits protocol events only, never I/O.
class flow {
public:
    struct promise_type {
        errc outcome = errc::none;
        std::exception_ptr exception;

        flow get_return_object() noexcept { return flow(std::coroutine_handle<promise_type>::from_promise(*this)); }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_always final_suspend() const noexcept { return {}; }
        void return_value(errc code) noexcept { outcome = code; }
        void unhandled_exception() noexcept { exception = std::current_exception(); }
    };

    flow() noexcept = default;
    flow(flow&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
    flow& operator=(flow&& other) noexcept
    {
        std::swap(frame_, other.frame_);
        return *this;
    }
    ~flow()
    {
        if (frame_)
            frame_.destroy();
    }

    // Runs to the next event that it waits for, or to its end. Memory exhaustion is thrown on.
    void resume()
    {
        frame_.resume();
        if (frame_.done() && frame_.promise().exception)
            std::rethrow_exception(frame_.promise().exception);
    }

    [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(frame_); }
    [[nodiscard]] bool done() const noexcept { return frame_.done(); }
    [[nodiscard]] errc outcome() const noexcept { return frame_.promise().outcome; }

private:
    explicit flow(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

    std::coroutine_handle<promise_type> frame_;
};

}

#endif

#include <memory>
#include <optional>
#include <string>

namespace alos::inline v0::tls13 {

// What the two sides agreed on; complete when the handshake is.
struct negotiated {
    cipher_suite suite{};
    named_group group{};
    signature_scheme scheme{};
    bool hello_retry = false;
    std::string server_name; // as the client sent it; empty if it did not
    std::string alpn;        // empty if none was chosen
};

// A private key operation that somebody has to carry out (RFC 8446 4.4.3).
struct signature_request {
    std::shared_ptr<const cert::signing_key> key;
    signature_scheme scheme{};
    byte_vector content;
    const server_config* config = nullptr;

    // Has the key sign, where the server_config says; see signing_key::start for `done`.
    void start(cert::signing_key::completion done) &&
    {
        if (!config->run_elsewhere)
            return key->start(scheme, std::move(content), std::move(done));
        config->run_elsewhere([request = std::move(*this), done = std::move(done)] {
            request.key->start(request.scheme, request.content, done);
        });
    }
};

// Proof that no bytes of a handshake message are left over where keys are about to change (RFC 8446 5.1):
//    Handshake messages MUST NOT span key changes.
class record_boundary {
    template <crypto_provider>
    friend class server_core;
    record_boundary() noexcept = default;
};

template <crypto_provider Crypto>
class server_core {
public:
    using crypto_type = Crypto;

    explicit server_core(const server_config& config, Crypto crypto = {}) :
        config_(config), crypto_(std::move(crypto)), reader_(config), writer_(config),
        handshake_(std::make_unique<handshake_state>())
    {
    }

    server_core(const server_core&) = delete;
    server_core& operator=(const server_core&) = delete;

    // Awaits a handshake message. Any other message, or one that does not decode, ends the handshake instead.
    template <class Message>
    class expectation {
    public:
        explicit expectation(server_core& io) noexcept : io_(io) {}
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<>) noexcept
        {
            io_.handshake_->awaited = {Message::type, this, [](void* self, byte_view body) {
                                           auto message = Message::decode(body);
                                           if (!message)
                                               return message.error();
                                           static_cast<expectation*>(self)->message_.emplace(std::move(*message));
                                           return errc::none;
                                       }};
        }
        Message await_resume() noexcept { return std::move(*message_); }

    private:
        server_core& io_;
        std::optional<Message> message_;
    };

    template <class Message>
    [[nodiscard]] expectation<Message> expect() noexcept
    {
        return expectation<Message>(*this);
    }

    // Awaits a signature: made at once if the key is quick, or by whoever answers the engine's want::signature.
    class signing {
    public:
        signing(server_core& io, signature_request request) noexcept : io_(io), request_(std::move(request)) {}
        bool await_ready()
        {
            if (!request_.key->immediate())
                return false;
            io_.handshake_->signature = request_.key->sign(request_.scheme, request_.content);
            return true;
        }
        void await_suspend(std::coroutine_handle<>) { io_.handshake_->request.emplace(std::move(request_)); }
        result<byte_vector> await_resume() { return std::move(io_.handshake_->signature); }

    private:
        server_core& io_;
        signature_request request_;
    };

    [[nodiscard]] signing sign(const cert::credential& credential, signature_scheme scheme, byte_vector content)
    {
        return signing(*this, {credential.key, scheme, std::move(content), &config_});
    }

    // Sends a handshake message and adds it to the transcript.
    void send(handshake_type type, byte_view body)
    {
        byte_vector message{static_cast<std::uint8_t>(type)};
        message.reserve(4 + body.size());
        writer out(message);
        out.vector24([&] { out.bytes(body); });
        handshake_->messages.add(message);
        writer_.append(content_type::handshake, message);
    }

    void send_change_cipher_spec() { writer_.change_cipher_spec(); }

    // RFC 8446 4.2.2: the cookie that a HelloRetryRequest carries; none if empty.
    [[nodiscard]] byte_vector retry_cookie() const { return {}; }

    [[nodiscard]] tls13::transcript<Crypto>& transcript() noexcept { return handshake_->messages; }
    [[nodiscard]] const Crypto& crypto() const noexcept { return crypto_; }
    [[nodiscard]] tls13::negotiated& agreed() noexcept { return negotiated_; }
    [[nodiscard]] byte_view local_address() const noexcept { return local_address_; }

    // Nothing if bytes of a further message came in the record of the last one.
    [[nodiscard]] std::optional<record_boundary> at_record_boundary() const noexcept
    {
        if (fragment_.size() != fragment_read_)
            return std::nullopt;
        return record_boundary();
    }

    void read_with(hkdf<Crypto>& kdf, hash_secret traffic_secret, record_boundary)
    {
        reader_.protect_with(kdf, negotiated_.suite, std::move(traffic_secret));
    }

    void write_with(hkdf<Crypto>& kdf, hash_secret traffic_secret)
    {
        writer_.protect_with(kdf, negotiated_.suite, std::move(traffic_secret));
    }

    void skip_early_data() noexcept
    {
        early_data_offered_ = true;
        reader_.skip_early_data();
    }

protected:
    // Which message the coroutine waits for, and how it takes it.
    struct awaited_message {
        handshake_type type{};
        void* receiver = nullptr;
        errc (*decode)(void* receiver, byte_view body) = nullptr;
    };

    // Lives as long as the handshake.
    struct handshake_state {
        tls13::transcript<Crypto> messages;
        awaited_message awaited;
        std::optional<signature_request> request;
        result<byte_vector> signature = byte_vector{};
        flow steps;
    };

    // Takes a whole message, header included, and lets the coroutine go on.
    errc deliver(byte_view message)
    {
        const awaited_message awaited = std::exchange(handshake_->awaited, {});
        if (const errc bad = awaited.decode(awaited.receiver, message.subspan(4)); bad != errc::none)
            return bad;
        handshake_->messages.add(message);
        return advance();
    }

    // Lets the coroutine go on to what it waits for next.
    errc advance()
    {
        handshake_->steps.resume();
        return handshake_->steps.done() ? handshake_->steps.outcome() : errc::none;
    }

    const server_config& config_;
    [[no_unique_address]] Crypto crypto_;
    record_reader<Crypto> reader_;
    record_writer<Crypto> writer_;
    tls13::negotiated negotiated_;
    byte_vector fragment_; // handshake bytes received and not yet forgotten
    std::size_t fragment_read_ = 0;
    bool early_data_offered_ = false;
    byte_vector local_address_;
    std::unique_ptr<handshake_state> handshake_;
};

}

#endif
// ---- alos/tls13/server_handshake.hpp ----
// RFC 8446 2, Figure 1, as the server sees it: the whole handshake, straight down.
#ifndef ALOS_TLS13_SERVER_HANDSHAKE_HPP
#define ALOS_TLS13_SERVER_HANDSHAKE_HPP


#include <array>
#include <memory>
#include <utility>

namespace alos::inline v0::tls13 {

// RFC 8446 4.1.2, 4.1.4, 4.2.2, 4.2.8: what a ClientHello has to be that answers a HelloRetryRequest.
[[nodiscard]] inline errc check_second_hello(const client_hello& first, const client_hello& second,
                                             named_group group, byte_view cookie)
{
    if (second.early_data)
        return errc::early_data_after_retry;
    if (!second.offers_tls13 || differs_illegally(first, second))
        return errc::second_hello_changed;
    if (!second.key_share.is_only(group))
        return errc::second_hello_wrong_share;
    if (!equal(second.cookie.value_or(byte_view{}), cookie))
        return errc::wrong_cookie;
    return errc::none;
}

// `io` and `config` outlive the coroutine. Core: see server_core.
template <class Core>
flow server_handshake(Core& io, const server_config& config)
{
    using crypto = typename Core::crypto_type;

    auto hello = co_await io.template expect<client_hello>(); // 4.1.2
    if (!hello.offers_tls13)
        co_return errc::tls13_not_offered; // 4.2.1
    if (hello.cookie)
        co_return errc::unasked_cookie; // 4.2.2
    const auto choice = negotiate(hello, config); // 4.1.1
    if (!choice)
        co_return choice.error();
    io.agreed().suite = choice->suite;
    io.agreed().group = choice->group;
    io.agreed().hello_retry = choice->retry;
    io.transcript().start(hash_of(choice->suite));
    const bool middlebox_compatible = !hello.session_id.empty(); // D.4
    if (hello.early_data)
        io.skip_early_data(); // 4.2.10

    if (choice->retry) { // 4.1.4
        if (!io.at_record_boundary())
            co_return errc::keys_within_record;
        const byte_vector cookie = io.retry_cookie();
        io.transcript().replace_with_message_hash(); // 4.4.1
        io.send(handshake_type::server_hello,
                hello_retry_request(hello.session_id, choice->suite, choice->group, cookie));
        if (middlebox_compatible)
            io.send_change_cipher_spec();
        auto second = co_await io.template expect<client_hello>();
        if (const errc bad = check_second_hello(hello, second, choice->group, cookie); bad != errc::none)
            co_return bad;
        hello = std::move(second);
    }

    const std::shared_ptr<const cert::snapshot> certificates = config.certificates->load();
    const bool is_validation = is_acme_validation(hello); // RFC 8737 3
    const auto protocol = is_validation ? acme_tls_protocol : choose_protocol(hello, config); // RFC 7301
    if (!protocol)
        co_return protocol.error();
    io.agreed().server_name = hello.server_name;
    io.agreed().alpn = *protocol;
    const auto signer = is_validation ? choose_challenge(hello, *certificates)
                                      : choose_credential(hello, *certificates, io.local_address()); // 4.4.2.2
    if (!signer)
        co_return signer.error();
    io.agreed().scheme = signer->scheme;

    const auto boundary = io.at_record_boundary(); // 5.1
    if (!boundary)
        co_return errc::keys_within_record;
    auto agreed = io.crypto().agree(choice->group, *hello.key_share.find(choice->group)); // 4.2.8, 7.4
    if (!agreed)
        co_return errc::bad_key_share;
    key_agreement agreed_key = std::move(*agreed);
    std::array<std::uint8_t, random_size> random;
    io.crypto().random(random);
    io.send(handshake_type::server_hello,
            server_hello(random, hello.session_id, choice->suite, choice->group, agreed_key.share)); // 4.1.3
    if (middlebox_compatible && !choice->retry)
        io.send_change_cipher_spec();

    hkdf<crypto> kdf(hash_of(choice->suite)); // 7.1
    auto handshake = early_secret<crypto>(kdf).with_shared_secret(agreed_key.shared_secret.view());
    agreed_key.shared_secret.clear();
    auto handshake_secrets = handshake.handshake_traffic(io.transcript().current().view());
    const hash_secret client_finished_key = kdf.derive_secret(handshake_secrets.client.view(), "finished", {});
    const hash_secret server_finished_key = kdf.derive_secret(handshake_secrets.server.view(), "finished", {});
    io.write_with(kdf, std::move(handshake_secrets.server));
    io.read_with(kdf, std::move(handshake_secrets.client), *boundary);

    const bool name_known = !hello.server_name.empty() && certificates->knows(hello.server_name);
    io.send(handshake_type::encrypted_extensions, encrypted_extensions(name_known, *protocol)); // 4.3.1
    io.send(handshake_type::certificate, signer->credential->certificate_message);              // 4.4.2
    byte_vector content = signed_content(io.transcript().current().view());                     // 4.4.3
    const auto signature = co_await io.sign(*signer->credential, signer->scheme, std::move(content));
    if (!signature)
        co_return errc::signature_failed;
    io.send(handshake_type::certificate_verify, encode_certificate_verify(signer->scheme, *signature));
    const hash_secret verify_data =
        kdf.extract(server_finished_key.view(), io.transcript().current().view()); // 4.4.4: HMAC
    io.send(handshake_type::finished, verify_data.view());

    const digest to_server_finished = io.transcript().current();
    auto application_secrets =
        std::move(handshake).into_master_secret().application_traffic(to_server_finished.view()); // 7.1
    io.write_with(kdf, std::move(application_secrets.server));

    const auto client_finished = co_await io.template expect<finished>(); // 4.4.4
    const hash_secret expected = kdf.extract(client_finished_key.view(), to_server_finished.view());
    if (const errc bad = client_finished.verify(expected.view()); bad != errc::none)
        co_return bad;
    const auto end = io.at_record_boundary();
    if (!end)
        co_return errc::keys_within_record;
    io.read_with(kdf, std::move(application_secrets.client), *end);
    co_return errc::none;
}

}

#endif
// ---- alos/tls13/engine.hpp ----
// The TLS 1.3 server engine: bytes in, bytes out. It takes records apart, decides what may come when, and chooses and
// sends every alert. It knows no socket, clock, thread or executor.
#ifndef ALOS_TLS13_ENGINE_HPP
#define ALOS_TLS13_ENGINE_HPP


#include <algorithm>
#include <utility>

namespace alos::inline v0::tls13 {

// What an engine needs to go on. Output may be there in every case; see output().
enum class want {
    nothing,   // reading is over; error() says why
    input,     // bytes from the peer
    signature, // an answer to signature_request()
    fallback,  // somebody who speaks the older version that received() offers
};

// Anything that a stream can drive.
template <class E>
concept engine = requires(E e, const E c, byte_view in, std::size_t size) {
    // Input: room for the next read, how many of its bytes came, and that no more will.
    { e.prepare(size) } -> std::same_as<byte_span>;
    e.commit(size);
    e.end_of_input();

    // What was decrypted, valid until the next call of any member but output(), write() and consume_output(). Its first
    // bytes are forgotten by consume().
    { e.plaintext() } -> std::same_as<byte_view>;
    e.consume(size);

    // Copies plaintext in; how much of it, zero when there is no room or it is over.
    { e.write(in) } -> std::same_as<std::size_t>;

    // What is to be sent: stays where it is until consume_output() has taken all of it, whatever else goes on.
    { c.has_output() } -> std::same_as<bool>;
    { e.output() } -> std::same_as<byte_view>;
    e.consume_output(size);

    // How far it is, and why it ended.
    { c.wants() } -> std::same_as<want>;
    { c.error() } -> std::same_as<error_code>;
    { c.is_connected() } -> std::same_as<bool>;
    { c.is_failed() } -> std::same_as<bool>;

    // Queues a goodbye; throws away what came after the end; gives idle memory back; time has passed.
    e.close();
    { e.discard_input() } -> std::same_as<std::size_t>;
    e.release();
    e.pause();
};

// Core: server_core<Crypto>, or what a test derives from it.
template <class Core>
class basic_server_engine : private Core {
public:
    // `config` outlives the engine.
    template <class... Args>
    explicit basic_server_engine(const server_config& config, Args&&... args) :
        Core(config, std::forward<Args>(args)...)
    {
        this->handshake_->steps = server_handshake<Core>(*this, this->config_);
        this->advance(); // to the ClientHello
    }

    // The address that the client connected to, 4 or 16 bytes: what chooses a certificate when there is no name.
    void set_local_address(byte_view address) { this->local_address_.assign(address.begin(), address.end()); }

    [[nodiscard]] byte_span prepare(std::size_t wanted) { return this->reader_.prepare(wanted); }
    void commit(std::size_t size) noexcept { this->reader_.commit(size); }

    // The transport ended: truncation unless a close_notify came first (RFC 8446 6.1), which plaintext() finds out.
    void end_of_input() noexcept { input_ended_ = true; }

    [[nodiscard]] byte_view plaintext()
    {
        while (plaintext_.empty() && wants() == want::input) {
            const auto record = this->reader_.next();
            if (!record) {
                fail(record.error());
            } else if (!*record) {
                if (input_ended_)
                    error_ = alos::errc::truncated;
                break;
            } else if (const errc bad = handle(**record); bad != errc::none) {
                finish_with(bad);
            }
        }
        return plaintext_;
    }

    void consume(std::size_t size) noexcept { plaintext_ = plaintext_.subspan(size); }

    // 0 before the handshake is complete and after close() or a failure.
    [[nodiscard]] std::size_t write(byte_view data)
    {
        if (!is_connected() || closed_ || is_failed())
            return 0;
        return this->writer_.write(data);
    }

    [[nodiscard]] bool has_output() const noexcept { return this->writer_.has_output(); }

    // In bytes, of which the newest are not encrypted yet.
    [[nodiscard]] std::size_t output_size() const noexcept { return this->writer_.output_size(); }

    [[nodiscard]] byte_view output()
    {
        if (!this->writer_.is_sending())
            updates_queued_ = 0;
        return this->writer_.output();
    }

    void consume_output(std::size_t size) noexcept { this->writer_.consume_output(size); }

    [[nodiscard]] want wants() const noexcept
    {
        if (falls_back_)
            return want::fallback;
        if (error_)
            return want::nothing;
        return this->handshake_ && this->handshake_->request ? want::signature : want::input;
    }

    // Why reading is over: the alert that came (close_notify for a clean end), the tls13::errc that was found and
    // whose alert is in the output, or alos::errc::truncated.
    [[nodiscard]] error_code error() const noexcept { return error_; }

    // Whether a ClientHello has come.
    [[nodiscard]] bool has_begun() const noexcept { return seen_hello_; }

    // Whether the handshake is complete.
    [[nodiscard]] bool is_connected() const noexcept { return connected_; }

    // Whether the connection ended by an error of either side, so that nothing more can be written.
    [[nodiscard]] bool is_failed() const noexcept
    {
        return error_ && error_ != alert::close_notify && error_ != alos::errc::truncated;
    }

    [[nodiscard]] const tls13::negotiated& negotiated() const noexcept { return this->negotiated_; }

    // want::signature: what is to be signed, until answer().
    [[nodiscard]] const tls13::signature_request& signature_request() const noexcept
    {
        return *this->handshake_->request;
    }

    void answer(result<byte_vector> signature)
    {
        this->handshake_->request.reset();
        this->handshake_->signature = std::move(signature);
        if (const errc bad = continue_with(this->advance()); bad != errc::none)
            finish_with(bad);
    }

    // want::fallback: all that the client sent, as records.
    [[nodiscard]] byte_vector received()
    {
        byte_vector bytes;
        for (byte_view rest = this->fragment_; !rest.empty();) {
            const byte_view part = rest.first(std::min(rest.size(), max_plaintext_size));
            const auto header = encode_record_header(content_type::handshake, part.size());
            bytes.insert(bytes.end(), header.begin(), header.end());
            bytes.insert(bytes.end(), part.begin(), part.end());
            rest = rest.subspan(part.size());
        }
        const byte_view pending = this->reader_.pending();
        bytes.insert(bytes.end(), pending.begin(), pending.end());
        return bytes;
    }

    // RFC 8446 6.1: close_notify, once. What was written before goes first; reading goes on.
    void close()
    {
        if (std::exchange(closed_, true) || is_failed())
            return;
        send_alert(alert::close_notify, alert_level::warning);
    }

    // After a failure: forgets what was received since, and says how much that was.
    std::size_t discard_input() noexcept { return this->reader_.discard(); }

    void release() noexcept
    {
        if (plaintext_.empty())
            this->reader_.release();
        this->writer_.release();
        if (fragment_is_read() && !falls_back_) {
            this->fragment_ = byte_vector(); // and its memory
            this->fragment_read_ = 0;
        }
    }

    void pause() noexcept { this->writer_.pause(); }

    // RFC 8446 4.6.3: new keys for what is written from here on, and, if asked for, for what the peer writes.
    void update_keys(key_update_request request)
    {
        if (is_connected() && !closed_ && !is_failed())
            this->writer_.update_keys(request);
    }

private:
    // How much of what does nothing is accepted in a row.
    static constexpr std::size_t max_empty_records = 32;
    static constexpr std::size_t max_user_canceled = 4;
    static constexpr std::size_t max_key_updates = 32;

    // KeyUpdates that are answered one by one while nothing is sent.
    static constexpr std::size_t max_updates_queued = 32;

    errc handle(received_record record)
    {
        if (record.type != content_type::handshake && !fragment_is_read())
            return errc::interleaved_handshake; // RFC 8446 5.1
        seen_protected_ |= record.is_protected;
        if (record.type == content_type::change_cipher_spec)
            return handle_change_cipher_spec(record);
        if (this->reader_.is_protected() && !record.is_protected) {
            // Note: an alert from a client that could not follow to the new keys is still worth reading.
            if (record.type != content_type::alert || seen_protected_)
                return errc::unprotected_record;
        }
        switch (record.type) {
        case content_type::alert: return handle_alert(record.content);
        case content_type::handshake: return handle_handshake(record.content);
        case content_type::application_data: return handle_application_data(record.content);
        default: return errc::unknown_content_type;
        }
    }

    // RFC 8446 5
    //    An implementation may receive an unencrypted record of type change_cipher_spec consisting of the single
    //    byte value 0x01 at any time after the first ClientHello message has been sent or received and before the
    //    peer's Finished message has been received and MUST simply drop it without further processing.
    errc handle_change_cipher_spec(received_record record)
    {
        if (record.is_protected || !seen_hello_ || is_connected())
            return errc::unexpected_change_cipher_spec;
        if (record.content.size() != 1 || record.content[0] != 1)
            return errc::bad_change_cipher_spec;
        return ++change_cipher_specs_ > max_change_cipher_specs() ? errc::too_many_change_cipher_specs : errc::none;
    }

    // RFC 8446 D.4: a client sends one, before its second flight, or behind a ClientHello that offers early data.
    // Note: some send both when a retry follows.
    [[nodiscard]] std::size_t max_change_cipher_specs() const noexcept
    {
        return this->early_data_offered_ || this->negotiated_.hello_retry ? 2 : 1;
    }

    // RFC 8446 6
    // Note: the level could be ignored, says the RFC. A level that TLS 1.3 does not have for the alert is refused
    // instead, as others do: who sends it speaks something else.
    errc handle_alert(byte_view content)
    {
        if (content.empty())
            return errc::empty_alert_record; // RFC 8446 5.4
        if (content.size() != 2)
            return errc::bad_alert; // RFC 8446 5.1: neither in parts nor together
        const auto level = static_cast<alert_level>(content[0]);
        const auto description = static_cast<alert>(content[1]);
        if (level != alert_level::warning && level != alert_level::fatal)
            return errc::bad_alert_level;
        if (description == alert::user_canceled && level == alert_level::warning)
            return ++user_canceled_ > max_user_canceled ? errc::too_many_warning_alerts : errc::none;
        if (description != alert::close_notify && level == alert_level::warning)
            return errc::warning_alert;
        error_ = description;
        return errc::none;
    }

    // RFC 8446 2: application data comes after the client's Finished, and not before.
    errc handle_application_data(byte_view content)
    {
        if (!is_connected())
            return errc::unexpected_application_data;
        if (content.empty())
            return ++empty_records_ > max_empty_records ? errc::too_many_empty_records : errc::none;
        empty_records_ = 0;
        key_updates_ = 0;
        if (this->reader_.records() >= this->config_.records_per_key && !std::exchange(update_asked_, true))
            update_keys(key_update_request::update_requested); // RFC 8446 5.5
        plaintext_ = content;
        return errc::none;
    }

    // RFC 8446 5.1: joins the fragments of messages, and takes coalesced ones apart.
    errc handle_handshake(byte_view content)
    {
        if (content.empty())
            return errc::empty_handshake_record; // RFC 8446 5.4
        auto& fragment = this->fragment_;
        auto& read = this->fragment_read_;
        fragment.insert(fragment.end(), content.begin(), content.end());
        while (fragment.size() - read >= 4 && wants() == want::input) {
            reader header(byte_view(fragment).subspan(read, 4));
            const auto type = static_cast<handshake_type>(header.u8());
            const std::size_t size = 4 + header.u24();
            if (type != expected_message())
                return errc::unexpected_handshake_message;
            if (const errc bad = check_message_size(type, size); bad != errc::none)
                return bad;
            if (fragment.size() - read < size)
                return errc::none;
            const byte_view message = byte_view(fragment).subspan(read, size);
            read += size;
            const errc bad = is_connected() ? handle_key_update(message.subspan(4)) : handle_step(message);
            if (bad != errc::none)
                return bad;
        }
        if (fragment_is_read()) {
            fragment.clear();
            read = 0;
        }
        return errc::none;
    }

    [[nodiscard]] handshake_type expected_message() const noexcept
    {
        return is_connected() ? handshake_type::key_update : this->handshake_->awaited.type;
    }

    // What is too long already by its header need not be awaited.
    [[nodiscard]] errc check_message_size(handshake_type type, std::size_t size) const noexcept
    {
        switch (type) {
        case handshake_type::finished: return size > 4 + max_hash_size ? errc::message_decode : errc::none;
        case handshake_type::key_update: return size > 4 + 1 ? errc::message_decode : errc::none;
        default: return size > this->config_.max_handshake_message ? errc::handshake_message_too_long : errc::none;
        }
    }

    errc handle_step(byte_view message)
    {
        seen_hello_ = true;
        return continue_with(this->deliver(message));
    }

    // RFC 8446 4.6.3
    errc handle_key_update(byte_view body)
    {
        const auto request = decode_key_update(body);
        if (!request)
            return request.error();
        if (!fragment_is_read())
            return errc::keys_within_record; // RFC 8446 5.1
        if (++key_updates_ > max_key_updates)
            return errc::too_many_key_updates;
        this->reader_.update_keys();
        update_asked_ = false;
        // Note: one answer is enough for all requests that come before it is sent; giving each its own, up to a
        // bound, pleases more peers.
        if (*request == key_update_request::update_requested && updates_queued_ < max_updates_queued) {
            ++updates_queued_;
            update_keys(key_update_request::update_not_requested);
        }
        return errc::none;
    }

    [[nodiscard]] bool fragment_is_read() const noexcept { return this->fragment_.size() == this->fragment_read_; }

    // After the coroutine went on: is the handshake over?
    errc continue_with(errc outcome)
    {
        if (outcome == errc::none && this->handshake_->steps.done()) {
            connected_ = true;
            this->handshake_.reset();
        }
        return outcome;
    }

    void finish_with(errc bad)
    {
        if (bad == errc::tls13_not_offered && this->config_.hand_over_older_versions && !has_output())
            falls_back_ = true;
        else
            fail(bad);
    }

    // RFC 8446 6.2: one alert, and the connection is over. Nothing follows our close_notify (6.1).
    void fail(errc bad)
    {
        if (bad != errc::http_request && !closed_)
            send_alert(describe(bad).sent, alert_level::fatal);
        error_ = bad;
    }

    void send_alert(alert description, alert_level level)
    {
        const std::array<std::uint8_t, 2> content{static_cast<std::uint8_t>(level),
                                                  static_cast<std::uint8_t>(description)};
        this->writer_.append(content_type::alert, content);
    }

    byte_view plaintext_;
    error_code error_;
    std::uint8_t empty_records_ = 0;
    std::uint8_t change_cipher_specs_ = 0;
    std::uint8_t user_canceled_ = 0;
    std::uint8_t key_updates_ = 0;
    std::uint8_t updates_queued_ = 0; // KeyUpdate answers that wait in the output
    bool connected_ = false;
    bool seen_hello_ = false;
    bool seen_protected_ = false;
    bool closed_ = false;
    bool input_ended_ = false;
    bool falls_back_ = false;
    bool update_asked_ = false;  // the peer was asked to update its keys
};

template <crypto_provider Crypto>
using server_engine_for = basic_server_engine<server_core<Crypto>>;

using server_engine = server_engine_for<botan_crypto>;

static_assert(engine<server_engine>);

}

#endif
// ---- alos/tls13/detail/pending_signature.hpp ----
// A signature that is made elsewhere (RFC 8446 4.4.3), on its way back to the executor of its connection.
#ifndef ALOS_TLS13_DETAIL_PENDING_SIGNATURE_HPP
#define ALOS_TLS13_DETAIL_PENDING_SIGNATURE_HPP


#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <new>
#include <utility>

namespace alos::inline v0::tls13::detail {

// Completes `Handler`, void(result<byte_vector>), once and on `Executor` only: a signer that forgets the request has
// failed it. May be used and destroyed on any thread, while the executor lives.
template <class Handler, class Executor>
class pending_signature {
public:
    pending_signature(Handler handler, const Executor& executor) : handler_(std::move(handler)), work_(executor) {}

    pending_signature(const pending_signature&) = delete;
    pending_signature& operator=(const pending_signature&) = delete;

    ~pending_signature()
    {
        if (done_)
            return;
        try {
            complete(make_error_code(errc::signature_failed));
        } catch (const std::bad_alloc&) { // the connection's deadline ends it
        }
    }

    void complete(result<byte_vector> signature)
    {
        done_ = true;
        boost::asio::post(work_.get_executor(),
                          [handler = std::move(handler_), signature = std::move(signature)]() mutable {
                              std::move(handler)(std::move(signature));
                          });
    }

private:
    Handler handler_;
    boost::asio::executor_work_guard<Executor> work_;
    bool done_ = false;
};

}

#endif
// ---- alos/tls13/stream.hpp ----
// TLS over any stream: the shell that moves bytes between an engine and the next layer. The only TLS header that
// knows Asio.
#ifndef ALOS_TLS13_STREAM_HPP
#define ALOS_TLS13_STREAM_HPP


#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_composed.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/socket_base.hpp>

#include <chrono>
#include <memory>
#include <tuple>
#include <utility>

namespace alos::inline v0::tls13 {

// A layer that can be read and written without waiting, such as a TCP socket: what can be done at once costs no trip
// through the executor.
template <class Next>
concept waitable_layer = requires(Next next, error_code ec, boost::asio::mutable_buffer in, boost::asio::const_buffer out) {
    next.non_blocking(true, ec);
    { next.read_some(in, ec) } -> std::convertible_to<std::size_t>;
    { next.write_some(out, ec) } -> std::convertible_to<std::size_t>;
    next.async_wait(boost::asio::socket_base::wait_write, boost::asio::deferred);
};

// An engine whose handshake may want a signature.
template <class E>
concept signing_engine = requires(E engine, result<byte_vector> signature) {
    { engine.signature_request() } -> std::convertible_to<const signature_request&>;
    engine.answer(std::move(signature));
};

// GCC takes the operators new and delete of Asio's coroutines for mismatched where it inlines one of them only.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

// Models Asio's AsyncReadStream and AsyncWriteStream over NextLayer (a stream, or a reference to one).
//
// One read (async_fill, async_read_some) and one write (async_flush, async_write_some) may be outstanding together,
// and nothing else beside the handshake and the shutdown. Cancellation is terminal, after which the stream may only
// be closed; reads are also cancelled totally: no byte is lost and the stream goes on. An error of a read or write
// ends that operation; boost::asio::error::eof is the peer's close_notify and alos::errc::truncated is a transport
// that ended without one. The stream is not thread-safe, and outlives its operations.
template <class NextLayer, class Engine = server_engine>
    requires engine<Engine>
class stream {
public:
    using next_layer_type = std::remove_reference_t<NextLayer>;
    using executor_type = typename next_layer_type::executor_type;

    // `arguments` make the engine; for a server that is its server_config, which outlives the stream.
    template <class... Arguments>
    explicit stream(NextLayer next, Arguments&&... arguments) :
        next_layer_(std::forward<NextLayer>(next)), engine_(std::forward<Arguments>(arguments)...)
    {
        if constexpr (waitable_layer<next_layer_type>) {
            error_code ignored; // a layer that refuses will say so when it is used
            next_layer_.non_blocking(true, ignored);
        }
    }

    [[nodiscard]] executor_type get_executor() noexcept { return next_layer_.get_executor(); }
    [[nodiscard]] next_layer_type& next_layer() noexcept { return next_layer_; }
    [[nodiscard]] const next_layer_type& next_layer() const noexcept { return next_layer_; }
    [[nodiscard]] Engine& engine() noexcept { return engine_; }
    [[nodiscard]] const Engine& engine() const noexcept { return engine_; }

    // Decrypted bytes at hand, valid until the next call that reads or consumes.
    [[nodiscard]] byte_view plaintext() { return engine_.plaintext(); }
    void consume(std::size_t size) noexcept { engine_.consume(size); }

    // Queues plaintext for the next flush; returns how much was taken (less when much is waiting already).
    std::size_t write(byte_view data)
    {
        const auto now = std::chrono::steady_clock::now();
        if (now - std::exchange(last_write_, now) > pause)
            engine_.pause();
        return engine_.write(data);
    }

    // Reads what is there, once, without waiting: would_block if nothing is. plaintext() must be empty.
    error_code try_fill()
        requires waitable_layer<next_layer_type>
    {
        error_code ec;
        const byte_span room = engine_.prepare(read_size_);
        room_ = room.size();
        const std::size_t size = next_layer_.read_some(boost::asio::buffer(room.data(), room.size()), ec);
        return take_in(ec, size);
    }

    // Sends what can be sent without waiting: would_block if something is left for async_flush.
    error_code try_flush()
    {
        error_code ec;
        while (engine_.has_output() && !ec) {
            if constexpr (waitable_layer<next_layer_type>) {
                const byte_view bytes = engine_.output();
                const std::size_t size = next_layer_.write_some(boost::asio::buffer(bytes.data(), bytes.size()), ec);
                engine_.consume_output(size);
            } else {
                ec = boost::asio::error::would_block;
            }
        }
        return ec;
    }

    // void(error_code): completes when the handshake is (RFC 8446 2), or has failed and its alert is sent.
    template <class Token = boost::asio::deferred_t>
    auto async_handshake(Token&& token = {})
    {
        return initiate<Token, void(error_code)>(
            [](auto state, stream* self) -> void {
                state.throw_if_cancelled(false);
                if (self->engine_.is_connected() || self->engine_.wants() != want::input)
                    co_await boost::asio::post(self->get_executor(), boost::asio::deferred);
                error_code ec;
                for (;;) {
                    static_cast<void>(self->engine_.plaintext()); // takes in what was received
                    if constexpr (signing_engine<Engine>) {
                        if (self->engine_.wants() == want::signature) {
                            auto request = self->engine_.signature_request();
                            auto signature = co_await self->async_sign(std::move(request));
                            self->engine_.answer(std::move(signature));
                            continue;
                        }
                    }
                    for (ec = self->try_flush(); self->must_wait(ec);) {
                        const auto ready = co_await self->wait_for_output();
                        ec = self->sent(ready);
                    }
                    if (ec || self->engine_.is_connected() || self->engine_.wants() != want::input)
                        break;
                    const auto ready = co_await self->wait_for_input();
                    ec = self->received(ready);
                    if (ec)
                        break;
                }
                if (!ec && !self->engine_.is_connected())
                    ec = self->ended();
                co_return std::make_tuple(ec);
            },
            token);
    }

    // void(error_code): completes when plaintext() is not empty.
    template <class Token = boost::asio::deferred_t>
    auto async_fill(Token&& token = {})
    {
        return initiate<Token, void(error_code)>(
            [](auto state, stream* self) -> void {
                state.throw_if_cancelled(false);
                state.reset_cancellation_state(boost::asio::enable_total_cancellation());
                error_code ec = self->next_plaintext();
                if (!self->must_wait(ec))
                    co_await boost::asio::post(self->get_executor(), boost::asio::deferred);
                while (self->must_wait(ec)) {
                    static_cast<void>(self->try_flush()); // what answers what came: a KeyUpdate
                    const auto ready = co_await self->wait_for_input();
                    ec = self->received(ready);
                    if (!ec)
                        ec = self->next_plaintext();
                }
                co_return std::make_tuple(ec);
            },
            token);
    }

    // void(error_code): completes when everything that was written is sent.
    template <class Token = boost::asio::deferred_t>
    auto async_flush(Token&& token = {})
    {
        return initiate<Token, void(error_code)>(
            [](auto state, stream* self) -> void {
                state.throw_if_cancelled(false);
                error_code ec = self->try_flush();
                if (!self->must_wait(ec))
                    co_await boost::asio::post(self->get_executor(), boost::asio::deferred);
                while (self->must_wait(ec)) {
                    const auto ready = co_await self->wait_for_output();
                    ec = self->sent(ready);
                }
                if (!ec && self->engine_.is_failed())
                    ec = self->ended();
                co_return std::make_tuple(ec);
            },
            token);
    }

    // void(error_code): completes when close_notify is sent (RFC 8446 6.1), behind all that was written. The peer's is
    // not waited for. After a failure: the alert is sent, the next layer is half-closed, and what the peer still sends
    // is thrown away for a while, as a reset would take the alert with it.
    template <class Token = boost::asio::deferred_t>
    auto async_shutdown(Token&& token = {})
    {
        return initiate<Token, void(error_code)>(
            [](auto state, stream* self) -> void {
                state.throw_if_cancelled(false);
                self->engine_.close();
                error_code ec = self->try_flush();
                if (!self->must_wait(ec))
                    co_await boost::asio::post(self->get_executor(), boost::asio::deferred);
                while (self->must_wait(ec)) {
                    const auto ready = co_await self->wait_for_output();
                    ec = self->sent(ready);
                }
                if (!ec && self->engine_.is_failed() && self->half_close()) {
                    self->drained_ = 0;
                    for (bool goes_on = true; goes_on && self->drained_ < max_drained;) {
                        const auto ready = co_await self->wait_for_input();
                        const error_code end = self->received(ready);
                        const std::size_t size = self->engine_.discard_input();
                        self->drained_ += size;
                        goes_on = self->must_wait(end) || (!end && size != 0); // at the end there is nothing
                    }
                }
                co_return std::make_tuple(ec);
            },
            token);
    }

    // void(error_code, std::size_t)
    template <class Buffers, class Token = boost::asio::deferred_t>
    auto async_read_some(const Buffers& buffers, Token&& token = {})
    {
        return initiate<Token, void(error_code, std::size_t)>(
            [](auto state, stream* self, Buffers into) -> void {
                state.throw_if_cancelled(false);
                state.reset_cancellation_state(boost::asio::enable_total_cancellation());
                error_code ec;
                if (boost::asio::buffer_size(into) != 0)
                    ec = self->next_plaintext();
                if (!self->must_wait(ec))
                    co_await boost::asio::post(self->get_executor(), boost::asio::deferred);
                while (self->must_wait(ec)) {
                    static_cast<void>(self->try_flush()); // what answers what came: a KeyUpdate
                    const auto ready = co_await self->wait_for_input();
                    ec = self->received(ready);
                    if (!ec)
                        ec = self->next_plaintext();
                }
                const std::size_t size = ec ? 0 : self->take(into);
                co_return std::make_tuple(ec, size);
            },
            token, buffers);
    }

    // void(error_code, std::size_t): how much of `buffers` was taken, and all of that is sent.
    template <class Buffers, class Token = boost::asio::deferred_t>
    auto async_write_some(const Buffers& buffers, Token&& token = {})
    {
        return initiate<Token, void(error_code, std::size_t)>(
            [](auto state, stream* self, Buffers from) -> void {
                state.throw_if_cancelled(false);
                const bool nothing = boost::asio::buffer_size(from) == 0;
                std::size_t size = self->put(from);
                error_code ec = self->try_flush();
                if (!self->must_wait(ec))
                    co_await boost::asio::post(self->get_executor(), boost::asio::deferred);
                while (true) {
                    while (self->must_wait(ec)) {
                        const auto ready = co_await self->wait_for_output();
                        ec = self->sent(ready);
                    }
                    if (ec || size != 0 || nothing)
                        break;
                    size = self->put(from); // write() had left no room, or it is over
                    ec = size != 0 ? self->try_flush() : self->closed();
                }
                if (ec)
                    size = 0;
                co_return std::make_tuple(ec, size);
            },
            token, buffers);
    }

private:
    static constexpr std::size_t idle_read_size = 1024;
    static constexpr std::size_t usual_read_size = 20 * 1024;
    static constexpr std::size_t largest_read_size = 80 * 1024;
    static constexpr std::size_t max_drained = 64 * 1024;
    static constexpr std::chrono::seconds pause{1};

    // Token as the caller of the operation gave it: a handler that is an lvalue is copied, not moved from.
    template <class Token, class Signature, class Implementation, class... Arguments>
    auto initiate(Implementation implementation, std::remove_reference_t<Token>& token, const Arguments&... arguments)
    {
        return boost::asio::async_initiate<Token, Signature>(
            boost::asio::co_composed<Signature>(std::move(implementation), next_layer_), token, this, arguments...);
    }

    [[nodiscard]] static bool must_wait(const error_code& ec) noexcept
    {
        return ec == boost::asio::error::would_block || ec == boost::asio::error::try_again;
    }

    // Little memory is enough to wait with; if the read fills it, there is more to be had.
    [[nodiscard]] auto wait_for_input()
    {
        engine_.release();
        const byte_span room = engine_.prepare(waitable_layer<next_layer_type> ? idle_read_size : read_size_);
        room_ = room.size();
        return next_layer_.async_read_some(boost::asio::buffer(room.data(), room.size()),
                                           boost::asio::as_tuple(boost::asio::deferred));
    }

    [[nodiscard]] error_code received(const std::tuple<error_code, std::size_t>& read)
    {
        error_code ec = take_in(std::get<0>(read), std::get<1>(read));
        if constexpr (waitable_layer<next_layer_type>) {
            if (!ec && std::get<1>(read) == room_)
                ec = try_fill();
            if (must_wait(ec))
                ec = {};
        }
        return ec;
    }

    // What a read gave goes to the engine. The layer's end is the engine's to judge.
    [[nodiscard]] error_code take_in(error_code ec, std::size_t size)
    {
        engine_.commit(size);
        if (size == room_)
            read_size_ = read_size_ < usual_read_size ? usual_read_size : largest_read_size;
        else if (size <= idle_read_size)
            read_size_ = smallest_read_size();
        if (ec != boost::asio::error::eof)
            return ec;
        engine_.end_of_input();
        return {};
    }

    [[nodiscard]] static constexpr std::size_t smallest_read_size() noexcept
    {
        return waitable_layer<next_layer_type> ? usual_read_size : idle_read_size;
    }

    // would_block if more input is needed.
    [[nodiscard]] error_code next_plaintext()
    {
        if (!plaintext().empty())
            return {};
        if (engine_.wants() == want::input)
            return boost::asio::error::would_block;
        return ended();
    }

    // Why nothing more can be written.
    [[nodiscard]] error_code closed() const noexcept
    {
        return engine_.is_failed() ? ended() : make_error_code(alos::errc::closed);
    }

    [[nodiscard]] error_code ended() const noexcept
    {
        if (engine_.wants() == want::fallback)
            return errc::tls13_not_offered; // to whoever does not take over
        const error_code ec = engine_.error();
        return ec == alert::close_notify ? error_code(boost::asio::error::eof) : ec;
    }

    [[nodiscard]] auto wait_for_output()
    {
        if constexpr (waitable_layer<next_layer_type>) {
            return next_layer_.async_wait(boost::asio::socket_base::wait_write,
                                          boost::asio::as_tuple(boost::asio::deferred));
        } else {
            const byte_view bytes = engine_.output();
            return next_layer_.async_write_some(boost::asio::buffer(bytes.data(), bytes.size()),
                                                boost::asio::as_tuple(boost::asio::deferred));
        }
    }

    [[nodiscard]] error_code sent(const std::tuple<error_code>& ready)
    {
        const error_code ec = std::get<0>(ready);
        return ec ? ec : try_flush();
    }

    [[nodiscard]] error_code sent(const std::tuple<error_code, std::size_t>& written)
    {
        const auto [ec, size] = written;
        engine_.consume_output(size);
        return ec ? ec : try_flush();
    }

    template <class Buffers>
    [[nodiscard]] std::size_t take(const Buffers& into)
    {
        std::size_t size = 0;
        for (auto one = boost::asio::buffer_sequence_begin(into); one != boost::asio::buffer_sequence_end(into); ++one) {
            boost::asio::mutable_buffer room = *one;
            while (room.size() > 0 && !plaintext().empty()) {
                const std::size_t n = boost::asio::buffer_copy(room, boost::asio::buffer(plaintext().data(), plaintext().size()));
                consume(n);
                room += n;
                size += n;
            }
        }
        return size;
    }

    template <class Buffers>
    [[nodiscard]] std::size_t put(const Buffers& from)
    {
        std::size_t size = 0;
        for (auto one = boost::asio::buffer_sequence_begin(from); one != boost::asio::buffer_sequence_end(from); ++one) {
            const boost::asio::const_buffer bytes = *one;
            const std::size_t n = write({static_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
            size += n;
            if (n < bytes.size())
                break;
        }
        return size;
    }

    // Whether the next layer can be half-closed.
    bool half_close()
    {
        if constexpr (requires(error_code ec) { next_layer_.shutdown(next_layer_type::shutdown_send, ec); }) {
            error_code ignored; // the peer may be gone already
            next_layer_.shutdown(next_layer_type::shutdown_send, ignored);
            return true;
        } else {
            return false;
        }
    }

    // Has the key sign, wherever it does. result<byte_vector>
    auto async_sign(signature_request request)
    {
        return boost::asio::async_initiate<const boost::asio::deferred_t, void(result<byte_vector>)>(
            [executor = get_executor()](auto handler, signature_request what) {
                auto pending = std::make_shared<detail::pending_signature<decltype(handler), executor_type>>(
                    std::move(handler), executor);
                std::move(what).start(
                    [pending](result<byte_vector> signature) { pending->complete(std::move(signature)); });
            },
            boost::asio::deferred, std::move(request));
    }

    NextLayer next_layer_;
    Engine engine_;
    std::chrono::steady_clock::time_point last_write_{};
    std::size_t read_size_ = smallest_read_size();
    std::size_t room_ = 0; // what the read in flight was given
    std::size_t drained_ = 0;
};

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

}

#endif
// ---- alos/server/address.hpp ----
// Where a server listens: "host:port" and "unix:/path" as people write them, and endpoints as people read them.
#ifndef ALOS_SERVER_ADDRESS_HPP
#define ALOS_SERVER_ADDRESS_HPP


#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace alos::inline v0 {

// One kind of socket for TCP and Unix alike: the code of a connection is there once.
using any_endpoint = boost::asio::generic::stream_protocol::endpoint;

// The host without brackets and the port of "host:port", "[host]:port" or ":port"; nothing if it is neither.
struct host_and_port {
    std::string host;
    std::uint16_t port = 0;
};

inline std::optional<host_and_port> split_host_and_port(std::string_view text)
{
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos)
        return std::nullopt;
    std::string_view host = text.substr(0, colon);
    const std::string_view digits = text.substr(colon + 1);
    if (host.starts_with('[') && host.ends_with(']'))
        host = host.substr(1, host.size() - 2);
    else if (host.find(':') != std::string_view::npos)
        return std::nullopt;
    host_and_port parts{std::string(host)};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), parts.port);
    if (error != std::errc{} || end != digits.data() + digits.size())
        return std::nullopt;
    return parts;
}

// The endpoints that `address` means; several when a name has several addresses. ":8443" is every address of this
// machine, IPv6 and IPv4. "unix:/run/a.sock" is a Unix socket, "unix:@name" one without a file. Looks names up, so
// call it during set-up only.
[[nodiscard]] inline outcome<std::vector<any_endpoint>> resolve_address(const std::string& address)
{
    namespace asio = boost::asio;
    const auto refuse = [&](const std::string& why) {
        return failure{errc::bad_configuration, "cannot listen on \"" + address + "\": " + why};
    };
    constexpr std::string_view unix_scheme = "unix:";
    if (address.starts_with(unix_scheme)) {
        std::string path = address.substr(unix_scheme.size());
        if (path.empty())
            return refuse("write a path, like \"unix:/run/alos.sock\"");
        if (path.size() >= sizeof(sockaddr_un::sun_path))
            return refuse("a Unix socket's path has at most 107 characters");
        if (path.front() == '@')
            path.front() = '\0';
        return std::vector<any_endpoint>{asio::local::stream_protocol::endpoint(path)};
    }
    const std::optional<host_and_port> parts = split_host_and_port(address);
    if (!parts)
        return refuse("write \"host:port\", \"[::1]:port\", \":port\" or \"unix:/path\"");
    if (parts->host.empty())
        return std::vector<any_endpoint>{asio::ip::tcp::endpoint(asio::ip::address_v6::any(), parts->port)};

    ::addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    ::addrinfo* list = nullptr;
    if (const int error = ::getaddrinfo(parts->host.c_str(), nullptr, &hints, &list))
        return refuse(std::string("the host is unknown (") + ::gai_strerror(error) + ")");
    const std::unique_ptr<::addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
    std::vector<any_endpoint> found;
    for (const ::addrinfo* item = list; item; item = item->ai_next) {
        asio::ip::tcp::endpoint endpoint;
        if (item->ai_addrlen > endpoint.capacity())
            continue;
        std::memcpy(endpoint.data(), item->ai_addr, item->ai_addrlen);
        endpoint.port(parts->port);
        found.emplace_back(endpoint);
    }
    return found;
}

// The IP endpoint in `endpoint`, if it is one. An IPv4 address that came over an IPv6 socket is given as IPv4.
inline std::optional<boost::asio::ip::tcp::endpoint> to_tcp(const any_endpoint& endpoint)
{
    const int family = endpoint.data()->sa_family;
    if (family != AF_INET && family != AF_INET6)
        return std::nullopt;
    boost::asio::ip::tcp::endpoint tcp;
    std::memcpy(tcp.data(), endpoint.data(), family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    if (family == AF_INET6 && tcp.address().to_v6().is_v4_mapped())
        tcp.address(boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, tcp.address().to_v6()));
    return tcp;
}

// The 4 or 16 bytes of an IP address; none of another kind. They live as long as `endpoint`.
inline byte_view address_bytes(const any_endpoint& endpoint) noexcept
{
    if (endpoint.data()->sa_family == AF_INET)
        return {reinterpret_cast<const std::uint8_t*>(endpoint.data()) + offsetof(sockaddr_in, sin_addr), 4};
    if (endpoint.data()->sa_family == AF_INET6)
        return {reinterpret_cast<const std::uint8_t*>(endpoint.data()) + offsetof(sockaddr_in6, sin6_addr), 16};
    return {};
}

// "127.0.0.1:8443", "[::1]:8443", "unix:/path".
inline std::string to_text(const any_endpoint& endpoint)
{
    if (const auto tcp = to_tcp(endpoint)) {
        const std::string address = tcp->address().to_string();
        const std::string port = std::to_string(tcp->port());
        return tcp->address().is_v6() ? "[" + address + "]:" + port : address + ":" + port;
    }
    if (endpoint.data()->sa_family != AF_UNIX)
        return "socket";
    const auto* local = reinterpret_cast<const sockaddr_un*>(endpoint.data());
    const std::size_t header = offsetof(sockaddr_un, sun_path);
    if (endpoint.size() <= header)
        return "unix:";
    std::string path(local->sun_path, endpoint.size() - header);
    if (path.front() == '\0')
        path.front() = '@';
    else
        path.resize(std::char_traits<char>::length(path.c_str()));
    return "unix:" + path;
}

}

#endif
// ---- alos/server/task.hpp ----
// The coroutine that a connection is: started at once, owned by nobody but the operation it waits for, its frame gone
// when it ends. It is smaller and quicker than Asio's awaitable, whose own frames and executors are for handlers.
#ifndef ALOS_SERVER_TASK_HPP
#define ALOS_SERVER_TASK_HPP


#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <new>
#include <utility>

namespace alos::inline v0 {

// An exception that its body lets out (there is no memory) ends it like a return.
struct task {
    struct promise_type {
        task get_return_object() noexcept { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() noexcept {}
    };
};

namespace detail {

// Where an operation and the coroutine that awaits it meet.
template <class Result>
struct rendezvous {
    std::coroutine_handle<> waiting;
    Result result{};
    bool done = false;
};

// A completion handler that resumes a coroutine, or frees it when the operation is dropped with its io_context.
template <class Result>
class resumption {
public:
    explicit resumption(rendezvous<Result>& meeting) noexcept : meeting_(&meeting) {}
    resumption(resumption&& other) noexcept : meeting_(std::exchange(other.meeting_, nullptr)) {}
    resumption& operator=(resumption&&) = delete;

    ~resumption()
    {
        if (meeting_ && meeting_->waiting)
            meeting_->waiting.destroy();
    }

    void operator()(Result result, std::size_t = 0)
    {
        rendezvous<Result>& meeting = *std::exchange(meeting_, nullptr);
        meeting.result = std::move(result);
        meeting.done = true;
        if (meeting.waiting)
            meeting.waiting.resume();
    }

private:
    rendezvous<Result>* meeting_;
};

}

// Awaits the asynchronous operation that `Initiate` starts with the completion handler it is given.
template <class Result, class Initiate>
class operation {
public:
    explicit operation(Initiate initiate) noexcept : initiate_(std::move(initiate)) {}

    bool await_ready() const noexcept { return false; }

    bool await_suspend(std::coroutine_handle<> caller)
    {
        initiate_(detail::resumption<Result>(meeting_));
        if (meeting_.done)
            return false;
        meeting_.waiting = caller;
        return true;
    }

    Result await_resume() noexcept { return std::move(meeting_.result); }

private:
    Initiate initiate_;
    detail::rendezvous<Result> meeting_;
};

// What `co_await` needs for an operation that ends with an error_code (and perhaps a size).
template <class Initiate>
[[nodiscard]] auto until(Initiate initiate) noexcept
{
    return operation<error_code, Initiate>(std::move(initiate));
}

// The same for a coroutine of Asio's kind, which runs on `executor` and can be cancelled by `slot`; gives the exception
// that ended it.
template <class Executor>
[[nodiscard]] auto until(Executor executor, boost::asio::awaitable<void>& work,
                         boost::asio::cancellation_slot slot) noexcept
{
    const auto initiate = [executor = std::move(executor), &work, slot](auto handler) {
        boost::asio::co_spawn(executor, std::move(work), boost::asio::bind_cancellation_slot(slot, std::move(handler)));
    };
    return operation<std::exception_ptr, decltype(initiate)>(initiate);
}

}

#endif
// ---- alos/server/watch.hpp ----
// Who is connected, and until when: the connections of one thread in a list, looked through by one coarse ticker.
// A deadline is a number that is compared once a tick, so setting one costs an addition and no timer.
#ifndef ALOS_SERVER_WATCH_HPP
#define ALOS_SERVER_WATCH_HPP


#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace alos::inline v0 {

// How long a client may take. Zero is for ever. A deadline is kept to within a second, or to within half of it if it
// is shorter than that.
struct deadlines {
    std::chrono::milliseconds handshake = std::chrono::seconds(10); // from the connection to the end of the handshake
    std::chrono::milliseconds header = std::chrono::seconds(10);    // from a request's first byte to its header's end
    std::chrono::milliseconds body = std::chrono::seconds(30);   // without `min_rate` in this time while sending a body
    std::chrono::milliseconds write = std::chrono::seconds(30);  // without `min_rate` in this time while receiving
    std::chrono::milliseconds handler{};                         // for a coroutine, but for its reads and writes
    std::chrono::milliseconds idle = std::chrono::seconds(120);  // between requests
    std::chrono::milliseconds closing = std::chrono::seconds(3); // to take the last bytes of a connection
    std::chrono::milliseconds stop = std::chrono::seconds(30);   // for requests in flight when the server stops
    std::size_t min_rate = 256; // bytes a second; a body or a response that moves more slowly has stalled
};

// What a connection is doing, for its deadline.
enum class phase : std::uint8_t { handshake, idle, header, body, handler, write, closing };

inline constexpr std::size_t phase_count = 7;

constexpr const char* to_text(phase each) noexcept
{
    constexpr std::array<const char*, phase_count> names{"handshake", "idle",  "header", "body",
                                                         "handler",   "write", "closing"};
    return names[static_cast<std::size_t>(each)];
}

class watch;

// What `watch` needs to know of a connection. All of it happens on the connection's own thread.
class watched {
public:
    watched(const watched&) = delete;
    watched& operator=(const watched&) = delete;

    [[nodiscard]] phase now_in() const noexcept { return phase_; }

    // The server stops: end as soon as nothing is in flight.
    virtual void drain() noexcept = 0;

    // The deadline of the phase has passed.
    virtual void expire() noexcept = 0;

    // Ends at once; every operation in flight fails.
    virtual void cut() noexcept = 0;

    // In the phase handler: whether nobody is there any more to be answered.
    [[nodiscard]] virtual bool is_abandoned() noexcept = 0;

    // In the phases body and write: bytes still to be moved, or moved so far; only the difference counts.
    [[nodiscard]] virtual std::uint64_t progress() noexcept = 0;

protected:
    watched() = default;
    ~watched() = default;

private:
    friend class watch;

    static constexpr std::uint64_t unknown = std::numeric_limits<std::uint64_t>::max();

    watched* next_ = nullptr;
    watched* previous_ = nullptr;
    std::uint64_t mark_ = unknown; // progress when the deadline was set, or at the first tick after
    std::uint64_t expires_ = std::numeric_limits<std::uint64_t>::max();
    phase phase_ = phase::handshake;
};

class watch {
public:
    explicit watch(const deadlines& limits) : tick_(coarse(limits)), min_rate_(limits.min_rate)
    {
        const auto set = [&](phase each, std::chrono::milliseconds limit) {
            limits_[static_cast<std::size_t>(each)] = limit;
        };
        set(phase::handshake, limits.handshake);
        set(phase::idle, limits.idle);
        set(phase::header, limits.header);
        set(phase::body, limits.body);
        set(phase::handler, limits.handler);
        set(phase::write, limits.write);
        set(phase::closing, limits.closing);
    }

    watch(const watch&) = delete;
    watch& operator=(const watch&) = delete;

    // How often tick() wants to be called while the list is not empty.
    [[nodiscard]] std::chrono::milliseconds interval() const noexcept { return tick_; }

    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    void add(watched& each) noexcept
    {
        each.next_ = first_;
        if (first_)
            first_->previous_ = &each;
        first_ = &each;
        ++size_;
    }

    void remove(watched& each) noexcept
    {
        if (cursor_ == &each)
            cursor_ = each.next_;
        (each.previous_ ? each.previous_->next_ : first_) = each.next_;
        if (each.next_)
            each.next_->previous_ = each.previous_;
        each.next_ = each.previous_ = nullptr;
        --size_;
    }

    // `each` enters a phase, and its deadline starts.
    void enter(watched& each, phase now) noexcept
    {
        each.phase_ = now;
        each.mark_ = watched::unknown;
        start(each);
    }

    // One interval has passed.
    void tick() noexcept
    {
        ++now_;
        for_each([this](watched& each) {
            if (moves(each.phase_))
                notice_progress(each);
            if (each.phase_ == phase::handler && each.is_abandoned())
                return each.cut();
            if (each.expires_ > now_)
                return;
            each.expires_ = never;
            each.expire();
        });
    }

    void drain() noexcept
    {
        for_each([](watched& each) { each.drain(); });
    }

    void cut() noexcept
    {
        for_each([](watched& each) { each.cut(); });
    }

private:
    static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

    // A quarter of the shortest deadline, and a second at most.
    static std::chrono::milliseconds coarse(const deadlines& limits) noexcept
    {
        std::chrono::milliseconds shortest = std::chrono::seconds(4);
        for (const auto limit :
             {limits.handshake, limits.header, limits.body, limits.handler, limits.write, limits.idle, limits.closing}) {
            if (limit.count() > 0)
                shortest = std::min(shortest, limit);
        }
        return std::max(shortest / 4, std::chrono::milliseconds(5));
    }

    static bool moves(phase each) noexcept { return each == phase::body || each == phase::write; }

    // The tick that is under way counts for nothing: a deadline is never early.
    void start(watched& each) noexcept
    {
        const std::chrono::milliseconds limit = limits_[static_cast<std::size_t>(each.phase_)];
        each.expires_ =
            limit.count() > 0
                ? now_ + 1 + static_cast<std::uint64_t>((limit + tick_ - std::chrono::milliseconds(1)) / tick_)
                : never;
    }

    // What moved fast enough since the deadline was set gets a new one.
    void notice_progress(watched& each) noexcept
    {
        const std::uint64_t position = each.progress();
        if (each.mark_ == watched::unknown)
            each.mark_ = position;
        const std::uint64_t moved = std::max(position, each.mark_) - std::min(position, each.mark_);
        const auto limit = limits_[static_cast<std::size_t>(each.phase_)].count();
        if (moved * 1000 < min_rate_ * static_cast<std::uint64_t>(limit) || moved == 0)
            return;
        each.mark_ = position;
        start(each);
    }

    // The visit may remove any element.
    template <class Visit>
    void for_each(Visit visit) noexcept
    {
        for (cursor_ = first_; cursor_;) {
            watched& each = *cursor_;
            cursor_ = each.next_;
            visit(each);
        }
    }

    std::array<std::chrono::milliseconds, phase_count> limits_{};
    std::chrono::milliseconds tick_;
    std::size_t min_rate_;
    watched* first_ = nullptr;
    watched* cursor_ = nullptr; // the next one to be visited
    std::size_t size_ = 0;
    std::uint64_t now_ = 0; // in ticks
};

}

#endif
// ---- alos/http/error.hpp ----
// What can be wrong with an HTTP message, the status that answers it, and the reason phrases.
// RFC 9110 15, RFC 9112.
#ifndef ALOS_HTTP_ERROR_HPP
#define ALOS_HTTP_ERROR_HPP


#include <boost/asio/error.hpp>

#include <string_view>

namespace alos::inline v0::http {

enum class errc {
    bad_request_line = 1,  // RFC 9112 3: not "method SP request-target SP HTTP-version CRLF"
    bad_target,            // RFC 9112 3.2: a form the method may not have, or a bad escape in its path
    bad_version,           // RFC 9112 2.3: not "HTTP/" DIGIT "." DIGIT
    unsupported_version,   // RFC 9110 15.6.6: a major version that is not spoken here
    bad_line_ending,       // RFC 9112 2.2: CR or LF that is not part of CRLF
    bad_field_name,        // RFC 9112 5.1: empty, not a token, or followed by white space
    bad_field_value,       // RFC 9110 5.5: NUL, CR, LF or another control character
    obsolete_folding,      // RFC 9112 5.2: a line that starts with white space
    bad_host,              // RFC 9112 3.2: missing, twice, or not an authority
    bad_content_length,    // RFC 9112 6.3: not one number, or different numbers
    both_framings,         // RFC 9112 6.1: Content-Length and Transfer-Encoding
    bad_transfer_encoding, // RFC 9112 6.1: not exactly "chunked", twice, or in HTTP/1.0
    bad_chunk,             // RFC 9112 7.1: size, extension or line ending of a chunk
    bad_trailer,           // RFC 9110 6.5.1: a field that may not be a trailer
    bad_expectation,       // RFC 9110 10.1.1: an expectation other than 100-continue
    target_too_long,       // RFC 9110 15.5.15
    header_too_large,      // RFC 6585 5: bytes or number of fields
    body_too_large,        // RFC 9110 15.5.14
    body_too_slow,         // RFC 9110 15.5.9: the deadline for the body has passed
    response_unfinished,   // the handler sent another length than the Content-Length it set
};

class error_category final : public boost::system::error_category {
public:
    constexpr error_category() noexcept : boost::system::error_category(0x5c2a9e7740d1b36fu) {}
    const char* name() const noexcept override { return "alos.http"; }
    std::string message(int code) const override
    {
        switch (static_cast<errc>(code)) {
        case errc::bad_request_line: return "malformed request line";
        case errc::bad_target: return "malformed request target";
        case errc::bad_version: return "malformed HTTP version";
        case errc::unsupported_version: return "HTTP version not supported";
        case errc::bad_line_ending: return "line not ended by CRLF";
        case errc::bad_field_name: return "malformed field name";
        case errc::bad_field_value: return "control character in a field value";
        case errc::obsolete_folding: return "folded header line";
        case errc::bad_host: return "missing, repeated or malformed Host";
        case errc::bad_content_length: return "malformed or contradictory Content-Length";
        case errc::both_framings: return "Content-Length together with Transfer-Encoding";
        case errc::bad_transfer_encoding: return "Transfer-Encoding where or as it may not be";
        case errc::bad_chunk: return "malformed chunk";
        case errc::bad_trailer: return "field not allowed in trailers";
        case errc::bad_expectation: return "unknown expectation";
        case errc::target_too_long: return "request target too long";
        case errc::header_too_large: return "header too large";
        case errc::body_too_large: return "body too large";
        case errc::body_too_slow: return "body too slow";
        case errc::response_unfinished: return "response shorter or longer than its Content-Length";
        }
        return "unknown error";
    }
};

inline const error_category& http_category() noexcept
{
    static constexpr error_category category;
    return category;
}

inline error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), http_category()}; }

// The status that tells the client about `code`.
constexpr unsigned status_of(errc code) noexcept
{
    switch (code) {
    case errc::unsupported_version: return 505;
    case errc::bad_expectation: return 417;
    case errc::target_too_long: return 414;
    case errc::header_too_large: return 431;
    case errc::body_too_large: return 413;
    case errc::body_too_slow: return 408;
    case errc::response_unfinished: return 500;
    default: return 400;
    }
}

// Whether an operation failed because of the client: it went away, or sent what is none of HTTP. Nothing to worry about.
[[nodiscard]] inline bool is_of_the_client(const error_code& ec) noexcept
{
    using boost::system::errc::broken_pipe;
    using boost::system::errc::connection_reset;
    using boost::system::errc::operation_canceled;
    return ec.category() == http_category() || ec == boost::asio::error::eof || ec == alos::errc::truncated
           || ec == alos::errc::closed || ec == broken_pipe || ec == connection_reset || ec == operation_canceled;
}

// RFC 9110 15 (and RFC 6585 for 428, 429, 431 and 511); empty for a number without a name.
constexpr std::string_view reason_phrase(unsigned status) noexcept
{
    switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 103: return "Early Hints";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 425: return "Too Early";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 451: return "Unavailable For Legal Reasons";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 511: return "Network Authentication Required";
    default: return {};
    }
}

}

namespace boost::system {
template <>
struct is_error_code_enum<alos::http::errc> : std::true_type {};
}

#endif
// ---- alos/http/date.hpp ----
// Dates as HTTP writes them. RFC 9110 5.6.7.
#ifndef ALOS_HTTP_DATE_HPP
#define ALOS_HTTP_DATE_HPP

// ---- alos/http/fields.hpp ----
// Header and trailer fields as received, and the grammar they are made of. RFC 9110 5.
#ifndef ALOS_HTTP_FIELDS_HPP
#define ALOS_HTTP_FIELDS_HPP

#include <algorithm>
#include <array>
#include <cstdint>
#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

namespace alos::inline v0::http {

constexpr char to_lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

// RFC 9110 5.1: field names, and many values, are compared without regard to case.
constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept
{
    if (a.size() != b.size())
        return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (to_lower(a[i]) != to_lower(b[i]))
            return false;
    }
    return true;
}

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

namespace detail {

inline constexpr std::array<bool, 256> token_characters = [] {
    std::array<bool, 256> table{};
    for (const char c : std::string_view("!#$%&'*+-.^_`|~0123456789"
                                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        table[static_cast<std::uint8_t>(c)] = true;
    return table;
}();

}

// RFC 9110 5.6.2: tchar.
constexpr bool is_token_char(char c) noexcept { return detail::token_characters[static_cast<std::uint8_t>(c)]; }

// RFC 9110 5.6.2: token = 1*tchar.
constexpr bool is_token(std::string_view text) noexcept
{
    return !text.empty() && std::ranges::all_of(text, is_token_char);
}

// RFC 9110 5.5: what a field value may hold: VCHAR, obs-text, SP, HTAB.
constexpr bool is_field_char(char c) noexcept
{
    const auto byte = static_cast<std::uint8_t>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

constexpr bool is_field_value(std::string_view text) noexcept { return std::ranges::all_of(text, is_field_char); }

// RFC 9110 5.6.3: without the optional white space around it.
constexpr std::string_view trim(std::string_view text) noexcept
{
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
        text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
        text.remove_suffix(1);
    return text;
}

// RFC 9110 8.6: 1*DIGIT; nothing for anything else, and for more than 64 bits hold.
[[nodiscard]] inline std::optional<std::uint64_t> parse_decimal(std::string_view text) noexcept
{
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, problem] = std::from_chars(text.data(), end, number);
    return problem == std::errc{} && stop == end ? std::optional(number) : std::nullopt;
}

// Takes the part of `rest` before the next `separator` and leaves the part behind it; trimmed.
constexpr std::string_view next_part(std::string_view& rest, char separator) noexcept
{
    const std::size_t end = std::min(rest.find(separator), rest.size());
    const std::string_view part = trim(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return part;
}

// RFC 9112 6, RFC 9110 7.6.1: fields that say how a message is cut out of the connection. They are ours to write, and
// no trailer may have them.
constexpr bool is_framing_field(std::string_view name) noexcept
{
    for (const std::string_view each :
         {"content-length", "transfer-encoding", "connection", "trailer", "te", "upgrade"}) {
        if (equal_ignoring_case(name, each))
            return true;
    }
    return false;
}

// A name and a value; views into the message they belong to.
struct field {
    std::string_view name;
    std::string_view value;
};

// Fields in the order in which they came.
class fields {
public:
    [[nodiscard]] bool empty() const noexcept { return fields_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }
    [[nodiscard]] auto begin() const noexcept { return fields_.begin(); }
    [[nodiscard]] auto end() const noexcept { return fields_.end(); }

    // The value of the first field of that name.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept
    {
        for (const field& each : fields_) {
            if (equal_ignoring_case(each.name, name))
                return each.value;
        }
        return std::nullopt;
    }

    [[nodiscard]] bool contains(std::string_view name) const noexcept { return find(name).has_value(); }

    // The values of all fields of that name.
    [[nodiscard]] std::vector<std::string_view> all(std::string_view name) const
    {
        std::vector<std::string_view> values;
        for (const field& each : fields_) {
            if (equal_ignoring_case(each.name, name))
                values.push_back(each.value);
        }
        return values;
    }

    void add(std::string_view name, std::string_view value) { fields_.push_back({name, value}); }
    void clear() noexcept { fields_.clear(); }

private:
    std::vector<field> fields_;
};

}

#endif

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace alos::inline v0::http {

inline constexpr std::array<std::string_view, 7> day_names = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
inline constexpr std::array<std::string_view, 12> month_names = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// An IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT", without allocation.
class date_text {
public:
    explicit date_text(std::time_t when) noexcept
    {
        const std::chrono::sys_seconds time{std::chrono::seconds(when)};
        const auto days = std::chrono::floor<std::chrono::days>(time);
        const auto second = static_cast<unsigned>((time - days).count());
        const std::chrono::year_month_day day(days);
        const auto year = static_cast<unsigned>(static_cast<int>(day.year()));
        put(0, day_names[std::chrono::weekday(days).c_encoding()]);
        put(3, ", ");
        number(5, static_cast<unsigned>(day.day()));
        text_[7] = ' ';
        put(8, month_names[static_cast<unsigned>(day.month()) - 1]);
        text_[11] = ' ';
        number(12, year / 100 % 100);
        number(14, year % 100);
        text_[16] = ' ';
        number(17, second / 3600);
        text_[19] = ':';
        number(20, second / 60 % 60);
        text_[22] = ':';
        number(23, second % 60);
        put(25, " GMT");
    }

    [[nodiscard]] std::string_view view() const noexcept { return {text_.data(), text_.size()}; }

private:
    void put(std::size_t at, std::string_view text) noexcept { text.copy(text_.data() + at, text.size()); }

    void number(std::size_t at, unsigned two_digits) noexcept
    {
        text_[at] = static_cast<char>('0' + two_digits / 10);
        text_[at + 1] = static_cast<char>('0' + two_digits % 10);
    }

    std::array<char, 29> text_{};
};

inline std::string format_date(std::time_t when) { return std::string(date_text(when).view()); }

// The text of the Date field, composed once a second.
class date_cache {
public:
    [[nodiscard]] std::string_view at(std::time_t now) noexcept
    {
        if (now != second_) {
            text_ = date_text(now);
            second_ = now;
        }
        return text_.view();
    }

private:
    std::time_t second_ = 0;
    date_text text_{0};
};

namespace detail {

// Takes fixed pieces from the front of a date; failure is sticky.
class date_reader {
public:
    explicit constexpr date_reader(std::string_view text) noexcept : rest_(text) {}

    constexpr void skip(std::string_view expected) noexcept
    {
        ok_ = ok_ && rest_.starts_with(expected);
        rest_.remove_prefix(ok_ ? expected.size() : 0);
    }

    // `digits` decimal digits; the first may be a space if `padded` (asctime's day).
    constexpr unsigned number(std::size_t digits, bool padded = false) noexcept
    {
        unsigned value = 0;
        for (std::size_t i = 0; i < digits; ++i) {
            const char c = i < rest_.size() ? rest_[i] : '?';
            const bool space = padded && i == 0 && c == ' ';
            ok_ = ok_ && (space || is_digit(c));
            value = value * 10 + (space ? 0 : static_cast<unsigned>(c - '0'));
        }
        rest_.remove_prefix(ok_ ? digits : 0);
        return ok_ ? value : 0;
    }

    constexpr unsigned month() noexcept
    {
        for (unsigned i = 0; i < month_names.size(); ++i) {
            if (rest_.starts_with(month_names[i])) {
                rest_.remove_prefix(3);
                return i + 1;
            }
        }
        ok_ = false;
        return 1;
    }

    // hour ":" minute ":" second, in seconds.
    constexpr unsigned time() noexcept
    {
        const unsigned hour = number(2);
        skip(":");
        const unsigned minute = number(2);
        skip(":");
        const unsigned second = number(2);
        ok_ = ok_ && hour < 24 && minute < 60 && second <= 60;
        return (hour * 60 + minute) * 60 + second;
    }

    [[nodiscard]] constexpr bool complete() const noexcept { return ok_ && rest_.empty(); }

private:
    std::string_view rest_;
    bool ok_ = true;
};

}

// RFC 9110 5.6.7: a recipient MUST accept all three formats: IMF-fixdate, RFC 850's and asctime's. A two-digit year
// that appears to be more than 50 years after `now` is of the past century.
[[nodiscard]] inline std::optional<std::time_t> parse_date(std::string_view text, std::time_t now = 0) noexcept
{
    const std::size_t comma = text.find(',');
    unsigned day = 0;
    unsigned month = 0;
    int year = 0;
    unsigned time = 0;
    detail::date_reader in(comma == std::string_view::npos ? text.substr(std::min<std::size_t>(4, text.size()))
                                                           : text.substr(comma + 1));
    if (comma == std::string_view::npos) { // "Sun Nov  6 08:49:37 1994"
        month = in.month();
        in.skip(" ");
        day = in.number(2, true);
        in.skip(" ");
        time = in.time();
        in.skip(" ");
        year = static_cast<int>(in.number(4));
    } else if (comma == 3) { // "Sun, 06 Nov 1994 08:49:37 GMT"
        in.skip(" ");
        day = in.number(2);
        in.skip(" ");
        month = in.month();
        in.skip(" ");
        year = static_cast<int>(in.number(4));
        in.skip(" ");
        time = in.time();
        in.skip(" GMT");
    } else { // "Sunday, 06-Nov-94 08:49:37 GMT"
        in.skip(" ");
        day = in.number(2);
        in.skip("-");
        month = in.month();
        in.skip("-");
        const std::chrono::sys_seconds today{std::chrono::seconds(now > 0 ? now : std::time(nullptr))};
        const std::chrono::year_month_day here(std::chrono::floor<std::chrono::days>(today));
        const int this_year = static_cast<int>(here.year());
        year = this_year - this_year % 100 + static_cast<int>(in.number(2));
        if (year > this_year + 50)
            year -= 100;
        in.skip(" ");
        time = in.time();
        in.skip(" GMT");
    }
    const auto date = std::chrono::year(year) / static_cast<int>(month) / static_cast<int>(day);
    if (!in.complete() || !date.ok())
        return std::nullopt;
    return (std::chrono::sys_days(date).time_since_epoch() + std::chrono::seconds(time)).count();
}

}

#endif
// ---- alos/http/uri.hpp ----
// Request targets: their four forms, percent-decoding, dot segments and query parameters. RFC 3986, RFC 9112 3.2.
#ifndef ALOS_HTTP_URI_HPP
#define ALOS_HTTP_URI_HPP


#include <algorithm>
#include <string>

namespace alos::inline v0::http {

// The value of a hexadecimal digit, or -1.
constexpr int hex_digit(char c) noexcept
{
    if (is_digit(c))
        return c - '0';
    const char lower = to_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// The byte that `text`, which starts with '%', stands for; -1 if it is not an escape. RFC 3986 2.1.
constexpr int escaped_byte(std::string_view text) noexcept
{
    if (text.size() < 3)
        return -1;
    const int high = hex_digit(text[1]);
    const int low = hex_digit(text[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// What a request target may be made of. RFC 3986 allows less; bytes from 0x80 are common (UTF-8 typed by hand) and
// harmless, white space and control characters are not, and a fragment never travels.
constexpr bool is_target_char(char c) noexcept
{
    const auto byte = static_cast<std::uint8_t>(c);
    return byte > 0x20 && byte != 0x7f && byte != '#';
}

// RFC 3986 3.2.2, 3.2.3: host [":" port] without userinfo. A check of form, good enough to build a link from.
constexpr bool is_host_and_port(std::string_view text) noexcept
{
    const std::size_t bracket = text.starts_with('[') ? text.find(']') : 0;
    if (bracket == std::string_view::npos)
        return false;
    const std::size_t colon = std::min(text.find(':', bracket), text.size());
    const std::string_view host = text.substr(0, colon);
    const std::string_view port = text.substr(std::min(colon + 1, text.size()));
    if (!std::ranges::all_of(port, is_digit) || port.size() > 5)
        return false;
    if (bracket > 0) {
        return host.size() == bracket + 1 && host.size() > 3 &&
               std::ranges::all_of(host.substr(1, bracket - 1),
                                   [](char c) { return hex_digit(c) >= 0 || c == ':' || c == '.'; });
    }
    // reg-name = *( unreserved / pct-encoded / sub-delims ); a comma would be a list of hosts.
    return std::ranges::all_of(host, [](char c) {
        const char lower = to_lower(c);
        return is_digit(c) || (lower >= 'a' && lower <= 'z') ||
               std::string_view("-._~%!$&'()*+;=").find(c) != std::string_view::npos;
    });
}

// The parts of a request target (RFC 9112 3.2); views into it, but for `path` when it had to be rewritten.
struct target_parts {
    std::string_view authority; // absolute-form and authority-form only
    std::string_view path;      // decoded, without dot segments; "*" in asterisk-form, empty in authority-form
    std::string_view query;     // as received, without the '?'
};

// RFC 3986 5.2.4, in place, on a path that begins with '/' and is decoded already: what is decoded can no longer
// hide a "..".
inline void remove_dot_segments(std::string& path)
{
    std::size_t out = 0;
    std::size_t in = 0;
    while (in < path.size()) {
        const std::size_t end = std::min(path.find('/', in + 1), path.size());
        const std::string_view segment = std::string_view(path).substr(in + 1, end - in - 1);
        const bool last = end == path.size();
        if (segment == "." || segment == "..") {
            if (segment == ".." && out > 0)
                out = path.rfind('/', out - 1);
            if (last)
                path[out++] = '/';
        } else {
            std::char_traits<char>::move(path.data() + out, path.data() + in, end - in);
            out += end - in;
        }
        in = end;
    }
    path.resize(out);
}

// Decodes and normalises the absolute path `raw`. An encoded slash or NUL is refused: no two parts of a program
// shall disagree about where a segment ends. `storage` holds the result if it differs from `raw`.
[[nodiscard]] inline std::optional<std::string_view> normalise_path(std::string_view raw, std::string& storage)
{
    if (raw.find('%') == std::string_view::npos && raw.find("/.") == std::string_view::npos)
        return raw;
    storage.clear();
    storage.reserve(raw.size());
    for (std::size_t i = 0; i < raw.size(); ++i) {
        if (raw[i] != '%') {
            storage.push_back(raw[i]);
            continue;
        }
        const int byte = escaped_byte(raw.substr(i));
        if (byte <= 0 || byte == '/')
            return std::nullopt;
        storage.push_back(static_cast<char>(byte));
        i += 2;
    }
    remove_dot_segments(storage);
    return storage;
}

// Takes a request target apart. `connect` and `options` say that the method is the one that may have a form of its own.
[[nodiscard]] inline std::optional<target_parts> split_target(std::string_view target, bool connect, bool options,
                                                              std::string& storage)
{
    if (target.empty() || !std::ranges::all_of(target, is_target_char))
        return std::nullopt;
    target_parts parts;
    // RFC 9112 3.2.3: authority-form, for CONNECT and nothing else.
    if (connect) {
        parts.authority = target;
        return is_host_and_port(target) && target.find(':') != std::string_view::npos ? std::optional(parts)
                                                                                      : std::nullopt;
    }
    // RFC 9112 3.2.4: asterisk-form, for OPTIONS.
    if (target == "*") {
        parts.path = target;
        return options ? std::optional(parts) : std::nullopt;
    }
    // RFC 9112 3.2.2: absolute-form; a server MUST accept it.
    if (target.front() != '/') {
        const std::size_t colon = target.find("://");
        if (colon == std::string_view::npos || !(equal_ignoring_case(target.substr(0, colon), "http") ||
                                                 equal_ignoring_case(target.substr(0, colon), "https")))
            return std::nullopt;
        const std::string_view rest = target.substr(colon + 3);
        const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
        parts.authority = rest.substr(0, end);
        if (parts.authority.empty() || !is_host_and_port(parts.authority))
            return std::nullopt;
        target = rest.substr(end);
    }
    const std::size_t mark = std::min(target.find('?'), target.size());
    parts.query = target.substr(std::min(mark + 1, target.size()));
    const std::string_view raw = target.substr(0, mark);
    const auto path = raw.empty() ? std::string_view("/") : normalise_path(raw, storage);
    if (!path)
        return std::nullopt;
    parts.path = *path;
    return parts;
}

// A name and its value, decoded: from the query or from the router.
struct parameter {
    std::string_view name;
    std::string_view value;
};

// Appends `path`, which is decoded, with everything escaped that is not plainly harmless in a URI. RFC 3986 2.1, 3.3.
inline void append_encoded_path(std::string& out, std::string_view path)
{
    constexpr std::string_view digits = "0123456789ABCDEF";
    for (const char c : path) {
        const char lower = to_lower(c);
        if (is_digit(c) || (lower >= 'a' && lower <= 'z') ||
            std::string_view("/-._~!$&'()*+,;=:@").find(c) != std::string_view::npos) {
            out.push_back(c);
            continue;
        }
        out.push_back('%');
        out.push_back(digits[static_cast<std::uint8_t>(c) >> 4]);
        out.push_back(digits[static_cast<std::uint8_t>(c) & 15]);
    }
}

// Appends `text`, decoded as application/x-www-form-urlencoded is; an escape that is none stays as it is.
inline void append_form_decoded(std::string& out, std::string_view text)
{
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int byte = text[i] == '%' ? escaped_byte(text.substr(i)) : -1;
        if (byte >= 0) {
            out.push_back(static_cast<char>(byte));
            i += 2;
        } else {
            out.push_back(text[i] == '+' ? ' ' : text[i]);
        }
    }
}

// The parameters of a query or of an urlencoded body; `storage` holds their text.
inline void parse_form(std::string_view text, std::vector<parameter>& parameters, std::string& storage)
{
    storage.clear();
    storage.reserve(text.size()); // decoding never lengthens: the views below stay
    const auto decoded = [&storage](std::string_view part) {
        const std::size_t start = storage.size();
        append_form_decoded(storage, part);
        return std::string_view(storage).substr(start);
    };
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('&'), text.size());
        const std::string_view pair = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (pair.empty())
            continue;
        const std::size_t equals = std::min(pair.find('='), pair.size());
        const std::string_view name = decoded(pair.substr(0, equals));
        const std::string_view value = decoded(pair.substr(std::min(equals + 1, pair.size())));
        parameters.push_back({name, value});
    }
}

}

#endif
// ---- alos/http/cookie.hpp ----
// Cookies, in and out. RFC 6265, and SameSite from its successor.
#ifndef ALOS_HTTP_COOKIE_HPP
#define ALOS_HTTP_COOKIE_HPP


#include <algorithm>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>

namespace alos::inline v0 {

enum class same_site { unset, lax, strict, none };

// A cookie to set. What is not said is left to the browser; `secure` and `http_only` are on unless switched off.
struct cookie {
    std::string name;
    std::string value;
    std::string path = "/";
    std::string domain = {};
    std::optional<std::chrono::seconds> max_age = {};
    std::optional<std::chrono::system_clock::time_point> expires = {};
    bool secure = true;
    bool http_only = true;
    same_site site = same_site::lax;
};

namespace http {

// RFC 6265 4.1.1: cookie-octet, besides the quotes that may stand around them all.
constexpr bool is_cookie_octet(char c) noexcept
{
    const auto byte = static_cast<std::uint8_t>(c);
    return byte > 0x20 && byte < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\';
}

// RFC 6265 4.2.1: the value of the cookie `name` in the value of a Cookie field, without quotes around it.
constexpr std::optional<std::string_view> find_cookie(std::string_view field, std::string_view name) noexcept
{
    while (!field.empty()) {
        const std::string_view pair = next_part(field, ';');
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos || trim(pair.substr(0, equals)) != name)
            continue;
        std::string_view value = trim(pair.substr(equals + 1));
        if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
            value = value.substr(1, value.size() - 2);
        return value;
    }
    return std::nullopt;
}

// RFC 6265 4.1: the value of a Set-Cookie field. Throws std::invalid_argument for what no cookie may hold.
inline std::string set_cookie_value(const cookie& each)
{
    const auto is_attribute = [](char c) { return is_field_char(c) && c != ';' && c != '\t'; };
    if (!is_token(each.name) || !std::ranges::all_of(each.value, is_cookie_octet) ||
        !std::ranges::all_of(each.path, is_attribute) || !std::ranges::all_of(each.domain, is_attribute))
        throw std::invalid_argument("alos: character that a cookie may not hold");
    std::string text = each.name + "=" + each.value;
    if (!each.path.empty())
        text.append("; Path=").append(each.path);
    if (!each.domain.empty())
        text.append("; Domain=").append(each.domain);
    if (each.max_age)
        text.append("; Max-Age=").append(std::to_string(each.max_age->count()));
    if (each.expires)
        text.append("; Expires=").append(format_date(std::chrono::system_clock::to_time_t(*each.expires)));
    if (each.secure)
        text.append("; Secure");
    if (each.http_only)
        text.append("; HttpOnly");
    switch (each.site) {
    case same_site::unset: break;
    case same_site::lax: text.append("; SameSite=Lax"); break;
    case same_site::strict: text.append("; SameSite=Strict"); break;
    case same_site::none: text.append("; SameSite=None"); break;
    }
    return text;
}

}
}

#endif
// ---- alos/http/field_text.hpp ----
// Fields to send, kept as the text in which HTTP/1.1 sends them. RFC 9110 5.
#ifndef ALOS_HTTP_FIELD_TEXT_HPP
#define ALOS_HTTP_FIELD_TEXT_HPP


#include <functional>
#include <stdexcept>
#include <string>

namespace alos::inline v0::http {

class field_text {
public:
    [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

    // All lines, each with its CRLF.
    [[nodiscard]] std::string_view text() const noexcept { return text_; }

    [[nodiscard]] field operator[](std::size_t index) const noexcept
    {
        const entry& each = entries_[index];
        const std::string_view line = std::string_view(text_).substr(each.start);
        return {line.substr(0, each.name_size), line.substr(each.name_size + 2, each.value_size)};
    }

    // The value of the first field of that name.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept
    {
        for (std::size_t i = 0; i < size(); ++i) {
            const field each = (*this)[i];
            if (equal_ignoring_case(each.name, name))
                return each.value;
        }
        return std::nullopt;
    }

    // Throws std::invalid_argument if this would be more, or less, than one field: nothing that a handler passes on can
    // break the message (RFC 9110 5.5).
    void append(std::string_view name, std::string_view value)
    {
        if (!is_token(name))
            throw std::invalid_argument("alos: not a field name");
        if (!is_field_value(value))
            throw std::invalid_argument("alos: control character in a field value");
        value = trim(value);
        if (is_own(name) || is_own(value))
            return append(std::string(name), std::string(value));
        entries_.push_back({static_cast<std::uint32_t>(text_.size()), static_cast<std::uint32_t>(name.size()),
                            static_cast<std::uint32_t>(value.size())});
        text_.append(name).append(": ").append(value).append("\r\n");
    }

    // Instead of all fields of that name.
    void set(std::string_view name, std::string_view value)
    {
        append(name, value);
        for (std::size_t i = size() - 1; i-- > 0;) {
            if (equal_ignoring_case((*this)[i].name, (*this)[size() - 1].name))
                erase(i);
        }
    }

    // `name` is not a view of a field here.
    void remove(std::string_view name) noexcept
    {
        for (std::size_t i = size(); i-- > 0;) {
            if (equal_ignoring_case((*this)[i].name, name))
                erase(i);
        }
    }

    void clear() noexcept
    {
        text_.clear();
        entries_.clear();
    }

private:
    struct entry {
        std::uint32_t start;
        std::uint32_t name_size;
        std::uint32_t value_size;
    };

    // Whether `text` is what was given out here, and moves when something is added.
    [[nodiscard]] bool is_own(std::string_view text) const noexcept
    {
        const std::less<const char*> before;
        return !before(text.data(), text_.data()) && before(text.data(), text_.data() + text_.size());
    }

    void erase(std::size_t index) noexcept
    {
        const std::uint32_t line = entries_[index].name_size + 2 + entries_[index].value_size + 2;
        text_.erase(entries_[index].start, line);
        entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(index));
        for (; index < size(); ++index)
            entries_[index].start -= line;
    }

    std::string text_;
    std::vector<entry> entries_;
};

}

#endif
// ---- alos/http/body_io.hpp ----
// The border between a message and the connection it travels on: the stream of a body, in and out.
#ifndef ALOS_HTTP_BODY_IO_HPP
#define ALOS_HTTP_BODY_IO_HPP


#include <boost/asio/awaitable.hpp>

#include <string_view>

namespace alos::inline v0 {

// What handlers return: Asio's own type, so that any Asio library can be awaited in them.
template <class T = void>
using awaitable = boost::asio::awaitable<T>;

namespace http {

// Implemented over a connection by the serve loop of each HTTP version. One read and one write may be outstanding
// together. Failures are thrown as boost::system::system_error, so that a handler that does not care is unwound.
class body_io {
public:
    // The next piece of the request's body; empty at its end. The view lives until the next call.
    // Sends "100 Continue" first if the client waits for it (RFC 9110 10.1.1).
    virtual awaitable<std::string_view> read_some() = 0;

    // Sends the response's head if it has not left yet, then `piece`; completes when both have been handed to the
    // transport. `piece` must live until then. An empty piece sends the head alone.
    virtual awaitable<> write(std::string_view piece) = 0;

protected:
    ~body_io() = default;
};

}
}

#endif
// ---- alos/http/file_body.hpp ----
// An open file, or a part of one, as the body of a response.
#ifndef ALOS_HTTP_FILE_BODY_HPP
#define ALOS_HTTP_FILE_BODY_HPP


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
// ---- alos/http/conditional.hpp ----
// Which part of a representation a client needs: conditional and range requests. RFC 9110 13 and 14. Pure.
#ifndef ALOS_HTTP_CONDITIONAL_HPP
#define ALOS_HTTP_CONDITIONAL_HPP

// ---- alos/http/request.hpp ----
// A request as handlers see it. Every view that it gives out lives until the handler has returned.
#ifndef ALOS_HTTP_REQUEST_HPP
#define ALOS_HTTP_REQUEST_HPP


#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/verb.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0 {

using verb = boost::beast::http::verb;

// What was agreed with the client in the TLS handshake; names as in the IANA registry.
struct tls_facts {
    std::string_view version;     // "TLSv1.3"
    std::string_view suite;       // "TLS_AES_128_GCM_SHA256"
    std::string_view group;       // "X25519MLKEM768"
    std::string_view server_name; // SNI; empty if the client sent none
    std::string_view alpn;        // empty if none was agreed
};

namespace http {

struct access;

// Empties `text` for its next use; memory that one large message needed is not kept for ever.
inline void clear_keeping_some(std::string& text) noexcept
{
    text.clear();
    if (text.capacity() > 64 * 1024)
        std::string().swap(text);
}

// The state of a request, filled by the engine of its HTTP version, the router and the serve loop. It is cleared and
// used again, so that a connection that is kept alive allocates nothing.
struct request_data {
    verb method = verb::unknown;
    unsigned version = 11; // 10, 11 or 20
    bool keep_alive = false;
    bool expects_continue = false; // the client waits for "100 Continue" before it sends the body
    std::optional<std::uint64_t> content_length = {};
    std::uint64_t allowed = 0;     // from the router: the methods that the path has, a bit each
    std::string_view method_text;
    std::string_view target;
    target_parts parts;
    http::fields headers;
    http::fields trailers;
    std::vector<parameter> parameters; // from the router
    std::string body;
    bool body_given = false;    // by read_some()
    std::string block;          // what the header's views point into
    std::string trailer_block;  // what the trailers' views point into
    std::string path_storage;   // what `parts.path` points into if it was rewritten

    std::vector<parameter> query; // filled when first asked for
    std::string query_storage;
    bool query_parsed = false;

    // About the connection: set when a connection starts to use this object, and kept by clear().
    boost::asio::ip::tcp::endpoint client;
    std::optional<tls_facts> tls;
    body_io* io = nullptr; // while the body is streamed

    // Makes room for the next request of the same connection. Large buffers are given back.
    void clear() noexcept
    {
        method = verb::unknown;
        version = 11;
        keep_alive = false;
        expects_continue = false;
        content_length.reset();
        allowed = 0;
        method_text = {};
        target = {};
        parts = {};
        headers.clear();
        trailers.clear();
        parameters.clear();
        clear_keeping_some(body);
        body_given = false;
        clear_keeping_some(block);
        clear_keeping_some(trailer_block);
        clear_keeping_some(path_storage);
        query.clear();
        clear_keeping_some(query_storage);
        query_parsed = false;
        io = nullptr;
    }
};

}

class request {
public:
    request() = default;
    request(const request&) = delete;
    request& operator=(const request&) = delete;

    // verb::unknown for a method that is not registered; method_text() has its name.
    [[nodiscard]] verb method() const noexcept { return data_.method; }
    [[nodiscard]] std::string_view method_text() const noexcept { return data_.method_text; }

    // RFC 9112 3.2: the request target as it was received.
    [[nodiscard]] std::string_view target() const noexcept { return data_.target; }

    // The target's path, percent-decoded and without dot segments. It may hold any byte but NUL.
    [[nodiscard]] std::string_view path() const noexcept { return data_.parts.path; }

    // RFC 9110 7.2: host and port that the client asked for; from the target if it names them, else from Host.
    [[nodiscard]] std::string_view host() const noexcept { return data_.parts.authority; }

    // The target's query as it was received, without the '?'.
    [[nodiscard]] std::string_view query() const noexcept { return data_.parts.query; }

    // The decoded value of the first query parameter of that name.
    [[nodiscard]] std::optional<std::string_view> query(std::string_view name)
    {
        return find(query_parameters(), name);
    }

    // All query parameters, decoded, in their order.
    [[nodiscard]] const std::vector<http::parameter>& query_parameters()
    {
        if (!data_.query_parsed)
            http::parse_form(data_.parts.query, data_.query, data_.query_storage);
        data_.query_parsed = true;
        return data_.query;
    }

    // What the route's ":name" or "*name" matched; empty if the route has no such parameter.
    [[nodiscard]] std::string_view param(std::string_view name) const noexcept
    {
        return find(data_.parameters, name).value_or(std::string_view{});
    }

    [[nodiscard]] const http::fields& headers() const noexcept { return data_.headers; }
    [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept
    {
        return data_.headers.find(name);
    }

    // RFC 9110 6.5: fields that came behind a chunked body. They are never mixed with the headers, and are there
    // when the whole body has been read.
    [[nodiscard]] const http::fields& trailers() const noexcept { return data_.trailers; }

    // RFC 6265 5.4: the value of the first cookie of that name.
    [[nodiscard]] std::optional<std::string_view> cookie(std::string_view name) const noexcept
    {
        for (const http::field& each : data_.headers) {
            if (!http::equal_ignoring_case(each.name, "cookie"))
                continue;
            if (const auto value = http::find_cookie(each.value, name))
                return value;
        }
        return std::nullopt;
    }

    // The length of the body, if the client announced it.
    [[nodiscard]] std::optional<std::uint64_t> content_length() const noexcept { return data_.content_length; }

    // The whole body. Empty on a route that is `streamed`: read_some() gives it there.
    [[nodiscard]] std::string_view body() const noexcept { return data_.body; }

    // The next piece of the body; empty at its end. The view lives until the next call. Throws
    // boost::system::system_error if the body is malformed or too large, or the client is gone.
    [[nodiscard]] awaitable<std::string_view> read_some()
    {
        return data_.io != nullptr ? data_.io->read_some() : read_whole(data_);
    }

    // Whether the connection may carry another request after this one (RFC 9112 9.3).
    [[nodiscard]] bool keep_alive() const noexcept { return data_.keep_alive; }

    // 10, 11 or 20.
    [[nodiscard]] unsigned version() const noexcept { return data_.version; }

    // Where the client's connection comes from; address and port are zero on a Unix socket.
    [[nodiscard]] const boost::asio::ip::tcp::endpoint& client() const noexcept { return data_.client; }

    // Null when the connection is not TLS.
    [[nodiscard]] const tls_facts* tls() const noexcept { return data_.tls ? &*data_.tls : nullptr; }

private:
    friend struct http::access;

    // A body that is all there already, in one piece.
    static awaitable<std::string_view> read_whole(http::request_data& data)
    {
        co_return std::exchange(data.body_given, true) ? std::string_view{} : std::string_view(data.body);
    }

    static std::optional<std::string_view> find(const std::vector<http::parameter>& parameters,
                                                std::string_view name) noexcept
    {
        for (const http::parameter& each : parameters) {
            if (each.name == name)
                return each.value;
        }
        return std::nullopt;
    }

    http::request_data data_;
};

}

#endif

#include <algorithm>

namespace alos::inline v0::http {

// What the server has.
struct representation {
    std::string_view etag; // with its quotes
    std::time_t modified;
    std::uint64_t size;
};

// What of it goes into the response.
struct selection {
    unsigned status = 200; // 200, 206, 304, 412 or 416
    std::uint64_t first = 0;
    std::uint64_t length = 0;
};

// RFC 9110 8.8.3.2: whether a list of entity tags has `etag`. The strong comparison takes no weak tag.
constexpr bool list_has_etag(std::string_view list, std::string_view etag, bool strong) noexcept
{
    if (trim(list) == "*")
        return true;
    while (!list.empty()) {
        const std::size_t open = list.find('"');
        const std::size_t close = open == std::string_view::npos ? open : list.find('"', open + 1);
        if (close == std::string_view::npos)
            return false;
        const bool weak = open >= 2 && list.substr(open - 2, 2) == "W/";
        if (list.substr(open, close - open + 1) == etag && !(weak && strong))
            return true;
        list.remove_prefix(close + 1);
    }
    return false;
}

// RFC 9110 14.1.2: one range of bytes. Nothing for what is no such range, or more than one: it is ignored then, which
// is always allowed. Of status 416 if nothing of the representation is in it.
inline std::optional<selection> parse_range(std::string_view value, std::uint64_t size) noexcept
{
    const std::size_t equals = value.find('=');
    if (equals == std::string_view::npos || !equal_ignoring_case(trim(value.substr(0, equals)), "bytes"))
        return std::nullopt;
    const std::string_view range = trim(value.substr(equals + 1));
    const std::size_t dash = range.find('-');
    if (dash == std::string_view::npos || range.size() == 1)
        return std::nullopt;
    const std::string_view from = range.substr(0, dash);
    const std::string_view to = range.substr(dash + 1);
    constexpr selection unsatisfiable{.status = 416};
    if (from.empty()) { // the last bytes
        const auto wanted = parse_decimal(to);
        if (!wanted)
            return std::nullopt;
        const std::uint64_t count = std::min(*wanted, size);
        return count == 0 ? unsatisfiable : selection{206, size - count, count};
    }
    const auto first = parse_decimal(from);
    const auto last = to.empty() ? std::optional(~std::uint64_t{0}) : parse_decimal(to);
    if (!first || !last || *last < *first)
        return std::nullopt;
    if (*first >= size)
        return unsatisfiable;
    return selection{206, *first, std::min(*last, size - 1) - *first + 1};
}

// RFC 9110 13.2.2, the order of precedence; for GET and HEAD.
inline selection select(const request& asked, const representation& have, std::time_t now) noexcept
{
    const auto date_of = [&](std::string_view name) -> std::optional<std::time_t> {
        const auto value = asked.header(name);
        return value ? parse_date(*value, now) : std::nullopt;
    };
    // RFC 9110 5.3: a list may come in several fields.
    const auto names_it = [&](std::string_view name, bool strong) {
        return std::ranges::any_of(asked.headers(), [&](const field& each) {
            return equal_ignoring_case(each.name, name) && list_has_etag(each.value, have.etag, strong);
        });
    };
    if (asked.header("If-Match")) {
        if (!names_it("If-Match", true))
            return {.status = 412};
    } else if (const auto date = date_of("If-Unmodified-Since"); date && have.modified > *date) {
        return {.status = 412};
    }
    if (asked.header("If-None-Match")) {
        if (names_it("If-None-Match", false))
            return {.status = 304};
    } else if (const auto date = date_of("If-Modified-Since"); date && have.modified <= *date) {
        return {.status = 304};
    }
    const selection whole{200, 0, have.size};
    const auto range = asked.header("Range");
    // RFC 9110 14.2: "A server MUST ignore a Range header field received with a request method that is unrecognized".
    if (!range || asked.method() != verb::get)
        return whole;
    // RFC 9110 13.1.5: an entity tag, compared strongly, or exactly the date.
    if (const auto condition = asked.header("If-Range")) {
        const bool is_tag = condition->find('"') != std::string_view::npos;
        const auto date = parse_date(*condition, now);
        if (is_tag ? *condition != have.etag : !date || *date != have.modified)
            return whole;
    }
    return parse_range(*range, have.size).value_or(whole);
}

}

#endif
// ---- alos/http/file.hpp ----
// Files as responses: one that the program names, and a folder that clients may choose from. RFC 9110 8, 13, 14.
// Files are read where the handler runs, 64 KiB at a time: from the page cache in a few microseconds, but a slow disk
// makes the other connections of this thread wait.
#ifndef ALOS_HTTP_FILE_HPP
#define ALOS_HTTP_FILE_HPP

// ---- alos/http/message.hpp ----
// Requests and responses: what handlers are written against.
#ifndef ALOS_HTTP_MESSAGE_HPP
#define ALOS_HTTP_MESSAGE_HPP

// ---- alos/http/response.hpp ----
// The answer to a request, as handlers write it. Misuse (a name or value that would break the message, a body where
// one was streamed) throws std::invalid_argument or std::logic_error: the recovery middleware makes a 500 of it.
#ifndef ALOS_HTTP_RESPONSE_HPP
#define ALOS_HTTP_RESPONSE_HPP


#include <charconv>
#include <filesystem>
#include <stdexcept>

namespace boost::json {
class value;
}

namespace alos::inline v0 {

// A server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html).
struct server_event {
    std::string_view data; // may have many lines
    std::string_view name = {};
    std::string_view id = {};
    std::optional<std::chrono::milliseconds> retry = {};
};

namespace http {

// Appends `each` in the form of text/event-stream. Throws std::invalid_argument if name or id have a line end in them.
inline void append_event(std::string& out, const server_event& each)
{
    for (const std::string_view text : {each.name, each.id}) {
        if (text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
            throw std::invalid_argument("alos: line end in the name or id of an event");
    }
    if (!each.name.empty())
        out.append("event: ").append(each.name).push_back('\n');
    if (!each.id.empty())
        out.append("id: ").append(each.id).push_back('\n');
    if (each.retry)
        out.append("retry: ").append(std::to_string(each.retry->count())).push_back('\n');
    std::string_view rest = each.data;
    while (true) {
        const std::size_t end = rest.find_first_of("\r\n");
        out.append("data: ").append(rest.substr(0, end)).push_back('\n');
        if (end == std::string_view::npos)
            break;
        rest.remove_prefix(end + (rest.substr(end, 2) == "\r\n" ? 2 : 1));
    }
    out.push_back('\n');
}

// Bodies up to here are sent together with the header: copying costs less than another write.
inline constexpr std::size_t small_body = 16 * 1024;

// What a response's body is.
enum class body_kind { none, whole, borrowed, file, streamed };

struct response_data {
    unsigned status = 200;
    field_text headers;
    field_text trailers;
    body_kind kind = body_kind::none;
    std::string body;
    std::string_view borrowed;
    file_body file;
    std::optional<std::uint64_t> declared_length; // Content-Length, if the handler set it
    bool close = false;                           // the handler wants the connection closed
    bool head_sent = false;                       // set by who sends it
    bool aborted = false; // the handler failed after the head had left: the connection has to be cut
    std::string scratch;  // an event that is being sent
    const alos::request* request = nullptr; // what this answers
    body_io* io = nullptr;                 // set while a coroutine handler runs

    // Makes room for the next response. Large buffers are given back.
    void clear() noexcept
    {
        status = 200;
        headers.clear();
        trailers.clear();
        kind = body_kind::none;
        clear_keeping_some(body);
        borrowed = {};
        file.close();
        declared_length.reset();
        close = false;
        head_sent = false;
        aborted = false;
        clear_keeping_some(scratch);
        io = nullptr;
    }

    // The size of the body, if it is known before the body is sent.
    [[nodiscard]] std::optional<std::uint64_t> length() const noexcept
    {
        switch (kind) {
        case body_kind::none: return 0;
        case body_kind::whole: return body.size();
        case body_kind::borrowed: return borrowed.size();
        case body_kind::file: return file.left();
        case body_kind::streamed: break;
        }
        return declared_length;
    }
};

// How boost::json::value becomes text: in http/json.hpp, so that only those who answer in JSON pay for it.
struct json_format {};

}

class response {
public:
    response() = default;
    response(const response&) = delete;
    response& operator=(const response&) = delete;

    // RFC 9110 15; 200 to 599.
    response& status(unsigned code);
    [[nodiscard]] unsigned status() const noexcept { return data_.status; }

    // Replaces, or adds to, the fields of that name. Framing is not the handler's: Transfer-Encoding is refused,
    // Content-Length says how long a streamed body will be, Connection may only be "close".
    response& set(std::string_view name, std::string_view value);
    response& append(std::string_view name, std::string_view value);
    response& remove(std::string_view name);
    [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept
    {
        return data_.headers.find(name);
    }

    // Asks for a cookie to be kept, or dropped, by the browser. RFC 6265 4.1.
    response& set_cookie(const cookie& each);
    response& delete_cookie(std::string_view name, std::string_view path = "/");

    // The body as a whole. A Content-Type that was set before is kept.
    response& string(std::string_view text);   // text/plain; charset=utf-8
    response& html(std::string_view text);     // text/html; charset=utf-8
    response& bytes(byte_view data);           // application/octet-stream
    response& body(std::string text, std::string_view type = {}); // takes the text over
    // A body that is not copied: `text` must live until it has been sent, so best for ever.
    response& borrow(std::string_view text, std::string_view type = {});

    // A part of an open file. What is small is read at once.
    response& body(http::file_body file);

    // A JSON document; needs <alos/http/json.hpp>. Without a type, also a braced list: res.json({{"answer", 42}}).
    template <class Value = boost::json::value>
    response& json(const Value& document)
    {
        start_body(http::body_kind::whole, "application/json");
        append_json(http::json_format{}, data_.body, document);
        return *this;
    }

    // The file at `path`, with its type by its extension, ETag and Last-Modified; answers conditional and range
    // requests (RFC 9110 13, 14). 404 if there is none. The path is the program's own: for paths that clients name there is
    // serve_directory().
    response& file(const std::filesystem::path& path);

    // RFC 9110 15.4: sends the client to `location`, a URI reference.
    response& redirect(std::string_view location, unsigned code = 302);

    // Sends `piece` as a part of the body and completes when the transport took it: await it, and a slow client slows
    // the handler down. `piece` must live until then. The first piece sends status and headers. Not in plain handlers.
    // Throws boost::system::system_error when the client is gone.
    [[nodiscard]] awaitable<> write(std::string_view piece);

    // Sends an event; the first makes the body a text/event-stream. Name an event with more than data before the await:
    // GCC 12 stumbles over braces within it.
    [[nodiscard]] awaitable<> event(const server_event& each);
    [[nodiscard]] awaitable<> event(std::string_view data) { return event(server_event{data}); }

    // RFC 9110 6.5: a field behind a streamed body; sent if the body is chunked, to be set before the handler returns.
    response& trailer(std::string_view name, std::string_view value);

    // Closes the connection after this response.
    response& close();

    // Status and headers have left: neither can be changed any more.
    [[nodiscard]] bool head_sent() const noexcept { return data_.head_sent; }

    // Forgets what was set so far; not after head_sent().
    void reset();

private:
    friend struct http::access;

    void start_body(http::body_kind kind, std::string_view type);
    void require_head_unsent() const;
    void set_framing(std::string_view name, std::string_view value);

    http::response_data data_;
};

inline response& response::status(unsigned code)
{
    require_head_unsent();
    if (code < 200 || code > 599)
        throw std::invalid_argument("alos: not a final status code");
    data_.status = code;
    return *this;
}

inline response& response::set(std::string_view name, std::string_view value)
{
    require_head_unsent();
    if (http::is_framing_field(name)) {
        set_framing(name, value);
        return *this;
    }
    data_.headers.set(name, value);
    return *this;
}

inline response& response::append(std::string_view name, std::string_view value)
{
    if (http::is_framing_field(name))
        return set(name, value);
    require_head_unsent();
    data_.headers.append(name, value);
    return *this;
}

inline response& response::remove(std::string_view name)
{
    require_head_unsent();
    if (http::equal_ignoring_case(name, "connection"))
        data_.close = false;
    if (http::equal_ignoring_case(name, "content-length"))
        data_.declared_length.reset();
    data_.headers.remove(name);
    return *this;
}

inline void response::set_framing(std::string_view name, std::string_view value)
{
    if (http::equal_ignoring_case(name, "connection") && http::equal_ignoring_case(value, "close")) {
        data_.close = true;
        return;
    }
    const auto length = http::parse_decimal(value);
    if (!http::equal_ignoring_case(name, "content-length") || !length)
        throw std::invalid_argument("alos: the framing of a response is not the handler's to set");
    data_.declared_length = length;
}

inline response& response::set_cookie(const alos::cookie& each)
{
    return append("Set-Cookie", http::set_cookie_value(each));
}

inline response& response::delete_cookie(std::string_view name, std::string_view path)
{
    return set_cookie({.name = std::string(name),
                       .value = {},
                       .path = std::string(path),
                       .max_age = std::chrono::seconds(0)});
}

inline response& response::string(std::string_view text)
{
    start_body(http::body_kind::whole, "text/plain; charset=utf-8");
    data_.body.assign(text);
    return *this;
}

inline response& response::html(std::string_view text)
{
    start_body(http::body_kind::whole, "text/html; charset=utf-8");
    data_.body.assign(text);
    return *this;
}

inline response& response::bytes(byte_view data)
{
    start_body(http::body_kind::whole, "application/octet-stream");
    data_.body.assign(as_text(data));
    return *this;
}

inline response& response::body(std::string text, std::string_view type)
{
    start_body(http::body_kind::whole, type);
    data_.body = std::move(text);
    return *this;
}

inline response& response::body(http::file_body file)
{
    if (file.left() > http::small_body) {
        start_body(http::body_kind::file, {});
        data_.file = std::move(file);
        return *this;
    }
    start_body(http::body_kind::whole, {});
    data_.body.resize(static_cast<std::size_t>(file.left()));
    for (std::size_t filled = 0; filled < data_.body.size();) {
        auto* const place = reinterpret_cast<std::uint8_t*>(data_.body.data());
        filled += file.read({place + filled, data_.body.size() - filled}).value();
    }
    return *this;
}

inline response& response::borrow(std::string_view text, std::string_view type)
{
    start_body(http::body_kind::borrowed, type);
    data_.borrowed = text;
    return *this;
}

inline response& response::redirect(std::string_view location, unsigned code)
{
    if (code < 300 || code > 399 || location.find(' ') != std::string_view::npos)
        throw std::invalid_argument("alos: not a redirection");
    start_body(http::body_kind::none, {});
    return status(code).set("Location", location);
}

inline awaitable<> response::write(std::string_view piece)
{
    if (data_.io == nullptr)
        throw std::logic_error("alos: write() needs a handler that is a coroutine");
    if (data_.kind == http::body_kind::none)
        data_.kind = http::body_kind::streamed;
    if (data_.kind != http::body_kind::streamed)
        throw std::logic_error("alos: write() after the body was set as a whole");
    return data_.io->write(piece);
}

inline awaitable<> response::event(const server_event& each)
{
    if (!data_.head_sent) {
        if (!header("Content-Type"))
            set("Content-Type", "text/event-stream");
        if (!header("Cache-Control"))
            set("Cache-Control", "no-store");
    }
    data_.scratch.clear();
    http::append_event(data_.scratch, each);
    return write(data_.scratch);
}

inline response& response::trailer(std::string_view name, std::string_view value)
{
    if (http::is_framing_field(name))
        throw std::invalid_argument("alos: a field that may not be a trailer");
    data_.trailers.append(name, value);
    return *this;
}

inline response& response::close()
{
    require_head_unsent();
    data_.close = true;
    return *this;
}

inline void response::reset()
{
    require_head_unsent();
    http::body_io* const io = data_.io;
    data_.clear();
    data_.io = io;
}

inline void response::require_head_unsent() const
{
    if (data_.head_sent)
        throw std::logic_error("alos: status and headers have been sent already");
}

inline void response::start_body(http::body_kind kind, std::string_view type)
{
    require_head_unsent();
    data_.kind = kind;
    data_.body.clear();
    data_.file.close();
    if (!type.empty() && !data_.headers.find("Content-Type"))
        data_.headers.append("Content-Type", type);
}

namespace http {

// The back door for engines, the serve loop and tests: handlers have no use for it.
struct access {
    static request_data& data(request& each) noexcept { return each.data_; }
    static const request_data& data(const request& each) noexcept { return each.data_; }
    static response_data& data(response& each) noexcept { return each.data_; }
    static const response_data& data(const response& each) noexcept { return each.data_; }
};

}
namespace http {

// The status and its phrase as text: "404 Not Found".
inline void respond_with_status(response& res, unsigned status)
{
    std::string text = std::to_string(status);
    text.append(" ").append(reason_phrase(status)).append("\n");
    res.status(status).string(text);
}

}

}

#endif

#endif

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
    const representation have{{etag.data(), static_cast<std::size_t>(length)}, about.st_mtim.tv_sec, static_cast<std::uint64_t>(about.st_size)};

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
// ---- alos/http/hooks.hpp ----
// The middleware that comes with the library: a log line for each request, and an answer when a handler throws.
#ifndef ALOS_HTTP_HOOKS_HPP
#define ALOS_HTTP_HOOKS_HPP

// ---- alos/http/middleware.hpp ----
// What runs around handlers. Hooks are plain functions and cost no coroutine frame; a coroutine that is given `next`
// may do anything, for a frame each. Both are called from every thread of the server, at once.
#ifndef ALOS_HTTP_MIDDLEWARE_HPP
#define ALOS_HTTP_MIDDLEWARE_HPP

// ---- alos/http/handler.hpp ----
// What answers requests, type-erased: a plain function, which costs no coroutine frame and no allocation, or a
// coroutine. Handlers are called from every thread of the server, at once.
#ifndef ALOS_HTTP_HANDLER_HPP
#define ALOS_HTTP_HANDLER_HPP


#include <concepts>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace alos::inline v0 {

// void(request&, response&): the response is complete when it returns.
template <class F>
concept plain_handler =
    std::invocable<F&, request&, response&> && std::is_void_v<std::invoke_result_t<F&, request&, response&>>;

// awaitable<void>(request&, response&): the response is complete when the coroutine ends.
template <class F>
concept coroutine_handler = std::invocable<F&, request&, response&> &&
                            std::same_as<std::invoke_result_t<F&, request&, response&>, awaitable<>>;

template <class F>
concept any_handler = plain_handler<F> || coroutine_handler<F>;

namespace http {

class handler {
public:
    handler() = default;

    template <class F>
        requires any_handler<F> && (!std::same_as<F, handler>)
    handler(F function) : object_(std::make_shared<F>(std::move(function)))
    {
        if constexpr (plain_handler<F>)
            plain_ = [](void* object, request& req, response& res) { std::invoke(*static_cast<F*>(object), req, res); };
        else
            start_ = [](void* object, request& req, response& res) {
                return std::invoke(*static_cast<F*>(object), req, res);
            };
    }

    [[nodiscard]] bool is_plain() const noexcept { return plain_ != nullptr; }

    // Runs a plain handler.
    void run(request& req, response& res) const { plain_(object_.get(), req, res); }

    // Starts a handler of either kind; the coroutine lives no longer than the handler.
    [[nodiscard]] awaitable<> start(request& req, response& res) const
    {
        return start_ ? start_(object_.get(), req, res) : run_as_coroutine(*this, req, res);
    }

private:
    static awaitable<> run_as_coroutine(const handler& plain, request& req, response& res)
    {
        plain.run(req, res);
        co_return;
    }

    std::shared_ptr<void> object_; // so that one handler may serve several routes
    void (*plain_)(void*, request&, response&) = nullptr;
    awaitable<> (*start_)(void*, request&, response&) = nullptr;
};

}
}

#endif

#include <algorithm>
#include <chrono>
#include <exception>

namespace alos::inline v0 {

// Hooks: an object with any of these members, which run in this order.
//   bool before(request&, response&)   on the way in; false: the response is complete, nothing further in is run
//   void after(request&, response&)    on the way out, if `before` went on and the handler did not throw
//   void after(request&, response&, std::chrono::nanoseconds elapsed)   the same; the time is taken only for these
//   bool on_exception(request&, response&, std::exception_ptr)   instead of `after`, if what is further in threw;
//                                      true: it is dealt with, and outer hooks see an ordinary response
template <class T>
concept before_hook = requires(T& each, request& req, response& res) {
    { each.before(req, res) } -> std::same_as<bool>;
};
template <class T>
concept after_hook = requires(T& each, request& req, response& res) { each.after(req, res); };
template <class T>
concept timed_after_hook =
    requires(T& each, request& req, response& res, std::chrono::nanoseconds elapsed) { each.after(req, res, elapsed); };
template <class T>
concept exception_hook = requires(T& each, request& req, response& res, std::exception_ptr thrown) {
    { each.on_exception(req, res, thrown) } -> std::same_as<bool>;
};
template <class T>
concept middleware_hooks = before_hook<T> || after_hook<T> || timed_after_hook<T> || exception_hook<T>;

namespace http {

struct chain;

}

// What a coroutine middleware calls to run what is further in; once at most.
class next {
public:
    next(const http::chain& route, std::size_t index) noexcept : route_(&route), index_(index) {}

    [[nodiscard]] awaitable<> operator()(request& req, response& res) const;

private:
    const http::chain* route_;
    std::size_t index_;
};

// awaitable<void>(request&, response&, next): runs what is further in by `co_await then(req, res)`, or does not.
template <class T>
concept around_middleware = std::invocable<T&, request&, response&, next> &&
                            std::same_as<std::invoke_result_t<T&, request&, response&, next>, awaitable<>>;

template <class T>
concept any_middleware = middleware_hooks<T> || around_middleware<T>;

namespace http {

[[nodiscard]] inline bool is_of_the_client(const std::exception_ptr& thrown)
{
    try {
        std::rethrow_exception(thrown);
    } catch (const boost::system::system_error& each) {
        return is_of_the_client(each.code());
    } catch (...) {
        return false;
    }
}

// A middleware, type-erased.
class middleware {
public:
    template <class T>
        requires any_middleware<T> && (!std::same_as<T, middleware>)
    middleware(T each) : object_(std::make_shared<T>(std::move(each))), timed_(timed_after_hook<T>)
    {
        if constexpr (around_middleware<T>) {
            around_ = [](void* object, request& req, response& res, next then) {
                return std::invoke(*static_cast<T*>(object), req, res, then);
            };
        }
        if constexpr (before_hook<T>) {
            before_ = [](void* object, request& req, response& res) {
                return static_cast<T*>(object)->before(req, res);
            };
        }
        if constexpr (timed_after_hook<T>) {
            after_ = [](void* object, request& req, response& res, std::chrono::nanoseconds elapsed) {
                static_cast<T*>(object)->after(req, res, elapsed);
            };
        } else if constexpr (after_hook<T>) {
            after_ = [](void* object, request& req, response& res, std::chrono::nanoseconds) {
                static_cast<T*>(object)->after(req, res);
            };
        }
        if constexpr (exception_hook<T>) {
            on_exception_ = [](void* object, request& req, response& res, const std::exception_ptr& thrown) {
                return static_cast<T*>(object)->on_exception(req, res, thrown);
            };
        }
    }

    [[nodiscard]] bool is_around() const noexcept { return around_ != nullptr; }
    [[nodiscard]] bool is_timed() const noexcept { return timed_; }

    [[nodiscard]] bool before(request& req, response& res) const
    {
        return before_ == nullptr || before_(object_.get(), req, res);
    }

    // On the way out. What remains of `thrown` goes on to the next hook further out.
    [[nodiscard]] std::exception_ptr leave(request& req, response& res, std::exception_ptr thrown,
                                           std::chrono::nanoseconds elapsed) const noexcept
    {
        try {
            if (!thrown) {
                if (after_ != nullptr)
                    after_(object_.get(), req, res, elapsed);
                return nullptr;
            }
            const bool handled = on_exception_ != nullptr && on_exception_(object_.get(), req, res, thrown);
            return handled ? nullptr : thrown;
        } catch (...) {
            return std::current_exception();
        }
    }

    [[nodiscard]] awaitable<> around(request& req, response& res, next then) const
    {
        return around_(object_.get(), req, res, then);
    }

private:
    std::shared_ptr<void> object_; // so that one middleware may serve several routes
    bool (*before_)(void*, request&, response&) = nullptr;
    void (*after_)(void*, request&, response&, std::chrono::nanoseconds) = nullptr;
    bool (*on_exception_)(void*, request&, response&, const std::exception_ptr&) = nullptr;
    awaitable<> (*around_)(void*, request&, response&, next) = nullptr;
    bool timed_ = false;
};

// A handler and what runs around it.
struct chain {
    chain(handler answers, std::vector<middleware> hooks) : inner(std::move(answers)), around(std::move(hooks))
    {
        timed = std::ranges::any_of(around, &middleware::is_timed);
        first_coroutine =
            static_cast<std::size_t>(std::ranges::find_if(around, &middleware::is_around) - around.begin());
    }

    handler inner;
    std::vector<middleware> around; // outermost first
    bool timed;                     // one of the hooks wants to know how long it took
    std::size_t first_coroutine;    // in `around`; its size if there is none
};

// One run through a chain. start() does all that needs no coroutine:
//
//     if (!run.start(chain, req, res)) {
//         std::exception_ptr thrown;
//         try { co_await run.rest(); } catch (...) { thrown = std::current_exception(); }
//         run.finish(thrown);
//     }
//
// Exceptions end here: one that no hook dealt with makes an error of the response and is in failure(), for the log.
class call {
public:
    using clock = std::chrono::steady_clock;

    // True: the response is complete. False: rest() and finish() have to follow.
    [[nodiscard]] bool start(const chain& route, request& req, response& res,
                             clock::time_point (*now)() noexcept = &clock::now) noexcept
    {
        route_ = &route;
        request_ = &req;
        response_ = &res;
        now_ = now;
        entered_ = 0;
        failure_ = nullptr;
        begin_ = route.timed ? now() : clock::time_point{};
        try {
            for (; entered_ < route.first_coroutine; ++entered_) {
                if (!route.around[entered_].before(req, res)) {
                    finish(nullptr);
                    return true;
                }
            }
            if (entered_ < route.around.size() || !route.inner.is_plain())
                return false;
            route.inner.run(req, res);
            finish(nullptr);
        } catch (...) {
            finish(std::current_exception());
        }
        return true;
    }

    [[nodiscard]] awaitable<> rest() const { return next(*route_, entered_)(*request_, *response_); }

    void finish(std::exception_ptr thrown) noexcept
    {
        const clock::duration elapsed = route_->timed ? now_() - begin_ : clock::duration{};
        while (true) {
            // What was sent as a whole response so far must not look like one.
            if (thrown && response_->head_sent())
                access::data(*response_).aborted = true;
            if (entered_ == 0)
                break;
            thrown = route_->around[--entered_].leave(*request_, *response_, std::move(thrown), elapsed);
        }
        failure_ = std::move(thrown);
        if (failure_ && !response_->head_sent())
            answer_failure(*response_, failure_);
    }

    [[nodiscard]] const std::exception_ptr& failure() const noexcept { return failure_; }

    // What the client is told when a handler threw: 500 (RFC 9110 15.6.1), or what was wrong with its body.
    static void answer_failure(response& res, const std::exception_ptr& thrown) noexcept
    {
        try {
            res.reset();
            respond_with_status(res, status_of(thrown));
        } catch (...) { // out of memory
            access::data(res).aborted = true;
        }
    }

    [[nodiscard]] static unsigned status_of(const std::exception_ptr& thrown)
    {
        try {
            std::rethrow_exception(thrown);
        } catch (const boost::system::system_error& each) {
            if (each.code().category() == http_category())
                return http::status_of(static_cast<errc>(each.code().value()));
        } catch (...) {
        }
        return 500;
    }

private:
    const chain* route_ = nullptr;
    request* request_ = nullptr;
    response* response_ = nullptr;
    clock::time_point (*now_)() noexcept = nullptr;
    std::size_t entered_ = 0; // hooks that have to be left again
    clock::time_point begin_;
    std::exception_ptr failure_;
};

namespace detail {

// A hook further in than a coroutine middleware: it needs a frame itself.
inline awaitable<> run_hook(const chain& route, std::size_t index, request& req, response& res)
{
    const middleware& hook = route.around[index];
    const auto begin = call::clock::now();
    if (!hook.before(req, res))
        co_return;
    std::exception_ptr thrown;
    try {
        co_await next(route, index + 1)(req, res);
    } catch (...) {
        thrown = std::current_exception();
    }
    if (thrown && res.head_sent())
        access::data(res).aborted = true;
    thrown = hook.leave(req, res, std::move(thrown), call::clock::now() - begin);
    if (thrown)
        std::rethrow_exception(thrown);
}

}
}

inline awaitable<> next::operator()(request& req, response& res) const
{
    if (index_ == route_->around.size())
        return route_->inner.start(req, res);
    const http::middleware& each = route_->around[index_];
    if (each.is_around())
        return each.around(req, res, next(*route_, index_ + 1));
    return http::detail::run_hook(*route_, index_, req, res);
}

}

#endif

namespace alos::inline v0 {

namespace http {

inline const logger& default_log()
{
    static const logger log;
    return log;
}

template <class Log>
class recovery_hook {
public:
    explicit recovery_hook(const Log& log) : log_(&log) {}

    bool on_exception(request& req, response& res, const std::exception_ptr& thrown) const
    {
        const std::string what = text_of_exception(thrown);
        log_event(*log_, is_of_the_client(thrown) ? log_level::debug : log_level::error, "http.exception",
            {{"method", req.method_text()}, {"path", req.path()}, {"what", what}});
        if (!res.head_sent())
            call::answer_failure(res, thrown);
        return true;
    }

private:
    const Log* log_;
};

template <class Log>
class access_log_hook {
public:
    explicit access_log_hook(const Log& log) : log_(&log) {}

    void after(request& req, response& res, std::chrono::nanoseconds elapsed) const
    {
        write(req, res.status(), access::data(res).length(), elapsed);
    }

private:
    void write(const request& req, unsigned status, std::optional<std::uint64_t> length,
               std::chrono::nanoseconds elapsed) const
    {
        if (!log_->takes(log_level::info))
            return;
        const auto address = req.client().address();
        const std::string client = req.client().port() == 0 ? "unix" : address.to_string();
        log_event(*log_, log_level::info, "http.request",
            {{"client", client},
             {"method", req.method_text()},
             {"path", req.path()},
             {"status", status},
             {"bytes", length ? static_cast<std::int64_t>(*length) : -1},
             {"us", elapsed.count() / 1000}});
    }

    const Log* log_;
};

}

// Makes a 500 and a log record of an exception (400, 408 or 413 if it came from reading the client's body). Whatever is
// used after it is further in, and guarded by it. Without it the server does the same, but what is used before it (a log
// of requests, say) sees the exception instead of the status.
template <class Log = logger>
[[nodiscard]] http::recovery_hook<Log> recovery(const Log& log = http::default_log())
{
    return http::recovery_hook<Log>(log);
}

// One log record for each request. Use it before recovery(), so that it sees the 500.
template <class Log = logger>
[[nodiscard]] http::access_log_hook<Log> access_log(const Log& log = http::default_log())
{
    return http::access_log_hook<Log>(log);
}

}

#endif
// ---- alos/http/h1_framing.hpp ----
// Whether bytes are one HTTP/1.1 message and nothing else: strict, so that no two programs that read the same
// connection cut it in different places. RFC 9112 2 to 7. What passes here goes to Beast's parser.
#ifndef ALOS_HTTP_H1_FRAMING_HPP
#define ALOS_HTTP_H1_FRAMING_HPP


#include <algorithm>
#include <charconv>
#include <optional>

namespace alos::inline v0::http {

// In bytes but for `fields`; beside each the status for what is more. Zero is no exception.
struct h1_limits {
    std::size_t header = 16 * 1024;       // request line and fields, with their line ends: 431
    std::size_t fields = 100;             // 431; trailers count for themselves
    std::size_t target = 8 * 1024;        // 414
    std::uint64_t body = 4 * 1024 * 1024; // 413
    std::size_t chunk_line = 256;         // size and extensions of one chunk: 400
    std::size_t extensions = 4 * 1024;    // of all chunks of a message: 400
    std::size_t trailers = 8 * 1024;      // 431
};

namespace detail {

// Takes the line before the next CRLF from `rest`, which has one.
constexpr std::string_view next_line(std::string_view& rest) noexcept
{
    const std::size_t end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 2);
    return line;
}

// What the fields of a header say about framing.
struct framing_fields {
    bool is_1_0 = false;
    unsigned hosts = 0;
    bool has_length = false;
    bool is_chunked = false;
};

// RFC 9112 6.1 to 6.3, RFC 9110 10.1.1.
constexpr std::optional<errc> check_framing_field(const field& each, framing_fields& seen) noexcept
{
    switch (each.name.size()) {
    case 4: // RFC 9112 3.2: Host
        if (!equal_ignoring_case(each.name, "host"))
            break;
        if (++seen.hosts > 1 || !is_host_and_port(each.value))
            return errc::bad_host;
        break;
    case 6: // RFC 9110 10.1.1: an HTTP/1.0 client expects nothing
        if (equal_ignoring_case(each.name, "expect") && !seen.is_1_0 &&
            !equal_ignoring_case(each.value, "100-continue"))
            return errc::bad_expectation;
        break;
    case 14: // RFC 9112 6.3: Content-Length is one number, once
        if (!equal_ignoring_case(each.name, "content-length"))
            break;
        if (seen.has_length || !parse_decimal(each.value))
            return errc::bad_content_length;
        seen.has_length = true;
        break;
    case 17: // RFC 9112 6.1: "chunked" and nothing else, once; HTTP/1.0 does not know it
        if (!equal_ignoring_case(each.name, "transfer-encoding"))
            break;
        if (seen.is_1_0 || seen.is_chunked || !equal_ignoring_case(each.value, "chunked"))
            return errc::bad_transfer_encoding;
        seen.is_chunked = true;
        break;
    default: break;
    }
    return std::nullopt;
}

// RFC 9112 5: one field line.
constexpr std::optional<errc> parse_field_line(std::string_view line, field& into) noexcept
{
    // RFC 9112 5.2: "A server that receives an obs-fold in a request message ... MUST either reject ... or replace".
    if (line.front() == ' ' || line.front() == '\t')
        return errc::obsolete_folding;
    const std::size_t colon = line.find(':');
    // RFC 9112 5.1: "No whitespace is allowed between the field name and colon."
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
        return errc::bad_field_name;
    into = {line.substr(0, colon), trim(line.substr(colon + 1))};
    // RFC 9110 5.5; CR without LF is among what this refuses (RFC 9112 2.2).
    if (!is_field_value(into.value))
        return into.value.find('\r') == std::string_view::npos ? errc::bad_field_value : errc::bad_line_ending;
    return std::nullopt;
}

}

// RFC 9112 3: method SP request-target SP HTTP-version.
struct request_line {
    std::string_view method;
    std::string_view target;
    std::string_view version;
};

// `line` is without its CRLF.
constexpr std::optional<errc> parse_request_line(std::string_view line, request_line& into,
                                                 const h1_limits& limits) noexcept
{
    const std::size_t first = line.find(' ');
    const std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
    if (second == std::string_view::npos)
        return errc::bad_request_line;
    into = {line.substr(0, first), line.substr(first + 1, second - first - 1), line.substr(second + 1)};
    if (!is_token(into.method) || into.target.empty())
        return errc::bad_request_line;
    if (into.target.size() > limits.target)
        return errc::target_too_long;
    if (!std::ranges::all_of(into.target, is_target_char))
        return errc::bad_target;
    // RFC 9112 2.3: HTTP-version is case-sensitive.
    const std::string_view version = into.version;
    if (version.size() != 8 || !version.starts_with("HTTP/") || !is_digit(version[5]) || version[6] != '.' ||
        !is_digit(version[7]))
        return errc::bad_version;
    if (version[5] != '1')
        return errc::unsupported_version;
    return std::nullopt;
}

// A whole header: request line, fields and the empty line behind them, in which every LF follows a CR.
constexpr std::optional<errc> check_header(std::string_view block, const h1_limits& limits) noexcept
{
    request_line start;
    if (const auto bad = parse_request_line(detail::next_line(block), start, limits))
        return bad;
    detail::framing_fields seen{.is_1_0 = start.version.back() == '0'};
    std::size_t count = 0;
    for (std::string_view line = detail::next_line(block); !line.empty(); line = detail::next_line(block)) {
        field each;
        if (const auto bad = detail::parse_field_line(line, each))
            return bad;
        if (++count > limits.fields)
            return errc::header_too_large;
        if (const auto bad = detail::check_framing_field(each, seen))
            return bad;
    }
    // RFC 9112 6.1: together they are a sign of request smuggling.
    if (seen.has_length && seen.is_chunked)
        return errc::both_framings;
    // RFC 9112 3.2: "A server MUST respond with a 400 ... to any HTTP/1.1 request message that lacks a Host".
    if (seen.hosts == 0 && !seen.is_1_0)
        return errc::bad_host;
    return std::nullopt;
}

// RFC 9112 7.1.2: a trailer section, its empty line included; none of its fields may be about framing or routing.
constexpr std::optional<errc> check_trailers(std::string_view block, const h1_limits& limits) noexcept
{
    std::size_t count = 0;
    for (std::string_view line = detail::next_line(block); !line.empty(); line = detail::next_line(block)) {
        field each;
        if (const auto bad = detail::parse_field_line(line, each))
            return bad;
        if (is_framing_field(each.name) || equal_ignoring_case(each.name, "host") ||
            equal_ignoring_case(each.name, "expect"))
            return errc::bad_trailer;
        if (++count > limits.fields)
            return errc::header_too_large;
    }
    return std::nullopt;
}

// RFC 9112 7.1: chunk-size [ chunk-ext ], without CRLF. A size that does not fit, white space behind it, and control
// characters in an extension are refused; the extension's grammar is Beast's to check.
constexpr std::optional<errc> check_chunk_line(std::string_view line) noexcept
{
    const auto is_hex = [](char c) { return hex_digit(c) >= 0; };
    const auto size = static_cast<std::size_t>(std::ranges::find_if_not(line, is_hex) - line.begin());
    if (size == 0 || size > 15)
        return errc::bad_chunk;
    const std::string_view extension = line.substr(size);
    if (!extension.empty() && (extension.front() != ';' || !is_field_value(extension)))
        return errc::bad_chunk;
    return std::nullopt;
}

}

#endif
// ---- alos/http/h1_parser.hpp ----
// HTTP/1.1 requests, from bytes to request_data. RFC 9112. Each block (a header, the line of a chunk, trailers) is
// gathered, checked by our own rules (h1_framing.hpp), and then parsed by Beast. No sockets, no clock.
#ifndef ALOS_HTTP_H1_PARSER_HPP
#define ALOS_HTTP_H1_PARSER_HPP


#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>

#include <algorithm>
#include <cstring>
#include <limits>

namespace alos::inline v0::http {

// What feed() came to.
enum class h1_event {
    need_more, // all input was consumed: feed more
    header,    // the request's header is in place: route it
    body,      // `data` is a piece of the body
    complete,  // the message, trailers included, is in place; what follows is the next one's
    error,     // answer status_of(error) and close: where the next request begins is unknown
};

struct h1_step {
    h1_event event = h1_event::need_more;
    std::size_t consumed = 0;   // how much of the input was used, whatever the event
    std::string_view data = {}; // within the input
    errc error = {};
};

namespace detail {

// Beast's parser with its output put into a request_data. It sees only what was checked before.
class beast_parser final : public boost::beast::http::basic_parser<true> {
public:
    explicit beast_parser(request_data& into) : into_(into)
    {
        // The limits are ours, and checked before.
        body_limit(boost::none);
        header_limit(std::numeric_limits<std::uint32_t>::max() / 2);
    }

    // The piece of the body that the last put() came upon.
    std::string_view take_body() noexcept { return std::exchange(body_, {}); }

    // The size of the chunk whose line was put last.
    [[nodiscard]] std::uint64_t chunk_size() const noexcept { return chunk_size_; }

private:
    using string_view = boost::beast::string_view;

    void on_request_impl(verb method, string_view method_text, string_view target, int version,
                         boost::beast::error_code&) override
    {
        into_.method = method;
        into_.method_text = method_text;
        into_.target = target;
        into_.version = static_cast<unsigned>(version);
    }

    void on_response_impl(int, string_view, int, boost::beast::error_code&) override {}

    void on_field_impl(boost::beast::http::field name, string_view text, string_view value,
                       boost::beast::error_code&) override
    {
        // RFC 9110 6.5: trailers are kept apart from the header.
        if (is_header_done())
            return into_.trailers.add(text, value);
        into_.headers.add(text, value);
        if (name == boost::beast::http::field::host)
            into_.parts.authority = value;
        if (name == boost::beast::http::field::expect)
            into_.expects_continue = into_.version >= 11;
    }

    void on_header_impl(boost::beast::error_code&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, boost::beast::error_code&) override {}

    std::size_t on_body_impl(string_view body, boost::beast::error_code&) override
    {
        body_ = body;
        return body.size();
    }

    void on_chunk_header_impl(std::uint64_t size, string_view, boost::beast::error_code&) override
    {
        chunk_size_ = size;
    }

    std::size_t on_chunk_body_impl(std::uint64_t, string_view body, boost::beast::error_code&) override
    {
        body_ = body;
        return body.size();
    }

    void on_finish_impl(boost::beast::error_code&) override {}

    request_data& into_;
    std::string_view body_;
    std::uint64_t chunk_size_ = 0;
};

}

class h1_parser {
public:
    // Starts on the next message, which is put into `into`; both must outlive it.
    void start(request_data& into, const h1_limits& limits)
    {
        into_ = &into;
        limits_ = &limits;
        beast_.emplace(into);
        state_ = state::header;
        line_.clear();
        line_start_ = 0;
        skipped_empty_line_ = false;
        left_ = 0;
        body_size_ = 0;
        body_limit_ = limits.body;
        extensions_ = 0;
    }

    // Takes from `input`, which begins where the last call stopped, up to the next event. Then call it again with the
    // rest, which may be empty.
    [[nodiscard]] h1_step feed(byte_view input)
    {
        h1_step total;
        while (true) {
            const h1_step step = feed_some(as_text(input.subspan(total.consumed)));
            const std::size_t consumed = total.consumed + step.consumed;
            total = step;
            total.consumed = consumed;
            // What ends a line of a chunk is no event: go on with what follows it.
            if (step.event != h1_event::need_more || consumed == input.size())
                return total;
        }
    }

    // Whether a byte of this message has been read: if not, the connection may end here.
    [[nodiscard]] bool started() const noexcept { return state_ != state::header || !into_->block.empty(); }

    // Whether the message has been read to its end.
    [[nodiscard]] bool done() const noexcept { return state_ == state::done; }

    // After `header`: whether a body follows.
    [[nodiscard]] bool has_body() const noexcept
    {
        return state_ == state::sized_body || state_ == state::chunk_line;
    }

    // After `header`, before anything else is fed: another limit for this body. If the length that was announced is
    // beyond it, the next feed() says so at once, even without input: ask before sending "100 Continue".
    void body_limit(std::uint64_t bytes) noexcept { body_limit_ = bytes; }

private:
    enum class state {
        header,
        sized_body,
        chunk_line,
        chunk_body,
        trailers,
        ending, // everything is in place, but `complete` has not been said
        done,
        failed,
    };

    h1_step feed_some(std::string_view input)
    {
        switch (state_) {
        case state::sized_body: return feed_sized_body(input);
        case state::chunk_body: return feed_body(input, state::chunk_line);
        case state::ending:
        case state::done: return complete(0);
        case state::failed: return {.event = h1_event::error, .error = error_};
        default: break;
        }
        if (input.empty())
            return {};
        if (state_ == state::header)
            return feed_header(input);
        return state_ == state::chunk_line ? feed_chunk_line(input) : feed_trailers(input);
    }

    h1_step fail(errc error, std::size_t consumed = 0)
    {
        state_ = state::failed;
        error_ = error;
        return {.event = h1_event::error, .consumed = consumed, .error = error};
    }

    h1_step complete(std::size_t consumed)
    {
        state_ = state::done;
        return {h1_event::complete, consumed};
    }

    // Gives a whole block to Beast, which must take all of it. It may want more: the trailers behind the last chunk.
    [[nodiscard]] bool put(std::string_view block)
    {
        boost::beast::error_code ec;
        const std::size_t taken = beast_->put(boost::asio::buffer(block.data(), block.size()), ec);
        return taken == block.size() && (!ec || ec == boost::beast::http::error::need_more);
    }

    // How gathering a block of lines went on.
    struct gathered {
        std::size_t consumed = 0;
        bool whole = false; // the last line was empty
        std::optional<errc> error = {};
    };

    // Appends lines to `block` until an empty one has been appended. `input` is not empty.
    gathered gather(std::string_view input, std::string& block)
    {
        gathered result;
        while (!result.whole) {
            const void* const found =
                std::memchr(input.data() + result.consumed, '\n', input.size() - result.consumed);
            if (found == nullptr) {
                result.consumed = input.size();
                break;
            }
            const auto end = static_cast<std::size_t>(static_cast<const char*>(found) - input.data());
            const char before = end > 0 ? input[end - 1] : block.empty() ? '\0' : block.back();
            // RFC 9112 2.2 lets a recipient take LF alone as a line end; we do not, because others may not.
            if (before != '\r')
                return {.consumed = end, .error = errc::bad_line_ending};
            result.consumed = end + 1;
            const std::size_t next_line = block.size() + result.consumed;
            result.whole = next_line - line_start_ == 2;
            line_start_ = next_line;
        }
        block.append(input.substr(0, result.consumed));
        return result;
    }

    h1_step feed_header(std::string_view input)
    {
        std::string& block = into_->block;
        if (block.empty() && !is_token_char(input.front()) && input.front() != '\r')
            return fail(errc::bad_request_line);
        const gathered part = gather(input, block);
        if (part.error)
            return fail(*part.error, part.consumed);
        const std::size_t longest_line = limits_->target + longest_method;
        if (block.size() > longest_line && std::min(block.find("\r\n"), block.size()) > longest_line)
            return fail(errc::target_too_long, part.consumed);
        if (block.size() > limits_->header)
            return fail(errc::header_too_large, part.consumed);
        if (!part.whole)
            return {h1_event::need_more, part.consumed};
        if (block.size() == 2)
            return skip_empty_line(input, part.consumed);
        return parse_header(block, part.consumed);
    }

    // RFC 9112 2.2: "a server ... SHOULD ignore at least one empty line (CRLF) received prior to the request-line."
    h1_step skip_empty_line(std::string_view input, std::size_t consumed)
    {
        if (skipped_empty_line_)
            return fail(errc::bad_request_line, consumed);
        skipped_empty_line_ = true;
        into_->block.clear();
        line_start_ = 0;
        h1_step step = feed(as_bytes(input.substr(consumed)));
        step.consumed += consumed;
        return step;
    }

    h1_step parse_header(std::string& block, std::size_t consumed)
    {
        if (const auto bad = check_header(block, *limits_))
            return fail(*bad, consumed);
        // RFC 9110 2.5: a request of a higher minor version is processed as the highest one that is implemented.
        char& minor_version = block[block.find("\r\n") - 1];
        if (minor_version != '0')
            minor_version = '1';
        if (!put(block))
            return fail(errc::bad_field_value, consumed);
        auto parts = split_target(into_->target, into_->method == verb::connect, into_->method == verb::options,
                                  into_->path_storage);
        if (!parts)
            return fail(errc::bad_target, consumed);
        // RFC 9112 3.2.2: beside a target in absolute-form, Host is ignored.
        if (parts->authority.empty())
            parts->authority = into_->parts.authority;
        into_->parts = *parts;
        into_->keep_alive = beast_->keep_alive();
        if (const auto length = beast_->content_length())
            into_->content_length = *length;
        left_ = into_->content_length.value_or(0);
        state_ = beast_->is_done() ? state::ending : beast_->chunked() ? state::chunk_line : state::sized_body;
        line_start_ = 0;
        return {h1_event::header, consumed};
    }

    h1_step feed_sized_body(std::string_view input)
    {
        if (*into_->content_length > body_limit_)
            return fail(errc::body_too_large);
        return feed_body(input, state::ending);
    }

    // A piece of the body, or of a chunk; behind its last byte the state is `after`.
    h1_step feed_body(std::string_view input, state after)
    {
        if (input.empty())
            return {};
        boost::beast::error_code ec;
        const std::size_t consumed = beast_->put(boost::asio::buffer(input.data(), input.size()), ec);
        if (ec)
            return fail(errc::bad_chunk, consumed);
        left_ -= consumed;
        if (left_ == 0)
            state_ = after;
        return {h1_event::body, consumed, beast_->take_body()};
    }

    // Gathers the line of a chunk, behind the CRLF that ends the chunk before it: Beast wants to see both at once.
    h1_step feed_chunk_line(std::string_view input)
    {
        for (std::size_t i = 0; i < input.size(); ++i) {
            const std::size_t at = line_.size();
            line_.push_back(input[i]);
            if (at < line_start_ && input[i] != "\r\n"[at])
                return fail(errc::bad_chunk, i + 1);
            if (at >= line_start_ && input[i] == '\n')
                return parse_chunk_line(i + 1);
            if (line_.size() > limits_->chunk_line)
                return fail(errc::bad_chunk, i + 1);
        }
        return {h1_event::need_more, input.size()};
    }

    h1_step parse_chunk_line(std::size_t consumed)
    {
        std::string_view line = std::string_view(line_).substr(line_start_);
        if (!line.ends_with("\r\n"))
            return fail(errc::bad_line_ending, consumed);
        line.remove_suffix(2);
        if (const auto bad = check_chunk_line(line))
            return fail(*bad, consumed);
        // Note: a chunk of one byte may carry an extension of two hundred; all of them together are bounded.
        extensions_ += line.size() - std::min(line.find(';'), line.size());
        if (extensions_ > limits_->extensions || !put(line_))
            return fail(errc::bad_chunk, consumed);
        line_.clear();
        left_ = beast_->chunk_size();
        if (left_ > body_limit_ - body_size_)
            return fail(errc::body_too_large, consumed);
        body_size_ += left_;
        state_ = left_ > 0 ? state::chunk_body : state::trailers;
        line_start_ = left_ > 0 ? 2 : 0;
        return {h1_event::need_more, consumed};
    }

    h1_step feed_trailers(std::string_view input)
    {
        std::string& block = into_->trailer_block;
        const gathered part = gather(input, block);
        if (part.error)
            return fail(*part.error, part.consumed);
        if (block.size() > limits_->trailers)
            return fail(errc::header_too_large, part.consumed);
        if (!part.whole)
            return {h1_event::need_more, part.consumed};
        if (const auto bad = check_trailers(block, *limits_))
            return fail(*bad, part.consumed);
        if (!put(block))
            return fail(errc::bad_trailer, part.consumed);
        return complete(part.consumed);
    }

    static constexpr std::size_t longest_method = 64; // in front of a target, roughly

    request_data* into_ = nullptr;
    const h1_limits* limits_ = nullptr;
    std::optional<detail::beast_parser> beast_;
    state state_ = state::header;
    errc error_ = {};
    bool skipped_empty_line_ = false;
    std::string line_;            // the line of a chunk
    std::size_t line_start_ = 0;  // of the line that is being gathered, within what it is gathered into
    std::uint64_t left_ = 0;      // of the body, or of the chunk
    std::uint64_t body_size_ = 0; // of all chunks so far
    std::uint64_t body_limit_ = 0;
    std::size_t extensions_ = 0; // bytes of all chunk extensions so far
};

}

#endif
// ---- alos/http/h1_writer.hpp ----
// HTTP/1.1 responses, to bytes. RFC 9112 4, 6, 7.1 and 9.
#ifndef ALOS_HTTP_H1_WRITER_HPP
#define ALOS_HTTP_H1_WRITER_HPP


namespace alos::inline v0::http {

// How the end of a response's body is told. RFC 9112 6.3.
enum class h1_framing {
    none,        // no body follows: HEAD, 204, 304
    length,      // Content-Length
    chunked,     // RFC 9112 7.1
    until_close, // an unknown length for an HTTP/1.0 client: the connection's end
};

struct h1_head {
    h1_framing framing = h1_framing::none;
    bool keep_alive = false; // whether the connection lives on behind this response
};

namespace detail {

inline void append_number(std::string& out, std::uint64_t number, int base = 10)
{
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, number, base).ptr);
}

inline void append_status_line(std::string& out, unsigned status)
{
    if (status == 200) {
        out.append("HTTP/1.1 200 OK\r\n");
        return;
    }
    out.append("HTTP/1.1 ");
    append_number(out, status);
    out.append(" ").append(reason_phrase(status)).append("\r\n");
}

// RFC 9112 6.3: how the body of `answer` is delimited.
inline h1_framing choose_framing(const request_data& asked, const response_data& answer) noexcept
{
    // RFC 9110 6.4.1: these never have content.
    if (asked.method == verb::head || answer.status == 204 || answer.status == 304)
        return h1_framing::none;
    if (answer.length())
        return h1_framing::length;
    return asked.version >= 11 ? h1_framing::chunked : h1_framing::until_close;
}

// Framing fields of a response; for HEAD those that GET would have had (RFC 9110 9.3.2).
inline void append_framing(std::string& out, const request_data& asked, const response_data& answer)
{
    // RFC 9110 8.6: "A server MUST NOT send a Content-Length header field in any response with a status code of
    // 1xx ... or 204"; in a 304 it would have to be that of the 200, which nobody computed.
    if (answer.status == 204 || answer.status == 304)
        return;
    std::optional<std::uint64_t> length = answer.length();
    if (asked.method == verb::head && answer.kind == body_kind::none && answer.declared_length)
        length = answer.declared_length;
    if (length) {
        out.append("Content-Length: ");
        append_number(out, *length);
        out.append("\r\n");
        return;
    }
    if (asked.version < 11)
        return;
    out.append("Transfer-Encoding: chunked\r\n");
    if (answer.trailers.empty())
        return;
    // RFC 9110 6.6.2: announced, as far as they are known already.
    out.append("Trailer: ");
    for (std::size_t i = 0; i < answer.trailers.size(); ++i)
        out.append(i > 0 ? ", " : "").append(answer.trailers[i].name);
    out.append("\r\n");
}

}

// Appends status line and header. `date` is the value of Date, `keep_alive` whether the server would go on.
[[nodiscard]] inline h1_head append_head(std::string& out, const request_data& asked, const response_data& answer,
                                         std::string_view date, bool keep_alive)
{
    h1_head head;
    head.framing = detail::choose_framing(asked, answer);
    head.keep_alive =
        keep_alive && asked.keep_alive && !answer.close && head.framing != h1_framing::until_close;
    detail::append_status_line(out, answer.status);
    if (!answer.headers.find("Date"))
        out.append("Date: ").append(date).append("\r\n");
    out.append(answer.headers.text());
    detail::append_framing(out, asked, answer);
    // RFC 9112 9.3: HTTP/1.1 goes on unless it is told not to, HTTP/1.0 the other way round.
    if (!head.keep_alive)
        out.append("Connection: close\r\n");
    else if (asked.version < 11)
        out.append("Connection: keep-alive\r\n");
    out.append("\r\n");
    return head;
}

// RFC 9112 7.1: appends what goes before a chunk of `size` bytes, which must not be 0; chunk_end goes behind it.
inline void append_chunk_start(std::string& out, std::size_t size)
{
    detail::append_number(out, size, 16);
    out.append("\r\n");
}
inline constexpr std::string_view chunk_end = "\r\n";

// RFC 9112 7.1.2: appends the last chunk and the trailers.
inline void append_last_chunk(std::string& out, const response_data& answer)
{
    out.append("0\r\n").append(answer.trailers.text()).append("\r\n");
}

// RFC 9110 15.2.1.
inline constexpr std::string_view continue_head = "HTTP/1.1 100 Continue\r\n\r\n";

// Appends a whole response for a request that could not be read: the connection is closed behind it.
inline void append_error(std::string& out, unsigned status, std::string_view text, std::string_view date)
{
    detail::append_status_line(out, status);
    out.append("Date: ").append(date).append("\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ");
    detail::append_number(out, text.size() + 1);
    out.append("\r\nConnection: close\r\n\r\n").append(text).append("\n");
}

}

#endif
// ---- alos/http/router.hpp ----
// From method and path to a handler. A pattern is made of segments: text, ":name" (one segment), "*name" (the rest,
// slashes included; last only). Text goes before ":name", and that before "*name". HEAD is answered by GET's handler;
// OPTIONS, 404, 405 with Allow, and 501 by the router itself.
#ifndef ALOS_HTTP_ROUTER_HPP
#define ALOS_HTTP_ROUTER_HPP


#include <algorithm>
#include <array>
#include <deque>
#include <initializer_list>
#include <source_location>

namespace alos::inline v0 {

// How a route takes the bodies of its requests.
struct route_options {
    bool streamed = false;                        // the handler reads the body itself, by request::read_some()
    std::optional<std::uint64_t> body_limit = {}; // instead of the server's
};

// server.post("/upload", alos::streamed, handler)
inline constexpr route_options streamed{.streamed = true};

namespace http {

// A compiled route.
struct endpoint {
    chain run;
    route_options options;
    std::vector<std::string> names; // of its parameters, in the order of the path
};

namespace detail {

using method_set = std::uint64_t; // a bit for each verb

constexpr method_set bit(verb method) noexcept { return method_set{1} << static_cast<unsigned>(method); }

inline constexpr method_set all_methods = ~method_set{0};
inline constexpr std::size_t most_parameters = 16;

// A route as it was written down.
struct route_entry {
    method_set methods;
    std::string pattern;
    handler answers;
    route_options options;
    std::size_t group;
    std::source_location place;
};

// Routes with a prefix and middleware in common.
struct group_entry {
    std::size_t parent;
    std::string prefix;
    std::vector<middleware> around;
};

struct route_table {
    std::deque<group_entry> groups;
    std::deque<route_entry> routes;
};

inline std::string to_text(const std::source_location& place)
{
    std::string_view file = place.file_name();
    file.remove_prefix(file.rfind('/') == std::string_view::npos ? 0 : file.rfind('/') + 1);
    return std::string(file) + ":" + std::to_string(place.line());
}

// The value of Allow. RFC 9110 10.2.1.
inline std::string to_text(method_set methods)
{
    std::string text;
    for (unsigned i = 1; i < 64; ++i) {
        if ((methods >> i & 1) == 0 || i > static_cast<unsigned>(verb::unlink))
            continue;
        text.append(text.empty() ? "" : ", ").append(to_string(static_cast<verb>(i)));
    }
    return text;
}

}

}

// Routes that share a prefix and middleware; may be copied, and lives as long as its router. Patterns of a group are
// put behind its prefix. Everything here is for set-up: router::build() makes it work, and says what is wrong with it.
class route_group {
public:
    // Runs `each` around all routes of this group, those included that were added before; first used, outermost.
    route_group& use(http::middleware each)
    {
        table_->groups[index_].around.push_back(std::move(each));
        return *this;
    }

    // A group within this one.
    [[nodiscard]] route_group group(std::string_view prefix)
    {
        table_->groups.push_back({index_, std::string(prefix), {}});
        return {*table_, table_->groups.size() - 1};
    }

    using place = std::source_location; // where a route is written, for messages

    route_group& get(std::string_view pattern, http::handler answers, route_options options = {},
                     place where = place::current())
    {
        return any({verb::get}, pattern, std::move(answers), options, where);
    }
    route_group& post(std::string_view pattern, http::handler answers, route_options options = {},
                      place where = place::current())
    {
        return any({verb::post}, pattern, std::move(answers), options, where);
    }
    route_group& put(std::string_view pattern, http::handler answers, route_options options = {},
                     place where = place::current())
    {
        return any({verb::put}, pattern, std::move(answers), options, where);
    }
    route_group& patch(std::string_view pattern, http::handler answers, route_options options = {},
                       place where = place::current())
    {
        return any({verb::patch}, pattern, std::move(answers), options, where);
    }
    route_group& del(std::string_view pattern, http::handler answers, route_options options = {},
                     place where = place::current())
    {
        return any({verb::delete_}, pattern, std::move(answers), options, where);
    }
    route_group& head(std::string_view pattern, http::handler answers, route_options options = {},
                      place where = place::current())
    {
        return any({verb::head}, pattern, std::move(answers), options, where);
    }
    route_group& options(std::string_view pattern, http::handler answers, route_options options = {},
                         place where = place::current())
    {
        return any({verb::options}, pattern, std::move(answers), options, where);
    }

    // For several methods.
    route_group& any(std::initializer_list<verb> methods, std::string_view pattern, http::handler answers,
                     route_options options = {}, place where = place::current())
    {
        http::detail::method_set set = 0;
        for (const verb each : methods)
            set |= http::detail::bit(each);
        return add(set, pattern, std::move(answers), options, where);
    }

    // For every method, unknown ones included, for which the path has no route of its own.
    route_group& any(std::string_view pattern, http::handler answers, route_options options = {},
                     place where = place::current())
    {
        return add(http::detail::all_methods, pattern, std::move(answers), options, where);
    }

protected:
    route_group(http::detail::route_table& table, std::size_t index) noexcept : table_(&table), index_(index) {}

private:
    route_group& add(http::detail::method_set methods, std::string_view pattern, http::handler answers,
                     route_options options, place where)
    {
        table_->routes.push_back({methods, std::string(pattern), std::move(answers), options, index_, where});
        return *this;
    }

    http::detail::route_table* table_;
    std::size_t index_;
};

// All routes; itself the group without a prefix, whose middleware also runs around 404, 405 and the like.
class router : public route_group {
public:
    router() : route_group(table_, 0) { table_.groups.push_back({0, {}, {}}); }
    router(const router&) = delete;
    router& operator=(const router&) = delete;

    // Answers where no route does; the status is 404 unless it sets another.
    router& not_found(http::handler answers)
    {
        not_found_handler_ = std::move(answers);
        return *this;
    }

    // Compiles the routes. Fails with a sentence that names the routes at fault, and where they are written.
    [[nodiscard]] outcome<> build();

    // What answers `asked`; puts its parameters in place. Always something, for 404 and the like are endpoints too.
    // Allocates nothing. After build() only.
    [[nodiscard]] const http::endpoint& find(http::request_data& asked) const;

    [[nodiscard]] const http::endpoint& find(request& asked) const { return find(http::access::data(asked)); }

private:
    using method_set = http::detail::method_set;

    static constexpr std::size_t none = ~std::size_t{0};

    struct answer {
        method_set methods;
        const http::endpoint* run;
        const http::detail::route_entry* written;
    };

    // A segment of a path, and what may follow it.
    struct node {
        std::vector<std::pair<std::string, std::size_t>> texts; // sorted
        std::size_t parameter = none;
        std::size_t rest = none;
        std::vector<answer> answers; // those for every method last
    };

    // A search on its way through the nodes.
    struct search {
        std::string_view path;
        method_set method;
        method_set allowed = 0; // what is there for other methods
        std::array<std::string_view, http::detail::most_parameters> values = {};
        std::size_t count = 0;
    };

    [[nodiscard]] outcome<> insert(const http::detail::route_entry& route);
    [[nodiscard]] std::size_t child(std::size_t parent, std::string_view text);
    [[nodiscard]] std::size_t child(std::size_t node::*kind, std::size_t parent);
    [[nodiscard]] std::string pattern_of(const http::detail::route_entry& route) const;
    [[nodiscard]] http::chain chain_of(const http::handler& answers, std::size_t group) const;
    [[nodiscard]] const http::endpoint* special(http::handler answers, std::vector<http::middleware> within = {});

    [[nodiscard]] const http::endpoint* find(std::size_t at, std::size_t slash, search& state) const noexcept;
    [[nodiscard]] const http::endpoint* answer_of(const node& at, search& state) const noexcept;

    http::detail::route_table table_;
    http::handler not_found_handler_{[](request&, response& res) { http::respond_with_status(res, 404); }};

    std::vector<node> nodes_;
    std::deque<http::endpoint> endpoints_;
    method_set all_allowed_ = 0;
    const http::endpoint* not_found_ = nullptr;
    const http::endpoint* not_allowed_ = nullptr;
    const http::endpoint* not_implemented_ = nullptr;
    const http::endpoint* options_ = nullptr;
};

inline outcome<> router::build()
{
    nodes_.assign(1, {});
    endpoints_.clear();
    all_allowed_ = http::detail::bit(verb::options);
    for (const http::detail::route_entry& route : table_.routes) {
        if (outcome<> inserted = insert(route); !inserted)
            return inserted;
    }
    // RFC 9110 9.3.2: HEAD is GET without the content.
    for (node& each : nodes_) {
        const auto has = [](verb method) {
            return [method](const answer& one) {
                return one.methods != http::detail::all_methods && (one.methods & http::detail::bit(method)) != 0;
            };
        };
        const auto get = std::ranges::find_if(each.answers, has(verb::get));
        if (get != each.answers.end() && std::ranges::none_of(each.answers, has(verb::head)))
            get->methods |= http::detail::bit(verb::head);
        for (const answer& one : each.answers)
            all_allowed_ |= one.methods;
    }
    const auto allow = [](request& req, response& res, unsigned status) {
        res.status(status).set("Allow", http::detail::to_text(http::access::data(req).allowed));
    };
    struct set_404 {
        bool before(request&, response& res) const
        {
            res.status(404);
            return true;
        }
    };
    not_found_ = special(not_found_handler_, {set_404{}});
    // RFC 9110 15.5.6: "The origin server MUST generate an Allow header field in a 405 response".
    not_allowed_ = special([allow](request& req, response& res) {
        allow(req, res, 405);
        http::respond_with_status(res, 405);
    });
    options_ = special([allow](request& req, response& res) { allow(req, res, 204); });
    not_implemented_ = special([](request&, response& res) { http::respond_with_status(res, 501); });
    return outcome<>();
}

inline std::string router::pattern_of(const http::detail::route_entry& route) const
{
    std::string pattern = route.pattern;
    for (std::size_t group = route.group; group != 0; group = table_.groups[group].parent)
        pattern.insert(0, table_.groups[group].prefix);
    return pattern;
}

inline http::chain router::chain_of(const http::handler& answers, std::size_t group) const
{
    std::vector<http::middleware> around;
    while (true) {
        const http::detail::group_entry& each = table_.groups[group];
        around.insert(around.begin(), each.around.begin(), each.around.end());
        if (group == 0)
            return {answers, std::move(around)};
        group = each.parent;
    }
}

// An endpoint that the router needs itself; `within` runs inside of everybody's middleware.
inline const http::endpoint* router::special(http::handler answers, std::vector<http::middleware> within)
{
    within.insert(within.begin(), table_.groups[0].around.begin(), table_.groups[0].around.end());
    return &endpoints_.emplace_back(http::endpoint{{std::move(answers), std::move(within)}, {}, {}});
}

inline outcome<> router::insert(const http::detail::route_entry& route)
{
    const std::string pattern = pattern_of(route);
    const auto describe = [this](const http::detail::route_entry& each) {
        const std::string methods =
            each.methods == http::detail::all_methods ? "any" : http::detail::to_text(each.methods);
        return methods + " " + pattern_of(each) + " (" + http::detail::to_text(each.place) + ")";
    };
    const auto refuse = [&](const std::string& why) {
        return outcome<>(failure{make_error_code(errc::bad_configuration), "route " + describe(route) + " " + why});
    };
    if (!pattern.starts_with('/'))
        return refuse("does not begin with a slash");

    http::endpoint compiled{chain_of(route.answers, route.group), route.options, {}};
    std::size_t at = 0;
    for (std::size_t slash = 0; slash < pattern.size();) {
        const std::size_t end = std::min(pattern.find('/', slash + 1), pattern.size());
        const std::string_view segment = std::string_view(pattern).substr(slash + 1, end - slash - 1);
        slash = end;
        if (!segment.starts_with(':') && !segment.starts_with('*')) {
            at = child(at, segment);
            continue;
        }
        const std::string name(segment.substr(1));
        if (name.empty())
            return refuse("has a parameter without a name");
        if (segment.front() == '*' && end != pattern.size())
            return refuse("goes on behind *" + name);
        if (std::ranges::find(compiled.names, name) != compiled.names.end())
            return refuse("has two parameters that are called " + name);
        if (compiled.names.size() == http::detail::most_parameters)
            return refuse("has too many parameters");
        compiled.names.push_back(name);
        at = child(segment.front() == ':' ? &node::parameter : &node::rest, at);
    }

    std::vector<answer>& answers = nodes_[at].answers;
    const bool is_any = route.methods == http::detail::all_methods;
    for (const answer& other : answers) {
        const bool other_is_any = other.methods == http::detail::all_methods;
        if (is_any == other_is_any && (other.methods & route.methods) != 0)
            return refuse("conflicts with " + describe(*other.written));
    }
    endpoints_.push_back(std::move(compiled));
    answers.insert(is_any ? answers.end() : answers.begin(), {route.methods, &endpoints_.back(), &route});
    return outcome<>();
}

inline std::size_t router::child(std::size_t parent, std::string_view text)
{
    auto& texts = nodes_[parent].texts;
    const auto place = std::ranges::lower_bound(texts, text, {}, &std::pair<std::string, std::size_t>::first);
    if (place != texts.end() && place->first == text)
        return place->second;
    const std::size_t made = nodes_.size();
    texts.insert(place, {std::string(text), made});
    nodes_.emplace_back();
    return made;
}

inline std::size_t router::child(std::size_t node::*kind, std::size_t parent)
{
    if (nodes_[parent].*kind == none) {
        nodes_[parent].*kind = nodes_.size();
        nodes_.emplace_back();
    }
    return nodes_[parent].*kind;
}

inline const http::endpoint& router::find(http::request_data& asked) const
{
    search state{.path = asked.parts.path, .method = http::detail::bit(asked.method)};
    const http::endpoint* found = nullptr;
    if (state.path.starts_with('/'))
        found = find(0, 0, state);
    if (found != nullptr) {
        for (std::size_t i = 0; i < found->names.size(); ++i)
            asked.parameters.push_back({found->names[i], state.values[i]});
        return *found;
    }
    // RFC 9110 9.3.7: "*" asks about the server as a whole.
    asked.allowed = state.path == "*" ? all_allowed_ : state.allowed;
    // RFC 9110 9.1: 501 for a method that is not known at all, 405 for one that this path does not have.
    if (asked.method == verb::unknown || asked.method == verb::connect)
        return *not_implemented_;
    if (asked.allowed == 0)
        return *not_found_;
    asked.allowed |= http::detail::bit(verb::options);
    return asked.method == verb::options ? *options_ : *not_allowed_;
}

// `slash` is where the next segment begins. Every node is reached by one path only, so that no set of routes makes
// this slow.
inline const http::endpoint* router::find(std::size_t at, std::size_t slash, search& state) const noexcept
{
    const node& here = nodes_[at];
    if (slash == state.path.size())
        return answer_of(here, state);
    const std::size_t end = std::min(state.path.find('/', slash + 1), state.path.size());
    const std::string_view segment = state.path.substr(slash + 1, end - slash - 1);

    const auto text_of = [](const auto& each) { return std::string_view(each.first); };
    const auto text = std::ranges::lower_bound(here.texts, segment, {}, text_of);
    if (text != here.texts.end() && text->first == segment) {
        if (const http::endpoint* found = find(text->second, end, state))
            return found;
    }
    if (here.parameter != none && !segment.empty()) {
        state.values[state.count++] = segment;
        if (const http::endpoint* found = find(here.parameter, end, state))
            return found;
        --state.count;
    }
    if (here.rest == none)
        return nullptr;
    state.values[state.count] = state.path.substr(slash + 1);
    return answer_of(nodes_[here.rest], state);
}

inline const http::endpoint* router::answer_of(const node& at, search& state) const noexcept
{
    for (const answer& each : at.answers) {
        if ((each.methods & state.method) != 0)
            return each.run;
        state.allowed |= each.methods;
    }
    return nullptr;
}

}

#endif
// ---- alos/http/json.hpp ----
// JSON bodies, by Boost.JSON: include this to use response::json(), and have <alos/src.hpp> in one .cpp.
#ifndef ALOS_HTTP_JSON_HPP
#define ALOS_HTTP_JSON_HPP


#include <boost/json/parse.hpp>
#include <boost/json/serializer.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_from.hpp>

#include <concepts>

namespace alos::inline v0 {

namespace http {

// What response::json() finds: a JSON value, or anything that boost::json::value_from() takes.
template <class Value>
void append_json(json_format, std::string& out, const Value& document)
{
    if constexpr (std::same_as<Value, boost::json::value> || std::same_as<Value, boost::json::object> ||
                  std::same_as<Value, boost::json::array> || std::same_as<Value, boost::json::string>) {
        boost::json::serializer text;
        text.reset(&document);
        std::array<char, 4096> piece;
        while (!text.done()) {
            const std::string_view next = text.read(piece.data(), piece.size());
            out.append(next);
        }
    } else {
        append_json(json_format{}, out, boost::json::value_from(document));
    }
}

}

// The document that `text` is, a request's body for example; RFC 8259. Nested 32 deep at most.
[[nodiscard]] inline result<boost::json::value> parse_json(std::string_view text)
{
    boost::system::error_code ec;
    boost::json::value document = boost::json::parse(text, ec);
    if (ec)
        return ec;
    return document;
}

}

#endif
// ---- alos/http/h1.hpp ----
// The HTTP/1.1 engine: what one request and its response need while they are worked on. RFC 9112.
#ifndef ALOS_HTTP_H1_HPP
#define ALOS_HTTP_H1_HPP


namespace alos::inline v0::http {

// Everything that a connection holds only while it works on requests: lend one from a pool when the first bytes of a
// request are at hand, give it back when the response has left. Using it again allocates nothing.
class h1_exchange {
public:
    alos::request request;
    alos::response response;
    h1_parser parser;
    http::call call;
    std::string out; // what is to be sent: the head, small bodies behind it, the framing of chunks

    h1_exchange() = default;
    h1_exchange(const h1_exchange&) = delete;
    h1_exchange& operator=(const h1_exchange&) = delete;

    [[nodiscard]] request_data& asked() noexcept { return access::data(request); }
    [[nodiscard]] response_data& answer() noexcept { return access::data(response); }

    // Makes room for the next request of the same connection. `limits` must outlive it.
    void start(const h1_limits& limits)
    {
        asked().clear();
        answer().clear();
        answer().request = &request;
        clear_keeping_some(out);
        parser.start(asked(), limits);
    }

    struct composed {
        h1_head head;
        std::string_view rest = {}; // of the body: to be sent behind `out`; a file is to be read from answer().file
    };

    // Composes the head into `out`, and the body behind it if it is small.
    [[nodiscard]] composed compose(std::string_view date, bool keep_alive)
    {
        composed result{.head = append_head(out, asked(), answer(), date, keep_alive)};
        if (result.head.framing != h1_framing::length)
            return result;
        if (answer().kind == body_kind::whole)
            result.rest = answer().body;
        if (answer().kind == body_kind::borrowed)
            result.rest = answer().borrowed;
        if (result.rest.size() <= small_body)
            out.append(std::exchange(result.rest, {}));
        return result;
    }
};

}

#endif
// ---- alos/http/exchange.hpp ----
// What a connection has only while it works on a request, so that it holds nearly nothing while it idles.
#ifndef ALOS_HTTP_EXCHANGE_HPP
#define ALOS_HTTP_EXCHANGE_HPP


#include <boost/asio/cancellation_signal.hpp>

#include <cstdint>
#include <string_view>

namespace alos::inline v0::http {

// Lent from a thread's pool; using one again allocates nothing.
struct exchange {
    h1_exchange h1;
    const endpoint* route = nullptr;
    h1_head head;
    bool composed = false;                   // the head is in h1.out
    bool reading_body = false;               // the header is complete
    bool waits_for_continue = false;         // the client sends its body when it is told to
    std::size_t sent = 0;                    // of h1.out
    std::string_view rest;                   // of the body, behind h1.out
    std::uint64_t received = 0;              // of the request's body
    std::uint64_t streamed = 0;              // of the response's body
    std::size_t read_ahead = 0;              // plaintext that the handler is looking at
    buffer chunk;                            // of a file
    boost::asio::cancellation_signal cancel; // for a handler that is a coroutine

    // Makes room for the next request. `limits` must outlive it.
    void start(const h1_limits& limits)
    {
        h1.start(limits);
        route = nullptr;
        head = {};
        composed = reading_body = waits_for_continue = false;
        sent = read_ahead = 0;
        rest = {};
        received = streamed = 0;
        chunk.release();
    }
};

}

#endif
// ---- alos/http/connection_log.hpp ----
// What a connection says in the log: who, in which phase, why, and what helps. Each asks first whether anybody wants to
// know.
#ifndef ALOS_HTTP_CONNECTION_LOG_HPP
#define ALOS_HTTP_CONNECTION_LOG_HPP


#include <boost/asio/ip/tcp.hpp>

#include <string>
#include <string_view>

namespace alos::inline v0::http {

// "192.0.2.1:40312", "[2001:db8::1]:40312", "unix".
[[nodiscard]] inline std::string text_of_client(const boost::asio::ip::tcp::endpoint& client)
{
    return client.port() == 0 ? "unix" : to_text(any_endpoint(client));
}

// What people can do about an error of a peer; empty if there is nothing to be said.
[[nodiscard]] inline std::string_view hint_for(const error_code& ec) noexcept
{
    if (ec == tls13::errc::http_request)
        return "the client has to write https://";
    if (ec == tls13::errc::tls13_not_offered)
        return "alos speaks TLS 1.3 only: the client needs a newer TLS library";
    if (ec == tls13::alert::unknown_ca || ec == tls13::alert::bad_certificate
        || ec == tls13::alert::certificate_unknown)
        return "the client does not trust the certificate";
    return {};
}

// The alert that an error of the peer was answered with; empty if none was.
[[nodiscard]] inline std::string_view alert_for(const error_code& ec) noexcept
{
    if (ec.category() != tls13::tls13_category() || ec == tls13::errc::http_request)
        return {};
    return name_of(tls13::describe(static_cast<tls13::errc>(ec.value())).sent);
}

template <class Log>
void log_handshake(const Log& log, const boost::asio::ip::tcp::endpoint& client, const tls13::negotiated& agreed)
{
    if (!log.takes(log_level::debug))
        return;
    const std::string peer = text_of_client(client);
    log_event(log, log_level::debug, "tls.handshake",
        {{"peer", peer},
         {"sni", agreed.server_name},
         {"suite", name_of(agreed.suite)},
         {"group", name_of(agreed.group)},
         {"scheme", name_of(agreed.scheme)},
         {"alpn", agreed.alpn}});
}

template <class Log>
void log_failure(const Log& log, log_level level, std::string_view event, const boost::asio::ip::tcp::endpoint& client,
                 std::string_view server_name, phase now, const error_code& ec)
{
    if (!log.takes(level))
        return;
    const std::string peer = text_of_client(client);
    const std::string reason = ec.message();
    log_event(log, level, event,
        {{"peer", peer},
         {"sni", server_name},
         {"phase", to_text(now)},
         {"reason", reason},
         {"alert", alert_for(ec)},
         {"hint", hint_for(ec)}});
}

template <class Log>
void log_refusal(const Log& log, const boost::asio::ip::tcp::endpoint& client, unsigned status, std::string_view reason)
{
    if (!log.takes(log_level::debug))
        return;
    const std::string peer = text_of_client(client);
    log_event(log, log_level::debug, "http.refused", {{"peer", peer}, {"status", status}, {"reason", reason}});
}

}

#endif
// ---- alos/http/serve.hpp ----
// The loop of one connection: handshake, requests, responses, goodbye. One coroutine that holds nearly nothing while
// the connection idles; what a request needs is lent from the thread's pool. RFC 9112 9.
#ifndef ALOS_HTTP_SERVE_HPP
#define ALOS_HTTP_SERVE_HPP


#include <boost/asio/error.hpp>
#include <boost/asio/socket_base.hpp>

#include <array>
#include <memory>

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

namespace alos::inline v0::http {

// Host is the thread's worker: what all its connections share. It has
//   log(), date(), limits() for h1, connections() (a watch), draining(), goes_on_after(requests), lend() and
//   take_back() of exchanges that are started, and leave(client), the last thing that a connection says.
// Routes finds the endpoint for a request: const endpoint& find(request_data&).
template <class Host, class Stream, class Routes>
class connection final : public watched, private body_io {
public:
    using socket_type = typename Stream::next_layer_type;

    template <class... Settings>
    connection(std::shared_ptr<Host> host, const Routes& routes, socket_type socket,
               boost::asio::ip::tcp::endpoint client, const Settings&... settings)
        : presence_{std::move(host), client}, routes_(routes), stream_(std::move(socket), settings...)
    {
        tell_local_address();
        presence_.host->connections().add(*this);
        enter(phase::handshake);
    }

    ~connection() { presence_.host->connections().remove(*this); }

    [[nodiscard]] auto get_executor() { return stream_.get_executor(); }

    // Whether there is something left to do for requests.
    [[nodiscard]] bool is_open() const noexcept { return open_; }

    [[nodiscard]] auto handshake()
    {
        return until([this](auto handler) { stream_.async_handshake(std::move(handler)); });
    }
    [[nodiscard]] auto fill()
    {
        return until([this](auto handler) { stream_.async_fill(std::move(handler)); });
    }
    [[nodiscard]] auto flush()
    {
        return until([this](auto handler) { stream_.async_flush(std::move(handler)); });
    }
    [[nodiscard]] auto shutdown()
    {
        return until([this](auto handler) { stream_.async_shutdown(std::move(handler)); });
    }
    [[nodiscard]] auto wait_for_more()
    {
        return until([this](auto handler) { socket().async_wait(socket_type::wait_read, std::move(handler)); });
    }
    [[nodiscard]] auto finish_coroutine(awaitable<>& work)
    {
        return until(get_executor(), work, exchange_->cancel.slot());
    }

    void shook_hands(error_code ec)
    {
        if (!ec) {
            if constexpr (has_tls) {
                log_handshake(host().log(), presence_.client, stream_.engine().negotiated());
                // RFC 8737 4: the handshake was all of it.
                open_ = open_ && stream_.engine().negotiated().alpn != tls13::acme_tls_protocol;
            }
            return;
        }
        open_ = false;
        if (ec == tls13::errc::http_request)
            answer_plain_http();
        // Who only looks whether the port is open, or is cut by us, is not worth a line.
        const bool silent = ec == alos::errc::truncated || is_gone(ec);
        silent_ = silent_ || silent;
        log_failure(silent ? log_level::debug : log_level::info, "tls.handshake", ec);
    }

    // Takes in what is at hand. True: a handler can run. False: input() or the end is next.
    [[nodiscard]] bool take_request()
    {
        while (open_) {
            const byte_view input = stream_.plaintext();
            if (input.empty() && !exchange_) {
                enter(phase::idle);
                leave_if_draining();
                return false;
            }
            if (!exchange_)
                lend();
            const h1_step step = exchange_->h1.parser.feed(input);
            const bool ready = take(step);
            stream_.consume(step.consumed);
            if (ready)
                return true;
            if (step.event == h1_event::need_more && step.consumed == input.size() && stream_.plaintext().empty()) {
                stay_in(exchange_->reading_body ? phase::body : phase::header);
                return false;
            }
        }
        return false;
    }

    // True: something is left that the socket did not take at once.
    [[nodiscard]] bool must_flush()
    {
        const error_code ec = stream_.try_flush();
        if (!ec)
            return false;
        enter(phase::write);
        return true;
    }

    void filled(error_code ec)
    {
        if (!ec)
            return;
        if (ec == boost::asio::error::operation_aborted && timed_out_ && exchange_ && open_) {
            refuse(408, "Request Timeout"); // RFC 9110 15.5.9
            return;
        }
        open_ = false;
        silent_ =
            silent_ || ec == alos::errc::truncated || (is_gone(ec) && ec != boost::asio::error::operation_aborted);
        if (ec.category() == tls13::tls13_category() || exchange_)
            log_failure(log_level::debug, "http.connection", ec);
    }

    void flushed(error_code ec)
    {
        if (!ec)
            return;
        open_ = false;
        silent_ = true;
        log_failure(log_level::debug, "http.connection", ec);
    }

    // Runs the handler. True: the response is complete. False: rest_of_answer() has to run.
    [[nodiscard]] bool answer()
    {
        enter(phase::handler);
        if (exchange_->h1.call.start(exchange_->route->run, exchange_->h1.request, exchange_->h1.response)) {
            note_exception();
            return true;
        }
        static_cast<void>(stream_.try_flush()); // the answers to requests that came before do not wait for this one
        exchange_->h1.answer().io = this;
        return false;
    }

    [[nodiscard]] awaitable<> rest_of_answer() { return exchange_->h1.call.rest(); }

    void answered(std::exception_ptr thrown)
    {
        exchange_->h1.call.finish(std::move(thrown));
        exchange_->h1.answer().io = nullptr;
        note_exception();
    }

    // Puts the response into the stream. False: the stream is full, flush and call again.
    [[nodiscard]] bool respond()
    {
        if (!open_)
            return true;
        if (!exchange_->composed && !compose())
            return true;
        do {
            std::string_view head = std::string_view(exchange_->h1.out).substr(exchange_->sent);
            const std::size_t before = head.size();
            const bool taken = put(head);
            exchange_->sent += before - head.size();
            if (!taken || !put(exchange_->rest))
                return !open_;
        } while (read_file());
        end_response();
        return true;
    }

    // Whether a proper end is still to be sent, or an alert; its deadline starts.
    [[nodiscard]] bool says_goodbye()
    {
        enter(phase::closing);
        return !silent_ && (stream_.engine().has_output() || stream_.engine().is_failed());
    }

    // Whether something of the last response is left. The goodbye leaves with it.
    [[nodiscard]] bool has_rest()
    {
        if (silent_)
            return false;
        stream_.engine().close();
        return must_flush();
    }

    // After an answer that came before its request was read: closing at once would destroy the answer on its way
    // (RFC 9112 9.6). Throws away what comes until the client closes, the deadline, or a limit.
    [[nodiscard]] bool lingers()
    {
        if (!unread_ || silent_)
            return false;
        error_code ec;
        if (!half_closed_)
            socket().shutdown(boost::asio::socket_base::shutdown_send, ec);
        half_closed_ = true;
        std::array<std::uint8_t, 16 * 1024> ignored;
        for (std::size_t n = 1; !ec && n > 0 && lingered_ < most_lingered; lingered_ += n)
            n = socket().read_some(boost::asio::buffer(ignored), ec);
        return ec == boost::asio::error::would_block || ec == boost::asio::error::try_again;
    }

    void lingered(error_code ec) noexcept { unread_ = unread_ && !ec; }

    // watched:

    void drain() noexcept override
    {
        if (now_in() == phase::idle)
            cancel();
        if constexpr (has_tls) {
            if (now_in() == phase::handshake && !stream_.engine().has_begun())
                cut(); // nobody is waiting for an answer
        }
    }

    void expire() noexcept override
    {
        timed_out_ = true;
        log_failure(log_level::debug, "server.deadline", alos::errc::timed_out);
        if (now_in() == phase::idle || now_in() == phase::header || now_in() == phase::body)
            cancel();
        else
            cut();
    }

    // While a coroutine answers, nobody reads: without this it would never learn that its client is gone.
    [[nodiscard]] bool is_abandoned() noexcept override
    {
        ::pollfd client{.fd = socket().native_handle(), .events = POLLRDHUP, .revents = 0};
        return ::poll(&client, 1, 0) > 0;
    }

    void cut() noexcept override
    {
        open_ = false;
        silent_ = true;
        error_code ignored;                                         // it may be closed already
        if (now_in() == phase::write || now_in() == phase::closing) // what was not taken so far is thrown away
            socket().set_option(boost::asio::socket_base::linger(true, 0), ignored);
        socket().close(ignored);
        if (exchange_)
            exchange_->cancel.emit(boost::asio::cancellation_type::terminal);
    }

    [[nodiscard]] std::uint64_t progress() noexcept override
    {
        if (now_in() == phase::body)
            return exchange_ ? exchange_->received : 0;
        int queued = 0; // in the kernel
        ::ioctl(socket().native_handle(), SIOCOUTQ, &queued);
        return stream_.engine().output_size() + static_cast<std::uint64_t>(queued);
    }

private:
    static constexpr bool has_tls = requires(Stream s) { s.engine().negotiated(); };
    static constexpr std::size_t most_lingered = 4 * 1024 * 1024;
    static constexpr std::size_t file_chunk = 64 * 1024;

    [[nodiscard]] Host& host() const noexcept { return *presence_.host; }
    [[nodiscard]] socket_type& socket() noexcept { return stream_.next_layer(); }

    // For clients that name no host: a certificate may be stored under the address.
    void tell_local_address()
    {
        if constexpr (requires { stream_.engine().set_local_address(byte_view()); }) {
            error_code ec;
            const any_endpoint endpoint = socket().local_endpoint(ec);
            if (!ec)
                stream_.engine().set_local_address(address_bytes(endpoint));
        }
    }

    void enter(phase now) noexcept { host().connections().enter(*this, now); }

    // A deadline that has started goes on.
    void stay_in(phase now) noexcept
    {
        if (now_in() != now)
            enter(now);
    }

    void cancel() noexcept
    {
        error_code ignored;
        socket().cancel(ignored);
    }

    void leave_if_draining()
    {
        if (host().draining())
            open_ = false;
    }

    static bool is_gone(const error_code& ec) noexcept
    {
        return ec == boost::asio::error::operation_aborted || ec == boost::asio::error::connection_reset
               || ec == boost::asio::error::broken_pipe || ec == boost::asio::error::bad_descriptor;
    }

    void lend()
    {
        exchange_ = host().lend();
        request_data& asked = exchange_->h1.asked();
        asked.client = presence_.client;
        if constexpr (has_tls) {
            const auto& agreed = stream_.engine().negotiated();
            asked.tls = {"TLSv1.3", name_of(agreed.suite), name_of(agreed.group), agreed.server_name, agreed.alpn};
        } else {
            asked.tls.reset();
        }
    }

    // What one step of the parser means. True: a handler can run.
    [[nodiscard]] bool take(const h1_step& step)
    {
        exchange& now = *exchange_;
        switch (step.event) {
        case h1_event::need_more: return false;
        case h1_event::header: return take_header();
        case h1_event::body:
            now.received += step.data.size();
            now.h1.asked().body.append(step.data);
            return false;
        case h1_event::complete: return true;
        case h1_event::error: refuse(step.error); return false;
        }
        return false;
    }

    [[nodiscard]] bool take_header()
    {
        exchange& now = *exchange_;
        request_data& asked = now.h1.asked();
        now.route = &routes_.find(asked);
        now.reading_body = true;
        if (now.route->options.streamed)
            asked.io = this;
        if (!now.h1.parser.has_body())
            return now.route->options.streamed;
        now.h1.parser.body_limit(now.route->options.body_limit.value_or(host().limits().body));
        now.waits_for_continue = asked.expects_continue;
        if (now.route->options.streamed)
            return true;
        const h1_step next = now.h1.parser.feed({}); // a body that is announced to be too long
        if (next.event == h1_event::error)
            refuse(next.error);
        else if (next.event == h1_event::need_more)
            send_continue();
        return false;
    }

    // RFC 9110 10.1.1
    void send_continue()
    {
        if (std::exchange(exchange_->waits_for_continue, false))
            static_cast<void>(stream_.write(as_bytes(continue_head)));
    }

    // A request that cannot be read: what follows it cannot be told from its rest.
    void refuse(errc why) { refuse(status_of(why), make_error_code(why).message()); }

    void refuse(unsigned status, std::string_view why)
    {
        std::string text;
        append_error(text, status, why, host().date());
        static_cast<void>(stream_.write(as_bytes(text)));
        open_ = false;
        unread_ = true;
        log_refusal(host().log(), presence_.client, status, why);
    }

    // Moves the front of `text` into the stream; true if that was all of it.
    [[nodiscard]] bool put(std::string_view& text)
    {
        while (!text.empty()) {
            const std::size_t taken = stream_.write(as_bytes(text));
            text.remove_prefix(taken);
            if (taken > 0)
                continue;
            if (!stream_.engine().has_output()) // not full, but over
                flushed(alos::errc::closed);
            return false;
        }
        return true;
    }

    // Whether the connection would go on behind this response.
    [[nodiscard]] bool would_go_on() noexcept { return host().goes_on_after(++requests_); }

    // The head, and what goes behind it. False: the response has failed.
    [[nodiscard]] bool compose()
    {
        exchange& now = *exchange_;
        response_data& answer = now.h1.answer();
        now.composed = true;
        if (answer.head_sent) { // by the handler, and pieces of the body
            now.h1.out.clear();
        } else {
            const bool read = reads_to_end();
            const auto composed = now.h1.compose(host().date(), would_go_on() && read);
            now.head = composed.head;
            now.rest = composed.rest;
            if (answer.kind != body_kind::streamed)
                return true;
        }
        if (now.head.framing == h1_framing::chunked && !answer.aborted)
            append_last_chunk(now.h1.out, answer);
        if (now.head.framing == h1_framing::length && now.streamed != answer.declared_length)
            answer.aborted = true;
        if (!answer.aborted)
            return true;
        if (!now.h1.call.failure()) // which has been logged
            log_failure(log_level::warning, "http.response", make_error_code(errc::response_unfinished));
        static_cast<void>(stream_.try_flush());
        cut(); // the client has to see that this is not the whole of it
        return false;
    }

    // The next piece of a file. False: there is none.
    [[nodiscard]] bool read_file()
    {
        exchange& now = *exchange_;
        file_body& file = now.h1.answer().file;
        if (now.h1.answer().kind != body_kind::file || now.head.framing != h1_framing::length || file.left() == 0)
            return false;
        const byte_span room = now.chunk.prepare(file_chunk).first(file_chunk);
        const result<std::size_t> size = file.read(room);
        if (!size) {
            log_failure(log_level::warning, "http.response", size.error());
            cut();
            return false;
        }
        now.rest = as_text(room.first(*size));
        return true;
    }

    // Whether the request is read to its end, as far as it is at hand: nobody asks for the last chunk of a body.
    [[nodiscard]] bool reads_to_end()
    {
        h1_parser& parser = exchange_->h1.parser;
        stream_.consume(std::exchange(exchange_->read_ahead, 0));
        while (!parser.done()) {
            const h1_step step = parser.feed(stream_.plaintext());
            stream_.consume(step.consumed);
            if (step.event != h1_event::complete && (step.event != h1_event::body || !step.data.empty()))
                return false;
        }
        return true;
    }

    void end_response()
    {
        if (!reads_to_end()) {
            unread_ = true; // and not worth reading
            open_ = false;
        }
        open_ = open_ && exchange_->head.keep_alive;
        exchange_->start(host().limits()); // at once, so that the pool keeps no bodies
        if (!open_ || stream_.plaintext().empty())
            host().take_back(std::move(exchange_));
    }

    // body_io: what a coroutine handler streams. Errors are thrown into it.

    awaitable<std::string_view> read_some() override
    {
        exchange& now = *exchange_;
        stream_.consume(std::exchange(now.read_ahead, 0));
        while (true) {
            throw_if_cut();
            const h1_step step = now.h1.parser.feed(stream_.plaintext());
            if (step.event == h1_event::body && !step.data.empty()) {
                now.read_ahead = step.consumed;
                now.received += step.data.size();
                co_return step.data;
            }
            stream_.consume(step.consumed);
            if (step.event == h1_event::complete)
                co_return std::string_view{};
            if (step.event == h1_event::error)
                throw boost::system::system_error(make_error_code(step.error));
            if (step.event != h1_event::need_more || !stream_.plaintext().empty())
                continue;
            send_continue();
            enter(phase::body);
            if (stream_.try_flush())
                co_await stream_.async_flush();
            const auto [ec] = co_await stream_.async_fill(boost::asio::as_tuple);
            if (ec)
                throw boost::system::system_error(timed_out_ ? make_error_code(errc::body_too_slow) : ec);
            enter(phase::handler);
        }
    }

    awaitable<> write(std::string_view piece) override
    {
        exchange& now = *exchange_;
        response_data& answer = now.h1.answer();
        throw_if_cut();
        std::string& out = now.h1.out;
        out.clear();
        if (!answer.head_sent) {
            now.head = append_head(out, now.h1.asked(), answer, host().date(), would_go_on());
            answer.head_sent = true;
        }
        if (now.head.framing == h1_framing::none)
            piece = {};
        if (now.head.framing == h1_framing::length && piece.size() > *answer.declared_length - now.streamed)
            throw std::length_error("the response is longer than its Content-Length");
        const bool is_chunk = now.head.framing == h1_framing::chunked && !piece.empty();
        if (is_chunk)
            append_chunk_start(out, piece.size());
        now.streamed += piece.size();
        enter(phase::write);
        std::array<std::string_view, 3> parts{out, piece, is_chunk ? chunk_end : std::string_view{}};
        for (std::string_view& part : parts) {
            while (!put(part)) {
                throw_if_cut();
                co_await stream_.async_flush();
            }
        }
        if (stream_.try_flush())
            co_await stream_.async_flush();
        enter(phase::handler);
    }

    void throw_if_cut() const
    {
        if (!open_)
            throw boost::system::system_error(make_error_code(alos::errc::closed));
    }

    // For people who type http:// and the port of https.
    void answer_plain_http()
    {
        constexpr std::string_view page = "HTTP/1.1 400 Bad Request\r\n"
                                          "Content-Type: text/plain; charset=utf-8\r\n"
                                          "Content-Length: 60\r\n"
                                          "Connection: close\r\n\r\n"
                                          "This port speaks HTTPS only: write https:// in the address.\n";
        error_code ignored;
        socket().write_some(boost::asio::buffer(page), ignored);
    }

    // What the middleware did not deal with.
    void note_exception()
    {
        const std::exception_ptr& thrown = exchange_->h1.call.failure();
        if (!thrown)
            return;
        const std::string what = text_of_exception(thrown);
        const log_level level = !open_ || timed_out_ || is_of_the_client(thrown) ? log_level::debug : log_level::error;
        const std::string peer = text_of_client(presence_.client);
        log_event(host().log(), level, "http.exception",
            {{"peer", peer},
             {"method", exchange_->h1.request.method_text()},
             {"path", exchange_->h1.request.path()},
             {"what", what}});
    }

    void log_failure(log_level level, std::string_view event, error_code ec) noexcept
    {
        std::string_view name;
        if constexpr (has_tls)
            name = stream_.engine().negotiated().server_name;
        try {
            http::log_failure(host().log(), level, event, presence_.client, name, now_in(), ec);
        } catch (const std::bad_alloc&) { // for the text: then without a word
        }
    }

    // Says goodbye to the host, when all else of the connection is gone.
    struct presence {
        std::shared_ptr<Host> host;
        boost::asio::ip::tcp::endpoint client;
        ~presence() { host->leave(client); }
    };

    const presence presence_;
    const Routes& routes_;
    Stream stream_;
    std::unique_ptr<exchange> exchange_;
    std::uint32_t requests_ = 0;
    std::uint32_t lingered_ = 0;
    bool open_ = true;
    bool silent_ = false; // nobody is there to say goodbye to
    bool unread_ = false; // the client has sent, or will send, what nobody wants to read
    bool half_closed_ = false;
    bool timed_out_ = false;
};

// Serves one connection until its end. The coroutine owns the connection.
template <class Stream, class Host, class Routes, class... Settings>
task serve(std::shared_ptr<Host> host, const Routes& routes, typename Stream::next_layer_type socket,
           boost::asio::ip::tcp::endpoint client, const Settings&... settings)
{
    connection<Host, Stream, Routes> c(std::move(host), routes, std::move(socket), client, settings...);
    c.shook_hands(co_await c.handshake());
    while (c.is_open()) {
        if (c.take_request()) {
            if (!c.answer()) {
                awaitable<> work = c.rest_of_answer();
                c.answered(co_await c.finish_coroutine(work));
            }
            while (!c.respond()) {
                if (c.must_flush())
                    c.flushed(co_await c.flush());
            }
        } else if (c.must_flush()) {
            c.flushed(co_await c.flush());
        } else if (c.is_open()) {
            c.filled(co_await c.fill());
        }
    }
    if (c.has_rest())
        c.flushed(co_await c.flush());
    if (c.says_goodbye())
        static_cast<void>(co_await c.shutdown());
    while (c.lingers())
        c.lingered(co_await c.wait_for_more());
}

}

#endif
// ---- alos/http/plain.hpp ----
// The engine that is none: what TLS encrypts and decrypts, this passes on. With it one stream and one serve loop carry
// HTTP without TLS as well. Pure.
#ifndef ALOS_HTTP_PLAIN_HPP
#define ALOS_HTTP_PLAIN_HPP


#include <boost/asio/error.hpp>

#include <algorithm>

namespace alos::inline v0::http {

// A tls13::engine without a handshake: connected from the start, never failed.
class plain_engine {
public:
    [[nodiscard]] byte_span prepare(std::size_t wanted) { return input_.prepare(wanted); }
    void commit(std::size_t size) noexcept { input_.commit(size); }

    // There is no other goodbye here than the end of the transport.
    void end_of_input() noexcept { ended_ = true; }

    [[nodiscard]] byte_view plaintext() const noexcept { return input_.data(); }
    void consume(std::size_t size) noexcept { input_.consume(size); }

    // Less than all when much is waiting already; 0 after close().
    [[nodiscard]] std::size_t write(byte_view data)
    {
        const std::size_t waiting = sending_.size() + queued_.size();
        if (closed_ || waiting >= most_waiting)
            return 0;
        const byte_view taken = data.first(std::min(data.size(), most_waiting - waiting));
        queued_.append(taken);
        return taken.size();
    }

    [[nodiscard]] bool has_output() const noexcept { return !sending_.empty() || !queued_.empty(); }
    [[nodiscard]] std::size_t output_size() const noexcept { return sending_.size() + queued_.size(); }

    // Two buffers: what is being sent does not move while more is written.
    [[nodiscard]] byte_view output() noexcept
    {
        if (sending_.empty())
            sending_.swap(queued_);
        return std::as_const(sending_).data();
    }

    void consume_output(std::size_t size) noexcept { sending_.consume(size); }

    [[nodiscard]] tls13::want wants() const noexcept
    {
        return ended_ ? tls13::want::nothing : tls13::want::input;
    }

    [[nodiscard]] error_code error() const noexcept
    {
        return ended_ ? error_code(boost::asio::error::eof) : error_code();
    }

    [[nodiscard]] bool is_connected() const noexcept { return true; }
    [[nodiscard]] bool is_failed() const noexcept { return false; }

    void close() noexcept { closed_ = true; }

    std::size_t discard_input() noexcept
    {
        const std::size_t size = input_.size();
        input_.consume(size);
        return size;
    }

    // Gives memory back, as far as it is empty.
    void release() noexcept
    {
        for (buffer* each : {&input_, &sending_, &queued_}) {
            if (each->empty())
                each->release();
        }
    }

    void pause() const noexcept {}

private:
    static constexpr std::size_t most_waiting = 256 * 1024;

    buffer input_;
    buffer sending_;
    buffer queued_;
    bool ended_ = false;
    bool closed_ = false;
};

static_assert(tls13::engine<plain_engine>);

}

#endif
// ---- alos/http/outbound.hpp ----
// What is asked of another server and what it answers, as values: between those who ask (ACME, DNS providers, the
// challenge proxy) and the client that asks over a network, or a script in a test.
#ifndef ALOS_HTTP_OUTBOUND_HPP
#define ALOS_HTTP_OUTBOUND_HPP


#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::http {

// Whom a client believes. The system's authorities, and more.
struct trust {
    std::string roots_pem{};   // further authorities, PEM
    bool system_roots = true;  // also those of the operating system
};

// A field's name and its value (RFC 9110 5).
using outbound_fields = std::vector<std::pair<std::string, std::string>>;

struct outbound_request {
    std::string method = "GET";
    std::string url{};          // absolute, http or https
    outbound_fields fields{};   // Host, User-Agent, Content-Length and Connection are set by the client
    std::string body{};
    std::size_t max_body = 1 << 20;             // bytes of the answer; a longer one fails
    std::chrono::milliseconds timeout{30'000};  // for all of it, redirects included
    unsigned max_redirects = 0;                 // followed for GET and HEAD only
    std::shared_ptr<const trust> authorities{}; // null: those of the operating system
};

struct outbound_response {
    unsigned status = 0;
    outbound_fields fields{};
    std::string body{};
    std::string url{}; // where it came from, after redirects

    // The first field of this name (case does not matter); empty if there is none.
    [[nodiscard]] std::string_view field(std::string_view name) const noexcept
    {
        for (const auto& [each, value] : fields) {
            if (equal_ignoring_case(each, name))
                return value;
        }
        return {};
    }
};

}

#endif
// ---- alos/acme/solver.hpp ----
// The three ways to prove control of a name (RFC 8555 8, RFC 8737), and what publishes DNS records for the third.
#ifndef ALOS_ACME_SOLVER_HPP
#define ALOS_ACME_SOLVER_HPP


#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace alos::inline v0::acme {

enum class challenge_type : std::uint8_t { http_01, tls_alpn_01, dns_01 };

[[nodiscard]] constexpr std::string_view name_of(challenge_type type) noexcept
{
    switch (type) {
    case challenge_type::http_01: return "http-01";
    case challenge_type::tls_alpn_01: return "tls-alpn-01";
    case challenge_type::dns_01: return "dns-01";
    }
    return {};
}

// Adds and removes one value of a TXT record (RFC 8555 8.4), and touches no other value of the same name: several may
// stand there at once. Called on the manager's thread; several calls may be under way together.
class dns_solver {
public:
    virtual ~dns_solver() = default;

    // `name` is "_acme-challenge.example.com". Returns when the value can be seen in the DNS.
    [[nodiscard]] virtual boost::asio::awaitable<outcome<>> present(std::string name, std::string value) = 0;

    // A value that is not there is removed already.
    [[nodiscard]] virtual boost::asio::awaitable<outcome<>> clean_up(std::string name, std::string value) = 0;
};

}

#endif
// ---- alos/acme/answers.hpp ----
// The answers to http-01 challenges that are to be given on the port of plain HTTP (RFC 8555 8.3).
#ifndef ALOS_ACME_ANSWERS_HPP
#define ALOS_ACME_ANSWERS_HPP

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace alos::inline v0::acme {

// By token. All members may be called from any thread.
class answers {
public:
    // RFC 8555 8.1: `key_authorization` is the whole answer.
    void put(std::string_view token, std::string_view key_authorization)
    {
        const std::lock_guard lock(mutex_);
        answers_.insert_or_assign(std::string(token), std::string(key_authorization));
    }

    void remove(std::string_view token)
    {
        const std::lock_guard lock(mutex_);
        if (const auto found = answers_.find(token); found != answers_.end())
            answers_.erase(found);
    }

    // Where else find() looks: for answers that other processes have left in a storage they share. It is called from
    // every thread of the server, and perhaps for a moment after it was replaced. Null: nowhere.
    using lookup = std::function<std::optional<std::string>(std::string_view token)>;
    void also_look_in(lookup elsewhere)
    {
        auto next = elsewhere ? std::make_shared<const lookup>(std::move(elsewhere)) : nullptr;
        const std::lock_guard lock(mutex_);
        elsewhere_.swap(next);
    }

    [[nodiscard]] std::optional<std::string> find(std::string_view token) const
    {
        std::shared_ptr<const lookup> elsewhere;
        {
            const std::lock_guard lock(mutex_);
            if (const auto found = answers_.find(token); found != answers_.end())
                return found->second;
            elsewhere = elsewhere_;
        }
        return elsewhere ? (*elsewhere)(token) : std::nullopt;
    }

private:
    mutable std::mutex mutex_;
    std::map<std::string, std::string, std::less<>> answers_;
    std::shared_ptr<const lookup> elsewhere_;
};

}

#endif
// ---- alos/acme/config.hpp ----
// What an operator says about certificates: for which names, from whom, how, and where they are kept.
#ifndef ALOS_ACME_CONFIG_HPP
#define ALOS_ACME_CONFIG_HPP


#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

inline constexpr const char* lets_encrypt = "https://acme-v02.api.letsencrypt.org/directory";
inline constexpr const char* lets_encrypt_staging = "https://acme-staging-v02.api.letsencrypt.org/directory";

// How much is asked of one CA, so that its own limits are never met (token buckets: `burst` at once, then one more every
// `refill`). Zero as `burst` is no limit.
struct rate {
    unsigned burst = 0;
    std::chrono::seconds refill{0};
};

struct certificate_authority {
    std::string directory = lets_encrypt; // RFC 8555 7.1.1
    std::string eab_kid{};                // RFC 8555 7.3.4, both or none
    std::string eab_hmac_key{};           // base64url, as the CA gives it
    std::string roots_file{};             // PEM; authorities for its HTTPS beside the system's
    std::string profile{};                // "tlsserver", "shortlived"; empty: the CA's default
    std::string preferred_chain{};        // common name of the topmost issuer; empty: the CA's default
    bool allow_http = false;              // directory by plain http; for tests only

    // Below what Let's Encrypt allows: 300 orders per account in 3 hours, 10 accounts per address in 3 hours.
    rate orders{250, std::chrono::seconds(45)};
    rate accounts{5, std::chrono::seconds(2160)};
};

// The names of one certificate: "example.com", or {"example.com", "*.example.com"}. The first one names it in files
// and logs. Addresses are names, too (RFC 8738).
struct certificate_names {
    certificate_names(const char* name) : names{name} {}
    certificate_names(std::string name) : names{std::move(name)} {}
    certificate_names(std::initializer_list<std::string> several) : names(several) {}
    explicit certificate_names(std::vector<std::string> several) : names(std::move(several)) {}

    std::vector<std::string> names;
    std::string email{}; // of the account for this one; empty: that of the configuration
};

// What answers for a name until its first certificate is there.
enum class before_issuance {
    self_signed,       // a self-signed certificate for it
    unrecognized_name, // that alert (RFC 6066 3)
};

struct config {
    std::string email{};                     // of the account; may be empty
    std::vector<certificate_names> domains{}; // each entry is one certificate
    std::string cache_dir = ".alos-certs";   // a folder of certbot's is read, never written

    // In the order in which they are tried.
    std::vector<certificate_authority> cas = {certificate_authority{}};

    // One certificate for each of them.
    std::vector<key_kind> key_types = {key_kind::ecdsa_p256};

    // Those that fit a name, in this order; dns-01 takes part if there is a `dns`.
    std::vector<challenge_type> challenges = {challenge_type::http_01, challenge_type::tls_alpn_01,
                                              challenge_type::dns_01};
    std::shared_ptr<dns_solver> dns{};

    // "host:port": plain HTTP there answers the http-01 challenges that are not our own.
    std::string acme_node{};

    // Where the CA connects to, for the check from here before it does.
    std::uint16_t http01_port = 80;
    std::uint16_t tls_alpn01_port = 443;
    bool self_check = true;

    std::string resolver{}; // "address" or "address:port"; empty: those of /etc/resolv.conf
    before_issuance until_then = before_issuance::self_signed;
    unsigned orders_at_once = 16;
    unsigned generations_kept = 5;
};

}

#endif
// ---- alos/acme/service.hpp ----
// What a server and its certificate manager know of each other. The manager (acme/manager.hpp) is only compiled into
// programs that include <alos/acme.hpp>; a server finds it through here.
#ifndef ALOS_ACME_SERVICE_HPP
#define ALOS_ACME_SERVICE_HPP


#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace alos::inline v0::acme {

// One configured certificate and where it stands. Times that are not known are zero.
struct certificate_status {
    std::string id; // as in the storage: "example.com.ecdsa-p256"
    std::vector<std::string> names;
    std::string key_type;
    std::string issuer; // empty while there is none
    std::chrono::system_clock::time_point not_before{};
    std::chrono::system_clock::time_point not_after{};
    std::chrono::system_clock::time_point next_attempt{};
    unsigned failures = 0; // in a row
    std::string last_error;
    std::string ca; // the directory it is from, or will be asked for it next
    std::string profile;
    std::uint64_t generation = 0;
};

// Something that happened to a certificate.
enum class event_kind : std::uint8_t {
    loaded,          // from the storage, at start or because another process renewed it
    account_created,
    account_reused,
    obtained,        // the first one
    renewed,
    renewal_failed,
    unreadable,      // something in the storage cannot be used
    window_changed,  // the CA wants it renewed at another time (RFC 9773)
    revoked,
    progress,        // a step of an issuance
};

struct event {
    event_kind kind;
    std::string id;
    std::string message; // one sentence
};

// What the manager is given. All of it outlives the service.
struct host {
    cert::registry& certificates;
    answers& http01;
    // Writes to the server's log; from any thread.
    std::function<void(log_level, std::string_view event, std::initializer_list<log_field> fields)> log;
};

// All members may be called from any thread, before and after start().
class service {
public:
    virtual ~service() = default;

    // Adds these settings: their domains to the others, the rest in place of what was there. Serves what the storage
    // has; the network comes later.
    [[nodiscard]] virtual outcome<> configure(config settings) = 0;

    [[nodiscard]] virtual outcome<> add_domain(certificate_names names) = 0;

    // Its certificates are no longer served nor renewed; the storage keeps them.
    [[nodiscard]] virtual outcome<> remove_domain(std::string_view domain) = 0;

    // Begins to work, on a thread of its own.
    [[nodiscard]] virtual outcome<> start() = 0;

    // Cancels what is under way, keeps what is needed to go on with it, and takes the answers to challenges away.
    // Returns when that is done, after 5 seconds at most.
    virtual void stop() noexcept = 0;

    [[nodiscard]] virtual std::vector<certificate_status> certificates() const = 0;
    [[nodiscard]] virtual std::string certificates_json() const = 0;

    // A new certificate with a new key now, whatever the time; done when it is served or when the attempt failed.
    // `told` is called on the manager's thread with every step. May be awaited on any executor.
    [[nodiscard]] virtual boost::asio::awaitable<outcome<>>
    force_renew(std::string domain, std::function<void(const event&)> told = {}) = 0;

    // The certificate for that name, ordered if there is none. Those who ask for one at the same time share an order.
    [[nodiscard]] virtual boost::asio::awaitable<outcome<cert::credential_ptr>> obtain(std::string name) = 0;

    // Revokes the current certificate for a reason of RFC 5280 5.3.1 (0, 1, 4, 5), and replaces it with a new key.
    [[nodiscard]] virtual boost::asio::awaitable<outcome<>> revoke(std::string domain, unsigned reason = 0) = 0;

    // Called with every event, on the manager's thread; set it before start().
    std::function<void(const event&)> on_event;
};

// Makes the manager; set by <alos/acme.hpp> where a program includes it.
using maker = std::unique_ptr<service> (*)(host);
inline std::atomic<maker> make_service{nullptr};

}

#endif
// ---- alos/policy.hpp ----
// What a server is made of. Derive from default_policy and replace what you want to be otherwise:
//
//     struct my_policy : alos::default_policy { using log = my_log; };
//     alos::basic_server<my_policy> app({.addr = ":8443"});
#ifndef ALOS_POLICY_HPP
#define ALOS_POLICY_HPP


#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include <chrono>
#include <cstddef>

namespace alos::inline v0 {

// How many and how much. Zero is no limit, but for h1.
struct limits {
    std::size_t connections = 10'000;            // at once
    std::size_t connections_per_address = 2'000; // at once, from an IPv4 address or an IPv6 /64
    std::uint32_t requests_per_connection = 0;
    http::h1_limits h1{};
};

// No older version than TLS 1.3 is spoken.
struct no_fallback {};

struct default_policy {
    // A crypto_provider.
    using crypto = botan_crypto;

    // The socket of a connection, over the executor it runs on.
    template <class Executor>
    using socket = boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, Executor>;

    // TLS over that socket, and no TLS.
    template <class Crypto, class Socket>
    using tls_stream = tls13::stream<Socket, tls13::server_engine_for<Crypto>>;
    template <class Socket>
    using plain_stream = tls13::stream<Socket, http::plain_engine>;

    // Who takes over the clients that do not offer TLS 1.3.
    using fallback = no_fallback;

    // Measures deadlines.
    using clock = std::chrono::steady_clock;

    // See logger for what it has to have.
    using log = logger;

    // Their default values are the server's.
    using limits = alos::limits;
    using deadlines = alos::deadlines;
};

}

#endif
// ---- alos/server/config.hpp ----
// The settings of a server, each with a default that serves.
#ifndef ALOS_SERVER_CONFIG_HPP
#define ALOS_SERVER_CONFIG_HPP


#include <cstdint>
#include <string>
#include <vector>

namespace alos::inline v0 {

template <class Policy>
struct basic_server_config {
    // Where HTTPS is spoken: "host:port", "[::1]:port", ":port" for every address, "unix:/path". Port 0 takes a free
    // one. Sockets from the service manager (LISTEN_FDS) take its place.
    std::string addr = ":8443";

    // Where plain HTTP is redirected to HTTPS and ACME challenges are answered; empty: nowhere.
    std::string http_addr{};

    // One certificate with its key, PEM; it answers to the names it contains.
    std::string tls_cert_file{};
    std::string tls_key_file{};

    // Certificates by name: domain, cert_file, key_file, passphrase.
    std::vector<cert::file_settings> certs{};

    // Who answers clients that ask for no name or an unknown one; empty: the first certificate.
    std::string default_domain{};

    // Where a self-signed certificate is kept when no other is given.
    cert::self_signed_files self_signed{};

    // Certificates by ACME: .acme = {.email = "admin@example.com", .domains = {"example.com", "www.example.com"}}.
    // Needs <alos/acme.hpp> in one .cpp of the program. Used when there are domains here or when one is added later.
    alos::acme::config acme{};

    // Threads that serve, each with its own listening socket; 0: one per core.
    unsigned threads = 0;

    // Threads that sign with keys too slow for those (RSA), started when first needed; 0: half as many as serve.
    unsigned signing_threads = 0;

    // The port that redirects name; 0: that of addr. For servers behind something that maps ports.
    std::uint16_t public_port = 0;

    typename Policy::deadlines deadlines{};
    typename Policy::limits limits{};

    // Suites, groups, preference, the size of handshake messages, padding. `certificates` is set by the server, and
    // `alpn` too if it is empty.
    tls13::server_config tls{};

    log_settings log{};
};

using server_config = basic_server_config<default_policy>;

}

#endif
// ---- alos/server/admission.hpp ----
// How many connections are let in: in total, and from one address.
#ifndef ALOS_SERVER_ADMISSION_HPP
#define ALOS_SERVER_ADMISSION_HPP


#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>

namespace alos::inline v0 {

// Who a connection is counted for: an IPv4 address or an IPv6 network of 64 bits, which is what one customer has.
// All zero for a Unix socket, which is counted in total only.
using client_key = std::array<std::uint8_t, 8>;

inline client_key client_key_of(const boost::asio::ip::address& address)
{
    client_key key{};
    if (address.is_v4()) {
        const auto bytes = address.to_v4().to_bytes();
        key[1] = 0xff; // no IPv6 network that is routed has 0x00ff in front
        std::copy(bytes.begin(), bytes.end(), key.begin() + 4);
    } else {
        const auto bytes = address.to_v6().to_bytes();
        std::copy(bytes.begin(), bytes.begin() + 8, key.begin());
        key[0] |= address.is_loopback() ? 1 : 0; // ::1 is not the network of ::
    }
    return key;
}

// Shared by all threads of a server, and asked when a connection comes and goes only.
class admission {
public:
    // Zero is no limit.
    admission(std::size_t total, std::size_t per_address) noexcept : total_(total), per_address_(per_address) {}

    // Whether one more may come; if so, it has been counted. Only memory exhaustion throws, and counts nothing.
    [[nodiscard]] bool enter(const client_key& client)
    {
        if (open_.fetch_add(1, std::memory_order_relaxed) >= total_ && total_ != 0) {
            open_.fetch_sub(1, std::memory_order_relaxed);
            return false;
        }
        if (per_address_ == 0 || client == client_key{})
            return true;
        try {
            const std::lock_guard lock(mutex_);
            std::size_t& count = clients_[client];
            if (count < per_address_) {
                ++count;
                return true;
            }
        } catch (...) {
            open_.fetch_sub(1, std::memory_order_relaxed);
            throw;
        }
        open_.fetch_sub(1, std::memory_order_relaxed);
        return false;
    }

    void leave(const client_key& client) noexcept
    {
        open_.fetch_sub(1, std::memory_order_relaxed);
        if (per_address_ == 0 || client == client_key{})
            return;
        const std::lock_guard lock(mutex_);
        const auto found = clients_.find(client);
        if (found != clients_.end() && --found->second == 0)
            clients_.erase(found);
    }

    [[nodiscard]] std::size_t open() const noexcept { return open_.load(std::memory_order_relaxed); }

private:
    struct hash {
        std::size_t operator()(const client_key& key) const noexcept
        {
            std::uint64_t bits = 0;
            for (const std::uint8_t byte : key)
                bits = bits << 8 | byte;
            return static_cast<std::size_t>((bits ^ bits >> 29) * 0x9e3779b97f4a7c15u);
        }
    };

    const std::size_t total_;
    const std::size_t per_address_;
    std::atomic<std::size_t> open_ = 0;
    std::mutex mutex_;
    std::unordered_map<client_key, std::size_t, hash> clients_;
};

}

#endif
// ---- alos/server/listener.hpp ----
// Listening sockets: opened with the options a server wants, adopted from the service manager, shared among threads.
#ifndef ALOS_SERVER_LISTENER_HPP
#define ALOS_SERVER_LISTENER_HPP


#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace alos::inline v0 {

// The file of a Unix socket, which goes when nobody listens on it any more.
class socket_file {
public:
    socket_file() = default;
    explicit socket_file(std::string path) noexcept : path_(std::move(path)) {}
    socket_file(socket_file&& other) noexcept : path_(std::exchange(other.path_, {})) {}
    socket_file& operator=(socket_file&& other) noexcept
    {
        path_.swap(other.path_);
        return *this;
    }
    ~socket_file()
    {
        if (!path_.empty())
            ::unlink(path_.c_str());
    }

private:
    std::string path_;
};

// The sockets of one address, one for each thread.
struct listeners {
    any_endpoint endpoint; // with the true port
    std::vector<unique_fd> sockets;
    socket_file file;
};

namespace detail {

inline constexpr int accept_backlog = 4096; // the kernel lowers it to net.core.somaxconn

// What to do about an error of bind or listen, for people.
inline std::string listen_failure(const any_endpoint& endpoint, int error)
{
    const auto tcp = to_tcp(endpoint);
    std::string text = "cannot listen on " + to_text(endpoint) + ": " + std::strerror(error);
    switch (error) {
    case EADDRINUSE:
        text += tcp ? "; another program has the port, see `ss -ltnp sport = :" + std::to_string(tcp->port())
                          + "`, or take another port"
                    : "; another program listens there, or it is no socket";
        break;
    case EACCES:
    case EPERM:
        if (tcp)
            text += "; ports below 1024 need `sudo setcap cap_net_bind_service=+ep PROGRAM`, a socket from systemd, or "
                    "take 8443";
        else
            text += "; this user may not write to the folder of the socket";
        break;
    case EADDRNOTAVAIL: text += "; this machine does not have that address, see `ip address`"; break;
    case ENOENT: text += "; the folder of the socket does not exist"; break;
    case EMFILE:
    case ENFILE: text += "; raise the limit with `ulimit -n`"; break;
    default: break;
    }
    return text;
}

[[nodiscard]] inline outcome<unique_fd> bind_socket(const any_endpoint& endpoint, bool shares_port)
{
    const int family = endpoint.data()->sa_family;
    unique_fd socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;
    const int off = 0;
    if (socket && family != AF_UNIX) {
        ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); // accepted sockets inherit it
        // TLS and HTTP clients speak first: a connection arrives with its first bytes, or after a second without.
        ::setsockopt(socket.get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof on);
        if (family == AF_INET6)
            ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY,
                         to_tcp(endpoint)->address().is_unspecified() ? &off : &on, sizeof on);
        if (shares_port)
            ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    }
    if (!socket || ::bind(socket.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0)
        return failure{{errno, boost::system::system_category()}, listen_failure(endpoint, errno)};
    return socket;
}

inline any_endpoint local_endpoint(int socket)
{
    any_endpoint endpoint;
    auto size = static_cast<socklen_t>(endpoint.capacity());
    if (::getsockname(socket, endpoint.data(), &size) == 0)
        endpoint.resize(size);
    return endpoint;
}

// A file of a Unix socket that nobody listens on any more is in the way.
inline void remove_stale_socket(const any_endpoint& endpoint, const std::string& path)
{
    struct ::stat file {};
    if (::lstat(path.c_str(), &file) != 0 || !S_ISSOCK(file.st_mode))
        return;
    const unique_fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (probe && ::connect(probe.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0
        && errno == ECONNREFUSED)
        ::unlink(path.c_str());
}

// Copies of the first socket, until there is one for each thread.
[[nodiscard]] inline outcome<> share(listeners& made, std::size_t threads)
{
    while (made.sockets.size() < threads) {
        made.sockets.emplace_back(::fcntl(made.sockets.front().get(), F_DUPFD_CLOEXEC, 0));
        if (!made.sockets.back())
            return failure{{errno, boost::system::system_category()}, listen_failure(made.endpoint, errno)};
    }
    return {};
}

}

// Listens on `endpoint` for `threads` threads: TCP with a socket for each, among which the kernel shares connections
// out (SO_REUSEPORT); a Unix socket is one for all.
[[nodiscard]] inline outcome<listeners> listen_on(any_endpoint endpoint, std::size_t threads)
{
    listeners made{.endpoint = endpoint, .sockets = {}, .file = {}};
    const auto tcp = to_tcp(endpoint);
    const std::string path = tcp ? std::string() : to_text(endpoint).substr(5);
    const bool has_file = !path.empty() && !path.starts_with('@');
    if (has_file)
        detail::remove_stale_socket(endpoint, path);
    // Sockets that share a port would share it with another process of the same user, too.
    auto probe = tcp ? detail::bind_socket(endpoint, false) : outcome<unique_fd>(unique_fd());
    // A machine without IPv6 still has every IPv4 address.
    if (!probe && probe.error().code == boost::system::errc::address_family_not_supported
        && tcp->address().is_unspecified() && tcp->address().is_v6())
        return listen_on(boost::asio::ip::tcp::endpoint(boost::asio::ip::tcp::v4(), tcp->port()), threads);
    if (!probe)
        return probe.error();
    *probe = unique_fd();
    const std::size_t wanted = tcp ? threads : 1;
    while (made.sockets.size() < wanted) {
        auto socket = detail::bind_socket(made.endpoint, wanted > 1);
        if (!socket)
            return socket.error();
        if (::listen(socket->get(), detail::accept_backlog) != 0)
            return failure{{errno, boost::system::system_category()}, detail::listen_failure(made.endpoint, errno)};
        if (has_file)
            made.file = socket_file(path);
        made.endpoint = detail::local_endpoint(socket->get());
        made.sockets.push_back(std::move(*socket));
    }
    if (auto shared = detail::share(made, threads); !shared)
        return shared.error();
    return made;
}

// Takes over a socket that somebody else has bound and made to listen.
[[nodiscard]] inline outcome<listeners> adopt_listener(unique_fd socket, std::size_t threads)
{
    int listens = 0;
    socklen_t size = sizeof listens;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || !listens)
        return failure{errc::bad_configuration,
                       "file descriptor " + std::to_string(socket.get())
                           + " from LISTEN_FDS is not a listening stream socket; check the .socket unit"};
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::fcntl(socket.get(), F_SETFL, ::fcntl(socket.get(), F_GETFL) | O_NONBLOCK);
    ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
    listeners made{.endpoint = detail::local_endpoint(socket.get()), .sockets = {}, .file = {}};
    made.sockets.push_back(std::move(socket));
    if (auto shared = detail::share(made, threads); !shared)
        return shared.error();
    return made;
}

// A socket from the service manager, by the protocol of sd_listen_fds(3). The name is that of FileDescriptorName=.
struct inherited_socket {
    std::string name;
    unique_fd socket;
};

// The sockets that this process was started with; asking takes them, so a second call gives none.
inline std::vector<inherited_socket> inherited_sockets()
{
    constexpr int first = 3;
    const auto number = [](const char* name) {
        const char* text = std::getenv(name);
        return text ? std::strtol(text, nullptr, 10) : 0;
    };
    std::vector<inherited_socket> found;
    if (number("LISTEN_PID") == ::getpid()) {
        const char* names = std::getenv("LISTEN_FDNAMES");
        std::string_view rest = names ? names : "";
        for (long i = 0; i < number("LISTEN_FDS"); ++i) {
            const std::size_t colon = std::min(rest.find(':'), rest.size());
            found.push_back({std::string(rest.substr(0, colon)), unique_fd(first + static_cast<int>(i))});
            rest.remove_prefix(std::min(colon + 1, rest.size()));
        }
    }
    for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"})
        ::unsetenv(name);
    return found;
}

}

#endif
// ---- alos/server/redirect.hpp ----
// What is spoken on the port of plain HTTP: redirects to HTTPS, and the answers to ACME's http-01 challenges
// (RFC 8555 8.3), ours or those of another node that is asked for them.
#ifndef ALOS_SERVER_REDIRECT_HPP
#define ALOS_SERVER_REDIRECT_HPP


#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace alos::inline v0 {

// RFC 9110 7.2: the host of a Host field without its port; empty if it is not a host name or address that a browser
// would have sent. A redirect must not carry anything else on.
[[nodiscard]] inline std::string_view host_of_authority(std::string_view authority) noexcept
{
    const auto in = [](std::string_view text, std::string_view others) {
        return !text.empty() && std::ranges::all_of(text, [&](char c) {
            return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
                   || others.find(c) != others.npos;
        });
    };
    const bool literal = authority.starts_with('[');
    const std::size_t end = literal ? std::min(authority.find(']'), authority.size() - 1) + 1
                                    : std::min(authority.find(':'), authority.size());
    const std::string_view host = authority.substr(0, end);
    const std::string_view port = authority.substr(end);
    const bool port_is_good =
        port.empty() || port == ":"
        || (port.size() <= 6 && port.front() == ':' && std::ranges::all_of(port.substr(1), http::is_digit));
    if (!port_is_good || host.size() > 255)
        return {};
    if (literal)
        return host.size() > 2 && in(host.substr(1, host.size() - 2), ":.") && host.ends_with(']') ? host
                                                                                                   : std::string_view{};
    return in(host, "-._") ? host : std::string_view{};
}

// RFC 9112 3.2: path and query of a request target in any form, as they were sent.
[[nodiscard]] inline std::string path_and_query(std::string_view target)
{
    if (const std::size_t scheme = target.find("://"); !target.starts_with('/') && scheme != std::string_view::npos) {
        const std::size_t path = target.find_first_of("/?", scheme + 3);
        target = path == std::string_view::npos ? std::string_view() : target.substr(path);
    }
    if (target.starts_with('/'))
        return std::string(target);
    return target.starts_with('?') ? "/" + std::string(target) : "/";
}

// Who knows the answers to challenges that are not ours.
struct challenge_node {
    std::string address; // "host:port", plain HTTP
    // Asks it, on the executor that awaits.
    std::function<awaitable<outcome<http::outbound_response>>(http::outbound_request)> fetch;
};

// The routes of plain HTTP.
class redirect_routes {
public:
    explicit redirect_routes(const acme::answers& challenges)
        : here_(route(http::handler([this](request& req, response& res) { answer(req, res); })))
        , elsewhere_(route(http::handler([this](request& req, response& res) { return ask_node(req, res); })))
        , challenges_(challenges)
    {}

    redirect_routes(const redirect_routes&) = delete;
    redirect_routes& operator=(const redirect_routes&) = delete;

    // The port of HTTPS; before anything is served.
    void port(std::uint16_t number) { port_ = number == 443 ? std::string() : ":" + std::to_string(number); }

    // Who is asked for challenges that are not ours; at any time. An empty address: nobody.
    [[nodiscard]] outcome<> forward_to(challenge_node node)
    {
        if (node.address.empty()) {
            node_.store(nullptr);
            return {};
        }
        const auto parts = split_host_and_port(node.address);
        if (!parts || parts->host.empty() || parts->port == 0 || host_of_authority(node.address).empty())
            return failure{errc::bad_configuration,
                           "acme_node is \"" + node.address + "\"; write \"host:port\" or \"[address]:port\""};
        node_.store(std::make_shared<const challenge_node>(std::move(node)));
        return {};
    }

    // Only a challenge that somebody else may know is worth a coroutine.
    [[nodiscard]] const http::endpoint& find(http::request_data& asked) const noexcept
    {
        const bool somewhere = asked.parts.path.starts_with(challenge_path) && is_safe(asked.method) && node_.load();
        return somewhere ? elsewhere_ : here_;
    }

private:
    static constexpr std::string_view challenge_path = "/.well-known/acme-challenge/";
    static constexpr std::size_t most_token = 512;
    static constexpr std::size_t most_answer = 4096;
    static constexpr std::chrono::seconds patience{5};

    // Requests that one node sends to another have it, so that two that know each other end it.
    static constexpr std::string_view hop_field = "Alos-Acme-Hop";

    static http::endpoint route(http::handler run)
    {
        return {.run = {std::move(run), {}}, .options = streamed, .names = {}}; // bodies are not read
    }

    static bool is_safe(verb method) noexcept { return method == verb::get || method == verb::head; }

    // RFC 8555 8.3: base64url and nothing else; empty if it is not.
    static std::string_view token_of(const request& req) noexcept
    {
        const std::string_view token = req.path().substr(challenge_path.size());
        const bool good = token.size() <= most_token && std::ranges::all_of(token, [](char c) {
            return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
        });
        return good ? token : std::string_view();
    }

    // True: the answer is ours, or nobody's.
    bool answer_challenge(std::string_view token, response& res, bool is_last) const
    {
        const auto found = token.empty() ? std::nullopt : challenges_.find(token);
        if (found)
            give(res, 200, *found);
        else if (is_last || token.empty())
            http::respond_with_status(res, 404);
        else
            return false;
        return true;
    }

    static void give(response& res, unsigned status, std::string_view text)
    {
        res.status(status).set("Content-Type", "application/octet-stream").string(text);
    }

    void answer(const request& req, response& res) const
    {
        const bool safe = is_safe(req.method());
        if (safe && req.path().starts_with(challenge_path)) {
            answer_challenge(token_of(req), res, true);
            return;
        }
        const std::string_view host = host_of_authority(req.host());
        if (host.empty()) {
            res.status(400).string("400 Bad Request: the Host field names no host\n");
            return;
        }
        std::string location = "https://";
        location.append(host).append(port_).append(path_and_query(req.target()));
        // RFC 9110 15.4.2, 15.4.9: only 308 keeps other methods and their bodies.
        res.redirect(location, safe ? 301 : 308);
    }

    awaitable<> ask_node(const request& req, response& res) const
    {
        const std::shared_ptr<const challenge_node> node = node_.load();
        const std::string_view token = token_of(req);
        if (answer_challenge(token, res, !node || req.header(hop_field)))
            co_return;
        http::outbound_request ask;
        ask.url.append("http://").append(node->address).append(challenge_path).append(token);
        ask.fields.emplace_back(hop_field, "1");
        ask.max_body = most_answer;
        ask.timeout = patience;
        auto asking = node->fetch(std::move(ask));
        const auto said = co_await std::move(asking);
        if (said && (said->status == 200 || said->status == 404) && said->body.size() <= most_answer)
            give(res, said->status, said->body);
        else
            http::respond_with_status(res, 502);
    }

    const http::endpoint here_;
    const http::endpoint elsewhere_;
    const acme::answers& challenges_;
    std::string port_;
    std::atomic<std::shared_ptr<const challenge_node>> node_;
};

}

#endif
// ---- alos/server/acme_link.hpp ----
// A server's side of its certificate manager: made when it is first needed, started with the server, stopped with it.
#ifndef ALOS_SERVER_ACME_LINK_HPP
#define ALOS_SERVER_ACME_LINK_HPP


#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace alos::inline v0 {

namespace acme {

// Asks a node for a challenge, on the executor that awaits; set by <alos/acme.hpp> where a program includes it.
using fetcher = boost::asio::awaitable<outcome<http::outbound_response>> (*)(http::outbound_request);
inline std::atomic<fetcher> fetch_challenge{nullptr};

}

// All members may be called from any thread.
class acme_link {
public:
    // `settings` are those of the server's configuration. All that is referred to outlives this.
    acme_link(acme::host host, redirect_routes& routes, const acme::config& settings)
        : host_(std::move(host)), routes_(routes), settings_(settings)
    {}

    acme_link(const acme_link&) = delete;
    acme_link& operator=(const acme_link&) = delete;

    ~acme_link()
    {
        stop();
        wait();
    }

    // The manager, or null as long as nobody needed one.
    [[nodiscard]] acme::service* get() const noexcept { return current_.load(); }

    // Whether certificates come from a manager, or are about to.
    [[nodiscard]] bool is_in_charge() const noexcept { return get() || !settings_.domains.empty(); }

    // Whether names without a certificate are to get an alert instead of a default one.
    [[nodiscard]] bool sends_alerts() const noexcept { return sends_alerts_; }

    // Whether this program has what the configuration asks for.
    [[nodiscard]] outcome<> check() const
    {
        const bool lacks_manager = !settings_.domains.empty() && !acme::make_service.load();
        const bool lacks_client = !settings_.acme_node.empty() && !acme::fetch_challenge.load();
        return lacks_manager || lacks_client ? outcome<>(not_compiled_in()) : outcome<>();
    }

    // The manager, made and given the configuration's settings if need be.
    [[nodiscard]] outcome<acme::service*> require()
    {
        const std::lock_guard lock(changing_);
        return settled();
    }

    [[nodiscard]] outcome<> enable(acme::config settings)
    {
        const std::lock_guard lock(changing_);
        const auto manager = settings_.domains.empty() ? made() : settled();
        if (!manager)
            return manager.error();
        if (auto done = apply(**manager, std::move(settings)); !done)
            return done;
        return start_if_open(**manager);
    }

    [[nodiscard]] outcome<> add(acme::certificate_names names)
    {
        const std::lock_guard lock(changing_);
        const auto manager = settled();
        if (!manager)
            return manager.error();
        if (auto done = (*manager)->add_domain(std::move(names)); !done)
            return done;
        return start_if_open(**manager);
    }

    // The server can be connected to, so that challenges can be answered; on plain HTTP if `has_http`. Begins with what
    // was asked for until now.
    [[nodiscard]] outcome<> open(bool has_http)
    {
        const std::lock_guard lock(changing_);
        has_http_ = has_http_ || has_http;
        if (ended_ || std::exchange(is_open_, true))
            return {};
        if (!is_in_charge())
            return settings_.acme_node.empty() ? outcome<>() : forward(settings_.acme_node);
        const bool has_settings = has_settings_;
        const auto manager = settled();
        if (!manager)
            return manager.error();
        if (has_settings)
            warn_without_http();
        return start_if_open(**manager);
    }

    // Ends the manager's work, on another thread: the caller may be one of the server's, or the manager's own.
    void stop() noexcept
    {
        if (ended_.exchange(true) || !get())
            return;
        const std::lock_guard lock(ending_);
        try {
            end_ = std::thread([this] { stop_now(); });
        } catch (const std::system_error&) { // no more threads
            stop_now();
        }
    }

    // Returns when stop() has done that, which takes 5 seconds at most. Not from the manager's thread.
    void wait() noexcept
    {
        const std::lock_guard lock(ending_);
        if (end_.joinable())
            end_.join();
    }

    // Called with every event, on the manager's thread.
    void on_event(std::function<void(const acme::event&)> told)
    {
        using hook = std::function<void(const acme::event&)>;
        told_.store(told ? std::make_shared<const hook>(std::move(told)) : nullptr);
    }

    // Adds what the manager knows to lines about its certificates, and about those that stand in for them.
    void annotate(std::vector<cert::listed_certificate>& lines) const
    {
        const acme::service* manager = get();
        if (!manager)
            return;
        const std::vector<acme::certificate_status> known = manager->certificates();
        std::multimap<std::string, const acme::certificate_status*> by_domain;
        for (const acme::certificate_status& each : known) {
            if (const auto domain = cert::parse_domain(each.names.empty() ? "" : each.names.front()))
                by_domain.emplace(*domain, &each);
        }
        for (cert::listed_certificate& line : lines) {
            const acme::certificate_status* best = nullptr;
            const auto [first, last] = by_domain.equal_range(line.domain);
            for (auto each = first; each != last; ++each) { // one for each type of key
                if (!best || each->second->not_after == line.not_after)
                    best = each->second;
            }
            if (!best || line.from == cert::source::manual)
                continue;
            line.next_attempt = best->next_attempt;
            line.last_error = best->last_error;
        }
    }

private:
    static failure not_compiled_in()
    {
        return {errc::bad_configuration,
                "certificates by ACME need the certificate manager: include <alos/acme.hpp> in one .cpp of this "
                "program"};
    }

    // The rest is called with `changing_` locked.

    [[nodiscard]] outcome<acme::service*> made()
    {
        if (ended_)
            return failure{errc::closed, "the server has stopped, and with it the manager of its certificates"};
        if (manager_)
            return manager_.get();
        const acme::maker make = acme::make_service;
        if (!make)
            return not_compiled_in();
        manager_ = make(host_);
        manager_->on_event = [this](const acme::event& what) {
            if (const auto told = told_.load())
                (*told)(what);
        };
        current_ = manager_.get();
        return manager_.get();
    }

    [[nodiscard]] outcome<acme::service*> settled()
    {
        auto manager = made();
        if (!manager || has_settings_)
            return manager;
        if (auto done = apply(**manager, settings_); !done)
            return done.error();
        return manager;
    }

    [[nodiscard]] outcome<> apply(acme::service& manager, acme::config settings)
    {
        if (auto done = forward(settings.acme_node); !done)
            return done;
        const bool wants_http = std::ranges::count(settings.challenges, acme::challenge_type::http_01) != 0;
        const bool sends_alerts = settings.until_then == acme::before_issuance::unrecognized_name;
        if (auto done = manager.configure(std::move(settings)); !done)
            return done;
        has_settings_ = true;
        wants_http_ = wants_http;
        sends_alerts_ = sends_alerts;
        if (is_open_)
            warn_without_http();
        return {};
    }

    [[nodiscard]] outcome<> forward(const std::string& node)
    {
        const acme::fetcher fetch = acme::fetch_challenge;
        if (!node.empty() && !fetch)
            return not_compiled_in();
        return routes_.forward_to({node, fetch});
    }

    [[nodiscard]] outcome<> start_if_open(acme::service& manager)
    {
        if (!is_open_ || ended_ || is_started_)
            return {};
        auto done = manager.start();
        is_started_ = done.has_value();
        return done;
    }

    void warn_without_http() const
    {
        if (wants_http_ && !has_http_)
            host_.log(log_level::warning, "acme.http-01",
                      {{"reason", "nothing listens for plain HTTP, so http-01 challenges cannot be answered here"},
                       {"hint", "set http_addr to \":80\", or leave http_01 out of acme.challenges"}});
    }

    void stop_now() noexcept
    {
        { // who is about to start it has done so, or will see that it is too late
            const std::lock_guard lock(changing_);
        }
        get()->stop();
    }

    const acme::host host_;
    redirect_routes& routes_;
    const acme::config& settings_;
    std::atomic<std::shared_ptr<const std::function<void(const acme::event&)>>> told_;

    std::mutex changing_;
    std::unique_ptr<acme::service> manager_;
    std::atomic<acme::service*> current_ = nullptr;
    std::atomic<bool> ended_ = false;
    bool has_settings_ = false;
    bool is_open_ = false;
    bool is_started_ = false;
    bool has_http_ = false;
    bool wants_http_ = false;
    std::atomic<bool> sends_alerts_ = false;

    std::mutex ending_;
    std::thread end_;
};

}

#endif
// ---- alos/server/signing_pool.hpp ----
// Threads for private key operations that would hold up the connections of a thread (RSA).
#ifndef ALOS_SERVER_SIGNING_POOL_HPP
#define ALOS_SERVER_SIGNING_POOL_HPP

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

namespace alos::inline v0 {

// Starts its threads when first asked to run something; ends them, after what they have begun, when it goes.
class signing_pool {
public:
    explicit signing_pool(std::size_t threads) noexcept : threads_(threads) {}

    // From any thread.
    void run(std::function<void()> work)
    {
        std::call_once(started_, [this] { pool_.emplace(threads_); });
        boost::asio::post(*pool_, std::move(work));
    }

private:
    const std::size_t threads_;
    std::once_flag started_;
    std::optional<boost::asio::thread_pool> pool_;
};

}

#endif
// ---- alos/server/state.hpp ----
// What all threads of a server share. It changes by its own locks or not at all once the server runs.
#ifndef ALOS_SERVER_STATE_HPP
#define ALOS_SERVER_STATE_HPP


#include <algorithm>
#include <thread>

namespace alos::inline v0 {

template <class Policy>
struct server_state {
    explicit server_state(basic_server_config<Policy> settings)
        : config(std::move(settings))
        , log(config.log)
        , certificates([this](std::string_view what) {
            log_event(log, log_level::warning, "server.certificate", {{"reason", what}});
        })
        , gate(config.limits.connections, config.limits.connections_per_address)
        , redirect(challenges)
        , signers(config.signing_threads != 0 ? config.signing_threads : std::max(1u, serving_threads() / 2))
    {
        config.tls.run_elsewhere = [this](std::function<void()> work) { signers.run(std::move(work)); };
        config.tls.certificates = &certificates.served();
        config.tls.hand_over_older_versions = false; // there is nobody to take over yet
        if (config.tls.alpn.empty())
            config.tls.alpn = {"http/1.1"};
    }

    server_state(const server_state&) = delete;
    server_state& operator=(const server_state&) = delete;

    // How many threads serve.
    [[nodiscard]] unsigned serving_threads() const noexcept
    {
        return config.threads != 0 ? config.threads : std::max(1u, std::thread::hardware_concurrency());
    }

    basic_server_config<Policy> config;
    const typename Policy::log log;
    cert::registry certificates;
    alos::router routes;
    admission gate;
    acme::answers challenges;
    redirect_routes redirect;
    signing_pool signers;
};

}

#endif
// ---- alos/server/worker.hpp ----
// One thread's share of a server: it accepts connections, knows the ones it has, and ends them. Nothing in it is
// locked, for nothing in it is shared; what comes from other threads is posted to its executor.
#ifndef ALOS_SERVER_WORKER_HPP
#define ALOS_SERVER_WORKER_HPP


#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <functional>
#include <list>
#include <memory>
#include <new>
#include <vector>

namespace alos::inline v0 {

// What is spoken on a listening socket.
enum class traffic { https, http };

// `Executor` runs one thing at a time: that of an io_context with one thread, or a strand.
template <class Policy, class Executor>
class worker : public std::enable_shared_from_this<worker<Policy, Executor>> {
public:
    using state_type = server_state<Policy>;
    using socket_type = typename Policy::template socket<Executor>;
    using tls_stream = typename Policy::template tls_stream<typename Policy::crypto, socket_type>;
    using plain_stream = typename Policy::template plain_stream<socket_type>;

    worker(std::shared_ptr<state_type> state, Executor executor)
        : state_(std::move(state))
        , executor_(std::move(executor))
        , connections_(state_->config.deadlines)
        , ticker_(executor_)
        , stop_timer_(executor_)
        , ended_(executor_)
    {
        ended_.expires_at(clock::time_point::max());
        exchanges_.reserve(kept_exchanges);
    }

    // Called once, when drain() is done.
    std::function<void()> on_end;

    [[nodiscard]] Executor get_executor() const { return executor_; }

    // Starts to accept connections from `socket`.
    void listen(unique_fd socket, traffic kind)
    {
        auto& from = listeners_.emplace_back(executor_, socket.release());
        accept_from(this->shared_from_this(), from, kind);
    }

    // The same from an acceptor of somebody else, as long as that is open.
    template <class Acceptor>
    void accept_from_others(Acceptor& acceptor)
    {
        error_code ignored;
        acceptor.non_blocking(true, ignored); // it is asked until it has no more
        close_acceptor_ = [&acceptor] {
            error_code ec; // it may be closed already
            acceptor.cancel(ec);
        };
        accepting_ = true;
        accept_from(this->shared_from_this(), acceptor, traffic::https);
    }

    // Accepts no more, ends what idles, and lets requests in flight finish until the deadline.
    void drain()
    {
        if (std::exchange(draining_, true))
            return;
        listeners_.clear();
        if (close_acceptor_)
            close_acceptor_();
        connections_.drain();
        if (is_done())
            return end();
        const auto limit = state_->config.deadlines.stop;
        if (limit.count() == 0)
            return;
        stop_timer_.expires_after(limit);
        stop_timer_.async_wait([self = this->shared_from_this()](error_code ec) {
            if (!ec)
                self->connections_.cut();
        });
    }

    // Ends everything at once.
    void cut()
    {
        drain();
        connections_.cut();
    }

    // Completes when the last connection has ended after drain().
    template <class Token>
    auto async_wait_for_end(Token&& token)
    {
        return ended_.async_wait(std::forward<Token>(token));
    }

    [[nodiscard]] bool is_done() const noexcept { return draining_ && connections_.empty() && !accepting_; }

    // What http::connection asks of its host:

    [[nodiscard]] const auto& log() const noexcept { return state_->log; }
    [[nodiscard]] const http::h1_limits& limits() const noexcept { return state_->config.limits.h1; }
    [[nodiscard]] watch& connections() noexcept { return connections_; }
    [[nodiscard]] bool draining() const noexcept { return draining_; }

    [[nodiscard]] bool goes_on_after(std::uint32_t requests) const noexcept
    {
        const std::uint32_t most = state_->config.limits.requests_per_connection;
        return !draining_ && (most == 0 || requests < most);
    }

    // The value of the Date field. Without a system call.
    [[nodiscard]] std::string_view date() noexcept
    {
        ::timespec now{};
        ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
        return date_.at(now.tv_sec);
    }

    [[nodiscard]] std::unique_ptr<http::exchange> lend()
    {
        if (exchanges_.empty()) {
            auto made = std::make_unique<http::exchange>();
            made->start(limits());
            return made;
        }
        std::unique_ptr<http::exchange> one = std::move(exchanges_.back());
        exchanges_.pop_back();
        return one;
    }

    void take_back(std::unique_ptr<http::exchange> one) noexcept
    {
        if (exchanges_.size() < exchanges_.capacity())
            exchanges_.push_back(std::move(one));
    }

    void leave(const boost::asio::ip::tcp::endpoint& client) noexcept
    {
        state_->gate.leave(key_of(client));
        if (is_done())
            end();
    }

private:
    using clock = typename Policy::clock;
    using timer = boost::asio::basic_waitable_timer<clock, boost::asio::wait_traits<clock>, Executor>;
    using descriptor = boost::asio::posix::basic_stream_descriptor<Executor>;
    using endpoint = boost::asio::ip::tcp::endpoint;

    static constexpr int accepted_at_once = 64; // before connections that are there get their turn
    static constexpr std::size_t kept_exchanges = 32;
    static constexpr std::chrono::milliseconds back_off{100};

    // A Unix socket has no port and is counted for nobody.
    static client_key key_of(const endpoint& client) noexcept
    {
        return client.port() == 0 ? client_key{} : client_key_of(client.address());
    }

    enum class accepted { all, some, no_room, closed };

    template <class Acceptor>
    static task accept_from(std::shared_ptr<worker> self, Acceptor& from, traffic kind)
    {
        const auto wait = [&from](auto handler) { from.async_wait(Acceptor::wait_read, std::move(handler)); };
        timer pause(self->executor_);
        const auto rest = [&pause](auto handler) {
            pause.expires_after(back_off);
            pause.async_wait(std::move(handler));
        };
        for (accepted last = accepted::all; last != accepted::closed;) {
            error_code ec = co_await until(wait);
            if (ec || self->draining_)
                break;
            try {
                last = self->accept_some(from.native_handle(), kind);
            } catch (const std::exception&) { // one connection more than there is memory for
                last = accepted::no_room;
            }
            if (last == accepted::no_room)
                ec = co_await until(rest);
            if (self->draining_) // and `from` is gone
                break;
        }
        self->stopped_accepting();
    }

    // Accepts what waits.
    accepted accept_some(int listener, traffic kind)
    {
        for (int i = 0; i < accepted_at_once; ++i) {
            ::sockaddr_storage address{};
            socklen_t size = sizeof address;
            unique_fd socket(
                ::accept4(listener, reinterpret_cast<::sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (socket) {
                out_of_room_ = false;
                if (!admit(std::move(socket), any_endpoint(&address, size), kind))
                    return accepted::no_room;
                continue;
            }
            switch (errno) {
            case EAGAIN: return accepted::all;
            case EMFILE:
            case ENFILE:
            case ENOBUFS:
            case ENOMEM: say_no_room(errno); return accepted::no_room;
            case EBADF:
            case EINVAL: return accepted::closed;
            default: break; // that connection failed, not the listener
            }
        }
        return accepted::some;
    }

    // False: there is no room for it.
    bool admit(unique_fd socket, const any_endpoint& from, traffic kind)
    {
        const endpoint client = to_tcp(from).value_or(endpoint());
        if (!state_->gate.enter(key_of(client))) {
            log_event(log(), log_level::info, "server.refused",
                {{"peer", to_text(from)}, {"reason", "limit of connections"}});
            return true;
        }
        error_code ec;
        try {
            socket_type connection(executor_);
            const int family = from.data()->sa_family;
            connection.assign({family, family == AF_UNIX ? 0 : IPPROTO_TCP}, socket.get(), ec);
            if (!ec) {
                static_cast<void>(socket.release());
                start(std::move(connection), client, kind);
            }
        } catch (const std::bad_alloc&) {
            ec = make_error_code(boost::system::errc::not_enough_memory);
        }
        if (ec) {
            state_->gate.leave(key_of(client));
            say_no_room(ec.value());
            return false;
        }
        if (!ticking_)
            tick(this->shared_from_this());
        return true;
    }

    // Nothing has happened if it throws.
    void start(socket_type connection, const endpoint& client, traffic kind)
    {
        auto self = this->shared_from_this();
        if (kind == traffic::https)
            http::serve<tls_stream>(self, state_->routes, std::move(connection), client, state_->config.tls);
        else
            http::serve<plain_stream>(self, state_->redirect, std::move(connection), client);
    }

    // Looks after deadlines as long as there are connections.
    static task tick(std::shared_ptr<worker> self)
    {
        const auto wait = [&timer = self->ticker_](auto handler) { timer.async_wait(std::move(handler)); };
        const struct turn { // over when an exception ends it, too
            bool& on;
            ~turn() { on = false; }
        } now{self->ticking_ = true};
        while (!self->connections_.empty()) {
            self->ticker_.expires_after(self->connections_.interval());
            if (co_await until(wait))
                break;
            self->connections_.tick();
        }
    }

    // A listener is gone. When that was somebody else's acceptor, its owner wants the end.
    void stopped_accepting()
    {
        if (!close_acceptor_)
            return;
        accepting_ = false;
        close_acceptor_ = nullptr;
        drain();
        if (is_done())
            end();
    }

    // Lets everything go that keeps the executor busy.
    void end() noexcept
    {
        ticker_.cancel();
        stop_timer_.cancel();
        ended_.cancel();
        if (on_end)
            std::exchange(on_end, nullptr)();
    }

    void say_no_room(int error)
    {
        if (std::exchange(out_of_room_, true))
            return;
        log_event(log(), log_level::error, "server.accept",
            {{"reason", std::strerror(error)},
             {"hint", error == EMFILE ? "raise the limit of open files, see `ulimit -n`" : ""}});
    }

    const std::shared_ptr<state_type> state_;
    const Executor executor_;
    watch connections_;
    timer ticker_;
    timer stop_timer_;
    timer ended_;
    std::list<descriptor> listeners_;
    std::function<void()> close_acceptor_;
    http::date_cache date_;
    std::vector<std::unique_ptr<http::exchange>> exchanges_;
    bool accepting_ = false; // from somebody else's acceptor
    bool draining_ = false;
    bool ticking_ = false;
    bool out_of_room_ = false;
};

}

#endif
// ---- alos/server/process.hpp ----
// What a server needs of the process it runs in.
#ifndef ALOS_SERVER_PROCESS_HPP
#define ALOS_SERVER_PROCESS_HPP


#include <algorithm>
#include <cstddef>

#include <sys/resource.h>

namespace alos::inline v0 {

// Raises the soft limit of open files, as far as the hard one lets it, to what so many connections need.
inline void allow_open_files(std::size_t connections) noexcept
{
    constexpr rlim_t others = 256; // files that responses send, logs, listeners
    ::rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    const rlim_t wanted = connections == 0 ? limit.rlim_max : std::min<rlim_t>(connections + others, limit.rlim_max);
    if (limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted;
    ::setrlimit(RLIMIT_NOFILE, &limit); // without it, connections wait when there are too many
}

}

#endif
// ---- alos/server/crew.hpp ----
// The threads of a server: each runs its own io_context with its own worker.
#ifndef ALOS_SERVER_CREW_HPP
#define ALOS_SERVER_CREW_HPP


#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace alos::inline v0 {

enum class order { drain, cut };

// All members may be called from any thread. What has once been told to drain takes no more workers.
template <class Policy>
class crew {
public:
    using executor_type = boost::asio::io_context::executor_type;

    // A thread that is not yet running.
    struct member {
        boost::asio::io_context io{1};
        boost::asio::executor_work_guard<executor_type> busy{io.get_executor()};
        std::shared_ptr<worker<Policy, executor_type>> work;
        std::thread thread;
    };

    explicit crew(std::shared_ptr<server_state<Policy>> state) : state_(std::move(state)) {}

    crew(const crew&) = delete;
    crew& operator=(const crew&) = delete;

    [[nodiscard]] std::unique_ptr<member> hire() const
    {
        auto one = std::make_unique<member>();
        one->work = std::make_shared<worker<Policy, executor_type>>(state_, one->io.get_executor());
        return one;
    }

    // Starts the threads. `on_end` is called when the last one has ended, or now if it is too late to start any.
    [[nodiscard]] outcome<> start(std::vector<std::unique_ptr<member>> members, std::function<void()> on_end)
    {
        std::unique_lock lock(mutex_);
        if (drained_) {
            lock.unlock();
            if (on_end)
                on_end();
            return {};
        }
        on_end_ = std::move(on_end);
        for (auto& one : members) {
            ++running_;
            try {
                one->thread = std::thread([this, each = one.get()] { run(*each); });
            } catch (const std::system_error& error) {
                --running_;
                lock.unlock();
                tell(order::cut);
                wait();
                return failure{error.code(), std::string("cannot start a thread: ") + error.what()
                                                 + "; set `threads` to a smaller number"};
            }
            const auto work = one->work;
            add([work](order what) { post_to(work, what); });
            members_.push_back(std::move(one));
        }
        return {};
    }

    // A worker that runs on somebody else's executor. False: it came too late.
    template <class Worker>
    bool enlist(const std::shared_ptr<Worker>& one)
    {
        const std::lock_guard lock(mutex_);
        if (drained_)
            return false;
        add([weak = std::weak_ptr<Worker>(one)](order what) {
            if (const auto work = weak.lock())
                post_to(work, what);
        });
        return true;
    }

    void tell(order what)
    {
        const std::lock_guard lock(mutex_);
        drained_ = true;
        for (const auto& one : workers_)
            one(what);
    }

    // Returns when all threads have ended. Not from one of them.
    void wait()
    {
        std::unique_lock lock(mutex_);
        all_ended_.wait(lock, [this] { return running_ == 0; });
        for (const auto& one : members_) {
            if (one->thread.joinable())
                one->thread.join();
        }
        members_.clear();
    }

private:
    template <class Worker>
    static void post_to(const std::shared_ptr<Worker>& work, order what)
    {
        boost::asio::post(work->get_executor(), [work, what] { what == order::drain ? work->drain() : work->cut(); });
    }

    void add(std::function<void(order)> tell_one) { workers_.push_back(std::move(tell_one)); }

    void run(member& one)
    {
        one.work->on_end = [&one] { one.busy.reset(); };
        while (true) {
            try {
                one.io.run();
                break;
            } catch (...) { // of a handler that the user has posted, say: the connections live on
                const std::string reason = text_of_exception(std::current_exception());
                log_event(state_->log, log_level::error, "server.exception", {{"reason", reason}});
            }
        }
        std::function<void()> last_words;
        {
            const std::lock_guard lock(mutex_);
            if (--running_ == 0) {
                workers_.clear();
                last_words = std::move(on_end_);
            }
        }
        if (last_words)
            last_words();
        all_ended_.notify_all();
    }

    const std::shared_ptr<server_state<Policy>> state_;
    std::mutex mutex_;
    std::condition_variable all_ended_;
    std::vector<std::unique_ptr<member>> members_;
    std::vector<std::function<void(order)>> workers_;
    std::function<void()> on_end_;
    std::size_t running_ = 0;
    bool drained_ = false;
};

}

#endif
// ---- alos/server.hpp ----
// HTTPS in a program:
//
//     alos::server app({.addr = ":8443"});
//     app.router.get("/", [](alos::request&, alos::response& res) { res.string("Secure!"); });
//     return app.listen_and_serve_tls();
#ifndef ALOS_SERVER_HPP
#define ALOS_SERVER_HPP


#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>

#include <atomic>
#include <csignal>
#include <functional>
#include <initializer_list>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace alos::inline v0 {

// A server runs once: after stop() it stays stopped. All members but `router` may be used from any thread.
template <class Policy>
class basic_server {
    const std::shared_ptr<server_state<Policy>> state_; // before `router`, which refers to it

public:
    using config_type = basic_server_config<Policy>;

    explicit basic_server(config_type config = {})
        : state_(std::make_shared<server_state<Policy>>(std::move(config)))
        , router(state_->routes)
        , acme_({state_->certificates, state_->challenges, log_of(*state_)}, state_->redirect, state_->config.acme)
        , crew_(state_)
    {}

    basic_server(const basic_server&) = delete;
    basic_server& operator=(const basic_server&) = delete;

    // Ends at once what is still running. For a proper end, stop() and wait() first.
    ~basic_server()
    {
        cut();
        wait();
    }

    // The routes. They are fixed when the server starts.
    alos::router& router;

    // Serves until SIGINT, SIGTERM or stop(); a second signal cuts short what is in flight. The result is an exit
    // status: 0 after that, 1 if the server could not start, with one line in the log that says why and what helps.
    [[nodiscard]] int listen_and_serve_tls()
    {
        allow_open_files(state_->config.limits.connections);
        boost::asio::io_context control{1};
        boost::asio::signal_set signals(control, SIGINT, SIGTERM);
        signals.async_wait([&](error_code ec, int) {
            if (ec)
                return;
            stop();
            signals.async_wait([this](error_code again, int) {
                if (!again)
                    cut();
            });
        });
        if (const auto started = start([&control] { control.stop(); }); !started) {
            log_event(state_->log, log_level::error, "server.start", {{"reason", started.error().what}});
            return 1;
        }
        control.run();
        wait();
        return 0;
    }

    // Opens the listening sockets and starts the threads; when it returns, clients can connect. Once only, unless it
    // failed because of an address.
    [[nodiscard]] outcome<> start() { return start({}); }

    // Serves on `acceptor` and its executor, which runs one thing at a time (an io_context with one thread, or a
    // strand), until stop() is called or the acceptor closed, and the last connection has ended. The server, the
    // acceptor and the executor outlive that. Throws boost::system::system_error if the settings are no good.
    template <class Acceptor>
    awaitable<> serve(Acceptor& acceptor)
    {
        prepare().value();
        start_acme();
        auto work = std::make_shared<worker<Policy, typename Acceptor::executor_type>>(state_, acceptor.get_executor());
        if (!crew_.enlist(work))
            co_return;
        error_code ignored; // it ends by being cancelled
        auto end = work->async_wait_for_end(boost::asio::redirect_error(boost::asio::deferred, ignored));
        work->accept_from_others(acceptor);
        co_await std::move(end);
    }

    // Accepts no more, lets requests in flight finish until the deadline, then cuts the rest. Does not wait for that.
    void stop()
    {
        acme_.stop();
        crew_.tell(order::drain);
    }

    // Ends everything now.
    void cut()
    {
        acme_.stop();
        crew_.tell(order::cut);
    }

    // Returns when the threads have ended, which they do after stop(). Not from a handler.
    void wait()
    {
        crew_.wait();
        acme_.wait();
    }

    // Where clients can connect, once start() has returned and not while it runs: "127.0.0.1:8443".
    [[nodiscard]] std::vector<std::string> addresses() const { return texts_of(https_); }
    [[nodiscard]] std::vector<std::string> http_addresses() const { return texts_of(http_); }

    // The first TCP port of HTTPS and of plain HTTP; 0 if there is none.
    [[nodiscard]] std::uint16_t port() const { return port_of(https_); }
    [[nodiscard]] std::uint16_t http_port() const { return port_of(http_); }

    // How many connections there are.
    [[nodiscard]] std::size_t connections() const noexcept { return state_->gate.open(); }

    // Certificates, at any time, running or not; see cert::registry. What fails changes nothing.
    [[nodiscard]] outcome<> add_cert(std::string_view domain, std::string_view cert_pem, std::string_view key_pem,
                       std::string_view passphrase = {})
    {
        return certificates().add_cert(domain, cert_pem, key_pem, passphrase);
    }
    [[nodiscard]] outcome<> add_certs(std::string_view domain, std::string_view cert_pem, std::string_view key_pem,
                        std::string_view passphrase = {})
    {
        return certificates().add_certs(domain, cert_pem, key_pem, passphrase);
    }
    [[nodiscard]] outcome<> add_cert_from_files(std::string_view domain, const std::string& cert_file, const std::string& key_file,
                                  std::string_view passphrase = {})
    {
        return certificates().add_cert_from_files(domain, cert_file, key_file, passphrase);
    }
    [[nodiscard]] outcome<> add_self_signed_cert(std::string_view domain) { return certificates().add_self_signed_cert(domain); }
    [[nodiscard]] outcome<> update_cert(std::string_view domain, std::string_view cert_pem, std::string_view key_pem,
                          std::string_view passphrase = {})
    {
        return certificates().update_cert(domain, cert_pem, key_pem, passphrase);
    }
    [[nodiscard]] outcome<> reload_cert(std::string_view domain, const std::string& cert_file, const std::string& key_file,
                          std::string_view passphrase = {})
    {
        return certificates().reload_cert(domain, cert_file, key_file, passphrase);
    }
    [[nodiscard]] outcome<> remove_cert(std::string_view domain) { return certificates().remove_cert(domain); }
    [[nodiscard]] outcome<> set_default_cert(std::string_view domain) { return certificates().set_default_cert(domain); }
    [[nodiscard]] std::vector<cert::listed_certificate> list_certs() const
    {
        auto lines = state_->certificates.list_certs();
        acme_.annotate(lines);
        return lines;
    }

    // All of the above, and credentials made elsewhere.
    [[nodiscard]] cert::registry& certificates() noexcept { return state_->certificates; }

    // Certificates by ACME (RFC 8555), at any time until stop(). All of it needs <alos/acme.hpp> in one .cpp of the
    // program, and fails with that advice without. What is obtained is served when it is there and renewed in time.

    // Adds these domains to those of the configuration; the rest takes the place of its settings.
    [[nodiscard]] outcome<> enable_acme(acme::config settings) { return acme_.enable(std::move(settings)); }

    // One more certificate, by the settings that there are. Empty email: theirs.
    [[nodiscard]] outcome<> add_acme_domain(std::string_view domain, std::string_view email = {})
    {
        acme::certificate_names names{std::string(domain)};
        names.email = email;
        return acme_.add(std::move(names));
    }

    // A domain whose certificate comes from elsewhere: the same as add_cert().
    [[nodiscard]] outcome<> add_domain_cert(std::string_view domain, std::string_view cert_pem,
                                            std::string_view key_pem)
    {
        return add_cert(domain, cert_pem, key_pem);
    }

    // Its certificate is no longer served nor renewed, but kept in the storage.
    [[nodiscard]] outcome<> remove_acme_domain(std::string_view domain)
    {
        const auto manager = acme_.require();
        return manager ? (*manager)->remove_domain(domain) : outcome<>(manager.error());
    }

    // These three may be awaited on any executor; see acme::service.

    // A new certificate with a new key, now.
    [[nodiscard]] awaitable<outcome<>> force_renew(std::string domain,
                                                   std::function<void(const acme::event&)> told = {})
    {
        const auto manager = acme_.require();
        if (!manager)
            co_return manager.error();
        auto renewal = (*manager)->force_renew(std::move(domain), std::move(told));
        co_return co_await std::move(renewal);
    }

    // The certificate for a name, ordered if there is none.
    [[nodiscard]] awaitable<outcome<cert::credential_ptr>> obtain(std::string name)
    {
        const auto manager = acme_.require();
        if (!manager)
            co_return manager.error();
        auto order = (*manager)->obtain(std::move(name));
        co_return co_await std::move(order);
    }

    // Revokes the current certificate for a reason of RFC 5280 5.3.1, and replaces it.
    [[nodiscard]] awaitable<outcome<>> revoke(std::string domain, unsigned reason = 0)
    {
        const auto manager = acme_.require();
        if (!manager)
            co_return manager.error();
        auto revocation = (*manager)->revoke(std::move(domain), reason);
        co_return co_await std::move(revocation);
    }

    // Where each of them stands, as values and as JSON.
    [[nodiscard]] std::vector<acme::certificate_status> acme_certificates() const
    {
        const acme::service* manager = acme_.get();
        return manager ? manager->certificates() : std::vector<acme::certificate_status>();
    }
    [[nodiscard]] std::string acme_certificates_json() const
    {
        const acme::service* manager = acme_.get();
        return manager ? manager->certificates_json() : "[]";
    }

    // Called with everything that happens to them, on the manager's thread.
    void on_acme_event(std::function<void(const acme::event&)> told) { acme_.on_event(std::move(told)); }

    // What plain HTTP answers below /.well-known/acme-challenge/.
    [[nodiscard]] acme::answers& challenges() noexcept { return state_->challenges; }

    // For middleware: app.router.use(alos::access_log(app.log())).
    [[nodiscard]] const typename Policy::log& log() const noexcept { return state_->log; }

private:
    using member = typename crew<Policy>::member;

    [[nodiscard]] outcome<> start(std::function<void()> on_end)
    {
        if (started_.exchange(true))
            return failure{errc::bad_configuration, "a server starts once; make a new one"};
        auto done = start_once(std::move(on_end));
        if (!done)
            started_ = false;
        return done;
    }

    outcome<> start_once(std::function<void()> on_end)
    {
        if (auto prepared = prepare(); !prepared)
            return prepared;
        const std::size_t threads = state_->serving_threads();
        if (auto opened = open(threads); !opened) {
            close();
            return opened;
        }
        std::vector<std::unique_ptr<member>> members;
        for (std::size_t i = 0; i < threads; ++i) {
            members.push_back(crew_.hire());
            for (listeners& each : https_)
                members.back()->work->listen(std::move(each.sockets[i]), traffic::https);
            for (listeners& each : http_)
                members.back()->work->listen(std::move(each.sockets[i]), traffic::http);
        }
        start_acme();
        log_start(threads);
        auto running = crew_.start(std::move(members), std::move(on_end));
        if (!running)
            acme_.stop();
        return running;
    }

    // Routes and certificates, once.
    [[nodiscard]] outcome<> prepare()
    {
        const std::lock_guard lock(preparing_);
        if (!prepared_)
            prepared_ = load();
        return *prepared_;
    }

    [[nodiscard]] outcome<> load()
    {
        if (auto built = state_->routes.build(); !built)
            return built;
        if (auto good = tls13::check(state_->config.tls); !good)
            return good;
        if (auto able = acme_.check(); !able)
            return able;
        const auto& config = state_->config;
        std::vector<cert::file_settings> files = config.certs;
        if (!config.tls_cert_file.empty())
            files.insert(
                files.begin(),
                {.domain = {}, .cert_file = config.tls_cert_file, .key_file = config.tls_key_file, .passphrase = {}});
        if (acme_.is_in_charge())
            return certificates().add_files(files);
        if (files.empty() && list_certs().empty()) {
            if (auto kept = add_default_cert(); !kept)
                return kept;
        }
        return certificates().add_files(files, config.default_domain);
    }

    [[nodiscard]] outcome<> add_default_cert()
    {
        return certificates().add_kept_self_signed({"localhost", "127.0.0.1", "::1"}, state_->config.self_signed);
    }

    // Challenges can be answered: the manager may begin. What fails keeps nobody from being served.
    void start_acme()
    {
        const auto report = [&](const outcome<>& done) {
            if (!done)
                log_event(state_->log, log_level::error, "acme.start", {{"reason", done.error().what}});
        };
        report(acme_.open(!http_.empty()));
        if (!acme_.is_in_charge())
            return;
        if (!acme_.sends_alerts() && state_->certificates.list_certs().empty())
            report(add_default_cert());
        if (const std::string& domain = state_->config.default_domain; !domain.empty())
            report(set_default_cert(domain));
    }

    static auto log_of(const server_state<Policy>& state)
    {
        return [&state](log_level level, std::string_view event, std::initializer_list<log_field> fields) {
            log_event(state.log, level, event, fields);
        };
    }

    [[nodiscard]] outcome<> open(std::size_t threads)
    {
        for (inherited_socket& each : inherited_sockets()) {
            auto& list = each.name == "http" ? http_ : https_;
            auto adopted = adopt_listener(std::move(each.socket), threads);
            if (!adopted)
                return adopted.error();
            list.push_back(std::move(*adopted));
        }
        if (https_.empty()) {
            if (auto opened = open(state_->config.addr, threads, https_); !opened)
                return opened;
        }
        if (http_.empty() && !state_->config.http_addr.empty()) {
            if (auto opened = open(state_->config.http_addr, threads, http_); !opened)
                return opened;
        }
        const std::uint16_t port = state_->config.public_port != 0 ? state_->config.public_port : this->port();
        state_->redirect.port(port != 0 ? port : 443);
        return {};
    }

    static outcome<> open(const std::string& address, std::size_t threads, std::vector<listeners>& into)
    {
        auto endpoints = resolve_address(address);
        if (!endpoints)
            return endpoints.error();
        for (const any_endpoint& each : *endpoints) {
            auto opened = listen_on(each, threads);
            if (!opened)
                return opened.error();
            into.push_back(std::move(*opened));
        }
        return {};
    }

    void close()
    {
        https_.clear();
        http_.clear();
    }

    // Four lines: where, for whom, what, with how many.
    void log_start(std::size_t threads) const
    {
        if (!state_->log.takes(log_level::info))
            return;
        const auto join = [](const std::vector<std::string>& texts) {
            std::string all;
            for (const std::string& each : texts)
                all.append(all.empty() ? "" : ", ").append(each);
            return all;
        };
        const std::string https = join(addresses());
        const std::string http = join(http_addresses());
        const std::string url = port() == 0 ? std::string() : "https://localhost:" + std::to_string(port()) + "/";
        log_event(state_->log, log_level::info, "server.listen", {{"https", https}, {"http", http}, {"url", url}});

        std::vector<std::string> names;
        const auto now = std::chrono::system_clock::now();
        for (const cert::listed_certificate& each : list_certs()) {
            const auto days = std::chrono::floor<std::chrono::days>(each.not_after - now).count();
            names.push_back(each.domain + " (" + (each.from == cert::source::self_signed ? "self-signed, " : "")
                            + each.key_type + ", "
                            + (days < 0 ? std::string("expired") : std::to_string(days) + " days left") + ")");
        }
        const std::string certificates = join(names);
        log_event(state_->log, log_level::info, "server.names", {{"certificates", certificates}});

        const std::string alpn = join(state_->config.tls.alpn);
        std::vector<std::string> suites;
        for (const cipher_suite each : state_->config.tls.suites)
            suites.emplace_back(name_of(each));
        const std::string spoken = join(suites);
        log_event(state_->log, log_level::info, "server.protocols", {{"tls", "1.3"}, {"alpn", alpn}, {"suites", spoken}});
        log_event(state_->log, log_level::info, "server.threads",
            {{"threads", threads}, {"connections", state_->config.limits.connections}});
    }

    static std::vector<std::string> texts_of(const std::vector<listeners>& list)
    {
        std::vector<std::string> texts;
        for (const listeners& each : list)
            texts.push_back(to_text(each.endpoint));
        return texts;
    }

    static std::uint16_t port_of(const std::vector<listeners>& list)
    {
        for (const listeners& each : list) {
            if (const auto tcp = to_tcp(each.endpoint))
                return tcp->port();
        }
        return 0;
    }

    acme_link acme_;
    crew<Policy> crew_;
    std::vector<listeners> https_;
    std::vector<listeners> http_;
    std::mutex preparing_;
    std::optional<outcome<>> prepared_;
    std::atomic<bool> started_ = false;
};

// Compiled once, where <alos/src.hpp> is.
#ifdef ALOS_SEPARATE_COMPILATION
extern template class tls13::basic_server_engine<tls13::server_core<botan_crypto>>;
extern template class basic_server<default_policy>;
#endif

}

#endif
// ---- alos/alos.hpp ----
// All of alos. What only some programs need, and pay for, is JSON: <alos/http/json.hpp> is not in here.
#ifndef ALOS_ALOS_HPP
#define ALOS_ALOS_HPP


#endif

#ifdef ALOS_IMPLEMENTATION
// ---- alos/src.hpp ----
// For one .cpp of a program: Boost.JSON's code, which <alos/http/json.hpp> needs, and, where all sources are compiled
// with ALOS_SEPARATE_COMPILATION, the default server's.
#ifndef ALOS_SRC_HPP
#define ALOS_SRC_HPP


#include <boost/json/src.hpp>

#ifdef ALOS_SEPARATE_COMPILATION
namespace alos::inline v0 {
template class tls13::basic_server_engine<tls13::server_core<botan_crypto>>;
template class basic_server<default_policy>;
}
#endif

#endif
// ---- alos/acme.hpp ----
// Certificates by ACME for the servers of a program: include this in one of its .cpp files, and have <alos/src.hpp> in
// one, for Boost.JSON. See basic_server::enable_acme() and server_config::acme.
#ifndef ALOS_ACME_HPP
#define ALOS_ACME_HPP

// ---- alos/server/acme_service.hpp ----
// The certificate manager of a server: a thread of its own with everything that waits for disks and networks, so that
// no handshake ever does.
#ifndef ALOS_SERVER_ACME_SERVICE_HPP
#define ALOS_SERVER_ACME_SERVICE_HPP

// ---- alos/acme/file_storage.hpp ----
// Certificates and documents in a folder, written so that a crash at any moment leaves the old state or the new one:
//   certs/<id>/000001/{fullchain.pem,privkey.pem,meta.json}, certs/<id>/current -> 000001
//   <key>.json, locks/<name>.lock, locks/<name>.fence.json
// Names that begin with a dot are being written. For one host: its processes keep each other out by flock().
#ifndef ALOS_ACME_FILE_STORAGE_HPP
#define ALOS_ACME_FILE_STORAGE_HPP

// ---- alos/acme/detail/certificate_folder.hpp ----
// Certificates in a folder, <id>/000001/{fullchain.pem,privkey.pem,meta.json} and <id>/current -> 000001: a new one
// is written beside the others, and is the current one at once or not at all.
#ifndef ALOS_ACME_DETAIL_CERTIFICATE_FOLDER_HPP
#define ALOS_ACME_DETAIL_CERTIFICATE_FOLDER_HPP

// ---- alos/acme/detail/durable_files.hpp ----
// Files that are there as a whole or not at all, after a crash, too; and which names they may have.
#ifndef ALOS_ACME_DETAIL_DURABLE_FILES_HPP
#define ALOS_ACME_DETAIL_DURABLE_FILES_HPP

// ---- alos/acme/storage.hpp ----
// What outlives the process: certificates by generation, accounts, orders under way, answers to challenges. A back end
// has these operations; acme/file_storage.hpp is the one that comes with alos.
#ifndef ALOS_ACME_STORAGE_HPP
#define ALOS_ACME_STORAGE_HPP

// ---- alos/acme/environment.hpp ----
// The world as acme/ sees it. Nothing else there knows a clock, a timer, a network, a file or a source of randomness,
// so that years of a certificate's life can be lived through in a test.
#ifndef ALOS_ACME_ENVIRONMENT_HPP
#define ALOS_ACME_ENVIRONMENT_HPP

// ---- alos/dns/message.hpp ----
// DNS messages as a stub resolver sends and reads them (RFC 1035 4): one question, its answer, and the few types of
// records that certificates need: addresses (RFC 3596), CNAME, NS, SOA, TXT and CAA (RFC 8659 4). EDNS(0) as far as it
// makes room for larger answers (RFC 6891). Pure.
#ifndef ALOS_DNS_MESSAGE_HPP
#define ALOS_DNS_MESSAGE_HPP


#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::dns {

enum class errc {
    bad_name = 1,  // not a name that can be asked for (RFC 1035 2.3.4)
    bad_message,   // a message that cannot be read, or a longer one than the limits allow
    other_message, // a message, but not an answer to this question
    endless_alias, // CNAMEs that lead in a circle, or on and on
};

class error_category final : public boost::system::error_category {
public:
    constexpr error_category() noexcept : boost::system::error_category(0x6c1be0a94f27d385u) {}
    const char* name() const noexcept override { return "alos.dns"; }
    std::string message(int code) const override
    {
        switch (static_cast<errc>(code)) {
        case errc::bad_name: return "not a name that DNS can be asked for";
        case errc::bad_message: return "DNS message cannot be read";
        case errc::other_message: return "DNS message answers another question";
        case errc::endless_alias: return "chain of CNAME records does not end";
        }
        return "unknown error";
    }
};

inline const error_category& dns_category() noexcept
{
    static constexpr error_category category;
    return category;
}

inline error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), dns_category()}; }

}

namespace boost::system {
template <>
struct is_error_code_enum<alos::dns::errc> : std::true_type {};
}

namespace alos::inline v0::dns {

inline constexpr std::size_t max_name_size = 255; // on the wire (RFC 1035 2.3.4)
inline constexpr std::size_t max_label_size = 63;
inline constexpr std::size_t max_records = 1000; // in one section of an answer
inline constexpr std::size_t max_aliases = 10;   // CNAMEs that are followed

// What every path of the Internet carries in one datagram (RFC 6891 6.2.5).
inline constexpr std::uint16_t udp_payload_size = 1232;

enum class record_type : std::uint16_t { a = 1, ns = 2, cname = 5, soa = 6, txt = 16, aaaa = 28, caa = 257 };

[[nodiscard]] inline std::string_view to_text(record_type type) noexcept
{
    switch (type) {
    case record_type::a: return "A";
    case record_type::ns: return "NS";
    case record_type::cname: return "CNAME";
    case record_type::soa: return "SOA";
    case record_type::txt: return "TXT";
    case record_type::aaaa: return "AAAA";
    case record_type::caa: return "CAA";
    }
    return "unknown type";
}

// Names are in lower case, without the final dot; the root is empty. Bytes that no host name has are written as
// \DDD (RFC 4343 2.1).
struct record {
    std::string name{};
    record_type type{};
    std::uint32_t ttl = 0; // seconds
    // A, AAAA: the address in canonical form (RFC 5952). CNAME, NS: the name. SOA: name server, mailbox, serial and the
    // four times. TXT: its strings joined, any bytes. CAA: the value, any bytes.
    std::string text{};
    std::uint8_t caa_flags = 0;
    std::string caa_tag{}; // in lower case: "issue", "issuewild", "iodef", ...

    friend bool operator==(const record&, const record&) = default;
};

// RFC 1035 4.1.1. Others may come (RFC 6895 2.3): compare, do not switch.
enum class response_code : std::uint16_t {
    no_error = 0,
    format_error = 1,
    server_failure = 2,
    name_error = 3, // there is no such name
    not_implemented = 4,
    refused = 5,
};

struct answer {
    response_code code = response_code::no_error;
    std::vector<record> records{};   // the answer section: what was asked for, and the CNAMEs on the way
    std::vector<record> authority{}; // NS and SOA: who is asked about the name, whose zone it is in
    bool truncated = false;          // there is more by TCP; records are empty
    bool authoritative = false;
};

namespace detail {

inline constexpr std::uint16_t class_in = 1;
inline constexpr std::uint16_t type_opt = 41; // RFC 6891 6.1.1
inline constexpr std::uint16_t flag_response = 0x8000;
inline constexpr std::uint16_t mask_opcode = 0x7800;
inline constexpr std::uint16_t flag_authoritative = 0x0400;
inline constexpr std::uint16_t flag_truncated = 0x0200;
inline constexpr std::uint16_t flag_recursion_desired = 0x0100;
inline constexpr std::uint16_t mask_code = 0x000f;

inline char lower_case(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Letters, digits, '-', and '_' as services have it (RFC 8552).
inline bool is_label(std::string_view label) noexcept
{
    const auto is_allowed = [](char c) {
        c = lower_case(c);
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    };
    return !label.empty() && label.size() <= max_label_size && std::ranges::all_of(label, is_allowed);
}

// The name in lower case as labels; empty if it is none. The root is ".".
inline byte_vector encode_name(std::string_view name)
{
    if (name.empty())
        return {};
    if (name.ends_with('.'))
        name.remove_suffix(1);
    byte_vector out;
    while (!name.empty()) {
        const std::size_t dot = name.find('.');
        const std::string_view label = name.substr(0, dot);
        if (!is_label(label) || out.size() + label.size() + 2 > max_name_size || dot == name.size() - 1)
            return {};
        out.push_back(static_cast<std::uint8_t>(label.size()));
        std::ranges::transform(label, std::back_inserter(out),
                               [](char c) { return static_cast<std::uint8_t>(lower_case(c)); });
        name.remove_prefix(dot == std::string_view::npos ? name.size() : dot + 1);
    }
    out.push_back(0);
    return out;
}

inline void append_label(std::string& text, byte_view label)
{
    if (!text.empty())
        text.push_back('.');
    for (const char c : as_text(label)) {
        if (c > ' ' && c < '\x7f' && c != '.' && c != '\\') {
            text.push_back(lower_case(c));
            continue;
        }
        const unsigned value = static_cast<std::uint8_t>(c);
        text.push_back('\\');
        for (const unsigned place : {100u, 10u, 1u})
            text.push_back(static_cast<char>('0' + value / place % 10));
    }
}

// RFC 1035 4.1.4: a pointer goes to a name that came earlier, `limit` bytes into the message at most. Each has to
// point further back than the one before it, so that a loop ends.
inline std::string read_name(byte_view message, reader& in, std::size_t limit)
{
    std::string text;
    std::size_t size = 1; // with the root's zero byte
    reader elsewhere;
    reader* from = &in;
    for (std::uint8_t length = from->u8(); length != 0; length = from->u8()) {
        if ((length & 0xc0) == 0xc0) {
            const std::size_t target = (length & 0x3fu) << 8 | from->u8();
            if (!from->ok() || target >= limit) {
                in.fail();
                return {};
            }
            limit = target;
            elsewhere = reader(message.subspan(target));
            from = &elsewhere;
            continue;
        }
        const byte_view label = from->bytes(length);
        size += 1 + std::size_t{length};
        if (length > max_label_size || size > max_name_size || !from->ok()) {
            in.fail();
            return {};
        }
        append_label(text, label);
    }
    if (!from->ok())
        in.fail();
    return text;
}

template <std::size_t Size>
std::string read_address(reader& data, int family)
{
    const byte_view bytes = data.bytes(Size);
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (data.ok())
        ::inet_ntop(family, bytes.data(), text.data(), text.size());
    return text.data();
}

inline void read_data(byte_view message, reader& data, std::size_t limit, record& into)
{
    switch (into.type) {
    case record_type::a: into.text = read_address<4>(data, AF_INET); break;
    case record_type::aaaa: into.text = read_address<16>(data, AF_INET6); break;
    case record_type::ns:
    case record_type::cname: into.text = read_name(message, data, limit); break;
    case record_type::soa:
        into.text = read_name(message, data, limit);
        into.text += ' ' + read_name(message, data, limit);
        for (int i = 0; i < 5; ++i)
            into.text += ' ' + std::to_string(data.u32());
        break;
    case record_type::txt: // RFC 1035 3.3.14
        do
            into.text += as_text(data.vector8());
        while (data.ok() && !data.empty());
        break;
    case record_type::caa: { // RFC 8659 4.1
        into.caa_flags = data.u8();
        for (const char c : as_text(data.vector8(1)))
            into.caa_tag.push_back(lower_case(c));
        into.text = as_text(data.bytes(data.rest().size()));
        break;
    }
    }
}

inline bool is_known(std::uint16_t type) noexcept
{
    switch (static_cast<record_type>(type)) {
    case record_type::a:
    case record_type::ns:
    case record_type::cname:
    case record_type::soa:
    case record_type::txt:
    case record_type::aaaa:
    case record_type::caa: return true;
    }
    return false;
}

// The section of `count` records that `in` stands at; those of types and classes that nobody asks for are passed over.
// The upper bits of the response code are in the OPT record (RFC 6891 6.1.3).
inline std::vector<record> read_section(byte_view message, reader& in, std::size_t count, std::uint16_t& code)
{
    std::vector<record> records;
    if (count > max_records)
        in.fail();
    for (; count > 0 && in.ok(); --count) {
        record one;
        one.name = read_name(message, in, message.size() - in.rest().size());
        const std::uint16_t type = in.u16();
        const std::uint16_t record_class = in.u16();
        one.ttl = in.u32();
        reader data(in.vector16());
        if (type == type_opt)
            code = static_cast<std::uint16_t>(code | one.ttl >> 24 << 4);
        if (record_class != class_in || !is_known(type) || !in.ok())
            continue;
        if (one.ttl > 0x7fffffff)
            one.ttl = 0; // RFC 2181 8
        one.type = static_cast<record_type>(type);
        read_data(message, data, message.size() - in.rest().size(), one);
        if (!data.complete())
            in.fail();
        records.push_back(std::move(one));
    }
    return records;
}

}

// A name in the spelling of records: lower case, without the final dot; nothing if it cannot be asked for.
[[nodiscard]] inline result<std::string> canonical_name(std::string_view name)
{
    if (detail::encode_name(name).empty())
        return errc::bad_name;
    if (name.ends_with('.'))
        name.remove_suffix(1);
    std::string text(name);
    std::ranges::transform(text, text.begin(), detail::lower_case);
    return text;
}

// One question, to be answered with recursion. `payload_size` is announced for datagrams by EDNS(0); 0 leaves EDNS out,
// for servers that do not know it.
[[nodiscard]] inline result<byte_vector> encode_query(std::uint16_t id, std::string_view name, record_type type,
                                                      std::uint16_t payload_size = udp_payload_size)
{
    const byte_vector labels = detail::encode_name(name);
    if (labels.empty())
        return errc::bad_name;
    byte_vector message;
    writer out(message);
    out.u16(id);
    out.u16(detail::flag_recursion_desired);
    out.u16(1);
    out.u16(0);
    out.u16(0);
    out.u16(payload_size != 0);
    out.bytes(labels);
    out.u16(static_cast<std::uint16_t>(type));
    out.u16(detail::class_in);
    if (payload_size != 0) { // RFC 6891 6.1.2
        out.u8(0);
        out.u16(detail::type_opt);
        out.u16(payload_size);
        out.u32(0);
        out.u16(0);
    }
    return message;
}

// What `message`, at most 65535 bytes, answers to the question that encode_query() put. errc::other_message: it is not
// meant for this question, so go on listening.
[[nodiscard]] inline result<answer> decode_response(byte_view message, std::uint16_t id, std::string_view name,
                                                    record_type type)
{
    if (message.size() > 0xffff)
        return errc::bad_message;
    reader in(message);
    const std::uint16_t received_id = in.u16();
    const std::uint16_t flags = in.u16();
    const std::uint16_t questions = in.u16();
    const std::uint16_t answers = in.u16();
    const std::uint16_t authorities = in.u16();
    const std::uint16_t additionals = in.u16();
    if (!in.ok())
        return errc::bad_message;
    if (received_id != id || (flags & (detail::flag_response | detail::mask_opcode)) != detail::flag_response)
        return errc::other_message;

    answer found;
    std::uint16_t code = flags & detail::mask_code;
    found.code = static_cast<response_code>(code);
    found.authoritative = (flags & detail::flag_authoritative) != 0;
    found.truncated = (flags & detail::flag_truncated) != 0;
    // Note: a server that could not read the question need not repeat it.
    const bool unread = found.code == response_code::format_error || found.code == response_code::not_implemented;
    if (questions == 0 && unread)
        return found;
    if (questions != 1)
        return errc::other_message;
    const std::string asked = detail::read_name(message, in, message.size() - in.rest().size());
    const std::uint16_t asked_type = in.u16();
    const std::uint16_t asked_class = in.u16();
    if (!in.ok())
        return errc::bad_message;
    const auto expected = canonical_name(name);
    if (!expected || asked != *expected || asked_type != static_cast<std::uint16_t>(type)
        || asked_class != detail::class_in)
        return errc::other_message;
    if (found.truncated) // RFC 2181 9: what is there may be cut anywhere
        return found;

    found.records = detail::read_section(message, in, answers, code);
    found.authority = detail::read_section(message, in, authorities, code);
    detail::read_section(message, in, additionals, code);
    if (!in.ok())
        return errc::bad_message;
    found.code = static_cast<response_code>(code);
    return found;
}

// RFC 1034 3.6.2: the name that `name`, as records spell it, is an alias of, as far as `records` say.
[[nodiscard]] inline result<std::string> follow_aliases(const std::vector<record>& records, std::string name)
{
    for (std::size_t aliases = 0; aliases <= max_aliases; ++aliases) {
        const auto is_alias = [&](const record& one) { return one.type == record_type::cname && one.name == name; };
        const auto found = std::ranges::find_if(records, is_alias);
        if (found == records.end())
            return name;
        name = found->text;
    }
    return errc::endless_alias;
}

// The records of that type that answer for `name`, at the end of its aliases; none if there is no end.
[[nodiscard]] inline std::vector<record> records_for(const answer& found, std::string_view name, record_type type)
{
    const auto start = canonical_name(name);
    const auto end = start && type != record_type::cname ? follow_aliases(found.records, *start) : start;
    std::vector<record> chosen;
    if (!end)
        return chosen;
    std::ranges::copy_if(found.records, std::back_inserter(chosen),
                         [&](const record& one) { return one.type == type && one.name == *end; });
    return chosen;
}

}

#endif
// ---- alos/os/file_system.hpp ----
// The files that certificates are kept in, as the few operations whose order decides what a crash leaves behind.
// os/posix_files.hpp is the real one; tests have one that loses power.
#ifndef ALOS_OS_FILE_SYSTEM_HPP
#define ALOS_OS_FILE_SYSTEM_HPP


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

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace alos::inline v0::acme {

template <class T = void>
using awaitable = boost::asio::awaitable<T>;

using time_point = std::chrono::system_clock::time_point;

// A TLS handshake that is made only to see the certificate; it is not verified.
struct tls_probe {
    std::string address; // of the server, an IP address
    std::uint16_t port = 443;
    std::string server_name;
    std::string alpn; // the one protocol that is offered
};

// All members are called on one thread. What they return is awaited there. They end by being cancelled, then with an
// exception of code boost::asio::error::operation_aborted, as Asio's own do.
class environment {
public:
    virtual ~environment() = default;

    [[nodiscard]] virtual time_point now() = 0;
    virtual void random(byte_span out) = 0;

    // Returns when now() is `when` or later, however the clock jumps meanwhile.
    [[nodiscard]] virtual awaitable<> sleep_until(time_point when) = 0;

    [[nodiscard]] virtual awaitable<outcome<http::outbound_response>> fetch(http::outbound_request request) = 0;
    [[nodiscard]] virtual awaitable<outcome<dns::answer>> resolve(std::string name, dns::record_type type) = 0;

    // The leaf in DER that a server shows (RFC 8737 3).
    [[nodiscard]] virtual awaitable<outcome<byte_vector>> probe(tls_probe what) = 0;

    // The addresses of this machine, for people; as many as are known.
    [[nodiscard]] virtual std::vector<std::string> local_addresses() { return {}; }

    [[nodiscard]] virtual os::file_system& files() = 0;
};

}

#endif

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace alos::inline v0::acme {

// A certificate with its key and what is known of both, kept and replaced as one. It belongs to `id`, which the
// configuration gives it: what a path may contain, without '/', and not "." or "..".
struct bundle {
    std::string chain_pem; // leaf first
    secret_text key_pem;
    std::string meta_json; // who issued it, when, by which profile
    std::uint64_t generation = 0; // 1, 2, ...; the storage numbers them
};

// A text under a key such as "order/example.com": parts as an id is, joined by one '/'. Versions differ whenever the
// text does; 0 is that of one that is not there.
struct document {
    secret_text text;
    std::uint64_t version = 0;
};

// The right to change what belongs to one name, for one attempt. Whoever gets it after somebody else has a higher
// fence, and commits under an older one are refused.
struct storage_lock {
    std::string name;
    std::string owner; // for people: host and process
    std::uint64_t fence = 0;
    std::shared_ptr<void> held; // the lock goes when the last copy of this does, at the latest
};

// Fails with errc::conflict when somebody else was faster, with errc::lock_lost when the lock is no longer held, and
// with the operating system's errors. What fails leaves the old state; a crash at any moment leaves the old or the new.
class storage {
public:
    virtual ~storage() = default;

    // The ids of all certificates.
    [[nodiscard]] virtual awaitable<outcome<std::vector<std::string>>> certificates() = 0;

    // The current generation, or the highest whose key and chain fit when that one is missing or broken; none at all
    // is success without a value.
    [[nodiscard]] virtual awaitable<outcome<std::optional<bundle>>> load_certificate(std::string id) = 0;

    // Stores the generation after `expected` (0: the first) and makes it the current one. Returns its number.
    [[nodiscard]] virtual awaitable<outcome<std::uint64_t>>
    store_certificate(std::string id, bundle next, std::uint64_t expected, storage_lock guard) = 0;

    // The last parts of the keys that begin with `prefix`, a key itself: "challenge/http-01" lists tokens.
    [[nodiscard]] virtual awaitable<outcome<std::vector<std::string>>> list(std::string prefix) = 0;
    [[nodiscard]] virtual awaitable<outcome<std::optional<document>>> load(std::string key) = 0;

    // Replaces the version `expected`; without one, whatever is there. Returns the new version.
    [[nodiscard]] virtual awaitable<outcome<std::uint64_t>> store(std::string key, secret_text text,
                                                                  std::optional<std::uint64_t> expected) = 0;

    // One that is not there is erased already.
    [[nodiscard]] virtual awaitable<outcome<>> erase(std::string key) = 0;

    // Puts aside, under a name with the time in it, what cannot be used: the document `key`. Returns where it is now.
    [[nodiscard]] virtual awaitable<outcome<std::string>> move_aside(std::string key) = 0;

    // Nothing when somebody else has it. Never waits.
    [[nodiscard]] virtual awaitable<outcome<std::optional<storage_lock>>> try_lock(std::string name) = 0;
    [[nodiscard]] virtual awaitable<> unlock(storage_lock held) = 0;

    // Waits until certificates or documents may have changed, by this process or another: "certificates", or the first
    // part of a key. Never completes where that cannot be told.
    [[nodiscard]] virtual awaitable<std::string> next_change() = 0;
};

}

#endif

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

    // A new file whose bytes are on disk; its name is not yet.
    [[nodiscard]] outcome<> write_lasting(const std::string& path, std::string_view text)
    {
        error_code failed = files_.write_new(path, as_bytes(text), 0600);
        if (!failed)
            failed = files_.sync_file(path);
        if (failed)
            return storage_failure(path, "cannot be written", failed);
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
        remove_left_over(temporary);
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

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme::detail {

inline constexpr std::uint64_t max_generation = 999'999'999'999;

// "000042"; from a million on, as many digits as it takes.
inline std::string generation_name(std::uint64_t number)
{
    const std::string digits = std::to_string(number);
    return std::string(digits.size() < 6 ? 6 - digits.size() : 0, '0') + digits;
}

// 0 when it is no generation's name.
inline std::uint64_t parse_generation(std::string_view name) noexcept
{
    std::uint64_t number = 0;
    const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), number);
    const bool is_whole = failed == std::errc() && end == name.data() + name.size();
    const bool is_spelled = name.size() == 6 || (name.size() > 6 && name.front() != '0');
    return is_whole && is_spelled && number <= max_generation ? number : 0;
}

// One writer at a time, any number of readers. Ids have been checked.
class certificate_folder {
public:
    // Asked before anything is written, and again right before the switch.
    using check = std::function<outcome<>()>;

    // `disk` outlives this. `kept` generations stay.
    certificate_folder(durable_files& disk, std::string path, std::size_t kept)
        : disk_(disk), files_(disk.files()), certs_(std::move(path)), kept_(std::max<std::size_t>(kept, 1))
    {
    }

    // The ids that have a generation.
    [[nodiscard]] outcome<std::vector<std::string>> list()
    {
        const auto names = files_.list(certs_);
        std::vector<std::string> ids;
        if (!names && !is_missing(names.error()))
            return storage_failure(certs_, "cannot be listed", names.error());
        if (names)
            for (const std::string& name : *names)
                if (is_key_part(name) && !generations(folder_of(name)).empty())
                    ids.push_back(name);
        return ids;
    }

    // The current generation, or the highest that can be used.
    [[nodiscard]] outcome<std::optional<bundle>> read(const std::string& id)
    {
        const std::string folder = folder_of(id);
        for (unsigned attempt = 0; true; ++attempt) {
            const std::uint64_t current = read_current(folder);
            if (current != 0)
                if (auto found = read_generation(folder, current))
                    return std::optional<bundle>(std::move(*found));
            std::optional<failure> newest_failure;
            for (const std::uint64_t number : generations(folder)) {
                auto found = read_generation(folder, number);
                if (found)
                    return std::optional<bundle>(std::move(*found));
                if (!newest_failure)
                    newest_failure = found.error();
            }
            // While this looked, a writer may have removed the one it looked at.
            if (attempt < 3 && read_current(folder) != current)
                continue;
            if (newest_failure)
                return failure{newest_failure->code,
                               folder + ": no certificate in it can be used (" + newest_failure->what
                                   + "); it is left as it is, for you to restore or remove"};
            if (const auto names = files_.list(folder); !names && !is_missing(names.error()))
                return storage_failure(folder, "cannot be listed", names.error());
            return std::optional<bundle>();
        }
    }

    // Makes `next` the current one if read() gives `expected` (0: none that can be used). Returns its number.
    [[nodiscard]] outcome<std::uint64_t> write(const std::string& id, const bundle& next, std::uint64_t expected,
                                               const check& may_commit)
    {
        const std::string folder = folder_of(id);
        if (auto may = may_commit(); !may)
            return may.error();
        if (auto made = disk_.ensure_directory(folder); !made)
            return made.error();
        if (!is_in_use(id, expected))
            return conflict(folder);

        // A writer that died may have left a generation that never was the current one. Its number is spent.
        const auto present = generations(folder);
        const std::uint64_t before = read_current(folder);
        const std::uint64_t number = std::max({before, expected, present.empty() ? 0 : present.front()}) + 1;
        if (number > max_generation)
            return failure{errc::bad_configuration, folder + ": its numbers are used up; move it away"};

        const std::string made = folder + "/.new";
        disk_.remove_left_over(made);
        auto stored = write_generation(made, next);
        if (stored)
            stored = publish(folder, made, number, before, may_commit);
        remove_old(folder);
        if (stored)
            return number;
        disk_.remove_left_over(made);
        return stored.error();
    }

private:
    [[nodiscard]] std::string folder_of(std::string_view id) const { return certs_ + '/' + std::string(id); }

    // Whether `expected` is what read() gives. What nobody can load counts as none.
    [[nodiscard]] bool is_in_use(const std::string& id, std::uint64_t expected)
    {
        if (expected != 0 && read_current(folder_of(id)) == expected)
            return true;
        const auto found = read(id);
        return (found && *found ? (*found)->generation : 0) == expected;
    }

    // Highest first; none where nothing can be listed.
    [[nodiscard]] std::vector<std::uint64_t> generations(const std::string& folder)
    {
        std::vector<std::uint64_t> numbers;
        if (const auto names = files_.list(folder))
            for (const std::string& name : *names)
                if (const std::uint64_t number = parse_generation(name); number != 0)
                    numbers.push_back(number);
        std::ranges::sort(numbers, std::greater<>());
        return numbers;
    }

    // 0 when it is missing or says nothing.
    [[nodiscard]] std::uint64_t read_current(const std::string& folder)
    {
        constexpr std::size_t most = 32;
        const std::string path = folder + "/current";
        if (const auto target = files_.read_symlink(path))
            return parse_generation(*target);
        const auto text = files_.read(path, most);
        if (!text)
            return 0;
        const std::string_view line = as_text(*text);
        return parse_generation(line.substr(0, line.find('\n')));
    }

    // Fails when a file cannot be read, or they do not belong together.
    [[nodiscard]] outcome<bundle> read_generation(const std::string& folder, std::uint64_t number)
    {
        const std::string inside = folder + '/' + generation_name(number);
        const auto text = [&](const char* name) { return files_.read(inside + name, max_stored_size); };
        const auto chain = text("/fullchain.pem");
        auto key = text("/privkey.pem");
        const auto meta = text("/meta.json");
        for (const auto* each : {&chain, &std::as_const(key), &meta})
            if (!*each)
                return storage_failure(inside, "its files cannot be read", each->error());
        bundle found;
        found.chain_pem = as_text(*chain);
        found.key_pem = std::move(*key);
        found.meta_json = as_text(*meta);
        found.generation = number;
        if (const auto fits = verify(found, inside); !fits)
            return fits.error();
        return found;
    }

    [[nodiscard]] static outcome<> verify(const bundle& one, const std::string& inside)
    {
        const std::string chain_file = inside + "/fullchain.pem";
        const std::string key_file = inside + "/privkey.pem";
        cert::load_options options;
        options.certificate_file = chain_file;
        options.key_file = key_file;
        // Note: without a key of its own, one in the chain's file would do.
        if (one.key_pem.empty())
            return failure{errc::bad_pem, key_file + ": it is empty"};
        const auto made = cert::make_credential(one.chain_pem, as_text(one.key_pem), options);
        if (!made)
            return made.error();
        return {};
    }

    [[nodiscard]] outcome<> write_generation(const std::string& made, const bundle& next)
    {
        if (std::max({next.chain_pem.size(), next.key_pem.size(), next.meta_json.size()}) > max_stored_size)
            return too_large(made);
        if (auto fits = verify(next, made); !fits)
            return fits;
        if (const error_code failed = files_.make_directory(made, 0700))
            return storage_failure(made, "this folder cannot be made", failed);
        if (auto written = disk_.write_lasting(made + "/fullchain.pem", next.chain_pem); !written)
            return written;
        if (auto written = disk_.write_lasting(made + "/privkey.pem", as_text(next.key_pem)); !written)
            return written;
        if (auto written = disk_.write_lasting(made + "/meta.json", next.meta_json); !written)
            return written;
        if (const error_code failed = files_.sync_directory(made))
            return storage_failure(made, "cannot be written", failed);
        return {};
    }

    // Gives the generation its number and makes it the current one, unless that is no longer `before`.
    [[nodiscard]] outcome<> publish(const std::string& folder, const std::string& made, std::uint64_t number,
                                    std::uint64_t before, const check& may_commit)
    {
        const std::string name = generation_name(number);
        const error_code renamed = files_.rename(made, folder + '/' + name, os::if_exists::fail);
        if (is_taken(renamed))
            return conflict(folder);
        if (renamed)
            return storage_failure(folder, "a new certificate cannot be put there", renamed);
        if (const error_code failed = files_.sync_directory(folder))
            return storage_failure(folder, "cannot be written", failed);
        if (auto may = may_commit(); !may)
            return may;
        if (read_current(folder) != before)
            return conflict(folder);

        const std::string link = folder + "/.current.new";
        disk_.remove_left_over(link);
        outcome<> pointed;
        if (const error_code failed = files_.make_symlink(name, link)) {
            // Some file systems have no links.
            if (failed == boost::system::errc::no_space_on_device)
                return storage_failure(link, "cannot be made", failed);
            pointed = disk_.write_lasting(link, name + "\n");
        }
        if (pointed)
            if (const error_code failed = files_.rename(link, folder + "/current", os::if_exists::replace))
                pointed = storage_failure(folder + "/current", "cannot be replaced", failed);
        if (!pointed)
            disk_.remove_left_over(link);
        else
            disk_.settle(folder);
        return pointed;
    }

    // Keeps the newest and the current one. What cannot be removed is tried again the next time.
    void remove_old(const std::string& folder)
    {
        const auto numbers = generations(folder);
        const std::uint64_t current = read_current(folder);
        for (std::size_t i = kept_; i < numbers.size(); ++i)
            if (numbers[i] != current)
                disk_.remove_left_over(folder + '/' + generation_name(numbers[i]));
    }

    static failure conflict(const std::string& folder)
    {
        return {errc::conflict, folder + ": somebody else stored a certificate; load it"};
    }

    durable_files& disk_;
    os::file_system& files_;
    std::string certs_;
    std::size_t kept_;
};

}

#endif
// ---- alos/acme/detail/folder_watch.hpp ----
// Tells of changes in a storage's folder: of certificates, and of documents by the first part of their keys.
#ifndef ALOS_ACME_DETAIL_FOLDER_WATCH_HPP
#define ALOS_ACME_DETAIL_FOLDER_WATCH_HPP


#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

namespace alos::inline v0::acme::detail {

// Used on one thread.
class folder_watch {
public:
    // `files` outlives this.
    folder_watch(os::file_system& files, std::string directory, const boost::asio::any_io_executor& executor)
        : files_(files), directory_(std::move(directory)),
          bell_(executor, boost::asio::steady_timer::time_point::max())
    {
    }

    folder_watch(const folder_watch&) = delete;
    folder_watch& operator=(const folder_watch&) = delete;

    // "certificates", or the first part of a key. Each change since the first call is told of once, however many there
    // were of it; when a call is cancelled, it ends with that.
    [[nodiscard]] awaitable<std::string> next()
    {
        if (watches_.empty())
            watch_everything();
        while (true) {
            look_again();
            if (!pending_.empty())
                co_return std::move(pending_.extract(pending_.begin()).value());
            co_await bell_.async_wait(boost::asio::as_tuple(boost::asio::deferred));
            const auto state = co_await boost::asio::this_coro::cancellation_state;
            if (state.cancelled() != boost::asio::cancellation_type::none) {
                watches_.clear();
                throw boost::system::system_error(boost::asio::error::operation_aborted);
            }
        }
    }

private:
    struct watched {
        std::string category; // empty for the folder of them all
        std::size_t depth;    // of folders below it that are watched, too
        std::unique_ptr<os::file_system::watch> watch;
    };

    void watch_everything()
    {
        is_first_look_ = true;
        watch_folder(directory_, {}, max_key_parts);
        is_first_look_ = false;
        noticed_.clear();
        pending_.clear();
    }

    // Note: a folder is watched before it is listed, so that nothing comes between.
    void watch_folder(const std::string& path, const std::string& category, std::size_t depth)
    {
        if (!watches_.contains(path)) {
            auto watch = files_.watch_directory(path, [this](const std::string& changed) { notice(changed); });
            if (!watch)
                return;
            watches_.emplace(path, watched{category, depth, std::move(watch)});
            if (!category.empty() && !is_first_look_)
                pending_.insert(category);
        }
        const auto names = depth == 0 ? result<std::vector<std::string>>() : files_.list(path);
        if (!names)
            return;
        for (const std::string& name : *names) {
            const bool is_at_top = path == directory_;
            if (!is_key_part(name) || name.ends_with(".json") || (is_at_top && name == "locks"))
                continue;
            const std::string below = path + '/' + name;
            const auto about = files_.stat(below);
            if (!about || about->type != os::file_type::directory)
                continue;
            const bool is_certificates = is_at_top && name == "certs";
            const std::string& own = is_at_top ? name : category;
            watch_folder(below, is_certificates ? "certificates" : own, is_certificates ? 1 : depth - 1);
        }
    }

    void notice(const std::string& path)
    {
        noticed_.insert(path);
        bell_.cancel();
    }

    // What has changed, and which folders came and went with it.
    void look_again()
    {
        for (const std::string& path : std::exchange(noticed_, {})) {
            const auto found = watches_.find(path);
            if (found == watches_.end())
                continue;
            const std::string category = found->second.category;
            const std::size_t depth = found->second.depth;
            if (!category.empty())
                pending_.insert(category);
            else
                notice_top();
            forget_missing(path);
            watch_folder(path, category, depth);
        }
    }

    // Documents whose key is one part: which of them changed is not known.
    void notice_top()
    {
        std::set<std::string> present;
        if (const auto names = files_.list(directory_))
            for (const std::string& name : *names)
                if (name.ends_with(".json") && is_key_part(name))
                    present.insert(name.substr(0, name.size() - 5));
        pending_.insert(present.begin(), present.end());
        pending_.merge(std::exchange(top_, present));
    }

    void forget_missing(const std::string& path)
    {
        const std::string inside = path + '/';
        for (auto each = watches_.lower_bound(inside); each != watches_.end() && each->first.starts_with(inside);) {
            const auto about = files_.stat(each->first);
            each = about && about->type == os::file_type::directory ? std::next(each) : watches_.erase(each);
        }
    }

    os::file_system& files_;
    std::string directory_;
    boost::asio::steady_timer bell_; // never expires; is cancelled when something changed
    std::map<std::string, watched> watches_;
    std::set<std::string> noticed_; // paths
    std::set<std::string> pending_; // what next() will return
    std::set<std::string> top_;     // documents whose key is one part, when last looked
    bool is_first_look_ = false;
};

}

#endif
// ---- alos/acme/rfc3339.hpp ----
// Times as ACME's JSON writes them. RFC 3339 5.6.
#ifndef ALOS_ACME_RFC3339_HPP
#define ALOS_ACME_RFC3339_HPP


#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace alos::inline v0::acme {

using time_point = std::chrono::system_clock::time_point;

namespace detail {

// Takes "." 1*DIGIT from the front of `rest`, if it is there; nothing when the digits are missing. What is finer than
// a nanosecond is dropped.
inline std::optional<std::chrono::nanoseconds> take_fraction(std::string_view& rest) noexcept
{
    if (!rest.starts_with('.'))
        return std::chrono::nanoseconds(0);
    rest.remove_prefix(1);
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    if (digits == 0)
        return std::nullopt;
    std::int64_t value = 0;
    for (std::size_t i = 0; i < 9; ++i)
        value = value * 10 + (i < digits ? rest[i] - '0' : 0);
    rest.remove_prefix(digits);
    return std::chrono::nanoseconds(value);
}

// time-offset: "Z", or how far local time is ahead of UTC.
inline std::optional<std::chrono::seconds> parse_offset(std::string_view text) noexcept
{
    if (text == "Z" || text == "z")
        return std::chrono::seconds(0);
    if (!text.starts_with('+') && !text.starts_with('-'))
        return std::nullopt;
    http::detail::date_reader in(text.substr(1));
    const unsigned hour = in.number(2);
    in.skip(":");
    const unsigned minute = in.number(2);
    if (!in.complete() || hour > 23 || minute > 59)
        return std::nullopt;
    const std::chrono::seconds ahead(hour * 3600 + minute * 60);
    return text.front() == '-' ? -ahead : ahead;
}

}

// A date-time with any fraction and offset. A leap second is the second after it. Years before 1900 and from 2200 on
// are taken as those: system_clock counts nanoseconds, and would not hold them.
[[nodiscard]] inline result<time_point> parse_rfc3339(std::string_view text)
{
    const error_code malformed = make_error_code(boost::system::errc::bad_message);
    constexpr std::size_t date_size = 10;
    constexpr std::size_t time_size = 8;
    // RFC 3339 5.6: "T" and "Z" may be lower case, and a space may stand for "T".
    constexpr std::string_view separators = "Tt ";
    if (text.size() <= date_size || separators.find(text[date_size]) == std::string_view::npos)
        return malformed;

    http::detail::date_reader date(text.substr(0, date_size));
    const unsigned year = date.number(4);
    date.skip("-");
    const unsigned month = date.number(2);
    date.skip("-");
    const unsigned day = date.number(2);
    const auto calendar = std::chrono::year(static_cast<int>(year)) / static_cast<int>(month) / static_cast<int>(day);
    std::string_view rest = text.substr(date_size + 1);
    http::detail::date_reader clock(rest.substr(0, time_size));
    const unsigned second = clock.time();
    if (!date.complete() || !calendar.ok() || !clock.complete())
        return malformed;

    rest.remove_prefix(time_size);
    const auto fraction = detail::take_fraction(rest);
    const auto offset = detail::parse_offset(rest);
    if (!fraction || !offset)
        return malformed;
    constexpr std::chrono::sys_seconds first = std::chrono::sys_days(std::chrono::year(1900) / 1 / 1);
    constexpr std::chrono::sys_seconds last = std::chrono::sys_days(std::chrono::year(2200) / 1 / 1);
    const std::chrono::sys_seconds whole = std::chrono::sys_days(calendar) + std::chrono::seconds(second) - *offset;
    return std::clamp(whole, first, last) + std::chrono::duration_cast<time_point::duration>(*fraction);
}

// In UTC, to the second: "2026-11-22T23:55:32Z".
[[nodiscard]] inline std::string format_rfc3339(time_point when)
{
    const auto second = std::chrono::floor<std::chrono::seconds>(when);
    const auto midnight = std::chrono::floor<std::chrono::days>(second);
    const std::chrono::year_month_day date(midnight);
    const std::chrono::hh_mm_ss time(second - midnight);
    std::string text = "0000-00-00T00:00:00Z";
    const auto put = [&](std::size_t end, auto number) {
        for (; number > 0; number /= 10)
            text[--end] = static_cast<char>('0' + number % 10);
    };
    put(4, static_cast<int>(date.year()));
    put(7, static_cast<unsigned>(date.month()));
    put(10, static_cast<unsigned>(date.day()));
    put(13, time.hours().count());
    put(16, time.minutes().count());
    put(19, time.seconds().count());
    return text;
}

}

#endif

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

namespace detail {

// The number in a lock's fence file; nothing when it is damaged.
inline std::optional<std::uint64_t> parse_fence(std::string_view text)
{
    error_code ec;
    const boost::json::value whole = boost::json::parse(text, ec);
    const auto* const object = ec ? nullptr : whole.if_object();
    const auto* const fence = object ? object->if_contains("fence") : nullptr;
    if (!fence || !fence->is_number())
        return std::nullopt;
    const auto number = fence->try_to_number<std::uint64_t>();
    if (!number || *number == 0 || *number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        return std::nullopt;
    return *number;
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

    // `owner` is for people, and says who holds a lock: host and process. next_change() waits on `executor`. `kept`
    // generations of a certificate stay. `files` outlives this.
    file_storage(os::file_system& files, std::string directory, std::string owner, clock now,
                 const boost::asio::any_io_executor& executor, unsigned kept = 5)
        : files_(files), directory_(without_slash(std::move(directory))), owner_(std::move(owner)),
          now_(std::move(now)), executor_(executor), disk_(files, directory_),
          certificates_(disk_, path_of("certs"), kept), watch_(files, directory_, executor)
    {
    }

    file_storage(const file_storage&) = delete;
    file_storage& operator=(const file_storage&) = delete;

    // Makes the folder, and writes to it for a trial, so that what is wrong with it shows early.
    [[nodiscard]] outcome<> prepare()
    {
        for (const std::string& folder : {path_of("certs"), path_of("locks")})
            if (auto made = disk_.ensure_directory(folder); !made)
                return made;
        const auto lock = files_.try_lock(commit_lock());
        const std::string trial = path_of(".trial");
        (void)files_.remove(trial);
        const error_code failed = lock ? files_.write_new(trial, {}, 0600) : lock.error();
        (void)files_.remove(trial);
        // Note: another process may be trying just now.
        if (failed && failed != boost::system::errc::file_exists)
            return detail::storage_failure(directory_, "certificates cannot be kept there", failed);
        return {};
    }

    [[nodiscard]] awaitable<outcome<std::vector<std::string>>> certificates() override
    {
        co_return certificates_.list();
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
        const auto may_commit = [&] { return check_held(guard); };
        co_return certificates_.write(id, next, expected, may_commit);
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
                if (name.ends_with(".json") && detail::is_key_part(name.substr(0, name.size() - 5)))
                    keys.emplace_back(name.substr(0, name.size() - 5));
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
        if (expected) {
            const auto present = read_document(key);
            if (!present)
                co_return present.error();
            if ((*present ? (*present)->version : 0) != *expected)
                co_return failure{errc::conflict, document_path(key) + ": somebody else changed it; read it again"};
        }
        const auto written = disk_.replace_file(document_path(key), as_text(text));
        if (!written)
            co_return written.error();
        co_return detail::version_of(text);
    }

    [[nodiscard]] awaitable<outcome<>> erase(std::string key) override
    {
        if (!detail::is_key(key))
            co_return bad_name(key);
        const std::string path = document_path(key);
        if (const auto there = files_.stat(path); !there && detail::is_missing(there.error()))
            co_return outcome<>();
        const auto commit = co_await begin_commit();
        if (!commit)
            co_return commit.error();
        const error_code failed = files_.remove(path);
        if (failed && !detail::is_missing(failed))
            co_return detail::storage_failure(path, "cannot be removed", failed);
        (void)files_.sync_directory(cert::detail::directory_of(path));
        co_return outcome<>();
    }

    [[nodiscard]] awaitable<outcome<std::string>> move_aside(std::string key) override
    {
        if (!detail::is_key(key))
            co_return bad_name(key);
        const auto commit = co_await begin_commit();
        if (!commit)
            co_return commit.error();
        const std::string path = document_path(key);
        const std::string aside = path + ".broken-" + format_rfc3339(now_());
        for (unsigned i = 1; true; ++i) {
            const std::string there = i == 1 ? aside : aside + "-" + std::to_string(i);
            const error_code failed = files_.rename(path, there, os::if_exists::fail);
            if (detail::is_taken(failed) && i < 100)
                continue;
            if (failed)
                co_return detail::storage_failure(path, "cannot be moved aside", failed);
            (void)files_.sync_directory(cert::detail::directory_of(path));
            co_return there;
        }
    }

    [[nodiscard]] awaitable<outcome<std::optional<storage_lock>>> try_lock(std::string name) override
    {
        if (!detail::is_key_part(name))
            co_return bad_name(name);
        co_return take_lock(name);
    }

    [[nodiscard]] awaitable<> unlock(storage_lock held) override
    {
        if (held_lock* const mine = find_held(held))
            mine->lock.reset();
        std::erase_if(held_, [](const auto& each) { return each.second.expired(); });
        co_return;
    }

    // Tells of what happens after its first call. From then on the file system may keep the executor busy, until a call
    // is cancelled or this is destroyed.
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

    // What storage_lock::held points to; without a lock after unlock().
    struct held_lock {
        lock_ptr lock;
    };

    static std::string without_slash(std::string path)
    {
        while (path.size() > 1 && path.ends_with('/'))
            path.pop_back();
        return path.empty() ? "." : path;
    }

    [[nodiscard]] std::string path_of(std::string_view below) const { return directory_ + '/' + std::string(below); }
    [[nodiscard]] std::string document_path(std::string_view key) const { return path_of(key) + ".json"; }
    [[nodiscard]] std::string lock_path(std::string_view name) const { return path_of("locks/") + std::string(name); }
    [[nodiscard]] std::string commit_lock() const { return lock_path(".commit"); }

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
        if (!text)
            return detail::storage_failure(path, "cannot be read", text.error());
        document found;
        found.version = detail::version_of(*text);
        found.text = std::move(*text);
        return std::optional<document>(std::move(found));
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
            boost::asio::steady_timer timer(executor_, pause);
            co_await timer.async_wait(boost::asio::deferred);
        }
        co_return failure{errc::timed_out,
                          path + ": another process has been writing for too long; see what it hangs on"};
    }

    // --- Locks ---

    [[nodiscard]] outcome<std::optional<storage_lock>> take_lock(const std::string& name)
    {
        const std::string path = lock_path(name) + ".lock";
        if (auto made = disk_.ensure_directory(cert::detail::directory_of(path)); !made)
            return made.error();
        auto lock = files_.try_lock(path);
        if (!lock)
            return detail::storage_failure(path, "cannot be locked", lock.error());
        if (!*lock)
            return std::optional<storage_lock>();
        const auto fence = raise_fence(name);
        if (!fence)
            return fence.error();
        auto mine = std::make_shared<held_lock>();
        mine->lock = std::move(*lock);
        std::erase_if(held_, [](const auto& each) { return each.second.expired(); });
        held_[name] = mine;
        storage_lock held;
        held.name = name;
        held.owner = owner_;
        held.fence = *fence;
        held.held = std::move(mine);
        return std::optional<storage_lock>(std::move(held));
    }

    // 0 when there is none yet; nothing when it is damaged.
    [[nodiscard]] outcome<std::optional<std::uint64_t>> read_fence(const std::string& name)
    {
        constexpr std::size_t most = 65536;
        const std::string path = lock_path(name) + ".fence.json";
        const auto text = files_.read(path, most);
        if (text)
            return detail::parse_fence(as_text(*text));
        if (detail::is_missing(text.error()))
            return std::optional<std::uint64_t>(0);
        return detail::storage_failure(path, "cannot be read", text.error());
    }

    // Called by who has the lock.
    [[nodiscard]] outcome<std::uint64_t> raise_fence(const std::string& name)
    {
        const auto last = read_fence(name);
        if (!last)
            return last.error();
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now_().time_since_epoch()).count();
        // A damaged one does not say how far it had come. Note: locks are taken far less often than once a second.
        const std::uint64_t raised = last->value_or(static_cast<std::uint64_t>(std::max<std::int64_t>(seconds, 0))) + 1;
        boost::json::object about;
        about["fence"] = raised;
        about["owner"] = owner_;
        about["since"] = format_rfc3339(now_());
        const std::string text = boost::json::serialize(about);
        if (const auto written = disk_.replace_file(lock_path(name) + ".fence.json", text); !written)
            return written.error();
        return raised;
    }

    [[nodiscard]] held_lock* find_held(const storage_lock& guard)
    {
        const auto found = held_.find(guard.name);
        const auto mine = found == held_.end() ? nullptr : found->second.lock();
        return mine && mine == guard.held ? mine.get() : nullptr;
    }

    [[nodiscard]] outcome<> check_held(const storage_lock& guard)
    {
        const held_lock* const mine = find_held(guard);
        if (!mine || !mine->lock)
            return failure{errc::lock_lost, "the lock '" + guard.name + "' is not held; take it first"};
        const auto last = read_fence(guard.name);
        if (!last)
            return last.error();
        if (*last != guard.fence)
            return failure{errc::lock_lost, "the lock '" + guard.name + "' was taken by somebody else meanwhile"};
        return {};
    }

    os::file_system& files_;
    std::string directory_;
    std::string owner_;
    clock now_;
    boost::asio::any_io_executor executor_;
    detail::durable_files disk_;
    detail::certificate_folder certificates_;
    detail::folder_watch watch_;
    std::map<std::string, std::weak_ptr<held_lock>, std::less<>> held_;
};

}

#endif
// ---- alos/acme/foreign_storage.hpp ----
// Certificates that certbot and lego keep in their folders: read, never written.
//   certbot: live/<name>/{fullchain.pem,privkey.pem}
//   lego: certificates/<name>.crt, <name>.key, <name>.issuer.crt
#ifndef ALOS_ACME_FOREIGN_STORAGE_HPP
#define ALOS_ACME_FOREIGN_STORAGE_HPP


#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

inline constexpr std::size_t max_foreign_certificates = 10000;

struct foreign_certificate {
    std::string name; // what its owner calls it; what it is for stands in the certificate
    std::string chain_pem;
    secret_text key_pem;
};

struct foreign_certificates {
    std::vector<foreign_certificate> found;
    std::vector<std::string> skipped; // for each that cannot be used, a sentence that says why
};

namespace detail {

inline bool is_folder(os::file_system& files, const std::string& path)
{
    // Note: the folder may be a link; listing follows it.
    return files.list(path).has_value();
}

// Names from a folder go into logs.
inline bool is_plain_name(std::string_view name) noexcept
{
    const auto is_plain = [](char c) { return c > ' ' && c < '\x7f' && c != '/'; };
    return !name.empty() && !name.starts_with('.') && std::ranges::all_of(name, is_plain);
}

inline std::vector<std::string> plain_names(os::file_system& files, const std::string& folder)
{
    auto names = files.list(folder);
    if (!names)
        return {};
    std::erase_if(*names, [](const std::string& name) { return !is_plain_name(name); });
    return std::move(*names);
}

inline constexpr std::string_view lego_chain = ".crt";
inline constexpr std::string_view lego_issuer = ".issuer.crt";

inline bool is_lego_chain(std::string_view name) noexcept
{
    return name.size() > lego_chain.size() && name.ends_with(lego_chain) && !name.ends_with(lego_issuer);
}

// The certificates in a text, or 0 when it is no PEM.
inline std::size_t count_certificates(std::string_view pem)
{
    const auto blocks = parse_pem(pem);
    const auto is_certificate = [](const pem_block& block) { return block.label == "CERTIFICATE"; };
    return blocks ? static_cast<std::size_t>(std::ranges::count_if(*blocks, is_certificate)) : 0;
}

struct foreign_files {
    std::string name;
    std::string chain;
    std::string key;
    std::string issuer; // empty: none
};

// Reads one, or says why it cannot be used.
inline outcome<foreign_certificate> read_foreign_files(os::file_system& files, const foreign_files& where)
{
    const auto chain = files.read(where.chain, max_pem_size);
    if (!chain)
        return failure{chain.error(), where.chain + ": cannot be read: " + chain.error().message()};
    auto key = files.read(where.key, max_pem_size);
    if (!key)
        return failure{key.error(), where.key + ": cannot be read: " + key.error().message()};
    foreign_certificate one;
    one.name = where.name;
    one.chain_pem = as_text(*chain);
    one.key_pem = std::move(*key);
    if (one.key_pem.empty())
        return failure{errc::bad_pem, where.key + ": it is empty"};
    if (!where.issuer.empty() && count_certificates(one.chain_pem) == 1) {
        if (const auto issuer = files.read(where.issuer, max_pem_size)) {
            if (!one.chain_pem.ends_with('\n'))
                one.chain_pem += '\n';
            one.chain_pem += as_text(*issuer);
        }
    }
    cert::load_options options;
    options.certificate_file = where.chain;
    options.key_file = where.key;
    const auto made = cert::make_credential(one.chain_pem, as_text(one.key_pem), options);
    if (!made)
        return made.error();
    return one;
}

inline std::vector<foreign_files> find_certbot(os::file_system& files, const std::string& directory)
{
    const std::string live = directory + "/live";
    std::vector<foreign_files> found;
    for (const std::string& name : plain_names(files, live)) {
        const std::string folder = live + '/' + name;
        if (is_folder(files, folder))
            found.push_back({name, folder + "/fullchain.pem", folder + "/privkey.pem", {}});
    }
    return found;
}

inline std::vector<foreign_files> find_lego(os::file_system& files, const std::string& directory)
{
    const std::string folder = directory + "/certificates";
    std::vector<foreign_files> found;
    for (const std::string& file : plain_names(files, folder)) {
        if (!is_lego_chain(file))
            continue;
        const std::string stem = file.substr(0, file.size() - lego_chain.size());
        const std::string path = folder + '/' + stem;
        const std::string name = stem.starts_with("_.") ? "*" + stem.substr(1) : stem;
        found.push_back({name, folder + '/' + file, path + ".key", path + std::string(lego_issuer)});
    }
    return found;
}

}

// Whether certbot keeps its certificates in that folder, such as /etc/letsencrypt.
[[nodiscard]] inline bool is_certbot(os::file_system& files, const std::string& directory)
{
    const auto has_chain = [&](const detail::foreign_files& one) { return files.stat(one.chain).has_value(); };
    return std::ranges::any_of(detail::find_certbot(files, directory), has_chain);
}

// Whether lego keeps its certificates in that folder, which it calls .lego.
[[nodiscard]] inline bool is_lego(os::file_system& files, const std::string& directory)
{
    return !detail::find_lego(files, directory).empty();
}

// All that either of them has there and that can be served, whether expired or not.
[[nodiscard]] inline foreign_certificates read_foreign(os::file_system& files, const std::string& directory)
{
    foreign_certificates all;
    std::vector<detail::foreign_files> places = detail::find_certbot(files, directory);
    for (detail::foreign_files& one : detail::find_lego(files, directory))
        places.push_back(std::move(one));
    if (places.size() > max_foreign_certificates) {
        all.skipped.push_back(directory + ": only the first 10000 certificates in it are read");
        places.resize(max_foreign_certificates);
    }
    for (const detail::foreign_files& where : places) {
        auto one = detail::read_foreign_files(files, where);
        // Certbot replaces its links one after the other; between two of them they do not fit.
        for (int again = 0; again < 2 && !one && one.error().code == errc::key_mismatch; ++again)
            one = detail::read_foreign_files(files, where);
        if (one)
            all.found.push_back(std::move(*one));
        else
            all.skipped.push_back("a certificate of another program is passed over: " + one.error().what);
    }
    return all;
}

}

#endif
// ---- alos/acme/manager.hpp ----
// All certificates of a server: what is configured, what is served, and who works on what and when. It runs on one
// thread and sees the world through an environment, so that years of it pass in a test in a second.
#ifndef ALOS_ACME_MANAGER_HPP
#define ALOS_ACME_MANAGER_HPP

// ---- alos/acme/renewer.hpp ----
// Cares for one certificate: what is due and when, the attempt, what its outcome means, and the CA's advice
// (RFC 9773). The manager has one of these for all certificates.
#ifndef ALOS_ACME_RENEWER_HPP
#define ALOS_ACME_RENEWER_HPP

// ---- alos/acme/authority.hpp ----
// One CA of the configuration with all that belongs to it: the client, the accounts by e-mail address, and how much may
// still be asked of it.
#ifndef ALOS_ACME_AUTHORITY_HPP
#define ALOS_ACME_AUTHORITY_HPP

// ---- alos/acme/account.hpp ----
// The account at a CA, one for each e-mail address: found in the storage or made, with its key; changed and closed.
// RFC 8555 7.3.
#ifndef ALOS_ACME_ACCOUNT_HPP
#define ALOS_ACME_ACCOUNT_HPP

// ---- alos/acme/client.hpp ----
// One CA, spoken to: its directory, nonces, and signed requests that are repeated where the protocol says so.
// RFC 8555 6 and 7.1.
#ifndef ALOS_ACME_CLIENT_HPP
#define ALOS_ACME_CLIENT_HPP

// ---- alos/acme/jws.hpp ----
// Keys of accounts and what they sign: JWK (RFC 7517 4, RFC 7518 6, RFC 8037 2), its thumbprint (RFC 7638 3), and JWS
// in the flattened form that ACME asks for (RFC 7515 7.2.2, RFC 8555 6.2).
#ifndef ALOS_ACME_JWS_HPP
#define ALOS_ACME_JWS_HPP

// ---- alos/acme/base64url.hpp ----
// base64url without padding (RFC 4648 5), as JOSE writes bytes (RFC 7515 2).
#ifndef ALOS_ACME_BASE64URL_HPP
#define ALOS_ACME_BASE64URL_HPP


#include <boost/system/errc.hpp>

#include <algorithm>
#include <string>
#include <string_view>

namespace alos::inline v0::acme {

namespace detail {

inline constexpr unsigned no_digit = 64;

// What a digit of the alphabet for URLs stands for; no_digit for any other character.
constexpr unsigned base64url_value(char c) noexcept
{
    if (c >= 'A' && c <= 'Z')
        return static_cast<unsigned>(c - 'A');
    if (c >= 'a' && c <= 'z')
        return static_cast<unsigned>(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return static_cast<unsigned>(c - '0') + 52;
    return c == '-' ? 62 : c == '_' ? 63 : no_digit;
}

// The same for both alphabets (RFC 4648 4 and 5).
constexpr unsigned base64_value(char c) noexcept
{
    return c == '+' ? 62 : c == '/' ? 63 : base64url_value(c);
}

template <class Bytes, class Value>
result<Bytes> decode_base64(std::string_view text, Value value_of)
{
    const auto bad = boost::system::errc::make_error_code(boost::system::errc::illegal_byte_sequence);
    if (text.size() % 4 == 1)
        return bad;
    Bytes bytes;
    bytes.reserve(text.size() / 4 * 3 + 2);
    unsigned pending = 0;
    unsigned bits = 0; // of `pending`, at its low end
    for (const char c : text) {
        const unsigned digit = value_of(c);
        if (digit == no_digit)
            return bad;
        pending = (pending & 0x3f) << 6 | digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes.push_back(static_cast<std::uint8_t>(pending >> bits));
        }
    }
    // RFC 4648 3.5: bits that belong to no byte are zero, so that bytes have one spelling.
    if ((pending & ((1u << bits) - 1)) != 0)
        return bad;
    return bytes;
}

}

[[nodiscard]] inline std::string to_base64url(byte_view bytes)
{
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string text;
    text.reserve(bytes.size() / 3 * 4 + 3);
    unsigned pending = 0;
    unsigned bits = 0;
    for (const std::uint8_t byte : bytes) {
        pending = (pending & 0xff) << 8 | byte;
        for (bits += 8; bits >= 6;) {
            bits -= 6;
            text += digits[pending >> bits & 0x3f];
        }
    }
    if (bits != 0)
        text += digits[pending << (6 - bits) & 0x3f];
    return text;
}

// Fails with illegal_byte_sequence for anything that to_base64url() does not write.
[[nodiscard]] inline result<byte_vector> from_base64url(std::string_view text)
{
    return detail::decode_base64<byte_vector>(text, detail::base64url_value);
}

// A key as people copy it from a CA's page: either alphabet, with padding or without, blanks around it.
[[nodiscard]] inline result<secret_bytes> secret_from_base64(std::string_view text)
{
    constexpr std::string_view blanks = " \t\r\n";
    const std::size_t start = text.find_first_not_of(blanks);
    text.remove_prefix(std::min(start, text.size()));
    text = text.substr(0, text.find_last_not_of(blanks) + 1);
    for (int i = 0; i < 2 && text.ends_with('='); ++i)
        text.remove_suffix(1);
    return detail::decode_base64<secret_bytes>(text, detail::base64_value);
}

// Whether the text is of that alphabet, and not empty. Tokens and nonces have to be (RFC 8555 6.5.1, 8.3).
[[nodiscard]] inline bool is_base64url(std::string_view text) noexcept
{
    const auto is_digit = [](char c) { return detail::base64url_value(c) != detail::no_digit; };
    return !text.empty() && std::ranges::all_of(text, is_digit);
}

}

#endif

#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace alos::inline v0::acme {

inline constexpr std::size_t min_account_rsa_bits = 2048; // RFC 7518 3.3
inline constexpr std::size_t max_hmac_key_size = 1024;    // bytes; RFC 7518 3.2 wants at least 32

namespace detail {

// RFC 7518 3.1, RFC 8037 3.1
[[nodiscard]] constexpr std::string_view algorithm_of(public_key_facts::type key) noexcept
{
    switch (key) {
    case public_key_facts::type::ecdsa_p256: return "ES256";
    case public_key_facts::type::ecdsa_p384: return "ES384";
    case public_key_facts::type::ed25519: return "EdDSA";
    case public_key_facts::type::rsa: return "RS256";
    default: return {};
    }
}

// A JSON object whose members stay in the order in which they are added. Boost.JSON quotes the texts: what a CA sent,
// such as a URL, may hold anything.
class json_text {
public:
    json_text member(std::string_view name, std::string_view text) &&
    {
        return std::move(*this).document(name, boost::json::serialize(boost::json::string_view(text)));
    }

    // `json` is a value already.
    json_text document(std::string_view name, std::string_view json) &&
    {
        text_ += text_.empty() ? "{\"" : ",\"";
        text_.append(name).append("\":").append(json);
        return std::move(*this);
    }

    [[nodiscard]] std::string text() && { return std::move(text_) + "}"; }

private:
    std::string text_;
};

// RFC 7518 6.2.1: both coordinates are as wide as the curve, zeros in front included.
inline std::string ec_jwk(std::string_view curve, byte_view point, std::size_t width)
{
    if (point.size() != 1 + 2 * width || point[0] != 0x04) // SEC 1 2.3.3: not compressed
        return {};
    const std::string x = to_base64url(point.subspan(1, width));
    const std::string y = to_base64url(point.subspan(1 + width));
    return json_text().member("crv", curve).member("kty", "EC").member("x", x).member("y", y).text();
}

// RFC 8037 2
inline std::string ed25519_jwk(byte_view point)
{
    return json_text().member("crv", "Ed25519").member("kty", "OKP").member("x", to_base64url(point)).text();
}

// RFC 7518 6.3.1: numbers without zeros in front.
inline std::string rsa_jwk(byte_view key)
{
    der::reader in(key);
    der::reader fields(in.read(der::sequence));
    const auto number = [&] {
        byte_view digits = fields.read(der::integer);
        while (!digits.empty() && digits[0] == 0)
            digits = digits.subspan(1);
        return to_base64url(digits);
    };
    const std::string n = number();
    const std::string e = number();
    if (!fields.ok())
        return {};
    return json_text().member("e", e).member("kty", "RSA").member("n", n).text();
}

// RFC 7638 3.2, 3.3: the required members only, in the order of their names, without blanks. Empty for a key that has
// no such form here.
inline std::string jwk_of(public_key_facts::type kind, byte_view public_key_info)
{
    der::reader in(public_key_info);
    der::reader fields(in.read(der::sequence));
    fields.read(der::sequence);
    byte_view key = fields.read(der::bit_string);
    if (key.empty())
        return {};
    key = key.subspan(1);
    switch (kind) {
    case public_key_facts::type::ecdsa_p256: return ec_jwk("P-256", key, 32);
    case public_key_facts::type::ecdsa_p384: return ec_jwk("P-384", key, 48);
    case public_key_facts::type::ed25519: return ed25519_jwk(key);
    case public_key_facts::type::rsa: return rsa_jwk(key);
    default: return {};
    }
}

}

// A key pair that signs requests. Copies share it; any number of threads may use it.
class account_key {
public:
    // Note: RSA takes a large part of a second.
    [[nodiscard]] static outcome<account_key> generate(key_kind kind)
    {
        const auto key = private_key::generate(kind);
        if (!key)
            return key.error();
        return from(*key);
    }

    // The first private key of a PEM text, not encrypted.
    [[nodiscard]] static outcome<account_key> from_pem(std::string_view pem)
    {
        const auto blocks = parse_pem(pem);
        if (!blocks)
            return blocks.error();
        const auto block = std::ranges::find_if(*blocks, is_private_key);
        if (block == blocks->end())
            return failure{errc::bad_pem, "it holds no private key; restore the account's"};
        const auto key = parse_private_key(*block, {}, {});
        if (!key)
            return key.error();
        return from(*key);
    }

    // Any private key, not null: that of a certificate may revoke it (RFC 8555 7.6).
    [[nodiscard]] static outcome<account_key> from(private_key_ptr key)
    {
        const byte_vector info = key->public_key_info();
        const public_key_facts facts = read_public_key(info);
        const auto scheme = document_scheme_of(facts);
        std::string jwk = detail::jwk_of(facts.kind, info);
        if (!scheme || jwk.empty())
            return failure{errc::unsupported_key, "an ACME account cannot use " + facts.text
                                                      + "; use ECDSA P-256 or P-384, or RSA of 2048 bits or more"};
        // RFC 7518 3.3: "A key of size 2048 bits or larger MUST be used".
        if (facts.kind == public_key_facts::type::rsa && facts.bits < min_account_rsa_bits)
            return failure{errc::unsupported_key,
                           facts.text + " is too small for any CA; use ECDSA P-256, or RSA of 2048 bits or more"};
        // RFC 7638 3.1
        std::string thumbprint = to_base64url(sha256_of(as_bytes(jwk)));
        return account_key(std::make_shared<const parts>(
            parts{std::move(key), *scheme, detail::algorithm_of(facts.kind), std::move(jwk), std::move(thumbprint)}));
    }

    // PrivateKeyInfo (RFC 5958), not encrypted.
    [[nodiscard]] secret_text to_pem() const { return parts_->key->to_pem(); }

    // "ES256", "ES384", "RS256"; "EdDSA", which few CAs take. All views are valid as long as a copy of the key.
    [[nodiscard]] std::string_view alg() const noexcept { return parts_->alg; }

    // The public key as JSON, the way its thumbprint is computed of.
    [[nodiscard]] std::string_view jwk() const noexcept { return parts_->jwk; }

    // base64url, 43 characters.
    [[nodiscard]] std::string_view thumbprint() const noexcept { return parts_->thumbprint; }

    // The bytes of a JWS Signature. ECDSA's are r and s side by side (RFC 7518 3.4).
    [[nodiscard]] result<byte_vector> sign(byte_view input) const
    {
        return parts_->key->sign_document(parts_->scheme, input, ecdsa_form::raw);
    }

private:
    struct parts {
        private_key_ptr key;
        signature_scheme scheme;
        std::string_view alg;
        std::string jwk;
        std::string thumbprint;
    };

    explicit account_key(std::shared_ptr<const parts> made) noexcept : parts_(std::move(made)) {}

    std::shared_ptr<const parts> parts_;
};

// What a request is for (RFC 8555 6.2).
struct jws_target {
    std::string url; // exactly that of the request
    std::string nonce;
    std::string kid{}; // the account's URL; empty: the key itself is sent
};

namespace detail {

// RFC 7515 5.1: what is signed, and RFC 7515 7.2.2: how it is sent.
struct unsigned_jws {
    std::string header;
    std::string payload;

    unsigned_jws(std::string_view header_json, std::string_view payload_text)
        : header(to_base64url(as_bytes(header_json))), payload(to_base64url(as_bytes(payload_text)))
    {}

    [[nodiscard]] std::string signing_input() const { return header + "." + payload; }

    [[nodiscard]] std::string with(byte_view signature) const
    {
        return json_text()
            .member("protected", header)
            .member("payload", payload)
            .member("signature", to_base64url(signature))
            .text();
    }
};

inline result<std::string> sign_with(const account_key& key, const unsigned_jws& text)
{
    const auto signature = key.sign(as_bytes(text.signing_input()));
    if (!signature)
        return signature.error();
    return text.with(*signature);
}

}

// RFC 8555 6.2: the body of a POST. `payload` is JSON, or empty for POST-as-GET (RFC 8555 6.3). Fails only when the key
// is damaged.
[[nodiscard]] inline result<std::string> sign_jws(const account_key& key, const jws_target& target,
                                                  std::string_view payload)
{
    // RFC 8555 6.2: "The "jwk" and "kid" fields are mutually exclusive."
    auto header = detail::json_text().member("alg", key.alg());
    auto named = target.kid.empty() ? std::move(header).document("jwk", key.jwk())
                                    : std::move(header).member("kid", target.kid);
    const std::string text = std::move(named).member("nonce", target.nonce).member("url", target.url).text();
    return detail::sign_with(key, detail::unsigned_jws(text, payload));
}

// RFC 8555 7.3.5: what the new key signs to take over `account` from the old one. The old key then signs it as the
// payload of a request to `url`, that of keyChange.
[[nodiscard]] inline result<std::string> sign_key_change(const account_key& new_key, const account_key& old_key,
                                                         std::string_view account, std::string_view url)
{
    // RFC 8555 7.3.5: "The inner JWS MUST omit the "nonce" header parameter."
    const std::string header =
        detail::json_text().member("alg", new_key.alg()).document("jwk", new_key.jwk()).member("url", url).text();
    const std::string payload =
        detail::json_text().member("account", account).document("oldKey", old_key.jwk()).text();
    return detail::sign_with(new_key, detail::unsigned_jws(header, payload));
}

// RFC 8555 7.3.4: the externalAccountBinding of a newAccount request to `url`, a JSON object. `kid` and `hmac_key` (see
// secret_from_base64) are from the CA.
[[nodiscard]] inline outcome<std::string> external_account_binding(std::string_view kid, byte_view hmac_key,
                                                                   std::string_view url, const account_key& key)
{
    if (kid.empty() || hmac_key.empty() || hmac_key.size() > max_hmac_key_size)
        return failure{errc::bad_configuration, "the key identifier or the HMAC key of the external account is missing "
                                                "or too long; copy both from the CA's page"};
    const std::string header = detail::json_text().member("alg", "HS256").member("kid", kid).member("url", url).text();
    const detail::unsigned_jws text(header, key.jwk());
    std::array<std::uint8_t, 32> mac{};
    botan_crypto::hmac hs256(hash_algorithm::sha256);
    hs256.start(hmac_key);
    hs256.update(as_bytes(text.signing_input()));
    hs256.finish(mac);
    return text.with(mac);
}

}

#endif
// ---- alos/acme/objects.hpp ----
// What a CA answers: directory, account, order, authorization, challenge (RFC 8555 7.1, RFC 8738) and renewal
// information (RFC 9773 4.2), from JSON. Members that are not known are ignored; those that are, are checked, and a
// failure names the one at fault. What we send is in payloads.hpp.
#ifndef ALOS_ACME_OBJECTS_HPP
#define ALOS_ACME_OBJECTS_HPP

// ---- alos/acme/problem.hpp ----
// What a CA says when it refuses: problem documents (RFC 7807, RFC 8555 6.7), what follows from them, and when to ask
// again (RFC 9110 10.2.3). Answers that are no problem documents are taken as they are.
#ifndef ALOS_ACME_PROBLEM_HPP
#define ALOS_ACME_PROBLEM_HPP


#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// RFC 8555 6.7: the namespace of `type`.
inline constexpr std::string_view problem_namespace = "urn:ietf:params:acme:error:";

// RFC 8555 6.7.1: what is wrong with one of several names.
struct subproblem {
    std::string type; // without the namespace
    std::string detail;
    std::string identifier; // its value
};

struct problem {
    unsigned status = 0; // of HTTP; 0 when the CA gave none
    std::string type;    // without the namespace; empty when the answer was no problem document
    std::string title;
    std::string detail; // of an answer that was no problem document: its first 512 bytes
    std::string instance;
    std::vector<subproblem> subproblems;
    std::vector<std::string> algorithms; // RFC 8555 6.2: those the CA takes, of badSignatureAlgorithm
};

// What a failure means for the next attempt.
enum class failure_class : std::uint8_t {
    transient,  // may pass by itself
    throttled,  // passes by waiting
    permanent,  // stays until settings change, here or in the DNS
    repairable, // the same is asked again in another way, at once
};

namespace detail {

inline constexpr std::size_t max_problem_text = 4096;
inline constexpr std::size_t max_problem_list = 100;
inline constexpr std::size_t max_excerpt = 512;
inline constexpr std::size_t max_description = 1000;

struct known_problem {
    std::string_view type;
    failure_class means;
    std::string_view cure;
};

// RFC 8555 6.7, RFC 9773 7.4, and the registry that both write to.
inline constexpr auto known_problems = std::to_array<known_problem>({
    {"accountDoesNotExist", failure_class::repairable, "the account is registered anew, with the same key"},
    {"alreadyReplaced", failure_class::repairable, "the order is repeated without the certificate that it replaces"},
    {"alreadyRevoked", failure_class::repairable, "nothing is left to do: the certificate is revoked"},
    {"badCSR", failure_class::permanent, "choose another key type, or fewer names for one certificate"},
    {"badNonce", failure_class::repairable, "the request is repeated with a new nonce"},
    {"badPublicKey", failure_class::permanent, "choose another key type; ECDSA P-256 is taken everywhere"},
    {"badRevocationReason", failure_class::permanent, "give one of the reasons 0, 1, 4 and 5, or none"},
    {"badSignatureAlgorithm", failure_class::repairable, "the request is repeated with an algorithm the CA names"},
    {"caa", failure_class::permanent,
     "add a CAA record for this CA to the domain, or use a CA that its records name"},
    {"compound", failure_class::transient, "mend what is said of each name"},
    {"conflict", failure_class::transient, "wait: another request is changing the same thing"},
    {"connection", failure_class::transient,
     "let the CA reach every address of the name, on port 80 for http-01 and 443 for tls-alpn-01; check firewalls"},
    {"dns", failure_class::transient, "check that all name servers of the domain answer, and DNSSEC"},
    {"externalAccountRequired", failure_class::permanent, "give the eab_kid and eab_hmac_key that the CA handed out"},
    {"incorrectResponse", failure_class::transient,
     "check that every address of the name leads to this server, and that nothing before it answers challenges"},
    {"invalidContact", failure_class::permanent, "correct the e-mail address"},
    {"invalidProfile", failure_class::permanent, "choose a profile that the CA's directory lists, or none"},
    {"malformed", failure_class::permanent, "check the names and the profile; this CA does not take such a request"},
    {"orderNotReady", failure_class::repairable, "the order is read again"},
    {"rateLimited", failure_class::throttled, "wait, or use another CA; one certificate may have several names"},
    {"rejectedIdentifier", failure_class::permanent, "leave that name out, or use another CA"},
    {"serverInternal", failure_class::transient, "wait: the fault is the CA's own"},
    {"tls", failure_class::transient,
     "check that port 443 of every address of the name leads to this server, and that nothing before it ends TLS"},
    {"unauthorized", failure_class::transient,
     "check that every address of the name leads to this server, or the TXT record; and that the account is open"},
    {"unsupportedContact", failure_class::permanent, "give an e-mail address, or none"},
    {"unsupportedIdentifier", failure_class::permanent,
     "leave out names of that kind, or choose a profile or a CA that certifies them"},
    {"userActionRequired", failure_class::permanent, "open the page that the CA names, and agree there"},
});

inline const known_problem* find_problem(std::string_view type) noexcept
{
    const auto found = std::ranges::find(known_problems, type, &known_problem::type);
    return found == known_problems.end() ? nullptr : &*found;
}

// RFC 8259, nested 32 deep at most; nothing for anything else. What is read is bounded by the caller.
inline std::optional<boost::json::value> read_json(std::string_view text)
{
    boost::json::parse_options options;
    options.max_depth = 32;
    error_code ec;
    boost::json::value document = boost::json::parse(text, ec, {}, options);
    return ec ? std::nullopt : std::optional(std::move(document));
}

// The first bytes of UTF-8 without the half of a character at their end.
inline std::string_view cut(std::string_view text, std::size_t limit) noexcept
{
    if (text.size() <= limit)
        return text;
    while (limit > 0 && (static_cast<std::uint8_t>(text[limit]) & 0xc0) == 0x80)
        --limit;
    return text.substr(0, limit);
}

// The text of a member, cut to what is worth keeping; empty if there is none.
inline std::string text_of(const boost::json::object& from, std::string_view name)
{
    const boost::json::value* const found = from.if_contains(name);
    const boost::json::string* const text = found ? found->if_string() : nullptr;
    return text ? std::string(cut(*text, max_problem_text)) : std::string();
}

inline std::string without_namespace(std::string type)
{
    if (type.starts_with(problem_namespace))
        type.erase(0, problem_namespace.size());
    return type;
}

// RFC 8555 6.7.1: each may have an identifier.
inline subproblem read_subproblem(const boost::json::object& from)
{
    subproblem made{without_namespace(text_of(from, "type")), text_of(from, "detail"), {}};
    const boost::json::value* const about = from.if_contains("identifier");
    if (const boost::json::object* const identifier = about ? about->if_object() : nullptr)
        made.identifier = text_of(*identifier, "value");
    return made;
}

// RFC 7807 3.1: a member of another type than it should have is as one that is not there. `status` is that of the
// answer, 0 for a problem that is part of an object.
inline problem read_problem(const boost::json::object& from, unsigned status)
{
    problem made;
    made.status = status;
    if (const auto* const own = from.if_contains("status"); own && own->is_int64() && status == 0) {
        if (const std::int64_t number = own->get_int64(); number >= 100 && number <= 599)
            made.status = static_cast<unsigned>(number);
    }
    made.type = without_namespace(text_of(from, "type"));
    if (made.type.empty())
        made.type = "about:blank"; // RFC 7807 3.1: "when this member is not present, its value is assumed to be"
    made.title = text_of(from, "title");
    made.detail = text_of(from, "detail");
    made.instance = text_of(from, "instance");
    const auto list = [&](std::string_view name) {
        const boost::json::value* const found = from.if_contains(name);
        return found ? found->if_array() : nullptr;
    };
    if (const boost::json::array* const parts = list("subproblems")) {
        for (const boost::json::value& each : *parts) {
            if (made.subproblems.size() < max_problem_list && each.is_object())
                made.subproblems.push_back(read_subproblem(each.get_object()));
        }
    }
    if (const boost::json::array* const names = list("algorithms")) {
        for (const boost::json::value& each : *names) {
            if (made.algorithms.size() < max_problem_list && each.is_string())
                made.algorithms.emplace_back(cut(each.get_string(), 64));
        }
    }
    return made;
}

// A page of a proxy, as one line of ASCII.
inline std::string excerpt_of(std::string_view body)
{
    std::string text;
    for (const char c : body.substr(0, max_excerpt))
        text += c >= 0x20 && c < 0x7f ? c : c == '\t' || c == '\r' || c == '\n' ? ' ' : '?';
    return text;
}

// The media type without its parameters (RFC 9110 8.3.1).
inline bool is_problem_type(std::string_view content_type) noexcept
{
    return http::equal_ignoring_case(http::next_part(content_type, ';'), "application/problem+json");
}

// Appends `text` in one line: controls, those of C1 too, are written as numbers.
inline void append_in_one_line(std::string& out, std::string_view text)
{
    constexpr std::string_view digits = "0123456789abcdef";
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<std::uint8_t>(text[i]);
        const bool c1 = byte == 0xc2 && i + 1 < text.size() && (static_cast<std::uint8_t>(text[i + 1]) & 0xe0) == 0x80;
        if (byte >= 0x20 && byte != 0x7f && !c1) {
            out += text[i];
            continue;
        }
        const auto code = c1 ? static_cast<std::uint8_t>(text[++i]) : byte;
        out += "\\x";
        out += digits[code >> 4];
        out += digits[code & 0x0f];
    }
}

inline void append_with(std::string& out, std::string_view before, std::string_view text)
{
    if (text.empty())
        return;
    out += before;
    append_in_one_line(out, text);
}

}

// Never fails: of a body that is no problem document, the status and the beginning are kept. `body` is bounded by who
// fetched it.
[[nodiscard]] inline problem parse_problem(unsigned status, std::string_view content_type, std::string_view body)
{
    const auto document = detail::read_json(body);
    const boost::json::object* const members = document ? document->if_object() : nullptr;
    // Note: some CAs send their problem documents as application/json; the namespace gives them away.
    if (members && (detail::is_problem_type(content_type)
                    || detail::text_of(*members, "type").starts_with(problem_namespace)))
        return detail::read_problem(*members, status);
    problem made;
    made.status = status;
    made.detail = detail::excerpt_of(body);
    return made;
}

// `has_retry_after`: whether the answer named a time to come back.
[[nodiscard]] inline failure_class class_of(const problem& what, bool has_retry_after = false) noexcept
{
    if (what.status == 429 || (what.status == 503 && has_retry_after))
        return failure_class::throttled;
    if (what.type == "compound") {
        // As its parts: one name that will never be certified stops the order.
        for (const failure_class worst : {failure_class::permanent, failure_class::throttled}) {
            const bool found = std::ranges::any_of(what.subproblems, [&](const subproblem& each) {
                const detail::known_problem* const known = detail::find_problem(each.type);
                return known && known->means == worst;
            });
            if (found)
                return worst;
        }
    }
    if (const detail::known_problem* const known = detail::find_problem(what.type))
        return known->means;
    // A refusal of a kind that is not known: nothing says that asking again helps. A page that is no problem document
    // is not the CA's word, but that of something before it, and a problem within an object has no status.
    const bool refused = what.status >= 400 && what.status < 500 && what.status != 408 && !what.type.empty();
    return refused ? failure_class::permanent : failure_class::transient;
}

// One line in the CA's own words, the single names included; at most 1000 bytes.
[[nodiscard]] inline std::string describe(const problem& what)
{
    std::string text = what.status != 0 ? std::to_string(what.status) : std::string();
    const std::string_view type = what.type == "about:blank" ? std::string_view{} : std::string_view(what.type);
    detail::append_with(text, text.empty() ? "" : " ", type);
    detail::append_with(text, text.empty() ? "" : ": ", what.detail.empty() ? what.title : what.detail);
    for (const subproblem& each : what.subproblems) {
        detail::append_with(text, "; ", each.identifier.empty() ? "one name" : each.identifier);
        detail::append_with(text, ": ", each.type);
        detail::append_with(text, ": ", each.detail);
    }
    detail::append_with(text, "; see ", what.instance);
    if (text.empty())
        return "no reason is given";
    if (text.size() > detail::max_description) {
        constexpr std::string_view dots = "...";
        text.resize(detail::cut(text, detail::max_description - dots.size()).size());
        text += dots;
    }
    return text;
}

// What the operator can do about it, or what is done without them; a sentence's end.
[[nodiscard]] inline std::string_view cure_of(const problem& what) noexcept
{
    if (const detail::known_problem* const known = detail::find_problem(what.type))
        return known->cure;
    if (what.status == 429)
        return detail::find_problem("rateLimited")->cure;
    if (what.status >= 500)
        return "wait: the fault is the CA's, or that of a proxy on the way";
    return "check that the directory's URL is that of an ACME CA, and that no proxy answers in its place";
}

// RFC 9110 10.2.3: how long to wait; a date is taken by the server's own clock if the answer has its Date. Within 0
// and 7 days; nothing without the field or when it cannot be read.
[[nodiscard]] inline std::optional<std::chrono::seconds> retry_after(const http::outbound_response& answer,
                                                                     time_point now) noexcept
{
    constexpr std::chrono::seconds longest = std::chrono::days(7);
    const std::string_view text = http::trim(answer.field("Retry-After"));
    if (text.empty())
        return std::nullopt;
    if (std::ranges::all_of(text, http::is_digit)) {
        const auto number = http::parse_decimal(text);
        const auto most = static_cast<std::uint64_t>(longest.count());
        return std::chrono::seconds(static_cast<std::int64_t>(std::min(number.value_or(most), most)));
    }
    const std::time_t here = std::max<std::time_t>(1, std::chrono::system_clock::to_time_t(now));
    const auto when = http::parse_date(text, here);
    if (!when)
        return std::nullopt;
    const auto there = http::parse_date(http::trim(answer.field("Date")), here);
    return std::clamp(std::chrono::seconds(*when - there.value_or(here)), std::chrono::seconds(0), longest);
}

}

#endif

#include <boost/json/value.hpp>

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

enum class identifier_type : std::uint8_t { dns, ip };

// RFC 8555 9.7.7, RFC 8738 3: a name in its one spelling, A-labels in lower case, maybe behind "*.", or an address as
// in RFC 5952.
struct identifier {
    identifier_type type = identifier_type::dns;
    std::string value;

    friend auto operator<=>(const identifier&, const identifier&) = default;
};

// RFC 8555 7.1.1. An empty URL: the CA does not offer it.
struct directory {
    std::string new_nonce;
    std::string new_account;
    std::string new_order;
    std::string new_authz;
    std::string revoke_cert;
    std::string key_change;
    std::string renewal_info; // RFC 9773 3
    std::string terms_of_service;
    std::string website;
    std::vector<std::string> caa_identities;
    bool external_account_required = false;
    std::map<std::string, std::string> profiles; // by name, what they are for
};

enum class account_status : std::uint8_t { valid, deactivated, revoked };
enum class order_status : std::uint8_t { pending, ready, processing, valid, invalid };
enum class authorization_status : std::uint8_t { pending, valid, invalid, deactivated, expired, revoked };
enum class challenge_status : std::uint8_t { pending, processing, valid, invalid };

// RFC 8555 7.1.2.
struct account {
    account_status status = account_status::valid; // one that is not known is `revoked`
    std::vector<std::string> contact;
    std::string orders; // empty: the CA keeps no list
};

// RFC 8555 7.1.3.
struct order {
    order_status status = order_status::invalid; // also one that is not known
    std::optional<time_point> expires;
    std::vector<identifier> identifiers;
    std::vector<std::string> authorizations; // URLs; there while pending
    std::string finalize;                    // there while pending or ready
    std::string certificate;                 // there when valid
    std::optional<problem> error;
    std::string profile;
    std::string replaces; // RFC 9773 5
};

// RFC 8555 7.1.5 and 8.
struct challenge {
    std::string type; // "http-01"; others than alos knows are here, too
    std::string url;
    std::string token; // of base64url characters; empty when the type has none
    challenge_status status = challenge_status::invalid; // also one that is not known
    std::optional<problem> error;
    std::optional<time_point> validated;
};

// RFC 8555 7.1.4.
struct authorization {
    authorization_status status = authorization_status::invalid; // also one that is not known
    acme::identifier identifier; // without "*."
    std::optional<time_point> expires;
    bool wildcard = false;
    std::vector<challenge> challenges;
};

// RFC 9773 4.2: when the CA would like the certificate to be renewed. `start` is before `end`.
struct renewal_info {
    time_point start;
    time_point end;
    std::string explanation_url;
};

// The name in its one spelling.
[[nodiscard]] inline outcome<identifier> identifier_of(std::string_view name)
{
    const auto spelled = cert::parse_domain(name);
    if (!spelled)
        return failure{errc::bad_name, "'" + std::string(name.substr(0, cert::max_name_size))
                                           + "' cannot be in a certificate; write a host name like www.example.com "
                                             "(other alphabets as xn-- labels), *.example.com, or an IP address"};
    const bool is_address = !cert::ip_address(*spelled).empty();
    return identifier{is_address ? identifier_type::ip : identifier_type::dns, *spelled};
}

// Whether both have the same names, in any order and any number; RFC 8555 7.4 lets a CA shuffle them.
[[nodiscard]] inline bool same_identifiers(std::vector<identifier> a, std::vector<identifier> b)
{
    for (std::vector<identifier>* const each : {&a, &b}) {
        std::ranges::sort(*each);
        each->erase(std::unique(each->begin(), each->end()), each->end());
    }
    return a == b;
}

// RFC 8555 7.1.4: the identifier of the order that the authorization is for, "*." included.
[[nodiscard]] inline identifier ordered_identifier(const authorization& from)
{
    return {from.identifier.type, (from.wildcard ? "*." : "") + from.identifier.value};
}

namespace detail {

inline constexpr std::size_t max_answer = 1 << 20;
inline constexpr std::size_t max_url = 2048;
inline constexpr std::size_t max_text = 4096;
inline constexpr std::size_t max_token = 512;
inline constexpr std::size_t max_identifiers = 100;
inline constexpr std::size_t max_challenges = 20;
inline constexpr std::size_t max_list = 100;
inline constexpr std::size_t max_orders = 1000;

enum class need : std::uint8_t { optional, required };

// Reads the members of one JSON object. The first fault is kept in `fault`; what is read afterwards does not count. A
// member that is null is as one that is not there.
class object_reader {
public:
    // `path` names the object in failures: "order". All parameters must outlive this.
    object_reader(const boost::json::object& from, std::string path, std::optional<failure>& fault)
        : from_(from), path_(std::move(path)), fault_(fault)
    {
    }

    [[nodiscard]] std::string text(std::string_view name, need how, std::size_t limit = max_text)
    {
        const boost::json::value* const found = find(name, how);
        if (!found)
            return {};
        const boost::json::string* const value = found->if_string();
        if (!value || value->size() > limit || (value->empty() && how == need::required)) {
            fail(name, "is not a string of at most " + std::to_string(limit) + " bytes");
            return {};
        }
        return std::string(value->data(), value->size());
    }

    // An absolute URL, to be asked later. It has no character that could end a line or a header field.
    [[nodiscard]] std::string url(std::string_view name, need how)
    {
        std::string value = text(name, how, max_url);
        if (!value.empty() && !is_url(value))
            fail(name, "is not an absolute URL");
        return value;
    }

    [[nodiscard]] bool flag(std::string_view name)
    {
        const boost::json::value* const found = find(name, need::optional);
        if (found && !found->is_bool())
            fail(name, "is neither true nor false");
        return found && found->is_bool() && found->get_bool();
    }

    [[nodiscard]] std::optional<time_point> time(std::string_view name, need how)
    {
        const std::string value = text(name, how);
        if (value.empty())
            return std::nullopt;
        const auto when = parse_rfc3339(value);
        if (when)
            return *when;
        fail(name, "is not a time as in RFC 3339");
        return std::nullopt;
    }

    // Calls read(value, path) for each element of an array.
    template <class Read>
    void each(std::string_view name, need how, std::size_t limit, Read read)
    {
        const boost::json::value* const found = find(name, how);
        if (!found)
            return;
        const boost::json::array* const list = found->if_array();
        if (!list || list->size() > limit)
            return fail(name, "is not a list of at most " + std::to_string(limit));
        for (std::size_t i = 0; i < list->size() && !fault_; ++i)
            read((*list)[i], path_ + "." + std::string(name) + "[" + std::to_string(i) + "]");
    }

    [[nodiscard]] std::vector<std::string> texts(std::string_view name, std::size_t limit)
    {
        std::vector<std::string> values;
        each(name, need::optional, limit, [&](const boost::json::value& value, const std::string& path) {
            const boost::json::string* const one = value.if_string();
            if (!one || one->size() > max_text)
                return fail_at(path, "is not a string of at most " + std::to_string(max_text) + " bytes");
            values.emplace_back(one->data(), one->size());
        });
        return values;
    }

    [[nodiscard]] std::vector<std::string> urls(std::string_view name, need how, std::size_t limit)
    {
        std::vector<std::string> values;
        each(name, how, limit, [&](const boost::json::value& value, const std::string& path) {
            const boost::json::string* const one = value.if_string();
            if (!one || !is_url({one->data(), one->size()}))
                return fail_at(path, "is not an absolute URL");
            values.emplace_back(one->data(), one->size());
        });
        return values;
    }

    // Calls read(reader) for the members of an object within this one.
    template <class Read>
    void within(std::string_view name, need how, Read read)
    {
        const boost::json::value* const found = find(name, how);
        if (found)
            enter(*found, path_ + "." + std::string(name), read);
    }

    // The same for an element of a list.
    template <class Read>
    void enter(const boost::json::value& value, const std::string& path, Read read)
    {
        const boost::json::object* const members = value.if_object();
        if (!members)
            return fail_at(path, "is not an object");
        object_reader inner(*members, path, fault_);
        read(inner);
    }

    // RFC 7807. One that is no object says nothing, and stops nothing.
    [[nodiscard]] std::optional<problem> error(std::string_view name) const
    {
        const boost::json::value* const found = from_.if_contains(name);
        const boost::json::object* const members = found ? found->if_object() : nullptr;
        return members ? std::optional(read_problem(*members, 0)) : std::nullopt;
    }

    [[nodiscard]] const boost::json::object& members() const noexcept { return from_; }

    void fail(std::string_view name, std::string_view what) { fail_at(path_ + "." + std::string(name), what); }

private:
    void fail_at(const std::string& path, std::string_view what)
    {
        if (!fault_)
            fault_ = failure{make_error_code(boost::system::errc::bad_message),
                             "the CA's answer cannot be used: " + path + " " + std::string(what)
                                 + "; check that its directory's URL is that of an ACME CA (RFC 8555)"};
    }

    [[nodiscard]] const boost::json::value* find(std::string_view name, need how)
    {
        const boost::json::value* const found = from_.if_contains(name);
        if (found && !found->is_null())
            return found;
        if (how == need::required)
            fail(name, "is missing");
        return nullptr;
    }

    [[nodiscard]] static bool is_url(std::string_view text) noexcept
    {
        const std::size_t end = text.find("://");
        if (end == std::string_view::npos || text.size() > max_url || text.size() <= end + 3)
            return false;
        const std::string_view scheme = text.substr(0, end);
        return (http::equal_ignoring_case(scheme, "https") || http::equal_ignoring_case(scheme, "http"))
               && std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
    }

    const boost::json::object& from_;
    const std::string path_;
    std::optional<failure>& fault_;
};

// An Object from the JSON text of one, by read(reader, object).
template <class Object, class Read>
outcome<Object> read_object(std::string_view json, std::string_view what, Read read)
{
    const auto document = json.size() <= max_answer ? read_json(json) : std::nullopt;
    const boost::json::object* const members = document ? document->if_object() : nullptr;
    if (!members)
        return failure{make_error_code(boost::system::errc::bad_message),
                       "the CA's answer cannot be used: the " + std::string(what)
                           + " is no JSON object; check that its directory's URL is that of an ACME CA (RFC 8555)"};
    Object made{};
    std::optional<failure> fault;
    object_reader reader(*members, std::string(what), fault);
    read(reader, made);
    if (fault)
        return std::move(*fault);
    return made;
}

// The value of an enumeration by its place in `words`.
template <class Status, std::size_t Count>
Status status_of(std::string_view word, const std::array<std::string_view, Count>& words, Status otherwise) noexcept
{
    const auto found = std::ranges::find(words, word);
    return found == words.end() ? otherwise : static_cast<Status>(found - words.begin());
}

inline constexpr std::array<std::string_view, 3> account_words = {"valid", "deactivated", "revoked"};
inline constexpr std::array<std::string_view, 5> order_words = {"pending", "ready", "processing", "valid", "invalid"};
inline constexpr std::array<std::string_view, 6> authorization_words = {"pending",     "valid",   "invalid",
                                                                        "deactivated", "expired", "revoked"};
inline constexpr std::array<std::string_view, 4> challenge_words = {"pending", "processing", "valid", "invalid"};

// RFC 8555 7.1.3, RFC 8738 3: spelled as we spell it, since what was asked for is compared with what came back.
inline identifier read_identifier(object_reader& in)
{
    const std::string type = in.text("type", need::required);
    const std::string value = in.text("value", need::required);
    auto made = identifier_of(value);
    const std::string_view expected = made && made->type == identifier_type::ip ? "ip" : "dns";
    if (!made || type != expected) {
        in.fail("value", "is no identifier of a type that alos knows");
        return {};
    }
    return std::move(*made);
}

// Others can be neither written in a configuration nor shown.
inline bool is_profile_name(std::string_view name) noexcept
{
    return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) { return c > 0x20 && c < 0x7f; });
}

inline void read_challenge(object_reader& in, challenge& out)
{
    out.type = in.text("type", need::required, 64);
    out.url = in.url("url", need::required);
    out.status = status_of(in.text("status", need::required), challenge_words, challenge_status::invalid);
    out.validated = in.time("validated", need::optional);
    out.error = in.error("error");
    // RFC 8555 8.3: "It MUST NOT contain any characters outside the base64url alphabet". It becomes part of a path.
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const bool known = out.type == "http-01" || out.type == "dns-01" || out.type == "tls-alpn-01";
    if (!known)
        return; // alos does not answer it, whatever its token is
    out.token = in.text("token", need::required, max_token);
    if (out.token.find_first_not_of(alphabet) != std::string::npos)
        in.fail("token", "has characters outside the base64url alphabet");
}

}

[[nodiscard]] constexpr std::string_view name_of(order_status status) noexcept
{
    return detail::order_words[static_cast<std::size_t>(status)];
}

[[nodiscard]] constexpr std::string_view name_of(authorization_status status) noexcept
{
    return detail::authorization_words[static_cast<std::size_t>(status)];
}

[[nodiscard]] constexpr std::string_view name_of(challenge_status status) noexcept
{
    return detail::challenge_words[static_cast<std::size_t>(status)];
}

[[nodiscard]] inline outcome<directory> parse_directory(std::string_view json)
{
    using namespace detail;
    return read_object<directory>(json, "directory", [](object_reader& in, directory& out) {
        out.new_nonce = in.url("newNonce", need::required);
        out.new_account = in.url("newAccount", need::required);
        out.new_order = in.url("newOrder", need::required);
        out.new_authz = in.url("newAuthz", need::optional);
        out.revoke_cert = in.url("revokeCert", need::optional);
        out.key_change = in.url("keyChange", need::optional);
        out.renewal_info = in.url("renewalInfo", need::optional);
        in.within("meta", need::optional, [&](object_reader& meta) {
            out.terms_of_service = meta.text("termsOfService", need::optional);
            out.website = meta.text("website", need::optional);
            out.caa_identities = meta.texts("caaIdentities", max_list);
            out.external_account_required = meta.flag("externalAccountRequired");
            meta.within("profiles", need::optional, [&](object_reader& profiles) {
                if (profiles.members().size() > max_list)
                    return meta.fail("profiles", "has more than " + std::to_string(max_list) + " members");
                for (const auto& each : profiles.members()) {
                    const std::string_view name(each.key().data(), each.key().size());
                    if (is_profile_name(name))
                        out.profiles.emplace(name, text_of(profiles.members(), name));
                }
            });
        });
    });
}

[[nodiscard]] inline outcome<account> parse_account(std::string_view json)
{
    using namespace detail;
    return read_object<account>(json, "account", [](object_reader& in, account& out) {
        const std::string status = in.text("status", need::optional);
        // Note: what answers 200 or 201 without a status has taken the account.
        out.status = status.empty() ? account_status::valid : status_of(status, account_words, account_status::revoked);
        out.contact = in.texts("contact", max_list);
        out.orders = in.url("orders", need::optional);
    });
}

// RFC 8555 7.1.2.1: the URLs of one page of an account's orders.
[[nodiscard]] inline outcome<std::vector<std::string>> parse_order_list(std::string_view json)
{
    using namespace detail;
    using list = std::vector<std::string>;
    return read_object<list>(json, "list of orders", [](object_reader& in, list& out) {
        out = in.urls("orders", need::required, max_orders);
    });
}

[[nodiscard]] inline outcome<order> parse_order(std::string_view json)
{
    using namespace detail;
    return read_object<order>(json, "order", [](object_reader& in, order& out) {
        out.status = status_of(in.text("status", need::required), order_words, order_status::invalid);
        const bool pending = out.status == order_status::pending;
        const bool open = pending || out.status == order_status::ready;
        const bool valid = out.status == order_status::valid;
        out.expires = in.time("expires", need::optional);
        in.each("identifiers", need::required, max_identifiers, [&](const auto& value, const std::string& path) {
            in.enter(value, path, [&](object_reader& one) { out.identifiers.push_back(read_identifier(one)); });
        });
        out.authorizations = in.urls("authorizations", pending ? need::required : need::optional, max_identifiers);
        out.finalize = in.url("finalize", open ? need::required : need::optional);
        out.certificate = in.url("certificate", valid ? need::required : need::optional);
        out.error = in.error("error");
        out.profile = in.text("profile", need::optional);
        out.replaces = in.text("replaces", need::optional);
    });
}

// The answer to a challenge that was accepted, and each within an authorization.
[[nodiscard]] inline outcome<challenge> parse_challenge(std::string_view json)
{
    return detail::read_object<challenge>(json, "challenge", detail::read_challenge);
}

[[nodiscard]] inline outcome<authorization> parse_authorization(std::string_view json)
{
    using namespace detail;
    return read_object<authorization>(json, "authorization", [](object_reader& in, authorization& out) {
        out.status = status_of(in.text("status", need::required), authorization_words, authorization_status::invalid);
        in.within("identifier", need::required, [&](object_reader& about) { out.identifier = read_identifier(about); });
        // RFC 8555 7.1.4: "Wildcard domain names ... MUST NOT be included in authorization objects."
        if (out.identifier.value.starts_with("*."))
            in.fail("identifier", "is a wildcard");
        out.expires = in.time("expires", need::optional);
        out.wildcard = in.flag("wildcard");
        in.each("challenges", need::required, max_challenges, [&](const auto& value, const std::string& path) {
            in.enter(value, path, [&](object_reader& one) { read_challenge(one, out.challenges.emplace_back()); });
        });
    });
}

[[nodiscard]] inline outcome<renewal_info> parse_renewal_info(std::string_view json)
{
    using namespace detail;
    return read_object<renewal_info>(json, "renewal information", [](object_reader& in, renewal_info& out) {
        in.within("suggestedWindow", need::required, [&](object_reader& window) {
            out.start = window.time("start", need::required).value_or(time_point());
            out.end = window.time("end", need::required).value_or(time_point());
        });
        // RFC 9773 4.2: such an answer is treated as none.
        if (out.end <= out.start)
            in.fail("suggestedWindow", "does not end after its start");
        out.explanation_url = in.text("explanationURL", need::optional);
    });
}

}

#endif
// ---- alos/acme/signal.hpp ----
// Coroutines of one thread that wait for each other.
#ifndef ALOS_ACME_SIGNAL_HPP
#define ALOS_ACME_SIGNAL_HPP


#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <list>
#include <utility>

namespace alos::inline v0::acme {

// Wakes all that wait. Not for several threads. It outlives whoever waits, or goes with them when their executor does.
class signal {
public:
    template <class Token>
    auto async_wait(Token&& token)
    {
        return boost::asio::async_initiate<Token, void(error_code)>(
            [this](auto handler) { enlist(std::move(handler)); }, token);
    }

    // Ends at the next notify_all(), or by being cancelled.
    [[nodiscard]] boost::asio::awaitable<void> wait()
    {
        co_await async_wait(boost::asio::use_awaitable);
    }

    void notify_all()
    {
        while (!waiters_.empty()) {
            waiter next = std::move(waiters_.front());
            waiters_.pop_front();
            if (auto slot = boost::asio::get_associated_cancellation_slot(next.handler); slot.is_connected())
                slot.clear();
            next.complete(error_code());
        }
    }

private:
    using handler_type = boost::asio::any_completion_handler<void(error_code)>;

    struct waiter {
        boost::asio::any_io_executor executor;
        handler_type handler;

        void complete(error_code why)
        {
            boost::asio::post(executor, [done = std::move(handler), why]() mutable { std::move(done)(why); });
        }
    };

    template <class Handler>
    void enlist(Handler handler)
    {
        boost::asio::any_io_executor executor = boost::asio::get_associated_executor(handler);
        const auto place = waiters_.insert(waiters_.end(), waiter{std::move(executor), std::move(handler)});
        auto slot = boost::asio::get_associated_cancellation_slot(place->handler);
        if (!slot.is_connected())
            return;
        // Note: a slot may be told more than once.
        slot.assign([this, place, is_told = false](boost::asio::cancellation_type) mutable {
            if (std::exchange(is_told, true))
                return;
            waiter cancelled = std::move(*place);
            waiters_.erase(place);
            cancelled.complete(boost::asio::error::operation_aborted);
        });
    }

    std::list<waiter> waiters_;
};

// As many at once as it has room for; the others wait.
class admission_gate {
public:
    explicit admission_gate(unsigned room) noexcept : room_(room == 0 ? 1 : room) {}

    // A place, given back when it goes.
    class place {
    public:
        explicit place(admission_gate& from) noexcept : from_(&from) {}
        place(place&& other) noexcept : from_(std::exchange(other.from_, nullptr)) {}
        place& operator=(place&&) = delete;
        ~place()
        {
            if (!from_)
                return;
            ++from_->room_;
            from_->left_.notify_all();
        }

    private:
        admission_gate* from_;
    };

    [[nodiscard]] boost::asio::awaitable<place> enter()
    {
        while (room_ == 0)
            co_await left_.wait();
        --room_;
        co_return place(*this);
    }

private:
    unsigned room_;
    signal left_;
};

}

#endif
// ---- alos/http/url.hpp ----
// URLs of http and https as a client uses them (RFC 3986, RFC 9110 4.2), and references that are resolved against one
// (RFC 3986 5.2), as they stand in Location and Link. Pure.
#ifndef ALOS_HTTP_URL_HPP
#define ALOS_HTTP_URL_HPP


#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace alos::inline v0::http {

inline constexpr std::size_t max_url_size = 8192;

struct url {
    std::string scheme{};       // "http" or "https"
    std::string host{};         // in lower case, without a final dot; an IPv6 address without brackets
    std::uint16_t port = 0;
    std::string target = "/";   // path and query as they are sent; no fragment

    [[nodiscard]] bool is_secure() const noexcept { return scheme == "https"; }
    [[nodiscard]] std::uint16_t default_port() const noexcept { return is_secure() ? 443 : 80; }

    // What Host carries (RFC 9110 7.2): the port only if it is not the scheme's own.
    [[nodiscard]] std::string authority() const
    {
        return port == default_port() ? bracketed_host() : host_and_port();
    }

    // What CONNECT asks for (RFC 9112 3.2.3).
    [[nodiscard]] std::string host_and_port() const { return bracketed_host() + ":" + std::to_string(port); }

    // Without the target, in which there may be secrets.
    [[nodiscard]] std::string origin() const { return scheme + "://" + authority(); }

    [[nodiscard]] std::string text() const { return origin() + target; }

    friend bool operator==(const url&, const url&) = default;

private:
    [[nodiscard]] std::string bracketed_host() const
    {
        return host.find(':') == std::string::npos ? host : "[" + host + "]";
    }
};

namespace detail {

inline failure bad_url(std::string what)
{
    return {make_error_code(boost::system::errc::invalid_argument), std::move(what)};
}

// The scheme in lower case (RFC 3986 3.1); empty if there is none.
inline std::string scheme_of(std::string_view text)
{
    const std::size_t end = text.find_first_of(":/?#");
    if (end == std::string_view::npos || end == 0 || text[end] != ':')
        return {};
    std::string scheme;
    for (const char c : text.substr(0, end)) {
        const char lower = to_lower(c);
        const bool letter = lower >= 'a' && lower <= 'z';
        if (!letter && (scheme.empty() || (!is_digit(c) && c != '+' && c != '-' && c != '.')))
            return {};
        scheme.push_back(lower);
    }
    return scheme;
}

// RFC 3986 3.2: host and port into `into`, whose scheme is set. Names with percent-escapes or other alphabets are
// refused: no two parts of a program shall disagree about whom they mean.
inline outcome<> read_authority(std::string_view text, url& into)
{
    if (text.find('@') != std::string_view::npos)
        return bad_url("a URL with a user name or password in it; leave them out");
    into.port = into.default_port();
    std::string_view host = text;
    const std::size_t colon = text.find(':', text.starts_with('[') ? text.find(']') : 0);
    if (colon != std::string_view::npos) {
        const std::string_view digits = text.substr(colon + 1);
        host = text.substr(0, colon);
        if (!digits.empty()) { // RFC 3986 3.2.3
            const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), into.port);
            if (error != std::errc{} || end != digits.data() + digits.size() || into.port == 0)
                return bad_url("a URL's port is a number from 1 to 65535");
        }
    }
    const bool brackets = host.starts_with('[') && host.ends_with(']');
    if (brackets)
        host = host.substr(1, host.size() - 2);
    const cert::ip_address address(host);
    if (brackets != (host.find(':') != std::string_view::npos))
        return bad_url("a URL has an IPv6 address, and nothing else, in brackets");
    if (!address.empty()) {
        into.host = address.text();
        return {};
    }
    const cert::host_name name(host);
    if (name.empty())
        return bad_url("a URL's host is a name or an IP address; write other alphabets as xn-- labels");
    into.host = name.text();
    return {};
}

// RFC 3986 5.2.3 and 5.2.4: the path of a relative reference, with the query behind it.
inline std::string target_of(std::string_view path, std::string_view query)
{
    std::string target(path);
    remove_dot_segments(target);
    if (target.empty())
        target = "/";
    return target.append(query);
}

}

// An absolute URL. A fragment is left out.
[[nodiscard]] inline outcome<url> parse_url(std::string_view text)
{
    if (text.size() > max_url_size)
        return detail::bad_url("a URL of more than 8192 bytes");
    text = text.substr(0, text.find('#'));
    const auto is_allowed = [](char c) { return is_target_char(c) && static_cast<std::uint8_t>(c) < 0x7f; };
    if (!std::ranges::all_of(text, is_allowed))
        return detail::bad_url("a URL with a blank, a control character or another alphabet in it; percent-encode it");
    url found;
    found.scheme = detail::scheme_of(text);
    if (found.scheme != "http" && found.scheme != "https")
        return detail::bad_url("a URL that does not start with http:// or https://");
    text.remove_prefix(found.scheme.size() + 1);
    if (!text.starts_with("//"))
        return detail::bad_url("a URL that does not start with http:// or https://");
    text.remove_prefix(2);
    const std::size_t end = std::min(text.find_first_of("/?"), text.size());
    if (const auto read = detail::read_authority(text.substr(0, end), found); !read)
        return read.error();
    const std::size_t mark = std::min(text.find('?'), text.size());
    found.target = detail::target_of(text.substr(end, mark - end), text.substr(mark));
    return found;
}

// RFC 3986 5.2.2: what `reference`, absolute or relative, means in a document that came from `base`.
[[nodiscard]] inline outcome<url> resolve_reference(const url& base, std::string_view reference)
{
    reference = reference.substr(0, reference.find('#'));
    if (!detail::scheme_of(reference).empty())
        return parse_url(reference);
    if (reference.starts_with("//"))
        return parse_url(base.scheme + ":" + std::string(reference));
    const std::string_view old_path = std::string_view(base.target).substr(0, base.target.find('?'));
    const std::size_t mark = std::min(reference.find('?'), reference.size());
    const std::string_view path = reference.substr(0, mark);
    if (reference.empty())
        return base;
    std::string merged;
    if (path.empty())
        merged = old_path;
    else if (path.front() == '/')
        merged = path;
    else
        merged = std::string(old_path.substr(0, old_path.rfind('/') + 1)).append(path);
    merged.append(reference.substr(mark));
    return parse_url(base.origin() + merged);
}

}

#endif

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace alos::inline v0::acme {

// Why a CA did not do what it was asked for.
struct refusal {
    failure_class kind = failure_class::transient;
    std::string what; // one sentence: the phase, the CA's own words, the cure
    std::optional<std::chrono::seconds> retry_after{};
    problem why{};        // without a type when it was no problem document that came back
    bool is_ours = false; // the trouble is here: a disk, a lock
};

// Makes reply<T>::value() throw what a caller who does not check expects.
[[noreturn]] inline void throw_exception_from_error(const refusal& why, const boost::source_location&)
{
    throw boost::system::system_error(make_error_code(errc::refused), why.what);
}

template <class T = void>
using reply = boost::system::result<T, refusal>;

// An account at a CA: the key that signs, and the URL that names it (RFC 8555 7.3).
struct signer {
    account_key key;
    std::string url{}; // empty: the key itself is sent
};

// A URL that an answer names, maybe relative to where it came from (RFC 9110 10.2.2); empty if it names none.
[[nodiscard]] inline std::string url_in(const http::outbound_response& answer, std::string_view reference)
{
    const auto base = http::parse_url(answer.url);
    if (!base || reference.empty())
        return {};
    const auto found = http::resolve_reference(*base, reference);
    return found ? found->text() : std::string();
}

// All members are called on one thread; several requests may be under way together.
class client {
public:
    // `world` outlives it.
    client(environment& world, certificate_authority ca) : world_(world), ca_(std::move(ca)) {}

    // Reads the CA's own roots; before anything else.
    [[nodiscard]] outcome<> prepare()
    {
        if (!ca_.directory.starts_with("https://") && !(ca_.allow_http && ca_.directory.starts_with("http://")))
            return failure{errc::bad_configuration,
                           ca_.directory + ": the directory of a CA has an https URL; correct it"};
        if (ca_.roots_file.empty())
            return {};
        const auto pem = world_.files().read(ca_.roots_file, max_pem_size);
        if (!pem)
            return failure{pem.error(), ca_.roots_file + ": the authorities for " + ca_.directory
                                            + " cannot be read: " + pem.error().message() + "; check the path"};
        trust_ = std::make_shared<const http::trust>(http::trust{.roots_pem = std::string(as_text(*pem))});
        return {};
    }

    [[nodiscard]] const certificate_authority& ca() const noexcept { return ca_; }
    [[nodiscard]] environment& world() const noexcept { return world_; }

    // RFC 8555 7.1.1. Asked for once in `directory_life`, whoever waits.
    [[nodiscard]] awaitable<reply<directory>> find_directory()
    {
        while (fetching_directory_)
            co_await directory_fetched_.wait();
        const time_point now = world_.now();
        if (directory_ && now >= directory_read_ && now - directory_read_ < directory_life)
            co_return *directory_;
        // Whatever ends this (a cancellation, too), the next one has its turn.
        struct turn {
            client& of;
            explicit turn(client& asking) noexcept : of(asking) { of.fetching_directory_ = true; }
            ~turn()
            {
                of.fetching_directory_ = false;
                of.directory_fetched_.notify_all();
            }
        };
        const turn ours(*this);
        auto answer = co_await get(ca_.directory, "directory");
        if (!answer)
            co_return answer.error();
        auto read = parse_directory(answer->body);
        if (!read)
            co_return refusal{failure_class::transient, "directory: " + read.error().what + " (" + ca_.directory + ")"};
        directory_ = std::move(*read);
        directory_read_ = world_.now();
        co_return *directory_;
    }

    // draft-ietf-acme-profiles 4: no profile is asked for that the directory does not list. An empty one is the default.
    [[nodiscard]] awaitable<reply<>> check_profile(std::string name)
    {
        if (name.empty())
            co_return reply<>();
        const auto known = co_await find_directory();
        if (!known)
            co_return known.error();
        if (known->profiles.contains(name))
            co_return reply<>();
        std::string cure = known->profiles.empty() ? "it has none; leave `profile` empty" : "choose one of ";
        for (const auto& [each, meaning] : known->profiles)
            cure += each + ", ";
        cure += known->profiles.empty() ? "" : "or leave `profile` empty";
        co_return refusal{failure_class::permanent,
                          "order: " + ca_.directory + " has no profile '" + name + "'; " + cure};
    }

    // A resource of the directory's; asked for again once when the CA has moved it.
    [[nodiscard]] awaitable<reply<http::outbound_response>> post(std::string directory::*resource, std::string payload,
                                                                 signer by, std::string phase)
    {
        for (bool again = false;; again = true) {
            const auto known = co_await find_directory();
            if (!known)
                co_return known.error();
            const std::string url = (*known).*resource;
            if (url.empty())
                co_return refusal{failure_class::permanent, phase + ": " + ca_.directory + " does not offer it"};
            auto answer = co_await post(url, payload, by, phase);
            const bool moved = !answer && (answer.error().why.status == 404 || answer.error().why.status == 405);
            if (!moved || again)
                co_return answer;
            directory_.reset();
        }
    }

    // RFC 8555 6.2. An empty payload is POST-as-GET (6.3). `phase` is for people: "order", "challenge".
    [[nodiscard]] awaitable<reply<http::outbound_response>> post(std::string url, std::string payload, signer by,
                                                                 std::string phase)
    {
        const time_point begun = world_.now();
        for (unsigned tries = 0;; ++tries) {
            auto fresh = co_await take_nonce();
            if (!fresh)
                co_return fresh.error();
            const jws_target target{.url = url, .nonce = std::move(*fresh), .kid = by.url};
            auto body = sign_jws(by.key, target, payload);
            if (!body)
                co_return refusal{failure_class::permanent, phase + ": the account key cannot sign: "
                                                                + body.error().message()};
            http::outbound_request request{.method = "POST", .url = url, .body = std::move(*body)};
            request.fields.emplace_back("Content-Type", "application/jose+json");
            auto answer = co_await send(std::move(request), phase);
            // RFC 8555 6.5: "the client SHOULD retry the request with a new nonce", which came with the answer.
            const bool stale = !answer && answer.error().why.type == "badNonce";
            if (!stale || tries >= most_nonce_repeats || world_.now() - begun > longest_nonce_repeats)
                co_return answer;
        }
    }

    // Unsigned: the directory and renewal information.
    [[nodiscard]] awaitable<reply<http::outbound_response>> get(std::string url, std::string phase)
    {
        http::outbound_request request{.url = std::move(url)};
        request.max_redirects = 5;
        auto answer = co_await send(std::move(request), std::move(phase));
        co_return answer;
    }

private:
    static constexpr std::chrono::hours directory_life{1};
    static constexpr std::chrono::hours nonce_life{1};
    static constexpr std::size_t most_nonces = 32;
    // Note: a CA may refuse nine good nonces of ten; forty repeats are then nothing unusual.
    static constexpr unsigned most_nonce_repeats = 300;
    static constexpr std::chrono::minutes longest_nonce_repeats{5};

    struct nonce {
        std::string text;
        time_point since;
    };

    // RFC 8555 7.2.
    [[nodiscard]] awaitable<reply<std::string>> take_nonce()
    {
        const time_point now = world_.now();
        while (!nonces_.empty()) {
            nonce newest = std::move(nonces_.back());
            nonces_.pop_back();
            if (now >= newest.since && now - newest.since < nonce_life)
                co_return std::move(newest.text);
        }
        const auto known = co_await find_directory();
        if (!known)
            co_return known.error();
        http::outbound_request request{.method = "HEAD", .url = known->new_nonce};
        const auto answer = co_await send(std::move(request), "nonce");
        if (!answer) {
            if (answer.error().why.status == 404 || answer.error().why.status == 405)
                directory_.reset();
            co_return answer.error();
        }
        // Note: another request may have taken it, if this one waited; then that one's comes back to us.
        if (nonces_.empty())
            co_return refusal{failure_class::transient, "nonce: " + known->new_nonce + " gave none"};
        nonce fresh = std::move(nonces_.back());
        nonces_.pop_back();
        co_return std::move(fresh.text);
    }

    [[nodiscard]] awaitable<reply<http::outbound_response>> send(http::outbound_request request, std::string phase)
    {
        request.authorities = trust_;
        auto answer = co_await world_.fetch(std::move(request));
        if (!answer)
            co_return refusal{failure_class::transient, phase + ": " + answer.error().what};
        keep_nonce(*answer);
        if (answer->status >= 200 && answer->status < 300)
            co_return std::move(*answer);
        refusal why;
        why.why = parse_problem(answer->status, answer->field("Content-Type"), answer->body);
        why.retry_after = retry_after(*answer, world_.now());
        why.kind = class_of(why.why, why.retry_after.has_value());
        why.what = phase + ": " + ca_.directory + " says " + describe(why.why) + "; " + std::string(cure_of(why.why));
        co_return why;
    }

    // RFC 8555 6.5.1: "Clients MUST ignore invalid Replay-Nonce values."
    void keep_nonce(const http::outbound_response& from)
    {
        const std::string_view text = from.field("Replay-Nonce");
        const bool valid = text.size() <= 512 && is_base64url(text);
        if (!valid)
            return;
        if (nonces_.size() == most_nonces)
            nonces_.pop_front();
        nonces_.push_back({std::string(text), world_.now()});
    }

    environment& world_;
    const certificate_authority ca_;
    std::shared_ptr<const http::trust> trust_;
    std::deque<nonce> nonces_; // the newest last
    std::optional<directory> directory_;
    time_point directory_read_;
    bool fetching_directory_ = false;
    signal directory_fetched_;
};

}

#endif
// ---- alos/acme/payloads.hpp ----
// What is asked of a CA, as the JSON texts that JWS sign. RFC 8555 7.3 to 7.6, RFC 9773 5.
#ifndef ALOS_ACME_PAYLOADS_HPP
#define ALOS_ACME_PAYLOADS_HPP


#include <boost/json/serialize.hpp>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// RFC 8555 7.3.
struct new_account {
    std::vector<std::string> contact{}; // URLs: "mailto:admin@example.com"
    bool terms_of_service_agreed = true;
    bool only_return_existing = false; // RFC 8555 7.3.1
    std::string external_account_binding{}; // RFC 8555 7.3.4: a JWS in JSON
};

// RFC 8555 7.5.1: what accepts a challenge.
inline constexpr std::string_view challenge_payload = "{}";

// RFC 8555 7.3.6 and 7.5.2: what deactivates an account or an authorization.
inline constexpr std::string_view deactivation_payload = "{\"status\":\"deactivated\"}";

namespace detail {

inline boost::json::array json_list(const std::vector<std::string>& texts)
{
    boost::json::array list;
    for (const std::string& each : texts)
        list.emplace_back(each);
    return list;
}

}

// Throws when the binding is no JSON.
[[nodiscard]] inline std::string new_account_payload(const new_account& asked)
{
    boost::json::object payload;
    if (asked.only_return_existing)
        payload["onlyReturnExisting"] = true;
    if (!asked.contact.empty())
        payload["contact"] = detail::json_list(asked.contact);
    if (asked.terms_of_service_agreed)
        payload["termsOfServiceAgreed"] = true;
    if (!asked.external_account_binding.empty())
        payload["externalAccountBinding"] = boost::json::parse(asked.external_account_binding);
    return boost::json::serialize(payload);
}

// RFC 8555 7.3.2: the contacts from now on; none takes them away.
[[nodiscard]] inline std::string update_account_payload(const std::vector<std::string>& contact)
{
    boost::json::object payload;
    payload["contact"] = detail::json_list(contact);
    return boost::json::serialize(payload);
}

// RFC 8555 7.4. `profile` is one of the directory's; `replaces` the RFC 9773 4.1 identifier of the certificate that
// the new one is instead of. Empty ones are left out.
[[nodiscard]] inline std::string new_order_payload(std::span<const identifier> identifiers,
                                                   std::string_view profile = {}, std::string_view replaces = {})
{
    boost::json::array list;
    for (const identifier& each : identifiers) {
        boost::json::object one;
        one["type"] = each.type == identifier_type::ip ? "ip" : "dns";
        one["value"] = each.value;
        list.push_back(std::move(one));
    }
    boost::json::object payload;
    payload["identifiers"] = std::move(list);
    if (!profile.empty())
        payload["profile"] = profile;
    if (!replaces.empty())
        payload["replaces"] = replaces;
    return boost::json::serialize(payload);
}

// RFC 8555 7.4: `csr` in DER.
[[nodiscard]] inline std::string finalize_payload(byte_view csr)
{
    boost::json::object payload;
    payload["csr"] = to_base64url(csr);
    return boost::json::serialize(payload);
}

// RFC 8555 7.6: `certificate` in DER; `reason` as in RFC 5280 5.3.1.
[[nodiscard]] inline std::string revoke_payload(byte_view certificate, std::optional<unsigned> reason = {})
{
    boost::json::object payload;
    payload["certificate"] = to_base64url(certificate);
    if (reason)
        payload["reason"] = *reason;
    return boost::json::serialize(payload);
}

}

#endif
// ---- alos/acme/record.hpp ----
// What is kept of each certificate between attempts and across restarts, as JSON: where its renewal stands, the order
// under way, and what is known of a generation.
#ifndef ALOS_ACME_RECORD_HPP
#define ALOS_ACME_RECORD_HPP

// ---- alos/acme/renewal.hpp ----
// When to renew, when to ask the CA about it (RFC 9773), and when to try again after a failure. Pure: the time and
// random numbers, from [0, 1), are arguments. Everything is in proportion to a certificate's life, so that it holds
// for ten minutes as for a year.
#ifndef ALOS_ACME_RENEWAL_HPP
#define ALOS_ACME_RENEWAL_HPP


#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace alos::inline v0::acme {

// Both times are within it (RFC 5280 4.1.2.5).
struct validity {
    time_point not_before;
    time_point not_after;
};

// RFC 9773 4.2.
struct renewal_window {
    time_point start;
    time_point end;
};

// A window that the CA gave, and the time that was drawn from it. Kept, across restarts too, until the window changes.
struct suggestion {
    renewal_window window;
    time_point chosen;
};

// What came of asking for a window.
enum class window_answer : std::uint8_t {
    received,
    temporary_error, // no connection, a timeout, 5xx
    long_term_error, // 4xx, or an answer that cannot be used
};

// Why a certificate is to be replaced.
enum class renewal_cause : std::uint8_t { due, forced, revoked, reconfigured };

namespace detail {

// In milliseconds no difference overflows, whatever a certificate says.
inline std::chrono::milliseconds between(time_point from, time_point to) noexcept
{
    using std::chrono::milliseconds;
    return std::chrono::floor<milliseconds>(to) - std::chrono::floor<milliseconds>(from);
}

inline std::chrono::milliseconds scaled(std::chrono::milliseconds all, double factor) noexcept
{
    return std::chrono::milliseconds(static_cast<std::int64_t>(static_cast<double>(all.count()) * factor));
}

// From 1 - part to 1 + part.
inline double around_one(double part, double random) noexcept { return 1 + part * (2 * random - 1); }

}

// How long a certificate lives, its last second included; at least a second.
[[nodiscard]] inline std::chrono::milliseconds lifetime(const validity& of) noexcept
{
    return std::max<std::chrono::milliseconds>(std::chrono::seconds(1),
                                          detail::between(of.not_before, of.not_after) + std::chrono::seconds(1));
}

// After this, a twentieth of life is left, and nothing is worth waiting for.
[[nodiscard]] inline time_point latest_renewal(const validity& of) noexcept { return of.not_after - lifetime(of) / 20; }

// Whether to renew now, whatever window was suggested and however long we would wait after a failure of our own
// accord. A CA's Retry-After still holds.
[[nodiscard]] inline bool is_emergency(const validity& of, time_point now) noexcept
{
    return now >= latest_renewal(of);
}

// When to renew without advice: with a third of life left, with half of it below ten days. `random` spreads it by 1 %
// of life to either side; 0.5 is the middle.
[[nodiscard]] inline time_point ordinary_renewal(const validity& of, double random = 0.5) noexcept
{
    const std::chrono::milliseconds life = lifetime(of);
    const std::chrono::milliseconds left = life / (life >= std::chrono::days(10) ? 3 : 2);
    return std::min<time_point>(of.not_after - left + detail::scaled(life, 0.01 * (2 * random - 1)),
                                latest_renewal(of));
}

// RFC 9773 4.2: another is as no answer.
[[nodiscard]] inline bool is_answer(const renewal_window& window) noexcept { return window.end > window.start; }

// RFC 9773 4.2: a random time within the window. None is later than a twentieth of life before the end: a window
// behind that is the CA's mistake.
[[nodiscard]] inline time_point choose_time(const renewal_window& window, const validity& of, double random) noexcept
{
    const std::chrono::milliseconds width = detail::between(window.start, window.end);
    return std::min<time_point>(window.start + detail::scaled(width, random), latest_renewal(of));
}

// What to go by after `answer`: the suggestion that there was, while the window is the same to the second; else a new
// one. An answer that is none leaves what there was.
[[nodiscard]] inline std::optional<suggestion> suggest(const std::optional<suggestion>& before,
                                                       const renewal_window& answer, const validity& of,
                                                       double random) noexcept
{
    const auto same = [](time_point a, time_point b) {
        return std::chrono::floor<std::chrono::seconds>(a) == std::chrono::floor<std::chrono::seconds>(b);
    };
    if (!is_answer(answer))
        return before;
    if (before && same(before->window.start, answer.start) && same(before->window.end, answer.end))
        return before;
    return suggestion{answer, choose_time(answer, of, random)};
}

// When to renew: at the time that was chosen, else at the ordinary one, but not before `now`. `random` is drawn once
// for each certificate.
[[nodiscard]] inline time_point next_renewal(const validity& of, const std::optional<suggestion>& advice,
                                             time_point now, double random) noexcept
{
    const time_point planned = advice ? std::min(advice->chosen, latest_renewal(of)) : ordinary_renewal(of, random);
    return std::max(planned, now);
}

// Whether a window says that the certificate is revoked, or will be: it passed before anybody would have renewed.
[[nodiscard]] inline bool is_revocation(const renewal_window& window, const validity& of, time_point now) noexcept
{
    return is_answer(window) && window.end < now && now < ordinary_renewal(of);
}

// RFC 9773 4.3: when to ask for the window again; nothing when that would be after the certificate's end. `failures` in
// a row count for temporary errors only.
[[nodiscard]] inline std::optional<time_point> next_check(window_answer last, unsigned failures, time_point now,
                                                          const validity& of,
                                                          std::optional<std::chrono::seconds> retry_after,
                                                          double random) noexcept
{
    using namespace std::chrono;
    constexpr milliseconds shortest = minutes(1);
    constexpr milliseconds usual = hours(6);
    milliseconds wait = usual;
    if (last == window_answer::temporary_error) {
        const unsigned doublings = std::min(std::max(failures, 1u) - 1, 9u);
        wait = detail::scaled(std::min<milliseconds>(shortest * (1u << doublings), usual),
                              detail::around_one(0.2, random));
    }
    if (retry_after)
        wait = std::clamp<seconds>(*retry_after, minutes(1), days(1));
    // Note: a day is a long time for a certificate of an hour; ten questions in a life are few.
    wait = std::min(wait, std::max<milliseconds>(lifetime(of) / 10, seconds(10)));
    const time_point next = now + wait;
    return next < of.not_after ? std::optional(next) : std::nullopt;
}

// When to try again after `failures` in a row, the last of which is of class `last`; without `of` there is no
// certificate yet. Our own waits are at most a tenth of the life that is left, and an hour when none is; a CA's
// Retry-After is never cut short. It never gives up.
[[nodiscard]] inline time_point next_attempt(failure_class last, unsigned failures, time_point now,
                                             const std::optional<validity>& of,
                                             std::optional<std::chrono::seconds> retry_after, double random) noexcept
{
    using namespace std::chrono;
    constexpr std::array<milliseconds, 4> steps = {minutes(1), minutes(10), minutes(100), hours(24)};
    constexpr milliseconds least = seconds(10);
    const std::size_t first = last == failure_class::permanent ? 3 : last == failure_class::throttled ? 1 : 0;
    const std::size_t retries = std::max(failures, 1u) - 1;
    milliseconds own = steps[std::min(first + retries, steps.size() - 1)];
    if (retries > 0)
        own = detail::scaled(own, detail::around_one(0.2, random));
    if (of) {
        const milliseconds left = detail::between(now, of->not_after);
        own = std::min<milliseconds>(own, left > left.zero() ? std::max(left / 10, least) : hours(1));
        // Where the emergency begins, there is an attempt, whatever was planned.
        const milliseconds until_emergency = detail::between(now, latest_renewal(*of));
        if (until_emergency > until_emergency.zero())
            own = std::min(own, std::max(until_emergency, least));
    }
    if (!retry_after)
        return now + own;
    const milliseconds asked = std::clamp<seconds>(*retry_after, seconds(0), days(366));
    // Note: a CA that says "now" each time is not asked without a pause.
    const milliseconds pause = last == failure_class::throttled ? std::min<milliseconds>(own, minutes(1)) : own;
    return now + std::max(asked, pause);
}

// When the same names may be ordered again after a success, so that no wrong window makes a hot loop.
[[nodiscard]] inline time_point cool_down_end(time_point obtained, const validity& of) noexcept
{
    return obtained + lifetime(of) / 10;
}

[[nodiscard]] inline bool may_renew(renewal_cause cause, time_point obtained, const validity& of,
                                    time_point now) noexcept
{
    // Before it was obtained: the clock was wrong then or is now, and says nothing.
    return cause != renewal_cause::due || now >= cool_down_end(obtained, of) || now < obtained;
}

// How often to look at a certificate although a timer is set: timers sleep when machines do.
[[nodiscard]] inline std::chrono::milliseconds sweep_interval(const validity& of) noexcept
{
    return std::clamp<std::chrono::milliseconds>(lifetime(of) / 50, std::chrono::seconds(1), std::chrono::minutes(10));
}

// Which of `count` CAs to ask next, where `current` was asked last: another after a refusal that stays, and after any
// failure once a sixth of life is left or the third one in a row while there is no certificate; the first when there
// was no failure, so at the next renewal.
[[nodiscard]] inline std::size_t next_ca(std::size_t current, std::size_t count, failure_class last, unsigned failures,
                                         const std::optional<validity>& of, time_point now) noexcept
{
    if (failures == 0 || count == 0)
        return 0;
    const bool late = of ? detail::between(now, of->not_after) <= lifetime(*of) / 6 : failures >= 3;
    const bool move_on = last == failure_class::permanent || late;
    return (current % count + (move_on ? 1 : 0)) % count;
}

}

#endif

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <optional>
#include <string>
#include <vector>

namespace alos::inline v0::acme {

// The document "state/<id>". Times that are not known are the epoch.
struct certificate_state {
    std::string configuration; // what the settings were; others are tried at once
    time_point next_attempt{}; // after a failure
    unsigned failures = 0;     // in a row
    failure_class last_class = failure_class::transient;
    std::string last_error;
    std::string directory; // of the CA to ask
    std::optional<suggestion> advice;
    time_point next_check{}; // of the renewal window (RFC 9773)
    unsigned check_failures = 0;
    std::uint64_t forced = 0; // the generation that has to be replaced whatever its time
    std::string forced_why;   // "revoked", "forced", "reconfigured"
    double spread = 0.5;      // drawn for this generation, see ordinary_renewal()
    std::uint64_t generation = 0; // that `advice`, `next_check` and `spread` are of
    time_point certificates_full_at{}; // see allowance
    time_point failures_full_at{};
};

// The document "order/<id>"; its private key is "order/<id>.key".
struct order_record {
    std::string directory;
    std::string account; // URL
    std::string url;
    std::string certificate_id; // that it was to replace (RFC 9773 5)
    std::vector<identifier> names;
};

// meta.json of a generation.
struct generation_record {
    std::string directory;
    std::string account;
    std::string profile;
    time_point obtained{};
    std::vector<identifier> names;
    std::string because; // why it replaced the one before: "revoked", ...; empty: that one's time had come
};

namespace detail {

inline boost::json::array names_to_json(const std::vector<identifier>& names)
{
    boost::json::array list;
    for (const identifier& each : names)
        list.emplace_back(each.value);
    return list;
}

// Those that are no names are left out.
inline std::vector<identifier> names_from_json(const boost::json::object& from)
{
    std::vector<identifier> names;
    const boost::json::value* const found = from.if_contains("names");
    if (!found || !found->is_array())
        return names;
    for (const boost::json::value& each : found->get_array()) {
        if (!each.is_string() || names.size() == max_identifiers)
            continue;
        if (auto name = identifier_of(std::string_view(each.get_string())))
            names.push_back(std::move(*name));
    }
    return names;
}

inline void put_time(boost::json::object& into, std::string_view name, time_point when)
{
    if (when != time_point())
        into[name] = format_rfc3339(when);
}

// The epoch if it is not there or cannot be read: then it is due.
inline time_point time_of(const boost::json::object& from, std::string_view name)
{
    const auto read = parse_rfc3339(text_of(from, name));
    return read ? *read : time_point();
}

inline std::uint64_t number_of(const boost::json::object& from, std::string_view name)
{
    const boost::json::value* const found = from.if_contains(name);
    if (found && found->is_int64() && found->get_int64() > 0)
        return static_cast<std::uint64_t>(found->get_int64());
    return found && found->is_uint64() ? found->get_uint64() : 0;
}

inline constexpr std::array<std::string_view, 4> class_words = {"transient", "throttled", "permanent", "repairable"};

// The object that `text` is, or nothing.
inline std::optional<boost::json::object> read_object_text(std::string_view text)
{
    auto document = read_json(text);
    if (!document || !document->is_object())
        return std::nullopt;
    return std::move(document->get_object());
}

}

[[nodiscard]] inline std::string to_json(const certificate_state& state)
{
    boost::json::object out;
    out["configuration"] = state.configuration;
    out["failures"] = state.failures;
    if (state.failures > 0) {
        detail::put_time(out, "nextAttempt", state.next_attempt);
        out["lastClass"] = detail::class_words[static_cast<std::size_t>(state.last_class)];
        out["lastError"] = state.last_error;
    }
    out["directory"] = state.directory;
    out["generation"] = state.generation;
    out["spread"] = state.spread;
    if (state.advice) {
        detail::put_time(out, "windowStart", state.advice->window.start);
        detail::put_time(out, "windowEnd", state.advice->window.end);
        detail::put_time(out, "chosen", state.advice->chosen);
    }
    detail::put_time(out, "nextCheck", state.next_check);
    detail::put_time(out, "certificatesFullAt", state.certificates_full_at);
    detail::put_time(out, "failuresFullAt", state.failures_full_at);
    out["checkFailures"] = state.check_failures;
    if (state.forced != 0) {
        out["forced"] = state.forced;
        out["forcedWhy"] = state.forced_why;
    }
    return boost::json::serialize(out);
}

// What cannot be read is as if it had never been written; nothing at all if it is not even JSON.
[[nodiscard]] inline std::optional<certificate_state> parse_certificate_state(std::string_view text)
{
    const auto in = detail::read_object_text(text);
    if (!in)
        return std::nullopt;
    certificate_state state;
    state.configuration = detail::text_of(*in, "configuration");
    state.failures = static_cast<unsigned>(std::min<std::uint64_t>(detail::number_of(*in, "failures"), 1'000'000));
    state.next_attempt = detail::time_of(*in, "nextAttempt");
    const auto word = std::ranges::find(detail::class_words, detail::text_of(*in, "lastClass"));
    if (word != detail::class_words.end())
        state.last_class = static_cast<failure_class>(word - detail::class_words.begin());
    state.last_error = detail::text_of(*in, "lastError");
    state.directory = detail::text_of(*in, "directory");
    state.generation = detail::number_of(*in, "generation");
    if (const auto* spread = in->if_contains("spread"); spread && spread->is_double())
        state.spread = std::clamp(spread->get_double(), 0.0, 1.0);
    const renewal_window window{detail::time_of(*in, "windowStart"), detail::time_of(*in, "windowEnd")};
    if (const time_point chosen = detail::time_of(*in, "chosen"); is_answer(window) && chosen != time_point())
        state.advice = suggestion{window, chosen};
    state.next_check = detail::time_of(*in, "nextCheck");
    state.certificates_full_at = detail::time_of(*in, "certificatesFullAt");
    state.failures_full_at = detail::time_of(*in, "failuresFullAt");
    state.check_failures =
        static_cast<unsigned>(std::min<std::uint64_t>(detail::number_of(*in, "checkFailures"), 1'000'000));
    state.forced = detail::number_of(*in, "forced");
    state.forced_why = detail::text_of(*in, "forcedWhy");
    return state;
}

[[nodiscard]] inline std::string to_json(const order_record& order)
{
    boost::json::object out;
    out["directory"] = order.directory;
    out["account"] = order.account;
    out["url"] = order.url;
    out["replaces"] = order.certificate_id;
    out["names"] = detail::names_to_json(order.names);
    return boost::json::serialize(out);
}

[[nodiscard]] inline std::optional<order_record> parse_order_record(std::string_view text)
{
    const auto in = detail::read_object_text(text);
    if (!in)
        return std::nullopt;
    order_record order{detail::text_of(*in, "directory"), detail::text_of(*in, "account"), detail::text_of(*in, "url"),
                       detail::text_of(*in, "replaces"), detail::names_from_json(*in)};
    if (order.url.empty() || order.directory.empty())
        return std::nullopt;
    return order;
}

[[nodiscard]] inline std::string to_json(const generation_record& one)
{
    boost::json::object out;
    out["directory"] = one.directory;
    out["account"] = one.account;
    out["profile"] = one.profile;
    detail::put_time(out, "obtained", one.obtained);
    out["names"] = detail::names_to_json(one.names);
    out["because"] = one.because;
    return boost::json::serialize(out);
}

// Never fails: a certificate serves without it.
[[nodiscard]] inline generation_record parse_generation_record(std::string_view text)
{
    const auto in = detail::read_object_text(text);
    if (!in)
        return {};
    return {detail::text_of(*in, "directory"), detail::text_of(*in, "account"), detail::text_of(*in, "profile"),
            detail::time_of(*in, "obtained"), detail::names_from_json(*in), detail::text_of(*in, "because")};
}

}

#endif
// ---- alos/acme/token_bucket.hpp ----
// A limit on how often something may be done: so many at once, then one more every so often.
#ifndef ALOS_ACME_TOKEN_BUCKET_HPP
#define ALOS_ACME_TOKEN_BUCKET_HPP


#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace alos::inline v0::acme {

// Kept as one time, the one at which the bucket is full again: store full_at(), and give it to the next one.
class token_bucket {
public:
    // `burst` 0, or a `refill` of nothing, is no limit. A burst above 10,000 is taken as that, a refill above 3 days
    // too: they fill within the range of the clock.
    token_bucket(unsigned burst, std::chrono::seconds refill, time_point full_at = {}) noexcept
        : burst_(std::min(burst, largest_burst)), refill_(std::clamp(refill, std::chrono::seconds(0), longest_refill)),
          full_at_(std::chrono::floor<std::chrono::milliseconds>(full_at))
    {
    }

    // Nothing: one was taken. Otherwise when one will be there, if nobody is faster.
    [[nodiscard]] std::optional<time_point> take(time_point now) noexcept
    {
        const auto later = next(now);
        if (!later && burst_ != 0 && refill_ != refill_.zero())
            full_at_ += refill_;
        return later;
    }

    // When one will be there; nothing: now.
    [[nodiscard]] std::optional<time_point> next(time_point now) noexcept
    {
        if (burst_ == 0 || refill_ == refill_.zero())
            return std::nullopt;
        const instant here = std::chrono::floor<std::chrono::milliseconds>(now);
        // Note: after the clock jumped back, or with a smaller burst than before, the bucket would seem emptier than
        // it can be; it is empty then.
        const instant full = std::clamp(full_at_, here, here + refill_ * burst_);
        full_at_ = full;
        const instant free_at = full - refill_ * (burst_ - 1);
        return free_at > here ? std::optional<time_point>(free_at) : std::nullopt;
    }

    // How many may be taken at once.
    [[nodiscard]] unsigned level(time_point now) const noexcept
    {
        if (burst_ == 0 || refill_ == refill_.zero())
            return ~0u;
        const instant here = std::chrono::floor<std::chrono::milliseconds>(now);
        const auto missing = std::clamp(full_at_, here, here + refill_ * burst_) - here;
        const auto taken = (missing + refill_ - std::chrono::milliseconds(1)) / refill_;
        return static_cast<unsigned>(burst_ - taken);
    }

    [[nodiscard]] time_point full_at() const noexcept { return full_at_; }

private:
    using instant = std::chrono::sys_time<std::chrono::milliseconds>;
    static constexpr unsigned largest_burst = 10'000;
    static constexpr std::chrono::seconds longest_refill = std::chrono::days(3);

    std::int64_t burst_;
    std::chrono::milliseconds refill_;
    instant full_at_;
};

// What CAs allow one certificate (facts of Let's Encrypt): 5 for the same names in a week, 5 failed validations of a name
// in an hour. Certificates that live shorter are from CAs that allow more.
struct allowance {
    token_bucket certificates;
    token_bucket failed_validations;

    // `full_at` of both as they were kept; `life` is that of the present certificate, or what is usual.
    allowance(time_point certificates_full_at, time_point failures_full_at, std::chrono::milliseconds life) noexcept
        : certificates(3, certificate_refill(life), certificates_full_at),
          failed_validations(3, std::min<std::chrono::seconds>(std::chrono::minutes(30), part(life, 50)),
                             failures_full_at)
    {
    }

private:
    static std::chrono::seconds part(std::chrono::milliseconds life, int of) noexcept
    {
        return std::chrono::ceil<std::chrono::seconds>(life / of);
    }

    // Three at once and one more in half a week are five in a week; one that lives for six days is renewed after three.
    static std::chrono::seconds certificate_refill(std::chrono::milliseconds life) noexcept
    {
        if (life < std::chrono::days(5))
            return part(life, 20);
        return std::min<std::chrono::seconds>(std::chrono::hours(84), part(life, 2));
    }
};

}

#endif

#include <functional>
#include <string>
#include <utility>

namespace alos::inline v0::acme {

// What belongs to one CA is kept under: its host, so that people recognise it, and what makes it unique.
[[nodiscard]] inline std::string storage_id(const std::string& directory, const std::string& email = {})
{
    const auto where = http::parse_url(directory);
    const auto digest = sha256_of(as_bytes(directory + "\n" + email));
    std::string id = where ? where->host : "ca";
    std::ranges::replace(id, ':', '_');
    return id + "-" + to_base64url(byte_view(digest).first(9));
}

// Whether one more may be had of what a CA limits; if not, when. Shared with the other processes, and kept over
// restarts: a program that is started again and again must not empty the bucket each time.
[[nodiscard]] inline awaitable<std::optional<time_point>> take_token(environment& world, storage& kept,
                                                                     std::string directory, std::string member,
                                                                     rate limit)
{
    if (limit.burst == 0)
        co_return std::nullopt;
    const std::string name = "limits/" + storage_id(directory);
    for (int tries = 0; tries < 5; ++tries) {
        const auto found = co_await kept.load(name);
        boost::json::object all;
        std::uint64_t version = 0;
        if (found && found->has_value()) {
            version = (*found)->version;
            all = detail::read_object_text(as_text((*found)->text)).value_or(boost::json::object());
        }
        token_bucket bucket(limit.burst, limit.refill, detail::time_of(all, member));
        if (const auto later = bucket.take(world.now()))
            co_return later;
        detail::put_time(all, member, bucket.full_at());
        const std::string text = boost::json::serialize(all);
        secret_text bytes(text.begin(), text.end());
        const auto stored = co_await kept.store(name, std::move(bytes), version);
        if (stored || stored.error().code != errc::conflict)
            break; // a disk that is full must not keep us from renewing
    }
    co_return std::nullopt;
}

// Three documents: "account/<id>.key", its key; "account/<id>", its URL, which the CA can be asked for again; and
// "account/<id>.next", the key that is about to replace the first.
class account_keeper {
public:
    // Told in one sentence what became of the account; the first argument says whether it is new.
    using teller = std::function<void(event_kind, std::string)>;

    // Both outlive it.
    account_keeper(client& ca, storage& kept, std::string email, teller tell)
        : ca_(ca), storage_(kept), email_(std::move(email)), tell_(std::move(tell)),
          id_(storage_id(ca.ca().directory, email_))
    {
    }

    // The account, which is registered if need be. Those who come meanwhile wait.
    [[nodiscard]] awaitable<reply<signer>> open()
    {
        const admission_gate::place turn = co_await gate_.enter();
        if (open_)
            co_return *open_;
        auto key = co_await load_key();
        if (!key)
            co_return key.error();
        if (auto taken = co_await finish_key_change(*key); !taken)
            co_return taken.error();
        const std::string known = co_await load_url();
        if (!known.empty()) {
            tell_(event_kind::account_reused, "registration reused: " + known);
            open_.emplace(signer{*key, known});
            co_return *open_;
        }
        auto url = co_await register_key(*key);
        if (!url)
            co_return url.error();
        open_.emplace(signer{*key, std::move(*url)});
        co_return *open_;
    }

    // RFC 8555 6.7, accountDoesNotExist: the CA has lost it. The next open() registers the same key again.
    [[nodiscard]] awaitable<outcome<>> forget()
    {
        open_.reset();
        auto erased = co_await storage_.erase(document());
        co_return erased;
    }

    // RFC 8555 7.3.2: another contact.
    [[nodiscard]] awaitable<reply<>> update(std::vector<std::string> contact)
    {
        auto by = co_await open();
        if (!by)
            co_return by.error();
        std::string payload = update_account_payload(contact);
        const auto done = co_await ca_.post(by->url, std::move(payload), *by, "account");
        if (!done)
            co_return done.error();
        co_return reply<>();
    }

    // RFC 8555 7.3.6. It cannot be opened again.
    [[nodiscard]] awaitable<reply<>> deactivate()
    {
        auto by = co_await open();
        if (!by)
            co_return by.error();
        std::string payload(deactivation_payload);
        const auto done = co_await ca_.post(by->url, std::move(payload), *by, "account");
        if (!done)
            co_return done.error();
        open_.reset();
        static_cast<void>(co_await storage_.erase(document()));
        static_cast<void>(co_await storage_.move_aside(document() + ".key"));
        co_return reply<>();
    }

    // RFC 8555 7.3.5: a new key for the same account. It is kept before the CA hears of it: if the answer is lost,
    // open() finds out which of the two counts.
    [[nodiscard]] awaitable<reply<>> change_key(key_kind kind)
    {
        auto by = co_await open();
        if (!by)
            co_return by.error();
        auto next = account_key::generate(kind);
        if (!next)
            co_return local(next.error());
        const std::string pending = document() + ".next";
        secret_text pem = next->to_pem();
        const auto stored = co_await storage_.store(pending, std::move(pem), std::nullopt);
        if (!stored)
            co_return local(stored.error());
        const auto known = co_await ca_.find_directory();
        if (!known)
            co_return known.error();
        auto inner = sign_key_change(*next, by->key, by->url, known->key_change);
        if (!inner)
            co_return local(failure{inner.error(), "the new account key cannot sign"});
        const auto done = co_await ca_.post(&directory::key_change, std::move(*inner), *by, "account key");
        open_.reset();
        if (!done)
            co_return done.error();
        auto promoted = co_await promote(*next);
        co_return promoted;
    }

private:
    static refusal local(const failure& why) { return {failure_class::transient, "account: " + why.what}; }

    [[nodiscard]] std::string document() const { return "account/" + id_; }

    // A key that cannot be read is moved aside, and a new one made: with it comes a new account.
    [[nodiscard]] awaitable<reply<account_key>> load_key()
    {
        const std::string name = document() + ".key";
        for (int tries = 0;; ++tries) {
            const auto kept = co_await storage_.load(name);
            if (!kept)
                co_return local(kept.error());
            if (kept->has_value()) {
                auto key = account_key::from_pem(as_text((*kept)->text));
                if (key)
                    co_return std::move(*key);
                const auto aside = co_await storage_.move_aside(name);
                if (!aside)
                    co_return local(aside.error());
                tell_(event_kind::unreadable, "the account key cannot be used (" + key.error().what
                                                  + "); it is now in " + *aside + ", and a new account is made");
                static_cast<void>(co_await storage_.erase(document()));
            }
            auto made = account_key::generate(key_kind::ecdsa_p256);
            if (!made)
                co_return local(made.error());
            secret_text pem = made->to_pem();
            const auto stored = co_await storage_.store(name, std::move(pem), 0);
            if (stored)
                co_return std::move(*made);
            if (stored.error().code != errc::conflict || tries == 3)
                co_return local(stored.error());
        }
    }

    [[nodiscard]] awaitable<std::string> load_url()
    {
        const auto kept = co_await storage_.load(document());
        if (!kept || !kept->has_value())
            co_return std::string();
        const auto in = detail::read_object_text(as_text((*kept)->text));
        co_return in ? detail::text_of(*in, "url") : std::string();
    }

    [[nodiscard]] awaitable<outcome<>> keep_url(std::string url)
    {
        boost::json::object out;
        out["directory"] = ca_.ca().directory;
        out["email"] = email_;
        out["url"] = url;
        const std::string text = boost::json::serialize(out);
        secret_text kept(text.begin(), text.end());
        const auto stored = co_await storage_.store(document(), std::move(kept), std::nullopt);
        if (!stored)
            co_return stored.error();
        co_return outcome<>();
    }

    // RFC 8555 7.3: 201 is a new account, 200 one that this key had already.
    [[nodiscard]] awaitable<reply<std::string>> register_key(account_key key)
    {
        const auto later = co_await take_token(ca_.world(), storage_, ca_.ca().directory, "accountsFullAt",
                                               ca_.ca().accounts);
        if (later)
            co_return refusal{failure_class::throttled, "account: as many were asked for as this CA allows",
                              std::chrono::ceil<std::chrono::seconds>(*later - ca_.world().now())};
        const auto known = co_await ca_.find_directory();
        if (!known)
            co_return known.error();
        new_account asked;
        if (!email_.empty())
            asked.contact.push_back("mailto:" + email_);
        const certificate_authority& ca = ca_.ca();
        if (!ca.eab_kid.empty() || !ca.eab_hmac_key.empty()) {
            const auto secret = secret_from_base64(ca.eab_hmac_key);
            if (!secret)
                co_return refusal{failure_class::permanent, "account: the eab_hmac_key for " + ca.directory
                                                                + " is not base64url; copy it again from the CA's page"};
            auto binding = external_account_binding(ca.eab_kid, *secret, known->new_account, key);
            if (!binding)
                co_return refusal{failure_class::permanent, "account: " + binding.error().what};
            asked.external_account_binding = std::move(*binding);
        } else if (known->external_account_required) {
            co_return refusal{failure_class::permanent,
                              "account: " + ca.directory
                                  + " wants an external account; set eab_kid and eab_hmac_key to what its page shows"};
        }
        std::string payload = new_account_payload(asked);
        signer itself{key};
        const auto answer = co_await ca_.post(&directory::new_account, std::move(payload), itself, "account");
        if (!answer)
            co_return answer.error();
        const std::string url = url_in(*answer, answer->field("Location"));
        if (url.empty())
            co_return refusal{failure_class::transient, "account: " + ca.directory + " named no account URL"};
        const auto read = parse_account(answer->body);
        if (read && read->status != account_status::valid)
            co_return refusal{failure_class::permanent,
                              "account: " + url + " is closed; move its key away (" + document() + ".key)"};
        if (const auto stored = co_await keep_url(url); !stored)
            co_return local(stored.error());
        const bool is_new = answer->status == 201;
        tell_(is_new ? event_kind::account_created : event_kind::account_reused,
              (is_new ? "registered as " : "registration reused: ") + url);
        co_return url;
    }

    // After a change of keys whose answer was lost: `key` becomes the new one if the CA knows that.
    [[nodiscard]] awaitable<reply<>> finish_key_change(account_key& key)
    {
        const std::string pending = document() + ".next";
        const auto kept = co_await storage_.load(pending);
        if (!kept || !kept->has_value())
            co_return reply<>();
        const auto next = account_key::from_pem(as_text((*kept)->text));
        if (next) {
            new_account asked;
            asked.only_return_existing = true;
            asked.terms_of_service_agreed = false;
            std::string payload = new_account_payload(asked);
            signer itself{*next};
            const auto answer = co_await ca_.post(&directory::new_account, std::move(payload), itself, "account");
            if (answer) {
                auto promoted = co_await promote(*next);
                if (!promoted)
                    co_return promoted;
                key = *next;
                co_return reply<>();
            }
            if (answer.error().why.type != "accountDoesNotExist")
                co_return answer.error();
        }
        static_cast<void>(co_await storage_.erase(pending));
        co_return reply<>();
    }

    [[nodiscard]] awaitable<reply<>> promote(account_key next)
    {
        secret_text pem = next.to_pem();
        const auto stored = co_await storage_.store(document() + ".key", std::move(pem), std::nullopt);
        if (!stored)
            co_return local(stored.error());
        static_cast<void>(co_await storage_.erase(document() + ".next"));
        co_return reply<>();
    }

    client& ca_;
    storage& storage_;
    const std::string email_;
    const teller tell_;
    const std::string id_;
    admission_gate gate_{1};
    std::optional<signer> open_;
};

}

#endif

#include <map>
#include <memory>
#include <string>
#include <utility>

namespace alos::inline v0::acme {

// All members are called on the manager's thread.
class authority {
public:
    // `world` and `kept` outlive it.
    authority(environment& world, storage& kept, certificate_authority settings, account_keeper::teller tell)
        : storage_(kept), client_(world, std::move(settings)), tell_(std::move(tell))
    {
    }

    authority(const authority&) = delete;
    authority& operator=(const authority&) = delete;

    // Reads the files that its settings name.
    [[nodiscard]] outcome<> prepare() { return client_.prepare(); }

    [[nodiscard]] client& ca() noexcept { return client_; }
    [[nodiscard]] const std::string& directory_url() const noexcept { return client_.ca().directory; }

    [[nodiscard]] account_keeper& account(const std::string& email)
    {
        auto& place = accounts_[email];
        if (!place)
            place = std::make_unique<account_keeper>(client_, storage_, email, tell_);
        return *place;
    }

    // Whether another order may be placed now; if not, when.
    [[nodiscard]] awaitable<std::optional<time_point>> take_order()
    {
        auto taken = take_token(client_.world(), storage_, directory_url(), "ordersFullAt", client_.ca().orders);
        co_return co_await std::move(taken);
    }

private:
    storage& storage_;
    client client_;
    const account_keeper::teller tell_;
    std::map<std::string, std::unique_ptr<account_keeper>> accounts_; // by e-mail address
};

}

#endif
// ---- alos/acme/board.hpp ----
// Where the answers to challenges stand while the CA looks for them: here, in the storage for the other processes of
// this host, and in the DNS. RFC 8555 8, RFC 8737.
#ifndef ALOS_ACME_BOARD_HPP
#define ALOS_ACME_BOARD_HPP

// ---- alos/acme/challenge.hpp ----
// Answers to challenges: key authorizations, and how each challenge shows them (RFC 8555 8, RFC 8737, RFC 8738).
#ifndef ALOS_ACME_CHALLENGE_HPP
#define ALOS_ACME_CHALLENGE_HPP


#include <array>
#include <chrono>
#include <string>
#include <string_view>

namespace alos::inline v0::acme {

inline constexpr std::size_t max_token_size = 512; // bytes; CAs send 43

// For clients whose clock is late, and as long as an order may be open.
inline constexpr std::chrono::hours tls_alpn_backdate{24};
inline constexpr std::chrono::hours tls_alpn_lifetime{24 * 7};

// RFC 8555 8.3: "It MUST NOT contain any characters outside the base64url alphabet". It becomes part of a path and of
// a file's name.
[[nodiscard]] inline bool is_token(std::string_view text) noexcept
{
    return text.size() <= max_token_size && is_base64url(text);
}

// RFC 8555 8.1; `thumbprint` as account_key::thumbprint() gives it.
[[nodiscard]] inline std::string key_authorization(std::string_view token, std::string_view thumbprint)
{
    return std::string(token) + "." + std::string(thumbprint);
}

inline constexpr std::string_view http01_prefix = "/.well-known/acme-challenge/";

// RFC 8555 8.3: where the CA asks for the key authorization.
[[nodiscard]] inline std::string http01_path(std::string_view token)
{
    return std::string(http01_prefix) + std::string(token);
}

// RFC 8555 8.4: the name of the TXT record; a wildcard's is that of the name below it.
[[nodiscard]] inline std::string dns01_name(std::string_view domain)
{
    if (domain.starts_with("*."))
        domain.remove_prefix(2);
    return "_acme-challenge." + std::string(domain);
}

// RFC 8555 8.4: its value, 43 characters.
[[nodiscard]] inline std::string dns01_value(std::string_view key_authorization)
{
    return to_base64url(sha256_of(as_bytes(key_authorization)));
}

// The name of an IP address in the DNS (RFC 1035 3.5, RFC 3596 2.5); empty for any other text.
[[nodiscard]] inline std::string reverse_name(std::string_view ip)
{
    const cert::ip_address address(ip);
    if (address.empty())
        return {};
    const byte_view bytes = address.bytes();
    std::string name;
    for (std::size_t i = bytes.size(); i-- > 0;) {
        if (bytes.size() == 4) {
            name += std::to_string(bytes[i]) + ".";
            continue;
        }
        constexpr std::string_view digits = "0123456789abcdef";
        for (const int digit : {bytes[i] & 0x0f, bytes[i] >> 4}) {
            name += digits[static_cast<std::size_t>(digit)];
            name += '.';
        }
    }
    return name + (bytes.size() == 4 ? "in-addr.arpa" : "ip6.arpa");
}

// What the CA puts into SNI when it asks for this identifier, a DNS name or an IP address (RFC 8737 3, RFC 8738 6).
[[nodiscard]] inline std::string tls_alpn_server_name(std::string_view identifier)
{
    const std::string reversed = reverse_name(identifier);
    return reversed.empty() ? std::string(identifier) : reversed;
}

namespace detail {

// RFC 8737 3: id-pe 31
inline constexpr std::array<std::uint8_t, 8> oid_acme_identifier{0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f};

// RFC 8737 3: Authorization, an OCTET STRING of 32 bytes.
inline byte_vector acme_identifier(std::string_view key_authorization)
{
    byte_vector value;
    der::writer<byte_vector> out(value);
    out.value(der::octet_string, sha256_of(as_bytes(key_authorization)));
    return value;
}

// An identifier in its one spelling.
inline outcome<std::string> tls_alpn_identifier(std::string_view text)
{
    auto name = cert::parse_domain(text);
    if (!name) {
        std::string what = "'";
        alos::detail::append_printable(what, as_bytes(text));
        return failure{errc::bad_name, what + "' is no host name and no IP address, which tls-alpn-01 is for"};
    }
    if (name->starts_with("*."))
        return failure{errc::bad_name, "'" + *name + "' cannot be proved by tls-alpn-01; use dns-01 for wildcards"};
    return std::move(*name);
}

// The names of a certificate, for people.
inline std::string names_text(const certificate& one)
{
    std::string text;
    for (const std::string_view name : one.dns_names) {
        if (text.size() > 300)
            return text + ", ...";
        text += text.empty() ? "" : ", ";
        alos::detail::append_printable(text, as_bytes(name));
    }
    for (const byte_view address : one.addresses) {
        if (text.size() > 300)
            return text + ", ...";
        text += text.empty() ? "" : ", ";
        text += cert::ip_address(address).text();
    }
    return text.empty() ? "no name" : text;
}

inline bool names_only(const certificate& one, const std::string& identifier)
{
    if (one.dns_names.size() + one.addresses.size() != 1)
        return false;
    if (!one.addresses.empty())
        return cert::ip_address(one.addresses.front()).text() == identifier;
    // A dNSName that spells an address is not the address.
    return cert::ip_address(identifier).empty() && cert::parse_domain(one.dns_names.front()) == identifier;
}

}

// RFC 8737 3: what is shown to a client that offers "acme-tls/1" and nothing else, under tls_alpn_server_name().
[[nodiscard]] inline outcome<cert::credential_ptr> make_tls_alpn_credential(std::string_view identifier,
                                                                            std::string_view key_authorization,
                                                                            system_time now)
{
    const auto name = detail::tls_alpn_identifier(identifier);
    if (!name)
        return name.error();
    certificate_spec spec;
    spec.common_name = "tls-alpn-01";
    if (const cert::ip_address address(*name); !address.empty())
        spec.addresses.emplace_back(address.bytes().begin(), address.bytes().end());
    else
        spec.dns_names.push_back(*name);
    spec.not_before = now - tls_alpn_backdate;
    spec.not_after = now + tls_alpn_lifetime;
    // "The acmeIdentifier extension MUST be critical so that the certificate isn't inadvertently used by non-ACME
    // software."
    const byte_view oid = detail::oid_acme_identifier;
    spec.more.push_back({{oid.begin(), oid.end()}, true, detail::acme_identifier(key_authorization)});

    const auto key = private_key::generate(key_kind::ecdsa_p256);
    if (!key)
        return key.error();
    const auto der = issue_self_signed(spec, **key);
    if (!der)
        return der.error();
    return cert::make_credential(as_text(encode_pem("CERTIFICATE", *der)), as_text((*key)->to_pem()),
                                 {.from = cert::source::acme});
}

// Whether the certificate that a server showed to "acme-tls/1" would convince the CA (RFC 8737 3, step 4); if not, what
// is wrong with it.
[[nodiscard]] inline outcome<> answers_tls_alpn(byte_view leaf_der, std::string_view identifier,
                                                std::string_view key_authorization)
{
    const auto name = detail::tls_alpn_identifier(identifier);
    if (!name)
        return name.error();
    const auto leaf = parse_certificate({leaf_der.begin(), leaf_der.end()});
    if (!leaf)
        return failure{errc::bad_certificate,
                       *name + " shows a certificate that cannot be read; another server answers there"};
    const auto proof = find_extension(*leaf, detail::oid_acme_identifier);
    if (!proof)
        return failure{errc::bad_certificate,
                       *name + " shows an ordinary certificate (" + detail::names_text(*leaf)
                           + ") where acme-tls/1 was asked for; let what ends TLS before this server pass it through, "
                             "or use another challenge"};
    if (!detail::names_only(*leaf, *name))
        return failure{errc::bad_certificate, *name + " shows a challenge certificate for " + detail::names_text(*leaf)
                                                  + "; another ACME client answers there"};
    if (!proof->critical || !equal(proof->value, detail::acme_identifier(key_authorization)))
        return failure{errc::bad_certificate,
                       *name + " answers another challenge than this one; another ACME client, or an attempt that has "
                               "ended, answers there"};
    return {};
}

}

#endif

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

namespace alos::inline v0::acme {

// One answer.
struct posting {
    challenge_type type;
    identifier about; // "*." included
    std::string token;
    std::string key_authorization;
};

// All members are called on the manager's thread.
class board {
public:
    // All outlive it.
    board(environment& world, storage& kept, answers& http01, cert::registry& certificates)
        : world_(world), storage_(kept), http01_(http01), certificates_(certificates)
    {
    }

    // Returns when the CA can see it. Of two answers for one name by tls-alpn-01, which has room for one, the second
    // waits for the first to be taken away.
    [[nodiscard]] awaitable<outcome<>> post(posting what, std::shared_ptr<dns_solver> dns)
    {
        switch (what.type) {
        case challenge_type::http_01: http01_.put(what.token, what.key_authorization); break;
        case challenge_type::tls_alpn_01: {
            while (taken_.contains(what.about.value))
                co_await left_.wait();
            if (auto shown = show(what.about.value, what.key_authorization); !shown)
                co_return shown;
            taken_.insert(what.about.value);
            break;
        }
        case challenge_type::dns_01: {
            std::string name = dns01_name(what.about.value);
            std::string value = dns01_value(what.key_authorization);
            auto done = co_await dns->present(std::move(name), std::move(value));
            co_return done;
        }
        }
        own_.insert(document(what));
        const auto until = std::chrono::system_clock::to_time_t(world_.now() + life);
        const std::string text = what.key_authorization + "\n" + std::to_string(until) + "\n";
        secret_text kept(text.begin(), text.end());
        const auto stored = co_await storage_.store(document(what), std::move(kept), std::nullopt);
        if (!stored)
            co_return stored.error();
        co_return outcome<>();
    }

    // What cannot be taken away is said, and forgotten.
    [[nodiscard]] awaitable<outcome<>> take_down(posting what, std::shared_ptr<dns_solver> dns)
    {
        switch (what.type) {
        case challenge_type::http_01: http01_.remove(what.token); break;
        case challenge_type::tls_alpn_01:
            hide(what.about.value);
            taken_.erase(what.about.value);
            left_.notify_all();
            break;
        case challenge_type::dns_01: {
            std::string name = dns01_name(what.about.value);
            std::string value = dns01_value(what.key_authorization);
            auto done = co_await dns->clean_up(std::move(name), std::move(value));
            co_return done;
        }
        }
        own_.erase(document(what));
        auto erased = co_await storage_.erase(document(what));
        co_return erased;
    }

    // Answers here what other processes posted, and no longer what they took down.
    [[nodiscard]] awaitable<> follow_others()
    {
        std::map<std::string, posting> seen;
        for (const challenge_type type : {challenge_type::http_01, challenge_type::tls_alpn_01}) {
            const std::string folder = "challenge/" + std::string(name_of(type));
            const auto listed = co_await storage_.list(folder);
            if (!listed)
                continue;
            for (const std::string& name : *listed) {
                const std::string key = folder + "/" + name;
                if (own_.contains(key))
                    continue;
                if (const auto known = others_.find(key); known != others_.end()) {
                    seen.insert(*known);
                    continue;
                }
                auto read = co_await read_posting(type, name, key);
                if (!read || own_.contains(key))
                    continue;
                if (type == challenge_type::http_01)
                    http01_.put(read->token, read->key_authorization);
                else if (!show(read->about.value, read->key_authorization))
                    continue;
                seen.emplace(key, std::move(*read));
            }
        }
        for (const auto& [key, gone] : others_) {
            if (seen.contains(key) || own_.contains(key))
                continue;
            if (gone.type == challenge_type::http_01)
                http01_.remove(gone.token);
            else if (!taken_.contains(gone.about.value))
                hide(gone.about.value);
        }
        others_ = std::move(seen);
    }

private:
    static constexpr std::chrono::hours life{24}; // of an answer whose process died

    static std::string document(const posting& what)
    {
        const bool by_token = what.type == challenge_type::http_01;
        return "challenge/" + std::string(name_of(what.type)) + "/" + (by_token ? what.token : what.about.value);
    }

    // Nothing when it is gone, unreadable, or forgotten by a process that died; that one is erased.
    [[nodiscard]] awaitable<std::optional<posting>> read_posting(challenge_type type, std::string name, std::string key)
    {
        const auto kept = co_await storage_.load(key);
        if (!kept || !kept->has_value())
            co_return std::nullopt;
        std::string_view rest = as_text((*kept)->text);
        const std::string key_authorization(http::next_part(rest, '\n'));
        const auto until = http::parse_decimal(http::next_part(rest, '\n'));
        const auto now = static_cast<std::uint64_t>(std::chrono::system_clock::to_time_t(world_.now()));
        if (!until || *until < now) {
            static_cast<void>(co_await storage_.erase(key));
            co_return std::nullopt;
        }
        if (type == challenge_type::http_01)
            co_return posting{type, {}, name, key_authorization};
        const auto about = identifier_of(name);
        if (!about)
            co_return std::nullopt;
        co_return posting{type, *about, {}, key_authorization};
    }

    [[nodiscard]] outcome<> show(const std::string& name, const std::string& key_authorization)
    {
        auto made = make_tls_alpn_credential(name, key_authorization, world_.now());
        if (!made)
            return made.error();
        return certificates_.set_challenge(tls_alpn_server_name(name), std::move(*made));
    }

    void hide(const std::string& name)
    {
        static_cast<void>(certificates_.set_challenge(tls_alpn_server_name(name), nullptr));
    }

    environment& world_;
    storage& storage_;
    answers& http01_;
    cert::registry& certificates_;
    std::set<std::string> own_;              // documents
    std::map<std::string, posting> others_;  // by document
    std::set<std::string> taken_;            // names shown by tls-alpn-01
    signal left_;
};

}

#endif
// ---- alos/acme/certificate_id.hpp ----
// How a certificate is named to the CA that issued it, when it is asked about renewal (RFC 9773 4.1).
#ifndef ALOS_ACME_CERTIFICATE_ID_HPP
#define ALOS_ACME_CERTIFICATE_ID_HPP


#include <string>

namespace alos::inline v0::acme {

inline constexpr std::size_t max_certificate_id_part = 64; // bytes; RFC 5280 4.1.2.2 knows 20

// RFC 9773 4.1: the authority key identifier and the serial number. Fails when the certificate names no authority key,
// as self-signed ones may: then no CA can be asked.
[[nodiscard]] inline result<std::string> ari_certificate_id(const certificate& leaf)
{
    const byte_view authority = authority_key_identifier(leaf);
    if (authority.empty() || authority.size() > max_certificate_id_part || leaf.serial.empty()
        || leaf.serial.size() > max_certificate_id_part)
        return make_error_code(errc::bad_certificate);
    return to_base64url(authority) + "." + to_base64url(leaf.serial);
}

[[nodiscard]] inline result<std::string> ari_certificate_id(byte_view leaf_der)
{
    const auto leaf = parse_certificate({leaf_der.begin(), leaf_der.end()});
    if (!leaf)
        return leaf.error();
    return ari_certificate_id(*leaf);
}

}

#endif
// ---- alos/acme/issue.hpp ----
// One certificate, from the order to the download, as a coroutine in the order of RFC 8555 7.4: order,
// authorizations, challenges, finalize, download, check.
#ifndef ALOS_ACME_ISSUE_HPP
#define ALOS_ACME_ISSUE_HPP

// ---- alos/acme/link.hpp ----
// Links between resources: "alternate" chains, "next" pages, the terms of service. RFC 8288, RFC 8555 7.
#ifndef ALOS_ACME_LINK_HPP
#define ALOS_ACME_LINK_HPP


#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

namespace detail {

inline constexpr std::size_t max_links = 32;
inline constexpr std::size_t max_link_target = 2048;

// Takes links from the front of one field value. RFC 8288 3, appendix B.2.
class link_reader {
public:
    explicit link_reader(std::string_view value) noexcept : rest_(value) {}

    struct link {
        std::string_view target;
        std::string relations; // relation types with spaces between them
        bool has_anchor = false;
    };

    // Nothing at the end, and where the value stops being a list of links.
    [[nodiscard]] std::optional<link> next()
    {
        while (skip_space(), take(','))
            continue;
        const std::size_t end = rest_.find('>');
        if (!take('<') || end == std::string_view::npos)
            return std::nullopt;
        link made;
        made.target = rest_.substr(0, end - 1);
        rest_.remove_prefix(end);
        bool has_relations = false;
        while (skip_space(), take(';')) {
            skip_space();
            const std::string_view name = token();
            std::string value;
            if (skip_space(); take('=')) {
                skip_space();
                value = rest_.starts_with('"') ? quoted() : std::string(token());
            }
            // RFC 8288 3.3: "occurrences after the first MUST be ignored by parsers."
            if (http::equal_ignoring_case(name, "rel") && !std::exchange(has_relations, true))
                made.relations = std::move(value);
            made.has_anchor = made.has_anchor || http::equal_ignoring_case(name, "anchor");
        }
        if (!rest_.empty() && rest_.front() != ',')
            rest_ = {}; // what follows cannot be told from a parameter of this one
        return made;
    }

private:
    void skip_space() noexcept
    {
        while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t'))
            rest_.remove_prefix(1);
    }

    bool take(char c) noexcept
    {
        const bool there = rest_.starts_with(c);
        rest_.remove_prefix(there ? 1 : 0);
        return there;
    }

    // What stands before the next separator: more than RFC 9110 calls a token, as a value may be an unquoted URL.
    std::string_view token() noexcept
    {
        const std::size_t size = std::min(rest_.find_first_of(" \t=;,\""), rest_.size());
        const std::string_view text = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return text;
    }

    // RFC 9110 5.6.4; one that never ends, ends with the value.
    std::string quoted()
    {
        std::string text;
        rest_.remove_prefix(1);
        while (!rest_.empty() && !take('"')) {
            if (rest_.front() == '\\' && rest_.size() > 1)
                rest_.remove_prefix(1);
            text += rest_.front();
            rest_.remove_prefix(1);
        }
        return text;
    }

    std::string_view rest_;
};

// RFC 8288 2.1.1: relation types are compared without regard to case.
inline bool has_relation(std::string_view relations, std::string_view wanted) noexcept
{
    while (!relations.empty()) {
        if (http::equal_ignoring_case(http::next_part(relations, ' '), wanted))
            return true;
    }
    return false;
}

}

// The targets of the answer's links of relation `rel`, in their order and as they stand: a relative one is to be
// taken against `from.url`. Links with another context than the answer itself (RFC 8288 3.2) are left out, as are those
// with a target longer than 2048 bytes; 32 links are looked at, at most.
[[nodiscard]] inline std::vector<std::string> links(const http::outbound_response& from, std::string_view rel)
{
    std::vector<std::string> targets;
    std::size_t seen = 0;
    for (const auto& [name, value] : from.fields) {
        if (!http::equal_ignoring_case(name, "Link"))
            continue;
        detail::link_reader reader(value);
        while (seen < detail::max_links) {
            const auto link = reader.next();
            if (!link)
                break;
            ++seen;
            const std::string_view target = http::trim(link->target);
            const bool usable = !target.empty() && target.size() <= detail::max_link_target
                                && http::is_field_value(target) && !link->has_anchor;
            if (usable && detail::has_relation(link->relations, rel))
                targets.emplace_back(target);
        }
    }
    return targets;
}

}

#endif
// ---- alos/acme/prover.hpp ----
// Proves control of the names of one order: chooses a challenge for each, publishes the answers, looks at them from
// outside, tells the CA, and waits for its verdict. RFC 8555 7.5, 8.
#ifndef ALOS_ACME_PROVER_HPP
#define ALOS_ACME_PROVER_HPP

// ---- alos/acme/self_check.hpp ----
// Looks at the answer to a challenge the way the CA will, from here: by the name, over the wire. RFC 8555 8.3,
// RFC 8737 3.
#ifndef ALOS_ACME_SELF_CHECK_HPP
#define ALOS_ACME_SELF_CHECK_HPP


#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

namespace detail {

inline constexpr std::chrono::seconds self_check_pause{1};

// What the name resolves to, IPv6 first; an address is itself.
inline awaitable<std::vector<std::string>> addresses_of(environment& world, identifier about)
{
    std::vector<std::string> found;
    if (about.type == identifier_type::ip) {
        found.push_back(about.value);
        co_return found;
    }
    for (const dns::record_type type : {dns::record_type::aaaa, dns::record_type::a}) {
        const auto answer = co_await world.resolve(about.value, type);
        if (!answer)
            continue;
        for (const dns::record& each : answer->records) {
            if (each.type == type)
                found.push_back(each.text);
        }
    }
    co_return found;
}

// Empty when the answer is there.
inline awaitable<std::string> look_by_http(environment& world, posting answer, std::uint16_t port)
{
    const bool is_ipv6 = answer.about.value.find(':') != std::string::npos;
    http::outbound_request request;
    request.url = "http://" + (is_ipv6 ? "[" + answer.about.value + "]" : answer.about.value)
                  + (port == 80 ? "" : ":" + std::to_string(port)) + http01_path(answer.token);
    request.max_body = 4096;
    request.max_redirects = 10;
    request.timeout = std::chrono::seconds(5);
    const std::string url = request.url;
    const auto got = co_await world.fetch(std::move(request));
    if (!got)
        co_return url + ": " + got.error().what;
    if (got->status != 200)
        co_return url + " answers with status " + std::to_string(got->status);
    co_return http::trim(got->body) == answer.key_authorization ? "" : url + " answers something else than this server";
}

inline awaitable<std::string> look_by_tls(environment& world, posting answer, std::uint16_t port)
{
    const std::vector<std::string> addresses = co_await addresses_of(world, answer.about);
    if (addresses.empty())
        co_return answer.about.value + " has no address";
    for (const std::string& each : addresses) {
        tls_probe probe{each, port, tls_alpn_server_name(answer.about.value), "acme-tls/1"};
        const auto leaf = co_await world.probe(std::move(probe));
        if (!leaf)
            co_return leaf.error().what;
        const auto good = answers_tls_alpn(*leaf, answer.about.value, answer.key_authorization);
        if (!good)
            co_return each + ": " + good.error().what;
    }
    co_return "";
}

}

// Empty when all is well; else, tried until `end` and at least once, one sentence with what was seen, where the name leads, and
// where we are.
[[nodiscard]] inline awaitable<std::string> self_check(environment& world, posting answer, std::uint16_t http01_port,
                                                       std::uint16_t tls_alpn01_port, time_point end)
{
    if (answer.type == challenge_type::dns_01)
        co_return ""; // the solver has looked
    const time_point begun = world.now();
    std::string seen;
    for (;;) {
        if (answer.type == challenge_type::http_01)
            seen = co_await detail::look_by_http(world, answer, http01_port);
        else
            seen = co_await detail::look_by_tls(world, answer, tls_alpn01_port);
        if (seen.empty())
            co_return seen;
        const time_point next = world.now() + detail::self_check_pause;
        if (next > end || world.now() < begun) // the clock jumped back
            break;
        co_await world.sleep_until(next);
    }
    const auto join = [](const std::vector<std::string>& all) {
        std::string text;
        for (const std::string& each : all)
            text.append(text.empty() ? "" : ", ").append(each);
        return text.empty() ? std::string("none that are known") : text;
    };
    const std::string there = join(co_await detail::addresses_of(world, answer.about));
    co_return "the answer cannot be seen from here, and perhaps not by the CA: " + seen + "; addresses of "
        + answer.about.value + ": " + there + "; addresses of this machine: " + join(world.local_addresses());
}

}

#endif

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <exception>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// When to look again at something that the CA works on: as it says, else after a tenth of a second, then ever later.
class poll_pause {
public:
    [[nodiscard]] time_point next(time_point now, std::optional<std::chrono::seconds> retry_after) noexcept
    {
        const std::chrono::milliseconds own = std::exchange(own_, std::min<std::chrono::milliseconds>(own_ * 2, longest));
        return now + (retry_after ? std::max<std::chrono::milliseconds>(*retry_after, own) : own);
    }

private:
    static constexpr std::chrono::seconds longest{10};
    std::chrono::milliseconds own_{100};
};

// RFC 8555 8.3, 8.4, RFC 8737 3, RFC 8738 7: whether a challenge of that type can prove that name.
[[nodiscard]] inline bool can_prove(const config& by, challenge_type type, const identifier& about) noexcept
{
    if (type == challenge_type::dns_01)
        return by.dns && about.type == identifier_type::dns;
    return !about.value.starts_with("*.");
}

// Fails when no challenge of the configuration can prove that name, whatever the CA offers.
[[nodiscard]] inline outcome<> check_provable(const config& by, const identifier& about)
{
    if (std::ranges::any_of(by.challenges, [&](challenge_type each) { return can_prove(by, each, about); }))
        return {};
    const std::string cure = about.type == identifier_type::ip
                                 ? "an address is proven by http-01 or tls-alpn-01; add one of them to `challenges`"
                             : about.value.starts_with("*.")
                                 ? "a wildcard is proven by dns-01 only; set `dns`, and leave dns-01 in `challenges`"
                                 : "nothing in `challenges` can prove it; add http-01 or tls-alpn-01, or set `dns`";
    return failure{errc::bad_configuration, about.value + ": " + cure};
}

// The same for all names of one certificate; what is no name is not looked at.
[[nodiscard]] inline outcome<> check_provable(const config& by, const certificate_names& wanted)
{
    for (const std::string& text : wanted.names) {
        const auto name = identifier_of(text);
        auto provable = name ? check_provable(by, *name) : outcome<>();
        if (!provable)
            return provable;
    }
    return {};
}

// Why names were not proven.
struct unproven {
    refusal why;
    bool try_another_way = false; // a new order may be proven by another challenge
    bool order_is_lost = false;
};

[[noreturn]] inline void throw_exception_from_error(const unproven& no, const boost::source_location& where)
{
    throw_exception_from_error(no.why, where);
}

// Called with every step, in one sentence.
using step_teller = std::function<void(const std::string&)>;

// Of one issuance. It remembers which challenges failed for which name.
class prover {
public:
    // `ca`, `answers` and `allowed` outlive it.
    prover(client& ca, signer by, board& answers, std::shared_ptr<const config> settings, allowance& allowed,
           time_point deadline, step_teller tell)
        : ca_(ca), by_(std::move(by)), board_(answers), settings_(std::move(settings)), allowed_(allowed),
          deadline_(deadline), tell_(std::move(tell))
    {
    }

    // Every answer is taken away again, whatever happened.
    [[nodiscard]] awaitable<boost::system::result<void, unproven>> prove(order asked)
    {
        std::vector<proof> proofs;
        std::exception_ptr thrown;
        boost::system::result<void, unproven> done;
        try {
            done = co_await attempt(std::move(asked), proofs);
        } catch (...) { // cancelled, or out of memory
            thrown = std::current_exception();
        }
        const auto undisturbed = boost::asio::disable_cancellation();
        co_await boost::asio::this_coro::reset_cancellation_state(undisturbed);
        for (proof& each : proofs) {
            if (each.is_posted) {
                const auto gone = co_await board_.take_down(each.answer, settings_->dns);
                if (!gone)
                    tell_("clean-up of " + each.answer.about.value + ": " + gone.error().what);
            }
        }
        if (!done && !thrown)
            co_await deactivate(proofs);
        const auto disturbed = boost::asio::enable_terminal_cancellation();
        co_await boost::asio::this_coro::reset_cancellation_state(disturbed);
        if (thrown)
            std::rethrow_exception(thrown);
        co_return done;
    }

private:
    static constexpr std::chrono::seconds self_check_time{10};

    // One authorization on its way.
    struct proof {
        std::string url;
        authorization state;
        authorization offered; // as it was before it was answered: an invalid one may list only what failed
        posting answer;
        std::string challenge_url;
        bool is_accepted = false; // by an attempt before this one
        bool is_posted = false;
    };

    [[nodiscard]] environment& world() const noexcept { return ca_.world(); }

    unproven stop(std::string what, failure_class kind, bool order_is_lost = false) const
    {
        return {{kind, "authorization: " + ca_.ca().directory + ": " + std::move(what)}, false, order_is_lost};
    }

    // `proofs` is what there is to clean up when this ends.
    [[nodiscard]] awaitable<boost::system::result<void, unproven>> attempt(order asked, std::vector<proof>& proofs)
    {
        for (const std::string& url : asked.authorizations) {
            auto read = co_await read_authorization(url);
            if (!read)
                co_return unproven{std::move(read.error())};
            const identifier about = ordered_identifier(*read);
            if (std::ranges::count(asked.identifiers, about) == 0)
                co_return stop("it asks for " + about.value + ", which is not in the order", failure_class::transient,
                               true);
            // RFC 8555 7.1.4: one from an earlier order may still be valid.
            if (read->status == authorization_status::valid)
                continue;
            if (read->status != authorization_status::pending)
                co_return stop("that of " + about.value + " is " + std::string(name_of(read->status)),
                               failure_class::transient, true);
            const challenge* const chosen = choose(*read, about);
            if (!chosen)
                co_return stop("none of the challenges for " + about.value + " (" + offered(*read)
                                   + ") can be answered; allow another one in `challenges`, or set `dns`",
                               failure_class::permanent, true);
            proof next{.url = url, .state = *read, .offered = *read, .answer = {}, .challenge_url = chosen->url,
                       .is_accepted = chosen->status != challenge_status::pending};
            next.answer = {*type_of(chosen->type), about, chosen->token,
                           key_authorization(chosen->token, by_.key.thumbprint())};
            proofs.push_back(std::move(next));
        }
        if (!proofs.empty() && allowed_.failed_validations.level(world().now()) == 0) {
            unproven wait = stop("as many validations failed as a CA allows in an hour", failure_class::throttled);
            wait.why.retry_after = std::chrono::minutes(10);
            co_return wait;
        }
        for (proof& each : proofs) {
            tell_("publishing the answer to " + std::string(name_of(each.answer.type)) + " for "
                  + each.answer.about.value);
            each.is_posted = true; // from now on there may be something to take away
            const auto posted = co_await board_.post(each.answer, settings_->dns);
            if (!posted)
                co_return stop(each.answer.about.value + ": " + posted.error().what, failure_class::transient);
        }
        if (settings_->self_check) {
            // For all names together: behind some routers none can be seen from here.
            const time_point end = world().now() + self_check_time;
            for (const proof& each : proofs) {
                if (&each == &proofs.front() || world().now() < end)
                    co_await check(each.answer, end);
            }
        }
        for (const proof& each : proofs) {
            if (each.is_accepted)
                continue;
            std::string payload(challenge_payload);
            const auto accepted = co_await ca_.post(each.challenge_url, std::move(payload), by_, "challenge");
            // The answer may be lost though it had effect; the authorization tells.
            if (!accepted && accepted.error().why.status != 0)
                co_return unproven{accepted.error()};
        }
        for (proof& each : proofs) {
            auto verdict = co_await wait_for_verdict(each);
            if (!verdict)
                co_return verdict;
        }
        co_return boost::system::result<void, unproven>();
    }

    [[nodiscard]] awaitable<reply<authorization>> read_authorization(std::string url)
    {
        const auto answer = co_await ca_.post(url, std::string(), by_, "authorization");
        if (!answer)
            co_return answer.error();
        last_pause_ = retry_after(*answer, world().now());
        auto state = parse_authorization(answer->body);
        if (!state)
            co_return refusal{failure_class::transient,
                              "authorization: " + ca_.ca().directory + ": " + state.error().what};
        co_return std::move(*state);
    }

    // RFC 8555 7.5.1: `processing` is no failure.
    [[nodiscard]] awaitable<boost::system::result<void, unproven>> wait_for_verdict(proof& of)
    {
        poll_pause pause;
        for (;;) {
            auto read = co_await read_authorization(of.url);
            if (!read)
                co_return unproven{std::move(read.error())};
            of.state = std::move(*read);
            if (of.state.status == authorization_status::valid)
                co_return boost::system::result<void, unproven>();
            if (of.state.status != authorization_status::pending)
                co_return failed(of);
            const auto next = pause.next(world().now(), last_pause_);
            if (next > deadline_)
                co_return stop("that of " + of.answer.about.value
                                   + " is still pending; the next attempt goes on with it",
                               failure_class::transient);
            co_await world().sleep_until(next);
        }
    }

    // The CA looked, and did not find what it wanted.
    unproven failed(const proof& of)
    {
        const identifier& about = of.answer.about;
        problem why;
        for (const challenge& each : of.state.challenges) {
            if (each.error && each.url == of.challenge_url)
                why = *each.error;
        }
        unproven no = stop(std::string(name_of(of.answer.type)) + " for " + about.value + " failed: " + describe(why)
                               + "; " + std::string(cure_of(why)),
                           class_of(why), true);
        no.why.why = why;
        failed_.insert({about, of.answer.type});
        static_cast<void>(allowed_.failed_validations.take(world().now()));
        // What says no to the name says so whatever the challenge is.
        no.try_another_way = no.why.kind != failure_class::permanent && no.why.kind != failure_class::throttled
                             && choose(of.offered, about) != nullptr
                             && allowed_.failed_validations.level(world().now()) > 0;
        return no;
    }

    static std::optional<challenge_type> type_of(std::string_view name) noexcept
    {
        for (const challenge_type each :
             {challenge_type::http_01, challenge_type::tls_alpn_01, challenge_type::dns_01}) {
            if (name_of(each) == name)
                return each;
        }
        return std::nullopt;
    }

    // The first of our types that the CA offers, fits, and did not fail before; null if there is none.
    [[nodiscard]] const challenge* choose(const authorization& from, const identifier& about) const
    {
        for (const challenge_type type : settings_->challenges) {
            if (!can_prove(*settings_, type, about) || failed_.contains({about, type}))
                continue;
            for (const challenge& each : from.challenges) {
                if (each.type == name_of(type) && !each.url.empty() && is_token(each.token))
                    return &each;
            }
        }
        return nullptr;
    }

    static std::string offered(const authorization& from)
    {
        std::string all;
        for (const challenge& each : from.challenges)
            all.append(all.empty() ? "" : ", ").append(each.type);
        return all;
    }

    // Says what the CA will probably see; that is no reason not to ask it.
    [[nodiscard]] awaitable<> check(posting answer, time_point end)
    {
        const std::string seen =
            co_await self_check(world(), answer, settings_->http01_port, settings_->tls_alpn01_port, end);
        if (!seen.empty())
            tell_("warning: " + seen);
    }

    // RFC 8555 7.5.2: what stays pending would count against limits. Best effort.
    [[nodiscard]] awaitable<> deactivate(const std::vector<proof>& proofs)
    {
        for (const proof& each : proofs) {
            if (each.state.status != authorization_status::pending || world().now() > deadline_)
                continue;
            std::string payload(deactivation_payload);
            static_cast<void>(co_await ca_.post(each.url, std::move(payload), by_, "authorization"));
        }
    }

    client& ca_;
    const signer by_;
    board& board_;
    const std::shared_ptr<const config> settings_;
    allowance& allowed_;
    const time_point deadline_;
    const step_teller tell_;
    std::set<std::pair<identifier, challenge_type>> failed_;
    std::optional<std::chrono::seconds> last_pause_;
};

}

#endif
// ---- alos/crypto/botan_csr.hpp ----
// Certificate requests (RFC 2986) as CAs want them by ACME: no subject, the names in subjectAltName, nothing else.
#ifndef ALOS_CRYPTO_BOTAN_CSR_HPP
#define ALOS_CRYPTO_BOTAN_CSR_HPP


#include <algorithm>
#include <span>
#include <string>

namespace alos::inline v0 {

namespace detail {

inline constexpr auto oid_extension_request = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e);
inline constexpr auto oid_rsa_sha256 = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b);

// RFC 5280 4.2.1.6: a dNSName is an IA5String; as a CA reads it, it has no blanks either.
inline bool is_requestable(std::string_view name) noexcept
{
    const auto is_printable = [](char c) { return c > 0x20 && c < 0x7f; };
    return !name.empty() && name.size() <= 253 && std::ranges::all_of(name, is_printable);
}

// RFC 2986 4.1: the extensions asked for, as an attribute (RFC 2985 5.4.2).
inline void write_requested_names(byte_writer& out, std::span<const std::string> dns_names,
                                  std::span<const byte_vector> addresses)
{
    byte_vector names;
    byte_writer inner(names);
    inner.nested(der::sequence, [&] {
        for (const std::string& name : dns_names)
            inner.value(der::context(2), as_bytes(name));
        for (const byte_vector& address : addresses)
            inner.value(der::context(7), address);
    });
    out.nested(der::sequence, [&] {
        out.value(der::object_identifier, oid_extension_request);
        out.nested(der::set, [&] {
            out.nested(der::sequence, [&] { write_extension(out, oid_subject_alt_name, false, names); });
        });
    });
}

inline void write_request_algorithm(byte_writer& out, signature_scheme scheme)
{
    if (scheme != signature_scheme::rsa_pkcs1_sha256)
        return write_algorithm(out, scheme);
    out.nested(der::sequence, [&] {
        out.value(der::object_identifier, oid_rsa_sha256);
        out.value(der::null, {});
    });
}

}

// RFC 2986 4: a request in DER for these names, which `key` signs. `dns_names` as A-labels, `addresses` of 4 or 16
// bytes each.
[[nodiscard]] inline outcome<byte_vector> make_csr(const private_key& key, std::span<const std::string> dns_names,
                                                   std::span<const byte_vector> addresses = {})
{
    if (dns_names.empty() && addresses.empty())
        return failure{errc::bad_name, "a certificate request needs a name; give one"};
    for (const std::string& name : dns_names)
        if (!detail::is_requestable(name))
            return failure{errc::bad_name, "a name of the certificate request is empty, too long, or not in ASCII; "
                                           "write it like www.example.com, and other alphabets as xn-- labels"};
    for (const byte_vector& address : addresses)
        if (address.size() != 4 && address.size() != 16)
            return failure{errc::bad_name, "an address of the certificate request has neither 4 nor 16 bytes"};
    try {
        const byte_vector public_key = key.public_key_info();
        const auto scheme = document_scheme_of(read_public_key(public_key));
        if (!scheme)
            return failure{errc::unsupported_key, "no CA takes a certificate request by a key of this type; use "
                                                  "ECDSA P-256 or P-384, or RSA"};
        byte_vector body;
        detail::byte_writer out(body);
        out.nested(der::sequence, [&] {
            out.small_integer(0); // v1
            out.value(der::sequence, {});
            out.raw(public_key);
            out.nested(der::context_constructed(0),
                       [&] { detail::write_requested_names(out, dns_names, addresses); });
        });
        const auto signature = key.sign_document(*scheme, body, ecdsa_form::der);
        if (!signature)
            return failure{signature.error(), "the certificate request cannot be signed with this key; it is damaged, "
                                              "make a new one"};
        byte_vector der;
        detail::byte_writer whole(der);
        whole.nested(der::sequence, [&] {
            whole.raw(body);
            detail::write_request_algorithm(whole, *scheme);
            whole.bits(*signature);
        });
        return der;
    } catch (const std::exception& error) {
        return failure{errc::bad_private_key, std::string("a certificate request cannot be made: ") + error.what()};
    }
}

}

#endif

#include <boost/asio/this_coro.hpp>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

struct issue_request {
    std::string id; // of the certificate
    std::vector<identifier> names;
    key_kind key = key_kind::ecdsa_p256;
    std::string profile;
    std::string preferred_chain;
    std::string replaces; // RFC 9773 5; empty: none
    bool is_asked_for = false; // by a person: the CA may say no, we do not
    time_point deadline; // of this attempt; an order that is not done then is gone on with by the next one
};

struct issued {
    std::string chain_pem;
    secret_text key_pem;
    cert::credential_ptr credential; // of both
    std::string account;
};

// One attempt. It keeps the order and its key in the storage, so that another process can go on after a crash.
class issuance {
public:
    // `ca`, `kept`, `answers` and `allowed` outlive it.
    issuance(client& ca, storage& kept, board& answers, std::shared_ptr<const config> settings, allowance& allowed,
             signer by, issue_request wanted, step_teller tell)
        : ca_(ca), storage_(kept), prover_(ca, by, answers, std::move(settings), allowed, wanted.deadline, tell),
          allowed_(allowed), by_(std::move(by)),
          wanted_(std::move(wanted)), tell_(std::move(tell))
    {
    }

    [[nodiscard]] awaitable<reply<issued>> run()
    {
        auto found = co_await resume();
        if (!found)
            co_return found.error();
        for (std::optional<placed> at = std::move(*found);; at.reset()) {
            if (!at) {
                const auto later = allowed_.certificates.next(world().now());
                if (later && is_counted())
                    co_return too_many(*later);
                auto fresh = co_await place_order();
                if (!fresh)
                    co_return fresh.error();
                at.emplace(std::move(*fresh));
            }
            bool may_go_another_way = false;
            auto done = co_await complete(*at, may_go_another_way);
            if (done || !may_go_another_way)
                co_return done;
            // The authorization is invalid now; only a new order makes another one (RFC 8555 7.1.6).
            tell_(done.error().what + "; trying another challenge");
        }
    }

    // After success or when its order cannot lead to a certificate any more.
    [[nodiscard]] awaitable<> forget_order()
    {
        static_cast<void>(co_await storage_.erase(document()));
        static_cast<void>(co_await storage_.erase(document() + ".key"));
    }

private:
    // An order at the CA with the key that its certificate will have.
    struct placed {
        std::string url;
        order state;
        private_key_ptr key;
    };

    [[nodiscard]] std::string document() const { return "order/" + wanted_.id; }

    refusal refused(std::string_view phase, std::string what) const
    {
        return {failure_class::transient, std::string(phase) + ": " + ca_.ca().directory + ": " + std::move(what)};
    }

    [[nodiscard]] bool is_counted() const noexcept { return wanted_.replaces.empty() && !wanted_.is_asked_for; }

    refusal too_many(time_point later) const
    {
        refusal wait = refused("request", "as many certificates were issued for these names as a CA allows");
        wait.kind = failure_class::throttled;
        wait.retry_after = std::chrono::ceil<std::chrono::seconds>(later - world().now());
        return wait;
    }

    [[nodiscard]] environment& world() const noexcept { return ca_.world(); }

    // The order of an attempt before this one, if it can still lead somewhere.
    [[nodiscard]] awaitable<reply<std::optional<placed>>> resume()
    {
        const auto kept = co_await storage_.load(document());
        if (!kept || !kept->has_value())
            co_return std::optional<placed>();
        const auto record = parse_order_record(as_text((*kept)->text));
        const auto pem = co_await storage_.load(document() + ".key");
        private_key_ptr key;
        if (pem && pem->has_value())
            key = read_key(as_text((*pem)->text));
        const bool fits = record && key && record->directory == ca_.ca().directory && record->account == by_.url
                          && same_identifiers(record->names, wanted_.names);
        if (fits) {
            auto state = co_await read_order(record->url);
            // The CA cannot be asked: the order stays for the next attempt.
            if (!state && state.error().why.status == 0)
                co_return state.error();
            const bool is_open = state && state->status != order_status::invalid
                                 && (!state->expires || *state->expires > world().now());
            if (is_open && same_identifiers(state->identifiers, wanted_.names)) {
                tell_("going on with order " + record->url);
                co_return placed{record->url, std::move(*state), std::move(key)};
            }
        }
        co_await forget_order();
        co_return std::optional<placed>();
    }

    static private_key_ptr read_key(std::string_view pem)
    {
        const auto blocks = parse_pem(pem);
        if (!blocks || blocks->empty())
            return nullptr;
        const auto key = parse_private_key(blocks->front(), {}, {});
        return key ? *key : nullptr;
    }

    // RFC 8555 7.4.
    [[nodiscard]] awaitable<reply<placed>> place_order()
    {
        const auto offered = co_await ca_.check_profile(wanted_.profile);
        if (!offered)
            co_return offered.error();
        auto key = private_key::generate(wanted_.key);
        if (!key)
            co_return refused("key", key.error().what);
        std::string payload = new_order_payload(wanted_.names, wanted_.profile, wanted_.replaces);
        auto answer = co_await ca_.post(&directory::new_order, std::move(payload), by_, "order");
        // RFC 9773 5: a predecessor that this CA does not know, or that has a successor, must not stop the order.
        if (!answer && !wanted_.replaces.empty() && answer.error().why.status >= 400 && answer.error().why.status < 500
            && answer.error().kind != failure_class::throttled) {
            tell_("an order that replaces a certificate is refused: " + describe(answer.error().why)
                  + "; it is repeated without");
            wanted_.replaces.clear();
            payload = new_order_payload(wanted_.names, wanted_.profile);
            answer = co_await ca_.post(&directory::new_order, std::move(payload), by_, "order");
        }
        if (!answer)
            co_return answer.error();
        const std::string url = url_in(*answer, answer->field("Location"));
        auto state = parse_order(answer->body);
        if (!state)
            co_return refused("order", state.error().what);
        if (url.empty())
            co_return refused("order", "the answer names no order URL");
        if (!same_identifiers(state->identifiers, wanted_.names))
            co_return refused("order", "the order is for other names than were asked for");
        tell_("order " + url + (state->replaces.empty() ? "" : ", which replaces " + state->replaces));

        const order_record record{ca_.ca().directory, by_.url, url, wanted_.replaces, wanted_.names};
        const std::string text = to_json(record);
        secret_text pem = (*key)->to_pem();
        const auto kept_key = co_await storage_.store(document() + ".key", std::move(pem), std::nullopt);
        if (!kept_key)
            co_return refused("order", kept_key.error().what);
        secret_text kept(text.begin(), text.end());
        const auto kept_order = co_await storage_.store(document(), std::move(kept), std::nullopt);
        if (!kept_order)
            co_return refused("order", kept_order.error().what);
        co_return placed{url, std::move(*state), std::move(*key)};
    }

    // From an order in any state to its certificate.
    [[nodiscard]] awaitable<reply<issued>> complete(placed& at, bool& may_go_another_way)
    {
        if (at.state.status == order_status::pending) {
            auto proven = co_await prover_.prove(at.state);
            if (!proven) {
                may_go_another_way = proven.error().try_another_way;
                if (proven.error().order_is_lost)
                    co_await forget_order();
                co_return std::move(proven.error().why);
            }
            auto ready = co_await wait_while(at, order_status::pending);
            if (!ready)
                co_return ready.error();
        }
        if (at.state.status == order_status::ready) {
            auto finalized = co_await finalize(at);
            if (!finalized)
                co_return finalized.error();
        }
        if (at.state.status == order_status::processing) {
            auto valid = co_await wait_while(at, order_status::processing);
            if (!valid)
                co_return valid.error();
        }
        if (at.state.status != order_status::valid) {
            co_await forget_order();
            const problem why = at.state.error.value_or(problem{});
            refusal no = refused("order", at.state.error ? describe(why) + "; " + std::string(cure_of(why))
                                                         : "it is " + std::string(name_of(at.state.status)));
            no.kind = at.state.error ? class_of(why) : failure_class::transient;
            no.why = why;
            co_return no;
        }
        auto done = co_await download(at);
        co_return done;
    }

    [[nodiscard]] awaitable<reply<order>> read_order(std::string url)
    {
        const auto answer = co_await ca_.post(url, std::string(), by_, "order");
        if (!answer)
            co_return answer.error();
        last_pause_ = retry_after(*answer, world().now());
        auto state = parse_order(answer->body);
        if (!state)
            co_return refused("order", state.error().what);
        co_return std::move(*state);
    }

    // RFC 8555 7.5.1, 7.4: the order is read until it is in another state.
    [[nodiscard]] awaitable<reply<>> wait_while(placed& at, order_status state)
    {
        poll_pause pause;
        for (;;) {
            auto now = co_await read_order(at.url);
            if (!now)
                co_return now.error();
            at.state = std::move(*now);
            if (at.state.status != state)
                co_return reply<>();
            const auto next = pause.next(world().now(), last_pause_);
            if (next > wanted_.deadline) {
                // All names are proven and it does not go on: a new order may. One that is being issued is waited for.
                if (state == order_status::pending)
                    co_await forget_order();
                co_return out_of_time(name_of(state));
            }
            co_await world().sleep_until(next);
        }
    }

    refusal out_of_time(std::string_view state) const
    {
        return refused("order", "it is still " + std::string(state)
                                    + "; the next attempt goes on with it, there is nothing to do");
    }

    // RFC 8555 7.4: the request for the certificate.
    [[nodiscard]] awaitable<reply<>> finalize(placed& at)
    {
        std::vector<std::string> names;
        std::vector<byte_vector> addresses;
        for (const identifier& each : wanted_.names) {
            if (each.type == identifier_type::dns) {
                names.push_back(each.value);
            } else {
                const cert::ip_address address(each.value);
                addresses.emplace_back(address.bytes().begin(), address.bytes().end());
            }
        }
        const auto csr = make_csr(*at.key, names, addresses);
        if (!csr)
            co_return refused("request", csr.error().what);
        // A certificate that replaces another one in time (RFC 9773 5) is not refused for its number, but it counts.
        const auto later = allowed_.certificates.take(world().now());
        if (later && is_counted())
            co_return too_many(*later);
        tell_("asking for the certificate");
        std::string payload = finalize_payload(*csr);
        const std::string url = at.state.finalize;
        const auto answer = co_await ca_.post(url, std::move(payload), by_, "request");
        // Its answer may be lost though it had effect, and what it says of the order is only half of it: the order
        // itself tells.
        if (!answer && answer.error().why.status != 0 && answer.error().why.type != "orderNotReady") {
            if (answer.error().kind == failure_class::permanent)
                co_await forget_order();
            co_return answer.error();
        }
        auto state = co_await read_order(at.url);
        if (!state)
            co_return state.error();
        at.state = std::move(*state);
        if (at.state.status == order_status::ready || at.state.status == order_status::pending)
            co_return answer ? refused("request", "the order does not go on") : answer.error();
        co_return reply<>();
    }

    // RFC 8555 7.4.2: the chain, or another one that ends where it is preferred.
    [[nodiscard]] awaitable<reply<issued>> download(placed& at)
    {
        const std::string url = at.state.certificate;
        auto answer = co_await ca_.post(url, std::string(), by_, "certificate");
        if (!answer)
            co_return answer.error();
        std::string chain = answer->body;
        if (!wanted_.preferred_chain.empty() && !ends_as_preferred(chain)) {
            bool found = false;
            for (const std::string& each : links(*answer, "alternate")) {
                const std::string other = url_in(*answer, each);
                if (other.empty())
                    continue;
                auto alternate = co_await ca_.post(other, std::string(), by_, "certificate");
                if (alternate && ends_as_preferred(alternate->body)) {
                    chain = std::move(alternate->body);
                    found = true;
                    break;
                }
            }
            if (!found)
                tell_("no chain of this CA ends at '" + wanted_.preferred_chain + "'; its default is used");
        }
        secret_text key_pem = at.key->to_pem();
        auto made = cert::make_credential(chain, as_text(key_pem), {.from = cert::source::acme});
        std::string fault = made ? fault_of(**made) : made.error().what;
        if (!fault.empty()) {
            co_await forget_order();
            refusal useless = refused("certificate", "what came cannot be used: " + fault);
            useless.kind = failure_class::permanent; // each one counts at the CA, which will not do better at once
            co_return useless;
        }
        co_return issued{std::move(chain), std::move(key_pem), std::move(*made), by_.url};
    }

    // Whether the topmost certificate of a chain is issued by the preferred authority.
    [[nodiscard]] bool ends_as_preferred(std::string_view chain) const
    {
        const auto blocks = parse_pem(chain);
        if (!blocks || blocks->empty())
            return false;
        const auto der = decode_pem(blocks->back());
        if (!der)
            return false;
        const auto top = parse_certificate(byte_vector(der->begin(), der->end()));
        return top && common_name_of(top->issuer) == wanted_.preferred_chain;
    }

    // What is wrong with a certificate whose key and chain fit; empty if nothing is.
    [[nodiscard]] std::string fault_of(const cert::credential& one) const
    {
        std::vector<identifier> names;
        for (const auto* list : {&one.about.names, &one.about.addresses}) {
            for (const std::string& each : *list) {
                if (auto name = identifier_of(each))
                    names.push_back(std::move(*name));
            }
        }
        const time_point now = world().now();
        if (!same_identifiers(names, wanted_.names))
            return "it is for other names than were asked for";
        if (one.about.not_before > now + std::chrono::minutes(5))
            return "it is not valid yet; check the clock of this machine";
        return one.about.not_after <= now ? "it has expired; check the clock of this machine" : std::string();
    }

    client& ca_;
    storage& storage_;
    prover prover_;
    allowance& allowed_;
    const signer by_;
    issue_request wanted_;
    const step_teller tell_;
    std::optional<std::chrono::seconds> last_pause_;
};

}

#endif

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// One certificate of the configuration and where it stands. Changed on the manager's thread only.
struct managed_certificate {
    // From the configuration.
    std::string id;     // in the storage: "example.com.ecdsa-p256"
    std::string domain; // the first name, under which it is served
    std::vector<identifier> names;
    key_kind key = key_kind::ecdsa_p256;
    std::string email;
    std::string configuration; // what all settings that matter to it come to

    // From the storage.
    certificate_state state;
    generation_record about;
    cert::credential_ptr credential; // null: there is none yet
    std::uint64_t generation = 0;

    // Of this process.
    bool is_busy = false;
    bool is_removed = false;
    time_point not_before{}; // when somebody else works on it, or too much was asked of the CA already
    std::optional<refusal> last_refusal; // of the last attempt; nothing after a success

    [[nodiscard]] std::optional<validity> life() const
    {
        if (!credential)
            return std::nullopt;
        return validity{credential->about.not_before, credential->about.not_after};
    }
};

// Called with what happened.
using event_teller = std::function<void(event)>;

class renewer {
public:
    // All outlive it. `served` is called when a certificate has another credential than before.
    renewer(environment& world, storage& kept, board& answers, event_teller tell,
            std::function<void(managed_certificate&)> served)
        : world_(world), storage_(kept), board_(answers), tell_(std::move(tell)), served_(std::move(served))
    {
    }

    // From now on; attempts under way end with what they began with. There is at least one CA. Fails when one of them
    // cannot be asked as the settings are; the others can.
    [[nodiscard]] outcome<> configure(std::shared_ptr<const config> settings)
    {
        for (auto& each : authorities_)
            retired_.push_back(std::move(each));
        authorities_.clear();
        const auto tell = [this](event_kind kind, std::string what) { tell_({kind, {}, std::move(what)}); };
        for (const certificate_authority& each : settings->cas)
            authorities_.push_back(std::make_unique<authority>(world_, storage_, each, tell));
        settings_ = std::move(settings);
        outcome<> done;
        for (const auto& each : authorities_) {
            if (auto prepared = each->prepare(); !prepared && done)
                done = prepared;
        }
        return done;
    }

    // Reads what the storage has. A configuration that is not that of the last attempt is tried at once.
    [[nodiscard]] awaitable<> load(managed_certificate& of)
    {
        co_await load_certificate(of);
        const auto kept = co_await storage_.load("state/" + of.id);
        if (kept && kept->has_value()) {
            auto state = parse_certificate_state(as_text((*kept)->text));
            if (state) {
                of.state = std::move(*state);
            } else {
                const auto aside = co_await storage_.move_aside("state/" + of.id);
                tell_({event_kind::unreadable, of.id,
                       "its state cannot be read and is begun anew; the old one is in "
                           + (aside ? *aside : std::string("its place"))});
            }
        }
        adopt_settings(of);
    }

    // When there is something to do for it.
    [[nodiscard]] time_point due(const managed_certificate& of) const
    {
        time_point when = renewal_due(of);
        if (of.credential && of.state.next_check < when)
            when = of.state.next_check;
        return std::max(when, of.not_before);
    }

    // When it will be renewed, or tried again; the epoch: now.
    [[nodiscard]] time_point renewal_due(const managed_certificate& of) const
    {
        time_point after_failure = of.state.failures > 0 ? of.state.next_attempt : time_point();
        // Nobody waits for longer: then the clock was ahead when that was written.
        if (after_failure > world_.now() + std::chrono::days(8))
            after_failure = {};
        const auto life = of.life();
        if (!life || is_forced(of))
            return after_failure;
        time_point when = next_renewal(*life, of.state.advice, {}, of.state.spread);
        // Note: obtained in the future says that a clock was wrong, then or now.
        if (of.about.obtained <= world_.now())
            when = std::max(when, std::min(cool_down_end(of.about.obtained, *life), latest_renewal(*life)));
        return std::max(when, after_failure);
    }

    // RFC 8555 7.6: by the account that ordered it, else by its own key.
    [[nodiscard]] awaitable<reply<>> revoke(managed_certificate& of, unsigned reason)
    {
        authority* const from = authority_of(of.about.directory);
        if (!from)
            co_return refusal{failure_class::permanent, "revocation: " + of.about.directory
                                                            + " issued it, and is no longer in `cas`; add it"};
        auto by = co_await from->account(of.email).open();
        if (!by)
            co_return by.error();
        const std::string payload = revoke_payload(of.credential->chain.front(), reason);
        auto done = co_await from->ca().post(&directory::revoke_cert, payload, *by, "revocation");
        if (!done && done.error().why.type == "unauthorized") {
            const auto kept = co_await storage_.load_certificate(of.id);
            const auto key = kept && kept->has_value() ? account_key::from_pem(as_text((*kept)->key_pem))
                                                       : outcome<account_key>(failure{errc::bad_private_key, {}});
            if (key) {
                const signer itself{*key};
                done = co_await from->ca().post(&directory::revoke_cert, payload, itself, "revocation");
            }
        }
        if (!done && done.error().why.type != "alreadyRevoked")
            co_return done.error();
        tell_({event_kind::revoked, of.id, "revoked at " + from->directory_url()});
        co_return reply<>();
    }

    // Does what is due.
    [[nodiscard]] awaitable<> work(managed_certificate& of)
    {
        if (of.credential && of.state.next_check <= world_.now() && !is_due(of)) {
            co_await ask_for_window(of);
            co_await save(of);
        }
        if (is_due(of))
            co_await attempt(of);
    }

    // A new certificate, whatever the time.
    void force(managed_certificate& of, std::string why)
    {
        of.state.forced = std::max<std::uint64_t>(of.generation, 1);
        of.state.forced_why = std::move(why);
        of.state.failures = 0;
        of.state.next_attempt = {};
        of.not_before = {};
    }

    // Another process may have renewed it. Whether there is another certificate now.
    [[nodiscard]] awaitable<bool> refresh(managed_certificate& of)
    {
        const std::uint64_t before = of.generation;
        co_await load_certificate(of);
        const auto kept = co_await storage_.load("state/" + of.id);
        if (kept && kept->has_value()) {
            if (auto state = parse_certificate_state(as_text((*kept)->text))) {
                const bool is_forced_here = is_forced(of) && of.generation == before && of.state.failures == 0;
                const std::string why = of.state.forced_why;
                of.state = std::move(*state);
                if (is_forced_here)
                    force(of, why);
            }
        }
        adopt_settings(of);
        if (of.generation == before)
            co_return false;
        tell_({event_kind::loaded, of.id, "another process renewed it; generation " + std::to_string(of.generation)});
        served_(of);
        co_return true;
    }

private:
    // As long as a slow CA needs, but not so long that nothing is left for another attempt.
    [[nodiscard]] std::chrono::milliseconds attempt_time(const std::optional<validity>& life) const
    {
        constexpr std::chrono::milliseconds longest = std::chrono::minutes(10);
        if (!life)
            return longest;
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(life->not_after - world_.now());
        return std::clamp<std::chrono::milliseconds>(left / 5, std::chrono::seconds(30), longest);
    }

    [[nodiscard]] double random() const
    {
        std::array<std::uint8_t, 8> bytes{};
        world_.random(bytes);
        std::uint64_t number = 0;
        for (const std::uint8_t each : bytes)
            number = number << 8 | each;
        return static_cast<double>(number >> 11) * 0x1p-53;
    }

    [[nodiscard]] bool is_forced(const managed_certificate& of) const noexcept
    {
        return of.state.forced != 0 && of.state.forced >= of.generation;
    }

    [[nodiscard]] bool is_due(const managed_certificate& of) const
    {
        const time_point now = world_.now();
        return renewal_due(of) <= now && of.not_before <= now;
    }

    // What is in the storage now; a broken one leaves what is served.
    [[nodiscard]] awaitable<> load_certificate(managed_certificate& of)
    {
        auto kept = co_await storage_.load_certificate(of.id);
        if (!kept) {
            tell_({event_kind::unreadable, of.id, kept.error().what});
            co_return;
        }
        if (!kept->has_value() || (*kept)->generation == of.generation)
            co_return;
        const bundle& found = **kept;
        auto made = cert::make_credential(found.chain_pem, as_text(found.key_pem), {.from = cert::source::acme});
        if (!made) {
            tell_({event_kind::unreadable, of.id, made.error().what});
            co_return;
        }
        of.credential = std::move(*made);
        of.generation = found.generation;
        of.about = parse_generation_record(found.meta_json);
    }

    void adopt_settings(managed_certificate& of)
    {
        if (of.state.configuration != of.configuration) {
            of.state.configuration = of.configuration;
            of.state.failures = 0;
            of.state.next_attempt = {};
            of.state.directory.clear();
        }
        if (of.state.generation != of.generation) {
            of.state.generation = of.generation;
            of.state.advice.reset();
            of.state.next_check = {};
            of.state.check_failures = 0;
            of.state.spread = random();
        }
        if (of.credential && !is_forced(of) && !same_identifiers(names_in(*of.credential), of.names))
            force(of, "reconfigured");
    }

    static std::vector<identifier> names_in(const cert::credential& one)
    {
        std::vector<identifier> names;
        for (const auto* list : {&one.about.names, &one.about.addresses}) {
            for (const std::string& each : *list) {
                if (auto name = identifier_of(each))
                    names.push_back(std::move(*name));
            }
        }
        return names;
    }

    // A state that cannot be kept is only lost at a restart.
    [[nodiscard]] awaitable<> save(managed_certificate& of)
    {
        const std::string text = to_json(of.state);
        secret_text bytes(text.begin(), text.end());
        static_cast<void>(co_await storage_.store("state/" + of.id, std::move(bytes), std::nullopt));
    }

    [[nodiscard]] std::size_t chosen_authority(const managed_certificate& of) const
    {
        for (std::size_t i = 0; i < authorities_.size() && of.state.failures > 0; ++i) {
            if (authorities_[i]->directory_url() == of.state.directory)
                return i;
        }
        return 0;
    }

    [[nodiscard]] authority* authority_of(const std::string& directory) const
    {
        for (const auto& each : authorities_) {
            if (each->directory_url() == directory)
                return each.get();
        }
        return nullptr;
    }

    // Under the lock of the certificate, which no other process works on meanwhile.
    [[nodiscard]] awaitable<> attempt(managed_certificate& of)
    {
        const auto lock = co_await storage_.try_lock(of.id);
        if (!lock) {
            refusal why{failure_class::transient, "lock: " + lock.error().what};
            why.is_ours = true;
            co_await failed(of, std::move(why));
            co_return;
        }
        if (!lock->has_value()) {
            look_again_later(of);
            co_return;
        }
        // Whoever had the lock before may have done it, or have failed at it.
        static_cast<void>(co_await refresh(of));
        if (is_due(of))
            co_await attempt_locked(of, **lock);
        co_await storage_.unlock(**lock);
    }

    // Whoever has the lock will be done with it in some minutes.
    void look_again_later(managed_certificate& of) const
    {
        std::chrono::milliseconds wait = std::chrono::seconds(10);
        if (const auto life = of.life())
            wait = std::clamp<std::chrono::milliseconds>(lifetime(*life) / 200, std::chrono::seconds(5),
                                                         std::chrono::minutes(1));
        of.not_before = world_.now() + std::chrono::milliseconds(static_cast<std::int64_t>(
                            static_cast<double>(wait.count()) * (0.5 + random())));
    }

    [[nodiscard]] awaitable<> attempt_locked(managed_certificate& of, storage_lock guard)
    {
        const std::size_t index = chosen_authority(of);
        authority& from = *authorities_[index];
        of.state.directory = from.directory_url();
        if (const auto later = co_await from.take_order()) {
            of.not_before = *later;
            tell_({event_kind::progress, of.id, "waiting until more may be asked of " + from.directory_url()});
            co_return;
        }
        auto done = co_await issue(of, from);
        if (!done && done.error().why.type == "accountDoesNotExist") {
            tell_({event_kind::progress, of.id, "the CA has lost the account; it is registered again"});
            static_cast<void>(co_await from.account(of.email).forget());
            done = co_await issue(of, from);
        }
        if (!done) {
            co_await failed(of, std::move(done.error()));
            co_return;
        }
        auto kept = co_await install(of, from, std::move(*done), std::move(guard));
        if (!kept)
            co_await failed(of, std::move(kept.error()));
    }

    [[nodiscard]] awaitable<reply<issued>> issue(managed_certificate& of, authority& from)
    {
        using namespace boost::asio::experimental::awaitable_operators;
        auto by = co_await from.account(of.email).open();
        if (!by)
            co_return by.error();
        issue_request wanted;
        wanted.id = of.id;
        wanted.names = of.names;
        wanted.key = of.key;
        wanted.profile = from.ca().ca().profile;
        wanted.preferred_chain = from.ca().ca().preferred_chain;
        wanted.replaces = predecessor(of, from, *by);
        wanted.is_asked_for = is_forced(of) && of.state.forced_why == "forced";
        wanted.deadline = world_.now() + attempt_time(of.life());
        const time_point end = wanted.deadline;
        const auto step = [this, id = of.id](const std::string& what) { tell_({event_kind::progress, id, what}); };
        const auto life = of.life();
        allowance allowed(of.state.certificates_full_at, of.state.failures_full_at,
                          life ? lifetime(*life) : std::chrono::milliseconds(std::chrono::days(90)));
        issuance one(from.ca(), storage_, board_, settings_, allowed, *by, std::move(wanted), step);
        // Whatever hangs: the lock is not held for longer.
        auto done = co_await (one.run() || world_.sleep_until(end));
        of.state.certificates_full_at = allowed.certificates.full_at();
        of.state.failures_full_at = allowed.failed_validations.full_at();
        if (auto* answer = std::get_if<0>(&done))
            co_return std::move(*answer);
        co_return refusal{failure_class::transient, "order: " + from.directory_url()
                                                        + " took too long; the next attempt goes on with it"};
    }

    // RFC 9773 5: what the CA that issued it may know as replaced; only that CA, and that account.
    [[nodiscard]] std::string predecessor(const managed_certificate& of, const authority& from, const signer& by) const
    {
        const bool is_its = of.credential && of.about.directory == from.directory_url() && of.about.account == by.url
                            && of.state.advice;
        if (!is_its)
            return {};
        const auto id = ari_certificate_id(byte_view(of.credential->chain.front()));
        return id ? *id : std::string();
    }

    // RFC 8555 7.4.2: from the CA's answer to what is served.
    [[nodiscard]] awaitable<reply<>> install(managed_certificate& of, authority& from, issued got, storage_lock guard)
    {
        const time_point now = world_.now();
        const bool must_replace = !of.credential || is_forced(of);
        if (!must_replace && got.credential->about.not_after <= of.credential->about.not_after) {
            co_await forget_order(of);
            co_return refusal{failure_class::transient, "certificate: " + from.directory_url()
                                                            + " issued one that ends before the present one"};
        }
        generation_record about{from.directory_url(), got.account, from.ca().ca().profile, now, of.names,
                                is_forced(of) ? of.state.forced_why : std::string()};
        bundle next{.chain_pem = std::move(got.chain_pem), .key_pem = std::move(got.key_pem),
                    .meta_json = to_json(about)};
        const auto stored = co_await storage_.store_certificate(of.id, std::move(next), of.generation, guard);
        if (!stored) {
            if (stored.error().code == errc::conflict) {
                static_cast<void>(co_await refresh(of));
                co_return reply<>();
            }
            refusal why{failure_class::transient, "storage: " + stored.error().what};
            why.is_ours = true;
            co_return why;
        }
        const bool is_first = of.credential == nullptr;
        of.credential = std::move(got.credential);
        of.generation = *stored;
        of.about = std::move(about);
        of.last_refusal.reset();
        of.not_before = {};
        certificate_state fresh;
        fresh.configuration = of.configuration;
        fresh.certificates_full_at = of.state.certificates_full_at;
        fresh.failures_full_at = of.state.failures_full_at;
        of.state = std::move(fresh);
        adopt_settings(of);
        served_(of);
        co_await save(of);
        co_await forget_order(of);
        tell_({is_first ? event_kind::obtained : event_kind::renewed, of.id,
               (is_first ? "obtained from " : "renewed by ") + from.directory_url() + ", valid until "
                   + format_rfc3339(of.credential->about.not_after)});
        co_return reply<>();
    }

    [[nodiscard]] awaitable<> forget_order(const managed_certificate& of)
    {
        static_cast<void>(co_await storage_.erase("order/" + of.id));
        static_cast<void>(co_await storage_.erase("order/" + of.id + ".key"));
    }

    [[nodiscard]] awaitable<> failed(managed_certificate& of, refusal why)
    {
        const time_point now = world_.now();
        const std::size_t asked = chosen_authority(of);
        ++of.state.failures;
        of.state.last_class = why.kind;
        of.state.last_error = why.what;
        const auto life = of.life();
        const std::size_t next = next_ca(asked, authorities_.size(), why.kind, of.state.failures, life, now);
        // Another CA has not said no yet, and what this one said about waiting is not about that one.
        const bool is_fresh = next != asked && of.state.failures < authorities_.size();
        const auto retry_after = next == asked ? why.retry_after : std::nullopt;
        const failure_class kind = is_fresh ? failure_class::transient : why.kind;
        of.state.directory = authorities_[next]->directory_url();
        // What fails here costs no CA anything, and people mend it.
        const unsigned counted = is_fresh ? 1 : why.is_ours ? std::min(of.state.failures, 2u) : of.state.failures;
        of.state.next_attempt = next_attempt(kind, counted, now, life, retry_after, random());
        co_await save(of);
        tell_({event_kind::renewal_failed, of.id,
               why.what + "; next attempt " + format_rfc3339(of.state.next_attempt)
                   + (next == asked ? "" : " at " + of.state.directory)});
        of.last_refusal = std::move(why);
    }

    // RFC 9773 4.
    [[nodiscard]] awaitable<> ask_for_window(managed_certificate& of)
    {
        const validity life = *of.life();
        authority* const from = authority_of(of.about.directory);
        const auto id = ari_certificate_id(byte_view(of.credential->chain.front()));
        if (!from || !id) {
            check_later(of, window_answer::long_term_error, std::nullopt);
            co_return;
        }
        const auto known = co_await from->ca().find_directory();
        if (!known) {
            check_later(of, window_answer::temporary_error, known.error().retry_after);
            co_return;
        }
        if (known->renewal_info.empty()) {
            of.state.advice.reset();
            of.state.next_check = world_.now() + std::chrono::days(1);
            co_return;
        }
        const std::string base = known->renewal_info;
        std::string url = base + (base.ends_with('/') ? "" : "/") + *id;
        const auto answer = co_await from->ca().get(std::move(url), "renewal information");
        if (!answer) {
            const unsigned status = answer.error().why.status;
            const bool is_lasting = status >= 400 && status < 500 && status != 429;
            check_later(of, is_lasting ? window_answer::long_term_error : window_answer::temporary_error,
                        answer.error().retry_after);
            co_return;
        }
        const auto read = parse_renewal_info(answer->body);
        if (!read) {
            check_later(of, window_answer::long_term_error, std::nullopt);
            co_return;
        }
        const renewal_window window{read->start, read->end};
        const auto before = of.state.advice;
        of.state.advice = suggest(before, window, life, random());
        if (before && of.state.advice && of.state.advice->chosen != before->chosen)
            tell_({event_kind::window_changed, of.id,
                   "the CA wants it renewed between " + format_rfc3339(window.start) + " and "
                       + format_rfc3339(window.end)
                       + (read->explanation_url.empty() ? "" : ", see " + read->explanation_url)});
        // A CA that revokes all that it issues has gone mad, and is not fed.
        const bool is_again = of.about.because == "revoked" && world_.now() < cool_down_end(of.about.obtained, life);
        if (is_revocation(window, life, world_.now()) && !is_forced(of) && !is_again) {
            tell_({event_kind::revoked, of.id, "the CA wants it replaced now: it is revoked, or will be"});
            force(of, "revoked");
        }
        of.state.check_failures = 0;
        check_later(of, window_answer::received, retry_after(*answer, world_.now()));
    }

    void check_later(managed_certificate& of, window_answer last, std::optional<std::chrono::seconds> retry_after)
    {
        if (last == window_answer::temporary_error)
            ++of.state.check_failures;
        const auto next = next_check(last, of.state.check_failures, world_.now(), *of.life(), retry_after, random());
        of.state.next_check = next.value_or(time_point::max());
    }

    environment& world_;
    storage& storage_;
    board& board_;
    std::shared_ptr<const config> settings_;
    std::vector<std::unique_ptr<authority>> authorities_;
    std::vector<std::unique_ptr<authority>> retired_; // somebody may be speaking to them
    const event_teller tell_;
    const std::function<void(managed_certificate&)> served_;
};

}

#endif

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/multiple_exceptions.hpp>
#include <boost/asio/post.hpp>

#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

class manager {
public:
    // `world`, `kept` and what `to` refers to outlive it; `executor` is that of its thread.
    manager(environment& world, storage& kept, host to, event_teller on_event, boost::asio::any_io_executor executor)
        : world_(world), storage_(kept), host_(std::move(to)), on_event_(std::move(on_event)),
          executor_(std::move(executor)), board_(world, kept, host_.http01, host_.certificates),
          renewer_(
              world, kept, board_, [this](event what) { tell(what); },
              [this](managed_certificate& of) { serve({&of}); })
    {
    }

    manager(const manager&) = delete;
    manager& operator=(const manager&) = delete;

    // See service::configure().
    [[nodiscard]] awaitable<outcome<>> configure(config settings)
    {
        if (settings.cas.empty() || settings.key_types.empty() || settings.challenges.empty())
            co_return failure{errc::bad_configuration,
                              "acme: `cas`, `key_types` and `challenges` need an entry each; leave them out for the "
                              "defaults"};
        std::vector<certificate_names> wanted = std::move(settings.domains);
        settings.domains.clear();
        for (const certificate_names& each : configured_) {
            if (auto provable = check_provable(settings, each); !provable)
                co_return provable;
        }
        // What cannot be proven is left out, and not what can.
        outcome<> provable;
        std::erase_if(wanted, [&](const certificate_names& each) {
            auto checked = check_provable(settings, each);
            const bool is_out = !checked;
            if (is_out && provable)
                provable = std::move(checked);
            return is_out;
        });
        settings_ = std::make_shared<const config>(std::move(settings));
        const auto usable = renewer_.configure(settings_);
        for (auto& each : certificates_)
            each->configuration = configuration_of(*each);
        for (const certificate_names& each : configured_)
            wanted.push_back(each);
        // What is kept is served, whatever is wrong with the rest.
        auto done = co_await add(std::move(wanted));
        if (!provable)
            co_return provable;
        co_return done ? usable : done;
    }

    // Configures these certificates, and serves what the storage has of them: all at one moment.
    [[nodiscard]] awaitable<outcome<>> add(std::vector<certificate_names> wanted)
    {
        for (const certificate_names& each : wanted) {
            auto provable = settings_ ? check_provable(*settings_, each) : outcome<>();
            if (!provable)
                co_return provable;
        }
        std::vector<managed_certificate*> added;
        for (certificate_names& each : wanted) {
            auto made = make(each);
            if (!made)
                co_return made.error();
            configured_.push_back(std::move(each));
            for (auto& one : *made) {
                if (managed_certificate* const known = find(one->id)) {
                    known->names = one->names;
                    known->email = one->email;
                    known->configuration = one->configuration;
                    added.push_back(known);
                } else {
                    added.push_back(certificates_.emplace_back(std::move(one)).get());
                }
            }
        }
        for (managed_certificate* each : added) {
            if (!each->is_busy)
                co_await renewer_.load(*each);
        }
        serve(added);
        for (const managed_certificate* each : added) {
            if (each->credential)
                tell({event_kind::loaded, each->id,
                      "valid until " + format_rfc3339(each->credential->about.not_after)});
        }
        wake();
        co_return outcome<>();
    }

    [[nodiscard]] outcome<> remove(std::string_view domain)
    {
        const auto spelled = cert::parse_domain(domain);
        const auto is_it = [&](const auto& each) { return spelled && each->domain == *spelled; };
        if (std::ranges::none_of(certificates_, is_it))
            return failure{errc::unknown_name, std::string(domain)
                                                   + ": ACME does not care for it; name the first of its names"};
        for (auto& each : certificates_) {
            if (!is_it(each))
                continue;
            each->is_removed = true; // who works on it finishes, to no effect
            if (each->credential)
                static_cast<void>(host_.certificates.remove_credential(each->domain, each->credential));
            removed_.push_back(std::move(each));
        }
        std::erase(certificates_, nullptr);
        drop_placeholder(*spelled);
        static_cast<void>(host_.certificates.refuse(*spelled, false));
        std::erase_if(configured_, [&](const certificate_names& each) {
            const auto first = identifier_of(each.names.front());
            return first && first->value == *spelled;
        });
        return {};
    }

    // Works until it is cancelled; what it began is cancelled with it.
    [[nodiscard]] awaitable<> run()
    {
        using namespace boost::asio::experimental::awaitable_operators;
        for (;;) {
            const std::uint64_t seen = changes_;
            const time_point next = begin_what_is_due();
            if (seen == changes_)
                co_await (world_.sleep_until(next) || changed_.wait());
        }
    }

    // Follows what other processes do in the same storage; until it is cancelled.
    [[nodiscard]] awaitable<> follow()
    {
        co_await board_.follow_others();
        for (;;) {
            const std::string what = co_await storage_.next_change();
            if (what == "challenge") {
                co_await board_.follow_others();
                continue;
            }
            constexpr std::string_view folder = "certificates";
            if (!what.starts_with(folder))
                continue;
            const std::string_view id = std::string_view(what).substr(std::min(folder.size() + 1, what.size()));
            for (std::size_t i = 0; i < certificates_.size(); ++i) {
                managed_certificate& each = *certificates_[i];
                if (!each.is_busy && (id.empty() || each.id == id) && co_await renewer_.refresh(each))
                    wake();
            }
        }
    }

    // Cancels what is under way; it is over when is_idle(). Who waits for a certificate is told.
    void stop()
    {
        is_stopped_ = true;
        wake();
        for (work& each : works_)
            each.cancel.emit(boost::asio::cancellation_type::terminal);
    }

    [[nodiscard]] bool is_idle() const noexcept { return works_.empty(); }

    // See service.
    [[nodiscard]] awaitable<outcome<>> force_renew(std::string domain, std::function<void(const event&)> told)
    {
        std::vector<std::string> ids;
        for (const auto& each : certificates_) {
            if (names(*each, domain))
                ids.push_back(each->id);
        }
        if (ids.empty())
            co_return failure{errc::unknown_name, domain + ": ACME does not care for it; add_acme_domain() does"};
        for (const std::string& id : ids) {
            auto done = co_await renew_now(id, "forced", told);
            if (!done)
                co_return done;
        }
        co_return outcome<>();
    }

    [[nodiscard]] awaitable<outcome<cert::credential_ptr>> obtain(std::string name)
    {
        managed_certificate* found = find_by_name(name);
        if (!found) {
            std::vector<certificate_names> wanted;
            wanted.emplace_back(name);
            const auto added = co_await add(std::move(wanted));
            if (!added)
                co_return added.error();
            found = find_by_name(name);
        }
        const std::string id = found->id;
        if (!found->credential) {
            const auto done = co_await wait_for(id, 0);
            if (!done)
                co_return done.error();
            found = find(id);
        }
        if (!found || !found->credential)
            co_return failure{errc::unknown_name, name + ": it was removed meanwhile"};
        co_return found->credential;
    }

    // RFC 8555 7.6.
    [[nodiscard]] awaitable<outcome<>> revoke(std::string domain, unsigned reason)
    {
        std::vector<std::string> ids;
        for (const auto& each : certificates_) {
            if (names(*each, domain) && each->credential)
                ids.push_back(each->id);
        }
        if (ids.empty())
            co_return failure{errc::unknown_name, domain + ": there is no certificate of ACME's to revoke"};
        for (const std::string& id : ids) {
            managed_certificate* const one = find(id);
            if (!one)
                continue;
            auto revoked = co_await renewer_.revoke(*one, reason);
            if (!revoked)
                co_return failure{errc::refused, revoked.error().what};
            std::function<void(const event&)> nobody;
            auto done = co_await renew_now(id, "forced", std::move(nobody));
            if (!done)
                co_return done;
        }
        co_return outcome<>();
    }

    [[nodiscard]] std::vector<certificate_status> certificates() const
    {
        std::vector<certificate_status> list;
        for (const auto& each : certificates_)
            list.push_back(status_of(*each));
        return list;
    }

private:
    struct work {
        boost::asio::cancellation_signal cancel;
    };

    // How long somebody waits for a certificate.
    static constexpr std::chrono::minutes patience{15};

    void wake()
    {
        ++changes_;
        changed_.notify_all();
    }

    // One for each type of key.
    [[nodiscard]] outcome<std::vector<std::unique_ptr<managed_certificate>>> make(const certificate_names& from) const
    {
        if (!settings_ || from.names.empty())
            return failure{errc::bad_configuration, "acme: an entry of `domains` names nothing"};
        std::vector<identifier> names;
        for (const std::string& each : from.names) {
            auto name = identifier_of(each);
            if (!name)
                return name.error();
            if (std::ranges::count(names, *name) == 0)
                names.push_back(std::move(*name));
        }
        if (names.size() > detail::max_identifiers)
            return failure{errc::bad_configuration, names.front().value + ": a certificate has 100 names at most"};
        std::vector<std::unique_ptr<managed_certificate>> list;
        for (const key_kind key : settings_->key_types) {
            auto one = std::make_unique<managed_certificate>();
            one->domain = names.front().value;
            one->id = id_of(one->domain, key);
            one->names = names;
            one->key = key;
            one->email = from.email.empty() ? settings_->email : from.email;
            one->configuration = configuration_of(*one);
            list.push_back(std::move(one));
        }
        return list;
    }

    static std::string id_of(const std::string& domain, key_kind key)
    {
        constexpr std::array<std::string_view, 4> words = {"ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"};
        const std::string name = domain.starts_with("*.") ? "_wildcard" + domain.substr(1) : domain;
        return name + "." + std::string(words[static_cast<std::size_t>(key)]);
    }

    // What, when it changes, is worth another attempt.
    [[nodiscard]] std::string configuration_of(const managed_certificate& of) const
    {
        std::string all = of.email;
        for (const identifier& each : of.names)
            all += "\n" + each.value;
        for (const certificate_authority& each : settings_->cas)
            all += "\n" + each.directory + " " + each.eab_kid + " " + each.profile + " " + each.preferred_chain;
        for (const challenge_type each : settings_->challenges)
            all.append("\n").append(name_of(each));
        all += settings_->dns ? "\ndns" : "";
        return to_base64url(byte_view(sha256_of(as_bytes(all))).first(12));
    }

    [[nodiscard]] managed_certificate* find(std::string_view id) const
    {
        const auto found = std::ranges::find_if(certificates_, [&](const auto& each) { return each->id == id; });
        return found == certificates_.end() ? nullptr : found->get();
    }

    static bool names(const managed_certificate& of, std::string_view name)
    {
        const auto wanted = identifier_of(name);
        return wanted && std::ranges::count(of.names, *wanted) != 0;
    }

    [[nodiscard]] managed_certificate* find_by_name(std::string_view name) const
    {
        const auto found = std::ranges::find_if(certificates_, [&](const auto& each) { return names(*each, name); });
        return found == certificates_.end() ? nullptr : found->get();
    }

    // Begins what may begin, and says when there is more to do.
    time_point begin_what_is_due()
    {
        const time_point now = world_.now();
        time_point next = now + std::chrono::hours(1);
        const std::size_t limit = std::max(1u, settings_ ? settings_->orders_at_once : 1u);
        for (auto& each : certificates_) {
            if (each->is_busy)
                continue;
            const time_point due = renewer_.due(*each);
            if (due > now)
                next = std::min(next, due);
            else if (works_.size() < limit)
                begin(*each);
        }
        return next;
    }

    void begin(managed_certificate& of)
    {
        of.is_busy = true;
        const auto place = works_.emplace(works_.end());
        const auto slot = place->cancel.slot();
        boost::asio::co_spawn(executor_, renewer_.work(of),
                              boost::asio::bind_cancellation_slot(slot, [this, &of, place](std::exception_ptr thrown) {
                                  // Note: the frame that is about to go still refers to the signal.
                                  boost::asio::post(executor_, [this, &of, place, thrown] {
                                      works_.erase(place);
                                      end(of, thrown);
                                  });
                              }));
    }

    void end(managed_certificate& of, const std::exception_ptr& thrown)
    {
        of.is_busy = false;
        // Note: whatever is wrong with what was done, it is not done in a loop.
        of.not_before = std::max(of.not_before, world_.now() + std::chrono::seconds(1));
        if (thrown && !is_cancellation(thrown)) {
            of.not_before = world_.now() + std::chrono::minutes(1);
            tell({event_kind::renewal_failed, of.id, "an attempt broke off: " + text_of_exception(thrown)});
        }
        std::erase_if(removed_, [](const auto& each) { return !each->is_busy; });
        wake();
    }

    static bool is_cancellation(const std::exception_ptr& thrown)
    {
        try {
            std::rethrow_exception(thrown);
        } catch (const boost::asio::multiple_exceptions& several) { // of operators like ||
            return is_cancellation(several.first_exception());
        } catch (const boost::system::system_error& error) {
            return error.code() == boost::asio::error::operation_aborted;
        } catch (...) {
            return false;
        }
    }

    [[nodiscard]] awaitable<outcome<>> renew_now(std::string id, std::string why,
                                                 std::function<void(const event&)> told)
    {
        managed_certificate* const one = find(id);
        if (!one)
            co_return failure{errc::unknown_name, id + ": it was removed meanwhile"};
        const std::uint64_t before = one->generation;
        one->last_refusal.reset();
        renewer_.force(*one, std::move(why));
        listeners_.emplace_back(id, std::move(told));
        const auto place = std::prev(listeners_.end());
        wake();
        auto done = co_await wait_for(id, before);
        listeners_.erase(place);
        co_return done;
    }

    // Until there is a later generation, or an attempt failed.
    [[nodiscard]] awaitable<outcome<>> wait_for(std::string id, std::uint64_t before)
    {
        using namespace boost::asio::experimental::awaitable_operators;
        const time_point end = world_.now() + patience;
        for (;;) {
            const managed_certificate* const one = find(id);
            if (!one)
                co_return failure{errc::unknown_name, id + ": it was removed meanwhile"};
            if (one->generation > before)
                co_return outcome<>();
            if (is_stopped_)
                co_return failure{errc::closed, id + ": the manager of certificates was stopped meanwhile"};
            if (!one->is_busy && one->last_refusal)
                co_return failure{errc::refused, one->last_refusal->what};
            if (world_.now() >= end)
                co_return failure{errc::timed_out, id + ": there is no certificate after 15 minutes; the log says why"};
            co_await (world_.sleep_until(end) || changed_.wait());
        }
    }

    // Puts what there is into the registry: certificates, and what stands in for those that are missing.
    void serve(const std::vector<managed_certificate*>& those)
    {
        cert::named_credentials made;
        std::vector<std::string> refused;
        std::vector<std::string> certified;
        for (const managed_certificate* each : those) {
            if (each->is_removed)
                continue;
            if (each->credential) {
                made.emplace_back(each->domain, each->credential);
                certified.push_back(each->domain);
            }
        }
        for (const managed_certificate* each : those) {
            if (each->is_removed || each->credential || has_any(each->domain))
                continue;
            if (settings_->until_then == before_issuance::unrecognized_name) {
                for (const identifier& name : each->names)
                    refused.push_back(name.value);
            } else if (cert::credential_ptr placeholder = make_placeholder(*each)) {
                made.emplace_back(each->domain, std::move(placeholder));
            }
        }
        if (!made.empty()) {
            if (const auto done = host_.certificates.add_credentials(std::move(made)); !done)
                tell({event_kind::unreadable, {}, done.error().what});
        }
        for (const std::string& each : certified)
            drop_placeholder(each);
        if (!refused.empty())
            static_cast<void>(host_.certificates.refuse(refused, true));
        if (settings_->until_then == before_issuance::unrecognized_name) {
            std::vector<std::string> answered;
            for (const managed_certificate* each : those) {
                for (const identifier& name : each->names) {
                    if (each->credential)
                        answered.push_back(name.value);
                }
            }
            static_cast<void>(host_.certificates.refuse(answered, false));
        }
    }

    // Whether a certificate of ACME's, or a placeholder, stands under the domain.
    [[nodiscard]] bool has_any(const std::string& domain) const
    {
        return placeholders_.contains(domain) || std::ranges::any_of(certificates_, [&](const auto& each) {
                   return each->domain == domain && each->credential;
               });
    }

    [[nodiscard]] cert::credential_ptr make_placeholder(const managed_certificate& of)
    {
        std::vector<std::string> all;
        for (const identifier& each : of.names)
            all.push_back(each.value);
        const auto pair = cert::make_self_signed(all, world_.now());
        const auto made = pair ? cert::make_credential(*pair, {.from = cert::source::self_signed})
                               : outcome<cert::credential_ptr>(pair.error());
        if (!made) {
            tell({event_kind::unreadable, of.id, made.error().what});
            return nullptr;
        }
        tell({event_kind::progress, of.id, "a self-signed certificate answers until the CA has issued one"});
        return placeholders_[of.domain] = *made;
    }

    void drop_placeholder(const std::string& domain)
    {
        const auto found = placeholders_.find(domain);
        if (found == placeholders_.end())
            return;
        static_cast<void>(host_.certificates.remove_credential(domain, found->second));
        placeholders_.erase(found);
    }

    [[nodiscard]] certificate_status status_of(const managed_certificate& of) const
    {
        certificate_status line;
        line.id = of.id;
        for (const identifier& each : of.names)
            line.names.push_back(each.value);
        line.key_type = of.id.substr(of.id.rfind('.') + 1);
        if (of.credential) {
            line.issuer = of.credential->about.issuer;
            line.not_before = of.credential->about.not_before;
            line.not_after = of.credential->about.not_after;
        }
        line.next_attempt = renewer_.renewal_due(of);
        line.failures = of.state.failures;
        line.last_error = of.state.failures > 0 ? of.state.last_error : std::string();
        line.ca = of.credential ? of.about.directory : of.state.directory;
        line.profile = of.about.profile;
        line.generation = of.generation;
        return line;
    }

    // RFC 5424's severities in four, as the seed has them.
    static log_level level_of(event_kind kind) noexcept
    {
        switch (kind) {
        case event_kind::progress: return log_level::debug;
        case event_kind::renewal_failed:
        case event_kind::revoked: return log_level::warning;
        case event_kind::unreadable: return log_level::error;
        default: return log_level::info;
        }
    }

    static std::string_view name_of_event(event_kind kind) noexcept
    {
        switch (kind) {
        case event_kind::loaded: return "acme.loaded";
        case event_kind::account_created: return "acme.account_created";
        case event_kind::account_reused: return "acme.account_reused";
        case event_kind::obtained: return "acme.obtained";
        case event_kind::renewed: return "acme.renewed";
        case event_kind::renewal_failed: return "acme.failed";
        case event_kind::unreadable: return "acme.unreadable";
        case event_kind::window_changed: return "acme.window_changed";
        case event_kind::revoked: return "acme.revoked";
        case event_kind::progress: break;
        }
        return "acme.progress";
    }

    void tell(const event& what)
    {
        if (host_.log)
            host_.log(what.message.starts_with("warning: ") ? log_level::warning : level_of(what.kind),
                      name_of_event(what.kind), {{"certificate", what.id}, {"message", what.message}});
        if (on_event_)
            on_event_(what);
        for (const auto& [id, told] : listeners_) {
            if (told && (what.id.empty() || what.id == id))
                told(what);
        }
    }

    environment& world_;
    storage& storage_;
    const host host_;
    const event_teller on_event_;
    const boost::asio::any_io_executor executor_;
    std::shared_ptr<const config> settings_;
    board board_;
    renewer renewer_;
    std::vector<certificate_names> configured_;
    std::vector<std::unique_ptr<managed_certificate>> certificates_;
    std::vector<std::unique_ptr<managed_certificate>> removed_; // somebody may be working on them
    std::map<std::string, cert::credential_ptr> placeholders_;  // by domain
    std::list<std::pair<std::string, std::function<void(const event&)>>> listeners_; // by id
    std::list<work> works_;
    std::uint64_t changes_ = 0;
    bool is_stopped_ = false;
    signal changed_;
};

}

#endif
// ---- alos/acme/status_json.hpp ----
// Where certificates stand, as JSON for those outside.
#ifndef ALOS_ACME_STATUS_JSON_HPP
#define ALOS_ACME_STATUS_JSON_HPP


#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <string>

namespace alos::inline v0::acme {

// Times are those of RFC 3339; what is not known is null.
[[nodiscard]] inline boost::json::object to_json(const certificate_status& one)
{
    const auto time = [](std::chrono::system_clock::time_point when) {
        const bool is_known = when != std::chrono::system_clock::time_point();
        return is_known ? boost::json::value(format_rfc3339(when)) : boost::json::value(nullptr);
    };
    const auto text = [](const std::string& what) {
        return what.empty() ? boost::json::value(nullptr) : boost::json::value(what);
    };
    boost::json::array names;
    for (const std::string& each : one.names)
        names.emplace_back(each);
    boost::json::object out;
    out["id"] = one.id;
    out["names"] = std::move(names);
    out["keyType"] = one.key_type;
    out["issuer"] = text(one.issuer);
    out["notBefore"] = time(one.not_before);
    out["notAfter"] = time(one.not_after);
    out["nextAttempt"] = time(one.next_attempt);
    out["failures"] = one.failures;
    out["lastError"] = text(one.last_error);
    out["ca"] = text(one.ca);
    out["profile"] = text(one.profile);
    out["generation"] = one.generation;
    return out;
}

}

#endif
// ---- alos/server/acme_environment.hpp ----
// The real world for acme/: this machine's clocks, network, files and random numbers.
#ifndef ALOS_SERVER_ACME_ENVIRONMENT_HPP
#define ALOS_SERVER_ACME_ENVIRONMENT_HPP

// ---- alos/dns/resolver.hpp ----
// A stub resolver (RFC 1034 5.3.1): asks the name servers it is told, by UDP and, for what is too long, by TCP
// (RFC 7766). It reads no files while it works, and remembers nothing.
#ifndef ALOS_DNS_RESOLVER_HPP
#define ALOS_DNS_RESOLVER_HPP

// ---- alos/http/deadline.hpp ----
// Waits that end: a coroutine that is given so much time and no more.
#ifndef ALOS_HTTP_DEADLINE_HPP
#define ALOS_HTTP_DEADLINE_HPP


#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <tuple>
#include <utility>

namespace alos::inline v0 {

// What operations inside coroutines that are cancelled complete with: error_code first, nothing thrown.
inline constexpr auto as_results = boost::asio::as_tuple(boost::asio::use_awaitable);

// An operation that was cancelled ends its coroutine: there is nobody left to hand an error to.
inline void throw_if_aborted(const error_code& ec)
{
    if (ec == boost::asio::error::operation_aborted)
        throw boost::system::system_error(ec);
}

// What `work` returns; nothing when it took longer than `limit` and was cancelled. `work` has to end by
// throw_if_aborted() or the like. Its other exceptions pass, and so does being cancelled from outside.
template <class T>
[[nodiscard]] boost::asio::awaitable<std::optional<T>> within(std::chrono::milliseconds limit,
                                                              boost::asio::awaitable<T> work)
{
    const auto executor = co_await boost::asio::this_coro::executor;
    auto token = boost::asio::cancel_after(limit, boost::asio::as_tuple(boost::asio::use_awaitable));
    std::tuple<std::exception_ptr, T> end = co_await boost::asio::co_spawn(executor, std::move(work), std::move(token));
    if (!std::get<0>(end))
        co_return std::move(std::get<1>(end));
    const auto state = co_await boost::asio::this_coro::cancellation_state;
    try {
        std::rethrow_exception(std::get<0>(end));
    } catch (const boost::system::system_error& thrown) {
        if (thrown.code() != boost::asio::error::operation_aborted
            || state.cancelled() != boost::asio::cancellation_type::none)
            throw;
    }
    co_return std::nullopt;
}

}

#endif

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::dns {

using endpoint = boost::asio::ip::udp::endpoint;
using addresses = std::vector<boost::asio::ip::address>;

inline constexpr std::uint16_t default_port = 53;
inline constexpr std::size_t max_servers = 8;

namespace detail {

// The next word of `text`, taken off it; separators are blanks, and those given.
inline std::string_view take_word(std::string_view& text, std::string_view separators = " \t\r")
{
    text.remove_prefix(std::min(text.find_first_not_of(separators), text.size()));
    const std::string_view word = text.substr(0, text.find_first_of(separators));
    text.remove_prefix(word.size());
    return word;
}

// The next line, without what follows one of `comments`.
inline std::string_view take_line(std::string_view& text, std::string_view comments)
{
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return line.substr(0, line.find_first_of(comments));
}

// At most 1 MiB; empty when it cannot be read.
inline std::string read_system_file(const std::string& path)
{
    std::ifstream file(path, std::ios::binary);
    std::string text(1 << 20, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    return text;
}

inline void fill_from_system(byte_span out)
{
    while (!out.empty()) {
        const ssize_t got = ::getrandom(out.data(), out.size(), 0);
        if (got < 0 && errno != EINTR)
            throw boost::system::system_error(errno, boost::system::system_category(), "getrandom");
        out = out.subspan(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    }
}

inline std::string to_text(const endpoint& server)
{
    const std::string address = server.address().to_string();
    return (server.address().is_v6() ? "[" + address + "]:" : address + ":") + std::to_string(server.port());
}

}

// "192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:5353".
[[nodiscard]] inline std::optional<endpoint> parse_server(std::string_view text)
{
    error_code ec;
    const auto whole = boost::asio::ip::make_address(text, ec);
    if (!ec)
        return endpoint(whole, default_port);
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos)
        return std::nullopt;
    std::string_view host = text.substr(0, colon);
    const bool brackets = host.starts_with('[') && host.ends_with(']');
    if (brackets)
        host = host.substr(1, host.size() - 2);
    std::uint16_t port = 0;
    const std::string_view digits = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    const auto address = boost::asio::ip::make_address(host, ec);
    if (ec || error != std::errc{} || end != digits.data() + digits.size() || port == 0 || address.is_v6() != brackets)
        return std::nullopt;
    return endpoint(address, port);
}

// Servers with commas or blanks between them, at most max_servers.
[[nodiscard]] inline outcome<std::vector<endpoint>> parse_servers(std::string_view text)
{
    std::vector<endpoint> servers;
    for (;;) {
        const std::string_view word = detail::take_word(text, ", \t\r\n");
        if (word.empty())
            break;
        const auto server = parse_server(word);
        if (!server)
            return failure{alos::errc::bad_configuration,
                           "\"" + std::string(word) + "\" is no name server; write an IP address like 192.0.2.53, or "
                                                      "with a port like [2001:db8::53]:5353"};
        if (servers.size() == max_servers)
            return failure{alos::errc::bad_configuration, "more than 8 name servers; leave some out"};
        servers.push_back(*server);
    }
    return servers;
}

// The name servers in a text like /etc/resolv.conf; this machine, as resolv.conf(5) says, when there is none.
[[nodiscard]] inline std::vector<endpoint> parse_resolv_conf(std::string_view text)
{
    std::vector<endpoint> servers;
    while (!text.empty() && servers.size() < max_servers) {
        std::string_view line = detail::take_line(text, "#;");
        if (detail::take_word(line) != "nameserver")
            continue;
        error_code ec;
        const auto address = boost::asio::ip::make_address(detail::take_word(line), ec);
        if (!ec)
            servers.emplace_back(address, default_port);
    }
    if (servers.empty())
        servers.emplace_back(boost::asio::ip::address_v4::loopback(), default_port);
    return servers;
}

// The addresses of a name, as records spell it, in a text like /etc/hosts.
[[nodiscard]] inline addresses find_in_hosts(std::string_view text, std::string_view name)
{
    addresses found;
    while (!text.empty()) {
        std::string_view line = detail::take_line(text, "#");
        const std::string_view first = detail::take_word(line);
        for (std::string_view word = detail::take_word(line); !word.empty(); word = detail::take_word(line)) {
            error_code ec;
            const auto address = boost::asio::ip::make_address(first, ec);
            const auto canonical = canonical_name(word);
            if (!ec && canonical && *canonical == name)
                found.push_back(address);
        }
    }
    return found;
}

// The system's. They read files: call them during set-up.
[[nodiscard]] inline std::vector<endpoint> system_servers()
{
    return parse_resolv_conf(detail::read_system_file("/etc/resolv.conf"));
}
[[nodiscard]] inline std::string system_hosts() { return detail::read_system_file("/etc/hosts"); }

struct resolver_options {
    std::chrono::milliseconds timeout{2000}; // of one try
    unsigned rounds = 2;                     // over all servers
    std::string hosts{};                     // a text like /etc/hosts, see system_hosts()

    // Fills with unpredictable bytes: the ids of questions (RFC 5452 9.2).
    std::function<void(byte_span)> random = detail::fill_from_system;
};

// Used on one thread; outlives its operations, which end by being cancelled with boost::asio::error::operation_aborted
// thrown.
class resolver {
public:
    resolver(boost::asio::any_io_executor executor, std::vector<endpoint> servers, resolver_options options = {})
        : executor_(std::move(executor)), servers_(std::move(servers)), options_(std::move(options))
    {
    }

    // What the servers say about `name`, which is taken as it is: no search list is applied. Aliases are followed, and
    // their records kept; see records_for(). A code other than no_error and name_error means that no server could
    // answer; a failure, that none did.
    [[nodiscard]] boost::asio::awaitable<outcome<answer>> resolve(std::string name, record_type type)
    {
        const auto canonical = canonical_name(name);
        if (!canonical)
            co_return failure{errc::bad_name, "\"" + name + "\" is no name that DNS can be asked for; write it like "
                                                            "www.example.com, and other alphabets as xn-- labels"};
        if (auto local = find_locally(*canonical, type))
            co_return std::move(*local);
        answer all;
        std::string wanted = *canonical;
        for (std::size_t questions = 0; questions <= max_aliases; ++questions) {
            outcome<answer> found = co_await ask_all(wanted, type);
            if (!found)
                co_return found.error();
            all.records.insert(all.records.end(), found->records.begin(), found->records.end());
            all.code = found->code;
            all.authority = std::move(found->authority);
            all.authoritative = found->authoritative;
            if (type == record_type::cname || found->code != response_code::no_error)
                co_return all;
            const auto end = follow_aliases(all.records, *canonical);
            if (!end)
                co_return failure{end.error(), name + ": its CNAME records lead in a circle, or further than 10 names; "
                                                      "mend them in DNS"};
            // RFC 2308 2.2: an SOA record says that there is no more to be had.
            const bool is_final = std::ranges::any_of(
                all.authority, [](const record& one) { return one.type == record_type::soa; });
            if (*end == wanted || is_final || !records_for(all, *canonical, type).empty())
                co_return all;
            wanted = *end;
        }
        co_return failure{errc::endless_alias,
                          name + ": its CNAME records lead further than 10 names; mend them in DNS"};
    }

    // All addresses of a host, IPv6 first, of which there is one at least. An address is its own.
    [[nodiscard]] boost::asio::awaitable<outcome<addresses>> find_addresses(std::string host)
    {
        addresses found;
        error_code ec;
        const auto literal = boost::asio::ip::make_address(host, ec);
        if (!ec) {
            found.push_back(literal);
            co_return found;
        }
        auto both = boost::asio::experimental::make_parallel_group(
            boost::asio::co_spawn(executor_, resolve(host, record_type::aaaa), boost::asio::deferred),
            boost::asio::co_spawn(executor_, resolve(host, record_type::a), boost::asio::deferred));
        const boost::asio::experimental::wait_for_all all;
        auto answered = co_await both.async_wait(all, boost::asio::use_awaitable);
        for (const std::exception_ptr& thrown : {std::get<1>(answered), std::get<3>(answered)}) {
            if (thrown)
                std::rethrow_exception(thrown);
        }
        std::optional<failure> trouble;
        read_addresses(std::get<2>(answered), host, record_type::aaaa, found, trouble);
        read_addresses(std::get<4>(answered), host, record_type::a, found, trouble);
        if (!found.empty())
            co_return found;
        if (trouble)
            co_return std::move(*trouble);
        co_return failure{make_error_code(boost::asio::error::host_not_found),
                          host + ": there is no such host, or it has no address; check its spelling, and its A and "
                                 "AAAA records"};
    }

private:
    using tcp = boost::asio::ip::tcp;
    using udp = boost::asio::ip::udp;

    static void read_addresses(const outcome<answer>& from, const std::string& host, record_type type, addresses& into,
                               std::optional<failure>& trouble)
    {
        if (!from) {
            trouble = from.error();
            return;
        }
        error_code ec; // of what read_address() wrote, there is none
        for (const record& one : records_for(*from, host, type))
            into.push_back(boost::asio::ip::make_address(one.text, ec));
        if (from->code != response_code::no_error && from->code != response_code::name_error)
            trouble = failure{make_error_code(boost::asio::error::host_not_found_try_again),
                              host + ": the name servers could not answer (code "
                                  + std::to_string(static_cast<unsigned>(from->code))
                                  + "); try later, or check the domain's DNSSEC and name servers"};
    }

    // RFC 6761 6.3: localhost and what is below it; and what the hosts file knows.
    [[nodiscard]] std::optional<answer> find_locally(const std::string& name, record_type type) const
    {
        if (type != record_type::a && type != record_type::aaaa)
            return std::nullopt;
        addresses found = find_in_hosts(options_.hosts, name);
        if (name == "localhost" || name.ends_with(".localhost"))
            found = {boost::asio::ip::address_v6::loopback(), boost::asio::ip::address_v4::loopback()};
        if (found.empty())
            return std::nullopt;
        answer local;
        for (const auto& each : found) {
            if (each.is_v6() == (type == record_type::aaaa))
                local.records.push_back({name, type, 0, each.to_string()});
        }
        return local;
    }

    [[nodiscard]] boost::asio::awaitable<outcome<answer>> ask_all(std::string name, record_type type)
    {
        std::optional<answer> unhelpful;
        failure trouble{alos::errc::timed_out,
                        name + " (" + std::string(dns::to_text(type)) + "): no name server answered"};
        for (unsigned round = 0; round < options_.rounds; ++round) {
            for (const endpoint& server : servers_) {
                result<answer> found = co_await ask(server, name, type);
                if (found && (found->code == response_code::no_error || found->code == response_code::name_error))
                    co_return std::move(*found);
                if (found) {
                    unhelpful = std::move(*found);
                    continue;
                }
                trouble.code = found.error();
                if (round == 0)
                    trouble.what += "; " + detail::to_text(server) + ": " + found.error().message();
            }
        }
        if (unhelpful)
            co_return std::move(*unhelpful);
        trouble.what += "; check the network and the list of name servers";
        co_return std::move(trouble);
    }

    // One server: by UDP, without EDNS if it cannot do that (RFC 6891 7), by TCP if there is more.
    [[nodiscard]] boost::asio::awaitable<result<answer>> ask(endpoint server, std::string name, record_type type)
    {
        result<answer> found = alos::errc::timed_out;
        for (const std::uint16_t payload_size : {udp_payload_size, std::uint16_t{0}}) {
            std::array<std::uint8_t, 2> random_bytes{};
            options_.random(random_bytes);
            const std::uint16_t id = reader(random_bytes).u16();
            const result<byte_vector> query = encode_query(id, name, type, payload_size);
            if (!query)
                co_return query.error();
            auto by_udp = ask_udp(server, *query, id, name, type);
            std::optional<result<answer>> answered = co_await within(options_.timeout, std::move(by_udp));
            if (answered && *answered && (*answered)->truncated) {
                auto by_tcp = ask_tcp(server, *query, id, name, type);
                answered = co_await within(options_.timeout, std::move(by_tcp));
            }
            found = answered ? std::move(*answered) : result<answer>(alos::errc::timed_out);
            if (!found || (found->code != response_code::format_error && found->code != response_code::not_implemented))
                break;
        }
        co_return found;
    }

    // The socket's port is a fresh one, and as it is connected it hears nobody but the server (RFC 5452 9.1, 9.2).
    [[nodiscard]] boost::asio::awaitable<result<answer>> ask_udp(endpoint server, byte_vector query, std::uint16_t id,
                                                                 std::string name, record_type type)
    {
        udp::socket socket(executor_);
        error_code ec;
        socket.open(server.protocol(), ec);
        if (!ec)
            socket.connect(server, ec);
        if (ec)
            co_return ec;
        const auto sent = co_await socket.async_send(boost::asio::buffer(query), as_results);
        throw_if_aborted(std::get<0>(sent));
        if (std::get<0>(sent))
            co_return std::get<0>(sent);
        byte_vector message(4096); // more than was asked for: some servers do not mind the limit
        for (;;) {
            const auto got = co_await socket.async_receive(boost::asio::buffer(message), as_results);
            throw_if_aborted(std::get<0>(got));
            if (std::get<0>(got))
                co_return std::get<0>(got);
            const std::size_t size = std::get<1>(got);
            if (size < 12)
                continue; // not even a header
            result<answer> found = decode_response(byte_view(message).first(size), id, name, type);
            if (found || found.error() != errc::other_message)
                co_return found;
        }
    }

    // RFC 1035 4.2.2: each message behind its length in two bytes.
    [[nodiscard]] boost::asio::awaitable<result<answer>> ask_tcp(endpoint server, byte_vector query, std::uint16_t id,
                                                                 std::string name, record_type type)
    {
        tcp::socket socket(executor_);
        const tcp::endpoint there(server.address(), server.port());
        const auto connected = co_await socket.async_connect(there, as_results);
        throw_if_aborted(std::get<0>(connected));
        if (std::get<0>(connected))
            co_return std::get<0>(connected);
        byte_vector message;
        writer(message).vector16([&] { message.insert(message.end(), query.begin(), query.end()); });
        const auto sent = co_await boost::asio::async_write(socket, boost::asio::buffer(message), as_results);
        throw_if_aborted(std::get<0>(sent));
        if (std::get<0>(sent))
            co_return std::get<0>(sent);
        message.resize(2);
        for (const bool is_length : {true, false}) {
            const auto got = co_await boost::asio::async_read(socket, boost::asio::buffer(message), as_results);
            throw_if_aborted(std::get<0>(got));
            if (std::get<0>(got))
                co_return std::get<0>(got);
            if (is_length)
                message.resize(reader(message).u16());
        }
        co_return decode_response(message, id, name, type);
    }

    boost::asio::any_io_executor executor_;
    std::vector<endpoint> servers_;
    resolver_options options_;
};

}

#endif
// ---- alos/http/client.hpp ----
// The client that asks other servers (RFC 9110, RFC 9112): HTTP/1.1, over TLS for https, through proxies if need be,
// over connections that are kept for a while.
#ifndef ALOS_HTTP_CLIENT_HPP
#define ALOS_HTTP_CLIENT_HPP

// ---- alos/http/connect.hpp ----
// A TCP connection to whichever address of a host answers first (RFC 8305, simplified): one is tried after the other,
// the next as soon as one fails or lets wait for a quarter of a second.
#ifndef ALOS_HTTP_CONNECT_HPP
#define ALOS_HTTP_CONNECT_HPP


#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::http {

inline constexpr std::chrono::milliseconds connection_attempt_delay{250}; // RFC 8305 5
inline constexpr std::size_t max_connection_attempts = 16;

namespace detail {

// "192.0.2.1:443", "[2001:db8::1]:443".
inline std::string to_text(const boost::asio::ip::tcp::endpoint& there)
{
    const std::string address = there.address().to_string();
    return (there.address().is_v6() ? "[" + address + "]:" : address + ":") + std::to_string(there.port());
}

// RFC 8305 4: the families take turns, IPv6 first.
inline std::vector<boost::asio::ip::tcp::endpoint> in_turns(const std::vector<boost::asio::ip::address>& addresses,
                                                            std::uint16_t port)
{
    std::vector<boost::asio::ip::tcp::endpoint> turns;
    std::deque<boost::asio::ip::address> six;
    std::deque<boost::asio::ip::address> four;
    for (const auto& each : addresses)
        (each.is_v6() ? six : four).push_back(each);
    while ((!six.empty() || !four.empty()) && turns.size() < max_connection_attempts) {
        for (auto* family : {&six, &four}) {
            if (family->empty())
                continue;
            turns.emplace_back(family->front(), port);
            family->pop_front();
        }
    }
    return turns;
}

// The attempts; kept alive by the handlers of those under way.
class connection_race : public std::enable_shared_from_this<connection_race> {
public:
    using tcp = boost::asio::ip::tcp;

    connection_race(boost::asio::any_io_executor executor, std::vector<tcp::endpoint> endpoints)
        : end(executor, boost::asio::steady_timer::time_point::max()), endpoints_(std::move(endpoints)),
          delay_(executor), errors_(endpoints_.size())
    {
        for (std::size_t i = 0; i < endpoints_.size(); ++i)
            sockets_.emplace_back(executor);
    }

    void start()
    {
        if (endpoints_.empty())
            stop();
        else
            start_next();
    }

    void stop()
    {
        over_ = true;
        delay_.cancel();
        end.expires_at(boost::asio::steady_timer::time_point::min());
        for (std::size_t i = 0; i < sockets_.size(); ++i) {
            error_code ignored; // closed all the same
            if (winner != i)
                sockets_[i].close(ignored);
        }
    }

    [[nodiscard]] tcp::socket take_winner() { return std::move(sockets_[*winner]); }
    [[nodiscard]] const tcp::endpoint& winning_endpoint() const { return endpoints_[*winner]; }

    // Why nobody won.
    [[nodiscard]] failure why() const
    {
        failure all{make_error_code(boost::asio::error::host_not_found), "there is no address"};
        for (std::size_t i = 0; i < errors_.size(); ++i) {
            all.code = errors_[i];
            all.what = (i == 0 ? "" : all.what + "; ") + to_text(endpoints_[i]) + ": " + errors_[i].message();
        }
        return all;
    }

    boost::asio::steady_timer end; // has come, once it is decided
    std::optional<std::size_t> winner;

private:
    void start_next()
    {
        const std::size_t i = started_++;
        sockets_[i].async_connect(endpoints_[i], [self = shared_from_this(), i](error_code ec) { self->ended(i, ec); });
        if (started_ == endpoints_.size())
            return;
        delay_.expires_after(connection_attempt_delay);
        delay_.async_wait([self = shared_from_this(), i](error_code ec) {
            if (!ec && !self->over_ && self->started_ == i + 1)
                self->start_next();
        });
    }

    void ended(std::size_t i, error_code ec)
    {
        if (over_)
            return;
        errors_[i] = ec;
        if (!ec) {
            winner = i;
            stop();
        } else if (++failed_ == endpoints_.size()) {
            stop();
        } else if (started_ == i + 1) {
            start_next();
        }
    }

    std::vector<tcp::endpoint> endpoints_;
    std::vector<tcp::socket> sockets_;
    boost::asio::steady_timer delay_;
    std::vector<error_code> errors_;
    std::size_t started_ = 0;
    std::size_t failed_ = 0;
    bool over_ = false;
};

}

// The first connection that comes about; a failure names every address and its error. IPv6 goes first. Addresses
// beyond max_connection_attempts are not tried.
[[nodiscard]] inline boost::asio::awaitable<outcome<boost::asio::ip::tcp::socket>>
connect(boost::asio::any_io_executor executor, std::vector<boost::asio::ip::address> addresses, std::uint16_t port)
{
    const auto race = std::make_shared<detail::connection_race>(executor, detail::in_turns(addresses, port));
    // It ends with this coroutine, however that ends.
    const std::shared_ptr<void> stopper(nullptr, [race](void*) { race->stop(); });
    race->start();
    static_cast<void>(co_await race->end.async_wait(as_results));
    const auto state = co_await boost::asio::this_coro::cancellation_state;
    if (state.cancelled() != boost::asio::cancellation_type::none)
        throw boost::system::system_error(boost::asio::error::operation_aborted);
    if (!race->winner)
        co_return race->why();
    co_return race->take_winner();
}

}

#endif
// ---- alos/http/proxy.hpp ----
// Which proxy a request goes through, as the usual environment variables say.
#ifndef ALOS_HTTP_PROXY_HPP
#define ALOS_HTTP_PROXY_HPP


#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace alos::inline v0::http {

// Proxies speak HTTP without TLS: "http://proxy.example:3128", or "proxy.example:3128".
struct proxies {
    std::string http{};   // for http URLs; empty: none
    std::string https{};  // for https URLs
    std::string except{}; // hosts that are asked directly: "example.com, .example.org, 192.0.2.0/24, host:8080", or "*"
};

// http_proxy, https_proxy and no_proxy. Not HTTP_PROXY, which whoever sends a field "Proxy" sets in a CGI program.
[[nodiscard]] inline proxies proxies_of_environment()
{
    const auto first = [](std::initializer_list<const char*> names) -> std::string {
        for (const char* name : names) {
            const char* value = std::getenv(name);
            if (value != nullptr && *value != '\0')
                return value;
        }
        return {};
    };
    return {first({"http_proxy"}), first({"https_proxy", "HTTPS_PROXY"}), first({"no_proxy", "NO_PROXY"})};
}

namespace detail {

// Whether one entry of `except` means this host; `address` is nothing for a name.
inline bool is_excepted(std::string_view entry, const url& target,
                        const std::optional<boost::asio::ip::address>& address)
{
    error_code ec;
    if (entry == "*")
        return true;
    if (address && entry.find('/') != std::string_view::npos) {
        if (address->is_v4()) {
            const auto network = boost::asio::ip::make_network_v4(entry, ec);
            const auto prefix = network.prefix_length();
            return !ec && boost::asio::ip::make_network_v4(address->to_v4(), prefix).network() == network.network();
        }
        const auto network = boost::asio::ip::make_network_v6(entry, ec);
        const auto prefix = network.prefix_length();
        return !ec && boost::asio::ip::make_network_v6(address->to_v6(), prefix).network() == network.network();
    }
    if (address) {
        const auto same = boost::asio::ip::make_address(entry, ec);
        if (!ec)
            return same == *address;
    }
    if (const std::size_t colon = entry.find(':'); colon != std::string_view::npos) {
        if (entry.substr(colon + 1) != std::to_string(target.port))
            return false;
        entry = entry.substr(0, colon);
    }
    if (entry.starts_with("*."))
        entry.remove_prefix(1);
    if (entry.starts_with('.'))
        entry.remove_prefix(1);
    const std::string_view host = target.host;
    if (entry.empty() || entry.size() > host.size())
        return false;
    const std::string_view end = host.substr(host.size() - entry.size());
    return equal_ignoring_case(end, entry)
           && (end.size() == host.size() || (!address && host[host.size() - end.size() - 1] == '.'));
}

}

// The proxy for `target`, or nothing when it is asked directly, as this machine itself always is. A failure: the
// setting makes no sense.
[[nodiscard]] inline outcome<std::optional<url>> proxy_for(const proxies& settings, const url& target)
{
    const std::string& chosen = target.is_secure() ? settings.https : settings.http;
    if (chosen.empty())
        return std::optional<url>();
    error_code ec;
    const auto parsed = boost::asio::ip::make_address(target.host, ec);
    std::optional<boost::asio::ip::address> address;
    if (!ec)
        address = parsed;
    if (target.host == "localhost" || (address && address->is_loopback()))
        return std::optional<url>();
    std::string_view rest = settings.except;
    while (!rest.empty()) {
        const std::size_t start = std::min(rest.find_first_not_of(", \t"), rest.size());
        rest.remove_prefix(start);
        const std::string_view entry = rest.substr(0, rest.find_first_of(", \t"));
        rest.remove_prefix(entry.size());
        if (detail::is_excepted(entry, target, address))
            return std::optional<url>();
    }
    const bool has_scheme = chosen.find("://") != std::string::npos;
    auto proxy = parse_url(has_scheme ? chosen : "http://" + chosen);
    const std::string variable = target.is_secure() ? "https_proxy" : "http_proxy";
    if (!proxy)
        return failure{alos::errc::bad_configuration, "the proxy in " + variable + ": " + proxy.error().what};
    if (proxy->is_secure())
        return failure{alos::errc::bad_configuration,
                       "the proxy in " + variable + " is to be asked by TLS, which is not supported; write it like "
                                                    "http://proxy.example:3128"};
    return std::optional<url>(std::move(*proxy));
}

}

#endif
// ---- alos/tls_client/botan.hpp ----
// The TLS client that asks other servers: Botan's, TLS 1.2 and 1.3, behind the interface of an engine, and whom it
// believes: trust anchors (RFC 5280 6.1) and the server's name in its certificate (RFC 9525).
#ifndef ALOS_TLS_CLIENT_BOTAN_HPP
#define ALOS_TLS_CLIENT_BOTAN_HPP


#include <botan/certstor.h>
#include <botan/certstor_flatfile.h>
#include <botan/certstor_system.h>
#include <botan/credentials_manager.h>
#include <botan/data_src.h>
#include <botan/system_rng.h>
#include <botan/tls_alert.h>
#include <botan/tls_callbacks.h>
#include <botan/tls_client.h>
#include <botan/tls_exceptn.h>
#include <botan/tls_policy.h>
#include <botan/tls_server_info.h>
#include <botan/tls_session_manager_noop.h>
#include <botan/x509cert.h>
#include <botan/x509path.h>

#include <unistd.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::tls_client {

enum class errc {
    untrusted = 1, // no trust anchor stands behind the server's certificate
    expired,
    not_yet_valid,
    wrong_name,      // the certificate is for other names
    bad_certificate, // it breaks another rule of RFC 5280
    protocol,        // the server broke the protocol, or the two sides have nothing in common
};

class error_category final : public boost::system::error_category {
public:
    constexpr error_category() noexcept : boost::system::error_category(0x2f96d3c8b14ae075u) {}
    const char* name() const noexcept override { return "alos.tls_client"; }
    std::string message(int code) const override
    {
        switch (static_cast<errc>(code)) {
        case errc::untrusted: return "no trusted authority issued the server's certificate";
        case errc::expired: return "the server's certificate has expired";
        case errc::not_yet_valid: return "the server's certificate is not valid yet";
        case errc::wrong_name: return "the server's certificate is for another name";
        case errc::bad_certificate: return "the server's certificate is not acceptable";
        case errc::protocol: return "the TLS handshake failed";
        }
        return "unknown error";
    }
};

inline const error_category& tls_client_category() noexcept
{
    static constexpr error_category category;
    return category;
}

inline error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), tls_client_category()}; }

}

namespace boost::system {
template <>
struct is_error_code_enum<alos::tls_client::errc> : std::true_type {};
}

namespace alos::inline v0::tls_client {

// Certificates of authorities that are believed. Immutable, and shared by engines of all threads.
class trust_anchors {
public:
    explicit trust_anchors(std::vector<std::shared_ptr<Botan::Certificate_Store>> stores) : stores_(std::move(stores))
    {
    }

    [[nodiscard]] std::vector<Botan::Certificate_Store*> stores() const
    {
        std::vector<Botan::Certificate_Store*> pointers;
        for (const auto& each : stores_)
            pointers.push_back(each.get());
        return pointers;
    }

private:
    std::vector<std::shared_ptr<Botan::Certificate_Store>> stores_;
};

using trust_anchors_ptr = std::shared_ptr<const trust_anchors>;

namespace detail {

inline outcome<std::shared_ptr<Botan::Certificate_Store>> read_system_store()
{
    std::string why;
    // Debian, Fedora, SUSE, Alpine.
    for (const char* path : {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                             "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}) {
        try {
            if (::access(path, R_OK) == 0)
                return std::make_shared<Botan::Flatfile_Certificate_Store>(path, true);
        } catch (const std::exception& thrown) {
            why = std::string(path) + ": " + thrown.what();
        }
    }
    try {
        return std::make_shared<Botan::System_Certificate_Store>();
    } catch (const std::exception& thrown) {
        if (why.empty())
            why = thrown.what();
    }
    return failure{alos::errc::bad_configuration,
                   "the system's certificates of authorities cannot be read (" + why
                       + "); install the package ca-certificates, or name the authorities yourself"};
}

// Read once, when first needed.
inline const outcome<std::shared_ptr<Botan::Certificate_Store>>& system_store()
{
    static const outcome<std::shared_ptr<Botan::Certificate_Store>> store = read_system_store();
    return store;
}

}

// The certificates in `roots_pem`, at most max_pem_blocks, and, if `system_roots`, those of the operating system. Reads
// files, once per process; call it where that may take a moment.
[[nodiscard]] inline outcome<trust_anchors_ptr> load_trust_anchors(std::string_view roots_pem, bool system_roots)
{
    std::vector<std::shared_ptr<Botan::Certificate_Store>> stores;
    if (!roots_pem.empty()) {
        const auto blocks = parse_pem(roots_pem);
        if (!blocks)
            return failure{blocks.error().code, "the authorities to trust: " + blocks.error().what};
        auto store = std::make_shared<Botan::Certificate_Store_In_Memory>();
        for (const pem_block& block : *blocks) {
            const auto der = decode_pem(block);
            try {
                if (block.label != "CERTIFICATE" || !der)
                    throw std::invalid_argument("block of another kind");
                store->add_certificate(Botan::X509_Certificate(der->data(), der->size()));
            } catch (const std::exception&) {
                return failure{alos::errc::bad_certificate,
                               "the authorities to trust: a block in their PEM text is no certificate; give "
                               "certificates only"};
            }
        }
        stores.push_back(std::move(store));
    }
    if (system_roots) {
        const auto& store = detail::system_store();
        if (!store)
            return store.error();
        stores.push_back(*store);
    }
    return std::make_shared<const trust_anchors>(std::move(stores));
}

// RFC 9525 6: whether the certificate is for this host name or IP address, by its subjectAltName alone. A wildcard is
// the whole first label.
[[nodiscard]] inline bool is_for(const certificate& leaf, std::string_view server_name)
{
    if (const cert::ip_address address(server_name); !address.empty()) {
        return std::ranges::any_of(leaf.addresses, [&](byte_view each) {
            return equal(cert::ip_address(each).bytes(), address.bytes());
        });
    }
    const cert::host_name wanted(server_name);
    return !wanted.empty() && std::ranges::any_of(leaf.dns_names, [&](std::string_view each) {
        if (!each.starts_with("*."))
            return cert::host_name(each).text() == wanted.text();
        const cert::host_name parent(each.substr(2));
        return !parent.empty() && parent.text() == cert::parent_of(wanted.text());
    });
}

struct options {
    std::string server_name{};             // a host name, which is sent (RFC 6066 3), or an IP address, which is not
    std::vector<std::string> alpn{};       // offered, best first (RFC 7301)
    trust_anchors_ptr authorities{};       // null: nobody
    system_time now{};                     // certificates are judged by it
    bool verify = true;                    // false: any certificate will do; only to look at it
};

namespace detail {

class policy final : public Botan::TLS::Policy {
public:
    bool allow_tls12() const override { return true; }
    bool allow_tls13() const override { return true; }
    bool allow_dtls12() const override { return false; }
    std::vector<std::string> allowed_ciphers() const override
    {
        return {"AES-256/GCM", "AES-128/GCM", "ChaCha20Poly1305"};
    }
    std::vector<std::string> allowed_key_exchange_methods() const override { return {"ECDH"}; }
    bool allow_server_initiated_renegotiation() const override { return false; }
    bool require_cert_revocation_info() const override { return false; }
    bool support_cert_status_message() const override { return false; }
    std::size_t maximum_certificate_chain_size() const override { return 64 * 1024; }
};

// What Botan calls, and what it left there.
class callbacks final : public Botan::TLS::Callbacks {
public:
    explicit callbacks(options given) : settings(std::move(given)) {}

    void tls_emit_data(std::span<const std::uint8_t> data) override { queued.append(data); }
    void tls_record_received(std::uint64_t, std::span<const std::uint8_t> data) override { received.append(data); }
    void tls_session_activated() override { connected = true; }

    void tls_alert(Botan::TLS::Alert alert) override
    {
        const auto description = static_cast<tls13::alert>(alert.type());
        if (!error && (alert.is_fatal() || description == tls13::alert::close_notify))
            error = description;
    }

    bool tls_peer_closed_connection() override
    {
        if (!error)
            error = tls13::alert::close_notify;
        return false;
    }

    void tls_verify_cert_chain(const std::vector<Botan::X509_Certificate>& chain,
                               const std::vector<std::optional<Botan::OCSP::Response>>&,
                               const std::vector<Botan::Certificate_Store*>&, Botan::Usage_Type usage, std::string_view,
                               const Botan::TLS::Policy& policy) override
    {
        if (chain.empty())
            refuse(errc::bad_certificate, "it showed none", Botan::TLS::AlertType::BadCertificate);
        leaf = chain.front().BER_encode();
        if (!settings.verify)
            return;
        if (!settings.authorities)
            refuse(errc::untrusted, "no authority is trusted", Botan::TLS::AlertType::UnknownCA);
        const Botan::Path_Validation_Restrictions restrictions(false, policy.minimum_signature_strength());
        const auto path = Botan::x509_path_validate(chain, restrictions, settings.authorities->stores(), "", usage,
                                                    settings.now);
        if (!path.successful_validation())
            refuse(path.result(), path.result_string(), chain.front());
        const auto parsed = parse_certificate(leaf);
        if (!parsed)
            refuse(errc::bad_certificate, parsed.error().message(), Botan::TLS::AlertType::BadCertificate);
        if (!is_for(*parsed, settings.server_name))
            refuse(errc::wrong_name, names_in(*parsed), Botan::TLS::AlertType::BadCertificate);
    }

    const options settings;
    buffer received; // plaintext
    buffer queued;   // to be sent
    byte_vector leaf;
    error_code error;
    std::string detail; // more about the error
    bool connected = false;

private:
    [[noreturn]] void refuse(errc code, std::string text, Botan::TLS::AlertType alert)
    {
        error = code;
        detail = std::move(text);
        throw Botan::TLS::TLS_Exception(alert, detail);
    }

    [[noreturn]] void refuse(Botan::Certificate_Status_Code status, std::string text,
                             const Botan::X509_Certificate& first)
    {
        using Botan::TLS::AlertType;
        using code = Botan::Certificate_Status_Code;
        if (status == code::CERT_HAS_EXPIRED)
            refuse(errc::expired, text + ": on " + first.not_after().readable_string(), AlertType::CertificateExpired);
        if (status == code::CERT_NOT_YET_VALID)
            refuse(errc::not_yet_valid, text + ": before " + first.not_before().readable_string(),
                   AlertType::CertificateExpired);
        if (status >= code::CERT_ISSUER_NOT_FOUND && status < code::POLICY_ERROR)
            refuse(errc::untrusted, text + ": issued by " + first.issuer_dn().to_string(), AlertType::UnknownCA);
        refuse(errc::bad_certificate, text, AlertType::BadCertificate);
    }

    static std::string names_in(const certificate& leaf)
    {
        std::string names;
        for (const std::string_view each : leaf.dns_names)
            names += (names.empty() ? "" : ", ") + std::string(each.substr(0, cert::max_name_size));
        for (const byte_view each : leaf.addresses)
            names += (names.empty() ? "" : ", ") + cert::ip_address(each).text();
        constexpr std::size_t most = 300;
        if (names.size() > most)
            names = names.substr(0, most) + "...";
        return "it is for " + (names.empty() ? "no name at all" : names);
    }
};

}

// A tls13::engine that starts by itself: its ClientHello is in the output from the beginning.
class engine {
public:
    explicit engine(options settings) : calls_(std::make_shared<detail::callbacks>(std::move(settings)))
    {
        guard([this] {
            const std::string& name = calls_->settings.server_name;
            const bool is_name = cert::ip_address(name).empty();
            client_ = std::make_unique<Botan::TLS::Client>(
                calls_, std::make_shared<Botan::TLS::Session_Manager_Noop>(),
                std::make_shared<Botan::Credentials_Manager>(), std::make_shared<detail::policy>(),
                std::make_shared<Botan::System_RNG>(), Botan::TLS::Server_Information(is_name ? name : std::string()),
                Botan::TLS::Protocol_Version::TLS_V13, calls_->settings.alpn);
        });
    }

    [[nodiscard]] byte_span prepare(std::size_t wanted) { return input_.prepare(wanted); }
    void commit(std::size_t size) noexcept { input_.commit(size); }
    void end_of_input() noexcept { ended_ = true; }

    [[nodiscard]] byte_view plaintext()
    {
        if (calls_->received.empty() && wants() == tls13::want::input) {
            if (!input_.empty()) {
                guard([this] { client_->from_peer(std::as_const(input_).data()); });
                input_.consume(input_.size());
            }
            if (ended_ && calls_->received.empty() && !calls_->error)
                calls_->error = alos::errc::truncated;
        }
        return std::as_const(calls_->received).data();
    }

    void consume(std::size_t size) noexcept { calls_->received.consume(size); }

    [[nodiscard]] std::size_t write(byte_view data)
    {
        const std::size_t waiting = output_size();
        if (!is_connected() || closed_ || is_failed() || waiting >= most_waiting)
            return 0;
        const byte_view taken = data.first(std::min(data.size(), most_waiting - waiting));
        guard([&] { client_->to_peer(taken); });
        return is_failed() ? 0 : taken.size();
    }

    [[nodiscard]] bool has_output() const noexcept { return output_size() > 0; }
    [[nodiscard]] std::size_t output_size() const noexcept { return sending_.size() + calls_->queued.size(); }

    // Two buffers: what is being sent does not move while more is written.
    [[nodiscard]] byte_view output() noexcept
    {
        if (sending_.empty())
            sending_.swap(calls_->queued);
        return std::as_const(sending_).data();
    }

    void consume_output(std::size_t size) noexcept { sending_.consume(size); }

    // What was decrypted before the end is read first.
    [[nodiscard]] tls13::want wants() const noexcept
    {
        return calls_->error ? tls13::want::nothing : tls13::want::input;
    }

    // Why reading is over: the alert that came, what this side found (tls_client::errc, explained by explanation()), or
    // alos::errc::truncated.
    [[nodiscard]] error_code error() const noexcept { return calls_->error; }

    // What is known about the error beyond its message; may be empty.
    [[nodiscard]] const std::string& explanation() const noexcept { return calls_->detail; }

    [[nodiscard]] bool is_connected() const noexcept { return calls_->connected; }
    [[nodiscard]] bool is_failed() const noexcept
    {
        const error_code& ec = calls_->error;
        return ec && ec != tls13::alert::close_notify && ec != alos::errc::truncated;
    }

    // The server's own certificate in DER, as soon as it was seen; empty before.
    [[nodiscard]] byte_view leaf() const noexcept { return calls_->leaf; }

    // The protocol that the server chose (RFC 7301); empty if none.
    [[nodiscard]] std::string application_protocol() const
    {
        return is_connected() ? client_->application_protocol() : std::string();
    }

    void close()
    {
        if (std::exchange(closed_, true) || is_failed())
            return;
        guard([this] {
            if (!client_->is_closed_for_writing())
                client_->close();
        });
    }

    std::size_t discard_input() noexcept
    {
        const std::size_t size = input_.size();
        input_.consume(size);
        return size;
    }

    void release() noexcept
    {
        for (buffer* each : {&input_, &sending_, &calls_->queued, &calls_->received}) {
            if (each->empty())
                each->release();
        }
    }

    void pause() const noexcept {}

private:
    static constexpr std::size_t most_waiting = 256 * 1024;

    // Botan has queued the alert when it throws.
    template <class Work>
    void guard(Work work)
    {
        try {
            work();
            return;
        } catch (const std::bad_alloc&) {
            throw;
        } catch (const std::exception& thrown) {
            if (!calls_->error)
                calls_->detail = thrown.what();
        }
        if (!calls_->error)
            calls_->error = errc::protocol;
    }

    std::shared_ptr<detail::callbacks> calls_;
    std::unique_ptr<Botan::TLS::Client> client_; // null when Botan refused the options
    buffer input_;
    buffer sending_;
    bool ended_ = false;
    bool closed_ = false;
};

static_assert(tls13::engine<engine>);

}

#endif

#include <boost/asio/buffer.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::http {

struct client_options {
    // The addresses of a host name. Empty: those that the system's name servers and hosts file say.
    std::function<boost::asio::awaitable<outcome<dns::addresses>>(std::string host)> resolve{};
    proxies via = proxies_of_environment();
    std::function<system_time()> now = [] { return std::chrono::system_clock::now(); }; // judges certificates
    std::size_t max_header = 64 * 1024; // bytes of an answer's header section
    std::size_t max_idle = 8;           // connections that are kept
    std::chrono::seconds idle_time{60}; // how long; they are looked through whenever a request is made
};

namespace detail {

// Where a request is, for the sentence about its failure.
struct client_progress {
    std::string phase;  // "resolve", "connect", "handshake", "answer"
    std::string origin; // without the target, in which there may be secrets
    std::string address;

    [[nodiscard]] failure fail(error_code code, const std::string& what) const
    {
        const std::string through = address.empty() ? "" : " (" + address + ")";
        return {code, origin + through + ": " + phase + ": " + what};
    }
};

struct client_connection {
    using socket = boost::asio::ip::tcp::socket;

    std::unique_ptr<tls13::stream<socket, plain_engine>> plain{}; // one of the two
    std::unique_ptr<tls13::stream<socket, tls_client::engine>> secure{};
    std::string origin{};
    std::shared_ptr<const trust> authorities{};
    std::string address{};
    std::chrono::steady_clock::time_point idle_since{};
    bool was_used = false;
    bool has_answered = false; // a byte of the answer came
};

// Whether a kept connection is still there: open, with nothing to be read.
template <class Stream>
bool is_quiet(Stream& stream)
{
    for (int tickets = 0; tickets < 4; ++tickets) {
        const error_code ec = stream.try_fill();
        const bool nothing = ec == boost::asio::error::would_block || ec == boost::asio::error::try_again;
        if ((ec && !nothing) || !stream.plaintext().empty() || stream.engine().wants() != tls13::want::input)
            return false;
        if (nothing)
            return true;
    }
    return false;
}

inline bool is_set_by_client(std::string_view name)
{
    for (const std::string_view each : {"Host", "User-Agent", "Content-Length", "Connection", "Transfer-Encoding"}) {
        if (equal_ignoring_case(name, each))
            return true;
    }
    return false;
}

inline bool is_redirect(unsigned status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}

// Used on one thread; outlives its fetches.
class client {
public:
    explicit client(boost::asio::any_io_executor executor, client_options options = {})
        : executor_(std::move(executor)), options_(std::move(options))
    {
        if (!options_.resolve)
            use_system_resolver();
    }

    // The answer, whatever its status. A failure names the phase, the server and the cure, never the target: there may
    // be secrets in it. Cancelled, it ends with boost::asio::error::operation_aborted thrown.
    [[nodiscard]] boost::asio::awaitable<outcome<outbound_response>> fetch(outbound_request request)
    {
        detail::client_progress progress;
        const auto limit = request.timeout;
        auto work = follow(std::move(request), progress);
        auto ended = co_await within(limit, std::move(work));
        if (!ended)
            co_return progress.fail(alos::errc::timed_out, "not done within " + std::to_string(limit.count())
                                                         + " ms; check the network and whether the server works, or "
                                                           "allow more time");
        co_return std::move(*ended);
    }

    // Closes the connections that are kept.
    void close_idle() noexcept { idle_.clear(); }
    [[nodiscard]] std::size_t idle() const noexcept { return idle_.size(); }

private:
    template <class T>
    using awaitable = boost::asio::awaitable<T>;
    using tcp = boost::asio::ip::tcp;
    using connection = detail::client_connection;
    using progress_type = detail::client_progress;

    void use_system_resolver()
    {
        dns::resolver_options settings;
        settings.hosts = dns::system_hosts();
        const auto asker = std::make_shared<dns::resolver>(executor_, dns::system_servers(), std::move(settings));
        options_.resolve = [asker](std::string host) { return asker->find_addresses(std::move(host)); };
    }

    // RFC 9110 15.4: the answer at the end of its redirections.
    awaitable<outcome<outbound_response>> follow(outbound_request request, progress_type& progress)
    {
        progress.phase = "request";
        auto target = parse_url(request.url);
        if (!target)
            co_return progress.fail(target.error().code, target.error().what);
        progress.origin = target->origin();
        if (const auto checked = check(request); !checked)
            co_return progress.fail(checked.error().code, checked.error().what);
        const bool may_follow = request.max_redirects > 0 && (request.method == "GET" || request.method == "HEAD");
        for (unsigned redirects = 0;; ++redirects) {
            outcome<outbound_response> answered = co_await ask(request, *target, progress);
            if (!answered)
                co_return std::move(answered);
            answered->url = target->text();
            const std::string location(answered->field("Location"));
            if (!may_follow || !detail::is_redirect(answered->status) || location.empty())
                co_return std::move(answered);
            if (redirects == request.max_redirects)
                co_return progress.fail(make_error_code(boost::system::errc::too_many_links),
                                        "more than " + std::to_string(redirects)
                                            + " redirections; ask for the final address");
            auto next = resolve_reference(*target, location);
            if (!next)
                co_return progress.fail(next.error().code, "a redirection to " + next.error().what);
            if (target->is_secure() && !next->is_secure())
                co_return progress.fail(make_error_code(boost::system::errc::permission_denied),
                                        "a redirection from https to " + next->origin() + ", which is not followed");
            // What proves who asks is for whom it was meant.
            if (next->origin() != target->origin())
                std::erase_if(request.fields, [](const auto& one) {
                    return equal_ignoring_case(one.first, "Authorization") || equal_ignoring_case(one.first, "Cookie");
                });
            *target = std::move(*next);
            progress.origin = target->origin();
            progress.address.clear();
        }
    }

    [[nodiscard]] static outcome<> check(const outbound_request& request)
    {
        const error_code invalid = make_error_code(boost::system::errc::invalid_argument);
        if (!is_token(request.method) || request.method == "CONNECT")
            return failure{invalid, "the method is no word of HTTP, or CONNECT"};
        for (const auto& [name, value] : request.fields) {
            if (!is_token(name))
                return failure{invalid, "a field's name that cannot be sent; it is made of letters, digits and '-'"};
            if (!is_field_value(value))
                return failure{invalid, "the field " + name + " has a line end or a control character in its value"};
        }
        return {};
    }

    awaitable<outcome<outbound_response>> ask(const outbound_request& request, const url& target,
                                              progress_type& progress)
    {
        const auto via = proxy_for(options_.via, target);
        if (!via)
            co_return progress.fail(via.error().code, via.error().what);
        const bool is_forwarded = via->has_value() && !target.is_secure();
        const std::string message = message_of(request, target, is_forwarded);
        if (auto kept = take_idle(target, request.authorities)) {
            auto answered = co_await exchange(*kept, request, message, progress);
            // RFC 9112 9.3.1: it may have been closed just when the request was sent; nothing was answered to it.
            if (answered || kept->has_answered) {
                keep_if(std::move(kept), answered.has_value());
                co_return std::move(answered);
            }
        }
        auto opened = co_await open(target, *via, request.authorities, progress);
        if (!opened)
            co_return opened.error();
        auto answered = co_await exchange(**opened, request, message, progress);
        keep_if(std::move(*opened), answered.has_value());
        co_return std::move(answered);
    }

    // RFC 9112 3.2, 6.2, RFC 9110 8.6, 10.1.5
    [[nodiscard]] static std::string message_of(const outbound_request& request, const url& target, bool is_forwarded)
    {
        std::string message = request.method + " " + (is_forwarded ? target.text() : target.target) + " HTTP/1.1\r\n";
        message += "Host: " + target.authority() + "\r\n";
        message += "User-Agent: " + user_agent() + "\r\n";
        const bool is_plain = request.method == "GET" || request.method == "HEAD" || request.method == "DELETE";
        if (!is_plain || !request.body.empty())
            message += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
        for (const auto& [name, value] : request.fields) {
            if (!detail::is_set_by_client(name))
                message += name + ": " + value + "\r\n";
        }
        return message + "\r\n" + request.body;
    }

    [[nodiscard]] static std::string user_agent()
    {
        return "alos/" + std::to_string(ALOS_VERSION_MAJOR) + "." + std::to_string(ALOS_VERSION_MINOR) + "."
               + std::to_string(ALOS_VERSION_PATCH);
    }

    // --- connections ---

    std::unique_ptr<connection> take_idle(const url& target, const std::shared_ptr<const trust>& authorities)
    {
        const auto oldest = std::chrono::steady_clock::now() - options_.idle_time;
        idle_.remove_if([&](const auto& each) { return each->idle_since < oldest; });
        const std::string origin = target.origin();
        for (auto each = idle_.begin(); each != idle_.end();) {
            if ((*each)->origin != origin || (*each)->authorities != authorities) {
                ++each;
                continue;
            }
            std::unique_ptr<connection> found = std::move(*each);
            each = idle_.erase(each);
            if (found->secure ? detail::is_quiet(*found->secure) : detail::is_quiet(*found->plain)) {
                found->has_answered = false;
                return found;
            }
        }
        return nullptr;
    }

    void keep_if(std::unique_ptr<connection> one, bool is_fine)
    {
        if (!is_fine || !one->was_used || options_.max_idle == 0)
            return;
        one->idle_since = std::chrono::steady_clock::now();
        if (idle_.size() >= options_.max_idle)
            idle_.pop_back();
        idle_.push_front(std::move(one));
    }

    awaitable<outcome<std::unique_ptr<connection>>> open(const url& target, const std::optional<url>& proxy,
                                                         std::shared_ptr<const trust> authorities,
                                                         progress_type& progress)
    {
        const url& first = proxy ? *proxy : target;
        const std::string whom = proxy ? "the proxy " + proxy->host : target.host;
        progress.phase = "resolve";
        progress.address = whom;
        dns::addresses addresses;
        error_code no_literal;
        addresses.push_back(boost::asio::ip::make_address(first.host, no_literal));
        if (no_literal) {
            auto resolved = co_await options_.resolve(first.host);
            if (!resolved)
                co_return progress.fail(resolved.error().code, resolved.error().what);
            addresses = std::move(*resolved);
        }
        progress.phase = "connect";
        auto connected = co_await connect(executor_, std::move(addresses), first.port);
        if (!connected)
            co_return progress.fail(connected.error().code,
                                    connected.error().what + "; check that " + whom
                                        + " runs and that no firewall is in the way");
        auto one = std::make_unique<connection>();
        one->origin = target.origin();
        one->authorities = authorities;
        error_code gone;
        const auto there = connected->remote_endpoint(gone);
        one->address = (proxy ? "by the proxy " : "") + detail::to_text(there);
        progress.address = one->address;
        connected->set_option(tcp::no_delay(true), gone);
        if (!target.is_secure()) {
            one->plain = std::make_unique<tls13::stream<tcp::socket, plain_engine>>(std::move(*connected));
            co_return std::move(one);
        }
        if (proxy) {
            auto trouble = co_await tunnel(*connected, target, progress);
            if (trouble)
                co_return std::move(*trouble);
        }
        progress.phase = "handshake";
        tls_client::options settings;
        settings.server_name = target.host;
        settings.alpn.emplace_back("http/1.1");
        settings.now = options_.now();
        auto anchors = anchors_of(authorities);
        if (!anchors)
            co_return progress.fail(anchors.error().code, anchors.error().what);
        settings.authorities = std::move(*anchors);
        one->secure = std::make_unique<tls13::stream<tcp::socket, tls_client::engine>>(std::move(*connected),
                                                                                      std::move(settings));
        const auto shaken = co_await one->secure->async_handshake(as_results);
        throw_if_aborted(std::get<0>(shaken));
        if (std::get<0>(shaken))
            co_return progress.fail(std::get<0>(shaken), handshake_trouble(std::get<0>(shaken), *one->secure));
        co_return std::move(one);
    }

    // RFC 9110 9.3.6: why the proxy's connection to `target` did not come about, if it did not.
    awaitable<std::optional<failure>> tunnel(tcp::socket& socket, const url& target, progress_type& progress)
    {
        progress.phase = "connect";
        const std::string there = target.host_and_port();
        std::string text = "CONNECT " + there + " HTTP/1.1\r\nHost: " + there + "\r\nUser-Agent: " + user_agent()
                           + "\r\n\r\n";
        const auto sent = co_await boost::asio::async_write(socket, boost::asio::buffer(text), as_results);
        throw_if_aborted(std::get<0>(sent));
        if (std::get<0>(sent))
            co_return progress.fail(std::get<0>(sent), "the proxy: " + std::get<0>(sent).message());
        text.clear();
        auto into = boost::asio::dynamic_buffer(text, options_.max_header);
        const auto got = co_await boost::asio::async_read_until(socket, into, "\r\n\r\n", as_results);
        throw_if_aborted(std::get<0>(got));
        if (std::get<0>(got))
            co_return progress.fail(std::get<0>(got), "the proxy did not answer: " + std::get<0>(got).message());
        boost::beast::http::response_parser<boost::beast::http::empty_body> parser;
        parser.skip(true);
        boost::beast::error_code ec;
        parser.put(boost::asio::buffer(text), ec);
        if (ec || std::get<1>(got) != text.size())
            co_return progress.fail(ec ? ec : make_error_code(boost::system::errc::protocol_error),
                                    "the proxy's answer is not HTTP; check http_proxy and https_proxy");
        if (parser.get().result_int() / 100 != 2)
            co_return progress.fail(make_error_code(boost::system::errc::connection_refused),
                                    "the proxy refused with status " + std::to_string(parser.get().result_int())
                                        + "; ask its owner to allow " + there + ", or name the host in no_proxy");
        co_return std::nullopt;
    }

    [[nodiscard]] static std::string handshake_trouble(
        error_code ec, const tls13::stream<tcp::socket, tls_client::engine>& stream)
    {
        std::string text = ec.message();
        if (ec == stream.engine().error() && !stream.engine().explanation().empty())
            text += " (" + stream.engine().explanation() + ")";
        if (ec == tls_client::errc::untrusted)
            text += "; if the server is yours, give its authority's certificate as a root";
        else if (ec == tls_client::errc::expired || ec == tls_client::errc::not_yet_valid)
            text += "; check this machine's clock, or have the server's certificate renewed";
        else if (ec == tls_client::errc::wrong_name)
            text += "; check the URL";
        return text;
    }

    // What `authorities` name, read once while they live.
    [[nodiscard]] outcome<tls_client::trust_anchors_ptr> anchors_of(const std::shared_ptr<const trust>& authorities)
    {
        for (const auto& [known, anchors] : anchors_) {
            if (known == authorities)
                return anchors;
        }
        const trust usual;
        const trust& wanted = authorities ? *authorities : usual;
        auto loaded = tls_client::load_trust_anchors(wanted.roots_pem, wanted.system_roots);
        if (loaded) {
            if (anchors_.size() == max_trusts)
                anchors_.erase(anchors_.begin());
            anchors_.emplace_back(authorities, *loaded);
        }
        return loaded;
    }

    // --- one request and its answer ---

    awaitable<outcome<outbound_response>> exchange(connection& one, const outbound_request& request,
                                                   const std::string& message, progress_type& progress)
    {
        progress.phase = "answer";
        progress.address = one.address;
        one.was_used = false;
        return one.secure ? exchange(*one.secure, one, request, message, progress)
                          : exchange(*one.plain, one, request, message, progress);
    }

    template <class Stream>
    awaitable<outcome<outbound_response>> exchange(Stream& stream, connection& one, const outbound_request& request,
                                                   const std::string& message, progress_type& progress)
    {
        for (std::size_t sent = 0; sent < message.size();) {
            const std::size_t size = stream.write(as_bytes(message).subspan(sent));
            const auto flushed = co_await stream.async_flush(as_results);
            throw_if_aborted(std::get<0>(flushed));
            if (std::get<0>(flushed))
                co_return progress.fail(std::get<0>(flushed), "sending: " + std::get<0>(flushed).message());
            if (size == 0)
                co_return progress.fail(alos::errc::truncated, "the server closed the connection");
            sent += size;
        }
        buffer input;
        for (int interim = 0; interim < max_interim_answers; ++interim) {
            boost::beast::http::response_parser<boost::beast::http::string_body> parser;
            parser.eager(true);
            parser.header_limit(static_cast<std::uint32_t>(options_.max_header));
            parser.body_limit(request.max_body);
            parser.skip(request.method == "HEAD");
            while (!parser.is_done()) {
                if (!input.empty()) {
                    boost::beast::error_code ec;
                    const byte_view bytes = std::as_const(input).data();
                    const std::size_t taken = parser.put(boost::asio::buffer(bytes.data(), bytes.size()), ec);
                    input.consume(taken);
                    if (ec && ec != boost::beast::http::error::need_more)
                        co_return progress.fail(ec, trouble_with(ec, request));
                    if (parser.is_done() || (taken > 0 && !input.empty()))
                        continue;
                    if (input.size() > options_.max_header) // the line of a chunk, or trailers
                        co_return progress.fail(boost::beast::http::error::header_limit, "a line without end");
                }
                if (stream.plaintext().empty()) {
                    const auto filled = co_await stream.async_fill(as_results);
                    const error_code ec = std::get<0>(filled);
                    throw_if_aborted(ec);
                    boost::beast::error_code at_end;
                    if (ec == boost::asio::error::eof && parser.is_header_done())
                        parser.put_eof(at_end); // RFC 9112 6.3: a body without a length ends with the connection
                    if (ec && (at_end || !parser.is_done())) {
                        const bool is_cut = ec == boost::asio::error::eof;
                        co_return progress.fail(is_cut ? make_error_code(alos::errc::truncated) : ec,
                                                "the connection ended before the answer did (" + ec.message()
                                                    + "); try again");
                    }
                }
                one.has_answered |= !stream.plaintext().empty();
                input.append(stream.plaintext());
                stream.consume(stream.plaintext().size());
            }
            // RFC 9112 6.1: a coding that is not understood leaves open where the message ends.
            if (parser.get().find("Transfer-Encoding") != parser.get().end() && !parser.chunked())
                co_return progress.fail(make_error_code(boost::system::errc::protocol_error),
                                        "an answer in a transfer coding other than chunked");
            const unsigned status = parser.get().result_int();
            if (status == 101)
                co_return progress.fail(make_error_code(boost::system::errc::protocol_error),
                                        "the server changes the protocol although it was not asked to");
            if (status < 200)
                continue; // RFC 9110 15.2
            one.was_used = parser.keep_alive() && input.empty();
            co_return response_of(parser.release());
        }
        co_return progress.fail(make_error_code(boost::system::errc::protocol_error), "interim answers without end");
    }

    [[nodiscard]] static std::string trouble_with(const error_code& ec, const outbound_request& request)
    {
        if (ec == boost::beast::http::error::body_limit)
            return "the body is longer than " + std::to_string(request.max_body) + " bytes";
        if (ec == boost::beast::http::error::header_limit)
            return "the header section is too long";
        return "the answer is not HTTP: " + ec.message() + "; check the URL's scheme and port";
    }

    [[nodiscard]] static outbound_response response_of(
        boost::beast::http::response<boost::beast::http::string_body> parsed)
    {
        outbound_response response;
        response.status = parsed.result_int();
        for (const auto& field : parsed)
            response.fields.emplace_back(std::string(field.name_string()), std::string(field.value()));
        response.body = std::move(parsed.body());
        return response;
    }

    static constexpr int max_interim_answers = 8;
    static constexpr std::size_t max_trusts = 16;

    boost::asio::any_io_executor executor_;
    client_options options_;
    std::list<std::unique_ptr<connection>> idle_; // the latest first
    std::vector<std::pair<std::shared_ptr<const trust>, tls_client::trust_anchors_ptr>> anchors_;
};

}

#endif
// ---- alos/os/posix_files.hpp ----
// The file system of POSIX, with what only Linux has: renameat2(), and inotify to be told of changes.
#ifndef ALOS_OS_POSIX_FILES_HPP
#define ALOS_OS_POSIX_FILES_HPP


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

#include <boost/asio/steady_timer.hpp>

#include <ifaddrs.h>
#include <net/if.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0 {

// All members are called on the thread of `executor`.
class acme_environment final : public acme::environment {
public:
    template <class T = void>
    using awaitable = acme::awaitable<T>;

    explicit acme_environment(boost::asio::any_io_executor executor)
        : executor_(std::move(executor)), files_(executor_), resolver_(make_resolver(dns::system_servers())),
          client_(std::make_unique<http::client>(executor_, options()))
    {
    }

    // Asks these name servers instead of the system's: "address[:port]", several with commas between them.
    [[nodiscard]] outcome<> use_resolver(std::string_view servers)
    {
        auto parsed = dns::parse_servers(servers);
        if (!parsed)
            return parsed.error();
        resolver_ = make_resolver(std::move(*parsed));
        return {};
    }

    [[nodiscard]] acme::time_point now() override { return std::chrono::system_clock::now(); }

    void random(byte_span out) override { botan_crypto().random(out); }

    // In steps, so that a machine that slept and a clock that was set are noticed.
    [[nodiscard]] awaitable<> sleep_until(acme::time_point when) override
    {
        constexpr std::chrono::system_clock::duration step = std::chrono::minutes(1);
        boost::asio::steady_timer timer(executor_);
        for (auto left = when - now(); left > left.zero(); left = when - now()) {
            timer.expires_after(std::min(left, step));
            co_await timer.async_wait(boost::asio::use_awaitable);
        }
    }

    [[nodiscard]] awaitable<outcome<http::outbound_response>> fetch(http::outbound_request request) override
    {
        auto answer = client_->fetch(std::move(request));
        co_return co_await std::move(answer);
    }

    [[nodiscard]] awaitable<outcome<dns::answer>> resolve(std::string name, dns::record_type type) override
    {
        const std::shared_ptr<dns::resolver> asker = resolver_; // another may take its place meanwhile
        auto answer = asker->resolve(std::move(name), type);
        co_return co_await std::move(answer);
    }

    [[nodiscard]] awaitable<outcome<byte_vector>> probe(acme::tls_probe what) override
    {
        auto look = look_at(what);
        auto seen = co_await within(probe_time, std::move(look));
        if (!seen)
            co_return failure{errc::timed_out, what.address + ":" + std::to_string(what.port)
                                                   + ": no TLS handshake within 5 seconds; check firewalls"};
        co_return std::move(*seen);
    }

    [[nodiscard]] std::vector<std::string> local_addresses() override
    {
        std::vector<std::string> found;
        ::ifaddrs* list = nullptr;
        if (::getifaddrs(&list) != 0)
            return found;
        const std::unique_ptr<::ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
        for (const ::ifaddrs* each = list; each; each = each->ifa_next) {
            if (!each->ifa_addr || (each->ifa_flags & IFF_LOOPBACK) != 0)
                continue;
            char text[INET6_ADDRSTRLEN];
            const void* bytes = nullptr;
            if (each->ifa_addr->sa_family == AF_INET)
                bytes = &reinterpret_cast<const ::sockaddr_in*>(each->ifa_addr)->sin_addr;
            else if (each->ifa_addr->sa_family == AF_INET6)
                bytes = &reinterpret_cast<const ::sockaddr_in6*>(each->ifa_addr)->sin6_addr;
            if (bytes && ::inet_ntop(each->ifa_addr->sa_family, bytes, text, sizeof text))
                found.emplace_back(text);
        }
        return found;
    }

    [[nodiscard]] os::file_system& files() override { return files_; }

private:
    using tcp = boost::asio::ip::tcp;
    static constexpr std::chrono::seconds probe_time{5};

    [[nodiscard]] std::shared_ptr<dns::resolver> make_resolver(std::vector<dns::endpoint> servers) const
    {
        dns::resolver_options settings;
        settings.hosts = dns::system_hosts();
        return std::make_shared<dns::resolver>(executor_, std::move(servers), std::move(settings));
    }

    [[nodiscard]] http::client_options options()
    {
        http::client_options chosen;
        chosen.resolve = [this](std::string host) { return find_addresses(std::move(host)); };
        return chosen;
    }

    [[nodiscard]] awaitable<outcome<dns::addresses>> find_addresses(std::string host)
    {
        const std::shared_ptr<dns::resolver> asker = resolver_;
        auto found = asker->find_addresses(std::move(host));
        co_return co_await std::move(found);
    }

    // A handshake that stops at the certificate.
    [[nodiscard]] awaitable<outcome<byte_vector>> look_at(acme::tls_probe what)
    {
        error_code ec;
        const auto address = boost::asio::ip::make_address(what.address, ec);
        if (ec)
            co_return failure{ec, what.address + " is no IP address"};
        const std::string there = what.address + ":" + std::to_string(what.port);
        tcp::socket socket(executor_);
        const tcp::endpoint endpoint(address, what.port);
        const auto connected = co_await socket.async_connect(endpoint, as_results);
        if (std::get<0>(connected)) {
            throw_if_aborted(std::get<0>(connected));
            co_return failure{std::get<0>(connected), there + ": " + std::get<0>(connected).message()};
        }
        tls_client::options wanted;
        wanted.server_name = what.server_name;
        wanted.alpn = {what.alpn};
        wanted.verify = false;
        tls13::stream<tcp::socket, tls_client::engine> stream(std::move(socket), std::move(wanted));
        const auto shaken = co_await stream.async_handshake(as_results);
        throw_if_aborted(std::get<0>(shaken));
        const byte_view leaf = stream.engine().leaf();
        if (leaf.empty())
            co_return failure{std::get<0>(shaken), there + ": " + std::get<0>(shaken).message()};
        co_return byte_vector(leaf.begin(), leaf.end());
    }

    const boost::asio::any_io_executor executor_;
    os::posix_files files_;
    std::shared_ptr<dns::resolver> resolver_;
    std::unique_ptr<http::client> client_;
};

}

#endif

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

namespace alos::inline v0 {

class acme_service final : public acme::service {
public:
    template <class T = void>
    using awaitable = acme::awaitable<T>;

    explicit acme_service(acme::host to)
        : host_(std::move(to)), guard_(context_.get_executor()), world_(context_.get_executor()),
          thread_([this] { context_.run(); })
    {
    }

    ~acme_service() override
    {
        stop();
        context_.shutdown(); // what still waits goes before what it refers to
    }

    [[nodiscard]] outcome<> configure(acme::config settings) override { return call(do_configure(std::move(settings))); }

    [[nodiscard]] outcome<> add_domain(acme::certificate_names names) override
    {
        return call(do_add(std::move(names)));
    }

    [[nodiscard]] outcome<> remove_domain(std::string_view domain) override
    {
        return call(do_remove(std::string(domain)));
    }

    [[nodiscard]] outcome<> start() override { return call(do_start()); }

    void stop() noexcept override
    {
        if (is_stopped_.exchange(true))
            return;
        boost::asio::post(context_, [this] { begin_to_stop(); });
        if (thread_.get_id() != std::this_thread::get_id())
            thread_.join();
        else
            thread_.detach(); // an event of ours led here; what it returns to is over
    }

    [[nodiscard]] std::vector<acme::certificate_status> certificates() const override
    {
        return const_cast<acme_service*>(this)->call(do_list());
    }

    [[nodiscard]] std::string certificates_json() const override
    {
        boost::json::array list;
        for (const acme::certificate_status& each : certificates())
            list.push_back(to_json(each));
        return boost::json::serialize(list);
    }

    [[nodiscard]] awaitable<outcome<>> force_renew(std::string domain,
                                                   std::function<void(const acme::event&)> told) override
    {
        auto work = do_force_renew(std::move(domain), std::move(told));
        return there(std::move(work));
    }

    [[nodiscard]] awaitable<outcome<cert::credential_ptr>> obtain(std::string name) override
    {
        auto work = do_obtain(std::move(name));
        return there(std::move(work));
    }

    [[nodiscard]] awaitable<outcome<>> revoke(std::string domain, unsigned reason) override
    {
        auto work = do_revoke(std::move(domain), reason);
        return there(std::move(work));
    }

private:
    struct context_type : boost::asio::io_context {
        context_type() : boost::asio::io_context(1) {}
        using boost::asio::execution_context::shutdown;
    };

    static constexpr std::chrono::milliseconds stop_step{10};
    static constexpr std::chrono::milliseconds stop_time{4500};

    static failure not_configured()
    {
        return {errc::bad_configuration, "acme: nothing is configured yet; enable_acme() does that"};
    }

    static failure stopped() { return {errc::closed, "acme: the manager of certificates was stopped"}; }

    // Runs on our thread what a thread of somebody else waits for.
    template <class T>
    [[nodiscard]] T call(awaitable<T> work)
    {
        if (is_stopped_ || thread_.get_id() == std::this_thread::get_id()) {
            if constexpr (std::is_constructible_v<T, failure>)
                return is_stopped_ ? stopped() : failure{errc::bad_configuration, "acme: not from an event's handler"};
            else
                return T();
        }
        std::promise<T> promise;
        auto done = promise.get_future();
        boost::asio::co_spawn(context_, std::move(work),
                              [promise = std::move(promise)](const std::exception_ptr& thrown, T value) mutable {
                                  if (thrown)
                                      promise.set_exception(thrown);
                                  else
                                      promise.set_value(std::move(value));
                              });
        return done.get();
    }

    // Runs on our thread what a coroutine of somebody else awaits.
    template <class T>
    [[nodiscard]] awaitable<T> there(awaitable<T> work)
    {
        if (is_stopped_)
            co_return stopped();
        auto done = boost::asio::co_spawn(context_, std::move(work), boost::asio::use_awaitable);
        co_return co_await std::move(done);
    }

    [[nodiscard]] awaitable<outcome<>> do_configure(acme::config settings)
    {
        const auto resolver = settings.resolver.empty() ? outcome<>() : world_.use_resolver(settings.resolver);
        if (!manager_) {
            if (auto opened = open(settings); !opened)
                co_return opened;
        } else if (settings.cache_dir != cache_dir_) {
            co_return failure{errc::bad_configuration, "acme: cache_dir is " + cache_dir_
                                                           + " already, and cannot become " + settings.cache_dir};
        }
        auto done = co_await manager_->configure(std::move(settings));
        co_return done ? resolver : done;
    }

    // The storage. A folder that is certbot's or lego's is served from, and ours is beside the program.
    [[nodiscard]] outcome<> open(const acme::config& settings)
    {
        std::string directory = settings.cache_dir;
        if (acme::is_certbot(world_.files(), directory) || acme::is_lego(world_.files(), directory)) {
            serve_foreign(directory);
            directory = acme::config().cache_dir;
        }
        char name[256] = "";
        ::gethostname(name, sizeof name - 1);
        auto storage = std::make_unique<acme::file_storage>(
            world_.files(), directory, std::string(name) + " process " + std::to_string(::getpid()),
            [this] { return world_.now(); }, context_.get_executor(), settings.generations_kept);
        // What is there is served all the same; nothing is ordered as long as nothing can be kept.
        if (auto ready = storage->prepare(); !ready)
            host_.log(log_level::error, "acme.storage", {{"reason", ready.error().what}});
        cache_dir_ = settings.cache_dir;
        storage_ = std::move(storage);
        manager_ = std::make_unique<acme::manager>(
            world_, *storage_, host_,
            [this](const acme::event& what) {
                if (on_event)
                    on_event(what);
            },
            context_.get_executor());
        return {};
    }

    void serve_foreign(const std::string& directory)
    {
        auto all = acme::read_foreign(world_.files(), directory);
        for (const std::string& why : all.skipped)
            host_.log(log_level::error, "acme.unreadable", {{"reason", why}});
        cert::named_credentials made;
        for (const acme::foreign_certificate& each : all.found) {
            auto credential = cert::make_credential(each.chain_pem, as_text(each.key_pem));
            if (credential)
                made.emplace_back(each.name, std::move(*credential));
        }
        host_.log(log_level::info, "acme.foreign",
                  {{"folder", directory}, {"certificates", made.size()}, {"hint", "they are served and not renewed"}});
        if (const auto done = host_.certificates.add_credentials(std::move(made)); !done)
            host_.log(log_level::error, "acme.unreadable", {{"reason", done.error().what}});
    }

    [[nodiscard]] awaitable<outcome<>> do_add(acme::certificate_names names)
    {
        if (!manager_)
            co_return not_configured();
        std::vector<acme::certificate_names> wanted;
        wanted.push_back(std::move(names));
        auto done = co_await manager_->add(std::move(wanted));
        co_return done;
    }

    [[nodiscard]] awaitable<outcome<>> do_remove(std::string domain)
    {
        co_return manager_ ? manager_->remove(domain) : outcome<>(not_configured());
    }

    [[nodiscard]] awaitable<outcome<>> do_start()
    {
        if (!manager_)
            co_return not_configured();
        if (std::exchange(is_started_, true))
            co_return outcome<>();
        spawn(manager_->run(), run_);
        spawn(manager_->follow(), follow_);
        co_return outcome<>();
    }

    void spawn(awaitable<> work, boost::asio::cancellation_signal& cancel)
    {
        ++running_;
        const auto slot = cancel.slot();
        boost::asio::co_spawn(context_, std::move(work),
                              boost::asio::bind_cancellation_slot(slot, [this](const std::exception_ptr& thrown) {
                                  --running_;
                                  if (!is_stopped_)
                                      host_.log(log_level::error, "acme.stopped",
                                                {{"reason", thrown ? text_of_exception(thrown) : std::string()},
                                                 {"hint", "certificates are not renewed any more; restart"}});
                              }));
    }

    [[nodiscard]] awaitable<std::vector<acme::certificate_status>> do_list() const
    {
        co_return manager_ ? manager_->certificates() : std::vector<acme::certificate_status>();
    }

    [[nodiscard]] awaitable<outcome<>> do_force_renew(std::string domain, std::function<void(const acme::event&)> told)
    {
        if (!manager_)
            co_return not_configured();
        auto done = co_await manager_->force_renew(std::move(domain), std::move(told));
        co_return done;
    }

    [[nodiscard]] awaitable<outcome<cert::credential_ptr>> do_obtain(std::string name)
    {
        if (!manager_)
            co_return not_configured();
        auto done = co_await manager_->obtain(std::move(name));
        co_return done;
    }

    [[nodiscard]] awaitable<outcome<>> do_revoke(std::string domain, unsigned reason)
    {
        if (!manager_)
            co_return not_configured();
        auto done = co_await manager_->revoke(std::move(domain), reason);
        co_return done;
    }

    void begin_to_stop()
    {
        run_.emit(boost::asio::cancellation_type::terminal);
        follow_.emit(boost::asio::cancellation_type::terminal);
        if (manager_)
            manager_->stop();
        wait_for_end(std::chrono::steady_clock::now() + stop_time);
    }

    void wait_for_end(std::chrono::steady_clock::time_point latest)
    {
        const bool is_over = running_ == 0 && (!manager_ || manager_->is_idle());
        stopping_.expires_after(stop_step);
        stopping_.async_wait([this, latest, is_over](error_code) {
            // One more round than needed: who was told of the end has its turn.
            if (is_over || std::chrono::steady_clock::now() > latest)
                context_.stop();
            else
                wait_for_end(latest);
        });
    }

    const acme::host host_;
    context_type context_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
    acme_environment world_;
    boost::asio::steady_timer stopping_{context_};
    std::string cache_dir_;
    std::unique_ptr<acme::file_storage> storage_;
    std::unique_ptr<acme::manager> manager_;
    boost::asio::cancellation_signal run_;
    boost::asio::cancellation_signal follow_;
    unsigned running_ = 0;
    bool is_started_ = false;
    std::atomic<bool> is_stopped_ = false;
    std::thread thread_;
};

}

#endif

namespace alos::inline v0 {

namespace detail {

inline boost::asio::awaitable<outcome<http::outbound_response>> fetch_once(http::outbound_request request)
{
    const auto executor = co_await boost::asio::this_coro::executor;
    http::client client(executor);
    auto answer = client.fetch(std::move(request));
    co_return co_await std::move(answer);
}

inline const bool has_acme = [] {
    acme::make_service = [](acme::host to) -> std::unique_ptr<acme::service> {
        return std::make_unique<acme_service>(std::move(to));
    };
    acme::fetch_challenge = &fetch_once;
    return true;
}();

}

}

#endif
#endif
