#include <alos/acme/foreign_storage.hpp>

#include "support/pem_files.hpp"
#include "support/sick_files.hpp"
#include "support/simulated_files.hpp"

#include <alos/os/posix_files.hpp>

#include <doctest/doctest.h>

#include <sys/stat.h>

using namespace alos;
using namespace alos::acme;
using alos_tests::pem;
using alos_tests::write_text;

namespace {

// As certbot writes it: links in live/ to numbered files in archive/.
void add_certbot(const alos_tests::temporary_folder& folder, const std::string& name, const std::string& chain,
                 const std::string& key)
{
    const std::string live = folder / ("live/" + name);
    const std::string archive = folder / ("archive/" + name);
    std::filesystem::create_directories(live);
    std::filesystem::create_directories(archive);
    write_text(archive + "/fullchain2.pem", chain);
    write_text(archive + "/privkey2.pem", key);
    std::filesystem::create_symlink("../../archive/" + name + "/fullchain2.pem", live + "/fullchain.pem");
    std::filesystem::create_symlink("../../archive/" + name + "/privkey2.pem", live + "/privkey.pem");
}

}

TEST_CASE("certbot's certificates are read through its links, and those that cannot be used are named")
{
    const alos_tests::temporary_folder folder;
    os::posix_files files;
    CHECK_FALSE(is_certbot(files, folder.path()));
    std::filesystem::create_directories(folder / "live/empty");
    write_text(folder / "live/README", "This directory contains your keys and certificates.");
    CHECK_FALSE(is_certbot(files, folder.path()));
    add_certbot(folder, "example.com", pem("p256.crt"), pem("p256.key"));
    add_certbot(folder, "example.com-0001", pem("p256.crt"), pem("p384.key"));
    add_certbot(folder, "expired.example", pem("ed25519.crt"), pem("ed25519.key"));
    add_certbot(folder, "keyless.example", pem("p256.crt"), "");
    CHECK(is_certbot(files, folder.path()));
    CHECK_FALSE(is_lego(files, folder.path()));

    const auto all = read_foreign(files, folder.path());
    REQUIRE(all.found.size() == 2);
    CHECK(all.found[0].name == "example.com");
    CHECK(all.found[0].credential->chain.size() == 1);
    CHECK(all.found[0].credential->about.key_type.find("P-256") != std::string::npos);
    CHECK(all.found[1].name == "expired.example");
    REQUIRE(all.skipped.size() == 3);
    CHECK(all.skipped[0].find("empty/fullchain.pem: cannot be read: No such file") != std::string::npos);
    CHECK(all.skipped[1].find("example.com-0001/privkey.pem does not belong") != std::string::npos);
    CHECK(all.skipped[2].find("keyless.example/privkey.pem: it is empty") != std::string::npos);
}

TEST_CASE("lego's certificates are read with their issuer when they were stored without, and wildcards by their name")
{
    const alos_tests::temporary_folder folder;
    os::posix_files files;
    std::filesystem::create_directories(folder / "certificates");
    std::filesystem::create_directories(folder / "accounts");
    CHECK_FALSE(is_lego(files, folder.path()));
    const std::string at = folder / "certificates/";
    write_text(at + "by.example.crt", pem("p384.crt"));
    write_text(at + "by.example.key", pem("p384.key"));
    write_text(at + "by.example.issuer.crt", pem("intermediate.crt"));
    write_text(at + "by.example.json", "{}");
    write_text(at + "_.example.com.crt", pem("p256.crt"));
    write_text(at + "_.example.com.key", pem("p256.key"));
    write_text(at + "csr.example.crt", pem("p256.crt"));
    write_text(at + "odd\nname.crt", pem("p256.crt"));
    write_text(at + ".crt", pem("p256.crt"));
    CHECK(is_lego(files, folder.path()));
    CHECK_FALSE(is_certbot(files, folder.path()));

    const auto all = read_foreign(files, folder.path());
    REQUIRE(all.found.size() == 2);
    CHECK(all.found[0].name == "*.example.com");
    CHECK(all.found[1].name == "by.example");
    CHECK(all.found[1].credential->chain.size() == 2);
    REQUIRE(all.skipped.size() == 1);
    CHECK(all.skipped[0].find("csr.example.key: cannot be read: No such file") != std::string::npos);
}

TEST_CASE("of the keys of others those are named that any user can read, and so could reach")
{
    const alos_tests::temporary_folder folder;
    os::posix_files files;
    const auto set = [&](const std::string& name, unsigned mode) {
        REQUIRE(::chmod((folder / name).c_str(), mode) == 0);
    };
    add_certbot(folder, "example.com", pem("p256.crt"), pem("p256.key"));
    std::filesystem::create_directories(folder / "certificates");
    write_text(folder / "certificates/by.example.crt", pem("p256.crt"));
    write_text(folder / "certificates/by.example.key", pem("p256.key"));
    for (const char* each : {"", "live", "archive", "archive/example.com", "certificates"})
        set(each, 0755);
    const std::string certbot = "archive/example.com/privkey2.pem";
    const std::string lego = "certificates/by.example.key";
    for (const std::string& each : {certbot, lego})
        set(each, 0640);
    CHECK(open_foreign_keys(files, folder.path()).empty());
    for (const std::string& each : {certbot, lego})
        set(each, 0644);
    CHECK(open_foreign_keys(files, folder.path()) == std::vector{folder / certbot, folder / lego});
    set("live", 0700); // nobody needs it
    set("certificates", 0750);
    CHECK(open_foreign_keys(files, folder.path()) == std::vector{folder / certbot});
    set("archive", 0700);
    CHECK(open_foreign_keys(files, folder.path()).empty());
    set("archive", 0755);
    set("", 0700);
    CHECK(open_foreign_keys(files, folder.path()).empty());
}

TEST_CASE("a folder of certbot's is known before it has a certificate, and one of lego's, or ours, is none")
{
    os::posix_files files;
    const auto is_certbots = [&](const std::vector<std::string>& folders) {
        const alos_tests::temporary_folder folder;
        for (const std::string& each : folders)
            std::filesystem::create_directories(folder / each);
        return is_certbot(files, folder.path());
    };
    CHECK(is_certbots({"accounts", "archive", "live", "renewal", "renewal-hooks"}));
    CHECK(is_certbots({"archive", "live"}));
    CHECK(is_certbots({"accounts", "renewal"}));
    CHECK(is_certbots({"accounts", "renewal-hooks"})); // after "certbot register"
    CHECK_FALSE(is_certbots({}));
    CHECK_FALSE(is_certbots({"live", "renewal"}));
    CHECK_FALSE(is_certbots({"accounts", "archive"}));
    CHECK_FALSE(is_certbots({"accounts", "certificates", "archives"}));
    CHECK_FALSE(is_certbots({"account", "certs", "challenge", "locks", "order", "state"}));
}

TEST_CASE("a folder of certbot's that may not be read is one, with what to do; one that is not there is none")
{
    test::simulated_files disk;
    test::sick_files files(disk);
    files.sick = "/letsencrypt/live";
    files.error = EACCES;
    for (const char* each : {"/letsencrypt", "/certificates"})
        REQUIRE_FALSE(disk.make_directory(each, 0700));
    CHECK_FALSE(is_certbot(files, "/letsencrypt"));
    CHECK(read_foreign(files, "/letsencrypt").skipped.empty());
    REQUIRE_FALSE(disk.make_directory("/letsencrypt/live", 0700));
    CHECK(is_certbot(files, "/letsencrypt"));
    const auto all = read_foreign(files, "/letsencrypt");
    REQUIRE(all.skipped.size() == 1);
    CHECK(all.skipped[0]
          == "/letsencrypt/live: cannot be read: Permission denied; run as a user that may, or let a deploy hook copy "
             "what is there to a folder that this one may read");
    CHECK_FALSE(all.names);
    files.error = EIO;
    CHECK_FALSE(is_certbot(files, "/letsencrypt"));
    files.error = EACCES;
    files.sick = "/certificates"; // ours, of another user
    CHECK_FALSE(is_certbot(files, "/certificates"));
    CHECK(read_foreign(files, "/certificates").skipped.empty());
}

TEST_CASE("the files of a certificate that may not be read are named, with what to do")
{
    test::simulated_files disk;
    test::sick_files files(disk);
    for (const char* each : {"/letsencrypt", "/letsencrypt/live", "/letsencrypt/live/a.example"})
        REQUIRE_FALSE(disk.make_directory(each, 0755));
    const std::string folder = "/letsencrypt/live/a.example";
    REQUIRE_FALSE(disk.write_new(folder + "/fullchain.pem", as_bytes(pem("p256.crt")), 0644));
    REQUIRE_FALSE(disk.write_new(folder + "/privkey.pem", as_bytes(pem("p256.key")), 0600));
    files.sick = folder + "/privkey.pem";
    files.error = EACCES;
    const auto all = read_foreign(files, "/letsencrypt");
    REQUIRE(all.skipped.size() == 1);
    const std::string said = "a.example/privkey.pem: cannot be read: Permission denied; run as a user that may";
    CHECK(all.skipped[0].find(said) != std::string::npos);
}

TEST_CASE("a folder of neither, or none, has nothing")
{
    test::simulated_files files;
    CHECK_FALSE(is_certbot(files, "/none"));
    CHECK_FALSE(is_lego(files, "/none"));
    CHECK(read_foreign(files, "/none").found.empty());
    CHECK(read_foreign(files, "/none").skipped.empty());
    REQUIRE_FALSE(files.write_new("/file", {}, 0600));
    CHECK_FALSE(is_lego(files, "/file"));
    CHECK(files.disk()->steps() == 1);
}

TEST_CASE("links that certbot replaces while they are read are read again")
{
    // The key of the certificate comes when the pair has been read once.
    class renewing final : public os::file_system {
    public:
        result<secret_text> read(const std::string& path, std::size_t) override
        {
            const bool is_key = path.ends_with("privkey.pem");
            const std::string text = !is_key ? pem("p256.crt") : ++keys_read == 1 ? pem("p384.key") : pem("p256.key");
            return secret_text(text.begin(), text.end());
        }
        error_code write_new(const std::string&, byte_view, ::mode_t) override { return refused(); }
        error_code sync_file(const std::string&) override { return refused(); }
        error_code sync_directory(const std::string&) override { return refused(); }
        error_code make_directory(const std::string&, ::mode_t) override { return refused(); }
        error_code rename(const std::string&, const std::string&, os::if_exists) override { return refused(); }
        error_code make_symlink(const std::string&, const std::string&) override { return refused(); }
        result<std::string> read_symlink(const std::string&) override { return refused(); }
        error_code remove(const std::string&) override { return refused(); }
        result<std::vector<std::string>> list(const std::string& path) override
        {
            if (path.ends_with("/certificates"))
                return refused();
            return std::vector<std::string>{"a.example"};
        }
        result<status> stat(const std::string&) override { return status{}; }
        result<std::unique_ptr<lock>> try_lock(const std::string&) override { return refused(); }
        std::unique_ptr<watch> watch_directory(const std::string&, std::function<void(const std::string&)>) override
        {
            return nullptr;
        }
        int keys_read = 0;

    private:
        static error_code refused() { return make_error_code(boost::system::errc::read_only_file_system); }
    };
    renewing files;
    const auto all = read_foreign(files, "/etc/letsencrypt");
    CHECK(all.skipped.empty());
    REQUIRE(all.found.size() == 1);
    CHECK(files.keys_read == 2);
}
