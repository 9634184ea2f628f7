#include <alos/os/file_system.hpp>

#include "support/pem_files.hpp"
#include "support/simulated_files.hpp"

#include <alos/os/posix_files.hpp>

#include <doctest/doctest.h>

using namespace alos;
using namespace alos::os;

namespace {

struct on_posix {
    alos_tests::temporary_folder folder;
    posix_files files;
    posix_files others;
    std::string root = folder.path();
};

struct on_simulation {
    test::simulated_files files;
    test::simulated_files others{files.disk()};
    std::string root = "/data";

    on_simulation() { REQUIRE_FALSE(files.make_directory(root, 0700)); }
};

int number_of(error_code failed)
{
    CHECK(failed.category() == boost::system::system_category());
    return failed.value();
}

std::string text_of(file_system& files, const std::string& path)
{
    const auto text = files.read(path, 1000);
    return text ? std::string(as_text(*text)) : "(" + text.error().message() + ")";
}

using names = std::vector<std::string>;

}

TEST_CASE_TEMPLATE("a file is made once, with its mode, and read as a whole", Where, on_posix, on_simulation)
{
    Where where;
    const std::string path = where.root + "/a";
    REQUIRE_FALSE(where.files.write_new(path, as_bytes("text"), 0600));
    CHECK(text_of(where.files, path) == "text");
    CHECK(number_of(where.files.write_new(path, as_bytes("other"), 0600)) == EEXIST);
    CHECK(text_of(where.files, path) == "text");
    CHECK(where.files.stat(path)->type == file_type::regular);
    CHECK(where.files.stat(path)->permissions == 0600);
    REQUIRE_FALSE(where.files.write_new(where.root + "/b", {}, 0644));
    CHECK(where.files.stat(where.root + "/b")->permissions == 0644);
    CHECK(text_of(where.files, where.root + "/b").empty());

    CHECK(where.files.read(path, 4)->size() == 4);
    CHECK(number_of(where.files.read(path, 3).error()) == EFBIG);
    CHECK(number_of(where.files.read(where.root + "/none", 3).error()) == ENOENT);
    CHECK(number_of(where.files.read(where.root, 3).error()) == EISDIR);
    CHECK(number_of(where.files.read(path + "/below", 3).error()) == ENOTDIR);
    CHECK(number_of(where.files.write_new(where.root + "/none/a", {}, 0600)) == ENOENT);

    REQUIRE_FALSE(where.files.make_symlink("elsewhere", where.root + "/link"));
    CHECK(number_of(where.files.write_new(where.root + "/link", {}, 0600)) == EEXIST);
    CHECK(number_of(where.files.stat(where.root + "/elsewhere").error()) == ENOENT);
}

TEST_CASE_TEMPLATE("files and directories are synced by name", Where, on_posix, on_simulation)
{
    Where where;
    REQUIRE_FALSE(where.files.write_new(where.root + "/a", as_bytes("text"), 0600));
    CHECK_FALSE(where.files.sync_file(where.root + "/a"));
    CHECK_FALSE(where.files.sync_directory(where.root));
    CHECK(number_of(where.files.sync_file(where.root + "/none")) == ENOENT);
    CHECK(number_of(where.files.sync_directory(where.root + "/none")) == ENOENT);
    CHECK(number_of(where.files.sync_directory(where.root + "/a")) == ENOTDIR);
}

TEST_CASE_TEMPLATE("directories are made one at a time and listed in order", Where, on_posix, on_simulation)
{
    Where where;
    REQUIRE_FALSE(where.files.make_directory(where.root + "/d", 0700));
    CHECK(where.files.stat(where.root + "/d")->type == file_type::directory);
    CHECK(where.files.stat(where.root + "/d")->permissions == 0700);
    CHECK(number_of(where.files.make_directory(where.root + "/d", 0700)) == EEXIST);
    CHECK(number_of(where.files.make_directory(where.root + "/none/d", 0700)) == ENOENT);
    CHECK(where.files.list(where.root + "/d").value().empty());
    for (const char* name : {"/d/b", "/d/.c", "/d/a"})
        REQUIRE_FALSE(where.files.write_new(where.root + name, {}, 0600));
    CHECK(where.files.list(where.root + "/d").value() == names{".c", "a", "b"});
    CHECK(number_of(where.files.list(where.root + "/d/a").error()) == ENOTDIR);
    CHECK(number_of(where.files.list(where.root + "/none").error()) == ENOENT);

    CHECK(number_of(where.files.remove(where.root + "/d")) == ENOTEMPTY);
    for (const char* name : {"/d/b", "/d/.c", "/d/a"})
        CHECK_FALSE(where.files.remove(where.root + name));
    CHECK_FALSE(where.files.remove(where.root + "/d"));
    CHECK(number_of(where.files.remove(where.root + "/d")) == ENOENT);
}

TEST_CASE_TEMPLATE("a rename replaces what is there or fails, as is asked for", Where, on_posix, on_simulation)
{
    Where where;
    const auto at = [&](const char* name) { return where.root + "/" + name; };
    REQUIRE_FALSE(where.files.write_new(at("a"), as_bytes("a"), 0600));
    REQUIRE_FALSE(where.files.write_new(at("b"), as_bytes("b"), 0600));
    REQUIRE_FALSE(where.files.make_directory(at("d"), 0700));
    REQUIRE_FALSE(where.files.make_directory(at("e"), 0700));
    REQUIRE_FALSE(where.files.write_new(at("e/x"), as_bytes("x"), 0600));

    CHECK(number_of(where.files.rename(at("a"), at("b"), if_exists::fail)) == EEXIST);
    CHECK(number_of(where.files.rename(at("e"), at("d"), if_exists::fail)) == EEXIST);
    CHECK(text_of(where.files, at("a")) == "a");
    CHECK(text_of(where.files, at("b")) == "b");
    CHECK_FALSE(where.files.rename(at("a"), at("b"), if_exists::replace));
    CHECK(text_of(where.files, at("b")) == "a");
    CHECK_FALSE(where.files.rename(at("b"), at("c"), if_exists::fail));
    CHECK(where.files.list(where.root).value() == names{"c", "d", "e"});

    CHECK(number_of(where.files.rename(at("none"), at("c"), if_exists::replace)) == ENOENT);
    CHECK(number_of(where.files.rename(at("c"), at("d"), if_exists::replace)) == EISDIR);
    CHECK(number_of(where.files.rename(at("d"), at("c"), if_exists::replace)) == ENOTDIR);
    CHECK(number_of(where.files.rename(at("d"), at("e"), if_exists::replace)) == ENOTEMPTY);
    CHECK_FALSE(where.files.rename(at("e"), at("d"), if_exists::replace));
    CHECK(text_of(where.files, at("d/x")) == "x");
    CHECK_FALSE(where.files.rename(at("d"), at("f"), if_exists::fail));
    CHECK_FALSE(where.files.rename(at("f/x"), at("y"), if_exists::fail));
    CHECK(where.files.list(at("f")).value().empty());
    CHECK(where.files.list(where.root).value() == names{"c", "f", "y"});
}

TEST_CASE_TEMPLATE("symbolic links are followed on the way and when read, and are themselves to the rest", Where,
                   on_posix, on_simulation)
{
    Where where;
    const auto at = [&](const char* name) { return where.root + "/" + name; };
    REQUIRE_FALSE(where.files.make_directory(at("d"), 0700));
    REQUIRE_FALSE(where.files.write_new(at("d/x"), as_bytes("x"), 0600));
    REQUIRE_FALSE(where.files.make_symlink("d/x", at("to_x")));
    REQUIRE_FALSE(where.files.make_symlink("d", at("to_d")));
    REQUIRE_FALSE(where.files.make_symlink("../to_x", at("d/up")));
    REQUIRE_FALSE(where.files.make_symlink(at("d"), at("far")));
    REQUIRE_FALSE(where.files.make_symlink("loop", at("loop")));
    REQUIRE_FALSE(where.files.make_symlink("nowhere", at("lost")));
    CHECK(number_of(where.files.make_symlink("y", at("to_x"))) == EEXIST);

    CHECK(where.files.read_symlink(at("to_x")).value() == "d/x");
    CHECK(number_of(where.files.read_symlink(at("d/x")).error()) == EINVAL);
    CHECK(number_of(where.files.read_symlink(at("none")).error()) == ENOENT);
    for (const char* name : {"to_x", "to_d/x", "to_d/up", "far/up", "far/x"})
        CHECK(text_of(where.files, at(name)) == "x");
    CHECK(number_of(where.files.read(at("loop"), 9).error()) == ELOOP);
    CHECK(number_of(where.files.read(at("lost"), 9).error()) == ENOENT);
    CHECK(where.files.list(at("to_d")).value() == names{"up", "x"});
    CHECK(where.files.stat(at("to_d"))->type == file_type::symlink);
    CHECK(where.files.stat(at("to_d/x"))->type == file_type::regular);
    CHECK_FALSE(where.files.sync_directory(at("to_d")));
    CHECK(number_of(where.files.sync_file(at("to_x"))) == ELOOP);

    REQUIRE_FALSE(where.files.make_symlink("nowhere", at("new")));
    CHECK_FALSE(where.files.rename(at("new"), at("to_x"), if_exists::replace));
    CHECK(where.files.read_symlink(at("to_x")).value() == "nowhere");
    CHECK_FALSE(where.files.rename(at("to_x"), at("moved"), if_exists::fail));
    CHECK_FALSE(where.files.remove(at("to_d")));
    CHECK(text_of(where.files, at("d/x")) == "x");
}

TEST_CASE_TEMPLATE("a lock is held by one at a time, in one process and in several", Where, on_posix, on_simulation)
{
    Where where;
    const std::string path = where.root + "/lock";
    auto first = where.files.try_lock(path);
    REQUIRE(first.has_value());
    REQUIRE(*first);
    CHECK(where.files.stat(path)->permissions == 0600);
    CHECK(where.files.try_lock(path).value() == nullptr);
    CHECK(where.others.try_lock(path).value() == nullptr);
    CHECK(where.files.try_lock(where.root + "/other").value() != nullptr);
    first->reset();
    auto second = where.others.try_lock(path);
    REQUIRE(second.has_value());
    REQUIRE(*second);
    CHECK(where.files.try_lock(path).value() == nullptr);

    // Somebody tidied up: the lock on a file without a name keeps nobody out.
    REQUIRE_FALSE(where.files.remove(path));
    CHECK(where.files.try_lock(path).value() != nullptr);
    CHECK(number_of(where.files.try_lock(where.root + "/none/lock").error()) == ENOENT);
    CHECK(number_of(where.files.try_lock(where.root).error()) == EISDIR);
}

TEST_CASE("simulated: what was not synced is lost with the power, names by directory and bytes by file")
{
    test::simulated_files files;
    const auto disk = files.disk();
    REQUIRE_FALSE(files.make_directory("/d", 0700));
    REQUIRE_FALSE(files.sync_directory("/"));
    REQUIRE_FALSE(files.write_new("/d/whole", as_bytes("whole"), 0600));
    REQUIRE_FALSE(files.write_new("/d/empty", as_bytes("empty"), 0600));
    REQUIRE_FALSE(files.sync_file("/d/whole"));
    REQUIRE_FALSE(files.sync_directory("/d"));
    REQUIRE_FALSE(files.write_new("/d/later", as_bytes("later"), 0600));
    REQUIRE_FALSE(files.sync_file("/d/later"));
    REQUIRE_FALSE(files.remove("/d/whole"));
    REQUIRE_FALSE(files.make_directory("/e", 0700));
    REQUIRE_FALSE(files.write_new("/e/x", as_bytes("x"), 0600));
    REQUIRE_FALSE(files.sync_directory("/e"));

    SUBCASE("all of it")
    {
        disk->power_cut(test::everything_lost());
        CHECK(files.list("/").value() == names{"d"});
        CHECK(files.list("/d").value() == names{"empty", "whole"});
        CHECK(text_of(files, "/d/whole") == "whole");
        CHECK(text_of(files, "/d/empty").empty());
    }
    SUBCASE("none of it")
    {
        disk->power_cut(test::everything_kept());
        CHECK(files.list("/").value() == names{"d", "e"});
        CHECK(files.list("/d").value() == names{"empty", "later"});
        CHECK(text_of(files, "/d/empty") == "empty");
        CHECK(text_of(files, "/e/x") == "x");
    }
    SUBCASE("for good")
    {
        disk->power_cut(test::everything_lost());
        disk->power_cut(test::everything_kept());
        CHECK(files.list("/d").value() == names{"empty", "whole"});
        CHECK(text_of(files, "/d/empty").empty());
    }
}

TEST_CASE("simulated: a rename is lost or kept as a whole, across directories, too")
{
    unsigned old = 0;
    unsigned renamed = 0;
    for (std::uint64_t seed = 0; seed < 64; ++seed) {
        test::simulated_files files;
        REQUIRE_FALSE(files.make_directory("/d", 0700));
        REQUIRE_FALSE(files.write_new("/a", as_bytes("new"), 0600));
        REQUIRE_FALSE(files.write_new("/d/a", as_bytes("old"), 0600));
        for (const char* each : {"/a", "/d/a"})
            REQUIRE_FALSE(files.sync_file(each));
        for (const char* each : {"/", "/d"})
            REQUIRE_FALSE(files.sync_directory(each));
        REQUIRE_FALSE(files.rename("/a", "/d/a", if_exists::replace));
        files.disk()->power_cut(test::seeded(seed));
        const std::string text = text_of(files, "/d/a");
        const bool is_there = files.stat("/a").has_value();
        CHECK(((text == "old" && is_there) || (text == "new" && !is_there)));
        (is_there ? old : renamed) += 1;
    }
    CHECK(old > 16);
    CHECK(renamed > 16);
}

TEST_CASE("simulated: any step can fail or be the last one before the power goes")
{
    test::simulated_files files;
    const auto disk = files.disk();
    disk->fail_after(2, ENOSPC);
    CHECK_FALSE(files.write_new("/a", as_bytes("a"), 0600));
    CHECK(number_of(files.write_new("/b", as_bytes("b"), 0600)) == ENOSPC);
    CHECK_FALSE(files.write_new("/c", as_bytes("c"), 0600));
    CHECK(disk->steps() == 3);
    CHECK(files.list("/").value() == names{"a", "c"});
    CHECK(disk->steps() == 3);

    auto held = files.try_lock("/lock");
    REQUIRE_FALSE(files.sync_directory("/"));
    disk->cut_after(2);
    CHECK_FALSE(files.remove("/a"));
    CHECK_THROWS_AS((void)files.remove("/c"), test::power_loss);
    CHECK_THROWS_AS((void)files.list("/"), test::power_loss);
    disk->power_cut(test::everything_kept());
    CHECK(files.list("/").value() == names{"c", "lock"});

    // What the dead process holds on to is nobody's, and takes nothing from the next.
    auto next = files.try_lock("/lock");
    REQUIRE(*next);
    held->reset();
    CHECK(files.try_lock("/lock").value() == nullptr);

    disk->set_full(true);
    CHECK(number_of(files.write_new("/d", {}, 0600)) == ENOSPC);
    CHECK(number_of(files.make_directory("/d", 0600)) == ENOSPC);
    CHECK_FALSE(files.rename("/c", "/d", if_exists::fail));
    disk->set_full(false);
    CHECK_FALSE(files.write_new("/c", {}, 0600));
    disk->set_without_symlinks(true);
    CHECK(number_of(files.make_symlink("a", "/link")) == EPERM);
}

TEST_CASE("simulated: a process that is killed loses its locks and watches, and others are told of changes")
{
    test::simulated_files files;
    test::simulated_files others(files.disk());
    unsigned told = 0;
    unsigned others_told = 0;
    const auto watch = files.watch_directory("/", [&](const std::string& path) { told += path == "/" ? 1 : 100; });
    auto other_watch = others.watch_directory("/", [&](const std::string&) { ++others_told; });
    CHECK(files.watch_directory("/none", [](const std::string&) {}) == nullptr);
    REQUIRE_FALSE(others.write_new("/a", {}, 0600));
    REQUIRE_FALSE(others.rename("/a", "/b", if_exists::fail));
    REQUIRE_FALSE(others.sync_directory("/"));
    CHECK(told == 2);
    CHECK(others_told == 2);
    const auto held = files.try_lock("/b").value();
    CHECK(others.try_lock("/b").value() == nullptr);
    files.kill();
    CHECK(others.try_lock("/b").value() != nullptr);
    other_watch.reset();
    REQUIRE_FALSE(others.remove("/b"));
    CHECK(told == 2);
    CHECK(others_told == 2);
}
