#include <alos/acme.hpp>

#include <alos/server.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

// A folder of its own, gone with it.
struct scratch {
    scratch()
    {
        std::string pattern = (std::filesystem::temp_directory_path() / "alos-acme-XXXXXX").string();
        path = ::mkdtemp(pattern.data());
    }
    ~scratch() { std::filesystem::remove_all(path); }
    std::string path;
};

// What the service said.
struct listener {
    alos::cert::registry certificates;
    alos::acme::answers http01;
    std::mutex mutex;
    std::vector<std::string> lines;

    alos::acme::host host()
    {
        return {certificates, http01,
                [this](alos::log_level, std::string_view event, std::initializer_list<alos::log_field> fields) {
                    const std::lock_guard lock(mutex);
                    std::string line(event);
                    for (const alos::log_field& each : fields) {
                        if (const auto* text = std::get_if<std::string_view>(&each.value))
                            line.append(" ").append(*text);
                    }
                    lines.push_back(std::move(line));
                }};
    }

    bool says(std::string_view what)
    {
        const std::lock_guard lock(mutex);
        return std::ranges::any_of(lines, [&](const std::string& each) { return each.find(what) != each.npos; });
    }

    bool waits_for(std::string_view what, std::chrono::seconds longest = 10s)
    {
        for (const auto end = clock_type::now() + longest; clock_type::now() < end;) {
            if (says(what))
                return true;
            std::this_thread::sleep_for(5ms);
        }
        return false;
    }
};

struct no_dns final : alos::acme::dns_solver {
    alos::acme::awaitable<alos::outcome<>> present(std::string, std::string) override { co_return alos::outcome<>(); }
    alos::acme::awaitable<alos::outcome<>> clean_up(std::string, std::string) override { co_return alos::outcome<>(); }
};

// A CA that nobody answers for.
alos::acme::config nowhere(const scratch& folder)
{
    alos::acme::config settings;
    settings.domains = {"example.test", {"*.example.test", "192.0.2.1"}};
    settings.cache_dir = folder.path + "/cache";
    settings.cas = {{.directory = "http://127.0.0.1:1/directory", .allow_http = true}};
    settings.dns = std::make_shared<no_dns>();
    return settings;
}

}

TEST_CASE("acme service: without a network it serves, says why it cannot renew, and stops at once")
{
    scratch folder;
    listener heard;
    alos::acme_service service(heard.host());
    REQUIRE(service.configure(nowhere(folder)).has_value());
    CHECK(heard.certificates.list_certs().size() == 2);
    CHECK(heard.certificates.list_certs().front().from == alos::cert::source::self_signed);
    REQUIRE(service.start().has_value());
    CHECK(heard.waits_for("127.0.0.1:1"));
    const auto list = service.certificates();
    REQUIRE(list.size() == 2);
    CHECK(list[0].id == "example.test.ecdsa-p256");
    CHECK(list[1].id == "_wildcard.example.test.ecdsa-p256");
    CHECK(list[1].names == std::vector<std::string>{"*.example.test", "192.0.2.1"});
    CHECK(alos::acme::to_json_text(service.certificates()).find("\"failures\":1") != std::string::npos);
    const auto begun = clock_type::now();
    service.stop();
    CHECK(clock_type::now() - begun < 2s);
    CHECK(service.certificates().size() == 2); // as it was
    const auto late = service.add_domain("late.test");
    REQUIRE_FALSE(late.has_value());
    CHECK(late.error().code == alos::errc::closed);
}

TEST_CASE("acme service: what there is can be asked for by an event's handler, and while it is told to stop")
{
    scratch folder;
    listener heard;
    alos::acme_service service(heard.host());
    REQUIRE(service.configure(nowhere(folder)).has_value());
    std::promise<void> stopping, told;
    std::thread stopper;
    std::size_t seen_by_handler = 0;
    std::future<std::size_t> seen_elsewhere;
    service.on_event = [&](const alos::acme::event& what) {
        if (what.kind != alos::acme::event_kind::renewal_failed || stopper.joinable())
            return;
        seen_by_handler = service.certificates().size();
        stopper = std::thread([&] {
            stopping.set_value();
            service.stop();
        });
        stopping.get_future().wait();
        seen_elsewhere = std::async(std::launch::async, [&] { return service.certificates().size(); });
        seen_elsewhere.wait_for(100ms); // it may have to wait for this handler to end
        told.set_value();
    };
    REQUIRE(service.start().has_value());
    REQUIRE(told.get_future().wait_for(10s) == std::future_status::ready);
    CHECK(seen_elsewhere.get() == 2);
    stopper.join();
    CHECK(seen_by_handler == 2);
    CHECK(service.certificates().size() == 2);

    alos::acme_service unused(heard.host());
    unused.stop();
    CHECK(unused.certificates().empty());
}

TEST_CASE("acme service: a certificate of certbot's serves, and none is ordered before its time")
{
    scratch folder;
    const auto elsewhere = std::filesystem::current_path();
    std::filesystem::current_path(folder.path); // where what we obtain would be kept
    const std::string live = folder.path + "/letsencrypt/live/example.test-0001";
    std::filesystem::create_directories(live);
    const auto pair = alos::cert::make_self_signed({"example.test"}, std::chrono::system_clock::now()).value();
    std::ofstream(live + "/fullchain.pem") << pair.certificate;
    std::ofstream(live + "/privkey.pem") << alos::as_text(pair.key);
    listener heard;
    alos::acme_service service(heard.host());
    auto settings = nowhere(folder);
    settings.domains = {"example.test"};
    settings.cache_dir = folder.path + "/letsencrypt";
    REQUIRE(service.configure(settings).has_value());
    REQUIRE(service.start().has_value());
    const auto served = heard.certificates.served().load()->find("example.test");
    REQUIRE(served.size() == 1);
    const auto list = service.certificates();
    REQUIRE(list.size() == 1);
    CHECK(list[0].not_after == served[0]->about.not_after);
    CHECK(list[0].next_attempt > std::chrono::system_clock::now() + std::chrono::days(100));
    CHECK_FALSE(heard.says("acme.failed"));
    service.stop();
    CHECK(std::filesystem::is_empty(folder.path + "/.alos-certs/certs"));
    CHECK_FALSE(std::filesystem::exists(folder.path + "/letsencrypt/alos"));

    alos::acme_service within(heard.host());
    settings.store_in_foreign = true;
    REQUIRE(within.configure(settings).has_value());
    CHECK(std::filesystem::exists(folder.path + "/letsencrypt/alos/certs"));
    std::filesystem::current_path(elsewhere);
}

TEST_CASE("acme service: it warns at start of what others can read, once for each finding, and serves")
{
    for (const bool is_open : {false, true}) {
        scratch folder;
        const std::string kept = folder.path + "/cache/certs/other.test.ecdsa-p256/000001";
        std::filesystem::create_directories(kept);
        std::ofstream(kept + "/privkey.pem") << "a key";
        for (std::string each = kept; each != folder.path; each = each.substr(0, each.rfind('/')))
            std::filesystem::permissions(each, std::filesystem::perms::owner_all);
        std::filesystem::permissions(kept + "/privkey.pem", std::filesystem::perms(is_open ? 0644 : 0600));
        std::filesystem::permissions(folder.path + "/cache", std::filesystem::perms(is_open ? 0755 : 0700));
        listener heard;
        alos::acme_service service(heard.host());
        REQUIRE(service.configure(nowhere(folder)).has_value());
        REQUIRE(service.start().has_value());
        CHECK(heard.waits_for("127.0.0.1:1"));
        CHECK(heard.certificates.served().load()->find("example.test").size() == 1);
        const std::string mode = folder.path + "/cache its mode is 0755, so that others can look into it chmod 700";
        CHECK(heard.says("acme.open_to_others " + mode) == is_open);
        CHECK(heard.says("private keys are open to others: " + kept + "/privkey.pem chmod -R") == is_open);
        const auto is_warning = [](const std::string& line) { return line.starts_with("acme.open_to_others"); };
        service.stop();
        CHECK(std::ranges::count_if(heard.lines, is_warning) == (is_open ? 2 : 0));
    }
}

TEST_CASE("acme service: a CA is answered what another process stored, before the manager hears of it (RFC 8555 8.3)")
{
    scratch folder;
    listener heard;
    alos::acme_service service(heard.host());
    REQUIRE(service.configure(nowhere(folder)).has_value()); // it is not started, and so follows nobody
    const auto look = [&](const std::string& token) {
        boost::asio::io_context here;
        std::optional<std::string> found;
        boost::asio::co_spawn(here, heard.http01.find_elsewhere(token),
                              [&](const std::exception_ptr& thrown, const alos::acme::answers::looked_up& answer) {
                                  CHECK_FALSE(thrown);
                                  CHECK(answer.has_value());
                                  found = answer ? *answer : std::nullopt;
                              });
        here.run();
        return found;
    };
    const std::filesystem::path answers = folder.path + "/cache/challenge/http-01";
    std::filesystem::create_directories(answers);
    const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    const auto post = [&](const std::string& token, std::time_t until) {
        std::ofstream(answers / (token + ".json")) << token << ".thumbprint\n" << until << "\n" << now << "\n";
    };
    CHECK_FALSE(look("theirs"));
    post("theirs", now + 3600);
    CHECK(look("theirs") == "theirs.thumbprint");
    post("old", now - 1);
    CHECK_FALSE(look("old"));
    std::ofstream(answers / "broken.json") << "broken.thumbprint\n";
    CHECK_FALSE(look("broken"));
    post("long", now + 3600);
    std::ofstream(answers / "long.json", std::ios::app) << std::string(5000, 'x');
    CHECK_FALSE(look("long"));
    post("../outside", now + 3600);
    CHECK_FALSE(look("../outside"));
    CHECK_FALSE(look(""));
    service.stop();
    CHECK_FALSE(look("theirs"));
}

TEST_CASE("acme service: what cannot be meant is refused, with the cure")
{
    scratch folder;
    listener heard;
    alos::acme_service service(heard.host());
    CHECK(service.start().error().code == alos::errc::bad_configuration);
    alos::acme::config settings = nowhere(folder);
    settings.domains = {"no such name"};
    const auto bad_name = service.configure(settings);
    REQUIRE_FALSE(bad_name.has_value());
    CHECK(bad_name.error().code == alos::errc::bad_name);
    settings = nowhere(folder);
    settings.dns = nullptr;
    CHECK(service.configure(settings).error().what.starts_with("*.example.test: a wildcard is proven by dns-01"));
    settings = nowhere(folder);
    settings.cas.front().allow_http = false;
    CHECK(service.configure(settings).error().what.find("https") != std::string::npos);
    settings = nowhere(folder);
    settings.cas.front().roots_file = folder.path + "/missing.pem";
    CHECK(service.configure(settings).error().what.find("missing.pem") != std::string::npos);
    settings = nowhere(folder);
    settings.key_types.clear();
    CHECK(service.configure(settings).error().code == alos::errc::bad_configuration);
    CHECK(service.remove_domain("other.test").error().code == alos::errc::unknown_name);
}

TEST_CASE("acme service: a forced renewal that fails says so to whoever awaits it")
{
    scratch folder;
    listener heard;
    alos::acme_service service(heard.host());
    REQUIRE(service.configure(nowhere(folder)).has_value());
    REQUIRE(service.start().has_value());
    boost::asio::io_context here;
    std::optional<alos::outcome<>> done;
    boost::asio::co_spawn(here, service.force_renew("example.test", {}),
                          [&](const std::exception_ptr& thrown, alos::outcome<> result) {
                              CHECK_FALSE(thrown);
                              done = std::move(result);
                          });
    here.run_for(10s);
    REQUIRE(done);
    REQUIRE_FALSE(done->has_value());
    CHECK(done->error().what.find("127.0.0.1:1") != std::string::npos);
}

TEST_CASE("acme service: what would wait for the manager is refused in an event's handler, for which the manager waits")
{
    scratch folder;
    listener heard;
    alos::acme_service service(heard.host());
    REQUIRE(service.configure(nowhere(folder)).has_value());
    std::vector<alos::outcome<>> refused;
    std::size_t listed = 0;
    std::promise<void> told;
    std::atomic<bool> is_first = true;
    service.on_event = [&](const alos::acme::event&) {
        if (!is_first.exchange(false))
            return;
        refused.push_back(service.configure(nowhere(folder)));
        refused.push_back(service.add_domain("other.test"));
        refused.push_back(service.remove_domain("example.test"));
        listed = service.certificates().size();
        told.set_value();
    };
    REQUIRE(service.start().has_value());
    REQUIRE(told.get_future().wait_for(10s) == std::future_status::ready);
    CHECK(refused.size() == 3);
    for (const auto& each : refused) {
        REQUIRE(each.has_error());
        CHECK(each.error().what == "acme: not from an event's handler");
    }
    CHECK(listed == 2);
    CHECK(service.certificates().size() == 2); // of all that, nothing was done
}

TEST_CASE("acme service: a server has it by configuration")
{
    scratch folder;
    std::mutex mutex;
    std::vector<std::string> events;
    alos::server app({.addr = "127.0.0.1:0",
                      .http_addr = "127.0.0.1:0",
                      .acme = nowhere(folder),
                      .threads = 1,
                      .log = {.hook = [&](const alos::log_record& record) {
                          const std::lock_guard lock(mutex);
                          events.emplace_back(record.event);
                      }}});
    app.router.get("/", [](alos::request&, alos::response& res) { res.string("Secure!"); });
    const auto configured = app.acme_certificates();
    REQUIRE(configured.size() == 2);
    CHECK(configured.front().id == "example.test.ecdsa-p256");
    CHECK(configured.front().ca == nowhere(folder).cas.front().directory);
    CHECK(app.acme_certificates_json().starts_with(R"([{"id":"example.test.ecdsa-p256","names":["example.test")"));
    CHECK_FALSE(std::filesystem::exists(folder.path + "/cache"));
    REQUIRE(app.start().has_value());
    CHECK(app.acme_certificates().size() == 2);
    REQUIRE(app.add_acme_domain("another.test").has_value());
    CHECK(app.acme_certificates().size() == 3);
    CHECK(app.list_certs().size() == 3);
    REQUIRE(app.remove_acme_domain("another.test").has_value());
    CHECK(app.acme_certificates().size() == 2);
    CHECK(app.list_certs().size() == 2);
    app.stop();
    app.wait();
    CHECK(app.acme_certificates().size() == 2);
    CHECK(app.acme_certificates_json().find(R"("names":["*.example.test","192.0.2.1"])") != std::string::npos);
    const std::lock_guard lock(mutex);
    CHECK(std::ranges::count(events, "acme.start") == 0);
}

TEST_CASE("acme environment: the system's files are followed, also by the client")
{
    const scratch folder;
    const std::string hosts = folder.path + "/hosts";
    boost::asio::io_context context(1);
    alos::acme_environment world(context.get_executor());
    world.use(alos::dns::system_setup({*alos::dns::parse_server("127.0.0.1:1")}, "", hosts));
    std::string said;
    const auto ask = [&](alos::acme_environment& whom, std::string& into) -> alos::acme::awaitable<> {
        const auto found = co_await whom.resolve("late.test", alos::dns::record_type::a);
        into = found ? found->records.front().text : "nothing";
        alos::http::outbound_request request;
        request.url = "http://late.test:1/";
        const auto got = co_await whom.fetch(std::move(request));
        into += got ? "; an answer" : "; " + got.error().what;
    };
    for (const bool is_there : {false, true}) {
        if (is_there)
            std::ofstream(hosts) << "127.0.0.1 late.test\n";
        boost::asio::co_spawn(context, ask(world, said), [](const std::exception_ptr&) {});
        context.run();
        context.restart();
        CAPTURE(said);
        CHECK((said.find("127.0.0.1; http://late.test:1 (late.test): connect: 127.0.0.1:1: ") == 0) == is_there);
        CHECK((said.find("nothing; ") == 0) != is_there);
    }
}
