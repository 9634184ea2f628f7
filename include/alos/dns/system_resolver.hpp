// A resolver that asks whom the system's files name, and hears of their changes: a program may be started before the
// network is there, and outlive several.
#ifndef ALOS_DNS_SYSTEM_RESOLVER_HPP
#define ALOS_DNS_SYSTEM_RESOLVER_HPP

#include <alos/dns/resolver.hpp>

#include <sys/stat.h>

#include <chrono>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace alos::inline v0::dns {

// What the files said when they were last read.
class system_setup {
public:
    // Reads them: during set-up. `servers` are asked instead of those in the first file; none: those in the file.
    explicit system_setup(std::vector<endpoint> servers = {}, std::string resolv_conf = "/etc/resolv.conf",
                          std::string hosts = "/etc/hosts")
        : given_(std::move(servers)), resolv_conf_{std::move(resolv_conf)}, hosts_{std::move(hosts)}
    {
        refresh();
    }

    // Reads again what was changed since; whether anything was. A file that is gone is as it was.
    bool refresh()
    {
        const bool has_servers = given_.empty() && resolv_conf_.refresh();
        const bool has_hosts = hosts_.refresh();
        return has_servers || has_hosts;
    }

    [[nodiscard]] std::vector<endpoint> servers() const
    {
        return given_.empty() ? parse_resolv_conf(resolv_conf_.text) : given_;
    }

    [[nodiscard]] const std::string& hosts() const noexcept { return hosts_.text; }

private:
    struct file {
        bool refresh()
        {
            struct ::stat about{};
            const bool is_there = ::stat(path.c_str(), &about) == 0;
            const stamp now{about.st_ino, about.st_size, about.st_mtim.tv_sec, about.st_mtim.tv_nsec};
            if (!is_there || now == seen)
                return false;
            seen = now; // before it is read: what is written meanwhile is seen next time
            text = detail::read_system_file(path);
            return true;
        }

        using stamp = std::tuple<::ino_t, ::off_t, ::time_t, long>;
        std::string path;
        std::string text{};
        stamp seen{};
    };

    std::vector<endpoint> given_;
    file resolv_conf_;
    file hosts_;
};

// Used on one thread; outlives its operations, which end like those of a resolver.
class system_resolver {
public:
    explicit system_resolver(boost::asio::any_io_executor executor, system_setup setup = system_setup())
        : executor_(std::move(executor)), setup_(std::move(setup))
    {
        adopt();
    }

    // The resolver by the files as they are now, which are looked at for every call: for threads that may wait for
    // disks. Who awaits something of it holds it.
    [[nodiscard]] std::shared_ptr<resolver> current()
    {
        if (setup_.refresh())
            adopt();
        return resolver_;
    }

    // As a resolver's. For threads that serve: the files are looked at only when the last look-up found nothing or is
    // not over, and once a minute at most. When this one finds nothing, and they were changed, it is made again.
    [[nodiscard]] boost::asio::awaitable<outcome<addresses>> find_addresses(std::string host)
    {
        look_when_in_doubt();
        const std::shared_ptr<resolver> first = resolver_;
        is_in_doubt_ = true; // whoever asked may give up before it is over
        auto found = co_await first->find_addresses(host);
        is_in_doubt_ = !found;
        look_when_in_doubt();
        const std::shared_ptr<resolver> second = resolver_;
        if (!found && second != first) // also when somebody else looked meanwhile
            found = co_await second->find_addresses(std::move(host));
        co_return found;
    }

private:
    void look_when_in_doubt()
    {
        const auto now = std::chrono::steady_clock::now();
        if (!is_in_doubt_ || now < next_look_)
            return;
        next_look_ = now + std::chrono::minutes(1);
        if (setup_.refresh())
            adopt();
    }

    void adopt()
    {
        resolver_options options;
        options.hosts = setup_.hosts();
        resolver_ = std::make_shared<resolver>(executor_, setup_.servers(), std::move(options));
    }

    boost::asio::any_io_executor executor_;
    system_setup setup_;
    std::shared_ptr<resolver> resolver_;
    bool is_in_doubt_ = false; // whether the servers are the right ones
    std::chrono::steady_clock::time_point next_look_ = std::chrono::steady_clock::time_point::min();
};

}

#endif
