// The certificate manager of a server: a thread of its own with everything that waits for disks and networks, so that
// no handshake ever does. Threads that serve ask it for the answer to a token of http-01 that is not ours.
#ifndef ALOS_SERVER_ACME_SERVICE_HPP
#define ALOS_SERVER_ACME_SERVICE_HPP

#include <alos/acme/board.hpp>
#include <alos/acme/challenge.hpp>
#include <alos/acme/file_storage.hpp>
#include <alos/acme/folder_check.hpp>
#include <alos/acme/foreign_folder.hpp>
#include <alos/acme/manager.hpp>
#include <alos/server/acme_environment.hpp>
#include <alos/server/answer_desk.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <unistd.h>

namespace alos::inline v0 {

class acme_service final : public acme::service {
public:
    template <class T = void>
    using awaitable = acme::awaitable<T>;

    explicit acme_service(acme::host to)
        : host_(std::move(to)), guard_(context_.get_executor()), world_(context_.get_executor()),
          thread_([this] {
              own_thread_ = std::this_thread::get_id();
              context_.run();
          })
    {
    }

    // Not from an event's handler.
    ~acme_service() override
    {
        stop();
        context_.shutdown(); // what still waits goes before what it refers to
    }

    [[nodiscard]] outcome<> configure(acme::config settings) override
    {
        return call(do_configure(std::move(settings)));
    }

    [[nodiscard]] outcome<> add_domain(acme::certificate_names names) override
    {
        return call(do_add(std::move(names)));
    }

    [[nodiscard]] outcome<> remove_domain(std::string_view domain) override
    {
        return call(do_remove(std::string(domain)));
    }

    [[nodiscard]] outcome<> start() override { return call(do_start()); }

    void stop() noexcept override
    {
        if (!is_stopped_.exchange(true))
            boost::asio::post(context_, [this] { begin_to_stop(); });
        if (own_thread_ == std::this_thread::get_id())
            return; // from an event's handler; the destructor waits
        const std::lock_guard one_at_a_time(joining_);
        if (thread_.joinable())
            thread_.join();
    }

    [[nodiscard]] std::vector<acme::certificate_status> certificates() const override
    {
        if (own_thread_ == std::this_thread::get_id())
            return list();
        ++guests_; // before `last_` is looked at: our thread goes on as long as there are any, once it has set that
        const leaving in_the_end{guests_};
        if (const auto last = last_.load())
            return *last;
        std::packaged_task<status_list()> work([this] { return list(); });
        auto done = work.get_future();
        boost::asio::post(context_, [work = std::move(work)]() mutable { work(); });
        try {
            return done.get();
        } catch (const std::future_error&) { // it went with the context
            const auto last = last_.load();
            return last ? *last : status_list();
        }
    }

    [[nodiscard]] awaitable<outcome<>> force_renew(std::string domain,
                                                   std::function<void(const acme::event&)> told) override
    {
        auto work = do_force_renew(std::move(domain), std::move(told));
        return there(std::move(work));
    }

    [[nodiscard]] awaitable<outcome<cert::credential_ptr>> obtain(std::string name) override
    {
        auto work = do_obtain(std::move(name));
        return there(std::move(work));
    }

    [[nodiscard]] awaitable<outcome<>> revoke(std::string domain, unsigned reason) override
    {
        auto work = do_revoke(std::move(domain), reason);
        return there(std::move(work));
    }

private:
    using status_list = std::vector<acme::certificate_status>;

    struct context_type : boost::asio::io_context {
        context_type() : boost::asio::io_context(1) {}
        using boost::asio::execution_context::shutdown;
    };

    static constexpr std::chrono::milliseconds stop_step{10};
    static constexpr std::chrono::milliseconds stop_time{4500};

    static failure not_configured()
    {
        return {errc::bad_configuration, "acme: nothing is configured yet; enable_acme() does that"};
    }

    static failure stopped() { return {errc::closed, "acme: the manager of certificates was stopped"}; }

    struct leaving {
        std::atomic<unsigned>& guests;
        ~leaving() { --guests; }
    };

    // Counts who asks for something, before it is known whether that is too late: whoever is counted gets an answer.
    [[nodiscard]] bool enter() noexcept
    {
        ++guests_;
        if (!is_stopped_)
            return true;
        --guests_;
        return false;
    }

    // Runs on our thread what a thread of somebody else waits for.
    template <class T>
    [[nodiscard]] T call(awaitable<T> work)
    {
        if (own_thread_ == std::this_thread::get_id())
            return failure{errc::bad_configuration, "acme: not from an event's handler"};
        if (!enter())
            return stopped();
        std::promise<T> promise;
        auto done = promise.get_future();
        boost::asio::co_spawn(context_, until_stopped(std::move(work)),
                              [promise = std::move(promise)](const std::exception_ptr& thrown, T value) mutable {
                                  if (thrown)
                                      promise.set_exception(thrown);
                                  else
                                      promise.set_value(std::move(value));
                              });
        try {
            return done.get();
        } catch (const std::future_error&) { // it went with the context
            return stopped();
        }
    }

    // Runs on our thread what a coroutine of somebody else awaits.
    template <class T>
    [[nodiscard]] awaitable<T> there(awaitable<T> work)
    {
        if (!enter())
            co_return stopped();
        auto done = boost::asio::co_spawn(context_, until_stopped(std::move(work)), boost::asio::use_awaitable);
        co_return co_await std::move(done);
    }

    template <class T>
    [[nodiscard]] awaitable<T> until_stopped(awaitable<T> work)
    {
        using namespace boost::asio::experimental::awaitable_operators;
        const leaving in_the_end{guests_};
        if (is_stopping_)
            co_return stopped();
        auto done = co_await (std::move(work) || stopping_bell_.wait());
        if (auto* const value = std::get_if<0>(&done))
            co_return std::move(*value);
        co_return stopped();
    }

    [[nodiscard]] awaitable<outcome<>> do_configure(acme::config settings)
    {
        const auto resolver = settings.resolver.empty() ? outcome<>() : world_.use_resolver(settings.resolver);
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
            context_.get_executor());
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
        desk_ = std::make_shared<answer_desk>(context_.get_executor(), read);
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
        boost::asio::post(context_, [this] { warn_of_open_files(); }); // what is there is served first
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
        boost::asio::co_spawn(context_, std::move(work),
                              boost::asio::bind_cancellation_slot(slot, [this](const std::exception_ptr& thrown) {
                                  --running_;
                                  if (!is_stopped_)
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
        is_stopping_ = true;
        host_.http01.also_look_in(nullptr);
        if (desk_)
            desk_->close();
        stopping_bell_.notify_all();
        run_.emit(boost::asio::cancellation_type::terminal);
        follow_.emit(boost::asio::cancellation_type::terminal);
        foreign_stop_.emit(boost::asio::cancellation_type::terminal);
        if (manager_)
            manager_->stop();
        wait_for_end(std::chrono::steady_clock::now() + stop_time);
    }

    void wait_for_end(std::chrono::steady_clock::time_point latest)
    {
        const bool is_over = running_ == 0 && guests_ == 0 && (!manager_ || manager_->is_idle());
        stopping_.expires_after(stop_step);
        stopping_.async_wait([this, latest, is_over](error_code) {
            // One more round than needed: who was told of the end has its turn.
            if (is_over || std::chrono::steady_clock::now() > latest)
                context_.stop();
            else
                wait_for_end(latest);
        });
    }

    const acme::host host_;
    mutable context_type context_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
    acme_environment world_;
    boost::asio::steady_timer stopping_{context_};
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
    std::atomic<bool> is_stopped_ = false;
    bool is_stopping_ = false;             // as our thread knows it
    mutable std::atomic<unsigned> guests_ = 0; // who wait for something that runs here
    acme::signal stopping_bell_;           // for who is told that it is too late
    std::atomic<std::shared_ptr<const status_list>> last_; // since it was told to stop
    std::atomic<std::thread::id> own_thread_; // set by that
    std::mutex joining_;
    std::thread thread_;
};

}

#endif
