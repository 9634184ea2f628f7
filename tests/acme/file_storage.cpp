#include <alos/acme/file_storage.hpp>

#include "support/pem_files.hpp"
#include "support/sick_files.hpp"
#include "support/simulated_files.hpp"
#include "support/sleep.hpp"

#include <alos/cert/self_signed.hpp>
#include <alos/os/posix_files.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <doctest/doctest.h>

#include <sys/wait.h>

#include <filesystem>

using namespace alos;
using namespace alos::acme;

namespace {

constexpr std::chrono::sys_days today = std::chrono::year(2026) / 11 / 22;

time_point at_midnight() { return today; }

// Three that differ in all their parts.
const bundle& sample(std::size_t which)
{
    static const std::vector<bundle> all = [] {
        std::vector<bundle> made;
        for (const char* number : {"0", "1", "2"}) {
            const auto one = cert::make_self_signed({"example.com"}, today).value();
            bundle next;
            next.chain_pem = one.certificate;
            next.key_pem = one.key;
            next.meta_json = std::string("{\"number\":") + number + "}";
            made.push_back(std::move(next));
        }
        return made;
    }();
    return all[which];
}

// Which sample it is, as a whole; 9 for none.
std::size_t which(const bundle& one)
{
    for (std::size_t i = 0; i < 3; ++i)
        if (one.chain_pem == sample(i).chain_pem && one.key_pem == sample(i).key_pem
            && one.meta_json == sample(i).meta_json)
            return i;
    return 9;
}

// One process that uses a storage, and runs what it returns to its end.
struct member {
    boost::asio::io_context context;
    file_storage storage;

    explicit member(os::file_system& files, unsigned kept = 5, const std::string& folder = "/data")
        : storage(files, folder, "host/1", at_midnight, test::sleep_on(context.get_executor()), kept)
    {
    }

    template <class T>
    T done(awaitable<T> work)
    {
        std::optional<T> value;
        std::exception_ptr thrown;
        boost::asio::co_spawn(context, std::move(work), [&](std::exception_ptr end, T result) {
            thrown = end;
            value.emplace(std::move(result));
        });
        context.restart();
        while (!value)
            REQUIRE(context.run_one() == 1);
        if (thrown)
            std::rethrow_exception(thrown);
        return std::move(*value);
    }

    storage_lock lock(const std::string& name = "a")
    {
        auto held = done(storage.try_lock(name)).value();
        REQUIRE(held.has_value());
        return std::move(*held);
    }

    outcome<std::uint64_t> put(std::size_t index, std::uint64_t expected, const storage_lock& guard)
    {
        return done(storage.store_certificate("a", sample(index), expected, guard));
    }

    std::uint64_t put(std::size_t index, std::uint64_t expected) { return put(index, expected, lock()).value(); }

    outcome<std::optional<bundle>> get() { return done(storage.load_certificate("a")); }

    // Its number and which sample it is, "2:1"; "none"; or why there is none.
    std::string shown()
    {
        const auto found = get();
        if (!found)
            return found.error().what;
        return *found ? std::to_string((*found)->generation) + ":" + std::to_string(which(**found)) : "none";
    }

    outcome<std::uint64_t> write(const std::string& key, std::string_view text,
                                 std::optional<std::uint64_t> expected = std::nullopt)
    {
        return done(storage.store(key, secret_text(text.begin(), text.end()), expected));
    }

    std::string read(const std::string& key)
    {
        const auto found = done(storage.load(key)).value();
        return found ? std::string(as_text(found->text)) : "none";
    }
};

using names = std::vector<std::string>;

}

TEST_CASE("a certificate is in files of its generation, for their owner only, and `current` names it")
{
    const mode_t before = ::umask(0);
    const alos_tests::temporary_folder folder;
    os::posix_files files;
    const std::string top = folder / "new/certs.d/";
    member one(files, 5, top);
    CHECK(one.shown() == "none");
    CHECK(one.done(one.storage.certificates()).value().empty());
    CHECK(files.stat(top).error() == boost::system::errc::no_such_file_or_directory);
    CHECK(one.put(0, 0) == 1);
    CHECK(one.put(1, 1) == 2);
    REQUIRE(one.write("order/a", "{}").has_value());
    REQUIRE(one.write("order/a.key", "PEM").has_value());
    ::umask(before);

    CHECK(one.done(one.storage.certificates()).value() == names{"a"});
    CHECK(files.list(top + "certs/a").value() == names{"000001", "000002", "current"});
    CHECK(files.read_symlink(top + "certs/a/current").value() == "000002");
    CHECK(alos_tests::read_text(top + "certs/a/current/fullchain.pem") == sample(1).chain_pem);
    for (const char* name : {"", "certs", "certs/a", "certs/a/000002", "order", "locks"})
        CHECK(files.stat(top + name)->permissions == 0700);
    for (const char* name : {"certs/a/000002/fullchain.pem", "certs/a/000002/privkey.pem", "certs/a/000002/meta.json",
                             "order/a.json", "order/a.key", "locks/a.lock", "locks/.commit", "locks/a.fence.json"})
        CHECK(files.stat(top + name)->permissions == 0600);
    CHECK(files.list(top).value() == names{"certs", "locks", "order"});
    CHECK(files.list(top + "order").value() == names{"a.json", "a.key"});
    CHECK(one.done(one.storage.list("order")).value() == names{"a", "a.key"});
}

TEST_CASE("power that fails at any step of storing a certificate leaves the old one or the new one, whole")
{
    for (const std::size_t generations : {0, 1, 2}) {
        unsigned olds = 0;
        unsigned news = 0;
        bool is_through = false;
        for (unsigned step = 1; !is_through; ++step) {
            for (std::uint64_t seed = 0; seed < 10; ++seed) {
                test::simulated_files first;
                const auto disk = first.disk();
                {
                    member one(first, 1);
                    for (std::size_t i = 0; i < generations; ++i)
                        REQUIRE(one.put(i, i) == i + 1);
                    const storage_lock guard = one.lock();
                    disk->cut_after(step);
                    try {
                        is_through = one.put(2, generations, guard).has_value();
                    } catch (const test::power_loss&) {
                        is_through = false;
                    }
                    disk->power_cut(seed == 0   ? test::everything_lost()
                                    : seed == 1 ? test::everything_kept()
                                                : test::seeded(seed));
                }
                INFO("step ", step, ", seed ", seed, ", after ", generations);
                test::simulated_files second(disk);
                member next(second, 1);
                const std::string old =
                    generations == 0 ? "none" : std::to_string(generations) + ":" + std::to_string(generations - 1);
                const std::string there = next.shown();
                const std::string fresh = std::to_string(generations + 1) + ":2";
                CHECK((is_through ? there == fresh : there == old || there == fresh));
                (there == fresh ? news : olds) += 1;

                // And it goes on from there, under a number that is new.
                const auto loaded = next.get().value();
                const std::uint64_t expected = loaded ? loaded->generation : 0;
                const std::uint64_t number = next.put(0, expected);
                CHECK(number > expected);
                CHECK(next.shown() == std::to_string(number) + ":0");
                disk->power_cut(test::everything_lost());
                CHECK(next.shown() == std::to_string(number) + ":0");
                for (const std::string& name : second.list("/data/certs/a").value())
                    CHECK_FALSE(name.starts_with('.'));
            }
        }
        CHECK(olds > 100);
        CHECK(news > 10);
    }
}

TEST_CASE("a writer that dies at any step, and power that fails after the next one is done, lose nothing")
{
    bool is_through = false;
    for (unsigned step = 1; !is_through; ++step) {
        test::simulated_files first;
        const auto disk = first.disk();
        member one(first);
        const storage_lock guard = one.lock();
        // Every further step fails, so that nothing is tidied up.
        disk->cut_after(step);
        try {
            is_through = one.put(0, 0, guard).has_value();
        } catch (const test::power_loss&) {
            is_through = false;
        }
        disk->resume();
        first.kill();

        test::simulated_files second(disk);
        member next(second);
        const auto loaded = next.get().value();
        const std::uint64_t number = next.put(1, loaded ? loaded->generation : 0);
        CHECK(number == (second.list("/data/certs/a").value().size() > 2 ? 2 : 1));
        disk->power_cut(test::everything_lost());
        CHECK(next.shown() == std::to_string(number) + ":1");
    }
}

TEST_CASE("a step of storing a certificate that fails leaves the old one, and the next attempt succeeds")
{
    for (const int error : {ENOSPC, EIO, EACCES}) {
        bool is_through = false;
        unsigned failures = 0;
        for (unsigned step = 1; !is_through; ++step) {
            test::simulated_files files;
            const auto disk = files.disk();
            member one(files);
            REQUIRE(one.put(0, 0) == 1);
            const storage_lock guard = one.lock();
            const std::uint64_t steps = disk->steps();
            disk->fail_after(step, error);
            const auto stored = one.put(1, 1, guard);
            is_through = disk->steps() - steps < step;
            INFO("step ", step, ", error ", error);
            CHECK(one.shown() == (stored ? "2:1" : "1:0"));
            if (stored)
                continue;
            ++failures;
            CHECK(stored.error().code.value() == error);
            CHECK(stored.error().what.starts_with("/data/certs/a"));
            if (error == ENOSPC)
                CHECK(stored.error().what.ends_with("make room on that disk"));
            const auto again = one.put(1, 1, guard);
            REQUIRE(again.has_value());
            CHECK(one.shown() == std::to_string(*again) + ":1");
            disk->power_cut(test::everything_lost());
            CHECK(one.shown() == std::to_string(*again) + ":1");
        }
        CHECK(failures >= 10);
    }
}

TEST_CASE("a disk that stays full keeps the certificate that is there, and no rubbish")
{
    test::simulated_files files;
    member one(files);
    REQUIRE(one.put(0, 0) == 1);
    const storage_lock guard = one.lock();
    const auto names_before = files.list("/data/certs/a").value();
    files.disk()->set_full(true);
    for (int i = 0; i < 20; ++i)
        CHECK(one.put(1, 1, guard).error().code == boost::system::errc::no_space_on_device);
    CHECK_FALSE(one.write("order/a", "text").has_value());
    CHECK(one.done(one.storage.try_lock("b")).error().code == boost::system::errc::no_space_on_device);
    CHECK(one.shown() == "1:0");
    CHECK(files.list("/data/certs/a").value() == names_before);
    files.disk()->set_full(false);
    CHECK(one.put(1, 1, guard).value() == 2);
    CHECK(one.done(one.storage.try_lock("b")).value().has_value());
}

TEST_CASE("power that fails at any step of storing a document leaves the old text or the new one")
{
    for (const std::string old : {"none", "old"}) {
        bool is_through = false;
        for (unsigned step = 1; !is_through; ++step) {
            for (std::uint64_t seed = 0; seed < 12; ++seed) {
                test::simulated_files first;
                const auto disk = first.disk();
                member one(first);
                if (old != "none")
                    REQUIRE(one.write("order/a", old).has_value());
                disk->cut_after(step);
                try {
                    is_through = one.write("order/a", "new text").has_value();
                } catch (const test::power_loss&) {
                    is_through = false;
                }
                disk->power_cut(seed == 0   ? test::everything_lost()
                                : seed == 1 ? test::everything_kept()
                                            : test::seeded(seed));
                test::simulated_files second(disk);
                member next(second);
                const std::string there = next.read("order/a");
                INFO("step ", step, ", seed ", seed);
                CHECK((there == "new text" || (!is_through && there == old)));
                REQUIRE(next.write("order/a", "later").has_value());
                disk->power_cut(test::everything_lost());
                CHECK(next.read("order/a") == "later");
            }
        }
    }
}

TEST_CASE("a step of storing a document that fails leaves the old text, and the next attempt succeeds")
{
    bool is_through = false;
    for (unsigned step = 1; !is_through; ++step) {
        test::simulated_files files;
        member one(files);
        REQUIRE(one.write("order/a", "old").has_value());
        const std::uint64_t steps = files.disk()->steps();
        files.disk()->fail_after(step, ENOSPC);
        const auto stored = one.write("order/a", "new");
        is_through = files.disk()->steps() - steps < step;
        CHECK(one.read("order/a") == (stored ? "new" : "old"));
        CHECK(files.list("/data/order").value() == names{"a.json"});
        files.disk()->fail_after(0, 0);
        CHECK(one.write("order/a", "new").has_value());
        CHECK(one.read("order/a") == "new");
    }
}

TEST_CASE("of two writers that expect the same generation, one is told of a conflict")
{
    test::simulated_files files;
    test::simulated_files others(files.disk());
    member one(files);
    member other(others);
    const storage_lock mine = one.lock("a");
    const storage_lock theirs = other.lock("b"); // somebody who locks the wrong thing
    REQUIRE(one.put(0, 0, mine).value() == 1);
    CHECK(other.put(1, 0, theirs).error().code == errc::conflict);
    CHECK(other.put(1, 1, theirs).value() == 2);
    CHECK(one.put(2, 1, mine).error().code == errc::conflict);
    CHECK(one.put(2, 3, mine).error().code == errc::conflict);
    CHECK(one.shown() == "2:1");
}

TEST_CASE("what is stored without the lock, or after it went to somebody else, is refused")
{
    test::simulated_files files;
    test::simulated_files others(files.disk());
    member one(files);
    member other(others);
    const auto lost = [](const outcome<std::uint64_t>& stored) {
        return !stored && stored.error().code == errc::lock_lost;
    };
    CHECK(lost(one.put(0, 0, storage_lock{})));
    storage_lock guard = one.lock();
    CHECK(lost(other.put(0, 0, guard)));
    CHECK_FALSE(other.done(other.storage.try_lock("a")).value().has_value());
    CHECK_FALSE(one.done(one.storage.try_lock("a")).value().has_value());
    CHECK(one.put(0, 0, guard).value() == 1);

    SUBCASE("given back, though a copy of it is left")
    {
        boost::asio::co_spawn(one.context, one.storage.unlock(guard), [](std::exception_ptr) {});
        one.context.restart();
        one.context.run();
        CHECK(lost(one.put(1, 1, guard)));
        CHECK(other.lock().fence == guard.fence + 1);
        CHECK(one.put(1, 1, one.lock("free")).has_value());
    }
    SUBCASE("its last copy gone")
    {
        guard = {};
        CHECK(one.lock().fence == 2);
    }
    SUBCASE("its process was cut off")
    {
        files.kill();
        const storage_lock next = other.lock();
        CHECK(next.fence > guard.fence);
        CHECK(lost(one.put(1, 1, guard)));
        CHECK(other.put(2, 1, next).value() == 2);
        CHECK(one.shown() == "2:2");
    }
    SUBCASE("lost while the certificate was being written")
    {
        // The new generation is there by then, but was never the current one; its number is spent.
        unsigned renames = 0;
        const auto watch = others.watch_directory("/data/certs/a", [&](const std::string&) {
            if (++renames == 2) { // .new, then 000002
                files.kill();
                (void)other.lock();
            }
        });
        CHECK(lost(one.put(1, 1, guard)));
        CHECK(one.shown() == "1:0");
        CHECK(other.put(2, 1) == 3);
        CHECK(other.shown() == "3:2");
    }
}

TEST_CASE("the fence grows with every lock, over restarts and power cuts, and past a file that is damaged")
{
    auto disk = std::make_shared<test::simulated_disk>();
    std::uint64_t last = 0;
    for (std::uint64_t i = 0; i < 20; ++i) {
        test::simulated_files files(disk);
        member one(files);
        const storage_lock held = one.lock();
        CHECK(held.fence > last);
        last = held.fence;
        CHECK(held.owner == "host/1");
        if (i % 3 == 1)
            disk->power_cut(test::everything_lost());
        if (i == 10) {
            CHECK(last == 11);
            const auto text = files.read("/data/locks/a.fence.json", 1000).value();
            CHECK(as_text(text) == R"({"fence":11,"owner":"host/1","since":"2026-11-22T00:00:00Z"})");
            REQUIRE_FALSE(files.remove("/data/locks/a.fence.json"));
            REQUIRE_FALSE(files.write_new("/data/locks/a.fence.json", as_bytes("{\"fence\":"), 0600));
        }
    }
    test::simulated_files files(disk);
    member one(files);
    CHECK(one.lock("b").fence == 1);
}

TEST_CASE("the number in a fence file is read, or the file is damaged")
{
    using alos::acme::detail::parse_fence;
    CHECK(parse_fence("{\"fence\":7}") == 7);
    CHECK(parse_fence(" {\"owner\":null, \"fence\":1} ") == 1);
    for (const char* text : {"", "7", "{}", "[]", "{\"fence\":0}", "{\"fence\":-1}", "{\"fence\":1.5}",
                             "{\"fence\":\"1\"}", "{\"fence\":9223372036854775808}", "{\"fence\":1e30}",
                             "{\"fence\":1}x"})
        CHECK_FALSE(parse_fence(text).has_value());
}

TEST_CASE("when the current generation is missing or broken, the highest that can be used is loaded")
{
    test::simulated_files files;
    member one(files);
    for (std::size_t i = 0; i < 3; ++i)
        REQUIRE(one.put(i, i) == i + 1);
    const std::string folder = "/data/certs/a/";
    const auto put_text = [&](const std::string& path, std::string_view text) {
        (void)files.remove(folder + path);
        REQUIRE_FALSE(files.write_new(folder + path, as_bytes(text), 0600));
    };
    std::string expected = "2:1";
    SUBCASE("its key is cut off") { put_text("000003/privkey.pem", as_text(sample(2).key_pem).substr(0, 50)); }
    SUBCASE("its key is another's") { put_text("000003/privkey.pem", as_text(sample(1).key_pem)); }
    SUBCASE("its key is empty") { put_text("000003/privkey.pem", {}); }
    SUBCASE("its chain is empty") { put_text("000003/fullchain.pem", {}); }
    SUBCASE("its chain does not link") { put_text("000003/fullchain.pem", sample(2).chain_pem + sample(0).chain_pem); }
    SUBCASE("its chain is too large") { put_text("000003/fullchain.pem", std::string(max_stored_size + 1, 'x')); }
    SUBCASE("a file of it is missing") { REQUIRE_FALSE(files.remove(folder + "000003/fullchain.pem")); }
    SUBCASE("two are broken")
    {
        put_text("000003/privkey.pem", {});
        REQUIRE_FALSE(files.remove(folder + "000002/privkey.pem"));
        expected = "1:0";
    }
    SUBCASE("the link is missing")
    {
        REQUIRE_FALSE(files.remove(folder + "current"));
        expected = "3:2";
    }
    SUBCASE("the link goes nowhere")
    {
        REQUIRE_FALSE(files.remove(folder + "current"));
        REQUIRE_FALSE(files.make_symlink("000009", folder + "current"));
        expected = "3:2";
    }
    SUBCASE("the link says nothing")
    {
        REQUIRE_FALSE(files.remove(folder + "current"));
        REQUIRE_FALSE(files.make_symlink("../../..", folder + "current"));
        expected = "3:2";
    }
    CHECK(one.shown() == expected);

    // What was loaded is what the next one replaces; the numbers that are there are spent.
    const std::uint64_t generation = one.get().value()->generation;
    CHECK(one.put(0, generation + 5, one.lock()).error().code == errc::conflict);
    const std::uint64_t number = one.put(0, generation);
    CHECK(number >= 4);
    CHECK(one.shown() == std::to_string(number) + ":0");
}

TEST_CASE("a generation without what is only said of it serves, and is not put aside")
{
    test::simulated_files files;
    member one(files);
    for (std::size_t i = 0; i < 2; ++i)
        REQUIRE(one.put(i, i) == i + 1);
    REQUIRE_FALSE(files.remove("/data/certs/a/000002/meta.json"));
    CHECK(one.done(one.storage.put_broken_aside("a", one.lock())).value().empty());
    const auto found = one.get().value();
    REQUIRE(found);
    CHECK(found->generation == 2);
    CHECK(found->chain_pem == sample(1).chain_pem);
    CHECK(found->meta_json.empty());
}

TEST_CASE("when nothing can be used the folder is named and left as it is, and a new certificate can be stored")
{
    test::simulated_files files;
    member one(files);
    REQUIRE(one.put(0, 0) == 1);
    REQUIRE_FALSE(files.remove("/data/certs/a/000001/privkey.pem"));
    const auto loaded = one.get();
    REQUIRE_FALSE(loaded.has_value());
    CHECK(loaded.error().what.starts_with("/data/certs/a: no certificate in it can be used (/data/certs/a/000001/"
                                          "privkey.pem: cannot be read: No such file or directory"));
    CHECK(files.list("/data/certs/a").value() == names{"000001", "current"});
    CHECK(one.put(1, 0) == 2);
    CHECK(one.shown() == "2:1");
}

TEST_CASE("a broken generation is put aside whole, and the one that is used becomes the current one")
{
    test::simulated_files files;
    member one(files);
    for (std::size_t i = 0; i < 3; ++i)
        REQUIRE(one.put(i, i) == i + 1);
    const std::string folder = "/data/certs/a/";
    const auto put_text = [&](const std::string& path, std::string_view text) {
        (void)files.remove(folder + path);
        REQUIRE_FALSE(files.write_new(folder + path, as_bytes(text), 0600));
    };
    const std::string half_a_key(as_text(sample(2).key_pem).substr(0, 50));
    std::string used = "2:1";
    names left{"000001", "000002", "000003.broken-2026-11-22T00:00:00Z", "current"};
    SUBCASE("its key is cut off") { put_text("000003/privkey.pem", half_a_key); }
    SUBCASE("its key is another's") { put_text("000003/privkey.pem", as_text(sample(1).key_pem)); }
    SUBCASE("its chain does not link") { put_text("000003/fullchain.pem", sample(2).chain_pem + sample(0).chain_pem); }
    SUBCASE("its chain is no X.509")
    {
        put_text("000003/fullchain.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    }
    SUBCASE("a file of it is missing") { REQUIRE_FALSE(files.remove(folder + "000003/fullchain.pem")); }
    SUBCASE("the one before it is broken, too")
    {
        put_text("000003/privkey.pem", {});
        put_text("000002/fullchain.pem", std::string(max_stored_size + 1, 'x'));
        used = "1:0";
        left[1] = "000002.broken-2026-11-22T00:00:00Z";
    }
    SUBCASE("all are broken")
    {
        for (const char* number : {"000001", "000002", "000003"})
            put_text(std::string(number) + "/privkey.pem", half_a_key);
        used = "none";
        left = {"000001.broken-2026-11-22T00:00:00Z", "000002.broken-2026-11-22T00:00:00Z", left[2]};
    }
    const std::size_t count = used == "none" ? 3 : used == "1:0" ? 2 : 1;
    const auto done = one.done(one.storage.put_broken_aside("a", one.lock())).value();
    REQUIRE(done.size() == count);
    CHECK(done.front().where == folder + "000003.broken-2026-11-22T00:00:00Z");
    CHECK(done.front().what.starts_with(folder + "000003/"));
    CHECK(files.list(folder).value() == left);
    CHECK(files.disk()->find_exposed("/data").empty());
    CHECK(one.shown() == used);
    const auto found = one.get().value();
    CHECK((found ? found->skipped : "").empty());
    if (found)
        CHECK(found->aside.size() == count);
    const std::uint64_t generation = found ? found->generation : 0;
    CHECK(one.done(one.storage.current_generation("a")).value() == generation);
    CHECK(one.done(one.storage.put_broken_aside("a", one.lock())).value().empty());
    CHECK(files.list(folder).value() == left);

    // Its number is spent: somebody may have it in memory.
    CHECK(one.put(0, generation) == 4);
    CHECK(one.shown() == "4:0");
}

TEST_CASE("a generation that cannot be read now is not put aside, nor one that is not looked at, nor without the lock")
{
    test::simulated_files disk;
    test::sick_files files(disk);
    member one(files);
    for (std::size_t i = 0; i < 3; ++i)
        REQUIRE(one.put(i, i) == i + 1);
    const auto before = files.list("/data/certs/a").value();
    files.sick = "/data/certs/a/000003";
    for (const int error : {EIO, EACCES, EMFILE}) {
        files.error = error;
        CHECK(one.shown() == "2:1");
        CHECK(one.done(one.storage.put_broken_aside("a", one.lock())).value().empty());
    }
    files.sick.clear();
    REQUIRE_FALSE(files.remove("/data/certs/a/000002/privkey.pem"));
    CHECK(one.done(one.storage.put_broken_aside("a", one.lock())).value().empty());
    CHECK(files.list("/data/certs/a").value() == before);
    CHECK(one.shown() == "3:2");
    REQUIRE_FALSE(files.remove("/data/certs/a/000003/privkey.pem"));
    storage_lock late = one.lock();
    disk.kill();
    (void)member(disk).lock();
    CHECK(one.done(one.storage.put_broken_aside("a", late)).error().code == errc::lock_lost);
    CHECK(files.list("/data/certs/a").value() == before);
}

TEST_CASE("a certificate that cannot be looked into is listed all the same, and loading it says why")
{
    test::simulated_files disk;
    test::sick_files files(disk);
    member one(files);
    REQUIRE(one.put(0, 0) == 1);
    REQUIRE_FALSE(disk.write_new("/data/certs/note", {}, 0600));
    REQUIRE_FALSE(disk.make_directory("/data/certs/empty", 0700));
    CHECK(one.done(one.storage.certificates()).value() == names{"a"});
    files.sick = "/data/certs/a";
    for (const int error : {EIO, EACCES, EMFILE}) {
        files.error = error;
        CHECK(one.done(one.storage.certificates()).value() == names{"a"});
        CHECK(one.shown().find("/data/certs/a: cannot be listed") == 0);
    }
    files.sick = "/data/certs";
    for (const int error : {EACCES, ENOTDIR}) {
        files.error = error;
        CHECK(one.done(one.storage.certificates()).error().what.find("/data/certs: cannot be listed") == 0);
    }
    files.error = ENOENT;
    CHECK(one.done(one.storage.certificates()).value().empty());
}

TEST_CASE("power that fails at any step of putting a generation aside leaves it here or there, and another in use")
{
    unsigned kept = 0;
    bool is_through = false;
    for (unsigned step = 1; !is_through; ++step) {
        for (std::uint64_t seed = 0; seed < 10; ++seed) {
            test::simulated_files first;
            const auto disk = first.disk();
            {
                member one(first);
                for (std::size_t i = 0; i < 2; ++i)
                    REQUIRE(one.put(i, i) == i + 1);
                const std::string key = "/data/certs/a/000002/privkey.pem";
                REQUIRE_FALSE(first.remove(key));
                REQUIRE_FALSE(first.write_new(key, as_bytes("half"), 0600));
                REQUIRE_FALSE(first.sync_file(key));
                REQUIRE_FALSE(first.sync_directory("/data/certs/a/000002"));
                const storage_lock guard = one.lock();
                disk->cut_after(step);
                try {
                    is_through = one.done(one.storage.put_broken_aside("a", guard)).has_value();
                } catch (const test::power_loss&) {
                    is_through = false;
                }
                disk->power_cut(seed == 0   ? test::everything_lost()
                                : seed == 1 ? test::everything_kept()
                                            : test::seeded(seed));
            }
            INFO("step ", step, ", seed ", seed);
            test::simulated_files second(disk);
            member next(second);
            // Whoever has the second one in memory is told that it was put aside, wherever that ended.
            if (seed == 1 && next.done(next.storage.current_generation("a")).value() == 1)
                CHECK(next.get().value()->aside == std::vector<std::uint64_t>{2});
            CHECK(next.shown() == "1:0");
            (void)next.done(next.storage.put_broken_aside("a", next.lock()));
            CHECK(next.done(next.storage.current_generation("a")).value() == 1);
            const auto there = second.list("/data/certs/a").value();
            const auto text = second.read("/data/certs/a/" + there[1] + "/privkey.pem", 100).value();
            CHECK(as_text(text) == "half");
            kept += there[1] == "000002";
            CHECK(next.put(2, 1) == 3);
            CHECK(next.shown() == "3:2");
        }
    }
    CHECK(kept > 0);
}

TEST_CASE("a step that fails while generations are put aside hides none that was")
{
    unsigned half_done = 0;
    bool is_through = false;
    for (unsigned step = 1; !is_through; ++step) {
        test::simulated_files files;
        member one(files);
        for (std::size_t i = 0; i < 3; ++i)
            REQUIRE(one.put(i, i) == i + 1);
        const std::string folder = "/data/certs/a/";
        for (const char* number : {"000002", "000003"})
            REQUIRE_FALSE(files.remove(folder + number + "/privkey.pem"));
        const storage_lock guard = one.lock();
        const std::uint64_t begun = files.disk()->steps();
        files.disk()->fail_after(step, EIO);
        const auto done = one.done(one.storage.put_broken_aside("a", guard));
        is_through = files.disk()->steps() < begun + step;
        const auto there = files.list(folder).value();
        const auto moved = std::ranges::count_if(
            there, [](const std::string& each) { return each.find(".broken-") != each.npos; });
        INFO("step ", step);
        CHECK((done ? done->size() : 0) == static_cast<std::size_t>(moved));
        half_done += moved == 1;
        CHECK(one.shown() == "1:0");
        (void)one.done(one.storage.put_broken_aside("a", guard));
        CHECK(one.done(one.storage.current_generation("a")).value() == 1);
    }
    CHECK(half_done > 0);
}

TEST_CASE("a file that is too large is named")
{
    test::simulated_files files;
    member one(files);
    REQUIRE(one.put(0, 0) == 1);
    const std::string chain = "/data/certs/a/000001/fullchain.pem";
    REQUIRE_FALSE(files.remove(chain));
    const std::string large(max_stored_size + 1, ' ');
    REQUIRE_FALSE(files.write_new(chain, as_bytes(large), 0600));
    const auto loaded = one.get();
    REQUIRE_FALSE(loaded.has_value());
    const std::string named = "(" + chain + ": it is too large to be one of ours; restore it";
    CHECK(loaded.error().what.find(named) != std::string::npos);
}

TEST_CASE("a certificate serves whatever is the matter with its meta.json")
{
    test::simulated_files files;
    member one(files);
    REQUIRE(one.put(0, 0) == 1);
    const std::string meta = "/data/certs/a/000001/meta.json";
    const std::string large(max_stored_size + 1, ' ');
    const auto check = [&] {
        const auto loaded = one.get();
        REQUIRE(loaded.has_value());
        CHECK(loaded.value()->generation == 1);
        CHECK(loaded.value()->meta_json.empty());
        CHECK(one.done(one.storage.put_broken_aside("a", one.lock())).value().empty());
        REQUIRE_FALSE(files.remove(meta));
    };
    REQUIRE_FALSE(files.remove(meta));
    REQUIRE_FALSE(files.write_new(meta, as_bytes(large), 0600));
    check();
    REQUIRE_FALSE(files.make_directory(meta, 0700));
    check();
    REQUIRE_FALSE(files.make_symlink("meta.json", meta));
    check();
}

TEST_CASE("what does not fit together is not stored")
{
    test::simulated_files files;
    member one(files);
    REQUIRE(one.put(0, 0) == 1);
    const storage_lock guard = one.lock();
    const auto refused = [&](auto change) {
        bundle next = sample(1);
        change(next);
        const auto stored = one.done(one.storage.store_certificate("a", next, 1, guard));
        REQUIRE_FALSE(stored.has_value());
        CHECK(one.shown() == "1:0");
        return stored.error().code;
    };
    CHECK(refused([](bundle& it) { it.key_pem = sample(2).key_pem; }) == errc::key_mismatch);
    CHECK(refused([](bundle& it) { it.key_pem.clear(); }) == errc::bad_pem);
    CHECK(refused([](bundle& it) { it.chain_pem.clear(); }) == errc::bad_pem);
    CHECK(refused([](bundle& it) { it.meta_json.assign(max_stored_size + 1, ' '); })
          == boost::system::errc::file_too_large);
    CHECK(files.list("/data/certs/a").value() == names{"000001", "current"});
}

TEST_CASE("the newest generations are kept, and the current one whatever its number")
{
    test::simulated_files files;
    member one(files, 2);
    for (std::uint64_t i = 0; i < 6; ++i)
        REQUIRE(one.put(i % 3, i) == i + 1);
    CHECK(files.list("/data/certs/a").value() == names{"000005", "000006", "current"});

    // Writers that died between the two renames.
    for (const char* name : {"000007", "000008", "000009"})
        REQUIRE_FALSE(files.make_directory(std::string("/data/certs/a/") + name, 0700));
    CHECK(one.shown() == "6:2");
    CHECK(one.put(1, 6) == 10);
    CHECK(files.list("/data/certs/a").value() == names{"000009", "000010", "current"});
    CHECK(one.put(1, 10, storage_lock{}).error().code == errc::lock_lost);

    member few(files, 0);
    CHECK(few.put(2, 10) == 11);
    CHECK(files.list("/data/certs/a").value() == names{"000011", "current"});
}

TEST_CASE("generations are counted in six digits, and in more when it takes them")
{
    using namespace alos::acme::detail;
    CHECK(generation_name(1) == "000001");
    CHECK(generation_name(999999) == "999999");
    CHECK(generation_name(1000000) == "1000000");
    CHECK(parse_generation("000042") == 42);
    CHECK(parse_generation("1000000") == 1000000);
    CHECK(parse_generation("999999999999") == max_generation);
    for (const char* name : {"", "0", "42", "00042", "000000", "0000042", "00004x", "+00042", "-00042", " 00042",
                             "1000000000000", "99999999999999999999999999", ".000042"})
        CHECK(parse_generation(name) == 0);
}

TEST_CASE("where links cannot be made, `current` is a file with the number in it")
{
    test::simulated_files files;
    files.disk()->set_without_symlinks(true);
    member one(files);
    REQUIRE(one.put(0, 0) == 1);
    REQUIRE(one.put(1, 1) == 2);
    CHECK(as_text(files.read("/data/certs/a/current", 99).value()) == "000002\n");
    files.disk()->power_cut(test::everything_lost());
    CHECK(one.shown() == "2:1");
    files.disk()->set_without_symlinks(false);
    REQUIRE(one.put(2, 2) == 3);
    CHECK(files.read_symlink("/data/certs/a/current").value() == "000003");
}

TEST_CASE("a folder in the place of `current` is put aside with what is in it, for the next generation")
{
    test::simulated_files files;
    member one(files);
    for (std::uint64_t i = 0; i < 2; ++i)
        REQUIRE(one.put(i, i) == i + 1);
    const std::string current = "/data/certs/a/current";
    for (std::uint64_t i = 2; i < 4; ++i) { // both in the same second
        REQUIRE_FALSE(files.remove(current));
        REQUIRE_FALSE(files.make_directory(current, 0700));
        REQUIRE_FALSE(files.write_new(current + "/inside", as_bytes("x"), 0600));
        CHECK(one.shown() == std::to_string(i) + ":" + std::to_string((i - 1) % 3));
        REQUIRE(one.put(i % 3, i) == i + 1);
        CHECK(files.read_symlink(current).value() == acme::detail::generation_name(i + 1));
        CHECK(one.shown() == std::to_string(i + 1) + ":" + std::to_string(i % 3));
    }
    std::size_t aside = 0;
    for (const std::string& name : files.list("/data/certs/a").value())
        if (name.starts_with("current.broken-"))
            aside += files.stat("/data/certs/a/" + name + "/inside").has_value();
    CHECK(aside == 2);

    // Also where the current one was damaged.
    REQUIRE_FALSE(files.remove("/data/certs/a/000004/privkey.pem"));
    REQUIRE_FALSE(files.remove(current));
    REQUIRE_FALSE(files.make_directory(current, 0700));
    REQUIRE(one.done(one.storage.put_broken_aside("a", one.lock())).value().size() == 1);
    CHECK(files.read_symlink(current).value() == "000003");
}

TEST_CASE("prepare makes the folder, or says which path is wrong and what to do")
{
    test::simulated_files files;
    member one(files, 5, "/a/b/certs");
    REQUIRE(one.storage.prepare().has_value());
    REQUIRE(one.storage.prepare().has_value());
    CHECK(files.stat("/a/b/certs")->permissions == 0700);
    CHECK(files.list("/a/b/certs").value() == names{"certs", "locks"});
    // The folder that holds the locks is tried, too.
    for (unsigned step = 1; step < 3; ++step) {
        files.disk()->fail_after(step, EACCES);
        const auto prepared = one.storage.prepare();
        if (!prepared)
            CHECK(prepared.error().what
                  == "/a/b/certs: certificates cannot be kept there: Permission denied; give the user that the server "
                     "runs as permission to it");
    }
    test::sick_files full(files);
    full.is_full = true;
    member out_of_room(full, 5, "/a/b/certs");
    const auto refused = out_of_room.storage.prepare();
    REQUIRE(refused.has_error());
    CHECK(refused.error().what.starts_with("/a/b/certs: certificates cannot be kept there: No space left on device"));
    CHECK(files.list("/a/b/certs").value() == names{"certs", "locks"});
    REQUIRE_FALSE(files.write_new("/file", {}, 0600));
    member wrong(files, 5, "/file/");
    CHECK(wrong.storage.prepare().error().what.starts_with("/file: it is a file and not a folder"));
    CHECK(wrong.done(wrong.storage.try_lock("a")).error().code == boost::system::errc::not_a_directory);
    CHECK(wrong.write("order/a", "x").error().what.starts_with("/file: it is a file"));

    const alos_tests::temporary_folder folder;
    os::posix_files real;
    member here(real, 5, folder.path());
    CHECK(here.storage.prepare().has_value());
    CHECK(real.list(folder.path()).value() == names{"certs", "locks"});
    member null(real, 5, "/dev/null");
    CHECK_FALSE(null.storage.prepare().has_value());
}

TEST_CASE("a process that is killed while it holds a lock keeps nobody out")
{
    const alos_tests::temporary_folder folder;
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        os::posix_files files;
        member one(files, 5, folder.path());
        const storage_lock held = one.lock();
        const char byte = 0;
        (void)!::write(ready[1], &byte, 1);
        while (true)
            ::pause();
    }
    char byte = 1;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    os::posix_files files;
    member one(files, 5, folder.path());
    CHECK_FALSE(one.done(one.storage.try_lock("a")).value().has_value());
    REQUIRE(::kill(child, SIGKILL) == 0);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    CHECK(one.lock().fence == 2);
    CHECK(one.put(0, 0) == 1);
    ::close(ready[0]);
    ::close(ready[1]);
}

TEST_CASE("processes that write at the same time wait for one another, and give up when one hangs")
{
    const alos_tests::temporary_folder folder;
    os::posix_files files;
    member one(files, 5, folder.path());
    REQUIRE(one.storage.prepare().has_value());
    auto busy = files.try_lock(folder / "locks/.commit").value();
    REQUIRE(busy);

    SUBCASE("a while")
    {
        std::optional<outcome<std::uint64_t>> stored;
        boost::asio::co_spawn(one.context, one.storage.store("a/b", secret_text{'x'}, std::nullopt),
                              [&](std::exception_ptr, outcome<std::uint64_t> end) { stored = std::move(end); });
        one.context.run_one();
        one.context.run_one();
        CHECK_FALSE(stored.has_value());
        busy.reset();
        one.context.run();
        REQUIRE(stored.has_value());
        CHECK(stored->has_value());
        CHECK(one.read("a/b") == "x");
    }
    SUBCASE("for ever")
    {
        one.storage.patience = std::chrono::milliseconds(10);
        const auto stored = one.write("a/b", "x");
        REQUIRE_FALSE(stored.has_value());
        CHECK(stored.error().code == errc::timed_out);
        CHECK(stored.error().what.starts_with(folder / "locks/.commit: another process"));
    }
}

TEST_CASE("changes of certificates and answers by others are told once each, and of folders that come later, too")
{
    test::simulated_files files;
    test::simulated_files others(files.disk());
    member one(files);
    member other(others);
    REQUIRE(other.write("challenge/http-01/a", "1").has_value());
    std::vector<std::string> told;
    const auto listen = [&] {
        const auto next = [](storage& from, std::vector<std::string>& into) -> awaitable<> {
            while (true)
                into.push_back(co_await from.next_change());
        };
        boost::asio::co_spawn(one.context, next(one.storage, told), [](std::exception_ptr) {});
    };
    const auto seen = [&] {
        one.context.restart();
        one.context.poll();
        return std::exchange(told, {});
    };
    listen();
    CHECK(seen() == names{"certificates", "challenge"}); // what was there before

    REQUIRE(other.put(0, 0) == 1);
    CHECK(seen() == names{"certificates", "certificates/a"});
    REQUIRE(other.put(1, 1) == 2);
    CHECK(seen() == names{"certificates/a"});
    REQUIRE(other.write("challenge/http-01/a", "2").has_value());
    REQUIRE(other.put(2, 2) == 3);
    REQUIRE(other.write("challenge/http-01/a", "3").has_value());
    CHECK(seen() == names{"certificates/a", "challenge"});
    REQUIRE(other.write("challenge/tls-alpn-01/a", "4").has_value());
    CHECK(seen() == names{"challenge"});
    REQUIRE(other.write("challenge/http-01/token", "4").has_value());
    CHECK(seen() == names{"challenge"});
    REQUIRE(other.write("challenge/http-01/token", "5").has_value());
    CHECK(seen() == names{"challenge"});
    REQUIRE(other.done(other.storage.erase("challenge/http-01/token")).has_value());
    CHECK(seen() == names{"challenge"});
    // A new folder among them could be another one of any name: all may have changed.
    const names everything{"certificates", "certificates/a", "challenge"};
    REQUIRE(other.write("state/a", "6").has_value());
    CHECK(seen() == everything);
    REQUIRE(other.write("state/a", "7").has_value());
    (void)other.lock("quiet");
    CHECK(seen().empty());
    REQUIRE_FALSE(others.rename("/data/certs", "/data/old", os::if_exists::fail));
    CHECK(seen() == names{"challenge", "certificates", "challenge"}); // an empty one was made
    REQUIRE_FALSE(others.remove("/data/certs"));
    REQUIRE_FALSE(others.rename("/data/old", "/data/certs", os::if_exists::fail));
    CHECK(seen() == everything);
    REQUIRE(other.put(0, 3) == 4);
    CHECK(seen() == names{"certificates/a"});

    // Folders that go and come again are watched again.
    REQUIRE(other.done(other.storage.erase("challenge/http-01/a")).has_value());
    REQUIRE_FALSE(others.remove("/data/challenge/http-01"));
    CHECK(seen() == names{"challenge"});
    REQUIRE(other.write("challenge/http-01/token", "7").has_value());
    CHECK(seen() == names{"challenge"});
    REQUIRE(other.write("challenge/http-01/token", "8").has_value());
    CHECK(seen() == names{"challenge"});
}

TEST_CASE("waiting for changes ends by being cancelled; where nothing can be watched, they are looked for")
{
    boost::asio::io_context context;
    os::posix_files watching(context.get_executor());
    os::posix_files not_watching;
    os::posix_files others;
    const auto sleep = [&](std::chrono::milliseconds time) {
        CHECK(time == std::chrono::seconds(2));
        return test::sleep(context.get_executor(), std::chrono::milliseconds(1));
    };
    const auto listen = [](storage& from, std::set<std::string>& told) -> awaitable<> {
        while (true)
            told.insert(co_await from.next_change());
    };
    for (os::posix_files* files : {&watching, &not_watching}) {
        const alos_tests::temporary_folder folder;
        member other(others, 5, folder.path());
        file_storage storage(*files, folder.path(), "me", at_midnight, sleep);
        boost::asio::cancellation_signal stop;
        std::exception_ptr thrown;
        std::set<std::string> told;
        const auto ended = [&](std::exception_ptr end) { thrown = end; };
        boost::asio::co_spawn(context, listen(storage, told),
                              boost::asio::bind_cancellation_slot(stop.slot(), ended));
        context.restart();
        context.poll();
        REQUIRE(other.write("challenge/http-01/token", "1").has_value());
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
        while (!told.contains("challenge") && context.run_one_until(end) == 1) {
        }
        CHECK(told.contains("challenge"));
        CHECK(told.contains("certificates"));
        CHECK_FALSE(thrown);
        stop.emit(boost::asio::cancellation_type::terminal);
        // Nothing is left to do afterwards: this returns.
        context.run();
        REQUIRE(thrown);
        CHECK_THROWS_AS(std::rethrow_exception(thrown), boost::system::system_error);
    }
}

TEST_CASE("a certificate that another instance stores is noticed by inotify")
{
    const alos_tests::temporary_folder folder;
    boost::asio::io_context context;
    os::posix_files files(context.get_executor());
    const auto sleep = [&](std::chrono::milliseconds) {
        return test::sleep(context.get_executor(), std::chrono::milliseconds(1));
    };
    file_storage storage(files, folder.path(), "me", at_midnight, sleep);
    os::posix_files others;
    member other(others, 5, folder.path());
    std::vector<std::string> told;
    const auto next = [](acme::storage& from, std::vector<std::string>& into) -> awaitable<> {
        while (true)
            into.push_back(co_await from.next_change());
    };
    boost::asio::co_spawn(context, next(storage, told), [](std::exception_ptr) {});
    const auto seen = [&](const std::string& what) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
        told.clear();
        context.restart();
        while (std::ranges::count(told, what) == 0 && context.run_one_until(end) == 1) {
        }
        return std::ranges::count(told, what) != 0;
    };
    context.poll();
    REQUIRE(other.put(0, 0) == 1);
    CHECK(seen("certificates/a"));
    context.poll();
    REQUIRE(other.put(1, 1) == 2);
    CHECK(seen("certificates/a"));
    REQUIRE(other.write("challenge/http-01/a", "1").has_value());
    CHECK(seen("challenge"));
    context.poll();
    REQUIRE(other.write("challenge/http-01/a", "2").has_value());
    CHECK(seen("challenge"));
    // What is watched goes away as a whole, and another one comes.
    namespace fs = std::filesystem;
    const fs::path here(folder.path());
    fs::rename(here / "certs", here / "old");
    fs::copy(here / "old", here / "certs", fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    CHECK(seen("certificates/a"));
    context.poll();
    REQUIRE(other.put(2, 2) == 3);
    CHECK(seen("certificates/a"));
    context.poll();
    fs::rename(here, here.string() + ".away");
    for (int i = 0; i < 10; ++i)
        context.poll();
    fs::rename(here.string() + ".away", here);
    CHECK(seen("certificates/a"));
    context.poll();
    REQUIRE(other.put(0, 3) == 4);
    CHECK(seen("certificates/a"));
}
