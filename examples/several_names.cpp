// Several names on one address, each with its own certificate, which is replaced while the server runs: connections
// that are open keep the old one, new ones see the new one, nothing is dropped.
//
//     several_names [address]
//     curl -k --resolve one.example:8443:127.0.0.1 https://one.example:8443/
//     curl -k -X POST https://localhost:8443/renew/one.example
#include <alos/server.hpp>

int main(int argc, char** argv)
{
    alos::server app({.addr = argc > 1 ? argv[1] : ":8443"});

    // From files it would be app.add_cert_from_files("one.example", "one.pem", "one-key.pem").
    for (const auto* name : {"one.example", "*.two.example", "localhost"}) {
        if (const auto added = app.add_self_signed_cert(name); !added) {
            log_event(app.log(), alos::log_level::error, "example", {{"reason", added.error().what}});
            return 1;
        }
    }
    app.set_default_cert("localhost").value();

    app.router.get("/", [](alos::request& req, alos::response& res) {
        res.string("Hello from " + std::string(req.tls()->server_name) + "\n");
    });

    app.router.get("/certificates", [&app](alos::request&, alos::response& res) {
        std::string list;
        for (const auto& each : app.list_certs())
            list += each.domain + " " + each.fingerprint + "\n";
        res.string(list);
    });

    // The swap is one atomic store; a real server would check who asks.
    app.router.post("/renew/:name", [&app](alos::request& req, alos::response& res) {
        if (const auto renewed = app.add_self_signed_cert(req.param("name")); !renewed)
            res.status(400).string(renewed.error().what + "\n");
        else
            res.string("renewed\n");
    });

    return app.listen_and_serve_tls();
}
