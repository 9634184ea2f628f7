// Requests and responses: what handlers are written against.
#ifndef ALOS_HTTP_MESSAGE_HPP
#define ALOS_HTTP_MESSAGE_HPP

#include <alos/http/request.hpp>
#include <alos/http/response.hpp>

#endif
