// The contents of the extensions that a ClientHello may carry (RFC 8446 4.2; RFC 6066 3, RFC 7301). Each decoder
// checks the whole structure, so that what comes after may walk it without looking at lengths again.
#ifndef ALOS_TLS13_EXTENSIONS_HPP
#define ALOS_TLS13_EXTENSIONS_HPP

#include <alos/codec.hpp>
#include <alos/crypto/algorithms.hpp>
#include <alos/tls13/alert.hpp>
#include <alos/tls13/types.hpp>

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

namespace alos::inline v0::tls13 {

// A list of 16-bit code points, by the RFC's words: whole, not empty, of known length.
class code_points {
public:
    code_points() noexcept = default;
    explicit code_points(byte_view bytes) noexcept : bytes_(bytes) {}

    [[nodiscard]] std::size_t size() const noexcept { return bytes_.size() / 2; }
    [[nodiscard]] std::uint16_t operator[](std::size_t i) const noexcept
    {
        return static_cast<std::uint16_t>(bytes_[2 * i] << 8 | bytes_[2 * i + 1]);
    }
    [[nodiscard]] byte_view bytes() const noexcept { return bytes_; }

    template <class Code>
    [[nodiscard]] bool contains(Code wanted) const noexcept
    {
        for (std::size_t i = 0; i < size(); ++i) {
            if ((*this)[i] == static_cast<std::uint16_t>(wanted))
                return true;
        }
        return false;
    }

private:
    byte_view bytes_;
};

// RFC 8446 4.2.3, 4.2.7: SignatureSchemeList, NamedGroupList.
[[nodiscard]] inline decoded<code_points> decode_code_points16(byte_view data)
{
    reader in(data);
    const byte_view list = in.vector16(2);
    if (!in.complete() || list.size() % 2 != 0)
        return errc::extension_decode;
    return code_points(list);
}

// RFC 8446 4.2.1: the versions that a client supports.
[[nodiscard]] inline decoded<code_points> decode_supported_versions(byte_view data)
{
    reader in(data);
    const byte_view list = in.vector8(2, 254);
    if (!in.complete() || list.size() % 2 != 0)
        return errc::extension_decode;
    return code_points(list);
}

// RFC 6066 3: the host name, or nothing if the list holds none. Other name types do not exist.
[[nodiscard]] inline decoded<std::string_view> decode_server_name(byte_view data)
{
    constexpr std::uint8_t host_name = 0;
    constexpr std::size_t max_host_name_size = 255; // RFC 1035 2.3.4
    reader in(data);
    reader list(in.vector16(1));
    const std::uint8_t name_type = list.u8();
    const byte_view name = list.vector16(1, max_host_name_size);
    if (!in.complete() || !list.complete() || name_type != host_name)
        return errc::bad_server_name;
    if (std::ranges::find(name, std::uint8_t{0}) != name.end())
        return errc::bad_server_name;
    return as_text(name);
}

// RFC 7301 3.1: the names behind each other, each with its length.
[[nodiscard]] inline decoded<byte_view> decode_protocol_name_list(byte_view data)
{
    reader in(data);
    const byte_view list = in.vector16(2);
    if (!in.complete())
        return errc::extension_decode;
    for (reader names(list); !names.empty();) {
        names.vector8(1);
        if (!names.ok())
            return errc::extension_decode;
    }
    return list;
}

[[nodiscard]] inline bool contains_protocol(byte_view list, std::string_view wanted) noexcept
{
    for (reader names(list); !names.empty();) {
        if (as_text(names.vector8(1)) == wanted)
            return true;
    }
    return false;
}

// RFC 8446 4.2.8: the entries of a client's key_share, each group at most once.
class key_share_entries {
public:
    key_share_entries() noexcept = default;
    explicit key_share_entries(byte_view bytes) noexcept : bytes_(bytes) {}

    [[nodiscard]] byte_view bytes() const noexcept { return bytes_; }

    // The client's share for `group`, if it sent one.
    [[nodiscard]] std::optional<byte_view> find(named_group group) const noexcept
    {
        for (reader in(bytes_); !in.empty();) {
            const std::uint16_t entry_group = in.u16();
            const byte_view share = in.vector16(1);
            if (entry_group == static_cast<std::uint16_t>(group))
                return share;
        }
        return std::nullopt;
    }

    // Whether there is one entry and it is for `group` (what a HelloRetryRequest asks for).
    [[nodiscard]] bool is_only(named_group group) const noexcept
    {
        reader in(bytes_);
        const std::uint16_t entry_group = in.u16();
        in.vector16(1);
        return in.complete() && entry_group == static_cast<std::uint16_t>(group);
    }

private:
    byte_view bytes_;
};

// RFC 8446 4.2.8
//    Clients MUST NOT offer multiple KeyShareEntry values for the same group. Clients MUST NOT offer any
//    KeyShareEntry values for groups not listed in the client's "supported_groups" extension.
// A share for a group that alos speaks has the length of that group (4.2.8.2).
[[nodiscard]] inline decoded<key_share_entries> decode_key_share(byte_view data, code_points supported_groups)
{
    reader in(data);
    const byte_view list = in.vector16();
    if (!in.complete())
        return errc::extension_decode;
    std::vector<std::uint16_t> shared;
    for (reader entries(list); !entries.empty();) {
        const std::uint16_t group = entries.u16();
        const byte_view share = entries.vector16();
        if (!entries.ok())
            return errc::extension_decode;
        if (const std::size_t size = client_share_size(static_cast<named_group>(group)); size != 0) {
            if (share.size() != size)
                return errc::bad_key_share;
        } else if (share.empty()) {
            return errc::extension_decode;
        }
        shared.push_back(group);
    }
    // Sorted, as both lists may be long.
    std::vector<std::uint16_t> supported;
    for (std::size_t i = 0; i < supported_groups.size(); ++i)
        supported.push_back(supported_groups[i]);
    std::ranges::sort(shared);
    std::ranges::sort(supported);
    if (std::ranges::adjacent_find(shared) != shared.end())
        return errc::duplicate_key_share;
    if (!std::ranges::includes(supported, shared))
        return errc::key_share_not_in_groups;
    return key_share_entries(list);
}

// RFC 8446 4.2.11: checked although every PSK is ignored.
[[nodiscard]] inline errc check_offered_psks(byte_view data)
{
    reader in(data);
    const byte_view identities = in.vector16(7);
    const byte_view binders = in.vector16(33);
    if (!in.complete())
        return errc::extension_decode;
    std::size_t identity_count = 0;
    for (reader list(identities); !list.empty(); ++identity_count) {
        list.vector16(1);
        list.u32();
        if (!list.ok())
            return errc::extension_decode;
    }
    std::size_t binder_count = 0;
    for (reader list(binders); !list.empty(); ++binder_count) {
        list.vector8(32);
        if (!list.ok())
            return errc::extension_decode;
    }
    return identity_count == binder_count ? errc::none : errc::psk_binder_count;
}

}

#endif
