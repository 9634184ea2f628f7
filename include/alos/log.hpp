// What alos says of itself: one record with named fields for each event, one hook for all of them. By default a line
// of text on stderr, or a line of JSON. What a peer sent is escaped, so that nobody else writes lines here; secrets
// are never given to it.
#ifndef ALOS_LOG_HPP
#define ALOS_LOG_HPP

#include <alos/config.hpp>
#include <alos/printable.hpp>

#include <charconv>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include <unistd.h>

namespace alos::inline v0 {

enum class log_level : std::uint8_t { debug, info, warning, error, off };

// A name and its value. Both are views: they live as long as the call that logs.
struct log_field {
    log_field(std::string_view field_name, std::string_view text) noexcept : name(field_name), value(text) {}
    log_field(std::string_view field_name, const char* text) noexcept : name(field_name), value(std::string_view(text))
    {}
    log_field(std::string_view field_name, const std::string& text) noexcept
        : name(field_name), value(std::string_view(text))
    {}
    log_field(std::string_view field_name, std::integral auto number) noexcept
        : name(field_name), value(static_cast<std::int64_t>(number))
    {}

    std::string_view name;
    std::variant<std::string_view, std::int64_t> value;
};

// One event. The names of events have two parts: "server.start", "tls.handshake", "http.request".
struct log_record {
    std::chrono::system_clock::time_point time;
    log_level level;
    std::string_view event;
    std::span<const log_field> fields; // fields with empty text are left out when they are written
};

enum class log_format : std::uint8_t { text, json };

struct log_settings {
    log_level level = log_level::info;
    log_format format = log_format::text;
    // Takes the records instead of stderr. It is called from every thread of the server, at once.
    std::function<void(const log_record&)> hook{};
};

namespace detail {

inline std::string_view name_of(log_level level) noexcept
{
    switch (level) {
    case log_level::debug: return "DEBUG";
    case log_level::info: return "INFO";
    case log_level::warning: return "WARN";
    case log_level::error: return "ERROR";
    case log_level::off: break;
    }
    return "OFF";
}

// RFC 3339 in UTC, to the second.
inline void append_time(std::string& out, std::chrono::system_clock::time_point time)
{
    const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char text[32];
    out.append(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts));
}

inline void append_number(std::string& out, std::int64_t number)
{
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

// RFC 8259 7. What is no UTF-8 becomes text, \xff for example.
inline void append_quoted(std::string& out, std::string_view text)
{
    out += '"';
    while (!text.empty()) {
        const character next = first_character(text);
        if (!next.is_printable()) {
            out += next.is_valid ? "\\u" : "\\\\x";
            append_hex(out, next.code, next.is_valid ? 4 : 2);
        } else {
            if (next.code == '"' || next.code == '\\')
                out += '\\';
            out += text.substr(0, next.size);
        }
        text.remove_prefix(next.size);
    }
    out += '"';
}

// Text that cannot be mistaken for two fields is written bare.
inline void append_value(std::string& out, std::string_view text)
{
    for (const char c : text) {
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=')
            return append_quoted(out, text);
    }
    out += text;
}

inline bool is_blank(const log_field& field) noexcept
{
    const auto* text = std::get_if<std::string_view>(&field.value);
    return text && text->empty();
}

}

// 2026-11-22T10:04:31Z INFO  tls.handshake  peer=192.0.2.1:40312 sni=example.com
inline std::string to_text(const log_record& record, bool colour = false)
{
    constexpr std::string_view colours[] = {"\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[31m", ""};
    std::string out;
    out.reserve(160);
    detail::append_time(out, record.time);
    out += ' ';
    if (colour)
        out += colours[static_cast<std::size_t>(record.level)];
    const std::string_view level = detail::name_of(record.level);
    out += level;
    if (colour)
        out += "\x1b[0m";
    out.append(6 - level.size(), ' ');
    out += record.event;
    out += ' ';
    for (const log_field& field : record.fields) {
        if (detail::is_blank(field))
            continue;
        out += ' ';
        out += field.name;
        out += '=';
        if (const auto* text = std::get_if<std::string_view>(&field.value))
            detail::append_value(out, *text);
        else
            detail::append_number(out, std::get<std::int64_t>(field.value));
    }
    return out;
}

// {"time":"2026-11-22T10:04:31Z","level":"info","event":"tls.handshake","peer":"192.0.2.1:40312"}
inline std::string to_json(const log_record& record)
{
    constexpr std::string_view levels[] = {"debug", "info", "warning", "error", "off"};
    std::string out = "{\"time\":\"";
    detail::append_time(out, record.time);
    out += "\",\"level\":\"";
    out += levels[static_cast<std::size_t>(record.level)];
    out += "\",\"event\":";
    detail::append_quoted(out, record.event);
    for (const log_field& field : record.fields) {
        if (detail::is_blank(field))
            continue;
        out += ',';
        detail::append_quoted(out, field.name);
        out += ':';
        if (const auto* text = std::get_if<std::string_view>(&field.value))
            detail::append_quoted(out, *text);
        else
            detail::append_number(out, std::get<std::int64_t>(field.value));
    }
    out += '}';
    return out;
}

// The log of the default policy. Another one has the same two members and is made from log_settings.
// Both may be called from any thread at any time.
class logger {
public:
    logger() : logger(log_settings{}) {}

    explicit logger(log_settings settings)
        : settings_(std::move(settings)), colour_(::isatty(STDERR_FILENO) == 1 && !std::getenv("NO_COLOR"))
    {}

    // Ask first, so that a log that is off costs one branch.
    [[nodiscard]] bool takes(log_level level) const noexcept { return level >= settings_.level; }

    // Writes one line by one system call, so that lines of different threads do not mix. A log that cannot be written
    // is nobody's error.
    void write(const log_record& record) const
    {
        if (settings_.hook)
            return settings_.hook(record);
        std::string line = settings_.format == log_format::json ? to_json(record) : to_text(record, colour_);
        line += '\n';
        [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
    }

private:
    log_settings settings_;
    bool colour_;
};

// Gives `log` an event with its fields, if it wants to know. What a log or its hook throws is ignored: serving goes on.
template <class Log>
void log_event(const Log& log, log_level level, std::string_view event,
               std::initializer_list<log_field> fields) noexcept
{
    try {
        if (log.takes(level))
            log.write({std::chrono::system_clock::now(), level, event, {fields.begin(), fields.size()}});
    } catch (...) {
    }
}

}

#endif
