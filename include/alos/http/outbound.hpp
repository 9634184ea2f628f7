// What is asked of another server and what it answers, as values: between those who ask (ACME, DNS providers, the
// challenge proxy) and the client that asks over a network, or a script in a test.
#ifndef ALOS_HTTP_OUTBOUND_HPP
#define ALOS_HTTP_OUTBOUND_HPP

#include <alos/error.hpp>
#include <alos/http/fields.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::http {

// Whom a client believes. The system's authorities, and more.
struct trust {
    std::string roots_pem{};   // further authorities, PEM
    bool system_roots = true;  // also those of the operating system
    bool verifies = true;      // false: any certificate will do, and the rest is of no matter
};

// A field's name and its value (RFC 9110 5).
using outbound_fields = std::vector<std::pair<std::string, std::string>>;

struct outbound_request {
    std::string method = "GET";
    std::string url{};          // absolute, http or https
    outbound_fields fields{};   // those of the connection, Host and User-Agent are set by the client
    std::string body{};
    std::size_t max_body = 1 << 20;             // bytes of the answer; a longer one of 2xx fails
    std::chrono::milliseconds timeout{30'000};  // for all of it, redirects included
    unsigned max_redirects = 0;                 // followed for GET and HEAD only
    std::shared_ptr<const trust> authorities{}; // null: those of the operating system
};

struct outbound_response {
    unsigned status = 0;
    outbound_fields fields{};
    std::string body{};
    std::string url{}; // where it came from, after redirects

    // The first field of this name (case does not matter); empty if there is none.
    [[nodiscard]] std::string_view field(std::string_view name) const noexcept
    {
        for (const auto& [each, value] : fields) {
            if (equal_ignoring_case(each, name))
                return value;
        }
        return {};
    }
};

}

#endif
