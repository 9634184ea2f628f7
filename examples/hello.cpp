// The smallest server: https://localhost:8443 says "Secure!".
//
//     hello [address]
#include <alos/server.hpp>

int main(int argc, char** argv)
{
    alos::server app({.addr = argc > 1 ? argv[1] : ":8443"});

    app.router.get("/", [](alos::request&, alos::response& res) { res.string("Secure!"); });

    return app.listen_and_serve_tls();
}
