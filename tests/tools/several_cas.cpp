// A server whose certificates may come from more than one CA: what examples/acme.cpp leaves out to stay short.
//   several_cas addr=... directory=https://first.test/dir directory=https://second.test/dir a.test b.test
// Each word without a '=' is a certificate's name. `directory` begins a CA; `roots_file`, `eab_kid` and `eab_hmac_key`
// are of the one begun last.
#include <alos/acme.hpp>
#include <alos/server.hpp>
#include <alos/src.hpp>

#include <cstdlib>
#include <iostream>
#include <map>

int main(int argc, char** argv)
{
    alos::server_config config{.threads = 1, .log = {.level = alos::log_level::debug}};
    alos::acme::config& acme = config.acme;
    acme.cas.clear();
    std::string http01_port, tls_alpn01_port;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        const std::size_t equals = word.find('=');
        const std::string name = word.substr(0, equals);
        if (equals == std::string::npos) {
            acme.domains.emplace_back(word);
            continue;
        }
        if (name == "directory")
            acme.cas.emplace_back();
        std::map<std::string, std::string*> settings = {
            {"addr", &config.addr},
            {"http_addr", &config.http_addr},
            {"email", &acme.email},
            {"resolver", &acme.resolver},
            {"http01_port", &http01_port},
            {"tls_alpn01_port", &tls_alpn01_port},
        };
        if (!acme.cas.empty()) {
            alos::acme::certificate_authority& ca = acme.cas.back();
            settings.insert({{"directory", &ca.directory}, {"roots_file", &ca.roots_file}, {"eab_kid", &ca.eab_kid}});
            if (name == "eab_hmac_key") {
                ca.eab_hmac_key = alos::to_secret_text(word.substr(equals + 1));
                continue;
            }
        }
        const auto setting = settings.find(name);
        if (setting == settings.end()) {
            std::cerr << "several_cas: " << word << " is no setting, or comes before the first directory\n";
            return 2;
        }
        *setting->second = word.substr(equals + 1);
    }
    acme.http01_port = static_cast<std::uint16_t>(std::atoi(http01_port.c_str()));
    acme.tls_alpn01_port = static_cast<std::uint16_t>(std::atoi(tls_alpn01_port.c_str()));
    alos::server app(std::move(config));
    app.router.get("/", [](alos::request& req, alos::response& res) {
        res.string("Hello from " + std::string(req.tls()->server_name) + "\n");
    });
    return app.listen_and_serve_tls();
}
