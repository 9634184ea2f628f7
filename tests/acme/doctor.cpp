#include <alos/acme/doctor.hpp>

#include "support/scripted_ca.hpp"
#include "support/sick_files.hpp"
#include "support/simulated_process.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

using namespace std::chrono_literals;
using alos::acme::challenge_type;
using alos::acme::finding;
using alos::acme::health;
using alos::dns::record;
using alos::dns::record_type;

namespace {

const std::string folder = "/certificates";

// A machine whose name is example.com, with nothing wrong, until a test makes it so.
struct clinic {
    explicit clinic(test::ca_settings settings = {})
        : ca(world, std::move(settings), 1)
    {
        world.local_addresses = {"192.0.2.1"};
        world.serve_others(test::serve_answers(http01));
        world.show_other_certificates(test::show_challenges(registry));
        asked.names = {alos::acme::identifier_of("example.com").value()};
        asked.folder = folder;
        asked.ca.directory = ca.directory_url();
        asked.challenges = {challenge_type::http_01, challenge_type::tls_alpn_01, challenge_type::dns_01};
    }

    void examine()
    {
        found.clear();
        alos::acme::doctor one(environment, process.storage, board, asked,
                               [this](finding each) { found.push_back(std::move(each)); });
        process.run(one.examine());
    }

    // All that was found, one line each.
    [[nodiscard]] std::string all() const
    {
        std::string text;
        for (const finding& each : found)
            text += to_text(each) + "\n";
        return text;
    }

    // The worst about that check.
    [[nodiscard]] finding worst(std::string_view check) const
    {
        finding worst{"", "", health::ok, "nothing was said about it"};
        for (const finding& each : found) {
            if (each.check.starts_with(check) && (worst.check.empty() || each.how > worst.how))
                worst = each;
        }
        return worst;
    }

    [[nodiscard]] bool is_well() const
    {
        return std::ranges::all_of(found, [](const finding& each) { return each.how == health::ok; });
    }

    void write(std::string key, std::string text)
    {
        alos::secret_text bytes(text.begin(), text.end());
        CHECK(process.run(process.storage.store(std::move(key), std::move(bytes), std::nullopt)).has_value());
    }

    void caa(std::string name, std::string tag, std::string value)
    {
        world.zone[name].push_back({.name = name, .type = record_type::caa, .text = std::move(value),
                                    .caa_tag = std::move(tag)});
    }

    test::simulated_world world{1};
    test::scripted_ca ca;
    test::simulated_process process{world};
    test::simulated_member& environment = process.environment;
    test::simulated_files& files = process.files;
    alos::cert::registry registry{{}, [this] { return environment.now(); }};
    alos::acme::answers http01;
    alos::acme::board board{environment, process.storage, http01, registry};
    alos::acme::checkup asked;
    std::vector<finding> found;
};

record address(std::string name, record_type type, std::string text)
{
    return {.name = std::move(name), .type = type, .ttl = 60, .text = std::move(text)};
}

}

TEST_CASE("doctor: all is well, and nothing is left behind")
{
    clinic here;
    here.examine();
    CHECK_MESSAGE(here.is_well(), here.all());
    for (const char* check : {"permissions", "directory", "clock", "account", "addresses", "CAA", "http-01 on port 80",
                              "tls-alpn-01 on port 443"})
        CHECK_MESSAGE(here.worst(check).check == check, here.all());
    CHECK(here.files.list(folder + "/challenge/http-01")->empty());
    CHECK(here.files.list(folder + "/challenge/tls-alpn-01")->empty());
    CHECK(here.ca.breaches().empty());
}

TEST_CASE("doctor: a name without addresses")
{
    clinic here;
    here.world.default_address.clear();
    here.examine();
    CHECK(here.worst("addresses").how == health::problem);
    CHECK(here.worst("addresses").seen == "it has none");
}

TEST_CASE("doctor: addresses of another machine are no problem by themselves")
{
    clinic here;
    here.world.zone["example.com"] = {address("example.com", record_type::a, "192.0.2.1"),
                                      address("example.com", record_type::aaaa, "2001:db8::1")};
    here.examine();
    CHECK(here.worst("addresses").how == health::warning);
    CHECK(here.worst("addresses").seen == "2001:db8::1: not of this machine, which has 192.0.2.1");
    here.world.local_addresses.push_back("2001:db8::1");
    here.examine();
    CHECK(here.worst("addresses").seen == "192.0.2.1, 2001:db8::1");
    CHECK_MESSAGE(here.is_well(), here.all());
}

TEST_CASE("doctor: a public CA does not reach loopback and private addresses (RFC 6890 2.2.2, 2.2.3, RFC 4193)")
{
    clinic here;
    const auto look_at = [&](const std::string& text) {
        const bool is_v6 = text.find(':') != std::string::npos;
        const auto type = is_v6 ? record_type::aaaa : record_type::a;
        here.world.zone["example.com"] = {address("example.com", type, text)};
        here.world.local_addresses = {text};
        here.examine();
        return here.worst("addresses");
    };
    for (const char* text : {"127.0.0.1", "127.255.255.255", "10.0.0.2", "172.16.0.1", "172.31.255.255", "192.168.1.1",
                             "100.64.0.1", "169.254.1.1", "::1", "fc00::1", "fdff::1", "fe80::1"}) {
        const finding said = look_at(text);
        CHECK_MESSAGE(said.how == health::warning, text);
        CHECK(said.seen == std::string(text) + ": loopback or private, which a public CA does not reach");
        CHECK(said.cure.find("public addresses") != std::string::npos);
    }
    for (const char* text : {"126.255.255.255", "172.32.0.1", "192.169.0.1", "100.128.0.1", "::2", "fe00::1",
                             "2001:db8::1"})
        CHECK_MESSAGE(look_at(text).how == health::ok, text);

    // One in the same network does.
    here.world.zone["ca.test"] = {address("ca.test", record_type::a, "10.0.0.3")};
    CHECK(look_at("10.0.0.2").how == health::ok);
    here.world.zone.clear();
    for (const char* host : {"127.0.0.1", "[::1]", "localhost"}) {
        here.asked.ca.directory = "https://" + std::string(host) + ":14000/dir";
        CHECK_MESSAGE(look_at("127.0.0.1").how == health::ok, host);
    }
}

TEST_CASE("doctor: nobody answers on a port")
{
    clinic here;
    here.world.serve_others(nullptr);
    here.world.show_other_certificates(nullptr);
    here.examine();
    CHECK(here.worst("http-01").how == health::problem);
    CHECK(here.worst("tls-alpn-01").how == health::problem);
    CHECK(here.worst("http-01").cure.find("firewalls") != std::string::npos);

    // Behind a router this may be all that can be seen.
    here.world.local_addresses = {"10.0.0.2"};
    here.examine();
    CHECK(here.worst("http-01").how == health::warning);
    CHECK(here.worst("tls-alpn-01").how == health::warning);
}

TEST_CASE("doctor: behind a redirect to https any certificate will do, as it does for a CA")
{
    clinic here;
    const auto serve = test::serve_answers(here.http01);
    bool was_redirected = false;
    here.world.serve_others([&](const test::http::outbound_request& request) {
        if (request.url.starts_with("http://")) {
            test::http::outbound_response elsewhere{.status = 301};
            elsewhere.fields = {{"Location", "https" + request.url.substr(4)}};
            return test::outcome<test::http::outbound_response>(elsewhere);
        }
        was_redirected = true;
        if (!request.authorities || request.authorities->verifies)
            return test::outcome<test::http::outbound_response>(
                alos::failure{alos::errc::bad_certificate, "a self-signed certificate"});
        return serve(request);
    });
    here.examine();
    CHECK(was_redirected);
    CHECK_MESSAGE(here.worst("http-01").how == health::ok, here.all());
}

TEST_CASE("doctor: a trial that is cancelled while it is put up leaves its place free")
{
    clinic here;
    REQUIRE(!here.files.make_directory(folder, 0700));
    REQUIRE(!here.files.make_directory(folder + "/locks", 0700));
    auto writing = here.files.try_lock(folder + "/locks/.commit"); // by another process
    REQUIRE((writing.has_value() && *writing));
    const alos::acme::trial what{.type = challenge_type::tls_alpn_01, .about = here.asked.names.front(), .port = 443};
    boost::asio::cancellation_signal cancel;
    bool is_over = false;
    boost::asio::co_spawn(here.environment.executor(),
                          alos::acme::try_answer(here.environment, here.process.storage, here.board, what),
                          boost::asio::bind_cancellation_slot(
                              cancel.slot(), [&](const std::exception_ptr& thrown, const std::string&) {
                                  is_over = true;
                                  CHECK(thrown);
                              }));
    here.world.run_for(100ms);
    CHECK_FALSE(is_over);
    cancel.emit(boost::asio::cancellation_type::terminal);
    REQUIRE(here.world.run_until([&] { return is_over; }, 10s));

    writing->reset();
    std::optional<std::string> instead;
    boost::asio::co_spawn(here.environment.executor(),
                          alos::acme::try_answer(here.environment, here.process.storage, here.board, what),
                          [&](const std::exception_ptr&, std::string seen) { instead = std::move(seen); });
    REQUIRE(here.world.run_until([&] { return instead.has_value(); }, 10s));
    CHECK(instead->empty());
}

TEST_CASE("doctor: another server has the port")
{
    clinic here;
    here.asked.no_http01_listener = "something else listens there";
    here.world.serve_others([](const test::http::outbound_request&) {
        test::http::outbound_response answer;
        answer.status = 404;
        answer.fields = {{"Server", "other/1.0"}};
        return test::outcome<test::http::outbound_response>(answer);
    });
    here.examine();
    CHECK(here.worst("http-01").how == health::problem);
    CHECK(here.worst("http-01").seen.find("calls itself other/1.0") != std::string::npos);
    CHECK(here.worst("http-01").seen.find("something else listens there") != std::string::npos);
    CHECK(here.worst("http-01").cure.find("acme_node") != std::string::npos);
}

TEST_CASE("doctor: a server on the same folder that has the port is as good")
{
    clinic here;
    here.asked.no_http01_listener = "something else listens there";
    here.examine();
    CHECK(here.worst("http-01").how == health::ok);
}

TEST_CASE("doctor: the answer of an order that is under way is not disturbed (RFC 8737 3)")
{
    clinic here;
    const auto write = [&](alos::acme::time_point until) {
        const std::string time = std::to_string(std::chrono::system_clock::to_time_t(until)) + "\n";
        here.write("challenge/tls-alpn-01/example.com", "token.thumbprint\n" + time + time);
    };
    write(here.world.now() + 1h);
    here.examine();
    CHECK(here.worst("tls-alpn-01").seen.find("an order is under way") != std::string::npos);
    CHECK(here.files.list(folder + "/challenge/tls-alpn-01")->size() == 1);
    // What a process that died has left behind is no order.
    write(here.world.now() - 1s);
    here.examine();
    CHECK_MESSAGE(here.worst("tls-alpn-01").how == health::ok, here.all());
}

TEST_CASE("doctor: the nearest CAA records count, whether far above or behind an alias (RFC 8659 3)")
{
    clinic here;
    here.asked.names = {alos::acme::identifier_of("a.b.example.com").value()};
    here.caa("com", "issue", ";");
    here.world.default_address = "192.0.2.1";
    here.examine();
    CHECK(here.worst("CAA").how == health::problem);
    CHECK(here.worst("CAA").seen.find("records of com keep this CA from issuing") == 0);
    CHECK(here.worst("CAA").cure.find("0 issue \"ca.test\"") != std::string::npos);
    here.caa("example.com", "issue", "ca.test");
    here.examine();
    CHECK(here.worst("CAA").how == health::ok);
    here.caa("elsewhere.test", "issue", "other.test");
    here.world.zone["a.b.example.com"] = {
        {.name = "a.b.example.com", .type = record_type::cname, .text = "elsewhere.test"}};
    here.examine();
    CHECK(here.worst("CAA").how == health::problem);
}

TEST_CASE("doctor: wildcards have CAA records of their own, and need dns-01 (RFC 8659 4.3)")
{
    clinic here;
    here.asked.names = {alos::acme::identifier_of("*.example.com").value()};
    here.asked.has_dns_solver = true;
    here.caa("example.com", "issue", "ca.test");
    here.examine();
    CHECK_MESSAGE(here.is_well(), here.all());
    here.caa("example.com", "issuewild", ";");
    here.examine();
    CHECK(here.worst("CAA").how == health::problem);
    here.asked.has_dns_solver = false;
    here.examine();
    CHECK(here.worst("challenges").how == health::problem);
}

TEST_CASE("doctor: CAA records for another account or challenge (RFC 8657 3, 4)")
{
    clinic here;
    const std::string account = "https://ca.test/account/7";
    here.write("account/" + alos::acme::storage_id(here.asked.ca.directory), R"({"url":")" + account + R"("})");
    here.caa("example.com", "issue", "ca.test; accounturi=" + account);
    here.examine();
    CHECK(here.worst("account").seen == account);
    CHECK(here.worst("CAA").how == health::ok);
    here.world.zone.clear();
    here.caa("example.com", "issue", "ca.test; accounturi=https://ca.test/account/8");
    here.examine();
    CHECK(here.worst("CAA").how == health::problem);
    here.world.zone.clear();
    here.caa("example.com", "issue", "ca.test; validationmethods=tls-alpn-01,dns-01");
    here.examine();
    CHECK(here.worst("CAA").how == health::warning);
    CHECK(here.worst("CAA").seen.find("only by tls-alpn-01") != std::string::npos);
}

TEST_CASE("doctor: a clock that is wrong, before or behind")
{
    for (const auto by : {-6min, 6min}) {
        clinic here;
        here.environment.jump(by);
        here.examine();
        CHECK(here.worst("clock").how == health::problem);
        CHECK(here.worst("clock").cure.find("NTP") != std::string::npos);
    }
    clinic here;
    here.environment.jump(2min);
    here.examine();
    CHECK(here.worst("clock").how == health::warning);
}

TEST_CASE("doctor: a name of several certificates is looked at once")
{
    clinic here;
    here.asked.names.push_back(here.asked.names.front());
    here.examine();
    CHECK(std::ranges::count(here.found, "CAA", &finding::check) == 1);
}

TEST_CASE("doctor: a directory that is not there, or is none")
{
    clinic here;
    here.world.serve("ca.test", [](const test::http::outbound_request&) {
        test::http::outbound_response answer;
        answer.status = 200;
        answer.body = "{}";
        return test::outcome<test::http::outbound_response>(answer);
    });
    here.examine();
    CHECK(here.worst("directory").how == health::problem);
    here.world.serve("ca.test", nullptr);
    here.examine();
    CHECK(here.worst("directory").how == health::problem);
    CHECK(here.worst("directory").cure.find("roots_file") != std::string::npos);
    CHECK_FALSE(here.worst("directory").seen.starts_with("directory"));
    here.asked.ca.directory = "http://ca.test/directory";
    here.examine();
    CHECK(here.worst("directory").how == health::problem);
}

TEST_CASE("doctor: an external account, and a profile, that the CA wants or lacks")
{
    clinic here({.profiles = {{"short", 24h}}, .external_account_required = true});
    here.examine();
    CHECK(here.worst("account").how == health::problem);
    CHECK(here.worst("profile").seen == "offered are short");
    here.asked.ca.eab_kid = "a";
    here.asked.ca.eab_hmac_key = alos::to_secret_text("b");
    here.asked.ca.profile = "long";
    here.examine();
    CHECK(here.worst("account").how == health::ok);
    CHECK(here.worst("profile").how == health::problem);
}

TEST_CASE("doctor: an account whose record is damaged is not taken for none")
{
    clinic here;
    const std::string file = folder + "/account/" + alos::acme::storage_id(here.asked.ca.directory) + ".json";
    for (const std::string& each : {folder, folder + "/account"})
        REQUIRE(!here.files.make_directory(each, 0700));
    REQUIRE(!here.files.make_symlink(file, file)); // in a circle
    here.examine();
    CHECK(here.worst("account").how == health::warning);
    CHECK_MESSAGE(here.worst("account").seen == "its record here is damaged", here.all());
}

TEST_CASE("doctor: a folder that others can look into, and keys that they can read")
{
    clinic here;
    REQUIRE(!here.files.make_directory(folder, 0755));
    here.examine();
    CHECK(here.worst("permissions").how == health::warning);
    CHECK(here.worst("permissions").cure == "chmod 700 '/certificates'");
    REQUIRE(!here.files.write_new(folder + "/public.json", {}, 0644));
    here.examine();
    CHECK(here.worst("permissions").how == health::warning);
    CHECK(here.all().find("open to others: /certificates/public.json; chmod -R") != std::string::npos);
    REQUIRE(!here.files.make_directory(folder + "/certs", 0700));
    for (const std::string name : {"privkey.pem", "a.key", "a.key.broken-2027"}) {
        REQUIRE(!here.files.write_new(folder + "/certs/" + name, {}, 0640));
        here.examine();
        CHECK(here.worst("permissions").how == health::problem);
        CHECK(here.worst("permissions").cure.find("renew these certificates") != std::string::npos);
        REQUIRE(!here.files.remove(folder + "/certs/" + name));
    }
}

TEST_CASE("doctor: a folder that cannot be written, or is none")
{
    clinic here;
    REQUIRE(!here.files.make_directory(folder, 0700));
    CHECK(alos::acme::check_folder(here.files, folder).back().how == health::ok);
    here.files.disk()->fail_after(2, EACCES);
    const finding closed = alos::acme::check_folder(here.files, folder).back();
    CHECK(closed.check == "writing");
    CHECK(closed.how == health::problem);
    test::sick_files without_room(here.files);
    without_room.is_full = true;
    const finding full = alos::acme::check_folder(without_room, folder).back();
    CHECK(full.how == health::problem);
    CHECK(full.seen.find("No space left on device") != std::string::npos);
    REQUIRE(!here.files.write_new("/file", {}, 0600));
    CHECK(alos::acme::check_folder(here.files, "/file").back().how == health::problem);
}
