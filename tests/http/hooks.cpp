#include <alos/http/hooks.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using alos::request;
using alos::response;

namespace {

// A log that is read.
struct test_log {
    std::vector<std::string>* lines;

    [[nodiscard]] bool takes(alos::log_level) const { return true; }
    void write(const alos::log_record& record) const
    {
        const std::string line = to_text(record);
        lines->push_back(line.substr(line.find(' ') + 1)); // without the time
    }
};

}

TEST_CASE("hooks: recovery makes a 500 and a log record of an exception, and the log of requests sees the 500")
{
    std::vector<std::string> lines;
    const test_log log{&lines};
    const alos::http::chain route([](request&, response&) { throw std::runtime_error("a\nreason"); },
                                  {alos::access_log(log), alos::recovery(log)});
    request req;
    auto& asked = alos::http::access::data(req);
    asked.method_text = "GET";
    asked.parts.path = "/a";
    asked.client = {boost::asio::ip::make_address("192.0.2.7"), 1234};
    response res;
    alos::http::call run;
    CHECK(run.start(route, req, res));
    CHECK(run.failure() == nullptr);
    CHECK(res.status() == 500);
    REQUIRE(lines.size() == 2);
    CHECK(lines[0] == "ERROR http.exception  method=GET path=/a what=\"a\\u000areason\"");
    CHECK(lines[1].starts_with("INFO  http.request  client=192.0.2.7 method=GET path=/a status=500 bytes=26 us="));
}

TEST_CASE("hooks: what is thrown need not be an exception")
{
    std::vector<std::string> lines;
    const test_log log{&lines};
    const alos::http::chain route([](request&, response&) { throw 7; }, {alos::recovery(log)});
    request req;
    response res;
    alos::http::call run;
    CHECK(run.start(route, req, res));
    CHECK(res.status() == 500);
    CHECK(lines.size() == 1);
}
