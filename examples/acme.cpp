// Serves its domains over HTTPS with certificates by ACME, which are obtained and renewed while it runs.
//
//     acme email=admin@example.com example.com,www.example.com shop.example
//
// A word with a '=' is one of the settings below, any other the names of one certificate. Unless settings say otherwise,
// Let's Encrypt issues them, and must reach this machine by these names at port 80 or 443.
#include <alos/acme.hpp>
#include <alos/server.hpp>
#include <alos/src.hpp>

#include <iostream>
#include <map>

int main(int argc, char** argv)
{
    alos::server_config config{.addr = ":443", .http_addr = ":80"};
    alos::acme::config& acme = config.acme;
    alos::acme::certificate_authority& ca = acme.cas.front();
    std::string http01_port = "80", tls_alpn01_port = "443", keys, challenge, log, control;

    const std::map<std::string, std::string*> settings = {
        {"addr", &config.addr},                   // where it listens
        {"http_addr", &config.http_addr},
        {"email", &acme.email},
        {"cache_dir", &acme.cache_dir},
        {"directory", &ca.directory},             // the CA
        {"roots_file", &ca.roots_file},
        {"eab_kid", &ca.eab_kid},
        {"eab_hmac_key", &ca.eab_hmac_key},
        {"preferred_chain", &ca.preferred_chain},
        {"keys", &keys},                          // "rsa", or "both"
        {"challenge", &challenge},                // only "http-01", or only "tls-alpn-01"
        {"http01_port", &http01_port},            // where a CA that is no public one connects to
        {"tls_alpn01_port", &tls_alpn01_port},
        {"resolver", &acme.resolver},
        {"log", &log},                            // "debug": every step
        {"control", &control},                    // "on": POST /renew/<domain>, GET /certificates; for whoever asks
    };
    for (const std::string word : std::vector<std::string>(argv + 1, argv + argc)) {
        const auto equals = word.find('=');
        const auto setting = settings.find(word.substr(0, equals));
        if (equals != word.npos && setting == settings.end()) {
            std::cerr << "acme: there is no setting " << word << "; see the first lines of examples/acme.cpp\n";
            return 2;
        }
        if (equals != word.npos)
            *setting->second = word.substr(equals + 1);
        else
            acme.domains.push_back(alos::acme::certificate_names(split(word)));
    }
}
