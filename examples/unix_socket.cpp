// TLS over a Unix socket: nothing changes but the address.
//
//     unix_socket [path]
//     curl -k --unix-socket alos.sock https://localhost/
#include <alos/server.hpp>

#include <string>

int main(int argc, char** argv)
{
    const std::string path = argc > 1 ? argv[1] : "alos.sock";
    alos::server app({.addr = "unix:" + path});

    app.router.get("/", [](alos::request& req, alos::response& res) {
        res.string("over a Unix socket, with " + std::string(req.tls()->suite) + "\n");
    });

    // Handlers may be coroutines, and may send their answer in pieces; a slow client slows them down.
    app.router.get("/count", [](alos::request&, alos::response& res) -> alos::awaitable<> {
        for (int i = 1; i <= 3; ++i) {
            const std::string line = std::to_string(i) + "\n";
            co_await res.write(line);
        }
    });

    return app.listen_and_serve_tls();
}
