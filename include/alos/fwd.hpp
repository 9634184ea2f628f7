// Names for headers that need no more than them.
#ifndef ALOS_FWD_HPP
#define ALOS_FWD_HPP

namespace alos::inline v0 {

struct failure;
struct log_record;
class logger;

struct botan_crypto;

namespace cert {
struct credential;
class registry;
class signing_key;
class snapshot;
class store;
}

namespace tls13 {
struct server_config;
}

class request;
class response;
class route_group;
class router;

struct default_policy;
template <class Policy>
struct basic_server_config;
template <class Policy = default_policy>
class basic_server;

using server = basic_server<>;

}

#endif
