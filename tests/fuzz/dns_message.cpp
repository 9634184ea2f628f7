// Any bytes as the answer of a name server: read within its limits or refused, and never more than was sent.
#include <alos/dns/message.hpp>

#include <cstdlib>

using namespace alos;
using namespace alos::dns;

namespace {

void require(bool holds)
{
    if (!holds)
        std::abort();
}

constexpr std::size_t type_at = 12 + 13; // behind the header and "example.com"

void check(const record& one)
{
    // Every byte of a name may become four; a label and its dot are one byte more.
    require(one.name.size() <= 4 * dns::max_name_size);
    require(detail::is_known(static_cast<std::uint16_t>(one.type)));
    require(one.ttl <= 0x7fffffff);
    require((one.type == record_type::caa) == !one.caa_tag.empty());
    std::array<std::uint8_t, 16> address{};
    if (one.type == record_type::a)
        require(::inet_pton(AF_INET, one.text.c_str(), address.data()) == 1);
    if (one.type == record_type::aaaa)
        require(::inet_pton(AF_INET6, one.text.c_str(), address.data()) == 1);
}

}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const byte_view message(data, size);
    reader header(message);
    const std::uint16_t id = header.u16();
    header.bytes(type_at - 2);
    const auto type = static_cast<record_type>(header.u16());
    const auto found = decode_response(message, id, "example.com", type);
    if (found) {
        require(found->records.size() <= max_records && found->authority.size() <= max_records);
        require((found->records.size() + found->authority.size()) * 11 <= size);
        require(!found->truncated || found->records.empty());
        for (const record& each : found->records)
            check(each);
        for (const record& each : found->authority)
            check(each);
    }

    const auto name = canonical_name(as_text(message));
    const auto query = encode_query(id, as_text(message), type);
    require(name.has_value() == query.has_value());
    if (name && !name->empty()) {
        require(canonical_name(*name).value() == *name);
        // A question is no answer, but says itself what was asked.
        byte_vector echo = *query;
        echo[2] |= 0x80;
        require(decode_response(echo, id, *name, type).has_value());
    }
    return 0;
}
