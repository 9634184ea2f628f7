// The orders of an account, as far as its CA keeps a list of them. RFC 8555 7.1.2.1.
#ifndef ALOS_ACME_ORDER_LIST_HPP
#define ALOS_ACME_ORDER_LIST_HPP

#include <alos/acme/client.hpp>
#include <alos/acme/link.hpp>

#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::acme {

inline constexpr unsigned max_order_pages = 50;

struct order_list {
    std::vector<std::string> urls;
    bool is_whole = true; // false: there are more than max_order_pages pages or a thousand orders
};

// Reads page after page; `first` is account::orders, not empty. `ca` outlives it.
[[nodiscard]] inline awaitable<reply<order_list>> list_orders(client& ca, signer by, std::string first)
{
    order_list all;
    std::string page = std::move(first);
    for (unsigned pages = 0; !page.empty(); ++pages) {
        if (pages == max_order_pages || all.urls.size() >= detail::max_orders) {
            all.is_whole = false;
            break;
        }
        std::string url;
        url.swap(page);
        const auto answer = co_await ca.post(std::move(url), std::string(), by, "list of orders");
        if (!answer)
            co_return answer.error();
        const auto read = parse_order_list(answer->body);
        if (!read)
            co_return refusal{failure_class::transient, ca.ca().directory + ": " + read.error().what};
        all.urls.insert(all.urls.end(), read->begin(), read->end());
        // RFC 8555 7.1.2.1: "a Link header field pointing to further orders", of relation "next".
        if (const auto next = links(*answer, "next"); !next.empty())
            page = url_in(*answer, next.front());
    }
    if (all.urls.size() > detail::max_orders) {
        all.urls.resize(detail::max_orders);
        all.is_whole = false;
    }
    co_return all;
}

}

#endif
