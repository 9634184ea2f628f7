// What is in memory of a certificate, in step with the storage: read, read again after other processes, kept, replaced.
#ifndef ALOS_ACME_CERTIFICATE_KEEPER_HPP
#define ALOS_ACME_CERTIFICATE_KEEPER_HPP

#include <alos/acme/due.hpp>
#include <alos/acme/event.hpp>
#include <alos/acme/storage.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace alos::inline v0::acme {

// What failed is forgotten, and tried at once.
inline void begin_anew(managed_certificate& of)
{
    of.state.configuration = of.configuration;
    of.state.failures = 0;
    of.state.next_attempt = {};
    of.state.open_at.clear();
    of.state.directory.clear();
}

// After its configuration or its generation changed. A configuration that is new to this process is tried at once,
// unless it was that of the last attempt. What another process with other settings does is no reason: each would undo
// what the other one did. `spread` is for a new generation.
inline void adopt_settings(managed_certificate& of, double spread)
{
    const bool is_new = std::exchange(of.adopted, of.configuration) != of.configuration;
    if (is_new && of.state.configuration != of.configuration)
        begin_anew(of);
    if (of.state.generation != of.generation) {
        of.state.generation = of.generation;
        of.state.advice.reset();
        of.state.next_check = {};
        of.state.check_failures = 0;
        of.state.spread = spread;
    }
    const bool is_unlike = of.credential
                           && (!same_identifiers(identifiers_in(*of.credential), of.names) || is_from_elsewhere(of));
    if (is_new && is_unlike && !is_forced(of))
        force(of, "reconfigured");
}

// Takes over what another process, or an earlier one, knew. `is_same` when its certificate is that which was here,
// though the storage may have lost it.
inline void adopt_state(managed_certificate& of, certificate_state theirs, bool is_same)
{
    const bool is_untried = is_same && of.state.failures == 0;
    const bool is_forced_here = is_forced(of) && is_untried;
    const std::string why = of.state.forced_why;
    const bool is_configured_here = of.state.configuration == of.configuration && is_untried;
    of.state = std::move(theirs);
    // What failed by other settings than ours is tried by ours once.
    if (is_configured_here && of.state.configuration != of.configuration)
        begin_anew(of);
    // Another process that knows of it, too, may have tried, and learnt when to try again.
    if (is_forced_here && (!is_forced(of) || why == "forced"))
        force(of, why);
}

// Those that nobody works on are busy until they are loaded, so that nobody begins.
struct being_loaded {
    explicit being_loaded(const certificate_list& those)
    {
        for (const auto& each : those) {
            if (!std::exchange(each->is_busy, true))
                list.push_back(each);
        }
    }
    being_loaded(const being_loaded&) = delete;
    being_loaded& operator=(const being_loaded&) = delete;
    ~being_loaded()
    {
        for (const auto& each : list)
            each->is_busy = false;
    }

    certificate_list list;
};

class certificate_keeper {
public:
    // `world` and `kept` outlive it. `served` is called when a certificate has another credential than before.
    certificate_keeper(environment& world, storage& kept, event_teller tell,
                       std::function<void(managed_certificate&)> served)
        : world_(world), storage_(kept), tell_(std::move(tell)), served_(std::move(served)),
          process_(1 + static_cast<std::uint64_t>(random_part(world) * 0x1p52))
    {
    }

    // Reads what the storage has. A configuration that is not that of the last attempt is tried at once.
    [[nodiscard]] awaitable<> load(managed_certificate& of)
    {
        of.process = process_;
        co_await load_certificate(of, nullptr);
        const auto kept = co_await storage_.load("state/" + of.id);
        if (kept && kept->has_value()) {
            auto state = parse_certificate_state(as_text((*kept)->text));
            if (state) {
                of.state = std::move(*state);
            } else {
                const auto aside = co_await storage_.move_aside("state/" + of.id, (*kept)->version);
                tell_({event_kind::unreadable, of.id,
                       "its state cannot be read and is begun anew; the old one is in "
                           + (aside ? *aside : std::string("its place"))});
            }
        }
        adopt_settings(of, random_part(world_));
        if (!of.credential)
            of.stand_in = co_await find_stand_in(of);
    }

    // Another process may have renewed it. Whether there is another certificate now. `guard` is of who has the lock of
    // the certificate, and outlives the call; null: not here.
    [[nodiscard]] awaitable<bool> refresh(managed_certificate& of, const storage_lock* guard = nullptr)
    {
        const std::uint64_t before = of.generation;
        const cert::credential_ptr served = of.credential;
        co_await load_certificate(of, guard);
        const bool is_same = of.generation == before;
        const auto kept = co_await storage_.load("state/" + of.id);
        if (kept && kept->has_value() && !(of.is_unsaved && is_same)) {
            if (auto state = parse_certificate_state(as_text((*kept)->text)))
                adopt_state(of, std::move(*state), of.credential == served);
        }
        adopt_settings(of, random_part(world_));
        if (is_same)
            co_return false;
        const std::string number = "generation " + std::to_string(of.generation);
        const std::string goes_on = of.credential == served ? "; what is served goes on until the next one" : "";
        tell_({event_kind::loaded, of.id,
               of.generation == 0       ? "the storage has it no more" + goes_on
               : of.generation < before ? "the storage went back to " + number + goes_on
                                        : "another process renewed it; " + number});
        if (of.generation > before && !same_identifiers(identifiers_in(*of.credential), of.names))
            tell_({event_kind::loaded, of.id,
                   "warning: that process orders it for other names; give both the same configuration"});
        served_(of);
        co_return true;
    }

    // A state that cannot be kept is only lost at a restart.
    [[nodiscard]] awaitable<> save(managed_certificate& of)
    {
        secret_text text = to_secret_text(to_json(of.state));
        const auto stored = co_await storage_.store("state/" + of.id, std::move(text), std::nullopt);
        of.is_unsaved = !stored;
        const bool could_not = std::exchange(of.cannot_save, !stored);
        if (!stored && !could_not)
            tell_({event_kind::unreadable, of.id,
                   "its state cannot be kept: " + stored.error().what
                       + "; after a restart it is not known what failed, nor when to try again"});
    }

    // The next generation: stored, then served. Under the lock of the certificate.
    [[nodiscard]] awaitable<outcome<>> replace(managed_certificate& of, bundle next, generation_record about,
                                               storage_lock guard)
    {
        next.meta_json = to_json(about);
        const cert::credential_ptr credential = next.credential;
        const auto stored = co_await storage_.store_certificate(of.id, std::move(next), of.generation, guard);
        if (!stored)
            co_return stored.error();
        of.credential = credential;
        of.stand_in = nullptr;
        of.generation = *stored;
        of.about = std::move(about);
        of.last_refusal.reset();
        of.not_before = {};
        certificate_state fresh;
        fresh.configuration = of.configuration;
        fresh.asker = of.process;
        fresh.open_at = std::move(of.state.open_at); // of the CAs that another one stood in for
        fresh.open_at.erase(of.about.directory);
        std::erase_if(fresh.open_at, [now = world_.now()](const auto& each) { return each.second <= now; });
        of.state = std::move(fresh);
        adopt_settings(of, random_part(world_));
        if (!same_identifiers(identifiers_in(*of.credential), of.names)) // which came meanwhile
            force(of, "reconfigured");
        served_(of);
        co_await save(of);
        co_return outcome<>();
    }

private:
    // One that the storage has for all of its names, and that has not ended: its names were in another order when it
    // was ordered, or more of them, or its key was of another type.
    [[nodiscard]] awaitable<cert::credential_ptr> find_stand_in(const managed_certificate& of)
    {
        const std::vector<identifier> names = of.names; // which others may be given meanwhile
        for (std::string_view word : detail::key_words) {
            for (const identifier& name : names) {
                std::string id = id_of_certificate(name.value, *key_kind_of(word));
                const auto found = co_await storage_.load_certificate(std::move(id));
                if (!found || !found->has_value() || (*found)->credential->about.not_after <= world_.now())
                    continue;
                const std::vector<identifier> there = identifiers_in(*(*found)->credential);
                const auto has = [&](const identifier& each) { return std::ranges::count(there, each) != 0; };
                if (std::ranges::all_of(names, has))
                    co_return (*found)->credential;
            }
        }
        co_return nullptr;
    }

    // What is in the storage now; a broken one leaves what is served.
    [[nodiscard]] awaitable<> load_certificate(managed_certificate& of, const storage_lock* guard)
    {
        const auto current = co_await storage_.current_generation(of.id);
        if (of.credential && of.generation != 0 && current && *current == of.generation)
            co_return;
        auto kept = co_await storage_.load_certificate(of.id);
        const std::string fault = fault_of(kept);
        const bool is_new = std::exchange(of.fault, fault) != fault;
        if (!fault.empty() && (is_new || guard)) { // who has the lock tries again
            const auto moved = co_await put_broken_aside(of.id, guard);
            auto again = co_await storage_.load_certificate(of.id);
            kept = std::move(again);
            of.fault = fault_of(kept);
            const bool is_moved = moved && !moved->empty();
            std::string said = is_moved ? *moved : fault;
            if (!moved)
                said += "; it stays where it is: " + moved.error().what;
            else if (is_moved && !of.fault.empty())
                said += "; " + of.fault;
            else if (is_moved && *kept)
                said += "; generation " + std::to_string((*kept)->generation) + " serves instead";
            else if (is_moved)
                said += "; the storage has no other one";
            if (is_new || is_moved)
                tell_({event_kind::unreadable, of.id, std::move(said)});
        }
        if (!kept)
            co_return;
        const std::uint64_t before = std::exchange(of.generation, kept->has_value() ? (*kept)->generation : 0);
        if (of.generation == 0 || of.generation == before)
            co_return;
        const bundle& found = **kept;
        const time_point end = found.credential->about.not_after;
        // What was read before its files were damaged, or lost, is good. Who points `current` to an older one means it.
        const bool is_lost = std::ranges::count(found.aside, before) != 0
                             || (found.generation < before && (!current || *current != found.generation));
        const bool is_worse = of.credential && end <= world_.now() && end < of.credential->about.not_after;
        if (of.credential && (is_lost || is_worse))
            co_return;
        of.credential = found.credential;
        of.about = parse_generation_record(found.meta_json);
        if (!detail::read_object_text(found.meta_json))
            tell_({event_kind::unreadable, of.id,
                   "generation " + std::to_string(of.generation)
                       + ": meta.json cannot be read, so it is not known which CA issued it; it serves all the same, "
                         "and the next one has another"});
    }

    static std::string fault_of(const outcome<std::optional<bundle>>& kept)
    {
        return !kept ? kept.error().what : *kept ? (*kept)->skipped : std::string();
    }

    // Says what was wrong and where it is now; nothing when nothing is damaged, or somebody else works on it.
    [[nodiscard]] awaitable<outcome<std::string>> put_broken_aside(std::string id, const storage_lock* guard)
    {
        std::optional<storage_lock> own;
        if (!guard) {
            auto taken = co_await storage_.try_lock(id);
            if (!taken)
                co_return taken.error();
            if (!taken->has_value())
                co_return std::string();
            own = std::move(*taken);
            guard = &*own;
        }
        const auto done = co_await storage_.put_broken_aside(id, *guard);
        if (own)
            co_await storage_.unlock(*own);
        if (!done)
            co_return done.error();
        std::string said;
        for (std::size_t i = 0; i < done->size(); ++i) {
            const put_aside& each = (*done)[i];
            said += (said.empty() ? "" : "; ") + each.what + "; it is now in " + each.where;
        }
        co_return said;
    }

    environment& world_;
    storage& storage_;
    const event_teller tell_;
    const std::function<void(managed_certificate&)> served_;
    const std::uint64_t process_; // which one on this storage it is, drawn by lot
};

}

#endif
