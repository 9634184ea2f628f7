// Any bytes as a URL and as a reference: one spelling each, which is read back as what it says.
#include <alos/http/url.hpp>

#include <cstdlib>

using namespace alos;
using namespace alos::http;

namespace {

void require(bool holds)
{
    if (!holds)
        std::abort();
}

void check(const url& one)
{
    require(one.scheme == "http" || one.scheme == "https");
    require(!one.host.empty() && one.port != 0);
    require(one.target.starts_with('/'));
    require(one.target.find_first_of(std::string_view("\r\n \t\0#", 6)) == std::string::npos);
    require(one.target.substr(0, one.target.find('?')).find("/../") == std::string::npos);
    const auto again = parse_url(one.text());
    // Note: what a base and a reference make together may be at the limit, and its spelling beyond it.
    require(again ? *again == one : one.text().size() > max_url_size);
}

}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text = as_text({data, size});
    if (const auto parsed = parse_url(text))
        check(*parsed);
    static const url base = parse_url("https://[2001:db8::1]:8443/a/b;c?d").value();
    if (const auto resolved = resolve_reference(base, text))
        check(*resolved);
    const std::size_t line = text.find('\n');
    if (line == std::string_view::npos)
        return 0;
    if (const auto first = parse_url(text.substr(0, line))) {
        if (const auto resolved = resolve_reference(*first, text.substr(line + 1)))
            check(*resolved);
    }
    return 0;
}
