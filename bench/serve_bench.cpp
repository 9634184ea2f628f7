// The server that ../shared/peers/compare.py measures: one thread on 127.0.0.1, seven bytes at /, the folder's 10 MiB
// file at /10m.
//
//     serve_bench PORT CERT KEY WWW
#include <alos/server.hpp>

#include <fstream>
#include <iostream>
#include <iterator>

int main(int argc, char** argv)
{
    if (argc != 5) {
        std::cerr << "serve_bench PORT CERT KEY WWW\n";
        return 2;
    }
    std::ifstream file(std::string(argv[4]) + "/10m", std::ios::binary);
    const std::string large{std::istreambuf_iterator<char>(file), {}};
    if (large.empty())
        std::cerr << "serve_bench: no file " << argv[4] << "/10m\n";

    alos::server app({
        .addr = std::string("127.0.0.1:") + argv[1],
        .tls_cert_file = argv[2],
        .tls_key_file = argv[3],
        .threads = 1,
        .log = {.level = alos::log_level::warning},
    });
    app.router.get("/", [](alos::request&, alos::response& res) { res.string("Secure!"); });
    app.router.get("/10m",
                   [&large](alos::request&, alos::response& res) { res.borrow(large, "application/octet-stream"); });
    return app.listen_and_serve_tls();
}
