// What RFC 8446 6 (alerts) demands of a server, and what a client may not do there; how connections end.
#include "support/connection.hpp"

#include <doctest/doctest.h>

namespace alos_tests {
namespace {

using client = test_client<null_crypto>;

// What a connected server makes of an alert record with this content.
ending answer_to_alert(const byte_vector& content)
{
    return play_connected([&](connection& tls) { tls.feed(tls.client.sealed(content_type::alert, content)); });
}

// The same before the client's first message.
ending answer_to_first_alert(const byte_vector& content)
{
    return play([&](connection& tls) { tls.feed(tls.client.record(content_type::alert, content)); });
}

// The client ended the connection; nothing was sent back.
ending ended_by(alert received) { return {received, {}}; }

// Breaks the protocol.
byte_vector nonsense(client& who) { return who.sealed(content_type::handshake, byte_vector(4)); }

}

// --- 6 ---

TEST_CASE("RFC 8446 6: a fatal alert ends the connection and is not answered")
{
    for (int code = 1; code < 256; ++code)
        CHECK(answer_to_alert({2, static_cast<std::uint8_t>(code)}) == ended_by(alert(code)));
}

TEST_CASE("RFC 8446 6: an alert of level warning is an error all the same")
{
    for (int code = 1; code < 256; ++code) {
        if (static_cast<alert>(code) != alert::user_canceled)
            CHECK(answer_to_alert({1, static_cast<std::uint8_t>(code)}) ==
                  refused(errc::warning_alert, alert::decode_error));
    }
}

TEST_CASE("RFC 8446 6: an alert level that does not exist is illegal_parameter")
{
    for (int level = 0; level < 256; ++level) {
        if (level == 1 || level == 2)
            continue;
        CHECK(answer_to_alert({static_cast<std::uint8_t>(level), 40}) ==
              refused(errc::bad_alert_level, alert::illegal_parameter));
    }
}

TEST_CASE("RFC 8446 6: after an error alert nothing can be written or read")
{
    connection tls;
    tls.handshake();
    tls.feed(tls.client.alert_record(alert_level::fatal, alert::internal_error));
    CHECK(tls.server.is_failed());
    CHECK(tls.server.wants() == want::nothing);
    CHECK(tls.server.write(as_bytes("too late")) == 0);
    tls.feed(tls.client.application_data("too late"));
    CHECK(tls.received.empty());
    CHECK(tls.end() == ended_by(alert::internal_error));
}

TEST_CASE("RFC 8446 5.1: half an alert is decode_error")
{
    CHECK(answer_to_alert({2}) == refused(errc::bad_alert, alert::decode_error));
    CHECK(answer_to_first_alert({1}) == refused(errc::bad_alert, alert::decode_error));
}

TEST_CASE("RFC 8446 5.1: two alerts in a record are decode_error")
{
    CHECK(answer_to_alert({1, 90, 1, 0}) == refused(errc::bad_alert, alert::decode_error));
    CHECK(answer_to_alert({1, 90, 1}) == refused(errc::bad_alert, alert::decode_error));
}

TEST_CASE("RFC 8446 5.4: an empty alert record is unexpected_message")
{
    CHECK(answer_to_alert({}) == refused(errc::empty_alert_record, alert::unexpected_message));
    CHECK(answer_to_first_alert({}) == refused(errc::empty_alert_record, alert::unexpected_message));
}

TEST_CASE("RFC 8446 6: an alert before any ClientHello ends the connection")
{
    CHECK(answer_to_first_alert({2, 40}) == ended_by(alert::handshake_failure));
    CHECK(answer_to_first_alert({1, 0}) == ended_by(alert::close_notify));
}

TEST_CASE("RFC 8446 6: an unprotected alert of a client that could not follow is read")
{
    CHECK(play([](connection& tls) {
              tls.feed(tls.client.client_hello());
              tls.feed(client::record(content_type::alert, {{2, 48}}));
          }) == ended_by(alert::unknown_ca));
}

TEST_CASE("RFC 8446 6: an unprotected alert of a client that did follow is unexpected_message")
{
    CHECK(play_connected([](connection& tls) { tls.feed(client::record(content_type::alert, {{2, 48}})); }) ==
          refused(errc::unprotected_record, alert::unexpected_message));
}

TEST_CASE("RFC 8446 6: a protected alert in the place of the Finished ends the handshake")
{
    CHECK(play([](connection& tls) {
              tls.feed(tls.client.client_hello());
              tls.feed(tls.client.alert_record(alert_level::fatal, alert::bad_certificate));
          }) == ended_by(alert::bad_certificate));
}

// --- 6.1 ---

TEST_CASE("RFC 8446 6.1: user_canceled alone does nothing, and a close_notify ends the connection cleanly")
{
    CHECK(play_connected([](connection& tls) {
              tls.feed(tls.client.alert_record(alert_level::warning, alert::user_canceled));
              tls.feed(tls.client.application_data("still here"));
              CHECK(as_text(tls.received) == "still here");
              tls.feed(tls.client.close_notify());
          }) == ended_by(alert::close_notify));
}

TEST_CASE("RFC 8446 6.1: user_canceled during the handshake does nothing either")
{
    CHECK(play([](connection& tls) {
              tls.feed(tls.client.client_hello());
              tls.feed(tls.client.alert_record(alert_level::warning, alert::user_canceled));
              tls.feed(tls.client.finished());
          }) == accepted());
}

TEST_CASE("RFC 8446 6.1: user_canceled without end is decode_error")
{
    CHECK(play_connected([](connection& tls) {
              for (int i = 0; i < 10 && !tls.server.error(); ++i)
                  tls.feed(tls.client.alert_record(alert_level::warning, alert::user_canceled));
          }) == refused(errc::too_many_warning_alerts, alert::decode_error));
}

TEST_CASE("RFC 8446 6.1: close_notify of either level is a clean end")
{
    CHECK(answer_to_alert({1, 0}) == ended_by(alert::close_notify));
    CHECK(answer_to_alert({2, 0}) == ended_by(alert::close_notify));
}

TEST_CASE("RFC 8446 6.1: what comes after close_notify is ignored")
{
    CHECK(play_connected([](connection& tls) {
              tls.feed(joined({tls.client.application_data("before"), tls.client.close_notify(),
                               tls.client.application_data("after"), nonsense(tls.client)}));
              tls.feed(byte_vector(100, 0xff));
              CHECK(as_text(tls.received) == "before");
          }) == ended_by(alert::close_notify));
}

TEST_CASE("RFC 8446 6.1: after the client's close_notify the server may go on to write, and closes with its own")
{
    connection tls;
    tls.handshake();
    tls.feed(tls.client.close_notify());
    CHECK_FALSE(tls.server.is_failed());
    tls.write("the rest");
    CHECK(as_text(tls.client.data) == "the rest");
    tls.server.close();
    tls.flush();
    CHECK(tls.end() == ending{alert::close_notify, alert::close_notify});
}

TEST_CASE("RFC 8446 6.1: after its own close_notify the server goes on to read, and writes no more")
{
    connection tls;
    tls.handshake();
    CHECK(tls.server.write(as_bytes("last words")) == 10);
    tls.server.close();
    tls.flush();
    CHECK(as_text(tls.client.data) == "last words");
    CHECK(tls.client.received_alert == alert::close_notify);
    CHECK(tls.server.write(as_bytes("more")) == 0);
    tls.feed(tls.client.application_data("still listening"));
    CHECK(as_text(tls.received) == "still listening");
    tls.feed(tls.client.close_notify());
    CHECK(tls.end() == ending{alert::close_notify, alert::close_notify});
}

TEST_CASE("RFC 8446 6.1: close_notify is sent once")
{
    connection tls;
    tls.handshake();
    tls.server.close();
    tls.flush();
    tls.server.close();
    CHECK_FALSE(tls.server.has_output());
}

TEST_CASE("RFC 8446 6.1: nothing follows the server's close_notify: no KeyUpdate, and no alert for a violation")
{
    connection tls;
    tls.handshake();
    tls.server.close();
    tls.flush();
    tls.feed(tls.client.key_update(key_update_request::update_requested));
    tls.server.update_keys(key_update_request::update_requested);
    tls.feed(nonsense(tls.client)); // the client demands silence
    CHECK(tls.end() == refused(errc::unexpected_handshake_message, alert::close_notify));
}

TEST_CASE("RFC 8446 6.1: close_notify before the handshake is complete ends it")
{
    connection tls;
    tls.feed(tls.client.client_hello());
    tls.server.close();
    tls.flush();
    CHECK(tls.client.received_alert == alert::close_notify);
    CHECK_FALSE(tls.server.is_connected());
}

TEST_CASE("RFC 8446 6.1: a transport that ends without close_notify is truncation")
{
    CHECK(play_connected([](connection& tls) {
              tls.feed(tls.client.application_data("half of it"));
              tls.server.end_of_input();
              tls.run();
          }) == ending{alos::errc::truncated, {}});
}

TEST_CASE("RFC 8446 6.1: a transport that ends within a record is truncation")
{
    connection tls;
    tls.handshake();
    const byte_vector record = tls.client.application_data("half of it");
    tls.feed(byte_view(record).first(record.size() - 1));
    tls.server.end_of_input();
    tls.run();
    CHECK(tls.received.empty());
    CHECK(tls.end() == ending{alos::errc::truncated, {}});
}

TEST_CASE("RFC 8446 6.1: a transport that ends after close_notify is a clean end")
{
    CHECK(play_connected([](connection& tls) {
              tls.feed(tls.client.close_notify());
              tls.server.end_of_input();
          }) == ended_by(alert::close_notify));
}

TEST_CASE("RFC 8446 6.1: an end that is noticed before what came with it was read loses nothing")
{
    connection tls;
    tls.handshake();
    const byte_vector bytes = joined({tls.client.application_data("all of it"), tls.client.close_notify()});
    copy(bytes, tls.server.prepare(bytes.size()));
    tls.server.commit(bytes.size());
    tls.server.end_of_input();
    tls.run();
    CHECK(as_text(tls.received) == "all of it");
    CHECK(tls.end() == ended_by(alert::close_notify));
}

// --- 6.2 ---

TEST_CASE("RFC 8446 6.2: the server sends one alert and is silent from then on")
{
    CHECK(play_connected([](connection& tls) {
              tls.feed(nonsense(tls.client));
              CHECK(tls.server.is_failed());
              CHECK(tls.server.wants() == want::nothing);
              CHECK(tls.server.write(as_bytes("too late")) == 0);
              tls.server.close();
              tls.server.update_keys(key_update_request::update_requested);
              tls.feed(nonsense(tls.client)); // the client demands silence
              tls.feed(tls.client.application_data("too late"));
              CHECK(tls.received.empty());
          }) == refused(errc::unexpected_handshake_message, alert::unexpected_message));
}

TEST_CASE("RFC 8446 6.2: what was received before the violation is not lost")
{
    CHECK(play_connected([](connection& tls) {
              tls.feed(joined({tls.client.application_data("before"), nonsense(tls.client)}));
              CHECK(as_text(tls.received) == "before");
          }) == refused(errc::unexpected_handshake_message, alert::unexpected_message));
}

TEST_CASE("RFC 8446 6.2: what was written before the violation goes out before the alert")
{
    connection tls;
    tls.handshake();
    CHECK(tls.server.write(as_bytes("before")) == 6);
    tls.feed(nonsense(tls.client));
    CHECK(as_text(tls.client.data) == "before");
    CHECK(tls.client.received_alert == alert::unexpected_message);
}

TEST_CASE("RFC 8446 6.2: after the end discard_input forgets what comes")
{
    connection tls;
    tls.handshake();
    tls.feed(nonsense(tls.client));
    static_cast<void>(tls.server.discard_input());
    tls.feed(byte_vector(1000, 0xff));
    CHECK(tls.server.discard_input() == 1000);
    CHECK(tls.server.discard_input() == 0);
}

TEST_CASE("RFC 8446 6.2: alerts are protected as soon as there are keys")
{
    connection tls;
    tls.feed(tls.client.client_hello());
    tls.feed(nonsense(tls.client));
    CHECK(tls.client.records.back().outer == content_type::application_data);
    CHECK(tls.client.records.back().inner == content_type::alert);
}

TEST_CASE("RFC 8446 6.2: every errc has an alert, and its own words")
{
    for (int code = 1; code <= static_cast<int>(errc::internal_error); ++code) {
        const errc_description one = describe(static_cast<errc>(code));
        CHECK(static_cast<int>(one.code) == code);
        CHECK(one.sent != alert::close_notify);
        for (int other = 1; other < code; ++other)
            CHECK(std::string_view(one.text) != describe(static_cast<errc>(other)).text);
    }
}

// --- what is no TLS at all ---

TEST_CASE("something that is not TLS is protocol_version")
{
    for (const std::string_view text :
         {"SSH-2.0-OpenSSH_9.2\r\n", "\x16\x02 rest of a header", "EHLO mail.example\r\n"})
        CHECK(play([&](connection& tls) { tls.feed(as_bytes(text)); }) ==
              refused(errc::not_tls, alert::protocol_version));
}

TEST_CASE("an HTTP request on a TLS port is told apart, and gets no alert")
{
    for (const std::string_view text : {"GET / HTTP/1.1\r\n", "POST /x HTTP/1.0\r\n", "OPTIONS * HTTP/1.1\r\n"})
        CHECK(play([&](connection& tls) { tls.feed(as_bytes(text)); }) == ending{errc::http_request, {}});
}

}
