// All of alos. What only some programs need, and pay for, is JSON: <alos/http/json.hpp> is not in here.
#ifndef ALOS_ALOS_HPP
#define ALOS_ALOS_HPP

#include <alos/http/middleware.hpp>
#include <alos/http/router.hpp>
#include <alos/server.hpp>
#include <alos/tls13/stream.hpp>

#endif
