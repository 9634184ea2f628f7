// The three ways to prove control of a name (RFC 8555 8, RFC 8737), and what publishes DNS records for the third.
#ifndef ALOS_ACME_SOLVER_HPP
#define ALOS_ACME_SOLVER_HPP

#include <alos/error.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace alos::inline v0::acme {

enum class challenge_type : std::uint8_t { http_01, tls_alpn_01, dns_01 };

[[nodiscard]] constexpr std::string_view name_of(challenge_type type) noexcept
{
    switch (type) {
    case challenge_type::http_01: return "http-01";
    case challenge_type::tls_alpn_01: return "tls-alpn-01";
    case challenge_type::dns_01: return "dns-01";
    }
    return {};
}

// Of "http-01"; nothing when it is none of ours.
[[nodiscard]] constexpr std::optional<challenge_type> challenge_type_of(std::string_view name) noexcept
{
    for (const challenge_type each : {challenge_type::http_01, challenge_type::tls_alpn_01, challenge_type::dns_01}) {
        if (name_of(each) == name)
            return each;
    }
    return std::nullopt;
}

// Adds and removes one value of a TXT record (RFC 8555 8.4), and touches no other value of the same name: several may
// stand there at once. Called on the manager's thread; several calls may be under way together.
//
// Both are cancelled when their time is over, present() also when the manager stops, and must then end, best by passing
// on what Asio's operations throw (boost::asio::error::operation_aborted). What else they throw counts as a failure. A
// clean_up() that is not done 5 seconds after the manager was stopped is destroyed where it waits.
class dns_solver {
public:
    virtual ~dns_solver() = default;

    // `name` is "_acme-challenge.example.com". Returns when the value can be seen in the DNS. It has what is left of
    // the attempt, which lasts 10 minutes at most, or a fifth of the rest of a certificate's life if that is shorter,
    // and half a minute at least.
    [[nodiscard]] virtual boost::asio::awaitable<outcome<>> present(std::string name, std::string value) = 0;

    // A value that is not there is removed already. It has 2 minutes.
    [[nodiscard]] virtual boost::asio::awaitable<outcome<>> clean_up(std::string name, std::string value) = 0;
};

}

#endif
