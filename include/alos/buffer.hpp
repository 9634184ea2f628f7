// A contiguous byte queue whose memory comes from a thread's free lists: no malloc in steady state, and an idle
// connection gives its memory back.
#ifndef ALOS_BUFFER_HPP
#define ALOS_BUFFER_HPP

#include <alos/bytes.hpp>

#include <array>
#include <bit>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

namespace alos::inline v0 {

// One thread's free blocks. A block may be taken from one thread's pool and given back to another's. When the thread
// has ended the pool is closed: what a static object still gives back is freed.
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
