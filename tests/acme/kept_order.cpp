#include <alos/acme/kept_order.hpp>

#include "support/simulated_process.hpp"

using namespace alos::acme;

TEST_CASE("kept order: it is read as it was stored, until it is forgotten")
{
    test::simulated_world world{1};
    test::simulated_process process{world};
    const std::string id = "example.com.ecdsa-p256";
    const auto key = alos::private_key::generate(alos::key_kind::ecdsa_p256).value();
    CHECK_FALSE(process.run(load_order(process.storage, id)).value());
    order_record about;
    about.directory = "https://ca.test/directory";
    about.url = "https://ca.test/order/1";
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
    REQUIRE_FALSE(process.files.make_directory("/certificates", 0700));
    REQUIRE_FALSE(process.files.make_directory("/certificates/order", 0700));
    REQUIRE_FALSE(process.files.make_directory("/certificates/order/a.json", 0700)); // where a file should be
    CHECK_FALSE(process.run(load_order(process.storage, "a")).has_value());
    REQUIRE_FALSE(process.files.make_directory("/certificates/order/b.key", 0700));
    CHECK_FALSE(process.run(load_order(process.storage, "b")).has_value());
}
