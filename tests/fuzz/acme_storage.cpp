// Any bytes as a key, as a document, and in each file of a storage's folder: what can be used is used, nothing leads
// out of the folder, and a lock's fence grows.
#include <alos/acme/file_storage.hpp>

#include "support/simulated_files.hpp"
#include "support/sleep.hpp"

#include <alos/acme/foreign_storage.hpp>
#include <alos/cert/self_signed.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/src.hpp>

#include <cstdlib>

using namespace alos;
using namespace alos::acme;

namespace {

void require(bool holds)
{
    if (!holds)
        std::abort();
}

time_point now() { return std::chrono::sys_days(std::chrono::year(2026) / 11 / 22); }

const bundle& sample()
{
    static const bundle made = [] {
        const auto one = cert::make_self_signed({"example.com"}, now()).value();
        bundle next;
        next.chain_pem = one.certificate;
        next.key_pem = one.key;
        return next;
    }();
    return made;
}

struct member {
    boost::asio::io_context context{1};
    test::simulated_files files;
    file_storage storage{files, "/data", "me", now, test::sleep_on(context.get_executor())};

    template <class T>
    T done(awaitable<T> work)
    {
        std::optional<T> value;
        boost::asio::co_spawn(context, std::move(work), [&](std::exception_ptr thrown, T result) {
            require(!thrown);
            value.emplace(std::move(result));
        });
        context.restart();
        context.run();
        return std::move(value.value());
    }

    void replace(const std::string& path, byte_view bytes)
    {
        (void)files.remove(path);
        require(!files.write_new(path, bytes, 0600));
    }
};

void try_as_name(const std::string& text)
{
    using namespace alos::acme::detail;
    if (is_key(text)) {
        require(!text.starts_with('/') && !text.starts_with('.') && text.find("/.") == std::string::npos);
        require(!text.starts_with("certs/") && !text.starts_with("locks/"));
        require(text.size() <= max_key_parts * (max_key_part + 1));
    }
    require(!is_key_part(text) || text.find('/') == std::string::npos);
    if (const std::uint64_t number = parse_generation(text); number != 0)
        require(generation_name(number) == text);
}

void try_as_document(member& one, byte_view input, const std::string& text)
{
    const auto stored = one.done(one.storage.store(text, secret_text(text.begin(), text.end()), std::nullopt));
    require(stored.has_value() == alos::acme::detail::is_key(text));
    if (stored) {
        const auto loaded = one.done(one.storage.load(text)).value();
        require(loaded && loaded->version == *stored && as_text(loaded->text) == text);
        require(one.done(one.storage.erase(text)).has_value());
    }
    require(one.done(one.storage.store("a/b", secret_text{'x'}, std::nullopt)).has_value());
    one.replace("/data/a/b.json", input);
    const auto loaded = one.done(one.storage.load("a/b")).value();
    require(loaded && loaded->version != 0 && as_text(loaded->text) == text);
}

void try_as_fence(member& one, byte_view input, const std::string& text)
{
    const auto number = alos::acme::detail::parse_fence(text);
    require(!number || *number > 0);
    (void)one.done(one.storage.try_lock("a")).value().value();
    one.replace("/data/locks/a.fence.json", input);
    const auto held = one.done(one.storage.try_lock("a")).value();
    require(held && held->fence == (number ? *number + 1 : 1795305601u));
}

// In place of one file of the newest of two generations, and as what `current` says.
void try_as_certificate(member& one, byte_view input, const std::string& text, unsigned which)
{
    const auto guard = one.done(one.storage.try_lock("a")).value().value();
    for (const std::uint64_t expected : {0u, 1u})
        require(one.done(one.storage.store_certificate("a", sample(), expected, guard)).has_value());
    const std::string folder = "/data/certs/a/";
    switch (which % 5) {
    case 0: one.replace(folder + "000002/fullchain.pem", input); break;
    case 1: one.replace(folder + "000002/privkey.pem", input); break;
    case 2: one.replace(folder + "000002/meta.json", input); break;
    case 3: one.replace(folder + "current", input); break;
    default:
        require(!one.files.remove(folder + "current"));
        require(!one.files.make_symlink(text, folder + "current"));
    }
    const auto loaded = one.done(one.storage.load_certificate("a")).value();
    require(loaded && (loaded->generation == 1 || loaded->generation == 2));
    const auto aside = one.done(one.storage.put_broken_aside("a", guard)).value();
    require(aside.size() <= (loaded->generation == 1 ? 1 : 0));
    const auto again = one.done(one.storage.load_certificate("a")).value();
    require(again && again->generation == loaded->generation);
    require(one.done(one.storage.store_certificate("a", sample(), loaded->generation, guard)).value() >= 3);
}

void try_as_foreign(member& one, byte_view input)
{
    for (const char* folder : {"/live", "/live/a", "/certificates"})
        require(!one.files.make_directory(folder, 0700));
    one.replace("/live/a/fullchain.pem", input);
    one.replace("/live/a/privkey.pem", as_bytes(as_text(sample().key_pem)));
    one.replace("/certificates/a.crt", as_bytes(sample().chain_pem));
    one.replace("/certificates/a.issuer.crt", input);
    one.replace("/certificates/a.key", as_bytes(as_text(sample().key_pem)));
    const auto all = read_foreign(one.files, "/");
    require(all.found.size() + all.skipped.size() == 2);
    for (const std::string& why : all.skipped)
        require(why.find('\n') == std::string::npos);
}

}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size == 0 || size > max_stored_size)
        return 0;
    const byte_view input(data + 1, size - 1);
    const std::string text(as_text(input));
    member one;
    try_as_name(text);
    switch (data[0] % 8) {
    case 0: try_as_document(one, input, text); break;
    case 1: try_as_fence(one, input, text); break;
    case 2: try_as_foreign(one, input); break;
    default: try_as_certificate(one, input, text, data[0] % 8 - 3);
    }
    return 0;
}
