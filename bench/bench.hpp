// The measure of the benchmarks: CPU time of this thread, the best of many rounds. On demand nothing is timed and each
// case runs a few times only, for instructions.py to count.
#ifndef ALOS_BENCH_BENCH_HPP
#define ALOS_BENCH_BENCH_HPP

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>

namespace alos_bench {

// Seconds of CPU time that this thread has used.
inline double cpu_seconds() noexcept
{
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Keeps `value` from being optimised away.
template <class T>
void keep(const T& value) noexcept
{
    __asm__ __volatile__("" : : "g"(&value) : "memory");
}

// All that is measured happens in here: instructions.py counts inside of this function.
template <class Work>
[[gnu::noinline]] void measured(Work& work)
{
    work();
    __asm__ __volatile__("" : : : "memory"); // so that the call is no jump, which would leave the function
}

// Adds up the parts of a run that are to be measured. Reading the clock takes about as long as a small record.
class stopwatch {
public:
    template <class Work>
    void operator()(Work work)
    {
        const double started = cpu_seconds();
        measured(work);
        seconds_ += cpu_seconds() - started;
    }

    [[nodiscard]] double seconds() const noexcept { return seconds_; }

private:
    double seconds_ = 0;
};

struct amount {
    std::size_t runs;      // in a round
    std::size_t units = 1; // how often a run does what the case is named for
    std::size_t bytes = 0; // of a unit, if its rate is of interest
};

// The cases of a program, and what the command line asks of them.
class cases {
public:
    cases(int argc, char** argv)
    {
        for (int i = 1; i < argc; ++i) {
            const std::string_view argument = argv[i];
            if (argument == "--list") {
                list_ = true;
            } else if (argument == "--runs" && i + 1 < argc) {
                runs_ = std::strtoul(argv[++i], nullptr, 10);
            } else if (argument.starts_with('-')) {
                std::fprintf(stderr, "usage: %s [--list] [<part of the names>]\n       %s --runs <number> <name>\n",
                             argv[0], argv[0]);
                std::exit(2);
            } else {
                wanted_ = argument;
            }
        }
    }

    // For what is dear to prepare: whether measure() would do anything. It is listed by then.
    [[nodiscard]] bool wants(std::string_view name) const
    {
        if (runs_ != 0 ? name != wanted_ : name.find(wanted_) == name.npos)
            return false;
        if (list_)
            std::printf("%.*s\n", static_cast<int>(name.size()), name.data());
        return !list_;
    }

    // A run is `work()`; or `work(watch)`, which hands what is to be measured to the stopwatch.
    template <class Work>
    void measure(const std::string& name, amount each, Work work) const
    {
        if (!wants(name))
            return;
        if (runs_ != 0) {
            seconds_of(runs_, work);
            std::printf("%zu\n", runs_ * each.units);
            return;
        }
        double best = 1e9;
        for (int round = 0; round < rounds; ++round)
            best = std::min(best, seconds_of(each.runs, work));
        report(name, best / static_cast<double>(each.runs * each.units), each.bytes);
    }

private:
    static constexpr int rounds = 15;

    template <class Work>
    static double seconds_of(std::size_t runs, Work& work)
    {
        stopwatch watch;
        if constexpr (std::invocable<Work&, stopwatch&>) {
            for (std::size_t i = 0; i < runs; ++i)
                work(watch);
        } else {
            watch([&] {
                for (std::size_t i = 0; i < runs; ++i)
                    work();
            });
        }
        return watch.seconds();
    }

    static void report(const std::string& name, double seconds, std::size_t bytes)
    {
        if (bytes == 0)
            std::printf("%-52s %10.3f us %14.0f /s\n", name.c_str(), seconds * 1e6, 1 / seconds);
        else
            std::printf("%-52s %10.3f us %14.0f MB/s\n", name.c_str(), seconds * 1e6,
                        static_cast<double>(bytes) / seconds / 1e6);
    }

    std::string_view wanted_; // a part of the names; all of one, where runs_ is given
    std::size_t runs_ = 0;    // without timing them; 0 for as many as it takes to time them
    bool list_ = false;
};

}

#endif
