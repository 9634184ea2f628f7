#include <alos/tls13/stream.hpp>

#include "support/connection.hpp"
#include "support/memory_stream.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <thread>

namespace alos_tests {

// The result of an operation, once it has one. Note: in a unity build coroutines may have no type of an unnamed
// namespace in them.
struct outcome {
    std::optional<error_code> ec;
    std::size_t size = 0;

    auto handler()
    {
        return [this](error_code result, std::size_t transferred = 0) {
            ec = result;
            size = transferred;
        };
    }
};

namespace {

namespace http = boost::beast::http;

using engine_type = server_engine_for<null_crypto>;

// The client's end of a socket pair, in the manner of memory_stream.
class socket_layer {
public:
    using protocol = asio::local::stream_protocol;

    explicit socket_layer(asio::io_context& context) : near(context), far_(context)
    {
        asio::local::connect_pair(near, far_);
        far_.non_blocking(true);
    }

    void give(byte_view bytes) { asio::write(far_, asio::buffer(bytes.data(), bytes.size())); }
    void end() { far_.shutdown(protocol::socket::shutdown_send); }
    [[nodiscard]] byte_vector take()
    {
        byte_vector bytes(1 << 20);
        error_code ec;
        bytes.resize(far_.read_some(asio::buffer(bytes), ec));
        at_end |= ec == asio::error::eof;
        return bytes;
    }

    protocol::socket near;
    bool at_end = false;

private:
    protocol::socket far_;
};

struct memory_layer : memory_stream {
    using memory_stream::memory_stream;
    memory_stream& near = *this;
};

// A server's stream over a layer whose other end has a test client.
template <class Layer>
class basic_wire {
public:
    using next_layer = std::remove_reference_t<decltype(std::declval<Layer&>().near)>;

    template <class... Arguments>
    explicit basic_wire(const server_config& config, Arguments... arguments) :
        layer(context, arguments...), config_(config), tls(layer.near, config_)
    {
    }

    basic_wire() : basic_wire(test_config()) {}

    // Runs what is ready, until nothing is; what the server sent goes to the client.
    void run()
    {
        for (bool busy = true; busy;) {
            context.restart();
            busy = context.poll() != 0;
            const byte_vector sent = layer.take();
            busy |= !sent.empty();
            client.receive(sent);
        }
    }

    void give(byte_view bytes)
    {
        layer.give(bytes);
        run();
    }

    void handshake()
    {
        outcome done;
        tls.async_handshake(done.handler());
        give(client.client_hello());
        give(client.finished());
        REQUIRE(done.ec == error_code());
    }

    // Reads what there is, up to 64 KiB.
    std::string read()
    {
        std::string text(64 * 1024, 0);
        outcome done;
        tls.async_read_some(asio::buffer(text), done.handler());
        run();
        REQUIRE(done.ec == error_code());
        text.resize(done.size);
        return text;
    }

    asio::io_context context{1};
    Layer layer;
    test_client<null_crypto> client;

private:
    const server_config config_;

public:
    stream<next_layer&, engine_type> tls;
};

using wire = basic_wire<memory_layer>;
using socket_wire = basic_wire<socket_layer>;

// A key that keeps what it was asked until the test answers.
class patient_key final : public cert::signing_key {
public:
    std::span<const signature_scheme> schemes() const noexcept override { return schemes_; }
    bool immediate() const noexcept override { return false; }
    result<byte_vector> sign(signature_scheme, byte_view) const override { return byte_vector(64, 1); }
    void start(signature_scheme, byte_vector, completion done) const override { waiting_ = std::move(done); }

    [[nodiscard]] bool is_asked() const { return static_cast<bool>(waiting_); }

    // Once, while the stream lives.
    void answer(result<byte_vector> signature) { std::exchange(waiting_, {})(std::move(signature)); }
    void forget() { waiting_ = {}; }

private:
    mutable completion waiting_;
    std::vector<signature_scheme> schemes_{signature_scheme::ecdsa_secp256r1_sha256};
};

struct patient_site {
    std::shared_ptr<patient_key> key = std::make_shared<patient_key>();
    test_store store{{{"alos.test", {fake_credential("patient", key)}}}};
    server_config config = [this] {
        server_config made = test_config();
        made.certificates = &store;
        return made;
    }();
};

}

TEST_CASE_TEMPLATE("a handshake, and data both ways", Wire, wire, socket_wire)
{
    Wire tls;
    tls.handshake();
    CHECK(tls.tls.engine().is_connected());
    tls.give(tls.client.application_data("ping"));
    CHECK(tls.read() == "ping");
    outcome written;
    tls.tls.async_write_some(asio::buffer("pong", 4), written.handler());
    tls.run();
    CHECK(written.ec == error_code());
    CHECK(written.size == 4);
    CHECK(as_text(tls.client.data) == "pong");
}

TEST_CASE("the same when the layer moves a byte at a time")
{
    wire tls(test_config(), 1);
    tls.handshake();
    tls.give(tls.client.application_data("ping"));
    CHECK(tls.read() == "ping");
    outcome written;
    asio::async_write(tls.tls, asio::buffer(std::string(5000, 'x')), written.handler());
    tls.run();
    CHECK(written.size == 5000);
    CHECK(tls.client.data.size() == 5000);
}

TEST_CASE("a flight is one write, and one read consumes all its records")
{
    wire tls;
    outcome done;
    tls.tls.async_handshake(done.handler());
    tls.give(tls.client.client_hello());
    CHECK(tls.layer.writes == 1);
    byte_vector three = tls.client.finished();
    for (int i = 0; i < 3; ++i)
        three = joined({three, tls.client.application_data("abc")});
    tls.give(three);
    CHECK(done.ec == error_code());
    CHECK(tls.layer.reads == 2);
    CHECK(tls.read() == "abcabcabc");
    CHECK(tls.layer.reads == 2);
}

TEST_CASE("many records go in one write")
{
    wire tls;
    tls.handshake();
    const std::size_t before = tls.layer.writes;
    const std::string text(200 * 1024, 'x');
    outcome written;
    tls.tls.async_write_some(asio::buffer(text), written.handler());
    tls.run();
    CHECK(written.size == text.size());
    CHECK(tls.layer.writes == before + 1);
    CHECK(tls.client.data.size() == text.size());
}

TEST_CASE("a read that idles holds no more than 1 KiB")
{
    wire tls;
    tls.handshake();
    tls.give(tls.client.application_data(std::string(10000, 'x')));
    CHECK(tls.read().size() == 10000);
    outcome idle;
    std::array<char, 16> room;
    tls.tls.async_read_some(asio::buffer(room), idle.handler());
    tls.run();
    tls.give(tls.client.application_data("a"));
    tls.tls.async_read_some(asio::buffer(room), idle.handler());
    tls.run();
    tls.give(tls.client.application_data("b"));
    CHECK(tls.layer.room <= 1024);
    CHECK(idle.ec == error_code());
}

TEST_CASE_TEMPLATE("a refused handshake sends its alert and ends with the errc", Wire, wire, socket_wire)
{
    Wire tls;
    outcome done;
    tls.tls.async_handshake(done.handler());
    tls.client.hello.cipher_suites = {0x0a0a};
    tls.give(tls.client.client_hello());
    CHECK(done.ec == errc::no_common_suite);
    CHECK(tls.client.received_alert == alert::handshake_failure);
}

TEST_CASE_TEMPLATE("a client that goes away during the handshake is truncation", Wire, wire, socket_wire)
{
    Wire tls;
    outcome done;
    tls.tls.async_handshake(done.handler());
    tls.give(byte_view(tls.client.client_hello()).first(20));
    tls.layer.end();
    tls.run();
    CHECK(done.ec == alos::errc::truncated);
}

TEST_CASE_TEMPLATE("close_notify reads as eof, an end without it as truncation", Wire, wire, socket_wire)
{
    for (const bool clean : {true, false}) {
        Wire tls;
        tls.handshake();
        if (clean)
            tls.give(tls.client.close_notify());
        tls.layer.end();
        outcome done;
        std::array<char, 16> room;
        tls.tls.async_read_some(asio::buffer(room), done.handler());
        tls.run();
        CHECK(done.ec == (clean ? error_code(asio::error::eof) : error_code(alos::errc::truncated)));
    }
}

TEST_CASE("the alert that the client sent is the error of the read")
{
    wire tls;
    tls.handshake();
    outcome done;
    std::array<char, 16> room;
    tls.tls.async_read_some(asio::buffer(room), done.handler());
    tls.give(tls.client.alert_record(alert_level::fatal, alert::bad_certificate));
    CHECK(done.ec == alert::bad_certificate);
}

TEST_CASE_TEMPLATE("shutdown completes when close_notify is sent, behind what was written", Wire, wire, socket_wire)
{
    Wire tls;
    tls.handshake();
    CHECK(tls.tls.write(as_bytes("last words")) == 10);
    outcome done;
    tls.tls.async_shutdown(done.handler());
    tls.run();
    CHECK(done.ec == error_code());
    CHECK(as_text(tls.client.data) == "last words");
    CHECK(tls.client.received_alert == alert::close_notify);
    outcome late;
    tls.tls.async_write_some(asio::buffer("more", 4), late.handler());
    tls.run();
    CHECK(late.ec == alos::errc::closed);
}

TEST_CASE("after a failure shutdown sends the alert, half-closes, and drains until the client ends")
{
    socket_wire tls;
    tls.handshake();
    tls.give(tls.client.sealed(content_type::handshake, byte_vector(4)));
    outcome read;
    std::array<char, 16> room;
    tls.tls.async_read_some(asio::buffer(room), read.handler());
    tls.run();
    CHECK(read.ec == errc::unexpected_handshake_message);
    outcome done;
    tls.tls.async_shutdown(done.handler());
    tls.run();
    CHECK(tls.client.received_alert == alert::unexpected_message);
    CHECK(tls.layer.at_end); // half-closed
    CHECK_FALSE(done.ec);
    tls.give(byte_vector(3000, 0xff));
    CHECK_FALSE(done.ec);
    tls.layer.end();
    for (int i = 0; i < 100 && !done.ec; ++i)
        tls.context.poll_one();
    CHECK(done.ec == error_code());
}

TEST_CASE("after a failure no more than 64 KiB are drained")
{
    socket_wire tls;
    tls.handshake();
    tls.give(tls.client.sealed(content_type::handshake, byte_vector(4)));
    CHECK(tls.tls.plaintext().empty());
    outcome done;
    outcome read;
    std::array<char, 16> room;
    tls.tls.async_read_some(asio::buffer(room), read.handler());
    tls.run();
    tls.tls.async_shutdown(done.handler());
    tls.run();
    for (int i = 0; i < 10 && !done.ec; ++i)
        tls.give(byte_vector(10000, 0xff));
    CHECK(done.ec == error_code());
}

TEST_CASE_TEMPLATE("a read that is cancelled loses nothing, and the stream goes on", Wire, wire, socket_wire)
{
    Wire tls;
    tls.handshake();
    const byte_vector record = tls.client.application_data("not lost");
    for (std::size_t size = 0; size < 40; size += 13) {
        asio::cancellation_signal signal;
        outcome done;
        std::array<char, 64> room;
        tls.tls.async_read_some(asio::buffer(room), asio::bind_cancellation_slot(signal.slot(), done.handler()));
        if (size == 0)
            tls.run();
        else if (size <= record.size())
            tls.give(byte_view(record).subspan(size - 13, 13));
        CHECK_FALSE(done.ec);
        signal.emit(asio::cancellation_type::total);
        tls.run();
        CHECK(done.ec == asio::error::operation_aborted);
        if (size + 13 > record.size())
            break;
    }
    const std::size_t given = record.size() / 13 * 13;
    tls.give(byte_view(record).subspan(std::min(given, record.size())));
    CHECK(tls.read() == "not lost");
    outcome closed;
    tls.tls.async_shutdown(closed.handler());
    tls.run();
    CHECK(closed.ec == error_code());
    CHECK(tls.client.received_alert == alert::close_notify);
}

TEST_CASE("a cancellation that comes together with the bytes loses none of them")
{
    for (const std::size_t size : {std::size_t{10}, whole}) {
        wire tls;
        tls.handshake();
        const byte_vector record = tls.client.application_data("not lost");
        asio::cancellation_signal signal;
        outcome done;
        std::array<char, 64> room;
        tls.tls.async_read_some(asio::buffer(room), asio::bind_cancellation_slot(signal.slot(), done.handler()));
        tls.run();
        tls.layer.give(byte_view(record).first(std::min(size, record.size())));
        signal.emit(asio::cancellation_type::total);
        tls.run();
        const std::string_view read(room.data(), done.size);
        CHECK(done.ec == (size == whole ? error_code() : error_code(asio::error::operation_aborted)));
        tls.layer.give(byte_view(record).subspan(std::min(size, record.size())));
        CHECK((size == whole ? read : std::string_view(tls.read())) == "not lost");
    }
}

TEST_CASE("a handler that is an lvalue is copied, not moved from")
{
    wire tls;
    tls.handshake();
    int calls = 0;
    std::function<void(error_code, std::size_t)> count = [&](error_code, std::size_t) { ++calls; };
    for (int i = 0; i < 2; ++i) {
        tls.tls.async_write_some(asio::buffer("text", 4), count);
        tls.run();
    }
    CHECK(calls == 2);
}

TEST_CASE_TEMPLATE("a handshake that is cancelled terminally ends", Wire, wire, socket_wire)
{
    Wire tls;
    asio::cancellation_signal signal;
    outcome done;
    tls.tls.async_handshake(asio::bind_cancellation_slot(signal.slot(), done.handler()));
    tls.run();
    CHECK_FALSE(done.ec);
    signal.emit(asio::cancellation_type::terminal);
    tls.run();
    CHECK(done.ec == asio::error::operation_aborted);
}

TEST_CASE("a write that is cancelled terminally ends")
{
    wire tls;
    tls.handshake();
    tls.layer.hold_writes(true);
    asio::cancellation_signal signal;
    outcome done;
    tls.tls.async_write_some(asio::buffer("text", 4), asio::bind_cancellation_slot(signal.slot(), done.handler()));
    tls.run();
    CHECK_FALSE(done.ec);
    signal.emit(asio::cancellation_type::terminal);
    tls.run();
    CHECK(done.ec == asio::error::operation_aborted);
}

TEST_CASE("what reading has to send leaves with the write in flight, whose bytes stay where they are")
{
    wire tls;
    tls.handshake();
    tls.layer.hold_writes(true);
    outcome written;
    tls.tls.async_write_some(asio::buffer("in flight", 9), written.handler());
    tls.run();
    const asio::const_buffer held = tls.layer.held_write();
    const byte_vector before(static_cast<const std::uint8_t*>(held.data()),
                             static_cast<const std::uint8_t*>(held.data()) + held.size());
    outcome read;
    std::array<char, 64> room;
    tls.tls.async_read_some(asio::buffer(room), read.handler());
    tls.give(joined({tls.client.key_update(key_update_request::update_requested), tls.client.application_data("x")}));
    CHECK(read.size == 1);
    CHECK(equal(before, {static_cast<const std::uint8_t*>(held.data()), held.size()}));
    tls.layer.hold_writes(false);
    tls.run();
    CHECK(written.ec == error_code());
    CHECK(as_text(tls.client.data) == "in flight");
    CHECK(tls.client.key_updates == 1);
}

TEST_CASE_TEMPLATE("both directions are busy while keys are updated", Wire, wire, socket_wire)
{
    Wire tls;
    tls.handshake();
    constexpr int rounds = 200;
    const std::string text(3000, 's');
    std::size_t server_read = 0;
    int server_writes = 0;
    std::array<char, 4096> room;
    std::function<void(error_code, std::size_t)> on_read = [&](error_code ec, std::size_t size) {
        REQUIRE(ec == error_code());
        server_read += size;
        if (server_read < rounds * 1000)
            tls.tls.async_read_some(asio::buffer(room), on_read);
    };
    std::function<void(error_code, std::size_t)> on_written = [&](error_code ec, std::size_t) {
        REQUIRE(ec == error_code());
        if (++server_writes == rounds)
            return;
        if (server_writes % 7 == 0)
            tls.tls.engine().update_keys(key_update_request::update_not_requested);
        asio::async_write(tls.tls, asio::buffer(text), on_written);
    };
    tls.tls.async_read_some(asio::buffer(room), on_read);
    asio::async_write(tls.tls, asio::buffer(text), on_written);
    for (int i = 0; i < rounds; ++i) {
        tls.layer.give(tls.client.application_data(std::string(1000, 'c')));
        if (i % 5 == 0)
            tls.layer.give(tls.client.key_update(key_update_request::update_requested));
        tls.context.restart();
        tls.context.poll_one(); // not all that is ready: the next bytes come in between
        tls.client.receive(tls.layer.take());
    }
    tls.run();
    CHECK(server_read == rounds * 1000);
    CHECK(server_writes == rounds);
    CHECK(tls.client.data.size() == rounds * text.size());
    CHECK(tls.client.key_updates > rounds / 7);
}

TEST_CASE("RFC 8446 4.6.3: a request for new keys is answered while nothing is written")
{
    socket_wire tls;
    tls.handshake();
    outcome read;
    tls.tls.async_fill(read.handler());
    tls.give(tls.client.key_update(key_update_request::update_requested));
    CHECK(tls.client.key_updates == 1);
    CHECK_FALSE(read.ec);
}

TEST_CASE("an older client is an error, of a read too, when nobody takes over")
{
    server_config config = test_config();
    config.hand_over_older_versions = true;
    wire tls(config);
    outcome done;
    tls.tls.async_handshake(done.handler());
    tls.client.hello.remove(extension_type::supported_versions);
    tls.give(tls.client.client_hello());
    CHECK(done.ec == errc::tls13_not_offered);
    outcome read;
    tls.tls.async_fill(read.handler());
    tls.run();
    CHECK(read.ec == errc::tls13_not_offered);
}

TEST_CASE("async_write_some goes on when write() had left no room")
{
    wire tls;
    tls.handshake();
    const byte_vector much(300 * 1024, 'a');
    std::size_t written = 0;
    while (const std::size_t n = tls.tls.write(byte_view(much).subspan(written)))
        written += n;
    outcome done;
    tls.tls.async_write_some(asio::buffer("b", 1), done.handler());
    tls.run();
    CHECK(done.ec == error_code());
    CHECK(done.size == 1);
    CHECK(tls.client.data.size() == written + 1);
    CHECK(tls.client.data.back() == 'b');
}

TEST_CASE("a slow signature is awaited, wherever it is made")
{
    patient_site site;
    wire tls(site.config);
    outcome done;
    tls.tls.async_handshake(done.handler());
    tls.give(tls.client.client_hello());
    REQUIRE(site.key->is_asked());
    CHECK_FALSE(tls.client.complete);
    std::thread([&] { site.key->answer(byte_vector(64, 1)); }).join();
    tls.run();
    CHECK(tls.client.complete);
    tls.give(tls.client.finished());
    CHECK(done.ec == error_code());
}

TEST_CASE("a signature that fails ends the handshake with internal_error")
{
    patient_site site;
    wire tls(site.config);
    outcome done;
    tls.tls.async_handshake(done.handler());
    tls.give(tls.client.client_hello());
    site.key->answer(make_error_code(boost::system::errc::io_error));
    tls.run();
    CHECK(done.ec == errc::signature_failed);
    CHECK(tls.client.received_alert == alert::internal_error);
}

TEST_CASE("a signature that is forgotten fails, on the connection's own executor")
{
    patient_site site;
    wire tls(site.config);
    outcome done;
    tls.tls.async_handshake(done.handler());
    tls.give(tls.client.client_hello());
    std::thread([&] { site.key->forget(); }).join();
    CHECK_FALSE(done.ec);
    tls.run();
    CHECK(done.ec == errc::signature_failed);
    CHECK(tls.client.received_alert == alert::internal_error);
}

TEST_CASE("a handshake that is cancelled while a signature is made ends with it")
{
    patient_site site;
    wire tls(site.config);
    asio::cancellation_signal signal;
    outcome done;
    tls.tls.async_handshake(asio::bind_cancellation_slot(signal.slot(), done.handler()));
    tls.give(tls.client.client_hello());
    signal.emit(asio::cancellation_type::terminal);
    tls.run();
    CHECK_FALSE(done.ec);
    site.key->answer(byte_vector(64, 1));
    tls.run();
    CHECK(done.ec == asio::error::operation_aborted);
}

TEST_CASE("Beast reads a request and writes a response")
{
    for (const std::size_t piece : {std::size_t{1}, std::size_t{11}, whole}) {
        wire tls(test_config(), piece);
        tls.handshake();
        boost::beast::flat_buffer buffer;
        http::request<http::string_body> request;
        outcome read;
        http::async_read(tls.tls, buffer, request, read.handler());
        tls.give(tls.client.application_data("POST /x HTTP/1.1\r\nHost: alos.test\r\n"));
        tls.give(tls.client.application_data("Content-Length: 5\r\n\r\nhello"));
        REQUIRE(read.ec == error_code());
        CHECK(request.target() == "/x");
        CHECK(request.body() == "hello");
        http::response<http::string_body> response(http::status::ok, 11);
        response.body() = std::string(20000, 'y');
        response.prepare_payload();
        outcome written;
        http::async_write(tls.tls, response, written.handler());
        tls.run();
        CHECK(written.ec == error_code());
        CHECK(as_text(tls.client.data).starts_with("HTTP/1.1 200 OK\r\n"));
        CHECK(as_text(tls.client.data).ends_with("yyy"));
    }
}

TEST_CASE("TLS over TLS")
{
    wire outer;
    outer.handshake();
    const server_config config = test_config();
    stream<decltype(outer.tls)&, engine_type> inner(outer.tls, config);
    test_client<null_crypto> client;
    // What the inner client sends goes into records of the outer one.
    const auto give = [&](byte_view bytes) {
        outer.give(outer.client.sealed(content_type::application_data, bytes));
        client.receive(std::exchange(outer.client.data, {}));
    };
    outcome done;
    inner.async_handshake(done.handler());
    give(client.client_hello());
    give(client.finished());
    REQUIRE(done.ec == error_code());
    std::array<char, 16> room;
    outcome read;
    inner.async_read_some(asio::buffer(room), read.handler());
    give(client.application_data("ping"));
    CHECK(read.size == 4);
    outcome written;
    inner.async_write_some(asio::buffer("pong", 4), written.handler());
    outer.run();
    client.receive(std::exchange(outer.client.data, {}));
    CHECK(written.ec == error_code());
    CHECK(as_text(client.data) == "pong");
}

}
