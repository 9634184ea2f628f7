// What a command has to say: its result on stdout, as text or JSON, and meanwhile its progress on stderr.
#ifndef ALOS_EXAMPLES_ALOS_ACME_REPORT_HPP
#define ALOS_EXAMPLES_ALOS_ACME_REPORT_HPP

#include <alos/acme/identifier.hpp>
#include <alos/acme/problem.hpp>
#include <alos/printable.hpp>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace command {

struct report {
    int status = 0; // of the program
    std::string text{};
    boost::json::object json{};
};

// Peers' words too stand in one line, and change no terminal.
using alos::acme::join;
using alos::acme::detail::in_one_line;

// What the library calls by its settings, by the options of this command. A space keeps paths as they are.
inline std::string by_options(std::string what)
{
    constexpr auto all = std::to_array<std::pair<std::string_view, std::string_view>>({
        {"`challenges`", "--challenge"},
        {"`dns`", "--dns-exec"},
        {"leave `profile` empty", "leave out --profile"},
        {" eab_kid", " --eab-kid"},
        {" eab_hmac_key", " --eab-hmac-key(-file)"},
        {"(account_key)", "(--account-key)"},
        {" roots_file", " --roots"},
        {"another cache_dir", "another --cache-dir"},
        {", there is nothing to do", ""},
        {"the next attempt", "the same command, given again,"},
        {" of this CA in the configuration", " of a server's configuration, for which this command has no option"},
    });
    for (const auto& [setting, option] : all) {
        for (std::size_t at = 0; (at = what.find(setting, at)) != what.npos; at += option.size())
            what.replace(at, setting.size(), option);
    }
    return what;
}

// JSON is UTF-8 (RFC 8259 8.1), and file names and words of the command line need not be: what is none becomes \xff.
inline std::string to_document(const boost::json::object& all)
{
    const std::string text = boost::json::serialize(all);
    std::string out;
    for (std::string_view rest = text; !rest.empty();) {
        const auto next = alos::detail::first_character(rest);
        if (next.is_valid) {
            out += rest.substr(0, next.size);
        } else {
            out += "\\\\x";
            alos::detail::append_hex(out, next.code, 2);
        }
        rest.remove_prefix(next.size);
    }
    return out;
}

// One line for each step, with the time since the beginning and since the step before.
class progress {
public:
    void operator()(const std::string& step)
    {
        const auto now = std::chrono::steady_clock::now();
        char time[48];
        std::snprintf(time, sizeof time, "[%6.2f s, +%.2f s] ", seconds(now - begun_), seconds(now - last_));
        last_ = now;
        std::cerr << time << in_one_line(by_options(step)) << std::endl;
    }

private:
    static double seconds(std::chrono::steady_clock::duration time)
    {
        return std::chrono::duration<double>(time).count();
    }

    const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
    std::chrono::steady_clock::time_point last_ = begun_;
};

// Columns as wide as what is in them, under their names.
inline std::string to_table(const std::vector<std::vector<std::string>>& lines)
{
    std::vector<std::size_t> widths;
    for (const auto& line : lines) {
        widths.resize(std::max(widths.size(), line.size()));
        for (std::size_t i = 0; i < line.size(); ++i)
            widths[i] = std::max(widths[i], line[i].size());
    }
    std::string text;
    for (const auto& line : lines) {
        std::string row;
        for (std::size_t i = 0; i < line.size(); ++i) {
            row += line[i];
            row.append(widths[i] + 2 - line[i].size(), ' ');
        }
        text += in_one_line(row.substr(0, row.find_last_not_of(' ') + 1)) + "\n";
    }
    return text;
}

// "in 59 days", "5 hours ago".
inline std::string from_now(std::chrono::system_clock::time_point when)
{
    using namespace std::chrono;
    if (when == system_clock::time_point())
        return "now";
    const auto left = floor<seconds>(when - system_clock::now());
    const auto size = abs(left);
    const auto said = [&](long long count, const char* unit) {
        const std::string amount = std::to_string(count) + " " + unit + (count == 1 ? "" : "s");
        return left < left.zero() ? amount + " ago" : "in " + amount;
    };
    if (size >= days(2))
        return said(floor<days>(size).count(), "day");
    if (size >= hours(2))
        return said(floor<hours>(size).count(), "hour");
    if (size >= minutes(2))
        return said(floor<minutes>(size).count(), "minute");
    return said(size.count(), "second");
}

}

#endif
