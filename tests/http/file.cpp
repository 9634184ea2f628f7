#include <alos/http/file.hpp>

#include <doctest/doctest.h>

#include "support/h1_feed.hpp"

#include <cstdlib>
#include <fstream>

using alos::response;
using alos::serve_directory;
using alos::http::access;
using alos::http::body_kind;
namespace fs = std::filesystem;

namespace {

// A folder that is gone afterwards.
struct folder {
    fs::path path;

    folder()
    {
        std::string name = (fs::temp_directory_path() / "alos-test-XXXXXX").string();
        path = ::mkdtemp(name.data());
    }
    ~folder() { fs::remove_all(path); }

    void write(const fs::path& name, std::string_view text) const
    {
        fs::create_directories((path / name).parent_path());
        std::ofstream(path / name, std::ios::binary) << text;
    }
};

// What a server gives for a request.
struct answer {
    test::h1_feed feed;
    response res;

    // `target` is matched by "/*path".
    answer(const serve_directory& server, std::string_view target, std::string_view fields = "")
        : feed("GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n", 100000)
    {
        if (!feed.complete)
            return;
        feed.data().parameters.push_back({"path", feed.request.path().substr(1)});
        access::data(res).request = &feed.request;
        server(feed.request, res);
    }

    [[nodiscard]] std::string body()
    {
        alos::http::response_data& data = access::data(res);
        if (data.kind != body_kind::file)
            return data.body;
        std::string all;
        std::array<std::uint8_t, 4096> piece;
        while (const std::size_t size = data.file.read(piece).value())
            all += alos::as_text(alos::byte_view(piece).first(size));
        return all;
    }
};

}

TEST_CASE("file: media types by extension, without regard to case")
{
    using alos::http::media_type;
    static_assert(media_type("index.html") == "text/html; charset=utf-8");
    static_assert(media_type("a.b/x.PNG") == "image/png");
    static_assert(media_type("a.tar.gz") == "application/gzip");
    static_assert(media_type("README") == "application/octet-stream");
    static_assert(media_type("x.") == "application/octet-stream");
}

TEST_CASE("file: a file with type, validators and length")
{
    folder root;
    root.write("a.css", "body {}");
    answer a(serve_directory(root.path), "/a.css");
    CHECK(a.res.status() == 200);
    CHECK(a.body() == "body {}");
    CHECK(a.res.header("Content-Type") == "text/css; charset=utf-8");
    CHECK(a.res.header("Accept-Ranges") == "bytes");
    CHECK(a.res.header("ETag")->starts_with("\""));
    CHECK(a.res.header("Last-Modified")->ends_with(" GMT"));
}

TEST_CASE("file: large files are read as they are sent, small ones at once")
{
    folder root;
    std::string large;
    for (int i = 0; i < 300000; ++i)
        large.push_back(static_cast<char>(i * 7));
    root.write("large.bin", large);
    root.write("small.bin", "x");
    root.write("empty.bin", "");
    const serve_directory server(root.path);
    answer a(server, "/large.bin");
    CHECK(access::data(a.res).kind == body_kind::file);
    CHECK(access::data(a.res).length() == large.size());
    CHECK(a.body() == large);
    CHECK(access::data(answer(server, "/small.bin").res).kind == body_kind::whole);
    CHECK(answer(server, "/empty.bin").body().empty());

    answer part(server, "/large.bin", "Range: bytes=100000-249999\r\n");
    CHECK(part.res.status() == 206);
    CHECK(part.res.header("Content-Range") == "bytes 100000-249999/300000");
    CHECK(part.body() == large.substr(100000, 150000));
}

TEST_CASE("file: conditions and ranges (RFC 9110 13, 14)")
{
    folder root;
    root.write("a.txt", "0123456789");
    const serve_directory server(root.path);
    const std::string etag(*answer(server, "/a.txt").res.header("ETag"));
    const std::string date(*answer(server, "/a.txt").res.header("Last-Modified"));

    answer unchanged(server, "/a.txt", "If-None-Match: " + etag + "\r\n");
    CHECK(unchanged.res.status() == 304);
    CHECK(unchanged.res.header("ETag") == etag);
    CHECK(access::data(unchanged.res).kind == body_kind::none);
    CHECK(answer(server, "/a.txt", "If-Modified-Since: " + date + "\r\n").res.status() == 304);
    CHECK(answer(server, "/a.txt", "If-Match: \"x\"\r\n").res.status() == 412);

    answer part(server, "/a.txt", "Range: bytes=-3\r\nIf-Range: " + etag + "\r\n");
    CHECK(part.res.status() == 206);
    CHECK(part.body() == "789");
    answer beyond(server, "/a.txt", "Range: bytes=10-\r\n");
    CHECK(beyond.res.status() == 416);
    CHECK(beyond.res.header("Content-Range") == "bytes */10");
}

TEST_CASE("file: a changed file has another entity tag")
{
    folder root;
    root.write("a", "1");
    const serve_directory server(root.path);
    const std::string etag(*answer(server, "/a").res.header("ETag"));
    root.write("a", "22");
    CHECK(*answer(server, "/a").res.header("ETag") != etag);
}

TEST_CASE("serve_directory: the index of a folder, and the slash behind its name")
{
    folder root;
    root.write("index.html", "top");
    root.write("sub dir/index.html", "sub");
    fs::create_directories(root.path / "empty");
    const serve_directory server(root.path);
    CHECK(answer(server, "/").body() == "top");
    CHECK(answer(server, "/sub%20dir/").body() == "sub");
    answer moved(server, "/sub%20dir?q=1");
    CHECK(moved.res.status() == 301);
    CHECK(moved.res.header("Location") == "/sub%20dir/?q=1");
    CHECK(answer(server, "/empty/").res.status() == 404);
    CHECK(answer(serve_directory(root.path, {.index = "x.html"}), "/").res.status() == 404);
}

TEST_CASE("serve_directory: nothing outside of the folder can be reached")
{
    folder outside;
    outside.write("secret.txt", "secret");
    folder root;
    root.write("index.html", "top");
    root.write("sub/a.txt", "a");
    fs::create_symlink(outside.path / "secret.txt", root.path / "link.txt");
    fs::create_symlink(outside.path, root.path / "out");
    fs::create_symlink("../../" / outside.path.filename() / "secret.txt", root.path / "sub/relative.txt");
    fs::create_symlink("/", root.path / "slash");
    const serve_directory server(root.path);
    const std::string name = outside.path.filename().string();
    for (const std::string& path :
         {"/../" + name + "/secret.txt", "/%2e%2e/" + name + "/secret.txt", "/sub/../../" + name + "/secret.txt",
          "/.%2e/" + name + "/secret.txt", "/..%2f" + name + "/secret.txt", "/%2e%2e%2f" + name + "/secret.txt",
          "/..%5c" + name + "/secret.txt", "/%252e%252e/" + name + "/secret.txt",
          "/" + outside.path.string() + "/secret.txt", "/" + outside.path.string(),
          std::string("//etc/passwd"), std::string("/sub//../../etc/passwd"), std::string("/link.txt"),
           std::string("/out/secret.txt"), std::string("/out/"),
          std::string("/sub/relative.txt"), std::string("/slash/etc/passwd"), std::string("/index.html%00.txt"),
          std::string("/index.html/"), std::string("/index.html/x"), std::string("/nothing")}) {
        answer a(server, path);
        CHECK_MESSAGE((!a.feed.complete || a.res.status() == 404), path);
    }
}

TEST_CASE("serve_directory: links that stay within the folder are followed")
{
    folder root;
    root.write("v2/a.txt", "new");
    fs::create_symlink("v2", root.path / "current");
    const int probe = alos::http::open_beneath(root.path, "current/a.txt");
    if (probe < 0)
        return; // an old kernel: none is followed
    ::close(probe);
    CHECK(answer(serve_directory(root.path), "/current/a.txt").body() == "new");
}

TEST_CASE("file: on an old kernel no link is followed")
{
    folder root;
    root.write("sub/a.txt", "a");
    fs::create_symlink("sub", root.path / "link");
    fs::create_symlink("a.txt", root.path / "sub/link.txt");
    const alos::unique_fd top(::open(root.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    const alos::unique_fd good(alos::http::open_without_links(top.get(), "sub/a.txt"));
    CHECK(good.get() >= 0);
    CHECK(alos::http::open_without_links(top.get(), "link/a.txt") == -ENOTDIR);
    CHECK(alos::http::open_without_links(top.get(), "sub/link.txt") == -ELOOP);
    CHECK(alos::http::open_without_links(top.get(), "sub/nothing") == -ENOENT);
    CHECK(alos::http::open_without_links(top.get(), "nothing/a.txt") == -ENOENT);
}

TEST_CASE("serve_directory: names that begin with a dot are not there, unless asked for; .well-known is")
{
    folder root;
    root.write(".alos-key.pem", "key");
    root.write(".git/config", "x");
    root.write("sub/.env", "x");
    root.write(".well-known/security.txt", "mail");
    const serve_directory server(root.path);
    for (const char* path : {"/.alos-key.pem", "/.git/config", "/.git/", "/sub/.env", "/%2ealos-key.pem"})
        CHECK(answer(server, path).res.status() == 404);
    CHECK(answer(server, "/.well-known/security.txt").body() == "mail");
    CHECK(answer(serve_directory(root.path, {.hidden = true}), "/.git/config").body() == "x");
}

TEST_CASE("serve_directory: what is no ordinary file is not there")
{
    folder root;
    REQUIRE(::mkfifo((root.path / "fifo").c_str(), 0600) == 0);
    CHECK(answer(serve_directory(root.path), "/fifo").res.status() == 404);
    CHECK(answer(serve_directory(root.path / "gone"), "/a").res.status() == 404);
    CHECK(answer(serve_directory(root.path), "/" + std::string(300, 'x')).res.status() == 404);
}

TEST_CASE("response: file, by a path of the program's own")
{
    folder root;
    root.write("a.txt", "text");
    response res;
    res.file(root.path / "a.txt");
    CHECK(access::data(res).body == "text");
    CHECK(res.header("Content-Type") == "text/plain; charset=utf-8");

    response missing;
    missing.file(root.path / "b.txt");
    CHECK(missing.status() == 404);

    response page; // a status that was set before goes with the file
    page.status(404).set("Content-Type", "text/x");
    page.file(root.path / "a.txt");
    CHECK(page.status() == 404);
    CHECK(page.header("Content-Type") == "text/x");
    CHECK(access::data(page).body == "text");

    response folder_itself;
    folder_itself.file(root.path);
    CHECK(folder_itself.status() == 404);
}
