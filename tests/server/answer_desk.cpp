#include <alos/server/answer_desk.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <doctest/doctest.h>

#include <exception>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using alos::answer_desk;

namespace {

// A desk, and who asks, each on a context that the test runs.
struct hall {
    std::shared_ptr<answer_desk> open_desk(std::chrono::milliseconds patience = 10s)
    {
        return std::make_shared<answer_desk>(
            there.get_executor(),
            [this](const std::string& token) {
                read.push_back(token);
                return token == "theirs" ? std::optional<std::string>("theirs.thumbprint") : std::nullopt;
            },
            patience);
    }

    void ask(const std::shared_ptr<answer_desk>& at, const std::string& token)
    {
        boost::asio::co_spawn(here, answer_desk::ask(at, token),
                              [this](const std::exception_ptr& thrown, const answer_desk::said& answer) {
                                  CHECK_FALSE(thrown);
                                  said.push_back(answer ? answer->value_or("none") : answer.error().message());
                              });
        here.restart();
        here.poll();
    }

    // Lets both do what they can.
    void turn()
    {
        there.restart();
        there.poll();
        here.restart();
        here.poll();
    }

    boost::asio::io_context there{1};
    boost::asio::io_context here{1};
    std::vector<std::string> read;
    std::vector<std::string> said;
};

using words = std::vector<std::string>;

}

TEST_CASE_FIXTURE(hall, "what is asked is read on the other thread, and awaited on this one")
{
    const auto desk = open_desk();
    ask(desk, "theirs");
    CHECK(read.empty());
    CHECK(said.empty());
    turn();
    CHECK(said == words{"theirs.thumbprint"});
    ask(desk, "other");
    turn();
    CHECK(said == words{"theirs.thumbprint", "none"});
    CHECK(read == words{"theirs", "other"});
}

TEST_CASE_FIXTURE(hall, "nobody waits for a thread that is busy for long, and it reads nothing for who is gone")
{
    const auto desk = open_desk(1ms);
    ask(desk, "theirs");
    here.restart();
    here.run_one();
    here.poll();
    CHECK(said == words{"deadline passed"});
    CHECK_FALSE(here.stopped()); // it runs until the question comes back
    there.poll();
    CHECK(here.run() > 0);
    CHECK(read.empty());
}

TEST_CASE_FIXTURE(hall, "few wait at once")
{
    const auto desk = open_desk();
    for (unsigned i = 0; i < answer_desk::most; ++i)
        ask(desk, "theirs");
    CHECK(said.empty());
    ask(desk, "theirs");
    CHECK(said == words{"stream closed"});
    turn();
    CHECK(said.size() == answer_desk::most + 1);
    CHECK(read.size() == answer_desk::most);
    ask(desk, "theirs");
    turn();
    CHECK(said.back() == "theirs.thumbprint");
}

TEST_CASE_FIXTURE(hall, "once it is closed nothing is asked, and what was is answered")
{
    const auto desk = open_desk();
    ask(desk, "theirs");
    desk->close();
    ask(desk, "theirs");
    CHECK(said == words{"stream closed"});
    turn();
    CHECK(said == words{"stream closed", "theirs.thumbprint"});
    CHECK(read.size() == 1);
}
