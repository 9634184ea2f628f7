// A program may have these names for things of its own before it includes alos, which must not find them.
struct days;
struct hours;
struct minutes;
struct seconds;
struct milliseconds;
struct year;
struct month;
struct day;
struct floor;
struct min;
struct max;
struct error;
struct failure;
struct outcome;
struct result;
struct state;
struct record;
struct task;
struct client;
struct directory;
struct message;
struct find;
struct begin;
struct end;
struct to_string;
struct to_text;
struct string;
struct vector;
struct span;
struct byte;
struct bytes;
struct array;
struct function;
namespace acme {}
namespace asio {}
namespace crypto {}
namespace detail {}
namespace dns {}
namespace http {}
namespace json {}
namespace tls {}
namespace test {}

#include <alos/acme.hpp>
#include <alos/acme/doctor.hpp>
#include <alos/dns/exec.hpp>
#include <alos/server.hpp>
