// A server made of other parts: a policy replaces what it names and keeps the rest.
//
//     own_policy [address]
#include <alos/server.hpp>

#include <atomic>
#include <cstdio>

// Counts events instead of writing them all. Any class with these members can be a log.
struct counting_log {
    explicit counting_log(const alos::log_settings& settings) : level(settings.level) {}

    bool takes(alos::log_level wanted) const noexcept { return wanted >= level; }

    void write(const alos::log_record& record) const
    {
        ++events;
        std::fprintf(stderr, "%s\n", to_text(record).c_str());
    }

    alos::log_level level;
    mutable std::atomic<int> events = 0;
};

// Other defaults than the library's.
struct small_limits : alos::limits {
    small_limits() { connections = 100, connections_per_address = 10, h1.body = 64 * 1024; }
};

struct hasty_deadlines : alos::deadlines {
    hasty_deadlines() { handshake = header = std::chrono::seconds(2), idle = std::chrono::seconds(10); }
};

struct my_policy : alos::default_policy {
    using log = counting_log;
    using limits = small_limits;
    using deadlines = hasty_deadlines;
};

int main(int argc, char** argv)
{
    alos::basic_server<my_policy> app({.addr = argc > 1 ? argv[1] : ":8443"});

    app.router.get("/", [&app](alos::request&, alos::response& res) {
        res.string("events: " + std::to_string(app.log().events) + "\n");
    });

    return app.listen_and_serve_tls();
}
