#include <alos/os/posix_files.hpp>

#include "support/pem_files.hpp"

#include <boost/asio/io_context.hpp>

#include <doctest/doctest.h>

#include <sys/resource.h>

#include <chrono>
#include <csignal>

using namespace alos;
using namespace alos::os;
using alos_tests::temporary_folder;
using alos_tests::write_text;

namespace {

// Runs until `done`, for 2 seconds at most.
template <class Condition>
bool soon(boost::asio::io_context& context, Condition done)
{
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    context.restart();
    while (!done() && context.run_one_until(end) == 1) {
    }
    return done();
}

}

TEST_CASE("modes are exact, whatever the umask")
{
    const temporary_folder folder;
    posix_files files;
    for (const mode_t mask : {mode_t(0), mode_t(022), mode_t(077), mode_t(0177)}) {
        const mode_t before = ::umask(mask);
        const std::string name = folder / std::to_string(mask);
        CHECK_FALSE(files.write_new(name, as_bytes("x"), 0640));
        CHECK_FALSE(files.make_directory(name + ".d", 0750));
        ::umask(before);
        CHECK(files.stat(name)->permissions == 0640);
        CHECK(files.stat(name + ".d")->permissions == 0750);
    }
}

TEST_CASE("a file that could not be written as a whole is not there: the limit on sizes stands in for a full disk")
{
    const temporary_folder folder;
    posix_files files;
    rlimit limit{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
    const rlimit small{1000, limit.rlim_max};
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    const error_code failed = files.write_new(folder / "a", byte_vector(5000, 'x'), 0600);
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
    std::signal(SIGXFSZ, handler);
    CHECK(failed.value() == EFBIG);
    CHECK(files.list(folder.path()).value().empty());
}

TEST_CASE("only regular files are read, and a FIFO in their place does not block")
{
    const temporary_folder folder;
    posix_files files;
    REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
    CHECK(files.read(folder / "fifo", 100).error().value() == EINVAL);
    CHECK(files.read("/dev/zero", 100).error().value() == EINVAL);
    CHECK(files.stat(folder / "fifo")->type == file_type::other);
    const std::string large(300000, 'x');
    write_text(folder / "large", large);
    CHECK(files.read(folder / "large", large.size())->size() == large.size());
    CHECK(files.read(folder / "large", large.size() - 1).error().value() == EFBIG);
    // Files of /proc have no size before they are read.
    CHECK_FALSE(files.read("/proc/self/status", 100000)->empty());
}

TEST_CASE("where a rename cannot refuse to replace, the new name is taken first")
{
    const temporary_folder folder;
    posix_files files;
    write_text(folder / "a", "a");
    write_text(folder / "b", "b");
    std::filesystem::create_directories(folder / "d");
    std::filesystem::create_directories(folder / "e");
    write_text(folder / "d/x", "x");
    std::filesystem::create_symlink("a", folder / "link");
    const auto renamed = [&](const std::string& from, const std::string& to) {
        return os::detail::rename_to_free_name(folder / from, folder / to).value();
    };
    CHECK(renamed("a", "b") == EEXIST);
    CHECK(renamed("d", "e") == EEXIST);
    CHECK(renamed("d", "b") == EEXIST);
    CHECK(renamed("none", "c") == ENOENT);
    CHECK(renamed("d", "d/inside") == EINVAL);
    CHECK(renamed("a", "c") == 0);
    CHECK(renamed("d", "f") == 0);
    CHECK(renamed("link", "other") == 0);
    CHECK(files.list(folder.path()).value() == std::vector<std::string>{"b", "c", "e", "f", "other"});
    CHECK(files.list(folder / "f").value() == std::vector<std::string>{"x"});
    CHECK(files.read_symlink(folder / "other").value() == "a");
}

TEST_CASE("a watch tells of names that come, go and are replaced, and of nothing else")
{
    const temporary_folder folder;
    boost::asio::io_context context;
    posix_files files(context.get_executor());
    std::vector<std::string> told;
    const auto note = [&](const std::string& path) { told.push_back(path); };
    const auto tells = [&] {
        told.clear();
        return soon(context, [&] { return !told.empty(); });
    };
    std::filesystem::create_directories(folder / "d");
    auto watch = files.watch_directory(folder.path(), note);
    auto second = files.watch_directory(folder / "d", note);
    REQUIRE(watch);
    REQUIRE(second);
    context.poll();
    CHECK(told.empty());

    REQUIRE_FALSE(files.write_new(folder / "a", as_bytes("x"), 0600));
    CHECK(tells());
    CHECK(told == std::vector<std::string>{folder.path()});
    REQUIRE_FALSE(files.rename(folder / "a", folder / "d/b", if_exists::fail));
    CHECK(tells());
    CHECK(told.size() == 2);
    REQUIRE_FALSE(files.make_symlink("b", folder / "d/link"));
    CHECK(tells());
    CHECK(told == std::vector<std::string>{folder / "d"});
    (void)files.read(folder / "d/b", 100);
    (void)files.list(folder / "d");
    told.clear();
    context.restart();
    context.poll();
    CHECK(told.empty());

    // A directory that is made anew under the same name.
    std::filesystem::remove_all(folder / "d");
    CHECK(tells());
    std::filesystem::create_directories(folder / "d");
    CHECK(tells());
    context.poll();
    REQUIRE_FALSE(files.write_new(folder / "d/c", {}, 0600));
    CHECK(tells());
    CHECK(told == std::vector<std::string>{folder / "d"});
    // Or put in its place.
    std::filesystem::create_directories(folder / "e");
    std::filesystem::rename(folder / "d", folder / "old");
    std::filesystem::rename(folder / "e", folder / "d");
    CHECK(tells());
    context.poll();
    REQUIRE_FALSE(files.write_new(folder / "d/c", {}, 0600));
    CHECK(tells());
    CHECK(told == std::vector<std::string>{folder / "d"});

    second.reset();
    REQUIRE_FALSE(files.write_new(folder / "d/e", {}, 0600));
    told.clear();
    context.restart();
    context.poll();
    CHECK(told.empty());
    // Nothing keeps the context busy once the last one is gone.
    watch.reset();
    context.restart();
    context.run();
}

TEST_CASE("watches may be removed and added while they are called, and two may be of one directory")
{
    const temporary_folder folder;
    boost::asio::io_context context;
    auto files = std::make_unique<posix_files>(context.get_executor());
    std::unique_ptr<file_system::watch> first;
    std::unique_ptr<file_system::watch> second;
    std::unique_ptr<file_system::watch> third;
    unsigned told = 0;
    const auto only_one = [&](const std::string& path) {
        ++told;
        first.reset();
        second.reset();
        third = files->watch_directory(path, [&](const std::string&) { told += 100; });
    };
    first = files->watch_directory(folder.path(), only_one);
    second = files->watch_directory(folder.path(), only_one);
    REQUIRE_FALSE(files->write_new(folder / "a", {}, 0600));
    CHECK(soon(context, [&] { return told > 0; }));
    CHECK(told == 1);
    REQUIRE_FALSE(files->write_new(folder / "b", {}, 0600));
    CHECK(soon(context, [&] { return told > 100; }));

    // The watch may outlive what made it.
    files.reset();
    write_text(folder / "c", "x");
    context.restart();
    context.run();
    CHECK(told == 101);
}

TEST_CASE("what cannot be watched is not")
{
    const temporary_folder folder;
    boost::asio::io_context context;
    posix_files files(context.get_executor());
    write_text(folder / "file", "x");
    CHECK(files.watch_directory(folder / "none", [](const std::string&) {}) == nullptr);
    CHECK(files.watch_directory(folder / "file", [](const std::string&) {}) == nullptr);
    context.run();
    posix_files without;
    CHECK(without.watch_directory(folder.path(), [](const std::string&) {}) == nullptr);
}
