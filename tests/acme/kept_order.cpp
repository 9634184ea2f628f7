#include <alos/acme/kept_order.hpp>

#include "support/sick_files.hpp"
#include "support/simulated_process.hpp"

#include <chrono>

using namespace alos::acme;

namespace {

order_record order_of_a()
{
    order_record about;
    about.directory = "https://ca.test/directory";
    about.url = "https://ca.test/order/1";
    return about;
}

}

TEST_CASE("kept order: it is read as it was stored, until it is forgotten")
{
    test::simulated_world world{1};
    test::simulated_process process{world};
    const std::string id = "example.com.ecdsa-p256";
    const auto key = alos::private_key::generate(alos::key_kind::ecdsa_p256).value();
    CHECK_FALSE(process.run(load_order(process.storage, id)).value());
    order_record about = order_of_a();
    about.names = {*identifier_of("example.com")};
    REQUIRE(process.run(store_order(process.storage, id, {about, key})).has_value());
    const auto kept = process.run(load_order(process.storage, id)).value();
    REQUIRE(kept);
    CHECK(kept->about.url == about.url);
    CHECK(kept->about.names == about.names);
    CHECK(kept->key->to_pem() == key->to_pem());

    // One whose key is broken leads nowhere.
    const auto store = [&](std::string text) {
        alos::secret_text bytes(text.begin(), text.end());
        CHECK(process.run(process.storage.store("order/" + id + ".key", std::move(bytes), std::nullopt)).has_value());
    };
    store("no key");
    CHECK_FALSE(process.run(load_order(process.storage, id)).value());

    process.run(forget_order(process.storage, id));
    CHECK(process.files.list("/certificates/order")->empty());
}

TEST_CASE("kept order: one that only cannot be read now is not none")
{
    test::simulated_world world{1};
    test::simulated_process process{world};
    test::sick_files files(process.files);
    file_storage storage(
        files, "/certificates", "a process", [&] { return process.environment.now(); },
        [&](std::chrono::milliseconds time) {
            return process.environment.sleep_until(process.environment.now() + time);
        });
    const auto key = alos::private_key::generate(alos::key_kind::ecdsa_p256).value();
    REQUIRE(process.run(store_order(storage, "a", {order_of_a(), key})).has_value());
    for (const char* file : {"/certificates/order/a.json", "/certificates/order/a.key"}) {
        files.sick = file;
        CHECK_FALSE(process.run(load_order(storage, "a")).has_value());
    }
    files.sick.clear();
    CHECK(process.run(load_order(storage, "a")).value().has_value());
}

TEST_CASE("kept order: a folder in the place of one is none, and makes way for the next")
{
    test::simulated_world world{1};
    test::simulated_process process{world};
    const auto key = alos::private_key::generate(alos::key_kind::ecdsa_p256).value();
    REQUIRE_FALSE(process.files.make_directory("/certificates", 0700));
    REQUIRE_FALSE(process.files.make_directory("/certificates/order", 0700));
    for (const std::string file : {"/certificates/order/a.json", "/certificates/order/a.key"}) {
        REQUIRE_FALSE(process.files.make_directory(file, 0700));
        REQUIRE_FALSE(process.files.write_new(file + "/inside", {}, 0600));
        CHECK_FALSE(process.run(load_order(process.storage, "a")).value());
        process.run(forget_order(process.storage, "a"));
        REQUIRE(process.run(store_order(process.storage, "a", {order_of_a(), key})).has_value());
        CHECK(process.run(load_order(process.storage, "a")).value());
        process.run(forget_order(process.storage, "a"));
    }
}

TEST_CASE("kept order: one is stuck after a day or a quarter of the life, and one that is issued after a day to a week")
{
    using namespace std::chrono_literals;
    const auto created = test::simulated_world::default_start();
    const auto patience = [&](order_status state, std::chrono::milliseconds life) {
        auto stuck = created;
        while (stuck < created + 240h && !is_stuck(state, created, life, stuck))
            stuck += 30min;
        return stuck - created;
    };
    CHECK(patience(order_status::pending, 24h * 90) == 24h);
    CHECK(patience(order_status::ready, 24h * 90) == 24h);
    CHECK(patience(order_status::pending, 8h) == 2h);
    CHECK(patience(order_status::processing, 24h * 90) == 24h * 7);
    CHECK(patience(order_status::processing, 24h * 6) == 24h * 6);
    CHECK(patience(order_status::processing, 8h) == 24h);
    CHECK(patience(order_status::valid, 8h) == 240h); // never
}
