// What BoringSSL's conformance runner ("BoGo") drives: a TLS 1.3 server that connects to the runner as a TCP client,
// then echoes each byte XOR 0xff. Exit status 0: as expected; 1: not, with the reason on standard error; 89: not
// implemented. config.json says what the runner's names for errors are here.
#include "options.hpp"

#include <alos/cert/files.hpp>
#include <alos/cert/load.hpp>
#include <alos/cert/store.hpp>
#include <alos/tls13/stream.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <memory>
#include <utility>

namespace {

using namespace std::literals;
using namespace alos_tests::bogo;
namespace asio = boost::asio;
namespace tls13 = alos::tls13;
using alos::error_code;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
constexpr std::string_view initial_write = "hello";

// --- What the runner may ask about a ClientHello -----------------------------------------------------------

struct client_facts {
    std::string alpn; // as it came: each name with its length
    std::vector<std::uint16_t> signature_algorithms;
};

// The server's core, looking over the shoulder of its handshake.
class watching_core : public tls13::server_core<alos::botan_crypto> {
public:
    using server_core = tls13::server_core<alos::botan_crypto>;

    watching_core(const tls13::server_config& config, client_facts& facts) : server_core(config), facts_(facts) {}

    template <class Message>
    class watched : public server_core::expectation<Message> {
    public:
        explicit watched(watching_core& io) noexcept : server_core::expectation<Message>(io), facts_(io.facts_) {}
        Message await_resume()
        {
            Message message = server_core::expectation<Message>::await_resume();
            if constexpr (std::is_same_v<Message, tls13::client_hello>) {
                facts_.alpn = alos::as_text(message.protocol_names);
                facts_.signature_algorithms.clear();
                for (std::size_t i = 0; i < message.signature_algorithms.size(); ++i)
                    facts_.signature_algorithms.push_back(message.signature_algorithms[i]);
            }
            return message;
        }

    private:
        client_facts& facts_;
    };

    template <class Message>
    [[nodiscard]] watched<Message> expect() noexcept
    {
        return watched<Message>(*this);
    }

private:
    client_facts& facts_;
};

using socket_type = asio::basic_stream_socket<asio::ip::tcp, asio::io_context::executor_type>;
using tls_stream = tls13::stream<socket_type, tls13::basic_server_engine<watching_core>>;

// --- Credentials -------------------------------------------------------------------------------------------

// A key that signs with some schemes only, perhaps later, and remembers that it did.
class shim_key final : public alos::cert::signing_key {
public:
    shim_key(std::shared_ptr<const signing_key> key, const credential_options& chosen, const options& all,
             asio::io_context& context, std::optional<int>& selected) :
        key_(std::move(key)), index_(chosen.index), is_async_(all.is_async || all.signing_delay_ms != 0),
        delay_(all.signing_delay_ms), context_(context), selected_(selected)
    {
        schemes_.assign(key_->schemes().begin(), key_->schemes().end());
        if (chosen.schemes.empty())
            return;
        const std::vector possible = std::exchange(schemes_, {});
        std::ranges::copy_if(chosen.schemes, std::back_inserter(schemes_),
                             [&](auto scheme) { return std::ranges::count(possible, scheme) != 0; });
    }

    [[nodiscard]] std::span<const alos::signature_scheme> schemes() const noexcept override { return schemes_; }

    [[nodiscard]] alos::result<alos::byte_vector> sign(alos::signature_scheme scheme,
                                                       alos::byte_view content) const override
    {
        selected_ = index_;
        return key_->sign(scheme, content);
    }

    [[nodiscard]] bool immediate() const noexcept override { return !is_async_ && key_->immediate(); }

    void start(alos::signature_scheme scheme, alos::byte_vector content, completion done) const override
    {
        auto timer = std::make_shared<asio::steady_timer>(context_, delay_);
        timer->async_wait([this, timer, scheme, content = std::move(content), done = std::move(done)](error_code) {
            done(sign(scheme, content));
        });
    }

private:
    std::shared_ptr<const signing_key> key_;
    int index_;
    bool is_async_;
    std::chrono::milliseconds delay_;
    asio::io_context& context_;
    std::optional<int>& selected_;
    std::vector<alos::signature_scheme> schemes_;
};

[[noreturn]] void fail(std::string_view why)
{
    std::cerr << why << "\n--- DONE ---\n";
    std::exit(1);
}

alos::secret_text read_file(const std::string& name)
{
    auto text = alos::cert::read_pem_file(name);
    if (!text)
        fail(text.error().what);
    return std::move(*text);
}

// What the runner wants to be sent is the file as it is, so the chain is not put in order.
alos::cert::credential load(const credential_options& chosen)
{
    const alos::secret_text text = read_file(chosen.certificate_file);
    const auto blocks = alos::parse_pem(alos::as_text(text));
    if (!blocks)
        fail(blocks.error().what);
    constexpr std::string_view end = "-----END CERTIFICATE-----";
    const std::string_view leaf = alos::as_text(text).substr(0, alos::as_text(text).find(end) + end.size());
    const alos::secret_text key = read_file(chosen.key_file);
    auto made = alos::cert::make_credential(leaf, alos::as_text(key), {.min_rsa_bits = 1024});
    if (!made && made.error().code == alos::errc::unsupported_key)
        unimplemented("key type");
    if (!made)
        fail(made.error().what);
    alos::cert::credential credential = **made;
    credential.chain.clear();
    for (const alos::pem_block& block : *blocks) {
        const auto der = alos::decode_pem(block);
        if (!der)
            fail("a certificate is no base64");
        credential.chain.emplace_back(der->begin(), der->end());
    }
    credential.certificate_message = tls13::encode_certificate(credential.chain);
    return credential;
}

std::vector<alos::cert::credential_ptr> load_all(const options& o, asio::io_context& context,
                                                 std::optional<int>& selected)
{
    std::vector<alos::cert::credential_ptr> loaded;
    const auto add = [&](const credential_options& chosen) {
        if (chosen.certificate_file.empty())
            return;
        auto credential = std::make_shared<alos::cert::credential>(load(chosen));
        credential->key = std::make_shared<const shim_key>(credential->key, chosen, o, context, selected);
        loaded.push_back(std::move(credential));
    };
    std::for_each(o.credentials.begin() + 1, o.credentials.end(), add);
    add(o.credentials.front()); // the default comes last
    return loaded;
}

// --- One connection ----------------------------------------------------------------------------------------

tls13::server_config make_config(const options& o, const alos::cert::store& certificates)
{
    tls13::server_config config;
    config.certificates = &certificates;
    config.prefer_server_groups = true; // as the runner expects it
    if (!o.groups.empty())
        config.groups = o.groups;
    if (!o.suites.empty())
        config.suites = o.suites;
    if (!o.alpn.empty())
        config.alpn = {o.alpn};
    if (o.rejects_alpn)
        config.alpn = {"what no client offers"};
    if (o.max_send_fragment != 0)
        config.max_fragment = o.max_send_fragment;
    return config;
}

// What is not as the runner said it would be; empty if all is.
std::string unmet_expectation(const options& o, const tls13::negotiated& agreed, const client_facts& facts,
                              std::optional<int> selected)
{
    if (o.expects_no_handshake)
        return "the handshake was completed";
    if (!o.expected_server_name.empty() && agreed.server_name != o.expected_server_name)
        return "server name: " + agreed.server_name;
    if (o.expects_no_server_name && !agreed.server_name.empty())
        return "server name: " + agreed.server_name;
    if (agreed.alpn != o.alpn)
        return "application protocol: " + agreed.alpn;
    if (!o.expected_advertised_alpn.empty() && facts.alpn != o.expected_advertised_alpn)
        return "application protocols of the client: " + facts.alpn;
    if (o.expected_retry && agreed.hello_retry != *o.expected_retry)
        return agreed.hello_retry ? "there was a HelloRetryRequest" : "there was no HelloRetryRequest";
    if (o.expected_group && static_cast<std::uint16_t>(agreed.group) != *o.expected_group)
        return "group: " + std::string(name_of(agreed.group));
    if (o.expected_suite && static_cast<std::uint16_t>(agreed.suite) != *o.expected_suite)
        return "cipher suite: " + std::string(name_of(agreed.suite));
    if (!o.expected_verify_prefs.empty() && facts.signature_algorithms != o.expected_verify_prefs)
        return "signature algorithms of the client";
    if (o.expected_credential && selected != o.expected_credential)
        return "credential: " + std::to_string(selected.value_or(-2));
    return {};
}

asio::awaitable<error_code> send(tls_stream& tls, alos::byte_view bytes)
{
    error_code ec;
    do {
        bytes = bytes.subspan(tls.write(bytes));
        const auto [flushed] = co_await tls.async_flush(as_result);
        ec = flushed;
    } while (!ec && !bytes.empty());
    co_return ec;
}

// Leaves a record in the output of which one byte is sent.
error_code begin_write(tls_stream& tls)
{
    error_code ec;
    static_cast<void>(tls.write(alos::as_bytes(initial_write)));
    const std::size_t size = tls.next_layer().write_some(asio::buffer(tls.engine().output().data(), 1), ec);
    tls.engine().consume_output(size);
    return ec;
}

asio::awaitable<error_code> write_different_sizes(tls_stream& tls)
{
    const std::vector<std::uint8_t> bytes(32769, 0x42);
    error_code ec;
    for (const std::size_t size : {0, 1, 255, 256, 257, 16383, 16384, 16385, 32767, 32768, 32769}) {
        if (!ec)
            ec = co_await send(tls, alos::byte_view(bytes).first(size));
    }
    co_return ec;
}

// Until the runner stops, in whatever way: the error is eof or truncated then.
asio::awaitable<error_code> echo(tls_stream& tls, const options& o)
{
    std::vector<std::uint8_t> bytes(o.read_size);
    error_code ec;
    while (!ec) {
        const auto [end, size] = co_await tls.async_read_some(asio::buffer(bytes), as_result);
        ec = end;
        if (ec)
            break;
        if (o.updates_keys)
            tls.engine().update_keys(tls13::key_update_request::update_not_requested);
        for (std::uint8_t& byte : bytes)
            byte ^= 0xff;
        ec = co_await send(tls, alos::byte_view(bytes).first(size));
    }
    co_return ec;
}

// The runner's close_notify, and no data before it.
asio::awaitable<error_code> await_close_notify(tls_stream& tls)
{
    const auto [ec] = co_await tls.async_fill(as_result);
    co_return ec;
}

asio::awaitable<std::string> exchange(tls_stream& tls, const options& o, const client_facts& facts,
                                      std::optional<int>& selected)
{
    for (unsigned i = 0; i < 1u + o.handshakes_again; ++i) {
        const auto [ec] = co_await tls.async_handshake(as_result);
        if (ec)
            co_return ec.message();
    }
    std::string unmet = unmet_expectation(o, tls.engine().negotiated(), facts, selected);
    if (!unmet.empty())
        co_return unmet;

    error_code ec;
    if (o.writes_different_sizes)
        ec = co_await write_different_sizes(tls);
    else if (o.reads_with_unfinished_write)
        ec = begin_write(tls);
    else if (o.writes_first)
        ec = co_await send(tls, alos::as_bytes(initial_write));
    if (!ec && !o.shuts_down && !o.writes_different_sizes)
        ec = co_await echo(tls, o);
    if (!ec && o.checks_close_notify) {
        co_await tls.async_shutdown(as_result);
        ec = co_await await_close_notify(tls);
        if (!ec)
            co_return "application data on shutdown";
    }
    if (ec == asio::error::eof || (ec == alos::errc::truncated && !o.checks_close_notify))
        ec.clear();
    co_return ec ? ec.message() : std::string();
}

// Half-closes and reads to the end, so that no reset overtakes an alert.
asio::awaitable<void> drain(socket_type& socket)
{
    error_code ec;
    socket.shutdown(socket_type::shutdown_send, ec);
    std::array<char, 16 * 1024> ignored;
    while (!ec) {
        const auto [end, size] =
            co_await socket.async_read_some(asio::buffer(ignored), asio::cancel_after(5s, as_result));
        ec = end;
    }
}

// Why the connection failed; empty if it did not.
asio::awaitable<std::string> connect(asio::io_context& context, const options& o)
{
    socket_type socket(context);
    const auto address = asio::ip::make_address(o.ipv6 ? "::1" : "127.0.0.1");
    const auto [ec] = co_await socket.async_connect({address, o.port}, as_result);
    if (ec)
        co_return "cannot connect: " + ec.message();
    error_code ignored; // it is only about speed
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    std::array<std::uint8_t, 8> id;
    for (std::size_t i = 0; i < id.size(); ++i)
        id[i] = static_cast<std::uint8_t>(o.shim_id >> (8 * i));
    co_await socket.async_send(asio::buffer(id), as_result);

    std::optional<int> selected;
    client_facts facts;
    alos::cert::store certificates;
    certificates.publish(std::make_shared<const alos::cert::snapshot>(
        std::vector<alos::cert::entry>{{"test", load_all(o, context, selected)}}));
    const tls13::server_config config = make_config(o, certificates);
    tls_stream tls(std::move(socket), config, facts);
    const std::string failure = co_await exchange(tls, o, facts, selected);
    co_await tls.async_shutdown(asio::cancel_after(5s, as_result));
    co_await drain(tls.next_layer());
    co_return failure;
}

}

int main(int argc, char** argv)
{
    const std::span<char*> arguments(argv + 1, static_cast<std::size_t>(argc) - 1);
    if (arguments.size() == 1 && arguments[0] == "-is-handshaker-supported"sv) {
        std::cout << "No\n";
        return 0;
    }
    const options first = parse(arguments, true);
    const options later = parse(arguments, false);
    if (!first.is_server)
        unimplemented("client");
    if (first.resumptions != 0 && !later.expects_session_miss)
        unimplemented("resumption");

    std::string failure;
    for (unsigned i = 0; i <= first.resumptions && failure.empty(); ++i) {
        asio::io_context context(1);
        asio::co_spawn(context, connect(context, i == 0 ? first : later),
                       [&](std::exception_ptr, std::string why) { failure = std::move(why); });
        context.run();
    }
    // What follows the mark is a sanitizer's.
    std::cerr << failure << (failure.empty() ? "" : "\n") << "--- DONE ---\n";
    return failure.empty() ? 0 : 1;
}
