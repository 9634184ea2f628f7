// Decodes two ClientHellos and does with them all that a server does (RFC 8446 4.1.1, 4.1.2, 4.2).
// Input: the body of the first behind its length in two bytes, the rest is the body of the second.
#include "support/connection.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace alos_tests;
    static const server_config config = [] {
        server_config made = test_config();
        made.alpn = {"h2", "http/1.1"};
        return made;
    }();
    reader in({data, size});
    const auto first = client_hello::decode(in.vector16());
    const auto second = client_hello::decode(in.rest());
    if (first && first->offers_tls13) {
        static_cast<void>(choose_protocol(*first, config));
        static_cast<void>(choose_credential(*first, config.certificates->load()->find(first->server_name)));
        const auto choice = negotiate(*first, config);
        demand(!choice || choice->retry
                   || first->key_share.find(choice->group)->size() == client_share_size(choice->group),
               "a share that is used has the right length");
        if (choice && second)
            static_cast<void>(check_second_hello(*first, *second, choice->group, {}));
    }
    if (first && second)
        demand(differs_illegally(*first, *second) == differs_illegally(*second, *first), "to differ is symmetric");
    return 0;
}
