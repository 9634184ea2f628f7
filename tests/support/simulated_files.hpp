// A disk in memory that loses power: what is written and what is durable are kept apart, any step can fail or be the
// last one, and several processes share it. For tests of what storage leaves behind.
#ifndef ALOS_TESTS_SIMULATED_FILES_HPP
#define ALOS_TESTS_SIMULATED_FILES_HPP

#include <alos/os/file_system.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace test {

// Thrown by the step at which the power goes, and by everything after it until power_cut().
class power_loss final : public std::exception {
public:
    const char* what() const noexcept override { return "power loss"; }
};

// Asked for everything that was not synced: whether it reached the disk nevertheless.
using chance = std::function<bool()>;

inline chance everything_kept()
{
    return [] { return true; };
}

inline chance everything_lost()
{
    return [] { return false; };
}

inline chance seeded(std::uint64_t seed)
{
    return [engine = std::mt19937_64(seed)]() mutable { return (engine() >> 32 & 1) != 0; };
}

// What all processes see. A step is an operation that changes or syncs something.
class simulated_disk {
public:
    simulated_disk() : root_(make_node(alos::os::file_type::directory, 0755)) {}
    simulated_disk(const simulated_disk&) = delete;
    simulated_disk& operator=(const simulated_disk&) = delete;

    // Steps so far; those that failed count, too.
    [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }

    // Symbolic links that were renamed so far.
    [[nodiscard]] std::uint64_t links_switched() const noexcept { return links_switched_; }

    // The n-th step from now (the next is 1) fails with this errno and changes nothing; 0: none does.
    void fail_after(std::uint64_t n, int number) noexcept
    {
        fail_at_ = steps_ + n;
        fail_with_ = number;
    }

    // The n-th step from now does not happen, but throws power_loss; 0: none does.
    void cut_after(std::uint64_t n) noexcept { cut_at_ = steps_ + n; }

    // While it is full, nothing new can be made (ENOSPC).
    void set_full(bool full) noexcept { is_full_ = full; }

    // Where symbolic links cannot be made (EPERM).
    void set_without_symlinks(bool without) noexcept { has_no_symlinks_ = without; }

    // Whether the power is gone.
    [[nodiscard]] bool is_off() const noexcept { return is_off_; }

    // The power was not lost after all: only the process ended.
    void resume() noexcept
    {
        is_off_ = false;
        cut_at_ = 0;
    }

    // The first file or folder below this one that others than its owner may look into; empty: there is none.
    [[nodiscard]] std::string find_exposed(std::string_view path)
    {
        const auto where = find(path, true);
        return where && where->found ? exposed_in(*where->found, std::string(path)) : std::string();
    }

    // The power comes back. What was not durable is kept or lost: each change of a directory as a whole, those of one
    // file in their order; bytes of files also in part. Nobody holds a lock any more, nobody watches.
    void power_cut(const chance& keeps)
    {
        std::unordered_set<const node*> lost;
        for (const change& each : unsynced_) {
            if (lost.contains(each.what.get()) || !keeps())
                lost.insert(each.what.get());
            else
                apply(each);
        }
        unsynced_.clear();
        remount(*root_, keeps);
        locks_.clear();
        watches_.clear();
        fail_at_ = cut_at_ = 0;
        is_off_ = false;
    }

private:
    friend class simulated_files;

    struct node;
    using node_ptr = std::shared_ptr<node>;
    using entries = std::map<std::string, node_ptr, std::less<>>;
    using text_ptr = std::shared_ptr<const alos::secret_text>;

    struct node {
        alos::os::file_type type;
        ::mode_t permissions;
        text_ptr text;
        bool is_synced = false;
        std::string target; // of a link
        entries visible;
        entries durable;
    };

    // A name goes from one directory, comes into one, or both at once.
    struct change {
        node_ptr from;
        std::string from_name;
        node_ptr to;
        std::string to_name;
        node_ptr what;
    };

    // Where a path leads: `found` is null when the name is free.
    struct place {
        node_ptr folder;
        std::string name;
        node_ptr found;
    };

    struct held {
        std::uint64_t process;
        std::uint64_t number;
    };

    struct watcher {
        std::uint64_t process;
        node_ptr folder;
        std::string path;
        std::function<void(const std::string&)> changed;
    };

    static alos::error_code code(int number) { return {number, boost::system::system_category()}; }

    static node_ptr make_node(alos::os::file_type type, ::mode_t permissions)
    {
        auto made = std::make_shared<node>();
        made->type = type;
        made->permissions = permissions;
        return made;
    }

    static void apply(const change& each)
    {
        if (each.from)
            each.from->durable.erase(each.from_name);
        if (each.to)
            each.to->durable.insert_or_assign(each.to_name, each.what);
    }

    static void remount(node& one, const chance& keeps)
    {
        if (one.type == alos::os::file_type::directory) {
            one.visible = one.durable;
            for (const auto& [name, child] : one.visible)
                remount(*child, keeps);
        } else if (one.text && !one.is_synced) {
            if (!keeps()) {
                const std::size_t size = keeps() ? one.text->size() / 2 : 0;
                const auto end = one.text->begin() + static_cast<std::ptrdiff_t>(size);
                one.text = std::make_shared<const alos::secret_text>(one.text->begin(), end);
            }
            one.is_synced = true;
        }
    }

    static std::string exposed_in(const node& one, const std::string& path)
    {
        if (one.type != alos::os::file_type::symlink && (one.permissions & 077) != 0)
            return path;
        for (const auto& [name, child] : one.visible) {
            if (auto found = exposed_in(*child, name); !found.empty())
                return found;
        }
        return {};
    }

    void require_power() const
    {
        if (is_off_)
            throw power_loss();
    }

    [[nodiscard]] alos::error_code begin_step()
    {
        require_power();
        ++steps_;
        if (steps_ == cut_at_) {
            is_off_ = true;
            throw power_loss();
        }
        return steps_ == fail_at_ ? code(fail_with_) : alos::error_code();
    }

    // Relative paths begin at the root.
    [[nodiscard]] alos::result<place> find(std::string_view path, bool follow)
    {
        require_power();
        std::array<const node_ptr*, 32> way{&root_};
        std::size_t depth = 1;
        std::string expanded; // what `rest` is in after a link
        std::string_view rest = path;
        for (unsigned links = 0; true;) {
            rest.remove_prefix(std::min(rest.find_first_not_of('/'), rest.size()));
            const std::string_view name = rest.substr(0, rest.find('/'));
            rest.remove_prefix(name.size());
            const bool is_last = rest.find_first_not_of('/') == std::string_view::npos;
            if (name.empty() || name == "." || name == "..") {
                if (name == ".." && depth > 1)
                    --depth;
                if (is_last)
                    return place{nullptr, {}, *way[depth - 1]};
                continue;
            }
            const node_ptr& folder = *way[depth - 1];
            const auto entry = folder->visible.find(name);
            const node_ptr* const found = entry == folder->visible.end() ? nullptr : &entry->second;
            if (found && (*found)->type == alos::os::file_type::symlink && (follow || !is_last)) {
                if (++links > 40)
                    return code(ELOOP);
                if ((*found)->target.starts_with('/'))
                    depth = 1;
                expanded = (*found)->target + std::string(rest);
                rest = expanded;
                continue;
            }
            if (is_last)
                return place{folder, std::string(name), found ? *found : nullptr};
            if (!found)
                return code(ENOENT);
            if ((*found)->type != alos::os::file_type::directory)
                return code(ENOTDIR);
            if (depth == way.size())
                return code(ENAMETOOLONG);
            way[depth++] = found;
        }
    }

    // A new name for a new node.
    [[nodiscard]] alos::error_code add(const std::string& path, const node_ptr& made)
    {
        const auto where = find(path, false);
        if (!where)
            return where.error();
        if (where->found)
            return code(EEXIST);
        if (is_full_)
            return code(ENOSPC);
        where->folder->visible.emplace(where->name, made);
        unsynced_.push_back({nullptr, {}, where->folder, where->name, made});
        tell(where->folder);
        return {};
    }

    void tell(const node_ptr& folder)
    {
        std::vector<std::shared_ptr<watcher>> told;
        for (const auto& each : watches_)
            if (each->folder == folder)
                told.push_back(each);
        for (const auto& each : told)
            if (std::ranges::find(watches_, each) != watches_.end())
                each->changed(each->path);
    }

    void sync(const node_ptr& folder)
    {
        std::erase_if(unsynced_, [&](const change& each) {
            const bool is_here = each.from == folder || each.to == folder;
            if (is_here)
                apply(each);
            return is_here;
        });
    }

    void end_process(std::uint64_t process)
    {
        std::erase_if(locks_, [&](const auto& each) { return each.second.process == process; });
        std::erase_if(watches_, [&](const auto& each) { return each->process == process; });
    }

    node_ptr root_;
    std::vector<change> unsynced_; // in the order they were made
    std::map<node_ptr, held> locks_;
    std::vector<std::shared_ptr<watcher>> watches_;
    std::uint64_t last_process_ = 0;
    std::uint64_t last_lock_ = 0;
    std::uint64_t steps_ = 0;
    std::uint64_t links_switched_ = 0;
    std::uint64_t fail_at_ = 0;
    std::uint64_t cut_at_ = 0;
    int fail_with_ = 0;
    bool is_off_ = false;
    bool is_full_ = false;
    bool has_no_symlinks_ = false;
};

// One process with that disk. Its locks and watches end with it. Watches call back inside the step that they tell of.
class simulated_files final : public alos::os::file_system {
public:
    explicit simulated_files(std::shared_ptr<simulated_disk> disk = std::make_shared<simulated_disk>())
        : disk_(std::move(disk)), process_(++disk_->last_process_)
    {
    }
    simulated_files(const simulated_files&) = delete;
    simulated_files& operator=(const simulated_files&) = delete;
    ~simulated_files() override { kill(); }

    [[nodiscard]] const std::shared_ptr<simulated_disk>& disk() const noexcept { return disk_; }

    // Takes its locks and watches away. What it writes afterwards still arrives, as from a process that was stopped for
    // so long that others went on without it.
    void kill() { disk_->end_process(process_); }

    [[nodiscard]] alos::result<alos::secret_text> read(const std::string& path, std::size_t most) override
    {
        const auto where = disk_->find(path, true);
        if (!where)
            return where.error();
        if (!where->found)
            return code(ENOENT);
        if (where->found->type != alos::os::file_type::regular)
            return code(EISDIR);
        if (where->found->text->size() > most)
            return code(EFBIG);
        return *where->found->text;
    }

    [[nodiscard]] alos::error_code write_new(const std::string& path, alos::byte_view bytes, ::mode_t mode) override
    {
        if (const auto failed = disk_->begin_step())
            return failed;
        const auto made = simulated_disk::make_node(alos::os::file_type::regular, mode);
        const auto text = alos::as_text(bytes);
        made->text = std::make_shared<const alos::secret_text>(text.begin(), text.end());
        return disk_->add(path, made);
    }

    [[nodiscard]] alos::error_code sync_file(const std::string& path) override
    {
        if (const auto failed = disk_->begin_step())
            return failed;
        const auto where = disk_->find(path, false);
        if (!where)
            return where.error();
        if (!where->found)
            return code(ENOENT);
        if (where->found->type == alos::os::file_type::symlink)
            return code(ELOOP);
        where->found->is_synced = true;
        return {};
    }

    [[nodiscard]] alos::error_code sync_directory(const std::string& path) override
    {
        if (const auto failed = disk_->begin_step())
            return failed;
        const auto where = disk_->find(path, true);
        if (!where)
            return where.error();
        if (!where->found)
            return code(ENOENT);
        if (where->found->type != alos::os::file_type::directory)
            return code(ENOTDIR);
        disk_->sync(where->found);
        return {};
    }

    [[nodiscard]] alos::error_code make_directory(const std::string& path, ::mode_t mode) override
    {
        if (const auto failed = disk_->begin_step())
            return failed;
        const auto where = disk_->find(path, false);
        if (where && !where->folder)
            return code(EEXIST); // the root
        return disk_->add(path, simulated_disk::make_node(alos::os::file_type::directory, mode));
    }

    [[nodiscard]] alos::error_code rename(const std::string& from, const std::string& to,
                                          alos::os::if_exists taken) override
    {
        if (const auto failed = disk_->begin_step())
            return failed;
        const auto source = disk_->find(from, false);
        const auto target = disk_->find(to, false);
        if (!source)
            return source.error();
        if (!target)
            return target.error();
        if (!source->found)
            return code(ENOENT);
        if (!source->folder || !target->folder)
            return code(EBUSY); // the root
        const auto what = source->found;
        if (const auto& there = target->found) {
            if (taken == alos::os::if_exists::fail)
                return code(EEXIST);
            if (there == what)
                return {};
            const bool is_onto_directory = there->type == alos::os::file_type::directory;
            if (is_onto_directory != (what->type == alos::os::file_type::directory))
                return code(is_onto_directory ? EISDIR : ENOTDIR);
            if (!there->visible.empty())
                return code(ENOTEMPTY);
        }
        source->folder->visible.erase(source->name);
        target->folder->visible.insert_or_assign(target->name, what);
        disk_->unsynced_.push_back({source->folder, source->name, target->folder, target->name, what});
        disk_->links_switched_ += what->type == alos::os::file_type::symlink ? 1 : 0;
        disk_->tell(source->folder);
        if (target->folder != source->folder)
            disk_->tell(target->folder);
        return {};
    }

    [[nodiscard]] alos::error_code make_symlink(const std::string& target, const std::string& path) override
    {
        if (const auto failed = disk_->begin_step())
            return failed;
        if (disk_->has_no_symlinks_)
            return code(EPERM);
        const auto made = simulated_disk::make_node(alos::os::file_type::symlink, 0777);
        made->target = target;
        return disk_->add(path, made);
    }

    [[nodiscard]] alos::result<std::string> read_symlink(const std::string& path) override
    {
        const auto where = disk_->find(path, false);
        if (!where)
            return where.error();
        if (!where->found)
            return code(ENOENT);
        if (where->found->type != alos::os::file_type::symlink)
            return code(EINVAL);
        return where->found->target;
    }

    [[nodiscard]] alos::error_code remove(const std::string& path) override
    {
        if (const auto failed = disk_->begin_step())
            return failed;
        const auto where = disk_->find(path, false);
        if (!where)
            return where.error();
        if (!where->found)
            return code(ENOENT);
        if (!where->folder)
            return code(EBUSY); // the root
        if (!where->found->visible.empty())
            return code(ENOTEMPTY);
        where->folder->visible.erase(where->name);
        disk_->unsynced_.push_back({where->folder, where->name, nullptr, {}, where->found});
        disk_->tell(where->folder);
        return {};
    }

    [[nodiscard]] alos::result<std::vector<std::string>> list(const std::string& path) override
    {
        const auto where = disk_->find(path, true);
        if (!where)
            return where.error();
        if (!where->found)
            return code(ENOENT);
        if (where->found->type != alos::os::file_type::directory)
            return code(ENOTDIR);
        std::vector<std::string> names;
        names.reserve(where->found->visible.size());
        for (const auto& [name, child] : where->found->visible)
            names.push_back(name);
        return names;
    }

    [[nodiscard]] alos::result<status> stat(const std::string& path) override
    {
        const auto where = disk_->find(path, false);
        if (!where)
            return where.error();
        if (!where->found)
            return code(ENOENT);
        return status{where->found->type, where->found->permissions};
    }

    [[nodiscard]] alos::result<std::unique_ptr<lock>> try_lock(const std::string& path) override
    {
        auto where = disk_->find(path, false);
        if (!where)
            return where.error();
        if (!where->found) {
            if (const auto failed = write_new(path, {}, 0600))
                return failed;
            where = disk_->find(path, false);
        }
        if (where->found->type != alos::os::file_type::regular)
            return code(where->found->type == alos::os::file_type::symlink ? ELOOP : EISDIR);
        const std::uint64_t number = ++disk_->last_lock_;
        if (!disk_->locks_.emplace(where->found, simulated_disk::held{process_, number}).second)
            return std::unique_ptr<lock>();
        return std::unique_ptr<lock>(std::make_unique<held_lock>(disk_, where->found, number));
    }

    [[nodiscard]] std::unique_ptr<watch> watch_directory(const std::string& path,
                                                         std::function<void(const std::string&)> changed) override
    {
        const auto where = disk_->find(path, true);
        if (!where || !where->found || where->found->type != alos::os::file_type::directory)
            return nullptr;
        auto made = std::make_shared<simulated_disk::watcher>();
        *made = {process_, where->found, path, std::move(changed)};
        disk_->watches_.push_back(made);
        return std::make_unique<held_watch>(disk_, std::move(made));
    }

private:
    class held_lock final : public lock {
    public:
        held_lock(std::shared_ptr<simulated_disk> where, simulated_disk::node_ptr file, std::uint64_t number)
            : disk_(std::move(where)), file_(std::move(file)), number_(number)
        {
        }
        ~held_lock() override
        {
            const auto held = disk_->locks_.find(file_);
            if (held != disk_->locks_.end() && held->second.number == number_)
                disk_->locks_.erase(held);
        }

    private:
        std::shared_ptr<simulated_disk> disk_;
        simulated_disk::node_ptr file_;
        std::uint64_t number_;
    };

    class held_watch final : public watch {
    public:
        held_watch(std::shared_ptr<simulated_disk> where, std::shared_ptr<simulated_disk::watcher> mine)
            : disk_(std::move(where)), mine_(std::move(mine))
        {
        }
        ~held_watch() override { std::erase(disk_->watches_, mine_); }

    private:
        std::shared_ptr<simulated_disk> disk_;
        std::shared_ptr<simulated_disk::watcher> mine_;
    };

    static alos::error_code code(int number) { return simulated_disk::code(number); }

    std::shared_ptr<simulated_disk> disk_;
    std::uint64_t process_;
};

}

#endif
