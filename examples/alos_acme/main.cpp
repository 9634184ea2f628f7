// alos-acme: certificates by ACME from the command line, in a folder that alos servers share.
//
//     alos-acme doctor example.com
//     alos-acme issue --email admin@example.com example.com,www.example.com
//     alos-acme renew
//
// It answers the CA itself, on ports 80 and 443, for as long as it runs; a server on the same folder that has these
// ports answers in its place. alos-acme --help tells the rest.
#include "accounts.hpp"
#include "certificates.hpp"
#include "checkup.hpp"
#include "listing.hpp"
#include "options.hpp"

#include <alos/acme/configured.hpp>
#include <alos/src.hpp>

#include <csignal>
#include <iostream>
#include <memory>

#include <fcntl.h>
#include <unistd.h>

namespace {

using namespace command;

std::vector<acme::identifier> names_in(std::string_view word)
{
    std::vector<acme::identifier> names;
    while (!word.empty()) {
        auto name = acme::identifier_of(alos::http::next_part(word, ','));
        if (!name)
            throw misuse{name.error().what};
        if (std::ranges::count(names, *name) == 0)
            names.push_back(std::move(*name));
    }
    if (names.empty() || names.size() > acme::detail::max_identifiers)
        throw misuse{"a certificate has 1 to 100 names"};
    return names;
}

// What is wrong shows before anything is done.
awaitable<report> choose(session& in)
{
    const options& asked = in.chosen;
    if (asked.command == "issue") {
        std::vector<std::vector<acme::identifier>> wanted;
        for (const std::string& each : asked.words) {
            wanted.push_back(names_in(each));
            for (const auto& before : wanted) {
                if (const auto apart = acme::check_apart(before, wanted.back()); !apart)
                    throw misuse{apart.error().what};
            }
        }
        if (wanted.empty())
            throw misuse{"which names? alos-acme issue example.com,www.example.com"};
        return issue(in, std::move(wanted));
    }
    if (asked.command == "renew")
        return renew(in);
    if (asked.command == "revoke") {
        if (asked.words.empty())
            throw misuse{"which names? alos-acme list shows all"};
        return revoke(in);
    }
    if (asked.command == "doctor") {
        std::vector<acme::identifier> names;
        for (const std::string& each : asked.words) {
            for (acme::identifier& name : names_in(each))
                names.push_back(std::move(name));
        }
        return examine(in, std::move(names));
    }
    if (asked.command == "list" && asked.words.empty())
        return list(in);
    const std::string action = asked.words.empty() ? "show" : asked.words.front();
    if (asked.command == "list" || asked.words.size() > 1)
        throw misuse{"'" + asked.words.back() + "' means nothing to " + asked.command};
    if (action == "show")
        return show_accounts(in);
    if (action == "update" && asked.email.empty())
        throw misuse{"account update needs --email ADDRESS"};
    if (action == "update" || action == "rollover" || action == "deactivate")
        return change_account(in, action);
    throw misuse{"'" + action + "' is none of show, update, rollover, deactivate"};
}

// What nobody could be told is not done.
int end(int status)
{
    if (std::cout.flush())
        return status;
    std::cerr << "alos-acme: stdout cannot be written; its disk is full, or it is closed\n";
    return status == 0 ? 1 : status;
}

// Nothing else is opened in place of a stream that is closed: what is written to that one fails.
void hold_streams()
{
    int file = 0;
    while (file >= 0 && file <= STDERR_FILENO)
        file = ::open("/dev/null", O_RDONLY);
    if (file >= 0)
        ::close(file);
}

int finish(const options& asked, const report& said)
{
    if (const auto* const why = said.json.if_contains("error"))
        std::cerr << "alos-acme: " << in_one_line(std::string(why->as_string())) << "\n";
    if (asked.json)
        std::cout << to_document(said.json) << "\n";
    else
        std::cout << said.text;
    return end(said.status);
}

}

int main(int argc, char** argv)
{
    hold_streams();
    std::signal(SIGPIPE, SIG_IGN); // it shows when stdout is written
    try {
        options asked = parse_options({argv + 1, argv + argc});
        if (asked.help) {
            report said{0, help_text(find_command(asked.command))};
            said.json["help"] = said.text;
            return finish(asked, said);
        }
        if (asked.version) {
            const std::string version = std::to_string(ALOS_VERSION_MAJOR) + "." + std::to_string(ALOS_VERSION_MINOR)
                                        + "." + std::to_string(ALOS_VERSION_PATCH);
            report said{0, "alos-acme " + version + "\n"};
            said.json["version"] = version;
            return finish(asked, said);
        }
        std::unique_ptr<session> in;
        try {
            in = std::make_unique<session>(asked);
        } catch (const std::exception& why) { // not even this much can be opened
            return finish(asked, session::fault(std::string(why.what()) + "; see `ulimit -n`"));
        }
        auto work = choose(*in);
        if (const auto opened = in->open(); !opened)
            return finish(asked, session::fault(opened.error().what));
        return finish(asked, in->run(std::move(work)));
    } catch (const misuse& why) {
        options asked;
        asked.json = std::ranges::count(std::vector<std::string>(argv + 1, argv + argc), "--json") != 0;
        report said{2};
        said.json["error"] = why.what;
        return finish(asked, said);
    }
}
