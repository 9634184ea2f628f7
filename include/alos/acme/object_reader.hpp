// Reads the members of the JSON objects that a CA sends, each within a limit: what is missing, of another type or too
// large is a failure that names it. RFC 8555 7.1, RFC 7807.
#ifndef ALOS_ACME_OBJECT_READER_HPP
#define ALOS_ACME_OBJECT_READER_HPP

#include <alos/acme/problem.hpp>
#include <alos/acme/rfc3339.hpp>
#include <alos/error.hpp>
#include <alos/http/fields.hpp>

#include <boost/json/value.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

namespace detail {

inline constexpr std::size_t max_answer = 1 << 20;
inline constexpr std::size_t max_url = 2048;
inline constexpr std::size_t max_text = 4096;
inline constexpr std::size_t max_token = 512;
inline constexpr std::size_t max_identifiers = 100;
inline constexpr std::size_t max_challenges = 20;
inline constexpr std::size_t max_list = 100;
inline constexpr std::size_t max_orders = 1000;

enum class need : std::uint8_t { optional, required };

// Reads the members of one JSON object. The first fault is kept in `fault`; what is read afterwards does not count. A
// member that is null is as one that is not there.
class object_reader {
public:
    // `path` names the object in failures: "order". All parameters must outlive this.
    object_reader(const boost::json::object& from, std::string path, std::optional<failure>& fault)
        : from_(from), path_(std::move(path)), fault_(fault)
    {
    }

    [[nodiscard]] std::string text(std::string_view name, need how, std::size_t limit = max_text)
    {
        const boost::json::value* const found = find(name, how);
        if (!found)
            return {};
        const boost::json::string* const value = found->if_string();
        if (!value || value->size() > limit || (value->empty() && how == need::required)) {
            fail(name, "is not a string of at most " + std::to_string(limit) + " bytes");
            return {};
        }
        return std::string(value->data(), value->size());
    }

    // Words for people: in one line, without controls, whatever the CA sent. They may stand in a log.
    [[nodiscard]] std::string line(std::string_view name, need how, std::size_t limit = max_text)
    {
        return in_one_line(text(name, how, limit));
    }

    // An absolute URL, to be asked later. It has no character that could end a line or a header field.
    [[nodiscard]] std::string url(std::string_view name, need how)
    {
        std::string value = text(name, how, max_url);
        if (!value.empty() && !is_url(value))
            fail(name, "is not an absolute URL");
        return value;
    }

    [[nodiscard]] bool flag(std::string_view name)
    {
        const boost::json::value* const found = find(name, need::optional);
        if (found && !found->is_bool())
            fail(name, "is neither true nor false");
        return found && found->is_bool() && found->get_bool();
    }

    [[nodiscard]] std::optional<time_point> time(std::string_view name, need how)
    {
        const std::string value = text(name, how);
        if (value.empty())
            return std::nullopt;
        const auto when = parse_rfc3339(value);
        if (when)
            return *when;
        fail(name, "is not a time as in RFC 3339");
        return std::nullopt;
    }

    // Calls read(value, path) for each element of an array.
    template <class Read>
    void each(std::string_view name, need how, std::size_t limit, Read read)
    {
        const boost::json::value* const found = find(name, how);
        if (!found)
            return;
        const boost::json::array* const list = found->if_array();
        if (!list || list->size() > limit)
            return fail(name, "is not a list of at most " + std::to_string(limit));
        for (std::size_t i = 0; i < list->size() && !fault_; ++i)
            read((*list)[i], path_ + "." + std::string(name) + "[" + std::to_string(i) + "]");
    }

    // Words for people, as line() gives them.
    [[nodiscard]] std::vector<std::string> lines(std::string_view name, std::size_t limit)
    {
        std::vector<std::string> values;
        each(name, need::optional, limit, [&](const boost::json::value& value, const std::string& path) {
            const boost::json::string* const one = value.if_string();
            if (!one || one->size() > max_text)
                return fail_at(path, "is not a string of at most " + std::to_string(max_text) + " bytes");
            values.push_back(in_one_line({one->data(), one->size()}));
        });
        return values;
    }

    [[nodiscard]] std::vector<std::string> urls(std::string_view name, need how, std::size_t limit)
    {
        std::vector<std::string> values;
        each(name, how, limit, [&](const boost::json::value& value, const std::string& path) {
            const boost::json::string* const one = value.if_string();
            if (!one || !is_url({one->data(), one->size()}))
                return fail_at(path, "is not an absolute URL");
            values.emplace_back(one->data(), one->size());
        });
        return values;
    }

    // Calls read(reader) for the members of an object within this one.
    template <class Read>
    void within(std::string_view name, need how, Read read)
    {
        const boost::json::value* const found = find(name, how);
        if (found)
            enter(*found, path_ + "." + std::string(name), read);
    }

    // The same for an element of a list.
    template <class Read>
    void enter(const boost::json::value& value, const std::string& path, Read read)
    {
        const boost::json::object* const members = value.if_object();
        if (!members)
            return fail_at(path, "is not an object");
        object_reader inner(*members, path, fault_);
        read(inner);
    }

    // RFC 7807. One that is no object says nothing, and stops nothing.
    [[nodiscard]] std::optional<problem> error(std::string_view name) const
    {
        const boost::json::value* const found = from_.if_contains(name);
        const boost::json::object* const members = found ? found->if_object() : nullptr;
        return members ? std::optional(read_problem(*members, 0)) : std::nullopt;
    }

    [[nodiscard]] const boost::json::object& members() const noexcept { return from_; }

    void fail(std::string_view name, std::string_view what) { fail_at(path_ + "." + std::string(name), what); }

private:
    void fail_at(const std::string& path, std::string_view what)
    {
        if (!fault_)
            fault_ = failure{make_error_code(boost::system::errc::bad_message),
                             "the CA's answer cannot be used: " + path + " " + std::string(what)
                                 + "; check that its directory's URL is that of an ACME CA (RFC 8555)"};
    }

    [[nodiscard]] const boost::json::value* find(std::string_view name, need how)
    {
        const boost::json::value* const found = from_.if_contains(name);
        if (found && !found->is_null())
            return found;
        if (how == need::required)
            fail(name, "is missing");
        return nullptr;
    }

    [[nodiscard]] static bool is_url(std::string_view text) noexcept
    {
        const std::size_t end = text.find("://");
        if (end == std::string_view::npos || text.size() > max_url || text.size() <= end + 3)
            return false;
        const std::string_view scheme = text.substr(0, end);
        return (http::equal_ignoring_case(scheme, "https") || http::equal_ignoring_case(scheme, "http"))
               && std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
    }

    const boost::json::object& from_;
    const std::string path_;
    std::optional<failure>& fault_;
};

// An Object from the JSON text of one, by read(reader, object).
template <class Object, class Read>
outcome<Object> read_object(std::string_view json, std::string_view what, Read read)
{
    const auto document = json.size() <= max_answer ? read_json(json) : std::nullopt;
    const boost::json::object* const members = document ? document->if_object() : nullptr;
    if (!members)
        return failure{make_error_code(boost::system::errc::bad_message),
                       "the CA's answer cannot be used: the " + std::string(what)
                           + " is no JSON object; check that its directory's URL is that of an ACME CA (RFC 8555)"};
    Object made{};
    std::optional<failure> fault;
    object_reader reader(*members, std::string(what), fault);
    read(reader, made);
    if (fault)
        return std::move(*fault);
    return made;
}

}

}

#endif
