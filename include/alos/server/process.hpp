// What a server needs of the process it runs in.
#ifndef ALOS_SERVER_PROCESS_HPP
#define ALOS_SERVER_PROCESS_HPP

#include <alos/config.hpp>

#include <algorithm>
#include <cstddef>

#include <sys/resource.h>

namespace alos::inline v0 {

// Raises the soft limit of open files, as far as the hard one lets it, to what so many connections need.
inline void allow_open_files(std::size_t connections) noexcept
{
    constexpr rlim_t others = 256; // files that responses send, logs, listeners
    ::rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    const rlim_t wanted = connections == 0 ? limit.rlim_max : std::min<rlim_t>(connections + others, limit.rlim_max);
    if (limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted;
    ::setrlimit(RLIMIT_NOFILE, &limit); // without it, connections wait when there are too many
}

}

#endif
