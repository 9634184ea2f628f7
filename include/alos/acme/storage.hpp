// What outlives the process: certificates by generation, accounts, orders under way, answers to challenges. A back end
// has these operations; acme/file_storage.hpp is the one that comes with alos.
#ifndef ALOS_ACME_STORAGE_HPP
#define ALOS_ACME_STORAGE_HPP

#include <alos/acme/environment.hpp>
#include <alos/cert/credential.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace alos::inline v0::acme {

// A certificate with its key and what is known of both, kept and replaced as one. It belongs to `id`, which the
// configuration gives it: what a path may contain, without '/', and not "." or "..".
struct bundle {
    std::string chain_pem; // leaf first
    secret_text key_pem;
    std::string meta_json; // who issued it, when, by which profile
    std::uint64_t generation = 0; // 1, 2, ...; the storage numbers them
    std::string skipped{}; // what is wrong with the current generation, where an older one is read; empty: nothing
    std::vector<std::uint64_t> aside{}; // the generations that were put aside, as far as they are still there
    cert::credential_ptr credential{}; // of chain and key, which are thereby known to fit; made by whoever reads them
};

// A generation that nobody takes for one any more.
struct put_aside {
    std::string what;  // was wrong, and with which file
    std::string where; // it is now
};

// A text under a key such as "order/example.com": parts as an id is, joined by one '/'. Versions differ whenever the
// text does; 0 is that of one that is not there.
struct document {
    secret_text text;
    std::uint64_t version = 0;
};

// The right to change what belongs to one name, for one attempt. Whoever gets it after somebody else has a higher
// fence, and commits under an older one are refused.
struct storage_lock {
    std::string name;
    std::string owner; // for people: host and process
    std::uint64_t fence = 0;
    std::shared_ptr<void> held; // the lock goes when the last copy of this does, at the latest
};

// Fails with errc::conflict when somebody else was faster, with errc::lock_lost when the lock is no longer held, and
// with the operating system's errors. What fails leaves the old state; a crash at any moment leaves the old or the new.
class storage {
public:
    virtual ~storage() = default;

    // The ids of all certificates.
    [[nodiscard]] virtual awaitable<outcome<std::vector<std::string>>> certificates() = 0;

    // The number of the current generation, without a look at what is in it; 0: there is none, or it cannot be told.
    [[nodiscard]] virtual awaitable<outcome<std::uint64_t>> current_generation(std::string id) = 0;

    // The current generation, or the highest whose key and chain fit when that one is missing or broken; none at all
    // is success without a value.
    [[nodiscard]] virtual awaitable<outcome<std::optional<bundle>>> load_certificate(std::string id) = 0;

    // Stores the generation after `expected` (0: the first) and makes it the current one. Returns its number. One that
    // comes without its credential is tried first, so that nothing is stored that nobody can serve.
    [[nodiscard]] virtual awaitable<outcome<std::uint64_t>>
    store_certificate(std::string id, bundle next, std::uint64_t expected, storage_lock guard) = 0;

    // Puts aside, under names with the time in them, the generations that load_certificate() passes over as they are
    // damaged, and makes the one that it gives the current one. What only cannot be read now stays. What was put aside
    // is told also when the rest fails.
    [[nodiscard]] virtual awaitable<outcome<std::vector<put_aside>>> put_broken_aside(std::string id,
                                                                                      storage_lock guard) = 0;

    // The last parts of the keys that begin with `prefix`, a key itself: "challenge/http-01" lists tokens.
    [[nodiscard]] virtual awaitable<outcome<std::vector<std::string>>> list(std::string prefix) = 0;

    // What is there and never was a document, a folder or what is too large, is one without a text.
    [[nodiscard]] virtual awaitable<outcome<std::optional<document>>> load(std::string key) = 0;

    // Replaces the version `expected`; without one, whatever is there. Returns the new version.
    [[nodiscard]] virtual awaitable<outcome<std::uint64_t>> store(std::string key, secret_text text,
                                                                  std::optional<std::uint64_t> expected) = 0;

    // The version `expected`; without one, whatever is there. One that is not there is erased already.
    [[nodiscard]] virtual awaitable<outcome<>> erase(std::string key,
                                                     std::optional<std::uint64_t> expected = std::nullopt) = 0;

    // Puts aside, under a name with the time in it, what cannot be used: the version `expected` of the document `key`.
    // Returns where it is now.
    [[nodiscard]] virtual awaitable<outcome<std::string>> move_aside(std::string key, std::uint64_t expected) = 0;

    // Nothing when somebody else has it. Never waits.
    [[nodiscard]] virtual awaitable<outcome<std::optional<storage_lock>>> try_lock(std::string name) = 0;
    [[nodiscard]] virtual awaitable<> unlock(storage_lock held) = 0;

    // Waits until certificates, or documents whose keys begin with "challenge", may have changed, by this process or
    // another: "certificates/<id>", "certificates" for any, or "challenge". The first calls tell of all that there is,
    // as that may be new to the caller.
    [[nodiscard]] virtual awaitable<std::string> next_change() = 0;
};

}

#endif
