// An ACME server that checks nothing: it gives nonces, and answers each path as a test says.
#ifndef ALOS_TESTS_PLAIN_CA_HPP
#define ALOS_TESTS_PLAIN_CA_HPP

#include "support/scripted_ca_jws.hpp"
#include "support/simulated_world.hpp"

#include <boost/json/serialize.hpp>

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace test {

class plain_ca {
public:
    // A request as it was signed.
    struct asked {
        json::value header;
        json::value payload; // null: POST-as-GET
    };

    using script = std::function<http::outbound_response(const asked& what)>;

    // Serves ca.test in `world`, which outlives it.
    explicit plain_ca(simulated_world& world) : world_(world)
    {
        world_.serve("ca.test", [this](const http::outbound_request& request) { return answer(request); });
    }

    plain_ca(const plain_ca&) = delete;
    plain_ca& operator=(const plain_ca&) = delete;
    ~plain_ca() { world_.serve("ca.test", nullptr); }

    static std::string url(const std::string& path = "/directory") { return "https://ca.test" + path; }

    static http::outbound_response reply(unsigned status, const json::value& body, http::outbound_fields fields = {})
    {
        http::outbound_response out{.status = status, .fields = std::move(fields), .body = json::serialize(body)};
        out.fields.emplace_back("Content-Type", status < 400 ? "application/json" : "application/problem+json");
        return out;
    }

    // RFC 8555 6.7
    static http::outbound_response problem(unsigned status, const std::string& type, json::object more = {},
                                           http::outbound_fields fields = {})
    {
        more["type"] = "urn:ietf:params:acme:error:" + type;
        return reply(status, more, std::move(fields));
    }

    std::map<std::string, script> at; // by path: "/new-account", "/new-order", "/key-change", any that is named
    std::vector<std::string> requests; // paths, those of the directory and of nonces left out

    // For a test that now and then has something else answer.
    outcome<http::outbound_response> answer(const http::outbound_request& request)
    {
        const std::string path(spelled_url(request.url).path);
        http::outbound_response out{.status = 200};
        if (path == "/directory") {
            out = reply(200, {{"newNonce", url("/new-nonce")},
                              {"newAccount", url("/new-account")},
                              {"newOrder", url("/new-order")},
                              {"keyChange", url("/key-change")},
                              {"revokeCert", url("/revoke-cert")}});
        } else if (path != "/new-nonce") {
            requests.push_back(path);
            const auto jws = open_jws(page_, page_.parse(request.body));
            const auto found = at.find(path);
            out = jws && found != at.end() ? found->second({jws->header, page_.parse(jws->payload)})
                                           : problem(404, "malformed");
        }
        out.url = request.url;
        out.fields.emplace_back("Replay-Nonce", "n" + std::to_string(++nonces_));
        return out;
    }

private:
    simulated_world& world_;
    json_page page_;
    unsigned nonces_ = 0;
};

}

#endif
