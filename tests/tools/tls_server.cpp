// A TLS 1.3 server for testers from outside: tls13::stream itself, with just enough HTTP/1.x to please any client.
//
//    tls_server [--port N] --cert FILE --key FILE [--cert FILE --key FILE ...] [--groups LIST] [--suites LIST]
//               [--alpn LIST]
//
// The certificates stand side by side; the ClientHello chooses (RFC 8446 4.4.2.2). Lists are separated by commas, the
// preferred one first. It listens on 127.0.0.1 and ::1, on a free port if none is given, and says so in one line.
//
//    GET /          a small page, as for any other path
//    GET /bytes/N   N bytes: a to z, over and over
//    GET /keyupdate the page, behind a KeyUpdate that asks for one (RFC 8446 4.6.3)
//    PUT, POST      the number of bytes in the body and their SHA-256
#include <alos/cert/files.hpp>
#include <alos/cert/load.hpp>
#include <alos/cert/store.hpp>
#include <alos/crypto/botan.hpp>
#include <alos/tls13/stream.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <sys/resource.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <iostream>
#include <string>

namespace {

using namespace std::literals;
namespace asio = boost::asio;
namespace tls13 = alos::tls13;

using executor = asio::io_context::executor_type;
using socket_type = asio::basic_stream_socket<asio::ip::tcp, executor>;
using acceptor_type = asio::basic_socket_acceptor<asio::ip::tcp, executor>;
using tls_stream = tls13::stream<socket_type>;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
constexpr auto patience = 60s; // for a client that says nothing
constexpr auto farewell = 5s;  // for one that should be gone
constexpr std::size_t max_head = 64 * 1024;
constexpr std::size_t max_drained = 32 * 1024 * 1024;

// --- HTTP/1.x, by the letter of what testers send ----------------------------------------------------------

struct request_head {
    std::string method;
    std::string target;
    std::size_t content_length = 0;
    bool keep_alive = false;
    bool expects_continue = false;
    bool is_http = false;
};

std::string lower_case(std::string_view text)
{
    std::string lower(text);
    for (char& c : lower)
        c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return lower;
}

std::string_view take_until(std::string_view& text, std::string_view end)
{
    const std::size_t at = text.find(end);
    const std::string_view taken = text.substr(0, at);
    text.remove_prefix(at == std::string_view::npos ? text.size() : at + end.size());
    return taken;
}

std::size_t number(std::string_view text)
{
    std::size_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

request_head parse(std::string_view text)
{
    request_head head;
    std::string_view line = take_until(text, "\r\n");
    head.method = take_until(line, " ");
    head.target = take_until(line, " ");
    head.is_http = line.starts_with("HTTP/1.");
    head.keep_alive = line == "HTTP/1.1";
    while (!text.empty()) {
        const std::string field = lower_case(take_until(text, "\r\n"));
        std::string_view value = field;
        const std::string_view name = take_until(value, ":");
        value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
        if (name == "content-length")
            head.content_length = number(value);
        else if (name == "expect")
            head.expects_continue = value == "100-continue";
        else if (name == "connection" && value == "close")
            head.keep_alive = false;
        else if (name == "connection" && value == "keep-alive")
            head.keep_alive = true;
    }
    return head;
}

std::string answer_head(std::string_view status, std::size_t size, bool keep_alive)
{
    return "HTTP/1.1 " + std::string(status) + "\r\nContent-Type: text/plain\r\nContent-Length: " +
        std::to_string(size) + "\r\nConnection: " + (keep_alive ? "keep-alive" : "close") + "\r\n\r\n";
}

// --- One connection ----------------------------------------------------------------------------------------

// Appends what the client sends next; false if there is no more.
asio::awaitable<bool> read_more(tls_stream& tls, std::string& input)
{
    const auto [ec] = co_await tls.async_fill(asio::cancel_after(patience, as_result));
    if (ec)
        co_return false;
    input += alos::as_text(tls.plaintext());
    tls.consume(tls.plaintext().size());
    co_return true;
}

asio::awaitable<bool> send(tls_stream& tls, std::string_view text)
{
    do {
        text.remove_prefix(tls.write(alos::as_bytes(text)));
        const auto [ec] = co_await tls.async_flush(asio::cancel_after(patience, as_result));
        if (ec)
            co_return false;
    } while (!text.empty());
    co_return true;
}

// a to z over and over, `size` bytes.
asio::awaitable<bool> send_alphabet(tls_stream& tls, std::size_t size)
{
    std::string letters;
    while (letters.size() < 64 * 1024)
        letters += "abcdefghijklmnopqrstuvwxyz";
    bool goes_on = true;
    while (goes_on && size > 0) {
        const std::string_view part = std::string_view(letters).substr(0, size);
        goes_on = co_await send(tls, part);
        size -= part.size();
    }
    co_return goes_on;
}

// Reads a body away; what the answer says of it, or nothing if it did not come.
asio::awaitable<std::string> digest_body(tls_stream& tls, std::string& input, std::size_t size)
{
    alos::botan_crypto::hash hash(alos::hash_algorithm::sha256);
    for (std::size_t left = size; left > 0;) {
        bool goes_on = !input.empty();
        if (!goes_on)
            goes_on = co_await read_more(tls, input);
        if (!goes_on)
            co_return std::string();
        const std::size_t taken = std::min(left, input.size());
        hash.update(alos::as_bytes(std::string_view(input).substr(0, taken)));
        input.erase(0, taken);
        left -= taken;
    }
    std::array<std::uint8_t, 32> digest;
    hash.current(digest);
    std::string text = std::to_string(size) + " ";
    for (const std::uint8_t byte : digest) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 0x0f];
    }
    co_return text + "\n";
}

// Whether the connection goes on after the request.
asio::awaitable<bool> answer(tls_stream& tls, const request_head& head, std::string& input)
{
    constexpr std::string_view greeting = "alos speaks TLS 1.3\n";
    std::string page;
    std::size_t letters = 0;
    bool goes_on = head.keep_alive;
    if (head.method == "PUT" || head.method == "POST") {
        if (head.expects_continue)
            co_await send(tls, "HTTP/1.1 100 Continue\r\n\r\n");
        const std::string body = co_await digest_body(tls, input, head.content_length);
        goes_on = goes_on && !body.empty();
        page = answer_head("200 OK", body.size(), goes_on) + body;
    } else if (!head.is_http || (head.method != "GET" && head.method != "HEAD")) {
        goes_on = false;
        page = answer_head("400 Bad Request", 0, goes_on);
    } else if (head.target.starts_with("/bytes/")) {
        letters = number(std::string_view(head.target).substr(7));
        page = answer_head("200 OK", letters, goes_on);
    } else {
        if (head.target == "/keyupdate")
            tls.engine().update_keys(tls13::key_update_request::update_requested);
        page = answer_head("200 OK", greeting.size(), goes_on);
        page += head.method == "HEAD" ? std::string_view() : greeting;
    }
    const bool is_sent = co_await send(tls, page);
    const bool are_sent = co_await send_alphabet(tls, letters);
    co_return goes_on && is_sent && are_sent;
}

asio::awaitable<void> serve(tls_stream& tls)
{
    const auto [ec] = co_await tls.async_handshake(asio::cancel_after(patience, as_result));
    if (ec)
        co_return;
    std::string input;
    for (bool goes_on = true; goes_on;) {
        std::size_t end = std::string::npos;
        while ((end = input.find("\r\n\r\n")) == std::string::npos) {
            const bool came = co_await read_more(tls, input);
            if (!came || input.size() > max_head)
                co_return;
        }
        const request_head head = parse(std::string_view(input).substr(0, end + 2));
        input.erase(0, end + 4);
        goes_on = co_await answer(tls, head, input);
    }
}

// What the client still sends is read away, so that no reset overtakes what was sent to it.
asio::awaitable<void> drain(socket_type& socket)
{
    boost::system::error_code ec;
    socket.shutdown(socket_type::shutdown_send, ec);
    std::array<char, 16 * 1024> ignored;
    for (std::size_t drained = 0; !ec && drained < max_drained;) {
        const auto [end, size] =
            co_await socket.async_read_some(asio::buffer(ignored), asio::cancel_after(farewell, as_result));
        ec = end;
        drained += size;
    }
}

asio::awaitable<void> session(socket_type socket, const tls13::server_config& config)
{
    boost::system::error_code ignored; // it is only about speed
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    tls_stream tls(std::move(socket), config);
    co_await serve(tls);
    co_await tls.async_shutdown(asio::cancel_after(farewell, as_result));
    co_await drain(tls.next_layer());
}

asio::awaitable<void> accept_all(acceptor_type acceptor, const tls13::server_config& config)
{
    for (;;) {
        socket_type socket(acceptor.get_executor());
        const auto [ec] = co_await acceptor.async_accept(socket, as_result);
        if (!ec) {
            asio::co_spawn(acceptor.get_executor(), session(std::move(socket), config), asio::detached);
            continue;
        }
        asio::steady_timer pause(acceptor.get_executor(), 100ms); // no descriptors left
        co_await pause.async_wait(as_result);
    }
}

// --- The command line --------------------------------------------------------------------------------------

struct options {
    unsigned short port = 0;
    std::vector<std::string> certificate_files;
    std::vector<std::string> key_files;
    tls13::server_config config;
};

[[noreturn]] void fail(std::string_view why)
{
    std::cerr << "tls_server: " << why << '\n';
    std::exit(1);
}

// The values of `known` that `list` names, in its order.
template <class Value>
std::vector<Value> named(std::string_view list, const std::vector<Value>& known)
{
    std::vector<Value> values;
    while (!list.empty()) {
        const std::string name = lower_case(take_until(list, ","));
        const auto found = std::ranges::find(known, name, [](Value one) { return lower_case(name_of(one)); });
        if (found == known.end())
            fail("unknown name " + name);
        values.push_back(*found);
    }
    return values;
}

unsigned short port_number(std::string_view text)
{
    unsigned short value = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, problem] = std::from_chars(text.data(), end, value);
    if (problem != std::errc{} || stop != end)
        fail("a port is a number from 0 to 65535, not " + std::string(text));
    return value;
}

options parse(int argc, char** argv)
{
    const tls13::server_config all; // with everything that alos speaks
    options chosen;
    for (int i = 1; i < argc; i += 2) {
        const std::string_view flag = argv[i];
        if (i + 1 == argc)
            fail(std::string(flag) + " needs a value");
        std::string_view value = argv[i + 1];
        if (flag == "--port")
            chosen.port = port_number(value);
        else if (flag == "--cert")
            chosen.certificate_files.emplace_back(value);
        else if (flag == "--key")
            chosen.key_files.emplace_back(value);
        else if (flag == "--groups")
            chosen.config.groups = named(value, all.groups);
        else if (flag == "--suites")
            chosen.config.suites = named(value, all.suites);
        else if (flag == "--alpn")
            while (!value.empty())
                chosen.config.alpn.emplace_back(take_until(value, ","));
        else
            fail("unknown option " + std::string(flag));
    }
    if (chosen.certificate_files.empty() || chosen.certificate_files.size() != chosen.key_files.size())
        fail("give at least one --cert FILE, and a --key FILE for each");
    return chosen;
}

alos::cert::credential_ptr load(const std::string& certificate_file, const std::string& key_file)
{
    const auto certificate = alos::cert::read_pem_file(certificate_file);
    const auto key = alos::cert::read_pem_file(key_file);
    if (!certificate || !key)
        fail(!certificate ? certificate.error().what : key.error().what);
    auto made = alos::cert::make_credential(alos::as_text(*certificate), alos::as_text(*key),
                                            {.certificate_file = certificate_file, .key_file = key_file});
    if (!made)
        fail(made.error().what);
    return *made;
}

acceptor_type listen(asio::io_context& context, const char* address, unsigned short port)
{
    acceptor_type acceptor(context);
    const asio::ip::tcp::endpoint endpoint(asio::ip::make_address(address), port);
    acceptor.open(endpoint.protocol());
    acceptor.set_option(asio::socket_base::reuse_address(true));
    if (endpoint.address().is_v6())
        acceptor.set_option(asio::ip::v6_only(true));
    acceptor.bind(endpoint);
    acceptor.listen();
    return acceptor;
}

void allow_many_descriptors()
{
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int run(int argc, char** argv)
{
    options chosen = parse(argc, argv);
    alos::cert::entry served{"localhost", {}};
    for (std::size_t i = 0; i < chosen.certificate_files.size(); ++i)
        served.credentials.push_back(load(chosen.certificate_files[i], chosen.key_files[i]));
    alos::cert::store store;
    store.publish(std::make_shared<const alos::cert::snapshot>(std::vector{served}));
    chosen.config.certificates = &store;
    allow_many_descriptors();

    asio::io_context context(1);
    asio::signal_set stop(context, SIGINT, SIGTERM);
    stop.async_wait([&](auto...) { context.stop(); });
    acceptor_type v4 = listen(context, "127.0.0.1", chosen.port);
    const unsigned short port = v4.local_endpoint().port();
    asio::co_spawn(context, accept_all(std::move(v4), chosen.config), asio::detached);
    try {
        asio::co_spawn(context, accept_all(listen(context, "::1", port), chosen.config), asio::detached);
    } catch (const boost::system::system_error& error) {
        std::cerr << "tls_server: not on ::1: " << error.code().message() << '\n';
    }
    std::cout << "listening on 127.0.0.1 and ::1, port " << port << std::endl;
    context.run();
    return 0;
}

}

int main(int argc, char** argv)
{
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        fail(error.what());
    }
}
