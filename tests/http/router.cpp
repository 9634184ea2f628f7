#include <alos/http/router.hpp>

#include <doctest/doctest.h>

#include "support/run.hpp"

#include <string>

using alos::request;
using alos::response;
using alos::router;
using alos::verb;

namespace {

auto says(std::string text)
{
    return [text](request& req, response& res) {
        std::string all = text;
        for (const alos::http::parameter& each : alos::http::access::data(req).parameters)
            all.append(" ").append(each.name).append("=").append(each.value);
        res.string(all);
    };
}

// What a request gets.
struct asked {
    request req;
    response res;
    std::string body;

    asked(const router& routes, verb method, std::string_view path)
    {
        auto& data = alos::http::access::data(req);
        data.method = method;
        data.parts.path = path;
        const alos::http::endpoint& found = routes.find(req);
        alos::http::call run;
        if (!run.start(found.run, req, res)) {
            test::run(run.rest());
            run.finish(nullptr);
        }
        body = alos::http::access::data(res).body;
    }
};

std::string get(const router& routes, std::string_view path) { return asked(routes, verb::get, path).body; }

std::string why(router& routes)
{
    const auto built = routes.build();
    if (built)
        return "";
    CHECK(built.error().code == alos::errc::bad_configuration);
    return built.error().what;
}

constexpr std::string_view not_found = "404 Not Found\n";

}

TEST_CASE("router: text, parameters, the rest of a path")
{
    router routes;
    routes.get("/", says("root"));
    routes.get("/a", says("a"));
    routes.get("/a/", says("a/"));
    routes.get("/users/:id", says("user"));
    routes.get("/users/:id/posts/:post", says("post"));
    routes.get("/files/*path", says("files"));
    REQUIRE(routes.build().has_value());
    CHECK(get(routes, "/") == "root");
    CHECK(get(routes, "/a") == "a");
    CHECK(get(routes, "/a/") == "a/");
    CHECK(get(routes, "/users/7") == "user id=7");
    CHECK(get(routes, "/users/7/posts/8") == "post id=7 post=8");
    CHECK(get(routes, "/files/") == "files path=");
    CHECK(get(routes, "/files/x/y/") == "files path=x/y/");
    for (const char* path : {"/b", "/A", "/a/b", "/users", "/users/", "/users/7/", "/users//posts/8", "/users/7/posts",
                             "/files", "//", "", "a"})
        CHECK_MESSAGE(get(routes, path) == not_found, path);
}

TEST_CASE("router: text goes before a parameter, and that before the rest")
{
    router routes;
    routes.get("/*all", says("all"));
    routes.get("/:one", says("one"));
    routes.get("/me", says("me"));
    routes.get("/me/x", says("x"));
    routes.get("/:one/y", says("y"));
    REQUIRE(routes.build().has_value());
    CHECK(get(routes, "/me") == "me");
    CHECK(get(routes, "/you") == "one one=you");
    CHECK(get(routes, "/me/x") == "x");
    CHECK(get(routes, "/me/y") == "y one=me"); // back out of the text that led nowhere
    CHECK(get(routes, "/me/z") == "all all=me/z");
    CHECK(get(routes, "/") == "all all=");
}

TEST_CASE("router: methods")
{
    router routes;
    routes.get("/x", says("get"));
    routes.post("/x", says("post"));
    routes.put("/x", says("put"));
    routes.patch("/x", says("patch"));
    routes.del("/x", says("delete"));
    routes.any({verb::lock, verb::unlock}, "/x", says("lock"));
    routes.head("/h", says("head"));
    routes.options("/o", says("options"));
    REQUIRE(routes.build().has_value());
    CHECK(asked(routes, verb::post, "/x").body == "post");
    CHECK(asked(routes, verb::put, "/x").body == "put");
    CHECK(asked(routes, verb::patch, "/x").body == "patch");
    CHECK(asked(routes, verb::delete_, "/x").body == "delete");
    CHECK(asked(routes, verb::unlock, "/x").body == "lock");
    CHECK(asked(routes, verb::head, "/h").body == "head");
    CHECK(asked(routes, verb::options, "/o").body == "options");
}

TEST_CASE("router: HEAD is answered by GET, unless it has a route (RFC 9110 9.3.2)")
{
    router routes;
    routes.get("/x", says("get"));
    routes.get("/y", says("get"));
    routes.head("/y", says("head"));
    REQUIRE(routes.build().has_value());
    CHECK(asked(routes, verb::head, "/x").body == "get");
    CHECK(asked(routes, verb::head, "/y").body == "head");
}

TEST_CASE("router: 405 with what is allowed (RFC 9110 15.5.6)")
{
    router routes;
    routes.get("/x", says("get"));
    routes.post("/x", says("post"));
    routes.put("/:any", says("put"));
    REQUIRE(routes.build().has_value());
    asked wrong(routes, verb::delete_, "/x");
    CHECK(wrong.res.status() == 405);
    CHECK(wrong.res.header("Allow") == "GET, HEAD, POST, PUT, OPTIONS");
    CHECK(asked(routes, verb::put, "/x").body == "put any=x"); // of the less exact route
    CHECK(asked(routes, verb::get, "/y").res.header("Allow") == "PUT, OPTIONS");
}

TEST_CASE("router: OPTIONS (RFC 9110 9.3.7)")
{
    router routes;
    routes.get("/x", says("get"));
    routes.post("/y", says("post"));
    REQUIRE(routes.build().has_value());
    asked one(routes, verb::options, "/x");
    CHECK(one.res.status() == 204);
    CHECK(one.res.header("Allow") == "GET, HEAD, OPTIONS");
    asked server(routes, verb::options, "*");
    CHECK(server.res.status() == 204);
    CHECK(server.res.header("Allow") == "GET, HEAD, POST, OPTIONS");
    CHECK(asked(routes, verb::options, "/z").res.status() == 404);
}

TEST_CASE("router: a method that is not known is not implemented (RFC 9110 15.6.2)")
{
    router routes;
    routes.get("/x", says("get"));
    routes.any("/y", says("any"));
    routes.get("/y", says("get"));
    REQUIRE(routes.build().has_value());
    CHECK(asked(routes, verb::unknown, "/x").res.status() == 501);
    CHECK(asked(routes, verb::connect, "").res.status() == 501);
    CHECK(asked(routes, verb::unknown, "/y").body == "any");
    CHECK(asked(routes, verb::delete_, "/y").body == "any");
    CHECK(asked(routes, verb::options, "/y").body == "any");
    CHECK(asked(routes, verb::get, "/y").body == "get");
    CHECK(asked(routes, verb::head, "/y").body == "get");
}

TEST_CASE("router: groups have a prefix and middleware, wherever it was used")
{
    struct mark {
        const char* name;
        void after(request&, response& res) const { res.append("X", name); }
    };
    const auto marks = [](const asked& each) {
        std::string all;
        for (std::size_t i = 0; i < alos::http::access::data(each.res).headers.size(); ++i) {
            const auto field = alos::http::access::data(each.res).headers[i];
            if (field.name == "X")
                all += field.value;
        }
        return all;
    };
    router routes;
    auto api = routes.group("/api");
    api.get("/x", says("x"));
    api.use(mark{"b"});
    auto inner = api.group("/v1");
    inner.use(mark{"c"}).use(mark{"d"});
    inner.get("/:id", says("inner"));
    inner.get("", says("itself"));
    routes.use(mark{"a"});
    routes.get("/y", says("y"));
    REQUIRE(routes.build().has_value());
    CHECK(marks(asked(routes, verb::get, "/api/x")) == "ba");
    CHECK(marks(asked(routes, verb::get, "/api/v1/7")) == "dcba");
    CHECK(asked(routes, verb::get, "/api/v1/7").body == "inner id=7");
    CHECK(asked(routes, verb::get, "/api/v1").body == "itself");
    CHECK(marks(asked(routes, verb::get, "/y")) == "a");
    CHECK(marks(asked(routes, verb::get, "/nowhere")) == "a");
    CHECK(marks(asked(routes, verb::post, "/y")) == "a");
}

TEST_CASE("router: a page of one's own for what is not there")
{
    router routes;
    routes.not_found([](request& req, response& res) -> alos::awaitable<> {
        res.html(std::string("no ") + std::string(req.path()));
        co_return;
    });
    REQUIRE(routes.build().has_value());
    asked one(routes, verb::get, "/x");
    CHECK(one.res.status() == 404);
    CHECK(one.body == "no /x");
}

TEST_CASE("router: conflicting routes are an error that names both places")
{
    router routes;
    routes.get("/a/:id", says("1"));
    const auto line = std::to_string(__LINE__ - 1);
    routes.get("/a/:name", says("2"));
    const auto second = std::to_string(__LINE__ - 1);
    CHECK(why(routes)
          == "route GET /a/:name (router.cpp:" + second + ") conflicts with GET /a/:id (router.cpp:" + line + ")");

    router several;
    several.any({verb::get, verb::put}, "/x", says("1"));
    several.any({verb::put, verb::post}, "/x", says("2"));
    CHECK(why(several).find("conflicts") != std::string::npos);

    router all;
    all.any("/x", says("1"));
    all.any("/x", says("2"));
    CHECK(why(all).starts_with("route any /x (router.cpp:"));

    router groups;
    groups.group("/a").get("/b", says("1"));
    groups.get("/a/b", says("2"));
    CHECK(why(groups).find("GET /a/b") != std::string::npos);

    router fine;
    fine.get("/a/:id", says("1"));
    fine.post("/a/:name", says("2"));
    fine.get("/a/*rest", says("3"));
    fine.any("/a/:id", says("4"));
    CHECK(why(fine).empty());
    CHECK(asked(fine, verb::post, "/a/7").body == "2 name=7");
}

TEST_CASE("router: malformed patterns are errors")
{
    for (const char* pattern : {"x", "", "/a/:", "/a/*", "/a/*rest/b", "/:a/:a",
                                "/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/:p/:q"}) {
        router routes;
        routes.get(pattern, says(""));
        CHECK_MESSAGE(why(routes).find(std::string(pattern) + " (router.cpp:") != std::string::npos, pattern);
    }
    router most;
    most.get("/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/*p", says("most"));
    REQUIRE(most.build().has_value());
    CHECK(get(most, "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17").ends_with("o=15 p=16/17"));
}

TEST_CASE("router: options of a route")
{
    router routes;
    routes.post("/x", says("x"), alos::streamed);
    routes.post("/y", says("y"), {.body_limit = 7});
    REQUIRE(routes.build().has_value());
    request req;
    alos::http::access::data(req).method = verb::post;
    alos::http::access::data(req).parts.path = "/x";
    CHECK(routes.find(req).options.streamed);
    alos::http::access::data(req).parts.path = "/y";
    CHECK(routes.find(req).options.body_limit == 7);
    alos::http::access::data(req).parts.path = "/z";
    CHECK_FALSE(routes.find(req).options.streamed);
}

TEST_CASE("router: no set of routes and no path makes it slow")
{
    router routes;
    std::string pattern;
    for (int depth = 0; depth < 12; ++depth) {
        pattern += "/:p" + std::to_string(depth);
        routes.post(pattern + "/a", says(""));
        routes.post(pattern + "/*r", says(""));
    }
    REQUIRE(routes.build().has_value());
    std::string path;
    while (path.size() < 8000)
        path += "/a";
    CHECK(asked(routes, verb::get, path).res.status() == 405);
}
