// Serves the files of a folder over HTTPS, with a line of log for each request.
//
//     serve [folder [address [http-address]]]
#include <alos/server.hpp>

#include <filesystem>
#include <iostream>
#include <string>

int main(int argc, char** argv)
{
    const std::string folder = argc > 1 ? argv[1] : "examples/www";

    if (!std::filesystem::is_directory(folder)) {
        std::cerr << "serve: there is no folder " << folder << "; usage: serve [folder [address [http-address]]]\n";
        return 1;
    }

    alos::server app({
        .addr = argc > 2 ? argv[2] : ":8443",
        .http_addr = argc > 3 ? argv[3] : "", // where http:// is redirected to https://
    });
    app.router.use(alos::access_log(app.log()));
    app.router.use(alos::recovery(app.log()));
    app.router.get("/*path", alos::serve_directory(folder));

    return app.listen_and_serve_tls();
}
