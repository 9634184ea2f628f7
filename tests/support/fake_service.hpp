// A certificate manager that does nothing but note what it is told, and says what a test wants.
#ifndef ALOS_TESTS_SUPPORT_FAKE_SERVICE_HPP
#define ALOS_TESTS_SUPPORT_FAKE_SERVICE_HPP

#include <alos/server/acme_link.hpp>

#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace alos_tests {

using namespace alos;

// What the services of one test have in common.
struct fake_world {
    std::function<void(std::string_view call)> on_call; // while it goes on
    outcome<> configured = {};
    outcome<> started = {};
    std::vector<acme::certificate_status> certificates;
    std::vector<http::outbound_request> fetched;
    acme::service* service = nullptr;
    bool puts_placeholders = true;

    // What was called, in its order: "configure a.test", "start", "stop".
    [[nodiscard]] std::vector<std::string> calls() const
    {
        const std::lock_guard lock(mutex_);
        return calls_;
    }

    void note(std::string call)
    {
        if (on_call)
            on_call(call);
        const std::lock_guard lock(mutex_);
        calls_.push_back(std::move(call));
    }

private:
    mutable std::mutex mutex_;
    std::vector<std::string> calls_;
};

inline fake_world* present_world = nullptr;

class fake_service final : public acme::service {
public:
    fake_service(fake_world& world, acme::host host) : world_(world), host_(std::move(host)) { world_.service = this; }
    ~fake_service() override { world_.note("end"); }

    outcome<> configure(acme::config settings) override
    {
        std::string text = "configure";
        for (const acme::certificate_names& each : settings.domains)
            text += " " + each.names.front();
        world_.note(text);
        if (!world_.configured)
            return world_.configured;
        for (const acme::certificate_names& each : settings.domains)
            static_cast<void>(add(each));
        return {};
    }

    outcome<> add_domain(acme::certificate_names names) override
    {
        world_.note("add " + names.names.front() + (names.email.empty() ? "" : " for " + names.email));
        return add(names);
    }

    outcome<> remove_domain(std::string_view domain) override
    {
        world_.note("remove " + std::string(domain));
        return host_.certificates.remove_cert(domain);
    }

    outcome<> start() override
    {
        world_.note("start");
        host_.http01.put("token", "token.thumbprint");
        host_.log(log_level::info, "acme.fake", {{"what", "started"}});
        return world_.started;
    }

    void stop() noexcept override
    {
        host_.http01.remove("token");
        world_.note("stop");
    }

    std::vector<acme::certificate_status> certificates() const override { return world_.certificates; }

    boost::asio::awaitable<outcome<>> force_renew(std::string domain,
                                                  std::function<void(const acme::event&)> told) override
    {
        world_.note("renew " + domain);
        const acme::event step{acme::event_kind::progress, domain, "ordered"};
        if (told)
            told(step);
        on_event(step);
        co_return outcome<>();
    }

    boost::asio::awaitable<outcome<cert::credential_ptr>> obtain(std::string name) override
    {
        world_.note("obtain " + name);
        const auto current = host_.certificates.served().load();
        co_return current->find(name).front();
    }

    boost::asio::awaitable<outcome<>> revoke(std::string domain, unsigned reason) override
    {
        world_.note("revoke " + domain + " " + std::to_string(reason));
        co_return failure{errc::unknown_name, domain + " has no certificate"};
    }

private:
    outcome<> add(const acme::certificate_names& names)
    {
        return world_.puts_placeholders ? host_.certificates.add_self_signed_cert(names.names.front()) : outcome<>();
    }

    fake_world& world_;
    const acme::host host_;
};

// While it lives, programs have a manager, and a client for other nodes: those of `world`.
class with_fake_service {
public:
    explicit with_fake_service(fake_world& world)
    {
        present_world = &world;
        acme::make_service = [](acme::host host) -> std::unique_ptr<acme::service> {
            return std::make_unique<fake_service>(*present_world, std::move(host));
        };
        acme::write_list = [](const std::vector<acme::certificate_status>& list) {
            return "[" + std::to_string(list.size()) + "]";
        };
        acme::make_fetcher = [](std::string_view resolver) -> outcome<acme::fetcher> {
            if (resolver == "wrong")
                return failure{errc::bad_configuration, "it is no name server"};
            return &fetch;
        };
    }
    with_fake_service(const with_fake_service&) = delete;
    with_fake_service& operator=(const with_fake_service&) = delete;
    ~with_fake_service()
    {
        acme::make_service = nullptr;
        acme::write_list = nullptr;
        acme::make_fetcher = nullptr;
    }

private:
    static boost::asio::awaitable<outcome<http::outbound_response>> fetch(http::outbound_request what)
    {
        present_world->fetched.push_back(std::move(what));
        http::outbound_response said;
        said.status = 200;
        said.body = "theirs";
        co_return said;
    }
};

}

#endif
