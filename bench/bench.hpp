// The measure of the benchmarks: CPU time of this thread, the best of many rounds.
#ifndef ALOS_BENCH_BENCH_HPP
#define ALOS_BENCH_BENCH_HPP

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace alos_bench {

// Seconds of CPU time that this thread has used.
inline double cpu_seconds() noexcept
{
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Adds up what happens between start() and stop().
class stopwatch {
public:
    void start() noexcept { started_ = cpu_seconds(); }
    void stop() noexcept { seconds_ += cpu_seconds() - started_; }
    [[nodiscard]] double seconds() const noexcept { return seconds_; }

private:
    double started_ = 0;
    double seconds_ = 0;
};

// Keeps `value` from being optimised away.
template <class T>
void keep(const T& value) noexcept
{
    __asm__ __volatile__("" : : "g"(&value) : "memory");
}

// ALOS_BENCH_ONCE=1 runs everything once: for counting instructions, and for testing that it runs.
inline bool only_once() noexcept { return std::getenv("ALOS_BENCH_ONCE") != nullptr; }

inline constexpr int rounds = 15;

// Seconds that one of `count` runs of `work(watch)` takes, which starts and stops the watch itself.
template <class Work>
double best_watched(std::size_t count, Work work)
{
    if (only_once())
        count = 1;
    double best = 1e9;
    for (int round = 0; round < (only_once() ? 1 : rounds); ++round) {
        stopwatch watch;
        for (std::size_t i = 0; i < count; ++i)
            work(watch);
        best = std::min(best, watch.seconds() / static_cast<double>(count));
    }
    return best;
}

// Seconds that one of `count` runs of `work()` takes.
template <class Work>
double best_of(std::size_t count, Work work)
{
    if (only_once())
        count = 1;
    double best = 1e9;
    for (int round = 0; round < (only_once() ? 1 : rounds); ++round) {
        const double start = cpu_seconds();
        for (std::size_t i = 0; i < count; ++i)
            work();
        best = std::min(best, (cpu_seconds() - start) / static_cast<double>(count));
    }
    return best;
}

inline void report(const char* what, double seconds)
{
    std::printf("%-52s %10.3f us %14.0f /s\n", what, seconds * 1e6, 1 / seconds);
}

inline void report_rate(const char* what, double seconds, std::size_t bytes)
{
    std::printf("%-52s %10.3f us %14.0f MB/s\n", what, seconds * 1e6, static_cast<double>(bytes) / seconds / 1e6);
}

}

#endif
