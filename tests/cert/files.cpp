#include <alos/cert/files.hpp>

#include "support/pem_files.hpp"

#include <doctest/doctest.h>

#include <sys/resource.h>

#include <csignal>

using namespace alos;
using namespace alos::cert;
using alos_tests::read_text;
using alos_tests::temporary_folder;
using alos_tests::write_text;

namespace {

std::size_t files_in(const temporary_folder& folder)
{
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& one : std::filesystem::directory_iterator(folder.path()))
        ++count;
    return count;
}

bool tells(const failure& why, std::string_view words) { return why.what.find(words) != std::string::npos; }

}

TEST_CASE("write_file replaces the whole file with the mode that is asked for, and leaves nothing else behind")
{
    const temporary_folder folder;
    const std::string path = folder / "key.pem";
    const mode_t before = ::umask(0);
    REQUIRE(write_file(path, as_bytes("first"), 0600).has_value());
    CHECK(read_text(path) == "first");
    REQUIRE(write_file(path, as_bytes("second"), 0600).has_value());
    ::umask(before);
    CHECK(read_text(path) == "second");
    CHECK((std::filesystem::status(path).permissions() & std::filesystem::perms::all)
          == (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
    CHECK(files_in(folder) == 1);
}

TEST_CASE("write_file that fails says why and keeps the old file")
{
    const temporary_folder folder;
    const std::string path = folder / "key.pem";
    REQUIRE(write_file(path, as_bytes("old"), 0600).has_value());

    SUBCASE("a disk that is full: here the limit on the size of files stands in for it")
    {
        rlimit limit{};
        REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
        const rlimit small{1000, limit.rlim_max};
        const auto handler = std::signal(SIGXFSZ, SIG_IGN);
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
        const auto written = write_file(path, byte_vector(5000, 'x'), 0600);
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
        std::signal(SIGXFSZ, handler);
        REQUIRE_FALSE(written.has_value());
        CHECK(written.error().code == boost::system::errc::file_too_large);
        CHECK(tells(written.error(), path + ": cannot be written"));
        CHECK(tells(written.error(), "ulimit -f"));
    }
    SUBCASE("a folder in its place")
    {
        const std::string taken = folder / "taken";
        std::filesystem::create_directory(taken);
        const auto written = write_file(taken, as_bytes("x"), 0600);
        REQUIRE_FALSE(written.has_value());
        CHECK(tells(written.error(), taken + ": cannot be written"));
        std::filesystem::remove(taken);
    }
    SUBCASE("no folder")
    {
        const auto written = write_file(folder / "none/key.pem", as_bytes("x"), 0600);
        REQUIRE_FALSE(written.has_value());
        CHECK(tells(written.error(), "No such file or directory; check the path"));
    }
    CHECK(read_text(path) == "old");
    CHECK(files_in(folder) == 1);
}

TEST_CASE("write_file does not follow what somebody put in the place of its temporary file, nor write through a link")
{
    const temporary_folder folder;
    write_text(folder / "target", "untouched");
    std::filesystem::create_symlink(folder / "target", folder / "key.pem");
    REQUIRE(write_file(folder / "key.pem", as_bytes("new"), 0600).has_value());
    CHECK(read_text(folder / "target") == "untouched");
    CHECK(read_text(folder / "key.pem") == "new");
}

TEST_CASE("read_pem_file reads up to 1 MiB, and says why it cannot")
{
    const temporary_folder folder;
    const std::string path = folder / "a.pem";
    const auto why = [&](const std::string& file) {
        const auto text = read_pem_file(file);
        REQUIRE_FALSE(text.has_value());
        return text.error();
    };
    write_text(path, "text");
    CHECK(as_text(read_pem_file(path).value()) == "text");
    write_text(path, std::string(max_pem_size, 'x'));
    CHECK(read_pem_file(path)->size() == max_pem_size);
    write_text(path, std::string(max_pem_size + 1, 'x'));
    CHECK(tells(why(path), "1 MiB"));
    write_text(path, "");
    CHECK(tells(why(path), "is empty"));
    CHECK(tells(why(folder / "none"), "No such file or directory; check the path"));
    CHECK(tells(why(folder.path()), "it is a directory"));
    CHECK(tells(why("/dev/zero"), "1 MiB"));
    CHECK(tells(why(""), "no file is named"));
}
