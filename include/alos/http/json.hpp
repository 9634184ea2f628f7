// JSON bodies, by Boost.JSON: include this to use response::json(), and have <alos/src.hpp> in one .cpp.
#ifndef ALOS_HTTP_JSON_HPP
#define ALOS_HTTP_JSON_HPP

#include <alos/error.hpp>
#include <alos/http/message.hpp>

#include <boost/json/parse.hpp>
#include <boost/json/serializer.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_from.hpp>

#include <concepts>

namespace alos::inline v0 {

namespace http {

// What response::json() finds: a JSON value, or anything that boost::json::value_from() takes.
template <class Value>
void append_json(json_format, std::string& out, const Value& document)
{
    if constexpr (std::same_as<Value, boost::json::value> || std::same_as<Value, boost::json::object> ||
                  std::same_as<Value, boost::json::array> || std::same_as<Value, boost::json::string>) {
        boost::json::serializer text;
        text.reset(&document);
        std::array<char, 4096> piece;
        while (!text.done()) {
            const std::string_view next = text.read(piece.data(), piece.size());
            out.append(next);
        }
    } else {
        append_json(json_format{}, out, boost::json::value_from(document));
    }
}

}

// The document that `text` is, a request's body for example; RFC 8259. Nested 32 deep at most.
[[nodiscard]] inline result<boost::json::value> parse_json(std::string_view text)
{
    boost::system::error_code ec;
    boost::json::value document = boost::json::parse(text, ec);
    if (ec)
        return ec;
    return document;
}

}

#endif
