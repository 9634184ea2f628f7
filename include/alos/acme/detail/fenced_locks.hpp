// Locks of a storage's folder, <name>.lock, each with a number that grows with every holder, <name>.fence.json: who
// comes back after somebody else had the lock is told apart from who has it.
#ifndef ALOS_ACME_DETAIL_FENCED_LOCKS_HPP
#define ALOS_ACME_DETAIL_FENCED_LOCKS_HPP

#include <alos/acme/detail/durable_files.hpp>
#include <alos/acme/record.hpp>
#include <alos/acme/rfc3339.hpp>
#include <alos/acme/storage.hpp>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace alos::inline v0::acme::detail {

// The number in a lock's fence file; nothing when it is damaged.
inline std::optional<std::uint64_t> parse_fence(std::string_view text)
{
    const auto in = read_object_text(text);
    const std::uint64_t number = in ? number_of(*in, "fence") : 0;
    if (number == 0 || number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        return std::nullopt;
    return number;
}

// Names have been checked.
class fenced_locks {
public:
    using clock = std::function<time_point()>;

    // `disk` outlives this. `owner` is for people.
    fenced_locks(durable_files& disk, std::string folder, std::string owner, clock now)
        : disk_(disk), files_(disk.files()), folder_(std::move(folder)), owner_(std::move(owner)), now_(std::move(now))
    {
    }

    // Nothing when somebody else has it.
    [[nodiscard]] outcome<std::optional<storage_lock>> take(const std::string& name)
    {
        if (auto made = disk_.ensure_directory(folder_); !made)
            return made.error();
        const std::string path = path_of(name) + ".lock";
        auto lock = files_.try_lock(path);
        if (!lock)
            return storage_failure(path, "cannot be locked", lock.error());
        if (!*lock)
            return std::optional<storage_lock>();
        const auto fence = raise_fence(name);
        if (!fence)
            return fence.error();
        auto mine = std::make_shared<held_lock>();
        mine->lock = std::move(*lock);
        forget_gone();
        held_[name] = mine;
        storage_lock held;
        held.name = name;
        held.owner = owner_;
        held.fence = *fence;
        held.held = std::move(mine);
        return std::optional<storage_lock>(std::move(held));
    }

    void give_back(const storage_lock& held)
    {
        if (held_lock* const mine = find_held(held))
            mine->lock.reset();
        forget_gone();
    }

    // Fails when the lock went to somebody else, or is not held at all.
    [[nodiscard]] outcome<> check(const storage_lock& guard)
    {
        const held_lock* const mine = find_held(guard);
        if (!mine || !mine->lock)
            return failure{errc::lock_lost, "the lock '" + guard.name + "' is not held; take it first"};
        const auto last = read_fence(guard.name);
        if (!last)
            return last.error();
        if (*last != guard.fence)
            return failure{errc::lock_lost, "the lock '" + guard.name + "' was taken by somebody else meanwhile"};
        return {};
    }

private:
    // What storage_lock::held points to; without a lock once it is given back.
    struct held_lock {
        std::unique_ptr<os::file_system::lock> lock;
    };

    [[nodiscard]] std::string path_of(std::string_view name) const { return folder_ + '/' + std::string(name); }

    // 0 when there is none yet; nothing when it is damaged.
    [[nodiscard]] outcome<std::optional<std::uint64_t>> read_fence(const std::string& name)
    {
        constexpr std::size_t most = 65536;
        const std::string path = path_of(name) + ".fence.json";
        const auto text = files_.read(path, most);
        if (text)
            return parse_fence(as_text(*text));
        if (is_missing(text.error()))
            return std::optional<std::uint64_t>(0);
        return read_failure(path, text.error());
    }

    // Called by who has the lock.
    [[nodiscard]] outcome<std::uint64_t> raise_fence(const std::string& name)
    {
        const auto last = read_fence(name);
        if (!last)
            return last.error();
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now_().time_since_epoch()).count();
        // A damaged one does not say how far it had come. Note: locks are taken far less often than once a second.
        const std::uint64_t raised = last->value_or(static_cast<std::uint64_t>(std::max<std::int64_t>(seconds, 0))) + 1;
        boost::json::object about;
        about["fence"] = raised;
        about["owner"] = owner_;
        about["since"] = format_rfc3339(now_());
        const std::string text = boost::json::serialize(about);
        if (const auto written = disk_.replace_file(path_of(name) + ".fence.json", text); !written)
            return written.error();
        return raised;
    }

    [[nodiscard]] held_lock* find_held(const storage_lock& guard)
    {
        const auto found = held_.find(guard.name);
        const auto mine = found == held_.end() ? nullptr : found->second.lock();
        return mine && mine == guard.held ? mine.get() : nullptr;
    }

    void forget_gone()
    {
        std::erase_if(held_, [](const auto& each) { return each.second.expired(); });
    }

    durable_files& disk_;
    os::file_system& files_;
    const std::string folder_;
    const std::string owner_;
    const clock now_;
    std::map<std::string, std::weak_ptr<held_lock>, std::less<>> held_;
};

}

#endif
