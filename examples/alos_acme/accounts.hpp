// Accounts: show, update, rollover, deactivate. RFC 8555 7.3.
#ifndef ALOS_EXAMPLES_ALOS_ACME_ACCOUNTS_HPP
#define ALOS_EXAMPLES_ALOS_ACME_ACCOUNTS_HPP

#include "session.hpp"

#include <alos/acme/account.hpp>
#include <alos/acme/order_list.hpp>

#include <boost/json/value_from.hpp>

namespace command {

using acme::account_record;

inline boost::json::object line_of(const account_record& one)
{
    boost::json::object out;
    out["directory"] = one.directory;
    out["email"] = one.email.empty() ? boost::json::value(nullptr) : boost::json::value(one.email);
    out["url"] = one.url;
    return out;
}

// Those of the folder that the options speak of. Throws where the only ones may be those that cannot be read.
inline awaitable<std::vector<account_record>> chosen_accounts(session& in)
{
    auto all = co_await in.accounts();
    const options& chosen = in.chosen;
    std::erase_if(all.read, [&](const account_record& each) {
        return (!chosen.directory.empty() && each.directory != chosen.directory)
               || (!chosen.account.empty() && each.url != chosen.account);
    });
    if (!all.damaged.empty() && all.read.empty())
        throw unreadable(all.damaged);
    if (!all.damaged.empty())
        in.say("warning: " + all.damaged);
    co_return std::move(all.read);
}

// What a CA says of an account.
struct known_account {
    acme::account state;
    std::string orders{}; // one line each
    boost::json::array orders_json{};
};

inline constexpr std::size_t most_orders_read = 100;

// RFC 8555 7.1.2.1, 7.1.3. The newest are at the end of the list at some CAs, and at its beginning at others.
inline awaitable<> ask_for_orders(acme::client& ca, acme::signer by, known_account& into)
{
    if (into.state.orders.empty()) {
        into.orders = "  this CA keeps no list of orders\n";
        co_return;
    }
    const auto all = co_await acme::list_orders(ca, by, into.state.orders);
    if (!all) {
        into.orders = "  " + in_one_line(all.error().what) + "\n";
        co_return;
    }
    for (const std::string& url : all->urls) {
        boost::json::object line;
        line["url"] = url;
        std::string text = url;
        if (into.orders_json.size() < most_orders_read) {
            const auto answer = co_await ca.post(url, std::string(), by, "order");
            const auto read = answer ? acme::parse_order(answer->body)
                                     : alos::outcome<acme::order>(alos::failure{{}, answer.error().what});
            const auto names = read ? acme::values_of(read->identifiers) : std::vector<std::string>();
            const std::string state = read ? std::string(name_of(read->status)) : read.error().what;
            line["status"] = state;
            line["names"] = boost::json::value_from(names);
            text += ": " + state + (names.empty() ? "" : ", " + join(names));
        }
        into.orders += "  " + in_one_line(text) + "\n";
        into.orders_json.push_back(std::move(line));
    }
    if (!all->is_whole)
        into.orders += "  and more\n";
}

// Why its CA cannot be asked as that account; empty: its key is there. Without that, another one would be opened.
inline awaitable<std::string> why_not_ours(session& in, account_record one)
{
    const std::string document = "account/" + acme::storage_id(one.directory, one.email) + ".key";
    const auto kept = co_await in.storage.load(document);
    if (!kept)
        co_return kept.error().what;
    if (kept->has_value() && acme::account_key::from_pem(alos::as_text((*kept)->text)))
        co_return "";
    co_return in.chosen.cache_dir + "/" + document
        + ": the account's key is lost, without which its CA cannot be asked; put a copy of it back; the "
          "next issue opens another account";
}

// It is not registered anew. RFC 8555 7.3.3, 6.3.
inline awaitable<acme::reply<known_account>> ask_about(session& in, account_record one)
{
    const std::string lost = co_await why_not_ours(in, one);
    if (!lost.empty())
        co_return acme::refusal{acme::failure_class::permanent, lost};
    acme::client ca(in.world, in.authority(one.directory));
    if (const auto ready = ca.prepare(); !ready)
        co_return acme::refusal{acme::failure_class::permanent, ready.error().what};
    acme::account_keeper keeper(ca, in.storage, one.email, [](acme::event_kind, std::string) {});
    auto by = co_await keeper.open();
    if (!by)
        co_return by.error();
    const auto answer = co_await ca.post(by->url, std::string(), *by, "account");
    if (!answer)
        co_return answer.error();
    auto read = acme::parse_account(answer->body);
    if (!read)
        co_return acme::refusal{acme::failure_class::transient, read.error().what};
    known_account known{std::move(*read)};
    if (in.chosen.orders)
        co_await ask_for_orders(ca, *by, known);
    co_return std::move(known);
}

inline awaitable<report> show_accounts(session& in)
{
    report said;
    boost::json::array list;
    const auto all = co_await chosen_accounts(in);
    for (const account_record& each : all) {
        const auto known = co_await ask_about(in, each);
        boost::json::object line = line_of(each);
        std::string state;
        std::string contact;
        if (known) {
            state = name_of(known->state.status);
            contact = join(known->state.contact);
            line["contact"] = boost::json::value_from(known->state.contact);
            if (in.chosen.orders)
                line["orders"] = known->orders_json;
        } else {
            state = "unknown: " + by_options(known.error().what);
            said.status = 1;
        }
        line["status"] = state;
        list.push_back(std::move(line));
        said.text += in_one_line(each.url + ": " + state + (contact.empty() ? "" : ", " + contact) + ", kept for "
                                 + (each.email.empty() ? "no e-mail address" : each.email))
                     + "\n";
        if (known)
            said.text += known->orders;
    }
    if (all.empty())
        said.text = "there is no account in " + in.chosen.cache_dir + "; issue opens one\n";
    said.json["accounts"] = std::move(list);
    co_return said;
}

// One account, changed by one of the three.
inline awaitable<report> change_account(session& in, std::string action)
{
    const auto all = co_await chosen_accounts(in);
    if (all.size() != 1) {
        std::string urls;
        for (const account_record& each : all)
            urls += " " + each.url;
        co_return session::fault(all.empty() ? "there is no such account in " + in.chosen.cache_dir
                                             : "there are several accounts; choose one by --account:" + urls);
    }
    account_record one = all.front();
    const std::string lost = co_await why_not_ours(in, one);
    if (!lost.empty())
        co_return session::fault(lost);
    acme::client ca(in.world, in.authority(one.directory));
    if (const auto ready = ca.prepare(); !ready)
        co_return session::fault(ready.error().what);
    acme::account_keeper keeper(ca, in.storage, one.email,
                                [&in](acme::event_kind, std::string what) { in.say(what); });
    acme::reply<> done;
    std::string text;
    if (action == "update") {
        std::vector<std::string> contact = {acme::mailto_url(in.chosen.email)};
        done = co_await keeper.update(std::move(contact));
        if (done)
            done = co_await keeper.keep_for(in.chosen.email);
        one.email = in.chosen.email;
        text = "its e-mail address is " + one.email + "; give it to servers on this folder, too (config.acme.email)";
    } else if (action == "rollover") {
        done = co_await keeper.change_key(in.chosen.account_key);
        text = "it has a new key";
    } else {
        done = co_await keeper.deactivate();
        text = "it is closed, for ever; certificates stay valid, and the next order opens another account";
    }
    if (!done)
        co_return session::fault(done.error().what);
    report said;
    said.text = in_one_line(one.url + ": " + text) + "\n";
    said.json["account"] = line_of(one);
    said.json["result"] = action;
    co_return said;
}

}

#endif
