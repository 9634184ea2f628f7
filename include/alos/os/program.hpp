// Runs a program to its end, and keeps what it says: without a shell, with an environment that is given, for a limited
// time. The program does not outlive the coroutine that awaits it; its process group is killed when it does not end by
// itself.
#ifndef ALOS_OS_PROGRAM_HPP
#define ALOS_OS_PROGRAM_HPP

#include <alos/http/clean_up.hpp>
#include <alos/http/deadline.hpp>
#include <alos/unique_fd.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace alos::inline v0::os {

struct program_call {
    std::vector<std::string> words;         // there is at least one; the first is its path, which is not searched for
    std::vector<std::string> environment{}; // "NAME=value"; there is nothing else in it
    std::chrono::milliseconds limit = std::chrono::minutes(2); // then it is killed
    std::size_t most_output = 1024;         // bytes; the last ones are kept
};

struct program_end {
    bool has_succeeded = false; // exit status 0
    bool took_too_long = false;
    std::string how;    // "exit status 3", "signal 9"
    std::string output; // of stdout and stderr, as it came
};

namespace detail {

// Lists of C strings, as exec() takes them.
inline std::vector<char*> pointers_to(std::vector<std::string>& words)
{
    std::vector<char*> list;
    for (std::string& each : words)
        list.push_back(each.data());
    list.push_back(nullptr);
    return list;
}

// Its stdin is /dev/null, its output goes to `output`, no other descriptor is open in it, signals are as in a new
// process, and it leads a process group of its own.
inline result<::pid_t> start_program(program_call& call, int output)
{
    ::posix_spawn_file_actions_t files;
    ::posix_spawnattr_t attributes;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawnattr_init(&attributes);
    // Note: stdin comes last, as `output` may be 0 in a process that has closed its own.
    int failed = ::posix_spawn_file_actions_adddup2(&files, output, 1);
    failed = failed ? failed : ::posix_spawn_file_actions_adddup2(&files, output, 2);
    failed = failed ? failed : ::posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
#ifdef __GLIBC_PREREQ
#if __GLIBC_PREREQ(2, 34) // elsewhere what is open without O_CLOEXEC stays so
    failed = failed ? failed : ::posix_spawn_file_actions_addclosefrom_np(&files, 3);
#endif
#endif
    ::sigset_t none, usual;
    ::sigemptyset(&none);
    ::sigemptyset(&usual);
    for (const int each : {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGALRM, SIGTERM, SIGUSR1, SIGUSR2, SIGCHLD})
        ::sigaddset(&usual, each);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &usual);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(&attributes,
                               POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    ::pid_t id = 0;
    const std::vector<char*> words = pointers_to(call.words);
    const std::vector<char*> environment = pointers_to(call.environment);
    if (failed == 0)
        failed = ::posix_spawn(&id, words.front(), &files, &attributes, words.data(), environment.data());
    ::posix_spawn_file_actions_destroy(&files);
    ::posix_spawnattr_destroy(&attributes);
    if (failed != 0)
        return error_code(failed, boost::system::system_category());
    return id;
}

// A process that was started; leaves neither it nor a zombie behind.
class started_program {
public:
    explicit started_program(::pid_t id) noexcept : id_(id) {}
    started_program(const started_program&) = delete;
    started_program& operator=(const started_program&) = delete;

    // Note: it waits for what was just killed only where no coroutine could do so before.
    ~started_program()
    {
        kill();
        for (int status = 0; id_ > 0 && ::waitpid(id_, &status, 0) < 0 && errno == EINTR;) {}
    }

    [[nodiscard]] ::pid_t id() const noexcept { return id_; }

    void kill() const noexcept
    {
        if (id_ > 0)
            ::kill(-id_, SIGKILL);
    }

    // Whether it has ended, and how.
    bool read_end(program_end& into)
    {
        int status = 0;
        const ::pid_t got = id_ > 0 ? ::waitpid(id_, &status, WNOHANG) : 0;
        if (got == 0)
            return id_ == 0;
        id_ = 0;
        into.has_succeeded = got > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (got < 0) // somebody else waits for all children, or SIGCHLD is ignored
            into.how = "an end that this process cannot see";
        else if (WIFEXITED(status))
            into.how = "exit status " + std::to_string(WEXITSTATUS(status));
        else
            into.how = "signal " + std::to_string(WTERMSIG(status));
        return true;
    }

private:
    ::pid_t id_;
};

// Where a program is observed from.
struct program_watch {
    boost::asio::posix::stream_descriptor end;    // readable once it has ended (pidfd_open(2))
    boost::asio::posix::stream_descriptor output; // closed at its end
    boost::asio::steady_timer timer;
};

// What there is to do about it; `time_is_up` when the timer of its watch has run out.
enum class program_news { ended, said_something, time_is_up };

// What happens first. Its output is no news once it is closed.
[[nodiscard]] inline boost::asio::awaitable<program_news> next_news(program_watch& of)
{
    using boost::asio::deferred;
    const auto readable = boost::asio::posix::descriptor_base::wait_read;
    const boost::asio::experimental::wait_for_one first;
    std::size_t which = 0;
    std::array<error_code, 3> ends;
    if (of.output.is_open()) {
        auto three = boost::asio::experimental::make_parallel_group(of.end.async_wait(readable, deferred),
                                                                    of.timer.async_wait(deferred),
                                                                    of.output.async_wait(readable, deferred));
        const auto done = co_await three.async_wait(first, boost::asio::use_awaitable);
        which = std::get<0>(done)[0];
        ends = {std::get<1>(done), std::get<2>(done), std::get<3>(done)};
    } else {
        auto two = boost::asio::experimental::make_parallel_group(of.end.async_wait(readable, deferred),
                                                                  of.timer.async_wait(deferred));
        const auto done = co_await two.async_wait(first, boost::asio::use_awaitable);
        which = std::get<0>(done)[0];
        ends = {std::get<1>(done), std::get<2>(done), error_code()};
    }
    throw_if_aborted(ends[which]);
    constexpr std::array<program_news, 3> news = {program_news::ended, program_news::time_is_up,
                                                  program_news::said_something};
    co_return news[which];
}

// What is there, but not more than so much at once; the last `most` bytes are kept.
inline void read_output(program_watch& of, std::string& into, std::size_t most)
{
    std::array<char, 4096> some{};
    for (int rounds = 0; rounds < 16 && of.output.is_open(); ++rounds) {
        const ::ssize_t got = ::read(of.output.native_handle(), some.data(), some.size());
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            of.output.close();
            return;
        }
        into.append(some.data(), static_cast<std::size_t>(got));
        if (into.size() > most)
            into.erase(0, into.size() - most);
    }
}

// Until it has ended. It is killed when the timer of its watch runs out; of its output the last `most` bytes are kept.
[[nodiscard]] inline boost::asio::awaitable<program_end> follow(program_watch& of, started_program& which,
                                                            std::size_t most)
{
    program_end end;
    for (;;) {
        const program_news next = co_await next_news(of);
        // Note: Asio may say so too early: it takes an event of a descriptor that was just closed for one of the next.
        const bool is_over = next == program_news::ended && which.read_end(end);
        read_output(of, end.output, most);
        if (is_over)
            co_return end;
        if (next == program_news::time_is_up) {
            end.took_too_long = true;
            which.kill();
            of.timer.expires_at(boost::asio::steady_timer::time_point::max());
        }
    }
}

// Killed, it has ended in no time; not to wait for it on this thread, it is waited for here.
[[nodiscard]] inline boost::asio::awaitable<void> kill_program(program_watch& of, started_program& which)
{
    if (which.id() == 0)
        co_return; // it has ended by itself
    program_end end; // nobody asks for it
    which.kill();
    of.timer.expires_after(std::chrono::seconds(1));
    of.output.close();
    for (bool is_over = false; !is_over;) {
        const program_news next = co_await next_news(of);
        is_over = which.read_end(end) || next == program_news::time_is_up;
    }
}

}

// Fails when it cannot be started; how it ended is for the caller to judge. What it started and left running in its
// process group goes with it only when it is killed, after `limit` or by cancellation.
[[nodiscard]] inline boost::asio::awaitable<outcome<program_end>> run_program(program_call call)
{
    const std::string path = call.words.front();
    const auto trouble = [&path](error_code why, std::string_view cure) {
        return failure{why, path + " cannot be run: " + why.message() + "; " + std::string(cure)};
    };
    const auto last_error = [] { return error_code(errno, boost::system::system_category()); };
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        co_return trouble(last_error(), "allow this process more open files");
    unique_fd from(ends[0]), to(ends[1]);
    ::fcntl(from.get(), F_SETFL, O_NONBLOCK);
    const auto started = detail::start_program(call, to.get());
    to.close();
    if (!started)
        co_return trouble(started.error(), "check the path, that it is executable (chmod +x), and its first line (#!)");
    detail::started_program program(*started);
    unique_fd handle(static_cast<int>(::syscall(SYS_pidfd_open, program.id(), 0)));
    if (!handle)
        co_return trouble(last_error(), "Linux 5.3 is needed, and that SIGCHLD is not ignored");
    const auto executor = co_await boost::asio::this_coro::executor;
    detail::program_watch watch{boost::asio::posix::stream_descriptor(executor, handle.release()),
                                boost::asio::posix::stream_descriptor(executor, from.release()),
                                boost::asio::steady_timer(executor, call.limit)};
    auto work = detail::follow(watch, program, call.most_output);
    const auto clean_up = [&](const program_end*) { return detail::kill_program(watch, program); };
    auto end = co_await with_clean_up(std::move(work), clean_up);
    co_return end;
}

}

#endif
