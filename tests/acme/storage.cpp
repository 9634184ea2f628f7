// What every storage does (acme/storage.hpp), asked of the one in files: on a simulated disk and on a real one.
#include <alos/acme/storage.hpp>

#include "support/pem_files.hpp"
#include "support/simulated_files.hpp"
#include "support/sleep.hpp"

#include <alos/acme/file_storage.hpp>
#include <alos/cert/self_signed.hpp>
#include <alos/os/posix_files.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <doctest/doctest.h>

#include <sys/stat.h>

using namespace alos;
using namespace alos::acme;

namespace {

time_point this_day() { return std::chrono::sys_days(std::chrono::year(2026) / 11 / 22); }

struct real_disk {
    alos_tests::temporary_folder folder;
    os::posix_files files;
    os::posix_files others;
    std::string top = folder.path();
};

struct simulation {
    test::simulated_files files;
    test::simulated_files others{files.disk()};
    std::string top = "/data";
};

// Two processes with one storage.
template <class Disk>
struct in_files {
    boost::asio::io_context context;
    Disk disk;
    file_storage first{disk.files, disk.top, "host/1", this_day, test::sleep_on(context.get_executor())};
    file_storage second{disk.others, disk.top, "host/2", this_day, test::sleep_on(context.get_executor())};
};

using on_disk = in_files<real_disk>;
using simulated = in_files<simulation>;

template <class T>
T done(boost::asio::io_context& context, awaitable<T> work)
{
    std::optional<T> value;
    std::exception_ptr thrown;
    boost::asio::co_spawn(context, std::move(work), [&](std::exception_ptr end, T result) {
        thrown = end;
        value.emplace(std::move(result));
    });
    context.restart();
    context.run();
    if (thrown)
        std::rethrow_exception(thrown);
    return std::move(value.value());
}

// A storage whose members return when they are done.
template <class Place>
struct user {
    Place& place;
    acme::storage& storage;

    template <class T>
    T wait(awaitable<T> work)
    {
        return done(place.context, std::move(work));
    }

    outcome<std::uint64_t> put(const std::string& key, std::string_view text,
                               std::optional<std::uint64_t> expected = std::nullopt)
    {
        return wait(storage.store(key, secret_text(text.begin(), text.end()), expected));
    }

    std::optional<document> get(const std::string& key) { return wait(storage.load(key)).value(); }

    std::vector<std::string> list(const std::string& prefix) { return wait(storage.list(prefix)).value(); }

    void unlock(storage_lock held)
    {
        boost::asio::co_spawn(place.context, storage.unlock(std::move(held)), [](std::exception_ptr) {});
        place.context.restart();
        place.context.run();
    }
};

bundle made_for(const std::string& name)
{
    const auto one = cert::make_self_signed({name}, this_day()).value();
    bundle made;
    made.chain_pem = one.certificate;
    made.key_pem = one.key;
    made.meta_json = "{}";
    return made;
}

using names = std::vector<std::string>;

}

TEST_CASE_TEMPLATE("a document is what was stored last, for everybody, and has a version", Place, on_disk, simulated)
{
    Place place;
    user<Place> one{place, place.first};
    user<Place> other{place, place.second};
    CHECK_FALSE(one.get("order/a").has_value());
    const auto first = one.put("order/a", "text").value();
    CHECK(first != 0);
    CHECK(as_text(other.get("order/a")->text) == "text");
    CHECK(other.get("order/a")->version == first);
    const auto second = other.put("order/a", "another").value();
    CHECK(second != first);
    CHECK(as_text(one.get("order/a")->text) == "another");
    CHECK(one.get("order/a")->version == second);
    CHECK(one.put("order/a", "text").value() == first);
    CHECK(one.put("order/empty", "").value() != 0);
    CHECK(one.get("order/empty")->text.empty());
    const std::string bytes("\0\xff\n", 3);
    CHECK(one.put("alone", bytes).has_value());
    CHECK(as_text(one.get("alone")->text) == bytes);
}

TEST_CASE_TEMPLATE("a document is replaced only if it is the one that is expected", Place, on_disk, simulated)
{
    Place place;
    user<Place> one{place, place.first};
    user<Place> other{place, place.second};
    const auto is_conflict = [](const auto& stored) { return !stored && stored.error().code == errc::conflict; };
    CHECK(is_conflict(one.put("a/b", "x", 1)));
    const auto first = one.put("a/b", "x", 0).value();
    CHECK(is_conflict(other.put("a/b", "y", 0)));
    const auto second = other.put("a/b", "y", first).value();
    CHECK(is_conflict(one.put("a/b", "z", first)));
    CHECK(as_text(one.get("a/b")->text) == "y");
    CHECK(one.put("a/b", "z", second).has_value());
}

TEST_CASE_TEMPLATE("documents are listed by the beginning of their keys, and erased", Place, on_disk, simulated)
{
    Place place;
    user<Place> one{place, place.first};
    CHECK(one.list("challenge/http-01").empty());
    for (const char* key :
         {"challenge/http-01/b-_9", "challenge/http-01/A", "challenge/http-01/below/c", "challenge/d"})
        REQUIRE(one.put(key, "x").has_value());
    CHECK(one.list("challenge/http-01") == names{"A", "b-_9"});
    CHECK(one.list("challenge") == names{"d"});
    CHECK(one.list("challenge/d").empty());
    CHECK(one.wait(one.storage.erase("challenge/http-01/A")).has_value());
    CHECK(one.wait(one.storage.erase("challenge/http-01/A")).has_value());
    CHECK(one.wait(one.storage.erase("none/at/all")).has_value());
    CHECK(one.list("challenge/http-01") == names{"b-_9"});
    CHECK_FALSE(one.get("challenge/http-01/A").has_value());
}

TEST_CASE_TEMPLATE("a document that cannot be used is moved aside, as often as it takes", Place, on_disk, simulated)
{
    Place place;
    user<Place> one{place, place.first};
    std::set<std::string> places;
    for (int i = 0; i < 3; ++i) {
        REQUIRE(one.put("account/a", "damaged").has_value());
        const std::uint64_t version = one.get("account/a")->version;
        const auto other = one.wait(one.storage.move_aside("account/a", version + 1));
        CHECK((!other && other.error().code == errc::conflict));
        const auto aside = one.wait(one.storage.move_aside("account/a", version));
        REQUIRE(aside.has_value());
        CHECK(aside->find("2026-11-22") != std::string::npos);
        places.insert(*aside);
        CHECK_FALSE(one.get("account/a").has_value());
        CHECK(one.list("account").empty());
    }
    CHECK(places.size() == 3);
    for (const std::string& path : places)
        CHECK(as_text(place.disk.files.read(path, 99).value()) == "damaged");
    CHECK_FALSE(one.wait(one.storage.move_aside("account/a", 0)).has_value());
}

TEST_CASE_TEMPLATE("what never was a document is one without a text, and goes as one does", Place, on_disk, simulated)
{
    Place place;
    user<Place> one{place, place.first};
    os::file_system& files = place.disk.files;
    const std::string path = place.disk.top + "/account/a.json";
    REQUIRE(one.put("account/b", "text").has_value());
    const std::string large(acme::max_stored_size + 1, ' ');
    for (const bool is_folder : {true, false}) {
        const auto put = [&] {
            if (is_folder)
                REQUIRE_FALSE(files.make_directory(path, 0700));
            REQUIRE_FALSE(files.write_new(is_folder ? path + "/inside" : path, as_bytes(large), 0600));
        };
        put();
        const auto found = one.get("account/a");
        REQUIRE(found.has_value());
        CHECK(found->text.empty());
        const auto aside = one.wait(one.storage.move_aside("account/a", found->version));
        REQUIRE(aside.has_value());
        CHECK(files.stat(*aside).has_value());
        CHECK_FALSE(one.get("account/a").has_value());
        put();
        CHECK(one.wait(one.storage.erase("account/a")).has_value());
        CHECK_FALSE(one.get("account/a").has_value());
    }
    REQUIRE_FALSE(files.make_directory(path, 0700));
    REQUIRE_FALSE(files.write_new(path + "/inside", as_bytes("x"), 0600));
    const auto stored = one.wait(one.storage.store("account/a", to_secret_text("new"), one.get("account/a")->version));
    CHECK(stored.has_value());
    CHECK(as_text(one.get("account/a")->text) == "new");
    const auto left = files.list(place.disk.top + "/account").value();
    CHECK(left.size() == 6); // a, b, both as they were moved aside, and the folders that were in the way
}

TEST_CASE("what is no file, or a link that leads to itself, is a document without a text, too")
{
    on_disk place;
    user<on_disk> one{place, place.first};
    os::file_system& files = place.disk.files;
    const std::string path = place.disk.top + "/account/a.key";
    REQUIRE(one.put("account/b", "text").has_value());
    boost::asio::local::stream_protocol::acceptor socket(place.context);
    for (const std::string_view kind : {"fifo", "socket", "link"}) {
        CAPTURE(kind);
        if (kind == "fifo")
            REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
        else if (kind == "socket")
            socket = {place.context, boost::asio::local::stream_protocol::endpoint(path)};
        else
            REQUIRE_FALSE(files.make_symlink("a.key", path));
        const auto found = one.wait(one.storage.load("account/a.key"));
        REQUIRE(found.has_value());
        REQUIRE(found->has_value());
        CHECK((*found)->text.empty());
        const auto aside = one.wait(one.storage.move_aside("account/a.key", (*found)->version));
        REQUIRE(aside.has_value());
        CHECK(files.stat(*aside).has_value());
        CHECK(one.put("account/a.key", "new", 0).has_value());
        CHECK(as_text(one.get("account/a.key")->text) == "new");
        CHECK(one.wait(one.storage.erase("account/a.key")).has_value());
    }
}

TEST_CASE_TEMPLATE("certificates are numbered, listed, and the same for everybody", Place, on_disk, simulated)
{
    Place place;
    user<Place> one{place, place.first};
    user<Place> other{place, place.second};
    CHECK(one.wait(one.storage.certificates()).value().empty());
    CHECK_FALSE(one.wait(one.storage.load_certificate("a")).value().has_value());
    const bundle first = made_for("a.example");
    const auto guard = one.wait(one.storage.try_lock("a")).value().value();
    CHECK(one.wait(one.storage.store_certificate("a", first, 0, guard)).value() == 1);
    CHECK(one.wait(one.storage.store_certificate("b.example:ecdsa", made_for("b.example"), 0, guard)).value() == 1);
    CHECK(one.wait(one.storage.store_certificate("a", made_for("a.example"), 0, guard)).error().code == errc::conflict);
    CHECK(other.wait(other.storage.certificates()).value() == names{"a", "b.example:ecdsa"});
    const auto loaded = other.wait(other.storage.load_certificate("a")).value();
    REQUIRE(loaded.has_value());
    CHECK(loaded->chain_pem == first.chain_pem);
    CHECK(loaded->key_pem == first.key_pem);
    CHECK(loaded->meta_json == first.meta_json);
    CHECK(loaded->generation == 1);
    REQUIRE(loaded->credential);
    CHECK(loaded->credential->about.names == names{"a.example"});
    CHECK(other.wait(other.storage.current_generation("a")).value() == 1);
    CHECK(other.wait(other.storage.current_generation("c")).value() == 0);
    CHECK(one.wait(one.storage.store_certificate("a", made_for("a.example"), 1, guard)).value() == 2);
}

TEST_CASE_TEMPLATE("a lock is one process's, and each holder's fence is higher than the last", Place, on_disk,
                   simulated)
{
    Place place;
    user<Place> one{place, place.first};
    user<Place> other{place, place.second};
    auto held = one.wait(one.storage.try_lock("a")).value();
    REQUIRE(held.has_value());
    CHECK(held->name == "a");
    CHECK(held->owner == "host/1");
    CHECK(held->fence == 1);
    CHECK_FALSE(other.wait(other.storage.try_lock("a")).value().has_value());
    CHECK(other.wait(other.storage.try_lock("b")).value().has_value());
    one.unlock(*held);
    const auto theirs = other.wait(other.storage.try_lock("a")).value();
    REQUIRE(theirs.has_value());
    CHECK(theirs->fence == 2);
    CHECK(theirs->owner == "host/2");

    // Returned once more, it takes nothing from the one who has it now.
    one.unlock(*held);
    CHECK_FALSE(one.wait(one.storage.try_lock("a")).value().has_value());
    const auto stored = one.wait(one.storage.store_certificate("a", made_for("a.example"), 0, *held));
    CHECK(stored.error().code == errc::lock_lost);
}

TEST_CASE_TEMPLATE("names that could lead elsewhere are refused, wherever they are given", Place, on_disk, simulated)
{
    Place place;
    user<Place> one{place, place.first};
    const auto is_refused = [](const auto& ended) { return !ended && ended.error().code == errc::bad_name; };
    const std::string longest(max_key_part, 'a');
    for (const std::string& name :
         {std::string(), std::string("."), std::string(".."), std::string("../a"), std::string(".a"),
          std::string("a b"), std::string("*.a"), std::string("a\n"), std::string("a\0b", 3),
          std::string("\xc3\xa9"), longest + 'a'}) {
        CAPTURE(name);
        CHECK(is_refused(one.wait(one.storage.load_certificate(name))));
        CHECK(is_refused(one.wait(one.storage.store_certificate(name, {}, 0, {}))));
        CHECK(is_refused(one.wait(one.storage.try_lock(name))));
        for (const std::string& key : {name, "order/" + name, name + "/a"}) {
            CHECK(is_refused(one.put(key, "x")));
            CHECK(is_refused(one.wait(one.storage.load(key))));
            CHECK(is_refused(one.wait(one.storage.list(key))));
            CHECK(is_refused(one.wait(one.storage.erase(key))));
            CHECK(is_refused(one.wait(one.storage.move_aside(key, 1))));
        }
    }
    CHECK(is_refused(one.wait(one.storage.load_certificate("a/b"))));
    CHECK(is_refused(one.wait(one.storage.try_lock("a/b"))));
    for (const char* key : {"/a", "a/", "a//b", "certs/a/current", "locks/a", "certs", "1/2/3/4/5/6/7/8/9"})
        CHECK(is_refused(one.put(key, "x")));
    for (const std::string& key : {std::string("1/2/3/4/5/6/7/8"), "a/" + longest, std::string("a/certs"),
                                  std::string("ABC.xyz_019:@+=-"), std::string("a/_wildcard.example.com")}) {
        CAPTURE(key);
        CHECK(one.put(key, "x").has_value());
        CHECK(as_text(one.get(key)->text) == "x");
    }
    CHECK(one.wait(one.storage.try_lock(longest)).value().has_value());
}

TEST_CASE_TEMPLATE("a document is 1 MiB at most", Place, on_disk, simulated)
{
    Place place;
    user<Place> one{place, place.first};
    CHECK(one.put("a/b", std::string(max_stored_size, 'x')).has_value());
    CHECK(one.get("a/b")->text.size() == max_stored_size);
    const auto larger = one.put("a/b", std::string(max_stored_size + 1, 'y'));
    CHECK(larger.error().code == boost::system::errc::file_too_large);
    CHECK(one.get("a/b")->text.front() == 'x');
}
