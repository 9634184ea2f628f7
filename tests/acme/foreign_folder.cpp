#include <alos/acme/foreign_folder.hpp>

#include "support/pem_files.hpp"
#include "support/sick_files.hpp"
#include "support/simulated_files.hpp"
#include "support/simulated_world.hpp"

#include <alos/cert/self_signed.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>

#include <doctest/doctest.h>

using namespace std::chrono_literals;

namespace {

// A server beside certbot.
struct beside_certbot {
    ~beside_certbot() { world.kill(self); }

    // What certbot has under that name from now on.
    void put(const std::string& name, std::vector<std::string> names, std::chrono::hours age = {}, ::mode_t mode = 0600)
    {
        const auto pair = alos::cert::make_self_signed(std::move(names), world.now() - age).value();
        put_texts(name, pair.certificate, alos::as_text(pair.key), mode);
    }

    void put_texts(const std::string& name, std::string_view chain, std::string_view key, ::mode_t mode = 0600)
    {
        const std::string folder = "/letsencrypt/live/" + name;
        for (const std::string& each : {std::string("/letsencrypt"), std::string("/letsencrypt/live"), folder})
            static_cast<void>(files.make_directory(each, 0755));
        for (const auto& [file, text] :
             {std::pair{folder + "/fullchain.pem", chain}, std::pair{folder + "/privkey.pem", key}}) {
            static_cast<void>(files.remove(file));
            REQUIRE_FALSE(files.write_new(file, alos::as_bytes(text), mode));
        }
    }

    // As "certbot delete" does.
    void remove(const std::string& name)
    {
        remove_files(name);
        REQUIRE_FALSE(files.remove("/letsencrypt/live/" + name));
    }

    void remove_files(const std::string& name)
    {
        for (const char* file : {"/fullchain.pem", "/privkey.pem"})
            REQUIRE_FALSE(files.remove("/letsencrypt/live/" + name + file));
    }

    [[nodiscard]] std::vector<std::string> domains() const
    {
        std::vector<std::string> list;
        for (const auto& each : registry.list_certs())
            list.push_back(each.domain);
        return list;
    }

    // When the certificate for that name began; the epoch: there is none.
    [[nodiscard]] alos::acme::time_point since(std::string_view name) const
    {
        const auto served = registry.served().load();
        return served->knows(name) ? served->find(name).front()->about.not_before : alos::acme::time_point();
    }

    test::simulated_world world{1};
    test::simulated_files files;
    test::sick_files seen_files{files};
    test::simulated_member& self = world.add_member(seen_files);
    alos::cert::registry registry{[this](std::string_view what) { warnings.emplace_back(what); },
                                  [this] { return self.now(); }};
    alos::acme::answers http01;
    std::vector<std::string> warnings;
    std::vector<std::string> events;
    std::vector<alos::cert::credential_ptr> offered;
    std::vector<std::string> served_when_offered;
    alos::acme::foreign_folder folder{
        self,
        {registry, http01,
         [this](alos::log_level, std::string_view event, std::initializer_list<alos::log_field>) {
             events.emplace_back(event);
         }},
        "/letsencrypt",
        [this](std::vector<alos::cert::credential_ptr> all) {
            offered = std::move(all);
            served_when_offered = domains();
        }};
};

}

TEST_CASE("foreign folder: what certbot has is served and offered, and what it renews, when it can be read")
{
    beside_certbot here;
    here.put("example.com", {"example.com", "www.example.com"}, 10 * 24h);
    here.put("example.org", {"example.org"});
    here.folder.serve();
    CHECK(here.domains() == std::vector<std::string>{"example.com", "example.org"});
    CHECK(here.offered.size() == 2);
    CHECK(here.events == std::vector<std::string>{"acme.foreign"});
    const auto before = here.since("www.example.com");
    here.folder.serve();
    CHECK(here.events.size() == 1);

    boost::asio::cancellation_signal stop;
    boost::asio::co_spawn(here.self.executor(), here.folder.follow(),
                          boost::asio::bind_cancellation_slot(stop.slot(), [](const std::exception_ptr&) {}));
    here.put("example.com", {"example.com", "www.example.com"});
    REQUIRE_FALSE(here.files.remove("/letsencrypt/live/example.org/privkey.pem"));
    here.world.run_for(6min);
    CHECK(here.since("www.example.com") > before);
    CHECK(here.domains() == std::vector<std::string>{"example.com", "example.org"});
    CHECK(here.offered.size() == 2);
    CHECK(here.events == std::vector<std::string>{"acme.foreign", "acme.unreadable", "acme.foreign"});
    here.world.run_for(1h);
    CHECK(here.events.size() == 3);
    stop.emit(boost::asio::cancellation_type::terminal);
    here.world.run_for(1s);
}

TEST_CASE("foreign folder: what a certificate is for stands in it, not in certbot's name for it")
{
    beside_certbot here;
    here.put("example.com", {"example.com", "www.example.com"}, 20 * 24h);
    here.put("example.com-0001", {"example.com", "mail.example.com"}, 10 * 24h);
    here.put("sub-0002", {"www.example.com"}, 30 * 24h);
    here.put("other.example", {"a.example", "other.example", "192.0.2.1"});
    here.folder.serve();
    CHECK(here.domains() == std::vector<std::string>{"www.example.com", "example.com", "other.example"});
    CHECK(here.since("example.com") == here.since("mail.example.com"));
    CHECK(here.since("example.com") > here.since("www.example.com"));
    CHECK(here.since("example.com-0001") == alos::acme::time_point());
    CHECK(here.warnings.empty());

    // The one that is renewed is the best for all of its names.
    here.put("example.com", {"example.com", "www.example.com"});
    here.folder.serve();
    CHECK(here.since("example.com") == here.since("www.example.com"));
    CHECK(here.since("example.com") > here.since("mail.example.com"));
    auto domains = here.domains();
    std::ranges::sort(domains);
    CHECK(domains == std::vector<std::string>{"example.com", "mail.example.com", "other.example"});
}

TEST_CASE("foreign folder: what certbot has deleted is served no longer, and one that ends earlier takes its place")
{
    beside_certbot here;
    here.put("example.com", {"example.com"});
    here.put("example.org", {"example.org"});
    here.folder.serve();
    const auto deleted = here.since("example.com");
    here.remove("example.com");
    here.put("example.com-0001", {"example.com"}, 24h);
    here.folder.serve();
    CHECK(here.since("example.com") == deleted - 24h);

    here.remove("example.com-0001");
    here.folder.serve();
    CHECK(here.domains() == std::vector<std::string>{"example.org"});
}

TEST_CASE("foreign folder: what is offered is served already, and what is gone is neither")
{
    beside_certbot here;
    const std::vector<std::string> both{"example.com", "example.org"};
    for (const std::string& each : both)
        here.put(each, {each});
    here.folder.serve();
    CHECK(here.served_when_offered == both);
    here.remove("example.org");
    here.folder.serve();
    CHECK(here.offered.size() == 1);
    CHECK(here.served_when_offered == std::vector<std::string>{"example.com"});
}

TEST_CASE("foreign folder: what is there and cannot be read, or listed, is served as it was")
{
    beside_certbot here;
    here.put("example.com", {"example.com"});
    here.folder.serve();
    here.remove_files("example.com");
    here.folder.serve();
    CHECK(here.domains() == std::vector<std::string>{"example.com"});
    REQUIRE_FALSE(here.files.remove("/letsencrypt/live/example.com"));
    here.seen_files.sick = "/letsencrypt/certificates"; // it may be lego's now
    here.seen_files.error = EACCES;
    here.folder.serve();
    CHECK(here.domains() == std::vector<std::string>{"example.com"});
    here.seen_files.sick.clear();
    REQUIRE_FALSE(here.files.rename("/letsencrypt", "/elsewhere", alos::os::if_exists::replace));
    here.folder.serve();
    CHECK(here.domains() == std::vector<std::string>{"example.com"});
}

TEST_CASE("foreign folder: what is as it was is not made anew, and another chain or key is")
{
    using alos_tests::pem;
    beside_certbot here;
    here.put("example.org", {"example.org"});
    here.put_texts("p384.example", pem("p384.crt"), pem("p384.key"));
    here.folder.serve();
    const auto before = here.offered;
    REQUIRE(before.size() == 2);
    here.put_texts("p384.example", pem("p384.crt") + pem("intermediate.crt"), pem("p384.key"));
    here.folder.serve();
    REQUIRE(here.offered.size() == 2);
    CHECK(here.offered[0] == before[0]);
    const auto renewed = here.offered[1];
    CHECK(renewed->about.fingerprint == before[1]->about.fingerprint);
    const auto now = here.registry.served().load();
    REQUIRE(now->knows(renewed->about.names.front()));
    CHECK(now->find(renewed->about.names.front()).front()->chain.size() == 2);

    here.put_texts("p384.example", pem("p384.crt") + pem("intermediate.crt"), pem("p256.key"));
    here.folder.serve();
    CHECK(here.offered == std::vector{before[0], renewed}); // as it was
}

TEST_CASE("foreign folder: a fault is told once, and again when it comes back")
{
    beside_certbot here;
    const auto told = [&] { return std::ranges::count(here.events, "acme.unreadable"); };
    for (const int times : {1, 2}) {
        here.put("example.com", {"example.com"});
        here.folder.serve();
        here.remove_files("example.com");
        for (int i = 0; i < 3; ++i)
            here.folder.serve();
        CHECK(told() == times);
    }
}

TEST_CASE("foreign folder: it warns of each key that others can read")
{
    beside_certbot here;
    here.put("example.com", {"example.com"});
    here.folder.check();
    CHECK(here.events.empty());
    here.put("example.org", {"example.org"}, {}, 0644);
    here.folder.check();
    CHECK(here.events == std::vector<std::string>{"acme.open_to_others"});
}
