// What both translation units of a consumer include. The single header is vendored, so it has a name of its own.
#ifndef CONSUMER_HPP
#define CONSUMER_HPP

#ifdef CONSUMER_SINGLE_HEADER
#include <alos/alos.hpp>
#else
#include <alos/server.hpp>
#endif

// A server with one route, made in the other translation unit.
void answer(alos::server& app);

#endif
