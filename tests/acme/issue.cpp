#include <alos/acme/issue.hpp>

#include "support/town.hpp"

#include <doctest/doctest.h>

#include <utility>

using namespace std::chrono_literals;
using step = test::scripted_ca::step;

TEST_CASE("issue: a request for a certificate that had no effect is not counted (RFC 8555 7.4)")
{
    // The CA says no, or the order says that it never heard of the request.
    for (const auto trouble : {&test::hostility::server_error, &test::hostility::cut_before}) {
        test::town here;
        auto settings = here.settings();
        settings.cas.front().certificates = {1, 48h};
        bool is_over = false;
        here.ca.on_request = [&](step at) {
            test::hostility next;
            if (at == step::finalize && !std::exchange(is_over, true))
                next.*trouble = 1;
            here.ca.behave(next);
        };
        test::acme_member& one = here.start(settings);
        CHECK_MESSAGE(here.wait([&] { return one.served("example.com") != nullptr; }), test::all_of(one.warnings));
        CHECK(is_over);
        CHECK(here.ca.requests(step::finalize) == 2);
        CHECK(here.ca.requests(step::new_order) == 1);
    }
}
