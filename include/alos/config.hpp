// The library's version and the oldest dependencies that it works with.
#ifndef ALOS_CONFIG_HPP
#define ALOS_CONFIG_HPP

#include <boost/version.hpp>
#include <botan/build.h>

#define ALOS_VERSION_MAJOR 0
#define ALOS_VERSION_MINOR 1
#define ALOS_VERSION_PATCH 0

#if BOOST_VERSION < 108800
#error "alos needs Boost 1.88 or newer (tools/setup.sh brings it on Debian 12)"
#endif

#if BOTAN_VERSION_MAJOR < 3 || (BOTAN_VERSION_MAJOR == 3 && BOTAN_VERSION_MINOR < 7)
#error "alos needs Botan 3.7 or newer (tools/setup.sh brings it on Debian 12)"
#endif

// Everything is in a namespace of this version, so that two incompatible ones can be in a program.
namespace alos::inline v0 {
}

#endif
