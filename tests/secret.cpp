#include <alos/secret.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <concepts>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

using namespace alos;

namespace {

using key = secret<32>;

key filled(std::uint8_t value)
{
    key made(32);
    std::ranges::fill(made.bytes(), value);
    return made;
}

bool holds(byte_view bytes, std::uint8_t value) { return std::ranges::find(bytes, value) != bytes.end(); }

}

static_assert(!std::copy_constructible<key> && !std::is_copy_assignable_v<key>);
static_assert(!std::equality_comparable<key>);

TEST_CASE("a secret is wiped when it is destroyed")
{
    alignas(key) std::array<std::uint8_t, sizeof(key)> memory{};
    key* const made = std::construct_at(reinterpret_cast<key*>(memory.data()), filled(0xa5));
    CHECK(holds(memory, 0xa5));
    std::destroy_at(made);
    CHECK_FALSE(holds(memory, 0xa5));
}

TEST_CASE("a secret that is moved from is empty and wiped, and what it replaces is gone")
{
    key from = filled(0xa5);
    key to = filled(0x5a);
    to = std::move(from);
    CHECK(to.size() == 32);
    CHECK(to.view()[31] == 0xa5);
    CHECK(from.empty()); // NOLINT(bugprone-use-after-move)
    CHECK_FALSE(holds({reinterpret_cast<const std::uint8_t*>(&from), sizeof from}, 0xa5));
    CHECK_FALSE(holds({reinterpret_cast<const std::uint8_t*>(&to), sizeof to}, 0x5a));
    key last(std::move(to));
    CHECK(last.view()[0] == 0xa5);
    CHECK(to.empty()); // NOLINT(bugprone-use-after-move)
}

TEST_CASE("a shorter secret leaves nothing of the longer one that it replaces")
{
    key longer = filled(0xa5);
    longer = key(8);
    CHECK(longer.size() == 8);
    CHECK_FALSE(holds({reinterpret_cast<const std::uint8_t*>(&longer), sizeof longer}, 0xa5));
}

TEST_CASE("equal_in_constant_time compares sizes and every byte")
{
    byte_vector a(48, 7);
    byte_vector b = a;
    CHECK(equal_in_constant_time(a, b));
    CHECK(equal_in_constant_time({}, {}));
    CHECK_FALSE(equal_in_constant_time(a, byte_view(b).first(47)));
    for (std::size_t i = 0; i < b.size(); ++i) {
        b[i] ^= 0x80;
        CHECK_FALSE(equal_in_constant_time(a, b));
        b[i] ^= 0x80;
    }
}

TEST_CASE("wipe leaves zeros")
{
    byte_vector bytes(100, 0xa5);
    wipe(bytes);
    CHECK(bytes == byte_vector(100));
    wipe({});
}
