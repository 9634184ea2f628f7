// Watches the heap of the whole program, Botan's secure vectors included: counts allocations, and on request keeps
// what is freed as it is, to be searched. For one source file of a program. Sanitizers have a heap of their own; with
// them nothing is watched and `watched` is false.
#ifndef ALOS_TESTS_SUPPORT_HEAP_HPP
#define ALOS_TESTS_SUPPORT_HEAP_HPP

#include <alos/bytes.hpp>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ALOS_TESTS_HEAP_WATCHED 0
#elif defined(__has_feature)
#define ALOS_TESTS_HEAP_WATCHED !(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define ALOS_TESTS_HEAP_WATCHED 1
#endif

namespace alos_tests::heap {

inline constexpr bool watched = ALOS_TESTS_HEAP_WATCHED;

// Since the program began.
inline std::size_t allocations = 0;

// All that is allocated while one of these lives is remembered, and nothing is given back to the system. One at a time.
class recording {
public:
    recording() noexcept
    {
        count_ = 0;
        active_ = true;
    }
    recording(const recording&) = delete;
    recording& operator=(const recording&) = delete;
    ~recording() { active_ = false; }

    // Stops remembering and counts the blocks, freed or not, in which `bytes` can be found.
    [[nodiscard]] static std::size_t blocks_with(alos::byte_view bytes) noexcept
    {
        active_ = false;
        std::size_t found = 0;
        for (std::size_t i = 0; i < count_; ++i)
            found += ::memmem(blocks_[i].memory, blocks_[i].size, bytes.data(), bytes.size()) != nullptr;
        return found;
    }

    [[nodiscard]] static bool complete() noexcept { return count_ < blocks_.size(); }

    static void* remember(void* memory, std::size_t size) noexcept
    {
        ++allocations;
        if (active_ && count_ < blocks_.size())
            blocks_[count_++] = {memory, size};
        return memory;
    }

    [[nodiscard]] static bool keeps(void*) noexcept { return active_; }

private:
    struct block {
        void* memory;
        std::size_t size;
    };

    inline static std::array<block, 1 << 17> blocks_{};
    inline static std::size_t count_ = 0;
    inline static bool active_ = false;
};

}

#if ALOS_TESTS_HEAP_WATCHED

// Botan takes its secrets from a pool of its own unless this says otherwise, which it asks for before main().
[[gnu::constructor(101)]] inline void alos_tests_without_botan_pool() { ::setenv("BOTAN_MLOCK_POOL_SIZE", "0", 1); }

extern "C" {

void* __libc_malloc(std::size_t) noexcept;
void* __libc_calloc(std::size_t, std::size_t) noexcept;
void* __libc_memalign(std::size_t, std::size_t) noexcept;
void __libc_free(void*) noexcept;
std::size_t malloc_usable_size(void*) noexcept;

void* malloc(std::size_t size) noexcept { return alos_tests::heap::recording::remember(__libc_malloc(size), size); }

void* calloc(std::size_t count, std::size_t size) noexcept
{
    return alos_tests::heap::recording::remember(__libc_calloc(count, size), count * size);
}

void* memalign(std::size_t alignment, std::size_t size) noexcept
{
    return alos_tests::heap::recording::remember(__libc_memalign(alignment, size), size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept { return memalign(alignment, size); }

int posix_memalign(void** out, std::size_t alignment, std::size_t size) noexcept
{
    *out = memalign(alignment, size);
    return *out ? 0 : ENOMEM;
}

void free(void* memory) noexcept
{
    if (!alos_tests::heap::recording::keeps(memory))
        __libc_free(memory);
}

void* realloc(void* memory, std::size_t size) noexcept
{
    void* const moved = malloc(size);
    if (moved && memory) {
        const std::size_t old = malloc_usable_size(memory);
        std::memcpy(moved, memory, old < size ? old : size);
        free(memory);
    }
    return moved;
}
}

#endif

#endif
