// Any bytes as a PEM bundle, as a certificate and as a private key: an outcome, never an exception.
#include <alos/cert/load.hpp>

#include <cstdlib>

using namespace alos;

namespace {

void require(bool holds)
{
    if (!holds)
        std::abort();
}

void read_one(byte_view der)
{
    const auto read = parse_certificate({der.begin(), der.end()});
    if (!read)
        return;
    require(name_text(read->subject).find('\n') == std::string::npos);
    require(schemes_of(read->key).size() <= 3);
    (void)is_self_signed(*read);
    for (const std::string& name : cert::detail::describe(*read).names)
        require(cert::parse_domain(name) == name);
}

}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const byte_view input(data, size);
    const std::string_view text = as_text(input);
    read_one(input);
    if (const auto blocks = parse_pem(text)) {
        for (const pem_block& block : *blocks) {
            if (const auto der = decode_pem(block))
                read_one(*der);
            if (is_private_key(block))
                (void)parse_private_key(block, {}, {}).has_value();
        }
    } else {
        require(blocks.error().what.find('\n') == std::string::npos);
    }
    const auto made = cert::make_credential(text, {});
    if (made)
        require((*made)->key->sign((*made)->key->schemes().front(), input).has_value());
    return 0;
}
