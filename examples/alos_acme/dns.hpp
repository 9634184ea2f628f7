// Who sets TXT records for dns-01.
#ifndef ALOS_EXAMPLES_ALOS_ACME_DNS_HPP
#define ALOS_EXAMPLES_ALOS_ACME_DNS_HPP

#include "options.hpp"

#include <alos/acme/solver.hpp>
#include <alos/dns/exec.hpp>

#include <memory>

namespace command {

// Null: nobody, so that dns-01 cannot be used.
inline std::shared_ptr<alos::acme::dns_solver> make_dns_solver(const options& chosen)
{
    if (chosen.dns_exec.empty())
        return nullptr;
    return std::make_shared<alos::dns::exec>(
        alos::dns::exec_options{.program = chosen.dns_exec, .wait = chosen.dns_wait});
}

}

#endif
