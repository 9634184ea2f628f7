// The plainest ACME client there is: every step once, in order (RFC 8555 7.1). It shows what a CA of the tests does.
#ifndef ALOS_TESTS_ACME_WALK_HPP
#define ALOS_TESTS_ACME_WALK_HPP

#include "support/scripted_ca.hpp"

#include <alos/acme/jws.hpp>
#include <alos/crypto/botan_csr.hpp>

#include <boost/asio/co_spawn.hpp>

#include <exception>
#include <span>

namespace test {

class acme_walk {
public:
    template <class T = void>
    using awaitable = alos::acme::awaitable<T>;
    using answer = outcome<http::outbound_response>;

    // Answers http-01 by `published`, which the world serves.
    acme_walk(simulated_member& process, std::string directory_url, alos::acme::answers& published)
        : key(alos::acme::account_key::generate(alos::key_kind::ecdsa_p256).value()), process_(process),
          published_(published), directory_url_(std::move(directory_url))
    {
    }

    // One request. Failures to connect and everything but success end the walk by an exception that names them.
    awaitable<http::outbound_response> get(std::string url)
    {
        http::outbound_request request;
        request.url = std::move(url);
        last = co_await process_.fetch(std::move(request));
        keep_nonce();
        co_return succeeded();
    }

    awaitable<http::outbound_response> post(std::string url, std::string payload, bool by_key = false)
    {
        if (nonce_.empty()) {
            http::outbound_request ask;
            ask.method = "HEAD";
            ask.url = member_text(directory, "newNonce");
            last = co_await process_.fetch(std::move(ask));
            keep_nonce();
        }
        http::outbound_request request;
        request.method = "POST";
        request.url = std::move(url);
        request.fields.emplace_back("Content-Type", "application/jose+json");
        const alos::acme::jws_target target{request.url, std::exchange(nonce_, {}), by_key ? std::string() : account};
        request.body = alos::acme::sign_jws(key, target, payload).value();
        last = co_await process_.fetch(std::move(request));
        keep_nonce();
        co_return succeeded();
    }

    awaitable<> open_account(std::string payload = R"({"termsOfServiceAgreed":true})")
    {
        const auto listed = co_await get(directory_url_);
        directory = json::parse(listed.body);
        std::string url(member_text(directory, "newAccount"));
        const auto made = co_await post(std::move(url), std::move(payload), true);
        account = made.field("Location");
    }

    // The chain for these names, PEM.
    awaitable<std::string> obtain(std::vector<std::string> names, std::string more = {})
    {
        co_await place_order(names, more);
        co_await authorize();
        co_await poll(order_url, "ready", "pending");
        co_await send_csr(names);
        co_await poll(order_url, "valid", "processing");
        std::string url(member_text(order, "certificate"));
        const auto chain = co_await post(std::move(url), "");
        co_return chain.body;
    }

    awaitable<> place_order(std::vector<std::string> names, std::string more = {})
    {
        json::array identifiers;
        for (const std::string& name : names) {
            const bool address = !alos::cert::ip_address(name).empty();
            identifiers.push_back(json::object{{"type", address ? "ip" : "dns"}, {"value", name}});
        }
        std::string payload = R"({"identifiers":)" + json::serialize(identifiers) + more + "}";
        std::string url(member_text(directory, "newOrder"));
        const auto placed = co_await post(std::move(url), std::move(payload));
        order_url = placed.field("Location");
        order = json::parse(placed.body);
    }

    awaitable<> authorize()
    {
        const json::array list = order.at("authorizations").as_array();
        for (const json::value& each : list) {
            std::string url(each.as_string());
            co_await authorize_one(std::move(url));
        }
    }

    awaitable<> authorize_one(std::string url)
    {
        const auto shown = co_await post(url, "");
        const json::value body = json::parse(shown.body);
        if (member_text(body, "status") == "valid")
            co_return;
        for (const json::value& each : body.at("challenges").as_array()) {
            if (member_text(each, "type") != "http-01")
                continue;
            const std::string token(member_text(each, "token"));
            std::string where(member_text(each, "url"));
            published_.put(token, token + "." + std::string(key.thumbprint()));
            co_await post(std::move(where), "{}");
            co_await poll(url, "valid", "pending");
            published_.remove(token);
            co_return;
        }
        throw std::runtime_error("no http-01 challenge");
    }

    awaitable<> send_csr(std::vector<std::string> names)
    {
        std::vector<std::string> hosts;
        std::vector<byte_vector> addresses;
        for (const std::string& name : names) {
            const alos::cert::ip_address address(name);
            if (address.empty())
                hosts.push_back(name);
            else
                addresses.emplace_back(address.bytes().begin(), address.bytes().end());
        }
        certificate_key = next_key();
        const auto csr = alos::make_csr(*certificate_key, hosts, addresses).value();
        std::string payload = R"({"csr":")" + to_base64url(csr) + R"("})";
        std::string url(member_text(order, "finalize"));
        co_await post(std::move(url), std::move(payload));
    }

    // Until the object at `url` has that status. Any but `meanwhile` ends the walk, and so does an hour.
    awaitable<> poll(std::string url, std::string status, std::string meanwhile)
    {
        const time_point end = process_.now() + std::chrono::hours(1);
        for (;;) {
            const auto shown = co_await post(url, "");
            const json::value body = json::parse(shown.body);
            if (url == order_url)
                order = body;
            if (member_text(body, "status") == status)
                co_return;
            if (member_text(body, "status") != meanwhile)
                throw std::runtime_error("status " + std::string(member_text(body, "status")));
            if (process_.now() > end)
                throw std::runtime_error("still " + meanwhile);
            co_await process_.sleep_until(process_.now() + std::chrono::seconds(2));
        }
    }

    alos::acme::account_key key;
    json::value directory;
    std::string account; // its URL
    json::value order;
    std::string order_url;
    alos::private_key_ptr certificate_key;
    answer last = http::outbound_response(); // as it came

    // Makes the key of the next certificate.
    std::function<alos::private_key_ptr()> next_key = [] {
        return alos::private_key::generate(alos::key_kind::ecdsa_p256).value();
    };

private:
    void keep_nonce()
    {
        if (last && !last->field("Replay-Nonce").empty())
            nonce_ = last->field("Replay-Nonce");
    }

    http::outbound_response succeeded() const
    {
        if (!last)
            throw std::runtime_error(last.error().code.message());
        if (last->status >= 300) {
            boost::system::error_code ec;
            const json::value problem = json::parse(last->body, ec);
            const std::string type(member_text(problem, "type"));
            throw std::runtime_error(std::to_string(last->status) + " " + type.substr(type.rfind(':') + 1));
        }
        return *last;
    }

    simulated_member& process_;
    alos::acme::answers& published_;
    std::string directory_url_;
    std::string nonce_;
};

// Lives in a world of one member until `work` has ended. Returns what ended it: empty, or the text of the exception.
template <class T>
std::string walk(simulated_world& world, simulated_member& member, alos::acme::awaitable<T> work, T* result = nullptr)
{
    bool done = false;
    std::string end;
    asio::co_spawn(member.executor(), std::move(work), [&](std::exception_ptr thrown, T value) {
        done = true;
        if (thrown)
            end = alos::text_of_exception(thrown);
        else if (result != nullptr)
            *result = std::move(value);
    });
    if (!world.run_until([&] { return done; }, std::chrono::hours(24 * 30)))
        end = "never ended";
    return end;
}

inline std::string walk(simulated_world& world, simulated_member& member, alos::acme::awaitable<> work)
{
    bool done = false;
    std::string end;
    asio::co_spawn(member.executor(), std::move(work), [&](std::exception_ptr thrown) {
        done = true;
        if (thrown)
            end = alos::text_of_exception(thrown);
    });
    if (!world.run_until([&] { return done; }, std::chrono::hours(24 * 30)))
        end = "never ended";
    return end;
}

}

#endif
