// The one translation unit of -Dseparate_compilation=true.
#include <alos/src.hpp>
