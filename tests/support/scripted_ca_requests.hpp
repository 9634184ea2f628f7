// What the scripted CA does with every request: hostility, then method, nonce, URL and key (RFC 8555 6).
// Part of scripted_ca.hpp.
#ifndef ALOS_TESTS_SCRIPTED_CA_REQUESTS_HPP
#define ALOS_TESTS_SCRIPTED_CA_REQUESTS_HPP

#include "support/scripted_ca.hpp"

namespace test {

inline outcome<http::outbound_response> scripted_ca::answer(const http::outbound_request& request)
{
    const spelled_url where(request.url);
    const std::string path = std::string(where.path);
    call one{request, step::unknown, {}};
    for (std::size_t at = 0; at < path.size();) {
        const std::size_t next = std::min(path.find('/', at + 1), path.size());
        one.parts.push_back(std::string_view(path).substr(at + 1, next - at - 1));
        at = next;
    }
    one.at = step_of(one.parts);
    ++requests_[static_cast<std::size_t>(one.at)];
    if (on_request)
        on_request(one.at);

    const auto gone = [&](auto code, const char* why) {
        return failure{alos::error_code(code), settings.url + ": " + why};
    };
    if (strikes(&hostility::down))
        return gone(asio::error::connection_refused, "connection refused");
    if (strikes(&hostility::cut_before))
        return gone(asio::error::connection_reset, "the connection was closed before an answer came");
    const bool silent = strikes(&hostility::silent);
    const bool lost_on_the_way = silent && random_.chance(0.5);
    if (lost_on_the_way)
        return gone(alos::errc::timed_out, "no answer in time");
    if (strikes(&hostility::moved_directory))
        move_directory();

    std::optional<response> away = turn_away(one);
    response out = away ? std::move(*away) : handle(one);
    forget_expired();
    if (silent)
        return gone(alos::errc::timed_out, "no answer in time");
    const bool post = request.method == "POST";
    if (post && strikes(&hostility::cut_after))
        return gone(asio::error::connection_reset, "the connection was closed before an answer came");

    const bool html = out.field("Content-Type") == "text/html";
    if (((post && !html) || one.at == step::new_nonce) && !strikes(&hostility::no_nonce))
        out.fields.emplace_back("Replay-Nonce", make_nonce());
    if (out.field("Date").empty())
        out.fields.emplace_back("Date", http::format_date(std::chrono::system_clock::to_time_t(world_.now())));
    if (out.field("Content-Type").ends_with("json") && strikes(&hostility::truncated_body))
        out.body.resize(out.body.size() / 2);
    if (strikes(&hostility::huge_body))
        out.body.append(std::min<std::size_t>(10'000'000, request.max_body + 1), ' '); // more is not read
    if (request.method == "HEAD")
        out.body.clear();
    if (on_answer)
        on_answer(one.at, out);
    return out;
}

inline scripted_ca::step scripted_ca::step_of(const std::vector<std::string_view>& parts) const
{
    if (parts.size() == 1 && parts[0] == "directory")
        return step::directory;
    if (parts.size() < 2)
        return step::unknown;
    const bool entered = parts[0].starts_with('d');
    const std::string_view name = entered ? parts[1] : parts[0];
    constexpr std::array<std::pair<std::string_view, step>, 6> entrances{{
        {"new-nonce", step::new_nonce},
        {"new-account", step::new_account},
        {"new-order", step::new_order},
        {"renewal-info", step::renewal_info},
        {"revoke-cert", step::revoke_cert},
        {"key-change", step::key_change},
    }};
    constexpr std::array<std::pair<std::string_view, step>, 6> resources{{
        {"account", step::account},
        {"order", step::order},
        {"authorization", step::authorization},
        {"challenge", step::challenge},
        {"finalize", step::finalize},
        {"certificate", step::certificate},
    }};
    for (const auto& [text, at] : entered ? entrances : resources)
        if (text == name)
            return at;
    return step::unknown;
}

// What is answered before anybody looks at the request.
inline std::optional<http::outbound_response> scripted_ca::turn_away(const call& one)
{
    const auto wait = [&] { return random_.between(std::chrono::seconds(1), settings.longest_retry_after); };
    if (strikes(&hostility::too_many_requests))
        return throttled(429, wait(), "too many requests");
    if (strikes(&hostility::unavailable))
        return throttled(503, wait(), "the load balancer is busy");
    if (strikes(&hostility::server_error))
        return problem(500, "serverInternal", "something is broken");
    if (strikes(&hostility::html_error)) {
        response page;
        page.status = 502;
        page.fields.emplace_back("Content-Type", "text/html");
        page.body = "<html><body><h1>502 Bad Gateway</h1></body></html>";
        return page;
    }
    if (strikes(&hostility::redirects)) {
        response page;
        page.status = 307;
        page.fields.emplace_back("Location", one.request.url);
        return page;
    }
    return std::nullopt;
}

inline http::outbound_response scripted_ca::handle(call& one)
{
    const std::string& method = one.request.method;
    const bool entrance = one.at == step::new_nonce || one.at == step::new_account || one.at == step::new_order
                          || one.at == step::renewal_info || one.at == step::revoke_cert || one.at == step::key_change;
    if (one.at == step::unknown)
        return not_found();
    if (entrance && one.parts[0] != "d" + std::to_string(epoch_))
        return epoch_ % 2 == 0 ? not_found() : problem(405, "malformed", "not here any more");
    const bool unsigned_step = one.at == step::directory || one.at == step::new_nonce || one.at == step::renewal_info;
    if (unsigned_step) {
        if (method != "GET" && (method != "HEAD" || one.at == step::renewal_info)) {
            breach(method + " " + one.request.url);
            return problem(405, "malformed", "GET it");
        }
        if (one.at == step::directory)
            return directory();
        if (one.at == step::renewal_info)
            return renewal_info(one);
        response out; // RFC 8555 7.2
        out.status = method == "HEAD" ? 200 : 204;
        out.fields.emplace_back("Cache-Control", "no-store");
        return out;
    }

    const signer by = one.at == step::new_account ? signer::key
                      : one.at == step::revoke_cert ? signer::either
                                                    : signer::account;
    if (auto refused = authenticate(one, by))
        return std::move(*refused);
    response out;
    switch (one.at) {
    case step::new_account: out = new_account(one); break;
    case step::account: out = change_account(one); break;
    case step::key_change: out = change_key(one); break;
    case step::new_order: out = new_order(one); break;
    case step::order: out = show_order(one); break;
    case step::finalize: out = finalize(one); break;
    case step::authorization: out = show_authorization(one); break;
    case step::challenge: out = answer_challenge(one); break;
    case step::certificate: out = download(one); break;
    case step::revoke_cert: out = revoke_certificate(one); break;
    default: out = not_found(); break;
    }
    out.fields.emplace_back("Link", "<" + directory_url() + ">;rel=\"index\"");
    return out;
}

// RFC 8555 6.2 to 6.5. On success the payload is parsed, and `by` or `jwk` is set.
inline std::optional<http::outbound_response> scripted_ca::authenticate(call& one, signer by)
{
    std::string_view type;
    for (const auto& [name, value] : one.request.fields)
        if (alos::http::equal_ignoring_case(name, "Content-Type"))
            type = value;
    if (one.request.method != "POST" || type != "application/jose+json") {
        breach("no signed POST but " + one.request.method + " " + one.request.url);
        return one.request.method == "POST" ? problem(415, "malformed", "Content-Type is application/jose+json")
                                            : problem(405, "malformed", "POST it");
    }
    one.body.emplace(one.page.parse(one.request.body));
    one.jws = open_jws(one.page, *one.body);
    if (!one.jws) {
        breach("no flattened JWS");
        return problem(400, "malformed", "no flattened JWS");
    }
    if (auto refused = check_protected(one, by))
        return refused;
    if (!one.jws->payload.empty()) {
        one.payload = one.page.parse(one.jws->payload);
        if (!one.payload.is_object()) {
            breach("a payload that is no JSON object");
            return problem(400, "malformed", "the payload is no JSON object");
        }
    }
    return std::nullopt;
}

inline std::optional<http::outbound_response> scripted_ca::check_protected(call& one, signer by)
{
    const opened_jws& jws = *one.jws;
    // RFC 8555 6.5.2: nonces come before everything that has an effect. One that is too old is no mistake.
    const auto nonce = nonces_.find(std::string(jws.nonce()));
    if (nonce != nonces_.end() && nonce->second)
        breach("a nonce is used twice");
    const bool fresh = nonce != nonces_.end() && !nonce->second;
    if (fresh)
        nonce->second = true;
    if (strikes(&hostility::bad_nonce) || !fresh)
        return problem(400, "badNonce", "unknown nonce");

    // RFC 8555 6.4: the "url" header parameter MUST be the request's.
    if (jws.url() != one.request.url) {
        breach("signed for " + std::string(jws.url()) + ", sent to " + one.request.url);
        return problem(401, "unauthorized", "signed for another URL");
    }
    // RFC 8555 6.2: "jwk" and "kid" fields are mutually exclusive.
    const bool has_key = jws.jwk() != nullptr;
    if (has_key == !jws.kid().empty() || (has_key && by == signer::account) || (!has_key && by == signer::key)) {
        breach("not jwk or kid as " + one.request.url + " wants it");
        return problem(400, "malformed", "either jwk or kid, the right one");
    }
    const public_jwk* key = nullptr;
    if (has_key) {
        one.jwk = read_jwk(*jws.jwk());
        if (!one.jwk) {
            breach("a jwk that cannot be used");
            return problem(400, "badPublicKey", "not a key that is taken here");
        }
        key = &*one.jwk;
    } else {
        const std::string prefix = settings.url + "/account/";
        const bool own = jws.kid().starts_with(prefix);
        one.by = own ? find_number(accounts_, jws.kid().substr(prefix.size())) : nullptr;
        if (one.by != nullptr && strikes(&hostility::lost_account)) {
            account_of_.erase(one.by->key.thumbprint);
            accounts_.erase(one.by->number);
            one.by = nullptr;
        }
        if (one.by == nullptr)
            return problem(400, "accountDoesNotExist", "no such account");
        if (one.by->deactivated)
            return problem(403, "unauthorized", "the account is deactivated");
        key = &one.by->key;
    }
    if (jws.alg() != key->alg) {
        breach("alg " + std::string(jws.alg()) + " with a key for " + key->alg);
        response out = problem(400, "badSignatureAlgorithm", "not with this key");
        out.body = out.body.substr(0, out.body.size() - 1) + R"(,"algorithms":["ES256","ES384","RS256"]})";
        return out;
    }
    if ((has_key || random_.chance(settings.verified_share)) && !is_signed_with(jws, *key)) {
        breach("a signature that is none");
        return problem(401, "unauthorized", "the signature does not verify");
    }
    return std::nullopt;
}

}

#endif
