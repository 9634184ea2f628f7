// Tells of changes in a storage's folder: of certificates, and of answers to challenges. Where the system cannot watch
// it, everything is taken for changed every other second.
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

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
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
                watch_all();
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
    // Folders, and what is told of changes in them.
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 2> told{
        {{"certs", "certificates"}, {"challenge", "challenge"}}};

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
        for (const auto& [name, category] : told) {
            if (is_folder(directory_ + '/' + std::string(name)))
                pending_.emplace(category);
        }
    }

    [[nodiscard]] bool is_folder(const std::string& path)
    {
        const auto about = files_.stat(path);
        return about && about->type == os::file_type::directory;
    }

    void watch_all()
    {
        watch_folder(directory_, {}, 0);
        for (const auto& [name, category] : told)
            watch_folder(directory_ + '/' + std::string(name), std::string(category), 1);
    }

    // Note: a folder is watched before it is listed, so that nothing comes between.
    void watch_folder(const std::string& path, const std::string& category, std::size_t depth)
    {
        if (!watches_.contains(path)) {
            auto watch = files_.watch_directory(path, [this](const std::string& changed) { notice(changed); });
            if (!watch) {
                is_blind_ = is_blind_ || is_folder(path);
                return;
            }
            watches_.emplace(path, watched{category, depth, std::move(watch)});
            if (!category.empty())
                pending_.insert(category);
        }
        const auto names = depth == 0 ? result<std::vector<std::string>>() : files_.list(path);
        for (std::size_t i = 0; names && i < names->size(); ++i) {
            const std::string& name = (*names)[i];
            if (is_key_part(name) && is_folder(path + '/' + name))
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
            if (category.empty()) { // whichever folders are there now, they may be others than before
                watches_.clear();
                watch_all();
                continue;
            }
            forget_missing(path);
            pending_.insert(category);
            watch_folder(path, category, depth);
        }
    }

    void forget_missing(const std::string& path)
    {
        const std::string inside = path + '/';
        for (auto each = watches_.lower_bound(inside); each != watches_.end() && each->first.starts_with(inside);)
            each = is_folder(each->first) ? std::next(each) : watches_.erase(each);
    }

    os::file_system& files_;
    std::string directory_;
    const sleeper sleep_;
    signal bell_; // rings when something changed
    std::map<std::string, watched> watches_;
    std::set<std::string> noticed_; // paths
    std::set<std::string> pending_; // what next() will return
    bool is_blind_ = false;         // one of the folders cannot be watched
};

}

#endif
