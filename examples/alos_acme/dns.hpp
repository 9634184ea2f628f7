// Who sets TXT records for dns-01.
#ifndef ALOS_EXAMPLES_ALOS_ACME_DNS_HPP
#define ALOS_EXAMPLES_ALOS_ACME_DNS_HPP

#include "options.hpp"

#include <alos/acme/solver.hpp>

#include <memory>

namespace command {

// Null: nobody, so that dns-01 cannot be used.
inline std::shared_ptr<alos::acme::dns_solver> make_dns_solver([[maybe_unused]] const options& chosen)
{
    // --dns-exec: what runs `chosen.dns_exec` is made here.
    return nullptr;
}

}

#endif
