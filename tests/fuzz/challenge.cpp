// Any bytes as a token, as base64url and as the certificate that a probe was shown: one answer, never an exception.
#include <alos/acme/certificate_id.hpp>
#include <alos/acme/challenge.hpp>

#include <cstdlib>

using namespace alos;
using namespace alos::acme;

namespace {

void require(bool holds)
{
    if (!holds)
        std::abort();
}

void read_text(std::string_view text)
{
    require(from_base64url(to_base64url(as_bytes(text))).value().size() == text.size());
    const auto strict = from_base64url(text);
    const auto lenient = secret_from_base64(text);
    if (strict) {
        require(to_base64url(*strict) == text);
        require(lenient && equal(*strict, *lenient));
        require(text.empty() || is_base64url(text));
    }
    if (lenient)
        require(from_base64url(to_base64url(*lenient)).value().size() == lenient->size());
    if (is_token(text)) {
        require(text.find_first_of("./%?\r\n") == std::string_view::npos);
        require(http01_path(text).size() == http01_prefix.size() + text.size());
    }
    const std::string reversed = reverse_name(text);
    require(reversed.empty() || cert::host_name(reversed).text() == reversed);
    require(dns01_value(text).size() == 43);
}

void read_certificate(byte_view der)
{
    for (const char* const identifier : {"example.com", "192.0.2.1", "2001:db8::1"}) {
        const auto answer = answers_tls_alpn(der, identifier, "token.thumbprint");
        if (answer)
            continue;
        require(answer.error().what.find('\n') == std::string::npos);
        require(answer.error().what.size() < 1000);
    }
    const auto name = ari_certificate_id(der);
    if (!name)
        return;
    const std::size_t dot = name->find('.');
    require(is_base64url(name->substr(0, dot)) && is_base64url(name->substr(dot + 1)));
}

}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const byte_view input(data, size);
    read_text(as_text(input));
    read_certificate(input);
    return 0;
}
