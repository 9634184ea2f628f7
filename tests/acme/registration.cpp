#include <alos/acme/registration.hpp>

#include "support/plain_ca.hpp"
#include "support/simulated_process.hpp"

using alos::acme::account_key;
using alos::acme::account_status;
using alos::acme::certificate_authority;
using alos::acme::registration;
using alos::acme::reply;

namespace {

// One who asks, and a CA that binds accounts to external ones.
struct counter {
    counter()
    {
        ca.at["/new-account"] = [this](const test::plain_ca::asked& what) {
            if (status >= 400)
                return test::plain_ca::problem(status, "serverInternal");
            last = what.payload.is_object() ? what.payload.get_object() : test::json::object();
            return test::plain_ca::reply(status, {{"status", state}}, {{"Location", "/account/1"}});
        };
        settings.directory = ca.url();
    }

    // With the settings as they are.
    reply<registration> enroll()
    {
        last.clear();
        alos::acme::client one(process.environment, settings);
        return process.run(alos::acme::register_account(one, process.storage, key, "admin@example.com"));
    }

    // Whether the request was bound to an external account by that secret.
    [[nodiscard]] bool is_bound_by(std::string_view secret) const
    {
        test::json_page page;
        const auto* const binding = last.if_contains("externalAccountBinding");
        const auto jws = binding ? test::open_jws(page, *binding) : std::nullopt;
        return jws && jws->kid() == "kid-1" && test::is_authenticated_with(*jws, secret);
    }

    test::simulated_world world{1};
    test::plain_ca ca{world};
    test::simulated_process process{world};
    certificate_authority settings;
    const account_key key = account_key::generate(alos::key_kind::ecdsa_p256).value();
    unsigned status = 201;
    std::string state = "valid";
    test::json::object last; // the payload of newAccount
};

}

TEST_CASE("registration: a new account, and one that the key has already (RFC 8555 7.3)")
{
    counter here;
    const auto made = here.enroll();
    REQUIRE(made.has_value());
    CHECK(made->is_new);
    CHECK(made->url == "https://ca.test/account/1");
    CHECK(here.last.at("contact") == test::json::array{"mailto:admin@example.com"});
    CHECK(here.last.at("termsOfServiceAgreed") == true);
    here.status = 200;
    here.state = "deactivated";
    const auto old = here.enroll();
    REQUIRE(old.has_value());
    CHECK_FALSE(old->is_new);
    CHECK(old->status == account_status::deactivated);
}

TEST_CASE("registration: only an account that exists is looked for (RFC 8555 7.3.1)")
{
    counter here;
    here.settings.eab_kid = "kid-1"; // which is of no matter then
    alos::acme::client one(here.process.environment, here.settings);
    const auto found = here.process.run(alos::acme::find_account(one, here.key));
    REQUIRE(found.has_value());
    CHECK(here.last == test::json::object{{"onlyReturnExisting", true}});
}

TEST_CASE("registration: the HMAC key of an external account as CAs show it (RFC 8555 7.3.4)")
{
    counter here;
    here.settings.eab_kid = "kid-1";
    for (const char* text : {"c2VjcmV0LXNlY3JldD8_Pw", "c2VjcmV0LXNlY3JldD8/Pw==", " c2VjcmV0LXNlY3JldD8_Pw\r\n"}) {
        here.settings.eab_hmac_key = alos::to_secret_text(text);
        CHECK(here.enroll().has_value());
        CHECK(here.is_bound_by("secret-secret???"));
    }
    here.settings.eab_hmac_key = alos::to_secret_text("secret, secret");
    const auto refused = here.enroll();
    CHECK(refused.error().kind == alos::acme::failure_class::permanent);
    CHECK(refused.error().is_unsent);
    CHECK(refused.error().what.find("is not base64url") != std::string::npos);
    CHECK(refused.error().what.find("secret") == std::string::npos);
    CHECK(here.last.empty());
}

TEST_CASE("registration: the HMAC key in a file is read when it is needed (RFC 8555 7.3.4)")
{
    counter here;
    here.settings.eab_kid = "kid-1";
    CHECK(here.enroll().error().what.find("and no eab_hmac_key; set it") != std::string::npos);
    here.settings.eab_hmac_key_file = "/eab.key";
    const auto missing = here.enroll();
    CHECK(missing.error().is_ours);
    CHECK(missing.error().what.find("/eab.key: the eab_hmac_key for") != std::string::npos);
    REQUIRE(!here.process.files.write_new("/eab.key", alos::as_bytes("c2VjcmV0LXNlY3JldD8_Pw\n"), 0600));
    CHECK(here.enroll().has_value());
    CHECK(here.is_bound_by("secret-secret???"));
    REQUIRE(!here.process.files.remove("/eab.key"));
    REQUIRE(!here.process.files.write_new("/eab.key", alos::as_bytes("\n"), 0600));
    CHECK(here.enroll().error().what.find("/eab.key") != std::string::npos);
    CHECK(here.last.empty());
}

TEST_CASE("registration: only accounts that are made count for the limit of the settings")
{
    counter here;
    here.settings.accounts = {1, std::chrono::minutes(36)};
    here.settings.eab_kid = "kid-1";
    here.settings.eab_hmac_key = alos::to_secret_text("secret, secret");
    CHECK(here.enroll().error().what.find("is not base64url") != std::string::npos);
    here.settings.eab_kid.clear();
    here.settings.eab_hmac_key.clear();
    here.world.serve("ca.test", [](const auto&) { return alos::failure{alos::errc::closed, "refused"}; });
    const auto gone = here.enroll();
    CHECK(gone.error().what.find("directory: ") == 0);
    CHECK(gone.error().is_unsent);
    here.world.serve("ca.test", [&](const alos::http::outbound_request& request) { return here.ca.answer(request); });
    for (const unsigned without_effect : {500u, 200u}) {
        here.status = without_effect;
        CHECK(here.enroll().has_value() == (without_effect == 200));
    }
    here.status = 201;
    CHECK(here.enroll().has_value());
    const auto refused = here.enroll();
    CHECK(refused.error().kind == alos::acme::failure_class::throttled);
    CHECK(refused.error().is_ours);
    CHECK(refused.error().retry_after == std::chrono::minutes(36));
    CHECK(refused.error().what.find("our own limit, `accounts` of this CA in the configuration") != std::string::npos);
}
