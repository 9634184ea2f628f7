// Tells of changes in a storage's folder: of certificates, and of documents by the first part of their keys. Where the
// system cannot watch it, everything is taken for changed every other second.
#ifndef ALOS_ACME_DETAIL_FOLDER_WATCH_HPP
#define ALOS_ACME_DETAIL_FOLDER_WATCH_HPP

#include <alos/acme/detail/durable_files.hpp>
#include <alos/acme/environment.hpp>
#include <alos/acme/signal.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace alos::inline v0::acme::detail {

// Used on one thread.
class folder_watch {
public:
    using sleeper = std::function<awaitable<>(std::chrono::milliseconds)>;

    // `files` outlives this.
    folder_watch(os::file_system& files, std::string directory, sleeper sleep)
        : files_(files), directory_(std::move(directory)), sleep_(std::move(sleep))
    {
    }

    folder_watch(const folder_watch&) = delete;
    folder_watch& operator=(const folder_watch&) = delete;

    // See storage::next_change(). Whatever there is when it begins, and each change since, is told of
    // once, however many there were of it; when a call is cancelled, it ends with that.
    [[nodiscard]] awaitable<std::string> next()
    {
        for (;;) {
            if (watches_.empty() || std::exchange(is_blind_, false))
                watch_folder(directory_, {}, max_key_parts);
            look_again();
            if (!pending_.empty())
                co_return std::move(pending_.extract(pending_.begin()).value());
            awaitable<> something = is_blind_ || watches_.empty() ? look_later() : wait_for_bell();
            co_await std::move(something);
        }
    }

private:
    struct watched {
        std::string category; // empty for the folder of them all
        std::size_t depth;    // of folders below it that are watched, too
        std::unique_ptr<os::file_system::watch> watch;
    };

    static constexpr std::chrono::seconds glance{2};

    [[nodiscard]] awaitable<> wait_for_bell()
    {
        co_await bell_.async_wait(boost::asio::as_tuple(boost::asio::deferred));
        const auto state = co_await boost::asio::this_coro::cancellation_state;
        if (state.cancelled() == boost::asio::cancellation_type::none)
            co_return;
        watches_.clear();
        throw boost::system::system_error(boost::asio::error::operation_aborted);
    }

    // Where the system cannot tell, as it has no more watches to give or the folder is not there, everything may have
    // changed.
    [[nodiscard]] awaitable<> look_later()
    {
        try {
            co_await sleep_(glance);
        } catch (...) {
            watches_.clear();
            throw;
        }
        categories_of(directory_, [this](const std::string&, const std::string& category) {
            pending_.insert(category);
        });
    }

    // Calls `take` with the path and the category of each folder that is directly below `path`, the topmost one.
    template <class Taker>
    void categories_of(const std::string& path, const Taker& take)
    {
        const auto names = files_.list(path);
        for (std::size_t i = 0; names && i < names->size(); ++i) {
            const std::string& name = (*names)[i];
            if (is_folder(path, name) && name != "locks")
                take(path + '/' + name, name == "certs" ? "certificates" : name);
        }
    }

    [[nodiscard]] bool is_folder(const std::string& path, const std::string& name)
    {
        if (!is_key_part(name) || name.ends_with(".json"))
            return false;
        const auto about = files_.stat(path + '/' + name);
        return about && about->type == os::file_type::directory;
    }

    // Note: a folder is watched before it is listed, so that nothing comes between.
    void watch_folder(const std::string& path, const std::string& category, std::size_t depth)
    {
        if (!watches_.contains(path)) {
            auto watch = files_.watch_directory(path, [this](const std::string& changed) { notice(changed); });
            if (!watch) {
                const auto about = files_.stat(path);
                is_blind_ = is_blind_ || (about && about->type == os::file_type::directory);
                return;
            }
            watches_.emplace(path, watched{category, depth, std::move(watch)});
            if (!category.empty())
                pending_.insert(category);
        }
        if (path == directory_) {
            categories_of(path, [this, depth](const std::string& below, const std::string& own) {
                watch_folder(below, own, own == "certificates" ? 1 : depth - 1);
            });
            return;
        }
        const auto names = depth == 0 ? result<std::vector<std::string>>() : files_.list(path);
        for (std::size_t i = 0; names && i < names->size(); ++i) {
            const std::string& name = (*names)[i];
            if (is_folder(path, name))
                watch_folder(path + '/' + name, category == "certificates" ? category + '/' + name : category,
                             depth - 1);
        }
    }

    void notice(const std::string& path)
    {
        noticed_.insert(path);
        bell_.notify_all();
    }

    // What has changed, and which folders came and went with it.
    void look_again()
    {
        for (const std::string& path : std::exchange(noticed_, {})) {
            const auto found = watches_.find(path);
            if (found == watches_.end())
                continue;
            const std::string category = found->second.category;
            const std::size_t depth = found->second.depth;
            if (!category.empty())
                pending_.insert(category);
            else
                notice_top();
            forget_missing(path);
            watch_folder(path, category, depth);
        }
    }

    // Documents whose key is one part: which of them changed is not known.
    void notice_top()
    {
        std::set<std::string> present;
        if (const auto names = files_.list(directory_))
            for (const std::string& name : *names)
                if (name.ends_with(".json") && is_key_part(name))
                    present.insert(name.substr(0, name.size() - 5));
        pending_.insert(present.begin(), present.end());
        pending_.merge(std::exchange(top_, present));
    }

    void forget_missing(const std::string& path)
    {
        const std::string inside = path + '/';
        for (auto each = watches_.lower_bound(inside); each != watches_.end() && each->first.starts_with(inside);) {
            const auto about = files_.stat(each->first);
            each = about && about->type == os::file_type::directory ? std::next(each) : watches_.erase(each);
        }
    }

    os::file_system& files_;
    std::string directory_;
    const sleeper sleep_;
    signal bell_; // rings when something changed
    std::map<std::string, watched> watches_;
    std::set<std::string> noticed_; // paths
    std::set<std::string> pending_; // what next() will return
    std::set<std::string> top_;     // documents whose key is one part, when last looked
    bool is_blind_ = false;         // one of the folders cannot be watched
};

}

#endif
