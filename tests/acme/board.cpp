#include <alos/acme/board.hpp>

#include "support/sick_files.hpp"
#include "support/simulated_files.hpp"
#include "support/simulated_world.hpp"

#include <alos/acme/file_storage.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;
using alos::acme::awaitable;
using alos::acme::challenge_type;
using alos::acme::posting;
using alos::acme::time_point;
using alos::outcome;

namespace {

posting by_http(std::string token)
{
    std::string all = token + ".thumbprint";
    return {challenge_type::http_01, *alos::acme::identifier_of("example.com"), std::move(token), std::move(all)};
}

posting by_tls(std::string token)
{
    posting made = by_http(std::move(token));
    made.type = challenge_type::tls_alpn_01;
    return made;
}

// Keeps what would be in the DNS.
struct paper_dns final : alos::acme::dns_solver {
    awaitable<outcome<>> present(std::string, std::string value) override
    {
        values.insert(std::move(value));
        co_return outcome<>();
    }
    awaitable<outcome<>> clean_up(std::string, std::string value) override
    {
        ++cleaned;
        if (is_sick)
            co_return alos::failure{alos::errc::refused, "no clean-up today"};
        if (is_broken)
            throw std::runtime_error("a bug in a clean-up");
        if (waits_with)
            co_await waits_with->sleep_until(waits_with->now() + 24h);
        values.erase(value);
        co_return outcome<>();
    }
    std::set<std::string> values;
    unsigned cleaned = 0;
    bool is_sick = false;
    bool is_broken = false;
    alos::acme::environment* waits_with = nullptr; // for a day; null: not at all
};

posting by_dns(std::string token)
{
    posting made = by_http(std::move(token));
    made.type = challenge_type::dns_01;
    return made;
}

// What a coroutine returned, once it has.
template <class T>
using soon = std::shared_ptr<std::optional<T>>;

// The processes of one host: they have a disk, and so a storage, in common.
struct host {
    test::simulated_world world{1};
    std::shared_ptr<test::simulated_disk> disk = std::make_shared<test::simulated_disk>();
};

// Killed when it goes.
struct process {
    explicit process(host& on)
        : world(on.world), files(on.disk), self(world.add_member(files)),
          storage(seen_files, "/data", "a process", [this] { return self.now(); },
                  [this](std::chrono::milliseconds time) { return self.sleep_until(self.now() + time); }),
          registry({}, [this] { return self.now(); }), board(self, storage, http01, registry)
    {
    }
    process(const process&) = delete;
    process& operator=(const process&) = delete;
    ~process() { world.kill(self); }

    template <class T>
    soon<T> begin(awaitable<T> work)
    {
        auto into = std::make_shared<std::optional<T>>();
        boost::asio::co_spawn(self.executor(), std::move(work),
                              [into](const std::exception_ptr& thrown, T value) {
                                  CHECK_MESSAGE(!thrown, alos::text_of_exception(thrown));
                                  *into = std::move(value);
                              });
        world.run_for(1s);
        return into;
    }

    void finish(awaitable<> work)
    {
        bool is_over = false;
        boost::asio::co_spawn(self.executor(), std::move(work), [&](const std::exception_ptr& thrown) {
            CHECK_MESSAGE(!thrown, alos::text_of_exception(thrown));
            is_over = true;
        });
        REQUIRE(world.run_until([&] { return is_over; }, 1min));
    }

    soon<outcome<>> begin_to_post(posting what, std::chrono::seconds insists = 5min)
    {
        return begin(board.post(std::move(what), dns, self.now() + insists));
    }

    void post(posting what, std::chrono::seconds insists = 5min)
    {
        CHECK(is_done(begin_to_post(std::move(what), insists)));
    }
    void take_down(posting what) { CHECK(is_done(begin(board.take_down(std::move(what), dns)))); }
    void let_stand(posting what) { finish(board.let_stand(std::move(what))); }
    void follow() { finish(board.follow_others()); }

    // Whether a CA that asks this process gets that answer.
    [[nodiscard]] bool answers(const posting& what) const
    {
        if (what.type == challenge_type::http_01)
            return http01.find(what.token) == what.key_authorization;
        if (what.type == challenge_type::dns_01)
            return dns->values.contains(alos::acme::dns01_value(what.key_authorization));
        const auto served = registry.served().load();
        const auto* const shown = served->challenge(alos::acme::tls_alpn_server_name(what.about.value));
        return shown && alos::acme::answers_tls_alpn(shown->chain.front(), what.about.value, what.key_authorization);
    }

    // What a process of another version, or none, may leave in the storage.
    void write(std::string key, std::string_view text)
    {
        CHECK(is_done(begin(storage.store(std::move(key), alos::secret_text(text.begin(), text.end()), std::nullopt))));
    }

    [[nodiscard]] bool has(std::string key) { return (**begin(storage.load(std::move(key))))->has_value(); }

    template <class T>
    static bool is_done(const soon<outcome<T>>& done)
    {
        return done->has_value() && (*done)->has_value();
    }

    test::simulated_world& world;
    test::simulated_files files;
    test::sick_files seen_files{files};
    test::simulated_member& self;
    alos::acme::file_storage storage;
    alos::cert::registry registry;
    alos::acme::answers http01;
    std::shared_ptr<paper_dns> dns = std::make_shared<paper_dns>();
    alos::acme::board board;
};

}

TEST_CASE("board: a second answer for a name waits for the first, as tls-alpn-01 has room for one (RFC 8737 3)")
{
    host here;
    process one(here);
    const posting first = by_tls("first"), second = by_tls("second");
    one.post(first);
    const auto other = one.begin_to_post(second);
    here.world.run_for(1h); // one process trusts itself, however long it takes
    CHECK_FALSE(other->has_value());
    CHECK(one.answers(first));
    one.take_down(first);
    CHECK(process::is_done(other));
    CHECK(one.answers(second));
    one.take_down(second);
    CHECK_FALSE(one.answers(second));
    CHECK_FALSE(one.has("challenge/tls-alpn-01/example.com"));
}

TEST_CASE("board: it waits for another process too, until that one's answer is gone or insists no longer")
{
    host here;
    process one(here), other(here);
    const posting first = by_tls("first"), second = by_tls("second");
    one.post(first, 5min);
    const auto waits = other.begin_to_post(second, 10min);
    here.world.run_for(1min);
    CHECK_FALSE(waits->has_value());
    one.take_down(first);
    here.world.run_for(2s);
    CHECK(process::is_done(waits));
    CHECK(other.answers(second));
    other.take_down(second);

    one.post(first, 2min);
    const auto gives_up = other.begin_to_post(second, 1min);
    here.world.run_for(1min);
    REQUIRE(gives_up->has_value());
    CHECK((*gives_up)->error().code == alos::errc::timed_out);
    other.take_down(second); // of what it waited for in vain
    CHECK(one.has("challenge/tls-alpn-01/example.com"));
    const auto inherits = other.begin_to_post(second, 10min);
    here.world.run_for(50s);
    CHECK_FALSE(inherits->has_value());
    here.world.run_for(10s);
    CHECK(process::is_done(inherits));
    one.follow();
    CHECK(one.answers(second));
    one.take_down(first);
    CHECK(one.has("challenge/tls-alpn-01/example.com"));
}

TEST_CASE("board: one that insists for longer than an hour has a wrong clock, and nobody waits for it")
{
    host here;
    process one(here), other(here);
    one.self.jump(2h);
    one.post(by_tls("first"), 5min);
    other.post(by_tls("second"));
    CHECK(other.answers(by_tls("second")));
}

TEST_CASE("board: an answer that stands for the next attempt goes when another order's is posted, not the same order's")
{
    host here;
    process one(here);
    for (const auto make : {by_http, by_tls, by_dns}) {
        const posting first = make("first"), second = make("second");
        one.post(first);
        one.let_stand(first);
        CHECK(one.answers(first));
        one.post(first); // in the next attempt
        CHECK(one.dns->cleaned == 0);
        CHECK(one.answers(first));
        one.let_stand(first);
        one.post(second);
        CHECK(one.answers(second));
        CHECK_FALSE(one.answers(first));
        one.take_down(second);
        CHECK_FALSE(one.answers(second));
    }
    CHECK_FALSE(one.has("challenge/http-01/first"));
    CHECK_FALSE(one.has("challenge/http-01/second"));
}

TEST_CASE("board: an answer that stands for an attempt that will not come is taken down, and others are not")
{
    host here;
    process one(here);
    posting other = by_http("other");
    other.about = *alos::acme::identifier_of("other.example");
    one.post(other);
    one.let_stand(other);
    one.post(by_http("working"));
    for (const auto make : {by_http, by_tls, by_dns}) {
        one.post(make("first"));
        one.let_stand(make("first"));
    }
    CHECK(process::is_done(one.begin(one.board.take_down_standing(by_http("first").about, one.dns))));
    for (const auto make : {by_http, by_tls, by_dns})
        CHECK_FALSE(one.answers(make("first")));
    CHECK_FALSE(one.has("challenge/http-01/first"));
    CHECK_FALSE(one.has("challenge/tls-alpn-01/example.com"));
    CHECK(one.answers(other));
    CHECK(one.answers(by_http("working")));
}

TEST_CASE("board: what cannot be taken down is said, and the rest is taken down all the same")
{
    host here;
    process one(here);
    for (const auto make : {by_dns, by_http}) {
        one.post(make("first"));
        one.let_stand(make("first"));
    }
    one.dns->is_sick = true;
    const auto done = one.begin(one.board.take_down_standing(by_http("first").about, one.dns));
    REQUIRE(done->has_value());
    REQUIRE((*done)->has_error());
    CHECK((*done)->error().what == "no clean-up today");
    CHECK_FALSE(one.answers(by_http("first")));
}

TEST_CASE("board: what is cancelled before an answer is taken down leaves it to the next")
{
    host here;
    process one(here);
    one.post(by_dns("first"));
    one.let_stand(by_dns("first"));
    one.dns->waits_with = &one.self;
    boost::asio::cancellation_signal cancel;
    bool is_over = false;
    boost::asio::co_spawn(
        one.self.executor(), one.board.take_down_standing(by_dns("first").about, one.dns),
        boost::asio::bind_cancellation_slot(cancel.slot(), [&](const std::exception_ptr& thrown, const outcome<>&) {
            CHECK(thrown != nullptr);
            is_over = true;
        }));
    here.world.run_for(1s);
    cancel.emit(boost::asio::cancellation_type::terminal);
    REQUIRE(here.world.run_until([&] { return is_over; }, 1min));
    CHECK(one.answers(by_dns("first")));
    one.dns->waits_with = nullptr;
    CHECK(process::is_done(one.begin(one.board.take_down_standing(by_dns("first").about, one.dns))));
    CHECK_FALSE(one.answers(by_dns("first")));
}

TEST_CASE("board: a clean-up that hangs, or throws, is said, and the rest is taken down all the same")
{
    for (const bool hangs : {true, false}) {
        host here;
        process one(here);
        for (const auto make : {by_dns, by_http}) {
            one.post(make("first"));
            one.let_stand(make("first"));
        }
        one.dns->waits_with = hangs ? &one.self : nullptr;
        one.dns->is_broken = !hangs;
        const auto done = one.begin(one.board.take_down_standing(by_http("first").about, one.dns));
        if (hangs)
            here.world.run_for(2min);
        REQUIRE(done->has_value());
        REQUIRE((*done)->has_error());
        const std::string said = (*done)->error().what;
        CHECK_MESSAGE(said.starts_with(hangs ? "it is not done after 2 minutes" : "a bug in a clean-up"), said);
        CHECK_FALSE(one.answers(by_http("first")));
    }
}

TEST_CASE("board: an answer that stands keeps no other process waiting")
{
    host here;
    process one(here), other(here);
    one.post(by_tls("first"), 30min);
    one.let_stand(by_tls("first"));
    here.world.run_for(1s);
    other.post(by_tls("second"));
    one.follow();
    CHECK(one.answers(by_tls("second")));
}

TEST_CASE("board: of two orders for one name, either takes its own answer away only")
{
    host here;
    process one(here);
    const posting first = by_http("first"), second = by_http("second");
    one.post(first);
    one.post(second);
    one.take_down(first);
    CHECK_FALSE(one.answers(first));
    CHECK(one.answers(second));
    CHECK(one.has("challenge/http-01/second"));
    one.post(by_tls("third"));
    one.take_down(by_tls("fourth"));
    CHECK(one.answers(by_tls("third")));
    CHECK(one.has("challenge/tls-alpn-01/example.com"));
}

TEST_CASE("board: what other processes posted is answered here, until they take it away")
{
    host here;
    process one(here), other(here);
    for (const posting& each : {by_http("token"), by_tls("token")}) {
        one.post(each);
        CHECK_FALSE(other.answers(each));
        other.follow();
        CHECK(other.answers(each));
        other.follow();
        CHECK(other.answers(each));
        one.take_down(each);
        other.follow();
        CHECK_FALSE(other.answers(each));
    }
}

TEST_CASE("board: what other processes posted is answered while it cannot be listed, or read, for a day and no longer")
{
    host here;
    process one(here), other(here);
    for (const posting& each : {by_http("token"), by_tls("token")}) {
        one.post(each);
        other.follow();
        for (const char* sick : {"/data/challenge", "/data/challenge/http-01/", "/data/challenge/tls-alpn-01/"}) {
            other.seen_files.sick = sick;
            other.follow();
            CHECK(other.answers(each));
        }
        one.take_down(each);
        other.seen_files.sick.clear();
        other.follow();
        CHECK_FALSE(other.answers(each));
        one.post(each);
        other.follow();
        other.seen_files.sick = "/data/challenge";
        here.world.run_for(25h);
        other.follow();
        CHECK_FALSE(other.answers(each));
        other.seen_files.sick.clear();
    }
}

TEST_CASE("board: an answer that nobody can read, or that is from no time we know, is none")
{
    host here;
    process one(here), other(here);
    one.post(by_http("good"));
    one.write("challenge/http-01/empty", "");
    one.write("challenge/http-01/short", "short.thumbprint\n");
    one.write("challenge/http-01/wrong", "wrong.thumbprint\nsoon\nlater\n");
    one.write("challenge/http-01/past", "past.thumbprint\n1798000000\n1798000000\n");
    one.write("challenge/http-01/future", "future.thumbprint\n4000000000\n4000000000\n");
    one.write("challenge/tls-alpn-01/no:name", "token.thumbprint\n1798800000\n1798800000\n");
    other.follow();
    CHECK(other.answers(by_http("good")));
    for (const char* token : {"empty", "short", "wrong", "past", "future"})
        CHECK_FALSE(other.http01.find(token).has_value());
}

TEST_CASE("board: what a process left behind when it died is answered for a day, and no longer")
{
    host here;
    process other(here);
    const posting left = by_http("token"), kept = by_http("kept");
    {
        process one(here);
        one.post(left);
    }
    process heir(here);
    other.follow();
    here.world.run_for(20h);
    heir.post(kept);
    other.follow();
    CHECK(other.answers(left));
    CHECK(other.answers(kept));
    here.world.run_for(5h);
    other.follow();
    CHECK_FALSE(other.answers(left));
    CHECK_FALSE(other.has("challenge/http-01/token"));
    here.world.run_for(15h);
    heir.post(kept); // in another attempt
    here.world.run_for(9h);
    other.follow();
    CHECK(other.answers(kept));
}
