// Any bytes as the header fields of a CA's answer, one in each line: waits and links are within their limits.
#include <alos/acme/link.hpp>
#include <alos/acme/problem.hpp>
#include <alos/bytes.hpp>

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

}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    std::string_view rest = as_text({data, size});
    http::outbound_response answer;
    while (!rest.empty()) {
        std::string_view line = http::next_part(rest, '\n');
        const std::string_view name = http::next_part(line, ':');
        answer.fields.emplace_back(name, line);
    }
    const time_point now = time_point(std::chrono::seconds(1795305600));
    for (const time_point each : {now, time_point(), time_point::max(), time_point::min()}) {
        if (const auto wait = retry_after(answer, each))
            require(wait->count() >= 0 && *wait <= std::chrono::days(7));
    }
    for (const char* rel : {"alternate", "next", "index", ""}) {
        const std::vector<std::string> targets = links(answer, rel);
        require(targets.size() <= 32);
        for (const std::string& each : targets)
            require(!each.empty() && each.size() <= 2048 && http::is_field_value(each));
    }
    return 0;
}
