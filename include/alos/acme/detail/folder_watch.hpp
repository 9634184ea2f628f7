// Tells of changes in a storage's folder: of certificates, and of documents by the first part of their keys.
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

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

namespace alos::inline v0::acme::detail {

// Used on one thread.
class folder_watch {
public:
    // `files` outlives this.
    folder_watch(os::file_system& files, std::string directory) : files_(files), directory_(std::move(directory)) {}

    folder_watch(const folder_watch&) = delete;
    folder_watch& operator=(const folder_watch&) = delete;

    // "certificates", or the first part of a key. Each change since the first call is told of once, however many there
    // were of it; when a call is cancelled, it ends with that.
    [[nodiscard]] awaitable<std::string> next()
    {
        if (watches_.empty())
            watch_everything();
        while (true) {
            if (watches_.empty())
                watch_folder(directory_, {}, max_key_parts);
            look_again();
            if (!pending_.empty())
                co_return std::move(pending_.extract(pending_.begin()).value());
            co_await bell_.async_wait(boost::asio::as_tuple(boost::asio::deferred));
            const auto state = co_await boost::asio::this_coro::cancellation_state;
            if (state.cancelled() != boost::asio::cancellation_type::none) {
                watches_.clear();
                throw boost::system::system_error(boost::asio::error::operation_aborted);
            }
        }
    }

    // Called when the folder is there. Note: on a full disk it can come long after the program began.
    void folder_is_there()
    {
        if (watches_.empty())
            bell_.notify_all();
    }

private:
    struct watched {
        std::string category; // empty for the folder of them all
        std::size_t depth;    // of folders below it that are watched, too
        std::unique_ptr<os::file_system::watch> watch;
    };

    void watch_everything()
    {
        is_first_look_ = true;
        watch_folder(directory_, {}, max_key_parts);
        is_first_look_ = false;
        noticed_.clear();
        pending_.clear();
    }

    // Note: a folder is watched before it is listed, so that nothing comes between.
    void watch_folder(const std::string& path, const std::string& category, std::size_t depth)
    {
        if (!watches_.contains(path)) {
            auto watch = files_.watch_directory(path, [this](const std::string& changed) { notice(changed); });
            if (!watch)
                return;
            watches_.emplace(path, watched{category, depth, std::move(watch)});
            if (!category.empty() && !is_first_look_)
                pending_.insert(category);
        }
        const auto names = depth == 0 ? result<std::vector<std::string>>() : files_.list(path);
        if (!names)
            return;
        for (const std::string& name : *names) {
            const bool is_at_top = path == directory_;
            if (!is_key_part(name) || name.ends_with(".json") || (is_at_top && name == "locks"))
                continue;
            const std::string below = path + '/' + name;
            const auto about = files_.stat(below);
            if (!about || about->type != os::file_type::directory)
                continue;
            const bool is_certificates = is_at_top && name == "certs";
            const std::string& own = is_at_top ? name : category;
            watch_folder(below, is_certificates ? "certificates" : own, is_certificates ? 1 : depth - 1);
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
    signal bell_; // rings when something changed
    std::map<std::string, watched> watches_;
    std::set<std::string> noticed_; // paths
    std::set<std::string> pending_; // what next() will return
    std::set<std::string> top_;     // documents whose key is one part, when last looked
    bool is_first_look_ = false;
};

}

#endif
