// Any bytes as the values of CAA records, one in each line: read within the limits, and a decision for each.
#include <alos/acme/caa.hpp>
#include <alos/bytes.hpp>

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
    std::vector<dns::record> records;
    while (!rest.empty()) {
        const std::string_view line = http::next_part(rest, '\n');
        const auto read = parse_issue_value(line);
        if (read) {
            require(read->parameters.size() <= 32 && read->issuer_domain_name.size() <= line.size());
            // Written anew, it is the same.
            std::string again = read->issuer_domain_name;
            for (const auto& [tag, value] : read->parameters)
                again.append("; ").append(tag).append("=").append(value);
            const auto same = parse_issue_value(again);
            require(same && same->issuer_domain_name == read->issuer_domain_name);
            require(same->parameters == read->parameters);
        }
        dns::record one{.name = "example.com", .type = dns::record_type::caa, .text = std::string(line)};
        one.caa_tag = records.size() % 2 == 0 ? "issue" : "issuewild";
        records.push_back(std::move(one));
    }
    for (const bool is_wildcard : {false, true}) {
        const caa_question asked{is_wildcard, {"ca.test"}, "https://ca.test/account/1", {"http-01", "dns-01"}};
        const caa_answer answer = decide_caa(records, asked);
        require(answer.is_allowed != answer.methods.empty());
        require(answer.is_allowed == answer.why.empty());
        require(answer.is_restricted == !records.empty());
    }
    return 0;
}
