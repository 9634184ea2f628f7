// DNS messages as a stub resolver sends and reads them (RFC 1035 4): one question, its answer, and the few types of
// records that certificates need: addresses (RFC 3596), CNAME, NS, SOA, TXT and CAA (RFC 8659 4). EDNS(0) as far as it
// makes room for larger answers (RFC 6891). Pure.
#ifndef ALOS_DNS_MESSAGE_HPP
#define ALOS_DNS_MESSAGE_HPP

#include <alos/codec.hpp>
#include <alos/error.hpp>

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::dns {

enum class errc {
    bad_name = 1,  // not a name that can be asked for (RFC 1035 2.3.4)
    bad_message,   // a message that cannot be read, or a longer one than the limits allow
    other_message, // a message, but not an answer to this question
    endless_alias, // CNAMEs that lead in a circle, or on and on
};

class error_category final : public boost::system::error_category {
public:
    constexpr error_category() noexcept : boost::system::error_category(0x6c1be0a94f27d385u) {}
    const char* name() const noexcept override { return "alos.dns"; }
    std::string message(int code) const override
    {
        switch (static_cast<errc>(code)) {
        case errc::bad_name: return "not a name that DNS can be asked for";
        case errc::bad_message: return "DNS message cannot be read";
        case errc::other_message: return "DNS message answers another question";
        case errc::endless_alias: return "chain of CNAME records does not end";
        }
        return "unknown error";
    }
};

inline const error_category& dns_category() noexcept
{
    static constexpr error_category category;
    return category;
}

inline error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), dns_category()}; }

}

namespace boost::system {
template <>
struct is_error_code_enum<alos::dns::errc> : std::true_type {};
}

namespace alos::inline v0::dns {

inline constexpr std::size_t max_name_size = 255; // on the wire (RFC 1035 2.3.4)
inline constexpr std::size_t max_label_size = 63;
inline constexpr std::size_t max_records = 1000; // in one section of an answer
inline constexpr std::size_t max_aliases = 10;   // CNAMEs that are followed

// What every path of the Internet carries in one datagram (RFC 6891 6.2.5).
inline constexpr std::uint16_t udp_payload_size = 1232;

enum class record_type : std::uint16_t { a = 1, ns = 2, cname = 5, soa = 6, txt = 16, aaaa = 28, caa = 257 };

[[nodiscard]] inline std::string_view to_text(record_type type) noexcept
{
    switch (type) {
    case record_type::a: return "A";
    case record_type::ns: return "NS";
    case record_type::cname: return "CNAME";
    case record_type::soa: return "SOA";
    case record_type::txt: return "TXT";
    case record_type::aaaa: return "AAAA";
    case record_type::caa: return "CAA";
    }
    return "unknown type";
}

// Names are in lower case, without the final dot; the root is empty. Bytes that no host name has are written as
// \DDD (RFC 4343 2.1).
struct record {
    std::string name{};
    record_type type{};
    std::uint32_t ttl = 0; // seconds
    // A, AAAA: the address in canonical form (RFC 5952). CNAME, NS: the name. SOA: name server, mailbox, serial and the
    // four times. TXT: its strings joined, any bytes. CAA: the value, any bytes.
    std::string text{};
    std::uint8_t caa_flags = 0;
    std::string caa_tag{}; // in lower case: "issue", "issuewild", "iodef", ...

    friend bool operator==(const record&, const record&) = default;
};

// RFC 1035 4.1.1. Others may come (RFC 6895 2.3): compare, do not switch.
enum class response_code : std::uint16_t {
    no_error = 0,
    format_error = 1,
    server_failure = 2,
    name_error = 3, // there is no such name
    not_implemented = 4,
    refused = 5,
};

struct answer {
    response_code code = response_code::no_error;
    std::vector<record> records{};   // the answer section: what was asked for, and the CNAMEs on the way
    std::vector<record> authority{}; // NS and SOA: who is asked about the name, whose zone it is in
    bool truncated = false;          // there is more by TCP; records are empty
    bool authoritative = false;
};

namespace detail {

inline constexpr std::uint16_t class_in = 1;
inline constexpr std::uint16_t type_opt = 41; // RFC 6891 6.1.1
inline constexpr std::uint16_t flag_response = 0x8000;
inline constexpr std::uint16_t mask_opcode = 0x7800;
inline constexpr std::uint16_t flag_authoritative = 0x0400;
inline constexpr std::uint16_t flag_truncated = 0x0200;
inline constexpr std::uint16_t flag_recursion_desired = 0x0100;
inline constexpr std::uint16_t mask_code = 0x000f;

inline char lower_case(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Letters, digits, '-', and '_' as services have it (RFC 8552).
inline bool is_label(std::string_view label) noexcept
{
    const auto is_allowed = [](char c) {
        c = lower_case(c);
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    };
    return !label.empty() && label.size() <= max_label_size && std::ranges::all_of(label, is_allowed);
}

// The name in lower case as labels; empty if it is none. The root is ".".
inline byte_vector encode_name(std::string_view name)
{
    if (name.empty())
        return {};
    if (name.ends_with('.'))
        name.remove_suffix(1);
    byte_vector out;
    while (!name.empty()) {
        const std::size_t dot = name.find('.');
        const std::string_view label = name.substr(0, dot);
        if (!is_label(label) || out.size() + label.size() + 2 > max_name_size || dot == name.size() - 1)
            return {};
        out.push_back(static_cast<std::uint8_t>(label.size()));
        std::ranges::transform(label, std::back_inserter(out),
                               [](char c) { return static_cast<std::uint8_t>(lower_case(c)); });
        name.remove_prefix(dot == std::string_view::npos ? name.size() : dot + 1);
    }
    out.push_back(0);
    return out;
}

inline void append_label(std::string& text, byte_view label)
{
    if (!text.empty())
        text.push_back('.');
    for (const char c : as_text(label)) {
        if (c > ' ' && c < '\x7f' && c != '.' && c != '\\') {
            text.push_back(lower_case(c));
            continue;
        }
        const unsigned value = static_cast<std::uint8_t>(c);
        text.push_back('\\');
        for (const unsigned place : {100u, 10u, 1u})
            text.push_back(static_cast<char>('0' + value / place % 10));
    }
}

// RFC 1035 4.1.4: a pointer goes to a name that came earlier, `limit` bytes into the message at most. Each has to
// point further back than the one before it, so that a loop ends.
inline std::string read_name(byte_view message, reader& in, std::size_t limit)
{
    std::string text;
    std::size_t size = 1; // with the root's zero byte
    reader elsewhere;
    reader* from = &in;
    for (std::uint8_t length = from->u8(); length != 0; length = from->u8()) {
        if ((length & 0xc0) == 0xc0) {
            const std::size_t target = (length & 0x3fu) << 8 | from->u8();
            if (!from->ok() || target >= limit) {
                in.fail();
                return {};
            }
            limit = target;
            elsewhere = reader(message.subspan(target));
            from = &elsewhere;
            continue;
        }
        const byte_view label = from->bytes(length);
        size += 1 + std::size_t{length};
        if (length > max_label_size || size > max_name_size || !from->ok()) {
            in.fail();
            return {};
        }
        append_label(text, label);
    }
    if (!from->ok())
        in.fail();
    return text;
}

template <std::size_t Size>
std::string read_address(reader& data, int family)
{
    const byte_view bytes = data.bytes(Size);
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (data.ok())
        ::inet_ntop(family, bytes.data(), text.data(), text.size());
    return text.data();
}

inline void read_data(byte_view message, reader& data, std::size_t limit, record& into)
{
    switch (into.type) {
    case record_type::a: into.text = read_address<4>(data, AF_INET); break;
    case record_type::aaaa: into.text = read_address<16>(data, AF_INET6); break;
    case record_type::ns:
    case record_type::cname: into.text = read_name(message, data, limit); break;
    case record_type::soa:
        into.text = read_name(message, data, limit);
        into.text += ' ' + read_name(message, data, limit);
        for (int i = 0; i < 5; ++i)
            into.text += ' ' + std::to_string(data.u32());
        break;
    case record_type::txt: // RFC 1035 3.3.14
        do
            into.text += as_text(data.vector8());
        while (data.ok() && !data.empty());
        break;
    case record_type::caa: { // RFC 8659 4.1
        into.caa_flags = data.u8();
        for (const char c : as_text(data.vector8(1)))
            into.caa_tag.push_back(lower_case(c));
        into.text = as_text(data.bytes(data.rest().size()));
        break;
    }
    }
}

inline bool is_known(std::uint16_t type) noexcept
{
    switch (static_cast<record_type>(type)) {
    case record_type::a:
    case record_type::ns:
    case record_type::cname:
    case record_type::soa:
    case record_type::txt:
    case record_type::aaaa:
    case record_type::caa: return true;
    }
    return false;
}

// The section of `count` records that `in` stands at; those of types and classes that nobody asks for are passed over.
// The upper bits of the response code are in the OPT record (RFC 6891 6.1.3).
inline std::vector<record> read_section(byte_view message, reader& in, std::size_t count, std::uint16_t& code)
{
    std::vector<record> records;
    if (count > max_records)
        in.fail();
    for (; count > 0 && in.ok(); --count) {
        record one;
        one.name = read_name(message, in, message.size() - in.rest().size());
        const std::uint16_t type = in.u16();
        const std::uint16_t record_class = in.u16();
        one.ttl = in.u32();
        reader data(in.vector16());
        if (type == type_opt)
            code = static_cast<std::uint16_t>(code | one.ttl >> 24 << 4);
        if (record_class != class_in || !is_known(type) || !in.ok())
            continue;
        if (one.ttl > 0x7fffffff)
            one.ttl = 0; // RFC 2181 8
        one.type = static_cast<record_type>(type);
        read_data(message, data, message.size() - in.rest().size(), one);
        if (!data.complete())
            in.fail();
        records.push_back(std::move(one));
    }
    return records;
}

}

// A name in the spelling of records: lower case, without the final dot; nothing if it cannot be asked for.
[[nodiscard]] inline result<std::string> canonical_name(std::string_view name)
{
    if (detail::encode_name(name).empty())
        return errc::bad_name;
    if (name.ends_with('.'))
        name.remove_suffix(1);
    std::string text(name);
    std::ranges::transform(text, text.begin(), detail::lower_case);
    return text;
}

// One question, to be answered with recursion. `payload_size` is announced for datagrams by EDNS(0); 0 leaves EDNS out,
// for servers that do not know it.
[[nodiscard]] inline result<byte_vector> encode_query(std::uint16_t id, std::string_view name, record_type type,
                                                      std::uint16_t payload_size = udp_payload_size)
{
    const byte_vector labels = detail::encode_name(name);
    if (labels.empty())
        return errc::bad_name;
    byte_vector message;
    writer out(message);
    out.u16(id);
    out.u16(detail::flag_recursion_desired);
    out.u16(1);
    out.u16(0);
    out.u16(0);
    out.u16(payload_size != 0);
    out.bytes(labels);
    out.u16(static_cast<std::uint16_t>(type));
    out.u16(detail::class_in);
    if (payload_size != 0) { // RFC 6891 6.1.2
        out.u8(0);
        out.u16(detail::type_opt);
        out.u16(payload_size);
        out.u32(0);
        out.u16(0);
    }
    return message;
}

// What `message`, at most 65535 bytes, answers to the question that encode_query() put. errc::other_message: it is not
// meant for this question, so go on listening.
[[nodiscard]] inline result<answer> decode_response(byte_view message, std::uint16_t id, std::string_view name,
                                                    record_type type)
{
    if (message.size() > 0xffff)
        return errc::bad_message;
    reader in(message);
    const std::uint16_t received_id = in.u16();
    const std::uint16_t flags = in.u16();
    const std::uint16_t questions = in.u16();
    const std::uint16_t answers = in.u16();
    const std::uint16_t authorities = in.u16();
    const std::uint16_t additionals = in.u16();
    if (!in.ok())
        return errc::bad_message;
    if (received_id != id || (flags & (detail::flag_response | detail::mask_opcode)) != detail::flag_response)
        return errc::other_message;

    answer found;
    std::uint16_t code = flags & detail::mask_code;
    found.code = static_cast<response_code>(code);
    found.authoritative = (flags & detail::flag_authoritative) != 0;
    found.truncated = (flags & detail::flag_truncated) != 0;
    // Note: a server that could not read the question need not repeat it.
    const bool unread = found.code == response_code::format_error || found.code == response_code::not_implemented;
    if (questions == 0 && unread)
        return found;
    if (questions != 1)
        return errc::other_message;
    const std::string asked = detail::read_name(message, in, message.size() - in.rest().size());
    const std::uint16_t asked_type = in.u16();
    const std::uint16_t asked_class = in.u16();
    if (!in.ok())
        return errc::bad_message;
    const auto expected = canonical_name(name);
    if (!expected || asked != *expected || asked_type != static_cast<std::uint16_t>(type)
        || asked_class != detail::class_in)
        return errc::other_message;
    if (found.truncated) // RFC 2181 9: what is there may be cut anywhere
        return found;

    found.records = detail::read_section(message, in, answers, code);
    found.authority = detail::read_section(message, in, authorities, code);
    detail::read_section(message, in, additionals, code);
    if (!in.ok())
        return errc::bad_message;
    found.code = static_cast<response_code>(code);
    return found;
}

// RFC 1034 3.6.2: the name that `name`, as records spell it, is an alias of, as far as `records` say.
[[nodiscard]] inline result<std::string> follow_aliases(const std::vector<record>& records, std::string name)
{
    for (std::size_t aliases = 0; aliases <= max_aliases; ++aliases) {
        const auto is_alias = [&](const record& one) { return one.type == record_type::cname && one.name == name; };
        const auto found = std::ranges::find_if(records, is_alias);
        if (found == records.end())
            return name;
        name = found->text;
    }
    return errc::endless_alias;
}

// The records of that type that answer for `name`, at the end of its aliases; none if there is no end.
[[nodiscard]] inline std::vector<record> records_for(const answer& found, std::string_view name, record_type type)
{
    const auto start = canonical_name(name);
    const auto end = start && type != record_type::cname ? follow_aliases(found.records, *start) : start;
    std::vector<record> chosen;
    if (!end)
        return chosen;
    std::ranges::copy_if(found.records, std::back_inserter(chosen),
                         [&](const record& one) { return one.type == type && one.name == *end; });
    return chosen;
}

}

#endif
