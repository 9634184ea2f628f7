#!/usr/bin/env python3
"""Everything in acme/ sees the world through acme/environment.hpp and os/file_system.hpp, so that a test can live years
of it: no timer, clock, source of randomness, file, process or socket of its own."""

import pathlib
import re
import sys

folder = pathlib.Path(__file__).resolve().parents[2] / "include/alos/acme"

# What may not be named. system_clock as a type is fine: the time that environment::now() returns.
FORBIDDEN = {
    "a timer": r"steady_timer|system_timer|high_resolution_timer|deadline_timer|cancel_after|cancel_at",
    "a clock": r"_clock::now|steady_clock|high_resolution_clock|clock_gettime|gettimeofday|\btime\((0|NULL|nullptr|&)",
    "a pause": r"sleep_for|nanosleep|\busleep\(|this_thread",
    "randomness": r"random_device|mt19937|system_rng|AutoSeeded_RNG|getrandom|getentropy|\brand\(|/dev/u?random",
    "a file": r"\bfopen\(|fstream|"
              r"::(open|openat|creat|read|write|rename|unlink|mkdir|rmdir|symlink|flock|fsync|stat)\(|"
              r"std::filesystem|inotify|posix_files",
    "the network": r"ip::(tcp|udp|basic_resolver|resolver)|::socket\(|getaddrinfo|getifaddrs|dns::resolver|"
                   r"http::client\b|io_context",
    "the environment": r"\bgetenv\(|gethostname|getpid\(",
    "a thread or process": r"std::thread|std::jthread|std::async|fork\(|posix_spawn|thread_pool",
    "a header of the real world": r"#include <(alos/(server/|os/posix|os/program|dns/resolver|http/client)|"
                                  r"alos/http/deadline|fstream|random|thread|unistd\.h|fcntl\.h|botan/)",
}

# The one exception, which no pattern sees: private_key::generate() and signatures take random numbers from crypto/
# (Botan's system_rng()), not from environment::random(). Whoever could choose those of a test could choose those of a
# key; and nothing that is done, or when, depends on what a key is.


# For a trial: one of each, and what is none.
SAMPLES = ["boost::asio::steady_timer timer(executor);", "std::chrono::system_clock::now()",
           "std::this_thread::yield();", "std::random_device seed;", "std::ofstream file(path);",
           "boost::asio::ip::tcp::resolver asker(executor);", "std::getenv(name)", "std::thread worker;",
           "#include <unistd.h>", "#include <botan/pk_keys.h>", "::open(path.c_str(), O_RDONLY)",
           "boost::asio::cancel_after(time)"]
HARMLESS = ["using time_point = std::chrono::system_clock::time_point;",
            "std::chrono::system_clock::to_time_t(world.now())",
            "files_.rename(path, there, os::if_exists::fail)", "// like ::open()", "next_time(now)"]


def faults_of(text):
    for number, line in enumerate(re.sub(r"//[^\n]*", "", text).splitlines(), 1):
        for what, pattern in FORBIDDEN.items():
            if found := re.search(pattern, line):
                yield number, what, found[0]


failed = [f"not noticed: {each}" for each in SAMPLES if not list(faults_of(each))]
failed += [f"noticed in vain: {each}" for each in HARMLESS if list(faults_of(each))]
for header in sorted(folder.rglob("*.hpp")):
    for number, what, found in faults_of(header.read_text()):
        failed.append(f"acme/{header.relative_to(folder)}:{number}: {what}: {found}; acme/environment.hpp and "
                      "os/file_system.hpp have what is needed")

print("\n".join(failed))
sys.exit(1 if failed else 0)
