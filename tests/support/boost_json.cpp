// Boost.JSON's code, once for all test programs that need it.
#include <boost/json/src.hpp>
