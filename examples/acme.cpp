// Serves its domains over HTTPS with certificates by ACME, which are obtained and renewed while it runs.
//
//     acme email=admin@example.com example.com,www.example.com shop.example
//
// A word with a '=' is one of the settings below, any other the names of one certificate. Unless settings say
// otherwise, Let's Encrypt issues them, and must reach this machine by these names at port 80 or 443.
#include <alos/acme.hpp>
#include <alos/dns/exec.hpp>
#include <alos/server.hpp>
#include <alos/src.hpp>

#include <algorithm>
#include <charconv>
#include <iostream>
#include <map>
#include <string>
#include <vector>

int main(int argc, char** argv)
{
    alos::server_config config{.addr = ":443", .http_addr = ":80"};
    alos::acme::config& acme = config.acme;
    alos::acme::certificate_authority& ca = acme.cas.front();
    std::string keys, challenge, self_check, dns_exec, log, control;

    struct setting {
        std::string* into;
        std::vector<std::string> values{}; // empty: any
    };
    const std::map<std::string, setting> settings = {
        {"addr", {&config.addr}},
        {"http_addr", {&config.http_addr}},
        {"email", {&acme.email}},
        {"cache_dir", {&acme.cache_dir}},
        {"acme_node", {&acme.acme_node}}, // a server that has answers to challenges, too: address:port
        {"keys", {&keys, {"ecdsa", "rsa", "both"}}},
        {"challenge", {&challenge, {"http-01", "tls-alpn-01", "dns-01"}}}, // only that
        {"dns_exec", {&dns_exec}},   // for dns-01, wildcards too: the path of a program, see alos/dns/exec.hpp
        {"directory", {&ca.directory}},
        {"roots_file", {&ca.roots_file}},
        {"eab_kid", {&ca.eab_kid}},
        {"eab_hmac_key_file", {&ca.eab_hmac_key_file}}, // its key, where no list of processes shows it
        {"profile", {&ca.profile}},
        {"preferred_chain", {&ca.preferred_chain}},
        {"self_check", {&self_check, {"on", "off"}}}, // "off": the CA is asked at once, whatever can be seen from here
        {"resolver", {&acme.resolver}},
        {"log", {&log, {"info", "debug"}}},     // "debug" tells every step
        {"control", {&control, {"on", "off"}}}, // "on": GET /certificates and POST /renew/<domain>, for whoever asks
    };
    const std::map<std::string, std::uint16_t*> ports = {
        {"http01_port", &acme.http01_port}, // where a CA that is no public one connects to
        {"tls_alpn01_port", &acme.tls_alpn01_port},
    };
    const auto refuse = [](const std::string& why) {
        std::cerr << "acme: " << why << "\n";
        return 2;
    };
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        const auto equals = word.find('=');
        const std::string name = word.substr(0, equals);
        const std::string value = word.substr(equals == std::string::npos ? word.size() : equals + 1);
        if (equals == std::string::npos) {
            acme.domains.emplace_back(std::vector<std::string>());
            for (std::size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
                end = word.find(',', begin);
                acme.domains.back().names.push_back(word.substr(begin, end - begin));
            }
        } else if (const auto port = ports.find(name); port != ports.end()) {
            const auto [stop, failed] = std::from_chars(value.data(), value.data() + value.size(), *port->second);
            if (failed != std::errc() || stop != value.data() + value.size() || *port->second == 0)
                return refuse(name + " cannot be '" + value + "'; it is a number from 1 to 65535");
        } else if (const auto found = settings.find(name); found != settings.end()) {
            *found->second.into = value;
            const auto& values = found->second.values;
            if (!values.empty() && std::ranges::count(values, value) == 0)
                return refuse(name + " cannot be '" + value + "'; it is one of " + alos::acme::join(values));
        } else {
            return refuse(word + " is no setting; examples/acme.cpp lists them");
        }
    }
    if (keys == "rsa" || keys == "both")
        acme.key_types.insert(acme.key_types.end(), alos::key_kind::rsa_2048);
    if (keys == "rsa")
        acme.key_types.erase(acme.key_types.begin());
    if (!challenge.empty())
        std::erase_if(acme.challenges, [&](auto each) { return name_of(each) != challenge; });
    if (!dns_exec.empty())
        acme.dns = std::make_shared<alos::dns::exec>(alos::dns::exec_options{.program = dns_exec});
    acme.self_check = self_check != "off";
    if (log == "debug")
        config.log.level = alos::log_level::debug;

    alos::server app(std::move(config));

    app.router.get("/", [](alos::request& req, alos::response& res) {
        res.string("Hello from " + std::string(req.tls()->server_name) + "\n");
    });

    if (control == "on") {
        app.router.get("/certificates", [&app](alos::request&, alos::response& res) {
            res.string(app.acme_certificates_json() + "\n");
        });
        app.router.post("/renew/:name",
                        [&app](alos::request& req, alos::response& res) -> alos::awaitable<void> {
                            auto renewal = app.force_renew(std::string(req.param("name")));
                            const auto done = co_await std::move(renewal);
                            res.status(done ? 200 : 502).string(done ? "renewed\n" : done.error().what + "\n");
                        });
    }
    return app.listen_and_serve_tls();
}
