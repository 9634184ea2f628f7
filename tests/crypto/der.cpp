#include <alos/crypto/der.hpp>

#include <doctest/doctest.h>

using namespace alos;

namespace {

byte_vector bytes(std::initializer_list<int> values) { return {values.begin(), values.end()}; }

}

TEST_CASE("der::writer puts the shortest length before what is nested")
{
    for (const std::size_t size : {0u, 127u, 128u, 255u, 256u, 65535u, 65536u}) {
        byte_vector out;
        der::writer(out).value(der::octet_string, byte_vector(size, 0x5a));
        const std::size_t header = size < 128 ? 2 : size < 256 ? 3 : size < 65536 ? 4 : 5;
        CHECK(out.size() == size + header);
        der::reader in(out);
        CHECK(in.read(der::octet_string).size() == size);
        CHECK(in.complete());
    }
    byte_vector out;
    der::writer writer(out);
    writer.nested(der::sequence, [&] {
        writer.small_integer(2);
        writer.truth();
        writer.bits(bytes({0xab}));
    });
    CHECK(out == bytes({0x30, 0x0a, 0x02, 0x01, 0x02, 0x01, 0x01, 0xff, 0x03, 0x02, 0x00, 0xab}));
}

TEST_CASE("der::reader reads fields in order and passes over optional ones")
{
    const byte_vector input = bytes({0x30, 0x05, 0xa0, 0x00, 0x02, 0x01, 0x07});
    der::reader in(input);
    der::reader fields(in.read(der::sequence));
    CHECK(fields.read_if(der::boolean).empty());
    CHECK(fields.next_is(der::context_constructed(0)));
    CHECK(fields.read_if(der::context_constructed(0)).empty());
    const der::element number = fields.whole(der::integer);
    CHECK(number.whole.size() == 3);
    CHECK(number.contents[0] == 7);
    CHECK(fields.complete());
    CHECK(in.complete());
}

TEST_CASE("der::reader fails, and stays failed, on what is truncated, oversized or not definite")
{
    const std::initializer_list<byte_vector> broken = {
        bytes({}),
        bytes({0x30}),
        bytes({0x30, 0x01}),
        bytes({0x30, 0x80, 0x00, 0x00}),             // indefinite length
        bytes({0x30, 0x84, 0x00, 0x00, 0x00, 0x00}), // a length of four bytes
        bytes({0x30, 0x83, 0xff, 0xff}),
        bytes({0x30, 0x83, 0xff, 0xff, 0xff, 0x00}),
        bytes({0x3f, 0x01, 0x00}), // a tag of more than one byte
    };
    for (const byte_vector& input : broken) {
        der::reader in(input);
        in.any();
        CHECK_FALSE(in.ok());
        CHECK(in.any().whole.empty());
        CHECK_FALSE(in.complete());
    }
    const byte_vector number = bytes({0x02, 0x01, 0x07});
    der::reader in(number);
    CHECK(in.read(der::sequence).empty());
    CHECK_FALSE(in.ok());
    CHECK(in.read(der::integer).empty());
}
