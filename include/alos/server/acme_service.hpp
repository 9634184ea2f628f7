// The certificate manager of a server, on a thread of its own with everything that waits for disks and networks, so
// that no handshake ever does. Threads that serve ask it for the answer to a token of http-01 that is not ours.
#ifndef ALOS_SERVER_ACME_SERVICE_HPP
#define ALOS_SERVER_ACME_SERVICE_HPP

#include <alos/acme/board.hpp>
#include <alos/acme/challenge.hpp>
#include <alos/acme/file_storage.hpp>
#include <alos/acme/folder_check.hpp>
#include <alos/acme/foreign_folder.hpp>
#include <alos/acme/manager.hpp>
#include <alos/server/acme_environment.hpp>
#include <alos/server/acme_thread.hpp>
#include <alos/server/answer_desk.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <unistd.h>

namespace alos::inline v0 {

class acme_service final : public acme::service {
public:
    template <class T = void>
    using awaitable = acme::awaitable<T>;

    explicit acme_service(acme::host to) : host_(std::move(to)), world_(thread_.context().get_executor()) {}

    // Not from an event's handler.
    ~acme_service() override
    {
        stop();
        thread_.shutdown(); // what still waits goes before what it refers to
    }

    [[nodiscard]] outcome<> configure(acme::config settings) override
    {
        return thread_.call(do_configure(std::move(settings)));
    }

    [[nodiscard]] outcome<> add_domain(acme::certificate_names names) override
    {
        return thread_.call(do_add(std::move(names)));
    }

    [[nodiscard]] outcome<> remove_domain(std::string_view domain) override
    {
        return thread_.call(do_remove(std::string(domain)));
    }

    [[nodiscard]] outcome<> start() override { return thread_.call(do_start()); }

    // From an event's handler it returns at once; the destructor waits.
    void stop() noexcept override
    {
        thread_.stop([this] { begin_to_stop(); },
                     [this] { return running_ == 0 && (!manager_ || manager_->is_idle()); });
    }

    [[nodiscard]] std::vector<acme::certificate_status> certificates() const override
    {
        const std::function<status_list()> question = [this] { return list(); };
        if (auto answer = thread_.ask(question))
            return std::move(*answer);
        const auto last = last_.load();
        return last ? *last : status_list();
    }

    [[nodiscard]] awaitable<outcome<>> force_renew(std::string domain,
                                                   std::function<void(const acme::event&)> told) override
    {
        auto work = do_force_renew(std::move(domain), std::move(told));
        return thread_.await(std::move(work));
    }

    [[nodiscard]] awaitable<outcome<cert::credential_ptr>> obtain(std::string name) override
    {
        auto work = do_obtain(std::move(name));
        return thread_.await(std::move(work));
    }

    [[nodiscard]] awaitable<outcome<>> revoke(std::string domain, unsigned reason) override
    {
        auto work = do_revoke(std::move(domain), reason);
        return thread_.await(std::move(work));
    }

private:
    using status_list = std::vector<acme::certificate_status>;

    static failure not_configured()
    {
        return {errc::bad_configuration, "acme: nothing is configured yet; enable_acme() does that"};
    }

    [[nodiscard]] awaitable<outcome<>> do_configure(acme::config settings)
    {
        const auto resolver = world_.use_resolver(settings.resolver);
        if (!manager_) {
            if (auto opened = open(settings); !opened)
                co_return opened;
        } else if (settings.cache_dir != cache_dir_) {
            co_return failure{errc::bad_configuration, "acme: cache_dir is " + cache_dir_
                                                           + " already, and cannot become " + settings.cache_dir
                                                           + "; give the settings (enable_acme) before names are added "
                                                             "(add_acme_domain)"};
        }
        auto done = co_await manager_->configure(std::move(settings));
        co_return done ? resolver : done;
    }

    // The storage. A folder that is certbot's or lego's is served from, and ours is beside the program, unless it may
    // be within.
    [[nodiscard]] outcome<> open(const acme::config& settings)
    {
        std::string directory = settings.cache_dir;
        if (directory.empty())
            return failure{errc::bad_configuration, "acme: cache_dir is empty; name the folder for certificates and "
                                                    "accounts, or leave it at .alos-certs"};
        const bool is_foreign = acme::is_certbot(world_.files(), directory) || acme::is_lego(world_.files(), directory);
        if (is_foreign)
            directory = settings.store_in_foreign ? directory + "/alos" : acme::config().cache_dir;
        char name[256] = "";
        ::gethostname(name, sizeof name - 1);
        auto storage = std::make_unique<acme::file_storage>(
            world_.files(), directory, std::string(name) + " process " + std::to_string(::getpid()),
            [this] { return world_.now(); },
            [this](std::chrono::milliseconds time) { return world_.sleep_until(world_.now() + time); },
            settings.generations_kept);
        // What is there is served all the same; nothing is ordered as long as nothing can be kept.
        if (auto ready = storage->prepare(); !ready)
            host_.log(log_level::error, "acme.storage", {{"reason", ready.error().what}});
        cache_dir_ = settings.cache_dir;
        storage_dir_ = directory;
        storage_ = std::move(storage);
        answer_for_others(directory);
        manager_ = std::make_unique<acme::manager>(
            world_, *storage_, host_,
            [this](const acme::event& what) {
                if (on_event)
                    on_event(what);
            },
            thread_.context().get_executor());
        if (is_foreign) {
            foreign_ = std::make_unique<acme::foreign_folder>(
                world_, host_, cache_dir_,
                [this](std::vector<cert::credential_ptr> all) { manager_->offer(std::move(all)); });
            foreign_->serve();
        }
        return {};
    }

    // A CA may ask us for what another process has stored a moment ago, before our thread has heard of it.
    void answer_for_others(std::string directory)
    {
        const auto read = [this, folder = std::move(directory) + "/"](const std::string& token) {
            constexpr std::size_t most = 4096;
            std::optional<std::string> answer;
            if (token.empty() || !acme::is_token(token))
                return answer;
            const std::string document = "challenge/http-01/" + token;
            if (const auto text = world_.files().read(folder + acme::detail::file_of(document), most))
                answer = acme::board::answer_in(as_text(*text), world_.now());
            return answer;
        };
        desk_ = std::make_shared<answer_desk>(thread_.context().get_executor(), read);
        host_.http01.also_look_in(
            [desk = desk_](std::string token) { return answer_desk::ask(desk, std::move(token)); });
    }

    [[nodiscard]] awaitable<outcome<>> do_add(acme::certificate_names names)
    {
        if (!manager_)
            co_return not_configured();
        std::vector<acme::certificate_names> wanted;
        wanted.push_back(std::move(names));
        auto done = co_await manager_->add(std::move(wanted));
        co_return done;
    }

    [[nodiscard]] awaitable<outcome<>> do_remove(std::string domain)
    {
        co_return manager_ ? manager_->remove(domain) : outcome<>(not_configured());
    }

    [[nodiscard]] awaitable<outcome<>> do_start()
    {
        if (!manager_)
            co_return not_configured();
        if (std::exchange(is_started_, true))
            co_return outcome<>();
        spawn(manager_->run(), run_);
        spawn(manager_->follow(), follow_);
        if (foreign_)
            spawn(foreign_->follow(), foreign_stop_);
        boost::asio::post(thread_.context(), [this] { warn_of_open_files(); }); // what is there is served first
        co_return outcome<>();
    }

    void warn_of_open_files()
    {
        for (const acme::finding& each : acme::check_permissions(world_.files(), storage_dir_))
            host_.log(log_level::warning, "acme.open_to_others",
                      {{"folder", each.about}, {"reason", each.seen}, {"hint", each.cure}});
        if (foreign_)
            foreign_->check();
    }

    void spawn(awaitable<> work, boost::asio::cancellation_signal& cancel)
    {
        ++running_;
        const auto slot = cancel.slot();
        boost::asio::co_spawn(thread_.context(), std::move(work),
                              boost::asio::bind_cancellation_slot(slot, [this](const std::exception_ptr& thrown) {
                                  --running_;
                                  if (!thread_.is_stopped())
                                      host_.log(log_level::error, "acme.stopped",
                                                {{"reason", thrown ? text_of_exception(thrown) : std::string()},
                                                 {"hint", "certificates are not renewed any more; restart"}});
                              }));
    }

    [[nodiscard]] status_list list() const { return manager_ ? manager_->certificates() : status_list(); }

    [[nodiscard]] awaitable<outcome<>> do_force_renew(std::string domain, std::function<void(const acme::event&)> told)
    {
        if (!manager_)
            co_return not_configured();
        auto done = co_await manager_->force_renew(std::move(domain), std::move(told));
        co_return done;
    }

    [[nodiscard]] awaitable<outcome<cert::credential_ptr>> do_obtain(std::string name)
    {
        if (!manager_)
            co_return not_configured();
        auto done = co_await manager_->obtain(std::move(name));
        co_return done;
    }

    [[nodiscard]] awaitable<outcome<>> do_revoke(std::string domain, unsigned reason)
    {
        if (!manager_)
            co_return not_configured();
        auto done = co_await manager_->revoke(std::move(domain), reason);
        co_return done;
    }

    void begin_to_stop()
    {
        last_ = std::make_shared<const status_list>(list());
        host_.http01.also_look_in(nullptr);
        if (desk_)
            desk_->close();
        run_.emit(boost::asio::cancellation_type::terminal);
        follow_.emit(boost::asio::cancellation_type::terminal);
        foreign_stop_.emit(boost::asio::cancellation_type::terminal);
        if (manager_)
            manager_->stop();
    }

    const acme::host host_;
    mutable acme_thread thread_;
    acme_environment world_;
    std::string cache_dir_;   // of the settings
    std::string storage_dir_; // where ours are
    std::unique_ptr<acme::file_storage> storage_;
    std::shared_ptr<answer_desk> desk_; // null: there is no storage
    std::unique_ptr<acme::manager> manager_;
    std::unique_ptr<acme::foreign_folder> foreign_; // null: there is none
    boost::asio::cancellation_signal run_;
    boost::asio::cancellation_signal follow_;
    boost::asio::cancellation_signal foreign_stop_;
    unsigned running_ = 0;
    bool is_started_ = false;
    std::atomic<std::shared_ptr<const status_list>> last_; // since it began to stop
};

}

#endif
