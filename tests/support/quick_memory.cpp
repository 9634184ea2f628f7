// Memory for the simulation of years, which allocates a hundred million times: by size, from lists of each thread's
// own, and given back to nobody. No other test may use this, and none with a sanitizer.
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

constexpr std::size_t block_size = 1 << 16; // bytes, all of them cut into pieces of one size
constexpr std::size_t most_blocks = 1 << 18;
constexpr std::size_t step = 16; // between sizes, and what every piece is aligned to
constexpr std::size_t largest = 2048;

struct piece {
    piece* next;
};

// What is reserved costs nothing until it is touched.
std::byte* reserve() noexcept
{
    void* const got = ::mmap(nullptr, block_size * most_blocks, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return got == MAP_FAILED ? nullptr : static_cast<std::byte*>(got);
}

std::byte* blocks() noexcept
{
    static std::byte* const all = reserve();
    return all;
}

std::atomic<std::size_t> used_blocks;
std::array<std::uint8_t, most_blocks> list_of_block;
thread_local std::array<piece*, largest / step + 1> free_pieces;

[[gnu::noinline]] void* cut_block(std::size_t list) noexcept
{
    std::byte* const all = blocks();
    const std::size_t number = used_blocks.fetch_add(1);
    if (all == nullptr || number >= most_blocks)
        return nullptr;
    list_of_block[number] = static_cast<std::uint8_t>(list);
    std::byte* const begin = all + number * block_size;
    const std::size_t size = list * step;
    piece* rest = nullptr;
    for (std::size_t at = block_size / size * size; at > size;) {
        at -= size;
        rest = new (begin + at) piece{rest};
    }
    free_pieces[list] = rest;
    return begin;
}

void* take(std::size_t size) noexcept
{
    if (size > largest)
        return std::malloc(size);
    const std::size_t list = size == 0 ? 1 : (size + step - 1) / step;
    piece* const first = free_pieces[list];
    if (first == nullptr)
        return cut_block(list);
    free_pieces[list] = first->next;
    return first;
}

void give_back(void* what) noexcept
{
    const auto offset = static_cast<std::size_t>(static_cast<std::byte*>(what) - blocks());
    if (offset >= block_size * most_blocks)
        return std::free(what);
    piece*& first = free_pieces[list_of_block[offset / block_size]];
    first = new (what) piece{first};
}

}

void* operator new(std::size_t size)
{
    if (void* const got = take(size))
        return got;
    throw std::bad_alloc();
}

void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return take(size); }

void operator delete(void* what) noexcept
{
    if (what != nullptr)
        give_back(what);
}

void operator delete(void* what, std::size_t) noexcept { operator delete(what); }
