// Any bytes as a server name: one answer, whatever its spelling, and only for names that are stored.
#include <alos/cert/snapshot.hpp>

#include <cstdlib>

using namespace alos;
using namespace alos::cert;

namespace {

void require(bool holds)
{
    if (!holds)
        std::abort();
}

credential_ptr with_names(std::vector<std::string> names)
{
    auto made = std::make_shared<credential>();
    made->about.names = std::move(names);
    made->about.addresses = {"192.0.2.1", "2001:db8::1"};
    return made;
}

const snapshot& names()
{
    static const snapshot map(
        {
            {"default.test", {with_names({})}},
            {"example.com", {with_names({"example.com", "*.example.com", "a.b.c.d.e.example.com"})}},
            {"*.api.example.com", {with_names({"*.api.example.com", "*.test"})}},
            {"xn--bcher-kva.example", {with_names({"*.com"})}},
        },
        {}, {{"example.com", {with_names({})}}}, {"soon.test", "*.soon.test", "example.com"});
    return map;
}

}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const byte_view input(data, size);
    const std::string_view name = as_text(input);
    const candidates found = names().find(name, input.first(std::min<std::size_t>(size, 16)));
    require(found.size() == 1);

    const host_name canonical(name);
    require(canonical.text().size() <= max_name_size);
    if (canonical.empty()) {
        require(!names().knows(name));
        require(names().challenge(name) == nullptr);
        require(!names().refuses(name));
    } else {
        const std::string again(canonical.text());
        require(host_name(again).text() == again);
        require(names().find(again).data() == found.data());
        require(again.size() == max_name_size || names().find(again + ".").data() == found.data());
        require(names().knows(again) == names().knows(name));
        require((names().challenge(name) != nullptr) == (again == "example.com"));
        require(names().refuses(again) == names().refuses(name));
        require(!names().refuses(name) || (!names().knows(name) && again.ends_with("soon.test")));
        if (!names().knows(name))
            require(found.data() == names().find({}).data());
    }
    if (const auto domain = parse_domain(name))
        require(parse_domain(*domain) == domain);
    return 0;
}
