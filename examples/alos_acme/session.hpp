// The world of one command: the folder, the network, and the listeners that answer challenges while it runs.
#ifndef ALOS_EXAMPLES_ALOS_ACME_SESSION_HPP
#define ALOS_EXAMPLES_ALOS_ACME_SESSION_HPP

#include "dns.hpp"
#include "options.hpp"
#include "report.hpp"

#include <alos/acme/file_storage.hpp>
#include <alos/acme/foreign_storage.hpp>
#include <alos/acme/provable.hpp>
#include <alos/acme/renewer.hpp>
#include <alos/acme/trial.hpp>
#include <alos/server.hpp>
#include <alos/server/acme_environment.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/multiple_exceptions.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace command {

namespace acme = alos::acme;

template <class T = void>
using awaitable = acme::awaitable<T>;

// Something in the folder that a command cannot do without.
struct unreadable : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class session {
    struct context_type : boost::asio::io_context {
        context_type() : boost::asio::io_context(1) {}
        using boost::asio::execution_context::shutdown;
    };

    context_type context_;
    boost::asio::posix::stream_descriptor signals_{context_, open_signals()}; // before any thread is begun

public:
    explicit session(options asked)
        : chosen(std::move(asked)), world(context_.get_executor()),
          storage(world.files(), chosen.cache_dir, "alos-acme process " + std::to_string(::getpid()),
                  [this] { return world.now(); },
                  [this](std::chrono::milliseconds time) { return world.sleep_until(world.now() + time); }),
          solver(make_dns_solver(chosen)), http_(settings_for("127.0.0.1:0", chosen.http_addr)),
          tls_(settings_for(chosen.addr, "")), board(world, storage, http_.challenges(), tls_.certificates())
    {
    }

    session(const session&) = delete;
    session& operator=(const session&) = delete;

    ~session() { context_.shutdown(); } // what still waits goes before what it refers to

    // "certbot" or "lego" when the folder is of either; else empty.
    [[nodiscard]] std::string other_owner()
    {
        return acme::is_certbot(world.files(), chosen.cache_dir) ? "certbot"
               : acme::is_lego(world.files(), chosen.cache_dir)  ? "lego"
                                                                 : "";
    }

    // Before anything else. Fails when the folder is certbot's or lego's and not only listed, or missing where nothing
    // makes it, and when there is no solver for --dns-exec.
    [[nodiscard]] alos::outcome<> open()
    {
        if (const std::string owner = other_owner(); !owner.empty() && chosen.command != "list")
            return alos::failure{alos::errc::bad_configuration,
                                 chosen.cache_dir + " is a folder of " + owner + "'s, which is only listed; choose "
                                                    "another one by --cache-dir"};
        const bool may_be_missing = chosen.command == "issue" || chosen.command == "doctor";
        const auto there = world.files().list(chosen.cache_dir);
        if (!there && !may_be_missing)
            return alos::failure{there.error(), why_not_listed(chosen.cache_dir, there.error())};
        const std::string live = chosen.cache_dir + "/live"; // where certbot has them, for root alone
        const auto others = world.files().list(live);
        if (there && others.error() == boost::system::errc::permission_denied)
            return alos::failure{others.error(), why_not_listed(live, others.error())
                                                     + "; run it as the owner of that folder"};
        if (!chosen.dns_exec.empty() && !solver)
            return alos::failure{alos::errc::bad_configuration, "--dns-exec: this alos-acme has no support for it"};
        return chosen.resolver.empty() ? alos::outcome<>() : world.use_resolver(chosen.resolver);
    }

    // Runs a command to its end. Interrupted once, it takes its answers away; twice, it ends at once. The end of a
    // terminal is told several times, by the kernel and by shells, and is none of these.
    [[nodiscard]] report run(awaitable<report> work)
    {
        std::optional<report> done;
        boost::asio::cancellation_signal cancel;
        bool is_interrupted = false, is_to_end = false;
        follow_signals([&](std::uint32_t which) {
            if (which != SIGHUP && std::exchange(is_to_end, true)) {
                context_.stop();
                return;
            }
            if (!std::exchange(is_interrupted, true))
                say(std::string("interrupted; what was published for the CA is taken away")
                    + (is_to_end ? "; one more of these ends at once" : ""));
            cancel.emit(boost::asio::cancellation_type::terminal);
        });
        const auto finish = [&](const std::exception_ptr& thrown, report came) {
            done = thrown ? failed(thrown) : std::move(came);
            context_.stop();
        };
        boost::asio::co_spawn(context_, std::move(work), boost::asio::bind_cancellation_slot(cancel.slot(), finish));
        context_.run();
        if (!done)
            done = fault("interrupted");
        return std::move(*done);
    }

    static report fault(const std::string& why)
    {
        report said{1};
        said.json["error"] = by_options(why);
        return said;
    }

    // Fails when no chosen challenge can prove one of these names, whatever the CA offers.
    [[nodiscard]] alos::outcome<> check_provable(const std::vector<acme::identifier>& names) const
    {
        acme::config by;
        by.challenges = chosen.challenges;
        by.dns = solver;
        for (const acme::identifier& each : names) {
            if (const auto provable = acme::check_provable(by, each); !provable)
                return provable.error();
        }
        return {};
    }

    // Listens where CAs connect to, and says which of the chosen challenges can be answered: by this process, by a
    // server on the same folder that listens there, or in the DNS.
    [[nodiscard]] awaitable<std::vector<challenge_type>> open_ports()
    {
        const auto needs_port = [](challenge_type each) { return each != challenge_type::dns_01; };
        if (std::ranges::any_of(chosen.challenges, needs_port))
            co_await take_turn();
        std::vector<challenge_type> usable;
        for (const challenge_type each : chosen.challenges) {
            if (each == challenge_type::dns_01) {
                if (solver)
                    usable.push_back(each);
                continue;
            }
            const std::string taken = listen(each);
            if (taken.empty()) {
                usable.push_back(each);
                continue;
            }
            const bool answered = co_await answers_for_us(each);
            if (answered)
                usable.push_back(each);
            say(answered ? std::string(name_of(each)) + ": a server on the same folder listens there, and answers"
                         : std::string(name_of(each)) + " cannot be answered: " + taken + "; " + cure_of(each));
        }
        co_return usable;
    }

    // Why it does not listen where a challenge of that kind is looked for; empty: it does.
    [[nodiscard]] std::string listen(challenge_type type)
    {
        alos::server& server = type == challenge_type::http_01 ? http_ : tls_;
        // It shows a certificate to nobody but a CA that looks for its answer; else it would keep one on disk.
        if (server.list_certs().empty())
            static_cast<void>(server.add_self_signed_cert("localhost"));
        const auto started = server.start();
        return started ? std::string() : started.error().what;
    }

    [[nodiscard]] acme::certificate_authority authority(std::string directory) const
    {
        acme::certificate_authority ca;
        ca.directory = std::move(directory);
        ca.roots_file = chosen.roots;
        ca.eab_kid = chosen.eab_kid;
        ca.eab_hmac_key = chosen.eab_hmac_key;
        ca.eab_hmac_key_file = chosen.eab_hmac_key_file;
        ca.account_key = chosen.account_key;
        ca.profile = chosen.profile;
        ca.preferred_chain = chosen.preferred_chain;
        return ca;
    }

    // The account with that URL; where there is none, or no URL is known, the only one that the storage has. Throws
    // where it may be one that cannot be read.
    [[nodiscard]] awaitable<acme::account_record> account_of(std::string url)
    {
        known_accounts all;
        if (chosen.command != "list") // which asks no CA
            all = co_await accounts();
        for (const acme::account_record& each : all.read) {
            if (each.url == url || (all.read.size() == 1 && all.damaged.empty()))
                co_return each;
        }
        if (!all.damaged.empty())
            throw unreadable(all.damaged);
        if (url.empty() && all.read.size() > 1)
            throw unreadable("which CA it is from is not known, as its meta.json is lost and there are several "
                             "accounts; issue it again, with the --directory and --email of one");
        acme::account_record none;
        none.email = chosen.email;
        if (chosen.command != "list")
            none.directory = chosen.directory_or_default();
        co_return none;
    }

    // The chosen one; else that of the account at this CA, if there is one and no more. Throws as account_of().
    [[nodiscard]] awaitable<std::string> email_at(std::string directory)
    {
        if (!chosen.email.empty())
            co_return chosen.email;
        known_accounts all = co_await accounts();
        constexpr std::size_t digest = 12; // characters, behind the host of the CA
        const std::string like = acme::storage_id(directory);
        if (!all.damaged.empty() && all.damaged_id.starts_with(like.substr(0, like.size() - digest)))
            throw unreadable(all.damaged);
        std::erase_if(all.read, [&](const acme::account_record& each) { return each.directory != directory; });
        co_return all.read.size() == 1 ? all.read.front().email : std::string();
    }

    struct known_accounts {
        std::vector<acme::account_record> read;
        std::string damaged;    // what is wrong with one of the others; empty: there are none
        std::string damaged_id; // see storage_id()
    };

    // As the storage has them. Throws where that cannot be told.
    [[nodiscard]] awaitable<known_accounts> accounts()
    {
        known_accounts all;
        const auto names = co_await storage.list("account");
        if (!names)
            throw unreadable(names.error().what);
        for (const std::string& each : *names) {
            if (each.ends_with(".key"))
                continue;
            const auto kept = co_await storage.load("account/" + each);
            if (!kept)
                throw unreadable(kept.error().what);
            if (!kept->has_value())
                continue;
            auto record = acme::parse_account_record(alos::as_text((*kept)->text));
            if (record) {
                all.read.push_back(std::move(*record));
                continue;
            }
            all.damaged_id = each;
            all.damaged = chosen.cache_dir + "/account/" + each
                          + ".json: it is damaged; put a copy of it back, or remove it, and the next issue with the "
                            "--email of that account finds it at the CA by its key";
        }
        co_return all;
    }

    // In this order they are made, and go the other way.
    const options chosen;
    alos::acme_environment world;
    acme::file_storage storage;
    progress say;
    const std::shared_ptr<acme::dns_solver> solver; // null: none

private:
    std::optional<acme::storage_lock> turn_; // of the ports

    // One has what plain HTTP answers, the other what TLS shows: either port may be taken.
    alos::server http_;
    alos::server tls_;

public:
    acme::board board;

private:
    // What ends a program is read here, and no thread that is begun later is told of it otherwise, so that it ends
    // nothing at any time; a program that is begun hears of it as usual. What is ignored, as nohup does, stays so.
    static int open_signals()
    {
        ::sigset_t heard;
        ::sigemptyset(&heard);
        for (const int each : {SIGINT, SIGTERM, SIGHUP}) {
            struct ::sigaction now {};
            ::sigaction(each, nullptr, &now);
            if (now.sa_handler != SIG_IGN)
                ::sigaddset(&heard, each);
        }
        ::pthread_sigmask(SIG_BLOCK, &heard, nullptr);
        const int opened = ::signalfd(-1, &heard, SFD_NONBLOCK | SFD_CLOEXEC);
        if (opened < 0)
            throw std::system_error(errno, std::generic_category(), "signals");
        return opened;
    }

    // Calls `heard` with each of them, while the context runs.
    void follow_signals(std::function<void(std::uint32_t)> heard)
    {
        signals_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                            [this, heard = std::move(heard)](alos::error_code ec) mutable {
                                if (ec)
                                    return;
                                ::signalfd_siginfo what{};
                                while (::read(signals_.native_handle(), &what, sizeof what) == sizeof what)
                                    heard(what.ssi_signo);
                                follow_signals(std::move(heard));
                            });
    }

    static alos::server_config settings_for(std::string addr, std::string http_addr)
    {
        alos::server_config settings;
        settings.addr = std::move(addr);
        settings.http_addr = std::move(http_addr);
        settings.threads = 1;
        settings.log.level = alos::log_level::off;
        return settings;
    }

    static std::string why_not_listed(const std::string& folder, alos::error_code why)
    {
        if (why == boost::system::errc::no_such_file_or_directory)
            return folder + ": there is no such folder; issue makes it, --cache-dir names another";
        if (why == boost::system::errc::not_a_directory)
            return folder + ": it is no folder; name that of certificates by --cache-dir";
        return folder + ": it cannot be read: " + why.message();
    }

    static report failed(const std::exception_ptr& thrown)
    {
        try {
            std::rethrow_exception(thrown);
        } catch (const boost::asio::multiple_exceptions& several) { // of operators like ||
            return failed(several.first_exception());
        } catch (const boost::system::system_error& error) {
            if (error.code() == boost::asio::error::operation_aborted)
                return fault("interrupted; what is under way at the CA goes on with the next call");
            return fault(error.what());
        } catch (const std::exception& error) {
            return fault(error.what());
        }
    }

    // Of several commands on one folder one has the ports, until it ends; what cannot be locked keeps nobody waiting.
    [[nodiscard]] awaitable<> take_turn()
    {
        for (bool is_told = false;; is_told = true) {
            auto taken = co_await storage.try_lock("ports");
            if (!taken || taken->has_value()) {
                turn_ = taken ? std::move(*taken) : std::nullopt;
                co_return;
            }
            if (!is_told)
                say("waiting for another alos-acme on this folder to end; locks/ports.fence.json says which");
            co_await world.sleep_until(world.now() + std::chrono::seconds(1));
        }
    }

    // Whether what listens there answers for this folder.
    [[nodiscard]] awaitable<bool> answers_for_us(challenge_type type)
    {
        const bool is_http = type == challenge_type::http_01;
        const auto place = alos::split_host_and_port(is_http ? chosen.http_addr : chosen.addr);
        if (!place)
            co_return false;
        const auto host = acme::identifier_of(place->host.empty() ? "127.0.0.1" : place->host);
        if (!host)
            co_return false;
        const acme::trial look{.type = type, .about = *host, .port = place->port};
        const std::string seen = co_await acme::try_answer(world, storage, board, look);
        co_return seen.empty();
    }

    static std::string cure_of(challenge_type type)
    {
        return type == challenge_type::http_01
                   ? "if an alos server has the port, give both the same cache_dir, or set its acme_node to the "
                     "--http-addr of this command"
                   : "if an alos server has the port, give both the same cache_dir";
    }
};

}

#endif
