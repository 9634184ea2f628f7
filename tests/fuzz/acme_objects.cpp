// Any bytes as a CA's answer: what is read is within its limits, and what is said of it fits one line.
#include <alos/acme/objects.hpp>

#include <boost/json/src.hpp>

#include <cstdlib>

using namespace alos;
using namespace alos::acme;

namespace {

void require(bool holds)
{
    if (!holds)
        std::abort();
}

bool in_one_line(std::string_view text)
{
    return std::ranges::all_of(text, [](char c) { return static_cast<std::uint8_t>(c) >= 0x20 && c != 0x7f; });
}

void check(const problem& what)
{
    const std::string line = describe(what);
    require(!line.empty() && line.size() <= 1000 && in_one_line(line));
    require(what.subproblems.size() <= 100 && what.algorithms.size() <= 100);
    require(!cure_of(what).empty());
    static_cast<void>(class_of(what, true));
}

void check_url(const std::string& url, bool optional)
{
    require(optional || !url.empty());
    require(url.size() <= 2048 && in_one_line(url) && url.find(' ') == std::string::npos);
    require(url.empty() || url.find("://") != std::string::npos);
}

void check(const identifier& name)
{
    const auto again = identifier_of(name.value);
    require(again && *again == name);
}

void check(const challenge& one)
{
    check_url(one.url, false);
    require(one.token.size() <= 512 && one.token.find_first_of("/.\\%") == std::string::npos);
    if (one.error)
        check(*one.error);
}

template <class T>
bool readable(const outcome<T>& got)
{
    if (!got)
        require(in_one_line(got.error().what) && got.error().what.size() < 400);
    return got.has_value();
}

}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text = as_text({data, size});
    check(parse_problem(400, "application/problem+json", text));
    check(parse_problem(0, "", text));

    if (const auto got = parse_directory(text); readable(got)) {
        check_url(got->new_nonce, false);
        check_url(got->new_account, false);
        check_url(got->new_order, false);
        check_url(got->renewal_info, true);
        require(got->profiles.size() <= 100);
    }
    if (const auto got = parse_account(text); readable(got))
        check_url(got->orders, true);
    if (const auto got = parse_order_list(text); readable(got)) {
        for (const std::string& each : *got)
            check_url(each, false);
    }
    if (const auto got = parse_order(text); readable(got)) {
        require(got->identifiers.size() <= 100 && got->authorizations.size() <= 100);
        for (const identifier& each : got->identifiers)
            check(each);
        check_url(got->certificate, got->status != order_status::valid);
        require(same_identifiers(got->identifiers, {got->identifiers.rbegin(), got->identifiers.rend()}));
        if (got->error)
            check(*got->error);
    }
    if (const auto got = parse_authorization(text); readable(got)) {
        check(got->identifier);
        require(got->challenges.size() <= 20);
        for (const challenge& each : got->challenges)
            check(each);
    }
    if (const auto got = parse_challenge(text); readable(got))
        check(*got);
    if (const auto got = parse_renewal_info(text); readable(got)) {
        require(got->start < got->end);
        const auto second = std::chrono::floor<std::chrono::seconds>(got->start);
        require(parse_rfc3339(format_rfc3339(got->start)).value() == second);
    }
    return 0;
}
