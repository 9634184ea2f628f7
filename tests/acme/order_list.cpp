#include <alos/acme/order_list.hpp>

#include "support/plain_ca.hpp"
#include "support/simulated_files.hpp"

#include <boost/asio/co_spawn.hpp>

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using alos::acme::order_list;
using alos::acme::reply;

namespace {

// An account whose list of orders begins at /orders.
struct archive {
    reply<order_list> list()
    {
        std::optional<reply<order_list>> said;
        boost::asio::co_spawn(environment.executor(), alos::acme::list_orders(client, by, ca.url("/orders")),
                              [&](const std::exception_ptr& thrown, reply<order_list> came) {
                                  CHECK_FALSE(thrown);
                                  said = std::move(came);
                              });
        REQUIRE(world.run_until([&] { return said.has_value(); }, 10min));
        return std::move(*said);
    }

    // A page with orders of these numbers, and another one if `next` says where.
    void put(const std::string& at, unsigned first, unsigned count, const std::string& next = {})
    {
        ca.at[at] = [=](const test::plain_ca::asked& what) {
            CHECK(what.header.at("kid") == "https://ca.test/account/1");
            CHECK(what.payload.is_null());
            test::json::array urls;
            for (unsigned i = 0; i < count; ++i)
                urls.emplace_back("https://ca.test/order/" + std::to_string(first + i));
            test::json::object page;
            page["orders"] = std::move(urls);
            test::http::outbound_fields fields = {{"Link", R"(<https://ca.test/directory>;rel="index")"}};
            if (!next.empty())
                fields.emplace_back("Link", "<" + next + ">;rel=\"next\"");
            return test::plain_ca::reply(200, page, std::move(fields));
        };
    }

    test::simulated_world world{1};
    test::plain_ca ca{world};
    test::simulated_files files;
    test::simulated_member& environment = world.add_member(files);
    alos::acme::client client{environment, {.directory = test::plain_ca::url()}};
    const alos::acme::signer by{alos::acme::account_key::generate(alos::key_kind::ecdsa_p256).value(),
                                "https://ca.test/account/1"};
};

}

TEST_CASE("list of orders: page after page (RFC 8555 7.1.2.1)")
{
    archive here;
    here.put("/orders", 0, 3, "https://ca.test/orders?cursor=2");
    here.put("/orders?cursor=2", 3, 2, "/orders?cursor=3");
    here.put("/orders?cursor=3", 5, 0);
    const auto all = here.list();
    REQUIRE(all.has_value());
    CHECK(all->is_whole);
    CHECK(all->urls.size() == 5);
    CHECK(all->urls.back() == "https://ca.test/order/4");
    CHECK(here.ca.requests.size() == 3);
}

TEST_CASE("list of orders: it has an end, whatever the CA does")
{
    archive here;
    here.put("/orders", 0, 1, "/orders"); // for ever
    const auto circle = here.list();
    REQUIRE(circle.has_value());
    CHECK_FALSE(circle->is_whole);
    CHECK(here.ca.requests.size() == alos::acme::max_order_pages);
    here.put("/orders", 0, 700, "/more");
    here.put("/more", 700, 700, "/most");
    const auto many = here.list();
    REQUIRE(many.has_value());
    CHECK_FALSE(many->is_whole);
    CHECK(many->urls.size() == 1000);
}

TEST_CASE("list of orders: a page that cannot be used")
{
    archive here;
    CHECK(here.list().error().what.find("list of orders: https://ca.test/directory says 404") == 0);
    here.ca.at["/orders"] = [](const auto&) { return test::plain_ca::reply(200, {{"orders", "none"}}); };
    CHECK(here.list().error().what.find("list of orders.orders is not a list") != std::string::npos);
}
