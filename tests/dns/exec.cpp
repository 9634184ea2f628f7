#include <alos/dns/exec.hpp>

#include "support/scripts.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using alos::outcome;
using alos::dns::exec;
using alos::dns::exec_options;
using clock_type = std::chrono::steady_clock;

namespace {

outcome<> present(exec& with, std::string name = "_acme-challenge.example.com", std::string value = "v")
{
    return test::result_of(with.present(std::move(name), std::move(value)));
}

bool says(const outcome<>& end, std::string_view what)
{
    return end.has_error() && end.error().what.find(what) != std::string::npos;
}

}

TEST_CASE("dns exec: the program is called with the verb, the name with a dot, and the value (RFC 8555 8.4)")
{
    const test::script_folder folder;
    exec hook({.program = folder.script("printf '%s|' \"$#\" \"$@\" >> " + folder.path("calls"))});
    const std::string value = "-_evGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA $(id) '\"";
    REQUIRE(present(hook, "_acme-challenge.example.com", value).has_value());
    const auto gone = test::result_of(hook.clean_up("_acme-challenge.example.com", value));
    CHECK(gone.has_value());
    CHECK(folder.content("calls") == "3|present|_acme-challenge.example.com.|" + value
                                         + "|3|cleanup|_acme-challenge.example.com.|" + value + "|");
}

TEST_CASE("dns exec: a failure has the program, its exit status, what it said, and the cure; not the value")
{
    const test::script_folder folder;
    const std::string script = folder.script("echo 'no such zone' >&2; echo second; exit 7");
    exec hook({.program = script});
    const auto end = present(hook, "_acme-challenge.example.com", "the-value");
    REQUIRE(end.has_error());
    CHECK(end.error().code == alos::errc::program_failed);
    CHECK(end.error().what
          == script + " present _acme-challenge.example.com.: it ended with exit status 7, and said: no such zone "
                      "second; run it by hand with these words, it has to end with 0");
    exec silent({.program = folder.script("exit 1", "silent")});
    CHECK(says(present(silent), "exit status 1, and said nothing;"));
    exec missing({.program = folder.path("missing")});
    CHECK(says(present(missing), "missing cannot be run: No such file or directory; check the path"));
}

TEST_CASE("dns exec: much output is cut, from the front, and is printable")
{
    const test::script_folder folder;
    exec hook({.program = folder.script("printf '%5000s' x; printf '\\033[1mend'; exit 1")});
    const auto end = present(hook);
    CHECK(says(end, "x [1mend; run it"));
    CHECK(end.error().what.size() < 1400);
}

TEST_CASE("dns exec: a program that hangs is killed, and that is said")
{
    const test::script_folder folder;
    exec hook({.program = folder.script("echo asking; exec sleep 1000"), .limit = 1s});
    const auto end = present(hook);
    REQUIRE(end.has_error());
    CHECK(end.error().code == alos::errc::timed_out);
    CHECK(says(end, "killed, as it took longer than 1000 ms, and said: asking;"));
}

TEST_CASE("dns exec: cancelled while the program runs, or while it waits for name servers")
{
    const test::script_folder folder;
    exec hanging({.program = folder.script("exec sleep 1000")});
    CHECK(test::is_cancelled_after(100ms, hanging.present("a", "b")));
    exec patient({.program = folder.script("exit 0", "quick"), .wait = 1h});
    CHECK(test::is_cancelled_after(300ms, patient.present("a", "b")));
    exec quick({.program = folder.path("quick")});
    CHECK(present(quick).has_value());
}

TEST_CASE("dns exec: only some variables are passed on, and those that are given")
{
    ::setenv("ALOS_TEST_SECRET", "hidden", 1);
    ::setenv("LANG", "C", 1);
    exec_options options{.program = "/bin/sh"};
    const test::script_folder folder;
    options.program = folder.script("env > " + folder.path("seen"));
    options.environment = {"ZONE=example.com"};
    exec hook(options);
    REQUIRE(present(hook).has_value());
    const std::string seen = folder.content("seen");
    CHECK(seen.find("PATH=") != std::string::npos);
    CHECK(seen.find("LANG=C\n") != std::string::npos);
    CHECK(seen.find("ZONE=example.com\n") != std::string::npos);
    CHECK(seen.find("ALOS_TEST_SECRET") == std::string::npos);
    ::unsetenv("ALOS_TEST_SECRET");
}

TEST_CASE("dns exec: after present it waits as long as it is told to; calls come one after another")
{
    using namespace boost::asio::experimental::awaitable_operators;
    const test::script_folder folder;
    exec hook({.program = folder.script("echo begin >> " + folder.path("calls") + "; sleep 0.1; echo end >> "
                                        + folder.path("calls")),
               .wait = 200ms});
    const auto begin = clock_type::now();
    const auto both = [](exec& with) -> boost::asio::awaitable<bool> {
        auto work = with.present("a", "1") && with.present("a", "2");
        const auto ends = co_await std::move(work);
        co_return std::get<0>(ends).has_value() && std::get<1>(ends).has_value();
    };
    CHECK(test::result_of(both(hook)));
    CHECK(folder.content("calls") == "begin\nend\nbegin\nend\n");
    CHECK(clock_type::now() - begin >= 400ms); // two programs, and the wait of the second
}
