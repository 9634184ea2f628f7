#include <alos/acme/order_allowance.hpp>

#include "support/simulated_process.hpp"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using alos::acme::failure_class;
using alos::acme::order_allowance;

namespace {

// Attempts at one CA that allows an order an hour, and a certificate in 36.
struct attempts {
    order_allowance next() { return {self.environment, ca.directory, allowed, {name}, 24h * 90}; }

    test::simulated_world world{1};
    test::simulated_process self{world};
    const alos::acme::certificate_authority ca{
        .directory = "https://ca.test/directory", .orders = {1, 1h}, .certificates = {1, 36h}};
    const alos::acme::limits allowed{self.environment, self.storage, ca};
    const alos::acme::identifier name = *alos::acme::identifier_of("example.com");
};

}

TEST_CASE("order allowance: an order waits for its turn, unless the attempt is under way")
{
    attempts all;
    order_allowance first = all.next();
    CHECK(all.self.run(first.take_order(false)).has_value());
    order_allowance second = all.next();
    CHECK(all.self.run(second.take_order(true)).has_value());
    const auto refused = all.self.run(second.take_order(false));
    REQUIRE(refused.has_error());
    CHECK(refused.error().is_not_its_turn);
    CHECK(refused.error().is_ours);
    CHECK(refused.error().kind == failure_class::throttled);
    REQUIRE(refused.error().retry_after);
    CHECK(*refused.error().retry_after > 59min);
    CHECK(*refused.error().retry_after <= 1h);
    CHECK(refused.error().what == "waiting until more may be asked of https://ca.test/directory");
}

TEST_CASE("order allowance: what was taken is given back once, and what was not taken is not")
{
    attempts all;
    order_allowance first = all.next();
    CHECK(all.self.run(first.take_order(false)).has_value());
    order_allowance second = all.next();
    CHECK(all.self.run(second.take_order(true)).has_value()); // without one
    all.self.run(second.give_order_back());
    CHECK(all.self.run(second.take_order(false)).has_error());
    all.self.run(first.give_order_back());
    CHECK(all.self.run(second.take_order(false)).has_value());
    all.self.run(first.give_order_back());
    CHECK(all.self.run(first.take_order(false)).has_error());
}

TEST_CASE("order allowance: certificates for a set of names are counted, and who has to wait is told of the setting")
{
    attempts all;
    order_allowance first = all.next();
    CHECK(all.self.run(first.check_certificate()).has_value());
    CHECK(all.self.run(first.take_certificate()).has_value());
    order_allowance second = all.next();
    for (const auto& refused : {all.self.run(second.check_certificate()), all.self.run(second.take_certificate())}) {
        REQUIRE(refused.has_error());
        CHECK_FALSE(refused.error().is_not_its_turn);
        CHECK(refused.error().is_ours);
        CHECK(refused.error().kind == failure_class::throttled);
        REQUIRE(refused.error().retry_after);
        CHECK(*refused.error().retry_after > 35h);
        CHECK(refused.error().what.starts_with("order: https://ca.test/directory: as many certificates were issued"));
        CHECK(refused.error().what.find("`certificates` of this CA") != std::string::npos);
    }
    all.self.run(second.give_certificate_back());
    CHECK(all.self.run(second.check_certificate()).has_error());
    all.self.run(first.give_certificate_back());
    CHECK(all.self.run(second.check_certificate()).has_value());
}
