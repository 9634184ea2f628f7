#include <alos/acme/download.hpp>

#include "support/authority.hpp"
#include "support/plain_ca.hpp"
#include "support/simulated_process.hpp"

using namespace std::chrono_literals;
using alos::acme::identifier_of;

TEST_CASE("download: the chain is one that ends where it is preferred, where there is such (RFC 8555 7.4.2)")
{
    const alos_tests::authority usual("Usual Root"), better("Better Root");
    test::simulated_world world{1};
    test::plain_ca ca(world);
    test::simulated_process process{world};
    alos::acme::client client(process.environment, {.directory = ca.url()});
    const auto serve = [&](const std::string& path, const std::string& chain, test::http::outbound_fields links = {}) {
        ca.at[path] = [chain, links](const auto&) {
            return test::http::outbound_response{.status = 200, .fields = links, .body = chain};
        };
    };
    serve("/cert", usual.pem(), {{"Link", "</cert/gone>;rel=\"alternate\""}, {"Link", "</cert/1>;rel=\"alternate\""}});
    serve("/cert/1", better.pem());
    const alos::acme::signer by{alos::acme::account_key::generate(alos::key_kind::ecdsa_p256).value(), ca.url("/a")};
    const auto chain = [&](std::string preferred) {
        ca.requests.clear();
        return process.run(alos::acme::download_chain(client, by, ca.url("/cert"), std::move(preferred))).value();
    };
    CHECK(chain("") == usual.pem());
    CHECK(chain("Usual Root") == usual.pem());
    CHECK(ca.requests.size() == 1);
    CHECK(chain("Better Root") == better.pem());
    CHECK(ca.requests.size() == 3);
    CHECK(chain("No Root") == usual.pem());
    CHECK(alos::acme::ends_at(usual.pem() + better.pem(), "Better Root"));
    CHECK_FALSE(alos::acme::ends_at(usual.pem() + better.pem(), "Usual Root"));
    CHECK_FALSE(alos::acme::ends_at("no PEM", ""));
}

TEST_CASE("download: a chain has certificates in it and nothing else (RFC 8555 11.4)")
{
    const std::string chain = alos_tests::authority("Root").pem();
    CHECK(alos::acme::holds_only_certificates(chain));
    CHECK(alos::acme::holds_only_certificates(chain + chain));
    const std::string key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    CHECK_FALSE(alos::acme::holds_only_certificates(chain + key));
    CHECK_FALSE(alos::acme::holds_only_certificates("-----BEGIN CERTIFICATE-----\nAAAA\n"));
}

TEST_CASE("download: what comes has to be for exactly the names that were asked for, and valid now")
{
    const alos::acme::time_point now{24h * 20000};
    alos::cert::credential one;
    one.about.names = {"a.example", "b.example"};
    const std::vector both{*identifier_of("b.example"), *identifier_of("a.example")};
    struct line {
        std::chrono::seconds from, until;
        std::string_view fault;
    };
    for (const line& each : {line{-1h, 1h, ""}, line{300s, 1h, ""}, line{301s, 1h, "not valid yet"},
                             line{-2h, 1s, ""}, line{-2h, 0s, "expired"}}) {
        one.about.not_before = now + each.from;
        one.about.not_after = now + each.until;
        const std::string fault = alos::acme::fault_of(one, both, now);
        CAPTURE(fault);
        CHECK(fault.empty() == each.fault.empty());
        CHECK(fault.find(each.fault) != std::string::npos);
    }
    one.about.not_after = now + 1h;
    CHECK(alos::acme::fault_of(one, {both.front()}, now)
          == "its names are a.example, b.example, and those asked for b.example; use another CA if that lasts");
}

TEST_CASE("download: a chain is kept as it came, but for one that does not begin with the certificate (RFC 8555 7.4.2)")
{
    const alos_tests::authority root("Root");
    alos::cert::credential one;
    one.chain = root.issue({"a.example"})->chain;
    const std::string leaf(alos::as_text(alos::encode_pem("CERTIFICATE", one.chain.front())));
    const auto blocks = alos::parse_pem(root.pem()).value();
    const auto der = alos::decode_pem(blocks.front()).value();
    one.chain.emplace_back(der.begin(), der.end());
    const std::string commented = "# from the CA\n" + leaf + root.pem();
    CHECK(alos::acme::leaf_first(commented, one) == commented);
    CHECK(alos::acme::leaf_first(root.pem() + leaf, one) == leaf + root.pem());
}
