// For one .cpp of a program: Boost.JSON's code, which <alos/http/json.hpp> needs, and, where all sources are compiled
// with ALOS_SEPARATE_COMPILATION, the default server's.
#ifndef ALOS_SRC_HPP
#define ALOS_SRC_HPP

#include <alos/server.hpp>

#include <boost/json/src.hpp>

#ifdef ALOS_SEPARATE_COMPILATION
namespace alos::inline v0 {
template class tls13::basic_server_engine<tls13::server_core<botan_crypto>>;
template class basic_server<default_policy>;
}
#endif

#endif
