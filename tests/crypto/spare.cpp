#include <alos/crypto/spare.hpp>

#include <doctest/doctest.h>

#include <thread>
#include <vector>

using namespace alos;

namespace {

struct counted {
    static inline int living = 0;
    bool dirty = true;

    counted() { ++living; }
    ~counted() { --living; }
    void clear() { dirty = false; }
};

using kept = spares<counted, 2, 3>;

kept::pointer take(std::size_t kind)
{
    return kept::take(kind, [] { return std::make_unique<counted>(); });
}

}

TEST_CASE("what is given back is cleared and taken again, by kind")
{
    std::thread([] {
        const counted* const first = take(0).get();
        CHECK(counted::living == 1);
        const kept::pointer other = take(1);
        CHECK(counted::living == 2);
        const kept::pointer again = take(0);
        CHECK(again.get() == first);
        CHECK_FALSE(again->dirty);
        CHECK(counted::living == 2);
    }).join();
    CHECK(counted::living == 0);
}

TEST_CASE("a thread keeps so many and no more")
{
    std::thread([] {
        std::vector<kept::pointer> many;
        for (int i = 0; i < 10; ++i)
            many.push_back(take(1));
        many.clear();
        CHECK(counted::living == 3);
    }).join();
    CHECK(counted::living == 0);
}

TEST_CASE("what outlives its thread's spares is freed")
{
    std::thread([] {
        static thread_local kept::pointer late; // made first, and so destroyed last
        late = take(0);
        CHECK(counted::living == 1);
    }).join();
    CHECK(counted::living == 0);
}
