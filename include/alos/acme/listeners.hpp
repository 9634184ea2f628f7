// Who is told of what happens: the log, the program's own function, and those who wait for one certificate.
#ifndef ALOS_ACME_LISTENERS_HPP
#define ALOS_ACME_LISTENERS_HPP

#include <alos/acme/event.hpp>
#include <alos/acme/service.hpp>
#include <alos/error.hpp>
#include <alos/log.hpp>

#include <exception>
#include <functional>
#include <list>
#include <string>
#include <utility>

namespace alos::inline v0::acme {

// Used on the manager's thread.
class listeners {
public:
    using listener = std::function<void(const event&)>;

    // `log` is host::log.
    listeners(decltype(host::log) log, listener on_event) : log_(std::move(log)), on_event_(std::move(on_event)) {}

private:
    using entry = std::pair<std::string, listener>; // by id

public:
    // Somebody who is told of what happens to one certificate, for as long as this lives.
    class listening {
    public:
        listening(listeners& in, const std::string& id, listener told)
            : list_(in.list_), place_(list_.emplace(list_.end(), id, std::move(told)))
        {
        }
        listening(const listening&) = delete;
        listening& operator=(const listening&) = delete;
        ~listening() { list_.erase(place_); }

    private:
        std::list<entry>& list_;
        const std::list<entry>::iterator place_;
    };

    void tell(const event& what)
    {
        if (log_)
            log_(what.message.starts_with("warning: ") ? log_level::warning : level_of(what.kind), name_of(what.kind),
                 {{"certificate", what.id}, {"message", what.message}});
        if (on_event_)
            tell_one(on_event_, what);
        for (const auto& [id, told] : list_) {
            if (told && (what.id.empty() || what.id == id))
                tell_one(told, what);
        }
    }

private:
    // What somebody else's function throws is theirs, and keeps no certificate from being renewed.
    void tell_one(const listener& told, const event& what)
    {
        try {
            told(what);
        } catch (...) {
            const std::string why = text_of_exception(std::current_exception());
            if (log_)
                log_(log_level::error, "acme.event", {{"certificate", what.id}, {"reason", why},
                                                      {"hint", "a function that is told of events threw this"}});
        }
    }

    const decltype(host::log) log_;
    const listener on_event_;
    std::list<entry> list_;
};

}

#endif
