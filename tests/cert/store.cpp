#include <alos/cert/store.hpp>

#include <doctest/doctest.h>

using namespace alos;
using namespace alos::cert;

TEST_CASE("a store is never null, and who holds a snapshot keeps it when another is published")
{
    store certificates;
    REQUIRE(certificates.load() != nullptr);
    CHECK(certificates.load()->find("a.test").empty());

    const auto first = std::make_shared<credential>();
    certificates.publish(std::make_shared<const snapshot>(std::vector<entry>{{"a.test", {first}}}));
    const auto held = certificates.load();
    certificates.publish(std::make_shared<const snapshot>());
    CHECK(certificates.load()->find("a.test").empty());
    REQUIRE(held->find("a.test").size() == 1);
    CHECK(held->find("a.test")[0] == first);
}
