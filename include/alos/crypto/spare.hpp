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
