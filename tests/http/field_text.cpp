#include <alos/http/field_text.hpp>

#include <doctest/doctest.h>

using alos::http::field_text;

TEST_CASE("field text: fields as lines")
{
    field_text fields;
    fields.append("A", " 1 ");
    fields.append("B", "");
    CHECK(fields.text() == "A: 1\r\nB: \r\n");
    CHECK(fields.size() == 2);
    CHECK(fields[0].name == "A");
    CHECK(fields[0].value == "1");
    CHECK(fields[1].value.empty());
    CHECK(fields.find("b") == "");
    fields.clear();
    CHECK(fields.empty());
    CHECK(fields.text().empty());
}

TEST_CASE("field text: set takes the place of all of that name")
{
    field_text fields;
    for (const char* value : {"1", "2", "3"}) {
        fields.append("A", value);
        fields.append("B", value);
    }
    fields.set("a", "4");
    CHECK(fields.text() == "B: 1\r\nB: 2\r\nB: 3\r\na: 4\r\n");
    fields.remove("B");
    CHECK(fields.text() == "a: 4\r\n");
    CHECK(fields[0].value == "4");
}

TEST_CASE("field text: a view of a field may be given back")
{
    field_text fields;
    fields.append("A", "some value that is not short");
    for (int i = 0; i < 50; ++i)
        fields.append(fields[0].name, fields[0].value);
    fields.set(fields[0].name, fields[0].value);
    CHECK(fields.text() == "A: some value that is not short\r\n");
}
