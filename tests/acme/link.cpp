#include <alos/acme/link.hpp>

#include <doctest/doctest.h>

using namespace alos;
using namespace alos::acme;

namespace {

using targets = std::vector<std::string>;

targets find(std::string_view rel, std::initializer_list<std::string> values)
{
    http::outbound_response answer;
    for (const std::string& each : values) {
        answer.fields.emplace_back("X-Other", "<https://ca.example/other>;rel=\"alternate\"");
        answer.fields.emplace_back("liNK", each);
    }
    return links(answer, rel);
}

}

TEST_CASE("link: several in one field and in several (RFC 8288 3, RFC 8555 7.4.2)")
{
    CHECK(find("alternate", {"<https://ca.example/1>;rel=\"alternate\", <https://ca.example/2> ; rel = alternate",
                             "<https://ca.example/dir>;rel=\"index\"", "</cert/3>;title=\"x\"; rel=\"alternate\""})
          == targets{"https://ca.example/1", "https://ca.example/2", "/cert/3"});
    CHECK(find("index", {"<https://ca.example/dir>;rel=\"index\""}) == targets{"https://ca.example/dir"});
    CHECK(find("next", {"<https://ca.example/dir>;rel=\"index\""}).empty());
    CHECK(links({}, "next").empty());
}

TEST_CASE("link: relation types are a list, without regard to case (RFC 8288 3.3)")
{
    CHECK(find("up", {"<u>; REL=\"Index  UP\""}) == targets{"u"});
    CHECK(find("UP", {"<u>;rel=up"}) == targets{"u"});
    CHECK(find("up", {"<u>;rel=\"upper\""}).empty());
    CHECK(find("up", {"<u>;rev=\"up\""}).empty());
    CHECK(find("up", {"<u>"}).empty());
}

TEST_CASE("link: only the first rel counts (RFC 8288 3.3)")
{
    CHECK(find("up", {"<u>;rel=next;rel=up"}).empty());
    CHECK(find("next", {"<u>;rel=next;rel=up"}) == targets{"u"});
}

TEST_CASE("link: separators within quotes and targets separate nothing (RFC 8288 B.2)")
{
    CHECK(find("next", {R"(<https://ca.example/a,b;c>;title="x, <y>;rel=\"up\";";rel="next",<z>;rel=next)"})
          == targets{"https://ca.example/a,b;c", "z"});
    CHECK(find("next", {",, ,<u>;rel=next,,"}) == targets{"u"});
    CHECK(find("next", {R"(<u>;rel="n\ext")"}) == targets{"u"});
    CHECK(find("next", {"<u>;rel=\"next"}) == targets{"u"});
    CHECK(find("next", {"<u>;;flag;rel=next;"}) == targets{"u"});
}

TEST_CASE("link: a link with another context is not the answer's (RFC 8288 3.2)")
{
    CHECK(find("next", {"<u>;rel=next;anchor=\"#foo\"", "<v>;rel=next"}) == targets{"v"});
}

TEST_CASE("link: what is no link ends its field, not the others")
{
    for (const char* bad : {"u;rel=next", "<u;rel=next", "<u>rel=next", "<u> x;rel=next", "<>;rel=next",
                            "<a\x01>;rel=next", ";rel=next", "<u>;=next", "<u>;rel"}) {
        CAPTURE(bad);
        CHECK(find("next", {bad, "<v>;rel=next"}) == targets{"v"});
    }
}

TEST_CASE("link: their number and length are bounded")
{
    std::string many;
    for (int i = 0; i < 1000; ++i)
        many += "<u>;rel=next,";
    CHECK(find("next", {many, many}).size() == 32);
    const std::string longest(2048, 'u');
    CHECK(find("next", {"<" + longest + "u>;rel=next", "<" + longest + ">;rel=next"}) == targets{longest});
}
