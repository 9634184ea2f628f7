// Who is connected, and until when: the connections of one thread in a list, looked through by one coarse ticker.
// A deadline is a number that is compared once a tick, so setting one costs an addition and no timer.
#ifndef ALOS_SERVER_WATCH_HPP
#define ALOS_SERVER_WATCH_HPP

#include <alos/config.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace alos::inline v0 {

// How long a client may take. Zero is for ever. A deadline is kept to within a second, or to within half of it if it
// is shorter than that.
struct deadlines {
    std::chrono::milliseconds handshake = std::chrono::seconds(10); // from the connection to the end of the handshake
    std::chrono::milliseconds header = std::chrono::seconds(10);    // from a request's first byte to its header's end
    std::chrono::milliseconds body = std::chrono::seconds(30);   // without `min_rate` in this time while sending a body
    std::chrono::milliseconds write = std::chrono::seconds(30);  // without `min_rate` in this time while receiving
    std::chrono::milliseconds handler{};                         // for a coroutine, but for its reads and writes
    std::chrono::milliseconds idle = std::chrono::seconds(120);  // between requests
    std::chrono::milliseconds closing = std::chrono::seconds(3); // to take the last bytes of a connection
    std::chrono::milliseconds stop = std::chrono::seconds(30);   // for requests in flight when the server stops
    std::size_t min_rate = 256; // bytes a second; a body or a response that moves more slowly has stalled
};

// What a connection is doing, for its deadline.
enum class phase : std::uint8_t { handshake, idle, header, body, handler, write, closing };

inline constexpr std::size_t phase_count = 7;

constexpr const char* to_text(phase each) noexcept
{
    constexpr std::array<const char*, phase_count> names{"handshake", "idle",  "header", "body",
                                                         "handler",   "write", "closing"};
    return names[static_cast<std::size_t>(each)];
}

class watch;

// What `watch` needs to know of a connection. All of it happens on the connection's own thread.
class watched {
public:
    watched(const watched&) = delete;
    watched& operator=(const watched&) = delete;

    [[nodiscard]] phase now_in() const noexcept { return phase_; }

    // The server stops: end as soon as nothing is in flight.
    virtual void drain() noexcept = 0;

    // The deadline of the phase has passed.
    virtual void expire() noexcept = 0;

    // Ends at once; every operation in flight fails.
    virtual void cut() noexcept = 0;

    // In the phase handler: whether nobody is there any more to be answered.
    [[nodiscard]] virtual bool is_abandoned() noexcept = 0;

    // In the phases body and write: bytes still to be moved, or moved so far; only the difference counts.
    [[nodiscard]] virtual std::uint64_t progress() noexcept = 0;

protected:
    watched() = default;
    ~watched() = default;

private:
    friend class watch;

    static constexpr std::uint64_t unknown = std::numeric_limits<std::uint64_t>::max();

    watched* next_ = nullptr;
    watched* previous_ = nullptr;
    std::uint64_t mark_ = unknown; // progress when the deadline was set, or at the first tick after
    std::uint64_t expires_ = std::numeric_limits<std::uint64_t>::max();
    phase phase_ = phase::handshake;
};

class watch {
public:
    explicit watch(const deadlines& limits) : tick_(coarse(limits)), min_rate_(limits.min_rate)
    {
        const auto set = [&](phase each, std::chrono::milliseconds limit) {
            limits_[static_cast<std::size_t>(each)] = limit;
        };
        set(phase::handshake, limits.handshake);
        set(phase::idle, limits.idle);
        set(phase::header, limits.header);
        set(phase::body, limits.body);
        set(phase::handler, limits.handler);
        set(phase::write, limits.write);
        set(phase::closing, limits.closing);
    }

    watch(const watch&) = delete;
    watch& operator=(const watch&) = delete;

    // How often tick() wants to be called while the list is not empty.
    [[nodiscard]] std::chrono::milliseconds interval() const noexcept { return tick_; }

    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    void add(watched& each) noexcept
    {
        each.next_ = first_;
        if (first_)
            first_->previous_ = &each;
        first_ = &each;
        ++size_;
    }

    void remove(watched& each) noexcept
    {
        if (cursor_ == &each)
            cursor_ = each.next_;
        (each.previous_ ? each.previous_->next_ : first_) = each.next_;
        if (each.next_)
            each.next_->previous_ = each.previous_;
        each.next_ = each.previous_ = nullptr;
        --size_;
    }

    // `each` enters a phase, and its deadline starts.
    void enter(watched& each, phase now) noexcept
    {
        each.phase_ = now;
        each.mark_ = watched::unknown;
        start(each);
    }

    // One interval has passed.
    void tick() noexcept
    {
        ++now_;
        for_each([this](watched& each) {
            if (moves(each.phase_))
                notice_progress(each);
            if (each.phase_ == phase::handler && each.is_abandoned())
                return each.cut();
            if (each.expires_ > now_)
                return;
            each.expires_ = never;
            each.expire();
        });
    }

    void drain() noexcept
    {
        for_each([](watched& each) { each.drain(); });
    }

    void cut() noexcept
    {
        for_each([](watched& each) { each.cut(); });
    }

private:
    static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

    // A quarter of the shortest deadline, and a second at most.
    static std::chrono::milliseconds coarse(const deadlines& limits) noexcept
    {
        std::chrono::milliseconds shortest = std::chrono::seconds(4);
        for (const auto limit : {limits.handshake, limits.header, limits.body, limits.handler, limits.write,
                                 limits.idle, limits.closing}) {
            if (limit.count() > 0)
                shortest = std::min(shortest, limit);
        }
        return std::max(shortest / 4, std::chrono::milliseconds(5));
    }

    static bool moves(phase each) noexcept { return each == phase::body || each == phase::write; }

    // The tick that is under way counts for nothing: a deadline is never early.
    void start(watched& each) noexcept
    {
        const std::chrono::milliseconds limit = limits_[static_cast<std::size_t>(each.phase_)];
        each.expires_ =
            limit.count() > 0
                ? now_ + 1 + static_cast<std::uint64_t>((limit + tick_ - std::chrono::milliseconds(1)) / tick_)
                : never;
    }

    // What moved fast enough since the deadline was set gets a new one.
    void notice_progress(watched& each) noexcept
    {
        const std::uint64_t position = each.progress();
        if (each.mark_ == watched::unknown)
            each.mark_ = position;
        const std::uint64_t moved = std::max(position, each.mark_) - std::min(position, each.mark_);
        const auto limit = limits_[static_cast<std::size_t>(each.phase_)].count();
        if (moved * 1000 < min_rate_ * static_cast<std::uint64_t>(limit) || moved == 0)
            return;
        each.mark_ = position;
        start(each);
    }

    // The visit may remove any element.
    template <class Visit>
    void for_each(Visit visit) noexcept
    {
        for (cursor_ = first_; cursor_;) {
            watched& each = *cursor_;
            cursor_ = each.next_;
            visit(each);
        }
    }

    std::array<std::chrono::milliseconds, phase_count> limits_{};
    std::chrono::milliseconds tick_;
    std::size_t min_rate_;
    watched* first_ = nullptr;
    watched* cursor_ = nullptr; // the next one to be visited
    std::size_t size_ = 0;
    std::uint64_t now_ = 0; // in ticks
};

}

#endif
