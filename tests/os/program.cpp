#include <alos/os/program.hpp>

#include "support/scripts.hpp"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using alos::os::program_call;
using alos::os::program_end;
using alos::os::run_program;
using clock_type = std::chrono::steady_clock;

namespace {

program_call call(std::vector<std::string> words) { return {.words = std::move(words)}; }

program_end run(program_call what)
{
    const auto end = test::result_of(run_program(std::move(what)));
    REQUIRE_MESSAGE(end.has_value(), end.error().what);
    return *end;
}

std::size_t open_descriptors()
{
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// Whether this process has no child, not even a zombie.
bool is_childless()
{
    return ::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD;
}

// A process that a script wrote the id of, if it came that far.
bool is_running(const std::string& id)
{
    if (id.empty())
        return false;
    std::ifstream file("/proc/" + std::to_string(std::stoi(id)) + "/stat");
    const std::string line{std::istreambuf_iterator<char>(file), {}};
    return !line.empty() && line.find(") Z ") == line.npos;
}

}

TEST_CASE("program: what it says is kept, from both streams, and so is how it ended")
{
    const test::script_folder folder;
    const auto fine = run(call({folder.script("echo one; echo two >&2")}));
    CHECK(fine.has_succeeded);
    CHECK(fine.how == "exit status 0");
    CHECK(fine.output == "one\ntwo\n");
    const auto failed = run(call({folder.script("echo no; exit 3")}));
    CHECK_FALSE(failed.has_succeeded);
    CHECK_FALSE(failed.took_too_long);
    CHECK(failed.how == "exit status 3");
    CHECK(failed.output == "no\n");
    CHECK(run(call({folder.script("kill -TERM $$")})).how == "signal 15");
    CHECK(is_childless());
}

TEST_CASE("program: each of many, one after another, is waited for to its end")
{
    const test::script_folder folder;
    const auto many = [](std::string script) -> boost::asio::awaitable<std::size_t> {
        std::size_t good = 0;
        for (int i = 0; i < 200; ++i) {
            program_call next = call({script});
            const auto end = co_await run_program(std::move(next));
            good += end && end->how == "exit status 5" && end->output == "a\n";
        }
        co_return good;
    };
    const std::size_t before = open_descriptors();
    CHECK(test::result_of(many(folder.script("echo a; exit 5"))) == 200);
    CHECK(is_childless());
    CHECK(open_descriptors() == before);
}

TEST_CASE("program: words arrive untouched, whatever is in them, for no shell sees them")
{
    const test::script_folder folder;
    const std::string script = folder.script("for each in \"$@\"; do printf '[%s]' \"$each\"; done");
    CHECK(run(call({script, "$(id)", "a b", "", "-x", "'\"`;&|<>*?\\", "\n", "\xc3\xbc"})).output
          == "[$(id)][a b][][-x]['\"`;&|<>*?\\][\n][\xc3\xbc]");
}

TEST_CASE("program: the environment is what was given, stdin is empty, and no other descriptor is open")
{
    const test::script_folder folder;
    program_call clean = call({"/usr/bin/env"});
    clean.environment = {"ONE=1", "TWO=a b"};
    CHECK(run(clean).output == "ONE=1\nTWO=a b\n");
    CHECK(run(call({folder.script("cat; echo end")})).output == "end\n");
    const alos::unique_fd leak(::open("/dev/null", O_RDONLY)); // without O_CLOEXEC
    CHECK(run(call({"/bin/ls", "/proc/self/fd"})).output == "0\n1\n2\n3\n"); // the last is of ls itself
}

TEST_CASE("program: signals are blocked or ignored in it no more than in a new process")
{
    const test::script_folder folder;
    const auto before = ::signal(SIGPIPE, SIG_IGN);
    const auto end = run(call({folder.script("kill -PIPE $$; echo survived")}));
    ::signal(SIGPIPE, before);
    CHECK(end.how == "signal 13");
}

TEST_CASE("program: of much output the last bytes are kept, and none of it holds the program up")
{
    const test::script_folder folder;
    program_call much = call({folder.script("i=0; while [ $i -lt 3000 ]; do i=$((i+1)); "
                                            "echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done; "
                                            "printf last")});
    much.most_output = 10;
    const auto end = run(much);
    CHECK(end.has_succeeded);
    CHECK(end.output == "aaaaa\nlast");
}

TEST_CASE("program: one that takes too long is killed, and what it started with it")
{
    const test::script_folder folder;
    program_call slow = call({folder.script("sleep 1000 & echo $! > " + folder.path("id") + "; echo begun; wait")});
    slow.limit = 1500ms; // enough to begin on a busy machine
    slow.environment = {"PATH=/usr/bin:/bin"};
    const auto begin = clock_type::now();
    const auto end = run(slow);
    CHECK(clock_type::now() - begin < 20s);
    CHECK(end.took_too_long);
    CHECK_FALSE(end.has_succeeded);
    CHECK(end.how == "signal 9");
    CHECK(end.output == "begun\n");
    CHECK_FALSE(is_running(folder.content("id")));
    CHECK(is_childless());
}

TEST_CASE("program: a closed output is no end, and an output that somebody else holds does not delay one")
{
    const test::script_folder folder;
    CHECK(run(call({folder.script("exec >&- 2>&-; /bin/sleep 0.1; exit 4")})).how == "exit status 4");
    const auto begin = clock_type::now();
    CHECK(run(call({folder.script("/bin/sleep 8 & echo left")})).output == "left\n");
    CHECK(clock_type::now() - begin < 7s);
}

TEST_CASE("program: cancelled, it is killed, and nothing of it is left")
{
    const test::script_folder folder;
    const std::size_t before = open_descriptors();
    const auto begin = clock_type::now();
    CHECK(test::is_cancelled_after(300ms, run_program(call({folder.script("echo $$ > " + folder.path("id") +
                                                                          "; while true; do /bin/sleep 1; done")}))));
    CHECK(clock_type::now() - begin < 20s);
    CHECK_FALSE(is_running(folder.content("id")));
    CHECK(is_childless());
    CHECK(open_descriptors() == before);
}

TEST_CASE("program: with the executor it goes, too")
{
    const test::script_folder folder;
    {
        boost::asio::io_context context(1);
        boost::asio::co_spawn(context, run_program(call({folder.script("exec /bin/sleep 1000")})),
                              [](std::exception_ptr, const auto&) {});
        context.run_for(50ms);
        CHECK_FALSE(is_childless());
    }
    CHECK(is_childless());
}

TEST_CASE("program: what cannot be started says why and what to do, and leaves nothing open")
{
    const test::script_folder folder;
    const std::size_t before = open_descriptors();
    for (const std::string& path : {folder.path("missing"), std::string("/"), std::string("")}) {
        const auto end = test::result_of(run_program(call({path})));
        REQUIRE(end.has_error());
        CHECK(end.error().code);
        CHECK(end.error().what.find(path + " cannot be run: ") == 0);
        CHECK(end.error().what.find("chmod +x") != std::string::npos);
    }
    std::ofstream(folder.path("text")) << "echo no first line\n";
    std::filesystem::permissions(folder.path("text"), std::filesystem::perms::owner_all);
    CHECK(test::result_of(run_program(call({folder.path("text")}))).error().code
          == boost::system::errc::executable_format_error);
    CHECK(is_childless());
    CHECK(open_descriptors() == before);
}
