// Any texts as the nonce, URLs and payload of a signed request, which come from a CA: each is within the JWS as it was,
// and nothing else is. Any text as an account's key or an external account's.
#include <alos/acme/jws.hpp>
#include <alos/http/uri.hpp>

#include <boost/json/parse.hpp>
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

boost::json::object parse(std::string_view text)
{
    boost::json::parse_options options;
    options.allow_invalid_utf8 = true; // of a CA that sent it
    boost::system::error_code ec;
    const auto whole = boost::json::parse(text, ec, {}, options);
    require(!ec && whole.is_object());
    return whole.get_object();
}

std::string decoded(const boost::json::object& from, const char* member)
{
    const auto bytes = from_base64url(std::string_view(from.at(member).as_string()));
    require(bytes.has_value());
    return {bytes->begin(), bytes->end()};
}

bool says(const boost::json::object& object, const char* member, std::string_view text)
{
    const boost::json::value& found = object.at(member);
    return found.is_string() && std::string_view(found.get_string()) == text;
}

// Its protected header.
boost::json::object read_back(const std::string& jws, std::string_view payload)
{
    const boost::json::object parts = parse(jws);
    require(parts.size() == 3 && decoded(parts, "payload") == payload && !decoded(parts, "signature").empty());
    return parse(decoded(parts, "protected"));
}

}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    static const account_key key = account_key::generate(key_kind::ed25519).value();
    std::string_view payload = as_text({data, size});
    jws_target target;
    target.nonce = http::next_part(payload, '\n');
    target.url = http::next_part(payload, '\n');
    target.kid = http::next_part(payload, '\n');

    const boost::json::object header = read_back(sign_jws(key, target, payload).value(), payload);
    require(header.size() == 4 && says(header, "alg", "EdDSA"));
    require(says(header, "nonce", target.nonce) && says(header, "url", target.url));
    require(target.kid.empty() ? header.at("jwk").is_object() : says(header, "kid", target.kid));

    const boost::json::object change = parse(sign_key_change(key, key, target.kid, target.url).value());
    const boost::json::object inner = parse(decoded(change, "payload"));
    require(inner.size() == 2 && says(inner, "account", target.kid));

    if (const auto secret = secret_from_base64(target.nonce)) {
        const auto bound = external_account_binding(target.kid, *secret, target.url, key);
        require(bound.has_value() == (!target.kid.empty() && !secret->empty() && secret->size() <= max_hmac_key_size));
        if (bound)
            require(says(read_back(*bound, key.jwk()), "kid", target.kid));
    }
    if (const auto read = account_key::from_pem(as_text({data, size})))
        require(read->thumbprint().size() == 43 && !read->alg().empty() && parse(read->jwk()).contains("kty"));
    return 0;
}
