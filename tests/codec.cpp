#include <alos/codec.hpp>

#include <doctest/doctest.h>

using namespace alos;

TEST_CASE("RFC 8446 3.3: numbers are big-endian")
{
    const byte_vector bytes{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    reader in(bytes);
    CHECK(in.u8() == 0x01);
    CHECK(in.u16() == 0x0203);
    CHECK(in.u24() == 0x040506);
    CHECK(in.u32() == 0x0708090a);
    CHECK(in.complete());
    byte_vector copy;
    writer out(copy);
    out.u8(0x01);
    out.u16(0x0203);
    out.u24(0x040506);
    out.u32(0x0708090a);
    CHECK(copy == bytes);
}

TEST_CASE("RFC 8446 3.4: a vector is behind its length, and vectors nest")
{
    byte_vector bytes;
    writer out(bytes);
    out.vector24([&] {
        out.vector16([&] { out.vector8([&] { out.bytes(as_bytes("abc")); }); });
        out.u8(9);
    });
    CHECK(bytes == byte_vector{0, 0, 7, 0, 4, 3, 'a', 'b', 'c', 9});
    reader in(bytes);
    reader outer(in.vector24());
    reader middle(outer.vector16());
    CHECK(as_text(middle.vector8()) == "abc");
    CHECK(outer.u8() == 9);
    CHECK((in.complete() && outer.complete() && middle.complete()));
}

TEST_CASE("RFC 8446 3.4: a vector outside its bounds fails")
{
    const byte_vector two{2, 7, 7};
    CHECK(reader(two).vector8(2, 2).size() == 2);
    reader below(two);
    CHECK(below.vector8(3).empty());
    CHECK_FALSE(below.ok());
    reader above(two);
    CHECK(above.vector8(0, 1).empty());
    CHECK_FALSE(above.ok());
}

TEST_CASE("a reader that ran out of bytes has failed for good, and gives nothing")
{
    const byte_vector bytes{1, 2, 3};
    reader in(bytes);
    CHECK(in.u8() == 1);
    CHECK(in.u32() == 0);
    CHECK_FALSE(in.ok());
    CHECK(in.u8() == 0);
    CHECK(in.bytes(1).empty());
    CHECK(in.vector8().empty());
    CHECK(in.empty());
    CHECK_FALSE(in.complete());
}

TEST_CASE("a vector whose length is cut short, or longer than what follows, fails")
{
    for (const byte_vector& bytes : {byte_vector{}, byte_vector{0}, byte_vector{0, 1}, byte_vector{0xff, 0xff, 1}}) {
        reader in(bytes);
        CHECK(in.vector16().empty());
        CHECK_FALSE(in.ok());
    }
}

TEST_CASE("a reader that has not read everything is ok but not complete")
{
    const byte_vector bytes{1, 2};
    reader in(bytes);
    in.u8();
    CHECK(in.ok());
    CHECK_FALSE(in.complete());
    CHECK(in.rest().size() == 1);
    CHECK(reader().complete());
}
