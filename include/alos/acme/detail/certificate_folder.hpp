// Certificates in a folder, <id>/000001/{fullchain.pem,privkey.pem,meta.json} and <id>/current -> 000001: a new one
// is written beside the others, and is the current one at once or not at all. A broken one is renamed, for people.
#ifndef ALOS_ACME_DETAIL_CERTIFICATE_FOLDER_HPP
#define ALOS_ACME_DETAIL_CERTIFICATE_FOLDER_HPP

#include <alos/acme/detail/durable_files.hpp>
#include <alos/acme/storage.hpp>
#include <alos/cert/load.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alos::inline v0::acme::detail {

inline constexpr std::uint64_t max_generation = 999'999'999'999;

// "000042"; from a million on, as many digits as it takes.
inline std::string generation_name(std::uint64_t number)
{
    const std::string digits = std::to_string(number);
    return std::string(digits.size() < 6 ? 6 - digits.size() : 0, '0') + digits;
}

// 0 when it is no generation's name.
inline std::uint64_t parse_generation(std::string_view name) noexcept
{
    std::uint64_t number = 0;
    const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), number);
    const bool is_whole = failed == std::errc() && end == name.data() + name.size();
    const bool is_spelled = name.size() == 6 || (name.size() > 6 && name.front() != '0');
    return is_whole && is_spelled && number <= max_generation ? number : 0;
}

// What does not come right by itself. Not: what only cannot be read now, and what another version of alos may use.
inline bool is_damage(error_code why) noexcept
{
    constexpr std::array damages = {errc::bad_pem, errc::bad_certificate, errc::bad_private_key, errc::key_mismatch,
                                    errc::broken_chain};
    return is_missing(why) || why == boost::system::errc::file_too_large
           || std::ranges::any_of(damages, [&](errc each) { return why == each; });
}

// One writer at a time, any number of readers. Ids have been checked.
class certificate_folder {
public:
    // Asked before anything is written, and again right before the switch.
    using check = std::function<outcome<>()>;

    // `disk` outlives this. `kept` generations stay.
    certificate_folder(durable_files& disk, std::string path, std::size_t kept)
        : disk_(disk), files_(disk.files()), certs_(std::move(path)), kept_(std::max<std::size_t>(kept, 1))
    {
    }

    // The ids that have a generation, or cannot be looked into: read() says why.
    [[nodiscard]] outcome<std::vector<std::string>> list()
    {
        const auto names = files_.list(certs_);
        std::vector<std::string> ids;
        if (!names && names.error() != boost::system::errc::no_such_file_or_directory)
            return storage_failure(certs_, "cannot be listed", names.error());
        for (std::size_t i = 0; names && i < names->size(); ++i) {
            const std::string& id = (*names)[i];
            if (!is_key_part(id))
                continue;
            const auto inside = files_.list(folder_of(id));
            const bool is_closed = !inside && !is_missing(inside.error());
            if (is_closed || !generations(folder_of(id)).empty())
                ids.push_back(id);
        }
        return ids;
    }

    // 0: none, or it cannot be told.
    [[nodiscard]] std::uint64_t current(const std::string& id) { return read_current(folder_of(id)); }

    // The current generation, or the highest that can be used.
    [[nodiscard]] outcome<std::optional<bundle>> read(const std::string& id)
    {
        const std::string folder = folder_of(id);
        for (unsigned attempt = 0; true; ++attempt) {
            const std::uint64_t current = read_current(folder);
            std::string skipped;
            if (current != 0) {
                auto found = read_generation(folder, current);
                if (found) {
                    found->aside = numbered(folder, true);
                    return std::optional<bundle>(std::move(*found));
                }
                skipped = found.error().what;
            }
            std::optional<failure> newest_failure;
            for (const std::uint64_t number : generations(folder)) {
                auto found = read_generation(folder, number);
                if (found) {
                    found->aside = numbered(folder, true);
                    if (!skipped.empty())
                        found->skipped = skipped + "; the one before it is used, " + std::to_string(number);
                    return std::optional<bundle>(std::move(*found));
                }
                if (!newest_failure)
                    newest_failure = found.error();
            }
            // While this looked, a writer may have removed the one it looked at.
            if (attempt < 3 && read_current(folder) != current)
                continue;
            if (newest_failure)
                return failure{newest_failure->code,
                               folder + ": no certificate in it can be used (" + newest_failure->what + ")"};
            if (const auto names = files_.list(folder); !names && !is_missing(names.error()))
                return storage_failure(folder, "cannot be listed", names.error());
            return std::optional<bundle>();
        }
    }

    // Makes `next` the current one if read() gives `expected` (0: none that can be used). Returns its number. `suffix`
    // has a dot in front, and is for a folder that is in the place of `current`.
    [[nodiscard]] outcome<std::uint64_t> write(const std::string& id, const bundle& next, std::uint64_t expected,
                                               const check& may_commit, const std::string& suffix)
    {
        const std::string folder = folder_of(id);
        if (auto may = may_commit(); !may)
            return may.error();
        if (auto made = disk_.ensure_directory(folder); !made)
            return made.error();
        if (!is_in_use(id, expected))
            return conflict(folder);

        // A writer that died may have left a generation that never was the current one. Its number is spent, as are
        // those of what was put aside.
        const std::uint64_t before = read_current(folder);
        std::uint64_t number = std::max(before, expected);
        for (const bool is_aside : {false, true})
            if (const auto present = numbered(folder, is_aside); !present.empty())
                number = std::max(number, present.front());
        ++number;
        if (number > max_generation)
            return failure{errc::bad_configuration, folder + ": its numbers are used up; move it away"};

        const std::string made = folder + "/.new";
        disk_.remove_left_over(made);
        auto stored = write_generation(made, next);
        if (stored)
            stored = publish(folder, made, number, before, may_commit, suffix);
        remove_old(folder);
        if (stored)
            return number;
        disk_.remove_left_over(made);
        return stored.error();
    }

    // Puts the generations aside that read() passes over as they are damaged, and makes the one that it gives the
    // current one. `suffix` has a dot in front.
    [[nodiscard]] outcome<std::vector<put_aside>> put_broken_aside(const std::string& id, const std::string& suffix)
    {
        const std::string folder = folder_of(id);
        const std::uint64_t current = read_current(folder);
        auto numbers = generations(folder);
        std::ranges::stable_partition(numbers, [&](std::uint64_t number) { return number == current; });
        std::vector<std::pair<std::uint64_t, std::string>> broken; // and why
        std::uint64_t used = 0;
        for (const std::uint64_t number : numbers) {
            const auto found = read_generation(folder, number);
            if (found) {
                used = number;
                break;
            }
            if (is_damage(found.error().code))
                broken.emplace_back(number, found.error().what);
        }
        const bool is_current_gone = !numbers.empty() && numbers.front() != current;
        const bool is_current_broken = !broken.empty() && broken.front().first == current;
        std::vector<put_aside> done;
        outcome<> whole;
        for (std::size_t i = 0; whole && i < broken.size(); ++i) {
            auto& [number, what] = broken[i];
            const std::string path = folder + '/' + generation_name(number);
            if (const error_code failed = files_.rename(path, path + suffix, os::if_exists::fail))
                whole = storage_failure(path, "cannot be moved aside", failed);
            else
                done.push_back({std::move(what), path + suffix});
        }
        // Afterwards: whoever has the broken one whole in memory sees that it was put aside, and goes on with it.
        if (is_current_gone || (is_current_broken && !done.empty()))
            if (const auto pointed = point_to(folder, used, suffix); !pointed)
                whole = pointed;
        disk_.settle(folder);
        // What was moved is told, whatever failed then: a `current` that leads nowhere is mended the next time.
        if (!whole && done.empty())
            return whole.error();
        return done;
    }

private:
    [[nodiscard]] std::string folder_of(std::string_view id) const { return certs_ + '/' + std::string(id); }

    // Whether `expected` is what read() gives. What nobody can load counts as none.
    [[nodiscard]] bool is_in_use(const std::string& id, std::uint64_t expected)
    {
        if (expected != 0 && read_current(folder_of(id)) == expected)
            return true;
        const auto found = read(id);
        return (found && *found ? (*found)->generation : 0) == expected;
    }

    // Highest first; none where nothing can be listed.
    [[nodiscard]] std::vector<std::uint64_t> generations(const std::string& folder) { return numbered(folder, false); }

    // The same, or those that were put aside.
    [[nodiscard]] std::vector<std::uint64_t> numbered(const std::string& folder, bool is_aside)
    {
        std::vector<std::uint64_t> numbers;
        const auto names = files_.list(folder);
        for (std::size_t i = 0; names && i < names->size(); ++i) {
            const std::string_view name = (*names)[i];
            const std::size_t dot = name.find('.');
            const std::uint64_t number = parse_generation(name.substr(0, dot));
            if (number != 0 && (dot != name.npos) == is_aside)
                numbers.push_back(number);
        }
        std::ranges::sort(numbers, std::greater<>());
        return numbers;
    }

    // 0 when it is missing or says nothing.
    [[nodiscard]] std::uint64_t read_current(const std::string& folder)
    {
        constexpr std::size_t most = 32;
        const std::string path = folder + "/current";
        if (const auto target = files_.read_symlink(path))
            return parse_generation(*target);
        const auto text = files_.read(path, most);
        if (!text)
            return 0;
        const std::string_view line = as_text(*text);
        return parse_generation(line.substr(0, line.find('\n')));
    }

    // Fails when chain or key cannot be read, or do not belong together.
    [[nodiscard]] outcome<bundle> read_generation(const std::string& folder, std::uint64_t number)
    {
        const std::string inside = folder + '/' + generation_name(number);
        std::optional<failure> failed;
        const auto text = [&](const char* name) {
            auto read = files_.read(inside + name, max_stored_size);
            if (!read && !failed)
                failed = read_failure(inside + name, read.error());
            return read;
        };
        const auto chain = text("/fullchain.pem");
        auto key = text("/privkey.pem");
        if (failed)
            return *failed;
        bundle found;
        found.chain_pem = as_text(*chain);
        found.key_pem = std::move(*key);
        if (const auto meta = files_.read(inside + "/meta.json", max_stored_size)) // a certificate serves without it
            found.meta_json = as_text(*meta);
        found.generation = number;
        auto made = credential_of(found, inside);
        if (!made)
            return made.error();
        found.credential = std::move(*made);
        return found;
    }

    // Fails when key and chain do not belong together, or nobody can serve them.
    [[nodiscard]] static outcome<cert::credential_ptr> credential_of(const bundle& one, const std::string& inside)
    {
        const std::string chain_file = inside + "/fullchain.pem";
        const std::string key_file = inside + "/privkey.pem";
        cert::load_options options;
        options.certificate_file = chain_file;
        options.key_file = key_file;
        options.from = cert::source::acme;
        // Note: without a key of its own, one in the chain's file would do.
        if (one.key_pem.empty())
            return failure{errc::bad_pem, key_file + ": it is empty"};
        return cert::make_credential(one.chain_pem, as_text(one.key_pem), options);
    }

    [[nodiscard]] outcome<> write_generation(const std::string& made, const bundle& next)
    {
        if (std::max({next.chain_pem.size(), next.key_pem.size(), next.meta_json.size()}) > max_stored_size)
            return too_large(made);
        if (!next.credential)
            if (const auto fits = credential_of(next, made); !fits)
                return fits.error();
        if (const error_code failed = files_.make_directory(made, 0700))
            return storage_failure(made, "this folder cannot be made", failed);
        if (auto written = disk_.write_lasting(made + "/fullchain.pem", next.chain_pem); !written)
            return written;
        if (auto written = disk_.write_lasting(made + "/privkey.pem", as_text(next.key_pem)); !written)
            return written;
        if (auto written = disk_.write_lasting(made + "/meta.json", next.meta_json); !written)
            return written;
        if (const error_code failed = files_.sync_directory(made))
            return storage_failure(made, "cannot be written", failed);
        return {};
    }

    // Gives the generation its number and makes it the current one, unless that is no longer `before`.
    [[nodiscard]] outcome<> publish(const std::string& folder, const std::string& made, std::uint64_t number,
                                    std::uint64_t before, const check& may_commit, const std::string& suffix)
    {
        const error_code renamed = files_.rename(made, folder + '/' + generation_name(number), os::if_exists::fail);
        if (is_taken(renamed))
            return conflict(folder);
        if (renamed)
            return storage_failure(folder, "a new certificate cannot be put there", renamed);
        if (const error_code failed = files_.sync_directory(folder))
            return storage_failure(folder, "cannot be written", failed);
        if (auto may = may_commit(); !may)
            return may;
        if (read_current(folder) != before)
            return conflict(folder);
        return point_to(folder, number, suffix);
    }

    // Makes that generation the current one; 0: none. A folder there, as some copies and backups make of the link, is
    // put aside.
    [[nodiscard]] outcome<> point_to(const std::string& folder, std::uint64_t number, const std::string& suffix)
    {
        const std::string current = folder + "/current";
        if (const auto there = files_.stat(current); there && there->type == os::file_type::directory)
            if (const auto moved = disk_.move_aside(current, suffix); !moved)
                return moved.error();
        if (number == 0) {
            if (const error_code failed = files_.remove(current); failed && !is_missing(failed))
                return storage_failure(current, "cannot be removed", failed);
            disk_.settle(folder);
            return {};
        }
        const std::string name = generation_name(number);
        const std::string link = folder + "/.current.new";
        disk_.remove_left_over(link);
        outcome<> pointed;
        if (const error_code failed = files_.make_symlink(name, link)) {
            // Some file systems have no links.
            if (failed == boost::system::errc::no_space_on_device)
                return storage_failure(link, "cannot be made", failed);
            pointed = disk_.write_lasting(link, name + "\n");
        }
        if (pointed)
            if (const error_code failed = files_.rename(link, current, os::if_exists::replace))
                pointed = storage_failure(current, "cannot be replaced", failed);
        if (!pointed)
            disk_.remove_left_over(link);
        else
            disk_.settle(folder);
        return pointed;
    }

    // Keeps the newest and the current one. What cannot be removed is tried again the next time.
    void remove_old(const std::string& folder)
    {
        const auto numbers = generations(folder);
        const std::uint64_t current = read_current(folder);
        for (std::size_t i = kept_; i < numbers.size(); ++i)
            if (numbers[i] != current)
                disk_.remove_left_over(folder + '/' + generation_name(numbers[i]));
    }

    static failure conflict(const std::string& folder)
    {
        return {errc::conflict, folder + ": somebody else stored a certificate; load it"};
    }

    durable_files& disk_;
    os::file_system& files_;
    std::string certs_;
    std::size_t kept_;
};

}

#endif
