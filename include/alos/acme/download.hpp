// An issued certificate: fetched, by a chain that ends where it is preferred, and compared with what was asked for.
// RFC 8555 7.4.2.
#ifndef ALOS_ACME_DOWNLOAD_HPP
#define ALOS_ACME_DOWNLOAD_HPP

#include <alos/acme/client.hpp>
#include <alos/cert/load.hpp>
#include <alos/crypto/pem.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

// Whether the topmost certificate of a chain is issued by the authority of that name.
[[nodiscard]] inline bool ends_at(std::string_view chain, std::string_view authority)
{
    const auto blocks = parse_pem(chain);
    if (!blocks || blocks->empty())
        return false;
    const auto der = decode_pem(blocks->back());
    if (!der)
        return false;
    const auto top = parse_certificate(byte_vector(der->begin(), der->end()));
    return top && common_name_of(top->issuer) == authority;
}

// The chain at `url`, or an alternate one that ends at `preferred` where it does not. `ca` outlives it.
[[nodiscard]] inline awaitable<reply<std::string>> download_chain(client& ca, signer by, std::string url,
                                                                  std::string preferred)
{
    auto answer = co_await ca.post(std::move(url), std::string(), by, "certificate");
    if (!answer)
        co_return answer.error();
    if (preferred.empty() || ends_at(answer->body, preferred))
        co_return std::move(answer->body);
    for (const std::string& each : links(*answer, "alternate")) {
        const std::string other = url_in(*answer, each);
        if (other.empty())
            continue;
        auto alternate = co_await ca.post(other, std::string(), by, "certificate");
        if (alternate && ends_at(alternate->body, preferred))
            co_return std::move(alternate->body);
    }
    co_return std::move(answer->body);
}

// The chain as it came, or in its order where it does not begin with the certificate.
[[nodiscard]] inline std::string leaf_first(std::string chain, const cert::credential& one)
{
    const auto blocks = parse_pem(chain);
    if (blocks && !blocks->empty()) {
        const auto first = decode_pem(blocks->front());
        if (first && std::ranges::equal(*first, one.chain.front()))
            return chain;
    }
    std::string sorted;
    for (const auto& der : one.chain)
        sorted += as_text(encode_pem("CERTIFICATE", byte_view(der)));
    return sorted;
}

// RFC 8555 11.4: a file with anything else in it is refused, as other programs may take that for what it is not.
[[nodiscard]] inline bool holds_only_certificates(std::string_view chain)
{
    const auto blocks = parse_pem(chain);
    return blocks && std::ranges::all_of(*blocks, [](const auto& each) { return each.label == "CERTIFICATE"; });
}

// What is wrong with a certificate for these names whose key and chain fit; empty if nothing is.
[[nodiscard]] inline std::string fault_of(const cert::credential& one, const std::vector<identifier>& names,
                                          time_point now)
{
    if (const auto there = identifiers_in(one); !same_identifiers(there, names))
        return "its names are " + join(values_of(there)) + ", and those asked for " + join(values_of(names))
               + "; use another CA if that lasts";
    if (one.about.not_before > now + std::chrono::minutes(5))
        return "it is not valid yet; check the clock of this machine";
    return one.about.not_after <= now ? "it has expired; check the clock of this machine" : std::string();
}

}

#endif
